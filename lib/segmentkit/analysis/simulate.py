"""Generated data with known truth: the sample shop, and a simulated test on the demo source's real purchases.

Whatever comes from here is simulated and says so wherever it is shown.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.campaigns import Campaign, frozen_segments, spend
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.experiments import sample_ratio
from segmentkit.analysis.features import Window
from segmentkit.analysis.outcomes import Outcomes
from segmentkit.analysis.randomised import Test, read
from segmentkit.analysis.rules import Beside


@dataclass(frozen=True)
class Kind:
    """One true segment of the sample shop: its share, buying rhythm, basket, lifetime and planted effect."""

    name: str
    share: float
    days_between_orders: float
    basket: float
    stops_before_end: int
    extra_orders: float


KINDS = (
    Kind("regulars", 0.30, 9, 42.0, 0, 0.60),
    Kind("stock-up", 0.20, 32, 260.0, 0, 0.15),
    Kind("occasional", 0.28, 48, 21.0, 0, 0.15),
    Kind("lapsed", 0.22, 21, 48.0, 260, 0.0),
)
START, END = datetime(2024, 1, 1), datetime(2025, 12, 31)
CAMPAIGN_START, CAMPAIGN_END = datetime(2025, 10, 1), datetime(2025, 11, 11)
HABIT_SPREAD = 0.25
MARGIN_RATE, COST_PER_CONTACT = 0.35, 1.2
CATEGORIES = ("Bread", "Fruit", "Drinks", "Household", "Frozen")


@dataclass(frozen=True)
class Shop:
    """A generated shop.

    Attributes:
        tables: the shared tables by name.
        truth: ``customer_id, kind, extra_margin`` (expected extra margin if mailed).
        net_benefit: planted mean net benefit per mailed customer, overall.
    """

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    net_benefit: float


def generate_shop(customers: int = 2_000, seed: int = 11) -> Shop:
    """A shop over two years with four kinds of customers and one randomised campaign.

    Half of the customers are mailed by lot; a mailed customer places a Poisson number of extra orders whose mean
    depends on the kind. Every figure is drawn from ``numpy.random.default_rng(seed)``.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.choice(len(KINDS), customers, p=[kind.share for kind in KINDS])
    ids = np.array([f"S{number:05d}" for number in rng.permutation(customers) + 1])
    mailed = rng.permutation(np.arange(customers) % 2 == 0)
    acquired = rng.uniform(0, 150, customers)
    own = [_own_habits(rng, KINDS[kind]) for kind in kinds]
    orders = pd.concat([_orders_of(rng, i, kind, acquired[i]) for i, kind in enumerate(own)], ignore_index=True)
    extra = pd.concat([_extra_of(rng, int(i), own[i]) for i in np.flatnonzero(mailed)], ignore_index=True)
    lines = pd.concat([orders, extra], ignore_index=True).sort_values(["ordered_at", "customer"], ignore_index=True)
    truth = pd.DataFrame(
        {
            "customer_id": ids,
            "kind": [KINDS[kind].name for kind in kinds],
            "extra_margin": [kind.extra_orders * kind.basket * MARGIN_RATE for kind in own],
        }
    )
    tables = {
        "transactions": _transactions(rng, lines, ids),
        "customers": _customers(rng, ids, acquired),
        **_campaign_tables(rng, ids, mailed),
    }
    truth = truth.sort_values("customer_id", ignore_index=True)
    return Shop(tables, truth, float(truth["extra_margin"].mean()) - COST_PER_CONTACT)


def _own_habits(rng: np.random.Generator, kind: Kind) -> Kind:
    """One customer's own rhythm and basket, spread around the kind's."""
    rhythm, basket = rng.lognormal(0.0, HABIT_SPREAD, 2)
    return replace(kind, days_between_orders=kind.days_between_orders * rhythm, basket=kind.basket * basket)


def _orders_of(rng: np.random.Generator, customer: int, kind: Kind, acquired: float) -> pd.DataFrame:
    last = (END - START).days - kind.stops_before_end - (rng.uniform(0, 60) if kind.stops_before_end else 0)
    count = max(1, int((last - acquired) / kind.days_between_orders * 2) + 8)
    # gamma gaps are more regular than a Poisson process, as real shopping rhythms are
    gaps = rng.gamma(4.0, kind.days_between_orders / 4.0, count)
    days = acquired + np.concatenate([[0.0], np.cumsum(gaps)])
    days = days[days <= last] if acquired <= last else days[:1]
    return _baskets(rng, customer, kind, np.floor(days))


def _extra_of(rng: np.random.Generator, customer: int, kind: Kind) -> pd.DataFrame:
    length = (CAMPAIGN_END - CAMPAIGN_START).days
    day = (CAMPAIGN_START - START).days + rng.integers(0, length, rng.poisson(kind.extra_orders))
    return _baskets(rng, customer, kind, day.astype(float))


def _baskets(rng: np.random.Generator, customer: int, kind: Kind, days: np.ndarray) -> pd.DataFrame:
    # a log-normal with the kind's basket as its mean, so that the planted effect is exact in expectation
    spread = 0.25
    amount = kind.basket * rng.lognormal(-(spread**2) / 2, spread, len(days))
    return pd.DataFrame({"customer": customer, "day": days, "amount": amount.round(2), "ordered_at": _clock(rng, days)})


def _clock(rng: np.random.Generator, days: np.ndarray) -> Any:
    minutes = np.clip(rng.normal(15 * 60, 180, len(days)), 7 * 60, 22 * 60).round()
    return pd.to_datetime(
        [START + timedelta(days=float(d), minutes=float(m)) for d, m in zip(days, minutes, strict=True)]
    )


def _transactions(rng: np.random.Generator, lines: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
    count = len(lines)
    return pd.DataFrame(
        {
            "customer_id": ids[lines["customer"]],
            "order_id": [f"O{number:06d}" for number in range(1, count + 1)],
            "ordered_at": lines["ordered_at"].astype("datetime64[s]"),
            "amount": lines["amount"],
            "category": rng.choice(CATEGORIES, count),
            "quantity": rng.integers(1, 9, count),
            "discount": (lines["amount"] * rng.choice([0, 0, 0, 0.1, 0.2], count)).round(2),
            "margin": (lines["amount"] * MARGIN_RATE).round(4),
        }
    )


def _customers(rng: np.random.Generator, ids: np.ndarray, acquired: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "customer_id": ids,
            "acquired_at": [(START + timedelta(days=float(np.floor(day)))).date().isoformat() for day in acquired],
            "acquisition_channel": rng.choice(["search", "referral", "shop"], len(ids), p=[0.5, 0.2, 0.3]),
            "age_band": rng.choice(["18-29", "30-44", "45-59", "60+"], len(ids)),
            "region": rng.choice(["north", "south", "west"], len(ids), p=[0.4, 0.35, 0.25]),
        }
    )
    return table.sort_values("customer_id", ignore_index=True)


def _campaign_tables(rng: np.random.Generator, ids: np.ndarray, mailed: np.ndarray) -> dict[str, pd.DataFrame]:
    start, end = (day.date().isoformat() for day in (CAMPAIGN_START, CAMPAIGN_END))
    who = np.sort(ids[mailed])
    arms = pd.DataFrame({"campaign_id": "autumn", "customer_id": ids, "arm": np.where(mailed, "mailed", "held back")})
    arms["designed_share"] = 0.5
    answered = rng.random(len(who)) < 0.08
    return {
        "campaigns": pd.DataFrame(
            [
                {
                    "campaign_id": "autumn",
                    "start": start,
                    "end": end,
                    "design": "randomised",
                    "cost_per_contact": COST_PER_CONTACT,
                }
            ]
        ),
        "contacts": pd.DataFrame(
            {"customer_id": who, "at": start, "channel": "mail", "event": "delivery", "campaign_id": "autumn"}
        ),
        "assignments": arms.sort_values("customer_id", ignore_index=True),
        "responses": pd.DataFrame(
            {"customer_id": who[answered], "campaign_id": "autumn", "outcome": "redemption", "value": 1, "at": end}
        ),
    }


def demo_test(
    transactions: ibis.Table,
    seen: Window,
    days: int,
    like: Segmentation,
    *,
    lift: float,
    margin_rate: float,
    cost: float,
    starts: int,
    seed: int,
    confidence: float,
    beside: Beside | None = None,
) -> Test:
    """A simulated test on the last days of real purchases, read by the same code as a real one.

    Args:
        transactions: the demo's purchases.
        seen: the data's window.
        days: length of the test; segments are frozen before it.
        like: the segmentation whose features, method and number of segments are fitted to the days before.
        lift: planted extra sales as a share of a reached customer's own.
        margin_rate: assumed margin.
        cost: assumed cost of a contact.
        starts: k-means starts.
        seed: of segments and lottery.
        confidence: of the intervals.
        beside: attributes and contacts, where ``like`` needs them.
    """
    end = seen.as_of - timedelta(days=1)
    campaign = Campaign("in the simulation", seen.as_of - timedelta(days=days), end, "simulated")
    frozen = frozen_segments(transactions, campaign, seen.start, like, starts=starts, seed=seed, beside=beside)
    spent = spend(transactions, campaign.during, frozen["customer_id"])[["customer_id", "sales", "orders"]]
    before = spend(transactions, campaign.before, frozen["customer_id"])[["customer_id", "sales"]]
    drawn = simulate_test(spent, frozen, lift=lift, margin_rate=margin_rate, cost=cost, seed=seed)
    table = drawn.outcomes.assign(cost=cost).merge(before.rename(columns={"sales": "sales_before"}), on="customer_id")
    designed = {"mailed": 0.5, "held back": 0.5}
    outcomes = Outcomes(campaign, table, "held back", designed, sample_ratio(table["arm"], designed), "")
    money_from = f"Margin {margin_rate:.0%} and cost {cost:g} are assumed; a lift of {lift:.0%} was planted."
    return replace(
        read(outcomes, margin=margin_rate, confidence=confidence)[0], money_from=money_from, truth=drawn.truth
    )


@dataclass(frozen=True)
class SimulatedTest:
    """A test that never took place: real purchases, arms drawn by lot, and an effect planted on top.

    Attributes:
        outcomes: ``customer_id, segment_key, arm, sales, orders``.
        lift: planted extra sales as a share of a reached customer's own sales.
        truth: planted net benefit per customer by segment, ``all`` included.
    """

    outcomes: pd.DataFrame
    lift: float
    truth: dict[str, float]


def simulate_test(
    spent: pd.DataFrame, segments: pd.DataFrame, *, lift: float, margin_rate: float, cost: float, seed: int
) -> SimulatedTest:
    """Draw arms by lot inside each segment and plant a lift on the reached.

    Args:
        spent: ``customer_id, sales, orders`` as they really were.
        segments: ``customer_id, segment_key`` frozen before those purchases.
        lift: planted lift, e.g. .15.
        margin_rate: assumed margin as a share of sales.
        cost: assumed cost per contact.
        seed: the same seed gives the same arms.
    """
    table = segments[["customer_id", "segment_key"]].merge(spent, on="customer_id", validate="1:1")
    table = table.sort_values(["segment_key", "customer_id"], ignore_index=True)
    rng = np.random.default_rng(seed)
    turn = table.groupby("segment_key")["customer_id"].transform(lambda ids: rng.permutation(len(ids)))
    table["arm"] = np.where(turn % 2 == 0, "mailed", "held back")
    gain = table["sales"] * lift * margin_rate - cost
    truth = {str(key): float(value) for key, value in gain.groupby(table["segment_key"]).mean().items()}
    table["sales"] = table["sales"].where(table["arm"] == "held back", table["sales"] * (1 + lift))
    return SimulatedTest(
        table[["customer_id", "segment_key", "arm", "sales", "orders"]], lift, truth | {"all": float(gain.mean())}
    )

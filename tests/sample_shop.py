"""The sample shop, whole: the generated shop, a spring e-mail with two offers, what winning customers cost, a survey.

Whatever comes from here is simulated. The spring e-mail has two offers and a hold-out of a fifth; what each brings
depends on the kind of customer, and so does the best offer. An offer also costs money where it is used, even by those
who would have bought anyway. A third of the customers answer a survey; of the three attitudes behind the answers, two
go with a kind of customer. Names, e-mail addresses and telephone numbers are made up: example.com, and numbers that the
German regulator keeps free for films.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from segmentkit.analysis.simulate import CATEGORIES, KINDS, MARGIN_RATE, Shop, generate_shop

START, DAYS = date(2025, 4, 1), 28
EMAIL_COST, HELD_BACK = 0.05, "held back"
SHARES = {HELD_BACK: 0.2, "10 % off": 0.4, "free delivery": 0.4}
# extra orders of a customer in the four weeks, by offer and kind; only so many orders use the offer
EXTRA = {
    HELD_BACK: {},
    "10 % off": {"regulars": 0.7, "stock-up": 0.02, "occasional": 0.1, "lapsed": 0.0},
    "free delivery": {"regulars": 0.05, "stock-up": 0.2, "occasional": 0.3, "lapsed": 0.0},
}
USED, DELIVERY = 0.2, 4.0
OPENS = {"regulars": 0.45, "stock-up": 0.3, "occasional": 0.25, "lapsed": 0.1}
CLICKS_OF_OPENS = 0.3
ACQUISITION = {"search": 95.0, "referral": 60.0, "shop": 30.0}

ANSWERING, SKIPPED, SKIPPED_OPEN = 1 / 3, 0.04, 0.35
# who thinks how: "in a hurry" is as frequent in every kind
ATTITUDES = {
    "regulars": {"bargain": 0.15, "quality": 0.55, "in a hurry": 0.3},
    "stock-up": {"bargain": 0.55, "quality": 0.15, "in a hurry": 0.3},
    "occasional": {"bargain": 0.35, "quality": 0.35, "in a hurry": 0.3},
    "lapsed": {"bargain": 0.35, "quality": 0.35, "in a hurry": 0.3},
}
# share that says yes
SAYS_YES = {
    "compares_prices": {"bargain": 0.9, "quality": 0.25, "in a hurry": 0.2},
    "reads_leaflets": {"bargain": 0.8, "quality": 0.3, "in a hurry": 0.15},
    "buys_organic": {"bargain": 0.15, "quality": 0.8, "in a hurry": 0.2},
    "cooks_daily": {"bargain": 0.6, "quality": 0.75, "in a hurry": 0.15},
    "wants_delivery": {"bargain": 0.3, "quality": 0.2, "in a hurry": 0.85},
}
# shares of the levels, lowest first
RATES = {
    "price_matters": {"bargain": (0, 0.05, 0.1, 0.3, 0.55), "quality": (0.15, 0.3, 0.3, 0.2, 0.05)},
    "quality_matters": {"bargain": (0.05, 0.25, 0.4, 0.2, 0.1), "quality": (0, 0, 0.1, 0.3, 0.6)},
}
LIKES_BROWSING = {"bargain": (0.2, 0.5, 0.3), "quality": (0.1, 0.4, 0.5), "in a hurry": (0.8, 0.15, 0.05)}
UNDECIDED = (0.1, 0.2, 0.4, 0.2, 0.1)
FREQUENCIES = ("never", "sometimes", "often")
REASONS = {"bargain": (0.7, 0.1, 0.2), "quality": (0.1, 0.7, 0.2), "in a hurry": (0.15, 0.1, 0.75)}
MINUTES = {"bargain": 35.0, "quality": 30.0, "in a hurry": 12.0}
SAYS = {
    "bargain": ("low prices", "low prices and weekly offers", "because of the offers", "offers every week, low prices"),
    "quality": ("the fruit is fresh", "fresh bread", "fresh bread and fresh fruit", "always fresh vegetables"),
    "in a hurry": ("quick and close to home", "close to work", "open late and close by", "quick, close to the bus"),
}
# share that agreed, by channel; of those a tenth took it back later
AGREED, WITHDREW = {"email": 0.7, "sms": 0.3, "post": 0.6, "ads": 0.55}, 0.1
FIRST_NAMES = (
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Elif",
    "Fatima",
    "Grzegorz",
    "Hélène",
    "Ioannis",
    "Jürgen",
    "Karin",
    "李",
)
LAST_NAMES = (
    "Müller", "Schmidt", "O'Brien", "Nowak", "Yılmaz", "Weiß", "小龙", "محمد", "García", "van der Berg", "Smith, Jr.",
)  # fmt: skip
AWKWARD = {3: '=HYPERLINK("http://example.com","win")', 4: "+4477", 5: "@SUM(A1:A9)", 6: "-2+3", 7: 'Anna "Anni"'}
FREE_NUMBERS = ("30 23125", "69 90009", "40 66969", "221 4710", "89 99998")
WRITTEN = ("+49 {area} {line}{end}", "0{area}/{line}{end}", "0049 {area} {line} {end}")
SAYS_NOTHING = ("no special reason", "habit I think", "my sister told me", "do not know")


@dataclass(frozen=True)
class SampleShop:
    """The shared tables by name, each customer's kind, and what was planted."""

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    planted: dict[str, Any]


def sample_shop(customers: int = 2_000, seed: int = 11) -> SampleShop:
    """The shop of ``generate_shop`` with its autumn mailing untouched, and the spring e-mail before it."""
    shop = generate_shop(customers, seed)
    rng = np.random.default_rng([seed, 1])
    people = shop.truth[["customer_id", "kind"]].copy()
    people["arm"] = rng.permutation(_exact_arms(len(people)))
    extra = _extra_orders(rng, people)
    lines = pd.concat([shop.tables["transactions"], extra]).sort_values(["ordered_at", "order_id"], ignore_index=True)
    answered = _what_answering_cost(rng, people, lines)
    plan = pd.DataFrame([{"campaign_id": "spring", "start": START, "end": START + timedelta(days=DAYS - 1)}])
    plan = plan.assign(design="randomised", cost_per_contact=EMAIL_COST)
    arms = people[["customer_id", "arm"]].assign(campaign_id="spring")
    tables = shop.tables | {
        "transactions": lines,
        "campaigns": pd.concat([plan, shop.tables["campaigns"]], ignore_index=True),
        "contacts": pd.concat([_emails(rng, people), shop.tables["contacts"]], ignore_index=True),
        "assignments": pd.concat(
            [arms.assign(designed_share=arms["arm"].map(SHARES)), shop.tables["assignments"]], ignore_index=True
        )[["campaign_id", "customer_id", "arm", "designed_share"]],
        "responses": pd.concat([answered, shop.tables["responses"]], ignore_index=True),
        "acquisition_costs": _acquisition(rng, shop.tables["customers"]),
    }
    # a stream of its own: the rest of the shop stays as it was before there was a survey
    tables["survey"], attitudes = _survey(np.random.default_rng([seed, 2]), people)
    tables["consents"] = _consents(np.random.default_rng([seed, 3]), people["customer_id"])
    tables["addresses"] = _addresses(np.random.default_rng([seed, 4]), people["customer_id"])
    planted = _planted(shop, people, answered) | {"attitudes_by_kind": ATTITUDES, "attitude": attitudes}
    return SampleShop(tables, shop.truth[["customer_id", "kind"]], planted)


def _survey(rng: np.random.Generator, people: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Answers of a third of the customers, some left out, and the attitude each was drawn from."""
    chosen = np.sort(rng.choice(len(people), round(ANSWERING * len(people)), replace=False))
    asked = people[["customer_id", "kind"]].iloc[chosen].reset_index(drop=True)
    attitude = asked["kind"].map(lambda kind: rng.choice(list(ATTITUDES[kind]), p=list(ATTITUDES[kind].values())))
    table = asked[["customer_id"]].copy()
    for item, shares in SAYS_YES.items():
        table[item] = np.where(rng.random(len(asked)) < attitude.map(shares), "yes", "no")
    for item, levels in RATES.items():
        table[item] = attitude.map(lambda one, of=levels: str(1 + rng.choice(5, p=of.get(one, UNDECIDED))))
    table["likes_browsing"] = attitude.map(lambda one: rng.choice(FREQUENCIES, p=LIKES_BROWSING[one]))
    table["main_reason"] = attitude.map(lambda one: rng.choice(["price", "choice", "nearby"], p=REASONS[one]))
    table["minutes_per_visit"] = (
        (attitude.map(MINUTES) * rng.lognormal(0, 0.35, len(asked))).round().astype(int).astype(str)
    )
    told = [
        SAYS[one] if draw < 0.8 else SAYS_NOTHING for one, draw in zip(attitude, rng.random(len(asked)), strict=True)
    ]
    table["why_here"] = [str(rng.choice(phrases)) for phrases in told]
    skips = np.r_[[SKIPPED] * (table.shape[1] - 2), SKIPPED_OPEN]
    table.iloc[:, 1:] = table.iloc[:, 1:].mask(rng.random((len(asked), len(skips))) < skips, "")
    return table, dict(zip(asked["customer_id"], attitude.astype(str), strict=True))


def _consents(rng: np.random.Generator, ids: pd.Series) -> pd.DataFrame:
    """One row for each answer ever given; whoever is asked nothing has no row, and whoever withdraws has two."""
    parts = []
    for channel, share in AGREED.items():
        asked = ids[rng.random(len(ids)) < 0.9]
        yes = rng.random(len(asked)) < share / 0.9
        days = rng.integers(0, 500, len(asked))
        at = (pd.Timestamp("2024-02-01") + pd.to_timedelta(days, "D")).strftime("%Y-%m-%d")
        rows = pd.DataFrame({"customer_id": asked.to_numpy(), "channel": channel, "purpose": "marketing"})
        parts.append(rows.assign(granted=np.where(yes, "yes", "no"), at=at, origin="sign-up form"))
        left = rows[yes & (rng.random(len(asked)) < WITHDREW)]
        parts.append(left.assign(granted="no", at="2025-09-15", origin="preference page"))
    return pd.concat(parts).sort_values(["customer_id", "channel", "at"], ignore_index=True)


def _addresses(rng: np.random.Generator, ids: pd.Series) -> pd.DataFrame:
    """The address book; some names are awkward on purpose, some customers left no e-mail address or number."""
    n = len(ids)
    first, last = rng.choice(FIRST_NAMES, n).astype(object), rng.choice(LAST_NAMES, n).astype(object)
    for place, name in AWKWARD.items():
        first[place] = name
    area, line = np.array([number.split() for number in FREE_NUMBERS])[np.arange(n) % 5].T
    end = [f"{number:03}" for number in (np.arange(n) // 5) % 1_000]
    written = rng.choice(WRITTEN, n)
    phone = [w.format(area=a, line=b, end=c) for w, a, b, c in zip(written, area, line, end, strict=True)]
    email = [f"customer.{i[1:]}@example.com" if i[-1] != "9" else f" Customer.{i[1:]}@Example.COM" for i in ids]
    table = pd.DataFrame({"customer_id": ids.to_numpy(), "email": email, "phone": phone})
    table["email"] = table["email"].mask(rng.random(n) < 0.05, "")
    table["phone"] = table["phone"].mask(rng.random(n) < 0.2, "")
    postcode = [f"{number:05}" for number in rng.integers(1_067, 99_998, n)]
    return table.assign(
        first_name=first, last_name=last, country="DE", postcode=postcode, crm_id=[f"003SHOP{i[1:]:0>11}" for i in ids]
    ).assign(external_id=[f"SHOP-{i[1:]}" for i in ids])


def _exact_arms(count: int) -> np.ndarray:
    edges = np.round(np.cumsum(list(SHARES.values())) * count).astype(int)
    return np.array(list(SHARES))[np.searchsorted(edges, np.arange(count), side="right")]


def _extra_orders(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    baskets = {kind.name: kind.basket for kind in KINDS}
    mean = [EXTRA[arm].get(kind, 0.0) for arm, kind in zip(people["arm"], people["kind"], strict=True)]
    who = np.repeat(np.arange(len(people)), rng.poisson(mean))
    amount = people["kind"].map(baskets).to_numpy()[who] * rng.lognormal(-(0.25**2) / 2, 0.25, len(who))
    minutes = rng.integers(8 * 60, 21 * 60, len(who))
    days = rng.integers(0, DAYS, len(who))
    moments = [pd.Timestamp(START) + pd.Timedelta(days=d, minutes=m) for d, m in zip(days, minutes, strict=True)]
    table = pd.DataFrame({"customer_id": people["customer_id"].to_numpy()[who], "ordered_at": moments})
    table = table.assign(order_id=[f"P{n:05d}" for n in range(1, len(table) + 1)], amount=amount.round(2))
    table["ordered_at"] = table["ordered_at"].astype("datetime64[s]")
    return table.assign(
        category=rng.choice(CATEGORIES, len(table)),
        quantity=rng.integers(1, 9, len(table)),
        discount=0.0,
        margin=(table["amount"] * MARGIN_RATE).round(4),
    )


def _what_answering_cost(rng: np.random.Generator, people: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """A fifth of the orders of the treated use the offer, those that would have come anyway too."""
    during = lines["ordered_at"].between(pd.Timestamp(START), pd.Timestamp(START) + pd.Timedelta(days=DAYS))
    orders = lines[during].merge(people, on="customer_id")
    orders = orders[(orders["arm"] != HELD_BACK) & (rng.random(len(orders)) < USED)]
    value = np.where(orders["arm"] == "10 % off", orders["amount"] * 0.1, DELIVERY).round(2)
    table = pd.DataFrame({"customer_id": orders["customer_id"].to_numpy(), "campaign_id": "spring", "outcome": "cost"})
    return table.assign(value=value, at=orders["ordered_at"].dt.date.astype("str").to_numpy())


def _emails(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    sent = people[people["arm"] != HELD_BACK]
    opened = sent[rng.random(len(sent)) < sent["kind"].map(OPENS)]
    clicked = opened[rng.random(len(opened)) < CLICKS_OF_OPENS]
    steps = {"delivery": (sent, 0), "open": (opened, 1), "click": (clicked, 1)}
    parts = [
        pd.DataFrame({"customer_id": who["customer_id"], "at": (START + timedelta(days=later)).isoformat()}).assign(
            channel="email", event=event, campaign_id="spring"
        )
        for event, (who, later) in steps.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _acquisition(rng: np.random.Generator, customers: pd.DataFrame) -> pd.DataFrame:
    """What each month and channel cost: so much for each customer won, give or take."""
    month = pd.to_datetime(customers["acquired_at"]).dt.to_period("M")
    won = customers.groupby([month, "acquisition_channel"]).size().reset_index(name="won")
    spread = rng.uniform(0.8, 1.2, len(won))
    cost = won["won"] * won["acquisition_channel"].map(ACQUISITION) * spread
    return pd.DataFrame(
        {
            "start": won["acquired_at"].dt.start_time.dt.date.astype("str"),
            "end": won["acquired_at"].dt.end_time.dt.date.astype("str"),
            "channel": won["acquisition_channel"],
            "cost": cost.round(2),
            "origin": "generated invoices",
        }
    )


def _planted(shop: Shop, people: pd.DataFrame, answered: pd.DataFrame) -> dict[str, Any]:
    """Expected net benefit per treated customer: extra margin as planted, less what was really spent on the offer."""
    spent = people["customer_id"].map(answered.groupby("customer_id")["value"].sum()).fillna(0.0)
    baskets = {kind.name: kind.basket for kind in KINDS}
    spring = {}
    for arm in list(SHARES)[1:]:
        brought = people["kind"].map(EXTRA[arm]) * people["kind"].map(baskets) * MARGIN_RATE
        spring[arm] = float(brought.mean() - spent[people["arm"] == arm].mean() - EMAIL_COST)
    return {
        "net_benefit_per_mailed_customer": shop.net_benefit,
        "spring_net_benefit_per_customer": spring,
        "spring_extra_orders": EXTRA,
        "kinds": [kind.__dict__ for kind in KINDS],
    }

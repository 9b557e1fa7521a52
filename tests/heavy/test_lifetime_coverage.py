"""How often the predictive intervals of segments hold what came, and what the check says where the model is wrong."""

from datetime import date
from itertools import count

import ibis
import numpy as np
import pandas as pd
import pytest
from record import keep

from segmentkit.analysis import features, lifetime, lifetime_check
from segmentkit.analysis.features import FirstPurchases, Window
from segmentkit.analysis.simulate import generate_shop

pytestmark = pytest.mark.heavy
CONNECTION, NUMBER = ibis.duckdb.connect(threads=1), count()
START, AS_OF, DAYS, AHEAD = date(2024, 1, 1), date(2024, 12, 30), 364, 182
OBSERVED = FirstPurchases(True, 0, 1, "")
# customers, rate r and alpha in weeks, chance to stop a and b
CASES = {
    "1,500 customers, few purchases": (1_500, 0.5, 6.0, 0.8, 3.0),
    "1,500 customers, many purchases": (1_500, 1.5, 6.0, 0.3, 6.0),
    "400 customers, hardly told apart": (400, 2.0, 10.0, 2.0, 20.0),
}


def purchases(rng: np.random.Generator, case: tuple[int, float, float, float, float]) -> pd.DataFrame:
    """Purchases as both models believe: Poisson at gamma rates, ended by a beta chance; spend gamma-gamma."""
    n, r, alpha, a, b = case
    rate, stop, scale = rng.gamma(r, 1 / alpha / 7, n), rng.beta(a, b, n), rng.gamma(4.0, 1 / 15.0, n)
    days, amounts = [], []
    for i, first in enumerate(rng.uniform(0, DAYS / 2, n)):
        gaps = rng.exponential(1 / max(rate[i], 1e-9), rng.poisson(rate[i] * (DAYS + AHEAD)) + 60)
        at = np.floor(first + np.concatenate([[0.0], np.cumsum(gaps[: rng.geometric(max(stop[i], 1e-9))])]))
        days.append(np.unique(at[at < DAYS + AHEAD]))
        amounts.append(rng.gamma(6.0, 1 / scale[i], len(days[-1])))
    who = np.repeat([f"C{i:04d}" for i in range(n)], [len(own) for own in days])
    lines = pd.DataFrame({"customer_id": who, "day": np.concatenate(days), "amount": np.concatenate(amounts)})
    moments = pd.Timestamp(START) + pd.to_timedelta(lines.pop("day"), unit="D")
    return lines.assign(order_id=[f"O{i}" for i in range(len(lines))], ordered_at=moments.astype("datetime64[s]"))


def held(trial: int, case: tuple[int, float, float, float, float]) -> tuple[list[bool], bool]:
    """Whether each segment's interval held its mean later sales, for thirds by spend and for all; and flat fits."""
    lines = purchases(np.random.default_rng([91, trial]), case)
    transactions = CONNECTION.create_table(f"coverage_{next(NUMBER)}", lines)
    early = lines["ordered_at"] < pd.Timestamp(AS_OF)
    spent = lines[early].groupby("customer_id", as_index=False)["amount"].sum()
    segments = spent.assign(segment_key=pd.qcut(spent["amount"], 3, labels=list("CBA")).astype(str))
    unchecked = lifetime_check.Holdout(pd.DataFrame(), 0, 1, 1, 0, 0, 0, 0, 0, 0)
    found = lifetime.lifetime_value(
        transactions, segments, Window(START, AS_OF), OBSERVED, unchecked,
        horizon_days=AHEAD, annual_discount=0.0, margin_rate=1.0, confidence=0.95, draws=400, seed=trial,
    )  # fmt: skip
    later = lines[~early].groupby("customer_id")["amount"].sum()
    came = segments["customer_id"].map(later).fillna(0.0).groupby(segments["segment_key"]).mean()
    came["all"] = segments["customer_id"].map(later).fillna(0.0).mean()
    inside = [row.value_low <= came[row.segment_key] <= row.value_high for row in found.table.itertuples()]
    return inside, found.frequency.held > 0


@pytest.mark.parametrize("name", CASES)
def test_predictive_intervals_of_segments_hold_nearly_as_often_as_they_say(name: str) -> None:
    sets = 200
    found = [held(trial, CASES[name]) for trial in range(sets)]
    share = np.mean([inside for inside, _ in found], axis=0)
    flat = sum(one for _, one in found)
    rates = dict(zip(["A", "B", "C", "all"], share.round(3).tolist(), strict=True))
    keep(f"lifetime intervals, {name}", sets=sets, said=0.95, held=rates, parameters_held_fixed=flat)
    assert 0.92 <= share[:3].mean() <= 0.98
    assert share.min() >= 0.9


def test_regular_shoppers_are_not_what_the_model_believes_and_the_check_says_by_how_much() -> None:
    checks = []
    for seed in range(101, 111):
        transactions = CONNECTION.create_table(f"regular_{seed}", generate_shop(2_000, seed).tables["transactions"])
        checks.append(lifetime_check.holdout_check(transactions, features.window(transactions)))
    bias = [round(check.bias, 3) for check in checks]
    spend = [round(check.spend_bias, 3) for check in checks]
    better = sum(check.better_in_level for check in checks)
    keep("lifetime held against the sample shop", sets=len(checks), bias=[min(bias), max(bias)],
         spend_bias=[min(spend), max(spend)], believable=sum(check.believable for check in checks),
         better_in_level=better, better_in_ranking=sum(check.better_in_ranking for check in checks))  # fmt: skip
    # half of the shop's days lie before anybody stops, so the model must expect too many
    assert min(bias) > 0
    assert all(check.believable == (max(abs(check.bias), abs(check.spend_bias)) <= 0.2) for check in checks)

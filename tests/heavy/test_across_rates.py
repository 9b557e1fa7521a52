"""Prediction strength, seeds and the later half on generated data: what must be found, and what must not be."""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from record import keep, upper95

from segmentkit.analysis import across, clustering, later, looks
from segmentkit.analysis.features import build, window

pytestmark = pytest.mark.heavy
SETS, SHOPS, CUSTOMERS = 100, 100, 800
FEATURES = ["recency_days", "frequency", "monetary"]
START, DAYS = datetime(2025, 1, 1), 360


def blobs(seed: int, each: int = 150) -> np.ndarray:
    rng = np.random.default_rng([91, seed])
    corners = 6.0 * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    return np.vstack([rng.normal(corner, 1.0, (each, 2)) for corner in corners])


def strengths(values: np.ndarray, seed: int) -> pd.Series:
    table = across.prediction_strength(values, range(2, 7), repeats=5, starts=5, seed=seed)
    return table.set_index("k")["prediction_strength"]


def test_three_blobs_predict_each_other_at_three_and_not_beyond() -> None:
    found = pd.DataFrame([strengths(blobs(seed), seed) for seed in range(SETS)])
    missed = int(((found[3] < across.STRONG) | (found[[4, 5, 6]].max(axis=1) >= across.STRONG)).sum())
    keep("prediction strength, three blobs", sets=SETS, missed=missed, upper95=round(upper95(missed, SETS), 3),
         at_3=round(float(found[3].mean()), 3), at_4=round(float(found[4].mean()), 3))  # fmt: skip
    assert missed == 0


@pytest.mark.parametrize("columns", [3, 10])
def test_one_round_cloud_predicts_no_number_of_segments(columns: int) -> None:
    clouds = [np.random.default_rng([92, seed, columns]).normal(size=(450, columns)) for seed in range(SETS)]
    found = pd.DataFrame([strengths(values, seed) for seed, values in enumerate(clouds)])
    strong = int((found >= across.STRONG).any(axis=1).sum())
    means = {k: round(float(v), 3) for k, v in found.mean().items()}
    keep(f"prediction strength, one cloud, {columns} columns", sets=SETS, strong=strong,
         upper95=round(upper95(strong, SETS), 3), means=means)  # fmt: skip
    assert upper95(strong, SETS) <= 0.05


def survey(seed: int, people: int = 1_450) -> np.ndarray:
    """Eleven yes/no items of six kinds of people who overlap, as in a survey of what a restaurant is like."""
    rng = np.random.default_rng([93, seed])
    chance = rng.uniform(0.05, 0.95, (6, 11))
    return (rng.random((people, 11)) < chance[rng.integers(0, 6, people)]).astype(float)


def reported(values: np.ndarray, k: int, starts: int, seed: int) -> across.Seeds:
    labels = across._fit(values, k, starts, seed)[0]
    return across.across_seeds(values, labels, k, fits=20, starts=5, seed=seed)


def test_a_missed_optimum_is_told_and_none_is_made_up() -> None:
    people = [survey(seed) for seed in range(SETS)]
    few, many = ([reported(one, 6, starts, seed) for seed, one in enumerate(people)] for starts in (10, 200))
    clear = [reported(blobs(seed), 3, 5, seed) for seed in range(SETS)]
    best = [min(*one.found, one.reported, other.reported) for one, other in zip(few, many, strict=True)]
    missed = [one.reported > least * (1 + across.SAME) for one, least in zip(few, best, strict=True)]
    told = sum(bool(one.warning) for one, is_missed in zip(few, missed, strict=True) if is_missed)
    by_many, by_blobs = (sum(bool(one.warning) for one in found) for found in (many, clear))
    keep("seeds, eleven yes/no items, six segments", sets=SETS, missed_by_10_starts=sum(missed), told=told,
         largest_gain=round(max(one.gain for one in few), 4), warned_at_200_starts=by_many, warned_on_blobs=by_blobs,
         share_of_5_starts_that_miss=round(float(np.mean([one.missed for one in few])) / 20, 3))  # fmt: skip
    assert sum(missed) >= SETS / 5
    assert told >= 0.8 * sum(missed)
    assert by_many <= 0.1 * SETS
    assert by_blobs == 0


def shop(seed: int, growth: float) -> later.Later:
    """A year of customers with habits of their own; in the second half the lightest third buys so much more often."""
    rng = np.random.default_rng([94, seed, int(growth * 100)])
    rate, basket = rng.gamma(1.3, 12.0, CUSTOMERS), 40 * rng.lognormal(0, 0.5, CUSTOMERS)
    light = rate * basket <= np.quantile(rate * basket, 1 / 3)
    parts = []
    for half in range(2):
        orders = rng.poisson(rate / 2 * (1 + growth * light * half))
        who = np.repeat(np.arange(CUSTOMERS), orders)
        day = rng.uniform(0, DAYS / 2, len(who)) + half * DAYS / 2
        parts.append(pd.DataFrame({"who": who, "day": day}))
    lines = pd.concat(parts, ignore_index=True)
    lines["customer_id"] = [f"c{who:04d}" for who in lines["who"]]
    lines["order_id"] = [f"o{number}" for number in range(len(lines))]
    lines["ordered_at"] = [START + timedelta(days=day) for day in lines.pop("day")]
    lines["ordered_at"] = lines["ordered_at"].astype("datetime64[s]")
    lines["amount"] = (basket[lines.pop("who")] * rng.lognormal(0, 0.4, len(lines))).round(2)
    transactions = ibis.memtable(lines)
    seen = window(transactions)
    table = build(transactions, seen)
    model = clustering.segment(table, clustering.scale(table, FEATURES), 4, starts=5, seed=seed)
    now = looks.Look("now", seen, table, model.assign(table))
    pair = looks.compare(transactions, None, now, model, categories=1, starts=5, seed=seed)
    return later.read(pair, confidence=0.95)


def groups(found: later.Later) -> pd.DataFrame:
    own = found.segments
    return own[own["segment_key"] != later.ALL].reset_index(drop=True)


def least(table: pd.DataFrame) -> pd.Series:
    return table.loc[table["spend_first"].idxmin()]


def test_where_habits_never_change_all_of_the_change_is_regression() -> None:
    found = [shop(seed, 0.0) for seed in range(SHOPS)]
    apart = [bool(((own["beyond_low"] > 0) | (own["beyond_high"] < 0)).any()) for own in map(groups, found)]
    thirds = [least(one.thirds) for one in found]
    outside = sum(not row["beyond_low"] <= 0 <= row["beyond_high"] for row in thirds)
    rise = np.array([least(groups(one))[["change", "regression", "beyond"]].to_numpy(dtype=float) for one in found])
    slope = float(np.mean([one.slope for one in found]))
    keep("later, habits never change", shops=SHOPS, any_segment_told_as_changed=sum(apart),
         upper95=round(upper95(sum(apart), SHOPS), 3), light_third_told_as_changed=outside,
         least_change=round(float(rise[:, 0].mean()), 3), regression=round(float(rise[:, 1].mean()), 3),
         beyond=round(float(rise[:, 2].mean()), 4), slope=round(slope, 3))  # fmt: skip
    assert sum(apart) <= 10
    assert abs(rise[:, 2].mean()) < 0.03


def test_a_growth_of_the_lightest_third_shows_beyond_regression() -> None:
    found = [shop(seed, 0.6) for seed in range(SHOPS)]
    caught = sum(bool(least(one.thirds)["beyond_low"] > 0) for one in found)
    by_segment = sum(bool(least(groups(one))["beyond_low"] > 0) for one in found)
    heavy = sum(bool(not one.thirds.iloc[0]["beyond_low"] <= 0 <= one.thirds.iloc[0]["beyond_high"]) for one in found)
    size = float(np.mean([least(one.thirds)["beyond"] for one in found]))
    keep("later, the lightest third grows by 60 %", shops=SHOPS, caught=caught,
         lower95=round(1 - upper95(SHOPS - caught, SHOPS), 3), least_segment_caught=by_segment,
         heavy_third_told_as_changed=heavy, beyond=round(size, 3))  # fmt: skip
    assert caught >= 95

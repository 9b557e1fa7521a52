"""How often "re-fit" is advised on unchanged data, and how often a real shift is caught at the first refresh."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95

from segmentkit.analysis import clustering, drift
from segmentkit.analysis.features import Window
from segmentkit.analysis.looks import Compared, Look
from segmentkit.analysis.migration import migrate, moves

pytestmark = pytest.mark.heavy
REFRESHES, CUSTOMERS, FEATURES = 200, 2_500, ["a", "b", "c", "d", "e"]
DAYS = Window(date(2025, 1, 1), date(2025, 7, 1)), Window(date(2025, 7, 1), date(2026, 1, 1))


def look(values: np.ndarray, ids: np.ndarray, model: clustering.Segmentation | None, at: int) -> Look:
    table = pd.DataFrame(np.exp(values), columns=FEATURES)
    table.insert(0, "customer_id", ids)
    table["monetary"] = table["a"]
    segments = model.assign(table) if model else pd.DataFrame({"customer_id": ids, "segment_key": "A"})
    return Look(str(at), DAYS[at], table, segments)


def refresh(trial: int, kind: str, shift: float) -> tuple[drift.Advice, pd.DataFrame]:
    """One refresh: the same customers measured again and one in seven replaced, or all of them new."""
    rng = np.random.default_rng([3, trial, kind == "all new", shift > 0])
    ids = np.array([f"c{number:05d}" for number in range(CUSTOMERS)])
    shape = 0.5 * np.eye(5) + 0.5
    habit = rng.multivariate_normal(np.zeros(5), shape, CUSTOMERS)
    later, later_ids = habit.copy(), ids.copy()
    out = np.arange(CUSTOMERS) if kind == "all new" else rng.choice(CUSTOMERS, CUSTOMERS // 7, replace=False)
    later[out], later_ids[out] = rng.multivariate_normal(np.zeros(5), shape, len(out)), [f"n{i}" for i in out]
    if kind == "all new":
        later_ids[:1], later[:1] = ids[:1], habit[:1]  # somebody must be known, or there is nothing to migrate
    one, two = (0.85 * h + np.sqrt(1 - 0.85**2) * rng.standard_normal(h.shape) for h in (habit, later))
    two[rng.choice(CUSTOMERS, CUSTOMERS // 3, replace=False), 0] += shift
    first = look(one, ids, None, 0)
    scaled = clustering.scale(first.features, FEATURES)
    model = clustering.segment(first.features, scaled, 4, starts=3, seed=trial)
    before, now = look(one, ids, model, 0), look(two, later_ids, model, 1)
    limits = {"floor": 0.1, "level": 0.05, "permutations": 199, "seed": trial}
    table = drift.measure(before, now, model.scaling, **limits)
    pair = Compared("month", before, now, model, "")
    small = drift.shrunken(pair, clustering.smallest_allowed(CUSTOMERS, 0.05, 50))
    # the noise does not bear on re-fit; a count as large as the customers stands in for it
    moved = moves(migrate(before, now), (CUSTOMERS // 4, CUSTOMERS), 0.95)
    return drift.advise(table, moved, small, 50), table


@pytest.mark.parametrize("kind", ["the same customers", "all new"])
def test_unchanged_customers_are_seldom_to_be_fitted_anew(kind: str) -> None:
    found = [refresh(trial, kind, 0.0) for trial in range(REFRESHES)]
    false = sum(advice.word == "re-fit" for advice, _ in found)
    beyond_chance = sum(bool((table["p_holm"] <= 0.05).any()) for _, table in found)
    bound = upper95(false, REFRESHES)
    keep(f"drift, unchanged, {kind}", refreshes=REFRESHES, refit_advised=false, upper95=round(bound, 4),
         beyond_chance_but_too_small=beyond_chance)  # fmt: skip
    assert bound <= 0.05


@pytest.mark.parametrize("kind", ["the same customers", "all new"])
def test_half_a_standard_deviation_for_a_third_is_caught_at_once(kind: str) -> None:
    found = [refresh(trial, kind, 0.5) for trial in range(REFRESHES)]
    caught = sum(advice.word == "re-fit" and bool(table["drifted"].iloc[0]) for advice, table in found)
    others = sum(bool(table["drifted"].iloc[1:].any()) for _, table in found)
    bound = 1 - upper95(REFRESHES - caught, REFRESHES)
    keep(f"drift, half a deviation for a third, {kind}", refreshes=REFRESHES, caught=caught, lower95=round(bound, 4),
         another_feature_named=others)  # fmt: skip
    assert bound >= 0.95

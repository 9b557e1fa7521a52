"""How often planted tastes are found, taste is praised for nothing, and the best customers seem special by chance."""

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import ideal, taste_trial, tastes, value
from segmentkit.analysis.tastes import Bought

pytestmark = pytest.mark.heavy
SETS, CUSTOMERS, ITEMS, TASTES = 200, 800, 90, 6
OWN = np.arange(ITEMS) % TASTES


def shop(own_share: float, trial: int) -> tuple[Bought, Bought, np.ndarray]:
    """Purchases before and after a day, each customer's share of own items as stated; volumes differ fifty-fold."""
    rng = np.random.default_rng([101, trial, int(100 * own_share)])
    popular = 1 / (1 + np.arange(ITEMS) // TASTES) ** 0.8
    own = np.where(np.arange(TASTES)[:, None] == OWN, popular, 0)
    p = (1 - own_share) * popular / popular.sum() + own_share * own / own.sum(axis=1, keepdims=True)
    taste, many = rng.integers(0, TASTES, CUSTOMERS), (35 * rng.lognormal(0, 1, CUSTOMERS)).astype(int) + 6
    counts = np.array([rng.multinomial(n, p[k]) for n, k in zip(many, taste, strict=True)], dtype=float)
    later = np.array([rng.multinomial(max(1, n // 4), p[k]) for n, k in zip(many, taste, strict=True)], dtype=float)
    ids, items = pd.Series([f"c{number:04d}" for number in range(CUSTOMERS)]), tuple(f"i{i:02d}" for i in range(ITEMS))
    early, late = (Bought("category", ids, items, csr_array(cells)) for cells in (counts, later))
    return early, late, taste


@pytest.mark.parametrize(("own_share", "least"), [(0.3, 0.75), (0.5, 0.9)])
def test_planted_tastes_are_recovered(own_share: float, least: float) -> None:
    agreed = []
    for trial in range(30):
        early, _, taste = shop(own_share, trial)
        rows, labels, _ = tastes.fit(early, TASTES, seed=trial).labels(early)
        agreed.append(adjusted_rand_score(taste[rows], labels))
    found = {"mean": round(float(np.mean(agreed)), 3), "worst": round(min(agreed), 3)}
    keep(f"tastes planted, {own_share:.0%} of purchases are own", sets=len(agreed), **found)
    assert np.mean(agreed) >= least


@pytest.mark.parametrize("own_share", [0.0, 0.5])
def test_taste_is_praised_only_where_there_is_one(own_share: float) -> None:
    better = worse = 0
    for trial in range(SETS):
        early, late, _ = shop(own_share, trial)
        row = taste_trial._compared(taste_trial._foretold(early, late, TASTES, 10, trial, {"starts": 3}), 0.95)
        better, worse = better + (row["low"] > 0), worse + (row["high"] < 0)
    told = {"sets": SETS, "better_than_popularity": better, "worse": worse}
    keep(f"tastes foretold, {own_share:.0%} of purchases are own", **told, upper95=round(upper95(better, SETS), 4))
    assert upper95(better, SETS) <= 0.05 if own_share == 0 else better >= 0.95 * SETS


@pytest.mark.parametrize("shares", [False, True])
def test_the_best_of_nothing_are_not_special(shares: bool) -> None:
    """Attributes, and shares of purchases counted from few or many orders, that have nothing to do with value."""
    special = better = 0
    for trial in range(SETS):
        rng, n = np.random.default_rng([103, trial, shares]), 600
        orders = np.maximum(1, (12 * rng.lognormal(0, 1, n)).astype(int))
        ids = [f"c{number:04d}" for number in range(n)]
        features = pd.DataFrame({"customer_id": ids, "monetary": orders * rng.lognormal(0, 0.5, n)})
        if shares:
            habits = rng.dirichlet([6, 3, 1, 0.5, 0.3], n)
            parts = np.array([rng.multinomial(2 * n, p) for n, p in zip(orders, habits, strict=True)])
            features[[f"category_{i}_share" for i in range(4)]] = parts[:, :4] / parts.sum(axis=1, keepdims=True)
        values = {"age": rng.choice(list("abcd"), n), "town": rng.choice([f"t{i}" for i in range(12)], n)}
        stated = rng.random(n) < np.where(features["monetary"].rank(pct=True) > 0.7, 0.9, 0.5)
        best, told = value.top_customers(features, 0.15)
        attributes = pd.DataFrame({"customer_id": ids} | values)[stated]
        found = ideal.ideal(features, attributes, best, told=told, permutations=39, seed=trial)
        special, better = special + bool(found.table["sure"].any()), better + found.look_alike.better_than_chance
    told = {"anything_special": special, "score_better_than_chance": better}
    bounds = {f"{name}_upper95": round(upper95(events, SETS), 4) for name, events in told.items()}
    keep(f"ideal customer of nothing, {'with' if shares else 'without'} shares", sets=SETS, **told, **bounds)
    assert max(special, better) <= 0.085 * SETS  # 5 % and what 200 sets may add by chance

"""How often keys are kept when they should be, and when they should not; 200 fits each."""

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95

from segmentkit.analysis import clustering, identity
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.stability import best_jaccard

pytestmark = pytest.mark.heavy
SETS = 200
RFM = ["recency_days", "frequency", "monetary"]


def customers(rng: np.random.Generator, n: int, kind: str) -> pd.DataFrame:
    """One long cloud, or four groups, as recency, frequency and monetary; two more columns related to nothing."""
    if kind == "cloud":
        values = rng.multivariate_normal(np.zeros(3), 0.4 * np.eye(3) + 0.6, n)
    else:
        centres = np.array([[0, 3, 3], [0, 3, 0], [3, 0, 0], [0, 0, 0]])
        values = centres[rng.integers(0, 4, n)] + 0.7 * rng.standard_normal((n, 3))
    table = pd.DataFrame(np.exp(0.8 * values), columns=RFM)
    table["alpha"], table["beta"] = np.exp(rng.standard_normal((2, n)))
    table.insert(0, "customer_id", [f"c{number:05d}" for number in range(n)])
    return table


def fit(table: pd.DataFrame, names: list[str], k: int, seed: int) -> Segmentation:
    return clustering.segment(table, clustering.scale(table, names), k, starts=5, seed=seed)


@pytest.mark.parametrize("kind", ["cloud", "groups"])
def test_a_refit_on_a_bootstrap_sample_keeps_every_key_it_should(kind: str) -> None:
    due = kept = wrong = 0
    for trial in range(SETS):
        rng = np.random.default_rng([1, trial])
        table, k = customers(rng, 1000, kind), int(rng.integers(2, 8))
        known = fit(table, RFM, k, trial)
        again = table.sample(len(table), replace=True, random_state=trial)
        again = again.assign(customer_id=[f"b{i}" for i in range(len(again))])
        earlier = known.assign(table)
        carried = identity.carry(known, fit(again, RFM, k, trial + 1), table, earlier)
        old, new = known.labels(earlier), carried.model.labels(carried.model.assign(table))
        jaccard = best_jaccard(old, new, k)
        for index, key in enumerate(known.keys):
            if jaccard[index] >= 0.75:
                due += 1
                kept += key in carried.model.keys
                if key in carried.model.keys:
                    same = new[old == index] == carried.model.keys.index(key)
                    wrong += bool(same.mean() < 0.5)
    keep(f"identity, bootstrap refits, {kind}", sets=SETS, segments_at_jaccard_75=due, kept=kept, kept_wrongly=wrong)
    assert due > SETS
    assert kept == due
    assert wrong == 0


@pytest.mark.parametrize("n", [200, 2000])
def test_unrelated_solutions_keep_a_key_by_chance_at_most_one_time_in_twenty(n: int) -> None:
    false = {"other features": 0, "labels by lot": 0}
    for trial in range(SETS):
        rng = np.random.default_rng([2, n, trial])
        table, k = customers(rng, n, "cloud"), int(rng.integers(2, 7))
        known, other = fit(table, RFM, k, trial), fit(table, ["alpha", "beta"], k, trial)
        carried = identity.carry(known, other, table, known.assign(table))
        false["other features"] += bool(set(carried.model.keys) & set(known.keys))
        lot = pd.Series(rng.choice(list(known.keys), n, p=rng.dirichlet(np.full(k, 3.0))), index=table["customer_id"])
        now = known.assign(table).set_index("customer_id")["segment_key"]
        false["labels by lot"] += bool(identity.translate(now, lot))
    for kind, count in false.items():
        bound = upper95(count, SETS)
        keep(f"identity, unrelated, {kind}, n {n}", sets=SETS, falsely_kept=count, upper95=round(bound, 4))
        assert bound <= 0.05

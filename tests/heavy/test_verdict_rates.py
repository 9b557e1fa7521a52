"""How often each verdict falls on data whose truth is known: from scaling and the choice of k to the word.

``python -m pytest -m heavy tests/heavy/test_verdict_rates.py`` takes about an hour on two cores. Seeds are others than
those that borders were set on. A null is worked out only where the clauses before it leave it something to decide,
with 39 copies where a run takes 99, in stages: two copies as good as the data are enough to know that p is above .05.
Pairs of the nulls are 12 where a run takes 20. The evidence for k has the 50 pairs and 20 starts of a run where there
are groups, and 12 and 10 where there are none, which makes it noisier, not kinder.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from record import keep, upper95
from scipy.stats import beta

from segmentkit.analysis import choosing, clustering, nulls, stability, verdict
from segmentkit.analysis.nulls import NullTest

pytestmark = pytest.mark.heavy

SETS, BASE = 200, 20261122
AS_IN_A_RUN = {"starts": 20, "pairs": 50}
QUICK = {"starts": 10, "pairs": 12}
NULLS = {"starts": 5, "pairs": 12}
STAGES = (4, 12, 39)
WORDS = ("natural", "reproducible", "constructive")


def scaled(values: np.ndarray) -> clustering.Scaled:
    names = [f"column_{i}" for i in range(values.shape[1])]
    table = pd.DataFrame(values, columns=names).assign(customer_id=[f"{i:06}" for i in range(len(values))])
    return clustering.scale(table, names)


def as_they_are(values: np.ndarray) -> clustering.Scaled:
    plain = clustering.Scaling((), (), (), ())
    return clustering.Scaled(pd.Series([f"{i:06}" for i in range(len(values))]), values.astype(float), plain)


def unstructured(kind: str, n: int, d: int, rng: np.random.Generator) -> clustering.Scaled:
    if kind == "uniform":
        return scaled(rng.random((n, d)))
    if kind == "spherical Gaussian":
        return scaled(rng.normal(size=(n, d)))
    if kind == "independent log-normal":
        values = rng.lognormal(0, rng.uniform(0.5, 1.1, d), (n, d))
        values[:, 1] = np.ceil(values[:, 1] * 3)  # a number of orders
        return scaled(values)
    return as_they_are(rng.random((n, d)) < rng.uniform(0.15, 0.85, d))


def one_cloud(kind: str, n: int, d: int, rng: np.random.Generator) -> clustering.Scaled:
    loading = rng.uniform(0.3, 0.9, d) * rng.choice([-1, 1], d)
    z = rng.normal(size=(n, 1)) * loading + rng.normal(size=(n, d)) * np.sqrt(1 - loading**2)
    if kind == "correlated Gaussian":
        return scaled(z)
    if kind == "correlated log-normal, raw":
        raw = np.exp(z)
        return as_they_are((raw - raw.mean(axis=0)) / raw.std(axis=0))
    if kind == "correlated log-normal, logged":
        return scaled(np.exp(z))
    return as_they_are(z > rng.uniform(-1, 1, d))


def blobs(kind: str, n: int, d: int, rng: np.random.Generator) -> clustering.Scaled:
    """Three groups, neighbours six standard deviations apart."""
    if kind == "in a row, four noise axes":
        values = rng.normal(size=(n, d))
        values[:, 0] += 6 * rng.integers(0, 3, n)
        return scaled(values)
    shares = [1 / 3] * 3 if kind == "of one size" else [0.6, 0.3, 0.1]
    turned, _ = np.linalg.qr(rng.normal(size=(d, d)))
    centres = 6 / np.sqrt(2) * np.eye(3, d) @ turned
    return scaled(centres[rng.choice(3, n, p=shares)] + rng.normal(size=(n, d)))


def judged(data: clustering.Scaled, seed: int, evidence_effort: dict[str, int]) -> tuple[str, int]:
    """The verdict and the number of segments it is about."""
    values = data.values
    most = min(8, len(np.unique(values, axis=0)))
    evidence = choosing.score_k_range(data, 2, most, seed=seed, max_rows=20_000, **evidence_effort)
    floors = {"stability_floor": 0.75, "size_floor_share": 0.05, "size_floor": 50 if len(values) >= 1_000 else 20}
    choice = choosing.choose_k(evidence, **floors)
    labels = clustering.fit(values, choice.k, starts=evidence_effort["starts"], seed=seed).labels_
    measured = stability.measure(values, labels, choice.k, seed=seed, **evidence_effort)
    silhouette = float(evidence.set_index("k").loc[choice.k, "silhouette"])
    hopeless = NullTest(measured.mean, (1.0,), 1.0, 0.0, (1.0,))
    unrelated = undivided = hopeless
    if measured.mean >= 0.90 and min(measured.per_segment) >= 0.85:
        undivided = staged(nulls.one_population_null, values, choice.k, seed)
        word = verdict.judge(measured, (unrelated, undivided), silhouette).word
        if word == "natural":
            return word, choice.k
    if measured.mean >= 0.70:
        ks = list(evidence["k"]) if choice.decided_by == "most stable" else [choice.k]
        unrelated = staged(nulls.independence_null, values, ks, seed)
    return verdict.judge(measured, (unrelated, undivided), silhouette).word, choice.k


def staged(null: Any, values: np.ndarray, k: Any, seed: int) -> NullTest:
    """The null with as many copies as it takes to decide; the first copies are the same in every stage."""
    for copies in STAGES:
        found = null(values, k, copies=copies, seed=seed, **NULLS)
        if sum(copy >= found.stability for copy in found.copies) > 1:
            break
    return found


def rates(make: Any, kind: str, n: int, d: int) -> dict[str, int]:
    """How often each word fell over all sets; written down."""
    code = sum(map(ord, kind)) * 100 + d  # every cell its own stream

    def one(trial: int) -> tuple[str, int]:
        choosing.SILHOUETTE_ROWS = 1_000  # shown for every k, and decides nowhere here
        data = make(kind, n, d, np.random.default_rng([BASE, code, n, trial]))
        return judged(data, trial, AS_IN_A_RUN if make is blobs else QUICK)

    found = Parallel(n_jobs=2)(delayed(one)(trial) for trial in range(SETS))
    words = {word: sum(w == word for w, _ in found) for word in WORDS}
    ks = pd.Series([k for _, k in found]).value_counts().sort_index()
    keep(
        f"verdict, {kind}, {n:,} customers, {d} features", sets=SETS, **words,
        natural_upper95=round(upper95(words["natural"], SETS), 4), k={str(k): int(c) for k, c in ks.items()},
        constructive_lower95=round(1 - upper95(SETS - words["constructive"], SETS), 4),
        natural_lower95=round(float(beta.ppf(0.05, words["natural"], SETS - words["natural"] + 1)), 4)
        if words["natural"] else 0.0,
    )  # fmt: skip
    return words


@pytest.mark.parametrize("d", [3, 10])
@pytest.mark.parametrize("n", [400, 2_000])
@pytest.mark.parametrize("kind", ["uniform", "spherical Gaussian", "independent log-normal", "independent binaries"])
def test_where_there_is_no_structure_the_cut_is_called_constructive(kind: str, n: int, d: int) -> None:
    words = rates(unstructured, kind, n, d)
    assert words["constructive"] >= 0.90 * SETS
    assert words["natural"] <= 0.02 * SETS


@pytest.mark.parametrize("n", [400, 2_000])
@pytest.mark.parametrize(
    "kind",
    ["correlated Gaussian", "correlated log-normal, raw", "correlated log-normal, logged", "thresholded binaries"],
)
def test_one_correlated_population_is_not_called_natural(kind: str, n: int) -> None:
    assert rates(one_cloud, kind, n, 5)["natural"] <= 0.05 * SETS


@pytest.mark.parametrize("n", [400, 2_000])
@pytest.mark.parametrize("kind", ["of one size", "of unequal sizes", "in a row, four noise axes"])
def test_three_groups_six_deviations_apart_are_called_natural(kind: str, n: int) -> None:
    assert rates(blobs, kind, n, 5)["natural"] >= 0.95 * SETS

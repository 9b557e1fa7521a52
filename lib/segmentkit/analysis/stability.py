"""Stability: would other customers from the same market have given the same segments?

Pairs of bootstrap samples are each clustered and extended to all customers; the adjusted Rand index of a pair
says how far the two agree (Dolnicar and Leisch 2010, as in R's flexclust). Per segment, the mean over all fits
of the best Jaccard match says whether that segment is found again (Hennig 2007).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from segmentkit.errors import DataError

SOUND, DOUBTFUL = 0.75, 0.60


@dataclass(frozen=True)
class Stability:
    """Bootstrap stability of one solution.

    Attributes:
        k: segments.
        pairs: adjusted Rand index of each pair of bootstrap samples.
        per_segment: mean best Jaccard of each segment, in the order of the labels.
        rows: customers it was measured on.
    """

    k: int
    pairs: tuple[float, ...]
    per_segment: tuple[float, ...]
    rows: int

    @property
    def mean(self) -> float:
        """Mean adjusted Rand index over the pairs."""
        return float(np.mean(self.pairs))


def sample_rows(rows: int, max_rows: int, seed: int) -> np.ndarray:
    """Sorted row numbers: all of them, or a seeded sample of ``max_rows``."""
    if rows <= max_rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))


def measure(
    values: np.ndarray, labels: np.ndarray, k: int, *, starts: int, pairs: int, seed: int, workers: int = 1
) -> Stability:
    """Stability of a solution, globally and per segment.

    Args:
        values: customers by features, scaled.
        labels: the solution, 0 to k-1.
        k: segments.
        starts: k-means starts of every fit.
        pairs: pairs of bootstrap samples; pair i draws the same customers for every k.
        seed: the same seed gives the same answer, whatever the number of workers.
        workers: processes.
    """
    tasks = (delayed(_one_pair)(values, labels, k, starts, seed, pair) for pair in range(pairs))
    found = Parallel(n_jobs=workers)(tasks) if workers > 1 else [task[0](*task[1]) for task in tasks]
    rand = tuple(pair_rand for pair_rand, _ in found)
    jaccard = np.mean([row for _, rows in found for row in rows], axis=0)
    return Stability(k, rand, tuple(float(j) for j in jaccard), len(values))


def _one_pair(
    values: np.ndarray, labels: np.ndarray, k: int, starts: int, seed: int, pair: int
) -> tuple[float, list[np.ndarray]]:
    with threadpool_limits(limits=1):
        rng = np.random.default_rng([seed, pair])
        found = [_refit(values, rng.integers(0, len(values), len(values)), k, starts, seed) for _ in range(2)]
    return float(adjusted_rand_score(*found)), [best_jaccard(labels, again, k) for again in found]


def _refit(values: np.ndarray, rows: np.ndarray, k: int, starts: int, seed: int) -> np.ndarray:
    model = KMeans(n_clusters=k, n_init=starts, random_state=seed).fit(values[rows])
    again: np.ndarray = model.predict(values)
    return again


def best_jaccard(labels: np.ndarray, again: np.ndarray, k: int) -> np.ndarray:
    """Best Jaccard match of each segment of ``labels`` among the segments of ``again``; shape (k,)."""
    both = np.zeros((k, int(again.max()) + 1))
    np.add.at(both, (labels, again), 1)
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    best: np.ndarray = (both / np.maximum(union, 1)).max(axis=1)
    return best


@dataclass(frozen=True)
class NullTest:
    """The same pipeline on copies of the data in which the columns are unrelated.

    Attributes:
        stability: mean adjusted Rand of the data, from the same pairs and starts as the copies.
        copies: mean adjusted Rand of each copy.
        p: (1 + copies at least as stable) / (1 + copies).
    """

    stability: float
    copies: tuple[float, ...]
    p: float

    @property
    def band(self) -> tuple[float, float]:
        """Where 95 % of the copies lie."""
        low, high = np.quantile(self.copies, [0.025, 0.975])
        return float(low), float(high)


def independence_null(
    values: np.ndarray, k: int, *, copies: int, starts: int, pairs: int, seed: int, workers: int = 1
) -> NullTest:
    """Compare the stability with that of copies whose columns are permuted one by one.

    Beating it means that the columns are related, no more: one elongated cloud beats it too.
    """
    tasks = (delayed(_one_copy)(values, k, starts, pairs, seed, copy) for copy in range(copies + 1))
    found = Parallel(n_jobs=workers)(tasks) if workers > 1 else [task[0](*task[1]) for task in tasks]
    data, null = found[0], found[1:]
    p = (1 + sum(one >= data for one in null)) / (1 + copies)
    return NullTest(data, tuple(null), p)


def _one_copy(values: np.ndarray, k: int, starts: int, pairs: int, seed: int, copy: int) -> float:
    if copy:
        rng = np.random.default_rng([seed, 10_000 + copy])
        values = np.column_stack([rng.permutation(column) for column in values.T])
    unused = np.zeros(len(values), dtype=int)
    return float(np.mean([_one_pair(values, unused, k, starts, seed, pair)[0] for pair in range(pairs)]))


@dataclass(frozen=True)
class Verdict:
    """Plain words for how far the segments can be trusted, and the clause that decided.

    Attributes:
        word: ``repeatable cut`` or ``managerial cut``.
        marketer: the same for page one.
        reason: the clause, with its figures.
    """

    word: str
    marketer: str
    reason: str


def judge(measured: Stability, null: NullTest, *, stability_floor: float = 0.70, level: float = 0.05) -> Verdict:
    """A repeatable cut is stable and beats the independence null; anything else is a managerial cut.

    Neither says that the groups exist in the market: that needs a comparison with one undivided population.
    """
    if not measured.pairs:
        raise DataError("no bootstrap pairs; set bootstrap_pairs to 1 or more")
    stable, related = measured.mean >= stability_floor, null.p <= level
    figures = (
        f"agreement over {len(measured.pairs)} pairs of bootstrap samples {measured.mean:.2f} (floor "
        f"{stability_floor:g}); "
        f"p {null.p:.3g} against {len(null.copies)} copies with unrelated columns"
    )
    if stable and related:
        word, told = ("repeatable cut", "other customers from the same market would give nearly the same groups")
        return Verdict(word, f"{measured.k} groups, safe to plan on", f"{told}: {figures}.")
    why = "new customers could shift the borders" if not stable else "unrelated columns give cuts as stable"
    return Verdict("managerial cut", f"{measured.k} groups, a convenient cut; others are as good", f"{why}: {figures}.")


def segment_word(jaccard: float) -> str:
    """What a segment's stability means for the people who use it."""
    if jaccard >= SOUND:
        return "holds"
    return "pattern, membership doubtful" if jaccard >= DOUBTFUL else "do not trust"


def sentence(measured: Stability, customers: int) -> str:
    """Global stability in words."""
    return (
        f"{len(measured.pairs)} pairs of bootstrap samples agree to {measured.mean:.2f} on average (adjusted "
        "Rand; from "
        f"{min(measured.pairs):.2f} to {max(measured.pairs):.2f}), on {measured.rows:,} of {customers:,} customers."
    )


def null_table(null: NullTest) -> pd.DataFrame:
    """Stability of the data (copy 0) and of every copy."""
    return pd.DataFrame({"copy": range(len(null.copies) + 1), "stability": [null.stability, *null.copies]})

"""Stability: would other customers from the same market have given the same segments?

Pairs of bootstrap samples are each clustered and extended to all customers; the adjusted Rand index of a pair
says how far the two agree (Dolnicar and Leisch 2010, as in R's flexclust). Per segment, the mean over all fits
of the best Jaccard match says whether that segment is found again (Hennig 2007).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from segmentkit.analysis import methods, resampling, rules
from segmentkit.errors import DataError

SOUND, DOUBTFUL = 0.75, 0.60
SLOW_ROWS, SLOW_STARTS, SLOW_COPIES = 2_000, 2, 19


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
        """Mean adjusted Rand index over the pairs; 1 for rules, which give the same segments by definition."""
        return float(np.mean(self.pairs)) if self.pairs else 1.0


def most_rows(method: str, max_rows: int) -> int:
    """Customers at most that stability is measured on: other methods than k-means cost hundreds of times as much."""
    return max_rows if method == "kmeans" else min(max_rows, SLOW_ROWS)


def affordable(method: str, starts: int, pairs: int) -> tuple[int, int]:
    """Starts and pairs of a method: what is asked for, or a part of it for methods slower than k-means."""
    if method == "kmeans":
        return starts, pairs
    share = 10 if method == "latent_classes" else 4
    return min(starts, SLOW_STARTS), max(2, pairs // share)


def solid(values: np.ndarray) -> np.ndarray:
    """Values with each gap filled by its column's median; only answers as latent classes take them have gaps."""
    filled: np.ndarray = np.where(np.isnan(values), np.nanmedian(values, axis=0), values)
    return filled


def sample_rows(rows: int, max_rows: int, seed: int) -> np.ndarray:
    """Sorted row numbers: all of them, or a seeded sample of ``max_rows``."""
    if rows <= max_rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))


def measure(
    values: np.ndarray,
    labels: np.ndarray,
    k: int,
    *,
    starts: int,
    pairs: int,
    seed: int,
    workers: int = 1,
    method: str = "kmeans",
) -> Stability:
    """Stability of a solution, globally and per segment.

    Args:
        values: customers by features, scaled.
        labels: the solution, 0 to k-1.
        k: segments.
        starts: starts of every fit.
        pairs: pairs of bootstrap samples; pair i draws the same customers for every k.
        seed: the same seed gives the same answer, whatever the number of workers.
        workers: processes.
        method: way to segment, as in ``methods.fit``.
    """
    if method in rules.KINDS:
        return Stability(k, (), (1.0,) * k, len(values))
    starts, pairs = affordable(method, starts, pairs)
    tasks = (delayed(one_pair)(values, labels, k, starts, seed, pair, method) for pair in range(pairs))
    found = run(tasks, workers)
    rand = tuple(pair_rand for pair_rand, _ in found)
    jaccard = np.mean([row for _, rows in found for row in rows], axis=0)
    return Stability(k, rand, tuple(float(j) for j in jaccard), len(values))


def run(tasks: Iterable[Any], workers: int) -> list[Any]:
    """Delayed calls, in order, in so many processes."""
    return list(Parallel(n_jobs=workers)(tasks)) if workers > 1 else [task[0](*task[1]) for task in tasks]


def one_pair(
    values: np.ndarray, labels: np.ndarray, k: int, starts: int, seed: int, pair: int, method: str
) -> tuple[float, list[np.ndarray]]:
    """Agreement of one pair of bootstrap samples, and the best Jaccard of each segment in both; shape (k,) each."""
    rng = np.random.default_rng([seed, pair])
    samples = [rng.integers(0, len(values), len(values)) for _ in range(2)]
    found = [refit(values, rows, k, starts, [seed, pair, i], method) for i, rows in enumerate(samples)]
    if found[0] is None or found[1] is None:  # no groups found in a sample: it agrees with nothing
        return 0.0, [np.zeros(k) if again is None else best_jaccard(labels, again, k) for again in found]
    return agreement(found[0], found[1]), [best_jaccard(labels, again, k) for again in found if again is not None]


def refit(
    values: np.ndarray, rows: np.ndarray, k: int, starts: int, seed: Sequence[int], method: str = "kmeans"
) -> np.ndarray | None:
    """Labels of all customers from a fit to a sample with repeats; its starts owe nothing to any other fit.

    None where the method finds no groups in the sample.
    """
    if method == "kmeans":
        centres = resampling.fit(values, rows, k, starts, np.random.default_rng([*seed, 1]))
        return resampling.assign(values, centres)
    own_seed = int(np.random.default_rng([*seed, 1]).integers(2**31))
    try:
        with threadpool_limits(limits=1):
            return methods.fit(values[rows], k, method=method, starts=starts, seed=own_seed).labels(values)[0]
    except DataError:
        return None


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Adjusted Rand index of two labellings (Hubert and Arabie 1985): 1 is the same, 0 is chance."""
    both = crossed(one, other)
    inside, n = (both * (both - 1)).sum() / 2, len(one) * (len(one) - 1) / 2
    rows, columns = ((m * (m - 1)).sum() / 2 for m in (both.sum(axis=1), both.sum(axis=0)))
    expected, most = rows * columns / n, (rows + columns) / 2
    return 1.0 if most == expected else float((inside - expected) / (most - expected))


def crossed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many customers carry each pair of labels; shape (labels of one, labels of other)."""
    wide = int(other.max()) + 1
    counts = np.bincount(one.astype("int64") * wide + other, minlength=(int(one.max()) + 1) * wide)
    return counts.reshape(-1, wide).astype(float)


def best_jaccard(labels: np.ndarray, again: np.ndarray, k: int) -> np.ndarray:
    """Best Jaccard match of each segment of ``labels`` among the segments of ``again``; shape (k,)."""
    both = np.zeros((k, int(again.max()) + 1))
    counted = crossed(labels, again)
    both[: len(counted)] = counted
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    best: np.ndarray = (both / np.maximum(union, 1)).max(axis=1)
    return best


def segment_word(jaccard: float) -> str:
    """What a segment's stability means for the people who use it."""
    if jaccard >= SOUND:
        return "holds"
    return "pattern, membership doubtful" if jaccard >= DOUBTFUL else "do not trust"


def sentence(measured: Stability, customers: int) -> str:
    """Global stability in words."""
    if not measured.pairs:
        return "Set by rule: the same customer always gets the same segment, so nothing has to be found again."
    return (
        f"{len(measured.pairs)} pairs of bootstrap samples agree to {measured.mean:.2f} on average (adjusted "
        "Rand; from "
        f"{min(measured.pairs):.2f} to {max(measured.pairs):.2f}), on {measured.rows:,} of {customers:,} customers."
    )

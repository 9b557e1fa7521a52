"""Nulls: how stable would the cut be in data where nothing is to be found?

Two kinds of nothing. Copies with *unrelated columns* keep each column and lose what ties them together: who is not
more stable than they are owes the cut to the shape of single columns. Copies of *one population* keep the columns'
level, spread, skewness and correlations and lose every gap: a long cloud of customers, from light to heavy, is cut
repeatably too, and these copies say how repeatably.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from segmentkit.analysis import one_population, rules, separation, stability


@dataclass(frozen=True)
class NullTest:
    """The same pipeline on copies of the data in which nothing is to be found.

    Attributes:
        stability: mean adjusted Rand of the data, from the same pairs and starts as the copies.
        copies: mean adjusted Rand of each copy.
        p: (1 + copies at least as stable) / (1 + copies).
        depth: shallowest valley between neighbouring segments of the data; None where it was not asked for.
        depths: of each copy.
    """

    stability: float
    copies: tuple[float, ...]
    p: float
    depth: float | None = None
    depths: tuple[float, ...] = ()

    @property
    def band(self) -> tuple[float, float]:
        """Where 95 % of the copies lie."""
        low, high = np.quantile(self.copies, [0.025, 0.975])
        return float(low), float(high)

    @property
    def depth_p(self) -> float:
        """(1 + copies with valleys at least as deep) / (1 + copies)."""
        return (1 + sum(one >= (self.depth or 0.0) for one in self.depths)) / (1 + len(self.depths))


def both(
    values: np.ndarray,
    ks: Sequence[int],
    k: int,
    *,
    copies: int,
    starts: int,
    pairs: int,
    seed: int,
    workers: int = 1,
    method: str = "kmeans",
    blocks: Sequence[Sequence[int]] = (),
) -> tuple[NullTest, NullTest] | None:
    """Both nulls with the effort that the method can afford; None for rules, which are not found in the data."""
    if method in rules.KINDS:
        return None
    starts, pairs = stability.affordable(method, starts, pairs)
    copies = copies if method == "kmeans" else min(copies, stability.SLOW_COPIES)
    effort: dict[str, Any] = {
        "copies": copies,
        "starts": starts,
        "pairs": pairs,
        "seed": seed,
        "workers": workers,
        "method": method,
    }
    return independence_null(values, ks, blocks=blocks, **effort), one_population_null(values, k, **effort)


def band(
    values: np.ndarray, ks: Sequence[int], *, copies: int, max_rows: int, seed: int, workers: int = 1
) -> pd.DataFrame:
    """How stable k-means is on copies with unrelated columns, for every k: a quick look, before the test at one k.

    Returns:
        ``k, null_low, null_high``: the least and most stable of the copies; missing without copies.
    """
    if not copies:
        return pd.DataFrame({"k": list(ks), "null_low": np.nan, "null_high": np.nan})
    used = values[stability.sample_rows(len(values), max_rows, seed)]
    tasks = (delayed(_related)(used, [k], 5, 8, seed, copy + 1, "kmeans", ()) for k in ks for copy in range(copies))
    found = np.array([stable for stable, _ in stability.run(tasks, workers)]).reshape(-1, copies)
    return pd.DataFrame({"k": list(ks), "null_low": found.min(axis=1), "null_high": found.max(axis=1)})


def independence_null(
    values: np.ndarray,
    ks: Sequence[int],
    *,
    copies: int,
    starts: int,
    pairs: int,
    seed: int,
    workers: int = 1,
    method: str = "kmeans",
    blocks: Sequence[Sequence[int]] = (),
) -> NullTest:
    """Compare the stability with that of copies whose columns are permuted one by one.

    Beating it means that the columns are related, no more: one elongated cloud beats it too. ``blocks`` are columns
    that belong to one question and are permuted together. ``ks`` is the number of segments; where it was taken because
    it was the most stable of several, it is all of those, and every copy takes its own most stable one too.
    """
    tasks = (delayed(_related)(values, ks, starts, pairs, seed, copy, method, blocks) for copy in range(copies + 1))
    return _null(stability.run(tasks, workers))


def one_population_null(
    values: np.ndarray,
    k: int,
    *,
    copies: int,
    starts: int,
    pairs: int,
    seed: int,
    workers: int = 1,
    method: str = "kmeans",
) -> NullTest:
    """Compare stability and valleys with those of copies of one undivided population with the data's correlations.

    Beating it means more than one elongated cloud: the data hold together in places and leave gaps between them.
    """
    population = one_population.describe(values)
    tasks = (
        delayed(_undivided)(values, population, k, starts, pairs, seed, copy, method) for copy in range(copies + 1)
    )
    return _null(stability.run(tasks, workers))


def _null(found: list[tuple[float, float | None]]) -> NullTest:
    (data, depth), *null = found
    p = (1 + sum(one >= data for one, _ in null)) / (1 + len(null))
    depths = tuple(d for _, d in null if d is not None)
    return NullTest(data, tuple(one for one, _ in null), p, depth, depths)


def _related(
    values: np.ndarray,
    ks: Sequence[int],
    starts: int,
    pairs: int,
    seed: int,
    copy: int,
    method: str,
    blocks: Sequence[Sequence[int]],
) -> tuple[float, None]:
    if copy:
        values = one_population.permuted(values, blocks, np.random.default_rng([seed, 10_000 + copy]))
    return max(_mean_agreement(values, k, starts, pairs, seed, method) for k in ks), None


def _undivided(
    values: np.ndarray,
    population: one_population.OnePopulation,
    k: int,
    starts: int,
    pairs: int,
    seed: int,
    copy: int,
    method: str,
) -> tuple[float, float]:
    if copy:
        values = population.copy(len(values), np.random.default_rng([seed, 20_000 + copy]))
    labels = stability.refit(values, np.arange(len(values)), k, starts, [seed, 30_000], method)
    deep = 0.0 if labels is None else separation.shallowest(values, labels, int(labels.max()) + 1)
    return _mean_agreement(values, k, starts, pairs, seed, method), deep


def _mean_agreement(values: np.ndarray, k: int, starts: int, pairs: int, seed: int, method: str) -> float:
    unused = np.zeros(len(values), dtype=int)
    return float(
        np.mean([stability.one_pair(values, unused, k, starts, seed, pair, method)[0] for pair in range(pairs)])
    )


def null_table(**nulls: NullTest) -> pd.DataFrame:
    """Stability and valleys of the data (copy 0) and of every copy; one block of rows a kind of null."""
    parts = []
    for name, null in nulls.items():
        table = pd.DataFrame({"null": name, "copy": range(len(null.copies) + 1)})
        table["stability"] = [null.stability, *null.copies]
        table["valley"] = [null.depth, *null.depths] if null.depths else None
        parts.append(table.astype({"valley": "float64"}))
    return pd.concat(parts, ignore_index=True)

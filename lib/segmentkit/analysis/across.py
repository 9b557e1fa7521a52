"""Across: does one half of the customers predict the groups of the other half, and did the start decide what was found?

Two looks that need no second data set: prediction strength (Tibshirani and Walther 2005), and new fits by other seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from joblib import delayed
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from segmentkit.analysis import methods
from segmentkit.analysis.methods import by_value, nearest
from segmentkit.analysis.stability import agreement, best_jaccard, crossed, run
from segmentkit.errors import DataError, ParameterError

# Tibshirani and Walther's own experience: .8 to .9
STRONG = 0.8
# a within-sum-of-squares lower by less than this share is the same solution, stopped a step earlier
SAME = 0.001
# agreement under which two cuts are told as different
ALIKE = 0.9
DECIMALS = {"prediction_strength": 2, "lowest": 2, "highest": 2}


class Fitted(Protocol):
    """A way to segment, fitted."""

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels 0..k-1 and distances, shape (n,) each."""


Refit = Callable[[np.ndarray, int], Fitted]


def _fit(values: np.ndarray, k: int, starts: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels (n,), centres (k, columns) and within-sum-of-squares of k-means, whatever the order of the rows."""
    order = by_value(values)
    with threadpool_limits(limits=1):
        model = KMeans(n_clusters=k, n_init=starts, random_state=seed).fit(values[order])
    return model.labels_[np.argsort(order)], model.cluster_centers_, float(model.inertia_)


def refitted(method: str, k: int, starts: int) -> Refit | None:
    """How a method other than k-means is fitted again; None for k-means, which has a way of its own here."""
    if method == "kmeans":
        return None
    return lambda values, seed: methods.fit(values, k, method=method, starts=starts, seed=seed)


def prediction_strength(
    values: np.ndarray, ks: Sequence[int], *, repeats: int, starts: int, seed: int, workers: int = 1,
    refit: Refit | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Does one half of the customers predict the groups of the other half (Tibshirani and Walther 2005)?

    Both halves are clustered. For each cluster of one half, the share of its pairs of customers that the other half's
    centres put together as well; the lowest share over the clusters counts. Each half is judged by the other.

    Args:
        values: (n, columns), scaled.
        ks: numbers of segments.
        repeats: splits into halves; split i is the same for every k.
        starts: k-means starts of every fit.
        seed: the same seed gives the same answer, whatever the order of the rows.
        workers: processes.
        refit: fits another method than k-means, its number of segments being the one of ``ks``.

    Returns:
        ``k, prediction_strength`` (mean over halves and repeats), ``lowest, highest``.

    Raises:
        DataError: too few customers for two halves.
    """
    if len(values) < 4 * max(ks):
        raise DataError(f"{len(values)} customers for halves of {max(ks)} segments; lower k_max or bring more data")
    ordered = values[by_value(values)]
    tasks = [delayed(_both_ways)(ordered, k, starts, [seed, i], refit) for k in ks for i in range(repeats)]
    strength = np.asarray(run(tasks, workers), dtype=float).reshape(len(ks), -1)
    return pd.DataFrame({"k": list(ks), "prediction_strength": strength.mean(axis=1), "lowest": strength.min(axis=1),
                         "highest": strength.max(axis=1)})  # fmt: skip


def _both_ways(values: np.ndarray, k: int, starts: int, seed: list[int], refit: Refit | None) -> tuple[float, float]:
    halves = np.array_split(values[np.random.default_rng(seed).permutation(len(values))], 2)
    label = [_labeller(half, k, starts, seed[0], refit) for half in halves]
    strength = [
        kept_together(mine(half), other(half)) for half, mine, other in zip(halves, label, label[::-1], strict=True)
    ]
    return strength[0], strength[1]


def _labeller(
    values: np.ndarray, k: int, starts: int, seed: int, refit: Refit | None
) -> Callable[[np.ndarray], np.ndarray]:
    if refit is not None:
        model = refit(values, seed)
        return lambda new: model.labels(new)[0]
    centres = _fit(values, k, starts, seed)[1]
    return lambda new: nearest(new, centres)[0]


def kept_together(own: np.ndarray, predicted: np.ndarray) -> float:
    """Lowest share, over the clusters of ``own``, of a cluster's pairs that ``predicted`` leaves together.

    Pairs are counted in the contingency table, sum m (m-1) / (n (n-1)); a cluster of one customer has none.
    """
    both = crossed(own, predicted)
    size = both.sum(axis=1)
    together = (both * (both - 1)).sum(axis=1)[size > 1] / (size * (size - 1))[size > 1]
    return float(together.min()) if len(together) else 1.0


def strength_sentence(table: pd.DataFrame, k: int) -> str:
    """Prediction strength at the chosen k, and what its authors' rule would take."""
    strong = table.loc[table["prediction_strength"] >= STRONG, "k"]
    favoured = f"{strong.max()} segments" if len(strong) else "one undivided group"
    own = table.set_index("k")["prediction_strength"]
    told = f"{own[k]:.3f} for {k} segments" if k in own.index else f"not measured for {k} segments"
    return (
        f"Prediction strength {told}: in the worst segment, the share of pairs of customers that the other half of the "
        f"customers would also put together. Tibshirani and Walther take the largest number at {STRONG:g} to .9 or "
        f"more; at {STRONG:g}, of {table['k'].min()} to {table['k'].max()} tried, that is {favoured}."
    )


@dataclass(frozen=True)
class Seeds:
    """The same customers fitted again from other starting values.

    Attributes:
        starts: starts of each new fit.
        agreement: adjusted Rand index of each new fit with the reported segments.
        per_segment: mean best Jaccard of each segment, in the order of the labels.
        reported: within-sum-of-squares of the reported segments.
        found: within-sum-of-squares of each new fit; empty for methods that do not minimise it.
    """

    starts: int
    agreement: tuple[float, ...]
    per_segment: tuple[float, ...]
    reported: float
    found: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Share by which the best new fit lowers the within-sum-of-squares; 0 or less where none does."""
        return 1 - min(self.found) / self.reported if self.found and self.reported > 0 else 0.0

    @property
    def missed(self) -> int:
        """New fits that end above the best known within-sum-of-squares."""
        best = min((self.reported, *self.found))
        return sum(one > best * (1 + SAME) for one in self.found)

    @property
    def rivals(self) -> tuple[float, ...]:
        """Agreement of new fits that are as good as the reported one and yet are another cut."""
        known = zip(self.agreement, self.found, strict=False)  # other methods have no such sum
        return tuple(rand for rand, one in known if abs(one - self.reported) <= SAME * self.reported and rand < ALIKE)

    @property
    def warning(self) -> str:
        """Empty, or that a better solution exists."""
        if self.gain <= SAME:
            return ""
        return (
            f"The reported segments are not the best solution: {len(self.found)} new fits with {self.starts} starts "
            f"found a within-sum-of-squares of {min(self.found):,.5g} against {self.reported:,.5g}, {self.gain:.1%} "
            "lower. Raise `starts` and fit again before judging any segment."
        )

    @property
    def sentence(self) -> str:
        """How far the start decided, in words."""
        told = (
            f"{len(self.agreement)} new fits of the same customers agree with the reported segments by "
            f"{np.mean(self.agreement):.2f} on average (adjusted Rand; lowest {min(self.agreement):.2f})."
        )
        if not self.found:
            return told
        if self.missed:
            told = f"{told} {self.missed} of them, with {self.starts} starts each, missed the best solution known."
        if 10 * len(self.rivals) >= len(self.agreement) and not self.warning:  # one of twenty would say nothing
            told = (
                f"{told} As good as the reported one (within-sum-of-squares within {SAME:.1%}) and yet another cut: "
                f"{len(self.rivals)} (adjusted Rand {np.mean(self.rivals):.2f}); several cuts fit these customers "
                "equally well."
            )
        if not self.missed and not self.rivals:
            told = f"{told} All found the same solution: {self.starts} starts are enough here."
        return f"{told} {self.warning}".rstrip()


def across_seeds(
    values: np.ndarray, labels: np.ndarray, k: int, *, fits: int, starts: int, seed: int, refit: Refit | None = None
) -> Seeds:
    """Fit the same customers again with few starts, and compare with the reported segments.

    Args:
        values: (n, columns), scaled.
        labels: the reported segments, 0 to k-1.
        k: segments.
        fits: new fits, each with a seed of its own.
        starts: k-means starts of each; few, so that what depends on them shows.
        seed: of the seeds.
        refit: fits another method than k-means.

    Raises:
        ParameterError: no fits.
    """
    if fits < 1:
        raise ParameterError(f"fits == {fits}; give 1 or more")
    seeds = [int(one) for one in np.random.default_rng([seed, 41]).integers(0, 2**31 - 1, fits)]
    found: list[float] = []
    if refit is not None:
        again = [refit(values, one).labels(values)[0] for one in seeds]
    else:
        fitted = [_fit(values, k, starts, one) for one in seeds]
        again, found = [one[0] for one in fitted], [one[2] for one in fitted]
    jaccard = np.mean([best_jaccard(labels, one, k) for one in again], axis=0)
    return Seeds(
        starts,
        tuple(agreement(labels, one) for one in again),
        tuple(float(one) for one in jaccard),
        _within(values, labels),
        tuple(found),
    )


def _within(values: np.ndarray, labels: np.ndarray) -> float:
    """Sum of squared distances to the own segment's mean."""
    frame = pd.DataFrame(values)
    return float(((frame - frame.groupby(labels).transform("mean")) ** 2).to_numpy().sum())

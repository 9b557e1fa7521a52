"""HDBSCAN as a way to segment: dense groups, and everybody else in a segment that says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.spatial import cKDTree
from sklearn.cluster import HDBSCAN

from segmentkit.analysis.methods import kmeans, means, to_centre
from segmentkit.errors import DataError, ParameterError

NEIGHBOURS = 25  # customers within reach that make a place dense
MOST_EXEMPLARS = 30  # a segment
FEWEST_MEMBERS = 3  # an exemplar stands for: no single customer is stored


@dataclass(frozen=True, eq=False)
class Dense:
    """HDBSCAN's dense groups (Campello, Moulavi and Sander 2013); whoever is in none is a last segment, the rest.

    A group is kept as exemplars, each the mean of some neighbouring members. A customer belongs to the group of the
    nearest exemplar where it lies within the group's radius.

    Attributes:
        centres: mean of each segment, the rest last.
        exemplars: shape (exemplars, columns).
        group: dense group of each exemplar.
        radii: of each dense group; the cut that best tells its members from all others.
        rest: whether the last segment is whoever is in no dense group; where nobody is, there is none.
        coverage: share of customers in a dense group.
        smallest_share: smallest group asked for, as a share of customers.
        used: customers the groups were found in.
        rows: customers there were.
        moved: of those used, customers whom the radii put elsewhere than HDBSCAN does.
    """

    name: ClassVar[str] = "hdbscan"
    centres: np.ndarray
    exemplars: np.ndarray
    group: np.ndarray
    radii: np.ndarray
    rest: bool
    coverage: float
    smallest_share: float
    used: int
    rows: int
    moved: int

    @property
    def settings(self) -> dict[str, Any]:
        """What a fit on other customers is to be asked for again."""
        return {"smallest_share": self.smallest_share}

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dense group, or the rest; and the distance to its centre."""
        labels = _within(values, self.exemplars, self.group, self.radii if self.rest else None)
        return labels, to_centre(values, self.centres, labels)

    def reordered(self, order: Sequence[int]) -> Self:
        """The same segments, numbered anew; the rest stays last."""
        o = np.asarray(order)
        groups = o[: len(self.radii)]
        if groups.max() >= len(self.radii):
            raise ParameterError(f"order == {list(order)}; the rest is no group and must stay last")
        return replace(self, centres=self.centres[o], group=np.argsort(groups)[self.group], radii=self.radii[groups])

    def describe(self) -> str:
        """In one sentence."""
        rest = "their own last segment, the rest" if self.rest else "nobody, so there is no rest"
        return (
            f"HDBSCAN: {len(self.radii)} dense groups of {self.smallest_share:.1%} of customers or more, found in "
            f"{self.used:,} of {self.rows:,}; a customer belongs to the group within whose radius they lie, which puts "
            f"{self.moved / self.used:.1%} elsewhere than HDBSCAN's own labels; the groups cover {self.coverage:.1%}, "
            f"and whoever is in none is {rest}."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        arrays = {name: getattr(self, name).tolist() for name in _DENSE_ARRAYS}
        return arrays | {name: getattr(self, name) for name in _DENSE_PLAIN}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data."""
        centres, exemplars, radii = (np.asarray(content[n], dtype=float) for n in ("centres", "exemplars", "radii"))
        return cls(centres, exemplars, np.asarray(content["group"]), radii, *(content[name] for name in _DENSE_PLAIN))


_DENSE_ARRAYS = ("centres", "exemplars", "group", "radii")
_DENSE_PLAIN = ("rest", "coverage", "smallest_share", "used", "rows", "moved")


def fit(values: np.ndarray, used: np.ndarray, *, seed: int, smallest_share: float) -> Dense:
    """Find the dense groups.

    Args:
        values: all customers by columns, for the coverage and the means.
        used: those the groups are looked for in.
        seed: of the exemplars.
        smallest_share: smallest group, as a share of customers: the size floor.

    Raises:
        DataError: fewer than two dense groups.
    """
    smallest = max(2, round(smallest_share * len(used)))
    model = HDBSCAN(min_cluster_size=smallest, min_samples=min(NEIGHBOURS, smallest), copy=True)
    truth = model.fit_predict(used)
    groups = int(truth.max()) + 1
    if groups < 2:
        raise DataError(
            f"HDBSCAN finds no two dense groups of {smallest:,} of {len(used):,} customers or more; lower the size "
            "floor, or take another method"
        )
    parts = [_exemplars(used[truth == one], seed) for one in range(groups)]
    exemplars, group = np.concatenate(parts), np.repeat(np.arange(groups), [len(part) for part in parts])
    radii = _radii(used, truth, exemplars, group)
    labels = _within(values, exemplars, group, radii)
    moved = int((np.where(truth < 0, groups, truth) != _within(used, exemplars, group, radii)).sum())
    rest = bool((labels == groups).any())
    covered = float((labels < groups).mean())
    centres = means(values, labels)
    return Dense(centres, exemplars, group, radii, rest, covered, smallest_share, len(used), len(values), moved)


def _exemplars(members: np.ndarray, seed: int) -> np.ndarray:
    many = min(MOST_EXEMPLARS, len(members) // FEWEST_MEMBERS, len(np.unique(members, axis=0)))
    model = kmeans(members, max(1, many), 1, seed)
    enough = np.bincount(model.labels_) >= min(FEWEST_MEMBERS, len(members))
    centres: np.ndarray = model.cluster_centers_[enough]
    return centres


def _radii(used: np.ndarray, truth: np.ndarray, exemplars: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Radius of each group with the most members, less strangers, inside; halfway to the first customer outside."""
    distance, index = cKDTree(exemplars).query(used)
    radii = []
    for one in range(group.max() + 1):
        near = group[index] == one
        order = np.argsort(distance[near], kind="stable")
        far, member = distance[near][order], truth[near][order] == one
        last = int(np.cumsum(np.where(member, 1, -1)).argmax())
        radii.append(far[last : last + 2].mean())
    return np.array(radii)


def _within(values: np.ndarray, exemplars: np.ndarray, group: np.ndarray, radii: np.ndarray | None) -> np.ndarray:
    distance, index = cKDTree(exemplars).query(values)
    labels: np.ndarray = group[index]
    return labels if radii is None else np.where(distance > radii[labels], len(radii), labels)

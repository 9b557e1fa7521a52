"""Ways to segment, one interface: k-means, Gaussian mixture and Ward here, others in modules of their own.

Each is plain data that gives every customer, known or new, one segment. What a fit says about its own customers is
what it will say about them later: whoever a rule of assignment moves is counted, not hidden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn import cluster
from sklearn.mixture import GaussianMixture

from segmentkit.errors import DataError, ParameterError

MOST_ROWS = {"mixture": 20_000, "ward": 5_000, "hdbscan": 20_000}  # a larger table is fitted on a seeded sample
SMALLEST_VARIANCE = 1e-3  # added to each component's variances: .03 standard deviations, so that none collapses


class Method(Protocol):
    """What every way to segment offers; ``values`` are encoded, customers by columns."""

    name: ClassVar[str]

    @property
    def centres(self) -> np.ndarray:
        """Mean of each segment in the encoded values, shape (k, columns)."""

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segment of each customer, 0 to k-1, and Euclidean distance to its centre."""

    def reordered(self, order: Sequence[int]) -> Self:
        """The same segments, numbered anew: ``order[i]`` becomes i."""

    def describe(self) -> str:
        """What it is and how customers are assigned, in one sentence."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""


@dataclass(frozen=True, eq=False)
class KMeans:
    """Every customer belongs to the nearest centre."""

    name: ClassVar[str] = "kmeans"
    centres: np.ndarray

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest centre, and the distance to it."""
        return nearest(values, self.centres)

    def reordered(self, order: Sequence[int]) -> Self:
        """The same segments, numbered anew."""
        return replace(self, centres=self.centres[list(order)])

    def describe(self) -> str:
        """In one sentence."""
        return (
            f"K-means: {len(self.centres)} segments, each around its average customer; a customer belongs to the "
            "nearest average."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"centroids": self.centres.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data."""
        return cls(np.asarray(content["centroids"], dtype=float))


@dataclass(frozen=True, eq=False)
class Ward(KMeans):
    """Ward's tree (Ward 1963), cut at k; then everybody goes to the nearest centre of the cut.

    Attributes:
        used: customers in the tree.
        rows: customers there were.
        moved: customers of the tree whose nearest centre is not that of their own branch.
    """

    name: ClassVar[str] = "ward"
    used: int
    rows: int
    moved: int

    def describe(self) -> str:
        """In one sentence."""
        return (
            f"Ward: {self.used:,} of {self.rows:,} customers merged step by step into {len(self.centres)} segments; a "
            f"customer belongs to the nearest segment average, which moved {self.moved:,} of the {self.used:,} "
            f"({self.moved / self.used:.1%}) out of their branch."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return super().to_dict() | {"used": self.used, "rows": self.rows, "moved": self.moved}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data."""
        return cls(
            np.asarray(content["centroids"], dtype=float), *(content[name] for name in ("used", "rows", "moved"))
        )


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussian mixture with full covariances; every customer belongs to the most probable component.

    Attributes:
        weights: share of each component.
        centres: means of the components.
        covariances: shape (k, columns, columns).
        used: customers it was fitted on.
        rows: customers there were.
    """

    name: ClassVar[str] = "mixture"
    weights: np.ndarray
    centres: np.ndarray
    covariances: np.ndarray
    used: int
    rows: int

    def memberships(self, values: np.ndarray) -> np.ndarray:
        """Probability that a customer comes from each component; shape (customers, k), rows add up to one."""
        parts = [
            np.log(weight) + np.reshape(multivariate_normal(centre, covariance).logpdf(values), -1)
            for weight, centre, covariance in zip(self.weights, self.centres, self.covariances, strict=True)
        ]
        shares: np.ndarray = softmax(np.column_stack(parts), axis=1)
        return shares

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Most probable component, and the distance to its mean."""
        labels = self.memberships(values).argmax(axis=1)
        return labels, to_centre(values, self.centres, labels)

    def reordered(self, order: Sequence[int]) -> Self:
        """The same segments, numbered anew."""
        o = list(order)
        return replace(self, weights=self.weights[o], centres=self.centres[o], covariances=self.covariances[o])

    def describe(self) -> str:
        """In one sentence."""
        return (
            f"Gaussian mixture: {len(self.centres)} bell-shaped groups that may overlap, fitted on {self.used:,} of "
            f"{self.rows:,} customers; a customer belongs to the group they most probably come from."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        arrays = {"weights": self.weights, "centres": self.centres, "covariances": self.covariances}
        return {name: array.tolist() for name, array in arrays.items()} | {"used": self.used, "rows": self.rows}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data."""
        arrays = {name: np.asarray(content[name], dtype=float) for name in ("weights", "centres", "covariances")}
        return cls(**arrays, used=content["used"], rows=content["rows"])


def nearest(values: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of and Euclidean distance to the nearest centre."""
    squared = ((values[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    labels = squared.argmin(axis=1)
    return labels, np.sqrt(squared[np.arange(len(values)), labels])


def to_centre(values: np.ndarray, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Euclidean distance of each customer to the centre of its own segment."""
    distance: np.ndarray = np.linalg.norm(values - centres[labels], axis=1)
    return distance


def by_value(values: np.ndarray) -> np.ndarray:
    """Row numbers in the order of the values: ids and the order of rows must not decide where a fit begins."""
    order: np.ndarray = np.lexsort(values.T[::-1])
    return order


def fit(values: np.ndarray, k: int, *, method: str, starts: int, seed: int, smallest_share: float = 0.05) -> Method:
    """Fit k segments.

    Args:
        values: customers by columns, encoded.
        k: segments; HDBSCAN finds its own number.
        method: ``kmeans, mixture, ward, hdbscan`` or ``latent_classes``.
        starts: of k-means, the mixture and latent classes; the best counts.
        seed: the same seed gives the same segments, whatever the order of rows.
        smallest_share: of customers in a dense group; HDBSCAN only.

    Raises:
        ParameterError: no such method.
        DataError: fewer distinct customers than segments, or no two dense groups.
    """
    values = values[by_value(values)]
    distinct = 1 + int((np.diff(values, axis=0) != 0).any(axis=1).sum())
    if distinct < k and method != "hdbscan":
        raise DataError(f"only {distinct} distinct customers for k == {k}; take fewer segments or add features")
    used = values[_sample(len(values), MOST_ROWS.get(method, len(values)), seed)]
    found: Method
    if method == "kmeans":
        found = KMeans(kmeans(values, k, starts, seed).cluster_centers_)
    elif method == "mixture":
        found = _mixture(used, k, starts, seed, len(values))
    elif method == "ward":
        found = _ward(used, k, len(values))
    elif method == "hdbscan":
        from segmentkit.analysis import dense  # which builds on this module

        found = dense.fit(values, used, seed=seed, smallest_share=smallest_share)
    elif method == "latent_classes":
        from segmentkit.analysis import latent_classes  # an optional extra

        found = latent_classes.fit(values, k, starts=starts, seed=seed)
    else:
        raise ParameterError(f"method == {method!r}; it must be one of {', '.join(NAMES)}")
    return found


NAMES = ("kmeans", "mixture", "ward", "hdbscan", "latent_classes")


def from_dict(content: Mapping[str, Any]) -> Method:
    """A method back from plain data, by its name under ``method``."""
    if content["method"] == "latent_classes":
        from segmentkit.analysis.latent_classes import LatentClasses

        return LatentClasses.from_dict(content)
    if content["method"] == "hdbscan":
        from segmentkit.analysis.dense import Dense

        return Dense.from_dict(content)
    known: dict[str, Any] = {one.name: one for one in (KMeans, Mixture, Ward)}
    found: Method = known[content["method"]].from_dict(content)
    return found


def kmeans(values: np.ndarray, k: int, starts: int, seed: int) -> cluster.KMeans:
    """scikit-learn's k-means, best of several starts."""
    return cluster.KMeans(n_clusters=k, n_init=starts, random_state=seed).fit(values)


def _sample(rows: int, most: int, seed: int) -> np.ndarray:
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([seed, 91]).choice(rows, most, replace=False))


def _mixture(used: np.ndarray, k: int, starts: int, seed: int, rows: int) -> Mixture:
    # k-means cuts long groups, and starts from it are all alike: it is one start, the others are from customers by lot
    effort = {"reg_covar": SMALLEST_VARIANCE, "max_iter": 300, "random_state": seed}
    tried = [
        GaussianMixture(k, init_params=begin, n_init=many, **effort).fit(used)
        for begin, many in (("kmeans", 1), ("random_from_data", starts))
    ]
    model = max(tried, key=lambda one: one.lower_bound_)
    return Mixture(model.weights_, model.means_, model.covariances_, len(used), rows)


def _ward(used: np.ndarray, k: int, rows: int) -> Ward:
    branch = cluster.AgglomerativeClustering(k, linkage="ward").fit_predict(used)
    centres = means(used, branch)
    return Ward(centres, len(used), rows, int((nearest(used, centres)[0] != branch).sum()))


def means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of each segment, in the order of the labels."""
    return np.array([values[labels == label].mean(axis=0) for label in range(labels.max() + 1)])

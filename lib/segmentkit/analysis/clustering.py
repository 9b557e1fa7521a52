"""Clustering: transform, scale, try every k, choose one by a rule that can be defended, and assign customers.

Clusters come from the scaled features, never from the map.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import yeojohnson
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import PowerTransformer

from segmentkit.analysis import stability
from segmentkit.errors import DataError, ParameterError

FEWEST_CUSTOMERS = 100
PEAK = 0.02
SILHOUETTE_ROWS = 10_000
DECIMALS = {"wss": 0, "silhouette": 3, "stability": 3, "worst_segment_stability": 3, "smallest_share": 3}


@dataclass(frozen=True)
class Scaling:
    """Yeo-Johnson transform, then z-scores: what turns features into the numbers that are clustered."""

    features: tuple[str, ...]
    lambdas: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    def apply(self, table: pd.DataFrame) -> np.ndarray:
        """Scaled values, customers by features.

        Raises:
            DataError: a feature is missing from the table or has missing values.
        """
        _check_columns(table, self.features)
        columns = [
            (yeojohnson(table[name].to_numpy(dtype=float), lmbda) - mean) / scale
            for name, lmbda, mean, scale in zip(self.features, self.lambdas, self.means, self.scales, strict=True)
        ]
        return np.column_stack(columns)


@dataclass(frozen=True)
class Scaled:
    """Customers ready to be clustered: ``values`` is customers by features, in the order of ``customer_id``."""

    customer_id: pd.Series
    values: np.ndarray
    scaling: Scaling


def scale(features: pd.DataFrame, names: Sequence[str]) -> Scaled:
    """Transform and scale the chosen features; customers are sorted, so the order of rows does not matter.

    Raises:
        ParameterError: a name is not a numeric feature.
        DataError: too few customers, missing values, or a feature that is the same for all.
    """
    if len(features) < FEWEST_CUSTOMERS:
        raise DataError(f"{len(features)} customers; segmentation needs at least {FEWEST_CUSTOMERS}; bring more data")
    numeric = list(features.select_dtypes("number").columns)
    unknown = [name for name in names if name not in numeric]
    if unknown or not names or len(set(names)) < len(names):
        raise ParameterError(f"features == {list(names)}; each must be one of {', '.join(numeric)}, and named once")
    table = features.sort_values("customer_id", ignore_index=True)
    _check_columns(table, names)
    constant = [name for name in names if table[name].nunique() == 1]
    if constant:
        raise DataError(f"{', '.join(constant)} is the same for every customer; leave it out of `features`")
    transformer = PowerTransformer(method="yeo-johnson", standardize=True)
    values = transformer.fit_transform(table[list(names)].to_numpy(dtype=float))
    inner = transformer._scaler
    scaling = Scaling(tuple(names), *(tuple(map(float, v)) for v in (transformer.lambdas_, inner.mean_, inner.scale_)))
    return Scaled(table["customer_id"], values, scaling)


def _check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise DataError(f"feature {name!r} is not in the table; build the features the model was fitted on")
        missing = int(table[name].isna().sum())
        if missing:
            raise DataError(f"feature {name!r} is missing for {missing:,} of {len(table):,} customers; leave it out")


def fit(values: np.ndarray, k: int, *, starts: int, seed: int) -> KMeans:
    """K-means with enough starts: too few make a stable segment look unstable."""
    order = np.lexsort(values.T[::-1])  # by value: ids must not decide where k-means begins
    model = KMeans(n_clusters=k, n_init=starts, random_state=seed).fit(values[order])
    model.labels_ = model.labels_[np.argsort(order)]
    return model


def score_k_range(
    scaled: Scaled, k_min: int, k_max: int, *, starts: int, pairs: int, max_rows: int, seed: int, workers: int = 1
) -> pd.DataFrame:
    """Evidence for every k.

    Args:
        scaled: customers by features.
        k_min: fewest segments tried.
        k_max: most segments tried.
        starts: k-means starts of every fit.
        pairs: pairs of bootstrap samples for the stability.
        max_rows: customers at most that the stability is measured on.
        seed: the same seed gives the same table.
        workers: processes.

    Returns:
        One row a k: ``k, wss, silhouette, stability`` (mean adjusted Rand over pairs), ``worst_segment_stability``
        (lowest mean best Jaccard of a segment), ``smallest_customers, smallest_share, rows_used``.

    Raises:
        DataError: fewer distinct customers than ``k_max``.
    """
    distinct = len(np.unique(scaled.values, axis=0))
    if distinct < k_max:
        raise DataError(f"only {distinct} distinct customers for k_max == {k_max}; lower k_max or add features")
    rows = []
    sample = stability.sample_rows(len(scaled.values), max_rows, seed)
    for k in range(k_min, k_max + 1):
        model = fit(scaled.values, k, starts=starts, seed=seed)
        sizes = np.bincount(model.labels_, minlength=k)
        measured = stability.measure(
            scaled.values[sample], model.labels_[sample], k, starts=starts, pairs=pairs, seed=seed, workers=workers
        )
        rows.append(
            {
                "k": k,
                "wss": float(model.inertia_),
                "silhouette": _silhouette(scaled.values, model.labels_, seed),
                "stability": measured.mean,
                "worst_segment_stability": min(measured.per_segment),
                "smallest_customers": int(sizes.min()),
                "smallest_share": float(sizes.min() / len(scaled.values)),
                "rows_used": len(sample),
            }
        )
    return pd.DataFrame(rows)


def _silhouette(values: np.ndarray, labels: np.ndarray, seed: int) -> float:
    size = SILHOUETTE_ROWS if len(values) > SILHOUETTE_ROWS else None
    return float(silhouette_score(values, labels, sample_size=size, random_state=seed))


@dataclass(frozen=True)
class Choice:
    """The number of segments, who chose it, and why.

    Attributes:
        k: the number used.
        decided_by: ``rule``, ``most stable`` (no k met the floors) or ``analyst``.
        rule_k: what the rule says; None where no k meets the floors.
        silhouette_k: the silhouette's own favourite, for comparison.
        sentence: the choice in words, with its figures.
    """

    k: int
    decided_by: str
    rule_k: int | None
    silhouette_k: int
    sentence: str


def choose_k(
    evidence: pd.DataFrame,
    *,
    own_k: Sequence[int] = (),
    stability_floor: float,
    size_floor_share: float,
    size_floor: int,
) -> Choice:
    """Choose the largest k such that it and every smaller k tried keep all segments above both floors.

    Where stability peaks on the way, at a k clearly steadier than both its neighbours, the last such peak is taken:
    cutting true groups further can stay above the floors for long, but the true number stands out.

    Args:
        evidence: from ``score_k_range``.
        own_k: the analyst's own number, as a list of none or one.
        stability_floor: lowest mean best Jaccard a segment may have.
        size_floor_share: smallest share of customers a segment may have.
        size_floor: smallest number of customers a segment may have.

    Raises:
        ParameterError: the analyst's own k was not among those tried.
    """
    meets = (
        (evidence["worst_segment_stability"] >= stability_floor)
        & (evidence["smallest_share"] >= size_floor_share)
        & (evidence["smallest_customers"] >= size_floor)
    )
    unbroken = evidence["k"][meets.cummin()]
    peaks = _peaks(evidence, unbroken)
    rule_k = max(peaks) if peaks else int(unbroken.max()) if len(unbroken) else None
    silhouette_k = int(evidence.loc[evidence["silhouette"].idxmax(), "k"])
    sizes = f"{size_floor_share:.0%} of customers or more, and at least {size_floor:,} customers"
    floors = f"every segment at Jaccard {stability_floor:g} or more, {sizes}"
    tail = f" The silhouette alone would take {silhouette_k}."
    if own_k:
        return _own_choice(evidence, list(own_k), rule_k, silhouette_k, tail)
    if rule_k is not None:
        row = evidence.set_index("k").loc[rule_k]
        told = f"{rule_k} segments: the most that, like every smaller number tried, keep {floors}"
        if peaks:
            beside = evidence.set_index("k")["stability"]
            told = (
                f"{rule_k} segments: stability peaks there ({beside[rule_k]:.2f}, against {beside[rule_k - 1]:.2f} and "
                f"{beside[rule_k + 1]:.2f} beside it), and it keeps {floors}"
            )
        sentence = f"{told} (its weakest segment: {row['worst_segment_stability']:.2f}).{tail}"
        return Choice(rule_k, "rule", rule_k, silhouette_k, sentence)
    best = evidence.loc[evidence["stability"].idxmax()]
    told = f"No number of segments keeps {floors}; {int(best['k'])} is the most stable of those tried"
    return Choice(int(best["k"]), "most stable", None, silhouette_k, f"{told} ({best['stability']:.2f}).{tail}")


def _peaks(evidence: pd.DataFrame, allowed: pd.Series) -> list[int]:
    """Numbers of segments whose stability stands clearly above that of one fewer and one more."""
    stability = evidence.set_index("k")["stability"]
    return [
        int(k)
        for k in allowed
        if k - 1 in stability.index
        and k + 1 in stability.index
        and stability[k] >= max(stability[k - 1], stability[k + 1]) + PEAK
    ]


def _own_choice(evidence: pd.DataFrame, own: list[int], rule_k: int | None, silhouette_k: int, tail: str) -> Choice:
    tried = list(evidence["k"])
    if len(own) != 1 or own[0] not in tried:
        raise ParameterError(f"own_k == {own}; it must be one number from {tried[0]} to {tried[-1]}, or empty")
    rule = f"the rule says {rule_k}" if rule_k else "the rule finds none that meets the floors"
    return Choice(own[0], "analyst", rule_k, silhouette_k, f"{own[0]} segments, set by the analyst; {rule}.{tail}")


def key_letter(index: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    return key_letter(index // 26 - 1) + chr(65 + index % 26) if index >= 26 else chr(65 + index)


@dataclass(frozen=True)
class Segmentation:
    """A fitted segmentation: a scaling, one centroid a segment, keys given by value, highest first."""

    scaling: Scaling
    keys: tuple[str, ...]
    centroids: np.ndarray

    def assign(self, features: pd.DataFrame) -> pd.DataFrame:
        """Give every customer the segment with the nearest centroid.

        Returns:
            ``customer_id, segment_key, distance`` (to the own centroid, in scaled units), sorted by customer.
        """
        table = features.sort_values("customer_id", ignore_index=True)
        labels, distance = nearest(self.scaling.apply(table), self.centroids)
        keys = np.asarray(self.keys, dtype=object)[labels]
        return pd.DataFrame({"customer_id": table["customer_id"], "segment_key": keys, "distance": distance})

    def labels(self, segments: pd.DataFrame) -> np.ndarray:
        """Segment keys as whole numbers, 0 for the first key."""
        numbers: np.ndarray = segments["segment_key"].map({key: i for i, key in enumerate(self.keys)}).to_numpy()
        return numbers

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for ``model.json``."""
        s = self.scaling
        return {
            "method": "kmeans",
            "features": list(s.features),
            "transform": "yeo-johnson, z-scores",
            "lambdas": list(s.lambdas),
            "means": list(s.means),
            "scales": list(s.scales),
            "keys": list(self.keys),
            "centroids": self.centroids.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Segmentation":
        """Back from plain data."""
        scaling = Scaling(*(tuple(content[name]) for name in ("features", "lambdas", "means", "scales")))
        return cls(scaling, tuple(content["keys"]), np.asarray(content["centroids"], dtype=float))


def nearest(values: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of and Euclidean distance to the nearest centroid."""
    squared = ((values[:, None, :] - centroids[None, :, :]) ** 2).sum(axis=2)
    labels = squared.argmin(axis=1)
    return labels, np.sqrt(squared[np.arange(len(values)), labels])


def segment(features: pd.DataFrame, scaled: Scaled, k: int, *, starts: int, seed: int) -> Segmentation:
    """Fit k segments and give them keys: A has the highest mean sales a customer, then B, and so on."""
    model = fit(scaled.values, k, starts=starts, seed=seed)
    table = features.sort_values("customer_id", ignore_index=True)
    value = table["monetary"].groupby(model.labels_).mean()
    order = value.sort_values(ascending=False, kind="stable").index.to_numpy()
    keys = tuple(key_letter(i) for i in range(k))
    return Segmentation(scaled.scaling, keys, model.cluster_centers_[order])


def smallest_allowed(customers: int, size_floor_share: float, size_floor: int) -> int:
    """The larger of the two size floors, in customers."""
    return max(size_floor, math.ceil(size_floor_share * customers))


def skew_sentence(features: pd.DataFrame, scaled: Scaled) -> str:
    """Skewness of each clustered feature before and after the transform."""
    after = pd.DataFrame(scaled.values, columns=list(scaled.scaling.features)).skew()
    parts = [f"{name} {features[name].skew():.1f} to {after[name]:.1f}" for name in scaled.scaling.features]
    return f"Skewness before and after the transform: {', '.join(parts)}."

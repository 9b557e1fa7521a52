"""Clustering: transform, scale, fit, give keys, and assign customers.

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
from sklearn.preprocessing import PowerTransformer

from segmentkit.errors import DataError, ParameterError

FEWEST_CUSTOMERS = 100


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


def key_letter(index: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    return key_letter(index // 26 - 1) + chr(65 + index % 26) if index >= 26 else chr(65 + index)


@dataclass(frozen=True)
class Segmentation:
    """A fitted segmentation: a scaling, one centroid a segment, a key each.

    Keys are given by value at the first fit, highest first, and kept for life; ``retired`` ones are never given again.
    """

    scaling: Scaling
    keys: tuple[str, ...]
    centroids: np.ndarray
    retired: tuple[str, ...] = ()

    def assign(self, features: pd.DataFrame) -> pd.DataFrame:
        """Give every customer the segment with the nearest centroid.

        Returns:
            ``customer_id, segment_key, distance`` (to the own centroid, in scaled units), sorted by customer.
        """
        table = features.sort_values("customer_id", ignore_index=True)
        labels, distance = nearest(self.scaling.apply(table), self.centroids)
        keys = np.asarray(self.keys, dtype=object)[labels]
        return pd.DataFrame({"customer_id": table["customer_id"], "segment_key": keys, "distance": distance})

    def applied(self, names: Sequence[str]) -> "Segmentation":
        """Itself, to be applied as it is.

        Raises:
            ParameterError: ``names`` are not the features it was fitted on.
        """
        if self.scaling.features != tuple(names):
            raise ParameterError(
                f"features == {list(names)}; the earlier run was fitted on {list(self.scaling.features)}; take those, "
                "or fit anew with --refit"
            )
        return self

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
            "retired_keys": list(self.retired),
            "centroids": self.centroids.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Segmentation":
        """Back from plain data."""
        scaling = Scaling(*(tuple(content[name]) for name in ("features", "lambdas", "means", "scales")))
        retired = tuple(content.get("retired_keys", ()))
        return cls(scaling, tuple(content["keys"]), np.asarray(content["centroids"], dtype=float), retired)


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

"""Clustering: transform, scale, fit, give keys, and assign customers.

Clusters come from the scaled features, never from the map.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.stats import skew, yeojohnson
from sklearn.cluster import KMeans
from sklearn.preprocessing import PowerTransformer, StandardScaler

from segmentkit.analysis import methods, rules, separation
from segmentkit.analysis.methods import Method
from segmentkit.analysis.rules import Rules
from segmentkit.errors import DataError, ParameterError

FEWEST_CUSTOMERS = 100
SKEWED = 1.0  # of either sign: highly skewed (Bulmer 1979)
nearest = methods.nearest


class Encoder(Protocol):
    """What turns a table of customers into the numbers that are clustered."""

    @property
    def features(self) -> tuple[str, ...]:
        """Columns of the table that it needs."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers, one a column of ``apply``."""

    def apply(self, table: pd.DataFrame) -> np.ndarray:
        """Customers by columns."""

    def again(self, table: pd.DataFrame) -> "Scaled":
        """The same treatment, fitted to other customers."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""


@dataclass(frozen=True)
class Scaling:
    """Yeo-Johnson transform of skewed features, then z-scores: what turns features into the numbers that are clustered.

    A feature that is not skewed has a lambda of 1, which leaves it as it is. One that falls into groups by itself has a
    smaller unit, the spread inside those groups.
    """

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

    @property
    def columns(self) -> tuple[str, ...]:
        """Each feature is one number."""
        return self.features

    def again(self, table: pd.DataFrame) -> "Scaled":
        """The same features of other customers, transformed and scaled among themselves."""
        return scale(table, self.features, skewed=[lmbda != 1 for lmbda in self.lambdas])

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        told = {"features": list(self.features), "transform": "yeo-johnson, z-scores"}
        return told | {name: list(getattr(self, name)) for name in ("lambdas", "means", "scales")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Scaling":
        """Back from plain data."""
        return cls(*(tuple(content[name]) for name in ("features", "lambdas", "means", "scales")))


@dataclass(frozen=True)
class Scaled:
    """Customers ready to be clustered: ``values`` is customers by features, in the order of ``customer_id``."""

    customer_id: pd.Series
    values: np.ndarray
    scaling: Encoder


def scale(
    features: pd.DataFrame,
    names: Sequence[str],
    *,
    skewed: Sequence[bool] | np.ndarray | None = None,
    units: np.ndarray | None = None,
) -> Scaled:
    """Transform and scale the chosen features; customers are sorted, so the order of rows does not matter.

    Only skewed features are transformed: a transform towards one bell also pulls a small group that stands apart back
    to the others.

    Args:
        features: one row a customer.
        names: what is to be clustered.
        skewed: which of them to transform; those whose skewness is 1 or more where it is not given.
        units: of the features, in standard deviations; as ``hump_units`` finds them where not given.

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
    plain = table[list(names)].to_numpy(dtype=float)
    chosen = skewness(table, names) >= SKEWED if skewed is None else np.asarray(skewed)
    lambdas = np.where(chosen, PowerTransformer(standardize=False).fit(plain).lambdas_, 1.0)
    bent = np.column_stack([yeojohnson(column, lmbda) for column, lmbda in zip(plain.T, lambdas, strict=True)])
    inner = StandardScaler().fit(bent)
    values = inner.transform(bent)
    units = hump_units(values) if units is None else units
    parts = (lambdas, inner.mean_, inner.scale_ * units)
    scaling = Scaling(tuple(names), *(tuple(map(float, part)) for part in parts))
    return Scaled(table["customer_id"], values / units, scaling)


def skewness(features: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Size of the skewness of each feature, of either sign; shape (features,)."""
    return np.abs(skew(features[list(names)].to_numpy(dtype=float)))


def hump_units(values: np.ndarray) -> np.ndarray:
    """Unit of each column: the spread inside its groups where it has some, next to one that has none; largest is 1."""
    humps = np.array([separation.within_humps(column) for column in values.T])
    return humps / humps.max()


def _check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise DataError(f"feature {name!r} is not in the table; build the features the model was fitted on")
        missing = int(table[name].isna().sum())
        if missing:
            raise DataError(f"feature {name!r} is missing for {missing:,} of {len(table):,} customers; leave it out")


def fit(values: np.ndarray, k: int, *, starts: int, seed: int) -> KMeans:
    """K-means with enough starts: too few make a stable segment look unstable."""
    order = methods.by_value(values)
    model = methods.kmeans(values[order], k, starts, seed)
    model.labels_ = model.labels_[np.argsort(order)]
    return model


def key_letter(index: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    return key_letter(index // 26 - 1) + chr(65 + index % 26) if index >= 26 else chr(65 + index)


@dataclass(frozen=True)
class Segmentation:
    """A fitted segmentation: a scaling, a method, a key for each of its segments.

    Keys are given by value at the first fit, highest first, and kept for life; ``retired`` ones are never given again.
    """

    scaling: Encoder
    keys: tuple[str, ...]
    method: Method
    retired: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The parameter ``method`` that it was fitted by."""
        return self.method.kind if isinstance(self.method, Rules) else self.method.name

    @property
    def centroids(self) -> np.ndarray:
        """Mean of each segment in the scaled values, in the order of the keys."""
        return self.method.centres

    @property
    def rest(self) -> str | None:
        """Key of the segment of whoever is in no dense group or fits no rule; None where there is none."""
        return self.keys[-1] if getattr(self.method, "rest", False) else None

    @property
    def stated_names(self) -> list[str]:
        """Names that do not come from markers, each a key and a name: those of rules, and of the rest."""
        if isinstance(self.method, Rules):
            return [f"{key} {name}" for key, name in zip(self.keys, self.method.order, strict=True)]
        return [f"{self.rest} In no dense group"] if self.rest else []

    def assign(self, features: pd.DataFrame) -> pd.DataFrame:
        """Give every customer a segment, as its method does.

        Returns:
            ``customer_id, segment_key, distance`` (to the centre of the own segment, in scaled units), sorted by
            customer.
        """
        table = features.sort_values("customer_id", ignore_index=True)
        labels, distance = _labels(self.method, table, self.scaling.apply(table))
        keys = np.asarray(self.keys, dtype=object)[labels]
        return pd.DataFrame({"customer_id": table["customer_id"], "segment_key": keys, "distance": distance})

    def complete(self, table: pd.DataFrame) -> pd.DataFrame:
        """The customers of a table whom it can be applied to: every feature is known, or any answer is."""
        known = table.reindex(columns=list(self.scaling.features)).notna()
        return table[known.all(axis=1) if isinstance(self.scaling, Scaling) else known.any(axis=1)]

    def applied(self, names: Sequence[str], method: str = "") -> "Segmentation":
        """Itself, to be applied as it is.

        Raises:
            ParameterError: ``names`` are not the features it was fitted on, or ``method`` is another one.
        """
        if self.scaling.features != tuple(names):
            raise ParameterError(
                f"features == {list(names)}; the earlier run was fitted on {list(self.scaling.features)}; take those, "
                "or fit anew with --refit"
            )
        if method and method != self.kind:
            raise ParameterError(
                f"method == {method!r}; the earlier run was fitted by {self.kind!r}; take that, or fit anew with "
                "--refit"
            )
        return self

    def labels(self, segments: pd.DataFrame) -> np.ndarray:
        """Segment keys as whole numbers, 0 for the first key."""
        numbers: np.ndarray = segments["segment_key"].map({key: i for i, key in enumerate(self.keys)}).to_numpy()
        return numbers

    def describe(self) -> str:
        """What it is, how customers are assigned, and how many were used, in one sentence."""
        told = self.method.describe()
        return told if isinstance(self.method, Rules) else f"{told[:-1]}; features: {', '.join(self.scaling.features)}."

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for ``model.json``."""
        scaled = self.scaling.to_dict()
        return {
            "method": self.method.name,
            **(
                scaled
                if isinstance(self.scaling, Scaling)
                else {"features": list(self.scaling.features), "scaling": scaled}
            ),
            "keys": list(self.keys),
            "retired_keys": list(self.retired),
            **self.method.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Segmentation":
        """Back from plain data."""
        found = Rules.from_dict(content) if content["method"] == Rules.name else methods.from_dict(content)
        return cls(_scaling(content), tuple(content["keys"]), found, tuple(content.get("retired_keys", ())))


def _scaling(content: Mapping[str, Any]) -> Encoder:
    own = content.get("scaling", content)
    if own.get("kind") == "encoding":
        from segmentkit.analysis.encoding import Encoding  # which builds on this module

        return Encoding.from_dict(own)
    return Scaling.from_dict(own)


def _labels(method: Method, table: pd.DataFrame, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(method, Rules):
        labels = method.decide(table)
        return labels, methods.to_centre(values, method.centres, labels)
    return method.labels(values)


def segment(
    features: pd.DataFrame, scaled: Scaled, k: int, *, method: str = "kmeans", starts: int, seed: int, **settings: Any
) -> Segmentation:
    """Fit segments and give them keys: A has the highest mean sales a customer, then B, and so on; the rest is last.

    Args:
        features: one row a customer; for rules with every column that they name. Without ``monetary``, as in a survey
            alone, A is the largest segment.
        scaled: the same customers.
        k: segments; HDBSCAN and rules have their own number.
        method: one of ``methods.NAMES`` or ``rules.KINDS``.
        starts: of k-means, the mixture and latent classes.
        seed: the same seed gives the same segments.
        settings: ``smallest_share`` for HDBSCAN; for rules ``stated``, ``bins``, or ``by`` and ``of``.

    Raises:
        DataError: a segment without customers, and whatever the method refuses.
    """
    known = features["customer_id"].isin(scaled.customer_id)
    table = features[known].sort_values("customer_id", ignore_index=True)
    found: Method
    if method in rules.KINDS:
        found = rules.fit(method, table, scaled.values, **settings)
    else:
        found = methods.fit(scaled.values, k, method=method, starts=starts, seed=seed, **settings)
    labels, _ = _labels(found, table, scaled.values)
    sizes, rest = np.bincount(labels, minlength=len(found.centres)), getattr(found, "rest", False)
    if not sizes.all() and method not in rules.KINDS:
        raise DataError(f"{method} leaves {(sizes == 0).sum()} of {k} segments without customers; take fewer segments")
    worth = table["monetary"].groupby(labels).mean() if "monetary" in table else pd.Series(sizes)
    worth = worth.reindex(range(len(sizes) - rest), fill_value=-np.inf)
    order = [*worth.sort_values(ascending=False, kind="stable").index, *[len(sizes) - 1] * rest]
    keys = tuple(key_letter(i) for i in range(len(sizes)))
    return Segmentation(scaled.scaling, keys, found.reordered(order))


def again(like: Segmentation, features: pd.DataFrame, *, starts: int, seed: int) -> Segmentation:
    """The same way to segment, fitted to other customers or other days; keys are dealt by their value.

    Raises:
        DataError: ``features`` lack a column; attributes and survey items must be joined to them first.
    """
    lacking = [name for name in like.scaling.features if name not in features]
    if lacking:
        raise DataError(f"features lack {', '.join(lacking)}; join what is known beside purchases (rules.Beside)")
    settings = getattr(like.method, "settings", {})
    scaled = like.scaling.again(features)
    return segment(features, scaled, len(like.keys), method=like.kind, starts=starts, seed=seed, **settings)


def smallest_allowed(customers: int, size_floor_share: float, size_floor: int) -> int:
    """The larger of the two size floors, in customers."""
    return max(size_floor, math.ceil(size_floor_share * customers))


def skew_sentence(features: pd.DataFrame, scaled: Scaled) -> str:
    """Skewness of each clustered feature before and after the transform."""
    after = pd.DataFrame(scaled.values, columns=list(scaled.scaling.features)).skew()
    parts = [f"{name} {features[name].skew():.1f} to {after[name]:.1f}" for name in scaled.scaling.features]
    return f"Skewness before and after the transform (below {SKEWED:g} there is none): {', '.join(parts)}."

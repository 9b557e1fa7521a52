"""Clustering: fit, give keys, and assign customers.

Clusters come from the scaled features, never from the map.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from segmentkit.analysis import methods, rules
from segmentkit.analysis.methods import Method
from segmentkit.analysis.rules import Rules
from segmentkit.analysis.scaling import FEWEST_CUSTOMERS as FEWEST_CUSTOMERS
from segmentkit.analysis.scaling import SKEWED as SKEWED
from segmentkit.analysis.scaling import Encoder as Encoder
from segmentkit.analysis.scaling import Scaled as Scaled
from segmentkit.analysis.scaling import Scaling as Scaling
from segmentkit.analysis.scaling import hump_units as hump_units
from segmentkit.analysis.scaling import scale as scale
from segmentkit.analysis.scaling import skewness as skewness
from segmentkit.errors import DataError, ParameterError

nearest = methods.nearest


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

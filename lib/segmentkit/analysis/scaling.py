"""Scaling: from a customer's features to the numbers that are clustered, bent where skewed, in standard deviations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.stats import skew, yeojohnson
from sklearn.preprocessing import PowerTransformer, StandardScaler

from segmentkit.analysis import separation
from segmentkit.errors import DataError, ParameterError

FEWEST_CUSTOMERS = 100
SKEWED = 1.0  # of either sign: highly skewed (Bulmer 1979)


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

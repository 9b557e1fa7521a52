"""Encoding: columns of every kind, with missing values, turned into the numbers that are clustered.

Each column has one stated treatment. Two different answers to a yes/no or nominal item, and the two ends of an ordinal
one, lie ``apart`` standard deviations of a numeric column from each other. At the default of one, such a column adds
at most half as much to the expected squared distance of two customers as a numeric one: the share that Hennig and Liao
(2013, Journal of the Royal Statistical Society C) advise for nominal columns, whose gaps would otherwise decide alone.
Steps between the levels of an ordinal column are taken as equal, which is an assumption.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import yeojohnson
from sklearn.preprocessing import PowerTransformer

from segmentkit.analysis.clustering import FEWEST_CUSTOMERS, Scaled
from segmentkit.errors import DataError, ParameterError

KINDS = ("numeric", "ordinal", "binary", "nominal")
Levels = Mapping[str, Sequence[Any]]
LEFT_OUT = "left out"
LONGEST_SCALE = 10


@dataclass(frozen=True)
class Coded:
    """How one column becomes numbers.

    Attributes:
        name: column of the table.
        kind: numeric, ordinal, binary or nominal.
        levels: known answers as text, in order; empty for numeric columns.
        fill: what stands for a missing value: the median of the scaled values, or the code of a level.
        power: lambda, mean and scale of the Yeo-Johnson transform; numeric columns only.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    fill: float = 0.0
    power: tuple[float, ...] = ()

    def codes(self, column: pd.Series) -> np.ndarray:
        """Place of each answer among the levels, or the scaled number; NaN where missing or never seen at the fit."""
        known = _readable(column, self.kind)
        if self.kind == "numeric":
            power, mean, scale = self.power
            return (yeojohnson(known.to_numpy(dtype=float), power) - mean) / scale
        places = {level: float(place) for place, level in enumerate(self.levels)}
        return known.map(places).to_numpy(dtype=float, na_value=np.nan)

    def values(self, column: pd.Series, apart: float) -> np.ndarray:
        """Customers by one column, or by one a level if nominal, without missing values."""
        codes = np.nan_to_num(self.codes(column), nan=self.fill)[:, None]
        if self.kind == "nominal":
            return (codes == np.arange(len(self.levels))) * apart / np.sqrt(2)
        return codes if self.kind == "numeric" else codes / (len(self.levels) - 1) * apart

    def unseen(self, column: pd.Series) -> int:
        """Answers that were not known at the fit; they are treated as missing."""
        return int((_readable(column, self.kind).notna() & np.isnan(self.codes(column))).sum())


@dataclass(frozen=True)
class Encoding:
    """What turns columns of a customer table into numbers, kept from the fit.

    Attributes:
        coded: one entry a column of the table.
        apart: distance of two different answers, in standard deviations of a numeric column.
        as_codes: whole-number codes with NaN for missing, as latent classes take them.
    """

    coded: tuple[Coded, ...]
    apart: float = 1.0
    as_codes: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """Columns of the table it needs."""
        return tuple(column.name for column in self.coded)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers, one a level for nominal columns."""
        names: list[str] = []
        for one in self.coded:
            wide = one.kind == "nominal" and not self.as_codes
            names += [f"{one.name}: {level}" for level in one.levels] if wide else [one.name]
        return tuple(names)

    def again(self, table: pd.DataFrame) -> Scaled:
        """The same columns, kinds and levels, fitted to other customers."""
        kinds, levels = {c.name: c.kind for c in self.coded}, {c.name: c.levels for c in self.coded}
        return encode(table, kinds, levels=levels, apart=self.apart, missing_ceiling=1.0, as_codes=self.as_codes)[0]

    def apply(self, table: pd.DataFrame) -> np.ndarray:
        """Values of every customer, in the order of the table; a missing answer is filled as stated at the fit.

        Raises:
            DataError: a column is not in the table.
        """
        absent = [name for name in self.features if name not in table.columns]
        if absent:
            raise DataError(f"column {absent[0]!r} is not in the table; bring the columns the model was fitted on")
        if self.as_codes:
            return np.column_stack([column.codes(table[column.name]) for column in self.coded])
        return np.hstack([column.values(table[column.name], self.apart) for column in self.coded])

    def filled(self, table: pd.DataFrame) -> pd.DataFrame:
        """What had to be filled: ``column, missing, unseen``; unseen levels count among the missing."""
        rows = [(c.name, int(np.isnan(c.codes(table[c.name])).sum()), c.unseen(table[c.name])) for c in self.coded]
        return pd.DataFrame(rows, columns=["column", "missing", "unseen"])

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"kind": "encoding", **asdict(self)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Encoding":
        """Back from plain data."""
        coded = (Coded(**(c | {name: tuple(c[name]) for name in ("levels", "power")})) for c in content["coded"])
        return cls(tuple(coded), content["apart"], content["as_codes"])


def encode(
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    *,
    levels: Levels | None = None,
    apart: float = 1.0,
    missing_ceiling: float = 0.5,
    as_codes: bool = False,
) -> tuple[Scaled, pd.DataFrame]:
    """Turn columns into numbers: numeric ones to z-scores, the others by their levels.

    Customers are sorted, so the order of rows does not matter. Customers with no value in any column are left out.

    Args:
        table: one row a customer, with ``customer_id``.
        kinds: column to numeric, ordinal, binary or nominal.
        levels: known answers in order; needed for ordinal columns that are not numbers.
        apart: distance of two different answers, in standard deviations of a numeric column.
        missing_ceiling: a column with a larger share of missing values is left out, and so is one that is the same
            for all.
        as_codes: whole-number codes with NaN for missing, for latent classes.

    Returns:
        The values, and ``column, kind, treatment, missing, missing_share, levels`` for every column asked for.

    Raises:
        ParameterError: an unknown column or kind, levels that are not stated, or codes of a numeric column.
        DataError: too few customers, or no column left.
    """
    _check(table, kinds, apart, as_codes)
    table = table.sort_values("customer_id", ignore_index=True)
    known = pd.DataFrame({name: _readable(table[name], kind) for name, kind in kinds.items()})
    answered = known.notna().any(axis=1)
    table, known = table[answered].reset_index(drop=True), known[answered].reset_index(drop=True)
    if len(table) < FEWEST_CUSTOMERS:
        raise DataError(f"{len(table)} customers have values; at least {FEWEST_CUSTOMERS} are needed; bring more data")
    columns, rows = [], []
    for name, kind in kinds.items():
        share = float(known[name].isna().mean())
        told = _left_out(known[name], share, missing_ceiling)
        column = _fitted(known[name], kind, (levels or {}).get(name, ())) if not told else Coded(name, kind)
        columns += [] if told else [column]
        missing = int(known[name].isna().sum()) + (0 if told else column.unseen(known[name]))
        told = told or _treatment(column, apart, as_codes)
        rows.append((name, kind, told, missing, missing / len(table), ", ".join(column.levels)))
    if not columns:
        raise DataError(f"no column is left of {', '.join(kinds)}: {rows[0][2]}; choose other columns")
    encoding = Encoding(tuple(columns), apart, as_codes)
    names = ["column", "kind", "treatment", "missing", "missing_share", "levels"]
    return Scaled(table["customer_id"], encoding.apply(table), encoding), pd.DataFrame(rows, columns=names)


def sentence(description: pd.DataFrame, used: int, customers: int) -> str:
    """Columns used and left out, missing values filled, and customers left out, in numbers."""
    out = description[description["treatment"].str.startswith(LEFT_OUT)]
    gaps = description.drop(out.index).query("missing > 0").sort_values("missing", ascending=False, kind="stable")
    parts = [f"{len(description) - len(out)} of {len(description)} columns are used"]
    parts += [f"{row.column} is {row.treatment}" for row in out.itertuples()]
    if len(gaps):
        worst = gaps.iloc[0]
        parts.append(
            f"{len(gaps)} have missing values, {gaps['missing'].sum():,} in all, most in {worst['column']} "
            f"({worst['missing_share']:.1%})"
        )
    else:
        parts.append("no value is missing in them")
    if used < customers:
        parts.append(f"{customers - used:,} of {customers:,} customers have no value at all and are left out")
    return "; ".join(parts) + "."


def read(column: pd.Series, kind: str, levels: Sequence[Any] = ()) -> Coded | None:
    """How a single column would be encoded; None where it is the same for all.

    Raises:
        ParameterError: an ordinal column of words without stated levels, or a binary one without exactly two.
    """
    known = _readable(column, kind)
    return None if known.nunique() < 2 else _fitted(known, kind, levels)


def _check(table: pd.DataFrame, kinds: Mapping[str, str], apart: float, as_codes: bool) -> None:
    unknown = [name for name in kinds if name not in table.columns or name == "customer_id"]
    if unknown or not kinds:
        raise ParameterError(f"columns == {list(kinds)}; each must be one of {', '.join(table.columns[1:])}")
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise ParameterError(
                f"kind of {name} == {kind!r}; it must be one of {', '.join(KINDS)}; open answers first"
            )
        if kind == "numeric" and as_codes:
            raise ParameterError(
                f"kind of {name} == 'numeric'; latent classes take answers; cut it into ordered levels"
            )
    if not apart > 0:
        raise ParameterError(f"apart == {apart:g}; it must be above 0; 1 is the default")


def _readable(column: pd.Series, kind: str) -> pd.Series:
    """Numbers where the kind is numeric, text otherwise; whatever cannot be read is missing."""
    if kind == "numeric":
        numbers = pd.to_numeric(column, errors="coerce").astype(float)
        return numbers.where(np.isfinite(numbers))
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return column.astype(float).map(lambda number: f"{number:.15g}", na_action="ignore").astype("str")
    text = column.astype("str").str.strip()
    return text.where(text != "")


def _left_out(known: pd.Series, missing_share: float, ceiling: float) -> str:
    if missing_share > ceiling or missing_share == 1:
        return f"{LEFT_OUT}: {missing_share:.0%} missing, above {ceiling:.0%}"
    return f"{LEFT_OUT}: the same for every customer" if known.nunique() < 2 else ""


def _fitted(known: pd.Series, kind: str, stated: Sequence[Any]) -> Coded:
    name = str(known.name)
    if kind == "numeric":
        transformer = PowerTransformer().fit(known.to_numpy().reshape(-1, 1))
        power = (transformer.lambdas_[0], transformer._scaler.mean_[0], transformer._scaler.scale_[0])
        column = Coded(name, kind, power=tuple(map(float, power)))
        return replace(column, fill=float(np.nanmedian(column.codes(known))))
    levels = tuple(_readable(pd.Series(list(stated)), kind)) if len(stated) else _found_levels(known, kind)
    if kind == "binary" and len(levels) != 2:
        raise ParameterError(f"levels of {name} == {list(levels)}; a binary column has two; call it nominal")
    codes = Coded(name, kind, levels).codes(known)
    if np.isnan(codes).all():
        raise ParameterError(f"levels of {name} == {list(levels)}; no answer is among them; state those that occur")
    typical = np.nanmedian(codes) if kind == "ordinal" else np.bincount(codes[~np.isnan(codes)].astype(int)).argmax()
    return Coded(name, kind, levels, fill=float(typical))


def _found_levels(known: pd.Series, kind: str) -> tuple[str, ...]:
    """Levels that occur, in order; numbers that are ordinal: every whole number of a short scale."""
    found = known.dropna().unique()
    numbers = pd.to_numeric(pd.Series(found), errors="coerce").sort_values()
    if numbers.isna().any():
        if kind == "ordinal":
            raise ParameterError(f"levels of {known.name} are not stated; give its {len(found)} answers in their order")
        return tuple(sorted(found))
    low, high = numbers.iloc[0], numbers.iloc[-1]
    whole = kind == "ordinal" and high - low <= LONGEST_SCALE and (numbers % 1 == 0).all()
    scale = np.arange(low, high + 1) if whole else numbers
    return tuple(f"{number:.15g}" for number in scale)


def _treatment(column: Coded, apart: float, as_codes: bool) -> str:
    if as_codes:
        return f"codes 0 to {len(column.levels) - 1}; missing stays missing"
    if column.kind == "numeric":
        return "Yeo-Johnson, z-scores; missing: the median"
    if column.kind == "ordinal":
        return f"equal steps from 0 to {apart:g}; missing: the median"
    usual = column.levels[int(column.fill)]
    how = f"0 or {apart:g}" if column.kind == "binary" else f"one indicator a level, two levels {apart:g} apart"
    return f"{how}; missing: the most common, {usual}"

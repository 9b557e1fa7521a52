"""Plain rules: conditions on columns that a reader can say and a customer database can run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

# is, is not, at most, over, not known, known, and, either, numbers
SPOKEN = ("is", "is not", "at most", "over", "not known", "known", " and ", "{} (or not known)", ",.12g")
SQL = ("=", "<>", "<=", ">", "IS NULL", "IS NOT NULL", " AND {name} ", "({} OR {})", ".12g")
SMALLEST_CELL = 10
Columns = Sequence[tuple[str, str | None, np.ndarray]]


@dataclass(frozen=True)
class Condition:
    """What a rule asks of one column: above ``low`` and at most ``high``.

    Attributes:
        column: its name.
        value: the word it is compared with, in a column of words or of 0 and 1; the bounds are then those of 0
            (another word) and 1 (this one).
        low: must be exceeded; minus infinity is no bound.
        high: may be reached; infinity is no bound.
        missing: whether customers for whom it is not known are meant too.
    """

    column: str
    value: str | None
    low: float
    high: float
    missing: bool

    def holds(self, table: pd.DataFrame) -> np.ndarray:
        """For which rows of a table it holds."""
        column = numbers(table[self.column], self.value)
        return ((column > self.low) & (column <= self.high)) | (self.missing & np.isnan(column))

    def also(self, other: "Condition") -> "Condition":
        """This and another condition on the same column."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Condition(self.column, self.value, low, high, self.missing and other.missing)

    def _told(self, name: str, text: str, words: Sequence[str]) -> str:
        equal, unequal, most, over, unknown, known, and_, either, number = words
        bounds = [f"{over} {self.low:{number}}"] if math.isfinite(self.low) else []
        bounds += [f"{most} {self.high:{number}}"] if math.isfinite(self.high) else []
        if self.low >= self.high or not bounds:
            return f"{name} {unknown if self.missing else known}"
        if self.value is not None:
            bounds = [f"{equal if self.low >= 0 else unequal} {text}"]
        told = f"{name} {and_.replace('{name}', name).join(bounds)}"
        return either.format(told, f"{name} {unknown}") if self.missing else told

    @property
    def sql(self) -> str:
        """For a WHERE or a CASE; what is not known must be NULL there."""
        return self._told('"' + self.column.replace('"', '""') + '"', quoted(self.value or ""), SQL)

    @property
    def words(self) -> str:
        """For a reader."""
        return self._told(self.column.replace("_", " "), self.value or "", SPOKEN)


@dataclass(frozen=True)
class Rule:
    """All conditions together make a customer one of ``segment_key``; no condition holds for everyone."""

    segment_key: str
    conditions: tuple[Condition, ...]

    def holds(self, table: pd.DataFrame) -> np.ndarray:
        """For which rows of a table it holds."""
        fits = np.ones(len(table), dtype=bool)
        for condition in self.conditions:
            fits &= condition.holds(table)
        return fits

    @property
    def sql(self) -> str:
        """The condition in SQL."""
        return " AND ".join(one.sql for one in self.conditions) or "TRUE"

    @property
    def words(self) -> str:
        """The condition in words."""
        return "; ".join(one.words for one in self.conditions) or "everyone"

    def to_dict(self) -> dict[str, Any]:
        """As plain data; JSON has no infinity, so no bound is a text."""
        content = asdict(self)
        for one in content["conditions"]:
            one |= {side: str(one[side]) for side in ("low", "high") if not math.isfinite(one[side])}
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Rule":
        """Back from plain data."""
        bounds = ({**one, "low": float(one["low"]), "high": float(one["high"])} for one in content["conditions"])
        return cls(content["segment_key"], tuple(Condition(**one) for one in bounds))


def first(rules: Sequence[Rule], table: pd.DataFrame, otherwise: str) -> np.ndarray:
    """The segment of the first rule that holds, for every row, or ``otherwise``."""
    conditions = [np.zeros(len(table), dtype=bool), *(rule.holds(table) for rule in rules)]
    keys: np.ndarray = np.select(conditions, ["", *(rule.segment_key for rule in rules)], otherwise)
    return keys


def case(rules: Sequence[Rule], otherwise: str) -> str:
    """The rules as one CASE of SQL."""
    cases = [f"  WHEN {rule.sql} THEN {quoted(rule.segment_key)}" for rule in (*rules, Rule(otherwise, ()))]
    return "\n".join(["CASE", *cases, "END"])


def walk(
    tree: Any, columns: Columns, ends: np.ndarray, node: int = 0, path: tuple[Condition, ...] = ()
) -> Iterator[tuple[int, tuple[Condition, ...]]]:
    """Every node of a scikit-learn tree with the conditions that lead to it, cut points rounded.

    Args:
        tree: its ``tree_``.
        columns: name, word and numbers of each column that it was grown on, in order.
        ends: for every node, whether to stop there.
        node: where to begin.
        path: the conditions that lead there.
    """
    yield node, path
    if ends[node]:
        return
    name, value, column = columns[tree.feature[node]]
    cut, gaps, low_too = rounded(float(tree.threshold[node]), column), np.isnan(column).any(), tree.missing_go_to_left
    sides = (-math.inf, cut, bool(gaps and low_too[node])), (cut, math.inf, bool(gaps and not low_too[node]))
    for child, side in zip((tree.children_left[node], tree.children_right[node]), sides, strict=True):
        yield from walk(tree, columns, ends, child, also(path, Condition(name, value, *side)))


def also(path: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """Conditions and one more; a column that is among them is narrowed."""
    same = [one for one in path if (one.column, one.value) == (new.column, new.value)]
    return tuple(one.also(new) if one in same else one for one in path) + (() if same else (new,))


def rounded(cut: float, column: np.ndarray) -> float:
    """A cut point as somebody would say it: to a tenth of its size, or of the column's scatter where that is less."""
    if not math.isfinite(cut):
        return cut
    spread = float(np.nanstd(column))
    step = 10.0 ** math.floor(math.log10(np.clip(abs(cut), spread / 100, spread) / 10))
    if np.all(np.nan_to_num(column) % 1 == 0):
        cut, step = math.floor(cut), max(1.0, step)
    return round(round(cut / step) * step, 12)


def numbers(answers: pd.Series, value: str | None) -> np.ndarray:
    """Answers as numbers; with a value, 1 for this answer and 0 for another; missing stays missing."""
    if value is not None and not pd.api.types.is_numeric_dtype(answers):
        answers = (answers.astype("str") == value).astype(float).mask(answers.isna())
    found: np.ndarray = answers.to_numpy(dtype=float, na_value=np.nan)
    return found


def encode(table: pd.DataFrame, questions: Sequence[str]) -> dict[str, Columns]:
    """Each question as columns of numbers: itself, or one for each word that at least ten customers gave.

    Returns:
        By question, its name, word and numbers; questions whose answers do not differ are left out.
    """
    encoded: dict[str, Columns] = {}
    for name in questions:
        columns = [(name, value, numbers(table[name], value)) for value in _words_of(table[name])]
        columns = [one for one in columns if len(np.unique(one[2])) > 1]
        if columns:
            encoded[name] = columns
    return encoded


def _words_of(answers: pd.Series) -> list[str | None]:
    if not pd.api.types.is_numeric_dtype(answers):
        counts = answers.dropna().astype("str").value_counts()
        return sorted(counts.index[counts >= SMALLEST_CELL])
    return ["1"] if set(answers.dropna().unique()) <= {0, 1} else [None]


def quoted(text: str) -> str:
    """Text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"

"""Typing tool: the fewest "golden questions" that tell which segment a customer belongs to, as rules anybody can apply.

Questions are added one by one, each time the one that gains most accuracy in inner folds; every figure comes from outer
folds that had no part in the choice, with the cut points rounded as they are printed (nested cross-validation: Varma
and Simon 2006). The rules are the leaves of a small classification tree (Breiman et al. 1984).
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis.plain_rules import SMALLEST_CELL, Columns, Rule, case, encode, first, walk
from segmentkit.errors import DataError, ParameterError

FEWEST_CUSTOMERS = 100
LEAVES, CONDITIONS = 8, 3
OUTER, INNER = 5, 3
PERCENT = ("precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high")


@dataclass(frozen=True)
class TypingTool:
    """Golden questions and what they are worth.

    Attributes:
        label: from which kind of columns, e.g. ``from purchases``.
        questions: the columns to ask for, most telling first.
        rules: no two hold for one customer.
        otherwise: the largest segment, for whoever no rule holds, since an answer is not known that always was.
        short_rules: for each segment one rule of at most three columns, to find its customers without the others.
        curve: ``questions, added, accuracy, low, high``, out-of-fold; without questions all are in the largest segment.
        recognised: ``segment_key, rule, customers, found, precision, recall, f1`` of the short rules with intervals,
            out-of-fold; ``customers`` are in the segment, ``found`` fit the rule.
        clustered: its questions that the segments were cut by.
        customers: customers learned from and judged on.
        of: customers in the segments.
    """

    label: str
    questions: tuple[str, ...]
    rules: tuple[Rule, ...]
    otherwise: str
    short_rules: tuple[Rule, ...]
    curve: pd.DataFrame
    recognised: pd.DataFrame
    clustered: tuple[str, ...]
    customers: int
    of: int

    def assign(self, table: pd.DataFrame) -> pd.DataFrame:
        """The segment of every row: ``customer_id, segment_key``, sorted by customer.

        Raises:
            DataError: a question is no column of the table.
        """
        lost = [name for name in self.questions if name not in table.columns]
        if lost:
            raise DataError(f"columns == {list(table.columns)}; the tool asks for {', '.join(lost)}; add them")
        table = table.sort_values("customer_id", ignore_index=True)
        return pd.DataFrame(
            {"customer_id": table["customer_id"], "segment_key": first(self.rules, table, self.otherwise)}
        )

    @property
    def sql(self) -> str:
        """The rules as one CASE for a customer database; what is not known must be NULL there."""
        return case(self.rules, self.otherwise)

    @property
    def words(self) -> list[str]:
        """The rules for a reader; they do not overlap, so that their order does not matter."""
        return [*(f"{one.segment_key}: {one.words}" for one in self.rules), f"{self.otherwise}: whoever is left"]

    @property
    def sentence(self) -> str:
        """What it asks and how often it is right."""
        baseline, mine = self.curve.iloc[0], self.curve.iloc[len(self.questions)]
        used = f"Learned from and judged on {self.customers:,} of {self.of:,} customers."
        largest = f"the largest segment for everyone would be right for {baseline['accuracy']:.0%}"
        if not self.questions:
            return f"Typing tool {self.label}: no question tells the segments apart; {largest}. {used}"
        told = (
            f"Typing tool {self.label}: asked for {_listed(self.questions)}, it puts {mine['accuracy']:.0%} "
            f"({mine['low']:.0%} to {mine['high']:.0%}) of customers it was not made from into their segment; "
            f"{largest}. {used}"
        )
        cut_by = f" The segments were cut by {_listed(self.clustered)}: that these tell them apart is no discovery."
        return told + (cut_by if self.clustered else "")

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        rules = {name: [rule.to_dict() for rule in getattr(self, name)] for name in ("rules", "short_rules")}
        tables = {name: _records(getattr(self, name)) for name in ("curve", "recognised")}
        lists = {name: list(getattr(self, name)) for name in ("questions", "clustered")}
        plain = {name: getattr(self, name) for name in ("label", "otherwise", "customers", "of")}
        return plain | lists | rules | tables

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TypingTool":
        """Back from plain data."""
        rules = {name: tuple(map(Rule.from_dict, content[name])) for name in ("rules", "short_rules")}
        tables = {name: pd.DataFrame(content[name]) for name in ("curve", "recognised")}
        lists = {name: tuple(content[name]) for name in ("questions", "clustered")}
        return cls(**{**content, **rules, **tables, **lists})


def learn(
    table: pd.DataFrame,
    segments: pd.DataFrame,
    questions: Sequence[str],
    *,
    label: str,
    clustered: Sequence[str] = (),
    max_questions: int = 6,
    max_rows: int = 5_000,
    confidence: float = 0.95,
    seed: int,
) -> TypingTool:
    """Choose the questions and make the rules; as few as lie within one standard error of the best (Breiman et al.).

    Args:
        table: ``customer_id`` and the questions: numbers, yes or no, or words; answers may be missing.
        segments: ``customer_id, segment_key``.
        questions: columns that may be asked for.
        label: from which kind of columns.
        clustered: columns that the segments were cut by.
        max_questions: at most so many.
        max_rows: customers at most to learn from and judge on; a seeded sample of the others.
        confidence: of the intervals: Wilson's, widened since the folds share customers (Nadeau and Bengio 2003).
        seed: of the sample and the folds.

    Raises:
        ParameterError: a question is no column of the table.
        DataError: too few customers in both tables, one segment only, or no usable question.
    """
    unknown = [name for name in questions if name not in table.columns]
    if unknown:
        raise ParameterError(f"questions == {unknown}; each must be a column of {', '.join(table.columns)}")
    joined = segments[["customer_id", "segment_key"]].merge(table[["customer_id", *questions]], on="customer_id")
    joined = joined.sort_values("customer_id", ignore_index=True)
    if len(joined) > max_rows:
        joined = joined.sample(max_rows, random_state=seed).sort_index().reset_index(drop=True)
    if len(joined) < FEWEST_CUSTOMERS or joined["segment_key"].nunique() < 2:
        raise DataError(
            f"{len(joined)} customers in {joined['segment_key'].nunique()} segments have answers; a typing tool needs "
            f"{FEWEST_CUSTOMERS} and two segments; ask more customers"
        )
    asked = encode(joined, questions)
    if not asked:
        raise DataError(f"questions == {list(questions)}; none has answers that differ; name others")
    task = _Task(joined, asked, joined["segment_key"].to_numpy(dtype=object), seed)
    rows = np.arange(len(joined))
    right, found = task.out_of_fold(max_questions)
    order = task.select(rows, max_questions)
    curve = _curve(right, order, confidence)
    chosen = order[: _fewest(right)]
    rules, short = task.rules(rows, chosen), task.short_rules(rows)
    recognised = _recognised(short, found, task.key, confidence)
    cut_by = tuple(name for name in chosen if name in clustered)
    return TypingTool(
        label, tuple(chosen), rules, task.largest(rows), short, curve, recognised, cut_by, len(joined), len(segments)
    )


def learn_both(
    features: pd.DataFrame, customers: pd.DataFrame, segments: pd.DataFrame, attributes: Sequence[str], **options: Any
) -> list[TypingTool]:
    """A tool from purchases and, where enough customers state attributes, one from what is known before the first.

    Args:
        features: one row a customer.
        customers: ``customer_id`` and the attributes.
        segments: ``customer_id, segment_key``.
        attributes: columns of ``customers`` that are known before the first purchase, survey answers among them.
        options: of ``learn``.
    """
    bought = list(features.select_dtypes("number").columns)
    tools = [learn(features, segments, bought, label="from purchases", **options)]
    if attributes:
        stated = customers[["customer_id", *attributes]].dropna(how="all", subset=list(attributes))
        with contextlib.suppress(DataError):  # too few: the sentences say that there is no such tool
            tools.append(learn(stated, segments, attributes, label="from what is known before", **options))
    return tools


def sentences(tools: Sequence[TypingTool]) -> list[str]:
    """What each tool is worth, and whether there is one for customers who have not bought yet."""
    none = "No typing tool for customers who have not bought yet: too few customers state attributes."
    return [tool.sentence for tool in tools] + ([none] if len(tools) < 2 else [])


@dataclass(frozen=True)
class _Task:
    """Answers, and the segment of every row: what choosing and fitting share."""

    table: pd.DataFrame
    asked: dict[str, Columns]
    key: np.ndarray
    seed: int

    def largest(self, rows: np.ndarray) -> str:
        return str(pd.Series(self.key[rows]).mode().iloc[0])

    @property
    def keys(self) -> list[str]:
        return sorted(set(self.key), key=lambda key: (len(key), key))

    def values(self, names: Sequence[str]) -> np.ndarray:
        return np.column_stack([column for _, _, column in self.columns(names)])

    def columns(self, names: Sequence[str]) -> Columns:
        return [one for name in names for one in self.asked[name]]

    def grown(self, names: Sequence[str], rows: np.ndarray, **options: Any) -> DecisionTreeClassifier:
        leaves = max(LEAVES, len(self.keys))
        options = {"max_leaf_nodes": leaves, "min_samples_leaf": SMALLEST_CELL, "random_state": self.seed} | options
        return DecisionTreeClassifier(**options).fit(self.values(names)[rows], self.key[rows])

    def select(self, rows: np.ndarray, most: int) -> list[str]:
        """Questions in the order of what each adds to the accuracy in inner folds."""
        folds = list(KFold(INNER, shuffle=True, random_state=self.seed).split(rows))
        chosen: list[str] = []
        while len(chosen) < min(most, len(self.asked)):
            left = [name for name in self.asked if name not in chosen]
            right = [self._right([*chosen, name], rows, folds) for name in left]
            chosen.append(left[int(np.argmax(right))])
        return chosen

    def _right(self, names: Sequence[str], rows: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> int:
        values = self.values(names)
        trees = (self.grown(names, rows[train]).predict(values[rows[test]]) for train, test in folds)
        return sum(int((found == self.key[rows[test]]).sum()) for found, (_, test) in zip(trees, folds, strict=True))

    def out_of_fold(self, most: int) -> tuple[np.ndarray, pd.DataFrame]:
        """Customers by number of questions: right or not; customers by segment: found by its short rule or not."""
        right = np.zeros((len(self.key), min(most, len(self.asked)) + 1), dtype=bool)
        found = pd.DataFrame(False, index=range(len(self.key)), columns=self.keys)
        for train, test in KFold(OUTER, shuffle=True, random_state=self.seed).split(self.key):
            order, judged = self.select(train, most), self.table.iloc[test]
            for many in range(right.shape[1]):
                rules = self.rules(train, order[:many])
                right[test, many] = first(rules, judged, self.largest(train)) == self.key[test]
            for rule in self.short_rules(train):
                found.loc[test, rule.segment_key] = rule.holds(judged)
        return right, found

    def rules(self, rows: np.ndarray, names: Sequence[str]) -> tuple[Rule, ...]:
        """The leaves of a tree on these questions; leaves side by side that name one segment are one rule."""
        if not names:
            return ()
        fitted = self.grown(names, rows)
        tree, key = fitted.tree_, fitted.classes_[fitted.tree_.value[:, 0].argmax(axis=1)]
        below = [{one} for one in key]
        for node in reversed(range(len(key))):  # children come after their parents
            if (left := tree.children_left[node]) >= 0:
                below[node] = below[left] | below[tree.children_right[node]]
        whole = np.array([len(one) == 1 for one in below])
        paths = walk(tree, self.columns(names), whole)
        return tuple(Rule(str(*below[node]), path) for node, path in paths if whole[node])

    def short_rules(self, rows: np.ndarray) -> tuple[Rule, ...]:
        """For each segment the path of at most three steps that finds it best (F1) among these rows."""
        names, table = list(self.asked), self.table.iloc[rows]
        return tuple(self._short(key, rows, names, table) for key in self.keys if (self.key[rows] == key).any())

    def _short(self, key: str, rows: np.ndarray, names: Sequence[str], table: pd.DataFrame) -> Rule:
        own = self.key == key
        alone = _Task(self.table, self.asked, np.where(own, key, ""), self.seed)
        tree = alone.grown(names, rows, max_depth=CONDITIONS, max_leaf_nodes=None, class_weight="balanced").tree_
        rules = [Rule(key, path) for _, path in walk(tree, self.columns(names), tree.children_left < 0)]
        return max(rules[1:] or rules, key=lambda rule: _f1(rule.holds(table), own[rows]))


def _f1(found: np.ndarray, own: np.ndarray) -> float:
    return 2 * float((found & own).sum()) / max(1, int(found.sum() + own.sum()))


def _fewest(right: np.ndarray) -> int:
    accuracy = right.mean(axis=0)
    error = math.sqrt(accuracy.max() * (1 - accuracy.max()) / len(right))
    return int(np.argmax(accuracy >= accuracy.max() - error))


def _curve(right: np.ndarray, order: Sequence[str], confidence: float) -> pd.DataFrame:
    table = pd.DataFrame({"questions": range(right.shape[1]), "added": ["", *order], "accuracy": right.mean(axis=0)})
    low, high = _wilson(right.sum(axis=0), len(right), confidence)
    return table.assign(low=low, high=high)


def _wilson(hits: Any, of: float, confidence: float) -> Any:
    """Wilson's interval as if there were fewer customers: folds learn from the same ones (Nadeau and Bengio 2003)."""
    fewer = 1 + OUTER / (OUTER - 1)
    hits, of = np.asarray(hits) / fewer, of / fewer
    return proportion_confint(hits, of, alpha=1 - confidence, method="wilson")


def _recognised(short: Sequence[Rule], found: pd.DataFrame, key: np.ndarray, confidence: float) -> pd.DataFrame:
    rows = []
    for rule in short:
        fits, own = found[rule.segment_key].to_numpy(), key == rule.segment_key
        row: dict[str, Any] = {"segment_key": rule.segment_key, "rule": rule.words}
        row |= {"customers": int(own.sum()), "found": int(fits.sum())}
        for name, of in (("precision", fits), ("recall", own)):
            hits, total = int((fits & own).sum()), int(of.sum())
            figures = (hits / total, *_wilson(hits, total, confidence)) if total else (np.nan,) * 3
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), figures, strict=True))
        rows.append(row | {"f1": _f1(fits, own)})
    return pd.DataFrame(rows)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data; JSON has no missing number."""
    return table.astype(object).where(table.notna(), None).to_dict("records")

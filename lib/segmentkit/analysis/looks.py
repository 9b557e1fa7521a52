"""Looks: the customers as two runs saw them, or as two halves of one set of days would have."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import ibis
import pandas as pd

from segmentkit.analysis import clustering
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.features import Window, build
from segmentkit.analysis.rules import Beside
from segmentkit.errors import DataError, ParameterError


@dataclass(frozen=True)
class Look:
    """The customers as one run saw them.

    Attributes:
        label: the run's name, or a period.
        seen: the days looked at.
        features: one row a customer.
        segments: ``customer_id, segment_key`` under the segmentation that is compared.
    """

    label: str
    seen: Window
    features: pd.DataFrame
    segments: pd.DataFrame

    @property
    def customers(self) -> pd.DataFrame:
        """``customer_id, segment_key, sales``, one row a customer."""
        joined = self.segments[["customer_id", "segment_key"]].merge(
            self.features[["customer_id", "monetary"]], on="customer_id", validate="1:1"
        )
        if len(joined) != len(self.features) or len(joined) != len(self.segments):
            raise DataError(f"{self.label}: features and segments hold different customers; build both from one run")
        return joined.rename(columns={"monetary": "sales"})

    def joined(self, beside: Beside) -> "Look":
        """The same look, its features joined with what is known beside them."""
        return replace(self, features=beside.join(self.features, self.seen.as_of))

    @property
    def days(self) -> str:
        """The days in words; the end is the last day looked at."""
        return f"{self.seen.start} to {self.seen.as_of - timedelta(days=1)}"


def look(label: str, start: date, as_of: date, table: Callable[[str], pd.DataFrame]) -> Look:
    """The look of a run whose tables ``table`` gives by name, at those whom it gave a segment."""
    features, segments = table("features"), table("segments")
    known = features["customer_id"].isin(segments["customer_id"])
    return Look(label, Window(start, as_of), features[known], segments)


@dataclass(frozen=True)
class Compared:
    """Two looks at the customers under one segmentation, and what kind of comparison it is.

    Attributes:
        kind: ``month`` (an earlier run and this one), ``back`` (that run looked at later days, as when the
            same months of last year are looked at), ``restated`` (the same days, other data), ``rehearsal`` (halves of
            these data) or ``none`` (these data against themselves).
        before: the first look.
        now: the second.
        model: the segmentation whose scaling the drift is measured in.
        sentence: the kind in words.
    """

    kind: str
    before: Look
    now: Look
    model: Segmentation
    sentence: str


def table_of(transactions: ibis.Table, seen: Window, beside: Beside | None, categories: int) -> pd.DataFrame:
    """Features of a window, with whatever is known beside them."""
    features = build(transactions, seen, categories=categories)
    return beside.join(features, seen.as_of) if beside else features


def compare(
    transactions: ibis.Table,
    past: Look | None,
    now: Look,
    model: Segmentation,
    *,
    categories: int,
    starts: int,
    seed: int,
    beside: Beside | None = None,
) -> Compared:
    """Compare with the earlier run where it knows any of these customers, else rehearse inside these data.

    Args:
        transactions: the shared table.
        past: the earlier run's look, or None.
        now: this run's look.
        model: the segmentation of the earlier run, or of this one where there is none.
        categories: of the feature table.
        starts: k-means starts of a rehearsal.
        seed: of a rehearsal.
        beside: attributes and contacts, where the segmentation needs them; features of both looks are joined with
            them as of the day after each.
    """
    if beside:
        now = now.joined(beside)
        past = past.joined(beside) if past else None
    if past and set(past.features["customer_id"]) & set(now.features["customer_id"]):
        if past.seen == now.seen:
            told = f"A restatement: {past.label} and {now.label} look at the same days, {now.days}; the data changed."
            return Compared("restated", past, now, model, told)
        if now.seen.as_of < past.seen.as_of:  # whatever is told of before and now follows the calendar
            told = f"A look back: {now.label} ({now.days}), and {past.label} ({past.days}) after it."
            return Compared("back", now, past, model, told)
        return Compared("month", past, now, model, f"{past.label} ({past.days}) against {now.label} ({now.days}).")
    why = f"{past.label} knows none of these customers" if past else "There is no earlier run to compare with"
    try:
        before, later, fitted = _rehearse(transactions, now, model, beside, categories, starts, seed)
        if not set(before.features["customer_id"]) & set(later.features["customer_id"]):
            raise DataError("nobody bought in both halves")
    except (DataError, ParameterError) as error:  # a feature of the whole may be missing in a half
        told = (
            f"{why}, and these data cannot be halved for a rehearsal ({error}). So they are compared with themselves."
        )
        return Compared("none", now, now, model, told)
    told = (
        f"{why}, so this is a rehearsal inside these data: segments cut from {before.days}, applied to {later.days}. "
        "Their letters are those of that cut."
    )
    return Compared("rehearsal", before, later, fitted, told)


def _rehearse(
    transactions: ibis.Table,
    now: Look,
    model: Segmentation,
    beside: Beside | None,
    categories: int,
    starts: int,
    seed: int,
) -> tuple[Look, Look, Segmentation]:
    """Segments from the first half of the days, applied to the second half."""
    half = now.seen.days // 2
    middle = now.seen.as_of - timedelta(days=half)
    first, second = Window(middle - timedelta(days=half), middle), Window(middle, now.seen.as_of)
    tables = [table_of(transactions, one, beside, categories) for one in (first, second)]
    tables = [table[table["customer_id"].isin(now.segments["customer_id"])] for table in tables]
    fitted = clustering.again(model, tables[0], starts=starts, seed=seed)
    looks = [
        Look(label, window, table, fitted.assign(table))
        for label, window, table in zip(("first half", "second half"), (first, second), tables, strict=True)
    ]
    return looks[0], looks[1], fitted

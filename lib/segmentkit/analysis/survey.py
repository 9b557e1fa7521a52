"""Survey answers: how good they are, and how the segments answer.

An item is binary, ordinal, nominal, numeric or open; ``themes`` turns open answers into binary items.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis.encoding import Levels, read
from segmentkit.analysis.profiles import MARKER
from segmentkit.contracts import Column
from segmentkit.errors import DataError

RATINGS = 4  # so many equal ratings or more are called straight-lining
ABSOLUTE, RELATIVE = 0.25, 0.5
PROFILE = "segment_key item kind level known value low high overall difference marker scale_low scale_high"


def kinds(items: Sequence[Column]) -> dict[str, str]:
    """Item to kind, without the open ones, as ``encoding.encode`` takes them."""
    return {item.name: item.kind for item in items if item.kind != "open"}


def levels(items: Sequence[Column]) -> dict[str, tuple[str, ...]]:
    """Item to the levels the source states. Binary answers are 0 or 1 once they are read."""
    return {item.name: item.levels for item in items if item.levels and item.kind != "binary"}


def quality(answers: pd.DataFrame, items: Sequence[Column]) -> pd.DataFrame:
    """How completely each item was answered: ``item, kind, answered, missing_share, different_answers``."""
    rows = []
    for item in items:
        column = answers[item.name]
        rows.append((item.name, item.kind, int(column.notna().sum()), column.isna().mean(), column.nunique()))
    return pd.DataFrame(rows, columns=["item", "kind", "answered", "missing_share", "different_answers"])


def straight_liners(answers: pd.DataFrame, items: Sequence[Column]) -> pd.Series:
    """Whether a respondent gave one and the same answer to every rating item, four or more: a sign of no thought."""
    ratings = answers[[item.name for item in items if item.kind == "ordinal"]]
    return (ratings.notna().sum(axis=1) >= RATINGS) & (ratings.nunique(axis=1) == 1)


def sentence(answers: pd.DataFrame, items: Sequence[Column]) -> str:
    """Respondents, missing answers and straight-lining in numbers."""
    table = quality(answers, items)
    closed = table[table["kind"] != "open"]
    if closed.empty or answers.empty:
        return f"The survey has {len(answers):,} respondents and no closed item."
    worst = closed.loc[closed["missing_share"].idxmax()]
    told = (
        f"{len(answers):,} respondents, {len(closed)} closed items: {closed['missing_share'].mean():.1%} of the "
        f"answers are missing, most in {worst['item']} ({worst['missing_share']:.1%})"
    )
    ratings = int((table["kind"] == "ordinal").sum())
    if ratings < RATINGS:
        return f"{told}; {ratings} rating items are too few to see straight-lining."
    lazy = int(straight_liners(answers, items).sum())
    return f"{told}; {lazy:,} ({lazy / len(answers):.1%}) gave one answer to all {ratings} rating items; they stay in."


def describe(
    answers: pd.DataFrame,
    segments: pd.DataFrame,
    kinds: Mapping[str, str],
    *,
    levels: Levels | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How each segment answers every item, beside all respondents.

    Shares have Wilson's interval (1927), means Student's. Where the segments were made from these very answers, the
    differences are there by construction, and the intervals are no test of them. A marker differs by at least 25
    points or by half (Dolnicar, Grün and Leisch 2018), a mean by half a standard deviation, and its interval does not
    hold the value of all.

    Args:
        answers: one row a respondent; binary items 0 or 1.
        segments: ``customer_id, segment_key``.
        kinds: item to binary, ordinal, nominal or numeric.
        levels: stated levels in order; without numbers, an ordinal item is read as places from 1.
        confidence: of the intervals.

    Returns:
        ``segment_key, item, kind, level, known, value, low, high, overall, difference, marker, scale_low,
        scale_high``: value is a share of those who answered, or a mean; difference is in shares, or in standard
        deviations.

    Raises:
        DataError: no respondent has a segment.
    """
    joined = segments[["customer_id", "segment_key"]].merge(answers, on="customer_id", validate="1:1")
    if joined.empty:
        raise DataError(f"none of {len(answers):,} respondents has a segment; the ids must be those of the segments")
    rows: list[tuple[Any, ...]] = []
    for item, kind in kinds.items():
        for level, column, ends in _readings(joined[item], kind, (levels or {}).get(item, ())):
            rows += _by_segment(joined["segment_key"], column, (item, kind, level), ends, confidence)
    return pd.DataFrame(rows, columns=PROFILE.split())


def _readings(
    column: pd.Series, kind: str, stated: Sequence[Any]
) -> Iterator[tuple[str, pd.Series, tuple[float, float]]]:
    """Level, numbers and ends of the scale: one for a mean, one for the share of each level of a nominal item."""
    known = read(column, kind, stated)
    if known is None:
        return
    codes = pd.Series(known.codes(column), index=column.index)
    if kind == "nominal":
        for place, level in enumerate(known.levels):
            yield level, codes.eq(place).astype(float).where(codes.notna()), (0.0, 1.0)
    elif kind == "ordinal":
        numbers = pd.to_numeric(pd.Series(known.levels), errors="coerce")
        scale = numbers if numbers.notna().all() else pd.Series(np.arange(1.0, len(known.levels) + 1))
        yield "", codes.map(dict(enumerate(scale))), (float(scale.iloc[0]), float(scale.iloc[-1]))
    else:
        numbers = codes if kind == "binary" else pd.to_numeric(column, errors="coerce")
        yield "", numbers, (0.0, 1.0) if kind == "binary" else (np.nan, np.nan)


def _by_segment(
    keys: pd.Series, column: pd.Series, told: tuple[str, str, str], ends: tuple[float, float], confidence: float
) -> list[tuple[Any, ...]]:
    overall, spread = column.mean(), column.std()
    is_share = told[1] in {"binary", "nominal"}
    rows = []
    for key, own in column.dropna().groupby(keys):
        low, high = _interval(own, is_share, confidence)
        away = own.mean() - overall
        difference = away if is_share else away / spread
        far = max(abs(away) / ABSOLUTE, abs(away) / overall / RELATIVE) >= 1 if is_share else abs(difference) >= MARKER
        marker = bool(far and not low <= overall <= high)
        rows.append((key, *told, len(own), own.mean(), low, high, overall, difference, marker, *ends))
    return rows


def _interval(own: pd.Series, is_share: bool, confidence: float) -> tuple[float, float]:
    if is_share:
        low, high = proportion_confint(own.sum(), len(own), alpha=1 - confidence, method="wilson")
        return float(low), float(high)
    reach = student.ppf((1 + confidence) / 2, len(own) - 1) * own.sem() if len(own) > 1 else np.nan
    return float(own.mean() - reach), float(own.mean() + reach)


def profile_sentence(profile: pd.DataFrame) -> str:
    """Each segment's strongest marker in numbers."""
    parts = []
    for key, own in profile.groupby("segment_key"):
        marked = own[own["marker"]]
        if marked.empty:
            parts.append(f"{key} has no marker")
            continue
        row = marked.loc[marked["difference"].abs().idxmax()]
        what = str(row["item"]).replace("_", " ") + (f": {row['level']}" if row["level"] else "")
        is_share = row["kind"] in {"binary", "nominal"}
        told = "{:.0%} against {:.0%} of all" if is_share else "{:.2g} against {:.2g}"
        parts.append(f"{key} {what} " + told.format(row["value"], row["overall"]))
    return "Strongest marker of each segment: " + "; ".join(parts) + "."

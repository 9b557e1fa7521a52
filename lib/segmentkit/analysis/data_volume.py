"""When rows come: how fresh they are, days without any, weeks unlike their neighbours, hours that cannot be."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.audit import Checked
from segmentkit.analysis.data_facts import Check, Facts
from segmentkit.contracts import Formats

WHEN = {"transactions": "ordered_at", "contacts": "at", "responses": "at", "channel_results": "at"}
USUAL_ROWS = 10
GAP_DAYS = 3
NEIGHBOURS = 4
ONE_MOMENT = 0.01
ONE_DAY = 0.2
MIDNIGHT = 0.05


def about(
    table: Checked, found: Facts, last_day: date, max_days_old: Sequence[int], max_gap_days: Sequence[int]
) -> list[Check]:
    """Every check of one table's calendar.

    Args:
        table: after the audit.
        found: its ``data_facts.facts``.
        last_day: the day the data were extracted, or the last day of any table.
        max_days_old: days since the last row at which the run stops, a list of one or none.
        max_gap_days: days without rows at which it stops, a list of one or none.
    """
    column = WHEN.get(table.name, "")
    if table.name == "customers" and "first acquired_at" in found:
        return [_instants(table, "acquired_at", found, ONE_DAY)]
    if f"first {column}" not in found:
        return []
    days = by_day(table.kept, column)
    checks = [
        _freshness(table.name, found[f"last {column}"], last_day, max_days_old),
        _gaps(table.name, days, max_gap_days),
    ]
    checks += [_jumps(table.name, days), _hours(table.name, column, found)]
    if found[f"midnight {column}"] < found["rows"]:
        checks.append(_clock(table, column, found))
    if table.name == "transactions":
        checks += [_periods(table.name, days), _instants(table, column, found, ONE_MOMENT)]
    return checks


def by_day(kept: ibis.Table, column: str) -> pd.Series:
    """Rows by day, from the first to the last, days without any included."""
    known = kept.filter(kept[column].notnull())
    counts = known.group_by(day=known[column].truncate("D")).aggregate(n=known.count()).execute()
    counts = counts.set_index(pd.DatetimeIndex(counts["day"]))["n"].sort_index()
    return counts.reindex(pd.date_range(counts.index[0], counts.index[-1]), fill_value=0)


def _freshness(table: str, last: pd.Timestamp, last_day: date, limit: Sequence[int]) -> Check:
    days = (last_day - last.date()).days
    told = f"The last row is of {last:%Y-%m-%d}, {days} days before the last day of the data, {last_day}."
    if limit and days > limit[0]:
        told = f"{told} max_days_old is {limit[0]}."
        return Check(table, "freshness", "stop", days, told, "export again, or allow more with -p max_days_old=...")
    return Check(table, "freshness", "ok", days, told)


def _gaps(table: str, days: pd.Series, limit: Sequence[int]) -> Check:
    """Days on which rows usually come and none did; a closed weekday is none of them."""
    usual = days.groupby(days.index.day_of_week).transform("median")
    expected = days[usual >= USUAL_ROWS]
    if len(expected) < 2:
        return Check(table, "gaps", "ok", 0, "Too few rows a day to tell a day without any from chance.")
    empty = expected == 0
    runs = expected[empty].index.to_series().groupby((~empty).cumsum()[empty])
    if not empty.any():
        return Check(table, "gaps", "ok", 0, "No day on which rows usually come is without any.")
    spans = runs.agg(["first", "last"])
    lengths = (spans["last"] - spans["first"]).dt.days + 1
    first, last = spans.loc[lengths.idxmax()]
    told = f"{int(empty.sum())} days on which rows usually come have none; "
    told += f"the longest gap is {lengths.max()} days, {first:%Y-%m-%d} to {last:%Y-%m-%d}."
    result = "stop" if limit and lengths.max() > limit[0] else "warn" if lengths.max() > GAP_DAYS else "note"
    return Check(
        table, "gaps", result, float(lengths.max()), told, "ask whether it was closed; if not, export these days again"
    )


def _jumps(table: str, days: pd.Series) -> Check:
    """Full weeks far from the median of four on either side, by a robust z-score (Iglewicz and Hoaglin, 1993)."""
    weeks = days.groupby(days.index - pd.to_timedelta(days.index.day_of_week, unit="D")).agg(["sum", "count"])
    rows = weeks.loc[weeks["count"] == 7, "sum"].astype("float64")
    # contacts and answers come with campaigns; only where they come every day is a quiet week news
    sparse = days.median() < USUAL_ROWS and table != "transactions"
    if len(rows) < 2 * NEIGHBOURS + 1 or rows.median() < USUAL_ROWS or sparse:
        return Check(table, "jumps", "ok", 0, "Too few weeks or rows a week to tell.")
    values = rows.to_numpy()
    beside = [
        np.delete(values[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1], min(i, NEIGHBOURS)) for i in range(len(values))
    ]
    usual = np.maximum([np.median(near) for near in beside], 0.5)
    ratio = np.log(np.maximum(values, 0.5) / usual)
    spread = np.maximum(1.4826 * np.median(np.abs(ratio - np.median(ratio))), 1 / np.sqrt(usual))
    far = (np.abs(ratio) > 3.5 * spread) & (np.abs(ratio) > np.log(1.5))
    if not far.any():
        return Check(table, "jumps", "ok", 0, f"No full week of {len(rows)} is far from the weeks beside it.")
    worst = np.argsort(-np.abs(ratio))[: min(3, far.sum())]
    told = ", ".join(f"{rows.index[i]:%Y-%m-%d} ({np.exp(ratio[i]):.1f} times)" for i in sorted(worst))
    result = "warn" if np.abs(ratio).max() > np.log(2) else "note"
    more = f"{int(far.sum())} full weeks have far more or fewer rows than the weeks beside them: {told}."
    mend = "ask what happened (a holiday, a sale, a failed export, a double one)"
    return Check(table, "jumps", result, float(np.exp(ratio[worst[0]])), more, mend)


def _hours(table: str, column: str, found: Facts) -> Check:
    rows, midnight = found["rows"] - found[f"missing {column}"], found[f"midnight {column}"]
    share = midnight / max(1, rows)
    if share == 1:
        return Check(table, "hours", "note", 1, f"{column} carries days only: nothing can be said about hours.")
    told = f"{share:.1%} of rows stand at midnight exactly."
    if share > MIDNIGHT and midnight >= USUAL_ROWS:
        mend = "these rows carry no time of day; their hours mean nothing"
        return Check(table, "hours", "warn", share, told, mend)
    return Check(table, "hours", "ok", share, told)


def _clock(table: Checked, column: str, found: Facts) -> Check:
    """Local times that a change of the clock skips or brings twice."""
    zone = table.formats.time_zone
    skipped, twice = clock_changes(zone, found[f"first {column}"].date(), found[f"last {column}"].date())
    when = table.kept[column]
    spans = [(when >= start) & (when < end) for start, end in skipped], [(when >= s) & (when < e) for s, e in twice]
    counts = {name: ibis.or_(*parts).sum() for name, parts in zip(("no", "two"), spans, strict=True) if parts}
    seen = table.kept.aggregate(**counts).execute().iloc[0].fillna(0).to_dict() if counts else {}
    never, double = int(seen.get("no", 0)), int(seen.get("two", 0))
    if never:
        told = f"{never:,} rows stand at hours that a change of the clock skips in {zone}: their times are not local."
        mend = "state the zone they are in: timestamps_in"
        return Check(table.name, "clock", "warn", never, told, mend)
    told = f"No row stands at an hour that does not exist in {zone}; {double:,} stand at an hour that comes twice."
    return Check(table.name, "clock", "ok", double, told)


def clock_changes(zone: str, first: date, last: date) -> tuple[list[tuple[datetime, datetime]], ...]:
    """Half hours of local time that do not exist, and that exist twice, between two days."""
    place, half = ZoneInfo(zone), timedelta(minutes=30)
    spans: tuple[list[tuple[datetime, datetime]], ...] = ([], [])
    for number in range((last - first).days + 1):
        day = datetime.combine(first + timedelta(days=number), datetime.min.time())
        if day.replace(tzinfo=place).utcoffset() == (day + timedelta(days=1)).replace(tzinfo=place).utcoffset():
            continue
        for moment in (day + i * half for i in range(48)):
            local = moment.replace(tzinfo=place)
            there = local.astimezone(UTC).astimezone(place).replace(tzinfo=None) == moment
            if not there or local.utcoffset() != local.replace(fold=1).utcoffset():
                spans[1 if there else 0].append((moment, moment + half))
    return spans


def _periods(table: str, days: pd.Series) -> Check:
    """How far the first and last week and month are filled."""
    first, last = days.index[0], days.index[-1]
    short = []
    for name, period in (("week", "W-SUN"), ("month", "M")):
        for end, day in (("first", first), ("last", last)):
            span = day.to_period(period)
            held = (min(last, span.end_time.normalize()) - max(first, span.start_time)).days + 1
            length = (span.end_time.normalize() - span.start_time).days + 1
            short += [f"the {end} {name} holds {held} of {length} days"] if held < length else []
    told = (
        f"{'; '.join(short).capitalize()}; pictures leave these out."
        if short
        else "First and last week and month are whole."
    )
    return Check(table, "periods", "note" if short else "ok", len(short), told)


def _instants(table: Checked, column: str, found: Facts, limit: float) -> Check:
    """Many rows at one moment: a default, or the day of a migration. What fills a moment fills its day first."""
    rows = found["rows"] - found[f"missing {column}"]
    when = table.kept[column]
    full = table.kept.group_by(day=when.truncate("D")).aggregate(n=ibis._.count()).filter(ibis._.n > limit * rows)
    days = [day for day in full.execute()["day"] if not pd.isna(day)]
    spread = (found[f"last {column}"] - found[f"first {column}"]).days
    quiet = Check(table.name, "instants", "ok", 0, f"No moment of {column} holds an unusual share of rows.")
    only_days = found[f"midnight {column}"] == rows
    if not days or rows < 100 or spread < 30 or (only_days and limit < ONE_DAY):
        return quiet
    moments = table.kept.filter(when.truncate("D").isin(days)).group_by(column).aggregate(n=ibis._.count())
    top = moments.order_by(ibis.desc("n"), column).limit(1).execute().iloc[0]
    if top["n"] <= limit * rows:
        return quiet
    told = f"{top['n']:,} of {rows:,} rows ({top['n'] / rows:.1%}) stand at {top[column]:%Y-%m-%d %H:%M:%S}."
    mend = "a default, or the day of a migration: find the true times, or take the column out"
    return Check(table.name, "instants", "warn", float(top["n"] / rows), told, mend)


def last_day(formats: Formats, found: dict[str, Facts]) -> date | None:
    """The day of the export, or else the last day in any table that grows with time."""
    if formats.latest:
        return date.fromisoformat(formats.latest)
    lasts: list[Any] = [
        facts[f"last {WHEN[name]}"] for name, facts in found.items() if f"last {WHEN.get(name)}" in facts
    ]
    return max(lasts).date() if lasts else None

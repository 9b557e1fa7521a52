"""How the dates of a file are written: one way, or a question with an example of each reading."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from segmentkit.analysis.column_guess import Columns
from segmentkit.analysis.column_money import OPEN, Choice, Line, Value, ask, quoted
from segmentkit.analysis.value_kinds import Values


def dates(columns: Columns, times: list[str], stated: Mapping[str, Any]) -> tuple[list[Line], dict[str, Value]]:
    """The section's date format, and expressions for times that are written in another way."""
    written: dict[str, Value] = {h: _moment(h, columns.values[h]) for h in times if not columns.values[h].is_date}
    dates = [h for h in times if columns.values[h].is_date]
    formats = {h: _settled(columns, h) for h in dates}
    lines = []
    first = next((h for h in dates if formats[h] != ("",)), "")
    zones = any(re.search(r"\b(utc|gmt)\b", h, re.I) for h in dates if not columns.values[h].with_offset)
    if any(columns.values[h].moments not in ("", "days", "calendar") for h in written) or zones:
        lines.append(Line("timestamps_in", "UTC", "the times are counted in UTC"))
    if first:
        lines.append(_date_format(columns.values[first], first, formats[first], stated))
        known = lines[-1].value
        for header in dates:
            mine = formats[header]
            if mine == ("",):
                written[header] = {"expr": f"TRY_CAST({quoted(header)} AS TIMESTAMP)"}
            elif known not in mine and mine and known != OPEN:
                written[header] = {"expr": f"TRY_STRPTIME({quoted(header)}, '{mine[0]}')"}
    return lines, written


def _settled(columns: Columns, header: str) -> tuple[str, ...]:
    """Formats of a column; where they are several, those that another column of the file leaves alone."""
    mine = columns.values[header].date_formats
    others = [values.date_formats for values in columns.values.values() if values.is_date]
    known = {form[0][:8] for form in others if len(form) == 1 and form[0]}
    return tuple(form for form in mine if form[:8] in known) or mine


def _date_format(values: Values, header: str, formats: tuple[str, ...], stated: Mapping[str, Any]) -> Line:
    if len(formats) == 1 and "%y" not in formats[0]:
        above = f"; {values.days_above_twelve:,} values have a day above 12" if values.days_above_twelve else ""
        return Line("date_format", formats[0], f"{header}: all but stray values fit{above}")
    # an example that the ways read differently
    apart = (text for text in values.texts if len({_reads(text, form) for form in formats}) > 1)
    example = next(apart, values.texts[0])
    moments = {form: _reads(example, form) for form in formats}
    choices = [Choice(f, f"{example} is {m.day} {m:%B %Y}" if m else f) for f, m in moments.items()]
    why = "two digits for the year" if any("%y" in form for form in formats) else "days and months up to 12 only"
    why = why if formats else f"no known way to write a date: {values.texts[0]}"
    return ask("date_format", stated, f"{header}: {why}", *choices)


def _reads(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _moment(header: str, values: Values) -> Value:
    """Times counted in seconds or days, as an expression; other values stay as they are."""
    per_second = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
    name = quoted(header)
    if values.moments in per_second:
        return {"expr": f"make_timestamp(CAST(TRY_CAST({name} AS DOUBLE) * {per_second[values.moments]} AS BIGINT))"}
    if values.moments == "days":
        return {"expr": f"TIMESTAMP '1899-12-30' + TRY_CAST({name} AS DOUBLE) * INTERVAL 1 DAY"}
    return {"expr": f"TRY_STRPTIME({name}, '%Y%m%d')"} if values.moments == "calendar" else header

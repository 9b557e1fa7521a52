"""What one value may be: read as its kind, masked where it is shown, and how to mend it where it is neither.

Nothing that allows two readings is read: ``1,234`` may be a thousand or one and a bit, so it is set aside.
"""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import ibis
import pandas as pd

from segmentkit.contracts import Column, Formats
from segmentkit.pseudonyms import masked as hidden

LARGEST = 1e13
NO = ("no", "n", "false", "f", "0", "0.0", "nein", "non")
YES = ("yes", "y", "true", "t", "1", "1.0", "ja", "oui", "si", "sí")
SIGNS = {
    "EUR": "€",
    "GBP": "£",
    "USD": r"\$|US\$",
    "CAD": r"\$|CA\$",
    "AUD": r"\$|A\$",
    "JPY": "¥",
    "INR": "₹",
    "PLN": "zł",
}
EMAIL = r"[^\s@<>(),;:]+@[^\s@<>(),;:]+\.[A-Za-z]{2,}"
PHONE = r"(\+|\(?\b0)\d[\d ()/.-]{5,}\d|\b\d{3}[ .-]\d{3}[ .-]\d{4}\b|\b\d{9,}\b"
INTERNATIONAL = r"^\+\d[\d ()/.-]{6,}\d$"
REMOVED = "[removed]"
# reading puts the writing that a part states between two of these before a value that does not fit it
UNFIT = "\x1f"
FORMULA = "a formula stands as text; export its value"
_MARKS = " '’\u00a0\u202f"
_GROUPED = {
    ".": rf"^[+-]?(\d+(\.\d*)?|\.\d+|\d{{1,3}}((,\d{{3}})+\.\d*|([{_MARKS}]\d{{3}})+(\.\d*)?))$",
    ",": rf"^[+-]?(\d*|\d{{1,3}}(\.\d{{3}})+|\d{{1,3}}([{_MARKS}]\d{{3}})+)(,\d+)?$",
}
_OFFSET = r"(:\d\d(\.\d+)?)\s*([+-]\d\d|Z):?(\d\d)?$"
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{2,4}(?!\d)")
_TWO_DIGITS = re.compile(r"(\d{1,2}[./-]\d{1,2}[./-]\d\d|\d\d-\d{1,2}-\d{1,2})(?!\d)")


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(value: str, format: str) -> datetime:  # type: ignore[empty-body]
    ...


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp"), "timestamp('UTC')"))
def _as_zone(zone, value):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))
def _in_zone(zone, value):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp('UTC')"))
def _try_instant(value, format):  # type: ignore[no-untyped-def]
    ...


def typed(value: Any, column: Column, formats: Formats, *, own_currency: bool = True) -> Any:
    """One column as its kind; missing where the value cannot be read.

    Args:
        value: the column as read, text or typed.
        column: its kind, and its levels where it is an item of a survey.
        formats: how the source writes numbers and times.
        own_currency: whether a currency sign can only mean the source's own, so that ``5 €`` is an amount in EUR.
    """
    if column.kind == "open":
        return _trimmed(value).re_replace(EMAIL, REMOVED).re_replace(PHONE, REMOVED)
    if column.kind in {"text", "nominal"} or (column.kind == "ordinal" and column.levels):
        text = _trimmed(value)
        return text.isin(column.levels).ifelse(text, None) if column.levels else text
    if column.kind == "flag" and value.type().is_boolean():
        return value
    if column.kind in {"binary", "flag"}:
        text = _trimmed(value).lower()
        no, yes = [[word.lower()] for word in column.levels] or (NO, YES)
        said = ibis.cases((text.isin(no), 0.0), (text.isin(yes), 1.0))
        return said.cast("boolean") if column.kind == "flag" else said
    if column.kind == "time":
        return _local_time(value, formats)
    sign = formats.currency if own_currency and column.kind == "money" else ""
    if value.type().is_boolean():
        return ibis.null("float64")
    number = _number(value, formats.decimal, sign) if value.type().is_string() else value.try_cast("float64")
    # NaN, infinity and what no ledger holds are not numbers here, and would stop the exact sums
    return (number.abs() < LARGEST).ifelse(number, None)


def _trimmed(value: Any) -> Any:
    """Text without blanks around it, missing where nothing is left."""
    if not value.type().is_string():
        return value.cast("string")
    # looking for a blank is twice as fast as taking away what is rarely there
    return value.re_search(r"^\s|\s$").ifelse(value.strip(), value).nullif("")


def _number(value: Any, decimal: str, currency: str) -> Any:
    def read(text: Any) -> Any:
        plain = text.re_replace(f"[{_MARKS}{'.' if decimal == ',' else ','}]", "").replace(",", ".")
        # 5.5 is no number where the comma is the sign: dropping its dot would make 55 of it
        return text.re_search(_GROUPED[decimal]).ifelse(plain, None).try_cast("float64")

    text = value.strip()
    # most values need no pattern; the engine takes 1_000 for a number, which no business writes
    readings = [] if decimal == "," else [value.contains("_").ifelse(None, value).try_cast("float64")]
    readings.append(read(text))
    if currency:
        own, blanks = f"(?:{'|'.join(filter(None, [currency, SIGNS.get(currency)]))})", "[ \u00a0\u202f]*"
        readings.append(read(text.re_replace(f"^([+-]?){blanks}{own}{blanks}|{blanks}{own}$", r"\1")))
    return ibis.coalesce(*readings)


def _local_time(value: Any, formats: Formats) -> Any:
    zoned = value.type().is_timestamp() and value.type().timezone
    if zoned or (value.type().is_string() and re.search("%[zZ]", formats.date_format)):
        # an instant, wherever the source says that its other times are from
        instant = value if zoned else _try_instant(value.strip(), formats.date_format)
        return _in_years(_in_zone(formats.time_zone, instant))
    if value.type().is_string() and formats.date_format:
        moment = _try_strptime(value.strip(), formats.date_format)
    else:
        # the engine takes infinity for a time
        dated = value.re_search(r"^\s*\d").ifelse(value.strip(), None) if value.type().is_string() else value
        moment = dated.try_cast("timestamp")
    if formats.timestamps_in not in ("local", formats.time_zone):
        moment = _in_zone(formats.time_zone, _as_zone(formats.timestamps_in, moment))
    if value.type().is_string() and not formats.date_format:
        # a time that carries its own offset says more than the source; the plain cast would drop it
        stated = value.strip().re_search(_OFFSET)
        colon = value.strip().re_replace(_OFFSET, r"\1\3:\4").re_replace(r":$", ":00").re_replace("Z:00$", "Z")
        moment = stated.ifelse(_in_zone(formats.time_zone, colon.try_cast("timestamp('UTC')")), moment)
    return _in_years(moment)


def _in_years(moment: Any) -> Any:
    # the engine reads years that Python cannot: 12025, 2025 BC
    return moment.between(datetime.min, datetime(9999, 12, 31, 23, 59, 59)).ifelse(moment, None)


def masked(value: Any, kind: str) -> str:
    """Show what looks like a date or a short number as it is; of anything else, its first characters and length."""
    if value is None or pd.isna(value):
        return ""
    text = str(value).rpartition(UNFIT)[2]
    # dates and amounts have few letters and digits; a name or an address in their column has more, and so has a phone
    short = sum(map(str.isdigit, text)) <= 8 or _DATE.match(text)
    plain = kind != "text" and len(text) <= 40 and "@" not in text and sum(map(str.isalpha, text)) <= 3 and short
    return text if plain or len(text) <= 2 else hidden(text)


def _as_stated(text: str, formats: Formats, writing: str) -> tuple[str, Formats]:
    """A value as the file has it, and how its part writes such values."""
    before, _, own = text.rpartition(UNFIT)
    return own, replace(formats, **{writing: before.removeprefix(UNFIT)}) if before else formats


def mend_number(text: str, formats: Formats) -> str:
    """What to do about a value that is no number, by its form."""
    text, formats = _as_stated(text, formats, "decimal")
    stated = f"state decimal in the source (it is {formats.decimal!r})"
    other = "," if formats.decimal == "." else "."
    forms = {
        r"%": "take the percent sign out, and say what it is a share of",
        r"^\(.*\)$": "brackets mean minus in bookkeeping; write the minus in front",
        r"\d-$": "the minus stands behind; write it in front",
        "^[\u2212\u2013\u2014]": "a dash stands for the minus; write the sign of the keyboard (-)",
        "^=": FORMULA,
        r"(?i)^[+-]?(nan|inf|infinity|null|none|n/?a|#.*|-+)$": "a missing number stands as a word; export it blank",
        rf"\d{re.escape(other)}\d": f"export without thousands marks, or {stated}",
        r"[€£$¥₹]|\b[A-Z]{3}\b": f"not the source's own currency ({formats.currency}); map a currency column and state "
        "its rate in [exchange_rates]",
    }
    return next(
        (f"mend the value: {told}" for form, told in forms.items() if re.search(form, text)),
        f"mend the value, or {stated}",
    )


def mend_date(text: str, formats: Formats) -> str:
    """What to do about a value that is no date, by its form."""
    text, formats = _as_stated(text, formats, "date_format")
    forms = {
        "^=": FORMULA,
        "^#+$": "the column was too narrow when it was exported; widen it and export again",
        r"^\d{5}([.,]\d+)?$": "a number of days is how a spreadsheet keeps a date; export it as a date",
        r"^(\d{10}|\d{13})$": 'seconds since 1970 need { expr = "epoch_ms(...)" } in the source',
        r"^\d{8}$": 'state date_format = "%Y%m%d"',
        r"\d\s*[A-Z]{3,4}$|[A-Z][a-z]+/[A-Z][a-z]+": "letters of a zone are not one time; export an offset like +01:00",
    }
    told = next((told for form, told in forms.items() if re.search(form, text)), "")
    if _TWO_DIGITS.match(text):
        told = "a year of two digits needs %y in date_format, and says no century; export four"
    if not told and _no_such_day(text, formats.date_format):
        told = "there is no such day or hour"
    how = f"it is {formats.date_format!r}" if formats.date_format else "none is stated; dates like 31.12.2025 need one"
    return f"mend the value: {told}" if told else f"mend the value, or date_format ({how})"


def _no_such_day(text: str, date_format: str) -> bool:
    try:
        datetime.strptime(text, date_format) if date_format else datetime.fromisoformat(text)
    except ValueError as error:
        return "range" in str(error) or "must be in" in str(error)
    return False


def mend_default_date(text: str, formats: Formats) -> str:
    """What to do about a date so early that it stands for a missing one."""
    return mend_date(text, formats) if _TWO_DIGITS.match(text) else "find the true date, or leave the row out"

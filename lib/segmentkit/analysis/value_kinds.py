"""What the values of a column can be: dates and in which order, numbers and with which decimal sign, ids, addresses.

Only values speak here; what a column is called is read elsewhere. Where values allow two readings both are given.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pandas as pd

from segmentkit.analysis.addresses import EMAIL

MOST = 0.9
ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)?)?")
SIGNED = re.compile(r"(Z|UTC|[+-]\d\d(:?\d\d)?)$")
DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})(?!\d)(.*)")
MONTH = r"(?i:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])\w*\.?"
NAMED_MONTH = re.compile(rf"(\w+, )?(\d{{1,2}}\.?[ -]{MONTH}[ -]\d{{2,4}}|{MONTH} \d{{1,2}},? \d{{4}})\b.*")
NAMED = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%d-%b-%y", "%b %d %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S", ", %I:%M %p", "T%H:%M:%S")
SYMBOLS = {"€": "EUR", "£": "GBP", "zł": "PLN", "₹": "INR", "₺": "TRY"}
CODES = "EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|CAD|AUD|NZD|JPY|CNY|INR|BRL|MXN|ZAR|TRY|SGD|HKD|ILS|AED"
MONEY_MARK = re.compile(rf"[€£$₹₺¥]|zł|\bkr\b|\b(?:{CODES})\b")
NUMBER = re.compile(r"(?=.*\d)[+-]?(\d+|\d{1,3}([.,' \u00a0\u202f]\d{3})+)?([.,]\d+)?-?|\(\d[\d.,' ]*\)")
FLAGS = re.compile("yes|no|y|n|true|false|t|f|0|1|ja|nein|oui|non|si|sí|wahr|falsch", re.I)
PHONE = re.compile(r"'?(\+|00|0|\()[\d ()./-]{6,18}\d")
IP = re.compile(r"(\d{1,3}\.){3}\d{1,3}|([0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}")
PERSON = re.compile(r"[^\W\d_][^\W\d_'-]+,? [^\W\d_][\w' .-]+")


@dataclass(frozen=True)
class Values:
    """The values of one column of a sample, blanks apart.

    Attributes:
        rows: rows of the sample.
        texts: values that are not blank, trimmed, in the order of the sample.
    """

    rows: int
    texts: tuple[str, ...]

    @classmethod
    def of(cls, column: Iterable[object]) -> "Values":
        """From a column of any type."""
        series = pd.Series(column, dtype="object")
        texts = [str(value).strip() for value in series[series.notna()]]
        return cls(len(series), tuple(text for text in texts if text))

    def share(self, pattern: re.Pattern[str]) -> float:
        """Share of the values that are wholly of this form; 0 without values."""
        fits = sum(bool(pattern.fullmatch(text)) for text in self.texts)
        return fits / len(self.texts) if self.texts else 0.0

    @cached_property
    def filled(self) -> float:
        """Share of rows with a value."""
        return len(self.texts) / self.rows if self.rows else 0.0

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs."""
        return Counter(self.texts)

    @cached_property
    def distinct(self) -> float:
        """Distinct values by values; 1 where none repeats."""
        return len(self.counts) / len(self.texts) if self.texts else 0.0

    @cached_property
    def kind(self) -> str:
        """By most values one of empty, email, ip, date, flag, currency, number, integer, phone, code and text."""
        if not self.texts:
            return "empty"
        if self.share(EMAIL) >= MOST:
            return "email"
        if self.share(IP) >= MOST and self.share(ISO) < MOST:
            return "ip"
        if self.is_date:
            return "date"
        if self.share(FLAGS) == 1:
            return "flag"
        if self.share(re.compile(CODES)) == 1:
            return "currency"
        if self.numbers >= MOST:
            phone = self.share(re.compile(r"(\+|00?)\d{8,14}")) >= MOST
            whole = self.share(re.compile(r"-?\d+([.,]0+)?")) >= MOST
            return "phone" if phone else "integer" if whole else "number"
        if self.share(PHONE) >= MOST:
            return "phone"
        return "code" if self.share(re.compile(r"(?=.*\d)[\w#./'-]{2,64}")) >= MOST else "text"

    @cached_property
    def is_date(self) -> bool:
        """Whether most values are dates in some order."""
        numeric = sum(_in_calendar(found) for found in map(DATE.fullmatch, self.texts) if found)
        return (self.share(ISO) >= MOST) or numeric >= MOST * len(self.texts) or self.share(NAMED_MONTH) >= MOST

    @cached_property
    def date_formats(self) -> tuple[str, ...]:
        """Every way to read the dates that fits nearly all of them; empty text for ISO; none if no known way fits.

        More than one is an open question: both orders of day and month, or two digits for the year.
        """
        if self.share(ISO) >= MOST:
            return ("",)
        return tuple(form for form in _candidates(list(self.counts)[:200]) if _fits(self.counts, form))

    @cached_property
    def days_above_twelve(self) -> int:
        """Values whose first or second number can only be a day; 0 leaves the order of day and month open."""
        found = [match for match in map(DATE.fullmatch, self.texts) if match and len(match[1]) <= 2]
        return sum(max(int(match[1]), int(match[3])) > 12 for match in found)

    @cached_property
    def moments(self) -> str:
        """Unit of times counted since 1970, or ``days`` as spreadsheets count them; empty for other numbers."""
        lengths = {len(text.partition(".")[0]) for text in self.counts if text.replace(".", "", 1).isdigit()}
        units = {10: "seconds", 13: "milliseconds", 16: "microseconds", 5: "days", 8: "calendar"}
        if self.kind not in ("integer", "number", "code") or len(lengths) != 1 or not lengths & set(units):
            return ""
        unit, first = units[lengths.pop()], min(self.counts)
        if unit == "calendar":
            return unit if self.share(re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")) >= MOST else ""
        return unit if "1" <= first[0] <= "2" or (unit == "days" and first[0] in "34") else ""

    @cached_property
    def with_offset(self) -> float:
        """Share of ISO times that carry their own offset from UTC."""
        return sum(bool(ISO.fullmatch(text) and SIGNED.search(text[10:])) for text in self.texts) / max(
            len(self.texts), 1
        )

    @cached_property
    def numbers(self) -> float:
        """Share of the values that are numbers, currency signs, blanks and grouping apart."""
        bare = Values(self.rows, tuple(MONEY_MARK.sub("", text).strip(" \u00a0\u202f%") for text in self.texts))
        return bare.share(NUMBER)

    @cached_property
    def decimal(self) -> str:
        """Decimal sign, ``.`` or ``,``; empty where no value has one; ``?`` where values do not tell or contradict."""
        seen: set[str] = set()
        open_ = False
        for text in self.counts:
            signs = re.sub(r"[^.,]", "", text)
            if not signs or not self.numbers >= MOST:
                continue
            last = max(text.rfind("."), text.rfind(","))
            behind = len(re.match(r"\d*", text[last + 1 :])[0])  # type: ignore[index]
            if len(set(signs)) == 2:
                seen.add(text[last])
            elif len(signs) > 1:
                seen.add("." if signs[0] == "," else ",")
            elif behind == 3 and 1 <= len(re.sub(r"\D", "", text[:last]).lstrip("0")) <= 3:
                open_ = True
            else:
                seen.add(text[last])
        return seen.pop() if len(seen) == 1 else "?" if seen or open_ else ""

    @cached_property
    def dressed(self) -> bool:
        """Whether numbers carry what an engine does not read: currency signs, blanks or commas between thousands."""
        commas = self.decimal == "." and any("," in text for text in self.counts)
        return self.numbers >= MOST and (commas or any(re.search(r"[^\d.,+-]|.-", text) for text in self.counts))

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """Currency codes in the values; ``?`` for a sign that several currencies share."""
        found = {mark for text in self.counts for mark in MONEY_MARK.findall(text)}
        return tuple(sorted({SYMBOLS.get(mark, mark if mark in CODES.split("|") else "?") for mark in found}))

    @cached_property
    def people(self) -> float:
        """Share of the values that look like a first and a last name."""
        return self.share(PERSON)

    @cached_property
    def figures(self) -> pd.Series:
        """The values as numbers, in the order of the sample; missing where the decimal sign is open."""
        point = "," if self.decimal == "," else "."
        bare = pd.Series(self.texts, dtype="str").str.replace(rf"[^\d{point}-]", "", regex=True)
        return pd.to_numeric(bare.str.replace(",", "."), errors="coerce")


def _in_calendar(found: re.Match[str]) -> bool:
    first, second, third = int(found[1]), int(found[3]), int(found[4])
    year_first = len(found[1]) == 4 and 1 <= second <= 12 and 1 <= third <= 31
    year_last = len(found[1]) <= 2 and len(found[4]) != 3 and 1 <= min(first, second) <= 12 and max(first, second) <= 31
    return year_first or year_last


def _candidates(texts: Sequence[str]) -> list[str]:
    """Ways in which the first value could be written, clock times included."""
    for text in texts:
        if found := DATE.fullmatch(text):
            sign = found[2]
            year_first = len(found[1]) == 4
            short = [("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%y", "%m", "%d")]
            full = [("%Y", "%m", "%d"), ("%Y", "%d", "%m")] if year_first else [("%d", "%m", "%Y"), ("%m", "%d", "%Y")]
            orders = short if len(found[4]) == 2 and not year_first else full[:1] if year_first else full
            return [sign.join(order) + clock for clock in CLOCKS for order in orders]
        if NAMED_MONTH.fullmatch(text):
            return [day + clock for clock in CLOCKS for day in NAMED]
    return []


def _fits(counts: Counter[str], form: str) -> bool:
    """Whether nearly all values parse; one value in a hundred may be a fault of the file."""
    total = sum(counts.values())
    wrong = 0
    for text, often in counts.items():
        try:
            datetime.strptime(text, form)
        except ValueError:
            wrong += often
            if wrong > total * 0.02:
                return False
    return True

"""The address book: brought to one spelling, hashed where a platform wants it, and never run as a formula.

Nothing in here belongs into a run's tables or metrics; only counts leave this module for a report.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
import phonenumbers
from phonenumbers import SUPPORTED_REGIONS

from segmentkit.errors import DataError

COLUMNS = ["customer_id", "email", "phone", "first_name", "last_name", "country", "postcode", "crm_id", "external_id"]
# in place of an e-mail or phone where a customer has several
SEVERAL = "several addresses"
NAMED = ["first_name", "last_name", "country", "postcode"]
# which of a person's entries an export may be matched by; "address" stands for the four of NAMED together
IDS = {"email": "e-mail", "phone": "phone", "address": "postal address", "crm_id": "CRM id", "external_id": "own id"}
# ASVS 5, 1.2.10 and CWE-1236; spreadsheets in East Asia take the full-width signs too. White space and marks without
# width may stand before them
FORMULA = re.compile("[\\s\u200b\ufeff]*[=+\\-@\t\r\0\uff1d\uff0b\uff0d\uff20]")
# spreadsheets of half of Europe begin a cell at a semicolon, quoted or not, and then take line ends for line ends too
BEGINNING = re.compile(f"(^|[;\n])({FORMULA.pattern})")
# in no typed text, and a file with one is refused or cut off
CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff]")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
EMAIL = re.compile(
    # an apostrophe in front is what a spreadsheet left; marks without width come with pasting and match nobody
    r"(?![.'])(?!.*\.\.)[^\s@\"`(),:;<>\[\]\\\xad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]{1,64}(?<!\.)@(?:[^\W_](?:[\w-]*[^\W_])?\.)+(?:[^\W\d_]{2,}|xn--[a-z0-9-]+)"
)
SALESFORCE_ID = re.compile("[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
TAG = re.compile(r"<[a-zA-Z/!?][^>]*>?")


@dataclass(frozen=True)
class Book:
    """An address book that can be used.

    Attributes:
        table: one row a customer, with ``COLUMNS`` and ``address`` (the four of ``NAMED`` as one text, where all are
            there); what cannot be used, or is shared by several customers, is missing. Never printed.
        counts: ``entry, given, unusable, shared, usable``; one row each of ``IDS``.
        several: customers of whom it cannot be told which e-mail or phone their consent is for.
    """

    table: pd.DataFrame = field(repr=False)
    counts: pd.DataFrame
    several: int = 0

    @property
    def known(self) -> pd.DataFrame:
        """``customer_id``, and for each of ``IDS`` and the postcode whether the customer has it: no address."""
        names = [*IDS, "postcode"]
        return self.table[["customer_id"]].join(self.table[names].notna())

    @property
    def sentence(self) -> str:
        """What of the book can be used, in numbers."""
        parts = [
            f"{IDS[row.entry]} {row.usable:,} of {row.given:,} ({row.unusable:,} not usable, {row.shared:,} shared)"
            for row in self.counts.itertuples()
            if row.given
        ]
        told = "; ".join(parts) or "no entries"
        return (
            f"The address book holds {len(self.table):,} customers: {told}. An entry that several customers share is "
            "left out for all of them: it would reach one person in two arms."
            + f" {self.several:,} customers have several e-mails or phones and get none of these: their consent may be "
            "for another." * bool(self.several)
        )


def read(book: pd.DataFrame) -> Book:
    """Bring an address book to one spelling.

    E-mail: trimmed, lower case. Phone: E.164; a national number needs the row's country, which is never guessed, and
    only its length is judged, since numbers set aside for fiction are not valid ones. Names: trimmed, Unicode NFC.

    Args:
        book: ``customer_id`` and any of ``COLUMNS``, all text.

    Raises:
        DataError: a customer without id, or twice.
    """
    ids = book["customer_id"]
    if ids.isna().any() or ids.duplicated().any():
        raise DataError(
            f"addresses without customer_id == {ids.isna().sum():,}, twice == {ids.duplicated().sum():,}; an address "
            "book has one row a customer; mend the table"
        )
    given = book.reindex(columns=COLUMNS).reset_index(drop=True)
    table = given[["customer_id"]].assign(**{name: _each(given[name], trimmed) for name in COLUMNS[1:]})
    table["country"] = _each(table["country"], lambda text: text.upper() if text.upper() in SUPPORTED_REGIONS else "")
    table["phone"] = phones(table["phone"], table["country"])
    table["email"] = emails(table["email"])
    table["crm_id"] = _each(table["crm_id"], lambda text: text if SALESFORCE_ID.fullmatch(text) else "")
    # what a platform may run, or would have to be changed, names nobody: without its tags an id may be another's
    table["external_id"] = _each(
        table["external_id"], lambda text: "" if FORMULA.match(text) or TAG.search(text) else text
    )
    texts = (table[name].fillna("").str.lower() for name in NAMED)
    # names are hashed, and a country and a postcode written, only together and where none of them is formula text
    whole = pd.DataFrame({name: for_machine(table[name])[0] for name in NAMED}).notna().all(axis=1)
    table["address"] = pd.Series(["\n".join(parts) for parts in zip(*texts, strict=True)], dtype="str").where(whole)
    rows = []
    for name in IDS:
        there = (whole if name == "address" else _each(given[name], trimmed).notna()).sum()
        shared = table[name].notna() & table[name].duplicated(keep=False)
        rows.append((name, int(there), int(there - table[name].notna().sum()), int(shared.sum())))
        table[name] = table[name].mask(shared)
    counts = pd.DataFrame(rows, columns=["entry", "given", "unusable", "shared"])
    several = int(given[["email", "phone"]].eq(SEVERAL).any(axis=1).sum())
    return Book(table, counts.assign(usable=counts["given"] - counts["unusable"] - counts["shared"]), several)


def trimmed(text: str) -> str:
    """Without control characters and white space around, in Unicode NFC, with one kind of line end."""
    return unicodedata.normalize("NFC", CONTROL.sub("", re.sub("\r\n?", "\n", text))).strip()


def emails(texts: pd.Series) -> pd.Series:
    """Trimmed and in lower case; missing where it is no e-mail address, or would start a formula."""

    def one(text: str) -> str:
        low = trimmed(text).lower()
        return low if len(low) <= 254 and EMAIL.fullmatch(low) and not FORMULA.match(low) else ""

    return _each(texts, one)


def phones(numbers: pd.Series, countries: pd.Series) -> pd.Series:
    """Numbers as E.164; missing where the length is wrong, or the country of a national number is not known."""
    pairs = list(zip(numbers.fillna(""), countries.fillna(""), strict=True))
    known = {pair: _e164(*pair) for pair in set(pairs)}
    return pd.Series([known[pair] for pair in pairs], index=numbers.index, dtype="str")


def _e164(number: str, country: str) -> str | None:
    try:
        parsed = phonenumbers.parse(number, country.strip().upper() or None)
    except phonenumbers.NumberParseException:
        return None
    # is_possible_number alone passes local numbers without their area, which no other place can dial
    judged = phonenumbers.is_possible_number_with_reason(parsed)
    fits = judged == phonenumbers.ValidationResult.IS_POSSIBLE
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) if fits else None


def hashed(texts: pd.Series) -> pd.Series:
    """SHA-256 of the trimmed, lower-case text in UTF-8, as lower-case hex; missing stays missing."""
    return _each(texts, lambda text: hashlib.sha256(trimmed(text).lower().encode()).hexdigest())


def for_people(texts: pd.Series) -> pd.Series:
    """Text that a spreadsheet would run gets an apostrophe in front, which makes it text again."""
    return _each(texts, lambda text: BEGINNING.sub(r"\1'\2", text))


def for_machine(texts: pd.Series, *, phones: bool = False) -> tuple[pd.Series, int]:
    """Text that a spreadsheet would run is refused, and how many cells were: they are empty.

    An apostrophe in front would be imported as part of the name, and would keep a phone from being matched. In a column
    of ``phones`` E.164 numbers stay as they are; a name of that form does not.
    """

    def one(text: str) -> str:
        return text if (phones and E164.fullmatch(text)) or not FORMULA.match(text) else ""

    kept = _each(texts, one)
    return kept, int(texts.fillna("").ne("").sum() - kept.notna().sum())


def without_tags(texts: pd.Series) -> pd.Series:
    """Text without HTML tags, those too that appear only once others are gone."""

    def one(text: str) -> str:
        while (shorter := TAG.sub("", text)) != text:
            text = shorter
        return text.strip()

    return _each(texts, one)


def _each(texts: pd.Series, change: Callable[[str], str]) -> pd.Series:
    """Change every distinct text once; what becomes empty is missing."""
    changed = {text: change(text) or None for text in texts.dropna().unique()}
    return texts.map(changed).astype("str").where(texts.notna())

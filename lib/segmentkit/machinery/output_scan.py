"""The output scan: e-mails, phone numbers and long ids in the files of a run, before a report is written.

Counts and masked values leave this module, never what was found. Hashes of e-mails cannot be told from other hashes.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from segmentkit.errors import PrivacyStop
from segmentkit.machinery.files import read_json
from segmentkit.machinery.identifier_forms import begins_number, cut, identifiers, trunk
from segmentkit.machinery.threads import duckdb_memory_limit
from segmentkit.pseudonyms import masked

PICTURES = {".png"}
# addresses leave by these on purpose, past gates of their own
NOT_SCANNED = "exports"
MOST_VALUES = 10_000

# what the engine hands over of a column, wider than the rules above and fast
SUSPECT = (
    r"@|(^|[^0-9A-Za-z])\+[1-9][0-9 ()/.-]{6}|(^|\D)00[1-9]\d? ?[ ()/.-]|\d{14}|\d{4}[ -]\d{4}[ -]\d{4}|"
    r"\(?\d{2,5}\)?[ /-]{1,3}\d[\d /-]{3,}\d|[A-Z]{2}\d\d ?[A-Z0-9]{4}"
)
BARE = r"\d{7,15}"
PHONE_NAME = re.compile("phone|mobile|whatsapp|^(tel|cell|fax)|_(tel|cell|fax)", re.IGNORECASE)
MOSTLY = 0.8


@dataclass(frozen=True)
class Finding:
    """What must not be there: its file, the line, cell or column, the kind, the first one masked, and how many."""

    file: str
    place: str
    kind: str
    masked: str
    count: int

    def __str__(self) -> str:
        """For a message."""
        return f"{self.file} {self.place}: {self.count:,} {self.kind}, the first {self.masked}"


def check_outputs(folder: Path) -> None:
    """Hold the files of a run against the rule that none holds a person's e-mail, phone or long id.

    Raises:
        PrivacyStop: one does; every place is named, no value is shown in clear.
    """
    found = scan(folder, read_json(folder / "source.json").get("facts", {}).get("country", ""))
    if found:
        told = "; ".join(map(str, found[:8])) + (f"; and {len(found) - 8} places more" if len(found) > 8 else "")
        raise PrivacyStop(
            f"personal data in the files of the run == {sum(one.count for one in found):,}; a report may hold none, "
            f"and none was written; {told}; take the column out of the source's map, or name it there as what it is "
            "(email, phone, customer_id), and run again from 01"
        )


def scan(folder: Path, country: str = "") -> list[Finding]:
    """E-mails, phone numbers, card numbers and bank accounts in every file of a folder, exports and pictures apart.

    Args:
        folder: of a run.
        country: two letters; national phone numbers are known by it. Without, those with a country code are found, and
            those written the American way.

    Returns:
        One finding a place and kind, in the order of the files.
    """
    with _engine() as connection:
        return [one for path in _files(folder) for one in _findings(connection, path, folder, country.upper())]


def known(folder: Path, values: Iterable[str]) -> list[str]:
    """Files of a folder that hold one of the given identifiers, as ``file: masked``, exports apart.

    E-mails and names are found in any case, names in either order; phones by their last eight digits, however grouped.
    """
    patterns = {value: _pattern(value) for value in values}
    found = []
    for path in _files(folder):
        text = "\n".join(_plain(text) for _, text in texts(path))
        name = path.relative_to(folder).as_posix()
        found += [f"{name}: {masked(value)}" for value, pattern in patterns.items() if pattern.search(text)]
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and inside[0] != NOT_SCANNED and path.suffix.lower() not in PICTURES:
            yield path


def _findings(connection: Any, path: Path, folder: Path, country: str) -> Iterator[Finding]:
    name = path.relative_to(folder).as_posix()
    if path.suffix == ".parquet":
        yield from _in_columns(connection, path, name, country)
        return
    for place, text in texts(path):
        plain = cut(text)
        grouped: dict[str, list[tuple[int, str]]] = {}
        for kind, start, value in identifiers(plain, country):
            grouped.setdefault(kind, []).append((start, value))
        for kind, hits in grouped.items():
            start, value = min(hits)
            yield Finding(name, place or f"line {plain.count(chr(10), 0, start) + 1}", kind, masked(value), len(hits))


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """The text of a file with its place: a cell, or nothing where lines are counted."""
    if path.suffix == ".xlsx":
        for sheet in load_workbook(path, read_only=True):
            for row in sheet.iter_rows():
                yield from ((f"{sheet.title}!{one.coordinate}", str(one.value)) for one in row if one.value is not None)
    elif path.suffix == ".parquet":
        with _engine() as connection:
            for column in _text_columns(connection, path):
                rows = connection.execute(f"SELECT DISTINCT {_name(column)}::VARCHAR FROM read_parquet(?)", [str(path)])
                yield f"column {column}", "\n".join(row[0] for row in rows.fetchall() if row[0])
    else:
        yield "", path.read_text(encoding="utf-8", errors="replace")


def _in_columns(connection: Any, path: Path, file: str, country: str) -> Iterator[Finding]:
    """Findings in a table: the engine looks through every row, and only what is suspect comes out."""
    for column in _text_columns(connection, path):
        column_of = f"FROM (SELECT {_name(column)}::VARCHAR AS v FROM read_parquet(?))"
        query = (
            f"SELECT v, count(*) {column_of} WHERE regexp_matches(v, ?) GROUP BY v ORDER BY v NOT LIKE '%@%', v LIMIT ?"
        )
        totals: Counter[str] = Counter()
        first: dict[str, str] = {}
        for value, rows in connection.execute(query, [str(path), SUSPECT, MOST_VALUES]).fetchall():
            for kind in {kind for kind, _, _ in identifiers(cut(value), country)}:
                totals[kind] += rows
                first.setdefault(kind, value)
        if not totals and (bare := _bare_phones(connection, path, column, country)):
            totals["phone numbers"], first["phone numbers"] = len(bare), bare[0]
        for kind, rows in totals.items():
            yield Finding(file, f"column {column}", kind, masked(first[kind]), rows)


def _bare_phones(connection: Any, path: Path, column: str, country: str) -> list[str]:
    """Values of a column that mostly holds phone numbers without any sign between their digits.

    One such number cannot be told from an order number; a column of them can, by its name or by the 0 in front.
    """
    named = PHONE_NAME.search(column)
    if not named and trunk(country) != "0":
        return []

    def fits(value: str) -> bool:
        if named:
            return begins_number(f"+{value}", None) or begins_number(value, country or "US")
        return value.startswith("0") and begins_number(value, country, valid=True)

    column_of = f"FROM (SELECT {_name(column)}::VARCHAR AS v FROM read_parquet(?))"
    query = f"SELECT count(v), count(*) FILTER (regexp_full_match(v, ?)) {column_of}"
    filled, bare = connection.execute(query, [BARE, str(path)]).fetchone()
    if not filled or bare < MOSTLY * filled:
        return []
    query = f"SELECT DISTINCT v, hash(v) AS h {column_of} WHERE regexp_full_match(v, ?) ORDER BY h, v LIMIT 200"
    values = [row[0] for row in connection.execute(query, [str(path), BARE]).fetchall()]
    phones = [value for value in values if fits(value)]
    return phones if len(phones) >= MOSTLY * len(values) else []


def _engine() -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = 1; SET memory_limit = '{duckdb_memory_limit()}'")
    connection.execute("SET autoinstall_known_extensions = false")
    return connection


def _text_columns(connection: Any, path: Path) -> list[str]:
    rows = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return [
        name for name, kind, *_ in rows if kind.startswith(("VARCHAR", "STRUCT", "JSON", "BLOB", "MAP")) or "[]" in kind
    ]


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _plain(text: str) -> str:
    """In one case and one Unicode form, without pictures."""
    return unicodedata.normalize("NFKC", cut(text)).casefold()


def _pattern(value: str) -> re.Pattern[str]:
    digits = re.sub(r"\D", "", value)
    if len(digits) >= 7 and not re.search(r"[^\W\d_]", value):
        return re.compile(r"[\s()/.\-]{0,2}".join(digits[-8:]) + r"(?!\d)")
    words = [re.escape(word) for word in re.split(r"[\s,]+", _plain(value).strip()) if word]
    orders = [r"[\s,._-]+".join(words), r"[\s,._-]+".join(reversed(words))]
    return re.compile(rf"(?<!\w)(?:{'|'.join(orders)})(?!\w)")

"""CSV, TSV and other text in columns: everything stated to the engine's reader, and no row lost or misnumbered.

The engine splits and numbers the lines; what it would guess from the first lines of a file is decided here, and
what it says it has read is held against the lines of the file.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.errors import DataError
from segmentkit.machinery.encodings import as_utf8
from segmentkit.machinery.headers import Header, header_rows, read_header, skip_rows
from segmentkit.machinery.line_scan import blank_lines, count_lines, has_long_line, holds, line_ends, without_footer
from segmentkit.machinery.opened import Opened, first_line, keep, named, quoted, set_aside, view

_START = 2**20
_RECORDS = 12
_MEND = "mend the line in the file, or export it again with every text field in quotes"
_FORGET = "DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans"
# what the engine shows as the line begins with the blank lines before it
_REJECTED = """
SELECT line, any_value(error_type) AS rule, max(length(whole) - length(replace(whole, chr(10), ''))) AS breaks,
       min(line_byte_position + length(csv_line) - length(whole)) AS position
FROM (SELECT *, trim(csv_line, chr(13) || chr(10)) AS whole FROM reject_errors)
GROUP BY line ORDER BY line
"""
_WORDS = {
    "TOO MANY COLUMNS": "the line has more fields than the header",
    "MISSING COLUMNS": "the line has fewer fields than the header",
    "UNQUOTED VALUE": "a quote is not closed",
    "INVALID ENCODING": "the line is not valid text in this encoding",
    "LINE SIZE OVER MAXIMUM": "the line is too long",
}
# the engine numbers the rows it could read: shift each past the rows before it that it could not
_NUMBER_AS_IN_THE_FILE = """
WITH ranked AS (SELECT number, row_number() OVER (ORDER BY number) AS before FROM rows_lost),
gaps AS (SELECT number - before + 1 AS gap, max(before) AS before FROM ranked GROUP BY gap)
SELECT t.* REPLACE (t.row_number + coalesce(gaps.before, 0) AS row_number)
FROM {table} AS t ASOF LEFT JOIN gaps ON t.row_number >= gaps.gap
"""


@dataclass(frozen=True)
class _Layout:
    """Where the header is, in lines and in bytes, how many lines it takes, and what parts the fields of a line."""

    header: Header
    delimiter: str
    lines_above: int
    begin: int
    lines: int


def read_text(connection: Any, path: Path, file: str, options: Mapping[str, Any]) -> Opened:
    """Open a text file in columns; every column is text, and lines that cannot be split are set aside.

    Raises:
        DataError: the encoding, the header or the quotes make the file unreadable.
    """
    clean, notes = as_utf8(path, file, str(options.get("encoding", "")))
    clean, more = without_footer(clean, options.get("footer", False))
    layout = _layout(clean, file, options)
    table, unreadable = _read(connection, clean, file, layout)
    opened = Opened(file, table, unreadable, (*notes, *more, *layout.header.notes), path, layout.header.labels)
    opened = _without_header_rows(connection, opened, header_rows(options) - 1)
    return _without_zero_bytes(connection, opened) if holds(clean, b"\0") else opened


def _layout(path: Path, file: str, options: Mapping[str, Any]) -> _Layout:
    with path.open("rb") as content:
        start = content.read(_START).decode(errors="replace")
    lines, above, titles, place = io.StringIO(start, newline=""), 0, skip_rows(options), 0
    while (line := lines.readline()) and (titles or not line.strip()):
        titles -= bool(line.strip())
        place, above = lines.tell(), above + 1
    if "\ufffd" in line:
        raise DataError(f"{file} is not text in utf-8; state encoding in the source, e.g. latin-1")
    text = start[place:]
    # by the header; above it may stand a title that has none
    found = {one: [len(record) for record in _records(text, one, _RECORDS)[0]] for one in ",;\t|"}
    delimiter = str(options.get("delimiter") or "") or max(found, key=lambda one: (found[one][0], max(found[one])))
    if len(delimiter) != 1:
        raise DataError(f"{file}: delimiter == {delimiter!r}; it must be one character, e.g. ; or \\t; mend the source")
    records, ends = _records(text, delimiter, _RECORDS)
    return _Layout(read_header(file, records, options), delimiter, above, len(start[:place].encode()), ends[0])


def _records(text: str, delimiter: str, n: int) -> tuple[list[list[str]], list[int]]:
    """The first rows that are not blank, and the lines that end them."""
    found: list[list[str]] = []
    ends: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for record in reader:
            if record:
                found.append(record)
                ends.append(reader.line_num)
            if len(found) == n:
                break
    except csv.Error:
        pass  # a field is longer than this reader takes: the engine sees to it
    return found or [[""]], ends or [1]


def _read(connection: Any, path: Path, file: str, layout: _Layout) -> tuple[ibis.Table, pd.DataFrame]:
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in layout.header.names)
    # after a line over its limit the engine, reading in parallel, may lose rows
    parallel = str(not has_long_line(path)).lower()
    call = (
        f"read_csv({quoted(path.as_posix())}, auto_detect = false, header = true, skip = {layout.lines_above}, "
        f"columns = {{{columns}}}, delim = {quoted(layout.delimiter)}, encoding = 'utf-8', quote = '\"', "
        f"escape = '\"', parallel = {parallel}, store_rejects = true, rejects_limit = 0)"
    )
    try:
        connection.raw_sql(_FORGET)  # what an earlier reading that failed has left
        table = keep(connection, f"SELECT row_number() OVER () AS row_number, * FROM {call}")
        rejected = connection.raw_sql(_REJECTED).df()
        connection.raw_sql(_FORGET)
    except Exception as error:
        raise DataError(
            f"{file} cannot be read as text in columns: {line_ends(path) or first_line(error)}; state delimiter and "
            "encoding, and save it with one kind of line ending"
        ) from None
    # the engine counts the header, the lines above it and blank lines; a row is none of these
    blanks = _blanks(path, layout) if len(rejected) else np.array([], dtype="int64")
    before = np.searchsorted(blanks, rejected["position"].to_numpy() - 1)
    rejected["number"] = (rejected["line"] - 1 - layout.lines_above - before).astype("int64")
    _refuse_lost_lines(connection, path, file, layout, table, rejected)
    if not len(rejected):
        return table, set_aside()
    return _renumbered(connection, table, rejected["number"]), _unreadable(rejected)


def _blanks(path: Path, layout: _Layout) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Blank lines that are no rows; in a file of one column they are."""
    return blank_lines(path, layout.begin) if len(layout.header.names) > 1 else np.array([], dtype="int64")


def _refuse_lost_lines(
    connection: Any, path: Path, file: str, layout: _Layout, table: ibis.Table, rejected: pd.DataFrame
) -> None:
    """Every line of the file is a row, a part of one, or blank; where one is missing, an open quote swallowed it."""
    swallowing = rejected[(rejected["rule"] == "UNQUOTED VALUE") & (rejected["breaks"] > 0)]
    lines = count_lines(path) - layout.lines_above - layout.lines - len(rejected) - int(table.count().execute())
    lines -= len(_blanks(path, layout)) if lines else 0
    lines = lines if holds(path, b"\n") else 0  # the breaks of old Macs are not told from those within quotes
    if len(swallowing) or (lines and lines - int(rejected["breaks"].sum()) > _breaks_in(connection, table)):
        odd = rejected[rejected["rule"].isin(["UNQUOTED VALUE", "LINE SIZE OVER MAXIMUM"])]
        where = f", row {odd['number'].min()}" if len(odd) else ""
        raise DataError(
            f"{file}{where}: a quote is opened and not closed, so the rows after it cannot be told apart; close it, "
            "or export again with every text field in quotes"
        )


def _breaks_in(connection: Any, table: ibis.Table) -> int:
    """Line breaks within the values."""
    values = [f"coalesce({named(column)}, '')" for column in table.columns if column != "row_number"]
    text = f"concat({', '.join(values)})"
    (found,) = connection.raw_sql(
        f"SELECT coalesce(sum(length(v) - length(replace(v, chr(10), ''))), 0) FROM (SELECT {text} AS v "
        f"FROM {named(table.get_name())}) WHERE contains(v, chr(10))"
    ).fetchone()
    return int(found)


def _renumbered(connection: Any, table: ibis.Table, lost: "pd.Series[int]") -> ibis.Table:
    connection.con.register("rows_lost", pd.DataFrame({"number": lost}))
    try:
        return keep(connection, _NUMBER_AS_IN_THE_FILE.format(table=named(table.get_name())))
    finally:
        connection.con.unregister("rows_lost")


def _unreadable(rejected: pd.DataFrame) -> pd.DataFrame:
    rules = [f"unreadable: {_WORDS.get(str(rule), str(rule).lower())}" for rule in rejected["rule"]]
    return set_aside((int(n), rule, "", "", _MEND) for n, rule in zip(rejected["number"], rules, strict=True))


def _without_header_rows(connection: Any, opened: Opened, rows: int) -> Opened:
    """Further header rows were read as data: leave them out, the next row being the first."""
    if not rows:
        return opened
    name = named(opened.table.get_name())
    query = f"SELECT * REPLACE (row_number - {rows} AS row_number) FROM {name} WHERE row_number > {rows}"
    unreadable = opened.unreadable[opened.unreadable["row_number"] > rows]
    unreadable = unreadable.assign(row_number=unreadable["row_number"] - rows)
    return replace(opened, table=view(connection, query), unreadable=unreadable.reset_index(drop=True))


def _without_zero_bytes(connection: Any, opened: Opened) -> Opened:
    """Rows with a NUL byte: a cut or overwritten file, no text."""
    name, columns = named(opened.table.get_name()), [c for c in opened.table.columns if c != "row_number"]
    damaged = " OR ".join(f"coalesce(contains({named(column)}, chr(0)), false)" for column in columns)
    rows = connection.raw_sql(f"SELECT row_number FROM {name} WHERE {damaged} ORDER BY row_number").fetchall()
    mend = "the file was cut or overwritten there: copy or export it again"
    more = set_aside((number, "unreadable: the line holds NUL bytes", "", "", mend) for (number,) in rows)
    unreadable = pd.concat([opened.unreadable, more]).sort_values("row_number", ignore_index=True)
    return replace(opened, table=view(connection, f"SELECT * FROM {name} WHERE NOT ({damaged})"), unreadable=unreadable)

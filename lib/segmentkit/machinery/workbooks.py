"""Excel workbooks: one sheet, streamed row by row, every cell as text without loss."""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import openpyxl

from segmentkit.errors import DataError
from segmentkit.machinery.headers import Header, header_rows, read_header, skip_rows
from segmentkit.machinery.opened import Opened, as_text, keep_rows, set_aside
from segmentkit.machinery.unpacking import within_limit

_ERROR = re.compile(r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!)")
_MANY_DIGITS = 10**15
_PEEK = 10
# number in the sheet, values, places of formulas that were never computed
_Row = tuple[int, Sequence[Any], Sequence[int]]


@dataclass
class _Found:
    """What turns up while the rows stream by."""

    failed: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    rounded: Counter[str] = field(default_factory=Counter)
    footer: int = 0


def read_workbook(connection: Any, path: Path, file: str, sheet: str, options: Mapping[str, Any]) -> Opened:
    """Open one sheet of a workbook; dates become ISO text, and rows with an error in a cell are set aside.

    Row numbers count the sheet's rows below the header, blank ones too; blank ones are no rows of the table.

    Raises:
        DataError: no workbook, a sheet that is not there or must be named, or no header.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            within_limit(file, sum(member.file_size for member in archive.infolist()))
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        return _read(connection, path, file, _sheet(file, book, sheet), options)
    except (zipfile.BadZipFile, LookupError, ValueError, TypeError, AttributeError, SyntaxError, EOFError) as error:
        raise DataError(
            f"{file} cannot be read as an Excel workbook: {error}; open it in Excel and save it anew as .xlsx"
        ) from None


def _sheet(file: str, book: Any, asked: str) -> Any:
    """The sheet that was asked for, or the only one that is shown and has content."""
    if asked:
        if asked not in [sheet.title for sheet in book.worksheets]:
            raise DataError(f"{file} has no sheet {asked!r}; it has: {', '.join(book.sheetnames)}; mend `path`")
        return book[asked]
    shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    filled = [sheet for sheet in shown if any(_is_filled(row) for row in _values(sheet))]
    if not filled:
        raise DataError(f"{file}: no sheet of it has content; export it again")
    if len(filled) > 1:
        names = ", ".join(sheet.title for sheet in filled)
        raise DataError(f"{file} has {len(filled)} sheets with content: {names}; name one: {file}::{filled[0].title}")
    return filled[0]


def _read(connection: Any, path: Path, file: str, sheet: Any, options: Mapping[str, Any]) -> Opened:
    computed, merged = _scan(path, sheet)
    rows = _rows(path, sheet) if computed else ((number, row, ()) for number, row in enumerate(_values(sheet), 1))
    filled = (row for row in rows if _is_filled(row[1]) or row[2])
    for _ in range(skip_rows(options)):
        next(filled, None)
    top = list(islice(filled, header_rows(options)))
    below = list(islice(rows, _PEEK))
    header = _header(file, top, below, options)
    found = _Found()
    data = _data(chain(below, rows), header, top[-1][0], options.get("footer", False), found)
    if options.get("decimal") == ",":
        # a cell that is a number, in the writing of those that are text
        data = ([(as_text(v) or "").replace(".", ",") if isinstance(v, float) else v for v in row] for row in data)
    table = keep_rows(connection, header.names, data)
    notes = [f"sheet {sheet.title!r}"]
    notes += ["merged cells: only the first of each holds its value"] * merged
    notes += [f"dropped {found.footer:,} footer rows"] * bool(found.footer)
    for column, count in found.rounded.items():
        notes.append(f"column {column!r}: {count:,} numbers of 16 digits or more, rounded by Excel; export ids as text")
    return Opened(file, table, set_aside(found.failed), (*notes, *header.notes), path, header.labels)


def _header(file: str, top: list[_Row], below: list[_Row], options: Mapping[str, Any]) -> Header:
    header, under = (
        [[as_text(value) or "" for value in row[1]] for row in rows if _is_filled(row[1])] for rows in (top, below)
    )
    width = max((place for row in header for place, cell in enumerate(row, 1) if cell.strip()), default=0)
    return read_header(file, [*((row + [""] * width)[:width] for row in header), *under], options)


def _data(
    rows: Iterator[_Row], header: Header, above: int, footer: bool | str, found: _Found
) -> Iterator[list[int | Any]]:
    width, ended = len(header.names), False
    for place, values, uncomputed in rows:
        number = place - above
        ended = ended or _begins_footer(values, uncomputed, footer)
        if ended:
            found.footer += _is_filled(values)
            continue
        if not _is_filled(values) and not uncomputed:
            continue
        if failure := _failure(values, uncomputed, header):
            found.failed.append((number, *failure))
            continue
        row = [*values[:width], *[None] * (width - len(values))]
        found.rounded.update(name for name, value in zip(header.names, row, strict=True) if _is_rounded(value))
        yield [number, *row]


def _begins_footer(values: Sequence[Any], uncomputed: Sequence[int], footer: bool | str) -> bool:
    if isinstance(footer, str) and footer:
        first = next((value for value in values if value not in (None, "")), "")
        return str(first).startswith(footer)
    return bool(footer) and not _is_filled(values) and not uncomputed


def _failure(values: Sequence[Any], uncomputed: Sequence[int], header: Header) -> tuple[str, str, str, str] | None:
    names = header.names
    if _is_filled(values[len(names) :]):
        rule = "unreadable: the row has more cells than the header"
        return rule, "", "", "give every column a name in the header row, or clear the cells beside the table"
    for place in uncomputed:
        rule, mend = "unreadable: the formula was never computed", "open the workbook in Excel, save it, and read again"
        return rule, names[place] if place < len(names) else "", "", mend
    for name, value in zip(names, values, strict=False):
        if isinstance(value, str) and value.startswith("#") and _ERROR.fullmatch(value):
            return "unreadable: the cell holds an error", name, value, "mend the formula or clear the cell, save, read"
    return None


def _is_filled(row: Sequence[Any]) -> bool:
    return any(value is not None and value != "" for value in row)


def _is_rounded(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) >= _MANY_DIGITS


def _values(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # what a file states of its size may be wrong, and would cut the rows
    yield from sheet.iter_rows(values_only=True)


def _rows(path: Path, sheet: Any) -> Iterator[_Row]:
    """Rows of a sheet that has formulas, beside the formulas themselves."""
    formulas = _values(openpyxl.load_workbook(path, read_only=True)[sheet.title])
    sheet.reset_dimensions()
    for number, (cells, written) in enumerate(zip(sheet.iter_rows(), formulas, strict=True), 1):
        # a computed empty text has no value either, and its type says so
        empty = [i for i, cell in enumerate(cells) if cell.value is None and cell.data_type != "str"]
        yield number, [cell.value for cell in cells], [i for i in empty if written[i] is not None]


def _scan(path: Path, sheet: Any) -> tuple[bool, bool]:
    """Whether a sheet has formulas, and merged cells: what the streamed rows do not tell."""
    marks = [rb"<f[ >/]", rb"<mergeCell "]
    there = [False] * len(marks)
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as content:
        last = b""
        while block := content.read(2**20):
            there = [known or bool(re.search(mark, last + block)) for known, mark in zip(there, marks, strict=True)]
            last = block[-16:]
    return there[0], there[1]

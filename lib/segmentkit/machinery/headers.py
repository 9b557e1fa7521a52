"""Header rows: which names the columns get, what further header rows tell, and what is no header at all."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segmentkit.errors import DataError, ParameterError

_DATA = {"an e-mail address": r"\S+@\S+\.\w+", "a long number": r"\+?(?:[\s()/.-]*\d){9,}"}
_NO_CHOICE = {"", "response", "open-ended response"}
_PEEK = 10


@dataclass(frozen=True)
class Header:
    """Names of the columns in the file's order, texts of the second header row by column, and notes."""

    names: list[str]
    labels: dict[str, str]
    notes: tuple[str, ...]


def header_rows(options: Mapping[str, Any]) -> int:
    """How many rows the header takes, as stated; 2 where they are to be joined.

    Raises:
        ParameterError: not a whole number from 1, or joined and not 2.
    """
    joined = bool(options.get("join_header_rows", False))
    stated = options.get("header_rows", 2 if joined else 1)
    if isinstance(stated, bool) or not isinstance(stated, int) or stated < 1 or (joined and stated != 2):
        raise ParameterError(
            f"header_rows == {stated!r}; it must be a whole number from 1, and 2 with join_header_rows; mend the source"
        )
    return stated


def skip_rows(options: Mapping[str, Any]) -> int:
    """How many title lines stand above the header, as stated.

    Raises:
        ParameterError: not a whole number from 0.
    """
    stated = options.get("skip_rows", 0)
    if isinstance(stated, bool) or not isinstance(stated, int) or stated < 0:
        raise ParameterError(f"skip_rows == {stated!r}; it must be a whole number from 0; mend the source")
    return stated


def read_header(file: str, records: Sequence[Sequence[str]], options: Mapping[str, Any]) -> Header:
    """Names from the first rows of a file; ``records`` are those rows, the header's first among them first.

    Raises:
        DataError: there is no header, or it is data, a title, or repeats a name.
    """
    rows = header_rows(options)
    _refuse_what_is_no_header(file, records, rows, options)
    first = [_clean(cell) for cell in records[0]]
    second = [_clean(cell) for cell in records[1]] if rows > 1 and len(records) > 1 else []
    second += [""] * (len(first) - len(second))
    if options.get("join_header_rows", False):
        first = _joined(first, second)
    names, notes = distinct_names(file, first, number=bool(options.get("number_duplicates", False)))
    if rows > 1:
        notes.append(f"{rows} header rows: the data begin after them")
    labels = {} if options.get("join_header_rows", False) else dict(zip(names, second, strict=False))
    return Header(names, {name: text for name, text in labels.items() if text}, tuple(notes))


def distinct_names(file: str, cells: Sequence[str], *, number: bool) -> tuple[list[str], list[str]]:
    """A name of its own for every column, whatever the case of its letters; and notes on names that were given.

    Raises:
        DataError: a name is repeated and ``number`` is false.
    """
    names: list[str] = []
    taken, notes = {"row_number"}, []
    repeats = Counter(cell.lower() for cell in cells if cell)
    for place, cell in enumerate(cells, 1):
        if cell.lower() in taken and cell.lower() != "row_number" and not number:
            raise DataError(
                f"{file} names the column {cell!r} twice; give every column its own name in the first line, "
                'or state number_duplicates = true, which makes it "Name (2)"'
            )
        name, copy = cell or f"unnamed {place}", 1
        while name.lower() in taken or (copy > 1 and name.lower() in repeats):
            copy += 1
            name = f"{cell or f'unnamed {place}'} ({copy})"
        if name != cell:
            notes.append(f"column {place} is called {name!r} here: " + (f"{cell!r} is taken" if cell else "no header"))
        taken.add(name.lower())
        names.append(name)
    return names, notes


def _clean(cell: str) -> str:
    return " ".join(cell.replace("\ufeff", "").replace("\u200b", "").split())


def _joined(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Question texts carried over the blanks to their right, each with its choice."""
    names, question = [], ""
    for above, below in zip(first, second, strict=True):
        question = above or question
        names.append(question if below.lower() in _NO_CHOICE else f"{question}: {below}".removeprefix(": "))
    return names


def _refuse_what_is_no_header(
    file: str, records: Sequence[Sequence[str]], rows: int, options: Mapping[str, Any]
) -> None:
    first = records[0] if records else []
    if not any(cell.strip() for cell in first):
        raise DataError(f"{file} has no header line; give every column its own name in the first line")
    for place, cell in enumerate(first, 1):
        if found := [what for what, form in _DATA.items() if re.fullmatch(form, cell.strip())]:
            raise DataError(
                f"{file} has no header line: column {place} of its first line is {found[0]}; "
                "export with column names, or write them into the first line"
            )
    if rows == 1 and any("ImportId" in cell for record in records[1:3] for cell in record):
        raise DataError(
            f"{file}: the rows under its header are question texts and ImportId, no answers; "
            'state header_rows = 3, or format = "qualtrics"'
        )
    filled = [sum(bool(cell.strip()) for cell in record) for record in records[:_PEEK]]
    wide = next((line for line, cells in enumerate(filled) if cells > 2), 0)
    if filled[0] == 1 and wide and not options.get("skip_rows"):
        raise DataError(
            f"{file}: its first line has 1 field and row {wide + 1} has {filled[wide]}: the lines above that row look "
            f"like a title; state skip_rows = {wide}, the number of lines above the header"
        )

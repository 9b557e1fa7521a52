"""The playbook file: the marketing mix as a CSV that people edit in any spreadsheet, and that no run overwrites."""

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit.errors import ParameterError
from segmentkit.machinery.files import replacing
from segmentkit.machinery.paths import project_root
from segmentkit.machinery.series import shown

KEY = "segment_key"
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class PlaybookFile:
    """A playbook file as it was read.

    Attributes:
        path: where it is, or will be.
        table: its rows, all text, the index being the row numbers of the spreadsheet; None where there is no file yet.
        delimiter: between its columns; it is kept.
        content: its bytes, to see whether somebody saves it meanwhile.
    """

    path: Path
    table: pd.DataFrame | None
    delimiter: str
    content: bytes

    @property
    def name(self) -> str:
        """The path as a reader types it."""
        return shown(self.path)


def playbook_path(source_key: str) -> Path:
    """The playbook file of a source: in ``data/playbook``, or in the folder that ``SEGMENTKIT_PLAYBOOK`` names."""
    return project_root() / (os.environ.get("SEGMENTKIT_PLAYBOOK") or "data/playbook") / f"{source_key}.csv"


def read(path: Path) -> PlaybookFile:
    """Read a playbook file as spreadsheets write it: comma, semicolon or tab, any line ends, with or without a BOM.

    Empty rows and nameless empty columns are left out; cells are kept as they are.

    Raises:
        ParameterError: it is not UTF-8, has no column ``segment_key``, names a column twice or not at all, or a cell's
            quotes do not close.
    """
    if not path.is_file():
        return PlaybookFile(path, None, ",", b"")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ParameterError(
            f"{shown(path)}, line {line}: letters that are not UTF-8; UTF-8 only; save it as 'CSV UTF-8'"
        ) from None
    delimiter = _delimiter(text)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ParameterError(
            f"{shown(path)}: {error}; a quote inside a cell is written twice; save it from a spreadsheet"
        ) from None
    return PlaybookFile(path, _table(path, records), delimiter, content)


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0].partition("\r")[0]
    return max(DELIMITERS, key=first.count)


def _table(path: Path, records: Sequence[Sequence[str]]) -> pd.DataFrame:
    head = [cell.strip() for cell in records[0]] if records else []
    if KEY not in map(str.lower, head):
        raise ParameterError(
            f"{shown(path)}: no column {KEY}; the first row names the columns, the cells are apart by comma, semicolon "
            "or tab; put the row back, or move the file away and a new one is made"
        )
    rows = {number: list(record) for number, record in enumerate(records[1:], start=2) if any(map(str.strip, record))}
    width = max(map(len, [head, *rows.values()]))
    names = head + [""] * (width - len(head))
    cells = [row + [""] * (width - len(row)) for row in rows.values()]
    table = pd.DataFrame(cells, index=list(rows), columns=range(width), dtype=object)
    used = [place for place, name in enumerate(names) if name or table[place].str.strip().any()]
    for place in used:
        if not names[place] or list(map(str.lower, names)).count(names[place].lower()) > 1:
            raise ParameterError(
                f"{shown(path)}, column {place + 1}: name == {names[place]!r}; every column needs a name of its own; "
                "name it in the first row"
            )
    return table[used].set_axis([names[place] for place in used], axis=1)


def write(found: PlaybookFile, table: pd.DataFrame) -> None:
    """Write the table back, whole or not at all; if anything changes, the file as it was is ``NAME.bak.csv``.

    It is written with a byte-order mark, without which Excel misreads every letter beyond ASCII.

    Args:
        found: the file as it was read.
        table: all text.

    Raises:
        ParameterError: somebody saved the file since it was read, or a spreadsheet holds it open.
    """
    text = table.to_csv(sep=found.delimiter, index=False, lineterminator="\n")
    content = text.encode("utf-8-sig")
    if content == found.content:
        return
    try:
        with replacing(found.path) as temporary:
            temporary.write_bytes(content)
            if (found.path.read_bytes() if found.path.is_file() else b"") != found.content:
                raise ParameterError(
                    f"{found.name} was saved by somebody since it was read; nothing was written over it; run again"
                )
            if found.content:
                with replacing(found.path.with_suffix(".bak.csv")) as copy:
                    copy.write_bytes(found.content)
    except PermissionError:
        raise ParameterError(f"{found.name} cannot be written; is it open in a spreadsheet?; close it there") from None


def update(path: Path, merge: Callable[..., Any], tries: int = 5) -> Any:
    """Read, merge and write in one go; again where another run, such as another market, wrote meanwhile.

    Args:
        path: of the file.
        merge: takes the table as read and ``file``, its name for messages; returns what has the ``table`` to write.
        tries: before somebody who keeps saving is told.

    Returns:
        What ``merge`` returned.

    Raises:
        ParameterError: as ``read`` and ``write``.
    """
    for left in reversed(range(tries)):
        found = read(path)
        merged = merge(found.table, file=found.name)
        try:
            write(found, merged.table)
            return merged
        except ParameterError:
            if not left or (path.read_bytes() if path.is_file() else b"") == found.content:
                raise
    return None

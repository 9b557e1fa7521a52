"""What every reader hands on, and the folder for copies that hold personal data: private, removed at exit."""

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

SET_ASIDE = ("row_number", "rule", "column", "value", "mend")
_COPIES = itertools.count(1)
_A_DAY = 86_400
_BATCH = 20_000
# kept as they are; lists, structs and maps become JSON text, and the rest of what has a text is that text
_PLAIN = ("VARCHAR", "BOOLEAN", "DATE", "TIME", "TIMESTAMP", "FLOAT", "DOUBLE", "DECIMAL")
_WITHOUT_TEXT = ("BLOB", "BIT", "GEOMETRY", "UNION", "VARIANT", "INTERVAL")


@dataclass(frozen=True)
class Opened:
    """One file, sheet or table as opened.

    ``file`` is its name for people; ``table`` has ``row_number`` (1 is the first data row) and the file's own columns,
    text from text files and workbooks, typed from parquet and DuckDB; ``unreadable`` has ``row_number, rule, column,
    value, mend``; ``notes`` say in words what was done on the way; ``labels`` holds the text of a second header row
    by column; ``path`` is the file on disk (of an archive, the archive), none for a database server.
    """

    file: str
    table: ibis.Table
    unreadable: pd.DataFrame
    notes: tuple[str, ...] = ()
    path: Path | None = None
    labels: dict[str, str] = field(default_factory=dict)


def set_aside(rows: Iterable[tuple[int, str, str, str, str]] = ()) -> pd.DataFrame:
    """Rows that no reader could take: number, rule, column, value, how to mend."""
    table = pd.DataFrame([*rows], columns=list(SET_ASIDE))
    return table.astype({"row_number": "int64"} | dict.fromkeys(SET_ASIDE[1:], "str"))


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def named(column: str) -> str:
    """A column or table name as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def first_line(error: Exception) -> str:
    """What an engine complains about, without its advice."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@cache
def _folder(process: int) -> tempfile.TemporaryDirectory[str]:
    # what a killed process left behind is removed by the next one, a day later
    for left in Path(tempfile.gettempdir()).glob("segmentkit_*_*"):
        owner = left.name.split("_")[1]
        dead = owner.isdigit() and not psutil.pid_exists(int(owner))
        if dead and time.time() - left.stat().st_mtime > _A_DAY:
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"segmentkit_{process}_", ignore_cleanup_errors=True)


def scratch_file(suffix: str) -> Path:
    """A new name in a folder that only this user can read and that is removed when the process ends."""
    return Path(_folder(os.getpid()).name) / f"{next(_COPIES)}{suffix}"


def view(connection: Any, query: str) -> ibis.Table:
    """A query under a name of its own: the engine would answer a repeated one from what it cached."""
    name = f"opened_{next(_COPIES)}"
    connection.raw_sql(f"CREATE VIEW {named(name)} AS {query}")
    return connection.table(name)


def keep(connection: Any, query: str) -> ibis.Table:
    """A query's rows as a table on disk, so that fifty million of them do not sit in memory."""
    path = scratch_file(".parquet")
    connection.raw_sql(f"COPY ({query}) TO {quoted(path.as_posix())} (FORMAT parquet, COMPRESSION lz4)")
    return view(connection, f"SELECT * FROM read_parquet({quoted(path.as_posix())})")


def keep_rows(connection: Any, names: Sequence[str], rows: Iterator[Sequence[Any]]) -> ibis.Table:
    """Rows of Python values, the first being the row's number, as a table of text on disk; written in batches."""

    def batches() -> Iterator[list[Any]]:
        while batch := list(islice(rows, _BATCH)):
            numbers, *columns = zip(*batch, strict=True)
            yield [numbers, *([one if type(one) is str else as_text(one) for one in column] for column in columns)]

    return keep_columns(connection, names, batches())


def keep_columns(connection: Any, names: Sequence[str], batches: Iterable[Sequence[Any]]) -> ibis.Table:
    """Batches of columns, the first holding the rows' numbers and the others text, as a table on disk."""
    path = scratch_file(".parquet")
    schema = pa.schema([("row_number", pa.int64()), *((name, pa.string()) for name in names)])
    with pq.ParquetWriter(path, schema) as writer:
        for columns in batches:
            writer.write_table(pa.table(list(columns), schema=schema))
    return view(connection, f"SELECT * FROM read_parquet({quoted(path.as_posix())})")


def as_text(value: Any) -> str | None:
    """A value without loss as text: whole numbers without a point, times in ISO form, bytes in hexadecimal."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e18 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date) else str(value)


def plain_columns(connection: Any, relation: str, names: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """The columns of a typed relation as SQL, nested ones as JSON text, and notes on those without a text."""
    described = connection.raw_sql(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    parts, notes = [], []
    for (column, kind, *_), name in zip(described, names or [row[0] for row in described], strict=True):
        if kind.endswith("]") or kind.startswith(("STRUCT", "MAP")):
            parts.append(f"CAST(to_json({named(column)}) AS VARCHAR) AS {named(name)}")
        elif kind.startswith(_WITHOUT_TEXT):
            notes.append(f"left out column {column!r}: its type is {kind}, which no table here can hold")
        else:
            plain = kind.startswith(_PLAIN) or "INT" in kind
            parts.append(f"{named(column) if plain else f'CAST({named(column)} AS VARCHAR)'} AS {named(name)}")
    return ", ".join(parts), tuple(notes)

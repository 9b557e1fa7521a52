"""Reading a source: every file in the engine, every row numbered, each part brought to the shared table's columns."""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import ibis
import pandas as pd

from segmentkit.contracts import ADDRESSES, FileRead, Formats, RawTable
from segmentkit.errors import DataError
from segmentkit.machinery import part_query, ready_maps
from segmentkit.machinery.files import sha256
from segmentkit.machinery.opened import first_line, named
from segmentkit.machinery.opening import Opened, open_files
from segmentkit.machinery.sources import Part, Source
from segmentkit.pseudonyms import masked

_VIEWS = itertools.count(1)


def read_source(source: Source, connection: Any) -> dict[str, RawTable]:
    """Open every table of a source; files are read by the engine, not into memory.

    A file of a known format may lack what one of its tables needs: then the file's note says so, and others are read.

    Raises:
        DataError: a file or a mapped column is missing, or a table has no rows.
    """
    open_once = cache(lambda path, options: open_files(connection, path, source.folder, dict(options)))
    read: dict[str, RawTable] = {}
    lacking: dict[str, list[part_query.NotInFile]] = {}
    for name, parts in source.tables.items():
        if table := _read_table(source, name, parts, connection, open_once, lacking):
            read[name] = table
    if alone := set(lacking) - {file.file for table in read.values() for file in table.files}:
        raise DataError(str(lacking[min(alone)][0]))
    return {
        name: replace(table, files=tuple(_noted(file, lacking) for file in table.files)) for name, table in read.items()
    }


def _noted(read: FileRead, lacking: Mapping[str, list[part_query.NotInFile]]) -> FileRead:
    return replace(read, notes=(*read.notes, *map(str, lacking.get(read.file, ()))))


def read_addresses(source: Source, connection: Any) -> pd.DataFrame:
    """The source's address book as text; without one, no rows.

    Where customers get keyed pseudonyms the rows are as the systems have them, with ``system`` and ``key_...`` columns;
    otherwise there is one row a customer.

    Raises:
        DataError: its file or a column is missing, a line cannot be read, or a customer is in it twice or without id.
    """
    nothing = pd.DataFrame({column: pd.Series(dtype="str") for column in ADDRESSES.names})
    if not source.addresses:
        return nothing
    open_once = cache(lambda path, options: open_files(connection, path, source.folder, dict(options)))
    raw = _read_table(source, ADDRESSES.name, source.addresses, connection, open_once, {})
    if raw is None:
        return nothing
    book = raw.table.execute()
    troubles = [("cannot be read", raw.unreadable)]
    if not source.needs_key:
        blank = book["customer_id"].isna() | (book["customer_id"].str.strip() == "")
        troubles.append(("has no customer_id", book[blank]))
        troubles.append(("repeats a customer_id", book[book["customer_id"].duplicated() & ~blank]))
    for what, wrong in troubles:
        if len(wrong):
            first = wrong.iloc[0]
            raise DataError(
                f"{first['file']}, row {first['row_number']} {what} ({len(wrong):,} such rows); mend the address book"
            )
    identity = [column for column in book if column == "system" or column.startswith("key_")]
    return book.reindex(columns=[*ADDRESSES.names, *identity]).astype("str").where(lambda text: text.notna())


def _read_table(
    source: Source,
    name: str,
    parts: tuple[Part, ...],
    connection: Any,
    open_once: Callable[..., list[Opened]],
    lacking: dict[str, list[part_query.NotInFile]],
) -> RawTable | None:
    # where parts differ in how they write numbers and times, each is brought to one writing as it is read
    alike = len(parts) == 1 and not parts[0].format
    views, unreadable, files, there, taken = [], [], [], set(), list[Any]()
    for place, part in enumerate(parts):
        for opened in open_once(part.path, tuple(sorted(part.options.items()))):
            once = (opened.path, opened.file, replace(part, path=""))
            if once in taken:
                raise DataError(
                    f"{opened.file} is read twice for the table {name}: two lines or patterns of the source name it; "
                    "leave one out, or its rows would count twice"
                )
            taken.append(once)
            try:
                view, read = _mapped(source, name, part, opened, connection, alike, place)
            except part_query.NotInFile as error:
                if {*part.columns} - {*ready_maps.load(part.format).tables[name]}:
                    # the source says more of this table than its format does: it counts on it
                    raise DataError(str(error)) from None
                lacking.setdefault(opened.file, []).append(error)
                continue
            views.append(view)
            files.append(read)
            there |= set(connection.table(view).columns)
            unreadable.append(opened.unreadable.assign(file=opened.file))
    if not views:
        return None
    failed = pd.concat(unreadable, ignore_index=True)[["file", "row_number", "rule", "column", "value", "mend"]]
    if not any(read.rows for read in files):
        _stop_without_rows(", ".join(read.file for read in files), failed)
    every = " UNION ALL BY NAME ".join(f'SELECT * FROM "{view}"' for view in views)
    view = views[0] if len(views) == 1 else _view(connection, every)
    formats = source.formats(parts[0])
    if not alike:
        formats = Formats(time_zone=formats.time_zone, latest=formats.latest, currency=formats.currency)
    attributes = {key: basis for part in parts for key, basis in part.attributes.items() if key in there}
    items = {item.name: item for part in parts for item in part.items}
    return RawTable(connection.table(view), failed, formats, attributes, tuple(items.values()), tuple(files))


def _stop_without_rows(files: str, failed: pd.DataFrame) -> None:
    if len(failed):
        raise DataError(
            f"{files}: none of its {len(failed):,} rows fits the header ({failed['rule'].iloc[0]}); "
            "check the header line, delimiter and encoding"
        )
    raise DataError(f"{files} has a header and no rows; export it again with a wider date range")


def _view(connection: Any, query: str, kind: str = "VIEW") -> str:
    # a fresh name each time: the engine would answer a second reading from what it cached of the first
    name = f"read_{next(_VIEWS)}"
    connection.raw_sql(f'CREATE TEMP {kind} "{name}" AS {query}')
    return name


def _mapped(
    source: Source, name: str, part: Part, opened: Opened, connection: Any, as_it_is: bool, place: int
) -> tuple[str, FileRead]:
    """One file as a view with the shared table's columns, and what was taken from it."""
    table = opened.table
    for lookup in part.lookup:
        table = _joined(source, connection, opened.file, table, lookup)
    base = f"base_{next(_VIEWS)}"
    connection.create_view(base, table)
    selected = part_query.select(
        name,
        part,
        opened.file,
        base,
        table.schema(),
        None if as_it_is else source.formats(part),
        part.system if source.needs_key else "",
        place,
        part.system if name == "transactions" and part.system != source.tables[name][0].system else "",
    )
    try:
        view = _view(connection, selected.query, "TABLE" if part.rows else "VIEW")
        _evaluate(connection, view, part)
    except Exception as error:
        # the engine quotes the value that does not fit
        first = re.sub("'(.*)'", lambda found: masked(found[1]), first_line(error))
        raise DataError(
            f"{opened.file}, [{name}]: an expression in the source's TOML cannot be used: {first}; mend it there: the "
            'columns of a text file are text, so a number is TRY_CAST("Paid" AS DOUBLE)'
        ) from None
    rows, hashed = int(opened.table.count().execute()), sha256(opened.path) if opened.path else ""
    return view, FileRead(opened.file, name, rows, selected.used, selected.unused, opened.notes, hashed)


def _evaluate(connection: Any, view: str, part: Part) -> None:
    """Every expression over every row: one that fits the columns may still fail at a value, far from here."""
    columns = [name for name, value in part.columns.items() if not isinstance(value, str)]
    columns += [f"key_{kind}" for kind, value in part.keys.items() if not isinstance(value, str)]
    columns += ["left_out"] * bool(part.leave_out) + ["is_return"] * bool(part.returns)
    there = set(connection.table(view).columns)
    if counts := ", ".join(f"count({named(name)})" for name in columns if name in there):
        connection.raw_sql(f"SELECT {counts} FROM {named(view)}").fetchall()


def _joined(source: Source, connection: Any, file: str, table: ibis.Table, lookup: Mapping[str, str]) -> ibis.Table:
    opened, key = open_files(connection, lookup["path"], source.folder, {})[0], lookup["on"]
    other = opened.table.drop("row_number")
    for where, columns in ((opened.file, other.columns), (file, table.columns)):
        if key not in columns:
            raise DataError(f"{where} has no column {key!r} to look up by; it has: {', '.join(columns)}")
    rows, distinct = (int(n) for n in other.aggregate(n=other.count(), d=other[key].nunique()).execute().iloc[0])
    if rows != distinct:
        raise DataError(f"{opened.file} holds {rows - distinct} repeated values of {key!r}; a lookup needs each once")
    return table.left_join(other, key).drop(f"{key}_right")

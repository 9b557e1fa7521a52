"""Reading a source: every file in the engine, every row numbered, each part brought to the shared table's columns."""

import difflib
import itertools
import re
from collections.abc import Mapping
from typing import Any

import ibis
import pandas as pd

from segmentkit.contracts import ADDRESSES, TABLES, FileRead, Formats, RawTable
from segmentkit.errors import DataError
from segmentkit.machinery import ready_maps
from segmentkit.machinery.files import sha256
from segmentkit.machinery.opening import Opened, open_files
from segmentkit.machinery.sources import Part, Source

_VIEWS = itertools.count(1)
_NUMBERS = {"money", "number", "numeric"}


def read_source(source: Source, connection: Any) -> dict[str, RawTable]:
    """Open every table of a source; files are read by the engine, not into memory.

    Raises:
        DataError: a file or a mapped column is missing, or a table has no rows.
    """
    return {name: _read_table(source, name, parts, connection) for name, parts in source.tables.items()}


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
    raw = _read_table(source, ADDRESSES.name, source.addresses, connection)
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


def _read_table(source: Source, name: str, parts: tuple[Part, ...], connection: Any) -> RawTable:
    # where parts differ in how they write numbers and times, each is brought to one writing as it is read
    alike = len(parts) == 1 and not parts[0].format
    views, unreadable, files, there = [], [], [], set()
    for part in parts:
        for opened in open_files(connection, part.path, source.folder, part.options):
            view, read = _mapped(source, name, part, opened, connection, as_it_is=alike)
            views.append(view)
            files.append(read)
            there |= set(connection.table(view).columns)
            unreadable.append(opened.unreadable.assign(file=opened.file))
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


def _view(connection: Any, query: str) -> str:
    # a fresh name each time: the engine would answer a second reading from what it cached of the first
    name = f"read_{next(_VIEWS)}"
    connection.raw_sql(f'CREATE TEMP VIEW "{name}" AS {query}')
    return name


def _mapped(
    source: Source, name: str, part: Part, opened: Opened, connection: Any, *, as_it_is: bool
) -> tuple[str, FileRead]:
    """One file as a view with the shared table's columns, and what was taken from it."""
    table = opened.table
    rows = int(table.count().execute())
    for lookup in part.lookup:
        table = _joined(source, connection, opened.file, table, lookup)
    base = f"base_{next(_VIEWS)}"
    connection.create_view(base, table)
    own = [column for column in table.columns if column != "row_number"]
    known = _canonical(part, opened.file, own)
    wanted = _wanted(name, part, opened.file, [*own, *known] if not part.rows else [], known, own)
    formats = None if as_it_is else source.formats(part)
    system = part.system if source.needs_key else ""
    # only what comes of the file as it is can be said to be used or not: SQL may take columns apart
    text = " ".join([part.rows, *map(str, wanted.values()), *part.leave_out.values(), part.returns])
    unused = [column for column in own if not re.search(rf"(?<!\w){re.escape(column)}(?!\w)", _spelt(text, known))]
    query = _query(name, part, opened.file, base, known, wanted, formats, system)
    try:
        view = _view(connection, query)
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(f"{opened.file}: an expression in the source's TOML cannot be used: {first}") from None
    hashed = sha256(opened.path) if opened.path else ""
    used = tuple(column for column in own if column not in unused)
    return view, FileRead(opened.file, name, rows, used, tuple(unused), opened.notes, hashed)


def _spelt(text: str, known: Mapping[str, str]) -> str:
    """Known headers as the file spells them."""
    return text + " " + " ".join(own for header, own in known.items() if header in text)


def _canonical(part: Part, file: str, own: list[str]) -> dict[str, str]:
    if not part.format:
        return {}
    form = ready_maps.load(part.format)
    known = form.canonical(own)
    if missing := [header for header in form.needs if header not in known]:
        raise DataError(
            f"{file} has no column {missing[0]!r}, which every file of the format {part.format} has; it has: "
            f"{', '.join(own)}; export it again whole, or see what it is: python -m segmentkit source new {file}"
        )
    return known


def _wanted(
    name: str, part: Part, file: str, columns: list[str], known: Mapping[str, str], own: list[str]
) -> dict[str, str]:
    """SQL by output column; of a ready map only what the file has."""
    contract = ADDRESSES if name == ADDRESSES.name else TABLES[name]
    asked = dict(part.columns) | {f"key_{kind}": column for kind, column in part.keys.items()}
    headers = set(ready_maps.load(part.format).known) if part.format else set()
    wanted = {}
    for column, value in asked.items():
        named = {value} & headers if isinstance(value, str) else {one for one in headers if f'"{one}"' in value["expr"]}
        # a column that SQL makes of the file is no header and is there
        if named and not named & set(known) and not part.rows:
            if column in contract.required and not part.keys:
                raise DataError(f"{file} has none of {', '.join(sorted(named))}, which {column} is taken from")
            continue
        wanted[column] = _column_or_expression(file, columns, column, value)
    return wanted


def _column_or_expression(file: str, columns: list[str], name: str, value: str | Mapping[str, str]) -> str:
    if not isinstance(value, str):
        return f"({value['expr']})"
    if columns and value not in columns:
        near = difflib.get_close_matches(value, columns, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "it has: " + ", ".join(dict.fromkeys(columns))
        raise DataError(f"{file} has no column {value!r} for {name}; {hint}")
    return '"' + value.replace('"', '""') + '"'


def _query(
    name: str,
    part: Part,
    file: str,
    base: str,
    known: Mapping[str, str],
    wanted: Mapping[str, str],
    formats: Formats | None,
    system: str,
) -> str:
    """The part as one SELECT: known headers by their known names, absent ones as nulls."""
    headers = ready_maps.load(part.format).known if part.format else ()
    renamed = [f"{_name(own)} AS {_name(header)}" for header, own in known.items() if own != header]
    spare = ", ".join(_name(own) for header, own in known.items() if own != header)
    absent = [f"NULL::VARCHAR AS {_name(header)}" for header in headers if header not in known]
    whole = ", ".join([f"* EXCLUDE ({spare})" if spare else "*", *renamed, *absent])
    kinds = {column.name: column.kind for column in (ADDRESSES if name == ADDRESSES.name else TABLES[name]).columns}
    kinds |= {item.name: item.kind for item in part.items}
    columns = [
        f"{value if formats is None else _standard(value, kinds.get(column, 'text'), formats)} AS {_name(column)}"
        for column, value in wanted.items()
    ]
    extra = [f"{_text(file)} AS file"]
    if part.leave_out:
        cases = " ".join(f"WHEN ({when}) THEN {_text(why)}" for why, when in part.leave_out.items())
        extra.append(f"CASE {cases} END AS left_out")
    if part.returns:
        extra.append(f"coalesce(({part.returns}), false) AS is_return")
    if system:
        extra.append(f"{_text(system)} AS system")
    rows = part.rows or "SELECT * FROM file"
    return (
        f'WITH file AS (SELECT {whole} FROM "{base}"), rows_of AS ({rows}) '
        f"SELECT row_number, {', '.join([*extra, *columns])} FROM rows_of"
    )


def _standard(value: str, kind: str, formats: Formats) -> str:
    """A value in one writing: times as ISO text in the business's zone, numbers with a dot.

    What does not fit the stated writing gets a question mark in front, so that no other writing is read into it.
    """
    text = f"trim(CAST({value} AS VARCHAR))"
    if kind in _NUMBERS and formats.decimal == ",":
        fits = f"regexp_full_match({text}, '[+-]?(\\d*|\\d{{1,3}}(\\.\\d{{3}})+)(,\\d+)?')"
        return f"CASE WHEN {fits} THEN replace(replace({text}, '.', ''), ',', '.') ELSE '?' || {text} END"
    if kind != "time" or not (formats.date_format or formats.timestamps_in != "local"):
        return text
    parsed = f"try_cast({text} AS TIMESTAMP)"
    if formats.date_format:
        parsed = f"try_strptime({text}, {_text(formats.date_format)})"
    if formats.timestamps_in not in ("local", formats.time_zone):
        parsed = f"timezone({_text(formats.time_zone)}, timezone({_text(formats.timestamps_in)}, {parsed}))"
    written = f"strftime({parsed}, '%Y-%m-%d %H:%M:%S.%f')"
    return f"CASE WHEN {text} = '' THEN NULL ELSE coalesce({written}, '?' || {text}) END"


def _joined(source: Source, connection: Any, file: str, table: ibis.Table, lookup: Mapping[str, str]) -> ibis.Table:
    opened, key = open_files(connection, lookup["path"], source.folder, {})[0], lookup["on"]
    other = opened.table.drop("row_number")
    for where, columns in ((opened.file, other.columns), (file, table.columns)):
        if key not in columns:
            raise DataError(f"{where} has no column {key!r} to look up by; it has: {', '.join(columns)}")
    rows, distinct = (int(n) for n in other.aggregate(n=other.count(), d=other[key].nunique()).execute().iloc[0])
    if rows != distinct:
        raise DataError(f"{opened.file} holds {rows - distinct} repeated values of {key!r}; a lookup needs each once")
    return table.left_join(other, key)


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

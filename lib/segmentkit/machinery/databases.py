"""Tables of databases: DuckDB and SQLite files and PostgreSQL servers, read only, streamed to disk."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import ibis

from segmentkit.errors import DataError, EnvironmentFault, ParameterError
from segmentkit.machinery.headers import distinct_names
from segmentkit.machinery.opened import (
    Opened,
    first_line,
    keep,
    keep_columns,
    keep_rows,
    named,
    plain_columns,
    quoted,
    set_aside,
)

_BATCH = 20_000
_SECONDS = 10
_BROKEN = object()
_NO_TEXT = "unreadable: a value is not valid UTF-8 text"


def read_duckdb(connection: Any, path: Path, file: str, table: str, options: Mapping[str, Any]) -> Opened:
    """Open one table or view of a DuckDB file, types kept; the file is let go of afterwards.

    Raises:
        DataError: it cannot be opened, or has no such table.
    """
    alias = named(f"opened {path.name}")
    try:
        connection.raw_sql(f"ATTACH {quoted(path.as_posix())} AS {alias} (READ_ONLY)")
    except Exception as error:
        raise DataError(
            f"{file} cannot be opened as a DuckDB file: {first_line(error)}; close the program that writes to it"
        ) from None
    try:
        found = connection.raw_sql(
            "SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_catalog = {quoted(f'opened {path.name}')} ORDER BY ALL"
        ).fetchall()
        known = {name if schema == "main" else f"{schema}.{name}": (schema, name) for schema, name in found}
        schema, name = known[_chosen(file, table.removeprefix("main."), list(known))]
        relation = f"{alias}.{named(schema)}.{named(name)}"
        own = [row[0] for row in connection.raw_sql(f"DESCRIBE {relation}").fetchall()]
        names, notes = _names(file, own, options)
        columns, more = plain_columns(connection, relation, names)
        query = f"SELECT row_number() OVER () AS row_number, {columns} FROM {relation}"
        return Opened(file, keep(connection, query), set_aside(), (*notes, *more), path)
    finally:
        connection.raw_sql(f"DETACH {alias}")


def read_sqlite(connection: Any, path: Path, file: str, table: str, options: Mapping[str, Any]) -> Opened:
    """Open one table or view of an SQLite file as text: its columns hold any type, whatever they state.

    Raises:
        DataError: it cannot be read, or has no such table.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_SECONDS)) as base:
            base.text_factory = _decoded
            names = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' "
            known = [name for (name,) in base.execute(names + "ESCAPE '~' ORDER BY name")]
            rows = base.execute(f"SELECT * FROM {named(_chosen(file, table, known))}")
            columns, notes = _names(file, [column[0] for column in rows.description], options)
            failed: list[tuple[int, str, str, str, str]] = []
            kept = keep_rows(connection, columns, _valid(rows, columns, failed))
    except sqlite3.Error as error:
        raise DataError(
            f"{file} cannot be read as an SQLite file: {error}; close the program that writes to it, or copy it again"
        ) from None
    return Opened(file, kept, set_aside(failed), tuple(notes), path)


def read_postgresql(connection: Any, address: str, options: Mapping[str, Any]) -> Opened:
    """Open one table or view of a PostgreSQL server as text, streamed in one read-only transaction.

    Args:
        connection: The engine.
        address: ``postgresql:ENV_VARIABLE::schema.table``; the variable holds the server's address and password.
        options: Reading options of the source.

    Raises:
        ParameterError: the address is not of this form, as it would be with a password in it.
        EnvironmentFault: the variable is not set, or the server cannot be reached or stops.
        DataError: no such table, or no right to read it.
    """
    found = re.fullmatch(r"postgresql:([A-Za-z_]\w*)::(.+)", address)
    if not found:
        raise ParameterError(
            "path == 'postgresql:...' is not of the form postgresql:ENV_VARIABLE::schema.table; an address with a "
            "password does not belong in a source: put it into an environment variable and name that"
        )
    variable, table = found.groups()
    psycopg, server = _server(variable)
    with closing(server):
        try:
            name, own, batches = _table(server, variable, table)
            names, notes = _names(name, own, options)
            kept = keep_columns(connection, names, _numbered(batches))
        except psycopg.errors.InsufficientPrivilege as error:
            raise DataError(f"{table}: {first_line(error)}; ask its owner for GRANT SELECT on it") from None
        except psycopg.Error as error:
            raise EnvironmentFault(f"{table}: PostgreSQL stopped: {first_line(error)}; run it again") from None
    return Opened(name, kept, set_aside(), ("read from PostgreSQL, read only", *notes))


def _server(variable: str) -> tuple[Any, Any]:
    """The driver and a connection that can only read."""
    try:
        import psycopg
    except ImportError as error:
        raise EnvironmentFault(f"psycopg == not usable ({error}); pip install 'psycopg[binary]'") from None
    url = os.environ.get(variable, "")
    if not url.startswith(("postgresql://", "postgres://")):
        what = "begins with something else" if url else "is not set"
        raise EnvironmentFault(
            f"the environment variable {variable} {what}; set it to postgresql://user:password@host:5432/database"
        )
    try:
        server = psycopg.connect(url, autocommit=True, connect_timeout=_SECONDS)
        server.read_only = True
        # rows in the order of the disk, so that they are numbered alike each time
        server.execute(
            "SET default_transaction_read_only = on; SET lock_timeout = '30s'; SET synchronize_seqscans = off"
        )
    except psycopg.ProgrammingError:
        # what the driver says of an address it cannot read may show the password
        raise EnvironmentFault(f"{variable} is no address of a PostgreSQL server; mend its value") from None
    except psycopg.Error as error:
        raise EnvironmentFault(
            f"the PostgreSQL server of {variable} cannot be used: {' '.join(str(error).split())}; "
            "check address, user and password, and that the server runs"
        ) from None
    return psycopg, server


def _table(server: Any, variable: str, table: str) -> tuple[str, list[str], Iterable[Any]]:
    """Its name, its columns and its rows as batches of text."""
    visible = (
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND n.nspname NOT LIKE 'pg~_%' ESCAPE '~' ORDER BY 1, 2"
    )
    known = {f"{schema}.{name}": (schema, name) for schema, name in server.execute(visible).fetchall()}
    choice = _chosen(f"the database of {variable}", table if "." in table else f"public.{table}", list(known))
    schema, name = known[choice]
    rows = ibis.postgres.from_connection(server).table(name, database=schema)
    own = list(rows.columns)
    as_texts = rows.select([rows[column].cast("string").name(column) for column in own])
    return choice, own, as_texts.to_pyarrow_batches(chunk_size=_BATCH)


def _numbered(batches: Iterable[Any]) -> Iterator[list[Any]]:
    above = 0
    for batch in batches:
        yield [range(above + 1, above + 1 + batch.num_rows), *batch.columns]
        above += batch.num_rows


def _chosen(where: str, table: str, known: list[str]) -> str:
    """The table that was asked for; without one, the only one there is."""
    if not table and len(known) == 1:
        return known[0]
    if table in known:
        return table
    what = f"no table {table!r}" if table else f"{len(known)} tables: state one as {where}::TABLE"
    raise DataError(f"{where} has {what}; it has: {', '.join(known) or 'none'}; mend `path`")


def _names(file: str, own: Sequence[str], options: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    return distinct_names(file, own, number=bool(options.get("number_duplicates", False)))


def _decoded(text: bytes) -> Any:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return _BROKEN


def _valid(
    rows: Iterable[Sequence[Any]], names: Sequence[str], failed: list[tuple[int, str, str, str, str]]
) -> Iterator[Sequence[Any]]:
    for number, row in enumerate(rows, 1):
        if _BROKEN in row:
            wrong = names[list(row).index(_BROKEN)]
            failed.append((number, _NO_TEXT, wrong, "", "write the value again as UTF-8, or export the table anew"))
        else:
            yield (number, *row)

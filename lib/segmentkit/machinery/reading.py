"""Reading a source's files: by the engine, every row numbered, lines that cannot be split kept apart."""

import csv
import difflib
import importlib.util
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import pandas as pd

from segmentkit.contracts import ADDRESSES, RawTable
from segmentkit.errors import DataError, PrivacyStop
from segmentkit.machinery.sources import Source

_READINGS = itertools.count(1)
# the engine numbers the rows it could read: shift each past the lines before it that it could not
_NUMBER_AS_IN_THE_FILE = """
CREATE OR REPLACE TABLE "{name}" AS
WITH lost AS (SELECT line, row_number() OVER (ORDER BY line) AS before FROM (SELECT DISTINCT line FROM reject_errors)),
gaps AS (SELECT line - before AS gap, max(before) AS before FROM lost GROUP BY gap)
SELECT t.* REPLACE (t.row_number + coalesce(gaps.before, 0) AS row_number)
FROM "{name}" AS t ASOF LEFT JOIN gaps ON t.row_number >= gaps.gap
"""


def read_source(source: Source, connection: Any) -> dict[str, RawTable]:
    """Open every table of a source; files are read by the engine, not into memory.

    Raises:
        DataError: a file or a mapped column is missing, or a file is empty.
        PrivacyStop: the source states that its ids name people.
    """
    if source.facts["identifiers"] == "direct":
        raise PrivacyStop(
            f"source {source.key}: identifiers == 'direct'; the kit analyses pseudonymous ids only; replace e-mails, "
            'names and phone numbers by ids that name nobody before you export, then state identifiers = "pseudonymous"'
        )
    return {name: _read_table(source, name, connection) for name in source.tables}


def read_addresses(source: Source, connection: Any) -> pd.DataFrame:
    """The source's address book as text, one row a customer; without one, no rows.

    Raises:
        DataError: its file or a column is missing, a line cannot be read, or a customer is in it twice or without id.
    """
    if not source.addresses:
        return pd.DataFrame({column: pd.Series(dtype="str") for column in ADDRESSES.names})
    path = resolve_path(source.addresses.path, source.folder)
    file_table, unreadable = _read_file(connection, path, "file_addresses", source.addresses.options)
    book = _select(path, file_table, source.addresses.columns).execute()
    ids, numbers = book["customer_id"], book["row_number"]
    for what, wrong in (
        ("cannot be read", unreadable["row_number"]),
        ("has no customer_id", numbers[ids.isna() | (ids.str.strip() == "")]),
        ("repeats a customer_id", numbers[ids.duplicated() & ids.notna()]),
    ):
        if len(wrong):
            raise DataError(
                f"{path.name}, row {wrong.iloc[0]} {what} ({len(wrong):,} such rows); mend the address book"
            )
    return book.reindex(columns=ADDRESSES.names).astype("str")


def _read_table(source: Source, name: str, connection: Any) -> RawTable:
    described = source.tables[name]
    path = resolve_path(described.path, source.folder)
    file_table, unreadable = _read_file(connection, path, f"file_{name}", described.options)
    for lookup in described.lookup:
        file_table = _joined(source, name, connection, file_table, lookup)
    empty = file_table.count().execute() == 0
    if empty and len(unreadable):
        raise DataError(
            f"{path.name}: none of its {len(unreadable):,} rows fits the header ({unreadable['rule'].iloc[0]}); "
            "check the header line, delimiter and encoding"
        )
    if empty:
        raise DataError(f"{path.name} has a header and no rows; export it again with a wider date range")
    as_named = [*described.attributes, *(item.name for item in described.items)]
    selected = _select(path, file_table, dict(described.columns) | {column: column for column in as_named})
    return RawTable(selected, unreadable, source.formats(name), described.attributes, described.items)


def _joined(source: Source, name: str, connection: Any, table: ibis.Table, lookup: Mapping[str, str]) -> ibis.Table:
    path, key = resolve_path(lookup["path"], source.folder), lookup["on"]
    other = _read_file(connection, path, f"lookup_{name}", {})[0].drop("row_number")
    for where, columns in ((path.name, other.columns), (source.tables[name].path, table.columns)):
        if key not in columns:
            raise DataError(f"{where} has no column {key!r} to look up by; it has: {', '.join(columns)}")
    rows, distinct = (int(n) for n in other.aggregate(n=other.count(), d=other[key].nunique()).execute().iloc[0])
    if rows != distinct:
        raise DataError(f"{path.name} holds {rows - distinct} repeated values of {key!r}; a lookup needs each once")
    return table.left_join(other, key)


def _select(path: Path, table: ibis.Table, wanted: Mapping[str, str | dict[str, str]]) -> ibis.Table:
    parts = [f'{_column_or_expression(path, table, name, value)} AS "{name}"' for name, value in wanted.items()]
    query = f"SELECT row_number, {', '.join(parts)} FROM mapped_file"
    try:
        return table.alias("mapped_file").sql(query, dialect="duckdb")
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(f"{path.name}: an expression in the source's TOML cannot be used: {first}") from None


def _column_or_expression(path: Path, table: ibis.Table, name: str, value: str | dict[str, str]) -> str:
    if isinstance(value, dict):
        return f"({value['expr']})"
    if value not in table.columns:
        columns = [column for column in table.columns if column != "row_number"]
        near = difflib.get_close_matches(value, columns, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "it has: " + ", ".join(columns)
        raise DataError(f"{path.name} has no column {value!r} for {name}; {hint}")
    return '"' + value.replace('"', '""') + '"'


def resolve_path(text: str, folder: str) -> Path:
    """A file beside the TOML, an absolute path, or ``package:NAME/file`` inside an installed package.

    Raises:
        DataError: there is no such file.
    """
    if text.startswith("package:"):
        package, _, inside = text.removeprefix("package:").partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise DataError(f"the data package {package} is not installed; pip install {package}")
        path = Path(spec.origin).parent / inside
    else:
        path = Path(folder) / text
    if not path.is_file():
        raise DataError(f"no file {path}; check `path` in the source's TOML")
    return path


def _read_file(connection: Any, path: Path, name: str, options: Mapping[str, str]) -> tuple[ibis.Table, pd.DataFrame]:
    nothing = pd.DataFrame({c: [] for c in ("row_number", "rule", "column", "value", "mend")})
    # a fresh name each time: the engine would answer a second reading from what it cached of the first
    name = f"{name}_{next(_READINGS)}"
    if path.suffix == ".parquet":
        table = connection.read_parquet(path.as_posix(), table_name=name)
        return table.mutate(row_number=ibis.row_number() + 1), nothing
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        raise DataError(f"{path.name}: files may be .csv, .tsv, .txt or .parquet; save it as one of these")
    read = _csv_call(path, options)
    try:
        connection.raw_sql(f'CREATE TABLE "{name}" AS SELECT row_number() OVER () AS row_number, * FROM {read}')
        errors = connection.raw_sql(
            "SELECT line AS row_number, any_value(error_type) AS rule, max(trim(csv_line, chr(13) || chr(10))) AS text "
            "FROM reject_errors GROUP BY line ORDER BY line"
        ).df()
        if len(errors):
            connection.raw_sql(_NUMBER_AS_IN_THE_FILE.format(name=name))
        connection.raw_sql("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(
            f"{path.name} cannot be read as text in columns: {first}; state delimiter and encoding, "
            "and save it with one kind of line ending"
        ) from None
    for row in errors.itertuples():
        if row.rule == "UNQUOTED VALUE" and "\n" in str(row.text):
            raise DataError(
                f"{path.name}, row {row.row_number - 1}: a quote is opened and not closed, so the rows after it cannot "
                "be told apart; close it, or export again with every text field in quotes"
            )
    return connection.table(name), _unreadable(errors)


def _csv_call(path: Path, options: Mapping[str, str]) -> str:
    """The engine's reader with everything stated: what it would guess depends on the first lines of the file."""
    encoding = options.get("encoding", "utf-8")
    with path.open("rb") as file:
        start = file.read(2**16)
    try:
        lines = start.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace").splitlines()
    except LookupError:
        raise DataError(f"{path.name}: encoding == {encoding!r} is unknown; state e.g. utf-8 or latin-1") from None
    header = lines[0] if lines else ""
    if "\ufffd" in header:
        raise DataError(f"{path.name} is not text in {encoding}; state encoding in the source, e.g. latin-1")
    delimiter = options.get("delimiter") or max(",;\t|", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    repeated = [name for index, name in enumerate(names) if name.lower() in [n.lower() for n in names[:index]]]
    if not header or repeated:
        what = f"names the column {repeated[0]!r} twice" if repeated else "has no header line"
        raise DataError(f"{path.name} {what}; give every column its own name in the first line")
    columns = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({_quoted(path.as_posix())}, auto_detect = false, header = true, columns = {{{columns}}}, "
        f"delim = {_quoted(delimiter)}, encoding = {_quoted(encoding)}, quote = '\"', escape = '\"', "
        "store_rejects = true, rejects_limit = 0)"
    )


def _unreadable(errors: pd.DataFrame) -> pd.DataFrame:
    words = {
        "TOO MANY COLUMNS": "the line has more fields than the header",
        "MISSING COLUMNS": "the line has fewer fields than the header",
        "UNQUOTED VALUE": "a quote is not closed",
        "INVALID ENCODING": "the line is not valid text in this encoding",
        "LINE SIZE OVER MAXIMUM": "the line is too long",
    }
    rules = [f"unreadable: {words.get(str(rule), str(rule).lower())}" for rule in errors["rule"]]
    return pd.DataFrame(
        {
            # the engine counts lines of the file, the header being the first
            "row_number": errors["row_number"].astype("int64") - 1,
            "rule": rules,
            "column": "",
            "value": "",
            "mend": "mend the line in the file, or export it again with every text field in quotes",
        }
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""Opening files (for the moment: CSV and parquet)."""

import csv
import importlib.util
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import pandas as pd

from segmentkit.errors import DataError

_READINGS = itertools.count(1)


@dataclass(frozen=True)
class Opened:
    """One opened file."""

    file: str
    table: ibis.Table
    unreadable: pd.DataFrame
    notes: tuple[str, ...] = ()
    path: Path | None = None
    labels: dict[str, str] = field(default_factory=dict)


def open_files(connection: Any, path: str, folder: str, options: Mapping[str, Any]) -> list[Opened]:
    """One file."""
    found = resolve_path(path, folder)
    table, unreadable = _read_file(connection, found, "file", options)
    return [Opened(found.name, table, unreadable, (), found)]


# the engine numbers the rows it could read: shift each past the lines before it that it could not
_NUMBER_AS_IN_THE_FILE = """
CREATE OR REPLACE TABLE "{name}" AS
WITH lost AS (SELECT line, row_number() OVER (ORDER BY line) AS before FROM (SELECT DISTINCT line FROM reject_errors)),
gaps AS (SELECT line - before AS gap, max(before) AS before FROM lost GROUP BY gap)
SELECT t.* REPLACE (t.row_number + coalesce(gaps.before, 0) AS row_number)
FROM "{name}" AS t ASOF LEFT JOIN gaps ON t.row_number >= gaps.gap
"""


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

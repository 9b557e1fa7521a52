"""Opening what a source names: a file, a pattern, an archive, a workbook's sheet, a table of a database."""

import importlib.util
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.databases import read_duckdb, read_postgresql, read_sqlite
from segmentkit.machinery.headers import distinct_names
from segmentkit.machinery.json_lines import read_json
from segmentkit.machinery.opened import Opened, first_line, named, plain_columns, quoted, set_aside, view
from segmentkit.machinery.text_files import read_text
from segmentkit.machinery.unpacking import unpack_gzip, unpack_zip
from segmentkit.machinery.workbooks import read_workbook

__all__ = ["Opened", "open_files", "resolve_path"]

TEXT, JSON, WORKBOOK, PARQUET, BASE = "text", "JSON lines", "an Excel workbook", "a parquet file", "a database"
GZIP, ZIP = "a gzip file", "a zip archive"
KINDS = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), TEXT),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), JSON),
    **dict.fromkeys((".xlsx", ".xlsm"), WORKBOOK),
    **dict.fromkeys((".duckdb", ".sqlite", ".sqlite3", ".db"), BASE),
    ".parquet": PARQUET,
    ".gz": GZIP,
    ".zip": ZIP,
}
_ALLOWED = (
    "files may be .csv, .tsv, .txt or .jsonl (also as .gz or .zip), .xlsx, .parquet, .duckdb::TABLE or .sqlite::TABLE"
)
_MENDS = {
    ".xls": "open it in Excel and save it as .xlsx",
    ".xlsb": "open it in Excel and save it as .xlsx",
    ".ods": "save it as .xlsx",
    ".numbers": "in Numbers choose File > Export To > CSV",
    ".pdf": "export the data themselves, not their picture",
    ".sav": "export it as CSV from SPSS",
}
_OLD_EXCEL = "an old Excel file (.xls) or a workbook with a password"
# what a file begins with, what it is then, and what to do
_SIGNATURES = (
    (b"\xd0\xcf\x11\xe0", _OLD_EXCEL, "open it in Excel and save it as .xlsx without a password"),
    (b"%pdf", "a PDF", "export the data themselves, not their picture"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch it: git lfs pull"),
    (b"par1", PARQUET, "rename it to .parquet"),
    (b"sqlite format 3\0", BASE, "rename it to .sqlite and name its table: FILE::TABLE"),
    (b"\x1f\x8b", GZIP, "rename it so that it ends in .gz"),
    (b"pk\x03\x04", ZIP, "rename it so that it ends in .zip"),
    (b"<!doctype", "a web page, often a log-in or error page", "log in and export it again"),
    (b"<html", "a web page, often a log-in or error page", "log in and export it again"),
    (b"<?xml", "XML", "export it as CSV"),
    (b'{"', JSON, "rename it to .jsonl"),
    (b'[{"', JSON, "rename it to .jsonl"),
)
_EXPECTED = {WORKBOOK: b"pk\x03\x04", PARQUET: b"par1", GZIP: b"\x1f\x8b", ZIP: b"pk\x03\x04"}


def open_files(connection: Any, path: str, folder: str, options: Mapping[str, Any]) -> list[Opened]:
    """Open every file that a source's ``path`` names, sorted by name.

    Args:
        connection: The engine, Ibis on DuckDB.
        path: A file beside the TOML or absolute, a pattern, ``package:NAME/file``, ``book.xlsx::Sheet``,
            ``archive.zip::PATTERN``, ``shop.duckdb::table``, ``shop.sqlite::table``, or
            ``postgresql:ENV_VARIABLE::schema.table``.
        folder: The folder of the TOML.
        options: ``delimiter``, ``encoding``, ``header_rows``, ``join_header_rows``, ``skip_rows``, ``footer``,
            ``sheet``, ``number_duplicates``.

    Returns:
        One entry a file; rows of the file are those of its ``table`` and its ``unreadable`` together.

    Raises:
        DataError: no such file, or one that cannot be read; ParameterError, EnvironmentFault: see the readers.
    """
    if path.startswith(("postgresql:", "postgres:")):
        return [read_postgresql(connection, path, options)]
    outside, _, inside = path.partition("::")
    found = _find(outside, folder)
    opened = [one for place in found for one in _open(connection, place, place.name, inside, options)]
    repeated = {file for file, n in Counter(one.file for one in opened).items() if n > 1}
    return [replace(one, file=_longer(one, folder)) if one.file in repeated else one for one in opened]


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
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it, or all of a kind: {text.rstrip('/')}/*.csv")
    if not path.is_file():
        raise DataError(f"no file {path}; check `path` in the source's TOML")
    return path


def _find(text: str, folder: str) -> list[Path]:
    # brackets are also part of plain names: "orders [1].csv"
    if text.startswith("package:") or not re.search(r"[*?[]", text) or (Path(folder) / text).is_file():
        return [resolve_path(text, folder)]
    base, pattern = Path(folder), Path(text)
    if pattern.is_absolute():
        base, pattern = Path(pattern.anchor), pattern.relative_to(pattern.anchor)
    found = sorted(path for path in base.glob(str(pattern)) if path.is_file())
    if not found:
        raise DataError(f"no file fits {text!r} in {folder}; check `path` in the source's TOML")
    return found


def _longer(opened: Opened, folder: str) -> str:
    """A name that tells two files of one name apart: the path below the folder, and for an archive its member."""
    assert opened.path is not None
    where = os.path.relpath(opened.path, folder).replace(os.sep, "/")
    return where if PurePosixPath(where).name == opened.file else f"{where}/{opened.file}"


def _open(
    connection: Any, path: Path, file: str, inside: str, options: Mapping[str, Any], *, archive: str = ""
) -> Iterator[Opened]:
    kind = KINDS.get(Path(file).suffix.lower(), "")
    if not kind or (archive and kind in (BASE, GZIP, ZIP)):
        mend = _MENDS.get(Path(file).suffix.lower(), "save it as one of these")
        mend += f", or name what to read of the archive: {archive}::*.csv" if archive.endswith(".zip") else ""
        raise DataError(f"{file}: {_ALLOWED}; {mend}")
    start = _start(path, file)
    _refuse_disguise(path, file, kind, start)
    if kind in (GZIP, ZIP):
        yield from _unpacked(connection, path, kind, inside, options)
    elif kind == WORKBOOK:
        sheet = inside or str(options.get("sheet", ""))
        opened = read_workbook(connection, path, file, sheet, options)
        yield replace(opened, file=f"{file}::{sheet}" if sheet else file)
    elif kind == BASE:
        is_sqlite = start.startswith(b"SQLite format 3\0")
        if not is_sqlite and start[8:12] != b"DUCK":
            raise DataError(f"{file} is no DuckDB or SQLite file; copy it again, or name it by its real ending")
        read_base = read_sqlite if is_sqlite else read_duckdb
        yield replace(read_base(connection, path, file, inside, options), file=f"{file}::{inside}" if inside else file)
    elif inside:
        raise ParameterError(f"path == '{file}::{inside}'; {kind} has no parts to name; write {file}")
    else:
        read = {TEXT: read_text, JSON: read_json, PARQUET: _read_parquet}[kind]
        yield read(connection, path, file, options)


def _unpacked(connection: Any, path: Path, kind: str, inside: str, options: Mapping[str, Any]) -> Iterator[Opened]:
    members = [(path.name[: -len(".gz")], unpack_gzip(path))] if kind == GZIP else unpack_zip(path, inside)
    for member, copy in members:
        name = PurePosixPath(member).name
        for opened in _open(connection, copy, name, "", options, archive=path.name):
            notes = (f"unpacked from {path.name}", *opened.notes)
            yield replace(opened, file=path.name if kind == GZIP else name, path=path, notes=notes)
        if KINDS[copy.suffix] != PARQUET:  # which is read where it lies
            copy.unlink()


def _read_parquet(connection: Any, path: Path, file: str, options: Mapping[str, Any]) -> Opened:
    relation = f"read_parquet({quoted(path.as_posix())})"
    try:
        own = [row[0] for row in connection.raw_sql(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
        names, notes = distinct_names(file, own, number=bool(options.get("number_duplicates", False)))
        columns, more = plain_columns(connection, relation, names)
        numbered = f"read_parquet({quoted(path.as_posix())}, file_row_number = true)"
        table = view(connection, f"SELECT file_row_number + 1 AS row_number, {columns} FROM {numbered}")
        connection.raw_sql(f"SELECT count(COLUMNS(*)) FROM (SELECT * FROM {named(table.get_name())} LIMIT 1)")
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{file} cannot be read as a parquet file: {first_line(error)}; copy it again: it may be cut off"
        ) from None
    return Opened(file, table, set_aside(), (*notes, *more), path)


def _start(path: Path, file: str) -> bytes:
    try:
        with path.open("rb") as content:
            start = content.read(2**16)
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}; ask for the right to read it") from None
    if not start:
        raise DataError(f"{file} is empty (0 bytes); export or copy it again")
    if not start.strip(b"\0"):
        raise DataError(f"{file} holds NUL bytes only: a copy that was cut off; copy it again")
    return start


def _refuse_disguise(path: Path, file: str, kind: str, start: bytes) -> None:
    """A file that is something else than its name says."""
    plain = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    expected = _EXPECTED.get(kind)
    what, mend = next(((what, mend) for mark, what, mend in _SIGNATURES if plain.startswith(mark)), ("", ""))
    if plain.startswith(expected) if expected else what in ("", kind):
        return
    if not what:
        raise DataError(f"{file} is not {kind}, or only a part of one; copy or export it again")
    if what == ZIP and _is_workbook(path):
        what, mend = WORKBOOK, "rename it so that it ends in .xlsx"
    raise DataError(f"{file} is not {kind if expected else 'what its name says'} but {what}; {mend}")


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "[Content_Types].xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False

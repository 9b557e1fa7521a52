"""Bad files: how each is made, what refuses it, and what the message must say; or which rows are set aside."""

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd

from segmentkit.errors import DataError, EnvironmentFault, KitError, ParameterError

HEADER = "customer,order,paid\n"
ROW = "1,A,5.00\n"
GOOD = HEADER + ROW + "2,B,6.00\n"


@dataclass(frozen=True)
class Refused:
    """An input that must stop the reading: ``says`` is in the message."""

    name: str
    files: Mapping[str, bytes | str | Callable[[Path], None]]
    path: str
    says: str
    options: Mapping[str, Any] = field(default_factory=dict)
    error: type[KitError] = DataError

    def write(self, folder: Path) -> None:
        write(folder, self.files)


@dataclass(frozen=True)
class SetAside:
    """An input of which some rows must be set aside: number and rule of each, and the numbers of the rows kept."""

    name: str
    files: Mapping[str, bytes | str | Callable[[Path], None]]
    path: str
    lost: Mapping[int, str]
    kept: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        write(folder, self.files)


def write(folder: Path, files: Mapping[str, bytes | str | Callable[[Path], None]]) -> None:
    for name, content in files.items():
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def zipped(*members: tuple[str, str], encrypted: bool = False, method: int = 0, size: int = 0) -> bytes:
    """A zip archive; its headers may state an encryption, a method or a size that are not so."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    data = bytearray(target.getvalue())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(mark)
        while start >= 0:
            data[start + place] |= encrypted
            data[start + place + 2] = method or data[start + place + 2]
            if size:
                data[start + place + 16 : start + place + 20] = size.to_bytes(4, "little")
            start = data.find(mark, start + 4)
    return bytes(data)


def book(
    *rows: tuple[Any, ...], change: Callable[[Any], None] = lambda one: None, **more: list[tuple[Any, ...]]
) -> bytes:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Orders"
    for row in rows:
        sheet.append(row)
    for title, content in more.items():
        other = workbook.create_sheet(title)
        for row in content:
            other.append(row)
    change(workbook)
    target = io.BytesIO()
    workbook.save(target)
    return target.getvalue()


def inside(data: bytes, old: bytes, new: bytes) -> bytes:
    """A workbook with its first sheet's XML changed: what no library would write."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as archive:
        for member in source.namelist():
            content = source.read(member)
            changed = content.replace(old, new) if member == "xl/worksheets/sheet1.xml" else content
            assert member != "xl/worksheets/sheet1.xml" or changed != content
            archive.writestr(member, changed)
    return target.getvalue()


def sqlite(path: Path, *statements: str) -> None:
    base = sqlite3.connect(path)
    for statement in statements or ("CREATE TABLE orders (id)", "CREATE TABLE people (id)"):
        base.execute(statement)
    base.commit()
    base.close()


def duck(path: Path) -> None:
    base = duckdb.connect(str(path))
    base.execute("CREATE TABLE orders AS SELECT 1 AS id; CREATE TABLE people AS SELECT 1 AS id")
    base.close()


def parquet(**columns: list[Any]) -> bytes:
    target = io.BytesIO()
    pd.DataFrame(columns).to_parquet(target)
    return target.getvalue()


HEAD = ("customer", "paid")
GROWN = zipped(("a.csv", GOOD), size=2**32 - 2)
LATIN = (HEADER + "Köln,A,1\nBärß,B,2\nKöln,C,3\n").encode("cp1252")
LONG = "4,some text,6\n" * 900_000
FEWER = "unreadable: the line has fewer fields than the header"
MORE = "unreadable: the line has more fields than the header"
NO_TEXT = "unreadable: the line is not valid text in this encoding"

REFUSED = [
    # --- where the file is
    Refused("no such file", {}, "orders.csv", "; check `path` in the source's TOML"),
    Refused("no file fits the pattern", {"a.txt": GOOD}, "orders_*.csv", "no file fits 'orders_*.csv' in "),
    Refused("a folder", {"all": lambda path: path.mkdir()}, "all", "is a folder; name a file in it, or all of a kind"),
    Refused("a package that is not there", {}, "package:no_such_one/a.csv", "pip install no_such_one"),
    Refused("a part of a text file", {"a.csv": GOOD}, "a.csv::Sheet", "text has no parts to name", {}, ParameterError),
    # --- what the file really is
    Refused("an unknown kind", {"a.docx": b"PK\x03\x04"}, "a.docx", "a.docx: files may be .csv, .tsv, .txt or .jsonl"),
    Refused("an old Excel file", {"a.xls": b"\xd0\xcf\x11\xe0"}, "a.xls", "open it in Excel and save it as .xlsx"),
    Refused("a Numbers file", {"a.numbers": zipped(("x", "y"))}, "a.numbers", "in Numbers choose File > Export To"),
    Refused("no bytes", {"a.csv": b""}, "a.csv", "a.csv is empty (0 bytes); export or copy it again"),
    Refused("zero bytes only", {"a.csv": b"\0" * 999}, "a.csv", "a.csv holds NUL bytes only: a copy that was cut off"),
    Refused(
        "a workbook called .csv", {"a.csv": book(HEAD)}, "a.csv", "but an Excel workbook; rename it so that it ends"
    ),
    Refused(
        "a zip archive called .csv", {"a.csv": zipped(("a", "b"))}, "a.csv", "but a zip archive; rename it so that"
    ),
    Refused("a gzip file called .csv", {"a.csv": gzip.compress(b"a")}, "a.csv", "but a gzip file; rename it so that"),
    Refused(
        "an old Excel file called .csv", {"a.csv": b"\xd0\xcf\x11\xe0" * 9}, "a.csv", "but an old Excel file (.xls)"
    ),
    Refused(
        "a PDF called .csv", {"a.csv": b"%PDF-1.7 ..."}, "a.csv", "a.csv is not what its name says but a PDF; export"
    ),
    Refused("a log-in page", {"a.csv": "\n<!DOCTYPE html><html>"}, "a.csv", "but a web page, often a log-in or error"),
    Refused("XML called .csv", {"a.csv": '<?xml version="1.0"?>'}, "a.csv", "but XML; export it as CSV"),
    Refused(
        "a parquet file called .csv", {"a.csv": parquet(a=[1])}, "a.csv", "but a parquet file; rename it to .parquet"
    ),
    Refused("JSON called .csv", {"a.csv": '{"a": 1}\n'}, "a.csv", "but JSON lines; rename it to .jsonl"),
    Refused(
        "SQLite called .csv", {"a.csv": sqlite}, "a.csv", "but a database; rename it to .sqlite and name its table"
    ),
    Refused("a Git LFS pointer", {"a.csv": "version https://git-lfs.github.com/spec/v1\n"}, "a.csv", "git lfs pull"),
    Refused("a picture called .csv", {"a.csv": b"\x89PNG\r\n" + bytes(range(256)) * 9}, "a.csv", "holds binary data"),
    # --- text: encoding, header, quotes, line ends
    Refused("another encoding", {"a.csv": LATIN}, "a.csv", "one of cp1252 (reads ö ä ß)"),
    Refused("another encoding in the header", {"a.csv": "Größe,b\n1,2\n".encode("cp1252")}, "a.csv", "state encoding"),
    Refused("UTF-16 without a mark", {"a.csv": GOOD.encode("utf-16-le")}, "a.csv", 'state encoding = "utf-16-le"'),
    Refused("an unknown encoding", {"a.csv": GOOD}, "a.csv", "'utf-9' is unknown; state e.g.", {"encoding": "utf-9"}),
    Refused("UTF-16 cut off", {"a.csv": GOOD.encode("utf-16")[:-1]}, "a.csv", "a.csv is not text in utf-16"),
    Refused("a delimiter of two", {"a.csv": GOOD}, "a.csv", "it must be one character", {"delimiter": "||"}),
    Refused("no header but blank lines", {"a.csv": "\n\n \n"}, "a.csv", "a.csv has no header line"),
    Refused(
        "data for a header", {"a.csv": "1,ann@example.com,5\n"}, "a.csv", "column 2 of its first line is an e-mail"
    ),
    Refused(
        "a phone number for a header", {"a.csv": "Ann,+49 170 1234567\n"}, "a.csv", "column 2 of its first line is a"
    ),
    Refused(
        "DuckDB cut off", {"a.duckdb": b"12345678DUCK" + b"x" * 999}, "a.duckdb::t", "cannot be opened as a DuckDB"
    ),
    Refused("a repeated header", {"a.csv": "a,b,A\n1,2,3\n"}, "a.csv", "names the column 'A' twice"),
    Refused("a title above the header", {"a.csv": "My report\n\n" + GOOD}, "a.csv", "state skip_rows = 1"),
    Refused(
        "a survey's three header rows", {"a.csv": 'a,b\nQ,R\n"{""ImportId"":1}",x\n1,2\n'}, "a.csv", "header_rows = 3"
    ),
    Refused(
        "an open quote", {"a.csv": HEADER + ROW + '\n"1,A,5\n' + ROW * 3}, "a.csv", "a.csv, row 2: a quote is opened"
    ),
    Refused(
        "an open quote in a large file",
        {"a.csv": HEADER + ROW * 9 + '1,"A,5\n' + LONG},
        "a.csv",
        "a.csv, row 10: a quo",
    ),
    Refused(
        "rows swallowed by a quote",
        {"a.csv": HEADER + '1,"A' + LONG + 'A",5\n' + ROW},
        "a.csv",
        "a.csv, row 1: a quote",
    ),
    Refused("mixed line ends", {"a.csv": HEADER + "1,A,5\r\n" + ROW}, "a.csv", "1 of Windows (CR LF), 2 of Unix (LF)"),
    Refused("header_rows of zero", {"a.csv": GOOD}, "a.csv", "header_rows == 0;", {"header_rows": 0}, ParameterError),
    Refused("skip_rows as text", {"a.csv": GOOD}, "a.csv", "skip_rows == '2';", {"skip_rows": "2"}, ParameterError),
    # --- archives
    Refused("gzip cut off", {"a.csv.gz": gzip.compress(GOOD.encode())[:-9]}, "a.csv.gz", "a.csv.gz cannot be unpacked"),
    Refused("no gzip at all", {"a.csv.gz": GOOD}, "a.csv.gz", "a.csv.gz is not a gzip file, or only a part of one"),
    Refused("gzip of an archive", {"a.tar.gz": gzip.compress(b"x")}, "a.tar.gz", "a.tar: files may be .csv"),
    Refused("zip cut off", {"a.zip": zipped(("a.csv", GOOD))[:60]}, "a.zip", "a.zip is no whole zip archive"),
    Refused("zip damaged", {"a.zip": zipped(("a.csv", GOOD)).replace(b"5.00", b"5.01", 1)}, "a.zip", "Bad CRC-32"),
    Refused("zip that leads outside", {"a.zip": zipped(("../a.csv", GOOD))}, "a.zip", "a path that leaves the archive"),
    Refused(
        "zip with an absolute path", {"a.zip": zipped(("/etc/a.csv", GOOD))}, "a.zip", "a path that leaves the archive"
    ),
    Refused(
        "zip of Windows that leads outside", {"a.zip": zipped(("x\\..\\..\\a.csv", GOOD))}, "a.zip", "leaves the arch"
    ),
    Refused("zip encrypted", {"a.zip": zipped(("a.csv", GOOD), encrypted=True)}, "a.zip", "a.zip/a.csv is encrypted"),
    Refused("zip by an unknown method", {"a.zip": zipped(("a.csv", GOOD), method=9)}, "a.zip", "cannot be unpacked"),
    Refused("zip in a zip", {"a.zip": zipped(("b.zip", "x"))}, "a.zip", "b.zip: files may be"),
    Refused("zip with nothing that fits", {"a.zip": zipped(("b.csv", GOOD))}, "a.zip::c*.csv", "it holds: b.csv"),
    Refused("zip with nothing", {"a.zip": zipped()}, "a.zip", "a.zip is not a zip archive, or only a part of one"),
    Refused(
        "zip with a readme",
        {"a.zip": zipped(("a.csv", GOOD), ("b.pdf", "%PDF"))},
        "a.zip",
        "to read of the archive: a.zip::*.csv",
    ),
    Refused(
        "zip bomb by its own statement", {"a.zip": GROWN}, "a.zip", "would unpack to 4.29 GB or more; allowed: 4 GB"
    ),
    # --- workbooks
    Refused(
        "a workbook with a password", {"a.xlsx": b"\xd0\xcf\x11\xe0" * 9}, "a.xlsx", "or a workbook with a password"
    ),
    Refused("text called .xlsx", {"a.xlsx": GOOD}, "a.xlsx", "a.xlsx is not an Excel workbook, or only a part of one"),
    Refused(
        "a workbook cut off", {"a.xlsx": book(HEAD, (1, 2))[:900]}, "a.xlsx", "cannot be read as an Excel workbook"
    ),
    Refused("a zip called .xlsx", {"a.xlsx": zipped(("a.csv", GOOD))}, "a.xlsx", "cannot be read as an Excel workbook"),
    Refused("a workbook with nothing in it", {"a.xlsx": book()}, "a.xlsx", "a.xlsx: no sheet of it has content"),
    Refused("several sheets", {"a.xlsx": book(HEAD, Old=[HEAD])}, "a.xlsx", "Orders, Old; name one: a.xlsx::Orders"),
    Refused(
        "a sheet that is not there", {"a.xlsx": book(HEAD)}, "a.xlsx::Ordres", "has no sheet 'Ordres'; it has: Orders"
    ),
    Refused("a workbook's repeated header", {"a.xlsx": book(("a", "a"))}, "a.xlsx", "names the column 'a' twice"),
    # --- JSON, parquet, databases
    Refused(
        "no JSON at all", {"a.jsonl": "customer,order\n1,2\n"}, "a.jsonl", "a.jsonl: no line of it is a JSON object"
    ),
    Refused("a JSON object over many lines", {"a.json": '{\n"a": 1\n}\n'}, "a.json", "export it as JSON lines"),
    Refused("a broken JSON array", {"a.json": '[{"a": 1}, {"a": 2'}, "a.json", "a.json cannot be read as JSON"),
    Refused(
        "keys that are data",
        {"a.jsonl": json.dumps({f"k{n}": 1 for n in range(1001)})},
        "a.jsonl",
        "its objects have 1,001 different keys; allowed: 1,000",
    ),
    Refused("parquet cut off", {"a.parquet": parquet(a=[1])[:-9]}, "a.parquet", "cannot be read as a parquet file"),
    Refused("CSV called .parquet", {"a.parquet": GOOD}, "a.parquet", "a.parquet is not a parquet file, or only a part"),
    Refused(
        "no DuckDB file",
        {"a.duckdb": GOOD * 500},
        "a.duckdb::orders",
        "a.duckdb is no DuckDB or SQLite file; copy it again",
    ),
    Refused("no SQLite file", {"a.sqlite": GOOD * 500}, "a.sqlite::orders", "a.sqlite is no DuckDB or SQLite"),
    Refused(
        "SQLite cut off", {"a.db": b"SQLite format 3\0" + b"x" * 99}, "a.db::t", "cannot be read as an SQLite file"
    ),
    Refused(
        "SQLite without that table", {"a.sqlite": sqlite}, "a.sqlite::ordrs", "no table 'ordrs'; it has: orders, pe"
    ),
    Refused("SQLite without a table named", {"a.sqlite": sqlite}, "a.sqlite", "2 tables: state one as a.sqlite::TABLE"),
    Refused(
        "DuckDB without that table", {"a.duckdb": duck}, "a.duckdb::ordrs", "no table 'ordrs'; it has: orders, peo"
    ),
    # --- servers
    Refused(
        "an address with its password", {}, "postgresql://me:secret@db/shop", "not of the form", {}, ParameterError
    ),
    Refused("a variable that is not set", {}, "postgresql:NO_SUCH::a", "NO_SUCH is not set", {}, EnvironmentFault),
]

NO_FORMULA = book(HEAD, (1, 5), (2, "=1+1"), (3, 6))
ERRORS = book(HEAD, (1, 5), ("#N/A", 5), (3, "#REF!"), (4, 6))
SQLITE_ROWS = ("CREATE TABLE o (id, name)", "INSERT INTO o VALUES (1, 'a'), (2, CAST(x'4bf6' AS TEXT)), (3, 'c')")

SET_ASIDE = [
    SetAside("too few fields", {"a.csv": HEADER + ROW + "1,A\n" + ROW}, "a.csv", {2: FEWER}, (1, 3)),
    SetAside("too many fields", {"a.csv": HEADER + "1,A,5,6,7\n" + ROW}, "a.csv", {1: MORE}, (2,)),
    SetAside("blank lines between", {"a.csv": HEADER + ROW + "\n\n1,A\n\n" + ROW}, "a.csv", {2: FEWER}, (1, 3)),
    SetAside(
        "blank lines of Windows",
        {"a.csv": (HEADER + "\n1,A\n\n" + ROW).replace("\n", "\r\n")},
        "a.csv",
        {1: FEWER},
        (2,),
    ),
    SetAside("blank lines within quotes", {"a.csv": HEADER + '1,"A\n\nB",5\n1,A\n' + ROW}, "a.csv", {2: FEWER}, (1, 3)),
    SetAside(
        "line ends of old Macs", {"a.csv": (HEADER + "1,A\n" + ROW).replace("\n", "\r")}, "a.csv", {1: FEWER}, (2,)
    ),
    SetAside("a byte order mark", {"a.csv": "\ufeff" + HEADER + "\n1,A\n" + ROW}, "a.csv", {1: FEWER}, (2,)),
    SetAside(
        "a delimiter that changes", {"a.csv": HEADER + ROW + "1;A;5\n1;B;6\n"}, "a.csv", {2: FEWER, 3: FEWER}, (1,)
    ),
    SetAside(
        "a line in another encoding", {"a.csv": (HEADER + ROW).encode() + b"K\xf6ln,A,5\n"}, "a.csv", {2: NO_TEXT}, (1,)
    ),
    SetAside(
        "a byte that cp1252 has not",
        {"a.csv": (HEADER + "€,A,5\n").encode("cp1252") + b"\x81,A,5\n"},
        "a.csv",
        {2: NO_TEXT},
        (1,),
        {"encoding": "cp1252"},
    ),
    SetAside(
        "half a character in UTF-16",
        {"a.csv": (HEADER + "\ud800,A,5\n" + ROW).encode("utf-16", "surrogatepass")},
        "a.csv",
        {1: NO_TEXT},
        (2,),
    ),
    SetAside(
        "zero bytes in a line",
        {"a.csv": HEADER + ROW + "1,\0A,5\n1,A\n" + ROW},
        "a.csv",
        {2: "unreadable: the line holds NUL bytes", 3: FEWER},
        (1, 4),
    ),
    SetAside(
        "a quote in the middle",
        {"a.csv": HEADER + '1,"say "hi" you",5\n' + ROW},
        "a.csv",
        {1: "unreadable: a quote is not closed"},
        (2,),
    ),
    SetAside(
        "a line of 20 MB",
        {"a.csv": HEADER + ROW + "1," + "x" * 20_000_000 + ",5\n1,A\n" + ROW},
        "a.csv",
        {2: "unreadable: the line is too long", 3: FEWER},
        (1, 4),
    ),
    SetAside(
        "under three header rows",
        {"a.csv": 'a,b\n"Q\n1",R\n"{""ImportId"":1}",x\n1\n1,2\n'},
        "a.csv",
        {1: FEWER},
        (2,),
        {"header_rows": 3},
    ),
    SetAside(
        "under a title",
        {"a.csv": "Report\n\nJune\n" + HEADER + "1,A\n" + ROW},
        "a.csv",
        {1: FEWER},
        (2,),
        {"skip_rows": 2},
    ),
    SetAside(
        "above a footer",
        {"a.csv": HEADER + "1,A\n" + ROW + '\n"Report"\n"Confidential, 2025"\n'},
        "a.csv",
        {1: FEWER},
        (2,),
        {"footer": True},
    ),
    SetAside(
        "in a gzip file", {"a.csv.gz": gzip.compress((HEADER + "1,A\n" + ROW).encode())}, "a.csv.gz", {1: FEWER}, (2,)
    ),
    SetAside(
        "an error in a cell",
        {"a.xlsx": ERRORS},
        "a.xlsx",
        {2: "unreadable: the cell holds an error", 3: "unreadable: the cell holds an error"},
        (1, 4),
    ),
    SetAside(
        "a formula never computed",
        {"a.xlsx": NO_FORMULA},
        "a.xlsx",
        {2: "unreadable: the formula was never computed"},
        (1, 3),
    ),
    SetAside(
        "cells beside the table",
        {"a.xlsx": book(HEAD, (1, 5, "note"), (2, 6))},
        "a.xlsx",
        {1: "unreadable: the row has more cells than the header"},
        (2,),
    ),
    SetAside(
        "a JSON line cut off",
        {"a.jsonl": '{"a": 1}\n{"a": \n{"a": 3}\n'},
        "a.jsonl",
        {2: "unreadable: the line is not whole JSON"},
        (1, 3),
    ),
    SetAside(
        "a JSON line that is a list",
        {"a.jsonl": '{"a": 1}\n[2]\nnull\n{"a": 3}\n'},
        "a.jsonl",
        {2: "unreadable: the line is no JSON object", 3: "unreadable: the line is no JSON object"},
        (1, 4),
    ),
    SetAside(
        "a text of SQLite that is none",
        {"a.sqlite": lambda path: sqlite(path, *SQLITE_ROWS)},
        "a.sqlite::o",
        {2: "unreadable: a value is not valid UTF-8 text"},
        (1, 3),
    ),
]

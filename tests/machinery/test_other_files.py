"""JSON lines, parquet, DuckDB and SQLite: types, nested values, names, and files that stay as they are."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bad_files import duck, sqlite
from segmentkit.errors import DataError
from segmentkit.machinery import databases
from segmentkit.machinery.opened import Opened
from segmentkit.machinery.opening import open_files
from segmentkit.machinery.runs import connect

Opener = Callable[..., Opened]


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


@pytest.fixture
def open_one(connection, tmp_path) -> Opener:
    def open_it(path: str, data: bytes | str | None = None, **options: Any) -> Opened:
        if data is not None:
            (tmp_path / path).write_bytes(data.encode() if isinstance(data, str) else data)
        (one,) = open_files(connection, path, str(tmp_path), options)
        return one

    return open_it


def rows(one: Opened) -> pd.DataFrame:
    return one.table.execute().sort_values("row_number").set_index("row_number")


# --- JSON -----------------------------------------------------------------------------------------------------


def test_every_key_of_any_line_is_a_column_of_text(open_one) -> None:
    lines = [{"id": "007", "n": 5}, {"id": None, "a.b/c~d": True}, {"new": 1.5, "id": "8", '"q"': "x"}]
    one = open_one("a.jsonl", "\n".join(map(json.dumps, lines)))
    assert one.table.columns == ("row_number", "id", "n", "a.b/c~d", "new", '"q"')
    assert rows(one).fillna("").to_dict("list") == {
        "id": ["007", "", "8"],
        "n": ["5", "", ""],
        "a.b/c~d": ["", "true", ""],
        "new": ["", "", "1.5"],
        '"q"': ["", "", "x"],
    }


def test_nested_values_stay_json_that_sql_can_ask(open_one, connection) -> None:
    event = {"name": "view", "params": [{"key": "session", "value": {"int_value": 42}}]}
    one = open_one("a.ndjson", json.dumps({"name": "first"}) + "\n" + json.dumps(event) + "\n")
    asked = connection.raw_sql(
        'SELECT list_filter(from_json(params, \'[{"key":"VARCHAR","value":{"int_value":"BIGINT"}}]\'), '
        f"p -> p.key = 'session')[1].value.int_value FROM {one.table.get_name()} ORDER BY row_number"
    ).fetchall()
    assert asked == [(None,), (42,)]


def test_an_array_of_objects_is_read_as_rows(open_one) -> None:
    one = open_one("a.json", '\ufeff [{"a": 1},\n {"a": 2}, 5]')
    assert rows(one)["a"].to_dict() == {1: "1", 2: "2"}
    assert one.unreadable["row_number"].tolist() == [3]
    assert "a JSON array instead of lines: its elements are the rows" in one.notes


def test_keys_that_differ_by_case_only_are_refused_or_numbered(open_one) -> None:
    text = '{"Id": 1, "ID": 2, "row_number": 3}\n'
    with pytest.raises(DataError, match="names the column 'ID' twice"):
        open_one("a.jsonl", text)
    assert open_one("a.jsonl", text, number_duplicates=True).table.columns[1:] == ("Id", "ID (2)", "row_number (2)")


# --- parquet --------------------------------------------------------------------------------------------------


def test_parquet_keeps_types_and_nested_values_become_json(open_one, tmp_path) -> None:
    table = pa.table(
        {
            "id": [1, 2],
            "paid": pa.array([1.5, None]),
            "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
            "tags": [["a", "b"], []],
            "geo": [{"city": "Köln"}, None],
            "photo": pa.array([b"x", b"y"]),
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "row_number": [8, 9],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    one = open_one("a.parquet")
    types = {name: str(kind) for name, kind in one.table.schema().items()}
    assert types["id"] == "int64"
    assert types["at"].startswith("timestamp('UTC'")
    assert rows(one)["tags"].to_dict() == {1: '["a","b"]', 2: "[]"}
    assert rows(one)["geo"].fillna("").to_dict() == {1: '{"city":"Köln"}', 2: ""}
    assert rows(one)["row_number (2)"].tolist() == [8, 9]
    assert "photo" not in types
    assert "left out column 'photo': its type is BLOB, which no table here can hold" in one.notes


def test_rows_of_a_large_parquet_file_are_numbered_in_order(open_one, tmp_path) -> None:
    pq.write_table(pa.table({"n": range(1, 300_001)}), tmp_path / "a.parquet", row_group_size=10_000)
    table = open_one("a.parquet").table
    assert table.filter(table.row_number != table.n).count().execute() == 0


# --- databases ------------------------------------------------------------------------------------------------


def test_a_duckdb_table_keeps_its_types_and_its_file_is_let_go(open_one, tmp_path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as base:
        base.execute("CREATE SCHEMA web; CREATE TABLE web.hits AS SELECT 5 AS n")
        base.execute(
            "CREATE TABLE orders AS SELECT range AS id, 1.50::DECIMAL(9,2) AS paid, {'a': 1} AS more, "
            "'x'::BLOB AS raw FROM range(3); CREATE VIEW late AS SELECT * FROM orders WHERE id > 1"
        )
    one = open_one("shop.duckdb::orders")
    assert one.file == "shop.duckdb::orders"
    assert str(one.table.schema()["paid"]) == "decimal(9, 2)"
    assert rows(one)["more"].tolist() == ['{"a":1}'] * 3
    assert any("'raw'" in note for note in one.notes)
    assert rows(open_one("shop.duckdb::late"))["id"].tolist() == [2]
    assert rows(open_one("shop.duckdb::web.hits"))["n"].tolist() == [5]
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as base:  # no lock is left
        base.execute("DROP TABLE orders CASCADE")
    assert rows(one).index.tolist() == [1, 2, 3]


def test_a_duckdb_file_that_another_program_writes_to_is_refused(open_one, tmp_path) -> None:
    duck(tmp_path / "a.duckdb")
    with duckdb.connect(str(tmp_path / "a.duckdb")), pytest.raises(DataError, match="close the program that writes"):
        open_one("a.duckdb::orders")


def test_sqlite_columns_hold_any_type_and_all_of_it_is_text(open_one, tmp_path) -> None:
    sqlite(
        tmp_path / "shop.db",
        "CREATE TABLE orders (id INTEGER, paid REAL, note TEXT, row_number)",
        "INSERT INTO orders VALUES (1, 5.0, '007', 3), ('x', 0.1, NULL, 1e300), (12345678901234567, 'n/a', x'00ff', 0)",
    )
    one = open_one("shop.db")
    assert one.file == "shop.db"
    assert rows(one).fillna("(none)").values.tolist() == [
        ["1", "5", "007", "3"],
        ["x", "0.1", "(none)", "1e+300"],
        ["12345678901234567", "n/a", "00ff", "0"],
    ]
    assert one.table.columns[-1] == "row_number (2)"


def test_sqlite_is_read_only_and_a_lock_is_said(open_one, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(databases, "_SECONDS", 0)
    sqlite(tmp_path / "a.sqlite")
    before = (tmp_path / "a.sqlite").read_bytes()
    assert len(rows(open_one("a.sqlite::orders"))) == 0
    assert (tmp_path / "a.sqlite").read_bytes() == before
    base = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(DataError, match=r"a\.sqlite cannot be read as .*: database is locked"):
            open_one("a.sqlite::orders")
    finally:
        base.close()


@pytest.mark.parametrize("name", ['odd "name"', "dr'op; table", "Ünï"])
def test_table_names_are_never_run(open_one, tmp_path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    sqlite(tmp_path / "a.sqlite", f"CREATE TABLE {quoted} (a)", f"INSERT INTO {quoted} VALUES (1)")
    with duckdb.connect(str(tmp_path / "a'b.duckdb")) as base:
        base.execute(f"CREATE TABLE {quoted} AS SELECT 1 AS a")
    assert len(rows(open_one(f"a.sqlite::{name}"))) == 1
    assert len(rows(open_one(f"a'b.duckdb::{name}"))) == 1

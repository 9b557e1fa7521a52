"""The playbook file: read as any spreadsheet writes it, never written over what somebody saved."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from segmentkit.analysis import decisions, mix
from segmentkit.errors import ParameterError
from segmentkit.machinery import playbook_file
from segmentkit.machinery.paths import project_root

NAMES, MANY = {"A": "Größe", "B": "Now and then"}, {"A": 40, "B": 60}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMENTKIT_PLAYBOOK", str(tmp_path / "playbook"))
    return playbook_file.playbook_path("shop")


def run(path, names=NAMES, segmentation="s1") -> mix.Mix:
    """What a run does with the file."""
    found = playbook_file.read(path)
    made = mix.merge(found.table, names, MANY, segmentation, file=found.name)
    playbook_file.write(found, made.table)
    return made


def fill(path, row: int, column: str, text: str) -> None:
    """What a person does with it: row as the spreadsheet counts."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    table.loc[row - 2, column] = text
    table.to_csv(path, index=False, encoding="utf-8", lineterminator="\r\n")


def test_the_folder_is_the_projects_unless_the_environment_names_another(path, tmp_path, monkeypatch) -> None:
    assert path == tmp_path / "playbook" / "shop.csv"
    monkeypatch.delenv("SEGMENTKIT_PLAYBOOK")
    assert playbook_file.playbook_path("shop") == project_root() / "data" / "playbook" / "shop.csv"


def test_a_new_file_opens_in_a_spreadsheet_and_a_second_run_leaves_it_alone(path) -> None:
    run(path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfsegmentation,segment_key,")
    before = path.stat().st_mtime_ns
    run(path)
    assert path.stat().st_mtime_ns == before
    assert [one.name for one in path.parent.iterdir()] == ["shop.csv"]


def test_edits_survive_a_run_a_refit_a_rename_a_lost_segment_and_another_segmentation(path) -> None:
    run(path)
    fill(path, 2, "offer", '10 % "off", now;\nonly here = Ω')
    fill(path, 3, "budget", "12,50")
    for names, segmentation in [
        (NAMES, "s1"),
        (NAMES | {"A": "Renamed", "C": "New"}, "s1"),
        ({"B": "Now and then"}, "s1"),
        (NAMES, "s2"),
        ({"B": "Now and then"}, "s1"),
    ]:
        run(path, names, segmentation)
    fill(path, 2, "message", "for B")
    back = run(path)
    assert decisions.offers(back) == {("A", ""): '10 % "off", now;\nonly here = Ω'}
    told = back.table.set_index("segment_key")
    assert (told.loc["B", "budget"], told.loc["B", "message"]) == ("12,50", "for B")
    assert back.parked.empty


def test_two_segmentations_in_turn_keep_each_others_edits(path) -> None:
    run(path, segmentation="s1")
    fill(path, 2, "offer", "of the first")
    run(path, segmentation="s2")
    fill(path, 2, "offer", "of the second")
    assert decisions.offers(run(path, segmentation="s1")) == {("A", ""): "of the first"}
    assert decisions.offers(run(path, segmentation="s2")) == {("A", ""): "of the second"}


def test_the_file_as_it_was_is_kept_beside(path) -> None:
    run(path)
    fill(path, 2, "offer", "x")
    edited = path.read_bytes()
    run(path)
    assert path.with_name("shop.bak.csv").read_bytes() == edited


def test_what_somebody_saved_meanwhile_is_not_written_over(path) -> None:
    run(path)
    found = playbook_file.read(path)
    fill(path, 2, "offer", "saved while the run went on")
    saved = path.read_bytes()
    with pytest.raises(ParameterError, match="was saved by somebody since it was read; nothing was written over it"):
        playbook_file.write(found, mix.merge(found.table, NAMES | {"C": "New"}, MANY, "s1").table)
    assert path.read_bytes() == saved
    assert [one.name for one in path.parent.iterdir()] == ["shop.csv"]


def test_a_file_that_appears_meanwhile_is_not_written_over(path) -> None:
    found = playbook_file.read(path)
    run(path)
    with pytest.raises(ParameterError, match="saved by somebody"):
        playbook_file.write(found, mix.merge(None, {"C": "New"}, MANY, "s1").table)


@pytest.mark.parametrize(
    "content",
    [
        b'segmentation,segment_key,channel,offer\ns1,A,all,"a,b"\n',
        '\ufeffsegmentation;Segment_Key ;channel;offer;;\r\ns1;A;all;"a,b";;\r\n;;;;;\r\n\r\n'.encode(),
        b"segmentation\tsegment_key\tchannel\toffer\rs1\tA\tall\ta,b\r",
        b'segmentation,segment_key,channel,offer\r\n\r\n,,,\r\ns1," a",,"a,b"',
        b'"segmentation","segment_key","channel","offer"\n"s1","A"," ","a,b",""\n',
    ],
)
def test_files_are_read_as_spreadsheets_write_them(path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    made = run(path)
    assert decisions.offers(made) == {("A", ""): "a,b"}
    assert made.in_use["segment_key"].tolist() == ["A", "B"]
    # a second reading of what was written says the same
    pd.testing.assert_frame_equal(run(path).table, made.table)


def test_the_semicolon_stays(path) -> None:
    path.parent.mkdir()
    path.write_text("segment_key;budget\nA;12,5\n", encoding="utf-8")
    assert decisions.stated(run(path))["value"].tolist() == [12.5]
    assert path.read_text(encoding="utf-8-sig").startswith("segment_key;budget;segmentation;")


def test_rows_are_numbered_as_in_the_spreadsheet(path) -> None:
    path.parent.mkdir()
    path.write_text('segment_key,note\n\nA,"two\nlines"\n,\nA,\n', encoding="utf-8")
    with pytest.raises(ParameterError, match="rows 3, 5: segment_key == 'A'"):
        run(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("segment_key,offer\nA,Größe".encode("cp1252"), "line 2: letters that are not UTF-8"),
        ("segment_key,offer\nA,x".encode("utf-16"), "not UTF-8"),
        (b"", "no column segment_key"),
        (b"key,offer\nA,x", "no column segment_key"),
        (b'segment_key,offer\nA,"x\nB,y', "a quote inside a cell"),
        (b"segment_key,offer,Offer\nA,x,y", "column 2: name == 'offer'; every column needs a name of its own"),
        (b"segment_key,offer\nA,x,y", "column 3: name == ''; every column needs a name"),
    ],
)
def test_a_file_that_cannot_be_read_whole_stops_and_stays(path, content: bytes, told: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=told):
        run(path)
    assert path.read_bytes() == content


def test_a_file_with_only_its_head_gets_its_rows(path) -> None:
    path.parent.mkdir()
    path.write_text("segment_key,offer\n", encoding="utf-8")
    assert run(path).table["segment_key"].tolist() == ["A", "B"]


def test_a_run_that_another_overtook_merges_once_more(tmp_path: Path) -> None:
    path, calls = tmp_path / "shop.csv", []

    def merge(table: pd.DataFrame | None, *, file: str) -> SimpleNamespace:
        calls.append(file)
        rows = [] if table is None else table["segment_key"].tolist()
        if len(calls) == 1:
            path.write_text("segment_key\nB\n", encoding="utf-8")  # another market, in the very moment
        return SimpleNamespace(table=pd.DataFrame({"segment_key": [*rows, "A"]}))

    assert playbook_file.update(path, merge).table["segment_key"].tolist() == ["B", "A"]
    assert len(calls) == 2
    assert playbook_file.read(path).table["segment_key"].tolist() == ["B", "A"]


def test_somebody_who_keeps_saving_is_told(tmp_path: Path) -> None:
    path, number = tmp_path / "shop.csv", count()

    def merge(table: pd.DataFrame | None, *, file: str) -> SimpleNamespace:
        path.write_text(f"segment_key\nX{next(number)}\n", encoding="utf-8")
        return SimpleNamespace(table=pd.DataFrame({"segment_key": ["A"]}))

    with pytest.raises(ParameterError, match="saved by somebody"):
        playbook_file.update(path, merge)
    assert next(number) == 5

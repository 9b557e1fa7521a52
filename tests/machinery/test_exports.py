"""Files that leave: whole or not at all, split below their limit, hold-out apart, nothing personal beside them."""

import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery import exports

ODD = ["O'Brien", "王小明", "مريم", 'a, "b"', "two\nlines", "", "Zoë", "#N/A", "null", "NA"]
FACTS = {"run_id": "shop", "date": date(2026, 6, 1), "purpose": "marketing", "left_out": {"no consent": 3}}
DAYS = {"start": date(2026, 6, 2), "end": date(2026, 6, 30)}


@dataclass
class OneFile:
    platform: str = "marketo"
    name: str = "list.csv"
    table: pd.DataFrame = None  # type: ignore[assignment]
    notes: tuple[str, ...] = ("firstName: 1 cells were formula text and are left empty.",)
    for_people: bool = False
    most_bytes: int = 0
    open_columns: tuple[str, ...] = ("segment",)
    guide: str = "# Marketo\n\n1. Click.\n"


def people(n: int = 12) -> pd.DataFrame:
    names = [ODD[i % len(ODD)] for i in range(n)]
    mails = [f"jane{i}@example.com" for i in range(n)]
    return pd.DataFrame({"email": mails, "name": names, "phone": "+447700900123", "segment": "A"}, dtype="str")


def lottery(campaign: str = "next") -> pd.DataFrame:
    row = {"campaign_id": campaign, "customer_id": ["c1", "c2"], "arm": ["reached", "held back"],
           "designed_share": [0.9, 0.1], "stratum": "A", "assigned_at": pd.Timestamp(2026, 6, 1)}  # fmt: skip
    return pd.DataFrame(row)


def write(folder: Path, *files: OneFile, dry_run: bool = False, facts: dict[str, Any] | None = None) -> exports.Plan:
    return exports.write(folder, "next", files, lottery(), **DAYS, facts=facts or FACTS, dry_run=dry_run)


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle, strict=True))


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the files


def test_a_file_reads_back_as_it_was_in_utf8_with_unix_line_ends_and_no_mark(tmp_path: Path) -> None:
    write(tmp_path, OneFile(table=people()))
    path = tmp_path / "exports/next/marketo/list.csv"
    assert read(path) == [people().columns.tolist(), *people().to_numpy().tolist()]
    assert not path.read_bytes().startswith(exports.BYTE_ORDER_MARK)
    assert b"\r" not in path.read_bytes()


def test_a_file_for_people_starts_with_the_mark_that_spreadsheets_look_for(tmp_path: Path) -> None:
    write(tmp_path, OneFile("plain", "list.csv", people(), for_people=True))
    content = (tmp_path / "exports/next/plain/list.csv").read_bytes()
    assert content.startswith(exports.BYTE_ORDER_MARK + b"email,")
    assert content.count(exports.BYTE_ORDER_MARK) == 1


@pytest.mark.parametrize("most", [150, 333, 1000])
def test_parts_stay_below_the_limit_and_lose_no_row(tmp_path: Path, most: int) -> None:
    plan = write(tmp_path, OneFile(table=people(60), most_bytes=most))
    parts = sorted((tmp_path / "exports/next/marketo").glob("*.csv"), key=lambda path: int(path.stem.split("-")[1]))
    assert len(parts) > 1
    assert all(path.stat().st_size < most for path in parts)
    rows = [read(path) for path in parts]
    assert all(one[0] == people().columns.tolist() for one in rows)
    assert [row for one in rows for row in one[1:]] == people(60).to_numpy().tolist()
    assert plan.table["rows"].sum() == 60 + 2 + 1
    # no part could have taken the next one's first row
    for one, two in pairwise(parts):
        first = two.read_bytes().split(b"\n", 1)[1]
        row = next(line for line in exports._lines(people(60))[1:] if first.startswith(line))
        assert one.stat().st_size + len(row) >= most


def test_a_file_at_its_limit_is_split_and_one_byte_below_it_is_not(tmp_path: Path) -> None:
    size = sum(map(len, exports._lines(people())))
    assert write(tmp_path, OneFile(table=people(), most_bytes=size + 1)).table["file"].iloc[0] == "marketo/list.csv"
    assert write(tmp_path, OneFile(table=people(), most_bytes=size)).table["file"].tolist()[:2] == [
        "marketo/list_part-1-of-2.csv", "marketo/list_part-2-of-2.csv"
    ]  # fmt: skip


# --- what stands beside them


def test_the_hold_out_is_apart_and_reads_as_the_shared_tables(tmp_path: Path) -> None:
    write(tmp_path, OneFile(table=people()))
    folder = tmp_path / "exports/next/hold_out"
    assert read(folder / "assignments.csv")[1:] == [
        ["next", "c1", "reached", "0.9", "A", "2026-06-01"], ["next", "c2", "held back", "0.1", "A", "2026-06-01"]
    ]  # fmt: skip
    assert read(folder / "campaigns.csv") == [
        ["campaign_id", "start", "end", "design"], ["next", "2026-06-02", "2026-06-30", "randomised"]
    ]  # fmt: skip


def test_the_manifest_names_every_other_file_with_its_hash_and_no_person(tmp_path: Path) -> None:
    plan = write(tmp_path, OneFile(table=people()), OneFile("meta", "list-1.csv", people(3), guide="# Meta\n"))
    found = everything(tmp_path / "exports/next")
    manifest = json.loads(found.pop("manifest.json"))
    assert {one["file"] for one in manifest["files"]} == set(found)
    for one in manifest["files"]:
        content = found[one["file"]]
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["bytes"] == len(content)
        if one["file"].endswith(".csv"):
            assert one["rows"] == len(read(tmp_path / "exports/next" / one["file"])) - 1
    assert (manifest["run_id"], manifest["date"], manifest["purpose"]) == ("shop", "2026-06-01", "marketing")
    assert manifest["left_out"] == {"no consent": 3}
    assert "jane" not in json.dumps(manifest)
    assert "jane" not in f"{plan!r} {plan.sentence}"
    assert plan.sentence.startswith("2 files with 15 rows, ")
    assert plan.sentence.endswith(" and the hold-out apart, in exports/next.")


def test_each_platform_has_its_readme_with_clicks_files_and_notes(tmp_path: Path) -> None:
    write(tmp_path, OneFile(table=people()), OneFile("meta", "list-1.csv", people(3), notes=(), guide="# Meta\n"))
    told = (tmp_path / "exports/next/marketo/README.md").read_text(encoding="utf-8")
    assert told.startswith("# Marketo\n\n1. Click.\n\n## Files\n\n- `list.csv`: 12 rows, ")
    assert told.endswith("## Notes\n\n- `list.csv`: firstName: 1 cells were formula text and are left empty.\n")
    other = (tmp_path / "exports/next/meta/README.md").read_text(encoding="utf-8")
    assert "- `list-1.csv`: 3 rows" in other
    assert other.endswith("## Notes\n\nNone.\n")


# --- dry run and samples


def test_a_dry_run_writes_nothing_and_says_the_same_rows(tmp_path: Path) -> None:
    plan = write(tmp_path, OneFile(table=people()), dry_run=True)
    assert list(tmp_path.iterdir()) == []
    assert plan.table[["file", "rows"]].to_numpy().tolist() == [["marketo/list.csv", 12]]
    assert plan.table[["bytes", "sha256"]].isna().all(axis=None)
    assert plan.sentence == "Dry run: 1 files with 12 rows would be written; nothing was."
    done = write(tmp_path, OneFile(table=people()))
    pd.testing.assert_frame_equal(done.samples["marketo/list.csv"], plan.samples["marketo/list.csv"])
    assert write(tmp_path, dry_run=True).sentence.startswith("No file: nobody passes the gates")


def test_samples_are_ten_rows_and_masked() -> None:
    found = exports.masked(OneFile(table=people()))
    assert len(found) == 10
    assert found.loc[0].tolist() == ["j***@e***.com", "O***", "+***", "A"]
    assert found.loc[5, "name"] == ""
    whole = found.to_string()
    assert not any(secret in whole for secret in ("jane", "example", "Brien", "4477", "小"))


# --- whole or not at all


def test_writing_again_replaces_the_whole_folder_and_leaves_other_campaigns(tmp_path: Path) -> None:
    write(tmp_path, OneFile(table=people()), OneFile("meta", "old.csv", people(3)))
    other = tmp_path / "exports/other/note.txt"
    other.parent.mkdir()
    other.write_text("kept", encoding="utf-8")
    write(tmp_path, OneFile(table=people(2)))
    assert not (tmp_path / "exports/next/meta").exists()
    assert len(read(tmp_path / "exports/next/marketo/list.csv")) == 3
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == ["next", "other"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, OneFile(table=people()))
    before = everything(tmp_path)
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        write(tmp_path, OneFile(table=people(2)), facts={"bad": object()})
    assert everything(tmp_path) == before
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["next"]


def test_a_failure_at_the_last_step_brings_the_old_folder_back(tmp_path: Path, monkeypatch: Any) -> None:
    write(tmp_path, OneFile(table=people()))
    before, rename = everything(tmp_path), Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError("the disk is full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path, OneFile(table=people(2)))
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="letters, digits, dot, dash and underscore"):
        exports.write(tmp_path, name, [OneFile(table=people())], lottery(name), **DAYS, facts=FACTS, dry_run=True)


def test_days_names_and_campaigns_must_fit(tmp_path: Path) -> None:
    files, late = [OneFile(table=people())], {"start": date(2026, 7, 1), "end": date(2026, 6, 30)}
    with pytest.raises(ParameterError, match="2026-07-01 to 2026-06-30"):
        exports.write(tmp_path, "next", files, lottery(), **late, facts=FACTS, dry_run=False)
    with pytest.raises(DataError, match=r"campaigns of assignments == \['other'\]"):
        exports.write(tmp_path, "next", files, lottery("other"), **DAYS, facts=FACTS, dry_run=False)
    with pytest.raises(DataError, match="files == 2, names == 2"):
        write(tmp_path, files[0], OneFile(name="LIST.csv", table=people()))  # one file on some disks
    with pytest.raises(DataError, match="nothing to write"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []

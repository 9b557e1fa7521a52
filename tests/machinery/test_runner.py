"""The runner on a source without purchases: what cannot be done is said, and is no error."""

import json
from pathlib import Path

import pandas as pd
import pytest

from segmentkit.errors import ParameterError, UpstreamError
from segmentkit.machinery import runner
from segmentkit.machinery.files import read_json, write_json
from segmentkit.machinery.manifest import Manifest
from segmentkit.machinery.runner import NOT_POSSIBLE, Order, not_given, run_series
from segmentkit.machinery.series import read_tables

LATER = ["04_segment_validation", "05_roi_measurement", "06_activation", "07_monitoring"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose 01 to 03 ended well, on contacts alone; 05 is left from an earlier source."""
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path))
    run = tmp_path / "visits"
    for stage in ("01_data_collection", "02_exploratory_analysis", "03_clustering"):
        Manifest(run).reset_stage(stage, status="ok")
    (run / "tables").mkdir()
    (run / "notebooks").mkdir()
    for name in {*read_tables(LATER[0])} - {"transactions"}:
        pd.DataFrame({"customer_id": ["a"]}).to_parquet(run / "tables" / f"{name}.parquet")
    (run / "notebooks" / f"{LATER[1]}.ipynb").write_text("{}", encoding="utf-8")
    write_json(run / "metrics.json", {LATER[1]: {"tests": []}})
    return run


def test_01_to_03_do_without_purchases_and_the_others_do_not() -> None:
    needs = {stage: "transactions" in read_tables(stage) for stage in runner.stages()}
    assert needs == {stage: stage in LATER for stage in runner.stages()}


def test_stages_that_need_purchases_are_not_possible_and_that_is_no_error(folder: Path, capsys) -> None:
    assert run_series(Order(run="visits", first="04")) == 0
    stages = Manifest(folder).read()["stages"]
    assert {stage for stage, entry in stages.items() if entry["status"] == NOT_POSSIBLE} == set(LATER)
    assert stages[LATER[0]]["lacking"] == ["transactions"]
    assert Manifest(folder).read()["status"] == "ok"
    told = capsys.readouterr().out
    assert f"not possible: {', '.join(LATER)}; it needs the table transactions" in told
    assert "source new with all files again" in told
    assert (folder / "report" / "index.html").is_file()


def test_nothing_is_left_of_what_an_earlier_source_allowed(folder: Path) -> None:
    run_series(Order(run="visits", first="05"))
    assert not (folder / "notebooks" / f"{LATER[1]}.ipynb").exists()
    assert LATER[1] not in read_json(folder / "metrics.json")


def test_a_collection_that_did_not_end_is_another_matter(folder: Path) -> None:
    assert not_given(folder, LATER[0]) == ["transactions"]
    Manifest(folder).reset_stage("01_data_collection", status="failed")
    assert not_given(folder, LATER[0]) == []
    with pytest.raises(UpstreamError, match="needs the table 'transactions'"):
        run_series(Order(run="visits", first="04"))


def test_such_a_run_cannot_be_gone_on_from_with_like(folder: Path) -> None:
    run_series(Order(run="visits", first="04"))
    with pytest.raises(ParameterError, match="like == 'visits'; that run had no purchases"):
        run_series(Order(run="next", like="visits"))
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["status"] == "ok"

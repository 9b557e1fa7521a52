"""An earlier run: found by name or path, read and never written, its parameters taken over but for the day."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from segmentkit.errors import ParameterError, UpstreamError
from segmentkit.machinery import earlier
from segmentkit.machinery.earlier import Earlier, inherit
from segmentkit.machinery.manifest import Manifest
from segmentkit.machinery.runs import describe_parquet

KNOWN = {"source", "starts", "as_of", "own_names", "look_back_days", "like"}


@pytest.fixture
def may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run made by hand: no parameters.yaml, only what each stage noted."""
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path))
    folder = tmp_path / "may"
    (folder / "tables").mkdir(parents=True)
    stages = {
        "01_data_collection": {"parameters": {"source": "sample_shop"}},
        "03_clustering": {"parameters": {"starts": 4, "own_names": ["A Regulars"], "forgotten": 1}},
    }
    write(folder / "manifest.json", {"stages": stages, "code": {"library_sha256": "older"}})
    write(folder / "model.json", {"keys": ["A"], "rules": {"Recent": "recency_days <= 7"}})
    seen = {"start": "2025-01-01", "as_of": "2025-06-01", "days": 151}
    write(folder / "metrics.json", {"02_exploratory_analysis": seen})
    write(folder / "source.json", {"facts": {"currency": "EUR"}, "rules": {"Other": "frequency > 1"}})
    return folder


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def noted(folder: Path, **parameters: Any) -> None:
    Manifest(folder).update_stage("02_exploratory_analysis", parameters=parameters)


def test_a_run_made_by_hand_hands_on_what_its_stages_noted(may: Path) -> None:
    assert inherit("may", KNOWN, {}, ()) == {
        "source": "sample_shop",
        "starts": 4,
        "look_back_days": [151],
        "like": "may",
    }


def test_the_day_is_not_handed_on_and_must_be_stated_where_it_was(may: Path) -> None:
    noted(may, as_of="2025-06-01")
    with pytest.raises(ParameterError, match="looked up to as_of == 2025-06-01; state the day of this run as well"):
        inherit("may", KNOWN, {}, ())
    assert "as_of" not in inherit("may", KNOWN, {"as_of": "2025-07-01"}, ())


def test_what_a_quick_run_lowered_is_not_handed_on(may: Path) -> None:
    Manifest(may).update(quick=True)
    assert "starts" not in inherit("may", KNOWN, {}, ("starts",))


def test_a_run_elsewhere_is_named_by_its_path(may: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path / "other"))
    assert inherit(str(may), KNOWN, {}, ())["like"] == may.as_posix()


def test_the_rules_are_those_it_applied_not_those_of_its_source(may: Path) -> None:
    assert Earlier("may").rules == {"Recent": "recency_days <= 7"}


def test_what_it_says_of_itself(may: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Earlier("may").sentence(refit=False)
    assert told.startswith("Segments of run may (to 2025-06-01) are applied as they were saved. Run may was made by")
    monkeypatch.setattr(earlier, "library_hash", lambda: "older")
    assert Earlier("may").sentence(refit=True) == (
        "Segments of run may (to 2025-06-01) are fitted anew, its keys carried over."
    )
    Manifest(may).update(lent="One fit for all.")
    assert Earlier("may").sentence(refit=False) == "One fit for all."


def test_a_table_that_was_changed_afterwards_is_refused(may: Path) -> None:
    path = may / "tables" / "segments.parquet"
    pd.DataFrame({"customer_id": ["anna"], "segment_key": ["A"]}).to_parquet(path)
    Manifest(may).add("03_clustering", "outputs", "segments", describe_parquet(path))
    assert Earlier("may").segments is not None
    pd.DataFrame({"customer_id": ["anna"], "segment_key": ["B"]}).to_parquet(path)
    with pytest.raises(UpstreamError, match="'segments' of run may was changed after it was written"):
        _ = Earlier("may").segments


def test_what_is_missing_is_said(may: Path) -> None:
    assert Earlier("may").segments is None
    with pytest.raises(UpstreamError, match="has no table 'features'"):
        Earlier("may").table("features")
    with pytest.raises(UpstreamError, match=r"no such run; there are may"):
        Earlier("june")
    (may / "model.json").unlink()
    with pytest.raises(UpstreamError, match="no segments to apply; python -m segmentkit run --run may --from 03"):
        Earlier("may")

"""The manifest: what a run did, kept whole at each change."""

import json
import re
from datetime import datetime
from importlib import metadata

import pytest

from segmentkit.machinery.manifest import PACKAGES, Manifest, describe_code, library_hash, now


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return Manifest(tmp_path)


def test_an_absent_manifest_is_empty_and_reading_makes_no_file(manifest, tmp_path) -> None:
    assert manifest.read() == {}
    assert manifest.stage("03_clustering") == {}
    assert manifest.producer("features") is None
    assert list(tmp_path.iterdir()) == []


def test_top_level_values_are_set_beside_the_others(manifest) -> None:
    manifest.update(seed=7, run="may")
    manifest.update(seed=8)
    assert manifest.read() == {"seed": 8, "run": "may"}
    assert json.loads(manifest.path.read_text(encoding="utf-8")) == manifest.read()


def test_stage_values_are_merged_and_other_stages_left_alone(manifest) -> None:
    manifest.update_stage("01_data_collection", status="ok")
    manifest.update_stage("02_exploratory_analysis", status="running", started="then")
    manifest.update_stage("02_exploratory_analysis", status="ok")
    assert manifest.stage("02_exploratory_analysis") == {"status": "ok", "started": "then"}
    assert manifest.stage("01_data_collection") == {"status": "ok"}


def test_a_stage_started_anew_forgets_its_earlier_attempt(manifest) -> None:
    manifest.update(seed=7)
    manifest.add("02_exploratory_analysis", "outputs", "features", {"rows": 3})
    manifest.reset_stage("02_exploratory_analysis", status="running")
    assert manifest.stage("02_exploratory_analysis") == {"status": "running"}
    assert manifest.producer("features") is None
    assert manifest.read()["seed"] == 7


def test_entries_are_added_by_group_and_name(manifest) -> None:
    manifest.add("03_clustering", "outputs", "segments", {"rows": 5})
    manifest.add("03_clustering", "outputs", "profiles", {"rows": 4})
    manifest.add("03_clustering", "inputs", "features", {"rows": 5})
    manifest.add("03_clustering", "outputs", "segments", {"rows": 6})
    assert manifest.stage("03_clustering") == {
        "outputs": {"segments": {"rows": 6}, "profiles": {"rows": 4}},
        "inputs": {"features": {"rows": 5}},
    }


def test_the_producer_is_the_stage_that_wrote_not_one_that_read(manifest) -> None:
    manifest.add("01_data_collection", "inputs", "features", {"rows": 1})
    manifest.add("02_exploratory_analysis", "outputs", "features", {"rows": 2})
    assert manifest.producer("features") == ("02_exploratory_analysis", {"rows": 2})


def test_now_carries_its_offset_and_no_fraction() -> None:
    moment = datetime.fromisoformat(now())
    assert moment.utcoffset() is not None
    assert moment.microsecond == 0
    assert abs((datetime.now().astimezone() - moment).total_seconds()) < 5


def test_the_description_of_the_code_names_every_version_and_hash() -> None:
    described = describe_code()
    assert set(described["versions"]) == set(PACKAGES)
    assert described["versions"]["pandas"] == metadata.version("pandas")
    assert described["library_sha256"] == library_hash()
    assert re.fullmatch(r"[0-9a-f]{64}", described["lock_sha256"])
    assert described["python"].startswith("3.")
    assert described["git"]["clean"] in {True, False, None}
    json.dumps(described, allow_nan=False)

"""Old runs go, whole and by themselves; what is young, used, needed or no run stays."""

import os
from argparse import ArgumentParser
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from segmentkit.errors import ParameterError
from segmentkit.machinery import data_commands
from segmentkit.machinery.files import read_json, write_json


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path / "outputs"))
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


def run(outputs: Path, name: str, days: float, **more: Any) -> Path:
    ended = (datetime.now().astimezone() - timedelta(days=days)).isoformat(timespec="seconds")
    stages = {"01_data_collection": {"ended": ended, **more}}
    write_json(outputs / name / "manifest.json", {"started": ended, "stages": stages})
    (outputs / name / "tables").mkdir()
    (outputs / name / "tables" / "features.parquet").write_bytes(b"x" * 1000)
    return outputs / name


def purge(*words: str) -> int:
    parser = ArgumentParser()
    data_commands.purge_parser(parser.add_subparsers())
    options = parser.parse_args(["purge", *words])
    return int(options.command(options))


def there(outputs: Path) -> set[str]:
    return {path.name for path in outputs.iterdir()}


def test_old_runs_are_listed_and_go_only_when_it_is_said(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(outputs, "old", 31)
    run(outputs, "young", 29)
    purge("--older-than", "30")
    told = capsys.readouterr().out
    assert "old  31 days  0.0 MB  to be deleted" in told
    assert "young" not in told
    assert there(outputs) == {"old", "young"}
    purge("--older-than", "30", "--yes")
    assert there(outputs) == {"young"}


def test_the_last_stage_counts(outputs: Path) -> None:
    folder = run(outputs, "gone on with", 90)
    manifest = read_json(folder / "manifest.json")
    manifest["stages"]["02"] = {"ended": datetime.now().astimezone().isoformat()}
    write_json(folder / "manifest.json", manifest)
    purge("--older-than", "30", "--yes")
    assert there(outputs) == {"gone on with"}


def test_what_is_no_run_and_what_lies_behind_a_link_is_never_touched(outputs: Path, tmp_path: Path) -> None:
    (outputs / "mine").mkdir()
    (outputs / "mine" / "letter.txt").write_text("x", encoding="utf-8")
    write_json(outputs / "page" / "manifest.json", {"name": "a web page"})
    write_json(outputs / "list" / "manifest.json", ["x"])
    (outputs / "broken").mkdir()
    (outputs / "broken" / "manifest.json").write_text("{", encoding="utf-8")
    write_json(outputs / "no day" / "manifest.json", {"stages": {}})
    elsewhere = run(tmp_path, "elsewhere", 99)
    (outputs / "link").symlink_to(elsewhere)
    (run(outputs, "old", 99) / "link").symlink_to(elsewhere)
    before = there(outputs)
    purge("--older-than", "0", "--yes")
    assert there(outputs) == before - {"old"}
    assert (elsewhere / "tables" / "features.parquet").is_file()


def test_a_running_run_stays(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run(outputs, "now", 99) / ".lock").write_text(f"{os.getpid()} since then\n", encoding="utf-8")
    (run(outputs, "killed", 99) / ".lock").write_text("99999999 since then\n", encoding="utf-8")
    purge("--older-than", "30", "--yes")
    assert there(outputs) == {"now"}
    assert "kept: a process runs it now" in capsys.readouterr().out


def test_a_run_that_a_kept_one_was_made_like_stays_and_its_own_model_too(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(outputs, "january", 90)
    run(outputs, "february", 60, parameters={"like": "january"})
    run(outputs, "march", 5, earlier={"run": "february"})
    run(outputs, "alone", 80, parameters={"like": ""})
    run(outputs, "alone too", 70, parameters={"like": "alone"})
    purge("--older-than", "30", "--yes")
    assert there(outputs) == {"january", "february", "march"}
    assert "february  60 days  0.0 MB  kept: march was made like it" in capsys.readouterr().out


def test_a_batch_is_as_old_as_its_youngest_market_and_goes_whole(outputs: Path) -> None:
    for batch, days in (("old", 40), ("young", 5)):
        write_json(outputs / batch / "manifest.json", {"batch": batch, "started": "2020-01-01T00:00:00+00:00"})
        run(outputs, f"{batch}/de", 99)
        run(outputs, f"{batch}/fr", days, parameters={"like": f"{batch}/fits/fr"})
    purge("--older-than", "30", "--yes")
    assert there(outputs) == {"young"}
    assert (outputs / "young" / "de" / "tables").is_dir()


def test_a_crash_leaves_a_run_that_a_second_call_finishes(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run(outputs, "old", 99) / "model.json").write_text("{}", encoding="utf-8")

    def breaking(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", breaking)
        with pytest.raises(KeyboardInterrupt):
            purge("--older-than", "30", "--yes")
    assert (outputs / "old" / "manifest.json").is_file()
    purge("--older-than", "30", "--yes")
    assert there(outputs) == set()


def test_days_below_zero_are_refused(outputs: Path) -> None:
    with pytest.raises(ParameterError, match="--older-than == -1"):
        purge("--older-than", "-1")

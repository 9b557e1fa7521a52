"""What goes wrong: refused before a kernel starts where it can be, and a true status where it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml

from light import LIGHT, Command
from segmentkit.machinery.execute import Outcome, execute
from segmentkit.machinery.progress import Progress


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-p", "k_mx=6"], "did you mean k_max?"),
        (["-p", "k_max=five"], 'must be a whole number from k_min to 20, got the text "five"'),
        (["-p", "k_max=99"], "k_max == 99; it must be from k_min to 20"),
        (["-p", "k_min=7", "-p", "k_max=3"], "k_min == 7"),
        (["-p", "own_k=[30]"], "own_k == 30"),
        (["-p", "confidence=95"], "confidence == 95.0; it must be from 0.5 to 0.999"),
        (["-p", "k_max"], "has no equals sign"),
        (["-p", "run=x"], "name the run with --run NAME"),
        (["--params", "nowhere.yaml"], "no parameter file nowhere.yaml"),
        (["--from", "09"], "no stage '09'"),
        (["--from", "04", "--until", "02"], "--from 04 comes after --until 02"),
        (["--run", "a:b"], "letters, digits, dot, dash and underscore"),
        (["--stage-seconds", "0"], "--stage-seconds == 0"),
    ],
)
def test_bad_requests_are_refused_before_a_kernel_starts(
    segmentkit: Command, outputs: Path, words: list[str], told: str
) -> None:
    before = sorted(p.name for p in outputs.iterdir())
    done = segmentkit("run", *words, timeout=60)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
    assert sorted(p.name for p in outputs.iterdir()) == before


def test_an_existing_run_is_refused_and_left_alone(segmentkit: Command, shop_run: Path) -> None:
    before = (shop_run / "manifest.json").read_bytes()
    done = segmentkit("run", "--run", shop_run.name, timeout=60)
    assert done.returncode == 2
    assert "exists already; nothing was changed" in done.stderr
    assert (shop_run / "manifest.json").read_bytes() == before


def test_a_missing_table_names_the_stage_that_makes_it(segmentkit: Command) -> None:
    done = segmentkit("run", "--run", "fresh", "--from", "03", timeout=60)
    assert done.returncode == 4
    assert "03_clustering needs the table 'features'" in done.stderr
    assert "02_exploratory_analysis makes it: python -m segmentkit run --run fresh --until 02" in done.stderr


def test_a_table_changed_by_hand_is_refused(segmentkit: Command, shop_run: Path, outputs: Path) -> None:
    import shutil

    copy = outputs / "tampered"
    shutil.copytree(shop_run, copy)
    table = copy / "tables" / "features.parquet"
    table.write_bytes((copy / "tables" / "rfm.parquet").read_bytes())
    done = segmentkit("run", "--run", "tampered", "--from", "05", *LIGHT)
    assert done.returncode == 4, done.stdout
    assert "was changed after 02_exploratory_analysis wrote it" in done.stdout


def test_bad_data_stop_the_run_with_the_reason(segmentkit: Command, tmp_path: Path, outputs: Path) -> None:
    lines = ["id,order,day,paid"] + [f"c{i % 9},{i},2025-01-{1 + i % 28:02},{'x' if i % 3 else 5}" for i in range(300)]
    (tmp_path / "orders.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "bad.toml").write_text(
        'currency = "EUR"\ntime_zone = "UTC"\nidentifiers = "pseudonymous"\nanalysis_basis = "test"\n[transactions]\n'
        'path = "orders.csv"\ncustomer_id = "id"\norder_id = "order"\nordered_at = "day"\namount = "paid"\n',
        encoding="utf-8",
    )
    done = segmentkit("run", "--run", "bad", "-p", f"source={tmp_path / 'bad.toml'}", timeout=120)
    assert done.returncode == 5, done.stdout
    assert "200 of 300 rows (66.7%) fail the audit" in done.stdout
    entry = json.loads((outputs / "bad" / "manifest.json").read_text(encoding="utf-8"))
    assert entry["status"] == entry["stages"]["01_data_collection"]["status"] == "failed"
    assert "This run did not finish" in (outputs / "bad" / "report" / "index.html").read_text(encoding="utf-8")


def run_cell(tmp_path: Path, code: str, seconds: float = 60) -> tuple[Outcome, Path]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell(code)])
    source, target = tmp_path / "source.ipynb", tmp_path / "target.ipynb"
    nbformat.write(notebook, source)
    progress = Progress(tmp_path / "log.jsonl")
    return execute(source, target, {}, stage="99_test", progress=progress, seconds=seconds), target


@pytest.mark.parametrize(
    ("code", "exit_code", "told"),
    [
        ("x = 2", 0, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "the kernel was killed"),
        ("bytearray(10**15)", 1, "ran out of memory"),
        ("import sys; sys.exit(3)", 1, "stopped the run with code 3"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("from segmentkit.errors import PrivacyStop; raise PrivacyStop('no basis')", 6, "PrivacyStop: no basis"),
    ],
)
def test_how_a_cell_ends_is_how_the_stage_ends(tmp_path: Path, code: str, exit_code: int, told: str) -> None:
    if sys.platform == "win32" and exit_code == 137:
        pytest.skip("Windows has no SIGKILL")
    outcome, target = run_cell(tmp_path, code)
    assert outcome.exit_code == exit_code
    assert told in outcome.message
    assert target.is_file()


def test_threads_are_capped_in_a_kernel_that_opened_a_run(tmp_path: Path, outputs: Path) -> None:
    code = (
        "import numpy, sklearn.cluster, threadpoolctl\n"
        "from segmentkit import open_run\n"
        "rfm_bins = 5\n"
        "opened = open_run('threads', stage='00_start_here', parameters=locals())\n"
        "import umap\n"
        "used = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
        "assert used == {1}, used"
    )
    outcome, _ = run_cell(tmp_path, code)
    assert outcome.exit_code == 0, outcome.message


def test_a_stage_out_of_time_is_stopped(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome, _ = run_cell(tmp_path, "import time; time.sleep(60)", seconds=4)
    assert outcome.exit_code == 124
    assert "longer than its limit of 4 s" in outcome.message
    assert time.monotonic() - started < 30


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_a_killed_kernel_fails_the_run_and_resume_finishes_it(segmentkit: Command, outputs: Path) -> None:
    words = ["run", "--run", "killed", "-p", "source=sample_shop", "-p", "map_max_rows=200", *LIGHT]
    running = subprocess.Popen(
        [sys.executable, "-m", "segmentkit", *words], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "03_clustering  cell 5 of" in line:
            break
    kernels = [p for p in psutil.Process(running.pid).children(recursive=True) if "ipykernel" in " ".join(p.cmdline())]
    assert kernels
    kernels[0].send_signal(signal.SIGKILL)
    rest = running.stdout.read()
    assert running.wait(120) == 137, rest
    assert "the kernel was killed" in rest

    folder = outputs / "killed"
    entry = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [entry["stages"][s]["status"] for s in ("01_data_collection", "03_clustering")] == ["ok", "failed"]
    assert not list(folder.rglob("*.tmp"))
    features = (folder / "tables" / "features.parquet").read_bytes()

    refused = segmentkit("run", "--run", "killed", "--from", "04", timeout=60)
    assert refused.returncode == 4

    # nothing is said again: a run that is gone on with keeps the parameters it had
    done = segmentkit("run", "--run", "killed", "--resume", "--until", "03")
    assert done.returncode == 0, done.stdout
    assert "02_exploratory_analysis  unchanged since it ended well; skipped" in done.stdout
    assert "03_clustering  ok" in done.stdout
    assert (folder / "tables" / "features.parquet").read_bytes() == features
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["status"] == "ok"
    kept = yaml.safe_load((folder / "parameters.yaml").read_text(encoding="utf-8"))
    assert (kept["source"], kept["map_max_rows"], kept["null_copies"]) == ("sample_shop", 200, 19)


def test_two_processes_cannot_use_one_run(segmentkit: Command, shop_run: Path) -> None:
    lock = shop_run / ".lock"
    lock.write_text(f"{os.getpid()} now\n", encoding="utf-8")
    try:
        done = segmentkit("run", "--run", shop_run.name, "--resume", timeout=60)
    finally:
        lock.unlink()
    assert done.returncode == 2
    assert f"is in use by process {os.getpid()}" in done.stderr


def test_the_command_line_starts_without_analysis_modules() -> None:
    code = "import sys, segmentkit.machinery.cli as c; c._parser(); print([m for m in sys.modules if m in {heavy}])"
    heavy = {"pandas", "numpy", "sklearn", "matplotlib", "ibis", "papermill"}
    done = subprocess.run([sys.executable, "-c", code.format(heavy=heavy)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_parameter_is_listed(segmentkit: Command) -> None:
    done = segmentkit("params", "03", timeout=60)
    assert done.returncode == 0
    assert "stability_floor" in done.stdout
    assert "Lowest stability" in done.stdout
    assert "null_copies" not in done.stdout

"""The doctor: each thing the kit depends on is found, or missed with a mend."""

import json
import re
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from segmentkit.errors import EnvironmentFault
from segmentkit.machinery import doctor
from segmentkit.machinery.doctor import examine, report
from segmentkit.machinery.manifest import PACKAGES


def finding(name: str) -> tuple[bool, str]:
    [found] = [(fine, sentence) for label, fine, sentence in examine() if label == name]
    return found


@pytest.fixture
def add_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a kernel where Jupyter looks first."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))

    def add(name: str, program: str) -> None:
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": [program, "-m", "ipykernel_launcher"], "display_name": name, "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")

    return add


def test_everything_is_examined_in_order() -> None:
    names = [name for name, _, _ in examine()]
    assert names == ["Python", "platform", "kernel", "disk", "memory", *PACKAGES]


def test_this_python_is_named_and_new_enough() -> None:
    fine, sentence = finding("Python")
    assert fine
    assert sentence == f"{sys.version.split()[0]}, 3.11 or newer needed; runs from {sys.executable}"


def test_an_older_python_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    assert finding("Python")[0] is False


@pytest.mark.parametrize("program", ["python", sys.executable])
def test_the_kernel_that_starts_this_python_is_fine(add_kernel, program: str) -> None:
    add_kernel("python3", program)
    add_kernel("r-analysis", "R")
    fine, sentence = finding("kernel")
    assert fine
    assert re.fullmatch(r"'python3' starts this Python \(others: .*r-analysis.*\)", sentence)


def test_a_kernel_of_another_environment_is_a_fault_with_its_mend(add_kernel) -> None:
    add_kernel("python3", "/opt/other/bin/python")
    fine, sentence = finding("kernel")
    assert not fine
    assert "'python3' starts /opt/other/bin/python, not this Python" in sentence
    assert sentence.endswith(f"{sys.executable} -m ipykernel install --sys-prefix")


def test_a_missing_kernel_is_a_fault_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setattr(KernelSpecManager, "find_kernel_specs", lambda self: {"r-analysis": "somewhere"})
    fine, sentence = finding("kernel")
    assert not fine
    assert sentence == f"'python3' is not installed (others: r-analysis); {doctor.INSTALL}"


@pytest.mark.parametrize(("gigabytes", "expected"), [(1.9, False), (2.0, True), (50, True)])
def test_outputs_need_room(monkeypatch: pytest.MonkeyPatch, gigabytes: float, expected: bool) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage(10**12, 0, gigabytes * 1e9))
    fine, sentence = finding("disk")
    assert fine is expected
    assert sentence == f"{gigabytes:.1f} GB free for outputs, 2 GB needed; removing old runs frees some"


@pytest.mark.parametrize(("gigabytes", "expected"), [(3.5, False), (4.0, True)])
def test_memory_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch, gigabytes: float, expected: bool) -> None:
    memory = namedtuple("memory", "total")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(gigabytes * 1e9))
    assert finding("memory") == (expected, f"{gigabytes:.1f} GB in this machine, 4 GB needed")


def lock(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "constraints.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(doctor, "project_root", lambda: folder)


def test_versions_are_compared_with_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pandas, scipy = metadata.version("pandas"), metadata.version("scipy")
    lock(monkeypatch, tmp_path, f"# the lock\n\npandas=={pandas}\nnumpy==0.0.1\n")
    assert finding("pandas") == (True, f"{pandas}, as locked")
    assert finding("numpy") == (True, f"{metadata.version('numpy')}; locked: 0.0.1, so numbers may differ")
    assert finding("scipy") == (True, f"{scipy}; locked: none, so numbers may differ")


def test_lines_for_another_platform_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    version = metadata.version("scikit-learn")
    lines = [
        f'scikit_learn=={version}; sys_platform == "{sys.platform}"',
        'scikit-learn==0.0.1; sys_platform == "elsewhere"',
    ]
    lock(monkeypatch, tmp_path, "\n".join(lines))
    assert finding("scikit-learn") == (True, f"{version}, as locked")


def test_a_package_that_is_absent_or_out_of_range_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package", "duckdb"))
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["duckdb<0.1"])
    assert finding("no-such-package") == (False, f"not installed; {doctor.INSTALL}")
    installed = metadata.version("duckdb")
    assert finding("duckdb") == (False, f"{installed}, but the kit needs <0.1; {doctor.INSTALL}")


def test_the_report_lines_up_and_exits_with_the_environments_code() -> None:
    fine = [("Python", True, "3.11.9"), ("scikit-learn", True, "1.9")]
    text, code = report(fine)
    assert text.splitlines() == [
        "ok    Python        3.11.9",
        "ok    scikit-learn  1.9",
        "Everything the kit needs is here.",
    ]
    assert code == 0
    text, code = report([*fine, ("disk", False, "1.0 GB free")])
    assert text.splitlines()[2:] == ["MEND  disk          1.0 GB free", "1 to mend: disk"]
    assert code == EnvironmentFault.exit_code == 3

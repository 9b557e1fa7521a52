"""Shared by all tests: runs of the series on the generated shop, made once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from xdist.scheduler import LoadScopeScheduling

from segmentkit.machinery.threads import cap_environment

cap_environment()
sys.path.insert(0, str(Path(__file__).parent))

from light import CHANGED, LIGHT, Command  # noqa: E402

ALONE = {"test_batch", "test_orders_file"}
RUNS = {"test_series", "test_months", "test_faults", "test_report_pages", "test_lab", "test_activation"}


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for runs, away from the analyst's own."""
    folders = {f"SEGMENTKIT_{name.upper()}": tmp_path_factory.mktemp(name) for name in ("outputs", "playbook")}
    before = {name: os.environ.get(name) for name in folders}
    os.environ |= {name: str(folder) for name, folder in folders.items()}
    yield folders["SEGMENTKIT_OUTPUTS"]
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def segmentkit(outputs: Path) -> Command:
    """The command line, as a user calls it."""

    def call(*words: str, cwd: Path | None = None, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "segmentkit", *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return call


@pytest.fixture(scope="session")
def shop_run(segmentkit: Command, outputs: Path) -> Path:
    """The whole series on the sample shop, with the default rule for k."""
    done = segmentkit("run", "--run", "shop", "-p", "source=sample_shop", *LIGHT)
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs / "shop"


@pytest.fixture(scope="session")
def changed_run(segmentkit: Command, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same series with every default changed."""
    file = tmp_path_factory.mktemp("params") / "changed.yaml"
    file.write_text(yaml.safe_dump(CHANGED), encoding="utf-8")
    done = segmentkit("run", "--run", "changed", "--params", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs / "changed"


class ByRuns(LoadScopeScheduling):
    """Two processes share the tests: files that use the same runs stay together, the rest goes file by file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "runs" if Path(file).stem in RUNS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByRuns:
    return ByRuns(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that neither process waits for the other at the end."""
    items.sort(key=lambda item: 0 if item.path.stem in RUNS else 1 if item.path.stem in ALONE else 2)

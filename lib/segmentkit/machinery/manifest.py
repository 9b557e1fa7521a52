"""The manifest: what a run did, from what, with which code. One JSON file, rewritten whole at each change."""

import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from segmentkit.machinery.files import read_json, sha256, sha256_of_files, write_json
from segmentkit.machinery.paths import project_root

PACKAGES = (
    "pandas",
    "numpy",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "seaborn",
    "matplotlib",
    "umap-learn",
    "papermill",
    "nbconvert",
    "ibis-framework",
    "duckdb",
    "pyarrow",
    "jupyterlab",
)


class Manifest:
    """``manifest.json`` of one run, read and written whole so that it is never half a file."""

    def __init__(self, folder: Path) -> None:
        """Open the manifest of ``folder``; it need not exist yet."""
        self.path = folder / "manifest.json"

    def read(self) -> dict[str, Any]:
        """The whole manifest."""
        return read_json(self.path)

    def stage(self, stage: str) -> dict[str, Any]:
        """One stage's entry; empty if it never started."""
        entry: dict[str, Any] = self.read().get("stages", {}).get(stage, {})
        return entry

    def update(self, **values: Any) -> None:
        """Set top-level values."""
        write_json(self.path, self.read() | values)

    def update_stage(self, stage: str, **values: Any) -> None:
        """Set values of one stage."""
        content = self.read()
        entries = content.setdefault("stages", {})
        entries[stage] = entries.get(stage, {}) | values
        write_json(self.path, content)

    def add(self, stage: str, group: str, name: str, entry: dict[str, Any]) -> None:
        """Add one input, output or figure to a stage."""
        content = self.read()
        here = content.setdefault("stages", {}).setdefault(stage, {})
        here.setdefault(group, {})[name] = entry
        write_json(self.path, content)

    def reset_stage(self, stage: str, **values: Any) -> None:
        """Forget what an earlier attempt recorded and start the stage anew."""
        content = self.read()
        content.setdefault("stages", {})[stage] = values
        write_json(self.path, content)

    def producer(self, table: str) -> tuple[str, dict[str, Any]] | None:
        """The stage that wrote a table, and the table's entry."""
        for stage, entry in self.read().get("stages", {}).items():
            if table in entry.get("outputs", {}):
                return stage, entry["outputs"][table]
        return None


def now() -> str:
    """Local time with its offset, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def library_hash() -> str:
    """Hash of the library's own source."""
    package = Path(__file__).resolve().parents[1]
    files = [path for path in package.rglob("*") if path.suffix in {".py", ".j2", ".css"}]
    return sha256_of_files(files)


def describe_code() -> dict[str, Any]:
    """Versions, lock, library and git state: what code makes this run."""
    lock = project_root() / "lib" / "constraints.txt"
    return {
        "python": sys.version.split()[0],
        "platform": sys.platform,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "lock_sha256": sha256(lock) if lock.is_file() else "",
        "library_sha256": library_hash(),
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any]:
    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], cwd=project_root(), capture_output=True, text=True, encoding="utf-8", timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit, changes = ask("rev-parse", "HEAD"), ask("status", "--porcelain")
    return {"commit": commit, "clean": changes == "" if changes is not None else None}

"""README's commands, paths and numbers are true."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from readme_figures import BLOCK, figures, newest_default_run
from segmentkit.machinery.cli import _parser
from segmentkit.machinery.paths import project_root

ROOT = project_root()
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_numbers_come_from_the_default_run() -> None:
    run = newest_default_run()
    if run is None:
        if os.environ.get("CI"):
            pytest.fail("CI runs README's first command before the tests, but no default run is in outputs")
        pytest.skip("no default run in outputs: README's first command makes one")
    found = BLOCK.search(README)
    assert found
    assert found[2] == figures(json.loads((run / "metrics.json").read_text(encoding="utf-8")))


def test_paths_exist() -> None:
    named = re.findall(r"`((?:notebooks|lib|data|tests|outputs)(?:/[\w.-]+)*)`", README)
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert (ROOT / re.search(r"!\[[^\]]+\]\(([^)]+)\)", README)[1]).is_file()


def test_commands_parse() -> None:
    blocks = re.findall(r"```(?:bash|powershell)\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "-m segmentkit" in line]
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line.rpartition("-m segmentkit")[2])
        assert _parser().parse_args(words).command


def test_options_in_the_table_exist() -> None:
    help_text = _parser()._subparsers._group_actions[0].choices["run"].format_help()
    row = next(line for line in README.splitlines() if line.startswith("| `run`"))
    for option in re.findall(r"(--?[a-z-]+)", row):
        assert option in help_text


def test_the_top_level_is_as_agreed() -> None:
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert visible == {"README.md", "requirements.txt", "notebooks", "lib", "data", "tests", "outputs"}


def test_every_requirement_is_locked() -> None:
    locked = {
        re.split(r"[=;]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "lib" / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    asked = [
        line.lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    assert [name for name in asked if name not in locked] == []


def test_nothing_in_the_project_speaks_of_this_machine() -> None:
    folders = [ROOT / name for name in ("notebooks", "lib/segmentkit", "data", ".ci")]
    texts = [p for folder in folders for p in folder.rglob("*") if p.suffix in {".py", ".md", ".toml", ".ipynb", ".j2"}]
    assert [p.name for p in texts if "/work/" in Path(p).read_text(encoding="utf-8")] == []

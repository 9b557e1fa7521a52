"""What the notebooks of the series say of themselves: which tables each reads and writes, and who makes what."""

import json
import re
from pathlib import Path

from segmentkit.errors import ParameterError
from segmentkit.machinery.paths import notebook_path, notebooks_folder, outputs_folder, project_root

# one slash: a market's run lies inside its batch
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}(/[A-Za-z0-9][A-Za-z0-9._-]{0,79})?")


def check_run_name(name: str) -> str:
    """Return the name if it can be a folder on every platform.

    Raises:
        ParameterError: it cannot.
    """
    if not RUN_NAME.fullmatch(name):
        raise ParameterError(
            f"run name {name!r}; letters, digits, dot, dash and underscore only, at most 80, or BATCH/MARKET; choose "
            "another name"
        )
    return name


def run_name(folder: Path) -> str:
    """A run's name, as ``--run`` takes it."""
    root, folder = outputs_folder().resolve(), folder.resolve()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name


def missing_table(folder: Path, stage: str, table: str) -> str:
    """Say which stage makes a missing table, and the command."""
    maker = maker_of(table)
    where = f"{stage} needs the table {table!r}, which is not in {shown(folder / 'tables')}"
    if not maker:
        return f"{where}, and no notebook of the series writes it; check the name"
    return f"{where}. {maker} makes it: python -m segmentkit run --run {run_name(folder)} --until {maker[:2]}"


def written_tables(stage: str) -> list[str]:
    """Tables a notebook writes, read from the literals in its code."""
    return _literals(stage, "write_table")


def read_tables(stage: str) -> list[str]:
    """Tables a notebook cannot do without: literals in ``read_table`` and ``open_table``, unless it asks for them."""
    asked = _literals(stage, "has_table")
    return [name for name in _literals(stage, "read_table") + _literals(stage, "open_table") if name not in asked]


def maker_of(table: str) -> str:
    """The notebook of the series that writes a table; empty where none does."""
    return next((name for name in _all_notebooks() if table in written_tables(name)), "")


def _literals(stage: str, call: str) -> list[str]:
    cells = json.loads(notebook_path(stage).read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return list(dict.fromkeys(re.findall(rf"\.{call}\(\s*[\"'](\w+)[\"']", code)))


def _all_notebooks() -> list[str]:
    return sorted(path.stem for path in notebooks_folder().glob("[0-9][0-9]_*.ipynb"))


def shown(path: Path) -> str:
    """A path as a reader types it: from the project root where it lies inside."""
    return path.relative_to(project_root()).as_posix() if path.is_relative_to(project_root()) else str(path)

"""Where things are, found from the installed package: Lab, papermill and pytest start in different folders."""

import os
from pathlib import Path


def project_root() -> Path:
    """The folder that holds README.md, notebooks, lib, data, tests and outputs."""
    return Path(__file__).resolve().parents[3]


def notebooks_folder() -> Path:
    """The source notebooks; a run never writes there."""
    return project_root() / "notebooks"


def notebook_path(stage: str) -> Path:
    """The source notebook of one stage, e.g. ``03_clustering``."""
    return notebooks_folder() / f"{stage}.ipynb"


def outputs_folder() -> Path:
    """Where runs are written: ``outputs``, or the folder that ``SEGMENTKIT_OUTPUTS`` names."""
    # a relative folder counts from the project: kernels start in other places than the command line
    return project_root() / (os.environ.get("SEGMENTKIT_OUTPUTS") or "outputs")


def stages() -> list[str]:
    """The stages of the series in order: every numbered notebook but 00, the tour."""
    names = sorted(path.stem for path in notebooks_folder().glob("[0-9][0-9]_*.ipynb"))
    return [name for name in names if not name.startswith("00")]

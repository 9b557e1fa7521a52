"""Small notebooks for the machinery's tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook from cells; a cell is (kind, source) or (kind, source, tag)."""

    def write(name: str, *cells: tuple[str, ...], folder: str = ".") -> Path:
        path = tmp_path / folder / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        content = {"cells": [as_cell(*cell) for cell in cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write


def as_cell(kind: str, source: str, *tags: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "metadata": {"tags": list(tags)} if tags else {}, "source": source}
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})

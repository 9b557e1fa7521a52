"""Layers: analysis knows nothing of the rest, display draws, machinery moves; and modules stay small."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "lib" / "segmentkit"
MODULES = sorted(LIBRARY.rglob("*.py"))
MAY_JOIN_LAYERS = {"report.py", "cli.py", "batch_page.py"}
WRITES = {
    "open",
    "write_text",
    "write_bytes",
    "mkdir",
    "unlink",
    "touch",
    "to_csv",
    "to_parquet",
    "to_pickle",
    "to_json",
    "savefig",
}
CLOCK = {"now", "today", "utcnow"}


def shown(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


def layer(name: str) -> list[Path]:
    found = sorted((LIBRARY / name).rglob("*.py"))
    assert len(found) > 3, f"{name} moved; the rules below would pass on nothing"
    return found


def imports(path: Path) -> Iterator[str]:
    """Every module imported anywhere in the file, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(path: Path) -> Iterator[tuple[int, str, ast.Call]]:
    """Line, last name and node of every call."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield node.lineno, name, node


def importing(paths: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{shown(path)}: {name}"
        for path in paths
        for name in imports(path)
        if any(name == one or name.startswith(f"{one}.") for one in forbidden)
    ]


@pytest.mark.parametrize(
    "forbidden",
    ["segmentkit.machinery", "segmentkit.display", "matplotlib", "seaborn", "IPython", "ipywidgets", "papermill"],
)
def test_analysis_imports_no_other_layer_and_draws_nothing(forbidden: str) -> None:
    assert importing(layer("analysis"), forbidden) == []


def test_display_does_not_import_machinery() -> None:
    assert importing(layer("display"), "segmentkit.machinery") == []


def test_machinery_imports_neither_analysis_nor_display() -> None:
    paths = [path for path in layer("machinery") if path.name not in MAY_JOIN_LAYERS]
    assert importing(paths, "segmentkit.analysis", "segmentkit.display") == []


def test_analysis_neither_writes_nor_prints() -> None:
    found = [
        f"{shown(path)}:{line} {name}"
        for path in layer("analysis")
        for line, name, _ in calls(path)
        if name in WRITES or name == "print"
    ]
    assert found == []


def test_analysis_never_asks_the_clock() -> None:
    # the audit may: a date after today is wrong on whatever day it is asked, where the source states no latest day
    paths = [path for path in layer("analysis") if path.name != "audit.py"]
    assert [f"{shown(path)}:{line} {name}" for path in paths for line, name, _ in calls(path) if name in CLOCK] == []


def test_every_random_number_has_a_seed() -> None:
    found = []
    for path in layer("analysis"):
        assert importing([path], "random") == []
        for line, name, node in calls(path):
            legacy = ast.unparse(node.func) == f"np.random.{name}" and name != "default_rng"
            unseeded = name == "default_rng" and not node.args
            if legacy or unseeded:
                found.append(f"{shown(path)}:{line} {name}")
    assert found == []


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_is_longer_than_330_lines() -> None:
    assert [f"{shown(path)}: {length(path)}" for path in MODULES if length(path) > 330] == []


def code_lines(path: Path) -> int:
    """Lines that hold code: neither blank, nor comment, nor docstring."""
    text = path.read_text(encoding="utf-8")
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in quiet:
            held |= set(range(token.start[0], token.end[0] + 1))
    return len(held - told)


def test_the_library_stays_small() -> None:
    # any file or database in, thirteen ready maps, proposing a source, identities, the audit and privacy: 5,600 lines
    assert sum(map(code_lines, MODULES)) < 21_550

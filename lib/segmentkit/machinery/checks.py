"""The house rules for notebooks: ``check_series`` lists offences, ``tidy`` mends what can be mended.

Files in ``notebooks/exercises`` need no header, no parameters and no run; the tour, 00, lists no tables.
"""

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from segmentkit.errors import ParameterError
from segmentkit.machinery.files import write_text
from segmentkit.machinery.parameters import Parameter, parse_cell

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
HEADER = {
    "a line `Reads ..., writes ...` with tables in backticks": r"(?m)^Reads\b(.|\n(?!\s*\n))*\bwrites\b",
    "a line with the minutes or seconds it takes": r"\b(minute|second)s?\b",
    "'After this notebook you can'": "After this notebook you can",
}


@dataclass(frozen=True)
class _Cell:
    where: str
    number: int
    content: dict[str, Any]
    source: str
    nodes: list[ast.AST]

    @property
    def is_code(self) -> bool:
        return bool(self.content["cell_type"] == "code")

    @property
    def prose(self) -> str:
        return self.source if self.content["cell_type"] == "markdown" else ""

    @property
    def tags(self) -> list[str]:
        return list(self.content.get("metadata", {}).get("tags", []))

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.source.splitlines() if line.strip()]

    def calls(self, *names: str) -> list[ast.Call]:
        found = [node for node in self.nodes if isinstance(node, ast.Call)]
        return [call for call in found if getattr(call.func, "attr", getattr(call.func, "id", "")) in names]


def check_notebook(path: Path) -> list[str]:
    """Offences of one notebook, each a sentence that says where and what to do."""
    try:
        cells = _cells(path)
    except ParameterError as error:
        return [str(error)]
    is_exercise, is_tour = path.parent.name == "exercises", path.stem.startswith("00")
    offences = [] if is_exercise else _opening(path, cells)
    for cell in cells:
        offences += _cell_offences(cell)
    return offences + ([] if is_exercise or is_tour else _tables(cells)) + _whole(path, cells)


def check_series(paths: Iterable[Path]) -> list[str]:
    """Offences of several notebooks, and parameters that mean different things in two of them."""
    offences: list[str] = []
    first: dict[str, tuple[str, Parameter]] = {}
    for path in paths:
        offences += check_notebook(path)
        for found in _parameters(path):
            name, known = first.setdefault(found.name, (path.name, found))
            if (known.type, known.default) != (found.type, found.default):
                offences.append(
                    f"parameter {found.name} is {known.type} = {known.default!r} in {name}, {found.type} = "
                    f"{found.default!r} in {path.name}; give it one type and default, or another name"
                )
    return offences


def tidy(path: Path) -> bool:
    """Strip what running a notebook leaves behind and write it in one form; say whether the file changed.

    Raises:
        ParameterError: the file is not a notebook.
    """
    cells = [_tidied(cell) for cell in _cells(path)]
    content = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    # sorted keys, as Lab saves them: opening and saving a tidy notebook changes nothing
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    changed = path.read_bytes() != text.encode()
    if changed:
        write_text(path, text)
    return changed


def _tidied(cell: _Cell) -> dict[str, Any]:
    kept = {"cell_type": cell.content["cell_type"], "id": f"cell-{cell.number:02}"}
    kept["metadata"] = {"tags": cell.tags} if cell.tags else {}
    # a picture the text still shows must not vanish without a word: it stays, and check_notebook names it
    attached = cell.content.get("attachments") or {}
    if shown := {name: data for name, data in attached.items() if f"attachment:{name}" in cell.source}:
        kept["attachments"] = shown
    if cell.is_code:
        kept |= {"execution_count": None, "outputs": []}
    return kept | {"source": cell.source.splitlines(keepends=True)}


def _cells(path: Path) -> list[_Cell]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [_cell(f"{path.name}, cell {number}", number, one) for number, one in enumerate(found, 1)]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ParameterError(f"{path.name} is not a notebook ({error}); restore or remove it") from None


def _cell(where: str, number: int, content: dict[str, Any]) -> _Cell:
    source = "".join(content["source"])
    try:
        nodes = list(ast.walk(ast.parse(source))) if content["cell_type"] == "code" else []
    except SyntaxError:
        nodes = []  # and _cell_offences says so
    return _Cell(where, number, content, source, nodes)


def _parameters(path: Path) -> list[Parameter]:
    try:
        tagged = [cell for cell in _cells(path) if "parameters" in cell.tags and cell.nodes]
        return [found for cell in tagged for found in parse_cell(cell.source, cell.where)]
    except ParameterError:
        return []  # and check_notebook says so


def _said(where: str, rules: dict[str, bool]) -> list[str]:
    return [f"{where}: {sentence}" for sentence, broken in rules.items() if broken]


def _opening(path: Path, cells: list[_Cell]) -> list[str]:
    if len(cells) < 3:
        return [f"{path.name}: {len(cells)} cells; add a header, parameters and open_run"]
    header, second, third = cells[:3]
    call, title = f"open_run(run, stage={path.stem!r}, parameters=locals())", f"# {path.stem[:2]} · "
    needs = {f"`{title}Title` as its first line": rf"\A{re.escape(title)}\S"} | HEADER
    lacks = {f"the header needs {need}; add it": not re.search(needs[need], header.prose) for need in needs}
    opens = call in [ast.unparse(one) for one in third.calls("open_run")]
    return [
        *_said(header.where, lacks),
        *_second(second),
        *_said(third.where, {f"it does not open the run; write `this_run = {call}`": not opens}),
    ]


def _second(cell: _Cell) -> list[str]:
    if not cell.is_code or "parameters" not in cell.tags:
        return [f"{cell.where}: this is not code tagged 'parameters'; tag it (property inspector)"]
    try:
        found = parse_cell(cell.source, cell.where) if cell.nodes else []
    except ParameterError as error:
        return [str(error)]
    starts = [(one.name, one.type, one.default) for one in found[:1]] == [("run", "str", "")]
    # alone in its cell, a line that begins with `run` is taken for IPython's %run command
    alone = len(found) == 1
    return _said(
        cell.where,
        {
            'the first parameter is not `run: str = ""`; put that first': not starts,
            "a cell with the parameter `run` alone runs as the command %run; add another parameter": alone,
        },
    )


def _cell_offences(cell: _Cell) -> list[str]:
    count, most = len(cell.lines), {2: 30, 3: 30}.get(cell.number, 12)
    unread, magic = cell.is_code and not cell.nodes, any(line[0] in "%!" for line in cell.lines)
    rules = {
        "it holds outputs; run `segmentkit tidy`": bool(cell.content.get("outputs")),
        "it holds an execution count; run `segmentkit tidy`": bool(cell.content.get("execution_count")),
        "it holds an attached picture; draw it in code": bool(cell.content.get("attachments")),
        f"{count} lines of code, at most {most}; split it": cell.is_code and count > most,
        "an IPython magic; write plain Python": unread and magic,
        "this is not Python; mend the syntax": unread and not magic,
    }
    return _said(cell.where, rules | {sentence: True for node in cell.nodes if (sentence := _offence(node))})


def _offence(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"it defines {node.name}; move it to the library"
    if isinstance(node, ast.Constant) and str(node.value).startswith(("./", "../")):
        return f"relative path {node.value!r}; notebooks start in different folders, so ask the run for files"
    if {getattr(node, key, "") for key in ("attr", "name", "id")} & {"filterwarnings", "simplefilter"}:
        return "it filters warnings; mend what they say"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "show":
        has_alt = "alt" in [keyword.arg for keyword in node.keywords]
        return "" if has_alt else f"`{ast.unparse(node)[:60]}` has no alt text; add alt= saying what is shown"
    return ""


def _tables(cells: list[_Cell]) -> list[str]:
    header = cells[0].prose if cells else ""
    reads, _, writes = header.partition("\nReads")[2].partition("\n\n")[0].partition("writes")
    return _compare(cells, reads, "read_table", "open_table", "read_optional") + _compare(cells, writes, "write_table")


def _compare(cells: list[_Cell], stated: str, *methods: str) -> list[str]:
    listed = set(re.findall(r"`([a-z][a-z0-9_]*)`", stated))
    offences, used = [], set[Any]()
    for cell, call in [(one, call) for one in cells for call in one.calls(*methods)]:
        name, shown = getattr(call.args[0], "value", None) if call.args else None, ast.unparse(call)[:60]
        if not isinstance(name, str):
            offences.append(f"{cell.where}: `{shown}`; name the table as a literal")
        elif name not in listed | used:
            offences.append(f"{cell.where}: `{shown}` is not in the header; add `{name}` to it")
        used.add(name)
    unused = {f"no cell has {methods[0]}({name!r}); take it out": True for name in sorted(listed - used)}
    return offences + (_said(cells[0].where, unused) if unused else [])


def _whole(path: Path, cells: list[_Cell]) -> list[str]:
    middle = median([len(cell.lines) for cell in cells if cell.is_code] or [0])
    prose = sum(bool(cell.prose) for cell in cells)
    caveats, closing = "What this does not tell you", cells[-1] if cells else None
    rules = {
        f"the median code cell has {middle:g} lines, at most 5; split cells": middle > 5,
        f"{prose} of {len(cells)} cells are prose, at least 40 %; write more": prose < 0.4 * len(cells),
    }
    where, says_so = closing.where if closing else path.name, closing and caveats in closing.prose
    return _said(path.name, rules) + _said(where, {f"the last cell lacks {caveats!r}; add it": not says_so})

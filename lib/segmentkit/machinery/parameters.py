"""Parameters: read from the notebooks' own ``parameters`` cells, converted by annotation, refused early.

papermill drops what it cannot parse, ignores misspelt names and passes numbers as text, all with exit code 0.
So the runner reads the cell itself and refuses before a kernel starts. A help text may end in ``[low..high]``,
where a bound is a number or another parameter's name, or in ``[one of a, b]``.
"""

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from segmentkit.errors import ParameterError
from segmentkit.machinery.paths import notebook_path, stages

TYPES: dict[str, tuple[type, bool]] = {
    "str": (str, False),
    "int": (int, False),
    "float": (float, False),
    "bool": (bool, False),
    "list[str]": (str, True),
    "list[int]": (int, True),
    "list[float]": (float, True),
}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_RANGE = re.compile(r"\[(?P<low>[^\s\[\]]*?)\.\.(?P<high>[^\s\[\]]*)\]\s*$")
_CHOICES = re.compile(r"\[one of (?P<choices>[^\]]+)\]\s*$")

Value = str | int | float | bool | list[str] | list[int] | list[float]


@dataclass(frozen=True)
class Parameter:
    """One line of a ``parameters`` cell."""

    name: str
    type: str
    default: Any
    help: str

    @property
    def bounds(self) -> tuple[str, str] | None:
        """Lower and upper bound as written (a number, a parameter's name, or empty), or None."""
        found = _RANGE.search(self.help)
        return (found["low"], found["high"]) if found else None

    @property
    def choices(self) -> list[str]:
        """The words allowed, or an empty list where any will do."""
        found = _CHOICES.search(self.help)
        return [word.strip() for word in found["choices"].split(",")] if found else []


def parse_cell(source: str, where: str) -> list[Parameter]:
    """Read a ``parameters`` cell.

    Raises:
        ParameterError: a line is not ``name: type = literal  # help`` with one of the allowed types.
    """
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise ParameterError(f"{where}, line {error.lineno}: this is not Python ({error.msg}); mend the cell") from None
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    found = []
    for node in ast.parse(source).body:
        line = ast.get_source_segment(source, node)
        shape = "name: type = literal  # help"
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            raise ParameterError(f"{where}: {line!r} is not a parameter; write it as `{shape}`")
        annotation = ast.unparse(node.annotation)
        help_text = comments.get(node.end_lineno or 0, "").lstrip("# ").strip()
        if annotation not in TYPES or not help_text or "=" in help_text:
            allowed = ", ".join(TYPES)
            raise ParameterError(
                f"{where}: {line!r} needs one of the types {allowed}, and help after # without an equals sign; "
                f"write it as `{shape}`"
            )
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            raise ParameterError(f"{where}: the default of {node.target.id} must be a literal") from None
        parameter = Parameter(node.target.id, annotation, default, help_text)
        convert(parameter, default)  # a default that its own type refuses is a mistake in the cell
        found.append(parameter)
    return found


def read_parameters(notebook: Path) -> list[Parameter]:
    """The parameters a notebook declares.

    Raises:
        ParameterError: the notebook does not exist or has no cell tagged ``parameters``.
    """
    if not notebook.is_file():
        raise ParameterError(f"no notebook {notebook.name} in {notebook.parent}; `segmentkit params` lists them")
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            return parse_cell("".join(cell["source"]), notebook.name)
    raise ParameterError(
        f"{notebook.name} has no cell tagged 'parameters', so injected values would be overwritten; "
        "tag its first code cell (in Lab: property inspector, Cell Tags)"
    )


def declared() -> set[str]:
    """Names of every parameter of the series."""
    return {parameter.name for stage in stages() for parameter in read_parameters(notebook_path(stage))}


def convert(parameter: Parameter, value: Any) -> Value:
    """Turn a value from the command line (text) or a YAML file (typed) into the parameter's type.

    Raises:
        ParameterError: it is not of that type.
    """
    scalar, is_list = TYPES[parameter.type]
    if not is_list:
        return _convert_one(parameter, scalar, value)
    if isinstance(value, str):
        text = value.strip().removeprefix("[").removesuffix("]")
        value = [part.strip().strip("\"'") for part in text.split(",")] if text.strip() else []
    if not isinstance(value, list):
        raise ParameterError(_wrong_type(parameter, value))
    return [_convert_one(parameter, scalar, item) for item in value]


def _convert_one(parameter: Parameter, scalar: type, value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else None
    if scalar is str and isinstance(value, str):
        return value
    if scalar is str and isinstance(value, date):  # YAML reads an unquoted day as one
        return value.isoformat()
    if scalar is bool:
        if isinstance(value, bool):
            return value
        if text is not None and text.lower() in {"true", "false"}:
            return text.lower() == "true"
    elif scalar is int and not isinstance(value, bool):
        if isinstance(value, int):
            return value
        if text is not None and re.fullmatch(r"[+-]?\d+", text):
            return int(text)
    elif scalar is float and not isinstance(value, bool):
        if isinstance(value, int | float):
            return float(value)
        if text is not None and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
            return float(text)
    raise ParameterError(_wrong_type(parameter, value))


def _wrong_type(parameter: Parameter, value: Any) -> str:
    scalar = parameter.type.removeprefix("list[").removesuffix("]")
    word = _WORDS[scalar] if scalar == parameter.type else f"a list, each {_WORDS[scalar]}"
    shown = f'the text "{value}"' if isinstance(value, str) else repr(value)
    example = parameter.default if parameter.default not in ("", []) else "..."
    return (
        f"parameter {parameter.name} must be {word}{_allowed(parameter)}, got {shown}; "
        f"run again with e.g. -p {parameter.name}={example}"
    )


def _allowed(parameter: Parameter) -> str:
    if parameter.choices:
        return " one of " + ", ".join(parameter.choices)
    if parameter.bounds is None:
        return ""
    low, high = parameter.bounds
    if low and high:
        return f" from {low} to {high}"
    return f" at least {low}" if low else f" at most {high}"


def check_values(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> None:
    """Check ranges and choices, each bound read from the help text.

    Raises:
        ParameterError: a value lies outside.
    """
    for parameter in parameters:
        given = values[parameter.name]
        for item in given if isinstance(given, list) else [given]:
            if parameter.choices and item not in parameter.choices:
                raise ParameterError(_outside(parameter, item))
            if parameter.bounds is None:
                continue
            low, high = (_bound(text, values) for text in parameter.bounds)
            if (low is not None and item < low) or (high is not None and item > high):
                raise ParameterError(_outside(parameter, item, values))


def _outside(parameter: Parameter, item: Any, values: Mapping[str, Any] | None = None) -> str:
    named = [b for b in parameter.bounds or () if values and b in values]
    note = "".join(f" ({name} == {values[name]})" for name in named) if values else ""
    return (
        f"parameter {parameter.name} == {item!r}; it must be{_allowed(parameter)}{note}; "
        f"run again with e.g. -p {parameter.name}={parameter.default}"
    )


def _bound(text: str, values: Mapping[str, Any]) -> float | None:
    if not text:
        return None
    return float(values[text]) if text in values else float(text)


def resolve(stages: Iterable[str], overrides: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
    """Values for every stage: defaults, overridden, converted and checked before a kernel starts.

    Args:
        stages: stages of the series whose notebooks may declare a parameter.
        overrides: name to value, from files and the command line.

    Returns:
        Stage to its parameters by name. ``run`` is left to the runner.

    Raises:
        ParameterError: unknown name (with the nearest spelling), wrong type, or out of range.
    """
    declared = {stage: read_parameters(notebook_path(stage)) for stage in stages}
    known = {p.name for parameters in declared.values() for p in parameters}
    for name in overrides:
        if name not in known or name == "run":
            near = difflib.get_close_matches(str(name), known - {"run"}, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "`segmentkit params` lists every parameter"
            if name == "run":
                hint = "name the run with --run NAME"
            raise ParameterError(f"no parameter {name!r} in any notebook of the series; {hint}")
    resolved: dict[str, dict[str, Value]] = {}
    for stage, parameters in declared.items():
        values = {p.name: convert(p, overrides[p.name]) if p.name in overrides else p.default for p in parameters}
        check_values(parameters, values)
        resolved[stage] = values
    return resolved


def read_files(files: Iterable[Path]) -> dict[str, Any]:
    """Merge YAML parameter files; later files override earlier ones.

    Raises:
        ParameterError: a file is missing, is not YAML, or is not a flat mapping.
    """
    merged: dict[str, Any] = {}
    for file in files:
        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            raise ParameterError(f"no parameter file {file}; check the path after --params") from None
        except yaml.YAMLError as error:
            raise ParameterError(f"{file} is not YAML: {error}; write one `name: value` a line") from None
        if not isinstance(loaded, dict):
            raise ParameterError(f"{file} must hold `name: value` lines, got {type(loaded).__name__}")
        path = file.parent / str(loaded.get("source", ""))
        if path.suffix == ".toml" and path.is_file():  # a source beside its parameters, wherever the command is given
            loaded["source"] = path.resolve().as_posix()
        merged |= loaded
    return merged


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Split ``-p name=value`` texts at the first equals sign.

    Raises:
        ParameterError: there is none.
    """
    pairs = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"-p {text!r} has no equals sign; write -p {text}=VALUE")
        pairs[name.strip()] = value
    return pairs

"""Parameters: what a cell may declare, what a value may be, and how a wrong one is refused."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentkit.errors import ParameterError
from segmentkit.machinery import parameters
from segmentkit.machinery.parameters import Parameter, check_values, convert, parse_cell

SHAPE = "`name: type = literal  # help`"


def test_a_day_that_yaml_read_as_one_is_text_again(tmp_path: Path) -> None:
    file = tmp_path / "june.yaml"
    file.write_text("as_of: 2025-06-01\n", encoding="utf-8")
    given = parameters.read_files([file])["as_of"]
    assert convert(Parameter("as_of", "str", "", "A day"), given) == "2025-06-01"


def test_a_source_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "de.toml").write_text("", encoding="utf-8")
    for name, found in (("de.toml", (tmp_path / "de.toml").as_posix()), ("sample_shop", "sample_shop")):
        (tmp_path / "de.yaml").write_text(f"source: {name}\n", encoding="utf-8")
        assert parameters.read_files([tmp_path / "de.yaml"])["source"] == found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('run: str = ""  # Run folder', Parameter("run", "str", "", "Run folder")),
        ("k_min: int = 2  # Fewest segments", Parameter("k_min", "int", 2, "Fewest segments")),
        ("floor: float = -0.5  # May be negative", Parameter("floor", "float", -0.5, "May be negative")),
        ("fast: bool = True  # Skip the slow part", Parameter("fast", "bool", True, "Skip the slow part")),
        ("ks: list[int] = []  # Not known", Parameter("ks", "list[int]", [], "Not known")),
        (
            'name: str = "# not a comment"  # A hash in the text',
            Parameter("name", "str", "# not a comment", "A hash in the text"),
        ),
        (
            'drop: list[str] = [\n    "a",  # one\n    "b",\n]  # Columns to leave out',
            Parameter("drop", "list[str]", ["a", "b"], "Columns to leave out"),
        ),
    ],
)
def test_a_line_of_the_cell_is_read_whole(line: str, expected: Parameter) -> None:
    assert parse_cell(f"# a comment line\n{line}\n", "nb.ipynb") == [expected]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("k = 5  # Segments", "'k = 5' is not a parameter; write it as " + SHAPE),
        ("k: int", "'k: int' is not a parameter"),
        ("import os", "'import os' is not a parameter"),
        ("k: int = 5", "'k: int = 5' needs one of the types str, int"),
        ("k: int = 5  # Best when k = 5", "help after # without an equals sign"),
        ("k: int | None = 5  # Segments", "needs one of the types str, int, float, bool, list[str]"),
        ("k: tuple[int, int] = (1, 2)  # Segments", "needs one of the types"),
        ("k: int = len('abc')  # Segments", "the default of k must be a literal"),
        ("k: int = other  # Segments", "the default of k must be a literal"),
    ],
)
def test_another_line_is_refused_with_place_and_form(line: str, part: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(part)) as caught:
        parse_cell(line, "03_clustering.ipynb")
    assert str(caught.value).startswith("03_clustering.ipynb: ")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("k: int = (5  # Segments", "is not Python"),
        ('k: int = "five"  # Segments', "parameter k must be a whole number"),
        ("ks: list[int] = [2.5]  # Segments", "parameter ks must be a list, each a whole number"),
    ],
)
def test_a_default_that_its_own_type_refuses_is_found_in_the_cell(line: str, part: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(part)):
        parse_cell(line, "03_clustering.ipynb")


@pytest.mark.parametrize(
    ("help_text", "bounds", "choices"),
    [
        ("Fewest segments [2..k_max]", ("2", "k_max"), []),
        ("Random seed [0..]", ("0", ""), []),
        ("Share [..1]", ("", "1"), []),
        ("Method [one of kmeans, mixture]", None, ["kmeans", "mixture"]),
        ("Range [2..8] in the middle", None, []),
        ("Plain", None, []),
    ],
)
def test_bounds_and_choices_stand_at_the_end_of_the_help(help_text: str, bounds: object, choices: list[str]) -> None:
    parameter = Parameter("k", "int", 2, help_text)
    assert parameter.bounds == bounds
    assert parameter.choices == choices


def test_read_parameters_says_which_notebook_is_missing_or_untagged(write_notebook, tmp_path) -> None:
    with pytest.raises(ParameterError, match=r"no notebook 09_none.ipynb in .*; `segmentkit params` lists them"):
        parameters.read_parameters(tmp_path / "09_none.ipynb")
    untagged = write_notebook("01_plain", ("code", "k: int = 5  # Segments"))
    with pytest.raises(ParameterError, match=r"01_plain.ipynb has no cell tagged 'parameters'.*Cell Tags"):
        parameters.read_parameters(untagged)


@pytest.mark.parametrize(
    ("kind", "given_value", "expected"),
    [
        ("str", "  5 ", "  5 "),
        ("int", "007", 7),
        ("int", " -3 ", -3),
        ("int", 12, 12),
        ("float", "1e-3", 0.001),
        ("float", ".5", 0.5),
        ("float", 2, 2.0),
        ("bool", "True", True),
        ("bool", "FALSE", False),
        ("bool", False, False),
        ("list[int]", "2, 3", [2, 3]),
        ("list[int]", "[2,3]", [2, 3]),
        ("list[int]", [2, "3"], [2, 3]),
        ("list[int]", "", []),
        ("list[int]", "[]", []),
        ("list[str]", "['a', \"b\"]", ["a", "b"]),
        ("list[float]", "1", [1.0]),
    ],
)
def test_values_take_the_type_of_the_annotation(kind: str, given_value: object, expected: object) -> None:
    converted = convert(Parameter("p", kind, "", "help"), given_value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given_value", "part"),
    [
        ("int", "five", 'must be a whole number, got the text "five"; run again with e.g. -p p=8'),
        ("int", "1_0", 'a whole number, got the text "1_0"'),
        ("int", "5.0", "a whole number"),
        ("int", 5.5, "a whole number, got 5.5"),
        ("int", True, "a whole number, got True"),
        ("float", "nan", 'a number, got the text "nan"'),
        ("float", "1,5", "a number"),
        ("float", False, "a number, got False"),
        ("bool", "yes", "true or false"),
        ("bool", 1, "true or false, got 1"),
        ("str", 5, "must be text, got 5"),
        ("str", None, "must be text, got None"),
        ("list[int]", "2,x", 'a list, each a whole number, got the text "x"'),
        ("list[int]", 5, "a list, each a whole number, got 5"),
        ("list[str]", {"a": 1}, "a list, each text"),
    ],
)
def test_values_of_another_type_are_refused(kind: str, given_value: object, part: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(part)) as caught:
        convert(Parameter("p", kind, 8, "help"), given_value)
    assert "parameter p must be" in str(caught.value)


@given(st.integers())
def test_every_whole_number_survives_the_command_line(number: int) -> None:
    assert convert(Parameter("p", "int", 0, "help"), str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives_the_command_line(number: float) -> None:
    assert convert(Parameter("p", "float", 0.0, "help"), repr(number)) == number


@given(st.sampled_from(sorted(parameters.TYPES)), st.one_of(st.text(), st.none(), st.lists(st.text()), st.floats()))
def test_any_value_is_converted_or_refused_never_passed_on(kind: str, value: object) -> None:
    scalar, is_list = parameters.TYPES[kind]
    try:
        converted = convert(Parameter("p", kind, "", "help"), value)
    except ParameterError:
        return
    items = converted if is_list else [converted]
    assert all(type(item) is scalar for item in items)


@pytest.mark.parametrize(
    ("help_text", "value", "others", "part"),
    [
        ("Segments [2..8]", 9, {}, "parameter p == 9; it must be from 2 to 8; run again with e.g. -p p=4"),
        ("Segments [2..8]", 1, {}, "parameter p == 1"),
        ("Segments [2..k_max]", 9, {"k_max": 8}, "it must be from 2 to k_max (k_max == 8)"),
        ("Seed [0..]", -1, {}, "parameter p == -1; it must be at least 0"),
        ("Share [..1]", 2, {}, "parameter p == 2; it must be at most 1"),
        ("Each [1..3]", [1, 4], {}, "parameter p == 4; it must be from 1 to 3"),
        ("Method [one of kmeans, mixture]", "kmean", {}, "parameter p == 'kmean'; it must be one of kmeans, mixture"),
    ],
)
def test_values_outside_the_help_are_refused(help_text: str, value: object, others: dict, part: str) -> None:
    parameter = Parameter("p", "int", 4, help_text)
    with pytest.raises(ParameterError, match=re.escape(part)):
        check_values([parameter], {"p": value} | others)


@pytest.mark.parametrize(
    ("help_text", "value", "others"),
    [
        ("Segments [2..8]", 2, {}),
        ("Segments [2..8]", 8, {}),
        ("Segments [2..k_max]", 8, {"k_max": 8}),
        ("Each [1..3]", [], {}),
        ("Method [one of kmeans, mixture]", "mixture", {}),
    ],
)
def test_values_at_the_edge_are_allowed(help_text: str, value: object, others: dict) -> None:
    check_values([Parameter("p", "int", 4, help_text)], {"p": value} | others)


@pytest.fixture
def series(write_notebook, tmp_path, monkeypatch) -> list[str]:
    run = 'run: str = ""  # Run folder\n'
    write_notebook("01_first", ("code", run + "seed: int = 7  # Seed [0..]", "parameters"))
    clusters = "k_min: int = 2  # Fewest [2..k_max]\nk_max: int = 8  # Most\nseed: int = 7  # Seed [0..]"
    write_notebook("02_second", ("markdown", "text"), ("code", run + clusters, "parameters"))
    monkeypatch.setattr(parameters, "notebook_path", lambda stage: tmp_path / f"{stage}.ipynb")
    return ["01_first", "02_second"]


def test_resolve_gives_every_stage_its_own_values(series) -> None:
    assert parameters.resolve(series, {"seed": "11", "k_max": 9}) == {
        "01_first": {"run": "", "seed": 11},
        "02_second": {"run": "", "k_min": 2, "k_max": 9, "seed": 11},
    }


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        ({"k_mx": 5}, "no parameter 'k_mx' in any notebook of the series; did you mean k_max?"),
        ({"colour": "red"}, "no parameter 'colour' in any notebook of the series; `segmentkit params` lists every"),
        ({"run": "may"}, "name the run with --run NAME"),
        ({True: 5}, "no parameter True"),
        ({"k_max": "many"}, 'parameter k_max must be a whole number, got the text "many"'),
        ({"k_min": 9}, "it must be from 2 to k_max (k_max == 8)"),
        ({"seed": -1}, "parameter seed == -1"),
    ],
)
def test_resolve_refuses_before_anything_runs(series, overrides: dict, part: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(part)):
        parameters.resolve(series, overrides)


def test_later_files_override_earlier_ones(tmp_path) -> None:
    base, german, empty = tmp_path / "base.yaml", tmp_path / "de.yaml", tmp_path / "empty.yaml"
    base.write_text("k_max: 8\nseed: 7\n", encoding="utf-8")
    german.write_text("k_max: 5\nnote: Größe\n", encoding="utf-8")
    empty.write_text("# nothing yet\n", encoding="utf-8")
    assert parameters.read_files([base, german, empty]) == {"k_max": 5, "seed": 7, "note": "Größe"}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "check the path after --params"),
        ("k: [1", "is not YAML"),
        ("- k\n- 5\n", "must hold `name: value` lines, got list"),
    ],
)
def test_a_parameter_file_that_cannot_be_used_is_named(tmp_path, content: str | None, part: str) -> None:
    path = tmp_path / "may.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ParameterError, match=re.escape(part)) as caught:
        parameters.read_files([path])
    assert "may.yaml" in str(caught.value)


def test_assignments_split_at_the_first_equals_sign() -> None:
    assert parameters.parse_assignments(["k=5", "rule=a=b", "note="]) == {"k": "5", "rule": "a=b", "note": ""}
    with pytest.raises(ParameterError, match="-p 'k' has no equals sign; write -p k=VALUE"):
        parameters.parse_assignments(["k"])

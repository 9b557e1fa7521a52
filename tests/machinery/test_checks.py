"""The house rules: a good notebook passes, each offence is named with place and mend, tidying mends the rest."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segmentkit.errors import ParameterError
from segmentkit.machinery.checks import METADATA, check_notebook, check_series, tidy

STEM = "03_clustering"
HEADER = """# 03 · Clustering

Which customers behave alike, and how sure can we be?

Reads `features`, writes `segments`, `profiles` and `model.json`.
Two minutes on a laptop.

After this notebook you can choose k, read a profile and doubt a map.
"""
PARAMETERS = 'run: str = ""  # Run folder under outputs\nseed: int = 7  # Same seed, same segments [0..]'
OPENING = f"""from segmentkit import open_run

this_run = open_run(run, stage="{STEM}", parameters=locals())
features = this_run.read_table("features")"""
CELLS: list[tuple[str, ...]] = [
    ("markdown", HEADER),
    ("code", PARAMETERS, "parameters"),
    ("code", OPENING),
    ("markdown", "Look for the largest k above both floors."),
    ("code", 'this_run.show(figures.k(choice), "k", alt=choice.sentence)\nbest = max(ks, key=lambda k: score[k])'),
    ("markdown", "And that is k."),
    ("code", 'this_run.write_table("segments", segments)\nthis_run.write_table("profiles", profiles)'),
    ("markdown", "## What this does not tell you\nWhy customers differ."),
]
Write = Callable[..., Path]


def replaced(number: int, *cells: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The good notebook with one cell (1 is the first) replaced by others."""
    return [*CELLS[: number - 1], *cells, *CELLS[number:]]


def inserted(code: str) -> list[tuple[str, ...]]:
    return replaced(4, ("code", code), ("markdown", "a"), ("markdown", "b"))


def test_a_notebook_that_keeps_the_rules_has_no_offences(write_notebook: Write) -> None:
    assert check_notebook(write_notebook(STEM, *CELLS)) == []


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (HEADER.replace("# 03 ·", "# 04 ·"), "the header needs `# 03 · Title` as its first line; add it"),
        (HEADER.replace("·", "-"), "the header needs `# 03 · Title`"),
        ("\n" + HEADER, "the header needs `# 03 · Title`"),
        (HEADER.replace("writes", "makes"), "the header needs a line `Reads ..., writes ...`"),
        (HEADER.replace("Reads", "It reads"), "the header needs a line `Reads ..., writes ...`"),
        (HEADER.replace("minutes", "hours"), "the header needs a line with the minutes or seconds it takes"),
        (HEADER.replace("After this", "After that"), "the header needs 'After this notebook you can'; add it"),
    ],
)
def test_the_header_says_what_the_notebook_is(write_notebook: Write, header: str, part: str) -> None:
    offences = check_notebook(write_notebook(STEM, *replaced(1, ("markdown", header))))
    assert any(offence.startswith(f"{STEM}.ipynb, cell 1: {part}") for offence in offences)


@pytest.mark.parametrize(
    ("number", "cell", "part"),
    [
        (1, ("code", "1"), "cell 1: the header needs `# 03 · Title`"),
        (2, ("code", PARAMETERS), "cell 2: this is not code tagged 'parameters'; tag it"),
        (2, ("markdown", PARAMETERS, "parameters"), "cell 2: this is not code tagged 'parameters'"),
        (2, ("code", "seed: int = 7  # Seed", "parameters"), 'cell 2: the first parameter is not `run: str = ""`'),
        (2, ("code", 'run: str = "may"  # Run', "parameters"), 'cell 2: the first parameter is not `run: str = ""`'),
        (2, ("code", PARAMETERS + "\nk = 5", "parameters"), "cell 2: 'k = 5' is not a parameter; write it as `name:"),
        (2, ("code", 'run: str = "', "parameters"), "cell 2: this is not Python; mend the syntax"),
        (3, ("code", OPENING.replace(STEM, "02_other")), f"write `this_run = open_run(run, stage='{STEM}', param"),
        (3, ("code", OPENING.replace(", parameters=locals()", "")), "cell 3: it does not open the run; write"),
        (3, ("markdown", "Now open the run."), "cell 3: it does not open the run; write"),
        (8, ("markdown", "The end."), "cell 8: the last cell lacks 'What this does not tell you'; add it"),
        (8, ("code", "'What this does not tell you'"), "cell 8: the last cell lacks 'What this does not tell you'"),
    ],
)
def test_the_first_three_cells_and_the_last_have_their_tasks(
    write_notebook: Write, number: int, cell: tuple[str, ...], part: str
) -> None:
    offences = check_notebook(write_notebook(STEM, *replaced(number, cell)))
    assert any(f"{STEM}.ipynb" in offence and part in offence for offence in offences), offences


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("def f():\n    return 1", "it defines f; move it to the library"),
        ("class Thing:\n    pass", "it defines Thing; move it to the library"),
        ("async def f():\n    pass", "it defines f; move it to the library"),
        ("%matplotlib inline", "an IPython magic; write plain Python"),
        ("x = 1\n!pip install something", "an IPython magic; write plain Python"),
        ("x = (1", "this is not Python; mend the syntax"),
        ("pd.read_csv('../data/x.csv')", "relative path '../data/x.csv'; notebooks start in different folders"),
        ("open(f'./{name}.csv')", "relative path './'"),
        ("import warnings\nwarnings.filterwarnings('ignore')", "it filters warnings; mend what they say"),
        ("from warnings import simplefilter", "it filters warnings"),
        ("this_run.show(figure, 'map')", "`this_run.show(figure, 'map')` has no alt text; add alt="),
        ("plt.show()", "`plt.show()` has no alt text"),
        ("\n".join(["x = 1"] * 13), "13 lines of code, at most 12; split it"),
        ("this_run.read_table(name)", "`this_run.read_table(name)`; name the table as a literal"),
        ("this_run.read_table('orders')", "`this_run.read_table('orders')` is not in the header; add `orders` to it"),
        ("this_run.open_table('orders')", "`this_run.open_table('orders')` is not in the header"),
        ("this_run.read_optional('contacts')", "`this_run.read_optional('contacts')` is not in the header; add"),
        ("this_run.write_table('features', t)", "`this_run.write_table('features', t)` is not in the header"),
    ],
)
def test_a_code_cell_that_breaks_a_rule_is_named_once(write_notebook: Write, code: str, part: str) -> None:
    [offence] = check_notebook(write_notebook(STEM, *inserted(code)))
    assert offence.startswith(f"{STEM}.ipynb, cell 4: {part}")


@pytest.mark.parametrize(
    "code",
    [
        "best = max(ks, key=lambda k: score[k])",
        'share = (f"{part:.1%}"\n% total)',
        "path = 'figures/../map.png'",
        "show(figure)",
        "\n\n".join(["x = 1"] * 12),
        "sorted(table.items())\ntable",
        "",
    ],
)
def test_what_only_looks_like_an_offence_passes(write_notebook: Write, code: str) -> None:
    assert check_notebook(write_notebook(STEM, *inserted(code))) == []


def test_the_parameters_cannot_be_split_so_they_may_be_more(write_notebook: Write) -> None:
    more = "".join(f"\nk_{number}: int = 1  # One more" for number in range(18))
    assert check_notebook(write_notebook(STEM, *replaced(2, ("code", PARAMETERS + more, "parameters")))) == []


def test_the_opening_cell_may_be_longer(write_notebook: Write) -> None:
    thirty = OPENING + "\nx = 1" * 27
    assert check_notebook(write_notebook(STEM, *replaced(3, ("code", thirty)))) == []
    [offence] = check_notebook(write_notebook(STEM, *replaced(3, ("code", thirty + "\nx = 1"))))
    assert offence == f"{STEM}.ipynb, cell 3: 31 lines of code, at most 30; split it"


def test_cells_are_short_on_the_whole_and_prose_is_plenty(write_notebook: Write) -> None:
    long = ("code", "\n".join(["x = 1"] * 9))
    offences = check_notebook(write_notebook(STEM, *CELLS[:-1], *[long] * 6, CELLS[-1]))
    assert offences == [
        f"{STEM}.ipynb: the median code cell has 9 lines, at most 5; split cells",
        f"{STEM}.ipynb: 4 of 14 cells are prose, at least 40 %; write more",
    ]


@pytest.mark.parametrize(
    ("reads", "part"),
    [
        ("Reads `features`, `orders`, writes `segments`, `profiles`.", "no cell has read_table('orders'); take it out"),
        ("Reads `features`, writes `segments`, `profiles`, `map`.", "no cell has write_table('map'); take it out"),
        ("Reads `features`, `segments`, writes `segments`, `profiles`.", "no cell has read_table('segments')"),
    ],
)
def test_a_table_that_only_the_header_names_is_an_offence(write_notebook: Write, reads: str, part: str) -> None:
    header = HEADER.replace(HEADER.splitlines()[4], reads)
    [offence] = check_notebook(write_notebook(STEM, *replaced(1, ("markdown", header))))
    assert offence.startswith(f"{STEM}.ipynb, cell 1: {part}")


@pytest.mark.parametrize(
    "reads",
    [
        "Reads `features`, writes `segments`,\n`profiles`, `model.json` and `figures/map.png`.",
        "Reads `features` (of `02_exploratory_analysis`), writes `segments` and `profiles`.",
    ],
)
def test_the_tables_may_run_over_a_line_and_stand_beside_other_words(write_notebook: Write, reads: str) -> None:
    header = HEADER.replace(HEADER.splitlines()[4], reads)
    assert check_notebook(write_notebook(STEM, *replaced(1, ("markdown", header)))) == []


def test_a_notebook_may_read_a_source_and_no_table(write_notebook: Write) -> None:
    header = HEADER.replace("`features`", "a source")
    opening = OPENING.replace('features = this_run.read_table("features")', "")
    cells = [("markdown", header), CELLS[1], ("code", opening), *CELLS[3:]]
    assert check_notebook(write_notebook(STEM, *cells)) == []


def test_the_tour_need_not_list_its_tables(write_notebook: Write) -> None:
    header = HEADER.replace("# 03", "# 00").replace("`features`", "nothing")
    cells = [("markdown", header), CELLS[1], ("code", OPENING.replace(STEM, "00_start_here")), *CELLS[3:]]
    assert check_notebook(write_notebook("00_start_here", *cells)) == []


def test_exercises_need_no_header_and_no_run_but_keep_the_other_rules(write_notebook: Write) -> None:
    cells = [("markdown", "# Exercise"), ("code", "x = 1"), ("code", "this_run.read_table('any')"), CELLS[-1]]
    assert check_notebook(write_notebook("ex03_k", *cells, folder="exercises")) == []
    bad = [*cells[:2], ("code", "def f():\n    pass"), cells[-1]]
    [offence] = check_notebook(write_notebook("ex03_k", *bad, folder="exercises"))
    assert offence == "ex03_k.ipynb, cell 3: it defines f; move it to the library"


def test_what_running_leaves_behind_is_an_offence(write_notebook: Write) -> None:
    path = write_notebook(STEM, *CELLS)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["cells"][4] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "5"}], "execution_count": 3}
    content["cells"][5]["attachments"] = {"map.png": {"image/png": "AAAA"}}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert check_notebook(path) == [
        f"{STEM}.ipynb, cell 5: it holds outputs; run `segmentkit tidy`",
        f"{STEM}.ipynb, cell 5: it holds an execution count; run `segmentkit tidy`",
        f"{STEM}.ipynb, cell 6: it holds an attached picture; draw it in code",
    ]


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n{}", "[]", '{"worksheets": []}', '{"cells": [{"source": ""}]}'])
def test_what_is_no_notebook_is_said_so_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "03_clustering.ipynb"
    path.write_text(text, encoding="utf-8")
    [offence] = check_series([path])
    assert re.fullmatch(r"03_clustering.ipynb is not a notebook \(.*\); restore or remove it", offence)
    with pytest.raises(ParameterError, match=r"03_clustering.ipynb is not a notebook"):
        tidy(path)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_notebook_cut_short_is_an_offence_not_a_crash(write_notebook: Write, count: int) -> None:
    offences = check_notebook(write_notebook(STEM, *CELLS[:count]))
    assert f"{STEM}.ipynb: {count} cells; add a header, parameters and open_run" in offences


# --- the series -----------------------------------------------------------------------------------------------


def as_stage(stem: str, parameters: str) -> list[tuple[str, ...]]:
    number, title = stem.split("_")
    header = HEADER.replace("# 03 · Clustering", f"# {number} · {title}")
    return [("markdown", header), ("code", parameters, "parameters"), ("code", OPENING.replace(STEM, stem)), *CELLS[3:]]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("seed: int = 7  # Said in other words", []),
        (
            "seed: int = 8  # Seed",
            [
                "parameter seed is int = 7 in 03_a.ipynb, int = 8 in 04_b.ipynb; "
                "give it one type and default, or another name"
            ],
        ),
        (
            "seed: float = 7  # Seed",
            [
                "parameter seed is int = 7 in 03_a.ipynb, float = 7 in 04_b.ipynb; "
                "give it one type and default, or another name"
            ],
        ),
    ],
)
def test_a_parameter_means_the_same_in_every_notebook(write_notebook: Write, other: str, expected: list[str]) -> None:
    run = 'run: str = ""  # Run folder\n'
    first = write_notebook("03_a", *as_stage("03_a", run + "seed: int = 7  # Seed"))
    second = write_notebook("04_b", *as_stage("04_b", run + other))
    assert check_series([first, second]) == expected


def test_the_series_lists_the_offences_of_each(write_notebook: Write) -> None:
    good, bad = write_notebook(STEM, *CELLS), write_notebook("04_bad", *CELLS)
    assert check_series([good]) == []
    assert check_series([good, bad]) == check_notebook(bad) != []


# --- tidying --------------------------------------------------------------------------------------------------


@pytest.fixture
def worn(write_notebook: Write) -> Path:
    """A good notebook as Lab saves it after a run."""
    path = write_notebook(STEM, *CELLS)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content["metadata"] = {"kernelspec": {"name": "my-env"}, "language_info": {"version": "3.11.2"}, "toc": {}}
    content["nbformat_minor"] = 4
    for number, cell in enumerate(content["cells"]):
        cell["id"] = f"random-{number}"
        cell["metadata"] |= {"scrolled": True, "jupyter": {"outputs_hidden": True}}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": number, "outputs": [{"output_type": "stream", "text": "secret@example.com"}]}
        else:
            cell["attachments"] = {"gone.png": {"image/png": "AAAA"}}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_tidying_leaves_source_and_tags_and_nothing_else(worn: Path) -> None:
    assert tidy(worn) is True
    content = json.loads(worn.read_text(encoding="utf-8"))
    assert content["metadata"] == METADATA
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert [cell["id"] for cell in content["cells"]] == [f"cell-0{number}" for number in range(1, 9)]
    assert [cell["metadata"] for cell in content["cells"]] == [{}, {"tags": ["parameters"]}, *[{}] * 6]
    assert ["".join(cell["source"]) for cell in content["cells"]] == [cell[1] for cell in CELLS]
    assert all(line.endswith("\n") for cell in content["cells"] for line in cell["source"][:-1])
    for cell in content["cells"]:
        extra = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | extra
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "secret" not in worn.read_text(encoding="utf-8")


def test_a_tidy_notebook_is_valid_keeps_the_rules_and_is_not_written_again(worn: Path) -> None:
    import nbformat

    tidy(worn)
    as_lab_reads_it = nbformat.read(worn, as_version=4)
    nbformat.validate(as_lab_reads_it)
    assert nbformat.writes(as_lab_reads_it) + "\n" == worn.read_text(encoding="utf-8")
    assert check_notebook(worn) == []
    before = worn.stat().st_mtime_ns
    assert tidy(worn) is False
    assert worn.stat().st_mtime_ns == before


def test_tidying_writes_plain_text_with_unix_line_ends(worn: Path) -> None:
    tidy(worn)
    text = worn.read_bytes()
    assert text.startswith(b'{\n "cells": [\n  {\n')
    assert text.endswith(b"}\n")
    assert "·".encode() in text
    worn.write_bytes(text.replace(b"\n", b"\r\n"))
    assert tidy(worn) is True
    assert worn.read_bytes() == text


def test_a_picture_the_text_still_shows_is_not_lost(worn: Path) -> None:
    content = json.loads(worn.read_text(encoding="utf-8"))
    content["cells"][3]["source"] = "![map](attachment:gone.png)"
    worn.write_text(json.dumps(content), encoding="utf-8")
    tidy(worn)
    assert json.loads(worn.read_text(encoding="utf-8"))["cells"][3]["attachments"] == {
        "gone.png": {"image/png": "AAAA"}
    }
    assert check_notebook(worn) == [f"{STEM}.ipynb, cell 4: it holds an attached picture; draw it in code"]

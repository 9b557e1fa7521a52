"""Text in columns: header rows, footers, encodings, names; and every line of a file accounted for."""

import random
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bad_files import GOOD, HEADER, ROW
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.headers import distinct_names
from segmentkit.machinery.opened import Opened
from segmentkit.machinery.opening import open_files
from segmentkit.machinery.runs import connect

Opener = Callable[..., Opened]


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


@pytest.fixture
def open_text(connection, tmp_path) -> Opener:
    def open_it(content: str | bytes, **options: Any) -> Opened:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "a.csv").write_bytes(data)
        (one,) = open_files(connection, "a.csv", str(tmp_path), options)
        return one

    return open_it


def rows(one: Opened) -> pd.DataFrame:
    return one.table.execute().sort_values("row_number").set_index("row_number")


# --- header rows, titles, footers -----------------------------------------------------------------------------

QUALTRICS = (
    "StartDate,Q1,Q2\n"
    'Start Date,"Which of these,\nif any?",Why?\n'
    '"{""ImportId"":""startDate""}","{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"\n'
    '2025-01-01,Web,"a\n\nb"\n2025-01-02,Shop,c\n'
)


def test_of_three_header_rows_the_first_names_and_the_second_labels(open_text) -> None:
    one = open_text(QUALTRICS, header_rows=3)
    assert rows(one)["Q1"].to_dict() == {1: "Web", 2: "Shop"}
    assert one.labels == {"StartDate": "Start Date", "Q1": "Which of these, if any?", "Q2": "Why?"}
    assert "3 header rows: the data begin after them" in one.notes


def test_two_header_rows_are_joined_to_question_and_choice(open_text) -> None:
    text = "Respondent ID,Which do you use?,,,Why?,Age\n,Web,Shop,Other,Open-Ended Response,Response\n7,x,,x,cheap,40\n"
    one = open_text(text, join_header_rows=True)
    assert rows(one).columns.tolist() == [
        "Respondent ID",
        "Which do you use?: Web",
        "Which do you use?: Shop",
        "Which do you use?: Other",
        "Why?",
        "Age",
    ]
    assert rows(one).loc[1].fillna("").tolist() == ["7", "x", "", "x", "cheap", "40"]
    with pytest.raises(ParameterError, match="header_rows == 3; it must be a whole number from 1, and 2 with join"):
        open_text(text, join_header_rows=True, header_rows=3)


def test_a_title_above_semicolons_is_told_too(open_text) -> None:
    with pytest.raises(DataError, match="state skip_rows = 1"):
        open_text("Sales\n\ncustomer;order;paid\n1;2;3,50\n")


def test_titles_above_the_header_are_skipped_and_blank_lines_are_none(open_text) -> None:
    text = 'Campaign report\n"1 June, 2025"\n\n' + GOOD
    assert rows(open_text(text, skip_rows=2)).to_dict("list") == rows(open_text("\n\n" + GOOD)).to_dict("list")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("blank", ["", ",,", '""', " "])
def test_a_footer_after_a_blank_row_is_dropped_and_counted(open_text, ends: str, blank: str) -> None:
    text = HEADER + '1,"street\n\n12",5\n' + ROW + blank + '\n"Orders, all"\nCopyright\n\nConfidential,x,y,z\n'
    one = open_text(text.replace("\n", ends), footer=True)
    assert rows(one).index.tolist() == [1, 2]
    assert one.notes == ("dropped 3 footer lines after the blank row",)
    assert len(one.unreadable) == 0


def test_a_footer_may_begin_with_a_text_instead(open_text) -> None:
    one = open_text(HEADER + '1,"x\nTotal",5\n' + ROW + '"Total",,10\n', footer="Total")
    assert rows(one).index.tolist() == [1, 2]
    assert one.notes == ("dropped 1 footer lines from the line that begins with 'Total'",)


def test_without_a_footer_nothing_is_dropped(open_text) -> None:
    for text in (GOOD, GOOD + "\n", GOOD + "\n\n"):
        one = open_text(text, footer=True)
        assert (rows(one).index.tolist(), one.notes) == ([1, 2], ())


# --- names ----------------------------------------------------------------------------------------------------


def test_names_are_told_apart_when_that_is_asked_for(open_text) -> None:
    one = open_text(" Name ,name,NAME (2),,row_number,\n1,2,3,4,5,6\n", number_duplicates=True)
    assert list(one.table.columns[1:]) == ["Name", "name (3)", "NAME (2)", "unnamed 4", "row_number (2)", "unnamed 6"]
    assert rows(one).loc[1].tolist() == ["1", "2", "3", "4", "5", "6"]
    assert "column 4 is called 'unnamed 4' here: no header" in one.notes


@given(st.lists(st.sampled_from(["a", "A", "a (2)", "a (3)", "", "row_number", "unnamed 2"]), min_size=1, max_size=8))
def test_numbered_names_never_collide(cells: list[str]) -> None:
    names, _ = distinct_names("f", cells, number=True)
    assert len({name.lower() for name in [*names, "row_number"]}) == len(cells) + 1
    first = cells[0]
    assert names[0] == first or first in ("", "row_number")


@pytest.mark.parametrize("header", ['"a\nb",c', "\ufeffa b,c", "a\u00a0b , c"])
def test_breaks_marks_and_spaces_in_names_do_not_matter(open_text, header: str) -> None:
    assert open_text(header + "\n1,2\n").table.columns == ("row_number", "a b", "c")


def test_the_delimiter_is_the_one_outside_the_quotes(open_text) -> None:
    assert open_text('"a, b, c, d";"e"\n1;2\n').table.columns == ("row_number", "a, b, c, d", "e")
    assert open_text("a^b\n1^2\n", delimiter="^").table.columns == ("row_number", "a", "b")


def test_a_file_of_one_column_keeps_its_blank_lines_as_rows(open_text) -> None:
    one = open_text("a\n1\n\n3,4\n5\n")
    assert rows(one)["a"].fillna("").to_dict() == {1: "1", 2: "", 4: "5"}
    assert one.unreadable["row_number"].tolist() == [3]


# --- encodings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "stated"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
        ("latin-1", "latin-1"),
        ("utf-8-sig", "cp1252"),
        ("shift_jis", "shift_jis"),
    ],
)
def test_a_mark_decides_and_then_what_is_stated(open_text, encoding: str, stated: str) -> None:
    letters = "東京" if encoding == "shift_jis" else "Köln"
    one = open_text((HEADER + f"{letters},A,5\n1,A\n" + ROW).encode(encoding), encoding=stated)
    assert rows(one)["customer"].to_dict() == {1: letters, 3: "1"}
    assert one.unreadable["row_number"].tolist() == [2]
    assert ("byte order mark removed" in one.notes) == (encoding in ("utf-8-sig", "utf-16"))


def test_two_odd_lines_do_not_make_another_encoding_of_a_whole_file(open_text) -> None:
    one = open_text((HEADER + "Köln,A,5\n").encode() + b"K\xf6ln,A,5\n" * 2 + "Bär,A,5\n".encode() * 2)
    assert rows(one).index.tolist() == [1, 4, 5]


# --- nothing lost ---------------------------------------------------------------------------------------------


def test_three_megabytes_in_one_value_are_set_aside_and_what_follows_is_kept(open_text) -> None:
    one = open_text(HEADER + "1," + "x" * 9_000_000 + ",5\n" + "1,A\n" + ROW * 3)
    assert rows(one).index.tolist() == [3, 4, 5]
    assert one.unreadable["row_number"].tolist() == [1, 2]


def test_rows_of_a_large_file_are_all_there_under_their_numbers(open_text) -> None:
    """Blank lines, breaks within quotes and bad lines together, in a file that the engine reads in pieces."""
    chance, lines, bad = random.Random(3), [], []
    for number in range(1, 400_001):
        kind = chance.random()
        lines += [""] * (kind < 0.0005) + [""] * (kind > 0.9997)
        bad += [number] if kind > 0.9995 else []
        middle = '"two\n\nlines"' if 0.5 < kind < 0.505 else "some words to make it long"
        lines.append(f"{number},x" if kind > 0.9995 else f"{number},{middle},5.00")
    one = open_text(HEADER + "\n".join(lines) + "\n")
    assert one.unreadable["row_number"].tolist() == bad
    assert one.table.count().execute() == 400_000 - len(bad)
    misnumbered = one.table.row_number.cast("string") != one.table.customer
    assert one.table.filter(misnumbered).count().execute() == 0


FIELD = st.text(st.sampled_from('ab,"\n 1ö'), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=12),
    ragged=st.lists(st.integers(0, 11), max_size=4),
    blanks=st.lists(st.integers(0, 11), max_size=4),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_written_by_the_rule_is_read_as_written(open_text, table, ragged, blanks, ends) -> None:
    lines = []
    for place, row in enumerate(table):
        lines += [""] * blanks.count(place)
        fields = ['"' + field.replace('"', '""').replace("\n", ends) + '"' for field in row]
        lines.append(",".join(fields[:2] if place in ragged else fields))
    one = open_text(ends.join(["a,b,c", *lines, ""]))
    kept = {n: row for n, row in enumerate(table, 1) if n - 1 not in ragged}
    found = rows(one).fillna("")
    assert {n: tuple(row) for n, *row in found.itertuples()} == {
        n: tuple(field.replace("\n", ends) for field in row) for n, row in kept.items()
    }
    assert len(found) + len(one.unreadable) == len(table)


def test_a_long_header_is_no_trouble(open_text) -> None:
    names = [f"question {n}: " + "how much do you agree " * 20 for n in range(300)]
    one = open_text(",".join(names) + "\n" + ",".join("1" * 300) + "\n")
    assert len(one.table.columns) == 301

"""Workbooks: cells as text without loss, sheets, headers, and what a spreadsheet hides."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest

from bad_files import HEAD, book, inside
from segmentkit.errors import DataError
from segmentkit.machinery.opened import Opened
from segmentkit.machinery.opening import open_files
from segmentkit.machinery.runs import connect

Opener = Callable[..., Opened]


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


@pytest.fixture
def open_book(connection, tmp_path) -> Opener:
    def open_it(data: bytes, path: str = "a.xlsx", **options: Any) -> Opened:
        (tmp_path / "a.xlsx").write_bytes(data)
        (one,) = open_files(connection, path, str(tmp_path), options)
        return one

    return open_it


def rows(one: Opened) -> pd.DataFrame:
    return one.table.execute().sort_values("row_number").set_index("row_number")


def test_cells_become_text_without_loss(open_book) -> None:
    cells = ("007", 7, 5.5, 5.0, 0.1, True, date(2025, 1, 31), datetime(2025, 1, 31, 9, 5, 7), 45000, "=x", None)
    names = [f"c{place}" for place in range(len(cells))]
    one = open_book(book(names, cells, change=lambda made: setattr(made.active["J2"], "data_type", "s")))
    assert rows(one).loc[1].fillna("(none)").tolist() == [
        "007",
        "7",
        "5.5",
        "5",
        "0.1",
        "true",
        "2025-01-31",
        "2025-01-31 09:05:07",
        "45000",  # a day of a spreadsheet's own counting stays a number: nothing says that it is a day
        "=x",
        "(none)",
    ]


def test_a_cell_that_is_a_number_is_written_as_the_source_says(open_book) -> None:
    data = book(HEAD, (1, 1.125), (2, "1,5"), (3, 7.0))
    paid = rows(open_book(data, decimal=","))["paid"]
    assert paid.to_list() == ["1,125", "1,5", "7"]


def test_numbers_that_excel_had_rounded_are_told(open_book) -> None:
    one = open_book(book(HEAD, (12345678901234567, 5), (123456789012345, 6)))
    assert "column 'customer': 1 numbers of 16 digits or more, rounded by Excel; export ids as text" in one.notes
    assert rows(one)["customer"].tolist() == ["12345678901234570", "123456789012345"]


def test_row_numbers_are_those_of_the_sheet_below_its_header(open_book) -> None:
    one = open_book(book(("Orders of June",), (), HEAD, (1, 5), (), (2, 6)), skip_rows=1)
    assert rows(one)["customer"].to_dict() == {1: "1", 3: "2"}


def test_title_lines_that_nobody_stated_are_told_and_no_row_is_cut(open_book) -> None:
    with pytest.raises(DataError, match="state skip_rows = 2"):
        open_book(book(("Orders of June",), ("as of July",), (), [*HEAD, "till"], (1, 5, 2, 3)))


def test_the_only_sheet_with_content_that_is_shown_is_taken(open_book) -> None:
    def hide(made: Any) -> None:
        made["Lists"].sheet_state = "hidden"

    data = book(HEAD, (1, 5), change=hide, Empty=[], Lists=[("x",), ("y",)])
    one = open_book(data)
    assert (one.file, one.notes[0]) == ("a.xlsx", "sheet 'Orders'")
    assert open_book(data, "a.xlsx::Lists").file == "a.xlsx::Lists"
    assert open_book(data, sheet="Lists").table.columns == ("row_number", "x")


def test_merged_header_cells_are_joined_with_the_row_below(open_book) -> None:
    def merge(made: Any) -> None:
        made.active.merge_cells("A1:A2")
        made.active.merge_cells("B1:C1")

    data = book(("Who", "Which?", None, "Age"), (None, "Web", "Shop", None), (7, "x", None, 40), change=merge)
    one = open_book(data, join_header_rows=True)
    assert rows(one).columns.tolist() == ["Who", "Which?: Web", "Which?: Shop", "Age"]
    assert "merged cells: only the first of each holds its value" in one.notes
    assert open_book(data).table.columns == ("row_number", "Who", "Which?", "unnamed 3", "Age")


def test_a_footer_of_a_sheet_is_dropped_and_counted(open_book) -> None:
    table = (HEAD, (1, 5), (2, 6), (), ("Total", 11), ("Confidential",))
    one = open_book(book(*table), footer=True)
    assert (rows(one).index.tolist(), one.notes[1]) == ([1, 2], "dropped 2 footer rows")
    marked = open_book(book(HEAD, (1, 5), ("Total", 5)), footer="Total")
    assert (rows(marked).index.tolist(), marked.notes[1]) == ([1], "dropped 1 footer rows")


def test_labels_of_a_survey_come_from_the_second_row(open_book) -> None:
    one = open_book(book(("Q1", "Q2"), ("Which?", "Why?"), ('{"ImportId":"1"}', ""), ("Web", "x")), header_rows=3)
    assert one.labels == {"Q1": "Which?", "Q2": "Why?"}
    assert rows(one)["Q1"].to_dict() == {1: "Web"}


def test_a_size_that_the_file_states_wrongly_cuts_nothing(open_book) -> None:
    data = inside(book(HEAD, (1, 5), (2, 6)), b'ref="A1:B3"', b'ref="A1:A1"')
    assert rows(open_book(data))["paid"].tolist() == ["5", "6"]


def test_a_formula_that_was_computed_is_its_value_and_an_empty_text_is_none(open_book) -> None:
    data = book(HEAD, (1, "=2+3"), ("=A2", '=IF(A2=1,"","x")'), ("=A2", "=1+1"))
    data = inside(data, b"<f>2+3</f><v />", b"<f>2+3</f><v>5</v>")
    data = inside(data, b"<f>A2</f><v />", b"<f>A2</f><v>1</v>")
    data = inside(data, b'<c r="B3"><f>', b'<c r="B3" t="str"><f>')
    one = open_book(data)
    assert rows(one).fillna("(none)").to_dict("index") == {
        1: {"customer": "1", "paid": "5"},
        2: {"customer": "1", "paid": "(none)"},
    }
    assert one.unreadable[["row_number", "column"]].values.tolist() == [[3, "paid"]]


def test_an_error_is_set_aside_with_its_column_and_value(open_book) -> None:
    one = open_book(book(HEAD, ("#N/A", 5), ("#1 fan", 6)))
    assert one.unreadable[["row_number", "column", "value"]].values.tolist() == [[1, "customer", "#N/A"]]
    assert rows(one)["customer"].tolist() == ["#1 fan"]

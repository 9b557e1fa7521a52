"""One row a customer: what each of several rows adds, and the rows that contradict each other."""

from typing import Any

import pandas as pd

from segmentkit.analysis.customer_rows import JOINED, one_row
from segmentkit.contracts import Formats, RawTable
from segmentkit.machinery.runs import connect


def made(rows: list[dict[str, Any]]) -> pd.DataFrame:
    filled = [
        {"file": "a.csv", "part": 0, "own_id": True, "left_out": None, "age": None, "city": None} | row
        | {"row_number": number}
        for number, row in enumerate(rows, 1)
    ]  # fmt: skip
    columns = dict.fromkeys(("customer_id", "file", "left_out", "age", "city"), "str")
    table = connect().create_table("people", pd.DataFrame(filled).astype(columns))
    raw = RawTable(table, pd.DataFrame(), Formats(), {"age": "demographic", "city": "geographic"})
    return one_row(raw).table.order_by("row_number").execute()


def test_each_column_comes_from_the_first_row_that_has_it() -> None:
    rows = [{"customer_id": "x", "age": "30"}, {"customer_id": "x", "city": "Bonn", "file": "b.csv", "part": 1}]
    found = made([*rows, {"customer_id": "y", "city": "Ulm"}])
    assert found["left_out"].isna().tolist() == [True, False, True]
    assert found["left_out"].to_list()[1] == JOINED
    assert (found["age"].to_list()[0], found["city"].to_list()[0], found["city"].to_list()[2]) == ("30", "Bonn", "Ulm")


def test_the_first_part_of_the_source_goes_before() -> None:
    found = made(
        [{"customer_id": "x", "city": "Ulm", "file": "b.csv", "part": 1}, {"customer_id": "x", "city": "Bonn"}]
    )
    assert found["left_out"].to_list()[0] == JOINED
    assert found["city"].to_list()[1] == "Bonn"


def test_rows_without_an_id_of_their_own_are_joined_in_one_file_too() -> None:
    found = made([{"customer_id": "x", "own_id": False, "age": " "}, {"customer_id": "x", "own_id": False, "age": "4"}])
    assert (found["left_out"].isna().sum(), found["age"].to_list()[0]) == (1, "4")


def test_two_rows_under_one_id_of_a_file_are_left_to_the_audit() -> None:
    found = made([{"customer_id": "x", "age": "30"}, {"customer_id": "x", "age": "31"}, {"customer_id": None}])
    assert found["left_out"].isna().all()
    assert found["age"].to_list()[:2] == ["30", "31"]


def test_a_row_that_is_left_out_takes_nobody_along() -> None:
    found = made([{"customer_id": "x", "left_out": "test"}, {"customer_id": "x", "age": "5", "file": "b.csv"}])
    assert found["left_out"].fillna("").to_list() == ["test", ""]

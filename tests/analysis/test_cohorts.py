"""Cohorts: a hand example with a month without buyers and a last month that is not over."""

import itertools
from datetime import date

import pandas as pd
import pytest

from segmentkit.analysis import features
from segmentkit.analysis.cohorts import retention
from segmentkit.analysis.features import Window
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
PURCHASES = (
    ("anna", "2024-01-05"),
    ("anna", "2024-01-09"),  # twice in a month is one buyer
    ("anna", "2024-03-02"),
    ("bert", "2024-01-07"),
    ("cleo", "2024-02-03"),
    ("cleo", "2024-03-03"),
    ("dora", "2024-03-10"),
    ("ewan", "2024-03-25"),  # after the window
)


def cohorts(start: date, as_of: date) -> list[tuple]:
    lines = pd.DataFrame(PURCHASES, columns=["customer_id", "ordered_at"]).astype({"ordered_at": "datetime64[s]"})
    lines = lines.assign(order_id="1", amount=5.0).sample(frac=1.0, random_state=2)
    table = retention(CONNECTION.create_table(f"cohorts_{next(NUMBER)}", lines), Window(start, as_of))
    assert table.columns.tolist() == ["cohort", "months_after", "customers", "buyers", "share", "complete"]
    return [(f"{row.cohort:%b}", *row[2:]) for row in table.itertuples()]


def test_zero_months_are_shown_and_the_unfinished_month_is_marked() -> None:
    assert cohorts(date(2024, 1, 1), date(2024, 3, 20)) == [
        ("Jan", 0, 2, 2, 1.0, True),
        ("Jan", 1, 2, 0, 0.0, True),
        ("Jan", 2, 2, 1, 0.5, False),
        ("Feb", 0, 1, 1, 1.0, True),
        ("Feb", 1, 1, 1, 1.0, False),
        ("Mar", 0, 1, 1, 1.0, False),
    ]


def test_a_month_that_is_over_is_complete() -> None:
    complete = {row[:2]: row[-1] for row in cohorts(date(2024, 1, 1), date(2024, 4, 1))}
    assert complete == dict.fromkeys(complete, True)


def test_a_cohort_whose_month_began_before_the_data_is_never_complete() -> None:
    complete = {row[:2]: row[-1] for row in cohorts(date(2024, 1, 4), date(2024, 4, 1))}
    assert complete == {
        ("Jan", 0): False,
        ("Jan", 1): False,
        ("Jan", 2): False,
        ("Feb", 0): True,
        ("Feb", 1): True,
        ("Mar", 0): True,
    }


def test_months_are_counted_across_the_turn_of_the_year() -> None:
    lines = pd.DataFrame(
        {
            "customer_id": ["a", "a"],
            "ordered_at": pd.to_datetime(["2023-11-30 23:59", "2024-02-01 00:00"]).astype("datetime64[s]"),
        }
    )
    found = retention(CONNECTION.create_table("turn", lines), Window(date(2023, 11, 1), date(2024, 3, 1)))
    assert found[["months_after", "buyers"]].values.tolist() == [[0, 1], [1, 0], [2, 0], [3, 1]]
    assert found["complete"].all()


def test_large_tables_are_counted_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cohorts(date(2024, 1, 1), date(2024, 3, 20))
    monkeypatch.setattr(features, "ROWS_AT_ONCE", 2)
    assert cohorts(date(2024, 1, 1), date(2024, 3, 20)) == whole

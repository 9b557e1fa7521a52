"""The customer table of whatever there is: windows without purchases, totals, and who counts as a customer."""

import itertools
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import customer_table, engagement, features
from segmentkit.analysis.customer_table import Tables
from segmentkit.analysis.features import Window
from segmentkit.contracts import TABLES
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
PEOPLE = pd.DataFrame(
    {
        "customer_id": ["b", "a", "c"],
        "orders": [4.0, 2.0, 0.0],
        "sales": [100.0, 30.0, 0.0],
        "first_ordered_at": pd.to_datetime(["2024-01-01", "2025-01-11", None]),
        "last_ordered_at": pd.to_datetime(["2025-01-31 18:00", "2025-01-11 00:00", None]),
        "visits": ["3", "4.5", None],
        "style": ["bold", "calm", "calm"],
    }
)
BEHAVIOUR = {"visits": "behavioural", "style": "behavioural"}


def empty(name: str) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype="object") for column in TABLES[name].names})


def contacts(*rows: tuple[str, str]) -> ibis.Table:
    table = pd.DataFrame(rows, columns=["customer_id", "at"]).astype({"at": "datetime64[s]"})
    return CONNECTION.create_table(f"known_{next(NUMBER)}", table.assign(channel="web", event="visit"))


def tables(**given: object) -> Tables:
    nothing = {"transactions": None, "contacts": None, "customers": empty("customers"), "answers": empty("survey")}
    return Tables(**(nothing | given))


VISITS = contacts(("a", "2025-01-05 10:00"), ("d", "2025-02-09 10:00"))
ANSWERS = pd.DataFrame({"customer_id": ["e", "a"], "at": pd.to_datetime(["2025-03-01", "2025-03-02"]), "q": [1.0, 0.0]})


@pytest.mark.parametrize(
    ("given", "start", "as_of"),
    [
        ({"contacts": VISITS}, date(2025, 1, 5), date(2025, 2, 10)),
        # contacts go before the day of the export
        ({"contacts": VISITS, "extracted_on": "2025-04-01"}, date(2025, 1, 5), date(2025, 2, 10)),
        ({"customers": PEOPLE, "extracted_on": "2025-04-01"}, date(2024, 1, 1), date(2025, 4, 2)),
        ({"customers": PEOPLE}, date(2024, 1, 1), date(2025, 2, 1)),
        ({"customers": PEOPLE, "contacts": VISITS}, date(2025, 1, 5), date(2025, 2, 10)),
        ({"answers": ANSWERS}, date(2025, 3, 3), date(2025, 3, 3)),
        ({"answers": ANSWERS.drop(columns="at"), "extracted_on": "2025-04-01"}, date(2025, 4, 2), date(2025, 4, 2)),
    ],
)
def test_the_window_comes_from_the_data_and_never_from_today(given: dict, start: date, as_of: date) -> None:
    assert tables(**given).window() == Window(start, as_of)


def test_an_order_after_the_last_contact_is_not_cut_off() -> None:
    late = tables(customers=PEOPLE, contacts=contacts(("a", "2025-01-20 10:00")))
    assert late.window().as_of == date(2025, 2, 1)


def test_without_any_day_the_run_stops_and_names_as_of() -> None:
    for given in ({"answers": ANSWERS.drop(columns="at")}, {"customers": PEOPLE[["customer_id", "sales"]]}):
        with pytest.raises(ParameterError, match=r"as_of == ''.*extracted_on"):
            tables(**given).window()
        assert tables(**given).window("2025-05-01") == Window(date(2025, 5, 1), date(2025, 5, 1))


@pytest.mark.parametrize(
    ("given", "as_of", "message"),
    [
        ({"customers": PEOPLE}, "2025-01-31", "totals cannot be cut; choose 2025-02-01 or later"),
        ({"contacts": VISITS}, "2025-02-11", "the data run from 2025-01-05 to 2025-02-09; choose up to 2025-02-10"),
        ({"contacts": VISITS}, "2025-01-05", "the data run from 2025-01-05"),
        ({"customers": PEOPLE, "extracted_on": "2025-04-01"}, "2025-04-03", "choose up to 2025-04-02"),
        ({"contacts": VISITS}, "soon", "as_of == 'soon'; it must be a day"),
    ],
)
def test_a_day_the_data_do_not_allow_is_refused(given: dict, as_of: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        tables(**given).window(as_of)


def test_looking_back_needs_so_many_days() -> None:
    assert tables(contacts=VISITS).window("", [7]) == Window(date(2025, 2, 3), date(2025, 2, 10))
    with pytest.raises(ParameterError, match=r"look_back_days == \[90\]"):
        tables(contacts=VISITS).window("", [90])


def test_totals_become_features_by_hand() -> None:
    table = tables(customers=PEOPLE, attributes=BEHAVIOUR).features(Window(date(2024, 1, 1), date(2025, 2, 1)), None)
    nan = np.nan
    expected = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "recency_days": [21.0, 1.0, nan],
            "frequency": [2.0, 4.0, 0.0],
            "monetary": [30.0, 100.0, 0.0],
            "basket_value": [15.0, 25.0, nan],
            "tenure_days": [21.0, 397.0, nan],
            "visits": [4.5, 3.0, nan],  # a behavioural attribute that is a number; words stay beside
        }
    )
    assert_frame_equal(table, expected)


def test_everybody_in_any_table_is_a_customer() -> None:
    given = tables(customers=PEOPLE, contacts=VISITS, answers=ANSWERS)
    seen = given.window()
    table = given.features(seen, engagement.build(VISITS, seen))
    assert table["customer_id"].tolist() == ["a", "b", "c", "d", "e"]
    # d was seen by the contacts, b was not: nobody can tell
    assert table["engagement_web_visit_count"].fillna(-1).tolist() == [1, -1, -1, 1, -1]
    assert table["monetary"].isna().tolist() == [False, False, False, True, True]


def test_a_survey_alone_is_a_list_of_customers() -> None:
    table = tables(answers=ANSWERS).features(Window(date(2025, 3, 3), date(2025, 3, 3)), None)
    assert table.values.tolist() == [["a"], ["e"]]
    assert customer_table.summary(table).empty
    with pytest.raises(DataError, match="no customer in customers, contacts or survey"):
        tables().features(Window(date(2025, 3, 3), date(2025, 3, 3)), None)


def test_with_purchases_everything_is_as_the_purchases_say() -> None:
    lines = pd.DataFrame({"customer_id": ["x", "y"], "order_id": ["1", "2"], "amount": [5.0, 7.0]})
    lines["ordered_at"] = pd.to_datetime(["2025-01-05 10:00", "2025-01-09 10:00"])
    bought = CONNECTION.create_table(f"known_{next(NUMBER)}", lines)
    given = tables(transactions=bought, contacts=VISITS, customers=PEOPLE, extracted_on="2025-04-01")
    seen = given.window()
    assert seen == features.window(bought)
    assert_frame_equal(given.features(seen, engagement.build(VISITS, seen)), features.build(bought, seen))
    assert given.hours(seen).columns.tolist() == ["weekday", "hour", "orders"]
    assert given.sentence(seen) == "Purchases from 2025-01-05 up to, not including, 2025-01-10: 5 days."


def test_what_the_window_was_made_from_is_said() -> None:
    given = tables(customers=PEOPLE, answers=ANSWERS)
    told = given.sentence(given.window())
    assert "from customers, survey" in told
    assert "orders, sales, first_ordered_at, last_ordered_at are the file's own" in told

"""Engagement: hand-computed counts, rates and times, and what is missing rather than zero."""

import itertools
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import engagement, features
from segmentkit.analysis.features import Window
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
SEEN = Window(date(2025, 1, 6), date(2025, 2, 3))  # four whole weeks, Monday to Sunday
ROWS = [
    # customer, local time, channel, event, campaign
    ("anna", "2025-01-06 08:00", "email", "delivery", "one"),
    ("anna", "2025-01-06 09:00", "email", "open", "one"),
    ("anna", "2025-01-06 09:05", "email", "open", "one"),  # the same message again
    ("anna", "2025-01-20 08:00", "email", "delivery", "two"),
    ("anna", "2025-01-20 19:00", "Web shop", "visit", None),
    ("anna", "2025-02-03 10:00", "email", "open", "two"),  # on the as-of day: not seen
    ("bert", "2025-01-06 08:00", "email", "delivery", "one"),
    ("bert", "2025-01-20 08:00", "email", "delivery", "two"),
    ("cleo", "2025-01-01 23:30", "Web shop", "visit", None),  # before the window
    ("dora", "2025-01-10 02:00", "Web shop", "visit", None),
    ("dora", "2025-01-11 03:00", "Web shop", "visit", None),
    ("dora", "2025-01-19 12:00", "Web shop", "visit", None),
]


def contacts(rows: list[tuple] = ROWS) -> ibis.Table:
    table = pd.DataFrame(rows, columns=["customer_id", "at", "channel", "event", "campaign_id"])
    table = table.astype({"at": "datetime64[s]", "campaign_id": "str"}).sample(frac=1.0, random_state=1)
    return CONNECTION.create_table(f"contacts_{next(NUMBER)}", table)


@pytest.fixture(scope="module")
def built() -> pd.DataFrame:
    table = engagement.build(contacts(), SEEN)
    assert table is not None
    return table.set_index("customer_id")


def test_everybody_with_a_contact_before_the_day_has_a_row(built: pd.DataFrame) -> None:
    assert list(built.index) == ["anna", "bert", "cleo", "dora"]


def test_counts_are_of_the_window_and_zero_where_the_table_can_tell(built: pd.DataFrame) -> None:
    assert built["engagement_email_delivery_count"].tolist() == [2, 2, 0, 0]
    assert built["engagement_email_open_count"].tolist() == [2, 0, 0, 0]
    assert built["engagement_web_shop_visit_count"].tolist() == [1, 0, 0, 3]


def test_days_count_back_to_the_last_time_ever(built: pd.DataFrame) -> None:
    nan = np.nan
    np.testing.assert_array_equal(built["days_since_last_visit"], [14, nan, 33, 15])
    np.testing.assert_array_equal(built["days_since_last_open"], [28, nan, nan, nan])
    np.testing.assert_array_equal(built["days_since_last_activity"], [14, nan, 33, 15])


def test_weeks_and_parts_of_the_day_are_of_what_customers_did(built: pd.DataFrame) -> None:
    assert built["engagement_active_weeks"].tolist() == [2, 0, 0, 2]
    np.testing.assert_allclose(built["engagement_morning_share"], [2 / 3, np.nan, np.nan, 0])
    np.testing.assert_allclose(built["engagement_evening_share"], [1 / 3, np.nan, np.nan, 0])
    np.testing.assert_allclose(built["engagement_night_share"], [0, np.nan, np.nan, 2 / 3])
    assert built["engagement_favourite_part"].fillna("").tolist() == ["morning", "", "", "night"]


def test_a_tie_or_two_moments_are_no_favourite() -> None:
    rows = [("a", f"2025-01-{day:02d} {hour}:00", "web", "visit", None) for day, hour in ((7, 9), (8, 9), (9, 18))]
    tied = [("b", f"2025-01-{day:02d} {hour}:00", "web", "visit", None) for day, hour in ((7, 9), (8, 18))]
    table = engagement.build(contacts([*rows, *tied, *(("c", *row[1:]) for row in [*rows, rows[2]])]), SEEN)
    assert table["engagement_favourite_part"].fillna("none").tolist() == ["morning", "none", "none"]


def test_a_rate_is_of_distinct_messages_and_needs_a_delivery(built: pd.DataFrame) -> None:
    rate = built["engagement_email_open_rate"]
    assert rate[["cleo", "dora"]].isna().all()
    assert rate["bert"] < rate["anna"] <= 0.5  # one of two messages, opened twice
    assert not any("visit_rate" in name for name in built.columns)


def test_few_messages_are_drawn_to_the_rate_of_all_and_many_are_not() -> None:
    rng = np.random.default_rng(1)
    true = rng.beta(2, 2, 4000)
    of = pd.Series(np.where(np.arange(4000) < 2000, 2, 200))
    hits = pd.Series(rng.binomial(of, true))
    found = engagement.smoothed(hits, of)
    few, many = np.arange(4000) < 2000, np.arange(4000) >= 2000
    assert np.abs(found - true)[few].mean() < 0.8 * np.abs(hits / of - true)[few].mean()
    np.testing.assert_allclose(found[many], (hits / of)[many], atol=0.02)
    # a beta(2, 2) has the strength 4: one of one is (1 + 4 * 0.5) / 5
    one = engagement.smoothed(pd.concat([hits, pd.Series([1])]), pd.concat([of, pd.Series([1])])).iloc[-1]
    assert one == pytest.approx(0.6, abs=0.03)


def test_where_chance_explains_everything_all_have_the_common_rate() -> None:
    of = pd.Series([10] * 6)
    found = engagement.smoothed(pd.Series([3] * 6), of)
    assert found.tolist() == [0.3] * 6
    assert np.isnan(engagement.smoothed(pd.Series([0, 1]), pd.Series([0, 1])).iloc[0])
    assert engagement.smoothed(pd.Series([0, 0]), pd.Series([0, 0])).isna().all()


def test_clicks_of_ads_are_of_impressions() -> None:
    rows = [("a", "2025-01-07 10:00", "ads", "impression", "x"), ("a", "2025-01-07 10:01", "ads", "click", "x")]
    table = engagement.build(contacts([*rows, ("b", *rows[0][1:])]), SEEN)
    assert table["engagement_ads_click_rate"].notna().all()


def test_deliveries_alone_are_what_the_business_did() -> None:
    table = engagement.build(contacts([row for row in ROWS if row[3] == "delivery"]), SEEN)
    assert list(table.columns) == ["customer_id", "engagement_email_delivery_count", "days_since_last_delivery"]


def test_days_without_a_time_have_no_hours() -> None:
    rows = [("a", f"2025-01-{day:02d}", "web", "visit", None) for day in range(7, 20)]
    assert not any("share" in name for name in engagement.build(contacts(rows), SEEN).columns)
    assert engagement.by_local_time(contacts(rows), SEEN).empty


def test_hours_are_of_what_customers_did() -> None:
    hours = engagement.by_local_time(contacts(), SEEN)
    assert hours.values.tolist() == [[0, 9, 2], [0, 19, 1], [4, 2, 1], [5, 3, 1], [6, 12, 1]]


def test_without_contacts_in_the_window_there_is_no_engagement() -> None:
    early = Window(date(2024, 1, 1), date(2024, 2, 1))
    for table in (None, contacts()):
        assert engagement.build(table, early) is None
        assert "No engagement" in engagement.sentence(engagement.summary(table, early))


def test_the_rarest_kinds_become_no_columns_and_it_is_said() -> None:
    rows = [("a", "2025-01-07 10:00", "web", f"act {number}", None) for number in range(25)]
    table, counted = engagement.build(contacts(rows), SEEN), engagement.summary(contacts(rows), SEEN)
    assert sum(name.endswith("_count") for name in table.columns) == engagement.MOST_KINDS
    assert "20 commonest" in engagement.sentence(counted)


def test_kinds_that_differ_in_punctuation_share_one_column() -> None:
    rows = [
        ("a", "2025-01-07 10:00", channel, event, None)
        for channel, event in (("web", "form sent"), ("Web", "form-sent"))
    ]
    table = engagement.build(contacts(rows), SEEN)
    assert table["engagement_web_form_sent_count"].tolist() == [2]


def test_large_tables_are_built_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = engagement.build(contacts(), SEEN)
    monkeypatch.setattr(features, "ROWS_AT_ONCE", 3)
    assert_frame_equal(engagement.build(contacts(), SEEN), whole, check_exact=True)

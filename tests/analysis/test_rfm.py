"""RFM: equal customers score alike, better customers never score lower, and everybody has one named class."""

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentkit.analysis import rfm
from segmentkit.analysis.rules import decide
from segmentkit.errors import DataError, KitError, ParameterError

AMOUNTS = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=60)
BINS = st.integers(3, 7)
NAMES = [name for name, _, _ in rfm.CLASSES]


def customers(recency: list[float], frequency: list[float], monetary: list[float]) -> pd.DataFrame:
    ids = [f"C{i:04d}" for i in range(len(recency))]
    return pd.DataFrame({"customer_id": ids, "recency_days": recency, "frequency": frequency, "monetary": monetary})


# --- scores


def test_ten_customers_in_five_bins_fall_two_by_two() -> None:
    values = pd.Series([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    assert rfm.score(values, 5).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert rfm.score(values, 5, high_is_good=False).tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]


@pytest.mark.parametrize("high_is_good", [True, False])
def test_a_thousand_identical_customers_get_one_score(high_is_good: bool) -> None:
    assert rfm.score(pd.Series([7.0] * 1_000), 5, high_is_good=high_is_good).nunique() == 1


@given(values=AMOUNTS, bins=BINS, high_is_good=st.booleans())
def test_equal_values_score_alike_and_better_values_never_lower(values, bins: int, high_is_good: bool) -> None:
    table = pd.DataFrame({"value": values})
    table["score"] = rfm.score(table["value"], bins, high_is_good=high_is_good)
    assert table["score"].between(1, bins).all()
    assert (table.groupby("value")["score"].nunique() == 1).all()
    ordered = table.sort_values("value", ascending=high_is_good)["score"]
    assert ordered.is_monotonic_increasing


@given(values=AMOUNTS, bins=BINS, seed=st.integers(0, 1_000))
def test_neither_names_nor_order_of_customers_matter(values, bins: int, seed: int) -> None:
    plain = pd.Series(values)
    mixed = plain.sample(frac=1.0, random_state=seed)
    pd.testing.assert_series_equal(rfm.score(mixed, bins).sort_index(), rfm.score(plain, bins))


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [([10.0, 20.0], [1, 1, 2, 2, 3]), ([9.0, 10.0], [1, 2, 3, 3, 3]), ([-5.0, 500.0], [2, 2, 2, 2, 2])],
)
def test_own_cut_points_are_used_and_a_value_on_a_cut_belongs_below(cuts: list[float], expected: list[int]) -> None:
    assert rfm.score(pd.Series([9.0, 10, 11, 20, 21]), 3, cuts=cuts).tolist() == expected


@pytest.mark.parametrize("cuts", [[10.0], [10.0, 10.0], [20.0, 10.0], [1.0, 2.0, 3.0]])
def test_cut_points_that_cannot_be_used_are_refused(cuts: list[float]) -> None:
    with pytest.raises(ParameterError, match=r"cuts == \[.*\]; they must be 2 ascending numbers for 3 bins"):
        rfm.score(pd.Series([1.0, 2.0]), 3, cuts=cuts)


def test_a_missing_value_is_never_scored_as_the_best() -> None:
    # needs: score to refuse missing values; a gap after one order is missing and sorts above every cut
    with pytest.raises(KitError, match="missing"):
        rfm.score(pd.Series([1.0, 2.0, np.nan]), 3)


def test_cut_points_are_observed_values() -> None:
    values = pd.Series([1.0, 1, 1, 2, 50])
    assert rfm.quantile_cuts(values, 5).tolist() == [1, 1, 1, 2]
    assert rfm.score(values, 5).tolist() == [1, 1, 1, 4, 5]


# --- classes


@pytest.mark.parametrize("bins", range(2, 11))
def test_every_pair_of_scores_has_a_class(bins: int) -> None:
    grid = np.array(np.meshgrid(*[np.arange(bins)] * 2)).reshape(2, -1).T
    table = customers((bins - grid[:, 0]).tolist(), grid[:, 1].tolist(), grid[:, 1].tolist())
    found = rfm.classify(table, bins)
    assert set(zip(found["recency_score"], found["monetary_score"], strict=True)) == {
        (r, v) for r in range(1, bins + 1) for v in range(1, bins + 1)
    }
    assert set(found["rfm_class"]) <= set(NAMES)


@given(data=st.data(), bins=BINS)
@settings(deadline=None, max_examples=50)
def test_every_customer_has_exactly_one_named_class(data, bins: int) -> None:
    size = data.draw(st.integers(1, 40))
    days, orders, money = (
        data.draw(st.lists(st.integers(low, high).map(float), min_size=size, max_size=size))
        for low, high in ((1, 400), (1, 30), (-50, 900))
    )
    table = customers(days, orders, money)
    found = rfm.classify(table, bins)
    assert found["customer_id"].tolist() == table["customer_id"].tolist()
    assert found["rfm_class"].isin(NAMES).all()
    summary = rfm.class_summary(found, table)
    assert summary["customers"].sum() == size


@pytest.mark.parametrize(
    ("recency", "value", "name"),
    [
        (5, 5, "Champions"),
        (4, 4, "Champions"),
        (3, 5, "Loyal"),
        (5, 3, "Loyal"),
        (3, 3, "Loyal"),
        (5, 1, "New or returning"),
        (4, 2, "New or returning"),
        (3, 1, "Promising"),
        (2, 4, "Cannot lose"),
        (1, 5, "Cannot lose"),
        (2, 3, "At risk"),
        (1, 3, "At risk"),
        (2, 1, "Hibernating"),
        (1, 2, "Hibernating"),
    ],
)
def test_the_first_rule_that_fits_names_the_class(recency: int, value: int, name: str) -> None:
    every = [(r, v) for r in range(1, 6) for v in range(1, 6)]
    grid = customers([6.0 - r for r, _ in every], [float(v) for _, v in every], [float(v) for _, v in every])
    named = dict(zip(every, rfm.classify(grid)["rfm_class"], strict=True))
    assert named[recency, value] == name


def test_the_summary_keeps_the_order_of_the_rules_and_the_empty_classes() -> None:
    table = customers([1.0, 1.0, 300.0, 300.0], [9.0, 9.0, 1.0, 1.0], [90.0, 60.0, 30.0, 20.0])
    found = rfm.classify(table, 3)
    summary = rfm.class_summary(found, table)
    assert summary["rfm_class"].tolist() == NAMES
    assert summary["sales"].sum() == 200.0
    assert summary["share_of_sales"].sum() == pytest.approx(1.0)
    assert (summary["customers"] == 0).any()
    assert not summary[["customers", "sales", "share_of_customers", "share_of_sales"]].isna().any().any()
    sentence = rfm.sentence(summary)
    assert sentence.count("of customers") == (summary["customers"] > 0).sum()


# --- classes as conditions that hold for new customers


@pytest.mark.parametrize("bins", [2, 3, 4, 5, 7, 10])
def test_conditions_with_their_cut_points_give_the_classes_of_the_scores(bins: int) -> None:
    rng = np.random.default_rng(bins)
    money = np.r_[rng.lognormal(3, 1, 350).round(2), np.full(50, 20.0)]  # ties, and amounts that are no exact doubles
    table = customers(rng.integers(1, 400, 400), rng.integers(1, 12, 400), money)
    found = decide(rfm.conditions(table, bins), table)
    expected = rfm.classify(table, bins)
    assert found["segment_key"].tolist() == expected["rfm_class"].tolist()


def test_conditions_keep_the_cut_points_of_the_customers_they_were_made_from() -> None:
    rng = np.random.default_rng(1)
    table = customers(rng.integers(1, 400, 300), rng.integers(1, 12, 300), rng.lognormal(3, 1, 300))
    lapsed = table.tail(60).assign(recency_days=lambda one: one["recency_days"] + 400)
    again = decide(rfm.conditions(table), lapsed)["segment_key"]
    assert set(again) <= {"Cannot lose", "At risk", "Hibernating"}
    assert set(rfm.classify(lapsed)["rfm_class"]) & {"Champions", "New or returning"}, "cut anew, some would be fresh"


def test_classes_need_what_all_customers_have() -> None:
    with pytest.raises(DataError, match="monetary is missing for some customers; classes need what all have"):
        rfm.conditions(customers([1, 2], [1, 2], [1, np.nan]))


@pytest.mark.parametrize("value", [0.1, 123.45, -7.0, 1e-9, 1e22, 4 / 3, 98765.43210987654])
def test_a_number_in_sql_is_read_as_the_same_double(value: float) -> None:
    read = ibis.duckdb.connect().raw_sql(f"SELECT {rfm.sql_number(value)}").fetchone()[0]
    assert isinstance(read, float)
    assert read == value


# --- where not everybody has all three


def test_classes_are_made_of_those_who_have_all_three_and_the_rest_is_counted() -> None:
    table = customers([1.0, 5.0, np.nan], [9.0, 1.0, 0.0], [90.0, 5.0, 0.0])
    classes, summary, told = rfm.possible(table, 5)
    assert classes is not None
    assert summary is not None
    assert classes.equals(rfm.classify(table.iloc[:2], 5))
    assert summary["customers"].sum() == 2
    assert told.endswith("Customers without all three, left out: 1.")
    whole = rfm.possible(table.iloc[:2], 5)
    assert whole[2] == rfm.sentence(summary)


def test_without_one_of_the_three_it_is_said_what_would_make_classes_possible() -> None:
    classes, summary, told = rfm.possible(customers([1.0], [2.0], [3.0]).drop(columns="monetary"), 5)
    assert classes is summary is None
    assert "`orders`, `sales` and `last_ordered_at` in `customers`" in told

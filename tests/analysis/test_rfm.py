"""RFM: equal customers score alike, better customers never score lower, and everybody has one named class."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentkit.analysis import rfm
from segmentkit.errors import KitError, ParameterError

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

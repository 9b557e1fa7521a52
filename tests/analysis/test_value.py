"""Observed value: concentration where it can be checked by head, and segment totals that reconcile."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentkit.analysis import value
from segmentkit.errors import DataError, ParameterError


def test_equal_customers_are_not_concentrated() -> None:
    found = value.concentration(pd.Series([40.0] * 50))
    assert found.gini == pytest.approx(0.0, abs=1e-12)
    assert found.top_fifth == pytest.approx(0.2)
    assert found.half_of_sales == pytest.approx(0.5)
    assert found.below_zero == 0


@pytest.mark.parametrize("customers", [2, 10, 500])
def test_one_customer_who_spends_everything_takes_all(customers: int) -> None:
    found = value.concentration(pd.Series([0.0] * (customers - 1) + [80.0]))
    # Gini's largest value in a sample of n is 1 - 1/n
    assert found.gini == pytest.approx(1 - 1 / customers)
    assert found.half_of_sales == pytest.approx(1 / customers)
    assert found.top_fifth == pytest.approx(min(1.0, 0.2 * customers))


def test_four_customers_by_hand() -> None:
    found = value.concentration(pd.Series([10.0, 40, 20, 30]))
    assert found.curve["share_of_customers"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.curve["share_of_sales"].tolist() == pytest.approx([0, 0.4, 0.7, 0.9, 1])
    assert found.gini == pytest.approx(0.25)  # sum over pairs |x - y| / (2 n^2 mean) = 200 / 800
    assert found.top_fifth == pytest.approx(0.32)
    assert found.half_of_sales == 0.5
    assert found.sentence == (
        "The best fifth of customers brings 32% of sales; half of the sales come from 50% of the customers."
    )


def test_customers_below_zero_are_counted_and_no_gini_is_given() -> None:
    found = value.concentration(pd.Series([100.0, 20, -10, -5]))
    assert (found.below_zero, found.gini) == (2, None)
    assert found.curve["share_of_sales"].max() == pytest.approx(120 / 105)
    assert found.curve["share_of_sales"].iloc[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(("spent", "total"), [([0.0, 0.0], "0.00"), ([10.0, -30.0], "-20.00"), ([], "0.00")])
def test_sales_that_add_up_to_nothing_are_refused(spent: list[float], total: str) -> None:
    with pytest.raises(DataError, match=f"sales add up to {total}; value cannot be shared out"):
        value.concentration(pd.Series(spent, dtype=float))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=80).filter(any))
def test_shares_stay_between_equality_and_one(cents: list[int]) -> None:
    found = value.concentration(pd.Series(cents) / 100)
    assert 0.2 - 1e-9 <= found.top_fifth <= 1 + 1e-9
    assert -1e-9 <= found.gini < 1
    assert 0 < found.half_of_sales <= 0.5 + 1 / len(cents)
    assert found.curve["share_of_sales"].is_monotonic_increasing


# --- segments


def shop(customers: int = 90, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    ids = [f"C{i:03d}" for i in range(customers)]
    features = pd.DataFrame(
        {
            "customer_id": ids,
            "monetary": rng.lognormal(4, 1, customers).round(2),
            "frequency": rng.integers(1, 9, customers).astype(float),
        }
    )
    segments = pd.DataFrame({"customer_id": ids[::-1], "segment_key": list("ABC") * (customers // 3), "distance": 0.1})
    return features, segments


def test_segments_reconcile_to_the_cent() -> None:
    features, segments = shop()
    table = value.by_segment(features, segments)
    parts, total = table[table["segment_key"] != "all"], table[table["segment_key"] == "all"].iloc[0]
    assert table["segment_key"].tolist() == ["A", "B", "C", "all"]
    assert round(total["sales"], 2) == round(features["monetary"].sum(), 2) == round(parts["sales"].sum(), 2)
    assert total["customers"] == parts["customers"].sum() == 90
    assert total["orders"] == parts["orders"].sum() == features["frequency"].sum()
    for share in ("share_of_customers", "share_of_sales"):
        assert parts[share].sum() == pytest.approx(1.0)
        assert total[share] == pytest.approx(1.0)
    assert total["sales_per_customer"] == pytest.approx(features["monetary"].mean())


def test_a_segment_holds_the_sales_of_its_own_customers() -> None:
    features = pd.DataFrame({"customer_id": list("wxyz"), "monetary": [1.0, 2, 4, 8], "frequency": [1.0, 1, 2, 4]})
    segments = pd.DataFrame({"customer_id": list("zyxw"), "segment_key": list("ABBB")})
    table = value.by_segment(features, segments).set_index("segment_key")
    assert table["sales"].to_dict() == {"A": 8.0, "B": 7.0, "all": 15.0}
    assert table["orders_per_customer"].to_dict() == pytest.approx({"A": 4.0, "B": 4 / 3, "all": 2.0})


@pytest.mark.parametrize("without", ["features", "segments"])
def test_money_of_customers_without_segment_or_features_is_not_lost_in_silence(without: str) -> None:
    # needs: by_segment to compare the customers of both tables, as profiles.profile does
    features, segments = shop()
    if without == "features":
        features = features.iloc[5:]
    else:
        segments = segments.iloc[5:]
    with pytest.raises(DataError, match="5"):
        value.by_segment(features, segments)


def test_the_sentence_names_every_segment_with_its_shares() -> None:
    features, segments = shop()
    table = value.by_segment(features, segments)
    told = value.segments_sentence(table, {"A": "Frequent", "B": "Lapsed", "C": "Recent"})
    assert told.startswith("Segments: A (frequent) 33% of customers and ")
    assert told.count("of customers") == 3


# --- growth, where somebody knows the market


def test_growth_is_arithmetic_on_a_stated_market() -> None:
    worth = pd.DataFrame(
        {"segment_key": ["A", "B", "all"], "customers": [100, 50, 150], "sales_per_customer": [20.0, 4.0, 14.67]}
    )
    found = value.growth(worth, ["A 400", " B 50 "])
    assert found["segment_key"].tolist() == ["A", "B"]
    assert found["share_of_market"].tolist() == [0.25, 1.0]
    assert found["potential_sales"].tolist() == [6000.0, 0.0]
    assert value.growth(worth, []).empty


@pytest.mark.parametrize("text", ["C 400", "all 400", "A", "A many", "A 1.5", "A 99", "400 A", ""])
def test_a_market_that_cannot_be_is_refused(text: str) -> None:
    worth = pd.DataFrame({"segment_key": ["A", "all"], "customers": [100, 100], "sales_per_customer": [20.0, 20.0]})
    with pytest.raises(ParameterError, match="market_sizes holds"):
        value.growth(worth, [text])

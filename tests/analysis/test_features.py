"""Features: hand-computed values, what the window lets in, and the traps of money, order and truncation."""

import itertools
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import features
from segmentkit.analysis.features import Window
from segmentkit.analysis.simulate import generate_shop
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
SEEN = Window(date(2024, 1, 1), date(2024, 3, 1))
LINES = pd.DataFrame(
    [
        # customer, order, local time, paid, category, discount, coupon, own brand
        ("anna", "1", "2024-01-01 09:00", 10.00, "Bread", 2.00, 0.0, True),
        ("anna", "1", "2024-01-01 09:00", 5.50, "Fruit", 0.00, 1.0, False),
        ("anna", "2", "2024-02-10 13:00", 4.50, "Bread", 0.50, 0.0, True),
        ("anna", "3", "2024-02-20 18:30", 10.00, "Fruit", 0.00, 0.0, False),
        ("bert", "4", "2024-01-31 00:00", 20.00, "Drinks", 0.00, 0.0, False),
        ("cleo", "5", "2024-02-04 22:00", 12.00, "Bread", 0.00, 0.0, False),
        ("cleo", "6", "2024-02-05 12:00", -12.00, "Bread", 0.00, 0.0, False),
    ],
    columns=["customer_id", "order_id", "ordered_at", "amount", "category", "discount", "coupon_amount", "own_brand"],
).astype({"ordered_at": "datetime64[s]"})
TWO_YEARS = Window(date(2024, 1, 1), date(2026, 1, 1))
PLAIN = ["customer_id", "order_id", "ordered_at", "amount"]


def table(lines: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"features_{next(NUMBER)}", lines)


def purchases(*rows: tuple[str, str, str, float]) -> ibis.Table:
    return table(pd.DataFrame(rows, columns=PLAIN).astype({"ordered_at": "datetime64[s]"}))


def test_every_feature_of_three_customers_is_as_computed_by_hand() -> None:
    nan = np.nan
    expected = pd.DataFrame(
        {
            "customer_id": ["anna", "bert", "cleo"],
            "recency_days": [10.0, 30.0, 25.0],
            "frequency": [3.0, 1.0, 2.0],
            "monetary": [30.0, 20.0, 0.0],
            "basket_value": [10.0, 20.0, 0.0],
            "lines_per_order": [4 / 3, 1.0, 1.0],
            "mean_gap_days": [25.0, nan, 1.0],
            "active_months": [2.0, 1.0, 1.0],
            "tenure_days": [60.0, 30.0, 26.0],
            # the window's middle is 31 January 00:00, and it belongs to the late half
            "trend": [(2 * 14.5 - 30) / 30, 1.0, nan],
            "weekend_share": [1 / 3, 0.0, 0.5],
            "morning_share": [1 / 3, 0.0, 0.0],
            "afternoon_share": [1 / 3, 0.0, 0.5],
            "evening_share": [1 / 3, 0.0, 0.0],  # 22:00 is no longer evening
            "discount_share": [2.5 / 33.5, 0.0, nan],
            "coupon_share": [1 / 33.5, 0.0, nan],
            "own_brand_share": [14.5 / 30, 0.0, nan],
            "category_bread_share": [14.5 / 30, 0.0, nan],
            "category_drinks_share": [0.0, 1.0, nan],
            "category_fruit_share": [15.5 / 30, 0.0, nan],
        }
    )
    assert_frame_equal(features.build(table(LINES), SEEN), expected, rtol=1e-12)


def test_four_columns_are_enough_and_the_others_only_add() -> None:
    whole, plain = features.build(table(LINES), SEEN), features.build(table(LINES[PLAIN]), SEEN)
    assert set(whole.columns) - set(plain.columns) == {
        "discount_share",
        "coupon_share",
        "own_brand_share",
        "category_bread_share",
        "category_drinks_share",
        "category_fruit_share",
    }
    assert_frame_equal(plain, whole[plain.columns])


def test_the_best_selling_categories_alone_get_a_share() -> None:
    built = features.build(table(LINES), SEEN, categories=1)
    # drinks sold 20.00, fruit 15.50, bread 14.50 after the return
    assert [name for name in built.columns if name.startswith("category_")] == ["category_drinks_share"]
    assert not any("category" in name for name in features.build(table(LINES), SEEN, categories=0).columns)


@pytest.mark.parametrize(
    ("category", "column"),
    [
        ("Bread", "category_bread_share"),
        ("MEAT-PCKGD", "category_meat_pckgd_share"),
        (" Home & garden ", "category_home___garden_share"),
        ("24h shop", "category_24h_shop_share"),
    ],
)
def test_a_category_becomes_a_column_name(category: str, column: str) -> None:
    assert features.category_column(category) == column


def test_categories_that_differ_in_punctuation_share_one_column() -> None:
    # needs: _category_shares to group by category_column(category) before it picks the best sellers
    lines = LINES.assign(category=["Own brand", "Own-brand", *["Fruit"] * 5])
    built = features.build(table(lines), SEEN)
    assert list(built.columns).count("category_own_brand_share") == 1
    assert built["category_own_brand_share"].iloc[0] == pytest.approx(15.5 / 30)


def test_the_order_of_rows_does_not_matter() -> None:
    lines = generate_shop(150, 3).tables["transactions"]
    once = features.build(table(lines), TWO_YEARS)
    shuffled = lines.sample(frac=1.0, random_state=5, ignore_index=True)
    assert_frame_equal(features.build(table(shuffled), TWO_YEARS), once, check_exact=True)


def test_large_tables_are_built_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table(generate_shop(150, 3).tables["transactions"])
    whole, hours = features.build(lines, TWO_YEARS), features.by_local_time(lines, TWO_YEARS)
    monkeypatch.setattr(features, "ROWS_AT_ONCE", len(generate_shop(150, 3).tables["transactions"]) // 4)
    parts = [part.select("customer_id").distinct().execute()["customer_id"] for part in features.in_parts(lines)]
    assert len(parts) > 3
    assert sorted(pd.concat(parts)) == whole["customer_id"].tolist(), "each customer whole in one part"
    assert_frame_equal(features.build(lines, TWO_YEARS), whole, check_exact=True)
    assert_frame_equal(features.by_local_time(lines, TWO_YEARS), hours, check_exact=True)


def test_one_customer_is_enough_to_build_features() -> None:
    built = features.build(purchases(("a", "1", "2024-02-29 10:00", 3.0)), SEEN)
    assert built[["customer_id", "recency_days", "frequency", "monetary"]].values.tolist() == [["a", 1.0, 1.0, 3.0]]


def test_a_gap_needs_two_orders() -> None:
    built = features.build(
        purchases(
            ("a", "1", "2024-01-05 10:00", 1.0),
            ("b", "2", "2024-01-05 10:00", 1.0),
            ("b", "3", "2024-01-05 18:00", 1.0),
        ),
        SEEN,
    )
    assert np.isnan(built["mean_gap_days"].iloc[0])
    assert built["mean_gap_days"].iloc[1] == 0.0


def test_money_is_exact_to_the_cent() -> None:
    dimes = [("a", f"{i}", f"2024-01-{i + 1:02d} 10:00", 0.1) for i in range(10)]
    built = features.build(purchases(*dimes), SEEN)
    assert sum(row[3] for row in dimes) != 1.0, "floats alone miss the cent"
    assert built["monetary"].iloc[0] == 1.0


def test_an_order_number_used_by_two_customers_is_an_order_of_each() -> None:
    same = purchases(("a", "1", "2024-01-03 10:00", 2.0), ("b", "1", "2024-01-04 18:00", 3.0))
    built = features.build(same, SEEN)
    assert built["frequency"].tolist() == [1.0, 1.0]
    assert built["monetary"].tolist() == [2.0, 3.0]
    # needs: by_local_time to group by customer_id and order_id, as build does
    assert features.by_local_time(same, SEEN).values.tolist() == [[2, 10, 1], [3, 18, 1]]


# --- the window


def test_the_window_ends_the_day_after_the_last_purchase() -> None:
    found = features.window(table(LINES))
    assert found == Window(date(2024, 1, 1), date(2024, 2, 21))
    assert found.days == 51


def test_as_of_may_be_the_day_after_the_last_purchase_and_no_later() -> None:
    assert features.window(table(LINES), "2024-02-21").as_of == date(2024, 2, 21)
    with pytest.raises(ParameterError, match="choose up to 2024-02-21"):
        features.window(table(LINES), "2024-02-22")


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("yesterday", r"as_of == 'yesterday'; it must be a day written YYYY-MM-DD"),
        ("01/02/2024", r"as_of == '01/02/2024'; it must be a day written YYYY-MM-DD"),
        ("2024-02-30", r"as_of == '2024-02-30'; it must be a day"),
        ("2024-01-01", r"as_of == 2024-01-01; the data run from 2024-01-01 to 2024-02-20; choose up to 2024-02-21"),
        ("2023-06-01", r"as_of == 2023-06-01; the data run from 2024-01-01"),
        ("2031-01-01", r"as_of == 2031-01-01; the data run from 2024-01-01 to 2024-02-20"),
    ],
)
def test_an_as_of_day_that_cannot_be_used_is_refused(as_of: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        features.window(table(LINES), as_of)


def test_purchases_from_the_as_of_day_on_are_not_seen() -> None:
    early = Window(date(2024, 1, 1), date(2024, 2, 10))
    kept = LINES[LINES["ordered_at"] < "2024-02-10"]
    assert len(kept) == 5
    assert_frame_equal(features.build(table(LINES), early), features.build(table(kept), early), check_exact=True)


def test_purchases_before_the_start_are_not_seen() -> None:
    late = Window(date(2024, 2, 10), date(2024, 3, 1))
    assert features.build(table(LINES), late)["monetary"].tolist() == [14.5]


def test_the_first_midnight_is_inside_and_the_last_is_not() -> None:
    lines = purchases(("a", "1", "2024-01-01 00:00", 1.0), ("a", "2", "2024-03-01 00:00", 2.0))
    assert features.build(lines, SEEN)["monetary"].tolist() == [1.0]


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(
        DataError, match="no purchase between 2022-01-01 and 2022-02-01; nothing to build features from"
    ):
        features.build(table(LINES[PLAIN]), Window(date(2022, 1, 1), date(2022, 2, 1)))


# --- first purchases


def first(days: int, tenures: list[int]) -> features.FirstPurchases:
    start = pd.Timestamp("2024-01-01")
    seen = Window(start.date(), (start + pd.Timedelta(days=days)).date())
    return features.first_purchases(pd.DataFrame({"tenure_days": [float(t) for t in tenures]}), seen)


@pytest.mark.parametrize(
    ("days", "tenures", "early", "observed"),
    [
        (365, [365] * 80 + [100] * 20, 80, False),
        (365, [365] * 25 + [100] * 75, 25, False),
        (365, [365] * 24 + [100] * 76, 24, True),
        (365, [335] * 100, 100, False),  # the 31st day still counts as the first month
        (365, [334] * 100, 0, True),  # the 32nd does not
        (365, list(range(1, 101)), 0, True),
        (62, [62] * 50 + [10] * 50, 50, False),
    ],
)
def test_a_heap_of_first_purchases_in_the_first_month_is_detected(
    days: int, tenures: list[int], early: int, observed: bool
) -> None:
    found = first(days, tenures)
    assert (found.in_first_month, found.customers, found.observed) == (early, len(tenures), observed)
    assert f"{early:,} of {len(tenures):,} customers ({early / len(tenures):.0%})" in found.sentence
    refused = "lifetime value and acquisition cost cannot be read" in found.sentence
    assert refused is not observed


def test_too_short_data_do_not_count_as_observed() -> None:
    # needs: first_purchases not to say "were seen" of data under 62 days, where nobody can know
    found = first(40, [40] * 95 + [5] * 5)
    assert not found.observed


def test_the_sample_shop_shows_first_purchases_and_a_cut_of_it_does_not() -> None:
    lines = table(generate_shop(300, 3).tables["transactions"])
    whole = features.window(lines)
    assert features.first_purchases(features.build(lines, whole), whole).observed
    cut = Window(date(2025, 1, 1), whole.as_of)
    assert not features.first_purchases(features.build(lines, cut), cut).observed


# --- local time


def test_orders_are_counted_by_weekday_and_hour() -> None:
    found = features.by_local_time(table(LINES), SEEN)
    assert found.columns.tolist() == ["weekday", "hour", "orders"]
    assert found.values.tolist() == [[0, 9, 1], [0, 12, 1], [1, 18, 1], [2, 0, 1], [5, 13, 1], [6, 22, 1]]


def test_the_busiest_hour_is_named() -> None:
    hours = pd.DataFrame({"weekday": [0, 5], "hour": [9, 13], "orders": [1, 3]})
    assert features.busiest_sentence(hours) == "Most orders fall on Saturday from 13:00 local time (75.0% of all)."

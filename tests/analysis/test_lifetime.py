"""Lifetime value: customers by head, the published holdout, values that follow from one another, and refusals."""

import itertools
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import features, lifetime, lifetime_check
from segmentkit.analysis.features import FirstPurchases, Window
from segmentkit.analysis.lifetime import Lifetime
from segmentkit.analysis.lifetime_check import Holdout
from segmentkit.analysis.simulate import generate_shop
from segmentkit.display import lifetime_figures
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

REFERENCES = Path(__file__).parents[2].parent / "shared" / "references"
CONNECTION = connect()
NUMBER = itertools.count()
OBSERVED = FirstPurchases(True, 100, 2_000, "")
START = date(2024, 1, 1)


def lines(*rows: tuple[str, str, float]) -> Any:
    table = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])
    table["order_id"] = [f"O{i}" for i in range(len(table))]
    table["ordered_at"] = table["ordered_at"].astype("datetime64[s]")
    return CONNECTION.create_table(f"lifetime_{next(NUMBER)}", table)


SHOP = generate_shop(400, 3).tables["transactions"]
PURCHASES = CONNECTION.create_table("lifetime_shop", SHOP)
SEEN = features.window(PURCHASES)
SPENT = SHOP.groupby("customer_id", as_index=False)["amount"].sum()
SEGMENTS = SPENT.assign(segment_key=pd.qcut(SPENT["amount"], 3, labels=list("CBA")).astype(str))
CHECK = lifetime_check.holdout_check(PURCHASES, SEEN)
CHOICES: dict[str, Any] = {
    "horizon_days": 182, "annual_discount": 0.1, "margin_rate": None, "confidence": 0.95, "draws": 60, "seed": 1,
}  # fmt: skip


def valued(transactions: Any = PURCHASES, segments: pd.DataFrame = SEGMENTS, **changed: Any) -> Lifetime:
    return lifetime.lifetime_value(transactions, segments, SEEN, OBSERVED, CHECK, **CHOICES | changed)


SALES_ONLY = PURCHASES.drop("margin")
FOUND = valued()


# --- customers


def test_days_are_counted_not_orders_and_returns_count_in_money_only() -> None:
    transactions = lines(
        ("b", "2024-01-01 09:00", 10.0),
        ("b", "2024-01-01 18:00", 5.0),  # the same day: one purchase
        ("b", "2024-01-15 10:00", 30.0),
        ("b", "2024-01-20 10:00", -6.0),  # a return is no purchase
        ("a", "2024-01-10 12:00", 8.0),
        ("c", "2024-01-05 12:00", -8.0),  # nothing but a return: no customer yet
        ("d", "2023-12-30 12:00", 9.0),  # began before the window
        ("d", "2024-01-30 12:00", 9.0),
        ("a", "2024-02-01 00:00", 99.0),  # the first moment not looked at
    )
    found = lifetime_check.customers_by_day(transactions, START, date(2024, 2, 1)).set_index("customer_id")
    assert list(found.index) == ["a", "b"]
    assert found["purchases"].tolist() == [1, 2]
    assert found["repeat_purchases"].tolist() == [0, 1]
    assert found["last_purchase"].tolist() == [0, 2.0]
    assert found["age"].tolist() == [3.0, pytest.approx(30 / 7)]  # up to 31 January, the last day seen
    assert found["sales"].tolist() == [8.0, 39.0]
    assert found["mean_spend"].tolist() == [8.0, 19.5]
    assert found["first_day"].tolist() == [pd.Timestamp("2024-01-10"), pd.Timestamp("2024-01-01")]


def test_groups_are_nought_to_seven_or_eighths_where_half_bought_seven_times() -> None:
    rare = lifetime_check.grouped(np.array([0, 0, 0, 3, 9]))
    assert list(rare) == ["0", "0", "0", "3", "7+"]
    often = lifetime_check.grouped(np.arange(80.0))
    assert often.categories.tolist() == [f"{low}-{low + 9}" if low < 70 else "70+" for low in range(0, 80, 10)]
    assert (often.value_counts() == 10).all()
    assert list(lifetime_check.grouped(np.full(5, 9.0))) == ["9+"] * 5


# --- held against what came


@pytest.mark.skipif(not REFERENCES.is_dir(), reason="the folder of published figures is not here")
def test_the_published_holdout_is_met() -> None:
    facts = json.loads((REFERENCES / "cdnow_holdout.json").read_text(encoding="utf-8"))
    wanted, spend, within = facts["results"]["bgnbd"], facts["facts"]["spend"], facts["tolerance"]
    names = {"x": "repeat_purchases", "t_x": "last_purchase", "T": "age", "zbar": "mean_spend"}
    names |= {"x_holdout": "later_purchases", "spend_holdout": "later_spend"}
    table = pd.read_csv(REFERENCES / "cdnow_rf_cal39_holdout39.csv").rename(columns=names)
    table = table.assign(purchases=table["repeat_purchases"], sales=table["repeat_purchases"] * table["mean_spend"])
    found = lifetime_check.hold_against(table, 39)
    published = facts["published_btyd_table"]
    assert found.table["repeat_purchases"].tolist() == published["x"]
    assert found.table["customers"].tolist() == published["n"]
    assert found.table["actual"].tolist() == pytest.approx(published["actual"], abs=within["actual"])
    assert found.table["expected"].tolist() == pytest.approx(published["bgnbd"], abs=within["expected_per_bin"])
    assert found.actual == facts["facts"]["holdout_txn"]
    assert found.expected == pytest.approx(wanted["total_expected"], abs=within["total"])
    assert found.error == pytest.approx(wanted["MAE"], abs=within["MAE"])
    assert found.bias == pytest.approx(wanted["bias_pct"] / 100, abs=0.002)
    assert found.spend_bias == pytest.approx(spend["expected"] / spend["actual"] - 1, abs=0.002)
    assert (found.top_model, found.top_spend) == pytest.approx((spend["top_share"]["20"], 0.668), abs=0.001)
    # better in level than going on at one's own past rate (.785 against 1.024), no better in ranking
    assert found.error_own_rate == pytest.approx(1.024, abs=0.003)
    assert (found.better_in_level, found.better_in_ranking, found.believable) == (True, False, True)
    assert "better in level than either" in found.sentence
    assert "held 66.3% of later spend, that with most past spend 66.8%: no better in ranking" in found.sentence


def test_the_later_part_is_what_really_came() -> None:
    middle = pd.Timestamp(lifetime_check._cut(SEEN, 0.5))
    known = set(SHOP.loc[SHOP["ordered_at"] < middle, "customer_id"])
    later = SHOP[(SHOP["ordered_at"] >= middle) & SHOP["customer_id"].isin(known)]
    days = later.groupby(["customer_id", later["ordered_at"].dt.date]).ngroups
    assert CHECK.actual == days
    assert (CHECK.table["actual"] * CHECK.table["customers"]).sum() == pytest.approx(days)
    assert (CHECK.table["expected"] * CHECK.table["customers"]).sum() == pytest.approx(CHECK.expected)
    assert CHECK.table["customers"].sum() == len(known)


@pytest.mark.parametrize(("expected", "spend", "believed"), [(120, 0.1, True), (121, 0, False), (100, -0.21, False)])
def test_beyond_a_fifth_the_level_is_not_believed_and_everything_says_so(
    expected: float, spend: float, believed: bool
) -> None:
    check = replace(CHECK, actual=100.0, expected=float(expected), spend_bias=spend)
    assert check.believable == believed
    for sentence in (check.sentence, replace(FOUND, check=check).sentence):
        assert ("must not be believed" in sentence) == (not believed)
    title = lifetime_figures.holdout(check).get_suptitle()
    assert ("do not believe" in title) == (not believed)


def test_the_group_that_was_missed_by_most_is_named() -> None:
    table = pd.DataFrame(
        {"repeat_purchases": ["0", "1", "2"], "customers": [100, 50, 2], "actual": [1.0, 2, 3], "expected": [1.1, 3, 9]}
    )
    told = replace(CHECK, table=table).furthest
    assert told == "furthest off are the 50 customers with 1 repeat purchases (3.00 expected of each, 2.00 came)"


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(ParameterError, match="share == "):
        lifetime_check.holdout_check(PURCHASES, SEEN, share)


def test_nobody_who_came_later_is_nothing_to_hold_against() -> None:
    customers = lifetime_check.customers_by_day(PURCHASES, SEEN.start, SEEN.as_of)
    with pytest.raises(DataError, match="later purchases == 0"):
        lifetime_check.hold_against(customers.assign(later_purchases=0, later_spend=0.0), 10)


# --- lifetime value


def test_figures_reconcile_and_intervals_hold_the_expectation() -> None:
    table = FOUND.table
    parts, whole = table.iloc[:-1], table.iloc[-1]
    assert table["segment_key"].tolist() == ["A", "B", "C", "all"]
    assert whole["customers"] == parts["customers"].sum() == 400
    for name in ("orders", "sales", "value", "sales_so_far", "margin_so_far", "alive", "retained"):
        assert np.average(parts[name], weights=parts["customers"]) == pytest.approx(whole[name])
    assert whole["sales_so_far"] * 400 == pytest.approx(SHOP["amount"].sum())
    assert (table["sales_low"] < table["sales"]).all()
    assert (table["sales"] < table["sales_high"]).all()
    assert (table["value_low"] < table["value"]).all()
    assert table["alive"].between(0, 1).all()


def test_margin_is_measured_assumed_or_not_known_and_said() -> None:
    assert FOUND.margin_from == "Margin: measured"
    assert FOUND.table["margin_so_far"].iloc[-1] == pytest.approx(SHOP["margin"].sum() / 400, rel=1e-4)
    assumed = valued(SALES_ONLY, margin_rate=0.3, annual_discount=0.0)
    assert assumed.table["value"].tolist() == pytest.approx((assumed.table["sales"] * 0.3).tolist())
    assert assumed.table["value_high"].tolist() == pytest.approx((assumed.table["sales_high"] * 0.3).tolist())
    assert "Margin: 30% of sales, assumed by you; discount 0% a year" in assumed.sentence
    unknown = valued(SALES_ONLY)
    assert unknown.table[["value", "value_low", "value_high", "margin_so_far"]].isna().all(axis=None)
    assert "Margin: not known" in unknown.sentence
    assert "Present value" not in unknown.sentence
    assert unknown.table["sales"].tolist() == FOUND.table["sales"].tolist()


def test_margin_comes_from_the_lines_that_have_one() -> None:
    half = SHOP.assign(margin=SHOP["margin"].where(SHOP.index % 2 == 0))
    found = valued(CONNECTION.create_table("lifetime_half", half))
    assert found.table["margin_so_far"].tolist() == pytest.approx(FOUND.table["margin_so_far"].tolist(), rel=1e-3)


def test_later_money_is_worth_less() -> None:
    rate = FOUND.table["value"] / FOUND.table["sales"] / 0.35
    # half a year at ten per cent, on average half of that away
    assert rate.tolist() == pytest.approx([1.1**-0.25] * 4, abs=0.005)
    customers = lifetime_check.customers_by_day(PURCHASES, SEEN.start, SEEN.as_of)
    whole = FOUND.frequency.expected(100 / 7, customers)
    assert lifetime._discounted(FOUND.frequency, customers, 100, 0.0) == pytest.approx(whole)


def test_the_same_seed_gives_the_same_table_whatever_the_order_of_rows() -> None:
    shuffled = SHOP.sample(frac=1, random_state=2, ignore_index=True)
    again = valued(CONNECTION.create_table("lifetime_shuffled", shuffled), SEGMENTS.sample(frac=1, random_state=3))
    assert_frame_equal(again.table, FOUND.table)
    assert not valued(seed=2).table.equals(FOUND.table)


def test_who_was_there_before_and_bought_lately_is_retained() -> None:
    late = pd.Timestamp(SEEN.as_of) - pd.Timedelta(days=92)
    first, last = (SHOP.groupby("customer_id")["ordered_at"].agg(how).dt.normalize() for how in ("min", "max"))
    by_hand = (last[first < late] >= late).mean()
    assert FOUND.table["retained"].iloc[-1] == pytest.approx(by_hand)


def test_one_segment_and_customers_without_a_first_purchase_in_the_window() -> None:
    one = SEGMENTS.assign(segment_key="A")
    stranger = pd.DataFrame({"customer_id": ["X1", "X2"], "segment_key": ["A", "A"]})
    found = valued(segments=pd.concat([one, stranger]), draws=5)
    assert found.table["segment_key"].tolist() == ["A", "all"]
    assert found.left_out == 2
    assert "2 customers without a first purchase in the window are left out." in found.sentence
    assert found.table.iloc[0, 1:].tolist() == found.table.iloc[1, 1:].tolist()


def test_a_horizon_beyond_twice_the_data_is_extrapolation_and_said() -> None:
    assert "extrapolation" not in replace(FOUND, horizon_days=2 * SEEN.days).sentence
    told = replace(FOUND, horizon_days=2 * SEEN.days + 1).sentence
    assert f"more than twice the {SEEN.days} days observed: this is extrapolation" in told


def test_lifetime_value_is_refused_where_first_purchases_were_not_seen() -> None:
    unseen = FirstPurchases(False, 1_982, 2_469, "1,982 of 2,469 customers first appear in the first 31 days.")
    reason = lifetime.possible(unseen)
    assert "first purchases not observed" in reason
    assert "1,982" in reason
    with pytest.raises(DataError, match="first purchases not observed"):
        lifetime.lifetime_value(PURCHASES, SEGMENTS, SEEN, unseen, CHECK, **CHOICES)


def test_what_cannot_be_fitted_is_told_before_it_is_tried() -> None:
    assert lifetime.possible(OBSERVED) == lifetime.possible(OBSERVED, PURCHASES, SEEN) == ""
    few = lines(*[(f"C{i}", day, 5.0) for i in range(20) for day in ("2024-02-01", "2024-05-01")])
    told = lifetime.possible(OBSERVED, few, Window(START, date(2024, 7, 1)))
    assert told.startswith("Lifetime value is not computed: customers with a repeat purchase == 0;")


@pytest.mark.parametrize("changed", [{"horizon_days": 0}, {"annual_discount": -0.1}])
def test_a_horizon_or_discount_that_makes_no_sense_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="horizon_days == "):
        valued(**changed)


def test_the_figure_states_what_a_customer_is_expected_to_bring() -> None:
    title = lifetime_figures.lifetime(FOUND, "EUR").get_suptitle()
    assert f"{FOUND.table['sales'].iloc[-1]:,.0f} EUR a customer" in title


def test_a_holdout_in_words_is_one_of_the_results() -> None:
    assert isinstance(CHECK, Holdout)
    assert f"{CHECK.expected:,.0f} purchases and {CHECK.actual:,.0f} came ({CHECK.bias:+.0%}" in CHECK.sentence

"""Acquisition cost by head: who counts for which cost, when it is paid back, and costs that cannot be read."""

import itertools
from datetime import date
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import acquisition
from segmentkit.analysis.acquisition import Acquisition
from segmentkit.analysis.features import FirstPurchases, Window
from segmentkit.display import lifetime_figures
from segmentkit.errors import DataError
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

CONNECTION = connect()
NUMBER = itertools.count()
SEEN = Window(date(2024, 1, 1), date(2024, 7, 1))
OBSERVED, UNSEEN = FirstPurchases(True, 1, 6, ""), FirstPurchases(False, 5, 6, "5 of 6 appear at once.")


def purchases(rows: list[tuple[str, str, float]], margin: float | None = None) -> Any:
    table = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])
    table["order_id"] = [f"O{i}" for i in range(len(table))]
    table["ordered_at"] = table["ordered_at"].astype("datetime64[s]")
    if margin is not None:
        table["margin"] = table["amount"] * margin
    return CONNECTION.create_table(f"acquisition_{next(NUMBER)}", table)


ROWS = [
    ("a", "2024-01-01 10:00", 100.0),  # the first day of a period
    ("a", "2024-02-10 10:00", 100.0),  # 40 days later: month 2
    ("b", "2024-01-31 23:00", 40.0),  # the last day
    ("b", "2024-04-10 23:00", 160.0),  # 70 days later: month 3
    ("c", "2024-02-01 00:00", 60.0),  # the next period
    ("d", "2024-02-15 12:00", 20.0),
    ("e", "2024-06-20 12:00", 500.0),  # after all periods
]
TRANSACTIONS = purchases(ROWS)
CUSTOMERS = pd.DataFrame({"customer_id": list("abcde"), "acquisition_channel": ["x", "y", "x", "x", None]})
SEGMENTS = pd.DataFrame({"customer_id": list("abcde"), "segment_key": ["A", "A", "B", "B", "B"]})
NOBODY = pd.DataFrame({"customer_id": pd.Series(dtype="str")})


def costs(*rows: tuple[str, str, float, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["start", "end", "cost", "channel"]).assign(origin="the ledger")


MONTHS = costs(("2024-01-01", "2024-01-31", 100.0, None), ("2024-02-01", "2024-02-29", 30.0, None))
CHANNELS = costs(
    ("2024-01-01", "2024-01-31", 60.0, "x"),
    ("2024-02-01", "2024-02-29", 50.0, "x"),
    ("2024-01-01", "2024-02-29", 9, "y"),
)


def measured(spent: pd.DataFrame = MONTHS, customers: pd.DataFrame = NOBODY, **changed: Any) -> Acquisition:
    options: dict[str, Any] = {"transactions": TRANSACTIONS, "margin_rate": 0.5} | changed
    return acquisition.acquisition_cost(
        costs=spent, customers=customers, segments=SEGMENTS, seen=SEEN, first=OBSERVED, **options
    )


def test_customers_count_for_the_period_they_were_first_seen_in_both_days_included() -> None:
    found = measured()
    assert found.cohorts["cohort"].tolist() == ["2024-01-01 to 2024-01-31", "2024-02-01 to 2024-02-29"]
    assert found.cohorts["customers"].tolist() == [2, 2]
    assert found.cohorts["cac"].tolist() == [50.0, 15.0]
    assert found.channels[["channel", "cost", "customers", "cac"]].to_numpy().tolist() == [["all", 130.0, 4, 32.5]]
    assert "1 customers came in periods or channels without a stated cost: not counted." in found.sentence
    assert "Cost: stated by the source: the ledger. Margin: 50% of sales, assumed by you." in found.sentence


def test_a_channel_s_cost_counts_for_its_own_customers_only() -> None:
    found = measured(CHANNELS, CUSTOMERS)
    assert found.cohorts[["channel", "customers", "cac"]].to_numpy().tolist() == [
        ["x", 1, 60],
        ["x", 2, 25],
        ["y", 1, 9],
    ]
    assert found.channels["channel"].tolist() == ["x", "y", "all"]
    assert found.channels["cac"].tolist() == pytest.approx([110 / 3, 9, 119 / 4])


def test_a_segment_s_cost_is_the_mean_of_what_its_customers_cost() -> None:
    found = measured(CHANNELS, CUSTOMERS)
    assert found.segments.to_numpy().tolist() == [["A", 2, (60 + 9) / 2], ["B", 2, 25.0]]
    assert "allocated from its customers' periods and channels, not measured" in found.sentence
    # a cost of all channels comes on top of a channel's own
    both = pd.concat([CHANNELS, costs(("2024-01-01", "2024-02-29", 40.0, None))])
    assert measured(both, CUSTOMERS).segments["cac"].tolist() == [34.5 + 10, 35.0]


def test_margin_adds_up_by_month_and_pays_back_in_the_first_month_that_covers_the_cost() -> None:
    january = measured().cohorts.iloc[0]
    # margin a customer: (50 + 20) / 2 in month 1, 50 / 2 in month 2, 80 / 2 in month 3, against 50
    assert (january["payback_month"], january["months_seen"]) == (2, 5)
    curve = measured().curves.set_index("month")["margin"]
    assert curve[1] == pytest.approx((50 + 20 + 30 + 10) / 4)
    assert curve[3] == pytest.approx((50 + 20 + 30 + 10 + 50 + 80) / 4)
    assert measured(margin_rate=0.1).cohorts["payback_month"].isna().all()
    assert "not yet paid back after" in measured(margin_rate=0.1).sentence


def test_only_months_that_were_lived_whole_count() -> None:
    late = costs(("2024-05-01", "2024-06-20", 100.0, None))
    alone = measured(late).cohorts.iloc[0]
    assert (alone["customers"], alone["months_seen"]) == (1, 0)
    assert pd.isna(alone["payback_month"])
    # e has lived no month; of the five, half and more have lived every month up to the fifth
    together = measured(pd.concat([MONTHS, late]))
    assert together.curves["customers"].tolist() == [4, 4, 4, 4, 3]
    assert together.curves["margin"].iloc[0] == pytest.approx(110 / 4)


def test_margin_is_measured_where_the_source_has_it() -> None:
    found = measured(transactions=purchases(ROWS, margin=0.25), margin_rate=0.9)
    assert found.curves["margin"].iloc[0] == pytest.approx((25 + 10 + 15 + 5) / 4)
    assert "Margin: measured." in found.sentence
    assert "assumed" not in found.sentence


def test_without_a_margin_there_is_no_payback() -> None:
    found = measured(margin_rate=None)
    assert found.curves.empty
    assert found.cohorts["payback_month"].isna().all()
    assert "Margin: not known, so payback is not either." in found.sentence
    assert "paid back" not in found.sentence


def test_a_stated_day_of_acquisition_goes_before_the_first_purchase() -> None:
    stated = CUSTOMERS.assign(acquired_at=["2024-02-01", "2024-01-31", "2024-02-01", None, "2024-01-05"])
    assert measured(customers=stated).cohorts["customers"].tolist() == [2, 3]
    # what was bought before the stated day counts in the first month
    assert measured(customers=stated).curves["margin"].iloc[0] == pytest.approx((100 + 20 + 30 + 10 + 0) / 5)


def test_without_customers_channels_costs_are_added_up() -> None:
    found = measured(CHANNELS.iloc[:2].assign(channel=["x", "y"]), NOBODY)
    assert found.channels["channel"].tolist() == ["all"]
    assert "costs are added up over channels" in found.sentence
    same = costs(("2024-01-01", "2024-01-31", 60.0, "x"), ("2024-01-01", "2024-01-31", 40.0, "y"))
    assert measured(same).cohorts["cac"].tolist() == [50.0]
    # a month of one channel lies inside a quarter of another: nothing is paid for twice
    longer = costs(("2024-01-01", "2024-01-31", 60.0, "x"), ("2024-01-01", "2024-03-31", 40.0, "y"))
    assert measured(longer, NOBODY).channels["cost"].tolist() == [100.0]


def test_periods_that_reach_beyond_the_data_are_left_out_and_said() -> None:
    wide = costs(("2023-12-01", "2024-01-02", 70.0, None), ("2024-06-15", "2024-07-01", 7.0, None))
    found = measured(pd.concat([MONTHS[1:], wide]))
    assert found.cohorts["cohort"].tolist() == ["2024-02-01 to 2024-02-29"]
    assert "Periods of cost that reach beyond the data are left out: 2 (77)." in found.sentence
    assert "no period of its costs lies inside the data" in acquisition.possible(wide, OBSERVED, SEEN, NOBODY)


def test_a_period_that_won_nobody_has_a_cost_and_no_cac() -> None:
    found = measured(pd.concat([MONTHS, costs(("2024-03-01", "2024-03-31", 20.0, None))]))
    assert found.cohorts["cac"].isna().tolist() == [False, False, True]
    assert found.channels["cac"].tolist() == [150 / 4]
    nobody = measured(costs(("2024-03-01", "2024-03-31", 20.0, None)))
    assert "all no new customer" in nobody.sentence


def test_lifetime_margin_over_cost_by_segment() -> None:
    table = pd.DataFrame({"segment_key": ["A", "B", "all"], "margin_so_far": [80.0, 10, 45], "value": [20.0, 5, 12]})
    found = measured(lifetime=SimpleNamespace(table=table))
    assert found.segments["lifetime_margin"].tolist() == [100.0, 15.0]
    assert found.segments["lifetime_to_cac"].tolist() == [2.0, 1.0]
    assert found.sentence.count("3 to 1 is a convention, not a rule") == 1
    unknown = measured(lifetime=SimpleNamespace(table=table.assign(value=float("nan"))))
    assert "lifetime_to_cac" not in unknown.segments.columns
    free = measured(MONTHS.assign(cost=0.0), lifetime=SimpleNamespace(table=table))
    assert free.segments["lifetime_to_cac"].isna().all()


def test_the_order_of_rows_does_not_matter() -> None:
    one = measured(CHANNELS, CUSTOMERS)
    other = measured(CHANNELS[::-1], CUSTOMERS.sample(frac=1, random_state=1), transactions=purchases(ROWS[::-1]))
    for name in ("cohorts", "channels", "segments", "curves"):
        assert_frame_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_a_cost_below_zero_or_missing_is_refused(bad: float) -> None:
    with pytest.raises(DataError, match=f"cost == {bad} from 2024-01-01 to 2024-01-31; it must be 0 or more"):
        measured(MONTHS.assign(cost=[bad, 1.0]))


def test_periods_that_overlap_or_run_backwards_are_refused() -> None:
    twice = costs(("2024-01-01", "2024-01-31", 1.0, "x"), ("2024-01-31", "2024-02-10", 1.0, "x"))
    with pytest.raises(
        DataError, match="channel == 'x' has a period from 2024-01-01 to 2024-01-31 that another overlaps"
    ):
        measured(twice, CUSTOMERS)
    with pytest.raises(DataError, match="must not end before it begins"):
        measured(costs(("2024-02-01", "2024-01-01", 1.0, None)))


def test_acquisition_cost_is_refused_where_nobody_is_known_to_be_new() -> None:
    empty = MONTHS.iloc[:0]
    assert "the source states no acquisition costs" in acquisition.possible(empty, OBSERVED, SEEN, NOBODY)
    told = acquisition.possible(MONTHS, UNSEEN, SEEN, CUSTOMERS)
    assert told.startswith("Acquisition cost (CAC) is not computable: first purchases not observed")
    partly = CUSTOMERS.assign(acquired_at=["2024-01-01", None, None, None, None])
    assert acquisition.possible(MONTHS, UNSEEN, SEEN, partly) == told
    dated = CUSTOMERS.assign(acquired_at="2024-01-01")
    assert (
        acquisition.possible(MONTHS, UNSEEN, SEEN, dated) == acquisition.possible(MONTHS, OBSERVED, SEEN, NOBODY) == ""
    )
    with pytest.raises(DataError, match="not computable"):
        measured(empty)


def test_the_figure_states_the_cost_and_the_payback() -> None:
    title = lifetime_figures.payback(measured(CHANNELS, CUSTOMERS), "EUR").get_suptitle()
    assert title == "A new customer cost 29.75 EUR and is paid back in month 2"
    late = lifetime_figures.payback(measured(margin_rate=0.1), "EUR").get_suptitle()
    assert "is not yet paid back after 5 months" in late

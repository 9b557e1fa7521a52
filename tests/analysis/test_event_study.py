"""Week by week around a campaign: by hand, clustered by customer, and honest about what cannot be seen."""

import itertools
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segmentkit.analysis.campaigns import Campaign
from segmentkit.analysis.event_study import EventStudy, _wald, event_study
from segmentkit.display import campaign_figures
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
START = date(2025, 1, 1)
CAMPAIGN = Campaign("big", date(2025, 2, 26), date(2025, 3, 14), "targeted")  # day 56; two whole weeks and three days


def study(weekly: np.ndarray, treated: np.ndarray, panel: bool = True, **options) -> EventStudy:
    """A shop in which customer ``i`` spends ``weekly[i, w]`` on the Wednesday that begins week ``w`` of the data."""
    ids = [f"C{i:03d}" for i in range(len(weekly))]
    rows = [
        (ids[i], f"{i}-{week}", pd.Timestamp(START + timedelta(weeks=week)), float(amount))
        for (i, week), amount in np.ndenumerate(weekly)
        if amount
    ]
    lines = pd.DataFrame(rows, columns=["customer_id", "order_id", "ordered_at", "amount"])
    table: ibis.Table = CONNECTION.create_table(f"weeks_{next(NUMBER)}", lines.astype({"ordered_at": "datetime64[s]"}))
    contacts = pd.DataFrame({"customer_id": np.array(ids)[treated], "campaign_id": "big", "event": "delivery"})
    return event_study(table, contacts, CAMPAIGN, START, confidence=0.95, panel=panel, **options)


def shop(seed: int, n: int = 120, weeks: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.lognormal(3, 0.5, (n, 1))
    return (own * rng.lognormal(0, 0.3, (n, weeks))).round(2), rng.permutation(np.arange(n) % 2 == 0)


def test_weeks_count_from_the_first_day_and_the_last_before_it_is_zero() -> None:
    weekly, treated = shop(1)
    found = study(weekly, treated)
    assert found.table["week"].tolist() == list(range(-8, 2)), "three days of a third week are left out"
    assert (found.reached, found.others) == (60, 60)
    assert found.table.set_index("week").loc[-1].tolist() == [0.0, 0.0, 0.0]
    for row in found.table[found.table["week"] != -1].itertuples():
        change = weekly[:, 8 + row.week] - weekly[:, 7]
        by_hand = stats.ttest_ind(change[treated], change[~treated], equal_var=False)
        interval = by_hand.confidence_interval(0.95)
        expected = change[treated].mean() - change[~treated].mean(), interval.low, interval.high
        assert (row.estimate, row.low, row.high) == pytest.approx(expected)


def test_with_one_week_to_test_the_joint_test_is_the_square_of_z() -> None:
    weekly, treated = shop(2)
    found = study(weekly, treated, weeks_before=2)
    change = weekly[:, 6] - weekly[:, 7]
    spread = change[treated].var(ddof=1) / 60 + change[~treated].var(ddof=1) / 60
    z = (change[treated].mean() - change[~treated].mean()) / np.sqrt(spread)
    assert found.table["week"].tolist() == [-2, -1, 0, 1]
    assert found.pretrend_p == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_a_gap_that_stays_is_no_trend_and_one_that_grows_is() -> None:
    weekly, treated = shop(3)
    steady = study(weekly + 30 * treated[:, None], treated)
    assert steady.pretrend_p > 0.05
    assert "did not move more than chance would have it" in steady.sentence
    growing = study(weekly + 3 * treated[:, None] * np.arange(12), treated)
    assert growing.pretrend_p < 1e-4
    assert growing.table["estimate"].iloc[0] < -15
    assert "already moved" in growing.sentence
    title = campaign_figures.event_study([steady, growing], "EUR").get_suptitle().replace("\n", " ")
    assert title.endswith("it already moved before big")


def test_where_nothing_moves_before_it_false_alarms_are_about_as_many_as_stated() -> None:
    rng, alarms = np.random.default_rng(8), 0
    for _ in range(600):
        weekly = rng.lognormal(3, 0.8, (400, 1)) * rng.lognormal(0, 0.5, (400, 9))
        change = weekly[:, :8] - weekly[:, 8:]
        alarms += _wald(change[:150], change[150:]) < 0.05
    assert 0.03 < alarms / 600 < 0.09


def test_those_not_seen_yet_are_left_out_unless_the_data_are_a_panel() -> None:
    weekly, treated = shop(4)
    weekly[:10, :5] = 0.0  # first seen in week 5 of the data, which is week -3
    assert treated[:10].any()
    known = study(weekly, treated, panel=False)
    assert known.table["week"].min() == -4, "the first four weeks serve to know the customers"
    assert known.reached + known.others == 110
    assert study(weekly, treated).reached == 60


@pytest.mark.parametrize("options", [{"weeks_before": 1}, {"weeks_before": 0}])
def test_too_few_weeks_are_said_and_not_shown(options: dict) -> None:
    weekly, treated = shop(5)
    found = study(weekly, treated, **options)
    assert found.table.empty
    assert np.isnan(found.pretrend_p)
    assert "too few weeks or customers" in found.sentence
    assert "too few weeks" in campaign_figures.event_study([found], "EUR").get_suptitle(), "nothing seen, nothing said"
    assert campaign_figures.event_study([found], "EUR").axes


def test_too_few_customers_are_said_too() -> None:
    weekly, _ = shop(6, n=10)
    assert study(weekly, np.arange(10) < 1).table.empty


def test_weeks_in_which_nobody_bought_add_nothing_to_the_joint_test() -> None:
    weekly, treated = shop(7)
    weekly[:, [4, 7]] = 0.0  # week -4, and the baseline itself
    found = study(weekly, treated)
    assert found.table.set_index("week").loc[-4].tolist() == [0.0, 0.0, 0.0]
    assert 0 <= found.pretrend_p <= 1

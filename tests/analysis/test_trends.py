"""Trends: a planted growth is found and told apart from none; the history goes on; lessons follow their customers."""

import itertools
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import clustering, trends
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.features import Window, build
from segmentkit.analysis.looks import Look
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

CONNECTION = connect()
NUMBER = itertools.count()
START = date(2024, 1, 1)
WEEKS = 13
# customers of a segment, orders a week, basket: A is worth most, C least
SEGMENTS = ((90, 4.0, 60.0), (90, 4.0, 8.0), (90, 1.0, 8.0))


def days(first: int, last: int) -> Window:
    return Window(START + timedelta(days=first), START + timedelta(days=last))


def shop(growth: dict[int, float], seed: int, weeks: int = 2 * WEEKS) -> pd.DataFrame:
    """Steady Poisson customers of three kinds; baskets grow by a share of the mean per four weeks in the last 13."""
    rng = np.random.default_rng(seed)
    parts, first = [], 0
    for kind, (customers, orders, basket) in enumerate(SEGMENTS):
        week = np.arange(weeks) - (weeks - WEEKS)
        level = np.where(week >= 0, 1 + growth.get(kind, 0.0) / 4 * (week - (WEEKS - 1) / 2), 1.0)
        counts = rng.poisson(orders, (customers, weeks))
        who, when = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
        amounts = basket * level[when] * rng.lognormal(-0.02, 0.2, len(who))
        moments = (when * 7 + rng.uniform(0, 7, len(who))) * 86_400
        parts.append(pd.DataFrame({"who": first + who, "moment": np.floor(moments), "amount": amounts.round(2)}))
        first += customers
    lines = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(
        {
            "customer_id": [f"C{number:04d}" for number in lines["who"]],
            "order_id": [f"O{number:06d}" for number in range(len(lines))],
            "ordered_at": (pd.Timestamp(START) + pd.to_timedelta(lines["moment"], unit="s")).astype("datetime64[s]"),
            "amount": lines["amount"],
        }
    )


def table(lines: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"trends_{next(NUMBER)}", lines)


def model(
    transactions: ibis.Table, seen: Window, k: int = 3, names: tuple[str, ...] = ("frequency", "basket_value")
) -> Segmentation:
    features = build(transactions, seen)
    return clustering.segment(features, clustering.scale(features, names), k, starts=3, seed=1)


def found(growth: dict[int, float], seed: int) -> pd.DataFrame:
    transactions, seen = table(shop(growth, seed)), days(7 * WEEKS, 14 * WEEKS)
    own = model(transactions, seen)
    return trends.trends(transactions, START, seen, own, categories=0, confidence=0.95).set_index("segment_key")


# --- trends


def test_a_planted_growth_is_found_and_the_others_are_not_called() -> None:
    got = found({1: 0.10}, seed=1)
    assert got["customers"].to_dict() == {"A": 90, "B": 90, "C": 90}
    assert got["weeks"].tolist() == [WEEKS] * 3
    assert got["word"].to_dict() == {"A": "no trend to be seen", "B": "growing", "C": "no trend to be seen"}
    assert got.loc["B", "trend"] == pytest.approx(0.10, abs=0.03)
    assert got.loc["B", "low"] < 0.10 < got.loc["B", "high"]
    assert (got["low"] < got["trend"]).all()
    assert (got["trend"] < got["high"]).all()
    # money a week per customer: orders times basket
    assert got["per_week"].to_dict() == pytest.approx({"A": 240, "B": 32, "C": 8}, rel=0.1)


def test_shrinking_is_called_shrinking_and_told_per_four_weeks() -> None:
    got = found({0: -0.15}, seed=2)
    assert got["word"].to_dict() == {"A": "shrinking", "B": "no trend to be seen", "C": "no trend to be seen"}
    assert got.loc["A", "trend"] == pytest.approx(-0.15, abs=0.03)
    told = trends.trends_sentence(got.reset_index())
    assert told.startswith(
        "Sales per customer per four weeks, over the last 13 weeks, segments as they stood before: A -1"
    )
    assert told.count("shrinking") == 1


def test_segments_are_frozen_before_the_weeks_begin() -> None:
    # everybody of B triples the basket in the last weeks: by those weeks they would be other customers
    lines = shop({}, seed=3)
    late = lines["ordered_at"] >= pd.Timestamp(START + timedelta(weeks=WEEKS))
    of_b = lines["customer_id"].between("C0090", "C0179")
    transactions = table(lines.assign(amount=lines["amount"].where(~(late & of_b), lines["amount"] * 7)))
    own = model(table(lines), days(0, 7 * WEEKS))
    got = trends.trends(transactions, START, days(7 * WEEKS, 14 * WEEKS), own, categories=0, confidence=0.95)
    assert got.set_index("segment_key").loc["B", ["customers", "per_week"]].tolist() == [
        90,
        pytest.approx(224, rel=0.1),
    ]


def test_weeks_without_a_purchase_count_as_zero() -> None:
    lines = shop({}, seed=4)
    of_c = lines["customer_id"] >= "C0180"
    week = (lines["ordered_at"] - pd.Timestamp(START)).dt.days // 7
    pause = week.between(2 * WEEKS - 7, 2 * WEEKS - 5) & of_c
    whole, paused = table(lines), table(lines[~pause])
    own, seen = model(whole, days(7 * WEEKS, 14 * WEEKS)), days(7 * WEEKS, 14 * WEEKS)
    levels = [
        trends.trends(one, START, seen, own, categories=0, confidence=0.95).set_index("segment_key")["per_week"]
        for one in (whole, paused)
    ]
    missing = lines.loc[pause, "amount"].sum() / 90 / WEEKS
    assert levels[1].to_dict() == pytest.approx((levels[0] - [0, 0, missing]).to_dict())


@pytest.mark.parametrize(("room", "weeks"), [(41, None), (42, 6), (48, 6), (140, 13)])
def test_there_are_as_many_weeks_as_the_data_leave_room_for(room: int, weeks: int | None) -> None:
    transactions = table(shop({}, seed=5, weeks=30))
    seen = days(room, 203)
    got = trends.trends(transactions, START, seen, model(transactions, seen), categories=0, confidence=0.95)
    assert got["weeks"].unique().tolist() == ([weeks] if weeks else [])
    told = trends.trends_sentence(got)
    if weeks:
        assert f"over the last {weeks} weeks" in told
    else:
        assert told == (
            "No trend can be read: segments must be frozen 6 weeks or more before the end, on a window as long, and "
            "the data do not reach back that far."
        )


def test_another_currency_changes_no_trend() -> None:
    lines, seen = shop({1: 0.10}, seed=6), days(7 * WEEKS, 14 * WEEKS)
    own = model(table(lines), seen, k=2, names=("frequency",))
    one, other = (
        trends.trends(
            table(lines.assign(amount=lines["amount"] * rate)), START, seen, own, categories=0, confidence=0.95
        )
        for rate in (1, 100)
    )
    assert one["segment_key"].tolist() == ["A", "B"]
    assert other["trend"].tolist() == pytest.approx(one["trend"].tolist())
    assert other["p_holm"].tolist() == pytest.approx(one["p_holm"].tolist())
    assert other["per_week"].tolist() == pytest.approx((one["per_week"] * 100).tolist())


# --- the history

MAY = Look(
    "may",
    days(0, 90),
    pd.DataFrame({"customer_id": ["anna", "bert", "cleo"], "monetary": [10.0, 5.5, 2.0]}),
    pd.DataFrame({"customer_id": ["anna", "bert", "cleo"], "segment_key": ["A", "B", "B"]}),
)
JUNE = Look(
    "june",
    days(30, 120),
    pd.DataFrame({"customer_id": ["anna", "bert"], "monetary": [20.0, 8.0]}),
    pd.DataFrame({"customer_id": ["anna", "bert"], "segment_key": ["A", "B"]}),
)


def test_the_history_appends_a_run_after_those_before() -> None:
    first = trends.history("may", MAY, {"verdict": "sound"}, None)
    assert first.values.tolist() == [
        ["may", "2024-03-31", "A", 1, 10.0, "sound"],
        ["may", "2024-03-31", "B", 2, 7.5, "sound"],
        ["may", "2024-03-31", "all", 3, 17.5, "sound"],
    ]
    assert trends.history_sentence(first).startswith("This run begins the history")
    both = trends.history("june", JUNE, {}, first)
    assert_frame_equal(both.iloc[:3], first)
    assert both["run"].tolist() == ["may"] * 3 + ["june"] * 3
    assert trends.history_sentence(both) == (
        "2 runs: from may (to 2024-03-31) to june (to 2024-04-30) customers went from 3 to 2, sales in the window from "
        "17.50 to 28.00."
    )


def test_a_run_of_the_same_name_is_replaced_not_counted_twice() -> None:
    both = trends.history("june", JUNE, {}, trends.history("may", MAY, {}, None))
    again = trends.history("june", JUNE, {"verdict": "sound"}, both)
    assert again["run"].tolist() == both["run"].tolist()
    assert again.loc[again["run"] == "june", "verdict"].tolist() == ["sound"] * 3


# --- lessons

IDS = [f"C{number:03d}" for number in range(300)]


def by_lot(*words: str, campaign: str = "autumn", fits: bool = True) -> dict:
    """A test as it lies in the metrics: one row a segment, and the row of all."""
    rows = [
        {"segment_key": key, "word": word, "net_benefit": 0.5, "net_benefit_low": 0.1, "net_benefit_high": 0.9}
        for key, word in zip(["all", "A", "B", "C"], ["scale", *words], strict=False)
    ]
    return {"campaign_id": campaign, "ratio_fits": fits, "value": "net_benefit", "rows": rows}


def keyed(keys: list[str] | np.ndarray, **more: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": IDS, "segment_key": keys}).assign(**more)


FROZEN = keyed(np.repeat(["A", "B", "C"], 100), campaign_id="autumn")
WORDS = ("scale", "stop", "test more")


def test_lessons_follow_the_customers_and_not_the_letters() -> None:
    got = trends.lessons([by_lot(*WORDS)], FROZEN, keyed(np.repeat(["C", "A", "B"], 100)))
    assert got[["campaign_id", "then", "now", "word"]].values.tolist() == [
        ["autumn", "A", "C", "scale"],
        ["autumn", "B", "A", "stop"],
        ["autumn", "C", "B", "test more"],
    ]
    assert got[["low", "high"]].values.tolist() == [[0.1, 0.9]] * 3
    assert trends.lessons_sentences(got) == [
        "autumn, segment A then, C now: it paid: send this offer to C again, and keep a hold-out.",
        "autumn, segment B then, A now: it cost more than it brought: take A off the list for this offer.",
        "autumn, segment C then, B now: not settled: test B again with more customers, or a stronger offer.",
    ]


def test_where_no_segment_holds_these_customers_any_more_no_lesson_is_carried_over() -> None:
    got = trends.lessons([by_lot(*WORDS)], FROZEN, keyed(np.tile(["A", "B", "C"], 100)))
    assert got["now"].tolist() == [""] * 3
    assert trends.lessons_sentences(got) == [
        f"autumn, segment {key} then: no segment of today holds these customers; read the test by its own segments."
        for key in "ABC"
    ]


def test_a_segment_without_a_successor_is_told_beside_one_that_has_it() -> None:
    today = np.concatenate([np.repeat(["X"], 100), np.tile(["P", "Q", "R", "S"], 50)])
    told = trends.lessons_sentences(trends.lessons([by_lot(*WORDS)], FROZEN, keyed(today)))
    assert told[0].startswith("autumn, segment A then, X now: it paid")
    assert told[1].startswith("autumn, segment B then: no segment of today holds these customers")


def test_each_campaign_is_read_by_its_own_segments() -> None:
    frozen = pd.concat([FROZEN, keyed(np.repeat(["B", "C", "A"], 100), campaign_id="spring")], ignore_index=True)
    tests = [by_lot(*WORDS), by_lot(*WORDS, campaign="spring")]
    got = trends.lessons(tests, frozen, keyed(np.repeat(["A", "B", "C"], 100)))
    assert got.groupby("campaign_id", sort=False)["now"].agg("".join).to_dict() == {"autumn": "ABC", "spring": "CAB"}


def test_a_test_whose_arms_do_not_fit_teaches_nothing() -> None:
    got = trends.lessons([by_lot(*WORDS, fits=False)], FROZEN, keyed(np.repeat(["A", "B", "C"], 100)))
    assert got.empty
    assert trends.lessons_sentences(got) == [
        "No campaign decided by lot has been read, so there is nothing to learn from yet."
    ]


def test_sales_are_read_where_profit_is_not_known() -> None:
    rows = [
        {"segment_key": "A", "word": "no money figure: margin or cost not known", "sales_low": -1.0, "sales_high": 2.0}
    ]
    test = by_lot() | {"value": "sales_difference", "rows": rows}
    got = trends.lessons([test], FROZEN, keyed(np.repeat(["A", "B", "C"], 100)))
    assert got[["low", "high", "lesson"]].values.tolist() == [
        [-1.0, 2.0, "state margin and cost, and the test can be read in money"]
    ]

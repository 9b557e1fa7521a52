"""When segments buy and answer: customers as the unit, nothing named that chance or others explain."""

from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.stats import ttest_ind
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis import buying_times, channel_answers
from segmentkit.analysis.buying_times import ANY, PARTS, WEEKDAYS, Times
from segmentkit.analysis.features import Window, build

YEAR = Window(date(2024, 1, 1), date(2024, 12, 30))  # 52 whole weeks from a Monday
MONDAY = pd.Timestamp("2024-01-01")


def crowd(**sizes: int) -> pd.DataFrame:
    keys = [key for key, many in sizes.items() for _ in range(many)]
    return pd.DataFrame({"customer_id": [f"c{n:04d}" for n in range(len(keys))], "segment_key": keys})


def orders(who: list[str], at: list[pd.Timestamp]) -> pd.DataFrame:
    ids = [f"o{n}" for n in range(len(who))]
    return pd.DataFrame({"customer_id": who, "order_id": ids, "ordered_at": at, "amount": 1.0})


def drawn(segments: pd.DataFrame, seed: int, *, many: int = 20, lean: float = 0.0) -> pd.DataFrame:
    """Orders at any hour of the year; in segment A a share of them on Saturday evenings."""
    rng = np.random.default_rng(seed)
    who = np.repeat(segments["customer_id"], many).tolist()
    at = MONDAY + pd.to_timedelta(rng.integers(0, 52 * 7 * 24, len(who)), unit="h")
    saturday = MONDAY + pd.to_timedelta(rng.integers(0, 52, len(who)) * 7 * 24 + 5 * 24 + 19, unit="h")
    leans = np.repeat(segments["segment_key"] == "A", many).to_numpy() & (rng.random(len(who)) < lean)
    return orders(who, list(np.where(leans, saturday, at)))


def of_orders(table: pd.DataFrame, segments: pd.DataFrame) -> Times:
    return buying_times.of_orders(ibis.memtable(table), YEAR, segments)


def cell(found: Times, key: str, weekday: str = ANY, part: str = ANY) -> pd.Series:
    table = found.table
    return table[(table["segment_key"] == key) & (table["weekday"] == weekday) & (table["part"] == part)].iloc[0]


# --- orders


def test_shares_and_their_test_are_as_computed_customer_by_customer() -> None:
    segments = crowd(A=30, B=50)
    table = drawn(segments, 1, lean=0.2).assign(on=lambda t: t["ordered_at"].dt.day_of_week == 5)
    table = table.sample(frac=0.5, random_state=2)  # unequal numbers of orders
    found = of_orders(table.drop(columns="on"), segments)
    each = table.groupby("customer_id")["on"].mean().reindex(segments["customer_id"])
    a, b = each[:30], each[30:]
    row = cell(found, "A", "Saturday")
    assert row[["share", "others"]].tolist() == pytest.approx([a.mean(), b.mean()])
    test = ttest_ind(a, b, equal_var=False)
    assert row[["low", "high"]].tolist() == pytest.approx(list(test.confidence_interval(0.95)))
    other = cell(found, "B", "Saturday")
    assert other["difference"] == pytest.approx(-row["difference"])
    assert row["p_holm"] <= min(1.0, test.pvalue * len(found.table)) + 1e-12


def test_a_customer_with_a_thousand_orders_weighs_as_one_with_ten() -> None:
    segments = crowd(A=40, B=40)
    night = orders(["c0000"] * 1000, [MONDAY + pd.Timedelta(hours=2)] * 1000)
    found = of_orders(
        pd.concat([drawn(segments.iloc[1:], 3), night.assign(order_id="n" + night["order_id"])]), segments
    )
    assert not found.table["sure"].any()
    assert "No segment's orders fall on other" in found.sentence


def test_nobody_at_a_rare_hour_in_a_small_segment_may_be_luck() -> None:
    segments = crowd(A=400, B=20)
    ids = segments["customer_id"].tolist()
    noon, night = MONDAY + pd.Timedelta(hours=12), MONDAY + pd.Timedelta(hours=2)
    table = orders(ids * 2 + ids[:80], [noon] * 840 + [night] * 80)
    row = cell(of_orders(table, segments), "B", part="night")
    assert (row["share"], row["high"] < 0) == (0, True)  # Welch alone would be sure: B has no variance there
    assert row["p_holm"] > 0.05


def test_what_is_planted_is_found_and_only_that() -> None:
    segments = crowd(A=150, B=150, C=150)
    found = of_orders(drawn(segments, 4, lean=0.3), segments)
    sure = found.table[found.table["sure"]]
    more = sure[(sure["segment_key"] == "A") & (sure["difference"] > 0)]
    places = {(row.weekday, row.part) for row in more.itertuples()}
    assert places == {("Saturday", ANY), (ANY, "evening"), ("Saturday", "evening")}
    day, part = found.best("A")
    assert day is not None
    assert part is not None
    assert (day["weekday"], part["part"]) == ("Saturday", "evening")
    assert cell(found, "B", "Saturday")["sure"]  # differs from all others, among whom is A, and has no day of its own
    assert found.best("B") == (None, None)


def test_shares_of_days_parts_and_cells_each_add_up_to_one() -> None:
    segments = crowd(A=20, B=20)
    table = of_orders(drawn(segments, 5), segments).table
    for own in (table["part"] == ANY, table["weekday"] == ANY, (table["part"] != ANY) & (table["weekday"] != ANY)):
        assert table[own].groupby("segment_key")["share"].sum().tolist() == pytest.approx([1, 1])
        assert table[own].groupby("segment_key")["even"].sum().tolist() == pytest.approx([1, 1])
    assert set(table["weekday"]) == {*WEEKDAYS, ANY}
    assert set(table["part"]) == {*PARTS, ANY}
    assert len(table) == 2 * (7 + 4 + 28)


@pytest.mark.parametrize(
    ("hour", "part"), [(4, "night"), (5, "morning"), (12, "afternoon"), (17, "evening"), (22, "night")]
)
def test_parts_of_the_day_are_those_of_the_features(hour: int, part: str) -> None:
    segments = crowd(A=12, B=12)
    who = segments["customer_id"].tolist()
    table = orders(who, [MONDAY + pd.Timedelta(hours=hour, minutes=1)] * 24)
    assert cell(of_orders(table, segments), "A", part=part)["share"] == 1
    shares = build(ibis.memtable(table), YEAR)
    assert part == "night" or shares[f"{part}_share"].tolist() == [1.0] * 24


def test_the_longest_part_of_the_day_is_not_the_busiest_by_its_length() -> None:
    segments = crowd(A=200, B=200)
    found = of_orders(drawn(segments, 6), segments)
    assert cell(found, "A", part="night")["share"] > 0.25  # seven of 24 hours
    assert found.best("A") == (None, None)


def test_dates_without_times_say_nothing_of_the_hour() -> None:
    segments = crowd(A=100, B=100)
    table = drawn(segments, 7, lean=0.4).assign(ordered_at=lambda t: t["ordered_at"].dt.normalize())
    found = of_orders(table, segments)
    assert not found.timed
    assert set(found.table["part"]) == {ANY}
    day, part = found.best("A")
    assert day is not None
    assert day["weekday"] == "Saturday"
    assert part is None
    assert "nothing is known of the hour" in found.sentence


def test_returns_are_no_orders_and_few_customers_have_no_share() -> None:
    segments = crowd(A=60, B=9)
    back = drawn(segments.head(60), 8).assign(ordered_at=MONDAY, amount=-1.0)
    table = drawn(segments, 9)
    found = of_orders(pd.concat([table, back.assign(order_id="r" + back["order_id"])]), segments)
    assert_frame_equal(found.table, of_orders(table, segments).table)
    assert found.table.loc[found.table["segment_key"] == "B", ["share", "low"]].isna().all(axis=None)
    assert not found.table["sure"].any()


def test_one_segment_has_no_others_but_its_own_days() -> None:
    segments = crowd(A=150)
    found = of_orders(drawn(segments, 10, lean=0.3), segments)
    assert found.table["others"].isna().all()
    assert not found.table["sure"].any()
    day, _ = found.best("A")
    assert day is not None
    assert day["weekday"] == "Saturday"


def test_the_order_of_rows_changes_nothing() -> None:
    segments = crowd(B=30, A=40)
    table = drawn(segments, 11)
    again = of_orders(table.sample(frac=1, random_state=3), segments.iloc[::-1])
    assert_frame_equal(of_orders(table, segments).table, again.table)


# --- answers


def contacts(*parts: tuple[list[str], str, str, str | None, str]) -> pd.DataFrame:
    """Contacts: customers, channel, event, campaign, moment."""
    rows = [(who, channel, event, campaign, at) for ids, channel, event, campaign, at in parts for who in ids]
    table = pd.DataFrame(rows, columns=["customer_id", "channel", "event", "campaign_id", "at"])
    return table.assign(at=pd.to_datetime(table["at"]))


def responses(ids: list[str], campaign: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids, "campaign_id": campaign, "outcome": "order", "value": 1.0})


NONE = responses([], "x")


def test_answers_are_never_named_for_the_hour_at_which_all_were_sent() -> None:
    segments = crowd(A=50, B=50)
    ids = segments["customer_id"].tolist()
    same = buying_times.of_answers(contacts((ids, "email", "open", "x", "2024-05-07 09:10")), segments)
    assert same.timed
    assert same.best("A") == (None, None)
    late = ids[50:80], "email", "open", "x", "2024-05-07 19:10"
    apart = contacts((ids[:50] + ids[80:], "email", "open", "x", "2024-05-07 09:10"), late)
    found = buying_times.of_answers(apart, segments)
    assert cell(found, "B", part="evening")["sure"]
    assert "when" not in found.sentence
    assert "follow the times at which messages went out" in found.sentence


def test_no_answers_and_visits_are_no_evidence() -> None:
    segments = crowd(A=20, B=20)
    for none in (contacts(), contacts((["c0001"], "site", "visit", None, "2024-05-07"))):
        found = buying_times.of_answers(none, segments)
        assert found.table.empty
        assert "not known" in found.sentence


def test_channels_are_compared_by_the_answers_that_all_of_them_record() -> None:
    segments = crowd(A=100, B=100)
    a, b = segments["customer_id"].tolist()[:100], segments["customer_id"].tolist()[100:]
    sent = contacts(
        (a + b, "email", "delivery", "one", "2024-05-07"), (a[:80], "email", "open", "one", "2024-05-08"),
        (a + b, "mail", "delivery", "two", "2024-06-07"),
        (a[:1], "email", "delivery", "three", "2024-07-07"), (a[:1], "mail", "delivery", "three", "2024-07-07"),
    )  # fmt: skip
    apart = channel_answers.by_channel(sent[sent["campaign_id"] != "three"], responses(a + b, "two"), segments)
    assert not apart.comparable
    said = pd.concat([responses(a[:40] * 2 + b[:10], "one"), responses(a[60:70] + b[:12], "two")])
    found = channel_answers.by_channel(sent, said, segments)
    assert found.comparable
    assert found.kinds == {"email": ("response",), "mail": ("response",)}  # mail records no opens
    assert found.table["answered"].tolist() == [40, 10, 10, 12]
    assert found.table.loc[0, ["low", "high"]].tolist() == pytest.approx(proportion_confint(40, 100, method="wilson"))
    assert found.best == {"A": "email"}
    assert "not caused" in found.sentence


def test_no_contact_one_channel_or_no_common_answer_is_no_evidence() -> None:
    segments = crowd(A=60, B=60)
    ids = segments["customer_id"].tolist()
    nobody = channel_answers.by_channel(contacts(), NONE, segments)
    one = channel_answers.by_channel(
        contacts((ids, "mail", "delivery", "x", "2024-05-07")), responses(ids[:30], "x"), segments
    )
    assert not nobody.comparable
    assert not one.comparable
    assert "only mail was ever used" in one.sentence
    assert one.table["answered"].tolist() == [30, 0]
    apart = contacts((ids, "mail", "delivery", "x", "2024-05-07"), (ids, "email", "delivery", "y", "2024-05-07"),
                     (ids[:20], "email", "click", "y", "2024-05-08"))  # fmt: skip
    found = channel_answers.by_channel(apart, responses(ids[:30], "x"), segments)
    assert not found.comparable
    assert "no kind of answer in common" in found.sentence


def test_strangers_and_visits_count_nowhere_and_few_reached_have_no_rate() -> None:
    segments = crowd(A=30, B=30)
    ids = segments["customer_id"].tolist()
    sent = contacts((["stranger"], "sms", "delivery", "x", "2024-05-07"), (ids, "site", "visit", None, "2024-05-07"),
                    (ids[:5] + ids[30:], "mail", "delivery", "x", "2024-05-07"))  # fmt: skip
    found = channel_answers.by_channel(sent, responses(["stranger", *ids[:5]], "x"), segments)
    assert found.table["channel"].unique().tolist() == ["mail"]
    assert found.table["reached"].tolist() == [5, 30]
    assert found.table["rate"].isna().tolist() == [True, False]


def test_contact_load_counts_those_without_any() -> None:
    segments = crowd(A=40, B=10)
    ids = segments["customer_id"].tolist()
    sent = contacts(
        (ids[:10] * 4, "mail", "delivery", "x", "2024-12-15"), (ids[:10], "mail", "open", "x", "2024-12-15"),
        (ids, "mail", "delivery", "x", "2024-11-01"), (ids, "mail", "delivery", "x", "2025-01-01"),
    )  # fmt: skip
    load = channel_answers.contact_load(sent, segments, YEAR).set_index("segment_key")
    assert load["mean"].to_dict() == {"A": 1.0, "B": 0.0}
    assert load.loc["A", "most"] == 4
    assert channel_answers.contact_load(contacts((ids, "site", "visit", None, "2024-12-15")), segments, YEAR).empty

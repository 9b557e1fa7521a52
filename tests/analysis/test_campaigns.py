"""Campaigns: which are read, segments that cannot see the future, and response rates."""

import itertools
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from segmentkit.analysis import campaigns, clustering, encoding
from segmentkit.analysis.campaigns import Campaign
from segmentkit.analysis.clustering import Scaling, Segmentation
from segmentkit.analysis.features import Window, build
from segmentkit.analysis.methods import KMeans
from segmentkit.analysis.rules import Beside
from segmentkit.analysis.simulate import generate_shop
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

CONNECTION = connect()
NUMBER = itertools.count()
NAMES = ["recency_days", "frequency", "monetary"]
LIKE = Segmentation(
    Scaling(tuple(NAMES), (0.0,) * 3, (), ()), tuple("ABCD"), KMeans(np.zeros((4, 3)))
)  # k-means with k = 4
YEAR = Window(date(2024, 1, 1), date(2025, 1, 1))
AUTUMN = Campaign("autumn", date(2025, 10, 1), date(2025, 11, 11), "targeted")
SHOP = generate_shop(500, 5)
LINES = SHOP.tables["transactions"]
START = date(2024, 1, 1)


def table(lines: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"campaigns_{next(NUMBER)}", lines)


PURCHASES = table(LINES)


# --- which campaigns


def plan(**dates: tuple[str, str]) -> pd.DataFrame:
    rows = [{"campaign_id": name, "start": start, "end": end} for name, (start, end) in dates.items()]
    return pd.DataFrame(rows).astype({"start": "datetime64[s]", "end": "datetime64[s]"})


PLAN = plan(
    spring=("2024-03-01", "2024-03-20"),
    summer=("2024-07-01", "2024-07-31"),
    autumn=("2024-09-01", "2024-09-30"),
    winter=("2024-11-01", "2024-11-30"),
    early=("2024-01-20", "2024-02-01"),
    long=("2024-03-01", "2024-06-30"),
    late=("2024-12-15", "2025-01-01"),
    unsent=("2024-05-01", "2024-05-10"),
)
REACHED = {"spring": 10, "summer": 40, "autumn": 30, "winter": 20, "early": 90, "long": 80, "late": 70}
CONTACTS = pd.DataFrame(
    [(name, f"C{i:03d}") for name, n in REACHED.items() for i in range(n)] + [("spring", "C000")] * 50,
    columns=["campaign_id", "customer_id"],
).assign(event="delivery")
NONE = CONTACTS.iloc[:0]


def test_the_three_that_reached_most_customers_inside_the_data_are_read_in_order_of_their_start() -> None:
    # spring has most rows, but they are repeats; early, long and late do not lie inside
    chosen = campaigns.choose(PLAN, CONTACTS, NONE, [], YEAR)
    assert [c.campaign_id for c in chosen] == ["summer", "autumn", "winter"]
    assert chosen[0] == Campaign("summer", date(2024, 7, 1), date(2024, 7, 31), "not stated")


def test_a_lottery_without_contacts_can_be_read_too() -> None:
    drawn = pd.DataFrame({"campaign_id": "unsent", "customer_id": [f"C{i:03d}" for i in range(99)], "arm": "x"})
    assert "unsent" in [c.campaign_id for c in campaigns.choose(PLAN, CONTACTS, drawn, [], YEAR)]
    assert [c.campaign_id for c in campaigns.choose(PLAN, CONTACTS, drawn, ["unsent"], YEAR)] == ["unsent"]


def test_whoever_only_clicked_was_not_sent_it_where_deliveries_are_recorded() -> None:
    autumn = campaigns.Campaign("autumn", date(2024, 9, 1), date(2024, 9, 30), "targeted")
    clicks = CONTACTS[CONTACTS["campaign_id"] == "autumn"].iloc[:5].assign(event="click", customer_id=list("abcde"))
    both = pd.concat([CONTACTS, clicks])
    assert not set("abcde") & set(campaigns.reached(both, autumn))
    assert set(campaigns.reached(clicks, autumn)) == set("abcde")


def test_campaigns_can_be_named() -> None:
    stated = PLAN.assign(design=["targeted", None, "", *["randomised"] * 5])
    chosen = campaigns.choose(stated, CONTACTS, NONE, ["winter", "spring"], YEAR)
    assert [(c.campaign_id, c.design) for c in chosen] == [("spring", "targeted"), ("winter", "randomised")]


def test_an_unknown_campaign_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ParameterError, match="campaign_ids holds 'easter'; the source knows autumn, early, late, long"):
        campaigns.choose(PLAN, CONTACTS, NONE, ["easter"], YEAR)


@pytest.mark.parametrize("name", ["early", "long", "late"])
def test_a_campaign_outside_the_data_is_refused_with_those_that_can_be_read(name: str) -> None:
    # early: fewer than 28 days before it; long: fewer days before it than it lasts; late: it ends with the data
    days = PLAN.set_index("campaign_id").loc[name]
    message = (
        rf"campaign_ids holds '{name}' \({days['start']:%Y-%m-%d} to {days['end']:%Y-%m-%d}\), but .* lie outside the "
        r"data \(2024-01-01 to 2025-01-01\); choose from summer, autumn, winter, spring"
    )
    with pytest.raises(ParameterError, match=message):
        campaigns.choose(PLAN, CONTACTS, NONE, [name], YEAR)


def test_a_campaign_that_reached_nobody_is_refused_for_that_reason() -> None:
    # needs: choose to tell "nobody was reached" from "lies outside the data"
    with pytest.raises(ParameterError, match="unsent") as caught:
        campaigns.choose(PLAN, CONTACTS, NONE, ["unsent"], YEAR)
    assert "reached nobody" in str(caught.value)
    assert "outside the data" not in str(caught.value)


def test_days_are_counted_with_both_ends() -> None:
    assert AUTUMN.days == 42
    assert AUTUMN.during == Window(date(2025, 10, 1), date(2025, 11, 12))
    assert AUTUMN.before == Window(date(2025, 8, 20), date(2025, 10, 1))
    assert AUTUMN.before.days == AUTUMN.during.days == 42


def test_the_choice_is_told() -> None:
    chosen = campaigns.choose(PLAN, CONTACTS, NONE, ["spring"], YEAR)
    told = campaigns.chosen_sentence(chosen, PLAN)
    assert told.startswith("Read here, of 8 campaigns: spring (2024-03-01 to 2024-03-20, not stated). The others")
    assert campaigns.chosen_sentence([], PLAN).startswith("No campaign can be read")


# --- frozen segments


def frozen(lines: ibis.Table) -> pd.DataFrame:
    return campaigns.frozen_segments(lines, AUTUMN, START, LIKE, starts=3, seed=2)


BEFORE = frozen(PURCHASES)


@given(factor=st.floats(0.0, 50.0), kept=st.floats(0.0, 1.0), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # an example takes long, so none is shrunk
def test_nothing_that_happens_from_the_first_day_on_changes_the_segments(factor: float, kept: float, seed: int) -> None:
    later = LINES["ordered_at"] >= pd.Timestamp(AUTUMN.start)
    assert later.any()
    future = LINES[later].sample(frac=kept, random_state=seed)
    future = future.assign(amount=(future["amount"] * factor).round(2), margin=-1.0)
    assert_frame_equal(frozen(table(pd.concat([LINES[~later], future]))), BEFORE, check_exact=True)


def test_a_purchase_on_the_day_before_does_change_what_is_seen() -> None:
    eve = LINES.iloc[[0]].assign(ordered_at=pd.Timestamp("2025-09-30 23:59"), amount=90_000.0, order_id="new")
    changed = frozen(table(pd.concat([LINES, eve.astype(LINES.dtypes.to_dict())])))
    assert not changed["distance"].equals(BEFORE["distance"])


def test_only_customers_who_had_bought_have_a_segment() -> None:
    newcomer = LINES.iloc[[0]].assign(customer_id="NEW", order_id="new", ordered_at=pd.Timestamp("2025-10-01 00:00"))
    segments = frozen(table(pd.concat([LINES, newcomer.astype(LINES.dtypes.to_dict())])))
    assert "NEW" not in set(segments["customer_id"])
    assert segments["customer_id"].is_unique


def test_segments_are_frozen_before_each_campaign_on_its_own() -> None:
    earlier = Campaign("first", date(2025, 3, 1), date(2025, 3, 31), "targeted")
    both = campaigns.freeze(PURCHASES, [earlier, AUTUMN], START, LIKE, starts=3, seed=2)
    assert both.columns.tolist() == ["campaign_id", "customer_id", "segment_key", "distance"]
    own = both[both["campaign_id"] == "autumn"].drop(columns="campaign_id")
    assert_frame_equal(own.reset_index(drop=True), BEFORE)
    assert campaigns.freeze(PURCHASES, [], START, LIKE, starts=3, seed=2).empty


def test_rules_about_attributes_and_contacts_are_frozen_as_of_the_first_day() -> None:
    first, late = SHOP.tables["customers"], pd.Timestamp(AUTUMN.start)
    asked = first["customer_id"]
    visits = pd.DataFrame({"customer_id": asked, "event": "visit", "at": late + pd.Timedelta(hours=1)})
    visits.loc[:99, "at"] = late - pd.Timedelta(days=3)
    beside = Beside(pd.DataFrame({"customer_id": asked, "region": ["north", "south"] * (len(asked) // 2)}), visits)
    stated = {"Just seen": "days_since_visit <= 7", "Northern": "region = 'north'"}
    features = beside.join(build(PURCHASES, YEAR, categories=0), YEAR.as_of)
    scaled = clustering.scale(features, NAMES)
    like = clustering.segment(
        features.assign(days_since_visit=0.0), scaled, 0, method="rules", starts=1, seed=1, stated=stated
    )
    found = campaigns.freeze(PURCHASES, [AUTUMN], START, like, starts=1, seed=1, beside=beside)
    own = {f"{row.segment_key}": set() for row in found.itertuples()}
    for row in found.itertuples():
        own[row.segment_key].add(row.customer_id)
    just, north = set(asked[:100]), set(asked[::2])
    known = set(found["customer_id"])
    assert sorted(own.values(), key=len) == sorted(
        [just & known, (north - just) & known, known - just - north], key=len
    )
    with pytest.raises(DataError, match=r"rule 'Northern': .* cannot be read"):
        campaigns.frozen_segments(PURCHASES, AUTUMN, START, like, starts=1, seed=1)


@pytest.mark.parametrize("method", ["mixture", "ward"])
def test_the_same_method_is_fitted_to_the_days_before(method: str) -> None:
    features = build(PURCHASES, Window(START, AUTUMN.start), categories=0)
    then = clustering.segment(features, clustering.scale(features, NAMES), 3, method=method, starts=3, seed=2)
    today = build(PURCHASES, Window(START, date(2026, 1, 1)), categories=0)
    like = clustering.segment(today, clustering.scale(today, NAMES), 3, method=method, starts=3, seed=2)
    found = campaigns.frozen_segments(PURCHASES, AUTUMN, START, like, starts=3, seed=2)
    assert_frame_equal(found, then.assign(features), check_exact=True)


def test_shares_of_categories_are_frozen_and_one_nobody_had_bought_counts_as_none() -> None:
    today = build(PURCHASES, Window(START, date(2026, 1, 1)), categories=3).fillna(0)
    names = [name for name in today if name.startswith("category_")]
    like = clustering.segment(today, clustering.scale(today, names), 3, starts=3, seed=2)
    found = campaigns.frozen_segments(PURCHASES, AUTUMN, START, like, starts=3, seed=2)
    before = build(PURCHASES, Window(START, AUTUMN.start), categories=100)
    assert found["customer_id"].tolist() == before.dropna(subset=names)["customer_id"].tolist()
    later = table(LINES.assign(category=LINES["category"].where(LINES["ordered_at"] >= "2025-10-01", "Other")))
    with pytest.raises(DataError, match="is the same for every customer"):
        campaigns.frozen_segments(later, AUTUMN, START, like, starts=3, seed=2)


def test_segments_of_respondents_are_frozen_for_respondents_only() -> None:
    asked = np.sort(SHOP.tables["customers"]["customer_id"])[::3]
    answers = pd.DataFrame(
        {"customer_id": asked, "bargain": np.arange(len(asked)) % 2, "rating": np.arange(len(asked)) % 5}
    )
    nobody = pd.DataFrame({"customer_id": [], "event": [], "at": []})
    beside = Beside(SHOP.tables["customers"][["customer_id"]], nobody, answers)
    joined = beside.join(build(PURCHASES, YEAR, categories=0), YEAR.as_of)
    scaled, _ = encoding.encode(joined, {"bargain": "binary", "rating": "ordinal"}, missing_ceiling=1.0)
    like = clustering.segment(joined, scaled, 2, starts=2, seed=1)
    found = campaigns.frozen_segments(PURCHASES, AUTUMN, START, like, starts=2, seed=1, beside=beside)
    assert set(found["customer_id"]) == set(asked) & set(BEFORE["customer_id"])
    with pytest.raises(DataError, match="features lack bargain, rating; join what is known beside purchases"):
        campaigns.frozen_segments(PURCHASES, AUTUMN, START, like, starts=2, seed=1)


# --- response rates


def wilson(answered: int, reached: int, z: float = 1.959963984540054) -> tuple[float, float]:
    middle = (answered + z**2 / 2) / (reached + z**2)
    half = z / (reached + z**2) * np.sqrt(answered * (reached - answered) / reached + z**2 / 4)
    return middle - half, middle + half


SEGMENTS = pd.DataFrame({"customer_id": [f"C{i:02d}" for i in range(14)], "segment_key": ["A"] * 10 + ["B"] * 4})
MAILED = pd.DataFrame(
    {
        # the last two never bought before; the first was written to twice
        "customer_id": [f"C{i:02d}" for i in [0, *range(14), 20, 21]] + ["C01"],
        "campaign_id": ["autumn"] * 17 + ["other"],
        "event": "delivery",
    }
)
ANSWERS = pd.DataFrame(
    {
        # C30 was not reached, C02 answered twice, C03 answered another campaign
        "customer_id": ["C00", "C01", "C02", "C02", "C20", "C30", "C03"],
        "campaign_id": ["autumn"] * 6 + ["other"],
    }
)


def test_response_rates_count_each_reached_customer_once_with_wilson_intervals() -> None:
    rates = campaigns.response_rates(SEGMENTS, MAILED, ANSWERS, AUTUMN, 0.95)
    counts = {"A": (3, 10), "B": (0, 4), "none": (1, 2), "all": (4, 16)}
    assert rates["segment_key"].tolist() == list(counts)
    for row in rates.itertuples():
        answered, reached = counts[row.segment_key]
        assert (row.responders, row.reached, row.rate) == (answered, reached, answered / reached)
        assert (row.low, row.high) == pytest.approx(wilson(answered, reached), abs=1e-12)
        assert -1e-12 <= row.low <= row.rate <= row.high <= 1 + 1e-12


def test_rates_of_all_campaigns_stand_below_one_another_and_are_empty_without_answers() -> None:
    assert campaigns.rates_of([AUTUMN], SEGMENTS.assign(campaign_id="autumn"), MAILED, ANSWERS, 0.95).shape == (4, 7)
    none = campaigns.rates_of([AUTUMN], SEGMENTS.assign(campaign_id="autumn"), MAILED, ANSWERS.iloc[:0], 0.95)
    assert none.empty
    assert campaigns.rates_sentence(none) == "No answers to read: that needs contacts and responses."


def test_segments_with_few_reached_are_left_to_the_table() -> None:
    rates = pd.DataFrame(
        {
            "campaign_id": "autumn",
            "segment_key": ["A", "B", "none", "all"],
            "reached": [200, 29, 90, 319],
            "responders": [20, 3, 9, 32],
            "rate": [0.1, 0.1, 0.1, 0.1],
            "low": 0.05,
            "high": 0.15,
        }
    )
    told = campaigns.rates_sentence(rates)
    assert told == "Answers by segment before the campaign: campaign autumn: 32 of 319 answered; A 10% (5% to 15%)."


# --- spend


def test_customers_who_bought_nothing_spent_zero() -> None:
    lines = LINES.iloc[:0].copy()
    lines.loc[0, ["customer_id", "order_id", "amount", "margin"]] = ["a", "1", 10.25, 4.0]
    lines.loc[1, ["customer_id", "order_id", "amount", "margin"]] = ["a", "1", 5.0, 1.0]
    lines.loc[2, ["customer_id", "order_id", "amount", "margin"]] = ["b", "2", 7.0, 2.0]
    lines["ordered_at"] = pd.to_datetime(["2025-10-05", "2025-10-05", "2025-12-05"])
    found = campaigns.spend(table(lines), AUTUMN.during, pd.Series(["b", "x", "a"]))
    assert found.values.tolist() == [["b", 0.0, 0.0, 0.0], ["x", 0.0, 0.0, 0.0], ["a", 15.25, 1.0, 5.0]]
    without = campaigns.spend(table(lines.drop(columns="margin")), AUTUMN.during, pd.Series(["a"]))
    assert without.columns.tolist() == ["customer_id", "sales", "orders"]

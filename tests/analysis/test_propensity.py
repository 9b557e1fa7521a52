"""Likely buyers: what may be known at a cut, hand-computed scores of a propensity, verdicts, and what is refused."""

import itertools
from datetime import date, datetime, timedelta
from functools import cache

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import propensity, propensity_check
from segmentkit.analysis.features import Window
from segmentkit.analysis.propensity_check import BETTER, NO_BETTER, NOT_CALIBRATED, TOO_FEW, Sample, judge
from segmentkit.display import propensity_figures
from segmentkit.errors import DataError, ParameterError, PrivacyStop

CONNECTION, NUMBER = ibis.duckdb.connect(), itertools.count()
START = datetime(2024, 1, 1)
SEEN = Window(date(2024, 1, 1), date(2024, 12, 26))  # 360 days: 240 to look back on, twice 60 to learn and to judge
LEARN, LATER, TODAY = 240, 300, 360


def lines(*rows: tuple[str, float, str, float]) -> pd.DataFrame:
    """Customer, day, category, amount."""
    table = pd.DataFrame(rows, columns=["customer_id", "day", "category", "amount"])
    table["ordered_at"] = [START + timedelta(days=day) for day in table.pop("day")]
    return table.assign(order_id=[f"o{number}" for number in range(len(table))])


def shop(customers: int = 1_600) -> pd.DataFrame:
    return made(customers).copy()


@cache
def made(customers: int) -> pd.DataFrame:
    """Frequent shoppers sooner buy tea for the first time; beer is bought by all, at any time."""
    rng = np.random.default_rng(3)
    often = np.repeat([1, 2, 4, 8], customers // 4)
    rows = []
    for number, orders in enumerate(often):
        for day in rng.uniform(0, TODAY, 2 * orders + 2):
            rows.append((f"c{number:04}", float(day), str(rng.choice(["Bread", "Fruit", "Beer"])), 10.0))
        for start in range(0, TODAY, 60):
            if rng.random() < 0.02 * orders:
                rows.append((f"c{number:04}", start + float(rng.uniform(0, 60)), "Tea", 5.0))
    return lines(*rows)


def engine(table: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"lines_{next(NUMBER)}", table)


def read(table: pd.DataFrame, **options: object) -> propensity.LikelyBuyers:
    return propensity.likely_buyers(engine(table), SEEN, **({"horizon_days": 60, "seed": 1} | options))


@pytest.fixture(scope="module")
def found() -> propensity.LikelyBuyers:
    return read(shop(), categories=["Tea"])


# --- what may be known at a cut


def test_a_purchase_counts_on_its_own_side_of_the_cut() -> None:
    everybody = [(f"c{number:04}", 100.0, "Bread", 10.0) for number in range(200)]
    everybody += [(f"c{number:04}", 110.0, "Bread", 10.0) for number in range(200)]
    at_the_cut = [(f"c{number:04}", float(LEARN), "Tea", 1.0) for number in range(40)]
    just_before = [(f"c{number:04}", LEARN - 0.001, "Tea", 1.0) for number in range(40, 80)]
    last_moment = [(f"c{number:04}", LATER - 0.001, "Tea", 1.0) for number in range(80, 90)]
    judged_on = [(f"c{number:04}", float(LATER), "Tea", 1.0) for number in range(90, 125)]
    free = [(f"c{number:04}", float(LATER), "Tea", 0.0) for number in range(150, 160)]
    stranger = [("new", float(LEARN), "Tea", 1.0)]
    table = lines(*everybody, *at_the_cut, *just_before, *last_moment, *judged_on, *free, *stranger)
    one = read(table, categories=["Tea"]).judged[0]
    assert one.learned == (160, 50)
    assert one.later == (110, 35)


def test_what_comes_after_a_cut_changes_no_probability(found: propensity.LikelyBuyers) -> None:
    table = shop()
    later = (table["ordered_at"] >= START + timedelta(days=LATER)) & (table["category"] != "Tea")
    table.loc[later, "amount"] *= 1_000
    again = read(table, categories=["Tea"]).judged[0]
    np.testing.assert_array_equal(again.stated, found.judged[0].stated)
    assert again.scores is not None
    assert not again.scores["probability"].equals(found.scores["probability"])


def test_the_order_of_rows_changes_nothing(found: propensity.LikelyBuyers) -> None:
    again = read(shop().sample(frac=1, random_state=5), categories=["Tea"])
    assert again.sentence == found.sentence
    assert_frame_equal(again.scores, found.scores)


def test_all_looks_see_equally_far() -> None:
    table, look = engine(shop()), Window(date(2024, 3, 1), date(2024, 10, 27))
    known = propensity._known(table, look, ["Bread"])
    assert known["tenure_days"].max() <= look.days
    assert known["categories_bought"].max() == 4
    assert [name for name in known if name.startswith("category_")] == ["category_bread_share"]
    assert known["category_bread_share"].mean() < 0.5, "a share of all sales, not of the best sellers alone"


# --- verdicts and their figures


def customers(n: int, seed: int, strength: float, base: float = -2.0, times: float = 1.0) -> Sample:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    chance = times / (1 + np.exp(-(base + strength * x)))
    known = pd.DataFrame(
        {"customer_id": [f"c{i}" for i in range(n)], "frequency": np.exp(x), "trend": rng.normal(size=n)}
    )
    return Sample(known, rng.random(n) < chance)


def test_figures_of_a_judgement_agree_with_their_definitions() -> None:
    learned, later = customers(3_000, 1, 1.0), customers(2_000, 2, 1.0)
    one = judge("Tea", learned, later, confidence=0.95, seed=0)
    y, rate = later.bought.astype(float), later.bought.mean()
    assert one.verdict == BETTER
    assert one.brier == pytest.approx(((one.stated - y) ** 2).mean())
    assert one.brier_own == pytest.approx(((rate - y) ** 2).mean())
    assert one.brier_learned == pytest.approx(one.brier_own + (learned.bought.mean() - rate) ** 2)
    assert one.gain[0] == pytest.approx(one.brier_own - one.brier)
    assert one.calibration["customers"].tolist() == [200] * 10
    assert (one.calibration["observed"] * 200).sum() == pytest.approx(y.sum())
    assert one.calibration["predicted"].is_monotonic_increasing
    pairs = one.stated[later.bought][:, None] - one.stated[~later.bought][None, :]
    assert one.auc[0] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    top = np.argsort(-one.stated)[:200]
    assert one.lift[0] == pytest.approx(y[top].mean() / rate)
    assert one.slope[1] < 1 < one.slope[2]
    told = f"Of 100 customers in the tenth with the highest probability {round(100 * y[top].mean())} bought Tea"
    assert told in one.in_practice


def test_noise_is_no_better_and_halving_is_not_calibrated() -> None:
    noise = judge("Tea", customers(2_000, 1, 0.0), customers(2_000, 2, 0.0), confidence=0.95, seed=0)
    assert noise.verdict == NO_BETTER
    halved = judge("Tea", customers(2_000, 1, 1.0), customers(2_000, 2, 1.0, times=0.5), confidence=0.95, seed=0)
    assert halved.verdict == NOT_CALIBRATED
    assert halved.off[2] < 0
    assert halved.predicted == pytest.approx(2 * halved.later[1] / halved.later[0], rel=0.2)


def test_a_signal_that_turns_round_is_not_believed() -> None:
    turned = judge("Tea", customers(2_000, 1, 1.0), customers(2_000, 2, -1.0), confidence=0.95, seed=0)
    assert turned.verdict == NO_BETTER
    assert turned.gain[2] < 0
    assert turned.slope[2] < 0


@pytest.mark.parametrize(("learned", "later"), [(-6.0, -2.0), (-2.0, -6.0), (9.0, 9.0)])
def test_thirty_buyers_and_thirty_others_are_needed_in_each_period(learned: float, later: float) -> None:
    sides = customers(500, 1, 0.0, base=learned), customers(500, 2, 0.0, base=later)
    one = judge("Tea", *sides, confidence=0.95, seed=0)
    assert one.verdict == TOO_FEW
    assert one.in_practice == ""
    assert "at least 30 buyers and 30 others are needed" in one.sentence


def test_buyers_told_apart_without_fail_are_judged_too() -> None:
    sides = [customers(1_000, seed, 0.0) for seed in (1, 2)]
    sure = [Sample(side.known.assign(trend=np.where(side.bought, 1.0, -1.0)), side.bought) for side in sides]
    one = judge("Tea", *sure, confidence=0.95, seed=0)
    assert one.auc[0] > 0.99
    assert np.isnan(one.slope[0]) or one.slope[1] > 0
    assert one.lift[0] == pytest.approx(100 / one.later[1] * 10)


def test_customers_who_are_all_alike_stay_in_one_tenth() -> None:
    sides = [customers(1_000, 1, 0.0)] * 2
    alike = [Sample(side.known.assign(frequency=1.0, trend=0.0), side.bought) for side in sides]
    one = judge("Tea", *alike, confidence=0.95, seed=0)
    assert one.verdict == NO_BETTER
    assert one.calibration["customers"].tolist() == [1_000]
    assert one.auc[0] == pytest.approx(0.5)
    assert one.lift[0] == pytest.approx(1.0)
    assert "calibration slope not known" in one.sentence


def test_of_customers_tied_at_the_end_of_the_top_tenth_a_part_counts() -> None:
    score = np.array([2.0] + [1.0] * 9 + [0.0] * 10)
    bought = np.array([True] + [True] * 3 + [False] * 16)
    hits = 1 + 3 / 9  # the top tenth are two: the first, and one drawn by lot of nine
    assert propensity_check._lift(score, bought, 0.95)[0] == pytest.approx((hits / 2) / (4 / 20))


# --- from purchases to scores


def test_scores_are_of_todays_customers_who_do_not_have_it(found: propensity.LikelyBuyers) -> None:
    assert [one.verdict for one in found.judged] == [BETTER]
    table, recent = shop(), START + timedelta(days=TODAY - 240)
    looked = table[table["ordered_at"] >= recent]
    expected = set(looked["customer_id"]) - set(looked.loc[looked["category"] == "Tea", "customer_id"])
    assert set(found.scores["customer_id"]) == expected
    assert found.scores["probability"].between(0, 1).all()


def test_segments_add_up_to_the_scores(found: propensity.LikelyBuyers) -> None:
    ids = [f"c{number:04}" for number in range(1_600)]
    segments = pd.DataFrame({"customer_id": ids, "segment_key": np.repeat(list("ABAC"), 400)})
    table = found.by_segment(segments)
    assert table["segment_key"].tolist() == ["A", "B", "C"]
    assert table["expected_buyers"].sum() == pytest.approx(found.scores["probability"].sum())
    assert table["customers"].sum() == len(found.scores)
    one = table.set_index("segment_key").loc["C"]
    assert one["probability"] == pytest.approx(one["expected_buyers"] / one["customers"])
    assert one["probability"] == table["probability"].max(), "the most frequent shoppers"


def test_without_a_verdict_there_are_no_scores() -> None:
    few = read(shop(80), categories=["Tea"])
    assert few.judged[0].verdict == TOO_FEW
    assert few.scores is None
    table = few.by_segment(pd.DataFrame({"customer_id": ["c0001", "c0002"], "segment_key": ["A", "B"]}))
    assert table["segment_key"].tolist() == ["A", "B"]
    assert table[["probability", "expected_buyers", "customers"]].isna().all(axis=None)


def test_sensitive_categories_are_neither_picked_nor_used() -> None:
    both = read(shop(), most=9)
    assert "Beer" not in [one.category for one in both.judged]
    assert "Beer (alcohol, tobacco and drugs: " in both.sentence
    allowed = read(shop(), categories=["Beer"], allowed=["Beer: licensed shop, adults only"])
    assert [one.category for one in allowed.judged] == ["Beer"]
    assert allowed.screened.allowed == {"Beer": "licensed shop, adults only"}


def test_what_is_allowed_is_scored_but_scores_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    keep = propensity._known
    monkeypatch.setattr(propensity, "_known", lambda *parts: used.extend(parts[2]) or keep(*parts))
    read(shop(), categories=["Tea"], allowed=["Beer: licensed shop, adults only"])
    assert sorted(set(used)) == ["Bread", "Fruit", "Tea"]


def test_those_with_most_first_time_buyers_are_tried_first() -> None:
    table = shop()
    cut, end = START + timedelta(days=LEARN), START + timedelta(days=LATER)
    before, after = table[table["ordered_at"] < cut], table[table["ordered_at"].between(cut, end, inclusive="left")]
    counts = {}
    for category in ("Bread", "Fruit", "Tea"):
        has = set(before.loc[before["category"] == category, "customer_id"])
        bought = set(after.loc[after["category"] == category, "customer_id"])
        counts[category] = len((bought - has) & set(before["customer_id"]))
    tried = [one.category for one in read(table, most=2).judged]
    assert tried == sorted(counts, key=lambda category: -counts[category])[:2]


def test_what_cannot_be_done_is_refused_in_words() -> None:
    table = shop(80)
    with pytest.raises(PrivacyStop, match="allowed_sensitive"):
        read(table, categories=["Beer"])
    with pytest.raises(ParameterError, match="mend the names"):
        read(table, categories=["Teas"])
    with pytest.raises(DataError, match="allow up to 120; choose fewer days or bring older data"):
        read(table, horizon_days=121)
    with pytest.raises(DataError, match="hold no category"):
        read(table.drop(columns="category"))


def test_the_figure_says_what_the_verdict_says(found: propensity.LikelyBuyers) -> None:
    drawn = propensity_figures.calibration(found.tested)
    assert "below the base rate's, no tenth grossly off" in drawn.get_suptitle().replace("\n", " ")
    assert drawn.axes[0].get_title(loc="left") == "Tea\nbetter than the base rate"

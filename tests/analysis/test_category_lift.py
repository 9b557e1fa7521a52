"""What segments buy: counted as by hand, hidden where small, silent where chance would do, and blind to row order."""

from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.sparse import csr_array
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis import category_lift
from segmentkit.analysis.category_lift import ALIKE, AS_ALL, BEATS, HIDDEN, OVER, UNDER, Categories
from segmentkit.analysis.features import Window
from segmentkit.analysis.tastes import Bought

YEAR = Window(date(2025, 1, 1), date(2026, 1, 1))
EARLY, LATE = "2025-03-01", "2025-12-20"


def crowd(**sizes: int) -> pd.DataFrame:
    keys = [key for key, many in sizes.items() for _ in range(many)]
    return pd.DataFrame({"customer_id": [f"c{n:04d}" for n in range(len(keys))], "segment_key": keys})


def lines(*parts: tuple[list[str], str, str]) -> pd.DataFrame:
    """Purchases: customers, category, day."""
    rows = [(who, category, day) for customers, category, day in parts for who in customers]
    table = pd.DataFrame(rows, columns=["customer_id", "category", "day"])
    table["order_id"] = [f"o{n}" for n in range(len(table))]
    return table.assign(ordered_at=pd.to_datetime(table["day"]), amount=1.0).drop(columns="day")


def of(segments: pd.DataFrame, key: str, many: int, skip: int = 0) -> list[str]:
    own = segments.loc[segments["segment_key"] == key, "customer_id"].tolist()
    return own[skip : skip + many]


def measure(purchases: pd.DataFrame, segments: pd.DataFrame, **options: object) -> Categories:
    return category_lift.measure(ibis.memtable(purchases), YEAR, segments, **options)  # type: ignore[arg-type]


def cell(table: pd.DataFrame, key: str, category: str) -> pd.Series:
    return table[(table["segment_key"] == key) & (table["category"] == category)].iloc[0]


# --- lift


def test_shares_ratio_and_interval_are_as_computed_by_hand() -> None:
    segments = crowd(A=100, B=300)
    found = measure(lines((of(segments, "A", 60), "Wine", EARLY), (of(segments, "B", 90), "Wine", EARLY)), segments)
    row = cell(found.lift, "A", "Wine")
    assert row[["customers", "buyers", "share", "others", "ratio"]].tolist() == [100, 60, 0.6, 0.3, 2.0]
    reach = 1.959964 * np.sqrt(1 / 60 - 1 / 100 + 1 / 90 - 1 / 300)
    assert row[["low", "high"]].tolist() == pytest.approx([2 * np.exp(-reach), 2 * np.exp(reach)], rel=1e-5)
    assert (row["verdict"], cell(found.lift, "B", "Wine")["verdict"]) == (OVER, UNDER)
    p = fisher_exact([[60, 40], [90, 210]]).pvalue
    assert row["p_holm"] == pytest.approx(2 * p)  # two cells of two segments, the same table twice
    assert "A 1 more and 0 less, B 0 more and 1 less" in found.sentence


def test_each_customer_counts_once_and_returns_and_gaps_do_not() -> None:
    segments = crowd(A=50, B=50)
    both = lines((of(segments, "A", 20) * 5, "Wine", EARLY), (of(segments, "B", 20), "Wine", EARLY))
    noise = lines((of(segments, "B", 20, 20), "Wine", EARLY)).assign(amount=-1.0)
    unnamed = lines((of(segments, "B", 50), "Wine", EARLY)).assign(category=None)
    outside = lines((of(segments, "B", 50), "Wine", "2026-02-01"))
    found = measure(
        pd.concat([both, noise, unnamed, outside]).astype({"category": "str"}).replace({"None": None}), segments
    )
    assert found.lift["buyers"].tolist() == [20, 20]
    assert found.lift["verdict"].tolist() == [ALIKE, ALIKE]


def test_customers_who_bought_nothing_count_in_the_share() -> None:
    segments = crowd(A=40, B=40)
    found = measure(lines((of(segments, "A", 10), "Wine", EARLY), (of(segments, "B", 20), "Wine", EARLY)), segments)
    assert found.lift["share"].tolist() == [0.25, 0.5]


def test_small_cells_are_hidden_and_nothing_gives_them_away() -> None:
    segments = crowd(A=100, B=100, C=100)
    bought = [(of(segments, key, n), "Wine", EARLY) for key, n in (("A", 60), ("B", 20), ("C", 4))]
    bought += [(of(segments, key, n), "Beer", EARLY) for key, n in (("A", 60), ("B", 50), ("C", 0))]
    bought += [(of(segments, "A", 7), "Rare", EARLY)]
    found = measure(lines(*bought), segments)
    wine = [cell(found.lift, key, "Wine") for key in "ABC"]
    assert [row["verdict"] for row in wine] == [OVER, HIDDEN, HIDDEN]  # with B shown, C would follow from the total
    hidden = found.lift[found.lift["verdict"] == HIDDEN]
    assert hidden[["buyers", "share", "others", "ratio", "low", "high", "p_holm"]].isna().all(axis=None)
    nobody = cell(found.lift, "C", "Beer")  # names nobody, and is a finding
    assert (nobody["ratio"], nobody["low"]) == pytest.approx((0, 0))
    assert nobody["verdict"] == UNDER
    assert 0 < nobody["high"] < 0.2
    assert "Rare" not in set(found.lift["category"])
    assert "2 cells are hidden" in found.sentence


def test_what_only_one_segment_buys_has_no_highest_ratio() -> None:
    segments = crowd(A=100, B=100)
    row = cell(measure(lines((of(segments, "A", 60), "Wine", EARLY)), segments).lift, "A", "Wine")
    assert (row["ratio"], row["high"], row["verdict"]) == (np.inf, np.inf, OVER)
    assert 10 < row["low"] < 60
    assert category_lift.times(row["ratio"]) == "only its customers"


def test_the_others_small_count_is_hidden_too() -> None:
    segments = crowd(A=100, B=100)
    found = measure(lines((of(segments, "A", 60), "Wine", EARLY), (of(segments, "B", 3), "Wine", EARLY)), segments)
    assert found.lift["verdict"].tolist() == [HIDDEN, HIDDEN]


def test_strongest_are_those_surest_to_be_far_from_one() -> None:
    segments = crowd(A=500, B=500)
    few = (of(segments, "A", 40), "Few", EARLY), (of(segments, "B", 10), "Few", EARLY)
    many = (of(segments, "A", 300), "Many", EARLY), (of(segments, "B", 100), "Many", EARLY)
    found = measure(lines(*few, *many), segments)
    assert cell(found.lift, "A", "Few")["ratio"] > cell(found.lift, "A", "Many")["ratio"]
    assert found.strongest("A", OVER)["category"].tolist() == ["Many", "Few"]
    assert found.strongest("B", UNDER)["category"].tolist() == ["Many", "Few"]
    assert found.strongest("A", UNDER).empty


def test_one_segment_and_no_category_say_so() -> None:
    segments = crowd(A=50)
    alone = measure(lines((of(segments, "A", 30), "Wine", EARLY)), segments)
    assert alone.strongest("A", OVER).empty
    assert alone.likely_next("A") is None
    without = measure(lines((of(segments, "A", 30), "Wine", EARLY)).drop(columns="category"), segments)
    assert without.lift.empty
    assert without.next.empty
    assert without.split is None
    assert "no column category" in without.sentence


def test_no_category_ever_named_is_no_error() -> None:
    segments = crowd(A=20, B=20)
    found = measure(lines((of(segments, "A", 3), "Wine", EARLY)), segments)
    assert found.lift.empty
    assert found.next.empty
    assert "none beyond chance" in found.sentence


# --- first purchases later


def test_first_purchases_are_of_known_customers_without_it() -> None:
    segments = crowd(A=100, B=200)
    everybody = segments["customer_id"].tolist()[10:]  # the first ten of A come only later: they were not known
    found = measure(
        lines(
            (everybody, "Bread", EARLY),
            (of(segments, "A", 20, 10), "Wine", EARLY),
            (of(segments, "A", 45, 15), "Wine", LATE),  # 15 of them had it already
            (of(segments, "A", 10), "Wine", LATE),
            (of(segments, "B", 20), "Wine", LATE),
        ),
        segments,
    )
    assert str(found.split) == "2025-11-20"
    assert found.days == 42
    row = cell(found.next, "A", "Wine")
    assert row[["customers", "buyers"]].tolist() == [70, 30]
    assert row[["low", "high"]].tolist() == pytest.approx(proportion_confint(30, 70, method="wilson"))
    assert (row["others"], row["verdict"]) == (0.1, BEATS)
    best = found.likely_next("A")
    assert best is not None
    assert best["category"] == "Wine"
    other = found.likely_next("B")
    assert other is not None
    assert other["verdict"] == AS_ALL


def test_what_beats_the_others_goes_before_what_is_higher() -> None:
    segments = crowd(A=300, B=300)
    found = measure(
        lines(
            (segments["customer_id"].tolist(), "Bread", EARLY),
            (of(segments, "A", 120), "Milk", LATE),
            (of(segments, "B", 120), "Milk", LATE),
            (of(segments, "A", 60), "Wine", LATE),
            (of(segments, "B", 12), "Wine", LATE),
        ),
        segments,
    )
    a, b = found.likely_next("A"), found.likely_next("B")
    assert a is not None
    assert b is not None
    assert (a["category"], a["verdict"], b["category"], b["verdict"]) == ("Wine", BEATS, "Milk", AS_ALL)


@pytest.mark.parametrize("sensitive", [{"Tests"}, lambda name: name.startswith("Te")])
def test_sensitive_categories_are_in_no_claim(sensitive: object) -> None:
    segments = crowd(A=100, B=100)
    bought = lines(
        (segments["customer_id"].tolist(), "Bread", EARLY), (of(segments, "A", 50), "Tests", LATE),
        (of(segments, "A", 20), "Wine", LATE), (of(segments, "B", 20), "Wine", LATE),
    )  # fmt: skip
    found = measure(bought, segments, sensitive=sensitive)
    assert found.left_out == ("Tests",)
    assert "Tests" not in {*found.lift["category"], *found.next["category"]}
    best = found.likely_next("A")
    assert best is not None
    assert best["category"] == "Wine"
    assert "Left out as sensitive: 1" in found.sentence


def test_the_order_of_rows_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    segments = crowd(A=80, B=120, AA=60)
    who = rng.integers(0, 260, 900)
    table = pd.DataFrame(
        {
            "customer_id": segments["customer_id"].to_numpy()[who],
            "category": rng.choice(["Wine", "Beer", "Bread"], 900),
            "order_id": [str(n) for n in range(900)],
            "ordered_at": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 365, 900), unit="D"),
            "amount": 1.0,
        }
    )
    one, two = measure(table, segments), measure(table.sample(frac=1, random_state=1), segments.iloc[::-1])
    assert_frame_equal(one.lift, two.lift)
    assert_frame_equal(one.next, two.next)
    assert one.lift["segment_key"].drop_duplicates().tolist() == ["A", "B", "AA"]


def test_a_short_window_is_halved() -> None:
    segments = crowd(A=20, B=20)
    short = Window(date(2025, 2, 1), date(2025, 3, 1))
    table = ibis.memtable(lines((segments["customer_id"].tolist(), "Wine", "2025-02-03")))
    assert category_lift.measure(table, short, segments).days == 14


# --- prices


def paying(a: float, b: float, noise: float = 0.05) -> tuple[pd.DataFrame, pd.DataFrame]:
    segments, rng = crowd(A=100, B=100), np.random.default_rng(3)
    means = segments["segment_key"].map({"A": a, "B": b})
    return segments[["customer_id"]].assign(discount_share=means + rng.normal(0, noise, 200)), segments


@pytest.mark.parametrize(
    ("a", "b", "word"),
    [
        (0.3, 0.2, "price-sensitive"),
        (0.2, 0.3, "quality-leaning"),
        (0.22, 0.2, "no evidence"),
        (0.2, 0.2, "no evidence"),
    ],
)
def test_a_lean_takes_a_fifth_and_more_than_chance(a: float, b: float, word: str) -> None:
    found = category_lift.prices(*paying(a, b))
    assert category_lift.lean(found, "A") == word
    assert found["mean"].iloc[0] - found["others"].iloc[0] == pytest.approx(found["difference"].iloc[0])


def test_a_large_difference_within_chance_is_no_lean_and_contradictions_are_mixed() -> None:
    assert category_lift.lean(category_lift.prices(*paying(0.3, 0.2, noise=2.0)), "A") == "no evidence"
    features, segments = paying(0.3, 0.2)
    mixed = features.assign(own_brand_share=1 - features["discount_share"] * 2)
    assert category_lift.lean(category_lift.prices(mixed, segments), "A") == "mixed"


def test_no_column_one_segment_and_equal_prices_give_nothing() -> None:
    features, segments = paying(0.3, 0.2)
    assert category_lift.prices(features[["customer_id"]], segments).empty
    assert category_lift.prices(features, segments.assign(segment_key="A")).empty
    assert category_lift.prices(features.assign(discount_share=0.0), segments).empty
    assert category_lift.lean(category_lift.prices(features[["customer_id"]], segments), "A") == "no evidence"


# --- items


def held(rows: list[list[int]], items: tuple[str, ...]) -> Bought:
    ids = pd.Series([f"c{n:04d}" for n in range(len(rows))], name="customer_id")
    return Bought("category", ids, items, csr_array(np.array(rows, dtype=float)))


def test_items_are_new_to_the_customers_and_most_bought_by_their_like() -> None:
    # thirty have bread and milk, twenty have bread only: milk is new to those, wine (a few have it) to nearly all
    found = held([[1, 1, 0]] * 25 + [[1, 1, 1]] * 5 + [[1, 0, 0]] * 20, ("Bread", "Milk", "Wine"))
    segments = crowd(A=30, B=20)
    table = category_lift.items_to_recommend(found, None, segments, top=1)
    assert table.to_dict("records") == [
        {"segment_key": "A", "item": "Wine", "customers": 25}, {"segment_key": "B", "item": "Milk", "customers": 20}
    ]  # fmt: skip
    refused = category_lift.items_to_recommend(found, None, segments, sensitive={"Milk"}, top=1)
    assert set(refused["item"]) == {"Wine"}


def test_taste_groups_advise_by_taste_and_fewer_than_ten_are_not_told() -> None:
    rows = [[1, 1, 0, 0]] * 20 + [[1, 0, 0, 0]] * 20 + [[0, 0, 1, 1]] * 20 + [[0, 0, 1, 0]] * 5
    found = held(rows, ("Bread", "Milk", "Oil", "Paint"))
    segments = crowd(A=40, B=25)
    tasted = segments.assign(segment_key=segments["segment_key"].map({"A": "T1", "B": "T2"}))
    table = category_lift.items_to_recommend(found, tasted, segments, top=1).set_index("segment_key")
    assert table.loc["A", "item"] == "Milk"
    assert "Paint" not in set(table["item"])  # new to five of B only
    assert category_lift.items_to_recommend(found, None, segments.head(9)).empty

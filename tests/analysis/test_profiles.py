"""Profiles: markers measured, names made from them and from nothing else, small cells kept back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentkit.analysis import profiles
from segmentkit.errors import DataError

PREFERRED = ["recency_days", "frequency", "monetary"]
AVERAGE = "Average in everything measured"


def made(**segments: dict[str, float]) -> pd.DataFrame:
    """A profile table from the differences alone, e.g. ``made(A={"monetary": 1.4})``."""
    rows = [
        {"segment_key": key, "feature": name, "mean": 3.0, "median": 3.0, "overall_mean": 2.0, "difference": difference}
        for key, differences in segments.items()
        for name, difference in differences.items()
    ]
    table = pd.DataFrame(rows).assign(missing_share=0.0)
    return table.assign(marker=table["difference"].abs() >= 0.5)


def shop(seed: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    ids = [f"C{i:03d}" for i in range(120)]
    heavy = np.arange(120) < 60
    features = pd.DataFrame(
        {
            "customer_id": ids,
            "recency_days": rng.uniform(1, 90, 120).round(),
            "frequency": rng.lognormal(1, 0.4, 120) * np.where(heavy, 5, 1),
            "monetary": rng.lognormal(3, 0.4, 120) * np.where(heavy, 8, 1),
            "mean_gap_days": np.where(rng.random(120) < 0.25, np.nan, rng.uniform(1, 30, 120)),
            "channel": "shop",
        }
    )
    return features, pd.DataFrame({"customer_id": ids, "segment_key": np.where(heavy, "A", "B"), "distance": 0.3})


def test_segments_made_from_answers_are_named_by_them() -> None:
    features, segments = shop()
    answers = pd.DataFrame(
        {
            "segment_key": ["A", "B", "A", "B"],
            "item": ["compares_prices", "compares_prices", "main_reason", "main_reason"],
            "kind": ["binary", "binary", "nominal", "nominal"],
            "level": ["", "", "price", "price"],
            "known": [60, 60, 45, 60],
            "value": [0.9, 0.1, 0.5, 0.5],
            "overall": 0.5,
            "difference": [0.4, -0.4, 0.0, 0.0],
            "marker": [True, True, False, False],
        }
    )
    plain = profiles.profile(features, segments, leave_out=["frequency", "monetary", "recency_days"])
    both = profiles.with_answers(plain, answers)
    assert profiles.names(both, ["compares_prices"]) == {"A": "Compares prices", "B": "Not compares prices"}
    row = both[both["feature"] == "compares_prices"].iloc[0]
    assert row["difference"] == pytest.approx(0.8)  # .4 of a share of one half, whose standard deviation is .5
    assert both[both["feature"] == "main_reason: price"]["missing_share"].tolist() == [0.25, 0.0]
    assert "compares prices 90% (all: 50%)" in profiles.sentence(both, "A")
    assert profiles.supported("not compares prices", both, "B")


# --- measuring


def test_means_are_in_the_features_own_unit_and_differences_in_deviations() -> None:
    features, segments = shop()
    table = profiles.profile(features, segments).set_index(["segment_key", "feature"])
    heavy = features.loc[:59, "monetary"]
    row = table.loc[("A", "monetary")]
    assert row["mean"] == pytest.approx(heavy.mean())
    assert row["median"] == pytest.approx(heavy.median())
    assert row["overall_mean"] == pytest.approx(features["monetary"].mean())
    # equal halves of a standardised feature lie as far above as below
    assert row["difference"] == pytest.approx(-table.loc[("B", "monetary"), "difference"])
    assert 0.8 < row["difference"] < 1.1
    assert row["marker"]
    assert not table.loc[("A", "recency_days"), "marker"]
    assert set(table.index.get_level_values("feature")) == set(features.columns) - {"customer_id", "channel"}


def test_one_huge_customer_does_not_hide_the_others() -> None:
    features, segments = shop()
    features.loc[119, "monetary"] = 1e7
    table = profiles.profile(features, segments).set_index(["segment_key", "feature"])
    assert table.loc[("A", "monetary"), "mean"] < table.loc[("B", "monetary"), "mean"]
    assert table.loc[("A", "monetary"), "difference"] > 0.5


def test_missing_values_are_counted_and_left_out_of_the_mean() -> None:
    features, segments = shop()
    table = profiles.profile(features, segments).set_index(["segment_key", "feature"])
    gaps = features.loc[60:, "mean_gap_days"]
    row = table.loc[("B", "mean_gap_days")]
    assert row["missing_share"] == pytest.approx(gaps.isna().mean())
    assert row["mean"] == pytest.approx(gaps.dropna().mean())
    assert not np.isnan(row["difference"])


def test_a_feature_that_is_the_same_for_all_is_no_profile() -> None:
    features, segments = shop()
    assert "frequency" not in profiles.profile(features.assign(frequency=1.0), segments)["feature"].to_list()


def test_features_that_cannot_be_read_are_left_out() -> None:
    features, segments = shop()
    table = profiles.profile(features, segments, ["monetary", "not built"])
    assert set(table["feature"]) == {"recency_days", "frequency", "mean_gap_days"}


def test_segmented_customers_without_features_are_refused() -> None:
    features, segments = shop()
    with pytest.raises(DataError, match="7 segmented customers have no features; build both from one run"):
        profiles.profile(features.iloc[7:], segments)


# --- names


def test_a_name_is_made_from_the_markers_strongest_first_and_the_clustered_features_before_others() -> None:
    table = made(
        A={"recency_days": -0.6, "monetary": 1.4, "frequency": 0.9, "discount_share": -2.0},
        B={"recency_days": 0.2, "monetary": -0.4, "frequency": -0.7, "discount_share": 0.6},
    )
    assert profiles.names(table, PREFERRED) == {
        "A": "Very high-spend, frequent, recent",
        "B": "Infrequent, discount-led",
    }


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param(
            {"A": {"monetary": 0.1}, "B": {"monetary": 0.9}}, {"A": AVERAGE, "B": "High-spend"}, id="one word"
        ),
        pytest.param(
            {"A": {"monetary": 0.1}, "B": {"monetary": 0.2}},
            {"A": f"{AVERAGE} (A)", "B": f"{AVERAGE} (B)"},
            id="no word",
        ),
        pytest.param(
            {"A": {"monetary": 0.8}, "B": {"monetary": 0.8}, "C": {"monetary": -0.8}},
            {"A": "High-spend (A)", "B": "High-spend (B)", "C": "Low-spend"},
            id="equal markers",
        ),
    ],
)
def test_segments_with_few_markers_have_names_too(segments: dict, expected: dict[str, str]) -> None:
    # needs: names to try at least one length; range(3, longest + 2) is empty where no segment has two words
    assert profiles.names(made(**segments), PREFERRED) == expected


def test_segments_with_the_same_three_words_are_told_apart_by_a_fourth_marker() -> None:
    same = {"recency_days": -0.6, "monetary": 0.9, "frequency": 0.8}
    table = made(A=same | {"trend": 0.7}, B=same | {"trend": -0.7}, C={"monetary": -0.9, "trend": 0.0})
    named = profiles.names(table, PREFERRED)
    assert named["A"].endswith(", growing")
    assert named["B"].endswith(", shrinking")


def test_segments_with_identical_markers_are_told_apart_by_their_key() -> None:
    same = {"recency_days": -0.6, "monetary": 0.9, "frequency": 0.8}
    named = profiles.names(made(A=same, B=same), PREFERRED)
    assert named == {"A": "High-spend, frequent, recent (A)", "B": "High-spend, frequent, recent (B)"}


def test_a_segment_without_markers_is_called_average() -> None:
    table = made(A={"monetary": 0.49, "frequency": -0.2}, B={"monetary": 0.9, "frequency": 0.8})
    assert profiles.names(table, ["frequency", "monetary"])["A"] == AVERAGE


def test_a_segment_whose_markers_have_no_word_is_not_called_average() -> None:
    # needs: a word for features outside WORDS, or another phrase; "average in everything" is untrue here
    table = made(A={"category_bread_share": 1.1, "monetary": 0.1}, B={"monetary": 0.9, "frequency": 0.9})
    assert "verage" not in profiles.names(table, ["frequency", "monetary"])["A"]


FEATURES = ["recency_days", "frequency", "monetary", "trend", "tenure_days"]
DIFFERENCES = st.fixed_dictionaries({name: st.sampled_from([-1.5, -0.6, 0.0, 0.6, 1.5]) for name in FEATURES})


@given(st.lists(DIFFERENCES, min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_names_differ_and_a_marker_supports_every_word(segments: list[dict[str, float]]) -> None:
    # needs: the two mends above
    table = made(**{chr(65 + i): differences for i, differences in enumerate(segments)})
    named = profiles.names(table, PREFERRED)
    assert list(named) == [chr(65 + i) for i in range(len(segments))]
    assert len(set(named.values())) == len(named)
    for key, name in named.items():
        assert name
        for word in name.removesuffix(f" ({key})").split(", "):
            assert profiles.supported(word, table, key), (key, name, word)


@pytest.mark.parametrize(
    ("word", "supported"),
    [
        ("high-spend", True),
        ("High-spend", True),
        ("very high-spend", True),
        ("low-spend", False),
        ("frequent", True),
        ("loyal", False),
        ("recent", False),  # within half a deviation
        ("lapsed", False),
        ("average in everything measured", False),
        ("", False),
    ],
)
def test_a_word_needs_a_marker(word: str, supported: bool) -> None:
    table = made(A={"monetary": 1.4, "frequency": 0.6, "recency_days": -0.4}, B={"monetary": 0.0})
    assert profiles.supported(word, table, "A") is supported


def test_very_needs_a_strong_marker() -> None:
    # needs: supported to ask for STRONG where the word begins with "very"
    assert not profiles.supported("very frequent", made(A={"frequency": 0.6}), "A")


def test_average_is_supported_where_nothing_is_marked() -> None:
    table = made(A={"monetary": 0.2}, B={"monetary": 0.9})
    assert profiles.supported(AVERAGE, table, "A")
    assert not profiles.supported(AVERAGE, table, "B")


def test_the_sentences_give_numbers() -> None:
    table = made(A={"monetary": 1.4, "frequency": -0.6}, B={"monetary": 0.1, "frequency": 0.1})
    assert profiles.sentence(table, "A") == "Set apart by monetary 3.0 (all: 2.0); frequency 3.0 (all: 2.0)."
    assert (
        profiles.sentence(table, "B") == "No feature lies half a standard deviation or more from the average customer."
    )
    told = profiles.profile_sentence(table, {"A": "High-spend", "B": "Average"})
    assert told.endswith("A monetary +1.4, B no marker.")


# --- attributes


def attributes(**cells: int) -> pd.DataFrame:
    """Attribute shares of one segment with so many customers in each region."""
    regions = [region for region, n in cells.items() for _ in range(n)]
    ids = [f"C{i:03d}" for i in range(len(regions))]
    people = pd.DataFrame({"customer_id": ids, "region": regions})
    return profiles.describe_attributes(people, pd.DataFrame({"customer_id": ids, "segment_key": "A"}))


def test_shares_are_of_those_who_state_the_attribute() -> None:
    people = pd.DataFrame(
        {"customer_id": [f"C{i}" for i in range(60)], "region": ["north"] * 30 + ["south"] * 15 + [None] * 15}
    )
    segments = pd.DataFrame({"customer_id": people["customer_id"], "segment_key": "A"})
    table = profiles.describe_attributes(people, segments).set_index("value")
    assert table["known"].tolist() == [45, 45]
    assert table["share"].to_dict() == pytest.approx({"north": 2 / 3, "south": 1 / 3})


def test_cells_under_ten_customers_are_blank() -> None:
    table = attributes(north=40, south=9, west=8, east=10).set_index("value")
    assert table.loc[["south", "west"], ["customers", "share"]].isna().all().all()
    assert table.loc[["north", "east"], "customers"].to_dict() == {"north": 40.0, "east": 10.0}


def test_a_single_blank_cell_cannot_be_worked_out_from_the_rest() -> None:
    table = attributes(north=40, south=20, west=3).set_index("value")
    assert table["customers"].isna().to_dict() == {"north": False, "south": True, "west": True}
    assert table.loc["south", "share"] != table.loc["south", "share"]


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        pytest.param([[40, 50], [60, 70]], [], id="nothing small"),
        pytest.param([[0, 50], [60, 70]], [], id="an empty cell names nobody"),
        pytest.param([[3, 40], [50, 60], [70, 80]], ["xA", "xB", "yA", "yB"], id="a rectangle is hidden"),
        pytest.param([[3, 4], [50, 60], [70, 80]], ["xA", "xB", "yA", "yB"], id="a small row"),
        pytest.param([[3, 40], [50, 4], [70, 80]], ["xA", "xB", "yA", "yB"], id="a small diagonal"),
    ],
)
def test_small_cells_are_hidden_with_whatever_would_give_them_away(counts: list[list[int]], hidden: list[str]) -> None:
    table = pd.DataFrame(counts, index=list("xyz")[: len(counts)], columns=list("AB"))
    shown = profiles.suppress(table, 10)
    assert [f"{row}{column}" for row in table.index for column in table if np.isnan(shown.loc[row, column])] == hidden


@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=5))
@settings(deadline=None)
def test_no_small_cell_is_shown_and_none_is_hidden_alone(counts: list[list[int]]) -> None:
    table = pd.DataFrame(counts)
    shown = profiles.suppress(table, 10)
    assert shown.where(shown.notna(), table).equals(table.astype(float))
    assert not ((shown > 0) & (shown < 10)).any().any()
    for lines in (shown, shown.T):
        for _, line in lines.iterrows():
            assert line.isna().sum() != 1 or not (line > 0).any()


def test_without_attributes_the_table_is_empty_and_says_so() -> None:
    people = pd.DataFrame({"customer_id": ["a"]})
    table = profiles.describe_attributes(people, pd.DataFrame({"customer_id": ["a"], "segment_key": ["A"]}))
    assert table.empty
    assert table.columns.tolist() == ["attribute", "value", "segment_key", "customers", "known", "share", "overall"]
    assert profiles.attributes_sentence(people, [], 10).startswith("No demographic, geographic or psychographic")


def test_the_attributes_sentence_counts_who_states_what() -> None:
    people = pd.DataFrame({"customer_id": list("abc"), "region": ["north", None, "south"]})
    told = profiles.attributes_sentence(people, ["region"], 10)
    assert told == "Attributes are known for 3 of 10 customers; stated: region 2."

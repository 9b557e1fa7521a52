"""Across numbers of segments, halves and seeds: hand counts, known groups, and cuts that only the start decided."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import across, ladder, methods
from segmentkit.analysis.across import Seeds
from segmentkit.display import across_figures
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()
REFERENCES = Path(__file__).parents[2].parent / "shared" / "references"


def blobs(each: int = 60, apart: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    corners = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    return np.vstack([rng.normal(corner, 1.0, (each, 2)) for corner in corners])


def labels(text: str) -> np.ndarray:
    return np.array([int(one) for one in text])


# --- the ladder

TWO, THREE, FOUR = labels("000000111111"), labels("000022221111"), labels("001122220333")


def test_origins_are_as_counted_by_hand() -> None:
    found = ladder.climb({2: TWO, 3: THREE, 4: FOUR}, ["A", "B", "C"])
    # C has two customers of each of the two segments before: entropy log 2, index 0; A and B come from one alone
    assert found.segments["origin_index"].tolist() == pytest.approx([1.0, 1.0, 0.0])
    assert found.segments["sources"].tolist() == [1, 1, 2]
    four = found.nodes[found.nodes["k"] == 4].set_index("segment")
    share = np.array([2 / 3, 1 / 3])
    mixed = 1 + (share * np.log(share)).sum() / np.log(3)
    assert four["origin_index"].tolist() == pytest.approx([mixed, 1.0, 1.0, 1.0])
    assert four["customers"].tolist() == [3, 2, 4, 3]


def test_a_letter_follows_the_customers_whatever_their_numbers_are() -> None:
    found = ladder.climb({2: 1 - TWO, 3: THREE, 4: (FOUR + 1) % 4}, ["A", "B", "C"])
    key = found.nodes.set_index(["k", "segment"])["key"]
    assert key[3].tolist() == ["A", "B", "C"]
    assert (key[2, 1], key[2, 0]) == ("A", "B")
    # at four, C is whole; B keeps three of four; A's half is in the other half's company or alone
    assert (key[4, 3], key[4, 0]) == ("C", "B")
    assert sorted([key[4, 1], key[4, 2]]) == ["", "A"]
    assert sorted(found.nodes.loc[found.nodes["k"] == 4, "place"]) == [0, 1, 2, 3]


def test_how_long_a_segment_lasts_is_counted_without_a_break() -> None:
    found = ladder.climb({2: TWO, 3: THREE, 4: FOUR}, ["A", "B", "C"]).segments.set_index("segment_key")
    assert found["found_to"].to_dict() == {"A": 4, "B": 4, "C": 4}
    assert found["found_from"].to_dict() == {"A": 2, "B": 2, "C": 3}
    # the same segment is away at four and back at five: it lasts up to three
    scattered, back = labels("012301230123"), labels("000034441112")
    again = ladder.climb({3: THREE, 4: scattered, 5: back}, ["A", "B", "C"]).segments.set_index("segment_key")
    assert again.loc["A", "found_to"] == 3


def test_flows_add_up_to_all_customers_at_every_step() -> None:
    rng = np.random.default_rng(1)
    solutions = {k: rng.integers(0, k, 500) for k in range(2, 8)}
    found = ladder.climb(solutions, list("ABCD"))
    assert found.edges.groupby("k")["customers"].sum().tolist() == [500] * 5
    assert found.edges.groupby(["k", "segment"])["share"].sum().to_numpy() == pytest.approx(1.0)
    assert found.edges.groupby(["k", "next_segment"])["share_of_next"].sum().to_numpy() == pytest.approx(1.0)


def test_a_segment_that_nobody_is_in_any_more_keeps_its_letter_and_has_no_origin() -> None:
    found = ladder.climb({2: TWO, 3: TWO}, ["A", "B", "C"]).segments.set_index("segment_key")
    assert found.loc["C", "customers"] == 0
    assert np.isnan(found.loc["C", "origin_index"])
    assert found.loc["C", "found_from"] == 3


def test_where_nothing_smaller_was_tried_the_origin_is_not_known() -> None:
    found = ladder.climb({2: TWO, 3: THREE}, ["A", "B"])
    assert found.segments["origin_index"].isna().all()
    assert found.segments["sources"].isna().all()
    assert "is not known" in found.sentence
    alone = ladder.climb({3: THREE}, ["A", "B", "C"])
    assert alone.edges.empty
    assert alone.finding == "3 segments are the most that were tried"


@pytest.mark.parametrize("solutions", [{2: TWO, 4: FOUR}, {2: TWO}, {4: FOUR}])
def test_a_range_with_a_gap_or_without_the_chosen_number_is_refused(solutions: dict[int, np.ndarray]) -> None:
    with pytest.raises(ParameterError, match="unbroken range that holds k == 3"):
        ladder.climb(solutions, ["A", "B", "C"])


def test_other_customers_at_another_number_are_refused() -> None:
    with pytest.raises(DataError, match="different numbers of customers"):
        ladder.climb({2: TWO, 3: THREE[:-1]}, ["A", "B", "C"])


def test_the_sentence_names_what_lasts_and_what_is_mixed() -> None:
    found = ladder.climb({2: TWO, 3: THREE, 4: FOUR}, ["A", "B", "C"])
    assert found.finding == "A, B, C of the 3 segments can still be found at 4; C drawn from several at 2"
    assert "The most mixed origin has C, mainly from 2 of the 2 before (origin index 0.00" in found.sentence


# --- prediction strength


def by_pairs(own: np.ndarray, predicted: np.ndarray) -> float:
    """Straight from the definition, pair by pair."""
    found = []
    for cluster in set(own.tolist()):
        pairs = list(combinations(np.flatnonzero(own == cluster), 2))
        found += [np.mean([predicted[i] == predicted[j] for i, j in pairs])] if pairs else []
    return float(min(found, default=1.0))


@pytest.mark.parametrize(
    ("own", "predicted", "expected"),
    [
        ("000111", "111000", 1.0),
        ("0000", "0011", 2 / 6),  # of six pairs, one in each group stays together
        ("000111", "001111", 1 / 3),
        ("0001", "0000", 1.0),  # one customer alone has no pairs
        ("0123", "0000", 1.0),
        ("0011", "0101", 0.0),
    ],
)
def test_the_share_of_pairs_kept_together_is_as_counted_by_hand(own: str, predicted: str, expected: float) -> None:
    assert across.kept_together(labels(own), labels(predicted)) == pytest.approx(expected)


def test_the_contingency_table_gives_what_the_pairs_give() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        own, predicted = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
        assert across.kept_together(own, predicted) == pytest.approx(by_pairs(own, predicted))


def test_three_groups_predict_each_other_at_three_and_not_at_four() -> None:
    table = across.prediction_strength(blobs(), [2, 3, 4], repeats=4, starts=5, seed=1).set_index("k")
    assert table.loc[3, "prediction_strength"] > 0.95
    assert table.loc[4, "prediction_strength"] < 0.8
    assert (table["lowest"] <= table["prediction_strength"]).all()
    assert (table["highest"] >= table["prediction_strength"]).all()
    told = across.strength_sentence(table.reset_index(), 4)
    assert "of 2 to 4 tried, that is 3 segments" in told


def test_the_order_of_rows_does_not_change_the_prediction_strength() -> None:
    values = np.random.default_rng(8).normal(size=(160, 3))
    one = across.prediction_strength(values, [2, 3], repeats=3, starts=3, seed=4)
    shuffled = values[np.random.default_rng(9).permutation(len(values))]
    pd.testing.assert_frame_equal(one, across.prediction_strength(shuffled, [2, 3], repeats=3, starts=3, seed=4))
    other = across.prediction_strength(values, [2, 3], repeats=3, starts=3, seed=5)
    assert other["prediction_strength"].tolist() != one["prediction_strength"].tolist()


def test_where_nothing_is_predicted_one_group_is_told() -> None:
    table = pd.DataFrame({"k": [2, 3], "prediction_strength": [0.7, 0.4], "lowest": 0.1, "highest": 0.9})
    assert "0.400 for 3 segments" in across.strength_sentence(table, 3)
    assert "that is one undivided group" in across.strength_sentence(table, 3)
    assert "not measured for 5 segments" in across.strength_sentence(table, 5)


def test_too_few_customers_for_two_halves_are_refused() -> None:
    with pytest.raises(DataError, match="15 customers for halves of 4 segments"):
        across.prediction_strength(np.zeros((15, 2)), [2, 4], repeats=1, starts=1, seed=1)


def test_another_method_is_fitted_anew_in_every_half() -> None:
    sizes = []

    def ward(values: np.ndarray, seed: int) -> methods.Method:
        sizes.append(len(values))
        return methods.fit(values, 3, method="ward", starts=1, seed=seed)

    table = across.prediction_strength(blobs(), [3], repeats=2, starts=1, seed=1, refit=ward)
    assert table["prediction_strength"].iloc[0] > 0.95
    assert sizes == [90] * 4


# --- seeds


def test_groups_that_stand_apart_are_found_by_every_seed() -> None:
    values = blobs()
    found = across.across_seeds(values, across._fit(values, 3, 20, 9)[0], 3, fits=6, starts=3, seed=1)
    assert min(found.agreement) > 0.99
    assert min(found.per_segment) > 0.99
    assert (found.missed, found.rivals, found.warning) == (0, (), "")
    assert found.sentence.endswith("All found the same solution: 3 starts are enough here.")


def test_a_better_solution_than_the_reported_one_is_told_with_its_figures() -> None:
    values = blobs()
    halved = np.r_[np.zeros(60), np.tile([1, 2], 30), np.full(60, 1)].astype(int)  # a cut through the second group
    found = across.across_seeds(values, halved, 3, fits=4, starts=3, seed=1)
    own = sum(float(((values[halved == i] - values[halved == i].mean(axis=0)) ** 2).sum()) for i in range(3))
    assert found.reported == pytest.approx(own)
    assert found.gain == pytest.approx(1 - min(found.found) / own)
    assert "The reported segments are not the best solution: 4 new fits with 3 starts" in found.warning
    assert f"{found.gain:.1%} lower" in found.warning
    assert found.warning in found.sentence


@pytest.mark.parametrize(
    ("found", "missed", "rivals", "warned"),
    [
        ((100.0, 100.05), 0, 1, False),  # as good, and another cut
        ((100.0, 103.0), 1, 0, False),
        ((97.0, 100.0), 1, 1, True),
        ((99.95, 100.0), 0, 1, False),
    ],
)
def test_missed_rivals_and_better_ones_are_told_apart(
    found: tuple[float, float], missed: int, rivals: int, warned: bool
) -> None:
    seeds = Seeds(5, (1.0, 0.5), (0.9,) * 3, 100.0, found)
    assert (seeds.missed, len(seeds.rivals), bool(seeds.warning)) == (missed, rivals, warned)
    assert ("several cuts fit" in seeds.sentence) == (bool(rivals) and not warned)


def test_one_rival_among_twenty_is_not_told() -> None:
    seeds = Seeds(5, (0.8, *[1.0] * 19), (0.9,) * 3, 100.0, (100.0,) * 20)
    assert len(seeds.rivals) == 1
    assert "several cuts fit" not in seeds.sentence


def test_a_method_without_a_sum_of_squares_is_judged_by_agreement_alone() -> None:
    def mixture(values: np.ndarray, seed: int) -> methods.Method:
        return methods.fit(values, 3, method="mixture", starts=2, seed=seed)

    found = across.across_seeds(blobs(), np.repeat([0, 1, 2], 60), 3, fits=2, starts=2, seed=1, refit=mixture)
    assert found.found == ()
    assert (found.gain, found.missed, found.warning, found.rivals) == (0.0, 0, "", ())
    assert found.sentence.endswith(").")


def test_the_order_of_rows_does_not_change_what_the_seeds_find() -> None:
    values = np.random.default_rng(2).normal(size=(150, 3))
    own = across._fit(values, 4, 5, 1)[0]
    turn = np.random.default_rng(3).permutation(150)
    one = across.across_seeds(values, own, 4, fits=3, starts=1, seed=1)
    other = across.across_seeds(values[turn], own[turn], 4, fits=3, starts=1, seed=1)
    assert other.agreement == one.agreement
    assert other.found == one.found


def test_no_fits_are_refused() -> None:
    with pytest.raises(ParameterError, match="fits == 0"):
        across.across_seeds(blobs(), np.repeat([0, 1, 2], 60), 3, fits=0, starts=1, seed=1)


@pytest.mark.skipif(not REFERENCES.is_dir(), reason="the reference data are not beside the project")
def test_five_starts_often_miss_the_best_cut_of_the_vacation_survey() -> None:
    values = pd.read_csv(REFERENCES / "vacmot.csv").select_dtypes("number").to_numpy(dtype=float)
    best = across._fit(values, 6, 50, 1)[0]
    found = across.across_seeds(values, best, 6, fits=10, starts=1, seed=2)
    assert not found.warning
    assert found.missed >= 3
    assert np.mean(found.agreement) < 0.9


# --- pictures


def test_pictures_are_titled_by_their_figures() -> None:
    climbed = ladder.climb({2: TWO, 3: THREE, 4: FOUR}, ["A", "B", "C"])
    assert across_figures.ladder(climbed).get_suptitle().replace("\n", " ") == climbed.finding
    across_figures.ladder(ladder.climb({3: THREE}, ["A", "B", "C"]))
    table = pd.DataFrame({"k": [2, 3], "prediction_strength": [0.9, 0.4], "lowest": 0.3, "highest": 0.95})
    made = across_figures.prediction_strength(table, pd.DataFrame({"k": [2, 3], "stability": [0.9, 0.8]}), 2)
    assert "up to 2 segments" in made.get_suptitle()

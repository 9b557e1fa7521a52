"""Stability: agreement computed another way, clear groups found again, and one population not."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import clustering, stability
from segmentkit.analysis.stability import Stability
from segmentkit.machinery.threads import cap_environment

cap_environment()


def blobs(each: int = 80, apart: float = 6.0) -> np.ndarray:
    """Three round groups, every two of them ``apart`` standard deviations from one another."""
    rng = np.random.default_rng(3)
    corners = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    return np.vstack([rng.normal(corner, 1.0, (each, 2)) for corner in corners])


def measured(values: np.ndarray, k: int, pairs: int = 10, workers: int = 1) -> Stability:
    labels = clustering.fit(values, k, starts=5, seed=1).labels_
    return stability.measure(values, labels, k, starts=5, pairs=pairs, seed=1, workers=workers)


# --- Jaccard


def by_sets(labels: list[int], again: list[int], k: int) -> list[float]:
    """Best Jaccard of each segment, straight from the definition."""
    rows = range(len(labels))
    found = []
    for segment in range(k):
        mine = {i for i in rows if labels[i] == segment}
        others = [{i for i in rows if again[i] == other} for other in set(again)]
        found.append(max((len(mine & other) / len(mine | other) for other in others), default=0.0))
    return found


@pytest.mark.parametrize(
    ("labels", "again", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], [1.0, 1.0]),
        ([0, 0, 0, 1], [0, 0, 1, 1], [2 / 3, 1 / 2]),
        ([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1], [1 / 2, 1 / 2, 1.0]),
        ([0, 1, 2, 0, 1, 2], [0, 0, 0, 0, 0, 0], [1 / 3, 1 / 3, 1 / 3]),
        ([0, 0, 2, 2], [0, 1, 2, 2], [1 / 2, 0.0, 1.0]),
    ],
)
def test_best_jaccard_is_as_counted_by_hand(labels: list[int], again: list[int], expected: list[float]) -> None:
    k = max(labels) + 1
    assert stability.best_jaccard(np.array(labels), np.array(again), k).tolist() == pytest.approx(expected)


def test_best_jaccard_agrees_with_the_definition_on_random_labels() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        labels, again = rng.integers(0, 4, 40), rng.integers(0, 3, 40)
        expected = by_sets(labels.tolist(), again.tolist(), 4)
        assert stability.best_jaccard(labels, again, 4).tolist() == pytest.approx(expected)


# --- what is stable and what is not


def test_three_groups_six_deviations_apart_are_found_again() -> None:
    found = measured(blobs(), 3)
    assert found.mean > 0.95
    assert min(found.per_segment) > 0.9
    assert (found.k, found.rows, len(found.pairs)) == (3, 240, 10)


def test_one_round_population_in_four_dimensions_is_not() -> None:
    found = measured(np.random.default_rng(4).normal(size=(300, 4)), 3, pairs=12)
    assert found.mean < 0.75
    assert min(found.per_segment) < 0.75


def test_the_segment_that_stands_apart_is_told_from_those_that_do_not() -> None:
    # one tight group, and a wide one that is cut in two at an arbitrary angle
    rng = np.random.default_rng(6)
    values = np.vstack([rng.normal([0, 0], 1, (150, 2)), rng.normal([20, 0], 4, (150, 2))])
    labels = clustering.fit(values, 3, starts=5, seed=1).labels_
    found = stability.measure(values, labels, 3, starts=5, pairs=8, seed=1)
    tight = int(labels[0])
    assert found.per_segment[tight] > 0.95
    assert all(jaccard < 0.9 for i, jaccard in enumerate(found.per_segment) if i != tight)


def test_the_number_of_workers_changes_nothing() -> None:
    values = np.random.default_rng(8).normal(size=(120, 2))
    assert measured(values, 3, pairs=4, workers=2) == measured(values, 3, pairs=4, workers=1)


def test_the_seed_decides_the_samples() -> None:
    # groups so clear that the seed of k-means itself changes nothing
    values = blobs(40, apart=4.5)
    labels = clustering.fit(values, 3, starts=10, seed=1).labels_
    one, same, other = (stability.measure(values, labels, 3, starts=10, pairs=3, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.pairs != other.pairs


# --- agreement


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        # two of six pairs are together in the first, three in the second, one in both:
        # (1 - 2 * 3 / 6) / ((2 + 3) / 2 - 2 * 3 / 6) = 0
        ([0, 0, 1, 1], [0, 0, 0, 1], 0.0),
        # (0 - 4 / 6) / (2 - 4 / 6) = -1/2
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
    ],
)
def test_agreement_is_as_counted_by_hand(one: list[int], other: list[int], expected: float) -> None:
    assert stability.agreement(np.array(one), np.array(other)) == pytest.approx(expected)


def test_agreement_is_scikit_learns_adjusted_rand() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        one, other = rng.integers(0, rng.integers(1, 6), 60), rng.integers(0, rng.integers(1, 6), 60)
        assert stability.agreement(one, other) == pytest.approx(adjusted_rand_score(one, other), abs=1e-12)


def test_other_methods_are_refitted_by_themselves() -> None:
    values = blobs(60)
    labels = clustering.fit(values, 3, starts=5, seed=1).labels_
    found = stability.measure(values, labels, 3, starts=2, pairs=3, seed=1, method="mixture")
    assert found.mean > 0.95


# --- words


@pytest.mark.parametrize(
    ("jaccard", "word"),
    [
        (1.0, "holds"),
        (0.75, "holds"),
        (0.749, "pattern, membership doubtful"),
        (0.60, "pattern, membership doubtful"),
        (0.599, "do not trust"),
        (0.0, "do not trust"),
    ],
)
def test_every_jaccard_has_a_word(jaccard: float, word: str) -> None:
    assert stability.segment_word(jaccard) == word


def test_the_sentence_says_how_many_customers_it_rests_on() -> None:
    told = stability.sentence(Stability(3, (0.7, 0.9), (0.8,) * 3, 20_000), 50_000)
    assert "2 pairs" in told
    assert "0.80 on average (adjusted Rand; from 0.70 to 0.90), on 20,000 of 50,000 customers" in told


# --- rows


def test_a_sample_of_rows_is_seeded_sorted_and_without_repeats() -> None:
    rows = stability.sample_rows(1_000, 100, 4)
    assert len(rows) == 100
    assert all(a < b for a, b in pairwise(rows))
    assert rows.tolist() == stability.sample_rows(1_000, 100, 4).tolist()
    assert rows.tolist() != stability.sample_rows(1_000, 100, 5).tolist()
    assert rows[0] >= 0
    assert rows[-1] < 1_000


@pytest.mark.parametrize("limit", [50, 51, 10_000])
def test_all_rows_are_taken_where_the_limit_allows(limit: int) -> None:
    assert stability.sample_rows(50, limit, 1).tolist() == list(range(50))

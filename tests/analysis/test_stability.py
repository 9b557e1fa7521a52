"""Stability: agreement computed another way, clear groups found again, one population not, and the null beside it."""

from itertools import pairwise

import numpy as np
import pytest

from segmentkit.analysis import clustering, stability
from segmentkit.analysis.stability import NullTest, Stability
from segmentkit.errors import DataError
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


# --- the null


def test_related_columns_beat_copies_with_unrelated_ones() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 1))
    values = np.hstack([common + 0.35 * rng.normal(size=(300, 1)) for _ in range(3)])
    null = stability.independence_null(values, 2, copies=19, starts=3, pairs=4, seed=1)
    assert null.p == pytest.approx(0.05)
    assert null.stability > null.band[1]


def test_unrelated_columns_do_not() -> None:
    values = np.random.default_rng(1).normal(size=(300, 3))
    null = stability.independence_null(values, 2, copies=19, starts=3, pairs=4, seed=1)
    assert null.p > 0.2
    assert len(null.copies) == 19
    assert null.p == pytest.approx((1 + sum(copy >= null.stability for copy in null.copies)) / 20)


def test_the_band_holds_the_middle_of_the_copies_and_the_table_all_of_them() -> None:
    null = NullTest(0.9, tuple(i / 100 for i in range(101)), 0.1)
    assert null.band == pytest.approx((0.025, 0.975))
    table = stability.null_table(null)
    assert table["copy"].tolist() == list(range(102))
    assert table["stability"].iloc[:2].tolist() == [0.9, 0.0]


# --- words


def verdict(mean: float, p: float, **floors: float) -> stability.Verdict:
    return stability.judge(Stability(4, (mean, mean), (0.8,) * 4, 500), NullTest(mean, (0.5,) * 99, p), **floors)


@pytest.mark.parametrize(
    ("mean", "p", "word", "why"),
    [
        (0.90, 0.01, "repeatable cut", "other customers from the same market would give nearly the same groups"),
        (0.70, 0.05, "repeatable cut", "other customers from the same market"),
        (0.69, 0.01, "managerial cut", "new customers could shift the borders"),
        (0.90, 0.06, "managerial cut", "unrelated columns give cuts as stable"),
        (0.30, 0.80, "managerial cut", "new customers could shift the borders"),
    ],
)
def test_a_cut_is_repeatable_only_if_stable_and_better_than_the_null(
    mean: float, p: float, word: str, why: str
) -> None:
    found = verdict(mean, p)
    assert found.word == word
    assert found.reason.startswith(why)
    assert f"2 pairs of bootstrap samples {mean:.2f} (floor 0.7); p {p:.3g} against 99 copies" in found.reason
    assert (
        found.marketer
        == f"4 groups, {'safe to plan on' if word == 'repeatable cut' else 'a convenient cut; others are as good'}"
    )


def test_floors_can_be_set() -> None:
    assert verdict(0.65, 0.08, stability_floor=0.6, level=0.1).word == "repeatable cut"
    assert verdict(0.95, 0.01, stability_floor=0.96).word == "managerial cut"


def test_no_pairs_no_verdict() -> None:
    with pytest.raises(DataError, match="no bootstrap pairs; set bootstrap_pairs to 1 or more"):
        stability.judge(Stability(3, (), (0.9,) * 3, 100), NullTest(0.9, (0.5,), 0.5))


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

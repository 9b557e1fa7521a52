"""Valleys between segments: deep between groups, none through a crowd; humps inside one column."""

import numpy as np
import pytest

from segmentkit.analysis import clustering, separation
from segmentkit.machinery.threads import cap_environment

cap_environment()


def groups(*centres: tuple[float, float], each: int = 400) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.vstack([rng.normal(centre, 1.0, (each, 2)) for centre in centres])


def shallowest(values: np.ndarray, k: int) -> float:
    return separation.shallowest(values, clustering.fit(values, k, starts=5, seed=1).labels_, k)


def test_groups_six_deviations_apart_have_a_deep_valley_between_them() -> None:
    assert shallowest(groups((0, 0), (6, 0), (3, 5.2)), 3) > 0.9


def test_a_crowd_cut_in_three_has_none_to_speak_of() -> None:
    assert shallowest(groups((0, 0), each=2_000), 3) < 0.3


def test_the_shallowest_valley_speaks_for_all() -> None:
    # two groups far apart, one of them cut in two
    assert shallowest(groups((0, 0), (9, 0)), 2) > 0.9
    assert shallowest(groups((0, 0), (9, 0)), 3) < 0.4


def test_only_neighbours_are_compared() -> None:
    values = groups((0, 0), (6, 0), (12, 0))
    labels = np.repeat([0, 1, 2], 400)
    assert [(a, b) for a, b, _ in separation.valleys(values, labels, 3)] == [(0, 1), (1, 2)]


def test_depth_is_as_worked_out_by_hand() -> None:
    level = np.linspace(-0.5, 1.5, 6_001)[:-1]
    assert separation.depth(level, np.ones(6_000)) == pytest.approx(0.0, abs=0.01)
    heaps = np.concatenate([np.zeros(1_000), np.ones(1_000)])
    assert separation.depth(heaps, np.ones(2_000)) == pytest.approx(1.0, abs=1e-6)
    # on level ground three times as high outside the middle fifth, the floor is a third of the peaks
    outside = level[np.abs(level - 0.5) > 0.1]
    dug = np.concatenate([outside, outside, level])
    assert separation.depth(dug, np.ones(len(dug))) == pytest.approx(2 / 3, abs=0.1)


def test_a_small_group_next_to_a_large_one_still_shows_its_valley() -> None:
    rng = np.random.default_rng(2)
    values = np.vstack([rng.normal((0, 0), 1, (1_900, 2)), rng.normal((6, 0), 1, (100, 2))])
    assert separation.shallowest(values, np.repeat([0, 1], [1_900, 100]), 2) > 0.85


def test_one_segment_or_none_has_no_valley() -> None:
    assert separation.shallowest(groups((0, 0)), np.zeros(400, dtype=int), 3) == 0.0


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.random.default_rng(1).normal(size=1_000), 1.0),
        (np.random.default_rng(1).random(400), 1.0),
        (np.random.default_rng(1).lognormal(0, 1, 1_000), 1.0),
        (np.random.default_rng(1).poisson(3, 1_000).astype(float), 1.0),
        (np.repeat([0.0, 1.0], 300), 1.0),
    ],
    ids=["normal", "uniform", "log-normal", "counts", "yes or no"],
)
def test_one_hump_keeps_its_whole_spread(column: np.ndarray, expected: float) -> None:
    assert separation.within_humps(column) == expected


def test_humps_are_measured_by_the_spread_inside_them() -> None:
    rng = np.random.default_rng(3)
    column = np.concatenate([rng.normal(0, 1, 700), rng.normal(6, 1, 700), rng.normal(12, 1, 700)])
    assert separation.within_humps(column) == pytest.approx(1 / np.sqrt(1 + 24), rel=0.05)
    assert separation.within_humps(column * 100 - 7) == pytest.approx(separation.within_humps(column))


def test_a_handful_of_outliers_is_no_hump() -> None:
    rng = np.random.default_rng(4)
    column = np.concatenate([rng.normal(0, 1, 970), rng.normal(9, 0.5, 30)])
    assert separation.within_humps(column) == 1.0

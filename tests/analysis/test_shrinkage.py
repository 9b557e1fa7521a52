"""Shrinking: by the published example, by hand, and with no more shrinking than the groups allow."""

import numpy as np
import pytest

from segmentkit.analysis.shrinkage import shrink
from segmentkit.errors import DataError

# Efron & Morris 1975: batting averages of 18 players, transformed to unit variance, and their James-Stein estimates'
# shrinking factor .79 (k - 3) / S with S = 18.96
BATTING = (-1.35, -1.65, -1.96, -2.28, -2.60, -2.60, -2.92, -3.26, -3.60, -3.60, *[-3.95] * 5, -4.32, -4.70, -5.10)


def test_equal_errors_are_shrunk_as_by_james_and_stein() -> None:
    y = np.array(BATTING)
    found = shrink(y, np.ones(18))
    square = ((y - y.mean()) ** 2).sum()
    assert square == pytest.approx(18.96, abs=0.2)
    pull = 15 / square
    assert pull == pytest.approx(0.79, abs=0.01)
    assert found.centre == pytest.approx(y.mean())
    assert found.estimates == pytest.approx(y - pull * (y - y.mean()), abs=1e-6)


def test_errors_know_that_the_spread_was_estimated() -> None:
    y = np.array(BATTING)
    found = shrink(y, np.ones(18))
    pull = 15 / ((y - y.mean()) ** 2).sum()
    # Morris 1983, equal variances: V (1 - (k - 1) / k B) + 2 / (k - 3) B^2 (y - mean)^2
    by_hand = 1 - 17 / 18 * pull + 2 / 15 * pull**2 * (y - y.mean()) ** 2
    assert found.errors**2 == pytest.approx(by_hand, abs=1e-6)


def test_a_noisy_group_is_shrunk_further() -> None:
    y, errors = np.array([0.0, 4.0, 8.0, 12.0, 16.0, 40.0]), np.array([1, 1, 1, 1, 1, 20.0])
    found = shrink(y, errors)
    moved = np.abs(found.estimates - y)
    assert moved[-1] > 5 * moved[:-1].max()
    assert found.between > 3


def test_the_best_of_equals_is_pulled_back() -> None:
    rng = np.random.default_rng(4)
    raw, pulled = [], []
    for _ in range(300):
        y = 0.1 + rng.normal(0, 1, 7)
        raw.append(y.max())
        pulled.append(shrink(y, np.ones(7)).estimates.max())
    assert np.mean(raw) > 1.2
    assert np.mean(pulled) < 0.6 * np.mean(raw)


def test_the_intervals_cover_where_the_groups_really_differ() -> None:
    rng, inside = np.random.default_rng(8), []
    for _ in range(400):
        errors = rng.uniform(0.5, 2.0, 6)
        truth = rng.normal(1, 1, 6)
        low, high = shrink(truth + rng.normal(0, errors), errors).interval(0.95)
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.92 < np.mean(inside) < 0.98


def test_three_groups_are_not_shrunk_and_it_is_said() -> None:
    found = shrink(np.array([1.0, 2.0, 9.0]), np.ones(3))
    assert found.estimates.tolist() == [1.0, 2.0, 9.0]
    assert "cannot be estimated, so nothing is shrunk" in found.sentence
    assert "hardly more than a guess" in shrink(np.arange(5.0), np.ones(5)).sentence
    assert "hardly" not in shrink(np.arange(6.0), np.ones(6)).sentence


def test_the_chance_of_a_profit() -> None:
    found = shrink(np.array([-3.0, 0.0, 0.5, 3.0]), np.full(4, 0.1))
    chance = found.above_zero()
    assert chance[0] < 1e-6
    assert chance[-1] > 1 - 1e-6
    assert 0.3 < chance[1] < 0.7


@pytest.mark.parametrize("errors", [[], [1.0, 0.0], [1.0, np.nan]])
def test_an_error_that_is_none_is_refused(errors: list[float]) -> None:
    with pytest.raises(DataError, match="every group needs one above 0"):
        shrink(np.zeros(len(errors)), np.array(errors))


def test_with_few_groups_the_prior_is_named_too() -> None:
    assert "flat prior" in shrink(np.array([1.0, 2.0]), np.array([0.5, 0.5])).sentence

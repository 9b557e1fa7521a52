"""Copies of one population: a single hump, the data's own level, spread and correlations, ties and answers kept."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from segmentkit.analysis import one_population
from segmentkit.machinery.threads import cap_environment

cap_environment()


def copied(values: np.ndarray, customers: int = 40_000) -> np.ndarray:
    return one_population.describe(values).copy(customers, np.random.default_rng(1))


def test_a_single_hump_is_left_as_it_is() -> None:
    mass = np.array([1.0, 2.0, 5.0, 4.0, 2.0, 0.5])
    assert one_population.unimodal(mass) == pytest.approx(mass)


def test_two_humps_become_a_plateau() -> None:
    # up to the first hump nothing changes; the valley and the second hump are pooled: (2 + 4) / 2
    assert one_population.unimodal(np.array([1.0, 6.0, 2.0, 4.0, 1.0])) == pytest.approx([1.0, 6.0, 3.0, 3.0, 1.0])


def test_groups_on_an_axis_leave_no_gap_in_the_copies() -> None:
    rng = np.random.default_rng(2)
    column = np.concatenate([rng.normal(0, 1, 500), rng.normal(8, 1, 500)])
    copy = copied(column[:, None])[:, 0]
    assert ((column > 3) & (column < 5)).mean() < 0.01
    assert ((copy > 3) & (copy < 5)).mean() > 0.1
    assert (copy.mean(), copy.std()) == pytest.approx((column.mean(), column.std()), rel=0.02)


def test_correlations_come_out_as_observed_whatever_the_shape() -> None:
    rng = np.random.default_rng(3)
    z = rng.multivariate_normal(np.zeros(4), 0.4 * np.eye(4) + 0.6, 3_000)
    values = np.column_stack([z[:, 0], np.exp(z[:, 1]), z[:, 2] > 0.8, np.round(2 * z[:, 3])])
    assert np.corrcoef(copied(values).T) == pytest.approx(np.corrcoef(values.T), abs=0.03)


def test_yes_and_no_answers_keep_their_shares_and_their_four_cells() -> None:
    rng = np.random.default_rng(4)
    z = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 50_000)
    copy = copied((z > [0.5, -0.3]).astype(float), 200_000)
    assert set(np.unique(copy)) == {0.0, 1.0}
    # both yes, from the bivariate normal distribution itself
    both = multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]]).cdf([-0.5, 0.3])
    assert (copy.min(axis=1) == 1).mean() == pytest.approx(both, abs=0.006)


def test_whole_numbers_stay_whole_numbers_of_the_data() -> None:
    counts = np.random.default_rng(5).poisson(6, 2_000).astype(float)
    copy = copied(np.column_stack([counts, np.random.default_rng(6).normal(size=2_000)]))
    assert set(np.unique(copy[:, 0])) <= set(np.unique(counts))
    assert copy[:, 0].mean() == pytest.approx(6, abs=0.15)


def test_a_uniform_column_stays_uniform() -> None:
    copy = copied(np.random.default_rng(7).random((4_000, 1)))[:, 0]
    shares, _ = np.histogram(copy, 10, range=(0, 1))
    assert shares / len(copy) == pytest.approx(np.full(10, 0.1), abs=0.015)


def test_columns_that_cannot_all_be_so_related_are_brought_as_near_as_can_be() -> None:
    rng = np.random.default_rng(8)
    one = rng.normal(size=500)
    values = np.column_stack([one, -one, one + 1e-9 * rng.normal(size=500)])
    assert np.isfinite(copied(values, 500)).all()


def test_permuted_columns_lose_their_relation_and_blocks_keep_theirs() -> None:
    values = np.column_stack([np.arange(200), np.arange(200) * 2, np.arange(200) * 3]).astype(float)
    copy = one_population.permuted(values, [[0], [1, 2]], np.random.default_rng(1))
    assert np.array_equal(copy[:, 2], copy[:, 1] * 1.5)
    assert abs(np.corrcoef(copy[:, 0], copy[:, 1])[0, 1]) < 0.3
    assert np.array_equal(np.sort(copy[:, 0]), values[:, 0])

"""K-means for bootstrap samples: the same optimum as scikit-learn's, weights are repeats, nothing is shared."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from segmentkit.analysis import resampling
from segmentkit.machinery.threads import cap_environment

cap_environment()


def wss(values: np.ndarray, centres: np.ndarray) -> float:
    return float(((values - centres[resampling.assign(values, centres)]) ** 2).sum())


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", ["crowd", "answers"])
def test_the_within_sum_of_squares_is_that_of_scikit_learn(kind: str, k: int) -> None:
    rng = np.random.default_rng(k)
    values = rng.normal(size=(300, 4)) if kind == "crowd" else (rng.random((300, 9)) < 0.4).astype(float)
    rows = rng.integers(0, 300, 300)
    mine = wss(values[rows], resampling.fit(values, rows, k, 30, rng))
    theirs = KMeans(k, n_init=30, random_state=1).fit(values[rows]).inertia_
    assert mine == pytest.approx(theirs, rel=0.01)


def test_a_customer_drawn_twice_weighs_twice() -> None:
    values = np.array([[0.0], [1.0], [10.0]])
    centres = resampling.fit(values, np.array([0, 0, 0, 1, 2, 2]), 2, 10, np.random.default_rng(1))
    assert sorted(centres[:, 0].tolist()) == pytest.approx([0.25, 10.0])


def test_everybody_goes_to_the_nearest_centre() -> None:
    labels = resampling.assign(np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]]), np.array([[0.0, 0.0], [9.0, 9.0]]))
    assert labels.tolist() == [0, 0, 1]


def test_fewer_distinct_customers_than_segments_is_no_error() -> None:
    values = np.array([[0.0, 1.0], [5.0, 5.0], [0.0, 1.0]])
    centres = resampling.fit(values, np.array([0, 1, 2, 2]), 4, 3, np.random.default_rng(1))
    assert np.isfinite(centres).all()
    assert wss(values, centres) == pytest.approx(0.0, abs=1e-10)


def test_the_same_chances_give_the_same_centres() -> None:
    values, rows = np.random.default_rng(1).normal(size=(200, 3)), np.arange(200)
    one, same, other = (resampling.fit(values, rows, 4, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)

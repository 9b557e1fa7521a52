"""Nulls: related columns beat unrelated ones, separate groups beat one population, a long cloud does not."""

import numpy as np
import pytest

from segmentkit.analysis import nulls
from segmentkit.analysis.nulls import NullTest
from segmentkit.machinery.threads import cap_environment

cap_environment()
EFFORT = {"copies": 19, "starts": 3, "pairs": 4, "seed": 1}


def cloud() -> np.ndarray:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 1))
    return np.hstack([common + 0.35 * rng.normal(size=(300, 1)) for _ in range(3)])


def groups() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.vstack([rng.normal(6 * corner, 1.0, (100, 3)) for corner in np.eye(3)])


def test_related_columns_beat_copies_with_unrelated_ones() -> None:
    null = nulls.independence_null(cloud(), [2], **EFFORT)
    assert null.p == pytest.approx(0.05)
    assert null.stability > null.band[1]
    assert null.depths == ()


def test_unrelated_columns_do_not() -> None:
    null = nulls.independence_null(np.random.default_rng(1).normal(size=(300, 3)), [2], **EFFORT)
    assert null.p > 0.2
    assert len(null.copies) == 19
    assert null.p == pytest.approx((1 + sum(copy >= null.stability for copy in null.copies)) / 20)


def test_where_k_was_the_most_stable_of_several_so_it_is_in_every_copy() -> None:
    values = np.random.default_rng(2).random((150, 2))
    single = [nulls.independence_null(values, [k], **EFFORT) for k in (2, 3)]
    both = nulls.independence_null(values, [2, 3], **EFFORT)
    assert both.stability == max(one.stability for one in single)
    assert both.copies == tuple(max(pair) for pair in zip(*(one.copies for one in single), strict=True))


def test_separate_groups_beat_one_population_and_leave_valleys() -> None:
    null = nulls.one_population_null(groups(), 3, **EFFORT)
    assert (null.p, null.depth_p) == pytest.approx((0.05, 0.05))
    assert null.depth is not None
    assert null.depth > 0.8


def test_one_long_cloud_does_not() -> None:
    null = nulls.one_population_null(cloud(), 2, **EFFORT)
    assert null.stability > 0.8
    assert null.p > 0.1


def test_the_band_holds_the_middle_of_the_copies_and_the_table_all_of_them() -> None:
    null = NullTest(0.9, tuple(i / 100 for i in range(101)), 0.1)
    assert null.band == pytest.approx((0.025, 0.975))
    table = nulls.null_table(unrelated=null, undivided=NullTest(0.8, (0.5,), 0.5, 0.3, (0.2,)))
    assert table["copy"].tolist() == [*range(102), 0, 1]
    assert table["stability"].iloc[:2].tolist() == [0.9, 0.0]
    assert table["valley"].tail(2).tolist() == [0.3, 0.2]
    assert table["valley"].iloc[:102].isna().all()


def test_valleys_as_deep_by_luck_are_counted() -> None:
    assert NullTest(0.9, (0.5,) * 3, 0.25, 0.6, (0.7, 0.6, 0.1)).depth_p == pytest.approx(0.75)


def test_the_band_is_that_of_the_copies_at_every_k() -> None:
    found = nulls.band(cloud(), [2, 3], copies=4, max_rows=200, seed=1).set_index("k")
    assert list(found.index) == [2, 3]
    assert (found["null_low"] <= found["null_high"]).all()
    # a long cloud is cut in two far more stably than copies that have lost what makes it long
    assert found.loc[2, "null_high"] < nulls.independence_null(cloud(), [2], **EFFORT).stability
    assert nulls.band(cloud(), [2, 3], copies=0, max_rows=200, seed=1)["null_low"].isna().all()

"""Business checks: each stability beside its own segment, and a segment that nobody is in any more."""

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import viability
from segmentkit.analysis.stability import Stability

FLOORS = {"size_floor_share": 0.05, "size_floor": 20}


def shop(keys: str, counts: list[int]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Features, segments and profiles of as many customers in each segment as stated."""
    key = np.repeat(list(keys), counts)
    ids = [f"c{number}" for number in range(len(key))]
    features = pd.DataFrame({"customer_id": ids, "monetary": np.where(key == keys[0], 30.0, 10.0)})
    segments = pd.DataFrame({"customer_id": ids, "segment_key": key})
    there = [one for one, count in zip(keys, counts, strict=True) if count]
    return features, segments, pd.DataFrame({"segment_key": there, "marker": True})


def check(keys: str, counts: list[int], stabilities: tuple[float, ...], contacts: list[str] = []) -> pd.DataFrame:  # noqa: B006
    features, segments, profiles = shop(keys, counts)
    measured = Stability(len(keys), (0.8,), stabilities, len(features))
    reached = pd.DataFrame({"customer_id": pd.Series(contacts, dtype="str")})
    return viability.check(features, segments, profiles, measured, reached, keys=list(keys), **FLOORS).set_index(
        "segment_key"
    )


def test_each_stability_stands_beside_its_own_segment() -> None:
    found = check("ABD", [40, 60, 50], (0.9, 0.5, 0.7))
    assert found["stability"].to_dict() == {"A": 0.9, "B": 0.5, "D": 0.7}
    assert found["fails"].to_dict() == {"A": "", "B": "not found again", "D": "membership doubtful"}


def test_a_segment_that_nobody_is_in_any_more_says_so() -> None:
    found = check("ABC", [40, 0, 60], (0.9, 0.0, 0.8))
    assert found.loc["B", "fails"] == "no customers now"
    assert found.loc["B", ["customers", "share", "share_of_sales", "markers"]].tolist() == [0, 0, 0, 0]
    assert found["customers"].sum() == 100


def test_shares_add_up_and_small_segments_are_named() -> None:
    found = check("ABC", [85, 60, 5], (0.9, 0.9, 0.9), contacts=["c0", "c1", "c149"])
    assert found["share"].sum() == pytest.approx(1)
    assert found["share_of_sales"].sum() == pytest.approx(1)
    assert found.loc["C", "fails"] == "too small"
    assert found.loc["A", "reached_share"] == pytest.approx(2 / 85)

"""The verdict: each clause decides alone, in a stated order, and the reason names the one that did."""

import pytest

from segmentkit.analysis import verdict
from segmentkit.analysis.nulls import NullTest
from segmentkit.analysis.stability import Stability
from segmentkit.errors import DataError


def judged(
    mean: float = 0.97,
    unrelated: float = 0.01,
    undivided: float = 0.01,
    weakest: float = 0.95,
    depth: float = 0.9,
    deeper: int = 0,
    silhouette: float = 0.3,
    **floors: float,
) -> verdict.Verdict:
    depths = (1.0,) * deeper + (0.1,) * (99 - deeper)
    return verdict.judge(
        Stability(4, (mean, mean), (1.0, 1.0, weakest, 1.0), 500),
        (NullTest(mean, (0.5,) * 99, unrelated), NullTest(mean, (0.5,) * 99, undivided, depth, depths)),
        silhouette,
        **floors,
    )


def test_segments_that_meet_every_clause_are_natural() -> None:
    found = judged()
    assert (found.word, found.marketer) == ("natural", "4 separate groups, found in the data")
    assert all(clause.holds for clause in found.clauses)


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"mean": 0.89}, "agreement over 2 pairs of bootstrap samples 0.89 (it takes 0.9)"),
        ({"undivided": 0.06}, "p against 99 copies of one population 0.06 (it takes 0.05 or less)"),
        ({"weakest": 0.84}, "its weakest segment is found again at 0.84 (it takes 0.85)"),
        ({"depth": 0.49}, "the shallowest valley between neighbours is 0.49 deep"),
        ({"deeper": 5}, "the shallowest valley between neighbours is 0.90 deep, p 0.06"),
    ],
    ids=["agreement", "one population", "weakest", "shallow", "as deep by luck"],
)
def test_each_clause_alone_turns_natural_into_reproducible_and_is_named(change: dict[str, float], clause: str) -> None:
    found = judged(**change)
    assert (found.word, found.marketer) == ("reproducible", "4 groups, safe to plan on")
    assert "nearly the same groups" in found.reason
    assert f"They are not separate groups: {clause}" in found.reason


def test_a_silhouette_above_a_half_stands_for_the_valley() -> None:
    assert judged(depth=0.1, silhouette=0.51).word == "natural"
    assert judged(depth=0.1, silhouette=0.50).word == "reproducible"


@pytest.mark.parametrize(
    ("mean", "p", "word", "why"),
    [
        (0.70, 0.05, "reproducible", "other customers from the same market"),
        (0.69, 0.01, "constructive", "new customers could shift the borders"),
        (0.85, 0.06, "constructive", "unrelated columns give cuts as stable"),
        (0.30, 0.80, "constructive", "new customers could shift the borders"),
    ],
)
def test_a_cut_is_reproducible_only_if_stable_and_better_than_unrelated_columns(
    mean: float, p: float, word: str, why: str
) -> None:
    found = judged(mean=mean, unrelated=p)
    assert found.word == word
    assert found.reason.startswith(why)


def test_natural_segments_need_no_related_columns() -> None:
    # groups along one axis live on in copies whose columns are unrelated
    assert judged(unrelated=0.6).word == "natural"


def test_the_border_values_count_as_met() -> None:
    assert judged(mean=0.90, undivided=0.05, weakest=0.85, depth=0.5, deeper=4).word == "natural"


def test_floors_can_be_set() -> None:
    assert judged(mean=0.8, natural_floor=0.75).word == "natural"
    assert judged(mean=0.65, unrelated=0.08, repeatable_floor=0.6, level=0.1).word == "reproducible"


def test_no_pairs_no_verdict() -> None:
    with pytest.raises(DataError, match="no bootstrap pairs; set bootstrap_pairs to 1 or more"):
        verdict.judge(Stability(3, (), (0.9,) * 3, 100), (NullTest(0.9, (0.5,), 0.5),) * 2, 0.1)


def test_rules_are_not_judged_as_if_they_had_been_found() -> None:
    found = verdict.judge(Stability(3, (), (1.0,) * 3, 100), None, 0.1)
    assert (found.word, found.marketer) == ("by rule", "3 groups by rule, as you set them")

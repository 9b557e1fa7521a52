"""Choosing k: the evidence for every number, and each clause of the rule that takes one."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from segmentkit.analysis import choosing, clustering
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

NAMES = ["recency_days", "frequency", "monetary"]
GOOD = [0.9, 0.9, 0.9, 0.9]
ROOMY = [400, 300, 200, 100]
NO_VALLEY = [0.1, 0.1, 0.1, 0.1]


def ready(kinds: list[tuple[float, float, float]], each: int = 60, spread: float = 0.18) -> clustering.Scaled:
    rng = np.random.default_rng(4)
    rows = np.vstack([np.array(kind) * rng.lognormal(0, spread, (each, 3)) for kind in kinds])
    table = pd.DataFrame(rows, columns=NAMES)
    table.insert(0, "customer_id", [f"C{i:04d}" for i in rng.permutation(len(table))])
    return clustering.scale(table, NAMES)


THREE_KINDS = ready([(200.0, 3.0, 60.0), (6.0, 40.0, 900.0), (40.0, 6.0, 4000.0)])
ONE_CROWD = ready([(40.0, 6.0, 900.0)], each=400, spread=0.6)


# --- evidence


def test_the_evidence_has_a_row_for_every_k_and_repeats_with_the_seed() -> None:
    once = choosing.score_k_range(THREE_KINDS, 2, 4, starts=3, pairs=3, max_rows=150, seed=5, workers=1)
    again = choosing.score_k_range(THREE_KINDS, 2, 4, starts=3, pairs=3, max_rows=150, seed=5, workers=1)
    assert_frame_equal(once, again, check_exact=True)
    assert once["k"].tolist() == [2, 3, 4]
    assert once["wss"].is_monotonic_decreasing
    assert once["rows_used"].tolist() == [150] * 3
    three = once.set_index("k").loc[3]
    assert (three["smallest_customers"], three["smallest_share"]) == (60, pytest.approx(1 / 3))
    assert three["stability"] > 0.99
    assert three["silhouette"] == once["silhouette"].max()


def test_groups_far_apart_leave_valleys_and_a_fourth_cut_through_one_of_them_does_not() -> None:
    found = choosing.score_k_range(THREE_KINDS, 3, 4, starts=3, pairs=2, max_rows=180, seed=5)
    assert found["valley"].iloc[0] > 0.9
    assert found["valley"].iloc[1] < 0.5


def test_fewer_distinct_customers_than_segments_are_refused() -> None:
    few = pd.DataFrame({"customer_id": [f"C{i:03d}" for i in range(180)], "recency_days": [1.0, 2.0, 3.0] * 60})
    scaled = clustering.scale(few, ["recency_days"])
    with pytest.raises(DataError, match="only 3 distinct customers for k_max == 5; lower k_max or add features"):
        choosing.score_k_range(scaled, 2, 5, starts=1, pairs=1, max_rows=100, seed=1)


# --- the choice


def evidence(
    worst: list[float],
    smallest: list[int],
    stability: list[float],
    silhouette: list[float],
    valley: list[float] = NO_VALLEY,
) -> pd.DataFrame:
    """A row a k, from 2 on; of 1,000 customers."""
    return pd.DataFrame(
        {
            "k": range(2, 2 + len(worst)),
            "silhouette": silhouette,
            "valley": valley,
            "stability": stability,
            "worst_segment_stability": worst,
            "smallest_customers": smallest,
            "smallest_share": [n / 1_000 for n in smallest],
        }
    )


def choose(table: pd.DataFrame, own_k: tuple[int, ...] = ()) -> choosing.Choice:
    return choosing.choose_k(table, own_k=own_k, stability_floor=0.75, size_floor_share=0.05, size_floor=60)


def apart(stability: list[float], valley: list[float], worst: list[float] = GOOD) -> choosing.Choice:
    return choose(evidence(worst, ROOMY, stability, [0.5, 0.4, 0.3, 0.2], valley))


# segments that stand apart


def test_segments_that_stand_apart_are_taken_before_a_larger_k_that_keeps_the_floors() -> None:
    choice = apart([0.95, 0.97, 0.95, 0.95], [0.2, 0.8, 0.3, 0.1])
    assert (choice.k, choice.decided_by, choice.rule_k) == (3, "rule", 3)
    assert choice.sentence.startswith(
        "3 segments: the most that stand apart, with a valley of 0.80 or more between neighbours and agreement 0.97, "
        "and keep every segment at Jaccard 0.75 or more"
    )
    assert choice.sentence.endswith("(its weakest segment: 0.90). The silhouette alone would take 2.")


def test_they_need_no_smaller_k_that_keeps_the_floors() -> None:
    # fewer segments than separate groups must merge some by lot, and cannot be found again
    choice = apart([0.5, 0.6, 0.98, 0.7], [0.1, 0.1, 0.9, 0.1], worst=[0.4, 0.5, 0.9, 0.5])
    assert (choice.k, choice.decided_by) == (4, "rule")


def test_of_several_that_stand_apart_the_most_are_taken() -> None:
    assert apart([0.99, 0.99, 0.99, 0.8], [0.9, 0.9, 0.85, 0.1]).k == 4


@pytest.mark.parametrize(
    ("stability", "valley", "worst", "k"),
    [
        pytest.param(0.90, 0.50, 0.9, 3, id="both borders are met"),
        pytest.param(0.90, 0.49, 0.9, 5, id="the valley is too shallow"),
        pytest.param(0.89, 0.50, 0.9, 5, id="not found again"),
        pytest.param(0.90, 0.50, 0.7, 2, id="one segment below the floor, which ends the search too"),
    ],
)
def test_to_stand_apart_takes_a_valley_agreement_and_the_floors(
    stability: float, valley: float, worst: float, k: int
) -> None:
    found = apart([0.95, stability, 0.95, 0.95], [0.1, valley, 0.1, 0.1], worst=[0.9, worst, 0.9, 0.9])
    assert (found.k, found.decided_by) == (k, "rule")
    assert ("stand apart" in found.sentence) == (k == 3)


@pytest.mark.parametrize(
    ("stability", "valley", "k"),
    [
        pytest.param(0.95, 0.75, 3, id="beaten in both figures"),
        pytest.param(0.98, 0.75, 4, id="about as stable"),
        pytest.param(0.95, 0.85, 4, id="valleys about as deep"),
    ],
)
def test_a_k_that_another_beats_in_both_figures_is_dropped(stability: float, valley: float, k: int) -> None:
    assert apart([0.8, 0.99, stability, 0.8], [0.1, 0.9, valley, 0.1]).k == k


def test_a_k_below_the_floors_beats_nobody() -> None:
    choice = apart([0.8, 0.99, 0.93, 0.8], [0.1, 0.95, 0.6, 0.1], worst=[0.9, 0.7, 0.9, 0.9])
    assert choice.k == 4


# one crowd


@pytest.mark.parametrize(
    ("worst", "smallest", "stability", "k", "decided_by", "rule_k"),
    [
        pytest.param(GOOD, ROOMY, GOOD, 5, "rule", 5, id="all meet the floors"),
        pytest.param([0.9, 0.8, 0.75, 0.7], ROOMY, GOOD, 4, "rule", 4, id="the floor itself is met"),
        pytest.param([0.9, 0.7, 0.9, 0.9], ROOMY, GOOD, 2, "rule", 2, id="a gap ends the search"),
        pytest.param(GOOD, [400, 300, 59, 100], GOOD, 3, "rule", 3, id="too few customers"),
        pytest.param(GOOD, ROOMY, [0.99, 0.88, 0.99, 0.86], 5, "rule", 5, id="a peak of agreement decides nothing"),
        pytest.param([0.7, 0.9, 0.9, 0.9], ROOMY, [0.6, 0.8, 0.7, 0.5], 3, "most stable", None, id="the first fails"),
        pytest.param([0.1] * 4, ROOMY, [0.6, 0.5, 0.7, 0.5], 4, "most stable", None, id="none meets the floors"),
        pytest.param(GOOD, [49] * 4, [0.6, 0.9, 0.7, 0.5], 3, "most stable", None, id="all too small a share"),
    ],
)
def test_without_valleys_the_largest_unbroken_k_is_chosen(
    worst: list[float], smallest: list[int], stability: list[float], k: int, decided_by: str, rule_k: int | None
) -> None:
    choice = choose(evidence(worst, smallest, stability, [0.5, 0.4, 0.3, 0.2]))
    assert (choice.k, choice.decided_by, choice.rule_k, choice.silhouette_k) == (k, decided_by, rule_k, 2)
    assert choice.sentence.endswith(" The silhouette alone would take 2.")
    if rule_k:
        assert choice.sentence.startswith(f"{k} segments: the most that, like every smaller number tried, keep every")
        assert f"(its weakest segment: {worst[k - 2]:.2f})" in choice.sentence
    else:
        assert choice.sentence.startswith("No number of segments keeps every segment at Jaccard 0.75 or more")
        assert f"; {k} is the most stable of those tried ({max(stability):.2f})" in choice.sentence


def test_the_silhouettes_favourite_is_named_and_does_not_decide() -> None:
    choice = choose(evidence(GOOD, ROOMY, GOOD, [0.2, 0.8, 0.3, 0.1]))
    assert (choice.k, choice.silhouette_k) == (5, 3)
    assert "The silhouette alone would take 3." in choice.sentence


def test_the_sentence_states_the_floor_in_customers_too() -> None:
    # the floor in customers is the clause that decides here: 5 % would be 50 customers
    choice = choose(evidence(GOOD, [400, 55, 55, 55], GOOD, GOOD))
    assert choice.k == 2
    assert "60 customers" in choice.sentence


# the analyst


@pytest.mark.parametrize(("valley", "rule_k"), [(NO_VALLEY, 2), ([0.1, 0.1, 0.1, 0.9], 5)])
def test_the_analysts_own_k_overrides_and_the_rules_answer_is_told(valley: list[float], rule_k: int) -> None:
    choice = choose(evidence([0.9, 0.7, 0.9, 0.9], ROOMY, GOOD, GOOD, valley), own_k=(4,))
    assert (choice.k, choice.decided_by, choice.rule_k) == (4, "analyst", rule_k)
    assert choice.sentence.startswith(f"4 segments, set by the analyst; the rule says {rule_k}.")
    none = choose(evidence([0.1] * 4, ROOMY, GOOD, GOOD), own_k=(4,))
    assert "the rule finds none that meets the floors" in none.sentence


@pytest.mark.parametrize("own_k", [(6,), (1,), (3, 4)])
def test_an_own_k_that_was_not_tried_is_refused(own_k: tuple[int, ...]) -> None:
    message = rf"own_k == \[{', '.join(map(str, own_k))}\]; it must be one number from 2 to 5, or empty"
    with pytest.raises(ParameterError, match=message):
        choose(evidence(GOOD, ROOMY, GOOD, GOOD), own_k=own_k)


# --- evidence and choice together


@pytest.mark.parametrize(("scaled", "is_apart"), [(THREE_KINDS, True), (ONE_CROWD, False)], ids=["apart", "crowd"])
def test_kinds_far_apart_are_taken_as_they_are_and_a_crowd_by_the_floors(
    scaled: clustering.Scaled, is_apart: bool
) -> None:
    table = choosing.score_k_range(scaled, 2, 5, starts=5, pairs=10, max_rows=400, seed=5)
    choice = choosing.choose_k(table, stability_floor=0.75, size_floor_share=0.05, size_floor=20)
    assert ("stand apart" in choice.sentence) == is_apart
    assert (choice.k == 3) or not is_apart

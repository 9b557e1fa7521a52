"""Segment evaluation: scores by hand, knocked-out segments never ranked, weights that must add up."""

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import attractiveness
from segmentkit.analysis.attractiveness import Evaluation
from segmentkit.errors import ParameterError

WEIGHTS = ["value 40", "size 60"]


def criteria(**changes: list[object]) -> pd.DataFrame:
    table = {
        "segment_key": list("ABCD"), "share": [0.1, 0.5, 0.3, 0.1], "share_of_sales": [0.5, 0.3, 0.15, 0.05],
        "sales_per_customer": [100.0, 12.0, 10.0, 60.0], "reached_share": [0.5, 1.0, 0.0, 0.5],
        "stability": [0.9, 0.8, 0.7, 0.8], "f1": [0.8, 0.8, 0.8, 0.8], "retention": [0.9, 0.8, 0.7, 0.6],
        "clear_growth": [0.1, 0.0, 0.0, np.nan], "distinctness": [3.0, 2.0, np.inf, 4.0], "homogeneity": 0.5,
        "knocked_out": ["", "", "", ""],
    }  # fmt: skip
    return pd.DataFrame(table | changes)


def evaluate(table: pd.DataFrame, weights: list[str] = WEIGHTS, **options: object) -> Evaluation:
    return attractiveness.evaluate(table, weights, **{"seed": 1} | options)  # type: ignore[arg-type]


def test_scores_weights_and_ranks_are_as_computed_by_hand() -> None:
    found = evaluate(criteria()).table.set_index("segment_key")
    # value: (x - 10) / 90; size: (x - .1) / .4
    assert found["score_value"].to_dict() == pytest.approx({"A": 10, "B": 2 / 9, "C": 0, "D": 50 / 9})
    assert found["score_size"].to_dict() == pytest.approx({"A": 0, "B": 10, "C": 5, "D": 0})
    assert found["attractiveness"].to_dict() == pytest.approx({"A": 4, "B": 0.8 / 9 + 6, "C": 3, "D": 20 / 9})
    # fit: reach, stability, and identifiability that is the same for all
    assert found["fit"].to_dict() == pytest.approx({"A": 20 / 3, "B": 20 / 3, "C": 5 / 3, "D": 5})
    assert found["rank"].to_dict() == {"B": 1, "A": 2, "D": 3, "C": 4}


def test_knocked_out_segments_are_never_ranked_and_never_set_the_scale() -> None:
    found = evaluate(criteria(knocked_out=["too small", "", "", ""]))
    assert found.ranked["segment_key"].tolist() == ["B", "D", "C"]
    row = found.table.set_index("segment_key").loc["A"]
    assert row[["rank", "attractiveness", "fit", "score_value"]].isna().all()
    assert found.table.set_index("segment_key").loc["D", "score_value"] == 10  # the best of those that are left
    assert "Not ranked: A (too small)." in found.sentence


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        (["too small"] * 4, "No segment passes the knock-out criteria. Not ranked: A (too small); B (too small)"),
        (
            ["", *["too small"] * 3],
            "Segment A comes first: 5.0 of 10 for attractiveness, 5.0 for fit. No other is ranked.",
        ),
    ],
)
def test_none_or_one_left(out: list[str], sentence: str) -> None:
    found = evaluate(criteria(knocked_out=out))
    assert found.top_stays is None
    assert found.sentence.startswith(sentence)


def test_figures_that_are_not_known_count_as_the_middle_and_are_named() -> None:
    found = evaluate(criteria(reached_share=[np.nan] * 4), ["growth 50", "retention 50"])
    table = found.table.set_index("segment_key")
    assert table["score_growth"].to_dict() == pytest.approx({"A": 10, "B": 0, "C": 0, "D": 5})
    assert table["score_reach"].unique().tolist() == [5]
    assert found.unknown == ("growth of D", "reach of A, B, C, D")
    assert "Not known, and counted as 5: growth of D, reach of A, B, C, D." in found.method
    assert evaluate(criteria(), ["distinctness 100"]).table["score_distinctness"].max() == 10  # no scatter at all


# --- fit


def test_without_a_statement_fit_is_what_data_can_say_and_says_so() -> None:
    found = evaluate(criteria())
    assert found.fit_from == "data"
    assert "no statement of the organisation's strengths" in found.method


def test_stated_fit_is_the_mean_of_its_scores() -> None:
    scores = ["A brand 9", "A own shops 2", "B brand 5", "B own shops 5", "C brand 0", "C own shops 10"]
    found = evaluate(criteria(knocked_out=["", "", "", "too small"]), fit_scores=scores)
    assert found.table.set_index("segment_key")["fit"].to_dict() == pytest.approx(
        {"A": 5.5, "B": 5, "C": 5, "D": np.nan}, nan_ok=True
    )
    assert found.fit_from == "stated"
    assert "the organisation's own scores" in found.method


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        (["A brand 11"], "fit_scores holds 'A brand 11'; write a segment of A, B, C, D"),
        (["E brand 1"], "fit_scores holds 'E brand 1'"),
        (["A 7"], "fit_scores holds 'A  7'; write a segment"),
        (["A brand 7", "B brand 7", "C brand 7"], "fit_scores has no 'brand' for D; score every segment or none"),
    ],
)
def test_fit_scores_that_cannot_be_read(scores: list[str], told: str) -> None:
    with pytest.raises(ParameterError) as caught:
        evaluate(criteria(), fit_scores=scores)
    assert told in str(caught.value)


# --- weights


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (["value 40", "size 50"], "attractiveness_weights add up to 90; make them add up to 100"),
        ([], "attractiveness_weights add up to 0"),
        (["beauty 100"], "attractiveness_weights holds 'beauty'; choose from value, size, sales, growth"),
        (["value 0.4"], "write a name and a whole number, e.g. value 40"),
        (["value 50", "value 50"], "attractiveness_weights holds 'value' twice"),
    ],
)
def test_weights_that_cannot_be_read(weights: list[str], told: str) -> None:
    with pytest.raises(ParameterError) as caught:
        evaluate(criteria(), weights)
    assert told in str(caught.value)


def test_the_first_place_is_as_sure_as_other_weights_leave_it() -> None:
    level = {"reached_share": [0.5] * 4, "stability": [0.9] * 4}
    # A is first by value alone, B by size alone, and neither has anything else
    alike = criteria(**level, share=[0.1, 0.5, 0.1, 0.1], sales_per_customer=[100.0, 10, 10, 10])
    even = evaluate(alike, ["value 51", "size 49"])
    assert even.ranked["segment_key"].iloc[0] == "A"
    assert even.top_stays == pytest.approx(0.53, abs=0.04)
    assert even.drawn == pytest.approx((30, 72), abs=1)  # beta of 10.2 and 9.8
    sure = evaluate(criteria(**level, share=[0.5, 0.2, 0.2, 0.1]), ["value 50", "size 50"])
    assert sure.top_stays == 1
    assert "it stays first in 100% of draws" in sure.sentence
    assert evaluate(alike).top_stays == evaluate(alike).top_stays


def test_one_weight_has_no_other_near_it() -> None:
    found = evaluate(criteria(), ["value 100", "size 0"])
    assert found.weights == {"value": 100}
    assert found.top_stays is None
    assert found.sentence == "Segment A comes first: 10.0 of 10 for attractiveness, 6.7 for fit."

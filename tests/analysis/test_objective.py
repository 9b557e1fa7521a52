"""The question stated first, and its answer by the interval, never by the point."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import objective
from segmentkit.analysis.experiments import SampleRatio
from segmentkit.analysis.randomised import Test as Reading
from segmentkit.errors import ParameterError

FAIR = SampleRatio({"mailed": 5, "held back": 5}, 0.9, True, "")


def reading(**figures: float) -> Reading:
    table = pd.DataFrame([{"segment_key": "A"} | dict.fromkeys(figures, -99.0), {"segment_key": "all"} | figures])
    return Reading("autumn", "mailed", table, FAIR, 1.0, 0, "")


def test_one_figure_one_target() -> None:
    asked = objective.ask(" win back sleepers. ", ["conversion"], [0.01])
    assert asked == objective.Question("win back sleepers.", "conversion", 0.01)
    assert asked.sentence == (
        "The campaigns are judged by the share of customers who buy, with a gain of +1.00 points or more, stated "
        "before the results. Objective: win back sleepers."
    )
    assert "none decides" in objective.ask("", [], []).sentence
    assert "no target" in objective.ask("", ["sales"], []).sentence


@pytest.mark.parametrize(
    ("figure", "target", "told"),
    [
        (["sales", "visits"], [], "primary_kpi == .*; give one figure"),
        ([], [0.5], "without primary_kpi"),
        (["sales"], [1.0, 2.0], "give one figure"),
        (["conversion"], [5.0], "kpi_target == 5; a gain of 0 or more, below 1; write 0.05 for five points"),
        (["sales"], [-1.0], "kpi_target == -1; a gain of 0 or more; write 0.5"),
        (["sales"], [float("nan")], "kpi_target == nan"),
    ],
)
def test_an_unclear_question_is_refused(figure: list[str], target: list[float], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        objective.ask("", figure, target)


@pytest.mark.parametrize(
    ("low", "high", "word"), [(1.0, 3.0, "reached"), (0.2, 0.9, "missed"), (0.5, 1.5, "cannot tell yet")]
)
def test_the_interval_answers(low: float, high: float, word: str) -> None:
    test = reading(net_benefit=(low + high) / 2, net_benefit_low=low, net_benefit_high=high)
    asked = objective.ask("", ["net_benefit"], [1.0]).to_dict()
    told = objective.answer(asked, [test], "EUR")
    assert told == [
        f"Campaign autumn, mailed: {word}. The gain in net benefit per customer is likely {low:+.2f} EUR to "
        f"{high:+.2f} EUR; the target was +1.00 EUR."
    ]


def test_what_cannot_be_told_is_said() -> None:
    asked = objective.ask("", ["conversion"], [0.01]).to_dict()
    few = reading(conversion_difference=0.1, conversion_low=np.nan, conversion_high=np.nan)
    assert "too few bought" in objective.answer(asked, [few], "EUR")[0]
    lost = replace(
        reading(conversion_difference=0.1, conversion_low=0.05, conversion_high=0.2), ratio=replace(FAIR, fits=False)
    )
    assert objective.answer(asked, [lost], "EUR") == ["Campaign autumn, mailed: cannot tell, the sample ratio is off."]
    assert "decided by lot" in objective.answer(asked, [], "EUR")[0]
    assert objective.answer(objective.ask("", [], []).to_dict(), [few], "EUR") == []
    assert "is not known here" in objective.answer(objective.ask("", ["visits"], []).to_dict(), [few], "EUR")[0]

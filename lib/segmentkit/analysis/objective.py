"""The question first: what a campaign is for, the one key figure it is judged by, and the smallest gain that counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from segmentkit.analysis import given
from segmentkit.analysis.randomised import Test
from segmentkit.errors import ParameterError

# column of the estimate, words, and whether it is a share of customers
FIGURES = {
    "conversion": ("conversion_difference", "the share of customers who buy", True),
    "visits": ("visits_difference", "the share of customers who visit", True),
    "sales": ("sales_difference", "sales per customer", False),
    "sales_per_order": ("sales_per_order_difference", "sales per order", False),
    "net_benefit": ("net_benefit", "net benefit per customer", False),
}


@dataclass(frozen=True)
class Question:
    """What is asked of the campaigns, before any result is looked at.

    Attributes:
        objective: in the analyst's own words; may be empty.
        figure: one of ``FIGURES``; empty where nothing was asked.
        target: smallest gain that counts as success, in the figure's unit (0.01 is one point of a share); None where
            not stated.
    """

    objective: str
    figure: str
    target: float | None

    def to_dict(self) -> dict[str, Any]:
        """For the metrics."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What was asked, in words."""
        if not self.figure:
            return "No key figure was stated (primary_kpi), so every figure is shown and none decides."
        aim = f"a gain of {_amount(self.target, self.figure)} or more" if self.target is not None else "no target"
        what = f" Objective: {self.objective.rstrip('.')}." if self.objective else ""
        return f"The campaigns are judged by {FIGURES[self.figure][1]}, with {aim}, stated before the results.{what}"


def ask(objective: str, figure: Sequence[str], target: Sequence[float]) -> Question:
    """The question, from the parameters of 01.

    Raises:
        ParameterError: more than one figure or target, or a target without a figure.
    """
    if len(figure) > 1:
        raise ParameterError(f"primary_kpi == {list(figure)}; give one figure, as a list of one, or leave it empty")
    if target and not figure:
        raise ParameterError(f"kpi_target == {list(target)} without primary_kpi; say which figure it is a target of")
    aim = given.one(target)
    most = 1.0 if figure and FIGURES[figure[0]][2] else math.inf
    if aim is not None and not 0 <= aim < most:
        example = "0.05 for five points" if most == 1.0 else "0.5"
        raise ParameterError(
            f"kpi_target == {aim:g}; a gain of 0 or more{', below 1' if most == 1.0 else ''}; write {example}"
        )
    return Question(objective.strip(), figure[0] if figure else "", aim)


def answer(question: Mapping[str, Any], tests: Sequence[Test], currency: str) -> list[str]:
    """Whether each treated arm reached the target: a sentence an arm, from the row of all customers."""
    figure, target = question["figure"], question["target"]
    if not figure:
        return []
    if not tests:
        return ["Cannot tell: no campaign read here was decided by lot, so no gain can be measured."]
    return [_answer(test, figure, target, currency) for test in tests]


def _answer(test: Test, figure: str, target: float | None, currency: str) -> str:
    column, words, _ = FIGURES[figure]
    name, row = f"{test.label}Campaign {test.campaign_id}, {test.arm}", test.overall
    low, high = (row.get(f"{column.removesuffix('_difference')}_{end}") for end in ("low", "high"))
    if not test.ratio.fits:
        return f"{name}: cannot tell, the sample ratio is off."
    if column not in row or low is None or pd.isna(low):
        return f"{name}: cannot tell, {words} is not known here or too few bought."
    span = f"{_amount(low, figure, currency)} to {_amount(high, figure, currency)}"
    if target is None:
        return f"{name}: {words} changed by {_amount(row[column], figure, currency)} (likely {span})."
    aim = _amount(target, figure, currency)
    word = "reached" if low >= target else "missed" if high < target else "cannot tell yet"
    return f"{name}: {word}. The gain in {words} is likely {span}; the target was {aim}."


def _amount(value: float | None, figure: str, currency: str = "") -> str:
    if value is None:
        return "nothing stated"
    if FIGURES[figure][2]:
        return f"{value * 100:+.2f} points"
    return f"{value:+,.2f} {currency}".strip()

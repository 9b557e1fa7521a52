"""Exercises: check an answer without giving it away, and hint when asked."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from segmentkit.errors import ParameterError


def _recent_share(customers: pd.DataFrame) -> float:
    recent = customers["recency_days"] <= 30
    return float(customers.loc[recent, "monetary"].sum() / customers["monetary"].sum())


_ANSWERS: dict[str, Callable[[pd.DataFrame], float]] = {"recent_share": _recent_share}
_HINTS = {
    "recent_share": (
        "Make a yes/no column first: recent = customers['recency_days'] <= 30. Then add up monetary where it is yes, "
        "and divide by all of monetary."
    )
}


def check(name: str, answer: Any, customers: pd.DataFrame) -> str:
    """Say whether an answer is right, and what is wrong if it is not.

    Raises:
        ParameterError: there is no such exercise.
    """
    right = _ANSWERS[_known(name)](customers)
    if answer is None:
        return "Not answered yet. Replace None by your own line, then run the cell again."
    try:
        given = float(answer)
    except (TypeError, ValueError):
        return f"That is {type(answer).__name__}, not one number. Did you forget to add up?"
    if abs(given - right) < 0.0005:
        return "Right."
    if abs(given - 100 * right) < 0.05:
        return "Right, as a percentage; the question asks for a number from 0 to 1."
    if abs(given - (1 - right)) < 0.0005:
        return "That is the share of everybody else. Turn the condition round."
    if given > 1:
        return "A share cannot be above 1. Did you divide by all sales?"
    return f"Not yet: {given:.3f} is too {'high' if given > right else 'low'}. Customers of day 30 itself count."


def hint(name: str) -> str:
    """A hint.

    Raises:
        ParameterError: there is no such exercise.
    """
    return _HINTS[_known(name)]


def _known(name: str) -> str:
    if name not in _ANSWERS:
        raise ParameterError(f"no exercise {name!r}; there are {', '.join(_ANSWERS)}")
    return name

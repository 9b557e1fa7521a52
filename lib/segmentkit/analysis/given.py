"""Figures that somebody gives as parameters: one or none, never a silent default."""

from collections.abc import Sequence
from datetime import date, timedelta

from segmentkit.errors import ParameterError


def one(value: Sequence[float]) -> float | None:
    """A figure somebody set, given as a list of one; None where the list is empty: not known.

    Raises:
        ParameterError: more than one.
    """
    if len(value) > 1:
        raise ParameterError(f"{list(value)}; give one figure, as a list of one, or leave the list empty")
    return float(value[0]) if value else None


def whole(value: Sequence[int]) -> int | None:
    """The same for a whole number."""
    return None if one(value) is None else int(value[0])


def days(parameter: str, text: str, first: date, count: int) -> tuple[date, date]:
    """First and last day of so many days from the day given as ``YYYY-MM-DD``, or from ``first`` where it is empty.

    Raises:
        ParameterError: not a day, or one before ``first``.
    """
    try:
        start = date.fromisoformat(text) if text else first
    except ValueError:
        raise ParameterError(f"{parameter} == {text!r}; write the first day as YYYY-MM-DD") from None
    if start < first:
        raise ParameterError(
            f"{parameter} == {text!r}; the data are known up to {first}; choose that day or a later one"
        )
    return start, start + timedelta(days=count - 1)


def each(parameter: str, texts: Sequence[str], example: str) -> dict[str, int]:
    """Whole numbers by name, given as texts such as ``email 500``.

    Raises:
        ParameterError: not ``NAME NUMBER``.
    """
    found = {}
    for text in texts:
        name, _, number = text.strip().rpartition(" ")
        if not name or not number.isdigit():
            raise ParameterError(f"{parameter} holds {text!r}; write a name and a whole number, e.g. {example}")
        if name.strip() in found:
            raise ParameterError(f"{parameter} holds {name.strip()!r} twice; give each once")
        found[name.strip()] = int(number)
    return found

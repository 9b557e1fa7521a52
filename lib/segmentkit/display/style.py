"""One look for every figure: Okabe-Ito colours with a marker shape and a label each, never colour alone."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, QUIET, FAINT = "#1b1b1b", "#6b6b6b", "#d9d9d9"
RAMP = "cividis"
WIDTH = 8.4

mpl.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": INK,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        # a name from the data is text, whatever signs it holds
        "text.parse_math": False,
    }
)


def colour(index: int) -> str:
    """Colour of the n-th group; after eight they repeat, told apart by marker and label."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Marker shape of the n-th group."""
    return MARKERS[index % len(MARKERS)]


def key_index(key: str) -> int:
    """Place of a segment's letter, 0 for A: a segment keeps its colour and shape as it keeps its key."""
    place = 0
    for letter in key:
        place = place * 26 + ord(letter) - 64
    return place - 1


def figure(height: float = 4.2, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure with the house style and its axes."""
    made, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **options)
    for ax in made.axes:
        _plain(ax)
    return made, axes


def title(made: Figure, text: str) -> None:
    """A title that states the finding, wrapped and left-aligned."""
    made.suptitle(wrapped(text, 78), x=0.01, ha="left", fontsize=12.5, fontweight="bold", color=INK)


def label_end(ax: Axes, x: float, y: float, text: str, colour_: str, *, up: bool) -> None:
    """A direct label at the end of a line, in place of a legend; above or below the line's end."""
    va, shift = ("bottom", -4) if up else ("top", 4)
    ax.annotate(text, (x, y), xytext=(8, shift), textcoords="offset points", va=va, color=colour_, fontsize=9.5)


def readable(feature: str) -> str:
    """A column's name for an axis."""
    return feature.replace("_", " ")


def money(value: float, currency: str) -> str:
    """Money with its currency, rounded to what a reader can use."""
    return f"{value:,.0f} {currency}" if abs(value) >= 100 else f"{value:,.2f} {currency}"


def percent(share: float) -> str:
    """A share in per cent, with a decimal where it is small."""
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"


def arms(value: Any, low: Any, high: Any) -> np.ndarray:
    """Lengths of error bars, shape (2, n); a limit that rounding has put past the value is the value."""
    lengths: np.ndarray = np.maximum(np.atleast_2d(np.array([value - low, high - value], dtype=float)), 0.0)
    return lengths.reshape(2, -1)


def wrapped(text: str, width: int) -> str:
    """Text broken into lines of at most so many characters."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(length=3)


def note(ax: Axes, text: str) -> None:
    """A quiet note under the axes."""
    ax.text(0, -0.2, wrapped(text, 120), transform=ax.transAxes, va="top", fontsize=8.5, color=QUIET)


def names_in_order(keys: Sequence[str]) -> list[str]:
    """Segment keys in the order of value: A to Z, then AA."""
    return sorted(keys, key=lambda key: (len(key), key))

"""Slides: one picture each with a sentence above and its origin below, at the size of a screen."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from segmentkit.display import style

WIDE, HIGH, DPI = 1920, 1080, 100
MARGIN, UNDER, ABOVE = 80, 100, 190
TITLE_SIZES = {58: 32, 74: 25, 92: 20}
FOOT_WIDTH = 175


def slide(picture: bytes | Path, title: str, foot: str) -> Figure:
    """A slide of 1920 by 1080 pixels.

    Args:
        picture: PNG, as bytes or a path; it is fitted whole, never stretched.
        title: a sentence computed from the figures; set smaller to fit two lines, and cut with … where it does not.
            Empty where the picture has a title of its own: it then gets the room.
        foot: source, run, date and place in the deck, in two lines at most.
    """
    pixels = plt.imread(io.BytesIO(picture) if isinstance(picture, bytes) else picture)
    made = plt.figure(figsize=(WIDE / DPI, HIGH / DPI), dpi=DPI)
    lines, size = _in_two_lines(title)
    made.text(MARGIN / WIDE, 1 - 50 / HIGH, lines, va="top", fontsize=size, fontweight="bold", color=style.INK)
    below = textwrap.wrap(foot, FOOT_WIDTH, max_lines=2, placeholder=" …")
    made.text(MARGIN / WIDE, 28 / HIGH, "\n".join(below), va="bottom", fontsize=12, color=style.QUIET)
    ax = made.add_axes(_fitted(pixels.shape[1], pixels.shape[0], ABOVE if title else MARGIN // 2))
    ax.imshow(pixels, interpolation="lanczos", interpolation_stage="rgba", aspect="auto")
    ax.set_axis_off()
    return made


def render(pictures: Sequence[tuple[str, bytes | Path, str]], foot: str) -> list[tuple[str, bytes]]:
    """Slides of a deck as PNG, numbered in the foot.

    Args:
        pictures: name, picture and title of each.
        foot: of every slide: source, run, date, and "simulated" where it is so.
    """
    pages = []
    for page, (name, picture, title) in enumerate(pictures, start=1):
        made = slide(picture, title, f"{page} of {len(pictures)} · {foot}")
        pages.append((name, png(made)))
    return pages


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG at its own size; it is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor="white")
    plt.close(figure)
    return buffer.getvalue()


def _in_two_lines(title: str) -> tuple[str, int]:
    """Lines and size of type: the largest in which two lines hold the title, else the smallest, cut."""
    holds = [width for width in TITLE_SIZES if len(textwrap.wrap(title, width)) <= 2]
    width = min(holds, default=max(TITLE_SIZES))
    return "\n".join(textwrap.wrap(title, width, max_lines=2, placeholder=" …")), TITLE_SIZES[width]


def _fitted(wide: int, high: int, above: int) -> tuple[float, float, float, float]:
    """Place of a picture of that many pixels: as large as it goes between what is above and the foot."""
    room = WIDE - 2 * MARGIN, HIGH - above - UNDER
    scale = min(room[0] / wide, room[1] / high)
    wide_now, high_now = wide * scale, high * scale
    left, bottom = (WIDE - wide_now) / 2, UNDER + (room[1] - high_now) / 2
    return left / WIDE, bottom / HIGH, wide_now / WIDE, high_now / HIGH

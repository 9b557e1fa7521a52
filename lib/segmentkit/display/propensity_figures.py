"""Figures of likely buyers: do as many buy as a propensity says?"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from segmentkit.analysis.propensity_check import BETTER, NOT_CALIBRATED, Judged
from segmentkit.display import style

BINS = 30
FITS = {BETTER: "no tenth grossly off", NOT_CALIBRATED: "not as many buy as stated"}
WORDS = {BETTER: "better than the base rate", NOT_CALIBRATED: "not calibrated: refused"}


def calibration(tested: Sequence[Judged]) -> Figure:
    """Tenths by stated probability against how many bought, over the spread of the probabilities; a panel a category.

    Args:
        tested: from ``LikelyBuyers.tested``; at least one.
    """
    heights = {"height_ratios": [4, 1]}
    made, axes = style.figure(5.2, columns=len(tested), rows=2, sharex="col", squeeze=False, gridspec_kw=heights)
    for index, one in enumerate(tested):
        _tenths(axes[0, index], one, index)
        _spread(axes[1, index], one, index)
    axes[0, 0].set_ylabel("bought it in the later period")
    axes[1, 0].set_ylabel("customers")
    made.supxlabel("stated probability of buying it", fontsize=10)
    style.title(made, _finding(tested))
    return made


def _tenths(ax: Axes, one: Judged, index: int) -> None:
    table = one.calibration
    colour, shape = style.colour(index), style.marker(index)
    for gross, fill in ((False, colour), (True, "white")):
        part = table[table["gross"] == gross]
        reach = style.arms(part["observed"], part["low"], part["high"])
        ax.errorbar(part["predicted"], part["observed"], reach, fmt=shape, color=colour, mfc=fill, ms=6, capsize=2)
    most = 1.06 * max(float(one.stated.max()), float(table["high"].max()))
    ax.plot([0, most], [0, most], color=style.QUIET, lw=1, ls="--", zorder=0)
    ax.axhline(one.later[1] / one.later[0], color=style.QUIET, lw=1, ls=":", zorder=0)
    ax.set(xlim=(0, most), ylim=(0, most))
    ax.set_title(f"{style.wrapped(one.category, 26)}\n{WORDS.get(one.verdict, 'no better than the base rate')}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_major_locator(MaxNLocator(4))


def _spread(ax: Axes, one: Judged, index: int) -> None:
    counts, edges = np.histogram(one.stated, bins=BINS, range=(0, float(one.stated.max())))
    ax.bar(edges[:-1], counts, np.diff(edges), align="edge", color=style.colour(index), edgecolor="white", lw=0.4)
    ax.yaxis.set_major_locator(MaxNLocator(2, integer=True))


def _finding(tested: Sequence[Judged]) -> str:
    """Brier scores in words."""
    parts = []
    for one in tested:
        part = one.gain[0] / one.brier_own
        how = f"{abs(part):.1%} {'below' if part > 0 else 'above'} the base rate's"
        parts.append(f"{one.category} {how}, {FITS.get(one.verdict, 'no gain beyond chance')}")
    return "Brier score: " + "; ".join(parts)

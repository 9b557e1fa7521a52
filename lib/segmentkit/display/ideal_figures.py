"""Figures of the ideal customer: what sets the best apart, and whether the look-alike score can be believed."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from segmentkit.analysis.ideal import Ideal, LookAlike, readable
from segmentkit.display import style


def ideal_customer(found: Ideal, limit: int = 16) -> Figure:
    """Best against rest as ratios with their intervals, surest first; filled where Holm's correction leaves them."""
    table = found.table.dropna(subset=["ratio"]).head(limit).iloc[::-1].reset_index(drop=True)
    made, ax = style.figure(0.3 * len(table) + 1.9)
    for y, row in enumerate(table.to_dict("records")):
        ink = style.colour(0) if row["sure"] else style.QUIET
        ax.plot([row["ratio_low"], row["ratio_high"]], [y, y], color=ink, lw=1.8)
        fill = ink if row["sure"] else "white"
        shape = "o" if row["kind"] == "attribute" else "D"
        ax.plot(row["ratio"], y, shape, mfc=fill, mec=ink, ms=7)
        sides = f"{style.percent(row['best'])} : {style.percent(row['rest'])}"
        if row["kind"] == "behaviour" and not str(row["column"]).endswith("share"):
            sides = f"{row['best']:.3g} : {row['rest']:.3g}"
        place = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 8.5, "color": style.QUIET}
        ax.annotate(sides, (1.01, y), **place)
    ax.axvline(1, color=style.INK, lw=1)
    _ratios(ax)
    ax.set(yticks=range(len(table)), yticklabels=[readable(row) for row in table.to_dict("records")])
    ax.set(ylim=(-0.7, len(table) - 0.3), xlabel="best customers : the rest (ratio of shares or means)")
    ax.text(1.01, 1.0, "best : rest", transform=ax.transAxes, fontsize=8.5, color=style.QUIET)
    text = "● attribute, ◆ behaviour; filled: holds after Holm's correction over all comparisons"
    ax.set_title(text, fontsize=8.5, color=style.QUIET)
    style.title(made, _finding(found))
    return made


def _ratios(ax: Axes) -> None:
    """A log axis with plain numbers."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [tick for tick in (0.1, 0.2, 0.33, 0.5, 0.67, 1, 1.5, 2, 3, 5, 10) if low <= tick <= high]
    ax.set_xticks(ticks)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)


def _finding(found: Ideal) -> str:
    sure = found.table[found.table["sure"]]
    if sure.empty:
        return f"Nothing sets the best customers apart for sure ({found.tests} comparisons)"
    ratios = sure.dropna(subset=["ratio"])
    if ratios.empty:
        return f"{len(sure)} of {found.tests} comparisons set the best customers apart"
    row = ratios.loc[np.log(ratios["ratio"]).abs().idxmax()]
    told = f"{readable(row)} {row['ratio']:.1f} times the others'"
    return f"{len(sure)} of {found.tests} comparisons set the best customers apart; furthest: {told}"


def look_alike(score: LookAlike) -> Figure:
    """Tenths by score: how many were predicted to be among the best, and how many are."""
    table = score.calibration
    made, ax = style.figure(3.8)
    x = np.arange(1, len(table) + 1)
    spread = style.arms(table["observed"], table["low"], table["high"])
    ax.errorbar(x, table["observed"], spread, fmt="o", color=style.colour(0), capsize=3, label="observed")
    ax.plot(x, table["predicted"], marker="s", mfc="none", ls="--", color=style.colour(1), label="predicted")
    ax.set(
        xticks=x, xlabel="tenth of customers by look-alike score, highest last", ylabel="among the best", ylim=(0, None)
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(frameon=False, loc="upper left")
    told = f"holds {score.lift[0]:.1f} times as many of the best as all do (AUC {score.auc[0]:.2f})"
    word = (
        f"The top tenth by look-alike score {told}"
        if score.better_than_chance
        else (f"The look-alike score is no better than chance (AUC {score.auc[0]:.2f}, p {score.p:.2g})")
    )
    style.title(made, word)
    return made

"""Figures of what holds across numbers of segments, across halves of the customers, and in a later half of the days."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from segmentkit.analysis.across import STRONG
from segmentkit.analysis.ladder import SHOWN, Ladder
from segmentkit.analysis.later import ALL, Later
from segmentkit.display import style

LARGEST, SMALLEST = 1_500.0, 170.0
FORWARD, BACKWARD = "cut in the first half", "cut in the later half, looked at backwards"


def ladder(found: Ladder) -> Figure:
    """Segments of every number tried, column by column; bands are the customers that neighbours share."""
    nodes = found.nodes.assign(y=_heights(found.nodes))
    y = nodes.set_index(["k", "segment"])["y"]
    wide = nodes["customers"] / nodes.groupby("k")["customers"].transform("sum")
    nodes["size"] = (LARGEST * wide).clip(lower=SMALLEST)
    made, ax = style.figure(0.62 * int(nodes["k"].max()) + 1.6)
    seen = found.edges[found.edges[["share", "share_of_next"]].max(axis=1) >= SHOWN]
    total = nodes["customers"].sum() / nodes["k"].nunique()
    for row in seen.itertuples():
        ends = [y[row.k, row.segment], y[row.k + 1, row.next_segment]]
        ax.plot([row.k, row.k + 1], ends, color=style.QUIET, lw=0.6 + 22 * row.customers / total, alpha=0.4, zorder=1,
                solid_capstyle="butt")  # fmt: skip
    ax.axvline(found.k, color=style.FAINT, lw=34, zorder=0)
    outer = (nodes["k"].min(), nodes["k"].max())
    for row in nodes.itertuples():
        own = style.colour(style.key_index(row.key)) if row.key else "white"
        ax.scatter(row.k, row.y, s=row.size, color=own, edgecolor="white" if row.key else style.INK, zorder=3)
        if row.k == found.k:
            ax.text(row.k, row.y, row.key, ha="center", va="center", fontweight="bold", color="white", zorder=4,
                    path_effects=[withStroke(linewidth=2.4, foreground=style.INK)])  # fmt: skip
        elif row.k in outer:
            side = -1 if row.k == outer[0] else 1
            ax.annotate(row.key, (row.k, row.y), xytext=(17 * side, 0), textcoords="offset points", ha="center",
                        va="center", fontsize=9, color=style.QUIET)  # fmt: skip
    hidden = found.edges["customers"].sum() - seen["customers"].sum()
    ax.set(xticks=sorted(nodes["k"].unique()), yticks=[], xlabel="number of segments k", ylim=(-0.12, 1.12))
    ax.set_xlim(nodes["k"].min() - 0.4, nodes["k"].max() + 0.4)
    ax.spines["left"].set_visible(False)
    told = (
        f"Size of a circle: customers. A colour follows a letter to its best match; white: no match. Lines under "
        f"{SHOWN:.0%} of both their ends are left out ({hidden / max(found.edges['customers'].sum(), 1):.1%} of moves)."
    )
    made.supxlabel(style.wrapped(told, 118), fontsize=8.5, color=style.QUIET)
    style.title(made, found.finding)
    return made


def _heights(nodes: pd.DataFrame) -> pd.Series:
    """From 1 on top to 0, the places of each column evenly apart."""
    return 1 - (nodes["place"] + 0.5) / nodes["k"]


def prediction_strength(table: pd.DataFrame, evidence: pd.DataFrame, k: int) -> Figure:
    """Prediction strength with its range over halves, beside the bootstrap agreement, for every k."""
    made, ax = style.figure(3.6)
    ax.fill_between(table["k"], table["lowest"], table["highest"], color=style.COLOURS[0], alpha=0.13, lw=0)
    lines = ((table, "prediction_strength", "prediction strength\n(worst segment)"),
             (evidence, "stability", "agreement\n(adjusted Rand)"))  # fmt: skip
    upper = max(lines, key=lambda line: float(line[0][line[1]].iloc[-1]))[1]
    for index, (frame, column, label) in enumerate(lines):
        ax.plot(frame["k"], frame[column], marker=style.marker(index), color=style.colour(index), lw=1.8)
        last = frame.iloc[-1]
        style.label_end(ax, last["k"], last[column], label, style.colour(index), up=column == upper)
    ax.axhline(STRONG, color=style.QUIET, lw=1, ls="--")
    ax.annotate(f"{STRONG:g}, Tibshirani and Walther", (0, STRONG), xycoords=("axes fraction", "data"), xytext=(4, -3),
                textcoords="offset points", va="top", fontsize=8.5, color=style.QUIET)  # fmt: skip
    ax.axvline(k, color=style.FAINT, lw=9, zorder=0)
    ax.set(ylim=(0, 1.04), xlabel="number of segments k", xticks=table["k"])
    ax.set_xlim(None, table["k"].iloc[-1] + 0.3 * (len(table) + 1))
    strong = table.loc[table["prediction_strength"] >= STRONG, "k"]
    told = f"up to {strong.max()} segments" if len(strong) else "no number of segments tried"
    style.title(made, f"One half of the customers predicts the other well for {told}")
    return made


def later(found: Later, currency: str) -> Figure:
    """Spend of each segment in both halves, cut forwards and backwards, and the change beyond regression."""
    table = found.segments[found.segments["segment_key"] != ALL]
    made, (left, right) = style.figure(max(4.2, 0.4 * len(table) + 2.0), columns=2, width_ratios=(1.1, 1))
    _both_ways(left, table, currency)
    _changes(right, table)
    handles = dict(zip(*left.get_legend_handles_labels()[::-1], strict=True)) | dict(
        zip(*right.get_legend_handles_labels()[::-1], strict=True)
    )
    made.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    least = table.loc[table["spend_first"].idxmin()]
    both = f"; {least['segment_key']} went {least['change']:+.0%}, the same cut backwards {least['change_back']:+.0%}"
    end = "" if np.isnan(least["change"]) else both
    style.title(made, f"{found.slope:.0%} of the differences in spend are left in the later half{end}")
    return made


def _both_ways(ax: Axes, table: pd.DataFrame, currency: str) -> None:
    """Spend in the half the cut was made in against the other half; on the dotted line nothing changed."""
    x, y = table["spend_first"], table["spend_later"]
    shown = pd.concat([x, y, table["later_low"], table["later_high"], table["spend_back"], table["earlier"]])
    ends = [shown.min() * 0.8, shown.max() * 1.25]
    if ends[0] > 0:  # spend differs by factors; segments of the smallest would lie on one another
        ax.set(xscale="log", yscale="log")
    ax.plot(ends, ends, color=style.QUIET, lw=1, ls=":", label="no change")
    ax.errorbar(x, y, style.arms(y, table["later_low"], table["later_high"]), fmt="o", color=style.COLOURS[0], ms=6,
                capsize=2, label=FORWARD)  # fmt: skip
    ax.scatter(table["spend_back"], table["earlier"], marker="s", facecolor="none", edgecolor=style.COLOURS[1], s=52,
               zorder=4, label=BACKWARD)  # fmt: skip
    for rank, row in enumerate(table.sort_values("spend_first").itertuples()):
        ax.annotate(row.segment_key, (row.spend_first, row.spend_later), xytext=(0, -20 if rank % 2 else 12),
                    textcoords="offset points", ha="center", fontsize=9.5, color=style.COLOURS[0])  # fmt: skip
    ax.set(xlabel=f"in the half of the cut, {currency} a customer", ylabel="in the other half", title="Spend")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())


def _changes(ax: Axes, table: pd.DataFrame) -> None:
    y = np.arange(len(table))[::-1]
    ax.axvline(0, color=style.QUIET, lw=1)
    ax.hlines(y, table["change"], table["change_back"], color=style.FAINT, lw=3)
    ax.scatter(table["change"], y, color=style.COLOURS[0], s=46, zorder=3)
    ax.scatter(table["change_back"], y, marker="s", facecolor="none", edgecolor=style.COLOURS[1], s=52, zorder=4)
    middle = table["beyond"]
    ax.errorbar(middle, y - 0.28, xerr=style.arms(middle, table["beyond_low"], table["beyond_high"]), fmt="|", ms=8,
                color=style.INK, lw=1.6, label="beyond regression to the mean, with interval")  # fmt: skip
    ax.set(yticks=y, yticklabels=table["segment_key"], ylim=(-0.8, len(table) - 0.4))
    ax.set(xlabel="change in the other half", title="Change: the same cut both ways")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

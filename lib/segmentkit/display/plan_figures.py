"""Figures of a test's plan and of the funnel: who can tell, how long it takes, what customers did step by step."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from segmentkit.analysis import planning
from segmentkit.analysis.funnel import Funnel
from segmentkit.display import style

LOOKS = {planning.CAN: 2, planning.TOGETHER: 4, planning.HALF: 5, planning.NEVER: 1}


def power(plan: planning.Plan) -> Figure:
    """Smallest detectable effect of each segment against what is worth acting on; what lies left of it can tell."""
    shown = plan.table.iloc[::-1].reset_index(drop=True)
    made, ax = style.figure(0.5 * len(shown) + 1.9)
    worst = np.nan_to_num(shown["detectable_share"].max())
    reach = float(np.clip(1.15 * worst, 2.2 * plan.worth_share, 6 * plan.worth_share))
    ax.axvspan(0, plan.worth_share, color=style.COLOURS[2], alpha=0.12, lw=0)
    ax.axvline(plan.worth_share, color=style.INK, lw=1)
    for position, row in enumerate(shown.itertuples()):
        look, share = LOOKS[row.can_tell], row.detectable_share
        words = {"va": "center", "fontsize": 9.5}
        if pd.notna(share):
            off = share > 0.88 * reach  # off the scale, or too near its end for a figure: dotted
            told, at = style.percent(share), 0.85 * reach if off else share
            ax.plot([0, at], [position] * 2, color=style.colour(look), lw=2, ls=":" if off else "-")
            ax.plot(at, position, marker=style.marker(look), color=style.colour(look), ms=9)
            plain = words | {"bbox": {"fc": "white", "ec": "none", "pad": 1}}
            ax.annotate(told, (at, position), xytext=(9, 0), textcoords="offset points", **plain)
        else:
            ax.annotate(
                "too few buyers", (reach, position), xytext=(-4, 0), textcoords="offset points", ha="right", **words
            )
        ax.annotate(row.can_tell, (1.01, position), xycoords=("axes fraction", "data"), **words)
    labels = [f"{row.segment_key}  ({row.treated:,} against {row.control:,})" for row in shown.itertuples()]
    ax.set(yticks=range(len(shown)), yticklabels=labels, xlim=(0, reach), ylim=(-0.6, len(shown) - 0.4))
    found = f"smallest effect found {plan.power:.0%} of the time, share of mean sales"
    ax.set_xlabel(f"{found}\n(in the shade: can tell; dotted: off the scale)")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    style.title(made, plan.title)
    return made


def how_long(found: planning.Lengths) -> Figure:
    """Smallest detectable effect by length of the test, a line a segment, against what is worth acting on."""
    made, ax = style.figure(4.4)
    known = found.table.dropna(subset="detectable_share")
    days, ends = sorted(found.table["days"].unique()), [*known["detectable_share"], found.worth_share]
    ax.axhspan(1e-9, found.worth_share, color=style.COLOURS[2], alpha=0.12, lw=0)
    ax.axhline(found.worth_share, color=style.INK, lw=1)
    gap, above = np.log(max(ends) / min(ends)) / 16, -np.inf
    for key, own in sorted(known.groupby("segment_key"), key=lambda one: one[1]["detectable_share"].iloc[-1]):
        index, last = 6 if key in {"all", "none"} else style.key_index(key), own["detectable_share"].iloc[-1]
        colour, place = style.colour(index), {"xytext": (9, 0), "textcoords": "offset points", "va": "center"}
        ax.plot(own["days"], own["detectable_share"], color=colour, marker=style.marker(index), lw=1.6 + (key == "all"))
        above = max(above + gap, np.log(last))  # labels that would lie on one another move up
        ax.annotate(key, (own["days"].iloc[-1], np.exp(above)), color=colour, **place)
    ax.set(yscale="log", xlim=(0, days[-1] * 1.1), ylim=(min(ends) / 1.3, max(ends) * 1.2), xticks=days)
    ax.set(xlabel="days of the test (inside the shade: can tell)")
    ax.set(ylabel="smallest detectable effect,\nshare of mean sales (log scale)")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.yaxis.set_major_locator(FixedLocator([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]))
    ax.yaxis.set_minor_locator(NullLocator())
    style.title(made, found.title)
    return made


def steps(funnel: Funnel) -> Figure:
    """Customers at each step of the funnel, a panel a channel; only steps that the channel records."""
    total = funnel.steps[funnel.steps["segment_key"] == "all"]
    channels = list(dict.fromkeys(total["channel"]))
    made, axes = style.figure(3.6, columns=max(1, len(channels)), sharex=True, squeeze=False)
    for ax, channel in zip(axes[0], channels, strict=False):
        own = total[total["channel"] == channel].iloc[::-1]
        ax.barh(own["step"], own["customers"], color=[style.colour(6 if s == "bought" else 0) for s in own["step"]])
        for y, count in enumerate(own["customers"]):
            ax.annotate(f"{count:,}", (count, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
        ax.set(title=channel, xlim=(0, total["customers"].max() * 1.25), xlabel="customers, each once")
    style.title(made, funnel.title)
    return made

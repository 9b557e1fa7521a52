"""Figures of the business criteria: the segment evaluation plot, golden questions, short rules."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from segmentkit.analysis.attractiveness import MIDDLE, TOP, Evaluation
from segmentkit.analysis.typing_tool import TypingTool
from segmentkit.display import style

BIGGEST, ROOMY = 4_000, 400
OUT = 12.0


def evaluation(found: Evaluation) -> Figure:
    """Attractiveness against fit, bubbles by share of sales; knocked-out segments hollow in the margin."""
    made, ax = style.figure(5.4)
    size = "share" if found.table["share_of_sales"].isna().all() else "share_of_sales"
    out = found.table[found.table["knocked_out"] != ""].reset_index(drop=True)
    taken: list[tuple[float, float]] = []
    for row in found.ranked.sort_values("attractiveness", ascending=False).to_dict("records"):
        _bubble(ax, row["segment_key"], row[size], row["fit"], row["attractiveness"], taken)
    for place, row in enumerate(out.to_dict("records")):
        y = TOP - 1.8 * place
        _bubble(ax, row["segment_key"], row[size], OUT, y, [], hollow=True)
        ax.annotate(style.wrapped(row["knocked_out"], 20), (OUT + 1.2, y), va="center", fontsize=8.5)
    if len(out):
        ax.axvline(TOP + 1.1, color=style.FAINT, lw=1)
        ax.text(OUT - 0.6, TOP + 1.15, "knocked out, not ranked", fontsize=8.5, color=style.QUIET)
    for line in (ax.axhline, ax.axvline):
        line(MIDDLE, color=style.FAINT, lw=1, zorder=0)
    ax.set(xlim=(-1.2, OUT + 3.6 if len(out) else TOP + 1.2), ylim=(-1.2, TOP + 1.7))
    ax.set(xticks=range(0, 11, 2), yticks=range(0, 11, 2), ylabel="attractiveness, 0 to 10")
    source = "stated by the organisation" if found.fit_from == "stated" else "from data alone"
    ax.set_xlabel(
        f"fit, 0 to 10 ({source}); area of a bubble: {'share of sales' if size != 'share' else 'share of customers'}",
        loc="left",
    )
    style.title(made, found.headline)
    return made


def _bubble(
    ax: Axes, key: str, share: float, x: float, y: float, taken: list[tuple[float, float]], *, hollow: bool = False
) -> None:
    """A bubble with its letter in it, or beside a small one; where letters would overlap, this one moves down."""
    colour, size = style.colour(style.key_index(key)), max(40.0, BIGGEST * float(np.nan_to_num(share)))
    ax.scatter(x, y, s=size, c="white" if hollow else colour, edgecolor=colour, alpha=0.6, lw=1.4)
    beside, at = (x if size > ROOMY else x + 0.2 + np.sqrt(size / np.pi) / 36), y
    while any(abs(beside - one) < 0.45 and abs(at - other) < 0.7 for one, other in taken):
        at -= 0.1
    taken.append((beside, at))
    line = {"arrowstyle": "-", "color": style.QUIET, "lw": 0.8} if at < y else None
    made = ax.annotate(key, (x, y), (beside, at), ha="center", va="center", fontweight="bold", arrowprops=line)
    made.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def golden_questions(tools: Sequence[TypingTool]) -> Figure:
    """Share of customers put into their segment by number of questions, each tool beside guessing the largest."""
    made, axes = style.figure(4.4, columns=len(tools), sharey=True, squeeze=False)
    for index, (ax, tool) in enumerate(zip(axes[0], tools, strict=True)):
        curve, many = tool.curve, len(tool.questions)
        reach = style.arms(curve["accuracy"], curve["low"], curve["high"])
        ax.errorbar(curve["questions"], curve["accuracy"], reach, color=style.colour(index), lw=1.8, capsize=3)
        ax.plot(curve["questions"], curve["accuracy"], style.marker(index), color=style.colour(index), mfc="white")
        ax.plot(many, curve["accuracy"].iloc[many], style.marker(index), color=style.colour(index), ms=9)
        ax.axhline(curve["accuracy"].iloc[0], color=style.QUIET, lw=1, ls="--")
        names = ["none", *(style.wrapped(f"+ {style.readable(name)}", 16) for name in curve["added"].iloc[1:])]
        ax.set(ylim=(0, 1), title=tool.label, xlim=(-0.4, len(curve) - 0.6), xticks=curve["questions"])
        ax.set_xticklabels(names, rotation=90, fontsize=8.5)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0][0].set_ylabel("customers in their segment, out-of-fold\n(filled: the tool that is used)")
    axes[0][0].annotate(
        "largest segment for all", (axes[0][0].get_xlim()[1], tools[0].curve["accuracy"].iloc[0]), xytext=(0, -4),
        textcoords="offset points", ha="right", va="top", fontsize=8.5, color=style.QUIET,
    )  # fmt: skip
    style.title(made, "; ".join(_worth(tool) for tool in tools))
    return made


def _worth(tool: TypingTool) -> str:
    if not tool.questions:
        return f"{tool.label.capitalize()} nothing tells the segments apart"
    right = tool.curve["accuracy"].iloc[len(tool.questions)]
    asked = f"{len(tool.questions)} question{'s' * (len(tool.questions) > 1)}"
    return f"{tool.label.capitalize()}, {asked} put {right:.0%} of customers into their segment"


def short_rules(tool: TypingTool) -> Figure:
    """Precision and recall of each segment's short rule with intervals, beside the rule."""
    table = tool.recognised.iloc[::-1]
    made, ax = style.figure(0.62 * len(table) + 1.7)
    y = np.arange(len(table))
    for offset, name, index in ((0.14, "precision", 0), (-0.14, "recall", 1)):
        reach = style.arms(table[name], table[f"{name}_low"], table[f"{name}_high"])
        label = {"precision": "of those it finds, in the segment", "recall": "of the segment, found"}[name]
        ax.errorbar(table[name], y + offset, xerr=reach, fmt=style.marker(index), color=style.colour(index), capsize=3,
                    label=f"{name}: {label}")  # fmt: skip
    labels = [f"{row.segment_key}  {style.wrapped(row.rule, 44)}" for row in table.itertuples()]
    ax.set(yticks=y, xlim=(0, 1.02), ylim=(-0.6, len(table) - 0.4))
    ax.set_yticklabels(labels, fontsize=8.5)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.35, -0.12), ncols=2)
    best, worst = table.loc[table["f1"].idxmax()], table.loc[table["f1"].idxmin()]
    style.title(
        made,
        f"Easiest to find by a short rule is {best['segment_key']} (precision {best['precision']:.0%}, recall "
        f"{best['recall']:.0%}), hardest {worst['segment_key']} ({worst['precision']:.0%}, {worst['recall']:.0%})",
    )
    return made

"""Figures of decisions: what policies are worth, whether a ranking finds anybody, where contacts go."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segmentkit.analysis.budget import Allocation
from segmentkit.analysis.ranking import Qini
from segmentkit.analysis.uplift import Uplift
from segmentkit.display import style

HONEST, FLATTERED = 0, 1


def policy_values(uplift: Uplift) -> Figure:
    """Value of every policy: honest with its interval, and what it seems worth in-sample."""
    made, ax = style.figure(0.62 * len(uplift.policies) + 1.9)
    _ranges(ax, uplift.policies.rename(columns={"policy": "plan"}), "honest")
    chosen = uplift.policies["policy"].str.startswith("by ")
    _marked(ax, uplift.policies["in_sample"].where(chosen), "in-sample: valued on the customers that chose it")
    ax.set_xlabel(f"net benefit per customer of the list against contacting nobody, {uplift.currency}")
    style.title(made, uplift.sentence)
    return made


def qini_curve(qini: Qini, currency: str, confidence: float) -> Figure:
    """Net benefit by share of customers contacted, best first, beside orders that tell nothing."""
    made, ax = style.figure(4.4)
    curve = qini.curve
    band = f"orders that tell nothing, {confidence:.0%}"
    ax.fill_between(curve["share"], curve["random_low"], curve["random_high"], color=style.FAINT, label=band)
    ax.plot(curve["share"], curve["random"], color=style.QUIET, lw=1, ls=":")
    ends = {name: float(curve[name].iloc[len(curve) // 2]) for name in ("honest", "in_sample")}
    for index, name in ((HONEST, "honest"), (FLATTERED, "in_sample")):
        dashes, word = ("--", "in-sample, flattered") if index else ("-", "honest")
        ax.plot(
            curve["share"], curve[name], color=style.colour(index), lw=2, ls=dashes,
            marker=style.marker(index), markevery=10,
        )  # fmt: skip
        ax.annotate(
            word, (0.5, ends[name]), xytext=(0, 10 if index else -16),
            textcoords="offset points", ha="center", color=style.colour(index), fontsize=9.5,
        )  # fmt: skip
    ax.axhline(0, color=style.INK, lw=0.8)
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.set(xlabel="share of customers contacted, highest prediction first", xlim=(0, 1))
    ax.set_ylabel(f"net benefit per customer of the list, {currency}")
    ax.legend(handles=ax.collections[:1], frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    style.title(made, _qini_finding(qini, currency))
    return made


def _qini_finding(qini: Qini, currency: str) -> str:
    seems = f"in-sample it seemed worth {qini.in_sample:,.2f}"
    if qini.p <= 0.05:
        return f"Ranking customers is worth {qini.coefficient:,.2f} {currency} each over a random order; {seems}"
    return f"Nothing shows that ranking customers beats a random order (p {qini.p:.2f}); {seems} {currency} each"


def contacts(allocation: Allocation, currency: str) -> Figure:
    """Contacts by segment and offer, and the plan's profit beside the same for everyone and nobody."""
    made, (left, right) = style.figure(4.4, columns=2, width_ratios=[1, 1.15])
    _bars(left, allocation.table)
    if not allocation.plans["contacts"].any():
        right.text(0.5, 0.5, "no plan", ha="center", transform=right.transAxes, color=style.QUIET)
        right.set_axis_off()
    else:
        _ranges(right, allocation.plans, "profit")
        _marked(right, allocation.plans["honest"], "measured on other customers")
        right.set_xlabel(f"expected profit against contacting nobody, {currency}")
    style.title(made, allocation.sentence)
    return made


def _bars(ax: Axes, table: pd.DataFrame) -> None:
    keys = style.names_in_order(table["segment_key"].unique().tolist())[::-1]
    sizes = table.groupby("segment_key")["customers"].max()[keys]
    ax.barh(keys, sizes, color="white", edgecolor=style.QUIET, lw=0.8, label="left without contact")
    start = np.zeros(len(keys))
    for index, (name, part) in enumerate(table.groupby(["offer", "channel"])):
        many = part.set_index("segment_key")["contacts"].reindex(keys).fillna(0).to_numpy(dtype=float)
        hatch = ("", "//", "..", "xx")[index % 4]
        told = f"{_short(f'{name[0]} by {name[1]}', 40)}: {many.sum():,.0f}"
        ax.barh(keys, many, left=start, color=style.colour(index), hatch=hatch, edgecolor="white", label=told)
        start += many
    ax.set(xlabel="customers", ylabel="segment", ylim=(-0.6, len(keys) - 0.4), title="contacts, if chosen by segment")
    ax.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.17))


def _ranges(ax: Axes, plans: pd.DataFrame, value: str) -> None:
    """One line a plan: its value with the interval, targeted ones in another colour and shape."""
    for y, row in enumerate(plans.iloc[::-1].to_dict("records")):
        index = HONEST if str(row["plan"]).startswith("by ") else 6
        ax.plot([row["low"], row["high"]], [y] * 2, color=style.colour(index), lw=2.4)
        ax.plot(row[value], y, marker=style.marker(index), color=style.colour(index), ms=8)
        ax.annotate(
            f"{row[value]:+,.2f}" if abs(row[value]) < 100 else f"{row[value]:+,.0f}", (row[value], y), xytext=(0, 7),
            textcoords="offset points", ha="center", fontsize=8.5, color=style.INK,
        )  # fmt: skip
    ax.axvline(0, color=style.INK, lw=1)
    names = [_short(name, 24) for name in plans["plan"].iloc[::-1]]
    ax.set(yticks=range(len(plans)), yticklabels=names, ylim=(-0.6, len(plans) - 0.4))


def _short(name: str, width: int) -> str:
    """At most three lines: a long name would leave no room for the picture."""
    return "\n".join(textwrap.wrap(name, width, max_lines=3, placeholder=" …"))


def _marked(ax: Axes, values: pd.Series, label: str) -> None:
    ax.plot(values.iloc[::-1], range(len(values)), "s", mfc="none", mec=style.colour(FLATTERED), ms=9, label=label)
    ax.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.17))

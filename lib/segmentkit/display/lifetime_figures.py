"""Figures of lifetime value and acquisition: the models held against later purchases, lifetime by segment, payback."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segmentkit.analysis.acquisition import Acquisition
from segmentkit.analysis.lifetime import Lifetime
from segmentkit.analysis.lifetime_check import Holdout
from segmentkit.display import style


def holdout(check: Holdout) -> Figure:
    """Later purchases per customer, expected and actual, by the repeat purchases the models had seen."""
    made, ax = style.figure(4.0)
    x = np.arange(len(check.table))
    for index, (column, told) in enumerate((("actual", "came"), ("expected", "expected by the model"))):
        style_of = {"marker": style.marker(index), "color": style.colour(index), "ls": "-" if index == 0 else "--"}
        ax.plot(x, check.table[column], **style_of, ms=7, lw=1.8, label=told)
    labels = [f"{row.repeat_purchases}\n{row.customers:,}" for row in check.table.itertuples()]
    ax.set(xticks=x, xticklabels=labels, ylim=(0, None), ylabel=f"purchases per customer in {check.weeks:.0f} weeks")
    ax.set_xlabel("repeat purchases the models had seen; below, customers")
    ax.legend(frameon=False, loc="upper left")
    more = "more" if check.bias > 0 else "fewer"
    believed = "" if check.believable else ": do not believe the level"
    style.title(made, f"In all, {abs(check.bias):.0%} {more} purchases were expected than came{believed}")
    return made


def lifetime(found: Lifetime, currency: str) -> Figure:
    """Expected sales of each segment over the horizon with their intervals, beside what was observed so far."""
    table = found.table.iloc[::-1].reset_index(drop=True)
    made, ax = style.figure(0.6 * len(table) + 1.7)
    for y, row in table.iterrows():
        index = 6 if row["segment_key"] == "all" else style.key_index(row["segment_key"])
        ax.plot([row["sales_low"], row["sales_high"]], [y, y], color=style.colour(index), lw=2.6)
        ax.plot(row["sales"], y, marker=style.marker(index), color=style.colour(index), ms=8)
        ax.plot(row["sales_so_far"], y, marker="|", color=style.QUIET, ms=18, mew=2)
        ax.annotate(
            f"{style.money(row['sales'], currency)}, alive {row['alive']:.0%}",
            (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9.5,
        )  # fmt: skip
    labels = [f"{row.segment_key}  ({row.customers:,})" for row in table.itertuples()]
    ax.set(yticks=range(len(table)), yticklabels=labels, ylim=(-0.6, len(table) - 0.4))
    ax.set_xlim(0, 1.08 * float(table[["sales_high", "sales_so_far"]].to_numpy().max()))
    ax.set_xlabel(
        f"sales per customer, {currency}: expected over {found.horizon_days} days; grey bar: so far "
        f"({found.observed_days} days of data)"
    )
    whole = found.table.iloc[-1]
    doubt = "" if found.check.believable else " (level not to be believed)"
    style.title(
        made,
        f"The next {found.horizon_days} days are expected to bring {style.money(whole['sales'], currency)} a customer"
        f"{doubt}",
    )
    return made


def payback(found: Acquisition, currency: str) -> Figure:
    """Margin per acquired customer, added up by month, as a multiple of what winning one had cost; 1 is paid back.

    Needs a known margin: ``found.curves`` is empty without one.
    """
    made, ax = style.figure(4.2)
    shown = found.channels[(found.channels["cac"] > 0) & (found.channels["months_seen"] > 0)]
    ends = []
    for index, row in enumerate(shown.itertuples()):
        own, look = found.curves[found.curves["channel"] == row.channel], 6 if row.channel == "all" else index
        times = own["margin"] / row.cac
        ax.plot(own["month"], times, marker=style.marker(look), color=style.colour(look), ms=4.5, lw=1.8)
        told = f"{row.channel} ({style.money(row.cac, currency)})"
        ends.append((float(times.iloc[-1]), int(own["month"].iloc[-1]), told, style.colour(look)))
    gap, y = max((end[0] for end in ends), default=0.0) * 0.06, -np.inf
    for height, month, told, colour in sorted(ends):
        y = max(height, y + gap)
        ax.annotate(
            told, (month, y), xytext=(8, 0), textcoords="offset points", va="center", color=colour, fontsize=9.5
        )
    ax.axhline(1, color=style.INK, lw=1, ls="--")
    months = int(found.curves["month"].max())
    ax.set(xlim=(0.5, months * 1.28), ylim=(min(0.0, ax.get_ylim()[0]), None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="months of 30 days since acquisition", ylabel="margin so far over acquisition cost")
    whole = found.channels.iloc[-1]
    paid = f"is paid back in month {whole['payback_month']:.0f}"
    late = f"is not yet paid back after {whole['months_seen']} months"
    style.title(
        made,
        f"A new customer cost {style.money(whole['cac'], currency)} and "
        f"{paid if pd.notna(whole['payback_month']) else late}",
    )
    return made

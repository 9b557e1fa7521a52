"""Figures of campaigns and money: answers, before and during, forests."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from segmentkit.analysis.peeking import Looks
from segmentkit.analysis.randomised import Test
from segmentkit.analysis.roi import profit_by_cost
from segmentkit.analysis.targeted import NotRandomised
from segmentkit.display import style

FEW = 10


def response_rates(rates: pd.DataFrame, action: str) -> Figure:
    """Share of the reached who answered, per campaign and frozen segment, with intervals on one scale."""
    campaigns = list(dict.fromkeys(rates["campaign_id"]))
    made, axes = style.figure(4.0, columns=len(campaigns), sharey=True, sharex=True, squeeze=False)
    keys = style.names_in_order([key for key in rates["segment_key"].unique() if key not in {"all", "none"}])
    y = {key: i for i, key in enumerate([*keys, "all"][::-1])}
    reach = rates.loc[rates["reached"] >= FEW, "high"].max() * 1.6
    for ax, campaign in zip(axes[0], campaigns, strict=True):
        own = rates[(rates["campaign_id"] == campaign) & rates["segment_key"].isin(y)]
        for row in own.itertuples():
            index, at = keys.index(row.segment_key) if row.segment_key in keys else 6, y[row.segment_key]
            told, end = f"{row.responders:,} of {row.reached:,}", row.high
            if row.reached < FEW:
                told, end = f"{told}: too few", 0.0
            else:
                ax.plot([row.low, row.high], [at] * 2, color=style.colour(index), lw=2)
                ax.plot(row.rate, at, marker=style.marker(index), color=style.colour(index), ms=7)
            ax.annotate(
                told, (end, at), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8, color=style.QUIET
            )
        ax.set(title=f"campaign {campaign}", yticks=list(y.values()), yticklabels=list(y), xlim=(0, min(1.0, reach)))
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0][0].set_ylabel("segment before the campaign")
    total = rates[rates["segment_key"] == "all"]
    low, high = total["rate"].min(), total["rate"].max()
    share = f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"
    style.title(made, f"{share} of those reached {action}; an answer is not yet an effect")
    return made


def before_and_during(readings: Sequence[NotRandomised], currency: str) -> Figure:
    """The naive difference while a campaign ran, beside the same difference before it began."""
    made, ax = style.figure(0.95 * len(readings) + 1.7)
    for position, reading in enumerate(reversed(readings)):
        for offset, part, index, word in ((0.16, reading.before, 5, "before"), (-0.16, reading.during, 1, "during")):
            ax.plot([part.low, part.high], [position + offset] * 2, color=style.colour(index), lw=2.4)
            ax.plot(part.estimate, position + offset, marker=style.marker(index), color=style.colour(index), ms=8)
            ax.annotate(
                f"{word} {part.estimate:+,.0f}",
                (part.high, position + offset),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    ax.axvline(0, color=style.INK, lw=1)
    ends = [value for r in readings for d in (r.during, r.before) for value in (d.low, d.high)]
    ax.set(yticks=range(len(readings)), yticklabels=[f"campaign {r.campaign_id}" for r in reversed(readings)])
    ax.set(xlabel=f"sales per customer, reached minus others, {currency}", ylim=(-0.6, len(readings) - 0.4))
    ax.set_xlim(min(0.0, *ends) * 1.15, max(0.0, *ends) * 1.28)
    # a ratio says something only where both gaps are there and point the same way
    clear = all(r.before.low * r.before.high > 0 and r.before.estimate * r.during.estimate > 0 for r in readings)
    share = np.mean([r.before.estimate / r.during.estimate for r in readings]) if clear else None
    plain = "The gap between the reached and the others, before and while the campaigns ran"
    style.title(
        made, plain if share is None else f"Before they began, the gap was {share:.0%} as large as while they ran"
    )
    return made


def forest(
    table: pd.DataFrame, value: str, *, unit: str, title: str, truth: Mapping[str, float] | None = None
) -> Figure:
    """One line a segment with its interval and a word; a hollow diamond is the shrunk estimate.

    ``truth`` marks what was planted in simulated data.
    """
    prefix = value.removesuffix("_difference")
    shown = table.iloc[::-1].reset_index(drop=True)
    made, ax = style.figure(0.52 * len(shown) + 1.7)
    for position, row in shown.iterrows():
        index = 6 if row["segment_key"] == "all" else 0
        low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
        if pd.notna(low):
            ax.plot([low, high], [position] * 2, color=style.colour(index), lw=2.4)
            ax.plot(row[value], position, marker="D" if index else "o", color=style.colour(index), ms=8)
            shrunk = row.get(f"{prefix}_shrunk", np.nan)
            ax.plot(shrunk, position, marker="D", mfc="white", mec=style.INK, ms=6, ls="")
        if truth is not None:
            ax.plot(truth[row["segment_key"]], position, marker="|", color=style.COLOURS[1], ms=20, mew=2.5)
        ax.annotate(row["word"], (1.01, position), xycoords=("axes fraction", "data"), va="center", fontsize=9.5)
    ax.axvline(0, color=style.INK, lw=1)
    labels = [f"{row.segment_key}  ({row.treated:,} against {row.control:,})" for row in shown.itertuples()]
    note = "; hollow: shrunk towards the mean" if f"{prefix}_shrunk" in table.columns else ""
    note += "; orange: planted" if truth is not None else ""
    ax.set(yticks=range(len(shown)), yticklabels=labels, xlabel=f"{unit}{note}", ylim=(-0.6, len(shown) - 0.4))
    style.title(made, title)
    return made


def test_forest(test: Test, currency: str) -> Figure:
    """A test's forest; simulated ones say so in the title and mark what was planted."""
    what = "net benefit" if test.value == "net_benefit" else "extra sales"
    unit = f"{what} per customer treated, {currency}"
    return forest(test.table, test.value, unit=unit, title=test.title, truth=test.truth)


def break_even(currency: str) -> Figure:
    """Extra sales that pay for one unit of cost, by margin: arithmetic, not data."""
    margins = np.linspace(0.05, 0.8, 151)
    made, ax = style.figure(3.4)
    ax.plot(margins, 1 / margins, color=style.COLOURS[0], lw=2)
    for margin in (0.2, 0.4):
        ax.plot(margin, 1 / margin, "o", color=style.COLOURS[1])
        ax.annotate(
            f"{1 / margin:.2f} at {margin:.0%}", (margin, 1 / margin), xytext=(8, 5), textcoords="offset points"
        )
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(xlim=(0, 0.8), ylim=(0, None), xlabel="margin as a share of sales")
    ax.set_ylabel(f"extra sales per {currency} of cost, {currency}")
    style.title(made, f"At a margin of 20 % each {currency} spent must bring {1 / 0.2:.2f} {currency} of extra sales")
    return made


def looks(found: Looks, currency: str) -> Figure:
    """The running difference in sales, with the interval for one look and the one for any number of looks."""
    table = found.table
    made, ax = style.figure(3.8)
    ax.fill_between(table["days"], table["always_low"], table["always_high"], color=style.COLOURS[5], alpha=0.3, lw=0)
    ax.plot(table["days"], table["low"], table["days"], table["high"], color=style.COLOURS[1], lw=1.2, ls="--")
    ax.plot(table["days"], table["estimate"], color=style.COLOURS[0], marker="o", lw=2)
    ax.axhline(0, color=style.INK, lw=1)
    last = table.iloc[-1]
    for y, text, colour in (
        (last["always_high"], "for any number of looks", style.COLOURS[0]),
        (last["high"], "for one look", style.COLOURS[1]),
    ):
        style.label_end(ax, last["days"], y, text, colour, up=False)
    ax.set(xlabel="days since the start", ylabel=f"extra sales per customer so far, {currency}")
    ax.set_xlim(0, last["days"] * 1.28)
    sound = int(((table["always_low"] > 0) | (table["always_high"] < 0)).sum())
    told = f"{sound} of {len(table)} looks" if sound else "no look"
    style.title(made, f"Campaign {found.campaign_id}, {found.arm}: {told} would have allowed it to be stopped")
    return made


def profit_chance(tests: Sequence[Test], currency: str) -> Figure:
    """Probability of a profit as a function of what a customer costs; the cost as it was is marked."""
    made, ax = style.figure(3.6)
    rows = [(test, test.overall) for test in tests if pd.notna(test.overall["net_benefit_error"])]
    chances = []
    for index, (test, row) in enumerate(rows):
        curve = profit_by_cost(row["net_benefit"], row["net_benefit_error"], row["cost"])
        chances.append(float(np.interp(row["cost"], curve["cost"], curve["chance"])))
        ax.plot(curve["cost"], curve["chance"], color=style.colour(index), lw=2)
        label = style.wrapped(f"{test.name}: {chances[-1]:.0%} at {row['cost']:,.2f}", 40)
        ax.plot(
            row["cost"], chances[-1], marker=style.marker(index), color=style.colour(index), ms=8, ls="-", label=label
        )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(xlim=(0, None), ylim=(0, 1.04), xlabel=f"cost per customer treated, {currency}")
    ax.set_ylabel("chance of a profit (flat prior)")
    if rows:
        ax.legend(frameon=False, fontsize=9, loc="upper right")
    told = ", ".join(
        f"{test.campaign_id} {test.arm} {share:.0%}" for (test, _), share in zip(rows, chances, strict=True)
    )
    style.title(made, f"Chance that it paid, at the cost as it was: {told or 'too few buyers to tell'}")
    return made

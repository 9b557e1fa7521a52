"""Figures of campaigns that chose their customers: week by week, overlap, and what was adjusted beside a placebo."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from segmentkit.analysis.adjusted import Estimate
from segmentkit.analysis.event_study import EventStudy
from segmentkit.analysis.targeted import NotRandomised, equivalent
from segmentkit.display import style


def event_study(studies: Sequence[EventStudy], currency: str) -> Figure:
    """Weekly gaps between the reached and the others, against the last week before the campaign; one panel each."""
    made, axes = style.figure(2.3 * len(studies) + 0.9, rows=len(studies), sharex=True, sharey=True, squeeze=False)
    for ax, study in zip(axes[:, 0], studies, strict=True):
        for own, index, word in ((study.table["week"] < 0, 5, "before"), (study.table["week"] >= 0, 1, "campaign")):
            part = study.table[own]
            ax.vlines(part["week"], part["low"], part["high"], color=style.colour(index), lw=2)
            ax.plot(part["week"], part["estimate"], style.marker(index), color=style.colour(index), ms=6, label=word)
        ax.axhline(0, color=style.INK, lw=1)
        ax.axvline(-0.5, color=style.QUIET, lw=1, ls=":")
        told = "too few weeks before it" if study.table.empty else f"weeks before it: p {study.pretrend_p:.2g}"
        ax.set_title(f"campaign {study.campaign_id}, {told}")
    axes[0, 0].legend(frameon=False, ncols=2, fontsize=9, loc="upper left")
    axes[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1, 0].set_xlabel("week, 0 is the campaign's first")
    made.supylabel(f"gap per customer, {currency}", fontsize=10)
    moved = [study.campaign_id for study in studies if study.pretrend_p < study.level]
    still = "too few weeks before the campaigns to tell"
    if any(not study.table.empty for study in studies):
        still = "no move beyond chance is seen before the campaigns"
    found = f"it already moved before {', '.join(moved)}" if moved else still
    style.title(made, f"The gap between the reached and the others, week by week: {found}")
    return made


def overlap(readings: Sequence[NotRandomised]) -> Figure:
    """Chance of being reached, of the reached (upwards) and of the others (downwards); one panel a campaign."""
    made, axes = style.figure(3.6, columns=len(readings), sharex=True, sharey=True, squeeze=False)
    for ax, reading in zip(axes[0], readings, strict=True):
        found = reading.adjusted.overlap
        for treated, index, sign in ((True, 1, 1), (False, 0, -1)):
            counts, edges = np.histogram(found.chance[found.treated == treated], bins=20, range=(0, 1))
            ax.bar(edges[:-1], sign * counts, width=0.05, align="edge", color=style.colour(index), edgecolor="white")
        ax.axhline(0, color=style.INK, lw=1)
        ax.margins(y=0.15)
        name = style.wrapped(f"campaign {reading.campaign_id}:", 84 // len(readings))
        ax.set_title(f"{name}\n{found.effective_controls:,.0f} effective controls")
        ax.text(0.5, 0.94, "reached", transform=ax.transAxes, ha="center", color=style.colour(1))
        ax.text(0.5, 0.03, "others", transform=ax.transAxes, ha="center", color=style.colour(0))
    axes[0, 0].yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes[0, 0].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0, 0].set_ylabel("customers")
    made.supxlabel("chance of being reached, by what was known before", fontsize=10)
    style.title(made, _overlap_title(readings))
    return made


def _overlap_title(readings: Sequence[NotRandomised]) -> str:
    scarce = min(readings, key=lambda reading: reading.adjusted.overlap.effective_controls)
    effective = scarce.adjusted.overlap.effective_controls
    return f"Of {scarce.others:,} others, as few as {effective:,.0f} count as controls like the reached"


def adjusted_and_placebo(readings: Sequence[NotRandomised], currency: str) -> Figure:
    """The adjusted estimate beside its placebo, with the band in which a placebo must lie; one row a campaign."""
    made, ax = style.figure(1.1 * len(readings) + 1.8)
    for position, reading in enumerate(reversed(readings)):
        ax.fill_between([-reading.worth, reading.worth], position - 0.4, position + 0.4, color=style.FAINT, lw=0)
        _mark(ax, reading.placebo, position + 0.18, 5, "placebo, before it began")
        _mark(ax, reading.adjusted.main, position - 0.18, 1, f"adjusted, while it ran: {reading.verdict}")
    ax.axvline(0, color=style.INK, lw=1)
    ax.set(yticks=range(len(readings)), yticklabels=[f"campaign {r.campaign_id}" for r in reversed(readings)])
    ax.set(
        ylim=(-0.6, len(readings) - 0.4), xlabel=f"sales per customer reached, {currency}; grey: too small to act on"
    )
    passed = sum(r.placebo is not None and equivalent(r.placebo, r.worth) for r in readings)
    style.title(
        made, f"The placebo stays inside the band of what is too small to act on in {passed} of {len(readings)}"
    )
    return made


def _mark(ax: Axes, part: Estimate | None, y: float, index: int, word: str) -> None:
    if part is None:
        ax.annotate("no placebo: the data begin too late", (0, y), va="center", fontsize=8.5, color=style.QUIET)
        return
    ax.plot([part.low, part.high], [y] * 2, color=style.colour(index), lw=2.4)
    ax.plot(part.estimate, y, marker=style.marker(index), color=style.colour(index), ms=8)
    told = f"{word}, {round(part.estimate) + 0:+,}"
    ax.annotate(told, (part.high, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5)
    ax.update_datalim([(part.high + 0.75 * (part.high - part.low), y)])

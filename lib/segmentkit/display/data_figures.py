"""Figures of the data: weeks, units, distributions, value, cohorts, classes, hours."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from segmentkit.analysis.value import Concentration
from segmentkit.display import style

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def sales_by_week(calendar: pd.DataFrame, currency: str) -> Figure:
    """Sales by calendar week; weeks the data do not fill are left out and counted in the title."""
    whole = calendar[calendar["complete"]]
    left_out = len(calendar) - len(whole)
    made, ax = style.figure(3.6)
    ax.plot(whole["week"], whole["sales"], color=style.COLOURS[0], lw=1.8)
    ax.set(ylim=(0, None), ylabel=f"sales a week, {currency}")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    style.title(made, f"Sales run from {whole['sales'].min():,.0f} to {whole['sales'].max():,.0f} {currency} a week")
    word = "week is" if left_out == 1 else "weeks are"
    style.note(ax, f"{len(whole)} full weeks; {left_out} {word} left out because the data do not fill them.")
    return made


def unit_trap(units: pd.DataFrame, top_share: float) -> Figure:
    """Share of each column's total in its largest 1 % of non-zero lines; columns over the limit stand out."""
    table = units.sort_values("top_share")
    made, ax = style.figure(0.55 * len(table) + 1.5)
    colours = [style.COLOURS[0] if ok else style.COLOURS[1] for ok in table["plausible"]]
    bars = ax.barh([style.readable(c) for c in table["column"]], table["top_share"], color=colours)
    for bar, ok in zip(bars, table["plausible"], strict=True):
        bar.set_hatch("" if ok else "//")
    ax.bar_label(bars, [f"{share:.1%}" for share in table["top_share"]], padding=4)
    ax.axvline(top_share, color=style.INK, lw=1, ls="--")
    ax.set(xlim=(0, 1.12), xlabel="share of the column's total in its largest 1 % of lines; dashed: the limit")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    bad = table.loc[~table["plausible"], "column"]
    told = (
        f"{', '.join(map(style.readable, bad))}: units differ from line to line"
        if len(bad)
        else "No column mixes units"
    )
    style.title(made, told)
    return made


def distributions(features: pd.DataFrame, scaled: np.ndarray, names: Sequence[str]) -> Figure:
    """Each clustered feature before and after the transform."""
    made, axes = style.figure(4.4, columns=len(names), rows=2, squeeze=False)
    skews = []
    for column, name in enumerate(names):
        raw, after = features[name].dropna(), pd.Series(scaled[:, column])
        skews.append((raw.skew(), after.skew()))
        for row, values in enumerate((raw, after)):
            sns.histplot(x=values, bins=40, ax=axes[row][column], color=style.COLOURS[0], edgecolor="white", lw=0.3)
            axes[row][column].set(ylabel="customers" if column == 0 else "", xlabel="")
            axes[row][column].set_title(f"{style.readable(name)}{', transformed' if row else ''}")
    most_before, most_after = (max(abs(pair[i]) for pair in skews) for i in (0, 1))
    style.title(made, f"The transform takes the largest skewness from {most_before:.1f} to {most_after:.1f}")
    return made


def whale_curve(value: Concentration) -> Figure:
    """Cumulative share of sales, best customers first."""
    made, ax = style.figure(4.2)
    curve = value.curve
    ax.plot(curve["share_of_customers"], curve["share_of_sales"], color=style.COLOURS[0], lw=2)
    ax.plot([0, 1], [0, 1], color=style.QUIET, lw=1, ls="--")
    ax.annotate("all customers alike", (0.62, 0.6), color=style.QUIET, rotation=27, fontsize=9)
    ax.plot([0.2, 0.2, 0], [0, value.top_fifth, value.top_fifth], color=style.COLOURS[1], lw=1.2, ls=":")
    ax.plot(0.2, value.top_fifth, "o", color=style.COLOURS[1])
    ax.annotate(f"best 20 %: {value.top_fifth:.0%} of sales", (0.22, value.top_fifth - 0.05), color=style.COLOURS[1])
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="customers, best first", ylabel="share of sales")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    style.title(made, value.sentence)
    return made


def cohorts(retention: pd.DataFrame, observed: bool) -> Figure:
    """Share of each cohort that buys again, by months after its first purchase; incomplete months are blank."""
    shown = retention[retention["complete"] & (retention["months_after"] > 0)]
    made, ax = style.figure(4.8)
    if shown.empty:
        ax.text(0.5, 0.5, "no cohort has a complete month yet", ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
        style.title(made, "Too short a history for cohorts")
        return made
    grid = shown.pivot(index="cohort", columns="months_after", values="share")
    sizes = retention.groupby("cohort")["customers"].first()
    labels = [f"{cohort:%Y-%m} ({sizes[cohort]:,.0f})" for cohort in grid.index]
    text = len(grid.columns) <= 13
    sns.heatmap(
        grid, cmap=style.RAMP, vmin=0, vmax=1, annot=text, fmt=".0%", annot_kws={"size": 7.5}, linewidths=0.5, ax=ax,
        yticklabels=labels, cbar_kws={"format": PercentFormatter(1.0, decimals=0), "label": "share that buys"},
    )  # fmt: skip
    ax.set(xlabel="months after the first purchase seen", ylabel="first purchase seen (customers)")
    ax.tick_params(axis="y", rotation=0)
    month = shown[shown["months_after"] == shown["months_after"].min()]
    again = month["buyers"].sum() / month["customers"].sum()
    told = f"{again:.0%} of customers buy in the month after their first purchase"
    if not observed:
        told = "Not true cohorts: first purchases were not observed, the first row is everyone who was there already"
    style.title(made, told)
    return made


def rfm_classes(summary: pd.DataFrame) -> Figure:
    """Share of customers and of sales by RFM class."""
    made, ax = style.figure(4.2)
    table = summary[summary["customers"] > 0].iloc[::-1]
    y = np.arange(len(table))
    for offset, name, index in ((0.2, "share_of_customers", 5), (-0.2, "share_of_sales", 0)):
        bars = ax.barh(y + offset, table[name], height=0.38, color=style.colour(index), label=style.readable(name))
        ax.bar_label(bars, [f"{share:.0%}" for share in table[name]], padding=3, fontsize=8.5)
    ax.set(
        yticks=y,
        yticklabels=table["rfm_class"],
        xlabel="share",
        xlim=(0, table[["share_of_customers", "share_of_sales"]].max().max() * 1.12),
    )
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(frameon=False, loc="lower right")
    top = summary.loc[summary["share_of_sales"].idxmax()]
    style.title(
        made, f"{top['rfm_class']}: {top['share_of_customers']:.0%} of customers, {top['share_of_sales']:.0%} of sales"
    )
    return made


def week_clock(hours: pd.DataFrame, time_zone: str, what: str = "orders") -> Figure:
    """Orders, or another column that counts, by weekday and local hour."""
    made, ax = style.figure(3.6)
    grid = (
        hours.pivot(index="weekday", columns="hour", values=what).reindex(index=range(7), columns=range(24)).fillna(0)
    )
    sns.heatmap(grid, cmap=style.RAMP, ax=ax, yticklabels=WEEKDAYS, cbar_kws={"label": what})
    ax.set(xlabel=f"hour of the day, {time_zone}", ylabel="")
    ax.tick_params(axis="both", rotation=0)
    busiest = hours.loc[hours[what].idxmax()]
    day, hour = WEEKDAYS[int(busiest["weekday"])], int(busiest["hour"])
    style.title(made, f"The busiest hour is {day} from {hour}:00: {int(busiest[what]):,} {what}")
    return made


def attributes(customers: pd.DataFrame, names: Sequence[str], everyone: int, limit: int = 12) -> Figure:
    """Counts of each attribute's values, of those customers who state it; at most eight attributes."""
    shown = list(names)[:8]
    counts = {name: customers[name].value_counts().head(limit) for name in shown}
    pairs = [shown[i : i + 2] for i in range(0, len(shown), 2)]
    heights = [0.9 + 0.24 * max(len(counts[name]) for name in pair) for pair in pairs]
    made, axes = style.figure(0.5 + sum(heights), columns=2, rows=len(pairs), squeeze=False, height_ratios=heights)
    for ax, name in zip(axes.flat, shown, strict=False):
        own = counts[name].sort_index(key=lambda index: [_natural(str(value)) for value in index], ascending=False)
        ax.barh([str(value) for value in own.index], own, color=style.COLOURS[0])
        values = customers[name].nunique()
        more = f", {limit} commonest of {values} values" if values > limit else ""
        ax.set_title(f"{style.readable(name)} ({int(customers[name].notna().sum()):,} stated{more})")
    for ax in list(axes.flat)[len(shown) :]:
        ax.set_axis_off()
    left_out = f"; {len(names) - 8} more attributes not drawn" if len(names) > 8 else ""
    share = len(customers) / everyone
    style.title(made, f"Attributes are known for {len(customers):,} of {everyone:,} customers ({share:.0%}){left_out}")
    return made


def _natural(text: str) -> str:
    """Sort key that puts 15-24K before 100-124K, and Under 15K before both."""
    found = re.search(r"\d+", text)
    return f"{int(found.group()):012d}{text[0].isdigit():d}{text}" if found else f"~{text}"


def engagement(counted: pd.DataFrame, limit: int = 12) -> Figure:
    """Customers by channel and event, the commonest kinds of contact first."""
    table = counted.head(limit).iloc[::-1]
    made, ax = style.figure(0.4 * len(table) + 1.6)
    bars = ax.barh(table["channel"] + " " + table["event"], table["customers"], color=style.COLOURS[0])
    ax.bar_label(bars, [f"{count:,}" for count in table["customers"]], padding=4)
    ax.set(xlim=(0, table["customers"].max() * 1.15), xlabel="customers with at least one in the window")
    top = counted.iloc[0]
    more = f"; {len(counted) - limit} rarer kinds not drawn" if len(counted) > limit else ""
    style.title(made, f"Most customers have: {top['channel']} {top['event']} ({top['customers']:,}){more}")
    return made

"""Figures of the months after: who moved, what changed in money, drift, regression to the mean, trends."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from segmentkit.analysis.migration import GONE, NEW, Moves
from segmentkit.display import style

GAP, BAR = 0.025, 0.05


def alluvial(migration: pd.DataFrame, moved: Moves, names: Mapping[str, str], labels: tuple[str, str]) -> Figure:
    """Flows of customers and of sales from the segments of one look to those of the next."""
    keys = style.names_in_order(sorted({*migration["from_key"], *migration["to_key"]} - {NEW, GONE}))
    colours = {key: style.colour(style.key_index(key)) for key in keys} | {NEW: style.QUIET, GONE: style.QUIET}
    made, (left, right) = style.figure(0.5 * len(keys) + 2.8, columns=2)
    _flows(left, migration, "customers", "customers", [*keys, NEW], [*keys, GONE], colours)
    _flows(right, migration, "sales_before", "sales_now", [*keys, NEW], [*keys, GONE], colours)
    left.set_title("Customers")
    right.set_title("Sales: before on the left, now on the right")
    for ax in (left, right):
        ax.set(xlim=(-0.14, 1.14), ylim=(-0.03, 1.03), yticks=[], xticks=[0, 1], xticklabels=labels)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.tick_params(length=0)
        ax.invert_yaxis()
    told = f"about {moved.noise:.0%} would by luck alone" if moved.noise_customers else "luck was not simulated"
    told = "the days are the same" if moved.same_days else told
    style.title(made, f"{moved.share:.0%} of the known customers are in another segment now; {told}")
    legend = "; ".join(f"{key} {names[key]}" for key in keys if key in names)
    made.supxlabel(style.wrapped(legend, 120), fontsize=8.5, color=style.QUIET)
    return made


def _flows(
    ax: Axes, table: pd.DataFrame, out: str, into: str, start: list[str], end: list[str], colours: Mapping[str, str]
) -> None:
    """One alluvial plot; a flow may be thicker at one end where money grew or shrank on the way."""
    flows = table.set_index(["from_key", "to_key"]).clip(lower=0.0).astype(float)
    flows = pd.DataFrame({"out": flows[out], "into": flows[into]})
    starts, ends = flows["out"].groupby(level=0).sum(), flows["into"].groupby(level=1).sum()
    total = max(starts.sum(), ends.sum()) or 1.0
    scale = (1 - GAP * (max(len(start), len(end)) - 1)) / total
    tops = (_stack(ax, start, starts * scale, 0.0, colours), _stack(ax, end, ends * scale, 1.0, colours))
    x = np.linspace(0, 1, 40)
    ease = 3 * x**2 - 2 * x**3
    for one in start:
        for other in end:
            if (one, other) not in flows.index:
                continue
            thick = flows.loc[(one, other)].to_numpy() * scale
            upper = tops[0][one] + (tops[1][other] - tops[0][one]) * ease
            lower = upper + thick[0] + (thick[1] - thick[0]) * ease
            ax.fill_between(
                x * (1 - 2 * BAR) + BAR, upper, lower, color=colours[one], alpha=0.7 if one == other else 0.3, lw=0
            )
            tops[0][one] += thick[0]
            tops[1][other] += thick[1]


def _stack(
    ax: Axes, keys: list[str], sizes: "pd.Series[float]", at: float, colours: Mapping[str, str]
) -> dict[str, float]:
    tops, y = {}, 0.0
    for key in keys:
        size = float(sizes.get(key, 0.0))
        tops[key] = y
        if size > 0:
            ax.bar(at, size, width=2 * BAR, bottom=y, color=colours[key], lw=0)
            side = "right" if at == 0 else "left"
            ax.text(at + (-1.3 if at == 0 else 1.3) * BAR, y + size / 2, key, ha=side, va="center", fontsize=9)
            y += size + GAP
    return tops


def bridge(steps: pd.DataFrame, currency: str) -> Figure:
    """From sales before to sales now, step by step."""
    made, ax = style.figure(0.5 * len(steps) + 1.4)
    y = np.arange(len(steps))[::-1]
    ends = steps["amount"].to_numpy().copy()
    ends[1:-1] = ends[0] + np.cumsum(ends[1:-1])
    for position, row, end in zip(y, steps.itertuples(), ends, strict=True):
        whole = position in (y[0], y[-1])
        colour = style.QUIET if whole else style.COLOURS[2] if row.amount >= 0 else style.COLOURS[1]
        ax.barh(position, row.amount, left=0 if whole else end - row.amount, color=colour, height=0.6)
        told = style.money(row.amount, currency) if whole else f"{row.amount:+,.0f} {currency}"
        customers = f"{told}, {row.customers:,} {'customer' if row.customers == 1 else 'customers'}"
        ax.annotate(customers, (max(end, end - row.amount, 0), position), xytext=(5, 0), textcoords="offset points",
                    va="center", fontsize=9)  # fmt: skip
    low = min(0.0, float(ends.min()))
    ax.set(yticks=y, yticklabels=steps["step"], xlim=(low, float(max(ends.max(), 1.0)) * 1.45))
    ax.xaxis.set_visible(False)
    ax.spines["bottom"].set_visible(False)
    then, now = ends[0], ends[-1]
    relative = f", {(now - then) / then:+.1%}" if then > 0 else ""
    style.title(made, f"Sales went from {style.money(then, currency)} to {style.money(now, currency)}{relative}")
    return made


def drift(table: pd.DataFrame, floor: float) -> Figure:
    """How far each clustered feature moved, against what would matter."""
    shown = table.iloc[::-1]
    made, ax = style.figure(0.45 * len(shown) + 1.5)
    y = np.arange(len(shown))
    colours = [style.COLOURS[1] if flag else style.COLOURS[5] for flag in shown["drifted"]]
    bars = ax.barh(y, shown["distance"], color=colours, height=0.55)
    ax.bar_label(bars, [f"{row.distance:.2f}, p {row.p_holm:.2g}" for row in shown.itertuples()], padding=4, fontsize=9)
    ax.axvline(floor, color=style.QUIET, lw=1, ls="--")
    reach = max(float(shown["distance"].max()), floor) * 1.35
    ax.set(yticks=y, yticklabels=[style.readable(name) for name in shown["feature"]], xlim=(0, reach))
    ax.set_xlabel(f"distance in standard deviations (dashed: {floor:g}, the least that counts); p by Holm")
    count = int(table["drifted"].sum())
    style.title(made, f"{count or 'None'} of {len(table)} clustered features drifted")
    return made


def regression(table: pd.DataFrame, currency: str) -> Figure:
    """Spending of each segment's customers, cut in the first look and cut in the second."""
    keys = list(table["segment_key"])
    made, axes = style.figure(0.42 * len(keys) + 1.9, columns=2, sharey=True, sharex=True)
    panels = (("sales_before", "later", "Cut by the earlier days"), ("sales_now", "earlier", "Cut by the later days"))
    y = np.arange(len(keys))[::-1]
    for ax, (own, other, title) in zip(axes, panels, strict=True):
        ax.hlines(y, table[own], table[other], color=style.FAINT, lw=3)
        ax.scatter(table[own], y, color=style.COLOURS[0], s=46, zorder=3, label="in the days they were cut by")
        ax.scatter(table[other], y, color=style.COLOURS[1], marker="s", s=40, zorder=3, label="in the other days")
        ax.set(title=title, yticks=y, yticklabels=keys, xlabel=f"sales per customer, {currency}")
        ax.set(ylim=(-0.6, len(keys) - 0.4))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    made.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    sold = table.dropna(subset=["change", "change_back"])
    if sold.empty:
        style.title(made, "No segment sold in both looks")
        return made
    least = sold.loc[sold["sales_before"].idxmin()]
    style.title(
        made,
        f"{least['segment_key']}, which spent least, went {least['change']:+.0%} later; cut by the later days it had "
        f"{least['change_back']:+.0%} before",
    )
    return made


def trends(table: pd.DataFrame) -> Figure:
    """Change in weekly sales per customer for each segment, with its interval."""
    shown = table.iloc[::-1]
    made, ax = style.figure(0.45 * len(shown) + 1.6)
    y = np.arange(len(shown))
    ax.axvline(0, color=style.QUIET, lw=1)
    ax.hlines(y, shown["low"], shown["high"], color=style.COLOURS[0], lw=2)
    ax.scatter(shown["trend"], y, color=style.COLOURS[0], s=46, zorder=3)
    for position, row in zip(y, shown.itertuples(), strict=True):
        ax.annotate(row.word, (row.high, position), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set(yticks=y, yticklabels=shown["segment_key"], ylim=(-0.6, len(y) - 0.4))
    ax.set_xlabel("change in sales per customer per four weeks; the word goes by Holm over all segments")
    ax.margins(x=0.3)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    sure = [row.segment_key for row in table.itertuples() if row.word != "no trend to be seen"]
    told = f"a trend shows in {', '.join(sure)}" if sure else "no segment shows a trend"
    style.title(made, f"Over the last {table['weeks'].iloc[0]} weeks {told}")
    return made


def history(table: pd.DataFrame) -> Figure:
    """Customers and sales of every segment over the runs."""
    runs = list(dict.fromkeys(table["run"]))
    keys = style.names_in_order([key for key in table["segment_key"].unique() if key != "all"])
    made, axes = style.figure(3.6, columns=2)
    for ax, column in zip(axes, ("customers", "sales"), strict=True):
        for key in keys:
            index = style.key_index(key)
            own = table[table["segment_key"] == key].set_index("run")[column].reindex(runs)
            ax.plot(range(len(runs)), own, marker=style.marker(index), color=style.colour(index), lw=1.6)
        _label_ends(ax, table, runs, keys, column)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.set(
            title=column.capitalize(),
            xticks=range(len(runs)),
            ylim=(0, float(table.loc[table["segment_key"] != "all", column].max()) * 1.1),
        )
        ax.set_xticklabels(runs, rotation=20, ha="right", fontsize=8.5)
        ax.set_xlim(-0.2, len(runs) - 0.7)
    total = table[table["segment_key"] == "all"].set_index("run")["customers"]
    style.title(made, f"{len(runs)} runs: {total.iloc[0]:,} customers in the first, {total.iloc[-1]:,} in the last")
    return made


def _label_ends(ax: Axes, table: pd.DataFrame, runs: list[str], keys: list[str], column: str) -> None:
    """A letter at the end of each line, moved apart where two lines end together."""
    own = table[table["segment_key"].isin(keys)]
    last = own.groupby("segment_key", sort=False).last().sort_values(column)
    least, y = float(own[column].max()) * 0.055, -np.inf
    for key, row in last.iterrows():
        y = max(float(row[column]), y + least)
        ax.annotate(str(key), (runs.index(row["run"]), y), xytext=(8, 0), textcoords="offset points", va="center",
                    color=style.colour(style.key_index(str(key))), fontsize=9)  # fmt: skip

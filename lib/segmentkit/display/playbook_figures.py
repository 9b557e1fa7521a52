"""Figures behind the playbook: categories bought more and less, when, what next, and which channel is answered."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from segmentkit.analysis.buying_times import ANY, PARTS, WEEKDAYS, Times
from segmentkit.analysis.category_lift import BEATS, OVER, UNDER, Categories, times
from segmentkit.analysis.channel_answers import Channels
from segmentkit.display import style

TOP = 3
LONGEST = 22
RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def category_lift(found: Categories) -> Figure:
    """For each segment the categories most over- and under-bought, as ratios with intervals; nothing else is drawn."""
    keys = style.names_in_order(list(found.lift["segment_key"].unique()))
    picked = {key: _extremes(found, key) for key in keys}
    rows = (len(keys) + 1) // 2
    tall = [max(1, *(len(picked[key]) for key in keys[2 * row : 2 * row + 2])) for row in range(rows)]
    options = {"squeeze": False, "sharex": True, "gridspec_kw": {"height_ratios": [n + 1 for n in tall]}}
    made, axes = style.figure(0.27 * sum(tall) + 0.55 * rows + 1.4, columns=2, rows=rows, **options)
    for ax, key in zip(axes.flat, keys, strict=False):
        _dots(ax, picked[key], key)
    for ax in axes.flat[len(keys) :]:
        ax.set_visible(False)
    for ax in axes.flat[: len(keys)][-2:]:
        ax.xaxis.set_tick_params(labelbottom=True)
    shown = pd.concat(picked.values())
    axes[0, 0].set_xlim(min(0.5, 0.85 * shown["low"].min()), max(2.0, 1.18 * shown["high"].max()))
    made.supxlabel("share of the segment who bought it, over the share of all other customers", fontsize=9.5)
    style.title(made, lift_finding(found))
    return made


def _extremes(found: Categories, key: str) -> pd.DataFrame:
    over, under = found.strongest(key, OVER, TOP), found.strongest(key, UNDER, TOP)
    both = pd.concat([over, under.iloc[::-1]]).iloc[::-1]
    return both.assign(**both[["ratio", "low", "high"]].clip(RATIOS[0], RATIOS[-1]))


def _dots(ax: Axes, own: pd.DataFrame, key: str) -> None:
    colour, shape, y = style.colour(style.key_index(key)), style.marker(style.key_index(key)), np.arange(len(own))
    ends = style.arms(own["ratio"], own["low"], own["high"])
    ax.errorbar(own["ratio"], y, xerr=ends, fmt=shape, color=colour, capsize=3, lw=1.5)
    ax.axvline(1, color=style.QUIET, lw=1, ls="--", zorder=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(list(RATIOS)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
    ax.set(yticks=y, ylim=(-0.7, max(1, len(own)) - 0.3), title=f"Segment {key}")
    ax.set_yticklabels([_short(str(name)) for name in own["category"]], fontsize=8.5)
    if own.empty:
        ax.text(0.02, 0.5, "nothing beyond chance", transform=ax.transAxes, fontsize=8.5, color=style.QUIET)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 8]}…{name[-7:]}"


def lift_finding(found: Categories) -> str:
    """The ratio farthest from 1 that is beyond chance, for the title."""
    sure = found.lift[found.lift["verdict"].isin([OVER, UNDER]) & (found.lift["ratio"] > 0)]
    if sure.empty:
        return "No segment buys any category more or less than others, beyond chance"
    row = sure.loc[np.log(sure["ratio"]).abs().idxmax()]
    return (
        f"Most set apart is {row['segment_key']} in {row['category']}: {times(row['ratio'])} bought it "
        f"({row['share']:.0%}; all others {row['others']:.0%})"
    )


def next_category(found: Categories) -> Figure:
    """The likely next category of each segment: first buyers with an interval, beside the rate of all others."""
    keys = style.names_in_order(list(found.next["segment_key"].unique()))
    known = {key: row for key in keys if (row := found.likely_next(key)) is not None}
    made, ax = style.figure(0.5 * len(known) + 1.9)
    for y, (key, row) in enumerate(reversed(known.items())):
        index, sure = style.key_index(key), row["verdict"] == BEATS
        ends, colour = style.arms(row["share"], row["low"], row["high"]), style.colour(index)
        look = {"color": colour, "mfc": colour if sure else "white", "capsize": 3}
        ax.errorbar(row["share"], y, xerr=ends, fmt=style.marker(index), **look)
        ax.plot(row["others"], y, "|", color=style.INK, ms=13, mew=2)
    labels = [f"{key}  {_short(str(row['category']))}" for key, row in reversed(known.items())]
    ax.set(yticks=range(len(known)), yticklabels=labels, ylim=(-0.6, max(1, len(known)) - 0.4))
    if not known:
        ax.text(0.02, 0.5, "no category had ten first buyers in any segment", transform=ax.transAxes, fontsize=9)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(
        f"first bought it in the {found.days} days from {found.split}, of those without it\n"
        "(bar: all other customers; filled: more than others beyond chance)",
        loc="left",
    )
    style.title(made, next_finding(found))
    return made


def next_finding(found: Categories) -> str:
    """How many segments have a category that is bought first more often than by others, for the title."""
    keys = style.names_in_order(list(found.next["segment_key"].unique()))
    rows = [row for key in keys if (row := found.likely_next(key)) is not None and row["verdict"] == BEATS]
    if not rows:
        return "No segment turned to a new category more often than all other customers did, beyond chance"
    best = max(rows, key=lambda row: float(row["share"]))
    return (
        f"{len(rows)} of {len(keys)} segments turned to a new category more often than others; most "
        f"{best['segment_key']} to {best['category']}: {best['share']:.0%} against {best['others']:.0%}"
    )


def buying_times(found: Times) -> Figure:
    """Weekday by part of the day, each segment's difference from all others in points; figures where beyond chance."""
    single = not found.timed
    cells = found.table[
        (found.table["part"] == ANY) if single else (found.table[["weekday", "part"]] != ANY).all(axis=1)
    ]
    keys, parts = style.names_in_order(list(cells["segment_key"].unique())), [ANY] if single else list(PARTS)
    most = max(0.01, float(cells["difference"].abs().max()))
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    options = {"squeeze": False, "sharex": True, "sharey": True}
    made, axes = style.figure((1.2 if single else 2.1) * rows + 1.3, columns=columns, rows=rows, **options)
    for ax, key in zip(axes.flat, keys, strict=False):
        own = cells[cells["segment_key"] == key].set_index(["part", "weekday"])
        grid, sure = (own[name].unstack().reindex(index=parts, columns=WEEKDAYS) for name in ("difference", "sure"))
        drawn = ax.pcolormesh(100 * grid, cmap=style.RAMP, vmin=-100 * most, vmax=100 * most, edgecolor="white", lw=1)
        for row, column in np.argwhere(sure.fillna(False).to_numpy(dtype=bool)):
            value = grid.iloc[row, column]
            ink = "white" if value < 0 else style.INK
            ax.text(column + 0.5, row + 0.5, f"{100 * value:+.1f}", ha="center", va="center", fontsize=7, color=ink)
        ax.set(xticks=np.arange(7) + 0.5, yticks=np.arange(len(parts)) + 0.5, title=f"Segment {key}")
        ax.set_xticklabels([day[:2] for day in WEEKDAYS], fontsize=8.5)
        ax.set_yticklabels(["all day"] if single else parts, fontsize=8.5)
        ax.set_ylim(len(parts), 0)
    for ax in axes.flat[len(keys) :]:
        ax.set_visible(False)
    bar = made.colorbar(drawn, ax=axes, fraction=0.03)
    bar.set_label("points against all others", fontsize=8.5)
    style.title(made, times_finding(found))
    return made


def times_finding(found: Times) -> str:
    """How many cells differ from all others beyond chance, and the largest, for the title."""
    cells = found.table[(found.table["weekday"] != ANY) & ((found.table["part"] != ANY) | (not found.timed))]
    sure = cells[cells["sure"]]
    if sure.empty:
        return f"In none of {len(cells)} cells do a segment's {found.what} differ from all others', beyond chance"
    most = sure.loc[sure["difference"].abs().idxmax()]
    place = f"{most['weekday']} {most['part']}" if found.timed else most["weekday"]
    return (
        f"In {len(sure)} of {len(cells)} cells a segment's {found.what} differ from all others'; most "
        f"{most['segment_key']}, {place}: {most['share']:.1%} against {most['others']:.1%}"
    )


def channel_answers(found: Channels) -> Figure:
    """Share of the customers reached who answered, by segment and channel, with intervals."""
    known = found.table.dropna(subset="rate")
    keys, channels = style.names_in_order(list(known["segment_key"].unique())), sorted(found.kinds)
    made, ax = style.figure(0.34 * len(keys) * max(1.6, 0.6 * len(channels)) + 1.7)
    for index, channel in enumerate(channels):
        own = known[known["channel"] == channel]
        shift = 0.5 * (index - (len(channels) - 1) / 2) / len(channels)
        y = [len(keys) - 1 - keys.index(key) - shift for key in own["segment_key"]]
        ends, look = style.arms(own["rate"], own["low"], own["high"]), {"color": style.colour(index), "capsize": 3}
        ax.errorbar(own["rate"], y, xerr=ends, fmt=style.marker(index), label=channel, **look)
    ax.set(yticks=range(len(keys)), yticklabels=keys[::-1], ylabel="segment", ylim=(-0.6, len(keys) - 0.4))
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    counted = " or ".join(found.kinds[channels[0]])
    ax.set_xlabel(f"of the customers reached, those who answered (by {counted}); observed, not caused", loc="left")
    ax.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(channels))
    each = ", ".join(f"{key} {channel}" for key, channel in found.best.items())
    style.title(
        made,
        f"One channel was answered more, beyond chance: {each}"
        if each
        else "No channel was answered more, beyond chance",
    )
    return made


def contact_load(load: pd.DataFrame, days: int = 30) -> Figure:
    """Contacts a customer in the last days: mean, and what 19 of 20 customers stayed within."""
    keys = style.names_in_order(list(load["segment_key"]))
    table = load.set_index("segment_key").reindex(keys[::-1])
    made, ax = style.figure(0.42 * len(keys) + 1.8)
    y = np.arange(len(keys))
    ax.hlines(y, table["mean"], table["most"], color=style.FAINT, lw=3)
    most = {"color": style.colour(1), "mfc": "white", "ms": 9, "label": "19 of 20 customers had at most"}
    ax.plot(table["most"], y, style.marker(1), ls="", **most)
    ax.plot(table["mean"], y, style.marker(0), color=style.colour(0), ls="", ms=5, label="mean")
    ax.set(yticks=y, yticklabels=keys[::-1], ylabel="segment", xlabel=f"contacts a customer in the last {days} days")
    ax.set(xlim=(-0.1, max(1.0, 1.1 * float(table["most"].max()))), ylim=(-0.6, len(keys) - 0.4))
    ax.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2)
    style.title(made, load_finding(load, days))
    return made


def load_finding(load: pd.DataFrame, days: int = 30) -> str:
    """The segment contacted most, for the title."""
    most = load.loc[load["mean"].idxmax()]
    if not most["mean"]:
        return f"Nobody was contacted in the last {days} days"
    told = f"{most['segment_key']} was contacted most in the last {days} days"
    return f"{told}: {most['mean']:.2g} times a customer on average"

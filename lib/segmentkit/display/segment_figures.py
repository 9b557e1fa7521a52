"""Figures of the segments: evidence for k, sizes, profiles, the map, stability."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from segmentkit.analysis import profiles
from segmentkit.analysis.choosing import Choice
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.embedding import CustomerMap, centre_of_each
from segmentkit.analysis.nulls import NullTest
from segmentkit.analysis.stability import DOUBTFUL, SOUND
from segmentkit.analysis.verdict import Verdict
from segmentkit.display import style


def k_evidence(evidence: pd.DataFrame, choice: Choice, stability_floor: float) -> Figure:
    """Stability (all customers together, and the weakest segment) and silhouette for every k."""
    made, (left, right) = style.figure(4.0, columns=2, width_ratios=(3, 2))
    lines = {"stability": "all together\n(adjusted Rand)", "worst_segment_stability": "weakest segment\n(Jaccard)"}
    last = evidence.iloc[-1]
    if "null_low" in evidence and evidence["null_low"].notna().any():
        ends = evidence["null_low"], evidence["null_high"]
        left.fill_between(evidence["k"], *ends, color=style.QUIET, alpha=0.22, lw=0, label="copies, unrelated columns")
        left.legend(frameon=False, loc="lower left", fontsize=8.5)
    upper = max(lines, key=lambda column: float(last[column]))
    for index, (column, label) in enumerate(lines.items()):
        left.plot(evidence["k"], evidence[column], marker=style.marker(index), color=style.colour(index), lw=1.8)
        # the two lines often end close together: one label goes up, the other down
        style.label_end(left, last["k"], last[column], label, style.colour(index), up=column == upper)
    ks = [evidence["k"].iloc[0], last["k"]]
    left.plot(ks, [stability_floor] * 2, color=style.QUIET, lw=1, ls="--")
    left.annotate(
        f"floor {stability_floor:g}",
        (evidence["k"].iloc[0], stability_floor),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
        color=style.QUIET,
    )
    left.set(ylim=(0, 1.04), xlabel="number of segments k", title="Found again in other samples?")
    left.set_xlim(None, evidence["k"].iloc[-1] + 0.36 * (len(evidence) + 1))
    right.plot(evidence["k"], evidence["silhouette"], marker="^", color=style.COLOURS[2], lw=1.8)
    right.set(ylim=(0, max(0.6, evidence["silhouette"].max() * 1.1)), xlabel="number of segments k", title="Silhouette")
    for ax in (left, right):
        ax.axvline(choice.k, color=style.FAINT, lw=9, zorder=0)
        ax.set_xticks(evidence["k"])
    who = {
        "rule": "by the rule",
        "analyst": "set by the analyst",
        "most stable": "the most stable; none meets the floors",
        "earlier run": "kept from the earlier run",
        "the method": "as the method has it",
    }
    told = f"{choice.k} segments, {who[choice.decided_by]}"
    style.title(made, f"{told}; the silhouette alone would take {choice.silhouette_k}")
    return made


def sizes(values: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Share of customers and of sales per segment."""
    table = values[values["segment_key"] != "all"].iloc[::-1]
    made, ax = style.figure(0.75 * len(table) + 1.4)
    y = np.arange(len(table))
    for offset, column, index in ((0.2, "share_of_customers", 5), (-0.2, "share_of_sales", 0)):
        bars = ax.barh(y + offset, table[column], height=0.38, color=style.colour(index), label=style.readable(column))
        ax.bar_label(bars, [style.percent(share) for share in table[column]], padding=3, fontsize=8.5)
    ax.set(yticks=y, yticklabels=[_label(key, names) for key in table["segment_key"]], xlabel="share")
    ax.set_xlim(0, table[["share_of_customers", "share_of_sales"]].max().max() * 1.12)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(frameon=False, loc="lower right")
    best = table.iloc[-1]
    style.title(
        made,
        f"Segment {best['segment_key']} is {best['share_of_customers']:.0%} of customers and "
        f"{best['share_of_sales']:.0%} of sales",
    )
    return made


def segment_profile(profile: pd.DataFrame, limit: int = 12) -> Figure:
    """How far each segment lies from the average customer; markers filled, other features hollow."""
    strongest = profile.assign(size=profile["difference"].abs()).groupby("feature")["size"].max()
    features = list(strongest.sort_values(ascending=False).index[:limit])[::-1]
    keys = style.names_in_order(list(profile["segment_key"].unique()))
    made, axes = style.figure(0.27 * len(features) + 1.8, columns=len(keys), sharey=True, sharex=True, squeeze=False)
    reach = max(1.0, float(profile["difference"].abs().max()) * 1.1)
    for ax, key in zip(axes[0], keys, strict=True):
        index = style.key_index(key)
        own = profile[profile["segment_key"] == key].set_index("feature").reindex(features)
        y = np.arange(len(features))
        ax.axvspan(-0.5, 0.5, color=style.FAINT, alpha=0.5, lw=0)
        ax.hlines(y, 0, own["difference"], color=style.colour(index), lw=1.2)
        fill = [style.colour(index) if bool(flag) else "white" for flag in own["marker"].fillna(False)]
        ax.scatter(
            own["difference"],
            y,
            c=fill,
            edgecolor=style.colour(index),
            marker=style.marker(index),
            s=34,
            zorder=3,
            clip_on=False,
        )
        ax.set(title=key, xlim=(-reach, reach), yticks=y)
        ax.set_yticklabels([style.readable(name) for name in features])
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    made.supxlabel("standard deviations from the average customer; grey band: under half, no marker", fontsize=9.5)
    spread = profile.groupby("feature")["difference"].agg(["min", "max"])
    widest = (spread["max"] - spread["min"]).idxmax()
    low, high = spread.loc[widest]
    style.title(
        made,
        f"{len(keys)} segments differ most in {style.readable(widest)}: {low:+.1f} to {high:+.1f} standard deviations",
    )
    return made


def profile_at(
    customers: pd.DataFrame, fit: Callable[[int], Segmentation], k: int, *, leave_out: Sequence[str] = ()
) -> Figure:
    """The profile plot for any k, for the slider."""
    model = fit(k)
    profile = profiles.profile(customers, model.assign(customers), leave_out)
    return segment_profile(profile)


def segment_map(drawn: CustomerMap, segments: pd.DataFrame) -> Figure:
    """UMAP of the customers, coloured by segment, each labelled at its centre."""
    table = drawn.table.merge(segments, on="customer_id", validate="1:1")
    made, ax = style.figure(5.6)
    keys = style.names_in_order(list(segments["segment_key"].unique()))
    for key in keys:
        own, index = table[table["segment_key"] == key], style.key_index(key)
        ax.scatter(own["x"], own["y"], s=11, c=style.colour(index), marker=style.marker(index), alpha=0.55, lw=0)
    for row in centre_of_each(table[["x", "y"]], table["segment_key"]).itertuples():
        box = {"boxstyle": "circle,pad=0.25", "fc": "white", "ec": style.INK, "lw": 0.8}
        ax.annotate(row.segment_key, (row.x, row.y), ha="center", va="center", fontweight="bold", bbox=box)
    ax.set(xticks=[], yticks=[], xlabel="near means similar; axes, gaps and areas have no unit", ylabel="")
    ax.spines[["left", "bottom"]].set_visible(False)
    style.title(
        made,
        f"{drawn.drawn:,} of {drawn.customers:,} customers; {drawn.trust:.2f} of 1 trustworthy as a picture of who is "
        "near whom",
    )
    return made


def segment_stability(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Mean best Jaccard of every segment, against the two borders."""
    shown = table.iloc[::-1]
    made, ax = style.figure(0.55 * len(shown) + 1.5)
    y = np.arange(len(shown))
    ax.axvspan(0, DOUBTFUL, color=style.COLOURS[1], alpha=0.12, lw=0)
    ax.axvspan(DOUBTFUL, SOUND, color=style.COLOURS[4], alpha=0.15, lw=0)
    ax.scatter(shown["stability"], y, s=60, color=style.COLOURS[0], zorder=3)
    for position, row in zip(y, shown.itertuples(), strict=True):
        ax.annotate(
            f"{row.stability:.2f}",
            (row.stability, position),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    ax.set(
        yticks=y,
        yticklabels=[_label(key, names) for key in shown["segment_key"]],
        xlim=(0, 1.02),
        ylim=(-0.6, len(shown) - 0.3),
    )
    ax.set_xlabel("found again in bootstrap samples (mean best Jaccard)")
    for x, word in ((DOUBTFUL / 2, "do not trust"), ((DOUBTFUL + SOUND) / 2, "doubtful"), ((SOUND + 1) / 2, "holds")):
        ax.text(x, -0.5, word, ha="center", va="bottom", fontsize=8.5, color=style.QUIET)
    held = int((table["stability"] >= SOUND).sum())
    style.title(
        made,
        f"{held} of {len(table)} segments hold: the weakest is "
        f"{table.loc[table['stability'].idxmin(), 'segment_key']} at {table['stability'].min():.2f}",
    )
    return made


def null_comparison(unrelated: NullTest, undivided: NullTest, found: Verdict) -> Figure:
    """The data against copies with unrelated columns, against copies of one population, and their valleys."""
    made, axes = style.figure(3.9, columns=3)
    _heap(axes[0], unrelated.copies, unrelated.stability, "unrelated columns", unrelated.p)
    _heap(axes[1], undivided.copies, undivided.stability, "one population", undivided.p)
    _heap(axes[2], undivided.depths, undivided.depth or 0.0, "valleys, one population", undivided.depth_p)
    for ax, word in zip(axes, ("agreement", "agreement", "depth of the shallowest valley"), strict=True):
        ax.set_xlabel(word)
    axes[0].set_ylabel("copies")
    style.title(made, f"{found.word.capitalize()}: {found.marketer}")
    return made


def _heap(ax: Axes, copies: Sequence[float], data: float, against: str, p: float) -> None:
    ax.hist(
        copies, bins=list(np.linspace(min(0.0, *copies), 1.0, 41)), color=style.COLOURS[5], edgecolor="white", lw=0.4
    )
    ax.axvline(data, color=style.COLOURS[1], lw=2.2)
    ax.set(ylim=(0, ax.get_ylim()[1] * 1.3), title=f"{against}: p {p:.2g}")
    ax.set_xlim(min(0.0, *copies) - 0.02, 1.05)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    left = data > 0.5
    ax.annotate(
        f"data {data:.2f}",
        (data, ax.get_ylim()[1] * 0.95),
        xytext=(-5 if left else 5, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=9,
        color=style.COLOURS[1],
    )


def _label(key: str, names: Mapping[str, str]) -> str:
    return f"{key}  {names.get(key, '')}".strip()

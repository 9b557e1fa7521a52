"""Figures of taste groups: what each buys more than others, and whether that foretells anything."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from segmentkit.analysis.taste_trial import HoldOut
from segmentkit.display import style


def taste_groups(described: pd.DataFrame, groups: int, limit: int = 12) -> Figure:
    """The largest groups beside their typical items, shaded by lift.

    Args:
        described: from ``TasteGroups.describe``.
        groups: groups there are, described or not.
        limit: groups drawn.
    """
    keys = list(dict.fromkeys(described["segment_key"]))[:limit]
    shown = described[described["segment_key"].isin(keys)].reset_index(drop=True)
    x, y = shown.groupby("segment_key").cumcount(), shown["segment_key"].map(keys.index)
    deep = max(4.0, float(shown["lift"].quantile(0.9)))
    made, ax = style.figure(0.52 * len(keys) + 1.9)
    lifts = np.full((len(keys), int(x.max()) + 1), np.nan)
    lifts[y, x] = shown["lift"]
    drawn = ax.pcolormesh(np.log2(lifts), cmap=style.RAMP, vmin=0, vmax=np.log2(deep), edgecolor="white", lw=2)
    for column, row, one in zip(x, y, shown.itertuples(), strict=True):
        if pd.isna(one.lift):
            ax.text(0.1, row + 0.5, "nothing it buys clearly more than others", va="center", fontsize=8.5)
            continue
        ink = "white" if one.lift < deep**0.55 else style.INK
        text = f"{_short(str(one.item))}\n{one.lift:.1f}×, {style.percent(one.share)} bought"
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7.5, color=ink)
    first = shown.drop_duplicates("segment_key")
    labels = [f"{one.segment_key}  {style.percent(one.share_of_customers)}" for one in first.itertuples()]
    ax.set(yticks=np.arange(len(keys)) + 0.5, yticklabels=labels, xticks=[], ylim=(len(keys), 0))
    ax.set(ylabel="taste group, share of customers", xlabel="typical items, most typical first")
    ax.spines[["left", "bottom"]].set_visible(False)
    ticks = [lift for lift in (1, 2, 4, 8, 16, 32, 64) if lift <= deep]
    bar = made.colorbar(drawn, ax=ax, fraction=0.03, ticks=np.log2(ticks), extend="max")
    bar.ax.set_yticklabels([f"{lift}×" for lift in ticks])
    bar.set_label("lift: share who bought, over the share of all", fontsize=9)
    style.title(made, _finding(shown, groups))
    return made


def _finding(shown: pd.DataFrame, groups: int) -> str:
    drawn = shown["segment_key"].nunique()
    which = (
        f"Among the {drawn} largest of {groups:,} taste groups" if drawn < groups else f"Among {groups} taste groups"
    )
    if shown["lift"].isna().all():
        return f"{which} none buys anything clearly more than others"
    best = shown.loc[shown["lift"].idxmax()]
    return f"{which}, {best['segment_key']} stands out most: {best['lift']:.1f} times as many bought {best['item']}"


def _short(item: str) -> str:
    return item if len(item) <= 17 else f"{item[:16]}…"


def recall(found: HoldOut) -> Figure:
    """Gain in recall over popularity by number of groups tried, and the test of the number taken."""
    tried, test = found.evidence, found.by_group.iloc[-1]
    made, ax = style.figure(4.0)
    names = [found.groups] if tried.empty else tried["groups"].tolist()
    if len(tried):
        spread = style.arms(tried["gain"], tried["low"], tried["high"])
        look = {"color": style.colour(0), "marker": style.marker(0), "label": "tried on purchases before that"}
        ax.errorbar(range(len(names)), tried["gain"], spread, capsize=3, lw=1.6, **look)
    ends = style.arms(test["gain"], test["low"], test["high"])
    look = {
        "color": style.colour(1),
        "marker": style.marker(1),
        "label": f"{found.groups:,} groups, tested from {found.cut} on",
    }
    ax.errorbar([names.index(found.groups) + 0.2], [test["gain"]], ends, ms=8, capsize=3, lw=1.6, ls="", **look)
    ax.axhline(0, color=style.INK, lw=1)
    ax.set(xticks=range(len(names)), xticklabels=[f"{groups:,}" for groups in names], xlabel="taste groups")
    ax.set_ylabel(f"recall@{found.top}: gain over the best sellers")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.margins(y=0.1)
    ax.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    figures = f"recall@{found.top} {test['recall']:.1%} against {test['popularity']:.1%}"
    style.title(made, f"{found.finding} ({figures})")
    return made

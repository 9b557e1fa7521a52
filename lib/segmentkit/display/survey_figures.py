"""Figures of survey answers: how each segment answers, item by item."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from segmentkit.display import style

MOST_PANELS = 5  # side by side; more segments go to further rows


def item_profile(profile: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Bars for each segment's answers with all respondents beside them; markers filled, other items pale.

    Numeric items have no scale to share with the others and stand in the table only.

    Args:
        profile: from ``survey.describe``.
        names: segment key to name.
    """
    shown = profile[profile["scale_low"].notna()].assign(place=_label)
    order = list(dict.fromkeys(shown["place"]))[::-1]
    keys = style.names_in_order(list(shown["segment_key"].unique()))
    rows = math.ceil(len(keys) / MOST_PANELS)
    columns = math.ceil(len(keys) / rows)
    height = rows * (0.26 * len(order) + 0.8) + 1.3
    made, axes = style.figure(height, columns, rows, sharex=True, sharey=True, squeeze=False)
    for ax, key in zip(axes.flat, keys, strict=False):
        _panel(ax, shown[shown["segment_key"] == key].set_index("place").reindex(order), style.key_index(key))
        ax.set_title(style.wrapped(f"{key}  {names.get(key, '')}".strip(), 70 // columns))
    for ax in axes.flat[len(keys) :]:
        ax.set_axis_off()
    axes[0, 0].set(yticks=range(len(order)), yticklabels=order, xlim=(0, 1), ylim=(-0.6, len(order) - 0.4))
    axes[0, 0].set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    _legend(made)
    style.title(made, _finding(shown))
    return made


def _label(shown: pd.DataFrame) -> pd.Series:
    """Item, and the level where an item has several bars."""
    item = shown["item"].map(style.readable)
    return item.where(shown["level"] == "", item + ": " + shown["level"]).map(lambda text: style.wrapped(text, 32))


def _panel(ax: Axes, own: pd.DataFrame, index: int) -> None:
    span = own["scale_high"] - own["scale_low"]
    value, low, high, overall = (
        ((own[name] - own["scale_low"]) / span).to_numpy(dtype=float) for name in ("value", "low", "high", "overall")
    )
    y = np.arange(len(own))
    marked = own["marker"].fillna(False).astype(bool).to_numpy()
    fill = [style.colour(index) if one else style.FAINT for one in marked]
    ax.barh(
        y, value, height=0.62, color=fill, edgecolor=[style.colour(index) if m else style.QUIET for m in marked], lw=0.6
    )
    ax.hlines(y, low, high, color=style.QUIET, lw=2.6)
    ax.plot(overall, y, color=style.INK, lw=1, marker="o", ms=3.2)


def _legend(made: Figure) -> None:
    parts = [
        Patch(fc=style.QUIET, ec=style.QUIET, label="marker of the segment"),
        Patch(fc=style.FAINT, ec=style.QUIET, label="other item"),
        Line2D([], [], color=style.INK, lw=1, marker="o", ms=3.2, label="all respondents"),
        Line2D([], [], color=style.QUIET, lw=2.6, label="interval"),
    ]
    told = "Share who say so; for levels in order, the mean between the lowest (0) and the highest (1)"
    made.legend(
        handles=parts, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, title=told, title_fontsize=9.5
    )


def _finding(shown: pd.DataFrame) -> str:
    spread = shown.groupby("place", sort=False)["value"].agg(["min", "max"])
    reach = shown.groupby("place", sort=False)[["scale_low", "scale_high"]].first()
    widest = ((spread["max"] - spread["min"]) / (reach["scale_high"] - reach["scale_low"])).idxmax()
    low, high = spread.loc[widest]
    row = shown[shown["place"] == widest].iloc[0]
    told = f"{low:.0%} to {high:.0%}" if row["kind"] in {"binary", "nominal"} else f"mean {low:.1f} to {high:.1f}"
    count = shown["segment_key"].nunique()
    return f"{count} segments differ most in {' '.join(widest.split())}: {told}"

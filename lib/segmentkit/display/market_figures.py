"""Figures that compare markets."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from segmentkit.display import style

OTHER = "no counterpart"


def _placed(shares: pd.DataFrame, aligned: pd.DataFrame) -> pd.DataFrame:
    """Shares by the key of the first market; what has no counterpart there is put together."""
    known = aligned.dropna(subset=["market_key"])
    joined = shares.merge(known, how="left", left_on=["market", "key"], right_on=["market", "market_key"])
    joined["placed"] = joined["key_y"].fillna(OTHER)
    return (
        joined.groupby(["placed", "market"], sort=False)[["share_of_customers", "share_of_sales"]].sum().reset_index()
    )


def shares(table: pd.DataFrame, aligned: pd.DataFrame) -> Figure:
    """Share of customers and of sales of every aligned segment, a bar a market."""
    placed, order = _placed(table, aligned), list(dict.fromkeys(table["market"]))
    keys = style.names_in_order([key for key in placed["placed"].unique() if key != OTHER])
    made, axes = style.figure(0.4 * len(order) + 1.9, columns=2, sharey=True)
    y = np.arange(len(order))[::-1]
    for ax, column in zip(axes, ("share_of_customers", "share_of_sales"), strict=True):
        wide = placed.pivot_table(index="market", columns="placed", values=column, fill_value=0.0, aggfunc="sum")
        left = np.zeros(len(order))
        for key in [one for one in (*keys, OTHER) if one in wide.columns]:
            size = wide[key].reindex(order).fillna(0.0).to_numpy()
            colour = style.FAINT if key == OTHER else style.colour(style.key_index(key))
            ax.barh(y, size, left=left, color=colour, edgecolor="white", label=key)
            for at, begin, width in zip(y, left, size, strict=True):
                if width >= 0.06:
                    ink = style.INK if key == OTHER else "white"
                    ax.text(begin + width / 2, at, key if key != OTHER else "–", ha="center", va="center", color=ink)
            left = left + size
        ax.set(
            title=style.readable(column).capitalize(),
            yticks=y,
            yticklabels=order,
            xlim=(0, 1),
            xticks=(0, 0.25, 0.5, 0.75),
        )
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if OTHER in set(placed["placed"]):
        made.supxlabel(f"letters are those of {order[0]}; grey: no counterpart there", fontsize=9)
    style.title(made, shares_sentence(table, aligned))
    return made


def shares_sentence(table: pd.DataFrame, aligned: pd.DataFrame) -> str:
    """The finding in words: how different the markets are in their best segment."""
    placed = _placed(table, aligned)
    first = style.names_in_order([key for key in placed["placed"].unique() if key != OTHER])[0]
    own = placed[placed["placed"] == first].set_index("market")["share_of_sales"]
    low, high = own.idxmin(), own.idxmax()
    count = table["market"].nunique()
    if count < 2:
        return f"Segment {first} of {table['market'].iloc[0]} brings {own.iloc[0]:.0%} of sales"
    if len(own) < 2:
        return f"{count} markets; segment {first} of {table['market'].iloc[0]} has no counterpart in another"
    return f"{count} markets: segment {first} brings from {own[low]:.0%} of sales ({low}) to {own[high]:.0%} ({high})"

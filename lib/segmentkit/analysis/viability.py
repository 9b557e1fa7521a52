"""Business checks: is each segment large enough, sound enough, different enough, and reachable?"""

from collections.abc import Sequence

import pandas as pd

from segmentkit.analysis.clustering import smallest_allowed
from segmentkit.analysis.stability import DOUBTFUL, SOUND, Stability, segment_word

PERCENT = ("share", "share_of_sales", "reached_share")
DECIMALS = {"stability": 2}


def check(
    features: pd.DataFrame,
    segments: pd.DataFrame,
    profiles: pd.DataFrame,
    measured: Stability,
    contacts: pd.DataFrame,
    *,
    keys: Sequence[str],
    size_floor_share: float,
    size_floor: int,
) -> pd.DataFrame:
    """One row a segment, in the order of ``keys``, which is that of the stabilities; some may have no customers now.

    Returns:
        ``segment_key, customers, share, share_of_sales, large_enough, stability, word, markers, reached_share``
        (customers with any contact; missing where the source has no contacts), ``fails`` (in words; empty is good).
    """
    joined = segments.merge(features[["customer_id", "monetary"]], on="customer_id", validate="1:1")
    joined["reached"] = joined["customer_id"].isin(contacts["customer_id"])
    table = joined.groupby("segment_key", as_index=False).agg(
        customers=("customer_id", "size"), sales=("monetary", "sum"), reached_share=("reached", "mean")
    )
    table = table.set_index("segment_key").reindex(keys).rename_axis("segment_key").reset_index()
    table = table.fillna({"customers": 0, "sales": 0.0}).astype({"customers": "int64"})
    table["share"] = table["customers"] / len(joined)
    table["share_of_sales"] = table["sales"] / table["sales"].sum()
    table["large_enough"] = table["customers"] >= smallest_allowed(len(joined), size_floor_share, size_floor)
    table["stability"] = measured.per_segment
    table["word"] = [segment_word(value) for value in measured.per_segment]
    markers = profiles.groupby("segment_key")["marker"].sum()
    table["markers"] = table["segment_key"].map(markers).fillna(0).astype("int64")
    if contacts.empty:
        table["reached_share"] = float("nan")
    table["fails"] = [_fails(row) for row in table.itertuples()]
    order = "segment_key customers share share_of_sales large_enough stability word markers reached_share fails"
    return table[order.split()]


def _fails(row: object) -> str:
    if not row.customers:  # type: ignore[attr-defined]
        return "no customers now"
    found = []
    if not row.large_enough:  # type: ignore[attr-defined]
        found.append("too small")
    if row.stability < DOUBTFUL:  # type: ignore[attr-defined]
        found.append("not found again")
    elif row.stability < SOUND:  # type: ignore[attr-defined]
        found.append("membership doubtful")
    if row.markers == 0:  # type: ignore[attr-defined]
        found.append("nothing sets it apart")
    return ", ".join(found)


def stability_sentence(checks: pd.DataFrame) -> str:
    """Every segment's stability in words and numbers."""
    parts = [f"{row.segment_key} {row.stability:.2f} ({row.word})" for row in checks.itertuples()]
    return "Stability of each segment: " + ", ".join(parts) + "."

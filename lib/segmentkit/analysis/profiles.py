"""Profiles: what sets a segment apart, and a name made from those markers only."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import PowerTransformer

from segmentkit.errors import DataError

MARKER = 0.5
STRONG = 1.25
# feature: (word when low, word when high); a feature without words can be a marker but not part of a name
WORDS: dict[str, tuple[str, str]] = {
    "recency_days": ("recent", "long-away"),
    "frequency": ("infrequent", "frequent"),
    "monetary": ("low-spend", "high-spend"),
    "basket_value": ("small-basket", "big-basket"),
    "lines_per_order": ("few-items", "many-items"),
    "mean_gap_days": ("short-gap", "long-gap"),
    "active_months": ("few-months", "every-month"),
    "trend": ("shrinking", "growing"),
    "discount_share": ("full-price", "discount-led"),
    "coupon_share": ("no-coupon", "coupon-led"),
    "own_brand_share": ("national-brand", "own-brand"),
    "weekend_share": ("weekday", "weekend"),
    "morning_share": ("not-morning", "morning"),
    "afternoon_share": ("not-afternoon", "afternoon"),
    "evening_share": ("not-evening", "evening"),
}


def profile(features: pd.DataFrame, segments: pd.DataFrame, leave_out: Sequence[str] = ()) -> pd.DataFrame:
    """How each segment differs from all customers, feature by feature.

    Differences are in standard deviations after a Yeo-Johnson transform, so that a few very large customers do
    not hide everybody else. ``leave_out`` names features that cannot be read on these data.

    Returns:
        ``segment_key, feature, mean, median, overall_mean, difference, marker, missing_share``, one row a segment
        and feature; ``mean`` and ``median`` in the feature's own unit.

    Raises:
        DataError: features and segments do not hold the same customers.
    """
    joined = segments[["customer_id", "segment_key"]].merge(features, on="customer_id", validate="1:1")
    if len(joined) != len(segments):
        raise DataError(
            f"{len(segments) - len(joined):,} segmented customers have no features; build both from one run"
        )
    rows = []
    for name in features.select_dtypes("number").columns:
        values = joined[name].astype(float)
        if values.nunique() < 2 or name in leave_out:
            continue
        scaled = pd.Series(PowerTransformer().fit_transform(values.to_numpy().reshape(-1, 1))[:, 0])
        for key, index in joined.groupby("segment_key").groups.items():
            own = values.loc[index]
            rows.append(
                (key, name, own.mean(), own.median(), values.mean(), scaled.loc[index].mean(), own.isna().mean())
            )
    columns = ["segment_key", "feature", "mean", "median", "overall_mean", "difference", "missing_share"]
    table = pd.DataFrame(rows, columns=columns).sort_values(["segment_key", "feature"], ignore_index=True)
    table["marker"] = table["difference"].abs() >= MARKER
    return table


def with_answers(profile: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """A profile to which answers are added that segments were made from, as ``survey.describe`` gives them.

    Returns:
        The columns of ``profile`` and ``share``, whether ``mean`` is a share of customers; differences of shares are in
        standard deviations too.
    """
    new = answers[~answers["item"].isin(profile["feature"])]
    is_share, overall = new["kind"].isin(["binary", "nominal"]), new["overall"]
    spread = np.sqrt((overall * (1 - overall)).where(is_share, 1.0))
    most = new.groupby("segment_key")["known"].transform("max")
    label = new["item"] + (": " + new["level"]).where(new["level"] != "", "")
    rows = new.rename(columns={"value": "mean", "overall": "overall_mean"}).assign(
        feature=label,
        median=np.nan,
        difference=new["difference"] / spread,
        missing_share=1 - new["known"] / most,
        share=is_share,
    )
    return pd.concat([profile.assign(share=False), rows[[*profile.columns, "share"]]], ignore_index=True)


def describe_attributes(customers: pd.DataFrame, segments: pd.DataFrame, smallest_cell: int = 10) -> pd.DataFrame:
    """Share of each attribute value per segment, of those who state it.

    Cells under ``smallest_cell`` customers are hidden, and so is the next smallest in the same row or column where
    one hidden cell could be worked out from the total.

    Returns:
        ``attribute, value, segment_key, customers, known, share, overall``; hidden cells are missing.
    """
    joined = segments[["customer_id", "segment_key"]].merge(customers, on="customer_id")
    parts = [
        _attribute_cells(joined, attribute, smallest_cell)
        for attribute in customers.columns
        if attribute != "customer_id" and joined[attribute].notna().any()
    ]
    columns = ["attribute", "value", "segment_key", "customers", "known", "share", "overall"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _attribute_cells(joined: pd.DataFrame, attribute: str, smallest_cell: int) -> pd.DataFrame:
    known = joined.dropna(subset=[attribute])
    counts = known.groupby([attribute, "segment_key"]).size().unstack(fill_value=0)
    shown = suppress(counts, smallest_cell)
    total = counts.sum(axis=1)
    overall = (total / total.sum()).where(total >= smallest_cell)
    table = shown.rename_axis(index="value").stack().rename("customers").reset_index()
    full = counts.rename_axis(index="value").stack().rename("true").reset_index()[["value", "segment_key"]]
    table = full.merge(table, how="left", on=["value", "segment_key"])
    table["known"] = table["segment_key"].map(counts.sum())
    table["share"] = table["customers"] / table["known"]
    table["overall"] = table["value"].map(overall)
    return table.assign(attribute=attribute).astype({"value": "str"})


def suppress(counts: pd.DataFrame, smallest_cell: int) -> pd.DataFrame:
    """Hide small cells of a table of counts, then whatever would give a single hidden one away.

    Returns:
        The counts as floats; hidden cells are missing. Empty cells stay: they name nobody.
    """
    shown = counts.astype(float).where((counts >= smallest_cell) | (counts == 0)).to_numpy(copy=True)
    while any(_hide_one_more(lines) for lines in (shown, shown.T)):
        pass
    return pd.DataFrame(shown, index=counts.index, columns=counts.columns)


def _hide_one_more(lines: np.ndarray) -> bool:
    """In the first line with exactly one hidden cell, hide the smallest that is left; whether there was one."""
    for line in lines:
        visible = np.flatnonzero(np.nan_to_num(line) > 0)
        if np.isnan(line).sum() == 1 and len(visible):
            line[visible[np.argmin(line[visible])]] = np.nan
            return True
    return False


def markers(profiles: pd.DataFrame, key: str) -> pd.DataFrame:
    """A segment's markers, strongest first."""
    own = profiles[(profiles["segment_key"] == key) & profiles["marker"]]
    return own.reindex(own["difference"].abs().sort_values(ascending=False, kind="stable").index)


def names(profiles: pd.DataFrame, preferred: Sequence[str]) -> dict[str, str]:
    """A name for each segment from its markers; the features it was built on come first.

    Two segments never share a name: where three words do not tell them apart, more markers are added, and at
    last the key.
    """
    keys = sorted(profiles["segment_key"].unique(), key=lambda key: (len(key), key))
    words = {key: _words(profiles, key, preferred) for key in keys}
    shortest = min(3, len(preferred))
    for length in range(shortest, max(shortest, *map(len, words.values())) + 1):
        made = {key: _join(words[key][:length]) for key in keys}
        if len(set(made.values())) == len(made):
            return made
    repeated = [name for name in made.values() if list(made.values()).count(name) > 1]
    return {key: f"{name} ({key})" if name in repeated else name for key, name in made.items()}


def _words(profiles: pd.DataFrame, key: str, preferred: Sequence[str]) -> list[str]:
    own = markers(profiles, key)
    first = own[own["feature"].isin(preferred)]
    rest = own[~own["feature"].isin(preferred)]
    found = []
    for row in pd.concat([first, rest]).itertuples():
        word = _pair(row)[int(row.difference > 0)]
        found.append(f"very {word}" if abs(row.difference) >= STRONG else word)
    return found


def _pair(row: Any) -> tuple[str, str]:
    """Words for low and high; a feature without words of its own is called by its name."""
    label = row.feature.replace("_", " ")
    own = (f"not {label}", label) if getattr(row, "share", False) else (f"low {label}", f"high {label}")
    return WORDS.get(row.feature, own)


def _join(words: list[str]) -> str:
    return (", ".join(words) or "average in everything measured").capitalize()


def supported(word: str, profiles: pd.DataFrame, key: str) -> bool:
    """Whether a marker of the segment supports a word of a name."""
    bare = word.lower().removeprefix("very ").strip()
    for row in markers(profiles, key).itertuples():
        strong = abs(row.difference) >= STRONG or not word.lower().startswith("very ")
        if strong and bare == _pair(row)[int(row.difference > 0)]:
            return True
    return (
        bool(np.all(~profiles.loc[profiles["segment_key"] == key, "marker"]))
        and bare == "average in everything measured"
    )


def sentence(profiles: pd.DataFrame, key: str, limit: int = 5) -> str:
    """The strongest markers in words and numbers."""
    own = markers(profiles, key).head(limit)
    if own.empty:
        return "No feature lies half a standard deviation or more from the average customer."
    parts = [
        f"{row.feature.replace('_', ' ')} {shown(row, row.mean)} (all: {shown(row, row.overall_mean)})"
        for row in own.itertuples(index=False)
    ]
    return "Set apart by " + "; ".join(parts) + "."


def shown(row: Any, value: float) -> str:
    """A mean of a profile's row: a percentage where it is a share of customers."""
    return f"{value:.0%}" if getattr(row, "share", False) else number(value)


def number(value: float) -> str:
    """A figure with as many digits as a reader can use."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 2 else f"{value:.2f}"


def profile_sentence(profiles: pd.DataFrame, names: Mapping[str, str]) -> str:
    """The strongest marker of every segment in numbers."""
    parts = []
    for key in names:
        own = markers(profiles, key).head(1)
        told = f"{own['feature'].iloc[0]} {own['difference'].iloc[0]:+.1f}" if len(own) else "no marker"
        parts.append(f"{key} {told}")
    return f"Strongest marker of each segment, in standard deviations from the average: {', '.join(parts)}."


def attributes_sentence(customers: pd.DataFrame, attributes: Sequence[str], everyone: int) -> str:
    """How many customers have attributes, and which."""
    if not attributes:
        return (
            "No demographic, geographic or psychographic attributes: a customers table with attributes would add them."
        )
    parts = [f"{name} {int(customers[name].notna().sum()):,}" for name in attributes]
    return f"Attributes are known for {len(customers):,} of {everyone:,} customers; stated: {', '.join(parts)}."

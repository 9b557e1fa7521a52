"""RFM: scores with ties kept together, and named classes that exclude one another in a stated order."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from segmentkit.errors import DataError, ParameterError

# First match wins. Bounds are inclusive and given on the five-point scale (recency, then the mean of frequency
# and monetary); other numbers of bins are put on that scale first. The last rule takes whoever is left, by name.
CLASSES: list[tuple[str, tuple[float, float], tuple[float, float]]] = [
    ("Champions", (4, 5), (4, 5)),
    ("Loyal", (3, 5), (3, 5)),
    ("New or returning", (4, 5), (1, 3)),
    ("Promising", (3, 4), (1, 3)),
    ("Cannot lose", (1, 2), (4, 5)),
    ("At risk", (1, 3), (2.5, 5)),
    ("Hibernating", (1, 5), (1, 5)),
]


def score(values: pd.Series, bins: int, *, high_is_good: bool = True, cuts: Sequence[float] = ()) -> pd.Series:
    """Score from 1 to ``bins`` (``bins`` is best), cut on values so that equal customers score alike.

    Args:
        values: one number a customer.
        bins: how many scores; fewer are used where ties leave fewer distinct cut points.
        high_is_good: false for recency in days, where low is good.
        cuts: your own cut points, ascending; a value equal to a cut belongs to the lower bin.

    Returns:
        Whole numbers, indexed as ``values``.

    Raises:
        ParameterError: cuts are not ascending or not ``bins - 1`` of them.
    """
    if len(cuts) and (len(cuts) != bins - 1 or any(a >= b for a, b in pairwise(cuts))):
        raise ParameterError(f"cuts == {list(cuts)}; they must be {bins - 1} ascending numbers for {bins} bins")
    missing = int(values.isna().sum())
    if missing:
        raise DataError(f"{missing:,} of {len(values):,} customers have a missing value; score a feature that all have")
    points = np.asarray(cuts, dtype=float) if len(cuts) else quantile_cuts(values, bins)
    rank = np.searchsorted(points, values.to_numpy(dtype=float), side="left")
    scores = rank + 1 if high_is_good else bins - rank
    return pd.Series(scores, index=values.index, dtype="int64")


def quantile_cuts(values: pd.Series, bins: int) -> np.ndarray:
    """The ``bins - 1`` inner quantiles of the values, each an observed value."""
    shares = np.arange(1, bins) / bins
    cuts: np.ndarray = np.quantile(values.to_numpy(dtype=float), shares, method="inverted_cdf")
    return cuts


def classify(features: pd.DataFrame, bins: int = 5) -> pd.DataFrame:
    """Score recency, frequency and monetary, and name the class.

    Returns:
        ``customer_id, recency_score, frequency_score, monetary_score, rfm_class``, one row a customer.
    """
    table = features[["customer_id"]].copy()
    table["recency_score"] = score(features["recency_days"], bins, high_is_good=False)
    table["frequency_score"] = score(features["frequency"], bins)
    table["monetary_score"] = score(features["monetary"], bins)
    to_five = 4 / (bins - 1)
    recency = 1 + (table["recency_score"] - 1) * to_five
    value = 1 + ((table["frequency_score"] + table["monetary_score"]) / 2 - 1) * to_five
    met = [recency.between(*r) & value.between(*v) for _, r, v in CLASSES]
    table["rfm_class"] = pd.Series(np.select(met, [name for name, _, _ in CLASSES], default=""), index=table.index)
    return table


def possible(features: pd.DataFrame, bins: int = 5) -> tuple[pd.DataFrame | None, pd.DataFrame | None, str]:
    """Classes and their summary of the customers who have all three, and the finding; why there are none otherwise."""
    names = ["recency_days", "frequency", "monetary"]
    known = features.dropna(subset=names) if set(names) <= set(features.columns) else features.iloc[:0]
    if known.empty:
        needs = "`transactions`, or `orders`, `sales` and `last_ordered_at` in `customers`"
        return None, None, f"No RFM classes: recency, frequency and monetary need {needs}."
    classes = classify(known, bins)
    summary = class_summary(classes, known)
    rest = len(features) - len(known)
    left = f" Customers without all three, left out: {rest:,}." if rest else ""
    return classes, summary, sentence(summary) + left


def conditions(features: pd.DataFrame, bins: int = 5) -> dict[str, str]:
    """The classes as SQL conditions, cut points included, so that they hold for new customers as well.

    Returns:
        Class to condition, in the order in which they are tried; the last takes whoever is left.
    """
    if missing := [name for name in ("recency_days", "frequency", "monetary") if features[name].isna().any()]:
        raise DataError(f"{', '.join(missing)} is missing for some customers; classes need what all have")
    scores = {}
    for name in ("recency_days", "frequency", "monetary"):
        cuts = quantile_cuts(features[name], bins)
        scores[name] = " + ".join(f"CAST({name} > {sql_number(cut)} AS INT)" for cut in cuts)
    to_five = sql_number(4 / (bins - 1))
    recency = f"1 + ({bins} - ({scores['recency_days']}) - 1) * {to_five}"
    value = f"1 + ((({scores['frequency']}) + ({scores['monetary']}) + 2) / 2 - 1) * {to_five}"
    met = {name: f"{recency} BETWEEN {r[0]} AND {r[1]} AND {value} BETWEEN {v[0]} AND {v[1]}" for name, r, v in CLASSES}
    return met | {CLASSES[-1][0]: "true"}


def sql_number(value: float) -> str:
    """A number that SQL reads as exactly this double, not as a decimal."""
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def class_summary(classes: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Customers, sales and medians per RFM class, in the order of the rules, empty classes included."""
    joined = classes[["customer_id", "rfm_class"]].merge(features, on="customer_id", validate="1:1")
    grouped = joined.groupby("rfm_class").agg(
        customers=("customer_id", "size"),
        sales=("monetary", "sum"),
        median_recency_days=("recency_days", "median"),
        median_frequency=("frequency", "median"),
        median_monetary=("monetary", "median"),
    )
    table = grouped.reindex([name for name, _, _ in CLASSES]).reset_index()
    table[["customers", "sales"]] = table[["customers", "sales"]].fillna(0)
    table["customers"] = table["customers"].astype("int64")
    table["share_of_customers"] = table["customers"] / table["customers"].sum()
    table["share_of_sales"] = table["sales"] / table["sales"].sum()
    return table


def sentence(summary: pd.DataFrame) -> str:
    """Size and sales of every class that has customers."""
    parts = [
        f"{row.rfm_class} {row.share_of_customers:.0%} of customers and {row.share_of_sales:.0%} of sales"
        for row in summary[summary["customers"] > 0].itertuples()
    ]
    return "RFM classes: " + "; ".join(parts) + "."

"""Observed value: who brings the money, how concentrated it is, and what a segment could grow to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segmentkit.analysis import given
from segmentkit.errors import DataError, ParameterError

PERCENT = ("share_of_customers", "share_of_sales")
DECIMALS = {"sales": 0, "sales_per_customer": 2, "orders_per_customer": 1}


@dataclass(frozen=True)
class Concentration:
    """How unevenly sales are spread over customers.

    Attributes:
        curve: ``share_of_customers`` (best first) and cumulative ``share_of_sales``, both from 0 to 1.
        top_fifth: share of sales of the best 20 % of customers.
        half_of_sales: smallest share of customers, best first, that brings half of the sales.
        gini: 0 where all spend alike, towards 1 where one spends everything; None with negative customers.
        below_zero: customers whose returns exceed their purchases.
    """

    curve: pd.DataFrame
    top_fifth: float
    half_of_sales: float
    gini: float | None
    below_zero: int

    @property
    def sentence(self) -> str:
        """The finding in words."""
        return (
            f"The best fifth of customers brings {self.top_fifth:.0%} of sales; half of the sales come from "
            f"{self.half_of_sales:.0%} of the customers."
        )


def concentration(monetary: pd.Series) -> Concentration:
    """Lorenz (whale) curve of customers' sales.

    Raises:
        DataError: sales add up to nothing.
    """
    spent = np.sort(monetary.to_numpy(dtype=float))[::-1]
    total = float(spent.sum())
    if total <= 0:
        raise DataError(f"sales add up to {total:,.2f}; value cannot be shared out")
    customers = np.arange(len(spent) + 1) / len(spent)
    sales = np.concatenate([[0.0], np.cumsum(spent) / total])
    below = int((spent < 0).sum())
    # area between the curve and the diagonal, twice, by trapezia
    gini = None if below else float(2 * np.trapezoid(sales, customers) - 1)
    curve = pd.DataFrame({"share_of_customers": customers, "share_of_sales": sales})
    half = float(customers[np.argmax(sales >= 0.5)])
    return Concentration(curve, float(np.interp(0.2, customers, sales)), half, gini, below)


def by_segment(features: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Observed value per segment: customers, sales, shares, mean sales and orders a customer, with a total row."""
    joined = segments.merge(features, on="customer_id", validate="1:1")
    lost = len(segments) + len(features) - 2 * len(joined)
    if lost:
        raise DataError(f"{lost:,} customers have features or a segment, not both; build both from one run")
    table = joined.groupby("segment_key", as_index=False).agg(
        customers=("customer_id", "size"), sales=("monetary", "sum"), orders=("frequency", "sum")
    )
    total = table[["customers", "sales", "orders"]].sum().to_frame().T.assign(segment_key="all")
    table = pd.concat([table, total], ignore_index=True)
    table = table.astype({"customers": "int64", "sales": "float64", "orders": "int64"})
    table["sales_per_customer"] = table["sales"] / table["customers"]
    table["orders_per_customer"] = table["orders"] / table["customers"]
    table["share_of_customers"] = table["customers"] / len(joined)
    table["share_of_sales"] = table["sales"] / joined["monetary"].sum()
    return table


def scorecard(worth: pd.DataFrame, names: Mapping[str, str], checks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line a segment for people: who, how many, what they bring, and whether the segment is found again.

    Args:
        worth: from ``by_segment``.
        names: by key.
        checks: rows of ``viability.check`` as 04 keeps them.

    Returns:
        ``segment_key, name, customers, share_of_customers, sales, share_of_sales, sales_per_customer, found_again``.
    """
    words = {row["segment_key"]: row["word"] for row in checks}
    table = worth[worth["segment_key"] != "all"]
    table = table.assign(name=table["segment_key"].map(dict(names)), found_again=table["segment_key"].map(words))
    shown = ["segment_key", "name", "customers", "share_of_customers", "sales", "share_of_sales", "sales_per_customer"]
    return table[[*shown, "found_again"]].reset_index(drop=True)


def top_customers(features: pd.DataFrame, share: float = 0.1, by: str = "monetary") -> tuple[pd.Series, str]:
    """Ids of the customers with the highest value, ties all in, and who they are in words.

    Raises:
        ParameterError: the share is not between 0 and 1, or there is no such column.
    """
    if not 0 < share < 1 or by not in features.columns:
        raise ParameterError(f"share == {share}, by == {by!r}; take a share above 0 and below 1, and a numeric feature")
    border = features[by].quantile(1 - share, interpolation="higher")
    return features.loc[features[by] >= border, "customer_id"], f"the top {share:.0%} by {by.replace('_', ' ')}"


def growth(worth: pd.DataFrame, sizes: Sequence[str]) -> pd.DataFrame:
    """What each segment could grow to, where the analyst knows its market.

    Args:
        worth: from ``by_segment``.
        sizes: customers of the whole market, one text a segment: ``A 12000``.

    Returns:
        ``segment_key, customers, market, share_of_market, potential_sales``: sales of customers not yet won, if they
        bought like those who are; assumed, not measured. Segments not named are left out.

    Raises:
        ParameterError: not ``LETTER NUMBER``, an unknown segment, or a market smaller than its customers.
    """
    known, rows = worth.set_index("segment_key"), []
    for key, market in given.each("market_sizes", sizes, "A 12000").items():
        if key not in known.index.drop("all") or market < known.loc[key, "customers"]:
            raise ParameterError(
                f"market_sizes holds '{key} {market}'; write the letter of a segment and at least its customers now"
            )
        row = known.loc[key]
        left = (market - row["customers"]) * row["sales_per_customer"]
        rows.append((key, row["customers"], market, row["customers"] / market, left))
    return pd.DataFrame(rows, columns=["segment_key", "customers", "market", "share_of_market", "potential_sales"])


def segments_sentence(values: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Customers and sales of every segment in words."""
    parts = [
        f"{row.segment_key} ({names[row.segment_key].lower()}) {row.share_of_customers:.0%} of customers and "
        f"{row.share_of_sales:.0%} of sales"
        for row in values[values["segment_key"] != "all"].itertuples()
    ]
    return "Segments: " + "; ".join(parts) + "."

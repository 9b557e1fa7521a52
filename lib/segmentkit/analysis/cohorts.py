"""Cohorts: of the customers who first bought in a month, how many bought again in each month after."""

import ibis
import pandas as pd

from segmentkit.analysis.features import Window, in_parts, until


def retention(transactions: ibis.Table, seen: Window) -> pd.DataFrame:
    """Share of each monthly cohort that buys in each later month.

    Args:
        transactions: the shared table.
        seen: the window; months it does not fill are marked, not shown as a fall.

    Returns:
        ``cohort`` (first day of the month), ``months_after``, ``customers`` (size of the cohort), ``buyers``,
        ``share``, ``complete`` (false where the month is not over, or the cohort's own month began before the data).
    """
    parts = [_buyers(part) for part in in_parts(until(transactions, seen))]
    counted = pd.concat(parts).astype({"cohort": "datetime64[ms]"})
    counted = counted.groupby(["cohort", "months_after"], as_index=False)["buyers"].sum()
    table = _every_month(counted)
    size = counted[counted["months_after"] == 0].set_index("cohort")["buyers"]
    table["customers"] = table["cohort"].map(size)
    table["share"] = table["buyers"] / table["customers"]
    ends = table["cohort"].to_numpy(dtype="datetime64[M]") + table["months_after"].to_numpy() + 1
    starts_inside = table["cohort"] >= pd.Timestamp(seen.start)
    table["complete"] = (pd.to_datetime(ends) <= pd.Timestamp(seen.as_of)) & starts_inside
    return table[["cohort", "months_after", "customers", "buyers", "share", "complete"]]


def _buyers(lines: ibis.Table) -> pd.DataFrame:
    """Customers of each monthly cohort who buy so many months after."""
    months = lines.select("customer_id", month=lines.ordered_at.truncate("M")).distinct()
    own = months.mutate(cohort=months.month.min().over(group_by="customer_id"))
    after = (own.month.year() - own.cohort.year()) * 12 + own.month.month() - own.cohort.month()
    counted = own.group_by(cohort=own.cohort, months_after=after.cast("int64")).aggregate(buyers=own.count())
    return counted.execute()


def _every_month(counted: pd.DataFrame) -> pd.DataFrame:
    """A cohort that bought nothing in a month has a zero there, not a hole."""
    last = (counted["cohort"].dt.to_period("M") + counted["months_after"]).max()
    pairs = [
        (cohort, after)
        for cohort in sorted(counted["cohort"].unique())
        for after in range((last - pd.Period(cohort, "M")).n + 1)
    ]
    full = pd.DataFrame(pairs, columns=["cohort", "months_after"])
    return (
        full.merge(counted, how="left", on=["cohort", "months_after"]).fillna({"buyers": 0}).astype({"buyers": "int64"})
    )

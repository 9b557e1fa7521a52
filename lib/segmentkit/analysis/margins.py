"""Margin by category: a small table with its origin, put on every purchase that has no margin of its own."""

import ibis
import pandas as pd

from segmentkit.errors import DataError

REST = "all others"


def apply(transactions: ibis.Table, stated: ibis.Table | None) -> tuple[ibis.Table, str]:
    """Put a margin on every line, and say where it comes from.

    Args:
        transactions: the shared table; with a ``margin`` of its own it is left as it is.
        stated: ``category, margin_rate, origin``, or None; the category ``all others`` holds for what is not listed.

    Returns:
        The lines, with ``margin`` in money where it is known, and the source of the figure: ``measured``, ``stated by
        the source (...)`` or ``not known``. Lines without a margin of their own get the stated one; where none is
        stated, a margin on some lines only is left out, for in a sum the others would count as nothing.

    Raises:
        DataError: a rate that is no share, a category without a rate, or purchases without categories.
    """
    own = "margin" in transactions.columns
    without = int(transactions.margin.isnull().sum().execute() or 0) if own else 0
    if own and not without:
        return transactions, "measured"
    if own:
        some = f"{without:,} of {int(transactions.count().execute()):,} purchase lines have no margin"
        if stated is None:
            return transactions.drop("margin"), f"not known: {some} of their own, and no table margins states one"
    if stated is None:
        return transactions, "not known"
    margins = stated.execute()
    wrong = margins[~margins["margin_rate"].between(-1, 1)]
    if len(wrong):
        raise DataError(
            f"margins: margin_rate == {wrong['margin_rate'].iloc[0]:g} for {wrong['category'].iloc[0]!r}; it is a "
            "share of sales, at most 1; write 0.25 for a quarter"
        )
    rates = margins.set_index("category")["margin_rate"]
    rest, listed = rates.get(REST), rates.drop(REST, errors="ignore")
    _check_covered(transactions.filter(transactions.margin.isnull()) if own else transactions, listed, rest)
    rate = ibis.literal(rest, type="float64")
    if len(listed) and "category" in transactions.columns:
        cases = [(transactions.category == name, float(value)) for name, value in listed.items()]
        rate = ibis.cases(*cases, else_=rate)
    origins = "; ".join(dict.fromkeys(margins["origin"]))
    told, margin = f"stated by the source ({origins})", transactions.amount * rate
    if own:
        return transactions.mutate(margin=transactions.margin.coalesce(margin)), f"measured; {some}: theirs is {told}"
    return transactions.mutate(margin=margin), told


def _check_covered(transactions: ibis.Table, listed: pd.Series, rest: float | None) -> None:
    if rest is not None:
        return
    if "category" not in transactions.columns:
        raise DataError(f"margins are by category, but purchases have none; map category, or state {REST!r} alone")
    sold = transactions.select("category").distinct().execute()["category"]
    known = set(listed.index)
    missing = sorted("lines without one" if pd.isna(name) else name for name in sold if name not in known)
    if missing:
        raise DataError(
            f"margins: no rate for {', '.join(missing[:5])} ({len(missing)} of {len(sold)} categories); add them, or a "
            f"row {REST!r}"
        )

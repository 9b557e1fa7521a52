"""Segments by rule: the first rule that fits a customer decides; whoever fits none is said to fit none."""

from collections.abc import Mapping

import ibis
import pandas as pd

from segmentkit.errors import DataError

NO_RULE = "no rule fits"


def days_since(contacts: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """Days from each customer's last contact of every kind to ``as_of``.

    Args:
        contacts: the shared table, or its columns without rows.
        as_of: YYYY-MM-DD; contacts from this day on are not looked at.

    Returns:
        ``customer_id`` and a column an event, e.g. ``days_since_visit``; missing where there was none.
    """
    seen = contacts[contacts["at"] < pd.Timestamp(as_of)] if len(contacts) else contacts
    if seen.empty:
        return pd.DataFrame({"customer_id": pd.Series(dtype="str")})
    last = seen.groupby(["customer_id", "event"])["at"].max().unstack()
    days = last.apply(lambda moments: (pd.Timestamp(as_of) - moments.dt.normalize()).dt.days.astype(float))
    return days.add_prefix("days_since_").rename_axis(columns=None).reset_index()


def assign(rules: Mapping[str, str], features: pd.DataFrame, contacts: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """Give every customer the first rule that fits.

    Args:
        rules: name to condition, in order; a condition is SQL over the features and ``days_since_EVENT`` columns.
        features: one row a customer.
        contacts: the shared table.
        as_of: the day the features look back from.

    Returns:
        ``customer_id, segment_key``; the key is the rule's name, or ``no rule fits``.

    Raises:
        DataError: a condition cannot be read; the message names the rule and the columns there are.
    """
    table = features.merge(days_since(contacts, as_of), on="customer_id", how="left")
    connection = ibis.duckdb.connect(threads=1)
    connection.raw_sql("SET enable_external_access = false")
    customers = connection.create_table("customers", table)
    known = [name for name in table.columns if name != "customer_id"]
    found = pd.Series(NO_RULE, index=table["customer_id"], name="segment_key", dtype="object")
    for name, condition in reversed(list(rules.items())):
        try:
            fits = customers.sql(f"SELECT customer_id FROM customers WHERE ({condition})").execute()
        except Exception as error:
            first = str(error).strip().splitlines()[0]
            raise DataError(
                f"rule {name!r}: {condition!r} cannot be read: {first}; columns: {', '.join(known)}"
            ) from None
        found[found.index.isin(fits["customer_id"])] = name
    connection.disconnect()
    return found.sort_index().reset_index()


def sentence(assigned: pd.DataFrame, rules: Mapping[str, str]) -> str:
    """How many customers each rule got, and how many none."""
    if not rules:
        return "The source states no rules; its section [rules] would add segments by rule."
    shares = assigned["segment_key"].value_counts(normalize=True)
    parts = [f"{name} {shares.get(name, 0.0):.1%}" for name in [*rules, NO_RULE]]
    return f"By rule, the first that fits: {'; '.join(parts)}."

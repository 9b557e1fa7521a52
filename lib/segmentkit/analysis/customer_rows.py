"""One row a customer: what several files say of the same person, joined into one row."""

from collections.abc import Mapping
from dataclasses import replace

import ibis

from segmentkit.contracts import TABLES, RawTable

JOINED = "joined to the customer's row of another file"


def joined(tables: Mapping[str, RawTable]) -> dict[str, RawTable]:
    """The tables with one row a customer in ``customers``; see ``one_row``."""
    return {name: one_row(raw) if name == "customers" else raw for name, raw in tables.items()}


def one_row(raw: RawTable) -> RawTable:
    """Join rows of the same customer: each column from the first row that has it, in the order of the source.

    Rows that one file gives under the same id of its own disagree about a customer; they stay as they are, for the
    audit to set aside.

    Args:
        raw: the customers table with resolved ids; ``part`` (its place in the source) and ``own_id`` (whether the file
            gives an id of its own) beside the shared columns.

    Returns:
        As many rows; those that went into another have ``left_out``.
    """
    table = raw.table
    if "part" not in table.columns or len(raw.files) < 2:
        return replace(raw, table=table.drop(*({"part", "own_id"} & set(table.columns))))
    own = table.own_id.cast("int64").sum().over(group_by=["customer_id", "file"])
    table = table.mutate(twice=(own > 1) | table.customer_id.isnull())
    table = table.mutate(twice=table.twice.any().over(group_by="customer_id"))
    first = [table.part, table.own_id.desc(), table.file, table.row_number]
    whole = ibis.window(group_by="customer_id", order_by=first, preceding=None, following=None)
    shared = [name for name in table.columns if name in TABLES["customers"].names or name in raw.attributes]
    filled = {
        name: table.twice.ifelse(table[name], table[name].first(include_null=False).over(whole))
        for name in shared
        if name != "customer_id"
    }
    rank = ibis.row_number().over(group_by="customer_id", order_by=first)
    reason = ((rank > 0) & ~table.twice).ifelse(JOINED, ibis.null("string"))
    before = table.left_out.cast("string") if "left_out" in table.columns else ibis.null("string")
    return replace(
        raw, table=table.mutate(**filled, left_out=before.coalesce(reason)).drop("part", "own_id", "twice").cache()
    )

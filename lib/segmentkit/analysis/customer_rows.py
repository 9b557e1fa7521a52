"""One row a customer: what several rows say of the same person, joined into one."""

from collections.abc import Mapping
from dataclasses import replace

import ibis

from segmentkit.contracts import TABLES, RawTable

JOINED = "joined to another row of the same customer"


def joined(tables: Mapping[str, RawTable]) -> dict[str, RawTable]:
    """The tables with one row a customer in ``customers``; see ``one_row``."""
    return {name: one_row(raw) if name == "customers" else raw for name, raw in tables.items()}


def one_row(raw: RawTable) -> RawTable:
    """Join rows of the same customer: each column from the first row that has it, in the order of the source.

    Rows that one file gives under the same id of its own disagree about a customer; they stay as they are, for the
    audit to set aside. Rows that the source leaves out take no part.

    Args:
        raw: the customers table with resolved ids; ``part`` (its place in the source) and ``own_id`` (whether the file
            gives an id of its own) beside the shared columns.

    Returns:
        As many rows; those that went into another have ``left_out``.
    """
    table = raw.table
    if "part" not in table.columns:
        return raw
    before = table.left_out.cast("string") if "left_out" in table.columns else ibis.null("string")
    table = table.mutate(before=before)
    own = (table.own_id & table.before.isnull()).cast("int64").sum().over(group_by=["customer_id", "file"])
    table = table.mutate(alone=(own > 1) | table.customer_id.isnull() | table.before.notnull())
    # a customer with a contradiction stays apart as a whole
    apart = (table.alone & table.before.isnull()).any().over(group_by="customer_id")
    table = table.mutate(alone=table.alone | apart)
    first = [table.alone, table.part, table.own_id.desc(), table.file, table.row_number]
    table = table.mutate(place=ibis.row_number().over(group_by="customer_id", order_by=first))
    shared = [name for name in table.columns if name in TABLES["customers"].names or name in raw.attributes]
    filled = {}
    for name in (one for one in shared if one != "customer_id"):
        known = table[name].notnull() & (table[name].cast("string").strip() != "") & ~table.alone
        value = table[name].argmin(known.ifelse(table.place, None)).over(group_by="customer_id")
        filled[name] = table.alone.ifelse(table[name], value)
    reason = ((table.place > 0) & ~table.alone).ifelse(JOINED, ibis.null("string"))
    made = table.mutate(**filled, left_out=table.before.coalesce(reason))
    return replace(raw, table=made.drop("part", "own_id", "alone", "before", "place").cache())

"""The score card of the data: everything that was looked at, what was found, and what stops the run.

A check has one of four results: ``ok``; ``note``, which an analyst should know; ``warn``, which somebody should mend or
explain; and ``stop``. Nothing stops by itself: thresholds are parameters of notebook 01.
"""

import difflib
from collections.abc import Sequence

import pandas as pd

from segmentkit.analysis import data_consistency, data_facts, data_volume
from segmentkit.analysis.audit import Checked
from segmentkit.analysis.data_facts import Check
from segmentkit.errors import AuditError, ParameterError

RESULTS = ("stop", "warn", "note", "ok")
CHECKS = {
    "set aside": "rows that failed a rule, were left out or forgotten",
    "columns": "columns without any value, and columns the source does not have",
    "missing": "values that are missing",
    "repeats": "rows equal in every column",
    "overlap": "rows that two files share",
    "ranges": "values that cannot be, such as a quantity below zero beside a price above",
    "units": "columns that a few lines carry",
    "concentration": "one customer with a large part of the sales",
    "returns": "amounts below zero, and those before any purchase",
    "currency": "amounts in several currencies",
    "ids": "customer ids that a spreadsheet changed, or that two systems write differently",
    "freshness": "days since the last row",
    "gaps": "days without rows that usually have some",
    "jumps": "weeks with far more or fewer rows than those beside them",
    "periods": "first and last weeks and months that are not whole",
    "hours": "times without an hour",
    "clock": "hours that a change of the clock skips",
    "instants": "many rows at one moment",
    "people": "customers of one table that another does not have",
    "campaign ids": "campaigns that are named and not described",
    "campaign days": "contacts outside the days of their campaign",
    "order of events": "responses before the contact",
    "funnel": "opens and clicks without a delivery",
    "spellings": "one word written in several ways",
    "spans": "tables whose days do not meet",
}


def look(
    checked: dict[str, Checked], units: pd.DataFrame, max_days_old: Sequence[int] = (), max_gap_days: Sequence[int] = ()
) -> list[Check]:
    """Look at everything, table by table and across tables.

    Args:
        checked: tables after the audit.
        units: ``audit_report.unit_plausibility`` of the purchases; without purchases, no rows.
        max_days_old: days since a table's last row at which the run stops, a list of one or none.
        max_gap_days: days without rows at which the run stops, a list of one or none.
    """
    found = {name: data_facts.facts(table) for name, table in checked.items()}
    checks = [check for name, table in checked.items() for check in data_facts.about(table, found[name])]
    last_day = data_volume.last_day(next(iter(checked.values())).formats, found)
    if last_day:
        for name, table in checked.items():
            checks += data_volume.about(table, found[name], last_day, max_days_old, max_gap_days)
    return checks + _units(units) + _currencies(checked) + data_consistency.about(checked, found)


def card(checks: Sequence[Check]) -> pd.DataFrame:
    """One row a check, the gravest first: ``result, table, check, figure, sentence, mend``."""
    table = pd.DataFrame(checks, columns=["table", "check", "result", "figure", "sentence", "mend"])
    table["figure"] = table["figure"].astype("float64").round(6)
    table = table.sort_values("result", key=lambda column: column.map(RESULTS.index), kind="stable", ignore_index=True)
    return table[["result", "table", "check", "figure", "sentence", "mend"]]


def stop_if(checks: Sequence[Check], stop_on: Sequence[str] = ()) -> None:
    """Stop at what is past its limit, and at warnings of the checks that are named.

    Raises:
        ParameterError: no check has that name.
        AuditError: naming everything that stops the run.
    """
    for name in stop_on:
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(CHECKS)}"
            raise ParameterError(f"stop_on == {name!r}; no check has this name; {hint}")
    grave = [c for c in checks if c.result == "stop" or (c.result == "warn" and c.check in stop_on)]
    if grave:
        told = " ".join(f"{check.table}, {check.check}: {check.sentence} Mend: {check.mend}." for check in grave)
        raise AuditError(f"checks that stop the run == {len(grave)}; {told}")


def sentence(checks: Sequence[Check]) -> str:
    """How many checks were made and how they ended."""
    counts = pd.Series([check.result for check in checks]).value_counts()
    words = {"stop": "reasons to stop", "warn": "warnings", "note": "notes", "ok": "nothing to say"}
    told = ", ".join(f"{words[result]} {counts[result]}" for result in RESULTS if result in counts)
    return f"{len(checks)} checks: {told}."


def _units(units: pd.DataFrame) -> list[Check]:
    mend = "state the unit in the source by an expression; until then no feature is built on it"
    return [
        Check("transactions", "units", "ok" if row.plausible else "warn", row.top_share,
              f"The largest 1 % of lines carry {row.top_share:.1%} of all {row.column}.", "" if row.plausible else mend)
        for row in units.itertuples()
    ]  # fmt: skip


def _currencies(checked: dict[str, Checked]) -> list[Check]:
    checks = []
    for name, table in checked.items():
        if "currency" not in table.kept.columns or name in {"exchange_rates", "survey"}:
            continue
        lines = table.kept.group_by("currency").aggregate(n=table.kept.count()).order_by("currency").execute()
        told = ", ".join(f"{row.n:,} rows in {row.currency}" for row in lines.itertuples())
        mixed = len(lines) > 1
        told = f"{told}; all are brought to {table.formats.currency}." if mixed else f"All rows are in {told}."
        checks.append(Check(name, "currency", "note" if mixed else "ok", len(lines), told))
    return checks

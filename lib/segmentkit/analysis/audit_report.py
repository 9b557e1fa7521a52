"""What the audit's rules cannot see one row at a time: shares, units, calendar, and whether the money adds up."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import ibis
import pandas as pd

from segmentkit.analysis.audit import TWICE, Checked, exact_sum
from segmentkit.errors import AuditError, DataError

IN_FILES, IN_LEDGER, READ = "in the files", "ledger control total", "read from the source"
STOPS = (IN_FILES, IN_LEDGER, READ, "analysed")


def scorecard(checked: dict[str, Checked]) -> pd.DataFrame:
    """Rows read, kept, quarantined, left out and forgotten per table, with the most frequent rule."""
    rows = []
    for table in checked.values():
        rules = table.quarantined["rule"].value_counts()
        rows.append(
            {
                "table": table.name,
                "rows_read": table.rows_read,
                "rows_kept": table.rows_kept,
                "rows_quarantined": len(table.quarantined),
                "rows_read_twice": int(table.ledger.loc[table.ledger["outcome"] == TWICE, "rows"].sum()),
                "rows_left_out": int(table.left_out["rows"].sum()),
                "rows_forgotten": table.rows_forgotten,
                "commonest_rule": rules.index[0] if len(rules) else "",
                "rows_of_that_rule": int(rules.iloc[0]) if len(rules) else 0,
            }
        )
    return pd.DataFrame(rows)


def files_read(files: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Each file and the tables it fills, with what was done on the way and the columns that no table asks for."""
    rows: dict[str, dict[str, Any]] = {}
    for one in files:
        row = rows.setdefault(one["file"], {"file": one["file"], "rows": one["rows"], "fills": [], "not_read": None})
        row["fills"].append(one["table"])
        unused = set(one["unused"])
        row["not_read"] = unused if row["not_read"] is None else row["not_read"] & unused
        row["notes"] = "; ".join(one["notes"])
    table = pd.DataFrame(rows.values(), columns=["file", "rows", "fills", "not_read", "notes"])
    return table.assign(fills=table["fills"].map(", ".join), not_read=table["not_read"].map(sorted).map(", ".join))


def stop_if_too_bad(card: pd.DataFrame, max_bad_share: float) -> None:
    """Stop when a table lost more rows than the analyst allows; rows that two exports share are no loss.

    Raises:
        AuditError: naming the table, the share and the commonest rule.
    """
    for row in card.itertuples():
        bad = row.rows_quarantined - row.rows_read_twice
        if row.rows_kept == 0 and row.rows_quarantined == 0:
            raise AuditError(
                f"table {row.table}: none of {row.rows_read:,} rows is kept: {row.rows_left_out:,} are left out by the "
                f"source's own rule and {row.rows_forgotten:,} are of customers to be forgotten; mend leave_out in it"
            )
        share = bad / max(1, row.rows_read)
        if share > max_bad_share or row.rows_kept == 0:
            raise AuditError(
                f"table {row.table}: {bad:,} of {row.rows_read:,} rows ({share:.1%}) fail the audit, "
                f"max_bad_share == {max_bad_share:g}; commonest: {row.commonest_rule!r} "
                f"({row.rows_of_that_rule:,} rows); "
                f"see quarantine/{row.table}.parquet, mend the file or the source, or allow more with -p "
                "max_bad_share=..."
            )


def unit_plausibility(transactions: ibis.Table | None, top_share: float) -> pd.DataFrame:
    """Share of each numeric column's total that its largest 1 % of non-zero lines carry.

    A column in mixed units (fuel counted in thousandths beside items counted in ones) puts nearly all of its
    total into a few lines. Zeros are left out, so a column that is merely rare, such as coupons, passes.

    Returns:
        One row a column: ``column, nonzero_lines, total, top_lines, top_share, plausible``; none without purchases.
    """
    rows = []
    for name in ("amount", "quantity", "discount", "coupon_amount", "margin"):
        if transactions is None or name not in transactions.columns:
            continue
        size = transactions[name].abs()
        lines = transactions.filter(size > 0).select(size=size)
        ranked = lines.mutate(rank=ibis.row_number().over(order_by=ibis.desc(lines.size)))
        n, total = lines.aggregate(n=lines.count(), total=lines.size.sum()).execute().iloc[0]
        total = float(total) if n else 0.0
        top_n = max(1, int(n) // 100)
        carried = ranked.filter(ranked.rank < top_n).size.sum().execute() if n else 0
        share = float(carried or 0) / total if total else 0.0
        rows.append(
            {
                "column": name,
                "nonzero_lines": int(n),
                "total": round(total, 2),
                "top_lines": top_n if n else 0,
                "top_share": round(share, 6),
                "plausible": share <= top_share or int(n) < 100,
            }
        )
    named = ["column", "nonzero_lines", "total", "top_lines", "top_share", "plausible"]
    return pd.DataFrame(rows, columns=named).astype({"plausible": "bool"})


def where_the_units_differ(transactions: ibis.Table, column: str) -> pd.DataFrame:
    """Lines, total and median of a doubtful column by category: usually one or two categories explain it."""
    if "category" not in transactions.columns:
        raise DataError(f"column {column}: the source has no category, so the unit cannot be traced; add one")
    grouped = transactions.group_by("category").aggregate(
        lines=transactions.count(), total=transactions[column].sum(), median=transactions[column].median()
    )
    table = grouped.execute().sort_values("total", ascending=False).reset_index(drop=True)
    table["share"] = table["total"] / table["total"].sum()
    return table


def findings(checked: dict[str, Checked], units: pd.DataFrame) -> list[str]:
    """Plain sentences about what an analyst must know before going on."""
    said = [
        f"{name}: {row.rows:,} rows are left out by the source's own rule ({row.reason})."
        for name, table in checked.items()
        for row in table.left_out.itertuples()
    ]
    said += [
        f"E-mail addresses or phone numbers were removed from {n:,} answers to {question}."
        for table in checked.values()
        for question, n in table.removed.items()
        if n
    ]
    return said + (_purchases(checked, units) if "transactions" in checked else [])


def _purchases(checked: dict[str, Checked], units: pd.DataFrame) -> list[str]:
    kept = checked["transactions"].kept
    facts = (
        kept.aggregate(
            negative=(kept.amount < 0).sum(),
            negative_sum=(kept.amount < 0).ifelse(kept.amount, 0).sum(),
            zero=(kept.amount == 0).sum(),
        )
        .execute()
        .iloc[0]
    )
    said = [
        f"{int(facts.negative):,} lines have a negative amount (returns), {facts.negative_sum:,.2f} in all; they "
        "stay in.",
        f"{int(facts.zero):,} lines have an amount of zero; they stay in and count as purchases.",
    ]
    said += _currencies(checked)
    for row in units[~units["plausible"]].itertuples():
        said.append(
            f"The largest 1 % of lines carry {row.top_share:.2%} of all {row.column}: its units differ from line to "
            f"line, so no feature is built on {row.column}."
        )
    buyers = kept.select("customer_id").distinct()
    for name in ("customers", "contacts", "responses", "assignments", "survey"):
        if name in checked:
            other = checked[name].kept.select("customer_id").distinct()
            unmatched = int(other.anti_join(buyers, "customer_id").count().execute())
            said.append(f"{name}: {unmatched:,} of {int(other.count().execute()):,} customers have no purchase.")
    return said


def _currencies(checked: dict[str, Checked]) -> list[str]:
    """What was converted at which rate, and the lines whose money stands in no amount."""
    said, bought = [], checked["transactions"]
    unknown = int(bought.quarantined["rule"].isin(["currency is missing", "currency has no exchange rate"]).sum())
    if unknown:
        said.append(
            f"{unknown:,} lines have no currency or no exchange rate; they are set aside, and their money is in no "
            "amount of the money bridge."
        )
    if "currency" in bought.kept.columns and "exchange_rates" in checked:
        lines = bought.kept["currency"].value_counts().execute().set_index("currency").iloc[:, 0]
        rates = checked["exchange_rates"].kept.execute().sort_values("currency")
        said += [
            f"{lines[row.currency]:,} lines in {row.currency} are converted at {row.rate:g}, stated by the source "
            f"({row.origin})."
            for row in rates.itertuples()
            if row.currency in lines.index
        ]
    return said


def calendar(transactions: ibis.Table, as_of: date, period: str = "week") -> pd.DataFrame:
    """Lines, orders and sales by calendar week or month; ``complete`` is false for one that the data do not fill.

    Args:
        transactions: the shared table.
        as_of: the day after the last day the data cover.
        period: ``week`` (from Monday) or ``month``; the name of the first column, too.
    """
    begins = transactions.ordered_at.truncate({"week": "W", "month": "M"}[period]).date()
    grouped = transactions.group_by(begins.name(period)).aggregate(
        lines=transactions.count(), orders=transactions.order_id.nunique(), sales=exact_sum(transactions.amount)
    )
    table = grouped.order_by(period).execute()
    first = pd.Timestamp(transactions.ordered_at.min().execute()).normalize()
    starts = pd.to_datetime(table[period])
    ends = starts + (pd.DateOffset(months=1) if period == "month" else pd.Timedelta(days=7))
    table[period] = starts
    table["complete"] = (starts >= first) & (ends <= pd.Timestamp(as_of))
    return table


def money_bridge(
    transactions: Checked, control_total: float | None = None, max_ledger_gap: Sequence[float] = ()
) -> pd.DataFrame:
    """From the files and the ledger to the money analysed: ``step, rows, amount, returns``, to the cent.

    Each stop (``STOPS``) is the sum of what is named between it and the next one, and that next one. Rows that the
    source says are no data, such as a line of totals, come off first: the ledger does not know them. ``returns`` is the
    part of an amount that is below zero; rows whose amount cannot be read have no money and are counted apart.

    Args:
        transactions: the table after the audit.
        control_total: what the ledger says the files should add up to, where the source states it.
        max_ledger_gap: largest share of it that may be missing, a list of one; empty means it is only shown.

    Raises:
        AuditError: more is missing.
    """
    ledger = transactions.ledger
    left = [Decimal(sum(ledger[name], Decimal(0))) for name in ("amount", "returns")]
    whole, steps = [float(_cents(part)) for part in left], []
    for row in ledger.itertuples():
        # what is left is rounded, not what is taken off, so that the cents that are shown add up
        parts = [float(_cents(left[i]) - _cents(left[i] - part)) for i, part in enumerate((row.amount, row.returns))]
        left = [left[0] - row.amount, left[1] - row.returns]
        steps.append((row.outcome, row.rows, *parts))
    no_data = [step for step in steps if step[0].startswith("left out: ")]
    data = steps[len(no_data) :]
    read = [float(_cents(Decimal(str(whole[i])) - sum(Decimal(str(step[i + 2])) for step in no_data))) for i in (0, 1)]
    rows: list[tuple[Any, ...]] = []
    if no_data:
        rows = [(IN_FILES, int(ledger["rows"].sum()), *whole), *no_data]
    if control_total is not None:
        gap = float(_cents(Decimal(str(control_total))) - _cents(Decimal(str(read[0]))))
        _stop_at_gap(gap, control_total, max_ledger_gap)
        rows += [(IN_LEDGER, None, float(control_total), None), ("not in the files", None, gap, None)]
    rows += [(READ, sum(step[1] for step in data), *read), *data]
    table = pd.DataFrame(rows, columns=["step", "rows", "amount", "returns"], dtype="object")
    return table if control_total is not None else table.infer_objects()


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def _stop_at_gap(gap: float, total: float, limit: Sequence[float]) -> None:
    if limit and abs(gap) > limit[0] * abs(total):
        raise AuditError(
            f"ledger: {gap:,.2f} of {total:,.2f} is not in the files, max_ledger_gap == {limit[0]:g}; find the files "
            "or days that are missing, correct control_total in the source, or allow more with -p max_ledger_gap=..."
        )


def records(bridge: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The bridge as plain data; no rows where there are no purchases."""
    return [] if bridge is None else bridge.astype(object).where(bridge.notna(), None).to_dict("records")


def bridge_sentence(bridge: pd.DataFrame | None, currency: str) -> str:
    """How much of the ledger is read, and how much of what is read is analysed."""
    if bridge is None:
        return "No purchases, so there is no money to add up: the table transactions would bring it."
    amounts = bridge.set_index("step")["amount"]
    read, analysed = amounts["read from the source"], amounts["analysed"]
    told = f"{analysed:,.2f} of {read:,.2f} {currency} read is analysed; {read - analysed:,.2f} is not."
    if IN_LEDGER not in amounts:
        return f"{told} The source states no total of the ledger, so whether the files are complete cannot be told."
    missing = amounts["not in the files"]
    word = "agree with it to the cent" if missing == 0 else f"differ from it by {missing:,.2f}"
    return f"{told} The ledger says {amounts[IN_LEDGER]:,.2f}; the files {word}."


def units_sentence(units: pd.DataFrame) -> str:
    """What the unit check found, with every share."""
    if units.empty:
        return "No column of purchases whose units could be doubted."
    shares = ", ".join(f"{row.column} {row.top_share:.1%}" for row in units.itertuples())
    return f"Share of each column's total in its largest 1 % of non-zero lines: {shares}."


def traced_sentence(column: str, by_category: pd.DataFrame) -> str:
    """Which category a doubtful column's total comes from."""
    top = by_category.iloc[0]
    return (
        f"{column}: {top['share']:.0%} of the total lies in {top['category']}, where the median line says "
        f"{top['median']:,.0f}, against {by_category['median'].median():,.0f} in the middle category."
    )


def day_after(transactions: ibis.Table) -> date:
    """The day after the last purchase."""
    last: date = transactions.ordered_at.max().execute().date()
    return last + timedelta(days=1)


def calendar_sentence(weeks: pd.DataFrame | None, currency: str) -> str:
    """Sales by week in numbers."""
    if weeks is None:
        return "No purchases, so there is no calendar of sales."
    whole = weeks[weeks["complete"]]
    if whole.empty:
        return f"The data fill no whole week; {len(weeks)} are begun."
    return (
        f"Sales in {len(whole)} full weeks run from {whole['sales'].min():,.0f} to {whole['sales'].max():,.0f} "
        f"{currency}; "
        f"{len(weeks) - len(whole)} weeks that the data do not fill are left out."
    )


def summary(checked: dict[str, Checked], units: pd.DataFrame) -> dict[str, Any]:
    """Figures for the report: rows by table, and the columns whose units cannot be trusted."""
    card = scorecard(checked)
    return {
        "rows_read": int(card["rows_read"].sum()),
        "rows_quarantined": int(card["rows_quarantined"].sum()),
        "lines": checked["transactions"].rows_kept if "transactions" in checked else 0,
        "tables": card.to_dict("records"),
        "doubtful_columns": list(units.loc[~units["plausible"], "column"]),
        "units": units.to_dict("records"),
    }

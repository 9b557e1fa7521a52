"""What each table says of itself once its rows have passed: columns, missing values, ranges, returns, ids."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from segmentkit.analysis.audit import Checked
from segmentkit.analysis.audit_repeats import OVERLAP
from segmentkit.contracts import TABLES

TOP_CUSTOMER = 0.05
EQUAL_ROWS = 0.05
# pasted with an id; the same id without it is another one
UNSEEN = "[\u00a0\u00ad\u200b-\u200f\u2060\ufeff]"
Facts = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        table: the table it was looked at in, or two names with a comma.
        check: what was looked at, one of ``data_quality.CHECKS``.
        result: ``ok``, ``note`` (know it), ``warn`` (mend it, or know why not) or ``stop``.
        figure: the number it rests on.
        sentence: what was found.
        mend: what to do about it; empty where there is nothing.
    """

    table: str
    check: str
    result: str
    figure: float
    sentence: str
    mend: str = ""


@dataclass(frozen=True)
class _Range:
    table: str
    columns: str
    wrong: Callable[[ibis.Table], Any]
    words: str
    mend: str
    result: str = "warn"


_RANGES = (
    _Range("transactions", "quantity amount", lambda t: (t.quantity < 0) & (t.amount > 0),
           "have a quantity below zero and an amount above", "state returns in the source, or mend the sign"),
    _Range("transactions", "discount", lambda t: t.discount < 0,
           "have a discount below zero", 'a discount is money taken off; turn its sign, { expr = "-..." }'),
    _Range("transactions", "discount amount quantity", lambda t: (t.discount > 0) & (t.amount < 0) & (t.quantity > 0),
           "take off more than the price", "check whether they are returns; if so state returns in the source", "note"),
    _Range("transactions", "margin amount", lambda t: (t.amount > 0) & (t.margin > t.amount),
           "earn a margin above the amount", "check the unit of margin: it is money, not a percentage"),
    _Range("customers", "orders", lambda t: (t.orders < 0) | (t.orders != t.orders.floor()),
           "have orders that are no whole number from 0", "map the column that counts orders"),
    _Range("assignments", "designed_share", lambda t: (t.designed_share <= 0) | (t.designed_share > 1),
           "have a designed share outside 0 to 1", "state the share that was meant to be drawn; 0.5 is a half"),
    _Range("channel_results", "clicks impressions", lambda t: t.clicks > t.impressions,
           "have more clicks than impressions", "check that both columns count the same thing"),
    _Range("channel_results", "reach impressions", lambda t: t.reach > t.impressions,
           "reach more people than there were impressions", "check that the two columns are not swapped"),
    _Range("channel_results", "impressions", lambda t: t.impressions < 0,
           "have impressions below zero", "check the export for corrections, and leave them out"),
)  # fmt: skip


def facts(table: Checked) -> Facts:
    """Missing values, first and last times, rows at midnight and rows out of range, in one pass over the table."""
    kept = table.kept
    asked: Facts = {"rows": kept.count()}
    for name, kind in kept.schema().items():
        asked[f"missing {name}"] = kept[name].isnull().sum()
        if kind.is_timestamp():
            asked |= {f"first {name}": kept[name].min(), f"last {name}": kept[name].max()}
            asked[f"midnight {name}"] = (kept[name] == kept[name].truncate("D")).sum()
    asked |= {item.words: item.wrong(kept).sum() for item in _own_ranges(table)}
    return {name: value for name, value in kept.aggregate(**asked).execute().iloc[0].items() if not pd.isna(value)}


def about(table: Checked, found: Facts) -> list[Check]:
    """Every check that needs one table only and no calendar."""
    checks = [_set_aside(table), _columns(table, found), _missing(table, found), *_ranges(table, found)]
    if not TABLES[table.name].key or table.name == "transactions":
        checks.append(_repeats(table, found))
    if len(table.files) > 1:
        checks.append(_overlap(table))
    if table.name in {"transactions", "customers"}:
        checks.append(_ids(table))
    if table.name == "transactions":
        checks += [_concentration(table), _returns(table)]
    return checks


def _own_ranges(table: Checked) -> list[_Range]:
    own = set(table.kept.columns) & set(TABLES[table.name].names)
    return [item for item in _RANGES if item.table == table.name and set(item.columns.split()) <= own]


def _set_aside(table: Checked) -> Check:
    aside, out = len(table.quarantined), int(table.left_out["rows"].sum())
    share = aside / max(1, table.rows_read)
    told = [f"{aside:,} of {table.rows_read:,} rows are set aside ({share:.2%})."]
    told += [f"{row.rows:,} are left out: {row.reason}." for row in table.left_out.itertuples()]
    told += [f"{table.rows_forgotten:,} are of customers to be forgotten."] if table.rows_forgotten else []
    told += [
        f"E-mail addresses or phone numbers were removed from {n:,} answers to {name}."
        for name, n in table.removed.items()
        if n
    ]
    mend = f"see quarantine/{table.name}.parquet" if aside else ""
    return Check(
        table.name, "set aside", "note" if aside or out or len(told) > 1 else "ok", share, " ".join(told), mend
    )


def _columns(table: Checked, found: Facts) -> Check:
    columns, rows = list(table.kept.columns), found["rows"]
    empty = [name for name in columns if rows and found[f"missing {name}"] == rows]
    absent = [name for name in TABLES[table.name].names if name not in columns]
    if empty:
        told = f"{_listed(empty)} {'is' if len(empty) == 1 else 'are'} empty in all {rows:,} rows."
        return Check(table.name, "columns", "warn", len(empty), told, "map another column, or take the line out")
    told = f"{len(columns)} columns." + (f" Not in this source: {', '.join(absent)}." if absent else "")
    return Check(table.name, "columns", "ok", len(absent), told)


def _missing(table: Checked, found: Facts) -> Check:
    rows = max(1, found["rows"])
    shares = {name: found[f"missing {name}"] / rows for name in table.kept.columns}
    gaps = sorted((name for name in shares if 0 < shares[name] < 1), key=lambda name: -shares[name])
    if not gaps:
        return Check(table.name, "missing", "ok", 0, "No value is missing.")
    told = ", ".join(f"{name} in {_share(shares[name])}" for name in gaps[:3])
    more = f", and {len(gaps) - 3} more columns in fewer" if len(gaps) > 3 else ""
    return Check(table.name, "missing", "note", shares[gaps[0]], f"Values are missing: {told} of rows{more}.")


def _ranges(table: Checked, found: Facts) -> list[Check]:
    checks, own = [], _own_ranges(table)
    for item in own:
        if count := int(found.get(item.words, 0)):
            told = f"{count:,} rows {item.words}."
            checks.append(Check(table.name, "ranges", item.result, count, told, item.mend))
    whole = [Check(table.name, "ranges", "ok", 0, f"{len(own)} ranges hold in every row.")]
    return checks or (whole if own else [])


def _repeats(table: Checked, found: Facts) -> Check:
    kept = table.kept
    hashed = kept.select(hash=ibis.struct({name: kept[name] for name in kept.columns}).hash())
    more = hashed.group_by("hash").having(hashed.count() > 1).aggregate(more=hashed.count() - 1)
    count = int(more.more.sum().execute() or 0)
    share = count / max(1, found["rows"])
    # of contacts and answers that carry days only, several a day are usual
    result = "warn" if share > EQUAL_ROWS and table.name == "transactions" else "note" if count else "ok"
    told = f"{count:,} rows ({_share(share)}) equal another row in every column; they stay in."
    mend = "two of one item in an order are two rows in many systems; if not here, map line_id, or export once more"
    return Check(table.name, "repeats", result, count, told, mend if count else "")


def _overlap(table: Checked) -> Check:
    files, rules = table.files, table.quarantined["rule"]
    count = int((rules == OVERLAP).sum())
    if files["first"].isna().any():
        told = f"{len(files)} files."
    else:
        spans = [f"{row.file} {row.first:%Y-%m-%d} to {row.last:%Y-%m-%d}" for row in files.itertuples()]
        told = f"{len(files)} files: {'; '.join(spans[:3])}{'; ...' if len(spans) > 3 else ''}."
    told += (
        f" {count:,} rows of one repeat a row of another and are set aside." if count else " No row repeats another's."
    )
    mend = "export files whose days do not meet" if count else ""
    return Check(table.name, "overlap", "note" if count else "ok", count, told, mend)


def _ids(table: Checked) -> Check:
    ids = table.kept.select(id=table.kept.customer_id).distinct()
    digits = ids.id.re_search(r"^[1-9]\d*$")
    sizes = (
        ids.filter(digits)
        .group_by(size=ids.filter(digits).id.length())
        .aggregate(n=ibis._.count(), top=ibis._.id.try_cast("float64").max())
    )
    counts = ids.aggregate(
        n=ids.count(),
        all_digits=digits.sum(),
        point=ids.id.re_search(r"^\d+\.0$").sum(),
        unseen=ids.id.re_search(UNSEEN).sum(),
    )
    n, all_digits, point, unseen = (int(value or 0) for value in counts.execute().iloc[0])
    if unseen:
        told = f"{unseen:,} of {n:,} customer ids hold a character that nobody sees, such as a blank without width."
        mend = "take it out: the same customer may stand without it, and would be two"
        return Check(table.name, "ids", "warn", unseen, told, mend)
    if point:
        told = f"{point:,} of {n:,} customer ids end in .0: a program took them for numbers."
        mend = "export ids as text; in other tables the same customers may stand without .0"
        return Check(table.name, "ids", "warn", point, told, mend)
    table_of = sizes.order_by("size").execute()
    if n >= 100 and all_digits == n and len(table_of) > 1:
        shares = table_of["n"] / n
        sparse = n < 0.1 * float(table_of["top"].max())
        # of codes with leading zeros a tenth begin with one; numbers counted from 1 fill their range instead
        if sparse and table_of["size"].max() >= 5 and 0.05 < 1 - shares.iloc[-1] < 0.2 and shares.iloc[-2] > 0.04:
            told = (
                f"{1 - shares.iloc[-1]:.0%} of customer ids are shorter than the rest, as if leading zeros were lost."
            )
            return Check(table.name, "ids", "note", 1 - shares.iloc[-1], told, "export ids as text")
    return Check(table.name, "ids", "ok", 0, f"{n:,} customer ids, written alike.")


def _concentration(table: Checked) -> Check:
    kept = table.kept
    sums = kept.group_by("customer_id").aggregate(sales=kept.amount.sum())
    largest = sums.order_by(ibis.desc("sales"), "customer_id").limit(1).execute()
    customers, total = sums.aggregate(n=sums.count(), total=sums.sales.sum()).execute().iloc[0]
    share = float(largest["sales"].iloc[0] / total) if len(largest) and total > 0 else 0.0
    told = f"The largest customer carries {_share(share)} of sales."
    if share <= max(TOP_CUSTOMER, 10 / max(1, customers)):
        return Check(table.name, "concentration", "ok", share, told)
    told += f" Its id begins with {str(largest['customer_id'].iloc[0])[:4]}."
    return Check(
        table.name, "concentration", "warn", share, told, "check whether it is a reseller, a till or a test account"
    )


def _returns(table: Checked) -> Check:
    kept = table.kept
    back = kept.filter(kept.amount < 0)
    rows, money = back.aggregate(n=back.count(), money=back.amount.sum()).execute().iloc[0]
    if not rows:
        return Check(table.name, "returns", "ok", 0, "No line has an amount below zero.")
    bought = kept.filter(kept.amount > 0).group_by("customer_id").aggregate(since=ibis._.ordered_at.min())
    matched = back.select("customer_id", "ordered_at").left_join(bought, "customer_id")
    # by day: a purchase and its return can stand in one order
    early = (matched.since.isnull() | (matched.ordered_at.date() < matched.since.date())).sum()
    count = int(matched.aggregate(n=early).execute().iloc[0, 0])
    told = f"{int(rows):,} lines ({_share(rows / table.rows_kept)}) are returns, {money:,.2f} in all; "
    told += f"{count:,} come before any purchase of their customer."
    mend = "the data begin after those purchases, or the sign is wrong" if count else ""
    return Check(table.name, "returns", "note", rows / table.rows_kept, told, mend)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.2%}" if share >= 0.0001 else "under 0.01%"

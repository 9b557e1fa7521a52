"""The audit: type every value, keep what passes, set aside what fails with rule and reason, count what is left out.

Rules run in the engine with file and row number, so that a row can be found again, and the rows read are always the
rows kept plus those quarantined, left out and forgotten.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import ibis
import pandas as pd

from segmentkit.analysis import audit_values
from segmentkit.analysis.audit_repeats import FATE, OVERLAP, PLACE, REASON, repeat_rules, repeats, with_repeats
from segmentkit.analysis.audit_rules import NO_CUSTOMER, Rule, typed_and_ruled
from segmentkit.contracts import TABLES, Column, Formats, RawTable
from segmentkit.errors import PrivacyStop

QUARANTINE_COLUMNS = ["file", "row_number", "rule", "column", "value", "mend"]
LEDGER_COLUMNS = ["outcome", "rows", "amount", "returns"]
LEFT_OUT, FORGOTTEN = -1, -2
ANALYSED, NOBODYS, OTHER = "analysed", "set aside: no customer", "set aside for another reason"
NO_AMOUNT, TWICE = "set aside: amount not readable", "set aside: read twice"


@dataclass(frozen=True)
class Checked:
    """One table after the audit.

    Attributes:
        name: the shared table's name.
        kept: rows that passed, typed, in the order of the files.
        quarantined: one row a failed row: ``file, row_number, rule, column, value, mend``.
        rows_read: data rows in the files, unreadable lines included.
        rows_kept: rows in ``kept``.
        attributes: attribute columns and the basis each belongs to.
        ledger: what became of the rows: ``outcome, rows, amount, returns``; money as decimals, and none where the table
            has no ``amount``. ``returns`` is the part of the amount that is below zero.
        items: the questions of a survey.
        files: ``file, rows, first, last`` of what passed, by file; times are missing where the table has none.
        removed: answers in own words from which an e-mail address or phone number was removed, by question.
        formats: how the source writes numbers and times.
    """

    name: str
    kept: ibis.Table
    quarantined: pd.DataFrame
    rows_read: int
    rows_kept: int
    attributes: dict[str, str]
    ledger: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=LEDGER_COLUMNS))
    items: tuple[Column, ...] = ()
    files: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["file", "rows", "first", "last"]))
    removed: dict[str, int] = field(default_factory=dict)
    formats: Formats = field(default_factory=Formats)

    @property
    def left_out(self) -> pd.DataFrame:
        """Rows that are no data here, by the source's own rules: ``reason, rows, amount``."""
        rows = self.ledger[self.ledger["outcome"].str.startswith("left out: ")]
        named = rows.assign(reason=rows["outcome"].str.removeprefix("left out: "))
        return named[["reason", "rows", "amount"]].reset_index(drop=True)

    @property
    def rows_forgotten(self) -> int:
        """Rows of customers who asked to be forgotten."""
        return int(self.ledger.loc[self.ledger["outcome"] == "forgotten", "rows"].sum())

    def money(self, outcome: str = "") -> float | None:
        """Sum of ``amount`` over the rows of one outcome, or of all rows; None where the table has no amounts."""
        rows = self.ledger[self.ledger["outcome"].str.startswith(outcome)]
        return None if self.ledger["amount"].isna().all() else float(sum(rows["amount"], Decimal(0)))


def check_table(
    name: str,
    raw: ibis.Table,
    unreadable: pd.DataFrame,
    formats: Formats,
    attributes: dict[str, str],
    rates: ibis.Table | None = None,
    items: Sequence[Column] = (),
    forgotten: Collection[str] = (),
) -> Checked:
    """Type and check one shared table.

    Args:
        name: a table of ``contracts.TABLES``.
        raw: ``row_number`` and the mapped columns, typed or text; ``file``, ``left_out`` and ``is_return`` where known.
        unreadable: lines the reader could not split, in the quarantine's columns.
        formats: how the source writes numbers and times.
        attributes: attribute columns and their basis.
        rates: ``currency, rate``: what one unit of another currency is worth in the source's own.
        items: the questions of a survey; an answer outside an item's levels sets the row aside.
        forgotten: customers whose rows are dropped before anything is looked at; only their number and money stay.

    Returns:
        Rows kept, quarantined, left out and forgotten; together they are the rows read. Money stands in the source's
        currency, and of a return below zero.

    Raises:
        PrivacyStop: customer ids, or another column that is kept, hold e-mail addresses or phone numbers with a +.
    """
    contract = TABLES[name]
    given = {"file": ibis.literal(""), "copy": ibis.literal(1)}
    raw = raw.mutate(**{name: value for name, value in given.items() if name not in raw.columns})
    raw = raw.mutate(copy=raw["copy"].cast("int64"))
    columns = [column for column in contract.columns if column.name in raw.columns]
    columns += [*(Column(attribute, "text") for attribute in attributes), *items]
    latest = formats.latest or date.today().isoformat()
    both, rules = typed_and_ruled(contract, raw, columns, replace(formats, latest=latest), rates)
    marked = _marked(both, columns, rules, forgotten)
    money = "amount" in {*contract.names} & {*raw.columns}
    tally = _tally(marked, columns, money=money)
    if len(again := repeats(contract, marked, tally)):
        marked = with_repeats(marked, again, len(rules))
        rules += repeat_rules(contract)
        tally = _tally(marked, columns, money=money)
    _stop_on_direct_identifiers(name, marked, tally)
    passed = tally[tally[FATE].isna()]
    spans = passed.groupby("file", sort=True).agg(rows=("rows", "sum"), first=("first", "min"), last=("last", "max"))
    fired = sorted({int(fate) for fate in tally[FATE].dropna() if fate >= 0})
    failed = _quarantine(marked, raw, rules, columns, fired) if fired else pd.DataFrame(columns=QUARANTINE_COLUMNS)
    own_words = [column.name for column in columns if column.kind == "open"]
    return Checked(
        name=name,
        kept=marked.filter(marked[FATE].isnull()).select(*(column.name for column in columns)),
        quarantined=pd.concat([failed, unreadable.reindex(columns=QUARANTINE_COLUMNS)], ignore_index=True)
        .fillna({"file": ""})
        .astype(dict.fromkeys(QUARANTINE_COLUMNS, "str") | {"row_number": "int64"}),
        rows_read=int(tally["rows"].sum()) + len(unreadable),
        rows_kept=int(passed["rows"].sum()),
        attributes=attributes,
        ledger=_ledger(tally, rules, len(unreadable)),
        items=tuple(items),
        files=spans.reset_index(),
        removed={column: int(passed[f"removed_{column}"].sum()) for column in own_words},
        formats=formats,
    )


def check_tables(raw: dict[str, RawTable], forgotten: Collection[str] = ()) -> dict[str, Checked]:
    """Check every table a source has; see ``check_table``. Exchange rates come first: the others need them."""
    checked: dict[str, Checked] = {}
    for name in sorted(raw, key=lambda name: name != "exchange_rates"):
        r, rates = raw[name], kept(checked, "exchange_rates")
        checked[name] = check_table(
            name, r.table, r.unreadable, r.formats, r.attributes, rates, r.items, forgotten=forgotten
        )
    return {name: checked[name] for name in raw}


def kept(checked: dict[str, Checked], name: str) -> ibis.Table | None:
    """The rows kept of a table; None where the source has no such table."""
    return checked[name].kept if name in checked else None


def exact_sum(amounts: Any) -> Any:
    """Sum as decimals: exact to the cent, and the same whatever order the engine adds in."""
    return amounts.cast("decimal(18, 4)").sum().cast("float64")


# --- what becomes of each row


def _marked(both: ibis.Table, columns: list[Column], rules: list[Rule], forgotten: Collection[str]) -> ibis.Table:
    """Typed rows in the order of the files, held by the engine; ``fate`` is the first rule that failed, or none."""
    fates = []
    if forgotten and any(column.name == "customer_id" for column in columns):
        fates.append((both.typed_customer_id.isin(sorted(forgotten)), FORGOTTEN))
    reason = both.left_out.cast("string").strip().nullif("") if "left_out" in both.columns else ibis.null("string")
    fates.append((reason.notnull(), LEFT_OUT))
    fates += [(rule.failed, number) for number, rule in enumerate(rules)]
    fate = ibis.cases(*fates, else_=ibis.null("int16")).cast("int16")
    named = {column.name: both[f"typed_{column.name}"] for column in columns}
    return both.select(*PLACE, **{FATE: fate, REASON: reason}, **named).order_by(PLACE).cache()


def _tally(marked: ibis.Table, columns: list[Column], *, money: bool) -> pd.DataFrame:
    """Rows, money, days and doubtful texts by fate and file, in one pass."""
    kinds = {column.name: column.kind for column in columns}
    facts: dict[str, Any] = {"rows": marked.count()}
    if money:
        exact = marked.amount.cast("decimal(18, 4)")
        facts |= {"amount": exact.sum(), "returns": (exact < 0).ifelse(exact, None).sum()}
        facts["unread"] = marked.amount.isnull().sum()
    times = [name for name, kind in kinds.items() if kind == "time"]
    facts["first"], facts["last"] = (marked[times[0]].min(), marked[times[0]].max()) if times else (ibis.null(),) * 2
    texts = [name for name, kind in kinds.items() if kind in {"text", "nominal"}]
    facts |= {f"at_{name}": (marked[name].contains("@") | marked[name].startswith("+")).sum() for name in texts}
    own_words = [name for name, kind in kinds.items() if kind == "open"]
    facts |= {f"removed_{name}": marked[name].contains(audit_values.REMOVED).sum() for name in own_words}
    return marked.group_by(FATE, REASON, "file").aggregate(**facts).order_by(FATE, REASON, "file").execute()


def _ledger(tally: pd.DataFrame, rules: list[Rule], unreadable: int) -> pd.DataFrame:
    """What became of the rows, with their money; rows of one outcome together."""
    money = "unread" in tally
    rows: list[tuple[Any, ...]] = [(outcome, 0, None, None) for outcome in (NOBODYS, OTHER, ANALYSED)]
    rows.append((NO_AMOUNT if money else OTHER, unreadable, None, None))
    for row in tally.to_dict("records"):
        outcome = _outcome(row, rules)
        blank = row["unread"] if money and outcome == OTHER else 0
        rows.append((outcome, row["rows"] - blank, row.get("amount"), row.get("returns")))
        rows.append((NO_AMOUNT, blank, None, None))
    table = pd.DataFrame(rows, columns=LEDGER_COLUMNS)
    for name in ("amount", "returns"):
        table[name] = [Decimal(0) if value is None or pd.isna(value) else value for value in table[name]]
    table = table.groupby("outcome", as_index=False).sum()
    table = table if money else table.assign(amount=None, returns=None)
    order = [NOBODYS, TWICE, NO_AMOUNT, OTHER, "forgotten", ANALYSED]
    table["place"] = [order.index(outcome) if outcome in order else -1 for outcome in table["outcome"]]
    table = table[(table["rows"] > 0) | table["outcome"].isin([NOBODYS, OTHER, ANALYSED])]
    return table.sort_values(["place", "outcome"], ignore_index=True)[LEDGER_COLUMNS]


def _outcome(row: dict[str, Any], rules: list[Rule]) -> str:
    if pd.isna(row[FATE]):
        return ANALYSED
    if row[FATE] == LEFT_OUT:
        return f"left out: {row[REASON]}"
    if row[FATE] == FORGOTTEN:
        return "forgotten"
    told = dict.fromkeys(NO_CUSTOMER, NOBODYS) | {OVERLAP: TWICE, "line_id appears more than once": TWICE}
    return told.get(rules[int(row[FATE])].name, OTHER)


# --- what is shown of them


def _quarantine(
    marked: ibis.Table, raw: ibis.Table, rules: list[Rule], columns: list[Column], fired: list[int]
) -> pd.DataFrame:
    """One row a failed row, its value masked as far as it could name somebody."""
    bad = marked.filter(marked[FATE] >= 0).select(*PLACE, FATE)
    # only the columns that are shown are read again
    needed = sorted({rules[number].column for number in fired} - {""})
    found = bad.join(raw.select(*PLACE, *needed), PLACE).order_by(PLACE).execute()
    kinds = {column.name: column.kind for column in columns}
    failed = [rules[number] for number in found[FATE]]
    values = [found[rule.column].iloc[i] if rule.column else None for i, rule in enumerate(failed)]
    told = [
        rule.mend if isinstance(rule.mend, str) else rule.mend(str(v)) for v, rule in zip(values, failed, strict=True)
    ]
    return found[["file", "row_number"]].assign(
        rule=[rule.name for rule in failed],
        column=[rule.column for rule in failed],
        value=[audit_values.masked(v, kinds.get(rule.column, "text")) for v, rule in zip(values, failed, strict=True)],
        mend=told,
    )


def _stop_on_direct_identifiers(name: str, marked: ibis.Table, tally: pd.DataFrame) -> None:
    """E-mail addresses and phone numbers with their + must not go on, as ids or in any other column that is kept."""
    passed = tally[tally[FATE].isna()]
    for column in (column.removeprefix("at_") for column in tally.columns if column.startswith("at_")):
        if not passed[f"at_{column}"].sum():
            continue
        text = marked.filter(marked[FATE].isnull())[column]
        direct = text.contains("@") if column == "customer_id" else text.re_search(audit_values.EMAIL)
        count = int((direct | text.re_search(audit_values.INTERNATIONAL)).sum().execute())
        if not count:
            continue
        holds = f"table {name}: {column} holds e-mail addresses or phone numbers == {count:,} rows"
        if column == "customer_id":
            raise PrivacyStop(
                f"{holds}; the kit analyses pseudonymous ids only; state the column as a key in the source (keys = "
                '{ email = "..." }), or replace them with ids that name nobody before you export'
            )
        raise PrivacyStop(
            f"{holds}; columns that are kept may name nobody; state it as a key in the source (keys = "
            '{ email = "..." }), or take the column out'
        )

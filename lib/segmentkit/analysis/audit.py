"""The audit: type every value, keep what passes, set aside what fails with rule and reason, find unit traps.

Rules run in the engine with a row number, so that a row can be found again in its file and the rows read are
always the rows kept plus the rows quarantined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pandas as pd

from segmentkit.contracts import ITEM_KINDS, TABLES, Column, Formats, RawTable, TableContract
from segmentkit.errors import PrivacyStop

EARLIEST_YEAR = 1990
LARGEST = 1e13
NO = ("no", "n", "false", "f", "0", "0.0", "nein", "non")
YES = ("yes", "y", "true", "t", "1", "1.0", "ja", "oui", "si", "sí")
QUARANTINE_COLUMNS = ["row_number", "rule", "column", "value", "mend"]


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(value: str, format: str) -> datetime:  # type: ignore[empty-body]
    ...


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp"), "timestamp('UTC')"))
def _as_zone(zone, value):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))
def _in_zone(zone, value):  # type: ignore[no-untyped-def]
    ...


@dataclass(frozen=True)
class Checked:
    """One table after the audit.

    Attributes:
        name: the shared table's name.
        kept: rows that passed, typed, in the order of the file.
        quarantined: one row a failed row: ``row_number, rule, column, value, mend``.
        rows_read: data rows in the file, unreadable lines included.
        rows_kept: rows in ``kept``.
        attributes: attribute columns and the basis each belongs to.
        money_read: sum of ``amount`` over every readable row, where the table has amounts.
        money_kept: the same over the rows kept.
        money_nobodys: the same over the rows set aside because they have no customer.
        items: the questions of a survey.
    """

    name: str
    kept: ibis.Table
    quarantined: pd.DataFrame
    rows_read: int
    rows_kept: int
    attributes: dict[str, str]
    money_read: float | None
    money_kept: float | None
    money_nobodys: float | None = None
    items: tuple[Column, ...] = ()


@dataclass(frozen=True)
class _Rule:
    name: str
    column: str
    failed: Any
    mend: str


def check_table(
    name: str,
    raw: ibis.Table,
    unreadable: pd.DataFrame,
    formats: Formats,
    attributes: dict[str, str],
    rates: ibis.Table | None = None,
    items: Sequence[Column] = (),
) -> Checked:
    """Type and check one shared table.

    Args:
        name: a table of ``contracts.TABLES``.
        raw: ``row_number`` and the mapped columns, typed or text.
        unreadable: lines the reader could not split, in the quarantine's columns.
        formats: how the source writes numbers and times.
        attributes: attribute columns and their basis.
        rates: ``currency, rate``: what one unit of another currency is worth in the source's own.
        items: the questions of a survey; an answer outside an item's levels sets the row aside.

    Returns:
        Rows kept and rows quarantined; together they are the rows read. Money stands in the source's currency.

    Raises:
        PrivacyStop: customer ids look like e-mail addresses.
    """
    contract = TABLES[name]
    columns = [column for column in contract.columns if column.name in raw.columns]
    columns += [*(Column(attribute, "text") for attribute in attributes), *items]
    both = raw.mutate(**{f"typed_{c.name}": _typed(raw[c.name], c, formats) for c in columns})
    own = set(contract.names) & set(raw.columns)
    foreign = "currency" in own and name != "exchange_rates"
    both = _in_one_currency(both, columns, formats, rates) if foreign else both
    rules = (_currency_rules(both, formats) if foreign else []) + _rules(contract, columns, both, formats)
    failed = ibis.cases(*((rule.failed, rule.name) for rule in rules), else_=ibis.null("string"))
    marked = both.select("row_number", failed_rule=failed, **{c.name: both[f"typed_{c.name}"] for c in columns}).cache()
    kept = marked.filter(marked.failed_rule.isnull()).order_by("row_number")
    bad = marked.filter(marked.failed_rule.notnull()).select("row_number", "failed_rule")
    bad = bad.join(raw, "row_number").order_by("row_number").execute()
    _stop_on_direct_identifiers(name, kept)
    sums = {}
    if money := "amount" in own:
        nobodys = marked.failed_rule == "customer_id is missing"
        sums = {
            "money_read": exact_sum(marked.amount),
            "money_kept": exact_sum(marked.failed_rule.isnull().ifelse(marked.amount, None)),
            "money_nobodys": exact_sum(nobodys.ifelse(marked.amount, None)),
        }
    kept_rows = marked.failed_rule.isnull().sum()
    counts = marked.aggregate(rows=marked.count(), kept=kept_rows, **sums).execute().fillna(0).iloc[0]
    return Checked(
        name=name,
        kept=kept.select(*(c.name for c in columns)),
        quarantined=pd.concat([_quarantine(bad, rules, columns), unreadable], ignore_index=True)[QUARANTINE_COLUMNS],
        rows_read=int(counts["rows"]) + len(unreadable),
        rows_kept=int(counts["kept"] or 0),
        attributes=attributes,
        money_read=float(counts["money_read"]) if money else None,
        money_kept=float(counts["money_kept"]) if money else None,
        money_nobodys=float(counts["money_nobodys"]) if money else None,
        items=tuple(items),
    )


def check_tables(raw: dict[str, RawTable]) -> dict[str, Checked]:
    """Check every table a source has; see ``check_table``. Exchange rates come first: the others need them."""
    rates = raw.get("exchange_rates")
    known = None if rates is None else check_table("exchange_rates", rates.table, rates.unreadable, rates.formats, {})
    return {
        name: known
        if known and name == "exchange_rates"
        else check_table(name, r.table, r.unreadable, r.formats, r.attributes, known.kept if known else None, r.items)
        for name, r in raw.items()
    }


def _in_one_currency(both: ibis.Table, columns: list[Column], formats: Formats, rates: ibis.Table | None) -> ibis.Table:
    """Every amount times what its currency is worth; missing where no rate is stated."""
    both = both.mutate(exchange=(both.typed_currency == formats.currency).ifelse(1.0, ibis.null("float64")))
    if rates is not None:
        stated = rates.select(foreign=rates.currency, stated=rates.rate)
        both = both.left_join(stated, both.typed_currency == stated.foreign)
        both = both.mutate(exchange=both.exchange.coalesce(both.stated)).drop("foreign", "stated")
    money = [column.name for column in columns if column.kind == "money"]
    return both.mutate(**{f"typed_{name}": both[f"typed_{name}"] * both.exchange for name in money})


def _currency_rules(both: ibis.Table, formats: Formats) -> list[_Rule]:
    mend = f"fill currency (the source's own is {formats.currency}), or add its rate to [exchange_rates]"
    return [
        _Rule("currency is missing", "currency", both.typed_currency.isnull(), mend),
        _Rule("currency has no exchange rate", "currency", both.exchange.isnull(), mend),
    ]


def kept(checked: dict[str, Checked], name: str) -> ibis.Table | None:
    """The rows kept of a table; None where the source has no such table."""
    return checked[name].kept if name in checked else None


def exact_sum(amounts: Any) -> Any:
    """Sum as decimals: exact to the cent, and the same whatever order the engine adds in."""
    return amounts.cast("decimal(18, 4)").sum().cast("float64")


def _typed(value: Any, column: Column, formats: Formats) -> Any:
    if column.kind in {"text", "nominal", "open"} or (column.kind == "ordinal" and column.levels):
        text = value.cast("string").strip().nullif("")
        return text.isin(column.levels).ifelse(text, None) if column.levels else text
    if column.kind == "binary":
        text = value.cast("string").strip().lower()
        no, yes = [[word.lower()] for word in column.levels] or (NO, YES)
        return ibis.cases((text.isin(no), 0.0), (text.isin(yes), 1.0))
    if column.kind == "flag":
        return value.try_cast("boolean")
    if column.kind == "time":
        return _local_time(value, formats)
    if value.type().is_string():
        value = value.strip()
        if formats.decimal == ",":
            # 5.5 is no number here: dropping its dot would make 55 of it
            is_number = value.re_search(r"^[+-]?(\d*|\d{1,3}(\.\d{3})+)(,\d+)?$")
            value = is_number.ifelse(value.replace(".", "").replace(",", "."), None)
    number = value.try_cast("float64")
    # NaN, infinity and what no ledger holds are not numbers here, and would stop the exact sums
    return (number.abs() < LARGEST).ifelse(number, None)


def _local_time(value: Any, formats: Formats) -> Any:
    if value.type().is_string() and formats.date_format:
        moment = _try_strptime(value.strip(), formats.date_format)
    else:
        moment = value.try_cast("timestamp")
    if formats.timestamps_in not in ("local", formats.time_zone):
        moment = _in_zone(formats.time_zone, _as_zone(formats.timestamps_in, moment))
    if value.type().is_string() and not formats.date_format:
        # a time that carries its own offset says more than the source; the plain cast would drop it
        stated = value.strip().re_search(r":\d\d(\.\d+)?\s*([+-]\d\d(:?\d\d)?|Z)$")
        moment = stated.ifelse(_in_zone(formats.time_zone, value.try_cast("timestamp('UTC')")), moment)
    return moment


def _rules(contract: TableContract, columns: list[Column], both: ibis.Table, formats: Formats) -> list[_Rule]:
    rules: list[_Rule] = []
    for column in columns:
        name, value, given = column.name, both[f"typed_{column.name}"], both[column.name]
        blank = given.isnull() | (given.strip() == "") if given.type().is_string() else given.isnull()
        if column.required:
            rules.append(_Rule(f"{name} is missing", name, blank, f"fill {name} in the file, or leave the row out"))
        if column.kind == "time":
            rules += _time_rules(name, value, blank, formats)
        elif column.kind in {"money", "number", "flag", "numeric"}:
            word = "true or false" if column.kind == "flag" else "a number"
            mend = f"mend the value, or state decimal in the source (it is {formats.decimal!r})"
            rules.append(_Rule(f"{name} is not {word}", name, value.isnull() & ~blank, mend))
        elif column.kind in ITEM_KINDS:
            rules += _item_rules(column, value, blank)
        elif name.endswith("_id") and given.type().is_string():
            rounded = given.re_search(r"^\d([.,]\d+)?[Ee]\+\d+$")
            rules.append(_Rule(f"{name} was rounded by a spreadsheet", name, rounded, "export ids as text"))
    if contract.name == "exchange_rates":
        mend = "state what one unit of it is worth in the source's own currency"
        rules.append(_Rule("rate is not above zero", "rate", both.typed_rate <= 0, mend))
    own = set(contract.names) & {column.name for column in columns}
    for name in sorted({"cost", "cost_per_contact", "fixed_cost"} & own):
        mend = "money spent is at least 0; write what was paid, without a minus"
        rules.append(_Rule(f"{name} is below zero", name, both[f"typed_{name}"] < 0, mend))
    if {"start", "end"} <= own:
        swapped = both.typed_end < both.typed_start
        rules.append(_Rule("end is before start", "end", swapped, "swap the two dates"))
    return rules + _key_rules(contract, both, rules)


def _item_rules(column: Column, value: Any, blank: Any) -> list[_Rule]:
    words = {"binary": "yes or no", "ordinal": "a whole number"}
    what = "one of its levels" if column.levels else words.get(column.kind, "")
    mend = f"mend the answer, or state the item's levels ({', '.join(column.levels) or 'none are stated'})"
    wrong = value.isnull() & ~blank
    if column.kind == "ordinal" and not column.levels:
        wrong = wrong | (value != value.floor())
    return [_Rule(f"{column.name} is not {what}", column.name, wrong, mend)] if what else []


def _time_rules(name: str, value: Any, blank: Any, formats: Formats) -> list[_Rule]:
    last = date.fromisoformat(formats.latest) if formats.latest else date.today()
    bound = datetime.combine(last, datetime.min.time()) + timedelta(days=1)
    how = f"it is {formats.date_format!r}" if formats.date_format else "none is stated; dates like 31.12.2025 need one"
    rules = [
        _Rule(f"{name} is not a date", name, value.isnull() & ~blank, f"mend the value, or date_format ({how})"),
        _Rule(
            f"{name} is a default date", name, value.year() < EARLIEST_YEAR, "find the true date, or leave the row out"
        ),
    ]
    if name in {"ordered_at", "acquired_at", "at"}:
        mend = "mend the date; if it is right, the source's extracted_on is too early"
        rules.append(_Rule(f"{name} is after the data were extracted", name, value >= ibis.literal(bound), mend))
    return rules


def _key_rules(contract: TableContract, both: ibis.Table, rules: list[_Rule]) -> list[_Rule]:
    if not contract.key or not set(contract.key) <= set(both.columns):
        return []
    group = ibis.window(group_by=[f"typed_{name}" for name in contract.key])
    words = " and ".join(contract.key)
    if contract.name == "transactions":
        # the same line twice is an overlap of two exports: the first that passes every other rule is right
        sound = ibis.cases(*((rule.failed, False) for rule in rules), else_=True)
        repeated = both.row_number > both.row_number.min(where=sound).over(group)
        mend = "nothing to do: the first line with this id was kept"
    else:
        # two rows that claim to be the same customer disagree, and nobody can tell which is right
        repeated = both.count().over(group) > 1
        mend = "keep the right row in the file and delete the others"
    known = both[f"typed_{contract.key[0]}"].notnull()
    return [_Rule(f"{words} appears more than once", contract.key[0], repeated & known, mend)]


def _quarantine(bad: pd.DataFrame, rules: list[_Rule], columns: list[Column]) -> pd.DataFrame:
    by_name = {rule.name: rule for rule in rules}
    kinds = {column.name: column.kind for column in columns}
    found = [by_name[name] for name in bad["failed_rule"]]
    values = [bad[rule.column].iloc[i] for i, rule in enumerate(found)]
    return pd.DataFrame(
        {
            "row_number": bad["row_number"].astype("int64"),
            "rule": bad["failed_rule"].astype("str"),
            "column": [rule.column for rule in found],
            "value": [_masked(value, kinds[rule.column]) for value, rule in zip(values, found, strict=True)],
            "mend": [rule.mend for rule in found],
        }
    )


def _masked(value: Any, kind: str) -> str:
    """Show what looks like a date or a number as it is; of anything else, its first two characters and length."""
    if value is None or pd.isna(value):
        return ""
    text = str(value)
    # a date or an amount has few letters; a name or an address that slipped into its column has more
    plain = kind != "text" and len(text) <= 40 and "@" not in text and sum(map(str.isalpha, text)) <= 3
    return text if plain or len(text) <= 2 else f"{text[:2]}… ({len(text)} characters)"


def _stop_on_direct_identifiers(name: str, kept: ibis.Table) -> None:
    if "customer_id" not in kept.columns:
        return
    if bool(kept.customer_id.contains("@").any().execute()):
        raise PrivacyStop(
            f"table {name}: customer_id holds e-mail addresses; the kit analyses pseudonymous ids only; "
            "replace them with ids that name nobody before you export"
        )

"""The rules a row must pass: every column read as its kind, and what fails is named with how to mend it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis

from segmentkit.analysis import audit_values
from segmentkit.contracts import ITEM_KINDS, Column, Formats, TableContract

EARLIEST_YEAR = 1990
NO_CUSTOMER = ("customer_id is missing", "customer_id is a word for none")
# what programs write where they know no id; 0 and -1 may be ids
NONE = (
    "-",
    "--",
    "?",
    "null",
    "none",
    "nil",
    "nan",
    "n/a",
    "#n/a",
    "<na>",
    "undefined",
    "unknown",
    "guest",
    "anonymous",
)


@dataclass(frozen=True)
class Rule:
    """What a row must not be: its name, the column it looks at, the rows it fails, and how to mend such a value."""

    name: str
    column: str
    failed: Any
    mend: str | Callable[[str], str]


def typed_and_ruled(
    contract: TableContract, raw: ibis.Table, columns: list[Column], formats: Formats, rates: ibis.Table | None
) -> tuple[ibis.Table, list[Rule]]:
    """Every column twice, as read and as ``typed_COLUMN``, and the rules a row must pass.

    Args:
        contract: the shared table.
        raw: as read.
        columns: its columns, attributes and items.
        formats: how the source writes numbers and times; ``latest`` is the last day that a row may have.
        rates: see ``audit.check_table``.
    """
    foreign = "currency" in {*contract.names} & {*raw.columns} and contract.name != "exchange_rates"
    values = {c.name: audit_values.typed(raw[c.name], c, formats, own_currency=not foreign) for c in columns}
    both = raw.mutate(**{f"typed_{name}": value for name, value in values.items()})
    rules = []
    if foreign:
        both = _in_one_currency(both, columns, formats, rates)
        rules = _currency_rules(both, formats)
    if "is_return" in raw.columns and "amount" in contract.names:
        back = both.is_return.fill_null(False)
        both = both.mutate(typed_amount=back.ifelse(-both.typed_amount.abs(), both.typed_amount))
    return both, rules + _rules(contract, columns, both, formats)


def _in_one_currency(both: ibis.Table, columns: list[Column], formats: Formats, rates: ibis.Table | None) -> ibis.Table:
    """Every amount times what its currency is worth; missing where no rate is stated."""
    both = both.mutate(exchange=(both.typed_currency == formats.currency).ifelse(1.0, ibis.null("float64")))
    if rates is not None:
        stated = rates.select(foreign=rates.currency, stated=rates.rate)
        both = both.left_join(stated, both.typed_currency == stated.foreign)
        both = both.mutate(exchange=both.exchange.coalesce(both.stated)).drop("foreign", "stated")
    money = [column.name for column in columns if column.kind == "money"]
    worth = {f"typed_{name}": both[f"typed_{name}"] * both.exchange for name in money}
    # what no ledger holds would stop the exact sums
    return both.mutate(
        **{name: (value.abs() < audit_values.LARGEST).ifelse(value, None) for name, value in worth.items()}
    )


def _currency_rules(both: ibis.Table, formats: Formats) -> list[Rule]:
    mend = f"fill currency (the source's own is {formats.currency}), or add its rate to [exchange_rates]"
    return [
        Rule("currency is missing", "currency", both.typed_currency.isnull(), mend),
        Rule("currency has no exchange rate", "currency", both.exchange.isnull(), mend),
    ]


def _rules(contract: TableContract, columns: list[Column], both: ibis.Table, formats: Formats) -> list[Rule]:
    rules: list[Rule] = []
    for column in columns:
        name, value, given = column.name, both[f"typed_{column.name}"], both[column.name]
        # whether a value is blank is asked only where none was read
        blank = (
            given.isnull() | (value.isnull() & (given.strip() == "")) if given.type().is_string() else given.isnull()
        )
        if name in {"customer_id", "order_id"}:
            mend = f"leave {name} empty where it is not known; all such rows would be one {name.removesuffix('_id')}"
            rules.append(Rule(f"{name} is a word for none", name, value.lower().isin(NONE), mend))
        if column.required:
            rules.append(Rule(f"{name} is missing", name, blank, f"fill {name} in the file, or leave the row out"))
        if column.kind == "time":
            rules += _time_rules(name, value, blank, formats)
        elif column.kind == "flag":
            rules.append(Rule(f"{name} is not true or false", name, value.isnull() & ~blank, "write true or false"))
        elif column.kind in {"money", "number", "numeric"}:
            advice = _advice(audit_values.mend_number, formats)
            rules.append(Rule(f"{name} is not a number", name, value.isnull() & ~blank, advice))
        elif column.kind in ITEM_KINDS:
            rules += _item_rules(column, value, blank)
        elif name.endswith("_id") and given.type().is_string():
            rounded = given.re_search(r"^\d([.,]\d+)?[Ee]\+\d+$")
            rules.append(Rule(f"{name} was rounded by a spreadsheet", name, rounded, "export ids as text"))
    if contract.name == "exchange_rates":
        mend = "state what one unit of it is worth in the source's own currency"
        rules.append(Rule("rate is not above zero", "rate", both.typed_rate <= 0, mend))
        own = (both.typed_currency == formats.currency) & (both.typed_rate != 1)
        mend = "one unit of the source's own currency is worth 1; leave the line out"
        rules.append(Rule("rate of the source's own currency is not 1", "rate", own, mend))
    if contract.name == "margins":
        mend = "a margin is a share of sales: 0.25 is a quarter"
        rules.append(Rule("margin_rate is above 1", "margin_rate", both.typed_margin_rate > 1, mend))
    own = set(contract.names) & {column.name for column in columns}
    for name in sorted({"cost", "cost_per_contact", "fixed_cost"} & own):
        mend = "money spent is at least 0; write what was paid, without a minus"
        rules.append(Rule(f"{name} is below zero", name, both[f"typed_{name}"] < 0, mend))
    for start, end in (("start", "end"), ("first_ordered_at", "last_ordered_at")):
        if {start, end} <= own:
            swapped = both[f"typed_{end}"] < both[f"typed_{start}"]
            rules.append(Rule(f"{end} is before {start}", end, swapped, "swap the two dates"))
    return rules


def _advice(mend: Callable[[str, Formats], str], formats: Formats) -> Callable[[str], str]:
    return lambda text: mend(text, formats)


def _item_rules(column: Column, value: Any, blank: Any) -> list[Rule]:
    words = {"binary": "yes or no", "ordinal": "a whole number"}
    what = "one of its levels" if column.levels else words.get(column.kind, "")
    mend = f"mend the answer, or state the item's levels ({', '.join(column.levels) or 'none are stated'})"
    wrong = value.isnull() & ~blank
    if column.kind == "ordinal" and not column.levels:
        wrong = wrong | (value != value.floor())
    return [Rule(f"{column.name} is not {what}", column.name, wrong, mend)] if what else []


def _time_rules(name: str, value: Any, blank: Any, formats: Formats) -> list[Rule]:
    bound = datetime.combine(date.fromisoformat(formats.latest), datetime.min.time()) + timedelta(days=1)
    mend = _advice(audit_values.mend_date, formats)
    rules = [
        Rule(f"{name} is not a date", name, value.isnull() & ~blank, mend),
        Rule(
            f"{name} is a default date",
            name,
            value.year() < EARLIEST_YEAR,
            _advice(audit_values.mend_default_date, formats),
        ),
    ]
    if name in {"ordered_at", "acquired_at", "at", "first_ordered_at", "last_ordered_at"}:
        mend_later = "mend the date; if it is right, the source's extracted_on is too early"
        late = value >= ibis.literal(bound)
        rules.append(Rule(f"{name} is after the data were extracted", name, late, mend_later))
    return rules

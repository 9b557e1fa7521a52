"""What the customer paid, and lines in general: a column, quantity times price, or a question; never a choice."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segmentkit.analysis.column_guess import Columns, Meaning
from segmentkit.analysis.value_kinds import MOST
from segmentkit.pseudonyms import masked

OPEN = "?"
CENTS = re.compile(r"(^|[^a-z])(cents?|pence|centimes?|centimos|rappen|minor)([^a-z]|$)", re.I)
Value = str | dict[str, str]


@dataclass(frozen=True)
class Choice:
    """One answer to an open line: what would be written, and what it means."""

    value: Any
    words: str


@dataclass(frozen=True)
class Line:
    """One line of a source: its key, its value (a header, an expression or a text) and why."""

    key: str
    value: Any
    reason: str = ""
    choices: tuple[Choice, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered yet."""
        return isinstance(self.value, str) and self.value == OPEN


def ask(key: str, stated: Mapping[str, Any], reason: str, *choices: Choice) -> Line:
    """A line that only the analyst can fill: as stated, or open with its choices."""
    return Line(key, stated[key], "as you stated") if key in stated else Line(key, OPEN, reason, choices)


def example(columns: Columns, header: str) -> str:
    """A value to know the column by, masked where it may name somebody."""
    values = columns.values[header]
    if not values.texts:
        return ""
    text = values.texts[0] if values.kind in ("number", "integer", "date") else masked(values.texts[0])
    return f", e.g. {text}"


def quoted(header: str) -> str:
    """A column's name in SQL."""
    return '"' + header.replace('"', '""') + '"'


def amount(columns: Columns, stated: Mapping[str, Any]) -> Line:
    """What the customer paid for the line: one column, quantity times price, or a question."""
    if "amount" in stated:
        return Line("amount", stated["amount"], "as you stated")
    candidates = [h for h, m in columns.meanings.items() if _may_be_paid(columns, m)]
    per_order = [h for h in candidates if _is_per_order(columns, h)]
    prices = columns.having("beside", "unit price")
    lines = [h for h in candidates if h not in per_order]
    quantity = columns.header("quantity")
    for header in lines:
        if prices and quantity and _is_product(columns, header, prices[0], quantity):
            return Line("amount", header, f"equals {quantity} times {prices[0]} in nearly all rows")
    choices = [Choice(h, f"the column {h}{example(columns, h)}{_sum_of(columns, h)}") for h in lines]
    if not lines and prices:
        discounts = [h for h in [columns.header("discount")] if h and not _is_per_order(columns, h)]
        choices = [_priced(columns, prices[0], quantity, "")]
        choices += [_priced(columns, prices[0], quantity, h) for h in discounts if _is_used(columns, h)]
    elif not lines:
        choices = [Choice(_once(columns, h), f"{h}, once an order (it repeats on every line)") for h in per_order]
    choices += [
        Choice({"expr": f"{_plain(columns, first)} - coalesce({_plain(columns, h)}, 0)"}, f"{first} less {h}")
        for h in columns.having("beside", "refund")
        for first in lines[:1]
        if _is_used(columns, h)
    ]
    choices += [
        Choice({"expr": f"{_plain(columns, h)} / 100"}, f"{h} counts cents: a hundredth of it")
        for h in lines
        if _may_be_cents(columns, h)
    ]
    if len(choices) == 1:
        why = f"{per_order[0]} repeats on every line of an order" if per_order else choices[0].words
        return Line("amount", choices[0].value, why)
    return Line("amount", OPEN, "what did the customer pay for this line?", tuple(choices))


def _may_be_paid(columns: Columns, meaning: Meaning) -> bool:
    if not columns.values[meaning.header].texts:
        return False
    fit = columns.scores[meaning.header]["amount"]
    # "total paid tax incl." tells more of a total than of a tax
    open_ = meaning.role == "unknown" or (meaning.role == "beside" and fit > meaning.score)
    return (fit >= 0.6 and open_) or meaning.what in ("transactions.amount", "net amount")


def _may_be_cents(columns: Columns, header: str) -> bool:
    """Whether the name says so, or whole amounts are large and end in any figure."""
    values = columns.values[header]
    large = values.kind == "integer" and values.figures.median() >= 1000 and (values.figures % 10 != 0).mean() > 0.5
    return bool(CENTS.search(header)) or bool(large)


def _grouped(columns: Columns) -> pd.DataFrame | None:
    """Rows of orders with several lines; None where there are hardly any."""
    order = columns.header("order_id")
    if not order:
        return None
    rows = columns.sample.replace("", None)
    rows = rows[rows[order].notna() & rows[order].duplicated(keep=False)]
    return rows if rows[order].nunique() >= 3 else None


def _is_per_order(columns: Columns, header: str) -> bool:
    """Whether a column repeats on, or stands on only one of, the lines of an order whose products differ."""
    rows, order = _grouped(columns), columns.header("order_id")
    if rows is None:
        return False
    distinct = rows.groupby(order)[[c for c in rows.columns if c != order]].nunique()
    lines = [columns.header("product_id"), columns.header("quantity"), *columns.having("beside", "unit price")]
    lines += columns.having("beside", "product name")
    varies = any((distinct[h] > 1).mean() > 0.3 for h in lines if h and h != header)
    return varies and bool((distinct[header] <= 1).mean() > 0.98)


def filled_down(columns: Columns, header: str) -> Value:
    """A column that stands on the first line of an order only is taken for all of its lines."""
    rows, order = _grouped(columns), columns.header("order_id")
    if rows is None or header == order or columns.values[header].filled > 0.98 or not _is_per_order(columns, header):
        return header
    once = rows[header].notna().groupby(rows[order]).sum()
    if (once == 1).mean() < MOST * (once > 0).mean():
        return header
    return {"expr": f"max({quoted(header)}) OVER (PARTITION BY {quoted(order)})"}


def _once(columns: Columns, header: str) -> Value:
    order = quoted(columns.header("order_id"))
    first = f"row_number = min(row_number) OVER (PARTITION BY {order})"
    return {"expr": f"CASE WHEN {first} THEN max({_plain(columns, header)}) OVER (PARTITION BY {order}) ELSE 0 END"}


def _figures(columns: Columns, header: str) -> pd.Series:
    texts = columns.sample[header].fillna("").astype("str").str.strip()
    point = "," if columns.values[header].decimal == "," else "."
    bare = texts.str.replace(rf"[^\d{point}-]", "", regex=True).str.replace(",", ".")
    return pd.to_numeric(bare, errors="coerce")


def _is_product(columns: Columns, total: str, price: str, quantity: str) -> bool:
    a, p, q = (_figures(columns, h) for h in (total, price, quantity))
    known = a.notna() & p.notna() & q.notna()
    return bool(known.sum() >= 10 and (q[known] > 1).any() and ((a - p * q).abs()[known] < 0.015).mean() >= MOST)


def _is_used(columns: Columns, header: str) -> bool:
    return bool((_figures(columns, header) != 0).mul(_figures(columns, header).notna()).any())


def _sum_of(columns: Columns, header: str) -> str:
    """Which other columns add up to this one, in words; empty if none do."""
    parts = [*columns.having("beside", "tax"), *columns.having("beside", "shipping")]
    for net in columns.having("beside", "net amount"):
        for together in ([net, *parts], *([net, part] for part in parts)):
            rest = (_figures(columns, header) - sum(_figures(columns, h).fillna(0) for h in together)).dropna()
            if net != header and len(rest) >= 5 and len(together) > 1 and (rest.abs() < 0.015).mean() >= MOST:
                return f", which is {' + '.join(together)}"
    return ""


def _plain(columns: Columns, header: str) -> str:
    """SQL for the number in a column, whatever signs it is dressed in."""
    name, values = quoted(header), columns.values[header]
    point = "," if values.decimal == "," else "."
    minus = f"regexp_replace({name}, '^\\((.*)\\)$|^(.*)-$', '-\\1\\2')"
    bare = f"regexp_replace({minus if values.dressed else name}, '[^0-9{point}-]', '', 'g')"
    dotted = f"replace({bare}, ',', '.')" if point == "," else bare
    return f"TRY_CAST({dotted} AS DOUBLE)"


def _priced(columns: Columns, price: str, quantity: str, discount: str) -> Choice:
    parts = [_plain(columns, h) for h in (quantity, price) if h]
    less = f" - coalesce({_plain(columns, discount)}, 0)" if discount else ""
    words = " times ".join(h for h in (quantity, price) if h) + (f" less {discount}" if discount else "")
    return Choice(price if len(parts) == 1 and not less else {"expr": " * ".join(parts) + less}, words)


def decimals(
    columns: Columns, numeric: list[str], lines: list[Line], stated: Mapping[str, Any]
) -> tuple[list[Line], list[Line]]:
    """The section's decimal sign, and numbers written otherwise as expressions."""
    signs = {h: columns.values[h].decimal for h in numeric}
    seen = set(signs.values()) - {"", OPEN}
    open_ = [h for h, sign in signs.items() if sign == OPEN]
    if open_ and len(seen) != 1:
        text = next((t for t in columns.values[open_[0]].texts if re.search("[.,]", t)), "")
        mark = "." if "." in text else ","
        read = {sign: text.replace(mark, "." if sign == mark else "") for sign in (".", ",")}
        choices = (Choice(sign, f"{text} is {read[sign]}") for sign in (".", ","))
        option = [ask("decimal", stated, f"{open_[0]}: {text} can be read in two ways", *choices)]
    else:
        comma = [h for h in numeric if signs[h] == ","]
        option = [Line("decimal", ",", f"{comma[0]} has decimal commas")] if comma else []
    sign = option[0].value if option else "."
    changed = []
    for line in lines:
        values = columns.values.get(line.value) if isinstance(line.value, str) else None
        other = (
            values is not None and line.value in numeric and (values.dressed or values.decimal not in ("", OPEN, sign))
        )
        changed.append(
            Line(line.key, {"expr": _plain(columns, line.value)}, line.reason, line.choices) if other else line
        )
    return option, changed

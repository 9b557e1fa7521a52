"""From what columns mean to the lines of a source: each with a short reason, open where money or dates are ambiguous.

An open line has the value ``?`` and its choices; an answer given under its key closes it. Nothing is chosen here that
the file leaves open.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segmentkit.analysis.column_dates import dates
from segmentkit.analysis.column_guess import Columns, Meaning
from segmentkit.analysis.column_money import OPEN, Choice, Line, amount, ask, decimals, example, filled_down, quoted
from segmentkit.analysis.column_words import FILLS
from segmentkit.analysis.value_kinds import CODES
from segmentkit.contracts import TABLES
from segmentkit.pseudonyms import masked

NO_SALE = re.compile(r"cancel|void|storn|annul|refund|declin|fail|draft|erstatt|rembours|devuel|charge.?back", re.I)
TOTAL = re.compile(r"\s*(grand total|total|sum|summe|gesamt|endsumme|somme|suma)\b", re.I)
PLAIN = {
    True: "yes y true t 1 ja oui si sí granted subscribed subscribe opted_in opted-in opt-in accepted",
    False: "no n false f 0 nein non unsubscribed never_subscribed denied opted_out opted-out opt-out none",
}
HIDDEN = ("identifier", "key", "sensitive")


@dataclass(frozen=True)
class Proposal:
    """What one file would fill.

    Attributes:
        table: the shared table it fills; empty where none fits.
        sections: lines by shared table, options first.
        facts: lines about the whole source that the file speaks of: ``currency``, ``identifiers``.
        meanings: of every column, in the order of the file.
        masked: ten rows for looking, without anything that names somebody.
        notes: what to know, in words.
    """

    table: str
    sections: dict[str, tuple[Line, ...]]
    facts: tuple[Line, ...]
    meanings: tuple[Meaning, ...]
    masked: pd.DataFrame
    notes: tuple[str, ...]


def propose(columns: Columns, stated: Mapping[str, Any]) -> Proposal:
    """The lines for one file.

    Args:
        columns: what its columns mean.
        stated: answers by key, such as ``date_format``, ``decimal``, ``currency``, ``amount``, ``customer_id``.
    """
    sections: dict[str, tuple[Line, ...]] = {}
    if columns.table:
        sections[columns.table] = _section(columns, stated)
        sections |= _consents(columns) if columns.table in ("customers", "transactions") else {}
    facts = [_currency(columns, stated), *_identifiers(columns)]
    meanings = tuple(columns.meanings.values())
    return Proposal(
        columns.table, sections, tuple(filter(None, facts)), meanings, masked_rows(columns), _notes(columns)
    )


def _section(columns: Columns, stated: Mapping[str, Any]) -> tuple[Line, ...]:
    """Options, then every shared column that is there or must be."""
    kinds = {column.name: column.kind for column in TABLES[columns.table].columns}
    headers = {column: columns.header(column) for column in FILLS[columns.table] if columns.header(column)}
    times = [header for column, header in headers.items() if kinds[column] == "time"]
    options, written = dates(columns, times, stated)
    lines = []
    for column, header in headers.items():
        rival = _rivals(columns, column, header)
        if column == "amount":
            continue
        if rival:
            choices = (Choice(h, f"the column {h}{example(columns, h)}") for h in [header, *rival])
            lines.append(ask(column, stated, f"{header} or {rival[0]}?", *choices))
        else:
            value = written.get(header) or filled_down(columns, header)
            low = column == "currency" and any(not text.isupper() for text in columns.values[header].counts)
            value = {"expr": f"upper(trim({quoted(header)}))"} if low else value
            lines.append(Line(column, value, columns.meanings[header].reason))
    if columns.table == "transactions":
        lines.append(amount(columns, stated))
    numeric = [h for c, h in headers.items() if kinds[c] in ("money", "number")]
    numeric += [str(line.value) for line in lines if line.key == "amount" and str(line.value) in columns.values]
    decimal, lines = decimals(columns, numeric, lines, stated)
    lines += _missing(columns, {line.key for line in lines}, stated)
    order = TABLES[columns.table].names
    lines.sort(key=lambda line: order.index(line.key))
    return (*decimal, *options, *_leave_out(columns, stated), *lines, *_tables(columns))


def _tables(columns: Columns) -> list[Line]:
    """Keys, attributes and items, each a small table of its own."""
    found = []
    direct = columns.values[columns.header("customer_id")].kind if columns.header("customer_id") else ""
    keys = {m.what: m.header for m in columns.meanings.values() if m.role == "key"}
    keys |= {direct: columns.header("customer_id")} if direct in ("email", "phone") else {}
    if keys:
        found.append(Line("keys", keys, "what joins this customer with other systems"))
    attributes = {h: columns.meanings[h].what for h in columns.having("attribute") if columns.values[h].texts}
    if columns.table == "customers" and attributes:
        found.append(Line("attributes", attributes, "each describes the customer on this basis"))
    if columns.table == "survey":
        found.append(Line("items", {h: _item_line(columns, h) for h in columns.having("item")}, "the questions"))
    return found


def _item_line(columns: Columns, header: str) -> Any:
    item, values = columns.meanings[header], columns.values[header]
    # a box that was ticked or left blank has one answer only, and nobody said what blank means
    kind = "nominal" if item.what == "binary" and values.kind != "flag" else item.what
    return {"kind": kind, "levels": list(item.levels)} if kind == "ordinal" and item.levels else kind


def _rivals(columns: Columns, column: str, header: str) -> list[str]:
    """Other columns that could as well be this id or this date."""
    words = {"customer_id": "customer_id", "ordered_at": "order_date"}.get(column)
    if not words or columns.scores[header][words] < 0.6:
        return []
    least = max(0.85, columns.scores[header][words] - 0.1)
    free = [
        h for h in columns.rivals(least, words) if h != header and columns.meanings[h].what not in ("email", "phone")
    ]
    # the same values under two names leave nothing open
    return [h for h in free if columns.values[h].texts and columns.values[h].texts != columns.values[header].texts]


def _leave_out(columns: Columns, stated: Mapping[str, Any]) -> list[Line]:
    """Rows that are no data: a row of totals; and rows of a status that is no sale, which is money, so it is asked."""
    totals = _totals(columns)
    for header in columns.having("beside", "order status") if columns.table == "transactions" else []:
        found = sorted(text for text in columns.values[header].counts if NO_SALE.search(text))
        if found and len(columns.values[header].counts) <= 20:
            listed = ", ".join("'" + text.replace("'", "''") + "'" for text in found)
            rule = {f"{header} is {' or '.join(found)}": f"{quoted(header)} IN ({listed})"}
            choices = (Choice(totals | rule, f"leave out {', '.join(found)}"), Choice(totals, "count every row"))
            return [ask("leave_out", stated, f"{header} says {', '.join(found)}: is that a sale?", *choices)]
    return [Line("leave_out", totals, "the file ends in its own sum")] if totals else []


def _totals(columns: Columns) -> dict[str, str]:
    """A row that says total and has none of the columns that a row must have."""
    must = [columns.header(c) for c in TABLES[columns.table].required if c != "amount" and columns.header(c)]
    bare = columns.sample[(columns.sample[must].fillna("") == "").all(axis=1)] if len(must) > 1 else columns.sample[:0]
    says = [bool(TOTAL.match(str(cell))) for row in bare.to_numpy() for cell in row]
    blank = " AND ".join(f"coalesce({quoted(header)}, '') = ''" for header in must)
    return {"row of totals": blank} if any(says) else {}


def _missing(columns: Columns, there: set[str], stated: Mapping[str, Any]) -> list[Line]:
    """Required columns that the file does not have: made where that is safe, asked otherwise."""
    lines = []
    for column in TABLES[columns.table].required:
        if column in there:
            continue
        if column == "order_id" and {"customer_id", "ordered_at"} <= there:
            made = " || ' ' || ".join(quoted(columns.header(c)) for c in ("customer_id", "ordered_at"))
            why = "no order number: a customer's rows of one moment are one order"
            lines.append(Line(column, {"expr": made}, why))
        elif column == "origin":
            lines.append(Line(column, {"expr": "'this file'"}, "name the invoice or the report it comes from"))
        elif columns.table == "survey" and column == "customer_id":
            lines.append(Line(column, {"expr": "'row ' || row_number"}, "no id: every row is somebody else"))
        else:
            choices = (Choice(h, f"the column {h}{example(columns, h)}") for h in columns.nameless(column))
            lines.append(ask(column, stated, f"no column is called like {column}", *choices))
    return lines


def _consents(columns: Columns) -> dict[str, tuple[Line, ...]]:
    """Consent where a column names the channel and the purpose, and its answers are plain."""
    customer = columns.header("customer_id")
    for header in columns.having("beside", "granted"):
        low = header.lower()
        channel = next((c for c, w in (("email", r"e-?mail|newsletter"), ("sms", "sms")) if re.search(w, low)), "")
        words = {text.lower() for text in columns.values[header].counts}
        granted, denied = PLAIN[True].split(), PLAIN[False].split()
        fine = words and {w.replace(" ", "_") for w in words} <= {*granted, *denied}
        if customer and channel and fine and re.search("market|newsletter", low):
            yes = ", ".join(f"'{w}'" for w in sorted(words) if w.replace(" ", "_") in granted) or "'yes'"
            return {
                "consents": (
                    Line("customer_id", filled_down(columns, customer), "as above"),
                    Line("channel", {"expr": f"'{channel}'"}, f"{header} names it"),
                    Line("purpose", {"expr": "'marketing'"}, f"{header} names it"),
                    Line(
                        "granted", {"expr": f"lower(trim({quoted(header)})) IN ({yes})"}, "anything else is a refusal"
                    ),
                )
            }
    return {}


def _currency(columns: Columns, stated: Mapping[str, Any]) -> Line | None:
    """The currency that the file states: a column of codes, signs at the amounts, a code in a header."""
    money = [h for h in columns.values if columns.scores[h]["amount"] >= 0.5 or columns.scores[h]["cost"] >= 0.5]
    header = columns.header("currency")
    found = {text.upper() for text in columns.values[header].counts} if header else set()
    found |= set() if found else {code for h in money for code in columns.values[h].currencies}
    found |= (
        set() if found else {code for h in columns.values for code in CODES.split("|") if re.search(rf"\b{code}\b", h)}
    )
    if not found or "currency" in stated:
        return None
    if len(found) == 1 and OPEN not in found:
        return Line("currency", found.pop(), f"the only one in {header or 'the file'}")
    choices = (Choice(code, f"amounts in {code}") for code in sorted(found - {OPEN}))
    more = "; the others need rates in [exchange_rates]" if header else "; its sign is not of one currency only"
    return Line(
        "currency", OPEN, f"the file has {', '.join(sorted(found)).replace(OPEN, 'a sign')}{more}", tuple(choices)
    )


def _identifiers(columns: Columns) -> list[Line]:
    """Whether the ids name people."""
    header = columns.header("customer_id")
    values = columns.values.get(header)
    if not values:
        return []
    names = values.kind == "text" and values.people >= 0.5
    if values.kind in ("email", "phone") or names:
        return [Line("identifiers", "direct", f"{header} holds {'names' if names else values.kind + 's'}")]
    return [Line("identifiers", "pseudonymous", f"{header} holds no e-mails, phones or full names")]


def _notes(columns: Columns) -> tuple[str, ...]:
    found = []
    for header in columns.having("beside", "granted") + columns.having("beside", "refused"):
        if not _consents(columns):
            found.append(f"{header} tells of consent; state channel and purpose in [consents] before files leave")
    taxes = columns.having("beside", "tax")
    if taxes and columns.table == "transactions":
        found.append(
            f"{taxes[0]} is not read: whether the amount holds taxes is yours to know and the same in all files"
        )
    return tuple(found)


def masked_rows(columns: Columns, rows: int = 10) -> pd.DataFrame:
    """The first rows; what names somebody, may hold names, or looks like an address, masked."""
    shown = columns.sample.head(rows).fillna("").astype("str")
    for header, meaning in columns.meanings.items():
        values = columns.values[header]
        free = values.kind == "text" and values.distinct > 0.5
        if meaning.role in HIDDEN or free or meaning.what.endswith(("customer_id", "name")):
            shown[header] = shown[header].map(masked)
    personal = re.compile(r"\S@\S|\+?\d[\d ()/-]{7,}\d")
    plain = {h for h, v in columns.values.items() if v.kind in ("date", "number")}
    for header in set(shown.columns) - plain:
        shown[header] = [text if not personal.search(text) or "…" in text else masked(text) for text in shown[header]]
    return shown

"""What a source's TOML may hold: every key known, every value of the right shape, and said where it is not."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from segmentkit.contracts import ADDRESSES, ITEM_KINDS, TABLES, Column
from segmentkit.errors import ParameterError

REQUIRED = {
    "currency": "the one currency of every amount, e.g. EUR",
    "time_zone": "the zone of the business's days and hours, e.g. Europe/Berlin",
    "identifiers": "'pseudonymous' (ids that name nobody) or 'direct' (e-mails, names, phone numbers)",
    "analysis_basis": "why these customers may be analysed, e.g. legitimate interest",
}
OPTIONAL = ("name", "note", "extracted_on", "panel", "country", "key", "control_total", "control_origin")
BASES = ("demographic", "geographic", "psychographic", "behavioural")
TEXT_READING = ("delimiter", "encoding", "decimal", "date_format", "timestamps_in")
FILE_READING = ("header_rows", "join_header_rows", "skip_rows", "footer", "sheet", "number_duplicates")
READING = (*TEXT_READING, *FILE_READING)
IDENTITY = ("system", "keys", "leave_out", "returns", "rows")
TABLE_OPTIONS = ("path", "format", "lookup", "attributes", "items", *IDENTITY, *READING)
DATE_FORMAT = re.compile(r"([^%]|%-?[aAbBcdDfgGHIjmMnpSTuUVwWxXyYzZ%])*")
# columns that every table gets while it is read and audited
TAKEN = ("row_number", "file", "copy", "part", "own_id", "twice", "system", "left_out", "is_return", "repeats")
SYSTEM = re.compile(r"[a-z][a-z0-9_]*")


def known(word: str, allowed: Iterable[str], where: str) -> None:
    """Refuse a word that is not among the allowed ones, with the nearest spelling.

    Raises:
        ParameterError: it is not.
    """
    allowed = list(allowed)
    if word not in allowed:
        near = difflib.get_close_matches(str(word), allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "allowed: " + ", ".join(allowed)
        raise ParameterError(f"{where} {word!r} is unknown; {hint}")


def check_facts(path: Path, facts: Mapping[str, str]) -> None:
    """What a source says of itself as a whole.

    Raises:
        ParameterError: a key is unknown or missing, or a value cannot be.
    """
    for key in facts:
        known(key, [*REQUIRED, *OPTIONAL], f"{path}: key")
    for key, meaning in REQUIRED.items():
        if not facts.get(key, "").strip():
            raise ParameterError(f"{path}: {key} is not stated; add {key} = ... ({meaning})")
    for key in ("name", "note", "analysis_basis"):
        if re.search(r"\S@\S+\.\w", facts.get(key, "")):
            raise ParameterError(f"{path}: {key} holds an e-mail address; it would stand in every report; take it out")
    if facts["identifiers"] not in {"pseudonymous", "direct"}:
        raise ParameterError(f"{path}: identifiers == {facts['identifiers']!r}; it must be {REQUIRED['identifiers']}")
    if facts.get("extracted_on"):
        try:
            # a day ahead of this machine's clock is today somewhere
            fine = date.fromisoformat(facts["extracted_on"]) <= date.today() + timedelta(days=1)
        except ValueError:
            fine = False
        if not fine:
            raise ParameterError(
                f"{path}: extracted_on == {facts['extracted_on']!r}; write the day of the export as YYYY-MM-DD; "
                "it cannot be a day to come"
            )
    shapes = {
        "currency": (r"[A-Z]{3}", "one code of three capital letters, e.g. EUR"),
        "panel": ("(?i)true|false", "true or false"),
        "country": (r"[A-Z]{2}", "the country of national phone numbers in two letters, e.g. DE"),
        "key": (r"[0-9a-f]{8}", "the fingerprint that `segmentkit key show` prints, eight characters"),
        "control_total": (r"-?\d+(\.\d+)?", "the ledger's sum as a number with a dot, e.g. 10250.75"),
    }
    for key, (pattern, meaning) in shapes.items():
        if facts.get(key) and not re.fullmatch(pattern, facts[key]):
            raise ParameterError(f"{path}: {key} == {facts[key]!r}; it must be {meaning}")
    if facts.get("control_total") and not facts.get("control_origin"):
        raise ParameterError(f"{path}: control_total has no origin; add control_origin = ... (whose figure it is)")
    _check_zone(path, facts["time_zone"])


def check_rules(path: Path, rules: Any) -> dict[str, str]:
    """Segments by rule, in the order in which they are written.

    Raises:
        ParameterError: the section has another shape, or takes a word of the kit's own.
    """
    taken = {"new", "gone", "no rule fits"} & set(rules if isinstance(rules, dict) else ())
    if taken:
        raise ParameterError(f"{path}: [rules] has {', '.join(sorted(taken))}, a word of the kit's own; rename it")
    fine = isinstance(rules, dict) and all(isinstance(one, str) and one.strip() for one in rules.values())
    if not fine:
        raise ParameterError(f'{path}: [rules] == {rules!r}; write a line a rule, "Name" = "recency_days <= 7"')
    return dict(rules)


def _check_zone(path: Path, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ParameterError(f"{path}: time zone {zone!r} is unknown; write e.g. Europe/Berlin") from None


def check_section(path: Path, table: str, section: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, Any]:
    """One section of one table; what is no option is a column.

    Returns:
        The columns it maps.

    Raises:
        ParameterError: a key is unknown, a value has the wrong shape, or a required column is not mapped.
    """
    contract, where = ADDRESSES if table == ADDRESSES.name else TABLES[table], f"{path}: [{table}]"
    columns = {key: value for key, value in section.items() if key not in TABLE_OPTIONS}
    _check_shapes(where, section, columns)
    for column in columns:
        known(column, [*contract.names, *TABLE_OPTIONS], f"{where} column")
    # who it is may be said by keys alone
    told = {*columns, *(["customer_id"] if section.get("keys") else [])}
    missing = [name for name in contract.required if name not in told]
    if missing:
        raise ParameterError(f"{where} does not say which column is {missing[0]}; add {missing[0]} = ...")
    has_dots = re.search(r"\.(jsonl?|ndjson|sqlite3?)(\.|::|$)|^postgresql:", section["path"])
    if section.get("decimal") == "," and has_dots:
        raise ParameterError(f"{where} decimal == ','; numbers of JSON and databases have a dot; take decimal out")
    if section.get("timestamps_in", "local") != "local":
        _check_zone(path, section["timestamps_in"])
    items = section.get("items", {})
    if (table == "survey") != bool(items) or not isinstance(items, dict):
        raise ParameterError(f'{where} items == {items!r}; a survey needs [survey.items], q1 = "ordinal"')
    return columns


def _check_shapes(where: str, section: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    lookups = section.get("lookup", [])
    lookups = lookups if isinstance(lookups, list) else [lookups]
    date_format = section.get("date_format", "%Y")
    keys, leave_out = section.get("keys", {}), section.get("leave_out", {})
    fine = {
        "path": (isinstance(section["path"], str), '"file.csv"'),
        "lookup": (
            all(isinstance(one, dict) and {"path", "on"} == set(one) for one in lookups),
            '{ path = "file.csv", on = "column" }',
        ),
        "attributes": (
            isinstance(section.get("attributes", {}), dict)
            and all(
                isinstance(one, str) or {"basis"} <= set(one) <= {"basis", "column", "allowed"}
                for one in section.get("attributes", {}).values()
                if isinstance(one, str | dict)
            ),
            '{ age = "demographic" }',
        ),
        "header_rows": (_is_whole(section.get("header_rows", 1), 1), "2"),
        "skip_rows": (_is_whole(section.get("skip_rows", 0), 0), "2"),
        "footer": (isinstance(section.get("footer", True), bool | str), 'true or "Total"'),
        "decimal": (section.get("decimal", ".") in (".", ","), '"." or ","'),
        "date_format": ("%" in str(date_format) and bool(DATE_FORMAT.fullmatch(str(date_format))), '"%d.%m.%Y"'),
        "system": (bool(SYSTEM.fullmatch(str(section.get("system", "a")))), '"shop": small letters, digits, _'),
        "keys": (
            isinstance(keys, dict) and all(SYSTEM.fullmatch(kind) and _is_column(one) for kind, one in keys.items()),
            '{ email = "Email" }',
        ),
        "leave_out": (
            isinstance(leave_out, dict) and all(isinstance(one, str) for one in leave_out.values()),
            '{ "order was voided" = "status = \'voided\'" }',
        ),
        "returns": (isinstance(section.get("returns", ""), str), "\"kind = 'refund'\""),
    }
    for name, value in columns.items():
        fine[name] = (_is_column(value), '"the column\'s name" or { expr = "..." }')
    for key, (is_fine, example) in fine.items():
        if not is_fine:
            raise ParameterError(f"{where} {key} == {section[key]!r}; write {key} = {example}")


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_column(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and list(value) == ["expr"])


def free_name(where: str, name: str, table: str) -> None:
    """Refuse an attribute or item under a name that stands for something else; the engine looks at no capitals.

    Raises:
        ParameterError: the name is taken.
    """
    if name.lower() in (*TAKEN, *TABLES[table].names) or name.lower().startswith(("__", "key_", "typed_")):
        raise ParameterError(
            f"{where}: this name is a column of every {table} table; give it another name, and its own as "
            f'column = "{name}"'
        )


def read_item(where: str, name: str, value: Any) -> tuple[Column, str]:
    """One question of a survey: its kind and levels, and its column in the file.

    Raises:
        ParameterError: the kind is unknown, or levels are stated wrongly.
    """
    stated = {"kind": value} if isinstance(value, str) else value
    if not isinstance(stated, dict) or not {"kind"} <= set(stated) <= {"kind", "levels", "column", "allowed"}:
        raise ParameterError(
            f'{where} == {value!r}; write {name} = "ordinal", or {{ kind = "ordinal", levels = [...] }}'
        )
    known(stated["kind"], ITEM_KINDS, f"{where}: kind")
    free_name(where, name, "survey")
    levels = tuple(map(str, stated.get("levels", ())))
    few = len(levels) < 2 or len(set(levels)) < len(levels) or (stated["kind"] == "binary" and len(levels) > 2)
    if "levels" in stated and (few or stated["kind"] in {"numeric", "open"}):
        raise ParameterError(f"{where}: levels == {list(levels)}; state each once, at least two (no, yes for binary)")
    return Column(name, stated["kind"], levels=levels), stated.get("column", name)

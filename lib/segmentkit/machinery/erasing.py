"""Taking one customer's rows out of the files of a run; every file is whole at every moment.

What a manifest notes of a file is written just before the file takes its place: a process that ends between the two
leaves rows that a second call finds and takes out, and the notes are right again.
"""

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentkit.machinery.files import read_json, replacing, sha256, write_json, write_text
from segmentkit.machinery.manifest import Manifest
from segmentkit.machinery.output_scan import texts

BY_LINES = {".csv", ".log", ".jsonl"}
PICTURES = {".png"}


@dataclass(frozen=True)
class Person:
    """What one customer is called in one run.

    Attributes:
        ids: by the name of a column in small letters, values that stand for the customer there.
        marks: texts that name the customer wherever they stand: keyed ids, e-mail, phone, and hashes of them.
        together: texts that name the customer where all of them stand in one row.
    """

    ids: dict[str, frozenset[str]]
    marks: frozenset[str]
    together: frozenset[str] = frozenset()

    def has(self, columns: list[str], cells: list[str]) -> bool:
        """Whether a row is the customer's."""
        bare = [cell.removeprefix("'").strip() for cell in cells]
        own = any(cell in self.ids.get(column, ()) for column, cell in zip(columns, bare, strict=False))
        lowered = {cell.lower() for cell in bare}
        return own or bool(lowered & self.marks) or (bool(self.together) and self.together <= lowered)

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """Finds the customer in running text; ids too common to be told from other numbers are left out."""
        telling = {one for ids in self.ids.values() for one in ids if len(one) >= 6 and not one.isdigit()}
        words = sorted(map(re.escape, telling | self.marks))
        return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None


@dataclass(frozen=True)
class Trace:
    """Rows or lines of the customer in one file; none where the file only mentions the customer and stays."""

    path: Path
    rows: int


def traces(folder: Path, person: Person) -> list[Trace]:
    """Where a run holds the customer; nothing is changed."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.suffix in PICTURES:
            continue
        if path.suffix == ".parquet":
            rows = sum(int(mask.sum()) for _, mask in _batches(path, person))
        elif path.suffix in BY_LINES:
            rows = len(_records(path)) - len(_others(path, person))
        else:
            rows = 0
        if rows or (path.suffix not in {".parquet", *BY_LINES} and _mentions(path, person)):
            found.append(Trace(path, rows))
    return found


def erase(folder: Path, found: Sequence[Trace], person: Person) -> None:
    """Write each file that holds rows of the customer anew without them, and what the manifests say of it."""
    for trace in found:
        if trace.rows and trace.path.suffix == ".parquet":
            _rewrite_table(folder, trace.path, person)
        elif trace.rows:
            _rewrite_lines(trace.path, _others(trace.path, person))


def _mentions(path: Path, person: Person) -> bool:
    pattern = person.pattern
    return pattern is not None and any(pattern.search(text) for _, text in texts(path))


def _records(path: Path) -> list[bytes]:
    """Lines as they stand; of a CSV those of one quoted cell are kept together."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+", path.read_bytes())
    if path.suffix != ".csv":
        return lines
    records, open_cell = [b""], False
    for line in lines:
        records.append(records.pop() + line if open_cell else line)
        open_cell = records[-1].count(b'"') % 2 == 1
    return [record for record in records if record]


def _others(path: Path, person: Person) -> list[bytes]:
    """Rows of a CSV, or lines of a log, that are not the customer's."""
    records = _records(path)
    if path.suffix == ".csv":
        columns = [name.strip().lower() for name in _cells(records[0])] if records else []
        return records[:1] + [one for one in records[1:] if not person.has(columns, _cells(one))]
    pattern = person.pattern
    return [one for one in records if not (pattern and pattern.search(one.decode(errors="replace")))]


def _cells(record: bytes) -> list[str]:
    return next(csv.reader([record.decode("utf-8-sig", errors="replace")]), [])


def _batches(path: Path, person: Person) -> Iterator[tuple[Any, Any]]:
    """A table's rows in batches, each with a mask of the customer's."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            mask = np.zeros(batch.num_rows, dtype=bool)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                wanted = sorted(person.ids.get(name.lower(), frozenset()) | person.marks)
                if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                    mask |= pc.is_in(column.cast(pa.large_string()), pa.array(wanted, pa.large_string())).to_numpy(
                        False
                    )
            yield batch, mask


def _rewrite_table(folder: Path, path: Path, person: Person) -> None:
    import pyarrow.parquet as pq

    from segmentkit.machinery.runs import describe_parquet

    schema = pq.read_schema(path)
    with replacing(path) as temporary:
        with pq.ParquetWriter(temporary, schema) as writer:
            for batch, mask in _batches(path, person):
                writer.write_batch(batch.filter(~mask))
        if path.parent == folder / "tables":
            _note_table(folder, path.stem, describe_parquet(temporary))


def _note_table(folder: Path, table: str, entry: dict[str, Any]) -> None:
    """Later stages accept a table only by its hash, as a result and as an input."""
    content = Manifest(folder).read()
    for stage in content.get("stages", {}).values():
        for group in ("inputs", "outputs"):
            if table in stage.get(group, {}):
                stage[group][table] = entry
    Manifest(folder).update(**content)


def _rewrite_lines(path: Path, lines: list[bytes]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(lines))
        if path.suffix == ".csv":
            _note_export(path, lines)


def _note_export(path: Path, lines: list[bytes]) -> None:
    """Rows, bytes and hash in the campaign's manifest, and in the README beside the file."""
    campaign = next((folder for folder in path.parents if (folder / "manifest.json").is_file()), path.parent)
    noted = read_json(campaign / "manifest.json")
    entries = {one["file"]: one for one in noted.get("files", [])}
    if (entry := entries.get(path.relative_to(campaign).as_posix())) is None:
        return
    content, told, readme = (
        b"".join(lines),
        f"`{path.name}`: {{rows:,}} rows, {{bytes:,}} bytes",
        path.parent / "README.md",
    )
    before = told.format(**entry)
    entry |= {"rows": len(lines) - 1, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if readme.is_file() and (guide := entries.get(readme.relative_to(campaign).as_posix())):
        write_text(readme, readme.read_text(encoding="utf-8").replace(before, told.format(**entry)))
        guide |= {"bytes": readme.stat().st_size, "sha256": sha256(readme)}
    write_json(campaign / "manifest.json", noted)

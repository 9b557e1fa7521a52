"""Files that leave: a campaign's folder written whole or not at all, with a README a platform and a manifest.

Nothing of the address book goes anywhere but into the files themselves: plans and manifests hold counts and hashes,
samples are masked.
"""

import csv
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pandas as pd

from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.files import replacing, write_json

CAMPAIGN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # without it spreadsheets take UTF-8 for the machine's old encoding


@dataclass(frozen=True)
class Plan:
    """What is, or would be, written.

    Attributes:
        folder: of the campaign.
        table: ``file, rows, bytes, sha256``; the last two are missing where nothing was written.
        samples: by file, its first ten rows with everything personal masked.
        written: whether files were written; otherwise this was a dry run.
    """

    folder: Path
    table: pd.DataFrame
    samples: Mapping[str, pd.DataFrame] = field(repr=False)
    written: bool

    @property
    def sentence(self) -> str:
        """What was written, or would be."""
        own = self.table[~self.table["file"].str.startswith("hold_out/")]
        rows = int(own["rows"].sum())
        if own.empty:
            return "No file: nobody passes the gates; the funnel says at which they stop."
        if not self.written:
            return f"Dry run: {len(own):,} files with {rows:,} rows would be written; nothing was."
        place = "/".join(self.folder.parts[-2:])
        return (
            f"{len(own):,} files with {rows:,} rows, {own['bytes'].sum():,} bytes, and the hold-out apart, in {place}."
        )


def write(
    run_folder: Path,
    campaign_id: str,
    files: Sequence[Any],
    assignments: pd.DataFrame,
    *,
    start: date,
    end: date,
    facts: Mapping[str, Any],
    dry_run: bool,
) -> Plan:
    """Write a campaign's files into ``exports`` of a run, in place of those written for it before.

    Args:
        run_folder: of the run.
        campaign_id: names the folder.
        files: each with ``platform, name, table, notes, for_people, most_bytes, open_columns, guide``.
        assignments: the shared table, with the rows of everybody held back.
        start: first day of the campaign.
        end: last day.
        facts: plain values for the manifest: run id, date, purpose, counts left out by reason, assumptions.
        dry_run: only say what would be written.

    Raises:
        ParameterError: the campaign's name cannot be a folder, it ends before it starts, or its files were written
            before from another draw.
        DataError: two files of one name, assignments of another campaign, or nothing to write.
    """
    if not CAMPAIGN.fullmatch(campaign_id) or end < start:
        raise ParameterError(
            f"campaign == {campaign_id!r}, {start} to {end}; the name takes letters, digits, dot, dash and underscore, "
            "at most 64, and it ends no earlier than it starts; mend it"
        )
    named = {f"{one.platform}/{one.name}": one for one in files}
    if len({name.casefold() for name in named}) < len(files) or set(assignments["campaign_id"]) - {campaign_id}:
        raise DataError(
            f"files == {len(files)}, names == {len(named)}, campaigns of assignments == "
            f"{sorted(set(assignments['campaign_id']))}; each file needs a name of its own, and all belong to "
            f"{campaign_id!r}"
        )
    if not files and not dry_run:
        raise DataError("files == 0; there is nothing to write; the funnel says why, a dry run shows it")
    folder = run_folder / "exports" / campaign_id
    samples = {name: masked(one) for name, one in named.items()}
    if dry_run:
        rows = [(name, len(one.table)) for name, one in named.items()]
        return Plan(
            folder, pd.DataFrame(rows, columns=["file", "rows"]).assign(bytes=None, sha256=None), samples, False
        )
    _same_draw(folder, assignments)
    with _replacing_folder(folder) as new:
        written = [entry for name, one in named.items() for entry in _write_file(new, name, one)]
        written += _hold_out(new, campaign_id, assignments, start, end)
        written += _guides(new, files, written)
        content = {"campaign_id": campaign_id, "start": start, "end": end, **facts, "files": written}
        write_json(new / "manifest.json", content | {"notes": {name: list(one.notes) for name, one in named.items()}})
    table = pd.DataFrame(written, columns=["file", "rows", "bytes", "sha256"])
    return Plan(folder, table[table["rows"].notna()].astype({"rows": "int64"}), samples, True)


def masked(one: Any, rows: int = 10) -> pd.DataFrame:
    """First rows of a file; of everything personal only the first character is left, of e-mails the ending too."""
    table = one.table.head(rows)
    return table.assign(**{name: table[name].map(_mask) for name in table.columns if name not in one.open_columns})


def _mask(text: str) -> str:
    name, at, place = text.partition("@")
    if at and "." in place:
        return f"{name[:1]}***@{place[:1]}***.{place.rpartition('.')[2]}"
    return text and f"{text[0]}***"


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``folder`` on success; on failure the old one stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def _write_file(folder: Path, name: str, one: Any) -> list[dict[str, Any]]:
    """Write one file, in parts where it would be too large; an entry of each."""
    parts = _parts(_lines(one.table), one.most_bytes)
    path, entries = PurePosixPath(name), []
    for number, lines in enumerate(parts, 1):
        part = path.with_stem(f"{path.stem}_part-{number}-of-{len(parts)}") if len(parts) > 1 else path
        content = BYTE_ORDER_MARK * one.for_people + b"".join(lines)
        entries.append(_write(folder, str(part), content, len(lines) - 1))
    return entries


def _write(folder: Path, name: str, content: bytes, rows: int | None) -> dict[str, Any]:
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return {"file": name, "rows": rows, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _lines(table: pd.DataFrame) -> list[bytes]:
    """Header and rows as CSV in UTF-8, each with its line end; a row's own line breaks stay inside it."""
    lines: list[str] = []
    # a carriage return is put in quotes only where line ends have one
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows(table.fillna("").itertuples(index=False, name=None))
    return [f"{line[:-2]}\n".encode() for line in lines]


def _parts(lines: list[bytes], most_bytes: int) -> list[list[bytes]]:
    """Rows in their order, cut so that each part with its header stays below ``most_bytes``; 0 is no limit."""
    header, *rows = lines
    parts, size = [[header]], len(header)
    for row in rows:
        if most_bytes and size + len(row) >= most_bytes and len(parts[-1]) > 1:
            parts.append([header])
            size = len(header)
        parts[-1].append(row)
        size += len(row)
    return parts


def _hold_out(
    folder: Path, campaign_id: str, assignments: pd.DataFrame, start: date, end: date
) -> list[dict[str, Any]]:
    """The lottery and its campaign, as tables that a later source maps to ``assignments`` and ``campaigns``."""
    days = pd.to_datetime(assignments["assigned_at"]).dt.strftime("%Y-%m-%d")
    campaign = {"campaign_id": campaign_id, "start": f"{start}", "end": f"{end}", "design": "randomised"}
    tables = {"assignments": assignments.assign(assigned_at=days), "campaigns": pd.DataFrame([campaign])}
    return [
        _write(folder, f"hold_out/{name}.csv", b"".join(_lines(table)), len(table)) for name, table in tables.items()
    ]


def _same_draw(folder: Path, assignments: pd.DataFrame) -> None:
    """A campaign that may have been sent is read by the draw it was sent with: that file is never replaced."""
    before = folder / "hold_out" / "assignments.csv"
    if not before.is_file():
        return
    known = pd.read_csv(before, dtype=str).set_index("customer_id")["arm"].to_dict()
    if known != assignments.set_index("customer_id")["arm"].to_dict():
        raise ParameterError(
            f"campaign == {folder.name!r}; its files were written before, for {len(known):,} customers and another "
            "draw or other consents, and it can only be read by that; name another campaign, or take the folder away"
        )


def _guides(folder: Path, files: Sequence[Any], written: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One README a platform: its clicks, the files, what they leave empty."""
    guides = {one.platform: one.guide for one in files}
    entries = []
    for platform, guide in guides.items():
        rows = "\n".join(
            f"- `{PurePosixPath(one['file']).name}`: {one['rows']:,} rows, {one['bytes']:,} bytes"
            for one in written
            if one["file"].startswith(f"{platform}/")
        )
        noted = [one for one in files if one.platform == platform and one.notes]
        told = "\n".join(f"- `{one.name}`: {' '.join(one.notes)}" for one in noted) or "None."
        text = f"{guide}\n## Files\n\n{rows}\n\n## Notes\n\n{told}\n"
        entries.append(_write(folder, f"{platform}/README.md", text.encode(), None))
    return entries

"""Runs that are too old to keep: listed with age and size, deleted only when that is said."""

import argparse
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from segmentkit.errors import ParameterError
from segmentkit.machinery.files import read_json
from segmentkit.machinery.paths import outputs_folder

NOTHING_DONE = "Nothing was changed; the same command with --yes does it."


@dataclass(frozen=True)
class Aged:
    """A run or a batch under ``outputs``.

    ``keep`` says why it stays; empty where it may go. ``likes`` are the runs that it was made like.
    """

    folder: Path
    ended: datetime | None
    days: float
    size: int
    likes: frozenset[str]
    keep: str = ""


def purge_command(options: argparse.Namespace) -> int:
    """List the runs older than so many days, and delete them with ``--yes``.

    Raises:
        ParameterError: the number of days is negative.
    """
    if options.older_than < 0:
        raise ParameterError(f"--older-than == {options.older_than}; it must be 0 or more; give days")
    old = aged_runs(outputs_folder(), options.older_than, datetime.now().astimezone())
    going = [one for one in old if not one.keep]
    for one in old:
        told = f"kept: {one.keep}" if one.keep else "deleted" if options.yes else "to be deleted"
        print(f"{one.folder.name}  {one.days:,.0f} days  {one.size / 1e6:,.1f} MB  {told}")
    print(f"{len(going):,} of {len(old):,} runs older than {options.older_than:,} days, exports included.")
    if options.yes:
        for one in going:
            delete(one.folder)
    elif going:
        print(NOTHING_DONE)
    return 0


def aged_runs(outputs: Path, older_than: int, today: datetime) -> list[Aged]:
    """Runs and batches that ended more than ``older_than`` days ago, by name, each with why it stays, if it does.

    A batch is as old as its youngest market and goes as a whole. What has no manifest is no run; links are not
    followed. A run that one which stays was made like stays too.
    """
    every = {one.folder.name: one for one in _runs(outputs, today)}
    going = {name for name, one in every.items() if one.days > older_than and not one.keep}
    kept: dict[str, str] = {}
    while needed := [(like, name) for name in sorted(set(every) - going) for like in every[name].likes & going]:
        kept |= {like: f"{name} was made like it" for like, name in needed}
        going -= set(kept)
    old = [one for one in every.values() if one.days > older_than]
    return [Aged(**{**vars(one), "keep": one.keep or kept.get(one.folder.name, "")}) for one in old]


def delete(folder: Path) -> None:
    """Delete a run, its manifest last: what a crash leaves is still a run, and a second call finishes it."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "manifest.json":
            path.unlink()
    (folder / "manifest.json").unlink()
    folder.rmdir()


def in_use(folder: Path) -> bool:
    """Whether a process runs this run, or one inside it, now."""
    import psutil

    locks = [folder / ".lock", *folder.glob("*/.lock")]
    numbers = [path.read_text(encoding="utf-8").split(" ")[0] for path in locks if path.is_file()]
    return any(number.isdigit() and psutil.pid_exists(int(number)) for number in numbers)


def _runs(outputs: Path, today: datetime) -> Iterator[Aged]:
    for manifest in sorted(outputs.glob("*/manifest.json")):
        folder = manifest.parent
        if folder.is_symlink() or manifest.is_symlink():
            continue
        contents = [content for path in (manifest, *folder.glob("*/manifest.json")) if (content := _manifest(path))]
        if not contents:
            continue
        moments = [moment for content in contents for moment in _moments(content)]
        ended = max(moments, default=None)
        # without a day nobody can say that it is old
        days = (today - ended).total_seconds() / 86_400 if ended else float("inf")
        keep = "a process runs it now" if in_use(folder) else "" if ended else "no day is noted in it"
        likes = frozenset(like for content in contents for like in _likes(content, outputs)) - {folder.name}
        yield Aged(folder, ended, days, _size(folder), likes, keep)


def _manifest(path: Path) -> dict[str, Any]:
    """A manifest of the kit's; empty where the file is something else of that name."""
    try:
        content = read_json(path)
    except ValueError:
        return {}
    return content if {"started", "stages", "batch"} & set(content) else {}


def _moments(manifest: Mapping[str, Any]) -> Iterator[datetime]:
    """When each stage ended, or began where it never did."""
    for entry in [*manifest.get("stages", {}).values(), manifest]:
        if noted := entry.get("ended") or entry.get("started"):
            yield datetime.fromisoformat(noted).astimezone()


def _likes(manifest: Mapping[str, Any], outputs: Path) -> Iterator[str]:
    for entry in manifest.get("stages", {}).values():
        for like in {entry.get("earlier", {}).get("run"), entry.get("parameters", {}).get("like")} - {None, ""}:
            path = (outputs / like).resolve()
            if path.is_relative_to(outputs.resolve()):
                yield path.relative_to(outputs.resolve()).parts[0]


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())

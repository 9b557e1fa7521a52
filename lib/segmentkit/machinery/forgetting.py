"""Forgetting one customer: out of every run, and out of every later reading by a tombstone.

Nothing that is kept or printed here shows an e-mail, a phone number or an own id in clear.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from segmentkit.errors import ParameterError
from segmentkit.machinery.erasing import Person, Trace, erase, traces
from segmentkit.machinery.files import read_json, write_json
from segmentkit.machinery.naming_people import CUSTOMER, KEYED, Request, person_in, request_of
from segmentkit.machinery.paths import outputs_folder
from segmentkit.machinery.purging import NOTHING_DONE, in_use
from segmentkit.machinery.series import run_name

TOMBSTONES = "tombstones.json"


@dataclass(frozen=True)
class Searched:
    """One run: its source, what the customer is called in it, where, and what could not be looked up."""

    folder: Path
    source: Mapping[str, Any]
    person: Person
    traces: Sequence[Trace]
    note: str

    @property
    def keyed(self) -> set[str]:
        """Pseudonyms and keyed ids."""
        return {one for one in self.person.marks if KEYED.fullmatch(one)}

    @property
    def own(self) -> set[str]:
        """Ids that a pseudonymous source made itself."""
        pseudonymous = self.traces and self.source["facts"].get("identifiers") == "pseudonymous"
        return {one for one in self.person.ids[CUSTOMER] - self.keyed if pseudonymous and "@" not in one}


def forget_command(options: argparse.Namespace) -> int:
    """List where a customer is; with ``--yes`` leave a tombstone and take the customer out.

    Raises:
        ParameterError: nobody, or several people, can be meant, or a run is running.
        PrivacyStop: the privacy key of a run is not here.
    """
    request, outputs = request_of(options.id, options.kind), outputs_folder()
    searched = [_search(folder, request, outputs) for folder in _runs(outputs, options.source)]
    found = [one for one in searched if one.traces]
    _check_one_source(request, found)
    print(f"Looked for {request.told} in {len(searched):,} runs: in {len(found):,} of them.")
    _list(found)
    if options.yes:
        # first: a search that breaks off is finished by what the tombstone says
        _bury(outputs, searched)
        for one in found:
            erase(one.folder, one.traces, one.person)
    _list_unreachable(searched, found)
    buried = {request.value} & tombstones(outputs) or any(one.keyed or one.own for one in searched)
    if not (found or buried):
        print("No id of this customer is known here, so there is no tombstone; --kind gives a system's own id.")
    elif options.yes:
        print(f"Done; {TOMBSTONES} holds the customer's ids, no address, and every later reading leaves them out.")
    else:
        print(NOTHING_DONE)
    return 0


def tombstones(outputs: Path, source: str = "") -> set[str]:
    """Ids that may not be read again: pseudonyms and keyed ids, and ids that a pseudonymous source made itself.

    Args:
        outputs: the folder of the runs.
        source: key of the source that is read; ids of its own making count there alone. Empty gives every id.
    """
    entries = read_json(outputs / TOMBSTONES).get("forgotten", [])
    return {one for entry in entries if not source or entry["source"] in ("", source) for one in entry["ids"]}


def _runs(outputs: Path, source: str) -> list[Path]:
    """Folders of runs, those in batches too, of one source if it is named; a lent fit holds no customer."""
    runs = {}
    for path in sorted([*outputs.glob("*/source.json"), *outputs.glob("*/*/source.json")]):
        if (path.parent / "manifest.json").is_file() and path.resolve().is_relative_to(outputs.resolve()):
            runs[path.parent] = str(read_json(path)["key"])
    if running := [run_name(folder) for folder in runs if in_use(folder)]:
        raise ParameterError(f"run {running[0]} is running and would write the customer again; wait until it has ended")
    known = sorted(set(runs.values()))
    if source and source not in known:
        raise ParameterError(f"--source == {source!r}; there are runs of {', '.join(known) or 'none'}; name one")
    return [folder for folder, key in runs.items() if source in ("", key)]


def _search(folder: Path, request: Request, outputs: Path) -> Searched:
    entries = read_json(outputs / TOMBSTONES).get("forgotten", [])
    person, note = person_in(folder, request, [set(entry["ids"]) for entry in entries if not entry["source"]])
    return Searched(folder, read_json(folder / "source.json"), person, traces(folder, person), note)


def _check_one_source(request: Request, found: Sequence[Searched]) -> None:
    """Two businesses may give one id to different people; a keyed id is one person's everywhere."""
    sources = sorted({str(one.source["key"]) for one in found if one.own})
    if request.kind == CUSTOMER and len(sources) > 1:
        raise ParameterError(
            f"{request.told} is in runs of {len(sources)} sources ({', '.join(sources)}), and may be another person in "
            "each; say whose: --source NAME"
        )


def _list(found: Sequence[Searched]) -> None:
    for one in found:
        for trace in one.traces:
            told = f"{trace.rows:,} rows" if trace.rows else "mentions the customer and stays; make it again: see below"
            print(f"  {run_name(one.folder)}/{trace.path.relative_to(one.folder).as_posix()}: {told}")
        if any(not trace.rows for trace in one.traces):
            print(f"  python -m segmentkit run --run {run_name(one.folder)} --from 01 makes its pages again")


def _bury(outputs: Path, searched: Sequence[Searched]) -> None:
    content = read_json(outputs / TOMBSTONES)
    entries = content.setdefault("forgotten", [])
    together = sorted(set().union(*(one.keyed for one in searched)))
    groups = [("", together), *((str(one.source["key"]), sorted(one.own)) for one in searched)]
    for source, ids in groups:
        if ids and not set(ids) <= {one for entry in entries if entry["source"] == source for one in entry["ids"]}:
            entries.append({"day": f"{datetime.now():%Y-%m-%d}", "source": source, "ids": ids})
    if entries:
        write_json(outputs / TOMBSTONES, content)


def _list_unreachable(searched: Sequence[Searched], found: Sequence[Searched]) -> None:
    """What no command of the kit reaches, so that somebody else does."""
    if not found:
        return
    print("Not reached by this:")
    for one in found:
        for folder in sorted(
            {trace.path.relative_to(one.folder).parts[1] for trace in one.traces if _left(one, trace)}
        ):
            sent = read_json(one.folder / "exports" / folder / "manifest.json")
            files = [trace.path.name for trace in one.traces if _left(one, trace) and folder in trace.path.parts]
            day = sent.get("day") or sent.get("date") or "day not stated"
            print(f"  files already sent: campaign {folder} of {run_name(one.folder)}, {day}: {', '.join(files)}")
    print("".join(f"  {one.note}\n" for one in searched if one.note), end="")
    paths = sorted({path for one in found for path in _source_files(one.source)})
    print(f"  the source's own files and systems: {', '.join(paths) or 'none is known'}")
    print("  sums, models and figures that were computed with the customer, until their run is made again")


def _left(one: Searched, trace: Trace) -> bool:
    parts = trace.path.relative_to(one.folder).parts
    return bool(trace.rows) and parts[0] == "exports" and parts[2] != "hold_out"


def _source_files(source: Mapping[str, Any]) -> set[str]:
    sections = [*source["tables"].values(), source.get("addresses") or []]
    return {part["path"] for section in sections for part in ([section] if isinstance(section, dict) else section)}

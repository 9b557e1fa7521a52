"""The series, headless: resolve parameters, run the stages one after another, leave a folder anyone can read."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from segmentkit.contracts import TABLES
from segmentkit.errors import KitError, ParameterError, PrivacyStop, UpstreamError
from segmentkit.machinery import parameters as cells
from segmentkit.machinery.earlier import Earlier, find_run, inherit
from segmentkit.machinery.files import read_json, sha256, write_json, write_text
from segmentkit.machinery.manifest import Manifest, describe_code, library_hash, now
from segmentkit.machinery.paths import notebook_path, outputs_folder, stages
from segmentkit.machinery.progress import Progress, Watch
from segmentkit.machinery.series import check_run_name, maker_of, missing_table, read_tables, run_name, shown
from segmentkit.machinery.threads import cap_environment

if TYPE_CHECKING:
    from segmentkit.machinery.execute import Outcome

# a first look: everything runs, the figures that need repetition rest on few
QUICK = {"bootstrap_pairs": 10, "starts": 5, "null_copies": 19, "null_pairs": 8, "null_starts": 3, "map_max_rows": 1500}
STAGE_SECONDS = 3600.0
NOT_POSSIBLE = "not possible"


@dataclass(frozen=True)
class Order:
    """What the command line asked for."""

    run: str = ""
    files: tuple[Path, ...] = ()
    assignments: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    resume: bool = False
    quick: bool = False
    like: str = ""
    refit: bool = False
    stage_seconds: float = STAGE_SECONDS
    extra: Mapping[str, Any] = field(default_factory=dict)


def run_series(order: Order) -> int:
    """Run the series and its report.

    Returns:
        The exit code of the first stage that failed, or 0.

    Raises:
        ParameterError: a parameter, stage or run name cannot be used; nothing was started.
        UpstreamError: an earlier stage that is needed has not run.
    """
    overrides = cells.read_files(order.files) | cells.parse_assignments(order.assignments) | dict(order.extra)
    resolved = cells.resolve(stages(), _kept(order) | _base(order, overrides) | overrides)
    _make_source_absolute(resolved)
    chosen = select_stages(order.first, order.last)
    name = order.run or f"{_source_name(resolved)}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = outputs_folder() / check_run_name(name)
    _check_folder(folder, order, chosen)
    folder.mkdir(parents=True, exist_ok=True)
    with _Lock(folder):
        return _run(folder, order, chosen, resolved)


def _kept(order: Order) -> dict[str, Any]:
    """Parameters of the run itself where it is gone on with; a parameter file states them all anew."""
    file = outputs_folder() / check_run_name(order.run) / "parameters.yaml" if order.run else None
    if not (order.resume or order.first) or order.files or file is None or not file.is_file():
        return {}
    known = cells.declared()
    return {name: value for name, value in cells.read_files([file]).items() if name in known}


def _base(order: Order, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Values that a statement overrides: of a quick run, of an earlier run, and whether its segments are fitted."""
    if order.refit and not order.like:
        raise ParameterError("--refit fits an earlier run's segments anew; name that run with --like NAME")
    if not order.like:
        return QUICK if order.quick else {}
    _check_purchases(order.like)
    taken = inherit(order.like, cells.declared(), overrides, QUICK)
    return taken | (QUICK if order.quick else {}) | {"refit": order.refit}


def _check_purchases(like: str) -> None:
    stages_then = Manifest(find_run(like)).read().get("stages", {}).values()
    if any(entry.get("status") == NOT_POSSIBLE for entry in stages_then):
        raise ParameterError(
            f"like == {like!r}; that run had no purchases, and only segments of purchases can be applied later; "
            "make a first fit: leave --like out"
        )


def _run(folder: Path, order: Order, chosen: list[str], resolved: dict[str, dict[str, Any]]) -> int:
    manifest, progress = Manifest(folder), Progress(folder / "log.jsonl")
    cap_environment()
    os.environ["SEGMENTKIT_RUNNER"] = "1"
    # a kernel finds frozen modules on its own; without this it prints a debugger warning into every log
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    flat = {name: value for values in resolved.values() for name, value in values.items() if name != "run"}
    write_text(folder / "parameters.yaml", yaml.safe_dump(flat, sort_keys=True, allow_unicode=True))
    quick = order.quick or bool((order.resume or order.first) and manifest.read().get("quick"))
    manifest.update(run=run_name(folder), quick=quick, seed=flat.get("seed"), started=now(), code=describe_code())
    progress.say(f"run {run_name(folder)}: {', '.join(chosen)}" + (" (quick: for a first look)" if quick else ""))
    if order.like and (note := Earlier(order.like).code_note):
        progress.say(f"warning: {note}", event="warning")
    for stage in chosen:
        if lacking := not_given(folder, stage):
            _leave_out(folder, stage, lacking, progress)
            continue
        if order.resume and can_skip(folder, stage, resolved[stage]):
            progress.say(f"{stage}  unchanged since it ended well; skipped", event="skipped", stage=stage)
            continue
        outcome = run_stage(folder, stage, resolved[stage], progress, order.stage_seconds)
        if outcome.exit_code:
            manifest.update(status="failed", ended=now())
            progress.say(f"failed: {outcome.message}", event="failed", stage=stage, exit_code=outcome.exit_code)
            try:
                _write_report(folder, progress)
            except PrivacyStop as error:
                progress.say(f"no report: {error}", event="no report")
            return outcome.exit_code
    manifest.update(status="ok", ended=now())
    try:
        report = _write_report(folder, progress)
    except PrivacyStop as error:
        manifest.update(status="failed", ended=now())
        progress.say(f"failed: {error}", event="failed", stage="report", exit_code=error.exit_code)
        return error.exit_code
    if left := [stage for stage in chosen if manifest.stage(stage).get("status") == NOT_POSSIBLE]:
        progress.say(f"{NOT_POSSIBLE}: {', '.join(left)}; {manifest.stage(left[0])['message']}", event=NOT_POSSIBLE)
    progress.say(f"done; open {report}", event="done")
    print(report)
    return 0


def not_given(folder: Path, stage: str) -> list[str]:
    """Shared tables a stage cannot do without and this run's source does not give: their notebook ended without."""
    lacking = [name for name in read_tables(stage) if name in TABLES and not _table(folder, name).is_file()]
    return [name for name in lacking if Manifest(folder).stage(maker_of(name)).get("status") == "ok"]


def _leave_out(folder: Path, stage: str, lacking: list[str], progress: Progress) -> None:
    """Mark a stage that the source's tables do not allow, and take away what an earlier source left of it."""
    message = (
        f"it needs the table {' and '.join(lacking)}, which the source does not give; with such a file it would be "
        "possible: add it to the source, or python -m segmentkit source new with all files again and another --out"
    )
    Manifest(folder).reset_stage(stage, status=NOT_POSSIBLE, ended=now(), lacking=lacking, message=message)
    (folder / "notebooks" / notebook_path(stage).name).unlink(missing_ok=True)
    metrics = read_json(folder / "metrics.json")
    if metrics.pop(stage, None) is not None:
        write_json(folder / "metrics.json", metrics)
    progress.say(f"{stage}  {NOT_POSSIBLE}: no table {', '.join(lacking)}", event=NOT_POSSIBLE, stage=stage)


def _table(folder: Path, name: str) -> Path:
    return folder / "tables" / f"{name}.parquet"


def run_stage(folder: Path, stage: str, values: Mapping[str, Any], progress: Progress, seconds: float) -> "Outcome":
    """Run one stage and note how it ended; the manifest says "running" until it is known."""
    from segmentkit.machinery.execute import execute  # papermill takes seconds to load: refusals come first

    manifest = Manifest(folder)
    notebook = notebook_path(stage)
    fingerprint = {"notebook_sha256": sha256(notebook), "library_sha256": library_hash()}
    manifest.reset_stage(stage, status="running", started=now(), **fingerprint)
    given = dict(values) | {"run": run_name(folder)}
    started = time.monotonic()
    (folder / "notebooks").mkdir(exist_ok=True)
    with Watch() as watch:
        outcome = execute(
            notebook, folder / "notebooks" / notebook.name, given, stage=stage, progress=progress, seconds=seconds
        )
    taken = round(time.monotonic() - started, 1)
    ended = {"status": outcome.status, "ended": now(), "seconds": taken, "peak_memory_mb": watch.megabytes}
    manifest.update_stage(stage, **ended, exit_code=outcome.exit_code, message=outcome.message)
    progress.say(
        f"{stage}  {outcome.status} in {taken:.1f} s, peak memory {watch.megabytes:,} MB",
        event="stage",
        stage=stage,
        **ended,
    )
    return outcome


def _write_report(folder: Path, progress: Progress) -> str:
    from segmentkit.machinery.report import write_report
    from segmentkit.machinery.runs_page import write_runs_page

    try:
        page = write_report(folder)
        write_runs_page()
        return shown(page)
    except PrivacyStop:
        raise
    except KitError as error:
        progress.say(f"no report: {error}", event="no report")
        return shown(folder)


def select_stages(first: str = "", last: str = "") -> list[str]:
    """The stages from ``first`` to ``last``, each given as a number (03) or a name.

    Raises:
        ParameterError: there is no such stage, or the order is reversed.
    """
    known = stages()
    low = _stage_index(first, known) if first else 0
    high = _stage_index(last, known) if last else len(known) - 1
    if low > high:
        raise ParameterError(f"--from {first} comes after --until {last}; swap them")
    return known[low : high + 1]


def _stage_index(text: str, known: list[str]) -> int:
    for index, name in enumerate(known):
        if text in (name, name[:2]) or (text.isdigit() and int(text) == int(name[:2])):
            return index
    raise ParameterError(f"no stage {text!r}; the series has {', '.join(known)}")


def _make_source_absolute(resolved: Mapping[str, dict[str, Any]]) -> None:
    """A TOML given by its path from here must still be found when the run's parameters are given back elsewhere."""
    for values in resolved.values():
        if str(values.get("source", "")).endswith(".toml"):
            values["source"] = Path(values["source"]).resolve().as_posix()


def _source_name(resolved: Mapping[str, Mapping[str, Any]]) -> str:
    sources = [str(values["source"]) for values in resolved.values() if "source" in values]
    stem = Path(sources[0]).stem if sources else "run"
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in stem) or "run"


def _check_folder(folder: Path, order: Order, chosen: list[str]) -> None:
    if order.like and find_run(order.like) == folder.resolve():
        raise ParameterError(f"--like {order.like} is the run itself; name an earlier one, and this one with --run")
    started = (folder / "manifest.json").is_file()
    if started and not (order.first or order.resume):
        raise ParameterError(
            f"run {run_name(folder)!r} exists already; nothing was changed; choose another --run NAME, go on with "
            "--resume, or repeat from a stage with --from NN"
        )
    earlier = stages()[: stages().index(chosen[0])]
    status = {stage: Manifest(folder).stage(stage).get("status") for stage in earlier}
    needed = [] if not_given(folder, chosen[0]) else read_tables(chosen[0])
    for table in needed:
        if not _table(folder, table).is_file():
            raise UpstreamError(missing_table(folder, chosen[0], table))
    for stage, state in status.items():
        if state in {"failed", "running"}:
            raise UpstreamError(
                f"{chosen[0]} builds on {stage}, which {'failed' if state == 'failed' else 'never ended'} in run "
                f"{run_name(folder)!r}; "
                f"python -m segmentkit run --run {run_name(folder)} --from {stage[:2]} repeats it"
            )


def can_skip(folder: Path, stage: str, values: Mapping[str, Any]) -> bool:
    """Whether a stage ended well and its parameters, notebook, library, inputs and outputs are still the same."""
    manifest = Manifest(folder)
    entry = manifest.stage(stage)
    wanted = {name: value for name, value in values.items() if name != "run"}
    if entry.get("status") != "ok" or entry.get("parameters") != wanted:
        return False
    if entry.get("notebook_sha256") != sha256(notebook_path(stage)) or entry.get("library_sha256") != library_hash():
        return False
    if (noted := entry.get("earlier")) and noted["model_sha256"] != sha256(find_run(noted["run"]) / "model.json"):
        return False
    tables = entry.get("inputs", {}) | entry.get("outputs", {})
    paths = {name: folder / "tables" / f"{name}.parquet" for name in tables}
    return all(paths[name].is_file() and sha256(paths[name]) == noted["sha256"] for name, noted in tables.items())


class _Lock:
    """One process a run: a file with the process number, taken over when that process is gone."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"

    def __enter__(self) -> None:
        import psutil

        if self.path.is_file():
            pid, _, since = self.path.read_text(encoding="utf-8").partition(" ")
            if pid.isdigit() and psutil.pid_exists(int(pid)):
                raise ParameterError(
                    f"run {run_name(self.path.parent)!r} is in use by process {pid} since {since.strip()}; wait, or "
                    "use another --run NAME"
                )
        self.path.write_text(f"{os.getpid()} {now()}\n", encoding="utf-8")

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

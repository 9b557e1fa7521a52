"""Batch: the series for every market, each in a process of its own, side by side or on a cluster."""

import glob
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config

from segmentkit.errors import EnvironmentFault, ParameterError
from segmentkit.machinery import parameters as cells
from segmentkit.machinery.files import read_json, sha256, write_json
from segmentkit.machinery.manifest import Manifest, describe_code, now
from segmentkit.machinery.paths import outputs_folder, stages
from segmentkit.machinery.progress import Progress
from segmentkit.machinery.runs_page import write_runs_page
from segmentkit.machinery.series import check_run_name, shown
from segmentkit.machinery.sources import load_source
from segmentkit.machinery.threads import worker_count

Pool = Callable[[Mapping[str, Path], Mapping[str, Any]], dict[str, dict[str, Any]]]
Page = Callable[[Path, Sequence[str], str], Path]


@dataclass(frozen=True)
class BatchOrder:
    """What the command line asked for."""

    base: Path
    markets: tuple[str, ...]
    run: str = ""
    jobs: int = 0
    compare: str = "own"
    anchor: str = ""
    dask: str = ""
    resume: bool = False
    quick: bool = False
    stage_seconds: float | None = None


@dataclass(frozen=True)
class Market:
    """One market: its name, its parameter file, what its parameters resolve to, and its currency."""

    name: str
    file: Path
    values: dict[str, Any]
    currency: str


def run_batch(order: BatchOrder, pool: Pool, page: Page) -> int:
    """Run the series for every market and write the page that compares them.

    Args:
        order: what was asked for.
        pool: fits one segmentation for all markets, from their feature tables.
        page: writes the page that compares the markets.

    Returns:
        0, or 1 where a market failed; the others are whole.

    Raises:
        ParameterError: a market or choice cannot be used; nothing was started.
    """
    markets = _read_markets(order)
    name = order.run or f"batch-{datetime.now():%Y%m%d-%H%M%S}"
    if "/" in check_run_name(name):
        raise ParameterError(f"run name {name!r}; a batch lies at the top of outputs; leave out the slash")
    folder = outputs_folder() / name
    if (folder / "manifest.json").is_file() and not order.resume:
        raise ParameterError(
            f"batch {name!r} exists already; nothing was changed; go on with --resume, or name another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    progress, crew = Progress(folder / "log.jsonl"), _Crew(folder, order, len(markets))
    Manifest(folder).update(
        batch=name, compare=order.compare, markets=[m.name for m in markets], started=now(), code=describe_code()
    )
    progress.say(f"batch {name}: {len(markets)} markets, {crew.told}, compared by {order.compare}")
    codes = _phases(order, markets, crew, progress, pool)
    failed = [market.name for market in markets if codes[market.name]]
    whole = [market.name for market in markets if not codes[market.name]]
    Manifest(folder).update(ended=now(), status="failed" if failed else "ok", exit_codes=codes)
    if whole:
        progress.say(f"done; open {shown(page(folder, whole, order.compare))}", event="done")
        write_runs_page()
    for market in failed:
        told = f"{market} failed (exit {codes[market]}): {_why(folder / market)}"
        progress.say(f"{told}; the others are whole", event="failed", market=market)
    return 1 if failed else 0


def _phases(order: BatchOrder, markets: list[Market], crew: "_Crew", progress: Progress, pool: Pool) -> dict[str, int]:
    """Exit code of every market. Own fits run at once; the other comparisons need something first."""
    if order.compare == "own":
        return crew.run(markets, {m.name: [] for m in markets}, progress)
    if order.compare == "like":
        first = [m for m in markets if m.name == order.anchor]
        codes = crew.run(first, {order.anchor: []}, progress)
        if codes[order.anchor]:
            return dict.fromkeys((m.name for m in markets), codes[order.anchor])
        rest = [m for m in markets if m.name != order.anchor]
        model = read_json(crew.folder / order.anchor / "model.json")
        told = f"The segments of market {order.anchor} are applied as they were saved."
        # the fit alone is lent: ids of two markets may be alike, and their customers are not the same
        _lend(crew.folder, order.anchor, model, told)
        lent = ["-p", f"like={crew.folder.name}/fits/{order.anchor}", "-p", f"look_back_days=[{model.get('days', 0)}]"]
        return codes | crew.run(rest, {m.name: lent for m in rest}, progress)
    codes = crew.run(markets, {m.name: ["--until", "02"] for m in markets}, progress)
    whole = [m for m in markets if not codes[m.name]]
    if len(whole) < 2:
        progress.say("a pooled fit needs two markets whose data can be read", event="failed")
        return codes | dict.fromkeys((m.name for m in whole), 1)
    paths = {m.name: crew.folder / m.name / "tables" / "features.parquet" for m in whole}
    _save_pooled(crew.folder, paths, pool, whole[0].values | {"workers": worker_count()}, progress)
    words = {m.name: ["--from", "03", "-p", f"like={crew.folder.name}/fits/{m.name}"] for m in whole}
    return codes | crew.run(whole, words, progress)


def _save_pooled(
    folder: Path, paths: Mapping[str, Path], pool: Pool, settings: Mapping[str, Any], progress: Progress
) -> None:
    """The pooled fit of each market, made anew only where features or settings changed."""
    stated = {name: value for name, value in settings.items() if name not in ("source", "workers")}
    made_from = {"features": {market: sha256(path) for market, path in paths.items()}, "settings": stated}
    noted = folder / "fits" / "made_from.json"
    if read_json(noted) == made_from:
        progress.say("pooled fit  unchanged; kept")
        return
    for market, model in pool(paths, settings).items():
        told = f"One fit for {len(paths)} markets ({', '.join(sorted(paths))}) is applied. {model['choice']}"
        _lend(folder, market, model | {"seed": settings["seed"]}, told)
    write_json(noted, made_from)
    progress.say(f"pooled fit  over {len(paths)} markets: {model['choice']}")


def _lend(folder: Path, market: str, model: Mapping[str, Any], told: str) -> None:
    """A fit as a small run folder without customers, for ``like``."""
    run, target = folder / market, folder / "fits" / market
    seen = read_json(run / "metrics.json").get("02_exploratory_analysis", {})
    write_json(target / "model.json", dict(model) | {"days": seen.get("days", 0)})
    write_json(target / "metrics.json", {"02_exploratory_analysis": seen})
    write_json(target / "source.json", read_json(run / "source.json"))
    write_json(target / "manifest.json", {"lent": told, "code": describe_code()})


class _Crew:
    """Runs markets side by side: threads that each wait for a process, or a dask cluster's workers."""

    def __init__(self, folder: Path, order: BatchOrder, count: int) -> None:
        cores = worker_count()
        self.folder, self.order = folder, order
        self.jobs = min(order.jobs or cores, count)
        each = 1 if order.dask else max(1, cores // self.jobs)
        # memory and cores are shared out; a run ends itself when the process named here is gone
        self.environment = {"SEGMENTKIT_WORKERS": str(each), "SEGMENTKIT_JOBS": str(self.jobs)}
        if not order.dask:
            self.environment["SEGMENTKIT_PARENT"] = str(os.getpid())
        self.told = f"dask cluster {order.dask}" if order.dask else f"{self.jobs} at a time, {each} workers each"

    def run(self, markets: Sequence[Market], words: Mapping[str, list[str]], progress: Progress) -> dict[str, int]:
        tasks = [
            delayed(_run_market)(m.name, self._words(m, words[m.name]), self._env(), self._log(m)) for m in markets
        ]
        codes = {}
        for market, code, seconds in self._results(tasks):
            codes[market] = code
            told = "ok" if code == 0 else f"failed, exit {code}; see {shown(self.folder / f'{market}.log')}"
            progress.say(f"{market}  {told} in {seconds:.1f} s", event="market", market=market, exit_code=code)
        return codes

    def _results(self, tasks: Iterable[Any]) -> Iterable[tuple[str, int, float]]:
        if not self.order.dask:
            yield from Parallel(n_jobs=self.jobs, backend="threading", return_as="generator_unordered")(tasks)
            return
        try:
            from distributed import Client
        except ImportError:
            raise EnvironmentFault(
                "--engine dask needs the package distributed; pip install -e './lib[dask]' installs it"
            ) from None
        try:
            client: Any = Client(self.order.dask, timeout="20s")
        except (OSError, ValueError, TimeoutError) as error:
            raise EnvironmentFault(
                f"no dask scheduler answers at {self.order.dask} ({error}); start it first"
            ) from None
        with client, parallel_config(backend="dask"):
            yield from Parallel(n_jobs=-1, batch_size=1)(tasks)

    def _words(self, market: Market, more: list[str]) -> list[str]:
        run = f"{self.folder.name}/{market.name}"
        words = ["--run", run, *more]
        for file in (self.order.base, market.file):
            words += ["--params", str(file.resolve())]
        started = (self.folder / market.name / "manifest.json").is_file()
        words += ["--resume"] if self.order.resume and started else []
        words += ["--quick"] if self.order.quick else []
        return words + (["--stage-seconds", str(self.order.stage_seconds)] if self.order.stage_seconds else [])

    def _env(self) -> dict[str, str]:
        return self.environment | {"SEGMENTKIT_OUTPUTS": str(outputs_folder().resolve())}

    def _log(self, market: Market) -> Path:
        return self.folder / f"{market.name}.log"


def _run_market(name: str, words: list[str], environment: dict[str, str], log: Path) -> tuple[str, int, float]:
    """One market's run as a process: what kills it cannot take the others along."""
    started = datetime.now()
    command = [sys.executable, "-m", "segmentkit", "run", *words]
    with log.open("ab") as handle:
        done = subprocess.run(command, env=os.environ | environment, stdout=handle, stderr=subprocess.STDOUT)
    return name, done.returncode, (datetime.now() - started).total_seconds()


def _read_markets(order: BatchOrder) -> list[Market]:
    """Every market's parameters, resolved and its source read, before anything starts."""
    # patterns may be absolute, which Path.glob refuses
    files = [Path(path) for text in order.markets for path in (sorted(glob.glob(text)) or [text])]  # noqa: PTH207
    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        raise ParameterError(f"markets {', '.join(sorted(names))}; each file needs a name of its own; rename one")
    if order.compare == "like" and order.anchor not in names:
        raise ParameterError(f"--anchor {order.anchor!r}; with --compare like it must be one of {', '.join(names)}")
    markets = []
    for file in files:
        if check_run_name(file.stem) == "fits":
            raise ParameterError(f"{file}: 'fits' is the name of a folder of the batch; rename the file")
        try:
            stated = cells.read_files((order.base, file))
            if "source" not in stated:
                raise ParameterError(
                    "no source is stated, and a market without one would be the demo; add source: NAME"
                )
            resolved = cells.resolve(stages(), stated)
            values = {name: value for given in resolved.values() for name, value in given.items()}
            currency = load_source(str(values["source"])).currency
        except ParameterError as error:
            raise ParameterError(f"{file}: {error}") from None
        markets.append(Market(file.stem, file, values, currency))
    _check_currencies(order, markets)
    return markets


def _check_currencies(order: BatchOrder, markets: Sequence[Market]) -> None:
    if order.compare != "like":
        return
    money = {m.name: m.currency for m in markets}
    others = [f"{name} ({currency})" for name, currency in money.items() if currency != money[order.anchor]]
    if others:
        raise ParameterError(
            f"--compare like applies the borders of {order.anchor} in {money[order.anchor]}, which mean nothing in "
            f"{', '.join(others)}; take --compare pooled, or own"
        )


def _why(folder: Path) -> str:
    entries = list(Manifest(folder).read().get("stages", {}).values())
    if not entries:
        return "it was not run, because what it builds on failed"
    found = [entry["message"] for entry in entries if entry.get("status") == "failed" and entry.get("message")]
    return found[0] if found else f"no stage says why; see {shown(folder.parent / f'{folder.name}.log')}"

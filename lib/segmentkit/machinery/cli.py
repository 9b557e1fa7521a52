"""The command line. Starting it imports no analysis module, so help and refusals come at once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segmentkit import __version__
from segmentkit.errors import KitError, ParameterError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except KitError as error:
        print(f"segmentkit: {error}", file=sys.stderr)
        return error.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segmentkit", description="Customer segmentation as numbered notebooks.")
    parser.add_argument("--version", action="version", version=f"segmentkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the notebooks headless and write the report")
    run.add_argument("--run", default="", metavar="NAME", help="name of the run's folder under outputs")
    run.add_argument(
        "--params",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="YAML; later files override earlier ones",
    )
    run.add_argument("-p", action="append", default=[], metavar="NAME=VALUE", help="one parameter")
    run.add_argument("--like", default="", metavar="RUN", help="apply an earlier run's segments, names and parameters")
    run.add_argument("--refit", action="store_true", help="with --like: fit anew and carry over the keys")
    run.add_argument("--from", dest="first", default="", metavar="NN", help="first stage")
    run.add_argument("--until", dest="last", default="", metavar="NN", help="last stage")
    run.add_argument("--resume", action="store_true", help="go on where a run stopped, with its parameters")
    run.add_argument("--quick", action="store_true", help="few repetitions, for a first look; every page says so")
    run.add_argument("--stage-seconds", type=float, default=None, metavar="N", help="time limit of each stage (3600)")
    run.set_defaults(command=_run)
    _batch_parser(commands)
    _data_parsers(commands)
    params = commands.add_parser("params", help="list every parameter: type, default, help")
    params.add_argument("stage", nargs="?", default="", metavar="NN")
    params.set_defaults(command=_params)
    check = commands.add_parser("check", help="hold the notebooks to the house rules")
    check.set_defaults(command=_check)
    tidy = commands.add_parser("tidy", help="strip outputs and mend what can be mended")
    tidy.set_defaults(command=_tidy)
    commands.add_parser("doctor", help="Python, platform, kernel, disk, memory, versions").set_defaults(command=_doctor)
    return parser


def _batch_parser(commands: Any) -> None:
    batch = commands.add_parser("batch", help="run the series for every market and compare them")
    batch.add_argument("base", type=Path, metavar="BASE.yaml", help="parameters of every market")
    batch.add_argument("markets", nargs="+", metavar="MARKET.yaml", help="one file a market; it overrides the base")
    batch.add_argument("--run", default="", metavar="NAME", help="name of the batch's folder under outputs")
    batch.add_argument("--jobs", type=int, default=0, metavar="N", help="markets at a time (as many as cores)")
    batch.add_argument("--compare", default="own", choices=["own", "pooled", "like"], help="whose fit each market gets")
    batch.add_argument("--anchor", default="", metavar="MARKET", help="with --compare like: whose segments are applied")
    batch.add_argument("--engine", nargs=2, default=None, metavar=("dask", "ADDRESS"), help="run on a dask cluster")
    batch.add_argument("--resume", action="store_true", help="finish what is missing")
    batch.add_argument("--quick", action="store_true", help="few repetitions, for a first look; every page says so")
    batch.add_argument("--stage-seconds", type=float, default=None, metavar="N", help="time limit of each stage (3600)")
    batch.set_defaults(command=_batch)


def _data_parsers(commands: Any) -> None:
    """What is done to data and to what a run has kept of them."""
    from segmentkit.machinery import data_commands

    data_commands.source_parser(commands, _source_new)
    data_commands.key_parser(commands)
    data_commands.forget_parser(commands)
    data_commands.purge_parser(commands)


def _source_new(options: argparse.Namespace) -> int:
    from segmentkit.analysis.column_guess import read_columns
    from segmentkit.analysis.column_lines import propose
    from segmentkit.machinery.proposing import propose_source, read_order

    def guess(sample: Any, words: Any, stated: Any) -> Any:
        return propose(read_columns(sample, words), stated)

    return propose_source(read_order(options), guess, input if sys.stdin.isatty() else None)


def _batch(options: argparse.Namespace) -> int:
    from segmentkit.machinery.batch import BatchOrder, run_batch
    from segmentkit.machinery.batch_page import fit_pooled, write_batch_page

    if options.engine and options.engine[0] != "dask":
        raise ParameterError(
            f"--engine {options.engine[0]!r}; the one engine beside this machine is: --engine dask ADDRESS"
        )
    if options.jobs < 0:
        raise ParameterError(f"--jobs == {options.jobs}; it must be 1 or more; leave it out for as many as cores")
    order = BatchOrder(
        base=options.base,
        markets=tuple(options.markets),
        run=options.run,
        jobs=options.jobs,
        compare=options.compare,
        anchor=options.anchor,
        dask=options.engine[1] if options.engine else "",
        resume=options.resume,
        quick=options.quick,
        stage_seconds=options.stage_seconds,
    )
    return run_batch(order, fit_pooled, write_batch_page)


def _run(options: argparse.Namespace) -> int:
    from segmentkit.machinery.runner import STAGE_SECONDS, Order, run_series

    if options.stage_seconds is not None and options.stage_seconds <= 0:
        raise ParameterError(f"--stage-seconds == {options.stage_seconds:g}; it must be above 0; give seconds")
    return run_series(
        Order(
            run=options.run,
            files=tuple(options.params),
            assignments=tuple(options.p),
            first=options.first,
            last=options.last,
            resume=options.resume,
            quick=options.quick,
            like=options.like,
            refit=options.refit,
            stage_seconds=options.stage_seconds or STAGE_SECONDS,
        )
    )


def _params(options: argparse.Namespace) -> int:
    from segmentkit.machinery.parameters import read_parameters
    from segmentkit.machinery.paths import notebook_path, stages

    chosen = [name for name in stages() if not options.stage or name.startswith(options.stage.zfill(2))]
    if not chosen:
        raise ParameterError(f"no stage {options.stage!r}; the series has {', '.join(stages())}")
    for stage in chosen:
        print(stage)
        for parameter in read_parameters(notebook_path(stage)):
            if parameter.name != "run":
                print(f"  {parameter.name:<20} {parameter.type:<12} {parameter.default!r:<42} {parameter.help}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from segmentkit.machinery.checks import check_series

    found = check_series(_notebooks())
    print("\n".join(found) or f"{len(_notebooks())} notebooks keep the house rules")
    return 1 if found else 0


def _tidy(options: argparse.Namespace) -> int:
    from segmentkit.machinery.checks import tidy

    changed = [path.name for path in _notebooks() if tidy(path)]
    print(f"tidied: {', '.join(changed)}" if changed else "nothing to tidy")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from segmentkit.machinery.doctor import examine, report

    text, code = report(examine())
    print(text)
    return code


def _notebooks() -> list[Path]:
    from segmentkit.machinery.paths import notebooks_folder

    found = notebooks_folder().rglob("*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)

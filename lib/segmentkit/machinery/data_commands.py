"""What the command line takes for data and for what runs have kept of them; nothing heavy is loaded to say so."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

FACTS = {
    "currency": ("currency", "EUR, USD, GBP, CHF ...: the one of every amount"),
    "time_zone": ("time-zone", "Europe/Berlin, America/New_York ...: whose days and hours these are"),
    "identifiers": ("identifiers", "pseudonymous or direct"),
    "analysis_basis": ("basis", "why these customers may be analysed, e.g. legitimate interest, contract, consent"),
    "extracted_on": ("extracted-on", "day of the export, YYYY-MM-DD: no table here tells the last day"),
    "key": ("key", "the fingerprint that `python -m segmentkit key show` prints; `key new` makes a key"),
}


def source_parser(commands: Any, command: Callable[[argparse.Namespace], int]) -> None:
    """``segmentkit source new FILES``."""
    source = commands.add_parser("source", help="propose a source from your files")
    actions = source.add_subparsers(required=True, metavar="new")
    new = actions.add_parser("new", help="look at files, propose what each column means, write the TOML")
    new.add_argument("files", nargs="+", metavar="FILE", help="exports as they are")
    new.add_argument("--out", default="", metavar="FILE.toml", help="where to write (beside the first file)")
    for key, (option, meaning) in FACTS.items():
        new.add_argument(f"--{option}", dest=key, default="", metavar=option.upper(), help=meaning)
    new.add_argument("--date-format", dest="date_format", default="", metavar="FORMAT", help='e.g. "%%d.%%m.%%Y"')
    new.add_argument("--decimal", default="", choices=[".", ","], help="decimal sign, where the files leave it open")
    new.add_argument("--encoding", default="", metavar="NAME", help="of text files that are not UTF-8, e.g. cp1252")
    help_text = "a header, the number of a choice, or a word that holds for every row; repeat as needed"
    new.add_argument("--column", action="append", default=[], metavar="COLUMN=ANSWER", help=help_text)
    new.add_argument("--addresses", action="store_true", help="read names and addresses when files leave")
    new.add_argument("--run", default="", metavar="NAME", help="go on to run the series if nothing is open")
    new.add_argument("--quick", action="store_true", help="with --run: few repetitions, for a first look")
    new.set_defaults(command=command)


def key_parser(commands: Any) -> None:
    """``segmentkit key new`` and ``segmentkit key show``."""
    key = commands.add_parser("key", help="the privacy key that keyed pseudonyms are made by")
    key.add_argument("action", choices=["new", "show"], help="make one, or say where it is and its fingerprint")
    key.add_argument("--path", type=Path, default=None, metavar="FILE", help="where it is (your own config folder)")
    key.add_argument("--replace", action="store_true", help="with new: put the key there is aside and make another")
    key.set_defaults(command=_later("privacy_key", "key_command"))


def forget_parser(commands: Any) -> None:
    """``segmentkit forget``."""
    forget = commands.add_parser("forget", help="take one customer out of every run, and out of later readings")
    forget.add_argument("id", metavar="ID", help="e-mail, phone, customer_id, or with --kind a system's own id")
    forget.add_argument("--kind", default="", metavar="KIND", help="email, phone, customer_id, or a system's name")
    forget.add_argument("--source", default="", metavar="NAME", help="only runs of this source")
    forget.add_argument("--yes", action="store_true", help="do it; without it what would go is listed")
    forget.set_defaults(command=_later("forgetting", "forget_command"))


def purge_parser(commands: Any) -> None:
    """``segmentkit purge``."""
    purge = commands.add_parser("purge", help="delete runs that ended more than so many days ago")
    purge.add_argument("--older-than", type=int, required=True, metavar="DAYS", help="days since the last stage ended")
    purge.add_argument("--yes", action="store_true", help="delete; without it they are only listed")
    purge.set_defaults(command=_later("purging", "purge_command"))


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A command whose module is loaded when it is called."""

    def command(options: argparse.Namespace) -> int:
        code: int = getattr(import_module(f"segmentkit.machinery.{module}"), name)(options)
        return code

    return command

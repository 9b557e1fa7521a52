"""``segmentkit source new``: look at files, say what their columns mean and why, ask what is open, write the TOML."""

import argparse
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery import ready_maps
from segmentkit.machinery.data_commands import FACTS
from segmentkit.machinery.files import write_text
from segmentkit.machinery.opening import open_files
from segmentkit.machinery.privacy_key import fingerprint_here
from segmentkit.machinery.proposed_toml import OPEN, Fact, Looked, closing, dated, questions, shown, toml, with_keys

SAMPLE_ROWS, BLOCK = 3000, 50
STATED = "as you stated"
ANSWERS = ("date_format", "decimal", "encoding")
# what the columns of a sample mean, given answers: segmentkit.analysis, which only the command line may join
Guess = Callable[[pd.DataFrame, Mapping[str, Any], Mapping[str, Any]], Any]
Ask = Callable[[str], str]


@dataclass(frozen=True)
class SourceOrder:
    """What to look at and what is known already.

    Attributes:
        files: as typed.
        out: the TOML to write; empty for one beside the first file.
        stated: facts, ``date_format`` and ``decimal`` that the command line states.
        columns: shared column to header, choice number or constant.
        addresses: whether names and addresses are to be read when files leave.
        run: name of a run to go on with; empty for none.
        quick: whether that run is a first look.
    """

    files: tuple[str, ...]
    out: str = ""
    stated: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    addresses: bool = False
    run: str = ""
    quick: bool = False


def read_order(options: argparse.Namespace) -> SourceOrder:
    """The order that a command line gives.

    Raises:
        ParameterError: a ``--column`` is no pair.
    """
    for pair in options.column:
        if "=" not in pair:
            raise ParameterError(f"--column == {pair!r}; write COLUMN=ANSWER, e.g. --column amount=Total")
    stated = {key: getattr(options, key) for key in (*FACTS, *ANSWERS) if getattr(options, key)}
    columns = dict(pair.split("=", 1) for pair in options.column)
    return SourceOrder(
        tuple(options.files), options.out, stated, columns, options.addresses, options.run, options.quick
    )


def propose_source(order: SourceOrder, guess: Guess, ask: Ask | None = None) -> int:
    """Propose a source for some files and write it.

    Args:
        order: the files and what is known of them.
        guess: what the columns of a sample mean, and the lines that follow.
        ask: asks a person; None where nobody is there, and open lines are then written as ``"?"``.

    Returns:
        0, or 2 where questions are open.

    Raises:
        ParameterError: the TOML exists, or its folder cannot be written to.
        DataError: a file cannot be opened.
    """
    from segmentkit.machinery.runs import connect

    out = Path(order.out or Path(order.files[0]).resolve().parent / "my_source.toml").resolve()
    if out.exists():
        raise ParameterError(f"{out} exists; it is never overwritten; state another with --out, or move it away")
    if not os.access(out.parent, os.W_OK):
        raise ParameterError(f"{out} cannot be written; state a file in a folder of your own with --out")
    connection = connect()
    looked = [_settle(_look(connection, file, out.parent, order, guess), order, guess, ask) for file in order.files]
    looked = [_settle_system(one, looked, order, ask) for one in looked] if with_keys(looked) else looked
    for one in looked:
        print(shown(one))
    facts = [_answered_fact(line, ask) for line in _facts(looked, order)]
    text = toml(looked, facts, order.addresses)
    tomllib.loads(text)
    write_text(out, text)
    print(closing(out, looked, text))
    settled = not questions(text) and any(one.proposal.sections or one.format for one in looked)
    if not settled or not order.run:
        return 0 if settled else 2
    from segmentkit.machinery.runner import Order, run_series

    return run_series(Order(run=order.run, assignments=(f"source={out}",), quick=order.quick))


# --- looking --------------------------------------------------------------------------------------------------


def _words() -> dict[str, Any]:
    path = Path(__file__).parent / "templates" / "column_words.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _look(connection: Any, file: str, folder: Path, order: SourceOrder, guess: Guess) -> Looked:
    path = Path(file).resolve()
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
    name = file if file.startswith(("postgresql:", "postgres:")) else name
    table, format_, reading = _opened(connection, path, order.stated.get("encoding", ""))
    sample = _sample(table)
    return Looked(name, format_, reading, sample, guess(sample, _words(), order.stated))


def _opened(connection: Any, path: Path, encoding: str) -> tuple[Any, str, dict[str, Any]]:
    """The file as a ready map reads it, or as it is: its table, the map's name or none, and what else reads it."""
    needed: dict[str, Any] = {}

    def opened(reading: Mapping[str, Any]) -> Any:
        try:
            return open_files(connection, path.name, str(path.parent), {**reading, **needed})[0].table
        except DataError as error:
            # beside a file in another encoding others may be UTF-8
            if not encoding or "encoding" in needed or "is not text in utf-8" not in str(error):
                raise
            needed["encoding"] = encoding
            return opened(reading)

    plain, fault = None, None
    for reading in [{}, *(ready_maps.load(name).reading for name in ready_maps.names())]:
        try:
            table = opened(reading)
        except DataError as error:
            fault = fault or error
            continue
        if found := ready_maps.recognise(table.columns):
            own = ready_maps.load(found).reading
            return table if own == reading else opened(own), found, needed
        plain = table if plain is None and not reading else plain
        if plain is not None and len(set(plain.columns) - {"row_number", "file"}) > 1:
            break
    if plain is None and (titles := re.search(r"state skip_rows = (\d+)", str(fault))):
        needed["skip_rows"] = int(titles[1])
        plain = opened({})
    if plain is None:
        raise fault or DataError(f"{path.name} cannot be read; save it as .csv with one header line")
    return plain, "", needed


def _sample(table: Any) -> pd.DataFrame:
    """Blocks of neighbouring rows spread over the file, so that the lines of an order stay together."""
    rows = int(table.count().execute())
    step = max(1, -(-rows // SAMPLE_ROWS))
    block = (table.row_number - 1) // BLOCK
    # the last rows, too: a file may end in its own sum
    wanted = (block % step == 0) | (table.row_number > table.row_number.max() - 3)
    found: pd.DataFrame = table.filter(wanted).order_by("row_number").execute()
    return found.drop(columns=[c for c in ("row_number", "file") if c in found]).astype("object")


# --- asking ---------------------------------------------------------------------------------------------------


def _settle(looked: Looked, order: SourceOrder, guess: Guess, ask: Ask | None) -> Looked:
    """Answer open lines from the command line, then by asking; what is left stays open."""
    tried: set[tuple[str, str]] = set()
    while True:
        wanted = [(t, line) for t, lines in looked.sections() for line in lines if (t, line.key) not in tried]
        wanted = [(t, line) for t, line in wanted if line.is_open or line.key in order.columns]
        if not wanted:
            return looked
        table, line = wanted[0]
        tried.add((table, line.key))
        if line.key in order.columns:
            answer = _value(line, order.columns[line.key], looked)
        else:
            answer = _asked(ask, f"{looked.name}: {table}.{line.key}", line, looked)
        if answer is not None:
            answers = looked.answers | {line.key: answer}
            proposal = guess(looked.sample, _words(), order.stated | answers)
            looked = replace(looked, answers=answers, proposal=_with(proposal, table, line.key, answer))


def _with(proposal: Any, table: str, key: str, answer: Any) -> Any:
    """The proposal with one line changed, whatever was proposed."""
    lines = tuple(
        # an answer that the guess took may stand as an expression by now
        replace(line, value=answer, reason=STATED) if line.key == key and line.reason != STATED else line
        for line in proposal.sections[table]
    )
    return replace(proposal, sections=proposal.sections | {table: lines})


def _settle_system(one: Looked, looked: list[Looked], order: SourceOrder, ask: Ask | None) -> Looked:
    """Whose ids a file has, where identities are joined: asked where another file has some of them, else its own."""
    lines = one.proposal.sections.get(one.proposal.table, ())
    ids = next((line for line in lines if line.key == "customer_id"), None)
    others = [other for other in looked if other is not one and _ids(other)]
    if ids is None or not _ids(one) or not others:
        return one
    shared = [f"{len(_ids(one) & _ids(other))} in {other.name}" for other in others if _ids(one) & _ids(other)]
    why = f"a name for the system whose ids these are: of {len(_ids(one))} ids looked at "
    same = "the same name in both files if they are the same people"
    if shared:
        line = replace(ids, key="system", value=OPEN, reason=f"{why}{', '.join(shared)}, too; {same}")
        answer = order.columns.get("system") or _asked(ask, f"{one.name}: system", line)
        line = replace(line, value=answer, reason=STATED) if answer else line
    else:
        stem = re.sub("[^a-z0-9]+", "_", Path(one.name).stem.lower()).strip("_")
        line = replace(ids, key="system", value=f"of_{stem}", reason=f"{why}none is in another file; {same}")
    with_ids = {t: (line, *ls) for t, ls in one.proposal.sections.items() if any(x.key == "customer_id" for x in ls)}
    return replace(one, proposal=replace(one.proposal, sections=one.proposal.sections | with_ids))


def _ids(one: Looked) -> set[str]:
    """Ids of customers in the sample, where they are a column as it is and no addresses."""
    lines = one.proposal.sections.get(one.proposal.table, ())
    header = next((line.value for line in lines if line.key == "customer_id"), "")
    addresses = next((line.value.values() for line in lines if line.key == "keys"), ())
    known = not one.format and isinstance(header, str) and header in one.sample and header not in addresses
    return {str(value).strip() for value in one.sample[header].dropna()} if known else set()


def _asked(ask: Ask | None, where: str, line: Any, looked: Looked | None = None) -> Any:
    """A numbered question; None without an answer."""
    if ask is None:
        return None
    print(f"\n{where}: {line.reason}")
    for number, choice in enumerate(line.choices, 1):
        print(f"  {number}  {choice.words}")
    given = ask("a number, or your own (nothing leaves it open): ").strip()
    return _value(line, given, looked) if given else None


def _value(line: Any, text: str, looked: Looked | None) -> Any:
    """What an answer means: a choice by its number, a column by its name, a word for every row."""
    if text.isdigit() and 1 <= int(text) <= len(line.choices):
        return line.choices[int(text) - 1].value
    if looked is None or line.key in ANSWERS or text in looked.sample.columns:
        return text
    if line.key == "leave_out":
        raise ParameterError(f"--column leave_out == {text!r}; it must be the number of a choice; take 1 or 2")
    quoted = text.replace("'", "''")
    return {"expr": text if re.fullmatch(r"-?\d+(\.\d+)?", text) else f"'{quoted}'"}


def _facts(looked: list[Looked], order: SourceOrder) -> list[Any]:
    """Lines about the whole source: stated, told by the files, or open."""
    told: dict[str, list[Any]] = {}
    for one in looked:
        for line in one.proposal.facts:
            told.setdefault(line.key, []).append(line)
    facts = []
    for key in FACTS:
        found = told.get(key, [])
        if key == "identifiers":
            found = sorted(found, key=lambda line: line.value != "direct") or [
                Fact(key, "pseudonymous", "no ids of customers")
            ]
        if (key == "key" and not with_keys(looked)) or (
            key == "extracted_on" and key not in order.stated and dated(looked)
        ):
            continue
        values = {str(line.value) for line in found}
        if key == "key" and (here := fingerprint_here()):
            found, values = [Fact(key, here, "of the privacy key that is here")], {here}
        if key in order.stated:
            facts.append(Fact(key, order.stated[key], STATED))
        elif found and (len(values) == 1 or key == "identifiers"):
            facts.append(found[0])
        else:
            facts.append(Fact(key, OPEN, FACTS[key][1] + (f" ({', '.join(sorted(values))})" if values else "")))
    return facts


def _answered_fact(line: Any, ask: Ask | None) -> Any:
    if line.value != OPEN:
        return line
    answer = _asked(ask, line.key, line)
    return line if answer is None else Fact(line.key, answer, STATED)

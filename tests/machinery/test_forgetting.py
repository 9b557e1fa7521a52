"""One customer is taken out of every file of every run, others stay as they were, and a crash leaves nothing half."""

import csv
import hashlib
import json
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from segmentkit.errors import ParameterError, PrivacyStop
from segmentkit.machinery import data_commands, erasing, exports, privacy_key
from segmentkit.machinery.files import read_json, sha256, write_json
from segmentkit.machinery.forgetting import tombstones
from segmentkit.machinery.manifest import Manifest
from segmentkit.machinery.output_scan import known
from segmentkit.machinery.runs import describe_parquet
from segmentkit.machinery.sources import Part, Source
from segmentkit.pseudonyms import fingerprint, keyed, pseudonym

SECRET = bytes(range(32))
ANNA, BEN = "anna@example.com", "ben@example.com"
PHONE = "+493090182055"
FACTS = {"currency": "EUR", "time_zone": "UTC", "analysis_basis": "contract", "country": "DE"}
BOOK = (
    "customer_id,email,phone,first_name,last_name,postcode\n"
    "7,Anna@Example.com,030 90182055,Anna,Schmidt,10115\n8,ben@example.com,,Ben,Schmidt,10115\n"
)
ID = {name: pseudonym(SECRET, "shop", number) for name, number in (("anna", "7"), ("ben", "8"))}
KEYS = {
    "anna": [keyed(SECRET, "shop", "7"), keyed(SECRET, "email", ANNA), keyed(SECRET, "phone", PHONE)],
    "ben": [keyed(SECRET, "shop", "8"), keyed(SECRET, "email", BEN)],
}


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("SEGMENTKIT_KEY_FILE", str(tmp_path / "key"))
    privacy_key._write(tmp_path / "key", SECRET)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "book.csv").write_text(BOOK, encoding="utf-8")
    return tmp_path / "outputs"


def one_file(platform: str, table: dict[str, list[str]]) -> Any:
    return SimpleNamespace(
        platform=platform, name="list.csv", table=pd.DataFrame(table, dtype="str"), notes=(),
        for_people=platform == "plain", most_bytes=0, open_columns=(), guide="# Guide\n",
    )  # fmt: skip


def make_run(outputs: Path, name: str, *, direct: bool = True, key: str = "shop") -> Path:
    """A run with tables, crosswalk, quarantine, exports and log; by pseudonyms, or by the source's own ids."""
    folder = outputs / name
    anna, ben = (ID["anna"], ID["ben"]) if direct else ("7", "8")
    facts = FACTS | (
        {"identifiers": "direct", "key": fingerprint(SECRET)} if direct else {"identifiers": "pseudonymous"}
    )
    columns: dict[str, Any] = {one: one for one in BOOK.splitlines()[0].split(",")}
    book = Part("book.csv", columns, system="shop", keys={"email": "email", "phone": "phone"} if direct else {})
    purchases = Part("orders.csv", {"customer_id": "customer_id"}, keys={"email": "email"} if direct else {})
    write_json(
        folder / "source.json",
        asdict(Source(key, facts, {"transactions": (purchases,)}, str(outputs.parent), {}, (book,))),
    )
    tables = {
        "transactions": {"customer_id": [anna, ben, anna], "line_id": ["7", "8", "9"], "amount": [1.5, 2.0, 3.0]},
        "segments": {"customer_id": [anna, ben], "segment_key": ["A", "B"]},
        "weeks": {"week": pd.to_datetime(["2026-01-05"]), "customers": [2]},
    }
    if direct:
        everyone = [(ID[who], "kind", one) for who in KEYS for one in KEYS[who]]
        tables["crosswalk"] = dict(zip(("customer_id", "kind", "key"), zip(*everyone, strict=True), strict=True))
    for table, content in tables.items():
        path = folder / "tables" / f"{table}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(content).to_parquet(path, index=False)
        Manifest(folder).add("01_data_collection", "outputs", table, describe_parquet(path))
        Manifest(folder).add("02_exploratory_analysis", "inputs", table, describe_parquet(path))
    (folder / "quarantine").mkdir()
    pd.DataFrame({"customer_id": [anna, None], "rule": "r"}).to_parquet(folder / "quarantine" / "transactions.parquet")
    (folder / "log.jsonl").write_text(f'{{"text": "a"}}\n{{"text": "{ANNA.upper()}"}}\n', encoding="utf-8")
    files = [
        one_file("plain", {"customer_id": [anna, ben], "note": ['two\nlines, "quoted"', "x"]}),
        one_file("mailchimp", {"Email Address": [ANNA, BEN]}),
        one_file("meta", {"email": ["", ""], "phone": [hashed(PHONE[1:]), ""], "fn": [hashed("anna"), hashed("ben")]}),
        one_file("google", {"Email": ["", ""], "First Name": [hashed("anna"), hashed("ben")],
                            "Last Name": [hashed("schmidt")] * 2, "Zip": ["10115"] * 2}),
    ]  # fmt: skip
    draw = pd.DataFrame({"campaign_id": "next", "customer_id": [anna, ben], "arm": "reached", "designed_share": 0.9,
                         "stratum": "A", "assigned_at": pd.Timestamp(2026, 6, 1)})  # fmt: skip
    exports.write(
        folder, "next", files, draw, start=date(2026, 6, 2), end=date(2026, 6, 9), facts={"day": "2026-06-01"},
        dry_run=False,
    )  # fmt: skip
    return folder


def forget(*words: str) -> int:
    parser = ArgumentParser()
    data_commands.forget_parser(parser.add_subparsers())
    options = parser.parse_args(["forget", *words])
    return int(options.command(options))


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.reader(handle, strict=True))


def check_gone(folder: Path, anna: str, ben: str) -> None:
    """Nothing of one customer, everything of the other, and every manifest in step with its files."""
    for path in folder.glob("*/*.parquet"):
        table = pd.read_parquet(path)
        assert not table.astype("str").isin({anna, *KEYS["anna"]}).to_numpy().any(), path
    bought = pd.read_parquet(folder / "tables" / "transactions.parquet")
    assert bought.to_dict("list") == {"customer_id": [ben], "line_id": ["8"], "amount": [2.0]}
    for stage in Manifest(folder).read()["stages"].values():
        for name, entry in (stage.get("inputs", {}) | stage.get("outputs", {})).items():
            assert entry == describe_parquet(folder / "tables" / f"{name}.parquet")
    sent = folder / "exports" / "next"
    for entry in read_json(sent / "manifest.json")["files"]:
        path = sent / entry["file"]
        assert (entry["bytes"], entry["sha256"]) == (path.stat().st_size, sha256(path))
        if path.suffix == ".csv" and path.name != "campaigns.csv":
            assert entry["rows"] == len(rows(path)) - 1 == 1, path
            if path.parent.name != "hold_out":
                told = f"`{path.name}`: 1 rows, {entry['bytes']:,} bytes"
                assert told in (path.parent / "README.md").read_text(encoding="utf-8")
    assert rows(sent / "mailchimp" / "list.csv") == [["Email Address"], [BEN]]
    assert rows(sent / "plain" / "list.csv") == [["customer_id", "note"], [ben, "x"]]
    assert (sent / "plain" / "list.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert known(folder, [ANNA, PHONE]) == []


@pytest.mark.parametrize(
    "who", [["ANNA@example.com "], ["030/90182055", "--kind", "phone"], ["+49 30 90182055"], ["7", "--kind", "shop"],
            [ID["anna"]]], ids=lambda words: words[0],
)  # fmt: skip
def test_a_customer_is_gone_from_every_file_whatever_is_given(
    outputs: Path, who: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, market = make_run(outputs, "may"), make_run(outputs, "batch/de")
    before = everything(outputs)
    assert forget(*who) == 0
    assert everything(outputs) == before
    assert "Nothing was changed" in capsys.readouterr().out
    assert forget(*who, "--yes") == 0
    told = capsys.readouterr().out
    for run in (folder, market):
        check_gone(run, *ID.values())
    assert "may/tables/transactions.parquet: 2 rows" in told
    assert "campaign next of may, 2026-06-01: list.csv, list.csv, list.csv, list.csv" in told
    assert "book.csv, orders.csv" in told
    assert ANNA not in told.lower()
    assert "90182055" not in told
    assert tombstones(outputs) >= {ID["anna"], *KEYS["anna"]}
    assert not tombstones(outputs) & {ID["ben"], *KEYS["ben"]}
    assert ANNA not in (outputs / "tombstones.json").read_text(encoding="utf-8")


def test_a_second_call_changes_nothing(outputs: Path) -> None:
    make_run(outputs, "may")
    forget(ANNA, "--yes")
    before = everything(outputs)
    forget(ANNA, "--yes")
    forget(ID["anna"], "--yes")
    assert everything(outputs) == before


@pytest.mark.parametrize("crash", [1, 2, 5, 9, 12, 15, 16, 17])
def test_a_crash_leaves_every_file_whole_and_a_second_call_finishes(
    outputs: Path, crash: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(outputs, "may")
    calls = 0

    def breaking(write: Callable[..., Any]) -> Callable[..., Any]:
        def now(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            number = calls
            result = write(*arguments)
            if number == crash:
                raise KeyboardInterrupt
            return result

        return now

    with monkeypatch.context() as patched:
        for name in ("_note_table", "_note_export", "_rewrite_table", "_rewrite_lines"):
            patched.setattr(erasing, name, breaking(getattr(erasing, name)))
        with pytest.raises(KeyboardInterrupt):
            forget(ANNA, "--yes")
    for path in folder.glob("*/*.parquet"):
        pd.read_parquet(path)
    assert not list(folder.rglob("*.tmp"))
    # the e-mail alone finds what is left, although the crosswalk may be empty already
    (outputs.parent / "book.csv").unlink()
    forget(ANNA, "--yes")
    for path in folder.glob("*/*.parquet"):
        assert not pd.read_parquet(path).astype("str").isin({ID["anna"], *KEYS["anna"]}).to_numpy().any(), path
    for stage in Manifest(folder).read()["stages"].values():
        for name, entry in (stage.get("inputs", {}) | stage.get("outputs", {})).items():
            assert entry == describe_parquet(folder / "tables" / f"{name}.parquet")


def test_ids_of_a_sources_own_making_are_found_in_their_columns_alone(outputs: Path) -> None:
    folder = make_run(outputs, "may", direct=False)
    forget("7", "--yes")
    check_gone(folder, "-", "8")
    assert tombstones(outputs, "shop") == {"7"}
    assert tombstones(outputs, "another") == set()


def test_a_pseudonymous_customer_is_found_by_e_mail_through_the_address_book(outputs: Path) -> None:
    folder = make_run(outputs, "may", direct=False)
    forget(ANNA, "--yes")
    check_gone(folder, "-", "8")
    assert json.loads((outputs / "tombstones.json").read_text(encoding="utf-8"))["forgotten"][0]["ids"] == ["7"]


def test_one_id_of_two_businesses_is_asked_about(outputs: Path) -> None:
    first, second = make_run(outputs, "a", direct=False), make_run(outputs, "b", direct=False, key="other")
    before = everything(outputs)
    with pytest.raises(ParameterError, match=r"2 sources \(other, shop\).*--source"):
        forget("7", "--yes")
    assert everything(outputs) == before
    forget("7", "--source", "other", "--yes")
    check_gone(second, "-", "8")
    assert len(pd.read_parquet(first / "tables" / "transactions.parquet")) == 3
    with pytest.raises(ParameterError, match="other, shop"):
        forget("7", "--source", "nobody")


def test_a_phone_that_two_customers_share_is_not_guessed_about(outputs: Path) -> None:
    make_run(outputs, "may", direct=False)
    book = outputs.parent / "book.csv"
    book.write_text(BOOK.replace("ben@example.com,,", "ben@example.com,030 90182055,"), encoding="utf-8")
    with pytest.raises(ParameterError, match="2 customers"):
        forget(PHONE, "--yes")


def test_a_run_of_a_key_that_is_not_here_stops_before_anything(outputs: Path) -> None:
    make_run(outputs, "may")
    (outputs.parent / "key").unlink()
    before = everything(outputs)
    with pytest.raises(PrivacyStop, match=f"{fingerprint(SECRET)} of run may"):
        forget(ANNA, "--yes")
    assert everything(outputs) == before
    forget(ID["anna"], "--yes")
    assert len(pd.read_parquet(outputs / "may" / "tables" / "transactions.parquet")) == 1


def test_a_page_that_names_the_customer_is_said_and_stays(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(outputs, "may")
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text(f"<p>{ID['anna']}</p>", encoding="utf-8")
    forget(ANNA, "--yes")
    told = capsys.readouterr().out
    assert "may/report/index.html: mentions the customer and stays" in told
    assert "run --run may --from 01" in told


def test_without_the_address_book_it_is_said_what_was_not_searched(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(outputs, "may")
    (outputs.parent / "book.csv").unlink()
    forget(ID["anna"])
    assert "may: the address book cannot be read" in capsys.readouterr().out


def test_a_customer_of_no_run_gets_a_tombstone_by_key_alone(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(outputs, "may")
    before = everything(outputs / "may")
    forget("carl@example.com", "--yes")
    assert everything(outputs / "may") == before
    assert tombstones(outputs) == {make(SECRET, "email", "carl@example.com") for make in (keyed, pseudonym)}
    assert "carl@" not in (outputs / "tombstones.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [[""], ["noreply@example.com"], ["0", "--kind", "shop"]])
def test_what_names_nobody_is_refused(outputs: Path, words: list[str]) -> None:
    make_run(outputs, "may")
    with pytest.raises(ParameterError, match="nobody can be found by it"):
        forget(*words, "--yes")

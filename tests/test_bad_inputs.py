"""Bad inputs through notebook 01's pipeline and the command line, and its sums under random tables."""

import csv
import io
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bad_files import FEWER, write
from bad_inputs import GOOD, INPUTS, ROW, Answer, Bad, collected, facts, lines, orders
from segmentkit.errors import exit_code_of
from segmentkit.machinery import unpacking
from segmentkit.machinery.runs import connect

IDENTIFIERS = re.compile(r"ann\d*@example|170 12345")


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


def test_there_are_many_inputs_of_many_kinds() -> None:
    assert len(INPUTS) >= 80
    assert len({bad.kind for bad in INPUTS}) >= 25
    assert len({(bad.kind, bad.what) for bad in INPUTS}) == len(INPUTS)


@pytest.mark.parametrize("bad", INPUTS, ids=lambda bad: f"{bad.kind}: {bad.what}")
def test_the_answer_says_what_and_where_and_how_to_mend(
    bad: Bad, tmp_path: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(unpacking.LIMIT_VARIABLE, "4")
    answer = collected(bad, tmp_path, connection)
    assert answer.error == bad.error, answer.message
    assert [part for part in bad.says if part not in answer.message] == [], answer.message
    if bad.error:
        assert ";" in answer.message
        assert exit_code_of(bad.error) == {"ParameterError": 2, "AuditError": 5, "PrivacyStop": 6}.get(bad.error, 1)
    failed = answer.quarantined
    if not bad.error:
        assert dict(zip(failed["row_number"], failed["rule"], strict=True)) == bad.lost
        assert failed["file"].ne("").all()
        assert failed["mend"].str.len().gt(5).all()
        assert bad.warns in [check.check for check in answer.warnings] + [""]
    if len(failed) and not bad.error:
        first = failed.iloc[0]
        assert bad.shown in (None, first["value"])
        assert bad.mend in first["mend"]
    for one in answer.tables.values():
        assert one.rows_read == one.rows_kept + len(one.quarantined) + int(one.left_out["rows"].sum())
        if not bad.error:
            assert len(one.kept.execute()) == one.rows_kept
            assert not IDENTIFIERS.search(one.kept.execute().to_string())
    assert not IDENTIFIERS.search(answer.message + failed.to_string())


# --- random tables ---------------------------------------------------------------------------------------------

SOUND_CELLS = {
    "customer": ["c1", "c2", " c3 ", "007", "Ünal", "😀", "c4"],
    "mail": ["ann1@example.com", "Ann1@Example.com", "ann2@example.com", "ann3@example.com"],
    "order": ["o1", "o2", "a;b", "a,b", 'say "hi"', "two\nlines", "tab\there"],
    "day": ["2025-01-31", "2025-02-28 10:00", "2025-03-01 23:59:59"],
    "paid": ["0.10", "0.20", "-5.05", "1234.5", "3", "1,234.50"],
}
WRONG_CELLS = {
    "customer": ["", " ", "NULL", "1.2E+10"],
    "mail": ["", "no address", "noreply@example.com"],
    "order": ["", "n/a", "4.5E+9"],
    "day": ["", "31.12.2025", "2025-02-30", "1900-01-01", "2099-01-01", "99999-01-01", "=NOW()", "2025-01-01 (BC)"],
    "paid": ["", "1.234,50", "NaN", "-inf", "1e999", "$5", "=1", "−5", "\u0665"],
}
RAW_LINES = ["", "one field", "a|b|c", "1;2;3;4;5;6;7;8;9", "x" * 50, ",,,,,,,,", '"closed"', "\x1a"]
COLUMNS = ("customer", "order", "day", "paid")


@st.composite
def tables(draw: Any, first: str) -> list[bytes]:
    """One to three files of one writing, each with sound rows, wrong cells and lines that are none."""
    columns = (first, *COLUMNS[1:])
    delimiter = draw(st.sampled_from(",;\t|"))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    sound = st.tuples(*(st.sampled_from(SOUND_CELLS[name]) for name in columns))
    wrong = st.tuples(*(st.sampled_from(SOUND_CELLS[name] + WRONG_CELLS[name]) for name in columns))
    files = []
    for _ in range(draw(st.integers(1, 3))):
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerow(columns)
        for row in draw(st.lists(st.one_of(sound, wrong, st.sampled_from(RAW_LINES)), max_size=8)):
            _ = text.write(row + end) if isinstance(row, str) else writer.writerow(row)
        files.append(text.getvalue().encode(encoding))
    return files


def source_of(first: str) -> str:
    who = 'keys = { email = "mail" }' if first == "mail" else 'customer_id = "customer"'
    told = facts(identifiers='"direct"') if first == "mail" else facts()
    return f'{told}[transactions]\npath = "*.csv"\norder_id = "order"\nordered_at = "day"\namount = "paid"\n{who}\n'


def read_together(files: dict[str, bytes], first: str, connection: Any) -> Answer:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return collected(Bad("random", "random", source_of(first), files), Path(folder), connection)


def rows_of(answer: Answer) -> list[tuple[Any, ...]]:
    kept = answer.tables["transactions"].kept.execute()
    return sorted(map(tuple, kept.astype(object).where(kept.notna(), None).astype(str).to_numpy().tolist()))


@settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("first", ["customer", "mail"])
def test_whatever_the_table_rows_and_money_come_out_even(connection: Any, first: str, data: Any) -> None:
    files = data.draw(tables(first))
    # ... whose only error is one of the kit's
    answer = read_together({f"{n}.csv": content for n, content in enumerate(files)}, first, connection)
    assert "@example.com" not in answer.message.lower()
    for one in answer.tables.values():
        assert one.rows_read == one.rows_kept + len(one.quarantined) + int(one.left_out["rows"].sum())
        assert one.ledger["rows"].sum() == one.rows_read
        kept = one.kept.execute()
        assert len(kept) == one.rows_kept
        exact = sum((Decimal(str(value)) for value in kept["amount"]), Decimal(0))
        assert one.money("analysed") == pytest.approx(float(exact), abs=1e-9)
        assert not one.quarantined.duplicated(["file", "row_number"]).any()
        assert not re.search("@example", (kept.to_string() + one.quarantined.to_string()).lower())


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("first", ["customer", "mail"])
def test_the_rows_kept_do_not_depend_on_the_order_of_the_files(connection: Any, first: str, data: Any) -> None:
    files = data.draw(tables(first))
    there, back = (
        read_together({f"{n}.csv": content for n, content in enumerate(order)}, first, connection)
        for order in (files, files[::-1])
    )
    assert there.error == back.error
    if there.tables:
        assert rows_of(there) == rows_of(back)


# --- the command line ------------------------------------------------------------------------------------------

DIRECT = facts(identifiers='"direct"') + orders('keys = { email = "Customer" }')
BY_COMMAND = [
    ("a parameter that is no number", facts() + orders(), GOOD, ["-p", "max_bad_share=five"], 2, "max_bad_share"),
    (
        "a fact that is wrong",
        facts(currency='"euro"') + orders(),
        GOOD,
        [],
        2,
        "currency == 'euro'; it must be one code",
    ),
    ("a file that is missing", facts() + orders(), {}, [], 1, "no file "),
    (
        "a quote that is open",
        facts() + orders(),
        {"orders.csv": lines('c1,"o,2025-01-01,5')},
        [],
        1,
        "orders.csv, row 21",
    ),
    (
        "too many wrong rows",
        facts() + orders(),
        {"orders.csv": lines("c1,o", *["c1,o,x,5"] * 9)},
        [],
        5,
        "10 of 50 rows",
    ),
    (
        "a warning that stops",
        facts() + orders('quantity = { expr = "NULL" }'),
        GOOD,
        ["-p", 'stop_on=["columns"]'],
        5,
        "quantity is empty in all 40 rows",
    ),
    (
        "addresses as ids",
        facts() + orders(),
        {"orders.csv": lines("ann@example.com,o,2025-01-01,5")},
        [],
        6,
        "PrivacyStop",
    ),
    ("no key", DIRECT, {"orders.csv": lines("ann@example.com,o,2025-01-01,5")}, [], 6, "segmentkit key new"),
    ("no server stated", facts() + orders(path="postgresql:NO_SUCH::shop.orders"), {}, [], 3, "NO_SUCH is not set"),
]
SEVERAL_AT_ONCE = 2


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[subprocess.CompletedProcess[str], Path]]:
    """Every command of ``BY_COMMAND``, two at a time: most of a short run is the start of its kernel."""
    outputs = tmp_path_factory.mktemp("outputs")
    environment = os.environ | {"SEGMENTKIT_OUTPUTS": str(outputs), "SEGMENTKIT_KEY_FILE": str(outputs / "no_key")}

    def run(number: int) -> subprocess.CompletedProcess[str]:
        _, toml, files, words, *_ = BY_COMMAND[number]
        folder = tmp_path_factory.mktemp(f"bad{number}")
        write(folder, files)
        (folder / "shop.toml").write_text(toml, encoding="utf-8")
        command = [sys.executable, "-m", "segmentkit", "run", "--run", f"bad{number}", "--until", "01"]
        return subprocess.run(
            [*command, "-p", f"source={folder / 'shop.toml'}", *words],
            env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120,
        )  # fmt: skip

    with ThreadPoolExecutor(SEVERAL_AT_ONCE) as pool:
        done = list(pool.map(run, range(len(BY_COMMAND))))
    return {one[0]: (done[n], outputs / f"bad{n}") for n, one in enumerate(BY_COMMAND)}


@pytest.mark.parametrize("case", BY_COMMAND, ids=lambda case: case[0])
def test_the_command_ends_with_the_code_of_its_error_and_says_it(ended: Any, case: Any) -> None:
    name, _, _, _, code, told = case
    done, _ = ended[name]
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, said[-2000:]
    assert told in said
    assert "ann@example.com" not in said


def test_a_run_that_stops_has_written_its_quarantine(ended: Any) -> None:
    _, run = ended["too many wrong rows"]
    failed = pd.read_parquet(run / "quarantine" / "transactions.parquet")
    assert sorted(failed["row_number"]) == list(range(ROW, ROW + 10))
    assert set(failed["file"]) == {"orders.csv"}
    assert failed["rule"].value_counts().to_dict() == {"ordered_at is not a date": 9, FEWER: 1}

"""Bad inputs through the whole of notebook 01's way of reading, in process: what each holds and what the kit answers.

``python tests/bad_inputs.py`` prints every input, its exit code and its message, and how many there are of how many
kinds. Inputs at the opening of files stand in ``bad_files.py``; parameters and batches in ``test_faults.py``.
"""

import gzip
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bad_files import FEWER, GROWN, MORE, NO_TEXT, book, duck, parquet, sqlite, write, zipped
from segmentkit.analysis import audit, audit_report, customer_rows, data_quality, identities
from segmentkit.errors import KitError, exit_code_of
from segmentkit.machinery import unpacking
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

SECRET = bytes.fromhex("5e" * 32)
MAX_BAD_SHARE = 0.5
FACTS = {
    "currency": '"EUR"',
    "time_zone": '"Europe/Berlin"',
    "identifiers": '"pseudonymous"',
    "analysis_basis": '"test"',
    "extracted_on": '"2025-12-31"',
}
HEADER = "Customer,Order,Date,Paid\n"
SOUND = [f"c{n % 10},o{n},2025-{1 + n % 12:02}-{1 + n % 28:02} 10:{n % 60:02}:00,{n}.50" for n in range(40)]
PEOPLE = [f"c{n},Town{n % 3},2024-01-0{1 + n % 9}" for n in range(30)]
# the row that a bad line gets among the sound ones
ROW = 21


@dataclass(frozen=True)
class Bad:
    """One input and the answer to it.

    ``error`` is the class of what stops the run (empty: it goes on) and ``says`` what its message holds; ``lost`` are
    the rows set aside by rule, ``shown`` the value that the quarantine shows of the first and ``mend`` what it advises;
    ``warns`` is the check that warns.
    """

    kind: str
    what: str
    toml: str | bytes
    files: Mapping[str, Any]
    error: str = ""
    says: tuple[str, ...] = ()
    lost: Mapping[int, str] = field(default_factory=dict)
    shown: str | None = None
    mend: str = ""
    warns: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of an input: the error, or what was read, kept, set aside and left out, and the warnings."""

    error: str
    message: str
    tables: Mapping[str, audit.Checked] = field(default_factory=dict)
    warnings: tuple[data_quality.Check, ...] = ()

    @property
    def quarantined(self) -> pd.DataFrame:
        failed = [one.quarantined for one in self.tables.values()]
        return pd.concat(failed, ignore_index=True) if failed else pd.DataFrame(columns=audit.QUARANTINE_COLUMNS)


def collected(bad: Bad, folder: Path, connection: Any) -> Answer:
    """Notebook 01 on one input, without the notebook."""
    write(folder, bad.files)
    toml = bad.toml.encode() if isinstance(bad.toml, str) else bad.toml
    (folder / "shop.toml").write_bytes(toml)
    checked: dict[str, audit.Checked] = {}
    try:
        source = load_source(str(folder / "shop.toml"))
        raw = read_source(source, connection)
        country, secret = source.facts.get("country", ""), SECRET if source.needs_key else b""
        people = identities.resolve(raw, secret, systems=source.systems, country=country)
        checked = audit.check_tables(customer_rows.joined(people.tables))
        audit_report.stop_if_too_bad(audit_report.scorecard(checked), MAX_BAD_SHARE)
        bought = checked.get("transactions")
        if bought:
            audit_report.money_bridge(bought, source.control_total)
        units = audit_report.unit_plausibility(bought.kept if bought else None, 0.5)
        checks = data_quality.look(checked, units)
        audit_report.findings(checked, units)
    except KitError as error:
        return Answer(type(error).__name__, str(error).replace(f"{folder}{os.sep}", ""), checked)
    return Answer("", "", checked, tuple(check for check in checks if check.result == "warn"))


def facts(**changed: str | None) -> str:
    return "".join(f"{key} = {value}\n" for key, value in {**FACTS, **changed}.items() if value is not None)


def section(table: str, path: str, more: str = "", **columns: str) -> str:
    mapped = "".join(f'{column} = "{header}"\n' for column, header in columns.items())
    return f'[{table}]\npath = "{path}"\n{mapped}{more}\n'


def orders(more: str = "", path: str = "orders.csv") -> str:
    return section(
        "transactions", path, more, customer_id="Customer", order_id="Order", ordered_at="Date", amount="Paid"
    )


def lines(*bad: str, header: str = HEADER) -> str:
    return header + "\n".join([*SOUND[: ROW - 1], *bad, *SOUND[ROW - 1 :]]) + "\n"


GOOD = {"orders.csv": lines()}


def fact(what: str, says: str, **changed: str | None) -> Bad:
    return Bad("source: facts", what, facts(**changed) + orders(), GOOD, "ParameterError", ("shop.toml", says))


def option(kind: str, what: str, more: str, error: str, *says: str) -> Bad:
    return Bad(kind, what, facts() + orders(more), GOOD, error, says)


def file(kind: str, what: str, content: Any, *says: str, path: str = "orders.csv", error: str = "DataError") -> Bad:
    """A file that is refused whole."""
    name = path.partition("::")[0]
    files = content if isinstance(content, dict) else {name: content}
    return Bad(kind, what, facts() + orders(path=path), files, error, says)


def row(kind: str, what: str, line: str | bytes, rule: str, shown: str = "", mend: str = "", more: str = "") -> Bad:
    """A line among sound ones that is set aside."""
    before, after = lines("@@@").encode().split(b"@@@")
    content = before + (line.encode() if isinstance(line, str) else line) + after
    return Bad(kind, what, facts() + orders(more), {"orders.csv": content}, lost={ROW: rule}, shown=shown, mend=mend)


def day(what: str, text: str, mend: str, rule: str = "is not a date", shown: str | None = None) -> Bad:
    given = text if shown is None else shown
    return row("values: dates", what, f'c1,o1,"{text}",5', f"ordered_at {rule}", given, mend)


def money(what: str, text: str, mend: str, shown: str | None = None) -> Bad:
    given = text if shown is None else shown
    line = f'c1,o1,2025-01-01,"{text}"'
    return row("values: money", what, line, "amount is not a number", given, mend)


def people(kind: str, what: str, attributes: str, *says: str, header: str = "Id,City,Since\n", **answer: Any) -> Bad:
    toml = facts() + section("customers", "people.csv", f"attributes = {{ {attributes} }}", customer_id="Id")
    rows = answer.pop("rows", PEOPLE)
    return Bad(kind, what, toml, {"people.csv": header + "\n".join(rows) + "\n"}, says=says, **answer)


def survey(what: str, items: str, line: str, *says: str, **answer: Any) -> Bad:
    toml = facts() + section("survey", "s.csv", f"[survey.items]\n{items}", customer_id="Who")
    rows = [f"r{n},{1 + n % 5}" for n in range(ROW - 1)]
    return Bad(
        "values: survey", what, toml, {"s.csv": "Who,Q\n" + "\n".join([*rows, line]) + "\n"}, says=says, **answer
    )


def small(kind: str, what: str, table: str, columns: str, *rows: str, **answer: Any) -> Bad:
    """A table whose columns have the names of the kit."""
    toml = facts() + section(table, "x.csv", **{column: column for column in columns.split(",")})
    return Bad(kind, what, toml, {"x.csv": f"{columns}\n" + "\n".join(rows) + "\n"}, **answer)


def foreign(what: str, rates: str, line: str, *says: str, **answer: Any) -> Bad:
    toml = facts() + orders('currency = "Cur"') + section("exchange_rates", "r.csv", currency="C", rate="R", origin="O")
    rows = [f"{one},EUR" for one in SOUND[: ROW - 1]]
    files = {
        "orders.csv": "Customer,Order,Date,Paid,Cur\n" + "\n".join([*rows, line]) + "\n",
        "r.csv": "C,R,O\n" + rates,
    }
    return Bad("values: currency", what, toml, files, says=says, **answer)


def columns_of(**changed: list[Any]) -> bytes:
    sound = {"Customer": ["c1", "c2", "c3"], "Order": [1, 2, 3], "Date": ["2025-01-01"] * 3, "Paid": [1.0, 2.0, 3.0]}
    return parquet(**(sound | changed))


def sheet(*more: tuple[Any, ...]) -> bytes:
    return book(("Customer", "Order", "Date", "Paid"), *[tuple(one.split(",")) for one in SOUND[: ROW - 1]], *more)


HALF = HEADER + "\n".join(SOUND[:30]) + "\n"
NOT_FIT = "an expression in the source's TOML cannot be used"
DELIMITER = "its header is read as one column"
OVERLAP = "repeats a row of another file"
TWICE = "customer_id appears more than once"
STOP, DATA, PRIVACY, WRONG = "AuditError", "DataError", "PrivacyStop", "ParameterError"

INPUTS = [
    # --- the source
    Bad("source: TOML", "not TOML", "currency = EUR\n", {}, WRONG, ("shop.toml: not TOML", "need quotes")),
    Bad("source: TOML", "TOML in UTF-16", (facts() + orders()).encode("utf-16"), GOOD, WRONG, ("save it as UTF-8",)),
    Bad(
        "source: TOML", "a byte order mark, as Notepad writes it", b"\xef\xbb\xbf" + (facts() + orders()).encode(), GOOD
    ),
    Bad("source: TOML", "one table twice", facts() + orders() * 2, GOOD, WRONG, ("twice (at line", "shop.toml")),
    Bad("source: TOML", "no table", facts(), {}, WRONG, ("no table; add [transactions]",)),
    Bad(
        "source: TOML",
        "a table misspelt",
        facts() + orders().replace("ns]", "n]"),
        GOOD,
        WRONG,
        ("'transaction' is unknown; did you mean transactions?",),
    ),
    fact("no currency", "currency is not stated; add currency = ", currency=None),
    fact("a currency in words", "currency == 'euro'; it must be one code of three capital letters", currency='"euro"'),
    fact("a currency sign", "currency == '€'; it must be one code", currency='"€"'),
    fact("two currencies", "currency == \"['EUR', 'USD']\"; it must be one code", currency='["EUR", "USD"]'),
    fact("a basis of blanks", "analysis_basis is not stated", analysis_basis='" "'),
    fact("an unknown zone", "time zone 'Berlin' is unknown; write e.g. Europe/Berlin", time_zone='"Berlin"'),
    fact("an unknown kind of identifiers", "identifiers == 'hashed'; it must be", identifiers='"hashed"'),
    fact("a question left open", "analysis_basis == '?'; nobody but you can say", analysis_basis='"?"'),
    fact("an export day to come", "2099-01-01'; write the day of the export", extracted_on='"2099-01-01"'),
    fact("an export day in another writing", "as YYYY-MM-DD", extracted_on='"31.12.2025"'),
    fact("a panel that may be", "panel == 'maybe'; it must be true or false", panel='"maybe"'),
    fact("a country in words", "in two letters, e.g. DE", country='"Germany"'),
    fact("a ledger total with a comma", "control_total == '1.000,50'; it must be", control_total='"1.000,50"'),
    fact("a key misspelt", "'curency' is unknown; did you mean", curency='"EUR"'),
    option("source: options", "a column of the kit misspelt", 'amout = "Paid"', WRONG, "did you mean amount?"),
    option(
        "source: options", "a decimal sign of another kind", 'decimal = ";"', WRONG, "[transactions] decimal == ';'"
    ),
    option("source: options", "a date format in words", 'date_format = "DD.MM.YYYY"', WRONG, '"%d.%m.%Y"'),
    option("source: options", "attributes of purchases", 'attributes = { A = "demographic" }', WRONG, "[customers]"),
    option("source: options", "an unknown format", 'format = "shopify"', WRONG, "did you mean shopify_orders?"),
    option("source: options", "another file's format", 'format = "shopify_orders"', DATA, "orders.csv has no column"),
    option("source: options", "a lookup that is not there", 'lookup = { path = "x.csv", on = "A" }', DATA, "x.csv"),
    Bad(
        "source: options",
        "a required column not mapped",
        facts() + orders().replace('amount = "Paid"\n', ""),
        GOOD,
        WRONG,
        ("does not say which column is amount; add amount = ",),
    ),
    Bad(
        "source: options",
        "the same file twice",
        facts() + orders().replace("[transactions]", "[[transactions]]") * 2,
        GOOD,
        DATA,
        ("orders.csv is read twice for the table transactions", "leave one out"),
    ),
    Bad(
        "source: paths",
        "a path out of the folder",
        facts() + orders(path="../" * 12 + "etc/passwd"),
        {},
        DATA,
        ("passwd", "check `path`" if os.name == "nt" else "save it as one of these"),
    ),
    Bad("source: paths", "a folder", facts() + orders(path="."), GOOD, DATA, ("is a folder; name a file in it",)),
    Bad("source: paths", "no such file", facts() + orders(path="ordres.csv"), GOOD, DATA, ("no file ordres.csv",)),
    option("source: expressions", "brackets not closed", 'quantity = { expr = "(1 +" }', DATA, NOT_FIT, "orders.csv"),
    option("source: expressions", "an unknown column", 'quantity = { expr = "Pice" }', DATA, '"Pice" not found'),
    option(
        "source: expressions",
        "a value that does not fit, shown masked",
        'quantity = { expr = "CAST(Customer AS DOUBLE)" }',
        DATA,
        "(2 characters) to DOUBLE",
        "TRY_CAST",
    ),
    option(
        "source: expressions", "a condition that is none", 'leave_out = { "x" = "Paid" }', DATA, NOT_FIT, "TRY_CAST"
    ),
    option("source: expressions", "a text for returns", 'returns = "Paid"', DATA, NOT_FIT, "[transactions]"),
    option(
        "source: expressions",
        "every row left out",
        'leave_out = { "test" = "true" }',
        STOP,
        "none of 40 rows is kept: 40 are left out",
        "mend leave_out",
    ),
    # --- files
    file("file: nothing in it", "no bytes", b"", "orders.csv is empty (0 bytes); export or copy it again"),
    file("file: nothing in it", "a header and no rows", HEADER, "orders.csv has a header and no rows; export it again"),
    file("file: nothing in it", "blank lines only", "\n\n", "no header line; give every column its own name"),
    file("file: something else", "a log-in page", "<!DOCTYPE html><html>", "a web page, often a log-in"),
    file("file: something else", "a workbook called .csv", sheet(), "rename it so that it ends in .xlsx"),
    file(
        "file: something else", "a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"
    ),
    file("file: header", "a title above it", "Orders of June\n\n" + lines(), "state skip_rows = "),
    file("file: header", "Excel's line sep=,", "sep=,\n" + lines(), "state skip_rows = 1"),
    file(
        "file: header",
        "three rows of Qualtrics",
        'Customer,Order,Date,Paid\nId,Q,R,S\n"{""ImportId"":1}",x,y,z\n',
        "state header_rows = 3",
    ),
    file(
        "file: header",
        "none, with an address in its place",
        "ann@example.com,o1,2025-01-01,5\n",
        "is an e-mail address",
    ),
    file("file: delimiter", "one that is not looked for", lines().replace(",", "^"), DELIMITER, "delimiter = "),
    file("file: delimiter", "every line within quotes", "\n".join(f'"{one}"' for one in lines().split()), DELIMITER),
    row("file: delimiter", "another one in one line", "c1;o1;2025-01-01;5", FEWER, mend="mend the line in the file"),
    row("file: ragged rows", "too few fields", "c1,o1", FEWER, mend="or export it again"),
    row("file: ragged rows", "a decimal comma without quotes", "c1,o1,2025-01-01,5,60", MORE, mend="in quotes"),
    Bad(
        "file: ragged rows",
        "a total below, without being stated",
        facts() + orders(),
        {"orders.csv": lines() + "\nTotal,820.00\n"},
        lost={41: FEWER},
    ),
    Bad(
        "file: ragged rows",
        "the mark of an old end of file",
        facts() + orders(),
        {"orders.csv": lines() + "\x1a"},
        lost={41: FEWER},
    ),
    file("file: quotes", "one that is not closed", lines('c1,"o1,2025-01-01,5'), "orders.csv, row 21", "close it"),
    row("file: quotes", "escaped by a backslash", 'c1,"a \\"b\\" c",2025-01-01,5', "unreadable: a quote is not closed"),
    row("file: quotes", "single ones", "'c1','o1','2025-01-01','5'", "ordered_at is not a date", "'2025-01-01'"),
    file("file: encoding", "Windows letters", lines(*["cö,o1,2025-01-01,5"] * 3).encode("cp1252"), "cp1252 (reads ö)"),
    row("file: encoding", "one line in another", "cö,o1,2025-01-01,5".encode("latin-1"), NO_TEXT),
    row("file: encoding", "an overlong character", b"c\xc0\xaf,o1,2025-01-01,5", NO_TEXT),
    Bad(
        "file: encoding",
        "UTF-32, read as such",
        facts() + orders(),
        {"orders.csv": lines("c1,o1").encode("utf-32")},
        lost={ROW: FEWER},
    ),
    file("file: line ends", "of two kinds", lines().replace("\n", "\r\n", 5), "5 of Windows (CR LF), 36 of Unix (LF)"),
    row("file: line ends", "NUL bytes in a line", b"c1\0,o1,2025-01-01,5", "unreadable: the line holds NUL bytes"),
    row(
        "file: long lines",
        "three million letters",
        f"c1,{'x' * 3_000_000},2025-01-01,5",
        "unreadable: the line is too long",
    ),
    file(
        "file: archives", "gzip cut off", gzip.compress(lines().encode())[:-20], "copy it again", path="orders.csv.gz"
    ),
    file("file: archives", "a zip bomb", GROWN, "would unpack to 4.29 GB or more; allowed: 4 GB", path="a.zip"),
    file("file: archives", "with a password", zipped(("a.csv", lines()), encrypted=True), "is encrypted", path="a.zip"),
    file("file: archives", "a way out", zipped(("../a.csv", lines())), "a path that leaves the archive", path="a.zip"),
    file("file: workbooks", "several sheets", book(("a",), Old=[("a",)]), "name one: a.xlsx::Orders", path="a.xlsx"),
    Bad(
        "file: workbooks",
        "day numbers, blanks, formulas",
        facts() + orders(path="a.xlsx"),
        {"a.xlsx": sheet(("c1", "o", 45000, 5), ("c1", "o", None, 5), ("c1", "o", "2025-01-01", "=A1"))},
        lost={
            21: "ordered_at is not a date",
            22: "ordered_at is missing",
            23: "unreadable: the formula was never computed",
        },
        shown="45000",
        mend="a number of days is how a spreadsheet keeps a date",
    ),
    file("file: JSON", "keys that differ by capitals", '{"Customer": 1, "customer": 2}\n', "twice", path="a.jsonl"),
    Bad(
        "file: JSON",
        "nested and missing values",
        facts() + orders(path="a.json"),
        {
            "a.json": json.dumps(
                [{"Customer": "c1", "Order": 1, "Date": "2025-01-01", "Paid": 5}] * 3
                + [{"Customer": "c1", "Order": 1, "Date": "2025-01-01", "Paid": {"EUR": 5}}, {"Order": 1}]
            )
        },
        lost={4: "amount is not a number", 5: "customer_id is missing"},
        shown='{"EUR":5}',
    ),
    file("file: parquet", "cut off", columns_of()[:-9], "copy it again: it may be cut off", path="a.parquet"),
    file(
        "file: parquet",
        "yes and no for amounts",
        columns_of(Paid=[True, False, True]),
        "3 of 3 rows (100.0%)",
        "amount is not a number",
        path="a.parquet",
        error=STOP,
    ),
    Bad(
        "file: parquet",
        "ids that became numbers",
        facts() + orders(path="a.parquet"),
        {"a.parquet": columns_of(Customer=[1.0, None, 3.0])},
        lost={2: "customer_id is missing"},
        warns="ids",
    ),
    file("file: databases", "no such table", {"a.sqlite": sqlite}, "it has: orders, people", path="a.sqlite::ordrs"),
    file("file: databases", "no table named", {"a.duckdb": duck}, "state one as a.duckdb::TABLE", path="a.duckdb"),
    Bad(
        "files: several",
        "one without a column",
        facts() + orders(path="*.csv"),
        {"a.csv": lines(), "b.csv": lines().replace("Paid", "Total")},
        DATA,
        ("b.csv has no column 'Paid'", "it has: "),
    ),
    Bad(
        "files: several",
        "one within another",
        facts() + orders(path="*.csv"),
        {"a.csv": lines(), "b.csv": HALF},
        lost=dict.fromkeys(range(1, 31), OVERLAP),
    ),
    # --- columns
    file("columns: names", "renamed", lines().replace("Paid", "Paid total"), "did you mean 'Paid total'?"),
    file(
        "columns: names",
        "other capitals",
        lines().replace("Customer", "CUSTOMER"),
        "orders.csv has no column 'Customer'",
    ),
    file(
        "columns: names",
        "one twice",
        "Customer,Order,Order,Paid\n1,2,3,4\n",
        "'Order' twice; give every column its own",
    ),
    people(
        "columns: names of the kit",
        "an attribute File",
        'File = { basis = "geographic", column = "City" }',
        "a column of every customers table; give it another name",
        error=WRONG,
    ),
    people(
        "columns: names of the kit", "an attribute as id", 'customer_id = "geographic"', "another name", error=WRONG
    ),
    people("columns: basis", "an unknown one", 'City = "place"', "allowed: demographic, geographic", error=WRONG),
    people(
        "columns: empty",
        "a city for nobody",
        'City = "geographic"',
        rows=[f"c{n},,2024-01-01" for n in range(30)],
        warns="columns",
    ),
    people(
        "columns: direct identifiers",
        "e-mails as an attribute",
        'City = "geographic"',
        "City holds e-mail",
        "take the",
        rows=[f"c{n},ann{n}@example.com,2024" for n in range(30)],
        error=PRIVACY,
    ),
    people(
        "columns: direct identifiers",
        "phones as an attribute",
        'City = "geographic"',
        "phone numbers == 30 rows",
        rows=[f"c{n},+49 170 12345{n},2024" for n in range(30)],
        error=PRIVACY,
    ),
    file(
        "columns: direct identifiers",
        "e-mails as ids",
        lines("ann@example.com,o1,2025-01-01,5"),
        "== 1 rows",
        "state the column as a key",
        error=PRIVACY,
    ),
    file(
        "columns: direct identifiers",
        "phones as ids",
        lines("+49 170 1234567,o1,2025-01-01,5"),
        "customer_id holds e-mail addresses or phone numbers == 1 rows",
        error=PRIVACY,
    ),
    # --- values
    day("another writing", "31.12.2025", "dates like 31.12.2025 need one"),
    day("month first", "12/31/2025", "or date_format"),
    day("no such day", "2025-02-30", "there is no such day or hour"),
    day("no such hour", "2025-06-01 25:00", "there is no such day or hour"),
    day("two digits", "01.02.25", "export four"),
    day("a day number", "45000", "export it as a date"),
    day("seconds since 1970", "1735689600", "epoch_ms", shown="17… (10 characters)"),
    day("without signs", "20250601", '"%Y%m%d"'),
    day("the zero of a database", "0000-00-00", "there is no such day"),
    day("the year 12025", "12025-06-01", "mend the value", shown="12… (11 characters)"),
    day("before Christ", "2025-06-01 (BC)", "mend the value"),
    day("letters of a zone", "2025-06-01 10:00 CET", "export an offset like +01:00"),
    day("a column too narrow", "#####", "widen it and export again"),
    day("a word", "yesterday", "mend the value", shown="ye… (9 characters)"),
    day("a formula", "=A1", "a formula stands as text"),
    day("Arabic digits", "٢٠٢٥-٠٦-٠١", "mend the value"),
    day("missing", "", "leave the row out", "is missing"),
    day("the first second of Unix", "1970-01-01", "find the true date", "is a default date"),
    day("the first day of Excel", "1900-01-01", "find the true date", "is a default date"),
    day("after the export", "2026-01-01", "extracted_on is too early", "is after the data were extracted"),
    day("the last day of all", "9999-12-31", "extracted_on is too early", "is after the data were extracted"),
    money("German writing", "1.234,50 €", "or state decimal in the source"),
    money("a thousand, or one and a bit", "1,234", "export without thousands marks"),
    money("brackets", "(5.00)", "brackets mean minus"),
    money("a minus behind", "5.00-", "write it in front"),
    money("a dash for a minus", "−5.00", "write the sign of the keyboard"),
    money("not a number", "NaN", "export it blank"),
    money("infinity", "inf", "export it blank"),
    money("beyond every ledger", "1e400", "mend the value"),
    money("an error of a spreadsheet", "#REF!", "export it blank"),
    money("a formula", "=A1+B1", "a formula stands as text"),
    money("a share", "5%", "take the percent sign out"),
    money("another currency", "$5", "map a currency column"),
    money("a word, masked", "free", "mend the value", shown="f… (4 characters)"),
    option(
        "values: money", "points where a comma is stated", 'decimal = ","', STOP, "40 of 40 rows", "amount is not a"
    ),
    row("values: ids", "missing", ",o1,2025-01-01,5", "customer_id is missing", "", "fill customer_id"),
    row("values: ids", "blanks", "  ,o1,2025-01-01,5", "customer_id is missing", "  "),
    row(
        "values: ids",
        "a word for none",
        "NULL,o1,2025-01-01,5",
        "customer_id is a word for none",
        "N… (4 characters)",
        "leave customer_id empty",
    ),
    row(
        "values: ids",
        "a word for no order",
        "c1,N/A,2025-01-01,5",
        "order_id is a word for none",
        "N… (3 characters)",
        "one order",
    ),
    row(
        "values: ids",
        "rounded",
        "1.23E+12,o1,2025-01-01,5",
        "customer_id was rounded by a spreadsheet",
        "1.… (8 characters)",
        "as text",
    ),
    row(
        "values: header again",
        "of two files put together",
        HEADER.strip(),
        "ordered_at is not a date",
        "D… (4 characters)",
    ),
    Bad(
        "values: ids",
        "a blank without width",
        facts() + orders(),
        {"orders.csv": lines("c\u200b1,o1,2025-01-01,5")},
        warns="ids",
    ),
    foreign("none", "USD,0.9,ECB\n", SOUND[0] + ",", lost={ROW: "currency is missing"}, mend="fill currency"),
    foreign(
        "no rate", "USD,0.9,ECB\n", SOUND[0] + ",GBP", lost={ROW: "currency has no exchange rate"}, mend="add its rate"
    ),
    foreign("small letters", "USD,0.9,ECB\n", SOUND[0] + ",eur", lost={ROW: "currency has no exchange rate"}),
    foreign(
        "a rate of zero", "USD,0,ECB\n", SOUND[0] + ",USD", "table exchange_rates", "rate is not above zero", error=STOP
    ),
    foreign("a rate for its own", "EUR,2,ECB\n", SOUND[0] + ",EUR", "own currency is not 1", error=STOP),
    foreign(
        "two rates for one", "USD,0.9,a\nUSD,0.8,b\n", SOUND[0] + ",USD", "currency appears more than once", error=STOP
    ),
    small(
        "values: flags",
        "a perhaps",
        "consents",
        "customer_id,channel,purpose,granted",
        "c1,email,news,yes",
        "c2,email,news,maybe",
        lost={2: "granted is not true or false"},
        mend="write true or false",
    ),
    survey("half a level", 'Q = "ordinal"', "r99,3.5", lost={ROW: "Q is not a whole number"}, shown="3.5"),
    survey(
        "a level not stated",
        'Q = { kind = "ordinal", levels = ["1", "2", "3", "4", "5"] }',
        "r99,6",
        lost={ROW: "Q is not one of its levels"},
        mend="(1, 2, 3, 4, 5)",
    ),
    survey("a respondent twice", 'Q = "ordinal"', "r1,3", lost={2: TWICE, ROW: TWICE}, shown="r1"),
    survey("an unknown kind", 'Q = "likert"', "r99,3", "allowed: binary, ordinal", error=WRONG),
    survey(
        "an item row_number", 'row_number = { kind = "ordinal", column = "Q" }', "r99,3", "another name", error=WRONG
    ),
    survey("an address in a closed answer", 'Q = "nominal"', "r99,ann@example.com", "Q holds e-mail", error=PRIVACY),
    survey("an address in own words, taken out", 'Q = "open"', "r99,write to ann@example.com or +49 170 1234567"),
    small(
        "values: costs",
        "below zero",
        "acquisition_costs",
        "start,end,cost,origin",
        "2025-01-01,2025-01-31,-5,bill",
        "2025-01-01,2025-01-31,5,bill",
        lost={1: "cost is below zero"},
        shown="-5",
        mend="without a minus",
    ),
    small(
        "values: margins",
        "a percentage for a share",
        "margins",
        "category,margin_rate,origin",
        "a,40,plan",
        "b,0.4,plan",
        lost={1: "margin_rate is above 1"},
        shown="40",
        mend="0.25 is a quarter",
    ),
    small(
        "values: swapped dates",
        "an end before its start",
        "campaigns",
        "campaign_id,start,end",
        "a,2025-02-01,2025-01-01",
        "b,2025-01-01,2025-02-01",
        lost={1: "end is before start"},
        mend="swap the two dates",
    ),
    small(
        "values: both arms",
        "a customer in two",
        "assignments",
        "campaign_id,customer_id,arm,designed_share",
        "a,c1,control,0.5",
        "a,c1,treated,0.5",
        "a,c2,control,0.5",
        "a,c3,treated,0.5",
        lost=dict.fromkeys((1, 2), "campaign_id and customer_id appears more than once"),
    ),
    small(
        "values: shares",
        "a percentage for a share",
        "assignments",
        "campaign_id,customer_id,arm,designed_share",
        "a,c1,control,50",
        "a,c2,treated,0.5",
        warns="ranges",
    ),
    small(
        "values: impossible",
        "more clicks than impressions",
        "channel_results",
        "at,channel,clicks,impressions",
        "2025-01-01,ads,5,2",
        warns="ranges",
    ),
    people(
        "values: duplicates",
        "two rows of one customer",
        'City = "geographic"',
        rows=[*PEOPLE, "c0,Village,2024-01-01"],
        lost={1: TWICE, 31: TWICE},
        shown="c0",
        mend="keep the right row",
    ),
    Bad(
        "values: text",
        "scripts, formulas, emoji, very long",
        facts() + orders('category = "Kind"'),
        {
            "orders.csv": "Customer,Order,Date,Paid,Kind\n"
            + "\n".join(
                f"{one},{text}"
                for one, text in zip(
                    SOUND, ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "😀🛒", "x" * 10_000], strict=False
                )
            )
            + "\n"
        },
    ),
    # --- sizes
    Bad("sizes: one row", "one purchase", facts() + orders(), {"orders.csv": HEADER + SOUND[0] + "\n"}),
    Bad(
        "sizes: one customer",
        "all of one",
        facts() + orders(),
        {"orders.csv": HEADER + "\n".join("c1" + one[2:] for one in SOUND) + "\n"},
    ),
    file(
        "sizes: all bad",
        "no line fits the header",
        HEADER + "a,b\n" * 5,
        "none of its 5 rows fits the header",
        "delimiter",
    ),
    file(
        "sizes: all bad",
        "no date in any",
        HEADER + "c1,o1,x,5\n" * 5,
        "5 of 5 rows (100.0%)",
        "mend the file",
        error=STOP,
    ),
]


def table() -> pd.DataFrame:
    """Every input and what came of it."""
    os.environ[unpacking.LIMIT_VARIABLE] = "4"
    rows, connection = [], connect()
    for number, bad in enumerate(INPUTS, 1):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            answer = collected(bad, Path(folder), connection)
        rows.append({"id": f"{number:03}", "kind": bad.kind, "input": bad.what, **_told(answer)})
    return pd.DataFrame(rows)


def _told(answer: Answer) -> dict[str, Any]:
    failed = answer.quarantined
    if answer.error:
        return {"answer": "refused", "exit": exit_code_of(answer.error), "message": f"{answer.error}: {answer.message}"}
    if len(failed):
        first = failed.iloc[0]
        where = f"{first['file']}, row {first['row_number']}: {first['rule']} ({first['column']} {first['value']!r})"
        return {"answer": f"{len(failed)} set aside", "exit": 0, "message": f"{where}; {first['mend']}"}
    told = "; ".join(f"{one.table}, {one.check}: {one.sentence} {one.mend}" for one in answer.warnings)
    return {"answer": "warned" if told else "read", "exit": 0, "message": told or "read as it is meant"}


def main() -> None:
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    found = table()
    for row_ in found.itertuples():
        print(f"{row_.id}  {row_.kind}: {row_.input}\n     {row_.answer}, exit {row_.exit}: {row_.message}")
    kinds = Counter(found["kind"])
    print(f"\n{len(found)} inputs of {len(kinds)} kinds: {', '.join(f'{kind} {n}' for kind, n in kinds.items())}")


if __name__ == "__main__":
    main()

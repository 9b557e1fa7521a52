"""A file of 1.5 million rows and twelve columns with 500 planted faults: exactly those rows are set aside."""

import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from record import keep

from segmentkit.analysis import audit, audit_report, customer_rows, data_quality, identities
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

pytestmark = pytest.mark.heavy
ROWS, FAULTS, SEED = 1_500_000, 500, 5
HEADER = "Customer,Order,Line,Date,Paid,Currency,Quantity,Discount,Category,Product,Channel,Own"
CUSTOMER, ORDER, LINE, DATE, PAID, CURRENCY, QUANTITY, DISCOUNT, CATEGORY, PRODUCT, CHANNEL, OWN = range(12)
RATES = {"EUR": Decimal(1), "USD": Decimal("0.5")}
SOURCE = """
currency = "EUR"
time_zone = "Europe/Berlin"
identifiers = "pseudonymous"
analysis_basis = "generated"
extracted_on = "2025-12-31"
[transactions]
path = "lines.csv"
customer_id = "Customer"
order_id = "Order"
line_id = "Line"
ordered_at = "Date"
amount = "Paid"
currency = "Currency"
quantity = "Quantity"
discount = "Discount"
category = "Category"
product_id = "Product"
channel = "Channel"
own_brand = "Own"
[exchange_rates]
path = "rates.csv"
currency = "currency"
rate = "rate"
origin = "origin"
"""


def cell(place: int, text: str) -> Callable[[list[str]], str]:
    return lambda row: ",".join([*row[:place], text, *row[place + 1 :]])


UNREADABLE = "unreadable: the line "
# rule of the audit, and what makes of a sound row one that fails it
PLANTED: list[tuple[str, Callable[[list[str]], str]]] = [
    (UNREADABLE + "has fewer fields than the header", lambda row: ",".join(row[:8])),
    (UNREADABLE + "has more fields than the header", cell(PAID, "5,50")),
    ("unreadable: a quote is not closed", cell(CATEGORY, '"say "hi" twice"')),
    # a byte that begins no character, put in by ``write_lines``
    (UNREADABLE + "is not valid text in this encoding", cell(PRODUCT, "K\udcf6ln")),
    (UNREADABLE + "holds NUL bytes", cell(PRODUCT, "P\0")),
    ("customer_id is missing", cell(CUSTOMER, "")),
    ("customer_id is a word for none", cell(CUSTOMER, "NULL")),
    ("customer_id was rounded by a spreadsheet", cell(CUSTOMER, "1.23E+12")),
    ("order_id is missing", cell(ORDER, " ")),
    ("order_id is a word for none", cell(ORDER, "#N/A")),
    ("ordered_at is missing", cell(DATE, "")),
    ("ordered_at is not a date", cell(DATE, "31.12.2025")),
    ("ordered_at is not a date", cell(DATE, "2025-02-30")),
    ("ordered_at is not a date", cell(DATE, "12025-06-01")),
    ("ordered_at is a default date", cell(DATE, "1970-01-01")),
    ("ordered_at is after the data were extracted", cell(DATE, "2026-01-01")),
    ("amount is missing", cell(PAID, "")),
    ("amount is not a number", cell(PAID, '"1.234,50"')),
    ("amount is not a number", cell(PAID, "(5.00)")),
    ("amount is not a number", cell(PAID, "NaN")),
    ("currency is missing", cell(CURRENCY, "")),
    ("currency has no exchange rate", cell(CURRENCY, "GBP")),
    ("quantity is not a number", cell(QUANTITY, "two")),
    ("own_brand is not true or false", cell(OWN, "perhaps")),
    ("line_id appears again, of another customer", cell(LINE, "L0000000")),
]


def sound(number: int, chance: random.Random) -> tuple[list[str], Decimal]:
    """One row, and its amount in the source's currency; some hold delimiters, quotes and line breaks."""
    cents, draw = chance.randrange(-500, 20_000), chance.random()
    currency = "USD" if draw < 0.1 else "EUR"
    category = '"Bread, white"' if draw < 0.3 else '"12"" pizza"' if draw < 0.4 else f"Category {number % 60}"
    product = f'"P\n{number % 5000}"' if draw > 0.999 else f"P{number % 5000}"
    when = f"2025-{1 + number % 12:02}-{1 + number % 28:02} {number % 24:02}:{number % 60:02}:00"
    row = [f"c{chance.randrange(20_000)}", f"o{number // 3}", f"L{number:07}", when, f"{cents / 100:.2f}", currency]
    row += [
        str(1 + number % 4),
        "0.00",
        category,
        product,
        "shop" if draw < 0.5 else "web",
        "yes" if draw < 0.2 else "no",
    ]
    return row, Decimal(cents) / 100 * RATES[currency]


def write_lines(folder: Path) -> tuple[dict[int, str], Decimal]:
    """The file; the rule of each planted row by its number, and the money of all others."""
    chance = random.Random(SEED)
    # the first row stays sound: its line is the one that comes again
    numbers = chance.sample(range(2, ROWS + 1), FAULTS)
    planted = {number: PLANTED[place % len(PLANTED)] for place, number in enumerate(numbers)}
    money = Decimal(0)
    with (folder / "lines.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as target:
        target.write(HEADER + "\n")
        for number in range(1, ROWS + 1):
            row, amount = sound(number - 1, chance)
            if number in planted:
                target.write(planted[number][1](row) + "\n")
            else:
                target.write(",".join(row) + "\n")
                money += amount
    (folder / "rates.csv").write_text("currency,rate,origin\nUSD,0.5,generated\n", encoding="utf-8")
    (folder / "lines.toml").write_text(SOURCE, encoding="utf-8")
    return {number: rule for number, (rule, _) in planted.items()}, money


def test_exactly_the_planted_rows_are_set_aside(tmp_path: Path) -> None:
    planted, money = write_lines(tmp_path)
    clock, cpu = time.perf_counter(), time.process_time()
    source = load_source(str(tmp_path / "lines.toml"))
    people = identities.resolve(read_source(source, connect()), systems=source.systems)
    checked = audit.check_tables(customer_rows.joined(people.tables))
    bought = checked["transactions"]
    audit_report.stop_if_too_bad(audit_report.scorecard(checked), 0.05)
    bridge = audit_report.money_bridge(bought)
    data_quality.look(checked, audit_report.unit_plausibility(bought.kept, 0.5))
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    failed = bought.quarantined
    found = dict(zip(failed["row_number"], failed["rule"], strict=True))
    keep(
        "planted_faults", rows=ROWS, columns=HEADER.count(",") + 1, planted=len(planted), kinds=len(PLANTED),
        rules=len(set(planted.values())), set_aside=len(failed), right=sum(planted[n] == found.get(n) for n in planted),
        kept=bought.rows_kept, money_kept=str(bought.ledger.query("outcome == 'analysed'")["amount"].iloc[0]),
        megabytes=round((tmp_path / "lines.csv").stat().st_size / 1e6), seconds=round(seconds, 1),
        cpu_seconds=round(cpu, 1), peak_gb=round(peak / 1e9, 2),
    )  # fmt: skip
    assert found == planted, Counter(found.values()) - Counter(planted.values())
    assert len(failed) == FAULTS
    assert set(failed["file"]) == {"lines.csv"}
    assert failed["mend"].str.len().gt(5).all()
    assert (bought.rows_read, bought.rows_kept) == (ROWS, ROWS - FAULTS)
    assert bought.ledger.query("outcome == 'analysed'")["amount"].iloc[0] == money
    assert bridge.set_index("step")["amount"]["analysed"] == round(float(money), 2)

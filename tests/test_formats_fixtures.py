"""Fixtures of the ready maps: what the script writes is what is committed, and their truth agrees with the files."""

import csv
import gzip
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

import make_formats

FORMATS = make_formats.FORMATS
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "references" / "formats.json"
# how a source reads each fixture was written afterwards, by hand
FILES = sorted(path for path in FORMATS.rglob("*") if path.is_file() and path.name != "source.toml")
IN_FORMATS_JSON = {
    "hubspot_contacts": "hubspot_contacts_export",
    "salesforce_contacts": "salesforce_report_export",
    "ga4_events": "ga4_bigquery_events",
    "shopify_orders": "shopify_orders_export",
    "mailchimp_audience": "mailchimp_audience_export",
    "klaviyo_profiles": "klaviyo_profiles_export",
    "campaign_results": "campaign_results_generic",
    "qualtrics": "qualtrics_csv",
    "surveymonkey": "surveymonkey_csv",
    "google_forms": "google_forms_csv",
    "social_posts": "social_csv",
}


def contents(path: Path) -> dict[str, bytes]:
    """The bytes of a file: of an archive those of its members, for how they are packed differs between machines."""
    data = path.read_bytes()
    if path.suffix in {".zip", ".xlsx"}:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {entry.filename: archive.read(entry) for entry in archive.infolist()}
    return {path.name: gzip.decompress(data) if path.suffix == ".gz" else data.replace(b"\r\n", b"\n")}


def texts(path: Path) -> list[str]:
    if path.suffix == ".xlsx":
        sheet = openpyxl.load_workbook(path, read_only=True).worksheets[0]
        return ["\n".join(",".join(str(v) for v in row) for row in sheet.iter_rows(values_only=True))]
    encoding = {"report.csv": "iso-8859-1", "Campaign performance report.csv": "utf-16"}.get(path.name, "utf-8-sig")
    return [data.decode(encoding) for data in contents(path).values()]


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(texts(path)[0]), delimiter=delimiter))


def truth(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FORMATS / folder / "truth.json").read_text(encoding="utf-8"))
    return found


def test_the_script_writes_what_is_committed(tmp_path: Path) -> None:
    make_formats.write(tmp_path)
    assert [path.relative_to(FORMATS) for path in FILES] == sorted(
        path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()
    )
    for path in FILES:
        assert contents(path) == contents(tmp_path / path.relative_to(FORMATS)), path.relative_to(FORMATS)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the references do not stand beside this checkout")
@pytest.mark.parametrize(("folder", "entry"), IN_FORMATS_JSON.items())
def test_headers_are_verbatim(folder: str, entry: str) -> None:
    columns = json.loads(REFERENCE.read_text(encoding="utf-8"))["inbound"][entry]["columns"]
    columns = [column for column in columns if not column.startswith("<")]
    first = next(iter(truth(folder)["files"])).partition("::")[0]
    text = texts(FORMATS / folder / first)[0]
    found = list(json.loads(text.splitlines()[0])) if ".jsonl" in first else next(csv.reader(io.StringIO(text)))
    assert set(columns) <= set(found)
    assert [column for column in found if column in columns] != columns or folder in {"surveymonkey", "google_forms"}


def test_nobody_in_the_files_is_real() -> None:
    text = "\n".join(text for path in FILES for text in texts(path))
    assert {found.lower() for found in re.findall(r"@[\w.-]+\.[a-z]+", text, re.IGNORECASE)} <= {
        "@example.com",
        "@example.org",
        "@example.net",
    }
    numbers = [re.sub(r"\D", "", found) for found in re.findall(r"(?:\+44|\b0044|\(?\b020\)?)[\d -]{8,}", text)]
    assert numbers
    assert all(number[-10:].startswith("2079460") for number in numbers)


def test_no_folder_is_large() -> None:
    sizes: dict[str, int] = defaultdict(int)
    for path in FILES:
        sizes[path.parent.name] += path.stat().st_size
    assert max(sizes.values()) < 250_000
    assert set(sizes) == set(make_formats.FOLDERS)


def test_shopify_money_read_from_the_files_is_the_truth() -> None:
    orders: dict[str, list[dict[str, str]]] = {}
    for number in (1, 2):
        own = defaultdict(list)
        for row in rows(FORMATS / "shopify_orders" / f"orders_export_{number}.csv"):
            own[row["Name"]].append(row)
        orders |= own
    expected = truth("shopify_orders")["tables"]["transactions"]
    money: dict[str, Decimal] = defaultdict(Decimal)
    kept = 0
    for lines in orders.values():
        head = lines[0]
        goods = sum(
            Decimal(x["Lineitem price"]) * int(x["Lineitem quantity"]) - Decimal(x["Lineitem discount"]) for x in lines
        )
        assert Decimal(head["Subtotal"]) == goods - Decimal(head["Discount Amount"])
        assert Decimal(head["Total"]) == Decimal(head["Subtotal"]) + Decimal(head["Shipping"])
        counts = head["Financial Status"] not in {"voided", "pending"} and not head["Cancelled at"]
        if counts and (head["Email"] or head["Phone"]):
            money[head["Currency"]] += Decimal(head["Subtotal"]) - Decimal(head["Refunded Amount"])
            kept += len(lines)
    assert {currency: str(amount) for currency, amount in money.items()} == expected["amount"]
    assert kept == expected["kept"]
    read = sum(count for name, count in truth("shopify_orders")["files"].items() if "orders" in name)
    assert read == kept + sum(expected["left_out"].values()) + sum(expected["failed"].values())


def test_ga4_purchases_read_from_the_files_are_the_truth() -> None:
    events = [
        json.loads(line)
        for path in sorted((FORMATS / "ga4_events").glob("*.gz"))
        for line in texts(path)[0].splitlines()
    ]
    bought = {
        event["ecommerce"]["transaction_id"]: event
        for event in sorted(events, key=lambda event: -int(event["event_timestamp"]))
        if event["event_name"] == "purchase" and (event.get("user_id") or event.get("user_pseudo_id"))
    }
    expected = truth("ga4_events")["tables"]["transactions"]
    assert len(bought) == expected["kept"]
    revenue = sum(Decimal(str(event["ecommerce"]["purchase_revenue"])) for event in bought.values())
    assert revenue == Decimal(expected["amount"])
    zone = ZoneInfo("Europe/Berlin")
    days = {datetime.fromtimestamp(int(e["event_timestamp"]) / 1e6, zone).date().isoformat() for e in bought.values()}
    assert (min(days), max(days)) == (expected["first_day"], expected["last_day"])
    assert any(event.get("user_id", "") is None for event in events)
    assert any("user_id" not in event for event in events)


@pytest.mark.parametrize(
    ("folder", "file", "amount", "customer", "number"),
    [
        ("meta_ads", "orders.csv", "Amount EUR", "Customer ID", Decimal),
        ("google_forms", "orders.csv", "Amount EUR", "E-mail", Decimal),
        (
            "plain_orders",
            "orders.csv",
            "Betrag",
            "Kundennummer",
            lambda text: Decimal(text.replace(".", "").replace(",", ".")),
        ),
    ],
)
def test_plain_money_read_from_the_files_is_the_truth(
    folder: str, file: str, amount: str, customer: str, number: Callable[[str], Decimal]
) -> None:
    expected = truth(folder)["tables"]["transactions"]
    found = rows(FORMATS / folder / file, delimiter=";" if folder == "plain_orders" else ",")
    found = found[: truth(folder)["files"][file]]
    named = [row for row in found if row[customer]]
    assert len(named) == expected["kept"]
    assert len({row[customer].strip().lower() for row in named}) == expected["persons"]
    assert sum((number(row[amount]) for row in named), Decimal(0)) == Decimal(expected["amount"])


def test_contacts_read_from_the_workbook_are_the_truth() -> None:
    path = FORMATS / "hubspot_contacts" / "hubspot-crm-exports-all-contacts.xlsx"
    header, *cells = openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
    found = [dict(zip(header, row, strict=True)) for row in cells]
    expected = truth("hubspot_contacts")["tables"]["customers"]
    assert len(found) == expected["rows"]
    assert {type(row["Create Date"]) for row in found} == {str, datetime}
    assert len({(row["Email"] or str(row["Record ID"])).strip().lower() for row in found}) == expected["persons"]
    assert sum(Decimal(str(row["Total Revenue"] or 0)) for row in found) == Decimal(expected["sales"])

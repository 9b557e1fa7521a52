"""Write ``tests/formats`` anew: one folder a ready map, in the shape in which the vendor's export arrives.

Whatever comes from here is simulated. Headers that ``formats.json`` of the references names stand there verbatim, in
another order and with extra columns between them; the quirks of each export are in the files, and beside them lies
``truth.json``, written from what the generator knows and not from the files:

- ``facts``: what the analyst states (currency, zone of the business, country of national telephone numbers).
- ``files``: data rows of each file (no header, no footer, no row of totals).
- ``tables``: for each shared table rows ``kept``, rows ``left_out`` and rows ``failed`` with the reason, persons, money
  to the cent as text (of the rows kept, without customer, and repeated), and the first and last day in the zone of the
  business.
- ``mapping``: what each header means: ``table.column``, ``key:email``, ``attribute:BASIS``, ``item:KIND``,
  ``address:COLUMN`` or ``left out``; of a list, any is right. Headers that mean nothing here are absent.
- ``ambiguous``: what nobody can tell from the file alone.

Names are put together from invented syllables; addresses end in example.com, .org or .net, telephone numbers are
those that Ofcom keeps free for drama (+44 20 7946 0xxx), IP addresses those kept for documentation. In each folder two
or three kinds of customers behave differently, so that there is something to find.
"""

import csv
import gzip
import io
import json
import math
import random
import re
import sys
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl

FORMATS = Path(__file__).resolve().parent / "formats"
Row = dict[str, Any]


def names(text: str) -> list[str]:
    return text.split("|")


PARIS, BERLIN = ZoneInfo("Europe/Paris"), ZoneInfo("Europe/Berlin")
# mean days between two orders, and the median basket in cents
KINDS = {"regular": (32, 2800), "stock-up": (75, 16000), "occasional": (260, 1900)}
FIRST = names(
    "Alva|Bertil|Célie|Dorian|Elodie|Fenna|Gaspar|Héloïse|Ilka|Jorun|Käthe|Lorcan|Maël|Nives|Oda|Pèire|Quirin"
)
STARTS = names("Quill|Brand|Tess|Morv|Hald|Ferr|Skov|Lorn|Vand|Ostr|Pell|Rask|Thold|Wint|Zarn|Güld")
ENDS = names("ander|ecourt|igny|oway|etto|urst|avel|ibor|ström|éval|ingford|oskar|umber|eñas|elot")
PLACES = (
    ("Lyon", "69002", "FR"), ("Lille", "59000", "FR"), ("Köln", "50667", "DE"), ("Bremen", "28195", "DE"),
    ("Gent", "9000", "BE"), ("Leeds", "LS1 4DY", "GB"), ("Toulouse", "31000", "FR"),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody invented."""

    number: int
    first: str
    last: str
    email: str
    phone: str
    city: str
    postcode: str
    country: str
    kind: str


def people(count: int = 400) -> list[Person]:
    """The same invented people for every folder, so that systems can be joined."""
    rng, made = random.Random("people"), []
    names = rng.sample([(f, s + e) for f in FIRST for s in STARTS for e in ENDS], count)
    for number, (first, last) in enumerate(names):
        plain = unicodedata.normalize("NFKD", f"{first}.{last}".replace("ø", "o")).encode("ascii", "ignore").decode()
        email = f"{plain.lower()}{number}@example.{rng.choice(['com', 'org', 'net'])}"
        kind = rng.choices(list(KINDS), (3, 3, 4))[0]
        made.append(Person(number, first, last, email, f"+442079460{number:03}", *rng.choice(PLACES), kind))
    return made


PEOPLE = people()


def spoilt(rng: random.Random, email: str) -> str:
    """The address as people type it: now and then in capitals or with a space behind."""
    return rng.choices([email, email.title(), email.upper(), email + " "], (80, 12, 4, 4))[0]


def phone(rng: random.Random, number: str) -> str:
    """One of the ways to write the same number."""
    line = number[-4:]
    ways = [number, f"+44 20 7946 {line}", f"020 7946 {line}", f"0044 20 7946{line}", f"(020) 7946-{line}"]
    return rng.choices(ways, (5, 3, 2, 1, 1))[0]


def euro(cents: int) -> str:
    return f"{Decimal(cents) / 100:.2f}"


def total(cents: Iterable[int]) -> str:
    return euro(sum(cents))


def joined(rows: Iterable[Iterable[Any]]) -> Row:
    """For each key one that stands for its person; rows that share any key are one person, rows without are nobody."""
    parent: Row = {}

    def root(key: Any) -> Any:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for keys in rows:
        known = [key for key in keys if key]
        for key in known:
            parent[root(key)] = root(known[0])
    return {key: root(key) for key in parent}


def persons(rows: Iterable[Iterable[Any]]) -> int:
    return len(set(joined(rows).values()))


def moment(rng: random.Random, day: date, zone: ZoneInfo | None = None) -> datetime:
    """A moment of that day, mostly in the evening."""
    hour = rng.choices(range(24), [1, 1, 0, 0, 0, 1, 2, 4, 5, 6, 7, 8, 8, 7, 6, 6, 7, 9, 11, 12, 11, 8, 5, 2])[0]
    return datetime.combine(day, time(hour, rng.randrange(60), rng.randrange(60)), zone)


def order_days(rng: random.Random, kind: str, start: date, days: int) -> list[date]:
    """Days on which somebody of that kind orders: at least one, at random with the kind's mean gap."""
    gap = KINDS[kind][0]
    found, at = [], rng.uniform(0, min(gap, days - 1))
    while at < days:
        found.append(start + timedelta(days=int(at)))
        at += rng.expovariate(1 / gap)
    return found


def basket(rng: random.Random, kind: str) -> int:
    return round(rng.lognormvariate(math.log(KINDS[kind][1]), 0.35))


def shuffled(rng: random.Random, headers: Sequence[str]) -> list[str]:
    return rng.sample(list(headers), len(headers))


def as_csv(headers: Sequence[str], rows: Iterable[Row], before: Iterable[Sequence[str]] = (), **options: Any) -> str:
    """A CSV file as text; ``before`` are further header rows under the first."""
    text = io.StringIO()
    writer = csv.writer(text, **{"lineterminator": "\n", **options})
    writer.writerows([headers, *before])
    writer.writerows([row.get(header, "") for header in headers] for row in rows)
    return text.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive without a clock in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, (2025, 11, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


def as_excel(headers: Sequence[str], rows: Iterable[Row], sheet: str) -> bytes:
    """An Excel workbook of one sheet; the hour of writing is taken out again."""
    book, saved = openpyxl.Workbook(), io.BytesIO()
    page = book.active
    page.title = sheet
    page.append(list(headers))
    for row in rows:
        page.append([row.get(header) for header in headers])
    book.save(saved)
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    core = "docProps/core.xml"
    members[core] = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2025-11-01T00:00:00Z", members[core])
    return zipped(members)


def table(kept: int, left_out: Row | None = None, failed: Row | None = None, **more: Any) -> Row:
    return {"kept": kept, "left_out": left_out or {}, "failed": failed or {}, **more}


def span(days: Iterable[date]) -> Row:
    known = sorted(days)
    return {"first_day": known[0].isoformat(), "last_day": known[-1].isoformat()}


def truth(**content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


# ---------------------------------------------------------------------------------------------- plain orders


def purchases(rng: random.Random, who: Sequence[Person], start: date, days: int) -> list[Row]:
    """Orders of these people: ``person, at, cents, category``, in the order of time."""
    made = [
        {
            "person": person,
            "at": moment(rng, day),
            "cents": basket(rng, person.kind),
            "category": rng.choices(["Coffee", "Tea", "Machines"], (2, 2, 6 if person.kind == "stock-up" else 0.3))[0],
        }
        for person in who
        for day in order_days(rng, person.kind, start, days)
    ]
    return sorted(made, key=lambda order: (order["at"], order["person"].number))


def orders_file(rng: random.Random, orders: list[Row], customer: str, name: Callable[[Person], str]) -> tuple[str, Row]:
    """``orders.csv`` beside another export, three rows of it without a customer, and its truth."""
    nobodys = set(rng.sample(range(len(orders)), 3))
    mapping = {
        customer: "key:email" if "mail" in customer else "transactions.customer_id",
        "Order ID": "transactions.order_id",
        "Order Date": "transactions.ordered_at",
        "Amount EUR": "transactions.amount",
        "Category": "transactions.category",
    }
    rows = [
        {
            customer: "" if place in nobodys else name(order["person"]),
            "Order ID": f"B-{place:05}",
            "Order Date": order["at"].strftime("%Y-%m-%d %H:%M"),
            "Amount EUR": euro(order["cents"]),
            "Category": order["category"],
            "Till": rng.choice("AB"),
        }
        for place, order in enumerate(orders)
    ]
    known = [order for place, order in enumerate(orders) if place not in nobodys]
    expected = table(
        len(known),
        failed={"customer_id is missing": 3},
        persons=len({order["person"].number for order in known}),
        amount=total(order["cents"] for order in known),
        amount_nobodys=total(orders[place]["cents"] for place in nobodys),
        **span(order["at"].date() for order in known),
    )
    return as_csv(shuffled(rng, [*mapping, "Till"]), rows), {
        "mapping": mapping,
        "table": expected,
        "rows": len(rows),
        "who": {order["person"].number for order in known},
    }


# ---------------------------------------------------------------------------------------------- Shopify

PRODUCTS = (
    ("Espresso beans - 1 kg", "CF-001", 1890, "Röstwerk"), ("Filter beans, light - 250 g", "CF-002", 890, "Röstwerk"),
    ('Mug "Morning" - white', "MG-010", 1250, "Tonhaus"), ("Green tea - 100 g", "TE-004", 640, "Blatt & Co"),
    ("Cleaning tablets", "CL-001", 975, "Röstwerk"), ("Hand grinder", "GR-002", 7900, "Mahlwerk, Inc."),
    ("Espresso machine", "MA-001", 32900, "Mahlwerk, Inc."), ("Kettle - 1 l", "KE-001", 5450, "Tonhaus"),
)  # fmt: skip
SHOPIFY = names(
    "Name|Email|Financial Status|Paid at|Fulfillment Status|Fulfilled at|Accepts Marketing|Currency|Subtotal|Shipping|"
    "Taxes|Total|Discount Code|Discount Amount|Shipping Method|Created at|Lineitem quantity|Lineitem name|"
    "Lineitem price|Lineitem compare at price|Lineitem sku|Lineitem requires shipping|Lineitem taxable|"
    "Lineitem fulfillment status|Billing Name|Billing Street|Billing Zip|Billing Country|Shipping Name|Shipping Zip|"
    "Notes|Note Attributes|Cancelled at|Payment Method|Payment Reference|Refunded Amount|Vendor|Outstanding Balance|"
    "Employee|Location|Device ID|Id|Tags|Risk Level|Source|Lineitem discount|Phone"
)
SHOPIFY_EXTRA = ["Billing City", "Billing Phone", "Shipping City", "Tax 1 Name", "Tax 1 Value", "Receipt Number"]
NOTES = ('Please ring twice, "blue" door', "Leave it with the neighbour,\nthank you", "Geschenk: bitte ohne Rechnung;")


def shopify_order(rng: random.Random, person: Person, created: datetime, accepts: bool) -> Row:
    """One order with its lines; money in cents: subtotal after all discounts, taxes included."""
    goods = {"regular": PRODUCTS[:5], "stock-up": PRODUCTS[4:], "occasional": PRODUCTS[1:4]}[person.kind]
    lines: list[Row] = []
    for name, sku, price, vendor in rng.sample(goods, rng.choices((1, 2, 3), (6, 3, 1))[0]):
        quantity = rng.choices((1, 2, 3), (7, 2, 1))[0]
        off = rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, price * quantity // 10))
        lines.append({"name": name, "sku": sku, "price": price, "quantity": quantity, "off": off, "vendor": vendor})
    if rng.random() < 0.05:
        gift = {"name": "Sample (free)", "sku": "SA-000", "price": 0, "quantity": 1, "off": 0, "vendor": "Röstwerk"}
        lines.append(gift)
    goods_value = sum(line["price"] * line["quantity"] - line["off"] for line in lines)
    discount = goods_value // 10 if rng.random() < 0.15 else 0
    status = rng.choices(
        ("paid", "partially_refunded", "refunded", "voided", "pending", "cancelled"), (86, 4, 3, 2, 2, 3)
    )[0]
    subtotal, shipping = goods_value - discount, 0 if goods_value > 5000 else 490
    refunded = {"partially_refunded": min(lines[0]["price"], subtotal), "refunded": subtotal + shipping}.get(status, 0)
    return {
        "person": person, "created": created, "accepts": accepts, "lines": lines, "discount": discount,
        "status": status, "subtotal": subtotal, "shipping": shipping, "currency": "EUR",
        "refunded": subtotal + shipping if status == "cancelled" else refunded, "email": person.email, "phone": "",
    }  # fmt: skip


def shopify_rows(rng: random.Random, order: Row) -> list[Row]:
    """The rows of one order: what belongs to the order stands on the first only."""
    person, stamp, paid = order["person"], "%Y-%m-%d %H:%M:%S %z", order["status"] not in ("voided", "pending")
    name = f"{person.first} {person.last}"
    street = rng.choices(
        (f"{rng.randrange(1, 99)} rue des Essais", f'Hof "Sonne", {rng.randrange(1, 9)}\nHinterhaus'), (9, 1)
    )[0]
    sum_paid = order["subtotal"] + order["shipping"]
    head = {
        "Email": spoilt(rng, order["email"]) if order["email"] else "",
        "Financial Status": "refunded" if order["status"] == "cancelled" else order["status"],
        "Paid at": (order["created"] + timedelta(minutes=2)).strftime(stamp) if paid else "",
        "Fulfillment Status": "fulfilled" if paid and order["status"] != "cancelled" else "unfulfilled",
        "Accepts Marketing": "yes" if order["accepts"] else "no",
        "Currency": order["currency"], "Subtotal": euro(order["subtotal"]), "Shipping": euro(order["shipping"]),
        "Taxes": euro(round(sum_paid / 6)), "Total": euro(sum_paid), "Discount Amount": euro(order["discount"]),
        "Discount Code": "TEN" if order["discount"] else "", "Created at": order["created"].strftime(stamp),
        "Billing Name": name, "Billing Street": street, "Billing Zip": f"'{person.postcode}",
        "Billing Country": person.country, "Billing City": person.city, "Shipping Zip": f"'{person.postcode}",
        "Notes": rng.choice(NOTES) if rng.random() < 0.06 else "", "Payment Method": "Card",
        "Cancelled at": (order["created"] + timedelta(hours=5)).strftime(stamp)
        if order["status"] == "cancelled" else "",
        "Refunded Amount": euro(order["refunded"]),
        "Outstanding Balance": "0.00" if paid else euro(sum_paid), "Id": str(5501234560000 + order["number"]),
        "Risk Level": "Low", "Source": "web", "Phone": order["phone"],
    }  # fmt: skip
    rows = [
        {
            "Name": f"#{order['number']}", "Lineitem quantity": line["quantity"], "Lineitem name": line["name"],
            "Lineitem price": euro(line["price"]), "Lineitem sku": line["sku"], "Lineitem discount": euro(line["off"]),
            "Lineitem requires shipping": "true", "Lineitem taxable": "true", "Vendor": line["vendor"],
        }
        for line in order["lines"]
    ]  # fmt: skip
    return [head | rows[0], *rows[1:]]


def shopify_orders(rng: random.Random) -> dict[str, str | bytes]:
    who, start, days = PEOPLE[:220], date(2024, 5, 2), 545
    orders: list[Row] = []
    for person in who:
        accepts = rng.random() < 0.4
        dated = order_days(rng, person.kind, start, days)
        dated = sorted(rng.sample(dated, min(len(dated), {"regular": 4, "stock-up": 2, "occasional": 1}[person.kind])))
        orders += [shopify_order(rng, person, moment(rng, day, PARIS), accepts) for day in dated]
    orders.sort(key=lambda order: (order["created"].astimezone(UTC), order["person"].number))
    # one changes her mind about newsletters; the last word counts
    spoken: dict[int, list[Row]] = {}
    for number, order in enumerate(orders):
        order["number"] = 1001 + number
        spoken.setdefault(order["person"].number, []).append(order)
    sound = [own for own in spoken.values() if len(own) > 2 and all(order["status"] == "paid" for order in own)]
    for own in sound[:4]:
        for order in own:
            order["accepts"] = not own[0]["accepts"] if order is own[-1] else own[0]["accepts"]
    changed = {own[0]["person"].number for own in sound[:4]}
    # guests: nobody at all, or a telephone number only, of somebody new or of somebody who also gave an address
    quiet = [order for order in orders if order["person"].number not in changed and order["status"] == "paid"]
    guests = rng.sample(quiet, 14)
    for order in guests[:6]:
        order["email"] = ""
    for place, order in enumerate(guests[6:]):
        order["phone"], order["email"] = phone(rng, order["person"].phone), ""
        if place < 3:
            other = next(
                (one for one in spoken[order["person"].number] if one["email"] and one["status"] == "paid"), None
            )
            if other is not None:
                other["phone"] = order["person"].phone
        else:
            order["phone"] = phone(rng, f"+442079460{900 + place:03}")
    for order in rng.sample([o for o in orders if o["currency"] == "EUR" and o["email"]], 9):
        order["currency"] = "GBP"
    cut, again = len(orders) * 55 // 100, len(orders) * 50 // 100
    rows = {order["number"]: shopify_rows(rng, order) for order in orders}
    header = [*SHOPIFY, *SHOPIFY_EXTRA]
    parts = {"orders_export_1.csv": orders[:cut], "orders_export_2.csv": orders[again:]}
    files = {
        name: as_csv(shuffled(rng, header), [row for order in reversed(part) for row in rows[order["number"]]])
        for name, part in parts.items()
    }
    files["exchange_rates.csv"] = "currency,rate,origin\nGBP,1.17,invented for this fixture\n"
    out = ("voided", "pending", "cancelled")
    copies = [order for part in parts.values() for order in part]
    left_out = {reason: sum(len(o["lines"]) for o in copies if o["status"] == reason) for reason in out}
    data = [order for order in orders if order["status"] not in out]
    named = [order for order in data if order["email"] or order["phone"]]
    nameless = [order for order in data if not (order["email"] or order["phone"])]
    twice = [order for order in orders[again:cut] if order in named]

    def keys(order: Row) -> list[str]:
        return [order["email"], "".join(filter(str.isdigit, order["phone"]))[-10:]]

    def net(order: Row, capped: bool = False) -> int:
        return int(order["subtotal"] - (min(order["refunded"], order["subtotal"]) if capped else order["refunded"]))

    def money(some: list[Row], capped: bool = False) -> Row:
        return {c: total(net(o, capped) for o in some if o["currency"] == c) for c in ("EUR", "GBP")}

    last_word = {keys(order)[0]: order["accepts"] for order in orders if order["email"]}
    amount = money(named)
    lines = sum(len(order["lines"]) for order in named)
    expected = {
        "transactions": table(
            lines,
            left_out,
            {
                "customer_id is missing": sum(len(o["lines"]) for o in copies if o in nameless),
                "line_id appears more than once": sum(len(order["lines"]) for order in twice),
            },
            orders=len(named),
            persons=persons(keys(order) for order in named),
            persons_joined_by_email_only=persons([keys(o)[0] or keys(o)[1]] for o in named),
            amount=amount,
            amount_in_eur=str(Decimal(amount["EUR"]) + Decimal(amount["GBP"]) * Decimal("1.17")),
            amount_nobodys=money([order for order in copies if order in nameless]),
            amount_repeated=money(twice),
            amount_definition="the line's part of Subtotal - Refunded Amount of its order, in proportion to price * "
            "quantity - line discount, rounded to cents, the last line takes the remainder; both copies of an order "
            "that is in both files count once; orders voided, pending or cancelled do not count",
            amount_if_refunds_are_capped_at_subtotal=money(named, capped=True),
            failing_without_exchange_rates=sum(len(o["lines"]) for o in named if o["currency"] == "GBP"),
            **span(order["created"].date() for order in named),
        ),
        "consents": {
            "definition": "one person with an e-mail address, its latest order of any status; channel email, marketing",
            "persons": len(last_word),
            "granted": sum(last_word.values()),
        },
        "exchange_rates": table(1),
    }
    mapping = {
        "Name": "transactions.order_id",
        "Email": ["key:email", "address:email"],
        "Phone": ["key:phone", "address:phone"],
        "Created at": "transactions.ordered_at",
        "Currency": "transactions.currency",
        "Subtotal": ["transactions.amount", "left out"],
        "Refunded Amount": ["transactions.amount", "left out"],
        "Total": ["transactions.amount", "left out"],
        "Lineitem price": ["transactions.amount", "left out"],
        "Lineitem quantity": "transactions.quantity",
        "Lineitem sku": "transactions.product_id",
        "Lineitem name": ["transactions.product_id", "transactions.category", "left out"],
        "Lineitem discount": "transactions.discount",
        "Discount Amount": ["transactions.discount", "left out"],
        "Accepts Marketing": "consents.granted",
        "Source": ["transactions.channel", "left out"],
        "Billing Country": ["attribute:geographic", "address:country"],
        "Billing City": ["attribute:geographic", "left out"],
        "Billing Zip": ["attribute:geographic", "address:postcode", "left out"],
        "Billing Name": "left out", "Billing Street": "left out", "Billing Phone": "left out",
        "Shipping Name": "left out", "Notes": "left out", "Device ID": "left out",
    }  # fmt: skip
    files["truth.json"] = truth(
        about="Shopify orders: two exports that overlap, one row a line, order fields on the first row only",
        facts={"currency": "EUR", "time_zone": "Europe/Paris", "country": "GB", "identifiers": "direct"},
        files={name: sum(len(o["lines"]) for o in part) for name, part in parts.items()} | {"exchange_rates.csv": 1},
        tables=expected,
        mapping=dict.fromkeys(parts, mapping)
        | {"exchange_rates.csv": {c: f"exchange_rates.{c}" for c in ("currency", "rate", "origin")}},
        ambiguous=["whether Subtotal or Total is the money to analyse", "what a pound is worth in euros"],
    )
    return dict(files)


# ---------------------------------------------------------------------------------------------- CRM exports


def value_of(rng: random.Random, person: Person, until: date) -> Row:
    """Deals of a contact: how many, their money in cents and the days of the first and the last."""
    deals = {"regular": rng.randint(8, 22), "stock-up": rng.randint(2, 5), "occasional": rng.choice((0, 1, 1, 2))}[
        person.kind
    ]
    if not deals:
        return {"deals": 0, "cents": 0, "first": None, "last": None}
    last = until - timedelta(days=rng.randint(1, {"regular": 40, "stock-up": 150, "occasional": 400}[person.kind]))
    cents = sum(basket(rng, person.kind) for _ in range(deals))
    return {"deals": deals, "cents": cents, "first": last - timedelta(days=60 * (deals - 1) // 2), "last": last}


def hubspot_contacts(rng: random.Random) -> dict[str, str | bytes]:
    vendor = names(
        "Record ID|First Name|Last Name|Email|Phone Number|Contact owner|Lifecycle Stage|Lead Status|Create Date|"
        "Last Activity Date|Marketing contact status|Unsubscribed from all email"
    )
    extra = [
        "Number of Pageviews", "Number of Sessions", "Country/Region", "Industry", "Total Revenue",
        "Number of Associated Deals", "Recent Deal Close Date", "Associated Company",
    ]  # fmt: skip
    until = date(2025, 10, 31)
    who = [*PEOPLE[:330], *PEOPLE[40:44]]  # four contacts were entered twice, the second time in capitals
    rows, known = [], []
    for place, person in enumerate(who):
        again, value = place >= 330, value_of(rng, person, until)
        created = moment(rng, date(2023, 1, 1) + timedelta(days=rng.randrange(640)))
        email = "" if place % 41 == 7 else person.email.upper() if again else spoilt(rng, person.email)
        seen = moment(rng, until - timedelta(days=rng.randint(0, 200)))
        web = {"regular": 60, "stock-up": 12, "occasional": 5}[person.kind]
        unsubscribed = rng.choices(("false", "true", ""), (6, 2, 2))[0]
        rows.append({
            "Record ID": 51002000000 + place * 37, "First Name": person.first, "Last Name": person.last,
            "Email": email or None, "Phone Number": phone(rng, person.phone) if rng.random() < 0.5 else None,
            "Contact owner": rng.choice(("Oda Winterstein", "")), "Lead Status": rng.choice(("", "OPEN", "CONNECTED")),
            "Lifecycle Stage": "Customer" if value["deals"] else rng.choice(("Lead", "Marketing Qualified Lead")),
            # some cells are true dates, others text, as in sheets that went through several hands
            "Create Date": created if place % 3 == 0 else created.strftime("%Y-%m-%d %H:%M"),
            "Last Activity Date": seen.strftime("%Y-%m-%d %H:%M") if rng.random() < 0.9 else None,
            "Marketing contact status": rng.choice(("Marketing contact", "Non-marketing contact")),
            "Unsubscribed from all email": unsubscribed, "Number of Pageviews": round(web * rng.uniform(0.6, 1.6)),
            "Number of Sessions": round(web / 4 * rng.uniform(0.6, 1.6)), "Country/Region": person.country,
            "Industry": rng.choice(("Retail", "Catering", "Offices", None)),
            "Total Revenue": value["cents"] / 100 if value["deals"] else None,
            "Number of Associated Deals": value["deals"] or None,
            "Recent Deal Close Date": value["last"].isoformat() if value["last"] else None,
        })  # fmt: skip
        known.append({"email": email.strip().lower(), "cents": value["cents"], "unsubscribed": unsubscribed, **value})
    order = rng.sample(range(len(rows)), len(rows))
    twice = [one for one, times in Counter(row["email"] for row in known if row["email"]).items() if times > 1]
    count = persons([row["email"] or f"record {place}"] for place, row in enumerate(known))
    mapping = {
        "Record ID": "customers.customer_id", "First Name": "address:first_name", "Last Name": "address:last_name",
        "Email": ["key:email", "address:email"], "Phone Number": ["key:phone", "address:phone"],
        "Contact owner": "left out", "Lifecycle Stage": ["attribute:behavioural", "attribute:demographic"],
        "Create Date": "customers.acquired_at", "Unsubscribed from all email": "consents.granted",
        "Number of Pageviews": "attribute:behavioural", "Number of Sessions": "attribute:behavioural",
        "Country/Region": ["attribute:geographic", "address:country"], "Industry": "attribute:demographic",
        "Total Revenue": "customers.sales", "Number of Associated Deals": "customers.orders",
        "Recent Deal Close Date": "customers.last_ordered_at",
    }  # fmt: skip
    name = "hubspot-crm-exports-all-contacts.xlsx"
    return {
        name: as_excel(shuffled(rng, [*vendor, *extra]), [rows[place] for place in order], "all-contacts"),
        "truth.json": truth(
            about="HubSpot contacts in Excel: true dates beside text, ids as numbers, four contacts entered twice",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "country": "GB", "identifiers": "direct"},
            files={name: len(rows)},
            tables={
                "customers": {
                    "rows": len(rows),
                    "persons": count,
                    "rows_of_persons_entered_twice": 2 * len(twice),
                    "kept_if_one_row_each_is_kept": count,
                    "kept_if_all_of_them_are_set_aside": len(rows) - 2 * len(twice),
                    "without_email": sum(not row["email"] for row in known),
                    "sales": total(row["cents"] for row in known),
                    "sales_of_persons_entered_twice": total(r["cents"] for r in known if r["email"] in twice),
                    "orders": sum(row["deals"] for row in known),
                    "with_orders": sum(row["deals"] > 0 for row in known),
                    "last_ordered": span(row["last"] for row in known if row["last"]),
                },
                "consents": {
                    "definition": "a contact that unsubscribed refused; nobody here is stated to have agreed",
                    "refused_rows": sum(row["unsubscribed"] == "true" for row in known),
                    "not_unsubscribed_rows": sum(row["unsubscribed"] == "false" for row in known),
                    "unstated_rows": sum(row["unsubscribed"] == "" for row in known),
                },
            },
            mapping={name: mapping},
            ambiguous=[
                "the currency of Total Revenue",
                "the zone of the dates (the portal's; no offset is written)",
                "whether somebody who did not unsubscribe ever agreed",
            ],
        ),
    }


def salesforce_id(number: int) -> str:
    """A 15-character id whose last two letters carry the number in base 62: upper and lower case differ."""
    signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return f"003Dn00000Qw{signs[number // 3844 % 62]}{signs[number // 62 % 62]}{signs[number % 62]}"


def salesforce_contacts(rng: random.Random) -> dict[str, str | bytes]:
    vendor = names("Contact ID|First Name|Last Name|Email|Account Name|Email Opt Out|Created Date|Last Activity")
    extra = [
        "Mailing Street", "Mailing City", "Mailing Country", "Lead Source", "Annual Revenue", "No. of Opportunities",
        "Closed Won Amount", "Last Closed Won Date", "Phone",
    ]  # fmt: skip
    until, rows, known = date(2025, 11, 10), [], []
    for place, person in enumerate(PEOPLE[60:360]):
        value = value_of(rng, person, until)
        created = date(2023, 1, 1) + timedelta(days=rng.randrange(620))
        opted_out = rng.random() < 0.22
        email = "" if place % 53 == 11 else spoilt(rng, person.email)
        street = f"{rng.randrange(1, 80)} Probeweg" + ("\nHinterhaus, 2. Stock" if place % 9 == 2 else "")
        rows.append({
            "Contact ID": salesforce_id(place), "First Name": person.first, "Last Name": person.last, "Email": email,
            "Account Name": f"{person.last} & Söhne GmbH" if place % 4 == 0 else f'"{person.last}", Ltd',
            "Email Opt Out": int(opted_out), "Created Date": created.strftime("%d/%m/%Y"),
            "Last Activity": (until - timedelta(days=rng.randrange(300))).strftime("%d/%m/%Y")
            if rng.random() < 0.85 else "",
            "Mailing Street": street, "Mailing City": person.city, "Mailing Country": person.country,
            "Lead Source": rng.choice(("Web", "Partner", "Trade show", "")),
            "Annual Revenue": rng.choice((250000, 1200000, 8000000, "")), "No. of Opportunities": value["deals"],
            "Closed Won Amount": euro(value["cents"]) if value["deals"] else "",
            "Last Closed Won Date": value["last"].strftime("%d/%m/%Y") if value["last"] else "",
            "Phone": phone(rng, person.phone) if rng.random() < 0.4 else "",
        })  # fmt: skip
        known.append({"email": email, "created": created, "opted_out": opted_out, **value})
    ids = Counter(row["Contact ID"].lower() for row in rows)
    columns = shuffled(rng, [*vendor, *extra])
    footer = [
        "", '"Contacts with opportunities"', '"Copyright (c) 2000-2025 salesforce.com, inc. All rights reserved."',
        '"Confidential Information - Do Not Distribute"', '"Generated By:  Oda Winterstein  13/11/2025 09:12"',
        '"Probe Handel GmbH"',
    ]  # fmt: skip
    text = as_csv(columns, rng.sample(rows, len(rows)), quoting=csv.QUOTE_ALL) + "\n".join(footer) + "\n"
    mapping = {
        "Contact ID": "customers.customer_id", "First Name": "address:first_name", "Last Name": "address:last_name",
        "Email": ["key:email", "address:email"], "Phone": ["key:phone", "address:phone"], "Account Name": "left out",
        "Email Opt Out": "consents.granted", "Created Date": "customers.acquired_at", "Mailing Street": "left out",
        "Mailing City": ["attribute:geographic", "left out"],
        "Mailing Country": ["attribute:geographic", "address:country"], "Lead Source": "customers.acquisition_channel",
        "Annual Revenue": "attribute:demographic", "No. of Opportunities": "customers.orders",
        "Closed Won Amount": "customers.sales", "Last Closed Won Date": "customers.last_ordered_at",
    }  # fmt: skip
    return {
        "report.csv": text.encode("iso-8859-1"),
        "truth.json": truth(
            about="Salesforce report in ISO-8859-1: five lines under a blank row, ids that differ only in case",
            facts={
                "currency": "EUR", "time_zone": "Europe/Berlin", "country": "GB", "identifiers": "direct",
                "date_format": "%d/%m/%Y",
            },
            files={"report.csv": len(rows)},
            footer_lines=5,
            tables={
                "customers": table(
                    len(rows),
                    persons=persons([row["email"].strip().lower() or f"id {n}"] for n, row in enumerate(known)),
                    ids_that_differ_only_in_case=sum(times for times in ids.values() if times > 1),
                    without_email=sum(not row["email"] for row in known),
                    sales=total(row["cents"] for row in known),
                    orders=sum(row["deals"] for row in known),
                    with_orders=sum(row["deals"] > 0 for row in known),
                    acquired=span(row["created"] for row in known),
                    last_ordered=span(row["last"] for row in known if row["last"]),
                ),
                "consents": {
                    "definition": "a contact that opted out refused; nobody here is stated to have agreed",
                    "refused_rows": sum(row["opted_out"] for row in known),
                    "not_opted_out_rows": sum(not row["opted_out"] for row in known),
                },
            },
            mapping={"report.csv": mapping},
            ambiguous=[
                "the currency of the amounts",
                "Annual Revenue is what the contact's company turns over, not what it spent here",
                "whether somebody who did not opt out ever agreed",
            ],
        ),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- GA4

GA4 = names(
    "event_date|event_timestamp|event_name|event_params|event_previous_timestamp|event_value_in_usd|"
    "event_bundle_sequence_id|event_server_timestamp_offset|user_id|user_pseudo_id|privacy_info|user_properties|"
    "user_first_touch_timestamp|user_ltv|device|geo|app_info|traffic_source|collected_traffic_source|"
    "session_traffic_source_last_click|stream_id|platform|event_dimensions|ecommerce|items|is_active_user|"
    "batch_event_index|batch_page_id|batch_ordering_id"
)
GA4_FILES = ("20250901", "20250916", "20251001", "20251016", "20251101")


def ga4_event(visitor: Row, at: datetime, name: str, session: int, page: str, **more: Any) -> Row:
    micro = str(int(at.timestamp() * 1_000_000) + visitor["number"])
    params = [
        {"key": "ga_session_id", "value": {"int_value": str(session)}},
        {"key": "page_location", "value": {"string_value": f"https://shop.example.com{page}"}},
        *([{"key": "engagement_time_msec", "value": {"int_value": "1200"}}] if name == "page_view" else []),
    ]
    event: Row = dict.fromkeys(GA4)
    allowed = visitor["pseudo"] is not None
    return event | {
        "event_date": at.astimezone(BERLIN).strftime("%Y%m%d"), "event_timestamp": micro, "event_name": name,
        "event_params": params, "user_id": visitor["user"] if at >= visitor["login"] else None,
        "user_pseudo_id": visitor["pseudo"], "user_properties": [], "stream_id": "4417", "platform": "WEB",
        "privacy_info": {"analytics_storage": "Yes" if allowed else "No", "ads_storage": "Yes" if allowed else "No",
                         "uses_transient_token": "No"},
        "user_first_touch_timestamp": visitor["touched"], "device": visitor["device"], "geo": visitor["geo"],
        "traffic_source": visitor["traffic"], "items": [], "is_active_user": True, "extra_column": "kept by nobody",
        **more,
    }  # fmt: skip


def ga4_purchase(rng: random.Random, kind: str, number: int) -> tuple[int, Row]:
    """Revenue in cents, and the fields of the purchase: the lines add up to the revenue."""
    items: list[Row] = []
    for name, sku, price, vendor in rng.sample(
        PRODUCTS[4:] if kind == "buyer" else PRODUCTS[:4], rng.choice((1, 1, 2))
    ):
        quantity = rng.choice((1, 1, 1, 2))
        items.append({
            "item_id": sku, "item_name": name, "item_brand": vendor, "item_category": sku[:2],
            "price": price / 100, "quantity": str(quantity), "item_revenue": price * quantity / 100,
        })  # fmt: skip
    cents = sum(round(item["item_revenue"] * 100) for item in items)
    ecommerce = {
        "transaction_id": f"T{number:05}", "purchase_revenue": cents / 100, "shipping_value": 4.9,
        "total_item_quantity": str(sum(int(item["quantity"]) for item in items)), "unique_items": str(len(items)),
    }  # fmt: skip
    currency = {"key": "currency", "value": {"string_value": "EUR"}}
    return cents, {"ecommerce": ecommerce, "items": items, "currency": currency}


def ga4_visitors(rng: random.Random) -> list[Row]:
    """Browsers of visitors; some log in one day, and some of those use a second device."""
    made: list[Row] = []
    for number in range(320):
        kind = rng.choices(("buyer", "browser", "passer-by"), (3, 3, 4))[0]
        logs_in = kind == "buyer" and rng.random() < 0.6
        city, _, country = rng.choice(PLACES)
        visitor = {
            "number": number, "kind": kind, "user": f"C{number:05}" if logs_in else None,
            "login": datetime(2025, 9, 1, tzinfo=UTC) + timedelta(days=rng.randrange(20)),
            "device": {"category": rng.choice(("mobile", "desktop")), "operating_system": rng.choice(("iOS", "Linux")),
                       "language": "de-de", "web_info": {"browser": "Chrome", "hostname": "shop.example.com"}},
            "geo": {"city": city, "country": country, "continent": "Europe", "region": ""},
            "traffic": rng.choice(({"name": "(organic)", "medium": "organic", "source": "google"},
                                   {"name": "autumn", "medium": "email", "source": "newsletter"},
                                   {"name": "(direct)", "medium": "(none)", "source": "(direct)"})),
        }  # fmt: skip
        devices = 2 if logs_in and rng.random() < 0.25 else 1
        for device in range(devices):
            touched = 1_755_000_000_000_000 + rng.randrange(10**12)
            pseudo = f"{rng.randrange(10**9, 2 * 10**9)}.{touched // 1_000_000}"
            refused = device == 0 and not logs_in and rng.random() < 0.07
            stamp = None if refused else str(touched)
            made.append(visitor | {"pseudo": None if refused else pseudo, "touched": stamp})
    return made


def ga4_events(rng: random.Random) -> dict[str, str | bytes]:
    start, number = date(2025, 9, 1), 0
    events: list[Row] = []
    bought: list[Row] = []
    for visitor in ga4_visitors(rng):
        sessions = {"buyer": rng.randint(2, 6), "browser": rng.randint(3, 6), "passer-by": 1}[visitor["kind"]]
        for day in sorted(rng.sample(range(75), sessions)):
            at = moment(rng, start + timedelta(days=day), BERLIN).astimezone(UTC)
            session = int(at.timestamp())
            steps = ["session_start", *["page_view"] * rng.randint(1, 3)]
            buys = rng.random() < {"buyer": 0.6, "browser": 0.2, "passer-by": 0.35}[visitor["kind"]]
            steps += ["add_to_cart"] if buys or rng.random() < 0.2 else []
            for place, name in enumerate(steps):
                page = f"/p/{rng.choice(PRODUCTS)[1].lower()}"
                events.append(ga4_event(visitor, at + timedelta(seconds=20 * place), name, session, page))
            if buys:
                number += 1
                cents, fields = ga4_purchase(rng, visitor["kind"], number)
                currency = fields.pop("currency")
                for again in range(2 if number % 40 == 0 else 1):  # the thank-you page loaded twice
                    later = at + timedelta(minutes=4 + 3 * again)
                    event = ga4_event(visitor, later, "purchase", session, "/thanks", **fields)
                    event["event_params"] = [*event["event_params"], currency]
                    events.append(event)
                    bought.append({"event": event, "cents": cents, "again": bool(again), "at": later})
    events.sort(key=lambda event: (int(event["event_timestamp"]), event["event_name"]))
    files: dict[str, str | bytes] = {}
    counts = {}
    for place, first in enumerate(GA4_FILES):
        following = (*GA4_FILES, "99999999")[place + 1]
        part = [event for event in events if first <= event["event_date"] < following]
        part = rng.sample(part, len(part))
        columns = shuffled(rng, [*GA4, "extra_column"])
        # the last two files as `bq extract` writes them: a field without a value is not there at all
        lines = [{c: e[c] for c in columns if place < 3 or e[c] not in (None, [])} for e in part]
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        name = f"events_{first}.jsonl.gz"
        files[name], counts[name] = gzip.compress(text.encode(), mtime=0), len(lines)

    def keys(event: Row) -> list[str]:
        return [event["user_pseudo_id"], event["user_id"]]

    def nobodys(event: Row) -> bool:
        return not any(keys(event))

    one_person = joined(keys(event) for event in events)
    named = [one for one in bought if not nobodys(one["event"]) and not one["again"]]
    starts = [event for event in events if event["event_name"] == "session_start"]
    zone_day = [one["at"].astimezone(BERLIN).date() for one in named]
    mapping = {
        "user_id": ["transactions.customer_id", "key:user_id"],
        "user_pseudo_id": ["transactions.customer_id", "contacts.customer_id"],
        "event_timestamp": ["transactions.ordered_at", "contacts.at"],
        "event_name": "contacts.event",
        "ecommerce": ["transactions.amount", "transactions.order_id"],
        "items": ["transactions.product_id", "transactions.category", "left out"],
        "traffic_source": ["contacts.channel", "customers.acquisition_channel"],
        "user_first_touch_timestamp": ["customers.acquired_at", "left out"],
        "geo": ["attribute:geographic", "left out"],
    }
    files["truth.json"] = truth(
        about="GA4 events of BigQuery as JSON lines: nested parameters, microseconds UTC, most without user_id",
        facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous"},
        files=counts,
        events=dict(sorted(Counter(event["event_name"] for event in events).items())),
        distinct_user_pseudo_id=len({event["user_pseudo_id"] for event in events} - {None}),
        distinct_user_id=len({event["user_id"] for event in events} - {None}),
        persons=len(set(one_person.values())),
        events_of_nobody=sum(nobodys(event) for event in events),
        tables={
            "transactions": table(
                len(named),
                failed={
                    "customer_id is missing": sum(nobodys(one["event"]) for one in bought),
                    "line_id appears more than once": sum(one["again"] and not nobodys(one["event"]) for one in bought),
                },
                definition="one row a purchase event; by items there are `items` rows, the money is the same",
                items=sum(len(one["event"]["items"]) for one in named),
                persons=len({one_person[next(filter(None, keys(one["event"])))] for one in named}),
                persons_if_joined_by_purchases_only=persons(keys(one["event"]) for one in named),
                persons_if_user_id_and_pseudo_id_are_not_joined=len(
                    {one["event"]["user_id"] or one["event"]["user_pseudo_id"] for one in named}
                ),
                amount=total(one["cents"] for one in named),
                amount_nobodys=total(one["cents"] for one in bought if nobodys(one["event"])),
                amount_repeated=total(o["cents"] for o in bought if o["again"] and not nobodys(o["event"])),
                amount_definition="ecommerce.purchase_revenue, without shipping; a repeated transaction_id counts once",
                **span(zone_day),
            ),
            "contacts": table(
                sum(not nobodys(event) for event in starts),
                failed={"customer_id is missing": sum(nobodys(event) for event in starts)},
                definition="one visit a session_start",
            ),
        },
        mapping=dict.fromkeys(counts, mapping),
        ambiguous=["the zone of the business (event_date is in it, event_timestamp is UTC)"],
    )
    return files


# ---------------------------------------------------------------------------------------------- campaigns

RESULTS = names("campaign_id|customer_id|sent_at|arm|delivered|opened|clicked|converted|revenue|cost|channel")
CONVERTS = {"regular": (0.12, 0.22), "stock-up": (0.08, 0.10), "occasional": (0.02, 0.14)}  # control, treatment


def campaign_results(
    rng: random.Random, who: Sequence[tuple[str, str]], campaigns: Sequence[tuple[str, date, str, str]]
) -> tuple[str, Row]:
    """Results of randomised campaigns by customer id and kind, two rows of them without an id; and their truth."""
    rows: list[Row] = []
    for campaign, day, channel, cost in campaigns:
        for customer, kind in who:
            treated = rng.random() < 0.7
            delivered = treated and rng.random() < 0.97
            opened = delivered and rng.random() < {"regular": 0.6, "stock-up": 0.4, "occasional": 0.2}[kind]
            clicked = opened and rng.random() < 0.3
            converted = rng.random() < CONVERTS[kind][treated]
            rows.append({
                "campaign_id": campaign, "customer_id": customer, "arm": "treatment" if treated else "control",
                "sent_at": moment(rng, day).strftime("%Y-%m-%d %H:%M:%S") if treated else "",
                "delivered": int(delivered), "opened": int(opened), "clicked": int(clicked),
                "converted": int(converted), "revenue": euro(basket(rng, kind)) if converted else "0.00",
                "cost": cost if treated else "0.00", "channel": channel, "subject_line": "Autumn, at last: 10 % off",
            })  # fmt: skip
    for arm in ("treatment", "control"):
        rng.choice([row for row in rows if row["arm"] == arm])["customer_id"] = ""
    rows = rng.sample(rows, len(rows))
    named = [row for row in rows if row["customer_id"]]
    nameless = [row for row in rows if not row["customer_id"]]

    def count(some: list[Row], *columns: str) -> int:
        return sum(row[column] for row in some for column in columns)

    def of(campaign: str) -> Row:
        own = [row for row in named if row["campaign_id"] == campaign]
        return {
            "rows": len(own),
            "arms": dict(sorted(Counter(row["arm"] for row in own).items())),
            **{column: count(own, column) for column in ("delivered", "opened", "clicked", "converted")},
            "revenue": str(sum((Decimal(row["revenue"]) for row in own), Decimal(0))),
            "cost": str(sum((Decimal(row["cost"]) for row in own), Decimal(0))),
        }

    events = ("delivered", "opened", "clicked")
    tables = {
        "campaigns": table(len(campaigns), definition="campaign_id; when one ended is not in the file"),
        "assignments": table(
            len(named), failed={"customer_id is missing": 2}, persons=len({row["customer_id"] for row in named})
        ),
        "contacts": table(
            count(named, *events),
            failed={"customer_id is missing": count(nameless, *events)},
            definition="an event for each of delivered, opened, clicked that is 1",
        ),
        "responses": table(
            count(named, "converted"),
            failed={"customer_id is missing": count(nameless, "converted")},
            definition="conversions; the money is revenue",
            by_campaign={campaign: of(campaign) for campaign, *_ in campaigns},
        ),
    }
    mapping = {
        "campaign_id": [f"{name}.campaign_id" for name in ("assignments", "contacts", "responses", "campaigns")],
        "customer_id": [f"{name}.customer_id" for name in ("assignments", "contacts", "responses")],
        "sent_at": ["contacts.at", "assignments.assigned_at", "campaigns.start"],
        "arm": "assignments.arm",
        "delivered": "contacts.event", "opened": "contacts.event", "clicked": "contacts.event",
        "converted": ["responses.outcome", "responses.value"], "revenue": "responses.value",
        "cost": ["contacts.cost", "campaigns.cost_per_contact"],
        "channel": ["contacts.channel", "campaigns.channel"],
    }  # fmt: skip
    text = as_csv(shuffled(rng, [*RESULTS, "subject_line"]), rows)
    unclear = ["the share that was meant to be in each arm", "when each campaign ended", "the currency of the money"]
    return text, {"rows": len(rows), "tables": tables, "mapping": mapping, "ambiguous": unclear}


def campaign_results_folder(rng: random.Random) -> dict[str, str | bytes]:
    who = [(f"K{person.number:06}", person.kind) for person in PEOPLE]
    campaigns = (
        ("autumn-mail", date(2025, 9, 15), "email", "0.05"),
        ("autumn-letter", date(2025, 10, 6), "post", "0.85"),
    )
    text, known = campaign_results(rng, who, campaigns)
    return {
        "campaign_results.csv": text,
        "truth.json": truth(
            about="results of two randomised campaigns, one row a customer and campaign; a control was sent nothing",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous"},
            files={"campaign_results.csv": known["rows"]},
            tables=known["tables"],
            mapping={"campaign_results.csv": known["mapping"]},
            ambiguous=known["ambiguous"],
        ),
    }


# ---------------------------------------------------------------------------------------------- e-mail tools


def mailchimp_audience(rng: random.Random) -> dict[str, str | bytes]:
    vendor = names(
        "Email Address|First Name|Last Name|MEMBER_RATING|OPTIN_TIME|OPTIN_IP|CONFIRM_TIME|CONFIRM_IP|LATITUDE|"
        "LONGITUDE|GMTOFF|DSTOFF|TIMEZONE|CC|REGION|LAST_CHANGED|LEID|EUID|NOTES|TAGS"
    )
    unsubscribed = ["UNSUB_TIME", "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON", "UNSUB_REASON_OTHER"]
    cleaned = ["CLEAN_TIME", "CLEAN_CAMPAIGN_TITLE", "CLEAN_CAMPAIGN_ID"]
    extra = {"subscribed": [], "unsubscribed": unsubscribed, "cleaned": cleaned, "nonsubscribed": []}
    parts: dict[str, list[Row]] = {name: [] for name in extra}
    who, joined = [], []
    for person in PEOPLE[20:350]:
        status = rng.choices(list(extra), (70, 15, 5, 10))[0]
        at = moment(rng, date(2023, 6, 1) + timedelta(days=rng.randrange(700)))
        later = (at + timedelta(days=rng.randrange(100))).strftime("%Y-%m-%d %H:%M:%S")
        euid = f"{rng.randrange(16**10):010x}"
        stars = {"regular": 5, "stock-up": 4, "occasional": 2}[person.kind]
        address = f"203.0.113.{person.number % 250}"
        opted_in = status != "nonsubscribed"
        parts[status].append({
            "Email Address": spoilt(rng, person.email).strip(), "First Name": person.first, "Last Name": person.last,
            "Phone Number": phone(rng, person.phone) if rng.random() < 0.2 else "", "MEMBER_RATING": stars,
            "OPTIN_TIME": at.strftime("%Y-%m-%d %H:%M:%S") if opted_in else "", "OPTIN_IP": address if opted_in else "",
            "CONFIRM_TIME": later, "CONFIRM_IP": address, "LATITUDE": "45.7640000", "LONGITUDE": "4.8357000",
            "GMTOFF": 1, "DSTOFF": 2, "TIMEZONE": "Europe/Paris", "CC": person.country.lower(), "REGION": "",
            "LAST_CHANGED": later, "LEID": str(400000000 + person.number), "EUID": euid,
            "NOTES": 'Asked for "large print"\nby telephone' if rng.random() < 0.03 else "",
            "TAGS": rng.choice(("", '"VIP","Blog"', '"Spring fair, Lyon"')),
            "UNSUB_TIME": later, "UNSUB_CAMPAIGN_TITLE": "Autumn, at last", "UNSUB_CAMPAIGN_ID": "a1b2c3",
            "UNSUB_REASON": rng.choice(("NORMAL", "OTHER")), "CLEAN_TIME": later, "CLEAN_CAMPAIGN_ID": "a1b2c3",
        })  # fmt: skip
        joined.append((at.date(), opted_in))
        who += [(euid, person.kind)] if status == "subscribed" else []
    members = {}
    for name, rows in parts.items():
        columns = shuffled(rng, [*vendor, "Phone Number", *extra[name]])
        text = as_csv(columns, rng.sample(rows, len(rows)))
        members[f"{name}_email_audience_export_5c0ffee1.csv"] = text.encode()
    campaigns = [("autumn-1", date(2025, 9, 9), "email", "0.05"), ("autumn-2", date(2025, 10, 14), "email", "0.05")]
    results, known = campaign_results(rng, who, campaigns)
    counts = {name: len(rows) for name, rows in parts.items()}
    mapping = {
        "Email Address": ["key:email", "address:email"], "First Name": "address:first_name",
        "Last Name": "address:last_name", "Phone Number": ["key:phone", "address:phone"],
        "MEMBER_RATING": "attribute:behavioural", "OPTIN_TIME": ["consents.at", "customers.acquired_at"],
        "LAST_CHANGED": ["consents.at", "left out"], "EUID": "customers.customer_id",
        "LEID": ["customers.customer_id", "left out"], "CC": ["attribute:geographic", "address:country"],
        "OPTIN_IP": "left out", "CONFIRM_IP": "left out", "LATITUDE": "left out", "LONGITUDE": "left out",
        "NOTES": "left out",
    }  # fmt: skip
    return {
        "audience_export.zip": zipped(members),
        "campaign_results.csv": results,
        "truth.json": truth(
            about="Mailchimp audience: a zip of four files, and which file somebody is in is the consent; the "
            "results of two campaigns name people by EUID",
            facts={"currency": "EUR", "time_zone": "Europe/Paris", "country": "GB", "identifiers": "direct"},
            files={**{f"audience_export.zip::{m}": counts[m.split("_")[0]] for m in members},
                   "campaign_results.csv": known["rows"]},
            tables={
                "customers": table(sum(counts.values()), persons=sum(counts.values()),
                                   opted_in=span(day for day, opted_in in joined if opted_in)),
                "consents": table(
                    sum(counts.values()), granted=counts["subscribed"],
                    refused=counts["unsubscribed"] + counts["cleaned"] + counts["nonsubscribed"],
                ),
                **known["tables"],
            },
            mapping={"audience_export.zip": mapping, "campaign_results.csv": known["mapping"]},
            ambiguous=["the zone of OPTIN_TIME", *known["ambiguous"]],
        ),
    }  # fmt: skip


def klaviyo_profiles(rng: random.Random) -> dict[str, str | bytes]:
    vendor = names(
        "Email|Klaviyo ID|First Name|Last Name|Phone Number|Address|City|Region|Country|Zip Code|First Active|"
        "Last Active|Profile Created On|Email Marketing Consent|SMS Marketing Consent"
    )
    extra = [
        "Predicted Customer Lifetime Value", "Total Customer Value", "Number of Orders", "Churn Risk Prediction",
        "Email Marketing Consent Timestamp", "Date of Last Order",
    ]  # fmt: skip
    states, until = ("SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED"), date(2025, 10, 31)
    rows, known, who = [], [], []
    for place, person in enumerate(PEOPLE[80:]):
        value = value_of(rng, person, until)
        created = moment(rng, date(2023, 1, 5) + timedelta(days=rng.randrange(600)))
        identity = "01H" + "".join(rng.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=23))
        by_email, by_sms = rng.choices(states, (55, 15, 30))[0], rng.choices(states, (10, 5, 85))[0]
        email = "" if place % 29 == 3 else spoilt(rng, person.email).strip()
        rows.append({
            "Email": email, "Klaviyo ID": identity, "First Name": person.first, "Last Name": person.last,
            "Phone Number": person.phone if not email or rng.random() < 0.3 else "", "City": person.city,
            "Address": f"{rng.randrange(1, 80)} rue des Essais, bât. B" if rng.random() < 0.2 else "",
            "Country": {"FR": "France", "DE": "Germany", "BE": "Belgium", "GB": "United Kingdom"}[person.country],
            "Zip Code": person.postcode, "First Active": created.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            "Last Active": datetime.combine(value["last"] or until, time(12)).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            "Profile Created On": created.strftime("%Y-%m-%dT%H:%M:%S+00:00"), "Email Marketing Consent": by_email,
            "SMS Marketing Consent": by_sms,
            "Email Marketing Consent Timestamp": created.strftime("%Y-%m-%dT%H:%M:%S+00:00")
            if by_email != states[2] else "",
            "Predicted Customer Lifetime Value": euro(round(value["cents"] * 1.4)),
            "Total Customer Value": euro(value["cents"]), "Number of Orders": value["deals"],
            "Date of Last Order": value["last"].isoformat() if value["last"] else "",
            "Churn Risk Prediction": f"{rng.random():.3f}" if value["deals"] else "",
        })  # fmt: skip
        known.append({**value, "email": by_email, "sms": by_sms, "has_email": bool(email)})
        who += [(identity, person.kind)] if by_email == states[0] else []
    campaigns = [("flow-welcome", date(2025, 9, 2), "email", "0.04"), ("october", date(2025, 10, 7), "email", "0.04")]
    results, sent = campaign_results(rng, who, campaigns)

    def consent(channel: str) -> Row:
        counts = Counter(row[channel] for row in known)
        return {"granted": counts[states[0]], "unsubscribed": counts[states[1]], "never": counts[states[2]]}

    mapping = {
        "Email": ["key:email", "address:email"], "Klaviyo ID": "customers.customer_id",
        "First Name": "address:first_name", "Last Name": "address:last_name",
        "Phone Number": ["key:phone", "address:phone"], "Address": "left out",
        "City": ["attribute:geographic", "left out"], "Country": ["attribute:geographic", "address:country"],
        "Zip Code": ["address:postcode", "attribute:geographic", "left out"],
        "Profile Created On": "customers.acquired_at", "First Active": ["customers.acquired_at", "left out"],
        "Email Marketing Consent": "consents.granted", "SMS Marketing Consent": "consents.granted",
        "Email Marketing Consent Timestamp": "consents.at", "Total Customer Value": "customers.sales",
        "Number of Orders": "customers.orders", "Date of Last Order": "customers.last_ordered_at",
        # a forecast of another model is no observation
        "Predicted Customer Lifetime Value": "left out", "Churn Risk Prediction": "left out",
    }  # fmt: skip
    return {
        "profiles.csv": as_csv(shuffled(rng, [*vendor, *extra]), rng.sample(rows, len(rows)), quoting=csv.QUOTE_ALL),
        "campaign_results.csv": results,
        "truth.json": truth(
            about="Klaviyo profiles with consent for two channels and predictions beside observations; the "
            "results of two campaigns name people by Klaviyo ID",
            facts={"currency": "EUR", "time_zone": "Europe/Paris", "country": "GB", "identifiers": "direct"},
            files={"profiles.csv": len(rows), "campaign_results.csv": sent["rows"]},
            tables={
                "customers": table(
                    len(rows),
                    persons=len(rows),
                    without_email=sum(not row["has_email"] for row in known),
                    sales=total(row["cents"] for row in known),
                    orders=sum(row["deals"] for row in known),
                    with_orders=sum(row["deals"] > 0 for row in known),
                    last_ordered=span(row["last"] for row in known if row["last"]),
                ),
                "consents": {
                    "definition": "one row a profile and channel: granted only where SUBSCRIBED",
                    "email": consent("email"),
                    "sms": consent("sms"),
                },
                **sent["tables"],
            },
            mapping={"profiles.csv": mapping, "campaign_results.csv": sent["mapping"]},
            ambiguous=["the currency of Total Customer Value", *sent["ambiguous"]],
        ),
    }


# ---------------------------------------------------------------------------------------------- ads and posts

START, DAYS = date(2024, 11, 1), 365


def beside_orders(rng: random.Random, who: Sequence[Person]) -> tuple[str, Row]:
    orders = purchases(rng, who, START, DAYS)
    return orders_file(rng, orders, "Customer ID", lambda person: f"K{person.number:06}")


def meta_ads(rng: random.Random) -> dict[str, str | bytes]:
    vendor = names(
        "Campaign name|Ad set name|Reporting starts|Reporting ends|Reach|Impressions|Frequency|Amount spent (EUR)|"
        "Link clicks|CTR (link click-through rate)|Results|Result indicator|Cost per results"
    )
    extra = ["Campaign delivery", "Attribution setting", "CPM (cost per 1,000 impressions) (EUR)", "Ends"]
    bought, clicked = "actions:offsite_conversion.fb_pixel_purchase", "actions:link_click"
    plans = {"Retargeting, all visitors": bought, "Prospecting - FR/BE": bought, "Brand film": clicked}
    rows: list[Row] = []
    for week in range(26):
        first = date(2025, 5, 5) + timedelta(weeks=week)
        for campaign, indicator in plans.items():
            for ad_set in ("Women 25-44", "Broad"):
                impressions = rng.randint(3000, 26000)
                reach, clicks = (
                    round(impressions / rng.uniform(1.1, 2.6)),
                    round(impressions * rng.uniform(0.006, 0.02)),
                )
                results = clicks if indicator == clicked else round(clicks * rng.uniform(0, 0.05))
                cents = round(impressions * rng.uniform(0.4, 1.1))
                rows.append({
                    "Campaign name": campaign, "Ad set name": ad_set, "Reporting starts": first.isoformat(),
                    "Reporting ends": (first + timedelta(days=6)).isoformat(), "Reach": reach,
                    "Impressions": impressions, "Frequency": f"{impressions / reach:.8f}", "cents": cents,
                    "Amount spent (EUR)": euro(cents), "Link clicks": clicks,
                    "CTR (link click-through rate)": f"{100 * clicks / impressions:.8f}",
                    # nothing happened: Ads Manager leaves the cells empty
                    "Results": results or "", "Result indicator": indicator if results else "",
                    "Cost per results": f"{cents / 100 / results:.8f}" if results else "",
                    "Campaign delivery": "active", "Attribution setting": "7-day click or 1-day view",
                    "Ends": "Ongoing",
                })  # fmt: skip

    def column(name: str, some: Iterable[Row]) -> int:
        return sum(row[name] or 0 for row in some)

    sums = {name: column(name, rows) for name in ("Impressions", "Link clicks", "cents")}
    top = {
        "Reporting starts": rows[0]["Reporting starts"], "Reporting ends": rows[-1]["Reporting ends"],
        "Impressions": sums["Impressions"], "Link clicks": sums["Link clicks"],
        "Amount spent (EUR)": euro(sums["cents"]), "Reach": 61234,  # people reached twice count once: no sum
    }  # fmt: skip
    orders, known = beside_orders(rng, PEOPLE[:260])
    name = "Example-Shop-Campaigns-5-May-2025-2-Nov-2025.csv"
    mapping = {
        "Campaign name": ["channel_results.campaign_id", "campaigns.name"],
        "Reporting starts": ["channel_results.at", "campaigns.start"],
        "Reporting ends": ["campaigns.end", "left out"], "Reach": "channel_results.reach",
        "Impressions": "channel_results.impressions", "Amount spent (EUR)": "channel_results.cost",
        "Link clicks": "channel_results.clicks", "Results": "channel_results.conversions",
        "Result indicator": ["channel_results.conversions", "left out"],
        "Ad set name": ["channel_results.post_id", "left out"], "Frequency": "left out",
        "CTR (link click-through rate)": "left out", "Cost per results": "left out",
    }  # fmt: skip
    return {
        name: as_csv(shuffled(rng, [*vendor, *extra]), [top, *rng.sample(rows, len(rows))]),
        "orders.csv": orders,
        "truth.json": truth(
            about="Meta Ads Manager by week and ad set, a row of totals on top; results count purchases in two "
            "campaigns and link clicks in the third",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous"},
            files={name: len(rows), "orders.csv": known["rows"]},
            tables={
                "channel_results": table(
                    len(rows),
                    {"row of totals": 1},
                    impressions=sums["Impressions"],
                    clicks=sums["Link clicks"],
                    reach=column("Reach", rows),
                    cost=euro(sums["cents"]),
                    conversions=column("Results", (row for row in rows if row["Result indicator"] == bought)),
                    results_of_any_kind=column("Results", rows),
                    **span(date.fromisoformat(row["Reporting starts"]) for row in rows),
                ),
                "campaigns": table(len(plans)),
                "transactions": known["table"],
            },
            mapping={name: mapping, "orders.csv": known["mapping"]},
            ambiguous=["whether a result of another kind than a purchase is a conversion"],
        ),
    }


def google_ads(rng: random.Random) -> dict[str, str | bytes]:
    vendor = names("Day|Campaign|Campaign ID|Currency code|Impr.|Clicks|Cost|Conversions|Conv. value|CTR")
    extra = ["Campaign status", "Avg. CPC", "Campaign type"]
    plans = {"Brand | DE": "21800000017", "Shopping, all": "21800000231", "Generic - coffee": "21800000498"}
    rows: list[Row] = []
    for day in range(150):
        for campaign, identity in plans.items():
            impressions = rng.randint(300, 4800) * (1 if campaign != "Shopping, all" else 6)
            clicks = round(impressions * rng.uniform(0.01, 0.06))
            cents, parts = clicks * rng.randint(18, 90), rng.choice((0, 0, 100, 200, 233, 350, 1200))
            rows.append({
                "Day": (date(2025, 5, 14) + timedelta(days=day)).isoformat(), "Campaign": campaign,
                "Campaign ID": identity, "Currency code": "EUR", "Impr.": f"{impressions:,}", "Clicks": f"{clicks:,}",
                "Cost": f"{cents / 100:,.2f}", "Conversions": euro(parts), "Conv. value": f"{parts * 0.47:,.2f}",
                "CTR": f"{100 * clicks / impressions:.2f}%", "Campaign status": "Enabled", "Campaign type": " --",
                "Avg. CPC": euro(cents // clicks), "numbers": (impressions, clicks, cents, parts),
            })  # fmt: skip
    impressions, clicks, cents, parts = (sum(row["numbers"][place] for row in rows) for place in range(4))
    columns = ["Campaign status", *shuffled(rng, [*vendor, *extra[1:]])]
    blank = dict.fromkeys(columns, " --")
    sums = {
        "Impr.": f"{impressions:,}", "Clicks": f"{clicks:,}", "Cost": f"{cents / 100:,.2f}",
        "Currency code": "EUR", "Conversions": f"{parts / 100:,.2f}", "CTR": f"{100 * clicks / impressions:.2f}%",
    }  # fmt: skip
    foot = [blank | sums | {"Campaign status": f"Total: {what}"} for what in ("Campaigns", "Account")]
    body = as_csv(columns, [*rng.sample(rows, len(rows)), *foot], delimiter="\t")
    orders, known = beside_orders(rng, PEOPLE[60:330])
    name = "Campaign performance report.csv"
    mapping = {
        "Day": ["channel_results.at", "campaigns.start"], "Campaign": ["campaigns.name", "channel_results.campaign_id"],
        "Campaign ID": ["channel_results.campaign_id", "campaigns.campaign_id"],
        "Currency code": "channel_results.currency", "Impr.": "channel_results.impressions",
        "Clicks": "channel_results.clicks", "Cost": "channel_results.cost",
        "Conversions": "channel_results.conversions", "CTR": "left out", "Conv. value": "left out",
        "Avg. CPC": "left out",
    }  # fmt: skip
    return {
        name: ("\ufeffCampaign performance report\n14 May 2025 - 10 October 2025\n" + body).encode("utf-16-le"),
        "orders.csv": orders,
        "truth.json": truth(
            about="Google Ads report by day in UTF-16 with tabs: two title lines, thousands separators, two totals",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous"},
            files={name: len(rows), "orders.csv": known["rows"]},
            title_lines=2,
            tables={
                "channel_results": table(
                    len(rows), {"row of totals": 2}, impressions=impressions, clicks=clicks, cost=euro(cents),
                    conversions=euro(parts), **span(date.fromisoformat(row["Day"]) for row in rows),
                ),
                "campaigns": table(len(plans)),
                "transactions": known["table"],
            },
            mapping={name: mapping, "orders.csv": known["mapping"]},
            ambiguous=[],
        ),
    }  # fmt: skip


def social_posts(rng: random.Random) -> dict[str, str | bytes]:
    vendor, extra = (
        names("Date|Post ID|Reach|Impressions|Engagements|Clicks"),
        ["Post message", "Permalink", "Platform"],
    )
    messages = (
        "New beans, new week ☕\nLink in bio", 'They call it "the quiet roast", we call it Tuesday',
        "Ask us anything: hello@example.com", "=Sale= ends on Sunday, 10 % off", "@coffeefair, see you there",
    )  # fmt: skip
    rows: list[Row] = []
    for number in range(240):
        # the shop posts in the first days of a month only: nobody can tell day from month
        month = rng.randrange(12)
        day = date(2024 + (month + 10) // 12, (month + 10) % 12 + 1, rng.randint(1, 12))
        platform = rng.choice(("Instagram", "Facebook"))
        identity = (
            f"1784140{number:05}{rng.randrange(10**5):05}" if platform == "Instagram" else f"10042_{77000 + number}"
        )
        reach = rng.randint(200, 9000)
        rows.append({
            "Date": day.strftime("%m/%d/%Y"), "Post ID": identity, "Reach": reach, "Platform": platform,
            "Impressions": round(reach * rng.uniform(1.05, 1.9)), "Engagements": round(reach * rng.uniform(0.01, 0.09)),
            "Clicks": round(reach * rng.uniform(0, 0.02)), "Post message": rng.choice(messages),
            "Permalink": f"https://social.example.com/p/{identity}", "day": day,
        })  # fmt: skip
    orders, known = beside_orders(rng, PEOPLE[100:370])
    return {
        "social_posts.csv": as_csv(shuffled(rng, [*vendor, *extra]), rows),
        "orders.csv": orders,
        "truth.json": truth(
            about="organic posts, aggregates only; ids too long for a spreadsheet's numbers; every day is 12 or lower",
            facts={
                "currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous",
                "date_format": "%m/%d/%Y",
            },
            files={"social_posts.csv": len(rows), "orders.csv": known["rows"]},
            tables={
                "channel_results": table(
                    len(rows),
                    posts=len({row["Post ID"] for row in rows}),
                    **{name.lower(): sum(row[name] for row in rows) for name in vendor[2:]},
                    **span(row["day"] for row in rows),
                ),
                "transactions": known["table"],
            },
            mapping={
                "social_posts.csv": {
                    "Date": "channel_results.at", "Post ID": "channel_results.post_id",
                    "Reach": "channel_results.reach", "Impressions": "channel_results.impressions",
                    "Engagements": "channel_results.engagements", "Clicks": "channel_results.clicks",
                    "Platform": "channel_results.channel", "Post message": "left out", "Permalink": "left out",
                },
                "orders.csv": known["mapping"],
            },
            ambiguous=["Date: 10/07/2025 may be 7 October or 10 July, and no day above 12 settles it"],
        ),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- surveys

AGREE = ("Strongly disagree", "Somewhat disagree", "Neither agree nor disagree", "Somewhat agree", "Strongly agree")
LEAN = {  # how each kind of customer leans on five statements, 0 to 4
    "regular": (3.6, 0.8, 3.2, 1.0, 2.0),
    "stock-up": (0.9, 3.5, 1.2, 3.1, 2.0),
    "occasional": (1.2, 1.4, 3.4, 3.3, 2.0),
}  # fmt: skip
STATEMENTS = (
    "I like to try new kinds of coffee.",
    "I compare prices before I buy,\neven for small things.",
    "A shop nearby matters to me.",
    'I buy "in bulk", when it is cheaper.',
    "I drink more than I used to, or so I think.",
)
REASONS = ("Price", "Taste, mostly", "Near by")
SAYS = (
    "The taste",
    "Cheap, and quick",
    "Friendly people; good coffee",
    "because it is near",
    "Nothing special\nreally",
)


def agreement(rng: random.Random, kind: str, statement: int) -> int:
    return min(4, max(0, round(rng.gauss(LEAN[kind][statement], 0.8))))


def answers(rng: random.Random, person: Person) -> Row:
    """One person's answers: five agreements as 0 to 4, yes or no, a reason, a number, and own words."""
    yes = {"regular": 0.85, "stock-up": 0.2, "occasional": 0.3}[person.kind]
    weights = {"regular": (1, 7, 2), "stock-up": (7, 2, 1), "occasional": (2, 2, 6)}[person.kind]
    cups = max(0, round(rng.gauss({"regular": 22, "stock-up": 12, "occasional": 4}[person.kind], 3)))
    return {
        "agree": [agreement(rng, person.kind, place) if rng.random() > 0.02 else None for place in range(5)],
        "yes": rng.random() < yes,
        "reason": rng.choices(REASONS, weights)[0],
        "number": cups,
        "says": rng.choice(SAYS) if rng.random() < 0.6 else "",
    }


def qualtrics(rng: random.Random) -> dict[str, str | bytes]:
    fixed = {  # header: question text, ImportId
        "StartDate": ("Start Date", "startDate"), "EndDate": ("End Date", "endDate"),
        "Status": ("Response Type", "status"), "IPAddress": ("IP Address", "ipAddress"),
        "Progress": ("Progress", "progress"), "Duration (in seconds)": ("Duration (in seconds)", "duration"),
        "Finished": ("Finished", "finished"), "RecordedDate": ("Recorded Date", "recordedDate"),
        "ResponseId": ("Response ID", "_recordId"), "RecipientLastName": ("Recipient Last Name", "recipientLastName"),
        "RecipientFirstName": ("Recipient First Name", "recipientFirstName"),
        "RecipientEmail": ("Recipient Email", "recipientEmail"),
        "ExternalReference": ("External Data Reference", "externalDataReference"),
        "LocationLatitude": ("Location Latitude", "locationLatitude"),
        "LocationLongitude": ("Location Longitude", "locationLongitude"),
        "DistributionChannel": ("Distribution Channel", "distributionChannel"),
        "UserLanguage": ("User Language", "userLanguage"),
    }  # fmt: skip
    asked = {f"Q{n + 1}": (text, f"QID{n + 1}") for n, text in enumerate(STATEMENTS)} | {
        "Q6": ("Have you ordered online, from us or others, this year?", "QID6"),
        "Q7": ("What matters most when you choose a shop? - Selected Choice", "QID7"),
        "Q8": ("How many cups do you drink in a week?\n(a whole number)", "QID8_TEXT"),
        "Q9": ("In your own words: why do you come to us?", "QID9_TEXT"),
        "segment_hint": ("segment_hint", "segment_hint"),
    }
    who = [*PEOPLE[:280], PEOPLE[15], PEOPLE[16]]  # two answered twice
    rows, kept, ended = [], [], []
    for place, person in enumerate(who):
        preview, unfinished = 60 <= place < 66, 100 <= place < 114
        invited, given = (place % 5 != 4 or place > 279) and not preview, answers(rng, person)
        start = moment(rng, date(2025, 9, 8) + timedelta(days=rng.randrange(40)))
        seconds = rng.randint(70, 900)
        says = {31: "Write to me: alva.muster@example.com", 52: "Call me on 020 7946 0999 please"}.get(
            place, given["says"]
        )
        words = [None if level is None else AGREE[level] for level in given["agree"]]
        row = {
            "StartDate": start.strftime("%Y-%m-%d %H:%M:%S"), "Status": "Survey Preview" if preview else "IP Address",
            "EndDate": (start + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S"),
            "RecordedDate": (start + timedelta(seconds=seconds + 1)).strftime("%Y-%m-%d %H:%M:%S"),
            "IPAddress": f"198.51.100.{place % 250}", "Progress": 40 if unfinished else 100,
            "Duration (in seconds)": seconds, "Finished": "False" if unfinished else "True",
            "ResponseId": "R_" + "".join(rng.choices("ABCDEFabcdef0123456789", k=15)), "UserLanguage": "EN",
            "RecipientLastName": person.last if invited else "", "RecipientFirstName": person.first if invited else "",
            # some were invited by their CRM id alone
            "RecipientEmail": spoilt(rng, person.email) if invited and not (place % 3 and place % 7 == 5) else "",
            "ExternalReference": str(51002000000 + person.number * 37) if invited and place % 3 else "",
            "LocationLatitude": "45.764", "LocationLongitude": "4.8357",
            "DistributionChannel": "preview" if preview else "email" if invited else "anonymous",
            **{f"Q{n + 1}": word or "" for n, word in enumerate(words)}, "Q6": "Yes" if given["yes"] else "No",
            "Q7": given["reason"], "Q8": given["number"], "Q9": says, "segment_hint": "x",
        }  # fmt: skip
        if unfinished:
            row |= {f"Q{n}": "" for n in (4, 5, 6, 7, 8, 9)}
        rows.append(row)
        if not (preview or unfinished):
            kept.append(person.email if invited else row["ResponseId"])
            ended.append((start + timedelta(seconds=seconds + 1)).date())
    columns = shuffled(rng, [*fixed, *asked])
    texts = {**fixed, **asked}
    zone = ("startDate", "endDate", "recordedDate")
    third = [
        json.dumps({"ImportId": texts[c][1], **({"timeZone": "Europe/Berlin"} if texts[c][1] in zone else {})},
                   separators=(",", ":"))
        for c in columns
    ]  # fmt: skip
    text = as_csv(columns, rng.sample(rows, len(rows)), [[texts[c][0] for c in columns], third])
    repeated = [person for person, times in Counter(kept).items() if times > 1]
    mapping = {
        "RecordedDate": "survey.at", "StartDate": ["survey.at", "left out"], "EndDate": ["survey.at", "left out"],
        "ResponseId": "survey.customer_id", "ExternalReference": ["key:hubspot", "survey.customer_id"],
        "RecipientEmail": ["key:email", "address:email"], "RecipientFirstName": ["address:first_name", "left out"],
        "RecipientLastName": ["address:last_name", "left out"], "IPAddress": "left out",
        "LocationLatitude": "left out", "LocationLongitude": "left out",
        **{f"Q{n}": "item:ordinal" for n in range(1, 6)}, "Q6": "item:binary", "Q7": "item:nominal",
        "Q8": "item:numeric", "Q9": "item:open",
    }  # fmt: skip
    return {
        "qualtrics.csv": text.encode("utf-8-sig"),
        "truth.json": truth(
            about="Qualtrics with three header rows: previews, unfinished ones, two people who answered twice; "
            "ExternalReference is the Record ID of hubspot_contacts",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "direct"},
            files={"qualtrics.csv": len(rows)},
            header_rows=3,
            levels={"ordinal": AGREE, "nominal": REASONS, "binary": ("No", "Yes")},
            tables={
                "survey": table(
                    len(kept) - 2 * len(repeated),
                    {"survey preview": 6, "not finished": 14},
                    {"customer_id appears more than once": 2 * len(repeated)},
                    persons=len(set(kept)),
                    items=9,
                    answers_with_a_direct_identifier={"Q9": 2},
                    **span(ended),
                )
            },
            mapping={"qualtrics.csv": mapping},
            ambiguous=["the order of the five answers (each is a text)", "whether unfinished answers count"],
        ),
    }


def surveymonkey(rng: random.Random) -> dict[str, str | bytes]:
    fixed = names(
        "Respondent ID|Collector ID|Start Date|End Date|IP Address|Email Address|First Name|Last Name|Custom Data 1"
    )
    owned = ("Filter machine", "Espresso machine", "Grinder, electric", "None of these")
    blocks = {  # question: second row
        "Which of these do you own? Please tick all that apply.": owned,
        "How much do you agree?": STATEMENTS,
        "Have you ordered online this year?": ("Response",),
        "What matters most when you choose a shop?": ("Response",),
        "How many cups do you drink in a week?": ("Response",),
        "Anything else, in your own words?": ("Open-Ended Response",),
    }
    questions = shuffled(rng, list(blocks))
    head = ["Respondent ID", *shuffled(rng, [*fixed[1:], "Custom Data 2"])]
    first, second = [*head], ["" for _ in head]
    for question in questions:
        first += [question, *[""] * (len(blocks[question]) - 1)]
        second += blocks[question]
    lines, kept, days, counts = [], [], [], Counter[str]()
    for place, person in enumerate(PEOPLE[50:310]):
        given = answers(rng, person)
        start = moment(rng, date(2025, 9, 3) + timedelta(days=rng.randrange(45)))
        invited, late = place % 4 != 1, start + timedelta(seconds=rng.randint(60, 900))
        chances = {"regular": (0.7, 0.2, 0.8, 0), "stock-up": (0.2, 0.9, 0.3, 0), "occasional": (0.2, 0.1, 0.1, 0)}
        has = [rng.random() < chance for chance in chances[person.kind]]
        has[3] = not any(has)
        counts.update(word for word, ticked in zip(owned, has, strict=True) if ticked)
        own = {
            "Respondent ID": str(118_410_000_000 + place * 71), "Collector ID": "433100200", "Custom Data 2": "",
            "Start Date": start.strftime("%m/%d/%Y %I:%M:%S %p"), "End Date": late.strftime("%m/%d/%Y %I:%M:%S %p"),
            "IP Address": f"192.0.2.{place % 250}", "Email Address": spoilt(rng, person.email) if invited else "",
            "First Name": person.first if invited else "", "Last Name": person.last if invited else "",
            "Custom Data 1": f"K{person.number:06}" if place % 2 else "",
        }  # fmt: skip
        cells = dict(
            zip(
                blocks,
                (
                    [word if ticked else "" for word, ticked in zip(owned, has, strict=True)],
                    ["" if level is None else AGREE[level] for level in given["agree"]],
                    ["Yes" if given["yes"] else "No"],
                    [given["reason"]],
                    [str(given["number"])],
                    [given["says"]],
                ),
                strict=True,
            )
        )
        lines.append([*(own[name] for name in head), *(cell for question in questions for cell in cells[question])])
        kept.append([person.email if invited else "", own["Custom Data 1"], own["Respondent ID"]])
        days.append(start.date())
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([first, second, *rng.sample(lines, len(lines))])
    agree, own_question, online, reason, cups, words = (
        "How much do you agree?", "Which of these do you own? Please tick all that apply.", *list(blocks)[2:]
    )  # fmt: skip
    mapping = {
        "Respondent ID": "survey.customer_id", "Start Date": ["survey.at", "left out"], "End Date": "survey.at",
        "IP Address": "left out", "Email Address": ["key:email", "address:email"],
        "First Name": ["address:first_name", "left out"], "Last Name": ["address:last_name", "left out"],
        "Custom Data 1": ["survey.customer_id", "key:shop", "left out"],
        **{f"{own_question} | {word}": "item:binary" for word in owned},
        **{f"{agree} | {statement}": "item:ordinal" for statement in STATEMENTS},
        f"{online} | Response": "item:binary", f"{reason} | Response": "item:nominal",
        f"{cups} | Response": "item:numeric", f"{words} | Open-Ended Response": "item:open",
    }  # fmt: skip
    return {
        "surveymonkey.csv": text.getvalue(),
        "truth.json": truth(
            about="SurveyMonkey with two header rows: a question over several columns names itself in the first only; "
            "in mapping the two rows are joined by ' | '; a box that was not ticked is empty",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "direct",
                   "date_format": "%m/%d/%Y %I:%M:%S %p"},
            files={"surveymonkey.csv": len(lines)},
            header_rows=2,
            levels={"ordinal": AGREE, "nominal": REASONS, "binary": ("No", "Yes")},
            tables={"survey": table(len(lines), persons=persons(kept), items=13, ticked=dict(counts), **span(days))},
            mapping={"surveymonkey.csv": mapping},
            ambiguous=["the zone of the dates (the account's)", "the order of the five answers (each is a text)"],
        ),
    }  # fmt: skip


def google_forms(rng: random.Random) -> dict[str, str | bytes]:
    twice = "How likely are you to recommend us? (0 to 10)"
    columns = [
        "Timestamp", "Email Address", "Which drinks do you buy? (tick all that apply)", "I like to try new things.",
        twice, "Do you live near one of our shops?", "How old are you?", "Comments, wishes, anything:", twice,
    ]  # fmt: skip
    who, drinks = PEOPLE[30:280], ("Coffee", "Tea", "Cocoa, hot", "Water")
    lines, days, ticked = [], [], Counter[str]()
    for place, person in enumerate(who):
        given = answers(rng, person)
        at = moment(rng, date(2025, 9, 10) + timedelta(days=rng.randrange(60)), PARIS)
        hours = int(at.utcoffset().total_seconds() // 3600)  # type: ignore[union-attr]
        likes = [d for d, chance in zip(drinks, (0.9, 0.4, 0.2, 0.1), strict=True) if rng.random() < chance]
        ticked.update(likes)
        stamp = f"{at:%Y/%m/%d} {at.hour % 12 or 12}:{at:%M:%S %p} GMT+{hours}"
        recommend = min(10, max(0, round(rng.gauss(8.5 if person.kind == "regular" else 5.5, 1.5))))
        level = given["agree"][0]
        lines.append([
            stamp, spoilt(rng, person.email) if place % 25 else "", ";".join(likes),
            "" if level is None else str(level + 1), str(recommend), "Yes" if given["yes"] else "No",
            rng.choice(("18-29", "30-44", "45-59", "60 or older")), given["says"],
            # asked again on the last page, where many had left already
            str(max(0, recommend - 1)) if rng.random() < 0.7 else "",
        ])  # fmt: skip
        days.append(at.date())
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows([columns, *lines])
    orders = purchases(rng, PEOPLE[:300], START, DAYS)
    capitals = random.Random("capitals of the till")
    bought, known = orders_file(rng, orders, "E-mail", lambda person: spoilt(capitals, person.email))
    mapping = {
        "Timestamp": "survey.at", "Email Address": ["key:email", "address:email"], columns[2]: "item:several",
        columns[3]: "item:ordinal", twice: ["item:numeric", "item:ordinal"], columns[5]: "item:binary",
        columns[6]: ["item:ordinal", "item:nominal", "attribute:demographic"], columns[7]: "item:open",
    }  # fmt: skip
    return {
        "google_forms.csv": text.getvalue(),
        "orders.csv": bought,
        "truth.json": truth(
            about="Google Forms: offsets in words, the same question twice (two columns of one name), ticked boxes "
            "joined by ';' (in mapping 'item:several': one yes-or-no item a box); orders name people by e-mail",
            facts={"currency": "EUR", "time_zone": "Europe/Paris", "identifiers": "direct"},
            files={"google_forms.csv": len(lines), "orders.csv": known["rows"]},
            levels={"several": drinks, "binary": ("No", "Yes")},
            tables={
                "survey": table(
                    len(lines),
                    persons=len(lines),
                    definition="every answer; those without an e-mail address are respondents of their own, or else "
                    "fail as 'customer_id is missing'",
                    without_email=sum(place % 25 == 0 for place in range(len(lines))),
                    also_in_orders=sum(place % 25 != 0 and p.number in known["who"] for place, p in enumerate(who)),
                    ticked=dict(sorted(ticked.items())),
                    **span(days),
                ),
                "transactions": known["table"],
            },
            mapping={"google_forms.csv": mapping, "orders.csv": known["mapping"]},
            ambiguous=["which of the two columns of one name was meant", "whether 1 to 5 runs from no to yes"],
        ),
    }


# ---------------------------------------------------------------------------------------------- without a ready map


def plain_orders(rng: random.Random) -> dict[str, str | bytes]:
    goods = (("Käse; mittelalt", "Molkerei"), ("Äpfel", "Obst"), ("Brot", "Bäckerei"), ('Wein "Süd"', "Getränke"))

    def german(cents: int) -> str:
        return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))

    rows: list[Row] = []
    for order in purchases(rng, PEOPLE[:260], date(2024, 9, 1), 400):
        article, group = rng.choice(goods)
        rows.append({
            "Kundennummer": f"{order['person'].number:06}", "Datum": order["at"].strftime("%d.%m.%Y"),
            "Artikel": article, "Warengruppe": group, "Filiale": rng.choice(("Köln", "Bremen")), "Kasse": 2,
            "Menge": rng.randint(1, 4), "cents": order["cents"] * 3, "day": order["at"].date(), "back": False,
        })  # fmt: skip
    for bought in rng.sample(rows, 25):
        day = min(bought["day"] + timedelta(days=rng.randint(1, 9)), date(2025, 10, 5))
        back = {"cents": -bought["cents"], "Menge": -bought["Menge"], "day": day, "Datum": day.strftime("%d.%m.%Y")}
        rows.append(bought | back | {"back": True})
    rows.sort(key=lambda row: (row["day"], row["Kundennummer"], row["cents"]))
    for place, row in enumerate(rows):
        row |= {"Belegnummer": f"R{70000 + place}", "Betrag": german(row["cents"])}
    for row in rng.sample([row for row in rows if not row["back"]], 12):
        row["Kundennummer"] = ""
    columns = shuffled(rng, names("Kundennummer|Belegnummer|Datum|Betrag|Artikel|Warengruppe|Menge|Filiale|Kasse"))
    foot = {columns[0]: "Gesamt", "Betrag": german(sum(row["cents"] for row in rows))}
    named = [row for row in rows if row["Kundennummer"]]
    mapping = {
        "Kundennummer": "transactions.customer_id", "Belegnummer": "transactions.order_id",
        "Datum": "transactions.ordered_at", "Betrag": "transactions.amount",
        "Artikel": "transactions.product_id", "Warengruppe": "transactions.category",
        "Menge": "transactions.quantity", "Filiale": ["transactions.channel", "left out"],
    }  # fmt: skip
    return {
        "orders.csv": as_csv(columns, [*rows, foot], delimiter=";").encode("utf-8-sig"),
        "truth.json": truth(
            about="a till's orders in German: semicolons, 1.234,50, 31.12.2024, returns below zero, a total last",
            facts={
                "currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous", "decimal": ",",
                "date_format": "%d.%m.%Y",
            },
            files={"orders.csv": len(rows)},
            tables={
                "transactions": table(
                    len(named),
                    {"row of totals": 1},
                    {"customer_id is missing": 12},
                    persons=len({row["Kundennummer"] for row in named}),
                    amount=total(row["cents"] for row in named),
                    amount_nobodys=total(row["cents"] for row in rows if not row["Kundennummer"]),
                    returns=sum(row["back"] for row in named),
                    returned=total(row["cents"] for row in named if row["back"]),
                    control_total=total(row["cents"] for row in rows),
                    amount_definition="Betrag; returns are below zero",
                    **span(row["day"] for row in named),
                )
            },
            mapping={"orders.csv": mapping},
            ambiguous=["the currency"],
        ),
    }  # fmt: skip


def customer_level(rng: random.Random) -> dict[str, str | bytes]:
    headers = names(
        "Customer No|Orders|Total Spent|First Order|Last Order|City|Age Group|Newsletter|Loyalty Tier|Exported by"
    )
    rows, until = [], date(2025, 10, 31)
    for person in PEOPLE[:320]:
        value = value_of(rng, person, until)
        rows.append({
            "Customer No": f"{person.number + 7:06}", "Orders": value["deals"], "Total Spent": euro(value["cents"]),
            "First Order": value["first"].isoformat() if value["first"] else "",
            "Last Order": value["last"].isoformat() if value["last"] else "", "City": person.city,
            "Age Group": rng.choice(("18-29", "30-44", "45-59", "60+", "")), "Newsletter": rng.choice(("yes", "no")),
            "Loyalty Tier": {"regular": "Gold", "stock-up": "Silver", "occasional": ""}[person.kind],
            "Exported by": "crm", "cents": value["cents"], "last": value["last"], "first": value["first"],
        })  # fmt: skip
    swapped = next(row for row in rows if row["Orders"] > 5)
    swapped["First Order"], swapped["Last Order"] = swapped["Last Order"], swapped["First Order"]
    again = next(row for row in reversed(rows) if row["Orders"] > 1)
    rows.append(again | {"City": "Elsewhere"})
    sound = [row for row in rows if row is not swapped and row["Customer No"] != again["Customer No"]]
    mapping = {
        "Customer No": "customers.customer_id", "Orders": "customers.orders", "Total Spent": "customers.sales",
        "First Order": ["customers.first_ordered_at", "customers.acquired_at"],
        "Last Order": "customers.last_ordered_at", "City": "attribute:geographic",
        "Age Group": "attribute:demographic", "Newsletter": "consents.granted",
        "Loyalty Tier": ["attribute:behavioural", "attribute:psychographic", "attribute:demographic"],
    }  # fmt: skip
    return {
        "customers.csv": as_csv(shuffled(rng, headers), rng.sample(rows, len(rows))),
        "truth.json": truth(
            about="one row a customer and no purchases; ids with leading zeros, customers who never ordered",
            facts={"currency": "EUR", "time_zone": "Europe/Berlin", "identifiers": "pseudonymous"},
            files={"customers.csv": len(rows)},
            tables={
                "customers": table(
                    len(sound),
                    failed={"customer_id appears more than once": 2, "first order is after the last": 1},
                    persons=len({row["Customer No"] for row in rows}),
                    without_orders=sum(row["Orders"] == 0 for row in sound),
                    orders=sum(row["Orders"] for row in sound),
                    sales=total(row["cents"] for row in sound),
                    sales_of_failed=total(row["cents"] for row in rows if row not in sound),
                    first_day=min(row["first"] for row in sound if row["first"]).isoformat(),
                    last_day=max(row["last"] for row in sound if row["last"]).isoformat(),
                ),
                "consents": {
                    "definition": "Newsletter of the rows kept",
                    "granted": sum(row["Newsletter"] == "yes" for row in sound),
                    "refused": sum(row["Newsletter"] == "no" for row in sound),
                },
            },
            mapping={"customers.csv": mapping},
            ambiguous=["the currency of Total Spent", "which of the two rows of one customer is right"],
        ),
    }


FOLDERS: dict[str, Callable[[random.Random], dict[str, str | bytes]]] = {
    "shopify_orders": shopify_orders,
    "hubspot_contacts": hubspot_contacts,
    "salesforce_contacts": salesforce_contacts,
    "ga4_events": ga4_events,
    "mailchimp_audience": mailchimp_audience,
    "klaviyo_profiles": klaviyo_profiles,
    "campaign_results": campaign_results_folder,
    "meta_ads": meta_ads,
    "google_ads": google_ads,
    "social_posts": social_posts,
    "qualtrics": qualtrics,
    "surveymonkey": surveymonkey,
    "google_forms": google_forms,
    "plain_orders": plain_orders,
    "customer_level": customer_level,
}


def write(folder: Path) -> None:
    """Every folder of fixtures, each from a seed of its own: changing one leaves the others as they are."""
    for name, make in FOLDERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, content in make(random.Random(name)).items():
            data = content.encode() if isinstance(content, str) else content
            (folder / name / file).write_bytes(data)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FORMATS)

"""How many columns `source new` recognises without a map: python tests/column_hits.py prints hits and misses.

Four sets. `OTHER_SHOPS` are made up here by whoever wrote the words, so their rate is no evidence of anything new.
`LATER_SHOPS` came after the words: 59 of 69 columns at first sight, then words for what was missed were added.
`UNSEEN_SHOPS` came last and no word was changed for them: theirs is the rate to expect of a new file. The fixtures of
the ready formats (tests/formats/*/truth.json) were read right in 235 of 316 columns at first sight, parts of one
export counted singly; then words and rules were mended in general.
"""

import csv
import gzip
import io
import json
import re
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segmentkit.analysis.column_guess import Columns, Meaning, read_columns

WORDS = tomllib.loads(
    (Path(__file__).parents[1] / "lib/segmentkit/machinery/templates/column_words.toml").read_text(encoding="utf-8")
)
FIRST = "Anna|Ben|Clara|David|Eva|Felix|Greta|Hugo|Ida|Jonas|Karla|Leo|Mia|Noah|Olga|Paul"
LAST = "Albers|Brandt|Castro|Dupont|Ek|Fischer|Garcia|Huber|Ivanov|Jansen|Klein|Lopez|Meyer|Novak"
ROWS = 240


@dataclass(frozen=True)
class Made:
    """Values of a made-up shop, drawn once: customers come back, orders have lines."""

    rng: np.random.Generator

    def person(self) -> list[str]:
        return [f"{FIRST.split('|')[i % 16]} {LAST.split('|')[i % 14]}" for i in self.rng.integers(0, 60, ROWS)]

    def email(self, distinct: bool = False) -> list[str]:
        numbers = self.rng.permutation(ROWS) if distinct else self.rng.integers(0, 60, ROWS)
        return [f"{FIRST.split('|')[i % 16].lower()}.{i}@example.com" for i in numbers]

    def phone(self) -> list[str]:
        return [f"+49 30 {i}" for i in self.rng.integers(2312500, 2312599, ROWS)]

    def code(self, start: str, low: int, high: int, distinct: bool = False) -> list[str]:
        numbers = np.arange(low, low + ROWS) if distinct else self.rng.integers(low, high, ROWS)
        return [f"{start}{i}" for i in numbers]

    def word(self, words: str) -> list[str]:
        return list(self.rng.choice(words.split("|"), ROWS))

    def money(self, form: str = "{:.2f}", comma: bool = False) -> list[str]:
        texts = [form.format(x) for x in self.rng.gamma(2, 20, ROWS) + 0.5]
        return [t.translate(str.maketrans(",.", ".,")) for t in texts] if comma else texts

    def whole(self, low: int = 1, high: int = 6) -> list[str]:
        return [str(i) for i in self.rng.integers(low, high, ROWS)]

    def day(self, form: str = "%Y-%m-%d") -> list[str]:
        moments = pd.Timestamp("2024-01-03 09:12:31") + pd.to_timedelta(self.rng.integers(0, 500_000, ROWS), "min")
        return [moment.strftime(form) for moment in moments]

    def blank(self) -> list[str]:
        return [""] * ROWS


Recipe = Callable[[Made], list[str]]
T = "transactions."
OTHER_SHOPS: dict[str, dict[str, tuple[str, Recipe]]] = {
    "woocommerce orders": {
        "Order Number": (T + "order_id", lambda m: m.code("", 5001, 5120)),
        "Order Status": ("not used", lambda m: m.word("completed|processing")),
        "Order Date": (T + "ordered_at", lambda m: m.day("%Y-%m-%d %H:%M:%S")),
        "Customer User ID": (T + "customer_id", lambda m: m.code("", 12, 90)),
        "Billing First Name": ("identifier", lambda m: m.word("Anna|Ben|Clara")),
        "Billing Email": ("key email", lambda m: m.email()),
        "Billing Phone": ("key phone", lambda m: m.phone()),
        "Billing City": ("attribute geographic", lambda m: m.word("Berlin|Hamburg")),
        "Payment Method Title": ("not used", lambda m: m.word("PayPal|Card")),
        "Order Shipping Amount": ("not used", lambda m: m.word("4.90|0.00")),
        "Order Total Amount": (T + "amount", lambda m: m.money()),
        "Order Total Tax Amount": ("not used", lambda m: m.money()),
        "SKU": (T + "product_id", lambda m: m.code("AB-", 10, 40)),
        "Item Name": ("not used", lambda m: m.word("Mug|Lamp|Chair")),
        "Customer Note": ("identifier", lambda m: m.word("please ring twice|leave at the door")),
    },
    "magento orders": {
        "increment_id": (T + "order_id", lambda m: m.code("10000", 1001, 9999, True)),
        "store_name": (T + "channel", lambda m: m.word("Main Website|Outlet")),
        "created_at": (T + "ordered_at", lambda m: m.day("%Y-%m-%d %H:%M:%S")),
        "customer_id": (T + "customer_id", lambda m: m.code("", 1, 80)),
        "customer_email": ("key email", lambda m: m.email()),
        "customer_group": ("attribute behavioural", lambda m: m.word("General|Wholesale")),
        "subtotal": ("amount candidate", lambda m: m.money()),
        "grand_total": (T + "amount", lambda m: m.money()),
        "tax_amount": ("not used", lambda m: m.money()),
        "order_currency_code": (T + "currency", lambda m: m.word("EUR")),
        "billing_name": ("identifier", lambda m: m.person()),
    },
    "square items": {
        "Date": (T + "ordered_at", lambda m: m.day("%m/%d/%Y")),
        "Time Zone": ("attribute geographic", lambda m: m.word("Eastern Time (US & Canada)")),
        "Category": (T + "category", lambda m: m.word("Drinks|Food")),
        "Item": ("not used", lambda m: m.word("Latte|Bagel|Tea")),
        "Qty": (T + "quantity", lambda m: m.whole()),
        "SKU": (T + "product_id", lambda m: m.code("S", 100, 120)),
        "Gross Sales": ("amount candidate", lambda m: m.money("${:.2f}")),
        "Discounts": (T + "discount", lambda m: m.word("$0.00|$1.00")),
        "Net Sales": ("amount candidate", lambda m: m.money("${:.2f}")),
        "Tax": ("not used", lambda m: m.money("${:.2f}")),
        "Transaction ID": (T + "order_id", lambda m: m.code("tx", 1000, 9999)),
        "Customer ID": (T + "customer_id", lambda m: m.code("CU", 10, 70)),
        "Customer Name": ("identifier", lambda m: m.person()),
        "Device Name": ("not used", lambda m: m.word("Till 1|Till 2")),
    },
    "stripe charges": {
        "id": (T + "order_id", lambda m: m.code("ch_3N", 1000, 9999, True)),
        "Created date (UTC)": (T + "ordered_at", lambda m: m.day("%Y-%m-%d %H:%M:%S")),
        "Amount": (T + "amount", lambda m: m.money()),
        "Amount Refunded": ("not used", lambda m: m.word("0.00|5.00")),
        "Currency": (T + "currency", lambda m: m.word("usd")),
        "Description": ("not used", lambda m: m.word("Subscription|One-off")),
        "Fee": ("not used", lambda m: m.money()),
        "Status": ("not used", lambda m: m.word("Paid|Refunded")),
        "Customer ID": (T + "customer_id", lambda m: m.code("cus_", 100, 160)),
        "Customer Email": ("key email", lambda m: m.email()),
        "Card Last4": ("identifier", lambda m: m.whole(1000, 9999)),
    },
    "lightspeed sales": {
        "Receipt Number": (T + "order_id", lambda m: m.code("R-", 100, 300)),
        "Sale Date": (T + "ordered_at", lambda m: m.day("%d/%m/%Y %H:%M")),
        "Register": (T + "channel", lambda m: m.word("Front|Back")),
        "Customer Code": (T + "customer_id", lambda m: m.code("ANN-", 10, 70)),
        "Customer Name": ("identifier", lambda m: m.person()),
        "Sold By": ("identifier", lambda m: m.person()),
        "Line Total": (T + "amount", lambda m: m.money()),
        "Quantity": (T + "quantity", lambda m: m.whole()),
        "Cost of Goods": ("not used", lambda m: m.money()),
        "Gross Profit": (T + "margin", lambda m: m.money()),
        "Loyalty Earned": ("not used", lambda m: m.whole(0, 40)),
    },
    "german order list": {
        "Kd-Nr.": (T + "customer_id", lambda m: m.code("", 10001, 10080)),
        "Belegnr": (T + "order_id", lambda m: m.code("RE", 2000, 2150)),
        "Belegdatum": (T + "ordered_at", lambda m: m.day("%d.%m.%Y")),
        "Firma/Name": ("identifier", lambda m: m.person()),
        "PLZ": ("attribute geographic", lambda m: m.whole(10115, 99998)),
        "Straße": ("identifier", lambda m: m.word("Hauptstraße 3|Am Markt 12")),
        "Art.-Nr.": (T + "product_id", lambda m: m.code("A-", 100, 150)),
        "Warengruppe": (T + "category", lambda m: m.word("Möbel|Licht")),
        "Menge": (T + "quantity", lambda m: m.whole()),
        "E-Preis": ("not used", lambda m: m.money(comma=True)),
        "Gesamtbetrag": (T + "amount", lambda m: m.money("{:,.2f}", comma=True)),
        "MwSt": ("not used", lambda m: m.money(comma=True)),
        "Rabatt": (T + "discount", lambda m: m.word("0,00|2,50")),
    },
    "french order list": {
        "N° client": (T + "customer_id", lambda m: m.code("C", 100, 160)),
        "N° commande": (T + "order_id", lambda m: m.code("CMD", 100, 300)),
        "Date de commande": (T + "ordered_at", lambda m: m.day("%d/%m/%Y")),
        "Nom": ("identifier", lambda m: m.word("Dupont|Martin|Bernard")),
        "Prénom": ("identifier", lambda m: m.word("Luc|Marie|Jean")),
        "Ville": ("attribute geographic", lambda m: m.word("Paris|Lyon")),
        "Désignation": (T + "product_id", lambda m: m.word("Lampe|Chaise")),
        "Qté": (T + "quantity", lambda m: m.whole()),
        "Montant TTC": (T + "amount", lambda m: m.money(comma=True)),
        "Remise": (T + "discount", lambda m: m.word("0,00|1,50")),
        "Devise": (T + "currency", lambda m: m.word("EUR")),
    },
    "spanish tickets": {
        "Fecha de compra": (T + "ordered_at", lambda m: m.day("%d-%m-%Y")),
        "Nº de pedido": (T + "order_id", lambda m: m.code("P", 100, 300)),
        "Código de cliente": (T + "customer_id", lambda m: m.code("", 100, 160)),
        "Apellidos": ("identifier", lambda m: m.word("García|López")),
        "Correo electrónico": ("key email", lambda m: m.email()),
        "Provincia": ("attribute geographic", lambda m: m.word("Madrid|Sevilla")),
        "Importe total": (T + "amount", lambda m: m.money(comma=True)),
        "Forma de pago": ("not used", lambda m: m.word("Tarjeta|Efectivo")),
    },
    "customer level": {
        "Member No": ("customers.customer_id", lambda m: m.code("M", 1000, 9, True)),
        "Joined": ("customers.acquired_at", lambda m: m.day()),
        "Lifetime Value": ("customers.sales", lambda m: m.money()),
        "Orders Count": ("customers.orders", lambda m: m.whole(0, 30)),
        "Last Purchase": ("customers.last_ordered_at", lambda m: m.day()),
        "Lead Source": ("customers.acquisition_channel", lambda m: m.word("ads|friend")),
        "Age Group": ("attribute demographic", lambda m: m.word("18-29|30-44")),
        "Postcode": ("attribute geographic", lambda m: m.whole(1000, 9999)),
        "Interests": ("attribute psychographic", lambda m: m.word("running|cooking")),
        "DOB": ("identifier", lambda m: m.day()),
        "Religion": ("sensitive", lambda m: m.word("a|b")),
        "Loyalty Tier": ("attribute behavioural", lambda m: m.word("gold|silver")),
        "Newsletter": ("consents.granted", lambda m: m.word("yes|no")),
    },
    "linkedin page posts": {
        "Created date": ("channel_results.at", lambda m: m.day("%m/%d/%Y")),
        "Post link": ("not used", lambda m: m.code("https://example.com/p/", 1000, 9999)),
        "Campaign name": ("channel_results.campaign_id", lambda m: m.word("Spring|Autumn")),
        "Impressions": ("channel_results.impressions", lambda m: m.whole(100, 9000)),
        "Views": ("not used", lambda m: m.whole(0, 100)),
        "Clicks": ("channel_results.clicks", lambda m: m.whole(0, 100)),
        "Click through rate (CTR)": ("not used", lambda m: m.money()),
        "Likes": ("not used", lambda m: m.whole(0, 100)),
    },
    "typeform answers": {
        "#": ("survey.customer_id", lambda m: m.code("z8x", 1000, 9999, True)),
        "How often do you shop with us?": ("item ordinal", lambda m: m.word("Never|Rarely|Often|Always")),
        "I always compare prices": ("item ordinal", lambda m: m.whole(1, 6)),
        "Do you cook at home?": ("item binary", lambda m: m.word("Yes|No")),
        "What is your main reason to buy here?": ("item nominal", lambda m: m.word("price|choice|near")),
        "Anything else you want to tell us?": (
            "item open",
            lambda m: m.code("I would like more of ", 1000, 9999, True),
        ),
        "Submit Date (UTC)": ("survey.at", lambda m: m.day("%Y-%m-%d %H:%M:%S")),
    },
}


LATER_SHOPS: dict[str, dict[str, tuple[str, Recipe]]] = {
    "bigcommerce orders": {
        "Order ID": (T + "order_id", lambda m: m.code("", 2001, 2160)),
        "Customer ID": (T + "customer_id", lambda m: m.code("", 11, 80)),
        "Customer Name": ("identifier", lambda m: m.person()),
        "Customer Email": ("key:email", lambda m: m.email()),
        "Order Date": (T + "ordered_at", lambda m: m.day("%d/%m/%Y")),
        "Order Status": ("not used", lambda m: m.word("Shipped|Completed")),
        "Subtotal (inc tax)": ("amount candidate", lambda m: m.money()),
        "Shipping Cost (inc tax)": ("not used", lambda m: m.money()),
        "Handling Cost (inc tax)": ("not used", lambda m: m.money()),
        "Coupon Value": (T + "coupon_amount", lambda m: m.word("0.00|5.00")),
        "Order Total (inc tax)": ("amount candidate", lambda m: m.money()),
        "Total Quantity": (T + "quantity", lambda m: m.whole()),
        "Ship Method": ("not used", lambda m: m.word("Flat|Pickup")),
        "Order Currency Code": (T + "currency", lambda m: m.word("AUD")),
        "Billing Suburb": ("attribute:geographic", lambda m: m.word("Carlton|Fitzroy")),
    },
    "paypal activity": {
        "Date": (T + "ordered_at", lambda m: m.day("%m/%d/%Y")),
        "Time": ("not used", lambda m: m.day("%H:%M:%S")),
        "TimeZone": ("attribute:geographic", lambda m: m.word("PST|PDT")),
        "Name": ("identifier", lambda m: m.person()),
        "Type": ("not used", lambda m: m.word("Express Checkout Payment|Mobile Payment")),
        "Currency": (T + "currency", lambda m: m.word("USD")),
        "Gross": ("amount candidate", lambda m: m.money()),
        "Fee": ("not used", lambda m: m.money("-{:.2f}")),
        "Net": ("amount candidate", lambda m: m.money()),
        "From Email Address": ("key:email", lambda m: m.email()),
        "Transaction ID": (T + "order_id", lambda m: m.code("8X", 1000, 9999, True)),
        "Balance": ("not used", lambda m: m.money()),
    },
    "eventbrite attendees": {
        "Order no.": (T + "order_id", lambda m: m.code("", 700100, 700300)),
        "Order Date": (T + "ordered_at", lambda m: m.day("%Y-%m-%d %H:%M:%S")),
        "First Name": ("identifier", lambda m: m.word("Anna|Ben|Clara")),
        "Surname": ("identifier", lambda m: m.word("Meyer|Novak|Klein")),
        "Email": ("key:email", lambda m: m.email()),
        "Ticket Type": (T + "category", lambda m: m.word("Early|Regular")),
        "Total Paid": (T + "amount", lambda m: m.money()),
        "Eventbrite Fees": ("not used", lambda m: m.money()),
        "Home City": ("attribute:geographic", lambda m: m.word("Leeds|York")),
        "Age": ("attribute:demographic", lambda m: m.whole(18, 80)),
    },
    "fichier clients": {
        "Code client": ("customers.customer_id", lambda m: m.code("CL", 1000, 9, True)),
        "Nom complet": ("identifier", lambda m: m.person()),
        "Adresse e-mail": ("key:email", lambda m: m.email(distinct=True)),
        "Téléphone portable": ("key:phone", lambda m: m.phone()),
        "Code postal": ("attribute:geographic", lambda m: m.whole(10000, 95999)),
        "Sexe": ("attribute:demographic", lambda m: m.word("F|H")),
        "Date d'inscription": ("customers.acquired_at", lambda m: m.day("%d/%m/%Y")),
        "Nombre de commandes": ("customers.orders", lambda m: m.whole(0, 30)),
        "CA total": ("customers.sales", lambda m: m.money(comma=True)),
        "Dernier achat": ("customers.last_ordered_at", lambda m: m.day("%d/%m/%Y")),
        "Statut fidélité": ("attribute:behavioural", lambda m: m.word("or|argent")),
        "Centres d'intérêt": ("attribute:psychographic", lambda m: m.word("lecture|sport")),
        "Date de naissance": ("identifier", lambda m: m.day("%d/%m/%Y")),
    },
    "kassenbuch": {
        "Bon-Nr": (T + "order_id", lambda m: m.code("", 9000, 9160)),
        "Buchungsdatum": (T + "ordered_at", lambda m: m.day("%d.%m.%Y %H:%M")),
        "Kundenkarte": (T + "customer_id", lambda m: m.code("K", 100, 160)),
        "Artikelbezeichnung": (T + "product_id", lambda m: m.word("Brot|Käse|Wein")),
        "Hauptwarengruppe": (T + "category", lambda m: m.word("Food|Non-Food")),
        "Anz.": (T + "quantity", lambda m: m.whole()),
        "VK-Preis": ("not used", lambda m: m.money(comma=True)),
        "Positionsbetrag": (T + "amount", lambda m: m.money(comma=True)),
        "Bediener": ("identifier", lambda m: m.person()),
        "Zahlart": ("not used", lambda m: m.word("Bar|EC")),
    },
    "tiktok ads": {
        "By Day": ("channel_results.at", lambda m: m.day()),
        "Campaign name": ("channel_results.campaign_id", lambda m: m.word("Spring|Autumn")),
        "Cost": ("channel_results.cost", lambda m: m.money()),
        "CPM": ("not used", lambda m: m.money()),
        "Impressions": ("channel_results.impressions", lambda m: m.whole(100, 9000)),
        "Clicks (destination)": ("channel_results.clicks", lambda m: m.whole(0, 90)),
        "Reach": ("channel_results.reach", lambda m: m.whole(90, 5000)),
        "Conversions": ("channel_results.conversions", lambda m: m.whole(0, 9)),
        "Currency": ("channel_results.currency", lambda m: m.word("EUR")),
    },
}


UNSEEN_SHOPS: dict[str, dict[str, tuple[str, Recipe]]] = {
    "prestashop orders": {
        "ID": (T + "order_id", lambda m: m.code("", 301, 9, True)),
        "Reference": ("not used", lambda m: m.code("XKBKN", 100, 999, True)),
        "New client": ("not used", lambda m: m.word("Yes|No")),
        "Delivery": ("not used", lambda m: m.word("France|Spain")),
        "Customer": ("identifier", lambda m: m.person()),
        "id_customer": (T + "customer_id", lambda m: m.code("", 1, 70)),
        "Total paid tax incl.": ("amount candidate", lambda m: m.money()),
        "Total products": ("amount candidate", lambda m: m.money()),
        "Payment": ("not used", lambda m: m.word("Bank wire|PayPal")),
        "Date add": (T + "ordered_at", lambda m: m.day("%Y-%m-%d %H:%M:%S")),
    },
    "toast checks": {
        "Location": (T + "channel", lambda m: m.word("Harbour|Old Town")),
        "Order Id": (T + "order_id", lambda m: m.code("70000", 100, 300)),
        "Opened": (T + "ordered_at", lambda m: m.day("%m/%d/%y %I:%M %p")),
        "# of Guests": ("not used", lambda m: m.whole()),
        "Server": ("identifier", lambda m: m.person()),
        "Loyalty Member": (T + "customer_id", lambda m: m.code("LM", 100, 160)),
        "Discount Amount": (T + "discount", lambda m: m.word("0.00|3.00")),
        "Amount": ("amount candidate", lambda m: m.money()),
        "Tax": ("not used", lambda m: m.money()),
        "Tip": ("not used", lambda m: m.money()),
        "Gratuity": ("not used", lambda m: m.money()),
        "Total": ("amount candidate", lambda m: m.money()),
    },
    "newsletter-empfaenger": {
        "E-Mail-Adresse": ("key:email", lambda m: m.email(distinct=True)),
        "Anrede": ("attribute:demographic", lambda m: m.word("Frau|Herr")),
        "Vorname": ("identifier", lambda m: m.word("Anna|Ben")),
        "Nachname": ("identifier", lambda m: m.word("Klein|Huber")),
        "Angemeldet am": ("customers.acquired_at", lambda m: m.day("%d.%m.%Y %H:%M")),
        "Quelle": ("customers.acquisition_channel", lambda m: m.word("Formular|Messe")),
        "Öffnungsrate": ("not used", lambda m: m.money(comma=True)),
        "Wohnort": ("attribute:geographic", lambda m: m.word("Kiel|Ulm")),
        "Bestätigt (Double-Opt-in)": ("consents.granted", lambda m: m.word("ja|nein")),
        "Letzte Öffnung": ("not used", lambda m: m.day("%d.%m.%Y")),
    },
    "pedidos tienda": {
        "Nº Factura": (T + "order_id", lambda m: m.code("F-", 100, 300)),
        "Fecha": (T + "ordered_at", lambda m: m.day("%d/%m/%Y")),
        "Cód. Cliente": (T + "customer_id", lambda m: m.code("", 4000, 4070)),
        "Nombre Fiscal": ("identifier", lambda m: m.person()),
        "Familia": (T + "category", lambda m: m.word("Hogar|Jardín")),
        "Cod. Artículo": (T + "product_id", lambda m: m.code("AR", 10, 40)),
        "Uds.": (T + "quantity", lambda m: m.whole()),
        "PVP": ("not used", lambda m: m.money(comma=True)),
        "Dto.": ("not used", lambda m: m.whole(0, 20)),
        "Importe": (T + "amount", lambda m: m.money(comma=True)),
        "Población": ("attribute:geographic", lambda m: m.word("Cádiz|Lugo")),
    },
    "pinterest ads": {
        "Date": ("channel_results.at", lambda m: m.day()),
        "Campaign ID": ("channel_results.campaign_id", lambda m: m.code("6267", 1000, 1009)),
        "Objective type": ("not used", lambda m: m.word("AWARENESS|CONSIDERATION")),
        "Spend in account currency": ("channel_results.cost", lambda m: m.money()),
        "Impressions": ("channel_results.impressions", lambda m: m.whole(100, 9000)),
        "Pin clicks": ("channel_results.clicks", lambda m: m.whole(0, 90)),
        "Outbound clicks": ("not used", lambda m: m.whole(0, 60)),
        "Saves": ("not used", lambda m: m.whole(0, 20)),
        "Engagements": ("channel_results.engagements", lambda m: m.whole(0, 200)),
    },
}


def made(name: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """A made-up file of another shop, and what its columns are."""
    every = OTHER_SHOPS | LATER_SHOPS | UNSEEN_SHOPS
    recipes = every[name]
    maker = Made(np.random.default_rng(sorted(every).index(name)))
    return pd.DataFrame({header: draw(maker) for header, (_, draw) in recipes.items()}), {
        header: truth for header, (truth, _) in recipes.items()
    }


def is_hit(columns: Columns, header: str, truth: str | list[str]) -> bool:
    """Whether a column was read as what it is, or as one of the things that it may be taken for."""
    meaning = columns.meanings.get(header)
    return meaning is not None and any(_fits(columns, meaning, one) for one in _listed(truth))


def _listed(truth: str | list[str]) -> list[str]:
    return [truth] if isinstance(truth, str) else truth


def _fits(columns: Columns, meaning: Meaning, truth: str) -> bool:
    kind, _, what = re.sub("^(key|attribute|item) ", r"\1:", truth).partition(":")
    people = {"email": "email", "phone": "phone", "country": "geographic", "postcode": "geographic"}
    if truth in ("not used", "left out"):
        # an attribute is read from a file of customers only
        idle = meaning.role == "attribute" and columns.table != "customers"
        return meaning.role in ("beside", "unknown", "identifier", "sensitive") or idle
    if truth == "amount candidate":
        return meaning.what in ("transactions.amount", "net amount")
    if kind == "address":
        return meaning.what == people.get(what, "name of a person")
    if kind in ("key", "item", "attribute") and what:
        return meaning.role == kind and meaning.what in (what.replace("several", "open"), "other")
    column = truth.rpartition(".")[2]
    # an e-mail that stands for a missing id is a key of the source, too; consents and events have columns of their own
    return meaning.what in (truth, column) or meaning.role == truth or meaning.what == EVENTS.get(column)


EVENTS = {"event": "opened", "granted": "refused", "at": "consent date"}


def hits(columns: Columns, truth: dict[str, str]) -> tuple[int, list[str]]:
    """Hits, and the misses in words."""
    missed = [
        f"{header} == {truth[header]}, read as {columns.meanings[header].role} {columns.meanings[header].what}"
        for header in truth
        if not is_hit(columns, header, truth[header])
    ]
    return len(truth) - len(missed), missed


def other_shops(names: Iterable[str] = tuple(OTHER_SHOPS)) -> Iterator[tuple[str, int, int, list[str]]]:
    """Name, columns, hits and misses of made-up files."""
    for name in names:
        sample, truth = made(name)
        found, missed = hits(read_columns(sample, WORDS), truth)
        yield name, len(truth), found, missed


def read_fixture(path: Path) -> pd.DataFrame:
    """The rows of a fixture as text, its header lines brought to one; nothing else is mended."""
    if path.suffix == ".xlsx":
        return pd.read_excel(path, dtype="str")
    if path.name.endswith(".jsonl.gz"):
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()]
        return pd.DataFrame(
            [{k: v if isinstance(v, str) else json.dumps(v) for k, v in r.items() if v is not None} for r in rows]
        )
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return pd.concat(_csv(archive.read(name)) for name in archive.namelist() if name.endswith(".csv"))
    return _csv(path.read_bytes())


def _csv(content: bytes) -> pd.DataFrame:
    start = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    encodings = ["utf-16"] if start else ["utf-8-sig", "latin-1"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    delimiter = max(",;\t|", key=text[:4000].count)
    lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    width = Counter(map(len, lines)).most_common(1)[0][0]
    lines = [line for line in lines if len(line) == width and any(line)]
    header, rows = lines[0], lines[1:]
    if len(rows) > 1 and "ImportId" in " ".join(rows[1]):
        rows = rows[2:]
    elif len(rows) > 1 and not any(rows[0][:9]):
        names = pd.Series(header).replace("", None).ffill()
        header = [f"{a} | {b}" if b else a for a, b in zip(names, rows[0], strict=True)]
        rows = rows[1:]
    table = pd.DataFrame(rows, columns=header)
    return table.loc[:, ~table.columns.duplicated()]


def ready_formats() -> Iterator[tuple[str, int, int, list[str]]]:
    """The same for every file of every ready format's fixture."""
    seen: list[Any] = []
    for path in sorted((Path(__file__).parent / "formats").glob("*/truth.json")):
        content = json.loads(path.read_text(encoding="utf-8"))["mapping"]
        for file, truth in content.items():
            # the parts of one export, and a file that several fixtures have, count once
            if truth in seen:
                continue
            seen.append(truth)
            columns = read_columns(read_fixture(path.parent / file).head(3000), WORDS)
            found, missed = hits(columns, truth)
            yield f"{path.parent.name}: {file}"[:40] + f" ({columns.table})", len(truth), found, missed


def show(rows: Iterator[tuple[str, int, int, list[str]]] | list[Any]) -> float:
    """Print the table; return the share of hits."""
    rows = list(rows)
    for name, columns, found, missed in rows:
        print(f"{name:<62}{columns:>8}{found:>8}   {'; '.join(missed)}")
    total, right = sum(row[1] for row in rows), sum(row[2] for row in rows)
    print(f"{'together':<62}{total:>8}{right:>8}   {right / max(total, 1):.1%}\n")
    return right / max(total, 1)


if __name__ == "__main__":
    print(f"{'file':<62}{'columns':>8}{'hits':>8}   misses")
    show(other_shops())
    show(other_shops(LATER_SHOPS))
    show(other_shops(UNSEEN_SHOPS))
    show(ready_formats())

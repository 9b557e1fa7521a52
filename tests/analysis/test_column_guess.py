"""Reading unknown files: names and values together, money and dates asked where they are open, and only there."""

import numpy as np
import pandas as pd
import pytest

from column_hits import OTHER_SHOPS, UNSEEN_SHOPS, WORDS, hits, is_hit, made, other_shops, read_fixture, ready_formats
from segmentkit.analysis.column_guess import read_columns
from segmentkit.analysis.column_lines import Proposal, propose
from segmentkit.analysis.column_words import fit, tokens
from segmentkit.analysis.value_kinds import Values

RNG = np.random.default_rng(3)
N = 200


def orders(**columns: list[str]) -> pd.DataFrame:
    """An orders file with nothing open, and the columns given in place of its own."""
    days = pd.Timestamp("2024-01-05") + pd.to_timedelta(RNG.integers(0, 300, N), "D")
    own = {
        "Customer ID": [f"C{i}" for i in RNG.integers(0, 40, N)],
        "Order ID": [f"R{i}" for i in range(N)],
        "Order Date": list(days.strftime("%Y-%m-%d")),
        "Total": [f"{x:.2f}" for x in RNG.gamma(2, 20, N) + 1],
    }
    return pd.DataFrame({k: v for k, v in (own | columns).items() if v})


def proposed(table: pd.DataFrame, **stated: str) -> Proposal:
    return propose(read_columns(table, WORDS), stated)


def asked(table: pd.DataFrame, **stated: str) -> list[str]:
    proposal = proposed(table, **stated)
    lines = [line for lines in proposal.sections.values() for line in lines]
    return [line.key for line in [*lines, *proposal.facts] if line.is_open]


def value(table: pd.DataFrame, key: str, section: str = "transactions", **stated: str) -> object:
    return next((line.value for line in proposed(table, **stated).sections[section] if line.key == key), None)


# --- hits and misses ------------------------------------------------------------------------------------------


def test_other_shops_are_read() -> None:
    rows = list(other_shops())
    assert sum(row[2] for row in rows) / sum(row[1] for row in rows) > 0.95, [row for row in rows if row[3]]


def test_shops_that_no_word_was_written_for_are_read_mostly() -> None:
    rows = list(other_shops(UNSEEN_SHOPS))
    assert sum(row[2] for row in rows) / sum(row[1] for row in rows) > 0.8, [row for row in rows if row[3]]


@pytest.mark.parametrize("name", ["prestashop orders", "toast checks"])
def test_a_name_that_was_misread_does_not_settle_money(name: str) -> None:
    assert "amount" in asked(made(name)[0])


def test_ready_formats_are_read_without_their_maps() -> None:
    rows = list(ready_formats())
    assert len(rows) >= 15
    assert sum(row[2] for row in rows) / sum(row[1] for row in rows) > 0.93, [row for row in rows if row[3]]


@pytest.mark.parametrize("name", OTHER_SHOPS)
def test_the_order_of_columns_and_rows_does_not_matter(name: str) -> None:
    table, truth = made(name)
    turned = table.sample(frac=1, random_state=2)[table.columns[::-1]]
    one, other = read_columns(table, WORDS), read_columns(turned, WORDS)
    changed = [h for h in truth if is_hit(one, h, truth[h]) != is_hit(other, h, truth[h])]
    assert one.table == other.table
    assert changed == []


def test_a_truth_that_is_wrong_is_a_miss() -> None:
    table, truth = made("german order list")
    assert hits(read_columns(table, WORDS), truth | {"Menge": "transactions.amount"})[0] == len(truth) - 1


@pytest.mark.parametrize(
    ("name", "same"),
    [("Order No.", "order number"), ("Währung", "waehrung"), ("orderID", "order id"), ("Amount (EUR)", "amount")],
)
def test_names_are_compared_without_accents_case_and_signs(name: str, same: str) -> None:
    assert tokens(name) == tokens(same)
    assert fit(name, same) == 1


# --- what must be asked, and what must not --------------------------------------------------------------------


def test_an_unambiguous_file_is_not_asked_about() -> None:
    assert asked(orders()) == []


AMBIGUOUS = {
    "days and months up to 12": (
        {"Order Date": [f"{i % 12 + 1:02}/{i % 11 + 1:02}/2024" for i in range(N)]},
        "date_format",
    ),
    "the same with dots": ({"Order Date": [f"{i % 12 + 1:02}.{i % 11 + 1:02}.2024" for i in range(N)]}, "date_format"),
    "years of two digits": ({"Order Date": [f"{i % 28 + 1:02}.{i % 11 + 1:02}.24" for i in range(N)]}, "date_format"),
    "a point before three digits": ({"Total": [f"{i % 9 + 1}.{i % 900 + 100}" for i in range(N)]}, "decimal"),
    "a comma before three digits": ({"Total": [f"{i % 9 + 1},{i % 900 + 100}" for i in range(N)]}, "decimal"),
    "total and subtotal": ({"Subtotal": [f"{i + 0.5:.2f}" for i in range(N)]}, "amount"),
    "gross and net": ({"Total": [], "Brutto": ["11.90"] * N, "Netto": ["10.00"] * N}, "amount"),
    "money given back": ({"Refunded Amount": ["0.00", "5.00"] * (N // 2)}, "amount"),
    "two ids of customers": ({"Client Number": [f"K{i % 37}" for i in range(N)]}, "customer_id"),
    "two dates of purchase": ({"Invoice Date": [f"2024-{i % 12 + 1:02}-15" for i in range(N)]}, "ordered_at"),
    "cancelled orders": ({"Status": ["paid", "cancelled"] * (N // 2)}, "leave_out"),
    "an id without a known word": ({"Customer ID": [], "Xqz": [f"C{i % 37}" for i in range(N)]}, "customer_id"),
    "two currencies": ({"Currency": ["EUR", "GBP"] * (N // 2)}, "currency"),
    "a sign of many currencies": ({"Total": [f"${i + 0.5:.2f}" for i in range(N)]}, "currency"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_money_and_dates_leave_open_is_asked(case: str) -> None:
    columns, key = AMBIGUOUS[case]
    assert asked(orders(**columns)) == [key]


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_an_answer_closes_the_question(case: str) -> None:
    columns, key = AMBIGUOUS[case]
    assert asked(orders(**columns), **{key: "EUR" if key == "currency" else "Total"}) == []


def test_a_day_above_twelve_settles_the_order() -> None:
    table = orders(**{"Order Date": [f"{i % 28 + 1:02}/{i % 12 + 1:02}/2024" for i in range(N)]})
    assert value(table, "date_format") == "%d/%m/%Y"
    assert asked(table) == []


def test_another_date_of_the_file_settles_it_too() -> None:
    table = orders(
        **{
            "Order Date": [f"{i % 12 + 1:02}/{i % 11 + 1:02}/2024" for i in range(N)],
            "Shipped at": [f"{i % 12 + 1:02}/{i % 28 + 1:02}/2024" for i in range(N)],
        }
    )
    assert value(table, "date_format") == "%m/%d/%Y"


def test_choices_say_what_an_example_would_mean() -> None:
    columns = AMBIGUOUS["days and months up to 12"][0]
    line = next(line for line in proposed(orders(**columns)).sections["transactions"] if line.is_open)
    assert [choice.words for choice in line.choices] == [
        "12/01/2024 is 12 January 2024",
        "12/01/2024 is 1 December 2024",
    ]


def test_another_column_settles_the_decimal_sign() -> None:
    table = orders(Total=[f"{i % 9 + 1}.{i % 900 + 100}" for i in range(N)], Rabatt=[f"{i % 9},50" for i in range(N)])
    assert value(table, "decimal") == ","
    assert asked(table) == []


# --- money ----------------------------------------------------------------------------------------------------


def lines_of_orders() -> pd.DataFrame:
    """Two lines an order: the order's total repeats, prices and quantities differ."""
    table = orders(
        **{"Order ID": [f"R{i // 2}" for i in range(N)], "Customer ID": [f"C{i // 2 % 40}" for i in range(N)]}
    )
    table["Order Date"] = table["Order Date"].iloc[[i // 2 * 2 for i in range(N)]].to_numpy()
    price, quantity = RNG.integers(100, 900, N) / 100, RNG.integers(1, 5, N)
    table["Item Price"], table["Quantity"] = [f"{p:.2f}" for p in price], [str(q) for q in quantity]
    table["SKU"] = [f"S{i % 7}" for i in range(N)]
    sums = pd.Series(price * quantity).groupby([i // 2 for i in range(N)]).transform("sum")
    table["Total"] = [f"{s:.2f}" for s in sums]
    return table


def test_a_total_that_repeats_on_every_line_is_not_summed() -> None:
    amount = value(lines_of_orders(), "amount")
    assert isinstance(amount, dict)
    assert '"Quantity"' in amount["expr"]
    assert '"Item Price"' in amount["expr"]
    assert '"Total"' not in amount["expr"]


def test_a_line_total_is_known_by_its_sum() -> None:
    table = lines_of_orders()
    product = table["Item Price"].astype(float) * table["Quantity"].astype(float)
    table["Paid"] = [f"{x:.2f}" for x in product]
    assert value(table, "amount") == "Paid"
    assert asked(table) == []


def test_an_order_total_alone_counts_once_an_order() -> None:
    amount = value(lines_of_orders().drop(columns="Item Price"), "amount")
    assert isinstance(amount, dict)
    assert "min(row_number) OVER" in amount["expr"]


def test_what_stands_on_the_first_line_only_is_taken_for_all() -> None:
    table = lines_of_orders()
    table.loc[1::2, ["Customer ID", "Order Date"]] = ""
    assert value(table, "customer_id") == {"expr": 'max("Customer ID") OVER (PARTITION BY "Order ID")'}


def test_dressed_numbers_are_undressed_with_their_sign() -> None:
    import duckdb

    table = orders(Total=["(€1.234,50)", "€ 12,00", "3,00-", "€7,25"] * (N // 4))
    amount = value(table, "amount")
    assert isinstance(amount, dict)
    file = table.head(4)  # noqa: F841
    found = duckdb.sql(f"SELECT {amount['expr']} FROM file").fetchall()
    assert [row[0] for row in found] == [-1234.5, 12.0, -3.0, 7.25]


# --- privacy --------------------------------------------------------------------------------------------------


def test_ids_that_are_addresses_are_direct() -> None:
    table = orders(**{"Customer ID": [], "E-Mail": [f"anna{i % 30}@example.com" for i in range(N)]})
    proposal = proposed(table)
    assert {fact.key: fact.value for fact in proposal.facts}["identifiers"] == "direct"
    assert value(table, "keys") == {"email": "E-Mail"}


def test_nothing_shown_names_anybody() -> None:
    table = orders(
        **{
            "Billing Name": [f"Anna Lindqvist{chr(97 + i % 26)}" for i in range(N)],
            "E-Mail": [f"anna{i}@example.com" for i in range(N)],
            "Note": [f"ring 030 1234567{i % 10}, ask for Anna" for i in range(N)],
            "Ref": [f"+4930123456{i:03}" for i in range(N)],
        }
    )
    proposal = proposed(table)
    text = proposal.masked.to_string() + str(proposal.sections) + str(proposal.meanings) + str(proposal.notes)
    for secret in ("Lindqvist", "anna1@", "@example", "1234567", "+4930123456"):
        assert secret not in text


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("Religion", ["a", "b"], "sensitive"),
        ("Schwangerschaft", ["ja", "nein"], "sensitive"),
        ("Client IP", ["10.0.0.1", "10.0.0.2"], "identifier"),
        ("Geburtsdatum", ["1980-01-02", "1991-05-06"], "identifier"),
        ("Latitude", ["52.1", "48.2"], "identifier"),
        ("xyz", ["a@example.com", "b@example.com"], "key"),
    ],
)
def test_what_must_not_come_in(name: str, values: list[str], role: str) -> None:
    assert read_columns(orders(**{name: values * (N // 2)}), WORDS).meanings[name].role == role


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["2025-10-07 09:50:26 +0200"], "date"),
        (["Oct 7, 2025", "Nov 12, 2025"], "date"),
        (["1,234.50", "3.00"], "number"),
        (["1'234.50", "2.00"], "number"),
        (["+49 30 1234567", "030/1234567"], "phone"),
        (["10.11.12.13"], "ip"),
        (["ja", "Nein"], "flag"),
        (["R-100", "R-101"], "code"),
        (["", " "], "empty"),
        (["EUR", "CHF"], "currency"),
    ],
)
def test_kinds_of_values(texts: list[str], kind: str) -> None:
    assert Values.of(texts).kind == kind


@pytest.mark.parametrize(
    ("texts", "sign"),
    [
        (["1.234,50"], ","),
        (["1,234.50"], "."),
        (["1.234"], "?"),
        (["1.234", "0.5"], "."),
        (["0.125"], "."),
        (["1.234.567"], ","),
        (["12", "13"], ""),
        (["1,5", "1.5"], "?"),
    ],
)
def test_decimal_signs(texts: list[str], sign: str) -> None:
    assert Values.of(texts).decimal == sign


def test_the_fixtures_are_read_as_their_vendors_wrote_them() -> None:
    from pathlib import Path

    folder = Path(__file__).parents[1] / "formats"
    assert "Name" in read_fixture(folder / "shopify_orders" / "orders_export_1.csv").columns

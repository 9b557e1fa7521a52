"""Small tables with an origin: exchange rates bring money to one currency, margins put profit on every line."""

import itertools
from pathlib import Path

import ibis
import pandas as pd
import pytest

from segmentkit.analysis import audit, audit_report, margins
from segmentkit.errors import DataError
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

NUMBER = itertools.count()
SOURCE = """
currency = "EUR"
time_zone = "Europe/Berlin"
identifiers = "pseudonymous"
analysis_basis = "a test"
extracted_on = "2025-06-30"
[transactions]
path = "orders.csv"
customer_id = "who"
order_id = "order"
ordered_at = "day"
amount = "paid"
discount = "off"
currency = "money"
"""
RATES = '[exchange_rates]\npath = "rates.csv"\ncurrency = "currency"\nrate = "rate"\norigin = "origin"\n'
ORDERS = """who,order,day,paid,off,money
a,1,2025-01-01,10.00,1.00,EUR
b,2,2025-01-02,10.00,2.00,GBP
c,3,2025-01-03,10.00,0.00,USD
d,4,2025-01-04,10.00,0.00,
e,5,2025-01-05,10.00,0.00,GBP
"""


def check(folder: Path, rates: str | None) -> dict[str, audit.Checked]:
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    if rates is not None:
        (folder / "rates.csv").write_text("currency,rate,origin\n" + rates, encoding="utf-8")
    (folder / "shop.toml").write_text(SOURCE + (RATES if rates is not None else ""), encoding="utf-8")
    return audit.check_tables(read_source(load_source(str(folder / "shop.toml")), connect()))


def test_every_amount_is_brought_to_the_sources_currency(tmp_path: Path) -> None:
    checked = check(tmp_path, "GBP,1.2,bank\nUSD,0.5,bank\n")
    kept = checked["transactions"].kept.execute().set_index("customer_id")
    assert kept["amount"].to_dict() == {"a": 10.0, "b": 12.0, "c": 5.0, "e": 12.0}
    assert kept["discount"].to_dict() == {"a": 1.0, "b": 2.4, "c": 0.0, "e": 0.0}
    assert checked["transactions"].money() == 39.0
    assert checked["exchange_rates"].kept.execute()["origin"].tolist() == ["bank", "bank"]


def test_a_row_whose_currency_has_no_rate_is_set_aside_with_a_reason(tmp_path: Path) -> None:
    checked = check(tmp_path, "GBP,1.2,bank\n")["transactions"]
    aside = checked.quarantined.set_index("row_number")
    assert aside["rule"].to_dict() == {3: "currency has no exchange rate", 4: "currency is missing"}
    assert "add its rate to [exchange_rates]" in aside["mend"].iloc[0]
    assert checked.rows_read == checked.rows_kept + len(aside) == 5
    bridge = audit_report.money_bridge(checked).set_index("step")["amount"]
    assert bridge["read from the source"] == bridge["set aside for another reason"] + bridge["analysed"] == 34.0


def test_without_rates_only_the_sources_own_currency_is_analysed(tmp_path: Path) -> None:
    assert check(tmp_path, None)["transactions"].kept.execute()["customer_id"].tolist() == ["a"]


def test_a_currency_named_twice_has_no_rate(tmp_path: Path) -> None:
    checked = check(tmp_path, "GBP,1.2,bank\nGBP,1.3,desk\nUSD,0.5,bank\n")
    assert checked["exchange_rates"].rows_kept == 1
    assert checked["transactions"].kept.execute()["customer_id"].tolist() == ["a", "c"]


# --- margins


def lines(categories: list[str | None]) -> ibis.Table:
    table = pd.DataFrame({"customer_id": "a", "amount": 10.0, "category": categories})
    return connect().create_table(f"margins_{next(NUMBER)}", table)


def stated(**rates: float) -> ibis.Table:
    rows = [(name.replace("_", " "), rate, "budget 2025") for name, rate in rates.items()]
    return ibis.memtable(pd.DataFrame(rows, columns=["category", "margin_rate", "origin"]))


def test_margins_by_category_with_a_rate_for_the_rest() -> None:
    priced, source = margins.apply(lines(["Bread", "Fruit", None]), stated(Bread=0.5, all_others=0.2))
    assert sorted(priced.execute()["margin"]) == [2.0, 2.0, 5.0]
    assert source == "stated by the source (budget 2025)"


def test_a_margin_of_its_own_comes_first_and_none_is_not_known() -> None:
    own = lines(["Bread"]).mutate(margin=ibis.literal(1.5))
    assert margins.apply(own, stated(Bread=0.5)) == (own, "measured")
    plain = lines(["Bread"])
    assert margins.apply(plain, None) == (plain, "not known")


@pytest.mark.parametrize(
    ("categories", "rates", "told"),
    [
        (["Bread"], {"Bread": 25.0}, "margin_rate == 25 for 'Bread'; it is a share of sales, at most 1; write 0.25"),
        (["Bread", "Fruit", "Wine"], {"Bread": 0.5}, r"no rate for Fruit, Wine \(2 of 3 categories\); add them"),
        (["Bread", None], {"Bread": 0.5}, "no rate for lines without one"),
    ],
)
def test_a_margin_that_does_not_cover_the_sales_is_refused(
    categories: list[str | None], rates: dict[str, float], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        margins.apply(lines(categories), stated(**rates))


def test_margins_by_category_need_categories() -> None:
    with pytest.raises(DataError, match="purchases have none; map category, or state 'all others' alone"):
        margins.apply(lines(["Bread"]).drop("category"), stated(Bread=0.5))
    priced, _ = margins.apply(lines(["Bread"]).drop("category"), stated(all_others=0.3))
    assert priced.execute()["margin"].tolist() == [3.0]


def test_a_margin_on_some_lines_only_is_not_summed_as_nothing() -> None:
    some = lines(["Bread", "Fruit"]).mutate(margin=ibis.cases((ibis._.category == "Bread", 4.0), else_=None))
    plain, source = margins.apply(some, None)
    assert "margin" not in plain.columns
    assert source.startswith("not known: 1 of 2 purchase lines have no margin of their own")
    filled, source = margins.apply(some, stated(Fruit=0.2))
    assert sorted(filled.execute()["margin"]) == [2.0, 4.0]
    assert source == ("measured; 1 of 2 purchase lines have no margin: theirs is stated by the source (budget 2025)")
    with pytest.raises(DataError, match="no rate for Fruit"):
        margins.apply(some, stated(Wine=0.2))


@pytest.mark.parametrize("rate", ["0", "-1.2"])
def test_a_rate_that_is_not_above_zero_is_no_rate(tmp_path: Path, rate: str) -> None:
    checked = check(tmp_path, f"GBP,{rate},bank\nUSD,0.5,bank\n")
    assert checked["exchange_rates"].quarantined["rule"].tolist() == ["rate is not above zero"]
    assert checked["transactions"].kept.execute()["customer_id"].tolist() == ["a", "c"]


def test_what_was_converted_at_which_rate_is_said(tmp_path: Path) -> None:
    checked = check(tmp_path, "GBP,1.2,bank of May\nCHF,1.1,bank\n")
    units = pd.DataFrame({"column": [], "plausible": pd.Series(dtype=bool)})
    said = " ".join(audit_report.findings(checked, units))
    assert "2 lines in GBP are converted at 1.2, stated by the source (bank of May)." in said
    assert "CHF" not in said
    assert "2 lines have no currency or no exchange rate; they are set aside, and their money is in no amount" in said


def test_the_cents_that_are_shown_add_up(tmp_path: Path) -> None:
    bridge = audit_report.money_bridge(check(tmp_path, "GBP,1.00055,bank\nUSD,0.50055,bank\n")["transactions"])
    amounts = [round(amount * 100) for amount in bridge["amount"]]
    assert amounts[0] == sum(amounts[1:])
    assert [amount / 100 for amount in amounts] == bridge["amount"].tolist()


def test_a_cost_below_zero_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text(
        "start,end,cost,origin\n2025-01-01,2025-01-31,-5,bill\n2025-02-01,2025-02-28,5,bill\n"
    )
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    columns = "".join(f'{name} = "{name}"\n' for name in ("start", "end", "cost", "origin"))
    (tmp_path / "shop.toml").write_text(
        SOURCE + f'[acquisition_costs]\npath = "costs.csv"\n{columns}', encoding="utf-8"
    )
    checked = audit.check_tables(read_source(load_source(str(tmp_path / "shop.toml")), connect()))["acquisition_costs"]
    assert checked.quarantined["rule"].tolist() == ["cost is below zero"]
    assert checked.rows_kept == 1

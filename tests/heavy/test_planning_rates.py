"""Whether a planned effect is found as often as stated, and how often ratio and heterogeneity checks fire and miss."""

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from segmentkit.analysis import experiments, planning

pytestmark = pytest.mark.heavy
HISTORIES, EACH = 40, 50
SEED = 2_000


def spend(rng: np.random.Generator, shape: tuple[int, ...], buying: float, spread: float = 1.0) -> np.ndarray:
    """Zero-inflated log-normal sales."""
    return np.where(rng.random(shape) < buying, rng.lognormal(3.0, spread, shape), 0.0)


def planned(rng: np.random.Generator, customers: int, buying: float, treated_share: float) -> pd.Series:
    sales = spend(rng, (customers,), buying)
    history = pd.DataFrame({"customer_id": np.arange(customers).astype(str), "segment_key": "A", "sales": sales})
    history["orders"] = (sales > 0).astype(float)
    plan = planning.power_table(
        history, days=28, treated_share=treated_share, confidence=0.95, power=0.8, worth_share=0.2
    )
    return plan.table.iloc[-1]


def found(mine: np.ndarray, theirs: np.ndarray) -> list[bool]:
    return list(stats.ttest_ind(mine, theirs, axis=1, equal_var=False).pvalue < 0.05)


def conversions(rng: np.random.Generator, row: pd.Series, buying: float) -> list[bool]:
    raised = min(1.0, buying + row["detectable_conversion"])
    mine, theirs = rng.binomial(row["treated"], raised, EACH), rng.binomial(row["control"], buying, EACH)
    low, _ = confint_proportions_2indep(mine, row["treated"], theirs, row["control"], method="newcomb")
    return list(low > 0)


@pytest.mark.parametrize("treated_share", [0.5, 0.8])
@pytest.mark.parametrize("each", [500, 2_000, 5_000, 10_000])
@pytest.mark.parametrize("buying", [0.02, 0.1, 0.3])
def test_an_effect_of_the_stated_size_is_found_as_often_as_stated(
    buying: float, each: int, treated_share: float
) -> None:
    """``each`` customers an arm on average; the effect is a lift, as the plan says; two more ways for comparison."""
    rng = np.random.default_rng([SEED, each, round(buying * 100), round(treated_share * 10)])
    lifted, added, more, converted, stated = [], [], [], [], []
    for _ in range(HISTORIES):
        row = planned(rng, 2 * each, buying, treated_share)
        if np.isnan(row["detectable_share"]):
            continue
        sides, lift = ((EACH, int(row["treated"])), (EACH, int(row["control"]))), row["detectable_share"]
        mine, theirs = (spend(rng, side, buying) for side in sides)
        stated.append(lift)
        lifted += found(mine * (1 + lift), theirs)
        added += found(mine + lift * row["sales_per_customer"], theirs)
        more += found(spend(rng, sides[0], min(1.0, buying * (1 + lift))), theirs)
        if not np.isnan(row["detectable_conversion"]):
            converted += conversions(rng, row, buying)
    name = f"plan, {buying:.0%} buy, {2 * each:,} customers, {treated_share:.0%} reached"
    if len(stated) < HISTORIES / 4:
        keep(name, histories=HISTORIES, plans_with_an_effect=len(stated))
        return  # too few buyers, and the plan says so
    keep(name, histories=HISTORIES, plans_with_an_effect=len(stated), runs=len(lifted),
         stated_share=round(float(np.median(stated)), 3), power_lift=round(float(np.mean(lifted)), 3),
         power_same_sum_for_all=round(float(np.mean(added)), 3), power_more_buyers=round(float(np.mean(more)), 3),
         power_conversion=round(float(np.mean(converted)), 3))  # fmt: skip
    # beyond a doubling of sales the normal form is careful: more is found than stated
    assert 0.75 <= np.mean(lifted) <= (0.85 if np.median(stated) <= 1 else 0.92)
    assert 0.75 <= np.mean(converted) <= 0.85


def test_the_customers_needed_find_what_is_worth_acting_on() -> None:
    rng = np.random.default_rng([SEED, 1])
    hits, sizes = [], []
    for _ in range(HISTORIES):
        n = int(planned(rng, 6_000, 0.3, 0.8)["needed"])
        sizes.append(n)
        mine, theirs = spend(rng, (EACH, round(n * 0.8)), 0.3), spend(rng, (EACH, n - round(n * 0.8)), 0.3)
        hits += found(mine * 1.2, theirs)
    keep("plan, customers needed for a lift of 20 %, 30 % buy, 80 % reached", runs=len(hits),
         needed=round(float(np.median(sizes))), power=round(float(np.mean(hits)), 3))  # fmt: skip
    assert 0.75 <= np.mean(hits) <= 0.85


# --- sample ratio


def flagged(rng: np.random.Generator, customers: int, share: float, designed: float, runs: int) -> int:
    """Runs in which the check says that the arms are not as designed."""
    design, count = {"reached": designed, "held back": 1 - designed}, 0
    for reached in rng.binomial(customers, share, runs):
        arms = pd.Series(np.repeat(["reached", "held back"], [reached, customers - reached]), dtype="category")
        count += not experiments.sample_ratio(arms, design).fits
    return count


@pytest.mark.parametrize("designed", [0.5, 0.9])
def test_a_shift_of_one_point_in_100_000_is_caught(designed: float) -> None:
    runs = 1_000
    caught = flagged(np.random.default_rng([SEED, 2]), 100_000, designed - 0.01, designed, runs)
    keep(f"sample ratio, one point off {designed:.0%} in 100,000", runs=runs, caught=caught)
    assert caught >= 0.99 * runs


def test_a_fair_split_of_90_to_10_is_seldom_flagged() -> None:
    runs = 20_000
    wrong = flagged(np.random.default_rng([SEED, 3]), 2_000, 0.9, 0.9, runs)
    keep(
        "sample ratio, fair 90 to 10, 2,000 customers", runs=runs, flagged=wrong, upper95=round(upper95(wrong, runs), 5)
    )
    assert wrong <= 0.002 * runs


# --- do segments differ in their effect?


def heterogeneity_p(
    rng: np.random.Generator, customers: int, buying: float, treated_share: float, lifts: np.ndarray
) -> float:
    """One test of seven segments that differ in nothing but the lift, read as the kit reads it."""
    key = np.arange(customers) % 7
    reached = (np.arange(customers) // 7) % 10 < round(10 * treated_share)
    sales = spend(rng, (customers,), buying, 0.8)
    outcomes = pd.DataFrame(
        {
            "segment_key": np.array(list("ABCDEFG"))[key],
            "arm": np.where(reached, "reached", "held back"),
            "orders": (sales > 0).astype(float),
            "sales": sales * np.where(reached, 1 + lifts[key], 1.0),
        }
    )
    table = experiments.read_test(
        outcomes, treated="reached", control="held back", cost_per_contact=None, margin_rate=None, confidence=0.95
    )
    return experiments.heterogeneity(table, "sales_difference")[0]


@pytest.mark.parametrize(
    ("customers", "buying", "treated_share"),
    [(4_000, 0.3, 0.5), (6_000, 0.1, 0.5), (10_000, 0.05, 0.5), (6_000, 0.3, 0.8)],
)
def test_seven_segments_with_one_effect_are_seldom_called_different(
    customers: int, buying: float, treated_share: float
) -> None:
    rng = np.random.default_rng([SEED, 4, customers, round(100 * buying), round(10 * treated_share)])
    runs = 1_000
    p = np.array([heterogeneity_p(rng, customers, buying, treated_share, np.full(7, 0.1)) for _ in range(runs)])
    wrong = int((p < 0.05).sum())
    name = f"heterogeneity, seven alike, {customers:,} customers, {buying:.0%} buy, {treated_share:.0%} reached"
    keep(name, runs=runs, called_different=wrong, upper95=round(upper95(wrong, runs), 4))
    assert wrong <= 0.065 * runs


def test_three_of_seven_segments_that_gain_half_are_told_from_four_that_gain_nothing() -> None:
    runs, lifts = 200, np.array([0.5, 0.5, 0.5, 0, 0, 0, 0])
    rng = np.random.default_rng([SEED, 5])
    caught = sum(heterogeneity_p(rng, 10_000, 0.3, 0.5, lifts) < 0.05 for _ in range(runs))
    keep("heterogeneity, three of seven gain half, 10,000 customers, 30 % buy", runs=runs, caught=caught)
    assert caught >= 0.8 * runs


@pytest.mark.parametrize("buying", [0.1, 0.5])
def test_a_plan_that_holds_the_past_constant_keeps_its_power_too(buying: float) -> None:
    """Customers differ in how often and how much they buy, before as later; the treated lift their own sales."""
    rng, n = np.random.default_rng([2000, int(100 * buying)]), 8_000
    level, often = rng.lognormal(3, 0.8, n), rng.beta(2 * buying, 2 * (1 - buying), n)

    def period() -> np.ndarray:
        return (rng.random(n) < often) * level * rng.lognormal(0, 0.5, n)

    design = {"days": 28, "treated_share": 0.5, "confidence": 0.95, "power": 0.8, "worth_share": 0.1}
    plans, runs, hits, plain, cut = 40, 25, 0, 0, []
    for _ in range(plans):
        past, now = period(), period()
        history = pd.DataFrame({"customer_id": np.arange(n).astype(str), "segment_key": "A", "sales": now})
        history = history.assign(orders=(now > 0).astype(int), sales_before=past)
        row = planning.power_table(history, **design).table.iloc[-1]
        cut.append(row["variance_cut"])
        for _ in range(runs):
            treated, before, sales = rng.permutation(n) < n // 2, period(), period()
            sales = np.where(treated, sales * (1 + row["detectable_share"]), sales)
            table = pd.DataFrame({"sales": sales, "sales_before": before})
            sides = table[treated], table[~treated]
            hits += experiments.compare(*sides, "sales", 0.95, past="sales_before").p < 0.05
            plain += experiments.compare(*sides, "sales", 0.95).p < 0.05
    runs *= plans
    keep(
        f"plan, sales before held constant, {buying:.0%} buy",
        power=hits / runs, power_without_the_past=plain / runs, variance_cut=round(float(np.mean(cut)), 3),
    )  # fmt: skip
    assert 0.75 <= hits / runs <= 0.85

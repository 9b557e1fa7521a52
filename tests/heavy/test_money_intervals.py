"""Do the intervals hold what they promise? Return on cost, sales adjusted for the past, and looking while it runs.

The populations are those of the project's reference table: conversion rates and baskets of an e-mail test, and
log-normal baskets at three conversion rates; margin .4; a contact costs .1, or .02 and 8 for each buyer. The e-mail
test's own customers are not shipped: a clipped log-normal basket with its mean stands in for them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from record import keep
from scipy import stats

from segmentkit.analysis import experiments, peeking, roi

pytestmark = pytest.mark.heavy
RUNS, MARGIN = 4_000, 0.4


@dataclass(frozen=True)
class Population:
    treated: float
    control: float
    centre: float
    spread: float
    clip: tuple[float, float] = (0.0, np.inf)

    def sales(self, rng: np.random.Generator, rate: float, n: int) -> np.ndarray:
        buys = np.flatnonzero(rng.random(n) < rate)
        found = np.zeros(n)
        found[buys] = np.clip(rng.lognormal(self.centre, self.spread, len(buys)), *self.clip)
        return found

    @property
    def basket(self) -> float:
        low, high = self.clip
        if high == np.inf:
            return float(np.exp(self.centre + self.spread**2 / 2))
        draws = stats.lognorm(self.spread, scale=np.exp(self.centre)).ppf((np.arange(200_000) + 0.5) / 200_000)
        return float(np.clip(draws, low, high).mean())


EMAIL = {"centre": 4.4004, "spread": 0.83, "clip": (29.99, 499.0)}
POPULATIONS = {
    "e-mail test": Population(0.0125311, 0.0057261, **EMAIL),
    "e-mail, no effect": Population(0.0057261, 0.0057261, **EMAIL),
    "2 % buy": Population(0.026, 0.02, 3.5, 1.2),
    "0.6 % buy": Population(0.009, 0.006, 4.0, 1.6),
    "30 % buy": Population(0.33, 0.30, 3.2, 1.0),
}
# known from the reference: the populations are rebuilt from them
TRUE_ROI = {
    "e-mail test": (2.079, 1.561),
    "e-mail, no effect": (-1.0, -1.0),
    "2 % buy": (0.633, -0.284),
    "0.6 % buy": (1.356, 1.561),
    "30 % buy": (3.854, -0.818),
}


def arm(sales: np.ndarray, is_treated: bool, random_cost: bool) -> pd.DataFrame:
    cost = (0.02 + 8.0 * (sales > 0)) if random_cost else np.full(len(sales), 0.1)
    spent = cost if is_treated else np.zeros(len(sales))
    return pd.DataFrame({"profit": sales * MARGIN, "spent": spent, "net": sales * MARGIN - spent})


def truth(population: Population, random_cost: bool) -> tuple[float, float]:
    gain = MARGIN * (population.treated - population.control) * population.basket
    cost = 0.02 + 8.0 * population.treated if random_cost else 0.1
    return gain / cost - 1, gain - cost


@pytest.mark.parametrize("random_cost", [False, True], ids=["same cost", "cost varies"])
@pytest.mark.parametrize("name", POPULATIONS)
def test_return_on_cost(name: str, random_cost: bool) -> None:
    population = POPULATIONS[name]
    wanted, net = truth(population, random_cost)
    assert wanted == pytest.approx(TRUE_ROI[name][random_cost], abs=0.03)
    for n in (500, 2_000, 10_000):
        fewest = n * min(population.treated, population.control)
        rng = np.random.default_rng([2026, n, random_cost, list(POPULATIONS).index(name)])
        printed = covered = covered_net = unbounded = 0
        for _ in range(RUNS):
            sales = population.sales(rng, population.treated, n), population.sales(rng, population.control, n)
            if min((one > 0).sum() for one in sales) < experiments.FEWEST_BUYERS:
                continue
            mine, theirs = (arm(one, i == 0, random_cost) for i, one in enumerate(sales))
            ratio, difference = roi.ratio(mine, theirs, 0.95), experiments.compare(mine, theirs, "net", 0.95)
            covered_net += difference.low <= net <= difference.high
            unbounded += bool(ratio["roi_unbounded"])
            printed += 1
            covered += bool(ratio["roi_unbounded"]) or ratio["roi_low"] <= wanted <= ratio["roi_high"]
        keep(
            f"interval of the return on cost: {name}, {'cost varies' if random_cost else 'same cost'}, {n} an arm",
            expected_buyers=round(fewest, 1),
            printed=printed / RUNS,
            coverage=round(covered / printed, 4) if printed else None,
            coverage_net_benefit=round(covered_net / printed, 4) if printed else None,
            unbounded=unbounded,
        )
        if fewest >= 25:
            assert 0.93 <= covered / printed <= 0.97
            assert 0.93 <= covered_net / printed <= 0.97


@pytest.mark.parametrize(("rate", "n"), [(0.05, 2_000), (0.3, 500), (0.9, 500)])
def test_sales_adjusted_for_the_past(rate: float, n: int) -> None:
    """Customers differ in how often and how much they buy, so that the past tells; no effect is planted but 1 in 10."""
    rng = np.random.default_rng([77, n])
    covered, cut = 0, []
    for _ in range(RUNS):
        level = rng.lognormal(3, 0.8, 2 * n)
        buys = rng.beta(rate * 2, (1 - rate) * 2, 2 * n)
        before, after = ((rng.random(2 * n) < buys) * level * rng.lognormal(-0.125, 0.5, 2 * n) for _ in range(2))
        treated = np.arange(2 * n) < n
        sales = after + np.where(treated, 2.0 * (rng.random(2 * n) < 0.5), 0.0)
        table = pd.DataFrame({"net": sales, "sales_before": before})
        found = experiments.compare(table[treated], table[~treated], "net", 0.95, past="sales_before")
        plain = experiments.compare(table[treated], table[~treated], "net", 0.95)
        covered += found.low <= 1.0 <= found.high
        cut.append(1 - (found.error / plain.error) ** 2)
    keep(
        f"sales held constant for the past (CUPED): {rate:.0%} buy, {n} an arm",
        coverage=round(covered / RUNS, 4),
        variance_cut=round(float(np.mean(cut)), 3),
    )
    assert 0.93 <= covered / RUNS <= 0.97


@pytest.mark.parametrize("looks", [5, 10, 20])
def test_looking_while_it_runs(looks: int) -> None:
    """No effect; customers keep their own rates, so that the sales of one customer add up with correlated steps."""
    rng, runs, n = np.random.default_rng([5, looks]), 4_000, 400
    hasty = sound = 0
    for _ in range(runs):
        level = rng.gamma(1.0, 1.0, 2 * n)
        steps = rng.poisson(np.repeat(level[:, None] / looks, looks, axis=1)) * rng.lognormal(0, 0.5, (2 * n, looks))
        so_far = steps.cumsum(axis=1)
        gap = so_far[:n].mean(axis=0) - so_far[n:].mean(axis=0)
        variance = so_far[:n].var(axis=0, ddof=1) / n + so_far[n:].var(axis=0, ddof=1) / n
        hasty += bool((np.abs(gap) > 1.96 * np.sqrt(variance)).any())
        sound += bool((np.abs(gap) > peeking.mixture_bound(variance, variance[-1], 0.95)).any())
    keep(f"looking {looks} times at a test without an effect", hasty=hasty / runs, always=sound / runs)
    assert sound / runs <= 0.05
    assert hasty / runs > 0.08


def test_independent_steps_keep_the_bound_too() -> None:
    rng, runs = np.random.default_rng(9), 20_000
    steps = rng.normal(size=(runs, 100))
    walk, variance = steps.cumsum(axis=1), np.arange(1, 101.0)
    crossed = (np.abs(walk) > peeking.mixture_bound(variance, 100.0, 0.95)).any(axis=1).mean()
    keep("looking 100 times at independent steps", always=float(crossed))
    assert crossed <= 0.05

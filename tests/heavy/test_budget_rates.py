"""What the page says of targeting where the truth is known: segments that do not matter, and segments that do."""

from collections.abc import Iterator
from itertools import cycle, islice, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95

from segmentkit.analysis import budget, uplift
from segmentkit.analysis.budget import Allocation
from segmentkit.analysis.uplift import Uplift

pytestmark = pytest.mark.heavy
MARGIN, COST = 0.35, 1.2
ARMS = {2: {"control": 0.5, "letter": 0.5}, 3: {"control": 0.4, "letter": 0.4, "text": 0.2}}
BASKET = (3.4, 0.8)  # of an order the campaign brings: log mean and log spread
RUNS, MATTER_RUNS, RANKINGS, SPEND = 300, 60, 150, 800.0


def shop(seed: int, customers: int, truth: np.ndarray, designed: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes and features: 5 to 30 % buy anyway, baskets are log-normal; ``truth`` (S, treated arms) is net benefit.

    Whom the campaign moves buys once more, as often as makes the net benefit exact.
    """
    rng, k = np.random.default_rng([9, seed]), len(truth)
    sizes = np.linspace(2, 1, k) / np.linspace(2, 1, k).sum()
    segment, habit = rng.choice(k, customers, p=sizes), rng.normal(size=customers)
    arm = np.zeros(customers, dtype=int)
    for one in range(k):
        mine = rng.permutation(np.flatnonzero(segment == one))
        cuts = (np.cumsum(list(designed.values())) * len(mine)).round().astype(int)
        arm[mine] = np.searchsorted(cuts[:-1], np.arange(len(mine)), side="right")
    chance, basket = np.linspace(0.3, 0.05, k)[segment], np.linspace(3.9, 2.8, k)[segment] + 0.4 * habit
    own = (rng.random(customers) < chance) * rng.lognormal(basket, 0.8)
    effect = np.hstack([np.zeros((k, 1)), truth])[segment, arm]
    moved = rng.random(customers) < (effect + COST) / (MARGIN * np.exp(BASKET[0] + BASKET[1] ** 2 / 2))
    net = MARGIN * own + (arm > 0) * (MARGIN * moved * rng.lognormal(*BASKET, customers) - COST)
    ids = [f"C{number:05d}" for number in range(customers)]
    letters, names = np.array(list("ABCDEFG")), np.array(list(designed))
    outcomes = pd.DataFrame({"customer_id": ids, "segment_key": letters[segment], "arm": names[arm], "net": net})
    features = pd.DataFrame(
        {"customer_id": ids, "monetary": np.exp(basket), "frequency": chance, "other": rng.normal(size=customers)}
    )
    return outcomes, features


def read(seed: int, customers: int, truth: np.ndarray, arms: int) -> tuple[Uplift, Allocation, Allocation]:
    """The uplift, and the allocation without and with a budget."""
    outcomes, _ = shop(seed, customers, truth, ARMS[arms])
    found = uplift.measure(
        outcomes, control="control", designed=ARMS[arms], confidence=0.95, folds=5, seed=seed, currency="EUR"
    )
    treated = list(ARMS[arms])[1:]
    table = budget.options(found, channels={arm: arm for arm in treated}, costs=dict.fromkeys(treated, COST))
    plans = [
        budget.allocate(table, found, budget=spend, capacities={}, hold_out=0.1, confidence=0.95, draws=2_000,
                        seed=seed, currency="EUR")
        for spend in (None, SPEND)
    ]  # fmt: skip
    return found, plans[0], plans[1]


def one_run(seed: int, customers: int, truth: np.ndarray, arms: int) -> dict[str, Any]:
    """What was said, what was estimated, and what is true; money per customer of the list."""
    found, plan, limited = read(seed, customers, truth, arms)
    trial, policy = found.trial, found.policies.set_index("policy").loc["by segment"]
    honest = uplift.best_arm(trial.training)
    true_honest = float((trial.of_folds(honest) * truth[trial.segment]).sum(axis=2).mean())
    shrunk = trial.effects["shrunk"].to_numpy().reshape(truth.shape)
    true_final = float((uplift.best_arm(shrunk) * truth)[trial.segment].sum(axis=1).mean())
    each = truth[[ord(key) - 65 for key in plan.table["segment_key"]], pd.factorize(plan.table["offer"], sort=True)[0]]
    profit, stated = float(plan.table["contacts"] @ each), plan.plans.set_index("plan").loc["by segment"]
    best_same = int(np.argmax(shrunk[trial.segment].mean(axis=0)))
    short = min(0.9, SPEND / COST / customers)
    return {
        "beats": found.beats,
        "verdict": plan.verdict,
        "covered": policy["low"] <= true_honest <= policy["high"],
        "verdict_limited": limited.verdict,
        "honest": policy["honest"] - true_honest,
        "in_sample": policy["in_sample"] - true_final,
        "plan_covered": stated["low"] <= profit <= stated["high"],
        "plan_flatters": (stated["profit"] - profit) / customers,
        "plan": profit / customers,
        "plan_honest": (plan.plans.set_index("plan").loc["by segment", "honest"] - profit) / customers,
        "everyone": 0.9 * float(truth[trial.segment].mean(axis=0)[best_same]),
        "plan_limited": float(limited.table["contacts"] @ each) / customers,
        "everyone_limited": short * float(truth[trial.segment].mean(axis=0)[best_same]),
    }


def combinations() -> Iterator[tuple[int, int, int]]:
    return cycle(product((2_000, 10_000), (4, 7), (2, 3)))


def told(runs: pd.DataFrame) -> dict[str, float]:
    figures = {
        "honest_covers": runs["covered"].mean(),
        "honest_bias": runs["honest"].mean(),
        "in_sample_flatters": runs["in_sample"].mean(),
        "plan_interval_covers": runs["plan_covered"].mean(),
        "plan_flatters": runs["plan_flatters"].mean(),
        "plan_honest_bias": runs["plan_honest"].mean(),
        "true_plan": runs["plan"].mean(),
        "true_everyone": runs["everyone"].mean(),
    }
    return {name: round(float(value), 3) for name, value in figures.items()}


@pytest.mark.parametrize("benefit", [0.6, 0.0, -0.6], ids=["worth it", "break-even", "not worth it"])
def test_segments_that_do_not_matter_are_seldom_said_to(benefit: float) -> None:
    start = int(benefit * 10_000) + 20_000
    runs = pd.DataFrame(
        [
            one_run(start + seed, n, np.full((k, arms - 1), benefit), arms)
            for seed, (n, k, arms) in enumerate(islice(combinations(), RUNS))
        ]
    )
    claims = {name: int((runs[name] == "by segment").sum()) for name in ("verdict", "verdict_limited")}
    claims |= {"uplift_beats": int(runs["beats"].sum())}
    keep(f"budget, segments do not matter, {benefit:+.1f} a contact", runs=RUNS, **claims,
         upper95=round(upper95(max(claims.values()), RUNS), 4),
         nobody=int((runs["verdict"] == "nobody").sum()), **told(runs))  # fmt: skip
    assert upper95(max(claims.values()), RUNS) <= 0.05
    assert runs["in_sample"].mean() > abs(runs["honest"].mean())
    assert runs["covered"].mean() >= 0.9


MATTER = {
    "four segments, one arm": np.array([[2.0], [1.0], [-0.8], [-1.0]]),
    "four segments, two arms": np.array([[2.0, 0.0], [0.0, 1.5], [-0.8, 0.5], [-1.0, -1.0]]),
    "seven segments, one arm": np.array([[2.5], [1.5], [1.0], [0.0], [-1.0], [-1.1], [-1.1]]),
}


@pytest.mark.parametrize("customers", [2_000, 10_000])
@pytest.mark.parametrize("case", MATTER)
def test_where_segments_matter_the_plan_earns_more(case: str, customers: int) -> None:
    truth = MATTER[case]
    runs = pd.DataFrame([one_run(60_000 + s, customers, truth, truth.shape[1] + 1) for s in range(MATTER_RUNS)])
    best = runs["everyone"].clip(lower=0)
    limited = runs["plan_limited"] - runs["everyone_limited"].clip(lower=0)
    keep(f"budget, segments matter, {case}, {customers:,} customers", runs=MATTER_RUNS,
         plan_better=int((runs["plan"] > best).sum()), said_so=int((runs["verdict"] == "by segment").sum()),
         said_so_limited=int((runs["verdict_limited"] == "by segment").sum()),
         gain_over_everyone=round(float((runs["plan"] - runs["everyone"]).mean()), 3),
         gain_over_best=round(float((runs["plan"] - best).mean()), 3),
         gain_limited=round(float(limited.mean()), 3), **told(runs))  # fmt: skip
    assert (runs["plan"] - best).mean() > 0
    assert limited.mean() > 0
    assert runs["covered"].mean() >= 0.9


def test_a_ranking_that_tells_nothing_is_seldom_taken_for_one() -> None:
    sets, claims, rankings = RANKINGS, 0, 0
    for seed in range(sets):
        outcomes, features = shop(80_000 + seed, 2_000, np.full((4, 1), 0.3), ARMS[2])
        found = uplift.measure(outcomes, control="control", designed=ARMS[2], confidence=0.95, folds=5, seed=seed,
                               currency="EUR", features=features)  # fmt: skip
        claims += bool(found.policies.set_index("policy").loc["by customer", "gain_low"] > 0)
        rankings += found.qini is not None and found.qini.p <= 0.05
    keep("uplift, customers do not matter", runs=sets, by_customer_beats=claims, qini_p_below_05=rankings,
         upper95=round(upper95(max(claims, rankings), sets), 4))  # fmt: skip
    assert upper95(claims, sets) <= 0.05
    assert upper95(rankings, sets) <= 0.1

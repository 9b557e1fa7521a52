"""How near the simulated luck comes to what really moves where nobody's habits change, and how often it cries wolf."""

from datetime import date, timedelta
from itertools import count

import ibis
import numpy as np
import pandas as pd
import pytest
from record import keep, upper95

from segmentkit.analysis import clustering, looks, luck, migration
from segmentkit.analysis.features import Window, build
from segmentkit.analysis.looks import Look

pytestmark = pytest.mark.heavy
SETS = 60
START, CONNECTION, NUMBER = date(2024, 1, 1), ibis.duckdb.connect(threads=1), count()
WINDOWS = {"half a year and the next": (0, 180, 360), "eleven months, one month on": (0, 330, 360)}


def purchases(rng: np.random.Generator, regularity: float, days: int, customers: int) -> pd.DataFrame:
    """Orders at gamma gaps (1: a Poisson process, 4: as regular as the sample shop), rates and baskets of their own."""
    gap, basket = rng.lognormal(2.9, 0.7, customers), rng.lognormal(3, 0.5, customers)
    parts = []
    for number in range(customers):
        own = gap[number] / regularity
        steps = rng.gamma(regularity, own, int(days / gap[number] * 3) + 20)
        at = np.cumsum(steps) - rng.uniform(0, 10) * gap[number]  # the clock runs before we look
        at = at[(at >= 0) & (at < days)]
        amount = np.round(basket[number] * rng.lognormal(0, 0.4, len(at)), 2)
        parts.append(pd.DataFrame({"customer_id": f"C{number:04d}", "at": at, "amount": amount}))
    lines = pd.concat(parts, ignore_index=True)
    moments = pd.Timestamp(START) + pd.to_timedelta((lines.pop("at") * 86_400).astype("int64"), unit="s")
    return lines.assign(order_id=[f"O{i}" for i in range(len(lines))], ordered_at=moments.astype("datetime64[s]"))


def moved_and_noise(
    trial: int, regularity: float, windows: tuple[int, int, int], customers: int = 600, quitting: float = 0.0
) -> migration.Moves:
    """Moves of one generated shop; where somebody is quitting, that share buys a fifth as often in the new days."""
    rng = np.random.default_rng([4, trial])
    start, middle, end = windows
    lines = purchases(rng, regularity, end, customers)
    quit_ = lines["customer_id"].str[1:].astype(int) < quitting * customers
    later = lines["ordered_at"] >= pd.Timestamp(START + timedelta(days=middle))
    lines = lines[~(quit_ & later & (rng.random(len(lines)) < 0.8))]
    transactions = CONNECTION.create_table(f"noise_{next(NUMBER)}", lines)
    length = middle - start
    days = [Window(START + timedelta(days=at - length), START + timedelta(days=at)) for at in (middle, end)]
    tables = [build(transactions, one) for one in days]
    names = ["recency_days", "frequency", "monetary"]
    scaled = clustering.scale(tables[0], names)
    model = clustering.segment(tables[0], scaled, 4, starts=3, seed=trial)
    first, second = (Look("", one, table, model.assign(table)) for one, table in zip(days, tables, strict=True))
    pair = looks.compare(transactions, first, second, model, categories=0, starts=3, seed=trial)
    noise = luck.simulate(transactions, pair, categories=0, seed=trial)
    return migration.moves(migration.migrate(first, second), noise, 0.95)


@pytest.mark.parametrize("regularity", [1.0, 4.0])
@pytest.mark.parametrize("windows", WINDOWS)
def test_luck_is_simulated_nearly_right_and_seldom_taken_for_movement(windows: str, regularity: float) -> None:
    found = [moved_and_noise(trial, regularity, WINDOWS[windows]) for trial in range(SETS)]
    gaps = np.array([one.noise - one.share for one in found])
    wolves = sum(one.exceeds_noise for one in found)
    keep(f"luck, {windows}, gamma {regularity:g}", sets=SETS, moved=round(float(np.mean([o.share for o in found])), 3),
         simulated=round(float(np.mean([o.noise for o in found])), 3), bias=round(float(gaps.mean()), 3),
         called_movement=wolves, upper95=round(upper95(wolves, SETS), 3))  # fmt: skip
    assert abs(gaps.mean()) < migration.TOLERANCE
    assert upper95(wolves, SETS) <= 0.06


def test_a_third_who_buy_a_fifth_as_often_are_seen_as_movement() -> None:
    sets, name = 20, "half a year and the next"
    found = [moved_and_noise(trial, 4.0, WINDOWS[name], customers=2_500, quitting=1 / 3) for trial in range(sets)]
    caught = sum(one.exceeds_noise for one in found)
    means = {"moved": np.mean([one.share for one in found]), "simulated": np.mean([one.noise for one in found])}
    rounded = {what: round(float(mean), 3) for what, mean in means.items()}
    keep("luck, 2,500 customers, a third buy a fifth as often", sets=sets, **rounded, called_movement=caught)
    assert caught >= 0.8 * sets

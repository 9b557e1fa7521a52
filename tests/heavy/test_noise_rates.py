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
SETS, CUSTOMERS = 60, 600
START, CONNECTION, NUMBER = date(2024, 1, 1), ibis.duckdb.connect(threads=1), count()
WINDOWS = {"half a year and the next": (0, 180, 360), "eleven months, one month on": (0, 330, 360)}


def purchases(rng: np.random.Generator, regularity: float, days: int) -> pd.DataFrame:
    """Orders at gamma gaps (1: a Poisson process, 4: as regular as the sample shop), rates and baskets of their own."""
    gap, basket = rng.lognormal(2.9, 0.7, CUSTOMERS), rng.lognormal(3, 0.5, CUSTOMERS)
    parts = []
    for number in range(CUSTOMERS):
        own = gap[number] / regularity
        steps = rng.gamma(regularity, own, int(days / gap[number] * 3) + 20)
        at = np.cumsum(steps) - rng.uniform(0, 10) * gap[number]  # the clock runs before we look
        at = at[(at >= 0) & (at < days)]
        amount = np.round(basket[number] * rng.lognormal(0, 0.4, len(at)), 2)
        parts.append(pd.DataFrame({"customer_id": f"C{number:04d}", "at": at, "amount": amount}))
    lines = pd.concat(parts, ignore_index=True)
    moments = pd.Timestamp(START) + pd.to_timedelta((lines.pop("at") * 86_400).astype("int64"), unit="s")
    return lines.assign(order_id=[f"O{i}" for i in range(len(lines))], ordered_at=moments.astype("datetime64[s]"))


def moved_and_noise(trial: int, regularity: float, windows: tuple[int, int, int]) -> migration.Moves:
    rng = np.random.default_rng([4, trial])
    start, middle, end = windows
    transactions = CONNECTION.create_table(f"noise_{next(NUMBER)}", purchases(rng, regularity, end))
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
    assert -0.08 < gaps.mean() < 0.10
    assert upper95(wolves, SETS) <= 0.06

"""Looking while a test runs: the bound by its formula, and week by week on purchases."""

import itertools
from datetime import date

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import peeking
from segmentkit.analysis.campaigns import Campaign
from segmentkit.machinery.runs import connect

NUMBER = itertools.count()
CAMPAIGN = Campaign("may", date(2025, 5, 1), date(2025, 5, 17), "randomised")


def test_the_bound_is_the_mixtures_and_narrowest_where_planned() -> None:
    variance = np.linspace(0.01, 10, 400)
    bound = peeking.mixture_bound(variance, 1.0, 0.95)
    ratio = bound / np.sqrt(variance)
    assert variance[ratio.argmin()] == pytest.approx(1.0, abs=0.1)
    # the price of looking at any time: about half as wide again
    assert 1.4 < ratio.min() / 1.96 < 1.6
    tuned = 1 / (-2 * np.log(0.05) + np.log(-2 * np.log(0.05)) + 1)
    by_hand = np.sqrt((2 + tuned) * np.log((2 + tuned) / (tuned * 0.05**2)))
    assert peeking.mixture_bound(np.array([2.0]), 1.0, 0.95)[0] == pytest.approx(by_hand)


def weekly(effect: float) -> peeking.Looks:
    rng = np.random.default_rng(2)
    rows = []
    for i in range(400):
        for day in range(17):
            amount = rng.exponential(2.0) + (effect if i % 2 else 0.0)
            rows.append((f"c{i}", f"o{i}-{day}", pd.Timestamp("2025-05-01") + pd.Timedelta(days=day), round(amount, 2)))
    lines = pd.DataFrame(rows, columns=["customer_id", "order_id", "ordered_at", "amount"])
    arms = pd.DataFrame({"customer_id": [f"c{i}" for i in range(400)]})
    arms["arm"] = np.where(np.arange(400) % 2, "mailed", "held back")
    table = connect().create_table(f"peeking_{next(NUMBER)}", lines)
    return peeking.weekly(table, CAMPAIGN, arms, "mailed", "held back", 0.95)


def test_every_week_and_the_end() -> None:
    found = weekly(2.0)
    assert found.table["days"].tolist() == [7, 14, 17]
    assert found.table["estimate"].tolist() == pytest.approx([14, 28, 34], rel=0.1)
    inside = found.table
    assert (inside["always_low"] < inside["low"]).all()
    assert (inside["always_high"] > inside["high"]).all()
    assert "looked at 3 times" in found.sentence
    assert "3 of the 3 looks would have allowed it to be stopped" in found.sentence


def test_without_an_effect_it_may_not_be_stopped() -> None:
    assert "at no look may the test be stopped for an effect on sales" in weekly(0.0).sentence

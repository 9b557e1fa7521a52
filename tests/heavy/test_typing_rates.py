"""Is the typing tool's accuracy what new customers get, does its interval cover it, and does it keep quiet in noise?"""

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95

from segmentkit.analysis import typing_tool

pytestmark = pytest.mark.heavy
SETS, CUSTOMERS, FRESH, QUESTIONS = 100, 500, 10_000, 8


def drawn(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four segments, a border blurred by chance: two numbers and a word tell them apart, the rest is noise."""
    table = pd.DataFrame(np.exp(rng.normal(size=(n, QUESTIONS))), columns=[f"x{i}" for i in range(QUESTIONS)])
    table.insert(0, "customer_id", [f"c{number:05d}" for number in range(n)])
    table["word"] = rng.choice(["a", "b", "c"], n)
    blurred = np.log(table[["x0", "x1"]].to_numpy()) + rng.normal(0, 0.4, (n, 2))
    key = np.where(blurred[:, 0] > 0.3, "A", np.where(blurred[:, 1] > 0, "B", np.where(table["word"] == "a", "C", "D")))
    return table, table[["customer_id"]].assign(segment_key=key)


def learned(table: pd.DataFrame, segments: pd.DataFrame, seed: int) -> typing_tool.TypingTool:
    return typing_tool.learn(table, segments, list(table.columns[1:]), label="of a trial", max_questions=4, seed=seed)


def test_the_accuracy_is_what_new_customers_get() -> None:
    off, covered, precise = [], 0, []
    for trial in range(SETS):
        rng = np.random.default_rng([51, trial])
        tool, (table, segments) = learned(*drawn(rng, CUSTOMERS), trial), drawn(rng, FRESH)
        true = float((tool.assign(table)["segment_key"] == segments["segment_key"]).mean())
        told = tool.curve.iloc[len(tool.questions)]
        off.append(told["accuracy"] - true)
        covered += bool(told["low"] <= true <= told["high"])
        own = (segments["segment_key"] == "A").to_numpy()
        rule = next(rule for rule in tool.short_rules if rule.segment_key == "A").holds(table)
        precise.append(tool.recognised.set_index("segment_key").loc["A", "precision"] - (rule & own).sum() / rule.sum())
    keep("typing tool, accuracy on new customers", sets=SETS, customers=CUSTOMERS, covered=covered,
         told_less_true=round(float(np.mean(off)), 4), spread=round(float(np.std(off)), 4),
         precision_told_less_true=round(float(np.mean(precise)), 4))  # fmt: skip
    assert abs(np.mean(off)) < 0.015
    assert covered >= 0.92 * SETS
    assert abs(np.mean(precise)) < 0.02


def test_labels_by_lot_seldom_get_a_question() -> None:
    asked, gain = 0, []
    for trial in range(SETS):
        rng = np.random.default_rng([52, trial])
        table, segments = drawn(rng, CUSTOMERS)
        tool = learned(table, segments.assign(segment_key=rng.permutation(segments["segment_key"])), trial)
        told, guess = tool.curve["accuracy"].iloc[len(tool.questions)], tool.curve["accuracy"].iloc[0]
        asked += bool(tool.questions)
        gain.append(told - guess)
    keep("typing tool, labels by lot", sets=SETS, customers=CUSTOMERS, asked=asked,
         upper95=round(upper95(asked, SETS), 4), mean_gain=round(float(np.mean(gain)), 4))  # fmt: skip
    assert np.mean(gain) < 0.005
    assert upper95(asked, SETS) <= 0.2

"""Plain rules: what they hold for, how they are said, and that a database gives the same answer."""

import json
import math

import duckdb
import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import plain_rules
from segmentkit.analysis.plain_rules import Condition, Rule

NONE = math.inf
TABLE = pd.DataFrame(
    {
        "customer_id": list("abcdef"),
        "recency_days": [1.0, 5.0, 5.5, 30.0, np.nan, -2.0],
        "home 'owner\"": ["own", "rent", None, "o'wn", "own", "rent"],
        "vip": [True, False, True, False, True, False],
    }
)


@pytest.mark.parametrize(
    ("condition", "holds", "words"),
    [
        (Condition("recency_days", None, -NONE, 5, False), "abf", "recency days at most 5"),
        (Condition("recency_days", None, 5, NONE, False), "cd", "recency days over 5"),
        (Condition("recency_days", None, 1, 5.5, False), "bc", "recency days over 1 and at most 5.5"),
        (Condition("recency_days", None, 5, NONE, True), "cde", "recency days over 5 (or not known)"),
        (Condition("recency_days", None, NONE, NONE, True), "e", "recency days not known"),
        (Condition("recency_days", None, -NONE, NONE, False), "abcdf", "recency days known"),
        (Condition("home 'owner\"", "own", 0, NONE, False), "ae", "home 'owner\" is own"),
        (Condition("home 'owner\"", "o'wn", -NONE, 0, False), "abef", "home 'owner\" is not o'wn"),
        (Condition("home 'owner\"", "o'wn", -NONE, 0, True), "abcef", "home 'owner\" is not o'wn (or not known)"),
        (Condition("vip", "1", 0, NONE, False), "ace", "vip is 1"),
        (Condition("vip", "1", -NONE, 0, False), "bdf", "vip is not 1"),
    ],
)
def test_a_condition_in_words_in_numbers_and_in_a_database(condition: Condition, holds: str, words: str) -> None:
    assert condition.words == words
    assert "".join(TABLE.loc[condition.holds(TABLE), "customer_id"]) == holds
    found = duckdb.query_df(TABLE, "t", f"SELECT customer_id FROM t WHERE {condition.sql} ORDER BY 1").fetchall()
    assert "".join(row[0] for row in found) == holds


def test_conditions_on_one_column_are_joined() -> None:
    path = plain_rules.also((), Condition("x", None, -NONE, 9, True))
    path = plain_rules.also(path, Condition("y", None, 1, NONE, False))
    path = plain_rules.also(path, Condition("x", None, 2, NONE, False))
    assert path == (Condition("x", None, 2, 9, False), Condition("y", None, 1, NONE, False))
    other_word = plain_rules.also((Condition("z", "a", -NONE, 0, False),), Condition("z", "b", -NONE, 0, False))
    assert len(other_word) == 2


def test_the_first_rule_decides_and_the_rest_is_stated() -> None:
    recent, vip = Condition("recency_days", None, -NONE, 5, False), Condition("vip", "1", 0, NONE, False)
    rules = [Rule("A", (recent,)), Rule("B", (vip,))]
    assert plain_rules.first(rules, TABLE, "C").tolist() == ["A", "A", "B", "C", "B", "A"]
    assert plain_rules.first([], TABLE, "C").tolist() == ["C"] * 6
    case = plain_rules.case(rules, "O'C")
    found = duckdb.query_df(TABLE, "t", f"SELECT {case} FROM t ORDER BY customer_id").fetchall()
    assert [row[0] for row in found] == ["A", "A", "B", "O'C", "B", "A"]


def test_a_rule_without_conditions_is_everyone() -> None:
    assert (Rule("A", ()).words, Rule("A", ()).sql, Rule("A", ()).holds(TABLE).all()) == ("everyone", "TRUE", True)


def test_rules_come_back_from_json() -> None:
    rule = Rule("A", (Condition("x", None, NONE, NONE, True), Condition("z", "a", -NONE, 0, False)))
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False))) == rule


@pytest.mark.parametrize(
    ("cut", "column", "said"),
    [
        (1187.3, np.linspace(0.5, 5000, 400), 1200.0),  # to a tenth of its size
        (0.4871, np.linspace(0, 1, 400) ** 2, 0.49),
        (33.5, np.arange(366.0), 33.0),  # whole numbers stay whole, and the same customers fall on each side
        (1987.5, np.arange(1950.0, 2010.0), 1987.0),  # a year is not rounded to a century
        (0.5, np.array([0.0, 1.0] * 50), 0.0),
        (math.inf, np.arange(5.0), math.inf),
    ],
)
def test_cut_points_are_rounded_as_somebody_would_say_them(cut: float, column: np.ndarray, said: float) -> None:
    assert plain_rules.rounded(cut, column) == said


def test_words_that_too_few_gave_get_no_column() -> None:
    table = pd.DataFrame(
        {"town": ["Ulm"] * 30 + ["Jena"] * 10 + ["Trier"] * 9, "same": 1.0, "yes": [0, 1] * 24 + [None]}
    )
    found = plain_rules.encode(table, ["town", "same", "yes"])
    assert [(name, word) for columns in found.values() for name, word, _ in columns] == [
        ("town", "Jena"), ("town", "Ulm"), ("yes", "1")
    ]  # fmt: skip

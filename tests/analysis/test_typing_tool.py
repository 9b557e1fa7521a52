"""Typing tool: planted questions are found, nothing is found in nothing, and a database gives the same answers."""

import json
from dataclasses import replace
from functools import cache

import duckdb
import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import plain_rules, typing_tool
from segmentkit.analysis.typing_tool import TypingTool
from segmentkit.display import viability_figures
from segmentkit.errors import DataError, ParameterError

NOISE = [f"noise_{number}" for number in range(6)]


def shop(n: int = 400, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A by visits, B and C by visits and a club; everything else is noise."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, len(NOISE))), columns=NOISE)
    table.insert(0, "customer_id", [f"c{number:05d}" for number in range(n)])
    table["visits"], table["club"] = rng.integers(0, 20, n), rng.choice(["gold", "silver", "none"], n)
    key = np.where(table["visits"] > 12, "A", np.where(table["club"] == "gold", "B", "C"))
    return table, table[["customer_id"]].assign(segment_key=key)


def learn(table: pd.DataFrame, segments: pd.DataFrame, **options: object) -> TypingTool:
    questions = [name for name in table.columns if name != "customer_id"]
    options = {"max_questions": 3, "seed": 3} | options
    return typing_tool.learn(table, segments, questions, label="from purchases", **options)  # type: ignore[arg-type]


@cache
def planted() -> TypingTool:
    return learn(*shop())


@cache
def gappy() -> TypingTool:
    return learn(*with_gaps(), clustered=["visits"])


# --- what there is, is found


def test_two_planted_questions_are_all_it_asks() -> None:
    (table, segments), tool = shop(), planted()
    assert sorted(tool.questions) == ["club", "visits"]
    assert tool.curve["accuracy"].iloc[2] == 1
    assert set(tool.words[:-1]) == {
        "A: visits over 12",
        "B: visits at most 12; club is gold",
        "C: visits at most 12; club is not gold",
    }
    assert (tool.assign(table)["segment_key"] == segments["segment_key"]).all()
    assert "puts 100%" in tool.sentence


def test_short_rules_have_at_most_three_columns_and_figures_counted_by_hand() -> None:
    (_, segments), tool = shop(), planted()
    assert max(len(rule.conditions) for rule in tool.short_rules) <= 3
    row = tool.recognised.set_index("segment_key").loc["A"]
    own = int((segments["segment_key"] == "A").sum())
    assert (row["rule"], row["customers"], row["found"], row["precision"], row["recall"], row["f1"]) == (
        "visits over 12", own, own, 1, 1, 1
    )  # fmt: skip
    # Wilson's lower bound where all are hits, with 1 + 5/4 times fewer customers: five folds share theirs
    assert row["recall_low"] == pytest.approx(own / (own + 2.25 * 1.959964**2))


def test_each_figure_of_a_rule_is_of_what_it_says() -> None:
    # A's rule finds 30 of whom 24 are A's, of 40 A's
    found = pd.DataFrame({"A": [True] * 30 + [False] * 70})
    own = np.array(["A"] * 24 + ["B"] * 6 + ["A"] * 16 + ["B"] * 54, dtype=object)
    row = typing_tool._recognised((typing_tool.Rule("A", ()),), found, own, 0.95).iloc[0]
    assert (row["precision"], row["recall"]) == (24 / 30, 24 / 40)
    assert row["f1"] == pytest.approx(2 * 24 / (30 + 40))


def test_as_few_questions_as_lie_within_a_standard_error_of_the_best() -> None:
    hits = [40, 79, 80, 82]  # the standard error of 82 of 100 is 3.8
    right = np.column_stack([np.arange(100) < hit for hit in hits])
    assert typing_tool._fewest(right) == 1


def test_more_than_eight_segments_get_a_leaf_each() -> None:
    table = pd.DataFrame({"customer_id": [f"c{i:03d}" for i in range(300)], "x": np.arange(300.0)})
    segments = table[["customer_id"]].assign(segment_key=[chr(65 + i // 30) for i in range(300)])
    assert (learn(table, segments).assign(table)["segment_key"] == segments["segment_key"]).mean() > 0.97


# --- and nothing is found in nothing


def nothing(seed: int) -> typing_tool._Task:
    """120 customers, two segments by lot, and 30 questions that know nothing of it."""
    rng = np.random.default_rng([seed, 4])
    table = pd.DataFrame(rng.normal(size=(120, 30)), columns=[f"noise_{number}" for number in range(30)])
    key = rng.permutation(np.repeat(["A", "B"], 60)).astype(object)
    return typing_tool._Task(table, typing_tool.encode(table, list(table.columns)), key, seed)


def accuracy() -> float:
    """Of the best of 30 questions, on average over four such sets; half is guessing."""
    return float(np.mean([nothing(seed).out_of_fold(1)[0][:, 1].mean() for seed in range(4)]))


def test_shuffled_labels_are_recognised_no_better_than_by_guessing() -> None:
    assert accuracy() < 0.545


def test_a_question_chosen_on_the_customers_it_is_judged_on_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    select = typing_tool._Task.select
    monkeypatch.setattr(typing_tool._Task, "select", lambda self, rows, most: select(self, np.arange(120), most))
    assert accuracy() > 0.545


def test_questions_that_tell_nothing_are_not_asked() -> None:
    table, segments = shop(300, 2)
    rng = np.random.default_rng(5)
    segments = segments.assign(segment_key=rng.permutation(np.repeat(["A", "B"], [200, 100])))
    tool = learn(table[["customer_id", *NOISE]], segments)
    assert tool.questions == ()
    assert tool.assign(table)["segment_key"].unique().tolist() == ["A"]
    assert (
        "no question tells the segments apart; the largest segment for everyone would be right for 67%" in tool.sentence
    )


def test_accuracy_is_that_of_the_cut_points_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_rules, "rounded", lambda cut, column: 10.0 if column.max() > 1 else cut)
    tool = learn(*shop())
    assert "A: visits over 10" in tool.words
    # 11 and 12 visits, a tenth of all customers, are now taken for A
    assert tool.curve["accuracy"].iloc[2] == pytest.approx(0.9, abs=0.05)


# --- missing answers, order of rows, other shapes


def with_gaps() -> tuple[pd.DataFrame, pd.DataFrame]:
    table, segments = shop()
    gone = np.random.default_rng(4).random((2, len(table))) < 0.15
    table["club"] = table["club"].mask(gone[0])
    table["visits"] = table["visits"].astype(float).mask(gone[1])
    table["vip"] = table["visits"] > 5
    return table, segments


def test_a_database_gives_the_same_answers() -> None:
    (table, _), tool = with_gaps(), gappy()
    assert tool.questions
    found = duckdb.query_df(table, "t", f"SELECT customer_id, {tool.sql} AS segment_key FROM t ORDER BY 1").df()
    pd.testing.assert_frame_equal(found, tool.assign(table), check_dtype=False)
    assert found["segment_key"].nunique() == 3
    for rule in tool.short_rules:
        hits = duckdb.query_df(table, "t", f"SELECT count(*) FROM t WHERE {rule.sql}").fetchone()
        assert hits == (int(rule.holds(table).sum()),)


def test_exactly_one_rule_holds_for_every_customer_with_or_without_gaps() -> None:
    (table, _), tool = with_gaps(), gappy()
    holds = sum(rule.holds(table).astype(int) for rule in tool.rules)
    assert (np.asarray(holds) == 1).all()


def test_an_answer_that_was_always_known_and_now_is_not_goes_where_it_is_stated() -> None:
    (table, segments), tool = shop(), planted()
    blank = table.head(3).assign(visits=np.nan, club=None)
    assert tool.assign(blank)["segment_key"].unique().tolist() == [tool.otherwise]
    assert tool.otherwise == segments["segment_key"].mode()[0]


def test_the_order_of_rows_changes_nothing() -> None:
    table, segments = with_gaps()
    shuffled = table.sample(frac=1, random_state=1), segments.sample(frac=1, random_state=2)
    other = learn(*shuffled, clustered=["visits"])
    assert gappy().to_dict() == other.to_dict()


def test_a_saved_tool_gives_the_same_answers() -> None:
    (table, _), tool = with_gaps(), gappy()
    again = TypingTool.from_dict(json.loads(json.dumps(tool.to_dict(), allow_nan=False)))
    pd.testing.assert_frame_equal(again.assign(table), tool.assign(table))
    assert (again.sql, again.sentence) == (tool.sql, tool.sentence)
    assert "cut by visits: that these tell them apart is no discovery" in again.sentence


def test_a_sample_is_said_to_be_one() -> None:
    table, segments = shop()
    tool = learn(table, segments, max_rows=150, max_questions=2)
    assert (tool.customers, tool.of) == (150, 400)
    assert "150 of 400 customers" in tool.sentence


def test_what_is_known_before_the_first_purchase_is_a_tool_of_its_own_where_enough_state_it() -> None:
    table, segments = shop()
    features, known = table.drop(columns="club"), table[["customer_id", "club"]]
    options = {"max_questions": 1, "seed": 3}
    tools = typing_tool.learn_both(features, known, segments, ["club"], **options)
    assert [tool.label for tool in tools] == ["from purchases", "from what is known before"]
    assert tools[1].questions == ("club",)
    few = known.assign(club=known["club"].where(known.index < 50))
    alone = typing_tool.learn_both(features, few, segments, ["club"], **options)
    assert len(alone) == 1
    assert "too few customers state attributes" in typing_tool.sentences(alone)[1]
    assert len(typing_tool.learn_both(features, known, segments, [], **options)) == 1


# --- what cannot be


def test_unknown_questions_are_named() -> None:
    table, segments = shop()
    with pytest.raises(ParameterError, match=r"questions == \['age'\]; each must be a column of customer_id, noise_0"):
        typing_tool.learn(table, segments, ["age"], label="x", seed=1)


@pytest.mark.parametrize(("rows", "keys"), [(99, "AB"), (400, "A")])
def test_too_few_customers_or_one_segment(rows: int, keys: str) -> None:
    table, segments = shop()
    key = [keys[i % len(keys)] for i in range(400)]
    with pytest.raises(DataError, match=r"a typing tool needs 100 and two segments"):
        learn(table.head(rows), segments.assign(segment_key=key))


def test_answers_that_are_all_the_same() -> None:
    table, segments = shop()
    with pytest.raises(DataError, match="none has answers that differ"):
        learn(table[["customer_id"]].assign(x=1.0, y="same"), segments)


def test_a_table_without_a_question_cannot_be_assigned() -> None:
    with pytest.raises(DataError, match=r"the tool asks for .*visits"):
        planted().assign(shop()[0].drop(columns="visits"))


def test_shares_of_none_and_all_are_drawn_though_rounding_puts_them_outside_their_intervals() -> None:
    tool = learn(*shop())
    none, every = {"precision": 0.0, "precision_low": 7e-18}, {"recall": 1.0, "recall_high": 1 - 3e-16}
    drawn = viability_figures.short_rules(replace(tool, recognised=tool.recognised.assign(**none, **every)))
    assert len(drawn.axes[0].get_yticklabels()) == len(tool.recognised)

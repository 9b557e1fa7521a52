"""Migration: money adds up to the cent whoever moves; where habits never change, luck alone explains the moves."""

import itertools
import re
from collections import Counter
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segmentkit.analysis import clustering, encoding, looks, luck, migration, trends
from segmentkit.analysis.features import Window, build
from segmentkit.analysis.looks import Compared, Look
from segmentkit.analysis.methods import KMeans
from segmentkit.analysis.rules import NO_RULE, Beside
from segmentkit.errors import DataError
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

CONNECTION = connect()
NUMBER = itertools.count()
SPRING, SUMMER = Window(date(2025, 3, 1), date(2025, 6, 1)), Window(date(2025, 6, 1), date(2025, 9, 1))
START = date(2024, 1, 1)
MONEY = ["frequency", "monetary"]
NO_MODEL = clustering.Segmentation(clustering.Scaling((), (), (), ()), (), KMeans(np.empty((0, 0))))


def look(customers: list[tuple[str, str, int]], seen: Window = SPRING, label: str = "a look") -> Look:
    """From ``customer_id, segment_key`` and cents."""
    table = pd.DataFrame(customers, columns=["customer_id", "segment_key", "cents"])
    features = table[["customer_id"]].assign(monetary=table["cents"] / 100)
    return Look(label, seen, features, table[["customer_id", "segment_key"]])


def days(first: int, last: int) -> Window:
    return Window(START + timedelta(days=first), START + timedelta(days=last))


def purchases(customers: int, per_day: float, last: int, seed: int, first: int = 0, letter: str = "C") -> pd.DataFrame:
    """Orders of customers whose habits do not change: a rate of their own, Poisson orders, log-normal baskets."""
    rng = np.random.default_rng(seed)
    rate, basket = rng.gamma(2.0, per_day / 2, customers), rng.lognormal(3, 0.5, customers)
    who = np.repeat(np.arange(customers), rng.poisson(rate * (last - first)))
    moments = np.floor(rng.uniform(first, last, len(who)) * 86_400)
    return pd.DataFrame(
        {
            "customer_id": [f"{letter}{number:04d}" for number in who],
            "order_id": [f"{letter}{number:06d}" for number in range(len(who))],
            "ordered_at": (pd.Timestamp(START) + pd.to_timedelta(moments, unit="s")).astype("datetime64[s]"),
            "amount": (basket[who] * rng.lognormal(0, 0.4, len(who))).round(2),
        }
    )


def table(lines: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"migration_{next(NUMBER)}", lines)


def compared(
    transactions: ibis.Table, first: Window, second: Window, names: list[str] = MONEY, label: str = "then"
) -> Compared:
    tables = [build(transactions, seen) for seen in (first, second)]
    model = clustering.segment(tables[0], clustering.scale(tables[0], names), 4, starts=4, seed=1)
    past, now = (
        Look(label, seen, one, model.assign(one))
        for label, seen, one in zip((label, "now"), (first, second), tables, strict=True)
    )
    return looks.compare(transactions, past, now, model, categories=0, starts=4, seed=1)


# --- money

CENTS = st.integers(-500_000_00, 500_000_00)
KEYS = st.one_of(st.none(), st.sampled_from("ABC"))
CUSTOMERS = st.lists(st.tuples(KEYS, KEYS, CENTS, CENTS).filter(lambda row: row[0] or row[1]), max_size=30)


def both_looks(rows: list[tuple[str | None, str | None, int, int]]) -> tuple[Look, Look]:
    rows = [*rows, ("A", "A", 1_00, 1_00)]  # somebody is in both
    before = [(f"C{i}", was, cents) for i, (was, _, cents, _) in enumerate(rows) if was]
    now = [(f"C{i}", key, cents) for i, (_, key, _, cents) in enumerate(rows) if key]
    return look(before), look(now[::-1], SUMMER)


@settings(max_examples=25, deadline=None)
@given(CUSTOMERS)
def test_the_cells_add_up_to_the_sales_of_both_looks_to_the_cent(rows: list) -> None:
    found = migration.migrate(*both_looks(rows))
    cells: Counter = Counter()
    for was, key, then, today in [*rows, ("A", "A", 1_00, 1_00)]:
        cells[was or "new", key or "gone"] += np.array([1, then if was else 0, today if key else 0])
    got = {
        (row.from_key, row.to_key): [row.customers, round(row.sales_before * 100), round(row.sales_now * 100)]
        for row in found.itertuples()
    }
    assert got == {cell: expected.tolist() for cell, expected in cells.items()}
    assert (found["change"] * 100).round().sum() == sum(today - then for _, then, today in cells.values())


@settings(max_examples=25, deadline=None)
@given(CUSTOMERS)
@example([("A", "B", 1_00, 50), ("B", "B", 1_00, 2_00)])  # both segments are worth the same
def test_the_steps_add_up_to_the_difference_to_the_cent(rows: list) -> None:
    before, now = both_looks(rows)
    steps = migration.bridge(migration.migrate(before, now), migration.worth(before)).set_index("step")
    cents = (steps["amount"] * 100).round().astype(int)
    assert cents.iloc[0] == round(before.features["monetary"].sum() * 100)
    assert cents.iloc[-1] == round(now.features["monetary"].sum() * 100)
    assert cents.iloc[:-1].sum() == cents.iloc[-1]
    people = steps["customers"]
    assert people["sales before"] == len(before.features)
    assert people["sales now"] == len(now.features)
    assert people.iloc[1:-1].sum() == len({*before.features["customer_id"], *now.features["customer_id"]})
    gone, new = people["customers who are gone"], people["new customers"]
    assert people["sales before"] - gone + new == people["sales now"]


HAND_BEFORE = [("anna", "A", 90_00), ("bert", "A", 70_00), ("cleo", "B", 20_00), ("dora", "B", 10_00), ("ewan", "B", 0)]
HAND_NOW = [
    ("anna", "A", 80_00),
    ("bert", "B", 15_00),
    ("cleo", "A", 75_00),
    ("dora", "B", 12_00),
    ("finn", "A", 60_00),
]


def test_a_hand_example_is_told_as_it_happened() -> None:
    before, now = look(HAND_BEFORE), look(HAND_NOW, SUMMER)
    moved = migration.migrate(before, now)
    assert moved[["from_key", "to_key", "customers", "change"]].values.tolist() == [
        ["A", "A", 1, -10.0],
        ["A", "B", 1, -55.0],
        ["B", "A", 1, 55.0],
        ["B", "B", 1, 2.0],
        ["B", "gone", 1, 0.0],
        ["new", "A", 1, 60.0],
    ]
    steps = migration.bridge(moved, migration.worth(before))
    assert steps.values.tolist() == [
        ["sales before", 5, 190.0],
        ["customers who are gone", 1, 0.0],
        ["moved to a segment worth less", 1, -55.0],
        ["stayed in their segment", 2, -8.0],
        ["moved to a segment worth more", 1, 55.0],
        ["new customers", 1, 60.0],
        ["sales now", 5, 242.0],
    ]
    told = migration.headline(steps, migration.moves(moved, (1, 10), 0.95), "EUR")
    assert told == (
        "Sales +52.00 EUR (+27.4%): customers gone 1 (+0.00), new 1 (+60.00), in both 4 (-8.00), of whom 2 moved."
    )


def test_long_keys_come_after_short_ones_and_new_and_gone_last() -> None:
    keys = ["AA", "B", "Z"]
    before = look([(f"C{i}", key, 100) for i, key in enumerate(keys)] + [("left", "B", 100)])
    now = look([(f"C{i}", key, 100) for i, key in enumerate(keys)] + [("came", "B", 100)], SUMMER)
    pairs = migration.migrate(before, now)[["from_key", "to_key"]].values.tolist()
    assert pairs == [["B", "B"], ["B", "gone"], ["Z", "Z"], ["AA", "AA"], ["new", "B"]]


def test_a_move_into_a_poor_segment_that_was_empty_before_is_no_move_up() -> None:
    before = look([("anna", "A", 90_00), ("bert", "A", 80_00), ("cleo", "B", 40_00)])
    now = look([("anna", "A", 90_00), ("bert", "C", 1_00), ("cleo", "B", 40_00)], SUMMER)
    steps = migration.bridge(migration.migrate(before, now), migration.worth(before)).set_index("step")
    assert steps.loc["moved to a segment worth more", "customers"] == 0


@pytest.mark.parametrize(
    "segments", [["anna", "bert"], ["anna", "bert", "cleo", "dora"], ["anna", "bert", "dora"]], ids=str
)
def test_features_and_segments_of_other_customers_are_refused(segments: list[str]) -> None:
    whole = look([(name, "A", 1_00) for name in ("anna", "bert", "cleo")])
    own = pd.DataFrame({"customer_id": segments, "segment_key": "A"})
    with pytest.raises(DataError, match="March: features and segments hold different customers; build both from one"):
        _ = Look("March", SPRING, whole.features, own).customers


def test_the_days_of_a_look_end_with_the_last_one_looked_at() -> None:
    assert look(HAND_BEFORE).days == "2025-03-01 to 2025-05-31"


# --- moved, beside chance


def moved_table(moved: int, known: int) -> pd.DataFrame:
    """Of the known customers so many moved; new and gone ones do not count."""
    rows = [("A", "B", moved), ("A", "A", known - moved), ("new", "A", 500), ("B", "gone", 500)]
    return pd.DataFrame(rows, columns=["from_key", "to_key", "customers"])


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3_000), st.integers(1, 3_000), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.99])
)
def test_the_bounds_hold_the_difference_of_the_two_shares(
    known: int, drawn: int, share: float, noise: float, confidence: float
) -> None:
    counts = round(noise * drawn), drawn
    found = migration.moves(moved_table(round(share * known), known), counts, confidence)
    assert found.share == pytest.approx(round(share * known) / known)
    assert found.low - 1e-9 <= found.share - counts[0] / drawn <= found.high + 1e-9
    assert (found.known, found.noise_customers) == (known, drawn)


def test_a_wider_confidence_never_narrows_the_bounds() -> None:
    narrow, wide = (migration.moves(moved_table(30, 200), (20, 200), level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("moved", "exceeds", "told"),
    [
        (300, True, "more moved than chance gives, by 17% to 23% of customers."),
        (140, False, "not clearly more than chance can give."),
        (110, False, "not clearly more than chance can give."),
        (20, False, "not clearly more than chance can give."),
    ],
)
def test_only_what_lies_clearly_above_chance_is_called_more(moved: int, exceeds: bool, told: str) -> None:
    found = migration.moves(moved_table(moved, 1_000), (200, 2_000), 0.95)
    assert found.exceeds_noise is exceeds
    assert found.sentence.startswith(f"{moved} of 1,000 known customers ({moved / 1000:.0%}) are in another segment")
    assert "about 10% would be (simulated from the orders of 2,000 customers)" in found.sentence
    assert found.sentence.endswith(told)


def test_without_a_common_customer_nothing_migrates() -> None:
    apart = migration.migrate(look([("anna", "A", 1_00)]), look([("bert", "A", 1_00)], SUMMER))
    with pytest.raises(DataError, match="no customer is in both looks; there is nothing to migrate"):
        migration.moves(apart, (1, 10), 0.95)


def test_no_luck_is_drawn_on_days_that_both_looks_saw() -> None:
    transactions = table(purchases(150, 0.1, 90, 1))
    pair = compared(transactions, days(0, 90), days(0, 90))
    assert pair.kind == "restated"
    assert pair.sentence == (
        "A restatement: then and now look at the same days, 2024-01-01 to 2024-03-30; the data changed."
    )
    assert luck.simulate(transactions, pair, categories=0, seed=2) is None
    found = migration.moves(migration.migrate(pair.before, pair.now), None, 0.95)
    assert (found.noise, found.exceeds_noise) == (0.0, False)
    assert found.sentence.endswith("Both looks see the same days, so luck plays no part.")


DISJOINT, SLIDING = (days(0, 180), days(180, 360)), (days(0, 330), days(30, 360))


@pytest.mark.parametrize(
    ("windows", "names"),
    [
        pytest.param(DISJOINT, MONEY, id="other days"),
        pytest.param(SLIDING, MONEY, id="a month on"),
        pytest.param(DISJOINT, ["recency_days", *MONEY], id="other days, with recency"),
        pytest.param(SLIDING, ["recency_days", *MONEY], id="a month on, with recency"),
    ],
)
def test_the_simulated_noise_is_near_what_moves_though_no_habit_changed(
    windows: tuple[Window, Window], names: list[str]
) -> None:
    transactions = table(purchases(1_000, 0.03, 360, 5))
    pair = compared(transactions, *windows, names)
    assert pair.kind == "month"
    found = migration.moves(
        migration.migrate(pair.before, pair.now), luck.simulate(transactions, pair, categories=0, seed=3), 0.95
    )
    assert found.share > 0.05, "luck moves somebody"
    assert found.noise == pytest.approx(found.share, abs=0.05)
    assert not found.exceeds_noise


@pytest.mark.parametrize("windows", [DISJOINT, SLIDING], ids=["other days", "a month on"])
def test_customers_who_shop_by_the_calendar_move_less_and_the_noise_knows_it(windows: tuple[Window, Window]) -> None:
    rng = np.random.default_rng(6)
    rate = rng.gamma(2.0, 0.03, 600)
    # gamma gaps vary half as much as those of a Poisson process
    moments = (rng.gamma(4.0, 0.25, (600, 200)).cumsum(axis=1) - rng.uniform(5, 10, (600, 1))) / rate[:, None]
    who, order = np.nonzero((moments >= 0) & (moments < 360))
    days_after = pd.to_timedelta(np.floor(moments[who, order] * 86_400), unit="s")
    lines = pd.DataFrame(
        {
            "customer_id": [f"C{number:04d}" for number in who],
            "order_id": [f"{number:06d}" for number in range(len(who))],
            "ordered_at": (pd.Timestamp(START) + days_after).astype("datetime64[s]"),
            "amount": (rng.lognormal(3, 0.5, 600)[who] * rng.lognormal(0, 0.4, len(who))).round(2),
        }
    )
    transactions = table(lines)
    pair = compared(transactions, *windows)
    share = migration.moves(migration.migrate(pair.before, pair.now), (1, 10), 0.95).share
    moved, drawn = luck.simulate(transactions, pair, categories=0, seed=3)
    assert share < {DISJOINT: 0.3, SLIDING: 0.07}[windows], "by lot it would be .4 and .1"
    assert moved / drawn == pytest.approx(share, abs=0.04)


def test_customers_who_stopped_long_ago_do_not_come_back_by_luck() -> None:
    lines = purchases(600, 0.06, 360, 5)
    stopped = lines["customer_id"].str[1:].astype(int) % 2 == 0
    transactions = table(lines[~stopped | (lines["ordered_at"] < pd.Timestamp(days(0, 120).as_of))])
    pair = compared(transactions, *SLIDING, ["recency_days", *MONEY])
    share = migration.moves(migration.migrate(pair.before, pair.now), (1, 10), 0.95).share
    moved, drawn = luck.simulate(transactions, pair, categories=0, seed=3)
    assert moved / drawn == pytest.approx(share, abs=0.05)


def test_a_true_change_of_habits_is_not_taken_for_luck() -> None:
    lines = purchases(600, 0.06, 360, 5)
    rng, third = np.random.default_rng(1), lines["customer_id"].str[1:].astype(int) % 3
    late = lines["ordered_at"] >= pd.Timestamp(DISJOINT[1].start)
    # in the second half one third of the customers all but stop, and one third comes twice where it came once
    kept = lines[~(late & (third == 0) & (rng.random(len(lines)) < 0.8))]
    again = lines[late & (third == 1)].assign(order_id=lambda more: more["order_id"] + "+")
    transactions = table(pd.concat([kept, again], ignore_index=True))
    pair = compared(transactions, *DISJOINT)
    found = migration.moves(
        migration.migrate(pair.before, pair.now), luck.simulate(transactions, pair, categories=0, seed=3), 0.95
    )
    assert found.exceeds_noise
    assert found.noise == pytest.approx(0.4, abs=0.08), "as much as without the change"


def test_luck_is_not_simulated_where_the_purchases_do_not_reach_back() -> None:
    lines = purchases(150, 0.1, 180, 1)
    pair = compared(table(lines), days(0, 90), days(90, 180))
    recent = table(lines[lines["ordered_at"] >= pd.Timestamp(days(60, 90).start)])
    found = migration.moves(
        migration.migrate(pair.before, pair.now), luck.simulate(recent, pair, categories=0, seed=2), 0.95
    )
    assert found.noise_customers == 0
    assert not found.exceeds_noise
    assert "How many luck alone would move cannot be said" in found.sentence


def test_a_customer_who_happens_to_draw_only_a_return_stops_nothing() -> None:
    lines = purchases(200, 0.03, 360, 5)
    last = lines.groupby("customer_id").tail(1).index
    lines.loc[last[::4], "amount"] *= -0.5  # one customer in four ends with a return
    transactions = table(lines)
    tables = [build(transactions, one) for one in DISJOINT]
    bought = set.intersection(*(set(one.dropna(subset=["trend"])["customer_id"]) for one in tables))
    lines = lines[lines["customer_id"].isin(bought)]
    pair = compared(table(lines), *DISJOINT, ["frequency", "trend"])
    found = luck.simulate(table(lines), pair, categories=0, seed=3)
    assert found is not None
    assert 0 < found[1] <= len(bought)


def test_the_same_seed_draws_the_same_luck() -> None:
    transactions = table(purchases(150, 0.06, 200, 5))
    pair = compared(transactions, days(0, 100), days(100, 200))
    drawn = [luck.simulate(transactions, pair, categories=0, seed=seed) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]


# --- which comparison it is


def choose(lines: pd.DataFrame, past: Look | None, seen: Window, names: tuple[str, ...] = MONEY) -> Compared:
    transactions = table(lines)
    features = build(transactions, seen)
    model = clustering.segment(features, clustering.scale(features, names), 3, starts=2, seed=1)
    now = Look("now", seen, features, model.assign(features))
    return looks.compare(transactions, past, now, model, categories=8, starts=2, seed=1)


def test_an_earlier_run_that_knows_one_customer_is_compared_with() -> None:
    lines = purchases(150, 0.1, 181, 1)
    past = look([(lines["customer_id"].iloc[0], "A", 1_00), ("stranger", "A", 1_00)], days(0, 90), "March")
    pair = choose(lines, past, days(30, 120))
    assert (pair.kind, pair.before) == ("month", past)
    assert pair.sentence == "March (2024-01-01 to 2024-03-30) against now (2024-01-31 to 2024-04-29)."


def test_a_look_back_says_so_and_its_luck_is_that_of_the_look_forward() -> None:
    lines = purchases(150, 0.06, 180, 1)
    transactions = table(lines)
    forth, back = (compared(transactions, *one) for one in ((days(0, 90), days(90, 180)), (days(90, 180), days(0, 90))))
    assert (forth.kind, back.kind) == ("month", "back")
    assert back.sentence.startswith("A look back: now (")
    assert (back.before.seen, back.now.seen) == (forth.before.seen, forth.now.seen)
    found = luck.simulate(transactions, back, categories=0, seed=2)
    assert found is not None
    assert 0 < found[0] < found[1]


@pytest.mark.parametrize(
    ("past", "why"),
    [
        (None, "There is no earlier run to compare with"),
        (look([("stranger", "A", 1_00)], label="March"), "March knows none of these"),
    ],
)
def test_without_a_run_to_compare_with_the_data_are_halved(past: Look | None, why: str) -> None:
    pair = choose(purchases(150, 0.1, 181, 1), past, days(0, 181))
    assert pair.kind == "rehearsal"
    # an odd number of days: the first one is left out, so that both halves are as long
    assert (pair.before.seen, pair.now.seen) == (days(1, 91), days(91, 181))
    assert pair.sentence.startswith(why)
    assert "segments cut from 2024-01-02 to 2024-03-31, applied to 2024-04-01 to 2024-06-29" in pair.sentence
    assert len(pair.model.keys) == 3
    assert set(pair.now.segments["segment_key"]) <= set(pair.model.keys)


def test_data_that_cannot_be_halved_are_compared_with_themselves() -> None:
    late = purchases(150, 0.2, 120, 1, first=61)
    pair = choose(pd.concat([purchases(40, 0.1, 60, 2, letter="D"), late]), None, days(0, 120))
    assert pair.kind == "none"
    assert "these data cannot be halved for a rehearsal (" in pair.sentence
    assert "segmentation needs at least 100" in pair.sentence
    assert pair.before is pair.now
    found = migration.migrate(pair.before, pair.now)
    assert (found["from_key"] == found["to_key"]).all()
    assert found["change"].tolist() == [0.0] * len(found)


def test_a_feature_that_the_first_half_lacks_leads_to_no_rehearsal_and_no_crash() -> None:
    lines = purchases(150, 0.1, 180, 1)
    second_half = lines["ordered_at"] >= pd.Timestamp(days(0, 90).as_of)
    lines["category"] = np.where(second_half & (np.arange(len(lines)) % 3 == 0), "Ice", "Bread")
    pair = choose(lines, None, days(0, 180), ("frequency", "category_ice_share"))
    assert pair.kind == "none"


def test_halves_without_a_common_customer_are_no_rehearsal() -> None:
    early, late = purchases(150, 0.1, 90, 1), purchases(150, 0.1, 180, 2, first=90, letter="D")
    pair = choose(pd.concat([early, late], ignore_index=True), None, days(0, 180))
    assert pair.kind == "none"


# --- segments by rule

RULED = pd.DataFrame(
    {"customer_id": ["anna", "bert", "cleo", "dora", "finn"], "segment_key": ["rich"] * 3 + ["poor"] * 2}
)


def by_rule(then: pd.DataFrame | None, now: pd.DataFrame = RULED, kind: str = "month") -> list[list]:
    pair = Compared(kind, look(HAND_BEFORE), look(HAND_NOW, SUMMER), NO_MODEL, "")
    return migration.by_rule(pair, then, now)[["from_key", "to_key", "customers", "change"]].values.tolist()


def test_moves_between_rules_carry_the_money_of_both_looks() -> None:
    then = pd.DataFrame(
        {"customer_id": ["anna", "bert", "cleo", "dora", "ewan"], "segment_key": ["rich"] * 2 + ["poor"] * 3}
    )
    assert by_rule(then) == [
        ["poor", "poor", 1, 2.0],
        ["poor", "rich", 1, 55.0],
        ["poor", "gone", 1, 0.0],
        ["rich", "rich", 2, -65.0],
        ["new", "poor", 1, 60.0],
    ]


def test_without_rules_in_both_looks_nobody_moves_between_rules() -> None:
    nobody = RULED.assign(segment_key=NO_RULE)
    assert (
        by_rule(None)
        == by_rule(nobody, nobody)
        == by_rule(RULED, kind="rehearsal")
        == by_rule(RULED, kind="back")
        == []
    )


# --- regression to the mean


def test_what_became_of_a_segment_is_told_both_ways() -> None:
    found = migration.regression(migration.migrate(look(HAND_BEFORE), look(HAND_NOW, SUMMER)))
    assert found.columns.tolist() == [
        "segment_key",
        *("customers_before", "sales_before", "later", "customers_now", "sales_now", "earlier"),
        *("change", "change_back"),
    ]
    first, second = found.set_index("segment_key").loc[["A", "B"]].to_dict("records")
    # anna and bert were A: 160 before, 95 later; anna, cleo and finn are A now: 215, and were 110
    assert first == pytest.approx(
        {"customers_before": 2, "sales_before": 80, "later": 47.5, "change": 95 / 160 - 1}
        | {"customers_now": 3, "sales_now": 215 / 3, "earlier": 110 / 3, "change_back": 110 / 215 - 1}
    )
    # cleo, dora and ewan (gone) were B: 30 before, 87 later; bert and dora are B now: 27, and were 80
    assert second == pytest.approx(
        {"customers_before": 3, "sales_before": 10, "later": 29, "change": 87 / 30 - 1}
        | {"customers_now": 2, "sales_now": 13.5, "earlier": 40, "change_back": 80 / 27 - 1}
    )


def test_a_segment_that_spent_nothing_has_no_relative_change() -> None:
    before = look([("anna", "A", 50_00), ("bert", "B", 0)])
    now = look([("anna", "A", 50_00), ("bert", "B", 5_00)], SUMMER)
    found = migration.regression(migration.migrate(before, now))
    assert found["change"].isna().tolist() == [False, True]
    told = migration.regression_sentence(found)
    assert told == "Too few segments with sales in both looks to see regression to the mean."


def by_spend(sales: np.ndarray) -> np.ndarray:
    """Best third A, middle B, smallest C."""
    return np.array(list("CBA"))[np.argsort(np.argsort(sales)) * 3 // len(sales)]


def told_of(then: np.ndarray, today: np.ndarray) -> str:
    ids = [f"C{i:04d}" for i in range(len(then))]
    pair = [
        look([(*row,) for row in zip(ids, by_spend(cents), cents.tolist(), strict=True)], seen)
        for cents, seen in ((then, SPRING), (today, SUMMER))
    ]
    return migration.regression_sentence(migration.regression(migration.migrate(*pair)))


HABITS = np.random.default_rng(8).lognormal(9, 0.6, 900)


def test_luck_around_unchanged_habits_is_called_regression_to_the_mean() -> None:
    luck = np.random.default_rng(9).lognormal(0, 0.5, (2, 900))
    told = told_of(*(HABITS * luck).astype(int))
    ahead, back = r"C, which spent least, went \+\d+%.*; A, the best, -\d+%", r"C had \+\d+% and A -\d+%"
    assert re.match(rf"Regression to the mean: {ahead}\. .* looked at backwards, {back}\. Nothing anybody did", told)


@pytest.mark.parametrize(
    ("then", "today"),
    [
        pytest.param(HABITS, HABITS, id="nothing changes"),
        pytest.param(HABITS, HABITS * 1.5, id="everybody spends half as much again"),
        pytest.param(HABITS, HABITS**1.3 / 15, id="a true change, the best gain most"),
        pytest.param(HABITS, HABITS**0.7 * 20, id="a true change, the smallest gain"),
    ],
)
def test_a_true_change_is_not_called_regression_to_the_mean(then: np.ndarray, today: np.ndarray) -> None:
    told = told_of(then.astype(int), today.astype(int))
    assert told.startswith("Regression to the mean does not show both ways here: ")


def test_a_rehearsal_on_unchanged_habits_shows_the_trap() -> None:
    pair = choose(purchases(400, 0.05, 180, 7), None, days(0, 180))
    told = migration.regression_sentence(migration.regression(migration.migrate(pair.before, pair.now)))
    assert told.startswith("Regression to the mean: ")


# --- segments that need more than purchases


def test_rules_about_attributes_are_rehearsed_frozen_and_simulated_with_what_is_known_beside() -> None:
    transactions, seen = table(purchases(300, 0.08, 360, seed=3)), days(0, 360)
    features = build(transactions, seen)
    regions = pd.DataFrame({"customer_id": [f"C{n:04d}" for n in range(300)], "region": ["north", "south"] * 150})
    contacts = pd.DataFrame({"customer_id": [], "event": [], "at": []})
    beside, stated = Beside(regions, contacts), {"Northern": "region = 'north'", "Fresh": "recency_days <= 30"}
    joined = beside.join(features, seen.as_of)
    model = clustering.segment(
        joined, clustering.scale(features, MONEY), 0, method="rules", starts=1, seed=1, stated=stated
    )
    now = Look("now", seen, features, model.assign(joined))
    pair = looks.compare(transactions, None, now, model, categories=0, starts=1, seed=1, beside=beside)
    assert pair.kind == "rehearsal"
    north = [one.segments.set_index("customer_id")["segment_key"] for one in (pair.before, pair.now)]
    key = next(name.split(" ")[0] for name in pair.model.stated_names if name.endswith("Northern"))
    assert all(set(one[one == key].index) == set(one.index) & set(regions["customer_id"][::2]) for one in north)
    moved, known = luck.simulate(transactions, pair, categories=0, seed=1, beside=beside) or (0, 0)
    assert 0 < moved < known / 2, "whoever is northern stays so; the others may be fresh or not, by luck"
    lines = trends.trends(transactions, START, days(180, 360), model, categories=0, confidence=0.95, beside=beside)
    assert set(lines["segment_key"]) == set(model.keys)
    without = looks.compare(transactions, None, now, model, categories=0, starts=1, seed=1)
    assert without.kind == "none"
    assert "rule 'Northern'" in without.sentence
    assert "cannot be read" in without.sentence


def test_segments_of_respondents_are_compared_among_respondents() -> None:
    transactions, seen, rng = table(purchases(400, 0.08, 360, seed=3)), days(0, 360), np.random.default_rng(5)
    asked = [f"C{n:04d}" for n in range(0, 400, 2)]
    answers = pd.DataFrame(
        {"customer_id": asked, "bargain": rng.integers(0, 2, 200), "organic": rng.integers(0, 2, 200)}
    )
    nobody = pd.DataFrame({"customer_id": [], "event": [], "at": []})
    beside = Beside(pd.DataFrame({"customer_id": asked}), nobody, answers)
    features = build(transactions, seen)
    joined = beside.join(features, seen.as_of)
    scaled, _ = encoding.encode(joined, {"bargain": "binary", "organic": "binary"})
    model = clustering.segment(joined, scaled, 4, starts=5, seed=1)
    tables = {"features": features, "segments": model.assign(model.complete(joined))}
    now = looks.look("now", seen.start, seen.as_of, tables.__getitem__)
    assert set(now.customers["customer_id"]) == set(asked) & set(features["customer_id"])
    pair = looks.compare(transactions, None, now, model, categories=0, starts=5, seed=1, beside=beside)
    assert pair.kind == "rehearsal"
    assert set(pair.before.segments["customer_id"]) | set(pair.now.segments["customer_id"]) <= set(asked)
    assert luck.simulate(transactions, pair, categories=0, seed=1, beside=beside)[0] == 0, "answers know no luck"
    lines = trends.trends(transactions, START, days(180, 360), model, categories=0, confidence=0.95, beside=beside)
    assert lines["customers"].sum() <= len(asked)

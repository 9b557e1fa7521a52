"""Allocation of contacts: by hand, inside every limit, beside simple plans, and nothing where money is not known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segmentkit.analysis import budget, uplift
from segmentkit.analysis.budget import Allocation
from segmentkit.analysis.uplift import Uplift
from segmentkit.display import decision_figures
from segmentkit.errors import DataError, ParameterError

COLUMNS = ["segment_key", "offer", "channel", "customers", "cost", "net_benefit", "error"]


def table(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


SIMPLE = table(
    ("A", "mail", "post", 100, 2.0, 3.0, 1.0),
    ("A", "text", "phone", 100, 0.5, 2.0, 1.0),
    ("B", "mail", "post", 200, 2.0, 1.0, 1.0),
    ("B", "text", "phone", 200, 0.5, -0.5, 1.0),
)


def share_out(options: pd.DataFrame = SIMPLE, found: Uplift | None = None, **changes: Any) -> Allocation:
    settings = {"budget": None, "capacities": {}, "hold_out": 0.1, "confidence": 0.95, "draws": 4_000, "seed": 1}
    return budget.allocate(options, found, **{**settings, "currency": "EUR", **changes})


def contacts(made: Allocation) -> list[int]:
    return made.table["contacts"].tolist()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [90, 0, 180, 0]),
        ({"hold_out": 0.0}, [100, 0, 200, 0]),
        ({"budget": 0.0}, [0, 0, 0, 0]),
        # text to A brings 4 a unit of cost, then mail in its place 1 / 1.5, then mail to B 1 / 2
        ({"budget": 45.0}, [0, 90, 0, 0]),
        ({"budget": 75.0}, [20, 70, 0, 0]),
        ({"budget": 200.0}, [90, 0, 10, 0]),
        ({"capacities": {"post": 50}}, [50, 40, 0, 0]),
        ({"capacities": {"post": 0, "phone": 10}}, [0, 10, 0, 0]),
    ],
)
def test_contacts_by_hand(limits: dict[str, Any], expected: list[int]) -> None:
    assert contacts(share_out(**limits)) == expected


def test_money_adds_up() -> None:
    made = share_out()
    assert made.table["spent"].tolist() == [180, 0, 360, 0]
    assert made.table["profit"].tolist() == [270, 0, 180, 0]
    assert made.held_out == 30
    plans = made.plans.set_index("plan")
    assert plans.loc["by segment", ["contacts", "spent", "profit"]].tolist() == [270, 540, 450]
    assert plans.loc["everyone: mail by post", "profit"] == 450
    assert plans.loc["everyone: text by phone", "profit"] == 180 - 90
    assert plans.loc["nobody", ["contacts", "profit", "low", "high", "loss_probability"]].tolist() == [0] * 5


def test_one_offer_for_everyone_is_spread_evenly() -> None:
    plans = share_out(budget=270.0).plans.set_index("plan")
    # 270 customers may be written to, the money is for half of them: 45 of A and 90 of B
    assert plans.loc["everyone: mail by post", ["contacts", "profit"]].tolist() == [135, 45 * 3 + 90 * 1]
    plans = share_out(capacities={"phone": 27}).plans.set_index("plan")
    assert plans.loc["everyone: text by phone", "contacts"] == 27


def test_an_expected_profit_is_taken_though_it_is_not_significant() -> None:
    made = share_out(table(("A", "mail", "post", 100, 1.0, 0.2, 5.0)))
    assert contacts(made) == [90]
    row = made.plans.iloc[0]
    assert row["loss_probability"] == pytest.approx(stats.norm.cdf(-0.2 / 5), abs=0.03)


def test_the_interval_is_that_of_independent_errors_and_of_shared_ones() -> None:
    options = table(*((key, "mail", "post", 100, 1.0, 1.0, 1.0) for key in "ABCD"))
    reach = {}
    for shared in (0.0, 0.6, 1.0):
        row = share_out(options.assign(shared_error=shared), hold_out=0.0, draws=20_000).plans.iloc[0]
        reach[shared] = (row["high"] - row["low"]) / 2 / 100
        expected = 1.96 * np.sqrt(16 * shared**2 + 4 * (1 - shared**2))
        assert reach[shared] == pytest.approx(expected, rel=0.03)
    assert share_out(options, hold_out=0.0).plans.iloc[0]["profit"] == 400


def test_the_order_of_rows_and_ties_play_no_part() -> None:
    tied = table(*((key, offer, "post", 50, 1.0, 1.0, 1.0) for key in "ABC" for offer in ("x", "y")))
    made = [share_out(tied.sample(frac=1, random_state=seed), budget=60.0) for seed in range(4)]
    for one in made:
        pd.testing.assert_frame_equal(one.table, made[0].table)
        pd.testing.assert_frame_equal(one.plans, made[0].plans)
    assert contacts(made[0]) == [45, 0, 15, 0, 0, 0]


def test_limits_hold_and_no_better_plan_is_found_by_lot() -> None:
    rng = np.random.default_rng(5)
    for _ in range(15):
        keys = [(key, offer, channel) for key in "ABC" for offer, channel in (("x", "post"), ("y", "phone"))]
        options = table(*((*k, 40, *np.round(rng.uniform(0.2, 2, 2) - [0, 0.8], 2), 1.0) for k in keys))
        made = share_out(options, budget=50.0, capacities={"post": 25}, hold_out=0.25)
        found = made.table
        assert found["spent"].sum() <= 50
        assert found.loc[found["channel"] == "post", "contacts"].sum() <= 25
        assert found.groupby("segment_key")["contacts"].sum().max() <= 30
        assert found.loc[found["net_benefit"] <= 0, "contacts"].sum() == 0
        for _ in range(200):
            other = rng.integers(0, 16, 6)
            fits = other @ options["cost"] <= 50 and other[::2].sum() <= 25
            if fits:
                # whole customers: rounding down costs at most one contact an option
                assert other @ options["net_benefit"] <= found["profit"].sum() + options["net_benefit"].clip(0).sum()


@pytest.mark.parametrize(
    ("column", "told"), [("cost", "the cost of a contact of mail"), ("net_benefit", "the margin of mail")]
)
def test_nothing_is_allocated_where_money_is_not_known(column: str, told: str) -> None:
    unknown = SIMPLE.assign(**{column: SIMPLE[column].where(SIMPLE["offer"] != "mail")})
    made = share_out(unknown)
    assert contacts(made) == [0] * 4
    assert made.verdict == "not known"
    assert made.sentence == f"Nothing is allocated: {told} is not known; state it to get a plan."
    assert made.plans.empty
    assert decision_figures.contacts(made, "EUR").get_suptitle()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": -1.0}, r"budget == -1.0; it must be 0 or more; leave it empty"),
        ({"budget": float("nan")}, "budget == nan"),
        ({"hold_out": 1.0}, r"hold_out == 1.0; it must be 0 or more and below 1"),
        ({"hold_out": -0.1}, "hold_out == -0.1"),
        ({"capacities": {"fax": 10}}, "capacities holds 'fax 10'; give 0 or more for one of phone, post"),
        ({"capacities": {"post": -1}}, "capacities holds 'post -1'"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        share_out(**changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SIMPLE.drop(columns="error"), "options without error"),
        (SIMPLE.iloc[:0], "options without rows"),
        (pd.concat([SIMPLE, SIMPLE]), "repeated segment, offer and channel"),
        (SIMPLE.assign(channel=None), "missing or repeated segment, offer and channel"),
        (SIMPLE.assign(cost=-1.0), "4 rows with customers unknown, or a figure below 0"),
        (SIMPLE.assign(customers=np.nan), "4 rows with customers unknown"),
    ],
)
def test_options_that_are_wrong_are_refused(options: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        share_out(options)


def test_assumed_benefits_prove_nothing() -> None:
    made = share_out()
    assert made.verdict == "not known"
    assert "The net benefits are assumed" in made.sentence
    assert np.isnan(made.gain)


# --- with a test


def measured(effects: dict[str, float], seed: int = 0, each: int = 400) -> Uplift:
    rng, parts = np.random.default_rng(seed), []
    for key, effect in effects.items():
        arm = np.repeat(["control", "mail"], each // 2)
        net = effect * (arm == "mail") + rng.lognormal(0, 1, each) * (rng.random(each) < 0.5)
        ids = [f"{key}{number:04d}" for number in range(each)]
        parts.append(pd.DataFrame({"customer_id": ids, "segment_key": key, "arm": arm, "net": net}))
    return uplift.measure(
        pd.concat(parts), control="control", designed={"control": 0.5, "mail": 0.5}, confidence=0.95, folds=5, seed=3,
        currency="EUR",
    )  # fmt: skip


def from_test(effects: dict[str, float], **limits: Any) -> Allocation:
    found = measured(effects)
    return share_out(budget.options(found, channels={"mail": "post"}, costs={"mail": 1.0}), found, **limits)


def test_options_carry_the_shrunk_figures_of_the_test() -> None:
    found = measured({"A": 1.0, "B": 1.0, "C": 1.0, "D": 1.0})
    made = budget.options(found, channels={"mail": "post"}, costs={"mail": None}, customers=dict.fromkeys("ABCD", 9))
    assert made["net_benefit"].tolist() == found.segments["shrunk"].tolist()
    assert made["customers"].tolist() == [9] * 4
    assert made["cost"].isna().all()
    assert share_out(made, found).sentence.startswith("Nothing is allocated: the cost of a contact of mail")


@pytest.mark.parametrize(
    ("effects", "verdict", "told"),
    [
        ((5.0, -5.0, 5.0, -5.0), "by segment", "Targeting beats: choosing by segment earns "),
        ((5.0, 5.0, 5.0, 5.0), "the same for everyone", "The same for everyone is as good: nothing shows that"),
        ((-5.0, -5.0, -5.0, -5.0), "nobody", "Contacting nobody is as good: no offer is worth its cost"),
    ],
)
def test_the_verdict(effects: tuple[float, ...], verdict: str, told: str) -> None:
    made = from_test(dict(zip("ABCD", effects, strict=True)))
    assert made.verdict == verdict
    assert made.sentence.startswith(told)
    assert decision_figures.contacts(made, "EUR").get_suptitle().replace("\n", " ") == made.sentence


def test_without_limits_the_gain_is_that_of_the_uplift() -> None:
    found = measured({"A": 2.0, "B": -2.0, "C": 0.1, "D": 0.0})
    options = budget.options(found, channels={"mail": "post"}, costs={"mail": 1.0})
    made, row = share_out(options, found, hold_out=0.0), found.policies.set_index("policy").loc["by segment"]
    np.testing.assert_allclose(
        [made.gain, made.gain_low, made.gain_high], row[["gain", "gain_low", "gain_high"]].to_numpy(float) * 1_600
    )
    honest = made.plans.set_index("plan")["honest"]
    assert honest["by segment"] == pytest.approx(row["honest"] * 1_600)


def test_a_budget_makes_targeting_pay_where_every_segment_is_worth_its_cost() -> None:
    effects = {"A": 6.0, "B": 1.0, "C": 1.0, "D": 1.0}
    assert from_test(effects).verdict == "the same for everyone"
    made = from_test(effects, budget=360.0)
    assert contacts(made) == [360, 0, 0, 0]
    assert made.verdict == "by segment"
    # 360 contacts of A at 6, against 90 in each segment at 2.25 on average
    assert made.gain == pytest.approx(360 * 6 - 360 * 2.25, rel=0.15)


def test_a_sure_offer_leaves_the_hold_out() -> None:
    made = from_test(dict.fromkeys("ABCD", 9.0), hold_out=0.2)
    assert contacts(made) == [320] * 4
    assert made.held_out == 320


def test_a_test_that_cannot_be_read_allocates_nothing() -> None:
    found = measured({"A": 5.0, "B": 5.0})
    broken = uplift.Uplift(
        **{**vars(found), "ratio": uplift.sample_ratio(pd.Series(["a"] * 99 + ["b"]), {"a": 0.5, "b": 0.5})}
    )
    made = share_out(budget.options(found, channels={"mail": "post"}, costs={"mail": 1.0}), broken)
    assert contacts(made) == [0, 0]
    assert made.sentence.startswith("Targeting cannot be judged")


def test_an_option_that_was_not_tested_is_refused() -> None:
    found = measured({"A": 5.0, "B": 5.0})
    with pytest.raises(DataError, match=r"options hold \[\('A', 'text'\), \('B', 'text'\)\], which the test did not"):
        share_out(SIMPLE, found)


def test_a_long_offer_leaves_room_for_the_picture() -> None:
    made = share_out(SIMPLE.assign(offer="a very long name of an offer " * 4 + SIMPLE["offer"]))
    right = decision_figures.contacts(made, "EUR").axes[1]
    lines = [line for label in right.get_yticklabels() for line in label.get_text().split("\n")]
    assert max(map(len, lines)) <= 24


@pytest.mark.parametrize("limits", [{"budget": 0.0}, {"hold_out": 0.999}, {"capacities": {"post": 0}}])
def test_limits_that_leave_no_contact_are_not_called_a_finding(limits: dict[str, Any]) -> None:
    made = from_test(dict.fromkeys("ABCD", 5.0), **limits)
    assert made.sentence.startswith(
        "Nobody can be contacted: the budget, the channels and the hold-out leave no contact."
    )
    assert [text.get_text() for text in decision_figures.contacts(made, "EUR").axes[1].texts] == ["no plan"]


def test_rounding_down_does_not_handicap_the_same_for_everyone() -> None:
    made = from_test(dict.fromkeys("ABCD", 5.0), budget=5.0)
    assert made.plans.set_index("plan").loc["everyone: mail by post", "contacts"] == 5
    assert made.verdict == budget.SAME

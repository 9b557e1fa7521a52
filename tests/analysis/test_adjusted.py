"""Adjusted estimates: covariates from before only, known truth recovered, overlap and robustness as published."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import adjusted
from segmentkit.analysis.adjusted import adjust, history, known, overlap, robustness_value
from segmentkit.analysis.features import Window
from segmentkit.errors import DataError
from segmentkit.machinery.runs import connect

CONNECTION = connect()
PAST = Window(date(2025, 1, 1), date(2025, 3, 1))
LINES = CONNECTION.create_table(
    "adjusted_lines",
    pd.DataFrame(
        [
            ("b", "1", "2025-01-31 23:59", 5.0),  # 29 days before: earlier
            ("b", "2", "2025-02-01 00:00", 7.0),  # 28 days before: before that
            ("b", "3", "2025-02-14 12:00", 11.0),  # 15 days before: before that
            ("b", "4", "2025-02-15 12:00", 13.0),  # 14 days before: just before
            ("b", "4", "2025-02-15 12:00", -3.0),  # a return in the same order
            ("a", "5", "2025-02-28 23:59", 2.0),  # the eve
            ("b", "6", "2025-03-01 00:00", 99.0),  # the first day of what is to be explained
            ("late", "7", "2025-03-05 00:00", 99.0),
        ],
        columns=["customer_id", "order_id", "ordered_at", "amount"],
    ).astype({"ordered_at": "datetime64[s]"}),
)


def test_covariates_end_before_what_they_explain_and_come_in_the_order_asked_for() -> None:
    found = history(LINES, PAST, 14, pd.Series(["late", "b", "a"]))
    names = ["recency_days", "frequency", "monetary", "active_months"]
    names += ["sales_just_before", "sales_before_that", "sales_earlier"]
    assert found.columns.tolist() == names
    assert found.to_numpy().tolist() == [
        [59, 0, 0, 0, 0, 0, 0],
        [14, 4, 33, 2, 10, 18, 5],
        [1, 1, 2, 1, 2, 0, 0],
    ]  # fmt: skip


def test_only_a_panel_counts_customers_not_seen_yet() -> None:
    assert known(LINES, PAST, panel=False).tolist() == ["a", "b"]
    assert known(LINES, PAST, panel=True).tolist() == ["a", "b", "late"]


# --- estimates


def confounded(seed: int, n: int = 3_000) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, float, float]:
    """Reached by past sales; the effect grows with them, so that the reached gain more than everyone would."""
    rng = np.random.default_rng(seed)
    past = rng.lognormal(3, 0.6, n)
    treated = rng.random(n) < 1 / (1 + np.exp(-1.2 * (np.log(past) - 3)))
    gain = 2 + 0.3 * past
    sales = 0.8 * past + gain * treated + rng.normal(0, 5, n)
    covariates = pd.DataFrame({"monetary": past, "active_months": rng.integers(1, 9, n).astype(float)})
    return covariates, treated, sales, float(gain[treated].mean()), float(gain.mean())


def test_the_effect_on_the_reached_and_on_everyone_are_both_found_where_the_plain_difference_is_wrong() -> None:
    covariates, treated, sales, on_reached, on_everyone = confounded(1)
    found = adjust(covariates, treated, sales, confidence=0.95)
    plain = sales[treated].mean() - sales[~treated].mean()
    assert on_reached > on_everyone + 1
    assert plain > on_reached + 5
    truths = {"reached": on_reached, "everyone": on_everyone}
    assert [(one.model, one.target) for one in found.estimates] == [
        ("linear", "reached"), ("linear", "everyone"), ("boosted", "reached"), ("boosted", "everyone")
    ]  # fmt: skip
    for one in found.estimates:
        assert one.low < truths[one.target] < one.high
    assert found.main == found.estimates[0]
    assert found.range == (min(e.estimate for e in found.estimates), max(e.estimate for e in found.estimates))


@pytest.mark.parametrize("wrong", ["chance", "sales"])
def test_one_of_the_two_models_may_be_wrong(wrong: str, monkeypatch) -> None:
    covariates, treated, sales, truth, _ = confounded(2, 20_000)
    real = adjusted._predict

    def spoiled(*args):
        chance, without, with_it = real(*args)
        flat = np.full(len(chance), 0.5)
        return (flat, without, with_it) if wrong == "chance" else (chance, 0 * without, 0 * with_it)

    monkeypatch.setattr(adjusted, "_predict", spoiled)
    assert adjust(covariates, treated, sales, confidence=0.95, models=("linear",)).main.estimate == pytest.approx(
        truth, abs=0.8
    )


def test_the_effect_on_the_reached_by_hand() -> None:
    # beyond what was expected: reached 10 and 20; others 2 (odds 1) and 8 (odds 3), weighted 6.5
    sales, treated = np.array([12.0, 25.0, 4.0, 9.0]), np.array([True, True, False, False])
    chance, without = np.array([0.9, 0.2, 0.5, 0.75]), np.array([2.0, 5.0, 2.0, 1.0])
    estimate, influence = adjusted._on_the_reached(sales, treated, chance, without)
    assert estimate == pytest.approx(15 - 6.5)
    assert influence == pytest.approx([-5 / 0.5, 5 / 0.5, -1 * (2 - 6.5), -3 * (8 - 6.5)])
    assert influence.mean() == pytest.approx(0)


def test_without_confounding_the_plain_difference_comes_out() -> None:
    rng = np.random.default_rng(3)
    treated, sales = rng.permutation(np.arange(400) % 2 == 0), rng.normal(50, 10, 400)
    nothing = pd.DataFrame({"monetary": np.zeros(400), "active_months": np.ones(400)})
    found = adjust(nothing, treated, sales, confidence=0.95, models=("linear",))
    assert found.main.estimate == pytest.approx(sales[treated].mean() - sales[~treated].mean(), abs=0.2)
    assert found.overlap.effective_controls == pytest.approx(200, rel=0.01)


def test_returns_and_sales_that_never_vary_do_no_harm() -> None:
    covariates, treated, sales, *_ = confounded(4, 300)
    covariates["monetary"] -= 30
    found = adjust(covariates, treated, 0 * sales, confidence=0.95)
    assert all(one.estimate == pytest.approx(0, abs=1e-9) for one in found.estimates)
    assert found.robustness == 0.0


def test_a_side_of_one_is_refused() -> None:
    treated = np.array([True, False, False])
    with pytest.raises(DataError, match="1 against 2 customers"):
        adjust(pd.DataFrame({"monetary": [1.0, 2.0, 3.0]}), treated, np.ones(3), confidence=0.95)


# --- overlap


def test_effective_controls_and_certain_customers_follow_from_the_chances() -> None:
    # of 250 others 50 have a chance of .8, odds 4, the rest .2, odds 1/4; of the reached 25 are certain
    treated = np.arange(500) < 250
    chance = np.where(treated, 0.5, 0.2)
    chance[250:300], chance[:25] = 0.8, 0.96
    found = overlap(chance, treated)
    assert found.effective_controls == pytest.approx((50 * 4 + 200 / 4) ** 2 / (50 * 4**2 + 200 / 4**2))
    assert found.certain_share == 0.1
    assert found.auc == pytest.approx((25 + 225 * 200 / 250) / 250)


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_others_who_could_not_or_must_have_been_reached_leave_a_finite_figure(certain: float) -> None:
    treated = np.arange(10) < 5
    found = overlap(np.where(treated, 0.5, certain), treated)
    assert found.effective_controls == pytest.approx(0.0 if certain == 0 else 5.0)


def test_a_clean_cut_is_seen_as_no_overlap_because_no_penalty_softens_it() -> None:
    covariates, _, sales, *_ = confounded(5, 400)
    cut = (covariates["monetary"] > 20).to_numpy()
    found = adjust(covariates, cut, sales, confidence=0.95, models=("linear",)).overlap
    assert found.auc > 0.999
    assert found.certain_share > 0.9
    assert found.effective_controls < 10


# --- robustness


def with_partial(t: float, left: int) -> float:
    """The robustness value of a regression whose coefficient has this t and residual degrees of freedom."""
    n = left + 2
    turn = np.arange(n)
    reached, noise = np.cos(2 * np.pi * turn / n), np.sin(2 * np.pi * turn / n)  # orthogonal, mean zero
    return robustness_value(np.empty((n, 0)), reached, t / np.sqrt(left) * reached + noise)


def test_the_robustness_value_is_the_published_one() -> None:
    # Cinelli & Hazlett (2020, table 1): violence in Darfur, t 4.184, 783 degrees of freedom, value 13.9 %
    assert with_partial(4.184, 783) == pytest.approx(0.139, abs=0.0005)
    assert with_partial(0.0, 783) == pytest.approx(0.0, abs=1e-9)


def test_the_robustness_value_is_told_in_plain_words() -> None:
    found = adjust(*confounded(6, 500)[:3], confidence=0.95, models=("linear",))
    assert f"explains {found.robustness:.1%} of what is left to explain" in found.robustness_sentence
    assert 0 < found.robustness < 1

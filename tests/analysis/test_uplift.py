"""Uplift and policy values: by hand, honest where in-sample flatters, and refused where the data cannot carry them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import uplift
from segmentkit.analysis.uplift import Uplift
from segmentkit.display import decision_figures
from segmentkit.errors import DataError, ParameterError

TWO = {"control": 0.5, "mail": 0.5}
THREE = {"control": 0.5, "mail": 0.3, "text": 0.2}


def trial(
    effects: dict[str, list[float]], designed: dict[str, float], each: int = 400, seed: int = 0, noise: float = 1.0
) -> pd.DataFrame:
    """Outcomes with these net benefits by segment and treated arm, arms in exact shares inside each segment."""
    rng, parts = np.random.default_rng(seed), []
    for key, truth in effects.items():
        arms = np.repeat(list(designed), [round(each * share) for share in designed.values()])
        effect = pd.Series(arms).map(dict(zip(designed, [0.0, *truth], strict=True))).to_numpy()
        net = effect + noise * rng.lognormal(0, 1, each) * (rng.random(each) < 0.5)
        ids = [f"{key}{number:04d}" for number in rng.permutation(each)]
        parts.append(pd.DataFrame({"customer_id": ids, "segment_key": key, "arm": arms, "net": net}))
    return pd.concat(parts, ignore_index=True)


def read(outcomes: pd.DataFrame, designed: dict[str, float] = TWO, **options: Any) -> Uplift:
    settings = {"control": "control", "confidence": 0.95, "folds": 5, "seed": 3, "currency": "EUR"} | options
    return uplift.measure(outcomes, designed=designed, **settings)


def policies(found: Uplift) -> pd.DataFrame:
    return found.policies.set_index("policy")


def test_effects_and_uniform_values_are_differences_in_means_weighted_by_segment() -> None:
    outcomes = trial({"A": [1.0], "B": [-2.0]}, TWO, each=200)
    outcomes = pd.concat([outcomes, trial({"C": [0.5]}, TWO, each=400, seed=1)])
    means = outcomes.groupby(["segment_key", "arm"])["net"].agg(["mean", "var", "size"]).unstack()
    plain = means["mean"]["mail"] - means["mean"]["control"]
    errors = np.sqrt((means["var"] / means["size"]).sum(axis=1))
    found = read(outcomes)
    np.testing.assert_allclose(found.segments["in_sample"], plain)
    np.testing.assert_allclose(found.segments["error"], errors)
    np.testing.assert_allclose(found.segments["shrunk"], plain, err_msg="three segments are too few to shrink")
    # 20 customers an arm and fold: shares are exact in every fold, so the honest value is the plain one
    everyone = policies(found).loc["everyone: mail"]
    assert everyone["honest"] == pytest.approx(np.average(plain, weights=[200, 200, 400]))
    by_hand = np.sqrt((np.array([200, 200, 400]) ** 2 * errors**2).sum()) / 800
    assert (everyone["high"] - everyone["low"]) / 2 == pytest.approx(1.96 * by_hand, rel=0.02)


def test_where_segments_differ_widely_each_gets_its_arm_or_nobody() -> None:
    found = read(trial({"A": [5.0, 0.0], "B": [0.0, 5.0], "C": [-5.0, -5.0], "D": [5.0, 2.0]}, THREE), THREE)
    chosen = found.segments.pivot(index="segment_key", columns="arm", values="chosen")
    assert chosen.to_numpy().tolist() == [[1, 0], [0, 1], [0, 0], [1, 0]]
    rows = policies(found)
    assert rows.loc["by segment", "honest"] == pytest.approx(15 / 4, abs=0.3)
    assert rows.loc["by segment", "contacted"] == 0.75
    assert rows.loc["by segment", "against"] == "everyone: mail"
    assert found.beats
    assert found.sentence.startswith("Targeting by segment is worth ")
    assert "EUR a customer against sending everyone mail, likely +" in found.sentence
    honest = found.segments.set_index(["segment_key", "arm"])["honest"]
    assert honest["A", "mail"] == pytest.approx(5.0, abs=0.6)
    assert np.isnan(honest["C", "mail"])


def test_policies_that_agree_in_every_segment_gain_nothing() -> None:
    found = read(trial({key: [5.0] for key in "ABCD"}, TWO))
    row = policies(found).loc["by segment"]
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (0.0, 0.0, 0.0)
    assert not found.beats
    assert found.sentence.startswith(
        "The same for everyone is as good: nothing shows that targeting brings more (+0.00 EUR"
    )


def test_an_offer_that_only_costs_is_sent_to_nobody() -> None:
    found = read(trial({key: [-5.0] for key in "ABCD"}, TWO))
    assert policies(found).loc["by segment", "contacted"] == 0
    assert found.sentence.startswith("Contacting nobody is as good")


def test_luck_flatters_in_sample_but_not_the_honest_value() -> None:
    gaps = []
    for seed in range(16):
        rows = policies(read(trial({key: [0.0] for key in "ABCDEF"}, TWO, each=60, seed=seed)))
        gaps.append(rows.loc["by segment", ["honest", "in_sample"]].to_numpy(dtype=float))
    honest, flattered = np.mean(gaps, axis=0)
    error = np.std(gaps, axis=0)[0] / 4
    assert abs(honest) < 3 * error
    assert flattered > 3 * error


def test_nothing_a_fold_shows_changes_what_was_learned_outside_it() -> None:
    outcomes = trial({key: [0.5] for key in "ABCD"}, TWO).sort_values("customer_id", ignore_index=True)
    plain = read(outcomes)
    inside = plain.trial.folds[0] == 2
    changed = read(outcomes.assign(net=outcomes["net"] + inside * 1e3 * (outcomes["arm"] == "mail")))
    np.testing.assert_allclose(changed.trial.training[0, 2], plain.trial.training[0, 2], atol=1e-6)
    assert not np.allclose(changed.trial.training[0, 1], plain.trial.training[0, 1])


def test_the_order_of_rows_plays_no_part() -> None:
    outcomes = trial({key: [0.5] for key in "ABCD"}, TWO)
    features = pd.DataFrame({"customer_id": outcomes["customer_id"], "past": np.arange(len(outcomes)) % 7})
    one, other = (read(outcomes.sample(frac=1, random_state=s), features=features.sample(frac=1, random_state=s))
                  for s in (1, 2))  # fmt: skip
    for name in ("segments", "policies", "customers"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.qini is not None
    assert other.qini is not None
    pd.testing.assert_frame_equal(one.qini.curve, other.qini.curve)


def ranked(strength: float, seed: int = 4, customers: int = 1_600) -> Uplift:
    outcomes = trial({"A": [0.0]}, TWO, each=customers, seed=seed)
    past = np.random.default_rng(seed).normal(size=customers)
    outcomes["net"] += (outcomes["arm"] == "mail") * strength * past
    features = pd.DataFrame({"customer_id": outcomes["customer_id"], "past": past, "name": "text is left aside"})
    return read(outcomes, features=features)


def test_a_ranking_finds_customers_that_differ() -> None:
    found = ranked(3.0)
    rows = policies(found)
    assert rows.loc["by customer", "honest"] > rows.loc["by segment", "honest"]
    assert rows.loc["by customer", "gain_low"] > 0
    # E max(3 Z, 0) is 3 / sqrt(2 pi) = 1.2; two folds of trees come near
    assert rows.loc["by customer", "honest"] == pytest.approx(1.2, abs=0.3)
    assert found.qini is not None
    assert found.qini.p < 0.01
    assert 0.3 < found.qini.coefficient <= found.qini.in_sample
    curve = found.qini.curve
    assert curve["honest"].iloc[-1] == pytest.approx(curve["random"].iloc[-1])
    assert curve["honest"].max() > curve["random_high"].max()


def test_a_ranking_of_customers_that_do_not_differ_flatters_only_in_sample() -> None:
    found = ranked(0.0)
    assert found.qini is not None
    assert found.qini.p > 0.05
    assert found.qini.in_sample > abs(found.qini.coefficient)
    assert found.customers is not None
    assert len(found.customers) == 1_600


def test_missing_numbers_are_filled_and_missing_customers_refused() -> None:
    outcomes = trial({"A": [1.0]}, TWO)
    features = pd.DataFrame({"customer_id": outcomes["customer_id"], "past": [np.nan, *range(399)], "none": np.nan})
    assert read(outcomes, features=features).customers["honest"].notna().all()
    for bad in (features.iloc[1:], pd.concat([features, features.iloc[:1]]), features[["customer_id"]]):
        with pytest.raises(DataError, match="features lack customers or numbers, or hold a customer twice"):
            read(outcomes, features=bad)


def test_a_small_segment_is_left_out_and_said_so() -> None:
    outcomes = pd.concat([trial({"A": [1.0]}, TWO), trial({"B": [9.0]}, TWO, each=18)])
    found = read(outcomes)
    assert found.left_out == 18
    assert found.segments["segment_key"].tolist() == ["A"]
    assert found.sentence.endswith(" 18 customers of small segments are left out.")


def test_a_segment_in_which_nobody_buys_is_not_taken_as_certain() -> None:
    outcomes = trial({"A": [1.0], "B": [1.0], "C": [1.0], "D": [1.0]}, TWO)
    outcomes.loc[outcomes["segment_key"] == "D", "net"] = -1.0 * (outcomes["arm"] == "mail")
    found = read(outcomes).segments.set_index("segment_key")
    assert found.loc["D", "in_sample"] == pytest.approx(-1.0)
    assert found.loc["D", "error"] > 0.3 * found.loc["A", "error"]


def test_too_few_buyers_give_no_interval() -> None:
    outcomes = trial({key: [0.0] for key in "AB"}, TWO, noise=0.0)
    outcomes.loc[outcomes.index[outcomes["arm"] == "control"][:9], "net"] = 20.0
    outcomes.loc[outcomes.index[outcomes["arm"] == "mail"][:50], "net"] = 30.0
    found = read(outcomes)
    assert found.policies[["low", "high", "gain_low"]].isna().all().all()
    assert not found.beats
    assert found.sentence == "Targeting cannot be judged: too few buyers to tell."


def test_a_broken_lottery_is_not_read() -> None:
    outcomes = trial({key: [5.0] for key in "AB"}, TWO)
    found = read(outcomes.drop(outcomes.index[outcomes["arm"] == "mail"][::4]))
    assert not found.readable
    assert not found.beats
    assert "not as designed" in found.sentence


def broken(**changes: Any) -> pd.DataFrame:
    return trial({"A": [1.0]}, TWO).assign(**changes)


@pytest.mark.parametrize(
    ("outcomes", "options", "message"),
    [
        (broken().drop(columns="net"), {}, r"outcomes lack \['net'\]; each needs customer_id, segment_key, arm, net"),
        (broken(net=np.nan), {}, "outcomes lack values, or hold a customer twice"),
        (broken(customer_id="A1"), {}, "hold a customer twice"),
        (broken(), {"control": "nobody"}, "control == 'nobody', arms"),
        (broken(arm="other"), {}, r"arms \['other'\] have no designed share"),
        (broken(net=1.0), {}, "net is the same for all customers of an arm"),
        (broken().iloc[195:205], {}, "no segment has 10 customers in every arm"),
    ],
)
def test_what_cannot_be_read_is_refused(outcomes: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(outcomes, **options)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ParameterError, match="folds == 1; at least 2"):
        read(broken(), folds=1)


@pytest.mark.parametrize(("strength", "told"), [(3.0, "Ranking customers is worth"), (0.0, "Nothing shows that")])
def test_the_figures_state_the_finding(strength: float, told: str) -> None:
    found = ranked(strength)
    assert found.qini is not None
    assert decision_figures.qini_curve(found.qini, "EUR", 0.95).get_suptitle().startswith(told)
    figure = decision_figures.policy_values(found)
    assert figure.get_suptitle().replace("\n", " ") == found.sentence
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][::-1] == found.policies["policy"].tolist()

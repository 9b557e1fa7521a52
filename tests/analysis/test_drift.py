"""Drift: distances agree with scipy, a planted shift is found and chance is not, and the advice has its reason."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.stats import wasserstein_distance

from segmentkit.analysis import clustering, drift, encoding
from segmentkit.analysis.clustering import Scaling, Segmentation
from segmentkit.analysis.features import Window
from segmentkit.analysis.looks import Compared, Look
from segmentkit.analysis.methods import KMeans
from segmentkit.analysis.migration import Moves
from segmentkit.errors import DataError
from segmentkit.machinery.threads import cap_environment

cap_environment()

NAMES = ["recency_days", "frequency", "monetary"]
SPRING, SUMMER = Window(date(2025, 3, 1), date(2025, 6, 1)), Window(date(2025, 6, 1), date(2025, 9, 1))
# as they are: one unit is one standard deviation
PLAIN = Scaling(tuple(NAMES), (1.0,) * 3, (0.0,) * 3, (1.0,) * 3)


def look(values: np.ndarray, seen: Window = SPRING, first: int = 0) -> Look:
    ids = [f"C{number:05d}" for number in range(first, first + len(values))]
    features = pd.DataFrame(values, columns=NAMES).assign(customer_id=ids)
    return Look("a look", seen, features, pd.DataFrame({"customer_id": ids, "segment_key": "A"}))


def measured(
    before: np.ndarray,
    now: np.ndarray,
    scaling: Scaling = PLAIN,
    *,
    first: int = 0,
    floor: float = 0.1,
    level: float = 0.05,
    permutations: int = 99,
    seed: int = 1,
) -> pd.DataFrame:
    """Drift between two looks; ``first`` moves the customers of the second on, so that fewer are in both."""
    looks = look(before), look(now, SUMMER, first)
    return drift.measure(*looks, scaling, floor=floor, level=level, permutations=permutations, seed=seed)


def cloud(customers: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(customers, 3))


# --- distances


@pytest.mark.parametrize(("before", "now"), [(130, 90), (90, 130), (120, 120), (1, 40)])
def test_distances_are_those_of_scipy(before: int, now: int) -> None:
    old, new = cloud(before, 1), cloud(now, 2) * [1.0, 2.0, 1.0] + [0.0, 0.0, 0.7]
    old, new = old.round(1), new.round(1)  # ties
    table = measured(old, new, first=60)
    spread = np.where(old.std(axis=0) > 0, old.std(axis=0), 1.0)
    expected = [wasserstein_distance(old[:, column], new[:, column]) for column in range(3)] / spread
    assert table["distance"].tolist() == pytest.approx(expected.tolist())
    assert table["shift"].tolist() == pytest.approx(((new.mean(axis=0) - old.mean(axis=0)) / spread).tolist())


def test_distances_are_in_deviations_of_the_saved_scaling() -> None:
    raw = np.exp(cloud(200, 3)) * [10, 3, 500]
    features = look(raw).features
    scaled = clustering.scale(features, NAMES)
    table = measured(raw, raw * [1, 2, 1], scaled.scaling).set_index("feature")
    moved = scaled.scaling.apply(features.assign(frequency=features["frequency"] * 2))[:, 1]
    assert table.loc["frequency", "distance"] == pytest.approx((moved - scaled.values[:, 1]).mean())
    assert table.loc[["recency_days", "monetary"], "distance"].tolist() == [0.0, 0.0]


def test_a_feature_with_humps_is_measured_in_its_whole_spread_not_in_that_inside_a_hump() -> None:
    raw = cloud(600, 5)
    raw[:, 0] += 8 * (np.arange(600) % 3)
    features = look(raw).features
    scaled = clustering.scale(features, NAMES)
    assert scaled.values[:, 0].std() > 1.2
    table = measured(raw, raw + np.array([raw[:, 0].std() / 2, 0, 0]), scaled.scaling)
    assert table["shift"][0] == pytest.approx(0.5, abs=0.1)


def test_every_answer_of_an_encoded_column_drifts_on_its_own() -> None:
    rng = np.random.default_rng(4)
    ids = [f"C{number:05d}" for number in range(300)]
    answers = pd.DataFrame({"customer_id": ids, "age": rng.normal(40, 9, 300), "member": np.arange(300) % 2})
    answers["colour"] = np.repeat(["blue", "green", "red"], 100)
    kinds = {"age": "numeric", "member": "binary", "colour": "nominal"}
    scaling = encoding.encode(answers, kinds)[0].scaling
    before, now = (
        Look("", SPRING, table, pd.DataFrame())
        for table in (answers, answers.assign(colour=["green"] * 100 + ["green"] * 100 + ["red"] * 100))
    )
    table = drift.measure(before, now, scaling, floor=0.1, level=0.05, permutations=99, seed=1)
    assert table["feature"].tolist() == ["age", "member", "colour: blue", "colour: green", "colour: red"]
    # a third changed its answer, which a third gave: in standard deviations of a share of one third
    third = 1 / 3 / np.sqrt(2 / 9)
    assert table["shift"].tolist() == pytest.approx([0, 0, -third, third, 0])
    assert table.loc[table["drifted"], "feature"].tolist() == ["colour: blue", "colour: green"]


def test_answers_kept_as_codes_are_measured_all_the_same() -> None:
    ids = [f"C{number:05d}" for number in range(200)]
    answers = pd.DataFrame({"customer_id": ids, "member": np.arange(200) % 2, "likes": [np.nan, 1.0, 0.0, 1.0] * 50})
    codes = encoding.encode(answers, {"member": "binary", "likes": "binary"}, as_codes=True)[0].scaling
    both = [Look("", SPRING, answers, pd.DataFrame())] * 2
    table = drift.measure(*both, codes, floor=0.1, level=0.05, permutations=99, seed=1)
    assert table["distance"].tolist() == [0.0, 0.0]


SAMPLES = st.lists(st.integers(-5, 5), min_size=3, max_size=40)


@settings(deadline=None)
@given(SAMPLES, SAMPLES)
def test_psi_is_zero_for_the_same_customers_and_never_negative(before: list[int], now: list[int]) -> None:
    one, other = np.array(before, dtype=float), np.array(now, dtype=float)
    assert drift.psi(one, one[::-1]) == 0.0
    assert drift.psi(one, other) >= 0.0


def test_psi_grows_with_the_shift() -> None:
    values = cloud(2_000, 4)[:, 0]
    found = [drift.psi(values, values + shift) for shift in (0.0, 0.25, 0.5, 1.0)]
    assert found[0] == 0.0
    assert np.diff(found).min() > 0.02
    # two normal distributions half a deviation apart: the symmetric Kullback-Leibler divergence is .25
    assert found[2] == pytest.approx(0.25, abs=0.04)


# --- what counts as drift


def test_unchanged_customers_do_not_drift() -> None:
    values = cloud(200, 5)
    table = measured(values, values)
    assert not table["drifted"].any()
    assert table["p"].tolist() == [1.0] * 3
    assert table[["shift", "distance", "psi"]].to_numpy().tolist() == [[0.0] * 3] * 3
    told = drift.sentence(table, 0.1)
    assert told.startswith("No clustered feature drifted (recency_days by 0.00, frequency by 0.00, monetary by 0.00 ")
    assert told.endswith("customers seen twice: 200, once: 0.")


@pytest.mark.parametrize("replaced", [0, 30, 90])
def test_chance_is_called_drift_no_more_often_than_stated(replaced: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels collects garbage at every call, a tenth of a second
    alarms = 0
    for seed in range(20):
        habits = cloud(90 + replaced, seed)
        luck = np.random.default_rng(seed + 500).normal(0, 0.8, (2, 90, 3))
        before, now = habits[:90] + luck[0], habits[replaced:] + luck[1]
        alarms += measured(before, now, first=replaced, floor=0.0, level=0.3)["drifted"].any()
    assert 1 <= alarms <= 10, "6 of 20 are expected at the level of .3"


def test_a_shift_of_a_third_of_the_customers_is_found_in_that_feature_alone() -> None:
    before = cloud(600, 6)
    now = before + np.random.default_rng(7).normal(0, 0.2, before.shape)
    now[::3, 1] += 0.5
    table = measured(before, now).set_index("feature")
    assert table["drifted"].to_dict() == {"recency_days": False, "frequency": True, "monetary": False}
    assert table.loc["frequency", "shift"] == pytest.approx(1 / 6, abs=0.03)
    told = drift.sentence(table.reset_index(), 0.1)
    assert told.startswith("Drifted, in standard deviations: frequency (+0.1")
    assert told.endswith("; 1 of 3 features, customers seen twice: 600, once: 0.")


def test_a_drift_below_the_floor_does_not_count_however_sure() -> None:
    before = cloud(600, 6)
    found = [
        measured(before, before + np.array([0.0, 0.08, 0.0]), floor=floor)["drifted"].tolist() for floor in (0.1, 0.05)
    ]
    assert found == [[False] * 3, [False, True, False]]


def test_pairs_show_what_strangers_would_hide() -> None:
    before = cloud(150, 8) * 2
    now = before + np.random.default_rng(9).normal([0.0, 0.0, 0.25], 0.2, before.shape)
    same, strangers = measured(before, now), measured(before, now, first=150)
    assert same[["pairs", "once"]].iloc[0].tolist() == [150, 0]
    assert strangers[["pairs", "once"]].iloc[0].tolist() == [0, 300]
    assert same["distance"].tolist() == strangers["distance"].tolist()
    assert same["drifted"].tolist() == [False, False, True]
    assert strangers["drifted"].tolist() == [False, False, False]


def test_a_cloud_that_only_widens_drifts_too() -> None:
    before = cloud(500, 10)
    table = measured(before, before * [1.0, 1.6, 1.0])
    assert table["drifted"].tolist() == [False, True, False]
    assert abs(table["shift"].iloc[1]) < 0.1


def test_the_largest_shift_is_found_at_any_confidence_the_notebook_allows() -> None:
    before = cloud(300, 11)
    assert measured(before, before + 5.0, level=0.01, permutations=199)["drifted"].all()


def test_the_same_seed_gives_the_same_table_whatever_the_order_of_rows() -> None:
    before, now = look(cloud(150, 12)), look(cloud(140, 13) + 0.1, SUMMER, first=50)

    def table(seed: int, mixed: bool = False) -> pd.DataFrame:
        looks = [
            Look(
                one.label,
                one.seen,
                one.features.sample(frac=1.0, random_state=3) if mixed else one.features,
                one.segments,
            )
            for one in (before, now)
        ]
        return drift.measure(*looks, PLAIN, floor=0.1, level=0.05, permutations=99, seed=seed)

    assert_frame_equal(table(1), table(1, mixed=True), check_exact=True)
    assert table(1)["p"].tolist() != table(2)["p"].tolist()


def test_a_sample_keeps_the_same_customers_in_both_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MAX_ROWS", 60)
    before = cloud(300, 14)
    whole = measured(before, before + np.array([0.0, 0.4, 0.0]))
    assert whole[["pairs", "once"]].iloc[0].tolist() == [60, 0]
    assert whole["distance"].tolist() == pytest.approx([0.0, 0.4 / before[:, 1].std(), 0.0])
    # fifty of three hundred were replaced: about five of six of a sample of 60 are still the same
    replaced = measured(before, before, first=50)
    assert replaced["pairs"].iloc[0] > 40
    assert replaced["pairs"].iloc[0] * 2 + replaced["once"].iloc[0] == 120


def test_a_look_without_customers_is_refused() -> None:
    with pytest.raises(DataError, match="no customers in one of the looks; drift needs both"):
        measured(cloud(5, 1), cloud(0, 1))


# --- the advice


def drifts(*drifted: str) -> pd.DataFrame:
    return pd.DataFrame({"feature": NAMES, "distance": [0.2, 0.3, 0.4], "drifted": [name in drifted for name in NAMES]})


SHRUNK = "below 50 customers, the size floor, have shrunk:"
CALM, MOVED = Moves(1_000, 100, 0.1, 1_000, -0.03, 0.03), Moves(1_000, 300, 0.1, 1_000, 0.17, 0.23)


@pytest.mark.parametrize(
    ("table", "moves", "small", "word", "reason"),
    [
        pytest.param(drifts(), CALM, [], "keep", "10% of the known customers would move, and chance", id="nothing"),
        pytest.param(drifts(), MOVED, [], "re-assign", "30% of the known customers moved, where chance", id="moved"),
        pytest.param(drifts(), CALM, ["B", "D"], "re-fit", f"{SHRUNK} B, D.", id="shrunk"),
        pytest.param(drifts(), MOVED, ["B"], "re-fit", f"{SHRUNK} B.", id="shrunk before moved"),
        pytest.param(
            drifts("frequency", "monetary"),
            CALM,
            [],
            "re-fit",
            "frequency (0.30 standard deviations), monetary (0.40 standard deviations) drifted, which chance does not",
            id="drifted",
        ),
        pytest.param(
            drifts("monetary"),
            MOVED,
            ["B"],
            "re-fit",
            "monetary (0.40 standard deviations) drifted",
            id="drifted first",
        ),
    ],
)
def test_the_advice_has_its_reason(table: pd.DataFrame, moves: Moves, small: list[str], word: str, reason: str) -> None:
    advice = drift.advise(table, moves, small, 50)
    assert (advice.word, advice.reason[: len(reason)]) == (word, reason)
    assert advice.sentence.lower().startswith(word)
    assert advice.sentence.endswith(f", because {advice.reason}")


def test_stated_rules_are_never_to_be_fitted_anew() -> None:
    advice = drift.advise(drifts("monetary"), CALM, [], 50, stated=True)
    assert advice.word == "re-assign"
    assert advice.reason.endswith("The segments are rules as stated, with nothing to fit: look them over.")
    assert drift.advise(drifts(), CALM, [], 50, stated=True).word == "keep"


def test_only_segments_that_fell_below_the_floor_have_shrunk_even_to_nobody() -> None:
    def keys(text: str) -> Look:
        return replace(look(cloud(5, 1)), segments=pd.DataFrame({"segment_key": list(text)}))

    then, now = keys("A" * 60 + "B" * 50 + "C" * 70 + "D" * 20), keys("A" * 50 + "B" * 49 + "D" * 19)
    model = Segmentation(PLAIN, ("A", "B", "C", "D"), KMeans(np.zeros((4, 3))))
    assert drift.shrunken(Compared("month", then, now, model, ""), 50) == ["B", "C"]  # D was small from the start
    assert drift.shrunken(Compared("month", then, then, model, ""), 50) == []

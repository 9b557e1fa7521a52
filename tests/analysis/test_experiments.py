"""Randomised tests: the sample ratio, intervals against hand computation, and coverage where the truth is known."""

import itertools
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from segmentkit.analysis import campaigns, experiments, given, randomised, roi
from segmentkit.analysis import outcomes as lottery
from segmentkit.analysis.simulate import COST_PER_CONTACT, generate_shop
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

NUMBER = itertools.count()


# --- sample ratio


def arms(**counts: int) -> pd.Series:
    return pd.Series([arm for arm, n in counts.items() for _ in range(n)], dtype="str")


@pytest.mark.parametrize(
    ("counts", "designed", "fits"),
    [
        ({"a": 500, "b": 500}, {"a": 0.5, "b": 0.5}, True),
        ({"a": 520, "b": 480}, {"a": 0.5, "b": 0.5}, True),
        ({"a": 500, "b": 400}, {"a": 0.5, "b": 0.5}, False),
        ({"a": 900, "b": 100}, {"a": 0.9, "b": 0.1}, True),
        ({"a": 500, "b": 500}, {"a": 0.9, "b": 0.1}, False),
        ({"a": 330, "b": 340, "c": 330}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, True),
        ({"a": 1_000, "b": 0}, {"a": 0.5, "b": 0.5}, False),
        ({"a": 51_000, "b": 49_000}, {"a": 0.5, "b": 0.5}, False),
    ],
)
def test_the_ratio_is_judged_against_the_design(counts: dict[str, int], designed: dict[str, float], fits: bool) -> None:
    found = experiments.sample_ratio(arms(**counts), designed)
    total = sum(counts.values())
    square = sum((counts[arm] - total * share) ** 2 / (total * share) for arm, share in designed.items())
    assert found.p == pytest.approx(stats.chi2.sf(square, len(designed) - 1))
    assert found.fits is fits
    assert found.counts == counts
    assert ("do not read the result" in found.sentence) is not fits
    assert "would mostly go unseen" in found.sentence or "hardly any loss would be seen" in found.sentence


def test_the_blind_spot_of_the_ratio_is_what_it_says() -> None:
    sentence = experiments.sample_ratio(arms(a=4_000, b=1_000), {"a": 0.8, "b": 0.2}).sentence
    lost = float(sentence.partition("less than about ")[2].partition("%")[0]) / 100
    rng, left = np.random.default_rng(3), 1 - lost
    drawn = rng.multinomial(
        round(5_000 * (1 - 0.2 * lost)), [0.8 / (0.8 + 0.2 * left), 0.2 * left / (0.8 + 0.2 * left)], 4_000
    )
    p = stats.chisquare(drawn.T, np.outer([0.8, 0.2], drawn.sum(axis=1))).pvalue
    assert (p < experiments.SAMPLE_RATIO_LEVEL).mean() == pytest.approx(0.8, abs=0.06)
    assert "hardly any loss" in experiments.sample_ratio(arms(a=5, b=2), {"a": 0.5, "b": 0.5}).sentence


@pytest.mark.parametrize(
    ("counts", "designed"),
    [
        ({"a": 5, "x": 5}, {"a": 0.5, "b": 0.5}),
        ({"a": 5, "b": 5}, {"a": 0.5, "b": 0.4}),
        ({"a": 5, "b": 5}, {"a": 1.0}),
    ],
)
def test_arms_without_a_designed_share_are_refused(counts: dict[str, int], designed: dict[str, float]) -> None:
    with pytest.raises(DataError, match=r"arms \[.*\] have no designed share, or the shares .* do not add up to 1"):
        experiments.sample_ratio(arms(**counts), designed)


def test_nobody_arriving_is_not_called_a_loss_on_one_side() -> None:
    # needs: sample_ratio to refuse an empty series; today p is nan
    with pytest.raises(DataError, match="no customers"):
        experiments.sample_ratio(arms(), {"a": 0.5, "b": 0.5})


# --- differences


def welch_by_hand(mine: np.ndarray, theirs: np.ndarray, confidence: float) -> tuple[float, float, float]:
    parts = [np.var(x, ddof=1) / len(x) for x in (mine, theirs)]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (mine, theirs), strict=True))
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(sum(parts))
    centre = np.mean(mine) - np.mean(theirs)
    return centre, centre - half, centre + half


def newcombe_by_hand(x: int, n: int, y: int, m: int, confidence: float) -> tuple[float, float]:
    z = stats.norm.ppf((1 + confidence) / 2)

    def wilson(count: int, of: int) -> tuple[float, float, float]:
        half = z * np.sqrt(count * (of - count) / of + z**2 / 4)
        return count / of, (count + z**2 / 2 - half) / (of + z**2), (count + z**2 / 2 + half) / (of + z**2)

    (p, low, high), (q, q_low, q_high) = wilson(x, n), wilson(y, m)
    return p - q - np.hypot(p - low, q_high - q), p - q + np.hypot(high - p, q - q_low)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_welch_agrees_with_the_formula_and_with_statsmodels(confidence: float) -> None:
    rng = np.random.default_rng(3)
    mine, theirs = rng.lognormal(3, 1, 40), rng.normal(10, 2, 25)
    found = experiments.welch(mine, theirs, confidence)
    assert (found.estimate, found.low, found.high) == pytest.approx(welch_by_hand(mine, theirs, confidence))
    other = CompareMeans(DescrStatsW(mine), DescrStatsW(theirs)).tconfint_diff(1 - confidence, usevar="unequal")
    assert (found.low, found.high) == pytest.approx(other)


@pytest.mark.parametrize(("mine", "theirs"), [([1.0], [1.0, 2.0]), ([1.0, 2.0], []), ([], [])])
def test_a_difference_needs_two_customers_on_each_side(mine: list[float], theirs: list[float]) -> None:
    message = f"{len(mine)} against {len(theirs)} customers; a difference needs two on each side"
    with pytest.raises(DataError, match=message):
        experiments.welch(np.array(mine), np.array(theirs), 0.95)


def outcomes(seed: int = 1, each: int = 60, extra: float = 0.0, segments: str = "AB") -> pd.DataFrame:
    """Half of every segment mailed; about half buy; the mailed gain ``extra`` sales in the mean."""
    rng = np.random.default_rng(seed)
    size = each * len(segments)
    buys = rng.random(size) < 0.5
    arm = np.tile(["mailed", "held back"], size // 2)
    sales = np.where(buys, rng.lognormal(3, 0.6, size), 0.0) + np.where(
        arm == "mailed", rng.exponential(1, size) * extra, 0
    )
    return pd.DataFrame(
        {
            "customer_id": [f"C{i:04d}" for i in range(size)],
            "segment_key": np.repeat(list(segments), each),
            "arm": arm,
            "sales": sales,
            "orders": buys.astype(float),
        }
    )


def read(
    table: pd.DataFrame, cost: float | None = 1.0, margin: float | None = 0.3, confidence: float = 0.95
) -> pd.DataFrame:
    found = experiments.read_test(
        table, treated="mailed", control="held back", cost_per_contact=cost, margin_rate=margin, confidence=confidence
    )
    return roi.with_words(found, confidence).set_index("segment_key")


def test_every_figure_of_a_row_is_as_computed_by_hand() -> None:
    table = outcomes()
    found = read(table, cost=1.5, margin=0.3, confidence=0.9)
    assert found.index.tolist() == ["A", "B", "all"]
    for key, row in found.iterrows():
        part = table if key == "all" else table[table["segment_key"] == key]
        mine, theirs = part[part["arm"] == "mailed"], part[part["arm"] == "held back"]
        buyers = [int((side["orders"] > 0).sum()) for side in (mine, theirs)]
        assert row[["treated", "control", "buyers_treated", "buyers_control"]].tolist() == [
            len(mine),
            len(theirs),
            *buyers,
        ]
        assert row["conversion_difference"] == pytest.approx(buyers[0] / len(mine) - buyers[1] / len(theirs))
        newcombe = newcombe_by_hand(buyers[0], len(mine), buyers[1], len(theirs), 0.9)
        assert row[["conversion_low", "conversion_high"]].tolist() == pytest.approx(list(newcombe))
        sales = welch_by_hand(mine["sales"].to_numpy(), theirs["sales"].to_numpy(), 0.9)
        assert row[["sales_difference", "sales_low", "sales_high"]].tolist() == pytest.approx(list(sales))
        net = [figure * 0.3 - 1.5 for figure in sales]
        assert row[["net_benefit", "net_benefit_low", "net_benefit_high"]].tolist() == pytest.approx(net)
        assert row[["roi", "roi_low", "roi_high"]].tolist() == pytest.approx([figure / 1.5 for figure in net])


@pytest.mark.parametrize(("mine", "theirs"), [(12, 10), (30, 10), (10, 30), (30, 30)])
def test_conversion_bounds_stay_between_minus_one_and_one(mine: int, theirs: int) -> None:
    table = outcomes()
    table["orders"] = 0.0
    table.loc[table.index[table["arm"] == "mailed"][:mine], "orders"] = 1.0
    table.loc[table.index[table["arm"] == "held back"][:theirs], "orders"] = 1.0
    row = read(table[table["segment_key"] == "A"]).loc["all"]
    assert -1 <= row["conversion_low"] <= row["conversion_difference"] <= row["conversion_high"] <= 1


def test_a_measured_margin_takes_the_place_of_the_assumed_rate() -> None:
    table = outcomes().assign(margin=lambda t: t["sales"] * 0.5)
    half, assumed = read(table, margin=0.3), read(outcomes(), margin=0.5)
    assert half["net_benefit"].tolist() == pytest.approx(assumed["net_benefit"].tolist())
    assert read(table, margin=None)["net_benefit"].tolist() == pytest.approx(half["net_benefit"].tolist())


@pytest.mark.parametrize(("cost", "margin"), [(None, 0.3), (1.0, None), (None, None)])
def test_without_cost_or_margin_there_is_no_money_figure(cost: float | None, margin: float | None) -> None:
    found = read(outcomes(), cost=cost, margin=margin)
    assert set(found["word"]) <= {"sells more", "sells less", "test more", "cannot tell"}
    assert not {"net_benefit", "roi"} & set(found.columns)
    assert found["sales_low"].notna().all()


def test_a_contact_that_costs_nothing_has_no_return_on_its_cost() -> None:
    found = read(outcomes(), cost=0.0)
    assert found["roi"].isna().all()
    assert found["net_benefit"].notna().all()


@pytest.mark.parametrize(
    ("extra", "cost", "word"), [(40.0, 1.0, "scale"), (0.0, 30.0, "stop"), (0.0, 0.0, "test more")]
)
def test_the_word_follows_the_interval(extra: float, cost: float, word: str) -> None:
    row = read(outcomes(extra=extra), cost=cost).loc["all"]
    assert row["word"] == word
    assert bool(row["net_benefit_low"] > 0) is (word == "scale")
    assert bool(row["net_benefit_high"] < 0) is (word == "stop")


@pytest.mark.parametrize(("buyers", "told"), [(9, True), (10, False)])
@pytest.mark.parametrize("money", [True, False])
def test_fewer_than_ten_buyers_in_an_arm_give_no_interval(buyers: int, told: bool, money: bool) -> None:
    table = outcomes(segments="A")
    held = table.index[table["arm"] == "held back"]
    table.loc[held, "orders"] = [1.0] * buyers + [0.0] * (len(held) - buyers)
    row = read(table, cost=1.0 if money else None).loc["A"]
    assert (row["why"] == "too few buyers") is told
    assert not money or (row["word"] == "cannot tell") is told
    bounds = [name for name in row.index if name.endswith(("_low", "_high"))]
    assert row[bounds].isna().all() == told
    assert not np.isnan(row["sales_difference"])


def test_an_empty_arm_is_refused() -> None:
    table = outcomes()
    lost = table[(table["segment_key"] == "A") | (table["arm"] == "mailed")]
    with pytest.raises(DataError, match="segment B: 30 customers in 'mailed', 0 in 'held back'; both are needed"):
        read(lost)


# --- where the truth is known


def test_segments_with_other_shares_do_not_make_an_effect_overall() -> None:
    # needs: no pooled figure in the row "all" where arms have other shares in other segments; here the mailed are nine
    # in ten of the big spenders and half of the small, so their mean is higher without any effect
    rng = np.random.default_rng(6)
    big = np.arange(2_000) < 1_000
    table = pd.DataFrame(
        {
            "customer_id": np.arange(2_000),
            "segment_key": np.where(big, "A", "B"),
            "arm": np.where(rng.random(2_000) < np.where(big, 0.9, 0.5), "mailed", "held back"),
            "sales": rng.exponential(1, 2_000) * np.where(big, 100, 10),
            "orders": 1.0,
        }
    )
    found = read(table, cost=0.0, margin=1.0)
    assert found.loc[["A", "B"], "word"].tolist() == ["test more"] * 2
    assert found.loc["all", "word"] not in {"scale", "stop"}


@pytest.mark.heavy
def test_the_interval_covers_a_planted_net_benefit_in_about_95_of_100_tests() -> None:
    covered = []
    for seed in range(150):
        row = read(outcomes(seed, each=160, extra=6.0, segments="A"), cost=1.0, margin=0.5).loc["all"]
        covered.append(row["net_benefit_low"] <= 6.0 * 0.5 - 1.0 <= row["net_benefit_high"])
    assert 0.90 < np.mean(covered) < 0.99


def differences(seed: int, gains: tuple[float, ...]) -> pd.DataFrame:
    """What ``read_test`` says of sales, for segments in which the mailed gain the stated means."""
    rows = []
    for i, gain in enumerate(gains):
        part = outcomes(seed * 10 + i, each=160, extra=gain, segments="A")
        sides = [part.loc[part["arm"] == arm, "sales"].to_numpy() for arm in ("mailed", "held back")]
        found = experiments.welch(*sides, 0.95)
        rows.append((chr(65 + i), found.estimate, found.error))
    rows.append(("all", 0.0, 0.5))
    return pd.DataFrame(rows, columns=["segment_key", "sales_difference", "sales_error"])


def test_segments_with_one_effect_are_seldom_called_different() -> None:
    p = np.array(
        [experiments.heterogeneity(differences(seed, (3.0,) * 3), "sales_difference")[0] for seed in range(400)]
    )
    assert 0.01 < (p < 0.05).mean() < 0.10
    assert 0.4 < np.median(p) < 0.6
    assert 0.15 < (p < 0.25).mean() < 0.35


def test_segments_with_different_effects_are_told_apart() -> None:
    p, compared = experiments.heterogeneity(differences(1, (0.0, 0.0, 25.0)), "sales_difference")
    assert p < 0.001
    assert compared == 3


def test_cochrans_q_by_hand() -> None:
    table = pd.DataFrame(
        {"segment_key": ["A", "B", "all"], "net_benefit": [4.0, 0.0, 9.0], "net_benefit_error": [1.0, 2.0, 0.1]}
    )
    # standard errors 1 and 2: (4 - 0)^2 / (1 + 4)
    p, compared = experiments.heterogeneity(table, "net_benefit")
    assert p == pytest.approx(stats.chi2.sf(16 / 5, 1))
    assert compared == 2


@pytest.mark.parametrize("missing", [["B"], ["A", "B"]])
def test_fewer_than_two_segments_with_an_interval_cannot_differ(missing: list[str]) -> None:
    table = differences(1, (0.0, 25.0))
    table.loc[table["segment_key"].isin(missing), "sales_error"] = np.nan
    assert experiments.heterogeneity(table, "sales_difference") == (1.0, 2 - len(missing))


# --- planning


@pytest.mark.parametrize(
    ("treated", "control", "confidence", "power"),
    [(500, 500, 0.95, 0.8), (900, 100, 0.95, 0.8), (300, 700, 0.9, 0.9), (5_000, 5_000, 0.99, 0.8)],
)
def test_the_smallest_detectable_difference_follows_the_formula(
    treated: int, control: int, confidence: float, power: float
) -> None:
    values = pd.Series(np.random.default_rng(2).lognormal(3, 1, 400))
    expected = (
        (stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power))
        * values.std()
        * np.sqrt(1 / treated + 1 / control)
    )
    found = experiments.smallest_detectable(values, treated, control, confidence, power)
    assert found == pytest.approx(expected, rel=0.02)


def test_a_test_needs_two_customers_on_each_side() -> None:
    with pytest.raises(ParameterError, match="1 against 90 customers; a test needs at least two on each side"):
        experiments.smallest_detectable(pd.Series([1.0, 2.0]), 1, 90, 0.95)


@pytest.mark.parametrize(("cost", "margin", "sales"), [(1.0, 0.25, 4.0), (0.6, 1.0, 0.6), (0.0, 0.3, 0.0)])
def test_break_even_sales_pay_for_the_contact(cost: float, margin: float, sales: float) -> None:
    assert experiments.break_even_sales(cost, margin) == pytest.approx(sales)


@pytest.mark.parametrize("margin", [0.0, -0.2, 1.01, 25.0])
def test_a_margin_that_is_no_share_is_refused(margin: float) -> None:
    with pytest.raises(
        ParameterError, match=rf"margin_rate == {margin}; it must be above 0 and at most 1, e\.g\. 0\.25"
    ):
        experiments.break_even_sales(1.0, margin)


def test_a_figure_is_stated_or_not_known() -> None:
    assert given.one([]) is None
    assert given.one([0.25]) == 0.25
    assert given.one([0.0]) == 0.0
    with pytest.raises(
        ParameterError, match=r"\[0.2, 0.3\]; give one figure, as a list of one, or leave the list empty"
    ):
        given.one([0.2, 0.3])


def test_numbers_by_name_are_given_once_each() -> None:
    assert given.each("capacities", ["email 500", " direct mail 20 "], "email 500") == {"email": 500, "direct mail": 20}
    for texts, told in ((["email"], "write a name and a whole number"), (["email 5", "email 6"], "'email' twice")):
        with pytest.raises(ParameterError, match=told):
            given.each("capacities", texts, "email 500")


def test_the_break_even_sentence_is_arithmetic() -> None:
    told = experiments.break_even_sentence("USD")
    assert "5.00 USD of extra sales at a margin of 20%, 2.50 USD at 40%" in told


# --- from tables to a test

SHOP = generate_shop(600, 4)
AUTUMN = campaigns.Campaign("autumn", date(2025, 10, 1), date(2025, 11, 11), "randomised")


@pytest.fixture(scope="module")
def shop_test() -> randomised.Test:
    return read_shop(SHOP.tables["contacts"])[0]


def collect_shop(contacts: pd.DataFrame, cost: float | None = None, **plan: object) -> lottery.Outcomes:
    frozen = SHOP.truth.rename(columns={"kind": "segment_key"}).assign(campaign_id="autumn")
    return lottery.collect(
        connect().create_table(f"experiments_{next(NUMBER)}", SHOP.tables["transactions"]),
        SHOP.tables["assignments"],
        contacts,
        SHOP.tables["responses"],
        SHOP.tables["campaigns"].assign(**plan),
        AUTUMN,
        frozen.iloc[20:],
        cost,
    )


def read_shop(contacts: pd.DataFrame) -> list[randomised.Test]:
    return randomised.read(collect_shop(contacts), margin=None, confidence=0.95)


def test_a_campaign_by_lot_is_read_with_its_own_cost_and_margin(shop_test: randomised.Test) -> None:
    assert (shop_test.campaign_id, shop_test.arm, shop_test.value) == ("autumn", "mailed", "net_benefit")
    assert shop_test.ratio.fits
    overall = shop_test.overall
    assert overall["treated"] + overall["control"] == 600
    assert overall["net_benefit_low"] < SHOP.net_benefit < overall["net_benefit_high"]
    assert shop_test.money_from == f"Margin: measured; cost of a contact: {COST_PER_CONTACT:g}, stated by the source."
    assert shop_test.label == ""
    assert shop_test.title.startswith("Campaign autumn, mailed: extra profit per customer likely between ")
    assert "none" in set(shop_test.table["segment_key"]), "customers without a frozen segment stay in the count"
    assert shop_test.to_dict()["rows"][-1]["segment_key"] == "all"


def test_without_contacts_the_arm_called_held_back_is_the_control(shop_test: randomised.Test) -> None:
    again = read_shop(SHOP.tables["contacts"].iloc[:0])[0]
    pd.testing.assert_frame_equal(again.table, shop_test.table)


@pytest.mark.parametrize(
    ("named", "reached", "control"),
    [
        (["x", "y"], ["x"], "y"),
        (["x", "Control"], [], "Control"),
        (["x", "y", "holdout"], [], "holdout"),
        (["x", "y", "z"], ["x", "z"], "y"),
        (["x", "y"], [], None),
        (["x", "y"], ["x", "y"], None),
        (["x", "y", "z"], ["x"], None),
        (["x", "y", "Control"], ["x"], "Control"),
        (["x", "control", "holdout"], ["x"], None),
    ],
)
def test_the_control_is_the_arm_nobody_reached(named: list[str], reached: list[str], control: str | None) -> None:
    mine = pd.DataFrame({"customer_id": named, "arm": named})
    if control is not None:
        assert lottery.control_arm(mine, pd.Series(reached, dtype="str"), "autumn") == control
        return
    with pytest.raises(DataError, match=r"campaign autumn: arms .* exactly one must be the control; check contacts"):
        lottery.control_arm(mine, pd.Series(reached, dtype="str"), "autumn")


def test_no_test_is_said_so() -> None:
    assert randomised.sentences([]) == ["No campaign was decided by lot, so no effect can be measured on these data."]
    assert randomised.to_table([]).columns.tolist() == ["campaign_id"]


# --- adjusted for the past, ratios, and money whose cost varies


def with_past(seed: int = 1, effect: float = 3.0, each: int = 400) -> pd.DataFrame:
    """Everybody buys, much as before; the mailed gain a fixed sum."""
    rng = np.random.default_rng(seed)
    before = rng.gamma(4, 10, each * 2)
    arm = np.tile(["mailed", "held back"], each)
    sales = before * 0.9 + rng.normal(0, 5, each * 2) + np.where(arm == "mailed", effect, 0.0) + 20
    table = pd.DataFrame({"customer_id": np.arange(each * 2).astype(str), "segment_key": "A", "arm": arm})
    return table.assign(sales=sales, orders=rng.integers(1, 5, each * 2), sales_before=before)


def test_holding_the_past_constant_is_a_regression_on_it() -> None:
    table = with_past()
    row = read(table, cost=None).loc["A"]
    centred = table["sales_before"] - table["sales_before"].mean()
    slope = np.cov(table["sales"], centred)[0, 1] / centred.var()
    residual = table["sales"] - slope * centred
    sides = [residual[table["arm"] == arm].to_numpy() for arm in ("mailed", "held back")]
    assert row[["sales_difference", "sales_low", "sales_high"]].tolist() == pytest.approx(
        list(welch_by_hand(*sides, 0.95)), rel=1e-6
    )
    plain = read(table.drop(columns="sales_before"), cost=None).loc["A"]
    widths = [one["sales_high"] - one["sales_low"] for one in (row, plain)]
    assert row["variance_cut"] == pytest.approx(1 - (widths[0] / widths[1]) ** 2, abs=0.01)
    assert row["variance_cut"] > 0.8
    assert row["sales_low"] < 3.0 < row["sales_high"]


def test_the_arithmetic_agrees_with_tea_tasting() -> None:
    import tea_tasting

    table = with_past(seed=4)
    metrics = {
        "sales": tea_tasting.Mean("sales"),
        "held": tea_tasting.Mean("sales", "sales_before"),
        "ratio": tea_tasting.RatioOfMeans("sales", "orders"),
    }
    theirs = tea_tasting.Experiment(metrics, variant="arm").analyze(table, control="held back")
    sides = [table[table["arm"] == arm] for arm in ("mailed", "held back")]
    ours = {"sales": {}, "held": {"past": "sales_before"}, "ratio": {"per": "orders"}}
    for name, how in ours.items():
        mine, other = experiments.compare(*sides, "sales", 0.95, **how), theirs[name]
        figures = (other.effect_size, other.effect_size_ci_lower, other.effect_size_ci_upper, other.pvalue)
        assert (mine.estimate, mine.low, mine.high, mine.p) == pytest.approx(figures, rel=1e-9, abs=1e-12), name


def test_a_past_that_tells_nothing_changes_nothing() -> None:
    table = with_past().assign(sales_before=7.0)
    expected = read(table.drop(columns="sales_before"))
    assert read(table).loc["A", "net_benefit"] == pytest.approx(expected.loc["A", "net_benefit"])
    assert "variance_cut" not in read(table).columns


def test_sales_per_order_is_a_ratio_of_means_with_the_customer_as_unit() -> None:
    table = with_past().drop(columns="sales_before")
    row = read(table).loc["A"]
    parts = []
    for arm in ("mailed", "held back"):
        side = table[table["arm"] == arm]
        ratio = side["sales"].sum() / side["orders"].sum()
        # delta method: the variance of the linearised ratio
        linear = (side["sales"] - ratio * side["orders"]) / side["orders"].mean()
        parts.append((ratio, linear.var(ddof=1) / len(side)))
    assert row["sales_per_order_difference"] == pytest.approx(parts[0][0] - parts[1][0])
    assert row["sales_per_order_error"] == pytest.approx(np.sqrt(parts[0][1] + parts[1][1]), rel=1e-6)


def test_visits_are_compared_where_they_are_known() -> None:
    table = outcomes(segments="A").assign(visited=lambda t: (t.index % 3 == 0).astype(float))
    row = read(table).loc["A"]
    mine = table[table["arm"] == "mailed"]["visited"]
    assert row["visits_treated"] == pytest.approx(mine.mean())
    assert row["visits_low"] < row["visits_difference"] < row["visits_high"]
    assert "visits_low" not in read(outcomes()).columns


def fieller_by_scan(mine: pd.DataFrame, theirs: pd.DataFrame, quantile: float) -> tuple[float, float]:
    """Every ratio that the test of (profit - ratio * cost) does not reject."""
    kept = [
        ratio
        for ratio in np.linspace(-20, 40, 6_001)
        if abs((mine["profit"] - ratio * mine["spent"]).mean() - theirs["profit"].mean())
        <= quantile
        * np.sqrt((mine["profit"] - ratio * mine["spent"]).var() / len(mine) + theirs["profit"].var() / len(theirs))
    ]
    return min(kept) - 1, max(kept) - 1


def test_a_cost_that_varies_gives_fiellers_interval() -> None:
    table = outcomes(extra=30.0, segments="A", each=200)
    table["cost"] = 0.5 + 8.0 * (table["orders"] > 0)
    row = read(table, margin=0.4).loc["A"]
    priced = roi.price(table, "held back", None, 0.4)
    mine, theirs = (priced[priced["arm"] == arm] for arm in ("mailed", "held back"))
    assert theirs["spent"].eq(0).all(), "nobody held back costs anything"
    parts = mine["profit"].var() / len(mine), theirs["profit"].var() / len(theirs)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(mine) - 1) + parts[1] ** 2 / (len(theirs) - 1))
    scanned = fieller_by_scan(mine, theirs, stats.t.ppf(0.975, freedom))
    assert (row["roi_low"], row["roi_high"]) == pytest.approx(scanned, abs=0.011)
    assert row["roi"] == pytest.approx((mine["profit"].mean() - theirs["profit"].mean()) / mine["spent"].mean() - 1)
    assert row["net_benefit"] == pytest.approx(mine["net"].mean() - theirs["net"].mean())


def test_a_return_without_bounds_is_said_so() -> None:
    table = outcomes(segments="A", each=100)
    # one coupon in a hundred, so the mean cost itself may be nothing
    table["cost"] = 0.0
    table.loc[table.index[table["arm"] == "mailed"][0], "cost"] = 50.0
    row = read(table).loc["A"]
    assert bool(row["roi_unbounded"])
    assert np.isnan(row["roi_low"])
    assert np.isnan(row["roi_high"])
    assert not np.isnan(row["net_benefit_low"])


def test_one_family_over_arms_and_segments() -> None:
    table = pd.DataFrame(
        {
            "segment_key": ["A", "B", "all", "A", "B", "all"],
            "arm": ["x"] * 3 + ["y"] * 3,
            "net_benefit": [2.0, 1.0, 1.5, -2.0, 0.1, -1.0],
            "net_benefit_low": [1.0, 0.1, 1.0, -3.0, np.nan, -2.0],
            "net_benefit_p": [0.012, 0.04, 0.03, 0.02, np.nan, 0.04],
        }
    )
    holm = roi.with_words(table, 0.95)
    assert holm["p_adjusted"].tolist() == pytest.approx([0.036, 0.04, 0.06, 0.04, np.nan, 0.06], nan_ok=True)
    assert holm["word"].tolist() == ["scale", "scale", "test more", "stop", "cannot tell", "test more"]
    rates = roi.with_words(table, 0.95, "fdr_bh")
    assert rates["p_adjusted"].tolist() == pytest.approx([0.03, 0.04, 0.04, 0.03, np.nan, 0.04], nan_ok=True)


def test_the_chance_of_a_profit_falls_with_the_cost() -> None:
    curve = roi.profit_by_cost(0.5, 0.25, 1.0)
    assert curve["chance"].is_monotonic_decreasing
    assert np.interp(1.0, curve["cost"], curve["chance"]) == pytest.approx(stats.norm.cdf(2.0), abs=0.01)
    assert np.interp(1.5, curve["cost"], curve["chance"]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("low", "middle", "high", "told"),
    [
        (0.02, 0.04, 0.08, "25.00, likely between 12.50 and 50.00"),
        (-0.01, 0.01, 0.04, "at best 25.00; whether any buyer was won cannot be told"),
        (-0.04, -0.02, -0.01, "no extra buyer was won."),
        (np.nan, 0.02, np.nan, "too few buyers"),
    ],
)
def test_the_cost_of_an_extra_buyer(low: float, middle: float, high: float, told: str) -> None:
    row = pd.Series({"conversion_low": low, "conversion_difference": middle, "conversion_high": high})
    assert told in roi.per_extra_buyer(row, 1.0)


# --- what a campaign cost


def test_whoever_was_not_reached_cost_nothing() -> None:
    contacts = SHOP.tables["contacts"].iloc[10:]
    found = collect_shop(contacts, cost_origin="invoice 7")
    missed = found.table[~found.table["customer_id"].isin(contacts["customer_id"])]
    assert (missed["cost"] == 0).all()
    assert found.table.loc[found.table["customer_id"].isin(contacts["customer_id"]), "cost"].eq(COST_PER_CONTACT).all()
    assert found.cost_from == f"cost of a contact: {COST_PER_CONTACT:g}, stated by the source (invoice 7)"


def test_a_fixed_cost_is_spread_over_the_treated() -> None:
    found = collect_shop(SHOP.tables["contacts"], fixed_cost=600.0)
    treated = found.table["arm"] == "mailed"
    assert found.table.loc[treated, "cost"].tolist() == pytest.approx(
        [COST_PER_CONTACT + 600 / treated.sum()] * treated.sum()
    )
    assert (found.table.loc[~treated, "cost"] == 0).all()
    assert "fixed cost of 600.00, stated by the source, spread evenly over the treated" in found.cost_from


def test_costs_measured_one_by_one_come_first() -> None:
    contacts = SHOP.tables["contacts"].assign(cost=lambda t: np.arange(len(t)) % 3)
    found = collect_shop(contacts)
    assert found.table["cost"].sum() == contacts["cost"].sum()
    assert found.cost_from == "cost of contacts: measured, one by one"


def test_a_cost_nobody_knows_gives_no_money_figure() -> None:
    found = collect_shop(SHOP.tables["contacts"], cost_per_contact=None)
    assert "cost" not in found.table.columns
    test = randomised.read(found, margin=None, confidence=0.95)[0]
    assert test.value == "sales_difference"
    assert "cost of a contact: not known" in test.money_from
    assumed = randomised.read(
        collect_shop(SHOP.tables["contacts"], 0.8, cost_per_contact=None), margin=None, confidence=0.95
    )
    assert "cost of a contact: 0.8, assumed by you" in assumed[0].money_from


# --- what must not be told


def one_segment(mine: list[float], theirs: list[float], **columns: object) -> pd.DataFrame:
    arm = ["mailed"] * len(mine) + ["held back"] * len(theirs)
    table = pd.DataFrame({"customer_id": range(len(arm)), "segment_key": "A", "arm": arm, "sales": [*mine, *theirs]})
    return table.astype({"sales": float}).assign(orders=1.0, **columns)


@pytest.mark.parametrize("rest", [1e-9, 1e-4, -1e-6])
def test_a_mean_next_to_nothing_is_no_obstacle(rest: float) -> None:
    # a campaign that just pays for itself: the relative change that nobody asked for is beyond any number
    sales = np.random.default_rng(0).exponential(10, 400)
    table = one_segment([*sales], [*sales[::-1]])
    cost = 0.3 * sales.mean() - rest
    row = read(table, cost=cost).loc["A"]
    by_hand = welch_by_hand(0.3 * sales - cost, 0.3 * sales, 0.95)
    assert row[["net_benefit", "net_benefit_low", "net_benefit_high"]].tolist() == pytest.approx(list(by_hand))


def test_an_effect_of_exactly_nothing_has_its_error() -> None:
    table = one_segment([1, 2, 3] * 10, [3, 2, 1] * 10)
    row = read(table, cost=None).loc["A"]
    expected = np.sqrt(2 * np.var([1, 2, 3] * 10, ddof=1) / 30)
    assert (row["sales_difference"], row["sales_p"]) == (0.0, 1.0)
    assert row["sales_error"] == pytest.approx(expected, rel=1e-4)
    found = experiments.welch(np.array([1.0, 2, 3] * 10), np.array([3.0, 2, 1] * 10), 0.95)
    assert found.error == pytest.approx(expected)


@pytest.mark.parametrize("price", [10.0, 12.0])
@pytest.mark.parametrize("past", [False, True])
def test_customers_who_all_pay_the_same_price_prove_nothing(price: float, past: bool) -> None:
    table = one_segment([price] * 30, [10.0] * 30)
    table = table.assign(sales_before=np.random.default_rng(1).random(60)) if past else table
    row = read(table, cost=1.0).loc["A"]
    assert past or row["word"] == "cannot tell"
    if not past:
        assert row[["net_benefit_low", "net_benefit_p", "net_benefit_error", "roi_low"]].isna().all()


def test_a_test_whose_sample_ratio_is_off_tells_no_figure() -> None:
    found = collect_shop(SHOP.tables["contacts"])
    off = replace(found, ratio=experiments.sample_ratio(arms(a=900, b=100), {"a": 0.5, "b": 0.5}))
    test = randomised.read(off, margin=None, confidence=0.95)[0]
    assert set(test.table["word"]) == {"cannot tell"}
    assert set(test.table["why"]) == {"the sample ratio is off"}
    assert test.table[["net_benefit", "net_benefit_low", "roi", "conversion_low", "cost"]].isna().all(axis=None)
    assert (test.table["treated"] > 0).all()
    assert (test.extra_buyer, test.family) == ("", "")
    assert "not read, the sample ratio is off" in test.sentence
    assert "fewer than two can be read" in test.sentence
    assert "the sample ratio is off" in roi.chance_sentence(test.name, test.overall)


def test_the_cost_of_an_extra_buyer_needs_no_margin() -> None:
    found = collect_shop(SHOP.tables["contacts"])
    plain = replace(found, table=found.table.drop(columns="margin"))
    test = randomised.read(plain, margin=None, margin_from="not known: 3 lines have none", confidence=0.95)[0]
    assert test.value == "sales_difference"
    assert "Cost per extra buyer" in test.extra_buyer
    assert "Margin: not known: 3 lines have none" in test.money_from


def test_contacts_without_a_cost_of_their_own_are_not_free() -> None:
    contacts = SHOP.tables["contacts"].assign(cost=lambda t: np.where(np.arange(len(t)) < 40, 2.0, np.nan))
    found = collect_shop(contacts, cost_per_contact=None)
    assert "cost" not in found.table.columns
    assert (
        found.cost_from == f"cost of a contact: not known for {len(contacts) - 40} of {len(contacts)} customers reached"
    )
    filled = collect_shop(contacts, 0.5, cost_per_contact=None)
    assert filled.table["cost"].sum() == pytest.approx(40 * 2.0 + (len(contacts) - 40) * 0.5)
    assert "for 260 customers reached without one, cost of a contact: 0.5, assumed by you" in filled.cost_from
    # an opened letter has no cost of its own; the delivery had
    opened = pd.concat([contacts.assign(cost=2.0), contacts.assign(event="open", cost=np.nan)])
    assert collect_shop(opened).cost_from == "cost of contacts: measured, one by one"


def test_a_cost_below_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="campaign autumn: cost of a customer == -1; money spent is at least 0"):
        collect_shop(SHOP.tables["contacts"], cost_per_contact=-1.0)


def test_strata_drawn_with_other_shares_are_judged_by_their_own() -> None:
    rows = [("big", "mailed", 0.8)] * 80 + [("big", "held back", 0.2)] * 20
    rows += [("small", "mailed", 0.5)] * 150 + [("small", "held back", 0.5)] * 150 + [("few", "mailed", 0.8)]
    mine = pd.DataFrame(rows, columns=["stratum", "arm", "designed_share"])
    designed = lottery._designed(mine)
    assert sum(designed.values()) == pytest.approx(1)
    assert experiments.sample_ratio(mine["arm"], designed).fits
    assert lottery._designed(mine[:100].drop(columns="stratum")) == {"mailed": 0.8, "held back": 0.2}


def test_whoever_only_returns_is_no_buyer() -> None:
    rows = [("a", "1", 10.0), ("b", "2", -4.0), ("c", "3", 8.0), ("c", "4", -8.0), ("d", "5", 0.0)]
    bought = pd.DataFrame(rows, columns=["customer_id", "order_id", "amount"]).assign(
        ordered_at=pd.Timestamp(2025, 10, 3)
    )
    sold = connect().create_table(f"experiments_{next(NUMBER)}", bought)
    found = campaigns.spend(sold, AUTUMN.during, pd.Series(list("abcde"))).set_index("customer_id")
    assert found["orders"].tolist() == [1, 0, 1, 1, 0]
    assert found["sales"].tolist() == [10.0, -4.0, 0.0, 0.0, 0.0]

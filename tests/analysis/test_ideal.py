"""The ideal customer: intervals by hand, no circles, small cells hidden, and chance called chance."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis import ideal, value
from segmentkit.analysis.ideal import Ideal
from segmentkit.display import ideal_figures
from segmentkit.errors import DataError, ParameterError


def market(n: int, seed: int, effect: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers whose sales hang on where they live and how much they buy in the evening, as far as ``effect``."""
    rng = np.random.default_rng([8, seed])
    town, evening = rng.choice(["north", "south", "west"], n, p=[0.3, 0.3, 0.4]), rng.beta(2, 4, n)
    sales = np.exp(effect * ((town == "north") + 3 * (evening - 1 / 3)) + rng.standard_normal(n))
    ids = [f"c{number:05d}" for number in range(n)]
    features = pd.DataFrame({"customer_id": ids, "monetary": sales, "frequency": np.ceil(sales * 3)})
    features = features.assign(basket_value=sales / features["frequency"], evening_share=evening)
    customers = pd.DataFrame({"customer_id": ids, "town": town, "eyes": rng.choice(["blue", "brown"], n)})
    return features, customers


def found(features: pd.DataFrame, customers: pd.DataFrame, share: float = 0.2, **options: Any) -> Ideal:
    best, told = value.top_customers(features, share)
    return ideal.ideal(features, customers, best, told=told, **{"seed": 1, "permutations": 19} | options)


def test_shares_and_means_are_as_computed_by_hand() -> None:
    features, customers = market(600, 1, 0.5)
    result = found(features, customers)
    table = result.table.set_index(["column", "value"])
    y = (features["monetary"] >= features["monetary"].nlargest(120).min()).to_numpy()
    north = (customers["town"] == "north").to_numpy()
    row = table.loc[("town", "north")]
    a, n, b, m = (north & y).sum(), y.sum(), (north & ~y).sum(), (~y).sum()
    assert (row["known_best"], row["known_rest"]) == (120, 480) == (n, m)
    assert row["best"] == pytest.approx(a / n)
    assert row["ratio"] == pytest.approx((a / n) / (b / m))
    # Newcombe 1998, method 10: from the two Wilson intervals
    (l1, u1), (l2, u2) = (proportion_confint(x, t, method="wilson") for x, t in ((a, n), (b, m)))
    d = a / n - b / m
    assert row["low"] == pytest.approx(d - np.hypot(a / n - l1, u2 - b / m))
    assert row["high"] == pytest.approx(d + np.hypot(u1 - a / n, b / m - l2))
    assert row["p"] == pytest.approx(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)
    mine, theirs = features.loc[y, "evening_share"], features.loc[~y, "evening_share"]
    row = table.loc[("evening_share", "")]
    assert row["difference"] == pytest.approx(mine.mean() - theirs.mean())
    assert row["p"] == pytest.approx(stats.ttest_ind(mine, theirs, equal_var=False).pvalue)
    errors = [side.std() / np.sqrt(len(side)) / side.mean() for side in (mine, theirs)]
    assert np.log(row["ratio_high"] / row["ratio"]) == pytest.approx(1.959964 * np.hypot(*errors), rel=1e-5)
    assert table["p_holm"].to_numpy() == pytest.approx(multipletests(table["p"], method="holm")[1])
    assert result.tests == len(table) == 6


def test_what_is_value_itself_or_sensitive_is_never_used() -> None:
    features, customers = market(600, 2, 0.5)
    result = found(features, customers, sensitive=["eyes"])
    assert set(result.table["column"]) == {"town", "evening_share"} == set(result.look_alike.used)
    assert result.left_out == ("monetary", "frequency", "basket_value")
    assert "part of value: monetary, frequency, basket_value." in result.sentence
    assert "Never used, as asked: eyes." in result.sentence
    assert "eyes" not in result.look_alike.sentence
    changed = customers.assign(eyes=np.where(features["monetary"] > 1, "blue", "brown"))
    assert_frame_equal(found(features, changed, sensitive=["eyes"]).look_alike.scores, result.look_alike.scores)
    with pytest.raises(ParameterError, match="eye is in no table"):
        found(features, customers, sensitive=["eye"])


def test_a_true_difference_is_found_and_the_score_ranks_by_it() -> None:
    features, customers = market(1_500, 3, 1.0)
    result = found(features, customers)
    sure = result.table[result.table["sure"]]
    assert {"north", ""} <= set(sure["value"])
    assert "eyes" not in set(sure["column"])
    score = result.look_alike
    assert score.better_than_chance
    assert score.auc[1] > 0.6
    assert score.lift[0] > 1.5
    assert "tells more than chance" in score.sentence
    assert len(score.scores) == 1_500 - result.best
    alike = features.merge(customers).merge(score.scores)
    assert alike.groupby("town")["look_alike"].mean().idxmax() == "north"
    assert alike[["evening_share", "look_alike"]].corr(method="spearman").iloc[0, 1] > 0.5
    assert score.calibration["customers"].sum() == 1_500
    assert abs(score.calibration["predicted"].mean() - 0.2) < 0.02


def test_no_better_than_chance_is_said_plainly() -> None:
    result = found(*market(800, 4, 0.0), permutations=39)
    assert not result.look_alike.better_than_chance
    assert "is no better than chance; choose nobody by it" in result.look_alike.sentence
    assert result.sentence.count("0 of 6 comparisons hold") == 1
    assert "Nothing sets the best customers apart for sure" in ideal_figures.ideal_customer(result).get_suptitle()
    assert "no better than chance" in ideal_figures.look_alike(result.look_alike).get_suptitle()


def test_small_cells_are_hidden_but_counted_in_the_family() -> None:
    features, customers = market(600, 5, 0.5)
    customers.loc[:11, "town"] = "hamlet"
    customers.loc[12:20, "town"] = "farm"  # fewer than ten of all: no row, and no test
    result = found(features, customers)
    hidden = result.table[result.table["best"].isna()]
    assert set(hidden["value"]) >= {"hamlet"}
    figures = ["best", "rest", "difference", "low", "high", "ratio", "p", "p_holm"]
    assert hidden[figures].isna().all(axis=None)
    assert result.tests == len(result.table) == 7


def test_stating_an_attribute_tells_nothing() -> None:
    """The best state where they live, hardly anybody else does: that is not where they live."""
    features, customers = market(1_000, 6, 0.0)
    rng = np.random.default_rng(1)
    states = rng.random(1_000) < np.where(features["monetary"].rank(pct=True) > 0.8, 0.9, 0.2)
    result = found(features, customers[states][["customer_id", "town"]], permutations=39)
    assert not result.look_alike.better_than_chance
    assert not result.table["sure"].any()
    known = result.table.loc[result.table["kind"] == "attribute", ["known_best", "known_rest"]].max()
    told = f"known for {known['known_best'] / 200:.0%} of the best and {known['known_rest'] / 800:.0%} of the rest"
    assert told in result.sentence


def test_the_order_of_rows_does_not_matter_and_ties_stay_together() -> None:
    features, customers = market(400, 7, 0.8)
    once = found(features, customers)
    again = found(features.sample(frac=1, random_state=1), customers.sample(frac=1, random_state=2))
    assert_frame_equal(once.table, again.table)
    assert_frame_equal(once.look_alike.scores, again.look_alike.scores)
    tied = features.assign(monetary=np.where(features["monetary"] > features["monetary"].median(), 9.0, 1.0))
    best, told = value.top_customers(tied, 0.1)
    assert (len(best), told) == (200, "the top 10% by monetary")
    with pytest.raises(ParameterError, match="share == 1"):
        value.top_customers(features, 1)


def test_the_area_is_the_mean_over_folds_with_the_variance_of_delong() -> None:
    rng = np.random.default_rng(3)
    y, fold = rng.random(200) < 0.3, np.arange(200) % 5
    predicted = np.round(rng.random(200) + 0.4 * y, 1)
    area, low, high = ideal._auc(predicted, fold, y, 0.95)
    assert area == pytest.approx(np.mean([roc_auc_score(y[fold == f], predicted[fold == f]) for f in range(5)]))
    variance = 0.0
    for f in range(5):
        mine, theirs = (predicted[(fold == f) & (y == side)] for side in (True, False))
        wins = (mine[:, None] > theirs) + 0.5 * (mine[:, None] == theirs)
        variance += (wins.mean(axis=1).var(ddof=1) / len(mine) + wins.mean(axis=0).var(ddof=1) / len(theirs)) / 25
    assert (low, high) == pytest.approx((area - 1.959964 * np.sqrt(variance), area + 1.959964 * np.sqrt(variance)))


def test_without_attributes_and_with_missing_or_constant_behaviours() -> None:
    features, customers = market(400, 8, 0.5)
    features = features.assign(trend=np.where(np.arange(400) < 395, np.nan, 1.0), flat=1.0, steady=2.0)
    features.loc[0, "steady"] = np.nan
    result = found(features, customers.iloc[:0])
    assert set(result.look_alike.used) == {"evening_share"}
    assert "Attributes are known" not in result.sentence
    signed = features.assign(change=features["evening_share"] - 0.5)
    assert found(signed, customers.iloc[:0]).table.set_index("column").loc[["change"], "ratio"].isna().all()
    with pytest.raises(DataError, match="no attribute and no behaviour"):
        found(features[["customer_id", "monetary"]], customers.iloc[:0])
    with pytest.raises(DataError, match="20 best and 380 others"):
        found(features, customers, share=0.05)


def test_the_picture_states_the_furthest_sure_difference() -> None:
    result = found(*market(1_000, 9, 1.0))
    sure = result.table[result.table["sure"]]
    furthest = sure.loc[np.log(sure["ratio"]).abs().idxmax()]
    title = ideal_figures.ideal_customer(result).get_suptitle().replace("\n", " ")
    assert f"{len(sure)} of 6 comparisons" in title
    assert f"{furthest['ratio']:.1f} times the others'" in title
    assert "times as many of the best" in ideal_figures.look_alike(result.look_alike).get_suptitle().replace("\n", " ")

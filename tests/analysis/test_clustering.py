"""Clustering: what is refused, what must not change the segments, and the rule that chooses their number."""

import json

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import choosing, clustering
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

NAMES = ["recency_days", "frequency", "monetary"]


def customers(each: int = 60, seed: int = 4) -> pd.DataFrame:
    """Three kinds of customers, far apart: lapsed, frequent, and rare with large baskets."""
    rng = np.random.default_rng(seed)
    kinds = ((200.0, 3.0, 60.0), (6.0, 40.0, 900.0), (40.0, 6.0, 4000.0))
    rows = np.vstack([np.array(kind) * rng.lognormal(0, 0.18, (each, 3)) for kind in kinds])
    table = pd.DataFrame(rows.round(2), columns=NAMES)
    table.insert(0, "customer_id", [f"C{i:04d}" for i in rng.permutation(len(table))])
    return table.assign(tenure_days=rng.uniform(10, 700, len(table)), city="north")


def segmented(features: pd.DataFrame, k: int = 3, starts: int = 5) -> pd.DataFrame:
    scaled = clustering.scale(features, NAMES)
    return clustering.segment(features, scaled, k, starts=starts, seed=7).assign(features)


# --- scaling


def test_scaled_features_have_mean_zero_and_spread_one() -> None:
    scaled = clustering.scale(customers(), NAMES)
    assert scaled.values.shape == (180, 3)
    assert scaled.values.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-10)
    assert scaled.values.std(axis=0) == pytest.approx([1, 1, 1])
    assert scaled.customer_id.is_monotonic_increasing


def test_the_kept_scaling_gives_the_same_numbers_again() -> None:
    features = customers().sort_values("customer_id", ignore_index=True)
    scaled = clustering.scale(features, NAMES)
    assert scaled.scaling.apply(features) == pytest.approx(scaled.values, abs=1e-12)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["recency_days", "colour"], r"features == \['recency_days', 'colour'\]; each must be one of recency_days, "),
        (["city"], r"features == \['city'\]; each must be one of recency_days, frequency, monetary, tenure_days"),
        (["customer_id"], r"features == \['customer_id'\]; each must be one of"),
        ([], r"features == \[\]; each must be one of"),
        (["monetary", "monetary"], r"features == .*, and named once"),
    ],
)
def test_names_that_are_no_numeric_feature_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        clustering.scale(customers(), names)


def test_fewer_than_a_hundred_customers_are_refused() -> None:
    with pytest.raises(DataError, match="99 customers; segmentation needs at least 100; bring more data"):
        clustering.scale(customers(33), NAMES)
    assert len(clustering.scale(customers(34).iloc[:100], NAMES).values) == 100


def test_a_feature_that_is_the_same_for_all_is_refused() -> None:
    with pytest.raises(DataError, match="frequency is the same for every customer; leave it out of `features`"):
        clustering.scale(customers().assign(frequency=2.0), NAMES)


def test_missing_values_are_refused_with_their_number() -> None:
    features = customers()
    features.loc[:3, "monetary"] = np.nan
    with pytest.raises(DataError, match="feature 'monetary' is missing for 4 of 180 customers; leave it out"):
        clustering.scale(features, NAMES)


def test_a_model_refuses_customers_without_its_features() -> None:
    scaling = clustering.scale(customers(), NAMES).scaling
    with pytest.raises(DataError, match="feature 'frequency' is not in the table; build the features the model was"):
        scaling.apply(customers().drop(columns="frequency"))


def test_skewness_is_told_before_and_after() -> None:
    features = customers()
    told = clustering.skew_sentence(features, clustering.scale(features, NAMES))
    assert told.startswith(
        f"Skewness before and after the transform: recency_days {features['recency_days'].skew():.1f} to "
    )
    assert told.count(" to ") == 3


# --- what must not change the segments


def test_the_order_of_rows_does_not_matter() -> None:
    features = customers()
    shuffled = features.sample(frac=1.0, random_state=3)
    assert_frame_equal(segmented(shuffled), segmented(features), check_exact=True)


def test_money_in_cents_gives_the_same_segments() -> None:
    # Yeo-Johnson adds 1 before it bends, so it is only nearly free of the unit: amounts well above 1 shift by
    # thousandths of a standard deviation, amounts near or below 1 (millions as a unit) by a half and more.
    features = customers()
    in_cents = features.assign(monetary=features["monetary"] * 100)
    scaled, again = clustering.scale(features, NAMES), clustering.scale(in_cents, NAMES)
    assert np.abs(scaled.values - again.values).max() < 0.02
    assert segmented(in_cents)["segment_key"].tolist() == segmented(features)["segment_key"].tolist()


def test_new_names_for_customers_only_permute_the_rows() -> None:
    features = customers()
    new = features["customer_id"].map(dict(zip(features["customer_id"], features["customer_id"][::-1], strict=True)))
    renamed = segmented(features.assign(customer_id=new)).set_index("customer_id")["segment_key"]
    plain = segmented(features).set_index("customer_id")["segment_key"]
    assert renamed[new].tolist() == plain[features["customer_id"]].tolist()


def test_new_names_change_no_segment_where_there_are_no_clear_groups() -> None:
    # needs: fit to order rows by their values before k-means draws its first centres by row number; until then
    # another key for the pseudonyms gives other segments
    rng = np.random.default_rng(2)
    cloud = pd.DataFrame(rng.lognormal(3, 1, (600, 3)), columns=NAMES)
    cloud.insert(0, "customer_id", [f"C{i:04d}" for i in range(600)])
    plain = segmented(cloud)["segment_key"]
    for seed in range(3):
        new = np.random.default_rng(seed).permutation(cloud["customer_id"].to_numpy())
        renamed = segmented(cloud.assign(customer_id=new)).set_index("customer_id")["segment_key"]
        assert renamed[new].tolist() == plain.tolist()


def test_the_planted_kinds_are_found() -> None:
    features = customers()
    found = segmented(features).set_index("customer_id").loc[features["customer_id"], "segment_key"]
    assert adjusted_rand_score(np.repeat([0, 1, 2], 60), found) == 1.0


# --- segments and their model


def test_keys_are_given_by_mean_sales_highest_first() -> None:
    features = customers()
    for k in (2, 3, 5):
        joined = segmented(features, k).merge(features, on="customer_id")
        means = joined.groupby("segment_key")["monetary"].mean()
        assert means.index.tolist() == list("ABCDE"[:k])
        assert means.is_monotonic_decreasing


def test_assigning_the_fitted_customers_gives_back_the_clusters() -> None:
    features = customers().sort_values("customer_id", ignore_index=True)
    scaled = clustering.scale(features, NAMES)
    labels = clustering.fit(scaled.values, 4, starts=5, seed=7).labels_
    model = clustering.segment(features, scaled, 4, starts=5, seed=7)
    segments = model.assign(features)
    assert (pd.crosstab(labels, segments["segment_key"]) > 0).sum().tolist() == [1, 1, 1, 1]
    assert adjusted_rand_score(labels, model.labels(segments)) == 1.0
    own = model.centroids[model.labels(segments)]
    assert segments["distance"].to_numpy() == pytest.approx(np.linalg.norm(scaled.values - own, axis=1))


def test_a_model_saved_as_json_assigns_identically() -> None:
    features = customers()
    model = clustering.segment(features, clustering.scale(features, NAMES), 3, starts=5, seed=7)
    again = clustering.Segmentation.from_dict(json.loads(json.dumps(model.to_dict())))
    assert_frame_equal(again.assign(features), model.assign(features), check_exact=True)
    assert again.scaling == model.scaling


def test_one_customer_gets_the_segment_they_have_among_all() -> None:
    features = customers()
    model = clustering.segment(features, clustering.scale(features, NAMES), 3, starts=5, seed=7)
    among_all = model.assign(features).set_index("customer_id")["segment_key"]
    for row in (0, 70, 140):
        alone = model.assign(features.iloc[[row]])
        assert alone["segment_key"].iloc[0] == among_all[features["customer_id"].iloc[row]]


def test_the_nearest_centroid_and_its_distance_are_as_drawn() -> None:
    labels, distance = clustering.nearest(np.array([[0.0, 0], [3, 4], [9, 9]]), np.array([[0.0, 0], [9, 9]]))
    assert labels.tolist() == [0, 0, 1]
    assert distance.tolist() == [0.0, 5.0, 0.0]


@pytest.mark.parametrize(
    ("index", "key"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")]
)
def test_keys_count_in_letters(index: int, key: str) -> None:
    assert clustering.key_letter(index) == key


@pytest.mark.parametrize(("customers", "smallest"), [(100, 50), (1_000, 50), (1_001, 51), (20_000, 1_000)])
def test_the_larger_floor_counts(customers: int, smallest: int) -> None:
    assert clustering.smallest_allowed(customers, 0.05, 50) == smallest


# --- evidence


def test_the_evidence_has_a_row_for_every_k_and_repeats_with_the_seed() -> None:
    scaled = clustering.scale(customers(), NAMES)
    once = choosing.score_k_range(scaled, 2, 4, starts=3, pairs=3, max_rows=150, seed=5, workers=1)
    again = choosing.score_k_range(scaled, 2, 4, starts=3, pairs=3, max_rows=150, seed=5, workers=1)
    assert_frame_equal(once, again, check_exact=True)
    assert once["k"].tolist() == [2, 3, 4]
    assert once["wss"].is_monotonic_decreasing
    assert once["rows_used"].tolist() == [150] * 3
    three = once.set_index("k").loc[3]
    assert (three["smallest_customers"], three["smallest_share"]) == (60, pytest.approx(1 / 3))
    assert three["stability"] > 0.99
    assert three["silhouette"] == once["silhouette"].max()


def test_fewer_distinct_customers_than_segments_are_refused() -> None:
    few = customers().assign(recency_days=[1.0, 2.0, 3.0] * 60)
    scaled = clustering.scale(few, ["recency_days"])
    with pytest.raises(DataError, match="only 3 distinct customers for k_max == 5; lower k_max or add features"):
        choosing.score_k_range(scaled, 2, 5, starts=1, pairs=1, max_rows=100, seed=1)


# --- the choice


def evidence(worst: list[float], smallest: list[int], stability: list[float], silhouette: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "k": range(2, 2 + len(worst)),
            "silhouette": silhouette,
            "stability": stability,
            "worst_segment_stability": worst,
            "smallest_customers": smallest,
            "smallest_share": [n / 1_000 for n in smallest],
        }
    )


def choose(table: pd.DataFrame, own_k: tuple[int, ...] = ()) -> choosing.Choice:
    return choosing.choose_k(table, own_k=own_k, stability_floor=0.75, size_floor_share=0.05, size_floor=60)


GOOD = [0.9, 0.9, 0.9, 0.9]
ROOMY = [400, 300, 200, 100]


@pytest.mark.parametrize(
    ("worst", "smallest", "stability", "k", "decided_by", "rule_k"),
    [
        pytest.param(GOOD, ROOMY, GOOD, 5, "rule", 5, id="all meet the floors"),
        pytest.param([0.9, 0.8, 0.75, 0.7], ROOMY, GOOD, 4, "rule", 4, id="the floor itself is met"),
        pytest.param([0.9, 0.7, 0.9, 0.9], ROOMY, GOOD, 2, "rule", 2, id="a gap ends the search"),
        pytest.param(GOOD, [400, 300, 59, 100], GOOD, 3, "rule", 3, id="too few customers"),
        pytest.param([0.7, 0.9, 0.9, 0.9], ROOMY, [0.6, 0.8, 0.7, 0.5], 3, "most stable", None, id="the first fails"),
        pytest.param([0.1] * 4, ROOMY, [0.6, 0.5, 0.7, 0.5], 4, "most stable", None, id="none meets the floors"),
        pytest.param(GOOD, [49] * 4, [0.6, 0.9, 0.7, 0.5], 3, "most stable", None, id="all too small a share"),
    ],
)
def test_the_largest_unbroken_k_is_chosen(
    worst: list[float], smallest: list[int], stability: list[float], k: int, decided_by: str, rule_k: int | None
) -> None:
    choice = choose(evidence(worst, smallest, stability, [0.5, 0.4, 0.3, 0.2]))
    assert (choice.k, choice.decided_by, choice.rule_k, choice.silhouette_k) == (k, decided_by, rule_k, 2)
    assert choice.sentence.endswith(" The silhouette alone would take 2.")
    if rule_k:
        assert choice.sentence.startswith(f"{k} segments: the most that, like every smaller number tried, keep every")
        assert f"(its weakest segment: {worst[k - 2]:.2f})" in choice.sentence
    else:
        assert choice.sentence.startswith("No number of segments keeps every segment at Jaccard 0.75 or more")
        assert f"; {k} is the most stable of those tried ({max(stability):.2f})" in choice.sentence


def test_the_silhouettes_favourite_is_named_and_does_not_decide() -> None:
    choice = choose(evidence(GOOD, ROOMY, GOOD, [0.2, 0.8, 0.3, 0.1]))
    assert (choice.k, choice.silhouette_k) == (5, 3)
    assert "The silhouette alone would take 3." in choice.sentence


def test_the_sentence_states_the_floor_in_customers_too() -> None:
    # needs: `floors` in choose_k to name size_floor, the clause that decided here (5 % would be 50 customers)
    choice = choose(evidence(GOOD, [400, 55, 55, 55], GOOD, GOOD))
    assert choice.k == 2
    assert "60 customers" in choice.sentence


def test_the_analysts_own_k_overrides_and_the_rules_answer_is_told() -> None:
    table = evidence([0.9, 0.7, 0.9, 0.9], ROOMY, GOOD, GOOD)
    choice = choose(table, own_k=(4,))
    assert (choice.k, choice.decided_by, choice.rule_k) == (4, "analyst", 2)
    assert choice.sentence.startswith("4 segments, set by the analyst; the rule says 2.")
    none = choose(evidence([0.1] * 4, ROOMY, GOOD, GOOD), own_k=(4,))
    assert "the rule finds none that meets the floors" in none.sentence


@pytest.mark.parametrize("own_k", [(6,), (1,), (3, 4)])
def test_an_own_k_that_was_not_tried_is_refused(own_k: tuple[int, ...]) -> None:
    message = rf"own_k == \[{', '.join(map(str, own_k))}\]; it must be one number from 2 to 5, or empty"
    with pytest.raises(ParameterError, match=message):
        choose(evidence(GOOD, ROOMY, GOOD, GOOD), own_k=own_k)


def test_a_peak_of_stability_is_taken_before_a_larger_k_that_meets_the_floors() -> None:
    def evidence(stability: list[float]) -> pd.DataFrame:
        ks = range(2, 2 + len(stability))
        steady = {"worst_segment_stability": 0.9, "smallest_share": 0.1, "smallest_customers": 200, "silhouette": 0.5}
        return pd.DataFrame([{"k": k, "stability": value} | steady for k, value in zip(ks, stability, strict=True)])

    floors = {"stability_floor": 0.75, "size_floor_share": 0.05, "size_floor": 50}
    peaked = choosing.choose_k(evidence([0.99, 0.88, 0.99, 0.95, 0.86]), **floors)
    assert peaked.k == 4
    assert "stability peaks there (0.99, against 0.88 and 0.95 beside it)" in peaked.sentence
    assert choosing.choose_k(evidence([0.94, 0.91, 0.90, 0.80, 0.79]), **floors).k == 6
    # a bump within the noise of the bootstrap is no peak, and the last k tried has no right-hand neighbour
    assert choosing.choose_k(evidence([0.90, 0.885, 0.90, 0.885, 0.93]), **floors).k == 6

"""Clustering: what is refused, what must not change the segments, and a model that is kept."""

import json

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import clustering, encoding
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


def crowd(customers: int = 1_000, seed: int = 6) -> pd.DataFrame:
    """One kind of customers: every feature has one hump."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.lognormal(3, 0.5, (customers, 3)), columns=NAMES)
    return table.assign(customer_id=[f"C{i:04d}" for i in rng.permutation(customers)])


def test_scaled_features_have_mean_zero_and_spread_one() -> None:
    scaled = clustering.scale(crowd(), NAMES)
    assert scaled.values.shape == (1_000, 3)
    assert scaled.values.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-10)
    assert scaled.values.std(axis=0) == pytest.approx([1, 1, 1])
    assert scaled.customer_id.is_monotonic_increasing


def test_a_feature_with_humps_of_its_own_is_measured_by_the_spread_inside_them() -> None:
    # in units of its whole spread, noise in other features would hide the groups
    seldom = np.arange(1_000) % 2 == 0
    features = crowd()
    features["frequency"] *= np.where(seldom, 1, 60)
    scaled = clustering.scale(features, NAMES)
    humps = seldom[np.argsort(features["customer_id"].to_numpy())]
    low, high = scaled.values[humps, 1], scaled.values[~humps, 1]
    assert scaled.values[:, 1].mean() == pytest.approx(0, abs=1e-10)
    assert np.sqrt((low.var() + high.var()) / 2) == pytest.approx(1, abs=0.01)
    assert high.mean() - low.mean() > 5, "six times the spread inside, where z-scores would leave two"
    assert scaled.values[:, [0, 2]].std(axis=0) == pytest.approx([1, 1])
    assert scaled.scaling.apply(features.sort_values("customer_id")) == pytest.approx(scaled.values, abs=1e-12)


def test_only_the_relation_of_the_units_counts() -> None:
    # a feature that stands alone has nothing to be measured against
    features = crowd().assign(frequency=lambda table: np.where(np.arange(1_000) % 2, 60, 1) * table["frequency"])
    assert clustering.scale(features, ["frequency"]).values.std() == pytest.approx(1)


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
        "Skewness before and after the transform (below 1 there is none): recency_days "
        f"{features['recency_days'].skew():.1f} to "
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


def test_a_model_is_applied_to_those_whose_features_are_all_known_or_who_gave_any_answer() -> None:
    features = customers()
    model = clustering.segment(features, clustering.scale(features, NAMES), 3, starts=2, seed=7)
    features.loc[:4, "monetary"] = np.nan
    assert model.complete(features)["customer_id"].tolist() == features["customer_id"].tolist()[5:]
    answers = pd.DataFrame({"a": [1.0, 0.0, np.nan] * 60, "b": [0.0, np.nan, np.nan] * 60})
    answers.insert(0, "customer_id", features["customer_id"])
    scaled, _ = encoding.encode(answers, {"a": "binary", "b": "binary"}, levels={"b": [0, 1]}, missing_ceiling=1.0)
    asked = clustering.segment(answers, scaled, 2, starts=2, seed=7)
    assert asked.complete(answers)["customer_id"].tolist() == answers["customer_id"][answers["a"].notna()].tolist()

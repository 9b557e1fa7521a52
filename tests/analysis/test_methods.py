"""Ways to segment: each repeats what it said at the fit, is saved as data, and finds the groups it should."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.cluster import HDBSCAN, AgglomerativeClustering
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from segmentkit.analysis import clustering, dense, identity, methods
from segmentkit.analysis.clustering import Scaled, Segmentation
from segmentkit.analysis.encoding import encode
from segmentkit.analysis.methods import KMeans, Mixture
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

FOUND = ["kmeans", "mixture", "ward", "hdbscan"]
WAYS = [*FOUND, "latent_classes", "rules", "rfm_classes", "heavy_light"]
NAMES = ["recency_days", "frequency", "monetary"]
ITEMS = [f"item_{number}" for number in range(6)]
STATED = {"Young and new": "age_band = '18-25' AND recency_days <= 30", "Northerners": "region = 'north'"}
SETTINGS: dict[str, dict[str, Any]] = {"rules": {"stated": STATED}, "rfm_classes": {"bins": 3}, "heavy_light": {}}


def customers(each: int = 70, seed: int = 4) -> pd.DataFrame:
    """Three kinds of customers, far apart in what they buy, answer and spend; attributes that have nothing to do."""
    rng = np.random.default_rng(seed)
    kind = np.repeat([0, 1, 2], each)
    places = np.array([(200.0, 3.0, 60.0), (6.0, 40.0, 900.0), (40.0, 6.0, 4000.0)])
    table = pd.DataFrame((places[kind] * rng.lognormal(0, 0.18, (3 * each, 3))).round(2), columns=NAMES)
    likely = np.array([[0.95] * 3 + [0.05] * 3, [0.05] * 3 + [0.95] * 3, [0.95, 0.05] * 3])[kind]
    table[ITEMS] = (rng.random(likely.shape) < likely).astype(float)
    table["age_band"] = rng.choice(["18-25", "26-60", None], len(table))
    table["region"] = rng.choice(["north", "south"], len(table))
    table.insert(0, "customer_id", [f"C{i:04d}" for i in rng.permutation(len(table))])
    return table.assign(kind=kind)


def scaled(table: pd.DataFrame, way: str) -> Scaled:
    if way == "latent_classes":
        pytest.importorskip("stepmix", reason="latent classes are an optional extra")
        return encode(table, dict.fromkeys(ITEMS, "binary"), as_codes=True)[0]
    return clustering.scale(table, NAMES)


def fitted(table: pd.DataFrame, way: str, k: int = 3) -> Segmentation:
    own = SETTINGS.get(way, {})
    return clustering.segment(table, scaled(table, way), k, method=way, starts=4, seed=7, **own)


def reloaded(model: Segmentation) -> Segmentation:
    return Segmentation.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))


def cloud(n: int = 600, columns: int = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, columns))


def blobs(seed: int = 1, noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three groups six standard deviations apart, and customers anywhere (-1)."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2, -1], [300, 200, 100, noise])
    values = np.array([(0, 0), (6, 0), (0, 6), (0, 0)])[truth] + rng.standard_normal((len(truth), 2))
    values[truth < 0] = rng.uniform(-12, 18, (noise, 2))
    return values, truth


# --- whatever the way


@pytest.mark.parametrize("way", WAYS)
def test_assigning_the_customers_of_the_fit_gives_their_segments_again(way: str) -> None:
    table = customers()
    model = fitted(table, way)
    segments = model.assign(table)
    labels, values = model.labels(segments), scaled(table, way).values
    if way != "rfm_classes":  # a class that nobody is in yet stays open
        assert set(segments["segment_key"]) == set(model.keys)
    half = segments.iloc[::2].reset_index(drop=True)
    some = table[table["customer_id"].isin(half["customer_id"])]
    assert_frame_equal(model.assign(some), half, check_exact=True)
    if way in methods.NAMES:
        assert model.method.labels(values)[0].tolist() == labels.tolist()
    if way != "latent_classes":
        away = np.linalg.norm(values - model.centroids[labels], axis=1)
        assert segments["distance"].to_numpy() == pytest.approx(away)
    if way not in ("mixture", "latent_classes"):  # a mixture's centres are weighted by membership
        for number in np.unique(labels):
            assert model.centroids[number] == pytest.approx(values[labels == number].mean(axis=0), abs=0.1)


@pytest.mark.parametrize("way", WAYS)
def test_a_saved_and_reloaded_model_agrees_exactly_on_new_customers(way: str) -> None:
    model, new = fitted(customers(), way), customers(400, seed=99)
    again = reloaded(model)
    assert_frame_equal(again.assign(new), model.assign(new), check_exact=True)
    assert (again.keys, again.kind, again.rest) == (model.keys, model.kind, model.rest)
    assert again.describe() == model.describe()
    assert again.to_dict() == model.to_dict()
    assert len(json.dumps(model.to_dict())) < 20_000


@pytest.mark.parametrize("way", WAYS)
def test_neither_the_order_of_rows_nor_ids_matter(way: str) -> None:
    table = customers()
    own = fitted(table, way).assign(table).set_index("customer_id")["segment_key"]
    other = np.random.default_rng(8).permutation(table["customer_id"].to_numpy())
    renamed = table.assign(customer_id=other).sample(frac=1.0, random_state=3)
    again = fitted(renamed, way).assign(renamed).set_index("customer_id")["segment_key"]
    assert again[other].tolist() == own[table["customer_id"]].tolist()


@pytest.mark.parametrize("way", WAYS)
def test_a_has_the_highest_mean_sales_and_the_rest_is_last(way: str) -> None:
    table = customers()
    model = fitted(table, way)
    means = model.assign(table).merge(table, on="customer_id").groupby("segment_key")["monetary"].mean()
    assert means.drop(model.rest or [], errors="ignore").is_monotonic_decreasing
    assert means.index.tolist() == list(model.keys[: len(means)]), "classes that nobody is in come after the others"
    assert model.keys == tuple("ABCDEFGH"[: len(model.keys)])
    if model.rest:
        assert model.keys[-1] == model.rest


@pytest.mark.parametrize("way", WAYS)
def test_every_way_says_in_one_sentence_what_it_is(way: str) -> None:
    told = fitted(customers(), way).describe()
    assert told.endswith(".")
    assert ". " not in told
    assert "customer belongs to" in told or "respondent" in told


@pytest.mark.parametrize("way", [*FOUND, "latent_classes"])
def test_the_planted_kinds_are_found(way: str) -> None:
    table = customers(150)
    found = fitted(table, way).assign(table).merge(table, on="customer_id")
    assert adjusted_rand_score(found["kind"], found["segment_key"]) > 0.9


@pytest.mark.parametrize("way", WAYS)
def test_the_same_way_is_fitted_again_to_other_customers(way: str) -> None:
    model, others = fitted(customers(), way), customers(90, seed=12)
    again = clustering.again(model, others, starts=4, seed=7)
    assert again.kind == model.kind
    assert_frame_equal(again.assign(others), fitted(others, way).assign(others), check_exact=True)


def test_columns_that_are_missing_for_a_fit_again_are_named() -> None:
    table = customers()
    with pytest.raises(DataError, match=r"features lack item_0, .*; join what is known beside purchases"):
        clustering.again(fitted(table, "latent_classes"), table.drop(columns=ITEMS), starts=2, seed=1)
    with pytest.raises(DataError, match=r"rule 'Young and new': .* cannot be read"):
        clustering.again(fitted(table, "rules"), table.drop(columns="age_band"), starts=2, seed=1)


@pytest.mark.parametrize("way", ["mixture", "ward", "hdbscan", "rules"])
def test_a_fit_anew_keeps_the_keys(way: str) -> None:
    table, later = customers(seed=4), customers(seed=5)
    before = fitted(table, way)
    fresh = fitted(later, way)
    rest = [len(before.keys) - 1] if fresh.rest else []
    shuffled = replace(fresh, method=fresh.method.reordered([*range(len(fresh.keys) - len(rest))][::-1] + rest))
    carried = identity.carry(before, shuffled, later, before.assign(table))
    assert carried.model.keys == before.keys
    assert carried.model.rest == before.rest
    assert identity.changed(carried.fates) == []
    kinds = [
        model.assign(later).merge(later, on="customer_id").groupby("segment_key")["kind"].agg(lambda k: k.mode()[0])
        for model in (before, carried.model)
    ]
    assert kinds[0].tolist() == kinds[1].tolist()


def test_an_own_method_is_named_when_another_is_asked_for() -> None:
    model = fitted(customers(), "rfm_classes")
    assert model.applied(NAMES, "rfm_classes") is model
    with pytest.raises(
        ParameterError, match="method == 'ward'; the earlier run was fitted by 'rfm_classes'; take that"
    ):
        model.applied(NAMES, "ward")


def test_an_old_model_file_is_read_as_k_means() -> None:
    old = {"method": "kmeans", "features": ["a"], "lambdas": [1.0], "means": [0.0], "scales": [1.0]}
    model = Segmentation.from_dict(old | {"keys": ["A", "C"], "centroids": [[2.0], [-2.0]]})
    assert isinstance(model.method, KMeans)
    found = model.assign(pd.DataFrame({"customer_id": ["x", "y"], "a": [-1.5, 9.0]}))
    assert found["segment_key"].tolist() == ["C", "A"]
    assert found["distance"].tolist() == pytest.approx([0.5, 7.0])


def test_a_survey_without_sales_is_lettered_by_size() -> None:
    table = customers().drop(columns=NAMES).iloc[20:]
    sizes = fitted(table, "latent_classes").assign(table)["segment_key"].value_counts()
    assert sizes.index.tolist() == ["A", "B", "C"]


# --- fitting


@pytest.mark.parametrize("method", ["kmeans", "mixture", "ward"])
def test_every_number_of_segments_can_be_cut_from_one_cloud(method: str) -> None:
    for k in range(2, 9):
        found = methods.fit(cloud(), k, method=method, starts=3, seed=2)
        labels, distance = found.labels(cloud())
        assert np.bincount(labels, minlength=k).min() > 0
        assert found.centres.shape == (k, 3)
        assert (distance >= 0).all()


@pytest.mark.parametrize("method", FOUND)
def test_one_column_is_enough(method: str) -> None:
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1], 200)
    values = (rng.standard_normal(400) + 8 * truth)[:, None]
    labels, _ = methods.fit(values, 2, method=method, starts=3, seed=2).labels(values)
    sure = labels < 2
    assert sure.mean() > 0.8
    assert adjusted_rand_score(truth[sure], labels[sure]) > 0.95


@pytest.mark.parametrize("method", FOUND)
def test_customers_who_are_alike_are_in_one_segment(method: str) -> None:
    values = np.repeat(blobs()[0].round(0), 3, axis=0)
    labels, _ = methods.fit(values, 3, method=method, starts=3, seed=2).labels(values)
    table = pd.DataFrame(values).assign(label=labels)
    assert table.groupby([0, 1])["label"].nunique().max() == 1


@pytest.mark.parametrize("method", ["kmeans", "mixture", "ward"])
def test_fewer_distinct_customers_than_segments_are_refused(method: str) -> None:
    values = np.repeat(np.eye(3), 50, axis=0)
    with pytest.raises(DataError, match="only 3 distinct customers for k == 4; take fewer segments or add features"):
        methods.fit(values, 4, method=method, starts=2, seed=1)
    assert adjusted_rand_score(
        np.repeat(range(3), 50), methods.fit(values, 3, method=method, starts=9, seed=1).labels(values)[0]
    ) == pytest.approx(1)


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ParameterError, match="method == 'magic'; it must be one of kmeans, mixture, ward, hdbscan, lat"
    ):
        methods.fit(cloud(), 2, method="magic", starts=1, seed=1)


@pytest.mark.parametrize("method", FOUND)
def test_segments_can_be_numbered_anew(method: str) -> None:
    values, _ = blobs(noise=60)
    found = methods.fit(values, 3, method=method, starts=3, seed=2)
    order = [2, 0, 1] + [3] * (method == "hdbscan")
    labels, distance = found.reordered(order).labels(values)
    own, away = found.labels(values)
    assert (np.array(order)[labels] == own).all()
    assert distance == pytest.approx(away)
    assert found.reordered(order).centres.tolist() == found.centres[order].tolist()


@pytest.mark.parametrize(("method", "most"), [("mixture", 400), ("ward", 300), ("hdbscan", 500)])
def test_a_large_table_is_fitted_on_a_seeded_sample_and_says_so(
    method: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(methods.MOST_ROWS, method, most)
    values, truth = blobs()
    found = methods.fit(values, 3, method=method, starts=3, seed=2)
    labels, _ = found.labels(values)
    assert f"{most} of 600" in found.describe()
    assert adjusted_rand_score(truth[labels < 3], labels[labels < 3]) > 0.97
    again = methods.fit(values[::-1], 3, method=method, starts=3, seed=2)
    assert again.labels(values)[0].tolist() == labels.tolist()


# --- the mixture


def test_memberships_are_those_of_two_known_components() -> None:
    two = Mixture(np.array([0.5, 0.5]), np.array([[0.0], [4.0]]), np.ones((2, 1, 1)), 10, 10)
    odds = np.exp(4.0)  # at 1 the squared distances are 1 and 9; half their difference is 4
    expected = [[odds / (1 + odds), 1 / (1 + odds)], [0.5, 0.5]]
    assert two.memberships(np.array([[1.0], [2.0]])) == pytest.approx(np.array(expected))
    uneven = replace(two, weights=np.array([0.2, 0.8]))
    assert uneven.memberships(np.array([[2.0]]))[0] == pytest.approx([0.2, 0.8])
    assert two.memberships(np.array([[1.0]])).shape == (1, 2), "one customer is a table of one row"


def test_a_customer_too_far_for_a_density_still_has_a_component() -> None:
    two = Mixture(np.array([0.5, 0.5]), np.array([[0.0], [4.0]]), np.ones((2, 1, 1)), 10, 10)
    assert two.memberships(np.array([[1e6]])).tolist() == [[0.0, 1.0]]


def test_the_mixture_finds_long_groups_that_k_means_cuts() -> None:
    rng = np.random.default_rng(5)
    truth = np.repeat([0, 1], 400)
    values = rng.multivariate_normal([0, 0], [[1, 0.95], [0.95, 1]], 800)
    values += np.array([-0.75, 0.75]) * truth[:, None]
    agreed = {
        method: adjusted_rand_score(truth, methods.fit(values, 2, method=method, starts=20, seed=2).labels(values)[0])
        for method in ("mixture", "kmeans")
    }
    assert agreed["mixture"] > 0.9
    assert agreed["kmeans"] < 0.1


def test_memberships_are_those_of_scikit_learn() -> None:
    values, truth = blobs()
    found = methods.fit(values, 3, method="mixture", starts=3, seed=2)
    assert isinstance(found, Mixture)
    theirs = GaussianMixture(3, reg_covar=1e-3, random_state=2).fit(values[methods.by_value(values)])
    order = [int(np.linalg.norm(theirs.means_ - centre, axis=1).argmin()) for centre in found.centres]
    assert found.memberships(values) == pytest.approx(theirs.predict_proba(values)[:, order], abs=0.01)
    same = np.array(order)[found.labels(values)[0]] == theirs.predict(values)
    assert same.mean() > 0.99
    assert adjusted_rand_score(truth, found.labels(values)[0]) > 0.97


# --- Ward


def test_ward_is_scikit_learns_tree_but_for_the_customers_it_says_were_moved() -> None:
    values = cloud(columns=2)  # nothing that the tree and the centres could agree on
    found = methods.fit(values, 3, method="ward", starts=1, seed=2)
    branch = AgglomerativeClustering(3).fit_predict(values[methods.by_value(values)])
    labels = found.labels(values[methods.by_value(values)])[0]
    moved = int((labels != branch).sum())
    assert 0 < moved < 180
    assert found.to_dict()["moved"] == moved
    assert f"which moved {moved} of the 600 ({moved / 600:.1%}) out of their branch" in found.describe()


# --- HDBSCAN


def hdbscan(values: np.ndarray, share: float = 0.05) -> dense.Dense:
    found = methods.fit(values, 3, method="hdbscan", starts=1, seed=2, smallest_share=share)
    assert isinstance(found, dense.Dense)
    return found


def test_dense_groups_are_hdbscans_and_nobody_is_noise_in_silence() -> None:
    values, truth = blobs(noise=60)
    found = hdbscan(values)
    labels, _ = found.labels(values)
    theirs = HDBSCAN(min_cluster_size=33, min_samples=25, copy=True).fit_predict(values[methods.by_value(values)])
    own = labels[methods.by_value(values)]
    theirs = np.where(theirs < 0, 3, theirs)
    assert found.moved == (own != theirs).sum() < 0.05 * len(values)
    assert found.rest
    assert len(found.centres) == 4
    assert found.coverage == pytest.approx((labels < 3).mean())
    inside = (truth >= 0) & (labels < 3)
    assert adjusted_rand_score(truth[inside], labels[inside]) > 0.98
    assert (labels[truth < 0] == 3).mean() > 0.8
    assert (
        f"the groups cover {found.coverage:.1%}, and whoever is in none is their own last segment" in found.describe()
    )


def test_a_new_customer_far_from_every_group_is_the_rest_and_one_in_the_middle_is_not() -> None:
    found = hdbscan(blobs(noise=60)[0])
    labels, distance = found.labels(np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [40.0, -40.0]]))
    assert sorted(labels[:3]) == [0, 1, 2]
    assert labels[3] == 3
    assert (distance[:3] < 1).all()


def test_groups_of_any_shape_are_found_where_k_means_cuts_them() -> None:
    values, truth = make_moons(800, noise=0.06, random_state=1)
    labels, _ = hdbscan(values).labels(values)
    assert adjusted_rand_score(truth, labels) > 0.9
    assert adjusted_rand_score(truth, methods.fit(values, 2, method="kmeans", starts=3, seed=2).labels(values)[0]) < 0.6


def test_where_everybody_is_in_a_group_there_is_no_rest() -> None:
    rng = np.random.default_rng(2)
    values = np.repeat([[0.0, 0.0], [9.0, 9.0]], 200, axis=0) + rng.uniform(-0.5, 0.5, (400, 2))
    found = hdbscan(values)
    assert not found.rest
    assert found.coverage == 1.0
    assert len(found.centres) == 2
    assert found.labels(np.array([[50.0, 50.0]]))[0].tolist() == found.labels(np.array([[9.0, 9.0]]))[0].tolist()
    assert "whoever is in none is nobody, so there is no rest" in found.describe()


@pytest.mark.parametrize("values", [cloud(), np.zeros((200, 2))])
def test_one_undivided_population_has_no_two_dense_groups(values: np.ndarray) -> None:
    with pytest.raises(
        DataError, match=r"HDBSCAN finds no two dense groups of \d+ of \d+ customers or more; lower the"
    ):
        hdbscan(values)


def test_a_larger_size_floor_leaves_out_smaller_groups() -> None:
    values, truth = blobs()
    found = hdbscan(values, share=0.25)  # the third group is a sixth of the customers
    labels, _ = found.labels(values)
    assert len(found.radii) == 2
    assert (labels[truth == 2] == 2).all()


def test_exemplars_are_few_and_no_customer_stands_in_the_model() -> None:
    values, _ = blobs()
    found = hdbscan(values)
    assert np.bincount(found.group).max() <= dense.MOST_EXEMPLARS
    assert np.abs(found.exemplars[:, None, :] - values[None, :, :]).max(axis=2).min() > 0


def test_the_rest_cannot_be_numbered_before_a_group_and_has_a_name_of_its_own() -> None:
    values, _ = blobs(noise=60)
    with pytest.raises(ParameterError, match="the rest is no group and must stay last"):
        hdbscan(values).reordered([3, 0, 1, 2])
    model = Segmentation(clustering.Scaling((), (), (), ()), ("A", "B", "C", "E"), hdbscan(values))
    assert model.rest == "E"
    assert model.stated_names == ["E In no dense group"]


def test_the_rest_is_followed_by_the_rest_alone() -> None:
    values, _ = blobs(noise=60)
    table = pd.DataFrame(values, columns=["a", "b"]).assign(monetary=values[:, 0])
    table.insert(0, "customer_id", [f"C{i:04d}" for i in range(len(table))])

    def cut(way: str, k: int) -> Segmentation:
        ready = clustering.scale(table, ["a", "b"])
        return clustering.segment(table, ready, k, method=way, starts=4, seed=7)

    before, plain = cut("hdbscan", 0), cut("kmeans", 3)
    assert (before.keys, before.rest) == (("A", "B", "C", "D"), "D")
    carried = identity.carry(before, plain, table, before.assign(table))
    assert carried.model.keys == ("A", "B", "C")
    assert carried.model.retired == ("D",)
    back = identity.carry(carried.model, before, table, carried.model.assign(table))
    assert (back.model.keys, back.model.rest) == (("A", "B", "C", "E"), "E")
    again = identity.carry(before, cut("hdbscan", 0), table, before.assign(table))
    assert (again.model.keys, again.model.rest) == (before.keys, "D")
    assert_frame_equal(again.model.assign(table), before.assign(table))

"""Markets: one cut means the same place in every market, whatever its currency, and twins are told from strangers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import clustering, markets
from segmentkit.analysis.clustering import Scaling, Segmentation
from segmentkit.analysis.methods import KMeans
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

NAMES = ["recency_days", "frequency", "monetary"]
SETTINGS = {
    **{"features": NAMES, "k_min": 2, "k_max": 3, "own_k": [3], "starts": 3, "bootstrap_pairs": 2, "workers": 1},
    **{"stability_floor": 0.75, "size_floor_share": 0.05, "size_floor": 20, "stability_max_rows": 300, "seed": 7},
}
KINDS = ("frequent", "rare and large", "lapsed")


def market(each: int, seed: int, level: float = 1.0) -> pd.DataFrame:
    """Three kinds of customers, far apart; ``level`` is the price level or currency."""
    rng = np.random.default_rng(seed)
    places = ((6.0, 40.0, 900.0), (40.0, 6.0, 4000.0), (200.0, 3.0, 60.0))
    rows = np.vstack([np.array(place) * rng.lognormal(0, 0.18, (each, 3)) for place in places])
    table = pd.DataFrame(rows, columns=NAMES).assign(kind=np.repeat(KINDS, each))
    # the same ids everywhere: a number says nothing across markets
    table.insert(0, "customer_id", [f"C{i:04d}" for i in rng.permutation(len(table))])
    return table.assign(monetary=(table["monetary"] * level).round(2))


def segmented(models: Mapping[str, dict[str, Any]], features: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: Segmentation.from_dict(models[name]).assign(table).merge(table, on="customer_id")
        for name, table in features.items()
    }


TWO = {"north": market(60, 1), "south": market(40, 2, level=7.5)}
POOLED = markets.fit_pooled(TWO, SETTINGS)


# --- one fit for all


def test_all_markets_share_keys_and_centroids_and_each_has_its_own_scaling() -> None:
    north, south = POOLED["north"], POOLED["south"]
    assert north["keys"] == south["keys"] == ["A", "B", "C"]
    assert north["centroids"] == south["centroids"]
    assert (
        north["names"]
        == south["names"]
        == {"A": "Very high-spend", "B": "Very frequent, recent", "C": "Very long-away, low-spend, infrequent"}
    )
    assert north["pooled"] == south["pooled"] == ["north", "south"]
    assert north["means"] != south["means"]
    for name, table in TWO.items():
        # moved and stretched by its own customers, bent and measured alike in all
        scaling = Segmentation.from_dict(POOLED[name]).scaling
        assert scaling.apply(table).mean(axis=0) == pytest.approx(np.zeros(3))
        assert scaling.apply(table).std(axis=0) == pytest.approx(
            Segmentation.from_dict(POOLED["north"]).scaling.apply(TWO["north"]).std(axis=0)
        )


def test_a_segment_is_the_same_kind_in_every_market() -> None:
    for table in segmented(POOLED, TWO).values():
        kinds = table.groupby("segment_key")["kind"].unique().map(list)
        assert kinds.to_dict() == {"A": ["rare and large"], "B": ["frequent"], "C": ["lapsed"]}


def test_markets_that_overlap_are_cut_at_the_same_place_in_each() -> None:
    rng = np.random.default_rng(3)
    clouds = {
        name: pd.DataFrame(rng.lognormal(3, 1, (size, 3)), columns=NAMES).assign(
            customer_id=[f"C{i:04d}" for i in range(size)]
        )
        for name, size in (("large", 400), ("small", 150))
    }
    models = markets.fit_pooled(clouds, SETTINGS)
    shares = [table["segment_key"].value_counts(normalize=True) for table in segmented(models, clouds).values()]
    assert (shares[0] - shares[1]).abs().max() < 0.12
    assert models["large"]["choice"].startswith("3 segments, set by the analyst")


@pytest.mark.parametrize("rate", [0.2, 110.0])
def test_another_currency_in_one_market_moves_nobody(rate: float) -> None:
    # Yeo-Johnson adds 1 before it bends, so scaled values differ by thousandths
    south = TWO["south"].assign(monetary=TWO["south"]["monetary"] * rate)
    inflated = {"north": TWO["north"], "south": south}
    models = markets.fit_pooled(inflated, SETTINGS)
    assert models["south"]["keys"] == POOLED["south"]["keys"]
    assert models["south"]["names"] == POOLED["south"]["names"]
    assert np.asarray(models["south"]["centroids"]) == pytest.approx(np.asarray(POOLED["south"]["centroids"]), abs=0.02)
    plain, other = segmented(POOLED, TWO), segmented(models, inflated)
    for name in TWO:
        assert other[name]["segment_key"].tolist() == plain[name]["segment_key"].tolist()


def test_keys_go_by_sales_against_the_markets_own_average() -> None:
    # in money nobody outspends the frequent ones of the rich market; beside their own market's average others do
    rich = market(60, 4, level=1_000.0)
    rich["monetary"] = rich["monetary"].where(rich["kind"] != "frequent", rich["monetary"] * 10)
    features = {"north": TWO["north"], "rich": rich}
    assert rich.groupby("kind")["monetary"].mean().idxmax() == "frequent"
    for table in segmented(markets.fit_pooled(features, SETTINGS), features).values():
        assert table.groupby("segment_key")["kind"].agg("first").tolist() == ["rare and large", "frequent", "lapsed"]


def test_the_order_of_markets_and_rows_changes_no_segment() -> None:
    mixed = {name: TWO[name].sample(frac=1.0, random_state=5) for name in ("south", "north")}
    plain, other = segmented(POOLED, TWO), segmented(markets.fit_pooled(mixed, SETTINGS), TWO)
    for name in TWO:
        assert other[name]["segment_key"].tolist() == plain[name]["segment_key"].tolist()


def test_a_larger_market_weighs_more() -> None:
    # the border lies where the many are: one cut through two clouds of other shape
    rng = np.random.default_rng(6)
    left, right = (
        pd.DataFrame(rng.beta(*shape, (size, 3)) * 100, columns=NAMES).assign(
            customer_id=[f"C{i:04d}" for i in range(size)]
        )
        for shape, size in (((0.3, 0.3), 600), ((4, 4), 120))
    )
    models = markets.fit_pooled({"large": left, "small": right}, SETTINGS | {"own_k": [2]})
    pooled = np.asarray(models["large"]["centroids"])
    alone = {}
    for name, table in (("large", left), ("small", right)):
        model = clustering.segment(table, clustering.scale(table, NAMES), 2, starts=3, seed=7)
        gaps = np.linalg.norm(pooled[:, None] - model.centroids[None], axis=2)
        alone[name] = min(gaps.trace(), np.fliplr(gaps).trace())
    assert alone["large"] < alone["small"]


def test_a_mixture_can_be_pooled() -> None:
    models = markets.fit_pooled(TWO, SETTINGS | {"method": "mixture"})
    for joined in segmented(models, TWO).values():
        assert (pd.crosstab(joined["kind"], joined["segment_key"]) > 0).to_numpy().sum() == 3


@pytest.mark.parametrize("method", ["rules", "rfm_classes", "hdbscan", "latent_classes"])
def test_a_method_that_means_something_else_in_every_market_is_not_pooled(method: str) -> None:
    with pytest.raises(ParameterError, match=f"method == '{method}'; one fit for all markets takes kmeans, mixture, w"):
        markets.fit_pooled(TWO, SETTINGS | {"method": method})


def test_one_market_is_no_pool() -> None:
    with pytest.raises(DataError, match="1 markets have features; a pooled fit needs two or more"):
        markets.fit_pooled({"north": TWO["north"]}, SETTINGS)


# --- which segment is which elsewhere


def placed(
    places: Mapping[str, tuple[float, float]], names: tuple[str, ...] = ("frequency", "monetary")
) -> Segmentation:
    plain = Scaling(names, (1.0, 1.0), (0.0, 0.0), (1.0, 1.0))
    return Segmentation(plain, tuple(places), KMeans(np.array(list(places.values()))))


HOME = placed({"A": (2.0, 2.0), "B": (-1.0, 1.5), "C": (-1.5, -1.5)})


def partners(table: pd.DataFrame, market: str) -> dict[str, str | None]:
    rows = table[table["market"] == market]
    return {row.key: None if pd.isna(row.market_key) else row.market_key for row in rows.itertuples()}


def test_segments_are_found_again_under_other_letters() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        order = rng.permutation(3)
        moved = HOME.centroids[order] + rng.uniform(-0.3, 0.3, (3, 2))
        away = placed(dict(zip("XYZ", moved, strict=True)))
        found = markets.align({"home": HOME, "away": away}, shared_keys=False)
        assert partners(found, "home") == {"A": "A", "B": "B", "C": "C"}
        assert partners(found, "away") == {"ABC"[place]: "XYZ"[row] for row, place in enumerate(order)}


def test_the_distance_is_per_feature_in_standard_deviations() -> None:
    away = placed({"X": (2.3, 2.3), "Y": (-1.0, 1.5), "Z": (-1.5, -1.0)})
    found = markets.align({"home": HOME, "away": away}, shared_keys=False)
    distances = found.loc[found["market"] == "away", "distance"]
    assert distances.tolist() == pytest.approx([0.3, 0.0, 0.5 / np.sqrt(2)])


def test_a_segment_that_is_far_from_all_has_no_counterpart() -> None:
    away = placed({"X": (-1.5, -1.4), "Y": (2.0, 1.8), "Z": (4.0, -4.0)})
    found = markets.align({"home": HOME, "away": away}, shared_keys=False)
    assert partners(found, "away") == {"A": "Y", "B": None, "C": "X"}
    assert found.set_index(["market", "key"]).loc[("away", "B"), "distance"] > markets.ALIGNED


def test_of_fewer_segments_elsewhere_some_have_no_counterpart() -> None:
    found = markets.align({"home": HOME, "away": placed({"X": (-1.5, -1.4)})}, shared_keys=False)
    assert partners(found, "away") == {"A": None, "B": None, "C": "X"}


def test_a_twin_is_never_given_away_for_a_stranger_that_has_no_partner_anyhow() -> None:
    home = placed({"A": (0.0, 0.0), "B": (0.45, 0.45)})
    away = placed({"X": (0.44, 0.44), "Y": (10.0, 10.0)})
    # B and X are twins, Y is far from both; together A-X and B-Y are a little shorter than A-Y and B-X
    assert partners(markets.align({"home": home, "away": away}, shared_keys=False), "away") == {"A": None, "B": "X"}


def test_every_market_is_set_beside_the_first() -> None:
    two = placed({"X": (2.0, 2.0)})
    found = markets.align({"home": HOME, "one": two, "two": HOME}, shared_keys=False)
    assert found["market"].tolist() == ["home"] * 3 + ["one"] * 3 + ["two"] * 3
    assert partners(found, "one") == {"A": "X", "B": None, "C": None}
    assert partners(found, "two") == {"A": "A", "B": "B", "C": "C"}


def test_models_on_other_features_cannot_be_aligned() -> None:
    other = placed({"A": (2.0, 2.0)}, names=("monetary", "frequency"))
    found = markets.align({"home": HOME, "away": other}, shared_keys=False)
    assert partners(found, "away") == {"A": None, "B": None, "C": None}
    assert found.loc[found["market"] == "away", "distance"].isna().all()


def test_where_one_segmentation_is_shared_the_key_decides_and_not_the_place() -> None:
    away = placed({"C": (2.0, 2.0), "A": (-1.5, -1.5), "D": (-1.0, 1.5)})
    found = markets.align({"home": HOME, "away": away}, shared_keys=True)
    assert partners(found, "away") == {"A": "A", "B": None, "C": "C"}

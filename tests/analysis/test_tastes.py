"""Taste groups: counted right, blind to volume, found where planted, and honest against popularity."""

import itertools
import json
from datetime import date
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import taste_trial, tastes
from segmentkit.analysis.features import Window
from segmentkit.analysis.tastes import Bought, TasteGroups
from segmentkit.display import taste_figures
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.runs import connect

CONNECTION = connect()
NUMBER = itertools.count()
YEAR = Window(date(2025, 1, 1), date(2026, 1, 1))
ITEMS, TASTES = 60, 4
OWN = np.arange(ITEMS) % TASTES


def table(lines: pd.DataFrame) -> ibis.Table:
    return CONNECTION.create_table(f"tastes_{next(NUMBER)}", lines)


def chances(own_share: float) -> np.ndarray:
    """Chance of each item by taste: popularity for all, and more of one's own items."""
    popular = 1 / (1 + np.arange(ITEMS) // TASTES) ** 0.7
    own = np.where(np.arange(TASTES)[:, None] == OWN, popular, 0)
    mixed: np.ndarray = (1 - own_share) * popular / popular.sum() + own_share * own / own.sum(axis=1, keepdims=True)
    return mixed


def planted(customers: int, seed: int, own_share: float = 0.6, typical: int = 30) -> tuple[Bought, np.ndarray]:
    """Customers of four tastes whose number of purchases has nothing to do with taste."""
    rng = np.random.default_rng([5, seed])
    taste, many = rng.integers(0, TASTES, customers), (typical * rng.lognormal(0, 0.8, customers)).astype(int) + 6
    p = chances(own_share)
    counts = np.array([rng.multinomial(n, p[k]) for n, k in zip(many, taste, strict=True)], dtype=float)
    ids = pd.Series([f"c{number:04d}" for number in range(customers)], name="customer_id")
    return Bought("category", ids, tuple(f"i{item:02d}" for item in range(ITEMS)), csr_array(counts)), taste


def shop(customers: int, seed: int, own_share: float) -> ibis.Table:
    """The same as purchases over a year, one item an order."""
    found, _ = planted(customers, seed, own_share)
    cells = found.counts.tocoo()
    row, item = (np.repeat(place, cells.data.astype(int)) for place in (cells.row, cells.col))
    days = np.random.default_rng([6, seed]).integers(0, 365, len(row))
    lines = pd.DataFrame(
        {"customer_id": found.customer_id.to_numpy()[row], "order_id": [str(n) for n in range(len(row))]}
    )
    lines["ordered_at"] = pd.Timestamp("2025-01-01") + pd.to_timedelta(days, unit="D")
    return table(lines.assign(amount=1.0, category=np.array(found.items)[item]))


def fitted(seed: int = 1, groups: int = TASTES) -> tuple[Bought, np.ndarray, TasteGroups]:
    found, taste = planted(500, seed)
    return found, taste, tastes.fit(found, groups, seed=3)


def test_orders_that_hold_an_item_are_counted_once_and_returns_not_at_all() -> None:
    lines = pd.DataFrame(
        [
            ("b", "1", "2025-01-01", 2.0, "Tea"),
            ("b", "1", "2025-01-01", 3.0, "Tea"),
            ("b", "2", "2025-03-01", 3.0, "Tea"),
            ("b", "3", "2025-03-02", -3.0, "Tea"),
            ("b", "4", "2025-03-03", 1.0, None),
            ("a", "5", "2025-04-01", 0.0, "Jam"),
            ("a", "6", "2026-01-01", 4.0, "Tea"),
            ("c", "7", "2025-05-01", 4.0, "Oil"),
            ("c", "8", "2025-05-01", 4.0, "Jam"),
        ],
        columns=["customer_id", "order_id", "ordered_at", "amount", "category"],
    ).astype({"ordered_at": "datetime64[s]"})
    found = tastes.bought(table(lines), YEAR, fewest_buyers=1)
    assert found.customer_id.tolist() == ["a", "b", "c"]
    assert found.items == ("Jam", "Oil", "Tea")
    assert found.counts.toarray().tolist() == [[1, 0, 0], [0, 0, 2], [1, 1, 0]]
    assert found.onto(["Tea", "Rum", "Jam"]).toarray().tolist() == [[0, 0, 1], [2, 0, 0], [0, 0, 1]]
    with pytest.raises(DataError, match="1 items with 2 buyers"):
        tastes.bought(table(lines), YEAR, fewest_buyers=2)
    with pytest.raises(ParameterError, match="product_id"):
        tastes.bought(table(lines), YEAR, item="product_id")


def test_weights_are_as_computed_by_hand() -> None:
    counts = np.array([[4.0, 1, 0, 1], [0, 9, 1, 1], [1, 1, 0, 4], [0, 1, 1, 1]])
    found = Bought("category", pd.Series(list("abcd")), tuple("wxyz"), csr_array(counts))
    model = tastes.fit(found, 2, fewest_items=1, factors=3, seed=1)
    assert model.weights == pytest.approx(np.log([3, 2, 3, 2]))
    row = np.sqrt([4, 1, 0, 1]) * model.weights
    row = model.components @ (row / np.linalg.norm(row))
    _, labels, distance = model.labels(found)
    assert distance[0] == pytest.approx(np.linalg.norm(row / np.linalg.norm(row) - model.centres[labels[0]]))


def test_planted_tastes_are_found_and_volume_does_not_matter() -> None:
    found, taste, model = fitted()
    rows, labels, _ = model.labels(found)
    assert adjusted_rand_score(taste[rows], labels) > 0.9
    volume = np.asarray(found.counts.sum(axis=1))
    spread = [volume[labels == group].mean() / volume.mean() for group in range(TASTES)]
    assert max(spread) < 1.3
    assert min(spread) > 0.7
    times = np.where(np.arange(500) % 2, 50.0, 1.0)
    louder = Bought(found.item, found.customer_id, found.items, csr_array(found.counts.multiply(times[:, None])))
    assert np.array_equal(model.labels(louder)[1], labels)
    again = tastes.fit(louder, TASTES, seed=3)
    assert np.array_equal(again.labels(found)[1], labels)


def test_assign_reproduces_the_fit_and_a_saved_model_agrees() -> None:
    found, _, model = fitted()
    assigned = model.assign(found)
    assert assigned["customer_id"].is_monotonic_increasing
    sizes = assigned["segment_key"].value_counts()
    assert [sizes[key] for key in model.keys] == sorted(sizes, reverse=True)
    again = TasteGroups.from_dict(json.loads(json.dumps(model.to_dict())))
    assert_frame_equal(again.assign(found), assigned)
    half = found.rows(np.arange(0, 500, 2))
    assert_frame_equal(
        model.assign(half), assigned[assigned["customer_id"].isin(half.customer_id)].reset_index(drop=True)
    )
    more = tuple(f"new{item}" for item in range(3)) + found.items[::-1]
    turned = Bought(found.item, found.customer_id, more, found.onto(more))
    assert_frame_equal(model.assign(turned), assigned)


def test_too_little_history_gets_no_group_and_is_counted() -> None:
    found, _, _ = fitted()
    counts = found.counts.toarray()
    counts[:7, 2:] = 0
    counts[:7, :2] = 30
    model = tastes.fit(Bought(found.item, found.customer_id, found.items, csr_array(counts)), 3, seed=1)
    assert (model.used, model.customers) == (493, 500)
    assert "493 used of 500" in model.sentence
    nobody = Bought(found.item, pd.Series(["x"]), found.items, csr_array(np.eye(1, ITEMS)))
    assert model.assign(nobody).empty
    assert model.recommend(nobody).empty
    assert model.describe(nobody).empty
    with pytest.raises(DataError, match="500 groups"):
        tastes.fit(found, 500, seed=1)
    for groups in (1, 1_001):
        with pytest.raises(ParameterError, match=f"groups == {groups}"):
            tastes.fit(found, groups, seed=1)


def test_many_groups_and_their_small_ones_are_not_described() -> None:
    found, _, model = fitted(groups=200)
    assert len(model.keys) == 200
    described = model.describe(found)
    assert (described["customers"] >= 10).all()
    assert (described["buyers"].dropna() >= 10).all()
    assert described["segment_key"].nunique() < 200


def test_typical_items_are_as_counted_and_the_planted_ones() -> None:
    found, taste, model = fitted()
    described, assigned = model.describe(found, top=3), model.assign(found)
    first = described.iloc[0]
    members = found.customer_id.isin(assigned.loc[assigned["segment_key"] == first["segment_key"], "customer_id"])
    held = found.counts[:, [found.items.index(first["item"])]].toarray()[:, 0] > 0
    assert first["customers"] == members.sum()
    assert first["buyers"] == (held & members).sum()
    assert first["lift"] == pytest.approx(held[members].mean() / held.mean())
    for key, part in described.groupby("segment_key"):
        own = int(np.bincount(taste[(assigned["segment_key"] == key).to_numpy()]).argmax())
        assert {OWN[found.items.index(item)] for item in part["item"]} == {own}


def test_similar_items_share_a_taste() -> None:
    found, _, model = fitted()
    near = model.similar_items("i00", top=5)
    assert "i00" not in set(near["item"])
    assert {OWN[found.items.index(item)] for item in near["item"]} == {0}
    assert near["similarity"].is_monotonic_decreasing
    assert near["similarity"].max() <= 1 + 1e-9
    with pytest.raises(ParameterError, match="Rum"):
        model.similar_items("Rum")


def test_advice_is_new_to_the_customer_and_scored_by_hand() -> None:
    found, _, model = fitted()
    advised = model.recommend(found, ["c0003", "c0010"], top=4)
    assert advised["customer_id"].tolist() == ["c0003"] * 4 + ["c0010"] * 4
    assert advised["rank"].tolist() == [1, 2, 3, 4] * 2
    rows, labels, _ = model.labels(found)
    held = found.counts.toarray() > 0
    group = labels[np.flatnonzero(rows == 3)[0]]
    share, n = held[rows[labels == group]].sum(axis=0), (labels == group).sum()
    score = (share + 20 * held[rows].mean(axis=0)) / (n + 20)
    score[held[3]] = -1
    expected = np.argsort(-score, kind="stable")[:4]
    mine = advised[advised["customer_id"] == "c0003"]
    assert mine["item"].tolist() == [found.items[item] for item in expected]
    assert mine["score"].to_numpy() == pytest.approx(score[expected])


def test_who_bought_nearly_everything_gets_what_is_left() -> None:
    found, _, _ = fitted()
    counts = found.counts.toarray()
    counts[0] = 1
    counts[0, 5] = 0
    full = Bought(found.item, found.customer_id, found.items, csr_array(counts))
    assert tastes.fit(full, 3, seed=1).recommend(full, ["c0000"])["item"].tolist() == ["i05"]


def test_recall_is_as_computed_by_hand() -> None:
    early, _, _ = fitted()
    counts = np.zeros((2, 3))
    counts[0] = [1, 2, 0]  # c0000 again, with something new or not
    late = Bought("category", pd.Series(["c0000", "stranger"]), ("i00", "i59", "unknown"), csr_array(counts))
    found = taste_trial._foretold(early, late, 3, 10, 1, {})
    new = [item for item in ("i00", "i59") if not early.counts[0, early.items.index(item)]]
    assert found["customer_id"].tolist() == ["c0000"] * bool(new)
    model = tastes.fit(early, 3, seed=1)
    advised = set(model.recommend(early, ["c0000"], top=10)["item"])
    assert found["recall"].iloc[0] == pytest.approx(len(advised & set(new)) / len(new))


def test_taste_beats_popularity_where_planted_and_says_so() -> None:
    found = taste_trial.hold_out(shop(500, 1, 0.7), YEAR, [2, 4, 30], seed=1)
    assert found.evidence["groups"].tolist() == [2, 4, 30]
    assert found.groups == 4
    row = found.by_group.iloc[-1]
    assert row["low"] > 0.05
    assert found.sentence.startswith("Taste foretells purchases better than popularity.")
    assert f"{row['recall']:.1%}" in found.sentence
    assert found.by_group["customers"].iloc[:-1].sum() == row["customers"]
    assert found.cut == date(2025, 10, 20)
    picture = taste_figures.recall(found)
    assert found.finding in picture.get_suptitle().replace("\n", " ")


def test_without_tastes_nothing_is_claimed() -> None:
    found = taste_trial.hold_out(shop(400, 2, 0.0), YEAR, [4], seed=1)
    assert found.evidence.empty
    assert not found.sentence.startswith("Taste foretells purchases better")
    assert "4 groups" in str([text.get_text() for text in taste_figures.recall(found).axes[0].get_legend().get_texts()])


@pytest.mark.parametrize("options", [{"tried": []}, {"held_out": 0.5}, {"held_out": 0.0}])
def test_a_hold_out_needs_room_and_a_number(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="held_out"):
        taste_trial.hold_out(shop(50, 3, 0.5), YEAR, **{"tried": [4], "seed": 1} | options)


def test_planted_tastes_hold_in_other_samples_and_too_many_do_not() -> None:
    found, _, model = fitted()
    measured = taste_trial.agreement(found, model, pairs=2, seed=1)
    assert measured.mean > 0.85
    assert "nearly the same groups" in taste_trial.agreement_sentence(measured)
    many = tastes.fit(found, 40, seed=3)
    torn = taste_trial.agreement(found, many, pairs=2, seed=1)
    assert torn.mean < 0.35
    assert "build no plan on a single one" in taste_trial.agreement_sentence(torn)


def test_the_picture_states_what_it_draws() -> None:
    found, _, model = fitted(groups=6)
    described = model.describe(found)
    best = described[described["segment_key"].isin(["T1", "T2"])].nlargest(1, "lift").iloc[0]
    title = taste_figures.taste_groups(described, 6, limit=2).get_suptitle().replace("\n", " ")
    assert title.startswith("Among the 2 largest of 6 taste groups")
    assert f"{best['segment_key']} stands out most: {best['lift']:.1f} times as many bought {best['item']}" in title
    nothing = described.head(1).assign(item=None, lift=np.nan)
    assert "none buys anything" in taste_figures.taste_groups(nothing, 1).get_suptitle()

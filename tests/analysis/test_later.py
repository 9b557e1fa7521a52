"""The later half: habits that never change are all regression to the mean; growth shows; hand counts agree."""

from datetime import date, timedelta
from itertools import product

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import clustering, later, looks
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.features import Window, build, window
from segmentkit.analysis.looks import Compared, Look
from segmentkit.display import across_figures
from segmentkit.errors import DataError
from segmentkit.machinery.threads import cap_environment

cap_environment()
HALVES = Window(date(2025, 1, 1), date(2025, 7, 1)), Window(date(2025, 7, 1), date(2026, 1, 1))
FEATURES = ["frequency", "monetary"]


def pair(first: dict[str, tuple[str, float]], second: dict[str, tuple[str, float]], keys: str = "AB") -> Compared:
    """Two looks at customers, each with key and spend."""
    values = np.arange(len(keys), dtype=float).reshape(-1, 1)
    model = Segmentation(clustering.Scaling(("monetary",), (1.0,), (0.0,), (1.0,)), tuple(keys),
                         clustering.methods.KMeans(values))  # fmt: skip
    made = []
    for label, seen, people in zip(("first half", "second half"), HALVES, (first, second), strict=True):
        table = pd.DataFrame([(who, *what) for who, what in people.items()], columns=["customer_id", "key", "monetary"])
        segments = table.rename(columns={"key": "segment_key"})[["customer_id", "segment_key"]]
        made.append(Look(label, seen, table[["customer_id", "monetary"]], segments))
    return Compared("rehearsal", made[0], made[1], model, "a rehearsal")


def crowd(spend: dict[str, tuple[float, float]], many: int = 30) -> tuple[dict[str, tuple[str, float]], ...]:
    """So many customers of each key, alike but for a little, with their spend in both halves."""
    rng = np.random.default_rng(1)
    who = [(key, f"{key}{i:03d}", rng.normal(1, 0.05, 2)) for key, i in product(spend, range(many))]
    return tuple({name: (key, spend[key][half] * off[half]) for key, name, off in who} for half in range(2))


def test_figures_are_as_counted_by_hand() -> None:
    first = {"a": ("A", 100.0), "b": ("A", 80.0), "c": ("B", 10.0), "d": ("B", 20.0)}
    second = {"a": ("A", 90.0), "c": ("B", 30.0), "d": ("A", 70.0), "e": ("B", 8.0)}
    found = later.read(pair(first, second), confidence=0.95)
    table = found.segments.set_index("segment_key")
    assert table.index.tolist() == ["A", "B", "all"]
    assert table["customers"].tolist() == [2, 2, 4]
    assert table["spend_first"].tolist() == [90.0, 15.0, 52.5]
    assert table["spend_later"].tolist() == [45.0, 50.0, 47.5]  # b did not come back: 0
    assert table["customers_back"].tolist() == [2, 2, 4]
    assert table["spend_back"].tolist() == [80.0, 19.0, 49.5]
    assert table["earlier"].tolist() == [60.0, 5.0, 32.5]
    assert table.loc["A", ["change", "change_back"]].tolist() == pytest.approx([45 / 90 - 1, 60 / 80 - 1])
    forward, back = 50 / 15, 5 / 19
    assert table.loc["B", "regression"] == pytest.approx(np.sqrt(forward * back) - 1)
    assert table.loc["B", "beyond"] == pytest.approx(np.sqrt(forward / back) - 1)
    # seen in both halves: a, c, d at 100, 10, 20 and 90, 30, 70: heavy, light, medium in both
    assert found.kept_third == 1.0
    assert found.thirds["customers"].tolist() == [1, 1, 1, 3]
    # between the segments' means of 90 and 15 later spend falls from 50 to 45
    assert found.slope == pytest.approx((45 - 50) / (90 - 15))
    means, spend = np.array([90, 90, 15, 15]), np.array([100, 80, 10, 20])
    assert found.explained_first == pytest.approx(((means - 52.5) ** 2).sum() / ((spend - 52.5) ** 2).sum())


def test_the_interval_is_that_of_a_bootstrap_of_customers() -> None:
    rng = np.random.default_rng(4)
    habit = rng.lognormal(3, 0.8, 600)
    spend = habit * rng.lognormal(0, 0.5, (2, 600))
    looked = [{f"c{i:03d}": ("A" if s > 30 else "B", s) for i, s in enumerate(one)} for one in spend]
    found = later.read(pair(*looked), confidence=0.9).segments.set_index("segment_key")
    logs = []
    for _ in range(400):
        one, other = spend[:, rng.integers(0, 600, 600)]
        own, back = one <= 30, other <= 30
        logs.append((np.log(other[own].sum() / one[own].sum()) - np.log(one[back].sum() / other[back].sum())) / 2)
    width = np.log1p(found.loc["B", "beyond_high"]) - np.log1p(found.loc["B", "beyond_low"])
    assert width == pytest.approx(2 * 1.96 * np.std(logs), rel=0.15)  # two segments at 90 %: 95 % each


def test_what_grows_for_everybody_is_no_regression() -> None:
    found = later.read(pair(*crowd({"A": (100.0, 150.0), "B": (10.0, 15.0)})), confidence=0.95)
    table = found.segments.set_index("segment_key")
    assert table["beyond"].to_numpy() == pytest.approx(0.5, abs=0.02)
    assert table["regression"].to_numpy() == pytest.approx(0.0, abs=0.02)
    assert (table["beyond_low"] > 0.4).all()
    assert found.slope == pytest.approx(1.5, abs=0.05)
    assert "the interval" not in found.sentence
    assert "is a change of" in found.change_sentence(found.segments)


def habits(growth: float, seed: int = 3, many: int = 400) -> ibis.Table:
    """Half a year's and half a year's purchases of customers with habits of their own; the light third may grow."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.5, 8.0, many)
    light = rate <= np.quantile(rate, 1 / 3)
    rows = []
    for half, start in enumerate((0, 180)):
        who = np.repeat(np.arange(many), rng.poisson(rate * (1 + growth * light * half)))
        rows.append(pd.DataFrame({"who": who, "day": start + rng.uniform(0, 180, len(who))}))
    table = pd.concat(rows, ignore_index=True)
    return ibis.memtable(
        pd.DataFrame(
            {
                "customer_id": [f"c{who:03d}" for who in table["who"]],
                "order_id": [f"o{i:06d}" for i in range(len(table))],
                "ordered_at": [pd.Timestamp("2025-01-01") + timedelta(days=day) for day in table["day"]],
                "amount": rng.lognormal(3, 0.3, len(table)).round(2),
            }
        )
    )


def rehearsed(transactions: ibis.Table) -> later.Later:
    seen = window(transactions)
    table = build(transactions, seen)
    model = clustering.segment(table, clustering.scale(table, FEATURES), 3, starts=3, seed=1)
    now = looks.Look("now", seen, table, model.assign(table))
    found = looks.compare(transactions, None, now, model, categories=1, starts=3, seed=1)
    return later.read(found, confidence=0.95)


def test_where_habits_never_change_all_of_it_is_regression_to_the_mean() -> None:
    found = rehearsed(habits(0.0))
    own = found.segments[found.segments["segment_key"] != "all"]
    assert ((own["beyond_low"] < 0) & (own["beyond_high"] > 0)).all()
    least = own.iloc[-1]
    assert least["change"] > 0.1
    assert least["regression"] == pytest.approx(least["change"], abs=0.1)
    assert "no change beyond it shows" in found.sentence
    assert found.sentence.startswith("The segments still differ")
    assert 0 < found.slope_low < found.slope < found.slope_high < 1.1
    assert found.explained_later < found.explained_first
    assert 0.5 < found.kept_third < 0.95


def test_a_growth_of_the_light_third_shows_beyond_it() -> None:
    light = rehearsed(habits(1.0)).thirds.set_index("segment_key").loc["light"]
    assert light["beyond_low"] > 0
    assert light["beyond"] < light["change"]


def test_segments_that_differ_no_more_are_told_so() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.lognormal(3, 0.5, (2, 200))
    first = {f"c{i:03d}": ("A" if spend > 20 else "B", spend) for i, spend in enumerate(one)}
    second = {f"c{i:03d}": ("A" if spend > 20 else "B", spend) for i, spend in enumerate(other)}
    found = later.read(pair(first, second), confidence=0.95)
    assert found.sentence.startswith("The segments do not clearly differ any more")
    assert found.slope_low < 0 < found.slope_high


def test_a_segment_that_spent_nothing_later_has_no_change_to_explain() -> None:
    first = {"a": ("A", 100.0), "b": ("A", 80.0), "c": ("B", 10.0), "d": ("B", 20.0)}
    found = later.read(pair(first, {"a": ("A", 90.0), "b": ("A", 85.0)}), confidence=0.95)
    table = found.segments.set_index("segment_key")
    assert np.isnan(table.loc["B", "change"])
    assert table.loc["B", "spend_later"] == 0
    assert "A went" in found.sentence
    across_figures.later(found, "euro")


def test_equal_spend_stays_in_one_third() -> None:
    thirds = later._thirds(pd.Series([5.0, 5.0, 5.0, 5.0, 9.0, 9.0]))
    assert thirds.tolist() == ["light"] * 4 + ["heavy"] * 2


@pytest.mark.parametrize("kind", ["none", "month", "restated", "back"])
def test_only_a_rehearsal_is_read(kind: str) -> None:
    made = pair(*crowd({"A": (100.0, 100.0), "B": (10.0, 10.0)}))
    other = Compared(kind, made.before, made.now, made.model, "because of this")
    with pytest.raises(DataError, match=f"'{kind}'; it must be 'rehearsal'; because of this"):
        later.read(other, confidence=0.95)


def test_one_segment_alone_cannot_differ() -> None:
    with pytest.raises(DataError, match="at least 2 are needed"):
        later.read(pair(*crowd({"A": (100.0, 90.0)}), keys="A"), confidence=0.95)


def test_the_picture_says_what_is_left() -> None:
    found = later.read(pair(*crowd({"A": (100.0, 90.0), "B": (10.0, 12.0)})), confidence=0.95)
    title = across_figures.later(found, "euro").get_suptitle().replace("\n", " ")
    assert title.startswith(f"{found.slope:.0%} of the differences in spend are left in the later half; B went")

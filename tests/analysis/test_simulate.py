"""Generated data: the same from the same seed, the same as committed, and with the truth that is claimed."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import sample_shop
from segmentkit.analysis import features, simulate
from segmentkit.analysis.clustering import Scaling, Segmentation
from segmentkit.analysis.methods import KMeans
from segmentkit.contracts import TABLES
from segmentkit.machinery.runs import connect
from segmentkit.machinery.threads import cap_environment

cap_environment()

# loaded by path: tests are not a package, and this file may be collected alone
SPEC = importlib.util.spec_from_file_location("make_sample", Path(__file__).parents[1] / "make_sample.py")
make_sample = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_sample)


def test_the_same_seed_makes_the_same_shop_and_another_another() -> None:
    one, same, other = (simulate.generate_shop(80, seed) for seed in (1, 1, 2))
    for name, table in one.tables.items():
        assert_frame_equal(table, same.tables[name], check_exact=True)
    assert_frame_equal(one.truth, same.truth, check_exact=True)
    assert one.net_benefit == same.net_benefit != other.net_benefit
    assert not one.tables["transactions"].equals(other.tables["transactions"])


def test_the_committed_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    make_sample.write(sample_shop.sample_shop(), tmp_path)
    committed = make_sample.read()
    assert {path.name for path in tmp_path.iterdir()} <= {path.name for path in make_sample.SAMPLE.iterdir()}
    assert set(committed) == {"truth", *sample_shop.sample_shop(80).tables}
    for name, table in committed.items():
        if name in make_sample.PARQUET:
            assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), table, check_exact=True)
        else:
            assert_frame_equal(pd.read_csv(tmp_path / f"{name}.csv", dtype=str), table)
    kept = json.loads((make_sample.SAMPLE / "truth.json").read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "truth.json").read_text(encoding="utf-8")) == kept


def test_the_shop_keeps_the_shared_tables_contract() -> None:
    shop = simulate.generate_shop(120, 3)
    lines = shop.tables["transactions"]
    for name, table in shop.tables.items():
        assert set(TABLES[name].required) <= set(table.columns)
    known = set(shop.tables["customers"]["customer_id"])
    assert set(lines["customer_id"]) == known
    assert set(shop.tables["responses"]["customer_id"]) <= set(shop.tables["contacts"]["customer_id"]) <= known
    assert lines["order_id"].is_unique
    assert lines["ordered_at"].is_monotonic_increasing
    assert lines["ordered_at"].between("2024-01-01", "2026-01-01").all()
    assert (lines["amount"] > 0).all()
    assert (lines["amount"] == lines["amount"].round(2)).all()
    assert lines["margin"].sum() == pytest.approx(simulate.MARGIN_RATE * lines["amount"].sum())


def test_half_are_mailed_and_the_mailed_are_those_contacted() -> None:
    tables = simulate.generate_shop(121, 3).tables
    mailed = tables["assignments"].query("arm == 'mailed'")["customer_id"]
    assert len(mailed) == 61
    assert set(mailed) == set(tables["contacts"]["customer_id"])
    assert (tables["assignments"]["designed_share"] == 0.5).all()


@pytest.fixture(scope="module")
def thirty_shops() -> pd.DataFrame:
    """What every customer of thirty shops did in the campaign's days."""
    parts = []
    for seed in range(30):
        shop = simulate.generate_shop(400, seed)
        lines = shop.tables["transactions"]
        during = lines[lines["ordered_at"].between("2025-10-01", "2025-11-12", inclusive="left")]
        did = during.groupby("customer_id").agg(orders=("order_id", "size"), margin=("margin", "sum"))
        people = shop.tables["assignments"].merge(shop.truth, on="customer_id").join(did, on="customer_id")
        parts.append(people.fillna({"orders": 0, "margin": 0.0}).assign(seed=seed, net_benefit=shop.net_benefit))
    return pd.concat(parts, ignore_index=True)


def test_the_planted_net_benefit_is_what_a_campaign_brings(thirty_shops: pd.DataFrame) -> None:
    errors = []
    for _, shop in thirty_shops.groupby("seed"):
        # kinds differ far more than the effect, so compare inside each kind
        means = shop.groupby(["kind", "arm"])["margin"].mean().unstack()
        share = shop["kind"].value_counts(normalize=True)
        gain = ((means["mailed"] - means["held back"]) * share).sum() - simulate.COST_PER_CONTACT
        errors.append(gain - shop["net_benefit"].iloc[0])
    spread = np.std(errors, ddof=1) / np.sqrt(len(errors))
    assert abs(np.mean(errors)) < 4 * spread
    assert 4 * spread < thirty_shops["net_benefit"].mean(), "otherwise the test could not tell it from nothing"


def test_every_kind_places_the_planted_extra_orders(thirty_shops: pd.DataFrame) -> None:
    for kind in simulate.KINDS:
        own = thirty_shops[thirty_shops["kind"] == kind.name]
        sides = [own.loc[own["arm"] == arm, "orders"] for arm in ("mailed", "held back")]
        spread = np.sqrt(sum(side.var() / len(side) for side in sides))
        assert abs(sides[0].mean() - sides[1].mean() - kind.extra_orders) <= 4 * spread


def test_kinds_have_their_shares(thirty_shops: pd.DataFrame) -> None:
    shares = thirty_shops["kind"].value_counts(normalize=True)
    for kind in simulate.KINDS:
        spread = np.sqrt(kind.share * (1 - kind.share) / len(thirty_shops))
        assert abs(shares[kind.name] - kind.share) < 4 * spread


# --- a test that never took place


def spent(size: int = 101, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    ids = [f"C{i:03d}" for i in range(size)]
    bought = pd.DataFrame({"customer_id": ids, "sales": rng.lognormal(3, 1, size), "orders": 2.0})
    return bought, pd.DataFrame({"customer_id": ids, "segment_key": rng.choice(list("ABC"), size), "distance": 0.1})


def simulated(seed: int = 1) -> simulate.SimulatedTest:
    return simulate.simulate_test(*spent(), lift=0.2, margin_rate=0.3, cost=1.0, seed=seed)


def test_arms_are_balanced_within_segments_to_one_customer() -> None:
    for seed in range(10):
        counts = simulated(seed).outcomes.groupby(["segment_key", "arm"]).size().unstack()
        assert ((counts["mailed"] - counts["held back"]).isin([0, 1])).all()
        assert counts.to_numpy().sum() == 101


def test_the_lottery_follows_the_seed() -> None:
    assert_frame_equal(simulated(1).outcomes, simulated(1).outcomes, check_exact=True)
    assert not simulated(1).outcomes["arm"].equals(simulated(2).outcomes["arm"])


def test_only_the_mailed_are_lifted_and_by_the_stated_share() -> None:
    bought, _ = spent()
    joined = simulated().outcomes.merge(bought, on="customer_id", suffixes=("", "_real"))
    lift = joined["sales"] / joined["sales_real"]
    assert lift[joined["arm"] == "mailed"].to_numpy() == pytest.approx(1.2)
    assert lift[joined["arm"] == "held back"].to_numpy() == pytest.approx(1.0)
    assert joined["orders"].equals(joined["orders_real"])


def test_the_truth_is_the_mean_gain_of_everybody_less_the_cost() -> None:
    bought, segments = spent()
    truth = simulated().truth
    gain = bought["sales"] * 0.2 * 0.3 - 1.0
    assert truth["all"] == pytest.approx(gain.mean())
    assert truth["B"] == pytest.approx(gain[segments["segment_key"] == "B"].mean())
    assert list(truth) == ["A", "B", "C", "all"]


def test_over_many_lotteries_the_difference_meets_the_truth() -> None:
    errors = []
    for seed in range(150):
        drawn = simulated(seed)
        means = drawn.outcomes.groupby(["segment_key", "arm"])["sales"].mean().unstack()
        share = drawn.outcomes["segment_key"].value_counts(normalize=True)
        gain = ((means["mailed"] - means["held back"]) * share).sum() * 0.3 - 1.0
        errors.append(gain - drawn.truth["all"])
    assert abs(np.mean(errors)) < 4 * np.std(errors, ddof=1) / np.sqrt(len(errors))


def test_the_demo_test_says_that_it_is_simulated_and_covers_its_truth() -> None:
    lines = connect().create_table("demo", simulate.generate_shop(300, 6).tables["transactions"])
    found = simulate.demo_test(
        lines,
        features.window(lines),
        42,
        Segmentation(
            Scaling(("recency_days", "frequency", "monetary"), (0.0,) * 3, (), ()), ("A", "B", "C"), KMeans(np.eye(3))
        ),
        lift=0.15,
        margin_rate=0.25,
        cost=0.5,
        starts=3,
        seed=2,
        confidence=0.95,
    )
    assert found.label == "SIMULATED · "
    assert found.title.startswith("SIMULATED · ")
    assert found.sentence.startswith("SIMULATED · ")
    assert "a lift of 15% was planted" in found.money_from
    assert found.ratio.fits
    assert found.overall["net_benefit_low"] < found.truth["all"] < found.overall["net_benefit_high"]
    assert set(found.truth) == set(found.table["segment_key"])


# --- the spring e-mail on top


def test_the_spring_email_leaves_the_autumn_mailing_as_it_was() -> None:
    plain, whole = simulate.generate_shop(300, 5), sample_shop.sample_shop(300, 5)
    lines = whole.tables["transactions"]
    assert_frame_equal(
        lines[~lines["order_id"].str.startswith("P")].reset_index(drop=True), plain.tables["transactions"]
    )
    for name in ("contacts", "assignments", "responses"):
        autumn = whole.tables[name].query("campaign_id == 'autumn'").reset_index(drop=True)
        assert_frame_equal(autumn[plain.tables[name].columns], plain.tables[name], check_dtype=False)
    assert lines["ordered_at"].is_monotonic_increasing
    assert lines["order_id"].is_unique


def test_two_offers_and_a_hold_out_of_a_fifth() -> None:
    arms = sample_shop.sample_shop(500, 5).tables["assignments"].query("campaign_id == 'spring'")
    assert arms["arm"].value_counts().to_dict() == {"held back": 100, "10 % off": 200, "free delivery": 200}
    assert arms["arm"].map(sample_shop.SHARES).tolist() == arms["designed_share"].tolist()


def test_the_planted_net_benefit_of_the_offers_is_what_thirty_shops_bring() -> None:
    found = []
    for seed in range(30):
        shop = sample_shop.sample_shop(400, seed)
        arms = shop.tables["assignments"].query("campaign_id == 'spring'").set_index("customer_id")["arm"]
        extra = shop.tables["transactions"].query("order_id.str.startswith('P')")
        margin = extra.groupby("customer_id")["margin"].sum().reindex(arms.index).fillna(0)
        cost = shop.tables["responses"].query("outcome == 'cost'").groupby("customer_id")["value"].sum()
        net = (margin - cost.reindex(arms.index).fillna(0) - sample_shop.EMAIL_COST).groupby(arms).mean()
        planted = shop.planted["spring_net_benefit_per_customer"]
        found.append([net[arm] - planted[arm] for arm in planted])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0)) < 3.5 * error).all()

"""Persona cards: every claim has its figures, chance makes no claims, and gaps are listed."""

import json

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import personas, profiles
from segmentkit.analysis.personas import Persona


def shop(each: int = 300, seed: int = 1, lift: float = 0.0) -> dict[str, pd.DataFrame]:
    """A buys more; with ``lift`` A also lives in towns and buys wine in the evening more often than B."""
    rng = np.random.default_rng(seed)
    ids = [f"c{number:04d}" for number in range(2 * each)]
    first = np.arange(2 * each) < each
    features = pd.DataFrame(
        {
            "customer_id": ids,
            "monetary": np.where(first, 100.0, 20.0) + rng.normal(0, 5, 2 * each),
            "evening_share": rng.beta(2, 6, 2 * each) + lift * 0.3 * first,
            "morning_share": rng.beta(2, 6, 2 * each),
            "category_wine_share": rng.beta(2, 8, 2 * each) + lift * 0.4 * first,
        }
    )
    town = rng.random(2 * each) < 0.4 + lift * 0.3 * first
    people = pd.DataFrame({"customer_id": ids, "home": np.where(town, "town", "country")})
    people["pet"] = rng.choice(["cat", "dog"], 2 * each)
    people.loc[:29, "home"] = None
    segments = pd.DataFrame({"customer_id": ids, "segment_key": np.where(first, "A", "B")})
    return {"features": features, "segments": segments, "people": people}


def cards(tables: dict[str, pd.DataFrame], attributes: bool = True) -> list[Persona]:
    segments = tables["segments"]
    people = tables["people"] if attributes else tables["people"][["customer_id"]]
    profile = profiles.profile(tables["features"], segments)
    size = segments["segment_key"].value_counts()
    checks = pd.DataFrame({"segment_key": list("ABC"), "customers": [*size[["A", "B"]], 0], "share": [0.5, 0.5, 0.0]})
    checks = checks.assign(
        share_of_sales=[0.8, 0.2, 0], sales_per_customer=[100.0, 20.0, np.nan], word="holds", fails=""
    )
    described = profiles.describe_attributes(people, segments)
    return personas.cards(
        tables["features"], segments, profile, described, checks, {"A": "High-spend", "B": "Low-spend"}
    )


def test_what_is_planted_is_claimed_with_its_figures() -> None:
    tables = shop(lift=1.0)
    card = cards(tables)[0]
    claims = {claim.kind: claim for claim in card.claims}
    assert set(claims) == {"marker", "attribute", "habit", "category"}
    known = tables["people"].merge(tables["segments"]).dropna(subset="home")
    own = known[known["segment_key"] == "A"]["home"].eq("town")
    assert (claims["attribute"].value, claims["attribute"].customers) == (pytest.approx(own.mean()), len(own))
    assert claims["attribute"].overall == pytest.approx(known["home"].eq("town").mean())
    assert claims["attribute"].text == (
        f"home town {own.mean():.0%} (all: {known['home'].eq('town').mean():.0%}; n {len(own)})"
    )
    assert claims["habit"].text.startswith("orders in the evening")
    assert claims["category"].text.startswith("of spending on wine")
    for claim in card.claims:
        assert claim.text in card.sentence
    assert card.sentence.startswith("A · High-spend: 300 customers, 50% of all, who bring 80% of sales; ")


def test_chance_makes_no_claims_beyond_the_markers() -> None:
    kinds = [claim.kind for seed in range(5) for card in cards(shop(seed=seed)) for claim in card.claims]
    assert set(kinds) == {"marker"}


def test_a_sure_difference_too_small_to_matter_is_no_claim() -> None:
    tables = shop(each=20_000, lift=0.1)
    family = personas._share_tests(tables["features"], tables["segments"]).set_index(["segment_key", "of"])
    row = family.loc[("A", "evening_share")]
    assert row["p"] < 1e-6
    assert row["value"] < 1.2 * row["overall"]
    assert "habit" not in [claim.kind for claim in cards(tables)[0].claims]


def test_small_cells_stay_hidden() -> None:
    tables = shop()
    rare = tables["people"].assign(pet=["parrot"] * 9 + ["cat"] * 591)  # all nine are A's
    card = cards(tables | {"people": rare})[0]
    assert "parrot" not in card.sentence


def test_what_is_not_known_is_listed() -> None:
    card = cards(shop())[0]
    assert card.not_known == ("home of 30 of 300 customers", "why they buy: purchases do not say")
    bare = shop()
    bare["features"] = bare["features"].drop(columns="category_wine_share")
    assert cards(bare, attributes=False)[0].not_known == (
        "who they are: no attributes", "what they buy: no categories", "why they buy: purchases do not say"
    )  # fmt: skip


def test_a_segment_without_customers_has_a_card_that_says_nothing_more() -> None:
    card = cards(shop())[2]
    assert (card.name, card.customers, card.sales_per_customer, card.claims) == ("no customers", 0, None, ())
    assert card.sentence == "C · no customers: 0 customers, 0% of all, who bring 0% of sales; nothing sets them apart."


def test_a_card_is_plain_data() -> None:
    content = json.loads(json.dumps(cards(shop(lift=1.0))[0].to_dict(), allow_nan=False))
    assert content["sentence"].startswith("A · High-spend")
    assert {"text", "value", "overall", "customers", "kind"} == set(content["claims"][0])

"""Segments by rule: the first that fits decides, on fresh days, and what cannot be read says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import clustering, migration, naming, rules
from segmentkit.analysis.clustering import Segmentation
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.sources import load_source

FEATURES = pd.DataFrame({"customer_id": ["anna", "bert", "cleo", "dora"], "recency_days": [2.0, 40.0, 400.0, 5.0]})
FEATURES["frequency"] = [9, 3, 1, 1]
CONTACTS = pd.DataFrame(
    {
        "customer_id": ["anna", "bert", "bert", "cleo"],
        "event": ["visit", "visit", "click", "visit"],
        "at": pd.to_datetime(["2025-06-29 23:30", "2025-05-01 00:00", "2025-06-28 08:00", "2025-07-01 10:00"]),
    }
)
NONE = CONTACTS.head(0)


def assigned(stated: dict[str, str], contacts: pd.DataFrame = NONE, as_of: str = "2025-07-01") -> dict[str, str]:
    found = rules.assign(stated, FEATURES, contacts, as_of)
    return dict(zip(found["customer_id"], found["segment_key"], strict=True))


def test_the_first_rule_that_fits_decides() -> None:
    told = {"Recent": "recency_days <= 7", "Regular": "frequency >= 3"}
    assert assigned(told) == {"anna": "Recent", "bert": "Regular", "cleo": rules.NO_RULE, "dora": "Recent"}
    assert assigned(dict(reversed(told.items())))["anna"] == "Regular"


def test_without_rules_nobody_has_one() -> None:
    assert set(assigned({}).values()) == {rules.NO_RULE}


def test_days_since_a_contact_count_whole_days_up_to_the_day_itself() -> None:
    found = rules.days_since(CONTACTS, "2025-07-01").set_index("customer_id")
    assert found.loc["anna", "days_since_visit"] == 2
    assert found.loc["bert"].to_dict() == {"days_since_click": 3.0, "days_since_visit": 61.0}
    assert "cleo" not in found.index  # on the day itself, which is not looked at


def test_a_rule_about_visits_is_worked_out_anew_on_another_day() -> None:
    told = {"Visited this week": "days_since_visit <= 7"}
    assert [key for key, rule in assigned(told, CONTACTS).items() if rule != rules.NO_RULE] == ["anna"]
    assert [key for key, rule in assigned(told, CONTACTS, "2025-07-08").items() if rule != rules.NO_RULE] == ["cleo"]


def test_contacts_that_all_come_later_are_as_good_as_none() -> None:
    assert list(rules.days_since(CONTACTS, "2025-01-01").columns) == ["customer_id"]


@pytest.mark.parametrize("condition", ["days_since_visit <= 7", "recency_days <=", "recency_days IN (SELECT 1 FROM x)"])
def test_a_condition_that_cannot_be_read_names_the_rule_and_the_columns(condition: str) -> None:
    with pytest.raises(DataError, match=r"rule 'Fresh': .* cannot be read: .*columns: recency_days, frequency"):
        assigned({"Fresh": condition})


def test_a_condition_neither_invents_customers_nor_reads_files(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("customer_id\nanna\n", encoding="utf-8")
    assert assigned({"All": "false) UNION (SELECT 'nobody'"}) == dict.fromkeys(FEATURES["customer_id"], rules.NO_RULE)
    with pytest.raises(DataError, match="cannot be read"):
        assigned({"File": f"customer_id IN (SELECT customer_id FROM '{tmp_path}/secret.csv')"})


def test_shares_are_told_in_the_order_of_the_rules() -> None:
    told = {"Regular": "frequency >= 3", "Recent": "recency_days <= 7"}
    found = rules.assign(told, FEATURES, NONE, "2025-07-01")
    assert rules.sentence(found, told) == (
        "By rule, the first that fits: Regular 50.0%; Recent 25.0%; no rule fits 25.0%."
    )


@pytest.mark.parametrize("word", [migration.NEW, migration.GONE, rules.NO_RULE])
def test_words_of_the_kits_own_are_no_names_of_rules(word: str, tmp_path: Path) -> None:
    shop = Path(__file__).parents[2] / "data" / "sources" / "sample_shop.toml"
    text = shop.read_text(encoding="utf-8")
    assert "[rules]" in text
    (tmp_path / "shop.toml").write_text(f'{text}"{word}" = "frequency > 1"\n', encoding="utf-8")
    with pytest.raises(ParameterError, match=f"has {word}, a word of the kit's own"):
        load_source(str(tmp_path / "shop.toml"))


# --- rules as the segmentation


def shop(n: int = 200, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"customer_id": [f"C{i:04d}" for i in range(n)], "recency_days": rng.integers(1, 300, n)})
    table["monetary"] = rng.lognormal(4, 1, n).round(2)
    table["region"], table["age"] = rng.choice(["north", "south", None], n), rng.choice([20.0, 40.0, np.nan], n)
    return table


def by_rule(table: pd.DataFrame, kind: str = "rules", **settings: Any) -> Segmentation:
    scaled = clustering.scale(table, ["recency_days", "monetary"])
    return clustering.segment(table, scaled, 0, method=kind, starts=1, seed=1, **settings)


STATED = {
    "Big and fresh": "monetary > 100 AND recency_days <= 100",
    "Northern": "region = 'north'",
    "Nobody": "monetary < 0",
    "Young": "age < 30",
}


def test_stated_rules_are_segments_by_value_with_the_catch_all_last() -> None:
    table = shop()
    model = by_rule(table, stated=STATED)
    segments = model.assign(table)
    named = dict(one.split(" ", 1) for one in model.stated_names)
    told = rules.decide(STATED, table)
    assert segments["segment_key"].map(named).tolist() == told["segment_key"].tolist()
    assert next(iter(named)) == "A"
    assert named["A"] == "Big and fresh"
    assert (named["D"], named["E"]) == ("Nobody", rules.NO_RULE), "an empty one after the others, the catch-all last"
    assert model.rest == "E"
    means = segments.merge(table).groupby("segment_key")["monetary"].mean()
    assert means[["A", "B", "C"]].is_monotonic_decreasing


def test_rules_say_in_words_how_many_fit_each_and_none() -> None:
    table = shop()
    shares = rules.decide(STATED, table)["segment_key"].value_counts(normalize=True)
    assert by_rule(table, stated=STATED).describe() == (
        "Rules, set beforehand, not found in the data: a customer belongs to the first that fits, in this order "
        "(shares when it was made), "
        f"Big and fresh {shares['Big and fresh']:.1%}; Northern {shares['Northern']:.1%}; Nobody 0.0%; "
        f"Young {shares['Young']:.1%}; "
        f"no rule fits {shares[rules.NO_RULE]:.1%}."
    )


def test_the_order_in_which_rules_are_tried_is_no_order_of_keys_and_survives_a_file() -> None:
    stated = {"Zero": "recency_days <= 150", "Alpha": "recency_days <= 200", "Big": "monetary > 50"}
    table = shop()
    model = by_rule(table, stated=stated)
    again = Segmentation.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    assert list(again.method.conditions) == ["Zero", "Alpha", "Big"]
    named = dict(one.split(" ", 1) for one in again.stated_names)
    found = again.assign(table)["segment_key"].map(named)
    assert found.tolist() == rules.decide(stated, table)["segment_key"].tolist()


def test_a_catch_all_of_your_own_leaves_no_other() -> None:
    model = by_rule(shop(), stated={"Big": "monetary > 100", "Everybody else": " TRUE "})
    assert model.rest is None
    assert model.stated_names == ["A Big", "B Everybody else"]


def test_a_customer_who_meets_a_rule_that_was_empty_gets_its_segment() -> None:
    model = by_rule(shop(), stated=STATED)
    new = shop(3).assign(monetary=-1.0, region=None)
    assert set(model.assign(new)["segment_key"]) == {"D"}
    assert model.assign(new)["distance"].notna().all()


def test_names_of_rules_are_shown_and_an_own_name_goes_over_them() -> None:
    model = by_rule(shop(), stated={"Big": "monetary > 100", "Small": "true"})
    profiles = pd.DataFrame(columns=["segment_key", "feature", "difference", "marker"])
    made = {"A": "High-spend", "B": "Low-spend"}
    named = naming.settle(made, profiles, model.keys, own=[*model.stated_names, "B Savers"])
    assert named.names == {"A": "Big", "B": "Savers"}


def test_a_rule_that_nobody_meets_keeps_its_name() -> None:
    model = by_rule(shop(), stated=STATED)
    profiles = pd.DataFrame(columns=["segment_key", "feature", "difference", "marker"])
    named = naming.settle({"A": "High-spend"}, profiles, model.keys, own=model.stated_names)
    assert "Nobody" in named.names.values()


def test_rules_without_rules_are_refused() -> None:
    with pytest.raises(DataError, match=r"method == 'rules', but the source states none; write a section \[rules\]"):
        by_rule(shop(), stated={})


def test_rules_cannot_be_asked_about_encoded_values() -> None:
    with pytest.raises(DataError, match="rules decide on customers' own columns, not on encoded values"):
        by_rule(shop(), stated=STATED).method.labels(np.zeros((2, 2)))


# --- heavy, medium and light


def test_thirds_of_customers_and_thirds_of_sales_by_hand() -> None:
    table = pd.DataFrame({"customer_id": list("abcdefghi"), "monetary": [1.0, 2, 3, 4, 5, 6, 7, 8, 60]})
    assert rules.heavy_light(table) == {
        "Heavy": '"monetary" >= 7.0e0',
        "Medium": '"monetary" >= 4.0e0',
        "Light": "true",
    }
    with pytest.raises(DataError, match="too many equal values to be cut into thirds of the total"):
        rules.heavy_light(table.replace(60, 600), of="total")  # one customer brings more than two thirds
    even = table.assign(monetary=[1.0, 2, 3, 4, 5, 6, 7, 8, 9])  # 45 in all: 9 + 8 bring 17, and with 7 and 6 30
    told = rules.decide(rules.heavy_light(even, of="total"), even)["segment_key"].tolist()
    assert told == ["Light"] * 5 + ["Medium"] * 2 + ["Heavy"] * 2


def test_equal_customers_are_never_parted_and_new_ones_meet_the_old_cut() -> None:
    table = shop().assign(visits=lambda one: one["recency_days"] // 40)
    model = by_rule(table, "heavy_light", by="visits")
    found = model.assign(table).merge(table)
    assert found.groupby("visits")["segment_key"].nunique().max() == 1
    assert model.describe().startswith("Heavy, medium and light, thirds of the customers by visits, set beforehand, ")
    richer = table.assign(visits=table["visits"] + 100)
    assert {one.split(" ", 1)[1] for one in model.stated_names} == {"Heavy", "Medium", "Light"}
    heavy = next(one.split(" ")[0] for one in model.stated_names if one.endswith("Heavy"))
    assert set(model.assign(richer)["segment_key"]) == {heavy}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"by": "region"}, ParameterError, "by == 'region', of == 'customers'; name a numeric feature"),
        ({"of": "sales"}, ParameterError, "of == 'sales'; name a numeric feature, and customers or total"),
        ({"by": "age"}, DataError, "age is missing for some customers"),
        ({"by": "same"}, DataError, "same has too many equal values to be cut into thirds of the customers"),
    ],
)
def test_what_cannot_be_cut_into_thirds_is_refused(settings: dict[str, str], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        rules.heavy_light(shop().assign(same=1.0), **settings)


# --- what is known beside the features


def test_attributes_and_days_since_contacts_are_joined_as_of_a_day() -> None:
    beside = rules.Beside(pd.DataFrame({"customer_id": ["anna", "zoe"], "region": ["north", "south"]}), CONTACTS)
    found = beside.join(FEATURES, "2025-06-01").set_index("customer_id")
    assert found.index.tolist() == FEATURES["customer_id"].tolist()
    assert found["region"].fillna("").tolist() == ["north", "", "", ""]
    assert found["days_since_visit"].fillna(-1).tolist() == [-1, 31, -1, -1]
    assert found["days_since_click"].isna().all(), "clicks came later: nobody had one, and the rule can still be read"
    twice = beside.join(beside.join(FEATURES, "2025-06-01"), "2025-06-01")
    assert twice.columns.tolist() == [*FEATURES.columns, "region", "days_since_visit", "days_since_click"]


def test_answers_are_joined_for_those_who_gave_them() -> None:
    people = pd.DataFrame({"customer_id": ["anna", "zoe"], "region": ["north", "south"]})
    answers = pd.DataFrame({"customer_id": ["bert", "zoe"], "wants_delivery": [1.0, 0.0], "frequency": [9, 9]})
    found = rules.Beside(people, NONE, answers).join(FEATURES, "2025-06-01")
    assert found["wants_delivery"].fillna(-1).tolist() == [-1, 1, -1, -1]
    assert found["region"].fillna("").tolist() == ["north", "", "", ""]
    assert found["frequency"].equals(FEATURES["frequency"]), "a feature stays what it is"
    nobody = rules.Beside(people, NONE, answers.head(0)).join(FEATURES, "2025-06-01")
    pd.testing.assert_frame_equal(nobody, rules.Beside(people, NONE).join(FEATURES, "2025-06-01"))


def test_without_attributes_and_contacts_nothing_is_joined() -> None:
    beside = rules.Beside(FEATURES[["customer_id"]].head(0), NONE)
    pd.testing.assert_frame_equal(beside.join(FEATURES, "2025-06-01"), FEATURES)

"""Segments by rule: the first that fits decides, on fresh days, and what cannot be read says so."""

from pathlib import Path

import pandas as pd
import pytest

from segmentkit.analysis import migration, rules
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

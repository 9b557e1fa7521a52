"""Sensitive names: retail spellings are caught, accidents are not, and allowing takes a name and a reason."""

import pytest

from segmentkit.analysis.sensitive import group_of, refused, stop_at_columns
from segmentkit.errors import ParameterError, PrivacyStop

CAUGHT = {
    "infants": ["BABY FOODS", "BABYFOOD", "BABY HBC", "DIAPERS & DISPOSABLES", "INFANT FORMULA", "Nappies",
                "Baby-Wipes", "BABY FOOD CARROTS", "carrot baby food", "Baby carrots & diapers"],
    "intimate hygiene": ["FEMININE HYGIENE", "FEM HYGN DOUCHES", "Sanitary towels"],
    "pregnancy and fertility": ["FAMILY PLANNING", "PREGNANCY TEST KITS", "Maternity wear", "Condoms", "PROPHYLACTICS"],
    "health": ["COLD AND FLU", "VITAMINS", "VITAMIN - MINERALS", "DIET CNTRL BARS NUTRITIONAL", "DIETARY AID PRODUCTS",
               "PHARMACY", "DRUG GM", "SINUS AND ALLERGY", "EYE AND EAR CARE PRODUCTS", "ADULT INCONTINENCE",
               "Médicaments", "GLUTEN FREE", "NASAL SPRAY AND DROPS", "SMOKING CESSATIONS", "ANTI-ACIDS",
               "category_health_share", "disability"],
    "alcohol, tobacco and drugs": ["BEERS/ALES", "BEERALEMALT LIQUORS", "DOMESTIC WINE", "SPIRITS", "CIGARETTES", "Rum",
                                   "WHISKEY", "whisky", "Gin", "SMOKING TOBACCO", "E-Cig / Vaping"],
    "religion and belief": ["KOSHER FOODS", "Halal meat", "Bibles", "CHARITABLE CONT"],
    "ethnic origin": ["ETHNIC PERSONAL CARE", "HISPANIC", "ethnicity"],
    "gambling": ["Lottery tickets", "Scratch-cards"],
    "money trouble": ["Payday loans", "Debts"],
    "trade unions": ["Trade union dues"],
    "politics": ["Political books"],
    "sex life": ["Adult toys", "LGBTQ"],
}  # fmt: skip
HARMLESS = """SALE|SALES ITEMS|baby carrots|BABY SPINACH|Carrots, baby|baby leaf salad|Baby potatoes|baby back ribs
Babybel|GINGER ALE|ROOT BEER|WINE VINEGAR|RED WINE VINEGAR|cooking wines|SMOKED MEATS|SMOKE DETECTORS|GINGER|ENGINE OIL
TEMPEST|COLD CEREAL|FROZEN|CHRISTMAS SEASONAL|PILLOWS|PRAWNS|DEBIT CARDS|LENTILS|DRUMS|RUMP STEAK|BUNS/ROLLS|LOANED
age|sex|marital_status|CREDIT UNION
PARTY TRAYS|PET VITAMINS|Dog food diet|WINE GUMS|APPLE JUICE & CIDER (50% AND U|rum raisin ice cream|COFFEE
SPORTS DRINKS|MINERAL SPIRITS|SKALE|whale watching|CIGNA|SUSSEX|ESSEX HAM|GREENGAGE|MEDIUM EGGS
PRODUCE|MEDITERRANEAN OLIVES"""


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in CAUGHT.items() for name in names])
def test_sensitive_names_are_caught_in_their_group(group: str, name: str) -> None:
    assert group_of(name.replace("_", " ")).startswith(f"{group}: it may reveal")


@pytest.mark.parametrize("name", HARMLESS.replace("\n", "|").split("|"))
def test_accidents_of_spelling_are_not_caught(name: str) -> None:
    assert group_of(name) == ""


def test_refused_names_go_and_the_rest_keep_their_order() -> None:
    found = refused(["Bread", "BEERS/ALES", "Apples", "BABY FOODS"])
    assert found.free == ("Bread", "Apples")
    assert list(found.reasons) == ["BEERS/ALES", "BABY FOODS"]
    assert found.allowed == {}
    assert "BABY FOODS (infants: it may reveal a birth" in found.sentence
    assert "not complete" in found.sentence


def test_long_lists_are_counted_not_told() -> None:
    beers = [f"BEER {word}" for word in ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX")]
    assert "BEER ONE, BEER TWO, BEER THREE, BEER FOUR and 2 more (alcohol" in refused(beers).sentence


def test_a_name_is_allowed_with_its_reason_even_where_both_hold_colons() -> None:
    found = refused(["BEER:ALE", "BEER"], ["BEER:ALE: licensed: adults only"])
    assert found.allowed == {"BEER:ALE": "licensed: adults only"}
    assert found.free == ("BEER:ALE",)
    assert list(found.reasons) == ["BEER"]
    assert "Switched on by name: BEER:ALE, because licensed: adults only." in found.sentence


def test_allowing_what_is_not_sensitive_changes_nothing() -> None:
    found = refused(["Bread"], ["Bread: we sell it"])
    assert (found.allowed, found.reasons, found.free) == ({}, {}, ("Bread",))


@pytest.mark.parametrize("text", ["BEER", "BEER:", "BEER:  ", "WINE: licensed", "beer licensed", ""])
def test_an_allowed_text_needs_a_known_name_and_a_reason(text: str) -> None:
    with pytest.raises(ParameterError, match="a name in the data, a colon and a reason; write for example"):
        refused(["BEER"], [text])


def test_names_the_table_does_not_know_can_be_added() -> None:
    found = refused(["Windeln", "Brot"], also=["Windeln"])
    assert (found.free, list(found.reasons)) == (("Brot",), ["Windeln"])
    with pytest.raises(ParameterError, match="mend the name"):
        refused(["Brot"], also=["Windel"])


def test_the_stop_says_why_and_how_to_allow() -> None:
    found = refused(["FEMININE HYGIENE", "Bread"])
    found.stop_at(["Bread"])
    with pytest.raises(PrivacyStop) as stopped:
        found.stop_at(["Bread", "FEMININE HYGIENE"])
    assert "intimate hygiene" in str(stopped.value)
    assert "allowed_sensitive = ['FEMININE HYGIENE: your lawful basis and reason']" in str(stopped.value)


def test_a_sensitive_column_about_customers_stops_unless_its_reason_is_stated() -> None:
    with pytest.raises(PrivacyStop, match=r"column == 'religion', a special category"):
        stop_at_columns(["age_band", "religion"], {})
    told = stop_at_columns(["age_band", "religion"], {"religion": "parish magazine, members consented"})
    assert told.endswith("is read because: parish magazine, members consented.")
    assert stop_at_columns(["age_band"], {}).startswith("No column about customers")

"""Naming: a name lives as long as its key and its markers, the analyst's own is kept, and every change is noted."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentkit.analysis import naming, profiles
from segmentkit.analysis.naming import Named
from segmentkit.errors import ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

PREFERRED = ["recency_days", "frequency", "monetary"]


def profile(**segments: dict[str, float]) -> pd.DataFrame:
    """A profile table from the differences alone, e.g. ``profile(A={"monetary": 1.4})``."""
    rows = [
        {"segment_key": key, "feature": name, "difference": differences.get(name, 0.0)}
        for key, differences in segments.items()
        for name in PREFERRED
    ]
    table = pd.DataFrame(rows)
    return table.assign(marker=table["difference"].abs() >= 0.5)


def settled(table: pd.DataFrame, keys: str, **more) -> Named:
    return naming.settle(profiles.names(table, PREFERRED), table, list(keys), **more)


def saved(named: Named) -> dict:
    """As the next run finds it."""
    return json.loads(json.dumps({"keys": sorted(named.names)} | named.to_dict()))


SPENDERS, LAPSED, AVERAGE = {"monetary": 1.0, "frequency": 0.8}, {"recency_days": 0.9}, {}
MAY = profile(A=SPENDERS, B=AVERAGE, C=LAPSED)
FIRST = settled(MAY, "ABC")
# in June the spenders buy no more often than others, and the average ones spend little
JUNE = profile(A={"monetary": 1.0}, B={"monetary": -0.7}, C=LAPSED)


def test_a_first_fit_is_named_by_its_markers_without_a_note() -> None:
    assert FIRST.names == {"A": "High-spend, frequent", "B": "Average in everything measured", "C": "Long-away"}
    assert (FIRST.made, FIRST.own, FIRST.notes) == (FIRST.names, {}, [])


# --- names over time


def test_applied_segments_keep_their_names_and_unsupported_words_are_noted() -> None:
    named = settled(JUNE, "ABC", earlier=saved(FIRST), kept=list("ABC"), frozen=True)
    assert named.names == FIRST.names
    assert named.notes == [
        "A is still called 'High-spend, frequent'; its markers no longer support: frequent.",
        "B is still called 'Average in everything measured'; its markers no longer support: "
        "Average in everything measured.",
    ]


def test_a_refit_renames_what_its_markers_no_longer_support_and_says_so() -> None:
    named = settled(JUNE, "ABC", earlier=saved(FIRST), kept=list("ABC"))
    assert named.names == {"A": "High-spend", "B": "Low-spend", "C": "Long-away"}
    assert named.notes == [
        "A was called 'High-spend, frequent'; its markers now make it 'High-spend'.",
        "B was called 'Average in everything measured'; its markers now make it 'Low-spend'.",
    ]


def test_a_supported_name_stays_though_markers_would_make_a_longer_one() -> None:
    more = profile(A={**SPENDERS, "recency_days": -0.7}, B=AVERAGE, C=LAPSED)
    assert profiles.names(more, PREFERRED)["A"] == "High-spend, frequent, recent"
    named = settled(more, "ABC", earlier=saved(FIRST), kept=list("ABC"))
    assert (named.names["A"], named.notes) == ("High-spend, frequent", [])


def test_a_word_of_strength_is_lost_with_the_strength() -> None:
    strong = settled(profile(A={"monetary": 1.5}, B=AVERAGE), "AB")
    assert strong.names["A"] == "Very high-spend"
    weaker = settled(profile(A={"monetary": 1.0}, B=AVERAGE), "AB", earlier=saved(strong), kept=["A", "B"])
    assert weaker.names["A"] == "High-spend"
    assert weaker.notes == ["A was called 'Very high-spend'; its markers now make it 'High-spend'."]


def test_a_key_that_does_not_live_on_takes_no_name_along() -> None:
    table = profile(A=AVERAGE, C=LAPSED, D=SPENDERS)
    named = settled(table, "ACD", earlier=saved(FIRST), kept=["C"])
    assert named.names == {"A": "Average in everything measured", "C": "Long-away", "D": "High-spend, frequent"}
    assert named.notes == []


@pytest.mark.parametrize("frozen", [True, False])
def test_a_segment_without_customers_keeps_its_name_and_is_noted(frozen: bool) -> None:
    named = settled(profile(A=SPENDERS, B=AVERAGE), "ABC", earlier=saved(FIRST), kept=list("ABC"), frozen=frozen)
    assert named.names["C"] == "Long-away"
    assert named.notes == ["C (Long-away) has no customers now."]


def test_a_segment_that_never_had_customers_says_so() -> None:
    assert settled(MAY, "ABCD").names["D"] == "no customers"


def test_a_segment_that_was_empty_gets_a_name_with_its_first_customers() -> None:
    empty = settled(profile(A=SPENDERS, B=AVERAGE), "ABC")
    assert empty.names["C"] == "no customers"
    named = settled(MAY, "ABC", earlier=saved(empty), kept=list("ABC"), frozen=True)
    assert named.names["C"] == "Long-away"


def test_models_saved_before_there_were_own_names_are_understood() -> None:
    old = {"names": FIRST.names}
    assert settled(MAY, "ABC", earlier=old, kept=list("ABC"), frozen=True) == FIRST


DIFFERENCES = st.sampled_from([-1.5, -0.7, 0.0, 0.7, 1.5])
SEGMENTS = st.dictionaries(
    st.sampled_from("ABCD"), st.fixed_dictionaries(dict.fromkeys(PREFERRED, DIFFERENCES)), min_size=1
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SEGMENTS, st.booleans(), st.sets(st.sampled_from("ABCD"))), min_size=1, max_size=4))
def test_names_stay_unique_over_the_months(months: list) -> None:
    earlier = None
    for segments, frozen, kept in months:
        named = settled(profile(**segments), "ABCD", earlier=earlier, kept=sorted(kept), frozen=frozen)
        assert list(named.names) == list("ABCD")
        assert len(set(named.names.values())) == 4
        earlier = saved(named)


def test_two_keys_that_come_to_the_same_name_are_told_apart_by_their_key() -> None:
    table = profile(A={"monetary": 1.0}, B={"monetary": 0.9}, C=LAPSED)
    before = {"made_names": {"A": "High-spend", "B": "High-spend", "C": "Long-away"}}
    named = settled(table, "ABC", earlier=before, kept=list("ABC"), frozen=True)
    assert named.names == {"A": "High-spend (A)", "B": "High-spend (B)", "C": "Long-away"}
    again = settled(table, "ABC", earlier=saved(named), kept=list("ABC"), frozen=True)
    assert (again.names, again.notes) == (named.names, [])


# --- the analyst's own names


def test_an_own_name_is_shown_and_the_made_one_kept_beside_it() -> None:
    named = settled(MAY, "ABC", own=["A Regulars", "  C Sleepers of the north "])
    assert named.names == {"A": "Regulars", "B": "Average in everything measured", "C": "Sleepers of the north"}
    assert named.made == FIRST.made
    assert named.notes == []


@pytest.mark.parametrize("frozen", [True, False])
def test_an_own_name_is_carried_over(frozen: bool) -> None:
    first = settled(MAY, "ABC", own=["A Regulars"])
    second = settled(MAY, "ABC", earlier=saved(first), kept=list("ABC"), frozen=frozen)
    third = settled(MAY, "ABC", earlier=saved(second), kept=list("ABC"), frozen=frozen)
    assert third.names["A"] == "Regulars"
    assert (second.notes, third.notes) == ([], [])


def test_an_own_name_is_flagged_when_the_made_name_has_changed() -> None:
    first = settled(MAY, "ABC", own=["A Regulars"])
    second = settled(JUNE, "ABC", earlier=saved(first), kept=list("ABC"))
    assert second.names["A"] == "Regulars"
    told = (
        "A is called 'Regulars' by you, given when its markers made it 'High-spend, frequent'; they now make it "
        "'High-spend'."
    )
    assert told in second.notes
    third = settled(JUNE, "ABC", earlier=saved(second), kept=list("ABC"))
    assert third.notes == [told], "and it stays flagged"


def test_an_own_name_is_not_flagged_while_its_markers_carry_it() -> None:
    first = settled(MAY, "ABC", own=["A Regulars"])
    more = profile(A={**SPENDERS, "recency_days": -0.7}, B=AVERAGE, C=LAPSED)
    assert settled(more, "ABC", earlier=saved(first), kept=list("ABC")).notes == []


def test_an_own_name_given_anew_is_flagged_no_more() -> None:
    first = settled(MAY, "ABC", own=["A Regulars"])
    second = settled(JUNE, "ABC", earlier=saved(first), kept=list("ABC"), own=["A Big spenders"])
    assert second.names["A"] == "Big spenders"
    assert not any("by you" in note for note in second.notes)


def test_an_own_name_that_the_next_run_inherits_as_a_parameter_is_flagged_too() -> None:
    own = ["A Regulars"]
    first = settled(MAY, "ABC", own=own)
    second = settled(JUNE, "ABC", earlier=saved(first), kept=list("ABC"), own=own)
    assert any("A is called 'Regulars' by you, given when" in note for note in second.notes)


def test_an_own_name_of_a_key_that_is_gone_is_shown_nowhere() -> None:
    first = settled(MAY, "ABC", own=["C Sleepers"])
    second = settled(profile(A=SPENDERS, B=AVERAGE), "AB", earlier=saved(first), kept=["A", "B"])
    assert second.names == {"A": "High-spend, frequent", "B": "Average in everything measured"}
    assert second.notes == []


@pytest.mark.parametrize("text", ["Regulars", "A", "A ", "D Regulars", "a Regulars", "A: Regulars", ""])
def test_an_own_name_that_is_no_key_and_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterError) as refused:
        settled(MAY, "ABC", own=["B Fine", text])
    assert str(refused.value) == (f"own_names holds {text!r}; write a key of A, B, C and the name, e.g. 'A Regulars'")


@pytest.mark.parametrize("own", [["A Regulars", "B Regulars"], ["A Long-away"]], ids=str)
def test_an_own_name_is_no_other_segments_name(own: list[str]) -> None:
    try:
        named = settled(MAY, "ABC", own=own)
    except ParameterError:
        return  # to refuse it would do as well
    assert len(set(named.names.values())) == 3

"""Themes of open answers: planted words are found, nothing personal is shown, and the same answers give the same."""

import json

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import themes
from segmentkit.contracts import Column
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

SAID = {
    "price": ("low prices and offers", "low prices every week", "prices are low", "Low prices, good offers!"),
    "fresh": ("fresh fruit and bread", "bread is fresh", "fresh vegetables, fresh fruit"),
    "nothing": ("dunno", "habit", ""),
}


def asked(n: int = 240, seed: int = 3) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    truth = rng.choice(list(SAID), n, p=[0.5, 0.3, 0.2])
    text = [str(rng.choice(SAID[about])) for about in truth]
    table = pd.DataFrame({"customer_id": [f"C{i:03d}" for i in rng.permutation(n)], "why": text})
    return table, pd.Series(truth)


@pytest.fixture(scope="module")
def found() -> themes.Themes:
    return themes.find(asked()[0], "why", 2, seed=1, ignore=["and", "are"])


def test_planted_themes_are_told_apart_and_the_rest_has_none(found) -> None:
    table, truth = asked()
    items = found.apply(table)
    answered = table["why"] != ""
    about_price = items["why_theme_1"][answered] == 1
    assert (about_price == (truth[answered] == "price")).all()
    assert ((items["why_theme_2"][answered] == 1) == (truth[answered] == "fresh")).all()
    assert items.loc[~answered, ["why_theme_1", "why_theme_2"]].isna().all(axis=None)
    assert found.answered == answered.sum()
    assert found.without_theme == pytest.approx((truth[answered] == "nothing").mean())
    assert found.typical["share"].tolist() == pytest.approx([(truth[answered] == a).mean() for a in ("price", "fresh")])


def test_typical_words_and_answers_stand_in_the_sentence_and_table(found) -> None:
    assert found.typical["words"].iloc[0].startswith(("low", "prices"))
    assert found.typical["words"].iloc[1] == "fresh, bread, fruit, vegetables"
    assert "and" not in found.words
    assert "2 themes in " in found.sentence
    assert found.sentence.endswith("Grouped by shared words only: read some answers before you name one.")


def test_a_saved_set_of_themes_says_the_same_and_holds_no_answer(found) -> None:
    table, _ = asked()
    text = json.dumps(found.to_dict())
    kept = themes.Themes.from_dict(json.loads(text))
    assert kept.apply(table).equals(found.apply(table))
    assert "typical_answers" not in text
    assert kept.sentence == found.sentence


def test_the_order_of_the_answers_changes_nothing(found) -> None:
    table, _ = asked()
    again = themes.find(table.sample(frac=1, random_state=1), "why", 2, seed=1, ignore=["and", "are"])
    assert again.words == found.words
    assert again.parts == pytest.approx(found.parts)
    assert again.typical.equals(found.typical)


def test_answers_in_other_words_have_no_theme(found) -> None:
    new = pd.DataFrame({"customer_id": ["a", "b", "c"], "why": ["parking", "FRESH bread", None]})
    items = found.apply(new)
    assert items["why_theme_2"].tolist()[:2] == [0.0, 1.0]
    assert np.isnan(items["why_theme_2"].iloc[2])


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("mail me at jo.doe@shop.org please", "mail me at … please"),
        ("call +49 170 123 45 67 or 030/123456", "call … or …"),
        ("see https://shop.org/me and @jo", "see … and …"),
        ("2 of 3  visits", "2 of 3 visits"),
        ("word " * 30, "word " * 13 + "…"),
    ],
)
def test_answers_are_shown_short_and_without_addresses(answer: str, shown: str) -> None:
    assert themes.masked(answer) == shown


def test_what_cannot_be_grouped_is_refused() -> None:
    table, _ = asked()
    with pytest.raises(ParameterError, match="themes == 1; it must be at least 2"):
        themes.find(table, "why", 1, seed=1)
    with pytest.raises(DataError, match="answers to why; themes need at least 50"):
        themes.find(table.head(40), "why", 2, seed=1)
    lone = pd.DataFrame({"customer_id": range(80), "why": [f"word{i}x" for i in range(80)]})
    with pytest.raises(DataError, match="0 words repeat in the answers to why; 2 themes need as many"):
        themes.find(lone, "why", 2, seed=1)


def test_themes_stand_in_place_of_the_open_item_and_those_of_an_item_asked_no_more_are_left_out(found) -> None:
    table, _ = asked()
    items = [Column("why", "open"), Column("likes_browsing", "binary")]
    answers, now = themes.add(table.assign(likes_browsing=1.0), items, [found])
    assert answers.columns.tolist() == ["customer_id", "likes_browsing", "why_theme_1", "why_theme_2"]
    assert [(one.name, one.kind) for one in now] == [(name, "binary") for name in answers.columns[1:]]
    without, left = themes.add(table[["customer_id"]], [], [found])
    assert (without.columns.tolist(), left) == (["customer_id"], [])

"""Page one on campaigns by lot: what may be said, and what may not."""

from typing import Any

import pytest

from segmentkit.machinery.cards import cards_of, next_steps


def money(value: float | None) -> str:
    return f"{value:.2f}"


def lottery(word: str, low: float | None, *, fits: bool = True, why: str = "") -> dict[str, Any]:
    high = None if low is None else low + 1
    row = {"segment_key": "all", "word": word, "why": why, "net_benefit_low": low, "net_benefit_high": high}
    segment = row | {"segment_key": "A", "word": "cannot tell"}
    return {"campaign_id": "autumn", "arm": "mailed", "ratio_fits": fits, "value": "net_benefit", "sentence": "S.",
            "shrunk": "", "rows": [segment, row]}  # fmt: skip


def found(*tests: dict[str, Any]) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        key: {} for key in ("validated", "explored", "data", "clustered", "activated", "monitored")
    }
    return nothing | {"measured": {"tests": list(tests), "readings": [], "lifetime": ""}}


@pytest.mark.parametrize(
    ("test", "answer", "tone"),
    [
        (lottery("scale", 0.5), "Autumn, mailed: extra profit per customer likely between 0.50 and 1.50.", "good"),
        (lottery("test more", 0.5), "Cannot tell yet: extra profit per customer likely between 0.50", "cannot"),
        (lottery("cannot tell", None, why="too few buyers"), "Cannot tell yet: too few customers bought.", "cannot"),
        (
            lottery("cannot tell", None, why="arms have other shares"),
            "Cannot tell yet: arms have other shares.",
            "cannot",
        ),
        (lottery("cannot tell", None, fits=False), "Cannot tell, because the sample ratio is off.", "cannot"),
    ],
)
def test_the_answer_says_no_more_than_the_word(test: dict[str, Any], answer: str, tone: str) -> None:
    [card] = cards_of(found(test), money)
    assert card["answer"].startswith(answer)
    assert card["tone"] == tone


def test_a_test_that_is_not_read_is_named_and_not_repeated_blindly() -> None:
    off = lottery("cannot tell", None, fits=False) | {"campaign_id": "spring"}
    [card] = cards_of(found(lottery("scale", 0.5), off), money)
    assert "Not read, the sample ratio is off: spring, mailed." in card["sure"]
    steps = next_steps(found(off), money)
    assert steps == ["Find out where customers of spring, mailed were lost or added; until then it is not read."]

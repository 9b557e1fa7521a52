"""Probable links: only across systems, only proposed, right as often as they say, and without a name in them."""

import sys

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import linkage
from segmentkit.errors import DataError, EnvironmentFault

FIRST = [f"{start}{end}" for start in ("Ann", "Ber", "Clar", "Dav", "Ev") for end in ("a", "nd", "ito", "elina")]
LAST = [f"{start}{end}" for start in ("Schmid", "Wag", "Hoff", "Kra", "Leh") for end in ("t", "ner", "mann", "se")]


def typed_wrong(text: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(0, len(text) - 1))
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def people(n: int, seed: int) -> pd.DataFrame:
    """n people, 70 % in each system at random; a tenth of the entries with two signs swapped, a twentieth missing."""
    rng = np.random.default_rng(seed)
    born = pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 24_000, n), unit="D")
    truth = pd.DataFrame(
        {
            "first_name": rng.choice(FIRST, n),
            "last_name": rng.choice(LAST, n),
            "postcode": rng.integers(10_000, 10_300, n).astype(str),
            "birth_date": born.strftime("%Y-%m-%d"),
        }
    )
    parts = []
    for system in ("crm", "shop"):
        part = truth[rng.random(n) < 0.7].astype(object)
        for name in part:
            part[name] = [typed_wrong(text, rng) if rng.random() < 0.1 else text for text in part[name]]
            part.loc[rng.random(len(part)) < 0.05, name] = None
        parts.append(part.assign(system=system, customer_id=[f"{system}{i}" for i in part.index]))
    return pd.concat(parts, ignore_index=True)


def person(ids: pd.Series) -> pd.Series:
    return ids.str.extract(r"(\d+)$")[0]


@pytest.fixture(scope="module")
def proposed() -> tuple[pd.DataFrame, linkage.Proposals]:
    pytest.importorskip("splink")
    given = people(3_000, seed=5)
    return given, linkage.propose(given, 0.95, seed=7)


def test_links_are_right_as_often_as_they_say(proposed: tuple[pd.DataFrame, linkage.Proposals]) -> None:
    given, found = proposed
    right = person(found.table["customer_id"]) == person(found.table["other_id"])
    true = given["customer_id"].pipe(person).value_counts().eq(2).sum()
    assert right.mean() >= 0.95
    assert right.sum() >= 0.6 * true


def test_links_run_between_systems_once_each_and_hold_no_name(proposed: tuple[pd.DataFrame, linkage.Proposals]) -> None:
    found = proposed[1]
    assert (found.table["system"] != found.table["other"]).all()
    assert not found.table["customer_id"].duplicated().any()
    assert not found.table["other_id"].duplicated().any()
    assert found.table["probability"].between(0.95, 1).all()
    assert list(found.table) == ["customer_id", "other_id", "system", "other", "probability", "agreed"]
    words = {word.removesuffix(" (nearly)") for text in found.table["agreed"] for word in text.split(", ")}
    assert words <= {"first name", "last name", "postcode", "birth date"}
    assert f"{len(found.table):,} further links" in found.sentence


def test_the_order_of_rows_changes_nothing(proposed: tuple[pd.DataFrame, linkage.Proposals]) -> None:
    given, found = proposed
    turned = linkage.propose(given.iloc[::-1], 0.95, seed=7)
    pd.testing.assert_frame_equal(turned.table, found.table)


def test_who_is_in_both_systems_already_is_linked_to_nobody(proposed: tuple[pd.DataFrame, linkage.Proposals]) -> None:
    given, found = proposed
    one, other = found.table.loc[0, ["customer_id", "other_id"]]
    joined = given.assign(customer_id=given["customer_id"].replace(other, one))
    again = linkage.propose(joined, 0.95, seed=7).table
    assert one not in set(again["customer_id"]) | set(again["other_id"])


def test_without_splink_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(EnvironmentFault, match="pip install 'splink"):
        linkage.propose(people(300, seed=1), seed=7)


@pytest.mark.parametrize("change", [{"birth_date": None, "postcode": None}, {"system": "shop"}])
def test_too_little_to_tell_people_apart_is_refused(change: dict[str, str | None]) -> None:
    with pytest.raises(DataError, match="leave it off"):
        linkage.propose(people(300, seed=1).assign(**change), seed=7)


def test_too_few_people_are_refused() -> None:
    with pytest.raises(DataError, match="100 people in each of two systems"):
        linkage.propose(people(60, seed=1), seed=7)


def test_accepted_links_join_what_they_chain_in_the_crosswalk() -> None:
    crosswalk = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "kind": "shop", "key": ["k1", "k2", "k3", "k4"]})
    links = pd.DataFrame({"customer_id": ["b", "c"], "other_id": ["a", "b"]})
    assert linkage.accepted(crosswalk, links)["customer_id"].tolist() == ["a", "a", "a", "d"]
    assert linkage.accepted(crosswalk, links.head(0)).equals(crosswalk)

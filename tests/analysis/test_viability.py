"""Business criteria: each figure beside its own segment, knock-outs first, and nothing said that is not known."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import viability
from segmentkit.analysis.features import Window
from segmentkit.analysis.later import Later
from segmentkit.analysis.looks import Compared, Look
from segmentkit.analysis.stability import Stability
from segmentkit.errors import ParameterError

FLOORS = {"size_floor_share": 0.05, "size_floor": 20}


def contacts(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "channel", "event"], dtype="str")


def shop(keys: str, counts: list[int]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Features, segments and profiles of as many customers in each segment as stated."""
    key = np.repeat(list(keys), counts)
    ids = [f"c{number}" for number in range(len(key))]
    features = pd.DataFrame({"customer_id": ids, "monetary": np.where(key == keys[0], 30.0, 10.0)})
    segments = pd.DataFrame({"customer_id": ids, "segment_key": key})
    there = [one for one, count in zip(keys, counts, strict=True) if count]
    return features, segments, pd.DataFrame({"segment_key": there, "marker": True})


def check(keys: str, counts: list[int], stabilities: tuple[float, ...], sent: pd.DataFrame | None = None,
          rest: str | None = None) -> pd.DataFrame:  # fmt: skip
    features, segments, profiles = shop(keys, counts)
    measured = Stability(len(keys), (0.8,), stabilities, len(features))
    sent = contacts() if sent is None else sent
    found = viability.check(features, segments, profiles, measured, sent, keys=list(keys), rest=rest, **FLOORS)
    return found.set_index("segment_key")


# --- size, stability, markers, reach


def test_each_stability_stands_beside_its_own_segment() -> None:
    found = check("ABD", [40, 60, 50], (0.9, 0.5, 0.7))
    assert found["stability"].to_dict() == {"A": 0.9, "B": 0.5, "D": 0.7}
    assert found["fails"].to_dict() == {"A": "", "B": "not found again", "D": "membership doubtful"}
    assert found["knocked_out"].to_dict() == {"A": "", "B": "not found again", "D": ""}


def test_a_segment_that_nobody_is_in_any_more_says_so() -> None:
    found = check("ABC", [40, 0, 60], (0.9, 0.0, 0.8))
    assert found.loc["B", "fails"] == found.loc["B", "knocked_out"] == "no customers now"
    assert found.loc["B", ["customers", "share", "share_of_sales", "markers"]].tolist() == [0, 0, 0, 0]
    assert np.isnan(found.loc["B", "sales_per_customer"])
    assert found["customers"].sum() == 100


def test_shares_add_up_and_small_segments_are_named() -> None:
    sent = contacts(
        *((f"c{number}", "email", event) for number, event in ((0, "open"), (1, "delivery"), (149, "click")))
    )
    found = check("ABC", [85, 60, 5], (0.9, 0.9, 0.7), sent)
    assert found["share"].sum() == pytest.approx(1)
    assert found["share_of_sales"].sum() == pytest.approx(1)
    assert found["sales_per_customer"].to_dict() == {"A": 30, "B": 10, "C": 10}
    assert (found.loc["C", "fails"], found.loc["C", "knocked_out"]) == ("too small, membership doubtful", "too small")
    assert found.loc["A", "reached_share"] == pytest.approx(2 / 85)


def test_what_no_channel_has_reached_is_out_where_there_are_contacts() -> None:
    visits = contacts(*((f"c{number}", "site", "visit") for number in range(100)))
    assert check("AB", [50, 50], (0.9, 0.9), visits)["reached_share"].isna().all()  # a visit is no contact
    found = check("AB", [50, 50], (0.9, 0.9), pd.concat([visits, contacts(("c1", "email", "delivery"))]))
    assert found["knocked_out"].to_dict() == {"A": "", "B": "no channel has reached it"}
    assert check("AB", [50, 50], (0.9, 0.9))["knocked_out"].to_dict() == {"A": "", "B": ""}


def test_several_reasons_are_all_named_and_those_in_no_group_are_out() -> None:
    features, segments, profiles = shop("AB", [90, 10])
    measured = Stability(2, (0.8,), (0.9, 0.2), 100)
    found = viability.check(
        features, segments, profiles[profiles["segment_key"] == "A"], measured, contacts(), keys=["A", "B"], **FLOORS
    )  # fmt: skip
    assert found["knocked_out"].tolist() == ["", "too small, not found again, nothing sets it apart"]
    assert check("AB", [50, 50], (0.9, 0.9), rest="B")["knocked_out"].to_dict() == {"A": "", "B": "those in no group"}


def test_a_survey_alone_has_no_sales() -> None:
    features, segments, profiles = shop("AB", [50, 50])
    measured = Stability(2, (0.8,), (0.9, 0.9), 100)
    found = viability.check(
        features.drop(columns="monetary"), segments, profiles, measured, contacts(), keys=["A", "B"], **FLOORS
    )  # fmt: skip
    assert found[["share_of_sales", "sales_per_customer"]].isna().all(axis=None)
    assert found["knocked_out"].tolist() == ["", ""]


# --- distinctness and homogeneity


def test_distance_and_spread_are_as_computed_by_hand() -> None:
    # A at 0 and 2, B at 9 and 11: both scatter by 1 around 1 and 10; C lies aside at the same height as B
    values = np.array([[0.0, 0], [2, 0], [9, 0], [11, 0], [10, 30], [10, 34]])
    found = viability.shape(values, np.array([0, 0, 1, 1, 2, 2]), list("ABCD")).set_index("segment_key")
    assert found["nearest"].to_dict() == {"A": "B", "B": "A", "C": "B", "D": ""}
    assert found.loc["A", "distinctness"] == pytest.approx(9)
    # from B to C the line runs straight up: B does not scatter along it, C by 2
    assert found.loc["C", "distinctness"] == pytest.approx(32 / np.sqrt((0 + 4) / 2))
    total = values.var(axis=0).sum()
    assert found["homogeneity"].tolist()[:3] == pytest.approx([1 - 1 / total, 1 - 1 / total, 1 - 4 / total])
    assert found.loc["D", ["distinctness", "homogeneity"]].isna().all()


def test_one_normal_crowd_cut_in_its_middle_gives_the_stated_figure() -> None:
    crowd = np.random.default_rng(2).normal(size=(200_000, 1))
    found = viability.shape(crowd, (crowd[:, 0] > 0).astype(int), ["A", "B"])
    # half normals: means at sqrt(2/pi), variance 1 - 2/pi
    assert found["distinctness"].iloc[0] == pytest.approx(2 * np.sqrt(2 / np.pi) / np.sqrt(1 - 2 / np.pi), rel=0.01)
    assert found["distinctness"].iloc[0] == pytest.approx(viability.HALVED, rel=0.01)
    assert "no proof of separate groups" in viability.shape_sentence(found)


def test_one_segment_has_no_other_to_be_distinct_from() -> None:
    found = viability.shape(np.arange(6.0).reshape(-1, 1), np.zeros(6, dtype=int), ["A"])
    assert found["homogeneity"].tolist() == [0]
    assert "no other to be distinct from" in viability.shape_sentence(found)


def test_segments_without_any_scatter_are_as_distinct_as_can_be() -> None:
    found = viability.shape(np.array([[0.0], [0.0], [1.0]]), np.array([0, 0, 1]), ["A", "B"])
    assert found["distinctness"].tolist() == [np.inf, np.inf]


# --- reach by channel


def test_every_channel_says_whom_it_reached_and_what_they_did() -> None:
    segments = pd.DataFrame({"customer_id": list("abcdef"), "segment_key": list("AAAABB")})
    sent = contacts(
        ("a", "email", "delivery"), ("a", "email", "open"), ("a", "email", "delivery"), ("b", "email", "delivery"),
        ("b", "mail", "delivery"), ("e", "email", "open"), ("f", "site", "visit"), ("z", "email", "click"),
    )  # fmt: skip
    people = pd.DataFrame({"customer_id": list("abcde"), "may_email": [True, False, None, True, False]}, dtype="object")
    found = viability.reach(segments, sent, people, ["email may_email"]).set_index(["segment_key", "channel"])
    assert found.loc[("A", "email"), "reached_share"] == 2 / 4
    assert found.loc[("A", "email"), ["opened_share", "clicked_share"]].tolist() == [1 / 2, 0]
    assert found.loc[("B", "email"), "reached"] == 1  # who opened was reached
    assert found.loc[("A", "email"), "consent_share"] == 2 / 4  # not known is not given
    assert found.loc[("A", "mail"), "consent"] == "not stated"
    assert found.loc[("A", "mail"), ["opened_share", "consent_share"]].isna().all()  # mail records no openings
    assert "site" not in found.index.get_level_values("channel")
    told = viability.reach_sentence(found.reset_index())
    assert told.startswith("Reached at least once: A 50% by email; B 50% by email. Consent is not stated for mail:")


def test_without_contacts_reach_is_not_known_and_consent_still_is() -> None:
    segments = pd.DataFrame({"customer_id": list("ab"), "segment_key": list("AB")})
    people = pd.DataFrame({"customer_id": list("ab"), "may_email": [1, 0]})
    assert "is not known" in viability.reach_sentence(viability.reach(segments, contacts(), people))
    found = viability.reach(segments, contacts(), people, ["email may_email"])
    assert found["consent_share"].tolist() == [1, 0]
    for text in ("sms sms_ok", "may_email"):
        with pytest.raises(
            ParameterError, match=f"consent_columns holds '{text}'; write a channel and a column of cust"
        ):
            viability.reach(segments, contacts(), people, [text])


# --- what lasts


def look(label: str, keys: dict[str, str]) -> Look:
    ids = sorted(keys)
    features = pd.DataFrame({"customer_id": ids, "monetary": 1.0})
    segments = pd.DataFrame({"customer_id": ids, "segment_key": [keys[one] for one in ids]})
    return Look(label, Window(date(2025, 1, 1), date(2025, 7, 1)), features, segments)


def lasted() -> pd.DataFrame:
    """Then A has 10 customers and B 5; today's letters are the other way round; 8 and 2 of them bought again."""
    then = {f"c{number:02d}": "A" if number < 10 else "B" for number in range(15)}
    stayed = [*(f"c{number:02d}" for number in range(8)), "c10", "c11", "new"]
    today = pd.DataFrame({"customer_id": sorted(then), "segment_key": ["B"] * 9 + ["A"] * 6})
    beyond = pd.DataFrame(
        {"segment_key": ["A", "B", "all"], "beyond": [0.2, 0.1, 0.05], "beyond_low": [0.1, -0.1, 0.0],
         "beyond_high": [0.3, 0.3, 0.1]}
    )  # fmt: skip
    pair = Compared("rehearsal", look("first", then), look("second", dict.fromkeys(stayed, "A")), None, "")  # type: ignore[arg-type]
    read = Later(beyond, beyond, *[0.0] * 6, told="")
    return viability.lasting(pair, read, today, confidence=0.95)


def test_retention_and_growth_of_then_stand_under_the_letters_of_today() -> None:
    found = lasted().set_index("segment_key")
    assert found["key_then"].to_dict() == {"A": "B", "B": "A"}
    assert found["retention"].to_dict() == {"A": 2 / 5, "B": 8 / 10}
    assert found["shared"].to_dict() == {"A": 1.0, "B": 0.9}
    assert found["growth"].to_dict() == {"A": 0.1, "B": 0.2}
    assert found["base_growth"].unique().tolist() == [0.05]
    assert found.loc["B", "retention_low"] == pytest.approx(0.490, abs=0.001)  # Wilson, 8 of 10
    assert "not known" in viability.lasting_sentence(None)
    told = viability.lasting_sentence(lasted())
    assert "A 40%, B 80%" in told
    assert "and clearly those of B +20.0% (+10.0% to +30.0%)." in told


def test_all_criteria_in_one_table_and_growth_only_where_it_is_clear() -> None:
    checks = check("ABC", [40, 60, 0], (0.9, 0.9, 0.0)).reset_index()
    shapes = viability.shape(np.arange(100.0).reshape(-1, 1), np.repeat([0, 1], [40, 60]), list("ABC"))
    recognised = pd.DataFrame({"segment_key": ["B", "A"], "precision": [0.7, 0.8], "recall": 0.5, "f1": [0.6, 0.65]})
    found = viability.criteria(checks, shapes, recognised, lasted()).set_index("segment_key")
    assert found["precision"].to_dict() == pytest.approx({"A": 0.8, "B": 0.7, "C": np.nan}, nan_ok=True)
    assert found["clear_growth"].to_dict() == pytest.approx({"A": 0.0, "B": 0.2, "C": np.nan}, nan_ok=True)
    bare = viability.criteria(checks, shapes, None, None)
    assert bare[["precision", "growth", "retention"]].isna().all(axis=None)

"""Who is in which file: default deny, both arms alike, nobody held back, nobody in a file too small."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentkit.analysis import audience
from segmentkit.analysis.draw import HELD_BACK
from segmentkit.analysis.platforms import PLATFORMS
from segmentkit.errors import DataError, ParameterError

AS_OF = date(2026, 6, 1)
IDS = ["email", "phone", "address", "crm_id", "external_id", "postcode"]
NO_CONTACTS = pd.DataFrame(columns=["customer_id", "at", "channel", "event"])
GIVEN = {
    "purpose": "marketing", "as_of": AS_OF, "cap": None, "smallest_group": 1, "match_rate": 0.5, "campaign_id": "next",
    "assigned_at": date(2026, 6, 2),
}  # fmt: skip


def shop(keys: str, arms: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Segments and lottery, one letter a customer: arms h(eld back), r(eached), s(econd)."""
    ids = [f"c{number:04d}" for number in range(len(keys))]
    words = {"h": HELD_BACK, "r": "reached", "s": "second"}
    drawn = {"customer_id": ids, "arm": [words[arm] for arm in arms], "designed_share": 0.5, "stratum": list(keys)}
    return pd.DataFrame({"customer_id": ids, "segment_key": list(keys)}), pd.DataFrame(drawn)


def agreed(ids: pd.Series, channel: str = "email", **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids, "channel": channel, "purpose": "marketing", "granted": True, **more})


def having(ids: pd.Series, *missing: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids} | {name: name not in missing for name in IDS})


def choose(
    keys: str, arms: str, to: list[str] | None = None, *, consents: pd.DataFrame | None = None,
    known: pd.DataFrame | None = None, contacts: pd.DataFrame = NO_CONTACTS, **changed: Any,
) -> audience.Audience:  # fmt: skip
    segments, lottery = shop(keys, arms)
    ids = segments["customer_id"]
    consents = agreed(ids) if consents is None else consents
    known = having(ids) if known is None else known
    return audience.select(
        segments, lottery, consents, known, contacts, to or ["mailchimp email"], **(GIVEN | changed)
    )  # fmt: skip


def row(found: audience.Audience, key: str) -> Mapping[str, Any]:
    return found.funnel.set_index("segment_key").loc[key].to_dict()


# --- consent


def consent_rows(*rows: tuple[str, bool | None, str | None]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["customer_id", "granted", "at"])
    return table.assign(channel="email", purpose="marketing", at=pd.to_datetime(table["at"]))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(True, "2026-01-01")], True),
        ([(True, None)], True),
        ([(False, "2026-01-01"), (True, "2026-02-01")], True),
        ([(True, "2026-02-01"), (False, "2026-01-01")], True),
        ([(True, "2026-01-01"), (False, "2026-02-01")], False),
        ([(True, "2026-01-01"), (False, "2026-01-01")], False),  # at one time any refusal wins
        ([(True, "2026-01-01"), (False, None)], False),  # it may be the latest
        ([(True, None), (False, None)], False),
        ([(True, None), (False, "2026-01-01")], False),
        ([(True, None), (False, "2026-01-01"), (True, "2026-02-01")], True),
        ([(None, "2026-01-01")], False),
        ([(True, "2026-06-01")], False),  # the first day not looked at
        ([(True, "2026-05-31")], True),
        ([(False, "2026-01-01"), (True, "2026-07-01")], False),
        ([(True, "2026-01-01"), (False, "2026-07-01")], False),  # a refusal is heeded once it is known
    ],
)
def test_the_latest_row_counts_and_refusals_win(rows: list[tuple[bool | None, str | None]], expected: bool) -> None:
    table = consent_rows(*(("c", *one) for one in rows))
    for order in (table, table.iloc[::-1]):
        assert audience.allowed(order, "email", "marketing", AS_OF) == ({"c"} if expected else set())


def test_no_row_another_channel_or_another_purpose_is_no_consent() -> None:
    ids = pd.Series(["c0000", "c0001", "c0002"])
    for consents in (agreed(ids).head(0), agreed(ids, "sms"), agreed(ids).assign(purpose="service")):
        found = choose("AAA", "rrh", consents=consents)
        assert found.members.empty
        assert found.held_back.empty
        assert found.assignments.empty
    assert len(choose("AAA", "rrh", consents=agreed(ids, "Email ").assign(purpose=" Marketing")).members) == 2


def test_consents_without_a_time_column_count() -> None:
    assert len(choose("AAA", "rrh").members) == 2


# --- cap, address, playbook


def test_the_cap_counts_deliveries_of_every_channel_in_its_days() -> None:
    rows = [
        ("c0000", "2026-05-31", "email", "delivery"), ("c0000", "2026-05-03", "post", "delivery"),
        ("c0001", "2026-05-31", "email", "delivery"), ("c0001", "2026-05-31", "email", "open"),  # one contact
        ("c0002", "2026-05-31", "email", "delivery"), ("c0002", "2026-05-01", "email", "delivery"),  # too old
        ("c0003", "2026-05-31", "email", "delivery"), ("c0003", "2026-06-01", "email", "delivery"),  # not yet
    ]  # fmt: skip
    contacts = pd.DataFrame(rows, columns=["customer_id", "at", "channel", "event"])
    found = choose("AAAAA", "rrrrh", contacts=contacts, cap=(2, 30))
    assert found.members["customer_id"].tolist() == ["c0001", "c0002", "c0003"]
    assert row(found, "A")["under_cap"] == 4
    assert "at most 2 in 30 days" in " ".join(found.assumptions)


def test_a_segment_may_have_a_cap_of_its_own_and_none_at_all_means_nobody() -> None:
    contacts = pd.DataFrame({"customer_id": ["C00"], "at": ["2026-01-10"], "channel": ["email"], "event": ["delivery"]})
    caps = {"A": (0, 30), "B": (1, 30)}
    found = choose("AAABBB", "rrhrrh", contacts=contacts, cap=None, caps=caps)
    assert row(found, "A")["under_cap"] == 0
    assert row(found, "B")["under_cap"] == row(found, "B")["with_consent"]


def test_consent_is_read_for_every_channel_that_is_named() -> None:
    consents = pd.DataFrame(
        {
            "customer_id": ["C1", "C2", "C1"], "channel": ["email", " EMAIL", "post"], "purpose": "marketing",
            "granted": [True, True, False],
        }
    )  # fmt: skip
    assert audience.everywhere(consents, "marketing", AS_OF) == {"email": {"C1", "C2"}, "post": set()}


def test_each_step_of_the_funnel_and_each_reason_is_counted() -> None:
    segments, _ = shop("AAAAABBB", "rrrhhrhr")
    ids = segments["customer_id"]
    known = having(ids)
    known.loc[1, "email"] = False
    found = choose("AAAAABBB", "rrrhhrhr", consents=agreed(ids.drop(0)), known=known, blocked={("B", "email")})
    assert [row(found, "A")[step] for step in audience.STEPS] == [5, 4, 4, 3, 1, 1]
    assert (row(found, "B")["in_file"], row(found, "B")["why"]) == (0, "blocked by the playbook")
    small = choose("AAAAABBB", "rrrhhrhr", consents=agreed(ids.drop(0)), known=known, smallest_group=2)
    assert row(small, "A")["why"] == "too small: fewer than 10 customers, fewest allowed 2"
    assert row(small, "A")["in_file"] == 0
    assert found.members["customer_id"].tolist() == ["c0002"]
    assert found.held_back["customer_id"].tolist() == ["c0003", "c0004"]
    assert found.left_out == {"no consent": 1, "contacted too often": 0, "no address of their own": 1, HELD_BACK: 3,
                              "no file written": 2}  # fmt: skip
    assert found.sentence.startswith(
        "1 customers pass every gate and are drawn to be reached; 2 pass and are held back by lot."
    )
    assert found.sentence.endswith(" No file, with the reason in the funnel: mailchimp email B.")


@pytest.mark.parametrize(
    ("to", "consent", "entry"),
    [
        ("mailchimp email", "email", "email"), ("klaviyo sms", "sms", "phone"), ("plain post", "post", "postcode"),
        ("salesforce email", "email", "external_id"), ("salesforce update email", "email", "crm_id"),
        ("braze ids sms", "sms", "external_id"),
    ],
)  # fmt: skip
def test_each_platform_asks_for_its_own_entry(to: str, consent: str, entry: str) -> None:
    ids = shop("AAA", "rrh")[0]["customer_id"]
    assert len(choose("AAA", "rrh", [to], consents=agreed(ids, consent)).members) == 2
    assert choose("AAA", "rrh", [to], consents=agreed(ids, consent), known=having(ids, entry)).members.empty


def test_a_customer_who_is_not_in_the_book_is_in_no_file() -> None:
    ids = shop("AAAA", "rrhh")[0]["customer_id"]
    found = choose("AAAA", "rrhh", known=having(ids.iloc[[1, 3]]))
    assert found.members["customer_id"].tolist() == ["c0001"]
    assert found.held_back["customer_id"].tolist() == ["c0003"]
    assert choose("AAAA", "rrhh", known=having(ids.head(0))).assignments.empty


def test_ads_need_one_of_several_entries_and_enough_matches() -> None:
    keys, arms = "A" * 400, "r" * 220 + "h" * 180
    ids = shop(keys, arms)[0]["customer_id"]
    given = {"consents": agreed(ids, "ads"), "known": having(ids, "email", "address")}
    found = choose(keys, arms, ["meta ads", "google ads"], **given)
    why = found.funnel.set_index("platform")["why"]
    assert why["meta"] == ""
    assert why["google"] == "about 110 of 220 customers would be matched at the assumed 50%; the platform wants 1,000"
    assert "assumed" in " ".join(found.assumptions)
    assert choose(keys, arms, ["meta ads"], **given, match_rate=0.4).members.empty  # 88 of 100
    assert len(choose(keys, arms, ["meta ads"], **given, match_rate=100 / 220).members) == 220  # just enough


def test_the_smallest_arm_decides_for_its_whole_segment() -> None:
    found = choose("AAAAAAABBBBBB", "rrrsshhrrrsss", smallest_group=3)
    assert row(found, "A")["why"] == "too small: fewer than 10 customers in arm second, fewest allowed 3"
    assert found.members["segment_key"].unique().tolist() == ["B"]
    assert choose("AAA", "rrh", smallest_group=1).funnel["why"].tolist() == [""]


# --- comparisons stay fair, results can be read back


def test_assignments_hold_the_eligible_of_both_arms_and_only_of_written_segments() -> None:
    keys, arms = "A" * 20 + "B" * 6, "rh" * 13
    ids = shop(keys, arms)[0]["customer_id"]
    found = choose(keys, arms, consents=agreed(ids[::3]), smallest_group=2)
    kept = ids[::3][ids[::3] < "c0020"]
    assert found.assignments["customer_id"].tolist() == kept.tolist()
    assert set(found.assignments["arm"]) == {"reached", HELD_BACK}
    assert found.assignments.columns.tolist() == [
        "campaign_id", "customer_id", "arm", "designed_share", "stratum", "assigned_at"
    ]  # fmt: skip
    assert found.assignments["campaign_id"].eq("next").all()
    assert found.assignments["assigned_at"].eq(pd.Timestamp(2026, 6, 2)).all()


def test_swapping_the_arms_swaps_who_is_in_the_file_and_nothing_else() -> None:
    keys, arms = "A" * 30, "rh" * 15
    ids = shop(keys, arms)[0]["customer_id"]
    consents, known = agreed(ids[::2]), having(ids)
    known.loc[::5, "email"] = False
    one = choose(keys, arms + "", consents=agreed(ids), known=known)
    two = choose(keys, "hr" * 15, consents=agreed(ids), known=known)
    assert one.members["customer_id"].tolist() == two.held_back["customer_id"].tolist()
    assert one.assignments["customer_id"].tolist() == two.assignments["customer_id"].tolist()
    assert choose(keys, arms, consents=consents).held_back.empty  # only the reached have consented


def test_rows_in_another_order_give_the_same() -> None:
    segments, lottery = shop("ABABABAB", "rhrhhrrr")
    ids = segments["customer_id"]
    known, consents = having(ids), agreed(ids)
    tables = (segments, lottery, consents, known)
    one = audience.select(*tables, NO_CONTACTS, ["plain email", "hubspot email"], **GIVEN)
    two = audience.select(
        *(table.iloc[::-1] for table in tables), NO_CONTACTS, ["plain email", "hubspot email"], **GIVEN
    )  # fmt: skip
    for name in ("members", "held_back", "funnel", "assignments"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))


# --- one customer: one segment, one arm, one offer


def test_offers_go_by_segment_and_channel_and_two_offers_for_one_customer_are_refused() -> None:
    ids = shop("AAB", "rhr")[0]["customer_id"]
    both = pd.concat([agreed(ids), agreed(ids, "sms")])
    to = ["klaviyo email", "klaviyo sms"]
    found = choose("AAB", "rhr", to, consents=both, offers={("A", ""): "10 %", ("B", "email"): "x", ("B", "sms"): "x"})
    assert found.members.groupby("segment_key")["offer"].unique().map(list).to_dict() == {"A": ["10 %"], "B": ["x"]}
    with pytest.raises(DataError, match=r"several values of offer == 1; the first: klaviyo email '10 %', klaviyo sms"):
        choose("AAB", "rhr", to, consents=both, offers={("A", "email"): "10 %", ("A", "sms"): "20 %"})


@pytest.mark.parametrize(("column", "value"), [("segment_key", "B"), ("arm", "second"), ("offer", "other")])
def test_the_check_across_files_names_the_conflict(column: str, value: str) -> None:
    members = choose("AAA", "rrh", ["plain email", "hubspot email"]).members
    audience.check(members, members.head(0))
    broken = members.copy()
    broken.loc[0, column] = value
    with pytest.raises(DataError, match=f"several values of {column} == 1; the first: hubspot email '{value}', plain"):
        audience.check(broken, members.head(0))


def test_the_check_finds_the_held_back_and_doubles() -> None:
    members = choose("AAA", "rrh").members
    with pytest.raises(DataError, match="held back == 1"):
        audience.check(members, members.head(1))
    with pytest.raises(DataError, match="twice in a file == 1"):
        audience.check(pd.concat([members, members.head(1)]), members.head(0))


# --- what cannot be used


@pytest.mark.parametrize(
    ("to", "near"), [("mailchmp email", "mailchimp email"), ("google email", "google ads"), ("Klaviyo push", "klaviyo")]
)
def test_an_unknown_destination_names_the_nearest(to: str, near: str) -> None:
    with pytest.raises(ParameterError, match=rf"destinations holds '{to}'.*nearest: .*{near}"):
        choose("AAA", "rrh", [to])


@pytest.mark.parametrize(
    "changed", [{"cap": (0, 30)}, {"cap": (2, 0)}, {"smallest_group": 0}, {"match_rate": 0.0}, {"match_rate": 1.5}]
)
def test_figures_out_of_range_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="=="):
        choose("AAA", "rrh", **changed)


def test_a_lottery_of_other_segments_is_refused() -> None:
    segments, lottery = shop("AAB", "rrh")
    ids = segments["customer_id"]
    rest = (agreed(ids), having(ids), NO_CONTACTS, ["plain email"])
    for other in (lottery.assign(stratum="A"), lottery.head(2), pd.concat([lottery, lottery.head(1)]),
                  lottery.assign(arm="reached")):  # fmt: skip
        with pytest.raises(DataError, match="run 04 again"):
            audience.select(segments, other, *rest, **GIVEN)


def test_customers_without_a_segment_are_in_no_file() -> None:
    segments, lottery = shop("AAB", "rhr")
    lottery.loc[2, "stratum"] = "none"
    ids = segments["customer_id"]
    given = (agreed(ids), having(ids), NO_CONTACTS, ["plain email"])
    assert audience.select(segments.head(2), lottery, *given, **GIVEN).members["customer_id"].tolist() == ["c0000"]
    segments.loc[2, "segment_key"] = None
    assert audience.select(segments, lottery, *given, **GIVEN).members["customer_id"].tolist() == ["c0000"]


# --- property: over random consents, nobody is where they must not be

CUSTOMERS = [f"c{number:04d}" for number in range(24)]
CONSENT = st.tuples(
    st.sampled_from([*CUSTOMERS, "stranger"]),
    st.sampled_from(["email", "sms", "post", "ads"]),
    st.sampled_from(["marketing", "service"]),
    st.sampled_from([True, True, True, False, None]),
    st.sampled_from([None, *pd.to_datetime(["2026-01-01", "2026-03-01", "2026-05-31", "2026-06-01", "2026-08-01"])]),
)
DESTINATIONS = [f"{name} {channel}" for name, facts in PLATFORMS.items() for channel in facts.ids]


def has_consent(rows: list[tuple[Any, ...]], customer: str, channel: str) -> bool:
    """The rule once more, row by row."""
    own = [
        (at, bool(yes)) for who, where, why, yes, at in rows if (who, where, why) == (customer, channel, "marketing")
    ]
    own = [(at, yes) for at, yes in own if at is None or at < pd.Timestamp(AS_OF) or not yes]
    if not own or any(at is None and not yes for at, yes in own):
        return False
    dated = [at for at, _ in own if at is not None]
    return not dated or all(yes for at, yes in own if at == max(dated))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(CONSENT, min_size=40, max_size=200),
    keys=st.lists(st.sampled_from("AB"), min_size=24, max_size=24),
    arms=st.lists(st.sampled_from("hrrs"), min_size=22, max_size=22),
    lacking=st.lists(st.tuples(st.sampled_from(CUSTOMERS), st.sampled_from(IDS)), max_size=30),
    to=st.lists(st.sampled_from(DESTINATIONS), min_size=1, max_size=4, unique=True),
    smallest=st.integers(1, 4),
)
def test_nobody_is_in_a_file_without_consent_held_back_or_in_a_group_too_small(
    rows: list[tuple[Any, ...]], keys: list[str], arms: list[str], lacking: list[tuple[str, str]], to: list[str],
    smallest: int,
) -> None:  # fmt: skip
    segments, lottery = shop("".join(keys), "hr" + "".join(arms))
    consents = pd.DataFrame(rows, columns=["customer_id", "channel", "purpose", "granted", "at"])
    known = having(segments["customer_id"])
    for who, entry in lacking:
        known.loc[known["customer_id"] == who, entry] = False
    found = audience.select(
        segments, lottery, consents, known, NO_CONTACTS, to, **(GIVEN | {"smallest_group": smallest, "match_rate": 1.0})
    )
    arm, key = lottery.set_index("customer_id")["arm"], segments.set_index("customer_id")["segment_key"]
    flags = known.set_index("customer_id")
    for one in pd.concat([found.members, found.held_back]).itertuples():
        assert has_consent(rows, one.customer_id, one.channel)
        assert flags.loc[one.customer_id, list(PLATFORMS[one.platform].ids[one.channel])].any()
        assert (one.arm, one.segment_key) == (arm[one.customer_id], key[one.customer_id])
    assert not set(found.members["customer_id"]) & set(arm.index[arm == HELD_BACK])
    assert found.held_back["arm"].eq(HELD_BACK).all()
    sizes = found.members.groupby(["platform", "channel", "segment_key", "arm"]).size()
    assert (sizes >= smallest).all()
    floors = sizes.index.get_level_values("platform").map(lambda name: PLATFORMS[name].fewest_matched)
    assert (sizes.to_numpy() >= floors.to_numpy()).all()
    # and nobody is left out who may and can be reached, where a file is written
    written = found.funnel[found.funnel["why"] == ""]
    for one in written.itertuples():
        ids = list(PLATFORMS[one.platform].ids[one.channel])
        able = [who for who in CUSTOMERS if key[who] == one.segment_key and arm[who] != HELD_BACK
                and has_consent(rows, who, one.channel) and flags.loc[who, ids].any()]  # fmt: skip
        assert len(able) == one.in_file
    assert set(found.assignments["customer_id"]) == {*found.members["customer_id"], *found.held_back["customer_id"]}


def test_a_lottery_that_gave_somebody_no_arm_is_refused() -> None:
    segments, lottery = shop("AAAA", "rrrh")
    ids = segments["customer_id"]
    torn = lottery.assign(arm=lottery["arm"].where(lottery.index != 0))
    with pytest.raises(DataError, match="run 04 again"):
        audience.select(segments, torn, agreed(ids), having(ids), NO_CONTACTS, ["mailchimp email"], **GIVEN)

"""Files of the platforms: header, ids, hashes, nulls and names as each wants them, and no more than it wants."""

import hashlib
from datetime import date
from typing import Any

import pandas as pd
import pytest

from segmentkit.analysis import addresses, audience, platforms
from segmentkit.analysis.draw import HELD_BACK
from segmentkit.errors import DataError

DAY = date(2026, 6, 1)
NAMES = {"A": "Frequent, high monetary", "B": "<b>New</b>", "C": "=1+1"}
ODD = ['=HYPERLINK("x")', "+447700900123", "O'Brien", "王小明", "مريم", 'a, "b"', "two\nlines", "  Ann "]


def book(**changed: Any) -> addresses.Book:
    n = len(ODD)
    columns = {
        "customer_id": [f"c{i}" for i in range(n)], "email": [f" P{i}@Example.com" for i in range(n)],
        "phone": [f"07700 90012{i}" for i in range(n)], "first_name": ODD, "last_name": ["Lee"] * n,
        "country": ["gb"] * n, "postcode": [f"AB{i} 1AA" for i in range(n)],
        "crm_id": [f"003aB{i:013d}" for i in range(n)], "external_id": [f"e{i}" for i in range(n)],
    }  # fmt: skip
    return addresses.read(pd.DataFrame(columns | changed))


def members(to: str, keys: str = "AAAAAAAA", arms: str = "reached", offer: str = "10 %") -> pd.DataFrame:
    platform, _, channel = to.rpartition(" ")
    ids = [f"c{i}" for i in range(len(keys))]
    told = {"platform": platform, "channel": channel, "segment_key": list(keys), "arm": arms, "offer": offer}
    return pd.DataFrame({"customer_id": ids} | told)


def made(to: str, keys: str = "AAAAAAAA", **changed: Any) -> list[platforms.File]:
    return platforms.files(members(to, keys), book(**changed), NAMES, run_id="shop-1", day=DAY, model_hash="abc")


def only(to: str, keys: str = "AAAAAAAA", **changed: Any) -> pd.DataFrame:
    (one,) = made(to, keys, **changed)
    return one.table


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- headers to the letter, and nothing else

HEADERS = {
    "hubspot email": ["Email", "First name", "Last name", "Segment", "Segment name", "Segment run ID", "Segment date"],
    "salesforce email": ["External_Customer_Id__c", "Segment__c", "Segment_Name__c", "Segment_Run_Id__c",
                         "Segment_Date__c"],
    "salesforce update post": ["Id", "Segment__c", "Segment_Name__c", "Segment_Run_Id__c", "Segment_Date__c"],
    "marketo email": ["email", "firstName", "lastName", "segmentName", "segmentRunId"],
    "klaviyo email": ["Email", "First Name", "Last Name", "Segment", "Segment Run ID"],
    "klaviyo sms": ["Phone Number", "First Name", "Last Name", "Segment", "Segment Run ID"],
    "braze email": ["external_id", "segment_name", "segment_run_id"],
    "braze ids email": ["external_id"],
    "google ads": ["Email", "Phone", "First Name", "Last Name", "Country", "Zip"],
    "meta ads": ["email", "phone", "fn", "ln"],
    "mailchimp email": ["Email Address", "First Name", "Last Name", "Tags"],
}  # fmt: skip


@pytest.mark.parametrize("to", HEADERS)
def test_headers_are_those_of_the_platform(to: str) -> None:
    table = only(to)
    assert table.columns.tolist() == HEADERS[to]
    assert len(table) == len(ODD)
    assert table.map(lambda cell: isinstance(cell, str)).all(axis=None)


def test_the_plain_file_says_everything_a_person_asks() -> None:
    table = only("plain email")
    first = table.iloc[0].to_dict()
    assert first["customer_id"] == "c0"
    assert (first["segment_id"], first["segment_name"], first["arm"], first["offer"]) == (
        "A", "Frequent, high monetary", "reached", "10 %"
    )  # fmt: skip
    assert (first["run_id"], first["assigned_at"], first["model_hash"]) == ("shop-1", "2026-06-01", "abc")
    assert (first["control_group"], first["consent_email"], first["consent_ads"]) == ("no", "yes", "")
    assert not {"phone", "postcode"} & set(table)


@pytest.mark.parametrize(
    ("channel", "there", "gone"),
    [("email", {"email"}, {"phone", "postcode"}), ("sms", {"phone"}, {"email", "postcode"}),
     ("post", {"postcode", "country"}, {"email", "phone"})],
)  # fmt: skip
def test_a_plain_file_holds_the_address_of_its_channel_only(channel: str, there: set[str], gone: set[str]) -> None:
    columns = set(only(f"plain {channel}").columns)
    assert there <= columns
    assert not gone & columns


def test_run_and_day_are_in_every_name_and_a_segment_where_each_has_its_list() -> None:
    for to in HEADERS:
        assert all("shop-1_2026-06-01" in one.name for one in made(to)), to
    assert [one.name for one in made("google ads", "AABB")] == [
        "google_ads_shop-1_2026-06-01_segment-A.csv", "google_ads_shop-1_2026-06-01_segment-B.csv"
    ]  # fmt: skip
    assert [one.name for one in made("meta ads", "AABB")] == [
        "meta_ads_shop-1_2026-06-01_list-1.csv", "meta_ads_shop-1_2026-06-01_list-2.csv"
    ]  # fmt: skip
    assert [one.name for one in made("hubspot email", "AABB")] == ["hubspot_email_shop-1_2026-06-01.csv"]


def test_two_arms_get_two_files_in_every_platform() -> None:
    rows = members("hubspot email")
    rows.loc[3:, "arm"] = "free delivery"
    found = platforms.files(rows, book(), NAMES, run_id="BATCH/uk", day=DAY)
    assert {one.name: len(one.table) for one in found} == {
        "hubspot_email_BATCH-uk_2026-06-01_arm-free-delivery.csv": 5,
        "hubspot_email_BATCH-uk_2026-06-01_arm-reached.csv": 3,
    }  # fmt: skip


# --- text made by people


def test_machines_get_names_as_they_are_and_formula_text_not_at_all() -> None:
    (one,) = made("marketo email")
    assert one.table["firstName"].tolist() == ["", "", *ODD[2:7], "Ann"]
    assert one.notes == ("Offer of segment A: 10 %.", "firstName: 2 cells were formula text and are not written.")


def test_people_get_an_apostrophe() -> None:
    names = only("plain email")["first_name"].tolist()
    assert names[:3] == ['\'=HYPERLINK("x")', "'+447700900123", "O'Brien"]
    assert only("plain sms")["phone"].iloc[0] == "'+447700900120"
    assert only("plain email", "CC")["segment_name"].tolist() == ["'=1+1"] * 2


def test_segment_names_are_text_made_by_people_too() -> None:
    assert only("braze email", "B")["segment_name"].tolist() == ["New"]
    # a name refused as formula text leaves nobody without a segment, nor with the old one
    assert only("hubspot email", "CC")["Segment name"].tolist() == ["Segment C"] * 2
    assert only("salesforce email", "CC")["Segment_Name__c"].tolist() == ["Segment C"] * 2
    assert only("mailchimp email", "A")["Tags"].tolist() == ["Segment A of run shop-1"]


# --- ids, phones and hashes


def test_phones_are_e164_and_ids_keep_their_case() -> None:
    assert only("klaviyo sms")["Phone Number"].iloc[0] == "+447700900120"
    assert only("salesforce update email")["Id"].iloc[1] == "003aB0000000000001"
    assert only("salesforce email")["Segment_Date__c"].unique().tolist() == ["2026-06-01"]


def test_google_hashes_what_it_wants_hashed_and_an_address_goes_whole_or_not_at_all() -> None:
    table = only("google ads", postcode=["AB0 1AA", None, *[f"AB{i} 1AA" for i in range(2, 8)]])
    third = table.iloc[2].to_dict()
    assert third == {
        "Email": sha("p2@example.com"), "Phone": sha("+447700900122"), "First Name": sha("o'brien"),
        "Last Name": sha("lee"), "Country": "GB", "Zip": "AB2 1AA",
    }  # fmt: skip
    assert table.loc[[0, 1], HEADERS["google ads"][2:]].eq("").all(axis=None)  # formula text; no postcode
    assert table["First Name"].iloc[3] == sha("王小明")


def test_meta_hashes_all_and_phones_without_their_plus() -> None:
    table = only("meta ads")
    assert table.loc[2].tolist() == [sha("p2@example.com"), sha("447700900122"), sha("o'brien"), sha("lee")]
    assert table["fn"].iloc[0] == ""
    assert not table.map(lambda cell: cell in ("c0", "A")).any(axis=None)


def test_published_vectors_come_out_of_a_whole_file() -> None:
    who = {"email": ["Test@Example.com ", *[None] * 7], "phone": ["(650)555-1212", *[None] * 7],
           "country": ["US"] * 8, "first_name": ["Mary"] * 8}  # fmt: skip
    assert only("meta ads", "A", **who).loc[0].tolist()[:3] == [
        "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b",
        "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
        "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec",
    ]


# --- what must not happen


def test_the_address_of_somebody_held_back_is_in_no_file_even_where_another_shares_it() -> None:
    ids = [f"c{i}" for i in range(8)]
    mails = ["same@x.com"] * 2 + [f"{one}@x.com" for one in ids[2:]]
    shared = addresses.read(pd.DataFrame({"customer_id": ids, "email": mails}))
    segments = pd.DataFrame({"customer_id": ids, "segment_key": "A"})
    lottery = segments.assign(arm=["reached", HELD_BACK] * 4, designed_share=0.5, stratum="A")
    consents = segments.assign(channel="email", purpose="marketing", granted=True)
    contacts = pd.DataFrame(columns=["customer_id", "at", "event"])
    found = audience.select(
        segments, lottery, consents, shared.known, contacts, ["plain email", "marketo email"], purpose="marketing",
        as_of=DAY, cap=None, smallest_group=1, match_rate=1.0, campaign_id="next", assigned_at=DAY,
    )  # fmt: skip
    made = platforms.files(found.members, shared, NAMES, run_id="r", day=DAY)
    assert [one.table["email"].tolist() for one in made] == [["c2@x.com", "c4@x.com", "c6@x.com"]] * 2
    assert found.held_back["customer_id"].unique().tolist() == ["c3", "c5", "c7"]


def test_a_member_without_the_entry_its_file_needs_is_refused() -> None:
    with pytest.raises(DataError, match=r"members without email == 1;.*another address book"):
        made("marketo email", email=[None, *[f"p{i}@x.com" for i in range(7)]])


def test_a_segment_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"names of segments == .*'Z': nan"):
        made("marketo email", "Z")


def test_nobody_gives_no_file_and_print_shows_no_address() -> None:
    assert platforms.files(members("plain email").head(0), book(), NAMES, run_id="r", day=DAY) == []
    (one,) = made("plain email")
    assert "xample" not in repr(one)
    assert "O'Brien" not in repr(one)


def test_only_columns_without_anything_personal_may_be_shown() -> None:
    (one,) = made("hubspot email")
    assert one.open_columns == ("Segment", "Segment name", "Segment run ID", "Segment date")
    assert made("google ads")[0].open_columns == ()


def test_every_platform_has_a_guide_with_clicks_and_its_source() -> None:
    for facts in platforms.PLATFORMS.values():
        told = platforms.guide(facts)
        assert facts.source in told
        assert "1. " in told.partition("## Import")[2]
        assert "import none of `hold_out`" in told
    assert "`#N/A` clears a field. Each file is below 100,000,000 bytes" in platforms.guide(
        platforms.PLATFORMS["salesforce"]
    )


def test_two_segments_that_a_platform_could_not_tell_apart_are_refused() -> None:
    names = {"A": "Loyal", "B": " Loyal<b></b>"}
    with pytest.raises(DataError, match="each needs one of its own"):
        platforms.files(members("hubspot email", "AB"), book(), names, run_id="may", day=DAY)


def test_arms_are_told_apart_by_what_is_imported_too() -> None:
    both = pd.concat([members("mailchimp email", "A"), members("mailchimp email", "AA", arms="b, off").iloc[1:]])
    found = platforms.files(both, book(), NAMES, run_id="may", day=DAY)
    assert [set(one.table["Tags"]) for one in found] == [
        {"Segment A of run may b  off"},
        {"Segment A of run may reached"},
    ]

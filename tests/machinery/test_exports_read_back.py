"""Files that leave, read back by ``export_reader``: who is in them, as what, and nothing a platform would misread."""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import export_reader
from segmentkit.analysis import addresses, audience, platforms
from segmentkit.errors import ParameterError
from segmentkit.machinery import exports

REFERENCES = Path(__file__).parents[2].parent / "shared" / "references" / "formats.json"
if not REFERENCES.is_file():
    pytest.skip("formats.json, the vendors' rules, is not at hand", allow_module_level=True)
FORMATS = json.loads(REFERENCES.read_text(encoding="utf-8"))
STARTS = tuple(FORMATS["csv_injection"]["starts"])
TODAY = date(2026, 6, 1)
RUN = "shop-20260601"
HELD = "held back"
TO = {
    "hubspot email": "hubspot_contacts",
    "salesforce email": "salesforce_bulk_v2",
    "salesforce sms": "salesforce_bulk_v2",
    "salesforce update post": "salesforce_bulk_v2",
    "marketo email": "marketo_bulk_lead",
    "klaviyo email": "klaviyo_profiles",
    "klaviyo sms": "klaviyo_profiles",
    "braze email": "braze_attributes",
    "braze ids sms": "braze_attributes",
    "google ads": "google_customer_match",
    "meta ads": "meta_custom_audience",
    "mailchimp email": "mailchimp_audience",
    "plain email": "generic_audience",
    "plain sms": "generic_audience",
    "plain post": "generic_audience",
}
# the column that tells who a row is, and what of a customer stands there
WHO = {
    "hubspot": ("Email", "email"),
    "salesforce": ("External_Customer_Id__c", "external_id"),
    "salesforce update": ("Id", "crm_id"),
    "marketo": ("email", "email"),
    "klaviyo": ("Email", "email"),
    "braze": ("external_id", "external_id"),
    "braze ids": ("external_id", "external_id"),
    "mailchimp": ("Email Address", "email"),
    "plain": ("customer_id", "plain_id"),
}
FIRST = {
    "hubspot email": "First name",
    "marketo email": "firstName",
    "klaviyo email": "First Name",
    "klaviyo sms": "First Name",
    "mailchimp email": "First Name",
    "plain email": "first_name",
    "plain sms": "first_name",
    "plain post": "first_name",
}
ODD = [
    '=HYPERLINK("http://x")', "+447700900123", "@SUM(1)", "-1+2", "＝1+1", "＠x", "\t=1", "\r=1", "O'Brien", '"quoted"',
    'a, "b", c', "two\nlines", "two\r\nlines", "one\rtwo", "王小明", "مريم", "\u200fمريم\u200f", "Zoë", "Zoe\u0308",
    "👩\u200d👧 Ann",
    "<script>alert(1)</script>", "Null", "NA", "#N/A", "0", "  padded  ", "a;b", "semi;=1+1", "'", "''", '"', "x" * 300,
    "line\u2028sep", "next\x85line", "\ufeffBob", None, "", " ",
]  # fmt: skip


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plain(text: str | None) -> str:
    """Trimmed, composed, with one kind of line end."""
    return unicodedata.normalize("NFC", (text or "").replace("\r\n", "\n").replace("\r", "\n")).strip()


def refused(text: str) -> str:
    return "" if text.startswith(STARTS) else text


def escaped(text: str) -> str:
    """An apostrophe before formula text, at the start and where some spreadsheets begin a cell."""
    return re.sub(f"(^|[;\\n])(\\s*[{re.escape(''.join(STARTS))}])", r"\1'\2", text)


# --- a shop of customers whose files are known beforehand


@dataclass
class Shop:
    """Customers with the truth about each, made by hand and by lot."""

    book: pd.DataFrame
    truth: pd.DataFrame
    segments: pd.DataFrame
    lottery: pd.DataFrame
    consents: pd.DataFrame
    contacts: pd.DataFrame

    def chosen(self, to: Iterable[str], **changed: Any) -> audience.Audience:
        known = addresses.read(self.book).known
        given: dict[str, Any] = {
            "purpose": "marketing", "as_of": TODAY, "cap": (3, 14), "smallest_group": 20, "match_rate": 1.0,
            "campaign_id": "next", "assigned_at": TODAY,
        } | changed  # fmt: skip
        return audience.select(self.segments, self.lottery, self.consents, known, self.contacts, list(to), **given)

    def write(self, folder: Path, names: Mapping[str, str], to: Iterable[str], **changed: Any) -> audience.Audience:
        found = self.chosen(to, **changed)
        book = addresses.read(self.book)
        made = platforms.files(found.members, book, names, run_id=RUN, day=TODAY, model_hash="abc123")
        exports.write(
            folder,
            "next",
            made,
            found.assignments,
            start=TODAY,
            end=date(2026, 6, 30),
            facts={"run_id": RUN},
            dry_run=False,
        )
        return found


def entries(i: int, rng: np.random.Generator) -> tuple[dict[str, str | None], dict[str, str]]:
    """A customer's addresses as somebody typed them, and what of each can be used."""
    first, last = ODD[i % len(ODD)], ODD[(i // len(ODD)) % len(ODD)]
    email = {
        0: (None, ""), 1: (f"  User{i}@EXAMPLE.Com\t", f"user{i}@example.com"), 2: ("no-at-sign", ""),
        3: (f"Twice{i // 22}@example.com", ""), 4: (f"+user{i}@example.com", ""),
        5: (f"O'Brien{i}@example.com", f"o'brien{i}@example.com"),
        6: (f"jos\u00e9{i}@exämple.com", f"jos\u00e9{i}@exämple.com"),
        7: (f"a b{i}@example.com", ""),
    }.get(i % 11, (f"user+{i}@example.co.uk", f"user+{i}@example.co.uk"))  # fmt: skip
    phone = {
        0: (None, "", None), 1: (f"07700 {i:06d}", f"+447700{i:06d}", "gb"), 2: (f"07701 {i:06d}", "", None),
        3: (f"+44 (0)7702 {i:06d}", f"+447702{i:06d}", " GB "), 4: (f"+447703{i:06d}", f"+447703{i:06d}", "DE"),
        5: ("12", "", "GB"), 6: (f"+44 7704 {i // 18:06d}", "", "GB"),
        7: (f"0044 7705 {i:06d}", f"+447705{i:06d}", "gb"),
    }.get(i % 9, (f"+447706{i:06d}", f"+447706{i:06d}", "GB"))  # fmt: skip
    country = plain(phone[2]).upper()
    postcode = [f"SW1A {i % 10}AA", "01234", None, "-12"][i % 4]
    row = {
        "customer_id": f"c{i}", "email": email[0], "phone": phone[0], "first_name": first, "last_name": last,
        "country": phone[2], "postcode": postcode, "crm_id": f"003{i:012d}AaB" if i % 13 else None,
        "external_id": f"Ext{i}" if i % 7 else f"ext{i + 1}",
    }  # fmt: skip
    whole = all(refused(plain(text)) for text in (first, last, country, postcode))
    address = "\n".join((plain(first), plain(last), country, plain(postcode))) if whole else ""
    truth = {
        "customer_id": f"c{i}", "plain_id": f"c{i}", "email": email[1], "phone": phone[1], "country": country,
        "postcode": plain(postcode), "crm_id": row["crm_id"] or "", "external_id": row["external_id"],
        "address": address, "first": plain(first), "last": plain(last),
    }  # fmt: skip
    return row, truth


def shop(n: int, seed: int = 1) -> Shop:
    """Customers in segments A (most), B (a tenth) and C (twelve), with three arms."""
    rng = np.random.default_rng(seed)
    rows, truth = zip(*(entries(i, rng) for i in range(n)), strict=True)
    ids = [f"c{i}" for i in range(n)]
    key = np.where(np.arange(n) < 12, "C", np.where(np.arange(n) % 10 == 0, "B", "A"))
    segments = pd.DataFrame({"customer_id": ids, "segment_key": key, "distance": 0.0})
    arm = rng.choice(["letter", "gift & card", HELD], n, p=[0.4, 0.4, 0.2])
    lottery = segments.assign(campaign_id="next", arm=arm, designed_share=0.4, stratum=key, assigned_at=TODAY)
    consents = some_consents(ids, rng, ["email", "sms", "post", "ads"])
    contacts = pd.DataFrame(
        {
            "customer_id": rng.choice(ids, n),
            "at": pd.Timestamp(TODAY) - pd.to_timedelta(rng.integers(-3, 30, n), "D"),
            "channel": "email",
            "event": rng.choice(["delivery", "impression", "open", "click"], n),
        }
    )
    return Shop(pd.DataFrame(rows), pd.DataFrame(truth), segments, lottery, consents, contacts)


def some_consents(ids: list[str], rng: np.random.Generator, channels: list[str], likely: float = 0.9) -> pd.DataFrame:
    """For each customer and channel none, one or several rows: other purposes, no times, ties, the day itself."""
    pairs = [(who, channel) for who in ids for channel in channels]
    many = rng.choice(4, len(pairs), p=[0.06, 0.7, 0.16, 0.08])
    rows = pd.DataFrame(pairs, columns=["customer_id", "channel"]).loc[np.repeat(np.arange(len(pairs)), many)]
    n, days = len(rows), ["NaT", "2026-01-01", "2026-05-31", "2026-05-31T23:59:59", "2026-06-01", "2026-07-01"]
    rows["channel"] = rows["channel"].where(rng.random(n) < 0.8, " " + rows["channel"].str.upper() + " ")
    rows["purpose"] = rng.choice(["marketing", "service"], n, p=[0.95, 0.05])
    rows["granted"] = rng.random(n) < likely
    rows["at"] = np.array(days, dtype="datetime64[s]")[rng.choice(6, n, p=[0.2, 0.4, 0.2, 0.1, 0.05, 0.05])]
    return rows.sample(frac=1, random_state=rng).reset_index(drop=True)


def consenting(consents: pd.DataFrame, channel: str) -> set[str]:
    """By hand: the latest row before today counts, refusals win ties, without a time and from today on."""
    own = defaultdict(list)
    for row in consents.itertuples():
        if row.channel.strip().lower() == channel and row.purpose == "marketing":
            own[row.customer_id].append((row.at, row.granted))
    yes = set()
    for who, rows in own.items():
        before = [(at, granted) for at, granted in rows if not pd.isna(at) and at < pd.Timestamp(TODAY)]
        after = [granted for at, granted in rows if not pd.isna(at) and at >= pd.Timestamp(TODAY)]
        undated = [granted for at, granted in rows if pd.isna(at)]
        last = max((at for at, _ in before), default=None)
        counted = [granted for at, granted in before if at == last] + undated
        if counted and all(counted) and all(after):
            yes.add(who)
    return yes


def too_often(contacts: pd.DataFrame, most: int, days: int) -> set[str]:
    first = pd.Timestamp(TODAY) - pd.Timedelta(days=days)
    times = defaultdict(int)
    for row in contacts.itertuples():
        if row.event in {"delivery", "impression"} and first <= row.at < pd.Timestamp(TODAY):
            times[row.customer_id] += 1
    return {who for who, n in times.items() if n >= most}


NEEDS = {"email": ["email"], "sms": ["phone"], "post": ["postcode"]}


def reachable(truth: pd.DataFrame, to: str) -> set[str]:
    """Who has an id of their own that the destination can use."""
    platform, _, channel = to.rpartition(" ")
    names = {
        "google": ["email", "phone", "address"], "meta": ["email", "phone"], "salesforce": ["external_id"],
        "braze": ["external_id"], "braze ids": ["external_id"], "salesforce update": ["crm_id"],
    }.get(platform) or NEEDS[channel]  # fmt: skip
    return {who for name in names for who in truth.loc[truth[name] != "", "customer_id"]}


def expected(
    made: Shop,
    to: str,
    *,
    caps: Mapping[str, tuple[int, int]] | None = None,
    smallest: int = 20,
    blocked: Iterable[tuple[str, str]] = (),
) -> dict[str, tuple[str, str]]:
    """Customer to segment and arm in a destination's files, from the tables alone."""
    platform, _, channel = to.rpartition(" ")
    limits = dict.fromkeys("ABC", (3, 14)) | dict(caps or {})
    own = {key: set(made.segments.loc[made.segments["segment_key"] == key, "customer_id"]) for key in limits}
    often = set().union(*(too_often(made.contacts, *limits[key]) & own[key] for key in limits))
    can = (consenting(made.consents, channel) & reachable(made.truth, to)) - often
    segment, arm = (
        dict(zip(made.lottery["customer_id"], made.lottery[name], strict=True)) for name in ("stratum", "arm")
    )
    arms = set(arm.values()) - {HELD}
    fewest = max(smallest, {"google": 1000, "meta": 100}.get(platform, 0))
    groups = defaultdict(set)
    for who in can:
        groups[segment[who], arm[who]].add(who)
    written = {
        key for key in set(segment.values())
        if (key, channel) not in set(blocked) and all(len(groups[key, one]) >= fewest for one in arms)
    }  # fmt: skip
    return {who: (segment[who], arm[who]) for who in can if segment[who] in written and arm[who] != HELD}


# --- reading back


def mine(truth: pd.DataFrame, name: str, change: Any = str) -> dict[str, str]:
    """From what stands in a file to the customer; only what one customer has alone."""
    own = truth[truth[name] != ""]
    found = {change(value): who for value, who in zip(own[name], own["customer_id"], strict=True)}
    assert len(found) == len(own), f"{name} of this test is not its own"
    return found


def told_by_name(file: str, names: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Segment and arm that a file's name tells."""
    segment, arm = re.search(r"_segment-(\w)[_.]", file), re.search(r"_arm-([\w&-]+?)[_.]", file)
    number = re.search(r"_list-(\d+)[_.]", file)
    key = segment[1] if segment else list(names)[int(number[1]) - 1] if number else None
    arms = {"letter": "letter", "gift-card": "gift & card", "reached": "reached", "1": "gift & card", "2": "letter"}
    return key, arms[arm[1]] if arm else None


def rows_of(folder: Path, to: str, names: Mapping[str, str]) -> pd.DataFrame:
    """All rows of a destination, read by the strict reader."""
    platform, _, channel = to.rpartition(" ")
    place = folder / "exports/next" / platform.replace(" ", "-")
    files = sorted(place.glob(f"*_{channel}_*.csv"))
    rules = {"run": RUN, "on": TODAY.isoformat(), "secret": (*names, *names.values())}
    tables = [export_reader.read(TO[to], file, FORMATS, **rules) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def who_is(rows: pd.DataFrame, truth: pd.DataFrame, to: str) -> list[str]:
    """The customer of each row, by the id in it; by any of them all must be one."""
    platform = to.rpartition(" ")[0]
    if platform in {"google", "meta"}:
        keys = [("Email", "email", sha), ("Phone", "phone", sha)]
        if platform == "meta":
            keys = [("email", "email", sha), ("phone", "phone", lambda text: sha(text[1:]))]
    else:
        keys = [(*WHO[platform], str)]
        if to == "klaviyo sms":
            keys = [("Phone Number", "phone", str)]
    found: list[set[str]] = [set() for _ in range(len(rows))]
    for column, name, change in keys:
        known = mine(truth, name, change)
        for place, cell in enumerate(rows[column]):
            if cell:
                found[place].add(known[cell])
    for place in [place for place, one in enumerate(found) if not one]:
        parts = rows.loc[place, ["First Name", "Last Name", "Country", "Zip"]].tolist()
        hit = truth[truth["address"].ne("") & truth["first"].map(lambda text: sha(text.lower())).eq(parts[0])]
        hit = hit[hit["last"].map(lambda text: sha(text.lower())).eq(parts[1]) & hit["country"].eq(parts[2])]
        hit = hit[hit["postcode"].eq(parts[3])]
        assert len(hit) == 1, f"{to}: {len(hit)} customers of one row without e-mail and phone"
        found[place].add(hit["customer_id"].iloc[0])
    assert all(len(one) == 1 for one in found), f"{to}: a row mixes two customers"
    return [one.pop() for one in found]


SEGMENT = {
    "hubspot": "Segment", "salesforce": "Segment__c", "salesforce update": "Segment__c", "klaviyo": "Segment",
    "plain": "segment_id",
}  # fmt: skip
SEGMENT_NAME = {
    "hubspot": "Segment name", "salesforce": "Segment_Name__c", "salesforce update": "Segment_Name__c",
    "marketo": "segmentName", "braze": "segment_name", "plain": "segment_name",
}  # fmt: skip


def found_in(rows: pd.DataFrame, truth: pd.DataFrame, to: str, names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Customer to segment and arm, as the files tell it."""
    if rows.empty:
        return {}
    platform = to.rpartition(" ")[0]
    told = [told_by_name(file, names) for file in rows["file"]]
    segments = [key for key, _ in told]
    if platform in SEGMENT:
        segments = rows[SEGMENT[platform]].tolist()
    elif platform in SEGMENT_NAME:
        by_name = {name: key for key, name in names.items()}
        segments = [by_name[name] for name in rows[SEGMENT_NAME[platform]]]
    elif platform == "mailchimp":
        segments = [re.search(r"^Segment (\w) of run ", tags)[1] for tags in rows["Tags"]]
    who = who_is(rows, truth, to)
    assert len(set(who)) == len(who), f"{to}: a customer has two rows"
    return dict(zip(who, zip(segments, (arm or "reached" for _, arm in told), strict=True), strict=True))


NAMES = {"A": "Loyal, but 王小明", "B": "مريم O'Neil", "C": "Few"}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Path]:
    """Some 5,346 customers with every odd thing, in all files."""
    made, folder = everything_odd(), tmp_path_factory.mktemp("exports")
    made.write(folder, NAMES, TO)
    return made, folder


def everything_odd(made: Shop | None = None) -> Shop:
    made = made or shop(5346)
    lower = made.truth["address"].str.lower()
    made.truth.loc[lower.duplicated(keep=False), "address"] = ""
    return made


@pytest.mark.parametrize("to", TO)
def test_a_destination_reads_back_with_the_customers_segments_and_arms_that_it_should(
    big: tuple[Shop, Path], to: str
) -> None:
    made, folder = big
    rows = rows_of(folder, to, NAMES)
    wanted = expected(made, to)
    assert wanted, "this test needs somebody"
    assert found_in(rows, made.truth, to, NAMES) == wanted


def cells_of(folder: Path) -> dict[str, set[str]]:
    """All cells of every file but the hold-out's, by file, parsed without a platform's rules."""
    files = [file for file in (folder / "exports/next").rglob("*.csv") if file.parent.name != "hold_out"]
    return {file.name: set(export_reader.parse(file, byte_order_mark=True).to_numpy().ravel()) for file in files}


def marks_of(truth: pd.DataFrame) -> set[str]:
    """Everything that could betray these customers in a file: ids, addresses and hashes of them."""
    found: set[str] = set()
    for name in ("customer_id", "email", "phone", "crm_id", "external_id"):
        values = [value for value in truth[name] if value]
        found |= {*values, *map(sha, values), *(sha(value.removeprefix("+")) for value in values)}
    return found


def test_nobody_held_back_or_without_any_consent_is_in_any_cell_of_any_file(big: tuple[Shop, Path]) -> None:
    made, folder = big
    back = set(made.lottery.loc[made.lottery["arm"] == HELD, "customer_id"])
    anywhere = set().union(*(consenting(made.consents, channel) for channel in ("email", "sms", "post", "ads")))
    small = set(made.segments.loc[made.segments["segment_key"] == "C", "customer_id"])
    often = too_often(made.contacts, 3, 14)
    files = cells_of(folder)
    for gone in (back, set(made.segments["customer_id"]) - anywhere, small, often):
        assert gone
        marks = marks_of(made.truth[made.truth["customer_id"].isin(gone)])
        for name, cells in files.items():
            assert not marks & cells, name


def test_an_address_of_two_customers_is_in_no_file(big: tuple[Shop, Path]) -> None:
    _, folder = big
    twice = {f"twice{n}@example.com" for n in range(500)} | {f"+447704{n:06d}" for n in range(600)}
    twice |= {*map(sha, twice), *(sha(value[1:]) for value in twice)}
    for name, cells in cells_of(folder).items():
        assert not twice & cells, name


def test_every_customer_has_one_segment_one_arm_and_one_offer_over_all_files(tmp_path: Path) -> None:
    made = shop(1584, seed=5)
    offers = {("A", ""): "=10 % off", ("B", ""): "a gift; 'free'"}
    found = made.write(tmp_path, NAMES, TO, offers=offers)
    assert set(found.members["arm"]) == {"letter", "gift & card"}
    truth, told = everything_odd(made).truth, defaultdict(set)
    for to in TO:
        for who, what in found_in(rows_of(tmp_path, to, NAMES), truth, to, NAMES).items():
            told[who].add(what)
    assert len(told) > 500
    assert all(len(what) == 1 for what in told.values())
    plain = pd.concat([rows_of(tmp_path, f"plain {channel}", NAMES) for channel in NEEDS])
    assert plain.groupby("customer_id")[["arm", "offer", "segment_id"]].nunique().max().max() == 1
    assert set(plain["offer"]) == {"'=10 % off", "a gift; 'free'"}


@pytest.mark.parametrize("to", FIRST)
def test_names_are_refused_for_machines_escaped_for_people_and_else_as_they_were(
    big: tuple[Shop, Path], to: str
) -> None:
    made, folder = big
    rows = rows_of(folder, to, NAMES)
    write = escaped if to.startswith("plain") else refused
    first, last = (dict(zip(made.truth["customer_id"], made.truth[name], strict=True)) for name in ("first", "last"))
    who, other = (
        who_is(rows, made.truth, to),
        FIRST[to].replace("irst", "ast").replace("F", "L").replace("fast", "last"),
    )
    assert rows[FIRST[to]].tolist() == [write(first[one]) for one in who]
    assert rows[other].tolist() == [write(last[one]) for one in who]
    assert {"王小明", "مريم", "O'Brien", 'a, "b", c', "two\nlines", "Null"} <= set(rows[FIRST[to]])


def test_hashes_are_of_the_normalised_value_and_country_and_postcode_stay(big: tuple[Shop, Path]) -> None:
    made, folder = big
    truth = made.truth.set_index("customer_id")
    google, meta = (rows_of(folder, to, NAMES) for to in ("google ads", "meta ads"))
    for row, who in zip(google.to_dict("records"), who_is(google, made.truth, "google ads"), strict=True):
        own = truth.loc[who]
        assert row["Email"] == (own["email"] and sha(own["email"]))
        assert row["Phone"] == (own["phone"] and sha(own["phone"]))
        if row["Zip"] or row["First Name"]:
            assert (row["First Name"], row["Last Name"]) == (sha(own["first"].lower()), sha(own["last"].lower()))
            assert (row["Country"], row["Zip"]) == (own["country"], own["postcode"])
    assert (google["Zip"] != "").sum() > 50
    for row, who in zip(meta.to_dict("records"), who_is(meta, made.truth, "meta ads"), strict=True):
        own = truth.loc[who]
        assert row["email"] == (own["email"] and sha(own["email"]))
        assert row["phone"] == (own["phone"] and sha(own["phone"].removeprefix("+")))


def test_the_published_hash_comes_out_of_google_and_meta(tmp_path: Path) -> None:
    made = few(1100)
    made.book.loc[7, "email"] = " Test@Example.COM "
    made.write(tmp_path, {"A": "All"}, ["google ads", "meta ads"])
    digest = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
    assert digest in set(rows_of(tmp_path, "google ads", {"A": "All"})["Email"])
    assert digest in set(rows_of(tmp_path, "meta ads", {"A": "All"})["email"])


def test_a_second_write_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    made = few(60)
    made.write(tmp_path, {"A": "All"}, ["marketo email", "plain email"])
    made.write(tmp_path, {"A": "All"}, ["plain email"])
    assert not (tmp_path / "exports/next/marketo").exists()
    everybody = set(rows_of(tmp_path, "plain email", {"A": "All"})["customer_id"])
    assert everybody == set(made.book["customer_id"][:50])
    # the campaign may have been sent: it can only be read by the draw it was sent with
    made.consents = made.consents[~made.consents["customer_id"].isin(set(made.book["customer_id"][:20]))]
    with pytest.raises(ParameterError, match="name another campaign"):
        made.write(tmp_path, {"A": "All"}, ["plain email"])
    assert set(rows_of(tmp_path, "plain email", {"A": "All"})["customer_id"]) == everybody
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["next"]


def few(n: int, **changed: Any) -> Shop:
    """One segment; everybody has everything and agrees; the last ten are held back."""
    ids = [f"c{i}" for i in range(n)]
    arm = ["reached"] * (n - 10) + [HELD] * 10
    book = pd.DataFrame(
        {
            "customer_id": ids, "plain_id": ids, "email": [f"u{i}@example.com" for i in range(n)],
            "phone": [f"+447700{i:06d}" for i in range(n)], "first_name": "Ann",
            "last_name": [f"Lee{i}" for i in range(n)], "country": "GB", "postcode": "AB1 2CD",
            "crm_id": [f"003{i:012d}AAB" for i in range(n)], "external_id": ids,
        } | changed
    )  # fmt: skip
    segments = pd.DataFrame({"customer_id": ids, "segment_key": "A"})
    lottery = segments.assign(arm=arm, designed_share=0.5, stratum="A")
    channels = pd.DataFrame({"channel": ["email", "sms", "post", "ads"], "purpose": "marketing", "granted": True})
    contacts = pd.DataFrame({"customer_id": ["x"], "at": [pd.Timestamp(TODAY)], "channel": "email", "event": "open"})
    return Shop(book, book, segments, lottery, segments[["customer_id"]].merge(channels, how="cross"), contacts)


EVIL = [
    '=HYPERLINK("http://x")', "+447700900123", "@SUM(1)", "-1+2", "＝1+1", "\t=1+1", "\r=1", "O'Brien", '"quoted"',
    "a, b", "two\nlines", "one\rtwo", "王小明", "\u200fمريم", "👩\u200d👧", "<script>alert(1)</script>", "<b>=1+1</b>",
    "<scr<script>ipt>x", "<img src=x onerror=alert(1)", "  padded  ", "x; =1", "#N/A", "../../x", "a/b", "nul\0l",
]  # fmt: skip


def test_no_segment_name_breaks_a_file_or_leaves_anybody_without_a_segment(tmp_path: Path) -> None:
    made, keys = few(400), [chr(65 + number) for number in range(len(EVIL))]
    made.segments["segment_key"] = made.lottery["stratum"] = [keys[i % len(keys)] for i in range(400)]
    names = dict(zip(keys, EVIL, strict=True))
    to = ["hubspot email", "salesforce sms", "marketo email", "braze email", "mailchimp email", "plain post"]
    offers = {(key, ""): name for key, name in names.items()}
    made.write(tmp_path, names, to, smallest_group=1, offers=offers)
    segment = dict(zip(made.segments["customer_id"], made.segments["segment_key"], strict=True))
    for one in to:
        rows, platform = rows_of(tmp_path, one, {"A": "?"}), one.rpartition(" ")[0]
        assert len(rows) == 390
        if platform in SEGMENT:
            assert rows[SEGMENT[platform]].tolist() == [segment[who] for who in who_is(rows, made.truth, one)]
        if platform in SEGMENT_NAME:
            told = dict(zip(who_is(rows, made.truth, one), rows[SEGMENT_NAME[platform]], strict=True))
            assert len(set(told.values())) == len(EVIL), "two segments have one name"
            assert all(name.strip() for name in told.values())


BAD = [
    ("first_name", "nul\0in", "nulin"), ("first_name", "\0=1", ""), ("last_name", "bell\x07", "bell"),
    ("external_id", "<b>c1</b>", ""), ("external_id", "=c1", ""), ("external_id", "c\n1", "c\n1"),
    ("external_id", 'c"1,', 'c"1,'), ("external_id", " c1x ", "c1x"), ("external_id", "C2", "C2"),
    ("email", "u\u200b1@example.com", ""), ("email", "\u200eu1@example.com", ""),
    ("email", "v1@example.com\0", "v1@example.com"),
    ("email", "<b>@example.com", ""), ("email", "O'Brien@example.com", "o'brien@example.com"),
    ("email", "'u1@example.com", ""),
    ("email", "u1@example.com, u2@example.com", ""), ("email", "=u1@example.com", ""),
    ("crm_id", "12", ""), ("crm_id", "003 000000000001AB", ""), ("crm_id", "003aaaaaaaaaaaa", "003aaaaaaaaaaaa"),
    ("country", "UK", ""), ("country", "ZZ", ""), ("country", "=1", ""), ("postcode", "=1", ""), ("postcode", "\0", ""),
]  # fmt: skip
COLUMNS = {
    "email": ["Email", "email", "Email Address"], "first_name": ["firstName", "First Name", "First name"],
    "last_name": ["lastName", "Last Name", "Last name"], "external_id": ["external_id", "External_Customer_Id__c"],
    "crm_id": ["Id"], "country": ["Country", "country"], "postcode": ["Zip", "postcode"],
}  # fmt: skip


def test_no_entry_of_an_address_book_breaks_a_file(tmp_path: Path) -> None:
    made = few(1100)
    for place, (column, value, _) in enumerate(BAD):
        made.book.loc[place + 10, column] = value
    made.write(tmp_path, {"A": "All"}, TO)
    read = {to: rows_of(tmp_path, to, {"A": "All"}) for to in TO}
    for column, value, kept in BAD:
        cells = [
            {*read[to][name]} for to in TO for name in COLUMNS[column] if name in read[to] and to not in {"meta ads"}
        ]
        hashed = {sha(value), sha(value.lower())} if column in {"email", "first_name", "last_name"} else set()
        for found in cells:
            assert not found & ({value, *hashed} - {kept, sha(kept)}), f"{column} {value!r}"
        assert not kept or any(found & {kept, sha(kept)} for found in cells), f"{column} {kept!r} is lost"
    assert read["google ads"].shape[0] == 1090  # a phone is left
    ids = set(made.book["external_id"]) - {value for _, value, kept in BAD if not kept}
    for to in ("braze email", "salesforce email"):
        assert set(read[to].iloc[:, 0]) <= {one.strip() for one in ids}, "an id became another's"


def test_ids_of_customers_that_would_run_as_a_formula_are_escaped_for_people_only(tmp_path: Path) -> None:
    made = few(60)
    for table in (made.book, made.segments, made.lottery, made.consents):
        table["customer_id"] = table["customer_id"].replace(
            {"c1": "=c1", "c2": "+447700900123", "c3": "-3", "c4": "a,b"}
        )
    found = made.write(tmp_path, {"A": "All"}, ["plain email", "marketo email"])
    assert {"'=c1", "'+447700900123", "'-3", "a,b"} <= set(
        rows_of(tmp_path, "plain email", {"A": "All"})["customer_id"]
    )
    assert len(rows_of(tmp_path, "marketo email", {"A": "All"})) == len(found.members) / 2 == 50


def test_text_behind_a_semicolon_is_no_formula_for_a_spreadsheet_that_splits_there(tmp_path: Path) -> None:
    made = few(60)
    made.book.loc[0, "first_name"], made.book.loc[1, "first_name"] = "x;=cmd|' /C calc'!A0;", "x\n@SUM(1)"
    made.write(tmp_path, {"A": "-20 % hunters"}, ["plain email"], offers={("A", ""): "2 for 1; +1 free"})
    text = next((tmp_path / "exports/next/plain").glob("*.csv")).read_text(encoding="utf-8")
    # with semicolons as delimiter a quote inside a line is a letter, and a line ends wherever one ends
    pieces = [piece.strip() for piece in re.split(r"[;\n\t]", text)]
    assert not [piece for piece in pieces if piece.startswith(STARTS)]


def test_a_platform_told_all_over_gets_the_hold_out_never(tmp_path: Path) -> None:
    made = few(400)
    found = made.write(tmp_path, {"A": "All"}, ["marketo email", "meta ads"])
    folder = tmp_path / "exports/next/hold_out"
    rows = export_reader.parse(folder / "assignments.csv")
    assert set(rows["customer_id"][rows["arm"] == HELD]) == {f"c{i}" for i in range(390, 400)}
    assert set(rows["customer_id"]) == set(found.members["customer_id"]) | set(found.held_back["customer_id"])
    assert rows["campaign_id"].eq("next").all()
    assert rows["assigned_at"].eq("2026-06-01").all()
    assert not any("@" in cell or "+44" in cell for cell in rows.to_numpy().ravel())
    beside = [file for file in (tmp_path / "exports").rglob("*") if file.suffix in {".md", ".json"}]
    assert len(beside) == 3
    told = "".join(file.read_text(encoding="utf-8") for file in beside)
    assert "example.com" not in told
    assert "+44" not in told
    assert not marks_of(made.book) & set(re.findall(r"[\w@.+-]+", told))


def test_parts_of_a_file_are_below_the_limit_and_hold_everybody_once(tmp_path: Path) -> None:
    made = few(2000, first_name="王" * 2000)
    found = made.write(tmp_path, {"A": "All"}, ["marketo email"])
    rows = rows_of(tmp_path, "marketo email", {"A": "All"})
    assert rows["file"].nunique() == 2
    assert sorted(rows["email"]) == sorted(f"u{i}@example.com" for i in range(1990))
    assert len(found.members) == 1990


@pytest.mark.parametrize(("arms", "told"), [(1, False), (2, True)])
def test_each_arm_has_files_of_its_own(tmp_path: Path, arms: int, told: bool) -> None:
    made = few(400)
    if arms == 2:
        made.lottery.loc[:200, "arm"] = "letter"
    made.write(tmp_path, {"A": "All"}, [to for to in TO if to != "google ads"])
    for to in TO:
        if to != "google ads":
            rows = rows_of(tmp_path, to, {"A": "All"})
            assert rows["file"].nunique() == arms
            # what a list is called is seen by the platform: arms of Meta are numbered
            assert rows["file"].str.contains("_arm-1" if to == "meta ads" else "_arm-letter").any() == told


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**9),
    n=st.integers(80, 240),
    smallest=st.sampled_from([1, 3, 10]),
    most=st.integers(1, 5),
    likely=st.sampled_from([0.6, 0.85, 1.0]),
    blocked=st.sets(st.tuples(st.sampled_from("AB"), st.sampled_from(["email", "sms", "post"]))),
)
def test_files_of_random_consents_hold_exactly_those_who_may_be_in_them(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, smallest: int, most: int, likely: float, blocked: Any
) -> None:
    made, rng = few(n), np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("any")
    ids = made.book["customer_id"].tolist()
    made.lottery["stratum"] = made.segments["segment_key"] = rng.choice(["A", "B"], n, p=[0.7, 0.3])
    arms = ["letter", "gift & card"][: rng.integers(1, 3)]
    made.lottery["arm"] = rng.permutation([HELD, *rng.choice([*arms, HELD], n - 1)])
    made.consents = some_consents(ids, rng, ["email", "sms", "post", "ads"], likely)
    made.contacts = pd.DataFrame(
        {
            "customer_id": rng.choice(ids, 3 * n),
            "at": pd.Timestamp(TODAY) - pd.to_timedelta(rng.integers(-2, 15, 3 * n), "D"),
            "event": rng.choice(["delivery", "impression", "open", "visit"], 3 * n),
        }
    )
    for name in ("email", "phone", "postcode", "external_id", "crm_id"):
        made.book[name] = made.book[name].where(rng.random(n) < 0.8)
    made.truth = made.book.fillna("").assign(plain_id=ids, address="", first="Ann", last=made.book["last_name"])
    names, to = {"A": "One", "B": "Two"}, [one for one in TO if one not in {"google ads", "meta ads"}]
    caps = {"A": (most, 7), "B": (1, 3)}
    wanted = {one: expected(made, one, caps=caps, smallest=smallest, blocked=blocked) for one in to}
    rules: dict[str, Any] = {"cap": (most, 7), "caps": {"B": (1, 3)}, "smallest_group": smallest, "blocked": blocked}
    chosen = made.chosen(to, **rules)
    if not any(wanted.values()):
        assert chosen.members.empty
        return
    made.write(folder, names, to, **rules)
    told, back = defaultdict(set), set(made.lottery.loc[made.lottery["arm"] == HELD, "customer_id"])
    for one in to:
        found = found_in(rows_of(folder, one, names), made.truth, one, names)
        if len(set(chosen.members["arm"])) == 1:  # then no file's name tells the arm
            found = {who: (key, chosen.members["arm"].iloc[0]) for who, (key, _) in found.items()}
        assert found == wanted[one], one
        assert not back & set(found)
        sizes = pd.Series(list(found.values()), dtype=object).value_counts()
        assert sizes.empty or sizes.min() >= smallest
        for who, what in found.items():
            told[who].add(what)
    assert all(len(what) == 1 for what in told.values())

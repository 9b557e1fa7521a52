"""One customer: who shares a clean identifier is one person, two own ids of one system never are, nothing is lost."""

import itertools
from collections.abc import Iterator
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segmentkit.analysis import address_book, identities, linkage
from segmentkit.analysis.addresses import read
from segmentkit.analysis.identities import Resolved
from segmentkit.contracts import Formats, RawTable
from segmentkit.errors import DataError, PrivacyStop
from segmentkit.pseudonyms import keyed, pseudonym

SECRET = b"0123456789abcdef0123456789abcdef"
SYSTEMS = ["shop", "crm", "mail"]
Row = dict[str, Any]
names = itertools.count()
connection = ibis.duckdb.connect()
quick = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    yield
    connection.disconnect()


def raw(rows: list[Row]) -> RawTable:
    frame = pd.DataFrame(rows)
    frame.insert(0, "row_number", range(1, len(frame) + 1))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return RawTable(connection.create_table(f"raw_{next(names)}", table), pd.DataFrame(), Formats(), {})


def row(system: str = "shop", own: str | None = None, email: str | None = None, phone: str | None = None) -> Row:
    return {"system": system, "customer_id": own, "key_email": email, "key_phone": phone, "amount": "1.50"}


def resolved(*rows: Row, **options: Any) -> Resolved:
    options = {"systems": SYSTEMS, "country": "DE"} | options
    table = pd.DataFrame(list(rows)).astype("str").to_dict("records")
    return identities.resolve({"transactions": raw(table)}, SECRET, **options)


def ids(found: Resolved, table: str = "transactions") -> list[str | None]:
    made = found.tables[table].table.order_by("row_number").execute()
    return [None if pd.isna(one) else one for one in made["customer_id"]]


# --- by hand


def test_people_are_joined_across_systems_by_e_mail_and_phone() -> None:
    a, b, c, d = ids(
        resolved(
            row("shop", "1", " Ann@Example.com", None),
            row("crm", "C1", "ann@example.com", "0170 1234567"),
            row("mail", None, None, "+49 170 1234567"),
            row("crm", "C2", "bob@example.com", None),
        )
    )
    assert a == b == c == pseudonym(SECRET, "shop", "1")
    assert d == pseudonym(SECRET, "crm", "C2")


def test_the_order_of_systems_names_a_person() -> None:
    rows = row("shop", "1", "ann@example.com"), row("crm", "C1", "ann@example.com")
    assert set(ids(resolved(*rows, systems=["crm", "shop"]))) == {pseudonym(SECRET, "crm", "C1")}


def test_a_guest_is_known_by_e_mail_then_phone() -> None:
    found = ids(resolved(row(email="ann@example.com", phone="01701234567"), row(phone="01709999999")))
    assert found == [pseudonym(SECRET, "email", "ann@example.com"), pseudonym(SECRET, "phone", "+491709999999")]


def test_rows_without_a_usable_identifier_have_no_customer() -> None:
    found = resolved(
        row(), row(own="0"), row(email="noreply@example.com"), row(phone="000000"), row(own=" "), row(own="7")
    )
    assert ids(found)[:5] == [None] * 5
    assert found.silos.coverage[["customers", "rows", "rows_without"]].values.tolist() == [[1, 6, 5]]
    assert set(found.conflicts["what"]) == {"unusable"}
    assert dict(zip(found.conflicts["kind"], found.conflicts["rows"], strict=True)) == {
        "own id": 1,
        "email": 1,
        "phone": 1,
    }


def test_a_shared_e_mail_links_nothing_and_the_purchases_stay() -> None:
    found = resolved(
        row(own="1", email="family@example.com"),
        row(own="2", email="family@example.com"),
        row(own=None, email="family@example.com"),
        row(own=None, email="family@example.com", phone="01701234567"),
        row("crm", "C1", "family@example.com", "01701234567"),
    )
    one, two, guest, with_phone, crm = ids(found)
    assert one == pseudonym(SECRET, "shop", "1")
    assert two == pseudonym(SECRET, "shop", "2")
    assert guest == pseudonym(SECRET, "email", "family@example.com")
    assert with_phone == crm == pseudonym(SECRET, "crm", "C1")
    told = found.conflicts.iloc[0]
    assert (told["what"], told["system"], told["kind"], told["ids"], told["rows"]) == ("shared", "shop", "email", 2, 5)
    assert told["value"] == "fa… (18 characters)"


def test_a_phone_of_several_e_mails_links_nothing() -> None:
    found = resolved(
        row(email="ann@example.com", phone="030 1234567"),
        row(email="ben@example.com", phone="030 1234567"),
        row(phone="030 1234567"),
        row("crm", "C1", None, "030 1234567"),
        row(email="cid@example.com", phone="030 7654321"),
        row(phone="030 7654321"),
    )
    ann, ben, home, crm, cid, guest = ids(found)
    assert [ann, ben] == [pseudonym(SECRET, "email", f"{name}@example.com") for name in ("ann", "ben")]
    assert len({ann, ben, home, crm, cid}) == 5
    assert cid == guest
    told = found.conflicts[["what", "kind", "ids", "rows", "rule"]].values.tolist()
    assert told == [["shared by e-mails", "phone", 2, 4, "several e-mails share this phone: it links nothing"]]


def test_two_e_mails_of_one_own_id_stay_one_person() -> None:
    found = resolved(
        row("shop", "1", "old@example.com", "030 1234567"),
        row("shop", "1", "new@example.com", "030 1234567"),
        row(phone="030 1234567"),
        row("crm", "C1", None, "030 1234567"),
    )
    assert set(ids(found)) == {pseudonym(SECRET, "shop", "1")}
    assert found.conflicts.empty


def test_a_reference_or_browser_that_names_nobody_links_nothing() -> None:
    rows = [
        {"system": "form", "customer_id": None, "key_email": f"p{i}@example.com", "key_reference": "wave1"}
        for i in range(5)
    ]
    rows += [{"system": "web", "customer_id": f"p{i}@example.com", "key_browser": "b1"} for i in range(2)]
    found = ids(resolved(*(dict.fromkeys(("key_email", "key_reference", "key_browser"), "") | one for one in rows)))
    assert len(set(found)) == 5
    assert found[5:] == found[:2]


def test_an_id_of_another_system_joins_unless_it_is_cited_twice() -> None:
    rows = [
        {"system": "shop", "customer_id": own, "key_crm": crm} for own, crm in [("1", "C1"), ("2", "C2"), ("3", "C2")]
    ]
    rows += [{"system": "crm", "customer_id": own, "key_crm": None} for own in ("C1", "C2")]
    found = resolved(*rows)
    one, two, three, crm_one, crm_two = ids(found)
    assert one == crm_one
    assert len({two, three, crm_two}) == 3
    assert found.conflicts[["what", "kind", "system", "ids"]].values.tolist() == [["cited", "crm", "shop", 2]]


def test_a_chain_loses_its_phone_links_first() -> None:
    found = resolved(
        row("shop", "1", "a@example.com", "01701234567"),
        row("crm", "C1", "a@example.com"),
        row("crm", "C2", None, "01701234567"),
        row("mail", "M1", "a@example.com"),
    )
    shop, crm, other, mail = ids(found)
    assert shop == crm == mail != other
    assert found.conflicts[["what", "system", "ids", "rows"]].values.tolist() == [["chain", "crm", 2, 4]]


def test_a_chain_through_e_mails_loses_all_its_links() -> None:
    found = resolved(
        row("shop", "1", "a@example.com"),
        row("mail", "M1", "a@example.com"),
        row("mail", "M1", "b@example.com"),
        row("shop", "2", "b@example.com"),
    )
    one, mail, again, two = ids(found)
    assert mail == again
    assert len({one, mail, two}) == 3
    assert found.conflicts[["what", "system", "ids", "rows"]].values.tolist() == [["chain", "shop", 2, 4]]


def test_an_id_of_guests_with_many_addresses_names_nobody() -> None:
    guests = [row(own="4711", email=f"guest{i}@example.com") for i in range(101)]
    found = resolved(*guests, row(own="4711"), row(own="9", email="guest1@example.com"))
    made = ids(found)
    assert len(set(made[:101])) == 101
    assert made[101] is None
    assert made[102] == made[1]
    assert found.conflicts[["what", "kind", "rows"]].values.tolist() == [["nobody's", "shop", 102]]


def test_coverage_counts_people_by_system_pair_and_set() -> None:
    found = resolved(
        row("shop", "1", "a@example.com"),
        row("shop", "1", "a@example.com"),
        row("shop", "2", "b@example.com"),
        row("crm", "C1", "a@example.com"),
        row("mail", None, "a@example.com"),
        row("mail", None, "z@example.com"),
    ).silos
    assert found.coverage[["system", "customers", "found_elsewhere", "rows"]].values.tolist() == [
        ["shop", 2, 1, 3],
        ["crm", 1, 1, 1],
        ["mail", 2, 1, 2],
    ]
    assert found.pairs.values.tolist()[0] == ["shop", "crm", 1, 0.5, 1.0]
    assert dict(found.combinations.values.tolist()) == {"shop": 1, "mail": 1, "shop + crm + mail": 1}
    assert "Of 2 people in shop, 1 (50%) are in crm." in found.sentence


# --- without a key


def test_pseudonymous_ids_pass_as_they_are() -> None:
    tables = {
        "transactions": raw([{"customer_id": "a"}, {"customer_id": "b"}, {"customer_id": ""}]),
        "contacts": raw([{"customer_id": "a"}]),
        "margins": raw([{"category": "x"}]),
    }
    found = identities.resolve(tables)
    assert found.tables["transactions"].table.execute().equals(tables["transactions"].table.execute())
    assert found.silos.pairs.values.tolist() == [["transactions", "contacts", 1, 0.5, 1.0]]
    assert found.silos.coverage["rows_without"].tolist() == [1, 0]
    assert found.crosswalk.empty


def test_identity_columns_need_a_key() -> None:
    with pytest.raises(PrivacyStop, match="segmentkit key new"):
        identities.resolve({"transactions": raw([row(own="1", email="a@example.com", phone="")])})


def test_no_table_with_customers_is_no_error() -> None:
    found = identities.resolve({"margins": raw([{"category": "x"}])}, SECRET)
    assert found.silos.coverage.empty
    assert found.sentence == "0 people in no system: there is nothing to join."


@pytest.mark.parametrize("system", ["email", "a:b"])
def test_a_system_named_like_a_key_is_refused(system: str) -> None:
    with pytest.raises(DataError, match="rename it"):
        resolved(row(system, "1"))


# --- later runs


def test_a_changed_address_and_a_later_crm_id_keep_the_customer() -> None:
    first = resolved(row("mail", None, "old@example.com"), row("mail", "M1", "old@example.com"))
    later = resolved(row("mail", "M1", "new@example.com"), row("shop", "1", "new@example.com"), earlier=first.crosswalk)
    assert set(ids(later)) == set(ids(first)) == {pseudonym(SECRET, "mail", "M1")}
    assert len(later.changes) == 0
    known = later.crosswalk.set_index("key")["customer_id"]
    assert known[keyed(SECRET, "email", "old@example.com")] == ids(first)[0]


def test_two_earlier_customers_that_become_one_are_listed() -> None:
    first = resolved(row("shop", "1", "a@example.com"), row("crm", "C1", None, "01701234567"), row("crm", "C9"))
    later = resolved(
        row("shop", "1", "a@example.com"), row("crm", "C1", "a@example.com"), row("crm", "C9"), earlier=first.crosswalk
    )
    small, large = sorted(ids(first)[:2])
    assert ids(later) == [small, small, ids(first)[2]]
    assert later.changes.values.tolist() == [[large, small, "merged"]]
    assert "1 customers of the earlier run are merged now." in later.sentence
    # the phone is not in today's files, and goes with its customer
    assert later.crosswalk.set_index("key").loc[keyed(SECRET, "phone", "+491701234567"), "customer_id"] == small


def test_a_split_leaves_the_id_with_most_identifiers_and_takes_no_id_twice() -> None:
    first = resolved(row("shop", "1", "a@example.com"), row("crm", "C1", "a@example.com", "01701234567"))
    # the shop now has two customers of whom the second holds what was the first one's
    later = resolved(
        row("shop", "1"), row("shop", "2", "a@example.com"), row("crm", "C1", "a@example.com", "01701234567"),
        earlier=first.crosswalk,
    )  # fmt: skip
    one, two, crm = ids(later)
    assert two == crm == ids(first)[0]
    assert one not in (two, pseudonym(SECRET, "shop", "1"))
    assert later.changes.values.tolist() == [[two, one, "split"]]


def test_accepted_probable_links_join_unless_own_ids_contradict_them() -> None:
    rows = [row("shop", "1"), row("crm", "C1"), row("shop", "2")]
    first = resolved(*rows)
    one, crm, two = ids(first)
    links = pd.DataFrame({"customer_id": [one, one], "other_id": [crm, two]})
    joined = resolved(*rows, earlier=linkage.accepted(first.crosswalk, links.head(1)))
    assert len(set(ids(joined))) == 2
    assert ids(joined)[0] == ids(joined)[1]
    wrong = resolved(*rows, earlier=linkage.accepted(first.crosswalk, links))
    assert len(set(ids(wrong))) == 3


# --- random systems


@st.composite
def worlds(draw: st.DrawFn, *, clean: bool) -> list[Row]:
    """Rows of up to 12 people in three systems; unless clean, people share phones, addresses and own ids mix."""
    rows = []
    for person in range(draw(st.integers(1, 12))):
        other = person if clean else draw(st.integers(0, 3))
        emails = [f"person{person}@example.com", f"person{other}@example.com"]
        phones = [f"0170 55{person:05d}", f"0170 55{other:05d}"]
        for system in draw(st.lists(st.sampled_from(SYSTEMS), min_size=1, max_size=5)):
            own = draw(st.sampled_from([None, f"{system}-{person:03d}"]))
            email, phone = draw(st.sampled_from([None, *emails])), draw(st.sampled_from([None, *phones]))
            rows.append(row(system, own, email, phone) | {"person": person})
    return rows


def world(rows: list[Row], **options: Any) -> Resolved:
    frame = pd.DataFrame(rows).astype(dict.fromkeys(row(), "str"))
    return identities.resolve(
        {"transactions": raw(frame.to_dict("records"))}, SECRET, systems=SYSTEMS, country="DE", **options
    )


def parts(rows: list[Row]) -> list[set[int]]:
    """Rows that share an identifier, directly or through others, by joining sets until nothing changes."""
    groups: list[tuple[set[int], set[str]]] = []
    for at, one in enumerate(rows):
        held = {
            f"{name} {one['system'] if name == 'customer_id' else ''} {one[name]}"
            for name in one
            if name.startswith(("customer", "key")) and one[name]
        }
        touching = [group for group in groups if group[1] & held]
        groups = [group for group in groups if not group[1] & held]
        groups.append(({at}.union(*(g[0] for g in touching)), held.union(*(g[1] for g in touching))))
    return [members for members, held in groups if held]


@quick
@given(worlds(clean=True))
def test_who_shares_a_clean_identifier_is_one_person_and_nobody_else(rows: list[Row]) -> None:
    found = world(rows)
    made = pd.Series(ids(found))
    assert {frozenset(members) for members in made.groupby(made).groups.values()} == set(map(frozenset, parts(rows)))
    assert found.conflicts.empty


@quick
@given(worlds(clean=False))
def test_two_own_ids_of_one_system_never_share_a_pseudonym_and_no_row_is_lost(rows: list[Row]) -> None:
    found = world(rows)
    made = found.tables["transactions"].table.order_by("row_number").execute()
    assert made["row_number"].tolist() == list(range(1, len(rows) + 1))
    assert list(made.columns) == ["row_number", "customer_id", "amount", "person"]
    together = pd.DataFrame(rows).assign(made=made["customer_id"]).dropna(subset="customer_id")
    assert (together.groupby(["made", "system"])["customer_id"].nunique() <= 1).all()
    # and one own id is one person
    assert (together.groupby(["system", "customer_id"])["made"].nunique(dropna=False) == 1).all()
    named = [any(one[name] for name in ("customer_id", "key_email", "key_phone")) for one in rows]
    assert made["customer_id"].notna().tolist() == named


@quick
@given(worlds(clean=False), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[Row], chance: Any) -> None:
    order = list(range(len(rows)))
    chance.shuffle(order)
    one, other = world(rows), world([rows[at] for at in order])
    assert [ids(one)[at] for at in order] == ids(other)
    for left, right in zip(
        (one.crosswalk, one.conflicts, *vars(one.silos).values()),
        (other.crosswalk, other.conflicts, *vars(other.silos).values()),
        strict=True,
    ):
        pd.testing.assert_frame_equal(left, right)


@quick
@given(worlds(clean=False))
def test_nothing_that_leaves_holds_an_identifier_in_clear(rows: list[Row]) -> None:
    found = world(rows)
    tables = [found.crosswalk, found.conflicts, *vars(found.silos).values(), found.changes]
    tables.append(found.tables["transactions"].table.execute())
    text = "\n".join(table.to_csv() for table in tables) + found.sentence
    assert "@" not in text
    assert "0170" not in text.replace(" ", "")
    assert "+49170" not in text
    assert not any(one["customer_id"] and one["customer_id"] in text for one in rows)


@quick
@given(worlds(clean=False), worlds(clean=False))
def test_later_runs_keep_ids_and_never_give_one_to_two(rows: list[Row], more: list[Row]) -> None:
    first = world(rows)
    again = world(rows, earlier=first.crosswalk)
    assert ids(again) == ids(first)
    assert again.changes.empty
    later = world(more, earlier=first.crosswalk)
    assert not later.crosswalk["key"].duplicated().any()
    together = pd.DataFrame(more).assign(made=ids(later)).dropna(subset="customer_id")
    assert (together.groupby(["made", "system"])["customer_id"].nunique() <= 1).all()
    # whoever was known and has another id now is listed
    before = first.crosswalk.set_index("key")["customer_id"]
    now = later.crosswalk.set_index("key")["customer_id"]
    moved = pd.DataFrame({"earlier": before, "now": now}).dropna().query("earlier != now").drop_duplicates()
    listed = set(map(tuple, later.changes[["earlier", "now"]].values))
    assert set(map(tuple, moved.values)) <= listed


@quick
@given(worlds(clean=True))
def test_a_changed_address_keeps_whoever_has_an_own_id(rows: list[Row]) -> None:
    first = world(rows)
    renamed = [one | {"key_email": one["key_email"] and f"new.{one['key_email']}"} for one in rows]
    made, before = ids(world(renamed, earlier=first.crosswalk)), ids(first)
    kept = [at for at, one in enumerate(rows) if one["customer_id"] or one["key_phone"]]
    assert [made[at] for at in kept] == [before[at] for at in kept]


# --- the address book


def test_addresses_come_under_pseudonyms_one_row_a_customer() -> None:
    people = [row("shop", "1", "ann@example.com"), row("crm", "003Ws000004BgLq", "ann@example.com", "01701234567")]
    crosswalk = resolved(*people, row("shop", "2")).crosswalk
    given_rows = pd.DataFrame(
        [
            {"system": "crm", "customer_id": "003Ws000004BgLq", "email": "Ann@example.com", "phone": "0170 1234567",
             "first_name": "Ann", "last_name": "Lee", "country": "DE", "postcode": "10115",
             "crm_id": "003Ws000004BgLq"},
            {"system": "shop", "customer_id": "1", "email": "ann@example.com", "first_name": "A."},
            {"system": "shop", "customer_id": "2", "email": "", "phone": "12"},
            {"system": "shop", "customer_id": "3", "email": "stranger@example.com"},
        ]
    )  # fmt: skip
    options: dict[str, Any] = {"systems": ["shop", "crm"], "country": "DE"}
    book = address_book.build(given_rows, crosswalk, SECRET, **options).set_index("customer_id")
    ann = book.loc[pseudonym(SECRET, "shop", "1")]
    assert len(book) == 2
    assert ann[["email", "phone", "first_name", "last_name", "postcode", "crm_id"]].tolist() == [
        "ann@example.com", "+491701234567", "Ann", "Lee", "10115", "003Ws000004BgLq",
    ]  # fmt: skip
    assert book.loc[pseudonym(SECRET, "shop", "2"), "phone"] == "12"
    turned = address_book.build(given_rows.iloc[::-1], crosswalk, SECRET, **options)
    pd.testing.assert_frame_equal(turned.set_index("customer_id"), book)
    assert dict(read(book.reset_index()).counts.set_index("entry")["usable"])["phone"] == 1


def test_a_customer_with_several_addresses_gets_none_of_them() -> None:
    crosswalk = resolved(
        row("shop", "1", "old@example.com", "01701234567"), row("shop", "1", "new@example.com"), row("shop", "2")
    ).crosswalk
    given_rows = pd.DataFrame(
        [
            {"system": "shop", "customer_id": "1", "email": "old@example.com", "phone": "0170 1234567"},
            {"system": "mail", "customer_id": "", "email": "New@example.com", "phone": "+49 170 1234567"},
            {"system": "shop", "customer_id": "2", "email": "two@example.com", "phone": ""},
        ]
    )
    found = read(address_book.build(given_rows, crosswalk, SECRET, country="DE"))
    own = found.table.set_index("customer_id")
    one = own.loc[pseudonym(SECRET, "shop", "1")]
    assert pd.isna(one["email"])
    assert one["phone"] == "+491701234567"
    assert own.loc[pseudonym(SECRET, "shop", "2"), "email"] == "two@example.com"
    assert found.counts.set_index("entry").loc["email", ["given", "unusable", "usable"]].tolist() == [2, 1, 1]
    assert "1 customers have several e-mails or phones and get none of these" in found.sentence


def test_an_empty_address_list_is_an_empty_book() -> None:
    crosswalk = resolved(row("shop", "1")).crosswalk
    empty = pd.DataFrame({"system": [], "customer_id": [], "email": []}, dtype="str")
    assert address_book.build(empty, crosswalk, SECRET).empty

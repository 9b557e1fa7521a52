"""The address book: one spelling, hashes as the platforms publish them, and no cell that a spreadsheet would run."""

import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentkit.analysis import addresses
from segmentkit.errors import DataError


def texts(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def book(**columns: list[str | None]) -> addresses.Book:
    n = len(next(iter(columns.values())))
    return addresses.read(pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], **columns}))


def only(value: pd.Series) -> str | None:
    return None if pd.isna(value.iloc[0]) else value.iloc[0]


# --- hashes


# the first is in wide use; the others are in the makers' documentation of customer information parameters (Meta)
@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("  Test@Example.com\n", "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
        ("John_Smith@gmail.com", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
        ("Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        ("Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        (unicodedata.normalize("NFD", "Valéry"), "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ("16505551212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ],
)
def test_hashes_are_those_that_were_published(text: str, digest: str) -> None:
    assert only(addresses.hashed(texts(text))) == digest


def test_nothing_has_no_hash() -> None:
    assert addresses.hashed(texts(None, "a")).isna().tolist() == [True, False]


# --- phones


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("07700 900123", "GB", "+447700900123"),  # set aside for fiction: possible, not valid
        ("(650) 555-1212", "US", "+16505551212"),
        ("+44 7700 900123", None, "+447700900123"),  # an international number needs no country
        ("+44 7700 900123", "XX", "+447700900123"),
        ("00 44 7700 900123", "DE", "+447700900123"),
        ("+44 7700 900123", "+447700900123", "+447700900123"),
        ("07700 900123", None, None),  # the country is never guessed
        ("07700 900123", "XX", None),
        ("555-1212", "US", None),  # without its area
        ("0123", "GB", None),
        ("+1234567890123456", "US", None),
        ("none", "GB", None),
        ("", "GB", None),
    ],
)
def test_phones_become_e164_or_nothing(number: str, country: str | None, expected: str | None) -> None:
    assert only(addresses.phones(texts(number), texts(country))) == expected


# --- e-mail


@pytest.mark.parametrize(
    "text",
    [" Ann.Lee+x@Example.CO.uk ", "ann_lee@mail.example.com", "用户@例子.中国", "a@b.xn--p1ai", "o'brien@example.com"],
)
def test_sane_addresses_are_kept_in_lower_case(text: str) -> None:
    assert only(addresses.emails(texts(text))) == text.strip().lower()


@pytest.mark.parametrize(
    "text",
    ["", "ann", "ann@", "@example.com", "ann@example", "ann lee@example.com", "a@b@c.com", "a..b@c.com", "a@-b.com",
     "=cmd@example.com", "+ann@example.com", "-ann@example.com", "a,b@c.com", "a@b.com\nc@d.com", "a" * 65 + "@b.com",
     "'ann@example.com", "an\u200bn@example.com", "\u200eann@example.com"],
)  # fmt: skip
def test_what_is_no_address_or_starts_a_formula_is_missing(text: str) -> None:
    assert only(addresses.emails(texts(text))) is None


# --- the book


def test_an_entry_that_several_share_is_left_out_for_all_of_them() -> None:
    found = book(email=["a@x.com", "A@X.com ", "b@x.com", None], external_id=["1", "2", "2", "3"])
    assert found.known[["email", "external_id"]].to_numpy().tolist() == [
        [False, True], [False, False], [True, False], [False, True]
    ]  # fmt: skip
    assert found.counts.set_index("entry").loc["email"].tolist() == [3, 0, 2, 1]
    assert "e-mail 1 of 3 (0 not usable, 2 shared)" in found.sentence


def test_a_postal_address_counts_only_whole() -> None:
    who = {"first_name": ["Ann", "Ann", "=1+1"], "last_name": ["Lee"] * 3, "postcode": ["1", "1", "2"]}
    assert book(**who, country=["gb", None, "GB"]).known["address"].tolist() == [True, False, False]
    assert book(**who, country=["England", "GB", "GB"]).known["address"].tolist() == [False, True, False]


def test_an_id_that_would_run_as_a_formula_is_no_id_and_case_is_kept() -> None:
    found = book(external_id=["3aB", "3Ab", "=1+1"])
    assert found.table["external_id"].tolist()[:2] == ["3aB", "3Ab"]
    assert found.known["external_id"].tolist() == [True, True, False]


def test_an_id_of_salesforce_has_15_or_18_characters() -> None:
    found = book(crm_id=["003aB0000000001", "003aB0000000002AAB", "003aB", "003aB-000000000001", "=03aB000000000001"])
    assert found.known["crm_id"].tolist() == [True, True, False, False, False]


def test_an_id_with_tags_is_none_since_without_them_it_may_be_the_id_of_another() -> None:
    assert book(external_id=["<b>c2</b>", "c2", "c < 2"]).known["external_id"].tolist() == [False, True, True]


def test_country_codes_are_those_in_use() -> None:
    assert book(country=["gb", "UK", "ZZ", None]).table["country"].fillna("").tolist() == ["GB", "", "", ""]


def test_control_characters_are_taken_out_of_every_entry() -> None:
    found = book(first_name=["A\0nn", "\x07"], email=["ann@example.com\0", None])
    assert found.table["first_name"].fillna("").tolist() == ["Ann", ""]
    assert found.table["email"].fillna("").tolist() == ["ann@example.com", ""]


def test_counts_and_print_hold_no_address() -> None:
    found = book(email=["secret@example.com"], last_name=["Secretson"])
    told = f"{found!r} {found.sentence} {found.counts.to_string()} {found.known.to_string()}"
    assert "ecret" not in told
    assert "customer_id" not in found.counts


def test_an_empty_book_and_one_without_entries_can_be_read() -> None:
    assert book(email=[]).known.empty
    assert not book(email=[None, ""]).known[[*addresses.IDS]].any(axis=None)


@pytest.mark.parametrize("ids", [["a", "a"], ["a", None]])
def test_a_customer_twice_or_without_id_is_refused(ids: list[str | None]) -> None:
    with pytest.raises(DataError, match="one row a customer"):
        addresses.read(pd.DataFrame({"customer_id": ids, "email": ["a@b.com", "c@d.com"]}))


# --- formula text

FORMULAS = [
    '=HYPERLINK("x")', "+447700900123 x", "-1", "@SUM(A1)", "\t=1", "\r=1", "\0=1", "＝1", "＋1", "－1", "＠1", "  =1",
    "\n=1", "\u200b=1", "\ufeff=1",
]  # fmt: skip
HARMLESS = ["O'Brien", "王小明", "مريم", "A, B", 'He said "x"', "two\nlines", "1-2", "a=b", "'quoted"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formula_text_is_escaped_for_people_and_refused_for_machines(text: str) -> None:
    assert only(addresses.for_people(texts(text))) == f"'{text}"
    kept, refused = addresses.for_machine(texts(text))
    assert (only(kept), refused) == (None, 1)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_goes_through_both_writers_unchanged(text: str) -> None:
    assert only(addresses.for_people(texts(text))) == text
    kept, refused = addresses.for_machine(texts(text))
    assert (only(kept), refused) == (text, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x;=cmd|' /C calc'!A0;", "x;'=cmd|' /C calc'!A0;"),
        ("2 for 1; +1", "2 for 1;' +1"),
        ("a\n@SUM(1)", "a\n'@SUM(1)"),
    ],
)
def test_a_cell_that_begins_behind_a_semicolon_or_a_line_end_is_escaped_too(text: str, expected: str) -> None:
    assert only(addresses.for_people(texts(text))) == expected


def test_a_phone_is_untouched_for_machines_and_escaped_for_people() -> None:
    kept, refused = addresses.for_machine(texts("+447700900123"), phones=True)
    assert (only(kept), refused) == ("+447700900123", 0)
    assert addresses.for_machine(texts("+447700900123"))[1] == 1  # as a name it is refused
    assert addresses.for_machine(texts("+44+1"), phones=True)[1] == 1
    assert only(addresses.for_people(texts("+447700900123"))) == "'+447700900123"


@given(st.lists(st.text(max_size=12)))
def test_no_cell_for_people_or_machines_starts_as_a_formula(values: list[str]) -> None:
    starts = tuple("=+-@\t\r\0\uff1d\uff0b\uff0d\uff20")
    series = pd.Series(values, dtype="str")
    assert not any(text.startswith(starts) for text in addresses.for_people(series).dropna())
    kept, refused = addresses.for_machine(series)
    assert not any(text.startswith(starts) for text in kept.dropna())
    assert refused == sum(map(bool, values)) - kept.notna().sum()  # an empty cell is not refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>Bold</b> few", "Bold few"),
        ("<script>alert(1)</script>x", "alert(1)x"),
        ("<<b>script>x", "x"),
        ("open <img src=x onerror=y", "open"),
        ("spend < 10 & > 5", "spend < 10 & > 5"),
    ],
)
def test_tags_are_taken_out_and_comparisons_stay(text: str, expected: str) -> None:
    assert only(addresses.without_tags(texts(text))) == expected

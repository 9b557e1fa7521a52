"""Identifiers have one spelling, nobody's are refused, and a pseudonym cannot be made without the key."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentkit import pseudonyms

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Ann.Lee+News@GMail.com\n", "ann.lee+news@gmail.com"),  # dots and tags are kept
        ("mailto:ann@example.com", "ann@example.com"),
        ("'ann@example.com", "ann@example.com"),
        ("\u200bann@example.com\ufeff", "ann@example.com"),
        ("ann＠example.com", "ann@example.com"),  # full width
        ("o'neil@example.ie", "o'neil@example.ie"),
        ("noel@example.com", "noel@example.com"),
        ("tester@example.com", "tester@example.com"),
        ("noreply@example.com", None),
        ("No-Reply@example.com", None),
        ("none@example.com", None),
        ("test@example.com", None),
        ("ann@example", None),
        ("ann..lee@example.com", None),
        ("ann@example.com; bob@example.com", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_emails(text: str, expected: str | None) -> None:
    assert pseudonyms.normalise("email", text) == expected


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("07700 900123", "GB", "+447700900123"),
        ("'+44 (0)7700 900-123", "", "+447700900123"),
        ("0044 7700 900123", "de", "+447700900123"),
        ("447700900123", "GB", "+447700900123"),  # a spreadsheet took the plus
        ("447700900123.0", "GB", "+447700900123"),  # and made it a decimal
        ("491701234567", "DE", None),  # a mobile without its plus, or a number in Leer
        ("07700 900123", "", None),  # the country is never guessed
        ("07700 900123", "XX", None),
        ("4.477E+11", "GB", None),
        ("000000", "DE", None),
        ("+49 0000000", "", None),
        ("0123456789", "DE", None),
        ("555-1212", "US", None),
        ("call me", "US", None),
        ("", "US", None),
    ],
)
def test_phones(text: str, country: str, expected: str | None) -> None:
    assert pseudonyms.normalise("phone", text, country) == expected


@pytest.mark.parametrize(
    ("system", "text", "expected"),
    [
        ("shop", " A7 ", "A7"),
        ("shop", "a7", "a7"),  # case is kept
        ("shop", "'007", "007"),
        ("shop", "17.0", "17"),
        ("shop", "1.0.0", "1.0.0"),
        ("shop", "10", "10"),
        ("shop", "0", None),
        ("shop", "guest", None),
        ("shop", "NULL", None),
        ("shop", "-", None),
        ("shop", "1.2E+11", None),
        ("salesforce_contacts", "003Ws000004BgLqIAK", "003Ws000004BgLq"),
        ("salesforce_contacts", "003Ws000004BgLq", "003Ws000004BgLq"),
        ("shop", "003Ws000004BgLqIAK", "003Ws000004BgLqIAK"),
    ],
)
def test_own_ids(system: str, text: str, expected: str | None) -> None:
    assert pseudonyms.normalise(system, text) == expected


def test_an_own_id_that_is_an_email_address_counts_as_one() -> None:
    assert pseudonyms.identify("mailchimp", "Ann@Example.com") == ("email", "ann@example.com")
    assert pseudonyms.identify("mailchimp", "noreply@example.com") is None
    assert pseudonyms.identify("mailchimp", "M7") == ("mailchimp", "M7")


def test_a_pseudonym_is_an_hmac_of_kind_and_value() -> None:
    digest = hmac.new(SECRET, b"email:ann@example.com", hashlib.sha256).hexdigest()
    assert pseudonyms.pseudonym(SECRET, "email", "ann@example.com") == "c" + digest[:20]


def test_kind_key_and_purpose_each_change_it() -> None:
    made = {
        pseudonyms.pseudonym(SECRET, "email", "x"),
        pseudonyms.pseudonym(SECRET, "shop", "x"),
        pseudonyms.pseudonym(SECRET[::-1], "email", "x"),
        pseudonyms.keyed(SECRET, "email", "x"),
    }
    assert len({one[1:] for one in made}) == 4


def test_the_fingerprint_tells_keys_apart_and_holds_none_of_them() -> None:
    prints = [pseudonyms.fingerprint(one) for one in (SECRET, SECRET[::-1])]
    assert prints[0] != prints[1]
    assert all(len(one) == 8 and one not in SECRET.hex() for one in prints)


@given(st.text(max_size=30), st.sampled_from(["email", "phone", "shop"]), st.sampled_from(["", "DE", "US"]))
def test_normalising_twice_changes_nothing(text: str, kind: str, country: str) -> None:
    once = pseudonyms.normalise(kind, text, country)
    assert once is None or pseudonyms.normalise(kind, once, country) == once


@given(st.text(min_size=1, max_size=40))
def test_a_mask_shows_at_most_two_characters_and_never_all(text: str) -> None:
    shown = pseudonyms.masked(text).split("…")[0]
    assert len(shown) <= 2
    assert len(shown) < len(text)

"""Identifiers brought to one spelling, and keyed pseudonyms in their place.

A plain hash of an e-mail address can be undone by trying addresses; an HMAC (RFC 2104) cannot without the key.
``RULES`` says in words what ``normalise`` does, for a report to print.
"""

import hashlib
import hmac
import re
import unicodedata

import phonenumbers

KEYS = ("email", "phone")
RULES = {
    "email": (
        "e-mail: Unicode NFKC, trimmed, lower case, 'mailto:' removed; dots and plus tags are kept, since they name "
        "different people at some providers; addresses of nobody, such as noreply@, none@ and test@, are not used"
    ),
    "phone": (
        "phone: E.164; a national number needs the source's country; one that lost the + before its country code gets "
        "it back, unless it could be either; only its length is judged; one digit repeated (000000) and counted-up "
        "digits (1234567890) are not used"
    ),
    "own id": (
        "own id of a system: trimmed, a spreadsheet's apostrophe in front and '.0' behind a whole number removed, case "
        "kept; Salesforce's 18 characters cut to the 15 that its reports show; an e-mail address in its place counts "
        "as e-mail; 0, null, none, guest and the like, and ids that a spreadsheet rounded (1.2E+11), are not used"
    ),
}
# pasted with a value, seen by nobody, and different to a machine
_NO_WIDTH = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_EMAIL = re.compile(
    r"(?!\.)(?!.*\.\.)[^\s@\"`(),:;<>\[\]\\]{1,64}(?<!\.)@(?:[^\W_](?:[\w-]*[^\W_])?\.)+(?:[^\W\d_]{2,}|xn--[a-z0-9-]+)"
)
_NOBODYS_EMAIL = re.compile(
    r"(no[-_.]?reply|do[-_.]?not[-_.]?reply|none|no[-_.]?e?mail|test|unknown|null|nobody|anonymous|guest)@.*"
)
_PHONE = re.compile(r"[+(]?[\d\s()./+-]{5,}(\s*(ext|x)\.?\s*\d+)?", re.IGNORECASE)
_NOBODYS_ID = re.compile(
    r"[-.]*|-?0+|-1|null|none|nan|n/?a|undefined|unknown|guest|anonymous|\(?not set\)?|<na>", re.IGNORECASE
)
_ROUNDED = re.compile(r"\d([.,]\d+)?[Ee]\+\d+")


def normalise(kind: str, value: str, country: str = "") -> str | None:
    """One spelling of an identifier; None where it cannot be used.

    Args:
        kind: ``email``, ``phone``, or a system's name for one of its own ids.
        value: as written in the file.
        country: two letters, for phone numbers without a country code; empty where not stated.
    """
    text = re.sub(r"^[\s']+", "", _NO_WIDTH.sub("", value)).strip()
    if kind == "email":
        return _email(text)
    if kind == "phone":
        return _phone(text, country)
    text = re.sub(r"^(\d+)\.0$", r"\1", text)
    text = text[:15] if kind.startswith("salesforce") and len(text) == 18 else text
    return None if _NOBODYS_ID.fullmatch(text) or _ROUNDED.fullmatch(text) else text


def identify(kind: str, value: str, country: str = "") -> tuple[str, str] | None:
    """Kind and normalised value; None where it cannot be used. An own id with an @ counts as an e-mail address."""
    kind = "email" if "@" in value and kind not in KEYS else kind
    found = normalise(kind, value, country)
    return None if found is None else (kind, found)


def pseudonym(secret: bytes, kind: str, normalised: str) -> str:
    """``c`` and 20 hexadecimal digits (80 bits) of an HMAC-SHA256 under the privacy key."""
    return "c" + _keyed(secret, f"{kind}:{normalised}")[:20]


def keyed(secret: bytes, kind: str, normalised: str) -> str:
    """The same for one identifier in the crosswalk, with ``k``; it cannot be told which of them made a pseudonym."""
    return "k" + _keyed(secret, f"crosswalk\n{kind}:{normalised}")[:20]


def fingerprint(secret: bytes) -> str:
    """Eight hexadecimal digits that tell one key from another and say nothing else about it."""
    return _keyed(secret, "fingerprint of a privacy key")[:8]


def masked(text: str) -> str:
    """First two characters (fewer of a short text) and the length."""
    return f"{text[: min(2, len(text) // 3)]}… ({len(text)} characters)"


def _keyed(secret: bytes, text: str) -> str:
    return hmac.digest(secret, text.encode(), hashlib.sha256).hex()


def _email(text: str) -> str | None:
    low = unicodedata.normalize("NFKC", text).lower().removeprefix("mailto:").strip()
    plausible = len(low) <= 254 and _EMAIL.fullmatch(low) and not _NOBODYS_EMAIL.fullmatch(low)
    return low if plausible else None


def _phone(text: str, country: str) -> str | None:
    plain = re.sub(r"\.0$", "", unicodedata.normalize("NFKC", text).removeprefix("tel:"))
    if not _PHONE.fullmatch(plain):
        return None
    found = {one for one in [_e164(plain, country)] if one}
    if plain.startswith(str(phonenumbers.country_code_for_region(country.upper()) or "none")):
        # a spreadsheet takes the + away; where both readings are valid nobody can tell which is meant
        both = {one for one in (*found, _e164("+" + plain, "")) if one}
        found = {one for one in both if phonenumbers.is_valid_number(phonenumbers.parse(one))} or found
    return found.pop() if len(found) == 1 else None


def _e164(text: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(text, country.upper() or None)
    except phonenumbers.NumberParseException:
        return None
    digits = str(number.national_number)
    # is_possible_number alone passes local numbers without their area, which different people have
    fits = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not fits or len(set(digits)) == 1 or digits in "01234567890123456789":
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

"""The forms of e-mails, phone numbers, cards and bank accounts in running text, and what only looks like them."""

import re
from collections.abc import Iterator

import phonenumbers

# pictures as text and hashes; times with their offset, which looks like a number to be dialled
BLOB = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}|\b[0-9a-f]{32,}\b")
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z\b|[+-]\d\d:?\d\d\b)?|"
    r"\b[0-3]?\d([-/.])[0-3]?\d\1(?:19|20)\d\d\b"
)
DRAWING = re.compile(r"<style.*?</style>|<path[^>]*>|\b(?:points|transform|viewBox|style|class)=\"[^\"]*\"", re.DOTALL)
ESCAPE = re.compile(r"\\[nrt]")

# a pattern of SQL such as '%@example.com' names nobody
LOCAL = re.compile(r"[\w.%+'-]*[^\W_][\w.%+'-]*\Z")
DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,24}(?![\w-])")
CODE_FIRST = re.compile(r"(?<![\w+])(?:\+|00(?=[1-9]\d? ?[ ()/.-]))[1-9][\d ()/.\-\u00a0]{5,20}\d")
AREA_FIRST = re.compile(r"(?<![\w.,+/(-])\(?\d{2,5}\)?(?: ?[/-] ?| )\d(?:[ /-]?\d){3,10}(?![\w/-]|[.,]\d)")
AMERICAN = re.compile(r"(?<![\w.,+/(-])(?:\(\d{3}\) ?|\d{3}-)\d{3}-\d{4}(?![\w-])")
CARD = re.compile(
    r"(?<![\w.,+-])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{4,5}|\d{14,19})(?![\w-]|[.,]\d)"
)
# Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay by their lengths: 13 digits would be article
# numbers and order numbers of shops, of which one in ten has a right check digit by chance
ISSUER = re.compile(
    r"4\d{15}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|"
    r"35(?:2[89]|[3-8]\d)\d{12}|(?:6011|64[4-9]\d|65\d\d)\d{12}|62\d{14,17}"
)
ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")


def cut(text: str) -> str:
    """Without what only looks like an identifier; every line stays where it was."""
    text = text.replace("%40", "@").replace("&#64;", "@").replace("\\u0040", "@")
    for pattern in (BLOB, MOMENT, DRAWING):
        text = pattern.sub(lambda found: " " + "\n" * found.group().count("\n"), text)
    return ESCAPE.sub(" | ", text)


def identifiers(text: str, country: str) -> Iterator[tuple[str, int, str]]:
    """Kind, start and value of each identifier."""
    for at in re.finditer("@", text):
        local, domain = LOCAL.search(text[max(0, at.start() - 64) : at.start()]), DOMAIN.match(text, at.end())
        if local and domain:
            yield "e-mail addresses", at.start() - len(local.group()), f"{local.group()}@{domain.group()}"
    # the longest first: inside an account's number others can be read
    for kind, pattern, judge in FORMS:
        hits = [hit for hit in pattern.finditer(text) if judge(hit.group(), country)]
        for hit in hits:
            yield kind, hit.start(), hit.group()
            text = text[: hit.start()] + "#" * len(hit.group()) + text[hit.end() :]


def _has_code(text: str, _: str) -> bool:
    # numbers set aside for fiction are possible and never valid; a code and the right length are enough to stop
    return begins_number(re.sub("^00", "+", text), None)


def _is_national(text: str, country: str) -> bool:
    # where numbers are dialled with a 0 in front they are written with it, which sets them apart from amounts
    written = text.lstrip("(").startswith("0" if trunk(country) == "0" else "")
    return bool(country) and written and begins_number(text, country, valid=True)


def trunk(country: str) -> str | None:
    """What is dialled in front of a national number, mostly 0."""
    return phonenumbers.ndd_prefix_for_region(country, True) if country else None


def _is_american(text: str, _: str) -> bool:
    return begins_number(text, "US", valid=True)


def begins_number(text: str, region: str | None, *, valid: bool = False) -> bool:
    """Whether the text, or its beginning up to a sign between digits, is a possible (or valid) phone number."""
    judge = phonenumbers.is_valid_number if valid else phonenumbers.is_possible_number
    for end in [len(text), *(gap.start() for gap in reversed(list(re.finditer(r"\D+", text))) if gap.start())]:
        try:
            if judge(phonenumbers.parse(text[:end], region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _is_card(text: str, _: str) -> bool:
    """Of a card's issuer, and with the check digit of Luhn (ISO/IEC 7812-1)."""
    digits = re.sub(r"\D", "", text)
    doubled = "".join(str(int(one) * (1 + place % 2)) for place, one in enumerate(reversed(digits)))
    return bool(ISSUER.fullmatch(digits)) and len(set(digits)) > 1 and sum(map(int, doubled)) % 10 == 0


def _is_account(text: str, _: str) -> bool:
    """An IBAN: its country is one, and its remainder by 97 is 1 (ISO 13616)."""
    bare = text.replace(" ", "")
    number = "".join(str(int(one, 36)) for one in bare[4:] + bare[:4])
    return bare[:2] in phonenumbers.SUPPORTED_REGIONS and 15 <= len(bare) <= 34 and int(number) % 97 == 1


FORMS = (
    ("bank accounts", ACCOUNT, _is_account),
    ("card numbers", CARD, _is_card),
    ("phone numbers", CODE_FIRST, _has_code),
    ("phone numbers", AREA_FIRST, _is_national),
    ("phone numbers", AMERICAN, _is_american),
)

"""What one customer is called in a run: ids, keyed ids, addresses and hashes of them, from whatever is known.

Nothing here is printed or kept; it lasts as long as the search.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit.errors import KitError, ParameterError, PrivacyStop
from segmentkit.machinery.erasing import Person
from segmentkit.machinery.files import read_json
from segmentkit.machinery.privacy_key import find_key
from segmentkit.machinery.series import run_name
from segmentkit.pseudonyms import identify, keyed, masked, pseudonym

CUSTOMER = "customer_id"
PSEUDONYM = re.compile("c[0-9a-f]{20}")
KEYED = re.compile("[ck][0-9a-f]{20}")
# what files that left call the ids of the address book
BOOK_IDS = {"crm_id": ("crm_id", "id"), "external_id": ("external_id", "external_customer_id__c")}


@dataclass(frozen=True)
class Request:
    """Who is meant: the kind of identifier, and its value."""

    kind: str
    value: str = field(repr=False)

    @property
    def told(self) -> str:
        """For people, masked unless it is a pseudonym."""
        return f"{self.kind} {self.value if PSEUDONYM.fullmatch(self.value) else masked(self.value)}"

    def named(self, country: str) -> tuple[str, str] | None:
        """Kind and normalised value of an identity; none for a ``customer_id``."""
        return None if self.kind == CUSTOMER else identify(self.kind, self.value, country)


def request_of(text: str, kind: str) -> Request:
    """What was given, its kind told by its form where it is not stated.

    Raises:
        ParameterError: it cannot be an identifier of that kind.
    """
    text = text.strip()
    kind = kind.strip() or ("email" if "@" in text else "phone" if re.match(r"\+|00", text) else CUSTOMER)
    # a national phone number can be judged once the country of a source is known
    if text and (kind in (CUSTOMER, "phone") or identify(kind, text)):
        return Request(kind, text)
    raise ParameterError(
        f"ID == {masked(text)} as {kind}; nobody can be found by it; write it as in the file, and its kind with --kind"
    )


def person_in(folder: Path, request: Request, buried: list[set[str]]) -> tuple[Person, str]:
    """The customer's names in one run, and what could not be looked up.

    Args:
        folder: of the run.
        request: who is meant.
        buried: ids and keyed ids of each customer who has a tombstone: a search that broke off may have emptied the
            crosswalk already.

    Raises:
        PrivacyStop: the privacy key of the run is needed and not here.
        ParameterError: several customers share what was given.
    """
    facts = read_json(folder / "source.json")["facts"]
    secret, country = _key(folder, facts.get("key", ""), request), facts.get("country", "")
    asked = request.named(country)
    if request.kind == CUSTOMER:
        known = {request.value}
    else:
        known = {pseudonym(secret, *asked), keyed(secret, *asked)} if secret and asked else set()
    known = _joined(folder, known, buried)
    book, note = _own_rows(folder, request, known, secret)
    if secret:
        for row in book.to_dict("records"):
            known |= {make(secret, *one) for one in _identities(row, country) for make in (pseudonym, keyed)}
        known = _joined(folder, known, buried)
    else:
        known |= set(book[CUSTOMER].dropna())
    columns = {CUSTOMER: frozenset(known)}
    for entry, names in BOOK_IDS.items():
        columns |= dict.fromkeys(names, frozenset(book[entry].dropna() if entry in book else ()))
    marks = {one for one in known if KEYED.fullmatch(one)} | _addresses(book, asked, country)
    return Person(columns, frozenset(marks), _name_and_place(book)), note


def _key(folder: Path, mark: str, request: Request) -> bytes | None:
    secret = find_key(mark) if mark else None
    # a run that stopped for want of its key holds nobody
    held = any((folder / "tables").glob("*.parquet"))
    if mark and not secret and held and request.kind != CUSTOMER:
        raise PrivacyStop(
            f"privacy key {mark} of run {run_name(folder)} is not here; without it nobody can be found in that run by "
            "e-mail, phone or own id; restore its file beside the key in use, or give the customer_id (c and 20 "
            "digits), or name another source with --source, or purge that run"
        )
    return secret


def _joined(folder: Path, known: set[str], buried: list[set[str]]) -> set[str]:
    """With every id and keyed id that the crosswalk or a tombstone gives the same customer."""
    path = folder / "tables" / "crosswalk.parquet"
    known = known.union(*(one for one in buried if one & known))
    if path.is_file():
        crosswalk = pd.read_parquet(path, columns=[CUSTOMER, "key"])
        ids = known | set(crosswalk.loc[crosswalk["key"].isin(known), CUSTOMER])
        known = ids | set(crosswalk.loc[crosswalk[CUSTOMER].isin(ids), "key"])
    return known


def _own_rows(folder: Path, request: Request, known: set[str], secret: bytes | None) -> tuple[pd.DataFrame, str]:
    """The customer's rows of the address book: it alone says whose the addresses in files that left are."""
    from segmentkit.machinery.reading import read_addresses
    from segmentkit.machinery.runs import connect
    from segmentkit.machinery.sources import Source

    source = Source.from_dict(read_json(folder / "source.json"))
    country = source.facts.get("country", "")
    try:
        book = read_addresses(source, connect())
    except KitError:
        told = "the address book cannot be read, so files that left were searched only for what you gave"
        return pd.DataFrame(columns=[CUSTOMER]), f"{run_name(folder)}: {told}."
    asked = request.named(country)

    def theirs(row: Mapping[str, Any]) -> bool:
        found = set(_identities(row, country))
        keys = {make(secret, *one) for one in found for make in (pseudonym, keyed)} if secret else set()
        return row[CUSTOMER] in known or asked in found or not known.isdisjoint(keys)

    own = book[[theirs(row) for row in book.to_dict("records")]] if len(book) else book
    if not secret and own[CUSTOMER].nunique() > 1:
        raise ParameterError(
            f"{request.told} stands with {own[CUSTOMER].nunique():,} customers in the address book of source "
            f"{source.key}; one at a time can be forgotten; give a customer_id"
        )
    return own, ""


def _identities(row: Mapping[str, Any], country: str) -> Iterator[tuple[str, str]]:
    """Every identity in a row of an address book, normalised."""
    named = {"email": row.get("email"), "phone": row.get("phone"), row.get("system"): row[CUSTOMER]}
    own = [*named.items(), *((name[4:], value) for name, value in row.items() if str(name).startswith("key_"))]
    place = row.get("country")
    for kind, value in own:
        if isinstance(kind, str) and isinstance(value, str):
            found = identify(kind, value, place if isinstance(place, str) and len(place) == 2 else country)
            yield from [found] if found else []


def _addresses(book: pd.DataFrame, asked: tuple[str, str] | None, country: str) -> set[str]:
    """E-mails and phones as files that left have them: in clear, without plus, and as SHA-256."""
    found = {asked} if asked else set()
    found |= {one for row in book.to_dict("records") for one in _identities(row, country)}
    plain = {value for kind, value in found if kind in ("email", "phone")}
    plain |= {value.lstrip("+") for kind, value in found if kind == "phone"}
    return plain | {_hash(one) for one in plain}


def _name_and_place(book: pd.DataFrame) -> frozenset[str]:
    """Hashed names with the postcode: an audience may hold nothing else of a customer."""
    for row in book.to_dict("records"):
        first, last, postcode = (row.get(name) for name in ("first_name", "last_name", "postcode"))
        if all(isinstance(one, str) and one.strip() for one in (first, last, postcode)):
            return frozenset({_hash(str(first)), _hash(str(last)), str(postcode).strip().lower()})
    return frozenset()


def _hash(text: str) -> str:
    return hashlib.sha256(text.strip().lower().encode()).hexdigest()

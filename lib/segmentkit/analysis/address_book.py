"""Addresses under pseudonymous ids: which customer a row of an address list is, and one row a customer.

Nothing in here belongs into a run's tables or metrics; see ``addresses`` for what a file that leaves may hold.
"""

from collections.abc import Sequence

import pandas as pd

from segmentkit.analysis.addresses import NAMED, SEVERAL
from segmentkit.analysis.identities import OWN
from segmentkit.contracts import ADDRESSES
from segmentkit.pseudonyms import KEYS, identify, keyed, normalise


def known_as(rows: pd.DataFrame, crosswalk: pd.DataFrame, secret: bytes, country: str = "") -> pd.Series:
    """The pseudonym of each row of people, found by own id, else e-mail, else phone; missing where not known.

    Args:
        rows: any of ``system``, ``customer_id`` (own id), ``email`` or ``key_email``, ``phone`` or ``key_phone``.
        crosswalk: ``Resolved.crosswalk``.
        secret: the privacy key.
        country: two letters, for national phone numbers.
    """
    known = crosswalk.set_index("key")["customer_id"].to_dict()
    found = pd.Series(pd.NA, index=rows.index, dtype="str")
    systems = rows["system"] if "system" in rows else pd.Series(OWN, index=rows.index)
    for name in ("customer_id", "key_email", "email", "key_phone", "phone"):
        if name in rows:
            kinds = systems if name == "customer_id" else pd.Series(name.removeprefix("key_"), index=rows.index)
            texts = zip(kinds.fillna(OWN), rows[name].fillna(""), strict=True)
            ids = [known.get(keyed(secret, *one)) if (one := identify(*text, country)) else None for text in texts]
            found = found.fillna(pd.Series(ids, index=rows.index, dtype="str"))
    return found


def under_our_ids(
    rows: pd.DataFrame, crosswalk: pd.DataFrame, secret: bytes, systems: Sequence[str] = (), country: str = ""
) -> pd.DataFrame:
    """The address book by the run's own customer ids: as it is, or by keyed pseudonyms where there is a key."""
    return build(rows, crosswalk, secret, systems=systems, country=country) if secret else rows


def build(
    rows: pd.DataFrame, crosswalk: pd.DataFrame, secret: bytes, *, systems: Sequence[str] = (), country: str = ""
) -> pd.DataFrame:
    """Addresses by pseudonymous customer_id, one row a customer, for files that leave; never kept in a run.

    A customer with several different e-mails is left without one, since consent for one of them is none for another;
    phones likewise. ``SEVERAL`` stands in their place, which the address book counts as not usable. Of further entries
    the first system that has one gives it; names and place come together, from the row that has most of them. Rows of
    people who are in no other table are left out: nobody could choose them.

    Args:
        rows: ``system``, ``customer_id`` (own id), and any of ``contracts.ADDRESSES`` or ``key_email``, ``key_phone``.
        crosswalk: ``Resolved.crosswalk``.
        secret: the privacy key.
        systems: systems in the order of the source; others follow by name.
        country: two letters, for national phone numbers.
    """
    own = rows.get("system", pd.Series(OWN, index=rows.index)).fillna(OWN)
    given = rows.reindex(columns=[*ADDRESSES.names, "key_email", "key_phone"]).astype("str")
    given = given.mask(given.apply(lambda column: column.str.strip()) == "")
    for kind in KEYS:
        given[kind] = _spelled(kind, given[kind].fillna(given[f"key_{kind}"]), country)
    order = own.map({name: place for place, name in enumerate(systems)}).fillna(len(systems))
    given = given.assign(order=order, system=own).sort_values(["order", "system", *ADDRESSES.names], ignore_index=False)
    given["customer_id"] = known_as(rows, crosswalk, secret, country)
    given = given.dropna(subset="customer_id")
    book = given.groupby("customer_id")[ADDRESSES.names[1:]].first()
    for kind in KEYS:
        book[kind] = book[kind].mask(given.groupby("customer_id")[kind].nunique() > 1, SEVERAL)
    fullest = given.assign(filled=given[NAMED].notna().sum(axis=1)).sort_values(
        "filled", ascending=False, kind="stable"
    )
    book[NAMED] = fullest.drop_duplicates("customer_id").set_index("customer_id")[NAMED]
    return book.reset_index()[ADDRESSES.names].astype("str")


def _spelled(kind: str, texts: pd.Series, country: str) -> pd.Series:
    """One spelling where it can be told; what cannot be used stays as it is, for the address book to count."""
    return texts.map({one: normalise(kind, one, country) or one for one in texts.dropna().unique()}).astype("str")

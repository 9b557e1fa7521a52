"""One customer: identifiers of several systems joined into people, each with a keyed pseudonym.

Identifiers that stand in one row belong to one person, and so do those joined through others (connected components).
A link that would make two own ids of one system one person is never made, nor one of two e-mails that only a phone or
another key joins: it is listed, and the purchases stay with the id of their row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.util import gen_name

from segmentkit.analysis.identity_links import CHAIN, CITED, HOUSEHOLD, MOST_KEYS, NOBODYS, SHARED, People, join
from segmentkit.analysis.silos import Silos, count
from segmentkit.contracts import RawTable
from segmentkit.errors import DataError, PrivacyStop
from segmentkit.pseudonyms import KEYS, RULES, identify, keyed, masked, pseudonym

CONFLICTS = ["what", "system", "kind", "value", "ids", "rows", "rule", "mend"]
CROSSWALK = ["customer_id", "kind", "key"]
UNUSABLE = "unusable"
# where the source does not say whose own ids its rows hold
OWN = "own"
# rule and mend of a conflict, with the system and the kind of the identifier
WORDS = {
    SHARED: (
        "several ids of {system} share this {kind}: it links nothing",
        "merge them in {system}, or mend the {kind}",
    ),
    HOUSEHOLD: (
        "several e-mails share this {kind}: it links nothing",
        "mend the {kind}; a household may well share one",
    ),
    CITED: ("one id of {kind} goes with several ids of {system}: none of them is linked", "keep the right one"),
    NOBODYS: (f"an id with more than {MOST_KEYS} e-mails or phones names nobody", "leave the id of guests empty"),
    CHAIN: (
        "a chain of links joins several ids of {system}: phone links, then all, were cut",
        "merge them in {system}",
    ),
    UNUSABLE: ("no usable {kind}", "mend the values, or state `country` where they are national numbers"),
}


@dataclass(frozen=True)
class Resolved:
    """The tables of a source with one pseudonymous customer_id a person.

    Attributes:
        tables: as given; ``customer_id`` is the pseudonym, or NULL where no identifier can be used; the columns
            ``system`` and ``key_*`` are gone.
        crosswalk: ``customer_id, kind, key``: keyed hashes of the identifiers, no plain value.
        conflicts: ``what`` (a key of ``WORDS``), ``system, kind, value`` (masked), ``ids`` (how many, or how many
            values), ``rows, rule, mend``.
        silos: who is in which systems.
        changes: ``earlier, now, change``: customers of the earlier run that are merged or split now.
    """

    tables: dict[str, RawTable]
    crosswalk: pd.DataFrame
    conflicts: pd.DataFrame
    silos: Silos
    changes: pd.DataFrame

    @property
    def sentence(self) -> str:
        """Who is found where, what was not joined, and what became of customers of an earlier run."""
        told = [self.silos.sentence]
        if conflicts := int((self.conflicts["what"] != UNUSABLE).sum()):
            told.append(f"{conflicts:,} conflicts: what would join two ids of one system or two e-mails is not linked.")
        for change, earlier in self.changes.groupby("change")["earlier"]:
            told.append(f"{earlier.nunique():,} customers of the earlier run are {change} now.")
        return " ".join(told)


def resolve(
    raw: Mapping[str, RawTable],
    secret: bytes = b"",
    *,
    systems: Sequence[str] = (),
    country: str = "",
    earlier: pd.DataFrame | None = None,
) -> Resolved:
    """Join identifiers into people and put a pseudonym in their place.

    A key (e-mail, phone) that two own ids of one system share links nothing; nor does a phone, browser or other key
    that goes with two e-mails which no own id joins; nor do two own ids of one system that one id of another goes
    with. People who would still hold two own ids of one system through a chain lose the links
    that only the earlier run knew, then phone links, then all. A pseudonym is made from the own id in the first
    system, else the next, else e-mail, else phone, else whatever other key names somebody (a browser, a response): of
    those a person may have several, as of addresses. A link once made stays in the crosswalk, and holds until the ids
    of a later run contradict it.

    Args:
        raw: tables as read, all on one engine.
        secret: the privacy key; without one the ids pass as they are.
        systems: systems in the order of the source; others follow by name.
        country: two letters, for national phone numbers.
        earlier: crosswalk of an earlier run under the same key; whoever is known there keeps the customer_id.

    Raises:
        PrivacyStop: identity columns and no privacy key.
        DataError: a system is called ``email`` or ``phone``, or has a colon in its name.
    """
    seen = {name: _distinct(table.table) for name, table in raw.items() if _columns(table.table)}
    if not secret or not seen:
        return _as_given(raw, seen)
    kinds, own = _kinds(seen.values(), systems)
    nodes, held, unusable = _identifiers(seen, kinds, country)
    hashes = [
        keyed(secret, kind, value) for kind, value in zip(nodes["kind"].tolist(), nodes["value"].tolist(), strict=True)
    ]
    nodes["key"] = pd.Series(hashes, dtype="str")
    before = pd.DataFrame(columns=CROSSWALK, dtype="str") if earlier is None else earlier.drop_duplicates("key")
    known = nodes["key"].map(before.set_index("key")["customer_id"])
    numbers = nodes["kind"].cat.codes.to_numpy(dtype=np.int64)
    rows = [one["rows"].to_numpy() for one in seen.values()]
    people = join(list(held.values()), rows, numbers, own, pd.factorize(known, sort=True)[0])
    placed = {name: people.of_rows(one) for name, one in held.items()}
    ids, changes = _ids(nodes, people, placed, known, secret, set(before["customer_id"]))
    for name, one in seen.items():
        one["resolved"] = ids.reindex(placed[name]).array
    return Resolved(
        {name: replace(table, table=_with_ids(table.table, seen.get(name))) for name, table in raw.items()},
        _crosswalk(nodes, ids.reindex(people.person).mask(people.nobodys), before, changes),
        _conflicts(people.conflicts, nodes, kinds, unusable),
        _silos(seen, kinds),
        changes,
    )


def rules(raw: Mapping[str, RawTable]) -> list[str]:
    """The stated normalisation of every kind of identifier that these tables join by; none where nothing is joined."""
    columns = {name for table in raw.values() for name in table.table.columns}
    kinds = [kind for kind in KEYS if f"key_{kind}" in columns]
    return [RULES[kind] for kind in [*kinds, *(["own id"] if "system" in columns else [])]]


def forgotten(crosswalk: pd.DataFrame, buried: Collection[str]) -> set[str]:
    """Ids of customers who asked to be forgotten, by a tombstone of their own or of one of their identifiers."""
    return set(buried) | set(crosswalk.loc[crosswalk["key"].isin(list(buried)), "customer_id"])


def _columns(table: ibis.Table) -> list[str]:
    return [name for name in table.columns if name == "customer_id" or name.startswith("key_")]


def _texts(table: ibis.Table) -> dict[str, Any]:
    """Whose ids, and every identifier as text; empty where missing."""
    texts = {name: table[name].cast("string").fill_null("") for name in _columns(table)}
    system = table.system.cast("string").nullif("").fill_null(OWN) if "system" in table.columns else ibis.literal(OWN)
    return {"system": system, **texts}


def _distinct(table: ibis.Table) -> pd.DataFrame:
    texts = _texts(table)
    grouped = table.select(**texts).group_by(list(texts)).aggregate(rows=lambda one: one.count())
    return grouped.execute().astype(dict.fromkeys(texts, "str"))


def _kinds(seen: Any, systems: Sequence[str]) -> tuple[list[str], int]:
    """Systems in order, e-mail, phone, then whatever else names people, such as a browser; and how many are systems."""
    given = {system for one in seen for system in one["system"].unique() if "customer_id" in one.columns}
    cited = {name.removeprefix("key_") for one in seen for name in one.columns if name.startswith("key_")}
    if wrong := sorted(name for name in given if name in KEYS or ":" in name):
        raise DataError(f"system == {wrong[0]!r}; a system is not called email or phone and has no colon; rename it")
    names = given | (cited & set(systems))
    order = [*(name for name in systems if name in names), *sorted(names - set(systems))]
    return [*order, *KEYS, *sorted(cited - names - set(KEYS))], len(order)


def _identifiers(
    seen: Mapping[str, pd.DataFrame], kinds: Sequence[str], country: str
) -> tuple[pd.DataFrame, dict[str, np.ndarray], pd.DataFrame]:
    """Identifiers in order of kind and value, those of each distinct row by number, and what cannot be used."""
    labels, unusable = {}, [pd.DataFrame(columns=["system", "kind", "value", "rows"])]
    for name, one in seen.items():
        columns = ["customer_id", *(f"key_{kind}" for kind in kinds)]
        read = {column: _labels(one, column, country) for column in columns if column in one.columns}
        labels[name] = pd.DataFrame(read, dtype=object)
        for column in read:
            lost = one[labels[name][column].isna() & (one[column].str.strip() != "")]
            kind = "own id" if column == "customer_id" else column.removeprefix("key_")
            unusable.append(lost[["system", "rows"]].assign(kind=kind, value=lost[column]))
    texts = pd.unique(
        pd.Series(np.concatenate([one.to_numpy().ravel() for one in labels.values()]), dtype="str").dropna()
    )
    parts = [text.partition(":") for text in texts.tolist()]
    nodes = pd.DataFrame({"label": texts, "kind": [one[0] for one in parts], "value": [one[2] for one in parts]})
    nodes["kind"] = pd.Categorical(nodes["kind"], kinds, ordered=True)
    nodes = nodes.astype({"value": "str"}).sort_values("value").sort_values("kind", kind="stable", ignore_index=True)
    index = pd.Index(nodes.pop("label"), dtype=object)
    held = {name: one.apply(index.get_indexer).to_numpy().reshape(one.shape) for name, one in labels.items()}
    return nodes, held, pd.concat(unusable)


def _labels(seen: pd.DataFrame, column: str, country: str) -> np.ndarray:
    """``kind:value`` of each identifier after normalisation, None where missing or not usable."""
    kinds = seen["system"] if column == "customer_id" else column.removeprefix("key_")
    codes, texts = pd.factorize((kinds + ":" + seen[column]).where(seen[column].str.strip() != ""))
    parts = [text.partition(":") for text in texts.tolist()]
    found = [identify(kind, value, country) for kind, _, value in parts]
    return np.array([*(":".join(one) if one else None for one in found), None], dtype=object)[codes]


def _ids(
    nodes: pd.DataFrame,
    people: People,
    placed: Mapping[str, np.ndarray],
    known: pd.Series,
    secret: bytes,
    taken: set[str],
) -> tuple[pd.Series, pd.DataFrame]:
    """Customer id of every person who has a row, and what became of earlier customers.

    An earlier id goes to whoever holds most of its identifiers, ties by the smallest id and identifier.
    """
    used = np.unique(np.concatenate([[-1], *placed.values()]))[1:]
    pairs = pd.DataFrame({"person": people.person, "earlier": known}).dropna().value_counts().reset_index()
    pairs = pairs[pairs["person"].isin(used)].sort_values(["count", "earlier", "person"], ascending=[False, True, True])
    ids: dict[int, str] = {}
    owner: dict[str, int] = {}
    for person, earlier in zip(pairs["person"].tolist(), pairs["earlier"].tolist(), strict=True):
        if person not in ids and earlier not in owner:
            ids[person], owner[earlier] = earlier, person
    fresh = used[~np.isin(used, list(ids))]
    chosen = nodes.loc[fresh]
    for person, kind, value in zip(fresh.tolist(), *(chosen[name].tolist() for name in ("kind", "value")), strict=True):
        ids[person] = _fresh(secret, kind, value, taken)
    named = pd.Series(ids, dtype="str")
    changes = pairs.assign(now=named.reindex(pairs["person"]).array).query("earlier != now")
    changes["change"] = np.where(changes["earlier"].isin(owner), "split", "merged")
    return named, changes[["earlier", "now", "change"]].sort_values(["earlier", "now"], ignore_index=True)


def _fresh(secret: bytes, kind: str, value: str, taken: set[str]) -> str:
    """A pseudonym that no earlier customer has: one who was split may have left theirs to another."""
    while (name := pseudonym(secret, kind, value)) in taken:
        kind += "'"
    return name


def _with_ids(table: ibis.Table, seen: pd.DataFrame | None) -> ibis.Table:
    """The table with resolved ids: one left join on its distinct rows of identifiers, which repeats no row."""
    gone = [name for name in table.columns if name == "system" or name.startswith("key_")]
    if seen is None:
        return table.drop(*gone)
    texts = _texts(table)
    known = seen[[*texts, "resolved"]].rename(columns={name: f"known_{name}" for name in texts})
    engine = table.get_backend()
    book = engine.create_table(gen_name("identities"), pa.Table.from_pandas(known, preserve_index=False), temp=True)
    joined = table.left_join(book, [text == book[f"known_{name}"] for name, text in texts.items()])
    return joined.mutate(customer_id=joined.resolved).drop("resolved", *known.columns[:-1], *gone)


def _crosswalk(nodes: pd.DataFrame, ids: pd.Series, before: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Who is behind each identifier, those that only the earlier run saw among them."""
    now = pd.DataFrame({"customer_id": ids.array, "kind": nodes["kind"].astype("str"), "key": nodes["key"]})
    absent = before.loc[pd.Index(now["key"]).get_indexer(before["key"]) < 0, CROSSWALK]
    merged = changes[changes["change"] == "merged"].drop_duplicates("earlier").set_index("earlier")["now"].to_dict()
    absent = absent.assign(customer_id=absent["customer_id"].map(lambda one: merged.get(one, one))).astype("str")
    # sorted by what is random: the order of the identifiers themselves would say something of them
    return pd.concat([now.dropna(), absent]).sort_values("key", ignore_index=True)


def _conflicts(found: pd.DataFrame, nodes: pd.DataFrame, kinds: Sequence[str], unusable: pd.DataFrame) -> pd.DataFrame:
    """Every link that was not made, and what of the identifiers could not be used; values are masked."""
    which = nodes.iloc[found["identifier"].astype("int64")].reset_index(drop=True)
    listed = found.assign(what=found["rule"], system=np.array(kinds, dtype=object)[found["system"].astype("int64")])
    listed = listed.assign(kind=which["kind"].astype("str"), value=which["value"])
    lost = unusable.groupby(["system", "kind"], as_index=False).agg(
        value=("value", "min"), ids=("value", "nunique"), rows=("rows", "sum")
    )
    table = pd.concat([listed.sort_values(["system", "kind", "value"]), lost.assign(what=UNUSABLE)], ignore_index=True)
    words = [[text.format(system=row.system, kind=row.kind) for text in WORDS[row.what]] for row in table.itertuples()]
    table[["rule", "mend"]] = pd.DataFrame(words, columns=["rule", "mend"], dtype="str")
    table = table.assign(value=table["value"].map(masked)).astype({"ids": "int64", "rows": "int64"})
    return table[CONFLICTS]


def _silos(seen: Mapping[str, pd.DataFrame], order: Sequence[str]) -> Silos:
    kinds = {"system": "str", "customer_id": "str", "rows": "int64", "table": "str"}
    rows = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})]
    rows += [
        pd.DataFrame({"system": one["system"], "customer_id": one["resolved"], "rows": one["rows"], "table": name})
        for name, one in seen.items()
    ]
    everything = pd.concat(rows)
    # a system that has only e-mails or phones of people is in the order of no ids
    return count(everything, list(dict.fromkeys([*order, *sorted(everything["system"].unique())])))


def _as_given(raw: Mapping[str, RawTable], seen: Mapping[str, pd.DataFrame]) -> Resolved:
    """Ids pass as they are, each table a system of its own."""
    keys = sorted({name for one in seen.values() for name in one.columns if name.startswith("key_")})
    if keys:
        raise PrivacyStop(
            f"identity columns == {', '.join(keys)}; joining people by them needs a privacy key; make one: "
            "python -m segmentkit key new"
        )
    ids = {
        n: one.assign(system=n, resolved=one["customer_id"].str.strip().replace("", None)) for n, one in seen.items()
    }
    return Resolved(
        {name: replace(table, table=_with_ids(table.table, None)) for name, table in raw.items()},
        pd.DataFrame(columns=CROSSWALK, dtype="str"),
        pd.DataFrame(columns=CONFLICTS),
        _silos(ids, list(ids)),
        pd.DataFrame(columns=["earlier", "now", "change"], dtype="str"),
    )

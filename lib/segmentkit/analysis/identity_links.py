"""Which identifiers are one person: links from rows, the ones that cannot be true set aside, connected components.

Identifiers are numbers here, 0 to n - 1, sorted by kind; kinds are numbers too: systems first, then keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# no person has so many keys; an own id that does stands for guests
MOST_KEYS = 100
# links by strength: what only an earlier run knew gives way first, then phones, which households share
REMEMBERED, PHONE, FIRM = range(3)
SHARED, CITED, NOBODYS, CHAIN, HOUSEHOLD = "shared", "cited", "nobody's", "chain", "shared by e-mails"


@dataclass(frozen=True)
class People:
    """Identifiers joined into people.

    Attributes:
        person: for each identifier the smallest one of the same person; shape (n,).
        unsure: keys that several own ids of one system share, or several e-mails: they link nothing; shape (n,).
        nobodys: own ids that stand for nobody in particular; shape (n,).
        conflicts: ``identifier, system, ids, rows, rule``; identifier and system are numbers.
    """

    person: np.ndarray
    unsure: np.ndarray
    nobodys: np.ndarray
    conflicts: pd.DataFrame

    def of_rows(self, held: np.ndarray) -> np.ndarray:
        """The person of each row, -1 where it has none: its first identifier decides, an unsure one comes last.

        Args:
            held: identifiers of each row, -1 where missing; shape (rows, columns), in order of preference.
        """
        found = np.full(len(held), -1)
        for refused in (self.unsure | self.nobodys, self.nobodys):
            for column in held.T:
                # -1, a missing one, finds the last entry
                fits = (found < 0) & ~np.append(refused, True)[column]
                found[fits] = self.person[column[fits]]
        return found


def join(
    held: Sequence[np.ndarray], rows: Sequence[np.ndarray], kinds: np.ndarray, systems: int, remembered: np.ndarray
) -> People:
    """Join identifiers into people, never two own ids of one system, nor two e-mails by a key that goes with both.

    Args:
        held: for each table the identifiers of its distinct rows, -1 where missing; shape (rows, columns).
        rows: how often each of them occurs.
        kinds: kind of each identifier: below ``systems`` an own id of that system, then e-mail, then phone; shape (n,).
        systems: number of systems.
        remembered: number of the earlier customer of each identifier, -1 where none; shape (n,).
    """
    links, n = _links(held, len(kinds)), len(kinds)
    at, of, number = _neighbours(links, kinds)
    guests = at[(kinds[at] < systems) & (of >= systems) & (number > MOST_KEYS)]
    nobodys = _marked(guests, n)
    links = links[:, ~nobodys[links].any(axis=0)]
    at, of, number = _neighbours(links, kinds)
    # a row that holds two ids of one system is wrong too, whichever of them is its own
    wrong = (of < systems) & ((number > 1) | (kinds[at] == of))
    at, of, number = at[wrong], of[wrong], number[wrong]
    unsure = _marked(at[kinds[at] >= systems], n)
    refused = np.isin(_sides(links, kinds), at * (kinds.max(initial=0) + 1) + of).any(axis=0)
    household, emails = _of_several_emails(links, ~refused & ~unsure[links].any(axis=0), kinds, systems)
    household, emails = household[~unsure[household]], emails[~unsure[household]]
    unsure[household] = True
    links = links[:, ~refused & ~unsure[links].any(axis=0)]
    strength = np.where((kinds[links] == systems + 1).any(axis=0), PHONE, FIRM)
    again = _remembered(np.where(unsure | nobodys, -1, remembered))
    strength = np.append(strength, np.full(again.shape[1], REMEMBERED))
    weights = _row_counts(held, rows, n)
    person, chains = _components(np.hstack([links, again]), strength, kinds, systems, weights["first"])
    shared = {"identifier": at, "system": of, "ids": number, "rule": np.where(kinds[at] < systems, CITED, SHARED)}
    nobody = {"identifier": guests, "system": kinds[guests], "ids": 1, "rule": NOBODYS}
    families = {"identifier": household, "system": systems, "ids": emails, "rule": HOUSEHOLD}
    listed = pd.concat(map(pd.DataFrame, (shared, nobody, families))).drop_duplicates(["identifier", "system", "rule"])
    listed["rows"] = weights["any"][listed["identifier"]]
    return People(person, unsure, nobodys, pd.concat([listed, chains], ignore_index=True))


def _links(held: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Distinct pairs of identifiers that stand in one row; shape (2, links), the smaller first."""
    found = [np.zeros(0, dtype=np.int64)]
    for table in held:
        for left, right in combinations(table.T, 2):
            both = (left >= 0) & (right >= 0) & (left != right)
            found.append(np.unique(np.minimum(left, right)[both] * n + np.maximum(left, right)[both]))
    pairs = np.unique(np.concatenate(found))
    return np.vstack([pairs // max(n, 1), pairs % max(n, 1)])


def _sides(links: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Each link seen from both ends: an identifier and the kind at the other end, as one number."""
    return links * (kinds.max(initial=0) + 1) + kinds[links[::-1]]


def _neighbours(links: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Identifier, kind, and how many of that kind it is linked to."""
    sides, number = np.unique(_sides(links, kinds), return_counts=True)
    width = kinds.max(initial=0) + 1
    return sides // width, sides % width, number


def _of_several_emails(
    links: np.ndarray, sound: np.ndarray, kinds: np.ndarray, email: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keys other than e-mail that go with e-mails no own id joins, such as a landline, and with how many of them."""
    person = _connected(links[:, sound & (kinds[links] <= email).all(axis=0)], len(kinds))
    mailed = np.isin(person, person[kinds == email])
    of, key = links[:, (kinds[links[0]] <= email) & (kinds[links[1]] > email) & mailed[links[0]]]
    keys, number = np.unique(np.unique(np.vstack([key, person[of]]), axis=1)[0], return_counts=True)
    return keys[number > 1], number[number > 1]


def _remembered(earlier: np.ndarray) -> np.ndarray:
    """Links between identifiers of one earlier customer, all to the smallest; shape (2, links)."""
    known = np.flatnonzero(earlier >= 0)
    _, first, group = np.unique(earlier[known], return_index=True, return_inverse=True)
    links = np.vstack([known[first[group]], known])
    return links[:, links[0] != links[1]]


def _components(
    links: np.ndarray, strength: np.ndarray, kinds: np.ndarray, systems: int, rows: np.ndarray
) -> tuple[np.ndarray, pd.DataFrame]:
    """Connected components; those with two own ids of one system lose their weakest links until they have not."""
    chains = pd.DataFrame({name: [] for name in ("identifier", "system", "ids", "rule", "rows")})
    for weakest in (REMEMBERED, PHONE, FIRM):
        person = _connected(links, len(kinds))
        own = pd.DataFrame({"person": person, "system": kinds, "identifier": range(len(kinds))})[kinds < systems]
        several = own.groupby(["person", "system"])["identifier"].agg(["min", "size"]).query("size > 1").reset_index()
        if weakest == PHONE:
            sizes = np.bincount(person, rows, len(kinds))[several["person"]]
            chains = several.rename(columns={"min": "identifier", "size": "ids"}).assign(rule=CHAIN, rows=sizes)
        cut = np.isin(person[links[0]], several["person"]) & (strength <= weakest)
        links, strength = links[:, ~cut], strength[~cut]
    return _connected(links, len(kinds)), chains.drop(columns="person", errors="ignore")


def _connected(links: np.ndarray, n: int) -> np.ndarray:
    """The smallest identifier of each one's component; shape (n,)."""
    _, labels = connected_components(coo_array((np.ones(links.shape[1]), tuple(links)), shape=(n, n)), directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels]


def _row_counts(held: Sequence[np.ndarray], rows: Sequence[np.ndarray], n: int) -> dict[str, np.ndarray]:
    """Rows that hold each identifier, and rows whose first identifier it is; a shape (n,) each."""
    counts = {"any": np.zeros(n, dtype=np.int64), "first": np.zeros(n, dtype=np.int64)}
    for table, weight in zip(held, rows, strict=True):
        taken = np.zeros(len(table), dtype=bool)
        for column in table.T:
            there = column >= 0
            np.add.at(counts["any"], column[there], weight[there])
            np.add.at(counts["first"], column[there & ~taken], weight[there & ~taken])
            taken |= there
    return counts


def _marked(which: np.ndarray, n: int) -> np.ndarray:
    marks = np.zeros(n, dtype=bool)
    marks[which] = True
    return marks

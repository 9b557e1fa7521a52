"""Taste groups: customers grouped by what they buy or watch, not by how much.

Counts of orders become weights, weights become factors (truncated SVD), factors become groups (k-means). What is bought
is compared, not how often somebody came: a customer whose every count doubles stays where he is. Whether the groups
know anything is asked in ``taste_trial``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy.sparse import csr_array, diags_array
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.preprocessing import normalize

from segmentkit.analysis.features import Window, until
from segmentkit.errors import DataError, ParameterError

FACTORS = 16
FEWEST_ITEMS = 3
SMALLEST = 10
FULL_KMEANS = 20_000
PULL = 20
TYPICAL = 1.1
CHUNK = 2_000
PERCENT = ("share_of_customers", "share", "overall")
DECIMALS = {"lift": 1}


@dataclass(frozen=True)
class Bought:
    """What each customer bought: ``counts`` (customers by items, sparse) are orders that hold the item.

    Attributes:
        item: the column that names the items, ``category`` or ``product_id``.
        customer_id: sorted.
        items: sorted.
        counts: one row a customer, one column an item.
    """

    item: str
    customer_id: pd.Series
    items: tuple[str, ...]
    counts: csr_array

    def onto(self, items: Sequence[str]) -> csr_array:
        """The counts with the columns of ``items``: others fall away, missing ones are zero."""
        place, found = pd.Index(items).get_indexer(pd.Index(self.items)), self.counts.tocoo()
        kept = place[found.col] >= 0
        cells = found.row[kept], place[found.col[kept]]
        return csr_array((found.data[kept], cells), shape=(len(self.customer_id), len(items)))

    def rows(self, rows: np.ndarray) -> "Bought":
        """Some of the customers, by row number."""
        return Bought(self.item, self.customer_id.iloc[rows].reset_index(drop=True), self.items, self.counts[rows])


def bought(transactions: ibis.Table, seen: Window, *, item: str = "category", fewest_buyers: int = SMALLEST) -> Bought:
    """Count the orders of every customer that hold an item; returned lines (below zero) do not count.

    The engine counts; only the filled cells are brought over.

    Args:
        transactions: the shared table.
        seen: the window looked at.
        item: ``category`` or ``product_id``.
        fewest_buyers: items with fewer buyers are left out; they say nothing of a group and much of a person.

    Raises:
        ParameterError: the table has no such column.
        DataError: fewer than two items are left.
    """
    if item not in transactions.columns:
        raise ParameterError(f"item == {item!r}; the purchases have {', '.join(transactions.columns)}; choose one")
    lines = until(transactions, seen)
    lines = lines.filter(lines[item].notnull() & (lines.amount >= 0)).mutate(item=lines[item])
    cells = lines.group_by("customer_id", "item").aggregate(orders=lines.order_id.nunique())
    known = cells.group_by("item").aggregate(buyers=cells.count())
    cells = cells.semi_join(known.filter(known.buyers >= fewest_buyers), "item").cache()
    places = {
        name: ibis.dense_rank().over(ibis.window(order_by=column))
        for name, column in (("row", cells.customer_id), ("column", cells["item"]))
    }
    found = cells.select("orders", **places).execute()
    names = [cells.select(name).distinct().order_by(name).execute()[name] for name in ("customer_id", "item")]
    if len(names[1]) < 2:
        raise DataError(f"{len(names[1])} items with {fewest_buyers} buyers or more; tastes need at least two")
    shape = len(names[0]), len(names[1])
    counts = csr_array((found["orders"].to_numpy(dtype=float), (found["row"], found["column"])), shape=shape)
    return Bought(item, names[0], tuple(names[1]), counts)


@dataclass(frozen=True)
class TasteGroups:
    """Fitted taste groups.

    Attributes:
        item: the column that names the items.
        items: sorted.
        weights: of the items, log(1 + customers / buyers).
        strengths: singular values, one a factor.
        components: factors by items.
        centres: groups by factors, the largest group first.
        keys: T1, T2, ... in that order.
        fewest_items: customers with fewer distinct items get no group.
        used: customers with enough history at the fit, of ``customers``.
    """

    item: str
    items: tuple[str, ...]
    weights: np.ndarray
    strengths: np.ndarray
    components: np.ndarray
    centres: np.ndarray
    keys: tuple[str, ...]
    fewest_items: int
    used: int
    customers: int

    @property
    def sentence(self) -> str:
        """What was grouped, and how many customers had enough history."""
        return (
            f"{len(self.keys):,} taste groups from {len(self.items):,} items ({self.item}) in "
            f"{len(self.strengths)} factors; {self.used:,} used of {self.customers:,} customers (the others bought "
            f"fewer than {self.fewest_items} different items)."
        )

    def assign(self, found: Bought) -> pd.DataFrame:
        """Give every customer with enough history the nearest taste group.

        Returns:
            ``customer_id, segment_key, distance`` (to the own centre, between factors of length 1), sorted by customer.
            Customers with fewer than ``fewest_items`` known items are left out: count them.
        """
        rows, labels, distance = self.labels(found)
        keys = np.asarray(self.keys, dtype=object)[labels]
        ids = found.customer_id.iloc[rows].reset_index(drop=True)
        return pd.DataFrame({"customer_id": ids, "segment_key": keys, "distance": distance})

    def labels(self, found: Bought) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row numbers of the customers with enough history, their group (0 is the largest), and the distance."""
        counts = found.onto(self.items)
        rows = np.flatnonzero(_distinct(counts) >= self.fewest_items)
        if not len(rows):
            return rows, rows, rows.astype(float)
        placed = normalize(_weighted(counts[rows], self.weights) @ self.components.T)
        return rows, *pairwise_distances_argmin_min(placed, self.centres)

    def describe(self, found: Bought, *, top: int = 5, smallest: int = SMALLEST, share: float = 0.1) -> pd.DataFrame:
        """The items that set each group apart, by lift: share of the group who bought, over the share of all who did.

        An item is typical from a lift of 1.1; a group without any has one row with a missing item.

        Args:
            found: what the customers bought.
            top: items a group.
            smallest: group members at least who bought the item; smaller groups are not described at all.
            share: of the group at least who bought it; an item that few of a group buy is not typical of it.

        Returns:
            ``segment_key, customers, share_of_customers, item, buyers, share, overall, lift``, largest group first. The
            groups were made from these purchases, so their lifts are larger than among new customers.
        """
        counts, (rows, labels, _) = found.onto(self.items), self.labels(found)
        overall = buyers_of(counts[rows]) / max(1, len(rows))
        tables = []
        for group, members in members_of(rows, labels):
            if len(members) < smallest:
                continue
            buyers = buyers_of(counts[members])
            table = pd.DataFrame({"item": self.items, "buyers": buyers, "share": buyers / len(members)})
            table = table.assign(segment_key=self.keys[group], customers=len(members), overall=overall)
            table["share_of_customers"] = len(members) / len(rows)
            table["lift"] = table["share"] / table["overall"]
            typical = (buyers >= smallest) & (table["share"] >= share) & (table["lift"] >= TYPICAL)
            nothing = table.head(1).assign(item=None, buyers=np.nan, share=np.nan, overall=np.nan, lift=np.nan)
            tables.append(table[typical].nlargest(top, "lift") if typical.any() else nothing)
        columns = ["segment_key", "customers", "share_of_customers", "item", "buyers", "share", "overall", "lift"]
        return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)

    def similar_items(self, item: str, top: int = 10) -> pd.DataFrame:
        """Items bought by people of the same taste: cosine of the items' factors (Deerwester et al. 1990).

        Returns:
            ``item, similarity`` (at most 1), the nearest first, without the item itself.

        Raises:
            ParameterError: the item is not known.
        """
        if item not in self.items:
            raise ParameterError(f"item == {item!r}; it is not among the {len(self.items):,} known; see `items`")
        places = normalize((self.components * self.strengths[:, None]).T)
        table = pd.DataFrame({"item": self.items, "similarity": places @ places[self.items.index(item)]})
        return table[table["item"] != item].nlargest(top, "similarity").reset_index(drop=True)

    def recommend(self, found: Bought, customers: Sequence[str] | None = None, top: int = 10) -> pd.DataFrame:
        """Items that the customer's taste group buys and the customer has not bought.

        The score is the share of the group who bought the item, drawn towards the share of all as by 20 more customers
        who buy like all: with one group, or a tiny one, it is popularity.

        Args:
            found: what everybody bought; the shares are counted here.
            customers: whom to advise; None means everybody with enough history.
            top: items a customer.

        Returns:
            ``customer_id, segment_key, rank, item, score``; fewer rows for those who bought nearly everything.
        """
        rows, labels, _ = self.labels(found)
        counts, ids = found.onto(self.items), found.customer_id.to_numpy()
        asked = found.customer_id.isin(found.customer_id if customers is None else list(customers)).to_numpy()
        overall = buyers_of(counts[rows]) / max(1, len(rows))
        parts = []
        for group, members in members_of(rows, labels):
            one = picks(counts, members, overall, top, asked)
            parts.append(one.assign(segment_key=self.keys[group]))
        columns = ["row", "segment_key", "rank", "item", "score"]
        table = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
        table = table.sort_values(["row", "rank"], ignore_index=True)
        names = np.asarray(self.items, dtype=object)
        table = table.assign(customer_id=ids[table["row"].astype(int)], item=names[table["item"].astype(int)])
        return table[["customer_id", *columns[1:]]]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        arrays = {name: getattr(self, name).tolist() for name in ("weights", "strengths", "components", "centres")}
        plain = {name: getattr(self, name) for name in ("item", "fewest_items", "used", "customers")}
        return {"method": "tastes", **plain, "items": list(self.items), "keys": list(self.keys), **arrays}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TasteGroups":
        """Back from plain data."""
        known: dict[str, Any] = {name: content[name] for name in ("item", "fewest_items", "used", "customers")}
        for name in ("weights", "strengths", "components", "centres"):
            known[name] = np.asarray(content[name], dtype=float)
        return cls(items=tuple(content["items"]), keys=tuple(content["keys"]), **known)


def fit(
    found: Bought, groups: int, *, factors: int = FACTORS, fewest_items: int = FEWEST_ITEMS, starts: int = 10, seed: int
) -> TasteGroups:
    """Fit taste groups.

    A cell's weight is sqrt(orders) x log(1 + customers / buyers), each row then scaled to length 1. The root is
    Hellinger's transformation of the customer's shares (Legendre & Gallagher 2001), so a customer's volume cancels
    exactly; the second term is the inverse user frequency (Breese, Heckerman & Kadie 1998), smoothed. Factors are a
    truncated SVD (Deerwester et al. 1990): it recovered planted tastes as well as NMF or better, gave groups that held
    better in other samples of a grocer's baskets, and took a tenth of the time; BM25 weights and plain yes or no
    recovered less. It is not centred: centred factors grouped by volume. K-means on rows of length 1; above 20,000
    customers in mini-batches.

    Args:
        found: what the customers bought.
        groups: from 2 to 1,000.
        factors: at most; fewer where there are few items.
        fewest_items: different items a customer must have bought.
        starts: k-means starts.
        seed: the same seed, the same groups, whatever the order of rows.

    Raises:
        ParameterError: ``groups`` out of range.
        DataError: fewer customers with enough history than groups.
    """
    if not 2 <= groups <= 1_000:
        raise ParameterError(f"groups == {groups}; it must be from 2 to 1000")
    counts = found.counts[_distinct(found.counts) >= fewest_items]
    used = counts.shape[0]
    if used <= groups:
        raise DataError(
            f"{used:,} customers bought {fewest_items} different items or more; {groups} groups need more customers "
            "than that; take fewer groups"
        )
    weights = np.log1p(used / np.maximum(buyers_of(counts), 1))
    rows = _weighted(counts, weights)
    svd = TruncatedSVD(min(factors, min(rows.shape) - 1), algorithm="arpack", random_state=seed).fit(rows)
    placed = normalize(rows @ svd.components_.T)
    kmeans = KMeans if used <= FULL_KMEANS else MiniBatchKMeans
    centres = kmeans(groups, n_init=starts, random_state=seed).fit(placed).cluster_centers_
    sizes = np.bincount(pairwise_distances_argmin_min(placed, centres)[0], minlength=groups)
    centres = centres[np.argsort(-sizes, kind="stable")]
    keys = tuple(f"T{number}" for number in range(1, groups + 1))
    parts = weights, svd.singular_values_, svd.components_, centres
    return TasteGroups(found.item, found.items, *parts, keys, fewest_items, used, len(found.customer_id))


def members_of(rows: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Every group that has anybody, with the row numbers of its customers."""
    order = np.argsort(labels, kind="stable")
    groups, first = np.unique(labels[order], return_index=True)
    # of nobody there are no groups, but one empty part
    yield from zip(groups.tolist(), np.split(rows[order], first[1:]), strict=False)


def buyers_of(counts: csr_array) -> np.ndarray:
    """Customers who bought each item."""
    return np.bincount(counts.indices, minlength=counts.shape[1])


def picks(counts: csr_array, members: np.ndarray, overall: np.ndarray, top: int, asked: np.ndarray) -> pd.DataFrame:
    """Items the group buys and the ``asked`` among its members have not: ``row, rank, item, score``, best first."""
    score = (buyers_of(counts[members]) + PULL * overall) / (len(members) + PULL)
    best, parts = np.argsort(-score, kind="stable"), []
    advised = members[asked[members]]
    for chunk in np.array_split(advised, len(advised) // CHUNK + 1):
        held = counts[chunk]
        ahead = best[: top + int(np.diff(held.indptr).max(initial=0))]
        bought_it = held[:, ahead].toarray() > 0
        first = np.argsort(bought_it, axis=1, kind="stable")[:, :top]
        row, rank = np.nonzero(~np.take_along_axis(bought_it, first, axis=1))
        item = ahead[first[row, rank]]
        parts.append(pd.DataFrame({"row": chunk[row], "rank": rank + 1, "item": item, "score": score[item]}))
    return pd.concat(parts)


def _distinct(counts: csr_array) -> np.ndarray:
    return np.diff(counts.indptr)


def _weighted(counts: csr_array, weights: np.ndarray) -> csr_array:
    return normalize(counts.sqrt() @ diags_array(weights))

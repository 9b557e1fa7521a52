"""What each segment buys more and less than the other customers do, what it buys next, and at what kind of prices.

Shares of customers are compared, each customer once. All tests of one table are one family (Holm 1979), and small cells
are hidden. What is found describes; a segment that buys often buys more of nearly everything.
"""

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from segmentkit.analysis.experiments import welch
from segmentkit.analysis.features import Window, until
from segmentkit.analysis.personas import A_FIFTH_MORE
from segmentkit.analysis.profiles import suppress
from segmentkit.analysis.tastes import Bought, buyers_of, members_of, picks

Sensitive = Callable[[str], bool] | Collection[str]
SMALLEST = 10
OVER, UNDER, ALIKE, HIDDEN = "over-bought", "under-bought", "as others", "hidden"
BEATS, AS_ALL = "more than others", "as among all"
PRICE_SENSITIVE, QUALITY, MIXED, NO_EVIDENCE = "price-sensitive", "quality-leaning", "mixed", "no evidence"
PRICES = ("discount_share", "own_brand_share")
PERCENT = ("share", "others", "low", "high")
LIFT = [
    "segment_key",
    "category",
    "customers",
    "buyers",
    "share",
    "others",
    "ratio",
    "low",
    "high",
    "p_holm",
    "verdict",
]
NEXT = ["segment_key", "category", "customers", "buyers", "share", "low", "high", "others", "p_holm", "verdict"]
PRICE = ["segment_key", "feature", "customers", "mean", "others", "difference", "low", "high", "p_holm", "verdict"]


@dataclass(frozen=True)
class Categories:
    """What the segments buy, against the other customers.

    Attributes:
        lift: columns of ``LIFT``: buyers of the category among the segment's customers, their share, that of all other
            customers, the ratio of the two (infinite where no other bought it) and its interval; figures of hidden
            cells are missing.
        next: columns of ``NEXT``: of the customers known before ``split`` who had not bought the category by then,
            those who first bought it from then on.
        split: the first of the later days; None where the source has no categories.
        days: how many later days there are.
        left_out: sensitive categories, which are in neither table.
        confidence: of every interval, and 1 less the level of Holm's correction.
        sentence: the finding in words, or why there is none.
    """

    lift: pd.DataFrame
    next: pd.DataFrame
    split: date | None
    days: int
    left_out: tuple[str, ...]
    confidence: float
    sentence: str

    def strongest(self, key: str, verdict: str, top: int = 3) -> pd.DataFrame:
        """Categories over- or under-bought by the segment, those surest to be far from 1 first."""
        own = self.lift[(self.lift["segment_key"] == key) & (self.lift["verdict"] == verdict)]
        bound = "low" if verdict == OVER else "high"
        return own.sort_values([bound, "category"], ascending=[verdict == UNDER, True]).head(top)

    def likely_next(self, key: str) -> pd.Series | None:
        """The category first bought by most, of those more often than by others; else of all; None where none shows."""
        own = self.next[(self.next["segment_key"] == key) & (self.next["buyers"] > 0)]
        best = own[own["verdict"] == BEATS]
        best = (own if best.empty else best).sort_values(["share", "category"], ascending=[False, True])
        return None if best.empty else best.iloc[0]


def measure(
    transactions: ibis.Table,
    seen: Window,
    segments: pd.DataFrame,
    *,
    sensitive: Sensitive = (),
    days: int = 42,
    confidence: float = 0.95,
) -> Categories:
    """Compare every segment with all other customers, category by category.

    The engine counts; only segments by categories come over. Returned lines (below zero) do not count. Ratios have
    Katz's log interval (Katz et al. 1978; where nobody on a side bought, the score method of Miettinen and Nurminen
    1985), rates Wilson's, p is Fisher's exact. Cells with fewer than ten buyers are hidden, and whatever would
    give a single one away; they stay in Holm's family, for testing only what may be shown would test what is large.
    Categories with fewer than ten buyers in all are left out.

    Args:
        transactions: the shared table; needs ``category``.
        seen: the window looked at.
        segments: ``customer_id, segment_key``, cut with the same window in view: first purchases of its last days
            describe the segments and do not foretell.
        sensitive: categories that no claim may use, or a function that says so of one.
        days: the later days in which first purchases are counted; at most half of the window.
        confidence: of the intervals.
    """
    if "category" not in transactions.columns:
        why = "What the segments buy is not known: the purchases have no column category."
        return Categories(pd.DataFrame(columns=LIFT), pd.DataFrame(columns=NEXT), None, 0, (), confidence, why)
    days = min(days, seen.days // 2)
    split = seen.as_of - timedelta(days=days)
    cells, known = _counted(transactions, seen, segments, split)
    left_out = tuple(sorted(filter(refusing(sensitive), set(cells["category"]))))
    cells = cells[~cells["category"].isin(left_out)]
    counts = {name: _grid(cells, name, segments) for name in ("buyers", "early", "new")}
    sizes = segments["segment_key"].value_counts().reindex(counts["buyers"].columns)
    everyone = pd.DataFrame([sizes] * len(counts["buyers"]), index=counts["buyers"].index)
    without = known.reindex(sizes.index, fill_value=0) - counts["early"]
    lift = _with_ratio(_compared(counts["buyers"], everyone, confidence), confidence)
    first = _with_wilson(_compared(counts["new"], without, confidence), confidence)
    return Categories(lift, first, split, days, left_out, confidence, _sentence(lift, left_out))


def refusing(sensitive: Sensitive) -> Callable[[str], bool]:
    """Whether a name may not be used, from the names or from a function."""
    return sensitive if callable(sensitive) else frozenset(sensitive).__contains__


def _counted(
    transactions: ibis.Table, seen: Window, segments: pd.DataFrame, split: date
) -> tuple[pd.DataFrame, pd.Series]:
    """Per segment and category: buyers, those before the split, and first buyers since; customers known before it."""
    lines = until(transactions, seen)
    lines = lines.filter(lines.category.notnull() & (lines.amount >= 0))
    held = lines.group_by("customer_id", "category").aggregate(since=lines.ordered_at.min())
    keys = ibis.memtable(segments[["customer_id", "segment_key"]])
    held = held.inner_join(keys, "customer_id").mutate(begun=held.since.min().over(group_by=held.customer_id)).cache()
    middle = ibis.literal(datetime.combine(split, datetime.min.time()))
    early, known = held.since < middle, held.begun < middle
    cells = held.group_by("segment_key", "category").aggregate(
        buyers=held.count(), early=early.sum(), new=(~early & known).sum()
    )
    before = held.group_by("segment_key").aggregate(known=held.customer_id.nunique(where=known))
    return cells.execute(), before.execute().set_index("segment_key")["known"]


def _grid(cells: pd.DataFrame, name: str, segments: pd.DataFrame) -> pd.DataFrame:
    keys = sorted(segments["segment_key"].unique(), key=lambda key: (len(key), key))
    table = cells.pivot_table(index="category", columns="segment_key", values=name, aggfunc="sum", fill_value=0)
    return table.reindex(columns=keys, fill_value=0).astype("int64").sort_index()


def _compared(counts: pd.DataFrame, of: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Each cell against the rest of its row: counts and shares of both, Holm's p, whether it is sure, and hidden."""
    kept = counts.index[counts.sum(axis=1) >= SMALLEST]
    # each row by itself: customers buy many categories, so columns have no total to work a hidden cell out from
    shown = pd.concat([counts.head(0), *(suppress(counts.loc[[category]], SMALLEST) for category in kept)])
    rows = []
    for key, category in itertools.product(counts.columns, kept):
        a, n = int(counts.loc[category, key]), int(of.loc[category, key])
        b, m = int(counts.loc[category].sum()) - a, int(of.loc[category].sum()) - n
        p = float(fisher_exact([[a, n - a], [b, m - b]]).pvalue) if n and m else 1.0
        hidden = bool(np.isnan(shown.loc[category, key])) or 0 < b < SMALLEST or min(n, m) < SMALLEST
        rows.append((key, category, n, a, m, b, p, hidden))
    table = pd.DataFrame(rows, columns=[*LIFT[:4], "m", "b", "p", "hidden"])
    table["p_holm"] = multipletests(table["p"], method="holm")[1] if len(table) else []
    table["hidden"] = table["hidden"].astype(bool)
    table["share"], table["others"] = (table[x] / table[n].clip(1) for x, n in (("buyers", "customers"), ("b", "m")))
    table["sure"] = (table["p_holm"] <= 1 - confidence) & ~table["hidden"]
    return table


def _with_ratio(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    ends = [_ratio_ends(row, confidence) for row in table.itertuples()]
    ratio = np.where(table["b"] > 0, table["share"] / table["others"].where(table["b"] > 0), np.inf)
    table = table.assign(ratio=np.where(table["buyers"] + table["b"] > 0, ratio, np.nan))
    table[["low", "high"]] = np.array(ends, dtype=float).reshape(-1, 2)
    more = table["share"] > table["others"]
    table["verdict"] = np.select([table["hidden"], table["sure"] & more, table["sure"]], [HIDDEN, OVER, UNDER], ALIKE)
    return _masked(table, LIFT)


def _ratio_ends(row: Any, confidence: float) -> tuple[float, float]:
    if row.hidden:
        return np.nan, np.nan
    own, rest, level = (row.buyers, row.customers), (row.b, row.m), 1 - confidence
    if not row.b:  # the other way round is from 0 to something
        ends = confint_proportions_2indep(*rest, *own, compare="ratio", method="score", alpha=level)
        return 1 / float(ends[1]), np.inf
    method = "log" if row.buyers else "score"
    low, high = confint_proportions_2indep(*own, *rest, compare="ratio", method=method, alpha=level)
    return float(low), float(high)


def times(ratio: float) -> str:
    """How many of a segment's customers bought, against the others, in words."""
    return f"{ratio:.2g} times as many of its customers" if np.isfinite(ratio) else "only its customers"


def _with_wilson(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    ends = proportion_confint(table["buyers"], table["customers"].clip(1), alpha=1 - confidence, method="wilson")
    table = table.assign(low=np.asarray(ends[0]), high=np.asarray(ends[1]))
    beats = table["sure"] & (table["share"] > table["others"])
    table["verdict"] = np.select([table["hidden"], beats], [HIDDEN, BEATS], AS_ALL)
    return _masked(table, NEXT)


def _masked(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    figures = [name for name in columns[3:-1] if name in table]
    table[figures] = table[figures].astype(float).mask(table["hidden"])
    return table[columns]


def _sentence(lift: pd.DataFrame, left_out: tuple[str, ...]) -> str:
    many = lift["category"].nunique()
    sure = lift[lift["verdict"].isin([OVER, UNDER])]
    told = f"{len(lift)} comparisons of a segment with all other customers over {many} categories: "
    each = [
        f"{key} {(own['verdict'] == OVER).sum()} more and {(own['verdict'] == UNDER).sum()} less"
        for key, own in sure.groupby("segment_key", sort=False)
    ]
    hidden = f" {(lift['verdict'] == HIDDEN).sum()} cells are hidden for fewer than {SMALLEST} buyers."
    refused = f" Left out as sensitive: {len(left_out)} categories." * bool(left_out)
    found = f"bought by a larger or smaller share, beyond chance: {', '.join(each)}." if each else "none beyond chance."
    return told + found + hidden + refused + " A segment that buys often buys more of most."


def prices(features: pd.DataFrame, segments: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Discount and own-brand share of each segment against all other customers (Welch, Holm).

    Args:
        features: may have ``discount_share`` and ``own_brand_share``.
        segments: ``customer_id, segment_key``.
        confidence: of the intervals.

    Returns:
        Columns of ``PRICE``; the verdict is ``more`` or ``less`` where the means differ by a fifth and by more than
        chance, else ``as others``.
    """
    joined = segments[["customer_id", "segment_key"]].merge(features, on="customer_id", validate="1:1")
    joined, rows = joined.sort_values("customer_id"), []
    for name in (name for name in PRICES if name in features.columns):
        known = joined.dropna(subset=name)
        for key in sorted(known["segment_key"].unique(), key=lambda key: (len(key), key)):
            mine = known["segment_key"] == key
            own, rest = (known.loc[part, name].to_numpy(dtype=float) for part in (mine, ~mine))
            if min(len(own), len(rest)) >= SMALLEST and np.ptp(known[name]) > 0:
                found = welch(own, rest, confidence)
                ends = (found.estimate, found.low, found.high)
                rows.append((key, name, len(own), own.mean(), rest.mean(), *ends, found.p, ALIKE))
    table = pd.DataFrame(rows, columns=PRICE)
    if len(table):
        table["p_holm"] = multipletests(table["p_holm"].fillna(1.0), method="holm")[1]
        sure = table["p_holm"] <= 1 - confidence
        more, less = table["mean"] >= A_FIFTH_MORE * table["others"], table["others"] >= A_FIFTH_MORE * table["mean"]
        table["verdict"] = np.select([sure & more, sure & less], ["more", "less"], ALIKE)
    return table


def lean(found: pd.DataFrame, key: str) -> str:
    """Whether a segment buys by price or by quality, from ``prices``; ``no evidence`` where it buys like the others."""
    said = set(found.loc[found["segment_key"] == key, "verdict"]) - {ALIKE}
    return {"more": PRICE_SENSITIVE, "less": QUALITY}[said.pop()] if len(said) == 1 else MIXED if said else NO_EVIDENCE


def items_to_recommend(
    found: Bought, tasted: pd.DataFrame | None, segments: pd.DataFrame, *, sensitive: Sensitive = (), top: int = 3
) -> pd.DataFrame:
    """The items that most customers of a segment should be advised: new to them, and bought most by their like.

    Args:
        found: what everybody bought.
        tasted: ``customer_id`` and the taste group as ``segment_key``; None where the best sellers serve as well.
        segments: ``customer_id, segment_key``.
        sensitive: items that nobody is advised, or a function that says so of one.
        top: picks a customer, and items a segment.

    Returns:
        ``segment_key, item, customers`` (among whose picks it is; ten at least), most customers first.
    """
    refused = refusing(sensitive)
    items = np.array([item for item in found.items if not refused(item)], dtype=object)
    counts, ids = found.onto(items.tolist()), found.customer_id
    groups = pd.Series(0, index=ids) if tasted is None else tasted.set_index("customer_id")["segment_key"]
    labels = pd.factorize(ids.map(groups), sort=True)[0]
    rows, asked = np.flatnonzero(labels >= 0), np.ones(len(ids), dtype=bool)
    overall = buyers_of(counts[rows]) / max(1, len(rows))
    parts = [
        picks(counts, members, overall, top, asked) for _, members in members_of(rows, labels[rows]) if len(members)
    ]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=["row", "item"])
    keys = ids.map(segments.set_index("customer_id")["segment_key"]).to_numpy(dtype=object)
    table = pd.DataFrame({"segment_key": keys[table["row"].astype(int)], "item": items[table["item"].astype(int)]})
    many = table.groupby(["segment_key", "item"]).size().rename("customers").reset_index()
    many = many[many["customers"] >= SMALLEST].sort_values(["customers", "item"], ascending=[False, True])
    best = many.groupby("segment_key").head(top)
    return best.sort_values(
        "segment_key", key=lambda own: own.str.len().astype(str) + own, kind="stable", ignore_index=True
    )

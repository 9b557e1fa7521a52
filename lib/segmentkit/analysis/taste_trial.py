"""Do taste groups know anything? Asked of the purchases that came later, beside popularity, and of other samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy import stats
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis.features import Window
from segmentkit.analysis.stability import SOUND, Stability, best_jaccard
from segmentkit.analysis.tastes import SMALLEST, Bought, TasteGroups, bought, buyers_of, fit, members_of, picks
from segmentkit.errors import DataError, ParameterError

REPEATABLE = 0.70
DECIMALS = {"recall": 3, "popularity": 3, "gain": 3, "low": 3, "high": 3, "error": 4}


def agreement(found: Bought, model: TasteGroups, *, pairs: int = 5, starts: int = 10, seed: int) -> Stability:
    """Bootstrap stability: pairs of samples of the customers, everything fitted again, groups given to all.

    Returns:
        Adjusted Rand index of each pair, and each group's mean best Jaccard (see ``stability``).
    """
    _, labels, _ = model.labels(found)
    k, rand, jaccard = len(model.keys), [], []
    for pair in range(pairs):
        rng, again = np.random.default_rng([seed, pair]), []
        for _ in range(2):
            sample = found.rows(rng.integers(0, len(found.customer_id), len(found.customer_id)))
            effort = {"factors": len(model.strengths), "fewest_items": model.fewest_items, "starts": starts}
            again.append(fit(sample, k, seed=seed, **effort).labels(found)[1])
        rand.append(float(adjusted_rand_score(*again)))
        jaccard += [best_jaccard(labels, one, k) for one in again]
    return Stability(k, tuple(rand), tuple(float(j) for j in np.mean(jaccard, axis=0)), len(labels))


def agreement_sentence(measured: Stability) -> str:
    """How far other customers would have given the same taste groups."""
    held = sum(one >= SOUND for one in measured.per_segment)
    told = "nearly the same groups" if measured.mean >= REPEATABLE else "partly other groups"
    if measured.mean < REPEATABLE / 2:
        told = "largely other groups, so advise by them but build no plan on a single one"
    return (
        f"Fitted again on {2 * len(measured.pairs)} bootstrap samples, {measured.k:,} taste groups agree to "
        f"{measured.mean:.2f} on average (adjusted Rand; 1 is the same, 0 is chance), and {held:,} of {measured.k:,} "
        f"are found again (best Jaccard {SOUND:g} or more): other customers would give {told}."
    )


@dataclass(frozen=True)
class HoldOut:
    """What taste groups foretell of later purchases, beside popularity.

    Attributes:
        evidence: one row a number of groups tried, on the middle part: ``groups, customers, recall, popularity, gain,
            low, high, error``. Empty where only one number was given.
        groups: the number taken.
        customers: ``customer_id, segment_key, recall, popularity`` on the last part, which chose nothing.
        of: customers who bought before the last part.
        top: items advised.
        cut: first day of the last part.
        confidence: of the intervals.
    """

    evidence: pd.DataFrame
    groups: int
    customers: pd.DataFrame
    of: int
    top: int
    cut: date
    confidence: float

    @property
    def by_group(self) -> pd.DataFrame:
        """Recall of each taste group with ten customers or more, ``all`` last; each interval is for one row alone."""
        parts = [part for part in self.customers.groupby("segment_key") if len(part[1]) >= SMALLEST]
        parts.sort(key=lambda part: int(part[0][1:]))
        rows = [
            _compared(part, self.confidence) | {"segment_key": key} for key, part in [*parts, ("all", self.customers)]
        ]
        return pd.DataFrame(rows)[["segment_key", "customers", "recall", "popularity", "gain", "low", "high"]]

    @property
    def wins(self) -> bool:
        """Whether taste beats popularity, beyond chance."""
        return bool(self.by_group.iloc[-1]["low"] > 0)

    @property
    def finding(self) -> str:
        """Whether taste beats popularity, in short."""
        row = self.by_group.iloc[-1]
        if self.wins:
            return "Taste foretells purchases better than popularity"
        if row["high"] < 0:
            return "Taste foretells purchases worse than popularity: advise the best sellers"
        return "Nothing shows that taste beats popularity here: the best sellers serve as well"

    @property
    def sentence(self) -> str:
        """The same with its figures."""
        row = self.by_group.iloc[-1]
        return (
            f"{self.finding}. {self.groups:,} taste groups made from purchases before {self.cut}, tested on what "
            f"{row['customers']:,} of {self.of:,} customers bought new from then on: {self.top} items advised by taste "
            f"find {row['recall']:.1%} of it (recall@{self.top}), the best sellers {row['popularity']:.1%}; gain "
            f"{100 * row['gain']:+.1f} points, {self.confidence:.0%} interval {100 * row['low']:+.1f} to "
            f"{100 * row['high']:+.1f}."
        )


def possible(
    transactions: ibis.Table, seen: Window, tried: Sequence[int], item: str, **options: Any
) -> tuple[HoldOut | None, str]:
    """The hold-out where the data allow one, else why not, in words."""
    if item not in transactions.columns:
        return None, f"No taste groups: purchases have no {item}."
    try:
        found = hold_out(transactions, seen, tried, item=item, **options)
    except DataError as error:
        return None, f"No taste groups: {error}."
    return found, found.sentence


def hold_out(
    transactions: ibis.Table,
    seen: Window,
    tried: Sequence[int],
    *,
    item: str = "category",
    held_out: float = 0.2,
    top: int = 10,
    confidence: float = 0.95,
    seed: int,
    **options: int,
) -> HoldOut:
    """Fit on the first purchases, foretell the last ones.

    The window is cut by time in three. Each number of groups is fitted on the first part and tried on the middle one.
    The fewest groups whose gain lies within one standard error of the best are taken (Breiman et al. 1984), fitted on
    both, and tested on the last part, which had no say in the choice. An item is a hit where the customer buys it for
    the first time; recall divides hits by the smaller of ``top`` and the new items (Liang et al. 2018). Popularity is
    the share of all customers who bought, counted on the same days for the same customers.

    Args:
        transactions: the shared table.
        seen: the window.
        tried: numbers of groups; with a single one nothing is chosen.
        item: ``category`` or ``product_id``.
        held_out: length of the middle and of the last part, as a share of the window; a third at most.
        top: items advised.
        confidence: of the intervals, by customer (t).
        seed: the same seed gives the same answer.
        options: ``factors``, ``fewest_items`` and ``starts`` of ``fit``.

    Raises:
        ParameterError: no number to try, or ``held_out`` is out of range.
        DataError: nobody bought anything new in a part, or there are no more items than are advised.
    """
    days = round(held_out * seen.days)
    if not tried or not 1 <= days <= seen.days / 3:
        raise ParameterError(
            f"tried == {list(tried)}, held_out == {held_out}; name numbers of groups, and a third at most"
        )
    cuts = [seen.as_of - timedelta(days=days * part) for part in (2, 1)]
    ends = [Window(seen.start, cut) for cut in (*cuts, seen.as_of)]
    rows = []
    if len(tried) > 1:
        parts = _parts(transactions, ends[:2], item)
        found = {groups: _foretold(*parts, groups, top, seed, options) for groups in tried}
        rows = [{"groups": groups} | _compared(one, confidence) for groups, one in found.items()]
    evidence = pd.DataFrame(rows)
    groups = _fewest(evidence) if rows else tried[0]
    early, late = _parts(transactions, ends[1:], item)
    if len(early.items) <= top:
        raise DataError(f"{len(early.items)} different items of kind {item}, and {top} are advised; nothing to choose")
    customers = _foretold(early, late, groups, top, seed, options)
    return HoldOut(evidence, groups, customers, len(early.customer_id), top, cuts[1], confidence)


def _parts(transactions: ibis.Table, ends: Sequence[Window], item: str) -> tuple[Bought, Bought]:
    then = Window(ends[0].as_of, ends[1].as_of)
    return bought(transactions, ends[0], item=item), bought(transactions, then, item=item, fewest_buyers=1)


def _fewest(evidence: pd.DataFrame) -> int:
    best = evidence.loc[evidence["gain"].idxmax()]
    return int(evidence.loc[evidence["gain"] >= best["gain"] - best["error"], "groups"].min())


def _foretold(early: Bought, late: Bought, groups: int, top: int, seed: int, options: dict[str, int]) -> pd.DataFrame:
    """Recall of taste and of popularity for every customer with enough history who bought something new."""
    model = fit(early, groups, seed=seed, **options)
    rows, labels, _ = model.labels(early)
    counts, new = early.onto(model.items), _new(early, late)
    many = np.diff(new.indptr)
    asked = many > 0
    if not asked[rows].any():
        raise DataError(
            "nobody bought a known item for the first time in the part held out; hold out more of the window"
        )
    overall = buyers_of(counts[rows]) / len(rows)
    by_taste = pd.concat([picks(counts, members, overall, top, asked) for _, members in members_of(rows, labels)])
    recalls = {}
    for name, advised in (("recall", by_taste), ("popularity", picks(counts, rows, overall, top, asked))):
        hit = np.asarray(new[advised["row"].to_numpy(), advised["item"].to_numpy()]).ravel() > 0
        hits = np.bincount(advised["row"].to_numpy()[hit], minlength=len(many))
        recalls[name] = (hits / np.minimum(top, np.maximum(many, 1)))[rows]
    keys, ids = np.asarray(model.keys, dtype=object)[labels], early.customer_id.iloc[rows].to_numpy()
    return pd.DataFrame({"customer_id": ids, "segment_key": keys} | recalls)[asked[rows]].reset_index(drop=True)


def _new(early: Bought, late: Bought) -> csr_array:
    """What each early customer bought later and not before, of the items known then."""
    place = pd.Index(early.customer_id).get_indexer(pd.Index(late.customer_id))
    then = late.onto(early.items).tocoo()
    known = place[then.row] >= 0
    cells = place[then.row[known]], then.col[known]
    later = csr_array((np.ones(known.sum()), cells), shape=early.counts.shape)
    new = later - later.multiply(early.counts > 0)
    new.eliminate_zeros()
    return new


def _compared(customers: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Mean recalls and their difference, customer by customer."""
    gain = customers["recall"] - customers["popularity"]
    error = float(gain.std() / np.sqrt(len(gain)))
    reach = error * float(stats.t.ppf((1 + confidence) / 2, len(gain) - 1)) if error > 0 else float("nan")
    means = {name: float(customers[name].mean()) for name in ("recall", "popularity")}
    middle = float(gain.mean())
    return {
        "customers": len(gain),
        **means,
        "gain": middle,
        "low": middle - reach,
        "high": middle + reach,
        "error": error,
    }

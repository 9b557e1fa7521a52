"""Choosing k: try every number of segments and take one by a rule that can be defended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score

from segmentkit.analysis import methods, rules, separation, stability
from segmentkit.analysis.clustering import Scaled, Segmentation
from segmentkit.errors import DataError, ParameterError

# where there are separate groups, fewer segments than groups must merge some at random, and cannot be stable
CLEAR, ABOUT = 0.90, 0.02
SILHOUETTE_ROWS = 10_000
DECIMALS = {
    "wss": 0,
    "silhouette": 3,
    "valley": 2,
    "stability": 3,
    "worst_segment_stability": 3,
    "smallest_share": 3,
    "null_low": 2,
    "null_high": 2,
}


def score_k_range(
    scaled: Scaled,
    k_min: int,
    k_max: int,
    *,
    starts: int,
    pairs: int,
    max_rows: int,
    seed: int,
    workers: int = 1,
    method: str = "kmeans",
) -> pd.DataFrame:
    """Evidence for every k.

    Args:
        scaled: customers by features.
        k_min: fewest segments tried.
        k_max: most segments tried.
        starts: starts of every fit.
        pairs: pairs of bootstrap samples for the stability.
        max_rows: customers at most that the stability is measured on.
        seed: the same seed gives the same table.
        workers: processes.
        method: a way to segment that takes k.

    Returns:
        One row a k: ``k, wss, silhouette, valley`` (depth of the shallowest valley between neighbours), ``stability``
        (mean adjusted Rand over pairs), ``worst_segment_stability`` (lowest mean best Jaccard of a segment),
        ``smallest_customers, smallest_share, rows_used``.

    Raises:
        DataError: fewer distinct customers than ``k_max``.
    """
    distinct = len(np.unique(scaled.values, axis=0))
    if distinct < k_max:
        raise DataError(f"only {distinct} distinct customers for k_max == {k_max}; lower k_max or add features")
    effort: dict[str, Any] = {"pairs": pairs, "max_rows": max_rows, "seed": seed, "workers": workers, "method": method}
    rows, solid = [], stability.solid(scaled.values)
    for k in range(k_min, k_max + 1):
        labels = solution(scaled, k, method=method, starts=starts, seed=seed)
        rows.append(_score(solid, labels, k, starts=starts, **effort))
    return pd.DataFrame(rows)


def solution(scaled: Scaled, k: int, *, method: str, starts: int, seed: int) -> np.ndarray:
    """Labels of all customers in k segments."""
    return methods.fit(scaled.values, k, method=method, starts=starts, seed=seed).labels(scaled.values)[0]


def score(
    scaled: Scaled,
    table: pd.DataFrame,
    free: Segmentation | None,
    k_min: int,
    k_max: int,
    *,
    starts: int,
    **effort: Any,
) -> pd.DataFrame:
    """Evidence for every k, or for the one number of a method that has its own.

    Args:
        scaled: customers by features.
        table: the same customers, as ``free`` assigns them.
        free: segments of a method that has its own number; None for the others.
        k_min: fewest segments tried.
        k_max: most segments tried.
        starts: starts of every fit.
        effort: as in ``score_k_range``.
    """
    if free is None:
        return score_k_range(scaled, k_min, k_max, starts=starts, **effort)
    labels = free.labels(free.assign(table))
    options = {"workers": 1, **effort, "method": free.kind}
    return pd.DataFrame([_score(stability.solid(scaled.values), labels, len(free.keys), starts=starts, **options)])


def has_own_number(method: str) -> bool:
    """Whether a method finds or is given its number of segments, so that k is not to be chosen."""
    return method == "hdbscan" or method in rules.KINDS


def _score(
    values: np.ndarray, labels: np.ndarray, k: int, *, starts: int, pairs: int, max_rows: int, seed: int,
    workers: int, method: str,
) -> dict[str, float]:  # fmt: skip
    sample = stability.sample_rows(len(values), stability.most_rows(method, max_rows), seed)
    measured = stability.measure(
        values[sample], labels[sample], k, starts=starts, pairs=pairs, seed=seed, workers=workers, method=method
    )
    sizes = np.bincount(labels, minlength=k)
    distances = methods.to_centre(values, methods.means(values, labels), labels) if sizes.all() else np.array([np.nan])
    return {
        "k": k,
        "wss": float((distances**2).sum()),
        "silhouette": silhouette(values, labels, seed),
        "valley": separation.shallowest(values, labels, k),
        "stability": measured.mean,
        "worst_segment_stability": min(measured.per_segment),
        "smallest_customers": int(sizes.min()),
        "smallest_share": float(sizes.min() / len(values)),
        "rows_used": len(sample),
    }


def silhouette(values: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Mean silhouette, on a seeded sample of large tables."""
    rows = stability.sample_rows(len(values), SILHOUETTE_ROWS, seed)
    if len(np.unique(labels[rows])) < 2:
        return 0.0
    return float(silhouette_score(values[rows], labels[rows]))


@dataclass(frozen=True)
class Choice:
    """The number of segments, who chose it, and why.

    Attributes:
        k: the number used.
        decided_by: ``rule``, ``most stable`` (no k met the floors), ``the method``, ``analyst`` or ``earlier run``.
        rule_k: what the rule says; None where no k meets the floors.
        silhouette_k: the silhouette's own favourite, for comparison.
        sentence: the choice in words, with its figures.
    """

    k: int
    decided_by: str
    rule_k: int | None
    silhouette_k: int
    sentence: str


def choose_k(
    evidence: pd.DataFrame,
    *,
    own_k: Sequence[int] = (),
    frozen: Segmentation | None = None,
    method: str = "kmeans",
    stability_floor: float,
    size_floor_share: float,
    size_floor: int,
) -> Choice:
    """Choose the segments that stand apart; else the largest k that, like every smaller one, keeps both floors.

    Segments stand apart where valleys lie between all neighbours and the cut is found again. Then their number is not
    ours to choose, though fewer (which must merge some) or more (which cut some) may keep the floors as well.

    Args:
        evidence: from ``score_k_range``.
        own_k: the analyst's own number, as a list of none or one.
        frozen: the segmentation of an earlier run that is applied as it is; its number of segments stands.
        method: the way to segment; one that has its own number leaves nothing to choose.
        stability_floor: lowest mean best Jaccard a segment may have.
        size_floor_share: smallest share of customers a segment may have.
        size_floor: smallest number of customers a segment may have.

    Raises:
        ParameterError: the analyst's own k was not among those tried.
    """
    meets = (
        (evidence["worst_segment_stability"] >= stability_floor)
        & (evidence["smallest_share"] >= size_floor_share)
        & (evidence["smallest_customers"] >= size_floor)
    )
    unbroken = evidence["k"][meets.cummin()]
    apart = _stand_apart(evidence[meets])
    rule_k = int(apart.max()) if len(apart) else int(unbroken.max()) if len(unbroken) else None
    silhouette_k = int(evidence.loc[evidence["silhouette"].idxmax(), "k"])
    sizes = f"{size_floor_share:.0%} of customers or more, and at least {size_floor:,} customers"
    floors = f"every segment at Jaccard {stability_floor:g} or more, {sizes}"
    tail = f" The silhouette alone would take {silhouette_k}."
    if has_own_number(method):
        k = len(frozen.keys) if frozen else int(evidence["k"].iloc[0])
        told = f"{k} segments: {method.replace('_', ' ')} has its own number."
        return Choice(k, "earlier run" if frozen else "the method", None, k, told)
    if frozen:
        now = f"the rule would take {rule_k} on these data" if rule_k else "on these data the rule finds none"
        kept = len(frozen.keys)
        told = f"{kept} segments, kept from the earlier run; fitted anew, {now}.{tail}"
        return Choice(kept, "earlier run", rule_k, silhouette_k, told)
    if own_k:
        return _own_choice(evidence, list(own_k), rule_k, silhouette_k, tail)
    if rule_k is not None:
        row = evidence.set_index("k").loc[rule_k]
        told = f"{rule_k} segments: the most that, like every smaller number tried, keep {floors}"
        if len(apart):
            told = (
                f"{rule_k} segments: the most that stand apart, with a valley of {row['valley']:.2f} or more between "
                f"neighbours and agreement {row['stability']:.2f}, and keep {floors}"
            )
        sentence = f"{told} (its weakest segment: {row['worst_segment_stability']:.2f}).{tail}"
        return Choice(rule_k, "rule", rule_k, silhouette_k, sentence)
    best = evidence.loc[evidence["stability"].idxmax()]
    told = f"No number of segments keeps {floors}; {int(best['k'])} is the most stable of those tried"
    return Choice(int(best["k"]), "most stable", None, silhouette_k, f"{told} ({best['stability']:.2f}).{tail}")


def _stand_apart(evidence: pd.DataFrame) -> pd.Series:
    """Numbers of segments that leave valleys between all neighbours; not one that others beat in both figures."""
    clear = evidence[(evidence["stability"] >= CLEAR) & (evidence["valley"] >= separation.HALF)]
    as_stable = clear["stability"] >= clear["stability"].max() - ABOUT
    return clear["k"][as_stable | (clear["valley"] >= clear["valley"].max() - 5 * ABOUT)]


def _own_choice(evidence: pd.DataFrame, own: list[int], rule_k: int | None, silhouette_k: int, tail: str) -> Choice:
    tried = list(evidence["k"])
    if len(own) != 1 or own[0] not in tried:
        raise ParameterError(f"own_k == {own}; it must be one number from {tried[0]} to {tried[-1]}, or empty")
    rule = f"the rule says {rule_k}" if rule_k else "the rule finds none that meets the floors"
    return Choice(own[0], "analyst", rule_k, silhouette_k, f"{own[0]} segments, set by the analyst; {rule}.{tail}")

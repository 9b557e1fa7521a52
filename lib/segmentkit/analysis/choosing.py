"""Choosing k: try every number of segments and take one by a rule that can be defended."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score

from segmentkit.analysis import stability
from segmentkit.analysis.clustering import Scaled, Segmentation, fit
from segmentkit.errors import DataError, ParameterError

PEAK = 0.02
SILHOUETTE_ROWS = 10_000
DECIMALS = {"wss": 0, "silhouette": 3, "stability": 3, "worst_segment_stability": 3, "smallest_share": 3}


def score_k_range(
    scaled: Scaled, k_min: int, k_max: int, *, starts: int, pairs: int, max_rows: int, seed: int, workers: int = 1
) -> pd.DataFrame:
    """Evidence for every k.

    Args:
        scaled: customers by features.
        k_min: fewest segments tried.
        k_max: most segments tried.
        starts: k-means starts of every fit.
        pairs: pairs of bootstrap samples for the stability.
        max_rows: customers at most that the stability is measured on.
        seed: the same seed gives the same table.
        workers: processes.

    Returns:
        One row a k: ``k, wss, silhouette, stability`` (mean adjusted Rand over pairs), ``worst_segment_stability``
        (lowest mean best Jaccard of a segment), ``smallest_customers, smallest_share, rows_used``.

    Raises:
        DataError: fewer distinct customers than ``k_max``.
    """
    distinct = len(np.unique(scaled.values, axis=0))
    if distinct < k_max:
        raise DataError(f"only {distinct} distinct customers for k_max == {k_max}; lower k_max or add features")
    rows = []
    sample = stability.sample_rows(len(scaled.values), max_rows, seed)
    for k in range(k_min, k_max + 1):
        model = fit(scaled.values, k, starts=starts, seed=seed)
        sizes = np.bincount(model.labels_, minlength=k)
        measured = stability.measure(
            scaled.values[sample], model.labels_[sample], k, starts=starts, pairs=pairs, seed=seed, workers=workers
        )
        rows.append(
            {
                "k": k,
                "wss": float(model.inertia_),
                "silhouette": _silhouette(scaled.values, model.labels_, seed),
                "stability": measured.mean,
                "worst_segment_stability": min(measured.per_segment),
                "smallest_customers": int(sizes.min()),
                "smallest_share": float(sizes.min() / len(scaled.values)),
                "rows_used": len(sample),
            }
        )
    return pd.DataFrame(rows)


def _silhouette(values: np.ndarray, labels: np.ndarray, seed: int) -> float:
    size = SILHOUETTE_ROWS if len(values) > SILHOUETTE_ROWS else None
    return float(silhouette_score(values, labels, sample_size=size, random_state=seed))


@dataclass(frozen=True)
class Choice:
    """The number of segments, who chose it, and why.

    Attributes:
        k: the number used.
        decided_by: ``rule``, ``most stable`` (no k met the floors), ``analyst`` or ``earlier run``.
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
    stability_floor: float,
    size_floor_share: float,
    size_floor: int,
) -> Choice:
    """Choose the largest k such that it and every smaller k tried keep all segments above both floors.

    Where stability peaks on the way, at a k clearly steadier than both its neighbours, the last such peak is taken:
    cutting true groups further can stay above the floors for long, but the true number stands out.

    Args:
        evidence: from ``score_k_range``.
        own_k: the analyst's own number, as a list of none or one.
        frozen: the segmentation of an earlier run that is applied as it is; its number of segments stands.
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
    peaks = _peaks(evidence, unbroken)
    rule_k = max(peaks) if peaks else int(unbroken.max()) if len(unbroken) else None
    silhouette_k = int(evidence.loc[evidence["silhouette"].idxmax(), "k"])
    sizes = f"{size_floor_share:.0%} of customers or more, and at least {size_floor:,} customers"
    floors = f"every segment at Jaccard {stability_floor:g} or more, {sizes}"
    tail = f" The silhouette alone would take {silhouette_k}."
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
        if peaks:
            beside = evidence.set_index("k")["stability"]
            told = (
                f"{rule_k} segments: stability peaks there ({beside[rule_k]:.2f}, against {beside[rule_k - 1]:.2f} and "
                f"{beside[rule_k + 1]:.2f} beside it), and it keeps {floors}"
            )
        sentence = f"{told} (its weakest segment: {row['worst_segment_stability']:.2f}).{tail}"
        return Choice(rule_k, "rule", rule_k, silhouette_k, sentence)
    best = evidence.loc[evidence["stability"].idxmax()]
    told = f"No number of segments keeps {floors}; {int(best['k'])} is the most stable of those tried"
    return Choice(int(best["k"]), "most stable", None, silhouette_k, f"{told} ({best['stability']:.2f}).{tail}")


def _peaks(evidence: pd.DataFrame, allowed: pd.Series) -> list[int]:
    """Numbers of segments whose stability stands clearly above that of one fewer and one more."""
    stability = evidence.set_index("k")["stability"]
    return [
        int(k)
        for k in allowed
        if k - 1 in stability.index
        and k + 1 in stability.index
        and stability[k] >= max(stability[k - 1], stability[k + 1]) + PEAK
    ]


def _own_choice(evidence: pd.DataFrame, own: list[int], rule_k: int | None, silhouette_k: int, tail: str) -> Choice:
    tried = list(evidence["k"])
    if len(own) != 1 or own[0] not in tried:
        raise ParameterError(f"own_k == {own}; it must be one number from {tried[0]} to {tried[-1]}, or empty")
    rule = f"the rule says {rule_k}" if rule_k else "the rule finds none that meets the floors"
    return Choice(own[0], "analyst", rule_k, silhouette_k, f"{own[0]} segments, set by the analyst; {rule}.{tail}")

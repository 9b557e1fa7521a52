"""Drift: have the customers changed so much that the saved segments no longer describe them?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from segmentkit.analysis.clustering import Encoder
from segmentkit.analysis.encoding import Encoding
from segmentkit.analysis.looks import Compared, Look
from segmentkit.analysis.migration import Moves
from segmentkit.errors import DataError

MAX_ROWS = 20_000
PSI_BINS = 10
DECIMALS = {"shift": 3, "distance": 3, "psi": 3, "p": 3}


def measure(
    before: Look, now: Look, scaling: Encoder, *, floor: float, level: float, permutations: int, seed: int
) -> pd.DataFrame:
    """How far each clustered feature has moved, and whether chance could have moved it.

    The distance is Wasserstein's, in standard deviations of ``before`` after the saved transform: how far the average
    customer would have to be moved to turn the one distribution into the other. Its p comes from permutations that
    respect pairs: a customer seen twice has the two values swapped, customers seen once change sides.

    Args:
        before: the look the segments were fitted on.
        now: the later look.
        scaling: of the saved model. Of a nominal column every answer drifts on its own; answers that latent classes
            take as codes are measured as the yes/no, ordinal and nominal numbers that they are elsewhere.
        floor: smallest distance that matters; with many customers everything is significant.
        level: of Holm's family over all features.
        permutations: at least; more are made where the level asks for a smaller p.
        seed: the same seed gives the same table.

    Returns:
        ``feature, shift, distance, psi, p, p_holm, drifted, pairs, once``; ``shift`` is the difference of means and
        ``psi`` the population stability index over deciles, shown because many know it, not used.

    Raises:
        DataError: a look has no customers.
    """
    if before.features.empty or now.features.empty:
        raise DataError("no customers in one of the looks; drift needs both")
    rng = np.random.default_rng([seed, 72])
    # Holm's first step needs a p that so few permutations could not reach
    if isinstance(scaling, Encoding):
        scaling = replace(scaling, as_codes=False)
    permutations = max(permutations, math.ceil(len(scaling.columns) / level))
    old, new = (_values(look, scaling) for look in (before, now))
    # the scaling's own unit is smaller where a feature has humps
    spread = scaling.apply(before.features.sort_values("customer_id")).std(axis=0)
    old, new = (table / np.where(spread > 0, spread, 1.0) for table in (old, new))
    both = old.index.intersection(new.index)
    alone = np.concatenate([old.drop(both).to_numpy(), new.drop(both).to_numpy()])
    a, b, left = old.loc[both].to_numpy(), new.loc[both].to_numpy(), len(old) - len(both)
    found = [_distances(old.to_numpy(), new.to_numpy())]
    for _ in range(permutations):
        swap = (rng.random(len(both)) < 0.5)[:, None]
        shuffled = rng.permutation(alone)
        one = np.concatenate([np.where(swap, b, a), shuffled[:left]])
        other = np.concatenate([np.where(swap, a, b), shuffled[left:]])
        found.append(_distances(one, other))
    distances = np.asarray(found)
    p = (distances >= distances[0]).mean(axis=0)
    holm = multipletests(p, method="holm")[1]
    return pd.DataFrame(
        {
            "feature": scaling.columns,
            "shift": new.to_numpy().mean(axis=0) - old.to_numpy().mean(axis=0),
            "distance": distances[0],
            "psi": [psi(old[i].to_numpy(), new[i].to_numpy()) for i in old.columns],
            "p": p,
            "p_holm": holm,
            "drifted": (holm <= level) & (distances[0] >= floor),
            "pairs": len(both),
            "once": len(alone),
        }
    )


def _values(look: Look, scaling: Encoder) -> pd.DataFrame:
    table = look.features.sort_values("customer_id", ignore_index=True)
    if len(table) > MAX_ROWS:
        # by a hash of the id, so that both looks keep the same customers and pairs stay pairs
        order = pd.util.hash_pandas_object(table["customer_id"], index=False).to_numpy()
        table = table.loc[np.sort(np.argsort(order)[:MAX_ROWS])]
    return pd.DataFrame(scaling.apply(table), index=table["customer_id"].to_numpy())


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Wasserstein distance of each column; shape (features,)."""
    if len(one) == len(other):
        return np.asarray(np.abs(np.sort(one, axis=0) - np.sort(other, axis=0)).mean(axis=0))
    # the same area between the two distribution functions, for samples of different size
    n, m = len(one), len(other)
    everything = np.concatenate([one, other])
    order = np.argsort(everything, axis=0, kind="stable")
    steps = np.where(order < n, 1.0 / n, -1.0 / m)
    gaps = np.diff(np.take_along_axis(everything, order, axis=0), axis=0)
    return np.asarray((np.abs(np.cumsum(steps, axis=0)[:-1]) * gaps).sum(axis=0))


def psi(before: np.ndarray, now: np.ndarray) -> float:
    """Population stability index over deciles of ``before``; empty cells count as half a customer."""
    cuts = np.unique(np.quantile(before, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
    share = [
        np.maximum(np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1), 0.5) / len(values)
        for values in (before, now)
    ]
    return float(((share[1] - share[0]) * np.log(share[1] / share[0])).sum())


def sentence(table: pd.DataFrame, floor: float) -> str:
    """Drift in words: which features moved, and how far."""
    seen = f"customers seen twice: {table['pairs'].iloc[0]:,}, once: {table['once'].iloc[0]:,}"
    moved = table[table["drifted"]].sort_values("distance", ascending=False)
    far = ", ".join(f"{row.feature} by {row.distance:.2f}" for row in table.itertuples())
    if moved.empty:
        return (
            f"No clustered feature drifted ({far} standard deviations; at least {floor:g} and more than chance would "
            f"count), {seen}."
        )
    told = ", ".join(f"{row.feature} ({row.shift:+.2f}, distance {row.distance:.2f})" for row in moved.itertuples())
    return f"Drifted, in standard deviations: {told}; {len(moved)} of {len(table)} features, {seen}."


def shrunken(pair: Compared, smallest: int) -> list[str]:
    """Segments that had as many customers as the size floor asks and have fewer now."""
    then, now = (look.segments["segment_key"].value_counts() for look in (pair.before, pair.now))
    return [key for key in pair.model.keys if now.get(key, 0) < smallest <= then.get(key, 0)]


@dataclass(frozen=True)
class Advice:
    """What to do with the saved segments.

    Attributes:
        word: ``keep``, ``re-assign`` or ``re-fit``.
        reason: why, with figures.
    """

    word: str
    reason: str

    @property
    def sentence(self) -> str:
        """Both in words."""
        told = {
            "keep": "Keep the segments and last time's lists",
            "re-assign": "Re-assign: keep the segments, use the new lists",
            "re-fit": "Re-fit: the saved borders no longer describe these customers",
        }[self.word]
        return f"{told}, because {self.reason}"


def advise(table: pd.DataFrame, moved: Moves, small: Sequence[str], smallest: int, *, stated: bool = False) -> Advice:
    """Keep, re-assign or re-fit.

    Re-fit where a clustered feature drifted or a segment has shrunk below the size floor; re-assign where more
    customers moved than chance gives; otherwise keep. Where the segments are ``stated`` rules there is nothing to fit:
    their lists are made afresh, and the rules are to be looked over.
    """
    found = _advised(table, moved, small, smallest)
    if stated and found.word == "re-fit":
        return Advice(
            "re-assign", f"{found.reason} The segments are rules as stated, with nothing to fit: look them over."
        )
    return found


def _advised(table: pd.DataFrame, moved: Moves, small: Sequence[str], smallest: int) -> Advice:
    drifted = list(table.loc[table["drifted"], "feature"])
    if drifted:
        far = table.set_index("feature")["distance"]
        named = ", ".join(f"{name.replace('_', ' ')} ({far[name]:.2f} standard deviations)" for name in drifted)
        if moved.same_days:
            return Advice("re-fit", f"the data of the same days were changed, in {named}.")
        season = "A season can do that too: compare with the same months of last year first."
        return Advice("re-fit", f"{named} drifted, which chance does not explain. {season}")
    if small:
        return Advice("re-fit", f"below {smallest:,} customers, the size floor, have shrunk: {', '.join(small)}.")
    if not moved.noise_customers:
        told = f"{moved.share:.0%} of the known customers moved, and how much of it is luck cannot be said"
        return Advice("re-assign", f"{told}; the features did not drift.")
    if moved.same_days:
        word = "re-assign" if moved.moved else "keep"
        return Advice(word, f"{moved.moved:,} customers are in another segment on the same days; nothing drifted.")
    if moved.exceeds_noise:
        return Advice(
            "re-assign",
            f"{moved.share:.0%} of the known customers moved, where chance gives about {moved.noise:.0%}; the features "
            "themselves did not drift.",
        )
    return Advice(
        "keep",
        f"{moved.share:.0%} of the known customers would move, and chance gives about {moved.noise:.0%}; the features "
        "did not drift.",
    )

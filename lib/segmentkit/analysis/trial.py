"""A randomised test, split into folds and scored, so that a choice can be valued on customers that had no part in it.

The scores are doubly robust (Robins, Rotnitzky & Zhao 1994; Dudík, Langford & Li 2011), made from folds that do not
hold the customer (Chernozhukov et al. 2018).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from segmentkit.analysis.experiments import FEWEST_BUYERS
from segmentkit.analysis.shrinkage import shrink
from segmentkit.errors import DataError, ParameterError

REPEATS = 5  # one split into folds would leave the verdict to its seed
# folds judge one another: where nothing is to be learned, luck counts twice (degenerate U-statistic)
PAIRS = np.sqrt(2)
COLUMNS = ["customer_id", "segment_key", "arm", "net"]
EFFECTS = ["in_sample", "error", "shrunk", "shrunk_error", "shared_error"]


@dataclass(frozen=True)
class Trial:
    """A randomised test, split and scored: n customers, S segments, a treated arms, R splits into F folds.

    Attributes:
        ids: (n,) customers, in order.
        segment: (n,) place of each customer's segment among the sorted keys.
        arms: treated arms, in order.
        folds: (R, n) fold of each customer.
        scores: (R, n, a) doubly robust scores against the control, money: unbiased, whatever other folds taught.
        training: (R, F, S, a) shrunk estimates from the customers outside each fold.
        effects: one row a segment and arm, from all customers: ``in_sample`` (difference in means), ``error``,
            ``shrunk``, ``shrunk_error``, ``shared_error`` (its part from the common mean of the arm's segments).
        few: an arm has fewer than ten customers who bought: no interval.
    """

    ids: np.ndarray
    segment: np.ndarray
    arms: tuple[str, ...]
    folds: np.ndarray
    scores: np.ndarray
    training: np.ndarray
    effects: pd.DataFrame
    few: bool

    def of_folds(self, weights: np.ndarray) -> np.ndarray:
        """(R, n, a) weights of customers, from (R, F, S, a) weights chosen outside each fold."""
        return np.stack([own[fold, self.segment] for own, fold in zip(weights, self.folds, strict=True)])

    def value(self, weights: np.ndarray) -> np.ndarray:
        """(n,) money that contacts in these (R or 1, n, a) shares bring with each customer, against no contact."""
        return (weights * self.scores[: len(weights)]).sum(axis=2).mean(axis=0)

    def mean(self, values: np.ndarray, confidence: float, *, learned: bool) -> tuple[float, float, float]:
        """Mean per customer with its interval, from the spread inside segments; wider for policies ``learned`` here."""
        by = pd.Series(values).groupby(self.segment)
        error = np.sqrt((by.size() * by.var()).sum()) / len(values) * (PAIRS if learned else 1.0)
        reach = np.nan if self.few else stats.norm.ppf((1 + confidence) / 2) * error
        return float(values.mean()), float(values.mean() - reach), float(values.mean() + reach)


def checked(outcomes: pd.DataFrame, control: str, designed: Mapping[str, float], folds: int) -> pd.DataFrame:
    """Sorted rows of the segments in which every arm has two customers a fold."""
    lost = [name for name in COLUMNS if name not in outcomes.columns]
    if lost or outcomes[COLUMNS].isna().to_numpy().any() or outcomes["customer_id"].duplicated().any():
        raise DataError(f"outcomes lack {lost or 'values, or hold a customer twice'}; each needs {', '.join(COLUMNS)}")
    if control not in designed or len(designed) < 2:
        raise DataError(f"control == {control!r}, arms {sorted(designed)}; one must be the control, one treated")
    if folds < 2:
        raise ParameterError(f"folds == {folds}; at least 2, to value a policy on customers who did not choose it")
    counts = pd.crosstab(outcomes["segment_key"], outcomes["arm"]).reindex(columns=sorted(designed), fill_value=0)
    enough = counts.index[counts.min(axis=1) >= 2 * folds]
    if enough.empty:
        raise DataError(f"no segment has {2 * folds} customers in every arm; use fewer segments or fewer folds")
    return outcomes.loc[outcomes["segment_key"].isin(enough), COLUMNS].sort_values("customer_id", ignore_index=True)


def scored(table: pd.DataFrame, control: str, folds: int, seed: int) -> tuple[Trial, list[np.ndarray]]:
    """The trial, and for each fold of the first split (n, a) scores that know nothing of the fold."""
    arms = (control, *sorted(set(table["arm"]) - {control}))
    segment, segments = pd.factorize(table["segment_key"].astype(str), sort=True)
    arm, net = pd.Index(arms).get_indexer(table["arm"]), (table["net"] - table["net"].mean()).to_numpy(dtype=float)
    shape, rng, made = (folds, len(segments), len(arms)), np.random.default_rng([seed, 31]), []
    for _ in range(REPEATS):
        turn = table.groupby(["segment_key", "arm"])["customer_id"].transform(lambda ids: rng.permutation(len(ids)))
        fold = turn.to_numpy() % folds
        place, size = np.ravel_multi_index((fold, segment, arm), shape), int(np.prod(shape))
        cells = np.stack([np.bincount(place, net**power, size).reshape(shape) for power in range(3)])
        whole = cells.sum(axis=1)
        outside = [whole - cells[:, one] for one in range(folds)]
        share = whole[0] / whole[0].sum(axis=1, keepdims=True)
        blind = [_pseudo(arm, segment, net, part[1] / part[0], share) for part in outside]
        training = [_effects(part)[2] for part in outside]
        made.append((fold, np.stack(blind)[fold, np.arange(len(net))], training, blind))
    splits, scores, trained = (np.array([one[part] for one in made]) for part in range(3))
    pairs = pd.MultiIndex.from_product([segments, arms[1:]], names=["segment_key", "arm"])
    # the commonest figure is that of those who bought nothing
    buyers = table.groupby("arm")["net"].agg(lambda own: len(own) - own.round(6).value_counts().iloc[0])
    effects = pd.DataFrame(_effects(whole).reshape(len(EFFECTS), -1).T, pairs, EFFECTS).reset_index()
    few = bool(buyers.min() < FEWEST_BUYERS)
    return Trial(table["customer_id"].to_numpy(), segment, arms[1:], splits, scores, trained, effects, few), made[0][3]


def _pseudo(arm: np.ndarray, segment: np.ndarray, net: np.ndarray, mean: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n, a) doubly robust scores against the control, from (S, arms) means and shares."""
    hit = arm[:, None] == np.arange(mean.shape[1])
    score = mean[segment] + hit * (net[:, None] - mean[segment]) / share[segment]
    return score[:, 1:] - score[:, :1]


def _effects(moments: np.ndarray) -> np.ndarray:
    """(5, S, a) plain and shrunk effects, from (3, S, arms) counts, sums and sums of squares."""
    count, mean = moments[0], moments[1] / moments[0]
    within = np.maximum(moments[2] - count * mean**2, 0.0)
    pooled = within.sum() / (count.sum() - count.size)
    if not pooled > 0:
        raise DataError("net is the same for all customers of an arm; a test without any purchase tells nothing")
    # where nobody of a cell has bought, its variance is not nil but not known: that of all stands in
    variance = np.where(within > 1e-9 * pooled, within / (count - 1), pooled) / count
    plain, error = mean[:, 1:] - mean[:, :1], np.sqrt(variance[:, 1:] + variance[:, :1])
    found = [_shrunk(*one) for one in zip(plain.T, error.T, strict=True)]
    return np.stack([plain, error, *np.stack(found, axis=2)])


def _shrunk(estimates: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """(3, S) shrunk estimates, their errors, and the part of these that all have from their common mean."""
    found, k = shrink(estimates, errors), len(estimates)
    weights = 1 / (errors**2 + np.nan_to_num(found.between) ** 2)
    pull = 0 * weights if np.isnan(found.between) else (k - 3) / (k - 1) * errors**2 * weights
    return np.stack([found.estimates, found.errors, pull / np.sqrt(weights.sum())])

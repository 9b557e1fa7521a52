"""Is it worth treating customers differently? The value of policies, measured on customers that did not choose them.

Every policy is chosen on training folds and valued on the fold left out, by doubly robust scores (Robins, Rotnitzky &
Zhao 1994; Dudík, Langford & Li 2011; Chernozhukov et al. 2018); what it seems worth in-sample stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import GradientBoostingRegressor

from segmentkit.analysis.experiments import FEWEST_BUYERS, SampleRatio, sample_ratio
from segmentkit.analysis.shrinkage import shrink
from segmentkit.errors import DataError, ParameterError

REPEATS = 5  # one split into folds would leave the verdict to its seed
PAIRS = np.sqrt(
    2
)  # folds judge one another: where nothing is to be learned, luck counts twice (degenerate U-statistic)
NOBODY = "nobody"
COLUMNS = ["customer_id", "segment_key", "arm", "net"]
EFFECTS = ["in_sample", "error", "shrunk", "shrunk_error", "shared_error"]
CURVE = ["share", "honest", "in_sample", "random", "random_low", "random_high"]


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


@dataclass(frozen=True)
class Qini:
    """How much of the net benefit comes with the customers ranked first.

    Attributes:
        curve: ``share`` of customers contacted, best first, and money per customer of the list: ``honest``,
            ``in_sample``, ``random`` order, ``random_low`` to ``random_high`` (where orders that tell nothing run).
        coefficient: area between honest curve and line, money per customer; ``in_sample``: of the other curve.
        p: one-sided, that an order which tells nothing does as well.
    """

    curve: pd.DataFrame
    coefficient: float
    in_sample: float
    p: float


@dataclass(frozen=True)
class Uplift:
    """What a randomised test says about treating customers differently.

    Attributes:
        trial: the scored test.
        segments: the trial's effects with ``customers``, ``low`` and ``high`` (of the shrunk), ``chosen`` (share of
            training sets that would send this arm) and ``honest`` (what it brought to customers outside those sets).
        policies: ``policy``, ``contacted`` (share), ``honest`` value with ``low`` and ``high``, ``in_sample``, where
            targeted ``gain``, ``gain_low``, ``gain_high`` over ``against``; money per customer of the list.
        customers: ``customer_id, arm``, ``honest`` and ``in_sample`` prediction; None without features, as is ``qini``.
        qini: of the ranking of customers.
        ratio: the sample-ratio check; ``currency``: of the sentence.
        left_out: customers of segments in which an arm has fewer than two customers a fold.
    """

    trial: Trial = field(repr=False)
    segments: pd.DataFrame
    policies: pd.DataFrame
    customers: pd.DataFrame | None
    qini: Qini | None
    ratio: SampleRatio
    left_out: int
    currency: str

    @property
    def readable(self) -> bool:
        """The sample ratio is as designed, and every arm has enough buyers."""
        return self.ratio.fits and not self.trial.few

    @property
    def beats(self) -> bool:
        """Targeting by segment is shown to bring more than every policy that treats everyone the same."""
        return self.readable and bool(self.policies.set_index("policy").loc["by segment", "gain_low"] > 0)

    @property
    def sentence(self) -> str:
        """The reading in words."""
        if not self.readable:
            return (
                f"Targeting cannot be judged: {'too few buyers to tell' if self.ratio.fits else self.ratio.sentence}."
            )
        row = self.policies.set_index("policy").loc["by segment"]
        nearest = row["against"].replace("everyone: ", "sending everyone ").replace(NOBODY, "contacting nobody")
        likely = f"likely {row['gain_low']:+,.2f} to {row['gain_high']:+,.2f}"
        same = "Contacting nobody" if row["against"] == NOBODY else "The same for everyone"
        why = "targeting by segment fared worse" if row["gain_high"] < 0 else "nothing shows that targeting brings more"
        amount = f"{row['gain']:+,.2f} {self.currency} a customer against {nearest}, {likely}"
        left = f" {self.left_out:,} customers of small segments are left out." if self.left_out else ""
        return (
            f"Targeting by segment is worth it: {amount}." if self.beats else f"{same} is as good: {why} ({amount})."
        ) + left


def measure(
    outcomes: pd.DataFrame,
    *,
    control: str,
    designed: Mapping[str, float],
    confidence: float,
    folds: int,
    seed: int,
    currency: str,
    features: pd.DataFrame | None = None,
) -> Uplift:
    """Value every policy on customers that had no part in choosing it.

    The chance of each arm is its share inside the segment, since the lottery is drawn there: as good as the designed
    share, and more precise (Hirano, Imbens & Ridder 2003). The designed shares serve the sample-ratio check.

    Args:
        outcomes: ``customer_id, segment_key, arm, net``, one row a customer assigned; ``net`` is after contact costs.
        control: the arm without contact; ``designed``: the share of every arm.
        confidence: of the intervals; ``currency``: of the sentence.
        folds: at least 2; five is usual; ``seed``: the same seed gives the same folds.
        features: ``customer_id`` and numbers from before the campaign; without them customers are not ranked.

    Raises:
        DataError: a column, an arm or a customer is missing or twice, or no segment is large enough.
        ParameterError: fewer than two folds.
    """
    ratio, table = sample_ratio(outcomes["arm"], designed), _checked(outcomes, control, designed, folds)
    trial, pseudo = _scored(table, control, folds, seed)
    picks, final = best_arm(trial.training), best_arm(trial.effects["shrunk"].to_numpy().reshape(-1, len(trial.arms)))
    targeted = {"by segment": (trial.of_folds(picks), final[trial.segment][None])}
    customers = ranked = None
    if features is not None:
        honest, in_sample = _predicted(trial, pseudo, features, seed)
        targeted["by customer"] = best_arm(honest)[None], best_arm(in_sample)[None]
        pairs = pd.MultiIndex.from_product([trial.ids, trial.arms], names=["customer_id", "arm"])
        customers = pd.DataFrame({"honest": honest.ravel(), "in_sample": in_sample.ravel()}, pairs).reset_index()
        ranked = qini(trial, honest, in_sample, confidence, seed)
    segments, policies = _segments(trial, picks, confidence), _policies(trial, targeted, confidence)
    return Uplift(trial, segments, policies, customers, ranked, ratio, len(outcomes) - len(table), currency)


def best_arm(estimates: np.ndarray) -> np.ndarray:
    """(..., a) 1 for the arm with the highest estimate where that is above zero, else 0: by expected value."""
    best = estimates.argmax(axis=-1)[..., None] == np.arange(estimates.shape[-1])
    return (best & (estimates > 0)).astype(float)


def gain(trial: Trial, targeted: np.ndarray, same: Mapping[str, np.ndarray], confidence: float) -> dict[str, Any]:
    """What a targeted policy brings beyond *every* one that treats all the same, nobody included; paired (n,) values.

    The lowest bounds count: no rival is picked, the claim keeps its level (intersection-union test, Berger 1982).
    """
    found = {name: trial.mean(targeted - values, confidence, learned=True) for name, values in same.items()}
    middle, low, high = (min(part) for part in zip(*found.values(), strict=True))
    return {"gain": middle, "gain_low": low, "gain_high": high, "against": min(found, key=lambda name: found[name])}


def _checked(outcomes: pd.DataFrame, control: str, designed: Mapping[str, float], folds: int) -> pd.DataFrame:
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


def _scored(table: pd.DataFrame, control: str, folds: int, seed: int) -> tuple[Trial, list[np.ndarray]]:
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


def _policies(trial: Trial, targeted: Mapping[str, tuple[np.ndarray, np.ndarray]], confidence: float) -> pd.DataFrame:
    every = zip(trial.arms, np.zeros_like(trial.scores) + np.eye(len(trial.arms))[:, None, None], strict=True)
    same = {NOBODY: np.zeros_like(trial.scores)} | {f"everyone: {arm}": weights for arm, weights in every}
    rivals, rows = {name: trial.value(weights) for name, weights in same.items()}, []
    for name, (honest, in_sample) in ({name: (one, one) for name, one in same.items()} | dict(targeted)).items():
        found = trial.mean(trial.value(honest), confidence, learned=name in targeted)
        row = {"policy": name, "contacted": float(honest.sum(axis=2).mean())}
        row |= dict(zip(("honest", "low", "high"), found, strict=True)) | {
            "in_sample": float(trial.value(in_sample).mean())
        }
        rows.append(row | (gain(trial, trial.value(honest), rivals, confidence) if name in targeted else {}))
    return pd.DataFrame(rows)


def _segments(trial: Trial, picks: np.ndarray, confidence: float) -> pd.DataFrame:
    table, size = trial.effects, np.bincount(trial.segment).repeat(len(trial.arms))
    reach, chosen = stats.norm.ppf((1 + confidence) / 2) * table["shrunk_error"], picks.mean(axis=(0, 1)).ravel()
    brought = pd.DataFrame((trial.of_folds(picks) * trial.scores).mean(axis=0)).groupby(trial.segment).mean()
    table = table.assign(customers=size, low=table["shrunk"] - reach, high=table["shrunk"] + reach, chosen=chosen)
    return table.assign(honest=brought.to_numpy().ravel() / table["chosen"])


def _predicted(trial: Trial, pseudo: Sequence[np.ndarray], features: pd.DataFrame, seed: int) -> Sequence[np.ndarray]:
    """(n, a) uplift of each customer, honest and in-sample: shallow boosted trees on the scores (Kennedy 2023).

    On simulated shops they earn about as much as ridge on linear effects, and far more on steps and humps.
    """
    known = features.set_index("customer_id").select_dtypes("number")
    if not known.index.is_unique or known.columns.empty or not set(trial.ids) <= set(known.index):
        raise DataError("features lack customers or numbers, or hold a customer twice; give one row of numbers each")
    x = known.loc[trial.ids].fillna(known.median()).fillna(0.0).to_numpy(dtype=float)
    x, honest = np.hstack([x, np.eye(trial.segment.max() + 1)[trial.segment]]), np.zeros_like(pseudo[0])
    trees = GradientBoostingRegressor(
        n_estimators=50, max_depth=2, learning_rate=0.05, subsample=0.5, random_state=seed
    )
    trees.set_params(min_samples_leaf=max(20, len(x) // 20))
    for fold, target in enumerate(pseudo):
        out = trial.folds[0] == fold
        honest[out] = np.column_stack([trees.fit(x[~out], arm[~out]).predict(x[out]) for arm in target.T])
    return honest, np.column_stack([trees.fit(x, arm).predict(x) for arm in trial.scores[0].T])


def qini(trial: Trial, honest: np.ndarray, in_sample: np.ndarray, confidence: float, seed: int) -> Qini:
    """Qini curve (Radcliffe 2007) from (n, a) predictions, each customer with the arm predicted best, on net benefit.

    Ranks are inside the fold, since folds differ in level by luck. Band and p flip the signs of the scores around their
    mean (wild bootstrap, Wu 1986): shuffled ranks overlook that money scatters most among those ranked first.
    """
    rank = pd.Series(honest.max(axis=1)).groupby(trial.folds[0]).rank(pct=True, method="first").to_numpy()
    n, rng = len(rank), np.random.default_rng([seed, 32])
    shown = np.unique(np.linspace(0, n, 101).round().astype(int))
    orders = [(one, np.argsort(-by, kind="stable")) for one, by in ((honest, rank), (in_sample, in_sample.max(axis=1)))]
    own, other = (trial.scores[0][order, one.argmax(axis=1)[order]] for one, order in orders)
    luck = (rng.choice([-1.0, 1.0], n) * (own - own.mean()) * PAIRS for _ in range(399))
    steps = np.array([np.add.reduceat(one, shown[:-1]) for one in chain((own, other), luck)]) / n
    curves, share = np.pad(steps.cumsum(axis=1), ((0, 0), (1, 0))), shown / n
    bent, line = curves - share * curves[:, -1:], share * curves[0, -1]
    areas = np.trapezoid(bent, share, axis=1)
    low, high = line + np.quantile(bent[2:], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    p = (1 + int((areas[2:] >= areas[0]).sum())) / 400
    table = pd.DataFrame(np.column_stack([share, *curves[:2], line, low, high]), columns=CURVE)
    return Qini(table, float(areas[0]), float(areas[1]), p)

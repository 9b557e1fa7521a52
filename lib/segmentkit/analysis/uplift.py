"""Is it worth treating customers differently? The value of policies, measured on customers that did not choose them.

Every policy is chosen on training folds and valued on the fold left out, by doubly robust scores (Robins, Rotnitzky &
Zhao 1994; Dudík, Langford & Li 2011; Chernozhukov et al. 2018); what it seems worth in-sample stands beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segmentkit.analysis.experiments import SampleRatio, sample_ratio
from segmentkit.analysis.ranking import Qini, predicted, qini
from segmentkit.analysis.trial import Trial, checked, scored

NOBODY = "nobody"


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
    ratio, table = sample_ratio(outcomes["arm"], designed), checked(outcomes, control, designed, folds)
    trial, pseudo = scored(table, control, folds, seed)
    picks, final = best_arm(trial.training), best_arm(trial.effects["shrunk"].to_numpy().reshape(-1, len(trial.arms)))
    targeted = {"by segment": (trial.of_folds(picks), final[trial.segment][None])}
    customers = ranked = None
    if features is not None:
        honest, in_sample = predicted(trial, pseudo, features, seed)
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

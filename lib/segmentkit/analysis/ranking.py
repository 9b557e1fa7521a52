"""Can single customers be told apart? Predictions that never saw the customer, and the Qini curve of their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor

from segmentkit.analysis.trial import PAIRS, Trial
from segmentkit.errors import DataError

CURVE = ["share", "honest", "in_sample", "random", "random_low", "random_high"]


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

    @property
    def sentence(self) -> str:
        """The order of customers in words."""
        return (
            f"Customers ranked by what a contact is predicted to bring: the order is worth {self.coefficient:,.2f} a "
            f"customer of the list beyond a random one (p {self.p:.2f}); where it was learned it seemed worth "
            f"{self.in_sample:,.2f}."
        )


def predicted(trial: Trial, pseudo: Sequence[np.ndarray], features: pd.DataFrame, seed: int) -> Sequence[np.ndarray]:
    """(n, a) uplift of each customer, honest and in-sample: shallow boosted trees on the scores (Kennedy 2023).

    On simulated shops they earn as much as ridge or a little less on linear effects, far more on steps and humps.
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

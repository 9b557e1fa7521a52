"""Latent classes: groups of respondents within which the answers to different items are unrelated.

The model (Lazarsfeld and Henry 1968) is fitted by stepmix (Morin and others 2025, Journal of Statistical Software),
missing answers by full-information maximum likelihood: an answer that is missing says nothing, and none is filled in.
What is kept needs no stepmix: class shares and answer probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.special import logsumexp, xlogy

from segmentkit.errors import DataError, EnvironmentFault

SMALLEST = 1e-15  # as stepmix: no answer is impossible
MOST_LEVELS = 50


@dataclass(frozen=True, eq=False)
class LatentClasses:
    """Latent classes of categorical answers.

    Attributes:
        shares: share of each class; shape (k,).
        probabilities: one array an item, shape (k, levels): how likely each answer is in each class.
        centres: mean code of each item among the respondents of each class; shape (k, items). For a nominal item
            it is a place in the list, no amount.
    """

    name: ClassVar[str] = "latent_classes"
    shares: np.ndarray
    probabilities: tuple[np.ndarray, ...]
    centres: np.ndarray

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Most probable class, and the Euclidean distance to its centre over the items answered.

        The distance is scaled up for what is missing, as if the other items were as far off; 0 where nothing is known.
        """
        labels = self._joint(values).argmax(axis=1)
        away = (values - self.centres[labels]) ** 2
        known = (~np.isnan(away)).sum(axis=1)
        return labels, np.sqrt(np.nansum(away, axis=1) * away.shape[1] / np.maximum(known, 1))

    def posterior(self, values: np.ndarray) -> np.ndarray:
        """Probability of every class given the answers; shape (n, k)."""
        joint = self._joint(values)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def log_likelihood(self, values: np.ndarray) -> float:
        """Natural logarithm of the likelihood of all answers."""
        return float(logsumexp(self._joint(values), axis=1).sum())

    def bic(self, values: np.ndarray) -> float:
        """Bayesian information criterion (Schwarz 1978); lower is better."""
        free = len(self.shares) - 1 + len(self.shares) * sum(one.shape[1] - 1 for one in self.probabilities)
        return float(free * np.log(len(values)) - 2 * self.log_likelihood(values))

    def entropy(self, values: np.ndarray) -> float:
        """Relative entropy (Ramaswamy and others 1993): 1 if every class is sure, 0 if none is."""
        posterior = self.posterior(values)
        most = len(values) * np.log(len(self.shares))
        return float(1 + xlogy(posterior, posterior).sum() / most) if most else 1.0

    def reordered(self, order: Sequence[int]) -> Self:
        """The same classes, numbered anew: ``order[i]`` becomes i."""
        chosen = list(order)
        tables = tuple(table[chosen] for table in self.probabilities)
        return replace(self, shares=self.shares[chosen], probabilities=tables, centres=self.centres[chosen])

    def describe(self) -> str:
        """In one sentence."""
        return (
            f"Latent classes: {len(self.shares)} groups within which the answers to {len(self.probabilities)} items "
            "are unrelated; a respondent belongs to the most probable one, and missing answers are not filled in."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        tables = [one.tolist() for one in self.probabilities]
        return {"shares": self.shares.tolist(), "probabilities": tables, "centres": self.centres.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data."""
        tables = tuple(np.asarray(one, dtype=float) for one in content["probabilities"])
        return cls(np.asarray(content["shares"], float), tables, np.asarray(content["centres"], float))

    def _joint(self, values: np.ndarray) -> np.ndarray:
        joint = np.tile(np.log(self.shares), (len(values), 1))
        for answers, table in zip(values.T, self.probabilities, strict=True):
            known = np.flatnonzero(
                answers < table.shape[1]
            )  # missing, or a level that came after the fit: says nothing
            joint[known] += np.log(np.clip(table, SMALLEST, 1 - SMALLEST)).T[answers[known].astype(int)]
        return joint


def fit(values: np.ndarray, k: int, *, starts: int, seed: int) -> LatentClasses:
    """Fit k classes, the largest first.

    Args:
        values: respondents by items: codes from 0, as ``encode(..., as_codes=True)`` makes them; NaN is missing.
        k: classes.
        starts: random starts of the EM algorithm.
        seed: same seed, same classes, whatever the order of the respondents.

    Raises:
        EnvironmentFault: stepmix is not installed.
        DataError: values that are no codes, or an item nobody answered.
    """
    _check(values)
    model: Any = _stepmix()(
        n_components=k, measurement="categorical_nan", n_init=starts, random_state=seed, abs_tol=1e-7, progress_bar=0
    )
    model.fit(values[np.lexsort(values.T[::-1])])
    found = model.get_parameters()
    shares = np.asarray(found["weights"])
    order = np.argsort(-shares, kind="stable")
    wide = found["measurement"]["pis"].reshape(k, values.shape[1], -1)[order]
    levels = np.nanmax(values, axis=0).astype(int) + 1
    tables = tuple(wide[:, item, :count] for item, count in enumerate(levels))
    classes = LatentClasses(shares[order], tables, np.zeros((k, values.shape[1])))
    return replace(classes, centres=_centres(values, classes))


def _check(values: np.ndarray) -> None:
    known = values[~np.isnan(values)]
    if len(known) and ((known < 0) | (known != np.floor(known)) | (known >= MOST_LEVELS)).any():
        raise DataError(
            f"values from {known.min():g} to {known.max():g} are not codes from 0 to {MOST_LEVELS - 1}; latent classes "
            "take categorical answers; encode them with as_codes=True"
        )
    if np.isnan(values).all(axis=0).any():
        raise DataError("an item has no answer at all; leave it out")


def _centres(values: np.ndarray, classes: LatentClasses) -> np.ndarray:
    """Mean code a class; what the probabilities expect where nobody of the class answered."""
    labels = classes.labels(values)[0]
    expected = np.column_stack([table @ np.arange(table.shape[1]) for table in classes.probabilities])
    means = pd.DataFrame(values).groupby(labels).mean().reindex(range(len(expected))).to_numpy()
    return np.where(np.isnan(means), expected, means)


def _stepmix() -> Any:
    try:
        from stepmix import StepMix
    except ImportError:
        raise EnvironmentFault(
            "latent classes need the package stepmix; pip install -e './lib[survey]' installs it"
        ) from None
    return StepMix


def evidence(values: np.ndarray, ks: Sequence[int], *, starts: int, seed: int) -> pd.DataFrame:
    """How well each number of classes fits.

    BIC compares numbers of classes under the model; it does not say that the classes exist. It tends to add classes
    where answers are related within a class.

    Returns:
        ``k, log_likelihood, bic, entropy, smallest_share``, one row a number of classes.
    """
    rows = []
    for k in ks:
        classes = fit(values, k, starts=starts, seed=seed)
        measures = (classes.log_likelihood(values), classes.bic(values), classes.entropy(values))
        rows.append((k, *measures, float(classes.shares.min())))
    return pd.DataFrame(rows, columns=["k", "log_likelihood", "bic", "entropy", "smallest_share"])


def sentence(table: pd.DataFrame, k: int) -> str:
    """Which k BIC would take, beside the one chosen, and how sure its classes are."""
    best = int(table.loc[table["bic"].idxmin(), "k"])
    own = table.set_index("k").loc[k]
    beside = "" if best == k else f"; {k} classes were chosen, with a BIC {own['bic'] - table['bic'].min():,.0f} higher"
    return (
        f"By BIC {best} latent classes fit best of {table['k'].min()} to {table['k'].max()}{beside}. With {k}, "
        f"relative entropy is {own['entropy']:.2f} (1: every respondent has one sure class)."
    )

"""Shrunk estimates: the best of several segments is partly a lucky one.

Empirical Bayes with Morris's corrections (Morris 1983, Parametric Empirical Bayes Inference, JASA 78: 47-55): the
spread between segments is estimated from the segments themselves, and the intervals know that it was.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from segmentkit.errors import DataError

FEWEST_GROUPS = 4
FEW_GROUPS = 6


@dataclass(frozen=True)
class Shrunk:
    """Estimates pulled towards their common mean, as far as their own noise asks for.

    Attributes:
        estimates: shrunk estimates, in the order given.
        errors: their standard errors, the uncertainty of the spread included.
        between: standard deviation of the true values between groups, as estimated; 0 where noise explains all.
        centre: the common mean.
        sentence: what was done, and how far the spread could be estimated.
    """

    estimates: np.ndarray
    errors: np.ndarray
    between: float
    centre: float
    sentence: str

    def interval(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Morris's normal intervals."""
        reach = stats.norm.ppf((1 + confidence) / 2) * self.errors
        return self.estimates - reach, self.estimates + reach

    def above_zero(self) -> np.ndarray:
        """Probability that each true value is above zero, under the normal prior estimated from the groups."""
        chance: np.ndarray = stats.norm.cdf(self.estimates / self.errors)
        return chance


def shrink(estimates: np.ndarray, errors: np.ndarray) -> Shrunk:
    """Shrink independent estimates with known standard errors towards their mean.

    Args:
        estimates: one a group.
        errors: their standard errors, above 0.

    Returns:
        With fewer than four groups the spread between them cannot be estimated: nothing is shrunk, and it is said.

    Raises:
        DataError: no groups, or an error that is not above 0.
    """
    y, v = np.asarray(estimates, dtype=float), np.asarray(errors, dtype=float) ** 2
    if len(y) == 0 or not (v > 0).all():
        raise DataError(f"standard errors {list(errors)}; every group needs one above 0")
    k = len(y)
    if k < FEWEST_GROUPS:
        told = f"With {k} segments the spread between them cannot be estimated, so nothing is shrunk; "
        told += "a probability takes every value as equally likely beforehand (flat prior)."
        return Shrunk(y, np.sqrt(v), float("nan"), float(np.average(y, weights=1 / v)), told)
    spread = _spread(y, v)
    weights = 1 / (v + spread)
    centre = float(np.average(y, weights=weights))
    pull = (k - 3) / (k - 1) * v * weights
    leverage = k * weights / weights.sum()
    scale = np.average(v, weights=weights) + spread
    variance = v * (1 - (k - leverage) / k * pull) + 2 / (k - 3) * pull**2 * scale * weights * (y - centre) ** 2
    between = float(np.sqrt(spread))
    few = ", hardly more than a guess with so few segments," if k < FEW_GROUPS else ""
    told = (
        f"Shrunk by empirical Bayes (Morris 1983): the true values of the {k} segments are estimated{few} to lie "
        f"{between:,.2f} apart (standard deviation); a probability takes them as normal around {centre:,.2f}."
    )
    return Shrunk((1 - pull) * y + pull * centre, np.sqrt(variance), between, centre, told)


def _spread(y: np.ndarray, v: np.ndarray) -> float:
    """Variance of the true values between groups, by Morris's fixed point; 0 where noise explains all."""
    k, found = len(y), max(0.0, float(np.var(y, ddof=1) - v.mean()))
    for _ in range(200):
        weights = 1 / (v + found)
        centre = np.average(y, weights=weights)
        new = max(0.0, float(np.average(k / (k - 1) * (y - centre) ** 2 - v, weights=weights)))
        if abs(new - found) <= 1e-10 * (1 + found):
            break
        found = new
    return new

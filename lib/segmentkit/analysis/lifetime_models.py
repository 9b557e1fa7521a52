"""BG/NBD and Gamma-Gamma: how often customers will come again, and what they will spend, by maximum likelihood.

Both read the same table, one row a customer. For BG/NBD ``repeat_purchases`` (days with a purchase after the first) and
``last_purchase`` and ``age``, weeks from the first purchase to the last one and to the end of the data; for
Gamma-Gamma ``purchases`` and ``mean_spend``, money per purchase. Fader and Hardie leave the first purchase out of
these two. The kit counts it: its segments are cut by all that was spent, and a model blind to part of that is off for
them (of 100 generated populations, 95 % intervals of the lowest third held in 51 without, in 99 with the first).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import optimize, stats
from scipy.special import betaln, expit, gammaln, hyp2f1
from statsmodels.tools.numdiff import approx_fprime, approx_hess3

from segmentkit.errors import DataError

FEWEST_CUSTOMERS = 30
LARGEST_LOG = 10.0
# a direction known to no better than a factor of e squared is held fixed: normal draws along it would mean nothing
LOOSEST = 2.0
Columns = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class BgNbd:
    """Purchases as a Poisson process of gamma rates, ended after any purchase with a beta chance.

    Source: Fader, Hardie and Lee (2005), "Counting your customers" the easy way, Marketing Science 24(2).

    Attributes:
        r: shape of the purchase rates.
        alpha: their scale, in weeks.
        a: first parameter of the chance to stop after a purchase.
        b: its second parameter.
        loglik: log-likelihood at the maximum.
        customers: customers fitted on.
        held: directions of the parameters that the data do not tell (nobody stops, or all are alike); the likelihood is
            flat there, and they are held at the estimate.
        covariance: of the logarithms of the four parameters, from the curvature at the maximum; shape (4, 4).
    """

    r: float
    alpha: float
    a: float
    b: float
    loglik: float = float("nan")
    customers: int = 0
    held: int = 0
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((4, 4)), repr=False, compare=False)

    @property
    def parameters(self) -> np.ndarray:
        """The four parameters in order; shape (4,)."""
        return np.array([self.r, self.alpha, self.a, self.b])

    def alive(self, table: pd.DataFrame) -> np.ndarray:
        """Chance of each customer to be still a customer at the end of the data; 1 without a repeat purchase."""
        return alive(self.parameters, *_columns(table))

    def expected(self, horizon: float, table: pd.DataFrame) -> np.ndarray:
        """Purchases expected of each customer in the ``horizon`` weeks after the end of the data."""
        x, last, age = _columns(table)
        return alive(self.parameters, x, last, age) * self._while_alive(horizon, x, age)

    def expected_new(self, horizon: float) -> float:
        """Repeat purchases expected of a new customer in the first ``horizon`` weeks."""
        return float(self._while_alive(horizon, np.zeros(1), np.zeros(1))[0])

    def _while_alive(self, horizon: float, x: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Expected purchases of a customer who is alive at ``age``.

        Fader, Hardie and Lee's equation 10 after Euler's transformation of the hypergeometric function: nothing in it
        grows with x. What it still cannot represent (a horizon of thousands of ages) is averaged over quantiles of
        the chance to stop.
        """
        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6
        part, whole = horizon / (self.alpha + age + horizon), a + self.b + x - 1
        with np.errstate(all="ignore"):
            left = (1 - part) ** (a - 1) * hyp2f1(a + self.b - 1 - self.r, a - 1, whole, part)
            found: np.ndarray = whole / (a - 1) * (1 - left)
        for i in np.flatnonzero(~np.isfinite(found)):
            chance = np.maximum(stats.beta.ppf((np.arange(4_000) + 0.5) / 4_000, a, self.b + x[i]), 1e-12)
            gone = -np.expm1(-(self.r + x[i]) * np.log1p(chance * horizon / (self.alpha + age[i])))
            found[i] = float(np.mean(gone / chance))
        return found

    def draw(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Parameters that fit about as well: normal on the log scale; shape (draws, 4)."""
        return _draw(self.parameters, self.covariance, draws, rng)


@dataclass(frozen=True)
class GammaGamma:
    """Money per purchase: gamma around each customer's own mean, the means spread over customers as inverse gamma.

    Source: Fader and Hardie (2013), The Gamma-Gamma model of monetary value, brucehardie.com/notes/025.

    Attributes:
        p: shape of a customer's purchases.
        q: shape of the customers' spread; above 1, or the mean is not finite.
        v: its scale, in money.
        loglik: log-likelihood at the maximum.
        customers: customers fitted on, those with purchases of positive value.
        left_out: customers whose returns outweigh their purchases, not fitted on.
        correlation: between purchases and mean spend, both as ranks; the model assumes none.
        held: directions of the parameters that the data do not tell (nobody stops, or all are alike); the likelihood is
            flat there, and they are held at the estimate.
        covariance: of the logarithms of the three parameters; shape (3, 3).
    """

    p: float
    q: float
    v: float
    loglik: float = float("nan")
    customers: int = 0
    left_out: int = 0
    correlation: float = float("nan")
    held: int = 0
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)), repr=False, compare=False)

    @property
    def parameters(self) -> np.ndarray:
        """The three parameters in order; shape (3,)."""
        return np.array([self.p, self.q, self.v])

    def expected_spend(self, table: pd.DataFrame) -> np.ndarray:
        """Money expected per future purchase of each customer; the overall mean where there is none yet."""
        x, spent = spending(table)
        found: np.ndarray = self.p * (self.v + spent) / (self.p * x + self.q - 1)
        return found

    def draw(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Parameters that fit about as well: normal on the log scale; shape (draws, 3)."""
        return _draw(self.parameters, self.covariance, draws, rng)


def fit_bgnbd(table: pd.DataFrame) -> BgNbd:
    """Fit BG/NBD by maximum likelihood.

    Raises:
        DataError: impossible times, fewer than 30 customers with a repeat purchase, or no convergence.
    """
    # sorted, since where the likelihood is flat even the order of a sum decides where the search ends
    columns = _columns(table.sort_values(["repeat_purchases", "last_purchase", "age"]))
    x, age = columns[0], columns[2]
    _enough("customers with a repeat purchase", int((x > 0).sum()))
    rate = np.log((x.sum() + 1) / max(float(age.sum()), 1.0))
    starts = [np.array([s, s - rate, np.log(a), np.log(b)]) for s, a, b in ((0, 0.8, 2.5), (-1, 0.3, 3), (1, 2, 20))]
    best, loglik, covariance, held = _maximise("BG/NBD", lambda logs: bgnbd_loglik(np.exp(logs), *columns), starts)
    r, alpha, a, b = best.tolist()
    return BgNbd(r, alpha, a, b, loglik, len(x), held, covariance)


def bgnbd_loglik(parameters: np.ndarray, x: np.ndarray, last: np.ndarray, age: np.ndarray) -> float:
    """Log-likelihood of BG/NBD (Fader, Hardie and Lee 2005, equation 6), summed over customers."""
    r, alpha, a, b = parameters
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    alive_part = -(r + x) * np.log(alpha + age)
    gone = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + last)
    return float((common + np.logaddexp(alive_part, np.where(x > 0, gone, -np.inf))).sum())


def alive(parameters: np.ndarray, x: np.ndarray, last: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Chance of being alive under the parameters given (Fader, Hardie and Lee 2008); on the log scale throughout."""
    r, alpha, a, b = parameters
    odds = np.log(a) - np.log(b + np.maximum(x, 1) - 1) + (r + x) * (np.log(alpha + age) - np.log(alpha + last))
    return np.where(x > 0, expit(-odds), 1.0)


def fit_gamma_gamma(table: pd.DataFrame) -> GammaGamma:
    """Fit Gamma-Gamma by maximum likelihood to the customers with purchases of positive value.

    Raises:
        DataError: fewer than 30 of them, no convergence, or q of 1 or less, where no mean exists.
    """
    bought = table[table["purchases"] > 0]
    kept = bought[bought["mean_spend"] > 0].sort_values(["purchases", "mean_spend"])
    _enough("customers with purchases of positive value", len(kept))
    x, z = kept["purchases"].to_numpy(dtype=float), kept["mean_spend"].to_numpy(dtype=float)
    mean = np.log(z.mean())
    starts = [
        np.array([np.log(p), np.log(q), mean + np.log((q - 1) / p)]) for p, q in ((5.0, 4.0), (1.0, 3.0), (30, 10))
    ]
    best, loglik, covariance, held = _maximise(
        "Gamma-Gamma", lambda logs: gamma_gamma_loglik(np.exp(logs), x, z), starts
    )
    if best[1] <= 1:
        raise DataError(
            f"Gamma-Gamma q == {best[1]:.3g}; it must be above 1 or the mean spend is not finite; look for a few very "
            "large purchases, or use observed value only"
        )
    correlation = float(stats.spearmanr(x, z).statistic) if len(set(x)) > 1 else float("nan")
    p, q, v = best.tolist()
    return GammaGamma(p, q, v, loglik, len(kept), len(bought) - len(kept), correlation, held, covariance)


def gamma_gamma_loglik(parameters: np.ndarray, x: np.ndarray, z: np.ndarray) -> float:
    """Log-likelihood of Gamma-Gamma (Fader and Hardie 2013, equation 1a), summed over customers."""
    p, q, v = parameters
    shape = p * x
    terms = q * np.log(v) + (shape - 1) * np.log(z) + shape * np.log(x) - (shape + q) * np.log(v + x * z)
    return float((terms - betaln(shape, q)).sum())


def spending(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Purchases and the money they brought in all; where returns outweigh them, nothing."""
    x = table["purchases"].to_numpy(dtype=float)
    return x, np.where(x > 0, x * table["mean_spend"].clip(lower=0).to_numpy(dtype=float), 0.0)


def _columns(table: pd.DataFrame) -> Columns:
    x, last, age = (table[name].to_numpy(dtype=float) for name in ("repeat_purchases", "last_purchase", "age"))
    if not np.isfinite(np.concatenate([x, last, age])).all():
        raise DataError("missing values in repeat_purchases, last_purchase or age; every customer needs all three")
    wrong = (x < 0) | (last < 0) | (last > age + 1e-9) | ((x > 0) != (last > 0))
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum()):,} customers with impossible times; last_purchase must lie between 0 and age, and be "
            "above 0 exactly where repeat_purchases is; count days, not orders"
        )
    return x, last, age


def _enough(what: str, count: int) -> None:
    if count < FEWEST_CUSTOMERS:
        raise DataError(
            f"{what} == {count:,}; a lifetime model needs at least {FEWEST_CUSTOMERS}; bring more data, or use "
            "observed value only"
        )


def _maximise(
    model: str, loglik: Callable[[np.ndarray], float], starts: Sequence[np.ndarray]
) -> tuple[np.ndarray, float, np.ndarray, int]:
    """Parameters at the maximum, its log-likelihood, the covariance of their logarithms, and directions held fixed."""
    bounds = [(-LARGEST_LOG, LARGEST_LOG + 5)] * len(starts[0])
    options = {"ftol": 1e-13, "gtol": 1e-6, "maxiter": 1_000}
    found = [
        optimize.minimize(lambda v: -loglik(v), start, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    best = min(found, key=lambda one: one.fun)
    curvature, slope = -approx_hess3(best.x, loglik), approx_fprime(best.x, loglik, centered=True)
    if not np.isfinite(curvature).all() or not np.isfinite(slope).all():
        raise _not_converged(model, best.x)
    bend, directions = np.linalg.eigh(curvature)
    told = bend > 1 / LOOSEST**2
    step = directions[:, told].T @ slope
    # twice what one more Newton step would add to the log-likelihood
    if not told.any() or float((step**2 / bend[told]).sum()) > 0.01:
        raise _not_converged(model, best.x)
    covariance = (directions[:, told] / bend[told]) @ directions[:, told].T
    return np.exp(best.x), -float(best.fun), covariance, int((~told).sum())


def _not_converged(model: str, logs: np.ndarray) -> DataError:
    shown = ", ".join(f"{value:.3g}" for value in np.exp(logs))
    return DataError(
        f"{model} parameters == {shown}; the fit did not converge; look for impossible amounts or dates, or use "
        "observed value only"
    )


def _draw(parameters: np.ndarray, covariance: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    return np.exp(rng.multivariate_normal(np.log(parameters), covariance, draws, method="eigh"))

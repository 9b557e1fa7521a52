"""Is a propensity worth anything? Learned on one period, judged on the next, against the base rate.

A probability is used only where it beats the base rate of the later period itself, and where as many buy as it says.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import norm, rankdata
from sklearn.calibration import CalibratedClassifierCV
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.proportion import proportion_confint

BETTER = "better than the base rate"
NO_BETTER = "no better than the base rate: choose nobody by it"
NOT_CALIBRATED = "not calibrated on the later period: choose nobody by it"
TOO_FEW = "too few buyers to tell: choose nobody by it"
FEWEST, TENTHS, FOLDS = 30, 10, 5
PENALTY = 0.01
LARGE, GROSS = 0.1, 0.25


@dataclass(frozen=True)
class Sample:
    """Customers who had not bought a category before a cut.

    Attributes:
        known: one row a customer, ``customer_id`` and features of the days before the cut.
        bought: whether they bought it in the days after the cut; empty where these are not over.
    """

    known: pd.DataFrame
    bought: np.ndarray

    @property
    def rate(self) -> float:
        """Share who bought."""
        return float(self.bought.mean())

    @property
    def counts(self) -> tuple[int, int]:
        """Customers and buyers."""
        return len(self.bought), int(self.bought.sum())

    @property
    def enough(self) -> bool:
        """Whether thirty bought and thirty did not."""
        return FEWEST <= self.counts[1] <= self.counts[0] - FEWEST


@dataclass(frozen=True)
class Judged:
    """What a model of the earlier period is worth in the later one. Intervals are ``(value, low, high)``.

    Attributes:
        category: bought for the first time in the days looked at.
        verdict: in words, what to do with it.
        learned: customers and buyers of the earlier period.
        later: customers and buyers of the later period.
        predicted: mean probability stated for the later period.
        calibration: tenths by probability, lowest first: ``customers, predicted, observed, low, high, gross``.
        off: share who bought less ``predicted``; its interval counts the chance of both periods.
        slope: of calibration on the logit scale; 1 is exact, below 1 is too sure of itself; its interval counts the
            chance of the later period alone.
        brier: mean squared error of the probabilities.
        brier_learned: that of the earlier period's base rate, stated for all.
        brier_own: that of the later period's own base rate, which nobody could have known.
        gain: ``brier_own`` less ``brier``, paired by customer.
        auc: chance that a buyer scores above another customer; .5 is chance.
        over_frequent: ``auc`` less that of the most frequent shoppers first, paired.
        lift: buyers in the top tenth by score, over their share of all.
        lift_frequent: the same for the most frequent shoppers first.
        stated: every probability of the later period, without customers.
        scores: ``customer_id, category, probability`` of today's customers without it; None unless better.
        confidence: of the intervals.
    """

    category: str
    verdict: str
    learned: tuple[int, int]
    later: tuple[int, int]
    predicted: float = np.nan
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    off: tuple[float, float, float] = (np.nan,) * 3
    slope: tuple[float, float, float] = (np.nan,) * 3
    brier: float = np.nan
    brier_learned: float = np.nan
    brier_own: float = np.nan
    gain: tuple[float, float, float] = (np.nan,) * 3
    auc: tuple[float, float, float] = (np.nan,) * 3
    over_frequent: tuple[float, float, float] = (np.nan,) * 3
    lift: tuple[float, float, float] = (np.nan,) * 3
    lift_frequent: float = np.nan
    stated: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    scores: pd.DataFrame | None = field(default=None, repr=False)
    confidence: float = 0.95

    @property
    def sentence(self) -> str:
        """The verdict with its figures."""
        counted = f"{self.later[1]:,} of {self.later[0]:,} customers who did not have it bought it in the later period"
        if self.verdict == TOO_FEW:
            return (
                f"{self.category}: {TOO_FEW}. {self.learned[1]:,} of {self.learned[0]:,} bought it in the earlier "
                f"period, {counted}; at least {FEWEST} buyers and {FEWEST} others are needed in each. A shorter "
                "look-back counts more customers as not having it."
            )
        told = ("1 is exact: too sure of itself", "1 is exact", "1 is exact: too timid at both ends")
        fit = _side(self.slope[1:], 1, *told)
        gained = [100 * part / self.brier_own for part in self.gain]
        return (
            f"{self.category}: {self.verdict}. {counted} ({self.later[1] / self.later[0]:.1%}; predicted "
            f"{self.predicted:.1%}, calibration slope {_interval(self.slope)}, {fit}). Brier score "
            f"{self.brier:.4f} against {self.brier_own:.4f} for their own base rate and {self.brier_learned:.4f} for "
            f"that of the earlier period: {gained[0]:+.1f} % of their own gained ({gained[1]:+.1f} to "
            f"{gained[2]:+.1f}; {self.confidence:.0%})."
        )

    @property
    def in_practice(self) -> str:
        """What choosing the top tenth would have meant, beside the plain choice of the most frequent shoppers."""
        if self.verdict == TOO_FEW:
            return ""
        right = round(100 * self.lift[0] * self.later[1] / self.later[0])
        low, high = self.over_frequent[1:]
        order = _side(
            (low, high), 0, "orders buyers worse than", "is not clearly better than", "orders buyers better than"
        )
        return (
            f"Of 100 customers in the tenth with the highest probability {right} bought {self.category} and "
            f"{100 - right} did not: {_interval(self.lift)} times as many as of all. The most frequent shoppers first "
            f"give {self.lift_frequent:.2f} times; the score {order} that (AUC {self.auc[0]:.2f}, difference "
            f"{self.over_frequent[0]:+.3f}, {low:+.3f} to {high:+.3f})."
        )


def judge(category: str, learned: Sample, later: Sample, *, confidence: float, seed: int) -> Judged:
    """Learn on one period and judge on the next.

    Brier (1950); calibration in the large and slope: Cox (1958); tenths with Wilson's interval. A tenth is grossly off
    where its prediction lies outside an interval that holds for all tenths together and counts the chance of both
    periods, and is a quarter or more off what was observed. In the large a tenth of what was observed is let pass,
    since no period is quite like the last.
    """
    counts = learned.counts, later.counts
    if not (learned.enough and later.enough):
        return Judged(category, TOO_FEW, counts[0], counts[1])
    p, y = predict(learned, later, seed), later.bought.astype(float)
    z = float(norm.ppf((1 + confidence) / 2))
    base, own = learned.rate, later.rate
    gain = _mean((own - y) ** 2 - (p - y) ** 2, z)
    error = np.sqrt(base * (1 - base) / len(learned.bought) + own * (1 - own) / len(y))
    off = (own - float(p.mean()), own - float(p.mean()) - z * error, own - float(p.mean()) + z * error)
    tenths = _tenths(p, later.bought, len(learned.bought), confidence)
    in_the_large = off[1] <= 0 <= off[2] or abs(off[0]) <= LARGE * own
    often = later.known["frequency"].to_numpy(dtype=float)
    mine, theirs = (_placed(score, later.bought) for score in (p, often))
    return Judged(
        category,
        _verdict(in_the_large, gain[1] > 0, bool(tenths["gross"].any())),
        counts[0],
        counts[1],
        predicted=float(p.mean()),
        calibration=tenths,
        off=off,
        slope=_slope(p, y, confidence),
        brier=float(((p - y) ** 2).mean()),
        brier_learned=float(((base - y) ** 2).mean()),
        brier_own=own * (1 - own),
        gain=gain,
        auc=_area(mine[0], mine[1], z),
        over_frequent=_area(mine[0] - theirs[0], mine[1] - theirs[1], z),
        lift=_lift(p, later.bought, confidence),
        lift_frequent=_lift(often, later.bought, confidence)[0],
        stated=p,
        confidence=confidence,
    )


def _verdict(in_the_large: bool, gained: bool, gross: bool) -> str:
    """Tenths are looked at only where something was gained: where nothing was, they scatter by chance."""
    if not in_the_large or (gained and gross):
        return NOT_CALIBRATED
    return BETTER if gained else NO_BETTER


def predict(learned: Sample, new: Sample, seed: int) -> np.ndarray:
    """Ridge logistic regression on logged and scaled features, recalibrated on its own folds (Platt 1999)."""
    logged = FunctionTransformer(_log_amounts)
    ridge = LogisticRegression(C=PENALTY, solver="newton-cholesky")
    model = make_pipeline(logged, SimpleImputer(keep_empty_features=True), StandardScaler(), ridge)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    fitted = CalibratedClassifierCV(model, method="sigmoid", cv=folds, ensemble=False)
    x, target = learned.known.drop(columns="customer_id"), new.known.drop(columns="customer_id")
    chance: np.ndarray = fitted.fit(x, learned.bought).predict_proba(target[x.columns])[:, 1]
    return chance


def _log_amounts(table: pd.DataFrame) -> np.ndarray:
    """Logs of all but shares and the trend, which lie between -1 and 1; returns can make money negative."""
    values = table.to_numpy(dtype=float, copy=True)
    amount = [not (name.endswith("_share") or name == "trend") for name in table]
    values[:, amount] = np.sign(values[:, amount]) * np.log1p(np.abs(values[:, amount]))
    return values


def _mean(values: np.ndarray, z: float) -> tuple[float, float, float]:
    mean, reach = float(values.mean()), z * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return mean, mean - reach, mean + reach


def _tenths(p: np.ndarray, bought: np.ndarray, learned: int, confidence: float) -> pd.DataFrame:
    """Calibration by tenths; equal probabilities stay together."""
    tenth = np.ceil(rankdata(p) * TENTHS / len(p) - 1e-9)
    grouped = pd.DataFrame({"predicted": p, "bought": bought}).groupby(tenth)
    table = grouped.agg(customers=("bought", "size"), predicted=("predicted", "mean"), observed=("bought", "mean"))
    counts = grouped["bought"].sum(), table["customers"]
    table["low"], table["high"] = proportion_confint(*counts, alpha=1 - confidence, method="wilson")
    both = learned / (learned + len(p))
    many = (one * both for one in counts)  # the earlier period scatters too: as if so many fewer
    low, high = proportion_confint(*many, alpha=(1 - confidence) / len(table), method="wilson")
    far = (table["predicted"] - table["observed"]).abs() > GROSS * np.maximum(table["observed"], bought.mean())
    table["gross"] = far & ~table["predicted"].between(low, high)
    return table.reset_index(drop=True)


def _slope(p: np.ndarray, y: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Missing where all are alike, or where one probability parts buyers from others without fail."""
    x = logit(np.clip(p, 1e-9, 1 - 1e-9))
    if x.std() < 1e-3 or x[y > 0].min() >= x[y == 0].max() or x[y > 0].max() <= x[y == 0].min():
        return (np.nan,) * 3
    fitted = Logit(y, np.column_stack([np.ones_like(x), x])).fit(disp=0)
    low, high = fitted.conf_int(alpha=1 - confidence)[1]
    return float(fitted.params[1]), float(low), float(high)


def _placed(score: np.ndarray, bought: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of others below each buyer, and of buyers above each other; ties count half (DeLong et al. 1988)."""
    mine, theirs = score[bought], score[~bought]
    ranks, m, n = rankdata(np.concatenate([mine, theirs])), len(mine), len(theirs)
    return (ranks[:m] - rankdata(mine)) / n, 1 - (ranks[m:] - rankdata(theirs)) / m


def _area(above: np.ndarray, below: np.ndarray, z: float) -> tuple[float, float, float]:
    area = float(above.mean())
    reach = z * float(np.sqrt(np.var(above, ddof=1) / len(above) + np.var(below, ddof=1) / len(below)))
    return area, area - reach, area + reach


def _lift(score: np.ndarray, bought: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Top tenth by score; of customers tied at its end a part counts, as if drawn by lot. Wilson's interval."""
    size = max(1, len(score) // TENTHS)
    edge = np.sort(score)[-size]
    over, at = score > edge, score == edge
    hits = float(bought[over].sum()) + float(bought[at].mean()) * (size - int(over.sum()))
    low, high = proportion_confint(hits, size, alpha=1 - confidence, method="wilson")
    share = float(bought.mean())
    return hits / size / share, low / share, high / share


def _side(interval: tuple[float, float], value: float, below: str, around: str, above: str) -> str:
    return below if interval[1] < value else above if interval[0] > value else around


def _interval(three: tuple[float, float, float]) -> str:
    return "not known" if np.isnan(three[0]) else "{:.2f} ({:.2f} to {:.2f})".format(*three)

"""The ideal customer profile: what sets the best customers apart, and who of the others is like them.

Being the best is not explained by itself: whatever is part of a customer's value, or grows with the number of orders by
arithmetic, is left out. What is left describes and does not cause.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from segmentkit.analysis.experiments import welch
from segmentkit.analysis.profiles import suppress
from segmentkit.errors import DataError, ParameterError

# part of sales, or bound to the number of orders: each would "explain" the best customers by arithmetic
CIRCULAR = (
    "monetary", "frequency", "basket_value", "lines_per_order", "recency_days", "mean_gap_days", "active_months",
    "tenure_days",
)  # fmt: skip
SMALLEST = 10
FEWEST = 30
FOLDS, TENTHS = 5, 10
FIT_ROWS = 20_000
PENALTY = 0.1
DECIMALS = {"best": 3, "rest": 3, "difference": 3, "low": 3, "high": 3, "ratio": 2, "ratio_low": 2, "ratio_high": 2}
COLUMNS = ["column", "value", "kind", "known_best", "known_rest", "best", "rest", "difference", "low", "high"]
COLUMNS += ["ratio", "ratio_low", "ratio_high", "p", "p_holm", "sure"]


@dataclass(frozen=True)
class LookAlike:
    """How alike the best the others are, by models that did not see the customer.

    Attributes:
        scores: ``customer_id, look_alike`` (predicted chance of being among the best) of all who are not.
        calibration: tenths by score, lowest first: ``customers, predicted, observed, low, high``.
        auc: cross-validated, and the ends of its interval; .5 is chance.
        p: one-sided, that attributes which tell nothing do as well, from permutations.
        lift: share of the best in the top tenth by score, over their share of all, and the ends of its interval.
        used: columns the score is made from.
        fitted: customers that a model was fitted on, of ``customers``.
        confidence: of the intervals.
    """

    scores: pd.DataFrame
    calibration: pd.DataFrame
    auc: tuple[float, float, float]
    p: float
    lift: tuple[float, float, float]
    used: tuple[str, ...]
    fitted: int
    customers: int
    confidence: float

    @property
    def better_than_chance(self) -> bool:
        """Whether permuted customers seldom do as well."""
        return self.p <= 1 - self.confidence

    @property
    def sentence(self) -> str:
        """What the score is worth, in words and numbers."""
        inside = self.calibration["predicted"].between(self.calibration["low"], self.calibration["high"]).sum()
        auc, lift = ("{:.2f} ({:.2f} to {:.2f})".format(*three) for three in (self.auc, self.lift))
        word = "tells more than chance" if self.better_than_chance else "is no better than chance; choose nobody by it"
        return (
            f"The look-alike score {word}: AUC {auc} on customers it had not seen (.5 is chance; p {self.p:.2g} by "
            f"permutation); the tenth with the highest score holds {lift} times as many of the best as all customers "
            f"do; {inside} of {len(self.calibration)} tenths are predicted within their interval (all intervals "
            f"{self.confidence:.0%}). Each model was fitted on {self.fitted:,} of {self.customers:,} customers. It "
            f"used {', '.join(self.used)}."
        )


@dataclass(frozen=True)
class Ideal:
    """What sets the best customers apart.

    Attributes:
        table: one row a value of an attribute (``best`` and ``rest`` are shares of those who state it) or a behaviour
            (means): ``column, value, kind, known_best, known_rest, best, rest, difference, low, high, ratio, ratio_low,
            ratio_high, p, p_holm, sure``; cells under ten customers are missing. Surest first.
        look_alike: the score of the others.
        tests: comparisons in Holm's family, the hidden ones too.
        best: customers who are the best, of ``customers``.
        told: who the best are, in words.
        left_out: columns left out as part of value.
        sensitive: columns never used.
    """

    table: pd.DataFrame
    look_alike: LookAlike
    tests: int
    best: int
    customers: int
    told: str
    left_out: tuple[str, ...]
    sensitive: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What sets the best customers apart, in words and numbers."""
        sure = self.table[self.table["sure"]]
        told = ", first " * (len(sure) > 0) + "; ".join(_apart(row) for row in sure.head(3).to_dict("records"))
        stated = self.table[self.table["kind"] == "attribute"][["known_best", "known_rest"]].max()
        known = stated / np.array([self.best, self.customers - self.best])
        parts = [
            f"The best are {self.told}: {self.best:,} of {self.customers:,} customers.",
            f"{len(sure)} of {self.tests} comparisons hold after Holm's correction{told}.",
            "This describes; it does not say what makes a customer good.",
            f"Attributes are known for {known['known_best']:.0%} of the best and {known['known_rest']:.0%} of the "
            "rest, and compared among those." * bool(known.notna().all()),
            f"Left out because they are part of value: {', '.join(self.left_out)}." * bool(self.left_out),
            f"Never used, as asked: {', '.join(self.sensitive)}." * bool(self.sensitive),
        ]
        return " ".join(part for part in parts if part)


def _apart(row: dict[Hashable, Any]) -> str:
    name = readable(row)
    if row["kind"] == "attribute":
        return f"{name} ({row['best']:.0%} of them, {row['rest']:.0%} of the rest)"
    return f"{name} ({row['best']:.3g} on average, {row['rest']:.3g} among the rest)"


def readable(row: Mapping[Any, Any]) -> str:
    """A comparison's name for a reader."""
    return f"{row['column']} {row['value']}".replace("_", " ").strip()


def possible(
    features: pd.DataFrame, customers: pd.DataFrame, best: Collection[str], **options: Any
) -> tuple["Ideal | None", str]:
    """The ideal customer where the data allow one, else why not, in words."""
    try:
        found = ideal(features, customers, best, **options)
    except DataError as error:
        return None, f"No ideal customer profile: {error}."
    return found, found.sentence


def ideal(
    features: pd.DataFrame,
    customers: pd.DataFrame,
    best: Collection[str],
    *,
    told: str,
    circular: Sequence[str] = CIRCULAR,
    sensitive: Sequence[str] = (),
    confidence: float = 0.95,
    permutations: int = 99,
    seed: int,
) -> Ideal:
    """Compare the best customers with the rest, and score the rest by how alike they are.

    Shares of attribute values are compared among those who state the attribute: difference by Newcombe (1998), ratio by
    the score method (Miettinen & Nurminen 1985), p by Fisher's exact test. Means of behaviours: Welch; their ratio by
    the delta method on the log, where the behaviour is never below zero. Holm's family is every value that ten
    customers state, in small cells too: testing only what may be shown would test only what is large. The score is a
    ridge logistic regression, cross-fitted in five folds; what is missing counts as average, so that merely stating an
    attribute tells nothing. AUC: mean over folds with DeLong's variance (DeLong et al. 1988; LeDell et al. 2015); that
    interval is too short at chance, so chance is judged by permutation among customers who state the same attributes.

    Args:
        features: one row a customer, ``customer_id`` and numbers.
        customers: attributes of some of them; may have no rows.
        best: ids of the best customers, from ``value.top_customers`` or of a segment.
        told: who the best are, in words.
        circular: features that are part of value; add those a segment was made from.
        sensitive: columns that are never used.
        confidence: of every interval; Holm's level is 1 - confidence.
        permutations: of who is the best, for the score's p.
        seed: the same seed gives the same folds.

    Raises:
        ParameterError: a sensitive column is in neither table.
        DataError: fewer than 30 customers on a side, or no column left to compare.
    """
    unknown = sorted(set(sensitive) - {*features.columns, *customers.columns})
    if unknown:
        raise ParameterError(f"sensitive == {list(sensitive)}; {', '.join(unknown)} is in no table; mend the name")
    table = features.merge(customers, on="customer_id", how="left", validate="1:1")
    table = table.sort_values("customer_id", ignore_index=True)
    y = table["customer_id"].isin(list(best)).to_numpy()
    if min(y.sum(), (~y).sum()) < FEWEST:
        raise DataError(f"{y.sum():,} best and {(~y).sum():,} others; a comparison needs {FEWEST} on each side")
    left = tuple(name for name in circular if name in table)
    usable = table.drop(columns=list({"customer_id", *left, *sensitive}))
    usable = usable[[name for name in usable if usable[name].nunique() > 1]]
    numbers = list(usable.select_dtypes(["number", "bool"]))
    words = list(usable.select_dtypes(["object", "string", "category"]))
    rows = [row for name in words for row in _attribute(usable[name], y, confidence)]
    rows += [_behaviour(usable[name].astype(float), y, confidence) for name in numbers]
    if not rows:
        raise DataError("no attribute and no behaviour is left to compare; bring a customers table or more features")
    score = _look_alike(table["customer_id"], _encoded(usable, numbers, words), y, permutations, confidence, seed)
    found = _with_holm(pd.DataFrame(rows), confidence)
    alike = LookAlike(*score, (*words, *numbers), min(FIT_ROWS, len(y) - len(y) // FOLDS), len(y), confidence)
    return Ideal(found, alike, len(rows), int(y.sum()), len(y), told, left, tuple(sensitive))


def _attribute(values: pd.Series, y: np.ndarray, confidence: float) -> list[dict[str, Any]]:
    """One row a value: how many of the best have it, how many of the rest."""
    side = pd.Series(np.where(y, "best", "rest"), index=values.index)
    counts = pd.crosstab(values, side).reindex(columns=["best", "rest"], fill_value=0)
    shown, (n, m) = suppress(counts, SMALLEST), counts.sum()
    rows = []
    enough = counts.sum(axis=1) >= SMALLEST  # by the total alone: a choice by either side would bend p
    for (value, (a, b)), visible in zip(counts[enough].iterrows(), shown[enough].notna().all(axis=1), strict=True):
        p = float(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)
        row = {"column": values.name, "value": str(value), "kind": "attribute", "p": p} | _known(n, m)
        rows.append(row | (_shares(a, n, b, m, confidence) if visible and min(n, m) >= SMALLEST else {}))
    return rows


def _known(n: int, m: int) -> dict[str, float]:
    return {"known_best": n if n >= SMALLEST else np.nan, "known_rest": m if m >= SMALLEST else np.nan}


def _shares(a: int, n: int, b: int, m: int, confidence: float) -> dict[str, float]:
    low, high = confint_proportions_2indep(a, n, b, m, method="newcomb", alpha=1 - confidence)
    found = {"best": a / n, "rest": b / m, "difference": a / n - b / m, "low": low, "high": high}
    if a and b:
        ends = confint_proportions_2indep(a, n, b, m, compare="ratio", method="score", alpha=1 - confidence)
        found |= {"ratio": a * m / (b * n), "ratio_low": ends[0], "ratio_high": ends[1]}
    return found


def _behaviour(values: pd.Series, y: np.ndarray, confidence: float) -> dict[str, Any]:
    """Means of the two sides; missing where a side has fewer than ten customers."""
    mine, theirs = values[y].dropna().to_numpy(), values[~y].dropna().to_numpy()
    row = {"column": values.name, "value": "", "kind": "behaviour", "p": 1.0} | _known(len(mine), len(theirs))
    if min(len(mine), len(theirs)) < SMALLEST or not mine.std() + theirs.std() > 0:
        return row
    found, means = welch(mine, theirs, confidence), (float(mine.mean()), float(theirs.mean()))
    row |= {"best": means[0], "rest": means[1], "difference": found.estimate}
    row |= {"low": found.low, "high": found.high, "p": found.p}
    if values.min() >= 0 and min(means) > 0:
        spread = [np.var(side, ddof=1) / len(side) / side.mean() ** 2 for side in (mine, theirs)]
        reach = float(stats.norm.ppf((1 + confidence) / 2) * np.sqrt(sum(spread)))
        ratio = means[0] / means[1]
        row |= {"ratio": ratio, "ratio_low": ratio * np.exp(-reach), "ratio_high": ratio * np.exp(reach)}
    return row


def _with_holm(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    table = table.reindex(columns=COLUMNS)
    table["p_holm"] = multipletests(table["p"], method="holm")[1]
    table.loc[table["best"].isna(), ["p", "p_holm"]] = np.nan
    table["sure"] = table["p_holm"] <= 1 - confidence
    return table.sort_values(["p", "column", "value"], ignore_index=True)


def _encoded(table: pd.DataFrame, numbers: list[str], words: list[str]) -> np.ndarray:
    """Numbers as they are, one column of 0 and 1 a value that ten customers state; missing stays missing."""
    columns = [table[name].to_numpy(dtype=float, na_value=np.nan) for name in numbers]
    for name in words:
        for value, many in table[name].value_counts().sort_index().items():
            if many >= SMALLEST:
                columns.append(np.where(table[name].isna(), np.nan, table[name] == value))
    return np.column_stack(columns).astype(float)


def _look_alike(
    ids: pd.Series, x: np.ndarray, y: np.ndarray, permutations: int, confidence: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[float, float, float], float, tuple[float, float, float]]:
    predicted, fold = _cross_fitted(x, y, seed)
    auc, rng, as_good = _auc(predicted, fold, y, confidence), np.random.default_rng([seed, 33]), 0
    _, pattern = np.unique(np.isnan(x), axis=0, return_inverse=True)
    slots = np.argsort(pattern, kind="stable")
    for _ in range(permutations):
        shuffled = np.empty_like(y)
        shuffled[slots] = y[np.lexsort((rng.random(len(y)), pattern))]
        as_good += _auc(*_cross_fitted(x, shuffled, seed), shuffled, confidence)[0] >= auc[0]
    scores = pd.DataFrame({"customer_id": ids, "look_alike": predicted})[~y].reset_index(drop=True)
    tenths, lift = _tenths(predicted, fold, y, confidence)
    return scores, tenths, auc, (1 + as_good) / (1 + permutations), lift


def _cross_fitted(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Chance of being among the best by a model that did not see the customer, and the fold."""
    rng, predicted, number = np.random.default_rng(seed), np.zeros(len(y)), np.zeros(len(y), dtype=int)
    ridge = LogisticRegression(C=PENALTY, max_iter=1_000)
    model = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), ridge)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y)
    for fold, (seen, new) in enumerate(folds):
        rows = seen if len(seen) <= FIT_ROWS else rng.choice(seen, FIT_ROWS, replace=False)
        predicted[new] = model.fit(x[rows], y[rows]).predict_proba(x[new])[:, 1]
        number[new] = fold
    return predicted, number


def _auc(predicted: np.ndarray, fold: np.ndarray, y: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Mean AUC over folds and its interval."""
    areas, variance = [], 0.0
    for one in range(FOLDS):
        mine, theirs = predicted[(fold == one) & y], predicted[(fold == one) & ~y]
        m, n, ranks = len(mine), len(theirs), stats.rankdata(np.concatenate([mine, theirs]))
        above = (ranks[:m] - stats.rankdata(mine)) / n
        below = 1 - (ranks[m:] - stats.rankdata(theirs)) / m
        areas.append(float(above.mean()))
        variance += float(np.var(above, ddof=1) / m + np.var(below, ddof=1) / n) / FOLDS**2
    area, reach = float(np.mean(areas)), float(stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance))
    return area, max(0.0, area - reach), min(1.0, area + reach)


def _tenths(
    predicted: np.ndarray, fold: np.ndarray, y: np.ndarray, confidence: float
) -> tuple[pd.DataFrame, tuple[float, float, float]]:
    """Calibration by tenths of the score, ranked inside the fold, and the highest tenth's lift (Wilson's interval)."""
    rank = pd.Series(predicted).groupby(fold).rank(pct=True, method="first")
    tenth = np.minimum((rank * TENTHS).to_numpy().astype(int), TENTHS - 1)
    grouped = pd.DataFrame({"predicted": predicted, "best": y}).groupby(tenth)
    table = grouped.agg(customers=("best", "size"), predicted=("predicted", "mean"), observed=("best", "mean"))
    counts = grouped["best"].sum()
    table["low"], table["high"] = proportion_confint(counts, table["customers"], alpha=1 - confidence, method="wilson")
    lift = table[["observed", "low", "high"]].iloc[-1] / y.mean()
    return table.reset_index(drop=True), (float(lift["observed"]), float(lift["low"]), float(lift["high"]))

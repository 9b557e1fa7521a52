"""Randomised tests: the sample ratio first, then differences with intervals, then money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep

from segmentkit.errors import DataError, ParameterError

FEWEST_BUYERS = 10
SAMPLE_RATIO_LEVEL = 0.001


@dataclass(frozen=True)
class Difference:
    """Mean of the reached minus mean of the others, with a Welch interval and its p."""

    estimate: float
    low: float
    high: float
    p: float


def welch(treated: np.ndarray, control: np.ndarray, confidence: float) -> Difference:
    """Difference of two means with its Welch interval.

    Raises:
        DataError: fewer than two customers on a side.
    """
    if min(len(treated), len(control)) < 2:
        raise DataError(f"{len(treated)} against {len(control)} customers; a difference needs two on each side")
    found = stats.ttest_ind(treated, control, equal_var=False)
    interval, difference = found.confidence_interval(confidence), float(treated.mean() - control.mean())
    return Difference(difference, float(interval.low), float(interval.high), float(found.pvalue))


@dataclass(frozen=True)
class SampleRatio:
    """Whether the customers who arrived in the results are in the designed proportion.

    Attributes:
        counts: customers by arm.
        p: chi-square test against the designed shares.
        fits: p is .001 or more.
        sentence: the finding in words.
    """

    counts: dict[str, int]
    p: float
    fits: bool
    sentence: str


def sample_ratio(arms: pd.Series, designed: Mapping[str, float]) -> SampleRatio:
    """Sample-ratio check against the designed shares, never against an assumed half and half.

    Raises:
        DataError: an arm has no designed share, or the shares do not add up to 1.
    """
    counts = {arm: int((arms == arm).sum()) for arm in sorted(designed)}
    unknown = sorted(set(arms) - set(designed))
    if unknown or abs(sum(designed.values()) - 1) > 1e-6:
        raise DataError(f"arms {unknown} have no designed share, or the shares {dict(designed)} do not add up to 1")
    if arms.empty:
        raise DataError("no customers in the results; check that assignments and purchases use the same customer ids")
    expected = [len(arms) * designed[arm] for arm in counts]
    p = float(stats.chisquare(list(counts.values()), expected).pvalue)
    shown = ", ".join(f"{arm} {n:,}" for arm, n in counts.items())
    fits = p >= SAMPLE_RATIO_LEVEL
    told = (
        "as designed"
        if fits
        else "not as designed: customers were lost or added on one side, so do not read the result"
    )
    return SampleRatio(
        counts, p, fits, f"{shown}: {told} (p {p:.3g}; a loss of 1 % of one arm would mostly go unseen)."
    )


def read_test(
    outcomes: pd.DataFrame,
    *,
    treated: str,
    control: str,
    cost_per_contact: float | None,
    margin_rate: float | None,
    confidence: float,
) -> pd.DataFrame:
    """Read a randomised test per segment and overall.

    Args:
        outcomes: ``customer_id, segment_key, arm, sales, orders`` and, where measured, ``margin``; one row a customer
            who was assigned, whether or not they bought.
        treated: the arm that got the campaign.
        control: the arm that did not.
        cost_per_contact: money a contact costs; None where it is not known.
        margin_rate: margin as a share of sales, used where ``margin`` is not measured; None where not known.
        confidence: of the intervals.

    Returns:
        One row a segment, ``all`` last: counts, buyers, conversion difference (Newcombe), sales difference (Welch),
        and net benefit per customer with its ROI where margin and cost are known. Intervals are missing, and ``word``
        says why, where an arm has fewer than ten buyers. ``word`` is scale, stop or cannot tell, by Holm over the
        segments, so that one of many does not look good by luck; its interval is not widened by that.

    Raises:
        DataError: an arm is empty.
    """
    rows = [
        _read_one(key, part, treated, control, cost_per_contact, margin_rate, confidence)
        for key, part in [*outcomes.groupby("segment_key"), ("all", outcomes)]
    ]
    if _shares_differ(outcomes):
        counted = {"segment_key", "treated", "control", "buyers_treated", "buyers_control"}
        rows[-1] = {name: value if name in counted else np.nan for name, value in rows[-1].items()}
        rows[-1]["word"] = "arms have other shares in other segments: read them one by one"
    return _with_words(pd.DataFrame(rows), confidence)


def _with_words(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """A word for every row, where money is known: segments by Holm over all of them, ``all`` by its own p."""
    if "net_benefit_p" not in table.columns:
        return table
    table["net_benefit_p_holm"] = table["net_benefit_p"]
    family = (table["segment_key"] != "all") & table["net_benefit_p"].notna()
    if family.any():
        table.loc[family, "net_benefit_p_holm"] = multipletests(table.loc[family, "net_benefit_p"], method="holm")[1]
    sure = table["net_benefit_p_holm"] < 1 - confidence
    words = np.select([sure & (table["net_benefit"] > 0), sure], ["scale", "stop"], default="cannot tell")
    table["word"] = table["word"].where(table["word"] != "", words)
    return table


def _shares_differ(outcomes: pd.DataFrame) -> bool:
    """Pooling segments with other shares of the arms would take their mix for an effect."""
    counts = pd.crosstab(outcomes["segment_key"], outcomes["arm"])
    return len(counts) > 1 and float(stats.chi2_contingency(counts).pvalue) < SAMPLE_RATIO_LEVEL


def _read_one(
    key: str, part: pd.DataFrame, treated: str, control: str, cost: float | None, rate: float | None, confidence: float
) -> dict[str, object]:
    mine, theirs = part[part["arm"] == treated], part[part["arm"] == control]
    if mine.empty or theirs.empty:
        raise DataError(
            f"segment {key}: {len(mine)} customers in {treated!r}, {len(theirs)} in {control!r}; both are needed"
        )
    buyers = int((mine["orders"] > 0).sum()), int((theirs["orders"] > 0).sum())
    row: dict[str, object] = {
        "segment_key": key,
        "treated": len(mine),
        "control": len(theirs),
        "buyers_treated": buyers[0],
        "buyers_control": buyers[1],
        "conversion_difference": buyers[0] / len(mine) - buyers[1] / len(theirs),
    }
    enough = min(buyers) >= FEWEST_BUYERS and min(len(mine), len(theirs)) > 1
    low, high = (
        confint_proportions_2indep(buyers[0], len(mine), buyers[1], len(theirs), method="newcomb", alpha=1 - confidence)
        if enough
        else (np.nan, np.nan)
    )
    row |= {"conversion_low": float(low), "conversion_high": float(high)}
    row |= _interval("sales", mine["sales"], theirs["sales"], confidence, enough)
    profit = _profit(mine, theirs, rate)
    if profit is None or cost is None:
        return row | {"word": "no money figure: margin or cost not known" if enough else "too few buyers to tell"}
    net = _interval("net_benefit", profit[0] - cost, profit[1], confidence, enough)
    if cost > 0:
        net |= {n.replace("net_benefit", "roi"): value / cost for n, value in net.items() if not n.endswith("_p")}
    return row | net | {"word": "" if enough else "too few buyers to tell"}


def _interval(name: str, mine: pd.Series, theirs: pd.Series, confidence: float, enough: bool) -> dict[str, float]:
    label = f"{name}_difference" if name == "sales" else name
    if not enough:
        nothing = dict.fromkeys((f"{name}_low", f"{name}_high", f"{name}_p"), np.nan)
        return {label: float(mine.mean() - theirs.mean())} | nothing
    found = welch(mine.to_numpy(dtype=float), theirs.to_numpy(dtype=float), confidence)
    return {label: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_p": found.p}


def _profit(mine: pd.DataFrame, theirs: pd.DataFrame, rate: float | None) -> tuple[pd.Series, pd.Series] | None:
    if "margin" in mine.columns:
        return mine["margin"], theirs["margin"]
    return None if rate is None else (mine["sales"] * rate, theirs["sales"] * rate)


def heterogeneity(table: pd.DataFrame, value: str, confidence: float) -> tuple[float, int]:
    """Cochran's Q: do segments differ in their effect? "A reacts and B does not" is this test, not two others.

    Args:
        table: from ``read_test``.
        value: ``sales_difference`` or ``net_benefit``.
        confidence: that the intervals were made with.

    Returns:
        p and the number of segments compared; p is 1 with fewer than two.
    """
    prefix = value.removesuffix("_difference")
    known = table[(table["segment_key"] != "all") & table[f"{prefix}_low"].notna()]
    if len(known) < 2:
        return 1.0, len(known)
    z = stats.norm.ppf((1 + confidence) / 2)
    weights = (2 * z / (known[f"{prefix}_high"] - known[f"{prefix}_low"])) ** 2
    centre = (weights * known[value]).sum() / weights.sum()
    q = float((weights * (known[value] - centre) ** 2).sum())
    return float(stats.chi2.sf(q, len(known) - 1)), len(known)


def smallest_detectable(values: pd.Series, treated: int, control: int, confidence: float, power: float = 0.8) -> float:
    """Smallest difference in means that a test of this size finds with the stated power, in the values' unit."""
    if min(treated, control) < 2:
        raise ParameterError(f"{treated} against {control} customers; a test needs at least two on each side")
    solved = TTestIndPower().solve_power(nobs1=treated, ratio=control / treated, alpha=1 - confidence, power=power)
    return float(np.squeeze(solved)) * float(values.std())


def break_even_sales(cost_per_contact: float, margin_rate: float) -> float:
    """Extra sales a reached customer must bring for the contact to pay for itself."""
    if not 0 < margin_rate <= 1:
        raise ParameterError(f"margin_rate == {margin_rate}; it must be above 0 and at most 1, e.g. 0.25 for a quarter")
    return cost_per_contact / margin_rate


def stated(value: Sequence[float]) -> float | None:
    """A figure somebody set, given as a list of one; None where the list is empty: not known.

    Raises:
        ParameterError: more than one.
    """
    if len(value) > 1:
        raise ParameterError(f"{list(value)}; give one figure, as a list of one, or leave the list empty")
    return float(value[0]) if value else None


def break_even_sentence(currency: str) -> str:
    """What a unit of cost must bring, at two margins: arithmetic, not data."""
    low, high = 0.2, 0.4
    return (
        f"Each {currency} spent on a contact must bring {1 / low:.2f} {currency} of extra sales at a margin of "
        f"{low:.0%}, "
        f"{1 / high:.2f} {currency} at {high:.0%}. This is arithmetic, not data."
    )

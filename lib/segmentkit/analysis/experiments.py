"""Randomised tests: the sample ratio first, then differences with intervals, then money."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep

from segmentkit.analysis import roi
from segmentkit.errors import DataError, ParameterError

FEWEST_BUYERS = 10
SAMPLE_RATIO_LEVEL = 0.001


@dataclass(frozen=True)
class Difference:
    """Mean of the reached minus mean of the others, with its interval, p and standard error."""

    estimate: float
    low: float
    high: float
    p: float
    error: float = float("nan")


def welch(treated: np.ndarray, control: np.ndarray, confidence: float) -> Difference:
    """Difference of two means with its Welch interval.

    Raises:
        DataError: fewer than two customers on a side.
    """
    if min(len(treated), len(control)) < 2:
        raise DataError(f"{len(treated)} against {len(control)} customers; a difference needs two on each side")
    found = stats.ttest_ind(treated, control, equal_var=False)
    interval, difference = found.confidence_interval(confidence), float(treated.mean() - control.mean())
    error = float(np.sqrt(np.var(treated, ddof=1) / len(treated) + np.var(control, ddof=1) / len(control)))
    return Difference(difference, float(interval.low), float(interval.high), float(found.pvalue), error)


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
        "nothing shows that it is not as designed"
        if fits
        else "not as designed: customers were lost or added on one side, so do not read the result"
    )
    return SampleRatio(counts, p, fits, f"{shown}: {told} (p {p:.3g}; {_blind_spot(len(arms), designed)}).")


def _blind_spot(n: int, designed: Mapping[str, float]) -> str:
    """The smallest loss of one arm that this check would find four times in five."""
    arm, share = min(designed.items(), key=lambda one: one[1])
    critical = stats.chi2.isf(SAMPLE_RATIO_LEVEL, len(designed) - 1)

    def found(lost: float) -> float:
        left = {name: own * (1 - lost * (name == arm)) / (1 - lost * share) for name, own in designed.items()}
        effect = sum((left[name] - own) ** 2 / own for name, own in designed.items())
        return float(stats.ncx2.sf(critical, len(designed) - 1, n * (1 - lost * share) * effect))

    if found(1.0) < 0.8:
        return "with so few customers hardly any loss would be seen"
    smallest = optimize.brentq(lambda lost: found(lost) - 0.8, 1e-9, 1.0)
    size = f"{smallest:.0%}" if smallest >= 0.1 else f"{smallest:.1%}"
    return f"a loss of less than about {size} of {arm} would mostly go unseen"


def compare(
    mine: pd.DataFrame, theirs: pd.DataFrame, value: str, confidence: float, *, per: str = "", past: str = ""
) -> Difference:
    """Difference of means, or of ratios of means: Welch's interval, the delta method, and CUPED.

    Args:
        mine: the treated, one row a customer.
        theirs: the control.
        value: column compared.
        confidence: of the interval.
        per: denominator of a ratio metric, e.g. ``orders`` for sales per order; the customer stays the unit, by the
            linearised ratio (delta method; Deng, Knoblich & Lu 2018).
        past: a column measured before the campaign that is held constant (CUPED; Deng et al. 2013). It removes what
            was different before, and never moves the expected effect.

    Returns:
        The difference; without interval, p and error where customers do not scatter at all.
    """
    sides = [_linear(side[value], side[per] if per else None) for side in (mine, theirs)]
    if past:
        sides = roi.without_past(sides, [side[past].to_numpy(dtype=float) for side in (mine, theirs)])
    largest = max(float(np.abs(side).max()) for side in sides)
    if not max(float(side.std()) for side in sides) > 1e-12 * (1 + largest):
        return Difference(float(sides[0].mean() - sides[1].mean()), np.nan, np.nan, np.nan)
    return welch(sides[0], sides[1], confidence)


def _linear(values: pd.Series, per: pd.Series | None) -> np.ndarray:
    """One value a customer whose mean is the mean, or the ratio of the means, and whose spread is that of either."""
    plain = values.to_numpy(dtype=float)
    if per is None:
        return plain
    ratio = plain.sum() / float(per.sum())
    linear: np.ndarray = ratio + (plain - ratio * per.to_numpy(dtype=float)) / float(per.mean())
    return linear


def read_test(
    outcomes: pd.DataFrame,
    *,
    treated: str,
    control: str,
    cost_per_contact: float | None,
    margin_rate: float | None,
    confidence: float,
) -> pd.DataFrame:
    """Read one arm of a randomised test against its control, per segment and overall.

    Args:
        outcomes: ``customer_id, segment_key, arm, sales, orders``; one row a customer who was assigned, whether or not
            they bought. Where measured also ``margin``, ``cost`` (spent on this customer), ``visited`` (0 or 1) and
            ``sales_before`` (in as many days before it began).
        treated: the arm that got the campaign.
        control: the arm that did not.
        cost_per_contact: money a contact costs, used where ``cost`` is not measured; None where it is not known.
        margin_rate: margin as a share of sales, used where ``margin`` is not measured; None where not known.
        confidence: of the intervals.

    Returns:
        One row a segment, ``all`` last: counts, buyers, difference in conversion and visits (Newcombe), in sales
        (Welch) and sales per order (delta method), and net benefit per customer with its ROI where margin and cost are
        known. With ``sales_before`` sales and net benefit are adjusted for it (CUPED); ``variance_cut`` says what that
        saved. Intervals are missing where an arm has fewer than ten buyers.

    Raises:
        DataError: an arm is empty.
    """
    priced = roi.price(outcomes, control, cost_per_contact, margin_rate)
    groups = [*priced.groupby("segment_key"), ("all", priced)]
    rows = [_read_one(str(key), part, treated, control, confidence) for key, part in groups]
    table = pd.DataFrame(rows)
    if _shares_differ(outcomes):
        whole = table["segment_key"] == "all"
        table = counts_only(table, whole, "arms have other shares in other segments: read them one by one")
    return table


def counts_only(table: pd.DataFrame, rows: pd.Series, why: str) -> pd.DataFrame:
    """Rows of ``read_test`` that must not be read: customers and buyers stay, every other figure is missing."""
    counted = {"segment_key", "arm", "treated", "control", "buyers_treated", "buyers_control", "why"}
    table = table.copy()
    for name in table.columns.drop(list(counted), errors="ignore"):
        table[name] = table[name].where(~rows, np.nan)
    table.loc[rows, "why"] = why
    return table


def _shares_differ(outcomes: pd.DataFrame) -> bool:
    """Pooling segments with other shares of the arms would take their mix for an effect."""
    counts = pd.crosstab(outcomes["segment_key"], outcomes["arm"])
    return len(counts) > 1 and float(stats.chi2_contingency(counts).pvalue) < SAMPLE_RATIO_LEVEL


def _read_one(key: str, part: pd.DataFrame, treated: str, control: str, confidence: float) -> dict[str, object]:
    mine, theirs = part[part["arm"] == treated], part[part["arm"] == control]
    if mine.empty or theirs.empty:
        raise DataError(
            f"segment {key}: {len(mine)} customers in {treated!r}, {len(theirs)} in {control!r}; both are needed"
        )
    buyers = int((mine["orders"] > 0).sum()), int((theirs["orders"] > 0).sum())
    enough = min(buyers) >= FEWEST_BUYERS and min(len(mine), len(theirs)) > 1
    row: dict[str, object] = {"segment_key": key, "treated": len(mine), "control": len(theirs)}
    row |= {"buyers_treated": buyers[0], "buyers_control": buyers[1], "why": "" if enough else "too few buyers"}
    row |= _proportions("conversion", buyers, (len(mine), len(theirs)), confidence, enough)
    if "visited" in part.columns:
        came = int(mine["visited"].sum()), int(theirs["visited"].sum())
        row |= _proportions("visits", came, (len(mine), len(theirs)), confidence, min(came) >= FEWEST_BUYERS)
    past = "sales_before" if "sales_before" in part.columns and part["sales_before"].std() > 0 else ""
    row |= _means("sales", mine, theirs, confidence, enough, past)
    row |= _means("sales_per_order", mine, theirs, confidence, enough)
    if past and enough:
        plain = compare(mine, theirs, "sales", confidence)
        row["variance_cut"] = 1 - (float(str(row["sales_error"])) / plain.error) ** 2
    if "spent" in part.columns:
        row["cost"] = float(mine["spent"].mean())
    if "net" in part.columns:
        row |= _means("net_benefit", mine, theirs, confidence, enough, past)
        told = enough and pd.notna(row["net_benefit_low"])
        row |= roi.ratio(mine, theirs, confidence, past) if told else roi.NO_RATIO
    return row


def _proportions(
    name: str, counts: tuple[int, int], of: tuple[int, int], confidence: float, enough: bool
) -> dict[str, float]:
    row = {f"{name}_treated": counts[0] / of[0], f"{name}_control": counts[1] / of[1]}
    row[f"{name}_difference"] = row[f"{name}_treated"] - row[f"{name}_control"]
    low, high = np.nan, np.nan
    if enough:
        low, high = confint_proportions_2indep(
            counts[0], of[0], counts[1], of[1], method="newcomb", alpha=1 - confidence
        )
    return row | {f"{name}_low": float(low), f"{name}_high": float(high)}


MEANS = {"sales": ("sales", "", "_difference"), "sales_per_order": ("sales", "orders", "_difference")}


def _means(
    name: str, mine: pd.DataFrame, theirs: pd.DataFrame, confidence: float, enough: bool, past: str = ""
) -> dict[str, float]:
    value, per, ending = MEANS.get(name, ("net", "", ""))
    ends = [f"{name}{end}" for end in (ending, "_low", "_high", "_p", "_error")]
    if not enough:
        plain = np.nan if per else float(mine[value].mean() - theirs[value].mean())
        return dict(zip(ends, [plain, *[np.nan] * 4], strict=True))
    found = compare(mine, theirs, value, confidence, per=per, past=past)
    return dict(zip(ends, [found.estimate, found.low, found.high, found.p, found.error], strict=True))


def heterogeneity(table: pd.DataFrame, value: str) -> tuple[float, int]:
    """Cochran's Q: do segments differ in their effect? "A reacts and B does not" is this test, not two others.

    Args:
        table: from ``read_test``.
        value: ``sales_difference`` or ``net_benefit``.

    Returns:
        p and the number of segments compared; p is 1 with fewer than two.
    """
    errors = f"{value.removesuffix('_difference')}_error"
    known = table[(table["segment_key"] != "all") & (table[errors] > 0)]
    if len(known) < 2:
        return 1.0, len(known)
    weights = 1 / known[errors] ** 2
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


def break_even_sentence(currency: str) -> str:
    """What a unit of cost must bring, at two margins: arithmetic, not data."""
    low, high = 0.2, 0.4
    return (
        f"Each {currency} spent on a contact must bring {1 / low:.2f} {currency} of extra sales at a margin of "
        f"{low:.0%}, "
        f"{1 / high:.2f} {currency} at {high:.0%}. This is arithmetic, not data."
    )

"""From a test to money: what a customer brought and cost, return on cost with its interval, and a word a segment."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from segmentkit.analysis.shrinkage import shrink

NO_RATIO = {"roi": np.nan, "roi_low": np.nan, "roi_high": np.nan, "roi_unbounded": False}


def price(outcomes: pd.DataFrame, control: str, cost: float | None, rate: float | None) -> pd.DataFrame:
    """Add ``profit``, ``spent`` and ``net`` to every customer, as far as margin and cost are known.

    Measured ``margin`` and ``cost`` columns come before the rate and the cost somebody states; nobody in the control
    arm costs anything.
    """
    table = outcomes.copy()
    if "margin" in table.columns:
        table["profit"] = table["margin"]
    elif rate is not None:
        table["profit"] = table["sales"] * rate
    if "cost" in table.columns or cost is not None:
        spent = table["cost"] if "cost" in table.columns else pd.Series(cost, index=table.index, dtype=float)
        table["spent"] = spent.where(table["arm"] != control, 0.0)
    if {"profit", "spent"} <= set(table.columns):
        table["net"] = table["profit"] - table["spent"]
    return table


def ratio(mine: pd.DataFrame, theirs: pd.DataFrame, confidence: float, past: str = "") -> dict[str, float | bool]:
    """Return on cost, (extra profit - cost) / cost, with Fieller's interval (Fieller 1954).

    Where every contact costs the same the interval is Welch's, mapped linearly; where cost differs between customers
    (coupons, redemptions) numerator and denominator vary together. An interval without bounds is said, not hidden.
    """
    spent = mine["spent"].to_numpy(dtype=float)
    if spent.mean() <= 0:
        return dict(NO_RATIO)
    gained, reference = (side["profit"].to_numpy(dtype=float) for side in (mine, theirs))
    if past:
        before = [side[past].to_numpy(dtype=float) for side in (mine, theirs)]
        gained, reference = without_past([gained, reference], before)
    top, bottom = gained.mean() - reference.mean(), spent.mean()
    parts = gained.var(ddof=1) / len(gained), reference.var(ddof=1) / len(reference)
    if not sum(parts) > 0:
        return NO_RATIO | {"roi": top / bottom - 1}
    freedom = sum(parts) ** 2 / sum(v**2 / (n - 1) for v, n in zip(parts, (len(gained), len(reference)), strict=True))
    both = np.cov(gained, spent) / len(spent)
    square = stats.t.ppf((1 + confidence) / 2, freedom) ** 2
    a, b, c = bottom**2 - square * both[1, 1], top * bottom - square * both[0, 1], top**2 - square * sum(parts)
    inside = b**2 - a * c
    if a <= 0 or inside < 0:
        return {"roi": top / bottom - 1, "roi_low": np.nan, "roi_high": np.nan, "roi_unbounded": True}
    low, high = ((b + sign * np.sqrt(inside)) / a - 1 for sign in (-1, 1))
    return {"roi": top / bottom - 1, "roi_low": low, "roi_high": high, "roi_unbounded": False}


def without_past(sides: Sequence[np.ndarray], before: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Values of both arms, less what the past predicts (CUPED), by one slope over both."""
    together = np.cov(np.concatenate(sides), np.concatenate(before))
    slope = together[0, 1] / together[1, 1] if together[1, 1] > 0 else 0.0
    return [side - slope * past for side, past in zip(sides, before, strict=True)]


def with_words(table: pd.DataFrame, confidence: float, method: str = "holm") -> pd.DataFrame:
    """A word for every row: scale, stop, test more, or cannot tell; without margin or cost, of sales only.

    Args:
        table: rows of ``read_test``, of one arm or of several.
        confidence: of the intervals.
        method: ``holm`` or ``fdr_bh``, over all segments and arms together; the rows of ``all`` are a family of their
            own. The intervals are not widened by it.
    """
    in_money = "net_benefit_p" in table.columns
    name, value = ("net_benefit", "net_benefit") if in_money else ("sales", "sales_difference")
    table = table.assign(p_adjusted=np.nan)
    for rows in (table["segment_key"] == "all", table["segment_key"] != "all"):
        family = rows & table[f"{name}_p"].notna()
        if family.any():
            table.loc[family, "p_adjusted"] = multipletests(table.loc[family, f"{name}_p"], method=method)[1]
    sure, known = table["p_adjusted"] < 1 - confidence, table[f"{name}_low"].notna()
    words = ["cannot tell", "scale", "stop"] if in_money else ["cannot tell", "sells more", "sells less"]
    return table.assign(word=np.select([~known, sure & (table[value] > 0), sure], words, "test more"))


def shrunken(table: pd.DataFrame, confidence: float) -> tuple[pd.DataFrame, str]:
    """Net benefit of the segments, shrunk towards their mean, and each one's probability of a profit.

    Returns:
        The table with ``net_benefit_shrunk``, ``_shrunk_low``, ``_shrunk_high``, ``shrunk_error`` and
        ``profit_chance`` (missing where no interval is printed), and the sentence that names the prior.
    """
    rows = (table["segment_key"] != "all") & (table.get("net_benefit_error", pd.Series(np.nan, table.index)) > 0)
    if not rows.any():
        return table, "Nothing to shrink: no segment has an interval in money."
    found = shrink(table.loc[rows, "net_benefit"].to_numpy(), table.loc[rows, "net_benefit_error"].to_numpy())
    low, high = found.interval(confidence)
    columns = ["net_benefit_shrunk", "net_benefit_shrunk_low", "net_benefit_shrunk_high"]
    table = table.reindex(columns=[*table.columns, *columns, "shrunk_error", "profit_chance"])
    values = [found.estimates, low, high, found.errors, found.above_zero()]
    table.loc[rows, [*columns, "shrunk_error", "profit_chance"]] = np.column_stack(values)
    return table, found.sentence


def profit_by_cost(estimate: float, error: float, cost: float) -> pd.DataFrame:
    """Probability of a profit as a function of what a contact costs: ``cost, chance``.

    Args:
        estimate: net benefit per customer at the present cost.
        error: its standard error.
        cost: the present cost of a contact.
    """
    costs = np.linspace(0, max(4 * cost, estimate + cost + 4 * error), 81)
    return pd.DataFrame({"cost": costs, "chance": stats.norm.cdf((estimate + cost - costs) / error)})


def chance_sentence(name: str, row: pd.Series) -> str:
    """The chance that a campaign paid at its cost, and the cost at which it is even."""
    if pd.isna(row["net_benefit_error"]):
        return f"{name}: the chance of a profit cannot be told, {row.get('why') or 'too few buyers'}."
    chance = stats.norm.cdf(row["net_benefit"] / row["net_benefit_error"])
    even = row["net_benefit"] + row["cost"]
    told = f"it is even at {even:,.2f}" if even > 0 else "no cost above nothing would have been even"
    return f"{name}: at {row['cost']:,.2f} a customer the chance of a profit is {chance:.0%} (flat prior); {told}."


def per_extra_buyer(row: pd.Series, cost: float) -> str:
    """Cost per incremental buyer with its interval; where the interval of the lift holds 0 it has no upper bound."""
    if pd.isna(row["conversion_low"]):
        return "Cost per extra buyer: too few buyers to tell."
    if row["conversion_low"] <= 0:
        if row["conversion_high"] <= 0:
            return "Cost per extra buyer: no extra buyer was won."
        best = f"at best {cost / row['conversion_high']:,.2f}"
        return f"Cost per extra buyer: {best}; whether any buyer was won cannot be told."
    low, high = cost / row["conversion_high"], cost / row["conversion_low"]
    middle = cost / row["conversion_difference"]
    return f"Cost per extra buyer: {middle:,.2f}, likely between {low:,.2f} and {high:,.2f}."

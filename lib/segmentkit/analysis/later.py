"""Later: do segments cut in one half of the days still differ in the other, and how much of a change is the cut's own?

Customers are picked by what they happened to do, so the lightest later do more and the heaviest less, whatever anybody
did. The control is the same cut made in the later half and looked at backwards. What runs the same both ways is
regression to the mean, since nothing acts backwards; what changes its sign is a change of the customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.regression.linear_model import OLS

from segmentkit.analysis.looks import Compared
from segmentkit.errors import DataError

THIRDS = ("heavy", "medium", "light")
ALL = "all"
PERCENT = ("change", "change_back", "regression", "beyond", "beyond_low", "beyond_high")
DECIMALS = dict.fromkeys(("spend_first", "first_low", "first_high", "spend_later", "later_low", "later_high"), 2)


@dataclass(frozen=True)
class Later:
    """Segments of the first half of the days, looked at in the second half.

    Attributes:
        segments: one row a segment, best first, and ``all``: ``segment_key, customers, spend_first, first_low,
            first_high, spend_later, later_low, later_high`` (money per customer of the segment; no purchase later is
            0), ``customers_back, spend_back, earlier`` (cut in the second half: spend there, and in the half before),
            ``change, change_back`` (relative), ``regression`` (the part that runs the same both ways), ``beyond,
            beyond_low, beyond_high`` (the part that does not; intervals hold for all segments together).
        thirds: the same for the heavy, medium and light third by spend alone, of customers seen in both halves.
        kept_third: share of those who are in the same third again.
        slope: share of the first half's differences between segments that is left; with ``slope_low, slope_high``.
        explained_first: share of the variance of spend that the segments explain where they were cut (eta squared).
        explained_later: the same in the second half.
        told: which days, and why.
    """

    segments: pd.DataFrame
    thirds: pd.DataFrame
    kept_third: float
    slope: float
    slope_low: float
    slope_high: float
    explained_first: float
    explained_later: float
    told: str

    @property
    def sentence(self) -> str:
        """Whether the segments still differ, and what the largest rise owes to the cut."""
        own = self.segments[self.segments["segment_key"] != ALL]
        best, least = own.iloc[own["spend_first"].argmax()], own.iloc[own["spend_first"].argmin()]
        still = "The segments still differ" if self.slope_low > 0 else "The segments do not clearly differ any more"
        return (
            f"{still}: in the days after the cut {best['segment_key']} spent {best['spend_later']:,.2f} a customer, "
            f"{least['segment_key']} {least['spend_later']:,.2f}; {self.slope:.0%} ({self.slope_low:.0%} to "
            f"{self.slope_high:.0%}) of the differences are left, and segments explain {self.explained_later:.0%} of "
            f"the variance of spend, {self.explained_first:.0%} where they were cut. {self.change_sentence(own)}"
        )

    @property
    def thirds_sentence(self) -> str:
        """The same for heavy, medium and light customers."""
        return (
            f"{self.kept_third:.1%} of the customers seen in both halves are heavy, medium or light again (a third "
            f"would be by chance). {self.change_sentence(self.thirds)}"
        )

    def change_sentence(self, table: pd.DataFrame) -> str:
        """Of the least group of ``segments`` or ``thirds``: its change, the same cut backwards, and what is beyond."""
        known = table[table["segment_key"] != ALL].dropna(subset=["change", "change_back"])
        if known.empty:
            return "No group spent in both halves, so nothing can be said of regression to the mean."
        row = known.loc[known["spend_first"].idxmin()]
        return (
            f"{row['segment_key'].capitalize()} went {row['change']:+.0%}; the same cut made backwards shows "
            f"{row['change_back']:+.0%}. {_owed(row)}"
        )


def _owed(row: pd.Series) -> str:
    rest = f"{row['beyond']:+.0%} ({row['beyond_low']:+.0%} to {row['beyond_high']:+.0%})"
    if row["beyond_low"] <= 0 <= row["beyond_high"]:
        return f"So about {row['regression']:+.0%} is regression to the mean, and no change beyond it shows: {rest}."
    return f"So about {row['regression']:+.0%} is regression to the mean; {rest} is a change of these customers."


def read(pair: Compared, *, confidence: float) -> Later:
    """The later half of a rehearsal, read as a validation of the segments.

    Args:
        pair: from ``looks.compare`` with no earlier run: segments cut in the first half of the days, applied to both.
        confidence: of every interval.

    Raises:
        DataError: the pair is no rehearsal, or all customers are in one segment.
    """
    if pair.kind != "rehearsal":
        raise DataError(f"kind of comparison == {pair.kind!r}; it must be 'rehearsal'; {pair.sentence}")
    both = _both(pair)
    cut, known = both.dropna(subset=["key_first"]), both.dropna()
    if cut["key_first"].nunique() < 2:
        raise DataError("segments with customers in the first half == 1; at least 2 are needed; fit more segments")
    thirds = known.assign(key_first=_thirds(known["first"]), key_later=_thirds(known["later"]))
    return Later(
        _table(both, pair.model.keys, confidence),
        _table(thirds, THIRDS, confidence),
        float((thirds["key_first"] == thirds["key_later"]).mean()),
        *_slope(cut, confidence),
        _explained(cut["first"], cut["key_first"]),
        _explained(cut["later"], cut["key_first"]),
        pair.sentence,
    )


def _both(pair: Compared) -> pd.DataFrame:
    """``key_first, first, key_later, later`` of everybody seen; no purchase is no key, and 0."""
    looked = (look.customers.rename(columns={"segment_key": "key"}) for look in (pair.before, pair.now))
    one, other = (table.set_index("customer_id") for table in looked)
    both = one.add_suffix("_first").join(other.add_suffix("_later"), how="outer").sort_index()
    both = both.rename(columns={"sales_first": "first", "sales_later": "later"})
    return both.fillna({"first": 0.0, "later": 0.0})


def _thirds(spend: pd.Series) -> np.ndarray:
    """Heavy, medium or light by thirds of the customers; equal spend stays together."""
    above = np.searchsorted(spend.quantile([1 / 3, 2 / 3]).to_numpy(), spend.to_numpy(), side="left")
    return np.asarray(THIRDS[::-1], dtype=object)[above]


def _table(both: pd.DataFrame, keys: Sequence[str], confidence: float) -> pd.DataFrame:
    """One row a group, and all of them together."""
    rows = []
    for key in (*keys, ALL):
        own, back = (both[side].notna() if key == ALL else both[side] == key for side in ("key_first", "key_later"))
        there, again = both[own], both[back]
        row = {"segment_key": key, "customers": len(there)}
        row |= _mean(there["first"], "spend_first", "first", confidence)
        row |= _mean(there["later"], "spend_later", "later", confidence)
        row |= {"customers_back": len(again), "spend_back": again["later"].mean(), "earlier": again["first"].mean()}
        rows.append(row | _owed_to_the_cut(both, own, back, 1 - (1 - confidence) / len(keys)))
    return pd.DataFrame(rows)


def _mean(spend: pd.Series, name: str, short: str, confidence: float) -> dict[str, float]:
    reach = norm.ppf((1 + confidence) / 2) * spend.sem()
    return {name: spend.mean(), f"{short}_low": spend.mean() - reach, f"{short}_high": spend.mean() + reach}


def _owed_to_the_cut(both: pd.DataFrame, own: pd.Series, back: pd.Series, confidence: float) -> dict[str, float]:
    """Change forwards f and backwards b in logs: (f + b) / 2 runs the same both ways, (f - b) / 2 does not.

    The interval is by the delta method, a customer's two parts together.
    """
    first, later = both["first"].to_numpy(), both["later"].to_numpy()
    sums = [float(spend[side].sum()) for side in (own, back) for spend in (first, later)]
    if min(sums) <= 0:
        return dict.fromkeys(PERCENT, float("nan"))
    f, b = np.log(sums[1] / sums[0]), np.log(sums[2] / sums[3])
    parts = own * (later / sums[1] - first / sums[0]) - back * (first / sums[2] - later / sums[3])
    reach = norm.ppf((1 + confidence) / 2) * float(np.sqrt((parts**2).sum())) / 2
    logs = (f, b, (f + b) / 2, (f - b) / 2, (f - b) / 2 - reach, (f - b) / 2 + reach)
    return {name: float(np.expm1(one)) for name, one in zip(PERCENT, logs, strict=True)}


def _slope(cut: pd.DataFrame, confidence: float) -> tuple[float, float, float]:
    """Slope of later spend on the segment's mean where it was cut, with an interval that allows unequal variances."""
    at_cut = cut.groupby("key_first")["first"].transform("mean").to_numpy(dtype=float)
    fitted = OLS(cut["later"].to_numpy(dtype=float), np.column_stack([np.ones(len(cut)), at_cut])).fit(cov_type="HC1")
    low, high = fitted.conf_int(1 - confidence)[1]
    return float(fitted.params[1]), float(low), float(high)


def _explained(spend: pd.Series, key: pd.Series) -> float:
    """Eta squared: between-segment share of the sum of squares."""
    between = spend.groupby(key).transform("mean").var()
    return float(between / spend.var())

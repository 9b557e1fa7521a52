"""Campaigns decided by lot: from outcomes to a result in money, per segment and overall."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from segmentkit.analysis import roi
from segmentkit.analysis.experiments import SampleRatio, counts_only, heterogeneity, read_test
from segmentkit.analysis.outcomes import Outcomes

METHODS = {"holm": "Holm", "fdr_bh": "Benjamini and Hochberg"}
PERCENT = ("conversion_treated", "conversion_control", "conversion_difference", "variance_cut")


@dataclass(frozen=True)
class Test:
    """One arm of a randomised campaign against its control.

    Attributes:
        campaign_id: the campaign.
        arm: the arm that got it.
        table: from ``read_test``, with a word for every row and shrunk estimates.
        ratio: the sample-ratio check.
        difference_p: Cochran's Q: do segments differ in their effect?
        compared: segments in that comparison.
        money_from: where margin and cost come from, in words.
        family: how many tests the words are adjusted for, and how.
        shrunk: what shrinking did, in words.
        truth: planted net benefit by segment, in simulated data only.
    """

    __test__ = False

    campaign_id: str
    arm: str
    table: pd.DataFrame
    ratio: SampleRatio
    difference_p: float
    compared: int
    money_from: str
    family: str = ""
    shrunk: str = ""
    truth: dict[str, float] | None = None

    @property
    def slug(self) -> str:
        """Campaign and arm as a file is named."""
        return slug(self.campaign_id, self.arm)

    @property
    def label(self) -> str:
        """``SIMULATED`` where it is."""
        return "SIMULATED · " if self.truth is not None else ""

    @property
    def value(self) -> str:
        """The column that is read: net benefit where money is known, else sales."""
        return "net_benefit" if "net_benefit" in self.table.columns else "sales_difference"

    @property
    def overall(self) -> pd.Series:
        """The row of all customers together."""
        return self.table[self.table["segment_key"] == "all"].iloc[0]

    @property
    def name(self) -> str:
        """Campaign and arm, in words."""
        return f"{self.label}campaign {self.campaign_id}, {self.arm}"

    @property
    def extra_buyer(self) -> str:
        """What one more buyer cost, where cost is known: the figure for customers one has, as CAC is for new ones."""
        row = self.overall
        return f"{self.name}. {roi.per_extra_buyer(row, row['cost'])}" if pd.notna(row.get("cost")) else ""

    @property
    def title(self) -> str:
        """The finding, for a figure."""
        return f"{self.label}{self._finding()}"

    def _finding(self) -> str:
        row, prefix = self.overall, self.value.removesuffix("_difference")
        what = "extra profit" if self.value == "net_benefit" else "extra sales"
        name = f"{what} per customer" if self.truth is not None else f"Campaign {self.campaign_id}, {self.arm}: {what}"
        if not self.ratio.fits:
            return f"{name} not read, the sample ratio is off"
        if pd.isna(row[f"{prefix}_low"]):
            return f"{name} cannot be told, {row['why'] or 'customers do not scatter'}"
        low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
        each = "" if self.truth is not None else " per customer"
        return f"{name}{each} likely between {low:,.2f} and {high:,.2f}"

    @property
    def sentence(self) -> str:
        """The reading in words."""
        who, p = f"the {self.compared} segments with enough buyers", f"(p {self.difference_p:.2g}, one test)"
        sure = self.difference_p < 0.05
        told = (
            f"{who} differ in their effect {p}" if sure else f"whether {who} differ in their effect cannot be told {p}"
        )
        told = told if self.compared > 1 else "fewer than two can be read, so they cannot be compared"
        cut = self.overall.get("variance_cut", np.nan)
        past = f"Holding sales before the campaign constant cut the variance by {cut:.0%}." if cut == cut else ""
        parts = (f"{self.title}.", f"Sample ratio: {self.ratio.sentence}", self.money_from, past)
        return " ".join(filter(None, [*parts, f"Between segments: {told}.", self.family]))

    def to_dict(self) -> dict[str, Any]:
        """For the metrics."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return {
            "campaign_id": self.campaign_id,
            "arm": self.arm,
            "slug": self.slug,
            "title": self.title,
            "sentence": self.sentence,
            "ratio_fits": self.ratio.fits,
            "value": self.value,
            "money_from": self.money_from,
            "shrunk": self.shrunk,
            "difference_p": self.difference_p,
            "rows": rows,
            "truth": self.truth,
        }


def read(
    outcomes: Outcomes, *, margin: float | None, confidence: float, margin_from: str = "measured", method: str = "holm"
) -> list[Test]:
    """Read every treated arm of a campaign against its control; one family of tests over arms and segments.

    Args:
        outcomes: from ``collect``.
        margin: the analyst's margin rate, where purchases carry none.
        confidence: of the intervals.
        margin_from: where the margin on purchases comes from, in words.
        method: ``holm`` or ``fdr_bh``.
    """
    parts = [
        read_test(
            outcomes.of(arm),
            treated=arm,
            control=outcomes.control,
            cost_per_contact=None,
            margin_rate=margin,
            confidence=confidence,
        ).assign(arm=arm)
        for arm in outcomes.arms
    ]
    table = pd.concat(parts, ignore_index=True)
    if not outcomes.ratio.fits:
        table = counts_only(table, table["segment_key"].notna(), "the sample ratio is off")
    table = roi.with_words(table, confidence, method)
    told = f"{_margin_from(outcomes.table, margin, margin_from)}; {outcomes.cost_from}."
    return [_test(outcomes, arm, table, told, confidence, method) for arm in outcomes.arms]


def effects(outcomes: Outcomes, *, confidence: float, method: str = "holm") -> list[Test]:
    """What the campaign moved, whatever it cost: buyers, visits, sales and sales per order."""
    plain = replace(outcomes, table=outcomes.table.drop(columns=["margin", "cost"], errors="ignore"))
    return [replace(test, money_from="") for test in read(plain, margin=None, confidence=confidence, method=method)]


def slug(*names: str) -> str:
    """Names as a file is named: letters, digits and underscores."""
    return re.sub(r"\W+", "_", "_".join(names)).strip("_").lower()


def _test(outcomes: Outcomes, arm: str, table: pd.DataFrame, told: str, confidence: float, method: str) -> Test:
    own, sentence = roi.shrunken(table[table["arm"] == arm].reset_index(drop=True), confidence)
    value = "net_benefit" if "net_benefit" in own.columns else "sales_difference"
    p, compared = heterogeneity(own, value)
    tested = int((table["p_adjusted"].notna() & (table["segment_key"] != "all")).sum())
    family = (
        f"The word for each segment is by {METHODS[method]} over {tested} tests; the intervals are not widened by it."
        if tested
        else ""
    )
    return Test(outcomes.campaign.campaign_id, arm, own, outcomes.ratio, p, compared, told, family, sentence)


def _margin_from(table: pd.DataFrame, margin: float | None, known: str) -> str:
    if "margin" in table.columns:
        return f"Margin: {known}"
    if margin is None and known.startswith("not known"):
        return f"Margin: {known}"
    return "Margin: not known" if margin is None else f"Margin: {margin:.0%} of sales, assumed by you"


def sentences(tests: Sequence[Test]) -> list[str]:
    """Every test in words, or one sentence where there is none."""
    return [t.sentence for t in tests] or [
        "No campaign was decided by lot, so no effect can be measured on these data."
    ]


def to_table(tests: Sequence[Test]) -> pd.DataFrame:
    """All results below one another."""
    parts = [t.table.assign(campaign_id=t.campaign_id, arm=t.arm) for t in tests]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"campaign_id": pd.Series(dtype="str")})

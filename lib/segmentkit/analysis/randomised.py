"""Campaigns decided by lot: from assignments and purchases to a result in money, per segment and overall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from segmentkit.analysis.campaigns import Campaign, reached, spend
from segmentkit.analysis.experiments import SampleRatio, heterogeneity, read_test, sample_ratio
from segmentkit.errors import DataError

CONTROL_NAMES = {"control", "holdout", "hold-out", "held back", "hold back"}


@dataclass(frozen=True)
class Test:
    """One arm of a randomised campaign against its control.

    Attributes:
        campaign_id: the campaign.
        arm: the arm that got it.
        table: from ``read_test``.
        ratio: the sample-ratio check.
        difference_p: Cochran's Q: do segments differ in their effect?
        compared: segments in that comparison.
        money_from: where margin and cost come from, in words.
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
    truth: dict[str, float] | None = None

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
    def title(self) -> str:
        """The finding, for a figure."""
        return f"{self.label}{self._finding()}"

    def _finding(self) -> str:
        row, prefix = self.overall, self.value.removesuffix("_difference")
        name = "" if self.truth is not None else f"campaign {self.campaign_id}: "
        what = "extra profit" if self.value == "net_benefit" else "extra sales"
        if not self.ratio.fits:
            return f"{name}not read, the sample ratio is off"
        if pd.isna(row[f"{prefix}_low"]):
            return f"{name}too few buyers to tell"
        low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
        return f"{name}{what} per customer {self.arm}, likely between {low:,.2f} and {high:,.2f}"

    @property
    def sentence(self) -> str:
        """The reading in words."""
        who, p = f"the {self.compared} segments with enough buyers", f"(p {self.difference_p:.2g}, one test)"
        sure = self.difference_p < 0.05
        told = (
            f"{who} differ in their effect {p}" if sure else f"whether {who} differ in their effect cannot be told {p}"
        )
        return (
            f"{self.title}. Sample ratio: {self.ratio.sentence} {self.money_from} Between segments: {told}. "
            "The word for each segment is by Holm over all of them."
        )

    def to_dict(self) -> dict[str, Any]:
        """For the metrics."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return {
            "campaign_id": self.campaign_id,
            "arm": self.arm,
            "title": self.title,
            "sentence": self.sentence,
            "ratio_fits": self.ratio.fits,
            "value": self.value,
            "rows": rows,
            "truth": self.truth,
        }


def read_all(
    transactions: ibis.Table,
    assignments: pd.DataFrame,
    contacts: pd.DataFrame,
    plan: pd.DataFrame,
    campaigns: Sequence[Campaign],
    frozen: pd.DataFrame,
    *,
    cost: float | None,
    margin: float | None,
    confidence: float,
) -> list[Test]:
    """Read every treated arm of every campaign that was decided by lot.

    Args:
        transactions: the shared table; with a ``margin`` column profit is measured.
        assignments: ``campaign_id, customer_id, arm, designed_share``.
        contacts: who was reached; the arm nobody reached is the control.
        plan: the campaigns; ``cost_per_contact`` where stated.
        campaigns: those to read.
        frozen: ``campaign_id, customer_id, segment_key`` from before each campaign.
        cost: the analyst's cost per contact, where the plan has none.
        margin: the analyst's margin rate, where transactions have none.
        confidence: of the intervals.
    """
    return [
        test
        for campaign in campaigns
        for test in _read_campaign(
            transactions, assignments, contacts, plan, campaign, frozen, cost=cost, margin=margin, confidence=confidence
        )
    ]


def _read_campaign(
    transactions: ibis.Table,
    assignments: pd.DataFrame,
    contacts: pd.DataFrame,
    plan: pd.DataFrame,
    campaign: Campaign,
    frozen: pd.DataFrame,
    *,
    cost: float | None,
    margin: float | None,
    confidence: float,
) -> list[Test]:
    mine = assignments[assignments["campaign_id"] == campaign.campaign_id]
    segments = frozen[frozen["campaign_id"] == campaign.campaign_id][["customer_id", "segment_key"]]
    outcomes = mine[["customer_id", "arm"]].merge(segments, how="left", on="customer_id")
    outcomes["segment_key"] = outcomes["segment_key"].fillna("none")
    outcomes = outcomes.merge(spend(transactions, campaign.during, outcomes["customer_id"]), on="customer_id")
    control = control_arm(mine, reached(contacts, campaign), campaign.campaign_id)
    ratio = sample_ratio(mine["arm"], mine.groupby("arm")["designed_share"].first().to_dict())
    stated = plan.set_index("campaign_id").get("cost_per_contact", pd.Series(dtype=float)).get(campaign.campaign_id)
    price = float(stated) if pd.notna(stated) else cost
    tests = []
    for arm in sorted(set(mine["arm"]) - {control}):
        both = _both_arms_only(outcomes[outcomes["arm"].isin([arm, control])])
        table = read_test(
            both, treated=arm, control=control, cost_per_contact=price, margin_rate=margin, confidence=confidence
        )
        value = "net_benefit" if "net_benefit" in table.columns else "sales_difference"
        p, compared = heterogeneity(table, value, confidence)
        tests.append(
            Test(campaign.campaign_id, arm, table, ratio, p, compared, _money_from(both, stated, cost, margin))
        )
    return tests


def control_arm(mine: pd.DataFrame, reached_ids: pd.Series, campaign_id: str) -> str:
    """The arm that nobody reached; without contacts, the arm called control or held back.

    Raises:
        DataError: neither tells.
    """
    touched = mine[mine["customer_id"].isin(reached_ids)]["arm"].unique()
    if len(touched):
        left = sorted(set(mine["arm"]) - set(touched))
    else:
        left = sorted(arm for arm in set(mine["arm"]) if arm.lower() in CONTROL_NAMES)
    if len(left) != 1:
        raise DataError(
            f"campaign {campaign_id}: arms {sorted(set(mine['arm']))}, of which {left or 'none'} went without contact; "
            "exactly one must be the control; check contacts, or call it control"
        )
    return str(left[0])


def _both_arms_only(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Leave out a segment that has customers in one arm only: it has nothing to be compared with."""
    arms = outcomes.groupby("segment_key")["arm"].transform("nunique")
    return outcomes[arms == 2]


def _money_from(outcomes: pd.DataFrame, stated: Any, cost: float | None, margin: float | None) -> str:
    margins = (
        "Margin: measured"
        if "margin" in outcomes.columns
        else "Margin: not known"
        if margin is None
        else f"Margin: {margin:.0%} of sales, assumed by you"
    )
    price = (
        f"cost of a contact: {stated:g}, stated by the source"
        if pd.notna(stated)
        else "cost of a contact: not known"
        if cost is None
        else f"cost of a contact: {cost:g}, assumed by you"
    )
    return f"{margins}; {price}."


def sentences(tests: Sequence[Test]) -> list[str]:
    """Every test in words, or one sentence where there is none."""
    return [t.sentence for t in tests] or [
        "No campaign was decided by lot, so no effect can be measured on these data."
    ]


def to_table(tests: Sequence[Test]) -> pd.DataFrame:
    """All results below one another."""
    parts = [t.table.assign(campaign_id=t.campaign_id, arm=t.arm) for t in tests]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"campaign_id": pd.Series(dtype="str")})

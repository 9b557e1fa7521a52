"""Campaigns decided by lot: from assignments and purchases to a result in money, per segment and overall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis import roi
from segmentkit.analysis.campaigns import Campaign, reached, spend
from segmentkit.analysis.experiments import SampleRatio, heterogeneity, read_test, sample_ratio
from segmentkit.errors import DataError

CONTROL_NAMES = {"control", "holdout", "hold-out", "held back", "hold back"}
METHODS = {"holm": "Holm", "fdr_bh": "Benjamini and Hochberg"}
PERCENT = ("conversion_treated", "conversion_control", "conversion_difference", "variance_cut")


@dataclass(frozen=True)
class Outcomes:
    """What became of every customer who was assigned to a campaign.

    Attributes:
        campaign: the campaign.
        table: ``customer_id, segment_key, arm, sales, orders, sales_before`` and, where known, ``margin``, ``visited``
            and ``cost`` (spent on this customer: contacts, what answering cost, and an even share of the fixed cost).
        control: the arm that nobody reached.
        designed: designed shares by arm.
        ratio: the sample-ratio check.
        cost_from: where the cost comes from, in words.
    """

    campaign: Campaign
    table: pd.DataFrame
    control: str
    designed: dict[str, float]
    ratio: SampleRatio
    cost_from: str

    @property
    def arms(self) -> list[str]:
        """The treated arms."""
        return sorted(set(self.table["arm"]) - {self.control})

    def of(self, arm: str) -> pd.DataFrame:
        """One arm and the control, without segments that have customers in one of them only."""
        both = self.table[self.table["arm"].isin([arm, self.control])]
        return both[both.groupby("segment_key")["arm"].transform("nunique") == 2]


def collect(
    transactions: ibis.Table,
    assignments: pd.DataFrame,
    contacts: pd.DataFrame,
    responses: pd.DataFrame,
    plan: pd.DataFrame,
    campaign: Campaign,
    frozen: pd.DataFrame,
    cost: float | None,
) -> Outcomes:
    """Outcomes of one campaign decided by lot; every customer assigned counts, whether or not reached.

    Args:
        transactions: the shared table; with a ``margin`` column profit is measured.
        assignments: ``campaign_id, customer_id, arm, designed_share``.
        contacts: who was reached; the arm nobody reached is the control.
        responses: outcomes; ``cost`` is money that answering cost, such as a coupon's value.
        plan: the campaigns; ``cost_per_contact`` and ``fixed_cost`` where stated.
        campaign: the one to read.
        frozen: ``campaign_id, customer_id, segment_key`` from before each campaign.
        cost: the analyst's cost per contact, where the source has none.
    """
    mine = assignments[assignments["campaign_id"] == campaign.campaign_id]
    segments = frozen[frozen["campaign_id"] == campaign.campaign_id][["customer_id", "segment_key"]]
    table = mine[["customer_id", "arm"]].merge(segments, how="left", on="customer_id")
    table["segment_key"] = table["segment_key"].fillna("none")
    table = table.merge(spend(transactions, campaign.during, table["customer_id"]), on="customer_id")
    before = spend(transactions, campaign.before, table["customer_id"])[["customer_id", "sales"]]
    table = table.merge(before.rename(columns={"sales": "sales_before"}), on="customer_id")
    visits = contacts[(contacts["event"] == "visit") & _during(contacts["at"], campaign)]
    if len(visits):
        table["visited"] = table["customer_id"].isin(visits["customer_id"]).astype(float)
    touched = reached(contacts, campaign)
    control = control_arm(mine, touched, campaign.campaign_id)
    spent, cost_from = _cost(table, control, touched, contacts, responses, plan, campaign, cost)
    table = table if spent is None else table.assign(cost=spent)
    designed = mine.groupby("arm")["designed_share"].first().to_dict()
    table = table.sort_values("customer_id", ignore_index=True)
    return Outcomes(campaign, table, control, designed, sample_ratio(mine["arm"], designed), cost_from)


def _during(moments: pd.Series, campaign: Campaign) -> pd.Series:
    days = pd.to_datetime(moments)
    return (days >= pd.Timestamp(campaign.during.start)) & (days < pd.Timestamp(campaign.during.as_of))


def _cost(
    table: pd.DataFrame,
    control: str,
    touched: pd.Series,
    contacts: pd.DataFrame,
    responses: pd.DataFrame,
    plan: pd.DataFrame,
    campaign: Campaign,
    assumed: float | None,
) -> tuple[pd.Series | None, str]:
    """What was spent on each customer, and where that figure comes from."""
    ids, treated = table["customer_id"], table["arm"] != control
    own = contacts[contacts["campaign_id"] == campaign.campaign_id]
    row = plan[plan["campaign_id"] == campaign.campaign_id].iloc[0]
    stated, fixed = (pd.to_numeric(row.get(name), errors="coerce") for name in ("cost_per_contact", "fixed_cost"))
    origin = row.get("cost_origin")
    by = f"stated by the source{f' ({origin})' if isinstance(origin, str) and origin else ''}"
    if "cost" in own and own["cost"].notna().any():
        spent = ids.map(own.groupby("customer_id")["cost"].sum()).fillna(0.0).astype(float)
        told = "cost of contacts: measured, one by one"
    elif pd.notna(stated) or assumed is not None:
        unit = float(stated) if pd.notna(stated) else float(assumed or 0)
        # whoever was assigned and not reached cost nothing; without contacts everyone assigned counts as reached
        spent = (ids.isin(touched) if len(touched) else treated).astype(float) * unit
        told = f"cost of a contact: {unit:g}, {by if pd.notna(stated) else 'assumed by you'}"
    else:
        return None, "cost of a contact: not known"
    answered = responses[(responses["campaign_id"] == campaign.campaign_id) & (responses["outcome"] == "cost")]
    if len(answered):
        spent = spent + ids.map(answered.groupby("customer_id")["value"].sum()).fillna(0.0).astype(float)
        told += "; what answering cost: measured"
    if pd.notna(fixed) and fixed:
        spent = spent + treated * float(fixed) / int(treated.sum())
        told += f"; fixed cost of {fixed:,.2f}, {by}, spread evenly over the treated"
    return spent, told


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
            return f"{name}{row['why'] or 'too few buyers'} to tell" if "few" in row["why"] else f"{name}{row['why']}"
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
        cut = self.overall.get("variance_cut", np.nan)
        past = f" Holding sales before the campaign constant cut the variance by {cut:.0%}." if cut == cut else ""
        return (
            f"{self.title}. Sample ratio: {self.ratio.sentence} {self.money_from}{past} Between segments: {told}. "
            f"{self.family}"
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
            "money_from": self.money_from,
            "shrunk": self.shrunk,
            "difference_p": self.difference_p,
            "rows": rows,
            "truth": self.truth,
        }


def read(outcomes: Outcomes, *, margin: float | None, confidence: float, method: str = "holm") -> list[Test]:
    """Read every treated arm of a campaign against its control; one family of tests over arms and segments.

    Args:
        outcomes: from ``collect``.
        margin: the analyst's margin rate, where purchases carry none.
        confidence: of the intervals.
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
    table = roi.with_words(pd.concat(parts, ignore_index=True), confidence, method)
    told = f"{_margin_from(outcomes.table, margin)}; {outcomes.cost_from}."
    return [_test(outcomes, arm, table, told, confidence, method) for arm in outcomes.arms]


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


def _margin_from(table: pd.DataFrame, margin: float | None) -> str:
    if "margin" in table.columns:
        return "Margin: measured"
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

"""What became of every customer of a campaign decided by lot: purchases, visits, and what was spent on each."""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import pandas as pd

from segmentkit.analysis import roi
from segmentkit.analysis.campaigns import SENT, Campaign, reached, spend
from segmentkit.analysis.experiments import SampleRatio, sample_ratio
from segmentkit.errors import DataError

CONTROL_NAMES = {"control", "holdout", "hold-out", "held back", "hold back"}


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

    def channels(self, contacts: pd.DataFrame) -> dict[str, str]:
        """The channel that each treated arm was reached by most often."""
        own = contacts[contacts["campaign_id"] == self.campaign.campaign_id]
        arms = self.table.set_index("customer_id")["arm"]
        used = own.assign(arm=own["customer_id"].map(arms)).groupby("arm")["channel"]
        return dict.fromkeys(self.arms, "not recorded") | used.agg(lambda one: one.mode().iloc[0]).to_dict()

    def mean_cost(self) -> dict[str, float | None]:
        """What a customer of each treated arm cost; None where not known."""
        known = "cost" in self.table.columns
        spent = self.table.groupby("arm")["cost"].mean() if known else pd.Series(dtype=float)
        return {arm: float(spent[arm]) if known else None for arm in self.arms}

    def priced(self, margin: float | None) -> pd.DataFrame:
        """Every customer with ``net``: profit less what was spent; without it where margin or cost is not known."""
        return roi.price(self.table, self.control, None, margin)

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
    if slips := int((table["arm"].eq(control) & table["customer_id"].isin(touched)).sum()):
        cost_from += f"; {slips:,} of the {control} were reached all the same, which makes the effect look smaller"
    table = table if spent is None else table.assign(cost=spent)
    designed = _designed(mine)
    table = table.sort_values("customer_id", ignore_index=True)
    return Outcomes(campaign, table, control, designed, sample_ratio(mine["arm"], designed), cost_from)


def _designed(mine: pd.DataFrame) -> dict[str, float]:
    """Designed share of every arm; where strata were drawn with shares of their own, their mean over customers."""
    stratum = mine["stratum"].fillna("") if "stratum" in mine.columns else pd.Series("", index=mine.index)
    shares = mine.groupby([stratum, "arm"])["designed_share"].first().unstack()
    # a small stratum may hold nobody of an arm
    gaps, shares = shares.isna().any(axis=1), shares.fillna(shares.median())
    shares[gaps] = shares[gaps].div(shares[gaps].sum(axis=1), axis=0)
    weights = stratum.value_counts(normalize=True).reindex(shares.index)
    return {str(arm): float(share) for arm, share in shares.mul(weights, axis=0).sum().items()}


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
    """What was spent on each customer, and where that figure comes from; None where it is not known for all reached."""
    ids, treated = table["customer_id"], table["arm"] != control
    own = contacts[contacts["campaign_id"] == campaign.campaign_id]
    row = plan[plan["campaign_id"] == campaign.campaign_id].iloc[0]
    stated, fixed = (pd.to_numeric(row.get(name), errors="coerce") for name in ("cost_per_contact", "fixed_cost"))
    origin = row.get("cost_origin")
    by = f"stated by the source{f' ({origin})' if isinstance(origin, str) and origin else ''}"
    unit = float(stated) if pd.notna(stated) else assumed
    # whoever was assigned and not reached cost nothing; without deliveries everyone assigned counts as reached
    met = ids.isin(touched) if own["event"].isin(SENT).any() else treated
    told = "" if unit is None else f"cost of a contact: {unit:g}, {by if pd.notna(stated) else 'assumed by you'}"
    measured = own.groupby("customer_id")["cost"].sum(min_count=1) if "cost" in own else pd.Series(dtype=float)
    each = ids.map(measured).astype(float)
    if (without := int((met & each.isna()).sum())) and unit is None:
        some = f" for {without:,} of {int(met.sum()):,} customers reached" if each.notna().any() else ""
        return None, f"cost of a contact: not known{some}"
    spent = each.fillna(met * (unit or 0.0))
    if each.notna().any():
        rest = f"; for {without:,} customers reached without one, {told}" if without else ""
        told = f"cost of contacts: measured, one by one{rest}"
    answered = responses[(responses["campaign_id"] == campaign.campaign_id) & (responses["outcome"] == "cost")]
    if len(answered):
        spent = spent + ids.map(answered.groupby("customer_id")["value"].sum()).fillna(0.0).astype(float)
        told += "; what answering cost: measured"
    if pd.notna(fixed) and fixed:
        spent = spent + treated * float(fixed) / int(treated.sum())
        told += f"; fixed cost of {fixed:,.2f}, {by}, spread evenly over the treated"
    if (spent < 0).any():
        raise DataError(
            f"campaign {campaign.campaign_id}: cost of a customer == {spent.min():g}; money spent is at least 0; mend "
            "cost_per_contact, fixed_cost, the contacts' cost or the responses called cost"
        )
    return spent, told


def control_arm(mine: pd.DataFrame, reached_ids: pd.Series, campaign_id: str) -> str:
    """The arm that nobody reached; without contacts, or where every arm was touched, the one called so.

    Raises:
        DataError: neither tells.
    """
    touched = mine[mine["customer_id"].isin(reached_ids)]["arm"].unique()
    if len(touched):
        left = sorted(set(mine["arm"]) - set(touched))
        # of several that nobody reached, or where some of every arm were, the one that is called so
        named = [arm for arm in left or sorted(set(mine["arm"])) if arm.lower() in CONTROL_NAMES]
        left = left if len(left) == 1 else named or left
    else:
        left = sorted(arm for arm in set(mine["arm"]) if arm.lower() in CONTROL_NAMES)
    if len(left) != 1:
        raise DataError(
            f"campaign {campaign_id}: arms {sorted(set(mine['arm']))}, of which {left or 'none'} went without contact; "
            "exactly one must be the control; check contacts, or call it control"
        )
    return str(left[0])


def richest(tests: Sequence[Outcomes], margin: float | None) -> Outcomes | None:
    """The campaign that says most about what to send next: readable, in money, with most arms; the latest of those."""
    known = [one for one in tests if one.ratio.fits and "net" in one.priced(margin).columns]
    return max(known, key=lambda one: (len(one.arms), one.campaign.start), default=None)

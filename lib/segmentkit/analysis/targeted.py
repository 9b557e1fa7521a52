"""Campaigns that chose their customers: what can be seen, and whether it can carry a cause.

A targeted mailing goes to those who would have bought anyway, so the naive difference is there before it is sent.
Where every check passes, the doubly robust estimate is read, with its interval. Where one fails the effect is "not
identified", no ROI is printed, and a fixed row stands in its place. A list drawn from the very days on which the
placebo looks is refused as well, even where its adjustment would be right: the two cannot be told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.adjusted import Adjusted, Estimate, adjust, history, known
from segmentkit.analysis.campaigns import Campaign, reached, spend
from segmentkit.analysis.experiments import Difference, welch
from segmentkit.analysis.features import Window
from segmentkit.errors import DataError, ParameterError


@dataclass(frozen=True)
class NotRandomised:
    """What a campaign that was not randomised can and cannot say.

    Attributes:
        campaign_id: the campaign.
        days: its length.
        reached: customers it reached.
        others: customers it did not reach.
        during: naive difference in sales per customer while it ran.
        before: the same difference in as many days before it began, when it cannot have worked.
        adjusted: doubly robust estimates of the effect, with the overlap and the robustness value.
        placebo: the same estimate on the days before it began, from what came before those; None where the data
            begin too late.
        worth: smallest effect worth acting on, money per customer.
        others_reached: mean number of other campaigns the reached were in at the same time.
        others_control: the same for the rest.
        failed: the checks that fail, in words; any one makes the effect not identified.
        reached_ids: the customers it reached.
    """

    campaign_id: str
    days: int
    reached: int
    others: int
    during: Difference
    before: Difference
    adjusted: Adjusted
    placebo: Estimate | None
    worth: float
    others_reached: float
    others_control: float
    failed: tuple[str, ...]
    reached_ids: tuple[str, ...] = field(repr=False, default=())

    @property
    def verdict(self) -> str:
        """``not identified``, or ``adjusted`` where no check fails."""
        return "not identified" if self.failed else "adjusted"

    @property
    def design(self) -> str:
        """The label of the design: ``adjusted`` where that can be trusted, else ``descriptive``."""
        return "descriptive" if self.failed else "adjusted"

    @property
    def sentence(self) -> str:
        """The reading in words."""
        told = (
            f"Campaign {self.campaign_id}: the {self.reached:,} customers it reached spent "
            f"{self.during.estimate:+,.0f} each against the {self.others:,} others while it ran, and "
            f"{self.before.estimate:+,.0f} in the {self.days} days before it began"
        )
        if self.failed:
            return f"{told}. What it caused cannot be told: " + "; ".join(self.failed) + "."
        effect = self.adjusted.main
        return (
            f"{told}. Adjusted for what they had done before, it brought {effect.estimate:+,.2f} of sales per customer "
            f"reached (likely {effect.low:+,.2f} to {effect.high:+,.2f}); no check fails, but it was not decided by "
            f"lot. {self.adjusted.robustness_sentence}"
        )

    def to_row(self) -> dict[str, Any]:
        """One flat row for a table."""
        told = ("campaign_id", "design", "verdict", "days", "reached", "others", "others_reached", "others_control")
        row: dict[str, Any] = {name: getattr(self, name) for name in told}
        row |= {n: getattr(self.adjusted.overlap, n) for n in ("effective_controls", "certain_share", "auc")}
        for name in ("during", "before"):
            row |= _three(f"{name}_difference", name, getattr(self, name))
        row |= _three("adjusted_estimate", "adjusted", self.adjusted.main)
        row |= _three("placebo_estimate", "placebo", self.placebo)
        row |= dict(zip(("range_low", "range_high"), self.adjusted.range, strict=True))
        row |= {"robustness_value": self.adjusted.robustness, "worth": self.worth}
        return row | {"failed": "; ".join(self.failed)}


def _three(label: str, name: str, part: Difference | Estimate | None) -> dict[str, float]:
    values = (np.nan,) * 3 if part is None else (part.estimate, part.low, part.high)
    return dict(zip((label, f"{name}_low", f"{name}_high"), values, strict=True))


def read_targeted(
    transactions: ibis.Table,
    contacts: pd.DataFrame,
    campaigns: pd.DataFrame,
    campaign: Campaign,
    start: date,
    *,
    confidence: float,
    effective_floor: float,
    certain_limit: float,
    exposure_gap: float,
    worth_share: float = 0.1,
    panel: bool = False,
) -> NotRandomised:
    """Compare reached and other customers, adjust for their past, and check whether that can carry a cause.

    Args:
        transactions: the shared table.
        contacts: who was reached by what.
        campaigns: all campaigns, for what ran at the same time.
        campaign: the one to read.
        start: first day of the data.
        confidence: of the intervals.
        effective_floor: fewest effective controls.
        certain_limit: largest share of the reached who were certain to be reached.
        exposure_gap: largest difference in other campaigns received.
        worth_share: smallest effect worth acting on, as a share of what the reached spent in as many days before; the
            placebo's whole interval must lie inside plus or minus that (covering zero widely is no evidence).
        panel: whether every customer in the data was there, and could have been reached, from the start.

    Raises:
        DataError: it reached fewer than two customers, or all but one.
        ParameterError: ``worth_share`` is not above zero.
    """
    if not worth_share > 0:
        raise ParameterError(f"worth_share == {worth_share}; it must be above 0, e.g. 0.1 for a tenth of usual sales")
    everyone = known(transactions, Window(start, campaign.start), panel)
    treated = everyone.isin(reached(contacts, campaign)).to_numpy()
    if not 1 < treated.sum() < len(treated) - 1:
        raise DataError(
            f"campaign {campaign.campaign_id}: customers reached == {treated.sum()} of {len(treated)} who were known "
            "before it; a comparison needs two on each side; name the other campaigns in campaign_ids"
        )
    during, before = (
        spend(transactions, seen, everyone)["sales"].to_numpy() for seen in (campaign.during, campaign.before)
    )
    past = _past(transactions, contacts, Window(start, campaign.start), campaign.days, everyone)
    adjusted = adjust(past, treated, during, confidence=confidence)
    placebo = _placebo(transactions, contacts, campaign, start, confidence, panel)
    worth = worth_share * abs(float(before[treated].mean()))
    other = everyone.map(_other_campaigns(contacts, campaigns, campaign)).fillna(0).to_numpy()
    mine, theirs = float(other[treated].mean()), float(other[~treated].mean())
    return NotRandomised(
        campaign_id=campaign.campaign_id,
        days=campaign.days,
        reached=int(treated.sum()),
        others=int((~treated).sum()),
        during=welch(during[treated], during[~treated], confidence),
        before=welch(before[treated], before[~treated], confidence),
        adjusted=adjusted,
        placebo=placebo,
        worth=worth,
        others_reached=mine,
        others_control=theirs,
        failed=(
            *_overlap_failures(adjusted, effective_floor, certain_limit),
            *_placebo_failures(placebo, worth, campaign.days),
            *_exposure_failures(mine - theirs, exposure_gap),
        ),
        reached_ids=tuple(everyone[treated]),
    )


def _past(
    transactions: ibis.Table, contacts: pd.DataFrame, past: Window, days: int, customers: pd.Series
) -> pd.DataFrame:
    """The covariates: purchases and campaigns before ``past`` ends."""
    before = contacts[contacts["at"] < pd.Timestamp(past.as_of)]
    received = customers.map(before.groupby("customer_id")["campaign_id"].nunique()).fillna(0)
    return history(transactions, past, days, customers).assign(earlier_campaigns=received.to_numpy(dtype=float))


def _placebo(
    transactions: ibis.Table, contacts: pd.DataFrame, campaign: Campaign, start: date, confidence: float, panel: bool
) -> Estimate | None:
    """The adjusted estimate as if the campaign had run just before it did, when it cannot have worked."""
    past = Window(start, campaign.before.start)
    if past.days < campaign.days:
        return None
    everyone = known(transactions, past, panel)
    treated = everyone.isin(reached(contacts, campaign)).to_numpy()
    if not 1 < treated.sum() < len(treated) - 1:
        return None
    sales = spend(transactions, campaign.before, everyone)["sales"].to_numpy()
    covariates = _past(transactions, contacts, past, campaign.days, everyone)
    return adjust(covariates, treated, sales, confidence=confidence, models=("linear",)).main


def _other_campaigns(contacts: pd.DataFrame, campaigns: pd.DataFrame, campaign: Campaign) -> pd.Series:
    start, end = pd.Timestamp(campaign.start), pd.Timestamp(campaign.end)
    same_time = campaigns[(campaigns["start"] <= end) & (campaigns["end"] >= start)]["campaign_id"]
    others = same_time[same_time != campaign.campaign_id]
    pairs = contacts[contacts["campaign_id"].isin(others)][["customer_id", "campaign_id"]].drop_duplicates()
    return pairs.groupby("customer_id").size()


def _overlap_failures(adjusted: Adjusted, effective_floor: float, certain_limit: float) -> list[str]:
    effective, certain, found = adjusted.overlap.effective_controls, adjusted.overlap.certain_share, []
    if effective < effective_floor:
        found.append(
            f"only {effective:.1f} effective controls are like the reached (at least {effective_floor:g} needed)"
        )
    if certain > certain_limit:
        found.append(f"{certain:.0%} of the reached were all but certain to be reached (at most {certain_limit:.0%})")
    return found


def equivalent(placebo: Estimate, worth: float) -> bool:
    """Whether the whole interval lies inside plus or minus the smallest effect worth acting on.

    Covering zero with a wide interval is no evidence that there is nothing (Schuirmann 1987).
    """
    return -worth <= placebo.low and placebo.high <= worth


def _placebo_failures(placebo: Estimate | None, worth: float, days: int) -> list[str]:
    if placebo is None:
        return [f"no placebo can be made: that takes purchases of the reached and of others {2 * days} days before it"]
    if equivalent(placebo, worth):
        return []
    between = f"{placebo.low:+,.0f} to {placebo.high:+,.0f}"
    return [
        f"before it began, when there is nothing to find, the same adjustment gives {between} a customer "
        f"(at most {worth:,.0f} either way, the smallest effect worth acting on)"
    ]


def _exposure_failures(gap: float, exposure_gap: float) -> list[str]:
    if abs(gap) <= exposure_gap:
        return []
    return [f"the reached were in {gap:+.2f} other campaigns each at the same time (at most {exposure_gap:g} apart)"]


def read_all(
    transactions: ibis.Table,
    contacts: pd.DataFrame,
    plan: pd.DataFrame,
    campaigns: Sequence[Campaign],
    start: date,
    **checks: Any,
) -> tuple[list[NotRandomised], list[Campaign], list[str]]:
    """Read every campaign that can be compared; see ``read_targeted``.

    Returns:
        The readings, their campaigns, and why each of the others has nothing to compare.
    """
    readings, read, told = [], [], []
    for campaign in campaigns:
        try:
            readings.append(read_targeted(transactions, contacts, plan, campaign, start, **checks))
            read.append(campaign)
        except DataError as error:
            told.append(f"Not read: {error}.")
    return readings, read, told


def sentences(readings: Sequence[NotRandomised]) -> list[str]:
    """Every reading in words, or one sentence where there is none."""
    return [r.sentence for r in readings] or ["No campaign that chose its customers can be read on these data."]


def overlap_sentence(readings: Sequence[NotRandomised]) -> str:
    """How many others are like the reached, per campaign."""
    parts = [
        f"campaign {r.campaign_id}: {r.others:,} others count as {r.adjusted.overlap.effective_controls:,.0f} like the "
        f"reached, {r.adjusted.overlap.certain_share:.0%} of the reached were all but certain to be reached"
        for r in readings
    ]
    return f"Overlap: {'; '.join(parts)}."


def placebo_sentence(readings: Sequence[NotRandomised]) -> str:
    """What the adjustment finds while each campaign ran, and before, when there was nothing to find."""
    parts = []
    for r in readings:
        main, placebo = r.adjusted.main, r.placebo
        before = f"{placebo.low:+,.0f} to {placebo.high:+,.0f}" if placebo else "no placebo, the data begin too late"
        parts.append(
            f"campaign {r.campaign_id}: adjusted {main.low:+,.0f} to {main.high:+,.0f} of sales per customer reached; "
            f"before it began {before}, of which up to {r.worth:,.0f} either way would be too small to act on"
        )
    return f"Placebo: {'; '.join(parts)}."


def to_table(readings: Sequence[NotRandomised]) -> pd.DataFrame:
    """One row a reading."""
    return (
        pd.DataFrame([r.to_row() for r in readings])
        if readings
        else pd.DataFrame({"campaign_id": pd.Series(dtype="str")})
    )

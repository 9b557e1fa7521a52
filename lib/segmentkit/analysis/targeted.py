"""Campaigns that chose their customers: what can be seen, and whether it can carry a cause.

A targeted mailing goes to those who would have bought anyway, so the naive difference is there before it is sent.
The checks say when no adjustment can help; then the effect is "not identified" and no ROI is printed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import ibis
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from segmentkit.analysis.campaigns import Campaign, answered, reached, spend
from segmentkit.analysis.experiments import Difference, break_even_sales, smallest_detectable, welch
from segmentkit.analysis.features import Window, build
from segmentkit.errors import DataError

PROPENSITY_CERTAIN = 0.95
DECIMALS = {"credited_sales": 0, "detectable": 2, "break_even_sales": 2}


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
        effective_controls: how many unweighted controls the weighted ones are worth.
        certain_share: share of the reached whose chance of being reached was above .95.
        auc: how well past behaviour alone predicts who was reached; .5 is chance.
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
    effective_controls: float
    certain_share: float
    auc: float
    others_reached: float
    others_control: float
    failed: tuple[str, ...]
    reached_ids: tuple[str, ...] = field(repr=False, default=())

    @property
    def verdict(self) -> str:
        """``not identified``, or ``descriptive`` where no check fails (an effect is still not measured)."""
        return "not identified" if self.failed else "descriptive"

    @property
    def sentence(self) -> str:
        """The reading in words."""
        told = (
            f"Campaign {self.campaign_id}: the {self.reached:,} customers it reached spent "
            f"{self.during.estimate:+,.0f} each "
            f"against the {self.others:,} others while it ran, and {self.before.estimate:+,.0f} in the "
            f"{self.days} days before it began"
        )
        if not self.failed:
            return f"{told}. No check fails, but it was not randomised: the difference describes, it does not prove."
        return f"{told}. What it caused cannot be told: " + "; ".join(self.failed) + "."

    def to_row(self) -> dict[str, Any]:
        """One flat row for a table."""
        row = {k: v for k, v in asdict(self).items() if k not in {"during", "before", "failed", "reached_ids"}}
        for name in ("during", "before"):
            part = getattr(self, name)
            row |= {f"{name}_difference": part.estimate, f"{name}_low": part.low, f"{name}_high": part.high}
        return row | {"verdict": self.verdict, "failed": "; ".join(self.failed)}


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
    panel: bool = False,
) -> NotRandomised:
    """Compare reached and other customers, and check whether the comparison can carry a cause.

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
        panel: whether every customer in the data was there, and could have been reached, from the start.
    """
    features = _past_of_everyone(transactions, Window(start, campaign.start), panel)
    everyone = features["customer_id"]
    treated = everyone.isin(reached(contacts, campaign)).to_numpy()
    if not 1 < treated.sum() < len(treated) - 1:
        raise DataError(
            f"campaign {campaign.campaign_id} reached {treated.sum()} of {len(treated)} customers; nothing to compare"
        )
    sales = {name: spend(transactions, seen, everyone)["sales"].to_numpy() for name, seen in _windows(campaign)}
    earlier = everyone.map(_earlier_campaigns(contacts, campaign)).fillna(0)
    chance = propensity(features.assign(sales_before=sales["before"], earlier_campaigns=earlier), treated)
    weights = chance[~treated] / (1 - chance[~treated])
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    certain = float((chance[treated] > PROPENSITY_CERTAIN).mean())
    other = everyone.map(_other_campaigns(contacts, campaigns, campaign)).fillna(0).to_numpy()
    mine, theirs = float(other[treated].mean()), float(other[~treated].mean())
    return NotRandomised(
        campaign_id=campaign.campaign_id,
        days=campaign.days,
        reached=int(treated.sum()),
        others=int((~treated).sum()),
        during=welch(sales["during"][treated], sales["during"][~treated], confidence),
        before=welch(sales["before"][treated], sales["before"][~treated], confidence),
        effective_controls=effective,
        certain_share=certain,
        auc=float(roc_auc_score(treated, chance)),
        others_reached=mine,
        others_control=theirs,
        failed=(
            *_failures(effective, certain, mine - theirs, effective_floor, certain_limit, exposure_gap),
            *_placebo(welch(sales["before"][treated], sales["before"][~treated], confidence)),
        ),
        reached_ids=tuple(everyone[treated]),
    )


def _past_of_everyone(transactions: ibis.Table, past: Window, panel: bool) -> pd.DataFrame:
    """Features from before the campaign, of those who had bought by then.

    Whoever bought only later is not known to be there yet: counting them as customers who were not reached would
    condition on the future. In a panel they were there all along, and had bought nothing.
    """
    table = build(transactions, past, categories=0).drop(columns="tenure_days")
    if not panel:
        return table
    everyone = transactions.select("customer_id").distinct().order_by("customer_id").execute()
    nothing = dict.fromkeys(("frequency", "monetary", "basket_value", "active_months"), 0.0)
    return everyone.merge(table, how="left", on="customer_id").fillna(nothing | {"recency_days": float(past.days)})


def _earlier_campaigns(contacts: pd.DataFrame, campaign: Campaign) -> pd.Series:
    before = contacts[contacts["at"] < pd.Timestamp(campaign.start)]
    return before.groupby("customer_id")["campaign_id"].nunique()


def _windows(campaign: Campaign) -> list[tuple[str, Window]]:
    return [("during", campaign.during), ("before", campaign.before)]


def propensity(features: pd.DataFrame, treated: np.ndarray) -> np.ndarray:
    """Chance of being reached, from behaviour before the campaign; cross-fitted over five folds.

    Counts and money enter as logarithms; missing values (a gap after one order) as the median.
    """
    table = features.select_dtypes("number")
    skewed = [
        n
        for n in ("recency_days", "frequency", "monetary", "basket_value", "mean_gap_days", "sales_before")
        if n in table
    ]
    table[skewed] = np.log1p(table[skewed].clip(lower=0))
    values = StandardScaler().fit_transform(table.fillna(table.median()).fillna(0.0).to_numpy())
    folds = min(5, int(treated.sum()), int((~treated).sum()))
    model = LogisticRegression(max_iter=1000)
    chance: np.ndarray = cross_val_predict(model, values, treated, cv=folds, method="predict_proba")[:, 1]
    clipped: np.ndarray = np.clip(chance, 1e-3, 1 - 1e-3)
    return clipped


def _other_campaigns(contacts: pd.DataFrame, campaigns: pd.DataFrame, campaign: Campaign) -> pd.Series:
    start, end = pd.Timestamp(campaign.start), pd.Timestamp(campaign.end)
    same_time = campaigns[(campaigns["start"] <= end) & (campaigns["end"] >= start)]["campaign_id"]
    others = same_time[same_time != campaign.campaign_id]
    pairs = contacts[contacts["campaign_id"].isin(others)][["customer_id", "campaign_id"]].drop_duplicates()
    return pairs.groupby("customer_id").size()


def _failures(
    effective: float, certain: float, gap: float, effective_floor: float, certain_limit: float, exposure_gap: float
) -> list[str]:
    found = []
    if effective < effective_floor:
        found.append(
            f"only {effective:.1f} effective controls are like the reached (at least {effective_floor:g} needed)"
        )
    if certain > certain_limit:
        found.append(f"{certain:.0%} of the reached were all but certain to be reached (at most {certain_limit:.0%})")
    if abs(gap) > exposure_gap:
        found.append(
            f"the reached were in {gap:+.2f} other campaigns each at the same time (at most {exposure_gap:g} apart)"
        )
    return found


def _placebo(before: Difference) -> list[str]:
    if before.low <= 0 <= before.high:
        return []
    between = f"{before.low:+,.0f} to {before.high:+,.0f}"
    return [f"the reached already spent {before.estimate:+,.0f} each before it began (likely {between})"]


def sentences(readings: Sequence[NotRandomised]) -> list[str]:
    """Every reading in words, or one sentence where there is none."""
    return [r.sentence for r in readings] or ["No campaign that chose its customers can be read on these data."]


def not_proven(
    transactions: ibis.Table,
    responses: pd.DataFrame,
    readings: Sequence[NotRandomised],
    campaigns: Sequence[Campaign],
    *,
    cost: float | None,
    margin: float | None,
    confidence: float,
) -> pd.DataFrame:
    """The fixed row of a campaign whose effect is not known: what is credited, and what would settle it.

    Returns:
        ``campaign_id, verdict, credited_sales`` (of those who answered, while it ran: not proven), ``hold_back``
        (customers to hold back by lot next time: half of the reached), ``detectable`` (smallest effect on sales per
        customer that such a lottery finds, 80 % power), ``break_even_sales`` (per contact; missing until cost and
        margin are stated), ``failed``.
    """
    rows = []
    for reading, campaign in zip(readings, campaigns, strict=True):
        sales = spend(transactions, campaign.during, pd.Series(reading.reached_ids, dtype="str"))["sales"]
        credited = spend(transactions, campaign.during, answered(responses, campaign))["sales"].sum()
        half = len(sales) // 2
        rows.append(
            {
                "campaign_id": campaign.campaign_id,
                "verdict": reading.verdict,
                "credited_sales": float(credited) if len(responses) else np.nan,
                "hold_back": half,
                "detectable": smallest_detectable(sales, len(sales) - half, half, confidence),
                "break_even_sales": np.nan if cost is None or margin is None else break_even_sales(cost, margin),
                "failed": "; ".join(reading.failed),
            }
        )
    columns = ["campaign_id", "verdict", "credited_sales", "hold_back", "detectable", "break_even_sales", "failed"]
    return pd.DataFrame(rows, columns=columns)


def to_table(readings: Sequence[NotRandomised]) -> pd.DataFrame:
    """One row a reading."""
    return (
        pd.DataFrame([r.to_row() for r in readings])
        if readings
        else pd.DataFrame({"campaign_id": pd.Series(dtype="str")})
    )

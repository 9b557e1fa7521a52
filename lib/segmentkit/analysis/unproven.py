"""The fixed row of a campaign whose effect is not identified: a blank would be filled with last-click sales."""

from collections.abc import Sequence
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.campaigns import Campaign, answered, spend
from segmentkit.analysis.experiments import break_even_sales, smallest_detectable
from segmentkit.analysis.targeted import NotRandomised

PERCENT = ("detectable_share", "break_even_share")
DECIMALS = {"credited_sales": 0, "adjusted_low": 0, "adjusted_high": 0, "detectable": 2, "break_even_sales": 2}


def not_proven(
    transactions: ibis.Table,
    responses: pd.DataFrame,
    readings: Sequence[NotRandomised],
    campaigns: Sequence[Campaign],
    plan: pd.DataFrame,
    *,
    cost: float | None,
    margin: float | None,
    confidence: float,
    margin_from: str = "measured",
) -> pd.DataFrame:
    """The fixed row of a campaign whose effect is not identified: what is credited, and what would settle it.

    Args:
        transactions: the shared table; with a ``margin`` column margin is measured.
        responses: who answered.
        readings: of ``targeted``.
        campaigns: those of the readings.
        plan: the source's campaigns; ``cost_per_contact`` where stated.
        cost: the analyst's cost of a contact, where the source states none.
        margin: the analyst's margin rate, where purchases carry none.
        confidence: of the detectable effect.
        margin_from: where the margin on purchases comes from, in words.

    Returns:
        ``campaign_id, verdict, credited_sales`` (of those who answered, while it ran: not proven), ``adjusted_low,
        adjusted_high`` (lowest and highest adjusted estimate, of models and of whom they speak for: not proven
        either), ``hold_back`` (customers to hold back by lot next time: half of the reached), ``detectable`` (smallest
        effect on sales per customer that such a lottery finds, 80 % power), ``break_even_sales`` (per contact;
        missing until cost and margin are stated), both as shares of what the reached spent in as many days before
        (``detectable_share, break_even_share``), ``break_even_from`` (in words), ``failed``. Campaigns that
        can be read are left out.
    """
    rows = [
        _fixed_row(transactions, responses, reading, campaign, plan, cost, margin, confidence, margin_from)
        for reading, campaign in zip(readings, campaigns, strict=True)
        if reading.failed
    ]
    columns = ["campaign_id", "verdict", "credited_sales", "adjusted_low", "adjusted_high", "hold_back", "detectable"]
    columns += ["detectable_share", "break_even_sales", "break_even_share", "break_even_from", "failed"]
    return pd.DataFrame(rows, columns=columns)


def _fixed_row(
    transactions: ibis.Table,
    responses: pd.DataFrame,
    reading: NotRandomised,
    campaign: Campaign,
    plan: pd.DataFrame,
    cost: float | None,
    margin: float | None,
    confidence: float,
    margin_from: str,
) -> dict[str, Any]:
    who = pd.Series(reading.reached_ids, dtype="str")
    during, past = (spend(transactions, seen, who) for seen in (campaign.during, campaign.before))
    sales, before = during["sales"], past["sales"]
    usual, half = float(before.mean()) or np.nan, len(sales) // 2
    detectable = smallest_detectable(sales, len(sales) - half, half, confidence) if half > 1 else np.nan
    even, even_from = _break_even(during, plan, campaign, cost, margin, margin_from)
    credited = spend(transactions, campaign.during, answered(responses, campaign))["sales"].sum()
    return {
        "campaign_id": campaign.campaign_id,
        "verdict": reading.verdict,
        "credited_sales": float(credited) if len(responses) else np.nan,
        "adjusted_low": reading.adjusted.range[0],
        "adjusted_high": reading.adjusted.range[1],
        "hold_back": half,
        "detectable": detectable,
        "detectable_share": detectable / usual,
        "break_even_sales": even,
        "break_even_share": even / usual,
        "break_even_from": even_from,
        "failed": "; ".join(reading.failed),
    }


def _break_even(
    during: pd.DataFrame,
    plan: pd.DataFrame,
    campaign: Campaign,
    cost: float | None,
    margin: float | None,
    margin_from: str,
) -> tuple[float, str]:
    """Sales that pay for a contact, and where cost and margin come from: the data first, then what somebody states."""
    row = plan[plan["campaign_id"] == campaign.campaign_id].iloc[0]
    stated = pd.to_numeric(row.get("cost_per_contact"), errors="coerce")
    unit = float(stated) if pd.notna(stated) else cost
    measured = "margin" in during.columns and during["sales"].sum() > 0
    rate = float(during["margin"].sum() / during["sales"].sum()) if measured else margin
    if unit is None or rate is None or not 0 < rate <= 1:
        return np.nan, f"{'cost of a contact' if unit is None else 'margin'} not known"
    by = "stated by the source" if pd.notna(stated) else "assumed by you"
    told = f"cost {unit:g} {by}; margin {rate:.0%} of sales, {margin_from if measured else 'assumed by you'}"
    return break_even_sales(unit, rate), told

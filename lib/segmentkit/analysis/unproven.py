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
    *,
    cost: float | None,
    margin: float | None,
    confidence: float,
) -> pd.DataFrame:
    """The fixed row of a campaign whose effect is not identified: what is credited, and what would settle it.

    Returns:
        ``campaign_id, verdict, credited_sales`` (of those who answered, while it ran: not proven), ``adjusted_low,
        adjusted_high`` (lowest and highest adjusted estimate, of models and of whom they speak for: not proven
        either), ``hold_back`` (customers to hold back by lot next time: half of the reached), ``detectable`` (smallest
        effect on sales per customer that such a lottery finds, 80 % power), ``break_even_sales`` (per contact;
        missing until cost and margin are stated), both as shares of what the reached spent in as many days before
        (``detectable_share, break_even_share``), ``failed``. Campaigns that can be read are left out.
    """
    rows = [
        _fixed_row(transactions, responses, reading, campaign, cost, margin, confidence)
        for reading, campaign in zip(readings, campaigns, strict=True)
        if reading.failed
    ]
    columns = ["campaign_id", "verdict", "credited_sales", "adjusted_low", "adjusted_high", "hold_back", "detectable"]
    columns += ["detectable_share", "break_even_sales", "break_even_share", "failed"]
    return pd.DataFrame(rows, columns=columns)


def _fixed_row(
    transactions: ibis.Table,
    responses: pd.DataFrame,
    reading: NotRandomised,
    campaign: Campaign,
    cost: float | None,
    margin: float | None,
    confidence: float,
) -> dict[str, Any]:
    who = pd.Series(reading.reached_ids, dtype="str")
    sales, before = (spend(transactions, seen, who)["sales"] for seen in (campaign.during, campaign.before))
    usual, half = float(before.mean()) or np.nan, len(sales) // 2
    detectable = smallest_detectable(sales, len(sales) - half, half, confidence) if half > 1 else np.nan
    even = np.nan if cost is None or margin is None else break_even_sales(cost, margin)
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
        "failed": "; ".join(reading.failed),
    }

"""Week by week: did the reached and the others move alike before the campaign began?

An adjustment can only be believed where both had been moving alike. The gap of the last week before the campaign is
the measure; every other week is compared with it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
from scipy import stats

from segmentkit.analysis.adjusted import known
from segmentkit.analysis.campaigns import FEWEST_DAYS_BEFORE, Campaign, reached
from segmentkit.analysis.experiments import welch
from segmentkit.analysis.features import Window, money, until

BASELINE = -1
COLUMNS = ["week", "estimate", "low", "high"]


@dataclass(frozen=True)
class EventStudy:
    """Weekly gaps between the reached and the others, against the gap of the last week before the campaign.

    Attributes:
        campaign_id: the campaign.
        table: ``week`` (-1 is the last before the start, 0 the first of the campaign), ``estimate, low, high`` in
            money per customer; week -1 is zero by construction. Empty where fewer than two weeks can be seen.
        pretrend_p: joint Wald test that every week before the campaign shows the same gap; missing where empty.
        reached: customers it reached, of those who could be seen from the first week on.
        others: the rest of those.
        level: the test's level, one less the confidence.
    """

    campaign_id: str
    table: pd.DataFrame
    pretrend_p: float
    reached: int
    others: int
    level: float

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.table.empty:
            return f"Campaign {self.campaign_id}: too few weeks or customers before it to see how the gap moved."
        before = self.table[self.table["week"] < 0]
        told = f"Campaign {self.campaign_id}: in the {len(before)} weeks before it began the gap in weekly sales "
        if self.pretrend_p < self.level:
            return f"{told}already moved (p {self.pretrend_p:.2g}): what moves later may be more of the same."
        widest = float((before["high"] - before["low"]).max() / 2)
        return (
            f"{told}did not move more than chance would have it (p {self.pretrend_p:.2g}); moves of up to "
            f"{widest:,.2f} a customer in a single week would not have been seen."
        )


def event_study(
    transactions: ibis.Table,
    contacts: pd.DataFrame,
    campaign: Campaign,
    start: date,
    *,
    confidence: float,
    weeks_before: int = 12,
    panel: bool = False,
) -> EventStudy:
    """Weekly gaps around a campaign, in whole weeks counted from its first day.

    Every customer's change since the last week before is one figure, so Welch's interval of its mean difference is
    clustered by customer, whatever a customer's weeks have in common.

    Args:
        transactions: the shared table.
        contacts: who was reached by what.
        campaign: the one to look at; days after its last whole week are left out.
        start: first day of the data.
        confidence: of the intervals, each on its own; one less it is the level of the joint test.
        weeks_before: most weeks before the campaign.
        panel: whether every customer in the data was there from the start; if not, only those are looked at who had
            bought before the first week, and the first four weeks of the data serve to know them.
    """
    room = (campaign.start - start).days - (0 if panel else FEWEST_DAYS_BEFORE)
    before, after = min(weeks_before, room // 7), campaign.days // 7
    first = campaign.start - timedelta(weeks=max(before, 0))
    everyone = known(transactions, Window(start, first), panel)
    treated = everyone.isin(reached(contacts, campaign)).to_numpy()
    counts = int(treated.sum()), int((~treated).sum())
    if before < 2 or min(counts) < 2:
        empty = pd.DataFrame(columns=COLUMNS, dtype=float)
        return EventStudy(campaign.campaign_id, empty, float("nan"), *counts, 1 - confidence)
    weekly = _weekly_sales(transactions, campaign.start, before, after, everyone)
    changes = weekly.sub(weekly[BASELINE], axis=0)
    rows = [(week, *_gap(changes[week].to_numpy(), treated, confidence)) for week in changes.columns]
    early = changes[[week for week in changes.columns if week < BASELINE]].to_numpy()
    table = pd.DataFrame(rows, columns=COLUMNS)
    return EventStudy(campaign.campaign_id, table, _wald(early[treated], early[~treated]), *counts, 1 - confidence)


def _weekly_sales(transactions: ibis.Table, start: date, before: int, after: int, customers: pd.Series) -> pd.DataFrame:
    """Sales of every customer (rows) in every week (columns); zero where nothing was bought."""
    lines = until(transactions, Window(start - timedelta(weeks=before), start + timedelta(weeks=after)))
    day = lines.ordered_at.date().delta(ibis.literal(start - timedelta(weeks=before)), unit="day")
    sold = lines.group_by("customer_id", week=(day // 7).cast("int64") - before).aggregate(sales=money(lines.amount))
    wide = sold.execute().pivot(index="customer_id", columns="week", values="sales")
    return wide.reindex(index=customers, columns=range(-before, after)).fillna(0.0)


def _gap(change: np.ndarray, treated: np.ndarray, confidence: float) -> tuple[float, float, float]:
    if not change.any():
        return 0.0, 0.0, 0.0
    found = welch(change[treated], change[~treated], confidence)
    return found.estimate, found.low, found.high


def _wald(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Joint test that all mean differences are zero; weeks without any sales add nothing."""
    difference = mine.mean(axis=0) - theirs.mean(axis=0)
    parts = [np.atleast_2d(np.cov(group, rowvar=False)) / len(group) for group in (mine, theirs)]
    spread = parts[0] + parts[1]
    statistic = difference @ np.linalg.pinv(spread, hermitian=True) @ difference
    return float(stats.chi2.sf(statistic, np.linalg.matrix_rank(spread, hermitian=True)))

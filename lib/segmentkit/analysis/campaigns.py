"""Campaigns: which to read, who was reached, who answered, by segments frozen before the campaign began."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis import clustering
from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.features import Window, build, money, until
from segmentkit.analysis.rules import Beside
from segmentkit.errors import ParameterError

FEWEST_DAYS_BEFORE = 28
SENT = ("delivery", "impression")
EVERY = 100_000  # categories that get a share of their own where a model was made of such shares


@dataclass(frozen=True)
class Campaign:
    """One campaign with its dates, both inclusive, and its design: ``randomised`` or ``targeted``."""

    campaign_id: str
    start: date
    end: date
    design: str

    @property
    def days(self) -> int:
        """Length in days, both ends included."""
        return (self.end - self.start).days + 1

    @property
    def during(self) -> Window:
        """The campaign's own days."""
        return Window(self.start, self.end + timedelta(days=1))

    @property
    def before(self) -> Window:
        """As many days just before it."""
        return Window(self.start - timedelta(days=self.days), self.start)


def choose(
    campaigns: pd.DataFrame, contacts: pd.DataFrame, assignments: pd.DataFrame, wanted: Sequence[str], seen: Window
) -> list[Campaign]:
    """The campaigns to read: those named, or the three that reached or drew most customers inside the data.

    Raises:
        ParameterError: a named campaign is unknown, or its days lie outside the data.
    """
    pairs = pd.concat([one[["campaign_id", "customer_id"]] for one in (contacts, assignments)])
    reached = pairs.groupby("campaign_id")["customer_id"].nunique().sort_values(ascending=False, kind="stable")
    known = {row.campaign_id: _campaign(row) for row in campaigns.itertuples()}
    readable = [name for name in reached.index if name in known and _inside(known[name], seen)]
    for name in wanted:
        if name not in known:
            raise ParameterError(f"campaign_ids holds {name!r}; the source knows {', '.join(sorted(known))}")
        if name not in reached.index:
            raise ParameterError(f"campaign_ids holds {name!r}, which reached nobody; {_instead(readable)}")
        if name not in readable:
            raise ParameterError(
                f"campaign_ids holds {name!r} ({known[name].start} to {known[name].end}), but "
                f"{max(FEWEST_DAYS_BEFORE, known[name].days)} days before "
                f"it, or its end, lie outside the data ({seen.start} to {seen.as_of}); {_instead(readable)}"
            )
    return sorted((known[name] for name in (list(wanted) or readable[:3])), key=lambda c: (c.start, c.campaign_id))


def _instead(readable: Sequence[str]) -> str:
    return f"choose from {', '.join(readable)}" if readable else "no campaign of this source can be read"


def by_design(chosen: Sequence[Campaign], assignments: pd.DataFrame) -> tuple[list[Campaign], list[Campaign]]:
    """Campaigns whose customers were drawn by lot, and those that chose theirs."""
    drawn = set(assignments["campaign_id"])
    return [c for c in chosen if c.campaign_id in drawn], [c for c in chosen if c.campaign_id not in drawn]


def rehearsal(seen: Window, days: int) -> Campaign:
    """The last days of the data as if a campaign had run in them, at most half of the data: to plan by."""
    days = min(days, seen.days // 2)
    return Campaign("planned", seen.as_of - timedelta(days=days), seen.as_of - timedelta(days=1), "planned")


def _campaign(row: Any) -> Campaign:
    design = getattr(row, "design", None)
    stated = design if isinstance(design, str) and design else "not stated"
    return Campaign(row.campaign_id, pd.Timestamp(row.start).date(), pd.Timestamp(row.end).date(), stated)


def _inside(campaign: Campaign, seen: Window) -> bool:
    before = (campaign.start - seen.start).days
    return before >= max(FEWEST_DAYS_BEFORE, campaign.days) and campaign.end < seen.as_of


def frozen_segments(
    transactions: ibis.Table,
    campaign: Campaign,
    start: date,
    like: Segmentation,
    *,
    starts: int,
    seed: int,
    beside: Beside | None = None,
) -> pd.DataFrame:
    """Segments as they stood the day before the campaign: features, scaling and clusters see nothing later.

    Segments from the whole year would condition on what the campaign may have caused. Attributes and survey answers
    are not dated: they count as they stand now.

    Args:
        transactions: the shared table.
        campaign: nothing from its first day on is looked at.
        start: first day of the data.
        like: the segmentation whose columns, method and number of segments are fitted to those days.
        starts: of the method.
        seed: of the method.
        beside: attributes and contacts, where ``like`` needs them.

    Returns:
        ``customer_id, segment_key, distance`` of everyone who had bought before the start, and answered where answers
        are what is segmented; A by value *then*.

    Raises:
        DataError: ``like`` needs a column that neither purchases nor ``beside`` have.
    """
    shares = [name for name in like.scaling.features if name.startswith("category_")]
    features = build(transactions, Window(start, campaign.start), categories=EVERY if shares else 0)
    features = features.assign(**{name: 0.0 for name in shares if name not in features})  # nobody had bought any
    table = beside.join(features, campaign.start) if beside else features
    fitted = clustering.again(like, table, starts=starts, seed=seed)
    return fitted.assign(fitted.complete(table))


def reached(contacts: pd.DataFrame, campaign: Campaign) -> pd.Series:
    """Customers the campaign reached, each once: by delivery or impression where it has these, else by any event."""
    own = contacts[contacts["campaign_id"] == campaign.campaign_id]
    sent = own[own["event"].isin(SENT)]
    return (sent if len(sent) else own)["customer_id"].drop_duplicates()


def answered(responses: pd.DataFrame, campaign: Campaign) -> pd.Series:
    """Customers who answered the campaign, each once."""
    return responses.loc[responses["campaign_id"] == campaign.campaign_id, "customer_id"].drop_duplicates()


def response_rates(
    segments: pd.DataFrame, contacts: pd.DataFrame, responses: pd.DataFrame, campaign: Campaign, confidence: float
) -> pd.DataFrame:
    """Of those reached, how many answered, per frozen segment, with Wilson intervals.

    Returns:
        ``campaign_id, segment_key, reached, responders, rate, low, high``; ``all`` comes last; customers without a
        purchase before the start are the segment ``none``.
    """
    mailed = pd.DataFrame({"customer_id": reached(contacts, campaign)})
    mailed["answered"] = mailed["customer_id"].isin(answered(responses, campaign))
    joined = mailed.merge(segments[["customer_id", "segment_key"]], how="left", on="customer_id")
    joined["segment_key"] = joined["segment_key"].fillna("none")
    counted = joined.groupby("segment_key")["answered"].agg(["size", "sum"])
    counted.loc["all"] = counted.sum()
    low, high = proportion_confint(counted["sum"], counted["size"], alpha=1 - confidence, method="wilson")
    return pd.DataFrame(
        {
            "campaign_id": campaign.campaign_id,
            "segment_key": counted.index.astype("str"),
            "reached": counted["size"].to_numpy(dtype="int64"),
            "responders": counted["sum"].to_numpy(dtype="int64"),
            "rate": (counted["sum"] / counted["size"]).to_numpy(dtype=float),
            "low": np.asarray(low, dtype=float),
            "high": np.asarray(high, dtype=float),
        }
    )


def spend(transactions: ibis.Table, seen: Window, customers: pd.Series) -> pd.DataFrame:
    """Sales and orders of every customer inside a window; zero for those who bought nothing.

    A return takes its money off the sales; it is no order, and whoever only returns is no buyer.

    Returns:
        ``customer_id, sales, orders`` and, where the source has margins, ``margin``; in the order of ``customers``.
    """
    lines = until(transactions, seen)
    bought_in = lines.order_id.nunique(where=lines.amount >= 0)
    sums: dict[str, Any] = {"sales": money(lines.amount), "orders": bought_in}
    if "margin" in lines.columns:
        sums["margin"] = money(lines.margin)
    bought = lines.group_by("customer_id").aggregate(**sums).execute()
    return (
        pd.DataFrame({"customer_id": customers})
        .merge(bought, how="left", on="customer_id")
        .fillna(dict.fromkeys(sums, 0.0))
    )


def freeze(
    transactions: ibis.Table,
    campaigns: Sequence[Campaign],
    start: date,
    like: Segmentation,
    *,
    starts: int,
    seed: int,
    beside: Beside | None = None,
) -> pd.DataFrame:
    """Segments frozen before each campaign: ``campaign_id, customer_id, segment_key, distance``."""
    effort: dict[str, Any] = {"starts": starts, "seed": seed, "beside": beside}
    parts = [
        frozen_segments(transactions, c, start, like, **effort).assign(campaign_id=c.campaign_id) for c in campaigns
    ]
    columns = ["campaign_id", "customer_id", "segment_key", "distance"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def rates_of(
    campaigns: Sequence[Campaign],
    frozen: pd.DataFrame,
    contacts: pd.DataFrame,
    responses: pd.DataFrame,
    confidence: float,
) -> pd.DataFrame:
    """Response rates of every campaign; empty where the source has no responses or contacts."""
    parts = [
        response_rates(frozen[frozen["campaign_id"] == c.campaign_id], contacts, responses, c, confidence)
        for c in campaigns
        if len(responses) and len(contacts)
    ]
    columns = ["campaign_id", "segment_key", "reached", "responders", "rate", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def chosen_sentence(chosen: Sequence[Campaign], plan: pd.DataFrame) -> str:
    """Which campaigns are read, and of how many."""
    if not chosen:
        return "No campaign can be read: the source has none, or none lies inside the data with enough days before it."
    parts = [f"{c.campaign_id} ({c.start} to {c.end}, {c.design})" for c in chosen]
    left = len(plan) - len(chosen)
    why = " The others reached fewer or nobody, or lie outside the data or too near their beginning." if left else ""
    return f"Read here, of {len(plan)} campaigns: {'; '.join(parts)}.{why}"


def rehearsal_sentence(planned: Campaign, days: int) -> str:
    """That the plan looks at fewer days than were asked for, where it does."""
    if planned.days >= days:
        return ""
    return f"The data are too short to plan {days} days: the plan looks at the last {planned.days}, half of them."


def rates_sentence(rates: pd.DataFrame) -> str:
    """Response rates in words and numbers; segments with few customers reached are left to the table."""
    if rates.empty:
        return "No answers to read: that needs contacts and responses."
    parts = []
    for campaign_id, own in rates.groupby("campaign_id", sort=False):
        known = own[~own["segment_key"].isin(["all", "none"]) & (own["reached"] >= 30)]
        total = own[own["segment_key"] == "all"].iloc[0]
        each = ", ".join(
            f"{row.segment_key} {row.rate:.0%} ({row.low:.0%} to {row.high:.0%})" for row in known.itertuples()
        )
        told = f"campaign {campaign_id}: {total['responders']:,} of {total['reached']:,} answered"
        parts.append(f"{told}; {each}" if each else told)
    return "Answers by segment before the campaign: " + "; ".join(parts) + "."

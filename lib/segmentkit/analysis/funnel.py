"""The funnel of a campaign: delivered, opened, clicked, visited, bought; each rate named for what it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis.campaigns import Campaign
from segmentkit.analysis.features import until
from segmentkit.analysis.randomised import slug

FEWEST_IN_BASE = 10
STEPS = ("impression", "delivery", "open", "click", "visit", "bought")
# name, the step that is counted, the earlier step it is counted of; in the order of the funnel
RATES = (
    ("open rate (opened of delivered)", "open", "delivery"),
    ("click-through rate (clicked of delivered)", "click", "delivery"),
    ("click-through rate (clicked of impressions)", "click", "impression"),
    ("click-to-open rate (clicked of opened)", "click", "open"),
    ("visit rate (visited of delivered): a visit is not a click", "visit", "delivery"),
    ("visit rate (visited of impressions): a visit is not a click", "visit", "impression"),
    ("conversion after delivery (bought in the campaign's days, of delivered): not an effect", "bought", "delivery"),
    ("conversion after impression (bought in the campaign's days, of shown): not an effect", "bought", "impression"),
)  # fmt: skip
OPENS = (
    "Opens are inflated by mail programs that load pictures unasked (privacy proxies): an open is not proof of reading."
)
PERCENT = ("share", "low", "high")
_STEP_COLUMNS = ["campaign_id", "channel", "segment_key", "step", "customers"]
_RATE_COLUMNS = ["campaign_id", "channel", "segment_key", "rate", "of", "count", "share", "low", "high", "without"]


@dataclass(frozen=True)
class Funnel:
    """What customers did after a campaign reached them, each counted once a channel and step.

    Attributes:
        campaign_id: the campaign.
        steps: ``campaign_id, channel, segment_key, step, customers``; only steps that the channel records.
        rates: ``campaign_id, channel, segment_key, rate, of, count, share, low, high, without``: ``of`` customers took
            the earlier step, ``count`` of them the later one too; ``without`` took the later one only and are left out.
    """

    campaign_id: str
    steps: pd.DataFrame
    rates: pd.DataFrame

    @property
    def slug(self) -> str:
        """The campaign as a file is named."""
        return slug(self.campaign_id)

    @property
    def has_steps(self) -> bool:
        """Whether a picture says more than a sentence: some channel records more than one step before a purchase."""
        return bool((self.steps[self.steps["segment_key"] == "all"].groupby("channel").size() > 2).any())

    @property
    def title(self) -> str:
        """The finding, for a figure: each channel's click-through rate, or its first rate where it has none."""
        known = self.rates[(self.rates["segment_key"] == "all") & (self.rates["of"] >= FEWEST_IN_BASE)]
        known = known.assign(other=~known["rate"].str.startswith("click-through")).sort_values("other", kind="stable")
        first = known.drop_duplicates("channel").sort_values("channel")
        told = [f"{row.rate.partition(' (')[0]} {row.share:.1%} by {row.channel}" for row in first.itertuples()]
        return f"Campaign {self.campaign_id}: {', '.join(told) or 'no rate can be computed'}"

    @property
    def sentence(self) -> str:
        """The rates of all customers in words: what they are not, what was left out, and what cannot be computed."""
        if self.steps.empty:
            return f"Campaign {self.campaign_id}: no contacts, so no rate can be computed."
        parts = [self._of_channel(channel) for channel in self.steps["channel"].unique()]
        opens = [OPENS] if (self.steps["step"] == "open").any() else []
        return " ".join([f"Campaign {self.campaign_id}, each customer counted once.", *parts, *opens])

    def _of_channel(self, channel: str) -> str:
        rates = self.rates[(self.rates["channel"] == channel) & (self.rates["segment_key"] == "all")]
        told = "; ".join(_counted(row) for row in rates.itertuples())
        odd = [f"{row.without:,} from the {row.rate.partition(':')[0]}" for row in rates.itertuples() if row.without]
        left = [f"Left out, since the earlier step is missing: {', '.join(odd)}."] if odd else []
        recorded = set(self.steps.loc[self.steps["channel"] == channel, "step"])
        return " ".join([f"By {channel}: {told or 'no rate'}.", *left, *_missing(channel, recorded)])


def _counted(row: Any) -> str:
    name, _, note = row.rate.partition(": ")
    known = f"{row.share:.1%} ({row.low:.1%} to {row.high:.1%})" if row.of >= FEWEST_IN_BASE else "too few to tell"
    return f"{name} {row.count:,} of {row.of:,}, {known}{note and ', ' + note}"


def _missing(channel: str, recorded: set[str]) -> list[str]:
    lacking = [] if "click" in recorded else ["clicks"]
    if not recorded & {"delivery", "impression"}:
        lacking.append("deliveries or impressions")
    needed = "it needs clicks, and deliveries or impressions, in the contacts table"
    told = f"A click-through rate cannot be computed: {channel} records no {' and no '.join(lacking)}; {needed}."
    return [told] if lacking else []


def read(
    contacts: pd.DataFrame, buyers: Collection[str], segments: pd.DataFrame, campaign: Campaign, confidence: float
) -> Funnel:
    """Count a campaign's steps and rates, per channel and segment and overall.

    A rate exists only where the channel records both of its steps, in this campaign or another. Whoever took a later
    step without the earlier one (a click without a delivery) is left out of the rate and counted.

    Args:
        contacts: ``customer_id, channel, event, campaign_id``.
        buyers: customers who bought in the campaign's days.
        segments: ``customer_id, segment_key`` from before the campaign; others are the segment ``none``.
        campaign: the campaign to read.
        confidence: of the Wilson intervals (Wilson 1927); they are missing with fewer than ten customers in the base.

    Returns:
        Segments in order, ``none`` after them, ``all`` last, within each channel.
    """
    known = contacts[contacts["event"].isin(STEPS)]
    own = known[known["campaign_id"] == campaign.campaign_id]
    steps: list[dict[str, Any]] = []
    rates: list[dict[str, Any]] = []
    for channel, events in own.groupby("channel"):
        did = _did(events, set(known.loc[known["channel"] == channel, "event"]), buyers)
        keys = segments.set_index("customer_id")["segment_key"].reindex(did.index).fillna("none")
        for key, part in [*did.groupby(keys), ("all", did)]:
            place = {"campaign_id": campaign.campaign_id, "channel": channel, "segment_key": key}
            steps += [place | {"step": step, "customers": int(part[step].sum())} for step in part.columns]
            rates += [place | one for one in _rates(part)]
    table = pd.DataFrame(rates, columns=_RATE_COLUMNS[:6] + _RATE_COLUMNS[-1:])
    return Funnel(campaign.campaign_id, pd.DataFrame(steps, columns=_STEP_COLUMNS), _with_intervals(table, confidence))


def read_all(
    transactions: ibis.Table,
    campaigns: Sequence[Campaign],
    frozen: pd.DataFrame,
    contacts: pd.DataFrame,
    confidence: float,
) -> list[Funnel]:
    """The funnel of every campaign, by segments frozen before it."""
    found = []
    for one in campaigns:
        own = frozen[frozen["campaign_id"] == one.campaign_id]
        buyers = until(transactions, one.during).select("customer_id").distinct().execute()["customer_id"]
        found.append(read(contacts, set(buyers), own, one, confidence))
    return found


def to_table(funnels: Sequence[Funnel]) -> pd.DataFrame:
    """The rates of all campaigns below one another."""
    parts = [one.rates for one in funnels if len(one.rates)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_RATE_COLUMNS)


def _did(events: pd.DataFrame, recorded: set[str], buyers: Collection[str]) -> pd.DataFrame:
    """One row a customer, a flag a step; purchases count for those who were reached."""
    did = pd.crosstab(events["customer_id"], events["event"]).astype(bool)
    did = did.reindex(columns=[step for step in STEPS if step in recorded], fill_value=False)
    bases = [step for step in ("impression", "delivery") if step in recorded]
    if bases:
        did["bought"] = did.index.isin(list(buyers)) & did[bases].any(axis=1)
    return did


def _rates(part: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "rate": name,
            "of": int(part[base].sum()),
            "count": int((part[step] & part[base]).sum()),
            "without": 0 if step == "bought" else int((part[step] & ~part[base]).sum()),
        }
        for name, step, base in RATES
        if step in part.columns and base in part.columns
    ]


def _with_intervals(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    table["share"] = table["count"] / table["of"].where(table["of"] > 0)
    enough = table["of"] >= FEWEST_IN_BASE
    counted = table.loc[enough, ["count", "of"]].to_numpy(dtype=float).T
    table["low"] = table["high"] = np.nan
    table.loc[enough, ["low", "high"]] = np.array(proportion_confint(*counted, alpha=1 - confidence, method="wilson")).T
    return table[_RATE_COLUMNS]

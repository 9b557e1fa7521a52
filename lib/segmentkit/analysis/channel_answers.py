"""Through which channel each segment answers, and how often it is contacted.

Observed, not caused: another channel might have been answered less, or more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis.buying_times import ANSWERS, FEWEST
from segmentkit.analysis.campaigns import SENT
from segmentkit.analysis.features import Window

CHANNELS = ["segment_key", "channel", "reached", "answered", "rate", "low", "high"]


@dataclass(frozen=True)
class Channels:
    """Who was reached through which channel, and answered.

    Attributes:
        table: columns of ``CHANNELS``: customers reached and, of them, those who answered, with Wilson's interval.
        kinds: what counts as an answer: kinds that every channel used records; by channel its own where there is none.
        comparable: one campaign went out by two channels or more, and all channels record a kind of answer in common.
        best: segments in which one channel is answered more than the next best beyond chance (Fisher, Holm).
        sentence: the finding in words, with what it cannot say.
    """

    table: pd.DataFrame
    kinds: dict[str, tuple[str, ...]]
    comparable: bool
    best: dict[str, str]
    sentence: str


def by_channel(
    contacts: pd.DataFrame, responses: pd.DataFrame, segments: pd.DataFrame, *, confidence: float = 0.95
) -> Channels:
    """Customers reached and answering by segment and channel: observed, not caused.

    A response counts for every channel that carried its campaign to that customer. Cells with fewer than ten customers
    reached have no rate.

    Args:
        contacts: the shared table.
        responses: the shared table; may be empty.
        segments: ``customer_id, segment_key``, as they are today.
        confidence: of the intervals.
    """
    known = contacts[contacts["customer_id"].isin(segments["customer_id"])]
    sent = known[known["event"].isin([*SENT, *ANSWERS])].dropna(subset="channel")
    said = sent.loc[sent["event"].isin(ANSWERS), ["customer_id", "channel", "event"]]
    if len(responses) and "campaign_id" in sent.columns:
        carried = sent[["customer_id", "campaign_id", "channel"]].dropna().drop_duplicates()
        # money that an answer cost says nothing of who answered, where other outcomes are recorded
        heard = responses[responses["outcome"] != "cost"] if "outcome" in responses.columns else responses
        pairs = heard[["customer_id", "campaign_id"]].drop_duplicates()
        answered = carried.merge(pairs, on=["customer_id", "campaign_id"])[["customer_id", "channel"]]
        said = pd.concat([said, answered.assign(event="response")], ignore_index=True)
    used = sorted(sent["channel"].unique())
    records = {channel: set(said.loc[said["channel"] == channel, "event"]) for channel in used}
    common = set.intersection(*records.values()) if records else set()
    kinds = {channel: tuple(sorted(common or records[channel])) for channel in used}
    rows = []
    for key in sorted(segments["segment_key"].unique(), key=lambda key: (len(key), key)):
        own = segments.loc[segments["segment_key"] == key, "customer_id"]
        for channel in used:
            reached = own[own.isin(sent.loc[sent["channel"] == channel, "customer_id"])]
            heard = said[(said["channel"] == channel) & said["event"].isin(kinds[channel])]["customer_id"]
            rows.append((key, channel, len(reached), int(reached.isin(heard).sum())))
    table = _rates(pd.DataFrame(rows, columns=CHANNELS[:4]), confidence)
    # another campaign by another channel is another offer at another time: nothing of the channel can be seen in it
    both = "campaign_id" in sent.columns and (sent.groupby("campaign_id")["channel"].nunique() > 1).any()
    comparable = len(used) > 1 and bool(common) and bool(both)
    best = _clear_best(table, confidence) if comparable else {}
    return Channels(table, kinds, comparable, best, _channels_sentence(used, kinds, bool(common), comparable, best))


def _rates(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    low, high = proportion_confint(
        table["answered"], table["reached"].clip(lower=1), alpha=1 - confidence, method="wilson"
    )
    rates = table.assign(rate=table["answered"] / table["reached"].clip(lower=1), low=low, high=high)
    few = table["reached"] < FEWEST
    rates[["rate", "low", "high"]] = rates[["rate", "low", "high"]].astype(float).mask(few)
    return rates


def _clear_best(table: pd.DataFrame, confidence: float) -> dict[str, str]:
    found = {}
    for key, own in table.dropna(subset="rate").groupby("segment_key"):
        if len(own) > 1:
            first, second = own.sort_values("rate", ascending=False, kind="stable").head(2).itertuples()
            cells = [[one.answered, one.reached - one.answered] for one in (first, second)]
            found[str(key)] = str(first.channel), float(fisher_exact(cells).pvalue)
    if not found:
        return {}
    sure = multipletests([p for _, p in found.values()], alpha=1 - confidence, method="holm")[0]
    return {key: channel for (key, (channel, _)), clear in zip(found.items(), sure, strict=True) if clear}


def _channels_sentence(
    used: list[str], kinds: dict[str, tuple[str, ...]], common: bool, comparable: bool, best: dict[str, str]
) -> str:
    if not used:
        return "No evidence for a channel: no customer with a segment was ever contacted."
    if len(used) == 1:
        return f"No evidence for a channel: only {used[0]} was ever used, so there is nothing to compare it with."
    told = "; ".join(f"{channel} {', '.join(kinds[channel]) or 'nothing'}" for channel in used)
    if not common:
        return f"No evidence for a channel: they record no kind of answer in common ({told})."
    if not comparable:
        return (
            f"No evidence for a channel: no campaign went out by two of {', '.join(used)}, so a difference may be the "
            "campaigns'."
        )
    found = ", ".join(f"{key} {channel}" for key, channel in best.items()) or "in no segment"
    return (
        f"Answers counted in all of {', '.join(used)}: {', '.join(kinds[used[0]])}. One channel was answered more, "
        f"beyond chance: {found}. Observed, not caused: the channels may have carried other offers, at other times."
    )


def contact_load(contacts: pd.DataFrame, segments: pd.DataFrame, seen: Window, *, days: int = 30) -> pd.DataFrame:
    """Contacts that a customer got in the last days of the window, those without any counted as 0.

    Returns:
        ``segment_key, customers, mean, most`` (95th percentile); no rows where the source never sent anything.
    """
    sent = contacts[contacts["event"].isin(SENT)]
    if sent.empty:
        return pd.DataFrame(columns=["segment_key", "customers", "mean", "most"])
    end = datetime.combine(seen.as_of, datetime.min.time())
    late = sent[(sent["at"] >= end - timedelta(days=days)) & (sent["at"] < end)]
    each = segments["customer_id"].map(late["customer_id"].value_counts()).fillna(0.0)
    found = each.groupby(segments["segment_key"]).agg(["size", "mean", lambda own: own.quantile(0.95)])
    found.columns = pd.Index(["customers", "mean", "most"])
    return found.rename_axis("segment_key").reset_index()

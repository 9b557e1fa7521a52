"""Engagement: what customers did with what reached them, by channel and local time, one row a customer.

The contacts table knows whoever is in it. For them a count is 0 where nothing of the kind was recorded; for all others
every column is missing, since a customer who was left alone cannot be told from one who was not tracked. A rate needs
a delivery (or an impression, where the channel records no delivery), a time since something needs that something.
"""

from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.features import PARTS_OF_DAY, Window, between_hours, in_parts, until, word

EXPOSURE = ("delivery", "impression")  # what the business did; everything else the customer did
ANSWERS = ("open", "click")
MOST_KINDS = 20
FEWEST_MOMENTS = 3
PARTS = (*PARTS_OF_DAY, "night")


def summary(contacts: ibis.Table | None, seen: Window) -> pd.DataFrame:
    """Contacts in the window by channel and event: ``channel, event, customers, contacts``, most customers first."""
    if contacts is None:
        return pd.DataFrame(columns=["channel", "event", "customers", "contacts"])
    inside = until(contacts, seen, "at")
    counted = inside.group_by("channel", "event").aggregate(
        customers=inside.customer_id.nunique(), contacts=inside.count()
    )
    found = counted.execute().sort_values(["channel", "event"])
    return found.sort_values("customers", ascending=False, kind="stable", ignore_index=True)


def sentence(counted: pd.DataFrame) -> str:
    """Which contacts there are, in numbers, or what would tell."""
    if counted.empty:
        return "No engagement: a table `contacts` with deliveries, opens, clicks or visits in these days would show it."
    told = [f"{row.channel} {row.event} {row.customers:,} customers ({row.contacts:,})" for row in counted.itertuples()]
    more = f"; the {MOST_KINDS} commonest kinds become features" if len(counted) > MOST_KINDS else ""
    return f"Contacts by channel and event: {'; '.join(told[:MOST_KINDS])}{more}."


def build(contacts: ibis.Table | None, seen: Window) -> pd.DataFrame | None:
    """Build the engagement of every customer with a contact before ``as_of``; None where the window holds no contact.

    Args:
        contacts: the shared table.
        seen: the window of counts, rates, weeks and parts of the day; days since something count from its ``as_of``
            back to the last time in all the data.

    Returns:
        One row a customer, sorted by ``customer_id``: ``engagement_CHANNEL_EVENT_count`` and
        ``engagement_CHANNEL_open_rate`` (of distinct messages, smoothed), ``days_since_last_EVENT``; of what customers
        did themselves ``days_since_last_activity``, ``engagement_active_weeks``, ``engagement_PART_share`` of their
        moments by local time, and ``engagement_favourite_part``, missing on a tie or with fewer than three moments.
    """
    kinds = summary(contacts, seen).head(MOST_KINDS)
    if contacts is None or kinds.empty:
        return None
    before = contacts.filter(contacts["at"] < ibis.literal(datetime.combine(seen.as_of, datetime.min.time())))
    counted = [part.group_by("customer_id").aggregate(**_counts(part, kinds, seen)) for part in in_parts(before)]
    found = pd.concat([part.execute() for part in counted]).sort_values("customer_id", ignore_index=True)
    table = {"customer_id": found["customer_id"]}
    for name in found.columns[1:]:
        if name.endswith(("_count", "_weeks")):
            table[name] = found[name].astype("float64")
        elif name.endswith("_rate"):
            table[name] = smoothed(found[name], found[name.rpartition("_")[0].rpartition("_")[0] + "_messages"])
        elif name.startswith("days_since"):
            gone = pd.Timestamp(seen.as_of) - pd.to_datetime(found[name]).dt.normalize()
            table[name] = gone.dt.days.astype("float64")
    timed = "timed" in found and bool(found["timed"].any())
    return pd.DataFrame(table | (_parts_of_day(found[list(PARTS)]) if timed else {}))


def _counts(contacts: ibis.Table, kinds: pd.DataFrame, seen: Window) -> dict[str, Any]:
    at, event = contacts["at"], contacts["event"]
    inside = at >= ibis.literal(datetime.combine(seen.start, datetime.min.time()))
    message = at.cast("string")
    if "campaign_id" in contacts.columns:
        message = contacts.campaign_id.coalesce(message)
    columns: dict[str, Any] = {}
    for channel, own in kinds.groupby(kinds["channel"].map(word)):
        here = inside & contacts.channel.isin(own["channel"].unique())
        sent = next((one for one in EXPOSURE if one in set(own["event"])), "")
        for name, same in own.groupby(own["event"].map(word))["event"]:
            columns[f"engagement_{channel}_{name}_count"] = (here & event.isin(same.unique())).sum()
            if sent and name in ANSWERS:
                columns[f"engagement_{channel}_{name}_rate"] = message.nunique(where=here & (event == name))
                columns[f"engagement_{channel}_messages"] = message.nunique(where=here & (event == sent))
    for name, same in kinds.groupby(kinds["event"].map(word))["event"]:
        columns[f"days_since_last_{name}"] = at.max(where=event.isin(same.unique()))
    if set(kinds["event"]) <= set(EXPOSURE):
        return columns
    acted = event.notin(EXPOSURE)
    moments = inside & acted
    columns["days_since_last_activity"] = at.max(where=acted)
    columns["engagement_active_weeks"] = at.truncate("W").nunique(where=moments)
    by_part = {part: (moments & between_hours(at, *hours)).sum() for part, hours in PARTS_OF_DAY.items()}
    night = (moments & ~between_hours(at, 5, 22)).sum()
    return columns | by_part | {PARTS[-1]: night, "timed": (moments & (at != at.truncate("D"))).any()}


def smoothed(hits: pd.Series, of: pd.Series) -> pd.Series:
    """Rates drawn towards the rate of all, the more the fewer tries stand behind them; missing without a try.

    One open of one delivery is not a rate of 100 %: true rates are taken as beta-distributed, their spread from the
    moments (Kleinman 1973, JASA 68: 46-54). Where chance explains all the spread, everybody has the common rate.
    """
    n, hits = of.to_numpy(dtype=float), np.minimum(hits, of).to_numpy(dtype=float)
    known, total = n > 0, n.sum()
    rate = hits.sum() / total if total else np.nan
    spread = float((n[known] * (hits[known] / n[known] - rate) ** 2).sum())
    k, room = int(known.sum()), rate * (1 - rate)
    beyond = total - k + 1 - float((n**2).sum()) / total if total else 0.0
    alike = (spread / room - (k - 1)) / beyond if total and room > 0 and beyond > 0 else 0.0
    strength = 1 / min(alike, 1.0) - 1 if alike > 0 else np.inf
    drawn = (hits + strength * rate) / (n + strength) if np.isfinite(strength) else np.full(len(n), rate)
    return pd.Series(np.where(known, drawn, np.nan), index=of.index)


def _parts_of_day(moments: pd.DataFrame) -> dict[str, pd.Series]:
    total, most = moments.sum(axis=1), moments.max(axis=1)
    shares = {f"engagement_{part}_share": moments[part] / total.where(total > 0) for part in PARTS}
    clear = (total >= FEWEST_MOMENTS) & (moments.eq(most, axis=0).sum(axis=1) == 1)
    return shares | {"engagement_favourite_part": moments.astype("float64").idxmax(axis=1).where(clear)}


def by_local_time(contacts: ibis.Table | None, seen: Window) -> pd.DataFrame:
    """What customers did themselves by weekday (0 is Monday) and local hour: ``weekday, hour, events``.

    Without rows where nothing of it has a time of day.
    """
    if contacts is None:
        return pd.DataFrame(columns=["weekday", "hour", "events"])
    inside = until(contacts, seen, "at")
    at = inside["at"]
    acted = inside.filter(inside["event"].notin(EXPOSURE)).mutate(weekday=at.day_of_week.index(), hour=at.hour())
    counted = acted.group_by("weekday", "hour").aggregate(events=acted.count(), timed=(at != at.truncate("D")).any())
    found = counted.order_by("weekday", "hour").execute()
    return found[["weekday", "hour", "events"]] if found["timed"].any() else found.iloc[:0, :3]

"""Acquisition cost: what a new customer cost, by cohort, channel and segment, and when the margin has paid it back."""

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.features import FirstPurchases, Window, money, until
from segmentkit.analysis.lifetime import Lifetime
from segmentkit.analysis.lifetime_check import customers_by_day
from segmentkit.errors import DataError

MONTH_DAYS = 30
LEAST_LIVED = 0.5
NO_CHANNEL = "not by channel"
DECIMALS = {"cost": 0, "cac": 2, "lifetime_margin": 2, "lifetime_to_cac": 1, "payback_month": 0}


@dataclass(frozen=True)
class Acquisition:
    """What new customers cost, and when their margin has paid it back; months have 30 days.

    Attributes:
        cohorts: one row a period of the costs: ``cohort, channel, cost, customers, cac, payback_month, months_seen``;
            ``months_seen`` are those all of its customers have lived; the payback is missing where it has not come in
            them, or margin is not known.
        channels: the same by channel, ``all`` last; months count while half of the customers have lived them.
        segments: ``segment_key, customers, cac``: the mean over its customers of what their own period and channel
            cost; with a lifetime ``lifetime_margin`` (so far, plus present value of the future) and
            ``lifetime_to_cac``.
        curves: ``channel, month, customers, margin``: margin per acquired customer, added up since acquisition.
        money_from: where cost and margin come from, in words.
        notes: what was left out, in words.
    """

    cohorts: pd.DataFrame
    channels: pd.DataFrame
    segments: pd.DataFrame
    curves: pd.DataFrame
    money_from: str
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The finding in words."""
        by_channel = "; ".join(f"{row.channel} {_cost(row.cac)}{_payback(row)}" for row in self.channels.itertuples())
        by_segment = ", ".join(f"{row.segment_key} {_cost(row.cac)}" for row in self.segments.itertuples())
        parts = [
            f"A new customer cost (CAC): {by_channel}.",
            f"By segment, allocated from its customers' periods and channels, not measured: {by_segment}.",
            self.money_from,
            *self.notes,
        ]
        if "lifetime_to_cac" in self.segments.columns:
            parts.append("Lifetime margin over cost of 3 to 1 is a convention, not a rule.")
        return " ".join(parts)


def _cost(cac: float) -> str:
    return f"{cac:,.2f}" if pd.notna(cac) else "no new customer"


def _payback(row: Any) -> str:
    if pd.notna(row.payback_month):
        return f", paid back in month {row.payback_month:.0f}"
    return f", not yet paid back after {row.months_seen} months" if row.months_seen else ""


def possible(costs: pd.DataFrame, first: FirstPurchases, seen: Window, customers: pd.DataFrame) -> str:
    """Why acquisition cost cannot be computed, in words; empty where it can.

    New customers must be known as new: first purchases were observed, or the source states when each was acquired.
    """
    told = "Acquisition cost (CAC) is not computable:"
    if costs.empty:
        return f"{told} the source states no acquisition costs."
    dated = "acquired_at" in customers.columns and len(customers) > 0 and bool(customers["acquired_at"].notna().all())
    if not first.observed and not dated:
        return f"{told} first purchases not observed, so nobody is known to be new. {first.sentence}"
    if not _inside(_checked(costs), seen).any():
        return f"{told} no period of its costs lies inside the data ({seen.start} to {seen.as_of})."
    return ""


def acquisition_cost(
    transactions: ibis.Table,
    costs: pd.DataFrame,
    customers: pd.DataFrame,
    segments: pd.DataFrame,
    seen: Window,
    first: FirstPurchases,
    *,
    margin_rate: float | None,
    lifetime: Lifetime | None = None,
    margin_from: str = "measured",
) -> Acquisition:
    """Cost of a new customer: what was spent in a period over the customers acquired in it.

    Args:
        transactions: the shared table; with a ``margin`` column margin is measured.
        costs: ``start, end, cost, origin`` and perhaps ``channel``; both days included. A row without a channel counts
            for the customers of all channels.
        customers: ``customer_id``; ``acquired_at`` and ``acquisition_channel`` where the source has them. Without the
            first, the first purchase counts; without the second, costs are added up over channels.
        segments: ``customer_id, segment_key``.
        seen: the window; cost periods that do not lie inside it are left out, and said.
        first: whether first purchases were seen.
        margin_rate: the analyst's margin as a share of sales, where none is measured; None where not known.
        lifetime: adds lifetime margin over cost, by segment.
        margin_from: where the margin on purchases comes from, in words.

    Raises:
        DataError: not computable (see ``possible``); a cost missing or below zero; a period that ends before it
            begins, or overlaps another of its channel.
    """
    if reason := possible(costs, first, seen, customers):
        raise DataError(reason)
    new = acquired(transactions, customers, seen)
    rows, notes = _usable(costs, seen, bool(new["channel"].any()))
    matched = _matched(rows, new)
    without = len(new) - matched["customer_id"].nunique()
    if without:
        notes += (f"{without:,} customers came in periods or channels without a stated cost: not counted.",)
    margins, told = _margins(transactions, new, seen, margin_rate, margin_from)
    cohorts = [
        _summary({"cohort": row.cohort, "channel": row.label}, row.cost, matched[matched["row"] == row.Index], margins)
        for row in rows.itertuples()
    ]
    groups = [("all", rows["cost"].sum(), matched)]
    if rows["label"].nunique() > 1:
        groups = [
            (key, own["cost"].sum(), matched[matched["label"] == key]) for key, own in rows.groupby("label")
        ] + groups
    channels = [_summary({"channel": label}, cost, own, margins, LEAST_LIVED) for label, cost, own in groups]
    curves = [_curve(own, margins, LEAST_LIVED).assign(channel=label) for label, _, own in groups]
    origins = ", ".join(sorted(set(costs["origin"].dropna().astype(str)))) or "origin not named"
    return Acquisition(
        pd.DataFrame(cohorts),
        pd.DataFrame(channels),
        _by_segment(matched, segments, lifetime),
        pd.concat(curves, ignore_index=True)[["channel", "month", "customers", "margin"]],
        f"Cost: stated by the source: {origins}. {told}.",
        notes,
    )


def acquired(transactions: ibis.Table, customers: pd.DataFrame, seen: Window) -> pd.DataFrame:
    """When and through which channel every customer who bought was won.

    Returns:
        ``customer_id, acquired_on, channel, lived``, sorted by customer: the day of the first purchase where the source
        states no day, no channel where it states none, and the whole months lived since.
    """
    bought = customers_by_day(transactions, seen.start, seen.as_of)[["customer_id", "first_day"]]
    stated = customers.reindex(columns=["customer_id", "acquired_at", "acquisition_channel"])
    new = bought.merge(stated, how="left", on="customer_id", validate="1:1")
    day = pd.to_datetime(new["acquired_at"]).dt.normalize().fillna(new["first_day"])
    channel = new["acquisition_channel"].astype(object).fillna("").astype(str)
    lived = (pd.Timestamp(seen.as_of) - day).dt.days // MONTH_DAYS
    return pd.DataFrame({"customer_id": new["customer_id"], "acquired_on": day, "channel": channel, "lived": lived})


def _checked(costs: pd.DataFrame) -> pd.DataFrame:
    days = {name: pd.to_datetime(costs[name]).dt.normalize() for name in ("start", "end")}
    channel = costs["channel"].astype(object).fillna("").astype(str) if "channel" in costs.columns else ""
    rows = costs.assign(**days, channel=channel)
    wrong = ~(rows["cost"] >= 0) | ~(rows["start"] <= rows["end"])
    if wrong.any():
        row = rows[wrong].iloc[0]
        raise DataError(
            f"acquisition_costs: cost == {row['cost']} from {row['start']:%Y-%m-%d} to {row['end']:%Y-%m-%d}; it must "
            "be 0 or more, and a period must not end before it begins; correct the row"
        )
    return rows.sort_values(["channel", "start", "end"], ignore_index=True)


def _inside(rows: pd.DataFrame, seen: Window) -> "pd.Series[bool]":
    return (rows["start"] >= pd.Timestamp(seen.start)) & (rows["end"] < pd.Timestamp(seen.as_of))


def _usable(costs: pd.DataFrame, seen: Window, channels_known: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Cost rows that lie inside the data, and what was left out or added up, in words."""
    rows, notes = _checked(costs), []
    following = rows.groupby("channel")["start"].shift(-1)
    if (overlaps := following <= rows["end"]).any():
        row, channel = rows[overlaps].iloc[0], rows.loc[overlaps, "channel"].iloc[0] or NO_CHANNEL
        raise DataError(
            f"acquisition_costs: channel == {channel!r} has a period from {row['start']:%Y-%m-%d} to "
            f"{row['end']:%Y-%m-%d} that another overlaps; a day must be paid for once; keep one row a period"
        )
    if rows["channel"].any() and not channels_known:
        rows = rows.groupby(["start", "end"], as_index=False)["cost"].sum().assign(channel="")
        notes.append("Customers' channels are not known, so costs are added up over channels.")
    inside = _inside(rows, seen)
    if not inside.all():
        lost = rows[~inside]
        notes.append(
            f"Periods of cost that reach beyond the data are left out: {len(lost)} ({lost['cost'].sum():,.0f})."
        )
    rows = rows[inside].reset_index(drop=True)
    span = rows["start"].dt.strftime("%Y-%m-%d") + " to " + rows["end"].dt.strftime("%Y-%m-%d")
    return rows.assign(cohort=span, label=rows["channel"].replace("", NO_CHANNEL)), tuple(notes)


def _matched(rows: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Every customer with every cost that was spent on winning them: ``row, label, cac`` beside their own columns."""
    parts = []
    for row in rows.itertuples():
        mine = new["acquired_on"].between(row.start, row.end) & ((row.channel == "") | (new["channel"] == row.channel))
        parts.append(new[mine].assign(row=row.Index, label=row.label, cac=row.cost / max(int(mine.sum()), 1)))
    return pd.concat(parts, ignore_index=True)


def _margins(
    transactions: ibis.Table, new: pd.DataFrame, seen: Window, margin_rate: float | None, source: str
) -> tuple[pd.DataFrame | None, str]:
    """Margin of every customer in every month since acquisition, from 1; None where not known; and its source."""
    lines = until(transactions, seen)
    if "margin" in lines.columns:
        known = lines.filter(lines.margin.notnull())
        sums = known.aggregate(margin=money(known.margin), sold=money(known.amount)).execute().iloc[0]
        earned, told = lines.margin.fill_null(lines.amount * float(sums["margin"] / sums["sold"])), f"Margin: {source}"
    elif margin_rate is not None:
        earned, told = lines.amount * margin_rate, f"Margin: {margin_rate:.0%} of sales, assumed by you"
    else:
        return None, "Margin: not known, so payback is not either"
    daily = lines.group_by("customer_id", day=lines.ordered_at.date()).aggregate(margin=money(earned))
    table = daily.order_by("customer_id", "day").execute().merge(new, on="customer_id")
    # what was bought before the stated day of acquisition counts in the first month
    since = (pd.to_datetime(table["day"]) - table["acquired_on"]).dt.days.clip(lower=0)
    table["month"] = since // MONTH_DAYS + 1
    return table.groupby(["customer_id", "lived", "month"], as_index=False)["margin"].sum(), told


def _curve(own: pd.DataFrame, margins: pd.DataFrame | None, least: float) -> pd.DataFrame:
    """Margin per acquired customer added up over months, each from the customers who have lived it whole."""
    who, rows, total = own.drop_duplicates("customer_id"), [], 0.0
    if margins is not None and len(who):
        gained = margins[margins["customer_id"].isin(who["customer_id"])]
        for month in range(1, int(who["lived"].max()) + 1):
            there = int((who["lived"] >= month).sum())
            if there < least * len(who):
                break
            total += float(gained.loc[(gained["month"] == month) & (gained["lived"] >= month), "margin"].sum()) / there
            rows.append({"month": month, "customers": there, "margin": total})
    return pd.DataFrame(rows, columns=["month", "customers", "margin"])


def _summary(
    named: dict[str, str], cost: float, own: pd.DataFrame, margins: pd.DataFrame | None, least: float = 1.0
) -> dict[str, Any]:
    count, curve = own["customer_id"].nunique(), _curve(own, margins, least)
    cac = float(cost) / count if count else np.nan
    paid = curve.loc[curve["margin"] >= cac, "month"]
    payback = float(paid.iloc[0]) if len(paid) else np.nan
    figures = {"cost": float(cost), "customers": count, "cac": cac, "payback_month": payback, "months_seen": len(curve)}
    return named | figures


def _by_segment(matched: pd.DataFrame, segments: pd.DataFrame, lifetime: Lifetime | None) -> pd.DataFrame:
    each = matched.groupby("customer_id", as_index=False)["cac"].sum()
    joined = each.merge(segments[["customer_id", "segment_key"]], on="customer_id", validate="1:1")
    table = joined.groupby("segment_key", as_index=False).agg(customers=("cac", "size"), cac=("cac", "mean"))
    if lifetime is None or lifetime.table["value"].isna().all():
        return table
    worth = lifetime.table.set_index("segment_key")
    table["lifetime_margin"] = table["segment_key"].map(worth["margin_so_far"] + worth["value"])
    table["lifetime_to_cac"] = (table["lifetime_margin"] / table["cac"]).where(table["cac"] > 0)
    return table


def to_table(found: Acquisition) -> pd.DataFrame:
    """Cost by cohort, by channel and by segment below one another; ``by`` says which."""
    parts = {"cohort and channel": found.cohorts, "channel": found.channels, "segment": found.segments}
    return pd.concat([table.assign(by=by) for by, table in parts.items()], ignore_index=True)

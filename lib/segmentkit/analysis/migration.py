"""Migration: who moved between two looks at the customers, what it is worth, and how much of it is chance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
from statsmodels.stats.proportion import confint_proportions_2indep

from segmentkit.analysis.looks import Compared, Look
from segmentkit.analysis.rules import NO_RULE
from segmentkit.errors import DataError

NEW, GONE = "new", "gone"
DECIMALS = {"sales_before": 2, "sales_now": 2, "change": 2}
PERCENT = ("change", "change_back")
PER_CUSTOMER = dict.fromkeys(("customers_before", "customers_now"), 0) | dict.fromkeys(
    ("sales_before", "later", "sales_now", "earlier"), 2
)
LEAST_MONEY = 0.005
# the smallest must gain on the best by ten points, both ways, before the trap is called
CONTRACTION = 0.1
# where habits never change the simulated noise lies within so much of the truth (tests/heavy)
TOLERANCE = 0.03


def migrate(before: Look, now: Look) -> pd.DataFrame:
    """From which segment to which, in customers and money.

    Returns:
        ``from_key, to_key, customers, sales_before, sales_now, change``; ``new`` customers come from ``new``, those
        without a purchase in the later window go to ``gone``. All cells add up to the sales of the two looks.
    """
    both = before.customers.merge(now.customers, on="customer_id", how="outer", suffixes=("_before", "_now"))
    both = both.fillna(
        {"segment_key_before": NEW, "segment_key_now": GONE, "sales_before": 0.0, "sales_now": 0.0}
    ).rename(columns={"segment_key_before": "from_key", "segment_key_now": "to_key"})
    table = both.groupby(["from_key", "to_key"], as_index=False).agg(
        customers=("customer_id", "size"), sales_before=("sales_before", "sum"), sales_now=("sales_now", "sum")
    )
    table["change"] = table["sales_now"] - table["sales_before"]
    order = {NEW: "~new", GONE: "~gone"}
    keys = table[["from_key", "to_key"]].map(lambda key: order.get(key, f"{len(key)}{key}"))
    return table.loc[keys.sort_values(["from_key", "to_key"]).index].reset_index(drop=True)


def by_rule(pair: Compared, then: pd.DataFrame | None, now: pd.DataFrame) -> pd.DataFrame:
    """From which rule to which; no rows where the earlier run, or this one, has no rules."""
    ruled = then is not None and bool({*then["segment_key"], *now["segment_key"]} - {NO_RULE})
    if then is None or not ruled or pair.kind not in ("month", "restated"):
        return migrate(pair.before, pair.now).head(0)
    return migrate(replace(pair.before, segments=then), replace(pair.now, segments=now))


def bridge(table: pd.DataFrame, worth: Mapping[str, float]) -> pd.DataFrame:
    """The change in sales, step by step.

    Args:
        table: from ``migrate``.
        worth: sales per customer of each segment; it says which way is up.

    Returns:
        ``step, customers, amount``; the first row plus the steps between is the last row.
    """
    start, end = (table[side].map(worth).fillna(0.0) for side in ("from_key", "to_key"))
    left, joined = table["to_key"] == GONE, table["from_key"] == NEW
    known = ~left & ~joined
    same = table["from_key"] == table["to_key"]
    parts = {
        "customers who are gone": left,
        "moved to a segment worth less": known & ~same & (end < start),
        "stayed in their segment": same,
        "moved to a segment worth more": known & ~same & (end >= start),
        "new customers": joined,
    }
    rows = [("sales before", int(table.loc[~joined, "customers"].sum()), float(table["sales_before"].sum()))]
    rows += [(step, int(table.loc[own, "customers"].sum()), float(table.loc[own, "change"].sum()))
             for step, own in parts.items()]  # fmt: skip
    rows.append(("sales now", int(table.loc[~left, "customers"].sum()), float(table["sales_now"].sum())))
    return pd.DataFrame(rows, columns=["step", "customers", "amount"])


@dataclass(frozen=True)
class Moves:
    """How many customers changed segment, beside what chance alone gives.

    Attributes:
        known: customers in both looks.
        moved: of them, in another segment now.
        noise: share that luck alone would move, had nobody's habits changed (``luck.simulate``).
        noise_customers: customers that the simulation rests on.
        low: lower bound of (share moved minus noise).
        high: upper bound.
        same_days: both looks see the same days, so that luck plays no part.
    """

    known: int
    moved: int
    noise: float
    noise_customers: int
    low: float
    high: float
    same_days: bool = False

    @property
    def share(self) -> float:
        """Share of the known customers who moved."""
        return self.moved / self.known

    @property
    def exceeds_noise(self) -> bool:
        """Whether clearly more moved than chance gives: the simulation itself is right to a few points only."""
        return self.moved > 0 if self.same_days else self.low > TOLERANCE

    @property
    def sentence(self) -> str:
        """The finding in words."""
        counted = f"{self.moved:,} of {self.known:,} known customers ({self.share:.0%}) are in another segment now."
        if self.same_days:
            return f"{counted} Both looks see the same days, so luck plays no part."
        if not self.noise_customers:
            return f"{counted} How many luck alone would move cannot be said from these purchases."
        told = (
            f"{counted} With the same habits and other luck about {self.noise:.0%} would be (simulated from the orders "
            f"of {self.noise_customers:,} customers)"
        )
        if self.exceeds_noise:
            return f"{told}: more moved than chance gives, by {self.low:.0%} to {self.high:.0%} of customers."
        return f"{told}: not clearly more than chance can give."


def moves(table: pd.DataFrame, noise: tuple[int, int] | None, confidence: float) -> Moves:
    """Customers who changed segment, against the simulated noise.

    Args:
        table: from ``migrate``.
        noise: moved and all, from ``luck.simulate``; None where both looks see the same days.
        confidence: of the interval (Newcombe's, for two independent shares).
    """
    known = table[(table["from_key"] != NEW) & (table["to_key"] != GONE)]
    total = int(known["customers"].sum())
    if not total:
        raise DataError("no customer is in both looks; there is nothing to migrate")
    moved = int(known.loc[known["from_key"] != known["to_key"], "customers"].sum())
    if noise is None:
        return Moves(total, moved, 0.0, total, moved / total, moved / total, same_days=True)
    if not noise[1]:
        return Moves(total, moved, math.nan, 0, math.nan, math.nan)
    low, high = confint_proportions_2indep(moved, total, noise[0], noise[1], method="newcomb", alpha=1 - confidence)
    return Moves(total, moved, noise[0] / noise[1], noise[1], float(low), float(high))


def regression(table: pd.DataFrame) -> pd.DataFrame:
    """What became of each segment's customers, forwards and, as the test of chance, backwards.

    Segments are cut where customers happened to be. Looked at again, the best did less and the smallest did more, with
    no cause. Time cannot run backwards: where the same shows in the segments of the second look for the days before,
    it is regression to the mean and nothing that anybody did.

    Returns:
        ``segment_key, customers_before, sales_before, later, change, customers_now, sales_now, earlier,
        change_back``; money per customer of the segment, those who are gone (or were not there yet) at zero.
    """
    before, now = table[table["from_key"] != NEW], table[table["to_key"] != GONE]
    forward = before.groupby("from_key")[["customers", "sales_before", "sales_now"]].sum()
    back = now.groupby("to_key")[["customers", "sales_now", "sales_before"]].sum()
    frame = pd.DataFrame(
        {
            "customers_before": forward["customers"],
            "sales_before": forward["sales_before"] / forward["customers"],
            "later": forward["sales_now"] / forward["customers"],
            "customers_now": back["customers"],
            "sales_now": back["sales_now"] / back["customers"],
            "earlier": back["sales_before"] / back["customers"],
        }
    )
    frame["change"] = frame["later"] / frame["sales_before"].where(frame["sales_before"] > LEAST_MONEY) - 1
    frame["change_back"] = frame["earlier"] / frame["sales_now"].where(frame["sales_now"] > LEAST_MONEY) - 1
    frame = frame.rename_axis("segment_key").reset_index()
    order = frame["segment_key"].map(lambda key: (len(key), key)).sort_values().index
    return frame.loc[order].reset_index(drop=True)


def regression_sentence(table: pd.DataFrame) -> str:
    """The warning, where the figures carry it."""
    sold = table.dropna(subset=["change", "change_back"])  # segments with sales in both looks
    if len(sold) < 2:
        return "Too few segments with sales in both looks to see regression to the mean."
    best, least = sold.loc[sold["sales_before"].idxmax()], sold.loc[sold["sales_before"].idxmin()]
    top, low = sold.loc[sold["sales_now"].idxmax()], sold.loc[sold["sales_now"].idxmin()]
    told = (
        f"{least['segment_key']}, which spent least, went {least['change']:+.0%} a customer; "
        f"{best['segment_key']}, the best, {best['change']:+.0%}. Cut by the later days and looked at backwards, "
        f"{low['segment_key']} had {low['change_back']:+.0%} and {top['segment_key']} {top['change_back']:+.0%}"
    )
    if min(least["change"] - best["change"], low["change_back"] - top["change_back"]) >= CONTRACTION:
        return (
            f"Regression to the mean: {told}. Nothing anybody did can act backwards, so do not credit (or blame) a "
            "campaign for a change of this kind: compare with customers held back by lot."
        )
    return f"Regression to the mean does not show both ways here: {told}."


def worth(*looks: Look) -> dict[str, float]:
    """Sales per customer of each segment; where several looks know it, the last one named goes first."""
    means = [look.customers.groupby("segment_key")["sales"].mean() for look in looks]
    return {str(key): float(mean) for one in means for key, mean in one.items()}


def without_few(table: pd.DataFrame, smallest: int = 10) -> pd.DataFrame:
    """The same for showing: the money of fewer than so many customers is left out."""
    few = table["customers"] < smallest
    return table.assign(**{name: table[name].mask(few) for name in DECIMALS})


def headline(steps: pd.DataFrame, moved: Moves, currency: str) -> str:
    """What changed since last time and what it is worth, in one sentence."""
    rows = steps.set_index("step")
    then, today = rows.loc["sales before", "amount"], rows.loc["sales now", "amount"]
    relative = f" ({(today - then) / then:+.1%})" if then > 0 else ""
    gone, new = rows.loc["customers who are gone"], rows.loc["new customers"]
    # sums of cents leave remainders that would be told as -0.00
    change, left, came = (round(float(amount), 2) + 0.0 for amount in (today - then, gone["amount"], new["amount"]))
    return (
        f"Sales {change:+,.2f} {currency}{relative}: customers gone {int(gone['customers']):,} ({left:+,.2f}), "
        f"new {int(new['customers']):,} ({came:+,.2f}), in both {moved.known:,} "
        f"({round(change - left - came, 2) + 0.0:+,.2f}), of whom {moved.moved:,} moved."
    )

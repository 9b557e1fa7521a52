"""When each segment buys and answers, by weekday and part of the day.

Customers are the unit: orders of one customer are not independent, so each customer's shares of orders are compared,
and a customer with many orders weighs no more than one with few. Everything here is observed: another channel
or hour might have been answered less, or more.
"""

from dataclasses import dataclass, replace

import ibis
import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from segmentkit.analysis.features import PARTS_OF_DAY, Window, until

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NIGHT = "night"
PARTS = (*PARTS_OF_DAY, NIGHT)
HOURS = {part: high - low for part, (low, high) in PARTS_OF_DAY.items()}
HOURS[NIGHT] = 24 - sum(HOURS.values())
ANY = "any"
FEWEST = 10
TIMES = [
    "segment_key",
    "weekday",
    "part",
    "customers",
    "share",
    "others",
    "difference",
    "low",
    "high",
    "p_holm",
    "sure",
    "even",
    "p_uneven",
    "uneven",
]
PERCENT = ("share", "others", "difference", "low", "high", "even")
ANSWERS = ("open", "click")


@dataclass(frozen=True)
class Times:
    """When segments buy or answer.

    Attributes:
        what: ``orders``, or ``opens and clicks``.
        table: columns of ``TIMES``, for weekdays (``part`` is ``any``), parts of the day (``weekday`` is ``any``) and
            both together: mean share of a customer's moments that fall there, that of all other customers, their
            difference with Welch's interval, and the share that even hours would give.
        timed: whether the moments have a time of day, or dates only.
        confidence: of the intervals, and 1 less the level of Holm's correction.
        sentence: the finding in words, or why there is none.
    """

    what: str
    table: pd.DataFrame
    timed: bool
    confidence: float
    sentence: str

    def best(self, key: str) -> tuple[pd.Series | None, pd.Series | None]:
        """The segment's busiest weekday and busiest part of the day, per hour; None without evidence.

        It is named where it lies above even days or hours by more than chance. Where only the others lean, the segment
        differs from them, but has no best time of its own.
        """
        own = self.table[self.table["segment_key"] == key]
        days, parts = own[own["part"] == ANY], own[own["weekday"] == ANY]
        return _busiest(days), _busiest(parts)


def _busiest(own: pd.DataFrame) -> pd.Series | None:
    # per hour: the night is longer than the morning and would win by its length
    rows = own.assign(rate=own["share"] / own["even"]).sort_values("rate", ascending=False, kind="stable")
    found = None if rows.empty else rows.iloc[0]
    return found if found is not None and found["uneven"] else None


def of_orders(transactions: ibis.Table, seen: Window, segments: pd.DataFrame, *, confidence: float = 0.95) -> Times:
    """Weekdays and parts of the local day of each segment's orders; the engine counts.

    Returned lines (below zero) are no orders. See ``PARTS_OF_DAY`` for the hours.
    """
    lines = until(transactions, seen)
    orders = lines.filter(lines.amount >= 0).group_by("customer_id", "order_id").aggregate(at=lines.ordered_at.min())
    return _measured(orders, segments, "orders", confidence)


def of_answers(contacts: pd.DataFrame, segments: pd.DataFrame, *, confidence: float = 0.95) -> Times:
    """The same for opens and clicks, where the contacts record any.

    They follow the hours at which messages went out: even hours are nothing to compare them with, and are not.
    """
    answers = contacts[contacts["event"].isin(ANSWERS)].dropna(subset=["customer_id", "at"])
    if answers.empty:
        why = "When segments answer is not known: the contacts record no open and no click with a day."
        return Times("opens and clicks", pd.DataFrame(columns=TIMES), False, confidence, why)
    found = _measured(ibis.memtable(answers[["customer_id", "at"]]), segments, "opens and clicks", confidence)
    told = f"{found.sentence} They follow the times at which messages went out."
    return replace(found, table=found.table.assign(p_uneven=np.nan, uneven=False), sentence=told)


def _measured(moments: ibis.Table, segments: pd.DataFrame, what: str, confidence: float) -> Times:
    hour, at = moments["at"].hour(), moments["at"]
    part = ibis.literal(NIGHT)
    for name, (low, high) in PARTS_OF_DAY.items():
        part = ((hour >= low) & (hour < high)).ifelse(name, part)
    keys = ibis.memtable(segments[["customer_id", "segment_key"]])
    placed = moments.select("customer_id", weekday=at.day_of_week.index(), part=part, clock=at != at.truncate("D"))
    placed = placed.inner_join(keys, "customer_id").cache()
    timed = bool(placed["clock"].any().execute())
    levels = [["weekday"], ["part"], ["weekday", "part"]] if timed else [["weekday"]]
    each = placed.group_by("segment_key", "customer_id").aggregate(inverse=1 / placed.count())
    inverse = each.inverse.cast("decimal(18, 12)").sum().cast("float64")
    sizes = each.group_by("segment_key").aggregate(n=each.count(), inverse=inverse).execute().set_index("segment_key")
    customers = sizes.loc[sorted(sizes.index, key=lambda key: (len(key), key))].astype(float)
    found = pd.concat([_compared(_sums(placed, by), customers, confidence) for by in levels], ignore_index=True)
    table = _with_holm(found, confidence)
    return Times(what, table, timed, confidence, _sentence(what, table, timed))


def _sums(placed: ibis.Table, by: list[str]) -> pd.DataFrame:
    """Sum and sum of squares of the customers' shares, per segment and place; exact, whatever order is added in."""
    own = placed.group_by("segment_key", "customer_id", *by).aggregate(n=placed.count())
    own = own.mutate(share=own.n / own.n.sum().over(group_by=own.customer_id))
    exact = {"total": own.share, "squares": own.share**2}
    sums = {name: column.cast("decimal(18, 12)").sum().cast("float64") for name, column in exact.items()}
    table = own.group_by("segment_key", *by).aggregate(**sums).execute()
    weekdays = list(range(7)) if "weekday" in by else [ANY]
    parts = list(PARTS) if "part" in by else [ANY]
    names = {"weekday": weekdays, "part": parts}
    table = table.assign(**{name: ANY for name in names if name not in by})
    whole = pd.MultiIndex.from_product([table["segment_key"].unique(), weekdays, parts], names=["segment_key", *names])
    return table.set_index(["segment_key", *names]).reindex(whole, fill_value=0.0).reset_index()


def _compared(sums: pd.DataFrame, customers: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Each segment's mean share against that of all other customers, and against even hours.

    Intervals are Welch's (1947). For p the worse of two tests counts: Welch's, and one whose variance is that of shares
    drawn alike everywhere (binomial, with the correlation inside customers as it is overall: Kleinman 1973). A small
    segment that happens to have nobody at a rare hour has no variance of its own, and Welch alone would be sure.
    """
    table = sums.join(customers, on="segment_key")
    names = ["total", "squares", "n", "inverse"]
    whole = table.groupby(["weekday", "part"], sort=False)[names].transform("sum")
    rest = whole - table[names]
    (mean, error), (other, other_error) = _mean(table), _mean(rest)
    both = (error**2 + other_error**2).where(lambda variance: variance > 0)
    free = both**2 / (error**4 / (table["n"] - 1) + other_error**4 / (rest["n"] - 1))
    difference, reach = mean - other, stats.t.ppf((1 + confidence) / 2, free) * np.sqrt(both)
    even = table["part"].map(HOURS | {ANY: 24}) / 24 * np.where(table["weekday"] == ANY, 1.0, 1 / 7)
    found = table.assign(customers=table["n"].astype("int64"), share=mean, others=other, difference=difference)
    found = found.assign(low=difference - reach, high=difference + reach, even=even)
    alike = np.sqrt(_alike(table, whole) + _alike(rest, whole))
    welch = 2 * stats.t.sf((difference / np.sqrt(both)).abs(), free)
    found["p"] = np.maximum(welch, 2 * stats.norm.sf((difference / alike.where(alike > 0)).abs()))
    found["p_own"] = stats.t.sf((mean - even) / error.where(error > 0), table["n"] - 1)
    order = pd.Series(range(len(customers)), index=customers.index)
    return found.sort_values("segment_key", key=lambda keys: keys.map(order), kind="stable")


def _alike(part: pd.DataFrame, whole: pd.DataFrame) -> pd.Series:
    """Variance of a part's mean share, were all customers alike: by their numbers of orders and correlation inside."""
    chance = whole["total"] / whole["n"]
    single = (chance * (1 - chance)).where(lambda variance: variance > 0)
    spread = (whole["squares"] - whole["n"] * chance**2) / single
    inside = ((spread - whole["inverse"]) / (whole["n"] - whole["inverse"]).clip(lower=1e-9)).clip(0, 1)
    return single * ((1 - inside) * part["inverse"] + inside * part["n"]) / part["n"].where(part["n"] > 0) ** 2


def _mean(sums: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean and its standard error; missing for fewer than ten customers."""
    n = sums["n"].where(sums["n"] >= FEWEST)
    mean = sums["total"] / n
    return mean, np.sqrt(((sums["squares"] - n * mean**2).clip(lower=0) / (n - 1)) / n)


def _with_holm(found: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Holm over all comparisons with others; and, as a family of its own, over all tests against even hours."""
    level = 1 - confidence
    for raw, name in (("p", "p_holm"), ("p_own", "p_uneven")):
        found[name] = multipletests(found[raw].fillna(1.0), method="holm")[1]
    found["sure"], found["uneven"] = found["p_holm"] <= level, found["p_uneven"] <= level
    found["weekday"] = [ANY if day == ANY else WEEKDAYS[int(day)] for day in found["weekday"]]
    return found[TIMES].reset_index(drop=True)


def _sentence(what: str, table: pd.DataFrame, timed: bool) -> str:
    single = table[(table["weekday"] == ANY) | (table["part"] == ANY)]
    sure = single[single["sure"]]
    dated = "" if timed else f" The {what} have dates without times: nothing is known of the hour."
    if sure.empty:
        return f"No segment's {what} fall on other weekdays or hours than those of all others, beyond chance.{dated}"
    most = sure.loc[sure["difference"].abs().idxmax()]
    place = most["part"] if most["weekday"] == ANY else most["weekday"]
    return (
        f"Of {len(single)} comparisons of a segment's {what} with all others by weekday and part of the day, "
        f"{len(sure)} differ beyond chance; most {most['segment_key']}, {place} {most['share']:.0%} against "
        f"{most['others']:.0%}.{dated}"
    )

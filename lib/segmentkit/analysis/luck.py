"""Luck: how many customers would be in another segment though nobody's habits changed."""

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.features import Window
from segmentkit.analysis.looks import Compared, table_of
from segmentkit.analysis.rules import Beside

MOST_CUSTOMERS = 20_000
DAY_SECONDS = 86_400


def simulate(
    transactions: ibis.Table, pair: Compared, *, categories: int, seed: int, beside: Beside | None = None
) -> tuple[int, int] | None:
    """Customers whom luck alone would put into another segment, of those in both looks.

    All days of the two looks are simulated once, and both looks are taken again. The days are cut into stretches as
    long as what is new in the later look, or a twelfth of a look; a customer's rate in each is that of the stretch and
    its neighbours. Orders follow one another at gamma gaps, as regular as customers are on average; baskets are the
    customer's own.

    Args:
        transactions: the shared table.
        pair: the two looks; its segmentation assigns.
        categories: of the feature table.
        seed: the same seed gives the same answer.
        beside: attributes and contacts, where the segmentation needs them; these are not simulated.

    Returns:
        Customers moved, and customers simulated (at most 20,000, those with an order in both looks); none of either
        where the purchases do not reach back over half of the first look, or lack a feature. None where both looks see
        the same days: luck plays no part then.
    """
    rng = np.random.default_rng([seed, 71])
    before, now = pair.before.seen, pair.now.seen
    fresh = (now.as_of - max(before.as_of, now.start)).days
    if fresh <= 0:
        return None
    both = sorted(set(pair.before.features["customer_id"]) & set(pair.now.features["customer_id"]))
    chosen = both if len(both) <= MOST_CUSTOMERS else list(rng.choice(both, MOST_CUSTOMERS, replace=False))
    lines = transactions.filter(transactions.customer_id.isin(chosen))
    orders = lines.group_by("customer_id", "order_id").aggregate(at=lines.ordered_at.min())
    orders = orders.order_by("customer_id", "order_id").execute()
    first = max(before.start, orders["at"].min().date()) if len(orders) else before.as_of
    if (before.as_of - first).days < before.days / 2:
        return 0, 0
    days = (now.as_of - first).days
    orders["day"] = (orders.pop("at") - pd.Timestamp(first)) / pd.Timedelta(days=1)
    orders = orders[orders["day"].between(0, days, inclusive="left")].reset_index(drop=True)
    table = _rebuilt(lines, _simulated(orders, max(fresh, now.days // 12), days, rng))
    short = first - before.start  # what is missing of the first look is left out of the second as well
    windows = (Window(first, before.as_of), Window(now.start + short, now.as_of))
    looks = [table_of(table, one, beside, categories).set_index("customer_id") for one in windows]
    if any(name not in one for name in pair.model.scaling.features for one in looks):
        return 0, 0
    looks = [pair.model.complete(one) for one in looks]  # whoever drew only a return has no share of anything
    known = sorted(set(looks[0].index) & set(looks[1].index))
    keys = [pair.model.assign(one.loc[known].reset_index())["segment_key"] for one in looks]
    return int((keys[0] != keys[1]).sum()), len(known)


def _simulated(orders: pd.DataFrame, stretch: int, days: int, rng: np.random.Generator) -> pd.DataFrame:
    """Orders of one simulation: ``customer_id, order_id, copy, later``, the last in seconds.

    Each is a copy of one of the customer's own orders, moved to its simulated moment.
    """
    who = pd.factorize(orders["customer_id"])[0]  # orders are sorted by customer
    ends = np.arange(days, 0, -stretch)[::-1]  # counted from the end: the last stretch is what is new
    lengths = np.diff(ends, prepend=0).astype(float)
    counted = np.zeros((who[-1] + 1, len(ends)))
    np.add.at(counted, (who, np.searchsorted(ends, orders["day"], side="right")), 1)
    due = lengths * _with_neighbours(counted) / _with_neighbours(lengths[None, :])
    owner, at = _renewals(due.sum(axis=1), _irregularity(orders["day"].to_numpy(), who), rng)
    day = _moments(due, owner, at, ends, lengths)
    own = np.bincount(who)
    source = (np.cumsum(own) - own)[owner] + (rng.random(len(owner)) * own[owner]).astype(int)
    drawn = orders.loc[source, ["customer_id", "order_id"]].reset_index(drop=True)
    drawn["later"] = ((day - orders["day"].to_numpy()[source]) * DAY_SECONDS).astype("int64")
    return drawn.assign(copy=drawn.groupby(["customer_id", "order_id"]).cumcount())


def _with_neighbours(table: np.ndarray) -> np.ndarray:
    """Sum of each column and those beside it."""
    wide = np.pad(table, ((0, 0), (1, 1)))
    summed: np.ndarray = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    return summed


def _irregularity(day: np.ndarray, who: np.ndarray) -> float:
    """Squared coefficient of variation of the time between a customer's orders: 1 by lot, 0 by the calendar."""
    table = pd.DataFrame({"who": who, "day": day}).sort_values(["who", "day"])
    gaps = table.groupby("who")["day"].diff().groupby(table["who"]).agg(["mean", "var", "count"])
    gaps = gaps[(gaps["count"] >= 3) & (gaps["mean"] > 0)]
    ratio = gaps["var"] / gaps["mean"] ** 2
    # the mean of few gaps varies itself, which makes the plain ratio too small
    found = ratio.sum() / (1 - ratio / gaps["count"]).sum() if len(gaps) else 1.0
    return float(np.clip(found, 0.05, 4.0))


def _renewals(due: np.ndarray, irregularity: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Owner and place of every order, in the owner's own time, in which one order is due per unit."""
    many = np.ceil(due + 10 + (6 + 3 * irregularity) * np.sqrt(irregularity * (due + 10))).astype(int)
    owner = np.repeat(np.arange(len(due)), many)
    gaps = rng.gamma(1 / irregularity, irregularity, len(owner))
    run, begin = np.cumsum(gaps), np.cumsum(many) - many
    # the process began long before anybody looked, so that its phase is by lot
    at = run - (run[begin] - gaps[begin] + rng.uniform(5, 10, len(due)))[owner]
    inside = (at >= 0) & (at < due[owner])
    return owner[inside], at[inside]


def _moments(due: np.ndarray, owner: np.ndarray, at: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Days since the first, from places in the owners' own time."""
    # one clock for all customers, one after another: a single search, and no table of orders by stretches
    clock = np.cumsum(due).reshape(due.shape)
    whole = clock[owner, 0] - due[owner, 0] + at
    column = (np.searchsorted(clock.ravel(), whole, side="right") - owner * len(ends)).clip(0, len(ends) - 1)
    left = (clock[owner, column] - whole) / np.maximum(due[owner, column], 1e-9)
    moments: np.ndarray = ends[column] - lengths[column] * left.clip(0, 1)
    return moments


def _rebuilt(lines: ibis.Table, drawn: pd.DataFrame) -> ibis.Table:
    """Purchase lines of the simulated orders, at their new moments."""
    table = lines.inner_join(ibis.memtable(drawn), ["customer_id", "order_id"])
    return table.mutate(
        order_id=table.order_id + "-" + table["copy"].cast("string"),
        ordered_at=table.ordered_at + table.later.as_interval("s"),
    ).drop("copy", "later")

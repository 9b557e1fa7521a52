"""Customer features: one row a customer, built through Ibis from the purchases up to a stated day."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pandas as pd

from segmentkit.errors import DataError, ParameterError

DEFAULT_FEATURES = ["recency_days", "frequency", "monetary"]
PARTS_OF_DAY = {"morning": (5, 12), "afternoon": (12, 17), "evening": (17, 22)}
TRUNCATED_SHARE = 0.25
ROWS_AT_ONCE = 5_000_000


@dataclass(frozen=True)
class Window:
    """The days a feature table looks at: from ``start`` up to, not including, ``as_of``."""

    start: date
    as_of: date

    @property
    def days(self) -> int:
        """Length in days."""
        return (self.as_of - self.start).days

    @property
    def middle(self) -> datetime:
        """The moment that halves the window, for the trend."""
        return (
            datetime.combine(self.start, datetime.min.time())
            + (datetime.combine(self.as_of, datetime.min.time()) - datetime.combine(self.start, datetime.min.time()))
            / 2
        )


def window(transactions: ibis.Table, as_of: str = "", look_back: Sequence[int] = ()) -> Window:
    """The window of the data, ending at ``as_of``.

    Args:
        transactions: the shared table.
        as_of: YYYY-MM-DD, the first day not looked at; empty means the day after the last purchase.
        look_back: its length in days, as a list of one; empty means from the first purchase on. Two runs can be
            compared only where both look back equally far: orders and sales add up with every day.

    Raises:
        ParameterError: not a date, or no purchase lies before it, or it lies after the day that follows the last; or
            the data begin after the first day to look at.
    """
    return looked_back(_whole_window(transactions, as_of), look_back)


def looked_back(whole: Window, look_back: Sequence[int]) -> Window:
    """The last days of a window, as many as asked for; all of it where nothing is."""
    if not look_back:
        return whole
    if len(look_back) != 1 or look_back[0] > whole.days:
        raise ParameterError(
            f"look_back_days == {list(look_back)}; before {whole.as_of} the data hold {whole.days} days, from "
            f"{whole.start} on; give one number up to that, or bring older data"
        )
    return Window(whole.as_of - timedelta(days=look_back[0]), whole.as_of)


def _whole_window(transactions: ibis.Table, as_of: str) -> Window:
    first, last = (
        transactions.aggregate(a=transactions.ordered_at.min(), b=transactions.ordered_at.max()).execute().iloc[0]
    )
    end = (pd.Timestamp(last).normalize() + pd.Timedelta(days=1)).date()
    if not as_of:
        return Window(pd.Timestamp(first).date(), end)
    day = as_day(as_of)
    if not pd.Timestamp(first).date() < day <= end:
        raise ParameterError(
            f"as_of == {as_of}; the data run from {first:%Y-%m-%d} to {last:%Y-%m-%d}; choose up to {end}"
        )
    return Window(pd.Timestamp(first).date(), day)


def as_day(as_of: str) -> date:
    """The day a reader wrote.

    Raises:
        ParameterError: it is none.
    """
    try:
        return date.fromisoformat(as_of)
    except ValueError:
        raise ParameterError(f"as_of == {as_of!r}; it must be a day written YYYY-MM-DD") from None


def until(table: ibis.Table, seen: Window, at: str = "ordered_at") -> ibis.Table:
    """Rows inside the window: purchases, or whatever has its moment in another column."""
    start, end = (datetime.combine(day, datetime.min.time()) for day in (seen.start, seen.as_of))
    moment = table[at]
    return table.filter((moment >= ibis.literal(start)) & (moment < ibis.literal(end)))


def money(amounts: Any) -> Any:
    """Sum as decimals: exact, and the same whatever order the engine adds in."""
    return amounts.cast("decimal(18, 4)").sum().cast("float64")


def build(transactions: ibis.Table, seen: Window, *, categories: int = 8) -> pd.DataFrame:
    """Build the feature table.

    Args:
        transactions: the shared table; only the first four columns are needed, others add features.
        seen: the window; ``recency_days`` counts back from its ``as_of``.
        categories: how many of the best-selling categories get a share of their own.

    Returns:
        One row a customer, sorted by ``customer_id``: days in days, money in the source's currency, shares from
        0 to 1. Tenure counts from the first purchase in the data, even before the window. A share of nothing and a gap
        after one order are missing, not zero.

    Raises:
        DataError: no purchase lies in the window.
    """
    lines = until(transactions, seen)
    shared_out = _best_selling(lines, categories) if "category" in lines.columns and categories else {}
    parts = [_built(part, transactions, seen, shared_out) for part in in_parts(lines)]
    table = pd.concat(parts, ignore_index=True).sort_values("customer_id", ignore_index=True)
    if table.empty:
        raise DataError(f"no purchase between {seen.start} and {seen.as_of}; nothing to build features from")
    counts = table.select_dtypes("integer").columns
    return table.astype(dict.fromkeys(counts, "float64"))


def in_parts(lines: ibis.Table) -> Iterator[ibis.Table]:
    """A large table in parts of about five million rows, each customer whole in one of them.

    What is counted or summed by customer and order then fits into the memory of a laptop; the result is the same.
    """
    count = -(-int(lines.count().execute()) // ROWS_AT_ONCE)
    if count <= 1:
        yield lines
        return
    for part in range(count):
        yield lines.filter(lines.customer_id.hash().abs() % count == part)


def _built(lines: ibis.Table, transactions: ibis.Table, seen: Window, categories: dict[str, list[str]]) -> pd.DataFrame:
    orders = lines.group_by("customer_id", "order_id").aggregate(
        ordered_at=lines.ordered_at.min(), amount=money(lines.amount), lines=lines.count()
    )
    known = transactions.group_by("customer_id").aggregate(first_ever=transactions.ordered_at.min().date())
    customers = _per_customer(orders.inner_join(known, "customer_id"), seen)
    for shares in [*_shares(lines), *_category_shares(lines, categories)]:
        customers = customers.left_join(shares, "customer_id").drop("customer_id_right")
    return customers.execute()


def _per_customer(orders: ibis.Table, seen: Window) -> ibis.Table:
    as_of = ibis.literal(seen.as_of)
    late = orders.ordered_at >= ibis.literal(seen.middle)
    grouped = orders.group_by("customer_id").aggregate(
        first_order=orders.ordered_at.min().date(),
        first_ever=orders.first_ever.min(),
        last_order=orders.ordered_at.max().date(),
        frequency=orders.count(),
        monetary=money(orders.amount),
        lines_per_order=orders["lines"].mean(),
        active_months=orders.ordered_at.truncate("M").nunique(),
        late_spend=money(late.ifelse(orders.amount, 0.0)),
        weekend_share=(orders.ordered_at.day_of_week.index() >= 5).mean(),
        **{f"{part}_share": between_hours(orders.ordered_at, *hours).mean() for part, hours in PARTS_OF_DAY.items()},
    )
    span = grouped.last_order.delta(grouped.first_order, unit="day")
    return grouped.select(
        "customer_id",
        recency_days=as_of.delta(grouped.last_order, unit="day"),
        frequency=grouped.frequency,
        monetary=grouped.monetary,
        basket_value=grouped.monetary / grouped.frequency,
        lines_per_order=grouped.lines_per_order,
        mean_gap_days=(grouped.frequency > 1).ifelse(span / (grouped.frequency - 1), None),
        active_months=grouped.active_months,
        tenure_days=as_of.delta(grouped.first_ever, unit="day"),
        trend=(grouped.monetary > 0).ifelse((2 * grouped.late_spend - grouped.monetary) / grouped.monetary, None),
        weekend_share=grouped.weekend_share,
        **{f"{part}_share": grouped[f"{part}_share"] for part in PARTS_OF_DAY},
    )


def between_hours(moment: Any, low: int, high: int) -> Any:
    """Whether the local hour lies from ``low`` up to, not including, ``high``."""
    return (moment.hour() >= low) & (moment.hour() < high)


def _shares(lines: ibis.Table) -> list[ibis.Table]:
    """Discount, coupon and own-brand shares; the price before reductions is what was paid plus the reductions."""
    paid, parts = money(lines.amount), {}
    off = money(lines.discount) if "discount" in lines.columns else ibis.literal(0.0)
    coupons = money(lines.coupon_amount) if "coupon_amount" in lines.columns else ibis.literal(0.0)
    before = (paid + off + coupons).nullif(0)
    if "discount" in lines.columns:
        parts["discount_share"] = off / before
    if "coupon_amount" in lines.columns:
        parts["coupon_share"] = coupons / before
    if "own_brand" in lines.columns:
        parts["own_brand_share"] = money(lines.own_brand.ifelse(lines.amount, 0.0)) / paid.nullif(0)
    return [lines.group_by("customer_id").aggregate(**parts)] if parts else []


def _best_selling(lines: ibis.Table, categories: int) -> dict[str, list[str]]:
    """Column and categories of the best sellers; "Own brand" and "own-brand" are one column."""
    named = lines.filter(lines.category.notnull())
    sold = named.group_by("category").aggregate(sales=money(named.amount)).order_by("category").execute()
    sold["column"] = sold["category"].map(category_column)
    best = sold.groupby("column")["sales"].sum().sort_values(ascending=False, kind="stable").index[:categories]
    return {column: list(sold.loc[sold["column"] == column, "category"]) for column in sorted(best)}


def _category_shares(lines: ibis.Table, categories: dict[str, list[str]]) -> list[ibis.Table]:
    """Each customer's sales by category as a share; the best sellers one column each, the rest left out."""
    named = lines.filter(lines.category.notnull()) if categories else lines
    total = money(named.amount)
    sums = {column: money(named.category.isin(own).ifelse(named.amount, 0.0)) for column, own in categories.items()}
    shares = {column: (total > 0).ifelse(sales / total, None) for column, sales in sums.items()}
    return [named.group_by("customer_id").aggregate(**shares)] if shares else []


def category_column(category: str) -> str:
    """Column name of a category's share: ``category_meat_pckgd_share``."""
    return f"category_{word(category)}_share"


def word(text: str) -> str:
    """A value as a part of a column's name: small letters, digits and underscores."""
    return "".join(c if c.isalnum() else "_" for c in text.lower()).strip("_")


@dataclass(frozen=True)
class FirstPurchases:
    """Whether customers' first purchases were seen, or the data merely begin after them.

    Attributes:
        observed: true where tenure, cohorts, CLTV and CAC may be read.
        in_first_month: customers whose first purchase lies in the first 31 days.
        customers: all customers.
        sentence: the finding in words.
    """

    observed: bool
    in_first_month: int
    customers: int
    sentence: str


def first_purchases(features: pd.DataFrame, seen: Window) -> FirstPurchases:
    """Detect left truncation: too many customers "first" appear as the data begin.

    Data that start mid-life show a heap of first purchases in their first month. With a quarter or more of
    all customers there, tenure and cohorts are an artefact of the extract.
    """
    early = int((features["tenure_days"] > seen.days - 31).sum())
    share = early / len(features)
    observed = share < TRUNCATED_SHARE and seen.days >= 62
    told = f"{early:,} of {len(features):,} customers ({share:.0%}) first appear in the first 31 days of the data"
    sentence = (
        f"{told}: first purchases were seen, so tenure and cohorts can be read."
        if observed
        else f"{told}, since the data begin there: first purchases were not observed, so tenure, cohorts, lifetime "
        "value and acquisition cost cannot be read from them."
    )
    return FirstPurchases(observed, early, len(features), sentence)


def by_local_time(transactions: ibis.Table, seen: Window) -> pd.DataFrame:
    """Orders by weekday (0 is Monday) and local hour."""
    counted = pd.concat([_clock(part).execute() for part in in_parts(until(transactions, seen))])
    return counted.groupby(["weekday", "hour"], as_index=False)["orders"].sum()


def _clock(lines: ibis.Table) -> ibis.Table:
    orders = lines.group_by("customer_id", "order_id").aggregate(ordered_at=lines.ordered_at.min())
    moment = orders.ordered_at
    return orders.group_by(weekday=moment.day_of_week.index(), hour=moment.hour()).aggregate(orders=orders.count())


def busiest_sentence(hours: pd.DataFrame, what: str = "orders") -> str:
    """The busiest weekday and hour in words."""
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    best = hours.loc[hours[what].idxmax()]
    share = best[what] / hours[what].sum()
    return (
        f"Most {what} fall on {days[int(best['weekday'])]} from {int(best['hour'])}:00 local time ({share:.1%} of all)."
    )

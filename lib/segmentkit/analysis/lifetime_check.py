"""Customers as lifetime models want them, and the models held against purchases they had not seen."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.features import Window, money, until
from segmentkit.analysis.lifetime_models import fit_bgnbd, fit_gamma_gamma
from segmentkit.errors import DataError, ParameterError

# beyond this share of all later purchases, or of spend, the level of a lifetime value is not to be believed
LEVEL_LIMIT = 0.2
GROUPS = 8


def customers_by_day(transactions: ibis.Table, start: date, as_of: date) -> pd.DataFrame:
    """Customers as the lifetime models want them: repeat purchases count days, as in Fader and Hardie, times are weeks.

    A purchase is a day with a line above zero; returns count in the money of their day.

    Args:
        transactions: the shared table.
        start: first day; customers who bought before it are left out, as their beginning does not lie in the window.
        as_of: first day not looked at.

    Returns:
        ``customer_id, first_day, repeat_purchases, last_purchase, age, purchases, mean_spend, sales``, sorted by
        customer; ``purchases`` are days, the first included, ``mean_spend`` is money per purchase.
    """
    days = _days(transactions.filter(transactions.ordered_at < ibis.literal(pd.Timestamp(as_of).to_pydatetime())))
    customers = days.group_by("customer_id").aggregate(
        first_day=days.day.min(where=days.bought),
        last_day=days.day.max(where=days.bought),
        purchases=days.bought.cast("int64").sum(),
        sales=money(days.amount),
    )
    table = customers.filter(customers.first_day >= ibis.literal(start)).order_by("customer_id").execute()
    first, last = pd.to_datetime(table["first_day"]), pd.to_datetime(table.pop("last_day"))
    end = pd.Timestamp(as_of) - pd.Timedelta(days=1)
    return table.assign(
        first_day=first,
        repeat_purchases=table["purchases"] - 1,
        last_purchase=(last - first).dt.days / 7,
        age=(end - first).dt.days / 7,
        mean_spend=table["sales"] / table["purchases"],
    )


def _days(lines: ibis.Table) -> ibis.Table:
    return lines.group_by("customer_id", day=lines.ordered_at.date()).aggregate(
        amount=money(lines.amount), bought=(lines.amount > 0).any()
    )


@dataclass(frozen=True)
class Holdout:
    """The models fitted on the first part of the data, held against the rest.

    Attributes:
        table: ``repeat_purchases`` (groups, see ``grouped``), ``customers``, and ``actual`` and ``expected`` later
            purchases per customer.
        weeks: length of the later part.
        actual: later purchases of all customers.
        expected: the same by the model.
        spend_bias: later spend by the models over what was spent, minus 1.
        error: mean absolute error of the model, purchases per customer.
        error_own_rate: the same where everybody goes on at their own past rate.
        error_mean_rate: the same where everybody goes on at the mean past rate.
        top_model: share of later spend held by the fifth of customers the models put first.
        top_spend: the same for the fifth that had spent most.
    """

    table: pd.DataFrame
    weeks: float
    actual: float
    expected: float
    spend_bias: float
    error: float
    error_own_rate: float
    error_mean_rate: float
    top_model: float
    top_spend: float

    @property
    def bias(self) -> float:
        """Expected purchases over actual ones, minus 1."""
        return self.expected / self.actual - 1

    @property
    def believable(self) -> bool:
        """Whether purchases and spend were both expected to within 20 %."""
        return max(abs(self.bias), abs(self.spend_bias)) <= LEVEL_LIMIT

    @property
    def better_in_level(self) -> bool:
        """Whether the model's error is below both baselines'."""
        return self.error < min(self.error_own_rate, self.error_mean_rate)

    @property
    def better_in_ranking(self) -> bool:
        """Whether the model's best fifth held more of the later spend than that of plain past spend."""
        return self.top_model > self.top_spend

    @property
    def verdict(self) -> str:
        """Whether the level may be believed, in words."""
        if not self.believable:
            return f"More than {LEVEL_LIMIT:.0%} off: the level of these lifetime values must not be believed."
        return f"In all, purchases and spend are within {LEVEL_LIMIT:.0%}, so the level can be used; {self.furthest}."

    @property
    def furthest(self) -> str:
        """The group of customers whose purchases were missed by most, in words; a good total can hide it."""
        missed = (self.table["expected"] - self.table["actual"]).abs() * self.table["customers"]
        row = self.table.loc[missed.idxmax()]
        return (
            f"furthest off are the {row['customers']:,} customers with {row['repeat_purchases']} repeat purchases "
            f"({row['expected']:.2f} expected of each, {row['actual']:.2f} came)"
        )

    @property
    def sentence(self) -> str:
        """The check in words."""
        level = "better in level than either" if self.better_in_level else "no better in level"
        ranking = "better in ranking" if self.better_in_ranking else "no better in ranking"
        return (
            f"Held against the last {self.weeks:.0f} weeks, which they had not seen, the models expected "
            f"{self.expected:,.0f} purchases and {self.actual:,.0f} came ({self.bias:+.0%}; spend "
            f"{self.spend_bias:+.0%}). {self.verdict} Mean error a customer: {self.error:.2f} purchases, against "
            f"{self.error_own_rate:.2f} if all had gone on at their own past rate and {self.error_mean_rate:.2f} at "
            f"the mean rate: {level}. The fifth put first by the models held {self.top_model:.1%} of later spend, "
            f"that with most past spend {self.top_spend:.1%}: {ranking}."
        )


def holdout_check(transactions: ibis.Table, seen: Window, share: float = 0.5) -> Holdout:
    """Fit the models on the first part of the window and hold them against the rest.

    Args:
        transactions: the shared table.
        seen: the window.
        share: of its days that the models see.

    Raises:
        ParameterError: share is not between 0 and 1.
        DataError: a model cannot be fitted, or nobody bought in the later part.
    """
    middle = _cut(seen, share)
    table = customers_by_day(transactions, seen.start, middle)
    days = _days(until(transactions, Window(middle, seen.as_of)))
    later = days.group_by("customer_id").aggregate(
        later_purchases=days.bought.cast("int64").sum(), later_spend=money(days.amount)
    )
    table = table.merge(later.execute(), how="left", on="customer_id").fillna({"later_purchases": 0, "later_spend": 0})
    return hold_against(table, (seen.as_of - middle).days / 7)


def _cut(seen: Window, share: float) -> date:
    if not 0 < share < 1:
        raise ParameterError(f"share == {share}; it must lie between 0 and 1; the models see that part of the days")
    return seen.start + timedelta(days=round(seen.days * share))


def hold_against(table: pd.DataFrame, weeks: float) -> Holdout:
    """Fit the models and compare what they expect with what came.

    Args:
        table: from ``customers_by_day``, with ``later_purchases`` and ``later_spend``.
        weeks: length of the later part.

    Raises:
        DataError: a model cannot be fitted, or nobody bought later.
    """
    came, spent = (table[name].to_numpy(dtype=float) for name in ("later_purchases", "later_spend"))
    if came.sum() <= 0 or spent.sum() <= 0:
        raise DataError(f"later purchases == {came.sum():,.0f}; the models cannot be held against them; see more days")
    expected = fit_bgnbd(table).expected(weeks, table)
    money_expected = expected * fit_gamma_gamma(table).expected_spend(table)
    x, age = (table[name].to_numpy(dtype=float) for name in ("repeat_purchases", "age"))
    rates = x / np.maximum(age, 1), np.full(len(x), x.sum() / age.sum())
    shown = pd.DataFrame({"repeat_purchases": grouped(x), "actual": came, "expected": expected})
    means = shown.groupby("repeat_purchases", as_index=False, observed=True).agg(
        customers=("actual", "size"), actual=("actual", "mean"), expected=("expected", "mean")
    )
    return Holdout(
        means, weeks, float(came.sum()), float(expected.sum()), float(money_expected.sum() / spent.sum() - 1),
        *(float(np.abs(guess - came).mean()) for guess in (expected, *(rate * weeks for rate in rates))),
        *(_held_by_top_fifth(score, spent) for score in (money_expected, table["sales"].to_numpy())),
    )  # fmt: skip


def grouped(x: np.ndarray) -> pd.Categorical:
    """Customers by repeat purchases: 0 to 6 and 7+; eighths of the customers where half of them have seven or more."""
    frequent = np.median(x) >= GROUPS - 1
    lows = np.unique(np.quantile(x, np.arange(GROUPS) / GROUPS, method="higher")) if frequent else np.arange(GROUPS)
    names = [
        f"{low:.0f}" if following - low == 1 else f"{low:.0f}-{following - 1:.0f}" for low, following in pairwise(lows)
    ] + [f"{lows[-1]:.0f}+"]
    return pd.Categorical.from_codes(np.searchsorted(lows, x, side="right") - 1, names, ordered=True)


def _held_by_top_fifth(score: np.ndarray, spent: np.ndarray) -> float:
    best = np.argsort(-score, kind="stable")[: int(0.2 * len(score))]
    return float(spent[best].sum() / spent.sum())

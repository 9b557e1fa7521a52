"""Lifetime value per segment: what customers are expected to bring, with intervals and with what it rests on."""

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis.features import FirstPurchases, Window, money, until
from segmentkit.analysis.lifetime_check import Holdout, customers_by_day, holdout_check
from segmentkit.analysis.lifetime_models import BgNbd, GammaGamma, alive, fit_bgnbd, fit_gamma_gamma, spending
from segmentkit.errors import DataError, ParameterError

LAST_WEEKS = 13
PERCENT = ("alive", "retained")
DECIMALS = {"orders": 1, "sales": 2, "sales_low": 2, "sales_high": 2, "sales_so_far": 2, "value": 2, "value_low": 2}
DECIMALS |= {"value_high": 2, "margin_so_far": 2}


def possible(
    first: FirstPurchases, transactions: ibis.Table | None = None, seen: Window | None = None, share: float = 0.5
) -> str:
    """Why lifetime value cannot be computed, in words; empty where it can.

    With transactions and their window the models are tried as ``holdout_check`` and ``lifetime_value`` will.
    """
    if not first.observed:
        return f"Lifetime value is not computed: first purchases not observed. {first.sentence}"
    if transactions is None or seen is None:
        return ""
    try:
        holdout_check(transactions, seen, share)
        table = customers_by_day(transactions, seen.start, seen.as_of)
        fit_bgnbd(table), fit_gamma_gamma(table)
    except DataError as error:
        return f"Lifetime value is not computed: {error}."
    return ""


@dataclass(frozen=True)
class Lifetime:
    """What a customer of each segment is expected to bring over the horizon; acquisition cost is not subtracted.

    Attributes:
        table: one row a segment, ``all`` last; means per customer: ``orders`` and ``sales`` expected, not discounted,
            with predictive interval ``sales_low, sales_high``; ``value``, the present value of future margin, with
            ``value_low, value_high``, missing where margin is not known; ``sales_so_far`` and ``margin_so_far``
            observed; ``alive``, mean chance of being a customer still; ``retained``, of those first seen before the
            last 13 weeks the share who bought in them.
        horizon_days: how far ahead.
        annual_discount: rate a year that makes later margin worth less.
        confidence: of the intervals.
        margin_from: where the margin comes from, in words.
        frequency: the fitted BG/NBD.
        spend: the fitted Gamma-Gamma.
        check: the models held against later purchases.
        observed_days: length of the data.
        left_out: customers with a segment whose first purchase was not seen in the window.
    """

    table: pd.DataFrame
    horizon_days: int
    annual_discount: float
    confidence: float
    margin_from: str
    frequency: BgNbd
    spend: GammaGamma
    check: Holdout
    observed_days: int
    left_out: int

    @property
    def sentence(self) -> str:
        """The finding in words, with what it rests on."""
        parts = [
            f"{row.segment_key} {row.sales:,.2f} ({row.sales_low:,.2f} to {row.sales_high:,.2f})"
            for row in self.table.itertuples()
        ]
        return (
            f"Expected sales per customer over the next {self.horizon_days} days, with {self.confidence:.0%} "
            f"intervals that take the models as true: {', '.join(parts)}. {self._value}{self.margin_from}; discount "
            f"{self.annual_discount:.0%} a year; acquisition cost is not subtracted. {self.check.verdict} "
            f"{self._limits}".strip()
        )

    @property
    def _value(self) -> str:
        whole = self.table.iloc[-1]
        return f"Present value of future margin, all: {whole['value']:,.2f}. " if pd.notna(whole["value"]) else ""

    @property
    def _limits(self) -> str:
        told = []
        if self.horizon_days > 2 * self.observed_days:
            told.append(
                f"The horizon is more than twice the {self.observed_days} days observed: this is extrapolation."
            )
        if np.isfinite(self.spend.correlation):
            told.append(
                "The models take spend per purchase as unrelated to the number of purchases; the rank correlation is "
                f"{self.spend.correlation:.2f}."
            )
        if self.frequency.held or self.spend.held:
            told.append("The data do not tell every parameter (nobody stops, or all are alike); those are held fixed.")
        if self.spend.left_out:
            told.append(
                f"Returns outweigh the purchases of {self.spend.left_out:,} customers: their spend is not fitted on."
            )
        if self.left_out:
            told.append(f"{self.left_out:,} customers without a first purchase in the window are left out.")
        return " ".join(told)


def lifetime_value(
    transactions: ibis.Table,
    segments: pd.DataFrame,
    seen: Window,
    first: FirstPurchases,
    check: Holdout,
    *,
    horizon_days: int,
    annual_discount: float,
    margin_rate: float | None,
    confidence: float,
    draws: int,
    seed: int,
    margin_from: str = "measured",
) -> Lifetime:
    """Expected sales and present value of future margin per segment, with predictive intervals of the segment's mean.

    The intervals hold both that the parameters are estimated (normal on the log scale) and that customers buy by
    chance; they assume that the models are true, which ``check`` judges.

    Args:
        transactions: the shared table; with a ``margin`` column margin is measured.
        segments: ``customer_id, segment_key``.
        seen: the window.
        first: whether first purchases were seen.
        check: from ``holdout_check``.
        horizon_days: how far ahead.
        annual_discount: rate a year, .1 for ten per cent; applied to the middle of every month.
        margin_rate: the analyst's margin as a share of sales, where none is measured; None where not known.
        confidence: of the intervals.
        draws: simulated futures.
        seed: the same seed gives the same intervals.
        margin_from: where the margin on purchases comes from, in words.

    Raises:
        DataError: first purchases were not observed, or a model cannot be fitted.
        ParameterError: horizon or discount below zero.
    """
    if not first.observed:
        raise DataError(possible(first))
    if horizon_days <= 0 or annual_discount < 0:
        raise ParameterError(
            f"horizon_days == {horizon_days}, annual_discount == {annual_discount}; the first must be above 0, the "
            "second 0 or more, e.g. 365 and 0.1"
        )
    customers = customers_by_day(transactions, seen.start, seen.as_of)
    frequency, spend = fit_bgnbd(customers), fit_gamma_gamma(customers)
    table = customers.merge(segments[["customer_id", "segment_key"]], on="customer_id", validate="1:1")
    rates, told = margin_rates(transactions, table, seen, margin_rate, margin_from)
    per_purchase = spend.expected_spend(table)
    table["orders"] = frequency.expected(horizon_days / 7, table)
    table["sales_expected"] = table["orders"] * per_purchase
    table["alive"] = frequency.alive(table)
    table["discounted"] = _discounted(frequency, table, horizon_days, annual_discount) * per_purchase
    rng = np.random.default_rng([seed, 73])
    codes, keys = pd.factorize(table["segment_key"], sort=True)
    futures = _futures(table, codes, frequency, spend, horizon_days / 7, draws, rng)
    rows = _rows(table, list(keys), futures, rates, confidence)
    return Lifetime(
        rows, horizon_days, annual_discount, confidence, told, frequency, spend, check, seen.days,
        len(segments) - len(table),
    )  # fmt: skip


def margin_rates(
    transactions: ibis.Table, customers: pd.DataFrame, seen: Window, margin_rate: float | None, known: str = "measured"
) -> tuple["pd.Series[float]", str]:
    """Margin as a share of sales per segment, and where it comes from, in words.

    Args:
        transactions: the shared table; where it has ``margin``, lines with a margin are measured.
        customers: ``customer_id, segment_key``.
        seen: the window.
        margin_rate: the analyst's, where none is measured; None where not known.
        known: where the margin on purchases comes from, in words.
    """
    keys = sorted(customers["segment_key"].unique())
    if "margin" not in transactions.columns:
        told = "Margin: not known" if margin_rate is None else f"Margin: {margin_rate:.0%} of sales, assumed by you"
        return pd.Series(np.nan if margin_rate is None else margin_rate, index=keys), told
    lines = until(transactions, seen)
    lines = lines.filter(lines.margin.notnull())
    sums = lines.group_by("customer_id").aggregate(margin=money(lines.margin), sold=money(lines.amount)).execute()
    sums = sums.merge(customers[["customer_id", "segment_key"]], on="customer_id").groupby("segment_key")
    return (sums["margin"].sum() / sums["sold"].sum()).reindex(keys), f"Margin: {known}"


def _discounted(frequency: BgNbd, table: pd.DataFrame, days: int, discount: float) -> np.ndarray:
    """Expected purchases, those of later months worth less."""
    edges = np.append(np.arange(0, days, 365.25 / 12), days)
    reached = np.array([frequency.expected(edge / 7, table) for edge in edges[1:]])
    worth = (1 + discount) ** -((edges[:-1] + edges[1:]) / 2 / 365.25)
    found: np.ndarray = worth @ np.diff(reached, axis=0, prepend=0)
    return found


def _futures(
    table: pd.DataFrame, codes: np.ndarray, frequency: BgNbd, spend: GammaGamma, weeks: float, draws: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Sales of each segment in each simulated future; shape (draws, segments)."""
    purchases, spent = spending(table)
    x, last, age = (table[name].to_numpy(dtype=float) for name in ("repeat_purchases", "last_purchase", "age"))
    found = np.empty((draws, codes.max() + 1))
    for i, (one, (p, q, v)) in enumerate(zip(frequency.draw(draws, rng), spend.draw(draws, rng), strict=True)):
        r, alpha, a, b = one
        living = rng.random(len(x)) < alive(one, x, last, age)
        come = rng.poisson(rng.gamma(r + x, weeks / (alpha + age)))
        # purchases until the customer stops, the last one included
        orders = living * np.minimum(come, rng.geometric(np.maximum(rng.beta(a, b + x), 1e-9)))
        sales = rng.gamma(p * orders) * (v + spent) / rng.gamma(p * purchases + q)
        found[i] = np.bincount(codes, sales)
    return found


def _rows(
    table: pd.DataFrame, keys: list[str], futures: np.ndarray, rates: "pd.Series[float]", confidence: float
) -> pd.DataFrame:
    """Means per customer of every segment and of all, with the intervals of the simulated futures."""
    rate, silent = table["segment_key"].map(rates), table["age"] - table["last_purchase"]
    table = table.assign(
        margin_so_far=table["sales"] * rate,
        value=table["discounted"] * rate,
        retained=(silent <= LAST_WEEKS).astype(float).where(table["age"] > LAST_WEEKS),
    )
    both = pd.concat([table, table.assign(segment_key="all")]).groupby("segment_key")
    columns = ["orders", "sales_expected", "value", "sales", "margin_so_far", "alive", "retained"]
    means = both[columns].mean().assign(customers=both.size()).loc[[*keys, "all"]]
    means = means.rename(columns={"sales": "sales_so_far", "sales_expected": "sales"})
    # discount and margin weigh hardly differently from one future to the next, so each segment's own ratio serves
    ratio = (means["value"] / means["sales"])[keys].to_numpy()
    edges = [(1 - confidence) / 2, (1 + confidence) / 2]
    for name, each in (("sales", futures), ("value", futures * ratio)):
        totals = np.column_stack([each, each.sum(axis=1)]) / means["customers"].to_numpy()
        means[f"{name}_low"], means[f"{name}_high"] = np.quantile(totals, edges, axis=0)
    shown = ["customers", "orders", "sales", "sales_low", "sales_high", "sales_so_far", "value", "value_low"]
    shown += ["value_high", "margin_so_far", "alive", "retained"]
    return means.reset_index()[["segment_key", *shown]]

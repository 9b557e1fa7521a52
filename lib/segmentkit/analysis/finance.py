"""The statement for a finance reader: the ledger down to the segments, and every money figure with its source."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from segmentkit.analysis import roi
from segmentkit.analysis.acquisition import Acquisition
from segmentkit.analysis.budget import Allocation
from segmentkit.analysis.lifetime import Lifetime
from segmentkit.analysis.randomised import Test

DECIMALS = {"value": 2, "low": 2, "high": 2}
COLUMNS = ["figure", "value", "low", "high", "source", "basis"]
SOURCES = ("measured", "estimated", "not proven", "stated by the source", "assumed by you", "not known")
Row = tuple[str, float | None, float | None, float | None, str, str]


def bridge(read: Sequence[Mapping[str, Any]], in_window: float, by_segment: float) -> pd.DataFrame:
    """From the money in the ledger to the money in the segments: ``step, amount``.

    Args:
        read: steps of 01, from the source to what is analysed.
        in_window: sales in the days the segments look at.
        by_segment: sales of all segments together.

    Returns:
        Every step; what is left at each stop is the stop before less what is named between them.
    """
    amounts = {row["step"]: float(row["amount"]) for row in read}
    in_window, by_segment = round(in_window, 2), round(by_segment, 2)
    rows = [
        *amounts.items(),
        ("outside the days looked at", round(amounts["analysed"] - in_window, 2)),
        ("in the window", in_window),
        ("customers without a segment", round(in_window - by_segment, 2)),
        ("in the segments", by_segment),
    ]
    return pd.DataFrame(rows, columns=["step", "amount"])


def statement(
    *,
    worth: pd.DataFrame,
    margin: str,
    tests: Sequence[Test],
    not_proven: pd.DataFrame,
    outlook: Lifetime | None,
    refused: str,
    acquired: Acquisition | None,
    no_cac: str,
    allocation: Allocation | None,
    tested: str = "",
    assumed: Mapping[str, float | None] | None = None,
    growth: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Every money figure of the run: ``figure, value, low, high, source, basis``.

    ``source`` is one of ``SOURCES``; ``basis`` says where the figure comes from. A figure that is not known has a row
    too: a blank would be filled with a wish.

    Args:
        worth: observed value by segment.
        margin: where the margin comes from.
        tests: campaigns by lot; simulated ones stay out.
        not_proven: the fixed rows of campaigns whose effect is not identified.
        outlook: lifetime value; None where refused.
        refused: why it was.
        acquired: acquisition cost; None where not known.
        no_cac: why it is not.
        allocation: the budget; None where nothing can be allocated.
        tested: the campaign that the budget rests on.
        assumed: figures set by parameters, by name; None where not set.
        growth: potential sales from market sizes somebody stated.
    """
    rows = [
        _row(f"sales of segment {one.segment_key}", one.sales, "purchases in the window") for one in worth.itertuples()
    ]
    rows += [_of_test(test, one) for test in tests for one in test.table.itertuples()]
    rows += [row for test in tests for row in _of_whole_test(test)]
    rows += [row for one in not_proven.to_dict("records") for row in _of_unproven(one)]
    money_from = next((test.money_from for test in tests if test.campaign_id == tested), "")
    rows += _of_lifetime(outlook, refused) + _of_acquisition(acquired, no_cac) + _of_budget(allocation, money_from)
    for name, figure in (assumed or {}).items():
        rows += [_row(name, figure, "a parameter of this run", source="assumed by you")] if figure is not None else []
    for one in growth.itertuples() if growth is not None else ():
        basis = f"a market of {one.market:,} customers who buy like those of today"
        rows.append(
            _row(f"potential sales of segment {one.segment_key}", one.potential_sales, basis, source="assumed by you")
        )
    if margin.startswith("not known"):
        why = margin.partition(": ")[2] or "neither in the purchases nor stated"
        rows.append(_row("margin", None, why, source="not known"))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(
    figure: str, value: float | None, basis: str, *, source: str = "measured", of: Any = None, name: str = ""
) -> Row:
    """One line; the interval is taken from ``of`` by the name of its columns."""
    low, high = (getattr(of, f"{name}_{end}") if of is not None else None for end in ("low", "high"))
    return figure, value, low, high, source, basis


def _of_test(test: Test, one: Any) -> Row:
    what, prefix = ("net benefit", "net_benefit") if test.value == "net_benefit" else ("extra sales", "sales")
    figure, basis = f"{what} per customer, {test.name}, {one.segment_key}", f"by lot; {test.money_from}"
    if pd.isna(getattr(one, f"{prefix}_low")):
        return _row(figure, None, one.why or "no interval", source="not known")
    return _row(figure, getattr(one, test.value), basis, source="estimated", of=one, name=prefix)


def _of_whole_test(test: Test) -> list[Row]:
    """Return on cost, a share of the cost and no amount, and what one more buyer cost; of all customers together."""
    one, rows, basis = test.overall, [], f"by lot; {test.money_from}"
    if pd.notna(one.get("roi")):
        free = " Its interval has no bounds." if one["roi_unbounded"] else ""
        told = f"(extra profit - cost) / cost, so 0.50 is half of the cost on top;{free} {basis}"
        span = None if pd.isna(one["roi_low"]) else one
        known = "estimated" if span is not None or free else "not known"
        value = one["roi"] if known == "estimated" else None
        rows.append(_row(f"return on cost, {test.name}, all", value, told, source=known, of=span, name="roi"))
    if pd.notna(one.get("cost")):
        figure, sure = f"cost per extra buyer, {test.name}, all", one["conversion_low"] > 0
        if not sure:
            return [*rows, _row(figure, None, roi.per_extra_buyer(one, one["cost"]), source="not known")]
        ends = [one["cost"] / one[f"conversion_{end}"] for end in ("difference", "high", "low")]
        rows.append((figure, *ends, "estimated", basis))
    return rows


def _of_unproven(one: Mapping[str, Any]) -> list[Row]:
    name, even = f"campaign {one['campaign_id']}", one["break_even_sales"]
    source = (
        "not known"
        if pd.isna(even)
        else "assumed by you"
        if "assumed" in one["break_even_from"]
        else "stated by the source"
    )
    credited = one["credited_sales"]
    answers = ("sales of those who answered", "not proven") if pd.notna(credited) else ("no responses", "not known")
    adjusted = (
        f"adjusted effect on sales per customer (range over models), {name}",
        None,
        one["adjusted_low"],
        one["adjusted_high"],
    )
    return [
        _row(f"credited sales, {name}", credited, answers[0], source=answers[1]),
        (*adjusted, "not proven", f"checks failed: {one['failed']}"),
        _row(f"return on cost, {name}", None, "effect not identified", source="not known"),
        _row(f"break-even sales per contact, {name}", even, one["break_even_from"], source=source),
    ]


def _of_lifetime(outlook: Lifetime | None, refused: str) -> list[Row]:
    if outlook is None:
        return [_row("lifetime value", None, refused, source="not known")]
    held = outlook.check.verdict.partition(";")[0]
    basis = f"BG/NBD and Gamma-Gamma, next {outlook.horizon_days} days, held against later purchases. {held}"
    worth = f"{basis}. {outlook.margin_from}; discount {outlook.annual_discount:.0%} a year"
    rows = []
    for one in outlook.table.itertuples():
        key = one.segment_key
        rows.append(
            _row(f"expected sales per customer, {key}", one.sales, basis, source="estimated", of=one, name="sales")
        )
        figure = f"lifetime value per customer, {key}"
        if pd.notna(one.value):
            rows.append(_row(figure, one.value, worth, source="estimated", of=one, name="value"))
        else:
            rows.append(_row(figure, None, outlook.margin_from, source="not known"))
    return rows


def _of_acquisition(acquired: Acquisition | None, no_cac: str) -> list[Row]:
    if acquired is None:
        return [_row("acquisition cost", None, no_cac, source="not known")]
    name, basis = "acquisition cost per new customer", acquired.money_from
    return [
        _row(f"{name}, {one.channel}", one.cac, basis, source="stated by the source")
        for one in acquired.channels.itertuples()
    ]


def _of_budget(allocation: Allocation | None, money_from: str) -> list[Row]:
    if allocation is None or allocation.verdict == "not known":
        why = "no campaign by lot with margin and cost" if allocation is None else allocation.sentence
        return [_row("expected profit of the next campaign", None, why, source="not known")]
    basis = f"a campaign by lot, shrunk, at its costs; {money_from}"
    plans = allocation.plans.assign(profit_low=allocation.plans["low"], profit_high=allocation.plans["high"])
    return [
        _row(f"expected profit, {one.plan}", one.profit, basis, source="estimated", of=one, name="profit")
        for one in plans.itertuples()
    ]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows for the metrics, what is missing as None."""
    found: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")
    return found


def sentence(table: pd.DataFrame) -> str:
    """How many figures come from where."""
    counts = table["source"].value_counts()
    parts = [f"{counts[source]} {source}" for source in SOURCES if source in counts]
    return f"{len(table)} money figures: {', '.join(parts)}."

"""Trends per segment, the history of a team's key figures, and what tests have taught."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from segmentkit.analysis.clustering import Segmentation
from segmentkit.analysis.features import Window, money, until
from segmentkit.analysis.identity import translate
from segmentkit.analysis.looks import Look, table_of
from segmentkit.analysis.rules import Beside

MOST_WEEKS, FEWEST_WEEKS = 13, 6
MONTH = 28 / 7
TREND_COLUMNS = ["segment_key", "customers", "weeks", "per_week", "trend", "low", "high", "p_holm", "word"]
LESSON_COLUMNS = ["campaign_id", "then", "now", "word", "low", "high", "lesson"]


def trends(
    transactions: ibis.Table,
    data_start: date,
    seen: Window,
    model: Segmentation,
    *,
    categories: int,
    confidence: float,
    beside: Beside | None = None,
) -> pd.DataFrame:
    """Weekly sales per customer of each segment, as it stood before those weeks began.

    The segments are frozen by the saved model on a window just as long, which ends where the weeks begin; there are as
    many weeks, up to 13, as the data leave room for. The slope is by least squares; its standard error is the larger of
    the plain one and Newey and West's with one lag, which alone is too small with so few weeks. The word goes by Holm
    over the segments. ``beside`` has attributes and contacts, where the segmentation needs them.

    Returns:
        ``segment_key, customers, weeks, per_week, trend, low, high, p_holm, word``; ``per_week`` is money per customer,
        ``trend`` a share of it per four weeks. Without six weeks of room, no rows.
    """
    room = (seen.start - data_start).days // 7
    weeks = min(MOST_WEEKS, room)
    if weeks < FEWEST_WEEKS:
        return pd.DataFrame(columns=TREND_COLUMNS)
    begin = seen.as_of - timedelta(days=7 * weeks)
    before = table_of(transactions, Window(begin - timedelta(days=seen.days), begin), beside, categories)
    if any(name not in before for name in model.scaling.features):
        return pd.DataFrame(columns=TREND_COLUMNS)
    frozen = model.assign(model.complete(before))
    lines = until(transactions, Window(begin, seen.as_of))
    week = lines.ordered_at.date().delta(ibis.literal(begin), unit="day") // 7
    sold = lines.group_by("customer_id", week=week).aggregate(sales=money(lines.amount)).execute()
    sold = sold.merge(frozen, on="customer_id")
    table = sold.pivot_table(index="segment_key", columns="week", values="sales", aggfunc="sum")
    table = table.reindex(columns=range(weeks)).fillna(0.0)
    sizes = frozen["segment_key"].value_counts()
    rows = [_trend(key, table.loc[key].to_numpy() / sizes[key], int(sizes[key]), confidence) for key in table.index]
    found = pd.DataFrame([row for row in rows if row], columns=[*TREND_COLUMNS[:7], "p"])
    if found.empty:
        return pd.DataFrame(columns=TREND_COLUMNS)
    found["p_holm"] = multipletests(found["p"], method="holm")[1]
    sure = found["p_holm"] <= 1 - confidence
    found["word"] = np.where(sure, np.where(found["trend"] > 0, "growing", "shrinking"), "no trend to be seen")
    return found[TREND_COLUMNS]


def _trend(key: str, weekly: np.ndarray, customers: int, confidence: float) -> tuple[Any, ...] | None:
    level = weekly.mean()
    if level <= 0:
        return None
    design = sm.add_constant(np.arange(len(weekly), dtype=float))
    plain = sm.OLS(weekly / level, design).fit()
    robust = plain.get_robustcov_results("HAC", maxlags=1, use_correction=True)
    slope, error, freedom = plain.params[1], max(plain.bse[1], robust.bse[1]), len(weekly) - 2
    reach = student.ppf((1 + confidence) / 2, freedom) * error
    p = float(2 * student.sf(abs(slope) / error, freedom)) if error > 0 else 1.0
    return key, customers, len(weekly), level, slope * MONTH, (slope - reach) * MONTH, (slope + reach) * MONTH, p


def trends_sentence(table: pd.DataFrame) -> str:
    """Trends in words."""
    if table.empty:
        return (
            f"No trend can be read: segments must be frozen {FEWEST_WEEKS} weeks or more before the end, on a window "
            "as long, and the data do not reach back that far."
        )
    parts = [
        f"{row.segment_key} {round(row.trend, 3) + 0.0:+.1%} ({row.low:+.1%} to {row.high:+.1%}): {row.word}"
        for row in table.itertuples()
    ]
    return (
        f"Sales per customer per four weeks, over the last {table['weeks'].iloc[0]} weeks, segments as they stood "
        f"before: {'; '.join(parts)}."
    )


def history(run: str, look: Look, facts: Mapping[str, Any], earlier: pd.DataFrame | None) -> pd.DataFrame:
    """Key figures of this run after those of the runs before it.

    Returns:
        ``run, as_of, segment_key, customers, sales, verdict``; ``all`` is everybody.
    """
    grouped = look.customers.groupby("segment_key")["sales"].agg(customers="size", sales="sum").reset_index()
    total = {"segment_key": "all", "customers": len(look.features), "sales": float(look.features["monetary"].sum())}
    now = pd.concat([grouped, pd.DataFrame([total])], ignore_index=True)
    now = now.assign(run=run, as_of=str(look.seen.as_of), verdict=facts.get("verdict", ""))
    now = now[["run", "as_of", "segment_key", "customers", "sales", "verdict"]]
    if earlier is None:
        return now
    table = pd.concat([earlier[earlier["run"] != run], now], ignore_index=True)
    return table.sort_values("as_of", kind="stable", ignore_index=True)


def history_sentence(table: pd.DataFrame) -> str:
    """The whole history in words."""
    total = table[table["segment_key"] == "all"]
    if len(total) < 2:
        return "This run begins the history; the next one, run with --like, adds a line."
    first, last = total.iloc[0], total.iloc[-1]
    return (
        f"{len(total)} runs: from {first['run']} (to {first['as_of']}) to {last['run']} (to {last['as_of']}) customers "
        f"went from {first['customers']:,} to {last['customers']:,}, sales in the window from {first['sales']:,.2f} to "
        f"{last['sales']:,.2f}."
    )


_LESSONS = {
    "scale": "it paid: send this offer to {now} again, and keep a hold-out",
    "sells more": "it sold more; whether it paid is not known until margin and cost are stated: {now}",
    "sells less": "it sold less: take {now} off the list for this offer",
    "stop": "it cost more than it brought: take {now} off the list for this offer",
    "test more": "not settled: test {now} again with more customers, or a stronger offer",
    "cannot tell": "too few bought to tell: test {now} only together with others",
}


def lessons(tests: Sequence[Mapping[str, Any]], frozen: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """What each test by lot says about the segments of today.

    A test was read by segments frozen before it began, with letters of their own. Each is matched to today's segments
    by the customers they share; where none matches, no lesson is carried over.

    Args:
        tests: of 05, as in its metrics.
        frozen: ``campaign_id, customer_id, segment_key``.
        segments: today's ``customer_id, segment_key``.

    Returns:
        ``campaign_id, then, now, word, low, high, lesson``; money per customer, ``now`` empty where none matches.
    """
    today, rows = segments.set_index("customer_id")["segment_key"], []
    named = [test["campaign_id"] for test in tests]
    for test in tests:
        several = named.count(test["campaign_id"]) > 1
        name = f"{test['campaign_id']} ({test['arm']})" if several else str(test["campaign_id"])
        own = frozen[frozen["campaign_id"] == test["campaign_id"]].set_index("customer_id")["segment_key"]
        same = translate(own, today)
        prefix = str(test["value"]).removesuffix("_difference")
        for row in test["rows"]:
            if row["segment_key"] != "all" and test["ratio_fits"]:
                rows.append(_lesson(name, row, prefix, same.get(row["segment_key"], "")))
    return pd.DataFrame(rows, columns=LESSON_COLUMNS)


def _lesson(campaign: str, row: Mapping[str, Any], prefix: str, now: str) -> tuple[Any, ...]:
    told = _LESSONS.get(row["word"], "state margin and cost, and the test can be read in money").format(now=now)
    if not now:
        told = "no segment of today holds these customers; read the test by its own segments"
    return campaign, row["segment_key"], now, row["word"], row[f"{prefix}_low"], row[f"{prefix}_high"], told


def to_do(table: pd.DataFrame) -> list[str]:
    """The lessons that ask for something to be done."""
    told = table[table["word"].isin(["scale", "stop"]) & (table["now"] != "")]
    return lessons_sentences(told) if len(told) else []


def lessons_sentences(table: pd.DataFrame) -> list[str]:
    """One sentence a lesson."""
    return [
        f"{row.campaign_id}, segment {row.then} then{f', {row.now} now' if row.now else ''}: {row.lesson}."
        for row in table.itertuples()
    ] or ["No campaign decided by lot has been read, so there is nothing to learn from yet."]

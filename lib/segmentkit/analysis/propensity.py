"""Likely buyers of a category that is new to them: a calibrated probability, or none.

Learned up to one cut of the days, judged on the period after it, then learned again up to the last cut for today's
customers. Without a gain over the base rate on the later period, or without calibration there, nobody gets a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis import features
from segmentkit.analysis.features import Window
from segmentkit.analysis.propensity_check import BETTER, TOO_FEW, Judged, Sample, judge, predict
from segmentkit.analysis.sensitive import Refused, refused
from segmentkit.errors import DataError, ParameterError

SHARES, FEW = 8, 10
REST = "everything else"


@dataclass(frozen=True)
class LikelyBuyers:
    """All categories that were tried, and those that were refused.

    Attributes:
        judged: one a category.
        screened: which names may be used.
        told: the days and how they were cut, in words.
    """

    judged: tuple[Judged, ...]
    screened: Refused
    told: str

    @property
    def tested(self) -> tuple[Judged, ...]:
        """Those with enough buyers to be judged, and to be drawn."""
        return tuple(one for one in self.judged if one.verdict != TOO_FEW)

    @property
    def scores(self) -> pd.DataFrame | None:
        """``customer_id, category, probability`` of the categories that may be used; None where there is none."""
        usable = [one.scores for one in self.judged if one.scores is not None]
        return pd.concat(usable, ignore_index=True) if usable else None

    @property
    def sentence(self) -> str:
        """How it was judged, every verdict, and what was refused."""
        return " ".join([self.told, *self.sentences])

    @property
    def sentences(self) -> list[str]:
        """What became of each category."""
        found = [f"{one.sentence} {one.in_practice}".strip() for one in self.judged]
        return found or ["No category was bought for the first time, so none was tried."]

    def by_segment(self, segments: pd.DataFrame) -> pd.DataFrame:
        """Mean probability and expected buyers of each segment; missing where a category has no scores.

        Args:
            segments: ``customer_id, segment_key``.

        Returns:
            ``segment_key, category, probability, expected_buyers, customers`` (who do not have it), ``verdict``.
        """
        keys = pd.Index(sorted(segments["segment_key"].unique(), key=lambda key: (len(key), key)), name="segment_key")
        rows = []
        for one in self.judged:
            known = one.scores if one.scores is not None else pd.DataFrame(columns=["customer_id", "probability"])
            grouped = segments.merge(known, on="customer_id", validate="1:1").groupby("segment_key")["probability"]
            table = grouped.agg(probability="mean", expected_buyers="sum", customers="size").reindex(keys)
            table = table.mask(table["customers"] < FEW)
            rows.append(table.reset_index().assign(category=one.category, verdict=one.verdict))
        columns = ["segment_key", "category", "probability", "expected_buyers", "customers", "verdict"]
        if not rows:
            return pd.DataFrame(columns=columns)
        table = pd.concat(rows)[columns].sort_values("segment_key", kind="stable", ignore_index=True)
        return table.astype(dict.fromkeys(columns[2:5], "float64"))


def possible(transactions: ibis.Table, seen: Window, **options: Any) -> tuple[str, LikelyBuyers | None]:
    """As ``likely_buyers``, or the reason why the data allow nothing of the kind."""
    try:
        return "", likely_buyers(transactions, seen, **options)
    except DataError as refusal:
        return f"Likely buyers are not foretold: {refusal}.", None


def likely_buyers(
    transactions: ibis.Table,
    seen: Window,
    *,
    horizon_days: int,
    categories: Sequence[str] = (),
    most: int = 3,
    allowed: Sequence[str] = (),
    also_sensitive: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int,
) -> LikelyBuyers:
    """Probabilities that customers who have not bought a category will, judged on a later period.

    Sensitive categories are not scored unless allowed by name, and never used to score others.

    Args:
        transactions: the shared table with ``category``; a line of more than nothing is a purchase.
        seen: the days looked at. The last two horizons serve to learn and to judge; what is left is the look-back.
        horizon_days: days within which the first purchase is predicted.
        categories: names to try; empty means those with most first-time buyers in the earlier period.
        most: how many are tried where none is named.
        allowed: texts ``CATEGORY: reason``, each of which allows one sensitive category.
        also_sensitive: categories that are sensitive though the table of words does not know them.
        confidence: of every interval.
        seed: the same seed gives the same folds.

    Raises:
        DataError: no categories, or fewer days than three horizons.
        ParameterError: a category is not in the data.
        PrivacyStop: a category named is sensitive and not allowed.
    """
    if "category" not in transactions.columns:
        raise DataError("columns of transactions hold no category; bring one, or leave likely buyers out")
    looks, days = _looks(seen, horizon_days), timedelta(days=horizon_days)
    names = sorted(transactions.category.as_table().distinct().execute()["category"].dropna())
    screened = refused(names, allowed, also_sensitive)
    unknown = sorted(set(categories) - set(names))
    if unknown:
        raise ParameterError(f"categories == {list(categories)}; {unknown} are not in the data; mend the names")
    screened.stop_at(categories)
    after = [Window(look.as_of, look.as_of + days) for look in looks[:2]]
    tried = list(dict.fromkeys(categories)) or _first_bought(transactions, looks[0], after[0], screened.free)[:most]
    shared = _best_sellers(transactions, looks[0], [name for name in screened.free if name not in screened.allowed])
    known = [_known(transactions, look, shared) for look in looks]
    before, later = ([_bought(transactions, span, tried) for span in spans] for spans in (looks, after))
    judged = []
    for category in tried:
        samples = [_sample(*parts, category) for parts in zip(known, before, [*later, None], strict=True)]
        judged.append(_with_scores(judge(category, *samples[:2], confidence=confidence, seed=seed), samples, seed))
    return LikelyBuyers(tuple(judged), screened, _told(looks, horizon_days, screened))


# --- tables from the purchases


def _looks(seen: Window, horizon_days: int) -> list[Window]:
    """Three looks back of one length: to learn, to judge, and today's."""
    length = seen.days - 2 * horizon_days
    if not 0 < horizon_days <= length:
        raise DataError(
            f"horizon_days == {horizon_days}; the {seen.days} days from {seen.start} to {seen.as_of} allow up to "
            f"{seen.days // 3}; choose fewer days or bring older data"
        )
    ends: list[date] = [seen.as_of - timedelta(days=back * horizon_days) for back in (2, 1, 0)]
    return [Window(end - timedelta(days=length), end) for end in ends]


def _lines(transactions: ibis.Table, span: Window) -> ibis.Table:
    """Customers and categories bought in the days."""
    lines = features.until(transactions, span)
    return lines.filter((lines.amount > 0) & lines.category.notnull())


def _first_bought(transactions: ibis.Table, look: Window, after: Window, names: Sequence[str]) -> list[str]:
    """Categories by first-time buyers after the look, among its customers; most first."""
    both = ["customer_id", "category"]
    before, later = (_lines(transactions, span).select(both).distinct() for span in (look, after))
    new = later.anti_join(before, both).semi_join(features.until(transactions, look), "customer_id")
    new = new.filter(new.category.isin(list(names)))
    counted = new.group_by("category").aggregate(buyers=new.count())
    return list(counted.order_by(ibis.desc("buyers"), "category").execute()["category"])


def _best_sellers(transactions: ibis.Table, look: Window, names: Sequence[str]) -> list[str]:
    lines = _lines(transactions, look)
    lines = lines.filter(lines.category.isin(list(names)))
    sold = lines.group_by("category").aggregate(sales=features.money(lines.amount))
    return list(sold.order_by(ibis.desc("sales"), "category").limit(SHARES).execute()["category"])


def _known(transactions: ibis.Table, look: Window, shared: Sequence[str]) -> pd.DataFrame:
    """Features of one look; nothing before it counts, not even for the tenure, so that all looks see equally far."""
    lines = features.until(transactions, look)
    broad = lines.group_by("customer_id").aggregate(categories_bought=lines.category.nunique()).execute()
    kind = lines.category.isin(list(shared)).ifelse(lines.category, REST)
    table = features.build(lines.mutate(category=kind), look, categories=len(shared) + 1)
    columns = [name for name in table if not name.startswith("category_")]
    shares = dict.fromkeys(features.category_column(name) for name in shared)
    return table.reindex(columns=[*columns, *shares]).merge(broad, on="customer_id", how="left", validate="1:1")


def _bought(transactions: ibis.Table, span: Window, names: Sequence[str]) -> dict[str, set[str]]:
    """Buyers in the days, by category."""
    lines = _lines(transactions, span)
    own = lines.filter(lines.category.isin(list(names)))
    pairs = own.select("customer_id", "category").distinct().execute()
    return {name: set(own) for name, own in pairs.groupby("category")["customer_id"]}


def _sample(
    known: pd.DataFrame, before: dict[str, set[str]], after: dict[str, set[str]] | None, category: str
) -> Sample:
    new = known[~known["customer_id"].isin(before.get(category, set()))].reset_index(drop=True)
    later = set() if after is None else after.get(category, set())
    return Sample(new, np.empty(0, bool) if after is None else new["customer_id"].isin(later).to_numpy(dtype=bool))


def _with_scores(found: Judged, samples: Sequence[Sample], seed: int) -> Judged:
    """Today's probabilities, learned on the later period, where the verdict allows any."""
    _, latest, today = samples
    if found.verdict != BETTER or today.known.empty:
        return found
    table = today.known[["customer_id"]].assign(category=found.category, probability=predict(latest, today, seed))
    return replace(found, scores=table)


def _told(looks: Sequence[Window], horizon_days: int, screened: Refused) -> str:
    learn, later, today = (look.as_of for look in looks)
    return (
        f"Learned from {looks[0].days} days before {learn} and first purchases in the {horizon_days} days after; "
        f"judged on first purchases in the {horizon_days} days from {later}; scores look from {today} on, "
        f"and that those days will be like these is assumed. {screened.sentence}"
    )

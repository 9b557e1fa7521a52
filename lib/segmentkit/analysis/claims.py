"""What is known of one segment: its persona, value, channel, times, prices and categories, each as one claim.

What is not known keeps its claim, marked ``no evidence``, and says which table or column would tell.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segmentkit.analysis.buying_times import ANY, Times
from segmentkit.analysis.category_lift import BEATS, NO_EVIDENCE, OVER, UNDER, Categories, lean, times
from segmentkit.analysis.channel_answers import Channels
from segmentkit.analysis.features import category_column
from segmentkit.analysis.personas import A_FIFTH_MORE

MEASURED, ESTIMATED, STATED, ASSUMED, HYPOTHESIS = "measured", "estimated", "stated", "assumed", "hypothesis"
STATUSES = (MEASURED, ESTIMATED, STATED, ASSUMED, HYPOTHESIS, NO_EVIDENCE)
NAMED = 3


@dataclass(frozen=True)
class Claim:
    """One thing said of one segment.

    Attributes:
        element: what it is about, such as ``channel``.
        claim: one sentence, figures included.
        status: one of ``STATUSES``.
        figure: of the run, that stands behind it; empty only for hypothesis, stated and no evidence.
        short: for the segment's sentence; empty leaves it out.
        value: the first figure of the claim, with its interval where it has one.
        low: the interval's lower end.
        high: its upper end.
        customers: whom it speaks of; None means the whole segment.
    """

    element: str
    claim: str
    status: str
    figure: str = ""
    short: str = ""
    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    customers: int | None = None


@dataclass(frozen=True)
class Evidence:
    """What the run has; whatever it has not stays at its default, and its claims say so.

    Attributes:
        personas: cards as 04 keeps them, with ``segment_key``, ``sentence`` and ``claims``.
        evaluation: 04's ``segment_evaluation``.
        growth: 05's ``growth_potential``.
        channels: from ``channel_answers.by_channel``.
        orders: from ``buying_times.of_orders``.
        answers: from ``buying_times.of_answers``.
        prices: from ``category_lift.prices``.
        categories: from ``category_lift.measure``.
        likely: ``segment_key, category, probability, customers, verdict``; probability missing where none may be used.
        items: from ``category_lift.items_to_recommend``.
        items_told: whether taste groups beat the best sellers, as 03 says it.
        budget: 05's ``budget``.
        budget_told: its sentence.
        budget_by_segment: whether 05 found that choosing by segment earns more.
        test_plan: 04's ``test_plan``.
        load: from ``channel_answers.contact_load``.
        load_days: the days it counts.
        cap: most contacts a customer may get in those days; None where nobody states one.
        confidence: of the intervals.
    """

    personas: Sequence[Mapping[str, Any]] = ()
    evaluation: pd.DataFrame | None = None
    growth: pd.DataFrame | None = None
    channels: Channels | None = None
    orders: Times | None = None
    answers: Times | None = None
    prices: pd.DataFrame | None = None
    categories: Categories | None = None
    likely: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    items_told: str = ""
    budget: pd.DataFrame | None = None
    budget_told: str = ""
    budget_by_segment: bool = False
    test_plan: pd.DataFrame | None = None
    load: pd.DataFrame | None = None
    load_days: int = 30
    cap: int | None = None
    confidence: float = 0.95


@dataclass(frozen=True)
class About:
    """One segment and all there is to say it from: its ``key``, the evidence, its row of ``worth``, the currency."""

    key: str
    found: Evidence
    worth: Mapping[str, Any] | None
    currency: str

    def own(self, table: pd.DataFrame | None) -> pd.DataFrame:
        """The segment's rows of a table; none where there is no table."""
        if table is None or table.empty:
            return pd.DataFrame()
        return table[table["segment_key"] == self.key]

    def row(self, table: pd.DataFrame | None) -> dict[str, Any] | None:
        """The segment's only row."""
        own = self.own(table)
        return None if own.empty else {str(name): one for name, one in own.iloc[0].items()}

    @property
    def card(self) -> Mapping[str, Any]:
        """The segment's persona; empty where there is none."""
        return next((card for card in self.found.personas if card["segment_key"] == self.key), {})


def without(personas: Sequence[Mapping[str, Any]], refused: Collection[str]) -> list[dict[str, Any]]:
    """Personas without the claims that name a category that may not be used."""
    labels = [category_column(name).removesuffix("_share").replace("_", " ") for name in refused]
    labels += [f"on {label.removeprefix('category ')} " for label in labels]
    kept = []
    for card in personas:
        told, sentence = list(card.get("claims", ())), str(card.get("sentence", ""))
        for claim in told:
            if any(label in claim["text"] for label in labels):
                sentence = sentence.replace(f"; {claim['text']}", "")
        mine = [claim for claim in told if not any(label in claim["text"] for label in labels)]
        kept.append({**card, "claims": mine, "sentence": sentence})
    return kept


def unknown(element: str, why: str) -> Claim:
    """A claim that nothing is known, and what would tell."""
    return Claim(element, f"No evidence: {why}.", NO_EVIDENCE)


def persona(it: About) -> Claim:
    """The persona's own sentence."""
    if not it.card:
        return unknown("persona", "04 has made no persona card")
    return Claim("persona", it.card["sentence"], MEASURED, "segment_profile", value=it.card["share_of_sales"])


def priority(it: About) -> Claim:
    """Its rank by the evaluation of 04, beside its value."""
    if it.worth is None:
        return unknown("priority", "its sales are not known")
    each = f"{it.worth['share_of_sales']:.0%} of sales, {it.worth['sales_per_customer']:,.0f} {it.currency} a customer"
    row, figure = it.row(it.found.evaluation), "segment_evaluation"
    if row is None or it.found.evaluation is None:
        told = f"Brings {each}; not ranked, since 04 has made no evaluation."
        return Claim("priority", told, MEASURED, "segment_sizes", value=it.worth["share_of_sales"])
    if row["knocked_out"]:
        out = f"not ranked ({row['knocked_out']})"
        return Claim("priority", f"{out[0].upper()}{out[1:]}; brings {each}.", ESTIMATED, figure, out)
    place = f"ranked {row['rank']:.0f} of {it.found.evaluation['rank'].notna().sum()}"
    scores = f"attractiveness {row['attractiveness']:.1f} and fit {row['fit']:.1f} of 10"
    told = f"{place.capitalize()} by stated weights ({scores}); brings {each}."
    return Claim("priority", told, ESTIMATED, figure, place, value=row["rank"])


def growth(it: About) -> Claim:
    """Its potential in a stated market."""
    row = it.row(it.found.growth)
    if row is None:
        return unknown("growth", "no market size is stated; market_sizes in 05 would give its potential")
    told = (
        f"Potential of {row['potential_sales']:,.0f} {it.currency} if the rest of a stated market of "
        f"{row['market']:,.0f} customers bought as its own do; who they are is not measured."
    )
    return Claim("growth", told, STATED, value=row["potential_sales"])


def channel(it: About) -> Claim:
    """Which channel it answered, where two can be compared."""
    found = it.found.channels
    if found is None or not found.comparable:
        why = found.sentence if found else "No evidence for a channel: there are no contacts."
        return Claim("channel", f"{why} One campaign by two channels, with answers to both, would tell.", NO_EVIDENCE)
    own = it.own(found.table).dropna(subset="rate").sort_values("rate", ascending=False, kind="stable")
    if len(own) < 2:
        return unknown("channel", "fewer than two channels have reached ten of its customers")
    each = [f"{r.channel} {r.rate:.0%} of {r.reached:,} ({r.low:.0%} to {r.high:.0%})" for r in own.itertuples()]
    clear, row = found.best.get(it.key), own.iloc[0]
    verdict = f"{clear} more than the next, beyond chance" if clear else "no difference beyond chance"
    kinds = " or ".join(found.kinds[row["channel"]])
    told = f"Answered (by {kinds}) {', '.join(each)}: {verdict}; observed, not caused, for offers and days may differ."
    ends = (float(row["rate"]), float(row["low"]), float(row["high"]))
    short = f"answered {clear} most" if clear else ""
    return Claim("channel", told, MEASURED, "channel_answers", short, *ends, customers=int(row["reached"]))


def order_time(it: About) -> Claim:
    """Weekday and part of the day of its orders."""
    return _when(it, "order time", it.found.orders, "buying_times", "the purchases have no day")


def answer_time(it: About) -> Claim:
    """Weekday and part of the day of its opens and clicks."""
    return _when(it, "answer time", it.found.answers, "answer_times", "no open or click with a time is recorded")


def _when(it: About, element: str, found: Times | None, figure: str, lacking: str) -> Claim:
    if found is None or found.table.empty:
        return unknown(element, lacking)
    own = it.own(found.table)
    if own.empty or own["others"].isna().all():
        return unknown(element, "there are no other customers to compare with")
    sure = own[own["sure"] & ((own["weekday"] == ANY) | (own["part"] == ANY))].to_dict("records")
    best = [one for one in found.best(it.key) if one is not None]
    dated = "" if found.timed else "; of the hour nothing is known, for there are dates without times"
    if not best and not sure:
        return unknown(element, f"its {found.what} fall on no weekday or hour beyond chance{dated}")
    named = [f"{_place(row)} ({row['share']:.0%} of a customer's, all others {row['others']:.0%})" for row in best]
    apart = ", ".join(f"{_place(row)} {row['share']:.0%} against {row['others']:.0%}" for row in sure[:NAMED])
    densest = f"densest {' and '.join(named)}; " if named else ""
    differs = f"other than all others: {apart}" if apart else "beyond chance no other than all others"
    told = f"{found.what[0].upper()}{found.what[1:]}: {densest}{differs}{dated}"
    short, first = f"{found.what} other than all others: {apart}" if apart else "", [*best, *sure][0]
    told += "; whether messages work better then is not known."
    return Claim(element, told, MEASURED, figure, short, value=float(first["share"]), customers=int(first["customers"]))


def _place(row: Mapping[Any, Any] | pd.Series) -> str:
    return str(row["part"] if row["weekday"] == ANY else row["weekday"])


def prices(it: About) -> Claim:
    """Whether it leans to low prices or away from them."""
    own = it.own(it.found.prices)
    if own.empty:
        return unknown("prices", "the purchases have no columns discount or own_brand")
    parts = [
        f"{row['feature'].replace('_', ' ')} {row['mean']:.1%} (all others {row['others']:.1%}; difference "
        f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f} points)"
        for row in own.to_dict("records")
    ]
    word = lean(own, it.key)
    verdict, short = (f"{word[0].upper()}{word[1:]}", word) if word != NO_EVIDENCE else ("No lean by a fifth", "")
    return Claim("prices", f"{verdict}: {'; '.join(parts)}.", MEASURED, "segment_profile", short, own["mean"].iloc[0])


def buys_more(it: About) -> Claim:
    """Categories that more of its customers buy."""
    return _buys(it, "buys more", OVER)


def buys_less(it: About) -> Claim:
    """Categories that fewer of its customers buy."""
    return _buys(it, "buys less", UNDER)


def _buys(it: About, element: str, verdict: str) -> Claim:
    found = it.found.categories
    if found is None or found.split is None:
        return unknown(element, "the purchases have no column category")
    lift = it.own(found.lift)
    if not lift["ratio"].notna().any():
        return unknown(element, "no category that may be used has ten buyers here and others to compare with")
    many, of = int((lift["verdict"] == verdict).sum()), int(lift["ratio"].notna().sum())
    best = found.strongest(it.key, verdict, top=of)
    clear = best["ratio"] >= A_FIFTH_MORE if verdict == OVER else best["ratio"] <= 1 / A_FIFTH_MORE
    best, far = best[clear].head(NAMED), f"{many} of {of} categories shown are {verdict} beyond chance"
    if best.empty:
        return Claim(element, f"Nothing by a fifth or more; {far}.", MEASURED, "category_lift")
    each = [
        f"{r.category} {times(r.ratio)} ({_ends(r.low, r.high)}; {r.share:.0%}, all others {r.others:.0%})"
        for r in best.itertuples()
    ]
    volume = f", so it buys {element[5:]} of most" if many > of / 2 else ""
    first = best.iloc[0]
    ends = (float(first["ratio"]), float(first["low"]), float(first["high"]))
    known = ends if np.isfinite(ends).all() else (float(first["share"]),)
    short = f"{verdict} {first['category']} ({first['share']:.0%}, others {first['others']:.0%})"
    return Claim(element, f"{'; '.join(each)}; {far}{volume}.", MEASURED, "category_lift", short, *known)


def _ends(low: float, high: float) -> str:
    return f"{low:.2g} to {high:.2g}" if np.isfinite(high) else f"{low:.2g} times at least"


def _verdict(row: pd.Series) -> str:
    return str(row["verdict"]) if row["share"] > row["others"] or row["verdict"] == BEATS else "no more than others"


def next_category(it: About) -> Claim:
    """The category first bought by most of those without it."""
    found = it.found.categories
    row = None if found is None else found.likely_next(it.key)
    if row is None or found is None:
        nothing = found is None or found.split is None
        why = (
            "the purchases have no column category" if nothing else "no category has ten first buyers in the later days"
        )
        return unknown("next category", why)
    told = (
        f"{row['category']}: of {row['customers']:,.0f} customers without it, {row['share']:.1%} ({row['low']:.1%} to "
        f"{row['high']:.1%}) first bought it in the {found.days} days from {found.split}; all others "
        f"{row['others']:.1%}, so {_verdict(row)}; the segments were cut with those days in view."
    )
    short = f"bought for the first time most: {row['category']} ({row['share']:.0%})" * (row["verdict"] == BEATS)
    ends = (float(row["share"]), float(row["low"]), float(row["high"]))
    return Claim("next category", told, MEASURED, "next_category", short, *ends, customers=int(row["customers"]))

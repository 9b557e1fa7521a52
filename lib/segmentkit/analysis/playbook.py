"""The playbook: what to do with each segment, claim by claim, each with its figures and how far it is to be trusted.

What follows from no measurement is marked ``hypothesis``; what is not known is marked ``no evidence``, never guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from segmentkit.analysis import claims
from segmentkit.analysis.category_lift import MIXED, NO_EVIDENCE, PRICE_SENSITIVE, QUALITY, lean
from segmentkit.analysis.claims import ESTIMATED, HYPOTHESIS, MEASURED, STATUSES, About, Claim, Evidence, unknown
from segmentkit.analysis.profiles import number
from segmentkit.errors import DataError

COLUMNS = ["segment_key", "element", "claim", "status", "value", "low", "high", "customers", "figure"]
INCENTIVES = {
    PRICE_SENSITIVE: "a lower price or an own-brand offer",
    QUALITY: "something other than a lower price, such as service or novelty",
}


@dataclass(frozen=True)
class Playbook:
    """Every claim on every segment.

    Attributes:
        table: ``COLUMNS``, one row a segment and element, segments and elements in order.
        sentences: by key, the segment in one sentence, from its claims alone.
        actions: by key, what there is evidence for doing: channel and budget; empty where there is none.
    """

    table: pd.DataFrame
    sentences: dict[str, str]
    actions: dict[str, str]

    @property
    def answer(self) -> str:
        """What to do with each segment, as far as anything is known."""
        open_ = ", ".join(key for key, told in self.actions.items() if not told)
        told = [f"{key}: {told}." for key, told in self.actions.items() if told]
        return " ".join([*told, f"Nothing is proven to work with {open_}: test first." if open_ else ""]).strip()

    @property
    def sentence(self) -> str:
        """How many claims there are, and how far they are to be trusted."""
        counts = self.table["status"].value_counts()
        told = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
        return f"{len(self.table)} claims on {len(self.sentences)} segments: {told}."


def build(
    segments: pd.DataFrame, names: Mapping[str, str], worth: pd.DataFrame, found: Evidence, *, currency: str
) -> Playbook:
    """Say of every segment what the run knows, and what it does not.

    Args:
        segments: ``customer_id, segment_key``.
        names: by key, in the order of the playbook; a key may have no customers.
        worth: from ``value.by_segment``.
        found: what else the run has.
        currency: of the source.

    Raises:
        DataError: a segment without a name.
    """
    sizes = segments["segment_key"].value_counts()
    if lost := sorted(set(sizes.index) - set(names)):
        raise DataError(f"segments without a name == {lost}; every key needs one; take the names that 03 gave")
    rows, sentences, actions = [], {}, {}
    for key in names:
        size, it = int(sizes.get(key, 0)), About(key, found, None, currency)
        it = replace(it, worth=it.row(worth))
        made = [element(it) for element in ELEMENTS]
        if not size:
            made = [unknown(claim.element, "the segment has no customers now") for claim in made]
        made = [claim if claim.customers is not None else replace(claim, customers=size) for claim in made]
        rows += [{"segment_key": key, **asdict(claim)} for claim in made]
        sentences[key] = _manager(it, names[key], size, made)
        shorts = {claim.element: claim.short for claim in made if claim.short}
        actions[key] = "; ".join(shorts[name] for name in ("channel", "budget") if name in shorts)
    return Playbook(pd.DataFrame(rows, columns=COLUMNS).astype({"customers": "int64"}), sentences, actions)


def beside(claims: pd.DataFrame, decided: pd.DataFrame) -> pd.DataFrame:
    """The claims, and after those of each segment what people decided for it (``mix.stated``)."""
    table = pd.concat([claims, decided]) if len(decided) else claims
    return table.sort_values(
        "segment_key", key=lambda own: own.str.len().astype(str) + own, kind="stable", ignore_index=True
    )


def _manager(it: About, name: str, size: int, made: Sequence[Claim]) -> str:
    """The segment in one sentence a manager reads, and what is open."""
    share = (
        f" ({it.worth['share_of_customers']:.0%}) bring {it.worth['share_of_sales']:.0%} of sales" if it.worth else ""
    )
    parts = [f"{it.key} · {name}: {size:,} customers{share}", *(claim.short for claim in made if claim.short)]
    unproven = [claim.element for claim in made if claim.status == NO_EVIDENCE]
    return "; ".join(parts) + (f". No evidence: {', '.join(unproven)}." if unproven else ".")


def _incentive(it: About) -> Claim:
    own = it.own(it.found.prices)
    word = NO_EVIDENCE if own.empty else lean(own, it.key)
    if word not in INCENTIVES:
        why = "its discount and own-brand shares disagree" if word == MIXED else "its prices are not set apart"
        why = "the purchases have no columns discount or own_brand" if own.empty else why
        return unknown("incentive", f"{why}; a test of two offers by lot would tell")
    told = f"Hypothesis: {INCENTIVES[word]}, since it is {word}; untested, so let two offers be drawn by lot."
    return Claim("incentive", told, HYPOTHESIS)


def _likely(it: About) -> Claim:
    own = it.own(it.found.likely)
    if own.empty:
        return unknown("likely buyers", "no category was tried; a column category and a later period would tell")
    usable = own.dropna(subset="probability").sort_values("probability", ascending=False, kind="stable")
    if usable.empty:
        said = "; ".join(f"{row.category}: {row.verdict}" for row in own.itertuples())
        return unknown("likely buyers", f"no score may be used ({said})")
    row = usable.iloc[0]
    told = (
        f"{row['category']}: {row['probability']:.1%} of {row['customers']:,.0f} customers without it are expected to "
        f"buy it, by scores judged on a later period ({row['verdict']})."
    )
    chance, size = float(row["probability"]), int(row["customers"])
    return Claim("likely buyers", told, ESTIMATED, "likely_buyers", value=chance, customers=size)


def _items(it: About) -> Claim:
    own = it.own(it.found.items)
    if own.empty:
        return unknown("items", (it.found.items_told or "03 has made no taste groups").rstrip("."))
    each = ", ".join(f"{row.item} ({row.customers:,})" for row in own.itertuples())
    verdict = it.found.items_told.partition(". ")[0].rstrip(".")
    told = f"Advise {each}, in brackets the customers to whom it is new and among their first picks. {verdict}."
    return Claim("items", told, ESTIMATED, "taste_recall", value=float(own["customers"].iloc[0]))


def _message(it: About) -> Claim:
    strong = [claim["text"] for claim in it.card.get("claims", ()) if claim["kind"] == "marker"][:2]
    if not strong:
        return unknown("message", "no marker sets it apart; asking its customers (a table survey) would tell")
    told = f"Hypothesis: a text that takes up what sets it apart ({'; '.join(strong)}); untested, and not why they buy."
    return Claim("message", told, HYPOTHESIS)


def _budget(it: About) -> Claim:
    own = it.own(it.found.budget)
    if own.empty:
        lacking = "05 allocated nothing; offers drawn by lot (table assignments), a margin and costs would tell"
        return unknown("budget", lacking)
    if not it.found.budget_by_segment:
        told = f"No spending of its own is supported: {it.found.budget_told.partition('. ')[0].rstrip('.')}."
        return Claim("budget", told, ESTIMATED, "budget")
    given, whole = own[own["contacts"] > 0], f"over all segments, {it.found.budget_told.partition(':')[0].lower()}"
    if given.empty:
        told = f"No contact: no offer tested is expected to earn its cost here; {whole}."
        return Claim("budget", told, ESTIMATED, "budget", "no contact in 05's plan", value=0.0)
    each = [
        f"{row['offer']} by {row['channel']} for {row['contacts']:,} of {row['customers']:,} customers, "
        f"{row['spent']:,.0f} {it.currency}"
        for row in given.to_dict("records")
    ]
    profit, error = float(given["profit"].sum()), float((given["contacts"] * given["error"]).sum())
    low, high = norm.interval(it.found.confidence, profit, error)
    told = f"{'; '.join(each)}; expected profit {profit:,.0f} {it.currency} ({low:,.0f} to {high:,.0f}); {whole}."
    short = f"05 plans {given['contacts'].sum():,} contacts"
    return Claim("budget", told, ESTIMATED, "budget", short, profit, float(low), float(high))


def _test(it: About) -> Claim:
    row = it.row(it.found.test_plan)
    if row is None:
        return unknown("test plan", "04 has planned no test")
    arms = f"With {row['treated']:,} reached and {row['control']:,} held back of the {row['customers']:,} it had before"
    size = int(row["customers"])
    if not np.isfinite(row["detectable_share"]):
        told = f"{arms}, too few buy for any effect to be found in it alone: {row['can_tell']}."
        return Claim("test plan", told, ESTIMATED, "test_plan", "no test can tell in it alone", customers=size)
    least, worth = row["detectable_share"], row["worth_sales"] / row["sales_per_customer"]
    told = (
        f"{arms}, an effect is found from {least:.0%} of sales on ({row['detectable_sales']:,.2f} {it.currency} a "
        f"customer); {worth:.0%} is worth acting on and needs {row['needed']:,.0f} customers: {row['can_tell']}."
    )
    short = f"a test finds effects from {least:.0%} of sales"
    return Claim("test plan", told, ESTIMATED, "test_plan", short, value=least, customers=size)


def _cap(it: About) -> Claim:
    row = it.row(it.found.load)
    cap = "no cap is stated" if it.found.cap is None else f"the stated cap is {it.found.cap}"
    if row is None:
        return unknown("contact cap", f"no contact is recorded, and {cap}")
    if not row["most"] and not row["mean"]:
        told = f"No contact in the last {it.found.load_days} days; {cap}."
        return Claim("contact cap", told, MEASURED, "contact_load", value=0.0)
    told = (
        f"{number(row['mean'])} contacts a customer in the last {it.found.load_days} days on average, 19 of 20 "
        f"customers had at most {row['most']:.0f}; {cap}."
    )
    return Claim("contact cap", told, MEASURED, "contact_load", value=row["mean"])


ELEMENTS = (
    claims.persona, claims.priority, claims.growth, claims.channel, claims.order_time, claims.answer_time,
    claims.prices, _incentive, claims.buys_more, claims.buys_less, claims.next_category, _likely, _items, _message,
    _budget, _test, _cap,
)  # fmt: skip

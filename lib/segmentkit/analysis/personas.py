"""Persona cards made of evidence only: every claim carries its figure, and what is not known is listed.

No invented names, ages or photographs. A claim beyond the markers must differ from the other customers by a fifth at
least, and by more than chance allows over the whole family of claims that could have been made (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from scipy.stats import ttest_ind
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from segmentkit.analysis import profiles

A_FIFTH_MORE = 1.2
FEWEST = 10
MOST = 3
HABITS = {
    "weekend_share": "orders at the weekend",
    "morning_share": "orders in the morning",
    "afternoon_share": "orders in the afternoon",
    "evening_share": "orders in the evening",
}


@dataclass(frozen=True)
class Claim:
    """One thing that is true of a segment, with its figures.

    Attributes:
        kind: ``marker``, ``attribute``, ``habit`` or ``category``.
        text: in words, figures included.
        value: of the segment.
        overall: of all customers.
        customers: in the segment, for whom it is known.
    """

    kind: str
    text: str
    value: float
    overall: float
    customers: int


@dataclass(frozen=True)
class Persona:
    """A segment on one card.

    Attributes:
        segment_key: its letter.
        name: made from markers, or the analyst's own.
        customers: in it.
        share: of all customers.
        share_of_sales: of all sales.
        sales_per_customer: in the source's currency; None without customers.
        stability: its stability in a word.
        fails: business checks it fails, in words.
        claims: what is known of it, strongest first within each kind.
        not_known: what is not.
    """

    segment_key: str
    name: str
    customers: int
    share: float
    share_of_sales: float
    sales_per_customer: float | None
    stability: str
    fails: str
    claims: tuple[Claim, ...]
    not_known: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The persona in one sentence, from its claims alone."""
        head = f"{self.segment_key} · {self.name}: {self.customers:,} customers, {self.share:.0%} of all, who bring "
        parts = [claim.text for claim in self.claims]
        return f"{head}{self.share_of_sales:.0%} of sales; {'; '.join(parts) or 'nothing sets them apart'}."

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the sentence."""
        return asdict(self) | {"sentence": self.sentence}


def cards(
    features: pd.DataFrame,
    segments: pd.DataFrame,
    profile: pd.DataFrame,
    attributes: pd.DataFrame,
    checks: pd.DataFrame,
    names: Mapping[str, str],
    *,
    confidence: float = 0.95,
) -> list[Persona]:
    """A card for every segment of ``checks``, in its order; segments may have no customers.

    Args:
        features: one row a customer.
        segments: ``customer_id, segment_key``.
        profile: from ``profiles.profile``.
        attributes: from ``profiles.describe_attributes``; its hidden cells stay hidden.
        checks: from ``viability.check``.
        names: by key.
        confidence: of all claims beyond the markers together.
    """
    found = _claims(features, segments, attributes, confidence)
    made = []
    for row in checks.to_dict("records"):
        key = row["segment_key"]
        own = (*_marked(profile, key, row["customers"]), *found.get(key, ()))
        each = None if not row["customers"] else float(row["sales_per_customer"])
        size = (int(row["customers"]), float(row["share"]), float(row["share_of_sales"]), each)
        gaps = _not_known(features, attributes, key, row["customers"])
        made.append(Persona(key, names.get(key, "no customers"), *size, row["word"], row["fails"], own, gaps))
    return made


def _marked(profile: pd.DataFrame, key: str, customers: int) -> list[Claim]:
    return [
        Claim(
            "marker",
            f"{row.feature.replace('_', ' ')} {profiles.shown(row, row.mean)} "
            f"(all: {profiles.shown(row, row.overall_mean)})",
            float(row.mean),
            float(row.overall_mean),
            round(customers * (1 - row.missing_share)),
        )
        for row in profiles.markers(profile, key).head(MOST).itertuples(index=False)
    ]


def _claims(
    features: pd.DataFrame, segments: pd.DataFrame, attributes: pd.DataFrame, confidence: float
) -> dict[str, list[Claim]]:
    """Claims by segment that differ by enough and by more than chance, the strongest of each kind first."""
    family = pd.concat([_attribute_tests(attributes), _share_tests(features, segments)], ignore_index=True)
    family = family.dropna(subset="p")
    if family.empty:
        return {}
    differs = multipletests(family["p"], alpha=1 - confidence, method="holm")[0]
    family = family[differs & (family["value"] >= A_FIFTH_MORE * family["overall"])]
    family = family.assign(more=family["value"] / family["overall"]).sort_values("more", ascending=False, kind="stable")
    # one claim an attribute, at most three categories: a card is to be read
    family = family.groupby(["segment_key", "of"], sort=False).head(1).groupby(["segment_key", "kind"]).head(MOST)
    order = ["attribute", "habit", "category"]
    family = family.sort_values("kind", key=lambda kinds: kinds.map(order.index), kind="stable")
    return {
        key: [_claim(row) for row in own.to_dict("records")] for key, own in family.groupby("segment_key", sort=False)
    }


def _claim(row: Mapping[str, Any]) -> Claim:
    value, overall = float(row["value"]), float(row["overall"])
    text = f"{row['text']} {value:.0%} (all: {overall:.0%}; n {row['customers']:,})"
    return Claim(row["kind"], text, value, overall, int(row["customers"]))


def _attribute_tests(attributes: pd.DataFrame) -> pd.DataFrame:
    """Share of each attribute value in each segment against its share in the others; hidden cells are left out."""
    rows = []
    for (attribute, value), cells in attributes.groupby(["attribute", "value"], sort=False):
        stated = cells["known"].sum()
        for row in cells.dropna(subset=["customers", "overall"]).to_dict("records"):
            own, rest = row["customers"], row["overall"] * stated - row["customers"]
            known, others = row["known"], stated - row["known"]
            if own >= FEWEST and others:
                p = float(proportions_ztest([own, rest], [known, others])[1])
                text = f"{attribute.replace('_', ' ')} {value}"
                figures = (row["share"], row["overall"], int(known), p)
                rows.append((row["segment_key"], "attribute", attribute, text, *figures))
    return _family(rows)


def _share_tests(features: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Mean share of each habit and category in each segment against the others (Welch)."""
    joined = segments[["customer_id", "segment_key"]].merge(features, on="customer_id", validate="1:1")
    names = [name for name in features.columns if name in HABITS or name.startswith("category_")]
    rows = []
    for name in names:
        kind = "habit" if name in HABITS else "category"
        label = HABITS.get(name, f"of spending on {name.removeprefix('category_').removesuffix('_share')}")
        known = joined.dropna(subset=name)
        for key, own in known.groupby("segment_key")[name]:
            rest = known.loc[known["segment_key"] != key, name]
            if min(len(own), len(rest)) >= FEWEST and known[name].nunique() > 1:
                p = float(ttest_ind(own, rest, equal_var=False).pvalue)
                rows.append((key, kind, name, label.replace("_", " "), own.mean(), known[name].mean(), len(own), p))
    return _family(rows)


def _family(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["segment_key", "kind", "of", "text", "value", "overall", "customers", "p"])


def _not_known(features: pd.DataFrame, attributes: pd.DataFrame, key: str, customers: int) -> tuple[str, ...]:
    stated = attributes[attributes["segment_key"] == key].groupby("attribute")["known"].max()
    gaps = [
        f"{str(name).replace('_', ' ')} of {customers - known:,} of {customers:,} customers"
        for name, known in stated.items()
        if known < customers
    ]
    if stated.empty:
        gaps = ["who they are: no attributes"]
    if not any(name.startswith("category_") for name in features.columns):
        gaps.append("what they buy: no categories")
    return (*gaps, "why they buy: purchases do not say")

"""Preparing: from the names an analyst wrote to the numbers that are clustered, whatever kind the columns are of."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from segmentkit.analysis import clustering, encoding, survey
from segmentkit.analysis.clustering import Encoder, Scaled
from segmentkit.analysis.features import DEFAULT_FEATURES
from segmentkit.contracts import Column
from segmentkit.errors import ParameterError

EVERY_ITEM = "survey"
# fewer different customers than this leave nothing to cut
FEWEST_KINDS = 12
KNOWN_SHARE, HALF_KNOWN = 0.8, 0.5
OWN_ACTS = ("days_since_last_activity", "engagement_active_weeks")


@dataclass(frozen=True)
class Chosen:
    """What is segmented.

    Attributes:
        names: features, attributes and survey items, as ``prepare`` takes them.
        plain: features that are scaled as they are, since every customer has them.
        drawn: which of them to draw before and after the transform.
        sentence: which and why, in words.
    """

    names: list[str]
    plain: list[str]
    drawn: list[str]
    sentence: str


@dataclass(frozen=True)
class Prepared:
    """Customers ready to be segmented.

    Attributes:
        table: their features, attributes and answers; customers without any of the columns asked for are left out.
        scaled: the numbers that are clustered, in the order of ``table``.
        names: the columns, with ``survey`` written out as its items.
        treatments: how each column became numbers; no rows where all are features.
        sentence: the same in words.
    """

    table: pd.DataFrame
    scaled: Scaled
    names: list[str]
    treatments: pd.DataFrame
    sentence: str


def chosen(
    stated: Sequence[str],
    features: pd.DataFrame,
    items: Sequence[Column] = (),
    attributes: Sequence[str] = (),
    *,
    purchases: bool = True,
) -> Chosen:
    """What is segmented: what the analyst states, else recency, frequency and monetary, else what there is.

    Without purchases that is what customers did, as far as it is known for 80 % of them and not the same for all: the
    totals of a customer-level file, how lately, how often and at what rate they answer contacts, behavioural
    attributes. Failing that the survey, and failing that the attributes.

    Args:
        stated: the parameter ``features``.
        features: one row a customer.
        items: of the survey.
        attributes: columns of the customers table that describe.
        purchases: whether the features are made from purchases.

    Raises:
        ParameterError: nothing is stated, and nothing there could be segmented.
    """
    numeric = list(features.select_dtypes("number").columns)
    plain = list(features.columns) if purchases else [name for name in numeric if features[name].notna().all()]
    if stated or purchases:
        names = list(stated or DEFAULT_FEATURES)
        drawn = [name for name in names if name in plain] or (DEFAULT_FEATURES if purchases else [])
        return Chosen(names, plain, drawn, f"Segmented by {', '.join(names)}{', as stated' if stated else ''}.")
    acts = [name for name in numeric if not name.startswith(("days_since_", "engagement_")) and name != "tenure_days"]
    acts += [name for name in numeric if name in OWN_ACTS or name.endswith(("_open_rate", "_click_rate"))]
    acts = [name for name in acts if name != "basket_value" or "monetary" not in numeric]
    usable = [name for name in acts if features[name].notna().mean() >= KNOWN_SHARE and features[name].nunique() > 1]
    if usable and len(features[usable].drop_duplicates()) < FEWEST_KINDS:
        # few messages give few rates: how often, and who they are, tell customers apart
        more = [*(name for name in numeric if name.endswith("_count")), *attributes]
        more = [name for name in more if name in features and name not in usable and features[name].nunique() > 1]
        usable += [name for name in more if features[name].notna().mean() >= HALF_KNOWN]
    names = usable or ([EVERY_ITEM] if survey.kinds(items) else list(attributes))
    if not names:
        raise ParameterError(
            "features == []; without purchases nothing here says what customers did, answered or are; name columns of "
            f"{', '.join(numeric) or 'none there are'}, or bring transactions, orders and sales, opens or answers"
        )
    left = [f"{name} (known for {features[name].notna().mean():.0%})" for name in acts if name not in usable]
    told = f"No purchases, so segmented by what there is: {', '.join(names)}."
    drawn = [name for name in names if name in plain]
    return Chosen(names, plain, drawn, f"{told} Left out: {', '.join(left)}." if left else told)


def prepare(
    table: pd.DataFrame, features: Sequence[str], names: Sequence[str], items: Sequence[Column], method: str
) -> Prepared:
    """Scale features; encode attributes and survey items, alone or mixed with features.

    Args:
        table: features joined with attributes and answers, one row a customer.
        features: columns of ``table`` that are purchase features.
        names: what is to be clustered; ``survey`` stands for all closed items and themes, for latent classes without
            the numeric ones.
        items: of the survey, as the source states them; themes of open answers are binary items.
        method: latent classes take answers as they are, the others as numbers.

    Raises:
        ParameterError: a name is no column, or no item is there for ``survey``.
    """
    kinds_known, codes = survey.kinds(items), method == "latent_classes"
    every = [item for item, kind in kinds_known.items() if not (codes and kind == "numeric")]
    written = [item for name in names for item in (every if name == EVERY_ITEM else [name])]
    absent = [name for name in written if name not in table]
    if absent or not written:
        raise ParameterError(
            f"features == {list(names)}; {', '.join(absent) or EVERY_ITEM} is not known of these customers; take from "
            f"{', '.join(column for column in table.columns if column != 'customer_id')}"
        )
    if not codes and all(name in features for name in written):
        scaled = clustering.scale(table, written)
        ordered = table.sort_values("customer_id", ignore_index=True)
        empty = pd.DataFrame(columns=["column", "kind", "treatment", "missing", "missing_share", "levels"])
        return Prepared(ordered, scaled, written, empty, clustering.skew_sentence(ordered, scaled))
    kinds = {name: kinds_known.get(name) or kind_of(table[name]) for name in written}
    scaled, treatments = encoding.encode(table, kinds, levels=survey.levels(items), as_codes=codes)
    used = table[table["customer_id"].isin(scaled.customer_id)].sort_values("customer_id", ignore_index=True)
    told = encoding.sentence(treatments, len(used), len(table))
    if EVERY_ITEM in names and (left := [item for item in kinds_known if item not in every + written]):
        told += f" Latent classes take answers, not numbers; left out: {', '.join(left)}."
    return Prepared(used, scaled, list(scaled.scaling.features), treatments, told)


def known_before(people: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """What is known of customers apart from purchases: attributes and answers, one row a customer."""
    return people.merge(answers.drop(columns="at", errors="ignore"), on="customer_id", how="outer", validate="1:1")


def kind_of(column: pd.Series) -> str:
    """Kind of an attribute whose source does not say: numbers are numeric, two values binary, the rest nominal."""
    if column.nunique() == 2:
        return "binary"
    return "numeric" if pd.api.types.is_numeric_dtype(column) else "nominal"


def blocks(scaling: Encoder) -> list[list[int]]:
    """Columns that belong to one question, which copies with unrelated columns move together."""
    parts = [name.partition(": ")[0] if name not in scaling.features else name for name in scaling.columns]
    return [[i for i, part in enumerate(parts) if part == name] for name in dict.fromkeys(parts)]

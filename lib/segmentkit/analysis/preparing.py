"""Preparing: from the names an analyst wrote to the numbers that are clustered, whatever kind the columns are of."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from segmentkit.analysis import clustering, encoding, survey
from segmentkit.analysis.clustering import Encoder, Scaled
from segmentkit.contracts import Column
from segmentkit.errors import ParameterError

EVERY_ITEM = "survey"


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

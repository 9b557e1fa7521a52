"""Segments by rule: the first rule that fits a customer decides; whoever fits none is said to fit none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar, Self

import ibis
import numpy as np
import pandas as pd

from segmentkit.analysis import rfm
from segmentkit.analysis.rfm import sql_number
from segmentkit.errors import DataError, ParameterError

NO_RULE = "no rule fits"
KINDS = ("rules", "rfm_classes", "heavy_light")


def days_since(contacts: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """Days from each customer's last contact of every kind to ``as_of``.

    Args:
        contacts: the shared table, or its columns without rows.
        as_of: YYYY-MM-DD; contacts from this day on are not looked at.

    Returns:
        ``customer_id`` and a column an event, e.g. ``days_since_visit``; missing where there was none.
    """
    seen = contacts[contacts["at"] < pd.Timestamp(as_of)] if len(contacts) else contacts
    if seen.empty:
        return pd.DataFrame({"customer_id": pd.Series(dtype="str")})
    last = seen.groupby(["customer_id", "event"])["at"].max().unstack()
    days = last.apply(lambda moments: (pd.Timestamp(as_of) - moments.dt.normalize()).dt.days.astype(float))
    return days.add_prefix("days_since_").rename_axis(columns=None).reset_index()


def assign(rules: Mapping[str, str], features: pd.DataFrame, contacts: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """Give every customer the first rule that fits.

    Args:
        rules: name to condition, in order; a condition is SQL over the features and ``days_since_EVENT`` columns.
        features: one row a customer.
        contacts: the shared table.
        as_of: the day the features look back from.

    Returns:
        ``customer_id, segment_key``; the key is the rule's name, or ``no rule fits``.

    Raises:
        DataError: a condition cannot be read; the message names the rule and the columns there are.
    """
    return decide(rules, features.merge(days_since(contacts, as_of), on="customer_id", how="left"))


def decide(rules: Mapping[str, str], table: pd.DataFrame) -> pd.DataFrame:
    """``assign`` on a table that has every column already."""
    connection = ibis.duckdb.connect(threads=1)
    connection.raw_sql("SET enable_external_access = false")
    untyped = [name for name in table.columns if table[name].dtype == object and table[name].isna().all()]
    customers = connection.create_table("customers", table.astype(dict.fromkeys(untyped, "str")))
    known = [name for name in table.columns if name != "customer_id"]
    found = pd.Series(NO_RULE, index=table["customer_id"], name="segment_key", dtype="object")
    for name, condition in reversed(list(rules.items())):
        try:
            fits = customers.sql(f"SELECT customer_id FROM customers WHERE ({condition})").execute()
        except Exception as error:
            first = str(error).strip().splitlines()[0]
            raise DataError(
                f"rule {name!r}: {condition!r} cannot be read: {first}; columns: {', '.join(known)}"
            ) from None
        found[found.index.isin(fits["customer_id"])] = name
    connection.disconnect()
    return found.sort_index().reset_index()


@dataclass(frozen=True)
class Beside:
    """What is known of customers beside their purchases: attributes, days since each kind of contact, and answers.

    Attributes:
        customers: ``customer_id`` and attributes, one row a customer.
        contacts: the shared table, or its columns without rows.
        answers: ``customer_id`` and survey items, one row a respondent; None where nobody was asked.
    """

    customers: pd.DataFrame
    contacts: pd.DataFrame
    answers: pd.DataFrame | None = None

    def join(self, features: pd.DataFrame, as_of: date | str) -> pd.DataFrame:
        """Features with all of it, as of a day; attributes and answers count as they stand now.

        Every kind of contact has its column, missing for all where it came only later.
        """
        found = self.customers.merge(days_since(self.contacts, str(as_of)), on="customer_id", how="outer")
        for event in self.contacts["event"].unique():
            if f"days_since_{event}" not in found:
                found[f"days_since_{event}"] = np.nan
        if self.answers is not None and len(self.answers):
            found = found.merge(self.answers, on="customer_id", how="outer", suffixes=("", " (survey)"))
        own = [name for name in found.columns if name == "customer_id" or name not in features.columns]
        return features.merge(found[own], on="customer_id", how="left", validate="m:1")


def heavy_light(features: pd.DataFrame, by: str = "monetary", of: str = "customers") -> dict[str, str]:
    """Heavy, medium and light customers, each a third, as rules with their cut points (heavy users: Twedt 1964).

    Args:
        features: one row a customer.
        by: the feature that is cut.
        of: a third of the ``customers``, or of the ``total``: the fewest that bring a third of it are heavy.

    Raises:
        ParameterError: no such numeric feature, or another word for ``of``.
        DataError: too many equal values to cut into thirds.
    """
    if by not in features.select_dtypes("number").columns or of not in ("customers", "total"):
        raise ParameterError(f"by == {by!r}, of == {of!r}; name a numeric feature, and customers or total")
    if features[by].isna().any():
        raise DataError(f"{by} is missing for some customers; cut a feature that all have")
    values = np.sort(features[by].to_numpy(dtype=float))[::-1]
    worth = np.cumsum(np.ones(len(values)) if of == "customers" else np.maximum(values, 0))
    heavy, medium = values[np.searchsorted(worth, [worth[-1] / 3, worth[-1] * 2 / 3])]
    if not heavy > medium > values[-1]:
        raise DataError(f"{by} has too many equal values to be cut into thirds of the {of}; cut another feature")
    return {"Heavy": f'"{by}" >= {sql_number(heavy)}', "Medium": f'"{by}" >= {sql_number(medium)}', "Light": "true"}


def settings(kind: str, stated: Mapping[str, str], *, bins: int, by: str, of: str) -> dict[str, Any]:
    """What ``fit`` takes for a kind of rules; nothing for methods that are no rules."""
    own: dict[str, dict[str, Any]] = {
        "rules": {"stated": dict(stated)}, "rfm_classes": {"bins": bins}, "heavy_light": {"by": by, "of": of}
    }  # fmt: skip
    return own.get(kind, {})


def conditions(
    kind: str, features: pd.DataFrame, *, stated: Mapping[str, str] | None = None, bins: int = 5, **cut: str
) -> dict[str, str]:
    """Rules of a kind in words that fit new customers as well: cut points are part of the condition.

    Args:
        kind: ``rules`` (``stated``, as they are), ``rfm_classes`` or ``heavy_light``.
        features: the customers that cut points are taken from.
        stated: the source's own rules.
        bins: scores of the RFM classes.
        cut: ``by`` and ``of``, as in ``heavy_light``.

    Raises:
        DataError: the source states no rules.
    """
    if kind == "rfm_classes":
        return rfm.conditions(features, bins)
    if kind == "heavy_light":
        return heavy_light(features, **cut)
    if not stated:
        raise DataError(
            "method == 'rules', but the source states none; write a section [rules], or take another method"
        )
    return dict(stated)


@dataclass(frozen=True, eq=False)
class Rules:
    """An a-priori segmentation: the first rule that fits decides; whoever fits none is a last segment.

    Attributes:
        kind: ``rules, rfm_classes`` or ``heavy_light``.
        conditions: name to condition, in the order in which they are tried.
        order: names in the order of the segments; the catch-all, where nothing else takes everybody, is last.
        centres: mean of each segment in the scaled values at the fit; the mean of all where nobody was in it.
        shares: share of customers in each segment at the fit.
        made_by: what cut points were made by: ``bins``, or ``by`` and ``of``.
    """

    name: ClassVar[str] = "rules"
    kind: str
    conditions: Mapping[str, str]
    order: tuple[str, ...]
    centres: np.ndarray
    shares: tuple[float, ...]
    made_by: Mapping[str, Any]

    @property
    def rest(self) -> bool:
        """Whether the last segment is whoever fits no rule."""
        return self.order[-1] == NO_RULE

    @property
    def settings(self) -> dict[str, Any]:
        """What a fit to other customers is to be asked for again: cut points are made anew, stated rules stay."""
        return {"stated": dict(self.conditions)} if self.kind == "rules" else dict(self.made_by)

    def decide(self, table: pd.DataFrame) -> np.ndarray:
        """Segment of each customer, 0 to k-1, in the order of the table.

        Raises:
            DataError: a condition cannot be read, or a column is missing.
        """
        found = decide(self.conditions, table).set_index("customer_id")["segment_key"]
        numbers = found.map({name: number for number, name in enumerate(self.order)})
        labels: np.ndarray = numbers.loc[table["customer_id"]].to_numpy(dtype=int)
        return labels

    def labels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rules cannot decide on encoded values.

        Raises:
            DataError: always; ``Segmentation.assign`` decides on the table.
        """
        raise DataError("rules decide on customers' own columns, not on encoded values; assign from the table")

    def reordered(self, order: Sequence[int]) -> Self:
        """The same segments, numbered anew; the order in which rules are tried stays."""
        names, shares = tuple(self.order[i] for i in order), tuple(self.shares[i] for i in order)
        return replace(self, order=names, shares=shares, centres=self.centres[list(order)])

    def describe(self) -> str:
        """In one sentence, with the share of each rule and of the catch-all."""
        thirds = f"{self.made_by.get('of', 'customers')} by {self.made_by.get('by', 'monetary')}"
        heavy = f"Heavy, medium and light, thirds of the {thirds}"
        by = {"rules": "Rules", "rfm_classes": "RFM classes", "heavy_light": heavy}[self.kind]
        share = dict(zip(self.order, self.shares, strict=True))
        told = "; ".join(f"{name} {share[name]:.1%}" for name in [*self.conditions, NO_RULE] if name in share)
        given = f"{by}, set beforehand, not found in the data"
        return f"{given}: a customer belongs to the first that fits, in this order (shares when it was made), {told}."

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        plain = {name: getattr(self, name) for name in ("kind", "order", "shares")}
        return plain | {
            "conditions": [list(pair) for pair in self.conditions.items()],  # JSON written with sorted keys loses order
            "centres": self.centres.tolist(),
            "made_by": dict(self.made_by),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data."""
        c, centres = content, np.asarray(content["centres"], dtype=float)
        return cls(c["kind"], dict(c["conditions"]), tuple(c["order"]), centres, tuple(c["shares"]), c["made_by"])


def fit(kind: str, table: pd.DataFrame, values: np.ndarray, **settings: Any) -> Rules:
    """Rules as the segmentation.

    Args:
        kind: ``rules, rfm_classes`` or ``heavy_light``.
        table: features and whatever the rules name, one row a customer.
        values: the same customers, scaled; for the centres.
        settings: as ``conditions`` takes them.
    """
    found = conditions(kind, table, **settings)
    whole = list(found.values())[-1].strip().lower() == "true"
    order = tuple(found) if whole else (*found, NO_RULE)
    made_by = {name: value for name, value in settings.items() if name != "stated"}
    model = Rules(kind, found, order, np.zeros((len(order), values.shape[1])), (), made_by)
    labels = model.decide(table)
    own = [values[labels == one] for one in range(len(order))]
    centres = np.array([(part if len(part) else values).mean(axis=0) for part in own])
    return replace(model, centres=centres, shares=tuple(len(part) / len(values) for part in own))


def sentence(assigned: pd.DataFrame, rules: Mapping[str, str]) -> str:
    """How many customers each rule got, and how many none."""
    if not rules:
        return "The source states no rules; its section [rules] would add segments by rule."
    shares = assigned["segment_key"].value_counts(normalize=True)
    parts = [f"{name} {shares.get(name, 0.0):.1%}" for name in [*rules, NO_RULE]]
    return f"By rule, the first that fits: {'; '.join(parts)}."

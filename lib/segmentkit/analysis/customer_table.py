"""One row a customer from whatever tables there are: purchases, or totals, contacts, answers and attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import ibis
import pandas as pd

from segmentkit.analysis import engagement, features
from segmentkit.analysis.features import Window
from segmentkit.errors import DataError, ParameterError

TOTALS = ("orders", "sales", "first_ordered_at", "last_ordered_at")


@dataclass(frozen=True)
class Tables:
    """The tables features are made from; each may be absent.

    Attributes:
        transactions: the shared table, or None.
        contacts: the shared table, or None.
        customers: the shared table, or its columns without rows.
        answers: the survey, or its columns without rows.
        attributes: attribute to the basis it describes on.
        extracted_on: day of the export as YYYY-MM-DD, or empty.
    """

    transactions: ibis.Table | None
    contacts: ibis.Table | None
    customers: pd.DataFrame
    answers: pd.DataFrame
    attributes: Mapping[str, str] = field(default_factory=dict)
    extracted_on: str = ""

    def window(self, as_of: str = "", look_back: Sequence[int] = ()) -> Window:
        """The window: that of the purchases, else of the contacts, else up to the day of the export or the last order.

        Args:
            as_of: YYYY-MM-DD, the first day not looked at; empty means the day after the last that the data tell of.
            look_back: length in days, as a list of one; empty means from the first dated row on.

        Raises:
            ParameterError: nothing tells the day, or the data do not reach it, or totals would have to be cut.
        """
        if self.transactions is not None:
            return features.window(self.transactions, as_of, look_back)
        first, counted, ordered, exported = self._days()
        last = max((day for day in (counted or exported, ordered) if day), default=None) or self._answered()
        if not as_of and last is None:
            raise ParameterError(
                "as_of == ''; without purchases no table of this source tells the day (no contacts, no "
                "last_ordered_at), and extracted_on is not stated; state extracted_on in the source, or give "
                "-p as_of=YYYY-MM-DD"
            )
        end = features.as_day(as_of) if as_of else (last or date.max) + timedelta(days=1)
        if ordered and end <= ordered:
            raise ParameterError(
                f"as_of == {end}; customers holds orders up to {ordered}, and totals cannot be cut; choose "
                f"{ordered + timedelta(days=1)} or later"
            )
        latest = max((day for day in (counted, exported) if day), default=end)
        if (first and end <= first) or end > max(latest, ordered or latest) + timedelta(days=1):
            raise ParameterError(
                f"as_of == {end}; the data run from {first or 'no known day'} to {latest}; choose up to "
                f"{latest + timedelta(days=1)}"
            )
        return features.looked_back(Window(min(first or end, end), end), look_back)

    def _days(self) -> tuple[date | None, date | None, date | None, date | None]:
        """First day with a contact or an order, last with a contact, last with an order, and day of the export."""
        first, counted = self.customers.get("first_ordered_at", pd.Series(dtype="datetime64[s]")).min(), pd.NaT
        if self.contacts is not None:
            at = self.contacts["at"]
            first, counted = self.contacts.aggregate(a=at.min(), b=at.max()).execute().iloc[0]
        ordered = self.customers.get("last_ordered_at", pd.Series(dtype="datetime64[s]")).max()
        known = (first, counted, ordered, pd.Timestamp(self.extracted_on) if self.extracted_on else pd.NaT)
        return tuple(None if pd.isna(day) else pd.Timestamp(day).date() for day in known)  # type: ignore[return-value]

    def _answered(self) -> date | None:
        last = self.answers.get("at", pd.Series(dtype="datetime64[s]")).max()
        return None if pd.isna(last) else pd.Timestamp(last).date()

    def features(self, seen: Window, engaged: pd.DataFrame | None, *, categories: int = 8) -> pd.DataFrame:
        """The feature table: of purchases where there are any, else of all that is known.

        Without purchases everybody counts who is a customer, had a contact or answered. Totals of a customer-level
        file become ``recency_days, frequency, monetary, basket_value, tenure_days``; behavioural attributes that are
        numbers stand as they are, and so does engagement.

        Raises:
            DataError: no customer in any table.
        """
        if self.transactions is not None:
            return features.build(self.transactions, seen, categories=categories)
        parts = [self._totals(seen), engaged, self._behaviour(), self.answers.reindex(columns=["customer_id"])]
        known = [part for part in parts if part is not None and len(part)]
        if not known:
            raise DataError("no customer in customers, contacts or survey; nothing to build features from")
        ids = pd.concat([part["customer_id"] for part in known]).drop_duplicates().sort_values()
        table = pd.DataFrame({"customer_id": ids}).reset_index(drop=True)
        for part in known:
            table = table.merge(part, on="customer_id", how="left", validate="1:1")
        return table

    def _totals(self, seen: Window) -> pd.DataFrame:
        people = self.customers.reindex(columns=["customer_id", *TOTALS])
        days = {name: (pd.Timestamp(seen.as_of) - _day(people[name])).dt.days for name in TOTALS[2:]}
        orders, sales = (people[name].astype("float64") for name in TOTALS[:2])
        table = {
            "customer_id": people["customer_id"],
            "recency_days": days["last_ordered_at"].astype("float64"),
            "frequency": orders,
            "monetary": sales,
            "basket_value": (sales / orders).where(orders > 0),
            "tenure_days": days["first_ordered_at"].astype("float64"),
        }
        return pd.DataFrame(table).dropna(axis="columns", how="all")

    def _behaviour(self) -> pd.DataFrame:
        people = self.customers
        names = [one for one, basis in self.attributes.items() if basis == "behavioural" and one in people]
        numbers = {name: pd.to_numeric(people[name], errors="coerce").astype("float64") for name in names}
        whole = {name: one for name, one in numbers.items() if one.notna().sum() == people[name].notna().sum()}
        return pd.DataFrame({"customer_id": people["customer_id"], **whole})

    def hours(self, seen: Window) -> pd.DataFrame:
        """``weekday, hour, orders`` of the purchases, else ``events`` of what customers did; no rows without a time."""
        if self.transactions is not None:
            return features.by_local_time(self.transactions, seen)
        return engagement.by_local_time(self.contacts, seen)

    def sentence(self, seen: Window) -> str:
        """The window in words, and what it was made from."""
        if self.transactions is not None:
            return f"Purchases from {seen.start} up to, not including, {seen.as_of}: {seen.days} days."
        made = {"contacts": self.contacts is not None, "customers": len(self.customers), "survey": len(self.answers)}
        told = f"No purchases; what is known comes from {', '.join(name for name, there in made.items() if there)}"
        totals = [name for name in TOTALS if name in self.customers and self.customers[name].notna().any()]
        whole = f" {', '.join(totals)} are the file's own, over whatever days it counted." if totals else ""
        back = f", looking back {seen.days} days" if seen.days else ""
        return f"{told}, as of {seen.as_of}{back}.{whole}"


def sizes_sentence(segments: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Customers of every segment in words, where no sales are known."""
    counts = segments["segment_key"].value_counts()
    told = [f"{key} ({name.lower()}) {counts.get(key, 0):,}" for key, name in names.items()]
    needs = "`transactions`, or orders and sales in `customers`, would show what they are worth"
    return f"Customers by segment: {'; '.join(told)}. A is the largest, since sales are not known: {needs}."


def _day(moments: pd.Series) -> pd.Series:
    return pd.to_datetime(moments).dt.normalize()


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, spread and tenths of every numeric feature; no rows where there is none."""
    numbers = table.select_dtypes("number")
    if numbers.empty:
        return pd.DataFrame(columns=["feature", "mean", "std", "min", "10%", "50%", "90%", "max"])
    told = numbers.describe(percentiles=[0.1, 0.5, 0.9]).T.reset_index(names="feature")
    return told.drop(columns="count")

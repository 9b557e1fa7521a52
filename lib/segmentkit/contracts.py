"""The shared tables: which columns a source may fill, their kinds, and which are required.

Kinds: ``text`` (ids are always text), ``money`` (in the source's one currency), ``number``, ``time`` (local
time of the business), ``flag`` (true or false); the items of a survey have kinds of their own, ``ITEM_KINDS``.
``data/README.md`` has the same list with units in prose, and a test holds the two together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis
    import pandas as pd

ITEM_KINDS = {
    "binary": "yes or no",
    "ordinal": "levels in an order",
    "nominal": "levels without an order",
    "numeric": "a number",
    "open": "an answer in the respondent's own words",
}


@dataclass(frozen=True)
class Formats:
    """How a source writes numbers and times.

    ``timestamps_in`` is a zone or ``local`` (already in the business's own zone); ``latest`` is the day of the
    export as YYYY-MM-DD, or empty where it is not stated; ``currency`` is the one that amounts are brought to.
    """

    decimal: str = "."
    date_format: str = ""
    timestamps_in: str = "local"
    time_zone: str = "UTC"
    latest: str = ""
    currency: str = ""


@dataclass(frozen=True)
class FileRead:
    """One file as it was read for one table: rows, columns taken and not taken, and what was done on the way."""

    file: str
    table: str
    rows: int
    used: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class RawTable:
    """One shared table as read: mapped columns before typing, and the lines no reader could take.

    ``table`` has ``file`` and ``row_number`` (1 is the first data row of that file) and the mapped columns. It may
    have ``left_out`` (why a row is no data here, or NULL), ``is_return`` (money back, or not) and, until identities
    are resolved, ``system`` (whose own ids ``customer_id`` holds) and ``key_email``, ``key_phone``, ``key_SYSTEM``.
    ``unreadable`` has ``file, row_number, rule, column, value, mend``; ``attributes`` says on which basis each
    attribute describes; ``items`` are the questions of a survey.
    """

    table: "ibis.Table"
    unreadable: "pd.DataFrame"
    formats: Formats
    attributes: dict[str, str]
    items: tuple["Column", ...] = ()
    files: tuple[FileRead, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column of a shared table, or one item of a survey.

    ``levels`` are an item's answers where the source states them: in order if ordinal, no before yes if binary.
    """

    name: str
    kind: str
    required: bool = False
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableContract:
    """One shared table: its columns, and the columns that together name a row (empty: rows may repeat)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    enables: str = ""

    @property
    def required(self) -> list[str]:
        """Names of the columns a source must fill."""
        return [column.name for column in self.columns if column.required]

    @property
    def names(self) -> list[str]:
        """Names of all columns a source may fill."""
        return [column.name for column in self.columns]


def _table(name: str, required: str, optional: str, key: str = "", enables: str = "") -> TableContract:
    def read(text: str, needed: bool) -> list[Column]:
        return [Column(item.partition(":")[0], item.partition(":")[2], needed) for item in text.split()]

    columns = tuple(read(required, True) + read(optional, False))
    return TableContract(name, columns, tuple(key.split()), enables)


TABLES: dict[str, TableContract] = {
    table.name: table
    for table in (
        _table(
            "transactions",
            "customer_id:text order_id:text ordered_at:time amount:money",
            "line_id:text product_id:text category:text quantity:number discount:money coupon_amount:money "
            "margin:money channel:text own_brand:flag currency:text",
            key="line_id",
            enables="value, campaigns, budget, activation and what changes from month to month",
        ),
        _table(
            "customers",
            "customer_id:text",
            "acquired_at:time acquisition_channel:text orders:number sales:money first_ordered_at:time "
            "last_ordered_at:time",
            key="customer_id",
            enables="describing segments by demographic, geographic and psychographic attributes",
        ),
        _table(
            "campaigns",
            "campaign_id:text start:time end:time",
            "name:text type:text channel:text design:text cost_per_contact:money fixed_cost:money cost_origin:text "
            "currency:text",
            key="campaign_id",
            enables="reading campaigns by segment",
        ),
        _table(
            "contacts",
            "customer_id:text at:time channel:text event:text",
            "campaign_id:text cost:money",
            enables="who was reached, by which campaign and channel",
        ),
        _table(
            "assignments",
            "campaign_id:text customer_id:text arm:text designed_share:number",
            "stratum:text assigned_at:time",
            key="campaign_id customer_id",
            enables="measuring what a campaign caused (randomised campaigns only)",
        ),
        _table(
            "responses",
            "customer_id:text campaign_id:text outcome:text value:number",
            "at:time",
            enables="redemption and conversion rates by segment",
        ),
        _table(
            "consents",
            "customer_id:text channel:text purpose:text granted:flag",
            "at:time origin:text",
            enables="files that leave: nobody is contacted without consent for that channel and purpose",
        ),
        _table(
            "survey",
            "customer_id:text",
            "at:time",
            key="customer_id",
            enables="segments by attitude and motive, from answers to questions",
        ),
        _table(
            "channel_results",
            "at:time channel:text",
            "campaign_id:text post_id:text impressions:number reach:number engagements:number clicks:number "
            "conversions:number cost:money currency:text",
            enables="what each channel reports of itself, beside what customers did",
        ),
        _table(
            "acquisition_costs",
            "start:time end:time cost:money origin:text",
            "channel:text currency:text",
            enables="acquisition cost and payback by cohort, channel and segment (new customers must be observed)",
        ),
        _table(
            "margins",
            "category:text margin_rate:number origin:text",
            "",
            key="category",
            enables="profit, where purchases carry no margin of their own",
        ),
        _table(
            "exchange_rates",
            "currency:text rate:number origin:text",
            "",
            key="currency",
            enables="amounts in several currencies",
        ),
    )
}

# no shared table: read when files are written, never kept in a run
ADDRESSES = _table(
    "addresses",
    "customer_id:text",
    "email:text phone:text first_name:text last_name:text country:text postcode:text crm_id:text external_id:text",
    key="customer_id",
    enables="files that a CRM or an advertising platform can take",
)

"""The marketing mix: what the team decides for each segment, in a table that people edit in a spreadsheet.

An empty cell leaves the decision open. A filled cell is the analyst's: it is kept through every run,
parked where its segment is gone, and in use again when the segment comes back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from segmentkit.analysis.addresses import for_people
from segmentkit.errors import ParameterError

YOURS = ("product", "price", "offer", "message", "budget", "contact_cap", "note")
COLUMNS = ("segmentation", "segment_key", "segment_name", "channel", *YOURS, "status")
WHICH = ["segmentation", "segment_key", "channel"]
ALL = "all"
IN_USE, NOBODY = "in use", "no customers now"
GONE, OTHER = "parked: no such segment now", "parked: another segmentation"
NUMBER = re.compile(r"\d+([.,](\d{1,2}|\d{4,}))?")


@dataclass(frozen=True)
class Mix:
    """The marketing mix of a segmentation, merged with what people wrote.

    Attributes:
        table: everything to write back, as text; rows in use first, parked rows last.
        notes: what happened to the rows, in words.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def in_use(self) -> pd.DataFrame:
        """Rows of the segments there are, with or without customers now."""
        return self.table[_used(self.table["status"])]

    @property
    def parked(self) -> pd.DataFrame:
        """Rows kept for a segment that is not there now."""
        return self.table[~_used(self.table["status"])]

    @property
    def sentence(self) -> str:
        """How many rows there are, and what happened to them."""
        rows = self.in_use
        edited = rows.loc[(rows[list(YOURS)] != "").any(axis=1), "segment_key"].nunique()
        head = f"Marketing mix: {rows['segment_key'].nunique()} segments, {edited} with cells filled in by you"
        parked = f", {len(self.parked)} rows parked" if len(self.parked) else ""
        return " ".join((f"{head}{parked}.", *self.notes))


def merge(
    edits: pd.DataFrame | None,
    names: Mapping[str, str],
    customers: Mapping[str, int],
    segmentation: str,
    *,
    file: str = "the marketing mix",
) -> Mix:
    """Bring the edited table and the segments of today together; no cell that somebody filled is changed or lost.

    A row without a segmentation is taken to belong to this one; a row without a channel is for all channels. Parked
    rows that nobody wrote in are left out.

    Args:
        edits: the table as read, all text, its index the row numbers in the spreadsheet; None means that there is none.
        names: of the segments, by key.
        customers: in each segment now, by key.
        segmentation: id of the lineage of keys, from ``identity.lineage``.
        file: for the messages.

    Raises:
        ParameterError: a row has no key, two rows are for the same segment and channel, or a budget or contact cap is
            no number of 0 or more.
    """
    # a spreadsheet would take 12e45678 for a number, and spoil it
    segmentation = segmentation if segmentation[:1].isalpha() else f"s{segmentation}"
    given, notes = _belonging(_tidied(edits), segmentation)
    _check(given, file)
    here = given["segmentation"] == segmentation
    there = set(given.loc[here & (given["channel"] == ALL), "segment_key"])
    added = {"segmentation": segmentation, "segment_key": [key for key in names if key not in there], "channel": ALL}
    table = pd.concat([given, pd.DataFrame(added)], ignore_index=True).fillna("")
    status = _status(table, names, customers, segmentation)
    shown = table["segment_key"].map(for_people(pd.Series(dict(names), dtype=object)).to_dict())
    shown = shown.where(_used(status), table["segment_name"])
    kept = _used(status) | _written(table)
    notes += _news(table[kept], status[kept], shown[kept])
    return Mix(_sorted(table.assign(status=status, segment_name=shown)[kept], segmentation), tuple(notes))


def _tidied(edits: pd.DataFrame | None) -> pd.DataFrame:
    """Every column there, what identifies a row written one way, and the rest as people left it."""
    table = pd.DataFrame(columns=list(COLUMNS)) if edits is None else edits
    table = table.astype(object).fillna("").astype(str)
    table = table.rename(columns=lambda name: name.lower() if name.lower() in COLUMNS else name)
    table = table.assign(**{name: "" for name in COLUMNS if name not in table.columns})
    clean = table[[*WHICH, "budget", "contact_cap"]].apply(lambda column: column.map(_plain).astype(object))
    clean["segment_key"], clean["channel"] = clean["segment_key"].str.upper(), clean["channel"].str.lower()
    return table.assign(**clean).assign(channel=clean["channel"].replace("", ALL))


def _plain(text: str) -> str:
    """Without spaces around it, nor the apostrophe by which spreadsheets mark text."""
    return text.strip().removeprefix("'").strip()


def _belonging(table: pd.DataFrame, segmentation: str) -> tuple[pd.DataFrame, list[str]]:
    blank = table["segmentation"] == ""
    if not blank.any():
        return table, []
    rows = _listed(table.index[blank])
    told = f"Without a segmentation, and taken to belong to this one: {rows}."
    return table.assign(segmentation=table["segmentation"].mask(blank, segmentation)), [told]


def _listed(rows: pd.Index) -> str:
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(row) for row in rows)}"


def _check(table: pd.DataFrame, file: str) -> None:
    if len(bare := table.index[table["segment_key"] == ""]):
        raise ParameterError(
            f"{file}, {_listed(bare)}: segment_key == ''; a row is for a segment; write its letter or delete the row"
        )
    again = table[table.duplicated(WHICH, keep=False)]
    for (_, key, channel), rows in again.groupby(WHICH, sort=False):
        raise ParameterError(
            f"{file}, {_listed(rows.index)}: segment_key == {key!r} with channel {channel!r} more than once; one row "
            "for a segment and channel; keep one of them"
        )
    for row in table.itertuples():
        if row.budget and not NUMBER.fullmatch(row.budget):
            raise ParameterError(
                f"{file}, row {row.Index}, column budget == {row.budget!r}; a number of 0 or more without currency or "
                "signs for thousands; write 1500 or 1500.50, or leave it empty"
            )
        if row.contact_cap and not re.fullmatch(r"\d+", row.contact_cap):
            raise ParameterError(
                f"{file}, row {row.Index}, column contact_cap == {row.contact_cap!r}; a whole number of 0 or more; "
                "write the most contacts, e.g. 4, or leave it empty"
            )


def _status(
    table: pd.DataFrame, names: Mapping[str, str], customers: Mapping[str, int], segmentation: str
) -> "pd.Series[str]":
    here = table["segmentation"] == segmentation
    known = here & table["segment_key"].isin(list(names))
    peopled = table["segment_key"].map(lambda key: customers.get(key, 0) > 0).astype(bool)
    status = np.select([known & peopled, known, here], [IN_USE, NOBODY, GONE], OTHER)
    return pd.Series(status, index=table.index, dtype=object)


def _used(status: "pd.Series[str]") -> "pd.Series[bool]":
    return status.isin([IN_USE, NOBODY])


def _written(table: pd.DataFrame) -> "pd.Series[bool]":
    """Rows with anything in them that is not the kit's; a row for a single channel was added by somebody."""
    theirs = [name for name in table.columns if name not in COLUMNS or name in YOURS]
    filled = table[theirs].apply(lambda column: column.str.strip() != "").any(axis=1)
    return filled.astype(bool) | (table["channel"] != ALL)


def _news(table: pd.DataFrame, status: "pd.Series[str]", shown: "pd.Series[str]") -> list[str]:
    """Segments that went, came back, or have another name than in the file."""
    used, before = _used(status), table["status"].str.startswith("parked")
    happened = {
        "no such segment now; what you wrote is parked": (status == GONE) & ~before,
        "of another segmentation; what you wrote is parked": (status == OTHER) & ~before,
        "in use again, with what you had written": used & before,
    }
    keys = {told: ", ".join(table.loc[rows, "segment_key"].unique()) for told, rows in happened.items()}
    notes = [f"{listed}: {told}." for told, listed in keys.items() if listed]
    named = used & (table["segment_name"] != "") & (table["segment_name"] != shown)
    renamed = pd.DataFrame({"key": table["segment_key"], "old": table["segment_name"], "new": shown})[named]
    for row in renamed.drop_duplicates("key").itertuples():
        notes.append(f"{row.key} is called {row.new!r} now; in the file it was {row.old!r}.")
    return notes


def _sorted(table: pd.DataFrame, segmentation: str) -> pd.DataFrame:
    """In use before parked, this segmentation before others, A to Z before AA, all channels before single ones."""
    key, channel, of = table["segment_key"], table["channel"], table["segmentation"]
    first = {"parked": ~_used(table["status"]), "other": of != segmentation, "of": of}
    order = pd.DataFrame({**first, "length": key.str.len(), "key": key, "single": channel != ALL, "channel": channel})
    return table.loc[order.sort_values(list(order.columns)).index].reset_index(drop=True)

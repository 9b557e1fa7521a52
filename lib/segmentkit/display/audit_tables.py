"""Tables of the audit for reading: the score card of the data, and a sample of the quarantine."""

from collections.abc import Mapping

import pandas as pd
from great_tables import GT, loc, style

WORDS = {"stop": "stops the run", "warn": "warning", "note": "to know", "ok": "nothing found"}
# dark on light, and a word in every cell: the colour only repeats what stands there
PAINT = {"stop": ("#7a1f00", "#f6d5c6"), "warn": ("#5c4300", "#fbe9c0"), "note": ("#003f66", "#d6e9f5")}
SAMPLE = 5


def score_card(card: pd.DataFrame, title: str = "What the checks found") -> GT:
    """Everything that was found, the gravest first; checks that found nothing are counted under the title.

    Args:
        card: ``data_quality.card``.
        title: what the table says.
    """
    found = card[card["result"] != "ok"].reset_index(drop=True)
    shown = found.assign(result=found["result"].map(WORDS).astype("str"))[
        ["result", "table", "check", "sentence", "mend"]
    ]
    quiet = len(card) - len(found)
    made = GT(shown).tab_header(title, f"{quiet:,} of {len(card):,} checks found nothing to say.")
    for result, (ink, ground) in PAINT.items():
        rows = found.index[found["result"] == result].tolist()
        if rows:
            painted = [style.fill(color=ground), style.text(color=ink, weight="bold")]
            made = made.tab_style(painted, loc.body(columns="result", rows=rows))
    labels = {"result": "", "table": "table", "check": "looked at", "sentence": "found", "mend": "what to do"}
    return made.cols_label(**labels).opt_align_table_header("left").cols_align("left")


def quarantine(tables: Mapping[str, pd.DataFrame], title: str = "Rows set aside, five of each rule") -> GT:
    """The first rows of every rule of every table, with the masked value and how to mend it.

    Args:
        tables: table name to its quarantined rows, ``file, row_number, rule, column, value, mend``.
        title: what the table says.
    """
    named = [rows.assign(table=name) for name, rows in tables.items() if len(rows)]
    every = pd.concat(named, ignore_index=True) if named else pd.DataFrame(columns=["table", "rule", *_SHOWN])
    sample = every.groupby(["table", "rule"], sort=False).head(SAMPLE)
    counts = every.groupby(["table", "rule"], sort=False)["rule"].transform("size")
    group = [f"{row.table}: {row.rule} ({counts[row.Index]:,} rows)" for row in sample.itertuples()]
    shown = sample[_SHOWN].assign(group=group)
    made = GT(shown, groupname_col="group").tab_header(title, f"{len(every):,} rows in all.")
    labels = {"file": "file", "row_number": "row", "column": "column", "value": "value, masked", "mend": "what to do"}
    made = made.cols_label(**labels).opt_align_table_header("left").cols_align("left")
    return made.fmt_integer(columns="row_number") if len(shown) else made


_SHOWN = ["file", "row_number", "column", "value", "mend"]

"""Tables for reading: great_tables, which escapes whatever the data hold."""

from collections.abc import Mapping, Sequence

import pandas as pd
from great_tables import GT

from segmentkit.display import style


def plain(
    table: pd.DataFrame, title: str, *, percent: Sequence[str] = (), numbers: Mapping[str, int] | None = None
) -> GT:
    """A table with readable headings.

    Args:
        table: what to show.
        title: what it says.
        percent: columns that are shares from 0 to 1.
        numbers: column to decimals.
    """
    flags = table.select_dtypes("bool").columns
    table = table.assign(**{name: table[name].map({True: "yes", False: "no"}) for name in flags})
    made = GT(table).tab_header(title).opt_align_table_header("left")
    made = made.cols_label(**{name: style.readable(name) for name in table.columns})
    if percent:
        made = made.fmt_percent(columns=list(percent), decimals=1)
    for column, decimals in (numbers or {}).items():
        made = made.fmt_number(columns=column, decimals=decimals)
    whole = [name for name in table.select_dtypes("integer").columns if name not in (numbers or {})]
    if whole:
        made = made.fmt_integer(columns=whole)
    return made.sub_missing(missing_text="–")

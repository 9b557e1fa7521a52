"""Rows that repeat: overlaps of two exports, lines that come twice, and rows that contradict each other."""

import ibis
import pandas as pd

from segmentkit.analysis.audit_rules import Rule
from segmentkit.contracts import TableContract

# names that no attribute and no question of a survey has
FATE, REASON = "__fate__", "__reason__"
# SQL of a ready map may make several rows of one row of a file
PLACE = ["file", "row_number", "copy"]
OVERLAP = "repeats a row of another file"


def repeats(contract: TableContract, marked: ibis.Table, tally: pd.DataFrame) -> pd.DataFrame:
    """Sound rows that say nothing new or contradict each other: their place, and ``repeats``, a number of a rule."""
    known = set(contract.key) <= set(marked.columns) and bool(contract.key)
    lines = contract.name == "transactions"
    sound = marked.filter(marked[FATE].isnull())
    kinds = {"file": "str", "row_number": "int64", "copy": "int64", "repeats": "int64"}
    found = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})]
    if not (lines and known) and (shared := _shared_days(sound, tally)) is not None:
        # two equal lines of one file are two things bought: as many stay as the file has that holds most of them
        same = [name for name in marked.columns if name not in PLACE]
        rank = ibis.row_number().over(ibis.window(group_by=[*same, "file"], order_by=PLACE))
        shared = shared.mutate(rank=rank)
        first = shared.mutate(first=shared.file.min().over(ibis.window(group_by=[*same, "rank"])))
        found.append(first.filter(first.file > first["first"]).select(*PLACE, repeats=0).execute())
    if known:
        # a row that fails another rule still claims its customer; of a line only sound copies count
        rows = sound if lines else marked.filter((marked[FATE].isnull()) | (marked[FATE] >= 0))
        if len(found) > 1 and len(found[1]):
            rows = rows.anti_join(ibis.memtable(found[1]), PLACE)
        rows = rows.filter(rows[contract.key[0]].notnull())
        often = rows.group_by(*contract.key).having(rows.count() > 1).aggregate(n=rows.count())
        claimed = rows.semi_join(often, list(contract.key))
        # the same line twice is an overlap of two exports: the last one knows most, such as a refund; one line of two
        # customers is no overlap, and of two rows that claim one customer nobody can tell which is right
        latest = [claimed.file.desc(), claimed.row_number, claimed["copy"]]
        group = list(contract.key)
        place = ibis.row_number().over(ibis.window(group_by=group, order_by=latest))
        others = claimed.customer_id.nunique().over(ibis.window(group_by=group)) > 1 if lines else ibis.literal(False)
        claimed = claimed.mutate(place=place, others=others)
        wrong = claimed.place > 0 if lines else claimed[FATE].isnull()
        told = claimed.filter(wrong)
        found.append(told.select(*PLACE, repeats=told.others.cast("int64") + 1).execute())
    return pd.concat(found, ignore_index=True)


def _shared_days(sound: ibis.Table, tally: pd.DataFrame) -> ibis.Table | None:
    """Rows of days that more than one file covers; None where files do not meet."""
    passed = tally[tally[FATE].isna()]
    files = passed.groupby("file").agg(first=("first", "min"), last=("last", "max")).sort_values(["first", "last"])
    if len(files) < 2 or files["first"].isna().any():
        return sound if len(files) > 1 else None
    times = next(name for name, kind in sound.schema().items() if kind.is_timestamp())
    before = files["last"].cummax().shift()
    met = files[files["first"] <= before]
    if met.empty:
        return None
    ends = met["last"].where(met["last"] < before[met.index], before[met.index])
    days = [sound[times].between(start, end) for start, end in zip(met["first"], ends, strict=True)]
    return sound.filter(ibis.or_(*days))


def repeat_rules(contract: TableContract) -> list[Rule]:
    """What ``repeats`` numbers."""
    words = " and ".join(contract.key)
    mend = "nothing to do: of the lines with this id the first of the last file was kept"
    if contract.name != "transactions":
        mend = "keep the right row in the file and delete the others"
    same = "nothing to do: the row of the first file was kept; export files whose days do not meet"
    column = contract.key[0] if contract.key else ""
    rules = [Rule(OVERLAP, "", None, same), Rule(f"{words} appears more than once", column, None, mend)]
    shops = "state a system for each shop if they number alike, or map a column that names a line"
    return [*rules, Rule(f"{words} appears again, of another customer", column, None, shops)]


def with_repeats(marked: ibis.Table, found: pd.DataFrame, known: int) -> ibis.Table:
    """The same rows with the fate of those that repeat, ``known`` being the number of other rules."""
    again = ibis.memtable(found.rename(columns={name: f"in_{name}" for name in PLACE}))
    joined = marked.left_join(again, [marked[name] == again[f"in_{name}"] for name in PLACE])
    fate = joined[FATE].coalesce((joined.repeats + known).cast("int16"))
    return joined.mutate(**{FATE: fate}).select(marked.columns).order_by(PLACE).cache()

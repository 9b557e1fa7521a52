"""Identity: which re-fitted segment is which old one, so that a key means the same group for life.

Old and new segments are matched by the customers they share (Hungarian on the overlap). A key lives on only where
the overlap is half or more both ways and clearly more than chance; everything else is said in words: split, merged,
new, gone.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from segmentkit.analysis.clustering import Segmentation, key_letter
from segmentkit.errors import DataError

KEPT = 0.5
# two independent halves overlap by half both ways: agreement beyond chance (Cohen's kappa) is asked for as well
BEYOND_CHANCE = 0.3
COLUMNS = ["segment_key", "fate", "customers_before", "customers_now", "sentence"]


@dataclass(frozen=True)
class Carried:
    """A segmentation whose keys were carried over from an earlier one.

    Attributes:
        model: the segmentation, with its final keys.
        fates: ``segment_key, fate, customers_before, customers_now, sentence``; one row a segment, old or new.
    """

    model: Segmentation
    fates: pd.DataFrame

    @property
    def kept(self) -> list[str]:
        """Keys that live on."""
        lives = self.fates["fate"].isin(["kept", "split"]) & self.fates["segment_key"].isin(self.model.keys)
        return list(self.fates.loc[lives, "segment_key"])


def lineage(earlier: Mapping[str, Any] | None, **facts: Any) -> str:
    """Name of a line of keys: A means the same group only inside one line.

    Args:
        earlier: content of the earlier run's model, whose line goes on; None at a first fit.
        facts: what a first fit follows from: source, columns, method, keys, days and seed. The same again is the same
            line; other data begin another.

    Returns:
        Eight characters, the first a letter: a spreadsheet would take 12e45678 for a number.
    """
    if earlier and earlier.get("lineage"):
        return str(earlier["lineage"])
    text = json.dumps(facts, sort_keys=True, default=str)
    return f"s{hashlib.sha256(text.encode()).hexdigest()[:7]}"


def carry(
    known: Segmentation | None, model: Segmentation, features: pd.DataFrame, earlier: pd.DataFrame | None
) -> Carried:
    """Give a segmentation the keys of an earlier one.

    Args:
        known: the earlier segmentation; None means that this is the first.
        model: the new one; where it is ``known`` itself nothing can change.
        features: today's customers; both segmentations are applied to them, so that a difference is the cut's.
        earlier: ``customer_id, segment_key`` as the earlier run left them.
    """
    now = model.assign(features)
    if known is None:
        return Carried(model, _unmatched(model, now, None, "first", "first fit"))
    then = earlier["segment_key"].value_counts() if earlier is not None else None
    if model is known:
        return Carried(model, _unmatched(model, now, then, "kept", "kept: the same model, applied to new data"))
    old = known.assign(features)
    earlier = old if earlier is None else earlier
    then = earlier["segment_key"].value_counts()
    returning = old["customer_id"].isin(earlier["customer_id"])
    if not returning.any():  # another market: nobody is known, so everybody counts
        returning[:] = True
    overlap = _overlap(old[returning], now[returning])
    # whoever is in no group is no group: the rest is followed by the rest alone
    pairs = match(overlap[(overlap["old_key"] == known.rest) == (overlap["new_key"] == model.rest)])
    used = {*known.keys, *known.retired}
    unused = (key_letter(index) for index in count() if key_letter(index) not in used)
    keys = tuple(pairs.get(key) or next(unused) for key in model.keys)
    retired = tuple(sorted(used - set(keys), key=lambda key: (len(key), key)))
    renamed = dict(zip(model.keys, keys, strict=True))
    overlap = overlap.assign(new_key=overlap["new_key"].map(renamed))
    now = now.assign(segment_key=now["segment_key"].map(renamed))
    fates = _fates(overlap, old, now, then.reindex(known.keys, fill_value=0), returning)
    last = renamed.get(model.rest or "")
    order = sorted(range(len(keys)), key=lambda index: (keys[index] == last, len(keys[index]), keys[index]))
    method = model.method.reordered(order)
    model = replace(model, keys=tuple(keys[i] for i in order), method=method, retired=retired)
    return Carried(model, fates)


def _overlap(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Every pair of segments that shares anybody: customers, shares of both sides, and Cohen's kappa."""
    both = old[["customer_id", "segment_key"]].merge(new[["customer_id", "segment_key"]], on="customer_id")
    if both.empty:
        raise DataError("the two segmentations share no customer; match them on the same table")
    table = pd.crosstab(both["segment_key_x"], both["segment_key_y"])
    rows, columns = table.to_numpy().nonzero()
    shared = table.to_numpy()[rows, columns].astype(float)
    a, b, n = table.sum(axis=1).to_numpy()[rows], table.sum(axis=0).to_numpy()[columns], len(both)
    chance = (a * b + (n - a) * (n - b)) / n**2
    agree = 1 - (a + b - 2 * shared) / n
    return pd.DataFrame(
        {
            "old_key": table.index.to_numpy()[rows],
            "new_key": table.columns.to_numpy()[columns],
            "customers": shared.astype("int64"),
            "share_of_old": shared / a,
            "share_of_new": shared / b,
            "kappa": np.where(chance < 1, (agree - chance) / np.where(chance < 1, 1 - chance, 1), 1.0),
        }
    )


def match(overlap: pd.DataFrame) -> dict[str, str]:
    """New key to old key, for the pairs whose overlap is half or more both ways and more than chance.

    Where two halves tie for one key, the Hungarian method takes the pairs that hold most customers.
    """
    both = overlap[["share_of_old", "share_of_new"]].min(axis=1) >= KEPT
    able = overlap[both & (overlap["kappa"] >= BEYOND_CHANCE)]
    shared = able.pivot_table(index="old_key", columns="new_key", values="customers", fill_value=0)
    rows, columns = linear_sum_assignment(-shared.to_numpy())
    return {
        str(shared.columns[column]): str(shared.index[row])
        for row, column in zip(rows, columns, strict=True)
        if shared.iloc[row, column] > 0
    }


def _unmatched(
    model: Segmentation, now: pd.DataFrame, then: "pd.Series[int] | None", fate: str, told: str
) -> pd.DataFrame:
    sizes = now["segment_key"].value_counts()
    rows = [
        (key, fate, None if then is None else int(then.get(key, 0)), int(sizes.get(key, 0)), f"{key} {told}.")
        for key in model.keys
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _fates(
    overlap: pd.DataFrame, old: pd.DataFrame, now: pd.DataFrame, then: "pd.Series[int]", returning: "pd.Series[bool]"
) -> pd.DataFrame:
    sizes, fits = now["segment_key"].value_counts(), old["segment_key"].value_counts()
    newcomers = now.loc[~returning.to_numpy(), "segment_key"].value_counts()
    rows = []
    for key in sorted({*then.index, *sizes.index}, key=lambda key: (len(key), key)):
        before = int(then[key]) if key in then.index else None
        size = int(sizes[key]) if key in sizes.index else None
        if before is not None and size is not None:
            fate, told = _kept(key, overlap, set(then.index))
        elif before is not None:
            fate, told = _lost(key, overlap, before, int(fits.get(key, 0)))
        else:
            fate, told = _born(key, overlap, int(size or 0), int(newcomers.get(key, 0)))
        rows.append((key, fate, before, size, told))
    return pd.DataFrame(rows, columns=COLUMNS)


def _kept(key: str, overlap: pd.DataFrame, old_keys: set[str]) -> tuple[str, str]:
    own = overlap[(overlap["old_key"] == key) & (overlap["new_key"] == key)].iloc[0]
    told = f"{own['share_of_old']:.0%} of its customers stay in it, and are {own['share_of_new']:.0%} of it"
    off = overlap[(overlap["old_key"] == key) & ~overlap["new_key"].isin(old_keys) & (overlap["share_of_new"] >= KEPT)]
    if off.empty:
        return "kept", f"{key} kept: {told}."
    parts = ", ".join(f"{row.new_key} takes {row.share_of_old:.0%}" for row in off.itertuples())
    return "split", f"{key} split: {own['share_of_old']:.0%} of its customers keep the key, {parts}."


def _lost(key: str, overlap: pd.DataFrame, before: int, fits: int) -> tuple[str, str]:
    mine = overlap[overlap["old_key"] == key].sort_values("share_of_old", ascending=False)
    if fits < before / 2 or mine.empty:
        return "gone", f"{key} gone: {before:,} customers were in it, {fits:,} would be now."
    if mine["share_of_old"].max() >= KEPT:
        best = mine.iloc[0]
        told = f"{best['share_of_old']:.0%} of its customers are there"
        return "merged", f"{key} merged into {best['new_key']}: {told}."
    return "split", f"{key} split, and no part holds half of it: {_largest(mine['new_key'], mine['share_of_old'])}."


def _born(key: str, overlap: pd.DataFrame, size: int, newcomers: int) -> tuple[str, str]:
    mine = overlap[overlap["new_key"] == key].sort_values("share_of_new", ascending=False)
    if newcomers >= size / 2:
        return "new", f"{key} new: {newcomers:,} of its {size:,} customers were not there before."
    if mine["share_of_new"].max() >= KEPT:
        best = mine.iloc[0]
        told = f"{best['share_of_new']:.0%} of its known customers were there"
        return "split off", f"{key} split off from {best['old_key']}: {told}."
    return "new", f"{key} new, drawn from several: {_largest(mine['old_key'], mine['share_of_new'])}."


def _largest(keys: pd.Series, shares: pd.Series) -> str:
    """The first three segments with their shares."""
    return ", ".join(f"{key} {share:.0%}" for key, share in zip(keys[:3], shares[:3], strict=True))


def changed(fates: pd.DataFrame) -> list[str]:
    """The sentences of every segment that did not simply live on."""
    return list(fates.loc[~fates["fate"].isin(["kept", "first"]), "sentence"])


def translate(before: pd.Series, now: pd.Series) -> Mapping[str, str]:
    """Which segment of ``now`` each segment of ``before`` is, by shared customers, where the overlap carries it.

    Args:
        before: segment key by customer.
        now: segment key by customer.
    """
    frames = [s.rename("segment_key").rename_axis("customer_id").reset_index() for s in (before, now)]
    if not set(frames[0]["customer_id"]) & set(frames[1]["customer_id"]):
        return {}
    return {old: new for new, old in match(_overlap(*frames)).items()}

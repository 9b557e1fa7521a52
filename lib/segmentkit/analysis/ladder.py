"""Ladder: how segments split, merge and last from k to k+1 (Dolnicar and Leisch 2017, stability across solutions)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy

from segmentkit.analysis.identity import KEPT
from segmentkit.errors import DataError, ParameterError

# smaller flows between neighbouring solutions are neither drawn nor counted as a source
SHOWN = 0.1
DECIMALS = {"origin_index": 2}


@dataclass(frozen=True)
class Ladder:
    """How the segments of neighbouring solutions share their customers.

    Attributes:
        k: the chosen number of segments.
        nodes: ``k, segment`` (its label there), ``place`` (0 on top), ``key`` (letter at the chosen k, that of the
            matched line elsewhere, empty where none matches), ``customers, origin_index``.
        edges: ``k, segment, next_segment, customers, share`` (of the segment), ``share_of_next``; from k to k+1.
        segments: of the chosen k: ``segment_key, customers, sources`` (segments of k-1 that give a tenth of it or
            more), ``origin_index, found_from, found_to`` (numbers of segments between which it is found
            without a break, overlap half or more both ways).
    """

    k: int
    nodes: pd.DataFrame
    edges: pd.DataFrame
    segments: pd.DataFrame

    @property
    def finding(self) -> str:
        """Which segments last, and which are drawn from several, in one line."""
        table, last = self.segments, int(self.nodes["k"].max())
        lasting = list(table.loc[table["found_to"] == last, "segment_key"])
        told = f"{', '.join(lasting) or 'None'} of the {self.k} segments can still be found at {last}"
        mixed = list(table.loc[table["sources"].fillna(0) > 1, "segment_key"])
        end = f"; {', '.join(mixed)} drawn from several at {self.k - 1}" if mixed else ""
        return f"{told}{end}" if self.k < last else f"{self.k} segments are the most that were tried{end}"

    @property
    def sentence(self) -> str:
        """The finding, and the segment with the most mixed origin."""
        if self.segments["origin_index"].isna().all():
            return f"{self.finding}. Where they come from is not known: no smaller number of 2 or more was tried."
        row = self.segments.loc[self.segments["origin_index"].idxmin()]
        many = f"mainly from {row['sources']} of the {self.k - 1}" if row["sources"] > 1 else "nearly all from one"
        return (
            f"{self.finding}. The most mixed origin has {row['segment_key']}, {many} before (origin index "
            f"{row['origin_index']:.2f}; 1: all from one, 0: from all alike)."
        )


def climb(solutions: Mapping[int, np.ndarray], keys: Sequence[str]) -> Ladder:
    """Follow segments from k to k+1.

    The origin index is their SLSa: 1 - H / log(k-1), with H = -sum p log p over the shares p of the segment's customers
    that come from each segment of the solution with one fewer. Part of a split segment has 1 too; not known at k = 2.

    Args:
        solutions: labels 0..k-1 of the same customers for every k of an unbroken range; at the chosen k in the order of
            ``keys``.
        keys: letters of the chosen solution.

    Raises:
        ParameterError: the range has a gap or lacks the chosen k.
        DataError: the solutions hold different numbers of customers.
    """
    numbers, chosen = sorted(solutions), len(keys)
    if chosen not in solutions or numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise ParameterError(f"solutions for k == {numbers}; they must be an unbroken range that holds k == {chosen}")
    if len({len(labels) for labels in solutions.values()}) > 1:
        raise DataError("the solutions hold different numbers of customers; label the same customers at every k")
    shared = {k: _shared(solutions[k], solutions[k + 1], k, k + 1) for k in numbers[:-1]}
    lines = {chosen: list(keys)}
    places = {chosen: np.arange(chosen)}
    for k in range(chosen, numbers[-1]):
        lines[k + 1], places[k + 1] = _follow(shared[k], lines[k], places[k])
    for k in range(chosen, numbers[0], -1):
        lines[k - 1], places[k - 1] = _follow(shared[k - 1].T, lines[k], places[k])
    nodes = [_nodes(k, solutions[k], lines[k], places[k], shared.get(k - 1)) for k in numbers]
    edges = [_edges(k, shared[k]) for k in numbers[:-1]]
    table = pd.concat(nodes, ignore_index=True)
    return Ladder(chosen, table, pd.concat(edges, ignore_index=True) if edges else _edges(0, np.zeros((0, 0))),
                  _segments(solutions, table, shared, keys))  # fmt: skip


def _shared(one: np.ndarray, other: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Customers by label here and there; a label that nobody has keeps its place."""
    both = np.zeros((rows, columns))
    np.add.at(both, (one, other), 1)
    return both


def _follow(shared: np.ndarray, line: Sequence[str], place: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Lines and places in the neighbouring solution: pairs by the Hungarian method, places beside shared customers."""
    rows, columns = linear_sum_assignment(-shared)
    found = dict(zip(columns, rows, strict=True))
    names = [line[found[j]] if j in found and shared[found[j], j] else "" for j in range(shared.shape[1])]
    middle = (place @ shared) / np.maximum(shared.sum(axis=0), 1)
    return names, np.argsort(np.argsort(middle, kind="stable"), kind="stable")


def _origin_index(shared: np.ndarray) -> np.ndarray:
    """1 - H / log(segments of the smaller solution), one a segment of the larger; missing where nothing could vary."""
    if len(shared) < 2:
        return np.full(shared.shape[1], np.nan)
    with np.errstate(invalid="ignore"):  # a segment without customers has no origin
        index: np.ndarray = 1 - entropy(shared, axis=0) / np.log(len(shared))
    return index


def _nodes(k: int, labels: np.ndarray, line: list[str], place: np.ndarray, origin: np.ndarray | None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "k": k,
            "segment": np.arange(k),
            "place": place,
            "key": line,
            "customers": np.bincount(labels, minlength=k),
            "origin_index": np.nan if origin is None else _origin_index(origin),
        }
    )


def _edges(k: int, shared: np.ndarray) -> pd.DataFrame:
    rows, columns = shared.nonzero()
    flow = shared[rows, columns]
    return pd.DataFrame(
        {
            "k": k,
            "segment": rows,
            "next_segment": columns,
            "customers": flow.astype("int64"),
            "share": flow / shared.sum(axis=1)[rows],
            "share_of_next": flow / shared.sum(axis=0)[columns],
        }
    )


def _segments(
    solutions: Mapping[int, np.ndarray], nodes: pd.DataFrame, shared: Mapping[int, np.ndarray], keys: Sequence[str]
) -> pd.DataFrame:
    k = len(keys)
    own = nodes[nodes["k"] == k].reset_index(drop=True)
    before = shared.get(k - 1)
    there = {j: _is_there(_shared(solutions[k], solutions[j], k, j)) for j in solutions}
    up, down = range(k + 1, max(solutions) + 1), range(k - 1, min(solutions) - 1, -1)
    return pd.DataFrame(
        {
            "segment_key": list(keys),
            "customers": own["customers"],
            "sources": pd.NA if before is None else (before / np.maximum(before.sum(axis=0), 1) >= SHOWN).sum(axis=0),
            "origin_index": own["origin_index"],
            "found_from": [k - _unbroken([there[j][i] for j in down]) for i in range(k)],
            "found_to": [k + _unbroken([there[j][i] for j in up]) for i in range(k)],
        }
    ).astype({"sources": "Int64"})


def _is_there(shared: np.ndarray) -> np.ndarray:
    """Whether each segment has a match that overlaps by half or more both ways."""
    share = shared / np.maximum(shared.sum(axis=1, keepdims=True), 1)
    of_other = shared / np.maximum(shared.sum(axis=0, keepdims=True), 1)
    there: np.ndarray = (np.minimum(share, of_other) >= KEPT).any(axis=1)
    return there


def _unbroken(there: Sequence[bool]) -> int:
    return int(np.cumprod(np.asarray(there, dtype=int)).sum())

"""The compiled part of ``resampling``: greedy starts, Lloyd's iterations, the nearest centre; in single precision."""

import numpy as np
from numba import njit

SCREENED = 6  # iterations after which only the better half of the starts goes on
MOST_ITERATIONS = 300
FAST = {"reassoc", "contract", "nsz"}  # sums may be taken in any order; infinities and NaN keep their meaning


@njit(cache=True, fastmath=FAST)
def _distances(columns: np.ndarray, centre: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    out[:] = np.float32(0.0)
    for f in range(columns.shape[0]):
        c, column = centre[f], columns[f]
        for i in range(out.size):
            gap = column[i] - c
            out[i] += gap * gap


@njit(cache=True, fastmath=FAST)
def _label(
    columns: np.ndarray, centres: np.ndarray, labels: np.ndarray, least: np.ndarray, work: np.ndarray
) -> None:  # pragma: no cover
    _distances(columns, centres[0], least)
    labels[:] = 0
    for j in range(1, centres.shape[0]):
        _distances(columns, centres[j], work)
        for i in range(work.size):  # without a branch, so that it runs on several customers at once
            nearer = work[i] < least[i]
            labels[i] = j if nearer else labels[i]
            least[i] = work[i] if nearer else least[i]


@njit(cache=True, fastmath=FAST)
def nearest(columns: np.ndarray, centres: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Number of the nearest centre; columns are (columns, customers), centres (k, columns)."""
    n = columns.shape[1]
    labels, least, work = np.zeros(n, np.int32), np.empty(n, columns.dtype), np.empty(n, columns.dtype)
    _label(columns, centres, labels, least, work)
    return labels


@njit(cache=True, fastmath=FAST)
def _start(
    columns: np.ndarray,
    weights: np.ndarray,
    chances: np.ndarray,
    centres: np.ndarray,
    least: np.ndarray,
    work: np.ndarray,
    kept: np.ndarray,
) -> None:  # pragma: no cover
    """Greedy k-means++ (Arthur and Vassilvitskii 2007): of a few candidates the one that helps most."""
    least[:] = 1.0
    for j in range(centres.shape[0]):
        total = 0.0
        for i in range(least.size):
            total += weights[i] * least[i]
        best, first = np.inf, True
        for t in range(chances.shape[1] if j else 1):
            target, pick, reached = chances[j, t] * total, least.size - 1, 0.0
            for i in range(least.size):
                reached += weights[i] * least[i]
                if reached > target:
                    pick = i
                    break
            _distances(columns, columns[:, pick], work)
            cost = 0.0
            for i in range(least.size):
                work[i] = min(work[i], least[i]) if j else work[i]
                cost += weights[i] * work[i]
            if first or cost < best:
                best, first = cost, False
                kept[:] = work
                centres[j] = columns[:, pick]
        least[:] = kept


@njit(cache=True, fastmath=FAST)
def _lloyd(
    columns: np.ndarray,
    weights: np.ndarray,
    centres: np.ndarray,
    iterations: int,
    settled: float,
    labels: np.ndarray,
    before: np.ndarray,
    least: np.ndarray,
    work: np.ndarray,
) -> float:  # pragma: no cover
    """Lloyd's iterations in place; returns the within sum of squares."""
    k, d, n = centres.shape[0], columns.shape[0], columns.shape[1]
    sums, mass = np.zeros((k, d)), np.zeros(k)
    before[:] = -1
    for _ in range(iterations):
        _label(columns, centres, labels, least, work)
        for i in range(n):
            old, new = before[i], labels[i]
            if old != new:
                w = weights[i]
                mass[new] += w
                for f in range(d):
                    sums[new, f] += w * columns[f, i]
                if old >= 0:
                    mass[old] -= w
                    for f in range(d):
                        sums[old, f] -= w * columns[f, i]
                before[i] = new
        moved = 0.0
        for j in range(k):
            # an empty segment begins again at the customer who lies farthest off
            far = np.argmax(least) if mass[j] <= 0.0 else -1
            if far >= 0:
                least[far] = 0.0
            for f in range(d):
                place = columns[f, far] if far >= 0 else sums[j, f] / mass[j]
                moved += (place - centres[j, f]) ** 2
                centres[j, f] = place
        if moved <= settled:
            break
    _label(columns, centres, labels, least, work)
    total = 0.0
    for i in range(n):
        total += weights[i] * least[i]
    return total


@njit(cache=True, fastmath=FAST)
def best(
    columns: np.ndarray, weights: np.ndarray, k: int, chances: np.ndarray, settled: float
) -> np.ndarray:  # pragma: no cover
    """Centres of the best of several starts; chances are uniform, shape (starts, k, candidates)."""
    d, n, starts = columns.shape[0], columns.shape[1], chances.shape[0]
    centres, cost = np.empty((starts, k, d), columns.dtype), np.empty(starts)
    labels, before = np.zeros(n, np.int32), np.zeros(n, np.int32)
    least, work, kept = np.empty(n, columns.dtype), np.empty(n, columns.dtype), np.empty(n, columns.dtype)
    for s in range(starts):
        _start(columns, weights, chances[s], centres[s], least, work, kept)
        cost[s] = _lloyd(columns, weights, centres[s], SCREENED, settled, labels, before, least, work)
    order = np.argsort(cost)
    best, lowest = order[0], np.inf
    for s in order[: (starts + 1) // 2]:
        wss = _lloyd(columns, weights, centres[s], MOST_ITERATIONS, settled, labels, before, least, work)
        if wss < lowest:
            lowest, best = wss, s
    return centres[best]

"""Separation: does a gap lie between neighbouring segments, or does the border run through a crowd?

Along the line between two centres the customers of both are counted. Two separate groups leave a valley; a cut through
one crowd does not. A dip test on that line would be double dipping, since the line was chosen by the clustering, so
the depth is compared with copies of one population that went through the same clustering.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from segmentkit.analysis.one_population import FEW_VALUES, histogram

BINS = 60
SMOOTHED = 2.0
FINE_BINS = 300
BANDWIDTH = 0.6
HALF = 0.5
SMALLEST_HUMP = 0.05


def shallowest(values: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Depth of the shallowest valley between neighbouring segments: 0 is none, 1 is empty ground.

    Args:
        values: customers by columns.
        labels: segment of each, 0 to k-1.
        k: segments; one without customers is passed over.
    """
    return min((depth for _, _, depth in valleys(values, labels, k)), default=0.0)


def valleys(values: np.ndarray, labels: np.ndarray, k: int) -> list[tuple[int, int, float]]:
    """Every pair of neighbouring segments and the depth of the valley between them."""
    filled = [j for j in range(k) if (labels == j).any()]
    centres = {j: values[labels == j].mean(axis=0) for j in filled}
    found = []
    for a, b in _neighbours(centres):
        line = centres[b] - centres[a]
        both = values[(labels == a) | (labels == b)]
        own = labels[(labels == a) | (labels == b)]
        along = ((both - centres[a]) @ line) / (line @ line)
        weights = np.where(own == a, 1 / (own == a).sum(), 1 / (own == b).sum())
        found.append((a, b, depth(along, weights)))
    return found


def depth(along: np.ndarray, weights: np.ndarray) -> float:
    """One less the lowest density between two peaks over the lower peak.

    Args:
        along: place of each customer, 0 at the one centre and 1 at the other.
        weights: both segments weigh the same, or a small one next to a large one would never show.
    """
    counts, _ = np.histogram(along, BINS, range=(-0.5, 1.5), weights=weights)
    density = gaussian_filter1d(counts.astype(float), SMOOTHED, mode="constant")
    left, right = density[: BINS // 2], density[BINS // 2 :]
    a, b = int(left.argmax()), BINS // 2 + int(right.argmax())
    lower = min(density[a], density[b])
    return float(1 - density[a : b + 1].min() / lower) if lower > 0 else 0.0


def within_humps(column: np.ndarray) -> float:
    """Standard deviation inside a column's own humps as a share of its whole; 1 where it has one hump.

    A column that by itself falls into groups has a large spread because of them. Measured in units of that spread the
    groups would shrink, and noise in other columns would hide them (Art, Gnanadesikan and Kettenring 1982). Humps are
    parted by valleys of half the lower hump or less, and hold a twentieth of the customers or more.
    """
    known, counts = np.unique(column, return_counts=True)
    if len(known) <= FEW_VALUES:
        return 1.0
    edges, mass = histogram(known, counts, FINE_BINS)
    width = BANDWIDTH * column.std() * len(column) ** -0.2 / (edges[1] - edges[0])
    density = gaussian_filter1d(mass, width, mode="constant")
    borders = _valley_floors(density, mass)
    if not borders:
        return 1.0
    hump = np.searchsorted(edges[borders], column)
    inside = sum(column[hump == j].var() * (hump == j).sum() for j in range(len(borders) + 1)) / len(column)
    return float(np.sqrt(inside) / column.std())


def _valley_floors(density: np.ndarray, mass: np.ndarray) -> list[int]:
    """Places of the floors of clear valleys, left to right."""
    peaks = [i for i in range(1, len(density) - 1) if density[i - 1] < density[i] >= density[i + 1]]
    floors: list[int] = []
    left = peaks[0] if peaks else 0
    for right in peaks[1:]:
        floor = left + int(density[left : right + 1].argmin())
        begins = floors[-1] if floors else 0
        if density[floor] > HALF * min(density[left], density[right]):
            left = max(left, right, key=lambda i: density[i])  # no valley between them: one hump
        elif mass[begins:floor].sum() >= SMALLEST_HUMP and mass[floor:].sum() >= SMALLEST_HUMP:
            floors.append(floor)
            left = right
        elif mass[begins:floor].sum() < SMALLEST_HUMP:
            left = right  # what lies left of here is too few to be a hump
    return floors


def _neighbours(centres: dict[int, np.ndarray]) -> Iterator[tuple[int, int]]:
    """Pairs with no third centre in the ball between them (Gabriel's graph)."""
    for a, b in combinations(centres, 2):
        middle, radius = (centres[a] + centres[b]) / 2, ((centres[a] - centres[b]) ** 2).sum() / 4
        others = [centre for j, centre in centres.items() if j not in (a, b)]
        if all(((centre - middle) ** 2).sum() >= radius for centre in others):
            yield a, b

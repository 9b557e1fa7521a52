"""One population: copies of the data as they would be if nobody belonged to a group.

Each column keeps its level, spread and skewness but gets a single hump: the unimodal density nearest to its own, by
isotonic regression up to the mode and down from it. The columns hang together as they do in the data, through a
Gaussian copula whose correlations are chosen so that those of the copied values come out as observed (Cario and
Nelson's NORTA 1997, by Mehler's expansion; for yes/no columns this is the tetrachoric correlation). A column with few
values keeps its own shares, and ties stay ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

FEW_VALUES = 10
BINS = 150
STEP = 5
NODES = 4_000
TERMS = 40
RHO = np.linspace(-0.99, 0.99, 199)


@dataclass(frozen=True)
class OnePopulation:
    """One undivided population with the data's own columns and correlations.

    Attributes:
        quantiles: value of each column at ``NODES`` evenly spaced probabilities; shape (columns, nodes).
        mixing: Cholesky factor of the copula's correlations; shape (columns, columns).
        values: distinct values of columns with ties, to which copies are rounded; None where there are none.
    """

    quantiles: np.ndarray
    mixing: np.ndarray
    values: tuple[np.ndarray | None, ...]

    def copy(self, customers: int, rng: np.random.Generator) -> np.ndarray:
        """As many customers from this population; shape (customers, columns)."""
        latent = rng.standard_normal((customers, len(self.mixing))) @ self.mixing.T
        places = norm.cdf(latent) * NODES - 0.5
        columns = []
        for place, quantiles, known in zip(places.T, self.quantiles, self.values, strict=True):
            drawn = np.interp(place, np.arange(NODES), quantiles)
            columns.append(drawn if known is None else _nearest(drawn, known))
        return np.column_stack(columns)


def describe(values: np.ndarray) -> OnePopulation:
    """The undivided population nearest to the data.

    Args:
        values: customers by columns, as they are clustered; no missing values.
    """
    found = [_column(column) for column in values.T]
    quantiles = np.asarray([column for column, _ in found])
    latent = _latent_correlations(np.atleast_2d(np.corrcoef(values.T)), quantiles)
    return OnePopulation(quantiles, np.linalg.cholesky(latent), tuple(known for _, known in found))


def _column(column: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Quantiles of the unimodal column nearest to this one, and its distinct values where it has ties."""
    known, counts = np.unique(column, return_counts=True)
    chances = (np.arange(NODES) + 0.5) / NODES
    if len(known) <= FEW_VALUES:
        places = np.searchsorted(np.cumsum(counts) / len(column), chances)
        return known[np.minimum(places, len(known) - 1)], known
    edges, mass = histogram(known, counts)
    density = unimodal(mass)
    quantiles = np.interp(chances, np.concatenate([[0.0], np.cumsum(density)]) / density.sum(), edges)
    quantiles = column.mean() + (quantiles - quantiles.mean()) * (column.std() / quantiles.std())
    return quantiles, known if len(known) < len(column) / 2 else None


def histogram(known: np.ndarray, counts: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Edges and mass of equal bins; a value stands for the stretch half way to its neighbours.

    Without that, whole numbers would look like as many humps as there are values.
    """
    middles = (known[1:] + known[:-1]) / 2
    borders = np.concatenate([[known[0]], middles, [known[-1]]])
    edges = np.linspace(known[0], known[-1], bins + 1)
    cumulated = np.interp(edges, borders, np.concatenate([[0], np.cumsum(counts)]))
    return edges, np.diff(cumulated) / counts.sum()


def unimodal(mass: np.ndarray) -> np.ndarray:
    """The unimodal sequence nearest to the given one in least squares, with the same total.

    The mode is looked for at every fifth place, then around the best of them.
    """
    coarse = min((_around(mass, mode) for mode in range(0, len(mass), STEP)), key=lambda one: one[0])
    near = range(max(0, coarse[1] - STEP + 1), min(len(mass), coarse[1] + STEP))
    best = min((_around(mass, mode) for mode in near), key=lambda one: one[0])[2]
    return np.maximum(best, 1e-12) * (mass.sum() / best.sum())


def _around(mass: np.ndarray, mode: int) -> tuple[float, int, np.ndarray]:
    """Loss, mode and fit: isotonic regression up to the mode and down from it."""
    places = np.arange(len(mass))
    up = IsotonicRegression().fit_transform(places[: mode + 1], mass[: mode + 1])
    down = IsotonicRegression(increasing=False).fit_transform(places[mode:], mass[mode:])
    fitted = np.concatenate([up[:-1], [max(up[-1], down[0])], down[1:]])
    return float(((fitted - mass) ** 2).sum()), mode, fitted


def _latent_correlations(observed: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Correlations of the normals behind the columns, made positive definite."""
    z = norm.ppf((np.arange(NODES) + 0.5) / NODES)
    hermite = [np.ones(NODES), z]
    for n in range(1, TERMS):
        hermite.append((z * hermite[n] - np.sqrt(n) * hermite[n - 1]) / np.sqrt(n + 1))
    scaled = (quantiles - quantiles.mean(axis=1, keepdims=True)) / quantiles.std(axis=1, keepdims=True)
    terms = scaled @ np.asarray(hermite[1:]).T / NODES
    powers = RHO[:, None] ** np.arange(1, TERMS + 1)
    latent = np.eye(len(observed))
    for i in range(len(observed)):
        for j in range(i):
            expected = powers @ (terms[i] * terms[j])
            latent[i, j] = latent[j, i] = np.interp(observed[i, j], expected, RHO)
    roots, vectors = np.linalg.eigh(latent)
    mended = (vectors * np.maximum(roots, 1e-6)) @ vectors.T
    size = np.sqrt(np.diag(mended))
    nearest: np.ndarray = mended / np.outer(size, size)
    return nearest


def _nearest(drawn: np.ndarray, known: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = known[np.searchsorted((known[1:] + known[:-1]) / 2, drawn)]
    return rounded


def permuted(values: np.ndarray, blocks: Sequence[Sequence[int]], rng: np.random.Generator) -> np.ndarray:
    """A copy in which columns are unrelated; columns of one block (levels of one question) stay together."""
    copied = np.empty_like(values)
    for block in blocks or [[i] for i in range(values.shape[1])]:
        copied[:, block] = values[rng.permutation(len(values))][:, block]
    return copied

"""The map: UMAP of the scaled features, for looking only. Segments are never made from it."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from segmentkit.analysis.clustering import Scaled
from segmentkit.analysis.stability import sample_rows, solid

TRUST_ROWS = 2_000
NEIGHBOURS = 15


@dataclass(frozen=True)
class CustomerMap:
    """Two coordinates a customer, without unit.

    Attributes:
        table: ``customer_id, x, y`` of the customers drawn.
        trust: share of near neighbours on the map that are near in the features too, 0 to 1.
        drawn: customers on the map.
        customers: all customers.
    """

    table: pd.DataFrame
    trust: float
    drawn: int
    customers: int


def embed(scaled: Scaled, *, max_rows: int, seed: int) -> CustomerMap:
    """Draw customers so that similar ones lie near each other.

    Seeded, so it runs on one thread; coordinates still differ between machines, so nothing may depend on them.
    """
    from umap import UMAP

    rows = sample_rows(len(scaled.values), max_rows, seed)
    values = solid(scaled.values)[rows]
    neighbours = min(NEIGHBOURS, len(values) - 1)
    distances, nearest = NearestNeighbors(n_neighbors=neighbours).fit(values).kneighbors(values)
    with warnings.catch_warnings():
        # without its own search index umap cannot place new customers, which is not asked of it here
        warnings.filterwarnings("ignore", message="precomputed_knn")
        # exact neighbours, found here: umap's own search compiles for five seconds in every run
        known = {"precomputed_knn": (nearest, distances), "force_approximation_algorithm": True}
        placed = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, **known).fit_transform(values)
    few = sample_rows(len(values), TRUST_ROWS, seed)
    trust = float(trustworthiness(values[few], placed[few], n_neighbors=min(NEIGHBOURS, (len(few) - 1) // 2)))
    table = pd.DataFrame(
        {"customer_id": scaled.customer_id.iloc[rows].to_numpy(), "x": placed[:, 0], "y": placed[:, 1]}
    )
    return CustomerMap(table, trust, len(rows), len(scaled.values))


def centre_of_each(xy: pd.DataFrame, keys: pd.Series) -> pd.DataFrame:
    """Median position of each segment on the map, for its label."""
    return xy.assign(segment_key=np.asarray(keys)).groupby("segment_key")[["x", "y"]].median().reset_index()


def sentence(drawn: CustomerMap, k: int) -> str:
    """The map in words."""
    return (
        f"Map of {drawn.drawn:,} of {drawn.customers:,} customers in {k} segments; trustworthiness {drawn.trust:.2f}. "
        "Near means similar; axes, gaps and areas have no unit."
    )

"""K-means on bootstrap samples, many times over: what measuring stability costs, and where its time goes.

The reported segments are scikit-learn's. Here the same algorithm (greedy k-means++ starts, Lloyd's iterations, the
best of several starts) is compiled for the one case of a bootstrap sample: a customer drawn three times is one row of
weight three, sums follow only the customers who change segment, and starts that lag behind after a few iterations are
not finished. Every sample has starts of its own: starting from the reported segments would be cheaper still, and
would hide the very instability that is looked for.
"""

import numpy as np

SETTLED = 1e-4  # of the mean variance, as scikit-learn's tolerance


def fit(values: np.ndarray, rows: np.ndarray, k: int, starts: int, rng: np.random.Generator) -> np.ndarray:
    """Centres of k-means on a sample with repeats.

    Args:
        values: customers by columns.
        rows: row numbers of the sample; repeats count as often as they occur.
        k: segments; with fewer distinct rows some centres coincide and take nobody.
        starts: greedy k-means++ starts; the better half after a few iterations is finished.
        rng: of the starts.

    Returns:
        Centres, shape (k, columns), in single precision.
    """
    from segmentkit.analysis.compiled import best  # numba counts its threads when it is imported: after the cap

    drawn, weights = np.unique(rows, return_counts=True)
    columns = np.ascontiguousarray(values[drawn].T, dtype=np.float32)
    chances = rng.random((starts, k, 2 + int(np.log(k))))
    settled = SETTLED * float(columns.var(axis=1).mean())
    centres: np.ndarray = best(columns, weights.astype(np.float32), k, chances, settled)
    return centres


def assign(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number of the nearest centre of every customer."""
    from segmentkit.analysis.compiled import nearest

    columns = np.ascontiguousarray(values.T, dtype=np.float32)
    labels: np.ndarray = nearest(columns, np.ascontiguousarray(centres, dtype=np.float32))
    return labels

"""CPU of stability against the plain scikit-learn loop: same bootstrap samples, same answers.

``python tests/heavy/bench_stability.py [pairs]`` (100 by default; some four minutes). The two take turns, pair by pair.
"""

import sys
from time import process_time

import numpy as np
from record import keep
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from segmentkit.analysis import stability

CUSTOMERS, COLUMNS, STARTS = 2_500, 20, 10
KS = range(2, 9)


def data(kind: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(CUSTOMERS, COLUMNS))
    if kind == "round crowd":
        return noise
    if kind == "long cloud":
        return 0.8 * rng.normal(size=(CUSTOMERS, 1)) + 0.6 * noise
    if kind == "yes or no":
        return (0.6 * rng.normal(size=(CUSTOMERS, 1)) + noise > 0.5).astype(float)
    return 1.2 * rng.normal(size=(5, COLUMNS))[rng.integers(0, 5, CUSTOMERS)] + noise


def plain(values: np.ndarray, samples: list[np.ndarray], k: int, pair: int) -> float:
    """What anybody would write: scikit-learn on each sample, extended to all, adjusted Rand."""
    models = [KMeans(k, n_init=STARTS, random_state=2 * pair + i).fit(values[rows]) for i, rows in enumerate(samples)]
    return float(adjusted_rand_score(*(model.predict(values) for model in models)))


def main(pairs: int) -> None:
    stability.refit(data("round crowd"), np.arange(CUSTOMERS), 3, 2, [0])  # compiled once a machine
    for kind in ("round crowd", "long cloud", "yes or no", "five groups"):
        values, seconds = data(kind), np.zeros(2)
        gaps = {}
        for k in KS:
            found = []
            for pair in range(pairs):
                rng = np.random.default_rng([1, pair])
                samples = [rng.integers(0, CUSTOMERS, CUSTOMERS) for _ in range(2)]
                with threadpool_limits(1):
                    begun = process_time()
                    theirs = plain(values, samples, k, pair)
                    between = process_time()
                mine, _ = stability.one_pair(values, np.zeros(CUSTOMERS, dtype=int), k, STARTS, 1, pair, "kmeans")
                seconds += (between - begun, process_time() - between)
                found.append((theirs, mine))
            gaps[k] = tuple(np.mean(found, axis=0).round(4).tolist())
        keep(
            f"stability benchmark, {kind}",
            pairs=pairs,
            cpu_plain=round(seconds[0], 1),
            cpu=round(seconds[1], 1),
            ratio=round(seconds[1] / seconds[0], 3),
            largest_gap=round(max(abs(a - b) for a, b in gaps.values()), 4),
            plain_and_ours=gaps,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)

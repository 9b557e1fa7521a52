"""Settings and types that several test modules share."""

import subprocess
from collections.abc import Callable

# few repetitions: the tests ask whether the truth is found, not how narrow the bands are
LIGHT = [
    "-p",
    "bootstrap_pairs=10",
    "-p",
    "starts=5",
    "-p",
    "null_copies=19",
    "-p",
    "null_pairs=4",
    "-p",
    "null_starts=3",
]

# every default of the series, changed
CHANGED = {
    "source": "sample_shop",
    "max_bad_share": 0.2,
    "unit_top_share": 0.4,
    "as_of": "2025-12-20",
    "features": ["frequency", "monetary", "recency_days", "basket_value"],
    "look_back_days": [700],
    "rfm_bins": 4,
    "top_categories": 3,
    "k_min": 3,
    "k_max": 6,
    "own_k": [4],
    "own_names": ["B Regulars"],
    "starts": 4,
    "bootstrap_pairs": 3,
    "stability_floor": 0.6,
    "size_floor_share": 0.04,
    "size_floor": 40,
    "stability_max_rows": 900,
    "map_max_rows": 400,
    "seed": 3,
    "null_copies": 20,
    "null_pairs": 2,
    "null_starts": 2,
    "repeatable_floor": 0.65,
    "confidence": 0.9,
    "campaign_ids": ["autumn"],
    "margin_rate": [0.35],
    "cost_per_contact": [1.0],
    "effective_floor": 20.0,
    "certain_limit": 0.2,
    "exposure_gap": 0.3,
    "drift_floor": 0.2,
    "drift_permutations": 99,
    "test_days": 28,
    "test_lift": 0.1,
    "test_margin_rate": 0.2,
    "test_cost": 1.0,
}

Command = Callable[..., subprocess.CompletedProcess[str]]

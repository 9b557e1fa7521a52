"""The map is for looking: finite, complete, with its trust stated. Coordinates are never asserted."""

import numpy as np
import pandas as pd

from segmentkit.analysis import clustering, embedding
from segmentkit.machinery.threads import cap_environment

cap_environment()


def test_the_map_places_a_seeded_sample_of_customers_and_states_its_trust() -> None:
    rng = np.random.default_rng(9)
    features = pd.DataFrame(
        {"customer_id": [f"C{i:03d}" for i in range(200)], "a": rng.lognormal(1, 1, 200), "b": rng.normal(size=200)}
    )
    scaled = clustering.scale(features, ["a", "b"])
    drawn = embedding.embed(scaled, max_rows=150, seed=3)
    assert (drawn.drawn, drawn.customers, len(drawn.table)) == (150, 200, 150)
    assert drawn.table["customer_id"].is_unique
    assert set(drawn.table["customer_id"]) <= set(features["customer_id"])
    assert np.isfinite(drawn.table[["x", "y"]].to_numpy()).all()
    assert 0 <= drawn.trust <= 1
    told = embedding.sentence(drawn, 4)
    assert told.startswith(f"Map of 150 of 200 customers in 4 segments; trustworthiness {drawn.trust:.2f}.")
    assert "axes, gaps and areas have no unit" in told


def test_a_label_sits_at_the_median_of_its_segment() -> None:
    xy = pd.DataFrame({"customer_id": list("abcd"), "x": [0.0, 1.0, 8.0, 5.0], "y": [0.0, 2.0, 4.0, 5.0]})
    found = embedding.centre_of_each(xy, pd.Series(["A", "A", "A", "B"], index=[9, 8, 7, 6]))
    assert found.values.tolist() == [["A", 1.0, 2.0], ["B", 5.0, 5.0]]

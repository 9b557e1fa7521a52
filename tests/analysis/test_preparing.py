"""What is segmented where nothing is stated: recency, frequency and monetary, or what there is."""

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import preparing
from segmentkit.contracts import Column
from segmentkit.errors import ParameterError

RNG = np.random.default_rng(5)
N = 200
IDS = [f"c{number:03d}" for number in range(N)]
ITEMS = [Column("q1", "binary"), Column("why", "open")]


def known(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": IDS, **columns})


def numbers(missing: float = 0.0) -> np.ndarray:
    return np.where(np.arange(N) < missing * N, np.nan, RNG.normal(size=N))


def test_with_purchases_it_is_recency_frequency_and_monetary() -> None:
    table = known(recency_days=numbers(), frequency=numbers(), monetary=numbers(), basket_value=numbers(0.1))
    found = preparing.chosen([], table, ITEMS, ["region"])
    assert found.names == found.drawn == ["recency_days", "frequency", "monetary"]
    assert "basket_value" in found.plain, "that some customers lack it is refused where it is scaled, as ever"


def test_what_is_stated_goes_first() -> None:
    table = known(recency_days=numbers(), frequency=numbers(), monetary=numbers())
    assert preparing.chosen(["survey"], table, ITEMS).names == ["survey"]
    assert preparing.chosen(["survey"], table, ITEMS).drawn == ["recency_days", "frequency", "monetary"]
    assert preparing.chosen(["frequency"], table, purchases=False).names == ["frequency"]


def test_without_purchases_it_is_what_customers_did() -> None:
    table = known(
        recency_days=numbers(0.1), frequency=numbers(), monetary=numbers(), basket_value=numbers(), visits=numbers(),
        tenure_days=numbers(), engagement_email_delivery_count=numbers(), engagement_email_open_rate=numbers(),
        days_since_last_open=numbers(), days_since_last_activity=numbers(0.3), engagement_active_weeks=np.ones(N),
        engagement_favourite_part="night",
    )  # fmt: skip
    found = preparing.chosen([], table, ITEMS, ["region"], purchases=False)
    assert found.names == ["recency_days", "frequency", "monetary", "visits", "engagement_email_open_rate"]
    assert found.drawn == ["frequency", "monetary", "visits", "engagement_email_open_rate"]
    assert "days_since_last_activity (known for 70%)" in found.sentence
    assert "engagement_active_weeks" in found.sentence, "the same for all"


def test_then_answers_then_attributes_then_a_stop() -> None:
    sent = known(engagement_email_delivery_count=numbers(), days_since_last_delivery=numbers())
    assert preparing.chosen([], sent, ITEMS, ["region"], purchases=False).names == ["survey"]
    assert preparing.chosen([], sent, ITEMS[1:], ["region"], purchases=False).names == ["region"]
    with pytest.raises(ParameterError, match=r"features == \[\].*engagement_email_delivery_count"):
        preparing.chosen([], sent, purchases=False)


def test_a_gap_is_filled_as_stated_and_never_in_silence() -> None:
    table = known(recency_days=numbers(0.1), frequency=numbers(), monetary=numbers())
    found = preparing.chosen([], table, purchases=False)
    ready = preparing.prepare(table, found.plain, found.names, [], "kmeans")
    row = ready.treatments.set_index("column").loc["recency_days"]
    assert row["missing"] == 20
    assert "missing: the median" in row["treatment"]
    assert "recency_days (10.0%)" in ready.sentence

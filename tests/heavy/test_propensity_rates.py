"""How often a propensity is called better where nothing is to be found, found where there is, and caught by drift.

Customers buy in six periods; a new category is bought in each with a chance that is known. A model learns on periods
1 to 4 who buys in the fifth, and is judged on periods 2 to 5 and the sixth, as ``propensity.likely_buyers`` cuts them.
Of 3,300 customers about 2,000 do not have the category at a cut.
"""

import numpy as np
import pandas as pd
import pytest
from record import keep, upper95
from scipy.special import expit

from segmentkit.analysis.propensity_check import BETTER, NOT_CALIBRATED, Judged, Sample, judge

pytestmark = pytest.mark.heavy
SETS, CUSTOMERS, PERIODS, BACK = 200, 3_300, 6, 4
SEED = 8_200
KINDS = 4


def periods(rng: np.random.Generator, strength: float, later: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orders by period, customer and kind; who buys the new category in which period; the noise of each customer.

    ``strength`` is the log odds per standard deviation of what purchases show, half frequency and half taste; ``later``
    multiplies the chance in the last period, on which a propensity is judged.
    """
    rate, taste = rng.gamma(1.5, 1.0, CUSTOMERS), rng.beta(2, 4, CUSTOMERS)
    pull = np.log(rate) / np.log(rate).std() + (taste - taste.mean()) / taste.std()
    base = np.tile(expit(-2.2 + strength * pull / np.sqrt(2)), (PERIODS, 1))
    base[-1] *= later
    kinds = np.column_stack([taste, *([(1 - taste) / (KINDS - 1)] * (KINDS - 1))])
    orders = rng.poisson(2 * rate[:, None] * kinds, (PERIODS, CUSTOMERS, KINDS))
    return orders, rng.random(base.shape) < base, rng.normal(size=(CUSTOMERS, 8))


def sample(rng: np.random.Generator, cut: int, orders: np.ndarray, new: np.ndarray, noise: np.ndarray) -> Sample:
    """Features of four periods before a cut, of customers who ordered in them and did not buy the new category."""
    seen = orders[cut - BACK : cut]
    frequency, late = seen.sum(axis=(0, 2)), seen[BACK // 2 :].sum(axis=(0, 2))
    there = (frequency > 0) & ~new[cut - BACK : cut].any(axis=0)
    of = np.maximum(frequency, 1)
    known = pd.DataFrame({"customer_id": np.arange(CUSTOMERS).astype(str), "frequency": frequency.astype(float)})
    known["monetary"] = frequency * rng.lognormal(2.5, 0.6 / np.sqrt(of))
    known["basket_value"] = known["monetary"] / of
    known["recency_days"] = rng.exponential(240 / (of + 1))
    known["trend"] = (2 * late - frequency) / of
    known["categories_bought"] = (seen.sum(axis=0) > 0).sum(axis=1).astype(float)
    for kind in range(KINDS):
        known[f"category_{kind}_share"] = seen[:, :, kind].sum(axis=0) / of
    for column in range(noise.shape[1]):
        known[f"noise_{column}"] = noise[:, column]
    return Sample(known[there].reset_index(drop=True), new[cut][there])


def judged(strength: float, later: float, stream: int) -> list[Judged]:
    rng, found = np.random.default_rng([SEED, stream]), []
    for number in range(SETS):
        history = periods(rng, strength, later)
        learned, new = (sample(rng, cut, *history) for cut in (BACK, BACK + 1))
        found.append(judge("New", learned, new, confidence=0.95, seed=number))
    return found


def covered(found: list[Judged]) -> dict[str, float]:
    """How often intervals hold what they should, and the middle figures of all sets."""
    tenths = pd.concat([one.calibration for one in found])
    slopes = np.array([one.slope for one in found])
    middle = {
        "customers": np.mean([one.later[0] for one in found]),
        "base_rate": np.mean([one.later[1] / one.later[0] for one in found]),
        "predicted": np.mean([one.predicted for one in found]),
        "slope": np.nanmedian(slopes[:, 0]),
        "auc": np.median([one.auc[0] for one in found]),
        "gain_percent": np.median([100 * one.gain[0] / one.brier_own for one in found]),
        "lift": np.median([one.lift[0] for one in found]),
        "lift_frequent": np.median([one.lift_frequent for one in found]),
        "off_covers_0": np.mean([one.off[1] <= 0 <= one.off[2] for one in found]),
        "slope_covers_1": np.mean((slopes[:, 1] <= 1) & (slopes[:, 2] >= 1)),
        "tenths_inside": tenths["predicted"].between(tenths["low"], tenths["high"]).mean(),
        "sets_with_a_tenth_grossly_off": np.mean([one.calibration["gross"].any() for one in found]),
    }
    return {name: round(float(value), 3) for name, value in middle.items()}


def counted(found: list[Judged]) -> dict[str, int]:
    verdicts = [one.verdict for one in found]
    return {"sets": len(found), "better": verdicts.count(BETTER), "not_calibrated": verdicts.count(NOT_CALIBRATED)}


def test_where_nothing_tells_buyers_apart_it_is_seldom_called_better() -> None:
    found = judged(0.0, 1.0, 1)
    counts = counted(found)
    bound = round(upper95(counts["better"], SETS), 4)
    keep("propensity, no signal, 2,000 customers, 10 % buy", **counts, better_upper95=bound, **covered(found))
    assert counts["better"] <= 0.05 * SETS
    assert counts["not_calibrated"] <= 0.1 * SETS


@pytest.mark.parametrize(("strength", "found_share"), [(0.5, 0.3), (1.0, 0.6), (1.5, 0.6)])
def test_a_real_signal_is_found_and_calibrated(strength: float, found_share: float) -> None:
    found = judged(strength, 1.0, 2 + round(10 * strength))
    counts, figures = counted(found), covered(found)
    keep(f"propensity, log odds {strength} per standard deviation, 2,000 customers, 10 % buy", **counts, **figures)
    assert figures["off_covers_0"] >= 0.9
    assert figures["tenths_inside"] >= 0.85
    assert counts["not_calibrated"] <= 0.2 * SETS
    assert counts["better"] >= found_share * SETS


def test_a_base_rate_that_halves_is_seen_as_not_calibrated() -> None:
    found = judged(1.0, 0.5, 30)
    counts = counted(found)
    keep("propensity, log odds 1.0, the base rate halves, 2,000 customers", **counts, **covered(found))
    assert counts["not_calibrated"] >= 0.95 * SETS
    assert counts["better"] == 0

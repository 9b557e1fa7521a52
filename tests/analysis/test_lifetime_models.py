"""BG/NBD and Gamma-Gamma: published figures, formulas against plain integration, edges, and refusals."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate
from scipy.special import betaln

from segmentkit.analysis import lifetime_models as models
from segmentkit.analysis.lifetime_models import BgNbd, GammaGamma
from segmentkit.errors import DataError

REFERENCES = Path(__file__).parents[2].parent / "shared" / "references"
published = pytest.mark.skipif(not REFERENCES.is_dir(), reason="the folder of published figures is not here")


def reference(name: str) -> Any:
    return json.loads((REFERENCES / f"{name}.json").read_text(encoding="utf-8"))


def cdnow(file: str = "cdnow_rf_cal39_holdout39.csv") -> pd.DataFrame:
    """The published summary leaves the first purchase out of the spend, and so do its figures."""
    table = pd.read_csv(REFERENCES / file)
    names = {"x": "repeat_purchases", "t_x": "last_purchase", "T": "age", "zbar": "mean_spend"}
    return table.rename(columns=names).assign(purchases=table["x"])


def customer(x: float, last: float, age: float, spend: float = 20.0) -> pd.DataFrame:
    figures = {"repeat_purchases": x, "last_purchase": last, "age": age, "purchases": x + 1, "mean_spend": spend}
    return pd.DataFrame([figures])


def population(n: int, seed: int, stop: float = 0.2, spread: float = 4.0) -> pd.DataFrame:
    """Customers of one year at gamma rates; each stops after a purchase with the same chance."""
    rng = np.random.default_rng(seed)
    rows = []
    for rate in rng.gamma(1.5, 1 / 6, n):
        age = rng.uniform(26, 52)
        times = np.cumsum(rng.exponential(1 / rate, 80))
        times = times[: rng.geometric(stop)] if stop else times
        times = times[times < age]
        mean = 60 / rng.gamma(spread)
        x, last = len(times), times[-1] if len(times) else 0.0
        rows.append((x, last, age, x + 1, mean * rng.gamma(5.0 * (x + 1)) / 5 / (x + 1)))
    return pd.DataFrame(rows, columns=["repeat_purchases", "last_purchase", "age", "purchases", "mean_spend"])


# --- published figures


@published
@pytest.mark.parametrize("file", ["cdnow_rf_cal39_holdout39.csv", "cdnow_summary_published.csv"])
def test_the_published_fit_is_met(file: str) -> None:
    facts = reference("cdnow_fit")
    found, wanted, within = models.fit_bgnbd(cdnow(file)), facts["published"]["bgnbd"], facts["tolerance"]
    for name in ("r", "alpha", "a", "b"):
        assert getattr(found, name) == pytest.approx(wanted[name], abs=within[name])
    assert found.loglik == pytest.approx(wanted["LL"], abs=within["loglik"])
    assert (found.customers, found.held) == (2_357, 0)
    # published standard errors of r and alpha: .0126 and .378
    errors = np.sqrt(np.diag(found.covariance)) * found.parameters
    assert errors[:2] == pytest.approx([0.0126, 0.378], rel=0.02)


@published
@pytest.mark.parametrize("file", ["cdnow_rf_cal39_holdout39.csv", "cdnow_summary_published.csv"])
def test_the_published_gamma_gamma_is_met_on_946_repeat_customers(file: str) -> None:
    facts = reference("cdnow_fit")
    found, wanted, within = models.fit_gamma_gamma(cdnow(file)), facts["published"]["gammagamma"], facts["tolerance"]
    for name in ("p", "q", "v"):
        assert getattr(found, name) == pytest.approx(wanted[name], abs=within["gg"][name])
    assert found.loglik == pytest.approx(wanted["LL"], abs=within["loglik"])
    assert found.customers == 946


@published
def test_published_single_customers_are_met() -> None:
    checks = {(c["model"], str(c["params"])[:4]): c for c in reference("cdnow_predict")["checks"]}
    note = checks["bgnbd", "[0.2"]
    one, fitted = customer(note["x"], note["t_x"], note["T"]), BgNbd(*note["params"])
    assert fitted.expected(note["t"], one)[0] == pytest.approx(note["expected"], abs=note["tol"])
    assert fitted.alive(one)[0] == pytest.approx(note["palive"], abs=note["tol"])
    vignette, fitted = checks["bgnbd", "MLE"], models.fit_bgnbd(cdnow())
    one = customer(vignette["x"], vignette["t_x"], vignette["T"])
    assert fitted.expected(vignette["t"], one)[0] == pytest.approx(vignette["expected"], abs=vignette["tol"])
    assert fitted.alive(one)[0] == pytest.approx(vignette["palive"], abs=vignette["tol"])
    assert fitted.expected_new(52) == pytest.approx(vignette["E_X_52"], abs=vignette["tol"])
    spend = checks["gammagamma", "[6.2"]
    table = pd.DataFrame({"purchases": spend["x"], "mean_spend": spend["m"]})
    assert GammaGamma(*spend["params"]).expected_spend(table) == pytest.approx(spend["expected"], abs=spend["tol"])


# --- formulas


def integrated(r: float, alpha: float, a: float, b: float, x: float, age: float, horizon: float) -> float:
    """Expected purchases while alive, by plain integration over the chance to stop."""

    def inside(p: float) -> float:
        gone = -np.expm1(-(r + x) * np.log1p(p * horizon / (alpha + age)))
        return float(gone * np.exp((a - 2) * np.log(p) + (b + x - 1) * np.log1p(-p) - betaln(a, b + x)))

    middle = a / (a + b + x)
    edges = [1e-14, *(point for k in (1e-6, 1e-3, 0.1, 1, 3, 10, 50) if (point := middle * k) < 0.99), 1.0]
    return sum(integrate.quad(inside, *pair, limit=200)[0] for pair in itertools.pairwise(edges))


CASES = [*itertools.product([0.3, 2.0, 50.0], [0.5, 5.0, 100.0], [0.8, 1.0, 1.3, 5.0], [2.4, 30.0], [0, 10, 1500])]


@pytest.mark.parametrize(("age", "horizon"), [(30.0, 1.0), (30.0, 52.0), (200.0, 520.0)])
def test_expected_purchases_agree_with_plain_integration(age: float, horizon: float) -> None:
    for r, alpha, a, b, x in CASES[::2]:
        one = customer(x, age if x else 0.0, age)
        model = BgNbd(r, alpha, a, b)
        found = model.expected(horizon, one)[0] / model.alive(one)[0]
        assert found == pytest.approx(integrated(r, alpha, a, b, x, age, horizon), rel=2e-4), (r, alpha, a, b, x)


def test_what_the_hypergeometric_function_cannot_hold_is_still_answered() -> None:
    # the horizon is a thousand times alpha plus age: the function itself gives no number
    model = BgNbd(0.05, 0.5, 1.3, 500.0)
    assert model.expected_new(520) == pytest.approx(integrated(0.05, 0.5, 1.3, 500.0, 0, 0, 520), rel=0.01)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (0.4, 0.6), (1 + 1e-9, 3.0)])
def test_places_where_the_formula_divides_by_zero_lie_on_the_curve(a: float, b: float) -> None:
    at, near = BgNbd(0.5, 6, a, b).expected_new(52), BgNbd(0.5, 6, a + 1e-4, b).expected_new(52)
    assert at == pytest.approx(near, rel=1e-3)


def test_a_customer_without_repeat_purchase_by_hand() -> None:
    r, alpha, age = 0.5, 6.0, 20.0
    found = models.bgnbd_loglik(np.array([r, alpha, 0.8, 2.5]), np.zeros(1), np.zeros(1), np.array([age]))
    assert found == pytest.approx(r * np.log(alpha / (alpha + age)))


def test_a_customer_with_one_repeat_purchase_by_hand() -> None:
    r, alpha, a, b, last, age = 0.5, 6.0, 0.8, 2.5, 8.0, 20.0
    # stays with b/(a+b) and is silent, or stops with a/(a+b)
    stayed = b / (a + b) * r * alpha**r / (alpha + age) ** (r + 1)
    stopped = a / (a + b) * r * alpha**r / (alpha + last) ** (r + 1)
    found = models.bgnbd_loglik(np.array([r, alpha, a, b]), np.ones(1), np.array([last]), np.array([age]))
    assert found == pytest.approx(np.log(stayed + stopped))
    assert BgNbd(r, alpha, a, b).alive(customer(1, last, age))[0] == pytest.approx(stayed / (stayed + stopped))


def test_silence_lowers_the_chance_of_being_alive_and_very_frequent_customers_do_not_overflow() -> None:
    model = BgNbd(0.24, 4.4, 0.8, 2.4)
    often = pd.concat([customer(5_000, last, 100) for last in (100, 99, 90, 10)])
    alive = model.alive(often)
    assert np.all(np.diff(alive) < 0)
    assert alive[0] > 0.999
    assert np.isfinite(model.expected(52, often)).all()
    assert model.alive(customer(0, 0, 500))[0] == 1


def test_expectations_begin_at_zero_and_grow_with_the_horizon() -> None:
    found = [BgNbd(0.24, 4.4, 0.8, 2.4).expected(weeks, customer(3, 10, 30))[0] for weeks in (0, 1, 10, 100)]
    assert found[0] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(found) > 0)


# --- fits


def test_another_unit_of_time_or_money_changes_the_scale_only() -> None:
    weeks = population(400, 1)
    days = weeks.assign(last_purchase=weeks["last_purchase"] * 7, age=weeks["age"] * 7)
    one, other = models.fit_bgnbd(weeks), models.fit_bgnbd(days)
    assert other.parameters == pytest.approx(one.parameters * [1, 7, 1, 1], rel=2e-3)
    cents = weeks.assign(mean_spend=weeks["mean_spend"] * 100)
    euros = models.fit_gamma_gamma(weeks)
    assert models.fit_gamma_gamma(cents).parameters == pytest.approx(euros.parameters * [1, 1, 100], rel=2e-3)


def test_the_order_of_rows_does_not_matter() -> None:
    table = population(300, 2)
    shuffled = table.sample(frac=1, random_state=1)
    assert models.fit_bgnbd(shuffled) == models.fit_bgnbd(table)
    assert models.fit_gamma_gamma(shuffled) == models.fit_gamma_gamma(table)


def test_where_nobody_stops_what_cannot_be_told_is_held_and_the_rest_is_right() -> None:
    found = models.fit_bgnbd(population(800, 3, stop=0.0))
    assert found.held > 0
    assert found.a / (found.a + found.b) < 0.01
    assert found.expected_new(26) == pytest.approx(1.5 / 6 * 26, rel=0.1)
    drawn = found.draw(200, np.random.default_rng(1))
    assert np.isfinite(drawn).all()
    assert np.log(drawn[:, 0]).std() < 0.3


def test_draws_spread_as_the_covariance_says_and_a_seed_repeats_them() -> None:
    found = models.fit_bgnbd(population(800, 4))
    drawn = found.draw(4_000, np.random.default_rng(1))
    assert np.cov(np.log(drawn).T) == pytest.approx(found.covariance, abs=0.05 * np.abs(found.covariance).max())
    assert (drawn == found.draw(4_000, np.random.default_rng(1))).all()


def test_customers_whose_returns_outweigh_purchases_are_left_out_and_counted() -> None:
    table = population(300, 5)
    returned = pd.concat([table, table.head(7).assign(mean_spend=-12.0)])
    one, other = models.fit_gamma_gamma(table), models.fit_gamma_gamma(returned)
    assert (other.left_out, other.customers) == (7, 300)
    assert other.parameters == pytest.approx(one.parameters)
    assert 0 < other.expected_spend(returned.tail(1))[0] < other.expected_spend(table.head(1).assign(purchases=0))[0]


def test_frequency_and_spend_that_go_together_are_seen() -> None:
    table = population(300, 6)
    assert abs(models.fit_gamma_gamma(table).correlation) < 0.2
    tied = table.assign(mean_spend=table["mean_spend"] * table["purchases"] ** 2)
    assert models.fit_gamma_gamma(tied).correlation > 0.5


# --- refusals


@pytest.mark.parametrize(("x", "last", "age"), [(2, 0, 10), (2, 11, 10), (0, 3, 10), (-1, 0, 10), (0, 0, -2)])
def test_impossible_times_are_refused(x: float, last: float, age: float) -> None:
    table = pd.concat([population(60, 7), customer(x, last, age)])
    with pytest.raises(DataError, match="1 customers with impossible times"):
        models.fit_bgnbd(table)
    with pytest.raises(DataError, match="impossible times"):
        BgNbd(0.5, 6, 0.8, 2.5).alive(table)


def test_missing_times_and_too_few_customers_are_refused() -> None:
    table = population(200, 8)
    with pytest.raises(DataError, match="missing values"):
        models.fit_bgnbd(table.assign(age=np.nan))
    with pytest.raises(DataError, match="customers with a repeat purchase == 0; a lifetime model needs at least 30"):
        models.fit_bgnbd(table.assign(repeat_purchases=0, last_purchase=0))
    with pytest.raises(DataError, match="purchases of positive value == 29"):
        models.fit_gamma_gamma(table.head(29))


def test_spend_without_a_mean_is_refused() -> None:
    with pytest.raises(DataError, match=r"Gamma-Gamma q == 0\.\d+; it must be above 1"):
        models.fit_gamma_gamma(population(600, 9, spread=0.6))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_likelihood_that_is_no_number_is_no_fit() -> None:
    table = population(100, 10)
    with pytest.raises(DataError, match=r"Gamma-Gamma parameters == .* did not converge"):
        models.fit_gamma_gamma(table.assign(mean_spend=np.inf))

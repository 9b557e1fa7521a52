"""Latent classes: what stepmix fits is kept whole, needs no stepmix afterwards, and finds planted classes."""

import json
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import latent_classes, methods
from segmentkit.analysis.latent_classes import LatentClasses
from segmentkit.errors import DataError, EnvironmentFault
from segmentkit.machinery.threads import cap_environment

pytest.importorskip("stepmix", reason="stepmix, an optional extra, is not installed")
cap_environment()

TABLES = [  # two yes/no items and one of three levels, by class
    np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]]),
    np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]]),
    np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]),
]


def answers(n: int = 900, copies: int = 3, missing: float = 0.0, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Codes drawn from three classes with shares .5, .3 and .2, and the class of each respondent."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    values = np.column_stack([[rng.choice(t.shape[1], p=t[c]) for c in truth] for t in TABLES * copies]).astype(float)
    values[rng.random(values.shape) < missing] = np.nan
    return values, truth


# --- by hand

HAND = LatentClasses(
    np.array([0.6, 0.4]),
    (np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])),
    np.array([[0.0, 0.5], [1.0, 2.0]]),
)
ROWS = np.array([[1, 2], [1, np.nan], [np.nan, np.nan], [0, 3]], dtype=float)


def test_the_posterior_is_bayes_rule_over_what_was_answered() -> None:
    first = 0.4 * 0.7 * 0.8 / (0.4 * 0.7 * 0.8 + 0.6 * 0.2 * 0.2)
    second = 0.4 * 0.7 / (0.4 * 0.7 + 0.6 * 0.2)
    # nothing answered: the shares; a level that nobody gave at the fit says nothing
    last = 0.4 * 0.3 / (0.4 * 0.3 + 0.6 * 0.8)
    assert HAND.posterior(ROWS)[:, 1] == pytest.approx([first, second, 0.4, last])
    assert HAND.labels(ROWS)[0].tolist() == [1, 1, 0, 0]


def test_the_distance_counts_what_was_answered() -> None:
    assert HAND.labels(ROWS)[1] == pytest.approx([0.0, 0.0, 0.0, 2.5])
    assert HAND.labels(np.array([[np.nan, 0.0]]))[1] == pytest.approx([np.sqrt(0.5**2 * 2)])


def test_likelihood_bic_and_entropy_are_as_defined() -> None:
    expected = np.log(0.6 * 0.2 * 0.2 + 0.4 * 0.7 * 0.8) + np.log(0.6 * 0.2 + 0.4 * 0.7)
    assert HAND.log_likelihood(ROWS[:2]) == pytest.approx(expected)
    assert HAND.bic(ROWS[:2]) == pytest.approx(7 * np.log(2) - 2 * expected)  # 1 share, 2 x (1 + 2) answers
    p = HAND.posterior(ROWS[:2])
    assert HAND.entropy(ROWS[:2]) == pytest.approx(1 + (p * np.log(p)).sum() / (2 * np.log(2)))


# --- against stepmix


def test_labels_likelihood_and_bic_are_those_of_stepmix() -> None:
    from stepmix import StepMix

    values, _ = answers(400, missing=0.1)
    found = latent_classes.fit(values, 3, starts=3, seed=2)
    model = StepMix(3, measurement="categorical_nan", n_init=3, random_state=2, abs_tol=1e-7, progress_bar=0)
    model.fit(values[np.lexsort(values.T[::-1])])
    order = np.argsort(-model.get_parameters()["weights"], kind="stable")
    assert np.argsort(order)[model.predict(values)].tolist() == found.labels(values)[0].tolist()
    assert model.predict_proba(values)[:, order] == pytest.approx(found.posterior(values), abs=1e-6)
    assert model.bic(values) == pytest.approx(found.bic(values), rel=1e-6)
    assert model.relative_entropy(values) == pytest.approx(found.entropy(values), abs=1e-6)


def test_planted_classes_and_their_answers_are_found_with_missing_values() -> None:
    values, truth = answers(missing=0.1)
    found = latent_classes.fit(values, 3, starts=5, seed=1)
    assert adjusted_rand_score(truth, found.labels(values)[0]) > 0.8
    assert found.shares == pytest.approx([0.5, 0.3, 0.2], abs=0.05)
    assert found.probabilities[2] == pytest.approx(TABLES[2], abs=0.1)
    assert [table.shape for table in found.probabilities[:3]] == [(3, 2), (3, 2), (3, 3)]
    assert found.centres[:, 0] == pytest.approx([0.1, 0.9, 0.8], abs=0.1)


def test_bic_takes_the_planted_number() -> None:
    values, _ = answers()
    table = latent_classes.evidence(values, range(1, 5), starts=3, seed=1)
    assert table.loc[table["bic"].idxmin(), "k"] == 3
    assert table["log_likelihood"].is_monotonic_increasing
    assert latent_classes.sentence(table, 3).startswith("By BIC 3 latent classes fit best of 1 to 4. With 3, relative")
    assert "4 classes were chosen, with a BIC " in latent_classes.sentence(table, 4)


# --- kept


@pytest.fixture(scope="module")
def fitted() -> tuple[np.ndarray, LatentClasses]:
    values, _ = answers(300, copies=2, missing=0.05)
    return values, latent_classes.fit(values, 3, starts=2, seed=1)


def test_a_saved_model_gives_the_same_labels_without_stepmix(fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    values, found = fitted
    monkeypatch.setitem(sys.modules, "stepmix", None)
    content: Mapping = json.loads(json.dumps({"method": found.name, **found.to_dict()}))
    kept = methods.from_dict(content)
    assert isinstance(kept, LatentClasses)
    assert all((a == b).all() for a, b in zip(kept.labels(values), found.labels(values), strict=True))


def test_the_order_of_respondents_changes_nothing(fitted) -> None:
    values, found = fitted
    order = np.random.default_rng(1).permutation(len(values))
    again = latent_classes.fit(values[order], 3, starts=2, seed=1)
    assert (again.labels(values)[0] == found.labels(values)[0]).all()
    assert again.shares == pytest.approx(found.shares, abs=1e-12)


def test_reordered_classes_keep_their_respondents(fitted) -> None:
    values, found = fitted
    turned = found.reordered([2, 0, 1])
    assert np.array([2, 0, 1])[turned.labels(values)[0]].tolist() == found.labels(values)[0].tolist()
    assert turned.labels(values)[1] == pytest.approx(found.labels(values)[1])


def test_methods_fit_reaches_them(fitted) -> None:
    values, found = fitted
    by_name = methods.fit(values, 3, method="latent_classes", starts=2, seed=1)
    assert (by_name.labels(values)[0] == found.labels(values)[0]).all()
    assert by_name.describe().startswith("Latent classes: 3 groups within which the answers to 6 items are unrelated")


# --- refused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.random.default_rng(1).normal(size=(50, 2)), "are not codes from 0 to 49; latent classes take categorical"),
        (np.array([[0.0, 60.0], [1.0, 2.0]]), "values from 0 to 60 are not codes"),
        (np.array([[0.0, np.nan], [1.0, np.nan]]), "an item has no answer at all; leave it out"),
    ],
)
def test_what_is_no_answer_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        latent_classes.fit(values, 2, starts=1, seed=1)


def test_without_stepmix_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stepmix", None)
    with pytest.raises(EnvironmentFault, match=r"need the package stepmix; pip install -e './lib\[survey\]' installs"):
        latent_classes.fit(np.array([[0.0], [1.0]]), 2, starts=1, seed=1)

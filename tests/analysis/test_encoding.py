"""Encoding: what each kind of column becomes, what stands for a missing value, and that nothing is silent."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import pdist

from segmentkit.analysis import clustering, encoding
from segmentkit.errors import DataError, ParameterError
from segmentkit.machinery.threads import cap_environment

cap_environment()

KINDS = {"spend": "numeric", "price_matters": "ordinal", "organic": "binary", "city": "nominal"}


def table(n: int = 120, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": [f"C{i:03d}" for i in rng.permutation(n)],
            "spend": rng.lognormal(3, 1, n),
            "price_matters": rng.integers(1, 6, n),
            "organic": rng.integers(0, 2, n),
            "city": rng.choice(["Bonn", "Köln", "Ulm"], n),
        }
    )


def repeated(*answers: object, name: str = "q") -> pd.DataFrame:
    """120 customers who give these answers in turn."""
    return pd.DataFrame({"customer_id": [f"C{i:03d}" for i in range(120)], name: (list(answers) * 120)[:120]})


# --- what each kind becomes


def test_yes_and_no_stay_plain_zeros_and_ones() -> None:
    answers = pd.DataFrame(np.random.default_rng(2).integers(0, 2, (150, 6)), columns=list("abcdef"))
    answers.insert(0, "customer_id", [f"{i:03d}" for i in range(150)])
    scaled, _ = encoding.encode(answers, dict.fromkeys("abcdef", "binary"))
    assert (scaled.values == answers[list("abcdef")].to_numpy()).all()


@pytest.mark.parametrize("apart", [1.0, 2.0])
def test_two_different_levels_are_always_as_far_apart_as_stated(apart: float) -> None:
    for answers, kind in ((["a", "b", "c", "d"], "nominal"), (["no", "yes"], "binary")):
        scaled, _ = encoding.encode(repeated(*answers), {"q": kind}, apart=apart)
        assert pdist(scaled.values[: len(answers)]) == pytest.approx(apart)


def test_ordinal_levels_are_equal_steps_from_0_to_1() -> None:
    words = ("never", "now and then", "often", "daily")
    scaled, _ = encoding.encode(repeated(*reversed(words)), {"q": "ordinal"}, levels={"q": words})
    assert scaled.values[:4, 0] == pytest.approx([1, 2 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("answers", "levels"),
    [
        ((1, 2, 5), ("1", "2", "3", "4", "5")),  # nobody said 3 or 4: still steps of the scale
        ((18, 35, 65), ("18", "35", "65")),  # a long range of numbers: those that occur
        ((1.0, 2.5), ("1", "2.5")),
    ],
)
def test_ordinal_numbers_know_their_scale(answers: tuple, levels: tuple) -> None:
    scaled, told = encoding.encode(repeated(*answers), {"q": "ordinal"})
    assert scaled.scaling.coded[0].levels == levels
    assert told["levels"].tolist() == [", ".join(levels)]


def test_numeric_columns_are_encoded_as_scale_does() -> None:
    plain = clustering.scale(table(), ["spend"])
    scaled, _ = encoding.encode(table(), {"spend": "numeric"})
    assert scaled.values == pytest.approx(plain.values)


def test_no_answer_outweighs_a_number() -> None:
    # a balanced yes/no and a nominal column of many levels: at most half of a numeric column's expected distance
    n = 400
    mixed = pd.DataFrame({"customer_id": range(n), "x": np.random.default_rng(1).normal(size=n)})
    mixed = mixed.assign(yes=np.arange(n) % 2, city=[f"city {i % 8}" for i in range(n)])
    scaled, _ = encoding.encode(mixed, {"x": "numeric", "yes": "binary", "city": "nominal"})
    spread = 2 * scaled.values.var(axis=0)
    assert spread[0] == pytest.approx(2.0)
    assert spread[1] == pytest.approx(0.5)
    assert spread[2:].sum() == pytest.approx(1 - 1 / 8)


def test_codes_count_from_zero_and_keep_what_is_missing() -> None:
    data = repeated("b", None, "a").assign(r=np.arange(120) % 2)
    codes, told = encoding.encode(data, {"q": "nominal", "r": "binary"}, as_codes=True)
    assert codes.values[:3] == pytest.approx(np.array([[1, 0], [np.nan, 1], [0, 0]]), nan_ok=True)
    assert told["treatment"].tolist() == ["codes 0 to 1; missing stays missing"] * 2
    assert codes.scaling.columns == ("q", "r")


def test_columns_name_every_number() -> None:
    scaled, _ = encoding.encode(table(), KINDS)
    assert scaled.scaling.columns == ("spend", "price_matters", "organic", "city: Bonn", "city: Köln", "city: Ulm")
    assert scaled.values.shape == (120, 6)
    assert scaled.scaling.features == tuple(KINDS)


# --- missing


@pytest.mark.parametrize(
    ("answers", "kind", "expected", "said"),
    [
        ((1, 1, 5, 5, 5, None), "ordinal", 1.0, "missing: the median"),
        ((0, 0, 1, None), "binary", 0.0, "missing: the most common, 0"),
        (("yes", "yes", "no", None), "binary", 1.0, "missing: the most common, yes"),
        (("yes", "yes", "no", " "), "binary", 1.0, "missing: the most common, yes"),
    ],
)
def test_a_missing_answer_becomes_the_usual_one_and_is_counted(answers, kind, expected, said) -> None:
    data = repeated(*answers).assign(other=np.arange(120) % 2)
    scaled, told = encoding.encode(data, {"q": kind, "other": "binary"})
    assert scaled.values[len(answers) - 1, 0] == expected
    row = told.iloc[0]
    assert row["missing"] == 120 // len(answers)
    assert said in row["treatment"]


def test_a_missing_number_becomes_the_median() -> None:
    data = table()
    middle = data["spend"].iloc[1:].median()
    gap = data.assign(spend=data["spend"].where(data.index != 0))
    scaled, told = encoding.encode(gap, KINDS)
    value = pd.Series(scaled.values[:, 0], index=scaled.customer_id)[data["customer_id"].iloc[0]]
    filled = scaled.scaling.apply(data.assign(spend=middle))[0, 0]
    assert value == pytest.approx(filled, abs=0.02)
    assert told["missing"].tolist() == [1, 0, 0, 0]
    assert not np.isnan(scaled.values).any()


def test_a_column_that_is_mostly_missing_or_the_same_for_all_is_left_out_with_a_reason() -> None:
    data = table().assign(rare=[1.0, 2.0, *[np.nan] * 118], same="x")
    scaled, told = encoding.encode(data, KINDS | {"rare": "numeric", "same": "nominal"})
    assert scaled.scaling.features == tuple(KINDS)
    assert told["treatment"].tolist()[4:] == [
        "left out: 98% missing, above 50%",
        "left out: the same for every customer",
    ]
    assert encoding.sentence(told, 120, 120) == (
        "4 of 6 columns are used; rare is left out: 98% missing, above 50%; same is left out: the same for every "
        "customer; no value is missing in them."
    )


def test_customers_without_any_value_are_left_out_and_counted() -> None:
    data = table()
    data.loc[:9, list(KINDS)] = None
    data.loc[10:12, "city"] = None
    scaled, told = encoding.encode(data, KINDS)
    assert len(scaled.values) == len(scaled.customer_id) == 110
    assert encoding.sentence(told, 110, 120) == (
        "4 of 4 columns are used; 1 have missing values, 3 in all, most in city (2.7%); 10 of 120 customers have no "
        "value at all and are left out."
    )


def test_a_level_that_was_never_seen_is_treated_as_missing_and_counted() -> None:
    scaled, _ = encoding.encode(table(), KINDS)
    new = table().head(4).assign(city=["Bonn", "Rom", None, "Oslo"])
    values = scaled.scaling.apply(new)
    usual = scaled.scaling.coded[3].levels[int(scaled.scaling.coded[3].fill)]
    assert (values[1:, 3:] == scaled.scaling.apply(new.assign(city=usual))[1:, 3:]).all()
    assert scaled.scaling.filled(new).query("column == 'city'").to_numpy().tolist() == [["city", 3, 2]]


def test_numbers_flags_and_words_are_read_whatever_their_type() -> None:
    for yes_no in (["no", "yes"], [False, True], [0, 1], [0.0, 1.0], pd.array([False, True], "boolean")):
        scaled, _ = encoding.encode(repeated(*yes_no), {"q": "binary"})
        assert scaled.values[:2, 0].tolist() == [0.0, 1.0]
    flags = repeated(True).assign(q=pd.array([True, False, None] * 40, "boolean"), r=np.arange(120) % 2)
    scaled, told = encoding.encode(flags, {"q": "binary", "r": "binary"})
    assert told["missing"].tolist() == [40, 0]
    assert scaled.values[:3, 0].tolist() == [1.0, 0.0, 0.0]


# --- kept for later


def test_the_kept_encoding_gives_the_same_numbers_again() -> None:
    data = table().sort_values("customer_id", ignore_index=True)
    data.loc[3, "spend"] = np.nan
    for as_codes in (False, True):
        kinds = {name: kind for name, kind in KINDS.items() if kind != "numeric" or not as_codes}
        scaled, _ = encoding.encode(data, kinds, as_codes=as_codes)
        kept = encoding.Encoding.from_dict(json.loads(json.dumps(scaled.scaling.to_dict())))
        assert kept == scaled.scaling
        assert kept.apply(data) == pytest.approx(scaled.values, abs=0)
        assert scaled.scaling.to_dict()["kind"] == "encoding"


def test_again_keeps_kinds_and_levels_and_fits_the_rest_anew() -> None:
    scaled, _ = encoding.encode(table(), KINDS)
    other = table(seed=2)
    other = other[other["city"] != "Ulm"].pipe(lambda t: pd.concat([t, t.assign(customer_id="x" + t["customer_id"])]))
    anew = scaled.scaling.again(other)
    assert anew.scaling.columns == scaled.scaling.columns
    assert anew.values[:, 0].mean() == pytest.approx(0, abs=1e-9)


def test_a_saved_segmentation_of_a_mixed_table_assigns_the_same() -> None:
    data = table(300).assign(monetary=1.0)
    scaled, _ = encoding.encode(data, KINDS)
    made = clustering.segment(data, scaled, 3, starts=5, seed=1)
    kept = clustering.Segmentation.from_dict(json.loads(json.dumps(made.to_dict())))
    assert kept.assign(data).equals(made.assign(data))


# --- what is refused


@pytest.mark.parametrize(
    ("kinds", "options", "message"),
    [
        ({"colour": "nominal"}, {}, r"columns == \['colour'\]; each must be one of spend, price_matters"),
        ({"customer_id": "nominal"}, {}, r"columns == \['customer_id'\]; each must be one of"),
        ({}, {}, r"columns == \[\]"),
        ({"city": "text"}, {}, r"kind of city == 'text'; it must be one of numeric, ordinal, binary, nominal"),
        ({"city": "ordinal"}, {}, r"levels of city are not stated; give its 3 answers in their order"),
        ({"city": "binary"}, {}, r"levels of city == \['Bonn', 'Köln', 'Ulm'\]; a binary column has two"),
        ({"city": "nominal"}, {"levels": {"city": ["Rom"]}}, r"levels of city == \['Rom'\]; no answer is among them"),
        ({"spend": "numeric"}, {"as_codes": True}, r"kind of spend == 'numeric'; latent classes take answers"),
        ({"city": "nominal"}, {"apart": 0.0}, r"apart == 0; it must be above 0"),
    ],
)
def test_what_cannot_be_encoded_is_refused(kinds, options, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        encoding.encode(table(), kinds, **options)


def test_too_few_customers_and_no_column_are_refused() -> None:
    with pytest.raises(DataError, match="99 customers have values; at least 100 are needed"):
        encoding.encode(table(99), KINDS)
    with pytest.raises(DataError, match="no column is left of q: left out: the same for every customer"):
        encoding.encode(repeated("x"), {"q": "nominal"})
    with pytest.raises(DataError, match="column 'city' is not in the table"):
        encoding.encode(table(), KINDS)[0].scaling.apply(table().drop(columns="city"))


# --- any table


@st.composite
def mixed_tables(draw) -> tuple[pd.DataFrame, dict[str, str]]:
    """Columns of any kinds with values missing anywhere; at least one column that differs."""
    n = draw(st.integers(100, 130))
    columns = {"anchor": np.arange(n) % 2}
    kinds = {"anchor": "binary"}
    for place, kind in enumerate(draw(st.lists(st.sampled_from(encoding.KINDS), max_size=4))):
        if kind == "numeric":
            values = draw(arrays.arrays(float, n, elements=st.floats(-1e4, 1e4), fill=st.just(1.0)))
        else:
            top = 1 if kind == "binary" else 4
            values = draw(arrays.arrays(int, n, elements=st.integers(0, top), fill=st.just(0))).astype(float)
        gone = draw(arrays.arrays(bool, n, elements=st.booleans(), fill=st.just(False)))
        kinds[f"c{place}"], columns[f"c{place}"] = kind, np.where(gone, np.nan, values)
    ids = draw(st.permutations(range(n)))
    return pd.DataFrame({"customer_id": [f"{i:03d}" for i in ids], **columns}), kinds


@settings(max_examples=40, deadline=None)
@given(mixed_tables(), st.randoms(use_true_random=False))
def test_any_mixed_table_is_encoded_whole_and_whatever_its_order(made, random) -> None:
    data, kinds = made
    scaled, told = encoding.encode(data, kinds)
    order = list(range(len(data)))
    random.shuffle(order)
    shuffled, again = encoding.encode(data.iloc[order], kinds)
    assert np.isfinite(scaled.values).all()
    assert scaled.values.shape == (len(data), len(scaled.scaling.columns))
    assert (shuffled.values == scaled.values).all()
    assert again.equals(told)
    assert told["column"].tolist() == list(kinds)
    ordered = data.sort_values("customer_id", ignore_index=True)
    assert scaled.scaling.apply(ordered) == pytest.approx(scaled.values, abs=1e-9)
    assert told["missing"].tolist() == data[list(kinds)].isna().sum().tolist()

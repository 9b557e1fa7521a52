"""Surveys: how answers are audited, how segments answer, the planted attitudes, and published motives of tourists."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import t as student
from sklearn.metrics import adjusted_rand_score

from segmentkit.analysis import audit, clustering, encoding, latent_classes, stability, survey, themes
from segmentkit.contracts import Column
from segmentkit.display import survey_figures
from segmentkit.errors import DataError
from segmentkit.machinery.paths import project_root
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source
from segmentkit.machinery.threads import cap_environment

cap_environment()

REFERENCES = Path(__file__).parents[2].parent / "shared" / "references"
SOURCE = """
currency = "EUR"
time_zone = "Europe/Berlin"
identifiers = "pseudonymous"
analysis_basis = "a test"
[transactions]
path = "orders.csv"
customer_id = "who"
order_id = "order"
ordered_at = "day"
amount = "paid"
[survey]
path = "answers.csv"
customer_id = "who"
[survey.items]
"""
ORDERS = "who,order,day,paid\na,1,2025-01-01,5\n"


# --- the audit


@pytest.fixture
def audited(tmp_path: Path) -> Callable[[str, str], audit.Checked]:
    """Write a survey of one item ``q``, read and check it as a notebook would."""

    def check(item: str, answers: str) -> audit.Checked:
        (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
        (tmp_path / "answers.csv").write_text("who,q\n" + answers, encoding="utf-8")
        (tmp_path / "shop.toml").write_text(SOURCE + f"q = {item}\n", encoding="utf-8")
        return audit.check_tables(read_source(load_source(str(tmp_path / "shop.toml")), connect()))["survey"]

    return check


@pytest.mark.parametrize(
    ("item", "given", "kept", "rule"),
    [
        (
            '"binary"',
            ["Yes", "No", "1", "0", "TRUE", "f", "ja", "nein", "maybe"],
            [1, 0, 1, 0, 1, 0, 1, 0],
            "q is not yes or no",
        ),
        ('{ kind = "binary", levels = ["Nie", "Tak"] }', ["tak", "Nie", "yes"], [1, 0], "q is not one of its levels"),
        ('"ordinal"', ["1", "5", "2.5"], [1, 5], "q is not a whole number"),
        ('{ kind = "ordinal", levels = ["low", "high"] }', ["high", "low", "mid"], ["high", "low"], None),
        ('{ kind = "nominal", levels = ["x", "y"] }', ["y", "x", "z"], ["y", "x"], "q is not one of its levels"),
        ('"nominal"', ["Bonn", "Ulm"], ["Bonn", "Ulm"], ""),
        ('"numeric"', ["2.5", "many"], [2.5], "q is not a number"),
        ('"open"', ["because of it"], ["because of it"], ""),
    ],
)
def test_an_answer_outside_its_levels_is_set_aside(audited, item, given, kept, rule) -> None:
    checked = audited(item, "".join(f"r{i},{answer}\n" for i, answer in enumerate(given)))
    assert checked.kept.execute()["q"].tolist() == kept
    assert checked.quarantined["rule"].tolist() == ([] if rule == "" else [rule or "q is not one of its levels"])
    assert checked.rows_read == len(given) == checked.rows_kept + len(checked.quarantined)
    assert [one.name for one in checked.items] == ["q"]


def test_a_blank_is_missing_and_a_respondent_who_appears_twice_is_set_aside(audited) -> None:
    checked = audited('"binary"', "a,yes\nb,\nc,yes\nc,no\n")
    answers = checked.kept.execute()
    assert answers["customer_id"].tolist() == ["a", "b"]
    assert answers["q"].isna().tolist() == [False, True]
    assert checked.quarantined["rule"].tolist() == ["customer_id appears more than once"] * 2


def test_an_item_may_be_called_like_a_column_of_another_table(tmp_path: Path) -> None:
    items = 'cost = { kind = "ordinal", levels = ["low", "high"] }\namount = "nominal"\ncurrency = "open"\n'
    items += 'start = "nominal"\nend = "nominal"\n"a, b / c" = "binary"\n'
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (tmp_path / "answers.csv").write_text('who,cost,amount,currency,start,end,"a, b / c"\na,low,much,none,z,a,yes\n')
    (tmp_path / "shop.toml").write_text(SOURCE + items, encoding="utf-8")
    checked = audit.check_tables(read_source(load_source(str(tmp_path / "shop.toml")), connect()))["survey"]
    assert checked.kept.execute().iloc[0].tolist() == ["a", "low", "much", "none", "z", "a", 1.0]
    assert checked.money() is None


ITEMS = [Column(f"r{i}", "ordinal") for i in range(4)] + [Column("yes", "binary"), Column("why", "open")]
ANSWERS = pd.DataFrame(
    {
        "customer_id": list("abcd"),
        **{f"r{i}": [3.0, 3.0 if i else 2.0, np.nan if i == 3 else 4.0, 1.0] for i in range(4)},
        "yes": [1.0, 0.0, 1.0, np.nan],
        "why": [None, "habit", None, None],
    }
)


def test_missing_answers_and_straight_lining_are_counted() -> None:
    # a and d gave one answer to all four; c gave one to the three that were answered, too few to tell
    assert survey.straight_liners(ANSWERS, ITEMS).tolist() == [True, False, False, True]
    assert survey.sentence(ANSWERS, ITEMS) == (
        "4 respondents, 5 closed items: 10.0% of the answers are missing, most in r3 (25.0%); 2 (50.0%) gave one "
        "answer to all 4 rating items; they stay in."
    )
    assert survey.sentence(ANSWERS, ITEMS[3:]).endswith("1 rating items are too few to see straight-lining.")
    assert survey.sentence(ANSWERS, ITEMS[5:]) == "The survey has 4 respondents and no closed item."
    table = survey.quality(ANSWERS, ITEMS).set_index("item")
    assert table.loc["why"].tolist() == ["open", 1, 0.75, 1]


def test_kinds_and_levels_are_those_that_encode_takes() -> None:
    items = [
        Column("a", "binary", levels=("Nein", "Ja")),
        Column("b", "ordinal", levels=("x", "y")),
        Column("c", "open"),
    ]
    assert survey.kinds(items) == {"a": "binary", "b": "ordinal"}
    assert survey.levels(items) == {"b": ("x", "y")}


# --- how segments answer


def segments(*keys: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [f"{i:03d}" for i in range(len(keys))], "segment_key": list(keys)})


def answered(**columns: list) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"customer_id": [f"{i:03d}" for i in range(n)], **columns})


def test_shares_and_their_intervals_are_as_worked_out_by_hand() -> None:
    own = segments(*"A" * 20, *"B" * 20)
    profile = survey.describe(
        answered(q=[1.0] * 15 + [0.0] * 5 + [1.0] * 4 + [0.0] * 15 + [np.nan]), own, {"q": "binary"}
    )
    a, b = profile.to_dict("records")
    z = 1.959964
    middle, reach = (0.75 + z**2 / 40) / (1 + z**2 / 20), z * np.sqrt(0.75 * 0.25 / 20 + z**2 / 1600) / (1 + z**2 / 20)
    assert (a["value"], a["known"], b["known"]) == (0.75, 20, 19)
    assert (a["low"], a["high"]) == pytest.approx((middle - reach, middle + reach), abs=1e-6)
    assert a["overall"] == b["overall"] == pytest.approx(19 / 39)
    assert b["difference"] == pytest.approx(4 / 19 - 19 / 39)
    assert (a["marker"], b["marker"]) == (True, True)


def test_means_stand_on_their_own_scale_and_differ_in_standard_deviations() -> None:
    words = ["low"] * 4 + ["mid"] * 4 + ["high"] * 4
    own = segments(*"AAAAAABBBBBB")
    kinds = {"rate": "ordinal", "size": "numeric"}
    data = answered(rate=words, size=[float(i) for i in range(12)])
    profile = survey.describe(data, own, kinds, levels={"rate": ("low", "mid", "high")})
    a = profile[profile["segment_key"] == "A"].set_index("item")
    assert a["value"].to_dict() == pytest.approx({"rate": 8 / 6, "size": 2.5})
    places = np.repeat([1, 2, 3], 4)
    assert a.loc["rate", "difference"] == pytest.approx((8 / 6 - 2) / places.std(ddof=1))
    reach = student.ppf(0.975, 5) * np.std(range(6), ddof=1) / np.sqrt(6)
    assert a.loc["size", ["low", "high"]].tolist() == pytest.approx([2.5 - reach, 2.5 + reach])
    assert a.loc["rate", ["scale_low", "scale_high"]].tolist() == [1.0, 3.0]
    assert a.loc["size", ["scale_low", "scale_high"]].isna().all()


def test_numbers_given_as_text_keep_their_own_scale() -> None:
    profile = survey.describe(answered(q=["0", "10", "5", "5"]), segments(*"AABB"), {"q": "ordinal"})
    assert profile["value"].tolist() == [5.0, 5.0]
    assert profile[["scale_low", "scale_high"]].iloc[0].tolist() == [0.0, 10.0]


def test_every_level_of_a_nominal_item_has_a_share() -> None:
    data = answered(city=["Bonn", "Ulm", "Ulm", None, "Bonn", "Bonn"])
    profile = survey.describe(data, segments(*"AAABBB"), {"city": "nominal"})
    found = {(row.segment_key, row.level): (row.value, row.known) for row in profile.itertuples()}
    assert found[("A", "Ulm")] == pytest.approx((2 / 3, 3))
    assert found[("B", "Ulm")] == (0.0, 2)
    assert sum(share for (key, _), (share, _) in found.items() if key == "A") == pytest.approx(1)


@pytest.mark.parametrize(
    ("yes_a", "yes_b", "n", "marker"),
    [
        (60, 40, 100, False),  # ten points from all
        (90, 10, 100, True),  # forty points
        (30, 8, 100, True),  # eleven points, but over half more than all
        (3, 1, 10, False),  # over half more than all, but so few that the interval holds the share of all
    ],
)
def test_a_marker_differs_by_a_quarter_or_by_half_and_more_than_by_chance(yes_a, yes_b, n, marker) -> None:
    data = answered(q=[1.0] * yes_a + [0.0] * (n - yes_a) + [1.0] * yes_b + [0.0] * (n - yes_b))
    profile = survey.describe(data, segments(*"A" * n, *"B" * n), {"q": "binary"})
    assert profile.set_index("segment_key").loc["A", "marker"] == marker


def test_items_without_a_difference_and_segments_without_markers_are_said() -> None:
    data = answered(same=[1.0] * 4, q=[1.0, 0.0, 1.0, 0.0])
    profile = survey.describe(data, segments(*"AABB"), {"same": "binary", "q": "binary"})
    assert set(profile["item"]) == {"q"}
    assert survey.profile_sentence(profile) == "Strongest marker of each segment: A has no marker; B has no marker."
    with pytest.raises(DataError, match="none of 4 respondents has a segment"):
        survey.describe(data, segments("A").assign(customer_id="stranger"), {"q": "binary"})


# --- the planted attitudes of the sample shop


@pytest.fixture(scope="module")
def shop() -> tuple[pd.DataFrame, tuple[Column, ...], pd.Series]:
    source = load_source("sample_shop")
    checked = audit.check_tables(read_source(source, connect()))["survey"]
    assert checked.rows_read == checked.rows_kept == 667
    answers = checked.kept.execute()
    truth = json.loads((project_root() / "data" / "sample" / "truth.json").read_text(encoding="utf-8"))
    return answers, source.items, answers["customer_id"].map(truth["attitude"])


def test_k_means_on_all_items_finds_the_planted_attitudes(shop) -> None:
    answers, items, truth = shop
    scaled, told = encoding.encode(answers, survey.kinds(items), levels=survey.levels(items))
    assert scaled.values.shape == (667, 12)  # five yes/no, three ordinal, one of three levels, one number
    assert told["missing"].between(10, 50).all()
    model = clustering.fit(scaled.values, 3, starts=10, seed=1)
    assert adjusted_rand_score(truth, model.labels_) > 0.7


def test_latent_classes_find_them_without_filling_anything_in(shop) -> None:
    pytest.importorskip("stepmix", reason="stepmix, an optional extra, is not installed")
    answers, items, truth = shop
    kinds = {name: kind for name, kind in survey.kinds(items).items() if kind != "numeric"}
    scaled, _ = encoding.encode(answers, kinds, levels=survey.levels(items), as_codes=True)
    classes = latent_classes.fit(scaled.values, 3, starts=3, seed=1)
    assert adjusted_rand_score(truth, classes.labels(scaled.values)[0]) > 0.75
    assert np.isnan(scaled.values).any()


def test_two_attitudes_go_with_a_kind_of_customer_and_the_third_does_not(shop) -> None:
    answers, _, truth = shop
    kinds = pd.read_csv(project_root() / "data" / "sample" / "truth.csv").set_index("customer_id")["kind"]
    shares = pd.crosstab(answers["customer_id"].map(kinds), truth, normalize="index")
    assert shares.loc["stock-up", "bargain"] > 2 * shares.loc["regulars", "bargain"]
    assert shares.loc["regulars", "quality"] > 2 * shares.loc["stock-up", "quality"]
    assert shares["in a hurry"].max() - shares["in a hurry"].min() < 0.15


def test_themes_of_the_open_answers_go_with_the_attitudes(shop) -> None:
    answers, _, truth = shop
    found = themes.find(answers, "why_here", 3, seed=1)
    said = found.apply(answers).dropna()
    shares = said[found.names].groupby(truth.loc[said.index]).mean()
    assert shares.max(axis=1).min() > 0.7  # four fifths said something, the others nothing
    assert sorted(shares.idxmax(axis=1)) == found.names
    assert found.without_theme == pytest.approx(0.2, abs=0.06)


# --- the figure


def test_the_figure_draws_each_segment_with_its_markers_and_all_respondents(shop) -> None:
    answers, items, truth = shop
    keys = truth.map({"bargain": "A", "in a hurry": "B", "quality": "C"})
    own = pd.DataFrame({"customer_id": answers["customer_id"], "segment_key": keys})
    profile = survey.describe(answers, own, survey.kinds(items), levels=survey.levels(items))
    made = survey_figures.item_profile(profile, {"A": "Bargain"})
    panels = [ax for ax in made.axes if ax.patches]
    assert [ax.get_title(loc="left") for ax in panels] == ["A  Bargain", "B", "C"]
    drawn = [text.get_text() for text in panels[0].get_yticklabels()]
    assert len(drawn) == len(panels[0].patches) == 11
    assert not any("minutes" in text for text in drawn)
    place = drawn.index("price matters")
    row = profile.query("segment_key == 'A' and item == 'price_matters'").iloc[0]
    assert panels[0].patches[place].get_width() == pytest.approx((row["value"] - 1) / 4)
    assert panels[0].lines[0].get_xdata()[place] == pytest.approx((row["overall"] - 1) / 4)
    assert made.get_suptitle().startswith("3 segments differ most in ")
    plt.close(made)


# --- published figures


@pytest.fixture(scope="module")
def motives() -> tuple[pd.DataFrame, dict]:
    if not (REFERENCES / "vacmot.csv").is_file():
        pytest.skip(f"no reference data in {REFERENCES.name}: the survey of tourists' motives is not in the project")
    data = pd.read_csv(REFERENCES / "vacmot.csv")
    data.insert(0, "customer_id", [f"{i:04d}" for i in range(len(data))])
    return data, json.loads((REFERENCES / "vacmot.json").read_text(encoding="utf-8"))["res"]


def test_the_solutions_for_a_published_survey_are_as_good_as_flexclusts(motives) -> None:
    data, published = motives
    scaled, _ = encoding.encode(data, dict.fromkeys(data.columns[1:], "binary"))
    assert scaled.values.mean(axis=0) == pytest.approx(list(published["colMeans"].values()))
    for row in published["kmeans"]:
        within = clustering.fit(scaled.values, row["k"], starts=50, seed=7).inertia_
        print(f"k {row['k']}: within sum of squares {within:.2f}, flexclust {row['wss']:.2f}")
        assert within <= 1.002 * row["wss"]


def test_bootstrap_agreement_on_a_published_survey_is_flexclusts(motives) -> None:
    data, published = motives
    scaled, _ = encoding.encode(data, dict.fromkeys(data.columns[1:], "binary"))
    for k, theirs in zip(range(3, 9), published["boot"]["ari_mean"], strict=True):
        labels = clustering.fit(scaled.values, k, starts=20, seed=1).labels_
        ours = stability.measure(scaled.values, labels, k, starts=5, pairs=100, seed=1).mean
        print(f"k {k}: agreement {ours:.3f}, flexclust {theirs:.3f}")
        assert ours == pytest.approx(theirs, abs=0.06)

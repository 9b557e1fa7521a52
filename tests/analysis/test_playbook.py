"""The playbook: every claim with its figure or an honest word, nothing guessed, and pictures that show the same."""

import itertools
from dataclasses import replace
from datetime import date
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import buying_times, category_lift, channel_answers, claims, playbook, value
from segmentkit.analysis.claims import STATUSES, Evidence
from segmentkit.analysis.features import Window, build
from segmentkit.analysis.playbook import COLUMNS, Playbook
from segmentkit.display import playbook_figures
from segmentkit.errors import DataError

YEAR = Window(date(2024, 1, 1), date(2024, 12, 30))
NAMES = {"A": "High-spend", "B": "Recent", "C": "no customers"}
WORDLESS = {"hypothesis", "stated", "no evidence"}


def shop(seed: int = 1, many: int = 120) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Purchases of two segments: A buys wine, on Saturday evenings and at a discount."""
    rng = np.random.default_rng(seed)
    key = np.repeat(["A", "B"], many)
    segments = pd.DataFrame({"customer_id": [f"c{n:04d}" for n in range(2 * many)], "segment_key": key})
    who = np.repeat(np.arange(2 * many), 15)
    a, lean = key[who] == "A", rng.random(len(who)) < 0.4
    hours = rng.integers(0, 364 * 24, len(who))
    saturday = rng.integers(0, 52, len(who)) * 168 + 5 * 24 + 19
    category = np.where(
        rng.random(len(who)) < np.where(a, 0.2, 0.02), "Wine", rng.choice(["Bread", "Milk", "Beer"], len(who))
    )
    purchases = pd.DataFrame(
        {
            "customer_id": segments["customer_id"].to_numpy()[who],
            "order_id": [f"o{n}" for n in range(len(who))],
            "ordered_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(a & lean, saturday, hours), unit="h"),
            "amount": 10.0,
            "category": category,
            "discount": np.where(a, 4.0, 1.0) * rng.random(len(who)),
        }
    )
    return purchases, segments


def contacts(segments: pd.DataFrame) -> pd.DataFrame:
    ids = segments["customer_id"]
    parts = [
        pd.DataFrame({"customer_id": ids, "channel": channel, "event": "delivery", "campaign_id": campaign})
        for channel, campaign in (("email", "one"), ("mail", "two"))
    ]
    both = {"customer_id": ids.iloc[0], "channel": ["email", "mail"], "event": "delivery", "campaign_id": "three"}
    return pd.concat([*parts, pd.DataFrame(both)]).assign(at=pd.Timestamp("2024-12-10"))


def whole() -> Evidence:
    """Evidence of every kind."""
    purchases, segments = shop()
    sent, ids = contacts(segments), segments["customer_id"]
    said = pd.DataFrame({"customer_id": [*ids[:60], *ids[100:110]], "campaign_id": ["one"] * 60 + ["two"] * 10})
    table = ibis.memtable(purchases)
    features = build(table, YEAR)
    marker = {"kind": "marker", "text": "frequency 15 (all: 12)"}
    told = [{"kind": "habit", "text": "orders in the evening 60%"}, marker]
    card = {"segment_key": "A", "sentence": "A buys wine.", "share_of_sales": 0.5, "claims": told}
    plan = {"segment_key": "A", "treated": 96, "control": 24, "customers": 120, "can_tell": "can never tell"}
    plan |= {"detectable_share": 0.3, "detectable_sales": 3.0, "worth_sales": 1.0, "sales_per_customer": 10.0}
    ranked = {"segment_key": "A", "attractiveness": 8.0, "fit": 7.0, "rank": 1.0, "knocked_out": ""}
    out = {"segment_key": "B", "knocked_out": "too small"}
    scored = {"segment_key": "A", "category": "Beer", "probability": 0.2, "customers": 30, "verdict": "better"}
    refused = {"segment_key": "B", "category": "Beer", "customers": 20, "verdict": "no better"}
    budget = {"segment_key": "A", "offer": "10 % off", "channel": "email", "customers": 120, "contacts": 100}
    return Evidence(
        personas=[card],
        evaluation=pd.DataFrame([ranked, out]),
        growth=pd.DataFrame([{"segment_key": "A", "market": 5000, "potential_sales": 1e5}]),
        channels=channel_answers.by_channel(sent, said, segments),
        orders=buying_times.of_orders(table, YEAR, segments),
        answers=buying_times.of_answers(sent, segments),
        prices=category_lift.prices(features, segments),
        categories=category_lift.measure(table, YEAR, segments),
        likely=pd.DataFrame([scored, refused]),
        items=pd.DataFrame({"segment_key": ["A"], "item": ["Beer"], "customers": [30]}),
        items_told="Nothing shows that taste beats popularity. 4 groups.",
        budget=pd.DataFrame([budget | {"spent": 50.0, "profit": 200.0, "error": 1.5}]),
        budget_told="Targeting beats: choosing by segment earns 9 EUR more.",
        budget_by_segment=True,
        test_plan=pd.DataFrame([plan | {"needed": 900.0}]),
        load=channel_answers.contact_load(sent, segments, YEAR),
        cap=4,
    )


def made(found: Evidence, names: dict[str, str] | None = None) -> Playbook:
    purchases, segments = shop()
    worth = value.by_segment(build(ibis.memtable(purchases), YEAR), segments)
    return playbook.build(segments, names or NAMES, worth, found, currency="EUR")


def claim(book: Playbook, key: str, element: str) -> pd.Series:
    return book.table[(book.table["segment_key"] == key) & (book.table["element"] == element)].iloc[0]


@pytest.fixture(scope="module")
def full() -> Evidence:
    return whole()


@pytest.fixture(scope="module")
def book(full: Evidence) -> Playbook:
    return made(full)


def test_every_claim_links_to_a_figure_or_says_why_not(book: Playbook) -> None:
    assert list(book.table.columns) == COLUMNS
    assert set(book.table["status"]) <= set(STATUSES)
    assert ((book.table["figure"] == "") == book.table["status"].isin(WORDLESS)).all()
    assert book.table["claim"].str.endswith(".").all()
    assert not book.table["claim"].str.contains("nan|None|inf").any()
    counts = book.table.groupby("segment_key", sort=False)["element"].agg(["size", "nunique"])
    assert counts.index.tolist() == ["A", "B", "C"]
    assert (counts["size"] == counts["nunique"]).all()
    assert counts["size"].nunique() == 1


def test_with_nothing_every_claim_but_the_value_says_no_evidence() -> None:
    bare = made(Evidence())
    a = bare.table[bare.table["segment_key"] == "A"].set_index("element")["status"]
    assert a["priority"] == "measured"
    assert set(a.drop("priority")) == {"no evidence"}
    assert bare.table.loc[bare.table["status"] == "no evidence", "value"].isna().all()


@pytest.mark.parametrize(
    ("element", "status", "says"),
    [
        ("persona", "measured", "A buys wine."),
        ("priority", "estimated", "Ranked 1 of 1"),
        ("growth", "stated", "100,000 EUR"),
        ("channel", "measured", "email 50% of 120"),
        ("order time", "measured", "densest Saturday"),
        ("answer time", "no evidence", "no open or click"),
        ("prices", "measured", "Price-sensitive"),
        ("incentive", "hypothesis", "a lower price"),
        ("buys more", "measured", "Wine"),
        ("likely buyers", "estimated", "Beer: 20.0% of 30"),
        ("items", "estimated", "Beer (30)"),
        ("message", "hypothesis", "frequency 15 (all: 12)"),
        ("budget", "estimated", "over all segments, targeting beats"),
        ("test plan", "estimated", "from 30% of sales on"),
        ("contact cap", "measured", "the stated cap is 4"),
    ],
)
def test_each_element_says_what_its_evidence_says(book: Playbook, element: str, status: str, says: str) -> None:
    row = claim(book, "A", element)
    assert row["status"] == status
    assert says in row["claim"]


def test_a_message_is_made_of_markers_only(book: Playbook) -> None:
    assert "evening" not in claim(book, "A", "message")["claim"]
    assert claim(book, "B", "message")["status"] == "no evidence"


def test_what_is_knocked_out_or_may_not_be_scored_says_so(book: Playbook) -> None:
    assert claim(book, "B", "priority")["claim"].startswith("Not ranked (too small)")
    row = claim(book, "B", "likely buyers")
    assert (row["status"], "Beer: no better" in row["claim"]) == ("no evidence", True)
    assert claim(book, "B", "budget")["status"] == "no evidence"


def test_a_plan_by_segment_is_told_only_where_it_was_found_to_be_better(full: Evidence) -> None:
    same = replace(full, budget_by_segment=False, budget_told="The same for everyone is as good: nothing shows more.")
    told = claim(made(same), "A", "budget")
    assert told["claim"].startswith("No spending of its own is supported: The same for everyone is as good")
    assert "contacts" not in made(same).actions["A"]


def test_a_persona_leaves_out_what_may_not_be_used() -> None:
    texts = ["basket value 268 (all: 83)", "of spending on drug gm 9% (all: 5%; n 30)", "category drug gm share 0.1"]
    card = {
        "segment_key": "A",
        "sentence": f"A: 30 customers; {'; '.join(texts)}.",
        "claims": [{"text": t} for t in texts],
    }
    (kept,) = claims.without([card], ["DRUG GM"])
    assert [one["text"] for one in kept["claims"]] == texts[:1]
    assert kept["sentence"] == f"A: 30 customers; {texts[0]}."


def test_intervals_stand_around_their_value(book: Playbook) -> None:
    known = book.table.dropna(subset=["low", "high"])
    assert {"channel", "buys more", "budget"} <= set(known["element"])
    assert known["value"].between(known["low"], known["high"]).all()
    budget = claim(book, "A", "budget")
    assert [budget["low"], budget["high"]] == pytest.approx([200 - 1.959964 * 150, 200 + 1.959964 * 150], rel=1e-5)


def test_a_segment_without_customers_claims_nothing(book: Playbook) -> None:
    own = book.table[book.table["segment_key"] == "C"]
    assert set(own["status"]) == {"no evidence"}
    assert set(own["customers"]) == {0}


def test_the_sentences_are_made_of_the_claims(book: Playbook) -> None:
    assert list(book.sentences) == ["A", "B", "C"]
    assert book.sentences["A"].startswith("A · High-spend: 120 customers (50%) bring 50% of sales; ranked 1 of 1")
    assert "price-sensitive" in book.sentences["A"]
    assert "No evidence: " in book.sentences["B"]
    counts = book.table["status"].value_counts()
    assert sum(int(word.split()[0]) for word in book.sentence.partition(": ")[2].split(", ")) == counts.sum()


def test_a_segment_without_a_name_is_an_error() -> None:
    with pytest.raises(DataError, match="without a name"):
        made(Evidence(), {"A": "High-spend"})


def test_one_channel_names_none_and_no_discount_no_incentive(full: Evidence) -> None:
    _, segments = shop()
    mail = contacts(segments).query("channel == 'mail'")
    said = pd.DataFrame({"customer_id": segments["customer_id"].head(20), "campaign_id": "two"})
    alone = Evidence(channels=channel_answers.by_channel(mail, said, segments))
    row = claim(made(alone), "A", "channel")
    assert row["status"] == "no evidence"
    assert "only mail was ever used" in row["claim"]
    assert claim(made(alone), "A", "incentive")["status"] == "no evidence"


# --- figures


def texts(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.findobj(match=lambda one: hasattr(one, "get_text")))


@pytest.mark.filterwarnings("error::UserWarning")
def test_the_figures_show_what_the_claims_say(full: Evidence) -> None:
    assert full.categories is not None
    assert full.orders is not None
    assert full.channels is not None
    assert full.load is not None
    drawn = {
        "lift": playbook_figures.category_lift(full.categories),
        "next": playbook_figures.next_category(full.categories),
        "times": playbook_figures.buying_times(full.orders),
        "channels": playbook_figures.channel_answers(full.channels),
        "load": playbook_figures.contact_load(full.load),
    }
    for figure in drawn.values():
        figure.canvas.draw()
    assert "Wine" in texts(drawn["lift"])
    assert "Saturday evening" in texts(drawn["times"]).replace("\n", " ")
    assert "A email" in texts(drawn["channels"])


@pytest.mark.filterwarnings("error::UserWarning")
def test_figures_of_many_segments_and_of_no_finding_are_drawn() -> None:
    purchases, segments = shop(many=40)
    keys = itertools.cycle([*"ABCDEFG"])
    lot = segments.assign(segment_key=[next(keys) for _ in range(len(segments))])
    table = ibis.memtable(purchases.assign(category="Category with a very long name " + purchases["category"]))
    found = category_lift.measure(table, YEAR, lot)
    assert "No segment buys any category" in texts(playbook_figures.category_lift(found)).replace("\n", " ")
    playbook_figures.next_category(found).canvas.draw()
    dated = ibis.memtable(purchases.assign(ordered_at=purchases["ordered_at"].dt.normalize()))
    playbook_figures.buying_times(buying_times.of_orders(dated, YEAR, lot)).canvas.draw()
    quiet = channel_answers.contact_load(contacts(lot), lot, Window(date(2024, 1, 1), date(2024, 12, 1)))
    assert "Nobody was contacted" in texts(playbook_figures.contact_load(quiet))


def test_what_to_do_is_said_only_where_there_is_evidence(book: Playbook) -> None:
    with_evidence = [key for key, told in book.actions.items() if told]
    assert with_evidence
    for key in with_evidence:
        assert f"{key}: {book.actions[key]}." in book.answer
    nothing = made(Evidence())
    assert set(nothing.actions.values()) == {""}
    assert nothing.answer == f"Nothing is proven to work with {', '.join(nothing.actions)}: test first."

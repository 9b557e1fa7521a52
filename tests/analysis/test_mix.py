"""The marketing mix: a filled cell is never lost, conflicts are told, and nothing is guessed."""

import itertools

import numpy as np
import pandas as pd
import pytest

from segmentkit.analysis import decisions, mix
from segmentkit.errors import ParameterError

NAMES = {"A": "Big baskets", "B": "Now and then"}
CHANNELS = ("email", "sms", "post")
EVERY = {("A", channel) for channel in CHANNELS}
MANY = {"A": 40, "B": 60, "C": 30}


def edited(*rows: dict[str, str], segmentation: str = "s1", **columns: str) -> pd.DataFrame:
    """A table as it comes from a spreadsheet: text, rows numbered from 2."""
    table = pd.DataFrame([{"segmentation": segmentation, "segment_key": "A", "channel": "all"} | row for row in rows])
    return (
        table.assign(**columns)
        .reindex(columns=[*mix.COLUMNS, *columns], fill_value="")
        .fillna("")
        .set_axis(range(2, len(rows) + 2))
    )


def merged(table: pd.DataFrame | None, names: dict[str, str] = NAMES, segmentation: str = "s1") -> mix.Mix:
    return mix.merge(table, names, MANY, segmentation, file="shop.csv")


def test_a_first_table_has_one_empty_row_a_segment() -> None:
    made = mix.merge(None, {"AA": "=1+1", "B": "Now and then"}, {"B": 3}, "s1")
    assert list(made.table.columns) == list(mix.COLUMNS)
    assert made.table["segment_key"].tolist() == ["B", "AA"]
    assert made.table["status"].tolist() == ["in use", "no customers now"]
    assert made.table["segment_name"].tolist() == ["Now and then", "'=1+1"]
    assert (made.table[list(mix.YOURS)] == "").all(axis=None)
    assert made.notes == ()
    assert made.sentence == "Marketing mix: 2 segments, 0 with cells filled in by you."
    assert decisions.offers(made) == {}
    assert decisions.consistency(made, CHANNELS) == []


def test_no_segments_and_no_file_is_an_empty_table() -> None:
    made = mix.merge(None, {}, {}, "s1")
    assert made.table.empty
    assert decisions.blocked(made, CHANNELS) == set()
    assert decisions.stated(made).empty


def test_merging_again_changes_nothing() -> None:
    once = merged(edited({"offer": "10 % off", "channel": "email"}))
    assert once.table["channel"].tolist() == ["all", "email", "all"]
    again = merged(once.table)
    pd.testing.assert_frame_equal(again.table, once.table)
    assert again.notes == ()


def test_cells_survive_a_rename_a_lost_segment_and_its_return() -> None:
    wrote = merged(edited({"offer": " 10 % off ", "note": "=typed by hand"}, agency="North"))
    renamed = merged(wrote.table, NAMES | {"A": "Regulars"})
    assert renamed.notes == ("A is called 'Regulars' now; in the file it was 'Big baskets'.",)
    lost = merged(renamed.table, {"B": "Now and then"})
    assert lost.notes == ("A: no such segment now; what you wrote is parked.",)
    assert lost.parked["status"].tolist() == ["parked: no such segment now"]
    assert lost.table["segment_key"].tolist() == ["B", "A"]
    assert decisions.offers(lost) == {}
    assert merged(lost.table, {"B": "Now and then"}).notes == ()
    back = merged(lost.table, NAMES | {"A": "Regulars"})
    assert back.notes == ("A: in use again, with what you had written.",)
    row = back.table.iloc[0]
    assert row[["offer", "note", "agency", "status"]].tolist() == [" 10 % off ", "=typed by hand", "North", "in use"]


def test_another_segmentation_parks_and_does_not_mix_up_the_letter() -> None:
    first = merged(edited({"offer": "10 % off"}))
    other = merged(first.table, segmentation="s2")
    assert other.notes == ("A: of another segmentation; what you wrote is parked.",)
    assert decisions.offers(other) == {}
    # the empty row of B in the first segmentation held nothing
    assert other.parked[["segmentation", "segment_key", "offer"]].values.tolist() == [["s1", "A", "10 % off"]]
    own = other.table.copy()
    own.loc[own["segment_key"].eq("B"), "offer"] = "free delivery"
    first_again = merged(own)
    assert decisions.offers(first_again) == {("A", ""): "10 % off"}
    assert decisions.offers(merged(first_again.table, segmentation="s2")) == {("B", ""): "free delivery"}


@pytest.mark.parametrize("seed", range(3))
def test_no_filled_cell_is_ever_lost_over_random_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, wrote, number = merged(None).table, {}, itertools.count()
    for _ in range(25):
        keys = rng.choice(list("ABCDE"), size=rng.integers(1, 6), replace=False)
        found = mix.merge(table, {key: f"{key}{next(number)}" for key in keys}, MANY, f"s{rng.integers(3)}")
        table = found.table.copy()
        place, column = rng.integers(len(table)), rng.choice(["offer", "message", "note"])
        table.loc[place, column] = f"text {next(number)}"
        wrote[(*table.loc[place, mix.WHICH], column)] = table.loc[place, column]
    held = table.set_index(mix.WHICH)
    assert held.index.is_unique
    assert {which: held.loc[which[:3], which[3]] for which in wrote} == wrote


def test_what_spreadsheets_do_to_keys_is_undone() -> None:
    table = edited(
        {"segment_key": " 'a ", "channel": "All", "budget": " 1200,50", "contact_cap": "'4"},
        {"segment_key": "b", "segmentation": "", "channel": "", "offer": "x"},
    ).rename(columns={"offer": "Offer"})
    made = merged(table)
    assert made.table["segment_key"].tolist() == ["A", "B"]
    assert made.table["channel"].tolist() == ["all", "all"]
    assert made.notes == ("Without a segmentation, and taken to belong to this one: row 3.",)
    assert decisions.caps(made) == {"A": 4}
    assert decisions.offers(made) == {("B", ""): "x"}
    assert decisions.stated(made)["value"].tolist()[:2] == [1200.5, 4.0]


def test_missing_columns_are_added_and_unknown_ones_kept_in_their_place() -> None:
    table = pd.DataFrame({"agency": ["North"], "segment_key": ["A"], "offer": ["x"]}, index=[2])
    made = merged(table)
    assert made.table.columns[:3].tolist() == ["agency", "segment_key", "offer"]
    assert set(mix.COLUMNS) < set(made.table.columns)
    assert made.table.loc[0, "agency"] == "North"


def test_a_parked_row_in_which_only_an_own_column_is_filled_is_kept() -> None:
    assert len(merged(edited({"segment_key": "Z"}, agency="North")).parked) == 1
    assert len(merged(edited({"segment_key": "Z"})).parked) == 0
    # somebody added the channel
    assert len(merged(edited({"segment_key": "Z", "channel": "email"})).parked) == 1


def test_rows_are_in_the_order_in_which_they_are_read() -> None:
    keys = ["AA", "Z", "B"]
    own = edited(*({"segment_key": key, "channel": way, "note": "x"} for key in keys for way in ("email", "all")))
    table = pd.concat([edited({"note": "of another"}, segmentation="s0"), own])
    found = merged(table, {"B": "Now and then", "AA": "More"}, "s1").table
    assert (found["segmentation"] + found["segment_key"] + found["channel"]).tolist() == [
        "s1Ball", "s1Bemail", "s1AAall", "s1AAemail", "s1Zall", "s1Zemail", "s0Aall"
    ]  # fmt: skip


def test_two_rows_for_one_segment_and_channel_stop_with_their_rows() -> None:
    with pytest.raises(
        ParameterError, match=r"shop.csv, rows 2, 4: segment_key == 'A' with channel 'all' more than on"
    ):
        merged(edited({}, {"segment_key": "B"}, {"segment_key": "a ", "channel": "ALL"}))


def test_a_row_without_a_key_stops() -> None:
    with pytest.raises(ParameterError, match="row 3: segment_key == ''"):
        merged(edited({}, {"segment_key": " ", "note": "total"}))


@pytest.mark.parametrize("text", ["-1", "1.500", "1,500", "12 EUR", "1e3", "ten", "1.5.0", "nan"])
def test_a_budget_that_can_be_read_two_ways_or_not_at_all_stops(text: str) -> None:
    with pytest.raises(ParameterError, match=f"shop.csv, row 2, column budget == '{text}'; a number of 0 or more"):
        merged(edited({"budget": text}))


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1500", 1500), ("12.5", 12.5), ("12,50", 12.5), ("0.1234", 0.1234)]
)
def test_a_budget_has_either_decimal_sign(text: str, value: float) -> None:
    assert decisions.stated(merged(edited({"budget": text})))["value"].tolist() == [value]


@pytest.mark.parametrize("text", ["-1", "2.5", "few", "1 000"])
def test_a_contact_cap_is_a_whole_number(text: str) -> None:
    with pytest.raises(ParameterError, match=f"row 2, column contact_cap == '{text}'"):
        merged(edited({"contact_cap": text}))


def test_an_id_that_a_spreadsheet_would_spoil_gets_a_letter_and_is_known_again() -> None:
    made = merged(None, segmentation="12e45678")
    assert set(made.table["segmentation"]) == {"s12e45678"}
    assert merged(made.table, segmentation="12e45678").parked.empty


def test_a_channel_inherits_from_the_row_for_all() -> None:
    made = merged(edited({"offer": "10 % off"}, {"channel": "email"}, {"channel": "sms", "offer": "10 %  OFF"}))
    assert decisions.offers(made) == {("A", ""): "10 % off", ("A", "email"): "10 % off", ("A", "sms"): "10 %  OFF"}
    assert decisions.consistency(made, CHANNELS) == []


@pytest.mark.parametrize("text", ["No offer", "n/a", "-"])
def test_an_offer_that_may_mean_two_things_stops_the_files(text: str) -> None:
    (told,) = decisions.conflicts(merged(edited({"offer": text})))
    assert "may mean two things; write none to contact nobody" in told


@pytest.mark.parametrize("text", ["No contact", "do not contact.", "None", "nobody"])
def test_words_for_contacting_nobody_close_the_segment(text: str) -> None:
    made = merged(edited({"offer": text}))
    assert decisions.blocked(made, CHANNELS) == {("A", channel) for channel in CHANNELS}
    assert decisions.conflicts(made) == []


def test_a_refusal_that_belongs_to_another_segmentation_is_not_lost() -> None:
    parked = merged(merged(edited({"offer": "none"})).table, segmentation="s2")
    assert decisions.blocked(parked, CHANNELS) == set()
    (told,) = decisions.conflicts(parked)
    assert "another segmentation says that nobody is to be contacted" in told


def test_two_offers_and_two_messages_of_one_segment_are_told() -> None:
    made = merged(
        edited({"message": "Hello"}, {"channel": "email", "offer": "10 % off"}, {"channel": "sms", "message": "Hi"})
    )
    assert decisions.conflicts(made) == [
        "Segment A has 2 offers: nothing in all, sms; '10 % off' in email. One customer may meet them all: "
        "decide for one.",
        "Segment A has 2 messages: 'Hello' in all, email; 'Hi' in sms. One customer may meet them all: decide for one.",
    ]


@pytest.mark.parametrize(
    ("row", "closed"),
    [
        ({"channel": "email", "offer": " None. "}, {("A", "email")}),
        ({"channel": "no email"}, {("A", "email")}),
        ({"channel": "none"}, EVERY),
        ({"channel": "all", "offer": "NO"}, EVERY),
        ({"channel": "email", "offer": "no postage"}, set()),
    ],
)
def test_saying_no_closes_a_channel(row: dict[str, str], closed: set[tuple[str, str]]) -> None:
    assert decisions.blocked(merged(edited(row)), CHANNELS) == closed


def test_closing_a_channel_that_is_none_is_refused() -> None:
    with pytest.raises(
        ParameterError, match="segment A is not to be contacted by channel == 'e-mail'; channels are em"
    ):
        decisions.blocked(merged(edited({"channel": "e-mail", "offer": "none"})), CHANNELS)


def test_a_row_for_a_channel_that_is_none_is_told() -> None:
    told = decisions.consistency(merged(edited({"channel": "e-mail"})), CHANNELS)
    assert told == ["Segment A: 'e-mail' is no channel of the files (email, sms, post): the row changes none of them."]


def test_a_closed_channel_has_no_offer_and_words_for_it_are_told() -> None:
    made = merged(edited({"offer": "none"}, {"channel": "email", "offer": "10 % off"}))
    assert decisions.offers(made) == {}
    assert decisions.consistency(made, CHANNELS) == ["Segment A: not to be contacted, yet it has words for email."]
    single = merged(edited({"offer": "10 % off"}, {"channel": "email", "offer": "none"}))
    assert decisions.offers(single) == {("A", ""): "10 % off"}
    assert decisions.consistency(single, CHANNELS) == []


def test_channels_may_not_spend_more_than_their_segment() -> None:
    rows = [{"budget": "1000"}, {"channel": "email", "budget": "400"}, {"channel": "post", "budget": "600,01"}]
    told = decisions.consistency(merged(edited(*rows)), CHANNELS)
    assert told == ["Segment A: the budgets of its channels add up to 1,000.01, its own is 1,000.00."]
    rows[2]["budget"] = "600"
    assert decisions.consistency(merged(edited(*rows)), CHANNELS) == []
    tenths = [row | {"budget": budget} for row, budget in zip(rows, ["0.3", "0.1", "0.2"], strict=True)]
    assert decisions.consistency(merged(edited(*tenths)), CHANNELS) == []


def test_a_cap_for_one_channel_is_said_not_to_count() -> None:
    made = merged(edited({"contact_cap": "4"}, {"channel": "email", "contact_cap": "2"}))
    assert decisions.caps(made) == {"A": 4}
    assert decisions.consistency(made, CHANNELS) == [
        "Segment A: the contact cap in email is not used; a cap is for all channels together."
    ]


def test_what_people_wrote_is_stated_and_has_no_figure() -> None:
    made = decisions.stated(merged(edited({"offer": "10 % off"}, {"channel": "email", "contact_cap": "2"})))
    assert made["element"].tolist() == ["offer", "contact cap (email)"]
    assert made["claim"].tolist() == ["10 % off", "2"]
    assert set(made["status"]) == {"stated"}
    assert set(made["figure"]) == {""}
    assert made.columns.tolist() == [
        "segment_key", "element", "claim", "status", "value", "low", "high", "customers", "figure"
    ]  # fmt: skip

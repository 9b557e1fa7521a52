"""The funnel by hand: every customer once, rates only where both steps are recorded, and what is left out is said."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from pandas.testing import assert_frame_equal

from segmentkit.analysis import funnel
from segmentkit.analysis.campaigns import Campaign
from segmentkit.display import plan_figures

SPRING = Campaign("spring", date(2026, 3, 1), date(2026, 3, 31), "targeted")
IDS = [f"C{i:02d}" for i in range(40)]
SEGMENTS = pd.DataFrame({"customer_id": IDS[:36], "segment_key": ["B"] * 8 + ["A"] * 28})


def events(who: list[str], event: str, channel: str = "e-mail", campaign: str | None = "spring") -> pd.DataFrame:
    return pd.DataFrame(
        {"customer_id": who, "at": "2026-03-02", "channel": channel, "event": event, "campaign_id": campaign}
    )


# forty delivered, twelve of them opened (one twice), five clicked; C99 clicked without a delivery
MAIL = pd.concat(
    [
        events(IDS, "delivery"),
        events([*IDS[:12], "C00"], "open"),
        events([*IDS[2:6], "C20", "C99"], "click"),
        events(IDS, "mention"),
        events(IDS, "click", campaign="other"),
        events(IDS, "click", campaign=None),
    ]
)
BUYERS = {"C00", "C10", "C39", "C77"}


def read(contacts: pd.DataFrame = MAIL, confidence: float = 0.95) -> funnel.Funnel:
    return funnel.read(contacts, BUYERS, SEGMENTS, SPRING, confidence)


def rate(found: funnel.Funnel, start: str, key: str = "all") -> pd.Series:
    own = found.rates[found.rates["rate"].str.startswith(start) & (found.rates["segment_key"] == key)]
    assert len(own) == 1
    return own.iloc[0]


def wilson(count: int, of: int, z: float = 1.959963984540054) -> tuple[float, float]:
    middle, half = count + z**2 / 2, z * np.sqrt(count * (of - count) / of + z**2 / 4)
    return (middle - half) / (of + z**2), (middle + half) / (of + z**2)


@pytest.mark.parametrize(
    ("start", "count", "of", "without"),
    [
        ("open rate (opened of delivered)", 12, 40, 0),
        ("click-through rate (clicked of delivered)", 5, 40, 1),
        ("click-to-open rate (clicked of opened)", 4, 12, 2),
        ("conversion after delivery (bought in the campaign's days, of delivered): not an effect", 3, 40, 0),
    ],
)
def test_each_customer_counts_once_and_only_after_the_earlier_step(
    start: str, count: int, of: int, without: int
) -> None:
    row = rate(read(), start)
    assert (row["count"], row["of"], row["without"], row["share"]) == (count, of, without, count / of)
    assert (row["low"], row["high"]) == pytest.approx(wilson(count, of))


def test_segments_come_in_order_with_none_and_all_last_and_add_up() -> None:
    found = read()
    assert found.rates["segment_key"].drop_duplicates().tolist() == ["A", "B", "none", "all"]
    delivered = {key: rate(found, "open", key)["of"] for key in ("A", "B", "none", "all")}
    assert delivered == {"A": 28, "B": 8, "none": 4, "all": 40}
    assert rate(found, "click-through", "none")["without"] == 1, "C99 has no segment"
    assert found.steps.groupby(["step"])["customers"].sum()["open"] == 2 * 12


def test_fewer_than_ten_in_the_base_have_no_interval() -> None:
    few, enough = rate(read(), "open", "B"), rate(read(), "open", "A")
    assert (few["of"], few["share"]) == (8, 1.0)
    assert few[["low", "high"]].isna().all()
    assert enough[["low", "high"]].notna().all()
    tiny = funnel.read(events(IDS[:9], "delivery"), BUYERS, SEGMENTS, SPRING, 0.95)
    assert "1 of 9, too few to tell, not an effect" in tiny.sentence


def test_a_higher_confidence_is_wider() -> None:
    wide, narrow = (rate(read(confidence=c), "open") for c in (0.99, 0.8))
    assert wide["low"] < narrow["low"] < narrow["share"] < narrow["high"] < wide["high"]


def test_without_clicks_there_is_no_click_through_rate_and_a_visit_does_not_stand_in_for_it() -> None:
    post = pd.concat([events(IDS, "delivery", "post"), events(IDS[:10], "visit", "post")])
    found = read(post)
    assert not found.rates["rate"].str.contains("click-").any()
    assert rate(found, "visit rate (visited of delivered): a visit is not a click")["count"] == 10
    assert "A click-through rate cannot be computed: post records no clicks; it needs clicks" in found.sentence
    assert "visit rate (visited of delivered) 10 of 40, 25.0%" in found.sentence
    assert ", a visit is not a click" in found.sentence


def test_clicks_without_deliveries_or_impressions_make_no_rate() -> None:
    found = read(events(IDS, "click", "search"))
    assert found.rates.empty
    assert "search records no deliveries or impressions" in found.sentence
    assert found.title == "Campaign spring: no rate can be computed"
    both = read(events(IDS, "visit", "search"))
    assert "search records no clicks and no deliveries or impressions" in both.sentence


def test_impressions_are_a_base_of_their_own() -> None:
    found = read(pd.concat([events(IDS[:20], "impression", "display"), events(IDS[15:25], "click", "display")]))
    row = rate(found, "click-through rate (clicked of impressions)")
    assert (row["count"], row["of"], row["without"]) == (5, 20, 5)
    assert "Left out, since the earlier step is missing: 5 from the click-through rate" in found.sentence
    assert rate(found, "conversion after impression")["count"] == 2
    assert "cannot be computed" not in found.sentence


def test_a_channel_that_records_clicks_elsewhere_had_none_here() -> None:
    found = read(pd.concat([events(IDS, "delivery"), events(IDS, "click", campaign="other")]))
    assert (rate(found, "click-through")["count"], rate(found, "click-through")["of"]) == (0, 40)
    other_channel = read(pd.concat([events(IDS, "delivery"), events(IDS, "click", "display", campaign="other")]))
    assert not other_channel.rates["rate"].str.contains("click-").any()


def test_channels_are_read_one_by_one_and_opens_are_qualified_once() -> None:
    found = read(pd.concat([MAIL, MAIL.assign(channel="app"), events(IDS, "delivery", "post")]))
    assert found.steps["channel"].drop_duplicates().tolist() == ["app", "e-mail", "post"]
    assert found.sentence.count("Opens are inflated") == 1
    assert "Opens" not in read(events(IDS, "delivery")).sentence
    assert found.title == (
        "Campaign spring: click-through rate 12.5% by app, click-through rate 12.5% by e-mail, conversion after "
        "delivery 7.5% by post"
    )


def test_the_order_of_events_changes_nothing() -> None:
    again = read(MAIL.sample(frac=1, random_state=2))
    assert_frame_equal(read().rates, again.rates)
    assert_frame_equal(read().steps, again.steps)


@pytest.mark.parametrize("contacts", [MAIL.iloc[:0], events(IDS, "delivery", campaign="other"), events(IDS, "mention")])
def test_a_campaign_without_contacts_has_an_empty_funnel(contacts: pd.DataFrame) -> None:
    found = read(contacts)
    assert found.rates.empty
    assert found.rates.columns.tolist() == read().rates.columns.tolist()
    assert found.sentence == "Campaign spring: no contacts, so no rate can be computed."
    plan_figures.steps(found)
    plt.close("all")


def test_the_figure_shows_only_steps_that_exist() -> None:
    made = plan_figures.steps(read(pd.concat([MAIL, events(IDS[:20], "impression", "display")])))
    steps = [[tick.get_text() for tick in ax.get_yticklabels()] for ax in made.axes]
    assert steps == [["bought", "impression"], ["bought", "click", "open", "delivery"]]
    assert [ax.get_title(loc="left") for ax in made.axes] == ["display", "e-mail"]
    plt.close("all")

"""The deck: figures stay figures, text never becomes a formula, nothing is fetched, and no customer is in it."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook
from PIL import Image

from segmentkit.display import slides
from segmentkit.errors import DataError, PrivacyStop
from segmentkit.machinery import deck

ABOUT = deck.About("shop-1", "2026-11-22", "=Shop", ("Simulated: generated data.", "Campaign 8: not identified."))
SCORECARD = pd.DataFrame(
    {
        "segment_key": ["A", "B"],
        "name": ['=HYPERLINK("http://x")', "+4477 <b>O'Brien</b> \x07"],
        "customers": [328, 488],
        "share_of_sales": [0.4, np.nan],
        "sales": [1839040.97, np.inf],
        "holds": [True, False],
    }
)
BRIDGE = pd.DataFrame({"step": ["read from the source", "set aside"], "amount": [100.5, -0.25]})
PLAYBOOK = pd.DataFrame(
    [
        ("A", "channel", "28% opened", "measured", 0.279, 0.258, 0.302, 328, "response_rates"),
        ("A", "message", "@Hello", "hypothesis", np.nan, np.nan, np.nan, np.nan, ""),
        ("B", "channel", "nothing is known", "no evidence", np.nan, np.nan, np.nan, np.nan, ""),
        ("B", "budget", "1,200", "estimated", 1200.0, 900.0, 1500.0, 488, "budget"),
    ],
    columns=["segment_key", "element", "claim", "status", "value", "low", "high", "customers", "figure"],
)


def picture(wide: int, high: int, *, noise: bool = False) -> bytes:
    """A black picture, or one that no compression makes smaller."""
    pixels = np.zeros((high, wide, 3), dtype="uint8")
    if noise:
        pixels = np.random.default_rng(1).integers(0, 255, pixels.shape, dtype="uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def page(**changes: object) -> str:
    values: dict = {
        "title": "B < A",
        "supported": ["6 groups, safe to plan on."],
        "scorecard": SCORECARD,
        "bridge": BRIDGE,
        "playbook": PLAYBOOK,
        "names": {"A": "Big & often", "B": "Rare"},
        "figures": [("response_rates", picture(90, 50), 'A answers "most"')],
        "not_told": ["Whether it lasts."],
    }
    return deck.summary_page(ABOUT, **(values | changes))


def written(folder, **changes: object) -> list:
    values = {"scorecard": SCORECARD, "bridge": BRIDGE, "playbook": PLAYBOOK, "slides": [], "page": page()} | changes
    return deck.write(folder, ABOUT, **values)


def test_the_workbook_says_what_it_is_and_freezes_its_heads(tmp_path) -> None:
    written(tmp_path)
    book = load_workbook(tmp_path / "deck" / "summary.xlsx")
    assert book.sheetnames == ["Scorecard", "Money bridge", "Playbook"]
    for sheet in book:
        first = [sheet.cell(row, 1).value for row in range(1, 5)]
        assert first == ["'=Shop · run shop-1 · 2026-11-22", *ABOUT.notes, None]
        assert sheet.freeze_panes == "A6"
        assert all(cell.font.bold for cell in sheet[5])
    assert [cell.value for cell in book["Scorecard"][5]] == [
        "segment key", "name", "customers", "share of sales", "sales", "holds"
    ]  # fmt: skip


def test_figures_are_numbers_with_their_format_and_unknown_is_empty(tmp_path) -> None:
    written(tmp_path)
    book = load_workbook(tmp_path / "deck" / "summary.xlsx")
    cells = book["Scorecard"][6]
    assert [cell.value for cell in cells[2:]] == [328, 0.4, 1839040.97, True]
    assert [cell.number_format for cell in cells[2:5]] == ["#,##0", "0.0%", "#,##0.00"]
    assert [cell.value for cell in book["Scorecard"][7]][3:] == [None, None, False]
    claim = book["Playbook"][6]
    assert (claim[4].value, claim[4].number_format, claim[7].value) == (0.279, "0.000", 328)
    assert claim[7].number_format == "#,##0"
    assert (claim[2].value, claim[2].alignment.wrap_text) == ("28% opened", True)
    assert book["Money bridge"]["B7"].value == -0.25


def test_no_text_is_a_formula(tmp_path) -> None:
    hostile = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1", " =1", "#N/A", "it's"]
    table = pd.DataFrame({"=head": hostile})
    written(tmp_path, scorecard=table)
    sheet = load_workbook(tmp_path / "deck" / "summary.xlsx")["Scorecard"]
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells if deck.FORMULA.match(cell.value)] == []
    assert sheet["A5"].value == "'=head"
    assert [sheet.cell(6, 1).value, sheet.cell(18, 1).value, sheet.cell(19, 1).value] == ["'=1+1", "#N/A", "it's"]


def test_columns_are_neither_slits_nor_walls(tmp_path) -> None:
    written(tmp_path, scorecard=pd.DataFrame({"k": [1], "told": ["word " * 80], "share": [0.123456789]}))
    widths = load_workbook(tmp_path / "deck" / "summary.xlsx")["Scorecard"].column_dimensions
    assert [widths[name].width for name in "ABC"] == [deck.NARROWEST, deck.WIDEST, deck.NARROWEST]


def test_slides_are_numbered_and_those_of_an_older_deck_go(tmp_path) -> None:
    written(tmp_path, slides=[("a", b"1"), ("b", b"2"), ("c", b"3")])
    paths = written(tmp_path, slides=[("c", b"4"), ("a", b"5")])
    assert [one.name for one in paths] == ["summary.xlsx", "01_c.png", "02_a.png", "summary.html"]
    assert sorted(one.name for one in (tmp_path / "deck" / "slides").iterdir()) == ["01_c.png", "02_a.png"]
    assert (tmp_path / "deck" / "slides" / "02_a.png").read_bytes() == b"5"


@pytest.mark.parametrize("name", ["scorecard", "bridge", "playbook"])
def test_a_row_of_a_customer_stops_the_deck_and_the_page(tmp_path, name: str) -> None:
    table = {"scorecard": SCORECARD, "bridge": BRIDGE, "playbook": PLAYBOOK}[name].assign(customer_id="c1")
    with pytest.raises(PrivacyStop, match="customer_id"):
        written(tmp_path, **{name: table})
    with pytest.raises(PrivacyStop, match="customer_id"):
        page(**{name: table})
    assert list(tmp_path.iterdir()) == []


class Seen(HTMLParser):
    """Tags, targets and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.targets += [found[name] for name in ("src", "href") if name in found]
        self.ids += [found["id"]] if "id" in found else []


def test_the_page_fetches_nothing_and_its_links_stay_inside() -> None:
    text = page()
    seen = Seen(text)
    assert not seen.tags & {"script", "link", "iframe", "object", "form"}
    assert {one for one in seen.targets if not one.startswith("data:image/png;base64,")} == {"#response_rates"}
    assert seen.ids == ["response_rates"]
    assert re.findall(r"url\(|@import|javascript:", text) == []


def test_the_page_escapes_what_the_data_hold() -> None:
    text = page()
    assert "<b>O" not in text
    assert "&lt;b&gt;O&#39;Brien" in text
    assert "<h1>B &lt; A</h1>" in text
    assert 'alt="A answers &#34;most&#34;"' in text


def test_every_claim_has_its_status_and_every_note_is_carried_over() -> None:
    text = page()
    assert re.findall(r'<span class="status[^>]*>([^<]+)<', text) == PLAYBOOK["status"].tolist()
    assert all(note in text for note in ABOUT.notes)
    assert all(
        word in text for word in ("Big &amp; often", "40.0%", "1,839,040.97", "Whether it lasts.", "in the report")
    )
    assert "Stated:" not in text
    assert "No evidence: the data say nothing of it." in text


def test_a_playbook_without_rows_makes_a_page_all_the_same() -> None:
    assert "What to do for each segment" in page(playbook=PLAYBOOK.head(0), scorecard=SCORECARD.head(0), figures=[])


def test_large_pictures_are_made_smaller_and_too_large_a_page_is_refused(monkeypatch) -> None:
    text = page(figures=[("map", picture(2600, 1300), "black")])
    encoded = re.findall(r"base64,([^\"]+)", text)[0]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (1000, 500)
    monkeypatch.setattr(deck, "MOST_BYTES", 50_000)
    with pytest.raises(DataError, match=r"summary.html == [\d,]+ bytes; below 50,000"):
        page(figures=[("map", picture(300, 200, noise=True), "noise")])


@pytest.mark.parametrize(("wide", "high"), [(400, 400), (300, 936), (1800, 225)])
@pytest.mark.parametrize("title", ["", "A sentence."])
def test_a_slide_has_its_size_and_fits_the_picture_without_stretching(wide: int, high: int, title: str) -> None:
    made = slides.png(slides.slide(picture(wide, high), title, ""))
    pixels = np.asarray(Image.open(io.BytesIO(made)).convert("L"))
    assert pixels.shape == (1080, 1920)
    dark = pixels[slides.ABOVE :] < 60 if title else pixels < 60
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    found = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    assert found == pytest.approx(wide / high, rel=0.02)
    assert columns.min() >= slides.MARGIN - 2
    assert columns.max() <= 1920 - slides.MARGIN + 2


@pytest.mark.parametrize("words", [1, 14, 22, 400])
def test_titles_and_feet_stay_on_the_slide(words: int) -> None:
    made = slides.slide(picture(936, 500), "finding " * words, "origin " * words)
    renderer = made.canvas.get_renderer()
    title, foot = (text.get_window_extent(renderer) for text in made.texts)
    assert title.x1 < slides.WIDE - slides.MARGIN / 2
    assert foot.x1 < slides.WIDE - slides.MARGIN / 2
    assert title.y0 > slides.HIGH - slides.ABOVE
    assert 0 < foot.y0 < foot.y1 < slides.UNDER
    assert made.texts[0].get_text().endswith("…") == (words == 400)
    slides.png(made)


def test_slides_of_a_deck_are_numbered_in_their_foot(monkeypatch) -> None:
    feet = []
    plain = slides.slide
    monkeypatch.setattr(slides, "slide", lambda *given: feet.append(given[2]) or plain(*given))
    made = slides.render([("a", picture(9, 5), "One."), ("b", picture(9, 5), "")], "Shop · run x · simulated")
    assert [name for name, _ in made] == ["a", "b"]
    assert feet == ["1 of 2 · Shop · run x · simulated", "2 of 2 · Shop · run x · simulated"]

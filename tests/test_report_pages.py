"""The report as a reader meets it: pictures told in words, links that lead somewhere, nothing fetched, nothing run."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, sync_playwright

from segmentkit.machinery.record import notebook_body

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",  # in a container the tests are root, and Chromium refuses root a sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NOT_FOR_READERS = re.compile(r"&lt;|<p>|</|\{\{|object at 0x|\b(?:nan|NaN|NaT|None)\b")
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect(), own = getComputedStyle(element).overflow;
  if (/hidden|clip/.test(own) && (element.scrollWidth > element.clientWidth + 1
    || element.scrollHeight > element.clientHeight + 1)) return true;
  for (let around = element.parentElement; around; around = around.parentElement)
    if (/auto|scroll/.test(getComputedStyle(around).overflowX)) return false;
  return box.width > 0 && (box.left < -1 || box.right > innerWidth + 1);
}).map(element => `${element.tagName} ${element.className}: ${element.textContent.trim().slice(0, 40)}`)"""
RUNS = "<script>window.hacked = 1; alert(1)</script>"
HOSTILE = f"""<p>Harmless words</p>{RUNS}
<img src="x" onerror="window.hacked = 'image'; alert(2)">
<iframe src="javascript:parent.hacked='frame';alert(3)">words in a frame</iframe>
<iframe srcdoc="<script>parent.hacked = 'frame'</script>"></iframe>
<a id="bait" href="javascript:window.hacked='link';alert(4)">words in a link</a>
<svg onload="window.hacked = 'drawing'"><text>words in a drawing</text></svg>
<style>@import url(http://example.invalid/style.css);</style>
<img src="http://example.invalid/pixel.png">"""


@contextmanager
def a_browser() -> Iterator[Browser]:
    """Chromium, for as long as the block runs."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"no browser here: none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()


# not for the session: while playwright runs, other tests could not start an event loop
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as opened:
        yield opened


def watched(browser: Browser, width: int = 1100) -> tuple[Page, list[str]]:
    """A page, and a list that fills with whatever a plain document must not do."""
    page, seen = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda said: seen.append(f"{said.type} {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: seen.append(f"error {error}"))
    page.on("request", lambda asked: seen.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    return page, seen


@pytest.fixture(scope="module")
def pages(shop_run: Path) -> dict[Path, BeautifulSoup]:
    found = sorted((shop_run / "report").glob("*.html"))
    names = {path.name for path in found}
    assert {"index.html", "segment_A.html", "record_03_clustering.html"} <= names
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in found}


def test_every_picture_is_told_in_words_and_numbers(pages: dict[Path, BeautifulSoup]) -> None:
    told = [(path.name, image.get("alt", "")) for path, soup in pages.items() for image in soup.find_all("img")]
    assert len(told) > 10
    empty = {"", "None", "No description has been provided for this image"}
    assert [place for place in told if place[1].strip() in empty or not re.search(r"\d", place[1])] == []


def test_a_page_can_neither_fetch_nor_run_anything(pages: dict[Path, BeautifulSoup]) -> None:
    for path, soup in pages.items():
        policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
        assert policy, path.name
        assert policy["content"].startswith("default-src 'none'"), path.name
        assert soup.find_all(["script", "iframe", "object", "embed", "link", "base", "form"]) == [], path.name
        active = [(tag.name, name) for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on")]
        assert active == [], path.name
        assert [tag["src"][:60] for tag in soup.find_all(src=True) if not tag["src"].startswith("data:image/")] == []
        outside = [
            tag["href"] for tag in soup.find_all(href=True) if urlsplit(tag["href"]).scheme or "//" in tag["href"]
        ]
        assert outside == [], path.name
        styles = "".join(tag.get_text() for tag in soup.find_all("style"))
        assert not re.search(r"url\(|@import", styles), path.name


def test_every_link_leads_somewhere(pages: dict[Path, BeautifulSoup]) -> None:
    names = {path: [tag["id"] for tag in soup.find_all(id=True)] for path, soup in pages.items()}
    assert [path.name for path, ids in names.items() if len(ids) != len(set(ids))] == []
    for path, soup in pages.items():
        for link in soup.find_all("a", href=True):
            file, _, place = link["href"].partition("#")
            target = path.parent / unquote(file) if file else path
            assert target.is_file(), f"{path.name} links to {link['href']}"
            if place:
                # a browser tries the name as it is written before it decodes it
                assert {place, unquote(place)} & set(names[target]), f"{path.name} links to {link['href']}"


def test_page_one_leads_to_every_page(pages: dict[Path, BeautifulSoup]) -> None:
    index = next(soup for path, soup in pages.items() if path.name == "index.html")
    linked = {link["href"].partition("#")[0] for link in index.find_all("a", href=True)}
    assert {path.name for path in pages} <= linked


def test_every_page_says_what_it_is(pages: dict[Path, BeautifulSoup], shop_run: Path) -> None:
    for path, soup in pages.items():
        assert soup.html["lang"] == "en"
        (heading,) = soup.find_all("h1")
        assert heading.get_text(strip=True), path.name
        if path.stem.startswith("record_"):
            notebook = shop_run / "notebooks" / f"{path.stem.removeprefix('record_')}.ipynb"
            first = nbformat.read(notebook, as_version=4).cells[0].source.splitlines()[0]
            assert heading.get_text(strip=True) == first.removeprefix("# ")
    titles = [soup.title.get_text(strip=True) for soup in pages.values()]
    assert all(titles)
    assert len(titles) == len(set(titles))


def test_every_column_of_a_table_has_a_heading(pages: dict[Path, BeautifulSoup]) -> None:
    for path, soup in pages.items():
        if path.stem.startswith("record_"):
            continue
        assert soup.find("table"), path.name
        for table in soup.find_all("table"):
            headings = [cell.get_text(strip=True) for cell in table.select("thead th")]
            assert all(headings), path.name
            rows = table.select("tbody tr")
            assert rows, f"{path.name} has an empty table: {headings}"
            assert {len(row.find_all(["td", "th"])) for row in rows} == {len(headings)}, path.name


@pytest.mark.parametrize("width", [1100, 390])
def test_every_page_opens_whole_on_a_desk_and_on_a_phone(
    browser: Browser, pages: dict[Path, BeautifulSoup], width: int
) -> None:
    page, seen = watched(browser, width)
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path.name
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)"), path.name
        assert page.evaluate(CUT_OFF) == [], path.name
        for summary in page.locator(".card summary").all():
            summary.click()
        # the code of a record stays folded: a program may well say None
        shown = page.inner_text("body")
        assert len(shown) > 200, path.name
        assert [shown[max(0, m.start() - 40) : m.end() + 40] for m in NOT_FOR_READERS.finditer(shown)] == [], path.name
    assert seen == []
    page.close()


@pytest.mark.parametrize("name", ["index", "record_03_clustering"])
def test_folded_parts_open_without_scripts(browser: Browser, shop_run: Path, name: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto((shop_run / "report" / f"{name}.html").as_uri())
    folded = page.locator("details").first
    inside = folded.locator("p, pre").first
    assert not inside.is_visible()
    folded.locator("summary").click()
    assert inside.is_visible()
    page.close()


def displayed(data: dict[str, str], metadata: dict[str, object] | None = None) -> dict[str, object]:
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


def hostile_body(folder: Path) -> str:
    """The record of a notebook whose every output carries something that wants to run."""
    outputs = [
        displayed({"text/html": HOSTILE, "text/plain": "shown"}),
        displayed({"image/png": f'AAAA">{RUNS}'}, {"image/png": {"alt": f'1">{RUNS}'}}),
        displayed({"image/svg+xml": HOSTILE}),
        displayed({"text/markdown": HOSTILE}),
        displayed({"application/javascript": "window.hacked = 1"}),
        {"output_type": "stream", "name": "stdout", "text": RUNS},
        {"output_type": "error", "ename": "ValueError", "evalue": RUNS, "traceback": [f"ValueError: {RUNS}"]},
    ]
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": f"'</pre>{RUNS}'", "execution_count": 1}
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Ordinary"}, code | {"outputs": outputs}]
    path = folder / "hostile.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return notebook_body(path)


def inside_a_page(body: str, shop_run: Path, target: Path) -> Path:
    """The body in place of page one's own, under the same head."""
    head, _, rest = (shop_run / "report" / "index.html").read_text(encoding="utf-8").partition("<main>")
    foot = rest.rpartition("</main>")[2]
    target.write_text(f"{head}<main>{body}</main>{foot}", encoding="utf-8")
    return target


@pytest.mark.filterwarnings("ignore:Your element with mimetype")
def test_what_hostile_data_print_stays_text(browser: Browser, shop_run: Path, tmp_path: Path) -> None:
    body = hostile_body(tmp_path)
    allowed = BeautifulSoup(body, "html.parser")
    assert allowed.find_all(["script", "iframe", "svg", "style"]) == []
    assert not [tag for tag in allowed.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
    page, seen = watched(browser)
    page.goto(inside_a_page(body, shop_run, tmp_path / "hostile.html").as_uri())
    shown = page.inner_text("main")
    for words in ("Ordinary", "Harmless words", "words in a frame", "words in a link", "words in a drawing"):
        assert words in shown
    assert page.evaluate("typeof window.hacked") == "undefined"
    # the forged picture is none, and the browser says so
    assert [one for one in seen if "ERR_INVALID_URL" not in one] == []
    page.close()


def test_the_page_would_stop_what_slipped_through(browser: Browser, shop_run: Path, tmp_path: Path) -> None:
    page, seen = watched(browser)
    stopped: list[str] = []
    page.on("requestfailed", lambda asked: stopped.append(asked.url) if asked.failure == "csp" else None)
    page.goto(inside_a_page(HOSTILE, shop_run, tmp_path / "raw.html").as_uri())
    page.click("#bait")
    page.wait_for_timeout(200)
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert "http://example.invalid/pixel.png" in stopped
    assert [one for one in seen if one.startswith(("dialog", "http")) and one not in stopped] == []
    page.close()

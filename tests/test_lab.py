"""The notebooks in an analyst's own JupyterLab: they run, the slider moves its picture, nothing leaves the machine."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from segmentkit.machinery.paths import notebooks_folder
from test_report_pages import a_browser

SMALL = {"bootstrap_pairs": 2, "starts": 2, "k_max": 4, "map_max_rows": 300}
THREADS = """from threadpoolctl import threadpool_info
print("most threads:", max(pool["num_threads"] for pool in threadpool_info()))"""
# Lab draws only the cells in view, but the tests ask about all; and a server must not look for news elsewhere
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
ERROR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]'
ENDED = """() => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map(one => one.textContent);
  return !prompts.some(one => one.includes("*")) && prompts.some(one => /\\d/.test(one));
}"""


@dataclass(frozen=True)
class Lab:
    """A running server, and where it reads and writes."""

    url: str
    token: str
    folder: Path


@pytest.fixture(scope="module")
def lab(shop_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(shop_run, folder / "outputs" / "interactive")
    shutil.copytree(notebooks_folder(), folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    make_small(folder / "notebooks" / "03_clustering.ipynb")
    for name, content in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    words = [
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.allow_root=True",
        f"--ServerApp.root_dir={folder / 'notebooks'}",
        f"--IdentityProvider.token={token}",
    ]
    with serving(words, lab_environment(folder), folder) as server:
        wait_until_up(server, f"http://127.0.0.1:{port}/api/status?token={token}", folder / "lab.log")
        yield Lab(f"http://127.0.0.1:{port}/", token, folder)


def make_small(notebook: Path) -> None:
    """Few repetitions, and one more cell that tells the number of threads."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cell = next(c for c in content["cells"] if "parameters" in c["metadata"].get("tags", []))
    source = "".join(cell["source"])
    for name, value in SMALL.items():
        source, found = re.subn(rf"^({name}: int = )\d+", rf"\g<1>{value}", source, flags=re.MULTILINE)
        assert found == 1, name
    cell["source"] = source
    more = {"cell_type": "code", "id": "threads", "metadata": {}, "source": THREADS}
    content["cells"].append(more | {"outputs": [], "execution_count": None})
    notebook.write_text(json.dumps(content), encoding="utf-8")


def lab_environment(folder: Path) -> dict[str, str]:
    """A fresh user's environment: no settings of their own, no cap on threads from these tests, nobody's batch."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    kept.pop("SEGMENTKIT_RUNNER", None)
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "SEGMENTKIT_OUTPUTS": "outputs",
    }
    return kept | {name: str(folder / place) for name, place in places.items()}


@contextmanager
def serving(words: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server for as long as the block runs; nothing it started outlives it."""
    with (folder / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *words], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield server
    finally:
        family = started_in(folder)
        server.terminate()
        for left in psutil.wait_procs(family, timeout=15)[1]:
            left.kill()
        assert psutil.wait_procs(family, timeout=10)[1] == []
        server.wait(timeout=10)


def started_in(folder: Path) -> set[psutil.Process]:
    """The server and its kernels, known by the folder they were given, and whatever these started."""
    family: set[psutil.Process] = set()
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            with suppress(psutil.NoSuchProcess):
                family |= {process, *process.children(recursive=True)}
    return family


def wait_until_up(server: subprocess.Popen[bytes], status: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(status, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not come up:\n{log.read_text(encoding='utf-8')[-2000:]}")


@pytest.fixture(scope="module")
def page(lab: Lab) -> Iterator[Page]:
    """One window of Lab; whatever it asks of any other machine fails the tests."""
    with a_browser() as browser:
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(60_000)
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:", 1)))
        yield opened
        opened.close()
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith((lab.url, "data:", f"blob:{lab.url}"))] == []


def run_all(page: Page, lab: Lab, name: str) -> None:
    """Open a notebook, run all its cells from the menu, and hold that the last one ran and none failed."""
    page.goto(f"{lab.url}lab/workspaces/{name}/tree/{name}.ipynb?token={lab.token}&reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
    # the indicator says idle before there is a kernel; run too early, Lab asks which one
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Python 3 (ipykernel) | Idle")
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.click('.lm-Menu-item[data-command="runmenu:run-all"]')
    page.wait_for_function(ENDED)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    assert page.locator(ERROR).all_inner_texts() == []
    assert re.search(r"\d", page.locator(".jp-CodeCell .jp-InputPrompt").last.inner_text())


def test_the_tour_runs_and_waits_for_an_answer(page: Page, lab: Lab) -> None:
    run_all(page, lab, "00_start_here")
    expect(page.locator(".jp-OutputArea-output", has_text="Not answered yet")).to_be_visible()
    assert page.locator(".jp-OutputArea-output table").count() >= 2


def test_the_slider_moves_its_picture_and_one_thread_is_used(page: Page, lab: Lab) -> None:
    run_all(page, lab, "03_clustering")
    assert page.locator(".jp-OutputArea-output img").count() >= 5
    expect(page.locator(".jp-OutputArea-output", has_text="most threads: 1")).to_be_visible()

    slider = page.locator(".widget-interact")
    picture, readout = slider.locator("img"), slider.locator(".widget-readout")
    expect(picture).to_be_visible()
    before, k = picture.get_attribute("src"), int(readout.inner_text())
    handle, key, after = slider.locator(".noUi-handle"), "ArrowRight", k + 1
    if k == SMALL["k_max"]:
        key, after = "ArrowLeft", k - 1
    handle.focus()
    page.keyboard.press(key)
    expect(readout).to_have_text(str(after))
    expect(picture).not_to_have_attribute("src", before or "", timeout=30_000)
    assert page.locator(ERROR).count() == 0


def test_a_stage_run_by_hand_says_so(page: Page, lab: Lab) -> None:
    manifest = json.loads((lab.folder / "outputs" / "interactive" / "manifest.json").read_text(encoding="utf-8"))
    stage = manifest["stages"]["03_clustering"]
    assert stage["status"] == "by hand"
    assert {name: stage["parameters"][name] for name in SMALL} == SMALL

"""Many markets: each whole on its own, one failing alone, killed and resumed, on a cluster, compared."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from light import Command
from segmentkit.analysis.simulate import generate_shop
from segmentkit.errors import ParameterError
from segmentkit.machinery import batch

BASE = "bootstrap_pairs: 4\nstarts: 3\nnull_copies: 19\nnull_pairs: 2\nnull_starts: 2\nk_max: 5\n"
MARKETS = {
    "de": ("EUR", "Europe/Berlin", ","),
    "pl": ("PLN", "Europe/Warsaw", "."),
    "broken": ("EUR", "Europe/Paris", "."),
}


def write_market(folder: Path, name: str, currency: str, zone: str, decimal: str, seed: int) -> None:
    """A generated shop as a market's files, with its own currency, zone and way of writing numbers."""
    facts = {"name": f"Shop {name}", "currency": currency, "time_zone": zone, "identifiers": "pseudonymous",
             "analysis_basis": f"generated for {name}", "extracted_on": "2026-01-01"}  # fmt: skip
    text = "".join(f'{key} = "{value}"\n' for key, value in facts.items())
    (folder / name).mkdir()
    for table, content in generate_shop(400, seed).tables.items():
        if name == "broken" and table == "transactions":
            content["amount"] = content["amount"].astype("object").where(content.index % 3 > 0, "n/a")
        content.to_csv(folder / name / f"{table}.csv", index=False, sep=";", decimal=decimal)
        columns = [column for column in content.columns if column not in ("age_band", "region")]
        text += f'[{table}]\npath = "{table}.csv"\ndelimiter = ";"\ndecimal = "{decimal}"\n'
        text += "".join(f'{column} = "{column}"\n' for column in columns)
    (folder / name / "source.toml").write_text(text, encoding="utf-8")
    (folder / f"{name}.yaml").write_text(f"source: {name}/source.toml\nmap_max_rows: 200\n", encoding="utf-8")


@pytest.fixture(scope="session")
def markets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("markets")
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    for number, (name, how) in enumerate(MARKETS.items()):
        write_market(folder, name, *how, seed=40 + number)
    return folder


@pytest.fixture(scope="session")
def words(markets: Path) -> list[str]:
    return ["batch", str(markets / "base.yaml"), *(str(markets / f"{name}.yaml") for name in MARKETS)]


@pytest.fixture(scope="session")
def first(segmentkit: Command, words: list[str], outputs: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    done = segmentkit(*words, "--run", "first", "--jobs", "2")
    return outputs / "first", done


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def tables_of(folder: Path) -> dict[str, bytes]:
    """Every table of every market, but the map, whose coordinates nothing may depend on."""
    found = [path for path in folder.rglob("tables/*.parquet") if path.stem not in ("segment_map", "kpi_history")]
    found += folder.rglob("model.json")
    assert len(found) > 50
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_one_market_fails_alone_and_is_said_last(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = first
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert "broken failed (exit 5)" in last
    assert "the others are whole" in last
    assert manifest(folder)["exit_codes"] == {"de": 0, "pl": 0, "broken": 5}
    for market in ("de", "pl"):
        assert manifest(folder / market)["status"] == "ok"
        assert (folder / market / "report" / "index.html").is_file()


def test_each_market_has_its_own_currency_zone_and_basis(first: tuple[Path, Any]) -> None:
    compared = pd.read_parquet(first[0] / "tables" / "comparison.parquet").set_index("market")
    assert list(compared.index) == ["de", "pl"]
    for market, (currency, zone, _) in list(MARKETS.items())[:2]:
        row = compared.loc[market]
        assert (row["currency"], row["time_zone"], row["basis"]) == (currency, zone, f"generated for {market}")
        sold = generate_shop(400, 40 + list(MARKETS).index(market)).tables["transactions"]["amount"].sum()
        assert row["sales"] == pytest.approx(sold, abs=0.005)


def test_the_page_compares_the_markets_that_are_whole(first: tuple[Path, Any], outputs: Path) -> None:
    page = (first[0] / "index.html").read_text(encoding="utf-8")
    assert "2 markets compared" in page
    assert "Not whole, and left out here: broken" in page
    assert "PLN" in page
    aligned = pd.read_parquet(first[0] / "tables" / "alignment.parquet")
    both = aligned[aligned["market"] == "pl"].dropna(subset=["market_key"])
    assert len(both) >= 3  # the same four kinds of customers buy in both
    assert 'href="first/index.html"' in (outputs / "index.html").read_text(encoding="utf-8")


def test_killed_half_way_it_leaves_nobody_behind_and_resumes_to_the_same_tables(
    first: tuple[Path, Any], words: list[str], segmentkit: Command, outputs: Path
) -> None:
    folder = outputs / "halted"
    running = subprocess.Popen([sys.executable, "-m", "segmentkit", *words, "--run", "halted", "--jobs", "2"],
                               stdout=subprocess.DEVNULL, env=os.environ)  # fmt: skip
    done = folder / "de" / "tables" / "features.parquet"
    deadline = time.monotonic() + 120
    while not done.is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    started = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGKILL)
    running.wait()
    _, alive = psutil.wait_procs(started, timeout=15)
    assert done.is_file()
    assert len(started) > 2
    assert alive == []
    again = segmentkit(*words, "--run", "halted", "--jobs", "2", "--resume")
    assert again.returncode == 1, again.stdout + again.stderr
    log = (folder / "de.log").read_text(encoding="utf-8")
    assert "01_data_collection  unchanged since it ended well; skipped" in log
    assert "03_clustering  ok" in log
    # the same batch twice: the same tables
    assert tables_of(folder) == tables_of(first[0])
    whole = segmentkit(*words, "--run", "halted", "--jobs", "2", "--resume")
    assert whole.returncode == 1
    skipped = (folder / "pl.log").read_text(encoding="utf-8").split("run halted/pl:")[-1]
    assert skipped.count("skipped") == 7


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_on_a_dask_cluster_with_one_fit_for_all(
    words: list[str], segmentkit: Command, outputs: Path, scheduler: str
) -> None:
    done = segmentkit(*words[:4], "--run", "pooled", "--compare", "pooled", "--engine", "dask", scheduler)
    assert done.returncode == 0, done.stdout + done.stderr
    models = [json.loads((outputs / "pooled" / m / "model.json").read_text(encoding="utf-8")) for m in ("de", "pl")]
    assert models[0]["centroids"] == models[1]["centroids"]
    assert models[0]["keys"] == models[1]["keys"]
    assert models[0]["means"] != models[1]["means"]
    aligned = pd.read_parquet(outputs / "pooled" / "tables" / "alignment.parquet")
    assert (aligned["key"] == aligned["market_key"]).all()
    page = (outputs / "pooled" / "de" / "report" / "record_03_clustering.html").read_text(encoding="utf-8")
    assert "One fit for 2 markets (de, pl) is applied" in page


def order(folder: Path, **more: Any) -> batch.BatchOrder:
    given: dict[str, Any] = {"run": "unused", "markets": (str(folder / "de.yaml"), str(folder / "pl.yaml"))} | more
    return batch.BatchOrder(base=folder / "base.yaml", **given)


def refuse(*_: Any) -> Any:
    raise AssertionError("nothing may start")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"compare": "like"}, "--anchor"),
        ({"compare": "like", "anchor": "de"}, "pl (PLN)"),
        ({"markets": ("nowhere.yaml",)}, "nowhere.yaml"),
        ({"run": "a/b"}, "slash"),
        ({"markets": ("base.yaml",)}, "no source is stated"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    more: dict[str, Any], told: str, markets: Path, monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    monkeypatch.setattr(batch, "_run_market", refuse)
    if "markets" in more:
        more = more | {"markets": tuple(str(markets / one) for one in more["markets"])}
    with pytest.raises(ParameterError, match=told.replace("(", r"\(").replace(")", r"\)")):
        batch.run_batch(order(markets, **more), refuse, refuse)
    assert not (outputs / "unused").exists()


def test_a_misspelt_parameter_names_its_file(markets: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "es.yaml"
    wrong.write_text(f"source: {markets / 'de' / 'source.toml'}\nstart: 3\n", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"es\.yaml: no parameter 'start'.*did you mean"):
        batch.run_batch(order(markets, markets=(str(wrong),)), refuse, refuse)


def test_like_runs_the_anchor_first_and_applies_it_to_the_rest(
    markets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    write_market(tmp_path, "at", "EUR", "Europe/Vienna", ".", 50)
    ran: list[tuple[str, list[str]]] = []

    def noted(name: str, words: list[str], environment: dict[str, str], log: Path) -> tuple[str, int, float]:
        ran.append((name, words))
        return name, 0, 0.1

    monkeypatch.setattr(batch, "_run_market", noted)
    asked = order(markets, run="liked", compare="like", anchor="de",
                  markets=(str(tmp_path / "at.yaml"), str(markets / "de.yaml")))  # fmt: skip
    assert batch.run_batch(asked, refuse, lambda folder, whole, compare: folder / "index.html") == 0
    assert [name for name, _ in ran] == ["de", "at"]
    assert not any("like=" in word for word in ran[0][1])
    assert "like=liked/fits/de" in ran[1][1]
    assert not (outputs / "liked" / "fits" / "de" / "tables").exists()  # the fit is lent, not the customers


@pytest.mark.parametrize(
    ("compare", "failing", "codes", "told"),
    [
        ("pooled", "pl", {"de": 1, "pl": 5}, "a pooled fit needs two markets"),
        ("like", "de", {"de": 5, "pl": 5}, "pl failed (exit 5): it was not run"),
    ],
)
def test_what_builds_on_a_market_that_failed_is_not_called_whole(
    compare: str, failing: str, codes: dict[str, int], told: str, markets: Path, outputs: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def noted(name: str, words: list[str], environment: dict[str, str], log: Path) -> tuple[str, int, float]:
        return name, 5 * (name == failing), 0.1

    monkeypatch.setattr(batch, "_run_market", noted)
    monkeypatch.setattr(batch, "_check_currencies", lambda *_: None)
    asked = order(markets, run=f"built-{compare}", compare=compare, anchor="de")
    assert batch.run_batch(asked, refuse, refuse) == 1
    assert manifest(outputs / f"built-{compare}")["exit_codes"] == codes
    assert told in capsys.readouterr().out


def test_a_pooled_fit_is_made_anew_when_its_settings_change(tmp_path: Path) -> None:
    fits: list[int] = []
    paths = {}
    for market in ("de", "pl"):
        (tmp_path / market / "tables").mkdir(parents=True)
        paths[market] = tmp_path / market / "tables" / "features.parquet"
        paths[market].write_bytes(market.encode())
        seen = {"02_exploratory_analysis": {"start": "2025-01-01", "as_of": "2025-07-01", "days": 181}}
        (tmp_path / market / "metrics.json").write_text(json.dumps(seen), encoding="utf-8")

    def pool(_: Any, settings: Any) -> dict[str, dict[str, Any]]:
        fits.append(settings["k_max"])
        return {market: {"choice": "4 segments"} for market in paths}

    progress = batch.Progress(tmp_path / "log.jsonl")
    for k_max in (6, 6, 5):
        batch._save_pooled(tmp_path, paths, pool, {"k_max": k_max, "seed": 7}, progress)
    assert fits == [6, 5]
    assert json.loads((tmp_path / "fits" / "de" / "model.json").read_text(encoding="utf-8"))["days"] == 181


def test_cores_and_memory_are_shared_out(markets: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segmentkit.machinery import threads

    monkeypatch.setattr(batch, "worker_count", lambda: 8)
    crew = batch._Crew(outputs / "crew", order(markets, jobs=4), 8)
    assert crew.environment["SEGMENTKIT_WORKERS"] == "2"
    # a machine with memory to spare gives every market as much as the engine takes
    monkeypatch.setattr(threads, "ENGINE_MEGABYTES", 2**20)
    alone = threads.duckdb_memory_limit()
    for name, value in crew.environment.items():
        monkeypatch.setenv(name, value)
    shared = threads.duckdb_memory_limit()
    assert int(shared.removesuffix("MB")) < int(alone.removesuffix("MB"))

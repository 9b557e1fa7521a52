"""The month after: the same segments on new data, re-fits that keep what lives on, and old runs left alone."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from light import CHANGED, LIGHT, Command

ORDERS = """name = "Planted"
currency = "EUR"
time_zone = "Europe/Berlin"
identifiers = "pseudonymous"
analysis_basis = "generated data, no persons"
extracted_on = "2026-01-01"
[transactions]
path = "orders.csv"
customer_id = "customer"
order_id = "order"
ordered_at = "day"
amount = "amount"
[rules]
"Small baskets" = "basket_value < 20"
"Not in the last month" = "recency_days > 30"
"""


def metrics(run: Path, stage: str) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))[stage]


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(run / "tables" / f"{name}.parquet")


def hashes(run: Path) -> dict[str, str]:
    files = [path for path in run.rglob("*") if path.is_file()]
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="session")
def next_run(segmentkit: Command, changed_run: Path, outputs: Path) -> tuple[Path, dict[str, str]]:
    """The run of eleven days later, like the one before; and what the one before held until then."""
    before = hashes(changed_run)
    done = segmentkit("run", "--run", "next", "--like", "changed", "-p", "as_of=2025-12-31")
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs / "next", before


def test_the_month_after_keeps_keys_and_names(next_run: tuple[Path, dict[str, str]], changed_run: Path) -> None:
    now, then = metrics(next_run[0], "03_clustering"), metrics(changed_run, "03_clustering")
    assert list(now["names"]) == list(then["names"])
    assert now["names"] == then["names"]
    assert now["names"]["B"] == "Regulars"
    assert now["decided_by"] == "earlier run"
    assert set(table(next_run[0], "identity")["fate"]) == {"kept"}
    models = [json.loads((run / "model.json").read_text(encoding="utf-8")) for run in (changed_run, next_run[0])]
    assert models[0]["centroids"] == models[1]["centroids"]
    assert models[0]["lambdas"] == models[1]["lambdas"]


def test_the_run_before_is_left_as_it_was(next_run: tuple[Path, dict[str, str]], changed_run: Path) -> None:
    assert hashes(changed_run) == next_run[1]


def test_parameters_are_taken_over_but_the_day_is_stated(
    next_run: tuple[Path, dict[str, str]], segmentkit: Command
) -> None:
    taken = json.loads((next_run[0] / "manifest.json").read_text(encoding="utf-8"))["stages"]["03_clustering"]
    assert taken["parameters"]["stability_floor"] == CHANGED["stability_floor"]
    assert taken["parameters"]["like"] == "changed"
    assert metrics(next_run[0], "02_exploratory_analysis")["days"] == 700
    refused = segmentkit("run", "--run", "undated", "--like", "changed")
    assert refused.returncode == 2
    assert "2025-12-20" in refused.stderr
    assert "as_of" in refused.stderr


def test_page_one_says_what_changed_in_customers_and_money(
    next_run: tuple[Path, dict[str, str]], changed_run: Path
) -> None:
    seen = metrics(next_run[0], "07_monitoring")
    page = (next_run[0] / "report" / "index.html").read_text(encoding="utf-8")
    then, now = (table(run, "features")["monetary"].sum() for run in (changed_run, next_run[0]))
    assert seen["kind"] == "month"
    assert "What changed since last time?" in page
    assert f"{now - then:+,.2f} EUR" in seen["headline"]
    assert seen["headline"].split("; ")[0] in page
    migrated = table(next_run[0], "migration")
    assert migrated["sales_before"].sum() == pytest.approx(then, abs=0.005)
    assert migrated["sales_now"].sum() == pytest.approx(now, abs=0.005)
    steps = table(next_run[0], "sales_bridge")["amount"]
    assert steps.iloc[:-1].sum() == pytest.approx(steps.iloc[-1], abs=0.005)
    assert seen["advice"] == "keep"  # eleven days in a shop whose customers never change their habits
    assert list(table(next_run[0], "kpi_history")["run"].unique()) == ["changed", "next"]


def test_rules_are_worked_out_anew(next_run: tuple[Path, dict[str, str]], changed_run: Path) -> None:
    for run in (changed_run, next_run[0]):
        joined = table(run, "rule_segments").merge(table(run, "features"), on="customer_id", validate="1:1")
        assert ((joined["segment_key"] == "Bought this week") == (joined["recency_days"] <= 7)).all()
    moved = table(next_run[0], "rule_migration")
    assert moved["customers"].sum() == len(table(next_run[0], "features"))
    assert (moved["from_key"] != moved["to_key"]).any()


def test_the_list_of_runs_links_to_both(next_run: tuple[Path, dict[str, str]], outputs: Path) -> None:
    page = (outputs / "index.html").read_text(encoding="utf-8")
    for run in ("changed", "next"):
        assert f'href="{run}/report/index.html"' in page
        assert (outputs / run / "report" / "index.html").is_file()
    assert page.index('href="next/') < page.index('href="changed/')


def test_other_code_is_said(
    next_run: tuple[Path, dict[str, str]], outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segmentkit.machinery import earlier

    assert earlier.Earlier("changed").code_note == ""
    monkeypatch.setattr(earlier, "library_hash", lambda: "another")
    assert "was made by other code" in earlier.Earlier("changed").code_note


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--like", "nobody"], 4, "no such run"),
        (["--refit"], 2, "--like"),
        (["--run", "changed", "--like", "changed", "-p", "as_of=2025-12-31"], 2, "is the run itself"),
        (["--like", "changed", "-p", "as_of=2025-12-31", "-p", "look_back_days=[900]"], 2, "look_back_days"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str], code: int, told: str, segmentkit: Command, changed_run: Path
) -> None:
    run = [] if "--run" in words else ["--run", f"refused-{len(words)}-{code}"]
    done = segmentkit("run", *run, *words, "--until", "02")
    assert done.returncode == code, done.stdout
    assert told in done.stdout + done.stderr


# --- a split, a merger, a birth and a death ---------------------------------------------------------------


def orders(rng: np.random.Generator, name: str, count: int, rate: float, basket: float, month: str) -> pd.DataFrame:
    """Customers with a frequency and a basket of their own, spread a little; half a year of orders up to a month."""
    start = pd.Timestamp(month) - pd.Timedelta(days=180)
    parts = []
    for number in range(count):
        own = max(2, round(rate * rng.lognormal(0, 0.12)))
        days = np.sort(rng.choice(180, min(own, 180), replace=False))
        amount = np.round(basket * rng.lognormal(0, 0.12) * rng.lognormal(0, 0.1, len(days)), 2)
        customer = f"{name}{number:03d}"
        parts.append(pd.DataFrame({"customer": customer, "day": start + pd.to_timedelta(days, "D"), "amount": amount}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def planted_run(segmentkit: Command, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five groups; half a year later one has split, two have merged, one is gone and one is new."""
    folder, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(12)
    first, second = "2025-06-30", "2025-12-31"
    then = [("stay", 150, 60, 40.0), ("wide", 240, 14, 90.0), ("left", 150, 30, 9.0), ("right", 120, 30, 16.0)]
    now = [("stay", 150, 60, 40.0), ("left", 150, 30, 12.0), ("right", 120, 30, 12.0), ("new", 150, 6, 8.0)]
    parts = [orders(rng, *group, first) for group in [*then, ("dead", 140, 5, 300.0)]]
    parts += [orders(rng, *group, second) for group in now]
    # the wide group keeps its customers and falls apart: two thirds spend more at a time, one third less
    wide = orders(rng, "wide", 240, 14, 90.0, second)
    wide["amount"] *= np.where(wide["customer"] < "wide160", 1.6, 0.5)
    lines = pd.concat([*parts, wide], ignore_index=True).sort_values("day", ignore_index=True)
    lines["order"] = [f"o{number}" for number in range(len(lines))]
    lines.to_csv(folder / "orders.csv", index=False)
    (folder / "planted.toml").write_text(ORDERS, encoding="utf-8")
    settings = ["-p", "features=frequency,basket_value", "-p", "own_k=[5]", "-p", "k_max=6", *LIGHT]
    source = ["-p", f"source={folder / 'planted.toml'}", "-p", "look_back_days=[180]", *settings]
    done = segmentkit("run", "--run", "summer", *source, "-p", f"as_of={first}", "--until", "03")
    assert done.returncode == 0, done.stdout + done.stderr
    decide(outputs / "summer")
    done = segmentkit("run", "--run", "winter", "--like", "summer", "--refit", "-p", f"as_of={second}")
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs / "winter"


DECIDED = {"stay": "two for one; only in June", "dead": "'come back' card"}


def decide(run: Path) -> None:
    """Somebody fills in an offer for two of the segments, in a spreadsheet that writes semicolons."""
    line = json.loads((run / "model.json").read_text(encoding="utf-8"))["lineage"]
    rows = [{"segmentation": line, "segment_key": key_of(run, name), "offer": text} for name, text in DECIDED.items()]
    pd.DataFrame(rows).to_csv(Path(os.environ["SEGMENTKIT_PLAYBOOK"]) / "planted.csv", sep=";", index=False)


def key_of(run: Path, name: str) -> str:
    """The segment that holds most of a planted group."""
    segments = table(run, "segments")
    return str(segments.loc[segments["customer_id"].str.startswith(name), "segment_key"].mode().iloc[0])


def test_a_split_a_merger_a_birth_and_a_death_are_said_as_what_they_are(planted_run: Path, outputs: Path) -> None:
    summer = outputs / "summer"
    fates = table(planted_run, "identity").set_index("segment_key")
    wide, left, right, stay, dead = (key_of(summer, name) for name in ("wide", "left", "right", "stay", "dead"))
    assert len({wide, left, right, stay, dead}) == 5
    assert fates.loc[stay, "fate"] == "kept"
    assert fates.loc[wide, "fate"] == "split"
    assert fates.loc[dead, "fate"] == "gone"
    assert fates.loc[right, "fate"] == "merged"
    assert f"merged into {left}" in fates.loc[right, "sentence"]
    assert fates.loc[key_of(planted_run, "new"), "fate"] == "new"
    off = fates.index[fates["fate"] == "split off"]
    assert len(off) == 1
    assert f"split off from {wide}" in fates.loc[off[0], "sentence"]
    assert not {dead, right} & set(table(planted_run, "segments")["segment_key"])
    model = json.loads((planted_run / "model.json").read_text(encoding="utf-8"))
    assert set(model["retired_keys"]) == {dead, right}


def test_what_people_decided_lives_on_with_its_segment_and_is_parked_when_that_is_gone(
    planted_run: Path, outputs: Path
) -> None:
    kept = pd.read_csv(
        Path(os.environ["SEGMENTKIT_PLAYBOOK"]) / "planted.csv", sep=";", dtype=str, keep_default_na=False
    ).query("offer != ''")
    stay, dead = (key_of(outputs / "summer", name) for name in ("stay", "dead"))
    rows = kept.set_index("segment_key")
    assert rows.loc[stay, ["offer", "status"]].tolist() == [DECIDED["stay"], "in use"]
    assert rows.loc[dead, ["offer", "status"]].tolist() == [DECIDED["dead"], "parked: no such segment now"]
    said = table(planted_run, "playbook").query("status == 'stated'")
    assert said[["segment_key", "element", "claim"]].to_numpy().tolist() == [[stay, "offer", DECIDED["stay"]]]
    assert "1 rows parked" in metrics(planted_run, "06_activation")["mix"]


def test_07_says_exactly_that(planted_run: Path) -> None:
    said = (planted_run / "report" / "record_07_monitoring.html").read_text(encoding="utf-8")
    fates = table(planted_run, "identity")
    for sentence in fates.loc[~fates["fate"].isin(["kept"]), "sentence"]:
        assert sentence in said
    assert (table(planted_run, "migration").query("to_key == 'gone'")["customers"].sum()) == 140
    assert (table(planted_run, "migration").query("from_key == 'new'")["customers"].sum()) == 150
    assert metrics(planted_run, "07_monitoring")["advice"] == "re-fit"

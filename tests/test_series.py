"""The whole series on data with known truth: what was planted must be found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from light import CHANGED, LIGHT, Command
from segmentkit.machinery.parameters import read_parameters
from segmentkit.machinery.paths import notebook_path, notebooks_folder, project_root, stages
from segmentkit.machinery.series import written_tables

TRUTH = project_root() / "data" / "sample"


def metrics(run: Path) -> dict[str, dict]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def manifest(run: Path) -> dict:
    return json.loads((run / "manifest.json").read_text(encoding="utf-8"))


def kinds(run: Path) -> pd.DataFrame:
    segments = pd.read_parquet(run / "tables" / "segments.parquet")
    return segments.merge(pd.read_csv(TRUTH / "truth.csv"), on="customer_id", validate="1:1")


def test_the_run_leaves_everything_it_promises(shop_run: Path) -> None:
    assert sorted(p.stem for p in (shop_run / "notebooks").glob("*.ipynb")) == stages()
    for stage in stages():
        entry = manifest(shop_run)["stages"][stage]
        assert entry["status"] == "ok"
        assert entry["seconds"] > 0
        assert set(entry["outputs"]) == set(written_tables(stage))
        assert all((shop_run / "figures" / f"{name}.png").stat().st_size > 2000 for name in entry.get("figures", {}))
    assert (shop_run / "report" / "index.html").is_file()
    assert {p.name for p in shop_run.iterdir()} >= {"log.jsonl", "model.json", "parameters.yaml", "source.json"}
    assert not list(shop_run.rglob("*.tmp"))


def test_the_true_kinds_are_found_by_the_rule(shop_run: Path) -> None:
    found = kinds(shop_run)
    assert metrics(shop_run)["03_clustering"]["k"] == found["kind"].nunique()
    assert adjusted_rand_score(found["kind"], found["segment_key"]) > 0.9


def test_the_true_kinds_are_found_at_their_number(changed_run: Path) -> None:
    found = kinds(changed_run)
    assert adjusted_rand_score(found["kind"], found["segment_key"]) > 0.9


def test_segment_keys_are_ordered_by_value(shop_run: Path) -> None:
    value = pd.read_parquet(shop_run / "tables" / "segment_value.parquet").set_index("segment_key").drop(index="all")
    assert list(value.sort_values("sales_per_customer", ascending=False).index) == sorted(value.index)


def test_the_planted_net_benefit_lies_in_the_interval(shop_run: Path) -> None:
    planted = json.loads((TRUTH / "truth.json").read_text(encoding="utf-8"))["net_benefit_per_mailed_customer"]
    (test,) = metrics(shop_run)["05_roi_measurement"]["tests"]
    overall = next(row for row in test["rows"] if row["segment_key"] == "all")
    assert overall["net_benefit_low"] < planted < overall["net_benefit_high"]
    assert test["ratio_fits"]
    assert "SIMULATED" not in test["title"]


def test_the_simulated_test_is_not_on_another_source(shop_run: Path) -> None:
    assert metrics(shop_run)["05_roi_measurement"]["simulated"] is None
    assert not (shop_run / "figures" / "simulated_test.png").exists()


def test_the_verdict_is_repeatable_on_true_groups(shop_run: Path) -> None:
    assert metrics(shop_run)["04_segment_validation"]["verdict"] == "repeatable cut"


def test_money_reconciles_from_the_file_to_the_segments(shop_run: Path) -> None:
    in_file = pd.read_parquet(TRUTH / "transactions.parquet")["amount"].sum()
    bridge = {row["step"]: row["amount"] for row in metrics(shop_run)["01_data_collection"]["bridge"]}
    value = pd.read_parquet(shop_run / "tables" / "segment_value.parquet").set_index("segment_key")["sales"]
    assert bridge["read from the source"] == pytest.approx(in_file, abs=0.005)
    assert value["all"] == pytest.approx(in_file, abs=0.005)
    assert value.drop("all").sum() == pytest.approx(in_file, abs=0.005)


def test_changing_every_default_changes_every_default() -> None:
    defaults = {
        p.name: p.default for stage in stages() for p in read_parameters(notebook_path(stage)) if p.name != "run"
    }
    # these two name another run; test_months changes them
    assert set(CHANGED) == set(defaults) - {"like", "refit"}
    assert [name for name in CHANGED if defaults[name] == CHANGED[name]] == []


def test_changed_parameters_arrive_where_they_are_used(changed_run: Path) -> None:
    found, entry = metrics(changed_run), manifest(changed_run)["stages"]
    assert found["03_clustering"]["k"] == 4
    assert found["03_clustering"]["decided_by"] == "analyst"
    assert found["02_exploratory_analysis"]["as_of"] == "2025-12-20"
    assert found["04_segment_validation"]["rows_used"] == 900
    assert len(pd.read_parquet(changed_run / "tables" / "segment_map.parquet")) == 400
    assert list(pd.read_parquet(changed_run / "tables" / "k_evidence.parquet")["k"]) == [3, 4, 5, 6]
    for stage in stages():
        given = entry[stage]["parameters"]
        expected = CHANGED | {"like": "", "refit": False}
        assert given == {name: value for name, value in expected.items() if name in given}


def test_the_same_run_again_gives_the_same_bytes(shop_run: Path, segmentkit: Command, outputs: Path) -> None:
    # to 03 from the parameters file; every other table of a run made twice is held in test_batch
    done = segmentkit("run", "--run", "again", "--params", str(shop_run / "parameters.yaml"), "--until", "03")
    assert done.returncode == 0, done.stdout
    again = sorted((outputs / "again" / "tables").glob("*.parquet"))
    assert len(again) > 10
    for table in again:
        if table.stem != "segment_map":
            assert table.read_bytes() == (shop_run / "tables" / table.name).read_bytes(), table.name
    assert (shop_run / "model.json").read_bytes() == (outputs / "again" / "model.json").read_bytes()


def test_a_notebook_runs_by_plain_papermill_after_a_run(shop_run: Path, tmp_path: Path) -> None:
    import papermill

    target, copy = tmp_path / "out.ipynb", shop_run.parent / "by-papermill"
    shutil.copytree(shop_run, copy)
    given = {"run": copy.name, "k_max": 4, "bootstrap_pairs": 2, "starts": 2, "map_max_rows": 200}
    papermill.execute_notebook(
        notebook_path("03_clustering"), target, given, kernel_name="python3", progress_bar=False, cwd=tmp_path
    )
    assert target.is_file()
    assert list(pd.read_parquet(copy / "tables" / "k_evidence.parquet")["k"]) == [2, 3, 4]
    assert manifest(copy)["stages"]["03_clustering"]["status"] == "by hand"


def test_sources_are_never_written_to(shop_run: Path) -> None:
    for notebook in notebooks_folder().glob("*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells)


def test_a_quick_run_says_so_on_every_page(segmentkit: Command, outputs: Path, shop_run: Path) -> None:
    from segmentkit.machinery.manifest import Manifest
    from segmentkit.machinery.report import write_report

    copy = outputs / "quick-copy"
    shutil.copytree(shop_run, copy)
    Manifest(copy).update(quick=True)
    write_report(copy)
    pages = list((copy / "report").glob("*.html"))
    assert len(pages) > 8
    assert all("Quick run, for a first look" in page.read_text(encoding="utf-8") for page in pages)


def test_simulated_figures_say_so_and_stay_off_page_one() -> None:
    rng = np.random.default_rng(5)
    from segmentkit.analysis import simulate

    ids = [f"c{i}" for i in range(400)]
    spent = pd.DataFrame({"customer_id": ids, "sales": rng.gamma(2, 50, 400), "orders": 3})
    segments = pd.DataFrame({"customer_id": ids, "segment_key": ["A", "B"] * 200})
    drawn = simulate.simulate_test(spent, segments, lift=0.2, margin_rate=0.3, cost=1.0, seed=1)
    assert drawn.truth["all"] == pytest.approx(float((spent["sales"] * 0.2 * 0.3 - 1.0).mean()))
    template = (project_root() / "lib/segmentkit/machinery/templates/index.html.j2").read_text(encoding="utf-8")
    assert "simulated" not in template


def test_light_settings_name_real_parameters() -> None:
    known = {p.name for stage in stages() for p in read_parameters(notebook_path(stage))}
    assert {text.partition("=")[0] for text in LIGHT[1::2]} <= known

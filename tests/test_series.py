"""The whole series on data with known truth: what was planted must be found."""

import html
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
# small tables that the sample shop does not have: its purchases carry their own margin, in one currency
# five categories are too few for tastes, and nearly everybody has bought each of them, so nobody is scored
SWITCHED_OFF = {
    "channel_results",
    "crosswalk",
    "margins",
    "exchange_rates",
    "taste_groups",
    "customer_tastes",
    "likely_buyers",
}


def metrics(run: Path) -> dict[str, dict]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def manifest(run: Path) -> dict:
    return json.loads((run / "manifest.json").read_text(encoding="utf-8"))


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(run / "tables" / f"{name}.parquet")


def kinds(run: Path) -> pd.DataFrame:
    segments = pd.read_parquet(run / "tables" / "segments.parquet")
    return segments.merge(pd.read_csv(TRUTH / "truth.csv"), on="customer_id", validate="1:1")


def test_the_run_leaves_everything_it_promises(shop_run: Path) -> None:
    assert sorted(p.stem for p in (shop_run / "notebooks").glob("*.ipynb")) == stages()
    for stage in stages():
        entry = manifest(shop_run)["stages"][stage]
        assert entry["status"] == "ok"
        assert entry["seconds"] > 0
        assert set(entry["outputs"]) == set(written_tables(stage)) - SWITCHED_OFF
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


def planted() -> dict[str, float]:
    truth = json.loads((TRUTH / "truth.json").read_text(encoding="utf-8"))
    return truth["spring_net_benefit_per_customer"] | {"mailed": truth["net_benefit_per_mailed_customer"]}


def test_every_planted_net_benefit_lies_in_its_interval(shop_run: Path) -> None:
    tests = metrics(shop_run)["05_roi_measurement"]["tests"]
    assert {(test["campaign_id"], test["arm"]) for test in tests} == {
        ("spring", "10 % off"),
        ("spring", "free delivery"),
        ("autumn", "mailed"),
    }
    for test in tests:
        overall = next(row for row in test["rows"] if row["segment_key"] == "all")
        assert overall["net_benefit_low"] < planted()[test["arm"]] < overall["net_benefit_high"], test["arm"]
        assert test["ratio_fits"]
        assert "SIMULATED" not in test["title"]
        assert {row["word"] for row in test["rows"]} <= {"scale", "stop", "test more", "cannot tell"}
    assert "over 8 tests" in tests[0]["sentence"], "both offers of a campaign are one family"


def test_a_cost_that_varies_is_counted_one_by_one(shop_run: Path) -> None:
    results = table(shop_run, "test_results").query("segment_key == 'all'").set_index("arm")
    spent = pd.read_csv(TRUTH / "responses.csv").query("outcome == 'cost'").groupby("customer_id")["value"].sum()
    arms = pd.read_csv(TRUTH / "assignments.csv").query("campaign_id == 'spring'").set_index("customer_id")["arm"]
    mean = (spent.reindex(arms.index).fillna(0) + 0.05).groupby(arms).mean()
    for arm in ("10 % off", "free delivery"):
        assert results.loc[arm, "cost"] == pytest.approx(mean[arm])
    assert results.loc["mailed", "cost"] == pytest.approx(1.2)


def test_the_next_campaign_is_planned_and_drawn(shop_run: Path, changed_run: Path) -> None:
    plan, drawn = table(shop_run, "test_plan"), table(shop_run, "next_assignment")
    assert plan["segment_key"].tolist()[-1] == "all"
    assert (plan["detectable_share"].dropna() > 0).all()
    segments = table(shop_run, "segments").set_index("customer_id")["segment_key"]
    assert drawn["customer_id"].tolist() == sorted(segments.index)
    reached = (drawn["arm"] == "reached").groupby(drawn["customer_id"].map(segments)).agg(["sum", "size"])
    assert ((reached["sum"] - 0.8 * reached["size"]).abs() < 1).all(), "the draw is exact inside each segment"
    assert set(table(changed_run, "next_assignment")["arm"]) == {"held back", "a", "b"}


def test_the_funnel_counts_customers_once(shop_run: Path) -> None:
    rates = table(shop_run, "funnel").query("campaign_id == 'spring' and segment_key == 'all'").set_index("rate")
    contacts = pd.read_csv(TRUTH / "contacts.csv").query("campaign_id == 'spring'")
    who = {event: set(own["customer_id"]) for event, own in contacts.groupby("event")}
    clicked = rates.loc["click-through rate (clicked of delivered)"]
    assert (clicked["count"], clicked["of"]) == (len(who["click"]), len(who["delivery"]))
    assert not any("click" in rate for rate in table(shop_run, "funnel").query("campaign_id == 'autumn'")["rate"])


def test_what_a_new_customer_cost_is_what_the_invoices_say(shop_run: Path) -> None:
    cost = table(shop_run, "acquisition_cost").query("by == 'channel'").set_index("channel")["cac"]
    spent = pd.read_csv(TRUTH / "acquisition_costs.csv").groupby("channel")["cost"].sum()
    won = pd.read_csv(TRUTH / "customers.csv")["acquisition_channel"].value_counts()
    for channel in spent.index:
        assert cost[channel] == pytest.approx(spent[channel] / won[channel])


def test_lifetime_value_is_held_against_later_purchases(shop_run: Path) -> None:
    lived = table(shop_run, "lifetime_value").set_index("segment_key")
    assert (lived["sales_low"] < lived["sales"]).all()
    assert (lived["sales"] < lived["sales_high"]).all()
    assert (lived["value"] < lived["sales"]).all(), "a margin of 35 %, discounted"
    assert "BG/NBD" in str(metrics(shop_run)["05_roi_measurement"]["statement"])


def test_nobody_in_the_hold_out_is_in_the_budget(shop_run: Path, changed_run: Path) -> None:
    for run, share in ((shop_run, 0.1), (changed_run, 0.2)):
        budget = table(run, "budget")
        used = budget.groupby("segment_key").agg(contacts=("contacts", "sum"), customers=("customers", "first"))
        assert (used["contacts"] <= (1 - share) * used["customers"]).all()
    assert table(changed_run, "budget")["spent"].sum() <= 900
    assert table(changed_run, "budget")["contacts"].sum() <= 700
    assert metrics(shop_run)["05_roi_measurement"]["budget"]


def test_the_question_comes_first_and_is_answered(shop_run: Path, changed_run: Path) -> None:
    [answer] = metrics(changed_run)["05_roi_measurement"]["answers"]
    row = table(changed_run, "test_results").query("segment_key == 'all'").iloc[0]
    low, high = row["net_benefit_low"], row["net_benefit_high"]
    word = "reached" if low >= 0.5 else "missed" if high < 0.5 else "cannot tell yet"
    assert answer.startswith(f"Campaign autumn, mailed: {word}. ")
    page = (changed_run / "report" / "index.html").read_text(encoding="utf-8")
    assert "Keep the regulars: did it work?" in page
    assert answer in page
    assert metrics(shop_run)["05_roi_measurement"]["answers"] == []


def test_a_finance_reader_finds_every_figure_with_its_source(shop_run: Path) -> None:
    from segmentkit.analysis.finance import SOURCES

    page = (shop_run / "report" / "finance.html").read_text(encoding="utf-8")
    statement = table(shop_run, "money_statement")
    assert set(statement["source"]) <= set(SOURCES)
    assert (statement["basis"].str.len() > 0).all()
    assert all(figure in html.unescape(page) for figure in statement["figure"])
    bridge = {row["step"]: row["amount"] for row in metrics(shop_run)["05_roi_measurement"]["bridge"]}
    assert bridge["read from the source"] == pytest.approx(
        bridge["in the segments"]
        + sum(
            amount
            for step, amount in bridge.items()
            if step.startswith(("set aside", "forgotten", "outside", "customers without"))
        ),
        abs=0.005,
    )


def test_the_simulated_test_is_not_on_another_source(shop_run: Path) -> None:
    assert metrics(shop_run)["05_roi_measurement"]["simulated"] is None
    assert not (shop_run / "figures" / "simulated_test.png").exists()


def test_the_verdict_on_true_groups_is_natural(shop_run: Path) -> None:
    found = metrics(shop_run)["04_segment_validation"]
    assert found["verdict"] == "natural"
    assert all(clause["holds"] for clause in found["clauses"])


def test_page_one_says_in_its_first_paragraph_what_the_data_support(shop_run: Path) -> None:
    page = html.unescape((shop_run / "report" / "index.html").read_text(encoding="utf-8"))
    first = page.partition('<p class="lead">')[2].partition("</p>")[0]
    assert metrics(shop_run)["04_segment_validation"]["marketer"] in first
    assert "Campaigns: " in first


def test_every_segment_page_has_its_rule_with_precision_and_recall(shop_run: Path) -> None:
    rules = pd.read_parquet(shop_run / "tables" / "short_rules.parquet")
    assert rules[["precision", "recall"]].min().min() > 0.8
    for row in rules.itertuples():
        page = html.unescape((shop_run / "report" / f"segment_{row.segment_key}.html").read_text(encoding="utf-8"))
        assert row.rule in page
        assert f"{row.precision:.0%}" in page
        assert f"{row.recall:.0%}" in page


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
    # two name another run, and test_months changes them; the shop has its consents in a table and for one purpose, and
    # sells nothing sensitive (test_viability, test_audience and test_sensitive have these)
    elsewhere = {"like", "refit", "consent_columns", "purpose", "allowed_sensitive"}
    assert set(CHANGED) == set(defaults) - elsewhere
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
        elsewhere = {"like": "", "refit": False, "consent_columns": [], "purpose": "marketing", "allowed_sensitive": []}
        expected = CHANGED | elsewhere
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


# --- activation


def claims(run: Path) -> pd.DataFrame:
    return table(run, "playbook")


def test_every_claim_of_the_playbook_leads_to_a_figure_or_says_that_there_is_none(shop_run: Path) -> None:
    found = claims(shop_run)
    assert set(found["segment_key"]) == set(kinds(shop_run)["segment_key"])
    assert set(found["status"]) >= {"measured", "estimated", "hypothesis", "no evidence"}
    without = found[found["figure"] == ""]
    assert set(without["status"]) <= {"hypothesis", "no evidence", "stated"}
    assert without[without["status"] == "hypothesis"]["claim"].str.contains("ypothesis").all()
    assert without[without["status"] == "no evidence"]["claim"].str.startswith("No evidence").all()
    for key, own in found.groupby("segment_key"):
        page = (shop_run / "report" / f"segment_{key}.html").read_text(encoding="utf-8")
        for row in own.itertuples():
            assert html.escape(row.claim, quote=False).replace("'", "&#39;") in page, row.claim
            if row.figure:
                link = next(one for one in page.split('href="') if one.split('"')[0].endswith(f"#figure-{row.figure}"))
                file, _, place = link.split('"')[0].partition("#")
                assert f'id="{place}"' in (shop_run / "report" / file).read_text(encoding="utf-8")


def test_the_deck_holds_groups_and_no_customer(shop_run: Path) -> None:
    deck = shop_run / "deck"
    page = (deck / "summary.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not [one for one in kinds(shop_run)["customer_id"].head(200) if one in page]
    assert len(list((deck / "slides").glob("*.png"))) >= 4
    sheets = pd.read_excel(deck / "summary.xlsx", sheet_name=None, header=None)
    assert list(sheets) == ["Scorecard", "Money bridge", "Playbook"]
    worth = table(shop_run, "segment_value").set_index("segment_key")
    cells = sheets["Scorecard"].to_numpy().ravel().tolist()
    assert [key for key in worth.index.drop("all") if worth.loc[key, "customers"] not in cells] == []


def test_a_dry_run_writes_nothing_and_says_what_it_would(shop_run: Path) -> None:
    assert not (shop_run / "exports").exists()
    told = metrics(shop_run)["06_activation"]
    assert told["files"].startswith("Dry run: ")
    assert told["written"] is False
    funnel = table(shop_run, "audience_funnel")
    assert (funnel["in_file"] <= funnel["with_consent"]).all()


def test_page_one_says_what_to_do_and_how_far_to_trust_it(shop_run: Path) -> None:
    page = (shop_run / "report" / "index.html").read_text(encoding="utf-8")
    assert "What do we do with each segment?" in page
    told = metrics(shop_run)["06_activation"]
    for sentence in (told["answer"], told["playbook"], told["files"]):
        assert html.escape(sentence, quote=False).replace("'", "&#39;") in page

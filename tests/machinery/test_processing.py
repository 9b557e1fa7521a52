"""The record of processing says what the run noted, that the rest is not stated, and no value of anybody."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from segmentkit.machinery.files import read_json, write_json
from segmentkit.machinery.processing import processing, write_processing
from segmentkit.machinery.sources import Part, Source

FACTS = {"identifiers": "direct", "analysis_basis": "legitimate <b>interest</b>", "currency": "EUR", "time_zone": "UTC",
         "key": "a1b2c3d4", "name": "Shop & Söhne"}  # fmt: skip
HASH = "ab" * 32


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path))
    folder = tmp_path / "may"
    orders = Part("orders.csv", {"customer_id": "Customer", "amount": "Total"}, keys={"email": "Email"})
    people = Part("people.csv", {"customer_id": "Id", "age": "Age"}, attributes={"age": "demographic"})
    source = Source("shop", FACTS, {"transactions": (orders,), "customers": (people,)}, "", {}, ())
    write_json(folder / "source.json", asdict(source))
    read = {"file": "orders.csv", "table": "transactions", "rows": 1234, "used": ["Customer", "Total"],
            "unused": ["Address"], "notes": [], "sha256": HASH}  # fmt: skip
    metrics = {
        "01_data_collection": {"asked": {"objective": "win back"}, "files": [read], "forgotten": 3},
        "06_activation": {"sensitive": "2 categories are refused.", "allowed_sensitive": {"Vitamins": "asked for"}},
    }
    write_json(folder / "metrics.json", metrics)
    outputs = {"transactions": {"rows": 1200, "columns": ["customer_id", "amount"], "sha256": ""},
               "customers": {"rows": 50, "columns": ["customer_id", "age"], "sha256": ""},
               "scorecard": {"rows": 2, "columns": ["table"], "sha256": ""}}  # fmt: skip
    stages = {"01_data_collection": {"outputs": outputs}, "06_activation": {"parameters": {"smallest_group": 50}}}
    code = {"python": "3.11.7", "library_sha256": "ff", "git": {"commit": "abc"}, "versions": {"duckdb": "1.5.6"}}
    write_json(folder / "manifest.json", {"started": "2026-11-22T10:00:00+00:00", "stages": stages, "code": code})
    files = [{"file": "meta/list.csv", "rows": 40}, {"file": "meta/README.md", "rows": None},
             {"file": "hold_out/assignments.csv", "rows": 60}]  # fmt: skip
    sent = {"campaign_id": "next", "day": "2026-11-20", "purpose": "marketing", "files": files}
    write_json(folder / "exports" / "next" / "manifest.json", sent)
    (folder / "tables").mkdir()
    consents = pd.DataFrame({"customer_id": list("abc"), "channel": ["email", "email", "sms"], "purpose": "marketing",
                             "granted": [True, False, True]})  # fmt: skip
    consents.to_parquet(folder / "tables" / "consents.parquet")
    entries = [{"day": "2026-11-01", "source": source, "ids": ["x"]} for source in ("", "shop", "other")]
    write_json(tmp_path / "tombstones.json", {"forgotten": entries})
    return folder


def test_the_record_holds_what_the_run_noted(run: Path) -> None:
    found = processing(run)
    plain: dict[str, Any] = {
        "run": "may", "day": "2026-11-22", "source": "Shop & Söhne", "purpose": "win back", "key": "a1b2c3d4",
        "identifiers": "direct", "basis": FACTS["analysis_basis"], "extracted_on": "not stated", "forgotten": 3,
        "special": ["2 categories are refused."], "allowed": {"Vitamins": "asked for"},
        "smallest": {"smallest_group": 50}, "tombstones": ["2026-11-01", "2026-11-01"],
        "recipients": [{"campaign": "next", "platform": "meta", "file": "list.csv", "rows": 40, "day": "2026-11-20",
                        "purpose": "marketing"}],
        "consents": [{"channel": "email", "purpose": "marketing", "rows": 2, "granted": 1},
                     {"channel": "sms", "purpose": "marketing", "rows": 1, "granted": 1}],
    }  # fmt: skip
    assert {name: found[name] for name in plain} == plain
    assert [(one["file"], one["rows"], one["sha256"], one["unused"]) for one in found["files"]] == [
        ("orders.csv", 1234, HASH, ["Address"])
    ]
    assert [(one["column"], one["kind"]) for one in found["identity_columns"]] == [
        ("Email", "email"),
        ("Customer", "own id"),
        ("Id", "own id"),
    ]
    assert {one["table"]: (one["columns"], one["attributes"]) for one in found["data"]} == {
        "transactions": (["customer_id", "amount"], {}),
        "customers": (["customer_id"], {"demographic": ["age"]}),
    }
    assert found["versions"]["duckdb"] == "1.5.6"


def test_the_page_and_the_data_are_written_and_text_is_text(run: Path) -> None:
    write_processing(run)
    page = (run / "report" / "processing.html").read_text(encoding="utf-8")
    assert read_json(run / "processing.json") == processing(run)
    assert "legitimate &lt;b&gt;interest&lt;/b&gt;" in page
    assert "Shop &amp; Söhne" in page
    for told in ("a1b2c3d4", "win back", "1,234", HASH[:16], "Address", "Vitamins", "meta", "purge --older-than"):
        assert told in page


def test_what_nobody_noted_is_not_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENTKIT_OUTPUTS", str(tmp_path))
    write_json(tmp_path / "broken" / "manifest.json", {"stages": {"01_data_collection": {"status": "failed"}}})
    write_processing(tmp_path / "broken")
    found = processing(tmp_path / "broken")
    stated = ("source", "purpose", "basis", "identifiers", "forgotten")
    assert {found[name] for name in stated} == {"not stated"}
    assert (found["files"], found["recipients"], found["consents"]) == ([], [], [])
    page = (tmp_path / "broken" / "report" / "processing.html").read_text(encoding="utf-8")
    assert "no notebook of this run that looks for them has ended" in page


def test_a_run_kept_before_sources_had_parts_is_read(run: Path) -> None:
    part = {"path": "orders.csv", "columns": {"amount": {"expr": "a + b"}}, "options": {}, "lookup": [], "items": []}
    source = {"key": "old", "facts": {}, "tables": {"transactions": part}, "folder": ""}
    write_json(run / "source.json", source)
    write_json(run / "metrics.json", {"01_data_collection": {"tables": [{"table": "transactions", "rows_read": 9}]}})
    assert processing(run)["files"] == [
        {
            "file": "orders.csv",
            "table": "transactions",
            "rows": 9,
            "sha256": "not stated",
            "used": ["a + b"],
            "unused": [],
        }
    ]

"""The report: page one in a marketer's words, a page a segment, a record a notebook. Opens offline, no scripts."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segmentkit import __version__
from segmentkit.display.style import money as money_text
from segmentkit.display.style import percent as share_text
from segmentkit.machinery.cards import WORDS, cards_of, next_steps, supported
from segmentkit.machinery.files import read_json, write_text
from segmentkit.machinery.manifest import Manifest
from segmentkit.machinery.output_scan import check_outputs
from segmentkit.machinery.processing import write_processing
from segmentkit.machinery.record import TEMPLATES, notebook_body
from segmentkit.machinery.series import run_name

STAGES = {
    "data": "01_data_collection",
    "explored": "02_exploratory_analysis",
    "clustered": "03_clustering",
    "validated": "04_segment_validation",
    "measured": "05_roi_measurement",
    "activated": "06_activation",
    "monitored": "07_monitoring",
}
# where the money bridge rests; the steps between are what was taken off
STOPS = ("in the files", "ledger control total", "read from the source", "analysed", "in the window", "in the segments")


def write_report(folder: Path) -> Path:
    """Write ``report/`` of a run from its metrics, tables, figures and executed notebooks.

    A run that failed gets a report too: it says so first, and shows what there is.

    Returns:
        The path of page one.

    Raises:
        PrivacyStop: a file of the run names somebody; there is no report then.
    """
    report = folder / "report"
    for old in report.glob("*.html"):
        old.unlink()
    check_outputs(folder)
    manifest, found = Manifest(folder).read(), stage_metrics(folder)
    common = _common(folder, manifest, found)
    render = _renderer(common)
    segments = segment_rows(found)
    has_pages = bool(found["measured"].get("value"))
    where = _where_shown(manifest)
    personas = {card["segment_key"]: card for card in found["validated"].get("personas", [])}
    for segment in segments if has_pages else []:
        more = {"persona": personas.get(segment["key"]), **_details(folder, segment["key"])}
        more["playbook"] = _playbook(folder, segment["key"], found["activated"], where)
        page = render("segment.html.j2", title=segment["name"], s=segment, count=len(segments), **more)
        write_text(report / f"segment_{segment['key']}.html", page)
    _write_records(folder, manifest, render)
    if (measured := found["measured"]).get("statement"):
        rows, bridge = measured["statement"], measured["bridge"]
        page = render("finance.html.j2", title="Money", rows=rows, bridge=bridge, stops=STOPS, told=measured["sources"])
        write_text(report / "finance.html", page)
    page_one = render(
        "index.html.j2",
        title="Page one",
        figures=_figures(folder, manifest),
        segments=segments,
        has_pages=has_pages,
        not_possible=not_possible(manifest),
        supported=supported(found, common["money"]),
        cards=cards_of(found, common["money"]),
        next_steps=next_steps(found, common["money"]),
        words=WORDS,
        explored=found["explored"],
        readings=found["measured"].get("readings", []),
        tests=found["measured"].get("tests", []),
        not_proven=found["measured"].get("not_proven", []),
        measured=found["measured"],
        stages=_stages(folder, manifest),
        code=manifest["code"],
        notes=[*found["clustered"].get("name_notes", []), found["clustered"].get("code_note", "")],
        monitored=found["monitored"],
        seed=manifest.get("seed"),
    )
    write_text(report / "index.html", page_one)
    write_processing(folder)
    return report / "index.html"


def stage_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """Metrics of a run by what each stage is about; empty where a stage has not run."""
    metrics = read_json(folder / "metrics.json")
    return {name: metrics.get(stage, {}) for name, stage in STAGES.items()}


def render_alone(template: str, **values: Any) -> str:
    """A page that belongs to no single run."""
    return _renderer({"style": (TEMPLATES / "style.css").read_text(encoding="utf-8")})(template, **values)


def _renderer(common: dict[str, Any]) -> Callable[..., str]:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)

    def render(template: str, **values: Any) -> str:
        return environment.get_template(template).render(**common, **values)

    return render


def _common(folder: Path, manifest: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    source = read_json(folder / "source.json")
    facts = source.get("facts", {})
    currency = facts.get("currency", "")
    failed = [
        entry.get("message", "") for entry in manifest.get("stages", {}).values() if entry.get("status") == "failed"
    ]
    keys = [row["key"] for row in segment_rows(found)] if found["measured"].get("value") else []
    groups = {
        "": [
            *([("finance.html", "Money")] if found["measured"].get("statement") else []),
            ("processing.html", "Data use"),
        ],
        "Segments": [(f"segment_{key}.html", key) for key in keys],
        "Records": [(f"record_{path.stem}.html", path.stem[:2]) for path in _executed(folder)],
    }
    return {
        "run": run_name(folder),
        "version": __version__,
        "started": manifest.get("started", ""),
        "quick": manifest.get("quick", False),
        "failed": failed[0] if failed else "",
        "source": facts.get("name", source.get("key", "")),
        "note": facts.get("note", ""),
        "verdict": found["validated"].get("verdict", ""),
        "groups": {name: pages for name, pages in groups.items() if pages},
        "style": (TEMPLATES / "style.css").read_text(encoding="utf-8"),
        "currency": currency,
        "money": lambda value: "–" if value is None else money_text(value, currency),
        "pct": _percent,
        "number": lambda value: "–" if pd.isna(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}",
    }


def _percent(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else share_text(value)


def segment_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a segment: value where 05 has run, otherwise size, name, markers and, where 04 has run, the checks."""
    names, checks = found["clustered"].get("names", {}), found["validated"].get("segments", [])
    by_key = {row["segment_key"]: row for row in checks}
    rows = []
    for value in found["measured"].get("value") or _sizes(found["clustered"]):
        key = value["segment_key"]
        if key in names:
            nothing = {"word": "", "reached_share": None, "stability": None, "fails": ""}
            row = nothing | by_key.get(key, {}) | value
            rows.append(row | {"key": key, "name": names[key], "markers": found["clustered"]["markers"][key]})
    return rows


def _sizes(clustered: dict[str, Any]) -> list[dict[str, Any]]:
    sizes = clustered.get("sizes", {})
    unknown = dict.fromkeys(("sales", "share_of_sales", "sales_per_customer"))
    return [
        {"segment_key": key, "customers": n, "share_of_customers": n / sum(sizes.values()), **unknown}
        for key, n in sorted(sizes.items())
    ]


def not_possible(manifest: dict[str, Any]) -> list[str]:
    """Stages that the source's tables do not allow, in one sentence; none where all could run."""
    left = [(stage, one) for stage, one in manifest.get("stages", {}).items() if one.get("status") == "not possible"]
    if not left:
        return []
    return [f"Not possible with these files: {', '.join(stage for stage, _ in left)}; {left[0][1]['message']}."]


def _details(folder: Path, key: str) -> dict[str, Any]:
    def rows(name: str) -> pd.DataFrame:
        table = pd.read_parquet(folder / "tables" / f"{name}.parquet")
        return table.astype(object).where(table.notna(), None)

    features, attributes, rates = rows("profiles"), rows("segment_attributes"), rows("response_rates")
    own = features[features["segment_key"] == key]
    own = own.reindex(own["difference"].abs().sort_values(ascending=False).index)
    mine, rules = attributes[attributes["segment_key"] == key], rows("short_rules")
    return {
        "rules": rules[rules["segment_key"] == key].to_dict("records"),
        "features": own.to_dict("records"),
        "attributes": mine.to_dict("records"),
        "rates": rates[rates["segment_key"] == key].to_dict("records"),
    }


def _where_shown(manifest: dict[str, Any]) -> dict[str, str]:
    """Page and place of every figure, by name."""
    stages = manifest.get("stages", {}).items()
    return {name: f"record_{stage}.html#figure-{name}" for stage, entry in stages for name in entry.get("figures", {})}


def _playbook(folder: Path, key: str, activated: dict[str, Any], where: dict[str, str]) -> list[dict[str, Any]]:
    """Claims on a segment, each with the place of its figure; none where 06 has not run."""
    path = folder / "tables" / "playbook.parquet"
    if not activated or not path.is_file():
        return []
    rows = pd.read_parquet(path).query("segment_key == @key").to_dict("records")
    return [row | {"link": where.get(row["figure"], "")} for row in rows]


def _executed(folder: Path) -> list[Path]:
    return sorted((folder / "notebooks").glob("*.ipynb"))


def _write_records(folder: Path, manifest: dict[str, Any], render: Callable[..., str]) -> None:
    for notebook in _executed(folder):
        entry = manifest.get("stages", {}).get(notebook.stem, {})
        page = render(
            "record_page.html.j2",
            title=notebook.stem,
            stage=notebook.stem,
            status=entry.get("status", "unknown"),
            seconds=entry.get("seconds"),
            body=notebook_body(notebook),
        )
        write_text(folder / "report" / f"record_{notebook.stem}.html", page)


def _figures(folder: Path, manifest: dict[str, Any]) -> dict[str, dict[str, str]]:
    found = {}
    for entry in manifest.get("stages", {}).values():
        for name, figure in entry.get("figures", {}).items():
            path = folder / "figures" / f"{name}.png"
            if path.is_file():
                found[name] = {"alt": figure["alt"], "data": base64.b64encode(path.read_bytes()).decode()}
    return found


def _stages(folder: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    executed = {path.stem for path in _executed(folder)}
    return [
        {
            "stage": stage,
            "file": f"record_{stage}.html" if stage in executed else "",
            "status": entry.get("status", ""),
            "seconds": entry.get("seconds"),
            "peak_memory_mb": entry.get("peak_memory_mb"),
        }
        for stage, entry in sorted(manifest.get("stages", {}).items())
    ]

"""``outputs/index.html``: every run and batch, newest first."""

from pathlib import Path
from typing import Any

from segmentkit.machinery.files import read_json, write_text
from segmentkit.machinery.paths import outputs_folder
from segmentkit.machinery.series import run_name


def write_runs_page() -> Path:
    """Write the list of runs anew from what lies under ``outputs``."""
    from segmentkit.machinery.report import render_alone

    folder = outputs_folder()
    found = [*folder.glob("*/manifest.json"), *folder.glob("*/*/manifest.json")]
    rows = [row for path in found if (row := _row(path.parent, folder))]
    rows.sort(key=lambda row: (row["started"], row["run"]), reverse=True)
    write_text(folder / "index.html", render_alone("runs.html.j2", rows=rows))
    return folder / "index.html"


def _row(run: Path, folder: Path) -> dict[str, Any] | None:
    """What one line says; None for what is neither a run nor a batch."""
    try:
        manifest, metrics = read_json(run / "manifest.json"), read_json(run / "metrics.json")
    except ValueError:  # a file that is no JSON is no run
        return None
    page = "index.html" if "batch" in manifest else "report/index.html"
    if "started" not in manifest or not (run / page).is_file():
        return None
    seen, cut = metrics.get("02_exploratory_analysis", {}), metrics.get("03_clustering", {})
    since, source = metrics.get("07_monitoring", {}), read_json(run / "source.json")
    told = f"{manifest.get('compare')} fits, {len(manifest['markets'])} markets" if "batch" in manifest else ""
    return {
        "run": run_name(run),
        "page": (run / page).relative_to(folder).as_posix(),
        "started": str(manifest["started"])[:16].replace("T", " "),
        "source": told or source.get("facts", {}).get("name", source.get("key", "")),
        "until": seen.get("as_of", ""),
        "customers": seen.get("customers"),
        "segments": cut.get("k"),
        "verdict": metrics.get("04_segment_validation", {}).get("verdict", ""),
        "like": cut.get("like", ""),
        "advice": since.get("advice", "") if since.get("kind") == "month" else "",
        "status": manifest.get("status", "running") + (", quick" if manifest.get("quick") else ""),
    }

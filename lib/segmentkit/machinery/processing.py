"""The record of processing: one page a run on what was done with whose data, on which basis, and where it went.

Taken from what the run noted of itself. What nobody stated is said to be not stated, never guessed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit import __version__
from segmentkit.contracts import TABLES
from segmentkit.machinery.files import read_json, write_json, write_text
from segmentkit.machinery.manifest import Manifest
from segmentkit.machinery.paths import outputs_folder
from segmentkit.machinery.series import run_name

NOT_STATED = "not stated"
READING = "01_data_collection"


def write_processing(folder: Path) -> None:
    """Write ``processing.json`` and ``report/processing.html`` of a run; one that broke off gets them too."""
    from segmentkit.machinery.report import render_alone

    record = processing(folder)
    write_json(folder / "processing.json", record)
    write_text(folder / "report" / "processing.html", render_alone("processing.html.j2", r=record))


def processing(folder: Path) -> dict[str, Any]:
    """The record as plain data: counts, names of columns and files, hashes; no value of any customer."""
    manifest, metrics, source = Manifest(folder).read(), read_json(folder / "metrics.json"), _source(folder)
    facts, read = source["facts"], metrics.get(READING, {})
    stages = manifest.get("stages", {})
    parameters = {name: value for stage in stages.values() for name, value in stage.get("parameters", {}).items()}
    return {
        "run": run_name(folder),
        "quick": bool(manifest.get("quick")),
        "day": str(manifest.get("started", NOT_STATED))[:10],
        "source": facts.get("name") or source["key"] or NOT_STATED,
        "purpose": read.get("asked", {}).get("objective") or NOT_STATED,
        "basis": facts.get("analysis_basis") or NOT_STATED,
        "identifiers": facts.get("identifiers") or NOT_STATED,
        "key": facts.get("key") or ("needed and not stated" if _identity_columns(source) else "none needed"),
        "extracted_on": facts.get("extracted_on") or NOT_STATED,
        "files": _files(read, source),
        "identity_columns": _identity_columns(source),
        "data": list(_data(stages.get(READING, {}).get("outputs", {}), source)),
        "addresses": sorted({column for part in source["addresses"] for column in part["columns"]}),
        "special": [told for stage in metrics.values() if (told := stage.get("sensitive")) and isinstance(told, str)],
        "allowed": {n: why for stage in metrics.values() for n, why in stage.get("allowed_sensitive", {}).items()},
        "smallest": {name: value for name, value in parameters.items() if name.startswith("smallest_")},
        "recipients": list(_recipients(folder)),
        "consents": _consents(folder),
        "forgotten": read.get("forgotten", NOT_STATED),
        "tombstones": _tombstones(source["key"]),
        "versions": {
            "segmentkit": __version__,
            "library": manifest.get("code", {}).get("library_sha256") or NOT_STATED,
            "commit": manifest.get("code", {}).get("git", {}).get("commit") or NOT_STATED,
            "python": manifest.get("code", {}).get("python") or NOT_STATED,
            **manifest.get("code", {}).get("versions", {}),
        },
    }


def _source(folder: Path) -> dict[str, Any]:
    """The source as it was kept; each table as a list of parts, as runs of before have it too."""
    content = {"key": "", "facts": {}, "tables": {}, "addresses": None} | read_json(folder / "source.json")

    def parts(stored: Any) -> list[dict[str, Any]]:
        return [stored] if isinstance(stored, dict) else list(stored or [])

    tables = {name: parts(stored) for name, stored in content["tables"].items()}
    return content | {"tables": tables, "addresses": parts(content["addresses"])}


def _files(read: Mapping[str, Any], source: Mapping[str, Any]) -> list[dict[str, Any]]:
    """File, table, rows, hash, columns used and not read; by the source's description alone where 01 noted none."""
    if noted := read.get("files"):
        return [{"used": [], "unused": [], **one, "sha256": one.get("sha256") or NOT_STATED} for one in noted]
    rows = {one["table"]: one["rows_read"] for one in read.get("tables", [])}
    return [
        {
            "file": part["path"],
            "table": table,
            "rows": rows.get(table) if len(parts) == 1 else None,
            "sha256": NOT_STATED,
            "used": sorted({str(_spelt(column)) for column in part["columns"].values()}),
            "unused": [],
        }
        for table, parts in source["tables"].items()
        for part in parts
    ]


def _identity_columns(source: Mapping[str, Any]) -> list[dict[str, str]]:
    """Columns that name somebody: read, turned into keyed ids, and dropped before any table is written."""
    found = []
    direct = source["facts"].get("identifiers") == "direct"
    for table, parts in source["tables"].items():
        for part in parts:
            keys = dict(part.get("keys", {}))
            if (direct or keys) and "customer_id" in part["columns"]:
                keys["own id"] = part["columns"]["customer_id"]
            found += [
                {"table": table, "file": part["path"], "kind": kind, "column": _spelt(column)}
                for kind, column in keys.items()
            ]
    return found


def _spelt(column: Any) -> str:
    return str(column["expr"] if isinstance(column, dict) else column)


def _data(outputs: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each shared table that 01 kept: what it is for, its columns, and attributes by the basis they describe on."""
    for table, contract in TABLES.items():
        if entry := outputs.get(table):
            bases: dict[str, list[str]] = {}
            for part in source["tables"].get(table, []):
                for name, basis in part.get("attributes", {}).items():
                    bases.setdefault(basis, []).append(name)
            described = {name for names in bases.values() for name in names}
            plain = [name for name in entry["columns"] if name not in described]
            yield {
                "table": table,
                "for": contract.enables,
                "rows": entry["rows"],
                "columns": plain,
                "attributes": {basis: sorted(set(names)) for basis, names in bases.items()},
            }


def _recipients(folder: Path) -> Iterator[dict[str, Any]]:
    """Each file that was written to leave; the lottery stays here."""
    for path in sorted((folder / "exports").glob("*/manifest.json")):
        sent = read_json(path)
        for one in sent.get("files", []):
            platform, _, name = one["file"].partition("/")
            if one.get("rows") is not None and platform != "hold_out":
                yield {
                    "campaign": sent.get("campaign_id", path.parent.name),
                    "platform": platform,
                    "file": name,
                    "rows": one["rows"],
                    "day": sent.get("day") or NOT_STATED,
                    "purpose": sent.get("purpose") or NOT_STATED,
                }


def _consents(folder: Path) -> list[dict[str, Any]]:
    path = folder / "tables" / "consents.parquet"
    if not path.is_file():
        return []
    rows = pd.read_parquet(path, columns=["channel", "purpose", "granted"])
    counted = rows.groupby(["channel", "purpose"])["granted"].agg(rows="size", granted="sum").reset_index()
    found: list[dict[str, Any]] = counted.astype({"granted": "int64"}).to_dict("records")
    return found


def _tombstones(source: str) -> list[str]:
    """Days on which a customer was forgotten who may not be read into this source again."""
    entries = read_json(outputs_folder() / "tombstones.json").get("forgotten", [])
    return [entry["day"] for entry in entries if entry["source"] in ("", source)]

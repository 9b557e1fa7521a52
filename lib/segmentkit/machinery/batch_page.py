"""The page that compares the markets of a batch: sizes, value, verdicts, campaigns, data quality, aligned segments."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit.analysis import markets
from segmentkit.analysis.clustering import Segmentation
from segmentkit.display import market_figures
from segmentkit.display.style import money
from segmentkit.machinery.files import read_json, replacing, write_text
from segmentkit.machinery.report import render_alone, segment_rows, stage_metrics

WORDS = {
    "own": "Each market was fitted on its own. Segments are aligned by what sets them apart in their own market.",
    "pooled": "One fit over all markets, each scaled alone: a segment is a place among its market's own customers.",
    "like": "The segments of one market were applied to all: borders are the same in money and days.",
}


def fit_pooled(paths: Mapping[str, Path], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One segmentation for all markets, from their feature tables."""
    return markets.fit_pooled({market: pd.read_parquet(path) for market, path in paths.items()}, settings)


def write_batch_page(folder: Path, whole: Sequence[str], compare: str) -> Path:
    """Write ``index.html`` and the tables ``comparison`` and ``alignment`` of a batch.

    Args:
        folder: the batch's folder; each market's run lies inside it.
        whole: markets whose run is whole.
        compare: ``own``, ``pooled`` or ``like``.
    """
    found = {market: stage_metrics(folder / market) for market in whole}
    rows = [_row(folder, market, found[market]) for market in whole]
    segments = pd.DataFrame([{"market": m} | row for m in whole for row in segment_rows(found[m])])
    models = {m: Segmentation.from_dict(read_json(folder / m / "model.json")) for m in whole}
    aligned = markets.align(models, compare != "own")
    _write(folder, "comparison", pd.DataFrame(rows))
    _write(folder, "alignment", aligned)
    shares = segments[["market", "key", "share_of_customers", "share_of_sales"]]
    figure, alt = market_figures.shares(shares, aligned), market_figures.shares_sentence(shares, aligned)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    manifest = read_json(folder / "manifest.json")
    page = render_alone(
        "batch.html.j2",
        batch=folder.name,
        rows=rows,
        failed=[market for market in manifest["markets"] if market not in whole],
        told=WORDS[compare],
        quick=any(read_json(folder / market / "manifest.json").get("quick") for market in whole),
        keys=_aligned_rows(aligned, whole, found),
        markets=list(whole),
        picture=base64.b64encode(buffer.getvalue()).decode(),
        alt=alt,
        started=manifest["started"],
    )
    write_text(folder / "index.html", page)
    return folder / "index.html"


def _write(folder: Path, name: str, table: pd.DataFrame) -> None:
    with replacing(folder / "tables" / f"{name}.parquet") as temporary:
        table.to_parquet(temporary, index=False)


def _row(folder: Path, market: str, found: Mapping[str, Any]) -> dict[str, Any]:
    facts = read_json(folder / market / "source.json")["facts"]
    data, seen, checks = found["data"], found["explored"], found["validated"]
    return {
        "market": market,
        "source": facts.get("name", ""),
        "currency": facts["currency"],
        "time_zone": facts["time_zone"],
        "basis": facts["analysis_basis"],
        "as_of": seen["as_of"],
        "days": seen["days"],
        "customers": seen["customers"],
        "sales": seen["sales"],
        "sales_told": money(seen["sales"], facts["currency"]),
        "segments": found["clustered"]["k"],
        "verdict": checks["verdict"],
        "stability": checks["stability"],
        "set_aside": data["rows_quarantined"] / max(1, data["rows_read"]),
        "doubtful": ", ".join(data["doubtful_columns"]),
        "campaigns": _campaigns(found["measured"], facts["currency"]),
        "advice": found["monitored"]["advice"] if found["monitored"]["kind"] in ("month", "restated") else "",
    }


def _campaigns(measured: Mapping[str, Any], currency: str) -> str:
    """What is known of campaigns in one line: net benefit where a lottery gives it, else that it is not known."""
    told = []
    for test in measured["tests"]:
        row = next(one for one in test["rows"] if one["segment_key"] == "all")
        if test["ratio_fits"] and test["value"] == "net_benefit" and row["net_benefit_low"] is not None:
            low, high = row["net_benefit_low"], money(row["net_benefit_high"], currency)
            roi = f", ROI {row['roi_low']:.0%} to {row['roi_high']:.0%}" if row.get("roi_low") is not None else ""
            told.append(f"{test['campaign_id']}, {test['arm']}: net benefit {low:,.2f} to {high} a customer{roi}")
    lost = sum(reading["verdict"] == "not identified" for reading in measured["readings"])
    told += [f"{lost} of {len(measured['readings'])} read are not identified"] if measured["readings"] else []
    return "; ".join(told) or "not known"


def _aligned_rows(aligned: pd.DataFrame, whole: Sequence[str], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For every segment of the first market a cell for each market: its key, name and size, or that there is none."""
    table = aligned.set_index(["key", "market"])
    by_key = {m: {row["key"]: row for row in segment_rows(found[m])} for m in whole}
    rows = []
    for key in dict.fromkeys(aligned["key"]):
        own = [by_key[market].get(table.loc[(key, market), "market_key"]) for market in whole]
        rows.append({"key": key, "cells": own})
    return rows

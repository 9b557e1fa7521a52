"""Generated purchase lines through 01 and 02: ``python tests/heavy/bench_fifty_million.py [LINES]``, some ten minutes.

Half a million customers, three lines an order, two years, 60 categories, in ten Parquet files that the engine writes
itself. What counts is the peak of the process tree (runner and kernel), which must stay below 2 GB. Needs 15 GB of
disk: beyond its share of memory the engine works there. SEGMENTKIT_BENCH names a folder with so much room.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from record import keep

FILES = 10
LIMIT_MB = 2048
LINES = """
COPY (
  SELECT 'C' || lpad(((h % 1000000 / 1e6) ** 1.3 * {customers})::BIGINT::VARCHAR, 7, '0') AS customer_id,
         'O' || lpad(number::VARCHAR, 9, '0') AS order_id,
         'L' || lpad(i::VARCHAR, 9, '0') AS line_id,
         TIMESTAMP '2024-01-01' + INTERVAL (hash(number + 1000000007) % 63158400) SECOND AS ordered_at,
         round(1 + (l % 10000) / 400.0, 2) AS amount,
         'P' || (l % 5000)::VARCHAR AS product_id,
         'Category ' || (l % 60)::VARCHAR AS category,
         1.0 + l % 3 AS quantity,
         round((l % 100) / 50.0, 2) AS discount
  FROM (SELECT i, i // 3 AS number, hash(i // 3) AS h, hash(i + 7) AS l FROM range({first}, {last}) AS t(i))
) TO '{path}' (FORMAT parquet)
"""
COLUMNS = (
    "customer_id", "order_id", "line_id", "ordered_at", "amount", "product_id", "category", "quantity", "discount"
)  # fmt: skip


def write_lines(folder: Path, lines: int) -> Path:
    """The files and the source that maps them."""
    import duckdb

    connection, each = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}), lines // FILES
    for part in range(FILES):
        path = (folder / f"lines_{part:02d}.parquet").as_posix()
        span = {"first": part * each, "last": (part + 1) * each}
        connection.execute(LINES.format(customers=lines // 100, path=path, **span))
    text = 'currency = "EUR"\ntime_zone = "UTC"\nidentifiers = "pseudonymous"\nanalysis_basis = "generated"\n'
    text += 'extracted_on = "2026-01-01"\n[transactions]\npath = "lines_*.parquet"\n'
    source = folder / "lines.toml"
    source.write_text(text + "".join(f'{name} = "{name}"\n' for name in COLUMNS), encoding="utf-8")
    return source


def run(folder: Path, words: list[str]) -> float:
    """One command; its CPU seconds, and those of its kernel."""
    known = os.environ | {"SEGMENTKIT_OUTPUTS": str(folder / "outputs")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "segmentkit", "run", "--run", "lines", *words], check=True, env=known)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(lines: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("SEGMENTKIT_BENCH")) as name:
        folder = Path(name)
        source = write_lines(folder, lines)
        cpu = {
            "01": run(folder, ["--until", "01", "-p", f"source={source}"]),
            "02": run(folder, ["--from", "02", "--until", "02"]),
        }
        manifest = json.loads((folder / "outputs" / "lines" / "manifest.json").read_text(encoding="utf-8"))
        stages = {stage[:2]: entry for stage, entry in manifest["stages"].items()}
        rows = stages["01"]["outputs"]["transactions"]["rows"]
        for stage, entry in stages.items():
            told = f"{entry['seconds']:.0f} s, {cpu[stage]:.0f} CPU s, peak of the tree {entry['peak_memory_mb']:,} MB"
            print(f"{stage}: {rows:,} rows, {told}")
        peak = {stage: round(entry["peak_memory_mb"]) for stage, entry in stages.items()}
        seconds = {stage: round(entry["seconds"]) for stage, entry in stages.items()}
        whole = {stage: round(taken) for stage, taken in cpu.items()}
        keep(f"scale, {rows:,} purchase lines", rows=rows, seconds=seconds, cpu_seconds=whole, peak_mb=peak)
        assert max(peak.values()) < LIMIT_MB, peak


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000_000)

"""Eight markets one after another and side by side: ``python tests/heavy/bench_batch.py [ROUNDS]``, interleaved.

Throughput is markets per minute of wall clock; CPU is that of all processes, as the system counts it for children.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import keep

from segmentkit.analysis.simulate import generate_shop

MARKETS = ("de", "fr", "pl", "se", "gb", "ch", "es", "dk")
BASE = "bootstrap_pairs: 5\nstarts: 4\nk_max: 5\nnull_copies: 19\nnull_pairs: 3\nnull_starts: 2\nmap_max_rows: 500\n"


def write_markets(folder: Path, customers: int) -> list[str]:
    """Eight generated shops; returns the words of the batch."""
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    for number, name in enumerate(MARKETS):
        lines = generate_shop(customers, seed=200 + number).tables["transactions"]
        lines.to_csv(folder / f"{name}.csv", index=False)
        text = (
            f'currency = "EUR"\ntime_zone = "Europe/Berlin"\nidentifiers = "pseudonymous"\n'
            f'analysis_basis = "generated"\nextracted_on = "2026-01-01"\n[transactions]\npath = "{name}.csv"\n'
        )
        text += "".join(f'{column} = "{column}"\n' for column in lines.columns)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        (folder / f"{name}.yaml").write_text(f"source: {name}.toml\n", encoding="utf-8")
    return ["batch", str(folder / "base.yaml"), *(str(folder / f"{name}.yaml") for name in MARKETS)]


def measure(words: list[str], outputs: Path, run: str, jobs: int) -> tuple[float, float]:
    """Seconds of wall clock and of CPU."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "segmentkit", *words, "--run", run, "--jobs", str(jobs)],
        check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SEGMENTKIT_OUTPUTS": str(outputs)},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int) -> None:
    """Measure in turns, so that a busy hour weighs on both."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = write_markets(folder, 400)
        for turn in range(rounds):
            for jobs in (1, 2):
                found[jobs].append(measure(words, folder / "outputs", f"jobs{jobs}-{turn}", jobs))
                print(jobs, found[jobs][-1], flush=True)
    ratios = [(one[0] / two[0], two[1] / one[1]) for one, two in zip(found[1], found[2], strict=True)]
    keep(
        "batch, eight markets on two cores",
        rounds=rounds,
        seconds_one_after_another=[round(wall, 1) for wall, _ in found[1]],
        seconds_two_at_a_time=[round(wall, 1) for wall, _ in found[2]],
        throughput_ratio=[round(wall, 2) for wall, _ in ratios],
        cpu_ratio=[round(cpu, 2) for _, cpu in ratios],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)

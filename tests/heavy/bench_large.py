"""300,000 generated customers through 01 to 04: ``python tests/heavy/bench_large.py [CUSTOMERS]``, about ten minutes.

Two years of orders of four kinds of customers with an age band, an e-mail contact each and a campaign by lot. What
counts is 04: its seconds, the peak of the process tree, and that every cap on customers is said.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from record import keep

SAID = re.compile(r"[\d,]+ of [\d,]+ customers")


def write_shop(folder: Path, customers: int) -> Path:
    """Tables and the source that maps them; about six orders a customer."""
    rng = np.random.default_rng(20_261_122)
    ids = np.array([f"L{number:07d}" for number in rng.permutation(customers)])
    kind = rng.choice(4, customers, p=[0.3, 0.2, 0.28, 0.22])
    orders = 1 + rng.poisson(np.array([11.0, 6.0, 3.0, 2.0])[kind])
    who = np.repeat(np.arange(customers), orders)
    last = np.array([729, 729, 729, 450])[kind][who]
    day = (rng.random(len(who)) * last).astype(int)
    basket = np.array([40.0, 180.0, 22.0, 50.0])[kind][who] * rng.lognormal(0, 0.5, len(who))
    lines = pd.DataFrame(
        {
            "customer_id": ids[who],
            "order_id": [f"O{number:08d}" for number in range(len(who))],
            "ordered_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D") + pd.Timedelta(hours=12),
            "amount": basket.round(2),
            "category": rng.choice(["Bread", "Fruit", "Drinks", "Household", "Frozen"], len(who)),
        }
    )
    lines.to_parquet(folder / "transactions.parquet", index=False)
    people = pd.DataFrame({"customer_id": ids, "age_band": rng.choice(["18-34", "35-54", "55+"], customers)})
    people.to_csv(folder / "customers.csv", index=False)
    mailed = rng.permutation(np.arange(customers) % 2 == 0)
    arms = pd.DataFrame({"campaign_id": "autumn", "customer_id": ids, "arm": np.where(mailed, "mailed", "held back")})
    arms.assign(designed_share=0.5).to_csv(folder / "assignments.csv", index=False)
    sent = {"campaign_id": "autumn", "at": "2025-10-01", "channel": "email", "event": "delivery"}
    pd.DataFrame({"customer_id": ids[mailed]}).assign(**sent).to_csv(folder / "contacts.csv", index=False)
    plan = {"campaign_id": "autumn", "start": "2025-10-01", "end": "2025-11-11", "design": "randomised"}
    pd.DataFrame([plan]).to_csv(folder / "campaigns.csv", index=False)
    text = 'currency = "EUR"\ntime_zone = "UTC"\nidentifiers = "pseudonymous"\nanalysis_basis = "generated"\n'
    for table in ("transactions", "customers", "campaigns", "contacts", "assignments"):
        suffix = "parquet" if table == "transactions" else "csv"
        path = folder / f"{table}.{suffix}"
        columns = pd.read_parquet(path).columns if suffix == "parquet" else pd.read_csv(path, nrows=1).columns
        text += f'[{table}]\npath = "{path.name}"\n'
        text += "".join(f'{column} = "{column}"\n' for column in columns if column != "age_band")
    source = folder / "large.toml"
    source.write_text(text.replace("[campaigns]", '[customers.attributes]\nage_band = "demographic"\n[campaigns]'))
    return source


def main(customers: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, outputs = write_shop(folder, customers), folder / "outputs"
        words = ["run", "--run", "large", "--until", "04", "-p", f"source={source}"]
        known = os.environ | {"SEGMENTKIT_OUTPUTS": str(outputs)}
        subprocess.run([sys.executable, "-m", "segmentkit", *words], check=True, env=known)
        manifest = json.loads((outputs / "large" / "manifest.json").read_text(encoding="utf-8"))
        notebook = nbformat.read(outputs / "large" / "notebooks" / "04_segment_validation.ipynb", 4)
        told = " ".join(str(cell.get("outputs", "")) for cell in notebook.cells)
        stages = {stage[:2]: entry for stage, entry in manifest["stages"].items()}
        metrics = json.loads((outputs / "large" / "metrics.json").read_text(encoding="utf-8"))
        keep(
            f"scale, {customers:,} customers",
            seconds={stage: round(entry["seconds"]) for stage, entry in stages.items()},
            peak_mb={stage: round(entry["peak_memory_mb"]) for stage, entry in stages.items()},
            said_in_04=sorted(set(SAID.findall(told))),
            verdict=metrics["04_segment_validation"]["verdict"],
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)

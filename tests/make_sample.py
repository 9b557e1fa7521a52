"""Write ``data/sample`` anew from the generator; a test holds the committed files to it."""

import json
from pathlib import Path

import pandas as pd

from segmentkit.analysis.simulate import KINDS, Shop, generate_shop

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"


def write(shop: Shop, folder: Path) -> None:
    """Purchases as parquet, the small tables as CSV, and the truth beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in shop.tables.items():
        if name == "transactions":
            table.to_parquet(folder / "transactions.parquet", index=False, compression="zstd")
        else:
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    shop.truth[["customer_id", "kind"]].to_csv(folder / "truth.csv", index=False, lineterminator="\n")
    planted = {"net_benefit_per_mailed_customer": shop.net_benefit, "kinds": [kind.__dict__ for kind in KINDS]}
    (folder / "truth.json").write_text(json.dumps(planted, indent=1) + "\n", encoding="utf-8")


def read() -> dict[str, pd.DataFrame]:
    """The committed sample, as text where it is CSV."""
    tables = {path.stem: pd.read_csv(path, dtype=str) for path in SAMPLE.glob("*.csv")}
    return tables | {"transactions": pd.read_parquet(SAMPLE / "transactions.parquet")}


if __name__ == "__main__":
    write(generate_shop(), SAMPLE)

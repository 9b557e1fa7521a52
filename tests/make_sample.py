"""Write ``data/sample`` anew from the generator; a test holds the committed files to it."""

import json
from pathlib import Path

import pandas as pd

from sample_shop import SampleShop, sample_shop

PARQUET = ("transactions", "consents")
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"


def write(shop: SampleShop, folder: Path) -> None:
    """Purchases and consents as parquet, the small tables as CSV, and the truth beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in shop.tables.items():
        if name in PARQUET:
            table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
        else:
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    shop.truth.to_csv(folder / "truth.csv", index=False, lineterminator="\n")
    (folder / "truth.json").write_text(json.dumps(shop.planted, indent=1) + "\n", encoding="utf-8")


def read() -> dict[str, pd.DataFrame]:
    """The committed sample, as text where it is CSV."""
    tables = {path.stem: pd.read_csv(path, dtype=str) for path in SAMPLE.glob("*.csv")}
    return tables | {name: pd.read_parquet(SAMPLE / f"{name}.parquet") for name in PARQUET}


if __name__ == "__main__":
    write(sample_shop(), SAMPLE)

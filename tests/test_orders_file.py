"""An orders file nobody has seen before reaches the report with the TOML that README prints."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from light import LIGHT, Command
from segmentkit.machinery.paths import project_root

BAD = {
    "amount is not a number": "C0003;R90001;03.05.2024;zwölf",
    "customer_id is missing": ";R90002;03.05.2024;12,50",
    "ordered_at is not a date": "C0004;R90003;31.02.2024;12,50",
    "ordered_at is after the data were extracted": "C0004;R90004;03.05.2094;12,50",
    "unreadable: the line has more fields than the header": "C0005;R90005;03.05.2024;12,50;what is this",
    "unreadable: the line has fewer fields than the header": "C0005;R90006",
}


def toml_in_readme() -> str:
    readme = (project_root() / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- my_shop.toml -->\n```toml\n(.*?)```", readme, re.DOTALL)
    assert found
    return found[1]


def orders(rng: np.random.Generator, customers: int = 260) -> list[str]:
    lines = []
    for customer in range(customers):
        heavy = customer % 3 == 0
        days = rng.choice(400, 30 if heavy else 6, replace=False)
        for number, day in enumerate(sorted(days)):
            date = np.datetime64("2023-06-01") + int(day)
            year, month, of_month = str(date).split("-")
            amount = f"{rng.gamma(4, 300 if heavy else 8):,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
            lines.append(f"C{customer:04};R{customer:04}{number:02};{of_month}.{month}.{year};{amount}")
    return list(rng.permutation(lines))


@pytest.fixture(scope="module")
def own_run(segmentkit: Command, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    lines = orders(np.random.default_rng(17))
    for place, bad in zip((5, 60, 200, 333, 500, 700), BAD.values(), strict=True):
        lines.insert(place, bad)
    # a byte-order mark, as spreadsheets write it
    (folder / "orders.csv").write_text("\n".join(["Client;Receipt;Date;Total", *lines]) + "\n", encoding="utf-8-sig")
    (folder / "my_shop.toml").write_text(toml_in_readme(), encoding="utf-8")
    done = segmentkit("run", "--run", "own", "-p", "source=my_shop.toml", "-p", "k_max=5", *LIGHT, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs / "own"


def test_the_toml_has_at_most_twelve_lines() -> None:
    assert len(toml_in_readme().strip().splitlines()) <= 12


def test_it_reaches_the_report(own_run: Path) -> None:
    page = (own_run / "report" / "index.html").read_text(encoding="utf-8")
    assert "Can we plan on these segments?" in page
    assert "EUR" in page


def test_exactly_the_bad_rows_are_set_aside(own_run: Path) -> None:
    import pandas as pd

    aside = pd.read_parquet(own_run / "quarantine" / "transactions.parquet")
    assert dict(zip(aside["rule"], aside["row_number"], strict=True)) == dict(
        zip(BAD, (6, 61, 201, 334, 501, 701), strict=True)
    )
    card = json.loads((own_run / "metrics.json").read_text(encoding="utf-8"))["01_data_collection"]["tables"][0]
    assert card["rows_read"] == card["rows_kept"] + card["rows_quarantined"]


def test_decimal_commas_and_thousands_points_are_read(own_run: Path) -> None:
    import pandas as pd

    amounts = pd.read_parquet(own_run / "tables" / "transactions.parquet")["amount"]
    assert amounts.max() > 1000
    assert amounts.min() > 0


def test_what_is_missing_is_switched_off_and_named(own_run: Path) -> None:
    page = (own_run / "report" / "index.html").read_text(encoding="utf-8")
    for table in ("customers", "campaigns", "contacts", "assignments", "responses"):
        assert f"The table {table} would make possible" in page
    assert "Nothing can be said." in page

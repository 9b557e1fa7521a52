"""Every fixture through 01, 02 and 03 by the command line; where customers are named, no file of the run names one."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook

from segmentkit.machinery.output_scan import known

pytestmark = pytest.mark.heavy
FORMATS = Path(__file__).parents[1] / "formats"
NAMES = sorted(path.parent.name for path in FORMATS.glob("*/source.toml"))
LIGHT = ["k_max=5", "bootstrap_pairs=4", "starts=3", "band_copies=3"]
IDENTIFYING = re.compile(r"e-?mail|phone|first.?name|last.?name|mailing street|^address$", re.IGNORECASE)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("formats")
    key = folder / "key"
    key.write_text("5e" * 32, encoding="utf-8")
    key.chmod(0o600)
    return os.environ | {"SEGMENTKIT_OUTPUTS": str(folder / "outputs"), "SEGMENTKIT_KEY_FILE": str(key)}


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_goes_through_01_to_03_and_names_nobody(name: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "segmentkit", "run", "--run", name, "--until", "03"]
    command += ["-p", f"source={FORMATS / name / 'source.toml'}"]
    done = subprocess.run(
        command + [word for one in LIGHT for word in ("-p", one)],
        env=environment, capture_output=True, text=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = Path(environment["SEGMENTKIT_OUTPUTS"]) / name
    stages = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["stages"]
    assert [entry["status"] for entry in stages.values()] == ["ok"] * 3
    named = sorted(set(identifiers(FORMATS / name)))
    found = known(run, named)
    print(f"\n{name}: {len(named):,} e-mails, phones, names and streets looked for, {len(found)} found")
    assert found == []


def identifiers(folder: Path) -> Iterator[str]:
    """What the fixture's files hold in columns that name people."""
    for path in sorted(folder.iterdir()):
        for rows in tables(path):
            for header, values in zip(*rows, strict=True) if rows else ():
                if IDENTIFYING.search(header) and not re.search("unsub|consent|opt", header, re.IGNORECASE):
                    yield from (value.strip() for value in values if len(value.strip()) > 3)


def tables(path: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Headers and columns of every table in a file; files of other kinds name nobody here."""
    if path.suffix == ".csv" and "performance" not in path.name:
        data = path.read_bytes()
        text = data.decode("utf-8-sig") if path.parent.name != "salesforce_contacts" else data.decode("latin-1")
        yield columns(list(csv.reader(io.StringIO(text), delimiter=";" if text[:40].count(";") > 1 else ",")))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield columns(list(csv.reader(io.StringIO(archive.read(member).decode("utf-8-sig")))))
    elif path.suffix == ".xlsx":
        rows = [["" if value is None else str(value) for value in row] for row in load_workbook(path).active.values]
        yield columns(rows)
    elif path.suffix == ".gz":
        gzip.open(path).close()


def columns(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    header = rows[0]
    return header, [[row[at] for row in rows[1:] if len(row) == len(header)] for at in range(len(header))]

"""From files that left back to their effect: a campaign simulated outside the kit is read by the kit's own lottery."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from light import CHANGED, LIGHT, Command
from segmentkit.machinery.paths import project_root

SAMPLE = project_root() / "data" / "sample"
EXPORTED = Path("exports") / str(CHANGED["campaign"])
START, DAYS = pd.Timestamp(str(CHANGED["campaign_start"])), int(str(CHANGED["plan_days"]))
# what the simulated campaign brings, by arm: orders more a customer, each of 60.00 on average, a quarter of it margin
EXTRA, BASKET, MARGIN, COST = {"a": 0.6, "b": 0.15}, 60.0, 0.25, 0.4


def files(run: Path, platform: str) -> pd.DataFrame:
    """Everything that one platform would be given, as its own import would read it."""
    found = sorted((run / EXPORTED / platform).glob("*.csv"))
    assert found, f"no file for {platform}"
    return pd.concat([pd.read_csv(path, dtype=str, keep_default_na=False).assign(file=path.name) for path in found])


def addresses() -> pd.DataFrame:
    book = pd.read_csv(SAMPLE / "addresses.csv", dtype=str, keep_default_na=False)
    return book.assign(email=book["email"].str.strip().str.lower()).query("email != ''")


def recognised(run: Path) -> set[str]:
    """Customers whom the platforms can tell from the files alone: by e-mail address, or by the shop's own id."""
    book = addresses()
    mailed, known = files(run, "mailchimp")["Email Address"], files(run, "braze")["external_id"]
    return {*mailed.map(book.set_index("email")["customer_id"]), *("S" + known.str.removeprefix("SHOP-"))}


def assignments(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / EXPORTED / "hold_out" / "assignments.csv", dtype=str)


def consented(channel: str) -> set[str]:
    """Worked out by hand: the last word of each customer for the channel."""
    table = pd.read_parquet(SAMPLE / "consents.parquet").query("channel == @channel and purpose == 'marketing'")
    last = table.sort_values(["customer_id", "at"]).groupby("customer_id")["granted"].last()
    return set(last.index[last == "yes"])


def test_nobody_is_in_a_file_who_may_not_be(changed_run: Path) -> None:
    drawn = assignments(changed_run).set_index("customer_id")["arm"]
    seen = recognised(changed_run)
    assert len(seen) > 500
    assert seen == set(drawn.index[drawn != "held back"])
    assert seen <= consented("email")
    hidden = set(drawn.index[drawn == "held back"])
    assert len(hidden) > 200
    assert not hidden & seen


def test_those_held_back_passed_the_same_gates(changed_run: Path) -> None:
    drawn = assignments(changed_run)
    hidden = set(drawn.loc[drawn["arm"] == "held back", "customer_id"])
    assert hidden <= consented("email")
    shares = drawn["arm"].value_counts(normalize=True)
    designed = drawn.groupby("arm")["designed_share"].first().astype(float)
    assert (shares - designed).abs().max() < 0.04


def test_every_file_of_the_folder_is_in_its_manifest(changed_run: Path) -> None:
    folder = changed_run / EXPORTED
    listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    hashes = {one["file"]: one["sha256"] for one in listed["files"]}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    assert set(hashes) == there
    for name, digest in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert listed["campaign_id"] == CHANGED["campaign"]
    assert all("README.md" in {path.name for path in (folder / one).iterdir()} for one in ("mailchimp", "braze"))


def test_no_address_stays_in_the_run(changed_run: Path) -> None:
    parts = [part.encode() for row in addresses().head(300)[["email", "last_name"]].itertuples(index=False)
             for part in row[:1]]  # fmt: skip
    for path in changed_run.rglob("*"):
        if path.is_file() and "exports" not in path.parts and path.suffix in {".html", ".json", ".ipynb", ".csv"}:
            content = path.read_bytes()
            assert not [part for part in parts if part in content], path.name
    for path in (changed_run / "tables").glob("*.parquet"):
        assert not {"email", "phone", "first_name", "last_name"} & set(pd.read_parquet(path).columns), path.name


def simulated(run: Path, folder: Path) -> Path:
    """The shop some weeks later: everybody buys as six weeks before, and whoever was in a file buys more."""
    rng = np.random.default_rng(5)
    lines = pd.read_parquet(SAMPLE / "transactions.parquet")
    shift = pd.Timedelta(days=42)
    recent = lines[lines["ordered_at"] >= "2025-11-20"]
    usual = recent.assign(ordered_at=recent["ordered_at"] + shift, order_id="L" + recent["order_id"])
    arms = assignments(run).set_index("customer_id")["arm"]
    reached = sorted(recognised(run))
    who = np.repeat(reached, rng.poisson(arms.loc[reached].map(EXTRA)))
    amount = (BASKET * rng.lognormal(-(0.3**2) / 2, 0.3, len(who))).round(2)
    days = pd.to_timedelta(rng.integers(0, DAYS * 24 * 60, len(who)), "min")
    more = pd.DataFrame({"customer_id": who, "order_id": [f"X{n}" for n in range(len(who))], "amount": amount})
    more = more.assign(ordered_at=(START + days).astype(lines["ordered_at"].dtype), category="Bread", quantity=1)
    more = more.assign(discount=0.0, margin=more["amount"] * MARGIN)
    everything = pd.concat([lines, usual, more], ignore_index=True)[lines.columns]
    everything[everything["ordered_at"] < START + pd.Timedelta(days=DAYS)].to_parquet(folder / "lines.parquet")
    plan = pd.read_csv(run / EXPORTED / "hold_out" / "campaigns.csv").assign(cost_per_contact=COST)
    plan.to_csv(folder / "campaigns.csv", index=False)
    text = (
        'currency = "EUR"\ntime_zone = "Europe/Berlin"\nidentifiers = "pseudonymous"\nanalysis_basis = "simulated"\n'
        '[transactions]\npath = "lines.parquet"\n'
        + "".join(f'{name} = "{name}"\n' for name in lines.columns)
        + '[campaigns]\npath = "campaigns.csv"\n'
        + "".join(f'{name} = "{name}"\n' for name in plan.columns)
        + f'[assignments]\npath = "{(run / EXPORTED / "hold_out" / "assignments.csv").as_posix()}"\n'
        + "".join(f'{name} = "{name}"\n' for name in ("campaign_id", "customer_id", "arm", "designed_share"))
    )
    (folder / "later.toml").write_text(text, encoding="utf-8")
    return folder / "later.toml"


@pytest.fixture(scope="module")
def later_run(changed_run: Path, segmentkit: Command, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = simulated(changed_run, tmp_path_factory.mktemp("later"))
    done = segmentkit("run", "--run", "later", "--until", "05", "-p", f"source={source}", "-p", "own_k=4", *LIGHT)
    assert done.returncode == 0, done.stdout + done.stderr
    return outputs / "later"


def test_the_planted_net_benefit_lies_in_the_interval_that_05_reads(later_run: Path) -> None:
    found = json.loads((later_run / "metrics.json").read_text(encoding="utf-8"))["05_roi_measurement"]["tests"]
    assert {test["arm"] for test in found} == set(EXTRA)
    for test in found:
        planted = EXTRA[test["arm"]] * BASKET * MARGIN - COST
        row = next(row for row in test["rows"] if row["segment_key"] == "all")
        print(f"planted {planted:.2f}, likely {row['net_benefit_low']:.2f} to {row['net_benefit_high']:.2f}")
        assert test["ratio_fits"]
        assert row["net_benefit_low"] < planted < row["net_benefit_high"]
    strong = next(test for test in found if test["arm"] == "a")
    assert next(row for row in strong["rows"] if row["segment_key"] == "all")["net_benefit_low"] > 0

"""300,000 customers into files and back: ``python tests/heavy/bench_exports.py [CUSTOMERS]``, about a minute.

What counts: every customer stands in each platform's files once, each file is below the platform's size by
``export_reader``, and the processor seconds of choosing, making, writing.
"""

import json
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from record import keep

sys.path.insert(0, str(Path(__file__).parents[1]))

import export_reader
from segmentkit.analysis import addresses, audience, platforms
from segmentkit.machinery import exports

REFERENCES = Path(__file__).parents[2].parent / "shared" / "references" / "formats.json"
TODAY, RUN = date(2026, 6, 1), "large-20260601"
TO = {
    "marketo email": ("marketo_bulk_lead", "email"),
    "hubspot email": ("hubspot_contacts", "Email"),
    "klaviyo email": ("klaviyo_profiles", "Email"),
    "salesforce email": ("salesforce_bulk_v2", "External_Customer_Id__c"),
    "google ads": ("google_customer_match", "Email"),
    "plain email": ("generic_audience", "customer_id"),
}
FIRST = np.array(["Ann", "O'Brien", "王小明", "مريم", "Zoë", '=HYPERLINK("http://x")', "two\nlines", "Anna, Maria"])


def people(n: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Address book, segments, lottery and consents; every tenth is held back, all agree."""
    number = pd.Series(np.arange(n)).astype(str).str.zfill(7)
    book = pd.DataFrame(
        {
            "customer_id": "c" + number, "email": "User" + number + "@Example.com", "phone": "+447" + "00" + number,
            "first_name": FIRST[np.arange(n) % len(FIRST)], "last_name": "Lee" + number, "country": "gb",
            "postcode": "AB1 2CD", "crm_id": "00300000" + number + "AAB", "external_id": "x" + number,
        }
    )  # fmt: skip
    segments = pd.DataFrame(
        {"customer_id": book["customer_id"], "segment_key": np.array(list("ABCDE"))[np.arange(n) % 5]}
    )
    arm = np.where(np.arange(n) % 10 < 9, "reached", "held back")
    lottery = segments.assign(arm=arm, designed_share=0.9, stratum=segments["segment_key"])
    channels = pd.DataFrame({"channel": ["email", "ads"], "purpose": "marketing", "granted": True})
    return book, segments, lottery, segments[["customer_id"]].merge(channels, how="cross")


def main(n: int) -> None:
    formats = json.loads(REFERENCES.read_text(encoding="utf-8"))
    book, segments, lottery, consents = people(n)
    none = pd.DataFrame({"customer_id": [], "at": pd.to_datetime([]), "event": []})
    seconds, start = {}, time.process_time()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name], start = round(time.process_time() - start, 1), time.process_time()

    own = addresses.read(book)
    lap("read")
    chosen = audience.select(
        segments, lottery, consents, own.known, none, list(TO), purpose="marketing", as_of=TODAY, cap=(4, 14),
        smallest_group=100, match_rate=0.5, campaign_id="next", assigned_at=TODAY,
    )  # fmt: skip
    lap("select")
    made = platforms.files(chosen.members, own, {key: f"Segment {key}" for key in "ABCDE"}, run_id=RUN, day=TODAY)
    lap("files")
    reached = int((lottery["arm"] == "reached").sum())
    with tempfile.TemporaryDirectory() as folder:
        plan = exports.write(
            Path(folder), "next", made, chosen.assignments, start=TODAY, end=TODAY, facts={}, dry_run=False
        )
        lap("write")
        largest, parts = {}, {}
        for to, (rules, column) in TO.items():
            place = plan.folder / to.rpartition(" ")[0]
            rows = export_reader.read(rules, place, formats, run=RUN, on=TODAY.isoformat())
            assert len(rows) == rows[column].nunique() == reached, f"{to}: {len(rows):,} rows for {reached:,} customers"
            sizes = [file.stat().st_size for file in place.glob("*.csv")]
            parts[to], largest[to] = len(sizes), max(sizes)
        lap("read_back")
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    keep("exports", customers=n, cpu_seconds=seconds, files=parts, largest_bytes=largest, peak_mib=peak)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)

"""The figures README quotes, written from the default run's metrics; a test holds README to them."""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- figures -->\n)(.*?)(\n<!-- /figures -->)", re.DOTALL)


def figures(metrics: dict[str, Any]) -> str:
    """The block of README between its two marks."""
    data, seen, cut, checked, money, acted, month = (metrics[stage] for stage in sorted(metrics))
    quantity = next(row for row in data["units"] if row["column"] == "quantity")
    top = checked["segments"][0]
    readings = money["readings"]
    during = ", ".join(f"{r['during_difference']:+.0f}" for r in readings)
    before = ", ".join(f"{r['before_difference']:+.0f}" for r in readings)
    low, high = min(r["range_low"] for r in readings), max(r["range_high"] for r in readings)
    lowest, highest = min(r["placebo_low"] for r in readings), max(r["placebo_high"] for r in readings)
    plan = checked["plan"].partition(" By segment")[0]
    verdicts = {r["verdict"] for r in readings}
    returned = month["regression"].partition(" Nothing")[0]
    campaigns = ", ".join(r["campaign_id"] for r in readings)
    scored = "; ".join(f"{category} {verdict.partition(':')[0]}" for category, verdict in acted["verdicts"].items())
    lines = [
        f"- **Data.** {data['lines']:,} purchase lines, {data['rows_quarantined']:,} set aside. "
        f"{quantity['top_share']:.2%} of "
        f"all `{quantity['column']}` sits in its largest 1 % of lines: its units differ, so nothing is built on it.",
        f"- **Value.** {seen['customers']:,} households; {_lower(seen['concentration'])} First purchases were "
        f"{'' if seen['first_purchases_observed'] else 'not '}observed ({seen['in_first_month']:,} households "
        "already buy in "
        "the first 31 days), so lifetime value and acquisition cost are refused.",
        f"- **Segments.** {checked['marketer']}. In the method's words {checked['verdict']}: {checked['reason']} The "
        f"silhouette alone would take {cut['silhouette_k']}. Segment {top['segment_key']}, "
        f"{top['share']:.0%} of "
        f"households, brings {top['share_of_sales']:.0%} of sales.",
        f"- **Recognised.** {checked['tools'][0]['sentence']}",
        f"- **Campaigns.** {campaigns}: {' / '.join(sorted(verdicts))}. The households they reached spent "
        f"{during} dollars "
        f"more than the others while they ran, and {before} in as many days *before* they began. No ROI is printed. "
        f"Weighted and adjusted for their past, different models give {low:+.0f} to {high:+.0f} dollars; the same "
        f"adjustment finds anything from {lowest:+.0f} to {highest:+.0f} before they began, when there was nothing to "
        "find.",
        f"- **To do.** {acted['playbook']} {acted['answer']} Scores of likely buyers, "
        f"judged on a later period: {scored}.",
        f"- **The next test.** {plan}",
        f"- **Next time.** In a rehearsal, one half of the year against the other, {month['moved_share']:.0%} of "
        f"households change segment; about {month['noise']:.0%} would by luck alone. {returned}",
    ]
    return "\n".join(lines)


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def newest_default_run() -> Path | None:
    """The newest complete run of the demo with default parameters, or None."""
    found = []
    for manifest in (ROOT / "outputs").glob("*/manifest.json"):
        content = json.loads(manifest.read_text(encoding="utf-8"))
        source = content["stages"].get("01_data_collection", {}).get("parameters", {}).get("source")
        whole = content.get("status") == "ok" and len(content["stages"]) == 7
        if source == "complete_journey" and whole and not content["quick"] and _defaults(manifest.parent):
            found.append((content["started"], manifest.parent))
    return max(found)[1] if found else None


def _defaults(folder: Path) -> bool:
    import yaml

    from segmentkit.machinery.parameters import resolve
    from segmentkit.machinery.paths import stages

    used = yaml.safe_load((folder / "parameters.yaml").read_text(encoding="utf-8"))
    flat = {name: value for values in resolve(stages(), {}).values() for name, value in values.items() if name != "run"}
    return bool(used == flat)


if __name__ == "__main__":
    run = newest_default_run()
    if run is None:
        sys.exit("no default run in outputs; python -m segmentkit run makes one")
    block = figures(json.loads((run / "metrics.json").read_text(encoding="utf-8")))
    text = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda found: found[1] + block + found[3], text), encoding="utf-8")
    print(block)

"""The last figures of the heavy checks, kept beside them: ``figures.json``."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures.json")


def keep(check: str, **figures: Any) -> None:
    """Write down what a check found, and say it."""
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    known[check] = {"on": f"{datetime.now(UTC):%Y-%m-%d}"} | figures
    FIGURES.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
    print(check, json.dumps(figures))


def upper95(events: int, trials: int) -> float:
    """Clopper and Pearson's upper 95 % bound of a rate."""
    from scipy.stats import beta

    return 1.0 if events == trials else float(beta.ppf(0.95, events + 1, trials - events))

"""Settings and types that several test modules share."""

import subprocess
from collections.abc import Callable

# few repetitions: the tests ask whether the truth is found, not how narrow the bands are
LIGHT = [
    "-p",
    "bootstrap_pairs=10",
    "-p",
    "starts=5",
    "-p",
    "null_copies=19",
    "-p",
    "null_pairs=4",
    "-p",
    "null_starts=3",
]
Command = Callable[..., subprocess.CompletedProcess[str]]

"""Progress that a person and a log file can both read: one line a cell, with stage, cell and elapsed time."""

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from segmentkit.machinery.manifest import now


class Progress:
    """Writes plain lines to the screen and the same events to ``log.jsonl``."""

    def __init__(self, log: Path) -> None:
        """Start the clock; ``log`` is appended to."""
        self.log, self.started = log, time.monotonic()

    def say(self, text: str, **event: Any) -> None:
        """One line, with the seconds since the start."""
        seconds = time.monotonic() - self.started
        print(f"[{seconds:7.1f} s] {text}", flush=True)
        line = json.dumps({"at": now(), "seconds": round(seconds, 2), "text": text} | event, ensure_ascii=False)
        with self.log.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")


class Watch:
    """Watches the processes a stage starts: their highest memory together, and that none outlives the stage.

    Workers of a killed kernel have no parent left to end them; they would hold memory, and an open log, for minutes.
    """

    def __init__(self, every: float = 0.5) -> None:
        """Look every so many seconds."""
        self.every, self.peak, self.seen = every, 0, set[Any]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def megabytes(self) -> int:
        """The peak in MB."""
        return self.peak // 2**20

    def __enter__(self) -> "Watch":
        """Start watching."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching, and end whatever the stage left behind."""
        import psutil

        self._stop.set()
        self._thread.join()
        for process in self.seen:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()

    def _watch(self) -> None:
        import psutil

        own, parent = psutil.Process(), os.environ.get("SEGMENTKIT_PARENT", "")
        while not self._stop.wait(self.every):
            started = own.children(recursive=True)
            self.seen.update(started)
            if parent.isdigit() and not psutil.pid_exists(int(parent)):
                # the batch that ordered this run is gone: nobody waits for it, and --resume must find it ended
                for process in self.seen:
                    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                        process.kill()
                os._exit(137)
            self.peak = max(self.peak, sum(map(_resident, [own, *started])))


def _resident(process: Any) -> int:
    """Memory counted once however many processes share it, where the system tells; 0 if it has just ended."""
    import psutil

    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def section_names(cells: list[Any]) -> list[str]:
    """For every cell the heading it stands under, for naming it in the log."""
    names, current = [], "Start"
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("#"):
                    current = line.lstrip("# ").strip()
                    break
        names.append(current)
    return names

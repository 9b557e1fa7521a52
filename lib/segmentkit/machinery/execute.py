"""One notebook through papermill: progress by cell, a time limit for the whole stage, and a true exit status.

papermill's saved notebook says "completed" for every cell even after a kill, so the status is taken from the
exception and never from the file.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from segmentkit.errors import EnvironmentFault, exit_code_of
from segmentkit.machinery.progress import Progress, section_names

KERNEL = "python3"
TIMED_OUT, KILLED, STOPPED = 124, 137, 130


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: exit code 0 and no message, or the code and what to tell the reader."""

    exit_code: int
    message: str = ""

    @property
    def status(self) -> str:
        """``ok`` or ``failed``."""
        return "ok" if self.exit_code == 0 else "failed"


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's engine with a deadline and one line a cell."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, progress: Progress, stage: str, deadline: float, **options: Any
    ) -> None:
        names = section_names(nb_man.nb.cells)
        code = [i for i, cell in enumerate(nb_man.nb.cells) if cell.cell_type == "code"]
        starting = nb_man.cell_start

        def start(cell: Any, cell_index: int, **more: Any) -> Any:
            if cell.cell_type == "code":
                place = f"cell {code.index(cell_index) + 1} of {len(code)}"
                progress.say(f"{stage}  {place}  {names[cell_index]}", event="cell", stage=stage, cell=cell_index)
            return starting(cell, cell_index, **more)

        nb_man.cell_start = start
        client = PapermillNotebookClient(
            nb_man,
            timeout_func=lambda cell: max(0.1, deadline - time.monotonic()),
            startup_timeout=120,
            kernel_name=kernel_name,
            log_output=False,
        )
        # what a kernel says outside its cells belongs in a log, not between the lines of progress
        with progress.log.with_name("kernel.log").open("ab") as handle:
            client.execute(stderr=handle)


def execute(
    source: Path, target: Path, parameters: dict[str, Any], *, stage: str, progress: Progress, seconds: float
) -> Outcome:
    """Run one notebook; the executed copy is left at ``target`` whatever happens.

    Raises:
        EnvironmentFault: the kernel is not installed.
    """
    papermill_engines.register("segmentkit", _Engine)
    try:
        papermill.execute_notebook(
            source.as_posix(),
            target.as_posix().replace("{", "{{").replace("}", "}}"),
            parameters=parameters,
            engine_name="segmentkit",
            kernel_name=KERNEL,
            progress_bar=False,
            stage=stage,
            progress=progress,
            deadline=time.monotonic() + seconds,
        )
    except PapermillExecutionError as error:
        return _from_cell(stage, error)
    except CellTimeoutError:
        told = f"{stage} took longer than its limit of {seconds:g} s; allow more with --stage-seconds N, or try --quick"
        return Outcome(TIMED_OUT, told)
    except DeadKernelError:
        told = f"{stage}: the kernel was killed, most often for want of memory; close other programs, then --resume"
        return Outcome(KILLED, told)
    except KeyboardInterrupt:
        return Outcome(STOPPED, f"{stage} was stopped by hand; --resume goes on from here")
    except Exception as error:
        if type(error).__name__ == "NoSuchKernel":
            raise EnvironmentFault(
                f"kernel {KERNEL!r} is not installed here; `segmentkit doctor` shows what is"
            ) from None
        raise
    return Outcome(0)


def _from_cell(stage: str, error: PapermillExecutionError) -> Outcome:
    if error.ename == "SystemExit":
        return Outcome(
            1, f"{stage}, cell {error.cell_index + 1} stopped the run with code {error.evalue}; raise KitError instead"
        )
    if error.ename == "MemoryError":
        return Outcome(
            1,
            f"{stage}, cell {error.cell_index + 1} ran out of memory; lower stability_max_rows, or use fewer features",
        )
    return Outcome(exit_code_of(error.ename), f"{stage}, cell {error.cell_index + 1}: {error.ename}: {error.evalue}")

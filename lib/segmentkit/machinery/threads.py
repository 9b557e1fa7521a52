"""Cap threads where the work is opened: on a loaded two-core machine the defaults ran 33 times slower."""

import os
from typing import Any

ENGINE_MEGABYTES = 768
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


def worker_count() -> int:
    """Processes that heavy work may use: ``SEGMENTKIT_WORKERS`` if set, else the cores this process may use."""
    given = os.environ.get("SEGMENTKIT_WORKERS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cap_environment() -> None:
    """One thread per numeric library, here and in every process started from here."""
    for name in _POOLS:
        os.environ[name] = "1"


def cap_loaded() -> Any:
    """Cap the libraries that are loaded already; keep the returned object as long as the cap shall hold."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def duckdb_memory_limit() -> str:
    """What the engine may hold in memory; beyond it, it works on disk.

    768 MB, or half of the memory shared among the workers of all markets that run side by side where that is less: a
    run on 50 million lines then stays below 2 GB in all. ``SEGMENTKIT_MEMORY``, in MB, states another amount.
    """
    import psutil

    jobs, given = (os.environ.get(name, "") for name in ("SEGMENTKIT_JOBS", "SEGMENTKIT_MEMORY"))
    if given.isdigit() and int(given) > 0:
        return f"{int(given)}MB"
    megabytes = psutil.virtual_memory().total / 2**20 / 2 / worker_count() / (int(jobs) if jobs.isdigit() else 1)
    return f"{max(512, min(ENGINE_MEGABYTES, int(megabytes)))}MB"

"""Threads and memory are shared out by the number of workers."""

import os
from types import SimpleNamespace

import psutil
import pytest

from segmentkit.machinery import threads


@pytest.mark.parametrize(("given", "expected"), [("1", 1), ("3", 3), ("64", 64)])
def test_the_workers_can_be_stated(monkeypatch, given: str, expected: int) -> None:
    monkeypatch.setenv("SEGMENTKIT_WORKERS", given)
    assert threads.worker_count() == expected


@pytest.mark.parametrize("given", ["", "0", "-2", "many", "1.5"])
def test_without_a_usable_number_the_cores_of_this_process_count(monkeypatch, given: str) -> None:
    monkeypatch.delenv("SEGMENTKIT_WORKERS", raising=False)
    cores = threads.worker_count()
    assert 1 <= cores <= (os.cpu_count() or 1)
    monkeypatch.setenv("SEGMENTKIT_WORKERS", given)
    assert threads.worker_count() == cores


def test_started_processes_inherit_one_thread_a_library(monkeypatch) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "8")  # and back again after the test
    threads.cap_environment()
    assert {name: os.environ[name] for name in names} == dict.fromkeys(names, "1")


def test_loaded_libraries_are_capped_while_the_cap_is_kept() -> None:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    cap = threads.cap_loaded()
    try:
        pools = threadpool_info()
        assert pools, "numpy brings a thread pool of its own"
        assert {pool["num_threads"] for pool in pools} == {1}
    finally:
        cap.restore_original_limits()


@pytest.mark.parametrize(("memory_gb", "workers", "limit"), [(24, 1, 768), (2, 2, 512), (3, 2, 768), (2.5, 2, 640)])
def test_a_share_of_the_memory_and_no_more_than_a_laptop_has(monkeypatch, memory_gb, workers: int, limit: int) -> None:
    monkeypatch.delenv("SEGMENTKIT_MEMORY", raising=False)
    monkeypatch.setenv("SEGMENTKIT_WORKERS", str(workers))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=int(memory_gb * 2**30)))
    assert threads.duckdb_memory_limit() == f"{limit}MB"


@pytest.mark.parametrize(("given", "limit"), [("4000", "4000MB"), ("256", "256MB"), ("0", "768MB"), ("much", "768MB")])
def test_the_memory_can_be_stated(monkeypatch, given: str, limit: str) -> None:
    monkeypatch.setenv("SEGMENTKIT_WORKERS", "1")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=2**34))
    monkeypatch.setenv("SEGMENTKIT_MEMORY", given)
    assert threads.duckdb_memory_limit() == limit


def test_many_workers_still_get_enough_to_work(monkeypatch) -> None:
    monkeypatch.setenv("SEGMENTKIT_WORKERS", "100000")
    assert threads.duckdb_memory_limit() == "512MB"

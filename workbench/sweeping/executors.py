"""Where the cells of a sweep run: a thread, processes of their own, or the workers of a Dask cluster."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

from workbench.processes import set_environment
from workbench.runs.drive import needs_dask


def own_place(jobs: int) -> Executor:
    """Where one cell at a time runs: a thread that Ctrl-C does not hit, or a process, whose end harms no other."""
    if jobs == 1:
        return ThreadPoolExecutor(1)
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=set_environment)


@contextmanager
def on_cluster(address: str | None, jobs: int) -> Iterator[Executor | None]:
    """The workers of the Dask cluster at ``address`` (tcp://host:port, or local: one for each); None: none.

    They must see the data folder under the same path. A cell is one task, single-threaded and never run twice.
    """
    if address is None:
        yield None
        return
    with needs_dask():
        from workbench.engine.dask.pool import task_pool
    with task_pool(address, jobs) as executor:
        yield executor

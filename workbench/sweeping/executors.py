"""Where the cells of a sweep run: a thread, processes, or the workers of a Dask cluster."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

from workbench.runs.execution import needs_dask
from workbench.system.processes import set_environment


def local_executor(jobs: int) -> Executor:
    """Return an executor for one cell at a time, of ``jobs`` that run side by side.

    It is a thread for a single job, which Ctrl-C does not hit; otherwise a process, whose end harms
    no other job.
    """
    if jobs == 1:
        return ThreadPoolExecutor(1)
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=set_environment)


@contextmanager
def cluster_executor(address: str | None, jobs: int) -> Iterator[Executor | None]:
    """Yield an executor on the workers of the Dask cluster at ``address``; None without an address.

    ``address``: ``tcp://host:port`` of a scheduler, or ``local`` for a new cluster with a worker
    per job. The workers must see the data folder under the same path. A cell is one task,
    single-threaded and never run twice. Raises UserError if Dask is not installed.
    """
    if address is None:
        yield None
        return
    with needs_dask():
        from workbench.engine.dask.pool import task_pool
    with task_pool(address, jobs) as executor:
        yield executor

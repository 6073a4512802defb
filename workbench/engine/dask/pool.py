"""Whole calls as Dask tasks, through an executor like those of the standard library.

The cells of sweeps are such calls.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from distributed import Client

from workbench.engine.dask.local_cluster import connected, local_cluster

SILENCE = (
    "5 minutes"  # a call may hold its interpreter for longer than a process of a run may be silent
)


@contextmanager
def task_pool(address: str, jobs: int) -> Iterator[Executor]:
    """An executor on the workers of the cluster at ``address`` (tcp://host:port).

    ``local`` is a new cluster of ``jobs`` workers on this machine.

    A call is one task, which is never run twice.
    """
    if address == "local":
        with local_cluster(jobs, 1, silence=SILENCE) as cluster, Client(cluster) as client:
            yield client.get_executor(pure=False, retries=0)
        return

    with connected(address, jobs, 1) as remote:
        yield remote.client.get_executor(pure=False, retries=0)

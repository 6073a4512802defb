"""A cluster that somebody has started by hand.

It is a `dask scheduler` and two `dask worker`, plain and with TLS.
"""

import os
import re
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from bouncing import ROUNDS, SIZE, Wall, catcher, thrower
from dask_commands import start_dask, tls_configuration

from workbench.system.processes import child_environment

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.dask, pytest.mark.filterwarnings("default")]

TESTS = Path(__file__).parents[1]
LOOPBACK = "127.0.0.1"
THREADS = 3
CATCHER_SUM = 2 * 2 * SIZE * sum(range(ROUNDS))  # two walls, each doubles what it gets


@contextmanager
def cluster_by_hand(protocol: str, variables: dict[str, str]):
    """The address of a scheduler with two workers of three threads, without nannies."""
    environment = child_environment(**variables)
    environment["PYTHONPATH"] += f"{os.pathsep}{TESTS}"
    common = ["--host", LOOPBACK, "--protocol", protocol, "--no-dashboard"]
    with ExitStack() as stack:
        scheduler = start_dask(stack, environment, "scheduler", "--port", "0", *common)
        listening = re.compile(rf"{protocol}://{LOOPBACK}:\d+")
        matches = (listening.search(line) for line in scheduler.stderr)
        address = next(match[0] for match in matches if match)
        for _ in range(2):
            words = ["worker", address, "--nthreads", str(THREADS), "--no-nanny"]
            start_dask(stack, environment, *words, *common)
        yield address


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_run_on_a_cluster_started_by_hand(protocol, tmp_path, monkeypatch):
    """Workers started without workbench serve by Unix socket, by TCP, and by Dask's TLS."""
    from dask.config import refresh

    from workbench.engine.dask import Cluster, connected

    variables = tls_configuration(tmp_path) if protocol == "tls" else {}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refresh()
    try:
        with cluster_by_hand(protocol, variables) as address, connected(address, 2, 2) as cluster:
            cluster.client.wait_for_workers(2, timeout=120)
            places = {"wall 0": 0, "wall 1": 1, "thrower": 0, "catcher": 1, "thrown": 0}
            for shares_memory in (True, False):
                bounce(Cluster(cluster.client, 4, places, shares_memory))
    finally:
        monkeypatch.undo()
        refresh()


def bounce(cluster):
    """Throw arrays from one worker to both, and check all that comes back."""
    walls = {"wall 0": Wall(), "wall 1": Wall()}
    rows = []
    makers = {
        "thrower": partial(thrower, tuple(walls), "thrown"),
        "catcher": partial(catcher, "thrown"),
    }
    outcome = cluster.run(makers, walls, rows.append)
    assert outcome.returned == {"thrower": ROUNDS, "catcher": CATCHER_SUM}
    assert [wall.count for wall in walls.values()] == [ROUNDS, ROUNDS]
    assert sum(row.kind == "throw" for row in rows) == ROUNDS

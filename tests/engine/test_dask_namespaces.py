"""A cluster whose scheduler and workers are on hosts of their own, with narrow links and TLS."""

import threading
import time
from functools import partial

import numpy as np
import pytest
from bouncing import Bounce, Wall
from namespaces import cluster_of_hosts, why_none
from toy import Rows, Toy, of_kind, settings

from workbench.engine import Ask, Emit, Now, Process
from workbench.storage.rows import Row
from workbench.system.unchanging import unchanging

distributed = pytest.importorskip("distributed")
reason = why_none()
pytestmark = [
    pytest.mark.dask,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(bool(reason), reason=reason),
]

MEGABITS = 80.0  # of every link: 10 MB a second
WORKERS = 3
THREADS = 6
CUT_SECONDS = 2.0
THROWS = 3  # of each thrower
NUMBERS = 500_000  # of a float32 message: 2 MB


@unchanging(kw_only=True, slots=False)
class CameRow(Row, kind="came"):
    """A thrown array has come back."""

    took: float


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A client of such a cluster, and the hosts of its workers."""
    with cluster_of_hosts(tmp_path_factory.mktemp("tls"), WORKERS, THREADS, MEGABITS) as made:
        yield made.client, made.workers


def throws(service: str, rounds: int) -> Process:
    """Throw an array and wait for it, so many times."""
    for _ in range(rounds):
        began = yield Now()
        yield Ask(service, Bounce(np.zeros(NUMBERS, np.float32)))
        yield Emit(CameRow(took=(yield Now()) - began))


def seconds_of_throws(client, throwers: int) -> float:
    """How long so many throwers, on hosts of their own, throw three times at walls on another."""
    from workbench.engine.dask import Cluster

    numbers = range(throwers)
    services = {f"wall {i}": Wall() for i in numbers}
    makers = {f"thrower {i}": partial(throws, f"wall {i}", THROWS) for i in numbers}
    places = {f"wall {i}": 2 for i in numbers} | {f"thrower {i}": i for i in numbers}
    rows: list[Row] = []
    Cluster(client, 4, places).run(makers, services, rows.append)
    came = [row for row in rows if isinstance(row, CameRow)]
    assert len(came) == THROWS * throwers
    return max(row.seconds for row in came) - min(row.seconds - row.took for row in came)


def test_hosts_share_no_memory_and_links_are_shared(place):
    """No message is faster than a link, and two senders to one host share its link.

    That is what the cost clock assumes. Each throw goes there and back.
    """
    one_way = 4 * NUMBERS * 8 / (MEGABITS * 1e6)
    assert seconds_of_throws(place[0], 1) > 0.9 * 2 * THROWS * one_way
    assert seconds_of_throws(place[0], 2) > 0.9 * (2 * THROWS + 1) * one_way


def run_toy(client, meanwhile=lambda: None, **changes):
    """The toy on the cluster, while something happens to the hosts."""
    from workbench.engine.dask import Cluster

    toy = Toy(utterances=60)
    s = settings(criterion="mmi", replicas=3, shards=2, epochs=6.0, **changes)
    shards = toy.shards(s)
    services = shards.servers(s)
    makers = {name: partial(toy.process, name, s, None) for name in toy.processes(s, shards)}
    rows = Rows()
    begun = threading.Event()

    def emit(row: Row) -> None:
        rows.emit(row)
        if row.kind == "push":
            begun.set()

    def trouble() -> None:
        begun.wait()
        meanwhile()

    thread = threading.Thread(target=trouble)
    thread.start()
    Cluster(client, 4).run(makers, services, emit)
    thread.join()
    return of_kind(rows, "push"), services


def check_each_push_once(pushes, services) -> None:
    """Each push of each replica was applied once, at every shard."""
    assert {row["status"] for row in pushes} == {"applied"}
    assert len({(row["replica"], row["step"]) for row in pushes}) == len(pushes)
    assert {service.version for service in services.values()} == {len(pushes)}


def test_a_host_that_is_cut_off_for_a_while_loses_nothing(place):
    """The run waits for it and goes on; each push counts once."""
    client, workers = place
    down: list[float] = []

    def cut() -> None:
        workers[1].cut()
        began = time.monotonic()
        time.sleep(CUT_SECONDS)
        down.append(time.monotonic() - began)
        workers[1].join()

    pushes, services = run_toy(client, cut)
    check_each_push_once(pushes, services)
    assert down[0] >= CUT_SECONDS
    of_host = sorted(row["seconds"] for row in pushes)
    assert max(np.diff(of_host)) > 0.5 * CUT_SECONDS  # it was felt


def test_a_host_whose_link_is_slow_loses_nothing(place):
    """Its replica is late, the others go on, and each push counts once."""
    client, workers = place
    workers[2].limit(0.2)
    try:
        pushes, services = run_toy(client)
    finally:
        workers[2].limit(MEGABITS)
    check_each_push_once(pushes, services)

"""The laws on a real Dask cluster: two workers on this machine, loopback only, no dashboard."""

import json
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from toy import Rows, Toy, of_kind, settings, trace_rows

from workbench.engine import Local, Lost, Service
from workbench.engine.trace import read_traces, wrap_for_recording, wrap_for_replay
from workbench.settings import UserError

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.dask,
    pytest.mark.filterwarnings("default"),
]  # Dask's own warnings are not ours to mend

TOY = Toy()


def new_cluster(workers=2, threads=8):
    from workbench.engine.dask import local_cluster

    return local_cluster(workers, threads)


@pytest.fixture(scope="module")
def client():
    with new_cluster() as cluster, distributed.Client(cluster) as client:
        client.run(sys.path.append, str(Path(__file__).parents[1]))
        yield client


def on(
    client,
    s,
    toy=TOY,
    states=None,
    services=None,
    wrap=lambda makers, services: (makers, services),
    **more,
):
    """(parameters, rows, outcome, services) of a run on the cluster, or of a part of it."""
    from workbench.engine.dask import Cluster

    shards, rows = toy.shards(s), Rows()
    services = services or shards.servers(s)
    makers = {name: partial(toy.process, name, s, states) for name in toy.processes(s, shards)}
    makers, services = wrap(makers, services)
    outcome = Cluster(client, s.asynchrony.channel).run(makers, services, rows.emit, **more)
    bare = {name: getattr(service, "service", service) for name, service in services.items()}
    return shards.collect(bare), rows, outcome, bare


def test_one_replica_is_plain_sgd_bit_for_bit(client):
    """On the cluster too: the parameters are those of Local on the free clock, which are those of the loop."""
    s = settings(shards=3)
    assert np.array_equal(on(client, s)[0], TOY.run(s)[0])


def test_one_replica_that_prefetches_has_a_delay_of_one(client):
    """What is fetched during a gradient lacks its update, on the cluster as on Local."""
    s = settings(shards=3, prefetch=True, wire="bfloat16")
    theta, rows, _, services = on(client, s)
    pushes = of_kind(rows, "push")
    assert {server.version for server in services.values()} == {len(pushes)}
    assert np.array_equal(theta, TOY.run(s)[0])
    assert {r["staleness_inner"] for r in pushes[1:]} == {1.0}


@pytest.mark.parametrize("prefetch", [False, True])
def test_updates_applied_are_pushes_accepted(client, prefetch):
    """Each shard has applied every push once; every row has come; the run learns; the record is replayed on Local."""
    s = settings(criterion="mmi", replicas=3, shards=2, epochs=3.0, prefetch=prefetch)
    theta, rows, outcome, services = on(
        client, s, wrap=partial(wrap_for_recording, segment=0, digest_every=1)
    )
    pushes = of_kind(rows, "push")
    assert (
        {server.version for server in services.values()}
        == {len(pushes)}
        == {len(services["server 0"].ledger)}
    )
    assert (
        services["server 1"].frames
        == 3 * TOY.offsets[-1]
        == sum(r["frames"] for r in of_kind(rows, "decode"))
    )
    assert len(of_kind(rows, "usage")) == 9 and all(
        state.finished for state in outcome.returned.values()
    )
    assert of_kind(rows, "evaluate")[-1]["criterion"] > TOY.evaluate(TOY.theta).criterion + 0.5

    trace = read_traces(trace_rows(json.loads(json.dumps(rows))))[0]
    shards = TOY.shards(s)
    makers = {name: partial(TOY.process, name, s) for name in TOY.processes(s, shards)}
    makers, replayed = wrap_for_replay(makers, shards.servers(s), trace)
    Local(capacity=10**9).run(makers, replayed, lambda row: None)
    again = shards.collect({name: r.service for name, r in replayed.items()})
    assert np.array_equal(again, theta)


def test_a_run_rests_and_goes_on(client):
    """Brought to rest in the middle, all return their states; gone on with, nothing is lost and nothing done twice."""
    s, seen = settings(criterion="mmi", replicas=2, epochs=12.0, evaluate_every=9.0), []

    def rest():
        return bool(seen) or seen.append(1)  # at the second look

    _, before, outcome, services = on(client, s, rest=rest)
    assert not any(state.finished for name, state in outcome.returned.items() if "replica" in name)
    frames = services["server 0"].frames
    more = dict(
        states=outcome.returned, services=services, channels=outcome.channels, ticks=outcome.ticks
    )
    _, after, outcome, services = on(client, s, **more)
    assert frames < services["server 0"].frames == 12 * TOY.offsets[-1]
    pushes = [(r["replica"], r["step"]) for r in of_kind(before + after, "push")]
    assert len(set(pushes)) == len(pushes) == services["server 0"].version
    assert after[0]["seconds"] >= before[-1]["seconds"] - 1


class Broken(Toy):
    """Its second gradient fails."""

    def gradient(self, theta, batch):
        if theta.any() and theta[0] != self.theta[0]:
            raise ArithmeticError("no gradient today")
        return super().gradient(theta, batch)


def test_an_error_ends_the_run_and_names_the_process(client):
    """What a component raises arrives, with its name; the workers are free again."""
    s = settings(criterion="mmi", replicas=2)
    with pytest.raises(ArithmeticError, match="no gradient today") as caught:
        on(client, s, Broken())
    assert "in process 'replica" in caught.value.__notes__[0]
    assert client.submit(int, 7, pure=False).result(10) == 7 and not any(
        client.processing().values()
    )


def test_more_processes_than_threads_are_refused(client):
    """Before anything starts, with what to do."""
    with pytest.raises(
        UserError, match="31 processes need as many threads, but the cluster has 16"
    ):
        on(client, settings(criterion="mmi", replicas=15))


def test_nothing_listens_off_loopback(client):
    """No socket of scheduler or workers is bound to another address."""
    pids = {os.getpid(), *client.run(os.getpid).values()}
    inodes = {
        os.stat(f).st_ino for pid in pids for f in Path(f"/proc/{pid}/fd").iterdir() if f.exists()
    }
    lines = [
        x.split()
        for f in ("tcp", "tcp6")
        for x in Path(f"/proc/net/{f}").read_text().splitlines()[1:]
    ]
    listening = [x[1].split(":")[0] for x in lines if x[3] == "0A" and int(x[9]) in inodes]
    assert len(listening) >= 3 and set(listening) == {"0100007F"}


class Arriving(Service):
    """A service that does something as soon as it arrives in another process."""

    def __init__(self, act, home=None):
        self.act, self.home = act, home or os.getpid()
        if os.getpid() != self.home:
            act()

    def answer(self, call):
        raise NotImplementedError

    def __reduce__(self):
        return Arriving, (self.act, self.home)


def die_soon():
    threading.Timer(0.5, os._exit, (9,)).start()


def lost_while_it_settles(client):
    """The second worker dies as soon as it has its host, while the first one is still making its own."""
    from workbench.engine.dask import Cluster

    services = {"slow": Arriving(partial(time.sleep, 2)), "dying": Arriving(die_soon)}
    with pytest.raises(Lost):
        Cluster(client).run({}, services, print)


def test_a_lost_worker_ends_the_run():
    """The run fails with advice instead of being done twice by stealth; workers ignore a notebook's interrupt."""
    with new_cluster(2, 4) as cluster, distributed.Client(cluster) as client:
        client.run(sys.path.append, str(Path(__file__).parents[1]))
        lost_while_it_settles(client)
        client.wait_for_workers(2, timeout=60)
        client.run(sys.path.append, str(Path(__file__).parents[1]))
        pids, killed = list(client.run(os.getpid).values()), []
        for pid in pids:
            os.kill(pid, signal.SIGINT)

        def rest():
            if pids:
                os.kill(pids.pop(), signal.SIGKILL)
                pids.clear()
                killed.append(time.monotonic())
            return False

        with pytest.raises(Lost, match="resume the run from its last checkpoint"):
            on(client, settings(replicas=4, epochs=1e3, evaluate_every=1e3), rest=rest)
        assert time.monotonic() - killed[0] < 15

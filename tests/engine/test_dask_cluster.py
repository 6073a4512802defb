"""What must hold on every executor holds on a Dask cluster.

It has two workers on this machine, loopback only, no dashboard.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from toy import PatientToy, Rows, Toy, ToyRun, of_kind, settings, trace_rows, waiting_for

from workbench.engine import Local, Lost, Service
from workbench.engine.trace import read_traces, wrap_for_recording, wrap_for_replay
from workbench.settings import UserError

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.dask,
    pytest.mark.filterwarnings("default"),  # Dask's own warnings are not this project's to mend
]

TOY = Toy()
TESTS = Path(__file__).parents[1]
LISTENING = "0A"  # the state of a socket in /proc/net/tcp
LOOPBACK = "0100007F"  # 127.0.0.1 there


def new_cluster(workers=2, threads=8):
    from workbench.engine.dask import local_cluster

    return local_cluster(workers, threads)


@pytest.fixture(scope="module")
def client():
    with new_cluster() as cluster, distributed.Client(cluster) as client:
        find_tests(client)
        yield client


def find_tests(client):
    """Let the workers import the toy."""
    client.run(sys.path.append, str(TESTS))


def run_on(client, s, toy=TOY, states=None, services=None, wrap=None, **more) -> ToyRun:
    """The toy on the cluster; ``wrap`` may change makers and services.

    ``more`` goes to the executor.
    """
    from workbench.engine.dask import Cluster

    shards = toy.shards(s)
    services = services or shards.servers(s)
    makers = {name: partial(toy.process, name, s, states) for name in toy.processes(s, shards)}
    if wrap:
        makers, services = wrap(makers, services)
    rows = Rows()
    outcome = Cluster(client, s.asynchrony.channel).run(makers, services, rows.emit, **more)
    bare = {name: getattr(service, "service", service) for name, service in services.items()}
    return ToyRun(shards.collect(bare), rows, outcome, bare)


def test_one_replica_is_plain_sgd_bit_for_bit(client):
    """The parameters are those of Local on the free clock, which are those of the loop."""
    s = settings(shards=3)
    assert np.array_equal(run_on(client, s).theta, TOY.run(s)[0])


def test_one_replica_that_prefetches_has_a_delay_of_one(client):
    """What is fetched during a gradient lacks its update, on the cluster as on Local."""
    s = settings(shards=3, prefetch=True, wire="bfloat16")
    run = run_on(client, s)
    pushes = of_kind(run.rows, "push")
    assert {server.version for server in run.services.values()} == {len(pushes)}
    assert np.array_equal(run.theta, TOY.run(s)[0])
    assert {row["staleness_inner"] for row in pushes[1:]} == {1.0}


@pytest.mark.parametrize("prefetch", [False, True])
def test_updates_applied_are_pushes_accepted(client, prefetch):
    """Each shard applies every push once, every row arrives, and Local replays the record."""
    s = settings(criterion="mmi", replicas=3, shards=2, epochs=3.0, prefetch=prefetch)
    run = run_on(client, s, wrap=partial(wrap_for_recording, segment=0, digest_every=1))
    updates = len(of_kind(run.rows, "push"))
    frames = 3 * TOY.offsets[-1]
    assert {server.version for server in run.services.values()} == {updates}
    assert len(run.services["server 0"].ledger) == updates
    assert run.services["server 1"].frames == frames
    assert sum(row["frames"] for row in of_kind(run.rows, "decode")) == frames
    assert len(of_kind(run.rows, "usage")) == 9
    assert all(state.finished for state in run.outcome.returned.values())
    criterion = of_kind(run.rows, "evaluate")[-1]["criterion"]
    assert criterion > TOY.evaluate(TOY.theta).criterion + 0.5

    trace = read_traces(trace_rows(json.loads(json.dumps(run.rows))))[0]
    shards = TOY.shards(s)
    makers = {name: partial(TOY.process, name, s) for name in TOY.processes(s, shards)}
    makers, replayed = wrap_for_replay(makers, shards.servers(s), trace)
    Local(capacity=10**9).run(makers, replayed, lambda row: None)
    again = shards.collect({name: wrapped.service for name, wrapped in replayed.items()})
    assert np.array_equal(again, run.theta)


def test_the_decoders_parameters_reach_the_replica(client):
    """Each utterance that trains is compared once, with parameters of the recorded versions."""
    s = settings(criterion="mmi", replicas=3, shards=2, epochs=3.0, drift_every=1)
    rows = run_on(client, s).rows
    drifts = of_kind(rows, "drift")
    decoded = Counter(row["utterance"] for row in of_kind(rows, "decode") if row["kept"])
    assert Counter(row["utterance"] for row in drifts) == decoded
    for row in drifts:
        behind = np.subtract(row["versions"], row["outer_versions"])
        assert row["staleness"] == behind.mean()
        assert (row["distances"][0] > 0) == behind.any()


class SecondLook:
    """Wants the run to rest from the second time on that it is asked."""

    looks = 0

    def __call__(self):
        self.looks += 1
        return self.looks > 1


def test_a_run_rests_and_is_resumed(client):
    """Brought to rest in the middle, all return their states.

    Resumed, nothing is lost and nothing done twice.
    """
    s = settings(criterion="mmi", replicas=2, epochs=12.0, evaluate_every=9.0)
    first = run_on(client, s, rest=SecondLook())
    replicas = [state for name, state in first.outcome.returned.items() if "replica" in name]
    assert not any(state.finished for state in replicas)
    frames = first.services["server 0"].frames

    second = run_on(
        client,
        s,
        states=first.outcome.returned,
        services=first.services,
        channels=first.outcome.channels,
        ticks=first.outcome.ticks,
    )
    server = second.services["server 0"]
    assert frames < server.frames == 12 * TOY.offsets[-1]
    pushes = [(row["replica"], row["step"]) for row in of_kind(first.rows + second.rows, "push")]
    assert len(set(pushes)) == len(pushes) == server.version
    assert second.rows[0]["seconds"] >= first.rows[-1]["seconds"] - 1


def test_a_stop_does_not_wait_for_an_evaluation(client):
    """Asked to give way, the evaluator returns the state that it began with, and is replayed."""
    s = settings(replicas=2, epochs=1e3)
    stop = SecondLook()
    wrap = partial(wrap_for_recording, segment=0)
    run = run_on(client, s, PatientToy(), wrap=wrap, rest=stop, give_way=stop)
    state = run.outcome.returned["evaluator"]
    assert (state.index, state.finished) == (0, False)

    trace = read_traces(trace_rows(json.loads(json.dumps(run.rows))))[0]
    shards = TOY.shards(s)
    makers = {name: partial(TOY.process, name, s) for name in TOY.processes(s, shards)}
    makers, replayed = wrap_for_replay(makers, shards.servers(s), trace)
    again = Local(capacity=10**9).run(makers, replayed, lambda row: None)
    assert again.returned["evaluator"] == state


class Broken(Toy):
    """Its second gradient fails."""

    def gradient(self, theta, batch):
        if theta.any() and theta[0] != self.theta[0]:
            raise ArithmeticError("no gradient today")
        return super().gradient(theta, batch)


def test_an_error_ends_the_run_and_names_the_process(client):
    """The error of a component arrives with the name of the process; the workers are free again."""
    s = settings(criterion="mmi", replicas=2)
    with pytest.raises(ArithmeticError, match="no gradient today") as caught:
        run_on(client, s, Broken())
    assert "in process 'replica" in caught.value.__notes__[0]
    assert client.submit(int, 7, pure=False).result(10) == 7
    assert not any(client.processing().values())


class BrokenAndPatient(Broken, PatientToy):
    """Fails while it is evaluated."""


def test_an_error_does_not_wait_for_an_evaluation(client):
    """The evaluation ends by itself, so that its worker need not be ended."""
    before = client.run(os.getpid)
    with pytest.raises(ArithmeticError, match="no gradient today"):
        run_on(client, settings(replicas=2), BrokenAndPatient())
    assert client.run(os.getpid) == before


def test_more_processes_than_threads_are_refused(client):
    """Before anything starts, with what to do."""
    with pytest.raises(
        UserError, match="31 processes need as many threads, but the cluster has 16"
    ):
        run_on(client, settings(criterion="mmi", replicas=15))


def test_a_worker_that_went_after_the_fit_is_lost(client):
    """Between the fit and the start of a run; the run is resumed as after any other loss."""
    from workbench.engine.dask import Cluster

    cluster = Cluster(client).fitted(4, 15, lambda threads: {})
    heard = cluster.heartbeats.look()
    gone = max(heard.values(), key=lambda heartbeat: heartbeat.name)
    del heard[gone.address]
    cluster.heartbeats.look = lambda run="": heard
    with pytest.raises(Lost, match="15 processes need as many threads, but the cluster has 8"):
        cluster.run(dict.fromkeys("abcdefghijklmno"), {}, Rows().emit)


def test_nothing_listens_off_loopback(client):
    """No socket of scheduler or workers is bound to another address."""
    own = socket_inodes({os.getpid(), *client.run(os.getpid).values()})
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            address = columns[1]
            state = columns[3]
            inode = int(columns[9])
            if state == LISTENING and inode in own:
                listening.append(address.split(":")[0])
    assert len(listening) >= 3
    assert set(listening) == {LOOPBACK}


def socket_inodes(pids):
    """The inodes of all open files of these processes."""
    files = [file for pid in pids for file in Path(f"/proc/{pid}/fd").iterdir()]
    return {os.stat(file).st_ino for file in files if file.exists()}


def test_signals_to_our_process_group_do_not_reach_the_workers(client):
    """Ctrl-C, a notebook's interrupt and SIGTERM of a batch system are for the driver alone."""
    groups = set(client.run(os.getpgrp).values())
    assert len(groups) == 2
    assert os.getpgrp() not in groups


def test_dasks_configuration_is_as_before_outside():
    """A local cluster changes Dask's configuration for as long as it exists, and no longer."""
    import dask

    name = "distributed.deploy.lost-worker-timeout"
    before = dask.config.get(name)
    with new_cluster(1, 1):
        assert dask.config.get(name) == "3650 days"
    assert dask.config.get(name) == before


def test_an_earlier_loss_ends_no_worker_that_starts_again(monkeypatch):
    """Dask looks once more long after a loss, and ends the nanny if the worker is absent then."""
    looks = []
    with new_cluster(1, 1) as cluster:
        loop = cluster.loop.asyncio_loop
        call_later = loop.call_later

        def record(delay, function, *arguments, **more):
            if function.__qualname__.startswith("SpecCluster._update_worker_status"):
                looks.append(delay)
            return call_later(delay, function, *arguments, **more)

        monkeypatch.setattr(loop, "call_later", record)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        give_up = time.monotonic() + 60
        while not looks and time.monotonic() < give_up:
            time.sleep(0.05)
    assert looks
    assert min(looks) > 365 * 24 * 3600


class Arriving(Service):
    """A service that does something as soon as it arrives in another process."""

    def __init__(self, act, home=None):
        self.act = act
        self.home = home or os.getpid()
        if os.getpid() != self.home:
            act()

    def answer(self, call):
        raise NotImplementedError

    def __reduce__(self):
        return Arriving, (self.act, self.home)


def die_soon():
    threading.Timer(0.5, os._exit, (9,)).start()


def lose_a_worker_while_hosts_are_made(client):
    """The second worker dies as soon as it has its host, while the first still makes its own."""
    from workbench.engine.dask import Cluster

    services = {"slow": Arriving(partial(time.sleep, 2)), "dying": Arriving(die_soon)}
    with pytest.raises(Lost):
        Cluster(client).run({}, services, print)


class KillAWorker:
    """Kills a worker the first time that the run asks whether to rest, and lets the run go on."""

    number = signal.SIGKILL

    def __init__(self, pid):
        self.pid = pid
        self.killed = False

    def __call__(self):
        if not self.killed:
            os.kill(self.pid, self.number)
            self.killed = True
        return False


def test_a_lost_worker_ends_the_run():
    """The run fails with advice and no part of it is repeated.

    Workers ignore a notebook's interrupt.
    """
    with new_cluster(2, 4) as cluster, distributed.Client(cluster) as client:
        find_tests(client)
        lose_a_worker_while_hosts_are_made(client)
        client.wait_for_workers(2, timeout=600)
        find_tests(client)
        pids = list(client.run(os.getpid).values())
        for pid in pids:
            os.kill(pid, signal.SIGINT)

        rest = KillAWorker(pids[-1])
        with pytest.raises(Lost, match="resume the run from its last checkpoint"):
            run_on(client, settings(replicas=4, epochs=1e3, evaluate_every=1e3), rest=rest)
        assert rest.killed


def test_a_worker_that_is_lost_with_what_its_processes_returned(monkeypatch):
    """The run is lost too, although all of its processes have returned; nobody waits for ever."""
    with new_cluster(2, 4) as cluster, distributed.Client(cluster) as client:
        find_tests(client)
        kill = KillAWorker(list(client.run(os.getpid).values())[-1])
        result = distributed.Future.result

        def killing(future, timeout=None):
            assert timeout is not None, "it would be waited for without an end"
            if future.key.endswith(tuple(TOY.processes(s, TOY.shards(s)))):
                kill()
            return result(future, timeout)

        s = settings(replicas=4)
        monkeypatch.setattr(distributed.Future, "result", killing)
        with pytest.raises(Lost, match="resume the run from its last checkpoint"):
            run_on(client, s)
        assert kill.killed


class StopAWorker(KillAWorker):
    """Stops a worker for good the first time that the run asks whether to rest."""

    number = signal.SIGSTOP


def test_a_worker_that_hangs_is_replaced():
    """A run with a worker that hangs is lost; it is ended, and another takes its place."""
    with new_cluster(2, 4) as cluster, distributed.Client(cluster) as client:
        find_tests(client)
        before = list(client.run(os.getpid).values())
        rest = StopAWorker(before[0])
        with pytest.raises(Lost, match=r"\(hung\)"):
            run_on(client, settings(replicas=4, epochs=1e3, evaluate_every=1e3), rest=rest)

        client.wait_for_workers(2, timeout=600)
        after = set(client.run(os.getpid).values())
        assert len(after) == 2
        assert not after & {rest.pid}
        find_tests(client)
        assert run_on(client, settings(replicas=2)).outcome.returned


def test_a_run_that_stands_still_is_lost(client, monkeypatch):
    """Components that wait for each other for ever end the run, which says so."""
    from workbench.engine.dask import Cluster, watch

    monkeypatch.setattr(watch, "STILL_SECONDS", 1.0)
    makers = {name: partial(waiting_for, name) for name in ("a", "b")}
    with pytest.raises(Lost, match="no process has gone on"):
        Cluster(client).run(makers, {}, print)

"""What travels between processes arrives as it was sent, and no process sees lent memory change."""

import gc
import multiprocessing
import os
import signal
import socket
import time
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from toy import settings

from workbench.engine.effects import CLOSED, NOT_YET, Ask, Call, Lost, Service
from workbench.storage.codec import ImportedTypes, decode, encode
from workbench.system import memory
from workbench.training import Item, ParameterServer, Push
from workbench.training.messages import Ack, DecodedUtterance, Fetch, PushStatus, Snapshot

pytest.importorskip("distributed")
from workbench.engine.dask.connection import Connection
from workbench.engine.dask.host import Calls, Host, Reply
from workbench.engine.dask.listener import Failed, Listener, connect
from workbench.engine.dask.shared_memory import Segment

TOKEN = b"t" * 32
SIZE = 1 << 16
TIMEOUT = 10.0
CONTEXT = multiprocessing.get_context("spawn")

SEGMENTS: weakref.WeakSet[Segment] = weakref.WeakSet()  # those that exist


def make_segment(size):
    segment = Segment(size)
    SEGMENTS.add(segment)
    return segment


POOL = memory.Pool(make_segment)


@pytest.fixture(autouse=True, scope="module")
def shared_memory():
    """This process's parameters lie in memory that others can map."""
    before = memory.use(POOL)
    yield
    memory.use(before)


def test_messages_travel():
    """Messages of training, signals and failures travel."""
    x = np.arange(3)
    sent = [DecodedUtterance(x, (1, 2), 0.5), Ack(PushStatus.LATE, 3), CLOSED, Failed(Lost("gone"))]
    encoded = encode(sent, ImportedTypes())
    utterance, ack, signal_, failed = decode(encoded.json, encoded.arrays, ImportedTypes())
    assert utterance.decoded is x
    assert utterance.versions == (1, 2)
    assert ack == sent[1]
    assert signal_ is CLOSED
    assert type(failed.problem) is Lost
    assert failed.problem.args == ("gone",)


def pair(shares_memory):
    """Both ends of a connection within this process."""
    one, other = socket.socketpair(socket.AF_UNIX)
    return Connection(one, shares_memory), Connection(other, shares_memory)


@pytest.mark.parametrize("shares_memory", [True, False])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((0, 3)),
        np.array(7, np.int16),
        np.arange(12.0).reshape(3, 4).T,
        np.ones(5, bool),
        np.arange(9)[::2],
        np.arange(10_000),
    ],
)
def test_arrays_arrive(shares_memory, x):
    """Arrays of any shape and type arrive with their bits, and so does what follows them."""
    here, there = pair(shares_memory)
    here.send((x, "after"))
    found, after = there.receive()
    assert found.dtype == x.dtype
    assert found.shape == x.shape
    assert np.array_equal(found, x)
    assert after == "after"


def test_shared_memory_is_seen_and_given_back():
    """A published array is not copied.

    Its memory is used again once the last view in the peer is gone.
    """
    here, there = pair(True)
    x = memory.floats(SIZE)
    x[:] = 1
    address = x.ctypes.data
    here.send(x)
    seen = there.receive()[5:]
    assert memory.loan_of(seen).block.address != address
    assert not seen.flags.writeable
    x[7] = 42
    assert seen[2] == 42  # the same memory, which only a test would write to now

    del x
    assert memory.floats(SIZE).ctypes.data != address
    assert here.lends
    del seen
    there.send("and?")
    here.receive()
    assert not here.lends
    assert memory.floats(SIZE).ctypes.data == address
    assert len(there.session.mapped) == 1


def test_mappings_end_with_their_segments():
    """A segment that its owner has given up is unmapped by the peer, so memory cannot grow."""
    here, there = pair(True)
    for size in range(SIZE, 9 * SIZE, SIZE):
        here.send(memory.Pool(Segment).floats(size))  # memory that no pool keeps
        there.receive()
        there.send(0)
        here.receive()
    gc.collect()
    here.send(0)
    there.receive()
    assert len(there.session.mapped) <= 1


# --- between processes


@pytest.mark.slow
def test_a_version_is_never_written_while_another_process_sees_it():
    """A reader that holds on sees the bits that it got.

    One that is killed, or lets go, gives its versions back.
    """
    server = ParameterServer(np.zeros(SIZE, np.float32), settings(learning_rate=1.0))
    _, address = open_host({"server 0": server})
    gradient = np.ones(SIZE, np.float32)
    pipes, readers = zip(*(start_reader(address) for _ in range(2)), strict=True)
    for step in range(12):
        for pipe in pipes:
            pipe.send("fetch" if step % 2 == 0 else "look")
            assert pipe.recv()  # whether all that it holds is as it was
        server.push(Push(Item(0, step), gradient, step, "replica 0"))
    assert len(SEGMENTS) >= 6  # versions are held over there

    os.kill(readers[0].pid, signal.SIGKILL)
    readers[0].join()
    pipes[1].send("forget")
    assert pipes[1].recv()
    until = time.monotonic() + TIMEOUT
    while len(SEGMENTS) > memory.SPARE_BLOCKS + 3 and time.monotonic() < until:
        time.sleep(0.01)
    pipes[1].send("end")
    readers[1].join()
    assert len(SEGMENTS) <= memory.SPARE_BLOCKS + 3
    assert not list(Path("/dev/shm").glob("*workbench*"))


def open_host(services, number=0):
    """A host that listens in this process, and its address.

    It must be kept for as long as it is to answer.
    """
    host = Host("run", number, 4)
    host.hold(services, {}, {})
    address = host.open(TOKEN, True, False)
    memory.use(POOL)  # the host has put a pool of its own in its place
    return host, address


def start_reader(address):
    """A process that does what it is asked through a pipe, and the pipe."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=read_on, args=(there, address), daemon=True)
    process.start()
    return here, process


def read_on(pipe, address):
    """Fetches, and answers whether what was fetched before is unchanged."""
    connection = connect(address, TIMEOUT)
    held = []
    while (wanted := pipe.recv()) != "end":
        if wanted == "forget":
            held.clear()
        if wanted in ("fetch", "forget"):
            connection.send(calls("server 0", Fetch()))
            (snapshot,) = connection.receive().value
            if wanted == "fetch":
                held.append(snapshot)
        pipe.send(all((snapshot.value == snapshot.version).all() for snapshot in held))


def calls(service, call):
    """The request for one call."""
    return Calls((Ask(service, call),))


def test_a_push_is_read_where_it_lies():
    """Through shared memory and through the socket, a push makes the same update.

    Errors come back.
    """
    server = ParameterServer(np.zeros(SIZE, np.float32), settings(learning_rate=0.5))
    _host, address = open_host({"server 0": server})
    connection = connect(address, TIMEOUT)
    for step, make in enumerate((memory.floats, lambda size: np.empty(size, np.float32))):
        gradient = make(SIZE)
        gradient[:] = 2
        push = Push(Item(0, step), gradient, step, "replica 0")
        connection.send(calls("server 0", push))
        reply = connection.receive()
        assert (reply.value, reply.resting) == ([Ack(PushStatus.APPLIED, step)], False)
    assert (server.value == 2).all()
    assert not connection.lends

    connection.send(calls("server 0", Unlock()))
    assert isinstance(connection.receive().problem, TypeError)  # not a call to a parameter server
    connection.send("collect")
    assert isinstance(connection.receive().problem, TypeError)  # a process may not ask this


def test_who_does_not_know_the_token_is_not_answered():
    """Neither a caller with another token nor noise is answered.

    A caller trusts no host with another one.
    """
    _host, address = open_host({})
    with pytest.raises(Lost, match="host 0 cannot be reached"):
        connect(replace(address, token=b"x" * 32), TIMEOUT)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"\0{address.unix}")
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n".ljust(64))
        assert len(sock.recv(1 << 10)) == 32
        assert sock.recv(1 << 10) == b""
    assert b"t" * 8 not in repr(address).encode()
    assert connect(address, TIMEOUT)


def test_by_tcp_it_is_the_same():
    """A caller of another machine gets aligned copies of the same bits.

    Only the worker's own address listens.
    """
    listener = Listener(0, TOKEN, lambda request: request[::-1], False, "tcp://127.0.0.1:1")
    connection = connect(listener.address, TIMEOUT)
    x = memory.floats(SIZE)
    x[:] = np.arange(SIZE)
    x.flags.writeable = False
    connection.send([x, Snapshot(3, x[1:])])
    snapshot, found = connection.receive()
    assert np.array_equal(found, x)
    assert np.array_equal(snapshot.value, x[1:])
    assert not connection.lends
    assert not found.flags.writeable
    assert found.ctypes.data % memory.CACHE_LINE == 0
    assert listener.address.tcp == "127.0.0.1"
    listener.close()
    with pytest.raises(Lost, match="cannot be reached"):
        connect(listener.address, TIMEOUT)


def test_a_reply_that_cannot_travel_is_an_error_of_the_caller():
    """The caller gets why, and the connection can be used again."""
    listener = Listener(0, TOKEN, lambda request: Path() if request == "path" else request, True)
    connection = connect(listener.address, TIMEOUT)
    connection.send("path")
    assert "cannot be encoded" in str(connection.receive().problem)
    connection.send("next")
    assert connection.receive() == "next"
    listener.close()


@dataclass(frozen=True)
class Pass(Call[str]):
    """Wait until the gate is open."""


@dataclass(frozen=True)
class Unlock(Call[None]):
    """Open the gate."""


class Gate(Service):
    """A service at which some calls wait until another call has opened it."""

    open = False

    def answer(self, call):
        if isinstance(call, Pass):
            return "through" if self.open else NOT_YET
        self.open = True
        self.released += 1
        return None


def test_a_call_waits_for_a_release_and_holds_up_nobody():
    """One caller waits at the gate, another opens it."""
    _host, address = open_host({"gate": Gate()}, number=1)
    one = connect(address, TIMEOUT)
    other = connect(address, TIMEOUT)
    one.send(calls("gate", Pass()))
    other.send(calls("gate", Unlock()))
    unlocked: Reply = other.receive()
    assert unlocked.value == [None]
    passed: Reply = one.receive()
    assert (passed.value, passed.resting) == (["through"], False)

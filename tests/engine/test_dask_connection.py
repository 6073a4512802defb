"""Laws of the way of the data between processes: what arrives is what was sent, and nobody sees memory change."""

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
from hypothesis import given
from hypothesis import strategies as st
from toy import settings

from workbench import memory
from workbench.engine.effects import CLOSED, NOT_YET, Call, Lost, Service
from workbench.training import Item, ParameterServer, Push
from workbench.training.messages import Ack, DecodedUtterance, Fetch, PushStatus, Snapshot

pytest.importorskip("distributed")
from workbench.engine.dask.codec import read, written
from workbench.engine.dask.connection import Line
from workbench.engine.dask.host import Host
from workbench.engine.dask.listener import Door, Failed, called
from workbench.engine.dask.shared_memory import Segment

TOKEN, SIZE = b"t" * 32, 1 << 16
CONTEXT = multiprocessing.get_context("spawn")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
MADE = weakref.WeakSet()
POOL = memory.Pool(lambda size: (segment := Segment(size), MADE.add(segment))[0])
VALUES = st.recursive(
    SCALARS,
    lambda x: (
        st.lists(x, max_size=3)
        | st.tuples(x, x)
        | st.dictionaries(st.text(max_size=3), x, max_size=3)
    ),
)


@pytest.fixture(autouse=True, scope="module")
def shared():
    """This process's parameters lie in memory that others can map."""
    before = memory.use(POOL)
    yield
    memory.use(before)


@given(VALUES)
def test_what_is_written_is_read(value):
    """Scalars, sequences and dicts keep their value and their type."""
    assert repr(read(written(value, {}), [])) == repr(value)


def test_messages_travel():
    """So do dataclasses with their arrays, each of which goes once, signals, numbers of numpy and errors; not more."""
    x, arrays = np.arange(3), {}
    sent = [
        DecodedUtterance(x, (1, 2), 0.5),
        Ack(PushStatus.LATE, 3),
        CLOSED,
        np.float32(0.1),
        Failed(Lost("gone")),
        x,
    ]
    back = read(written(sent, arrays), list(arrays.values()))
    assert len(arrays) == 1 and back[0].decoded is back[5] is x and back[0].versions == (1, 2)
    assert (
        back[1] == sent[1]
        and back[2] is CLOSED
        and type(back[3]) is np.float32
        and back[3] == sent[3]
    )
    assert type(back[4].problem) is Lost and back[4].problem.args == ("gone",)
    with pytest.raises(TypeError, match="cannot be sent to another process: PosixPath"):
        written([Path()], {})
    with pytest.raises(TypeError, match="is not known"):
        read({"fields": [], "type": "subprocess:Popen"}, [])


def pair(shares):
    a, b = socket.socketpair(socket.AF_UNIX)
    return Line(a, shares), Line(b, shares)


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((0, 3)),
        np.array(7, np.int16),
        np.arange(12.0).reshape(3, 4).T,
        np.ones(5, bool),
        np.arange(9)[::2],
    ],
)
def test_arrays_arrive(shares, x):
    """Whatever their shape and type, with the bits that they had."""
    here, there = pair(shares)
    here.send((x, "after"))
    found, after = there.receive()
    assert (
        found.dtype == x.dtype
        and found.shape == x.shape
        and np.array_equal(found, x)
        and after == "after"
    )


def test_shared_memory_is_seen_and_given_back():
    """What is published is not copied; it is the sender's until the last view over there is gone, then used again."""
    here, there = pair(True)
    x = memory.floats(SIZE)
    x[:] = 1
    place = x.ctypes.data
    here.send(x)
    seen = there.receive()[5:]
    assert (
        seen.base is not None
        and memory.loan_of(seen).block.address != place
        and not seen.flags.writeable
    )
    x[7] = 42
    assert seen[2] == 42  # the same memory, which only a test would write to now
    del x
    assert memory.floats(SIZE).ctypes.data != place and len(here.lent) == 1
    del seen
    there.send("and?")
    here.receive()
    assert here.lent == {} and memory.floats(SIZE).ctypes.data == place
    assert len(there.mapped) == 1


def test_mappings_end_with_their_segments():
    """A segment that its owner has given up is given up by whoever mapped it, so memory cannot grow."""
    here, there = pair(True)
    for size in range(SIZE, 9 * SIZE, SIZE):
        here.send(memory.Pool(Segment).floats(size))  # memory that no pool keeps
        there.receive()
        there.send(0)
        here.receive()
    gc.collect()
    here.send(0)
    there.receive()
    assert len(there.mapped) <= 1


# --- between processes


def test_a_version_is_never_written_while_another_process_sees_it():
    """A reader that holds on sees the bits that it got; one that is killed, or lets go, gives its versions back."""
    server = ParameterServer(np.zeros(SIZE, np.float32), settings(learning_rate=1.0))
    host, gradient = a_host(server), np.ones(SIZE, np.float32)
    pipes, readers = zip(*(reader(host) for _ in range(2)), strict=True)
    for step in range(12):
        for pipe in pipes:
            pipe.send("fetch" if step % 2 == 0 else "look")
            assert pipe.recv()  # whether all that it holds is as it was
        server.push(Push(Item(0, step), gradient, step, "replica 0"))
    assert len(MADE) >= 6  # versions are held over there
    os.kill(readers[0].pid, signal.SIGKILL)
    readers[0].join()
    pipes[1].send("forget")
    assert pipes[1].recv()
    until = time.monotonic() + 10
    while len(MADE) > memory.SPARE + 3 and time.monotonic() < until:
        time.sleep(0.01)
    pipes[1].send("end")
    readers[1].join()
    assert len(MADE) <= memory.SPARE + 3 and not list(Path("/dev/shm").glob("*workbench*"))


def a_host(server):
    host = Host("run", 0, {"server 0": server}, 4, {})
    host.address = host.open(TOKEN, True, False)
    memory.use(POOL)
    return host


def reader(host):
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=read_on, args=(there, host.address), daemon=True)
    process.start()
    return here, process


def read_on(pipe, address):
    """Fetches, and looks whether what was fetched before has changed."""
    line, held = called(address, 10.0), []
    while (what := pipe.recv()) != "end":
        if what == "forget":
            held.clear()
        if what in ("fetch", "forget"):
            line.send(("call", ([("server 0", Fetch())],)))
            (snapshot,), _ = line.receive()
            if what == "fetch":
                held.append(snapshot)
        pipe.send(all((snapshot.value == snapshot.version).all() for snapshot in held))


def test_a_push_is_read_where_it_lies():
    """From another process through shared memory or, without, through the socket: the same update; errors come back."""
    server = ParameterServer(np.zeros(SIZE, np.float32), settings(learning_rate=0.5))
    host = a_host(server)
    line = called(host.address, 10.0)
    for step, make in enumerate((memory.floats, lambda size: np.empty(size, np.float32))):
        gradient = make(SIZE)
        gradient[:] = 2
        line.send(("call", ([("server 0", Push(Item(0, step), gradient, step, "replica 0"))],)))
        assert line.receive() == ([Ack(PushStatus.APPLIED, step)], False)
    assert (server.value == 2).all() and line.lent == {}
    line.send(("call", ([("server 0", Unlock())],)))
    assert isinstance(line.receive().problem, TypeError)  # not a call to a parameter server
    line.send(("collect", ()))
    assert isinstance(line.receive().problem, KeyError)  # not what a process may ask


def test_who_does_not_know_the_token_is_not_answered():
    """Neither a caller with another one, nor noise; and a caller trusts no host with another one."""
    host = a_host(ParameterServer(np.zeros(4, np.float32), settings()))
    with pytest.raises(Lost, match="host 0 cannot be reached"):
        called(replace(host.address, token=b"x" * 32), 10.0)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(f"\0{host.address.unix}")
        link.sendall(b"GET / HTTP/1.0\r\n\r\n".ljust(64))
        assert len(link.recv(1 << 10)) == 32 and link.recv(1 << 10) == b""
    assert b"t" * 8 not in repr(host.address).encode()
    assert called(host.address, 10.0)


def test_by_tcp_it_is_the_same():
    """A caller of another machine gets copies, aligned, of the same bits; only the worker's own address listens."""
    door = Door(0, TOKEN, lambda question: question[::-1], False, "tcp://127.0.0.1:1")
    line, x = called(door.address, 10.0), memory.floats(SIZE)
    x[:] = np.arange(SIZE)
    x.flags.writeable = False
    line.send([x, Snapshot(3, x[1:])])
    snapshot, found = line.receive()
    assert np.array_equal(found, x) and np.array_equal(snapshot.value, x[1:]) and line.lent == {}
    assert (
        not found.flags.writeable
        and found.ctypes.data % 64 == 0
        and door.address.tcp == "127.0.0.1"
    )
    door.close()
    with pytest.raises(Lost, match="cannot be reached"):
        called(door.address, 10.0)


@dataclass(frozen=True)
class Pass(Call[str]):
    """Wait until the gate is open."""


@dataclass(frozen=True)
class Unlock(Call[None]):
    """Open the gate."""


class Gate(Service):
    """Opens when it is unlocked."""

    open = False

    def answer(self, call):
        if isinstance(call, Pass):
            return "through" if self.open else NOT_YET
        self.open = True
        self.released += 1
        return None


def test_a_call_waits_for_a_release_and_holds_up_nobody():
    """One caller waits at the gate, another opens it."""
    host = Host("run", 1, {"gate": Gate()}, 4, {})
    address = host.open(TOKEN, True, False)
    one, other = called(address, 10.0), called(address, 10.0)
    one.send(("call", ([("gate", Pass())],)))
    other.send(("call", ([("gate", Unlock())],)))
    assert other.receive() == ([None], False)
    assert one.receive() == (["through"], False)

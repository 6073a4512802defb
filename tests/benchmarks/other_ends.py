"""The process at the other end of a round trip: our server behind its door, and what the machine can do at best."""

import mmap
import multiprocessing
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np
from benchmarks.rounds import trips

from workbench import memory
from workbench.engine.dask.connection import Line
from workbench.engine.dask.host import Host
from workbench.engine.dask.listener import Door, called
from workbench.engine.dask.shared_memory import Segment
from workbench.settings import Settings
from workbench.training import Item, ParameterServer, Push
from workbench.training.messages import Fetch
from workbench.training.updates import Step, add_scaled

RATE = np.float32(1e-6)
TOKEN = b"t" * 32
LOOPBACK = "127.0.0.1"
Ways = dict[str, Callable[[], float]]


def started(stack: ExitStack, target: Callable, *args: object) -> Connection:
    """A process of its own that runs ``target(pipe, *args)``; our end of the pipe."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *args), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.terminate)
    return here


# --- our server


def our_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """Through shared memory, and by TCP as if from another machine."""
    memory.use(memory.Pool(Segment))
    pipe = started(stack, serve_ours)

    def ways(size: int) -> Ways:
        pipe.send(size)
        address = pipe.recv()
        source = np.ones(size, np.float32)

        def to(line: Line, replica: str) -> Callable[[], float]:
            steps = iter(range(10**9))
            return lambda: trips(lambda: our_trip(line, source, next(steps), replica))

        local, remote = called(address, 60.0), called(replace(address, unix=""), 60.0)
        return {"our server, shared memory": to(local, "0"), "our server, TCP": to(remote, "1")}

    return ways


def our_trip(line: Line, source: np.ndarray, step: int, replica: str) -> None:
    """As a replica: fetch, write a gradient, push it."""
    line.send(("call", ([("server 0", Fetch())],)))
    (snapshot,), _ = line.receive()
    gradient = memory.floats(len(source))
    np.copyto(gradient, source)
    push = Push(Item(int(replica), step), gradient, snapshot.version, replica)
    line.send(("call", ([("server 0", push)],)))
    line.receive()


def serve_ours(pipe: Connection) -> None:
    """A host with a server of as many parameters as it is told, and then the next."""
    memory.use(memory.Pool(Segment))
    while True:
        server = ParameterServer(
            np.zeros(pipe.recv(), np.float32), Settings.of(learning_rate=float(RATE))
        )
        host = Host("bench", 0, {"server 0": server}, 4, {})
        door = Door(
            0,
            TOKEN,
            lambda question, host=host: host.answer(*question),
            True,
            f"tcp://{LOOPBACK}:0",
        )
        pipe.send(door.address)


# --- limits


def bare_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """Nothing but the bytes: memory that two processes share, a socket on loopback, and no server at all."""
    segment = Segment(mmap.PAGESIZE * (2 * 4 * 5_600_000 // mmap.PAGESIZE + 1))
    theirs = started(stack, serve_shared, os.getpid(), segment.file)
    listening = stack.enter_context(socket.create_server((LOOPBACK, 0)))
    sizes = started(stack, serve_tcp, listening.getsockname()[1])
    link, _ = listening.accept()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ways(size: int) -> Ways:
        source, into = np.ones(size, np.float32), np.empty(size, np.float32)
        theta, gradient = parts(segment.memory, size)
        sizes.send(size)

        def shared() -> None:
            np.copyto(gradient, source)
            theirs.send(size)
            theirs.recv()
            np.copyto(into, theta)

        def tcp() -> None:
            link.sendall(b"?")
            fill(link, into)
            link.sendall(source.view(np.uint8).data)
            link.recv(1)

        def hogwild() -> None:
            add_scaled(theta, Step(source, RATE), theta)

        return {
            "limit: bare shared memory": lambda: trips(shared),
            "limit: bare TCP": lambda: trips(tcp),
            "no server: shared parameters changed in place": lambda: trips(hogwild),
        }

    return ways


def parts(shared: mmap.mmap, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and gradient in the same memory."""
    whole = np.frombuffer(shared, np.float32)
    return whole[:size], whole[size : 2 * size]


def serve_shared(pipe: Connection, pid: int, file: int) -> None:
    """Applies the gradient in place whenever it is told to."""
    with open(f"/proc/{pid}/fd/{file}", "r+b") as same:
        shared = mmap.mmap(same.fileno(), 0)
    while True:
        theta, gradient = parts(shared, pipe.recv())
        add_scaled(theta, Step(gradient, RATE), theta)
        pipe.send(True)


def serve_tcp(pipe: Connection, port: int) -> None:
    """Sends the parameters when asked, receives a gradient, applies it, says so."""
    link = socket.create_connection((LOOPBACK, port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    theta = gradient = np.empty(0, np.float32)
    while link.recv(1):
        if pipe.poll():
            size = pipe.recv()
            theta, gradient = np.zeros(size, np.float32), np.empty(size, np.float32)
        link.sendall(theta.view(np.uint8).data)
        fill(link, gradient)
        add_scaled(theta, Step(gradient, RATE), theta)
        link.sendall(b"!")


def fill(link: socket.socket, into: np.ndarray) -> None:
    """Receive as many bytes as there is room."""
    rest = memoryview(into.view(np.uint8))
    while len(rest):
        rest = rest[link.recv_into(rest) :]

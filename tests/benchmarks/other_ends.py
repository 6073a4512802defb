"""The process at the other end of a round trip.

It is our server behind its listener, or the best that the machine can do.
"""

import mmap
import multiprocessing
import multiprocessing.connection
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from benchmarks.rounds import median_trip

from workbench.engine import Ask
from workbench.engine.dask.connection import Connection
from workbench.engine.dask.host import Calls, Host
from workbench.engine.dask.listener import Listener, connect
from workbench.engine.dask.shared_memory import Segment
from workbench.settings import Settings
from workbench.system import memory
from workbench.training import Item, ParameterServer, Push
from workbench.training.messages import Fetch
from workbench.training.updates import Step, add_scaled

RATE = np.float32(1e-6)
TOKEN = b"t" * 32
LOOPBACK = "127.0.0.1"
TIMEOUT = 60.0
MOST_PARAMETERS = 5_600_000
FLOAT_BYTES = 4
Pipe = multiprocessing.connection.Connection
Ways = dict[str, Callable[[], float]]


def start_process(stack: ExitStack, target: Callable, *args: object) -> Pipe:
    """Start a process that runs ``target(pipe, *args)``; returns this end of the pipe."""
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
    pipe = start_process(stack, serve_ours)

    def ways(size: int) -> Ways:
        pipe.send(size)
        address = pipe.recv()
        source = np.ones(size, np.float32)

        def way(connection: Connection, replica: str) -> Callable[[], float]:
            steps = iter(range(10**9))
            return lambda: median_trip(lambda: our_trip(connection, source, next(steps), replica))

        local = connect(address, TIMEOUT)
        remote = connect(replace(address, unix=""), TIMEOUT)
        return {
            "our server, shared memory": way(local, "0"),
            "our server, TCP": way(remote, "1"),
        }

    return ways


def our_trip(connection: Connection, source: np.ndarray, step: int, replica: str) -> None:
    """As a replica: fetch, write a gradient, push it."""
    connection.send(Calls((Ask("server 0", Fetch()),)))
    (snapshot,) = connection.receive().value
    gradient = memory.floats(len(source))
    np.copyto(gradient, source)
    push = Push(Item(int(replica), step), gradient, snapshot.version, replica)
    connection.send(Calls((Ask("server 0", push),)))
    connection.receive()


def serve_ours(pipe: Pipe) -> None:
    """For each size that it is sent, a host with a server of so many parameters."""
    memory.use(memory.Pool(Segment))
    settings = Settings.of(learning_rate=float(RATE))
    while True:
        server = ParameterServer(np.zeros(pipe.recv(), np.float32), settings)
        host = Host("bench", 0, 4)
        host.hold({"server 0": server}, {}, {})
        listener = Listener(0, TOKEN, host.answer, True, f"tcp://{LOOPBACK}:0")
        pipe.send(listener.address)


# --- limits


def bare_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """Nothing but the bytes: shared memory, a socket on loopback, and no server at all."""
    pages = 2 * FLOAT_BYTES * MOST_PARAMETERS // mmap.PAGESIZE + 1
    segment = Segment(pages * mmap.PAGESIZE)
    theirs = start_process(stack, serve_shared, os.getpid(), segment.file)
    listening = stack.enter_context(socket.create_server((LOOPBACK, 0)))
    sizes = start_process(stack, serve_tcp, listening.getsockname()[1])
    sock, _ = listening.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ways(size: int) -> Ways:
        source = np.ones(size, np.float32)
        into = np.empty(size, np.float32)
        theta, gradient = parameters_and_gradient(segment.memory, size)
        sizes.send(size)

        def shared() -> None:
            np.copyto(gradient, source)
            theirs.send(size)
            theirs.recv()
            np.copyto(into, theta)

        def tcp() -> None:
            sock.sendall(b"?")
            receive_into(sock, into)
            sock.sendall(source.view(np.uint8).data)
            sock.recv(1)

        def in_place() -> None:
            add_scaled(theta, Step(source, RATE), theta)

        return {
            "limit: bare shared memory": lambda: median_trip(shared),
            "limit: bare TCP": lambda: median_trip(tcp),
            "no server: shared parameters changed in place": lambda: median_trip(in_place),
        }

    return ways


def parameters_and_gradient(shared: mmap.mmap, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and gradient, one behind the other in the same memory."""
    whole = np.frombuffer(shared, np.float32)
    return whole[:size], whole[size : 2 * size]


def serve_shared(pipe: Pipe, pid: int, file: int) -> None:
    """For each size that it is sent, applies the gradient in place."""
    with open(f"/proc/{pid}/fd/{file}", "r+b") as same:
        shared = mmap.mmap(same.fileno(), 0)
    while True:
        theta, gradient = parameters_and_gradient(shared, pipe.recv())
        add_scaled(theta, Step(gradient, RATE), theta)
        pipe.send(True)


def serve_tcp(pipe: Pipe, port: int) -> None:
    """Send the parameters when asked, receive a gradient, apply it, and confirm."""
    sock = socket.create_connection((LOOPBACK, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    theta = np.empty(0, np.float32)
    gradient = np.empty(0, np.float32)
    while sock.recv(1):
        if pipe.poll():
            size = pipe.recv()
            theta = np.zeros(size, np.float32)
            gradient = np.empty(size, np.float32)
        sock.sendall(theta.view(np.uint8).data)
        receive_into(sock, gradient)
        add_scaled(theta, Step(gradient, RATE), theta)
        sock.sendall(b"!")


def receive_into(sock: socket.socket, array: np.ndarray) -> None:
    """Receive as many bytes as the array has."""
    rest = memoryview(array.view(np.uint8))
    while rest:
        rest = rest[sock.recv_into(rest) :]

"""Fetching and pushing all parameters, or the last layer's: our server, the memory's limit, Dask, torch RPC, gloo.

    PYTHONPATH=tests python -m benchmarks.bench_parameters [--rounds 7] [--without-torch]

One round trip is a fetch and a push whose gradient is applied. In one process: our server (the gradient checked and
applied in one pass); the same written with numpy; the limit is memcpy, once for each way. Between two processes: our
server on our cluster of Dask; peers: a plain Dask actor called from a worker, torch RPC, gloo's send and recv.

Wall time, for several processes take part: on a busy machine look at the ratios.
"""

import argparse
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from benchmarks.rounds import heading, medians, peak_megabytes, row

from workbench.engine.cluster.host import Host
from workbench.settings import Settings
from workbench.training import Item, ParameterServer, Push

SIZES = {"all, 22.4 MB": 5_600_000, "last layer, 9.8 MB": 1024 * 2400 + 2400}
RATE = 1e-6
SETTINGS = Settings(learning_rate=RATE)
Ways = dict[str, Callable[[], float]]
LIMIT = "limit: memcpy both ways"
TRIPS = 5  # of one way in one round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-torch", action="store_true", help="without torch RPC and gloo")
    options = parser.parse_args()
    heading("parameters", "what", "ms", "x the best peer", "of the limit")
    with ExitStack() as stack:
        asked = [dask_ways(stack)] + ([] if options.without_torch else [torch_ways(stack)])
        for name, size in SIZES.items():
            alone = medians(in_one_process(size), options.rounds, time.perf_counter)
            report(name, alone, alone[LIMIT])
            ways = {what: way for made in asked for what, way in made(size).items()}
            report(name, between(ways, options.rounds), alone[LIMIT])
    print(f"\nPeak memory: {peak_megabytes():.0f} MB.")


def report(name: str, found: dict[str, float], limit: float) -> None:
    best = min(seconds for what, seconds in found.items() if what.startswith("peer"))
    for what, seconds in found.items():
        row(name, what, f"{1e3 * seconds:.2f}", f"{best / seconds:.2f}", f"{limit / seconds:.0%}")


def in_one_process(size: int) -> dict[str, Callable[[], object]]:
    server, gradient = ParameterServer(np.zeros(size, np.float32), SETTINGS), ones(size)
    held, into, theta = [server.fetch()], np.empty(size, np.float32), [np.zeros(size, np.float32)]

    def ours() -> None:
        held[0] = server.fetch()
        server.push(Push(Item(0, server.version), gradient, held[0].version, "replica 0"))

    def numpys() -> None:
        if np.isfinite(gradient).all():
            theta[0] = theta[0] + np.float32(RATE) * gradient

    def memcpy() -> None:
        np.copyto(into, gradient)
        np.copyto(into, gradient)

    return {"our server, in the process": ours, "peer: numpy": numpys, LIMIT: memcpy}


def ones(size: int) -> np.ndarray:
    return np.ones(size, np.float32)


def between(ways: Ways, rounds: int) -> dict[str, float]:
    """Median seconds of a round trip, in interleaved rounds after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for r in range(rounds + 1):
        for name, way in ways.items():
            seconds = way()
            if r:
                times[name].append(seconds)
    return {name: statistics.median(found) for name, found in times.items()}


def trips(trip: Callable[[], object]) -> float:
    """Median seconds of a few round trips."""
    times = []
    for _ in range(TRIPS):
        start = time.perf_counter()
        trip()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


# --- Dask


class Plain:
    """The actor that a user would write."""

    def __init__(self, size: int):
        self.theta = np.zeros(size, np.float32)

    def fetch(self) -> np.ndarray:
        return self.theta

    def push(self, gradient: np.ndarray) -> None:
        self.theta = self.theta + np.float32(RATE) * gradient


def dask_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """Our host of services and a plain actor on one worker, asked from the other."""
    from distributed import Client, LocalCluster

    cluster = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
    client = stack.enter_context(Client(cluster))
    here, there = client.scheduler_info()["workers"]

    def ways(size: int) -> Ways:
        host = client.submit(OurHost, size, actor=True, workers=[here]).result()
        plain = client.submit(Plain, size, actor=True, workers=[here]).result()

        def asked(task: Callable, actor: object) -> Callable[[], float]:
            return lambda: client.submit(task, actor, size, workers=[there], pure=False).result()

        return {"our server, over Dask": asked(ask_ours, host), "peer: Dask actor": asked(ask_plain, plain)}

    return ways


class OurHost(Host):
    """Made where it lives."""

    def __init__(self, size: int):
        super().__init__({"server 0": ParameterServer(np.zeros(size, np.float32), SETTINGS)}, 4, {})


def ask_ours(host, size: int) -> float:
    gradient = ones(size)

    def trip() -> None:
        snapshot, _ = host.call("server 0", "fetch", ()).result()
        item = Item(0, snapshot.version)
        host.call("server 0", "push", (Push(item, gradient, snapshot.version, "replica 0"),)).result()

    return trips(trip)


def ask_plain(actor: Plain, size: int) -> float:
    gradient = ones(size)

    def trip() -> None:
        actor.fetch().result()
        actor.push(gradient).result()

    return trips(trip)


# --- torch RPC and gloo


def torch_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """Two more processes, one that answers RPC and one that answers gloo."""
    import torch
    import torch.distributed as dist
    from torch.distributed import rpc

    context, rpc_port, gloo_port = multiprocessing.get_context("spawn"), free_port(), free_port()
    for target, port in ((serve_rpc, rpc_port), (serve_gloo, gloo_port)):
        process = context.Process(target=target, args=(port,), daemon=True)
        process.start()
        stack.callback(process.join)
        stack.callback(process.terminate)
    start_rpc("client", 0, rpc_port)
    start_gloo(0, gloo_port)
    stack.callback(rpc.shutdown, graceful=False)

    def ways(size: int) -> Ways:
        gradient, into = torch.ones(size), torch.empty(size)
        rpc.rpc_sync("server", rpc_size, (size,))
        dist.send(torch.tensor([size]), 1)

        def by_rpc() -> None:
            rpc.rpc_sync("server", rpc_fetch)
            rpc.rpc_sync("server", rpc_push, (gradient,))

        def by_gloo() -> None:
            dist.send(torch.tensor([0]), 1)
            dist.send(gradient, 1)
            dist.recv(into, 1)

        return {"peer: torch RPC": lambda: trips(by_rpc), "peer: gloo": lambda: trips(by_gloo)}

    return ways


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def start_rpc(name: str, rank: int, port: int) -> None:
    from torch.distributed import rpc

    options = rpc.TensorPipeRpcBackendOptions(init_method=f"tcp://127.0.0.1:{port}")
    rpc.init_rpc(name, rank=rank, world_size=2, rpc_backend_options=options)


def start_gloo(rank: int, port: int) -> None:
    import torch.distributed as dist

    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)


held: list = []  # the parameters of the process that serves RPC


def rpc_size(size: int) -> None:
    import torch

    held[:] = [torch.zeros(size)]


def rpc_fetch() -> object:
    return held[0]


def rpc_push(gradient) -> None:
    held[0] = held[0] + RATE * gradient


def serve_rpc(port: int) -> None:
    import torch
    from torch.distributed import rpc

    torch.set_num_threads(1)
    start_rpc("server", 1, port)
    rpc.shutdown()


def serve_gloo(port: int) -> None:
    """Answers each gradient with the parameters; a size before makes them anew."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    start_gloo(1, port)
    size = torch.zeros(1, dtype=torch.int64)
    while True:
        dist.recv(size, 0)
        if int(size):
            theta, gradient = torch.zeros(int(size)), torch.empty(int(size))
            continue
        dist.recv(gradient, 0)
        theta.add_(gradient, alpha=RATE)
        dist.send(theta, 0)


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s")

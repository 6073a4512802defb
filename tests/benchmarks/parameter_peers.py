"""Peers that move parameters between two processes.

They are Dask, torch RPC, gloo, and Ray where it is installed.
"""

import importlib.util
import multiprocessing
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from benchmarks.rounds import median_trip

RATE = 1e-6
LOOPBACK = "127.0.0.1"
Ways = dict[str, Callable[[], float]]


class PlainServer:
    """The actor that a user would write."""

    def __init__(self, size: int):
        self.theta = np.zeros(size, np.float32)

    def fetch(self) -> np.ndarray:
        return self.theta

    def push(self, gradient: np.ndarray) -> None:
        self.theta = self.theta + np.float32(RATE) * gradient


def dask_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """A plain actor on one worker, called from the other."""
    from distributed import Client, LocalCluster

    cluster = stack.enter_context(
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    )
    client = stack.enter_context(Client(cluster))
    here, there = client.scheduler_info()["workers"]

    def ways(size: int) -> Ways:
        server = client.submit(PlainServer, size, actor=True, workers=[here]).result()

        def by_dask() -> float:
            return client.submit(time_dask_trip, server, size, workers=[there], pure=False).result()

        return {"peer: Dask actor": by_dask}

    return ways


def time_dask_trip(actor: PlainServer, size: int) -> float:
    """Return the median seconds of a trip; it runs on a worker."""
    gradient = np.ones(size, np.float32)

    def trip() -> None:
        actor.fetch().result()
        actor.push(gradient).result()

    return median_trip(trip)


def torch_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """Two more processes, one that answers RPC and one that answers gloo."""
    import torch
    import torch.distributed as dist
    from torch.distributed import rpc

    rpc_port = free_port()
    gloo_port = free_port()
    start_server(stack, serve_rpc, rpc_port)
    start_server(stack, serve_gloo, gloo_port)
    start_rpc("client", 0, rpc_port)
    start_gloo(0, gloo_port)
    stack.callback(rpc.shutdown, graceful=False)

    def ways(size: int) -> Ways:
        gradient = torch.ones(size)
        into = torch.empty(size)
        rpc.rpc_sync("server", rpc_size, (size,))
        dist.send(torch.tensor([size]), 1)

        def by_rpc() -> None:
            rpc.rpc_sync("server", rpc_fetch)
            rpc.rpc_sync("server", rpc_push, (gradient,))

        def by_gloo() -> None:
            dist.send(torch.tensor([0]), 1)
            dist.send(gradient, 1)
            dist.recv(into, 1)

        return {
            "peer: torch RPC": lambda: median_trip(by_rpc),
            "peer: gloo": lambda: median_trip(by_gloo),
        }

    return ways


def start_server(stack: ExitStack, target: Callable[[int], None], port: int) -> None:
    """Start a process that serves at ``port`` until the stack is closed."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=(port,), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.terminate)


def ray_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """An actor of Ray's; none if Ray is not installed, which it is not by the lock."""
    if importlib.util.find_spec("ray") is None:
        return lambda size: {}
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    stack.callback(ray.shutdown)

    def ways(size: int) -> Ways:
        server = ray.remote(PlainServer).remote(size)
        gradient = np.ones(size, np.float32)

        def by_ray() -> None:
            ray.get(server.fetch.remote())
            ray.get(server.push.remote(gradient))

        return {"peer: Ray actor": lambda: median_trip(by_ray)}

    return ways


def free_port() -> int:
    """Return a TCP port that nothing listens at."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        return listening.getsockname()[1]


def start_rpc(name: str, rank: int, port: int) -> None:
    """Join the two processes of torch RPC."""
    from torch.distributed import rpc

    options = rpc.TensorPipeRpcBackendOptions(init_method=f"tcp://{LOOPBACK}:{port}")
    rpc.init_rpc(name, rank=rank, world_size=2, rpc_backend_options=options)


def start_gloo(rank: int, port: int) -> None:
    """Join the two processes of gloo."""
    import torch.distributed as dist

    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", f"tcp://{LOOPBACK}:{port}", rank=rank, world_size=2)


rpc_parameters: list = []  # of the process that serves RPC, which calls module functions


def rpc_size(size: int) -> None:
    import torch

    rpc_parameters[:] = [torch.zeros(size)]


def rpc_fetch() -> object:
    return rpc_parameters[0]


def rpc_push(gradient) -> None:
    rpc_parameters[0] = rpc_parameters[0] + RATE * gradient


def serve_rpc(port: int) -> None:
    import torch
    from torch.distributed import rpc

    torch.set_num_threads(1)
    start_rpc("server", 1, port)
    rpc.shutdown()


def serve_gloo(port: int) -> None:
    """Answer each gradient with the parameters; a size makes new ones."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    start_gloo(1, port)
    size = torch.zeros(1, dtype=torch.int64)
    while True:
        dist.recv(size, 0)
        if int(size):
            theta = torch.zeros(int(size))
            gradient = torch.empty(int(size))
            continue
        dist.recv(gradient, 0)
        theta.add_(gradient, alpha=RATE)
        dist.send(theta, 0)

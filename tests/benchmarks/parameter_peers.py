"""Peers that move parameters between two processes: Dask, torch RPC, gloo, and Ray where it is installed."""

import importlib.util
import multiprocessing
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from benchmarks.rounds import trips

RATE = 1e-6
Ways = dict[str, Callable[[], float]]


class Plain:
    """The actor that a user would write."""

    def __init__(self, size: int):
        self.theta = np.zeros(size, np.float32)

    def fetch(self) -> np.ndarray:
        return self.theta

    def push(self, gradient: np.ndarray) -> None:
        self.theta = self.theta + np.float32(RATE) * gradient


def dask_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """A plain actor on one worker, asked from the other."""
    from distributed import Client, LocalCluster

    cluster = stack.enter_context(
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    )
    client = stack.enter_context(Client(cluster))
    here, there = client.scheduler_info()["workers"]

    def ways(size: int) -> Ways:
        plain = client.submit(Plain, size, actor=True, workers=[here]).result()

        return {
            "peer: Dask actor": lambda: client.submit(
                ask_plain, plain, size, workers=[there], pure=False
            ).result()
        }

    return ways


def ask_plain(actor: Plain, size: int) -> float:
    gradient = np.ones(size, np.float32)

    def trip() -> None:
        actor.fetch().result()
        actor.push(gradient).result()

    return trips(trip)


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


def ray_ways(stack: ExitStack) -> Callable[[int], Ways]:
    """An actor of Ray's; none if Ray is not installed, which it is not by the lock."""
    if importlib.util.find_spec("ray") is None:
        return lambda size: {}
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    stack.callback(ray.shutdown)

    def ways(size: int) -> Ways:
        server, gradient = ray.remote(Plain).remote(size), np.ones(size, np.float32)

        def by_ray() -> None:
            ray.get(server.fetch.remote())
            ray.get(server.push.remote(gradient))

        return {"peer: Ray actor": lambda: trips(by_ray)}

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

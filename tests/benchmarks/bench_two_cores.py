"""Two replicas on two cores at the paper's size, fetching and pushing at every batch, against
Hogwild! and no server.

    PYTHONPATH=tests python -m benchmarks.bench_two_cores [--batches 60] [--batch 32]

Cross entropy on synthetic frames, so that nothing but arithmetic, fetches and pushes is timed.
Frames per second of both processes together, medians of interleaved rounds:

* one process: our step in place (the update fused into the product), no server. Two at once that
  share nothing: what the two cores can give.
* Hogwild! (Recht et al. 2011): two processes with one array of parameters in shared memory, changed
  in place by both: with our step in place, and as a user of torch would write it (autograd,
  optimizer).
* ours: a Dask cluster of two workers, each with a replica, the parameter server on one of them:
  versions, exactly-once pushes and known staleness; through shared memory, and by TCP as if the
  workers were on two machines; pushes carry the gradient, or what it is the product of.
"""

import argparse
import itertools
import mmap
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.bench_network import NETWORKS
from benchmarks.other_ends import start_process
from benchmarks.rounds import print_heading, print_row
from benchmarks.steps import ce_step

from workbench.batches import FrameOrder
from workbench.engine.dask import Cluster, local_cluster
from workbench.engine.dask.shared_memory import Segment
from workbench.model import kernels
from workbench.model.network import Topology, ce_factors, ce_gradient, initial, row_ends
from workbench.model.threads import stay_at_one_thread
from workbench.settings import Settings
from workbench.storage.rows import PushRow, Row, UsageRow
from workbench.training import FrameSource, Gradient, Shards, replica

FRAMES = 4096
RATE = 1e-4
SKIPPED = 5  # batches at the start of a run that do not count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--network", choices=NETWORKS, default="paper")
    args = parser.parse_args()
    inputs, hidden, states = NETWORKS[args.network]
    topology = Topology(inputs, hidden, states)
    with ExitStack() as stack:
        ways = {
            **loops(stack, topology, args.batch, args.batches),
            **clusters(stack, topology, args),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                times[name].append(way())
    found = {name: statistics.median(values) for name, values in times.items()}
    print_heading(
        f"{args.network}, batch {args.batch}",
        "frames/s",
        "x one process",
        "of Hogwild!",
        "of two at once",
    )
    for name, rate in found.items():
        shares = [found[peer] for peer in (HOGWILD, APART)]
        print_row(
            name,
            f"{rate:.0f}",
            f"{rate / found[ONE]:.2f}",
            *(f"{rate / share:.0%}" for share in shares),
        )


# --- loops without a server

ONE = "one process"
APART = "two at once, apart"
HOGWILD = "Hogwild!, our step"
TORCH = "Hogwild!, plain torch"


def loops(
    stack: ExitStack, topology: Topology, batch: int, batches: int
) -> dict[str, Callable[[], float]]:
    """One or two processes that change parameters in place."""
    segment = Segment(-(-4 * topology.size // mmap.PAGESIZE) * mmap.PAGESIZE)
    np.frombuffer(segment.memory, np.float32)[: topology.size] = initial(topology, 0)
    given = (topology, batch, batches, kernels.choice().kernel, os.getpid(), segment.file)
    pipes = [start_process(stack, loop, *given) for _ in range(2)]
    for pipe in pipes:
        pipe.recv()  # it has mapped the segment

    def rate(pipes: list[Connection], what: str) -> float:
        for pipe in pipes:
            pipe.send(what)
        return sum(pipe.recv() for pipe in pipes)

    return {
        ONE: partial(rate, pipes[:1], "apart"),
        APART: partial(rate, pipes, "apart"),
        HOGWILD: partial(rate, pipes, "shared"),
        TORCH: partial(rate, pipes, "torch"),
    }


def loop(
    pipe: Connection, topology: Topology, batch: int, batches: int, kernel: str, pid: int, file: int
) -> None:
    """Answers each word with frames per second of a stretch of batches."""
    import torch

    os.environ["WORKBENCH_KERNEL"] = kernel
    stay_at_one_thread()
    with open(f"/proc/{pid}/fd/{file}", "r+b") as same:
        shared = np.frombuffer(mmap.mmap(same.fileno(), 0), np.float32)[: topology.size]
    pipe.send("ready")
    x, targets = frames(topology)
    own = shared.copy()
    plain = plain_loop(torch, topology, shared)
    while True:
        what = pipe.recv()
        theta = shared if what == "shared" else own
        for i in range(batches + SKIPPED):
            if i == SKIPPED:
                start = time.perf_counter()
            at = np.arange(i * batch, (i + 1) * batch) % FRAMES
            if what == "torch":
                plain(x[at], targets[at])
            else:
                ce_step(theta, topology, x[at], targets[at], RATE)
        pipe.send(batches * batch / (time.perf_counter() - start))


def plain_loop(
    torch, topology: Topology, shared: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], None]:
    """A step of torch's own modules and optimizer, whose parameters lie in ``shared``."""
    layers = []
    for a, b in zip(topology.widths, topology.widths[1:], strict=False):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    flat = torch.from_numpy(shared)
    entries = topology.layout().entries.values()
    for parameter, (where, shape) in zip(net.parameters(), entries, strict=True):
        parameter.data = flat[where].view(shape)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def step(x: np.ndarray, targets: np.ndarray) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            net(torch.from_numpy(x)), torch.from_numpy(targets)
        ).backward()
        optimizer.step()

    return step


@lru_cache
def frames(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, from one seed."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(FRAMES, topology.widths[0])).astype(np.float32)
    return x, draw.integers(topology.widths[-1], size=FRAMES)


# --- ours


def clusters(
    stack: ExitStack, topology: Topology, args: argparse.Namespace
) -> dict[str, Callable[[], float]]:
    """The same two workers, which share memory or pretend not to."""
    from distributed import Client

    cluster = stack.enter_context(local_cluster(2, 2))
    client = stack.enter_context(Client(cluster))
    client.run(add_path, str(Path(__file__).parents[1]))
    made = partial(run_on, client, topology, args.batch, args.batches)
    ways = itertools.product(("factors", "gradient"), {"shared memory": True, "TCP": False}.items())
    found = {f"ours, {push}, {name}": partial(made, shares, push) for push, (name, shares) in ways}
    more = {"bfloat16": {"wire": "bfloat16"}, "prefetch": {"prefetch": True}}
    return found | {
        f"ours, factors, TCP, {n}": partial(made, False, "factors", **m) for n, m in more.items()
    }


def add_path(path: str) -> None:
    sys.path.append(path)


def run_on(
    client, topology: Topology, batch: int, batches: int, shares: bool, push: str, **more: Any
) -> float:
    """Frames per second of two replicas, from the times of their pushes; prints how they spent
    their time.
    """
    settings = Settings.of(
        hidden_layers=len(topology.widths) - 2,
        hidden_units=topology.widths[1],
        batch=batch,
        replicas=2,
        learning_rate=RATE,
        epochs=2 * batch * (batches + SKIPPED) / FRAMES,
        clock="wall",
        push=push,
        **more,
    )
    shards = Shards.split(initial(topology, 0), places=row_ends(topology))
    rows = []
    places = {"server 0": 0, "replica 0": 0, "replica 1": 1}
    makers = {f"replica {i}": partial(make, i, topology, shards, settings) for i in range(2)}
    Cluster(client, places=places, shares_memory=shares).run(
        makers, shards.servers(settings), rows.append
    )
    report(rows)
    return sum(
        pace([r.seconds for r in rows if isinstance(r, PushRow) and r.replica == i]) * batch
        for i in (0, 1)
    )


def pace(seconds: list[float]) -> float:
    """Pushes per second, without the first ones."""
    times = sorted(seconds)[SKIPPED:]
    return (len(times) - 1) / (times[-1] - times[0])


def make(i: int, topology: Topology, shards: Shards, settings: Settings):
    """Replica ``i``, where it is to run."""
    stay_at_one_thread()
    utterances = np.arange(i, FRAMES // 64, 2)
    order = FrameOrder(
        "full",
        np.arange(0, FRAMES + 1, 64),
        utterances,
        settings.batches.size,
        settings.batches.epochs,
        0,
        i,
    )
    return replica(
        f"replica {i}",
        i,
        shards,
        settings,
        FrameSource(order),
        partial(gradient, topology, settings),
    )


def gradient(topology: Topology, settings: Settings, theta: np.ndarray, batch) -> Gradient:
    x, targets = frames(topology)
    climb: Any = ce_factors if settings.factored else ce_gradient
    value, ce, errors = climb(theta, topology, x[batch.positions], targets[batch.positions])
    return Gradient(value, len(batch), {"ce": ce, "errors": errors})


def report(rows: list[Row]) -> None:
    """Shares of the time by what was done."""
    usage = [r for r in rows if isinstance(r, UsageRow)]
    whole = max(r.seconds for r in rows if isinstance(r, PushRow))
    for r in usage:
        parts = [
            f"{k.removesuffix('_seconds')} {v / whole:.0%}"
            for k, v in r.to_dict().items()
            if k.endswith("_seconds")
        ]
        print(f"    {r.process}: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()

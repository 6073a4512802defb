"""Frames per second and core of the network: ours, the plain torch loop, and the limit of the core,
in one table.

    PYTHONPATH=tests python -m benchmarks.bench_network [--rounds 9] [--network paper|laptop]
        [--batch 32]

* peer: nn.Linear and ReLU, cross_entropy, backward(), optim.SGD, as a user would write it, in a
  process of its own where nothing of ours has set the environment: torch as installed, one thread.
* limit: a large product of matrices on this core, here and now, divided by the operations of a
  frame.
* MMI steps get four states per frame, as a lattice leaves them, and no softmax.

Processor time, rounds interleaved, some calls of one way at a time (as in a loop, with its data in
the cache), medians: on a shared machine only the ratios mean something.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import time

from workbench.system.processes import ONE_THREAD, set_environment

NETWORKS = {"paper": (1040, (1024,) * 4, 2400), "laptop": (1040, (512,) * 3, 1200)}
BATCHES = (32, 200)
PEAK = 2048  # rows, columns and depth of the product that measures the limit
STATES_PER_FRAME = 4
RATE = 1e-4
TURN_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return serve_peer()

    from workbench.model.threads import stay_at_one_thread

    set_environment()  # of MKL, which reads it at its first call
    stay_at_one_thread()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MKL_")} | ONE_THREAD
    set_environment()
    command = [sys.executable, __file__, "--peer"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        header()
        for network in options.network or NETWORKS:
            for batch in options.batch or BATCHES:
                compare(network, batch, options.rounds, peer)
        peer.stdin.close()
    print(f"\nPeak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB.")


def header() -> None:
    from workbench.model import kernels

    print(f"Kernels: {kernels.describe()}\n")
    print("| network | batch | what | frames/s per core | of the limit | x peer |")
    print("|---|---|---|---|---|---|")


def compare(network: str, batch: int, rounds: int, peer: subprocess.Popen) -> None:
    """Time every way of doing the same thing, in turn, and print one row for each."""
    ways = ours(network, batch)
    peers = {"peer: training": "train", "peer: forward": "forward"}
    seconds: dict[str, list[float]] = {name: [] for name in [*ways, *peers, "limit"]}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(clocked(way))
        for name, what in peers.items():
            print(network, batch, what, file=peer.stdin, flush=True)
            seconds[name].append(float(peer.stdout.readline()))
        seconds["limit"].append(clocked(peak))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    speed = 2 * PEAK**3 / medians["limit"]
    forward, train = operations(*NETWORKS[network])
    for name in [*ways, *peers]:
        only_forward = name.endswith("forward")
        other = medians["peer: forward" if only_forward else "peer: training"]
        share = batch * (forward if only_forward else train) / medians[name] / speed
        of_limit = "" if "MMI" in name else f"{share:.0%}"
        times_peer = f"{other / medians[name]:.2f}"
        print_cells(network, batch, name, f"{batch / medians[name]:,.0f}", of_limit, times_peer)
    limit = f"limit, {speed / 1e9:.0f} GFLOP/s"
    print_cells(network, batch, limit, f"{speed / train:,.0f}", "100%", "")


def print_cells(*cells: object) -> None:
    """Print a row of the table."""
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def ours(network: str, batch: int) -> dict:
    """Our ways of a step and of a forward pass, as functions without arguments."""
    import numpy as np
    from benchmarks.steps import ce_step, step

    from workbench.model import kernels
    from workbench.model import network as model

    topology = model.Topology(*NETWORKS[network])
    random = np.random.default_rng(0)
    theta = model.initial(topology, 0)
    x = random.standard_normal((batch, topology.inputs), np.float32)
    targets = random.integers(0, topology.states, batch)
    states = random.integers(0, topology.states, batch * STATES_PER_FRAME)
    values = random.standard_normal(len(states)).astype(np.float32)
    indptr = np.arange(0, len(states) + 1, STATES_PER_FRAME)
    rows = model.SparseRows(indptr, states, values)
    out = np.empty_like(theta)
    logp = np.empty((batch, topology.states), np.float32)
    bfloat16 = kernels.choose("bfloat16")

    def update() -> None:
        np.multiply(out, np.float32(RATE), out=out)
        np.add(theta, out, out=theta)

    def ce_apart() -> None:
        model.ce_gradient(theta, topology, x, targets, out=out)
        update()

    def sequence_apart() -> None:
        model.gradient(theta, topology, x, rows, out=out)
        update()

    return {
        "CE gradient, no update": lambda: model.ce_gradient(theta, topology, x, targets, out=out),
        "CE gradient, then update": ce_apart,
        "CE step in place": lambda: ce_step(theta, topology, x, targets, RATE),
        "CE step in place, bfloat16": lambda: ce_step(
            theta, topology, x, targets, RATE, kernel=bfloat16
        ),
        "MMI gradient, then update": sequence_apart,
        "MMI step in place": lambda: step(theta, topology, x, rows, RATE),
        "forward": lambda: model.log_posteriors(theta, topology, x, out=logp),
        "bfloat16 forward": lambda: model.log_posteriors(
            theta, topology, x, out=logp, kernel=bfloat16
        ),
    }


def operations(inputs: int, hidden: tuple[int, ...], states: int) -> tuple[int, int]:
    """Floating-point operations of a frame: forward, and forward with gradient (none for the
    input).
    """
    widths = (inputs, *hidden, states)
    forward = sum(2 * a * b for a, b in itertools.pairwise(widths))
    return forward, 3 * forward - 2 * inputs * hidden[0]


def clocked(work) -> float:
    """Processor seconds of a call, after one that fills the caches."""
    work()
    start = time.process_time()
    calls = 0
    while calls == 0 or time.process_time() - start < TURN_SECONDS:
        work()
        calls += 1
    return (time.process_time() - start) / calls


def peak(held: list = []) -> None:  # noqa: B006  the matrices are made once
    """One large product."""
    import torch

    if not held:
        held.extend(torch.randn(PEAK, PEAK) for _ in range(3))
    torch.mm(held[0], held[1], out=held[2])


def serve_peer() -> None:
    """Answer each line "network batch what" with the processor seconds of the plain torch loop."""
    import torch

    torch.set_num_threads(1)
    made: dict = {}
    for line in sys.stdin:
        network, batch, what = line.split()
        if (network, batch) not in made:
            made[network, batch] = plain_loop(torch, *NETWORKS[network], int(batch))
        print(clocked(made[network, batch][what]), flush=True)


def plain_loop(torch, inputs: int, hidden: tuple[int, ...], states: int, batch: int) -> dict:
    """A training step and a forward pass as a user of torch would write them."""
    layers = []
    for a, b in zip((inputs, *hidden[:-1]), hidden, strict=True):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(hidden[-1], states))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    x = torch.randn(batch, inputs)
    targets = torch.randint(states, (batch,))

    def train() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), targets).backward()
        optimizer.step()

    def forward() -> None:
        with torch.no_grad():
            torch.log_softmax(net(x), 1)

    return {"train": train, "forward": forward}


if __name__ == "__main__":
    main()

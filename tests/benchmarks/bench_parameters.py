"""Fetching and pushing all parameters, or the last layer's: our server, the memory's limit, Dask,
Ray, torch RPC, gloo.

    PYTHONPATH=tests python -m benchmarks.bench_parameters [--rounds 7] [--without-torch]

One round trip is a fetch and a push whose gradient is applied. In one process: our server (the
gradient checked and applied in one pass); the same written with numpy; the limit is memcpy, once
for each way. Between two processes: our server through shared memory and by TCP, as on a cluster,
the gradient written anew each time; limits: the same done with bare shared memory (gradient
written, applied in place by the other process, parameters read) and with a bare TCP socket on
loopback; no server at all (Hogwild!: the parameters changed in place by whoever has a gradient);
peers: a plain Dask actor called from a worker, torch RPC, gloo's send and recv, and an actor of
Ray's where that is installed (it is not in the lock: `pip install --target FOLDER ray`, and FOLDER
in PYTHONPATH).

Wall time, for several processes take part: on a busy machine look at the ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from benchmarks.other_ends import bare_ways, our_ways
from benchmarks.parameter_peers import RATE, dask_ways, ray_ways, torch_ways
from benchmarks.rounds import medians, peak_megabytes, print_heading, print_row

from workbench.settings import Settings
from workbench.training import Item, ParameterServer, Push

SIZES = {"all, 22.4 MB": 5_600_000, "last layer, 9.8 MB": 1024 * 2400 + 2400}
SETTINGS = Settings.of(learning_rate=RATE)
Ways = dict[str, Callable[[], float]]
LIMIT = "limit: memcpy both ways"
SHARED_LIMIT = "limit: bare shared memory"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-torch", action="store_true", help="without torch RPC and gloo")
    options = parser.parse_args()
    print_heading("parameters", "what", "ms", "x the best peer", "of the limit")
    with ExitStack() as stack:
        asked = [our_ways(stack), bare_ways(stack), dask_ways(stack), ray_ways(stack)]
        asked += [] if options.without_torch else [torch_ways(stack)]
        for name, size in SIZES.items():
            alone = medians(in_one_process(size), options.rounds, time.perf_counter)
            report(name, alone, alone[LIMIT])
            ways = {what: way for made in asked for what, way in made(size).items()}
            found = between(ways, options.rounds)
            report(name, found, found[SHARED_LIMIT])
    print(f"\nPeak memory: {peak_megabytes():.0f} MB.")


def report(name: str, found: dict[str, float], limit: float) -> None:
    best = min(seconds for what, seconds in found.items() if what.startswith("peer"))
    for what, seconds in found.items():
        print_row(
            name, what, f"{1e3 * seconds:.2f}", f"{best / seconds:.2f}", f"{limit / seconds:.0%}"
        )


def in_one_process(size: int) -> dict[str, Callable[[], object]]:
    server = ParameterServer(np.zeros(size, np.float32), SETTINGS)
    gradient = ones(size)
    held = [server.fetch()]
    into = np.empty(size, np.float32)
    theta = [np.zeros(size, np.float32)]

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


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s")

"""What shards cost: a step besides its gradient, and memory, with 1, 8 and 64 of them.

    PYTHONPATH=tests python -m benchmarks.bench_shards [--shards 1 8 64] [--replicas 4]

One process, the clock free, replicas that push one and the same gradient of all parameters: what is
timed is fetching (several shards are joined, one is handed over), pushing, applying, and the
executor. Each row is a process of its own, because of its memory; the limit is memcpy of the
parameters, once for each way.
"""

import argparse
import multiprocessing
import time
from functools import partial

import numpy as np
from benchmarks.rounds import peak_megabytes, print_heading, print_row, seconds_of

from workbench.batches import FrameOrder
from workbench.engine import Local, free
from workbench.settings import Settings
from workbench.training import FrameSource, Gradient, Shards, replica

STEPS = 40  # of each replica
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--parameters", type=int, default=5_600_000)
    options = parser.parse_args()
    x = np.ones(options.parameters, np.float32)
    into = np.empty_like(x)
    limit = 2 * seconds_of(lambda: np.copyto(into, x), time.perf_counter, 1.0)
    print_heading(
        f"shards ({options.replicas} replicas)", "ms a step", "x memcpy both ways", "MB at most"
    )
    for count in options.shards:
        with multiprocessing.get_context("spawn").Pool(1) as child:
            seconds, megabytes = child.apply(run, (count, options.replicas, options.parameters))
        print_row(count, f"{1e3 * seconds:.2f}", f"{seconds / limit:.1f}", f"{megabytes:.0f}")


def run(count: int, replicas: int, parameters: int) -> tuple[float, float]:
    """(seconds of a step, peak memory in MB) of a short run, after one that warms up."""
    gradient = np.full(parameters, 1e-3, np.float32)
    settings = Settings.of(
        replicas=replicas, shards=count, batch=BATCH, epochs=1.0, learning_rate=1e-6
    )
    seconds = 0.0
    for _ in range(2):
        shards = Shards.split(np.zeros(parameters, np.float32), count=count)
        makers = {
            f"replica {i}": partial(make, i, shards, settings, gradient) for i in range(replicas)
        }
        start = time.perf_counter()
        Local(free, settings.asynchrony.channel).run(
            {n: m() for n, m in makers.items()}, shards.servers(settings), lambda r: None
        )
        seconds = time.perf_counter() - start
    return seconds / (replicas * STEPS), peak_megabytes()


def make(i: int, shards: Shards, settings: Settings, gradient: np.ndarray):
    """A replica whose gradient is known."""
    order = FrameOrder(
        "full", np.arange(0, STEPS * BATCH + 1, BATCH), np.arange(STEPS), BATCH, 1.0, 0, i
    )
    found = Gradient(gradient, BATCH)
    return replica(
        f"replica {i}", i, shards, settings, FrameSource(order), lambda theta, batch: found
    )


if __name__ == "__main__":
    main()

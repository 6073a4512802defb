"""What the virtual clock costs: effects per second at 50, 200 and 1,000 replicas, and seconds
besides work.

    PYTHONPATH=tests python -m benchmarks.bench_clock [--replicas 50 200 1000] [--rounds 3]

The runs are those of the tests' toy, whose arithmetic is nearly nothing, so that what is measured
is the rest: the heap, the generators, server and channels, the rows. Clocks: free (no time passes)
and cost (the paper's machine). The limit is the same generators driven by hand, each answered at
once, without clock, order or waiting. The last column is the overhead on real work: seconds of the
executor in a step of the paper's network at batch 32 (10 ms).
"""

import argparse
import statistics
import time

from benchmarks.rounds import peak_megabytes, print_heading, print_row
from toy import Toy, settings

from workbench.engine import Cost, free, load_machine
from workbench.engine.clocks import Clock
from workbench.engine.effects import Emit, Now
from workbench.storage.rows import EndRow

STEP_SECONDS = 0.010  # of the paper's network at batch 32 on one core
UTTERANCES = 1000
TICKS = 200_000  # of the generator that needs nothing from the world


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    limit = statistics.median(bare() for _ in range(options.rounds))
    print_heading(
        "replicas",
        "clock",
        "effects/s",
        "of the limit",
        "virtual s per s",
        "µs per push besides work",
        "overhead",
    )
    for replicas in options.replicas:
        for name, clock in (("free", free), ("cost", Cost(load_machine("paper"), 0))):
            found = [run(replicas, clock) for _ in range(options.rounds + 1)][1:]
            effects, virtual, besides = (
                statistics.median(column) for column in zip(*found, strict=True)
            )
            speed = f"{virtual:,.0f}" if virtual else ""
            print_row(
                f"{replicas:,}",
                name,
                f"{effects:,.0f}",
                f"{effects * limit:.0%}",
                speed,
                f"{1e6 * besides:.0f}",
                f"{besides / STEP_SECONDS:.1%}",
            )
    print_row("", "limit: a generator answered at once", f"{1 / limit:,.0f}", "100%", "", "", "")
    print(f"\nPeak memory: {peak_megabytes():.0f} MB.")


def run(replicas: int, clock: Clock) -> tuple[float, float, float]:
    """(effects per second besides work, virtual seconds per second, seconds per push besides work)
    of an MMI run.

    Wall time, since that is how the executor tells how long the work took.
    """
    task = Toy(utterances=max(UTTERANCES, 3 * replicas))
    chosen = settings(criterion="mmi", replicas=replicas, shards=4, epochs=1.0, learning_rate=1e-4)
    start = time.perf_counter()
    _, rows, outcome, _ = task.run(chosen, clock, measure=False)
    seconds = time.perf_counter() - start
    pushes = sum(r["kind"] == "push" for r in rows)
    besides = seconds - outcome.work_seconds
    return outcome.effects / besides, outcome.seconds / seconds, besides / pushes


def bare() -> float:
    """Seconds per effect of a generator that is answered by a dictionary of functions, and of
    nothing else.
    """

    def asking():
        for i in range(TICKS):
            yield Now()
            yield Emit(EndRow(updates=i))

    answers = {Now: lambda e: 0.0, Emit: lambda e: None}
    process = asking()
    reply = None
    start = time.process_time()
    try:
        while True:
            effect = process.send(reply)
            reply = answers[type(effect)](effect)
    except StopIteration:
        return (time.process_time() - start) / (2 * TICKS)


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s")

"""What one effect costs the processor on a virtual clock: time, and byte codes of a run.

    PYTHONPATH=tests python tests/benchmarks/bench_effects.py [--replicas 50] [--rounds 8]

The run is an MMI run of the tests' toy on four shards, as in ``bench_clock.py``. The time is
the least processor time of a round without the work and the services, on the free clock and on the
paper's machine, where messages share links. Byte codes are those of a whole run on the free clock,
work and services included, so they are the same in every round on any computer. To compare two
checkouts, run this file with PYTHONPATH=TREE:TREE/tests, in turn.
"""

import argparse
import sys
import time
from types import FrameType
from typing import NamedTuple

from toy import Toy, settings

time.perf_counter = time.process_time  # by which the executor tells how long the work took

from workbench.engine import Cost, free  # noqa: E402
from workbench.engine.machines import PAPER  # noqa: E402

SHARDS = 4
UTTERANCES = 1000
COUNTED_UTTERANCES = 300
COUNTED_REPLICAS = 20


class Times(NamedTuple):
    """Microseconds of processor time per effect."""

    besides_work: float
    in_all: float


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()

    clocks = {"free": free, "shared links": Cost(PAPER, 0)}
    rounds = {name: [] for name in clocks}
    for _ in range(options.rounds):
        for name, clock in clocks.items():
            rounds[name].append(time_of_effects(options.replicas, clock))

    for name, times in rounds.items():
        besides, in_all = map(min, zip(*times, strict=True))
        print(f"{name}: {besides:.2f} us per effect besides work, {in_all:.2f} in all")
    print(f"byte codes of a run: {count_byte_codes():,}")


def chosen_settings(replicas: int):
    """The settings of the toy's run."""
    return settings(
        criterion="mmi", replicas=replicas, shards=SHARDS, epochs=1.0, learning_rate=1e-4
    )


def time_of_effects(replicas: int, clock) -> Times:
    """Run the toy once."""
    task = Toy(utterances=max(UTTERANCES, 3 * replicas))
    chosen = chosen_settings(replicas)
    start = time.process_time()
    outcome = task.run(chosen, clock, measure=False)[2]
    seconds = time.process_time() - start
    return Times(
        1e6 * (seconds - outcome.work_seconds) / outcome.effects, 1e6 * seconds / outcome.effects
    )


def count_byte_codes() -> int:
    """Count the byte codes of a smaller run; what is looked up once is looked up before."""
    task = Toy(utterances=COUNTED_UTTERANCES)
    chosen = chosen_settings(COUNTED_REPLICAS)
    task.run(chosen, free, measure=False)
    count = 0

    def trace(frame: FrameType, event: str, argument: object):
        nonlocal count
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        task.run(chosen, free, measure=False)
    finally:
        sys.settrace(None)
    return count


if __name__ == "__main__":
    main()

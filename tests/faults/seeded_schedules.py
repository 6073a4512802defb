"""Run seeded schedules of faults on the protocol of training, on all cores, and print what fired.

    PYTHONPATH=tests python tests/faults/seeded_schedules.py --seeds 20000

A violation is printed with the seed that repeats it: `schedules.run_schedule(seed)`.
"""

import argparse
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context

from schedules import KINDS, run_schedule

BLOCK = 500  # seeds that a process takes at once
LEAST_FIRED = 1000  # times that each fault must have taken place, if there are 20,000 seeds


def run_block(first: int) -> tuple[Counter, list[str], float]:
    """Run a block of seeds; returns the faults that fired, the violations and the seconds."""
    fired: Counter = Counter()
    found: list[str] = []
    began = time.process_time()
    for seed in range(first, first + BLOCK):
        found += run_schedule(seed, fired)
    return fired, found, time.process_time() - began


def main() -> int:
    """Run the seeds; returns 1 if a schedule violates the protocol or a fault was not played."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()

    fired: Counter = Counter()
    found: list[str] = []
    seconds = 0.0
    blocks = range(options.first, options.first + options.seeds, BLOCK)
    with get_context("spawn").Pool(options.processes) as pool:
        for block, violations, took in pool.imap_unordered(run_block, blocks):
            fired += block
            found += violations
            seconds += took
            for line in violations:
                print(line, flush=True)

    seeds = len(blocks) * BLOCK
    print(f"{seeds} schedules, {len(found)} violations, {seconds:.0f} s of processor time")
    print("faults played:", ", ".join(f"{kind} {fired[kind]}" for kind in KINDS))
    rare = [kind for kind in KINDS if fired[kind] < LEAST_FIRED * seeds / 20_000]
    if rare:
        print("too rare:", ", ".join(rare))
    return 1 if found or rare else 0


if __name__ == "__main__":
    sys.exit(main())

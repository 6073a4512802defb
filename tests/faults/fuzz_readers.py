"""Fuzz every reader of files, and the messages between processes, on all cores.

    PYTHONPATH=tests python tests/faults/fuzz_readers.py --inputs 100000

A fault is printed with the number of its input; `--reader NAME --first NUMBER --inputs 1` repeats
it.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

from fuzzing import FaultyInput, fuzz, readers

BLOCK = 2000  # inputs that a process takes at once


def run_block(job: tuple[str, int, int]) -> tuple[str, Counter, list[FaultyInput], float]:
    """Fuzz one reader with a block of inputs."""
    name, first, count = job
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="workbench-fuzz-") as folder:
        reader = next(reader for reader in readers(Path(folder)) if reader.name == name)
        ends, faults = fuzz(reader, Path(folder), range(first, first + count))
    return name, ends, faults, time.process_time() - began


def main() -> int:
    """Fuzz; returns 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="of each reader")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--reader", help="this one only")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        names = [reader.name for reader in readers(Path(folder))]
    if options.reader:
        names = [options.reader]
    end = options.first + options.inputs
    jobs = [
        (name, first, min(BLOCK, end - first))
        for first in range(options.first, end, BLOCK)
        for name in names
    ]

    ends: dict[str, Counter] = {name: Counter() for name in names}
    found: Counter = Counter()
    seconds: Counter = Counter()
    with get_context("spawn").Pool(options.processes, maxtasksperchild=20) as pool:
        for name, block, faults, took in pool.imap_unordered(run_block, jobs):
            ends[name] += block
            found[name] += len(faults)
            seconds[name] += took
            for fault in faults:
                print(fault, flush=True)

    for name in names:
        taken = ends[name]["taken"]
        refused = ends[name]["refused"]
        print(f"{name:18} {taken:8} taken {refused:8} refused {found[name]:5} faults", end="")
        print(f" {seconds[name]:6.0f} s")
    return 1 if found.total() else 0


if __name__ == "__main__":
    sys.exit(main())

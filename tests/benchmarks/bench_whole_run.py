"""Whole runs with each kernel for products of matrices, in turns.

    PYTHONPATH=tests python -m benchmarks.bench_whole_run [--rounds 2] [--precisions float32]

A tiny synthetic corpus is prepared in a folder that is removed again. Each turn is `workbench
train` in a process of its own: one epoch with the hidden layers of the preset ``icelandic``,
measured at both ends on 10 utterances; cross entropy with shuffling ``full``, MMI with ``none``
from a model that was trained before. Processor seconds of the process, with all that it reads,
compiles and decodes, the least of the rounds.
"""

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict

from benchmarks.rounds import print_heading, print_row

CORPUS = "tiny"
START = "start"
PREPARE = ["prepare", CORPUS, "--synthetic", "is", "--size", "tiny", "--states", "150"]
KERNELS = ("tiles", "torch")
BATCHES = (32, 200)
COMMON = ["evaluate_utterances=10", "evaluate_every=1", "checkpoint_every=1", "epochs=1"]
SHUFFLING = {"ce": "full", "mmi": "none"}


def run_workbench(words: list[str], kernel: str) -> float:
    """Run one command, and return its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        env={**os.environ, "WORKBENCH_KERNEL": kernel},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(criterion: str, batch: int, precision: str, kernel: str, name: str) -> float:
    """Train for one epoch, and return the processor seconds."""
    settings = [
        *COMMON,
        f"batch={batch}",
        f"shuffling={SHUFFLING[criterion]}",
        f"precision={precision}",
    ]
    words = ["train", CORPUS, "--preset", "icelandic", "--criterion", criterion, "--name", name]
    init = ["--init", START] if criterion != "ce" else []
    return run_workbench([*words, *init, "--set", *settings], kernel)


def main() -> None:
    """Print a table of seconds and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as folder:
        os.environ["WORKBENCH_DATA"] = folder
        run_workbench(PREPARE, KERNELS[0])
        train("ce", 200, "float32", KERNELS[0], START)
        runs = list(itertools.product(options.precisions, SHUFFLING, BATCHES))
        seconds: dict[tuple[str, str, int, str], list[float]] = defaultdict(list)
        for turn in range(options.rounds):
            for precision, criterion, batch in runs:
                for kernel in KERNELS:
                    name = f"{precision}-{criterion}-{batch}-{kernel}-{turn}"
                    taken = train(criterion, batch, precision, kernel, name)
                    seconds[precision, criterion, batch, kernel].append(taken)

    print_heading("run", "own products, s", "torch's, s", "ratio")
    for precision, criterion, batch in runs:
        own, torchs = (min(seconds[precision, criterion, batch, kernel]) for kernel in KERNELS)
        ratio = torchs / own
        print_row(
            f"{criterion}, {batch}, {precision}", f"{own:.2f}", f"{torchs:.2f}", f"{ratio:.2f}"
        )


if __name__ == "__main__":
    main()

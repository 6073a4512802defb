"""Whole runs with each kernel for products of matrices, in turns.

    PYTHONPATH=tests python -m benchmarks.bench_whole_run [--rounds 2] [--avx2]

A tiny synthetic corpus is prepared in a folder that is removed again. Each turn is `workbench
train` in a process of its own: one epoch with the hidden layers of the preset ``icelandic``,
measured at both ends on 10 utterances; cross entropy with shuffling ``full``, MMI with ``none``
from a model that was trained before. Processor seconds of the process, with all that it reads,
compiles and decodes, the least of the rounds. With ``--avx2`` a processor with AVX-512 does without
it: compiled code here, and torch with its libraries by their variables.
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
WHOLE = ["-m", "workbench"]
WITHOUT_AVX512 = [
    "-c",
    """
import sys
from llvmlite import binding

features = binding.get_host_cpu_features()
for name in features:
    if name.startswith(("avx512", "amx")):
        features[name] = False
binding.get_host_cpu_features = lambda: features

from workbench.cli.main import main

sys.exit(main())
""",
]
VARIABLES_OF_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "NUMBA_CPU_NAME": "znver3",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


def run_workbench(words: list[str], kernel: str, avx2: bool) -> float:
    """Run one command, and return its processor seconds."""
    more = VARIABLES_OF_AVX2 if avx2 else {}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *(WITHOUT_AVX512 if avx2 else WHOLE), *words],
        env={**os.environ, **more, "WORKBENCH_KERNEL": kernel},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(criterion: str, batch: int, kernel: str, avx2: bool, name: str) -> float:
    """Train for one epoch, and return the processor seconds."""
    settings = [*COMMON, f"batch={batch}", f"shuffling={SHUFFLING[criterion]}"]
    words = ["train", CORPUS, "--preset", "icelandic", "--criterion", criterion, "--name", name]
    init = ["--init", START] if criterion != "ce" else []
    return run_workbench([*words, *init, "--set", *settings], kernel, avx2)


def main() -> None:
    """Print a table of seconds and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--avx2", action="store_true", help="without the processor's AVX-512")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as folder:
        os.environ["WORKBENCH_DATA"] = folder
        run_workbench(PREPARE, KERNELS[0], options.avx2)
        train("ce", 200, KERNELS[0], options.avx2, START)
        runs = list(itertools.product(SHUFFLING, BATCHES))
        seconds: dict[tuple[str, int, str], list[float]] = defaultdict(list)
        for turn in range(options.rounds):
            for (criterion, batch), kernel in itertools.product(runs, KERNELS):
                name = f"{criterion}-{batch}-{kernel}-{turn}"
                taken = train(criterion, batch, kernel, options.avx2, name)
                seconds[criterion, batch, kernel].append(taken)

    print_heading("run", "own products, s", "torch's, s", "ratio")
    for criterion, batch in runs:
        own, torchs = (min(seconds[criterion, batch, kernel]) for kernel in KERNELS)
        print_row(f"{criterion}, {batch}", f"{own:.2f}", f"{torchs:.2f}", f"{torchs / own:.2f}")


if __name__ == "__main__":
    main()

"""What a GPU does for training, or the CPU: passes, updates, batches in graphs, parts of epochs.

    PYTHONPATH=tests python -m benchmarks.bench_device [--corpus FOLDER] [--seconds 6]
        [--taught FILE] [--out FILE]

It measures what computes here: the GPU, one core (under `taskset -c 0`, with WORKBENCH_DEVICE=cpu),
or all cores, with a replica for each in threads. `tests/device.sh` calls it for all three.

Passes are those of the paper's network on random windows. Their limit is the speed of a large
product in float32, measured here. Without --corpus a small one is synthesised. Of each epoch
``--seconds`` are timed, after a warm-up, and the table says what part of it that was. The frames
of `default` over that speed are the epoch that is foretold for it, at the size of this corpus's
graph and network. Wall time; medians where something is called many times.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from benchmarks.bench_training import corpus as corpus_for
from benchmarks.rounds import print_heading, print_row
from benchmarks.steps import ce_step, step

from workbench.engine import Local
from workbench.model import kernels
from workbench.model.device import describe_device, device
from workbench.model.device_gradient import device_ce_gradient, device_gradient
from workbench.model.kernels import Kernel
from workbench.model.network import (
    SparseRows,
    Topology,
    device_parameters,
    initial,
    log_posteriors,
    pass_cross_entropy,
)
from workbench.model.sinks import Store
from workbench.model.threads import stay_at_one_thread
from workbench.model.torch_vector import TorchVector, keep_on
from workbench.prepare.corpus import Corpus
from workbench.runs.execution import clock_of
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.settings import Settings
from workbench.storage.rows import PushRow, Row
from workbench.system.processes import set_environment

PAPER = Topology(1040, (1024,) * 4, 2400)
NETWORK = dict(hidden_layers=4, hidden_units=1024)
BATCHES = (32, 200, 4096)
STATES_PER_FRAME = 6
RATE = 1e-4
PEAK = {"cpu": 2048, "cuda": 8192}
DEFAULT_FRAMES = 1_770_000
"""Training frames of the corpus `default`: 10,500 utterances of 169 frames on average."""

TAUGHT_FRAMES = 300_000
"""Frames of cross entropy before MMI is timed: lattices of what knows nothing are no task."""


@dataclass
class Report:
    """What was measured, by the name of what it is."""

    figures: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, speed: float, remark: str = "") -> None:
        """Print a row, and keep its number."""
        self.figures[what] = speed
        print_row(what, f"{speed:,.0f}", remark)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", help="the folder of a prepared corpus")
    parser.add_argument("--seconds", type=float, default=6.0, help="timed of each epoch")
    parser.add_argument("--taught", type=Path, help="where parameters are kept between calls, .npy")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    set_environment()
    stay_at_one_thread()

    report = Report()
    cores = len(os.sched_getaffinity(0))
    print(f"torch {torch.__version__}, {describe_device()}, on {cores} cores\n")
    print_heading("what", "frames/s", "remark")
    if device().type == "cuda":
        time_passes_of_device(report, kernels.kernel("torch"))
    elif cores == 1:
        time_passes_of_core(report)
    with corpus_for(options.corpus) as corpus:
        time_epochs(report, corpus, taught(corpus, options.taught), options.seconds)
    if options.out:
        options.out.write_text(json.dumps(asdict(report), indent=1))


# --- time


def synchronised() -> float:
    """Return the time after all that the device was asked to do."""
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(work: Callable[[], object], turns: int = 7, turn_seconds: float = 0.1) -> float:
    """Return the median seconds of a call, over turns of some calls each."""
    for _ in range(3):
        work()
    times = []
    for _ in range(turns):
        began = synchronised()
        calls = 0
        while not calls or time.perf_counter() - began < turn_seconds:
            work()
            calls += 1
        times.append((synchronised() - began) / calls)
    return statistics.median(times)


# --- passes


def operations() -> tuple[float, float]:
    """Return the operations of a frame: forward, and forward with all gradients."""
    widths = PAPER.widths
    products = [2.0 * a * b for a, b in pairwise(widths)]
    return sum(products), 3 * sum(products) - products[0]


def peak(on: torch.device, tf32: bool = False) -> float:
    """Return the operations per second of a large product in float32, or in TF32."""
    side = PEAK[on.type]
    a = torch.randn(side, side, device=on)
    b = torch.randn(side, side, device=on)
    out = torch.empty_like(a)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        return 2 * side**3 / seconds_of(lambda: torch.mm(a, b, out=out), 5)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False


@dataclass(frozen=True)
class Batch:
    """Random windows with targets, and with rows as a lattice leaves them."""

    windows: np.ndarray
    targets: np.ndarray
    rows: SparseRows

    @classmethod
    def of(cls, frames: int) -> "Batch":
        random = np.random.default_rng(frames)
        entries = frames * STATES_PER_FRAME
        rows = SparseRows(
            np.arange(0, entries + 1, STATES_PER_FRAME),
            random.integers(0, PAPER.states, entries),
            random.standard_normal(entries).astype(np.float32),
        )
        windows = random.standard_normal((frames, PAPER.inputs), np.float32)
        return cls(windows, random.integers(0, PAPER.states, frames), rows)


def time_passes_of_device(report: Report, kernel: Kernel) -> None:
    """Time the passes on the device, with parameters, windows and targets there."""
    plain = peak(kernel.device)
    fast = peak(kernel.device, tf32=True)
    _, training = operations()
    limit = f"{plain / 1e12:.1f} TFLOP/s fp32, {fast / 1e12:.1f} TF32"
    report.add("limit of a training frame", plain / training, limit)
    for frames in BATCHES:
        time_passes_of_batch(report, kernel, frames, plain)
        time_graph(report, kernel, frames)


def time_passes_of_batch(report: Report, kernel: Kernel, frames: int, plain: float) -> None:
    """Time the passes over a batch of ``frames``; ``plain``: operations per second of a product."""
    forward, training = operations()
    batch = Batch.of(frames)
    theta = keep_on(kernel.device)(initial(PAPER, 0))
    p = device_parameters(theta, PAPER, kernel)
    x = torch.from_numpy(batch.windows).to(kernel.device)
    targets = torch.from_numpy(batch.targets).to(kernel.device)

    def ce() -> TorchVector:
        return device_ce_gradient(p, x, targets).gradient

    def outer() -> TorchVector:
        return device_gradient(p, x, batch.rows)

    def posteriors() -> np.ndarray:
        return log_posteriors(p, PAPER, x)

    ways: dict[str, tuple[Callable[[], object], float]] = {
        "forward, to the host": (posteriors, forward),
        "CE gradient": (ce, training),
        "CE gradient and update": (lambda: theta.moved(RATE, ce()), training),
        "MMI gradient and update": (lambda: theta.moved(RATE, outer()), training),
    }
    for name, (way, each) in ways.items():
        speed = frames / seconds_of(way)
        report.add(f"{name}, {frames}", speed, f"{speed * each / plain:.1%} of the limit")


def time_graph(report: Report, kernel: Kernel, frames: int) -> None:
    """Time a batch of cross entropy with its update as a CUDA graph, beside the same without.

    In the graph the parameters are moved in place, which no published version may be. So this is
    what graphs could gain at most.
    """
    batch = Batch.of(frames)
    theta = keep_on(kernel.device)(initial(PAPER, 0))
    p = device_parameters(theta, PAPER, kernel)
    x = torch.from_numpy(batch.windows).to(kernel.device)
    targets = torch.from_numpy(batch.targets).to(kernel.device)
    out = torch.empty_like(theta.values)
    sink = Store(out, PAPER, "all", None)

    def whole() -> None:
        pass_cross_entropy(p, x, targets, "all", sink)
        theta.values.add_(out, alpha=RATE)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            whole()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        whole()

    launched = seconds_of(whole)
    replayed = seconds_of(graph.replay)
    report.add(f"CE in place, {frames}, launched", frames / launched)
    report.add(f"CE in place, {frames}, graph", frames / replayed, f"{launched / replayed:.2f} x")


def time_passes_of_core(report: Report) -> None:
    """Time steps in place on one core, by the kernel that was chosen for the CPU."""
    kernel = kernels.choose()
    limit = peak(torch.device("cpu"))
    _, training = operations()
    remark = f"{limit / 1e9:.0f} GFLOP/s fp32 by torch, kernel {kernel.name}"
    report.add("limit of a training frame", limit / training, remark)
    theta = initial(PAPER, 0)
    for frames in BATCHES:
        batch = Batch.of(frames)

        def ce(batch: Batch = batch) -> None:
            ce_step(theta, PAPER, batch.windows, batch.targets, RATE, kernel)

        def outer(batch: Batch = batch) -> None:
            step(theta, PAPER, batch.windows, batch.rows, RATE, kernel)

        speed = frames / seconds_of(ce, 3)
        report.add(f"CE in place, {frames}", speed, f"{speed * training / limit:.0%} of the limit")
        report.add(f"MMI in place, {frames}", frames / seconds_of(outer, 3))


# --- epochs


def time_epochs(report: Report, corpus: Corpus, theta: np.ndarray, seconds: float) -> None:
    """Time parts of epochs of cross entropy and of MMI."""
    cores = len(os.sched_getaffinity(0))
    of_device = device().type == "cuda"
    remark = f"{corpus.states.count} states, {corpus.denominator.arcs:,} arcs"
    print_row(f"corpus {corpus.name}", "", remark)
    alone = of_device or cores == 1
    forms: dict[str, Settings] = {}
    if of_device:
        forms["CE, batch 32"] = settings("ce", 32)
        forms["CE, batch 4096"] = settings("ce", 4096)
    if alone:
        forms["CE, batch 200"] = settings("ce", 200)
        forms["MMI, 1 replica"] = settings("mmi", 32)
    if cores > 1:
        forms[f"CE, batch 200, {cores} replicas"] = settings("ce", 200, cores)
        forms[f"MMI, {cores} replicas"] = settings("mmi", 32, cores)
        ahead = settings("mmi", 32, decoder_fetch="utterances", decoder_utterances=4 * cores)
        forms[f"MMI, 1 replica, decoder_utterances={4 * cores}"] = ahead

    for name, chosen in forms.items():
        time_part(report, name, Task(corpus, chosen), theta, seconds)
    time_measuring(report, Task(corpus, settings("mmi", 32)), theta)


def settings(criterion: str, batch: int, replicas: int = 1, **changes: object) -> Settings:
    """Return the settings of a run with the paper's hidden layers."""
    return Settings.of(
        criterion=criterion,
        batch=batch,
        replicas=replicas,
        epochs=50.0,
        learning_rate=0.05 if criterion == "ce" else 0.0005,
        shuffling="full" if criterion == "ce" else "on-the-fly",
        clock="cost" if replicas > 1 else "free",
        **NETWORK,
        **changes,
    )


def taught(corpus: Corpus, kept: Path | None) -> np.ndarray:
    """Return parameters that know something, from the file ``kept`` if it is there."""
    if kept is not None and kept.exists():
        return np.load(kept, allow_pickle=False)
    task = Task(corpus, settings("ce", 200))
    theta = run_part(task, initial(task.topology, 0), most_frames=TAUGHT_FRAMES).theta
    if kept is not None:
        np.save(kept, theta)
    return theta


@dataclass(frozen=True)
class Part:
    """A part of an epoch that was trained."""

    frames: int
    kept: int
    seconds: float
    theta: np.ndarray


def run_part(
    task: Task, theta: np.ndarray, seconds: float = 1e9, most_frames: int = 10**12
) -> Part:
    """Train without an evaluator until so many seconds have passed or frames were visited."""
    experiment = Experiment(task, theta)
    services = experiment.services()
    makers = experiment.processes({})
    del makers["evaluator"]
    kept = 0
    began = 0.0
    first_frames = 0
    server = services["server 0"]

    def count(row: Row) -> None:
        nonlocal kept, began, first_frames
        if isinstance(row, PushRow):
            if not began:  # what is compiled, loaded and decoded before the first push is no epoch
                began = synchronised()
                first_frames = server.frames
            kept += row.batch

    def rest() -> bool:
        if not began:
            return False
        return server.frames >= most_frames or time.perf_counter() - began > seconds

    clock = clock_of(task.settings, len(theta))
    threads = len(os.sched_getaffinity(0))
    Local(clock, task.settings.asynchrony.channel, threads).run(makers, services, count, rest)
    passed = synchronised() - began
    found = experiment.shards.collect(services)
    return Part(server.frames - first_frames, kept, passed, found)


def time_part(report: Report, what: str, task: Task, theta: np.ndarray, seconds: float) -> None:
    """Time a part of an epoch, and report the frames of the corpus that it visited each second."""
    run_part(task, theta, seconds=0.3)
    part = run_part(task, theta, seconds=seconds)
    speed = part.frames / part.seconds
    epoch = part.frames / task.train.frames
    remark = (
        f"{epoch:.0%} of an epoch timed, {part.kept / max(1, part.frames):.0%} of frames kept; "
        f"an epoch of default: {DEFAULT_FRAMES / speed:,.0f} s"
    )
    report.add(what, speed, remark)


def time_measuring(report: Report, task: Task, theta: np.ndarray) -> None:
    """Time the measuring of held-out utterances, after one that makes the graphs of references."""
    store = task.heldout
    placed = task.keep(theta)
    task.evaluate(placed)
    began = synchronised()
    task.evaluate(placed)
    passed = synchronised() - began
    report.add("measuring", store.frames / passed, f"{len(store)} utterances")


if __name__ == "__main__":
    main()

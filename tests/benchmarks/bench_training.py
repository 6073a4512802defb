"""Whole training runs on the Local executor, against the plain torch loop and the bare arithmetic.

    PYTHONPATH=tests python -m benchmarks.bench_training [--rounds 3] [--network laptop]
        [--corpus NAME]

Without --corpus a small one is synthesised and prepared in a folder that is removed again. Frames
are those of the corpus that were visited, cancelled ones included.

* CE run, MMI run: replica, server and, for MMI, decoder: everything but the measuring.
* peer: the loop of nn.Linear, cross_entropy, backward() and SGD on one batch that lies in memory.
  For MMI: forward pass in torch, lattice and occupancies by k2 (denominator only), and that loop
  for as many frames as we keep.
* limit of a CE run: the step in place, with neither server nor rows. Limit of an MMI run: forward
  pass, lattice and step in place for the kept frames.

Processor time of one core; a target is that an MMI run takes at most twice a CE run's time for a
frame.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
from benchmarks.bench_lattice import k2_rows, k2_sums
from benchmarks.bench_network import plain_loop
from benchmarks.rounds import peak_megabytes, print_heading, print_row
from benchmarks.steps import ce_step, step

from workbench.corpus.frames.window import WINDOW
from workbench.engine import Local, free
from workbench.hmm.graphs.graph import Graph
from workbench.model.network import SparseRows, initial, log_posteriors
from workbench.model.threads import stay_at_one_thread
from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import Preparation, Source, prepare
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.sequence.lattice_pair import acoustic_scores, search_lattice
from workbench.settings import Settings
from workbench.storage.rows import PushRow
from workbench.system.processes import set_environment

NETWORKS = {"paper": (4, 1024), "laptop": (3, 512)}
FRAMES = {
    "ce": 20_000,
    "mmi": 16_000,
}  # of a run; few utterances would leave slots empty, and make batches small
UTTERANCES = 12  # of the parts of an MMI run that are timed one by one


@dataclass(frozen=True)
class Bench:
    """A corpus, a network, and parameters that know something."""

    corpus: Corpus
    layers: int
    units: int
    theta: np.ndarray

    def task(self, criterion: str, batch: int) -> Task:
        frames = Task(self.corpus, Settings()).train.frames
        epochs = min(1.0, FRAMES[criterion] / frames)
        return Task(self.corpus, self.settings(criterion, batch, epochs))

    def settings(self, criterion: str, batch: int, epochs: float, rate: float = 0.002) -> Settings:
        shuffling = "full" if criterion == "ce" else "on-the-fly"
        network = dict(hidden_layers=self.layers, hidden_units=self.units)
        return Settings.of(
            criterion=criterion,
            batch=batch,
            epochs=epochs,
            learning_rate=rate,
            shuffling=shuffling,
            **network,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", choices=NETWORKS, default="laptop")
    parser.add_argument("--corpus", help="a prepared corpus")
    options = parser.parse_args()
    set_environment()  # of MKL, which reads it at its first call
    stay_at_one_thread()
    with corpus(options.corpus) as found:
        bench = taught(found, *NETWORKS[options.network])
        states = found.states.count
        arcs = found.denominator.arcs
        print(f"{options.network} network, {bench.theta.size:,} parameters")
        print(f"{states} states, {arcs:,} arcs\n")
        print_heading("run", "batch", "frames/s per core", "x the peer", "of the limit")
        ce = {batch: cross_entropy(bench, batch, options.rounds) for batch in (32, 200)}
        mmi = sequence(bench, 32, options.rounds)
    print(f"\nA frame of the MMI run takes {mmi / ce[32]:.2f} x one of the CE run at batch 32.")
    print(f"Peak memory: {peak_megabytes():.0f} MB.")


@contextmanager
def corpus(name: str | None) -> Iterator[Corpus]:
    """The named corpus, or one that lasts as long as the benchmark."""
    if name:
        yield Corpus.open(name)
        return
    with TemporaryDirectory() as folder:
        os.environ["WORKBENCH_DATA"] = folder
        yield prepare(
            "smoke",
            Source(synthetic="is", size="smoke"),
            Preparation(states=300),
            jobs=os.cpu_count() or 1,
        )


def taught(corpus: Corpus, layers: int, units: int) -> Bench:
    """Parameters after up to 60,000 frames of cross entropy: lattices of what knows nothing are no
    task.
    """
    bench = Bench(corpus, layers, units, np.zeros(0))
    epochs = min(1.0, 60_000 / Task(corpus, Settings()).train.frames)
    task = Task(corpus, bench.settings("ce", 200, epochs, 0.1))
    return Bench(corpus, layers, units, run(task, initial(task.topology, 0))[2])


def run(task: Task, theta: np.ndarray) -> tuple[float, int, np.ndarray]:
    """(seconds per visited frame, frames trained on, parameters) of a run without an evaluator."""
    experiment = Experiment(task, theta)
    services = experiment.services()
    rows = []
    processes = experiment.processes({})
    del processes["evaluator"]
    start = time.process_time()
    Local(free, task.settings.asynchrony.channel).run(processes, services, rows.append)
    seconds = time.process_time() - start
    trained = sum(r.batch for r in rows if isinstance(r, PushRow))
    return seconds / services["server 0"].frames, trained, experiment.shards.collect(services)


def cross_entropy(bench: Bench, batch: int, rounds: int) -> float:
    """Report CE runs; answers seconds per frame."""
    task = bench.task("ce", batch)
    x = task.train.windows(np.arange(batch))
    targets = np.asarray(task.train.alignment[:batch])
    theta = bench.theta.copy()
    hidden = (bench.units,) * bench.layers
    loop = peer(hidden, task.topology.states, batch)["train"]
    found = in_turn(
        {
            "CE run": lambda: run(task, bench.theta)[0],
            "peer: plain torch loop": lambda: clocked(loop) / batch,
            "limit: step in place": lambda: (
                clocked(lambda: ce_step(theta, task.topology, x, targets, 1e-6)) / batch
            ),
        },
        rounds,
    )
    report(found, batch)
    return found["CE run"]


def sequence(bench: Bench, batch: int, rounds: int) -> float:
    """Report MMI runs; return seconds per frame."""
    task = bench.task("mmi", batch)
    parts = mmi_parts(bench, task, batch)
    ways: dict[str, Callable[[], float]] = {
        "MMI run": lambda: run(task, bench.theta)[0],
        "limit: parts alone": parts.ours,
    }
    if parts.k2:
        ways["peer: torch and k2"] = parts.theirs
    seconds = in_turn(ways, rounds)
    report(seconds, batch)
    print(f"\nKept: {parts.kept:.0%} of the frames.")
    return seconds["MMI run"]


@dataclass(frozen=True)
class Parts:
    """The parts of an MMI run one by one; both ways return seconds per visited frame."""

    task: Task
    theta: np.ndarray
    windows: list[np.ndarray]  # of some utterances
    scores: list[np.ndarray]
    kept: float  # share of the frames
    batch: np.ndarray  # windows of one batch
    rows: SparseRows  # its outer gradient
    torch_loop: dict[str, Callable[[], None]]
    k2: Callable | None  # its search

    @property
    def frames(self) -> int:
        return sum(len(x) for x in self.windows)

    def ours(self) -> float:
        """Forward pass, lattices, and a step in place for the kept frames."""
        topology = self.task.topology
        graph = self.task.corpus.denominator
        limits = self.task.settings.lattices
        theta = self.theta.copy()
        forward = clocked(lambda: [log_posteriors(self.theta, topology, x) for x in self.windows])
        lattice = clocked(lambda: [search_lattice(graph, s, limits) for s in self.scores])
        update = clocked(lambda: step(theta, topology, self.batch, self.rows, 1e-6))
        return (forward + lattice) / self.frames + self.kept * update / len(self.batch)

    def theirs(self) -> float:
        """The same by torch and k2."""
        lattice = clocked(lambda: [k2_sums(self.k2(s)) for s in self.scores])
        forward = clocked(self.torch_loop["forward"])
        update = clocked(self.torch_loop["train"])
        return (forward + self.kept * update) / len(self.batch) + lattice / self.frames


def mmi_parts(bench: Bench, task: Task, batch: int) -> Parts:
    """Prepare the parts: some utterances with their scores, and a batch of one of them."""
    criterion = task.settings.criterion
    limits = task.settings.lattices
    windows = [task.train.utterance_windows(u) for u in range(UTTERANCES)]
    log_p = [log_posteriors(bench.theta, task.topology, x) for x in windows]
    decoded = [task.decode(bench.theta, u) for u in range(UTTERANCES)]
    frames = sum(len(x) for x in windows)

    d = max(decoded, key=lambda d: len(d.kept))
    end = d.indptr[batch]
    hidden = (bench.units,) * bench.layers
    return Parts(
        task=task,
        theta=bench.theta,
        windows=windows,
        scores=[acoustic_scores(p, task.corpus.log_prior, criterion) for p in log_p],
        kept=sum(len(d.kept) for d in decoded) / frames,
        batch=windows[d.utterance][d.kept[:batch]],
        rows=SparseRows(d.indptr[: batch + 1], d.states[:end], d.values[:end]),
        torch_loop=peer(hidden, task.topology.states, batch),
        k2=k2_search(
            task.corpus.denominator, (limits.beam, limits.lattice_beam, limits.max_active)
        ),
    )


def k2_search(graph: Graph, limits: tuple[float, float, int]) -> Callable | None:
    """k2's pruned search, where k2 loads."""
    try:
        import k2  # noqa: F401
    except (ImportError, OSError) as error:
        print(f"No peer for lattices: {error}")
        return None
    return k2_rows(SimpleNamespace(graph=graph), limits)["k2 raw"]


def in_turn(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median seconds per frame of every way, in interleaved rounds after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for r in range(rounds + 1):
        for name, way in ways.items():
            seconds = way()
            if r:
                times[name].append(seconds)
    return {name: statistics.median(found) for name, found in times.items()}


def clocked(work: Callable[[], object], turn: float = 0.15) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    calls = 0
    while not calls or time.process_time() - start < turn:
        work()
        calls += 1
    return (time.process_time() - start) / calls


def peer(hidden: tuple[int, ...], states: int, batch: int) -> dict[str, Callable[[], None]]:
    """The plain torch loop, forward and training, in this process."""
    import torch

    return plain_loop(torch, WINDOW, hidden, states, batch)


def report(found: dict[str, float], batch: int) -> None:
    limit = next(v for k, v in found.items() if k.startswith("limit"))
    other = next((v for k, v in found.items() if k.startswith("peer")), None)
    for name, seconds in found.items():
        print_row(
            name,
            batch,
            f"{1 / seconds:,.0f}",
            f"{other / seconds:.2f}" if other else "",
            f"{limit / seconds:.0%}",
        )


if __name__ == "__main__":
    main()

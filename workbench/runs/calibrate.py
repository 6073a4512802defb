"""What this machine takes for work, messages and calls: a model of it for the cost clock, measured in some seconds.

A run says what is to be measured: its corpus, network, criterion and beams. Prices are fitted over several batch and
layer sizes, so that they hold for other networks too; how fast decoding is depends on how good the model is.
"""

import math
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.optimize import nnls

from workbench.batches import FrameBatch, OuterBatch
from workbench.engine import Ask, Call, Machine, Now, Process, Service, WorkPrice
from workbench.engine.machines import write_machine
from workbench.model import kernels
from workbench.model.network import initial
from workbench.model.threads import one_thread
from workbench.progress import Progress
from workbench.runs.task import Task
from workbench.runs.train import trained_model
from workbench.settings import rng
from workbench.storage.run import Run, home
from workbench.training import Item, ParameterServer, Push

SECONDS = 0.15  # spent on each point
BATCHES = (8, 32, 128, 512)  # frames
OCCUPIED = 6  # states of a frame in a lattice
DECODED, EVALUATED = 24, 8  # utterances
MESSAGES, ROUNDS = (1 << 10, 1 << 16, 1 << 20, 1 << 23), 12  # bytes
Points = list[tuple[int, int, float]]  # (frames, parameters, seconds)


@one_thread()
def calibrate(
    run: Run, out: Path | None = None, network: bool = True, progress: Progress | None = None
) -> Path:
    """Measure this machine with ``run`` and save the Machine; the file's path, for the setting ``machine``.

    Without ``network``, or without Dask, messages take no time.
    """
    task, theta = trained_model(run)
    host = re.sub(r"\W+", "-", platform.node()) or "here"
    path = out or home() / "machines" / f"{host}.json"
    tell = progress or (lambda done, total, what: None)
    tell(0, 4, "calibrating")
    forward = fit(points(task, lambda t, at: per_size(t, at, forward_of)))
    tell(1, 4, "calibrating")
    gradient = fit(points(task, lambda t, at: per_size(t, at, gradient_of)))
    prices = {"forward": forward, "gradient": gradient, **decoding(task, theta, forward)}
    tell(2, 4, "calibrating")
    call, byte = serving(task)
    tell(3, 4, "calibrating")
    latency, per_byte = messages() if network else (0.0, 0.0)
    about = f"{platform.node()}, measured with {run.name}: {kernels.choice().kernel}"
    made = Machine(
        path.stem,
        about,
        prices,
        latency=latency,
        byte=per_byte,
        serve_call=call,
        serve_byte=byte,
        jitter=spread(gradient_of(task, theta, min(task.settings.batches.size, task.train.frames))),
        speed="equal",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_machine(made, path)
    tell(4, 4, "calibrating")
    return path


def seconds_of(work: Callable[[], Any], budget: float = SECONDS, least: int = 3) -> float:
    """The median duration of ``least`` repetitions, or as many as fit into ``budget`` seconds, after one more."""
    work()
    found: list[float] = []
    while len(found) < least or sum(found) < budget:
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


# --- work


def points(task: Task, measure: Callable[[Task, np.ndarray], Points]) -> Points:
    """``measure`` for the run's own network, a narrower one and a shallower one."""
    s = task.settings
    shapes = {
        (s.model.hidden_layers, s.model.hidden_units),
        (s.model.hidden_layers, max(8, s.model.hidden_units // 2)),
        (1, s.model.hidden_units),
    }
    found: Points = []
    for layers, units in sorted(shapes):
        other = Task(task.corpus, s.replace(hidden_layers=layers, hidden_units=units))
        found += measure(other, initial(other.topology, 0))
    return found


def per_size(
    task: Task, theta: np.ndarray, work: Callable[[Task, np.ndarray, int], Callable[[], Any]]
) -> Points:
    """``work`` on batches of several sizes."""
    sizes = [n for n in BATCHES if n <= task.train.frames]
    return [(n, task.topology.size, seconds_of(work(task, theta, n))) for n in sizes]


def forward_of(task: Task, theta: np.ndarray, frames: int) -> Callable[[], Any]:
    """The forward pass over ``frames`` neighbouring frames, their windows gathered."""
    positions = np.arange(frames)
    return lambda: task.log_posteriors(theta, task.train.windows(positions))


def gradient_of(task: Task, theta: np.ndarray, frames: int) -> Callable[[], Any]:
    """The gradient of a batch of frames from everywhere, as replicas compute it."""
    positions = np.sort(rng(0, "calibrate").choice(task.train.frames, frames, replace=False))
    whole = Task(task.corpus, task.settings.replace(auxiliary="frozen", push="gradient"))
    if not task.settings.sequence:
        targets = np.asarray(task.train.alignment)[positions]
        return lambda: whole.gradient(theta, FrameBatch(positions[targets >= 0]))
    batch = outer_batch(task, positions)
    return lambda: whole.gradient(theta, batch)


def outer_batch(task: Task, positions: np.ndarray) -> OuterBatch:
    """Outer gradients as lattices make them, some states each, whose values do not matter here."""
    offsets, n = np.asarray(task.train.offsets), len(positions)
    utterance = np.searchsorted(offsets, positions, side="right") - 1
    states = (
        rng(0, "calibrate", "states")
        .integers(0, task.topology.states, n * OCCUPIED)
        .astype(np.int32)
    )
    values, indptr = np.full(n * OCCUPIED, 1e-3, np.float32), np.arange(n + 1) * OCCUPIED
    source = SimpleNamespace(decoded=SimpleNamespace(mass=0.0))
    frame = positions - offsets[utterance]
    return OuterBatch(
        utterance, frame, indptr, states, values, np.zeros(n, np.int32), (source,) * n
    )


def decoding(task: Task, theta: np.ndarray, forward: WorkPrice) -> dict[str, WorkPrice]:
    """Decoding and evaluating with the run's own model: what they take beyond the forward pass, per frame."""
    utterances = rng(0, "calibrate", "decode").permutation(len(task.train))[:DECODED].tolist()
    parameters = task.topology.size
    task.decode(theta, utterances[0])  # compiles
    found: Points = []
    for u in utterances:
        start = time.perf_counter()
        task.decode(theta, u)
        seconds, frames = time.perf_counter() - start, int(task.lengths[u])
        passed = forward.call + frames * (forward.frame + forward.frame_parameter * parameters)
        found.append((frames, 0, max(seconds - passed, 0.05 * seconds)))
    search = fit(found)
    decode = WorkPrice(
        search.call + forward.call, search.frame + forward.frame, forward.frame_parameter
    )
    some = Task(
        task.corpus, task.settings.replace(evaluate_utterances=min(EVALUATED, len(task.heldout)))
    )
    start = time.perf_counter()
    some.evaluate(theta)
    frames = int(some.heldout.offsets[some.heldout_utterances])
    evaluate = WorkPrice(frame=(time.perf_counter() - start) / frames)
    return {"decode": decode, "evaluate": evaluate}


def fit(found: Points) -> WorkPrice:
    """The price, nothing below 0, with the least relative errors."""
    frames, parameters, seconds = np.array(found, np.float64).T
    columns = np.stack([np.ones_like(frames), frames, frames * parameters], 1) / seconds[:, None]
    scale = np.where(columns.max(0) > 0, columns.max(0), 1.0)
    price, _ = nnls(columns / scale, np.ones_like(seconds))
    return WorkPrice(*(float(x) for x in price / scale))


def spread(work: Callable[[], Any], rounds: int = 40) -> float:
    """Sigma of the logarithm of the duration of one and the same work, by the median, so that outliers do not count."""
    logs = np.array([math.log(seconds_of(work, 0.0, 1)) for _ in range(rounds)])
    return float(np.median(np.abs(logs - np.median(logs))) / 0.6745)


# --- parameter server and messages


def serving(task: Task) -> tuple[float, float]:
    """Seconds per call and per byte of a shard, the mean of a fetch and a push."""
    rows = []
    for size in (max(8, task.topology.size // 16), task.topology.size):
        server, gradient, steps = (
            ParameterServer(np.zeros(size, np.float32), task.settings),
            np.zeros(size, np.float32),
            0,
        )

        def both(server: ParameterServer = server, gradient: np.ndarray = gradient) -> None:
            nonlocal steps
            server.push(
                Push(Item(0, steps), gradient, server.fetch("replica 0").version, "replica 0")
            )
            steps += 1

        rows.append((4 * size, seconds_of(both) / 2))
    return line(rows)


def messages() -> tuple[float, float]:
    """Seconds per message and per byte between two worker processes here, by the executor that would send them."""
    try:
        from workbench.engine.dask import Cluster, connected
    except ImportError:
        return 0.0, 0.0
    with connected("local", 2, 1) as cluster:
        spread_out = Cluster(cluster.client, places={"prober": 0, "wall": 1})
        outcome = spread_out.run({"prober": prober}, {"wall": Wall()}, lambda row: None)
    trip, byte = line(outcome.returned["prober"])
    return trip / 2, byte


@dataclass(frozen=True, slots=True, eq=False)
class Bounce(Call[None]):
    """A message of some size."""

    x: np.ndarray


class Wall(Service):
    """A service from which messages bounce."""

    def answer(self, call: Bounce) -> None:
        """Reply at once."""


def prober() -> Process:
    """Sends messages of several sizes; returns (bytes, seconds of a round trip) of each size."""
    found = []
    for size in MESSAGES:
        x, seconds = np.zeros(size, np.uint8), []
        for _ in range(ROUNDS):
            start = yield Now()
            yield Ask("wall", Bounce(x), size)
            seconds.append((yield Now()) - start)
        found.append((size, float(np.median(seconds[2:]))))
    return found


def line(rows: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """(seconds, seconds per byte) of the line with the least relative errors, nothing below 0."""
    price = fit([(size, 0, seconds) for size, seconds in rows])
    return price.call, price.frame

"""How long work, messages and calls take on this machine, measured in some seconds.

The result is a model of the machine for the cost clock.

A run defines what is measured: its corpus, network, criterion and beams. Prices are fitted over
several sizes of batches and layers, so that they hold for other networks too. How fast decoding is
depends on how good the model is.
"""

import math
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from workbench.batches import FrameBatch, OuterBatch
from workbench.engine import Ask, Call, Machine, Now, Process, Service, WorkPrice
from workbench.engine.machines import write_machine
from workbench.model import kernels
from workbench.model.network import initial
from workbench.model.threads import one_thread
from workbench.progress import Progress, no_progress
from workbench.runs.task import Task
from workbench.runs.train import trained_model
from workbench.settings import rng
from workbench.storage.home import data_folder
from workbench.storage.run import Run
from workbench.training import Item, ParameterServer, Push

POINT_SECONDS = 0.15  # spent on each point
LEAST_REPETITIONS = 3
BATCHES = (8, 32, 128, 512)  # frames
NARROWEST = 8  # units of a hidden layer
OCCUPIED = 6  # states of a frame in a lattice
DECODED = 24  # utterances
EVALUATED = 8  # utterances
LEAST_SEARCH = 0.05  # of the seconds of decoding, if the forward pass seems to take all of them
JITTER_ROUNDS = 40
MESSAGE_BYTES = (1 << 10, 1 << 16, 1 << 20, 1 << 23)
MESSAGE_ROUNDS = 12
WARM_UP_ROUNDS = 2
FLOAT_BYTES = 4
MAD_OF_NORMAL = 0.6745  # median absolute deviation of a normal distribution with sigma 1
STEPS = 4  # of the progress

Work = Callable[[], object]


class Point(NamedTuple):
    """How long a piece of work took."""

    frames: int
    parameters: int
    seconds: float


class MessagePoint(NamedTuple):
    """How long a message of some size took."""

    size: int  # bytes
    seconds: float


class MessagePrice(NamedTuple):
    """How long a message takes by its size."""

    message: float = 0.0  # seconds
    byte: float = 0.0  # seconds per byte


def calibrate(
    run: Run, out: Path | None = None, network: bool = True, progress: Progress | None = None
) -> Path:
    """Measure this machine with a run that has a model, and return the file of the Machine.

    The setting ``machine`` takes its name.

    Without ``network``, or without Dask, messages take no time.
    """
    host = re.sub(r"\W+", "-", platform.node()) or "here"
    path = out or data_folder() / "machines" / f"{host}.json"
    with one_thread():
        machine = measure_machine(run, path.stem, network, progress or no_progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_machine(machine, path)
    return path


def measure_machine(run: Run, name: str, network: bool, progress: Progress) -> Machine:
    """Return a model of this machine under a ``name``; see `calibrate`."""
    task, theta = trained_model(run)
    kernel = kernels.choice().kernel
    progress(0, STEPS, "calibrating")
    forward = fit_price(measure_sizes(task, forward_pass))
    progress(1, STEPS, "calibrating")
    gradient = fit_price(measure_sizes(task, gradient_pass))
    decode = measure_decoding(task, theta, forward)
    evaluate = measure_evaluation(task, theta)
    progress(2, STEPS, "calibrating")
    serving = measure_serving(task)
    progress(3, STEPS, "calibrating")
    message = measure_messages() if network else MessagePrice()
    batch = min(task.settings.batches.size, task.train.frames)
    jitter = spread_of(gradient_pass(task, theta, batch))
    progress(STEPS, STEPS, "calibrating")
    return Machine(
        name,
        f"{platform.node()}, measured with {run.name}: {kernel}",
        {"forward": forward, "gradient": gradient, "decode": decode, "evaluate": evaluate},
        latency=message.message,
        byte=message.byte,
        serve_call=serving.message,
        serve_byte=serving.byte,
        jitter=jitter,
        speed="equal",
    )


def median_seconds(
    work: Work, budget: float = POINT_SECONDS, least: int = LEAST_REPETITIONS
) -> float:
    """Return the median duration of repeated work, after a first one that does not count.

    It is repeated at least ``least`` times, and for as long as that takes less than ``budget``
    seconds.
    """
    work()
    durations: list[float] = []
    while len(durations) < least or sum(durations) < budget:
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)

    return float(np.median(durations))


# --- passes through the network


def measure_sizes(task: Task, make: Callable[[Task, np.ndarray, int], Work]) -> list[Point]:
    """Measure work on batches of several sizes with networks of several sizes.

    They are the run's own, a narrower one and a shallower one.

    ``make`` is given a task, parameters and a number of frames.
    """
    layers = task.settings.model.hidden_layers
    units = task.settings.model.hidden_units
    shapes = {(layers, units), (layers, max(NARROWEST, units // 2)), (1, units)}
    points: list[Point] = []
    for hidden_layers, hidden_units in sorted(shapes):
        settings = task.settings.replace(hidden_layers=hidden_layers, hidden_units=hidden_units)
        other = Task(task.corpus, settings)
        theta = initial(other.topology, 0)
        for frames in BATCHES:
            if frames <= other.train.frames:
                seconds = median_seconds(make(other, theta, frames))
                points.append(Point(frames, other.topology.size, seconds))

    return points


def forward_pass(task: Task, theta: np.ndarray, frames: int) -> Work:
    """Return the forward pass over so many neighbouring frames, whose windows it gathers."""
    positions = np.arange(frames)
    return lambda: task.log_posteriors(theta, task.train.windows(positions))


def gradient_pass(task: Task, theta: np.ndarray, frames: int) -> Work:
    """Return the gradient of a batch of so many frames from all utterances, as in replicas."""
    positions = np.sort(rng(0, "calibrate").choice(task.train.frames, frames, replace=False))
    whole = Task(task.corpus, task.settings.replace(auxiliary="frozen", push="gradient"))
    batch: FrameBatch | OuterBatch
    if task.settings.sequence:
        batch = outer_batch(task, positions)
    else:
        targets = np.asarray(task.train.alignment)[positions]
        batch = FrameBatch(positions[targets >= 0])

    return lambda: whole.gradient(theta, batch)


def outer_batch(task: Task, positions: np.ndarray) -> OuterBatch:
    """Return outer gradients as sparse as those of lattices, whose values do not matter here."""
    offsets = np.asarray(task.train.offsets)
    count = len(positions)
    utterances = np.searchsorted(offsets, positions, side="right") - 1
    stream = rng(0, "calibrate", "states")
    states = stream.integers(0, task.topology.states, count * OCCUPIED).astype(np.int32)
    values = np.full(count * OCCUPIED, 1e-3, np.float32)
    indptr = np.arange(count + 1) * OCCUPIED
    no_targets = np.zeros(count, np.int32)
    source = SimpleNamespace(decoded=SimpleNamespace(mass=0.0))
    frames = positions - offsets[utterances]
    return OuterBatch(utterances, frames, indptr, states, values, no_targets, (source,) * count)


def measure_decoding(task: Task, theta: np.ndarray, forward: WorkPrice) -> WorkPrice:
    """Return the price of decoding with the run's model.

    It is that of the forward pass, and what the search takes beyond it.
    """
    utterances = rng(0, "calibrate", "decode").permutation(len(task.train))[:DECODED].tolist()
    per_frame = forward.frame + forward.frame_parameter * task.topology.size
    task.decode(theta, utterances[0])  # compiles
    points: list[Point] = []
    for utterance in utterances:
        start = time.perf_counter()
        task.decode(theta, utterance)
        seconds = time.perf_counter() - start
        frames = int(task.lengths[utterance])
        forward_seconds = forward.call + frames * per_frame
        search_seconds = max(seconds - forward_seconds, LEAST_SEARCH * seconds)
        points.append(Point(frames, 0, search_seconds))

    search = fit_price(points)
    return WorkPrice(
        search.call + forward.call, search.frame + forward.frame, forward.frame_parameter
    )


def measure_evaluation(task: Task, theta: np.ndarray) -> WorkPrice:
    """Return the price of evaluating the run's model, per frame."""
    utterances = min(EVALUATED, len(task.heldout))
    few = Task(task.corpus, task.settings.replace(evaluate_utterances=utterances))
    start = time.perf_counter()
    few.evaluate(theta)
    seconds = time.perf_counter() - start
    return WorkPrice(frame=seconds / int(few.heldout.offsets[few.heldout_utterances]))


def fit_price(points: Sequence[Point]) -> WorkPrice:
    """Return the price with the least squared relative errors; none of its parts is below 0."""
    frames, parameters, seconds = np.array(points, np.float64).T
    columns = np.stack([np.ones_like(frames), frames, frames * parameters], axis=1)
    relative = columns / seconds[:, None]
    largest = relative.max(axis=0)
    scale = np.where(largest > 0, largest, 1.0)
    scaled_price, _ = nnls(relative / scale, np.ones_like(seconds))
    call, frame, frame_parameter = (float(part) for part in scaled_price / scale)
    return WorkPrice(call, frame, frame_parameter)


def spread_of(work: Work, rounds: int = JITTER_ROUNDS) -> float:
    """Return sigma of the logarithm of the duration of the same work; outliers do not count."""
    logs = np.array([math.log(median_seconds(work, 0.0, 1)) for _ in range(rounds)])
    deviation = np.median(np.abs(logs - np.median(logs)))
    return float(deviation / MAD_OF_NORMAL)


# --- parameter server and messages


def measure_serving(task: Task) -> MessagePrice:
    """Return for how long a call keeps a shard busy, the mean of a fetch and a push."""
    sizes = (max(8, task.topology.size // 16), task.topology.size)
    points = [
        MessagePoint(FLOAT_BYTES * size, median_seconds(fetch_and_push(task, size)) / 2)
        for size in sizes
    ]
    return fit_message_price(points)


def fetch_and_push(task: Task, size: int) -> Work:
    """Return a fetch from a server of so many parameters, and a push to it."""
    server = ParameterServer(np.zeros(size, np.float32), task.settings)
    gradient = np.zeros(size, np.float32)
    steps = iter(range(10**9))

    def work() -> None:
        version = server.fetch("replica 0").version
        server.push(Push(Item(0, next(steps)), gradient, version, "replica 0"))

    return work


def measure_messages() -> MessagePrice:
    """Return the price of messages between two worker processes here; nothing without Dask."""
    try:
        from workbench.engine.dask import Cluster, connected
    except ImportError:
        return MessagePrice()

    with connected("local", 2, 1) as cluster:
        two_workers = Cluster(cluster.client, places={"prober": 0, "wall": 1})
        outcome = two_workers.run({"prober": prober}, {"wall": Wall()}, lambda row: None)
    points = outcome.returned["prober"]
    if not isinstance(points, list):
        raise TypeError(f"the prober returned {type(points).__name__}, not points")
    round_trip = fit_message_price(points)
    return MessagePrice(round_trip.message / 2, round_trip.byte)


@dataclass(frozen=True, slots=True, eq=False)
class Bounce(Call[None]):
    """A message of some size."""

    x: np.ndarray


class Wall(Service):
    """A service that replies at once."""

    def answer(self, call: Call[object]) -> None:
        """Reply with nothing."""


def prober() -> Process:
    """Send messages of several sizes; return a MessagePoint for the round trip of each size."""
    points = []
    for size in MESSAGE_BYTES:
        x = np.zeros(size, np.uint8)
        durations = []
        for _ in range(MESSAGE_ROUNDS):
            start = yield Now()
            yield Ask("wall", Bounce(x), size)
            end = yield Now()
            durations.append(end - start)
        points.append(MessagePoint(size, float(np.median(durations[WARM_UP_ROUNDS:]))))

    return points


def fit_message_price(points: Sequence[MessagePoint]) -> MessagePrice:
    """Return the price with the least squared relative errors; neither part is below 0."""
    price = fit_price([Point(point.size, 0, point.seconds) for point in points])
    return MessagePrice(price.call, price.frame)

"""What one run takes, by a rehearsal: its machine runs for some seconds in memory, then measures and tests a little.

Training, measuring and testing are timed apart, the latter two with the parameters that the rehearsal has reached:
an untrained network makes lattices many times as large as a trained one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from workbench import runs
from workbench.engine import Local, free
from workbench.recognise import evaluate
from workbench.recognise.recogniser import Recogniser
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.sequence.decoded import Decoded
from workbench.settings import rng
from workbench.storage.rows import PushRow, Row

SECONDS, LONGEST, PUSHES = (
    2.0,
    12.0,
    20,
)  # of processor time in training: until both are reached, or it takes too long
MEASURED, TESTED = 16, 8  # utterances


@dataclass(frozen=True)
class Price:
    """Seconds, and seconds of processor time in them."""

    seconds: float
    processor: float

    def times(self, n: float) -> "Price":
        """``n`` of it."""
        return Price(n * self.seconds, n * self.processor)

    def __add__(self, other: "Price") -> "Price":
        return Price(self.seconds + other.seconds, self.processor + other.processor)


def timed(act: Callable[[], object]) -> Price:
    """What a call takes."""
    began, used = time.perf_counter(), time.process_time()
    act()
    return Price(time.perf_counter() - began, time.process_time() - used)


@dataclass(frozen=True)
class Watched(Task):
    """A task that knows what its decodes took."""

    spent: list[tuple[int, int, Price]] = field(
        default_factory=list
    )  # (frames, kept, what it took)

    def decode(self, theta: np.ndarray, utterance: int) -> Decoded:
        """As Task's."""
        found: list[Decoded] = []
        price = timed(lambda: found.append(super(Watched, self).decode(theta, utterance)))
        self.spent.append((found[0].frames, len(found[0].kept), price))
        return found[0]


def rehearse(task: Task, init: str | None, test: bool) -> Price:
    """What a run of ``task`` from the model ``init`` takes, if its learning rate never ends it before."""
    theta = runs.starting_point(task, init, None)[0]
    training, theta = trained(task, theta)
    s = task.settings
    looks = 2 + s.batches.epochs / s.measuring.evaluate_every
    price = training + measured(task, theta).times(looks * task.heldout_utterances / MEASURED)
    return price + tested(task, theta) if test else price


def trained(task: Task, theta: np.ndarray) -> tuple[Price, np.ndarray]:
    """All epochs of training without measuring, and the parameters after the rehearsal."""
    rehearsed(task, theta, 0.0)  # compiles, and reads from disk
    whole, pushes, spent, theta = rehearsed(task, theta, SECONDS)
    decoding = sum((p for _, _, p in spent), Price(0.0, 0.0))
    frames, decoded = task.train.frames * task.settings.batches.epochs, sum(f for f, _, _ in spent)
    kept = sum(k for _, k, _ in spent) / decoded if decoded else 1.0
    push = (whole + decoding.times(-1.0)).times(1 / max(1, pushes))
    batches = frames * kept / task.settings.batches.size
    return push.times(batches) + decoding.times(frames / decoded if decoded else 0.0), theta


def rehearsed(task: Task, theta: np.ndarray, seconds: float) -> tuple[Price, int, list, np.ndarray]:
    """The machine without its evaluator for so much processor time: price, pushes, decodes, and the parameters then."""
    s = task.settings
    watched = Watched(task.corpus, s.replace(epochs=max(s.batches.epochs, 50.0)))
    experiment = Experiment(watched, theta)
    makers = {name: make for name, make in experiment.processes({}).items() if name != "evaluator"}
    services, began = experiment.services(), time.process_time()
    pushes: list[int] = []

    def rest() -> bool:
        took = time.process_time() - began
        return took > LONGEST or (took >= seconds and len(pushes) >= min(PUSHES, 10 * seconds))

    def count(row: Row) -> None:
        if isinstance(row, PushRow):
            pushes.append(row.step)

    whole = timed(lambda: Local(free, s.asynchrony.channel).run(makers, services, count, rest))
    return whole, len(pushes), watched.spent, experiment.shards.collect(services)


def measured(task: Task, theta: np.ndarray) -> Price:
    """Measuring on as many held-out utterances as are rehearsed with."""
    some = Task(
        task.corpus, task.settings.replace(evaluate_utterances=min(MEASURED, len(task.heldout)))
    )
    some.evaluate(theta)  # makes the graphs of the references
    return timed(lambda: some.evaluate(theta)).times(MEASURED / some.heldout_utterances)


def tested(task: Task, theta: np.ndarray) -> Price:
    """Scales chosen on held-out data, and the test."""
    s, store = task.settings, task.heldout
    recogniser = Recogniser(task, theta, s.criterion.acoustic_scale, s.criterion.prior_scale)
    some = rng(0, "rehearsal").permutation(len(store))[:TESTED].tolist()

    def say(factor: float, scales: tuple[float, ...]) -> Price:
        scaled = replace(recogniser, acoustic_scale=factor * s.criterion.acoustic_scale)
        scaled.transcripts(
            store, some[:1], scales, None, ""
        )  # makes its graph, once for all utterances
        return timed(lambda: scaled.transcripts(store, some, scales, None, ""))

    choosing = sum((say(f, evaluate.LM_SCALES) for f in evaluate.ACOUSTIC_FACTORS), Price(0.0, 0.0))
    most = min(evaluate.HELDOUT_MOST, len(store))
    final = say(1.0, (1.0,)).times(len(task.corpus.split("test")) / len(some))
    return choosing.times(most / len(some)) + final

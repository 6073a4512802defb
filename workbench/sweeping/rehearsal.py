"""What one run takes, by a rehearsal that trains, measures and tests for some seconds.

Training, measuring and testing are timed apart, the latter two with the parameters that the
rehearsal has reached: an untrained network makes lattices many times as large as a trained one.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from workbench import runs
from workbench.engine import Local, free
from workbench.metrics.staleness import KeptStatistics, kept_frames
from workbench.recognise import evaluate
from workbench.recognise.recogniser import Recogniser
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.sequence.decoded import Decoded
from workbench.settings import rng
from workbench.storage.rows import PushRow, Row
from workbench.storage.run import Run
from workbench.sweeping.price import Price, Stopwatch, price_of, total_price
from workbench.system.vectors import Vector
from workbench.training.messages import Decode

SECONDS = 2.0
"""Processor time that training is rehearsed for, if `PUSHES` are reached in it."""

LONGEST_SECONDS = 12.0
"""Processor time after which the rehearsal of training ends in any case."""

PUSHES = 20
EPOCHS = 50.0  # at least, so that the data do not end before the rehearsal
MEASURED_UTTERANCES = 16
TESTED_UTTERANCES = 8


@dataclass(frozen=True)
class TimedDecode:
    """What one decode took."""

    frames: int
    kept: int  # frames
    price: Price


@dataclass(frozen=True)
class TimedTask(Task):
    """A task that notes what its decodes took."""

    decodes: list[TimedDecode] = field(default_factory=list)

    def decode_in_order(self, order: Iterator[int]) -> Decode:
        """Return `decode`: what is decoded ahead could not be timed."""
        return self.decode

    def decode(self, theta: Vector, utterance: int) -> Decoded:
        """Decode as `Task` does, and note what it took."""
        watch = Stopwatch()
        decoded = super().decode(theta, utterance)
        self.decodes.append(TimedDecode(decoded.frames, len(decoded.kept), watch.price()))
        return decoded


@dataclass(frozen=True)
class Rehearsal:
    """What was done in a rehearsal of training."""

    price: Price  # of everything
    pushes: int
    decodes: list[TimedDecode]
    theta: np.ndarray  # the parameters that were reached, float32 [parameters]


class RunForecast(NamedTuple):
    """What a run will take, and the frames that its utterances keep, if it decodes any."""

    price: Price
    kept: KeptStatistics | None


def rehearse(task: Task, init: Run | None, test: bool) -> RunForecast:
    """Return what a run of ``task`` from the model of ``init`` takes, tested if ``test``.

    The run is assumed to train for all of its epochs.
    """
    start = runs.starting_point(task, init).theta
    rehearse_training(task, start, 0.0)  # compiles, and reads from disk
    rehearsal = rehearse_training(task, start, SECONDS)
    kept = np.array([decode.kept for decode in rehearsal.decodes])
    return RunForecast(_whole_price(task, rehearsal, test), kept_frames(kept))


def rehearse_in_turn(frame: Task, sequence: Task) -> tuple[Price, Price]:
    """Return what training ``frame`` takes, and training ``sequence`` from its model; both tested.

    The sequence criterion is rehearsed from where the rehearsal of ``frame`` came to. With so poor
    a model decoding takes longer than it will.
    """
    start = runs.starting_point(frame).theta
    rehearse_training(frame, start, 0.0)
    first = rehearse_training(frame, start, SECONDS)
    rehearse_training(sequence, first.theta, 0.0)
    second = rehearse_training(sequence, first.theta, SECONDS)
    return _whole_price(frame, first, True), _whole_price(sequence, second, True)


def _whole_price(task: Task, rehearsal: Rehearsal, test: bool) -> Price:
    """The price of training, measuring and perhaps testing, by a rehearsal."""
    settings = task.settings
    evaluations = 2 + settings.batches.epochs / settings.measuring.evaluate_every
    utterances = evaluations * task.heldout_utterances
    training = _training_price(task, rehearsal)
    measuring = _measuring_price(task, rehearsal.theta).times(utterances / MEASURED_UTTERANCES)
    price = training + measuring
    return price + _testing_price(task, rehearsal.theta) if test else price


def rehearse_training(task: Task, theta: np.ndarray, seconds: float) -> Rehearsal:
    """Train without an evaluator for so many seconds of processor time, for a push at least."""
    settings = task.settings
    epochs = max(settings.batches.epochs, EPOCHS)
    timed = TimedTask(task.corpus, settings.replace(epochs=epochs))
    experiment = Experiment(timed, theta)
    makers = experiment.processes({})
    del makers["evaluator"]
    services = experiment.services()
    enough = min(PUSHES, 10 * seconds)
    began = time.process_time()
    pushes = 0

    def rest() -> bool:
        # Before the first push, compiled code that it needs may not be there yet.
        if not pushes:
            return False
        took = time.process_time() - began
        return took > LONGEST_SECONDS or (took >= seconds and pushes >= enough)

    def count(row: Row) -> None:
        nonlocal pushes
        pushes += isinstance(row, PushRow)

    local = Local(free, settings.asynchrony.channel)
    price = price_of(lambda: local.run(makers, services, count, rest))
    return Rehearsal(price, pushes, timed.decodes, experiment.shards.collect(services))


def _training_price(task: Task, rehearsal: Rehearsal) -> Price:
    """The price of all epochs of training, without measuring."""
    decoding = total_price(decode.price for decode in rehearsal.decodes)
    decoded_frames = sum(decode.frames for decode in rehearsal.decodes)
    kept_frames = sum(decode.kept for decode in rehearsal.decodes)
    kept_share = kept_frames / decoded_frames if decoded_frames else 1.0

    frames = task.train.frames * task.settings.batches.epochs
    batches = frames * kept_share / task.settings.batches.size
    pushing = rehearsal.price + decoding.times(-1.0)
    price = pushing.times(1 / max(1, rehearsal.pushes)).times(batches)
    if decoded_frames:
        price += decoding.times(frames / decoded_frames)
    return price


def _measuring_price(task: Task, theta: np.ndarray) -> Price:
    """The price of measuring `MEASURED_UTTERANCES` held-out utterances."""
    utterances = min(MEASURED_UTTERANCES, len(task.heldout))
    small = Task(task.corpus, task.settings.replace(evaluate_utterances=utterances))
    small.evaluate(theta)  # makes the graphs of the references
    price = price_of(lambda: small.evaluate(theta))
    return price.times(MEASURED_UTTERANCES / small.heldout_utterances)


def _testing_price(task: Task, theta: np.ndarray) -> Price:
    """The price of choosing scales on held-out data, and of the test."""
    criterion = task.settings.criterion
    store = task.heldout
    recogniser = Recogniser(task, theta, criterion.acoustic_scale, criterion.prior_scale)
    order = rng(0, "rehearsal").permutation(len(store))
    some = order[:TESTED_UTTERANCES].tolist()

    def recognising(factor: float, lm_scales: tuple[float, ...]) -> Price:
        scaled = replace(recogniser, acoustic_scale=factor * criterion.acoustic_scale)
        scaled.transcripts(store, some[:1], lm_scales)  # makes the graph, once for all utterances
        return price_of(lambda: scaled.transcripts(store, some, lm_scales))

    choosing = total_price(
        recognising(factor, evaluate.LM_SCALES) for factor in evaluate.ACOUSTIC_FACTORS
    )
    chosen_on = min(evaluate.HELDOUT_MOST, len(store))
    testing = recognising(1.0, (1.0,))
    tested = len(task.corpus.split("test"))
    return choosing.times(chosen_on / len(some)) + testing.times(tested / len(some))

"""A toy problem for the tests of training: a linear softmax and a pretended decoder."""

import hashlib
import json
import time
from typing import NamedTuple

import numpy as np

from workbench.batches import FrameBatch, FrameOrder, OuterBatch, UtteranceOrder, subsets
from workbench.engine import Local, Outcome, Process, Take, free
from workbench.engine.workers import GivenUp, giving_up
from workbench.sequence.decoded import Decoded
from workbench.settings import Settings
from workbench.storage.rows import Drift, Measurement, Row, TraceRow
from workbench.training import (
    Checkpoint,
    FrameSource,
    Gradient,
    OuterSource,
    ParameterServer,
    Shards,
    decoder,
    evaluator,
    pack,
    replica,
    unpack,
)
from workbench.training.messages import DecodedUtterance

INPUTS = 6
CLASSES = 4
SIZE = INPUTS * CLASSES
PATIENCE_SECONDS = 60.0  # that an evaluation lasts which nobody gives up


class Rows(list):
    """The columns of the rows that an executor emits, as dicts; give it ``rows.emit``."""

    def emit(self, row: Row) -> None:
        """Keep the columns of one row."""
        self.append(row.to_dict())


class ToyRun(NamedTuple):
    """A run of the toy, or a part of it, that has ended."""

    theta: np.ndarray
    rows: Rows
    outcome: Outcome
    services: dict[str, ParameterServer]


class Toy:
    """The class of a frame is that of the largest of its first inputs.

    Utterances have ``lengths`` from the first number to below the second. The decoder keeps the
    frames whose gradient is above ``keep``.
    """

    def __init__(
        self, utterances: int = 24, lengths=(5, 13), keep: float = 0.2, trained: slice = slice(None)
    ):
        draw = np.random.default_rng(0)
        self.keep = keep
        self.trained = trained
        ends = np.cumsum(draw.integers(*lengths, utterances))
        self.offsets = np.concatenate([[0], ends]).astype(np.int64)
        self.x = draw.normal(size=(self.offsets[-1], INPUTS)).astype(np.float32)
        self.y = self.x[:, :CLASSES].argmax(1)
        self.lengths = np.diff(self.offsets)
        self.theta = (draw.normal(size=SIZE) * 0.1).astype(np.float32)

    def posteriors(self, theta, positions) -> np.ndarray:
        """Posteriors of frames, [frames, classes]."""
        z = self.x[positions] @ theta.reshape(INPUTS, CLASSES)
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def exact_outer(self, theta, positions) -> np.ndarray:
        """Outer gradient of the log posterior of the right class, [frames, classes]."""
        targets = np.eye(CLASSES, dtype=np.float32)[self.y[positions]]
        return targets - self.posteriors(theta, positions)

    def gradient(self, theta, batch: FrameBatch | OuterBatch) -> Gradient:
        """Gradient summed over the batch, uphill."""
        if isinstance(batch, OuterBatch):
            outer = np.zeros((len(batch), CLASSES), np.float32)
            rows = np.repeat(np.arange(len(batch)), np.diff(batch.indptr))
            outer[rows, batch.states] = batch.values
            positions = self.offsets[batch.utterance] + batch.frame
        else:
            positions = batch.positions
            outer = self.exact_outer(theta, positions)
        value = (self.x[positions].T @ outer).ravel()[self.trained]
        return Gradient(value, len(positions), {"batches": 1.0})

    def decode(self, theta, utterance: int) -> Decoded:
        """Keep every frame whose class is not certain, with all classes in its row."""
        positions = np.arange(*self.offsets[utterance : utterance + 2])
        outer = self.exact_outer(theta, positions)
        kept = np.flatnonzero(np.abs(outer).max(1) > self.keep).astype(np.int32)
        return pretended_decoding(
            utterance,
            frames=len(positions),
            kept=kept,
            indptr=np.arange(len(kept) + 1, dtype=np.int64) * CLASSES,
            states=np.tile(np.arange(CLASSES, dtype=np.int32), len(kept)),
            values=outer[kept].ravel(),
            numerator_states=self.y[positions].astype(np.int32),
        )

    def drift(self, theta, source: DecodedUtterance) -> Drift:
        """How far a fresh outer gradient on the kept frames is from that of the decoder."""
        decoded = source.decoded
        fresh = self.exact_outer(theta, self.offsets[decoded.utterance] + decoded.kept).ravel()
        norms = float(np.linalg.norm(decoded.values)), float(np.linalg.norm(fresh))
        return Drift(
            distances=(float(np.linalg.norm(theta - source.origin.theta)),),
            norms=(float(np.linalg.norm(source.origin.theta)),),
            stale_norm=norms[0],
            fresh_norm=norms[1],
            cosine=float(decoded.values @ fresh) / (norms[0] * norms[1]),
        )

    def evaluate(self, theta) -> Measurement:
        """Mean log posterior of the right class."""
        p = self.posteriors(theta, slice(None))
        return Measurement(criterion=float(np.log(p[np.arange(len(p)), self.y]).mean()))

    def shards(self, settings: Settings) -> Shards:
        """The shards that these settings ask for."""
        return Shards.split(self.theta, self.trained, settings.asynchrony.shards)

    def processes(
        self, settings: Settings, shards: Shards, states=None, measure=True
    ) -> dict[str, Process]:
        """All processes of a run, wired as an experiment would, afresh or from ``states``."""
        states = states or {}
        processes = {}
        parts = subsets(len(self.lengths), settings.asynchrony.replicas, settings.seed)
        for i, part in enumerate(parts):
            if settings.sequence:
                name = f"decoder {i}"
                order = UtteranceOrder(part, settings.batches.epochs, settings.seed, i)
                processes[name] = decoder(
                    name,
                    shards,
                    settings,
                    order,
                    self.decode,
                    self.lengths,
                    f"decoded {i}",
                    states.get(name),
                )
            name = f"replica {i}"
            source = self.source(settings, part, i)
            state = states.get(name)
            processes[name] = replica(name, i, shards, settings, source, self.gradient, state)
        if measure:
            frames = int(self.offsets[-1])
            state = states.get("evaluator")
            processes["evaluator"] = evaluator(
                shards, settings, self.evaluate, frames, frames, state
            )
        return processes

    def source(self, settings: Settings, part: np.ndarray, i: int) -> FrameSource | OuterSource:
        """The source of replica ``i``'s batches."""
        if settings.sequence:
            fresh = settings.criterion.auxiliary == "fresh"
            decode = self.decode if fresh else None
            return OuterSource(f"decoded {i}", settings, decode, self.drift)
        return FrameSource(self.frame_order(settings, part, i))

    def frame_order(self, settings: Settings, part=None, stream: int = 0) -> FrameOrder:
        """The order of a subset's frames, by default of all."""
        batches = settings.batches
        utterances = np.arange(len(self.lengths)) if part is None else part
        return FrameOrder(
            batches.shuffling,
            self.offsets,
            utterances,
            batches.size,
            batches.epochs,
            settings.seed,
            stream,
            batches.slot_start,
        )

    def process(self, name: str, settings: Settings, states=None) -> Process:
        """One of the processes, made where it is to run."""
        return self.processes(settings, self.shards(settings), states)[name]

    def run(self, settings: Settings, clock=free, measure=True, services=None, threads=0) -> ToyRun:
        """Run to the end, without rests."""
        shards = self.shards(settings)
        rows = Rows()
        services = services or shards.servers(settings)
        executor = Local(clock, settings.asynchrony.channel, threads)
        processes = self.processes(settings, shards, measure=measure)
        outcome = executor.run(processes, services, rows.emit)
        return ToyRun(shards.collect(services), rows, outcome, services)


class PatientToy(Toy):
    """A toy whose evaluations last until they are given up."""

    def evaluate(self, theta) -> Measurement:
        """Measure nothing; AssertionError if the evaluation is waited for."""
        given_up = giving_up()
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if given_up():
                raise GivenUp
            time.sleep(0.02)
        raise AssertionError("the evaluation was waited for")


def pretended_decoding(
    utterance: int,
    frames: int,
    kept: np.ndarray,
    indptr: np.ndarray,
    states: np.ndarray,
    values: np.ndarray,
    numerator_states: np.ndarray,
) -> Decoded:
    """The result of a decoder that cancels the frames that it does not keep."""
    return Decoded(
        utterance=utterance,
        frames=frames,
        kept=kept,
        indptr=indptr,
        states=states,
        values=values,
        mass=0.0,
        value=-1.0,
        reason=None,
        rejected=0,
        cancelled=frames - len(kept),
        words=(),
        reference=(),
        numerator_states=numerator_states,
        num=-1.0,
        den=0.0,
        beam=1.0,
    )


def advance(
    executor: Local,
    processes: dict[str, Process],
    services: dict[str, ParameterServer],
    rows: Rows,
    at: Checkpoint,
    every: int,
) -> Checkpoint:
    """Run from checkpoint ``at`` to the next, due after ``every`` frames, through bytes."""
    first = services["server 0"]
    due = (at.number + 1) * every
    outcome = executor.run(
        processes, services, rows.emit, lambda: first.frames >= due, at.channels, at.ticks
    )
    number = at.number + (first.frames >= due)
    resting = Checkpoint.of(number, outcome.returned, outcome.channels, outcome.ticks, services, {})
    return unpack(pack(resting))


def waiting_for(channel: str) -> Process:
    """A component that waits for what nobody puts."""
    yield Take(channel)


def has_ended(at: Checkpoint) -> bool:
    """Whether all components have finished at this checkpoint."""
    return bool(at.states) and all(state.finished for state in at.states.values())


def settings(**changes) -> Settings:
    """Small and quick settings without a schedule, with some changed."""
    small = dict(
        batch=8,
        epochs=2.0,
        learning_rate=0.1,
        evaluate_every=1.0,
        patience=100,
        decoder_utterances=3,
    )
    return Settings.of(**{**small, **changes})


def digest(rows) -> str:
    """A digest of every number of every row."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def of_kind(rows, kind: str) -> list[dict]:
    """The rows of one kind."""
    return [row for row in rows if row["kind"] == kind]


def trace_rows(rows) -> list[TraceRow]:
    """The rows of a recorded schedule."""
    return [Row.from_dict(row) for row in of_kind(rows, "trace")]

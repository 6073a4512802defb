"""A toy problem for the laws of training: a linear softmax model, with utterances and a pretended decoder."""

import hashlib
import json

import numpy as np

from workbench.batches import FrameBatch, FrameOrder, OuterBatch, UtteranceOrder, subsets
from workbench.engine import Local, free
from workbench.sequence.decoded import Decoded
from workbench.settings import Settings
from workbench.storage.rows import Measurement, Row, TraceRow
from workbench.training import (
    FrameSource,
    Gradient,
    OuterSource,
    Shards,
    decoder,
    evaluator,
    replica,
)

INPUTS, CLASSES = 6, 4
SIZE = INPUTS * CLASSES


class Rows(list):
    """The columns of the rows that an executor emits, as dicts; give it ``rows.emit``."""

    def emit(self, row: Row) -> None:
        """Keep the columns of one row."""
        self.append(row.to_dict())


class Toy:
    """The class of a frame is that of the largest of its first inputs.

    Utterances have ``lengths`` from the first to below the second; frames with a gradient above ``keep`` are kept.
    """

    def __init__(
        self, utterances: int = 24, lengths=(5, 13), keep: float = 0.2, trained: slice = slice(None)
    ):
        draw = np.random.default_rng(0)
        self.keep, self.trained = keep, trained
        self.offsets = np.concatenate([[0], np.cumsum(draw.integers(*lengths, utterances))]).astype(
            np.int64
        )
        self.x = draw.normal(size=(self.offsets[-1], INPUTS)).astype(np.float32)
        self.y = self.x[:, :CLASSES].argmax(1)
        self.lengths = np.diff(self.offsets)
        self.theta = (draw.normal(size=SIZE) * 0.1).astype(np.float32)

    def posteriors(self, theta, positions):
        z = self.x[positions] @ theta.reshape(INPUTS, CLASSES)
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def gradient(self, theta, batch: FrameBatch | OuterBatch) -> Gradient:
        """Summed over the batch, uphill."""
        if isinstance(batch, OuterBatch):
            outer = np.zeros((len(batch), CLASSES), np.float32)
            rows = np.repeat(np.arange(len(batch)), np.diff(batch.indptr))
            outer[rows, batch.states] = batch.values
            positions = self.offsets[batch.utterance] + batch.frame
        else:
            positions = batch.positions
            outer = np.eye(CLASSES, dtype=np.float32)[self.y[positions]] - self.posteriors(
                theta, positions
            )
        return Gradient(
            (self.x[positions].T @ outer).ravel()[self.trained], len(positions), {"batches": 1.0}
        )

    def decode(self, theta, utterance: int) -> Decoded:
        """Every frame whose class is not certain is kept, with all classes in its row."""
        positions = np.arange(*self.offsets[utterance : utterance + 2])
        outer = np.eye(CLASSES, dtype=np.float32)[self.y[positions]] - self.posteriors(
            theta, positions
        )
        kept = np.flatnonzero(np.abs(outer).max(1) > self.keep).astype(np.int32)
        states = np.tile(np.arange(CLASSES, dtype=np.int32), len(kept))
        indptr = np.arange(len(kept) + 1, dtype=np.int64) * CLASSES
        targets = self.y[positions].astype(np.int32)
        return Decoded(
            utterance,
            len(positions),
            kept,
            indptr,
            states,
            outer[kept].ravel(),
            0.0,
            -1.0,
            None,
            0,
            len(positions) - len(kept),
            (),
            (),
            targets,
            -1.0,
            0.0,
            1.0,
        )

    def evaluate(self, theta) -> Measurement:
        p = self.posteriors(theta, slice(None))
        return Measurement(criterion=float(np.log(p[np.arange(len(p)), self.y]).mean()))

    def shards(self, settings: Settings) -> Shards:
        return Shards.split(self.theta, self.trained, settings.asynchrony.shards)

    def processes(self, settings: Settings, shards: Shards, states=None, measure=True) -> dict:
        """Everybody, wired as an experiment would."""
        states, found, s = states or {}, {}, settings
        for i, part in enumerate(subsets(len(self.lengths), s.asynchrony.replicas, s.seed)):
            if s.sequence:
                order = UtteranceOrder(part, s.batches.epochs, s.seed, i)
                who, channel = f"decoder {i}", f"decoded {i}"
                found[who] = decoder(
                    who, shards, s, order, self.decode, self.lengths, channel, states.get(who)
                )
                source = OuterSource(
                    channel, s, self.decode if s.criterion.auxiliary == "fresh" else None
                )
            else:
                source = FrameSource(
                    FrameOrder(
                        s.batches.shuffling,
                        self.offsets,
                        part,
                        s.batches.size,
                        s.batches.epochs,
                        s.seed,
                        i,
                    )
                )
            who = f"replica {i}"
            found[who] = replica(who, i, shards, s, source, self.gradient, states.get(who))
        if measure:
            frames = int(self.offsets[-1])
            found["evaluator"] = evaluator(
                shards, s, self.evaluate, frames, frames, states.get("evaluator")
            )
        return found

    def process(self, name: str, settings: Settings, states=None):
        """One of them, made where it is to run."""
        return self.processes(settings, self.shards(settings), states)[name]

    def run(self, settings: Settings, clock=free, measure=True, services=None, threads=0):
        """(parameters, rows, outcome, services) of a whole run without rests."""
        shards, rows = self.shards(settings), Rows()
        services = services or shards.servers(settings)
        executor = Local(clock, settings.asynchrony.channel, threads)
        outcome = executor.run(
            self.processes(settings, shards, measure=measure), services, rows.emit
        )
        return shards.collect(services), rows, outcome, services


def settings(**changes) -> Settings:
    """Small and quick, without a schedule."""
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
    """Of every number of every row."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def of_kind(rows, kind: str) -> list[dict]:
    return [r for r in rows if r["kind"] == kind]


def trace_rows(rows) -> list[TraceRow]:
    """The rows of a recorded schedule."""
    return [Row.from_dict(r) for r in of_kind(rows, "trace")]

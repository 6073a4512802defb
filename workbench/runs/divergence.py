"""A run that diverges goes back to a checkpoint and takes smaller steps.

Training has diverged when gradients are not finite or too large, when the held-out criterion is not
finite or has fallen far below that of the start (`has_exploded`), or when the posteriors of frames
are far worse than those of a model that knows nothing (`is_lost`): a search that fails on such
posteriors can leave MMI at its maximum, 0, so its curve does not show it. On a clock that can be
repeated all of this is a function of the run, so the return is a part of its schedule.
"""

import math
from typing import NamedTuple

import numpy as np

from workbench.batches import FrameBatch, OuterBatch, Piece
from workbench.runs.task import Task
from workbench.storage.rows import Measurement
from workbench.training import DecodedUtterance
from workbench.training.updates import gradient_norm

EXPLOSION = 1.0
"""How far the held-out criterion may fall, in units of 1 + |criterion at the start|."""

PROBED = 100
"""Training utterances among which those with the largest gradients are looked for."""

NAMED = 3
"""Utterances that the message names."""


class UtteranceGradient(NamedTuple):
    """The length of the gradient of one utterance, infinite where it is not finite."""

    utterance: str
    norm: float  # Euclidean, of the sum over its frames


def has_exploded(criterion: float, at_start: float) -> bool:
    """Return whether a held-out criterion per frame is that of a model that has come apart.

    Cross entropy starts at about minus the logarithm of the number of states, which knows nothing;
    twice that, and one nat, is no model that learns.
    """
    return criterion < at_start - EXPLOSION * (1 + abs(at_start))


def is_lost(cross_entropy: float, states: int) -> bool:
    """Return whether F_CE per frame is far worse than that of equal posteriors of all ``states``.

    Sequence training may cost frames much of their cross entropy, since posteriors become sharper,
    but a model that is of use stays far from this.
    """
    return has_exploded(cross_entropy, -math.log(states))


def how_it_diverged(measured: Measurement, at_start: float | None, states: int) -> str:
    """Return how a measurement shows that training has diverged; an empty text if it does not.

    ``at_start``: the criterion of the first one. ``states``: of the network. A criterion of no
    utterance is None, and fine.
    """
    if measured.ce is not None and is_lost(measured.ce, states):
        return (
            f"the held-out cross entropy, {measured.ce:.3g} per frame, is far below "
            f"{-math.log(states):.3g}, that of a network that knows nothing"
        )

    criterion = measured.criterion
    if criterion is None:
        return ""
    if not math.isfinite(criterion):
        if measured.broken:
            return f"the scores of {measured.broken} held-out utterances are not finite or are huge"
        return f"the held-out criterion is {criterion}"
    if at_start is not None and has_exploded(criterion, at_start):
        return f"the held-out criterion fell from {at_start:.3g} at the start to {criterion:.3g}"
    return ""


def largest_gradients(task: Task, theta: np.ndarray) -> list[UtteranceGradient]:
    """Return the utterances with the largest gradients at ``theta``, float32 [parameters].

    At most `PROBED` training utterances are looked at, evenly spread.
    """
    count = len(task.train)
    probed = sorted({int(u) for u in np.linspace(0, count - 1, min(count, PROBED))})
    found = [
        UtteranceGradient(task.train.ids[utterance], _norm_of(task, theta, utterance))
        for utterance in probed
    ]
    return sorted(found, key=lambda each: -each.norm)[:NAMED]


def _norm_of(task: Task, theta: np.ndarray, utterance: int) -> float:
    """Return the length of the gradient of all frames of an utterance."""
    batch: FrameBatch | OuterBatch
    if task.settings.sequence:
        decoded = task.decode(theta, utterance)
        source = DecodedUtterance(decoded, (0,), 0.0)
        batch = OuterBatch.of([Piece(source, 0, len(decoded.kept))])
    else:
        batch = FrameBatch(np.arange(*task.train.span(utterance)))

    if not len(batch):
        return 0.0
    norm = gradient_norm(task.gradient(theta, batch).value)
    return norm if math.isfinite(norm) else math.inf


def describe(found: list[UtteranceGradient]) -> str:
    """Return the utterances and the lengths of their gradients in words."""
    return ", ".join(
        f"{each.utterance} ({each.norm:.3g})"
        if math.isfinite(each.norm)
        else f"{each.utterance} (not finite)"
        for each in found
    )

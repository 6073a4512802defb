"""How far a replica's parameters are from its decoder's, and how far an outer gradient has turned.

See `workbench.training.drift` for when this is asked.
"""

import math
from typing import NamedTuple

import numpy as np

from workbench.batches import OuterBatch, Piece
from workbench.model.network import SparseRows
from workbench.model.topology import Topology
from workbench.runs.task import Task
from workbench.sequence.auxiliary import FOLLOWING, softmax_gradient
from workbench.sequence.decoded import Decoded
from workbench.storage.rows import Drift
from workbench.system.vectors import Vector, as_array
from workbench.training.messages import DecodedUtterance
from workbench.training.push_row import six_digits


class FrameRows(NamedTuple):
    """Numbers at the softmax of some frames of an utterance; those of other frames are zero."""

    frames: np.ndarray  # int [frames], ascending
    values: np.ndarray  # float32 [frames, states]


class LayerNorms(NamedTuple):
    """Euclidean norms, one per layer, the output last."""

    distances: tuple[float, ...]  # of the difference of two vectors of parameters
    norms: tuple[float, ...]  # of the first


def measure_drift(task: Task, theta: Vector, source: DecodedUtterance) -> Drift | None:
    """Return how far ``theta`` is from the origin of an utterance, and its outer gradients too.

    None where parameters or posteriors are not finite. Numbers have six digits, so that the order
    of a sum does not show.
    """
    assert source.origin is not None  # the decoder chose this utterance
    layers = layer_norms(task.topology, source.origin.theta, theta)
    if not all(map(math.isfinite, layers.distances + layers.norms)):
        return None

    utterance = source.decoded.utterance
    [logp] = task.utterance_posteriors(theta, task.train, [utterance])
    if not np.isfinite(logp).all():
        return None

    stale = rows_at_softmax(source.decoded, logp)
    fresh = rows_at_softmax(task.decode_split(task.train, utterance, logp, task.settings), logp)

    auxiliary = None
    if task.settings.criterion.auxiliary in FOLLOWING:
        auxiliary = cosine(_followed_rows(task, logp, source), fresh)
    return Drift(
        distances=tuple(map(six_digits, layers.distances)),
        norms=tuple(map(six_digits, layers.norms)),
        stale_norm=six_digits(_norm(stale)),
        fresh_norm=six_digits(_norm(fresh)),
        cosine=cosine(stale, fresh),
        auxiliary_cosine=auxiliary,
    )


def layer_norms(topology: Topology, origin: Vector, theta: Vector) -> LayerNorms:
    """Return ‖θ - θ'‖ and ‖θ'‖ of each layer, with θ' = ``origin``; weights and biases together."""
    entries = topology.layout().entries
    before = as_array(origin)
    now = as_array(theta)

    distances = []
    norms = []
    for name in topology.names:
        layer = slice(entries[f"{name}.weight"][0].start, entries[f"{name}.bias"][0].stop)
        there = before[layer].astype(np.float64)
        norms.append(float(np.linalg.norm(there)))
        distances.append(float(np.linalg.norm(now[layer] - there)))

    return LayerNorms(tuple(distances), tuple(norms))


def rows_at_softmax(decoded: Decoded, logp: np.ndarray) -> FrameRows:
    """Return an outer gradient at the softmax input of a network with posteriors ``logp``.

    ``logp``: log p_θ of the whole utterance, float32 [T, states].
    """
    values = softmax_gradient(
        decoded.indptr, decoded.states, decoded.values, logp[decoded.kept], decoded.mass
    )
    return FrameRows(decoded.kept, values)


def _followed_rows(task: Task, logp: np.ndarray, source: DecodedUtterance) -> FrameRows:
    """What the auxiliary function makes of an outer gradient; ``logp``: log p_θ [T, states]."""
    kept = source.decoded.kept
    batch: OuterBatch[DecodedUtterance] = OuterBatch.of([Piece(source, 0, len(kept))])
    rows = task.at_posteriors(batch, logp[kept])
    if not isinstance(rows, SparseRows):
        return FrameRows(kept, rows)

    values = softmax_gradient(*rows, np.zeros((len(kept), task.topology.states), np.float32))
    return FrameRows(kept, values)


def cosine(one: FrameRows, other: FrameRows) -> float | None:
    """Return the cosine between two sets of rows of one utterance; None if either is zero."""
    length = _norm(one) * _norm(other)
    if not length:
        return None
    _, i, j = np.intersect1d(one.frames, other.frames, assume_unique=True, return_indices=True)
    product = np.sum(one.values[i] * other.values[j], dtype=np.float64)
    return six_digits(min(1.0, max(-1.0, float(product) / length)))


def _norm(rows: FrameRows) -> float:
    return math.sqrt(np.sum(np.square(rows.values), dtype=np.float64))

"""Forward and backward pass of the network, written out by hand over one flat parameter vector.

    h_0 = x,   h_l = max(0, W_l h_{l-1} + b_l),   z = W_L h_{L-1} + b_L,   log p(s|x) = z_s - log sum_r exp z_r

All training climbs Σ_t Σ_s o_t(s) log p(s|x_t). At the softmax input its derivative is o_t(s) - p(s|x_t) Σ_r o_t(r).
For sequence criteria Σ_s o_t(s) = 0, so it is the outer gradient o itself (method section 1); for cross entropy it is
onehot - p. ``outer`` is therefore always the derivative at the softmax input, and needs no softmax to be computed.

Arrays are numpy at the border, torch inside, without copies; the parameters' dtype is that of the maths (float64 in
tests). Buffers are kept per thread, topology and kernel, so that a training loop allocates next to nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from workbench import memory
from workbench.model.factors import Factors
from workbench.model.kernels import Kernel
from workbench.model.sinks import Keep, Layer, Move, Sink, Store
from workbench.model.topology import (
    Layout,
    Topology,
    Trained,
    initial,
    row_ends,
    silence_rows,
    trained_slice,
    transfer,
)
from workbench.model.workspace import Parameters, Workspace, parameters, tensor, workspace

__all__ = [
    "Layout",
    "Parameters",
    "Rows",
    "Theta",
    "Topology",
    "Trained",
    "ce_factors",
    "ce_gradient",
    "ce_outer",
    "ce_step_",
    "factors",
    "gradient",
    "initial",
    "log_posteriors",
    "parameters",
    "row_ends",
    "step_",
    "trained_slice",
    "transfer",
]

CHUNK = 512  # frames of one forward pass: bounds what the activations of a long utterance take

Rows = tuple[
    np.ndarray, np.ndarray, np.ndarray
]  # CSR: indptr int [frames + 1], states int [k], values float [k]
Theta = np.ndarray | Parameters
States = np.ndarray | Sequence[int]


class Outer(NamedTuple):
    """The derivative at the softmax input, in the columns (states) that are not all zero."""

    delta: torch.Tensor  # [frames, columns]
    columns: torch.Tensor | None  # int64 [columns]; None: all states


def log_posteriors(
    theta: Theta,
    topology: Topology,
    x: np.ndarray,
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """log p(s|x_t), [frames, states], of windows ``x`` [frames, inputs]; written to ``out`` if given."""
    p = parameters(theta, topology, kernel)
    out = _result(out, (len(x), topology.states), p)
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        space = workspace(p, len(x[rows]))
        scores = _scores(p, space, _activations(p, space, x[rows])[-1])
        target = tensor(out[rows])
        torch.log_softmax(scores, 1, out=target if p.aliased else space.outer)
        if not p.aliased:
            target.copy_(space.outer)
    return out


def ce_outer(log_posteriors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """onehot(targets) - p, [frames, states]: the derivative of Σ_t log p(targets_t|x_t) at the softmax input."""
    outer = -np.exp(log_posteriors)
    outer[np.arange(len(outer)), targets] += 1
    return outer


def gradient(
    theta: Theta,
    topology: Topology,
    x: np.ndarray,
    outer: np.ndarray | Rows,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Σ_t Σ_s outer_t(s) ∇_θ z_t(s), the direction of ascent, divided by nothing: [parameters of the trained slice].

    ``x`` [frames, inputs]; ``outer`` the derivative at the softmax input, dense [frames, states] or CSR rows. With
    ``trained="last-without-silence"`` the rows of the states ``silence`` are zero. Written to ``out`` if given.
    """
    p = parameters(theta, topology, kernel)
    out = _vector(out, p, trained)
    _climb(
        p,
        x,
        outer,
        trained,
        Store(tensor(out), topology, trained, silence_rows(topology, trained, silence)),
    )
    return out


def ce_gradient(
    theta: Theta,
    topology: Topology,
    x: np.ndarray,
    targets: np.ndarray,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, float, int]:
    """Cross entropy in one pass: (∇_θ Σ_t log p(targets_t|x_t), Σ_t log p(targets_t|x_t), frames in error).

    A frame is in error where another state scores at least as high as its target; else as ``gradient``.
    """
    p = parameters(theta, topology, kernel)
    out = _vector(out, p, trained)
    sink = Store(tensor(out), topology, trained, silence_rows(topology, trained, silence))
    return out, *_climb_ce(p, x, targets, trained, sink)


def factors(
    theta: Theta,
    topology: Topology,
    x: np.ndarray,
    outer: np.ndarray | Rows,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
) -> Factors:
    """What ``gradient`` is the product of."""
    p = parameters(theta, topology, kernel)
    sink = Keep(topology, trained, silence_rows(topology, trained, silence))
    _climb(p, x, outer, trained, sink)
    return sink.factors(p.kernel.precision)


def ce_factors(
    theta: Theta,
    topology: Topology,
    x: np.ndarray,
    targets: np.ndarray,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
) -> tuple[Factors, float, int]:
    """The same with cross entropy; as ``ce_gradient`` otherwise."""
    p = parameters(theta, topology, kernel)
    sink = Keep(topology, trained, silence_rows(topology, trained, silence))
    value, errors = _climb_ce(p, x, targets, trained, sink)
    return sink.factors(p.kernel.precision), value, errors


def step_(
    theta: np.ndarray,
    topology: Topology,
    x: np.ndarray,
    outer: np.ndarray | Rows,
    rate: float,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
) -> None:
    """theta[trained] += float32(rate) * gradient(...), in place, with the same bits; the gradient is never whole."""
    p = parameters(theta, topology, kernel)
    _climb(
        p,
        x,
        outer,
        trained,
        Move(tensor(theta), topology, rate, silence_rows(topology, trained, silence)),
    )


def ce_step_(
    theta: np.ndarray,
    topology: Topology,
    x: np.ndarray,
    targets: np.ndarray,
    rate: float,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
) -> tuple[float, int]:
    """The same with cross entropy: theta[trained] += float32(rate) * ce_gradient(...)[0]; returns the rest of it."""
    p = parameters(theta, topology, kernel)
    sink = Move(tensor(theta), topology, rate, silence_rows(topology, trained, silence))
    return _climb_ce(p, x, targets, trained, sink)


def _climb(
    p: Parameters, x: np.ndarray, outer: np.ndarray | Rows, trained: Trained, sink: Sink
) -> None:
    space = workspace(p, len(x))
    _backward(p, space, _activations(p, space, x), _outer(p, space, outer), trained, sink)


def _climb_ce(
    p: Parameters, x: np.ndarray, targets: np.ndarray, trained: Trained, sink: Sink
) -> tuple[float, int]:
    space = workspace(p, len(x))
    activations = _activations(p, space, x)
    scores = _scores(p, space, activations[-1])
    target = torch.from_numpy(np.asarray(targets, np.int64)).to(p.device)[:, None]
    own = scores.gather(1, target)
    others = scores.scatter_(1, target, -torch.inf).amax(1, keepdim=True)
    top = torch.maximum(own, others)
    posteriors = _softmax(scores.scatter_(1, target, own), space.outer)
    # The largest posterior is exp(top - log of the sum).
    value = float((own - top + posteriors.amax(1, keepdim=True).log_()).sum(dtype=torch.float64))
    delta = posteriors.neg_().scatter_add_(1, target, torch.ones_like(own))
    _backward(p, space, activations, Outer(space.factor(delta, "logits"), None), trained, sink)
    return value, int((others >= own).sum())


def _activations(p: Parameters, space: Workspace, x: np.ndarray) -> list[torch.Tensor]:
    """h_0 .. h_{L-1}, each [frames, width]."""
    if x.ndim != 2 or x.shape[1] != p.topology.inputs:
        raise ValueError(f"windows of shape {x.shape} for {p.topology.inputs} inputs")
    activations = [space.input(x)]
    for (weight, bias), hidden in zip(p.layers[:-1], space.hidden, strict=True):
        p.kernel.affine(activations[-1], weight, bias, hidden, True)
        activations.append(hidden)
    return activations


def _scores(p: Parameters, space: Workspace, last: torch.Tensor) -> torch.Tensor:
    """z [frames, states], in the type of sums."""
    weight, bias = p.layers[-1]
    p.kernel.affine(last, weight, bias, space.logits, False)
    return space.logits if space.scores is space.logits else space.scores.copy_(space.logits)


def _softmax(scores: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Posteriors, in the direction in which the matrix lies: torch is many times slower across it."""
    if scores.t().is_contiguous():
        torch.softmax(scores.t(), 0, out=out.t())
        return out
    return torch.softmax(scores, 1, out=out)


def _outer(p: Parameters, space: Workspace, outer: np.ndarray | Rows) -> Outer:
    frames, states = space.frames, p.topology.states
    if isinstance(outer, np.ndarray):
        if outer.shape != (frames, states):
            raise ValueError(
                f"outer of shape {outer.shape} for {frames} frames and {states} states"
            )
        return Outer(space.factor(tensor(np.ascontiguousarray(outer)), "logits"), None)
    indptr, state, values = (np.asarray(a) for a in outer)
    if len(indptr) != frames + 1 or not indptr[-1] == len(state) == len(values):
        raise ValueError(
            f"CSR rows {len(indptr) - 1} of {len(state)} states, {len(values)} values, for {frames} frames"
        )
    columns, column = np.unique(state, return_inverse=True)
    if len(columns) and (columns[0] < 0 or columns[-1] >= states):
        raise ValueError(
            f"states {columns[0]}..{columns[-1]} of CSR rows lie outside 0..{states - 1}"
        )
    every = (
        2 * len(columns) > states
    )  # then gathering rows of the weights would cost more than it saves
    place, width = (state, states) if every else (column, len(columns))
    row = np.repeat(np.arange(frames), np.diff(indptr))
    dense = np.bincount(row * width + place, values, frames * width).reshape(frames, width)
    delta = space.factor(torch.from_numpy(dense), "logits")
    return Outer(delta, None if every else torch.from_numpy(columns.astype(np.int64)).to(p.device))


def _backward(
    p: Parameters,
    space: Workspace,
    activations: list[torch.Tensor],
    outer: Outer,
    trained: Trained,
    sink: Sink,
) -> None:
    """Give the gradient of each trained layer to ``sink``, the last layer first."""
    delta, columns = outer
    last = len(p.layers) - 1
    first = 0 if trained == "all" else last
    for layer in range(last, first - 1, -1):
        weight, _ = p.layers[layer]
        if columns is not None:
            rows = space.buffer("rows", len(columns), weight.shape[1])
            weight = torch.index_select(weight, 0, columns, out=rows)
        h = space.below(activations[layer])
        below = space.deltas[layer - 1] if layer > first else delta
        if layer > first:  # before the sink, which may change the weights
            p.kernel.backward(delta, weight, below)
            torch.ops.aten.threshold_backward.grad_input(below, h, 0, grad_input=below)
        sink(Layer(p, space, layer, delta, h, columns))
        delta, columns = below, None


def _result(out: np.ndarray | None, shape: tuple[int, ...], p: Parameters) -> np.ndarray:
    if out is None:
        return np.empty(shape, p.border)
    if out.shape != shape or out.dtype != p.border or not out.flags.c_contiguous:
        raise ValueError(f"out must be contiguous {p.border} {shape}, not {out.dtype} {out.shape}")
    return out


def _vector(out: np.ndarray | None, p: Parameters, trained: Trained) -> np.ndarray:
    where = trained_slice(p.topology, trained)
    size = where.stop - where.start
    if out is None and p.border == np.float32:
        return memory.floats(
            size
        )  # at every batch as large as the parameters: new pages would be slow to be had
    return _result(out, (size,), p)

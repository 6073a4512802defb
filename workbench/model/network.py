"""Forward and backward pass of the network, written out by hand over one flat parameter vector.

    h_0 = x,   h_l = max(0, W_l h_{l-1} + b_l),   z = W_L h_{L-1} + b_L,   log p(s|x) = z_s - log sum_r exp z_r

Everything that is trained climbs Σ_t Σ_s o_t(s) log p(s|x_t). At the softmax input its derivative is o_t(s) - p(s|x_t) Σ_r o_t(r):
for sequence criteria Σ_s o_t(s) = 0, so it is the outer gradient o itself (method.md section 1); for cross entropy it is
onehot - p. ``outer`` is therefore always taken as the derivative at the softmax input, and no softmax is computed for it.

Arrays are numpy at the border, torch inside, without copies; the parameters' dtype is that of the maths (float64 in tests).
Functions without ``workspace`` share one per thread, so that a training loop allocates nothing after its first batch.
"""

from typing import NamedTuple

import numpy as np
import torch

from workbench.model.kernels import Kernel, tensor
from workbench.model.topology import Layout, Topology, Trained, initial, silence_mask, trained_slice, transfer
from workbench.model.workspace import Parameters, Workspace, parameters, workspace

__all__ = [
    "Layout", "Outer", "Parameters", "Topology", "ce_gradient", "ce_outer", "gradient", "initial", "log_posteriors", "parameters",
    "trained_slice", "transfer",
]  # fmt: skip

CHUNK = 512  # frames of one forward pass: what the activations of a long utterance may take of the cache

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # CSR: indptr int [frames + 1], states int [k], values float [k]
Theta = np.ndarray | Parameters


class Outer(NamedTuple):
    """The derivative at the softmax input, in the columns (states) that are not all zero."""

    delta: torch.Tensor  # [frames, columns]
    columns: torch.Tensor | None  # int64 [columns]; None: all states


def log_posteriors(
    theta: Theta, topology: Topology, x: np.ndarray, *, kernel: Kernel | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """log p(s|x_t), [frames, states], of windows ``x`` [frames, inputs]; written to ``out`` if given."""
    p = parameters(theta, topology, kernel)
    if out is None:
        out = np.empty((len(x), topology.states), p.border)
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        space = workspace(p, len(x[rows]))
        logits = _logits(p, space, _activations(p, space, x[rows])[-1])
        target = tensor(out[rows])
        if p.aliased:
            torch.log_softmax(logits, 1, out=target)
        else:
            target.copy_(torch.log_softmax(logits.to(p.accumulate), 1))
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
    silence: np.ndarray | tuple[int, ...] = (),
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Σ_t Σ_s outer_t(s) ∇_θ z_t(s), the direction of ascent, divided by nothing: [parameters of the trained slice].

    ``x`` [frames, inputs]; ``outer`` the derivative at the softmax input, dense [frames, states] or CSR rows.
    """
    p = parameters(theta, topology, kernel)
    space = workspace(p, len(x))
    out = _output(p, trained, out)
    activations = _activations(p, space, x)
    _backward(p, space, activations, _outer(p, space, outer, len(x)), trained, tensor(out))
    return _silenced(out, topology, trained, silence)


def ce_gradient(
    theta: Theta,
    topology: Topology,
    x: np.ndarray,
    targets: np.ndarray,
    trained: Trained = "all",
    silence: np.ndarray | tuple[int, ...] = (),
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, float, int]:
    """Cross entropy in one pass: (∇_θ Σ_t log p(targets_t|x_t), Σ_t log p(targets_t|x_t), frames whose best state is another)."""
    p = parameters(theta, topology, kernel)
    space = workspace(p, len(x))
    out = _output(p, trained, out)
    activations = _activations(p, space, x)
    logp = space.probabilities
    torch.log_softmax(_logits(p, space, activations[-1]).to(p.accumulate), 1, out=logp)
    target = torch.from_numpy(np.asarray(targets, np.int64)).to(p.device)[:, None]
    own = logp.gather(1, target)
    value, errors = float(own.sum(dtype=torch.float64)), int((logp.argmax(1, keepdim=True) != target).sum())
    delta = logp.exp_().neg_().scatter_add_(1, target, torch.ones_like(own))
    _backward(p, space, activations, Outer(space.factor(delta), None), trained, tensor(out))
    return _silenced(out, topology, trained, silence), value, errors


def _activations(p: Parameters, space: Workspace, x: np.ndarray) -> list[torch.Tensor]:
    """h_0 .. h_{L-1}."""
    if x.ndim != 2 or x.shape[1] != p.topology.inputs:
        raise ValueError(f"windows of shape {x.shape} for {p.topology.inputs} inputs")
    activations = [space.input(x)]
    for (weight, bias), hidden in zip(p.layers, space.hidden):
        p.kernel.affine(activations[-1], weight.t(), bias, hidden)
        activations.append(hidden.relu_())
    return activations


def _logits(p: Parameters, space: Workspace, last: torch.Tensor) -> torch.Tensor:
    weight, bias = p.layers[-1]
    p.kernel.affine(last, weight.t(), bias, space.logits)
    return space.logits


def _outer(p: Parameters, space: Workspace, outer: np.ndarray | Rows, frames: int) -> Outer:
    if isinstance(outer, np.ndarray):
        if outer.shape != (frames, p.topology.states):
            raise ValueError(f"outer of shape {outer.shape} for {frames} frames and {p.topology.states} states")
        return Outer(space.dense(outer), None)
    indptr, states, values = (np.asarray(a) for a in outer)
    if len(indptr) != frames + 1 or indptr[-1] != len(states) or len(states) != len(values):
        raise ValueError(
            f"CSR rows for {len(indptr) - 1} frames with {len(states)} states and {len(values)} values, not {frames} frames"
        )
    columns, column = np.unique(states, return_inverse=True)
    if len(columns) and not (0 <= columns[0] and columns[-1] < p.topology.states):
        raise ValueError(f"states {columns[0]}..{columns[-1]} outside 0..{p.topology.states - 1}")
    every = (
        2 * len(columns) > p.topology.states
    )  # gathering and scattering rows of the weights would cost more than it saves
    column, width = (states, p.topology.states) if every else (column, len(columns))
    row = np.repeat(np.arange(frames), np.diff(indptr))
    delta = np.bincount(row * width + column, values, frames * width).reshape(frames, width)
    return Outer(space.dense(delta), None if every else torch.from_numpy(columns.astype(np.int64)).to(p.device))


def _backward(
    p: Parameters, space: Workspace, activations: list[torch.Tensor], outer: Outer, trained: Trained, out: torch.Tensor
) -> None:
    """Write the gradient of the trained slice to ``out`` (as the parameters are: on the host)."""
    delta, columns = outer
    base = trained_slice(p.topology, trained).start
    first = 0 if trained == "all" else len(p.layers) - 1
    entries = p.topology.layout().entries
    for layer in range(len(p.layers) - 1, first - 1, -1):
        name, weight = p.topology.names[layer], p.layers[layer][0]
        rows = columns if layer == len(p.layers) - 1 else None
        if rows is not None:
            weight = weight.index_select(0, rows)
        for part, product in (("weight", True), ("bias", False)):
            where, shape = entries[f"{name}.{part}"]
            into = out[where.start - base : where.stop - base].view(shape)
            _write(p, space, delta, activations[layer] if product else None, rows, into)
        if layer > first:
            below = space.deltas[layer - 1]
            p.kernel.product(delta, weight, below)
            delta = torch.ops.aten.threshold_backward.grad_input(below, activations[layer], 0, grad_input=below)


def _write(
    p: Parameters,
    space: Workspace,
    delta: torch.Tensor,
    h: torch.Tensor | None,
    rows: torch.Tensor | None,
    into: torch.Tensor,
) -> None:
    """into = deltaᵀ h, or Σ_t delta_t where ``h`` is None; with ``rows`` only those rows of it, the others being zero."""
    direct = p.aliased and rows is None
    if h is None:
        total = delta.sum(0, dtype=p.accumulate)
    else:
        total = into if direct else space.product(delta.shape[1], h.shape[1])
        p.kernel.product(delta.t(), h, total)
    if rows is not None:
        into.zero_().index_copy_(0, rows.cpu(), total.to(into))
    elif total is not into:
        into.copy_(total)


def _output(p: Parameters, trained: Trained, out: np.ndarray | None) -> np.ndarray:
    where = trained_slice(p.topology, trained)
    size = where.stop - where.start
    if out is None:
        return np.empty(size, p.border)
    if out.shape != (size,) or out.dtype != p.border or not out.flags.c_contiguous:
        raise ValueError(f"out must be contiguous {p.border} [{size}], not {out.dtype} {out.shape}")
    return out


def _silenced(
    out: np.ndarray, topology: Topology, trained: Trained, silence: np.ndarray | tuple[int, ...]
) -> np.ndarray:
    rows = silence_mask(topology, trained, silence)
    if rows is not None:
        inputs = topology.hidden[-1]
        out[: topology.states * inputs].reshape(topology.states, inputs)[rows] = 0
        out[topology.states * inputs :][rows] = 0
    return out

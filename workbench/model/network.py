"""Forward and backward pass of the network, written out by hand over one flat parameter vector.

    h_0 = x,   h_l = max(0, W_l h_{l-1} + b_l),   z = W_L h_{L-1} + b_L,
    log p(s|x) = z_s - log sum_r exp z_r

All training climbs Σ_t Σ_s o_t(s) log p(s|x_t). At the softmax input its derivative is o_t(s) -
p(s|x_t) Σ_r o_t(r). For sequence criteria Σ_s o_t(s) = 0, so it is the outer gradient o itself
(docs/method.md, section 1); for cross entropy it is onehot - p. ``outer`` is therefore always the
derivative at the softmax input, and needs no softmax to be computed.

Arrays are numpy at the border and torch inside, without copies. Computation has the parameters'
dtype (float64 in tests). Buffers are kept for each thread, topology and kernel, so that a training
loop allocates next to nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from workbench.model.factors import Factors
from workbench.model.kernels import Kernel
from workbench.model.logit_gradient import LogitGradient, SparseRows, logit_gradient
from workbench.model.sinks import Keep, LayerGradient, Sink, Store
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
from workbench.model.torch_vector import tensor
from workbench.model.workspace import (
    DeviceParameters,
    NetworkWorkspace,
    device_parameters,
    workspace,
)
from workbench.system import memory
from workbench.system.vectors import DeviceVector

__all__ = [
    "CrossEntropy",
    "CrossEntropyFactors",
    "DeviceParameters",
    "Layout",
    "SparseRows",
    "Topology",
    "Trained",
    "ce_factors",
    "ce_gradient",
    "device_parameters",
    "factors",
    "gradient",
    "initial",
    "log_posteriors",
    "row_ends",
    "trained_slice",
    "transfer",
]

# Frames of one forward pass; this bounds the memory for the activations of a long utterance. A
# device needs some thousand frames to be busy.
CHUNK = 512
DEVICE_CHUNK = 8192


class CrossEntropy(NamedTuple):
    """∇_θ Σ_t log p(targets_t|x_t), the sum itself, and how many frames are in error.

    A frame is in error where another state scores at least as high as its target.
    """

    gradient: np.ndarray
    value: float
    errors: int


class CrossEntropyFactors(NamedTuple):
    """The same as `CrossEntropy`, with the gradient in factors."""

    gradient: Factors
    value: float
    errors: int


Theta = np.ndarray | DeviceVector | DeviceParameters
Windows = np.ndarray | torch.Tensor
States = np.ndarray | Sequence[int]


def log_posteriors(
    theta: Theta,
    topology: Topology,
    x: Windows,
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return log p(s|x_t), [frames, states], of windows ``x`` [frames, inputs]; written to ``out``
    if given.
    """
    p = device_parameters(theta, topology, kernel)
    out = _result_array(out, (len(x), topology.states), p)
    chunk = DEVICE_CHUNK if p.kernel.own_memory else CHUNK
    for start in range(0, len(x), chunk):
        rows = slice(start, start + chunk)
        space = workspace(p, len(x[rows]))
        scores = _scores(p, space, _activations(p, space, x[rows])[-1])
        target = tensor(out[rows])
        if p.aliased:
            torch.log_softmax(scores, 1, out=target)
        else:
            torch.log_softmax(scores, 1, out=space.outer)
            target.copy_(space.outer)

    return out


def gradient(
    theta: Theta,
    topology: Topology,
    x: Windows,
    outer: np.ndarray | SparseRows,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σ_t Σ_s outer_t(s) ∇_θ z_t(s), the direction of ascent, not divided: [parameters of
    the trained slice].

    ``x`` [frames, inputs]; ``outer`` the derivative at the softmax input, dense [frames, states] or
    sparse. With ``trained="last-without-silence"`` the rows of the states ``silence`` are zero.
    Written to ``out`` if given.
    """
    p = device_parameters(theta, topology, kernel)
    out = _gradient_vector(out, p, trained)
    sink = Store(tensor(out), topology, trained, silence_rows(topology, trained, silence))
    pass_outer(p, x, outer, trained, sink)
    return out


def ce_gradient(
    theta: Theta,
    topology: Topology,
    x: Windows,
    targets: Windows,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
    out: np.ndarray | None = None,
) -> CrossEntropy:
    """Return gradient, value and errors of cross entropy in one pass; ``targets`` integer [frames],
    else as `gradient`.
    """
    p = device_parameters(theta, topology, kernel)
    out = _gradient_vector(out, p, trained)
    sink = Store(tensor(out), topology, trained, silence_rows(topology, trained, silence))
    value, errors = pass_cross_entropy(p, x, targets, trained, sink).tolist()
    return CrossEntropy(out, value, int(errors))


def factors(
    theta: Theta,
    topology: Topology,
    x: Windows,
    outer: np.ndarray | SparseRows,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
) -> Factors:
    """Return the factors whose product `gradient` returns."""
    p = device_parameters(theta, topology, kernel)
    sink = Keep(topology, trained, silence_rows(topology, trained, silence))
    pass_outer(p, x, outer, trained, sink)
    return sink.factors()


def ce_factors(
    theta: Theta,
    topology: Topology,
    x: Windows,
    targets: Windows,
    trained: Trained = "all",
    silence: States = (),
    *,
    kernel: Kernel | None = None,
) -> CrossEntropyFactors:
    """Return gradient in factors, value and errors of cross entropy in one pass; as `ce_gradient`
    otherwise.
    """
    p = device_parameters(theta, topology, kernel)
    sink = Keep(topology, trained, silence_rows(topology, trained, silence))
    value, errors = pass_cross_entropy(p, x, targets, trained, sink).tolist()
    return CrossEntropyFactors(sink.factors(), value, int(errors))


def pass_outer(
    p: DeviceParameters,
    x: Windows,
    outer: np.ndarray | SparseRows,
    trained: Trained,
    sink: Sink,
) -> None:
    """Give the gradients of an outer gradient to ``sink``, layer by layer from the last one."""
    space = workspace(p, len(x))
    activations = _activations(p, space, x)
    _backward(p, space, activations, logit_gradient(p, space, outer), trained, sink)


def pass_cross_entropy(
    p: DeviceParameters, x: Windows, targets: Windows, trained: Trained, sink: Sink
) -> torch.Tensor:
    """Give the gradients of cross entropy to ``sink``; return Σ_t log p(targets_t|x_t) and the
    number of frames in error, float64 [2] on the device.
    """
    space = workspace(p, len(x))
    activations = _activations(p, space, x)
    scores = _scores(p, space, activations[-1])

    if not isinstance(targets, torch.Tensor):
        targets = torch.from_numpy(np.asarray(targets, np.int64)).to(p.device)
    target = targets[:, None]
    of_target = scores.gather(1, target)
    of_others = scores.scatter_(1, target, -torch.inf).amax(1, keepdim=True)
    best = torch.maximum(of_target, of_others)
    posteriors = _softmax(scores.scatter_(1, target, of_target), space.outer)
    # The largest posterior is exp(best - log of the sum).
    log_p = of_target - best + posteriors.amax(1, keepdim=True).log_()
    value = log_p.sum(dtype=torch.float64)
    errors = (of_others >= of_target).sum(dtype=torch.float64)

    delta = posteriors.neg_().scatter_add_(1, target, torch.ones_like(of_target))
    outer = LogitGradient(space.factor(delta, "logits"), None)
    _backward(p, space, activations, outer, trained, sink)
    return torch.stack([value, errors])


def _activations(p: DeviceParameters, space: NetworkWorkspace, x: Windows) -> list[torch.Tensor]:
    """Return h_0 .. h_{L-1}, each [frames, width]."""
    if x.ndim != 2 or x.shape[1] != p.topology.inputs:
        raise ValueError(f"windows of shape {tuple(x.shape)} for {p.topology.inputs} inputs")
    activations = [space.input(x)]
    for (weight, bias), hidden in zip(p.layers[:-1], space.hidden, strict=True):
        p.kernel.affine(activations[-1], weight, bias, hidden, True)
        activations.append(hidden)
    return activations


def _scores(p: DeviceParameters, space: NetworkWorkspace, last: torch.Tensor) -> torch.Tensor:
    """Return z [frames, states], in the dtype of sums."""
    weight, bias = p.layers[-1]
    p.kernel.affine(last, weight, bias, space.logits, False)
    if space.scores is space.logits:
        return space.logits
    return space.scores.copy_(space.logits)


def _softmax(scores: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Write posteriors to ``out``, along memory: torch is many times slower across it."""
    if scores.t().is_contiguous():
        torch.softmax(scores.t(), 0, out=out.t())
        return out
    return torch.softmax(scores, 1, out=out)


def _backward(
    p: DeviceParameters,
    space: NetworkWorkspace,
    activations: list[torch.Tensor],
    outer: LogitGradient,
    trained: Trained,
    sink: Sink,
) -> None:
    """Give the gradient of each trained layer to ``sink``, the last layer first."""
    delta = outer.delta
    columns = outer.columns
    last = len(p.layers) - 1
    first = 0 if trained == "all" else last
    for layer in range(last, first - 1, -1):
        h = space.for_backward(activations[layer])
        below = delta
        if layer > first:
            weight = p.layers[layer].weight
            if columns is not None:
                rows = space.buffer("rows", len(columns), weight.shape[1])
                weight = torch.index_select(weight, 0, columns, out=rows)
            below = space.deltas[layer - 1]
            p.kernel.backward(delta, weight, below)
            torch.ops.aten.threshold_backward.grad_input(below, h, 0, grad_input=below)
        sink(LayerGradient(p, space, layer, delta, h, columns))
        delta = below
        columns = None


def _result_array(
    out: np.ndarray | None, shape: tuple[int, ...], p: DeviceParameters
) -> np.ndarray:
    """Return ``out``, or a new array; raises ValueError if ``out`` cannot take the result."""
    if out is None:
        return np.empty(shape, p.border)
    if out.shape != shape or out.dtype != p.border or not out.flags.c_contiguous:
        raise ValueError(f"out must be contiguous {p.border} {shape}, not {out.dtype} {out.shape}")
    return out


def _gradient_vector(out: np.ndarray | None, p: DeviceParameters, trained: Trained) -> np.ndarray:
    """Return ``out``, or memory that is used again: the kernel would fault in fresh pages at every
    batch.
    """
    where = trained_slice(p.topology, trained)
    size = where.stop - where.start
    if out is None and p.border == np.float32:
        return memory.floats(size)
    return _result_array(out, (size,), p)

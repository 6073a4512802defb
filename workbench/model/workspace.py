"""Parameters as tensors, and the buffers of one batch: what the passes of the network work on."""

import threading
import weakref
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from workbench.model import kernels
from workbench.model.kernels import Kernel
from workbench.model.topology import Topology
from workbench.model.torch_vector import TorchVector, tensor
from workbench.system.memory import loan_of
from workbench.system.vectors import Vector, as_array

CACHE_LINE = 16  # numbers
WORKSPACES = 8  # kept for each thread


class LayerParameters(NamedTuple):
    """The parameters of one layer: ``weight`` [outputs, inputs], ``bias`` [outputs]."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class DeviceParameters:
    """The layers of one flat parameter vector, as one kernel wants them.

    ``border``: dtype of the numpy arrays that go in and come out. ``aliased``: the layers are views
    of an array of the host (same device and dtype); else they lie on the kernel's device, in its
    dtype.
    """

    topology: Topology
    kernel: Kernel
    layers: tuple[LayerParameters, ...]
    border: np.dtype
    aliased: bool

    @property
    def device(self) -> torch.device:
        """The device of the layers."""
        return self.kernel.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the factors."""
        return self.layers[0].weight.dtype

    @property
    def accumulate(self) -> torch.dtype:
        """The dtype of sums and of the softmax."""
        return torch.float64 if self.border == np.float64 else torch.float32


_copies: dict[tuple[int, Topology, Kernel], DeviceParameters] = {}


def device_parameters(
    theta: Vector | DeviceParameters, topology: Topology, kernel: Kernel | None = None
) -> DeviceParameters:
    """Return the flat vector ``theta`` [parameters] ready for passes; ``kernel``: by default the
    one chosen here.

    Without a change of device and dtype the layers are views, else copies. What is made of a
    `TorchVector` or of a published version is kept as long as ``theta`` lives; other arrays may
    change and are copied each time. Raises ValueError if ``theta`` does not fit the topology.
    """
    if isinstance(theta, DeviceParameters):
        return theta
    kernel = kernel or kernels.choose()
    if isinstance(theta, TorchVector):
        return _parameters_on_device(theta, topology, kernel)

    theta = as_array(theta)
    if theta.shape != (topology.size,) or theta.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"{theta.dtype} parameters of shape {theta.shape} for {topology}, "
            f"which has {topology.size}"
        )

    flat = tensor(theta)
    dtype = kernel.factors(flat.dtype)
    if not kernel.own_memory and dtype == flat.dtype:
        return DeviceParameters(topology, kernel, _layers(flat, topology), theta.dtype, True)

    key = (id(theta), topology, kernel)
    if key in _copies:
        return _copies[key]
    layers = _layers(flat.to(kernel.device, dtype), topology)
    copy = DeviceParameters(topology, kernel, layers, theta.dtype, False)
    if _is_published(theta):
        _keep_copy(theta, key, copy)
    return copy


def _parameters_on_device(
    theta: TorchVector, topology: Topology, kernel: Kernel
) -> DeviceParameters:
    """Return parameters that lie on the device: views of them, kept as long as they live."""
    key = (id(theta), topology, kernel)
    if key in _copies:
        return _copies[key]
    if len(theta) != topology.size:
        raise ValueError(f"{len(theta)} parameters for {topology}, which has {topology.size}")

    dtype = kernel.factors(torch.float32)
    layers = _layers(theta.values.to(kernel.device, dtype), topology)
    found = DeviceParameters(topology, kernel, layers, np.dtype(np.float32), False)
    _keep_copy(theta, key, found)
    return found


def _keep_copy(
    theta: np.ndarray | TorchVector, key: tuple[int, Topology, Kernel], copy: DeviceParameters
) -> None:
    """Keep what was made of ``theta`` for as long as ``theta`` lives."""
    _copies[key] = copy
    weakref.finalize(theta, _copies.pop, key, None)


def _is_published(theta: np.ndarray) -> bool:
    """Return whether ``theta`` will never change: it is read-only, and its memory is its own or
    lent.

    A file mapped into memory may be written by another process.
    """
    owner = theta
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return not theta.flags.writeable and (owner.flags.owndata or loan_of(owner) is not None)


def _layers(flat: torch.Tensor, topology: Topology) -> tuple[LayerParameters, ...]:
    entries = topology.layout().entries.values()
    views = [flat[where].view(shape) for where, shape in entries]
    pairs = zip(views[::2], views[1::2], strict=True)
    return tuple(LayerParameters(weight, bias) for weight, bias in pairs)


class NetworkWorkspace:
    """The buffers of passes over one batch; they grow to the largest batch so far and are then
    reused.

    Matrices are [frames, width] for all users. In memory, small batches lie width by width where
    the kernel is faster so: BLAS packs one factor of a product before it begins, which for few
    frames costs as much as the product.
    """

    def __init__(self, p: DeviceParameters) -> None:
        self.p = p
        self.frames = -1
        self._pool: dict[str, torch.Tensor] = {}

    def resize(self, frames: int) -> "NetworkWorkspace":
        """Shape every buffer for batches of ``frames``."""
        if frames == self.frames:
            return self
        self.frames = frames
        p = self.p
        inputs, *hidden, states = p.topology.widths

        self._input = self._matrix("input", inputs)
        self.hidden = [self._matrix(f"hidden{i}", width) for i, width in enumerate(hidden)]
        self.deltas = [self._backward_matrix(f"delta{i}", width) for i, width in enumerate(hidden)]
        self.logits = self._matrix("logits", states)
        self.scores = self.logits
        if p.dtype != p.accumulate:
            self.scores = self._matrix("scores", states, p.accumulate)
        self.outer = self._matrix("outer", states, p.accumulate)
        return self

    def _matrix(self, name: str, width: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        if self.frames >= self.p.kernel.turned:
            return self.buffer(name, self.frames, width, dtype)
        of_states = name in ("logits", "scores", "outer")
        stride = self.frames if of_states else _padded(self.frames)
        return self.buffer(name, width, stride, dtype)[:, : self.frames].t()

    def _backward_matrix(self, name: str, width: int) -> torch.Tensor:
        if self.p.kernel.mixed:
            return self.buffer(name, self.frames, _padded(width))[:, :width]
        return self._matrix(name, width)

    def for_backward(self, h: torch.Tensor) -> torch.Tensor:
        """Return activations as the backward pass wants them: themselves, or a copy frame by frame.

        The copy is valid until the next call.
        """
        return self.buffer("below", *h.shape).copy_(h) if self.p.kernel.mixed else h

    def buffer(
        self, name: str, rows: int, columns: int, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Return the buffer ``name`` as an uninitialised matrix [rows, columns]; replaced only if
        it is too small.
        """
        size = rows * columns
        if name not in self._pool or self._pool[name].numel() < size:
            self._pool[name] = torch.empty(size, dtype=dtype or self.p.dtype, device=self.p.device)
        return self._pool[name][:size].view(rows, columns)

    def input(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return windows [frames, inputs] as factors: themselves where possible, else a copy."""
        p = self.p
        if isinstance(x, torch.Tensor):
            return self._input.copy_(x)
        usable = p.aliased and x.dtype == p.border and x.flags.c_contiguous
        if usable and not p.kernel.mixed:
            return tensor(x)
        return self._input.copy_(tensor(np.ascontiguousarray(x)))

    def factor(self, matrix: torch.Tensor, name: str) -> torch.Tensor:
        """Return a matrix as factors: itself, or its copy in the buffer ``name``."""
        if matrix.dtype == self.p.dtype and matrix.device == self.p.device:
            return matrix
        return self.buffer(name, *matrix.shape).copy_(matrix)


def _padded(numbers: int) -> int:
    """Return the distance between rows of so many ``numbers``: an odd number of cache lines.

    So a column of the matrix does not fall into a few sets of the cache only.
    """
    lines = -(-numbers // CACHE_LINE)
    return CACHE_LINE * (lines | 1) if lines > 2 else numbers


class _Workspaces(threading.local):
    """A thread's workspaces, in order of use."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[Topology, Kernel, np.dtype], NetworkWorkspace] = {}


_of_thread = _Workspaces()


def workspace(p: DeviceParameters, frames: int) -> NetworkWorkspace:
    """Return the calling thread's workspace for such parameters, shaped for ``frames``."""
    spaces = _of_thread.by_key
    key = (p.topology, p.kernel, p.border)
    space = spaces.pop(key, None) or NetworkWorkspace(p)
    spaces[key] = space
    if len(spaces) > WORKSPACES:
        least_recent = next(iter(spaces))
        spaces.pop(least_recent)
    return space.resize(frames)

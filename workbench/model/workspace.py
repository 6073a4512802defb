"""Parameters as tensors, and the buffers of one batch: what the passes of the network work on."""

import threading
import weakref
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from workbench.model import kernels
from workbench.model.kernels import Kernel, tensor
from workbench.model.topology import Topology

SPACES = 8  # workspaces kept per thread

_local = threading.local()
_copies: dict[tuple[int, Topology, str], "Parameters"] = {}


@dataclass(frozen=True)
class Parameters:
    """The layers (weight [outputs, inputs], bias [outputs]) of one flat vector, as one kernel wants them.

    ``aliased``: the layers are views of the vector (CPU, same dtype); else copies on the kernel's device, in its dtype.
    """

    topology: Topology
    kernel: Kernel
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    border: np.dtype  # of the arrays that go in and come out
    aliased: bool

    @property
    def device(self) -> torch.device:
        return self.kernel.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the factors."""
        return self.layers[0][0].dtype

    @cached_property
    def accumulate(self) -> torch.dtype:
        """Of sums and of the softmax."""
        return torch.float64 if self.border == np.float64 else torch.float32


def parameters(theta: "np.ndarray | Parameters", topology: Topology, kernel: Kernel | None = None) -> Parameters:
    """The parameters of flat vector ``theta``, ready for passes; made once, they spare the same vector a second copy.

    On the CPU without a change of dtype they are views. Elsewhere they are a copy, which is kept as long as ``theta`` lives if
    it owns its memory and is read-only, i.e. is a published version; other arrays may change and are copied each time.
    """
    if isinstance(theta, Parameters):
        return theta
    kernel = kernel or kernels.choose()
    if theta.shape != (topology.size,) or theta.dtype not in (np.float32, np.float64):
        raise ValueError(f"{theta.dtype} parameters of shape {theta.shape} for {topology}, which has {topology.size}")
    flat = tensor(theta)
    if kernel.device.type == "cpu" and kernel.factors(flat.dtype) == flat.dtype:
        return _make(theta, topology, kernel, flat, True)
    key = (id(theta), topology, kernel.name)
    if key not in _copies:
        made = _make(theta, topology, kernel, flat.to(kernel.device, kernel.factors(flat.dtype)), False)
        if theta.flags.writeable or not theta.flags.owndata:
            return made
        _copies[key] = made
        weakref.finalize(theta, _copies.pop, key, None)
    return _copies[key]


def _make(theta: np.ndarray, topology: Topology, kernel: Kernel, flat: torch.Tensor, aliased: bool) -> Parameters:
    views = [flat[where].view(shape) for where, shape in topology.layout().entries.values()]
    return Parameters(topology, kernel, tuple(zip(views[::2], views[1::2])), theta.dtype, aliased)


class Workspace:
    """The buffers of passes over batches of up to some number of frames; ``resize`` says how many the next batch has."""

    def __init__(self, p: Parameters):
        self.p = p
        self.capacity = 0
        self.frames = 0

    def resize(self, frames: int) -> "Workspace":
        """Make every buffer [frames, ...]; allocates only beyond the largest batch so far."""
        if frames > self.capacity:
            self._full = [self._empty(frames, w) for w in self.p.topology.widths]
            self._full_deltas = [self._empty(frames, w) for w in self.p.topology.hidden]
            self._full_outer = self._empty(frames, self.p.topology.states, self.p.accumulate)
            self.capacity, self.frames = frames, -1
        if frames != self.frames:
            self._input, *self.hidden, self.logits = (b[:frames] for b in self._full)
            self.deltas = [b[:frames] for b in self._full_deltas]
            self.probabilities = self._full_outer[:frames]
            self.frames = frames
        return self

    def _empty(self, rows: int, columns: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.empty(rows, columns, dtype=dtype or self.p.dtype, device=self.p.device)

    def input(self, x: np.ndarray) -> torch.Tensor:
        """``x`` as factors: itself where possible, else its copy."""
        if self.p.device.type == "cpu" and x.dtype == self.p.border and self.p.aliased and x.flags.c_contiguous:
            return tensor(x)
        return self._input.copy_(tensor(np.ascontiguousarray(x)))

    def dense(self, outer: np.ndarray) -> torch.Tensor:
        """An array [frames, columns] as factors."""
        return tensor(np.ascontiguousarray(outer)).to(self.p.device, self.p.dtype)

    def factor(self, delta: torch.Tensor) -> torch.Tensor:
        """A tensor [frames, states] as factors: itself, or rounded into the buffer of the logits."""
        return delta if delta.dtype == self.p.dtype else self.logits.copy_(delta)

    def product(self, rows: int, columns: int) -> torch.Tensor:
        """A buffer [rows, columns] for one product."""
        size = rows * columns
        if getattr(self, "_product", None) is None or self._product.numel() < size:
            self._product = torch.empty(size, dtype=self.p.dtype, device=self.p.device)
        return self._product[:size].view(rows, columns)


def workspace(p: Parameters, frames: int) -> Workspace:
    """This thread's workspace for such parameters, sized for ``frames``."""
    spaces: dict[tuple[object, ...], Workspace] = _local.__dict__.setdefault("spaces", {})
    key = (p.topology, p.kernel.name, p.dtype, p.border)
    space = spaces.pop(key, None) or Workspace(p)
    spaces[key] = space  # the dict is in order of use
    if len(spaces) > SPACES:
        del spaces[next(iter(spaces))]
    return space.resize(frames)

"""Parameters as tensors, and the buffers of one batch: what the passes of the network work on."""

import threading
import weakref
from dataclasses import dataclass

import numpy as np
import torch

from workbench.memory import loan_of
from workbench.model import kernels
from workbench.model.kernels import Kernel
from workbench.model.topology import Topology

LINE = 16  # numbers of a cache line
SPACES = 8  # workspaces kept per thread

_local = threading.local()
_copies: dict[tuple[int, Topology, Kernel], "Parameters"] = {}


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

    @property
    def accumulate(self) -> torch.dtype:
        """Of sums and of the softmax."""
        return torch.float64 if self.border == np.float64 else torch.float32


def parameters(
    theta: np.ndarray | Parameters, topology: Topology, kernel: Kernel | None = None
) -> Parameters:
    """The parameters of flat vector ``theta``, ready for passes; made once, they spare the same vector a second copy.

    On the CPU without a change of dtype they are views. Elsewhere they are a copy, which is kept as long as ``theta``
    lives if that is a published version; other arrays may change and are copied each time.
    """
    if isinstance(theta, Parameters):
        return theta
    kernel = kernel or kernels.choose()
    if theta.shape != (topology.size,) or theta.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"{theta.dtype} parameters of shape {theta.shape} for {topology}, which has {topology.size}"
        )
    flat = tensor(theta)
    if kernel.device.type == "cpu" and kernel.factors(flat.dtype) == flat.dtype:
        return _make(theta, topology, kernel, flat, True)
    key = (id(theta), topology, kernel)
    if key not in _copies:
        made = _make(
            theta,
            topology,
            kernel,
            flat.to(kernel.device, kernel.factors(flat.dtype)),
            False,
        )
        if not _published(theta):
            return made
        _copies[key] = made
        weakref.finalize(theta, _copies.pop, key, None)
    return _copies[key]


def _published(theta: np.ndarray) -> bool:
    """Whether nobody will change ``theta``: read-only, and in memory of its own or lent (not mapped from a file)."""
    owner = theta
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return not theta.flags.writeable and (owner.flags.owndata or loan_of(owner) is not None)


def _make(
    theta: np.ndarray, topology: Topology, kernel: Kernel, flat: torch.Tensor, aliased: bool
) -> Parameters:
    views = [flat[where].view(shape) for where, shape in topology.layout().entries.values()]
    return Parameters(
        topology, kernel, tuple(zip(views[::2], views[1::2], strict=True)), theta.dtype, aliased
    )


class Workspace:
    """The buffers of passes over one batch; they grow to the largest batch so far and are then reused.

    Matrices are [frames, width] to whoever uses them. In memory small batches lie width by width where the kernel is
    faster so: BLAS packs one factor of a product before it begins, which for few frames costs as much as the product.
    """

    def __init__(self, p: Parameters):
        self.p = p
        self.frames = -1
        self._pool: dict[str, torch.Tensor] = {}

    def resize(self, frames: int) -> "Workspace":
        """Shape every buffer for batches of ``frames``."""
        if frames == self.frames:
            return self
        p, widths, self.frames = self.p, self.p.topology.widths, frames
        self._input = self._matrix("input", widths[0])
        self.hidden = [self._matrix(f"hidden{i}", w) for i, w in enumerate(widths[1:-1])]
        self.deltas = [self._down(f"delta{i}", w) for i, w in enumerate(widths[1:-1])]
        self.logits = self._matrix("logits", widths[-1])
        narrow = p.dtype != p.accumulate
        self.scores = self._matrix("scores", widths[-1], p.accumulate) if narrow else self.logits
        self.outer = self._matrix("outer", widths[-1], p.accumulate)
        return self

    def _matrix(self, name: str, width: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        if self.frames < self.p.kernel.turned:
            stride = self.frames if name in ("logits", "scores", "outer") else _stride(self.frames)
            return self.buffer(name, width, stride, dtype)[:, : self.frames].t()
        return self.buffer(name, self.frames, width, dtype)

    def _down(self, name: str, width: int) -> torch.Tensor:
        if self.p.kernel.mixed:
            return self.buffer(name, self.frames, _stride(width))[:, :width]
        return self._matrix(name, width)

    def below(self, h: torch.Tensor) -> torch.Tensor:
        """Activations as the way down wants them: themselves, or copied frame by frame; until the next call."""
        return self.buffer("below", *h.shape).copy_(h) if self.p.kernel.mixed else h

    def buffer(
        self, name: str, rows: int, columns: int, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """The buffer ``name`` as an uninitialised matrix [rows, columns]; replaced only where it is too small."""
        size = rows * columns
        if name not in self._pool or self._pool[name].numel() < size:
            self._pool[name] = torch.empty(size, dtype=dtype or self.p.dtype, device=self.p.device)
        return self._pool[name][:size].view(rows, columns)

    def input(self, x: np.ndarray) -> torch.Tensor:
        """Windows [frames, inputs] as factors: themselves where possible, else their copy."""
        if (
            self.p.aliased
            and x.dtype == self.p.border
            and x.flags.c_contiguous
            and not self.p.kernel.mixed
        ):
            return tensor(x)
        return self._input.copy_(tensor(np.ascontiguousarray(x)))

    def factor(self, matrix: torch.Tensor, name: str) -> torch.Tensor:
        """A matrix as factors: itself, or its copy in the buffer ``name``."""
        if matrix.dtype == self.p.dtype and matrix.device == self.p.device:
            return matrix
        return self.buffer(name, *matrix.shape).copy_(matrix)


def _stride(frames: int) -> int:
    """Numbers from one row to the next, where rows are widths: an odd number of cache lines, so that a column of a
    matrix does not fall into a few sets of the cache only."""
    lines = -(-frames // LINE)
    return LINE * (lines | 1) if lines > 2 else frames


def workspace(p: Parameters, frames: int) -> Workspace:
    """This thread's workspace for such parameters, shaped for ``frames``."""
    if not hasattr(_local, "spaces"):
        kernels.single_thread()
        _local.spaces = {}
    spaces: dict[tuple[object, ...], Workspace] = _local.spaces
    key = (p.topology, p.kernel, p.border)
    space = spaces.pop(key, None) or Workspace(p)
    spaces[key] = space  # the dict is in order of use
    if len(spaces) > SPACES:
        del spaces[next(iter(spaces))]
    return space.resize(frames)


def tensor(array: np.ndarray) -> torch.Tensor:
    """``array`` as a tensor over the same memory, also if it is read-only (then nobody may write to the tensor).

    torch warns of read-only arrays; published parameters and memory-mapped frames always are, so that its warning would
    say nothing.
    """
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writeable(array)))


class _Writeable:
    """The array interface of a read-only array without its read-only mark; keeps the array alive."""

    def __init__(self, array: np.ndarray):
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}

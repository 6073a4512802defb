"""The kernels that multiply the matrices of the network, and the choice of one of them on this
machine.

A short measurement decides between the kernels that this machine offers. The choice is kept in a
file for each processor and library versions, and in the environment for child processes, since
another kernel means other bits: the same seed on the same machine must stay the same run. Of
kernels within 15 % of the fastest the first one in `NAMES` is taken, so that noise decides nothing.
The choice and the measurement are recorded with every run.

    WORKBENCH_KERNEL   one of `NAMES`: no measurement
"""

import functools
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch

from workbench.model.device import describe_device, device
from workbench.model.gemm import float32
from workbench.model.threads import one_thread
from workbench.settings import UserError
from workbench.storage.files import read_json, write_json
from workbench.system.processor import this_processor

Precision = Literal["float32", "bfloat16"]

NAMES = ("tiles", "torch-turned", "torch", "numpy")  # in order of preference
MARGIN = 1.15  # a kernel must be this much faster than one before it in `NAMES` to be taken instead
TURNED = 160  # torch-turned keeps batches of fewer frames width by width in memory
CPU = torch.device("cpu")

# The measurement. Its version is part of the file's name, so that results of another one are not
# taken.
PROBE_VERSION = 2
PROBE_FRAMES = 32
PROBE_WIDTH = 1024
PROBE_MATRICES = 3
PROBE_ROUNDS = 5
FAR_BEHIND = 3  # a kernel this many times slower than the fastest is not measured again


class Affine(Protocol):
    """``out`` [frames, outputs] = h Wᵀ + b, and at least zero if ``rectify``."""

    def __call__(
        self,
        h: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        out: torch.Tensor,
        rectify: bool,
        /,
    ) -> None: ...


class Backward(Protocol):
    """``out`` [frames, inputs] = delta W."""

    def __call__(self, delta: torch.Tensor, weight: torch.Tensor, out: torch.Tensor, /) -> None: ...


class WeightGradient(Protocol):
    """``out`` [outputs, inputs] = deltaᵀ h."""

    def __call__(self, delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor, /) -> None: ...


@dataclass(frozen=True)
class Kernel:
    """The products of the network on one device; they write to the matrix given for it.

    ``dtype``: of the factors, None for that of the parameters. ``turned``: batches of fewer frames
    lie width by width in memory. ``mixed``: in the backward pass matrices lie frame by frame all
    the same.
    """

    name: str
    device: torch.device
    dtype: torch.dtype | None
    turned: int
    affine: Affine
    backward: Backward
    gradient: WeightGradient
    mixed: bool = False

    @property
    def multiplies_factors(self) -> bool:
        """Whether it multiplies a gradient in factors to the bits of its own gradient."""
        return self.gradient is float32.gradient

    @property
    def own_memory(self) -> bool:
        """Whether its device has a memory of its own, to which the host must copy."""
        return self.device.type != "cpu"

    def factors(self, dtype: torch.dtype) -> torch.dtype:
        """Return the type of the factors for parameters of ``dtype``."""
        return self.dtype or dtype


@dataclass(frozen=True)
class Choice:
    """A kernel's name, why it was taken, and the GFLOP/s of those that were measured."""

    kernel: str
    reason: str
    gflops: dict[str, float]


@dataclass(frozen=True)
class Arithmetic:
    """What computes, for the record of a run.

    ``flags``: features of the processor that decide which kernels exist. ``gflops``: speed now, by
    kernel; ``gflops_when_chosen``: of all kernels that were measured for the choice. ``threads``:
    of torch.
    """

    processor: str
    flags: tuple[str, ...]
    device: str
    kernel: str
    reason: str
    precision: Precision
    bfloat16_in_hardware: bool
    gflops: dict[str, float]
    gflops_when_chosen: dict[str, float]
    threads: int
    mkl_debug_cpu_type: str | None
    torch: str
    numpy: str


def choose(precision: Precision = "float32") -> Kernel:
    """Return the kernel for ``precision`` on this machine; the same for all calls of a process."""
    return kernel(choice().kernel, precision)


@one_thread()
def check_precision(precision: Precision) -> None:
    """Raise UserError for bfloat16 where nothing multiplies it in hardware, with the factor by
    which products are slower than in float32, measured now.
    """
    processor = this_processor()
    if precision == "float32" or processor.bfloat16 or device().type == "cuda":
        return
    usual = kernel(choice().kernel)
    emulated = kernel(choice().kernel, precision)
    gflops = measure(usual, emulated)
    factor = gflops[usual.name] / gflops[emulated.name]
    raise UserError(
        f"precision=bfloat16: the processor ({processor.name}) has no instructions for it, and its "
        f"products take {factor:.1f} times as long as in float32; choose precision=float32"
    )


@one_thread()
def describe(precision: Precision = "float32") -> Arithmetic:
    """Return what computes in ``precision``; measures the kernel's present speed, which takes a
    moment.
    """
    processor = this_processor()
    chosen = choice()
    gflops = measure(choose(precision))
    return Arithmetic(
        processor=processor.name,
        flags=processor.recorded,
        device=describe_device(),
        kernel=chosen.kernel,
        reason=chosen.reason,
        precision=precision,
        bfloat16_in_hardware=processor.bfloat16 or device().type == "cuda",
        gflops={name: round(speed, 1) for name, speed in gflops.items()},
        gflops_when_chosen={name: round(speed, 1) for name, speed in chosen.gflops.items()},
        threads=torch.get_num_threads(),
        mkl_debug_cpu_type=os.environ.get("MKL_DEBUG_CPU_TYPE"),
        torch=torch.__version__,
        numpy=np.__version__,
    )


@functools.cache
def choice() -> Choice:
    """Return the choice by WORKBENCH_KERNEL, by an earlier measurement on this machine, or by a
    measurement now.

    Raises UserError if WORKBENCH_KERNEL is not one of `NAMES`.
    """
    if device().type == "cuda":
        return Choice("torch", "the only one on a GPU", {})

    wanted = os.environ.get("WORKBENCH_KERNEL")
    if wanted is not None:
        if wanted not in NAMES:
            raise UserError(f"WORKBENCH_KERNEL={wanted}: choose one of {', '.join(NAMES)}")
        return Choice(wanted, "WORKBENCH_KERNEL", {})

    file = measurement_file()
    if file.exists():
        gflops = read_json(file)["gflops"]
        reason = f"measured before: {file}"
    else:
        gflops = measure(*(kernel(name) for name in NAMES))
        reason = "measured"
        _save_measurement(file, gflops)

    fastest = fastest_kernel(gflops)
    os.environ["WORKBENCH_KERNEL"] = fastest  # for child processes
    return Choice(fastest, reason, gflops)


def fastest_kernel(gflops: dict[str, float]) -> str:
    """Return the first name in `NAMES` that no other beats by more than `MARGIN`."""
    best = max(gflops.values())
    return next(name for name in NAMES if name in gflops and MARGIN * gflops[name] >= best)


@functools.cache
def kernel(name: str, precision: Precision = "float32") -> Kernel:
    """Return the kernel called ``name`` (of `NAMES`); for bfloat16 the products are always
    torch's.
    """
    if precision == "bfloat16":
        return _torch_kernel("bfloat16", torch.bfloat16)
    if name == "tiles":
        return _tiles()
    if name == "numpy":
        return Kernel(name, CPU, None, 0, _numpy_affine, _numpy_product, _numpy_gradient)
    turned = TURNED if name == "torch-turned" and device().type == "cpu" else 0
    return _torch_kernel(name, None, turned)


def _tiles() -> Kernel:
    return Kernel(
        "tiles",
        CPU,
        None,
        float32.ALL,
        float32.affine,
        float32.backward,
        float32.gradient,
        mixed=True,
    )


def _torch_kernel(name: str, dtype: torch.dtype | None, turned: int = 0) -> Kernel:
    return Kernel(name, device(), dtype, turned, _torch_affine, _torch_product, _torch_gradient)


@one_thread()
def measure(*kernels: Kernel) -> dict[str, float]:
    """Return GFLOP/s by name of the three products of a layer, at `PROBE_FRAMES` x `PROBE_WIDTH`.

    The best of a few rounds. Rounds are interleaved and processor time is taken, so that other work
    on the machine counts little. A first call does not count: it compiles what is compiled on first
    use, or loads libraries.
    """
    probes = {k.name: _probe(k) for k in kernels}
    for probe in probes.values():
        probe()

    best = {k.name: float("inf") for k in kernels}
    for _ in range(PROBE_ROUNDS):
        for name, probe in probes.items():
            measured = best[name] < float("inf")
            if not measured or best[name] < FAR_BEHIND * min(best.values()):
                best[name] = min(best[name], probe())

    operations = 6 * PROBE_MATRICES * PROBE_FRAMES * PROBE_WIDTH**2
    return {name: operations / seconds / 1e9 for name, seconds in best.items()}


def _probe(kernel: Kernel) -> Callable[[], float]:
    """Return a function that makes the three products for several weights and returns the seconds
    they took.
    """
    one = torch.full((1, 1), 1e-3, dtype=kernel.factors(torch.float32), device=kernel.device)
    weights = [one.repeat(PROBE_WIDTH, PROBE_WIDTH) for _ in range(PROBE_MATRICES)]
    weight_gradient = torch.empty_like(weights[0])
    bias = weights[0][0]

    by_frame = [one.repeat(PROBE_FRAMES, PROBE_WIDTH) for _ in range(3)]
    forward = by_frame[:2]
    if kernel.turned > PROBE_FRAMES:
        forward = [matrix.t().contiguous().t() for matrix in forward]
    if kernel.mixed:
        h, delta, below = by_frame
    else:
        h, delta = forward
        below = torch.empty_like(h)

    def seconds() -> float:
        start = _clock(kernel.device)
        for weight in weights:
            kernel.affine(forward[0], weight, bias, forward[1], True)
            kernel.backward(delta, weight, below)
            kernel.gradient(delta, h, weight_gradient)
        return _clock(kernel.device) - start

    return seconds


def measurement_file() -> Path:
    """Return where the measurement for this processor and these libraries is kept."""
    processor = this_processor()
    features = sorted(processor.features)
    versions = [torch.__version__, np.__version__, NAMES, PROBE_VERSION]
    key = json.dumps([processor.name, features, *versions])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "workbench" / f"kernels-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _save_measurement(path: Path, gflops: dict[str, float]) -> None:
    """Keep the measurement for later processes; a warning where the cache cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"gflops": gflops})
    except OSError as error:
        message = f"{path}: {error.strerror}; kernels will be measured again next time"
        warnings.warn(message, stacklevel=2)


def _clock(on: torch.device) -> float:
    if on.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _torch_affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    torch.addmm(bias, h, weight.t(), out=out)
    if rectify:
        out.relu_()


def _torch_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
    torch.mm(a, b, out=out)


def _torch_gradient(delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    torch.mm(delta.t(), h, out=out)


def _numpy_affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    _numpy_product(h, weight.t(), out)
    out.add_(bias)
    if rectify:
        out.relu_()


def _numpy_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
    np.matmul(a.numpy(), b.numpy(), out=out.numpy())


def _numpy_gradient(delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    _numpy_product(delta.t(), h, out)

"""Which arithmetic multiplies the matrices of the network: the one place that chooses device, library and precision.

A short measurement at the start decides between the kernels that this machine offers. The choice is kept in a file per
processor and library versions, and in the environment for child processes, since another kernel means other bits:
the same seed on the same machine must stay the same run. Of kernels within 15 % of the fastest the first one in
`NAMES` is taken, so that noise decides nothing. What was chosen, and what was measured, is recorded with every run.

    WORKBENCH_DEVICE   auto (default: a GPU if torch can use one), cpu or cuda
    WORKBENCH_KERNEL   one of `NAMES`: no measurement
"""

import ctypes
import functools
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.model.gemm import bfloat16, float32
from workbench.processor import this_processor
from workbench.settings import UserError

NAMES = ("tiles", "torch-turned", "torch", "numpy")  # in order of preference
MARGIN = 1.15  # a kernel must be this much faster than one before it in `NAMES` to be taken instead
TURNED = 160  # batches of fewer frames lie width by width in memory, where the kernel says so
PROBE = 2  # of what is measured, so that what was measured otherwise is not kept
PROBE_FRAMES, PROBE_WIDTH, PROBE_MATRICES, PROBE_ROUNDS = 32, 1024, 3, 5


@dataclass(frozen=True)
class Kernel:
    """The products of the network on one device; they write to the matrix given for it."""

    name: str
    device: torch.device
    dtype: torch.dtype | None  # of the factors; None: that of the parameters
    turned: int  # batches of fewer frames lie width by width in memory
    affine: Callable[
        [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, bool], object
    ]  # h, W, b, out, rectify
    backward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]  # delta, W, out
    gradient: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]  # delta, h, out
    move: (
        Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float, torch.Tensor], object] | None
    ) = None
    """delta, h, W, rate, out"""
    mixed: bool = False  # on the way down matrices lie frame by frame all the same

    @property
    def precision(self) -> str:
        """What ``choose`` is asked for to get it."""
        return "bfloat16" if self.name == "bfloat16" else "float32"

    def factors(self, dtype: torch.dtype) -> torch.dtype:
        """The type of the factors for parameters of ``dtype``."""
        return self.dtype or dtype


@dataclass(frozen=True)
class Choice:
    """A kernel, why it was taken, and the GFLOP/s of those that were measured."""

    kernel: str
    reason: str
    gflops: dict[str, float]


def choose(precision: str = "float32") -> Kernel:
    """The kernel for ``precision`` (float32 or bfloat16) on this machine; the same for all calls of a process."""
    return kernel(choice().kernel, precision)


def describe(precision: str = "float32") -> dict[str, Any]:
    """What computes, for the record of a run: processor, device, kernel and why, GFLOP/s, threads, versions."""
    cpu, chosen = this_processor(), choice()
    return {
        "processor": cpu.name,
        "flags": list(cpu.recorded),
        "device": _device_name(),
        "kernel": chosen.kernel,
        "reason": chosen.reason,
        "precision": precision,
        "bfloat16_in_hardware": cpu.bfloat16 or device().type == "cuda",
        "gflops": {name: round(speed, 1) for name, speed in measure(choose(precision)).items()},
        "gflops_when_chosen": {name: round(speed, 1) for name, speed in chosen.gflops.items()},
        "threads": torch.get_num_threads(),
        "mkl_debug_cpu_type": os.environ.get("MKL_DEBUG_CPU_TYPE"),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def single_thread() -> None:
    """One arithmetic thread for the caller: two collapse as soon as anything else runs, so parallel means processes."""
    torch.set_num_threads(1)


@functools.cache
def device() -> torch.device:
    """The device that computes: WORKBENCH_DEVICE, by default a GPU if there is one that torch can use."""
    wanted = os.environ.get("WORKBENCH_DEVICE", "auto")
    if wanted not in ("auto", "cpu", "cuda"):
        raise UserError(f"WORKBENCH_DEVICE={wanted}: choose one of auto, cpu, cuda")
    usable = wanted != "cpu" and torch.cuda.is_available() and _compiled_for_this_gpu()
    if wanted == "cuda" and not usable:
        raise UserError(f"WORKBENCH_DEVICE=cuda: torch {torch.__version__} can use no GPU here")
    return torch.device("cuda" if usable else "cpu")


@functools.cache
def choice() -> Choice:
    """The kernel to take, by WORKBENCH_KERNEL, by what was found here before, or by measurement."""
    if device().type == "cuda":
        return Choice("torch", "the only one on a GPU", {})
    wanted = os.environ.get("WORKBENCH_KERNEL")
    if wanted is not None:
        if wanted not in NAMES:
            raise UserError(f"WORKBENCH_KERNEL={wanted}: choose one of {', '.join(NAMES)}")
        return Choice(wanted, "WORKBENCH_KERNEL", {})
    kept = kept_file()
    found = json.loads(kept.read_text()) if kept.exists() else None
    gflops = found["gflops"] if found else measure(*(kernel(name) for name in NAMES))
    chosen = fastest(gflops)
    os.environ["WORKBENCH_KERNEL"] = chosen  # for child processes
    if found is None:
        _keep(kept, gflops)
    return Choice(chosen, f"measured before: {kept}" if found else "measured", gflops)


def fastest(gflops: dict[str, float]) -> str:
    """The first in `NAMES` that no other beats by more than `MARGIN`."""
    return next(
        name for name in NAMES if name in gflops and MARGIN * gflops[name] >= max(gflops.values())
    )


@functools.cache
def kernel(name: str, precision: str = "float32") -> Kernel:
    """The kernel called ``name`` (of `NAMES`); bfloat16 is torch's where tiles are not wanted or cannot make it."""
    on = device()
    if name == "tiles" and (precision == "float32" or this_processor().bfloat16_pairs):
        own = bfloat16 if precision == "bfloat16" else float32
        dtype = (
            torch.float32 if precision == "bfloat16" else None
        )  # they round the factors themselves
        ways = own.affine, own.backward, own.gradient, own.move
        return Kernel(
            name if dtype is None else precision,
            torch.device("cpu"),
            dtype,
            float32.ALL,
            *ways,
            mixed=True,
        )
    if precision == "bfloat16":
        return Kernel(precision, on, torch.bfloat16, 0, *TORCH)
    if name == "numpy":
        _one_openblas_thread()
        return Kernel(name, torch.device("cpu"), None, 0, *NUMPY)
    turned = TURNED if name == "torch-turned" and on.type == "cpu" else 0  # a GPU packs nothing
    return Kernel(name, on, None, turned, *TORCH)


def measure(*kernels: Kernel) -> dict[str, float]:
    """GFLOP/s by name of the three products of a layer, at `PROBE_FRAMES` x `PROBE_WIDTH`; the best of a few rounds.

    Rounds are interleaved and processor time is taken, so that whatever else runs on the machine counts little. A first
    call does not count: it compiles what is compiled on first use, or loads libraries.
    """
    best = {k.name: float("inf") for k in kernels}
    probes = {k.name: _probe(k) for k in kernels}
    for probe in probes.values():
        probe()
    for _ in range(PROBE_ROUNDS):
        for name, probe in probes.items():
            if best[name] < 3 * min(best.values()) or best[name] == float(
                "inf"
            ):  # the slow ones are known after one
                best[name] = min(best[name], probe())
    return {
        name: 6 * PROBE_MATRICES * PROBE_FRAMES * PROBE_WIDTH**2 / t / 1e9
        for name, t in best.items()
    }


def _probe(kernel: Kernel) -> Callable[[], float]:
    """A function that makes the three products for several weights and returns the seconds they took."""
    one = torch.full((1, 1), 1e-3, dtype=kernel.factors(torch.float32), device=kernel.device)
    weights = [one.repeat(PROBE_WIDTH, PROBE_WIDTH) for _ in range(PROBE_MATRICES)]
    down = [one.repeat(PROBE_FRAMES, PROBE_WIDTH) for _ in range(3)]  # frame by frame
    up = [m.t().contiguous().t() for m in down[:2]] if kernel.turned > PROBE_FRAMES else down[:2]
    h, delta, out = down if kernel.mixed else (*up, torch.empty_like(up[0]))
    into, bias = torch.empty_like(weights[0]), weights[0][0]

    def seconds() -> float:
        start = _clock(kernel.device)
        for weight in weights:
            kernel.affine(up[0], weight, bias, up[1], True)
            kernel.backward(delta, weight, out)
            kernel.gradient(delta, h, into)
        return _clock(kernel.device) - start

    return seconds


def kept_file() -> Path:
    """Where the measurement for this processor and these libraries is kept."""
    cpu = this_processor()
    key = json.dumps(
        [cpu.name, sorted(cpu.features), torch.__version__, np.__version__, NAMES, PROBE]
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "workbench" / f"kernels-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _keep(path: Path, gflops: dict[str, float]) -> None:
    """Write the measurement for later processes; where the cache cannot be written each process measures for itself."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"gflops": gflops}))
        part.replace(path)
    except OSError as error:
        warnings.warn(
            f"{path}: {error.strerror}; kernels will be measured again next time", stacklevel=2
        )


def _compiled_for_this_gpu() -> bool:
    major, minor = torch.cuda.get_device_capability()
    compiled = (name.partition("_") for name in torch.cuda.get_arch_list())
    versions = [
        (kind, divmod(int("".join(c for c in v if c.isdigit())), 10)) for kind, _, v in compiled
    ]
    # Binaries run on later GPUs of the same generation, intermediate code ("compute") on every later one.
    return any(v <= (major, minor) and (kind == "compute" or v[0] == major) for kind, v in versions)


def _device_name() -> str:
    if device().type == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}"
    if torch.cuda.is_available() and not _compiled_for_this_gpu():
        return f"cpu; torch {torch.__version__} was not built for {torch.cuda.get_device_name()}"
    return "cpu"


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


def _numpy_affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    _numpy_product(h, weight.t(), out)
    out.add_(bias)
    if rectify:
        out.relu_()


def _numpy_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
    np.matmul(a.numpy(), b.numpy(), out=out.numpy())


TORCH = (
    _torch_affine,
    lambda delta, weight, out: torch.mm(delta, weight, out=out),
    lambda delta, h, out: torch.mm(delta.t(), h, out=out),
)
NUMPY = (_numpy_affine, _numpy_product, lambda delta, h, out: _numpy_product(delta.t(), h, out))


def _one_openblas_thread() -> None:
    """Numpy is usually imported before OPENBLAS_NUM_THREADS can be set; its wheels carry the library beside them."""
    for path in Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*"):
        library = ctypes.CDLL(str(path))
        names = [p + "openblas_set_num_threads" + s for p in ("", "scipy_") for s in ("", "64_")]
        for name in names:
            if hasattr(library, name):
                getattr(library, name)(1)

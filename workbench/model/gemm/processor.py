"""What this CPU is, and the environment its arithmetic libraries need; standard library only, imported before torch.

MKL picks poor kernels on AMD processors; `MKL_DEBUG_CPU_TYPE` mends it up to MKL 2020.0 (torch 1.13) and is ignored by
later ones. 5 asks for AVX2, 7 for AVX-512; 8 crashes and is never set. Intel needs nothing.
"""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
RECORDED = (
    "fma",
    "avx2",
    "avx512f",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "bf16",
)  # the flags that matter to products


@dataclass(frozen=True)
class Processor:
    """One CPU as its kernel describes it."""

    vendor: str
    model: str
    flags: frozenset[str]

    @property
    def recorded(self) -> tuple[str, ...]:
        """The flags that decide which kernels exist."""
        return tuple(f for f in RECORDED if f in self.flags)

    @property
    def vector_bytes(self) -> int:
        """Of its widest registers."""
        return 64 if "avx512f" in self.flags else 32 if "avx2" in self.flags else 16

    @property
    def bfloat16(self) -> bool:
        """Whether the CPU multiplies bfloat16 in hardware."""
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & self.flags)

    @property
    def pairs(self) -> bool:
        """Whether it sums products of pairs of bfloat16 in vectors of 64 bytes."""
        return {"avx512f", "avx512_bf16"} <= self.flags


def read(text: str) -> Processor:
    """The processor that the text of /proc/cpuinfo describes (its first core)."""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    info = {key.strip(): value.strip() for key, _, value in lines}
    flags = frozenset((info.get("flags") or info.get("Features") or "").split())
    name = info.get("model name") or platform.machine()
    ids = [info[k] for k in ("cpu family", "model", "stepping") if k in info]
    return Processor(
        info.get("vendor_id", "unknown"), " ".join([name, "/".join(ids)]).strip(), flags
    )


def this() -> Processor:
    """The processor this process runs on; without /proc/cpuinfo only its architecture is known."""
    return read(CPUINFO.read_text() if CPUINFO.exists() else "")


def mkl_cpu_type(processor: Processor) -> str | None:
    """The value of MKL_DEBUG_CPU_TYPE for this processor, or None where none is needed."""
    if processor.vendor != "AuthenticAMD" or not {"avx2", "fma"} <= processor.flags:
        return None
    return "7" if {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= processor.flags else "5"


def prepare() -> bool:
    """Set the environment for this processor, one thread per process; a value set by the user stays.

    Returns whether torch had been imported before, in which case the values may have come too late.
    """
    wanted = mkl_cpu_type(this())
    if wanted is not None:
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", wanted)
    # Two OpenMP threads in one process collapse 5-20 times as soon as anything else runs: parallel means processes.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    return late


late = "torch" in sys.modules
prepare()

"""What the processor at hand can do, as LLVM reports it."""

import functools
from dataclasses import dataclass

from llvmlite import binding

RECORDED = ("fma", "avx2", "avx512f", "avx512bf16", "amx-bf16", "neon", "bf16")
"""Features that decide which kernels exist; the record of a run lists those that are present."""

MKL_AVX2 = {"fma", "avx2"}
MKL_AVX512 = MKL_AVX2 | {"avx512f", "avx512dq", "avx512bw", "avx512vl"}
AMD = ("znver", "bdver")  # how LLVM's names of AMD processors with AVX2 begin


@dataclass(frozen=True)
class Processor:
    """LLVM's name of a processor, and the features that the operating system supports too."""

    name: str
    features: frozenset[str]

    @property
    def recorded(self) -> tuple[str, ...]:
        """The features that decide which kernels exist."""
        return tuple(feature for feature in RECORDED if feature in self.features)

    @property
    def vector_bytes(self) -> int:
        """Bytes of its widest registers."""
        if "avx512f" in self.features:
            return 64
        return 32 if "avx2" in self.features else 16

    @property
    def bfloat16(self) -> bool:
        """Whether it multiplies bfloat16 in hardware."""
        return bool({"avx512bf16", "amx-bf16", "bf16"} & self.features)

    @property
    def mkl_cpu_type(self) -> str | None:
        """The value of the variable MKL_DEBUG_CPU_TYPE that this processor needs, or None.

        Up to 2020.0 (torch 1.13) MKL picks poor kernels on AMD processors unless this variable
        names better ones: 5 stands for AVX2, 7 for AVX-512. 8 crashes and is never used. Later
        releases of MKL ignore it.
        """
        if not self.name.startswith(AMD) or not self.features >= MKL_AVX2:
            return None
        return "7" if self.features >= MKL_AVX512 else "5"


@functools.cache
def this_processor() -> Processor:
    """Return the processor that this process runs on."""
    features = binding.get_host_cpu_features()
    present = frozenset(name for name, there in features.items() if there)
    return Processor(binding.get_host_cpu_name(), present)

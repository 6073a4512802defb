"""Parameters and gradients as they cross between processes: float32, or rounded to bfloat16, half as many bytes.

Rounding belongs to the components and not to the network between them, so that a run is the same wherever they live,
and can be replayed. The parameter server itself keeps float32.
"""

import numba
import numpy as np

from workbench import memory
from workbench.model.gemm.rounding import INFINITE, MAGNITUDE, rounded
from workbench.settings import Settings

QUIET = np.uint32(0x400000)  # a bit of a NaN that rounding leaves alone


def narrow(x: np.ndarray, settings: Settings) -> np.ndarray:
    """``x`` float32 [n] as it is, or with ``wire=bfloat16`` the bits of the nearest ones, uint16 [n]; ties to even."""
    if settings.asynchrony.wire == "float32":
        return x
    out = memory.floats((len(x) + 1) // 2).view(np.uint16)[: len(x)]
    _narrow(np.ascontiguousarray(x).view(np.uint32), out)
    return out


def wide(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """What ``narrow`` was given, rounded, as float32 [n]; written to ``out`` if given."""
    if out is None and x.dtype == np.float32:
        return x
    out = memory.floats(len(x)) if out is None else out
    if x.dtype == np.float32:
        out[:] = x
    else:
        _widen(x, out.view(np.uint32))
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _narrow(bits: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    for i in range(len(bits)):
        b = bits[i]
        half = (
            b | QUIET if (b & MAGNITUDE) > INFINITE else rounded(b)
        )  # rounding could make zero of a NaN
        out[i] = np.uint16(half >> np.uint32(16))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _widen(halves: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    for i in range(len(halves)):
        out[i] = np.uint32(halves[i]) << np.uint32(16)

"""Parameters and gradients as they cross between processes: float32, or rounded to bfloat16, half as many bytes.

Rounding belongs to the components and not to the network between them, so that a run is the same wherever they live,
and can be replayed. The parameter server itself keeps float32. A bfloat16 is the upper half of a float32.
"""

import numba
import numpy as np

from workbench import memory
from workbench.settings import Settings

HALF, NAN = np.uint32(0x7FFF), np.uint32(0x7F800000)


def narrow(x: np.ndarray, settings: Settings) -> np.ndarray:
    """``x`` float32 [n] as it is, or with ``wire=bfloat16`` the bits of the nearest ones, uint16 [n]; ties to even."""
    if settings.wire == "float32":
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
        rounded = b + HALF + ((b >> np.uint32(16)) & np.uint32(1))
        not_a_number = (b & np.uint32(0x7FFFFFFF)) > NAN  # rounding could make zero of it
        out[i] = np.uint16((np.uint32(b | np.uint32(0x400000)) if not_a_number else rounded) >> np.uint32(16))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _widen(halves: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    for i in range(len(halves)):
        out[i] = np.uint32(halves[i]) << np.uint32(16)

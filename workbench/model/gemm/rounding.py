"""float32 as bits, for compiled loops.

bfloat16 is the upper half of the bits, rounded.
"""

import numba
import numpy as np

# All bits but the sign. LLVM makes vector code of a maximum of integers, but not of one of floats.
MAGNITUDE = np.uint32(0x7FFFFFFF)
# The magnitude of infinity: finite numbers are below it, and NaN is above it.
INFINITE = np.uint32(0x7F800000)
HALF = np.uint32(0x7FFF)


@numba.njit(inline="always")
def rounded(bits: np.uint32) -> np.uint32:  # pragma: no cover
    """Return bits whose upper half is the nearest bfloat16, ties to even.

    The lower half has no meaning.
    """
    return np.uint32(bits + HALF + ((bits >> np.uint32(16)) & np.uint32(1)))

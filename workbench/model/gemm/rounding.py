"""float32 as bits, for compiled loops: how large, and rounded to bfloat16, which is the upper half."""

import numba
import numpy as np

MAGNITUDE = np.uint32(
    0x7FFFFFFF
)  # all but the sign; a maximum of integers becomes vector code, one of floats does not
INFINITE = np.uint32(
    0x7F800000
)  # the magnitude that no number reaches, and what is no number exceeds
HALF = np.uint32(0x7FFF)


@numba.njit(inline="always")
def rounded(bits: np.uint32) -> np.uint32:  # pragma: no cover
    """The bits of a float32 whose upper half is rounded, ties to even; what is left in the lower half means nothing."""
    return np.uint32(bits + HALF + ((bits >> np.uint32(16)) & np.uint32(1)))

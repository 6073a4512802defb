"""float32 as bits, for compiled loops.

LLVM makes vector code of a maximum of integers, but not of one of floats. Magnitudes compare alike
as both.
"""

import numpy as np

MAGNITUDE = np.uint32(0x7FFFFFFF)  # all bits but the sign
INFINITE = np.uint32(0x7F800000)  # finite magnitudes are below it, and NaN is above it
MINUS_INFINITY = np.uint32(0xFF800000)

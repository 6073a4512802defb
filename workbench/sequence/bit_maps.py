"""Sets of small numbers as bit maps, for compiled loops.

Bit n of word n // 64 is set where n is a member. Reading the words in turn and the bits of each
from the lowest on gives the members in ascending order, without sorting.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def trailing_zeros(context: Any, x: Any) -> Any:
    """Return how many bits of ``x``, a uint64 that is not 0, lie below its lowest set bit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero_is_undefined = ir.Constant(ir.IntType(1), 1)
        return builder.cttz(arguments[0], zero_is_undefined)

    return types.uint64(types.uint64), generate

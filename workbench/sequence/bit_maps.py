"""Sets of small numbers as bit maps, for compiled loops.

Bit n of word n // 64 is set where n is a member. Reading the words in turn and the bits of each
from the lowest on gives the members in ascending order, without sorting.
"""

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import types
from numba.core.typing import Signature
from numba.extending import intrinsic


@intrinsic
def trailing_zeros(typing: object, x: types.Type) -> tuple[Signature, Callable[..., ir.Value]]:
    """Return how many bits of ``x``, a uint64 that is not 0, lie below its lowest set bit."""

    def generate(
        context: object, builder: ir.IRBuilder, kinds: Signature, given: Sequence[ir.Value]
    ) -> ir.Value:
        zero_is_undefined = ir.Constant(ir.IntType(1), 1)
        return builder.cttz(given[0], zero_is_undefined)

    return types.uint64(types.uint64), generate

"""The innermost loop of the products: a small tile of C = A B in registers, as vector code for this processor.

A tile is `ROWS` x 2 vectors. Each step in depth loads `ROWS` numbers of A and two vectors of B for 2 `ROWS` fused
multiply-adds, so that arithmetic and not memory decides, and nothing has to be packed before: for small batches that
costs BLAS as much as the product. With t = A B, C becomes

    STORE  t        ADD  C + t        BIAS  t + bias        RECTIFY  max(0, t + bias)        MOVE  C + rate t

one bias a row. MOVE rounds as numpy does, first the product, then the sum, and may read the C that it adds to
elsewhere, ``origin`` bytes behind the one that it writes. Then STREAM is the same past the cache, which saves reading
what is overwritten; it writes whole vectors to multiples of their size, and others may read them after a ``fence``. The
elements of A and B are numbers like those of C, or pairs of bfloat16, neighbours in depth, in 32 bits: their products
are summed in float32 by one instruction.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import Signature
from numba.extending import intrinsic

from workbench.processor import this_processor

STORE, ADD, BIAS, RECTIFY, MOVE, STREAM = range(6)
BYTES = this_processor().vector_bytes
ROWS = 6 if BYTES == 32 else 8  # with AVX2 there are 16 registers, else 32
INT, INT32, POINTER = ir.IntType(64), ir.IntType(32), ir.PointerType()


def tile(rows: int, vectors: int = 2) -> Callable[..., None]:
    """A tile as a function for numba; its arguments are those of ``run``.

    Addresses and strides are in bytes. ``columns``: how many of the tile's are within C and B. ``b_next``, ``c_next``:
    how far behind those of this tile the elements lie that will be wanted next. The type of ``rate`` is that of the
    numbers in C, the type of ``one`` is that of the elements of A and B: the same, or uint32 for pairs.
    """

    @intrinsic
    def run(
        typing,
        a,
        a_row,
        a_depth,
        b,
        b_depth,
        depth,
        c,
        c_row,
        columns,
        how,
        bias,
        origin,
        b_next,
        c_next,
        rate,
        one,
    ):
        return types.void(*[types.intp] * 14, rate, one), partial(_emit, rows, vectors)

    return run


@intrinsic
def fence(typing):
    """What was written before is seen by others before what is written after."""

    def emit(context: Any, at: ir.IRBuilder, kinds: Signature, given: list) -> ir.Value:
        at.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


def _emit(
    rows: int, count: int, context: Any, at: ir.IRBuilder, kinds: Signature, given: list
) -> ir.Value:
    (
        a,
        a_row,
        a_depth,
        b,
        b_depth,
        depth,
        c,
        c_row,
        columns,
        how,
        bias,
        origin,
        b_next,
        c_next,
        rate,
        _,
    ) = given
    vectors = Vectors(at, kinds.args[-2].bitwidth // 8, columns)
    places = [
        (r, v, at.add(c, at.add(at.mul(c_row, INT(r)), INT(BYTES * v))))
        for r in range(rows)
        for v in range(count)
    ]
    for _, _, cell in places:
        vectors.prefetch(at.add(at.add(cell, origin), c_next))
    first = [at.add(a, at.mul(a_row, INT(r))) for r in range(rows)]
    begin = [INT(0), INT(0), b, *[vectors.zero] * len(places)]
    before, loop, after = at.block, at.append_basic_block("loop"), at.append_basic_block("after")
    at.branch(loop)
    at.position_at_end(loop)
    here = [at.phi(value.type) for value in begin]
    step, from_a, from_b, *sums = here
    for v in range(count):
        vectors.prefetch(at.add(from_b, at.add(b_next, INT(BYTES * v))))
    column = [vectors.load(at.add(from_b, INT(BYTES * v)), v) for v in range(count)]
    factors = [vectors.spread(vectors.one(at.add(row, from_a))) for row in first]
    multiply_add = vectors.pairs_summed if kinds.args[-1] == types.uint32 else vectors.fused
    sums = [
        multiply_add(factors[r], column[v], total)
        for (r, v, _), total in zip(places, sums, strict=True)
    ]
    following = [at.add(step, INT(1)), at.add(from_a, a_depth), at.add(from_b, b_depth), *sums]
    for phi, begun, again in zip(here, begin, following, strict=True):
        phi.add_incoming(begun, before)
        phi.add_incoming(again, loop)
    at.cbranch(at.icmp_signed("<", following[0], depth), loop, after)
    at.position_at_end(after)
    _finish(
        vectors,
        [(*place, total) for place, total in zip(places, sums, strict=True)],
        how,
        bias,
        origin,
        rate,
    )
    return context.get_dummy_value()


def _finish(
    vectors: "Vectors", cells: list, how: ir.Value, bias: ir.Value, origin: ir.Value, rate: ir.Value
) -> None:
    """Write the tile, given as (row, vector, address, total), in one of the ways."""
    at = vectors.at

    def biased(r: int, total: ir.Value) -> ir.Value:
        return at.fadd(total, vectors.spread(vectors.one(at.add(bias, INT(vectors.size * r)))))

    ways = {
        STORE: lambda r, v, cell, total: total,
        ADD: lambda r, v, cell, total: at.fadd(vectors.load(cell, v), total),
        BIAS: lambda r, v, cell, total: biased(r, total),
        RECTIFY: lambda r, v, cell, total: vectors.positive(biased(r, total)),
        MOVE: lambda r, v, cell, total: at.fadd(
            vectors.load(at.add(cell, origin), v), at.fmul(vectors.spread(rate), total)
        ),
    }
    ways[STREAM] = ways[MOVE]
    blocks, end = {way: at.append_basic_block("way") for way in ways}, at.append_basic_block("end")
    chosen = at.switch(how, blocks[STORE])
    for way, block in blocks.items():
        if way != STORE:
            chosen.add_case(INT(way), block)
        at.position_at_end(block)
        for r, v, cell, total in cells:
            store = vectors.stream if way == STREAM else vectors.store
            store(ways[way](r, v, cell, total), cell, v)
        at.branch(end)
    at.position_at_end(end)


class Vectors:
    """Vectors of numbers of ``size`` bytes; of a tile's two only the first ``columns`` numbers are read or written.

    Where ``columns`` is a constant that covers both, LLVM makes plain loads and stores of the masked ones.
    """

    def __init__(self, at: ir.IRBuilder, size: int, columns: ir.Value):
        self.at, self.size, self.lanes = at, size, BYTES // size
        self.number = ir.FloatType() if size == 4 else ir.DoubleType()
        self.kind = ir.VectorType(self.number, self.lanes)
        self.zero = ir.Constant(self.kind, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{8 * size}"
        wide = ir.VectorType(INT, self.lanes)
        places = [
            ir.Constant(wide, list(range(v * self.lanes, (v + 1) * self.lanes))) for v in range(2)
        ]
        self.within = [at.icmp_signed("<", place, self._spread(columns, wide)) for place in places]

    def one(self, address: ir.Value) -> ir.Value:
        """The number at an address."""
        return self.at.load(self.at.inttoptr(address, POINTER), typ=self.number)

    def spread(self, number: ir.Value) -> ir.Value:
        """A vector of the same number."""
        return self._spread(number, self.kind)

    def load(self, address: ir.Value, which: int) -> ir.Value:
        """The first or second vector of a tile's row; zero outside."""
        call = self._function(
            f"masked.load.{self.name}.p0",
            self.kind,
            POINTER,
            INT32,
            self.within[which].type,
            self.kind,
        )
        return self.at.call(
            call,
            [self.at.inttoptr(address, POINTER), INT32(self.size), self.within[which], self.zero],
        )

    def store(self, value: ir.Value, address: ir.Value, which: int) -> None:
        """Write it; nothing outside."""
        mask = self.within[which]
        call = self._function(
            f"masked.store.{self.name}.p0", ir.VoidType(), self.kind, POINTER, INT32, mask.type
        )
        self.at.call(call, [value, self.at.inttoptr(address, POINTER), INT32(self.size), mask])

    def stream(self, value: ir.Value, address: ir.Value, which: int) -> None:
        """Write it past the cache, where the tile is whole."""
        store = self.at.store(value, self.at.inttoptr(address, POINTER), align=BYTES)
        store.set_metadata("nontemporal", self.at.module.add_metadata([INT32(1)]))

    def positive(self, value: ir.Value) -> ir.Value:
        """max(0, value); what is not a number stays so, and is found in the gradient."""
        return self.at.select(self.at.fcmp_ordered("<", value, self.zero), self.zero, value)

    def prefetch(self, address: ir.Value) -> None:
        """Bring what will be read into the second cache."""
        call = self._function("prefetch.p0", ir.VoidType(), POINTER, INT32, INT32, INT32)
        self.at.call(call, [self.at.inttoptr(address, POINTER), INT32(0), INT32(2), INT32(1)])

    def fused(self, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        """total + a b, rounded once."""
        return self.at.call(self._function(f"fma.{self.name}", *[self.kind] * 4), [a, b, total])

    def pairs_summed(self, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        """total + the products of pairs of bfloat16."""
        halves = ir.VectorType(ir.IntType(16), 2 * self.lanes)
        name = f"x86.avx512bf16.dpbf16ps.{8 * BYTES}"
        call = self._function(name, self.kind, self.kind, halves, halves)
        return self.at.call(call, [total, self.at.bitcast(a, halves), self.at.bitcast(b, halves)])

    def _spread(self, number: ir.Value, kind: ir.VectorType) -> ir.Value:
        empty = ir.Constant(kind, ir.Undefined)
        alone = self.at.insert_element(empty, number, INT32(0))
        return self.at.shuffle_vector(
            alone, empty, ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        )

    def _function(self, name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
        return cgutils.get_or_insert_function(
            self.at.module, ir.FunctionType(result, arguments), f"llvm.{name}"
        )

"""The innermost loop of the products, as vector code for this processor.

It computes a small tile of C = A B in registers.

A tile is `ROWS` x 2 vectors. Each step in depth loads `ROWS` numbers of A and two vectors of B for
2 `ROWS` fused multiply-adds, so that arithmetic decides on the speed and not memory. Nothing has to
be packed before, which for small batches costs BLAS as much as the product. With t = A B, a tile of
C becomes

    STORE  t     ADD  C + t     BIAS  t + bias     RECTIFY  max(0, t + bias)     MOVE  C + rate t

with one bias a row. MOVE rounds as numpy does, first the product and then the sum. The C that it
adds to may lie elsewhere, ``origin`` bytes behind the C that it writes. STREAM is MOVE with stores
past the cache, which saves reading what is overwritten. It writes whole vectors to multiples of
their size, and other threads may read them after a ``fence``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import Signature
from numba.extending import intrinsic

from workbench.system.processor import this_processor

STORE, ADD, BIAS, RECTIFY, MOVE, STREAM = range(6)
BYTES = this_processor().vector_bytes
ROWS = 6 if BYTES == 32 else 8  # with AVX2 there are 16 registers, else 32
FLOAT_BYTES = 4
INT = ir.IntType(64)
INT32 = ir.IntType(32)
POINTER = ir.PointerType()


class Operands(NamedTuple):
    """The arguments of a tile as values of LLVM; addresses and strides in bytes."""

    a: ir.Value
    a_row: ir.Value
    a_depth: ir.Value
    b: ir.Value
    b_depth: ir.Value
    depth: ir.Value  # of the product, in elements
    c: ir.Value
    c_row: ir.Value
    columns: ir.Value  # how many of the tile's lie within B and C
    how: ir.Value  # STORE, ADD, ...
    bias: ir.Value  # address of that of the first row
    origin: ir.Value  # from the C that is written to the C that MOVE adds to
    b_next: ir.Value  # from the elements of this tile to those that are needed next
    c_next: ir.Value
    rate: ir.Value  # its type is that of all numbers


class TileCell(NamedTuple):
    """A vector of a tile of C."""

    row: int
    vector: int  # 0 or 1
    address: ir.Value


def tile(rows: int, vectors: int = 2) -> Callable[..., None]:
    """Return a tile of so many rows and vectors as a function for numba.

    Its arguments are those of `Operands`.
    """

    @intrinsic
    def run(
        typing: object,
        a: object,
        a_row: object,
        a_depth: object,
        b: object,
        b_depth: object,
        depth: object,
        c: object,
        c_row: object,
        columns: object,
        how: object,
        bias: object,
        origin: object,
        b_next: object,
        c_next: object,
        rate: object,
    ) -> tuple[Signature, Callable]:
        return types.void(*[types.intp] * 14, rate), partial(_emit_tile, rows, vectors)

    return run


@intrinsic
def fence(typing: object) -> tuple[Signature, Callable]:
    """What was written before is seen by other threads before what is written after."""

    def emit(context: Any, at: ir.IRBuilder, kinds: Signature, given: list) -> ir.Value:
        at.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


def _emit_tile(
    rows: int, count: int, context: Any, at: ir.IRBuilder, kinds: Signature, given: list
) -> ir.Value:
    """Emit the code of a tile of ``rows`` x ``count`` vectors."""
    tile = Operands(*given)
    number_bytes = kinds.args[-1].bitwidth // 8
    vectors = Vectors(at, number_bytes, tile.columns)

    cells = []
    for row in range(rows):
        for vector in range(count):
            offset = at.add(at.mul(tile.c_row, INT(row)), INT(BYTES * vector))
            cells.append(TileCell(row, vector, at.add(tile.c, offset)))

    for cell in cells:
        vectors.prefetch(at.add(at.add(cell.address, tile.origin), tile.c_next))

    totals = _emit_loop(vectors, tile, cells)
    _emit_finish(vectors, tile, list(zip(cells, totals, strict=True)))
    return context.get_dummy_value()


def _emit_loop(vectors: "Vectors", tile: Operands, cells: list[TileCell]) -> list[ir.Value]:
    """Emit the loop over the depth; return the sum of each cell."""
    at = vectors.at
    rows = 1 + max(cell.row for cell in cells)
    count = 1 + max(cell.vector for cell in cells)
    a_rows = [at.add(tile.a, at.mul(tile.a_row, INT(row))) for row in range(rows)]
    initial = [INT(0), INT(0), tile.b, *[vectors.zero] * len(cells)]
    before = at.block
    loop = at.append_basic_block("loop")
    after = at.append_basic_block("after")
    at.branch(loop)

    at.position_at_end(loop)
    variables = [at.phi(value.type) for value in initial]
    step, from_a, from_b, *sums = variables
    for vector in range(count):
        vectors.prefetch(at.add(from_b, at.add(tile.b_next, INT(BYTES * vector))))
    columns = [vectors.load(at.add(from_b, INT(BYTES * vector)), vector) for vector in range(count)]
    factors = [vectors.spread(vectors.one(at.add(row, from_a))) for row in a_rows]
    new_sums = [
        vectors.fused(factors[cell.row], columns[cell.vector], total)
        for cell, total in zip(cells, sums, strict=True)
    ]

    new_step = at.add(step, INT(1))
    following = [new_step, at.add(from_a, tile.a_depth), at.add(from_b, tile.b_depth), *new_sums]
    for variable, first, next_value in zip(variables, initial, following, strict=True):
        variable.add_incoming(first, before)
        variable.add_incoming(next_value, loop)
    at.cbranch(at.icmp_signed("<", new_step, tile.depth), loop, after)
    at.position_at_end(after)
    return new_sums


def _emit_finish(
    vectors: "Vectors", tile: Operands, totals: list[tuple[TileCell, ir.Value]]
) -> None:
    """Emit the ways in which a tile may be written, and the choice between them."""
    at = vectors.at
    end = at.append_basic_block("end")
    blocks = {how: at.append_basic_block("way") for how in range(STORE, STREAM + 1)}
    choice = at.switch(tile.how, blocks[STORE])
    for how, block in blocks.items():
        if how != STORE:
            choice.add_case(INT(how), block)
        at.position_at_end(block)
        for cell, total in totals:
            store = vectors.stream if how == STREAM else vectors.store
            store(_emit_value(vectors, tile, how, cell, total), cell.address, cell.vector)
        at.branch(end)

    at.position_at_end(end)


def _emit_value(
    vectors: "Vectors", tile: Operands, how: int, cell: TileCell, total: ir.Value
) -> ir.Value:
    """Emit what one vector of C becomes."""
    at = vectors.at
    if how == STORE:
        return total
    if how == ADD:
        return at.fadd(vectors.load(cell.address, cell.vector), total)
    if how in (MOVE, STREAM):
        old = vectors.load(at.add(cell.address, tile.origin), cell.vector)
        return at.fadd(old, at.fmul(vectors.spread(tile.rate), total))
    bias = vectors.one(at.add(tile.bias, INT(vectors.size * cell.row)))
    biased = at.fadd(total, vectors.spread(bias))
    return vectors.positive(biased) if how == RECTIFY else biased


class Vectors:
    """Emits operations on vectors of numbers of ``size`` bytes.

    Of a tile's two vectors only the first ``columns`` numbers are read or written. Where
    ``columns`` is a constant that covers both, LLVM makes plain loads and stores of the masked
    ones.
    """

    def __init__(self, at: ir.IRBuilder, size: int, columns: ir.Value):
        self.at = at
        self.size = size
        self.lanes = BYTES // size
        self.number = ir.FloatType() if size == FLOAT_BYTES else ir.DoubleType()
        self.kind = ir.VectorType(self.number, self.lanes)
        self.zero = ir.Constant(self.kind, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{8 * size}"
        # By vector of the tile: which of its numbers lie within the columns.
        self.within = [self._mask(vector, columns) for vector in range(2)]

    def _mask(self, vector: int, columns: ir.Value) -> ir.Value:
        kind = ir.VectorType(INT, self.lanes)
        first = vector * self.lanes
        places = ir.Constant(kind, list(range(first, first + self.lanes)))
        return self.at.icmp_signed("<", places, self._spread(columns, kind))

    def one(self, address: ir.Value) -> ir.Value:
        """Return the number at an address."""
        return self.at.load(self.at.inttoptr(address, POINTER), typ=self.number)

    def spread(self, number: ir.Value) -> ir.Value:
        """Return a vector whose numbers are all ``number``."""
        return self._spread(number, self.kind)

    def load(self, address: ir.Value, vector: int) -> ir.Value:
        """Return the first or second vector of a tile's row; zero outside the columns."""
        mask = self.within[vector]
        function = self._function(
            f"masked.load.{self.name}.p0", self.kind, POINTER, INT32, mask.type, self.kind
        )
        pointer = self.at.inttoptr(address, POINTER)
        return self.at.call(function, [pointer, INT32(self.size), mask, self.zero])

    def store(self, value: ir.Value, address: ir.Value, vector: int) -> None:
        """Write a vector; nothing outside the columns."""
        mask = self.within[vector]
        function = self._function(
            f"masked.store.{self.name}.p0", ir.VoidType(), self.kind, POINTER, INT32, mask.type
        )
        pointer = self.at.inttoptr(address, POINTER)
        self.at.call(function, [value, pointer, INT32(self.size), mask])

    def stream(self, value: ir.Value, address: ir.Value, vector: int) -> None:
        """Write a vector past the cache; the whole tile must lie within the columns."""
        store = self.at.store(value, self.at.inttoptr(address, POINTER), align=BYTES)
        store.set_metadata("nontemporal", self.at.module.add_metadata([INT32(1)]))

    def positive(self, value: ir.Value) -> ir.Value:
        """Return max(0, value), and NaN for NaN, which is then found in the gradient."""
        return self.at.select(self.at.fcmp_ordered("<", value, self.zero), self.zero, value)

    def prefetch(self, address: ir.Value) -> None:
        """Bring what will be read into the second cache."""
        read = INT32(0)
        second_cache = INT32(2)
        data = INT32(1)
        function = self._function("prefetch.p0", ir.VoidType(), POINTER, INT32, INT32, INT32)
        pointer = self.at.inttoptr(address, POINTER)
        self.at.call(function, [pointer, read, second_cache, data])

    def fused(self, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        """Return total + a b, rounded once."""
        function = self._function(f"fma.{self.name}", *[self.kind] * 4)
        return self.at.call(function, [a, b, total])

    def _spread(self, number: ir.Value, kind: ir.VectorType) -> ir.Value:
        empty = ir.Constant(kind, ir.Undefined)
        alone = self.at.insert_element(empty, number, INT32(0))
        first_lane = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.at.shuffle_vector(alone, empty, first_lane)

    def _function(self, name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
        """Return one of LLVM's own functions."""
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.at.module, kind, f"llvm.{name}")

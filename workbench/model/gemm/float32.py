"""The products of a layer, tile by tile, finished while a tile is still in registers.

Weights are read where they lie, [outputs, inputs]. On the way up, activations [frames, width] lie
width by width in memory (each unit's values for all frames are neighbours), so that the frames of a
batch fill the vectors. On the way down they lie frame by frame, so that the units of a layer do.
"""

from typing import NamedTuple

import numba
import numpy as np
import torch

from workbench.model.gemm.tiles import (
    ADD,
    BIAS,
    BYTES,
    MOVE,
    RECTIFY,
    ROWS,
    STORE,
    STREAM,
    fence,
    tile,
)

OUTPUTS = 96  # rows of weights that stay in the second cache while all frames pass
# Rows of weights at a time on the way down. With more of them, a power of two apart, their cache
# lines would drive out one another.
DEPTH = 256
CACHED_BYTES = 1 << 18  # of activations that stay in the second cache
ALL = 1 << 60  # no limit
TILE_BYTES = 2 * BYTES  # of a tile's row
RATE_TYPES = {torch.float32: np.float32, torch.float64: np.float64}

_tile = tile(ROWS)
_slim_tile = tile(ROWS, 1)
_row = tile(1)


class Blocking(NamedTuple):
    """The size of the blocks in which a product is computed."""

    depth: int = ALL
    columns: int = ALL
    rows: int = ALL


class Prefetch(NamedTuple):
    """How far behind those of a tile the elements of B and C lie that are needed next; bytes."""

    b: int = 0
    c: int = 0


WHOLE = Blocking()
NO_PREFETCH = Prefetch()


class Way(NamedTuple):
    """What becomes of a product: STORE, ADD, ... (`tiles`), and what that needs."""

    how: int
    bias: int = 0  # address
    rate: float = 0.0
    origin: int = 0  # bytes from the matrix that is written to the one that MOVE adds to


class Left(NamedTuple):
    """A block of A."""

    address: int
    row: int  # bytes from row to row
    depth: int  # bytes from one step in depth to the next


class Right(NamedTuple):
    """A block of B, whose columns are neighbours."""

    address: int
    depth: int


class Target(NamedTuple):
    """A block of C, whose columns are neighbours: its address, and bytes from row to row."""

    address: int
    row: int


class BlockSize(NamedTuple):
    """The size of a block, and the bytes of a number."""

    rows: int
    columns: int
    depth: int
    number: int


class Finish(NamedTuple):
    """What a tile becomes; see `tiles.Operands`."""

    how: int
    bias: int
    origin: int
    b_next: int
    c_next: int


def affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    """Write ``out`` [frames, outputs] = h Wᵀ + b, at least zero if ``rectify``.

    Both lie width by width.
    """
    way = Way(RECTIFY if rectify else BIAS, bias=bias.data_ptr())
    _product(weight, h.t(), out.t(), way, Blocking(columns=tile_columns(h), rows=OUTPUTS))


def backward(delta: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """Write ``out`` [frames, inputs] = delta W.

    ``out`` lies frame by frame, ``delta`` in either order.
    """
    next_vector = 3 * BYTES - 1  # its last byte, since it may lie across two lines of the cache
    blocking = Blocking(depth=DEPTH, columns=tile_columns(out))
    _product(delta, weight, out, Way(STORE), blocking, Prefetch(b=next_vector))


def gradient(delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    """Write ``out`` [outputs, inputs] = deltaᵀ h.

    ``h`` lies frame by frame, ``delta`` in either order.
    """
    blocking = Blocking(columns=cached_columns(h))
    _product(delta.t(), h, out, Way(STORE), blocking, Prefetch(c=next_tile(out)))


def move(
    delta: torch.Tensor, h: torch.Tensor, weight: torch.Tensor, rate: float, out: torch.Tensor
) -> None:
    """Write ``out`` = W + rate deltaᵀ h, rounded as if the gradient had been made first.

    It may be W itself.
    """
    if not len(h):
        out.copy_(weight)
        return
    origin = bytes_behind(weight, out)
    how = STREAM if origin and can_stream(out) else MOVE
    way = Way(how, rate=rate, origin=origin)
    blocking = Blocking(columns=cached_columns(h))
    _product(delta.t(), h, out, way, blocking, Prefetch(c=next_tile(out)))


def tile_columns(matrix: torch.Tensor) -> int:
    """Return the columns of a tile."""
    return TILE_BYTES // matrix.element_size()


def cached_columns(h: torch.Tensor) -> int:
    """Return how many columns of ``h`` stay in the cache, in whole tiles."""
    tiles = CACHED_BYTES // max(1, len(h)) // TILE_BYTES
    return max(1, tiles) * tile_columns(h)


def bytes_behind(weight: torch.Tensor, out: torch.Tensor) -> int:
    """Return the bytes from ``out`` to ``weight``.

    ValueError if they differ in shape or strides.
    """
    if weight.shape != out.shape or weight.stride() != out.stride():
        raise ValueError(
            f"{weight.shape} to be moved to {out.shape}, "
            f"strides {weight.stride()} and {out.stride()}"
        )

    return weight.data_ptr() - out.data_ptr()


def can_stream(c: torch.Tensor) -> bool:
    """Whether ``c`` lies so that whole vectors of it can be written past the cache."""
    row_bytes = c.stride(0) * c.element_size()
    return c.data_ptr() % BYTES == 0 and row_bytes % BYTES == 0


def next_tile(c: torch.Tensor) -> int:
    """Return the bytes from a tile to the last byte of the first vector of the next tile."""
    return ROWS * c.stride(0) * c.element_size() + BYTES - 1


def _product(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    way: Way,
    blocking: Blocking = WHOLE,
    prefetch: Prefetch = NO_PREFETCH,
) -> None:
    """Compute C = A B, finished in one ``way``; ValueError if the matrices do not fit."""
    m, depth = a.shape
    n = b.shape[1]
    if b.shape[0] != depth or c.shape != (m, n) or b.stride(1) != 1 or c.stride(1) != 1:
        raise ValueError(
            f"product of {a.shape} and {b.shape} into {c.shape}, "
            f"strides {b.stride()} and {c.stride()}"
        )

    if depth == 0:
        c.zero_()
        return

    size = a.element_size()
    rate = RATE_TYPES[a.dtype](way.rate)
    blocks(
        a.data_ptr(),
        b.data_ptr(),
        c.data_ptr(),
        way.bias,
        a.stride(0) * size,
        a.stride(1) * size,
        b.stride(0) * size,
        c.stride(0) * size,
        m,
        n,
        depth,
        size,
        way.how,
        rate,
        blocking.depth,
        blocking.columns,
        blocking.rows,
        way.origin,
        prefetch.b,
        prefetch.c,
    )


@numba.njit(cache=True, nogil=True)
def blocks(
    a: int,
    b: int,
    c: int,
    bias: int,
    a_row: int,
    a_depth: int,
    b_depth: int,
    c_row: int,
    m: int,
    n: int,
    depth: int,
    size: int,
    how: int,
    rate: np.floating,
    depths: int,
    columns: int,
    rows: int,
    origin: int,
    b_next: int,
    c_next: int,
) -> None:  # pragma: no cover
    """Compute C = A B [m, n] in blocks of ``depths``, ``columns`` and ``rows``.

    Addresses and strides are in bytes, numbers have ``size`` bytes, the rest is as in
    `tiles.Operands`. It takes numbers and no tuples, because numba needs microseconds to take a
    tuple from Python.
    """
    for d in range(0, depth, depths):
        for i in range(0, m, rows):
            for j in range(0, n, columns):
                block(
                    Left(a + i * a_row + d * a_depth, a_row, a_depth),
                    Right(b + d * b_depth + j * size, b_depth),
                    Target(c + i * c_row + j * size, c_row),
                    BlockSize(min(rows, m - i), min(columns, n - j), min(depths, depth - d), size),
                    Finish(how if d == 0 else ADD, bias + i * size, origin, b_next, c_next),
                    rate,
                )


@numba.njit(cache=True, nogil=True)
def block(
    a: Left,
    b: Right,
    c: Target,
    size: BlockSize,
    finish: Finish,
    rate: np.floating,
) -> None:  # pragma: no cover
    """Compute a block tile after tile: the columns of some rows, then those of the next rows."""
    full_rows = size.rows - size.rows % ROWS
    tiles = size.columns * size.number // TILE_BYTES
    end = tiles * TILE_BYTES  # bytes of a row that are in full tiles
    rest = size.columns - end // size.number
    how = finish.how
    partial_how = MOVE if how == STREAM else how  # a tile that is not full cannot be streamed
    more = (finish.origin, finish.b_next, finish.c_next, rate)

    for r in range(0, full_rows, ROWS):
        left = (a.address + r * a.row, a.row, a.depth)
        to = c.address + r * c.row
        bias = finish.bias + r * size.number
        for k in range(0, end, TILE_BYTES):
            right = (b.address + k, b.depth, size.depth)
            _tile(*left, *right, to + k, c.row, ALL, how, bias, *more)
        if rest:
            right = (b.address + end, b.depth, size.depth)
            if rest * size.number <= BYTES:
                _slim_tile(*left, *right, to + end, c.row, rest, partial_how, bias, *more)
            else:
                _tile(*left, *right, to + end, c.row, rest, partial_how, bias, *more)

    for r in range(full_rows, size.rows):
        left = (a.address + r * a.row, a.row, a.depth)
        to = c.address + r * c.row
        bias = finish.bias + r * size.number
        for k in range(0, size.columns * size.number, TILE_BYTES):
            right = (b.address + k, b.depth, size.depth)
            columns = size.columns - k // size.number
            _row(*left, *right, to + k, c.row, columns, partial_how, bias, *more)

    if partial_how != how:
        fence()

"""The products of a layer, tile by tile, and what follows them while a tile is still in registers.

Weights are read where they lie, [outputs, inputs]. On the way up the activations [frames, width] lie width by width, so
that the frames of a batch fill the vectors; on the way down frame by frame, so that the units of a layer do.
"""

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
DEPTH = 256  # rows of weights at a time: of many the lines would drive out each other, a power of two apart
CACHED = 1 << 18  # bytes of activations that stay in the second cache
ALL = 1 << 60
RATES = {torch.float32: np.float32, torch.float64: np.float64}

_tile, _slim, _row = tile(ROWS), tile(ROWS, 1), tile(1)


def affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    """``out`` [frames, outputs] = h Wᵀ + b, and at least zero if ``rectify``; both lie width by width."""
    _product(
        weight, h.t(), out.t(), RECTIFY if rectify else BIAS, bias, rows=OUTPUTS, columns=_wide(h)
    )


def backward(delta: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """``out`` [frames, inputs] = delta W; it lies frame by frame, ``delta`` as it likes."""
    following = (
        3 * BYTES - 1
    )  # the last byte of a vector, which may lie across two lines of the cache
    _product(delta, weight, out, STORE, depths=DEPTH, columns=_wide(out), b_next=following)


def gradient(delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    """``out`` [outputs, inputs] = deltaᵀ h; ``h`` lies frame by frame, ``delta`` as it likes."""
    _product(delta.t(), h, out, STORE, columns=cached(h), c_next=next_tile(out))


def move(
    delta: torch.Tensor, h: torch.Tensor, weight: torch.Tensor, rate: float, out: torch.Tensor
) -> None:
    """``out`` = W + rate deltaᵀ h, rounded as if the gradient had been made first; it may be W itself."""
    if not len(h):
        out.copy_(weight)
        return
    origin = behind(weight, out)
    how = STREAM if origin and past(out) else MOVE
    _product(
        delta.t(), h, out, how, rate=rate, columns=cached(h), c_next=next_tile(out), origin=origin
    )


def _wide(matrix: torch.Tensor) -> int:
    """The columns of a tile."""
    return 2 * BYTES // matrix.element_size()


def cached(h: torch.Tensor) -> int:
    """How many columns of ``h`` stay in the cache, in whole tiles."""
    return max(1, CACHED // max(1, len(h)) // (2 * BYTES)) * _wide(h)


def behind(weight: torch.Tensor, out: torch.Tensor) -> int:
    """Bytes from ``out`` to ``weight``, which lie alike."""
    if weight.shape != out.shape or weight.stride() != out.stride():
        raise ValueError(
            f"{weight.shape} to be moved to {out.shape}, strides {weight.stride()} and {out.stride()}"
        )
    return weight.data_ptr() - out.data_ptr()


def past(c: torch.Tensor) -> bool:
    """Whether ``c`` lies so that whole vectors of it can be written past the cache."""
    return c.data_ptr() % BYTES == c.stride(0) * c.element_size() % BYTES == 0


def next_tile(c: torch.Tensor) -> int:
    """From the first row of a tile to the last byte of a vector in the first row of the next one."""
    return ROWS * c.stride(0) * c.element_size() + BYTES - 1


def _product(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    how: int,
    bias: torch.Tensor | None = None,
    rate: float = 0.0,
    depths: int = ALL,
    columns: int = ALL,
    rows: int = ALL,
    b_next: int = 0,
    c_next: int = 0,
    origin: int = 0,
) -> object:
    """C = A B, or what ``how`` says; in blocks of ``depths``, in these ``rows``, in these ``columns``."""
    (m, depth), (n, size) = a.shape, (b.shape[1], a.element_size())
    if b.shape[0] != depth or c.shape != (m, n) or b.stride(1) != 1 or c.stride(1) != 1:
        raise ValueError(
            f"product of {a.shape} and {b.shape} into {c.shape}, strides {b.stride()} and {c.stride()}"
        )
    if depth == 0:
        return c.zero_()
    strides = (x * size for x in (*a.stride(), b.stride(0), c.stride(0)))
    places = a.data_ptr(), b.data_ptr(), c.data_ptr(), 0 if bias is None else bias.data_ptr()
    number = RATES[a.dtype](rate)
    return blocks(
        *places,
        *strides,
        m,
        n,
        depth,
        size,
        how,
        number,
        depths,
        columns,
        rows,
        origin,
        b_next,
        c_next,
        number,
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
    one: np.number,
) -> None:  # pragma: no cover
    """C = A B by addresses and strides in bytes, numbers of ``size`` bytes; the rest as in `tile`."""
    for d in range(0, depth, depths):
        for i in range(0, m, rows):
            for j in range(0, n, columns):
                block(
                    a + i * a_row + d * a_depth,
                    a_row,
                    a_depth,
                    b + d * b_depth + j * size,
                    b_depth,
                    min(depths, depth - d),
                    c + i * c_row + j * size,
                    c_row,
                    min(rows, m - i),
                    min(columns, n - j),
                    size,
                    how if d == 0 else ADD,
                    bias + i * size,
                    origin,
                    b_next,
                    c_next,
                    rate,
                    one,
                )


@numba.njit(cache=True, nogil=True)
def block(
    a: int,
    a_row: int,
    a_depth: int,
    b: int,
    b_depth: int,
    depth: int,
    c: int,
    c_row: int,
    rows: int,
    columns: int,
    size: int,
    how: int,
    bias: int,
    origin: int,
    b_next: int,
    c_next: int,
    rate: np.floating,
    one: np.number,
) -> None:  # pragma: no cover
    """Tile after tile, the columns of some rows, then those of the next ones."""
    tiles, whole, wide = rows - rows % ROWS, columns * size // (2 * BYTES), 2 * BYTES // size
    rest, end = columns - whole * wide, whole * 2 * BYTES
    near = MOVE if how == STREAM else how  # where a tile is not whole
    for r in range(0, tiles, ROWS):
        row, to, ways = (
            a + r * a_row,
            c + r * c_row,
            (bias + r * size, origin, b_next, c_next, rate, one),
        )
        for k in range(0, end, 2 * BYTES):
            _tile(row, a_row, a_depth, b + k, b_depth, depth, to + k, c_row, ALL, how, *ways)
        if rest:
            where = (row, a_row, a_depth, b + end, b_depth, depth, to + end, c_row, rest)
            if rest * size <= BYTES:
                _slim(*where, near, *ways)
            else:
                _tile(*where, near, *ways)
    for r in range(tiles, rows):
        row, to, ways = (
            a + r * a_row,
            c + r * c_row,
            (bias + r * size, origin, b_next, c_next, rate, one),
        )
        for k in range(0, columns * size, 2 * BYTES):
            _row(
                row,
                a_row,
                a_depth,
                b + k,
                b_depth,
                depth,
                to + k,
                c_row,
                columns - k // size,
                near,
                *ways,
            )
    if near != how:
        fence()

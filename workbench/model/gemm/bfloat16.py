"""The products of `float32` with factors rounded to bfloat16.

They are for processors that multiply pairs of such numbers.

Everything given and returned is float32. The processor sums the products of two neighbours in depth
at a time. So factors are rounded and paired before: activations as a whole, weights block by block,
while they stay in the cache. A pair is a uint32, whose lower half is the first of the two.
"""

from typing import NamedTuple

import numba
import numpy as np
import torch

from workbench.model.gemm.float32 import (
    ALL,
    BlockSize,
    Finish,
    Left,
    Right,
    Target,
    block,
    blocks,
    bytes_behind,
    cached_columns,
    can_stream,
    next_tile,
)
from workbench.model.gemm.rounding import rounded
from workbench.model.gemm.tiles import ADD, BIAS, FLOAT_BYTES, MOVE, RECTIFY, STORE, STREAM
from workbench.model.gemm.tiles import BYTES as VECTOR_BYTES

OUTPUTS = 96  # rows of weights that are paired at a time on the way up
DEPTH = 128  # and on the way down
TILE_COLUMNS = 2 * VECTOR_BYTES // FLOAT_BYTES
NUMBER = np.float32(0)
PAIR = np.uint32(0)


class Pairs(NamedTuple):
    """A paired matrix as the left factor of a product."""

    pairs: np.ndarray  # uint32
    row: int  # bytes from row to row
    depth: int  # bytes from pair to pair


def affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    """As in `float32`."""
    outputs, inputs = weight.shape
    below = _pair_rows_of(h.t())
    out_row = FLOAT_BYTES * out.stride(1)
    how = RECTIFY if rectify else BIAS
    _up(_bits(weight), outputs, inputs, below, out.data_ptr(), out_row, how, bias.data_ptr())


def backward(delta: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """As in `float32`."""
    if not delta.shape[1]:  # there is nothing to add
        out.zero_()
    left = _paired(delta)
    outputs, inputs = weight.shape
    _down(
        left.pairs.ctypes.data,
        left.row,
        left.depth,
        len(delta),
        _bits(weight),
        outputs,
        inputs,
        out.data_ptr(),
        FLOAT_BYTES * out.stride(0),
    )


def gradient(delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    """As in `float32`."""
    if not len(h):
        out.zero_()
    _outer(delta, h, out, STORE, 0.0)


def move(
    delta: torch.Tensor, h: torch.Tensor, weight: torch.Tensor, rate: float, out: torch.Tensor
) -> None:
    """As in `float32`."""
    if not len(h):
        out.copy_(weight)
    origin = bytes_behind(weight, out)
    how = STREAM if origin and can_stream(out) else MOVE
    _outer(delta, h, out, how, rate, origin)


def _outer(
    delta: torch.Tensor, h: torch.Tensor, c: torch.Tensor, how: int, rate: float, origin: int = 0
) -> None:
    """Compute C = deltaᵀ h, finished in the way ``how``."""
    left = _paired(delta.t())
    right = _pair_rows_of(h)
    m, n = c.shape
    blocks(
        left.pairs.ctypes.data,
        right.ctypes.data,
        c.data_ptr(),
        0,
        left.row,
        left.depth,
        FLOAT_BYTES * n,
        FLOAT_BYTES * c.stride(0),
        m,
        n,
        len(right),
        FLOAT_BYTES,
        how,
        np.float32(rate),
        ALL,
        cached_columns(h),
        ALL,
        origin,
        0,
        next_tile(c),
        PAIR,
    )


def _paired(matrix: torch.Tensor) -> Pairs:
    """Pair neighbours in the rows of a matrix that lies in either order."""
    if matrix.stride(1) == 1:
        pairs = _pair_columns_of(_bits(matrix), matrix.stride(0), *matrix.shape)
        return Pairs(pairs, FLOAT_BYTES * pairs.shape[1], FLOAT_BYTES)
    pairs = _pair_rows_of(matrix.t())
    return Pairs(pairs, FLOAT_BYTES, FLOAT_BYTES * pairs.shape[1])


def _pair_rows_of(matrix: torch.Tensor) -> np.ndarray:
    """Return pairs of rows, uint32 [(rows + 1) // 2, columns]."""
    rows, columns = matrix.shape
    out = np.empty(((rows + 1) // 2, columns), np.uint32)
    _pair_rows(_bits(matrix), matrix.stride(0), 0, rows, columns, out)
    return out


def _bits(matrix: torch.Tensor) -> np.ndarray:
    """Return the bits of a matrix with gapless rows, and of what lies between its rows.

    It is uint32 [numbers].
    """
    rows, columns = matrix.shape
    numbers = max(0, (rows - 1) * matrix.stride(0) + columns)
    return matrix.as_strided((numbers,), (1,)).numpy().view(np.uint32)


@numba.njit(cache=True, nogil=True)
def _pair_columns_of(
    bits: np.ndarray, stride: int, rows: int, columns: int
) -> np.ndarray:  # pragma: no cover
    """Return pairs of columns, uint32 [rows, (columns + 1) // 2]."""
    out = np.empty((rows, (columns + 1) // 2), np.uint32)
    for r in range(rows):
        _pair_columns(bits[r * stride : r * stride + columns], out[r])
    return out


@numba.njit(cache=True, nogil=True)
def _pair_columns(row: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    halves = out.view(np.uint16)
    for k in range(len(row)):
        halves[k] = rounded(row[k]) >> np.uint32(16)
    if len(row) % 2:
        halves[len(row)] = 0


@numba.njit(cache=True, nogil=True)
def _pair_rows(
    bits: np.ndarray, stride: int, first: int, rows: int, columns: int, out: np.ndarray
) -> None:  # pragma: no cover
    for r in range(0, rows, 2):
        at = (first + r) * stride
        pairs = out[r // 2]
        one = bits[at : at + columns]
        if r + 1 < rows:
            other = bits[at + stride : at + stride + columns]
            for k in range(columns):
                pairs[k] = (rounded(one[k]) >> np.uint32(16)) | (
                    rounded(other[k]) & np.uint32(0xFFFF0000)
                )
        else:
            for k in range(columns):
                pairs[k] = rounded(one[k]) >> np.uint32(16)


@numba.njit(cache=True, nogil=True)
def _up(
    weight: np.ndarray,
    outputs: int,
    inputs: int,
    below: np.ndarray,
    out: int,
    out_row: int,
    how: int,
    bias: int,
) -> None:  # pragma: no cover
    """Compute C = W B with W [outputs, inputs] as bits and B in pairs.

    ``out`` and ``bias`` are addresses.
    """
    depth, frames = below.shape
    paired = np.empty((OUTPUTS, depth), np.uint32)
    for i in range(0, outputs, OUTPUTS):
        rows = min(OUTPUTS, outputs - i)
        for r in range(rows):
            _pair_columns(weight[(i + r) * inputs : (i + r + 1) * inputs], paired[r])
        for j in range(0, frames, TILE_COLUMNS):
            offset = FLOAT_BYTES * j
            block(
                Left(paired.ctypes.data, FLOAT_BYTES * depth, FLOAT_BYTES),
                Right(below.ctypes.data + offset, FLOAT_BYTES * frames),
                Target(out + i * out_row + offset, out_row),
                BlockSize(rows, min(TILE_COLUMNS, frames - j), depth, FLOAT_BYTES),
                Finish(how, bias + FLOAT_BYTES * i, 0, 0, 0),
                NUMBER,
                PAIR,
            )


@numba.njit(cache=True, nogil=True)
def _down(
    a: int,
    a_row: int,
    a_depth: int,
    frames: int,
    weight: np.ndarray,
    outputs: int,
    inputs: int,
    out: int,
    out_row: int,
) -> None:  # pragma: no cover
    """Compute C = A W with A [frames, outputs] in pairs, and W as bits.

    ``a`` and ``out`` are addresses.
    """
    paired = np.empty((DEPTH // 2, inputs), np.uint32)
    for d in range(0, outputs, DEPTH):
        rows = min(DEPTH, outputs - d)
        _pair_rows(weight, inputs, d, rows, inputs, paired)
        for j in range(0, inputs, TILE_COLUMNS):
            offset = FLOAT_BYTES * j
            block(
                Left(a + d // 2 * a_depth, a_row, a_depth),
                Right(paired.ctypes.data + offset, FLOAT_BYTES * inputs),
                Target(out + offset, out_row),
                BlockSize(frames, min(TILE_COLUMNS, inputs - j), (rows + 1) // 2, FLOAT_BYTES),
                Finish(ADD if d else STORE, 0, 0, 0, 0),
                NUMBER,
                PAIR,
            )

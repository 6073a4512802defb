"""The products of `products` with factors rounded to bfloat16, for processors that multiply pairs of them.

Everything given and made is float32. The processor sums the products of two neighbours in depth at a time, so factors
are rounded and paired before: activations as a whole, weights block by block, while they stay in the cache.
"""

import numba
import numpy as np
import torch

from workbench.model.gemm.float32 import ALL, behind, block, blocks, cached, next_tile, past
from workbench.model.gemm.rounding import rounded
from workbench.model.gemm.tiles import ADD, BIAS, BYTES, MOVE, RECTIFY, STORE, STREAM

OUTPUTS = 96  # rows of weights that are paired at a time on the way up
DEPTH = 128  # and on the way down
TILE = 2 * BYTES // 4  # columns
NUMBER, PAIR = np.float32(0), np.uint32(0)


def affine(
    h: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: torch.Tensor, rectify: bool
) -> None:
    """As in `products`."""
    below, (outputs, inputs) = _across(h.t()), weight.shape
    how = RECTIFY if rectify else BIAS
    _up(
        _flat(weight),
        outputs,
        inputs,
        below,
        out.data_ptr(),
        4 * out.stride(1),
        how,
        bias.data_ptr(),
    )


def backward(delta: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """As in `products`."""
    if not delta.shape[1]:  # nothing to add
        out.zero_()
    a, row, depth = _paired(delta)
    outputs, inputs = weight.shape
    _down(
        a.ctypes.data,
        row,
        depth,
        len(delta),
        _flat(weight),
        outputs,
        inputs,
        out.data_ptr(),
        4 * out.stride(0),
    )


def gradient(delta: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    """As in `products`."""
    if not len(h):
        out.zero_()
    _outer(delta, h, out, STORE, 0.0)


def move(
    delta: torch.Tensor, h: torch.Tensor, weight: torch.Tensor, rate: float, out: torch.Tensor
) -> None:
    """As in `products`."""
    if not len(h):
        out.copy_(weight)
    origin = behind(weight, out)
    _outer(delta, h, out, STREAM if origin and past(out) else MOVE, rate, origin)


def _outer(
    delta: torch.Tensor, h: torch.Tensor, c: torch.Tensor, how: int, rate: float, origin: int = 0
) -> None:
    a, row, depth = _paired(delta.t())
    b, (m, n) = _across(h), c.shape
    blocks(
        a.ctypes.data,
        b.ctypes.data,
        c.data_ptr(),
        0,
        row,
        depth,
        4 * n,
        4 * c.stride(0),
        m,
        n,
        len(b),
        4,
        how,
        np.float32(rate),
        ALL,
        cached(h),
        ALL,
        origin,
        0,
        next_tile(c),
        PAIR,
    )


def _paired(matrix: torch.Tensor) -> tuple[np.ndarray, int, int]:
    """Pairs along the rows of a matrix that lies either way, and the bytes from row to row and from pair to pair."""
    if matrix.stride(1) == 1:
        pairs = _along(_flat(matrix), matrix.stride(0), *matrix.shape)
        return pairs, 4 * pairs.shape[1], 4
    pairs = _across(matrix.t())
    return pairs, 4, 4 * pairs.shape[1]


def _across(matrix: torch.Tensor) -> np.ndarray:
    """Pairs of rows, uint32 [(rows + 1) // 2, columns]."""
    out = np.empty(((len(matrix) + 1) // 2, matrix.shape[1]), np.uint32)
    _pair_rows(_flat(matrix), matrix.stride(0), 0, *matrix.shape, out)
    return out


def _flat(matrix: torch.Tensor) -> np.ndarray:
    """The bits of a matrix with gapless rows, uint32, and of what lies between its rows."""
    rows, columns = matrix.shape
    return (
        matrix.as_strided((max(0, (rows - 1) * matrix.stride(0) + columns),), (1,))
        .numpy()
        .view(np.uint32)
    )


@numba.njit(cache=True, nogil=True)
def _along(
    flat: np.ndarray, stride: int, rows: int, columns: int
) -> np.ndarray:  # pragma: no cover
    """Pairs of columns, uint32 [rows, (columns + 1) // 2]."""
    out = np.empty((rows, (columns + 1) // 2), np.uint32)
    for r in range(rows):
        _pair_columns(flat[r * stride : r * stride + columns], out[r])
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
    flat: np.ndarray, stride: int, first: int, rows: int, columns: int, out: np.ndarray
) -> None:  # pragma: no cover
    for r in range(0, rows, 2):
        at, pairs = (first + r) * stride, out[r // 2]
        one = flat[at : at + columns]
        if r + 1 < rows:
            other = flat[at + stride : at + stride + columns]
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
    depth, frames = below.shape
    paired = np.empty((OUTPUTS, depth), np.uint32)
    for i in range(0, outputs, OUTPUTS):
        rows = min(OUTPUTS, outputs - i)
        for r in range(rows):
            _pair_columns(weight[(i + r) * inputs : (i + r + 1) * inputs], paired[r])
        for j in range(0, frames, TILE):
            block(
                paired.ctypes.data,
                4 * depth,
                4,
                below.ctypes.data + 4 * j,
                4 * frames,
                depth,
                out + i * out_row + 4 * j,
                out_row,
                rows,
                min(TILE, frames - j),
                4,
                how,
                bias + 4 * i,
                0,
                0,
                0,
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
    paired = np.empty((DEPTH // 2, inputs), np.uint32)
    for d in range(0, outputs, DEPTH):
        rows = min(DEPTH, outputs - d)
        _pair_rows(weight, inputs, d, rows, inputs, paired)
        for j in range(0, inputs, TILE):
            block(
                a + d // 2 * a_depth,
                a_row,
                a_depth,
                paired.ctypes.data + 4 * j,
                4 * inputs,
                (rows + 1) // 2,
                out + 4 * j,
                out_row,
                frames,
                min(TILE, inputs - j),
                4,
                ADD if d else STORE,
                0,
                0,
                0,
                0,
                NUMBER,
                PAIR,
            )

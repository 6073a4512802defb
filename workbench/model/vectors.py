"""Compiled passes over whole vectors of parameters, where the memory decides what a pass costs."""

import numba
import numpy as np

from workbench.system.float_bits import INFINITE, MAGNITUDE

HALF = np.uint32(0x7FFF)  # bfloat16 is the upper half of the bits, rounded
QUIET = np.uint32(0x400000)  # a bit of a NaN that rounding leaves alone


def add_scaled(theta: np.ndarray, rate: np.float32, step: np.ndarray, out: np.ndarray) -> float:
    """Write ``theta + rate * step`` to ``out``; return the largest magnitude of ``step``.

    It is infinite or NaN if a number of ``step`` is. All arrays are contiguous, float32 [n]. Each
    product and each sum is rounded as numpy rounds it.
    """
    top = _add_scaled(theta, rate, step, step.view(np.uint32), out)
    return float(np.uint32(top).view(np.float32))


def narrow(x: np.ndarray, out: np.ndarray) -> None:
    """Write float32 ``x``, contiguous [n], to ``out``, uint16 [n], rounded to bfloat16; ties to
    even.
    """
    _narrow(x.view(np.uint32), out)


def widen(x: np.ndarray, out: np.ndarray) -> None:
    """Write the bfloat16 numbers ``x``, uint16 [n], to ``out``, float32 [n]."""
    _widen(x, out.view(np.uint32))


@numba.njit(cache=True, nogil=True)
def _add_scaled(
    theta: np.ndarray, rate: np.float32, step: np.ndarray, bits: np.ndarray, out: np.ndarray
) -> np.uint32:  # pragma: no cover
    """Return the largest magnitude of ``step``, as bits."""
    top = np.uint32(0)
    for i in range(len(step)):
        top = max(top, bits[i] & MAGNITUDE)
        out[i] = theta[i] + rate * step[i]
    return top


@numba.njit(cache=True, nogil=True)
def _narrow(bits: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    for i in range(len(bits)):
        b = bits[i]
        nan = (b & MAGNITUDE) > INFINITE
        half = b | QUIET if nan else _rounded(b)  # rounding could turn a NaN into zero
        out[i] = np.uint16(half >> np.uint32(16))


@numba.njit(inline="always")
def _rounded(bits: np.uint32) -> np.uint32:  # pragma: no cover
    """Return bits whose upper half is the nearest bfloat16, ties to even.

    The lower half has no meaning.
    """
    return np.uint32(bits + HALF + ((bits >> np.uint32(16)) & np.uint32(1)))


@numba.njit(cache=True, nogil=True)
def _widen(halves: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover
    for i in range(len(halves)):
        out[i] = np.uint32(halves[i]) << np.uint32(16)

"""The input of the network: a frame with its 20 left and 5 right neighbours (paper, section 4.1).

At the edges of an utterance its first or last frame is repeated. Gathering windows is the hot path
of every batch. The 26 frames of a window lie side by side in the store, so a window is one run of
1040 half-precision numbers. They are widened by integer arithmetic, which the compiler turns into
vector code (numba has no float16 on a CPU): the 15 low bits move to where float32 has them, and a
multiplication by 2**112 corrects the exponent. This is exact for all finite values, subnormal ones
too. NaN and infinity would become large finite numbers, so they are looked for on the way.
"""

import numba
import numpy as np

from workbench.settings.frame import FRAMES_PER_SECOND

LEFT = 20  # frames before
RIGHT = 5  # frames after
MEL = 40  # numbers of a frame
SPAN = LEFT + 1 + RIGHT
WINDOW = SPAN * MEL  # 1040, the inputs of the network

_MAGNITUDE = np.uint16(0x7FFF)  # all bits of a float16 number but its sign
_INFINITE = np.uint16(0x7C00)  # from this magnitude on it is infinite or NaN
_EXPONENT = np.float32(2.0**112)  # the difference of the exponents' offsets of float32 and float16


def frame_count(seconds: float) -> int:
    """Return the number of frames in ``seconds`` of audio, to the nearest frame."""
    return int(seconds * FRAMES_PER_SECOND + 0.5)


def window_index(frames: np.ndarray, first: np.ndarray | int, last: np.ndarray | int) -> np.ndarray:
    """Return the frames int64 [n, 26] of the windows at ``frames`` [n].

    They stay within ``first`` .. ``last - 1``.
    """
    around = np.asarray(frames)[:, None] + np.arange(-LEFT, RIGHT + 1)
    return np.clip(around, np.reshape(first, (-1, 1)), np.reshape(last, (-1, 1)) - 1)


def utterance_windows(features: np.ndarray) -> np.ndarray:
    """Return all windows float32 [T, 1040] of ``features`` [T, 40] of an utterance in no store."""
    index = window_index(np.arange(len(features)), 0, len(features))
    return np.asarray(features, np.float32)[index].reshape(len(features), WINDOW)


def gather_windows(
    features: np.ndarray, offsets: np.ndarray, frames: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """Return the windows float32 [n, 1040] at ``frames`` int64 [n] of ``features``.

    ``features``: float16 [F, 40], C order.
    ``offsets`` int64 [U + 1]: utterance u has the frames offsets[u] .. offsets[u + 1] - 1, and no
    window leaves it. ``out``: C-ordered float32 [n, 1040] to write to and return. Raises IndexError
    for a frame that does not exist, NotFiniteFrame for a window in which a number is not finite.
    """
    frames = np.ascontiguousarray(frames, np.int64)
    if out is None:
        out = np.empty((len(frames), WINDOW), np.float32)
    if out.shape != (len(frames), WINDOW) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-ordered float32 [{len(frames)}, {WINDOW}]")

    row, finite = _gather(features.view(np.uint16), offsets, frames, out.view(np.uint32))
    if not finite:
        raise NotFiniteFrame(int(frames[row]))
    if row < len(frames):
        raise IndexError(f"frames must lie in 0 .. {len(features) - 1}")
    return np.multiply(out, _EXPONENT, out=out)


class NotFiniteFrame(ValueError):
    """A number in the window of ``frame`` is NaN or infinite."""

    def __init__(self, frame: int):
        super().__init__(f"the window of frame {frame} is not finite")
        self.frame = frame


@numba.njit(inline="always")
def _widen(half: np.uint16) -> np.uint32:  # pragma: no cover
    """The bits of the float32 number that is 2**112 times smaller than a float16 number."""
    h = np.uint32(half)
    return ((h & np.uint32(0x8000)) << np.uint32(16)) | ((h & np.uint32(0x7FFF)) << np.uint32(13))


@numba.njit(cache=True, nogil=True)
def _gather(
    features: np.ndarray, offsets: np.ndarray, frames: np.ndarray, out: np.ndarray
) -> tuple[int, bool]:  # pragma: no cover
    """Write the bits of float32 values, 2**112 too small.

    Returns (how many rows were written, whether the next one is finite). Fewer rows than frames are
    written where a frame is out of range or its window is not finite.
    """
    for i in range(len(frames)):
        t = frames[i]
        if t < 0 or t >= len(features):
            return i, True
        u = np.searchsorted(offsets, t, side="right") - 1
        first = offsets[u]
        last = offsets[u + 1] - 1
        row = out[i]
        largest = np.uint16(0)
        if t - LEFT >= first and t + RIGHT <= last:
            run = features[t - LEFT : t + RIGHT + 1].reshape(WINDOW)
            for j in range(WINDOW):
                row[j] = _widen(run[j])
                largest = max(largest, run[j] & _MAGNITUDE)
        else:
            for k in range(SPAN):
                near = min(max(t - LEFT + k, first), last)
                for j in range(MEL):
                    row[k * MEL + j] = _widen(features[near, j])
                    largest = max(largest, features[near, j] & _MAGNITUDE)
        if largest >= _INFINITE:
            return i, False
    return len(frames), True

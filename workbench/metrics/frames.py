"""Frame errors: how often the likeliest state of a frame is not the one of the alignment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FrameErrors:
    """Numbers of frames; they add up over utterances.

    ``silence`` and ``silence_wrong`` count the frames whose aligned state is silence. ``unaligned``
    frames are counted nowhere else.
    """

    frames: int
    wrong: int
    silence: int
    silence_wrong: int
    unaligned: int = 0

    def __add__(self, other: "FrameErrors") -> "FrameErrors":
        return FrameErrors(
            self.frames + other.frames,
            self.wrong + other.wrong,
            self.silence + other.silence,
            self.silence_wrong + other.silence_wrong,
            self.unaligned + other.unaligned,
        )

    @property
    def error(self) -> float:
        """Wrong frames per aligned frame, a fraction; NaN without aligned frames."""
        return self.wrong / self.frames if self.frames else math.nan

    @property
    def speech_error(self) -> float:
        """The same outside silence."""
        speech = self.frames - self.silence
        return (self.wrong - self.silence_wrong) / speech if speech else math.nan


def count_frames(
    states: np.ndarray, alignment: np.ndarray, silence: Sequence[int] | np.ndarray = ()
) -> FrameErrors:
    """Return the errors of ``states`` against ``alignment``, int [frames] both.

    An alignment below 0 means not aligned. ``silence``: the states of silence. Raises ValueError if
    the shapes differ.
    """
    states = np.asarray(states)
    alignment = np.asarray(alignment)
    if states.shape != alignment.shape:
        raise ValueError(f"{states.shape} states against an alignment of {alignment.shape}")

    is_aligned = alignment >= 0
    is_wrong = is_aligned & (states != alignment)
    is_silence = is_aligned & np.isin(alignment, silence)
    return FrameErrors(
        frames=int(np.count_nonzero(is_aligned)),
        wrong=int(np.count_nonzero(is_wrong)),
        silence=int(np.count_nonzero(is_silence)),
        silence_wrong=int(np.count_nonzero(is_silence & is_wrong)),
        unaligned=int(np.count_nonzero(~is_aligned)),
    )

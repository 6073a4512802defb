"""Frame errors: how often the likeliest state of a frame is not the one of the alignment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FrameErrors:
    """Aligned frames and wrong ones among them; the same of silence (by the alignment) alone; they
    add up.

    ``unaligned`` frames (alignment below 0) are none of these.
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
        """Wrong frames per frame, a fraction; nan without frames."""
        return self.wrong / self.frames if self.frames else math.nan

    @property
    def speech_error(self) -> float:
        """The same outside silence."""
        speech = self.frames - self.silence
        return (self.wrong - self.silence_wrong) / speech if speech else math.nan


def count_frames(
    states: np.ndarray, alignment: np.ndarray, silence: Sequence[int] | np.ndarray = ()
) -> FrameErrors:
    """Return how many states differ from an alignment, both int [frames].

    ``silence``: the states of silence. ValueError if shapes differ.
    """
    states = np.asarray(states)
    alignment = np.asarray(alignment)
    if states.shape != alignment.shape:
        raise ValueError(f"{states.shape} states against an alignment of {alignment.shape}")

    aligned = alignment >= 0
    wrong = aligned & (states != alignment)
    quiet = aligned & np.isin(alignment, silence)
    counts = (np.count_nonzero(x) for x in (aligned, wrong, quiet, quiet & wrong, ~aligned))
    return FrameErrors(*map(int, counts))

"""Frame errors are counted by hand and add up over utterances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.metrics.frames import FrameErrors, count_frames


def test_frame_errors_by_hand():
    """Of 5 aligned frames 2 are wrong, outside silence (state 0) 1 of 3."""
    states = np.array([0, 1, 1, 2, 3, 3])
    alignment = np.array([0, 0, 1, 2, 4, -1])
    found = count_frames(states, alignment, silence=[0])
    assert found == FrameErrors(5, 2, 2, 1, 1)
    assert (found.error, found.speech_error) == (2 / 5, 1 / 3)
    assert count_frames(states, alignment).error == 2 / 5
    assert count_frames(states, alignment, np.array([0])).speech_error == 1 / 3


def test_without_frames_there_is_no_rate():
    """The errors of no frames are NaN."""
    none = count_frames(np.array([], int), np.array([], int))
    assert math.isnan(none.error)
    assert math.isnan(none.speech_error)


def test_other_shapes_are_refused():
    """States and alignment of different lengths are a mistake in the program."""
    with pytest.raises(ValueError, match="against an alignment"):
        count_frames(np.zeros(3, int), np.zeros(2, int))


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), max_size=30), st.integers(0, 30))
def test_frame_errors_add_up(frames, cut):
    """The errors of two parts add up to those of the whole, and every frame is counted."""
    alignment, states = np.array(frames, int).reshape(-1, 2).T
    silence = [1, 3]
    first = count_frames(states[:cut], alignment[:cut], silence)
    second = count_frames(states[cut:], alignment[cut:], silence)
    whole = count_frames(states, alignment, silence)
    assert first + second == whole
    assert whole.frames + whole.unaligned == len(frames)

"""The account of the criterion: every utterance and frame is used or set aside, in any grouping."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.metrics.criterion import Criterion, SetAsideCount


def total(parts):
    """The sum over utterances."""
    return sum(parts, Criterion())


def test_criterion_leaves_out_what_could_not_be_used():
    """An utterance that is set aside changes neither the sum nor the frames it is divided by."""
    used = [Criterion.of(-6.0, 20), Criterion.of(-3.0, 10)]
    found = total([*used, Criterion.of(math.nan, 70, "no path")])
    assert found.per_frame == -0.3
    assert (found.utterances, found.frames) == (3, 100)
    assert found.set_aside == (SetAsideCount("no path", 1, 70),)
    assert found.set_aside_total == 1


def test_without_used_frames_there_is_no_value():
    """F of nothing, or of utterances that were all set aside, is NaN."""
    assert math.isnan(Criterion().per_frame)
    assert math.isnan(Criterion.of(0.0, 9, "no path").per_frame)


VALUES = st.one_of(st.integers(-99, 0).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))
REASONS = st.sampled_from([None, None, "no path", "too short", "not finite"])
UTTERANCES = st.lists(
    st.tuples(VALUES, st.integers(10, 99), REASONS, st.integers(0, 5), st.integers(0, 5)),
    max_size=9,
)


@given(UTTERANCES, st.integers(0, 9))
def test_accounts_balance_in_any_grouping(utterances, cut):
    """Utterances and frames are used or set aside by reason, whatever was added first."""
    parts = [Criterion.of(*utterance) for utterance in utterances]
    found = total(parts)
    assert total([total(parts[cut:]), total(parts[:cut])]) == found

    frames_by_reason: dict[str, int] = {}
    unused = 0
    for value, frames, reason, _, _ in utterances:
        if reason or not math.isfinite(value):
            name = reason or "not finite"
            frames_by_reason[name] = frames_by_reason.get(name, 0) + frames
            unused += 1
    assert found.utterances == len(utterances)
    assert found.set_aside_total == unused
    assert found.frames == sum(frames for _, frames, *_ in utterances)
    assert {count.reason: count.frames for count in found.set_aside} == frames_by_reason
    assert found.frames_used == found.frames_kept + found.frames_rejected + found.frames_cancelled


def test_an_account_that_cannot_balance_is_refused():
    """More frames rejected and cancelled than used are a mistake in the program."""
    with pytest.raises(ValueError, match="10 used frames, but 6 rejected and 5 cancelled"):
        Criterion.of(-1.0, 10, rejected=6, cancelled=5)

"""Word and frame errors and the criterion's account: counts against the obvious way to
count them.
"""

import math

import kaldialign
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.metrics.criterion import Criterion, SetAsideCount
from workbench.metrics.frames import FrameErrors, count_frames
from workbench.metrics.words import WordErrors, align, word_errors
from workbench.metrics.words import total as total_errors


def add(parts: list[Criterion]) -> Criterion:
    """The sum over utterances."""
    return sum(parts, Criterion())


hostile = st.sampled_from(
    [
        "a",
        "b",
        "",
        " ",
        "*",
        "<eps>",
        "a b",
        "\0",
        "\n",
        "é",
        "é",
        "\u202e",
        "😀",
        "\ud800",
        "None",
        "0",
    ]
)
sentences = st.lists(hostile, max_size=8)


def levenshtein(ref, hyp):
    """The table, filled cell by cell: (substitutions, deletions, insertions), ties broken as the
    module says.
    """
    row = [(0, 0, j) for j in range(len(hyp) + 1)]
    for i, r in enumerate(ref, 1):
        above, row = row, [(0, i, 0)]
        for j, h in enumerate(hyp, 1):
            (s, d, n), (s1, d1, n1), (s2, d2, n2) = row[j - 1], above[j], above[j - 1]
            row.append(min((s, d, n + 1), (s1, d1 + 1, n1), (s2 + (r != h), d2, n2), key=sum))
    return row[-1]


@given(sentences, sentences)
def test_counts_are_those_of_the_table(ref, hyp):
    """Every kind of error is counted as the dynamic programming table counts it, whatever the words
    contain.
    """
    found = word_errors(ref, hyp)
    assert (found.substitutions, found.deletions, found.insertions) == levenshtein(ref, hyp)
    assert found.reference == len(ref)


@given(sentences, sentences)
def test_counts_are_those_of_kaldialign(ref, hyp):
    """Others who use kaldialign report the same numbers, kind by kind."""
    theirs, ours = kaldialign.edit_distance(ref, hyp), word_errors(ref, hyp)
    assert (theirs["sub"], theirs["del"], theirs["ins"]) == (
        ours.substitutions,
        ours.deletions,
        ours.insertions,
    )


@given(sentences, sentences)
def test_alignment_is_complete_and_has_the_counted_errors(ref, hyp):
    """Read downwards the pairs are the two sentences, and their mismatches are the counted errors;
    no word is a gap.
    """
    pairs = align(ref, hyp)
    assert [a for a, _ in pairs if a is not None] == ref and [
        b for _, b in pairs if b is not None
    ] == hyp
    gaps = sum(b is None for _, b in pairs), sum(a is None for a, _ in pairs)
    assert (sum(None not in pair and pair[0] != pair[1] for pair in pairs), *gaps) == levenshtein(
        ref, hyp
    )


def test_word_error_rates_by_hand():
    """1 substitution, 1 deletion and 2 insertions in 4 words are 100 %; without words there is no
    rate.
    """
    errors = total_errors(
        [word_errors(["a", "b", "c"], ["a", "x"]), word_errors(["d"], ["d", "e", "f"])]
    )
    assert (
        errors == WordErrors(1, 1, 2, 4)
        and errors.wer == 1.0
        and errors.rate(errors.insertions) == 0.5
    )
    assert word_errors([], ["a", "b"]).errors == 2 and math.isnan(word_errors([], ["a"]).wer)
    assert total_errors([]) == WordErrors(0, 0, 0, 0)


def test_frame_errors_by_hand():
    """Of 5 aligned frames 2 are wrong; outside silence (state 0) 1 of 3; the unaligned frame counts
    nowhere.
    """
    states, alignment = np.array([0, 1, 1, 2, 3, 3]), np.array([0, 0, 1, 2, 4, -1])
    found = count_frames(states, alignment, silence=[0])
    assert found == FrameErrors(5, 2, 2, 1, 1)
    assert (found.error, found.speech_error) == (2 / 5, 1 / 3)
    nothing = count_frames(states[:0], alignment[:0])
    assert math.isnan(nothing.error)
    assert math.isnan(nothing.speech_error)
    with pytest.raises(ValueError, match="against an alignment"):
        count_frames(states, alignment[:-1])


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), max_size=30), st.integers(0, 30))
def test_frame_errors_add_up(frames, cut):
    """The errors of two parts are those of the whole, and every frame is somewhere."""
    alignment, states = np.array(frames, int).reshape(-1, 2).T
    whole = count_frames(states, alignment, [1, 3])
    assert (
        count_frames(states[:cut], alignment[:cut], [1, 3])
        + count_frames(states[cut:], alignment[cut:], [1, 3])
        == whole
    )
    assert whole.frames + whole.unaligned == len(frames)


def test_criterion_leaves_out_what_could_not_be_used():
    """An utterance that is set aside changes neither the sum nor the frames it is divided by; a
    zero would flatter.
    """
    found = add(
        [Criterion.of(-6.0, 20), Criterion.of(-3.0, 10), Criterion.of(math.nan, 70, "no path")]
    )
    assert found.per_frame == -0.3 and (found.utterances, found.frames) == (3, 100)
    assert found.set_aside == (SetAsideCount("no path", 1, 70),) and found.set_aside_total == 1
    assert math.isnan(Criterion().per_frame) and math.isnan(
        Criterion.of(0.0, 9, "no path").per_frame
    )


values = st.one_of(st.integers(-99, 0).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))
reasons = st.sampled_from([None, None, "no path", "too short", "not finite"])
accounts = st.lists(
    st.tuples(values, st.integers(10, 99), reasons, st.integers(0, 5), st.integers(0, 5)),
    max_size=9,
)


@given(accounts, st.integers(0, 9))
def test_accounts_balance_in_any_grouping(utterances, cut):
    """Utterances and frames seen = used + set aside by reason, and it does not matter who added
    what.
    """
    parts = [Criterion.of(*u) for u in utterances]
    found = add(parts)
    assert add([add(parts[cut:]), add(parts[:cut])]) == found
    unused = [u for u in utterances if u[2] or not math.isfinite(u[0])]
    assert found.utterances == len(utterances) and found.set_aside_total == len(unused)
    assert found.frames == sum(u[1] for u in utterances)
    assert {s.reason: s.frames for s in found.set_aside} == {
        r: sum(u[1] for u in unused if (u[2] or "not finite") == r)
        for r in {u[2] or "not finite" for u in unused}
    }
    assert found.frames_used == found.frames_kept + found.frames_rejected + found.frames_cancelled


def test_an_account_that_cannot_balance_is_refused():
    """More frames rejected and cancelled than there are is a mistake in the program."""
    with pytest.raises(ValueError):
        Criterion.of(-1.0, 10, rejected=6, cancelled=5)

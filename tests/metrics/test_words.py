"""Word errors are counted as the obvious table counts them, and as other users of kaldialign do."""

import math

import kaldialign
from hypothesis import given
from hypothesis import strategies as st

from workbench.metrics.words import WordErrors, align_words, total_errors, word_errors

HOSTILE_WORDS = st.sampled_from(
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
SENTENCES = st.lists(HOSTILE_WORDS, max_size=8)


def levenshtein(reference, hypothesis):
    """(substitutions, deletions, insertions) from the table, filled cell by cell.

    Ties are broken as the module of word errors says.
    """
    row = [(0, 0, j) for j in range(len(hypothesis) + 1)]
    for i, right in enumerate(reference, 1):
        above = row
        row = [(0, i, 0)]
        for j, recognised in enumerate(hypothesis, 1):
            s, d, n = row[j - 1]
            inserted = (s, d, n + 1)
            s, d, n = above[j]
            deleted = (s, d + 1, n)
            s, d, n = above[j - 1]
            matched = (s + (right != recognised), d, n)
            row.append(min(inserted, deleted, matched, key=sum))
    return row[-1]


@given(SENTENCES, SENTENCES)
def test_counts_are_those_of_the_table(reference, hypothesis):
    """Every kind of error is counted as the table counts it, whatever the words contain."""
    found = word_errors(reference, hypothesis)
    counts = (found.substitutions, found.deletions, found.insertions)
    assert counts == levenshtein(reference, hypothesis)
    assert found.reference == len(reference)


@given(SENTENCES, SENTENCES)
def test_counts_are_those_of_kaldialign(reference, hypothesis):
    """Others who use kaldialign report the same numbers, kind by kind."""
    theirs = kaldialign.edit_distance(reference, hypothesis)
    ours = word_errors(reference, hypothesis)
    assert theirs["sub"] == ours.substitutions
    assert theirs["del"] == ours.deletions
    assert theirs["ins"] == ours.insertions


@given(SENTENCES, SENTENCES)
def test_alignment_is_complete_and_has_the_counted_errors(reference, hypothesis):
    """The pairs read downwards are the two sentences, their mismatches are the counted errors."""
    pairs = align_words(reference, hypothesis)
    assert [pair.reference for pair in pairs if pair.reference is not None] == reference
    assert [pair.hypothesis for pair in pairs if pair.hypothesis is not None] == hypothesis

    both = [pair for pair in pairs if None not in pair]
    substitutions = sum(pair.reference != pair.hypothesis for pair in both)
    deletions = sum(pair.hypothesis is None for pair in pairs)
    insertions = sum(pair.reference is None for pair in pairs)
    assert (substitutions, deletions, insertions) == levenshtein(reference, hypothesis)


def test_word_error_rates_by_hand():
    """1 substitution, 1 deletion and 2 insertions in 4 words are 100 %."""
    first = word_errors(["a", "b", "c"], ["a", "x"])
    second = word_errors(["d"], ["d", "e", "f"])
    errors = total_errors([first, second])
    assert errors == WordErrors(1, 1, 2, 4)
    assert errors.wer == 1.0
    assert errors.rate(errors.insertions) == 0.5


def test_without_reference_words_there_is_no_rate():
    """Insertions into an empty reference are counted, but their rate is NaN."""
    assert word_errors([], ["a", "b"]).errors == 2
    assert math.isnan(word_errors([], ["a"]).wer)
    assert total_errors([]) == WordErrors(0, 0, 0, 0)


def test_an_unknown_word_is_never_right():
    """Saying that a word is unknown does not recognise it: such a reference word is an error."""
    assert word_errors(["a", "<unk>"], ["a", "<unk>"]).substitutions == 1
    assert word_errors(["a", "b"], ["a", "<unk>"]).errors == 1

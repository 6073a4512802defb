"""Word errors: the fewest substitutions, deletions and insertions that turn a reference into what
was recognised.

Counted by kaldialign, every kind of error at cost 1. Among alignments with equally few errors the
last step is an insertion rather than a deletion, and a deletion rather than a substitution or a
match, from the end backwards; so the split into kinds is deterministic and the same as other users
of kaldialign report.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import kaldialign


@dataclass(frozen=True)
class WordErrors:
    """Substitutions, deletions, insertions, and words in the reference; they add up over
    utterances.
    """

    substitutions: int
    deletions: int
    insertions: int
    reference: int

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference + other.reference,
        )

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Errors per reference word, a fraction that may exceed 1; nan for a reference without
        words.
        """
        return self.rate(self.errors)

    def rate(self, count: int) -> float:
        """``count`` per reference word, e.g. of one kind of error; nan for a reference without
        words.
        """
        return count / self.reference if self.reference else math.nan


def word_errors(ref: Sequence[str], hyp: Sequence[str]) -> WordErrors:
    """Counts the errors of a hypothesis."""
    counts = kaldialign.edit_distance(ref, hyp)
    return WordErrors(counts["sub"], counts["del"], counts["ins"], len(ref))


def total(errors: Iterable[WordErrors]) -> WordErrors:
    """The sum over utterances."""
    return sum(errors, WordErrors(0, 0, 0, 0))


def align(ref: Sequence[str], hyp: Sequence[str]) -> tuple[tuple[str | None, str | None], ...]:
    """Pairs of a reference word and the word recognised for it; None stands opposite an insertion
    or a deletion.
    """
    words = [
        None,
        *dict.fromkeys([*ref, *hyp]),
    ]  # numbers, so that no word can be mistaken for the gap
    ids = {word: i for i, word in enumerate(words)}
    pairs = kaldialign.align([ids[w] for w in ref], [ids[w] for w in hyp], 0)
    return tuple((words[a], words[b]) for a, b in pairs)

"""Word errors: the fewest substitutions, deletions and insertions between reference and hypothesis.

They are counted by kaldialign, every kind of error at cost 1. Among alignments with equally few
errors the last step is an insertion rather than a deletion, and a deletion rather than a
substitution or a match, from the end backwards. So the split into kinds is deterministic and the
same as other users of kaldialign report.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import kaldialign

from workbench.corpus.utterances import UNKNOWN_WORDS

GAP = 0  # number of no word in an alignment
UNRECOGNISED = "<unrecognised>"  # a word that is in no reference


@dataclass(frozen=True)
class WordErrors:
    """Numbers of errors of each kind, and of reference words; they add up over utterances."""

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
        """The errors of all kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Errors per reference word, a fraction that may exceed 1; NaN without reference words."""
        return self.rate(self.errors)

    def rate(self, count: int) -> float:
        """``count`` per reference word, e.g. of one kind of error; NaN without reference words."""
        return count / self.reference if self.reference else math.nan


class WordPair(NamedTuple):
    """A reference word and what was recognised for it; None opposite an insertion or a deletion."""

    reference: str | None
    hypothesis: str | None


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> WordErrors:
    """Return the errors of a hypothesis."""
    # A word that nobody knew is not recognised by saying that it is unknown.
    heard = [UNRECOGNISED if word in UNKNOWN_WORDS else word for word in hypothesis]
    counts = kaldialign.edit_distance(reference, heard)
    return WordErrors(counts["sub"], counts["del"], counts["ins"], len(reference))


def total_errors(errors: Iterable[WordErrors]) -> WordErrors:
    """Return the sum over utterances."""
    return sum(errors, WordErrors(0, 0, 0, 0))


def align_words(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[WordPair, ...]:
    """Return the words of both sentences in pairs, with as few errors as possible."""
    # Words travel as numbers, so that none of them can be mistaken for the gap.
    vocabulary = list(dict.fromkeys([*reference, *hypothesis]))
    number = {word: i for i, word in enumerate(vocabulary, GAP + 1)}
    words: list[str | None] = [None, *vocabulary]

    reference_ids = [number[word] for word in reference]
    hypothesis_ids = [number[word] for word in hypothesis]
    pairs = kaldialign.align(reference_ids, hypothesis_ids, GAP)
    return tuple(WordPair(words[a], words[b]) for a, b in pairs)

"""Dialects of pronunciation lexica: what other tools write beside words and phones.

    ;;; remark                   a line of remarks (CMUdict)
    # remark, word phones # remark
    word(2) phones               a further pronunciation of a word (CMUdict, Sphinx)
    word 0.99 phones             a probability (Kaldi's lexiconp.txt, Montreal Forced Aligner)
    word 0.99 0.5 0.9 1.1 phones the same, and three numbers about silence beside the word

Numbers are columns if every entry of a file has them in the same places and phones follow. Those
about silence are left out, since the search graph has one probability of silence. A file where only
some lines have numbers among their phones is refused: nobody can tell what these are.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

REMARK_LINE = ";;;"
REMARK = "#"
VARIANT = re.compile(r"(.+)\((\d+)\)")
NUMBER = re.compile(r"\d*\.\d+(e-?\d+)?|\d+\.?|\d+e-?\d+", re.IGNORECASE)
FRACTION = re.compile(r"\d*\.\d+(e-?\d+)?", re.IGNORECASE)

COLUMNS = (0, 1, 4)
"""How many columns of numbers a lexicon may have: none, a probability, or silence's too."""


class LexiconEntry(NamedTuple):
    """A line of a lexicon: its number, its word, and the fields that follow."""

    line: int
    word: str
    fields: tuple[str, ...]


class MixedColumns(ValueError):
    """Some entries have numbers where others have phones; ``lines`` are theirs."""

    def __init__(self, lines: Sequence[int]):
        super().__init__(lines)
        self.lines = lines


def strip_remarks(fields: Sequence[str]) -> list[str]:
    """Return the fields of a line without its remarks."""
    if fields and fields[0].startswith(REMARK_LINE):
        return []
    for position, field in enumerate(fields):
        if field == REMARK or (position == 0 and field.startswith("##")):
            return list(fields[:position])
    return list(fields)


def strip_variants(entries: Sequence[LexiconEntry]) -> list[LexiconEntry]:
    """Return the entries with "word(2)" as "word", where the file has "word" itself too."""
    words = {entry.word for entry in entries}

    def plain(word: str) -> str:
        marked = VARIANT.fullmatch(word)
        return marked[1] if marked and marked[1] in words else word

    return [entry._replace(word=plain(entry.word)) for entry in entries]


def count_columns(entries: Sequence[LexiconEntry]) -> int:
    """Return how many columns of numbers stand between words and phones: 0, 1 or 4.

    Raises MixedColumns if some lines have numbers among their phones and others do not.
    """
    if not any(FRACTION.fullmatch(field) for entry in entries for field in entry.fields):
        return 0

    counts = [_leading_numbers(entry) for entry in entries]
    shared = max((c for c in COLUMNS if c <= min(counts)), default=0)
    odd = [
        entry.line
        for entry in entries
        if any(FRACTION.fullmatch(field) for field in entry.fields[shared:])
    ]
    if odd:
        raise MixedColumns(odd)
    return shared


def _leading_numbers(entry: LexiconEntry) -> int:
    """How many fields of numbers an entry begins with."""
    count = 0
    for field in entry.fields:
        if not NUMBER.fullmatch(field):
            break
        count += 1
    return count

"""Judging utterances: what both readers (Kaldi, Lhotse) demand of one before it may be used.

Everything that is wrong with an utterance is collected; the first reason is counted, the others stand in its detail.
"""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.corpus.audio import Header
from workbench.corpus.utterances import ID, ID_RULE, DataSet, SetAside, Utterance, shown

OVERSHOOT = 0.5  # seconds that a segment may end after its recording, and is then cut (Kaldi's extract-segments does so)
LONGEST = 300.0  # seconds; a lattice of more takes all memory there is
RATES = (8000, 384_000)  # Hz
INVISIBLE = (
    "Cc",
    "Cs",
    "Zs",
    "Zl",
    "Zp",
)  # Unicode's controls, surrogates and spaces; U+00A0 is one


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where it is written."""

    reason: str
    where: str
    detail: str = ""


@dataclass(frozen=True)
class Candidate:
    """An utterance as its source names it. ``words`` None: it has no transcript; ``audio`` None: a problem says why."""

    id: str
    where: str
    words: tuple[str, ...] | None
    speaker: str
    audio: Path | None = None
    header: Header | None = None
    start: float = 0.0
    end: float | None = None
    problems: tuple[Problem, ...] = ()


def split_words(text: str) -> tuple[str, ...]:
    """Words between ASCII white space, in Unicode's form NFC, as in the lexicon."""
    if text.isascii():
        return tuple(text.split())
    # As bytes, because Python's own splitting also breaks at U+0085 or U+00A0. JSON may hold lone surrogates.
    words = (
        word.decode("utf-8", "surrogatepass")
        for word in text.encode("utf-8", "surrogatepass").split()
    )
    return tuple(unicodedata.normalize("NFC", word) for word in words)


def settle(candidates: Sequence[Candidate], notes: Iterable[str] = ()) -> DataSet:
    """The data set of ``candidates``: each one ends as an utterance or as set aside, in their order."""
    twice = _duplicates(candidates)
    utterances, set_aside = [], []
    for n, candidate in enumerate(candidates):
        problems = (*twice.get(n, ()), *candidate.problems, *_faults(candidate))
        if problems:
            set_aside.append(_set_aside(candidate, problems))
        else:
            utterances.append(_utterance(candidate))
    return DataSet(tuple(utterances), tuple(set_aside), tuple(notes), len(candidates))


def _duplicates(candidates: Sequence[Candidate]) -> dict[int, tuple[Problem]]:
    """Of equal utterances all but the first; of different ones with the same id all, as none is to be trusted."""
    groups = defaultdict(list)
    for n, candidate in enumerate(candidates):
        groups[candidate.id].append(n)
    found: dict[int, tuple[Problem]] = {}
    for group in groups.values():
        if len(group) == 1:
            continue
        first = candidates[group[0]]
        same = all(replace(candidates[n], where=first.where) == first for n in group)
        for n in group[same:]:
            other = candidates[group[0] if n != group[0] else group[1]].where
            found[n] = (
                Problem(
                    "duplicate id",
                    candidates[n].where,
                    f"also {other}{', the same' if same else ''}",
                ),
            )
    return found


def _faults(c: Candidate) -> list[Problem]:
    """What is wrong with the utterance itself."""
    faults = []
    if not ID.fullmatch(c.id):
        faults.append(Problem("bad id", c.where, f"allowed: {ID_RULE}"))
    if c.speaker and not ID.fullmatch(c.speaker):
        faults.append(Problem("bad speaker id", c.where, f"{shown(c.speaker)}: allowed: {ID_RULE}"))
    if c.words == ():
        faults.append(Problem("empty text", c.where))
    hidden = {
        f"U+{ord(x):04X}"
        for word in c.words or ()
        for x in word
        if unicodedata.category(x) in INVISIBLE
    }
    if hidden:
        faults.append(Problem("invisible character in text", c.where, ", ".join(sorted(hidden))))
    if c.header is not None:
        faults += _time_faults(c, c.header)
    return faults


def _time_faults(c: Candidate, header: Header) -> list[Problem]:
    """What is wrong with the rate, the length, or the place of the segment in its recording."""
    if not RATES[0] <= header.rate <= RATES[1]:
        return [
            Problem(
                "unusable sample rate",
                c.where,
                f"{c.audio}: {header.rate} Hz, not in {RATES[0]}..{RATES[1]}",
            )
        ]
    there = header.seconds
    end = there if c.end is None else c.end
    if not math.isfinite(c.start) or math.isnan(end) or c.start < 0:
        return [Problem("bad segment times", c.where, f"{c.start} to {c.end}")]
    if end <= c.start and c.end is not None:
        return [
            Problem("bad segment times", c.where, f"{c.start} to {c.end}: ends before it starts")
        ]
    if c.start >= there or (c.end is not None and c.end > there + OVERSHOOT):
        return [
            Problem(
                "segment outside audio",
                c.where,
                f"{c.start} to {end:g} of {there:g} s in {c.audio}",
            )
        ]
    if min(end, there) - c.start > LONGEST:
        return [
            Problem(
                "too long",
                c.where,
                f"{min(end, there) - c.start:.0f} s of at most {LONGEST:.0f}: use segments",
            )
        ]
    return []


def _set_aside(c: Candidate, problems: Sequence[Problem]) -> SetAside:
    first, *others = problems
    also = [f"also {p.reason} ({p.where}{': ' if p.detail else ''}{p.detail})" for p in others]
    return SetAside(
        shown(c.id),
        first.reason,
        first.where,
        "; ".join([*([first.detail] if first.detail else []), *also]),
    )


def _utterance(c: Candidate) -> Utterance:
    """The utterance, its end cut to that of the recording."""
    if c.audio is None or c.header is None or c.words is None:
        raise ValueError(f"{c.id}: neither audio nor a problem")
    there = c.header.seconds
    end = None if c.end is None else min(c.end, there)
    seconds = (there if end is None else end) - c.start
    return Utterance(
        c.id, c.speaker, c.words, c.audio, c.start, end, c.where, c.header.rate, seconds
    )

"""What both readers (Kaldi, Lhotse) require of an utterance before it may be used.

All faults of an utterance are collected. The first reason is counted; the others stand in its
detail.
"""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from workbench.corpus.audio import AudioHeader, Recording
from workbench.corpus.utterances import (
    ID_RULE,
    SPEAKER_RULE,
    DataSet,
    Seconds,
    SetAside,
    Utterance,
    is_id,
    is_speaker,
    to_printable,
)

OVERSHOOT: Seconds = 0.5
"""How far a segment may end after its recording; it is then cut, as Kaldi's extract-segments
does.
"""

LONGEST: Seconds = 300.0
"""A lattice of a longer utterance would take all memory."""

LOWEST_RATE = 8000  # Hz
HIGHEST_RATE = 384_000  # Hz

INVISIBLE = ("Cc", "Cs", "Zs", "Zl", "Zp")
"""Unicode's categories of control characters, surrogates and spaces, U+00A0 among them."""


@dataclass(frozen=True)
class Problem:
    """One fault of an utterance, and the place in a file where it is."""

    reason: str
    where: str
    detail: str = ""


@dataclass(frozen=True)
class Candidate:
    """An utterance as its source describes it, before it is checked."""

    id: str
    where: str
    words: tuple[str, ...] | None  # None: it has no transcript, and a problem states that
    speaker: str = ""
    recording: Recording | None = None  # None: it has no audio, and a problem states why
    start: Seconds = 0.0
    end: Seconds | None = None  # None: the end of the recording
    channel: int | None = None  # None: no channel is named
    problems: tuple[Problem, ...] = ()


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of ``text``, separated by ASCII white space, in Unicode's form NFC."""
    if text.isascii():
        return tuple(text.split())
    # As bytes, because Python's own splitting also breaks at U+0085 or U+00A0. JSON may hold lone
    # surrogates, hence "surrogatepass".
    encoded = text.encode("utf-8", "surrogatepass").split()
    decoded = (word.decode("utf-8", "surrogatepass") for word in encoded)
    return tuple(unicodedata.normalize("NFC", word) for word in decoded)


def build_data_set(candidates: Sequence[Candidate], notes: Iterable[str] = ()) -> DataSet:
    """Return the data set in which each candidate is usable or set aside, in their order."""
    duplicates = _find_duplicates(candidates)
    utterances: list[Utterance] = []
    set_aside: list[SetAside] = []

    for n, candidate in enumerate(candidates):
        problems = [*candidate.problems, *_find_faults(candidate)]
        if n in duplicates:
            problems.insert(0, duplicates[n])
        if problems:
            set_aside.append(_merge_problems(candidate, problems))
        else:
            utterances.append(_to_utterance(candidate))

    remarks = [*notes, *_note_averaged(candidates)]
    return DataSet(tuple(utterances), tuple(set_aside), tuple(remarks), len(candidates))


def _note_averaged(candidates: Iterable[Candidate]) -> list[str]:
    """A remark on recordings of several channels of which none is named."""
    averaged = sum(
        not candidate.problems
        and candidate.channel is None
        and candidate.recording is not None
        and candidate.recording.header.channels > 1
        for candidate in candidates
    )
    if not averaged:
        return []
    return [
        f"{averaged} utterances are the mean of several channels; the fifth column of segments "
        "names one"
    ]


def _find_duplicates(candidates: Sequence[Candidate]) -> dict[int, Problem]:
    """Return problems, by position, of candidates that share their id.

    Of equal candidates the first is kept. Of different ones none is, as none can be trusted.
    """
    positions = defaultdict(list)
    for n, candidate in enumerate(candidates):
        positions[candidate.id].append(n)

    found: dict[int, Problem] = {}
    for group in positions.values():
        first = candidates[group[0]]
        equal = all(replace(candidates[n], where=first.where) == first for n in group[1:])
        for n in group[1:]:
            detail = f"also {first.where}" + (", the same" if equal else "")
            found[n] = Problem("duplicate id", candidates[n].where, detail)
        if not equal:
            found[group[0]] = Problem(
                "duplicate id", first.where, f"also {candidates[group[1]].where}"
            )
    return found


def _find_faults(candidate: Candidate) -> list[Problem]:
    """Return the faults of ids, words and times."""
    faults = []
    where = candidate.where

    if not is_id(candidate.id):
        faults.append(Problem("bad id", where, f"allowed: {ID_RULE}"))
    if candidate.speaker and not is_speaker(candidate.speaker):
        detail = f"{to_printable(candidate.speaker)}: allowed: {SPEAKER_RULE}"
        faults.append(Problem("bad speaker id", where, detail))

    if candidate.words == ():
        faults.append(Problem("empty text", where))
    invisible = _find_invisible(candidate.words or ())
    if invisible:
        faults.append(Problem("invisible character in text", where, ", ".join(invisible)))

    if candidate.recording is not None:
        channels = candidate.recording.header.channels
        if candidate.channel is not None and not 0 <= candidate.channel < channels:
            detail = f"channel {candidate.channel} of a recording with {channels}"
            faults.append(Problem("unknown channel", where, detail))
        fault = _find_time_fault(candidate, candidate.recording)
        if fault is not None:
            faults.append(fault)
    return faults


def _find_invisible(words: Iterable[str]) -> list[str]:
    """Return the code points, "U+00A0", of all invisible characters, sorted."""
    letters = {letter for word in words for letter in word}
    return sorted(f"U+{ord(x):04X}" for x in letters if unicodedata.category(x) in INVISIBLE)


def _find_time_fault(candidate: Candidate, recording: Recording) -> Problem | None:
    """Return what is wrong with the rate, the length, or the start and end of the segment."""
    where = candidate.where
    header = recording.header
    if not LOWEST_RATE <= header.rate <= HIGHEST_RATE:
        detail = f"{recording.path}: {header.rate} Hz, not in {LOWEST_RATE}..{HIGHEST_RATE}"
        return Problem("unusable sample rate", where, detail)

    start = candidate.start
    end = header.seconds if candidate.end is None else candidate.end
    times = f"{start} to {candidate.end}"
    if not math.isfinite(start) or math.isnan(end) or start < 0:
        return Problem("bad segment times", where, times)
    if candidate.end is not None and end <= start:
        return Problem("bad segment times", where, f"{times}: ends before it starts")

    ends_too_late = candidate.end is not None and end > header.seconds + OVERSHOOT
    if start >= header.seconds or ends_too_late:
        detail = f"{start} to {end:g} of {header.seconds:g} s in {recording.path}"
        return Problem("segment outside audio", where, detail)

    seconds = min(end, header.seconds) - start
    if seconds > LONGEST:
        detail = f"{seconds:.0f} s of at most {LONGEST:.0f}: use segments"
        return Problem("too long", where, detail)
    return None


def _merge_problems(candidate: Candidate, problems: Sequence[Problem]) -> SetAside:
    """Return ``candidate`` as set aside for its first problem; the detail names the others."""
    first, *others = problems
    details = [first.detail] if first.detail else []
    for other in others:
        place = f"{other.where}: {other.detail}" if other.detail else other.where
        details.append(f"also {other.reason} ({place})")
    return SetAside(to_printable(candidate.id), first.reason, first.where, "; ".join(details))


def _to_utterance(candidate: Candidate) -> Utterance:
    """Return a candidate without problems as an utterance, its end cut to that of the recording."""
    if candidate.recording is None or candidate.words is None:
        raise ValueError(f"{candidate.id}: lacks audio or words, but has no problem")
    header: AudioHeader = candidate.recording.header

    end = None if candidate.end is None else min(candidate.end, header.seconds)
    seconds = (header.seconds if end is None else end) - candidate.start
    return Utterance(
        id=candidate.id,
        speaker=candidate.speaker,
        words=candidate.words,
        audio=candidate.recording.path,
        start=candidate.start,
        end=end,
        where=candidate.where,
        rate=header.rate,
        seconds=seconds,
        channel=candidate.channel if header.channels > 1 else None,
        channels=header.channels,
    )

"""Checks data against a lexicon: what training cannot use is reported before it starts."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from workbench.corpus.frames.window import frame_count
from workbench.corpus.utterances import (
    UNKNOWN_WORDS,
    DataSet,
    SetAside,
    Utterance,
    to_printable,
)
from workbench.settings import UserError
from workbench.storage.files import write_file

NAMED = 10  # words in one message

ShortestFrames = Callable[[Sequence[str]], int]
"""Returns the least number of frames (10 ms) that a sequence of words can take."""


class WordList(Protocol):
    """What is needed of a lexicon here: its words, the first of which is "<eps>"."""

    @property
    def words(self) -> Sequence[str]: ...


def check(
    dataset: DataSet,
    lexicon: WordList,
    shortest_frames: ShortestFrames | None = None,
    unknown: str | None = None,
) -> DataSet:
    """Return ``dataset`` with the utterances set aside that cannot be trained on.

    These are utterances with words that the lexicon lacks, and, if ``shortest_frames`` is given,
    those whose audio is too short for their text. With ``unknown``, a word of the lexicon, words
    that it lacks become that word. A note lists the missing words with their counts.
    """
    notes = list(dataset.notes)
    missing = count_missing_words(dataset, lexicon)
    if missing:
        tokens = sum(missing.values())
        words = _list_most_frequent(missing)
        become = f", taken for {unknown}" if unknown else ""
        notes.append(f"{len(missing)} words ({tokens} tokens) not in the lexicon{become}: {words}")

    known = _real_words(lexicon)
    if missing and unknown:
        utterances = tuple(_replace_unknown(u, known, unknown) for u in dataset.utterances)
        dataset = replace(dataset, utterances=utterances)
    found = (_find_fault(u, known, shortest_frames) for u in dataset.utterances)
    faulty = [set_aside for set_aside in found if set_aside is not None]
    return replace(dataset.without(faulty), notes=tuple(notes))


def count_missing_words(dataset: DataSet, lexicon: WordList) -> Counter[str]:
    """Return the words of usable utterances that the lexicon lacks, most frequent first."""
    known = _real_words(lexicon)
    counts = Counter(word for u in dataset.utterances for word in u.words)
    missing = [(word, count) for word, count in counts.items() if word not in known]
    missing.sort(key=lambda item: (-item[1], item[0]))
    return Counter(dict(missing))


def find_unknown_word(lexicon: WordList, named: str | None = None) -> str | None:
    """Return the word of ``lexicon`` that stands for words it lacks; None if it has none.

    ``named``: what the data call it, which goes before the usual names.
    """
    known = _real_words(lexicon)
    candidates = [named, *UNKNOWN_WORDS] if named in UNKNOWN_WORDS else UNKNOWN_WORDS
    return next((word for word in candidates if word in known), None)


def read_unknown_word(data: Path) -> str | None:
    """Return the word in a Kaldi recipe's oov.txt, or None if the data have no such file."""
    for path in (data / "oov.txt", data / "lang" / "oov.txt"):
        if path.is_file():
            words = path.read_text(errors="replace").split()
            return words[0] if words else None
    return None


def write_set_aside(path: Path, set_aside: Iterable[SetAside]) -> None:
    """Write a table (TSV) with the columns utterance, reason, where and detail.

    Tabs and line breaks within a field become spaces.
    """
    rows = [("utterance", "reason", "where", "detail")]
    rows += [(s.utterance, s.reason, s.where, s.detail) for s in set_aside]
    lines = ["\t".join(map(_to_field, row)) + "\n" for row in rows]
    write_file(Path(path), "".join(lines).encode(errors="backslashreplace"))


def _real_words(lexicon: WordList) -> set[str]:
    """Return the words of ``lexicon`` without "<eps>"."""
    return set(lexicon.words[1:])


def _replace_unknown(u: Utterance, known: set[str], unknown: str) -> Utterance:
    """Return ``u`` with the word ``unknown`` in place of those that are not known."""
    words = tuple(word if word in known else unknown for word in u.words)
    return u if words == u.words else replace(u, words=words)


def _to_field(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())


def _list_most_frequent(counts: Counter[str]) -> str:
    """Return the first few words with their counts, "a 3, b 1, ... and 5 more"."""
    first = ", ".join(f"{_readable(word)} {count}" for word, count in counts.most_common(NAMED))
    more = len(counts) - NAMED
    return f"{first}, ... and {more} more" if more > 0 else first


def _readable(word: str) -> str:
    return word if word.isprintable() else to_printable(word)


def _find_fault(
    u: Utterance, known: set[str], shortest_frames: ShortestFrames | None
) -> SetAside | None:
    """Return why ``u`` cannot be trained on, or None if it can."""
    missing = [word for word in dict.fromkeys(u.words) if word not in known]
    if missing:
        detail = ", ".join(_readable(word) for word in missing[:NAMED])
        return SetAside(u.id, "word not in lexicon", u.where, detail)
    if shortest_frames is None or u.seconds is None:
        return None

    try:
        least = shortest_frames(u.words)
    except KeyError as error:
        raise UserError(
            f"{u.id} ({u.where}): {error} is in the lexicon but has no pronunciation"
        ) from None
    frames = frame_count(u.seconds)
    if frames < least:
        detail = f"{frames} frames; {len(u.words)} words need {least}"
        return SetAside(u.id, "too short for its text", u.where, detail)
    return None

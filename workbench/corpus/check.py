"""Checks data against a lexicon: what training cannot use is reported before it starts."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
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

MOST_UNKNOWN = 0.2
"""Share of the words of a test set that a lexicon which fits it may lack."""

ShortestFrames = Callable[[Sequence[str]], int]
"""Returns the least number of frames (10 ms) that a sequence of words can take."""


class WordList(Protocol):
    """What is needed of a lexicon here.

    ``words``: the first is "<eps>". ``silent``: what stands for silence, and is no word.
    """

    @property
    def words(self) -> Sequence[str]: ...

    @property
    def silent(self) -> AbstractSet[str]: ...


def check(
    dataset: DataSet,
    lexicon: WordList,
    shortest_frames: ShortestFrames | None = None,
    unknown: str | None = None,
    tested: bool = False,
) -> DataSet:
    """Return ``dataset`` with the utterances set aside that cannot be trained on.

    These are utterances with words that the lexicon lacks, and, if ``shortest_frames`` is given,
    those whose audio is too short for their text. What stands for silence is left out of texts,
    since silence may be anywhere between words. With ``unknown``, a word of the lexicon, words that
    it lacks become that word. Notes list what was left out and the missing words with their counts.

    Texts that are ``tested`` are compared with what is recognised. There words that the lexicon
    lacks stay as they are, since each is an error, unless they are more than `MOST_UNKNOWN`.
    """
    known = _real_words(lexicon)
    notes = list(dataset.notes)
    silent = lexicon.silent - known
    marks = Counter(word for u in dataset.utterances for word in u.words if word in silent)
    if marks:
        listed = _list_most_frequent(marks)
        notes.append(f"{marks.total()} marks of silence or of sentences left out: {listed}")
        dataset = _without_silence(dataset, silent)

    missing = count_missing_words(dataset, lexicon)
    tokens = missing.total()
    keep = tested and tokens <= MOST_UNKNOWN * sum(len(u.words) for u in dataset.utterances)
    if missing:
        become = f", taken for {unknown}" if unknown else ""
        what = ", each an error of every test" if keep else become
        listed = _list_most_frequent(missing)
        notes.append(f"{len(missing)} words ({tokens} tokens) not in the lexicon{what}: {listed}")
        notes += _note_other_forms(missing, known)
    if missing and unknown and not keep:
        utterances = tuple(_replace_unknown(u, known, unknown) for u in dataset.utterances)
        dataset = replace(dataset, utterances=utterances)
    needed = known | missing.keys() if keep else known
    found = (_find_fault(u, needed, known, shortest_frames) for u in dataset.utterances)
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


def _without_silence(dataset: DataSet, silent: AbstractSet[str]) -> DataSet:
    """Return the data set without marks of silence; texts without words are set aside."""
    utterances = tuple(
        replace(u, words=tuple(word for word in u.words if word not in silent))
        for u in dataset.utterances
    )
    empty = [
        SetAside(u.id, "empty text", u.where, "nothing but marks of silence or of sentences")
        for u in utterances
        if not u.words
    ]
    return replace(dataset, utterances=utterances).without(empty)


def _note_other_forms(missing: Counter[str], known: set[str]) -> list[str]:
    """A remark on missing words that the lexicon has in another case or without punctuation."""
    plain_known = {_plain(word) for word in known}
    other = [word for word in missing if _plain(word) in plain_known]
    if not other:
        return []
    tokens = sum(missing[word] for word in other)
    return [
        f"{len(other)} of these words ({tokens} tokens) are in the lexicon in another case or "
        "without punctuation: write both alike"
    ]


def _plain(word: str) -> str:
    """Return ``word`` in lower case and without punctuation at its ends."""
    first = 0
    end = len(word)
    while first < end and unicodedata.category(word[first]).startswith("P"):
        first += 1
    while end > first and unicodedata.category(word[end - 1]).startswith("P"):
        end -= 1
    return word[first:end].casefold()


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
    u: Utterance, allowed: set[str], known: set[str], shortest_frames: ShortestFrames | None
) -> SetAside | None:
    """Return why ``u`` cannot be used, or None if it can.

    ``allowed``: words that it may have. ``known``: those of the lexicon, which take time.
    """
    missing = [word for word in dict.fromkeys(u.words) if word not in allowed]
    if missing:
        detail = ", ".join(_readable(word) for word in missing[:NAMED])
        return SetAside(u.id, "word not in lexicon", u.where, detail)
    if shortest_frames is None or u.seconds is None:
        return None

    try:
        least = shortest_frames([word for word in u.words if word in known])
    except KeyError as error:
        raise UserError(
            f"{u.id} ({u.where}): {error} is in the lexicon but has no pronunciation"
        ) from None
    frames = frame_count(u.seconds)
    if frames < least:
        detail = f"{frames} frames; {len(u.words)} words need {least}"
        return SetAside(u.id, "too short for its text", u.where, detail)
    return None

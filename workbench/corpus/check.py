"""Data against a lexicon: what training would stumble over is found before it, all of it at once."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from workbench.corpus.utterances import DataSet, SetAside, Utterance, shown, summary
from workbench.settings import UserError
from workbench.storage.files import write_file

__all__ = [
    "check",
    "missing_words",
    "summary",
    "unknown_phones",
    "write_missing_words",
    "write_set_aside",
]

NAMED = 10  # words or phones in one message; the files have all


class _Pronunciation(Protocol):
    @property
    def phones(self) -> Sequence[int]: ...


class _Lexicon(Protocol):
    """What is asked of a lexicon here (``language.lexicon`` has one, and lies above this folder)."""

    @property
    def words(self) -> Sequence[str]: ...

    @property
    def phones(self) -> Sequence[str]: ...

    def word_id(self, word: str) -> int: ...

    def of(self, word_id: int) -> Sequence[_Pronunciation]: ...


def check(
    dataset: DataSet,
    lexicon: _Lexicon,
    shortest_frames: Callable[[Sequence[str]], int] | None = None,
    phones: Sequence[str] | None = None,
) -> DataSet:
    """``dataset`` with what cannot be trained on set aside: unknown words or phones, text too long for its audio.

    ``shortest_frames``: the least number of frames (10 ms) that such words can take. ``phones``: the phone set of a
    model that has one; an utterance is unusable if a word of it has no pronunciation within. Notes list the unknown
    words and phones with their counts.
    """
    missing, foreign = missing_words(dataset, lexicon), unknown_phones(lexicon, phones)
    sayable = {*lexicon.words[1:]} - (_unsayable(lexicon, phones) if foreign else set())
    known = set(lexicon.words[1:])
    found = (_fault(u, known, sayable, shortest_frames) for u in dataset.utterances)
    notes = list(dataset.notes)
    if missing:
        notes.append(
            f"{len(missing)} words ({sum(missing.values())} tokens) not in the lexicon: {_named(missing)}"
        )
    if foreign:
        notes.append(
            f"{len(foreign)} phones of the lexicon not in the phone set (in so many words): {_named(foreign)}"
        )
    return replace(dataset.without(f for f in found if f), notes=tuple(notes))


def missing_words(dataset: DataSet, lexicon: _Lexicon) -> Counter[str]:
    """Words of the usable utterances that the lexicon has not, with their counts, most frequent first."""
    counts = Counter(word for u in dataset.utterances for word in u.words)
    known = set(lexicon.words[1:])
    return Counter(
        dict(
            sorted(
                ((w, n) for w, n in counts.items() if w not in known), key=lambda p: (-p[1], p[0])
            )
        )
    )


def unknown_phones(lexicon: _Lexicon, phones: Sequence[str] | None) -> Counter[str]:
    """Phones of the lexicon's words that are not in ``phones``, with the number of words that have them."""
    if phones is None:
        return Counter()
    known = set(phones)
    words_of: Counter[str] = Counter()
    for word in range(1, len(lexicon.words)):
        words_of.update({lexicon.phones[x] for p in lexicon.of(word) for x in p.phones} - known)
    return words_of


def write_missing_words(path: Path, missing: Counter[str]) -> None:
    """A table WORD, COUNT, most frequent first."""
    write_file(
        Path(path), "".join(f"{word}\t{count}\n" for word, count in missing.items()).encode()
    )


def write_set_aside(path: Path, set_aside: DataSet | Iterable[SetAside]) -> None:
    """A table (TSV) of everything set aside: utterance, reason, where, detail; a field has no tabs or line breaks."""
    rows = set_aside.set_aside if isinstance(set_aside, DataSet) else set_aside
    lines = [
        ("utterance", "reason", "where", "detail"),
        *((s.utterance, s.reason, s.where, s.detail) for s in rows),
    ]
    write_file(
        Path(path),
        "".join("\t".join(map(_field, line)) + "\n" for line in lines).encode(
            errors="backslashreplace"
        ),
    )


def _field(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _named(counts: Counter[str]) -> str:
    """The first few with their counts."""
    first = ", ".join(
        f"{shown(name) if not name.isprintable() else name} {n}"
        for name, n in counts.most_common(NAMED)
    )
    return first + (f", ... and {len(counts) - NAMED} more" if len(counts) > NAMED else "")


def _unsayable(lexicon: _Lexicon, phones: Sequence[str] | None) -> set[str]:
    """Words without a pronunciation in ``phones``."""
    known = set(phones or ())
    inside = {i for i, phone in enumerate(lexicon.phones) if phone in known}
    return {
        lexicon.words[word]
        for word in range(1, len(lexicon.words))
        if not any(inside.issuperset(p.phones) for p in lexicon.of(word))
    }


def _fault(
    u: Utterance,
    known: set[str],
    sayable: set[str],
    shortest_frames: Callable[[Sequence[str]], int] | None,
) -> SetAside | None:
    """Why an utterance cannot be trained on, or None."""
    strange = [word for word in dict.fromkeys(u.words) if word not in sayable]
    if strange:
        reason = (
            "word not in lexicon" if any(word not in known for word in strange) else "unknown phone"
        )
        return SetAside(
            u.id,
            reason,
            u.where,
            ", ".join(shown(w) if not w.isprintable() else w for w in strange[:NAMED]),
        )
    if shortest_frames is None or u.seconds is None:
        return None
    try:
        frames, least = int(u.seconds * 100 + 0.5), shortest_frames(u.words)
    except KeyError as error:
        raise UserError(
            f"{u.id} ({u.where}): {error} is in the lexicon but has no frames"
        ) from None
    if frames < least:
        return SetAside(
            u.id,
            "too short for its text",
            u.where,
            f"{frames} frames; {len(u.words)} words need {least}",
        )
    return None

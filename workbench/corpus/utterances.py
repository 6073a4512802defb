"""What every reader of a corpus returns: usable utterances, and those set aside with the reason.

Every utterance of the source is in one of the two: a data set that lost one cannot be made.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

Seconds = float

LONGEST_ID = 1000  # characters

ID_RULE = f"1 to {LONGEST_ID} visible characters of any script, without white space"
SPEAKER_RULE = f"1 to {LONGEST_ID} visible characters and spaces"

LONGEST_PRINTED = 128  # characters

UNKNOWN_WORDS = (
    "<unk>",
    "<UNK>",
    "[unk]",
    "[UNK]",
    "<oov>",
    "<OOV>",
    "<spoken_noise>",
    "<SPOKEN_NOISE>",
)
"""What toolkits call the word that stands for all words outside the lexicon."""


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence: ``start`` to ``end`` of the recording ``audio``."""

    id: str
    speaker: str
    words: tuple[str, ...]
    audio: Path
    start: Seconds = 0.0
    end: Seconds | None = None  # None: the end of the recording
    where: str = ""  # "train/text:12", for messages
    rate: int = 0  # of the recording, in Hz; 0: the header was not read
    seconds: Seconds | None = None  # of the utterance; None: the header was not read
    channel: int | None = None  # of the recording; None: the mean of all
    channels: int = 1  # that the recording has; known where its header was read


class PhoneTime(NamedTuple):
    """A phone with its start and end, counted from the start of the utterance."""

    phone: str
    start: Seconds
    end: Seconds


@dataclass(frozen=True)
class SetAside:
    """An utterance that cannot be used, and why."""

    utterance: str
    reason: str  # one of a few short phrases, to be counted
    where: str
    detail: str = ""  # for a person


@dataclass(frozen=True)
class DataSet:
    """The utterances of one split in the order of the corpus, those set aside, and remarks.

    ``seen`` is the number of utterances that the source names; ValueError if it is neither -1 (not
    counted) nor usable + set aside. ``origin``: the folder or files that it was read from.
    """

    utterances: tuple[Utterance, ...]
    set_aside: tuple[SetAside, ...] = ()
    notes: tuple[str, ...] = ()
    seen: int = -1
    origin: str = ""

    def __post_init__(self) -> None:
        total = len(self.utterances) + len(self.set_aside)
        if self.seen not in (-1, total):
            raise ValueError(f"{self.seen} utterances seen, but {total} accounted for")
        object.__setattr__(self, "seen", total)

    def without(self, set_aside: Iterable[SetAside]) -> "DataSet":
        """Return this data set with these utterances set aside as well.

        Raise KeyError if one of them is not among the usable utterances.
        """
        removed = {s.utterance: s for s in set_aside}
        kept = tuple(u for u in self.utterances if u.id not in removed)
        if len(kept) + len(removed) != len(self.utterances):
            unknown = set(removed) - {u.id for u in self.utterances}
            raise KeyError(", ".join(sorted(unknown)))
        return replace(self, utterances=kept, set_aside=(*self.set_aside, *removed.values()))


def is_id(text: str) -> bool:
    """Whether ``text`` may be the id of an utterance, by ID_RULE.

    Others put slashes and letters of every script into ids. So no id may become the name of a file.
    """
    return is_speaker(text) and " " not in text


def is_speaker(text: str) -> bool:
    """Whether ``text`` may be the name of a speaker, by SPEAKER_RULE: an id, or "Anna Jóns"."""
    return 0 < len(text) <= LONGEST_ID and text.isprintable()


def to_printable(text: str) -> str:
    """Return ``text`` as one line of at most 128 visible ASCII characters, safe to print."""
    escaped = text.encode("ascii", "backslashreplace").decode()
    visible = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in escaped)
    if len(visible) <= LONGEST_PRINTED:
        return visible
    return visible[: LONGEST_PRINTED - 3] + "..."

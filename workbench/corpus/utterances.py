"""What every reader of a corpus returns: the utterances that can be used, and those set aside with the reason.

The accounting identity, usable + set aside = seen, is held by construction: a data set that lost one cannot be made.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

ID = re.compile(
    r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
)  # safe as the name of a file, a column or a web anchor
ID_RULE = "1 to 128 of A-Z a-z 0-9 . _ - and no dot first"
Seconds = float


@dataclass(frozen=True)
class Utterance:
    """One sentence that was said: ``start`` to ``end`` of the recording ``audio`` (``end`` None: to its end).

    ``rate`` (Hz) and ``seconds`` (of the utterance) are as the header of ``audio`` says; 0 and None: not looked at.
    """

    id: str
    speaker: str
    words: tuple[str, ...]
    audio: Path
    start: Seconds = 0.0
    end: Seconds | None = None
    where: str = ""  # "train/text:12", for errors
    rate: int = 0
    seconds: Seconds | None = None


class PhoneTime(NamedTuple):
    """A phone with its start and end, in seconds from the start of the utterance."""

    phone: str
    start: Seconds
    end: Seconds


@dataclass(frozen=True)
class SetAside:
    """An utterance that cannot be used; ``reason`` is one of a few short phrases, ``detail`` is for a person."""

    utterance: str
    reason: str
    where: str
    detail: str = ""


@dataclass(frozen=True)
class DataSet:
    """Utterances of one split in the order of the corpus, what was set aside, and remarks on what was assumed.

    ``seen``: utterances that the source names; ValueError if it is not usable + set aside.
    """

    utterances: tuple[Utterance, ...]
    set_aside: tuple[SetAside, ...] = ()
    notes: tuple[str, ...] = ()
    seen: int = -1

    def __post_init__(self):
        total = len(self.utterances) + len(self.set_aside)
        if self.seen not in (-1, total):
            raise ValueError(f"{self.seen} utterances seen, but {total} accounted for")
        object.__setattr__(self, "seen", total)

    @property
    def hours(self) -> float:
        """Hours of usable audio, as far as the headers tell."""
        return sum(u.seconds or 0.0 for u in self.utterances) / 3600

    def without(self, set_aside: Iterable[SetAside]) -> "DataSet":
        """The same with these utterances set aside too; KeyError if one of them is not among the usable."""
        gone = {s.utterance: s for s in set_aside}
        kept = tuple(u for u in self.utterances if u.id not in gone)
        if len(kept) + len(gone) != len(self.utterances):
            raise KeyError(", ".join(sorted(set(gone) - {u.id for u in self.utterances})))
        return replace(self, utterances=kept, set_aside=(*self.set_aside, *gone.values()))


@dataclass(frozen=True)
class Summary:
    """Counts of a data set; ``reasons`` are those of what was set aside, most frequent first."""

    seen: int
    usable: int
    set_aside: int
    reasons: tuple[tuple[str, int], ...]
    hours: float
    speakers: int

    @property
    def share(self) -> float:
        """Share of the utterances that was set aside, in [0, 1]."""
        return self.set_aside / self.seen if self.seen else 0.0

    def __str__(self) -> str:
        reasons = "".join(f"; {count} {reason}" for reason, count in self.reasons)
        usable = f"{self.usable} of {self.seen} utterances usable ({self.hours:.2f} h, {self.speakers} speakers)"
        return f"{usable}, {self.set_aside} set aside{reasons}"


def summary(dataset: DataSet) -> Summary:
    """Counts by reason; usable + set_aside = seen, and the reasons sum to set_aside."""
    reasons = Counter(s.reason for s in dataset.set_aside)
    ordered = tuple(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    speakers = len({u.speaker for u in dataset.utterances})
    usable = len(dataset.utterances)
    return Summary(dataset.seen, usable, len(dataset.set_aside), ordered, dataset.hours, speakers)


def shown(text: str) -> str:
    """``text`` as it may be printed anywhere: one line of visible ASCII, at most 128 characters."""
    safe = text.encode("ascii", "backslashreplace").decode()
    safe = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in safe)
    return safe if len(safe) <= 128 else safe[:125] + "..."

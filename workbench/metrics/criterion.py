"""The criterion per frame over the usable utterances, with an account of the others.

An utterance that is set aside leaves both the sum and the frames that it is divided by. Counted as
0, the largest value of MMI, it would flatter the curve.
"""

import math
from collections import Counter
from dataclasses import dataclass

NOT_FINITE = "not finite"


@dataclass(frozen=True)
class SetAsideCount:
    """Numbers of utterances, and of their frames, that could not be used for one reason."""

    reason: str
    utterances: int
    frames: int


@dataclass(frozen=True)
class Criterion:
    """The sum of the criterion (natural logarithm) over utterances; it adds up in any grouping.

    All utterances and frames are accounted for: they are used or set aside. The used frames are
    kept, rejected or cancelled; ValueError if more are rejected and cancelled than used.
    """

    value: float = 0.0
    utterances_used: int = 0
    frames_used: int = 0
    frames_rejected: int = 0
    frames_cancelled: int = 0
    set_aside: tuple[SetAsideCount, ...] = ()  # by reason, in alphabetical order

    @staticmethod
    def of(
        value: float, frames: int, reason: str | None = None, rejected: int = 0, cancelled: int = 0
    ) -> "Criterion":
        """Return one utterance, set aside if there is a ``reason`` or its value is not finite."""
        if reason is None and not math.isfinite(value):
            reason = NOT_FINITE
        if reason is not None:
            return Criterion(set_aside=(SetAsideCount(reason, 1, frames),))
        return Criterion(float(value), 1, frames, rejected, cancelled)

    def __post_init__(self) -> None:
        if min(self.frames_rejected, self.frames_cancelled, self.frames_kept) < 0:
            raise ValueError(
                f"{self.frames_used} used frames, but {self.frames_rejected} rejected and "
                f"{self.frames_cancelled} cancelled"
            )

    def __add__(self, other: "Criterion") -> "Criterion":
        utterances: Counter[str] = Counter()
        frames: Counter[str] = Counter()
        for part in (*self.set_aside, *other.set_aside):
            utterances[part.reason] += part.utterances
            frames[part.reason] += part.frames

        set_aside = [
            SetAsideCount(reason, utterances[reason], frames[reason])
            for reason in sorted(utterances)
        ]
        return Criterion(
            self.value + other.value,
            self.utterances_used + other.utterances_used,
            self.frames_used + other.frames_used,
            self.frames_rejected + other.frames_rejected,
            self.frames_cancelled + other.frames_cancelled,
            tuple(set_aside),
        )

    @property
    def per_frame(self) -> float:
        """F, the criterion divided by the used frames; NaN if there are none."""
        return self.value / self.frames_used if self.frames_used else math.nan

    @property
    def set_aside_total(self) -> int:
        """Utterances that were set aside for any reason."""
        return sum(part.utterances for part in self.set_aside)

    @property
    def utterances(self) -> int:
        """All utterances, used or set aside."""
        return self.utterances_used + self.set_aside_total

    @property
    def frames(self) -> int:
        """All frames, used or set aside."""
        return self.frames_used + sum(part.frames for part in self.set_aside)

    @property
    def frames_kept(self) -> int:
        """Used frames that were neither rejected nor cancelled, i.e. trained on."""
        return self.frames_used - self.frames_rejected - self.frames_cancelled

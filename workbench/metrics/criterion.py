"""The criterion per frame, over the utterances that could be used, with an account of those that could not.

An utterance that is set aside leaves the sum and the frames that it is divided by: to count it as 0, MMI's largest
value, would flatter the curve.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

NOT_FINITE = "not finite"


@dataclass(frozen=True)
class SetAside:
    """Utterances, and their frames, that could not be used for one reason."""

    reason: str
    utterances: int
    frames: int


@dataclass(frozen=True)
class Criterion:
    """Sum of the criterion (natural log) over used utterances, and where all utterances and frames have gone.

    utterances = used + those set aside; frames = used + those set aside; used frames = kept + rejected + cancelled. The
    first two hold by construction, ValueError if the last cannot. Criteria add up over utterances, in any grouping.
    """

    value: float = 0.0
    utterances_used: int = 0
    frames_used: int = 0
    frames_rejected: int = 0
    frames_cancelled: int = 0
    set_aside: tuple[SetAside, ...] = ()

    @staticmethod
    def of(
        value: float, frames: int, reason: str | None = None, rejected: int = 0, cancelled: int = 0
    ) -> "Criterion":
        """One utterance: used, or set aside for ``reason``; a value that is not finite is reason enough."""
        if reason is None and not math.isfinite(value):
            reason = NOT_FINITE
        if reason is not None:
            return Criterion(set_aside=(SetAside(reason, 1, frames),))
        return Criterion(float(value), 1, frames, rejected, cancelled)

    def __post_init__(self) -> None:
        if min(self.frames_rejected, self.frames_cancelled, self.frames_kept) < 0:
            raise ValueError(
                f"{self.frames_used} frames cannot be {self.frames_rejected} + {self.frames_cancelled} or more"
            )

    def __add__(self, other: "Criterion") -> "Criterion":
        utterances, frames = Counter[str](), Counter[str]()
        for part in (*self.set_aside, *other.set_aside):
            utterances[part.reason] += part.utterances
            frames[part.reason] += part.frames
        return Criterion(
            self.value + other.value,
            self.utterances_used + other.utterances_used,
            self.frames_used + other.frames_used,
            self.frames_rejected + other.frames_rejected,
            self.frames_cancelled + other.frames_cancelled,
            tuple(
                SetAside(reason, utterances[reason], frames[reason])
                for reason in sorted(utterances)
            ),
        )

    @property
    def per_frame(self) -> float:
        """F: the criterion divided by the used frames; nan if there are none."""
        return self.value / self.frames_used if self.frames_used else math.nan

    @property
    def set_aside_total(self) -> int:
        """Utterances that were set aside, for whatever reason."""
        return sum(part.utterances for part in self.set_aside)

    @property
    def utterances(self) -> int:
        """All that were seen."""
        return self.utterances_used + self.set_aside_total

    @property
    def frames(self) -> int:
        """All that were seen."""
        return self.frames_used + sum(part.frames for part in self.set_aside)

    @property
    def frames_kept(self) -> int:
        """Used frames that were neither rejected nor cancelled, i.e. trained on."""
        return self.frames_used - self.frames_rejected - self.frames_cancelled


def total(parts: Iterable[Criterion]) -> Criterion:
    """The sum over utterances."""
    return sum(parts, Criterion())

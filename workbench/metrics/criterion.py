"""The criterion per frame, over the utterances that could be used, with an account of those that
could not.

An utterance that is set aside leaves the sum and the frames that it is divided by: to count it as
0, MMI's largest value, would flatter the curve.
"""

import math
from collections import Counter
from dataclasses import dataclass

NOT_FINITE = "not finite"


@dataclass(frozen=True)
class SetAsideCount:
    """Utterances, and their frames, that could not be used for one reason."""

    reason: str
    utterances: int
    frames: int


@dataclass(frozen=True)
class Criterion:
    """The sum of the criterion (natural log) over used utterances, and an account of all of them.

    Utterances are used or set aside, and so are their frames. Used frames are kept, rejected or
    cancelled; ValueError if they cannot be. Criteria add up over utterances, in any grouping.
    """

    value: float = 0.0
    utterances_used: int = 0
    frames_used: int = 0
    frames_rejected: int = 0
    frames_cancelled: int = 0
    set_aside: tuple[SetAsideCount, ...] = ()

    @staticmethod
    def of(
        value: float, frames: int, reason: str | None = None, rejected: int = 0, cancelled: int = 0
    ) -> "Criterion":
        """Return one utterance: used, or set aside for ``reason``.

        A value that is not finite is a reason too.
        """
        if reason is None and not math.isfinite(value):
            reason = NOT_FINITE

        if reason is not None:
            return Criterion(set_aside=(SetAsideCount(reason, 1, frames),))
        return Criterion(float(value), 1, frames, rejected, cancelled)

    def __post_init__(self) -> None:
        if min(self.frames_rejected, self.frames_cancelled, self.frames_kept) < 0:
            raise ValueError(
                f"{self.frames_used} frames cannot be {self.frames_rejected} + "
                f"{self.frames_cancelled} or more"
            )

    def __add__(self, other: "Criterion") -> "Criterion":
        utterances = Counter[str]()
        frames = Counter[str]()
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
                SetAsideCount(reason, utterances[reason], frames[reason])
                for reason in sorted(utterances)
            ),
        )

    @property
    def per_frame(self) -> float:
        """F: the criterion divided by the used frames; nan if there are none."""
        return self.value / self.frames_used if self.frames_used else math.nan

    @property
    def set_aside_total(self) -> int:
        """Utterances that were set aside, for any reason."""
        return sum(part.utterances for part in self.set_aside)

    @property
    def utterances(self) -> int:
        """All utterances."""
        return self.utterances_used + self.set_aside_total

    @property
    def frames(self) -> int:
        """All frames."""
        return self.frames_used + sum(part.frames for part in self.set_aside)

    @property
    def frames_kept(self) -> int:
        """Used frames that were neither rejected nor cancelled, i.e. trained on."""
        return self.frames_used - self.frames_rejected - self.frames_cancelled

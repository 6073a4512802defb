"""What the rows of a trial tell: frames, the criterion, and how it differs from another trial's."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from workbench.sequence.lattice_pair import OUTSIDE, value_with_reference
from workbench.storage.rows import DecodeRow, PushRow, Row, read_rows
from workbench.storage.run import Run

FEWEST_SPEAKERS = 10
"""With fewer, the noise of a difference is that over utterances."""

NO_UTTERANCE = -1


class Seen(NamedTuple):
    """What one row tells: frames of the corpus, and the sum of the criterion over ``measured``."""

    frames: int
    measured: int
    value: float
    utterance: int = NO_UTTERANCE


Processes = Sequence[Sequence[Seen]]
"""What the rows of each process of a run tell, in their order."""

ValueOf = Callable[[DecodeRow], float | None]
"""The value of an utterance by which trials are compared."""


class UtteranceDifference(NamedTuple):
    """The difference of two trials in the criterion of one utterance, summed over its frames."""

    difference: float
    frames: int
    speaker: str


class TrialDifference(NamedTuple):
    """The difference of two trials per frame, and its standard error."""

    gain: float
    error: float

    @property
    def errors_ahead(self) -> float:
        """The difference in standard errors."""
        return self.gain / self.error if self.error else math.copysign(math.inf, self.gain)


def mean_difference(pairs: Sequence[UtteranceDifference]) -> TrialDifference:
    """Return the difference per frame, and its standard error over speakers.

    The error is that of a ratio of sums. It is infinite for less than two speakers or utterances.
    """
    frames = sum(pair.frames for pair in pairs)
    if not frames:
        return TrialDifference(0.0, math.inf)

    gain = math.fsum(pair.difference for pair in pairs) / frames
    rests: dict[str, float] = defaultdict(float)
    few = len({pair.speaker for pair in pairs}) < FEWEST_SPEAKERS
    for number, pair in enumerate(pairs):
        unit = str(number) if few else pair.speaker
        rests[unit] += pair.difference - gain * pair.frames

    units = len(rests)
    if units < 2:
        return TrialDifference(gain, math.inf)
    squares = math.fsum(rest * rest for rest in rests.values())
    return TrialDifference(gain, math.sqrt(units / (units - 1) * squares) / frames)


def own_value(row: DecodeRow) -> float | None:
    """Return the criterion of an utterance, None if it has none.

    A lattice that has lost the reference counts as in measuring, with the reference added to it: a
    rate that loses more references must not look better for it.
    """
    if row.reason == OUTSIDE and row.num is not None and row.den is not None:
        return value_with_reference(row.num, row.den)
    return row.value if row.reason is None else None


def reference_posterior(row: DecodeRow) -> float | None:
    """Return MMI of an utterance that was trained on with another criterion, None if it has none.

    The reference is added to every lattice, since those of expected accuracy may have lost it.
    """
    if row.num is None or row.den is None:
        return None
    return value_with_reference(row.num, row.den)


def read_seen(run: Run, sequence: bool, value_of: ValueOf = own_value) -> Processes:
    """Return what the rows of a run tell, by process; of sequence criteria the value by
    ``value_of``.
    """
    return [_seen(read_rows(path, Row), sequence, value_of) for path in run.row_files()]


def all_values(processes: Processes) -> dict[int, Seen]:
    """Return what the decoders of a run have measured, by utterance."""
    return {seen.utterance: seen for process in processes for seen in process if seen.measured}


def newer_values(processes: Processes) -> dict[int, Seen]:
    """Return what they have measured on the newer half of what each of them has seen."""
    return all_values([_newer_half(process) for process in processes])


def newer_criterion(processes: Processes) -> float:
    """Return the criterion per frame over the newer half of what the decoders of a run have seen.

    Each decoder counts its own half. It is not finite if nothing could be measured.
    """
    frames = 0
    value = 0.0
    for process in processes:
        for seen in _newer_half(process):
            frames += seen.measured
            value += seen.value

    return value / frames if frames else math.nan


def frames_seen(processes: Processes) -> int:
    """Return the frames that the training of a run has seen; decoders are ahead of pushes."""
    return sum(seen.frames for process in processes for seen in process)


def _seen(rows: Iterable[Row], sequence: bool, value_of: ValueOf) -> list[Seen]:
    """What the rows of one process tell: of decodes for sequence criteria, else of pushes."""
    found = []
    for row in rows:
        if sequence and isinstance(row, DecodeRow):
            value = value_of(row)
            measured = row.frames if value is not None else 0
            found.append(Seen(row.frames, measured, value or 0.0, row.utterance))
        elif not sequence and isinstance(row, PushRow):
            found.append(Seen(row.frames, 0, 0.0))

    return found


def _newer_half(seen: Sequence[Seen]) -> list[Seen]:
    """Those after the first half of all frames."""
    half = sum(each.frames for each in seen) / 2
    passed = 0
    newer = []
    for each in seen:
        passed += each.frames
        if passed > half:
            newer.append(each)
    return newer

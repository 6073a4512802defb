"""What is measured on the held-out set, utterance by utterance and in total."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.hmm.scores import BROKEN_SCORES
from workbench.metrics.criterion import Criterion
from workbench.metrics.frames import FrameErrors
from workbench.metrics.significance import Interval, error_interval
from workbench.metrics.words import WordErrors
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice_pair import OUTSIDE, value_with_reference
from workbench.storage.rows import Measurement


@dataclass(frozen=True)
class UtteranceMeasurement:
    """What one held-out utterance contributes."""

    mmi: Criterion  # with the reference added to the lattice where pruning had lost it
    trained: Criterion  # the sequence criterion that is trained, MMI for cross entropy
    speaker: str
    words: WordErrors
    frames: FrameErrors
    log_posterior: float  # sum over its aligned frames of log p of the aligned state
    reference_lost: bool  # whether pruning had lost the reference
    found_path: bool  # whether the search reached the end
    broken: bool  # whether the scores cannot be searched


def total_measurement(parts: Sequence[UtteranceMeasurement], sequence: bool) -> Measurement:
    """Add up utterances in their order; ``sequence``: a sequence criterion is trained.

    ``criterion`` of the result is what training climbs, per frame. It is NaN where the scores of
    all utterances are broken, whatever is trained: such a model has diverged. It is None where no
    utterance has a value for another reason, which says nothing of the model's parameters.
    """
    first = parts[0]
    rest = parts[1:]
    mmi = sum((part.mmi for part in rest), first.mmi)
    trained = sum((part.trained for part in rest), first.trained)
    words = sum((part.words for part in rest), first.words)
    frames = sum((part.frames for part in rest), first.frames)
    ce = math.fsum(part.log_posterior for part in parts) / frames.frames
    broken = sum(part.broken for part in parts)
    criterion = average(trained) if sequence else ce
    inside = sum((part.mmi for part in parts if not part.reference_lost), Criterion())
    interval = word_error_interval(parts)
    return Measurement(
        criterion=math.nan if broken == len(parts) else criterion,
        mmi=average(mmi),
        ce=finite_or_none(ce),
        wer=words.wer,
        substitutions=words.rate(words.substitutions),
        deletions=words.rate(words.deletions),
        insertions=words.rate(words.insertions),
        wer_low=interval.low if interval else None,
        wer_high=interval.high if interval else None,
        frame_error=frames.error,
        set_aside=trained.set_aside_total,
        mmi_inside=average(inside),
        outside=sum(part.reference_lost for part in parts),
        no_path=sum(not part.found_path for part in parts),
        broken=broken,
    )


def word_error_interval(parts: Sequence[UtteranceMeasurement]) -> Interval | None:
    """Return the 95 % interval of the word error rate; None without reference words."""
    if not any(part.words.reference for part in parts):
        return None
    return error_interval([part.words for part in parts], [part.speaker for part in parts])


def average(criterion: Criterion) -> float | None:
    """Return the criterion per frame; None if no utterance has a value."""
    return criterion.per_frame if criterion.frames_used else None


def finite_or_none(number: float) -> float | None:
    """Return ``number``, or None if it is not finite."""
    return number if math.isfinite(number) else None


def is_broken(decoded: Decoded) -> bool:
    """Return whether the utterance's scores are NaN, infinite or too large."""
    return decoded.reason in BROKEN_SCORES


def held_out_criterion(decoded: Decoded) -> Criterion:
    """Return one utterance's value of the criterion, or the reason why it has none.

    Held-out utterances must not leave the average when their lattice loses the reference: they
    would return when it is found again, and the curve would move without any change of the model.
    MPE and sMBR have a value on any lattice. MMI and bMMI have none without the reference, so its
    own paths are added to the denominator: num - log(e^den + e^num) stays below 0, and where the
    lattice holds the reference the value is num - den as in training.
    """
    value = decoded.value
    if not math.isfinite(value) and decoded.reason == OUTSIDE:
        value = value_with_reference(decoded.num, decoded.den)
    if not math.isfinite(value):
        return Criterion.of(value, decoded.frames, decoded.reason)
    return Criterion.of(value, decoded.frames, None, decoded.rejected, decoded.cancelled)

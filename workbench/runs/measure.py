"""What is measured on the held-out set, utterance by utterance and in total."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from workbench.metrics.criterion import Criterion
from workbench.metrics.frames import FrameErrors
from workbench.metrics.significance import Interval, bootstrap_interval
from workbench.metrics.words import WordErrors
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice_pair import OUTSIDE
from workbench.storage.rows import Measurement

LIVE_DRAWS = 1000
"""Bootstrap draws for the band around a curve; a test of a model makes ten times as many."""


@dataclass(frozen=True)
class UtteranceMeasurement:
    """What one held-out utterance contributes."""

    mmi: Criterion  # with the reference added to the lattice where pruning had lost it
    trained: Criterion  # the sequence criterion that is trained, MMI for cross entropy
    words: WordErrors
    frames: FrameErrors
    log_posterior: float  # sum over its aligned frames of log p of the aligned state
    reference_lost: bool  # whether pruning had lost the reference


def total_measurement(parts: Sequence[UtteranceMeasurement], sequence: bool) -> Measurement:
    """Add up utterances in their order; ``sequence``: a sequence criterion is trained.

    ``criterion`` of the result is what training climbs, per frame.
    """
    first = parts[0]
    rest = parts[1:]
    mmi = sum((part.mmi for part in rest), first.mmi)
    trained = sum((part.trained for part in rest), first.trained)
    words = sum((part.words for part in rest), first.words)
    frames = sum((part.frames for part in rest), first.frames)
    ce = fsum(part.log_posterior for part in parts) / frames.frames
    inside = sum((part.mmi for part in parts if not part.reference_lost), Criterion())
    interval = word_error_interval([part.words for part in parts])
    return Measurement(
        criterion=trained.per_frame if sequence else ce,
        mmi=mmi.per_frame,
        ce=ce,
        wer=words.wer,
        substitutions=words.rate(words.substitutions),
        deletions=words.rate(words.deletions),
        insertions=words.rate(words.insertions),
        wer_low=interval.low if interval else None,
        wer_high=interval.high if interval else None,
        frame_error=frames.error,
        set_aside=mmi.set_aside_total,
        mmi_inside=inside.per_frame,
        outside=sum(part.reference_lost for part in parts),
    )


def word_error_interval(words: Sequence[WordErrors]) -> Interval | None:
    """Return the 95 % bootstrap interval of the word error rate; None without reference words."""
    if not any(errors.reference for errors in words):
        return None
    return bootstrap_interval(words, draws=LIVE_DRAWS)


def criterion_of(decoded: Decoded) -> Criterion:
    """Return one utterance's value of the criterion, or the reason why it has none."""
    return Criterion.of(
        decoded.value, decoded.frames, decoded.reason, decoded.rejected, decoded.cancelled
    )


def mmi_with_reference(decoded: Decoded) -> Criterion:
    """Return F_MMI of one utterance, its reference added to the lattice where pruning had lost it.

    Held-out utterances must not leave the average when their lattice loses the reference: they
    would return when it is found again, and the curve would move without any change of the model.
    The reference's own paths complete the denominator, so the value num - log(e^den + e^num) stays
    below 0; where the lattice holds the reference, the value is num - den as in training.
    """
    if decoded.reason != OUTSIDE:
        return criterion_of(decoded)
    value = decoded.num - np.logaddexp(decoded.num, decoded.den)
    return Criterion.of(value, decoded.frames, None, decoded.rejected, decoded.cancelled)

"""Intervals of word error rates and of their differences, from the errors of each speaker.

Utterances of one voice are not independent: a system that suits a voice suits all that it says. So
what is left out, to see how much an error rate depends on who spoke, is a speaker and not an
utterance. The standard error is that of the delete-one jackknife (B. Efron and C. Stein, *The
jackknife estimate of variance*, 1981); with few clusters it keeps the level better than the
bootstrap and the usual sandwich (J. MacKinnon, M. Nielsen, M. Webb, *Fast and reliable jackknife
and bootstrap methods for cluster-robust inference*, 2023). Quantiles are Student's. The degrees of
freedom are the effective number of speakers less one, which is smaller where some speak more than
others. `data/results/RESULTS.md` has the simulation that chose this.

Nothing is drawn at random, so the same errors give the same answer. Where a corpus does not know
its speakers, utterances take their place, and the result says so.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from workbench.metrics.words import WordErrors, total_errors

LEVEL = 0.95
FEWEST_UNITS = 3
"""Units without which there is no p-value: from fewer nothing is learnt about others."""

FEWEST_ALIKE = 30
"""Units without any variation that still tell something."""


class Unit(StrEnum):
    """What is taken to be independent."""

    SPEAKERS = "speakers"
    UTTERANCES = "utterances"


class RateEstimate(NamedTuple):
    """A rate, or a difference of rates, with its standard error; arrays of one shape."""

    value: np.ndarray
    standard_error: np.ndarray
    degrees: np.ndarray  # of freedom


@dataclass(frozen=True)
class Interval:
    """An error rate, a fraction, and its 95 % interval.

    ``low`` and ``high`` are None where there are too few units. With one or two speakers the units
    are utterances, and the interval holds for these voices only.
    """

    wer: float
    low: float | None
    high: float | None
    units: int
    unit: Unit
    speakers: int | None  # None: unknown


@dataclass(frozen=True)
class Comparison:
    """Error rates of systems a and b on the same words, and how well their difference is known.

    ``standard_error`` and ``degrees`` are of the difference b - a; with a single unit they mean
    nothing. ``identical``: both systems are the same model.
    """

    wer_a: float
    wer_b: float
    standard_error: float
    degrees: float
    words: int  # in the references
    units: int
    unit: Unit
    identical: bool = False

    @property
    def difference(self) -> float:
        """The error rate of b less that of a."""
        return self.wer_b - self.wer_a

    @property
    def enough_units(self) -> bool:
        """Whether there are enough units for a test."""
        return self.units >= FEWEST_UNITS

    @property
    def testable(self) -> bool:
        """Whether a test says anything: its units vary, or are so many that this says enough.

        Three speakers with as many errors by both systems would else prove that these are alike.
        """
        varies = self.standard_error > 0 or self.units >= FEWEST_ALIKE
        return self.enough_units and varies

    @property
    def p(self) -> float | None:
        """The two-sided p-value of no difference; None unless `testable`."""
        if not self.testable:
            return None
        return min(1.0, 2 * self.tail(abs(self.difference)))

    @property
    def low(self) -> float | None:
        """The lower limit of the difference's 95 % interval; None unless `testable`."""
        half = self._half_width()
        return None if half is None else self.difference - half

    @property
    def high(self) -> float | None:
        """The upper limit of the difference's 95 % interval; None unless `testable`."""
        half = self._half_width()
        return None if half is None else self.difference + half

    def tail(self, distance: float) -> float:
        """Return how likely the difference lies ``distance`` or more above its expectation."""
        if self.standard_error == 0:
            return 0.5 if distance == 0 else float(distance < 0)
        return _student_tail(self.degrees, distance / self.standard_error)

    def quantile(self, probability: float) -> float:
        """Return the quantile of Student's distribution with the comparison's degrees."""
        return _student_quantile(self.degrees, probability)

    def _half_width(self) -> float | None:
        if not self.testable:
            return None
        return self.quantile((1 + LEVEL) / 2) * self.standard_error


def estimate_rate(errors: np.ndarray, words: np.ndarray) -> RateEstimate:
    """Return the ratio of sums, errors over words, with its jackknife standard error.

    Both are [..., units]; ``errors`` may be differences of errors and so negative. At least two
    units must have words.
    """
    units = errors.shape[-1]
    all_errors = errors.sum(-1, keepdims=True)
    all_words = words.sum(-1, keepdims=True)
    value = all_errors / all_words

    without_one = (all_errors - errors) / (all_words - words)
    squares = ((without_one - value) ** 2).sum(-1)
    standard_error = np.sqrt((units - 1) / units * squares)

    effective = all_words[..., 0] ** 2 / (words.astype(float) ** 2).sum(-1)
    return RateEstimate(value[..., 0], standard_error, np.maximum(effective - 1, 1))


def error_interval(
    errors: Sequence[WordErrors], speakers: Sequence[Hashable] | None = None
) -> Interval:
    """Return the interval of the word error rate, from the errors and speaker of each utterance.

    Raises ValueError if there are no reference words.
    """
    total = total_errors(errors)
    if not total.reference:
        raise ValueError("no words in the references")

    counts = np.array([(each.errors, each.reference) for each in errors])
    voices = None if speakers is None else len(set(speakers))
    by_unit = _sum_by_unit(counts, speakers)
    unit = Unit.UTTERANCES if speakers is None else Unit.SPEAKERS
    if _units_with_words(by_unit) < FEWEST_UNITS:
        by_unit = counts
        unit = Unit.UTTERANCES
    units = len(by_unit)
    if _units_with_words(by_unit) < 2:
        return Interval(total.wer, None, None, units, unit, voices)

    found = estimate_rate(by_unit[:, 0], by_unit[:, 1])
    half = _student_quantile(found.degrees, (1 + LEVEL) / 2) * float(found.standard_error)
    return Interval(total.wer, max(0.0, total.wer - half), total.wer + half, units, unit, voices)


def compare_errors(
    a: Sequence[WordErrors],
    b: Sequence[WordErrors],
    speakers: Sequence[Hashable] | None = None,
) -> Comparison:
    """Return the comparison of two systems on the same utterances in the same order.

    ``speakers``: that of each utterance, None where nobody knows them. Raises ValueError if the
    references differ in length, or hold no words.
    """
    if [each.reference for each in a] != [each.reference for each in b]:
        raise ValueError("the two systems were not measured on the same utterances")
    total_a = total_errors(a)
    total_b = total_errors(b)
    if not total_a.reference:
        raise ValueError("no words in the references")

    pairs = zip(a, b, strict=True)
    counts = np.array([(second.errors - first.errors, first.reference) for first, second in pairs])
    by_unit = _sum_by_unit(counts, speakers)
    units = _units_with_words(by_unit)
    standard_error = 0.0
    degrees = 1.0
    if units >= 2:
        found = estimate_rate(by_unit[:, 0], by_unit[:, 1])
        standard_error = float(found.standard_error)
        degrees = float(found.degrees)

    return Comparison(
        wer_a=total_a.wer,
        wer_b=total_b.wer,
        standard_error=standard_error,
        degrees=degrees,
        words=total_a.reference,
        units=units,
        unit=Unit.UTTERANCES if speakers is None else Unit.SPEAKERS,
    )


def _sum_by_unit(counts: np.ndarray, speakers: Sequence[Hashable] | None) -> np.ndarray:
    """The sums of rows [utterances, columns] over the utterances of each speaker."""
    if speakers is None:
        return counts
    number = {speaker: i for i, speaker in enumerate(dict.fromkeys(speakers))}
    sums = np.zeros((len(number), counts.shape[1]), counts.dtype)
    np.add.at(sums, [number[speaker] for speaker in speakers], counts)
    return sums


def _units_with_words(by_unit: np.ndarray) -> int:
    """How many units have reference words, which the last column counts."""
    return int(np.count_nonzero(by_unit[:, -1]))


def _student_tail(degrees: float | np.ndarray, distance: float) -> float:
    """How likely a number of Student's distribution is above ``distance``."""
    # Every process that trains imports this module, and few need the sixth of a second of this one.
    from scipy.special import stdtr

    return float(stdtr(degrees, -distance))


def _student_quantile(degrees: float | np.ndarray, probability: float) -> float:
    """The quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))

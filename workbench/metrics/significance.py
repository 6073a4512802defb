"""The significance of word error rates and their differences, by the bootstrap over utterances.

M. Bisani and H. Ney, *Bootstrap estimates for confidence intervals in ASR performance evaluation*,
ICASSP 2004: draw as many utterances as there are, with replacement, and look at the spread of the
error rate over many such draws. Two systems are compared on the same draws. Utterances that share a
voice are not independent: to draw speakers, add up the errors per speaker first.

Only counts matter, so utterances with equal counts are drawn together: one multinomial draw instead
of a list of utterances. The distribution is the same, and 10,000 draws of 10,000 utterances take
well under a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.metrics.words import WordErrors, total_errors
from workbench.settings import rng

DRAWS = 10_000
CHUNK = 500  # draws made at once, which bounds the memory
LEVEL = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Interval:
    """An error rate, a fraction, and the interval that holds the middle `LEVEL` of the draws."""

    wer: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Error rates of systems a and b, the interval of the difference b - a, and the two-sided p.

    ``improvement`` is Bisani and Ney's probability of improvement: the share of draws in which b
    makes fewer errors.
    """

    wer_a: float
    wer_b: float
    low: float
    high: float
    p: float
    improvement: float


def bootstrap_interval(errors: Sequence[WordErrors], seed: int = 0, draws: int = DRAWS) -> Interval:
    """Return the interval of the word error rate, from the errors of each utterance.

    Raises ValueError if there are no reference words.
    """
    counts = [(e.errors, e.reference) for e in errors]
    sums = _draw_sums(counts, seed, draws)
    limits = _middle(sums[:, 0] / sums[:, 1])
    return Interval(total_errors(errors).wer, limits.low, limits.high)


def paired_bootstrap(
    a: Sequence[WordErrors], b: Sequence[WordErrors], seed: int = 0, draws: int = DRAWS
) -> Comparison:
    """Return the comparison of two systems on the same utterances in the same order.

    p is 2 min(share of draws in which b makes no fewer errors, share in which it makes no more), at
    most 1. Each share counts one draw more than was drawn, so that p is never 0. Raises ValueError
    if the references differ in length, or hold no words.
    """
    if [e.reference for e in a] != [e.reference for e in b]:
        raise ValueError("the two systems were not measured on the same utterances")

    counts = [(x.errors, y.errors, x.reference) for x, y in zip(a, b, strict=True)]
    sums = _draw_sums(counts, seed, draws)
    difference = sums[:, 1] - sums[:, 0]
    limits = _middle(difference / sums[:, 2])

    no_fewer = np.count_nonzero(difference >= 0) + 1
    no_more = np.count_nonzero(difference <= 0) + 1
    p = min(1.0, 2 * min(no_fewer, no_more) / (len(sums) + 1))
    return Comparison(
        wer_a=total_errors(a).wer,
        wer_b=total_errors(b).wer,
        low=limits.low,
        high=limits.high,
        p=p,
        improvement=float(np.mean(difference < 0)),
    )


def verdict(p: float, wer_a: float, wer_b: float) -> str:
    """Return in words what ``p`` means for the way from error rate a to b.

    For example "significantly better (p = 0.004)" or "not significant (p = 0.21)".
    """
    digits = 3 if p < 0.1 else 2
    value = "p < 0.001" if p < 0.001 else f"p = {p:.{digits}f}"
    if p >= SIGNIFICANT or wer_a == wer_b:
        return f"not significant ({value})"
    return f"significantly {'better' if wer_b < wer_a else 'worse'} ({value})"


def _draw_sums(counts: Sequence[tuple[int, ...]], seed: int, draws: int) -> np.ndarray:
    """The sums of the counts over the utterances of each draw, [draws, columns].

    The last column counts reference words; draws without any are left out.
    """
    if not sum(row[-1] for row in counts):
        raise ValueError("no words in the references")

    kinds, occurrences = np.unique(np.array(counts), axis=0, return_counts=True)
    stream = rng(seed, "bootstrap")
    share = occurrences / len(counts)
    chunks = []
    for done in range(0, draws, CHUNK):
        drawn = stream.multinomial(len(counts), share, min(CHUNK, draws - done))
        chunks.append(drawn @ kinds)
    sums = np.concatenate(chunks)
    return sums[sums[:, -1] > 0]


class _Limits(NamedTuple):
    low: float
    high: float


def _middle(values: np.ndarray) -> _Limits:
    """The interval that holds the middle `LEVEL` of ``values``."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _Limits(float(low), float(high))

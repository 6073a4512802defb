"""Whether a word error rate, or a difference of two, is more than luck: the bootstrap over
utterances.

M. Bisani and H. Ney, *Bootstrap estimates for confidence intervals in ASR performance evaluation*,
ICASSP 2004: draw as many utterances as there are, with replacement, and look at the spread of the
error rate over many such draws. Two systems are compared on the same draws. Utterances that share a
voice are not independent: to draw speakers, add up the errors per speaker first.

Only counts matter, so utterances with equal counts are drawn together (one multinomial draw instead
of a list of utterances): the same distribution, and 10,000 draws of 10,000 utterances take well
under a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.metrics.words import WordErrors, total
from workbench.settings import rng

DRAWS = 10_000
CHUNK = 500  # draws made at once, which bounds the memory
LEVEL = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Interval:
    """An error rate (a fraction), and the interval that holds the middle ``LEVEL`` of the draws."""

    wer: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Error rates of systems a and b, the interval of the difference b - a, and the two-sided
    ``p``.

    ``improvement`` is Bisani and Ney's probability of improvement: the share of draws in which b
    makes fewer errors.
    """

    wer_a: float
    wer_b: float
    low: float
    high: float
    p: float
    improvement: float


def bootstrap(errors: Sequence[WordErrors], seed: int = 0, draws: int = DRAWS) -> Interval:
    """Return the bootstrap interval of the word error rate from the errors of each utterance.

    ValueError if the references hold no words.
    """
    sums = _draw([(e.errors, e.reference) for e in errors], seed, draws)
    return Interval(total(errors).wer, *_middle(sums[:, 0] / sums[:, 1]))


def paired_bootstrap(
    a: Sequence[WordErrors], b: Sequence[WordErrors], seed: int = 0, draws: int = DRAWS
) -> Comparison:
    """Return the paired bootstrap of two systems on the same utterances in the same order.

    p = 2 min(share of draws where b makes no fewer errors, share where it makes no more), at most
    1; each share counts one draw more than was drawn, so that p is never 0. ValueError if the
    references differ in length, or hold no words.
    """
    if [e.reference for e in a] != [e.reference for e in b]:
        raise ValueError("the two systems were not measured on the same utterances")

    counts = [(x.errors, y.errors, x.reference) for x, y in zip(a, b, strict=True)]
    sums = _draw(counts, seed, draws)
    difference = sums[:, 1] - sums[:, 0]

    no_fewer = np.count_nonzero(difference >= 0) + 1
    no_more = np.count_nonzero(difference <= 0) + 1
    p = min(1.0, 2 * min(no_fewer, no_more) / (len(sums) + 1))
    low, high = _middle(difference / sums[:, 2])
    improvement = float(np.mean(difference < 0))
    return Comparison(total(a).wer, total(b).wer, low, high, p, improvement)


def verdict(p: float, wer_a: float, wer_b: float) -> str:
    """Return the step from error rate a to b in words.

    Examples: "significantly better (p = 0.004)", "not significant (p = 0.21)".
    """
    value = "p < 0.001" if p < 0.001 else f"p = {p:.{3 if p < 0.1 else 2}f}"
    if p >= SIGNIFICANT or wer_a == wer_b:
        return f"not significant ({value})"
    return f"significantly {'better' if wer_b < wer_a else 'worse'} ({value})"


def _draw(counts: Sequence[tuple[int, ...]], seed: int, draws: int) -> np.ndarray:
    """Return the sums of the counts over the utterances of each draw: [draws, columns].

    Draws without reference words are left out.
    """
    if not sum(row[-1] for row in counts):
        raise ValueError("no words in the references")

    kinds, many = np.unique(np.array(counts), axis=0, return_counts=True)
    stream = rng(seed, "bootstrap")
    share = many / len(counts)
    parts = [
        stream.multinomial(len(counts), share, min(CHUNK, draws - n)) @ kinds
        for n in range(0, draws, CHUNK)
    ]
    sums = np.concatenate(parts)
    return sums[sums[:, -1] > 0]


def _middle(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

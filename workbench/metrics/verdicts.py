"""Verdicts: what a comparison of two systems says, for a margin that the reader chooses.

A large p-value is no evidence that systems are alike. So there are four outcomes. *Better* and
*worse*: a difference was found, at 5 %. *Equivalent*: the difference is smaller than the margin,
by two one-sided tests at 5 % (D. Schuirmann, 1987). *Undecided*: neither; the verdict then says
about how many more words of test data a decision needs. A difference may be found and yet be
smaller than the margin; the verdict says both.

Several comparisons at once are corrected by Holm's method, differences and equivalences each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from workbench.metrics.significance import FEWEST_UNITS, Comparison, Unit

MARGIN = 0.005
"""The usual margin, a difference of word error rates: half a percent absolute."""

SIGNIFICANT = 0.05
POWER = 0.8
"""How likely a test should find a difference of the size that is called detectable."""


class VerdictOutcome(StrEnum):
    """What a comparison says about b, compared with a."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    IDENTICAL = "identical"  # both are the same model


@dataclass(frozen=True)
class Verdict:
    """An outcome and what it rests on; rates and differences are fractions.

    ``p`` is of no difference and ``p_equivalence`` of a difference as large as the margin, both
    corrected for the number of ``comparisons``. ``detectable``: the smallest difference that such
    a test finds four times in five. ``words_needed``: further reference words, for undecided
    comparisons. The three are None where there are too few units.
    """

    outcome: VerdictOutcome
    margin: float
    units: int
    unit: Unit
    p: float | None
    p_equivalence: float | None
    detectable: float | None
    words_needed: int | None
    comparisons: int = 1

    @property
    def within_margin(self) -> bool:
        """Whether the difference is smaller than the margin, found or not."""
        return self.p_equivalence is not None and self.p_equivalence < SIGNIFICANT

    def __str__(self) -> str:
        margin = f"{100 * self.margin:g} % absolute"
        if self.outcome is VerdictOutcome.IDENTICAL:
            return "identical: both are the same model, so what differs has no effect"
        if self.p is None or self.p_equivalence is None:
            count = _counted(self.units, self.unit)
            if self.units >= FEWEST_UNITS:
                return f"undecided: all {count} differ by the same, so chance is unknown"
            return f"undecided: the test set has {count}, and a test needs {FEWEST_UNITS}"
        if self.outcome is VerdictOutcome.EQUIVALENT:
            return f"equivalent within {margin} ({p_text(self.p_equivalence)})"
        if self.outcome is VerdictOutcome.UNDECIDED:
            needed = f"about {_rounded(self.words_needed or 0):,} more words needed"
            return f"undecided ({p_text(self.p)}), {needed} for {margin}"
        less = f", by less than {margin}" if self.within_margin else ""
        return f"{self.outcome} ({p_text(self.p)}){less}"


def judge(comparison: Comparison, margin: float = MARGIN) -> Verdict:
    """Return the verdict on one comparison."""
    return judge_all([comparison], margin)[0]


def judge_all(comparisons: Sequence[Comparison], margin: float = MARGIN) -> list[Verdict]:
    """Return the verdicts on several comparisons, corrected for their number by Holm's method.

    Comparisons of identical systems, and those that are not testable, are no tests and do not
    count.
    """
    tested = [each for each in comparisons if each.testable and not each.identical]
    count = len(tested)
    p_values = iter(holm([each.p or 0.0 for each in tested]))
    p_equivalences = iter(holm([equivalence_p(each, margin) for each in tested]))

    verdicts = []
    for comparison in comparisons:
        if comparison.identical or not comparison.testable:
            verdicts.append(_verdict_without_test(comparison, margin))
            continue
        p = next(p_values)
        p_equivalence = next(p_equivalences)
        verdicts.append(_verdict_of_test(comparison, margin, p, p_equivalence, count))
    return verdicts


def equivalence_p(comparison: Comparison, margin: float) -> float:
    """Return p of two one-sided tests: that the difference is the margin or more, either way."""
    return comparison.tail(margin - abs(comparison.difference))


def detectable_difference(comparison: Comparison, comparisons: int = 1) -> float:
    """Return the smallest true difference that a test as large as this finds with `POWER`."""
    level = SIGNIFICANT / comparisons
    quantiles = comparison.quantile(1 - level / 2) + comparison.quantile(POWER)
    return quantiles * comparison.standard_error


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method, in their order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def p_text(p: float) -> str:
    """Return a p-value as text, never as zero."""
    if p < 0.001:
        return "p < 0.001"
    digits = 3 if p < 0.1 else 2
    return f"p = {p:.{digits}f}"


def _verdict_without_test(comparison: Comparison, margin: float) -> Verdict:
    outcome = VerdictOutcome.IDENTICAL if comparison.identical else VerdictOutcome.UNDECIDED
    return Verdict(
        outcome=outcome,
        margin=margin,
        units=comparison.units,
        unit=comparison.unit,
        p=None,
        p_equivalence=None,
        detectable=None,
        words_needed=None,
    )


def _verdict_of_test(
    comparison: Comparison, margin: float, p: float, p_equivalence: float, comparisons: int
) -> Verdict:
    outcome = VerdictOutcome.UNDECIDED
    if p < SIGNIFICANT:
        outcome = VerdictOutcome.BETTER if comparison.difference < 0 else VerdictOutcome.WORSE
    elif p_equivalence < SIGNIFICANT:
        outcome = VerdictOutcome.EQUIVALENT

    undecided = outcome is VerdictOutcome.UNDECIDED
    return Verdict(
        outcome=outcome,
        margin=margin,
        units=comparison.units,
        unit=comparison.unit,
        p=p,
        p_equivalence=p_equivalence,
        detectable=detectable_difference(comparison, comparisons),
        words_needed=_words_needed(comparison, margin, comparisons) if undecided else None,
        comparisons=comparisons,
    )


def _words_needed(comparison: Comparison, margin: float, comparisons: int) -> int:
    """How many more words an undecided comparison needs, with speakers of the same kind.

    Enough for both: that systems that are alike are found equivalent with `POWER`, and that the
    difference seen here, were it the true one, is found or lies within the margin.
    """
    level = SIGNIFICANT / comparisons
    planned = comparison.quantile(1 - level) + comparison.quantile((1 + POWER) / 2)
    for_margin = planned * comparison.standard_error / margin

    seen = abs(comparison.difference)
    distance = max(seen, margin - seen)
    for_seen = comparison.quantile(1 - level / 2) * comparison.standard_error / distance

    share = max(for_margin, for_seen) ** 2
    return math.ceil((share - 1) * comparison.words)


def _rounded(number: int) -> int:
    """``number`` rounded up to two significant digits."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit


def _counted(number: int, unit: Unit) -> str:
    """For example "1 speaker" or "12 speakers"."""
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"

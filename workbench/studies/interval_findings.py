"""What a study found about fetch intervals: the longest harmless ones, and their ratios."""

from workbench.metrics.significance import Comparison
from workbench.progress import counted
from workbench.studies.finding import Agreement, StudyFinding, bounds_text, carried, weight_of
from workbench.studies.intervals import (
    NEVER,
    HarmlessInterval,
    harmless_interval,
    interval_text,
)
from workbench.studies.rows import StudyResults
from workbench.studies.study import Harmless, IntervalRatio, Study


def harmless_of_arms(study: Study, results: StudyResults) -> list[HarmlessInterval]:
    """Return the harmless interval of every arm whose interval a study asks for or compares."""
    arms = dict.fromkeys([ratio.to for ratio in study.ratios])
    arms |= dict.fromkeys([each.arm for each in study.harmless])
    return [harmless_interval(results, arm, study.margin) for arm in arms]


def harmless_finding(each: Harmless, study: Study, results: StudyResults) -> StudyFinding:
    """Return whether the longest harmless interval of an arm is the paper's."""
    claim = f"{each.arm}: the longest harmless interval"
    if each.paper is not None:
        claim += f" is {interval_text(each.paper)} or more"
    found = harmless_interval(results, each.arm, study.margin)
    if not found.measured:
        return StudyFinding(claim, "not run yet", Agreement.MISSING)
    weight = counted(found.seeds, "seed")
    if found.points:
        weight = weight_of(found.points[0].compared)
    text = f"{found} (Δ = {100 * study.margin:g} % absolute)"
    if found.seeds == 1:
        text = f"these models of one seed: {text}"
    if each.paper is None:
        return StudyFinding(claim, text, Agreement.OPEN, weight)
    agreement = Agreement.UNDECIDED
    if found.at_least >= each.paper:
        agreement = Agreement.AGREE
    elif found.below is not None and found.below <= each.paper:
        agreement = Agreement.DISAGREE

    return StudyFinding(claim, text, carried(agreement, found.seeds), weight)


def ratio_finding(ratio: IntervalRatio, study: Study, results: StudyResults) -> StudyFinding:
    """Return how the harmless intervals of two arms compare, with bounds from both."""
    own = harmless_interval(results, ratio.arm, study.margin)
    other = harmless_interval(results, ratio.to, study.margin)
    claim = f"interval of {ratio.arm} over that of {ratio.to}"
    if ratio.paper is not None:
        claim += f" is {ratio.paper:g}"
    if not own.measured or not other.measured:
        return StudyFinding(claim, "not run yet", Agreement.MISSING)

    low = _quotient(own.at_least, other.below)
    high = _quotient(own.below, other.at_least)
    text = f"at least {low:.2g}" if low else "no lower bound"
    text += f", at most {high:.2g}" if high is not None else ", no upper bound"
    text += _costs_at_the_longest(own, other)
    agreement = _ratio_agreement(ratio.paper, low, high)
    if agreement is not Agreement.OPEN:
        agreement = carried(agreement, min(own.seeds, other.seeds))

    return StudyFinding(claim, text, agreement)


def _quotient(above: float | None, below: float | None) -> float | None:
    """A quotient of two bounds; None where one of them is not known, or is longer than any run."""
    if above is None or not below or above >= NEVER or below >= NEVER:
        return None
    return above / below


def _costs_at_the_longest(own: HarmlessInterval, other: HarmlessInterval) -> str:
    """What the longest interval that both arms have costs either, in words."""
    costs = {point.seconds: point.compared.comparison for point in other.points}
    common = [point for point in own.points if point.seconds in costs]
    if not common:
        return ""
    longest = common[-1]
    cost = cost_text(longest.compared.comparison)
    against = cost_text(costs[longest.seconds])
    return f"; {interval_text(longest.seconds)} costs {cost} points, {other.arm} {against}"


def cost_text(comparison: Comparison) -> str:
    """Return a difference of error rates in percent, with its 95 % interval: ``2.1 [0.5, 3.8]``."""
    return f"{100 * comparison.difference:.1f}{bounds_text(comparison, '.1f')}"


def _ratio_agreement(paper: float | None, low: float | None, high: float | None) -> Agreement:
    """Whether bounds of a ratio lie on the paper's side of 1."""
    if paper is None:
        return Agreement.OPEN
    shorter = high is not None and high < 1
    longer = low is not None and low > 1
    if (paper < 1 and shorter) or (paper > 1 and longer):
        return Agreement.AGREE
    if (paper < 1 and longer) or (paper > 1 and shorter):
        return Agreement.DISAGREE
    return Agreement.UNDECIDED

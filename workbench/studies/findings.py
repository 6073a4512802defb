"""What a study found: each claim of the paper with our numbers and a verdict that they carry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.metrics.drift import (
    FEWEST_POINTS,
    closest_sentence,
    correlations_text,
    pool,
    rank_correlations,
)
from workbench.metrics.means import mean_interval
from workbench.metrics.staleness import ExpectedAge, KeptStatistics, expected_outer_age
from workbench.metrics.verdicts import Verdict, VerdictOutcome, judge_all
from workbench.progress import counted
from workbench.studies.drift import auxiliary_sentences, points_by_run
from workbench.studies.finding import Agreement, StudyFinding, bounds_text, carried, weight_of
from workbench.studies.interval_findings import harmless_finding, ratio_finding
from workbench.studies.rows import StudyCell, StudyComparison, StudyResults
from workbench.studies.study import (
    START,
    Expected,
    Faster,
    PaperAges,
    Rising,
    Study,
)

ON_CURVES = {"frame_error": "frame_error", "heldout_mmi": "mmi", "heldout_wer": "wer"}
"""What a held-out measure of a run is called in the rows of its curve."""

OPPOSITE = {
    VerdictOutcome.BETTER: VerdictOutcome.WORSE,
    VerdictOutcome.WORSE: VerdictOutcome.BETTER,
}


def study_findings(study: Study, results: StudyResults) -> list[StudyFinding]:
    """Return the findings of a study, in the order of its claims."""
    verdicts = _verdicts(study, results)
    found = [_expected(expected, results, verdicts) for expected in study.expected]
    found += [_faster(faster, results) for faster in study.faster]
    found += [_rising(rising, results) for rising in study.rising]
    found += [harmless_finding(each, study, results) for each in study.harmless]
    found += [ratio_finding(ratio, study, results) for ratio in study.ratios]
    if study.ages is not None:
        found += _ages(study.ages, results)
    if not found:
        found = _against_first(study, results, verdicts)
    return found + _stable_rates(study, results) + _drift(results)


def overall(found: Sequence[StudyFinding]) -> Agreement:
    """Return one word for all findings: the worst of those that the paper says something about."""
    said = [finding.agreement for finding in found if finding.agreement != Agreement.OPEN]
    if not said:
        return Agreement.OPEN
    for worst in (Agreement.DISAGREE, Agreement.UNDECIDED, Agreement.MISSING):
        if worst in said:
            return worst

    return Agreement.AGREE


# --- test word errors


def _verdicts(study: Study, results: StudyResults) -> dict[tuple[str, str], Verdict]:
    """The verdict on each comparison that the study expects something of, corrected for their
    number; without expectations, on all comparisons with ``against``.
    """
    wanted = [(expected.label, expected.against) for expected in study.expected]
    if not wanted:
        wanted = [(label, study.against) for label in results.labels]
    compared = {pair: results.compare(*pair) for pair in wanted}
    there = {pair: row for pair, row in compared.items() if row is not None}
    judged = judge_all([row.comparison for row in there.values()], study.margin)
    return dict(zip(there, judged, strict=True))


def _expected(
    expected: Expected, results: StudyResults, verdicts: dict[tuple[str, str], Verdict]
) -> StudyFinding:
    """What became of an expectation about test word errors."""
    claim = f"{expected.label} is {expected.outcome} against {expected.against}"
    row = results.compare(expected.label, expected.against)
    if row is None:
        return StudyFinding(claim, "not compared yet", Agreement.MISSING)
    verdict = verdicts[expected.label, expected.against]
    agreement = carried(agreement_of(expected.outcome, verdict), row.seeds)
    return StudyFinding(claim, comparison_text(row, verdict), agreement, weight_of(row))


def agreement_of(expected: VerdictOutcome, verdict: Verdict) -> Agreement:
    """Return whether a verdict is what was expected, the contrary, or neither."""
    outcome = verdict.outcome
    if outcome is VerdictOutcome.IDENTICAL:
        outcome = VerdictOutcome.EQUIVALENT
    if outcome is expected:
        return Agreement.AGREE
    if outcome is VerdictOutcome.UNDECIDED:
        return Agreement.UNDECIDED
    if expected is VerdictOutcome.EQUIVALENT:
        # A difference that was found and is smaller than the margin is no contradiction.
        return Agreement.AGREE if verdict.within_margin else Agreement.DISAGREE

    if outcome is OPPOSITE.get(expected):
        return Agreement.DISAGREE
    return Agreement.DISAGREE if outcome is VerdictOutcome.EQUIVALENT else Agreement.UNDECIDED


def comparison_text(row: StudyComparison, verdict: Verdict) -> str:
    """Return a comparison in words: both error rates, the difference and the verdict."""
    comparison = row.comparison
    change = f"test WER {100 * row.wer_a:.1f} → {100 * row.wer_b:.1f} %"
    bounds = bounds_text(comparison, "+.2f")
    if not bounds:
        return f"{change}, {verdict}"
    return f"{change}, {100 * comparison.difference:+.2f}{bounds}, {verdict}"


def _against_first(
    study: Study, results: StudyResults, verdicts: dict[tuple[str, str], Verdict]
) -> list[StudyFinding]:
    """What a study without expectations found: each label against the one that it names."""
    found = []
    for label, against in verdicts:
        row = results.compare(label, against)
        if row is not None:
            text = comparison_text(row, verdicts[label, against])
            claim = f"{label} against {against}"
            found.append(StudyFinding(claim, text, Agreement.OPEN, weight_of(row)))

    return found


# --- held-out measures and time


def _faster(faster: Faster, results: StudyResults) -> StudyFinding:
    """Whether one label takes less time for its epochs than another, with every common seed."""
    claim = f"{faster.label} takes less time than {faster.than}"
    seconds = [
        (cell.seconds, other.seconds)
        for cell, other in _pairs(results, faster.label, faster.than)
        if cell.seconds and other.seconds
    ]
    if not seconds:
        return StudyFinding(claim, "not run yet", Agreement.MISSING)
    ratios = [slow / fast for fast, slow in seconds]
    text = f"{np.mean(ratios):.1f} times less time on the virtual clock for the same epochs"
    agreement = Agreement.AGREE if min(ratios) > 1 else Agreement.DISAGREE
    seeds = len(ratios)
    return StudyFinding(claim, text, carried(agreement, seeds), counted(seeds, "seed"))


def _rising(rising: Rising, results: StudyResults) -> StudyFinding:
    """Whether a held-out measure is larger for one label, by Student's interval over seeds."""
    claim = f"{rising.measure} of {rising.label} is larger than that of {rising.against}"
    changes = _changes(rising, results)
    if not len(changes):
        return StudyFinding(claim, "not run yet", Agreement.MISSING)
    mean, low, high = mean_interval(changes)
    text = f"changes by {mean:+.4f}"
    if len(changes) < 2:
        return StudyFinding(claim, f"{text}; one seed has no interval", Agreement.UNDECIDED)
    text += f" [{low:+.4f}, {high:+.4f}]"
    agreement = Agreement.UNDECIDED
    if low > 0:
        agreement = Agreement.AGREE
    elif high < 0:
        agreement = Agreement.DISAGREE

    return StudyFinding(claim, text, agreement, counted(len(changes), "seed"))


def _changes(rising: Rising, results: StudyResults) -> np.ndarray:
    """The difference of the measure with each seed."""
    if rising.against == START:
        return np.array(results.changes(rising.label, ON_CURVES[rising.measure]))

    pairs = _pairs(results, rising.label, rising.against)
    both = [(getattr(a, rising.measure), getattr(b, rising.measure)) for a, b in pairs]
    return np.array([a - b for a, b in both if a is not None and b is not None])


def _pairs(results: StudyResults, label: str, other: str) -> list[tuple[StudyCell, StudyCell]]:
    """The runs of two labels, seed by seed."""
    of_other = {cell.seed: cell for cell in results.of_label(other)}
    own = results.of_label(label)
    return [(cell, of_other[cell.seed]) for cell in own if cell.seed in of_other]


# --- rates


def _stable_rates(study: Study, results: StudyResults) -> list[StudyFinding]:
    """The rates that were found for some arms, as multiples of that of the first."""
    rates = {
        cell.arm: cell.learning_rate for cell in results.cells if cell.arm in study.stable_rates
    }
    measure = rates.get(study.stable_rates[0]) if study.stable_rates else None
    found = []
    for arm, rate in rates.items():
        text = f"{rate:g}"
        if measure and rate != measure:
            text += f", {rate / measure:.2g} times that of {study.stable_rates[0]}"
        claim = f"{arm}: the largest stable rate"
        found.append(StudyFinding(claim, text, Agreement.OPEN, "one search"))

    return found


# --- drift


def _drift(results: StudyResults) -> list[StudyFinding]:
    """What turns outer gradients, and what auxiliary functions make of that; none unmeasured."""
    if not results.drifts:
        return []
    runs = {(row.label, row.seed) for row in results.drifts}
    seeds = {seed for _, seed in runs}
    weight = f"{counted(len(runs), 'run')}, {counted(len(seeds), 'seed')}"
    found = []
    pooled = pool(points_by_run(results))
    if len(pooled.points) >= FEWEST_POINTS:
        correlations = rank_correlations(pooled)
        text = f"{correlations_text(pooled, correlations)}; {len(pooled.points):,} utterances"
        claim = "rank correlation of the cosine of stale and fresh outer gradients"
        found.append(StudyFinding(claim, text, Agreement.OPEN, weight))
        claim = "what turns an outer gradient: age in updates, in seconds, or distance"
        text = closest_sentence(pooled, correlations)
        found.append(StudyFinding(claim, text, Agreement.OPEN, weight))

    claim = "what an auxiliary function makes of a stale outer gradient"
    for sentence in auxiliary_sentences(results):
        found.append(StudyFinding(claim, sentence, Agreement.OPEN, weight))
    return found


# --- ages


@dataclass(frozen=True)
class AgePoint:
    """The mean outer age of a run in updates, and what the closed form says of it."""

    cell: StudyCell
    measured: float
    expected: ExpectedAge

    @property
    def error(self) -> float:
        """By how much the measured age lies outside the expected bounds, relative to it."""
        inside = min(max(self.measured, self.expected.low), self.expected.high)
        return abs(self.measured - inside) / max(1.0, self.measured)


def age_points(results: StudyResults) -> list[AgePoint]:
    """Return the ages of all runs whose decoders fetch for each utterance."""
    points = []
    for cell in results.cells:
        if cell.staleness_outer_mean is None or cell.decoder_seconds:
            continue
        expected = expected_age(cell)
        if expected is not None:
            points.append(AgePoint(cell, cell.staleness_outer_mean, expected))

    return points


def expected_age(cell: StudyCell) -> ExpectedAge | None:
    """Return the closed form for a run from the frames that its utterances kept."""
    if cell.kept_mean is None or cell.kept_weighted is None:
        return None
    kept = KeptStatistics(cell.kept_mean, cell.kept_weighted)
    return expected_outer_age(kept, cell.replicas, cell.batch, cell.channel)


def _ages(paper: PaperAges, results: StudyResults) -> list[StudyFinding]:
    """The paper's ages against ours, and the closed form against what was measured."""
    points = age_points(results)
    here = [point for point in points if point.cell.replicas == paper.replicas]
    claim = f"outer gradients of {paper.replicas} replicas"
    found = [
        _age_in_range(
            f"{claim} are {_range(paper.updates)} updates old", here, paper.updates, True
        ),
        _age_in_range(f"{claim} are {_range(paper.seconds)} s old", here, paper.seconds, False),
    ]

    claim = f"the closed form is right within {100 * paper.within:.0f} %"
    if not points:
        return [*found, StudyFinding(claim, "not run yet", Agreement.MISSING)]
    worst = max(points, key=lambda point: point.error)
    right = sum(point.error <= paper.within for point in points)
    text = (
        f"{right} of {len(points)} runs lie within; the worst is {worst.cell.label}: "
        f"{worst.measured:.0f} measured, {worst.expected.low:.0f} to {worst.expected.high:.0f} "
        "expected"
    )

    return [*found, StudyFinding(claim, text, Agreement.OPEN, counted(len(points), "run"))]


def _age_in_range(
    claim: str, points: Sequence[AgePoint], bounds: Sequence[float], updates: bool
) -> StudyFinding:
    """Whether measured ages lie in the paper's range."""
    ages = [
        point.measured if updates else point.cell.staleness_outer_seconds or 0.0 for point in points
    ]
    if not ages:
        return StudyFinding(claim, "not run yet", Agreement.MISSING)
    inside = all(bounds[0] <= age <= bounds[1] for age in ages)
    text = f"{min(ages):,.0f} to {max(ages):,.0f} here"
    seeds = len({point.cell.seed for point in points})
    agreement = carried(Agreement.AGREE if inside else Agreement.DISAGREE, seeds)
    return StudyFinding(claim, text, agreement, counted(seeds, "seed"))


def _range(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"

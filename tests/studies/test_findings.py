"""Verdicts follow from the statistics: rows with known truth, and what is said of them."""

import dataclasses
from collections.abc import Mapping

import pytest
from study_rows import RECORD, cell

from workbench.metrics.significance import Comparison, Unit
from workbench.metrics.staleness import KeptStatistics, expected_outer_age
from workbench.metrics.verdicts import VerdictOutcome, judge
from workbench.studies.figures import draw_errors, draw_intervals
from workbench.studies.finding import Agreement, StudyFinding
from workbench.studies.findings import agreement_of, overall, study_findings
from workbench.studies.gains import draw_gains, gain_points, gain_sentence
from workbench.studies.intervals import NEVER, harmless_interval
from workbench.studies.page import study_document
from workbench.studies.rows import (
    StudyComparison,
    StudyEvaluation,
    StudyResults,
)
from workbench.studies.study import START, arm_name, find_study, size_names, study_names

WORDS = 30_000


def compared(
    arm: str,
    label: str,
    against: str,
    difference: float,
    error: float = 0.001,
    seeds: int = 3,
    seed_error: float | None = 0.0,
) -> StudyComparison:
    """A comparison of 400 speakers with this difference and these standard errors."""
    return StudyComparison(
        arm=arm,
        label=label,
        against=against,
        seeds=seeds,
        wer_a=0.15,
        wer_b=0.15 + difference,
        standard_error=error,
        degrees=399.0,
        seed_error=seed_error,
        words=WORDS,
        units=400,
        unit="speakers",
        identical=False,
    )


def fetch_results(costs: Mapping[str, Mapping[float, float]], error: float = 0.001) -> StudyResults:
    """A study of fetch intervals whose costs in test word errors are known, by arm."""
    cells = []
    rows = []
    for arm, by_interval in costs.items():
        cells.append(cell(arm, f"{arm} 0", decoder_seconds=0.0))
        for seconds, cost in by_interval.items():
            cells.append(cell(arm, f"{arm} {seconds:g}", decoder_seconds=seconds))
            rows.append(compared(arm, f"{arm} {seconds:g}", f"{arm} 0", cost, error))
    return StudyResults(RECORD, cells, rows, [])


def test_the_longest_harmless_interval_has_two_bounds() -> None:
    """It lies between what is shown to be harmless and what is shown to harm."""
    costs = {60.0: 0.003, 300.0: 0.001, 900.0: 0.0045, 1800.0: 0.008, NEVER: 0.02}
    found = harmless_interval(fetch_results({"last": costs}), "last", 0.005)
    assert (found.at_least, found.below) == (300.0, 900.0)
    assert str(found) == "harmless up to 300 s, harmful from 900 s on"


def test_decoders_that_never_fetch_again_are_told_apart() -> None:
    """Where harm, or none, is shown only without any fetch, that is said in words."""
    harmful = harmless_interval(fetch_results({"last": {300.0: 0.001, NEVER: 0.02}}), "last", 0.005)
    assert str(harmful) == "harmless up to 300 s, harmful if parameters are never fetched again"
    harmless = harmless_interval(fetch_results({"last": {NEVER: 0.001}}), "last", 0.005)
    assert str(harmless) == "harmless even if parameters are never fetched again"


def test_a_noisy_study_says_nothing() -> None:
    """With few words no interval is harmless, and none does harm."""
    results = fetch_results({"last": {900.0: 0.001, NEVER: 0.002}}, error=0.01)
    found = harmless_interval(results, "last", 0.005)
    assert (found.at_least, found.below) == (0.0, None)
    (finding,) = study_findings(find_study("e3"), results)
    assert finding.agreement is Agreement.UNDECIDED
    assert "neither harm nor harmlessness" in finding.found


def test_the_search_ends_at_the_first_doubt() -> None:
    """What is harmless beyond an interval that is not, is not called harmless."""
    costs = {60.0: 0.0, 300.0: 0.004, 900.0: 0.0}
    assert harmless_interval(fetch_results({"last": costs}), "last", 0.005).at_least == 60.0


def test_a_run_that_diverged_did_harm() -> None:
    """An interval with a diverged run is not harmless, whatever its other seeds say."""
    results = fetch_results({"last": {60.0: 0.0, 300.0: 0.0}})
    diverged = cell("last", "last 300", decoder_seconds=300.0, state="diverged", seed=1)
    results = dataclasses.replace(results, cells=[*results.cells, diverged])
    found = harmless_interval(results, "last", 0.005)
    assert (found.at_least, found.below) == (60.0, 300.0)


@pytest.mark.parametrize("runs, agreement", [(1, Agreement.UNDECIDED), (3, Agreement.DISAGREE)])
def test_an_interval_that_nothing_survived_ends_the_search(runs: int, agreement: Agreement) -> None:
    """An interval of which every run diverged has no comparison, and does harm all the same; what
    is harmless beyond it does not count.
    """
    diverged = [
        cell("last", "last 300", decoder_seconds=300.0, state="diverged", seed=seed)
        for seed in range(runs)
    ]
    results = fetch_results({"last": {60.0: 0.0, 900.0: 0.0}})
    results = dataclasses.replace(results, cells=[*results.cells, *diverged])
    found = harmless_interval(results, "last", 0.005)
    assert (found.at_least, found.below) == (60.0, 300.0)
    (finding,) = study_findings(find_study("e3"), results)
    assert finding.agreement is agreement
    assert "harmful from 300 s on" in finding.found


def test_a_divergence_alone_is_a_finding() -> None:
    """It is told and drawn without any comparison, unless fetching at once diverged as well."""
    diverged = cell("last", "last 300", decoder_seconds=300.0, state="diverged")
    at_once = cell("last", "last 0", decoder_seconds=0.0)
    study = find_study("e3")
    results = StudyResults(RECORD, [at_once, diverged], [], [])
    (finding,) = study_findings(study, results)
    assert finding.found.startswith("these models of one seed: harmful from 300 s on")
    assert (finding.agreement, finding.weight) == (Agreement.UNDECIDED, "1 seed")
    assert len(draw_intervals(study, results).axes[1].patches) == 2

    no_reference = dataclasses.replace(at_once, state="diverged")
    results = StudyResults(RECORD, [no_reference, diverged], [], [])
    assert study_findings(study, results)[0].agreement is Agreement.MISSING


@pytest.mark.parametrize(
    "cost, agreement",
    [(0.0, Agreement.AGREE), (0.02, Agreement.DISAGREE), (0.002, Agreement.UNDECIDED)],
)
def test_the_paper_is_agreed_with_or_not(cost: float, agreement: Agreement) -> None:
    """Fifteen minutes are harmless, harmful, or neither is shown."""
    results = fetch_results({"last": {900.0: cost}}, error=0.002)
    (finding,) = study_findings(find_study("e3"), results)
    assert finding.agreement is agreement


def test_a_ratio_of_intervals_has_bounds() -> None:
    """All layers halve the interval if its upper bound is below the other's lower one."""
    results = fetch_results(
        {"last": {300.0: 0.0, 900.0: 0.0, 1800.0: 0.02}, "all": {300.0: 0.0, 900.0: 0.02}}
    )
    found = study_findings(find_study("e3a"), results)
    assert [f.agreement for f in found] == [Agreement.UNDECIDED, Agreement.UNDECIDED]
    assert found[1].found.startswith("at least 0.17, at most 1; 900 s costs 2.0 [")

    results = fetch_results(
        {"last": {300.0: 0.0, 900.0: 0.0, 1800.0: 0.02}, "all": {300.0: 0.02, 900.0: 0.02}}
    )
    assert study_findings(find_study("e3a"), results)[1].agreement is Agreement.AGREE


def test_nothing_is_expected_of_an_arm_that_a_size_has_not() -> None:
    """Table 1 has real speech at the largest size only, and is complete without it at others."""
    at_large = [expected.label for expected in find_study("e6").of_size("laptop").expected]
    at_small = [expected.label for expected in find_study("e6").of_size("small").expected]
    assert set(at_large) - set(at_small) == {"speechocean762"}
    assert find_study("e1").of_size("small").expected == find_study("e1").expected


@pytest.mark.parametrize("size", size_names())
@pytest.mark.parametrize("name", study_names())
def test_every_claim_is_of_arms_that_the_size_has(name: str, size: str) -> None:
    """A study whose runs are all done would say for ever that some are missing."""
    study = find_study(name).of_size(size)
    labels = [each.label for each in [*study.expected, *study.faster, *study.rising]]
    arms = [each.arm for each in [*study.harmless, *study.ratios]]
    arms += [ratio.to for ratio in study.ratios]
    assert {arm_name(label) for label in labels} | set(arms) <= {arm.name for arm in study.arms}


def test_an_interval_without_end_bounds_no_ratio() -> None:
    """That never fetching again does harm is told with its cost in both arms, and bounds nothing;
    the arm that is compared with is drawn too.
    """
    results = fetch_results({"last": {300.0: 0.0, NEVER: 0.02}, "all": {300.0: 0.002, NEVER: 0.09}})
    study = find_study("e3a")
    found = study_findings(study, results)[1].found
    assert found.startswith("no lower bound, no upper bound; never fetching again costs 9.0 [")
    assert "points, last 2.0 [" in found

    costs, bars = draw_intervals(study, results).axes
    assert [line.get_label() for line in costs.lines if line.get_label() in ("last", "all")]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["last", "all"]


def comparison(difference: float, error: float) -> Comparison:
    """A comparison of error rates around 15 %."""
    return Comparison(0.15, 0.15 + difference, error, 399.0, WORDS, 400, Unit.SPEAKERS)


@pytest.mark.parametrize(
    "expected, difference, error, agreement",
    [
        (VerdictOutcome.BETTER, -0.02, 0.001, Agreement.AGREE),
        (VerdictOutcome.BETTER, 0.02, 0.001, Agreement.DISAGREE),
        (VerdictOutcome.BETTER, 0.0, 0.001, Agreement.DISAGREE),
        (VerdictOutcome.BETTER, -0.004, 0.003, Agreement.UNDECIDED),
        (VerdictOutcome.EQUIVALENT, 0.0, 0.001, Agreement.AGREE),
        (VerdictOutcome.EQUIVALENT, 0.003, 0.001, Agreement.AGREE),
        (VerdictOutcome.EQUIVALENT, 0.02, 0.001, Agreement.DISAGREE),
        (VerdictOutcome.EQUIVALENT, 0.0, 0.01, Agreement.UNDECIDED),
    ],
)
def test_expectations_meet_verdicts(
    expected: VerdictOutcome, difference: float, error: float, agreement: Agreement
) -> None:
    """No evidence is no agreement, and a difference below the margin does not contradict."""
    assert agreement_of(expected, judge(comparison(difference, error))) is agreement


def test_a_missing_run_is_no_verdict() -> None:
    """A study of which nothing was run says so of every claim."""
    found = study_findings(find_study("e4"), StudyResults(RECORD, [], [], []))
    assert {f.agreement for f in found} == {Agreement.MISSING}
    assert overall(found) is Agreement.MISSING


def test_frame_errors_need_several_seeds() -> None:
    """The change of a held-out measure is judged by its interval over seeds."""
    rows = [
        cell("all", "all", seed=seed, heldout_mmi=-0.011 + 0.0001 * seed, trained="all")
        for seed in range(3)
    ]
    others = [cell("last", "last", seed=seed, heldout_mmi=-0.012) for seed in range(3)]
    results = StudyResults(RECORD, [*others, *rows], [], [])
    assert study_findings(find_study("e5"), results)[-1].agreement is Agreement.AGREE
    one = StudyResults(RECORD, [others[0], rows[0]], [], [])
    assert study_findings(find_study("e5"), one)[-1].agreement is Agreement.UNDECIDED


def test_ages_are_held_against_the_paper_and_the_closed_form() -> None:
    """Fifty replicas far older than the paper's disagree, though the closed form says so too."""
    kept = KeptStatistics(36.0, 50.0)
    low = expected_outer_age(kept, 50, 32, 4).low
    there = cell(
        "asgd",
        "asgd",
        replicas=50,
        kept_mean=36.0,
        kept_weighted=50.0,
        staleness_outer_mean=1.1 * low,
        staleness_outer_seconds=60.0,
    )
    study = find_study("e7")
    again = dataclasses.replace(there, seed=1)
    results = StudyResults(RECORD, [there, again], [], [])
    updates, seconds, form = study_findings(study, results)
    assert (updates.agreement, seconds.agreement) == (Agreement.DISAGREE, Agreement.AGREE)
    assert form.found.startswith("2 of 2 runs")

    alone = study_findings(study, StudyResults(RECORD, [there], [], []))
    assert [f.agreement for f in alone[:2]] == [Agreement.UNDECIDED] * 2
    assert [f.weight for f in alone] == ["1 seed", "1 seed", "1 run"]


def test_one_seed_does_not_say_which_is_faster() -> None:
    """Less time with every one of several seeds agrees; with a single one it is undecided."""
    study = find_study("e2")
    faster = study.faster[0]
    cells = [
        cell(label, label, seed=seed, seconds=seconds)
        for seed in range(2)
        for label, seconds in ((faster.label, 10.0), (faster.than, 100.0))
    ]

    def finding(count: int) -> StudyFinding:
        found = study_findings(study, StudyResults(RECORD, cells[:count], [], []))
        return found[len(study.expected)]

    assert finding(4).agreement is Agreement.AGREE
    assert (finding(2).agreement, finding(2).weight) == (Agreement.UNDECIDED, "1 seed")


def test_frame_errors_go_across_and_word_errors_up() -> None:
    """As in the paper's figure 6 and in reports on sweeps; half an evaluation is left out."""
    points = [(0.0, 0.4, 0.3), (1.0, 0.5, None), (2.0, 0.6, 0.2)]
    curves = [
        dataclasses.replace(evaluation("mmi", epochs, 0.0), frame_error=frames, wer=words)
        for epochs, frames, words in points
    ]
    results = StudyResults(RECORD, [cell("mmi", "mmi")], [], curves)
    (ax,) = draw_errors(find_study("e4"), results).axes
    assert list(ax.lines[0].get_xdata()) == [40.0, 60.0]
    assert list(ax.lines[0].get_ydata()) == [30.0, 20.0]
    assert ax.get_xlabel().startswith("frame error")


def test_one_seed_decides_nothing() -> None:
    """Whatever its words say, another seed may say something else; with three their scatter
    counts.
    """
    study = find_study("e4")
    cells = [cell("mmi", "mmi")]

    def agreement(row: StudyComparison) -> Agreement:
        return study_findings(study, StudyResults(RECORD, cells, [row], []))[0].agreement

    assert agreement(compared("mmi", "mmi", START, -0.02)) is Agreement.AGREE
    alone = compared("mmi", "mmi", START, -0.02, seeds=1, seed_error=None)
    assert agreement(alone) is Agreement.UNDECIDED
    scattered = compared("mmi", "mmi", START, -0.02, seed_error=0.01)
    assert agreement(scattered) is Agreement.UNDECIDED
    assert scattered.comparison.standard_error == pytest.approx(0.01005, rel=1e-3)
    assert 2.0 < scattered.comparison.degrees < 2.1


def evaluation(label: str, epochs: float, mmi: float) -> StudyEvaluation:
    """A point of a held-out curve."""
    return StudyEvaluation(
        arm="a",
        label=label,
        seed=0,
        epochs=epochs,
        updates=0,
        seconds=0.0,
        mmi=mmi,
        ce=None,
        wer=None,
        frame_error=None,
    )


def test_gains_of_the_criterion_are_held_against_gains_in_words() -> None:
    """Settings that raise F_MMI most lower word errors most, but for one of contrary signs."""
    gains = {"a": (0.003, -0.02), "b": (0.002, -0.01), "c": (0.001, 0.002), "d": (-0.001, 0.01)}
    cells = [cell("a", label) for label in gains]
    rows = [compared("a", label, START, words) for label, (_, words) in gains.items()]
    curves = [
        evaluation(label, epochs, epochs * criterion)
        for label, (criterion, _) in gains.items()
        for epochs in (0.0, 1.0)
    ]
    results = StudyResults(RECORD, cells, rows, curves)
    points = gain_points([results, results])
    assert [point.label for point in points] == list(gains)
    assert "correlation of gains in F_MMI and in test words is 1.00" in gain_sentence(points)
    assert "in 1 of them they have contrary signs" in gain_sentence(points)
    assert len(draw_gains(points).axes[0].containers) == 1
    assert "too few" in gain_sentence(points[:2])


def test_found_rates_are_told_as_multiples_of_the_first() -> None:
    """The largest stable rate of each arm that the study names, where it has run."""
    rates = {"frozen": 0.005, "reweighted": 0.02}
    cells = [
        cell(f"{name} 50 replicas", f"{name} 50 replicas", learning_rate=rate)
        for name, rate in rates.items()
    ]
    study = find_study("auxiliary")
    found = study_findings(study, StudyResults(RECORD, cells, [], []))
    told = {f.claim: f.found for f in found if "stable rate" in f.claim}
    assert told == {
        "frozen 50 replicas: the largest stable rate": "0.005",
        "reweighted 50 replicas: the largest stable rate": (
            "0.02, 4 times that of frozen 50 replicas"
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", study_names())
def test_a_study_of_which_little_has_run_has_a_page(name: str) -> None:
    """Figures without points are drawn, and the page says what is missing."""
    record = dataclasses.replace(RECORD, study=name)
    nothing = StudyResults(record, [], [], [])
    one = StudyResults(record, [cell("last", "last 0", decoder_seconds=0.0)], [], [])
    for results in (nothing, one):
        page = study_document(results).html()
        assert find_study(name).title in page

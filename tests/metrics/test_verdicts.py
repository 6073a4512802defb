"""Verdicts against a truth that is known: how often they are wrong, and what they ask for."""

import numpy as np
import pytest

from workbench.metrics.significance import Comparison, Unit, estimate_rate
from workbench.metrics.verdicts import (
    VerdictOutcome,
    detectable_difference,
    equivalence_p,
    holm,
    judge,
    judge_all,
)
from workbench.settings import rng

TRIALS = 2000
BASE = 0.15  # word error rate of the first system


def comparisons(speakers: int, words: int, difference: float, own: float = 0.04):
    """Comparisons of systems whose error rates differ by ``difference`` over all voices.

    Each voice suits each system more or less (standard deviation ``own``), so its utterances are
    not independent. Voices say between half as many words as ``words`` and half as many again.
    """
    stream = rng(0, "voices", str(speakers), str(words), str(difference))
    shape = (TRIALS, speakers)
    said = stream.integers(words // 2, words + words // 2 + 1, shape)
    a = stream.binomial(said, BASE + own * stream.uniform(-1.7, 1.7, shape))
    b = stream.binomial(said, BASE + difference + own * stream.uniform(-1.7, 1.7, shape))

    found = estimate_rate(b - a, said)
    return [
        Comparison(
            wer_a=a[i].sum() / said[i].sum(),
            wer_b=b[i].sum() / said[i].sum(),
            standard_error=float(found.standard_error[i]),
            degrees=float(found.degrees[i]),
            words=int(said[i].sum()),
            units=speakers,
            unit=Unit.SPEAKERS,
        )
        for i in range(TRIALS)
    ]


def share(found, *outcomes: VerdictOutcome, margin: float = 0.005) -> float:
    """How often the verdict is one of ``outcomes``."""
    return float(np.mean([judge(each, margin).outcome in outcomes for each in found]))


@pytest.mark.parametrize("speakers, words", [(12, 60), (20, 100), (80, 60), (300, 40)])
def test_one_in_twenty_equal_systems_is_called_different(speakers: int, words: int) -> None:
    """Where nothing differs, *better* and *worse* are said in 5 % of 2,000 trials, give or take 1,
    though voices differ in which system suits them.
    """
    wrong = share(comparisons(speakers, words, 0.0), VerdictOutcome.BETTER, VerdictOutcome.WORSE)
    assert wrong == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("speakers", [3, 4, 6])
def test_few_speakers_keep_the_level(speakers: int) -> None:
    """From three speakers on no more than 6 % of equal systems are called different."""
    assert (
        share(comparisons(speakers, 200, 0.0), VerdictOutcome.BETTER, VerdictOutcome.WORSE) < 0.06
    )


@pytest.mark.parametrize("speakers, words, margin", [(80, 400, 0.02), (300, 200, 0.01)])
def test_one_in_twenty_systems_at_the_margin_is_called_equivalent(
    speakers: int, words: int, margin: float
) -> None:
    """Where the difference is the margin, equivalence is claimed in 5 % of the trials, give or
    take 1.
    """
    found = comparisons(speakers, words, margin)
    claimed = np.mean([judge(each, margin).within_margin for each in found])
    assert claimed == pytest.approx(0.05, abs=0.01)


def test_a_detectable_difference_is_found_four_times_in_five() -> None:
    """Where systems differ by the smallest detectable difference, 80 % of the trials find it."""
    size = float(np.median([detectable_difference(each) for each in comparisons(80, 60, 0.0)]))
    found = comparisons(80, 60, size)
    assert share(found, VerdictOutcome.WORSE) == pytest.approx(0.8, abs=0.04)
    assert share(found, VerdictOutcome.BETTER) < 0.005


def test_the_words_that_are_asked_for_are_enough() -> None:
    """With as many words as undecided verdicts ask for, equal systems are found equivalent in at
    least 80 % of the trials (Holm aside).
    """
    margin = 0.01
    few = comparisons(80, 60, 0.0)
    verdicts = [judge(each, margin) for each in few]
    needed = [v.words_needed for v in verdicts if v.words_needed is not None]
    assert len(needed) > 0.9 * TRIALS
    assert min(needed) > 0
    factor = 1 + float(np.median(needed)) / few[0].words
    more = comparisons(round(80 * factor), 60, 0.0)
    assert (
        share(
            more,
            VerdictOutcome.EQUIVALENT,
            VerdictOutcome.BETTER,
            VerdictOutcome.WORSE,
            margin=margin,
        )
        > 0.8
    )


def comparison(difference: float, error: float, **changes) -> Comparison:
    """A comparison of 80 speakers with this difference and standard error."""
    given = {
        "wer_a": 0.2,
        "wer_b": 0.2 + difference,
        "standard_error": error,
        "degrees": 79.0,
        "words": 5000,
        "units": 80,
        "unit": Unit.SPEAKERS,
    }
    return Comparison(**{**given, **changes})


@pytest.mark.parametrize(
    "found, outcome, text",
    [
        (comparison(-0.02, 0.004), "better", "better (p < 0.001)"),
        (comparison(0.01, 0.004), "worse", "worse (p = 0.014)"),
        (comparison(0.001, 0.001), "equivalent", "equivalent within 0.5 % absolute (p < 0.001)"),
        (
            comparison(-0.003, 0.001),
            "better",
            "better (p = 0.004), by less than 0.5 % absolute",
        ),
        (
            comparison(0.004, 0.004),
            "undecided",
            "undecided (p = 0.32), about 23,000 more words needed for 0.5 % absolute",
        ),
        (
            comparison(0.02, 0.001, units=2),
            "undecided",
            "undecided: the test set has 2 speakers, and a test needs 3",
        ),
        (
            comparison(0.02, 0.0, units=1),
            "undecided",
            "undecided: the test set has 1 speaker, and a test needs 3",
        ),
        (
            comparison(0.0, 0.0, identical=True),
            "identical",
            "identical: both are the same model, so what differs has no effect",
        ),
        (
            comparison(0.0, 0.0, units=4),
            "undecided",
            "undecided: all 4 speakers differ by the same, so chance is unknown",
        ),
        (comparison(0.0, 0.0), "equivalent", "equivalent within 0.5 % absolute (p < 0.001)"),
    ],
)
def test_verdicts_in_words(found: Comparison, outcome: str, text: str) -> None:
    """Every outcome is said with its p-value, its margin, or what is missing."""
    verdict = judge(found)
    assert verdict.outcome == outcome
    assert str(verdict) == text


def test_an_undecided_comparison_always_needs_more() -> None:
    """However the difference lies to the margin, an undecided verdict asks for more words."""
    for difference in np.linspace(-0.02, 0.02, 41):
        for error in (0.001, 0.002, 0.003, 0.01):
            verdict = judge(comparison(float(difference), error))
            undecided = verdict.outcome is VerdictOutcome.UNDECIDED
            assert (verdict.words_needed is not None) == undecided
            if undecided:
                assert verdict.words_needed > 0


def test_the_margin_decides_what_is_equivalent() -> None:
    """The same comparison is undecided at a small margin and equivalent at a large one."""
    found = comparison(0.001, 0.003)
    outcomes = [judge(found, margin).outcome for margin in (0.002, 0.01)]
    assert outcomes == [VerdictOutcome.UNDECIDED, VerdictOutcome.EQUIVALENT]
    assert equivalence_p(found, 0.002) > equivalence_p(found, 0.01)


def test_holm_is_holms() -> None:
    """The correction is that of Holm's example: the smallest p times n, the next times n - 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_several_comparisons_are_corrected() -> None:
    """p = 0.014 is a difference alone and none among five; identical ones are no tests."""
    alone = comparison(0.01, 0.004)
    same = comparison(0.0, 0.0, identical=True)
    assert judge_all([alone, same])[0].outcome is VerdictOutcome.WORSE
    among = judge_all([alone] + 4 * [comparison(0.004, 0.004)])
    assert among[0].outcome is VerdictOutcome.UNDECIDED
    assert among[0].comparisons == 5
    assert among[0].detectable > judge(alone).detectable


def test_among_equal_systems_some_are_called_different_once_in_twenty() -> None:
    """Of five systems that all equal the baseline, one or more is called different in at most 6 %
    of the trials, and without the correction in far more.
    """
    found = comparisons(20, 100, 0.0)
    families = [found[i : i + 5] for i in range(0, TRIALS, 5)]
    different = (VerdictOutcome.BETTER, VerdictOutcome.WORSE)
    corrected = [any(v.outcome in different for v in judge_all(f)) for f in families]
    apart = [any(judge(each).outcome in different for each in f) for f in families]
    assert np.mean(corrected) < 0.07
    assert np.mean(apart) > 0.15

"""The bootstrap against kaldialign's, against theory, and where the answer is known."""

import kaldialign
import numpy as np
import pytest

from workbench.metrics.significance import bootstrap_interval, paired_bootstrap, verdict
from workbench.metrics.words import WordErrors, total_errors, word_errors
from workbench.settings import rng


def corpus(wrong, utterances=300):
    """References of 1 to 8 words, and what a recogniser that errs so often makes of them."""
    stream = rng(0, "references")
    lengths = stream.integers(1, 9, utterances)
    references = [[f"w{i}" for i in stream.integers(0, 50, n)] for n in lengths]

    stream = rng(0, "errors", str(wrong))
    hypotheses = []
    for reference in references:
        hypothesis = []
        for word in reference:
            if stream.random() > wrong / 4:
                hypothesis.append("x" if stream.random() < wrong else word)
        hypotheses.append(hypothesis)
    return references, hypotheses


def errors(refs, hyps):
    """The errors of each utterance."""
    return [word_errors(ref, hyp) for ref, hyp in zip(refs, hyps, strict=True)]


def test_interval_is_kaldialigns():
    """Middle and width agree with kaldialign's, which assumes a normal distribution."""
    refs, hyps = corpus(0.15)
    theirs = kaldialign.bootstrap_wer_ci(refs, hyps)
    ours = bootstrap_interval(errors(refs, hyps))
    assert ours.wer == total_errors(errors(refs, hyps)).wer
    assert ours.low == pytest.approx(theirs["ci95min"], abs=0.1 * theirs["ci95"])
    assert ours.high == pytest.approx(theirs["ci95max"], abs=0.1 * theirs["ci95"])


@pytest.mark.parametrize("other", [0.13, 0.18])
def test_improvement_is_kaldialigns(other):
    """The probability of improvement is kaldialign's; p is twice that of the unlikelier side."""
    refs, a = corpus(0.15)
    _, b = corpus(other)
    theirs = kaldialign.bootstrap_wer_ci(refs, a, b)["p_s2_improv_over_s1"]
    found = paired_bootstrap(errors(refs, a), errors(refs, b))
    assert found.improvement == pytest.approx(theirs, abs=0.02)
    assert found.p == pytest.approx(2 * min(theirs, 1 - theirs), abs=0.04)


def test_interval_is_that_of_the_binomial():
    """For one-word utterances the standard error is known: sqrt(p (1 - p) / n)."""
    found = bootstrap_interval([WordErrors(int(i % 5 == 0), 0, 0, 1) for i in range(1000)])
    half = 1.96 * np.sqrt(0.2 * 0.8 / 1000)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), abs=0.1 * half)


def test_the_same_seed_gives_the_same_answer():
    """Seeds decide everything, and another seed changes little."""
    each = errors(*corpus(0.2))
    assert (
        bootstrap_interval(each, seed=1)
        == bootstrap_interval(each, seed=1)
        != bootstrap_interval(each, seed=2)
    )
    assert bootstrap_interval(each, seed=1).low == pytest.approx(
        bootstrap_interval(each, seed=2).low, abs=0.01
    )


def test_equal_systems_do_not_differ():
    """A system against itself has p = 1, and no probability of improvement."""
    each = errors(*corpus(0.2))
    found = paired_bootstrap(each, each)
    assert (found.p, found.improvement, found.low, found.high) == (1.0, 0.0, 0.0, 0.0)


def test_exchanging_the_systems_changes_signs_only():
    """p is two-sided: it does not matter which system is called a."""
    refs, a = corpus(0.15)
    _, b = corpus(0.18)
    one = paired_bootstrap(errors(refs, a), errors(refs, b))
    other = paired_bootstrap(errors(refs, b), errors(refs, a))
    assert one.p == pytest.approx(other.p, abs=0.005)  # 10,000 draws, not the same ones
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.002)


def test_pairing_finds_what_separate_intervals_do_not():
    """One word fewer wrong in every tenth utterance is significant, though intervals overlap."""
    a = [WordErrors(i % 7, 0, 0, 8) for i in range(400)]
    b = [WordErrors(max(0, i % 7 - (i % 10 == 0)), 0, 0, 8) for i in range(400)]
    assert paired_bootstrap(a, b).p < 0.001
    assert bootstrap_interval(b).high > bootstrap_interval(a).low


def test_p_is_uniform_where_nothing_differs():
    """Two systems with the same error rate are called different at 5 % about 5 % of the time.

    The limits are those of 300 tries, about 4 standard errors to each side.
    """
    stream = rng(0, "null")
    found = []
    for _ in range(300):
        wrong_a, wrong_b = stream.binomial(4, 0.2, (2, 120))
        a = [WordErrors(int(n), 0, 0, 4) for n in wrong_a]
        b = [WordErrors(int(n), 0, 0, 4) for n in wrong_b]
        found.append(paired_bootstrap(a, b, draws=400).p)
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.10
    assert 0.38 < np.mean(np.array(found) < 0.5) < 0.62


def test_what_cannot_be_compared_is_refused():
    """Other utterances, or none with words, are a mistake and no p-value."""
    some = [WordErrors(0, 0, 0, 3)]
    with pytest.raises(ValueError, match="not measured on the same utterances"):
        paired_bootstrap(some, [WordErrors(0, 0, 0, 2)])
    with pytest.raises(ValueError, match="not measured on the same utterances"):
        paired_bootstrap(some, some * 2)
    for none in ([], [WordErrors(0, 0, 1, 0)]):
        with pytest.raises(ValueError, match="no words"):
            bootstrap_interval(none)


def test_empty_references_among_others():
    """Draws that happen to hold no reference words are left out: every limit is a number."""
    found = bootstrap_interval([WordErrors(0, 0, 1, 0), WordErrors(1, 0, 0, 2)])
    assert np.isfinite([found.low, found.high]).all()


def test_verdicts():
    """A p-value is said in words, with the direction, and never as zero."""
    assert verdict(0.2134, 0.13, 0.12) == "not significant (p = 0.21)"
    assert verdict(0.004, 0.13, 0.109) == "significantly better (p = 0.004)"
    assert verdict(0.0001, 0.1, 0.2) == "significantly worse (p < 0.001)"
    assert verdict(0.05, 0.13, 0.12) == "not significant (p = 0.050)"

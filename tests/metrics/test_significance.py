"""Intervals and comparisons against kaldialign, sclite and theory, and where the truth is known."""

import subprocess
from pathlib import Path

import kaldialign
import numpy as np
import pytest
from scipy import stats

from workbench.metrics.significance import (
    Comparison,
    Unit,
    compare_errors,
    error_interval,
    estimate_rate,
)
from workbench.metrics.words import WordErrors, total_errors, word_errors
from workbench.settings import rng

SCTK = Path("/usr/lib/sctk/bin")  # where Debian puts what its command `sctk` starts


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
    """Without speakers, middle and width agree with kaldialign's bootstrap over utterances."""
    refs, hyps = corpus(0.15)
    theirs = kaldialign.bootstrap_wer_ci(refs, hyps)
    ours = error_interval(errors(refs, hyps))
    assert ours.wer == total_errors(errors(refs, hyps)).wer
    assert ours.low == pytest.approx(theirs["ci95min"], abs=0.1 * theirs["ci95"])
    assert ours.high == pytest.approx(theirs["ci95max"], abs=0.1 * theirs["ci95"])
    assert (ours.unit, ours.units, ours.speakers) == (Unit.UTTERANCES, 300, None)


@pytest.mark.parametrize("other", [0.13, 0.18])
def test_p_is_kaldialigns(other):
    """p is twice that of the unlikelier side of kaldialign's bootstrap."""
    refs, a = corpus(0.15)
    _, b = corpus(other)
    theirs = kaldialign.bootstrap_wer_ci(refs, a, b)["p_s2_improv_over_s1"]
    found = compare_errors(errors(refs, a), errors(refs, b))
    assert found.p == pytest.approx(2 * min(theirs, 1 - theirs), abs=0.04)


@pytest.mark.skipif(not (SCTK / "sclite").exists(), reason="Debian's sctk is not installed")
@pytest.mark.parametrize("other", [0.13, 0.16, 0.18])
def test_p_is_that_of_sctks_matched_pairs(other, tmp_path):
    """p is that of sclite's matched pairs of sentence segments, about.

    Its segments are stretches of errors between words that both systems recognised. They are not
    our utterances, but nearly so where utterances are short.
    """
    refs, a = corpus(0.15)
    _, b = corpus(other)
    _write_trn(tmp_path / "ref", refs)
    sgml = b""
    for name, hyps in (("a", a), ("b", b)):
        _write_trn(tmp_path / name, hyps)
        files = [*("-r", tmp_path / "ref", "trn"), *("-h", tmp_path / name, "trn", name)]
        scored = [SCTK / "sclite", *files, "-i", "rm", "-o", "sgml", "stdout"]
        sgml += subprocess.run(scored, capture_output=True, check=True, cwd=tmp_path).stdout
    tests = [SCTK / "sc_stats", "-p", "-t", "mapsswe", "-u", "-n", tmp_path / "result"]
    subprocess.run(tests, input=sgml, capture_output=True, check=True, cwd=tmp_path)
    lines = (tmp_path / "result.stats.unified").read_text().splitlines()
    row = next(line for line in lines if line.startswith("|     MP     ||  a"))
    theirs = float(row.split("|")[5].split()[1])
    found = compare_errors(errors(refs, a), errors(refs, b))
    assert found.p == pytest.approx(theirs, abs=0.03)


def _write_trn(path, sentences):
    """The sentences as sclite reads them, all by one speaker."""
    lines = [f"{' '.join(words)} (s_{i:04})\n" for i, words in enumerate(sentences)]
    path.write_text("".join(lines))


def test_interval_is_that_of_the_binomial():
    """For one-word utterances the standard error is known: sqrt(p (1 - p) / n)."""
    found = error_interval([WordErrors(int(i % 5 == 0), 0, 0, 1) for i in range(1000)])
    half = 1.96 * np.sqrt(0.2 * 0.8 / 1000)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), abs=0.01 * half)


def test_speakers_of_one_size_are_students():
    """With equally many words per speaker, interval and p are those of a paired t-test."""
    stream = rng(0, "speakers")
    a, b = stream.integers(0, 10, (2, 12))
    before = [WordErrors(int(n), 0, 0, 25) for n in a]
    after = [WordErrors(int(n), 0, 0, 25) for n in b]
    found = compare_errors(before, after, range(12))
    theirs = stats.ttest_rel(b / 25, a / 25)
    limits = theirs.confidence_interval()
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert (found.units, found.unit, found.degrees) == (12, Unit.SPEAKERS, 11)


def test_utterances_of_a_speaker_are_one_unit():
    """An utterance said five times by the same voice tells nothing new: the interval stays."""
    stream = rng(0, "repeated")
    once = [WordErrors(int(n), 0, 0, 8) for n in stream.integers(0, 5, 30)]
    speakers = [f"s{i}" for i in range(30)]
    single = error_interval(once, speakers)
    repeated = error_interval(once * 5, speakers * 5)
    assert (repeated.low, repeated.high) == pytest.approx((single.low, single.high))
    assert repeated.units == 30
    blind = error_interval(once * 5)
    assert blind.high - blind.low < 0.5 * (repeated.high - repeated.low)

    other = [WordErrors(int(n), 0, 0, 8) for n in stream.integers(0, 5, 30)]
    apart = compare_errors(once, other, speakers)
    assert compare_errors(once * 5, other * 5, speakers * 5).p == pytest.approx(apart.p)


def test_a_speaker_who_says_most_leaves_few_degrees():
    """Degrees of freedom are those of the effective number of speakers, never below one."""
    words = np.array([[10, 10, 10, 10], [1000, 1, 1, 1]])
    found = estimate_rate(np.array([[1, 2, 3, 4], [100, 0, 1, 0]]), words)
    assert list(found.degrees) == [3, 1]


@pytest.mark.parametrize("voices", [1, 2])
def test_one_or_two_voices_have_no_p(voices):
    """From two voices nothing is learnt about others: no p; the interval is of these voices."""
    each = errors(*corpus(0.2))
    speakers = [f"s{i % voices}" for i in range(len(each))]
    found = compare_errors(each, [WordErrors(0, 0, 0, e.reference) for e in each], speakers)
    assert (found.p, found.low, found.high) == (None, None, None)
    assert (found.units, found.enough_units) == (voices, False)

    interval = error_interval(each, speakers)
    assert (interval.unit, interval.speakers) == (Unit.UTTERANCES, voices)
    assert (interval.low, interval.high) == (error_interval(each).low, error_interval(each).high)


def test_few_voices_that_all_differ_by_the_same_have_no_p():
    """Their chance is unknown, so there is neither a p-value nor an interval without width."""
    speakers = [f"s{i // 5}" for i in range(20)]
    before = [WordErrors(1, 0, 0, 8)] * 20
    for after in (before, [WordErrors(2, 0, 0, 8)] * 20):
        found = compare_errors(before, after, speakers)
        assert (found.units, found.testable) == (4, False)
        assert (found.p, found.low, found.high) == (None, None, None)


def test_equal_systems_do_not_differ():
    """A system against itself has p = 1 and an interval without width."""
    each = errors(*corpus(0.2))
    found = compare_errors(each, each)
    assert (found.p, found.low, found.high) == (1.0, 0.0, 0.0)


def test_exchanging_the_systems_changes_signs_only():
    """p is two-sided: it does not matter which system is called a."""
    refs, a = corpus(0.15)
    _, b = corpus(0.18)
    one = compare_errors(errors(refs, a), errors(refs, b))
    other = compare_errors(errors(refs, b), errors(refs, a))
    assert one.p == pytest.approx(other.p)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_pairing_finds_what_separate_intervals_do_not():
    """One word fewer wrong in every tenth utterance is found, though intervals overlap."""
    a = [WordErrors(i % 7, 0, 0, 8) for i in range(400)]
    b = [WordErrors(max(0, i % 7 - (i % 10 == 0)), 0, 0, 8) for i in range(400)]
    assert compare_errors(a, b).p < 0.001
    assert error_interval(b).high > error_interval(a).low


def test_what_cannot_be_compared_is_refused():
    """Other utterances, or none with words, are a mistake and no p-value."""
    some = [WordErrors(0, 0, 0, 3)]
    with pytest.raises(ValueError, match="not measured on the same utterances"):
        compare_errors(some, [WordErrors(0, 0, 0, 2)])
    with pytest.raises(ValueError, match="not measured on the same utterances"):
        compare_errors(some, some * 2)
    for none in ([], [WordErrors(0, 0, 1, 0)]):
        with pytest.raises(ValueError, match="no words"):
            error_interval(none)
        with pytest.raises(ValueError, match="no words"):
            compare_errors(none, none)


def test_empty_references_among_others():
    """Utterances without words count their insertions; a single one with words has no interval."""
    several = [WordErrors(0, 0, 1, 0), WordErrors(1, 0, 0, 2), WordErrors(0, 0, 0, 3)]
    found = error_interval(several)
    assert found.low <= found.wer == 2 / 5 <= found.high
    single = error_interval(several[:2])
    assert (single.wer, single.low, single.high) == (1.0, None, None)


def test_a_comparison_is_kept_as_its_fields():
    """The fields of a comparison are plain values, and make the same comparison again."""
    found = compare_errors(errors(*corpus(0.15)), errors(*corpus(0.15)))
    assert all(isinstance(value, int | float | str) for value in vars(found).values())
    assert Comparison(**vars(found)) == found

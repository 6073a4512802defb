"""Recognition with a trained model: the test set, scales chosen on held-out data, audio files."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.corpus.audio import AudioError, read_audio, read_header
from workbench.corpus.candidate import LONGEST
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.frames.window import utterance_windows
from workbench.features import Normalisation, extract_features
from workbench.hmm.graphs.graph import NoPath
from workbench.hmm.scores import BadScores
from workbench.metrics.significance import (
    Comparison,
    compare_errors,
    error_interval,
)
from workbench.metrics.tested import FIRST_TESTS, TestedRun, compare_tested
from workbench.metrics.words import WordErrors, total_errors, word_errors
from workbench.model.threads import one_thread
from workbench.prepare.reading import read_language_model
from workbench.progress import Progress, no_progress
from workbench.recognise.recogniser import SEARCH, Recogniser, Search, Words
from workbench.recognise.scale_grid import Scales, best_scales, search_grid
from workbench.runs import language_digest, parent_run, trained_model
from workbench.runs.posteriors import with_posteriors
from workbench.runs.task import Task
from workbench.sequence.occupancy import best_path
from workbench.sequence.search import search
from workbench.settings import UserError
from workbench.storage.run import Run, find_run
from workbench.storage.transcripts import Transcripts, write_transcripts

LM_SCALES = (0.6, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5)
ACOUSTIC_FACTORS = (0.7, 1.0, 1.5, 2.0)
"""Factors of the acoustic scale that was trained with."""

HELDOUT_MOST = 400
"""Held-out utterances on which scales are chosen, at most."""

TUNED_UTTERANCES = 300
"""Held-out utterances on which `tune` measures, at most."""


# --- the test set


@one_thread()
def test(
    run: Run,
    progress: Progress | None = None,
    search: Search = SEARCH,
    language: Path | None = None,
) -> Run:
    """Measure the test word error rate of ``run`` with the n-gram, and return the run.

    Scales are chosen on held-out data, see `with_best_scales`. The run's folder keeps the
    transcripts, its summary the numbers and, if the run that this one started from was tested on
    the same test set by the same search, the comparison with it. ``language``: an ARPA file in the
    place of the corpus's n-gram.
    """
    report = progress or no_progress
    recogniser = with_language(Recogniser.of(run, search), language)
    used = language_digest(recogniser.task.corpus, language)  # of the files as they are now
    recogniser = with_best_scales(recogniser, report, _scales_of_parent(run, used, recogniser))
    store = recogniser.task.corpus.split("test")
    scale = recogniser.lm_scale
    found = recogniser.transcripts(store, range(len(store)), [scale], report, "test, n-gram")
    transcripts = Transcripts(
        references=dict(zip(store.ids, store.words, strict=True)),
        hypotheses={u: by_scale[0] for u, by_scale in zip(store.ids, found.words, strict=True)},
        speakers=known_speakers(store),
    )
    write_transcripts(run.folder, transcripts)
    searched = replace(
        run.summary,
        test_search=recogniser.description,
        test_language=used,
        lm_scale=scale,
        test_acoustic_scale=recogniser.acoustic_scale,
        test_no_path=found.no_path,
    )
    run.write_summary(searched)
    summarise_test(run)
    return run


def with_language(recogniser: Recogniser, language: Path | None) -> Recogniser:
    """Return the recogniser with the n-gram of an ARPA file; None leaves that of the corpus."""
    if language is None:
        return recogniser
    model = read_language_model(language, recogniser.task.corpus.lexicon)
    return replace(recogniser, language=model)


def known_speakers(store: FrameStore) -> dict[str, str] | None:
    """Return the speaker of each utterance; None if every utterance is called its own speaker."""
    speakers = dict(zip(store.ids, store.speakers, strict=True))
    unknown = all(utterance == speaker for utterance, speaker in speakers.items())
    return None if unknown else speakers


def summarise_test(run: Run) -> None:
    """Write the numbers of a run's transcripts of the test set to its summary."""
    tested = TestedRun.of(run)
    errors = total_errors(tested.errors)
    interval = error_interval(tested.errors, tested.speakers)
    comparison, reason = _comparison_with_parent(run, tested)
    summary = replace(
        run.summary,
        test_wer=errors.wer,
        test_wer_low=interval.low,
        test_wer_high=interval.high,
        test_unit=str(interval.unit),
        test_speakers=interval.speakers,
        test_utterances=len(tested.utterances),
        test_sub=errors.substitutions,
        test_del=errors.deletions,
        test_ins=errors.insertions,
        test_words=errors.reference,
        p_value=comparison.p if comparison else None,
        comparison=asdict(comparison) if comparison else None,
        not_compared=reason,
    )
    run.write_summary(summary)


class _ParentComparison(NamedTuple):
    """The comparison with the run that a run started from, or why there is none."""

    comparison: Comparison | None
    reason: str


def _comparison_with_parent(run: Run, tested: TestedRun) -> _ParentComparison:
    parent = run.record.parent_run
    if parent is None:
        return _ParentComparison(None, "")
    try:
        before = TestedRun.of(find_run(parent))
        return _ParentComparison(compare_tested([before], [tested]), "")
    except UserError as reason:  # the numbers of this run do not need the other
        return _ParentComparison(None, str(reason))


class RecognitionScales(NamedTuple):
    """The scales of acoustic scores and of the n-gram."""

    acoustic: float
    lm: float


def _scales_of_parent(run: Run, language: str, recogniser: Recogniser) -> RecognitionScales | None:
    """Return the scales with which the run that this one started from was tested.

    None if there is none, or if it was tested by another search or language model.
    """
    try:
        parent = parent_run(run)
    except UserError:  # it was deleted
        return None

    if parent is None:
        return None
    tested = parent.summary
    if tested.test_acoustic_scale is None or tested.lm_scale is None:
        return None
    # What was not recorded counts as alike, as in comparisons (`require_same_test`).
    same_search = (tested.test_search or FIRST_TESTS) == recogniser.description
    if not same_search or (tested.test_language or language) != language:
        return None
    return RecognitionScales(tested.test_acoustic_scale, tested.lm_scale)


def with_best_scales(
    recogniser: Recogniser, progress: Progress = no_progress, usual: RecognitionScales | None = None
) -> Recogniser:
    """Return the recogniser with the scales that make the fewest errors on held-out data.

    Every model is given its own acoustic scale and scale of the n-gram: cross entropy and MMI
    differ in how sharp their posteriors are, and a scale that suits one would flatter it. But
    ``usual`` scales, those of the model that it is compared with, are left only for scales that are
    better by more than a standard error over speakers, or over utterances if speakers are few. Else
    the comparison would rest on the noise of two choices: on real speech with weak models it moved
    by ten points.
    """
    store = recogniser.task.heldout
    utterances = range(min(HELDOUT_MOST, len(store)))
    acoustic_scales = {factor * recogniser.acoustic_scale for factor in ACOUSTIC_FACTORS}
    lm_scales = set(LM_SCALES)
    if usual is not None:
        acoustic_scales.add(usual.acoustic)
        lm_scales.add(usual.lm)

    tried: dict[RecognitionScales, list[WordErrors]] = {}
    for kappa in sorted(acoustic_scales):
        what = f"held-out, n-gram, acoustic scale {kappa:.3g}"
        scaled = replace(recogniser, acoustic_scale=kappa)
        found = scaled.transcripts(store, utterances, sorted(lm_scales), progress, what)
        for i, lm_scale in enumerate(sorted(lm_scales)):
            hypotheses = [by_scale[i] for by_scale in found.words]
            tried[RecognitionScales(kappa, lm_scale)] = [
                word_errors(store.words[u], words)
                for u, words in zip(utterances, hypotheses, strict=True)
            ]

    speakers = [store.speakers[u] for u in utterances]
    best = choose_scales(tried, speakers, usual)
    return replace(recogniser, acoustic_scale=best.acoustic, lm_scale=best.lm)


def choose_scales(
    tried: Mapping[RecognitionScales, Sequence[WordErrors]],
    speakers: Sequence[str],
    usual: RecognitionScales | None = None,
) -> RecognitionScales:
    """Return the scales with the fewest errors, or the ``usual`` ones if they are as good.

    ``tried``: the errors of each utterance; ``speakers``: its speaker. See `with_best_scales`.
    """
    best = best_scales({scales: total_errors(errors).wer for scales, errors in tried.items()})
    if usual is None:
        return best

    ahead = compare_errors(tried[best], tried[usual], speakers)
    if not ahead.enough_units:
        ahead = compare_errors(tried[best], tried[usual])
    return best if ahead.difference > ahead.standard_error else usual


# --- scales of the unigram


@one_thread()
def tune(
    run: Run,
    acoustic_scales: Sequence[float],
    prior_scales: Sequence[float],
    progress: Progress | None = None,
    transition_scales: Sequence[float] = (),
) -> pd.DataFrame:
    """Return held-out word error rates of the unigram for each choice of scales, the best first.

    Columns: ``acoustic_scale``, ``prior_scale``, ``transition_scale``, ``wer`` (a fraction). At
    most `TUNED_UTTERANCES` utterances are recognised. Without ``transition_scales`` that of the run
    is taken. A grid whose best value lies at its edge is widened, see `scale_grid`. Raises
    UserError for a scale outside the range of its setting.
    """
    task, theta = trained_model(run)
    own = task.settings.criterion.transition_scale
    grid = {
        "acoustic_scale": acoustic_scales,
        "prior_scale": prior_scales,
        "transition_scale": transition_scales or [own],
    }
    planned = math.prod(len(values) for values in grid.values())
    tried = itertools.count(1)
    report = progress or no_progress

    def measure(scales: Scales) -> float:
        scaled = Task(task.corpus, task.settings.replace(**scales._asdict()))
        recogniser = Recogniser(scaled, theta, scales.acoustic_scale, scales.prior_scale)
        utterances = range(min(TUNED_UTTERANCES, len(task.heldout)))
        work = partial(_unigram_errors, recogniser)
        errors = total_errors(with_posteriors(scaled, theta, task.heldout, utterances, work))
        done = next(tried)
        report(done, max(done, planned), "scales")
        return errors.wer

    return search_grid(grid, measure)


def _unigram_errors(recogniser: Recogniser, utterance: int, logp: np.ndarray) -> WordErrors:
    """The errors of the unigram on one held-out utterance, at the beams of training."""
    task = recogniser.task
    lattices = task.settings.lattices
    try:
        lattice = search(
            task.denominator,
            recogniser.scaled(logp),
            lattices.beam,
            lattices.lattice_beam,
            lattices.max_active,
        )
        words = best_path(lattice).words
    except (NoPath, BadScores):
        words = ()

    hypothesis = [task.corpus.lexicon.words[word] for word in words]
    return word_errors(task.heldout.words[utterance], hypothesis)


# --- audio files


class TranscribedFile(NamedTuple):
    """An audio file with the words that were recognised in it, or with why there are none."""

    path: Path
    words: Words
    fault: str = ""
    remark: str = ""


@one_thread()
def decode(
    run: Run,
    audio: Sequence[Path | str],
    search: Search = SEARCH,
    channel: int | None = None,
    language: Path | None = None,
) -> Iterator[TranscribedFile]:
    """Yield the words of each audio file, with the scales that a test of the run has chosen.

    A file that cannot be used is yielded with its fault, and does not end the others: what
    preparation would set aside, and what nothing is recognised in. ``channel``: the one that is
    read, from 0; None: the mean of all, with a remark if there are several. ``language``: as for
    `test`.
    """
    recogniser = with_language(Recogniser.of(run, search), language)
    summary = run.summary
    if summary.test_acoustic_scale is not None:
        recogniser = replace(recogniser, acoustic_scale=summary.test_acoustic_scale)
    recogniser = replace(recogniser, lm_scale=1.0 if summary.lm_scale is None else summary.lm_scale)
    for path in map(Path, audio):
        try:
            yield _transcribe(recogniser, path, channel)
        except AudioError as error:
            yield TranscribedFile(path, (), f"{error.reason} {error.detail}".strip())
        except UserError as error:
            yield TranscribedFile(path, (), str(error))
        except NoPath as reason:
            yield TranscribedFile(path, (), f"nothing recognised: {reason}: {no_path_advice(run)}")
        except BadScores as reason:
            advice = "the model has come apart: train again with a smaller learning_rate"
            yield TranscribedFile(path, (), f"nothing recognised: {reason}: {advice}")


def no_path_advice(run: Run) -> str:
    """Return what a user can do where the search of a run finds no path through an audio file."""
    advice = "the file may be shorter than any word, or unlike the training data: listen to it"
    if run.summary.tested:
        return f"{advice}, or try --search graph"
    return f"{advice}; `workbench test {run.name}` first chooses scales that may leave a path"


def _transcribe(recogniser: Recogniser, path: Path, channel: int | None) -> TranscribedFile:
    """Return an audio file's words; raises UserError, NoPath or BadScores if it has none."""
    header = read_header(path)
    if header.seconds > LONGEST:
        raise UserError(f"too long: {header.seconds:.0f} s of at most {LONGEST:.0f}: cut it")
    if channel is not None and channel >= header.channels:
        raise UserError(f"it has no channel {channel}, only {header.channels}")
    remark = ""
    if channel is None and header.channels > 1:
        remark = f"the mean of its {header.channels} channels; --channel chooses one"

    samples, rate = read_audio(path, channel=channel)
    like = Normalisation.from_dict(recogniser.task.train.about)
    lattice = recogniser.lattice(utterance_windows(extract_features(samples, rate, like)))
    return TranscribedFile(path, recogniser.words(lattice, [recogniser.lm_scale])[0], remark=remark)

"""Recognition with a trained model: the test set, scales chosen on held-out data, audio files."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from workbench.corpus.audio import read_audio
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.frames.window import utterance_windows
from workbench.features import Normalisation, extract_features
from workbench.hmm.graphs.graph import NoPath
from workbench.hmm.scores import BadScores
from workbench.metrics.significance import bootstrap_interval, paired_bootstrap
from workbench.metrics.words import WordErrors, total_errors, word_errors
from workbench.model.threads import one_thread
from workbench.progress import Progress, no_progress
from workbench.recognise.recogniser import SEARCH, Recogniser, Search, Words
from workbench.runs import parent_run, trained_model
from workbench.sequence.occupancy import best_path
from workbench.sequence.search import search
from workbench.settings import UserError
from workbench.storage.files import write_file
from workbench.storage.run import Run

LM_SCALES = (0.6, 0.8, 1.0, 1.2, 1.5)
ACOUSTIC_FACTORS = (0.7, 1.0, 1.5, 2.0)
"""Factors of the acoustic scale that was trained with."""

FIRST_TESTS = "rescoring 14:9:6000"
"""The search of tests that were made before tests recorded their search."""

HELDOUT_MOST = 400
"""Held-out utterances on which scales are chosen, at most."""

TUNED_UTTERANCES = 300
"""Held-out utterances on which `tune` measures, at most."""

HYPOTHESES = "test.hyp"
REFERENCES = "test.ref"


# --- the test set


@one_thread()
def test(run: Run, progress: Progress | None = None, search: Search = SEARCH) -> Run:
    """Measure the test word error rate of ``run`` with the n-gram, and return the run.

    Scales are chosen on held-out data. The run's folder keeps the transcripts, its summary the
    numbers. A p-value is added if the run that this one started from was tested by the same search
    and limits.
    """
    report = progress or no_progress
    recogniser = with_best_scales(Recogniser.of(run, search), report)
    store = recogniser.task.corpus.split("test")
    scale = recogniser.lm_scale
    found = recogniser.transcripts(store, range(len(store)), [scale], report, "test, n-gram")
    hypotheses = [by_scale[0] for by_scale in found]
    write_transcripts(run.folder / HYPOTHESES, store.ids, hypotheses)
    write_transcripts(run.folder / REFERENCES, store.ids, store.words)

    each = [word_errors(ref, hyp) for ref, hyp in zip(store.words, hypotheses, strict=True)]
    errors = total_errors(each)
    interval = bootstrap_interval(each, seed=recogniser.task.settings.seed)
    run.update_summary(
        test_wer=errors.wer,
        test_wer_low=interval.low,
        test_wer_high=interval.high,
        p_value=p_value_against_parent(run, store, each, recogniser.description),
        test_search=recogniser.description,
        lm_scale=scale,
        test_acoustic_scale=recogniser.acoustic_scale,
        test_sub=errors.substitutions,
        test_del=errors.deletions,
        test_ins=errors.insertions,
        test_words=errors.reference,
    )
    return run


def p_value_against_parent(
    run: Run, store: FrameStore, each: Sequence[WordErrors], search: str
) -> float | None:
    """Return the p-value of the difference to the run that ``run`` started from.

    ``each`` are the errors of the test utterances of ``store``. None if the other run was not
    tested with the same ``search``, or there is no other run.
    """
    parent = parent_run(run)
    if parent is None or not (parent.folder / HYPOTHESES).exists():
        return None
    if parent.summary.get("test_search", FIRST_TESTS) != search:
        return None
    hypotheses = read_transcripts(parent.folder / HYPOTHESES)
    of_parent = [
        word_errors(words, hypotheses.get(utterance, ()))
        for utterance, words in zip(store.ids, store.words, strict=True)
    ]
    return paired_bootstrap(of_parent, each, seed=run.settings.seed).p


class _Scales(NamedTuple):
    """Scales and what they achieve, compared by the error rate first."""

    wer: float
    acoustic: float
    lm: float


def with_best_scales(recogniser: Recogniser, progress: Progress = no_progress) -> Recogniser:
    """Return the recogniser with the scales that make the fewest errors on held-out data.

    Every model is given its own acoustic scale and scale of the n-gram: cross entropy and MMI
    differ in how sharp their posteriors are, and a scale that suits one would flatter it.
    """
    store = recogniser.task.heldout
    utterances = range(min(HELDOUT_MOST, len(store)))
    tried = []
    for factor in ACOUSTIC_FACTORS:
        kappa = factor * recogniser.acoustic_scale
        what = f"held-out, n-gram, acoustic scale {kappa:.3g}"
        scaled = replace(recogniser, acoustic_scale=kappa)
        transcripts = scaled.transcripts(store, utterances, LM_SCALES, progress, what)
        for i, lm_scale in enumerate(LM_SCALES):
            hypotheses = [by_scale[i] for by_scale in transcripts]
            errors = total_errors(
                word_errors(store.words[u], words)
                for u, words in zip(utterances, hypotheses, strict=True)
            )
            tried.append(_Scales(errors.wer, kappa, lm_scale))

    best = min(tried)
    return replace(recogniser, acoustic_scale=best.acoustic, lm_scale=best.lm)


def write_transcripts(
    path: Path, utterances: Sequence[str], transcripts: Iterable[Sequence[str]]
) -> None:
    """Write transcripts as Kaldi's ``text``: one line per utterance, its name and its words."""
    lines = [
        " ".join((utterance, *words))
        for utterance, words in zip(utterances, transcripts, strict=True)
    ]
    write_file(path, ("\n".join(lines) + "\n").encode())


def read_transcripts(path: Path) -> dict[str, Words]:
    """Return the words of each utterance that `write_transcripts` wrote."""
    transcripts = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if words:
            transcripts[words[0]] = tuple(words[1:])
    return transcripts


# --- scales of the unigram


@one_thread()
def tune(
    run: Run,
    acoustic_scales: Sequence[float],
    prior_scales: Sequence[float],
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return held-out word error rates of the unigram for each pair of scales, the best first.

    Columns: ``acoustic_scale``, ``prior_scale``, ``wer`` (a fraction). At most `TUNED_UTTERANCES`
    utterances are recognised.
    """
    task, theta = trained_model(run)
    utterances = range(min(TUNED_UTTERANCES, len(task.heldout)))
    pairs = list(itertools.product(acoustic_scales, prior_scales))
    report = progress or no_progress
    rows = []
    for kappa, prior_scale in pairs:
        recogniser = Recogniser(task, theta, kappa, prior_scale)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = total_errors(pool.map(partial(_unigram_errors, recogniser), utterances))
        rows.append({"acoustic_scale": kappa, "prior_scale": prior_scale, "wer": errors.wer})
        report(len(rows), len(pairs), "scales")

    return pd.DataFrame(rows).sort_values("wer", ignore_index=True)


def _unigram_errors(recogniser: Recogniser, utterance: int) -> WordErrors:
    """The errors of the unigram on one held-out utterance, at the beams of training."""
    task = recogniser.task
    lattices = task.settings.lattices
    scores = recogniser.scores(task.heldout.utterance_windows(utterance))
    try:
        lattice = search(
            task.corpus.denominator,
            scores,
            lattices.beam,
            lattices.lattice_beam,
            lattices.max_active,
        )
        words = best_path(lattice).words
    except NoPath:
        words = ()

    hypothesis = [task.corpus.lexicon.words[word] for word in words]
    return word_errors(task.heldout.words[utterance], hypothesis)


# --- audio files


@one_thread()
def decode(
    run: Run, audio: Sequence[Path], search: Search = SEARCH
) -> Iterator[tuple[Path, Words]]:
    """Yield each audio file and its words, with the scales that a test of the run has chosen.

    Raises UserError for a file that is missing, unreadable or in which nothing is recognised.
    """
    recogniser = Recogniser.of(run, search)
    summary = run.summary
    recogniser = replace(
        recogniser,
        acoustic_scale=summary.get("test_acoustic_scale", recogniser.acoustic_scale),
        lm_scale=summary.get("lm_scale", 1.0),
    )
    normalisation = Normalisation.from_dict(recogniser.task.train.about)
    for path in audio:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        samples, rate = read_audio(path)
        try:
            features = extract_features(samples, rate, normalisation)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        try:
            lattice = recogniser.lattice(utterance_windows(features))
            words = recogniser.words(lattice, [recogniser.lm_scale])[0]
        except (NoPath, BadScores) as reason:
            raise UserError(f"{path}: nothing recognised: {reason}") from None
        yield path, words

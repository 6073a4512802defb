"""Recognition with a trained model: test set, scales on held-out data, audio files."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from workbench.corpus.audio import read_audio
from workbench.corpus.frames.store import FrameStore
from workbench.corpus.frames.window import utterance_windows
from workbench.features import Normalisation, extract_features
from workbench.hmm.graphs.graph import NoPath
from workbench.metrics.significance import bootstrap, paired_bootstrap
from workbench.metrics.words import WordErrors, total, word_errors
from workbench.progress import Progress
from workbench.recognise.recogniser import SEARCH, Recogniser, Search
from workbench.runs.train import trained_model
from workbench.sequence.occupancy import best_path
from workbench.sequence.search import search
from workbench.settings import UserError
from workbench.storage.run import Run, find_run, write_atomically

LM_SCALES = (0.6, 0.8, 1.0, 1.2, 1.5)
ACOUSTIC_FACTORS = (0.7, 1.0, 1.5, 2.0)  # of the scale that was trained with
FORMERLY = "rescoring 14:9:6000"  # how runs were tested before they said how
HELDOUT_MOST = 400  # held-out utterances on which scales are chosen


def test(name: str, progress: Progress | None = None, search: Search = SEARCH) -> Run:
    """Test word error rate with the n-gram, its scale chosen on held-out data; kept in the run with the transcripts.

    Its significance is told if the run that this one started from was tested by the same search and limits.
    """
    run = find_run(name)
    recogniser = Recogniser.of(run, search)
    task = recogniser.task
    store = task.corpus.split("test")
    recogniser = scaled(recogniser, progress)
    scale = recogniser.lm_scale
    said = [
        t[0]
        for t in recogniser.transcripts(store, range(len(store)), [scale], progress, "test, n-gram")
    ]
    write_transcripts(run.folder / "test.hyp", store.ids, said)
    write_transcripts(run.folder / "test.ref", store.ids, store.words)
    each = [word_errors(ref, hyp) for ref, hyp in zip(store.words, said, strict=True)]
    errors = total(each)
    interval = bootstrap(each, seed=task.settings.seed)
    run.update_summary(
        test_wer=errors.wer,
        test_wer_low=interval.low,
        test_wer_high=interval.high,
        p_value=significance(run, store, each, recogniser.how),
        test_search=recogniser.how,
        lm_scale=scale,
        test_acoustic_scale=recogniser.acoustic_scale,
        test_sub=errors.substitutions,
        test_del=errors.deletions,
        test_ins=errors.insertions,
        test_words=errors.reference,
    )
    return run


def significance(run: Run, store: FrameStore, each: Sequence[WordErrors], how: str) -> float | None:
    """p-value of the difference to the run that this one started from, if that was tested, and in the same way."""
    name = (run.record["parent"] or {}).get("run")
    parent = find_run(name) if name else None
    if parent is None or not (parent.folder / "test.hyp").exists():
        return None
    if parent.summary.get("test_search", FORMERLY) != how:
        return None
    before = read_transcripts(parent.folder / "test.hyp")
    rivals = [word_errors(store.words[u], before.get(store.ids[u], ())) for u in range(len(store))]
    return paired_bootstrap(rivals, each, seed=run.settings.seed).p


def scaled(recogniser: Recogniser, progress: Progress | None = None) -> Recogniser:
    """The recogniser with the acoustic scale, and the scale of the n-gram, that make fewest errors on held-out data.

    Every model is given its own: cross entropy and MMI differ in how sharp their posteriors are, and a scale that
    suits one would flatter it.
    """
    store = recogniser.task.heldout
    chosen = range(min(HELDOUT_MOST, len(store)))
    best: tuple[float, float, float] | None = None
    for factor in ACOUSTIC_FACTORS:
        kappa = factor * recogniser.acoustic_scale
        tried = replace(recogniser, acoustic_scale=kappa).transcripts(
            store, chosen, LM_SCALES, progress, f"held-out, n-gram, acoustic scale {kappa:.3g}"
        )
        for i, scale in enumerate(LM_SCALES):
            wer = total(
                word_errors(store.words[u], said[i]) for u, said in zip(chosen, tried, strict=True)
            ).wer
            best = min(best or (wer, kappa, scale), (wer, kappa, scale))
    _, kappa, scale = best
    return replace(recogniser, acoustic_scale=kappa, lm_scale=scale)


def write_transcripts(path: Path, ids: Sequence[str], said: Iterable[Sequence[str]]) -> None:
    """Transcripts as Kaldi's ``text``: an utterance and its words per line."""
    lines = (" ".join((utterance, *words)) for utterance, words in zip(ids, said, strict=True))
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def read_transcripts(path: Path) -> dict[str, tuple[str, ...]]:
    """What ``write_transcripts`` wrote."""
    return {
        words[0]: tuple(words[1:])
        for line in path.read_text().splitlines()
        if (words := line.split())
    }


def tune(
    name: str,
    acoustic: Sequence[float],
    prior: Sequence[float],
    progress: Progress | None = None,
    most: int = 300,
) -> pd.DataFrame:
    """Held-out word and frame errors for each pair of scales, best first; unigram, at most ``most`` utterances."""
    task, theta = trained_model(find_run(name))
    store = task.heldout
    chosen = range(min(most, len(store)))
    rows = []
    for n, (kappa, prior_scale) in enumerate(itertools.product(acoustic, prior)):
        recogniser = Recogniser(task, theta, kappa, prior_scale)

        def one(u: int, recogniser: Recogniser = recogniser) -> WordErrors:
            s = task.settings
            try:
                scores = recogniser.scores(store.utterance_windows(u))
                words, _, _ = best_path(
                    search(
                        task.corpus.denominator,
                        scores,
                        s.lattices.beam,
                        s.lattices.lattice_beam,
                        s.lattices.max_active,
                    )
                )
            except NoPath:
                words = ()
            return word_errors(store.words[u], [task.corpus.lexicon.words[w] for w in words])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = total(pool.map(one, chosen))
        rows.append({"acoustic_scale": kappa, "prior_scale": prior_scale, "wer": errors.wer})
        if progress:
            progress(n + 1, len(acoustic) * len(prior), "scales")
    return pd.DataFrame(rows).sort_values("wer", ignore_index=True)


def decode(
    name: str, audio: Sequence[Path], search: Search = SEARCH
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The words of each audio file."""
    run = find_run(name)
    recogniser = Recogniser.of(run, search)
    recogniser = replace(
        recogniser,
        acoustic_scale=run.summary.get("test_acoustic_scale", recogniser.acoustic_scale),
        lm_scale=run.summary.get("lm_scale", 1.0),
    )
    normalisation = Normalisation.from_dict(recogniser.task.train.about)
    for path in audio:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        samples, rate = read_audio(path)
        features = extract_features(samples, rate, normalisation)
        try:
            lattice = recogniser.lattice(utterance_windows(features))
            yield path, recogniser.words(lattice, [recogniser.lm_scale])[0]
        except NoPath as reason:
            raise UserError(f"{path}: nothing recognised: {reason}") from None

"""Recognition with a trained model: test set, scales on held-out data, audio files, one utterance looked at closely.

The n-gram of the test is applied to unigram lattices made with wider beams than training's, so that one graph serves
every language model.
"""

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.corpora import Corpus
from workbench.corpus.audio import read_audio
from workbench.corpus.store import FrameStore
from workbench.corpus.window import utterance_windows
from workbench.experiment import Task
from workbench.features import features_of
from workbench.hmm.align import best_arcs, timing
from workbench.hmm.states import SIL
from workbench.metrics.frames import frame_error
from workbench.metrics.significance import bootstrap, paired_bootstrap
from workbench.metrics.words import WordErrors, word_errors
from workbench.runs import trained_model
from workbench.sequence.criteria import overlap
from workbench.sequence.lattice import Lattice, NoPath
from workbench.sequence.occupancy import Occupancies, arc_occupancies, best_path, occupancies
from workbench.sequence.outer import Decoded
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search
from workbench.settings import UserError
from workbench.store import Run, find_run, write_atomically, write_json

Progress = Callable[[int, int, str], None]
BEAM, LATTICE_BEAM, MAX_ACTIVE = 14.0, 9.0, 6000  # wider than in training: the n-gram must find its path in the lattice
LM_SCALES = (0.6, 0.8, 1.0, 1.2, 1.5)


@dataclass(frozen=True)
class Recogniser:
    """A model and how its scores are scaled."""

    task: Task
    theta: np.ndarray
    acoustic_scale: float
    prior_scale: float

    @classmethod
    def of(cls, run: Run) -> "Recogniser":
        task, theta = trained_model(run)
        return cls(task, theta, task.settings.acoustic_scale, task.settings.prior_scale)

    def scores(self, windows: np.ndarray) -> np.ndarray:
        """κ (log p(s|x) - prior_scale log p(s)), float32 [frames, states]."""
        logp = self.task.log_posteriors(self.theta, windows)
        return self.acoustic_scale * (logp - self.prior_scale * self.task.corpus.log_prior)

    def lattice(self, windows: np.ndarray) -> Lattice:
        """The unigram lattice; NoPath where nothing is found."""
        return search(self.task.corpus.denominator, self.scores(windows), BEAM, LATTICE_BEAM, MAX_ACTIVE)

    def words(self, lattice: Lattice, lm_scales: Sequence[float]) -> list[tuple[str, ...]]:
        """The best words for each scale of the n-gram."""
        corpus = self.task.corpus
        unigram = corpus.unigram.unigram()
        found = (rescore(lattice, corpus.ngram, unigram, scale)[0] for scale in lm_scales)
        return [tuple(corpus.lexicon.words[w] for w in words) for words in found]

    def transcripts(self, store: FrameStore, utterances: Sequence[int], lm_scales: Sequence[float],
                    progress: Progress | None,
                    what: str) -> list[list[tuple[str, ...]]]:  # fmt: skip
        """Per utterance, the best words for each scale; nothing where no path was found."""

        def one(u: int) -> list[tuple[str, ...]]:
            try:
                return self.words(self.lattice(store.utterance_windows(u)), lm_scales)
            except NoPath:
                return [()] * len(lm_scales)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            out = []
            for n, words in enumerate(pool.map(one, utterances), 1):
                out.append(words)
                if progress:
                    progress(n, len(utterances), what)
        return out


def test(name: str, progress: Progress | None = None) -> Run:
    """Test word error rate with the n-gram, its scale chosen on held-out data; kept in the run with the transcripts."""
    run = find_run(name)
    recogniser = Recogniser.of(run)
    task = recogniser.task
    heldout, store = task.heldout, task.corpus.split("test")
    tried = recogniser.transcripts(heldout, range(len(heldout)), LM_SCALES, progress, "held-out, n-gram")
    errors = [
        sum((word_errors(heldout.words[u], t[i]) for u, t in enumerate(tried)), WordErrors(0, 0, 0, 0))
        for i in range(len(LM_SCALES))
    ]
    scale = LM_SCALES[int(np.argmin([e.wer for e in errors]))]
    said = [t[0] for t in recogniser.transcripts(store, range(len(store)), [scale], progress, "test, n-gram")]
    write_transcripts(run.folder / "test.hyp", store.ids, said)
    write_transcripts(run.folder / "test.ref", store.ids, store.words)
    each = [word_errors(ref, hyp) for ref, hyp in zip(store.words, said, strict=True)]
    total = sum(each, WordErrors(0, 0, 0, 0))
    interval = bootstrap(each, seed=task.settings.seed)
    parent = (run.record["parent"] or {}).get("run")
    p_value = None
    if parent and (find_run(parent).folder / "test.hyp").exists():
        before = read_transcripts(find_run(parent).folder / "test.hyp")
        rivals = [word_errors(store.words[u], before.get(store.ids[u], ())) for u in range(len(store))]
        p_value = paired_bootstrap(rivals, each, seed=task.settings.seed).p
    run.update_summary(
        test_wer=total.wer, test_wer_low=interval.low, test_wer_high=interval.high, p_value=p_value, lm_scale=scale,
        test_sub=total.substitutions, test_del=total.deletions, test_ins=total.insertions, test_words=total.reference,
    )  # fmt: skip
    return run


def write_transcripts(path: Path, ids: Sequence[str], said: Iterable[Sequence[str]]) -> None:
    """Transcripts as Kaldi's ``text``: an utterance and its words per line."""
    lines = (" ".join((utterance, *words)) for utterance, words in zip(ids, said, strict=True))
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def read_transcripts(path: Path) -> dict[str, tuple[str, ...]]:
    """What ``write_transcripts`` wrote."""
    return {words[0]: tuple(words[1:]) for line in path.read_text().splitlines() if (words := line.split())}


def tune(
    name: str, acoustic: Sequence[float], prior: Sequence[float], progress: Progress | None = None, most: int = 300
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
                words, _, _ = best_path(search(task.corpus.denominator, scores, s.beam, s.lattice_beam, s.max_active))
            except NoPath:
                words = ()
            return word_errors(store.words[u], [task.corpus.lexicon.words[w] for w in words])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            total = sum(pool.map(one, chosen), WordErrors(0, 0, 0, 0))
        rows.append({"acoustic_scale": kappa, "prior_scale": prior_scale, "wer": total.wer})
        if progress:
            progress(n + 1, len(acoustic) * len(prior), "scales")
    return pd.DataFrame(rows).sort_values("wer", ignore_index=True)


def decode(name: str, audio: Sequence[Path]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The words of each audio file."""
    run = find_run(name)
    recogniser = Recogniser.of(run)
    about = recogniser.task.train.about
    scale = run.summary.get("lm_scale", 1.0)
    for path in audio:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        features = features_of(*read_audio(path, 0.0, None), about)
        try:
            yield path, recogniser.words(recogniser.lattice(utterance_windows(features)), [scale])[0]
        except NoPath as reason:
            raise UserError(f"{path}: nothing recognised: {reason}") from None


def write_example(name: str, others: Sequence[str] = (), utterance: int | None = None) -> None:
    """Leave one held-out utterance in the run, looked at closely, for reports (`views.example`)."""
    run = find_run(name)
    task, theta = trained_model(run)
    store, corpus = task.heldout, task.corpus
    u = utterance if utterance is not None else _telling(task, theta)
    logp = task.log_posteriors(theta, store.utterance_windows(u))
    decoded = task.decode_split(store, u, logp, task.measuring)
    scores = task.settings.acoustic_scale * (logp - task.settings.prior_scale * corpus.log_prior)
    s = task.settings
    lattice = search(corpus.denominator, scores, s.beam, s.lattice_beam, s.max_active)
    _, den = occupancies(lattice)
    _, num = occupancies(search(corpus.numerator(store.words[u]), scores, 1e10, 1e10, 1 << 30))
    gammas = [x.dense(corpus.states.count) for x in (num, den)]
    columns = np.argsort(-(gammas[0] + gammas[1]).sum(0))[:40]
    columns = columns[np.argsort([np.argmax(gammas[0][:, c] + gammas[1][:, c]) for c in columns])]
    first, last = store.span(u)
    said = {run.name: decoded.words}
    for other in others:
        task2, theta2 = trained_model(find_run(other))
        logp2 = task2.log_posteriors(theta2, store.utterance_windows(u))
        said[find_run(other).name] = task2.decode_split(store, u, logp2, task2.measuring).words
    words, phones = pieces(corpus, store.words[u], scores)
    out = io.BytesIO()
    np.savez_compressed(
        out, features=np.asarray(store.features[first:last], np.float32), states=columns,
        numerator=gammas[0][:, columns],
        denominator=gammas[1][:, columns], fate=fate(decoded, num, den, s.rejection),
    )  # fmt: skip
    write_atomically(run.folder / "example.npz", out.getvalue())
    write_json(run.folder / "example.json", {
        "utterance": store.ids[u], "reference": " ".join(store.words[u]),
        "hypotheses": {k: " ".join(corpus.lexicon.words[w] for w in v) for k, v in said.items()},
        "words": words, "phones": phones, "labels": word_posteriors(lattice, corpus.lexicon.words),
    })  # fmt: skip


def pieces(corpus: Corpus, said: Sequence[str], scores: np.ndarray) -> tuple[list, list]:
    """(word, first frame, last frame + 1) and the same for phones, of the best path of a reference."""
    graph = corpus.numerator(said)
    arcs, _ = best_arcs(graph, scores)
    phones, starts = timing(graph, arcs)
    edges = [*starts.tolist(), len(arcs)]
    spans = list(zip(phones.tolist(), edges, edges[1:], strict=False))
    words, voiced = [], [span for span in spans if span[0] != SIL]
    for word, pronunciation in zip(said, path_pronunciations(corpus, said, [p for p, _, _ in voiced]), strict=True):
        part, voiced = voiced[:pronunciation], voiced[pronunciation:]
        words.append((word, part[0][1], part[-1][2]))
    return words, [(corpus.lexicon.phones[p], a, b) for p, a, b in spans]


def path_pronunciations(corpus: Corpus, said: Sequence[str], phones: list[int]) -> list[int]:
    """How many of ``phones`` each word takes: the first choice of pronunciations that spells them exactly."""
    if not said:
        return []
    for p in corpus.lexicon.of(corpus.lexicon.word_id(said[0])):
        n = len(p.phones)
        if tuple(phones[:n]) == tuple(p.phones) and (n == len(phones)) <= (len(said) == 1):
            rest = path_pronunciations(corpus, said[1:], phones[n:])
            if len(rest) == len(said) - 1 and n + sum(rest) == len(phones):
                return [n, *rest]
    return []


def fate(decoded: Decoded, num: Occupancies, den: Occupancies, rejection: float) -> np.ndarray:
    """Per frame 0 cancelled, 1 kept, 2 rejected: int8 [frames]."""
    out = np.zeros(decoded.frames, np.int8)
    out[overlap(num, den) < rejection] = 2
    out[decoded.kept] = 1
    return out


def word_posteriors(lattice: Lattice, words: Sequence[str], least: float = 0.01) -> list[tuple[str, int, int, float]]:
    """(word, frame of its label, frame of the next, posterior) of the lattice's words, likeliest first."""
    _, occupancy = arc_occupancies(lattice)
    table: dict[tuple[int, int], float] = {}
    for arc in np.flatnonzero(lattice.word):
        key = int(lattice.word[arc]), int(lattice.frame[arc])
        table[key] = table.get(key, 0.0) + float(occupancy[arc])
    found = sorted(((p, w, t) for (w, t), p in table.items() if p >= least), reverse=True)
    return [(words[w], max(0, t - 12), min(lattice.frames, t + 12), p) for p, w, t in found]


def _telling(task: Task, theta: np.ndarray, among: int = 40) -> int:
    """A held-out utterance of some length on which reference and lattice disagree somewhat."""
    store = task.heldout
    best, most = 0, -1.0
    for u in range(min(among, len(store))):
        logp = task.log_posteriors(theta, store.utterance_windows(u))
        decoded = task.decode_split(store, u, logp, task.measuring)
        wrong = frame_error(decoded.numerator_states, np.asarray(store.alignment[slice(*store.span(u))]))
        score = len(store.words[u]) - abs(len(decoded.kept) / decoded.frames - 0.3) * 4 - wrong
        if decoded.reason is None and score > most:
            best, most = u, score
    return best

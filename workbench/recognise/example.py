"""One utterance looked at closely, left in its run for reports and panels to draw (`views.example`)."""

import io
from collections.abc import Sequence

import numpy as np

from workbench.hmm.align import best_arcs, timing
from workbench.hmm.states import SIL
from workbench.prepare.corpus import Corpus
from workbench.runs.task import Task
from workbench.runs.train import trained_model
from workbench.sequence.criteria import overlap
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice import Lattice
from workbench.sequence.lattice_pair import NoLatticePair, acoustic_scores, find_pair
from workbench.sequence.occupancy import Occupancies, arc_occupancies, occupancies
from workbench.settings import UserError
from workbench.storage.run import find_run, write_atomically, write_json

COLUMNS = 40  # states shown: those with most occupancy
LABEL = 12  # frames to either side of a lattice word's label that are drawn


def write_example(name: str, others: Sequence[str] = (), utterance: int | None = None) -> None:
    """Leave a held-out utterance in the run: features, alignment, occupancies, lattice words, what ``others`` said.

    Without ``utterance`` a telling one is chosen; UserError if none of the first has both lattices.
    """
    run = find_run(name)
    task, theta = trained_model(run)
    store, corpus = task.heldout, task.corpus
    u = utterance if utterance is not None else telling(task, theta)
    logp = task.log_posteriors(theta, store.utterance_windows(u))
    decoded = task.decode_split(store, u, logp, task.measuring)
    scores = acoustic_scores(logp, corpus.log_prior, task.settings.criterion)
    reference = corpus.reference(store.words[u])
    found = find_pair(scores, reference, corpus.denominator, task.settings.lattices)
    if isinstance(found, NoLatticePair):
        raise UserError(f"{store.ids[u]}: {found.reason}")
    (_, num), (_, den) = occupancies(found.numerator), occupancies(found.denominator)
    columns = shown(num, den, corpus.states.count)
    said = {run.name: decoded.words} | {other: words_of(other, u) for other in others}
    words, phones = pieces(corpus, store.words[u], scores)
    out = io.BytesIO()
    np.savez_compressed(
        out,
        features=np.asarray(store.features[slice(*store.span(u))], np.float32),
        states=columns,
        numerator=num.dense(corpus.states.count)[:, columns],
        denominator=den.dense(corpus.states.count)[:, columns],
        fate=fate(decoded, num, den, task.settings.criterion.rejection),
    )
    write_atomically(run.folder / "example.npz", out.getvalue())
    write_json(
        run.folder / "example.json",
        {
            "utterance": store.ids[u],
            "reference": " ".join(store.words[u]),
            "hypotheses": {
                k: " ".join(corpus.lexicon.words[w] for w in v) for k, v in said.items()
            },
            "words": words,
            "phones": phones,
            "labels": word_posteriors(found.denominator, corpus.lexicon.words),
        },
    )


def words_of(name: str, u: int) -> tuple[int, ...]:
    """What another run's model says of held-out utterance ``u``."""
    task, theta = trained_model(find_run(name))
    logp = task.log_posteriors(theta, task.heldout.utterance_windows(u))
    return task.decode_split(task.heldout, u, logp, task.measuring).words


def shown(num: Occupancies, den: Occupancies, states: int) -> np.ndarray:
    """The states with most occupancy, in the order of when they have it: int64 [at most COLUMNS]."""
    both = num.dense(states) + den.dense(states)
    columns = np.argsort(-both.sum(0))[:COLUMNS]
    return columns[np.argsort([np.argmax(both[:, c]) for c in columns])]


def telling(task: Task, theta: np.ndarray, among: int = 40) -> int:
    """A held-out utterance of some length on which reference and lattice disagree somewhat."""
    store, scores = task.heldout, {}
    for u in range(min(among, len(store))):
        logp = task.log_posteriors(theta, store.utterance_windows(u))
        decoded = task.decode_split(store, u, logp, task.measuring)
        if np.isfinite(decoded.num) and np.isfinite(decoded.den):
            disagreement = -4 * abs(len(decoded.kept) / decoded.frames - 0.3)
            scores[u] = len(store.words[u]) + disagreement - 2 * (decoded.reason is not None)
    if not scores:
        raise UserError(
            f"none of the first {among} held-out utterances has a lattice: too poor a model to look at"
        )
    return max(scores, key=lambda u: scores[u])


def pieces(corpus: Corpus, said: Sequence[str], scores: np.ndarray) -> tuple[list, list]:
    """(word, first frame, last frame + 1) and the same for phones, of the best path of a reference."""
    graph = corpus.reference(said).graph
    arcs, _ = best_arcs(graph, scores)
    phones, starts = timing(graph, arcs)
    edges = [*starts.tolist(), len(arcs)]
    spans = list(zip(phones.tolist(), edges, edges[1:], strict=False))
    words, voiced = [], [span for span in spans if span[0] != SIL]
    for word, pronunciation in zip(
        said, path_pronunciations(corpus, said, [p for p, _, _ in voiced]), strict=True
    ):
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


def word_posteriors(
    lattice: Lattice, words: Sequence[str], least: float = 0.01
) -> list[tuple[str, int, int, float]]:
    """(word, first frame, frame after the last, posterior) of the lattice's words, likeliest first.

    The same word at times less than LABEL frames apart counts once: paths differ in when, not in what.
    """
    _, occupancy = arc_occupancies(lattice)
    found = []
    for word in np.unique(lattice.word[lattice.word > 0]):
        arcs = np.flatnonzero(lattice.word == word)  # in the order of time
        for group in np.split(arcs, np.flatnonzero(np.diff(lattice.frame[arcs]) > LABEL) + 1):
            p = float(occupancy[group].sum())
            if p >= least:
                t = round(float(occupancy[group] @ lattice.frame[group]) / p)
                found.append(
                    (words[word], max(0, t - LABEL), min(lattice.frames, t + LABEL), min(1.0, p))
                )
    return sorted(found, key=lambda w: (-w[3], w[1]))

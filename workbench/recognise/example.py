"""One utterance looked at closely, written into its run for reports and panels to draw.

`workbench.storage.example` saves and reads it, `workbench.figures.example` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.hmm.align import best_arcs, timing
from workbench.hmm.states import SIL
from workbench.model.threads import one_thread
from workbench.prepare.corpus import Corpus
from workbench.runs import trained_model
from workbench.runs.task import Task
from workbench.sequence.criteria import overlap
from workbench.sequence.decoded import Decoded
from workbench.sequence.lattice import Lattice
from workbench.sequence.lattice_pair import NoLatticePair, acoustic_scores, find_pair
from workbench.sequence.occupancy import Occupancies, arc_occupancies, occupancies
from workbench.settings import UserError
from workbench.storage.example import (
    CANCELLED,
    KEPT,
    REJECTED,
    AlignedUnit,
    Example,
    LatticeWord,
    save_example,
)
from workbench.storage.run import Run

SHOWN_STATES = 40
"""Tied states whose occupancies are kept: those with most of it."""

LABEL_FRAMES = 12
"""Frames to either side of a lattice word's label that are drawn."""

EXAMPLES_TRIED = 40
"""Held-out utterances among which one is chosen."""

KEPT_SHARE = 0.3
"""Share of kept frames at which reference and lattice disagree in an instructive way."""

LEAST_POSTERIOR = 0.01


@dataclass(frozen=True)
class ReferenceTimes:
    """The best path of a reference."""

    words: list[AlignedUnit]
    phones: list[AlignedUnit]


@one_thread()
def write_example(run: Run, others: Sequence[Run] = (), utterance: int | None = None) -> None:
    """Write a held-out utterance into the run, beside what the models of ``others`` recognise.

    ``example.npz`` has its features, occupancies and what became of each frame, ``example.json``
    its transcripts, alignment and lattice words. Without ``utterance`` an instructive one is
    chosen. Raises UserError if the utterance has no lattice or its reference cannot be aligned.
    """
    task, theta = trained_model(run)
    store = task.heldout
    corpus = task.corpus
    u = choose_utterance(task, theta) if utterance is None else utterance

    logp = task.log_posteriors(theta, store.utterance_windows(u))
    decoded = task.decode_split(store, u, logp, task.measuring)
    scores = acoustic_scores(logp, corpus.log_prior, task.settings.criterion)
    reference = task.reference(store.words[u])
    lattices = find_pair(scores, reference, task.denominator, task.settings.lattices)
    if isinstance(lattices, NoLatticePair):
        raise UserError(f"{store.ids[u]}: {lattices.reason}")
    _, numerator = occupancies(lattices.numerator)
    _, denominator = occupancies(lattices.denominator)

    rejection = task.settings.criterion.rejection
    states = shown_states(numerator, denominator, corpus.states.count)
    hypotheses = {run.name: decoded.words}
    for other in others:
        hypotheses[other.name] = recognised_words(other, u)
    alignment = align_reference(task, store.words[u], scores)
    example = Example(
        utterance=store.ids[u],
        reference=" ".join(store.words[u]),
        hypotheses={name: spelt(corpus, words) for name, words in hypotheses.items()},
        words=alignment.words,
        phones=alignment.phones,
        features=np.asarray(store.features[slice(*store.span(u))], np.float32),
        states=states,
        numerator=numerator.dense(corpus.states.count)[:, states],
        denominator=denominator.dense(corpus.states.count)[:, states],
        fate=frame_fates(decoded, numerator, denominator, rejection),
        lattice_words=lattice_words(lattices.denominator, corpus.lexicon.words),
    )
    save_example(run, example)


def spelt(corpus: Corpus, words: Sequence[int]) -> str:
    """Return words, given by their ids, as text."""
    return " ".join(corpus.lexicon.words[word] for word in words)


def recognised_words(run: Run, utterance: int) -> tuple[int, ...]:
    """Return the word ids that a run's model recognises in a held-out utterance."""
    task, theta = trained_model(run)
    logp = task.log_posteriors(theta, task.heldout.utterance_windows(utterance))
    return task.decode_split(task.heldout, utterance, logp, task.measuring).words


def choose_utterance(task: Task, theta: np.ndarray) -> int:
    """Return a held-out utterance of many words whose reference and lattice disagree somewhat.

    Raises UserError if none of the first `EXAMPLES_TRIED` has a lattice.
    """
    store = task.heldout
    scores: dict[int, float] = {}
    for u in range(min(EXAMPLES_TRIED, len(store))):
        logp = task.log_posteriors(theta, store.utterance_windows(u))
        decoded = task.decode_split(store, u, logp, task.measuring)
        if not (np.isfinite(decoded.num) and np.isfinite(decoded.den)):
            continue
        uninstructive = abs(len(decoded.kept) / decoded.frames - KEPT_SHARE)
        unusable = decoded.reason is not None
        scores[u] = len(store.words[u]) - 4 * uninstructive - 2 * unusable

    if not scores:
        raise UserError(
            f"none of the first {EXAMPLES_TRIED} held-out utterances has a lattice: "
            "the model is too poor to look at"
        )

    return max(scores, key=lambda u: scores[u])


def shown_states(numerator: Occupancies, denominator: Occupancies, states: int) -> np.ndarray:
    """Return the states with most occupancy by the frame of their peak, int64 [states shown]."""
    both = numerator.dense(states) + denominator.dense(states)
    most = np.argsort(-both.sum(0))[:SHOWN_STATES]
    peaks = [np.argmax(both[:, state]) for state in most]
    return most[np.argsort(peaks)]


def frame_fates(
    decoded: Decoded, numerator: Occupancies, denominator: Occupancies, rejection: float
) -> np.ndarray:
    """Return what became of each frame, int8 [frames]: CANCELLED, KEPT or REJECTED."""
    fates = np.full(decoded.frames, CANCELLED, np.int8)
    fates[overlap(numerator, denominator) < rejection] = REJECTED
    fates[decoded.kept] = KEPT
    return fates


# --- the alignment of the reference


def align_reference(task: Task, transcript: Sequence[str], scores: np.ndarray) -> ReferenceTimes:
    """Return words and phones of the best path of a reference, with ``scores`` [frames, states]."""
    corpus = task.corpus
    graph = task.reference(tuple(transcript)).graph
    arcs, _ = best_arcs(graph, scores)
    ids, starts = timing(graph, arcs)
    edges = [*starts.tolist(), len(arcs)]
    names = corpus.lexicon.phones
    phones = [
        AlignedUnit(names[phone], first, end)
        for phone, first, end in zip(ids.tolist(), edges, edges[1:], strict=False)
    ]

    speech = [i for i, phone in enumerate(ids.tolist()) if phone != SIL]
    lengths = pronunciation_lengths(corpus, transcript, [int(ids[i]) for i in speech])
    words = []
    position = 0
    for word, length in zip(transcript, lengths, strict=True):
        of_word = [phones[i] for i in speech[position : position + length]]
        words.append(AlignedUnit(word, of_word[0].first, of_word[-1].end))
        position += length

    return ReferenceTimes(words, phones)


def pronunciation_lengths(
    corpus: Corpus, transcript: Sequence[str], phones: Sequence[int]
) -> list[int]:
    """Return how many of ``phones`` each word takes, by pronunciations that spell them exactly.

    The list is empty if no choice of pronunciations does.
    """
    if not transcript:
        return []
    last = len(transcript) == 1
    for pronunciation in corpus.lexicon.of(corpus.lexicon.word_id(transcript[0])):
        length = len(pronunciation.phones)
        spelt = tuple(phones[:length]) == tuple(pronunciation.phones)
        if not spelt or (length == len(phones) and not last):
            continue
        rest = pronunciation_lengths(corpus, transcript[1:], phones[length:])
        complete = len(rest) == len(transcript) - 1
        if complete and length + sum(rest) == len(phones):
            return [length, *rest]

    return []


# --- the lattice


def lattice_words(lattice: Lattice, words: Sequence[str]) -> list[LatticeWord]:
    """Return the words of a lattice with their posteriors, the likeliest first.

    ``words`` are the lexicon's. The same word at times at most `LABEL_FRAMES` frames apart counts
    once, since such paths differ in when it is said and not in what is said.
    """
    _, occupancy = arc_occupancies(lattice)
    found = []
    for word in np.unique(lattice.word[lattice.word > 0]):
        arcs = np.flatnonzero(lattice.word == word)  # in the order of time
        gaps = np.flatnonzero(np.diff(lattice.frame[arcs]) > LABEL_FRAMES)
        for group in np.split(arcs, gaps + 1):
            posterior = float(occupancy[group].sum())
            if posterior < LEAST_POSTERIOR:
                continue
            frame = round(float(occupancy[group] @ lattice.frame[group]) / posterior)
            first = max(0, frame - LABEL_FRAMES)
            end = min(lattice.frames, frame + LABEL_FRAMES)
            found.append(LatticeWord(words[word], first, end, min(1.0, posterior)))

    return sorted(found, key=lambda found_word: (-found_word.posterior, found_word.first))

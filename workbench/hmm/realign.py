"""Alignment of many utterances: what was said as small graphs, scored by Gaussians or by a network."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.align import best_arcs, compact
from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.graphs.numerator import numerator, shortest_frames
from workbench.hmm.states import TiedStates
from workbench.language.lexicon import Lexicon
from workbench.progress import Progress

T = TypeVar("T")
Score = Callable[
    [int, np.ndarray], np.ndarray
]  # (utterance, states) -> float32 [frames, states], natural log


@dataclass
class Steps:
    """Counts what was done of the ``total`` and tells ``progress``, now and then."""

    total: int
    progress: Progress | None = None
    done: int = 0

    def over(self, items: Iterable[T], what: str) -> Iterator[T]:
        """The items, each counted when the next one is asked for."""
        for item in items:
            yield item
            self.done += 1
            if self.progress and (self.done % 50 == 0 or self.done == self.total):
                self.progress(self.done, self.total, what)


@dataclass(frozen=True)
class Reference:
    """What was said in an utterance: a graph whose states are numbered within ``states``, the tied states it uses."""

    utterance: int
    graph: Graph
    states: np.ndarray


@dataclass(frozen=True)
class Aligned:
    """The best path of a reference: ``arcs`` of its graph and tied ``states``, int32 [frames]."""

    reference: Reference
    arcs: np.ndarray
    states: np.ndarray
    score: float


def usable(store: FrameStore, lexicon: Lexicon) -> tuple[list[int], list[tuple[int, str]]]:
    """Utterances that can be aligned, and the others with the reason."""
    good, set_aside = [], []
    for u, words in enumerate(store.words):
        first, last = store.span(u)
        try:
            least = shortest_frames(words, lexicon)
        except KeyError:
            set_aside.append((u, "word not in lexicon"))
            continue
        if last - first < least:
            set_aside.append((u, "too short for its words"))
        else:
            good.append(u)
    return good, set_aside


def reference(
    utterance: int, words: Iterable[str], lexicon: Lexicon, states: TiedStates
) -> Reference:
    """The reference of an utterance; KeyError for a word that the lexicon lacks."""
    ids = [lexicon.word_id(word) for word in words]
    # The words are given, so their probabilities would only add a constant.
    graph, used = compact(numerator(ids, lexicon, states, np.zeros(len(lexicon.words) + 2)))
    return Reference(utterance, graph, used)


def realign(references: Iterable[Reference], score: Score) -> Iterator[Aligned]:
    """The best path of each reference in turn; an utterance without one raises NoPath (see ``usable``)."""
    for r in references:
        arcs, total = best_arcs(r.graph, score(r.utterance, r.states))
        yield Aligned(r, arcs, r.states[r.graph.state[arcs]], total)


def align_store(
    store: FrameStore,
    lexicon: Lexicon,
    states: TiedStates,
    score: Score,
    progress: Progress | None = None,
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """The tied state of every frame of a split, int32 [frames], and the utterances set aside, with the reason.

    ``score`` may be that of Gaussians or of a network. Frames of utterances that were set aside have -1.
    """
    good, set_aside = usable(store, lexicon)
    steps = Steps(len(good), progress)
    alignment = np.full(len(store.features), -1, np.int32)
    for u in steps.over(good, "aligning"):
        try:
            (aligned,) = realign([reference(u, store.words[u], lexicon, states)], score)
        except NoPath:
            set_aside.append((u, "no path with a finite score"))
        else:
            alignment[slice(*store.span(u))] = aligned.states
    return alignment, sorted(set_aside)

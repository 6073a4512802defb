"""Alignment of many utterances: graphs of their words, scored by Gaussians or by a network."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.align import best_arcs, compact
from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.graphs.numerator import numerator, shortest_frames
from workbench.hmm.scores import BadScores
from workbench.hmm.states import TiedStates
from workbench.language.lexicon import Lexicon
from workbench.progress import Progress

T = TypeVar("T")

# Takes an utterance and tied states; returns float32 [frames, states], natural log.
Score = Callable[[int, np.ndarray], np.ndarray]

REPORT_EVERY = 50  # steps between two reports of progress


@dataclass
class Steps:
    """Counts steps of a ``total`` that is known in advance, and reports to ``progress``."""

    total: int
    progress: Progress | None = None
    done: int = 0

    def over(self, items: Iterable[T], what: str) -> Iterator[T]:
        """Yield the items; each counts as a step ``what`` when the next one is asked for."""
        for item in items:
            yield item
            self.done += 1
            is_due = self.done % REPORT_EVERY == 0 or self.done == self.total
            if self.progress and is_due:
                self.progress(self.done, self.total, what)


class NotAligned(NamedTuple):
    """An utterance that cannot be aligned, and the reason."""

    utterance: int
    reason: str


class Usable(NamedTuple):
    """Utterances that can be aligned, and those that cannot."""

    utterances: list[int]
    set_aside: list[NotAligned]


class Alignment(NamedTuple):
    """The tied state of every frame of a split, int32 [frames], -1 in utterances set aside."""

    states: np.ndarray
    set_aside: list[NotAligned]


@dataclass(frozen=True)
class ReferenceGraph:
    """The graph of an utterance's words; its states are indices of ``states``, tied states."""

    utterance: int
    graph: Graph
    states: np.ndarray


@dataclass(frozen=True)
class AlignedReference:
    """The best path of a reference: ``arcs`` of its graph and tied ``states``, int32 [frames].

    ``score``: log score of the path.
    """

    reference: ReferenceGraph
    arcs: np.ndarray
    states: np.ndarray
    score: float


def usable(store: FrameStore, lexicon: Lexicon) -> Usable:
    """Return the utterances whose words are known and have enough frames, and the others."""
    good = []
    set_aside = []
    for utterance, words in enumerate(store.words):
        first, end = store.span(utterance)
        try:
            least = shortest_frames(words, lexicon)
        except KeyError:
            set_aside.append(NotAligned(utterance, "word not in lexicon"))
            continue
        if end - first < least:
            set_aside.append(NotAligned(utterance, "too short for its words"))
        else:
            good.append(utterance)
    return Usable(good, set_aside)


def reference_graph(
    utterance: int, words: Iterable[str], lexicon: Lexicon, states: TiedStates
) -> ReferenceGraph:
    """Return the graph of an utterance's words; KeyError for a word that the lexicon lacks."""
    ids = [lexicon.word_id(word) for word in words]
    # The words are given, so their probabilities would only add a constant.
    unigram = np.zeros(len(lexicon.words) + 2)
    graph, used = compact(numerator(ids, lexicon, states, unigram))
    return ReferenceGraph(utterance, graph, used)


def realign(references: Iterable[ReferenceGraph], score: Score) -> Iterator[AlignedReference]:
    """Yield the best path of each reference; NoPath for one without a path (see ``usable``)."""
    for reference in references:
        scores = score(reference.utterance, reference.states)
        arcs, total = best_arcs(reference.graph, scores)
        states = reference.states[reference.graph.state[arcs]]
        yield AlignedReference(reference, arcs, states, total)


def align_store(
    store: FrameStore,
    lexicon: Lexicon,
    states: TiedStates,
    score: Score,
    progress: Progress | None = None,
) -> Alignment:
    """Return the alignment of a split by the scores of Gaussians or of a network."""
    good, set_aside = usable(store, lexicon)
    steps = Steps(len(good), progress)
    alignment = np.full(len(store.features), -1, np.int32)
    for utterance in steps.over(good, "aligning"):
        reference = reference_graph(utterance, store.words[utterance], lexicon, states)
        try:
            (aligned,) = realign([reference], score)
        except NoPath:
            set_aside.append(NotAligned(utterance, "no path with a finite score"))
        except BadScores as error:
            set_aside.append(NotAligned(utterance, str(error)))
        else:
            first, end = store.span(utterance)
            alignment[first:end] = aligned.states
    return Alignment(alignment, sorted(set_aside))

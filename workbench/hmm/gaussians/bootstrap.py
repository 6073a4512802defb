"""From words and frames to tied states and their Gaussians, without a model to begin with.

The steps: equal parts of utterances; monophones by Viterbi training with growing mixtures, on part
of the corpus; statistics of phones in context; decision trees; tied states by Viterbi training.
Where phones begin is not given: it is found on the way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.gaussians.cepstra import SIZE, observations
from workbench.hmm.gaussians.contexts import Contexts, ContextSums
from workbench.hmm.gaussians.flat_start import flat_start
from workbench.hmm.gaussians.mixtures import (
    Mixtures,
    accumulate,
    empty_sums,
    grow,
    single_gaussians,
    state_frames,
    update,
)
from workbench.hmm.gaussians.tree import self_loops, tie
from workbench.hmm.realign import (
    AlignedReference,
    ReferenceGraph,
    Score,
    Steps,
    realign,
    reference_graph,
    usable,
)
from workbench.hmm.states import POSITIONS, TiedStates, monophone
from workbench.language.lexicon import Lexicon
from workbench.progress import Progress
from workbench.settings import UserError, rng


@dataclass(frozen=True)
class Effort:
    """How much work goes into a bootstrap.

    ``monophone_frames``, ``tied_frames``: how many frames of the corpus are trained on.
    ``monophone``, ``tied``: one entry for each training pass, the most Gaussians of a state after
    it; each Gaussian needs ``frames_each`` frames. One more pass over the tied states splits none,
    so that the Gaussians that align the corpus have all been estimated. ``silence``: the most
    Gaussians of a silence state, doubled with every pass, because silence covers all kinds of
    noise. ``least_frames``: the fewest frames of a tied state.
    """

    monophone_frames: int = 200_000
    tied_frames: int = 1_500_000
    monophone: tuple[int, ...] = (1, 1, 2, 2, 4, 4, 8, 8)
    tied: tuple[int, ...] = (1, 2, 4, 8)
    silence: int = 32
    frames_each: float = 20.0
    least_frames: float = 80.0


@dataclass(frozen=True)
class Acoustics:
    """Tied states and their Gaussians."""

    states: TiedStates
    mixtures: Mixtures

    def score(self, store: FrameStore) -> Score:
        """Return the scores by which ``realign.align_store`` aligns a split."""
        return lambda utterance, states: self.mixtures.scores(
            observations(store, utterance), states
        )


def train(
    store: FrameStore,
    lexicon: Lexicon,
    count: int,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Acoustics:
    """Return tied states and Gaussians of a split; the same arguments give the same result.

    There are fewer than ``count`` states if not so many have ``effort.least_frames``. Raises
    UserError if nothing can be aligned, or if ``count`` is below three per phone.
    """
    effort = effort or Effort()
    least = POSITIONS * len(lexicon.phones)
    if count < least:
        phones = f"{len(lexicon.phones)} phones (silence included)"
        raise UserError(f"{count} tied states: {phones} need at least {least}")
    good, set_aside = usable(store, lexicon)
    if not good:
        first_reason = set_aside[0].reason if set_aside else "there is none"
        raise UserError(f"no utterance can be aligned; the first: {first_reason}")

    # In random order, so that any number of the first utterances is like all of them.
    order = rng(seed, "bootstrap").permutation(good).tolist()
    few = _first_utterances(store, order, effort.monophone_frames)
    many = _first_utterances(store, order, effort.tied_frames)
    more = many[len(few) :]

    # Of many utterances graphs are made twice, and phones in context are one more pass.
    utterances = len(few) + len(more)
    total = len(few) * len(effort.monophone) + utterances * (4 + len(effort.tied))
    return _Training(store, lexicon, effort, Steps(total, progress)).run(few, more, count)


def _first_utterances(store: FrameStore, utterances: list[int], frames: int) -> list[int]:
    """Return as many of the first utterances as are needed for so many frames."""
    spans = [store.span(utterance) for utterance in utterances]
    ends = np.cumsum([end - first for first, end in spans])
    return utterances[: int(np.searchsorted(ends, frames)) + 1]


@dataclass(frozen=True)
class _Training:
    store: FrameStore
    lexicon: Lexicon
    effort: Effort
    steps: Steps

    def run(self, few: list[int], more: list[int], count: int) -> Acoustics:
        """Train monophones on the utterances ``few``, tied states on ``few`` and ``more``."""
        phones = self.lexicon.phones
        mixtures, floor = flat_start(self.store, few, self.lexicon)
        monophones = Acoustics(monophone(phones), mixtures)
        references = self._references(few, monophones.states)
        for number, most in enumerate(self.effort.monophone, 1):
            what = f"monophones, pass {number} of {len(self.effort.monophone)}"
            trained = self._train_pass(references, monophones, most, floor, what)
            monophones = replace(monophones, mixtures=trained.mixtures)

        references += self._references(more, monophones.states)
        contexts = self._collect_contexts(references, monophones)
        tying = tie(contexts, phones, count, self.effort.least_frames, floor)

        tied = Acoustics(tying.states, single_gaussians(tying.sums, floor))
        references = self._references(few + more, tied.states)
        splits: list[int | None] = [*self.effort.tied, None]
        for number, limit in enumerate(splits, 1):
            what = f"{tied.states.count} tied states, pass {number} of {len(splits)}"
            tied = self._train_pass(references, tied, limit, floor, what)
        return tied

    def _references(self, utterances: Iterable[int], states: TiedStates) -> list[ReferenceGraph]:
        """Return the graphs of some utterances."""
        counted = self.steps.over(utterances, f"graphs of {states.count} states")
        return [reference_graph(u, self.store.words[u], self.lexicon, states) for u in counted]

    def _align(
        self, references: list[ReferenceGraph], acoustics: Acoustics, what: str
    ) -> Iterator[tuple[AlignedReference, np.ndarray]]:
        """Yield each reference's best path with its observations."""
        aligned_references = realign(references, acoustics.score(self.store))
        for aligned in self.steps.over(aligned_references, what):
            yield aligned, observations(self.store, aligned.reference.utterance)

    def _train_pass(
        self,
        references: list[ReferenceGraph],
        acoustics: Acoustics,
        most: int | None,
        floor: np.ndarray,
        what: str,
    ) -> Acoustics:
        """Return new mixtures and self loops, from the best paths under the present ones.

        ``most`` Gaussians of a state at most, after splits; None: nothing is split.
        """
        states = acoustics.states
        mixtures = acoustics.mixtures
        sums = empty_sums(mixtures)
        visits = np.zeros(states.count)
        for aligned, x in self._align(references, acoustics, what):
            accumulate(mixtures, x, aligned.states, sums)
            target = aligned.reference.graph.target[aligned.arcs]
            is_entered = np.diff(target, prepend=0) != 0
            np.add.at(visits, aligned.states[is_entered], 1)

        frames = state_frames(mixtures, sums)
        estimated = update(mixtures, sums, floor)
        if most is not None:
            is_silence = np.isin(np.arange(states.count), states.silence)
            limits = np.where(is_silence, self.effort.silence, most)
            estimated = grow(estimated, frames, limits, self.effort.frames_each)
        return Acoustics(replace(states, self_loop=self_loops(frames, visits)), estimated)

    def _collect_contexts(self, references: list[ReferenceGraph], acoustics: Acoustics) -> Contexts:
        """Return the statistics of phones in context, from the best paths."""
        found = ContextSums(SIZE)
        for aligned, x in self._align(references, acoustics, "phones in context"):
            found.add(aligned, x)
        return found.contexts()

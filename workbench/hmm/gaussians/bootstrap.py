"""From words and frames to tied states and an alignment, without any model to begin with.

Equal parts; monophones by Viterbi training with growing mixtures, on part of the corpus; statistics of phones in
context; decision trees; tied states by Viterbi training; an alignment of everything. Nobody marked where phones begin:
that is found on the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.gaussians.cepstra import SIZE, observations
from workbench.hmm.gaussians.contexts import Contexts, ContextSums
from workbench.hmm.gaussians.flat_start import flat_start
from workbench.hmm.gaussians.mixtures import (
    Mixtures,
    accumulate,
    grow,
    no_sums,
    single,
    state_frames,
    update,
)
from workbench.hmm.gaussians.tree import self_loops, tie
from workbench.hmm.realign import (
    Reference,
    Score,
    Steps,
    align_store,
    realign,
    reference,
    usable,
)
from workbench.hmm.states import POSITIONS, TiedStates, monophone
from workbench.language.lexicon import Lexicon
from workbench.progress import Progress
from workbench.settings import UserError, rng


@dataclass(frozen=True)
class Plan:
    """How much work goes into a bootstrap.

    ``monophone_frames``, ``tied_frames``: how much of the corpus is trained on. ``monophone``, ``tied``: a pass for
    each entry, the most Gaussians that a state may have after it if there are ``frames_each``. ``silence``: the most of
    a silence state, doubled with every pass, for silence is whatever noise there is. ``least_frames``: of a tied state.
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
        """What ``realign.align_store`` aligns a split by."""
        return lambda utterance, states: self.mixtures.scores(
            observations(store, utterance), states
        )


def bootstrap(
    store: FrameStore,
    lexicon: Lexicon,
    count: int,
    plan: Plan | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[TiedStates, np.ndarray, list[tuple[int, str]]]:
    """``train``, then an alignment of the same split: tied states, and what ``realign.align_store`` returns."""
    acoustics = train(store, lexicon, count, plan, seed, progress)
    return acoustics.states, *align_store(
        store, lexicon, acoustics.states, acoustics.score(store), progress
    )


def train(
    store: FrameStore,
    lexicon: Lexicon,
    count: int,
    plan: Plan | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Acoustics:
    """Tied states and Gaussians of a split; fewer than ``count`` states where no more have ``plan.least_frames``.

    The same arguments give the same result. UserError if nothing can be aligned, or ``count`` is below three per phone.
    """
    plan, least = plan or Plan(), POSITIONS * len(lexicon.phones)
    if count < least:
        raise UserError(
            f"{count} tied states: {len(lexicon.phones)} phones (silence included) need at least {least}"
        )
    good, set_aside = usable(store, lexicon)
    if not good:
        raise UserError(
            f"no utterance can be aligned; the first: {set_aside[0][1] if set_aside else 'there is none'}"
        )
    # In random order, so that the first ones are like all of them.
    order = rng(seed, "bootstrap").permutation(good).tolist()
    few, many = (_first(store, order, n) for n in (plan.monophone_frames, plan.tied_frames))
    many = few + many[len(few) :]
    # Graphs are made twice, and phones in context are one more pass.
    steps = Steps(len(few) * len(plan.monophone) + len(many) * (3 + len(plan.tied)), progress)
    return _Training(store, lexicon, plan, steps).run(few, many, count)


def _first(store: FrameStore, utterances: list[int], frames: int) -> list[int]:
    """As many of the first utterances as it takes to have ``frames``."""
    ends = np.cumsum([last - first for first, last in map(store.span, utterances)])
    return utterances[: int(np.searchsorted(ends, frames)) + 1]


@dataclass(frozen=True)
class _Training:
    store: FrameStore
    lexicon: Lexicon
    plan: Plan
    steps: Steps

    def run(self, few: list[int], many: list[int], count: int) -> Acoustics:
        """Monophones from the utterances ``few``, tied states from ``many``, which begin with them."""
        plan, phones = self.plan, self.lexicon.phones
        mixtures, floor = flat_start(self.store, few, self.lexicon)
        single_phones = monophone(phones)
        references = self._references(few, single_phones)
        for n, most in enumerate(plan.monophone, 1):
            what = f"monophones, pass {n} of {len(plan.monophone)}"
            mixtures, _ = self._pass(
                references, Acoustics(single_phones, mixtures), most, floor, what
            )
        references += self._references(many[len(few) :], single_phones)
        contexts = self._contexts(references, Acoustics(single_phones, mixtures))
        tying = tie(contexts, phones, count, plan.least_frames, floor)
        states, mixtures = tying.states, single(tying.sums, floor)
        references, loops = self._references(many, states), states.self_loop
        for n, most in enumerate(plan.tied, 1):
            what = f"{states.count} tied states, pass {n} of {len(plan.tied)}"
            mixtures, loops = self._pass(references, Acoustics(states, mixtures), most, floor, what)
        return Acoustics(replace(states, self_loop=loops), mixtures)

    def _references(self, utterances: Iterable[int], states: TiedStates) -> list[Reference]:
        chosen = self.steps.over(utterances, f"graphs of {states.count} states")
        return [reference(u, self.store.words[u], self.lexicon, states) for u in chosen]

    def _pass(
        self,
        references: list[Reference],
        acoustics: Acoustics,
        most: int,
        floor: np.ndarray,
        what: str,
    ) -> tuple[Mixtures, np.ndarray]:
        """New mixtures, and probabilities of staying, from the best paths under the present ones."""
        mixtures, sums = acoustics.mixtures, no_sums(acoustics.mixtures)
        visits = np.zeros(acoustics.states.count)
        for aligned in self.steps.over(realign(references, acoustics.score(self.store)), what):
            accumulate(
                mixtures,
                observations(self.store, aligned.reference.utterance),
                aligned.states,
                sums,
            )
            entered = np.diff(aligned.reference.graph.target[aligned.arcs], prepend=0) != 0
            np.add.at(visits, aligned.states[entered], 1)
        frames = state_frames(mixtures, sums)
        better = update(mixtures, sums, floor)
        limits = np.where(
            np.isin(np.arange(len(frames)), acoustics.states.silence), self.plan.silence, most
        )
        return grow(better, frames, limits, self.plan.frames_each), self_loops(frames, visits)

    def _contexts(self, references: list[Reference], acoustics: Acoustics) -> Contexts:
        found = ContextSums(SIZE)
        for aligned in self.steps.over(
            realign(references, acoustics.score(self.store)), "phones in context"
        ):
            found.add(aligned, observations(self.store, aligned.reference.utterance))
        return found.contexts()

"""The two lattices of an utterance: of everything that could have been said, and of what was said.

The numerator is the part of the denominator lattice that carries the reference words. So both are
pruned alike, and the numerator's total cannot exceed the denominator's. Only where the reference is
missing from the lattice is it aligned apart, with a graph that is made then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.scores import NOT_FINITE, BadScores, largest_score
from workbench.sequence import search as native
from workbench.sequence.lattice import Lattice, restrict
from workbench.settings import CriterionSettings, LatticeSettings

# Reasons why an utterance is set aside; they are recorded and counted.
OUTSIDE = "reference outside lattice"
UNALIGNED = "reference cannot be aligned"
NO_LATTICE = "no lattice: "

UNLIMITED = 2**31 - 1
WIDENINGS = (1, 2, 4)  # factors of the beam, tried one after the other


@dataclass(frozen=True, eq=False)
class Reference:
    """The ``words`` that were said, and a function that makes their graph.

    The graph is a third of the work on an utterance, and most lattices hold the reference without
    it.
    """

    words: tuple[int, ...]
    make: Callable[[], Graph]

    @cached_property
    def graph(self) -> Graph:
        """The graph of the words, made when it is first needed."""
        return self.make()


@dataclass(frozen=True)
class LatticePair:
    """Numerator and denominator of one utterance.

    ``outside``: the denominator has lost the reference. Then the numerator comes from the
    reference's own graph, pruned relative to its own best path, and the utterance has no value of
    MMI.
    """

    numerator: Lattice
    denominator: Lattice
    outside: bool = False

    @property
    def reason(self) -> str | None:
        """Why the utterance has no value of MMI, or None."""
        return OUTSIDE if self.outside else None


@dataclass(frozen=True)
class NoLatticePair:
    """The ``reason`` why an utterance lacks one or both of its lattices, with the one that was
    found.
    """

    reason: str
    numerator: Lattice | None = None
    denominator: Lattice | None = None


def value_with_reference(num: float, den: float) -> float:
    """Return MMI's num - log(e^den + e^num), at most 0, of a lattice that has lost the reference.

    The paths of the reference are added to those of the lattice, in training as in measuring.
    """
    return float(num - np.logaddexp(num, den))


def acoustic_scores(
    log_posteriors: np.ndarray, log_prior: np.ndarray, criterion: CriterionSettings
) -> np.ndarray:
    """Return κ (log p_θ(s|x) - prior_scale log p(s)), float32 [T, states] (docs/method.md, section
    1).
    """
    kappa = criterion.acoustic_scale
    offset = np.asarray(kappa * criterion.prior_scale * log_prior, np.float32)
    return np.float32(kappa) * log_posteriors - offset


def find_pair(
    scores: np.ndarray, reference: Reference, graph: Graph, settings: LatticeSettings
) -> LatticePair | NoLatticePair:
    """Search ``graph`` for the lattices of ``scores`` [T, states], or say why there are none.

    For engine=exact the numerator holds all paths of the reference's graph, and the denominator
    serves for the best path only.
    """
    fault = fault_of_scores(scores)
    if fault:
        return NoLatticePair(fault)

    exact = settings.engine == "exact"
    try:
        lattice = search_lattice(graph, scores, settings)
    except NoPath as error:
        numerator = _align(reference, scores, settings)
        reason = UNALIGNED if numerator is None else NO_LATTICE + str(error)
        return NoLatticePair(reason, numerator)

    inside = None if exact else _restrict(lattice, reference.words)
    if inside is not None:
        return LatticePair(inside, lattice)

    numerator = _align(reference, scores, settings)
    if numerator is None:
        return NoLatticePair(UNALIGNED, denominator=lattice)
    return LatticePair(numerator, lattice, outside=not exact)


def find_numerator(
    scores: np.ndarray, reference: Reference, settings: LatticeSettings
) -> Lattice | NoLatticePair:
    """Align ``reference`` with ``scores`` [T, states] by its own graph, or say why that fails."""
    fault = fault_of_scores(scores)
    if fault:
        return NoLatticePair(fault)
    numerator = _align(reference, scores, settings)
    return NoLatticePair(UNALIGNED) if numerator is None else numerator


def fault_of_scores(scores: np.ndarray) -> str | None:
    """Return why ``scores`` of a network cannot be searched, or None; it forbids no state."""
    try:
        largest_score(scores)
    except BadScores as error:
        return str(error)
    return None if np.isfinite(scores).all() else NOT_FINITE


def _restrict(lattice: Lattice, words: tuple[int, ...]) -> Lattice | None:
    try:
        return restrict(lattice, words)
    except NoPath:
        return None


def _align(reference: Reference, scores: np.ndarray, settings: LatticeSettings) -> Lattice | None:
    width = np.inf if settings.engine == "exact" else settings.lattice_beam
    try:
        return native.search(reference.graph, scores, np.inf, width, UNLIMITED)
    except NoPath:
        return None


def search_lattice(graph: Graph, scores: np.ndarray, settings: LatticeSettings) -> Lattice:
    """Return the lattice by the engine and the limits of ``settings``; auto is the native search.

    Where no path reaches the end within the beam, the search is done again with twice and four
    times the beam, recorded as the lattice's ``beam``. Raises NoPath if that does not help either.
    """
    search: Callable[..., Lattice] = native.search
    if settings.engine == "k2":
        from workbench.sequence import k2_lattice

        search = k2_lattice.search

    for factor in WIDENINGS:
        beam = factor * settings.beam
        max_active = factor * factor * settings.max_active
        try:
            return search(graph, scores, beam, settings.lattice_beam, max_active)
        except NoPath:
            if factor == WIDENINGS[-1]:
                raise
    raise AssertionError("unreachable")

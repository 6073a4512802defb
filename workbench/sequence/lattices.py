"""The two lattices of an utterance: everything that could have been said, and what was said.

The numerator is the part of the lattice that carries the reference words, so both are pruned alike and the numerator's
total cannot exceed the denominator's. Only where the reference is missing from the lattice is it aligned apart, with
its own graph, which is made then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.hmm.graphs.graph import Graph
from workbench.sequence import search as native
from workbench.sequence.lattice import Lattice, NoPath, restrict
from workbench.settings import Settings

OUTSIDE = "reference outside lattice"
UNALIGNED = "reference cannot be aligned"
NO_LATTICE = "no lattice: "
NOT_FINITE = "scores are not finite"
UNLIMITED = 2**31 - 1
WIDENINGS = (1, 2, 4)


@dataclass(frozen=True, eq=False)
class Reference:
    """The ``words`` that were said, and ``make``, which makes their graph: a third of the work on an utterance, and
    most lattices hold the reference anyway."""

    words: tuple[int, ...]
    make: Callable[[], Graph]

    @cached_property
    def graph(self) -> Graph:
        """The graph, made when first asked for."""
        return self.make()


@dataclass(frozen=True)
class Pair:
    """Numerator and denominator; ``reason``: why the utterance has no value of the criterion, and then either may be
    missing.

    With the reason OUTSIDE both are there, and the numerator is pruned relative to its own best path.
    """

    numerator: Lattice | None
    denominator: Lattice | None
    reference: tuple[int, ...]
    reason: str | None


def acoustic_scores(
    log_posteriors: np.ndarray, log_prior: np.ndarray, settings: Settings
) -> np.ndarray:
    """κ (log p_θ(s|x) - prior_scale log p(s)): float32 [T, states]."""
    offset = np.asarray(
        settings.criterion.acoustic_scale * settings.criterion.prior_scale * log_prior, np.float32
    )
    return np.float32(settings.criterion.acoustic_scale) * log_posteriors - offset


def pair(
    scores: np.ndarray, reference: Reference, denominator: Graph | None, settings: Settings
) -> Pair:
    """Search with ``scores`` [T, states]; without ``denominator`` only the reference is aligned.

    For lattice_engine=exact the numerator is all of its graph, and the denominator only tells the best path.
    """
    if not np.isfinite(scores).all():
        return Pair(None, None, (), NOT_FINITE)
    exact = settings.lattices.engine == "exact"
    lattice, reason = None, None
    if denominator is not None:
        try:
            lattice = lattices(denominator, scores, settings)
            if not exact:
                return Pair(restrict(lattice, reference.words), lattice, reference.words, None)
        except NoPath as error:
            reason = OUTSIDE if lattice is not None else NO_LATTICE + str(error)
    try:
        width = np.inf if exact else settings.lattices.lattice_beam
        aligned = native.search(reference.graph, scores, np.inf, width, UNLIMITED)
    except NoPath:
        return Pair(None, lattice, (), UNALIGNED)
    return Pair(aligned, lattice, reference.words, None if exact else reason)


def lattices(graph: Graph, scores: np.ndarray, settings: Settings) -> Lattice:
    """The lattice by the engine and the limits that ``settings`` name; auto is the native search, faster than k2 on
    CPUs.

    Where no path reaches the end within the beam, the search is done again with twice and four times the beam, which
    the lattice's ``beam`` then tells; NoPath if that does not help either.
    """
    search: Callable[..., Lattice] = native.search
    if settings.lattices.engine == "k2":
        from workbench.sequence import k2_lattice

        search = k2_lattice.search
    for wider in WIDENINGS:
        try:
            return search(
                graph,
                scores,
                wider * settings.lattices.beam,
                settings.lattices.lattice_beam,
                wider * wider * settings.lattices.max_active,
            )
        except NoPath:
            if wider == WIDENINGS[-1]:
                raise
    raise AssertionError("unreachable")

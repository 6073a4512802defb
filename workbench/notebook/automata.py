"""Graphs and lattices as automata of k2 and back, for those who draw, compose or check with k2."""

from typing import TYPE_CHECKING

from workbench.hmm.graphs import k2_fsa
from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.sequence import k2_lattice
from workbench.sequence.lattice import Lattice
from workbench.settings import UserError

if TYPE_CHECKING:
    import k2


def to_k2(automaton: Graph | Lattice) -> "k2.Fsa":
    """Return a search graph or a lattice as ``k2.Fsa``; UserError where k2 does not load.

    Labels are tied state + 1; arcs carry ``aux_labels`` (the word), ``phone`` and ``origin`` (the
    arc of the search graph), those of a lattice ``frame`` too.
    """
    try:
        if isinstance(automaton, Lattice):
            return k2_lattice.lattice_to_k2(automaton)
        return k2_fsa.to_k2(automaton)
    except (ImportError, OSError) as error:
        raise UserError(f"k2 does not load ({error}); README.md says how to install it") from error


def from_k2(fsa: "k2.Fsa") -> Graph | Lattice:
    """Return an automaton of `to_k2`, or one made of it, as lattice if its arcs know their frames.

    Without frames it is a search graph. Raises UserError for an automaton that is neither.
    """
    try:
        if hasattr(fsa, "frame"):
            return k2_lattice.lattice_from_k2(fsa)
        return k2_fsa.from_k2(fsa)
    except (ValueError, NoPath) as error:
        raise UserError(f"k2's automaton cannot be taken: {error}") from error

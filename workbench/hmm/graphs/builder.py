"""Builds search graphs from phones in context; nodes with the same future are shared.

A node means "the last frame was in this tied state": all arcs into it consume that state, and it
has a self loop. Nodes are identified by their future (the tied state, the phone, and what may
follow), so two histories with equal futures share one node. What may follow a phone is a set of
*junctions*, places between phones. A junction is not a node, hence there are no epsilons.

Look-ahead: every junction has a mass, the probability of all words behind it, up to the end of the
next one. An arc from a node whose junctions have mass M into a part that has mass m gets the weight
log(m / M), so that a choice counts as early as it is made. Along a path the masses cancel, which
leaves the original weights, whatever the masses are.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import fsum, log
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.states import SIL, TiedStates

START = 0  # the node before the first frame


class Branch(NamedTuple):
    """One way through a phone: its right context, and the junction it leads to with its mass."""

    right: int
    junction: Hashable
    mass: float


class NodeEntry(NamedTuple):
    """A node to enter, the word that becomes known (0: none), and the mass behind the node."""

    node: int
    word: int
    mass: float

    def scaled(self, factor: float) -> "NodeEntry":
        """Return the entry with its mass multiplied by ``factor``."""
        return self._replace(mass=factor * self.mass)


@dataclass(frozen=True)
class Junction:
    """What follows a phone: a look-ahead ``mass``, ``entries``, and the probability of the end."""

    mass: float
    entries: list[NodeEntry]
    final: float = 0.0


class _Arcs:
    """Arcs in the making, column by column: log weights are without transitions."""

    def __init__(self) -> None:
        self.source: list[int] = []
        self.target: list[int] = []
        self.word: list[int] = []
        self.weight: list[float] = []

    def add(self, source: int, entries: list[NodeEntry], mass: float) -> None:
        """Add an arc from ``source`` to each entry, which has its share of ``mass``."""
        for target, word, part in entries:
            self.source.append(source)
            self.target.append(target)
            self.word.append(word)
            self.weight.append(log(part / mass))


class _Exit(NamedTuple):
    """A node of the last state of a phone, and the junctions that follow it."""

    node: int
    junctions: list[Hashable]


@dataclass
class GraphBuilder:
    """Nodes and arcs in the making; node 0 is the start, before the first frame.

    ``junctions`` may be added in any order, but must be complete before ``graph`` is called.
    """

    states: TiedStates
    junctions: dict[Hashable, Junction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._contexts: dict[tuple[int, int], list[list[int]]] = {}
        self._state = [-1]  # of each node; the start has none
        self._phone = [SIL]
        self._node_of_future: dict[Hashable, int] = {}
        self._arcs = _Arcs()
        self._exits: list[_Exit] = []

    def start(self, entries: list[NodeEntry]) -> None:
        """Let paths begin with these entries."""
        self._arcs.add(START, entries, mass=1.0)

    def phone(self, left: int, phone: int, branches: list[Branch]) -> list[NodeEntry]:
        """Add the three states of a phone after ``left`` and return the ways into it.

        The phone is split as late as its right contexts, which need different tied states, allow.
        """
        by_first: dict[int, dict[int, dict[int, list[Branch]]]] = {}
        contexts = self._states_by_right_context(left, phone)
        for branch in branches:
            first, middle, last = contexts[branch.right]
            by_middle = by_first.setdefault(first, {})
            by_last = by_middle.setdefault(middle, {})
            by_last.setdefault(last, []).append(branch)

        entries = []
        for first, by_middle in by_first.items():
            middles = []
            for middle, by_last in by_middle.items():
                lasts = [self._add_last(phone, last, some) for last, some in by_last.items()]
                middles.append(self._add_inner(phone, middle, lasts))
            entries.append(self._add_inner(phone, first, middles))
        return entries

    def _states_by_right_context(self, left: int, phone: int) -> list[list[int]]:
        """Return the tied states of a phone after ``left``, for each right context."""
        contexts = self._contexts.get((left, phone))
        if contexts is None:
            # Lists of Python integers are several times faster to index than arrays.
            contexts = self.states.table[left, phone].tolist()
            self._contexts[left, phone] = contexts
        return contexts

    def graph(self) -> Graph:
        """Return the graph of everything added, with transition probabilities in its weights."""
        final = np.full(len(self._state), -np.inf)
        for node, names in self._exits:
            self._leave(node, [self.junctions[name] for name in names], final)

        source = np.array(self._arcs.source)
        target = np.array(self._arcs.target)
        weight = np.array(self._arcs.weight)
        state = np.array(self._state)
        phone = np.array(self._phone)
        leave = self.states.leave
        weight = weight + np.where(source == START, 0, leave[state[source]])
        final[1:] += leave[state[1:]]

        loops = np.arange(1, len(state))
        target = np.concatenate([loops, target])
        return from_arcs(
            source=np.concatenate([loops, source]),
            target=target,
            state=state[target],
            word=np.concatenate([np.zeros_like(loops), self._arcs.word]),
            weight=np.concatenate([self.states.self_loop[state[1:]], weight]),
            final=final,
            phone=phone[target],
        )

    def _leave(self, node: int, junctions: list[Junction], final: np.ndarray) -> None:
        """Add the arcs from the last state of a phone through junctions, and its final weight."""
        mass = fsum(junction.mass for junction in junctions)
        for junction in junctions:
            self._arcs.add(node, junction.entries, mass)

        ending = fsum(junction.final for junction in junctions)
        if ending:
            final[node] = log(ending / mass)

    def _add_inner(self, phone: int, state: int, parts: list[NodeEntry]) -> NodeEntry:
        """Return the way into a first or middle state, which ``parts`` without words follow."""
        mass = fsum(part.mass for part in parts)
        future = (phone, state, *sorted(part.node for part in parts))
        node, is_new = self._find_or_add_node(future, phone, state)
        if is_new:
            self._arcs.add(node, parts, mass)
        return NodeEntry(node, 0, mass)

    def _add_last(self, phone: int, state: int, branches: list[Branch]) -> NodeEntry:
        """Return the way into a last state that is followed by the branches' junctions."""
        names = [branch.junction for branch in branches]
        node, is_new = self._find_or_add_node((phone, state, "last", *names), phone, state)
        if is_new:
            self._exits.append(_Exit(node, names))
        return NodeEntry(node, 0, fsum(branch.mass for branch in branches))

    def _find_or_add_node(self, future: Hashable, phone: int, state: int) -> tuple[int, bool]:
        """Return the node of a future, and whether it is new."""
        node = self._node_of_future.get(future)
        if node is not None:
            return node, False
        node = len(self._state)
        self._node_of_future[future] = node
        self._state.append(state)
        self._phone.append(phone)
        return node, True

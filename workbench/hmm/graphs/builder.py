"""Building search graphs from phones in context, sharing everything that has the same future.

A node stands for "the last frame was in this tied state": all arcs into it consume that state, and it has a self loop.
Nodes are named by their future (the tied state, the phone, and what may follow), so two histories with equal futures
share one node. What may follow a phone is a set of *junctions*, places between phones; a junction is no node, hence
there are no epsilons.

Look-ahead: every junction has a mass, the probability of all that lies behind it, up to the end of the next word. An
arc from a node whose junctions weigh M into a part that weighs m gets log(m / M), so choices are paid for as early as
they are made, and along a path the masses cancel to the unpushed weights, whatever the masses are.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.states import SIL, TiedStates


class Branch(NamedTuple):
    """One way through a phone: its right context and the junction that it leads to, whose mass is ``mass``."""

    right: int
    junction: Hashable
    mass: float


class Entry(NamedTuple):
    """A node to go to from a junction, the word that becomes known on the way (0: none), the mass behind it."""

    node: int
    word: int
    mass: float


@dataclass(frozen=True)
class Junction:
    """What follows a phone: the look-ahead ``mass``, the ``entries`` and the probability ``final`` of ending here."""

    mass: float
    entries: list[Entry]
    final: float = 0.0


@dataclass
class Network:
    """Nodes and arcs in the making; node 0 is the start, before the first frame."""

    states: TiedStates
    junctions: dict[Hashable, Junction] = field(default_factory=dict)

    def __post_init__(self):
        self._contexts: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._state, self._phone = [-1], [SIL]
        self._known: dict[Hashable, int] = {}
        self._arcs: list[tuple[int, int, int, float]] = []
        self._exits: list[tuple[int, list[Hashable]]] = []

    def start(self, entries: list[Entry]) -> None:
        """Let paths begin with these entries."""
        self._arcs += [(0, node, word, log(mass)) for node, word, mass in entries]

    def phone(self, left: int, phone: int, branches: list[Branch]) -> list[Entry]:
        """The three states of a phone, split as late as its right contexts, which need different tied states, allow."""
        tree: dict[int, dict[int, dict[int, list[Branch]]]] = {}
        contexts = self._contexts.get((left, phone))
        if contexts is None:
            # Lists of Python integers are several times faster to read one by one than arrays are.
            contexts = self._contexts[left, phone] = self.states.table[left, phone].tolist()
        for branch in branches:
            first, middle, last = contexts[branch.right]
            tree.setdefault(first, {}).setdefault(middle, {}).setdefault(last, []).append(branch)
        entries = []
        for first, below in tree.items():
            middles = [
                self._inner(
                    phone, middle, [self._outer(phone, last, b) for last, b in ends.items()]
                )
                for middle, ends in below.items()
            ]
            entries.append(self._inner(phone, first, middles))
        return entries

    def graph(self) -> Graph:
        """Everything so far, with the transitions' probabilities; all junctions must be known by now."""
        final = np.full(len(self._state), -np.inf)
        for node, names in self._exits:
            self._leave(node, [self.junctions[name] for name in names], final)
        source, target, word, weight = (
            np.array(column) for column in zip(*self._arcs, strict=True)
        )
        state, phone = np.array(self._state), np.array(self._phone)
        leave, nodes = self.states.leave, np.arange(1, len(state))
        # Nothing is left at the start, so its arcs carry no transition.
        weight = weight + np.where(source > 0, leave[state[source]], 0)
        final[1:] += leave[state[1:]]
        source, target = np.concatenate([nodes, source]), np.concatenate([nodes, target])
        word = np.concatenate([np.zeros_like(nodes), word])
        weight = np.concatenate([self.states.self_loop[state[1:]], weight])
        return from_arcs(source, target, state[target], word, weight, final, phone[target])

    def _leave(self, node: int, junctions: list[Junction], final: np.ndarray) -> None:
        """Arcs from the last state of a phone through its junctions."""
        mass = sum(j.mass for j in junctions)
        for junction in junctions:
            self._arcs += [(node, e.node, e.word, log(e.mass / mass)) for e in junction.entries]
        ending = sum(j.final for j in junctions)
        if ending:
            final[node] = log(ending / mass)

    def _inner(self, phone: int, state: int, parts: list[Entry]) -> Entry:
        """A node of the first or middle state, followed by ``parts``."""
        mass = sum(part.mass for part in parts)
        key = (phone, state, *sorted(part.node for part in parts))
        node, new = self._node(key, phone, state)
        if new:
            self._arcs += [(node, part.node, 0, log(part.mass / mass)) for part in parts]
        return Entry(node, 0, mass)

    def _outer(self, phone: int, state: int, branches: list[Branch]) -> Entry:
        """A node of the last state, followed by the branches' junctions."""
        names = [b.junction for b in branches]
        node, new = self._node((phone, state, "last", *names), phone, state)
        if new:
            self._exits.append((node, names))
        return Entry(node, 0, sum(b.mass for b in branches))

    def _node(self, key: Hashable, phone: int, state: int) -> tuple[int, bool]:
        node = self._known.get(key)
        if node is not None:
            return node, False
        self._known[key] = node = len(self._state)
        self._state.append(state)
        self._phone.append(phone)
        return node, True

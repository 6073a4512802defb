"""Phones of a plan (`segments`) become tied states in context, with look-ahead: array by array, not node by node.

A node stands for "the last frame was in this tied state", as in `network`: a phone is split as late as its right
contexts demand, and nodes of a segment that have equal futures, after different left contexts, are one.

Look-ahead: a node is worth the probability of all words up to the next label that lie behind it, and an arc pays for
what its target is worth less than its source. Along a path that telescopes to the plan's weights, whatever the worth.
"""

from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.graphs.ngram_plan import ENDED, Segments
from workbench.hmm.graphs.ngram_words import spread
from workbench.hmm.states import SIL, TiedStates


class Layer(NamedTuple):
    """Nodes of one position of all phones, made of groups of equal ones.

    ``number`` [groups]: which node a group has become; ``state``, ``segment``, ``worth`` (natural log) [nodes]. Pairs
    of ``node`` and ``member`` say what comes after: nodes of the next layer, or links.
    """

    number: np.ndarray
    state: np.ndarray
    segment: np.ndarray
    worth: np.ndarray
    node: np.ndarray
    member: np.ndarray


def expanded(plan: Segments, states: TiedStates) -> tuple[Graph, np.ndarray]:
    """(graph, the language model's part of its weights: float32 [arcs]); ``plan`` has its links in order of source."""
    links, ending = plan.links, plan.links.target == ENDED
    right = np.where(ending, SIL, plan.phone[links.target])
    # A segment is entered once for each left context; these pairs are in the order of segments.
    phones = len(states.phones)
    into = links.target * phones + np.where(right == SIL, SIL, plan.phone[links.source])
    pairs = np.unique(into[~ending])
    segment, left = pairs // phones, pairs % phones
    bounds = np.searchsorted(links.source, np.arange(len(plan.phone) + 1))
    pair, link = spread(bounds[segment], np.diff(bounds)[segment])
    triples, triple = np.unique(states.table.reshape(-1, 3), axis=0, return_inverse=True)
    triple = triple.reshape(states.table.shape[:3])[
        left[pair], plan.phone[segment[pair]], right[link]
    ]
    order = np.argsort(pair * len(triples) + triple, kind="stable")
    group = np.column_stack([pair[order].astype(np.int32), triples[triple[order]]])
    worth = links.lm + links.rest + np.where(ending, 0.0, plan.ahead[links.target])
    last, group = layer(group, segment, link[order].astype(np.int32), worth)
    middle, group = layer(group[:, :3], segment, last.number, last.worth)
    first, group = layer(group[:, :2], segment, middle.number, middle.worth)
    entries = np.searchsorted(group[:, 0], np.arange(len(pairs) + 1))
    begin, end = (entries[np.searchsorted(pairs, into[~ending]) + k] for k in (0, 1))
    opened, entry = spread(begin, end - begin)
    return _graph(
        states, plan, (first, middle, last), np.flatnonzero(~ending)[opened], first.number[entry]
    )


def layer(
    group: np.ndarray, segment: np.ndarray, member: np.ndarray, worth: np.ndarray
) -> tuple[Layer, np.ndarray]:
    """(nodes, the distinct rows of ``group``), where ``group`` [rows, columns] begins with a pair and ends with the
    tied state, and equal rows are neighbours; ``segment`` [pairs], ``worth`` of each ``member``."""
    first = np.flatnonzero(np.any(np.diff(group, axis=0, prepend=-1), axis=1))
    count, distinct = np.diff(first, append=len(group)), group[first]
    state, of = distinct[:, -1], segment[distinct[:, 0]]
    # Equal sets have equal sums of numbers that look random; that unequal ones do not is checked.
    signature = np.add.reduceat(mixed(member), first) + mixed(mixed(of) + state.astype(np.uint64))
    _, one, number = np.unique(signature, return_index=True, return_inverse=True)
    _, j = spread(first[one[number]], count)
    if (
        not np.array_equal(member[j], member)
        or (state[one[number]] != state).any()
        or (of[one[number]] != of).any()
    ):
        raise AssertionError("two different sets have the same signature")
    node, j = spread(first[one], count[one])
    value = np.logaddexp.reduceat(worth[member], first)[one]
    return Layer(number, state[one], of[one], value, node, member[j]), distinct


def mixed(numbers: np.ndarray) -> np.ndarray:
    """A number that looks random for each of ``numbers``: uint64 (Steele et al. 2014, splitmix)."""
    x = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _graph(
    states: TiedStates,
    plan: Segments,
    layers: tuple[Layer, ...],
    opened: np.ndarray,
    entry: np.ndarray,
) -> tuple[Graph, np.ndarray]:
    """Nodes in the order of their segments, so that what is searched together lies together, behind the start; pairs of
    ``opened`` (a link) and ``entry`` (a first node) say where links lead."""
    links, last = plan.links, layers[2]
    segment = np.concatenate([layer.segment for layer in layers])
    order = np.argsort(segment, kind="stable")
    numbers = np.empty(len(order), np.int32)
    numbers[order] = 1 + np.arange(len(order))
    number = np.split(numbers, np.cumsum([len(layer.state) for layer in layers])[:-1])
    state, worth = (
        np.concatenate([getattr(layer, name) for layer in layers])[order]
        for name in ("state", "worth")
    )
    worth, leave = np.append(0.0, worth), np.append(0.0, states.leave[state])
    (begun,) = np.nonzero(links.source == 0)
    node, link = (
        np.append(number[2][last.node], np.zeros(len(begun), np.int32)),
        np.append(last.member, begun),
    )
    final, over = np.full(len(worth), -np.inf), links.target[link] == ENDED
    final[node[over]] = links.rest[link[over]] + leave[node[over]] - worth[node[over]]
    leads = np.searchsorted(opened, np.arange(len(links.source) + 1))
    i, j = spread(leads[link], np.diff(leads)[link])
    inner = [(number[k][layers[k].node], number[k + 1][layers[k].member]) for k in (0, 1)]
    source, target = (
        np.concatenate(c) for c in zip(*inner, (node[i], number[0][entry[j]]), strict=True)
    )
    word, lm, rest = (
        np.append(np.zeros(len(source) - len(i), np.float32), column[link[i]])
        for column in links[2:]
    )
    del i, j, node, link
    rest = (rest + leave[source]).astype(np.float32)
    lm = (lm + worth[target] - worth[source]).astype(np.float32)
    loops = np.arange(1, len(worth), dtype=np.int32)
    source, target = np.append(loops, source), np.append(loops, target)
    word, lm = (
        np.append(np.zeros(len(loops), np.int32), word.astype(np.int32)),
        np.append(np.zeros_like(loops, np.float32), lm),
    )
    weight = lm + np.append(states.self_loop[state], rest)
    consumed = state[target - 1]
    phone = plan.phone[np.append(0, segment[order])].astype(np.int16)
    graph = from_arcs(source, target, consumed, word, weight, final, phone[target])
    return graph, lm[np.argsort(source, kind="stable")]

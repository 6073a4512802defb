"""A network of phones (`ngram_plan`) becomes a search graph of tied states, with look-ahead.

A node of the search graph means "the last frame was in this tied state", as in `builder`. Tied
states depend on the phones before and behind, across words too. A phone is split only where its
right contexts need different tied states, and nodes of one phone node that have equal futures
after different left contexts are merged. Everything is computed array by array, not node by node.

Look-ahead: a node is worth the probability of all words behind it, up to the next word label, and
an arc adds what its target is worth less than its source. Along a path these differences cancel,
so its weight is that of the phone network, whatever the worth of the nodes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.graphs.ngram_words import expand_ranges
from workbench.hmm.graphs.phone_network import SENTENCE_END, PhoneNetwork
from workbench.hmm.states import POSITIONS, SIL, TiedStates

START = 0  # the node before the first frame


class Futures(NamedTuple):
    """Sets of what can follow one tied state of a phone; equal ones will become one node.

    ``key`` int64 [rows, columns]: rows with equal keys are neighbours and make one group. A key is
    an entry of the phone (an index of ``Entries``), then tied states; the last is the group's own.
    ``member`` [rows]: what follows, a node of the next layer or a link. ``member_worth``: natural
    log of the worth of each possible member, indexed by ``member``.
    """

    key: np.ndarray
    member: np.ndarray
    member_worth: np.ndarray


class NodeLayer(NamedTuple):
    """Nodes of the same position (first, middle or last state) of all phones.

    ``node_of_group`` [groups]: the node that each group has become. ``state``, ``phone_node`` and
    ``worth`` (natural log) [nodes]. ``node`` and ``member``: pairs of a node and what follows it,
    a node of the next layer or, in the last layer, a link.
    """

    node_of_group: np.ndarray
    state: np.ndarray
    phone_node: np.ndarray
    worth: np.ndarray
    node: np.ndarray
    member: np.ndarray


class Entries(NamedTuple):
    """The ways into phone nodes, sorted by ``phone_node``, then ``left`` context: both [entries].

    ``of_link`` [links]: the entry that each link leads to, -1 for links that end the sentence.
    """

    phone_node: np.ndarray
    left: np.ndarray
    of_link: np.ndarray


class LinkTargets(NamedTuple):
    """Pairs of a link and a first node of the phone that it leads to, in the order of ``link``."""

    link: np.ndarray
    node: np.ndarray


@dataclass(frozen=True)
class NumberedNodes:
    """All nodes of the search graph: the start, then those of the layers by phone node.

    ``first``, ``middle``, ``last``: the number of each node of the layers. ``state`` [nodes - 1]
    is without the start; ``worth`` float64 and ``phone`` int64 [nodes] are with it.
    """

    first: np.ndarray
    middle: np.ndarray
    last: np.ndarray
    state: np.ndarray
    worth: np.ndarray
    phone: np.ndarray


class Arcs(NamedTuple):
    """Arcs as columns; ``lm``: log weights of the language model, ``rest``: all other weights."""

    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    lm: np.ndarray
    rest: np.ndarray


class StateGraph(NamedTuple):
    """A search graph, and the language model's part of its weights: float32 [arcs]."""

    graph: Graph
    lm: np.ndarray


def state_graph(network: PhoneNetwork, states: TiedStates) -> StateGraph:
    """Return the search graph of a phone network."""
    entries = phone_entries(network, len(states.phones))

    # From the last states of phones to the first: what follows a node must be known before it is.
    futures = last_state_futures(network, states, entries)
    last = merge_equal_futures(futures, entries.phone_node)
    futures = earlier_futures(futures, last)
    middle = merge_equal_futures(futures, entries.phone_node)
    futures = earlier_futures(futures, middle)
    first = merge_equal_futures(futures, entries.phone_node)

    targets = link_targets(entries, distinct_keys(futures.key)[:, 0], first)
    nodes = number_nodes(network, first, middle, last)
    return assemble(network, states, nodes, (first, middle, last), targets)


def phone_entries(network: PhoneNetwork, phones: int) -> Entries:
    """Return the ways into each phone node: one for every left context that it can have.

    Silence has no context, so it has one entry; ``phones`` is the number of phones.
    """
    links = network.links
    continues = links.target != SENTENCE_END
    phone = right_contexts(network)
    left = np.where(phone == SIL, SIL, network.phone[links.source])
    code = links.target * phones + left
    distinct = np.unique(code[continues])
    of_link = np.where(continues, np.searchsorted(distinct, code), -1)
    return Entries(distinct // phones, distinct % phones, of_link)


def right_contexts(network: PhoneNetwork) -> np.ndarray:
    """Return the phone that each link leads to, silence at the end of the sentence: [links]."""
    target = network.links.target
    return np.where(target == SENTENCE_END, SIL, network.phone[target])


def last_state_futures(network: PhoneNetwork, states: TiedStates, entries: Entries) -> Futures:
    """Return the links that can follow the last state of each phone, by entry and tied states.

    Keys have four columns: the entry and the tied states of the phone's three positions, which
    depend on the left context, from the entry, and the right one, from the link.
    """
    links = network.links
    bounds = np.searchsorted(links.source, np.arange(len(network.phone) + 1))
    entry, link = expand_ranges(bounds[entries.phone_node], np.diff(bounds)[entries.phone_node])

    triples, triple_of_context = np.unique(
        states.table.reshape(-1, POSITIONS), axis=0, return_inverse=True
    )
    triple_of_context = triple_of_context.reshape(states.table.shape[:3])
    phone = network.phone[entries.phone_node[entry]]
    triple = triple_of_context[entries.left[entry], phone, right_contexts(network)[link]]

    order = np.argsort(entry * len(triples) + triple, kind="stable")
    key = np.column_stack([entry[order].astype(np.int32), triples[triple[order]]])

    ahead = np.where(links.target == SENTENCE_END, 0.0, network.ahead[links.target])
    return Futures(key, link[order].astype(np.int32), links.lm + links.rest + ahead)


def earlier_futures(later: Futures, layer: NodeLayer) -> Futures:
    """Return the futures of the position before the one whose futures have become ``layer``."""
    key = distinct_keys(later.key)[:, :-1]
    return Futures(key, layer.node_of_group, layer.worth)


def distinct_keys(key: np.ndarray) -> np.ndarray:
    """Return the key of each group: the rows of ``key`` that differ from the row before."""
    return key[first_rows(key)]


def first_rows(key: np.ndarray) -> np.ndarray:
    """Return the indices of the rows of ``key`` [rows, columns] that differ from the row before."""
    differs = np.diff(key, axis=0, prepend=-1) != 0
    return np.flatnonzero(differs.any(axis=1))


def merge_equal_futures(futures: Futures, phone_node_of_entry: np.ndarray) -> NodeLayer:
    """Return one node for all groups that agree in phone node, tied state and members.

    Raises AssertionError if two groups that differ have the same signature, a sum of 64 bits that
    stands for a set of members.
    """
    member = futures.member
    first = first_rows(futures.key)
    count = np.diff(first, append=len(member))
    key = futures.key[first]
    state = key[:, -1]
    phone_node = phone_node_of_entry[key[:, 0]]

    own = mix_bits(mix_bits(phone_node) + state.astype(np.uint64))
    signature = np.add.reduceat(mix_bits(member), first) + own
    _, one, node_of_group = np.unique(signature, return_index=True, return_inverse=True)

    # Compare each group with the one that stands for its node.
    same = one[node_of_group]
    _, row = expand_ranges(first[same], count)
    members_agree = np.array_equal(count[same], count) and np.array_equal(member[row], member)
    states_agree = np.array_equal(state[same], state)
    if not members_agree or not states_agree or not np.array_equal(phone_node[same], phone_node):
        raise AssertionError("two different sets have the same signature")

    worth = np.logaddexp.reduceat(futures.member_worth[member], first)
    node, row = expand_ranges(first[one], count[one])
    return NodeLayer(node_of_group, state[one], phone_node[one], worth[one], node, member[row])


def mix_bits(numbers: np.ndarray) -> np.ndarray:
    """Return a number that looks random for each of ``numbers``: uint64.

    This is splitmix64 (Steele et al. 2014) on an array, where the product overflows as meant.
    `engine.clocks.chance` does the same with one Python integer, which has to be cut to 64 bits;
    neither form serves the other's purpose.
    """
    x = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def link_targets(entries: Entries, entry_of_group: np.ndarray, first: NodeLayer) -> LinkTargets:
    """Return the first nodes of the phone that each link leads to.

    ``entry_of_group``: the entry of each group of the layer ``first``, ascending.
    """
    bounds = np.searchsorted(entry_of_group, np.arange(len(entries.phone_node) + 1))
    inner = np.flatnonzero(entries.of_link >= 0)
    entry = entries.of_link[inner]
    i, group = expand_ranges(bounds[entry], bounds[entry + 1] - bounds[entry])
    return LinkTargets(inner[i], first.node_of_group[group])


def number_nodes(
    network: PhoneNetwork, first: NodeLayer, middle: NodeLayer, last: NodeLayer
) -> NumberedNodes:
    """Number the nodes by phone node, so that what is searched together lies together."""
    layers = (first, middle, last)
    phone_node = np.concatenate([layer.phone_node for layer in layers])
    state = np.concatenate([layer.state for layer in layers])
    worth = np.concatenate([layer.worth for layer in layers])

    order = np.argsort(phone_node, kind="stable")
    number = np.empty(len(order), np.int32)
    number[order] = START + 1 + np.arange(len(order))
    ends = np.cumsum([len(layer.state) for layer in layers])
    phone_node = np.append(0, phone_node[order])  # the start is phone node 0
    return NumberedNodes(
        first=number[: ends[0]],
        middle=number[ends[0] : ends[1]],
        last=number[ends[1] :],
        state=state[order],
        worth=np.append(0.0, worth[order]),
        phone=network.phone[phone_node],
    )


def assemble(
    network: PhoneNetwork,
    states: TiedStates,
    nodes: NumberedNodes,
    layers: tuple[NodeLayer, NodeLayer, NodeLayer],
    targets: LinkTargets,
) -> StateGraph:
    """Return the search graph of the layers of first, middle and last nodes."""
    first, middle, last = layers
    leave = np.append(0.0, states.leave[nodes.state])  # nothing is left at the start

    # Every link that can be taken from a last node or the start, under the node's number.
    starting = np.flatnonzero(network.links.source == 0)
    node = np.append(nodes.last[last.node], np.full(len(starting), START, np.int32))
    link = np.append(last.member, starting)

    final = final_weights(network, nodes, leave, node, link)
    inner = [
        inner_arcs(nodes.first[first.node], nodes.middle[first.member]),
        inner_arcs(nodes.middle[middle.node], nodes.last[middle.member]),
    ]
    outer = link_arcs(network, nodes, node, link, targets)
    arcs = Arcs(*(np.concatenate(columns) for columns in zip(*inner, outer, strict=True)))

    # All but the self loops leave a state, and pay or gain the difference in worth.
    rest = (arcs.rest + leave[arcs.source]).astype(np.float32)
    lm = (arcs.lm + nodes.worth[arcs.target] - nodes.worth[arcs.source]).astype(np.float32)
    loops = np.arange(START + 1, len(nodes.worth), dtype=np.int32)
    source = np.append(loops, arcs.source)
    target = np.append(loops, arcs.target)
    word = np.append(np.zeros(len(loops), np.int32), arcs.word.astype(np.int32))
    lm = np.append(np.zeros(len(loops), np.float32), lm)
    weight = lm + np.append(states.self_loop[nodes.state], rest)

    graph = from_arcs(
        source,
        target,
        state=nodes.state[target - 1],
        word=word,
        weight=weight,
        final=final,
        phone=nodes.phone[target].astype(np.int16),
    )
    return StateGraph(graph, lm[np.argsort(source, kind="stable")])


def final_weights(
    network: PhoneNetwork,
    nodes: NumberedNodes,
    leave: np.ndarray,
    node: np.ndarray,
    link: np.ndarray,
) -> np.ndarray:
    """Return the final weight of every node: float64 [nodes], -inf where no sentence may end.

    ``leave`` [nodes]: log probability of leaving each node's state. ``node`` and ``link``: pairs of
    a node and a link that can be taken from it.
    """
    ending = network.links.target[link] == SENTENCE_END
    node = node[ending]
    final = np.full(len(nodes.worth), -np.inf)
    final[node] = network.links.rest[link[ending]] + leave[node] - nodes.worth[node]
    return final


def inner_arcs(source: np.ndarray, target: np.ndarray) -> Arcs:
    """Return the arcs between nodes of one phone, which carry no word and no weights yet."""
    nothing = np.zeros(len(source))
    return Arcs(source, target, nothing, nothing, nothing)


def link_arcs(
    network: PhoneNetwork,
    nodes: NumberedNodes,
    node: np.ndarray,
    link: np.ndarray,
    targets: LinkTargets,
) -> Arcs:
    """Return the arcs from last nodes and the start through links to first nodes.

    ``node`` and ``link``: pairs of a node and a link that can be taken from it.
    """
    links = network.links
    bounds = np.searchsorted(targets.link, np.arange(len(links.source) + 1))
    i, j = expand_ranges(bounds[link], np.diff(bounds)[link])
    taken = link[i]
    return Arcs(
        source=node[i],
        target=nodes.first[targets.node[j]],
        word=links.word[taken],
        lm=links.lm[taken],
        rest=links.rest[taken],
    )

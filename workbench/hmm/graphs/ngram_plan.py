"""All sentences of a back-off n-gram model as a network of phones: half of the way to a graph.

A *phone node* is a phone at one place: in the prefix tree of the words that the model lists after
a history; in the rest of a word that has become certain, with the history that follows it; at the
end of a word; or in the silence between words. *Links* lead from phone node to phone node and
carry words and weights. Phone nodes are shared wherever their futures are equal: the beginnings of
the words after a history, and the ends of words with the same next history.

The n-gram that predicts the next word, or the end of the sentence, is chosen on entering the last
phone of a word, by one link for each shorter history, with the back-off weights on it. A back-off
therefore costs one arc, where copying the first arcs of the shorter history's words would cost
hundreds. A history after which the model lists no word is left at once. As in every static graph,
a word that is listed after a history can also be reached by backing off; its best path is wrong
only where that is likelier than the listed probability.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.ngram_words import (
    NO_PHONE,
    ListedWords,
    expand_ranges,
    first_row_sharing,
    listed_words,
    parent_histories,
    shared_beginnings,
)
from workbench.hmm.graphs.phone_network import SENTENCE_END, Links, PhoneNetwork
from workbench.hmm.states import SIL
from workbench.language.lexicon import Lexicon
from workbench.language.trie import Trie

AT_ROOT = -1  # in place of a key: no phone of the word has been passed yet


class Kind(IntEnum):
    """Kinds of phone nodes, and what ``place`` and ``detail`` of their keys stand for."""

    START = 0
    PREFIX = 1  # in a prefix tree: row of the listed words, depth of the phone
    TAIL = 2  # in the rest of a word: row of the tails, phones left with this one
    LAST = 3  # last phone of a word: history that follows, the phone itself
    PAUSE = 4  # silence between words: history that follows


class KeyFields(NamedTuple):
    """The fields of packed keys, int64 arrays of equal length; see `Kind`."""

    kind: np.ndarray
    place: np.ndarray
    detail: np.ndarray


# A key is one int64: 8 bits of kind, 40 bits of place, 16 bits of detail. Sorting keys therefore
# sorts phone nodes by kind, then place, then detail.
DETAIL_BITS = 16
PLACE_BITS = 40
START_KEY = 0


def pack_key(kind: Kind, place: np.ndarray | int, detail: np.ndarray | int = 0) -> np.ndarray:
    """Return the keys of phone nodes, int64, which identify them until they are numbered."""
    packed_place = np.asarray(place, np.int64) << DETAIL_BITS
    return int(kind) << (PLACE_BITS + DETAIL_BITS) | packed_place | detail


def unpack_key(key: np.ndarray) -> KeyFields:
    """Return the fields of keys that `pack_key` made."""
    return KeyFields(
        kind=key >> (PLACE_BITS + DETAIL_BITS),
        place=key >> DETAIL_BITS & (1 << PLACE_BITS) - 1,
        detail=key & (1 << DETAIL_BITS) - 1,
    )


class PhoneNodes(NamedTuple):
    """Phone nodes under their keys: ``key`` int64, ``phone`` int64, ``mass`` float64, all [nodes].

    ``mass`` is the summed probability of the words behind a node, up to the next word label.
    """

    key: np.ndarray
    phone: np.ndarray
    mass: np.ndarray


class Choices(NamedTuple):
    """Ways in which sentences can go on: columns of equal length.

    ``row``: index of the history asked about. ``history``: the history that predicts the next
    word, or the builder's ``ended`` if the sentence ends. ``lm``: log probability of backing off
    to that history, or of the end.
    """

    row: np.ndarray
    history: np.ndarray
    lm: np.ndarray


def plan_phone_network(lexicon: Lexicon, trie: Trie, end: int, silence: float) -> PhoneNetwork:
    """Return the network of all sentences of the model in ``trie``.

    ``end``: the id of the end of a sentence. ``silence``: probability of a pause at the start and
    after each word. Raises ValueError if the model has no words or sentences cannot end.
    """
    listed = listed_words(lexicon, trie, end)
    end_log_p = _end_log_probabilities(trie, end)
    has_unigrams = len(listed.word) > 0 and listed.history[0] == 0
    if not has_unigrams or end_log_p[0] == -np.inf or not 0 < silence < 1:
        raise ValueError(
            "an n-gram graph needs words without history, p(</s>) > 0 and 0 < silence < 1"
        )

    builder = _PhoneNetworkBuilder(trie, listed, end_log_p)
    builder.add_words()
    builder.add_boundaries(silence)
    return builder.number_nodes()


def _end_log_probabilities(trie: Trie, end: int) -> np.ndarray:
    """Return log p(</s>) as each history lists it, -inf where it does not: float64 [nodes]."""
    out = np.full(len(trie.suffix), -np.inf)
    ending = np.flatnonzero(trie.word[1:] == end)
    out[parent_histories(trie)[ending]] = trie.log_p[1:][ending]
    return out


class _PhoneNetworkBuilder:
    """Phone nodes and links in the making, identified by keys.

    ``ended`` stands in place of a history: the sentence ends. ``mass`` float64 [histories + 1]:
    summed probability of the words that each history lists; 1 for ``ended``.
    """

    def __init__(self, trie: Trie, listed: ListedWords, end_log_p: np.ndarray):
        self.trie = trie
        self.listed = listed
        self.end_log_p = end_log_p
        self.ended = len(end_log_p)
        self.mass = np.bincount(listed.history, np.exp(listed.log_p), self.ended + 1)
        self.mass[self.ended] = 1.0

        start = PhoneNodes(np.array([START_KEY]), np.array([SIL]), np.ones(1))
        self.nodes: list[PhoneNodes] = [start]
        self.links: list[Links] = []
        self.root_links: list[Links] = []  # their sources are histories, not keys

    def add_words(self) -> None:
        """Add the words after each history: shared beginnings, word labels, and the rests."""
        before, phones_left = self.add_prefixes()
        in_last_phone = phones_left == 1
        self._add_words_certain_at_end(np.flatnonzero(in_last_phone), before)
        self._add_words_certain_earlier(np.flatnonzero(~in_last_phone), before, phones_left)

    def add_prefixes(self) -> tuple[np.ndarray, np.ndarray]:
        """Add the prefix trees of the words after each history, up to where a word is certain.

        Returns, for each listed word, the key of the phone node before the phone on which it
        becomes certain (`AT_ROOT` if that is its first), and how many phones are left with that
        phone.
        """
        words = self.listed
        phones = words.sequences.phones

        # An entry is a phone sequence after a history; words that sound alike share it.
        is_new = np.diff(words.history, prepend=-1) | np.diff(words.sequence, prepend=-1)
        first_word = np.flatnonzero(is_new)
        entry_of_word = np.repeat(
            np.arange(len(first_word)), np.diff(first_word, append=len(words.word))
        )
        sequence = words.sequence[first_word]
        length = words.sequences.length[sequence]

        # An entry is certain one phone after what it shares with its neighbours.
        shared = shared_beginnings(phones[sequence], words.history[first_word])
        shared_with_neighbours = np.maximum(shared[:-1], shared[1:])
        certain = np.minimum(shared_with_neighbours + 1, length)

        # Every depth of every entry before it is certain; equal beginnings have equal keys.
        entry, depth = expand_ranges(np.ones_like(certain), certain - 1)
        key = pack_key(Kind.PREFIX, first_row_sharing(shared[:-1], entry, depth), depth)
        distinct_key, one, node_of_row = np.unique(key, return_index=True, return_inverse=True)
        entry_mass = np.bincount(entry_of_word, np.exp(words.log_p))
        node_mass = np.bincount(node_of_row, entry_mass[entry])
        node_phone = phones[sequence[entry], depth - 1][one]
        self.nodes.append(PhoneNodes(distinct_key, node_phone, node_mass))

        inner = one[depth[one] > 1]
        self.links.append(Links.broadcast(key[inner - 1], key[inner]))
        outer = one[depth[one] == 1]
        history = words.history[first_word][entry[outer]]
        self.root_links.append(Links.broadcast(history, key[outer]))

        before = np.full(len(first_word), AT_ROOT)
        has_prefix = certain > 1
        deepest = np.cumsum(certain - 1) - 1
        before[has_prefix] = key[deepest[has_prefix]]
        phones_left = length - certain + 1
        return before[entry_of_word], phones_left[entry_of_word]

    def _add_words_certain_at_end(self, chosen: np.ndarray, before: np.ndarray) -> None:
        """Add the links of the ``chosen`` listed words into their last phones."""
        words = self.listed
        found = self.all_choices(words.next_history[chosen])
        word = chosen[found.row]
        sequence = words.sequence[word]
        last_phone = words.sequences.phones[sequence, words.sequences.length[sequence] - 1]
        target = pack_key(Kind.LAST, found.history, last_phone)
        self._add_labels(word, before, target, found.lm)

    def _add_words_certain_earlier(
        self, chosen: np.ndarray, before: np.ndarray, phones_left: np.ndarray
    ) -> None:
        """Add the links of the ``chosen`` listed words into the rests of words, and the rests."""
        words = self.listed
        found = self.first_choices(words.next_history[chosen])
        word = chosen[found.row]
        target = self.add_tails(found.history, words.sequence[word], phones_left[word])
        self._add_labels(word, before, target, found.lm)

    def _add_labels(
        self, word: np.ndarray, before: np.ndarray, target: np.ndarray, lm: np.ndarray
    ) -> None:
        """Add links on which listed words (rows ``word``) become certain, weighted ``lm`` more."""
        words = self.listed
        links = Links(
            source=before[word],
            target=target,
            word=words.word[word],
            lm=words.log_p[word] + lm,
            rest=words.log_pronunciation[word],
        )
        at_root = links.source == AT_ROOT
        self.links.append(links.take(~at_root))
        history = words.history[word[at_root]]
        self.root_links.append(links.take(at_root)._replace(source=history))

    def add_tails(
        self, next_history: np.ndarray, sequence: np.ndarray, phones_left: np.ndarray
    ) -> np.ndarray:
        """Add the rests of words, down to their last phones; returns the key of each first phone.

        A rest is the last ``phones_left`` > 1 phones of ``sequence``, with ``next_history`` after
        them. Rests with the same history share their common endings.
        """
        backward = self._reversed_sequences()
        rank = np.unique(backward, axis=0, return_inverse=True)[1]

        # One row for each history and sequence, sorted so that common endings are neighbours.
        order_key = next_history * len(backward) + rank[sequence]
        _, one, row_of_rest = np.unique(order_key, return_index=True, return_inverse=True)
        phones = backward[sequence[one]]
        longest = np.zeros(len(one), np.int64)
        np.maximum.at(longest, row_of_rest, phones_left)
        shared = shared_beginnings(phones, next_history[one])

        # Every phone of every rest but the last, from the end of the word towards its beginning.
        row, left = expand_ranges(np.full(len(one), 2), longest - 1)
        key = pack_key(Kind.TAIL, first_row_sharing(shared[:-1], row, left), left)
        distinct_key, which = np.unique(key, return_index=True)
        node_phone = phones[row, left - 1][which]
        self.nodes.append(PhoneNodes(distinct_key, node_phone, np.ones(len(distinct_key))))

        inner = which[left[which] > 2]
        self.links.append(Links.broadcast(key[inner], key[inner - 1]))
        final = which[left[which] == 2]
        self._link_to_last_phones(key[final], phones[row[final], 0], next_history[one][row[final]])

        first_key_of_row = np.cumsum(longest - 1) - (longest - 1)
        return key[first_key_of_row[row_of_rest] + phones_left - 2]

    def _reversed_sequences(self) -> np.ndarray:
        """Return all phone sequences backwards: [sequences, longest], filled up with `NO_PHONE`."""
        sequences = self.listed.sequences
        backward = np.full_like(sequences.phones, NO_PHONE)
        for s, n in enumerate(sequences.length):
            backward[s, :n] = sequences.phones[s, :n][::-1]
        return backward

    def _link_to_last_phones(
        self, source: np.ndarray, last_phone: np.ndarray, next_history: np.ndarray
    ) -> None:
        """Add links from phone nodes to the last phone of their words, for every continuation."""
        found = self.all_choices(next_history)
        target = pack_key(Kind.LAST, found.history, last_phone[found.row])
        self.links.append(Links.broadcast(source[found.row], target, lm=found.lm))

    def all_choices(self, history: np.ndarray) -> Choices:
        """Return all ways to go on after each of ``history``: shorter ones, and the end."""
        return self._choices(history, through_listing=True)

    def first_choices(self, history: np.ndarray) -> Choices:
        """Return how to go on after each of ``history`` as far as nothing has to be chosen.

        That is the first history, backing off, that lists words; the end of the sentence only if
        it is listed before that.
        """
        return self._choices(history, through_listing=False)

    def _choices(self, history: np.ndarray, through_listing: bool) -> Choices:
        """Back off from each of ``history``, past those that list words if ``through_listing``."""
        ended = np.flatnonzero(history == self.ended)
        parts = [Choices(ended, history[ended], np.zeros(len(ended)))]
        best_end = np.full(len(history), -np.inf)

        row = np.flatnonzero(history != self.ended)
        at = history[row]
        lm = np.zeros(len(row))
        while len(row):
            lists_words = self.mass[at] > 0
            parts.append(Choices(row[lists_words], at[lists_words], lm[lists_words]))

            continues = np.full(len(row), True) if through_listing else ~lists_words
            row = row[continues]
            at = at[continues]
            lm = lm[continues]
            best_end[row] = np.maximum(best_end[row], lm + self.end_log_p[at])

            can_back_off = at > 0
            row = row[can_back_off]
            lm = (lm + self.trie.backoff[at])[can_back_off]
            at = self.trie.suffix[at[can_back_off]]

        ending = np.flatnonzero(best_end > -np.inf)
        parts.append(Choices(ending, np.full(len(ending), self.ended), best_end[ending]))
        return Choices(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def add_boundaries(self, silence: float) -> None:
        """Add the last phones of words, the silences, and the links behind them and the start."""
        log_silence = np.log(silence)
        log_spoken = np.log1p(-silence)

        targets = [links.target for links in self.links + self.root_links]
        key = np.unique(np.concatenate(targets))
        last = key[unpack_key(key).kind == Kind.LAST]
        _, last_history, last_phone = unpack_key(last)
        self.nodes.append(PhoneNodes(last, last_phone, self.mass[last_history]))

        started = self.all_choices(np.array([self.trie.start]))
        start = np.full(len(started.history), START_KEY)
        pause_history = np.unique(np.concatenate([last_history, started.history]))
        pause = pack_key(Kind.PAUSE, pause_history)
        silent_phone = np.full(len(pause), SIL)
        self.nodes.append(PhoneNodes(pause, silent_phone, self.mass[pause_history]))

        # Into silence, from words and from the start.
        after_word = pack_key(Kind.PAUSE, last_history)
        self.links.append(Links.broadcast(last, after_word, rest=log_silence))
        after_start = pack_key(Kind.PAUSE, started.history)
        self.links.append(Links.broadcast(start, after_start, lm=started.lm, rest=log_silence))

        # To the end of the sentence, without silence and after it.
        ending = last[last_history == self.ended]
        self.links.append(Links.broadcast(ending, SENTENCE_END, rest=log_spoken))
        final_pause = pack_key(Kind.PAUSE, self.ended)
        self.links.append(Links.broadcast(final_pause, SENTENCE_END))

        # Into the next word, from words, silences and the start.
        leaving = [
            Links.broadcast(last, last_history, rest=log_spoken),
            Links.broadcast(pause, pause_history),
            Links.broadcast(start, started.history, lm=started.lm, rest=log_spoken),
        ]
        self._link_to_roots(Links.concatenate(leaving))

    def _link_to_roots(self, leaving: Links) -> None:
        """Add the links from each source of ``leaving`` to the first phones of the next words.

        The targets of ``leaving`` are histories, not keys.
        """
        roots = Links.concatenate(self.root_links).sorted_by_source()
        bounds = np.searchsorted(roots.source, np.arange(self.ended + 2))
        history = leaving.target
        i, j = expand_ranges(bounds[history], np.diff(bounds)[history])
        links = Links(
            source=leaving.source[i],
            target=roots.target[j],
            word=roots.word[j],
            lm=leaving.lm[i] + roots.lm[j],
            rest=leaving.rest[i] + roots.rest[j],
        )
        self.links.append(links)

    def number_nodes(self) -> PhoneNetwork:
        """Return the network, with phone nodes numbered from 0 in the order of their keys."""
        key, phone, mass = (np.concatenate(column) for column in zip(*self.nodes, strict=True))
        order = np.argsort(key)
        sorted_key = key[order]

        links = Links.concatenate(self.links).sorted_by_source()
        source = np.searchsorted(sorted_key, links.source)
        target = np.searchsorted(sorted_key, np.maximum(links.target, 0))
        target = np.where(links.target == SENTENCE_END, SENTENCE_END, target)
        numbered = links._replace(source=source, target=target)
        return PhoneNetwork(phone[order], np.log(mass[order]), numbered)

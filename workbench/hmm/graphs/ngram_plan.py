"""All sentences of a back-off n-gram as one network of phones: the plan of the test's search graph.

A *segment* is a phone at one place: in the prefix tree of the words that the model lists after a history; in the rest
of a word that has become certain, with the history behind it; at the end of a word; or the silence between words.
*Links* lead from segment to segment and carry words and weights. What can be shared is one segment: the beginnings of
the words after a history, the ends of words with the same history behind them.

Which n-gram the next word will be predicted by, or that the sentence ends, is chosen on entering the last phone of a
word, by one link for each shorter history, whose back-off weights it carries. A back-off therefore costs one arc, where
copying the first arcs of the shorter history's words would cost hundreds. Histories after which the model lists no word
are left at once. As in every static graph, a word that is listed after a history can be reached by backing off too; its
best path is wrong only where that is likelier than the listed probability.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.ngram_words import (
    Listed,
    first_alike,
    in_common,
    listed_words,
    parents,
    spread,
)
from workbench.hmm.states import SIL
from workbench.language.lexicon import Lexicon
from workbench.language.trie import Trie

ENDED = -1  # the target of links that end the sentence


class Links(NamedTuple):
    """Columns of equal length: ``source`` and ``target`` segments, ``word`` (0: none), ``lm``: log probability of the
    language model, ``rest``: that of pronunciation and silence."""

    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    lm: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True)
class Segments:
    """``phone`` int64 and ``ahead`` float64 [segments]: log mass of the words after it up to the next label.

    Segment 0 is the start and takes no frame; the links are in the order of their sources.
    """

    phone: np.ndarray
    ahead: np.ndarray
    links: Links


def segments(lexicon: Lexicon, trie: Trie, end: int, silence: float) -> Segments:
    """The plan for ``trie``, whose word ``end`` ends a sentence; ValueError if it has no words or sentences cannot end.

    ``silence``: probability of a pause at the start and after each word.
    """
    listed = listed_words(lexicon, trie, end)
    ends = np.full(len(trie.suffix), -np.inf)
    (ending,) = np.nonzero(trie.word[1:] == end)
    ends[parents(trie)[ending]] = trie.log_p[1:][ending]
    if not len(listed.word) or listed.history[0] or ends[0] == -np.inf or not 0 < silence < 1:
        raise ValueError(
            "a test graph needs words without history, p(</s>) > 0 and 0 < silence < 1"
        )
    plan = _Plan(trie, listed, ends)
    plan.labels(*plan.prefixes())
    plan.boundaries(silence)
    return plan.numbered()


PREFIX, TAIL, LAST, PAUSE = range(1, 5)  # kinds of segments; the start has the name 0


def _name(kind: int, place: np.ndarray | int, depth: np.ndarray | int = 0) -> np.ndarray:
    """A number for each segment, until they are counted."""
    return kind << 56 | np.asarray(place, np.int64) << 16 | depth


class _Plan:
    """Segments and links in the making, under their names."""

    def __init__(self, trie: Trie, listed: Listed, ends: np.ndarray):
        self.trie, self.listed, self.ends = trie, listed, ends
        self.over = len(ends)  # in place of a history: the sentence ends
        self.mass = np.bincount(listed.history, np.exp(listed.lm), self.over + 1)
        self.mass[self.over] = 1.0
        self.segments: list[tuple[np.ndarray, ...]] = [
            (np.zeros(1, np.int64), np.array([SIL]), np.ones(1))
        ]
        self.links: list[Links] = []
        self.roots: list[Links] = []  # their sources are histories

    def link(self, source, target, word=0, lm=0.0, rest=0.0) -> None:
        self.links.append(
            Links(*map(np.ravel, np.broadcast_arrays(source, target, word, lm, rest)))
        )

    def choices(
        self, history: np.ndarray, every: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row, history or ``over``, log probability): how the sentence can go on after each of ``history``.

        ``every``: with each of the shorter histories, or its end; else with the first that lists words, or an end
        before that.
        """
        (over,) = np.nonzero(history == self.over)
        out, best = [(over, history[over], np.zeros(len(over)))], np.full(len(history), -np.inf)
        (row,) = np.nonzero(history < self.over)
        at, lm = history[row], np.zeros(len(row))
        while len(row):
            lists = self.mass[at] > 0
            out.append((row[lists], at[lists], lm[lists]))
            row, at, lm = (a[every | ~lists] for a in (row, at, lm))
            best[row] = np.maximum(best[row], lm + self.ends[at])
            row, at, lm = (
                row[at > 0],
                self.trie.suffix[at[at > 0]],
                (lm + self.trie.backoff[at])[at > 0],
            )
        (ending,) = np.nonzero(best > -np.inf)
        out.append((ending, np.full(len(ending), self.over), best[ending]))
        row, at, lm = (np.concatenate(column) for column in zip(*out, strict=True))
        return row, at, lm

    def prefixes(self) -> tuple[np.ndarray, np.ndarray]:
        """Prefix trees of the words after each history; (the segment before each listed word becomes certain, -1 at a
        root; how many phones are left then)."""
        x = self.listed
        new = np.flatnonzero(np.diff(x.history, prepend=-1) | np.diff(x.sound, prepend=-1))
        group = np.repeat(np.arange(len(new)), np.diff(new, append=len(x.word)))
        sound = x.sound[new]
        common = in_common(x.phones[sound], x.history[new])
        certain = np.minimum(np.maximum(common[:-1], common[1:]) + 1, x.length[sound])
        g, k = spread(np.ones_like(certain), certain - 1)
        name = _name(PREFIX, first_alike(common[:-1], g, k), k)
        names, one, inverse = np.unique(name, return_index=True, return_inverse=True)
        mass = np.bincount(inverse, np.bincount(group, np.exp(x.lm))[g])
        self.segments.append((names, x.phones[sound[g], k - 1][one], mass))
        inner, outer = one[k[one] > 1], one[k[one] == 1]
        self.link(name[inner - 1], name[inner])
        self.roots.append(Links(x.history[new][g[outer]], name[outer], *np.zeros((3, len(outer)))))
        before = np.full(len(new), -1)
        before[certain > 1] = name[np.cumsum(certain - 1)[certain > 1] - 1]
        return before[group], (x.length[sound] - certain)[group] + 1

    def labels(self, before: np.ndarray, left: np.ndarray) -> None:
        """Links on which words become certain, and what is left of these words."""
        x = self.listed
        for one in (True, False):
            (some,) = np.nonzero((left == 1) == one)
            row, behind, lm = self.choices(x.behind[some], every=one)
            row = some[row]
            last = x.phones[x.sound[row], x.length[x.sound[row]] - 1]
            target = (
                _name(LAST, behind, last) if one else self.tails(behind, x.sound[row], left[row])
            )
            links = Links(before[row], target, x.word[row], x.lm[row] + lm, x.pronounced[row])
            at_root = links.source < 0
            self.links.append(Links(*(column[~at_root] for column in links)))
            self.roots.append(
                Links(x.history[row[at_root]], *(column[at_root] for column in links[1:]))
            )

    def tails(self, behind: np.ndarray, sound: np.ndarray, left: np.ndarray) -> np.ndarray:
        """The names of the rests of words, ``left`` > 1 phones of ``sound`` with ``behind`` after them."""
        phones, length = self.listed.phones, self.listed.length
        backward = np.full_like(phones, -1)
        for s, n in enumerate(length):
            backward[s, :n] = phones[s, :n][::-1]
        rank = np.unique(backward, axis=0, return_inverse=True)[1]
        key = behind * len(length) + rank[sound]
        _, one, row = np.unique(key, return_index=True, return_inverse=True)
        longest = np.zeros(len(one), np.int64)
        np.maximum.at(longest, row, left)
        common = in_common(backward[sound[one]], behind[one])[:-1]
        j, m = spread(np.full(len(one), 2), longest - 1)
        name = _name(TAIL, first_alike(common, j, m), m)
        first = np.cumsum(longest - 1) - (longest - 1)
        names, which = np.unique(name, return_index=True)
        self.segments.append((names, backward[sound[one][j], m - 1][which], np.ones(len(names))))
        inner, final = which[m[which] > 2], which[m[which] == 2]
        self.link(name[inner], name[inner - 1])
        at, history, lm = self.choices(behind[one][j[final]], every=True)
        self.link(
            name[final[at]], _name(LAST, history, backward[sound[one][j[final[at]]], 0]), 0, lm
        )
        return name[first[row] + left - 2]

    def boundaries(self, silence: float) -> None:
        """The start, the ends of words, silences, and what may follow them."""
        silent, spoken = np.log(silence), np.log1p(-silence)
        names = np.unique(np.concatenate([links.target for links in self.links + self.roots]))
        last = names[names >> 56 == LAST]
        history, phone = last >> 16 & (1 << 40) - 1, last & 0xFFFF
        self.segments.append((last, phone, self.mass[history]))
        _, begun, lm = self.choices(np.array([self.trie.start]), every=True)
        paused = np.unique(np.concatenate([history, begun]))
        self.segments.append((_name(PAUSE, paused), np.full(len(paused), SIL), self.mass[paused]))
        self.link(last, _name(PAUSE, history), 0, 0.0, silent)
        self.link(np.zeros(len(begun), int), _name(PAUSE, begun), 0, lm, silent)
        over = last[history == self.over]
        self.link(
            np.append(over, _name(PAUSE, self.over)),
            ENDED,
            0,
            0.0,
            np.append(np.full(len(over), spoken), 0.0),
        )
        roots = Links(*map(np.concatenate, zip(*self.roots, strict=True)))
        roots = Links(*(column[np.argsort(roots.source, kind="stable")] for column in roots))
        bounds = np.searchsorted(roots.source, np.arange(self.over + 2))
        source = np.concatenate([last, _name(PAUSE, paused), np.zeros(len(begun), int)])
        at = np.concatenate([history, paused, begun])
        paid = np.concatenate([np.zeros(len(last) + len(paused)), lm])
        rest = np.repeat([spoken, 0.0, spoken], [len(last), len(paused), len(begun)])
        i, j = spread(bounds[at], np.diff(bounds)[at])
        self.link(
            source[i],
            roots.target[j],
            roots.word[j],
            paid[i] + roots.lm[j],
            rest[i] + roots.rest[j],
        )

    def numbered(self) -> Segments:
        """Everything, under numbers from 0."""
        name, phone, mass = (np.concatenate(column) for column in zip(*self.segments, strict=True))
        order = np.argsort(name)
        links = Links(*map(np.concatenate, zip(*self.links, strict=True)))
        links = Links(*(column[np.argsort(links.source, kind="stable")] for column in links))
        source, target = (
            np.searchsorted(name[order], np.maximum(column, 0)) for column in links[:2]
        )
        target = np.where(links.target == ENDED, ENDED, target)
        return Segments(
            phone[order], np.log(mass[order]), links._replace(source=source, target=target)
        )

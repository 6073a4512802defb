"""A network of phones: phone nodes, and links between them that carry words and log weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SENTENCE_END = -1  # the target of links that end the sentence

Column = np.ndarray | float


class Links(NamedTuple):
    """Links between phone nodes, as columns of equal length.

    ``source`` and ``target`` are phone nodes (a target may be `SENTENCE_END`). ``word``: the word
    that becomes known on the link, 0 for none. ``lm``: log probability of the language model.
    ``rest``: log probability of pronunciation and silence.
    """

    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    lm: np.ndarray
    rest: np.ndarray

    @staticmethod
    def broadcast(
        source: np.ndarray,
        target: Column,
        word: Column = 0,
        lm: Column = 0.0,
        rest: Column = 0.0,
    ) -> "Links":
        """Return links whose columns may be given as one number for all of them."""
        columns = np.broadcast_arrays(source, target, word, lm, rest)
        return Links(*(np.ravel(column) for column in columns))

    @staticmethod
    def concatenate(parts: Sequence["Links"]) -> "Links":
        """Return the links of all parts, one part after the other."""
        return Links(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def take(self, chosen: np.ndarray) -> "Links":
        """Return the links at these indices, or where this mask is true."""
        return Links(*(column[chosen] for column in self))

    def sorted_by_source(self) -> "Links":
        """Return the links in the order of their sources; the order within a source is kept."""
        return self.take(np.argsort(self.source, kind="stable"))


@dataclass(frozen=True)
class PhoneNetwork:
    """Phone nodes and the links between them, sorted by source; phone node 0 is the start.

    ``phone``: int64 [phone nodes]; the start takes no frame. ``ahead``: float64 [phone nodes], log
    of the summed probability of the words behind a node, up to the next word label.
    """

    phone: np.ndarray
    ahead: np.ndarray
    links: Links

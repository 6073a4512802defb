"""Utterances decoded before they are asked for, where it is known which parameters they will have.

With decoder_fetch=utterances a decoder keeps its parameters for k utterances. So all of them can be
decoded at once: one forward pass on a device, and lattices on as many threads as there are
processors. What a decode returns is the same; only the time at which it is computed changes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import NamedTuple

from workbench.sequence.decoded import Decoded
from workbench.system.vectors import Vector

BLOCKS_OF_PROCESSORS = 4
"""Utterances that are begun at once, for each processor."""

Begin = Callable[[Vector, Sequence[int]], "list[Future[Decoded]]"]


class Begun(NamedTuple):
    """An utterance that is being decoded, or has been."""

    utterance: int
    future: Future[Decoded]


class DecodeAhead:
    """Decodes a decoder's utterances in their order, those of one version of parameters together.

    ``order`` yields the utterances as the decoder will ask for them, ``kept`` is the number for
    which it keeps its parameters. ``begin(theta, utterances)`` begins to decode them.
    """

    def __init__(self, order: Iterator[int], kept: int, begin: Begin):
        self.order = order
        self.kept = kept
        self.begin = begin
        self.theta: Vector | None = None
        self.begun: deque[Begun] = deque()
        self.left = 0  # utterances to be begun with these parameters

    def decode(self, theta: Vector, utterance: int) -> Decoded:
        """Return the outer gradient of the next utterance of the order at ``theta``."""
        if theta is not self.theta:
            self._begin_again(theta)
        elif not self.begun:
            self._begin_block(theta, [])

        first = self.begun.popleft()
        if first.utterance != utterance:
            raise RuntimeError(f"utterance {utterance} was asked for before {first.utterance}")
        return first.future.result()

    def _begin_again(self, theta: Vector) -> None:
        """Begin with new parameters, first what was begun with others and not asked for."""
        for begun in self.begun:
            begun.future.cancel()
        self.theta = theta
        self.left = self.kept
        self._begin_block(theta, [begun.utterance for begun in self.begun])

    def _begin_block(self, theta: Vector, block: list[int]) -> None:
        """Begin to decode a block, filled up from the order.

        It ends where the decoder will fetch, since what is begun beyond is decoded twice.
        """
        # The parameters are kept once more if the decoder has fetched the same again.
        self.left = self.left or self.kept
        most = min(self.left, BLOCKS_OF_PROCESSORS * (os.cpu_count() or 1))
        block += islice(self.order, max(0, most - len(block)))
        self.left -= len(block)
        self.begun = deque(map(Begun, block, self.begin(theta, block)))


@cache
def lattice_threads() -> ThreadPoolExecutor:
    """Return the threads of this process that make lattices, one for each processor."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="lattice")

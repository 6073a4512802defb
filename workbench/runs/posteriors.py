"""Log posteriors of whole utterances, on which threads work.

On the CPU each utterance has a forward pass of its own, in the thread that uses it. A device makes
one product for many utterances, while the threads still work on those before.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

from workbench.corpus.frames.store import FrameStore
from workbench.model.network import DEVICE_CHUNK
from workbench.system.vectors import Vector

BLOCK_FRAMES = DEVICE_CHUNK
"""Frames of one forward pass on a device, more if a single utterance has more."""

BLOCKS_AHEAD = 2
"""Blocks whose posteriors may wait for threads; 8,192 frames of 2,400 states are 79 MB."""

Result = TypeVar("Result")


class Scorer(Protocol):
    """What scores utterances: a `Task`, with the model's parameters given."""

    @property
    def on_device(self) -> bool: ...

    def utterance_posteriors(
        self, theta: Vector, store: FrameStore, utterances: Sequence[int]
    ) -> list[np.ndarray]: ...


def with_posteriors(
    scorer: Scorer,
    theta: Vector,
    store: FrameStore,
    utterances: Iterable[int],
    work: Callable[[int, np.ndarray], Result],
    threads: int | None = None,
) -> Iterator[Result]:
    """Yield ``work(utterance, log posteriors)`` of each utterance in order, made by threads.

    Posteriors are float32 [frames, states]. ``threads``: by default one for each processor.
    """

    def alone(utterance: int) -> Result:
        [logp] = scorer.utterance_posteriors(theta, store, [utterance])
        return work(utterance, logp)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        if not scorer.on_device:
            yield from pool.map(alone, utterances)
            return

        begun: deque[list[Future[Result]]] = deque()
        for block in store.blocks(utterances, BLOCK_FRAMES):
            posteriors = scorer.utterance_posteriors(theta, store, block)
            futures = [
                pool.submit(work, utterance, logp)
                for utterance, logp in zip(block, posteriors, strict=True)
            ]
            begun.append(futures)
            if len(begun) > BLOCKS_AHEAD:
                yield from results_of(begun.popleft())

        while begun:
            yield from results_of(begun.popleft())


def results_of(futures: Iterable["Future[Result]"]) -> Iterator[Result]:
    """Yield the results in order, waiting for each."""
    for future in futures:
        yield future.result()

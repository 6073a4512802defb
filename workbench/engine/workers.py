"""Work is done at once, or meanwhile in threads; its values are the same."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from workbench.engine.effects import Work


class Done(NamedTuple):
    """Work that has been done."""

    value: object
    seconds: float  # that it took


class Started(NamedTuple):
    """Work that has begun, and perhaps is done."""

    wait: Callable[[], Done]
    seconds: float  # that it took, if it is done; else 0


class Workers:
    """A number of ``threads`` that work; 0: the caller does the work, before ``start`` returns."""

    def __init__(self, threads: int):
        self.pool = ThreadPoolExecutor(threads) if threads else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def start(self, work: Work) -> Started:
        """Begin to do ``work``; what it raises is raised here or by ``wait``."""
        if self.pool:
            return Started(self.pool.submit(do, work).result, 0.0)
        done = do(work)
        return Started(lambda: done, done.seconds)


def do(work: Work) -> Done:
    """Compute the value of ``work``, and measure the time."""
    start = time.perf_counter()
    value = work.fn(*work.args)
    return Done(value, time.perf_counter() - start)

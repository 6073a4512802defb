"""Work is done at once, or in threads meanwhile; what it gives is the same."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from workbench.engine.effects import Work

Result = Callable[[], tuple[Any, float]]  # waits for the value, and tells the seconds that it took


class Labour:
    """So many ``threads``; 0: work is done by the caller, before ``begin`` returns."""

    def __init__(self, threads: int):
        self.pool = ThreadPoolExecutor(threads) if threads else None

    def __enter__(self) -> "Labour":
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def begin(self, work: Work) -> tuple[Result, float]:
        """(what gives the result, the seconds that it took if they are known by now)."""
        if self.pool:
            return self.pool.submit(timed, work).result, 0.0
        done = timed(work)
        return lambda: done, done[1]


def timed(work: Work) -> tuple[Any, float]:
    """What ``work`` gives, and the seconds that it took."""
    start = time.perf_counter()
    value = work.fn(*work.args)
    return value, time.perf_counter() - start

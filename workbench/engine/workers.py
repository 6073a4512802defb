"""Work is done at once, or meanwhile in threads; its values are the same.

Work whose run is given up or stopped has no use any more. Long work, such as an evaluation, asks
now and then with ``giving_up`` and raises ``GivenUp``, so that the run can end at once. The value
is then ``RESTING``.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from workbench.engine.effects import RESTING, Work

POLL_SECONDS = 0.2  # between two looks at whether a run whose work is waited for is given up

_here = threading.local()  # .given_up: says whether the work of this thread is given up


def never() -> bool:
    """Return False: nobody ever asks to end the work."""
    return False


class GivenUp(Exception):
    """Nobody waits for the value of this work any more."""


class Done(NamedTuple):
    """Work that has been done."""

    value: object
    seconds: float  # that it took


class Started(NamedTuple):
    """Work that has begun, and perhaps is done."""

    wait: Callable[[Callable[[], object]], Done]
    """Wait for it; meanwhile call the argument now and then, which may raise."""
    seconds: float  # that it took, if it is done; else 0


class Workers:
    """A number of ``threads`` that work; 0: the caller does the work, before ``start`` returns.

    Leaving the context by an error gives up what is under way, and so does ``give_way``, which may
    be called from any thread.
    """

    def __init__(self, threads: int, give_way: Callable[[], bool] = never):
        self.pool = ThreadPoolExecutor(threads) if threads else None
        self.closing = threading.Event()
        self.give_way = give_way

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def start(self, work: Work) -> Started:
        """Begin to do ``work``; what it raises is raised here or by ``wait``."""
        if self.pool:
            future = self.pool.submit(do, work, self.given_up)
            return Started(lambda look: wait_for(future, look), 0.0)
        done = do(work, self.given_up)
        return Started(lambda look: done, done.seconds)

    def given_up(self) -> bool:
        """Return whether nobody will want the values of what is under way."""
        return self.closing.is_set() or self.give_way()


def wait_for(future: "Future[Done]", look: Callable[[], object]) -> Done:
    """Return the result of a future, and call ``look`` from time to time until it is there."""
    while not wait([future], POLL_SECONDS).done:
        look()
    return future.result()


def do(work: Work, given_up: Callable[[], bool]) -> Done:
    """Compute the value of ``work``, and measure the time.

    ``given_up`` is what the work is answered if it asks; the value is ``RESTING`` if it then ends.
    """
    start = time.perf_counter()
    _here.given_up = given_up
    try:
        value = work.fn(*work.args)
    except GivenUp:
        value = RESTING
    finally:
        _here.given_up = never
    return Done(value, time.perf_counter() - start)


def giving_up() -> Callable[[], bool]:
    """Return a function that says whether the work that this thread does has been given up.

    That function may be called from any thread. What is no `Work` is never given up.
    """
    given_up: Callable[[], bool] = getattr(_here, "given_up", never)
    return given_up

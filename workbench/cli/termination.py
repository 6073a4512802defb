"""SIGTERM, with which batch systems and `kill` end a command, is taken as Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def polite_termination() -> Iterator[None]:
    """Inside the context, SIGTERM raises KeyboardInterrupt, so that a command ends what it began.

    Python delivers signals to the main thread alone; in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

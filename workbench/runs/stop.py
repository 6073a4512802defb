"""How a run is asked to stop: by Ctrl-C in its terminal, or by a file ``stop`` in its folder, from any process."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.storage.run import STOP, Run

POLL = 0.2  # seconds between looks for the file


def stop_file(run: Run) -> Callable[[], bool]:
    """Whether the run is asked to stop; from now on, so that what was asked of an earlier process does not count."""
    path, seen, next_look = run.folder / STOP, False, 0.0
    path.unlink(missing_ok=True)

    def asked() -> bool:
        nonlocal seen, next_look
        if not seen and time.monotonic() >= next_look:
            seen, next_look = path.exists(), time.monotonic() + POLL
        return seen

    return asked


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, the first time, only asks the run to come to rest; outside the main thread signals are not ours."""
    asked: list[int] = []
    try:
        before = signal.signal(
            signal.SIGINT, lambda *_: asked.append(1) if not asked else os._exit(130)
        )
    except ValueError:
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)

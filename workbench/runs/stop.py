"""How a run is asked to stop.

Ctrl-C asks it from its terminal, SIGTERM from a batch system, a file ``stop`` in its folder from
any process.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from workbench.storage.run import STOP, Run

POLL_SECONDS = 0.2  # between looks for a file, since runs ask after every effect
ENDED_BY_SIGNAL = 128  # plus the signal: the exit code by which a shell reports it
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopFile:
    """Whether a file asks to stop.

    It asks if it exists and, if ``words`` are given, has one of them as its text.
    """

    def __init__(self, path: Path, words: Sequence[str] = ()):
        self.path = path
        self.words = words
        self.requested = False
        self.next_look = 0.0

    def __call__(self) -> bool:
        """Return whether the file has asked to stop by now; once it has, the answer stays True."""
        if not self.requested and time.monotonic() >= self.next_look:
            self.requested = self._asks()
            self.next_look = time.monotonic() + POLL_SECONDS
        return self.requested

    def _asks(self) -> bool:
        try:
            text = self.path.read_text().strip()
        except FileNotFoundError:
            return False
        return not self.words or text in self.words


def stop_file(run: Run) -> StopFile:
    """Return the file that asks ``run`` to stop.

    What was asked of an earlier process is forgotten.
    """
    path = run.folder / STOP
    path.unlink(missing_ok=True)
    return StopFile(path)


class _Interrupts:
    """A signal handler that notes the first signal and ends the process at the second."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, signal_number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(ENDED_BY_SIGNAL + signal_number)
        self.requested = True


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside the context, the first Ctrl-C or SIGTERM only asks the run to stop.

    The value of the context is a function that returns whether it has.

    Python delivers signals to the main thread alone. In another thread nothing changes, and the
    answer is False.
    """
    interrupts = _Interrupts()
    try:
        before = {number: signal.signal(number, interrupts) for number in SIGNALS}
    except ValueError:  # this is not the main thread
        yield lambda: False
        return

    try:
        yield lambda: interrupts.requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""One thread at a time for work that must not hold the notebook."""

import threading
from collections.abc import Callable


class Background:
    """Runs one task at a time in a thread called ``name``, which ends with the interpreter.

    A long task calls `pause` between its steps and ends when that returns True.
    """

    def __init__(self, name: str):
        self.name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a task is being done."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, task: Callable[[], None]) -> None:
        """Start ``task`` and return at once; the one before must have ended."""
        self._stop.clear()
        self._thread = threading.Thread(target=task, daemon=True, name=self.name)
        self._thread.start()

    def pause(self, seconds: float) -> bool:
        """Wait in the task's thread; return at once, and True, when the task is asked to stop."""
        return self._stop.wait(seconds)

    def stop(self) -> None:
        """Ask the task to stop and wait for its end, unless the task itself calls this."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the task has ended, at most ``timeout`` seconds; return whether it has."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.running

"""How long work reports how far it is: a function that the caller gives, called as often as it
suits; and how a time is said.
"""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what): ``done`` of ``total`` units of the work ``what``."""


def no_progress(done: int, total: int, what: str) -> None:
    """Report nothing; a `Progress`."""


def renamed(progress: Progress, what: str) -> Progress:
    """Return ``progress`` with ``what`` in place of whatever the work calls itself."""

    def report(done: int, total: int, _: str) -> None:
        progress(done, total, what)

    return report


def duration_text(seconds: float) -> str:
    """Return a time as a person says it: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 run``, ``27 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

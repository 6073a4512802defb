"""How long work reports how far it is: a function that the caller gives, called as often as it
suits.
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

"""Requests to stop, as a run asks for them."""

from collections.abc import Callable


def after(looks: int) -> Callable[[], bool]:
    """Return a request to stop that is made after so many looks for it."""
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen > looks

    return stop

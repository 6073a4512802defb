"""A bounded channel as a state machine without time or threads: every executor hosts the same one.

Each method answers at once, ``WAIT``s, or wakes others: it returns (answer, ((who, answer), ...)), and the executor
delivers.
"""

from collections import deque
from collections.abc import Hashable
from typing import Any

from workbench.engine.effects import CLOSED, RESTING, Held

WAIT = object()  # no answer yet
Woken = tuple[tuple[Any, Any], ...]  # (who, answer)
NOBODY: Woken = ()


class Channel:
    """Items in order, and who waits to take or to put."""

    def __init__(self, capacity: int, held: Held):
        self.capacity, self.items, self.closed, self.resting = (
            capacity,
            deque(held.items),
            held.closed,
            False,
        )
        self.takers: deque[Any] = deque()
        self.putters: deque[tuple[Any, Any]] = deque()

    def held(self) -> Held:
        return Held(tuple(self.items), self.closed)

    def put(self, who: Hashable, item: Any) -> tuple[Any, Woken]:
        """How many items then wait, or CLOSED."""
        if self.closed:
            return CLOSED, NOBODY
        if self.takers:
            return 0, ((self.takers.popleft(), item),)
        if len(self.items) < self.capacity or self.resting:
            self.items.append(item)
            return len(self.items), NOBODY
        self.putters.append((who, item))
        return WAIT, NOBODY

    def take(self, who: Hashable) -> tuple[Any, Woken]:
        """The oldest item, CLOSED or RESTING."""
        if self.items:
            item, woken = self.items.popleft(), NOBODY
            if self.putters:
                putter, waiting = self.putters.popleft()
                self.items.append(waiting)
                woken = ((putter, len(self.items)),)
            return item, woken
        if self.closed or self.resting:
            return CLOSED if self.closed else RESTING, NOBODY
        self.takers.append(who)
        return WAIT, NOBODY

    def close(self) -> tuple[None, Woken]:
        """What is there can still be taken; what waits to be put is dropped."""
        self.closed = True
        return None, self._wake(CLOSED, CLOSED)

    def rest(self) -> tuple[None, Woken]:
        """From now on nobody waits; the items of those who wait to put are kept beyond the capacity."""
        self.resting = True
        self.items.extend(item for _, item in self.putters)
        return None, self._wake(len(self.items), RESTING)

    def forget(self, who: Any) -> None:
        """``who`` waits no longer; what it wanted to put was not taken."""
        self.takers = deque(w for w in self.takers if w is not who)
        self.putters = deque(p for p in self.putters if p[0] is not who)

    def _wake(self, putters: Any, takers: Any) -> Woken:
        woken = (
            *((who, putters) for who, _ in self.putters),
            *((who, takers) for who in self.takers),
        )
        self.putters.clear()
        self.takers.clear()
        return woken

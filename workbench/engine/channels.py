"""A bounded channel as a state machine without time or threads, which every executor uses.

Each method answers at once. It may let a process wait or wake others; the executor delivers the
answers.
"""

from collections import deque
from typing import Generic, TypeVar

from workbench.engine.effects import CLOSED, RESTING, Held

Waiter = TypeVar("Waiter")  # what stands for a process that waits
Woken = tuple[tuple[Waiter, object], ...]  # those that waited, each with its answer

WAIT = object()  # no answer yet


class Channel(Generic[Waiter]):
    """Items in their order, and the processes that wait to take or to put."""

    def __init__(self, capacity: int, held: Held):
        self.capacity = capacity
        self.items = deque(held.items)
        self.closed = held.closed
        self.resting = False
        self.takers: deque[Waiter] = deque()
        self.putters: deque[tuple[Waiter, object]] = deque()  # (process, item)

    def held(self) -> Held:
        """Return the contents, to be saved."""
        return Held(tuple(self.items), self.closed)

    def put(self, process: Waiter, item: object) -> tuple[object, Woken[Waiter]]:
        """Append an item; the answer is the number of items that then wait, CLOSED or WAIT."""
        if self.closed:
            return CLOSED, ()
        if self.takers:
            return 0, ((self.takers.popleft(), item),)
        if len(self.items) < self.capacity or self.resting:
            self.items.append(item)
            return len(self.items), ()
        self.putters.append((process, item))
        return WAIT, ()

    def take(self, process: Waiter) -> tuple[object, Woken[Waiter]]:
        """Remove the oldest item; the answer is the item, CLOSED, RESTING or WAIT."""
        if self.items:
            item = self.items.popleft()
            return item, self._let_one_put()
        if self.closed:
            return CLOSED, ()
        if self.resting:
            return RESTING, ()
        self.takers.append(process)
        return WAIT, ()

    def close(self) -> Woken[Waiter]:
        """Close the channel: its items can be taken, those that wait to be put are dropped."""
        self.closed = True
        return self._wake_all(CLOSED, CLOSED)

    def rest(self) -> Woken[Waiter]:
        """Let nobody wait from now on; items that wait to be put are kept beyond the capacity."""
        self.resting = True
        self.items.extend(item for _, item in self.putters)
        return self._wake_all(len(self.items), RESTING)

    def forget(self, process: Waiter) -> None:
        """Let ``process`` wait no longer; an item that it wanted to put is not put."""
        self.takers = deque(taker for taker in self.takers if taker is not process)
        self.putters = deque(putter for putter in self.putters if putter[0] is not process)

    def _let_one_put(self) -> Woken[Waiter]:
        if not self.putters:
            return ()
        putter, item = self.putters.popleft()
        self.items.append(item)
        return ((putter, len(self.items)),)

    def _wake_all(self, to_putters: object, to_takers: object) -> Woken[Waiter]:
        putters = [(process, to_putters) for process, _ in self.putters]
        takers = [(process, to_takers) for process in self.takers]
        self.putters.clear()
        self.takers.clear()
        return (*putters, *takers)

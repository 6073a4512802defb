"""The items that are settled, so that a push that is sent twice counts once."""

from collections.abc import Iterable

from workbench.training.messages import Item

Pairs = tuple[tuple[int, int], ...]
LedgerState = tuple[Pairs, Pairs]  # (subset, steps below which all are settled); (subset, step)
NOTHING_SETTLED: LedgerState = ((), ())


class Ledger:
    """A set of items, in which the consecutive first steps of a subset collapse to one number."""

    def __init__(
        self, below: Iterable[tuple[int, int]] = (), beyond: Iterable[tuple[int, int]] = ()
    ):
        self.below: dict[int, int] = dict(below)  # subset -> all smaller steps are settled
        self.beyond: set[tuple[int, int]] = set(beyond)  # (subset, step) settled out of order

    def __contains__(self, item: Item) -> bool:
        return item.step < self.below.get(item.subset, 0) or (item.subset, item.step) in self.beyond

    def __len__(self) -> int:
        return sum(self.below.values()) + len(self.beyond)

    def add(self, item: Item) -> None:
        """Settle an item that has not been settled yet."""
        step = self.below.get(item.subset, 0)
        if item.step != step:
            self.beyond.add((item.subset, item.step))
            return

        step += 1
        while (item.subset, step) in self.beyond:
            self.beyond.remove((item.subset, step))
            step += 1
        self.below[item.subset] = step

    def state(self) -> LedgerState:
        """Return the state, from which ``Ledger(*state)`` makes an equal ledger."""
        return tuple(sorted(self.below.items())), tuple(sorted(self.beyond))

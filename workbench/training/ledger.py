"""Which items are settled, so that a push that is sent twice counts once."""

from collections.abc import Iterable

from workbench.training.messages import Item


class Ledger:
    """A set of items; per subset, everything below one number collapses to that number."""

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
        step = self.below.get(item.subset, 0)
        if item.step != step:
            self.beyond.add((item.subset, item.step))
            return
        step += 1
        while (item.subset, step) in self.beyond:
            self.beyond.remove((item.subset, step))
            step += 1
        self.below[item.subset] = step

    def state(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """What ``Ledger(*state)`` is made from again."""
        return tuple(sorted(self.below.items())), tuple(sorted(self.beyond))

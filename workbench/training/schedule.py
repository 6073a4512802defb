"""When the learning rate falls and when training ends: a pure function of the held-out curve."""

import math
from dataclasses import dataclass, replace

from workbench.settings import UpdateSettings


@dataclass(frozen=True)
class Schedule:
    """The schedule after some evaluations, and what it remembers of their curve."""

    best: float = -math.inf
    flat: int = 0  # evaluations in a row without gain
    decays: int = 0  # how often the rate has fallen
    over: bool = False

    def after(self, criterion: float | None, updates: UpdateSettings) -> "Schedule":
        """Return the schedule after one more evaluation.

        An evaluation is flat if its relative gain is below ``flat``, or if it has no criterion
        (None or NaN). After ``patience`` flat evaluations in a row the rate is divided by
        ``decay_factor`` (paper, section 4.1), at most ``decays`` times; the next time, training is
        over.
        """
        if criterion is None:
            criterion = math.nan
        measured = not math.isnan(criterion)
        gain = criterion - self.best
        gained = self.best == -math.inf or gain > updates.flat * abs(self.best)
        best = max(self.best, criterion) if measured else self.best
        flat = 0 if gained and measured else self.flat + 1
        if flat < updates.patience:
            return replace(self, best=best, flat=flat)

        over = self.decays >= updates.decays
        decays = self.decays if over else self.decays + 1
        return Schedule(best, 0, decays, over)

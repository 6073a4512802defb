"""When the learning rate falls and when training ends: a pure function of the held-out curve."""

import math
from dataclasses import dataclass

from workbench.settings import Settings


@dataclass(frozen=True)
class Schedule:
    """What is remembered of the curve."""

    best: float = -math.inf
    flat: int = 0  # evaluations in a row without gain
    decays: int = 0  # how often the rate has fallen
    over: bool = False

    def after(self, criterion: float, settings: Settings) -> "Schedule":
        """The schedule after one more evaluation.

        A relative gain below ``settings.updates.flat`` counts as flat; ``patience`` flat ones in a row divide the rate by
        ``decay_factor`` (paper section 4.1), at most ``decays`` times: the next time, training is over. A criterion
        that is not a number is flat.
        """
        gained = self.best == -math.inf or (criterion - self.best) > settings.updates.flat * abs(
            self.best
        )
        best = max(self.best, criterion) if not math.isnan(criterion) else self.best
        flat = 0 if gained and not math.isnan(criterion) else self.flat + 1
        if flat < settings.updates.patience:
            return Schedule(best, flat, self.decays, self.over)
        over = self.decays >= settings.updates.decays
        return Schedule(best, 0, self.decays + (not over), over)

"""The search for the best learning rate of cross entropy, by successive halving.

Eight rates, each twice the one before, train on a small part of the data. The better half of them
goes on for another part, the better half of these for two more; the best that is left is chosen,
the larger one if both are equal. Rates are tried from the smallest on: where one has diverged, all
larger ones would. If the best is at the end of the row, the row is made longer. Where the frames
are not enough for eight rates it is four, each four times the one before.
"""

from dataclasses import dataclass, replace

from workbench.model.threads import one_thread
from workbench.rates.trial import SAMPLED_PARTS
from workbench.rates.usual import rounded, usual_rate
from workbench.rates.work import SearchWork
from workbench.settings import Settings, UserError
from workbench.storage.rate_search import RateSearch, RateTrial

PARTS = (1, 2, 4)
"""Parts of the data that a trial has seen after each round; after each, half of the rates go on."""

SMALLER_DIVERGED = "a smaller rate has diverged"


@dataclass(frozen=True)
class Grid:
    """The rates of the first round: ``count`` of them, half below the usual one.

    ``step``: the ratio of neighbours. ``longer``: rates by which the row may be made longer.
    """

    count: int
    step: float
    longer: int

    @property
    def parts(self) -> float:
        """Parts of the data that all trials see together, at most, those for measuring included."""
        second = self.count // 2
        third = self.count // 4
        trained = self.count + self.longer
        trained += second * (PARTS[1] - PARTS[0]) + third * (PARTS[2] - PARTS[1])
        measurements = self.count + self.longer + second + third
        return trained + SAMPLED_PARTS * measurements

    def rates(self, settings: Settings) -> list[float]:
        """Return the rates, the smallest first."""
        usual = usual_rate(settings)
        exponents = range(-(self.count // 2), self.count - self.count // 2)
        return [rounded(usual * self.step**n) for n in exponents]


FINE = Grid(count=8, step=2.0, longer=2)
COARSE = Grid(count=4, step=4.0, longer=1)


def choose_grid(budget: int, least: int) -> Grid | None:
    """Return the finest grid whose trials all see a part of ``least`` frames; None if none fits."""
    for grid in (FINE, COARSE):
        if grid.parts * least <= budget:
            return grid
    return None


@dataclass(frozen=True)
class Halving:
    """A search by halving under way."""

    grid: Grid
    work: SearchWork

    @one_thread()
    def run(self, search: RateSearch) -> RateSearch:
        """Return the search as far as it came; raises UserError if all rates diverged."""
        rates = self.grid.rates(self.work.settings)
        search = self._round(search, rates, PARTS[0])
        search = self._lengthen(search)
        for passed, parts in enumerate(PARTS[1:], 1):
            best = best_rates(search, passed, self.grid.count >> passed)
            search = self._round(search, best, parts)
        if self.work.stop():
            return search

        chosen = chosen_rate(search)
        if chosen is None:
            raise UserError(
                f"no learning rate from {rates[0]:g} to {rates[-1]:g} converges: "
                "give one with --set learning_rate=…, or look at the corpus's alignment"
            )
        return self.work.complete(search, chosen)

    def _round(self, search: RateSearch, rates: list[float], parts: int) -> RateSearch:
        """Train each rate up to ``parts`` parts, the smallest first, if it has not been."""
        points = PARTS.index(parts) + 1
        diverged = False
        for rate in sorted(rates):
            trial = search.trial(rate)
            if self.work.stop():
                break
            if trial.ended or len(trial.points) >= points:
                diverged = diverged or bool(trial.ended)
                continue
            if diverged:
                trial = replace(trial, ended=SMALLER_DIVERGED)
            else:
                trial = self.work.trials.advance(trial, parts, self.work.report(search))
            diverged = diverged or bool(trial.ended)
            search = self.work.keep(search, trial)

        return search

    def _lengthen(self, search: RateSearch) -> RateSearch:
        """Try further rates as long as the best one is at an end of the row."""
        while len(search.trials) < self.grid.count + self.grid.longer and not self.work.stop():
            tried = [trial.rate for trial in search.trials]
            best = best_rates(search, 1, 1)
            if not best or best[0] == min(tried):
                further = min(tried) / self.grid.step
            elif best[0] == max(tried):
                further = max(tried) * self.grid.step
            else:
                break
            search = self._round(search, [rounded(further)], PARTS[0])

        return search


def best_rates(search: RateSearch, passed: int, count: int) -> list[float]:
    """Return the best rates after so many passed rounds, the best first.

    Of equal ones the larger is better. A rate that diverged in a later round still counts, so that
    a search that is resumed goes on with the same rates.
    """

    def merit(trial: RateTrial) -> tuple[float, float]:
        return (trial.points[passed - 1].criterion, trial.rate)

    there = [trial for trial in search.trials if len(trial.points) >= passed]
    return [trial.rate for trial in sorted(there, key=merit, reverse=True)[:count]]


def chosen_rate(search: RateSearch) -> float | None:
    """Return the best of the rates that came furthest without diverging; None if all diverged."""
    living = replace(search, trials=tuple(trial for trial in search.trials if not trial.ended))
    for passed in range(len(PARTS), 0, -1):
        best = best_rates(living, passed, 1)
        if best:
            return best[0]
    return None

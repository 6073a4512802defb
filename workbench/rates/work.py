"""What both kinds of search share: trials under way, and what is written after each of them."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.progress import Progress
from workbench.rates.trial import Trials
from workbench.runs.execution import Stop
from workbench.settings import Settings
from workbench.storage.rate_search import RateSearch, RateTrial, write_search


@dataclass(frozen=True)
class SearchWork:
    """A search under way: its file, its trials, whom it reports to, and who may stop it."""

    path: Path
    trials: Trials
    progress: Progress
    stop: Stop

    @property
    def settings(self) -> Settings:
        """The settings that the rate is searched for."""
        return self.trials.task.settings

    def keep(self, search: RateSearch, trial: RateTrial) -> RateSearch:
        """Return the search with a trial in the place of its former state, after writing it."""
        changed = with_trial(search, trial)
        write_search(self.path, changed)
        return changed

    def complete(self, search: RateSearch, rate: float, *, usual: bool = False) -> RateSearch:
        """Return the search with its choice, after writing it and removing its trials."""
        complete = replace(search, rate=rate, usual=usual)
        write_search(self.path, complete)
        self.progress(1, 1, self._what)
        if self.trials.folder.exists():
            shutil.rmtree(self.trials.folder)
        return complete

    def report(self, search: RateSearch) -> Progress:
        """Return progress of one trial as frames of the whole search."""
        before = search.frames

        def report(done: int, total: int, _: str) -> None:
            seen = min(before + done, search.budget)
            self.progress(seen, search.budget, self._what)

        return report

    @property
    def _what(self) -> str:
        """The search as progress names it."""
        return f"learning rate of {self.settings.criterion.name}, frames"


def with_trial(search: RateSearch, trial: RateTrial) -> RateSearch:
    """Return the search with a trial added, or in the place of its former state; by rate."""
    others = [other for other in search.trials if other.rate != trial.rate]
    ordered = sorted([*others, trial], key=lambda each: each.rate)
    return replace(search, trials=tuple(ordered))

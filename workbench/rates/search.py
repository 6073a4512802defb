"""The search for the best learning rate that converges, by successive halving.

Eight rates, each twice the one before, train on a small part of the data. The better half of them
goes on for another part, the better half of these for two more; the best that is left is chosen,
the larger one if both are equal. Rates are tried from the smallest on: where one has diverged, all
larger ones would. If the best is at the end of the row, the row is made longer. All trials together
see less than a fifth of the frames of the training that they serve. Where that is not enough for
eight rates it is four, each four times the one before; where it is not enough for these either, the
usual rate is taken and the search says so.

The paper takes the largest rate that converges stably (section 4.2). Short trials show which rates
diverge at once and which climb fastest, but not which are stable in the long run. So the best is
taken, not the largest; where the curve is flat, the choice is close to arbitrary.

A search is a function of corpus, settings and start. It is kept with the corpus. Where it was cut
off it goes on, at the last part that was complete.
"""

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from workbench.model.threads import one_thread
from workbench.prepare.corpus import Corpus
from workbench.progress import Progress, no_progress
from workbench.rates.identity import describe_start, search_key, search_settings
from workbench.rates.trial import SAMPLED_PARTS, TOO_LONG, Trials
from workbench.runs import Transfer, starting_point
from workbench.runs.execution import Stop, never
from workbench.runs.task import Task
from workbench.settings import Settings, UserError
from workbench.storage.lock import hold_lock
from workbench.storage.rate_search import RateSearch, RateTrial, read_search, write_search
from workbench.storage.run import Run

AUTO: Literal["auto"] = "auto"
"""The learning rate of a person who wants it found."""

SHARE = 0.18
"""Frames of all trials, as a share of those of the training that they serve."""

PARTS = (1, 2, 4)
"""Parts of the data that a trial has seen after each round; after each, half of the rates go on."""

SMALLER_DIVERGED = "a smaller rate has diverged"

PUSHES_EACH = 3
"""Batches of every replica in a part of frames, and utterances in one of sequences, at least."""

USUAL_FRAME_RATE = 0.1
USUAL_SEQUENCE_RATE = 0.002
USUAL_ADAGRAD_FACTOR = 0.1


@dataclass(frozen=True)
class Grid:
    """The rates of the first round: ``count`` of them, half below the usual one.

    ``step``: the ratio of neighbours. ``longer``: rates by which the row may be made longer.
    """

    count: int
    step: float
    longer: int

    def parts(self, sequence: bool) -> float:
        """Parts of the data that all trials see together, at most, those for measuring included."""
        second = self.count // 2
        third = self.count // 4
        trained = self.count + self.longer
        trained += second * (PARTS[1] - PARTS[0]) + third * (PARTS[2] - PARTS[1])
        measurements = self.count + self.longer + second + third
        return trained + (0.0 if sequence else SAMPLED_PARTS * measurements)

    def rates(self, settings: Settings) -> list[float]:
        """The rates, the smallest first."""
        usual = usual_rate(settings)
        exponents = range(-(self.count // 2), self.count - self.count // 2)
        return [_rounded(usual * self.step**n) for n in exponents]


FINE = Grid(count=8, step=2.0, longer=2)
COARSE = Grid(count=4, step=4.0, longer=1)


def find_rate(
    corpus: Corpus,
    settings: Settings,
    init: Run | Transfer | None = None,
    progress: Progress | None = None,
    stop: Stop = never,
) -> RateSearch:
    """Return the search for the rate of a training, done now unless the corpus has it already.

    ``settings`` and ``init`` are those of the training; its own learning rate and seed do not
    matter. Asked to ``stop``, it returns a search that is not complete. Another process that
    searches for the same is waited for. Raises UserError if no rate converges.
    """
    wanted = search_settings(settings)
    start = describe_start(init)
    path = search_file(corpus, wanted, start)
    if path.exists() and read_search(path).rate is not None:
        return read_search(path)

    with hold_lock(path.with_suffix(".lock"), wait=True):
        grid = _grid(corpus, wanted)
        known = read_search(path) if path.exists() else _new_search(corpus, wanted, start, grid)
        if known.rate is not None:
            return known
        if grid is None:
            return _without_search(path, known, wanted)
        task = Task(corpus, wanted)
        trials = Trials(trials_folder(path), task, starting_point(task, init), known.part)
        return _Halving(path, grid, trials, progress or no_progress, stop).run(known)


def with_found_rate(
    corpus: Corpus,
    settings: Settings,
    init: Run | Transfer | None = None,
    progress: Progress | None = None,
    stop: Stop = never,
) -> Settings:
    """Return the settings with the learning rate that `find_rate` finds for them."""
    return settings.replace(learning_rate=find_rate(corpus, settings, init, progress, stop).found)


def search_file(corpus: Corpus, wanted: Settings, start: str) -> Path:
    """Return the file of a search; ``wanted`` as `search_settings` returns them."""
    key = search_key(corpus, wanted, start)
    return corpus.folder / "rates" / f"{wanted.criterion.name}-{key}.json"


def trials_folder(path: Path) -> Path:
    """Return where the trials of a search are kept until it is complete."""
    return path.with_suffix("")


def usual_rate(settings: Settings) -> float:
    """Return the rate in the middle of those that are tried."""
    usual = USUAL_SEQUENCE_RATE if settings.sequence else USUAL_FRAME_RATE
    if settings.updates.optimizer == "adagrad":
        return USUAL_ADAGRAD_FACTOR * usual
    if settings.updates.optimizer == "momentum":
        return usual * (1 - settings.updates.momentum)
    return usual


def least_part(settings: Settings, utterance_frames: float) -> int:
    """Return the frames in which every replica has made some pushes.

    ``utterance_frames``: the mean length of an utterance. Most frames of a sequence criterion
    cancel, so there an utterance is about a batch.
    """
    each = utterance_frames if settings.sequence else settings.batches.size
    return math.ceil(PUSHES_EACH * settings.asynchrony.replicas * each)


def choose_grid(budget: int, least: int, sequence: bool) -> Grid | None:
    """Return the finest grid whose trials all see a part of ``least`` frames; None if none fits."""
    for grid in (FINE, COARSE):
        if grid.parts(sequence) * least <= budget:
            return grid
    return None


def _rounded(rate: float) -> float:
    """The rate with four digits, as people write it."""
    return float(f"{rate:.4g}")


def _grid(corpus: Corpus, wanted: Settings) -> Grid | None:
    """The grid of a search, None if the training is too short for one."""
    store = corpus.split("train")
    least = least_part(wanted, store.frames / len(store))
    return choose_grid(_budget(corpus, wanted), least, wanted.sequence)


def _budget(corpus: Corpus, wanted: Settings) -> int:
    """Frames that all trials together may see."""
    return int(SHARE * corpus.split("train").frames * wanted.batches.epochs)


def _new_search(corpus: Corpus, wanted: Settings, start: str, grid: Grid | None) -> RateSearch:
    """A search that has tried nothing."""
    budget = _budget(corpus, wanted)
    return RateSearch(
        criterion=wanted.criterion.name,
        settings={**wanted.to_dict()},
        start=start,
        part=int(budget / grid.parts(wanted.sequence)) if grid else 0,
        budget=budget,
        served=int(corpus.split("train").frames * wanted.batches.epochs),
    )


def _without_search(path: Path, search: RateSearch, wanted: Settings) -> RateSearch:
    """The search, complete with the usual rate, since the training is too short for more."""
    complete = replace(search, rate=usual_rate(wanted), usual=True)
    write_search(path, complete)
    return complete


@dataclass(frozen=True)
class _Halving:
    """A search under way, written to ``path`` after every trial."""

    path: Path
    grid: Grid
    trials: Trials
    progress: Progress
    stop: Stop

    @one_thread()
    def run(self, search: RateSearch) -> RateSearch:
        """Continue the search; its trials are removed when it is complete."""
        settings = self.trials.task.settings
        rates = self.grid.rates(settings)
        search = self._round(search, rates[:1], PARTS[0])
        if search.trial(rates[0]).ended == TOO_LONG:
            self._remove_trials()
            return _without_search(self.path, search, settings)

        search = self._round(search, rates, PARTS[0])
        search = self._lengthen(search)
        for passed, parts in enumerate(PARTS[1:], 1):
            best = best_rates(search, passed, self.grid.count >> passed)
            search = self._round(search, best, parts)
        if self.stop():
            return search
        return self._completed(search, rates)

    def _completed(self, search: RateSearch, rates: list[float]) -> RateSearch:
        """The search with its choice; raises UserError if all rates diverged."""
        best = chosen_rate(search)
        if best is None:
            raise UserError(
                f"no learning rate from {rates[0]:g} to {rates[-1]:g} converges: "
                "give one with --set learning_rate=…, or look at the corpus's alignment"
            )
        complete = replace(search, rate=best)
        write_search(self.path, complete)
        self._remove_trials()
        return complete

    def _remove_trials(self) -> None:
        """Report the end, and remove what was kept to go on."""
        self.progress(1, 1, self._what)
        if self.trials.folder.exists():
            shutil.rmtree(self.trials.folder)

    def _round(self, search: RateSearch, rates: list[float], parts: int) -> RateSearch:
        """Train each rate up to ``parts`` parts, the smallest first, if it has not been."""
        points = PARTS.index(parts) + 1
        diverged = False
        for rate in sorted(rates):
            trial = search.trial(rate)
            if self.stop():
                break
            if trial.ended or len(trial.points) >= points:
                diverged = diverged or bool(trial.ended)
                continue
            if diverged:
                trial = replace(trial, ended=SMALLER_DIVERGED)
            else:
                trial = self.trials.advance(trial, parts, self._report(search))
            diverged = diverged or bool(trial.ended)
            search = _with_trial(search, trial)
            write_search(self.path, search)

        return search

    def _lengthen(self, search: RateSearch) -> RateSearch:
        """Try further rates as long as the best one is at an end of the row."""
        while len(search.trials) < self.grid.count + self.grid.longer and not self.stop():
            tried = [trial.rate for trial in search.trials]
            best = best_rates(search, 1, 1)
            if not best or best[0] == min(tried):
                further = min(tried) / self.grid.step
            elif best[0] == max(tried):
                further = max(tried) * self.grid.step
            else:
                break
            search = self._round(search, [_rounded(further)], PARTS[0])

        return search

    @property
    def _what(self) -> str:
        """The search as progress names it."""
        return f"learning rate of {self.trials.task.settings.criterion.name}, frames"

    def _report(self, search: RateSearch) -> Progress:
        """Progress of one trial as frames of the whole search."""
        before = search.frames

        def report(done: int, total: int, _: str) -> None:
            seen = min(before + done, search.budget)
            self.progress(seen, search.budget, self._what)

        return report


def _with_trial(search: RateSearch, trial: RateTrial) -> RateSearch:
    """The search with a trial added, or in the place of its former state; by rate."""
    others = [other for other in search.trials if other.rate != trial.rate]
    ordered = sorted([*others, trial], key=lambda each: each.rate)
    return replace(search, trials=tuple(ordered))


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

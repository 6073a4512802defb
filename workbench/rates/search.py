"""The search for the learning rate of a training; kept with the corpus, and done once.

The paper takes the largest rate that converges stably (section 4.2). Cross entropy begins with a
network that knows nothing: short trials tell its rates apart, and `halving` finds the best of them.
Sequence training begins with a model that is nearly as good as it will be: there short trials show
which rates are too large, and `descent` finds the largest that is not. All trials together see less
than a fifth of the frames of the training that they serve. Where that is not enough for trials in
which every replica makes some pushes, the usual rate is taken, and the search says so.

A search is a function of corpus, settings and start. Where it was cut off it goes on, at the last
part of a trial that was complete.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from workbench.batches.turnover import has_slots
from workbench.prepare.corpus import Corpus
from workbench.progress import Progress, no_progress
from workbench.rates.descent import ALL_PARTS, Descent
from workbench.rates.halving import COARSE, Grid, Halving, choose_grid
from workbench.rates.identity import describe_start, search_key, search_settings
from workbench.rates.trial import Trials
from workbench.rates.usual import usual_rate
from workbench.rates.work import SearchWork
from workbench.runs import Transfer, starting_point
from workbench.runs.execution import Stop, never
from workbench.runs.task import Task
from workbench.settings import Settings
from workbench.storage.lock import hold_lock
from workbench.storage.rate_search import RateSearch, read_search, write_search
from workbench.storage.run import Run

AUTO: Literal["auto"] = "auto"
"""The learning rate of a person who wants it found."""

SHARE = 0.18
"""Frames of all trials, as a share of those of the training that they serve."""

PUSHES_EACH = 3
"""Batches of every replica in a part of frames, and utterances in one of sequences, at least."""


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
        known = read_search(path) if path.exists() else _new_search(corpus, wanted, start)
        if known.rate is not None:
            return known
        if not known.part:
            return _without_search(path, known, wanted)

        task = Task(corpus, wanted)
        trials = Trials(trials_folder(path), task, starting_point(task, init), known.part)
        work = SearchWork(path, trials, progress or no_progress, stop)
        if wanted.sequence:
            return Descent(work).run(known)
        return Halving(_grid(known, corpus, wanted), work).run(known)


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


def least_part(settings: Settings, utterance_frames: float) -> int:
    """Return the frames in which every replica has made some pushes.

    ``utterance_frames``: the mean length of an utterance. Most frames of a sequence criterion
    cancel, so there an utterance is about a batch. Where all slots of all replicas start together,
    they begin with the silence before speech. One replica is through with it after some dozen
    updates, several after as many times that, so their trials last until each slot has had an
    utterance; shorter ones would compare rates on silence.
    """
    replicas = settings.asynchrony.replicas
    each = utterance_frames if settings.sequence else settings.batches.size
    pushes: float = PUSHES_EACH
    in_step = has_slots(settings) and settings.batches.slot_start == "together"
    if replicas > 1 and in_step and not settings.sequence:
        pushes = max(pushes, utterance_frames)
    return math.ceil(pushes * replicas * each)


def _new_search(corpus: Corpus, wanted: Settings, start: str) -> RateSearch:
    """A search that has tried nothing; its part is 0 if the training is too short for one."""
    served = int(corpus.split("train").frames * wanted.batches.epochs)
    budget = int(SHARE * served)
    return RateSearch(
        criterion=wanted.criterion.name,
        settings={**wanted.to_dict()},
        start=start,
        part=_part(corpus, wanted, budget),
        budget=budget,
        served=served,
    )


def _part(corpus: Corpus, wanted: Settings, budget: int) -> int:
    """Frames of a part; 0 if every replica could not make some pushes in it."""
    least = _least_part_of(corpus, wanted)
    if wanted.sequence:
        part = budget // ALL_PARTS
        return part if part >= least else 0
    grid = choose_grid(budget, least)
    return int(budget / grid.parts) if grid else 0


def _grid(search: RateSearch, corpus: Corpus, wanted: Settings) -> Grid:
    """The grid of a search that has a part, and so fits."""
    return choose_grid(search.budget, _least_part_of(corpus, wanted)) or COARSE


def _least_part_of(corpus: Corpus, wanted: Settings) -> int:
    store = corpus.split("train")
    return least_part(wanted, store.frames / len(store))


def _without_search(path: Path, search: RateSearch, wanted: Settings) -> RateSearch:
    """The search, complete with the usual rate, since the training is too short for more."""
    complete = replace(search, rate=usual_rate(wanted), usual=True)
    write_search(path, complete)
    return complete

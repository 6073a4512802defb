"""What a sweep will take, before it starts: runs, minutes and disk.

Minutes come from runs of the same kind on the same corpus that earlier sweeps have ended, else from
a rehearsal.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.metrics.staleness import (
    ExpectedAge,
    KeptStatistics,
    expected_outer_age,
    kept_of_run,
)
from workbench.prepare.corpus import Corpus
from workbench.progress import counted, duration_text
from workbench.runs.task import Task
from workbench.settings import Settings
from workbench.storage.checkpoints import CHECKPOINTS_KEPT
from workbench.storage.run import Run, RunState, find_run
from workbench.sweeping.plan import CellState, PlannedCell, plan_cells
from workbench.sweeping.price import Price, mean_price, total_price
from workbench.sweeping.rehearsal import rehearse
from workbench.sweeping.spec import Cell, Sweep, all_sweeps
from workbench.sweeping.starting_run import find_start, start_seeds, start_settings
from workbench.training.decoder import always_fetches

ROW_BYTES = 500
KEPT_SHARE = 0.3
"""Share of an utterance's frames that is assumed to be kept, as long as nothing was decoded."""

REHEARSED_KINDS = 6
"""Kinds of cells that are rehearsed; further ones count as their mean."""

BUSY_FACTOR = 1.5
"""A computer so many times slower than a quiet one is mentioned."""

OPENING = Price(6.0, 6.0)
"""What it takes to start Python with all libraries and to open the corpus."""

UNPRICED = (
    "seed",
    "replicas",
    "shards",
    "clock",
    "machine",
    "learning_rate",
    "channel",
    "decoder_fetch",
    "decoder_seconds",
    "decoder_utterances",
)
"""Settings that hardly change the work of a run; virtual replicas cost no more than one."""


@dataclass(frozen=True)
class Estimate:
    """What all cells take, and those that are still to do."""

    cells: int
    to_do: int
    minutes: float  # for those to do, on this computer as busy as it is now
    quiet: float  # minutes if nothing else ran on it
    megabytes: float
    measured: str  # where the minutes come from
    age: ExpectedAge | None = None  # of outer gradients, from the freshest run to the stalest

    def __str__(self) -> str:
        what = counted(self.cells, "run")
        if self.to_do < self.cells:
            what = f"{self.to_do} of {self.cells} runs to do"
        busy = ""
        if self.minutes > BUSY_FACTOR * self.quiet:
            busy = f", {duration_text(60 * self.minutes)} as busy as this computer is now,"
        quiet = duration_text(60 * self.quiet)
        age = f"; {age_text(self.age)}" if self.age else ""
        return f"{what}, about {quiet}{busy} and {self.megabytes:.0f} MB ({self.measured}){age}"


def estimate_sweep(sweep: Sweep, jobs: int = 1) -> Estimate:
    """Estimate runs, minutes and disk of ``sweep``, ``jobs`` cells at a time on this computer.

    Rehearses for some seconds each kind of cell that no sweep has run before. Raises UserError if
    the sweep's corpus does not exist.
    """
    cells = plan_cells(sweep)
    to_do = [planned.cell for planned in cells if not planned.state.ended]
    corpus = Corpus.open(sweep.corpus)
    if not to_do:
        return Estimate(len(cells), 0, 0.0, 0.0, 0.0, "from runs of the same kind")

    prices = known_prices(sweep)
    kinds = dict.fromkeys(priced_settings(cell.settings) for cell in to_do)
    new = [kind for kind in kinds if kind not in prices]
    start = _trained_start(sweep)
    kept: KeptStatistics | None = None
    for kind in new[:REHEARSED_KINDS]:
        forecast = rehearse(Task(corpus, kind), start, sweep.test)
        prices[kind] = forecast.price
        kept = kept or forecast.kept

    others = mean_price(list(prices.values()))
    each = [prices.get(priced_settings(cell.settings), others) for cell in to_do]
    first = Price()
    missing = [
        seed for seed in start_seeds(sweep) if sweep.start and not _start_is_done(sweep, seed)
    ]
    if missing:
        task = Task(corpus, start_settings(sweep, missing[0]))
        first = rehearse(task, None, sweep.test).price.times(len(missing))
    undisturbed = [Price(price.processor, price.processor) for price in each]
    now = first.seconds + side_by_side_seconds(each, jobs)
    quiet = first.processor + side_by_side_seconds(undisturbed, jobs)
    size = sum(disk_bytes(Task(corpus, cell.settings)) for cell in to_do)
    return Estimate(
        cells=len(cells),
        to_do=len(to_do),
        minutes=now / 60,
        quiet=quiet / 60,
        megabytes=size / 1e6,
        measured=_origin(len(new)),
        age=_expected_age(to_do, _kept_of_first(cells) or kept),
    )


def _kept_of_first(cells: Sequence[PlannedCell]) -> KeptStatistics | None:
    """What the first ended run with decoders kept; None if there is none."""
    ended = [planned for planned in cells if planned.state.ended and planned.cell.settings.sequence]
    runs = (planned.run for planned in ended if planned.run is not None)
    return next(filter(None, map(kept_of_run, runs)), None)


def _expected_age(cells: Sequence[Cell], kept: KeptStatistics | None) -> ExpectedAge | None:
    """The age of outer gradients that the closed form expects, over the cells to which it applies.

    It says nothing of cells whose decoders keep their parameters for several utterances.
    """
    ages = [
        expected_outer_age(
            kept,
            cell.settings.asynchrony.replicas,
            cell.settings.batches.size,
            cell.settings.asynchrony.channel,
        )
        for cell in cells
        if kept and cell.settings.sequence and always_fetches(cell.settings.asynchrony)
    ]
    if not ages:
        return None
    return ExpectedAge(min(age.low for age in ages), max(age.high for age in ages))


def age_text(age: ExpectedAge) -> str:
    """Return what the closed form says of outer gradients, in words."""
    return f"outer gradients {age.low:,.0f} to {age.high:,.0f} updates old by the closed form"


def _origin(new_kinds: int) -> str:
    """Where the minutes come from, in words."""
    if not new_kinds:
        return "from runs of the same kind"
    rehearsed = f"{counted(min(new_kinds, REHEARSED_KINDS), 'kind')} rehearsed"
    return rehearsed + (", the others as these" if new_kinds > REHEARSED_KINDS else "")


def _trained_start(sweep: Sweep) -> Run | None:
    """A run that cells start from; None if there is none, or it is still to be trained."""
    if sweep.init:
        return find_run(sweep.init)
    if not sweep.start:
        return None
    done = [seed for seed in start_seeds(sweep) if _start_is_done(sweep, seed)]
    return find_start(sweep, done[0]) if done else None


def _start_is_done(sweep: Sweep, seed: int) -> bool:
    """Whether the start of a seed was trained to its end."""
    start = find_start(sweep, seed)
    return start is not None and start.status().state == RunState.DONE


def side_by_side_seconds(each: Sequence[Price], jobs: int) -> float:
    """Return the seconds that runs take, ``jobs`` at a time.

    They are bounded by the jobs, by the processors of this computer, and by the longest run.
    """
    if not each:
        return 0.0
    places = max(1, min(jobs, len(each)))
    opening = OPENING if jobs > 1 else Price()
    total = total_price(each)
    # The last runs may leave places empty.
    unevenness = math.ceil(len(each) / places) / (len(each) / places)
    by_places = total.seconds / places * unevenness + opening.seconds
    by_processors = (total.processor + places * opening.processor) / (os.cpu_count() or 1)
    longest = max(price.seconds for price in each)
    return max(by_places, by_processors, longest)


def time_left(cells: Sequence[PlannedCell], jobs: int) -> str:
    """Return how long the rest of a sweep will take, in words; "" until a first run has ended."""
    took = []
    rest = 0
    for planned in cells:
        if planned.state.ended and planned.price is not None and planned.price.seconds:
            took.append(planned.price.seconds)
        if not planned.state.ended and planned.state != CellState.FAILED:
            rest += 1

    if not took or not rest:
        return ""
    minutes = sum(took) / len(took) * rest / max(1, jobs) / 60
    return f"about {duration_text(60 * minutes)} left"


def known_prices(sweep: Sweep) -> dict[Settings, Price]:
    """Return what runs of each kind took that ended on the corpus of ``sweep``, in any sweep.

    Only sweeps that test their models as ``sweep`` does count.
    """
    took: dict[Settings, list[Price]] = {}
    for other in all_sweeps():
        comparable = (
            other.corpus == sweep.corpus
            and other.preset == sweep.preset
            and other.test == sweep.test
        )
        if not comparable:
            continue
        for planned in plan_cells(other):
            price = planned.price
            if planned.state == CellState.DONE and price and price.seconds and price.processor:
                took.setdefault(priced_settings(planned.cell.settings), []).append(price)

    return {kind: mean_price(prices) for kind, prices in took.items()}


def priced_settings(settings: Settings) -> Settings:
    """Return the settings with all that hardly changes the work at its default."""
    default = Settings().to_dict()
    return settings.replace(**{name: default[name] for name in UNPRICED})


def disk_bytes(task: Task) -> float:
    """Return the bytes that a run leaves: model, checkpoints, a row per push and decode."""
    settings = task.settings
    batches = settings.batches
    kept_share = KEPT_SHARE if settings.sequence else 1.0
    pushes = task.train.frames * batches.epochs / batches.size * kept_share
    decodes = len(task.train) * batches.epochs
    copies = CHECKPOINTS_KEPT + 1 + (settings.asynchrony.replicas > 1)
    return 4.0 * task.topology.size * copies + ROW_BYTES * (pushes + decodes)

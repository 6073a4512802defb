"""What a sweep will take, before it starts: runs, minutes and disk.

Minutes come from runs of the same kind on the same corpus that sweeps have ended before, else from a rehearsal.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.prepare.corpus import Corpus
from workbench.runs.task import Task
from workbench.settings import Settings, preset
from workbench.storage.run import KEEP, RunState
from workbench.sweeping.plan import ENDED, PlannedCell, plan
from workbench.sweeping.rehearsal import Price, rehearse
from workbench.sweeping.spec import Sweep, all_sweeps
from workbench.sweeping.starting_run import found_start

ROW_BYTES = 500
KEPT = 0.3  # of the frames of an utterance, so long as nothing was decoded
MOST = 6  # kinds of cells that are rehearsed; further ones count as their mean
BUSY = 1.5  # times slower than on a quiet computer is worth a word
OPENING = Price(6.0, 6.0)  # a process of Python with all libraries, and the corpus opened in it
FREE = (
    *("seed", "replicas", "shards", "clock", "machine", "learning_rate", "channel"),
    *("decoder_fetch", "decoder_seconds", "decoder_utterances"),
)


@dataclass(frozen=True)
class Estimate:
    """Of all cells and of those still to do."""

    cells: int
    to_do: int
    minutes: float  # of this computer as busy as it is now, for those to do
    quiet: float  # minutes if nothing else ran on it
    megabytes: float
    measured: str  # where the minutes come from

    def __str__(self) -> str:
        what = (
            f"{self.to_do} of {self.cells} runs to do"
            if self.to_do < self.cells
            else f"{self.cells} runs"
        )
        busy = (
            f", {duration(self.minutes)} as busy as this computer is now,"
            if self.minutes > BUSY * self.quiet
            else ""
        )
        return f"{what}, about {duration(self.quiet)}{busy} and {self.megabytes:.0f} MB ({self.measured})"


def estimate(sweep: Sweep, jobs: int = 1) -> Estimate:
    """Runs, minutes and disk of ``sweep``, ``jobs`` at a time on this computer; rehearses for some seconds per kind."""
    cells = plan(sweep)
    to_do, corpus = [c.cell for c in cells if c.state not in ENDED], Corpus.open(sweep.corpus)
    known = known_prices(sweep) if to_do else {}
    kinds = list(dict.fromkeys(as_priced(c.settings) for c in to_do))
    new = [kind for kind in kinds if kind not in known]
    prices = {
        kind: rehearse(Task(corpus, kind), _init(sweep), sweep.test) for kind in new[:MOST]
    } | known
    each = [prices.get(as_priced(c.settings), _mean(list(prices.values()))) for c in to_do]
    first = _start_price(sweep, corpus) if to_do else Price(0.0, 0.0)
    size = sum(disk_of(Task(corpus, c.settings)) for c in to_do)
    how = f"{len(new[:MOST])} kinds rehearsed" if new else "from runs of the same kind"
    how += ", the others as these" if len(new) > MOST else ""
    now = first.seconds + together(each, jobs)
    quiet = first.processor + together([Price(p.processor, p.processor) for p in each], jobs)
    return Estimate(len(cells), len(to_do), now / 60, quiet / 60, size / 1e6, how)


def together(each: Sequence[Price], jobs: int) -> float:
    """Seconds that runs take side by side: as many as there are places for, and no more processors than there are."""
    if not each:
        return 0.0
    places = max(1, min(jobs, len(each)))
    opening = OPENING if jobs > 1 else Price(0.0, 0.0)
    rounds = -(-len(each) // places) / (len(each) / places)  # the last ones may leave places empty
    used = sum(p.processor for p in each) + places * opening.processor
    return max(
        sum(p.seconds for p in each) / places * rounds + opening.seconds,
        used / (os.cpu_count() or 1),
        max(p.seconds for p in each),
    )


def left(cells: Sequence[PlannedCell], jobs: int) -> str:
    """How long the rest of a sweep will take, by the runs that have ended; nothing before the first has."""
    took = [c.seconds for c in cells if c.state in ENDED and c.seconds]
    rest = sum(c.state not in ENDED | {"failed"} for c in cells)
    return (
        f"about {duration(sum(took) / len(took) * rest / max(1, jobs) / 60)} left"
        if took and rest
        else ""
    )


def known_prices(sweep: Sweep) -> dict[Settings, Price]:
    """What runs of each kind took that ended on this corpus, of any sweep that tests its models if this one does."""
    took: dict[Settings, list[Price]] = {}
    for other in all_sweeps():
        if (
            other.corpus == sweep.corpus
            and other.preset == sweep.preset
            and other.test == sweep.test
        ):
            for c in plan(other):
                if c.state == "done" and c.seconds and c.processor:
                    took.setdefault(as_priced(c.cell.settings), []).append(
                        Price(c.seconds, c.processor)
                    )
    return {kind: _mean(prices) for kind, prices in took.items()}


def as_priced(s: Settings) -> Settings:
    """The settings with all that hardly changes the work at their defaults: virtual replicas cost no more than one."""
    return s.replace(**{name: Settings().to_dict()[name] for name in FREE})


def _mean(prices: Sequence[Price]) -> Price:
    return Price(
        *(
            float(np.mean([getattr(p, k) for p in prices] or [0.0]))
            for k in ("seconds", "processor")
        )
    )


def _init(sweep: Sweep) -> str | None:
    found = found_start(sweep) if sweep.start else None
    ended = found is not None and found.status().state == RunState.DONE
    return sweep.init or (found.name if found and ended else None)


def _start_price(sweep: Sweep, corpus: Corpus) -> Price:
    """Of the run that all cells start from, if the sweep must train it first."""
    if not sweep.start or _init(sweep):
        return Price(0.0, 0.0)
    return rehearse(Task(corpus, preset(sweep.preset, **sweep.start)), None, sweep.test)


def disk_of(task: Task) -> float:
    """Bytes that a run leaves behind: its model and checkpoints, and a row per push and decode."""
    s = task.settings
    rows = (
        task.train.frames * s.batches.epochs / s.batches.size * (KEPT if s.sequence else 1.0)
        + len(task.train) * s.batches.epochs
    )
    return 4.0 * task.topology.size * (KEEP + 1 + (s.asynchrony.replicas > 1)) + ROW_BYTES * rows


def duration(minutes: float) -> str:
    """In words."""
    return f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"

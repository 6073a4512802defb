"""What a sweep will take, before it starts: runs, minutes and disk.

Minutes come from the sweep's own cells that have ended, else from timing, on the corpus at hand, the three things that
a run does: a batch, a decode, a measurement.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench import runs
from workbench.batches import FrameBatch
from workbench.corpora import Corpus
from workbench.experiment import Task
from workbench.model.network import log_posteriors
from workbench.settings import Settings
from workbench.store import KEEP
from workbench.sweeping.plan import ENDED, plan
from workbench.sweeping.spec import Sweep

ROW_BYTES = 500
KEPT = 0.3  # of the frames of an utterance, so long as nothing was decoded
MOST = 6  # kinds of cells that are timed; further ones count as their mean
TEST = 6.0  # testing searches five scales with wider beams: so many times the price of a measurement's decode


@dataclass(frozen=True)
class Estimate:
    """Of all cells and of those still to do."""

    cells: int
    to_do: int
    minutes: float  # of this computer, for those to do
    megabytes: float
    measured: str  # where the minutes come from

    def __str__(self) -> str:
        what = f"{self.to_do} of {self.cells} runs to do" if self.to_do < self.cells else f"{self.cells} runs"
        return f"{what}, about {_time(self.minutes)} and {self.megabytes:.0f} MB ({self.measured})"


def estimate(sweep: Sweep, jobs: int = 1) -> Estimate:
    """Runs, minutes and disk of ``sweep`` with ``jobs`` at a time; takes a few seconds the first time."""
    cells = plan(sweep)
    to_do = [c.cell for c in cells if c.state not in ENDED]
    timed = {c.cell.id: c.seconds / c.cell.settings.epochs for c in cells if c.seconds and c.cell.settings.epochs}
    if timed:
        per_epoch = float(np.mean(list(timed.values())))
        seconds = sum(per_epoch * c.settings.epochs for c in to_do)
        how = f"from {len(timed)} runs of this sweep"
    else:
        kinds: dict[Settings, float] = {}
        corpus = Corpus.open(sweep.corpus)
        for cell in to_do:
            kind = as_priced(cell.settings)
            if kind not in kinds and len(kinds) < MOST:
                theta = runs.starting_point(Task(corpus, kind), sweep.init, None)[0]
                kinds[kind] = seconds_of(Task(corpus, kind), theta, sweep.test)
        mean = float(np.mean(list(kinds.values()))) if kinds else 0.0
        seconds = sum(kinds.get(as_priced(c.settings), mean) for c in to_do)
        how = "timed on a few batches and utterances"
    size = sum(disk_of(Task(Corpus.open(sweep.corpus), c.settings)) for c in to_do)
    return Estimate(len(cells), len(to_do), seconds / 60 / max(1, min(jobs, len(to_do))), size / 1e6, how)


def as_priced(s: Settings) -> Settings:
    """The settings with all that hardly changes the work at their defaults: virtual replicas cost no more than one."""
    free = ("seed", "replicas", "clock", "learning_rate", "decoder_fetch", "decoder_seconds", "decoder_utterances")
    return s.replace(**{name: getattr(Settings(), name) for name in free})


def seconds_of(task: Task, theta: np.ndarray, test: bool) -> float:
    """Seconds of this computer that one run takes if its learning rate never falls, from timing its parts."""
    s, store, heldout = task.settings, task.train, task.heldout
    offsets = np.asarray(store.offsets)
    frames, utterances = store.frames * s.epochs, len(store) * s.epochs
    batch = min(s.batch, store.frames)
    frame_task = Task(task.corpus, s.replace(criterion="ce"))
    first = FrameBatch(np.arange(batch))
    step = timed(lambda: frame_task.gradient(theta, first))
    look = timed(lambda: measure(task, theta))
    decode = (
        timed(lambda: task.decode(theta, 0)) * store.frames / len(store) / max(1, int(offsets[1]))
        if s.sequence
        else 0.0
    )
    steps = frames * (KEPT if s.sequence else 1.0) / batch
    measurements = 2 + s.epochs / s.evaluate_every
    extra = TEST * look * (len(heldout) + len(task.corpus.split("test"))) if test else 0.0
    return steps * step + utterances * decode + measurements * task.heldout_utterances * look + extra


def measure(task: Task, theta: np.ndarray) -> None:
    """Decode one held-out utterance."""
    logp = log_posteriors(theta, task.topology, task.heldout.utterance_windows(0))
    task.decode_split(task.heldout, 0, logp, task.measuring)


def timed(act: Callable[[], object], times: int = 3) -> float:
    """The median of a few calls, the first one, which compiles and reads from disk, left out."""
    act()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def disk_of(task: Task) -> float:
    """Bytes that a run leaves behind: its model and checkpoints, and a row per push and decode."""
    s = task.settings
    rows = task.train.frames * s.epochs / s.batch * (KEPT if s.sequence else 1.0) + len(task.train) * s.epochs
    return 4.0 * task.topology.size * (KEEP + 1 + (s.replicas > 1)) + ROW_BYTES * rows


def _time(minutes: float) -> str:
    return f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"

"""Running a study: what is missing of it, one seed after another, until its budget is spent."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workbench.prepare.pipeline import Preparation, prepare
from workbench.progress import Progress, no_progress
from workbench.settings import UserError
from workbench.studies.plan import StudyPlan, corpus_exists
from workbench.studies.study import CorpusOfSize
from workbench.sweeping import Sweep, refuse_idle_axes, request_stop, run_sweeps

LOOK_SECONDS = 0.5
"""Between two looks whether the budget is spent."""


class Deadline:
    """The moment at which a study stops; without a budget it never comes."""

    def __init__(self, seconds: float = 0.0):
        self._end = time.monotonic() + seconds if seconds else None

    @property
    def passed(self) -> bool:
        """Whether the budget is spent."""
        return self._end is not None and time.monotonic() >= self._end

    @contextmanager
    def stopping(self, sweeps: Sequence[Sweep]) -> Iterator[None]:
        """Ask ``sweeps`` to come to rest when the budget is spent while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            # Again and again, since a sweep forgets at its start what was asked of an earlier one.
            while not ended.wait(LOOK_SECONDS):
                if not self.passed:
                    continue
                for sweep in sweeps:
                    if sweep.folder.is_dir():
                        request_stop(sweep, now=True)

        watcher = threading.Thread(target=watch, name="budget of a study", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def run_study(
    plan: StudyPlan,
    jobs: int = 1,
    budget: float = 0.0,
    retry: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Run what is missing of a study; return whether all of it has been tried.

    The first seed is run through all arms, ``jobs`` runs at a time, before the second begins, so a
    study that stops early has a whole picture. ``budget``: seconds, 0 for no limit; when they are
    spent, the runs under way rest at a checkpoint, and the next call goes on with them. Corpora
    that are missing are prepared first. Raises UserError for one that cannot be synthesised.
    """
    deadline = Deadline(budget)
    for arm in plan.arms:
        refuse_idle_axes(arm.sweep)
        for corpus in arm.corpora:
            _prepare(corpus, jobs, progress or no_progress)

    sweeps = [arm.sweep for arm in plan.arms]
    for seed in plan.seeds:
        if deadline.passed:
            return False
        with deadline.stopping(sweeps):
            by_sweep = run_sweeps(sweeps, jobs, retry, progress, seeds=[seed])
        cells = [each for cells in by_sweep for each in cells if each.cell.seed == seed]
        if any(each.state.unfinished for each in cells):
            return False  # it was asked to stop

    return True


def _prepare(corpus: CorpusOfSize, jobs: int, progress: Progress) -> None:
    """Make a corpus that is missing."""
    if corpus_exists(corpus):
        return
    source = corpus.source
    if source is None:
        raise UserError(
            f"this study needs the corpus {corpus.name}, which is real speech: "
            f"workbench prepare {corpus.name} --kaldi DIR"
        )

    prepare(corpus.name, source, Preparation(states=corpus.states), jobs, progress)

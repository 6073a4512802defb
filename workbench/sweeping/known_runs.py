"""The runs of a sweep's cells: those called after the sweep, and equal ones that are called else.

A run is a cell if settings, corpus and start are the cell's, whoever trained it: another sweep, a
study, or a notebook. So no cell is trained twice because two sweeps have different names.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from workbench.prepare.corpus import Corpus
from workbench.runs.record import PARTS, changed_versions, corpus_identity, same_corpus
from workbench.settings import UserError, digest_of
from workbench.storage.run import (
    RECORD,
    CorpusIdentity,
    Parent,
    Run,
    RunFolders,
    RunRecord,
    RunState,
    find_run,
    runs_called,
)
from workbench.sweeping.spec import Cell, Rates, Sweep
from workbench.sweeping.starting_run import find_start

TAKEN_OVER = (RunState.DONE, RunState.DIVERGED, RunState.STOPPED, RunState.LOST)
"""States in which a run that is called else is taken for a cell: no process works on it, and it did
not fail for a cause that may be over by now.
"""

MOST_RECORDS = 1 << 14  # that are kept in memory


def run_name(sweep: Sweep, cell: Cell) -> str:
    """Return the name of the cell's run, without the digest that every run's name ends in."""
    return f"{sweep.prefix_of_runs}-{cell.id}"


def cell_run(sweep: Sweep, cell: Cell) -> Run | None:
    """Return the run of one cell; see `CellFinder`."""
    return CellFinder(sweep).find(cell)


class CellFinder:
    """Finds the runs of a sweep's cells, from one look at the folder of all runs."""

    def __init__(self, sweep: Sweep):
        self.sweep = sweep
        self._folders = RunFolders()
        self._parents: dict[int, str | None] = {}  # the run that cells start from, by their seed

    def find(self, cell: Cell) -> Run | None:
        """Return the run of the cell; None if there is none.

        Of those called after the sweep it is the one that was started last. If there is none, it is
        an equal run of another name, one that is done if there is any.
        """
        return self._own(cell) or self._equal(cell)

    def _own(self, cell: Cell) -> Run | None:
        """The newest run that is called like the cell.

        A run of that name that began from anything else than cells of the sweep do is another one:
        starts that took over hidden layers were once called like cells that begin from nothing.
        """
        named = runs_called(run_name(self.sweep, cell), self._folders)
        begun = (run for run in named if self._begins_like_cells(run.record.parent))
        return next(begun, None)

    def _begins_like_cells(self, parent: Parent | None) -> bool:
        """Whether a run with this parent may be a cell: cells begin from a run, or from nothing."""
        if self.sweep.init or self.sweep.start:
            return parent is not None and parent.run is not None
        return parent is None

    def _equal(self, cell: Cell) -> Run | None:
        """A run of any name with the settings, the corpus and the start of the cell.

        Cells whose rates are to be found do not know their settings yet, so they have none.
        """
        if self.sweep.rates == Rates.AUTO:
            return None

        found = [run for run in self._alike(cell) if run.status().state in TAKEN_OVER]
        return min(found, key=_rank, default=None)

    def _alike(self, cell: Cell) -> Iterator[Run]:
        """The runs that are equal to the cell, whatever became of them."""
        for known in self._by_settings.get(cell.settings.digest(), ()):
            record = known.record
            if (
                self._begins_like_cells(record.parent)
                and not changed_versions(record.versions)
                and self._same_corpus(record)
                and record.parent_run == self._parent(cell.seed)
            ):
                yield known.run

    @cached_property
    def _by_settings(self) -> dict[str, list["_KnownRun"]]:
        """All runs that can be read, by the digest of their settings."""
        found: dict[str, list[_KnownRun]] = defaultdict(list)
        for names in self._folders.by_name.values():
            for name in names:
                known = _known_run(self._folders.root / name)
                if known is not None:
                    found[known.digest].append(known)

        return found

    def _same_corpus(self, record: RunRecord) -> bool:
        """Whether a run was trained on the corpus of the sweep as that is now."""
        corpus = self._corpus
        if corpus is None or record.corpus.argument != corpus.argument:
            return False
        identity = _identity(corpus.folder, _written(corpus.folder))
        return same_corpus(record.corpus, identity, corpus)

    @cached_property
    def _corpus(self) -> Corpus | None:
        """The corpus of the sweep; None if it is gone, so that no run can be held against it."""
        try:
            return Corpus.open(self.sweep.corpus)
        except UserError:
            return None

    def _parent(self, seed: int) -> str | None:
        """The name of the run that cells of a seed start from; None if it is not there."""
        if seed not in self._parents:
            self._parents[seed] = _starting_run(self.sweep, seed)
        return self._parents[seed]


def _starting_run(sweep: Sweep, seed: int) -> str | None:
    """The name of the run that cells of a seed start from; None without one."""
    if sweep.init:
        try:
            return find_run(sweep.init).name
        except UserError:
            return None
    start = find_start(sweep, seed) if sweep.start else None
    return start.name if start else None


def _rank(run: Run) -> tuple[bool, bool, str]:
    """What is done and tested comes first; then names decide."""
    done = run.status().state == RunState.DONE
    return not done, not run.summary.tested, run.name


class _KnownRun(NamedTuple):
    """A run, its record, and the digest of its settings."""

    run: Run
    record: RunRecord
    digest: str


def _known_run(folder: Path) -> _KnownRun | None:
    """The run in a folder; None without a record, or with a damaged one, which doctor tells."""
    try:
        changed = (folder / RECORD).stat().st_mtime_ns
        return _read_run(folder, changed)
    except (FileNotFoundError, NotADirectoryError, UserError):
        return None


@lru_cache(MOST_RECORDS)
def _read_run(folder: Path, changed: int) -> _KnownRun:
    """The run whose record was written at ``changed``, nanoseconds since the epoch.

    A panel asks every second, and records are written once.
    """
    run = Run(folder)
    record = run.record
    return _KnownRun(run, record, digest_of(record.settings))


@lru_cache
def _identity(folder: Path, written: tuple[int, ...]) -> CorpusIdentity:
    """The identity of a corpus whose files were ``written`` at these times."""
    return corpus_identity(Corpus(folder))


def _written(folder: Path) -> tuple[int, ...]:
    """When the files that identify a corpus were written, in nanoseconds since the epoch."""
    patterns = ["corpus.json", *PARTS.values()]
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return tuple(path.stat().st_mtime_ns for path in paths)

"""One line of the list of runs: what a run is, how it stands, what it found and what it takes."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from workbench.settings import UserError, Value
from workbench.storage.home import data_folder
from workbench.storage.run import RECORD, Run, RunState
from workbench.storage.run_notes import RunNotes, read_notes
from workbench.storage.summary import Number

CELL_RUN = re.compile(r"(?P<sweep>.+)-(?P<cell>[0-9a-f]{10})-[0-9a-f]{8}")
"""The name of a run that is a cell of a sweep; see `workbench.sweeping.known_runs.run_name`."""

FACTS = (
    "run",
    "title",
    "state",
    "corpus",
    "criterion",
    "sweep",
    "parent",
    "tags",
    "note",
    "started",
    "megabytes",
    "error",
)
"""What is known of every run, beside its settings and its numbers."""

NUMBERS = (
    "updates",
    "seconds",
    "heldout_mmi",
    "heldout_wer",
    "frame_error",
    "test_wer",
    "test_wer_low",
    "test_wer_high",
    "p_value",
    "frames_seen",
    "utterances_set_aside",
    "staleness_inner_mean",
    "staleness_outer_mean",
    "staleness_outer_seconds",
)
"""What was measured: error rates are fractions, and None where nothing was measured."""

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class RunEntry:
    """A run as the list shows it.

    A run whose record is damaged is listed with the state FAILED and the damage as its error.
    """

    run: Run
    state: RunState
    error: str = ""
    notes: RunNotes = field(default_factory=RunNotes)
    corpus: str = ""
    parent: str = ""  # the run that its parameters came from
    sweep: str = ""  # of which it is a cell
    started: float = 0.0  # seconds since the epoch
    size: int = 0  # bytes on disk
    settings: Mapping[str, Value] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.run.name

    def value(self, column: str) -> Value | None:
        """Return what a column shows of this run; None where it has nothing."""
        facts: dict[str, Value] = {
            "run": self.name,
            "title": self.notes.title,
            "state": self.state.value,
            "corpus": self.corpus,
            "sweep": self.sweep,
            "parent": self.parent,
            "tags": " ".join(self.notes.tags),
            "note": self.notes.text,
            "started": start_text(self.started),
            "megabytes": round(self.size / MEGABYTE, 1),
            "error": self.error,
        }
        if column in facts:
            return facts[column]
        if column in NUMBERS:
            return self.numbers.get(column)
        return self.settings.get(column)


def read_entries(runs: Sequence[Run]) -> list[RunEntry]:
    """Return the entry of each run."""
    return [read_entry(run) for run in runs]


def read_entry(run: Run) -> RunEntry:
    """Return the entry of one run, whatever state its files are in."""
    started = (run.folder / RECORD).stat().st_mtime
    size = folder_size(run.folder)
    try:
        record = run.record
        status = run.status()
        numbers = run.summary.numbers()
        notes = read_notes(run)
    except UserError as damage:
        return RunEntry(run, RunState.FAILED, str(damage), started=started, size=size)

    parent = record.parent
    return RunEntry(
        run=run,
        state=status.state,
        error=status.error,
        notes=notes,
        corpus=record.corpus.name,
        parent=(parent.run or parent.transfer or "") if parent else "",
        sweep=sweep_of(run.name),
        started=started,
        size=size,
        settings=record.settings,
        numbers={name: numbers[name] for name in NUMBERS},
    )


def sweep_of(name: str) -> str:
    """Return the name of the sweep of which the run ``name`` is a cell, or an empty string."""
    found = CELL_RUN.fullmatch(name)
    if not found or not (data_folder() / "sweeps" / found["sweep"] / "sweep.json").exists():
        return ""
    return found["sweep"]


def swept_settings(entries: Sequence[RunEntry]) -> list[str]:
    """Return the settings in which these runs differ, in the order of the settings.

    Runs that lack a setting, because they are older than it, do not make it one that differs.
    """
    names = dict.fromkeys(name for entry in entries for name in entry.settings)
    return [
        name
        for name in names
        if len({entry.settings[name] for entry in entries if name in entry.settings}) > 1
    ]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every regular file of a folder and its folders, in the order of their paths."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def folder_size(folder: Path) -> int:
    """Return the bytes in the files of a folder; a file that goes meanwhile counts nothing."""
    size = 0
    for path in files_below(folder):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def size_text(size: int) -> str:
    """Return bytes as a person reads them."""
    for unit, bytes_each in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return f"{size} bytes"


def start_text(started: float) -> str:
    """Return a time as date and minute, in UTC, so that the text sorts like the time."""
    return datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M")

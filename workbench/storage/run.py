"""A run's directory: what the run is, its rows, its checkpoints, and how it ended.

    settings.json            a `RunRecord`: settings, corpus, parent run, versions; written once
    status.json              a `RunStatus`: state, process, heartbeat; rewritten whole
    rows-<process>.jsonl     one JSON object per line, append-only, one writer per file
    rows.parquet             all rows as one table, process by process, once the run has ended
    checkpoints/<step>/      safetensors and JSON, and a manifest with SHA-256 digests
    cluster.json             a `ClusterInfo`, while the run is on a Dask cluster
    summary.json             the numbers of `workbench table`
    log.txt                  messages about recoveries and damaged checkpoints
    .writer                  the process that writes the run holds it locked, so there is only one

No reader waits for a lock, and there is no database. A reader tolerates a torn last line, and the
state of a run whose process is gone is LOST. `workbench.storage.run_writer.RunWriter` writes all of
this.
"""

import hashlib
import json
import os
import socket
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.settings import Settings, UserError, Value, identity_of, no_such
from workbench.storage.checkpoints import RECORD, checkpoint_folders
from workbench.storage.files import Json, is_file, write_json
from workbench.storage.home import data_folder
from workbench.storage.records import read_object, read_record
from workbench.storage.row_tables import table_of
from workbench.storage.rows import R, Row, read_columns, read_rows
from workbench.storage.summary import RunSummary
from workbench.system.processes import process_is_alive

if TYPE_CHECKING:
    import pandas as pd

HEARTBEAT_LOST_SECONDS = 30.0
PIECE = 1 << 20  # bytes of a file that are read at once
STATUS = "status.json"
SUMMARY = "summary.json"
CLUSTER = "cluster.json"
TABLE = "rows.parquet"
STOP = "stop"  # a file in a run's folder by which any process asks the run to come to rest
DIVERGENCE = "divergence"  # the process that writes why a run went back with a smaller rate
LISTED = 12  # runs that a message about an ambiguous name lists
DRIVER = "driver"  # the process that drives a run; a return to a checkpoint keeps its rows


class RunState(StrEnum):
    """The state of a run; the values are the words in status.json."""

    NEW = "new"  # the folder exists, nothing has been reported yet
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # on request; is at a checkpoint
    FAILED = "failed"
    DIVERGED = "diverged"
    LOST = "lost"  # status.json says running, but the process is gone or silent

    @property
    def active(self) -> bool:
        """Whether a process is working on the run, or is about to."""
        return self in (RunState.NEW, RunState.RUNNING)


@dataclass(frozen=True)
class RunStatus:
    """What status.json holds, corrected by whether the process that wrote it is alive."""

    state: RunState = RunState.NEW
    pid: int | None = None
    host: str = ""
    heartbeat: float = 0.0  # seconds since the epoch at which the process last reported
    error: str = ""

    def __str__(self) -> str:
        return f"{self.state} ({self.error})" if self.error else str(self.state)


@dataclass(frozen=True)
class CorpusIdentity:
    """The corpus that a run was trained on.

    ``parts``: the digest of each part, empty for runs made before they were kept.
    """

    name: str
    digest: str  # see `workbench.runs.record.corpus_identity`
    parts: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None  # where it is, if not under data/corpora

    @property
    def argument(self) -> str:
        """How the command line names it: by its name, or by its folder if that is elsewhere."""
        return self.folder or self.name

    @property
    def place(self) -> Path:
        """The folder where it was when the run was trained."""
        return Path(self.folder) if self.folder else data_folder() / "corpora" / self.name

    def to_dict(self) -> dict[str, Json]:
        """Return this for JSON; without a folder if there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Parent:
    """Where a run's first parameters came from.

    ``run``: all of them, from this run. ``transfer``: the hidden layers, from this one.
    """

    digest: str  # of those parameters
    run: str | None = None
    transfer: str | None = None

    def to_dict(self) -> dict[str, str]:
        """Return this for JSON; a field that is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class RunRecord:
    """What a run was started with.

    ``settings`` are flat and as they were recorded, so an older run may lack some. ``kernels``
    describes the matrix products that were used. ``cluster`` is the address of the Dask cluster,
    None for a run in one process.
    """

    settings: dict[str, Value]
    corpus: CorpusIdentity
    parent: Parent | None = None
    recorded: bool = False  # the schedule too, so that the run can be replayed
    cluster: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    kernels: dict[str, Json] = field(default_factory=dict)
    command: str = ""  # that does the same from a terminal

    @property
    def parent_run(self) -> str | None:
        """The run that this one continues with another criterion, if there is one."""
        return self.parent.run if self.parent else None

    @property
    def digest(self) -> str:
        """SHA-256 of what the run is: equal for runs of equal settings, corpus and parent."""
        record = self.to_dict()
        identity: dict[str, object] = {"settings": identity_of(self.settings)}
        identity["parent"] = record["parent"]
        identity["corpus"] = replace(self.corpus, folder=None).to_dict()
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def has_settings(self, settings: Settings) -> bool:
        """Return whether the run was started with these settings; see `identity_of`."""
        return identity_of(self.settings) == identity_of(settings.to_dict())

    def to_dict(self) -> dict[str, Json]:
        """Return this for JSON."""
        parent = self.parent.to_dict() if self.parent else None
        return {**asdict(self), "corpus": self.corpus.to_dict(), "parent": parent}


@dataclass(frozen=True)
class ClusterInfo:
    """The Dask cluster that a run is on: addresses, and process ids of its own workers by name."""

    address: str
    dashboard: str
    workers: dict[str, int]


@dataclass(frozen=True)
class Run:
    """One run's directory, for reading."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of the folder: ``<name>-<digest>``."""
        return self.folder.name

    @property
    def record(self) -> RunRecord:
        """What the run was started with."""
        return read_record(RunRecord, self.folder / RECORD)

    @property
    def settings(self) -> Settings:
        """The settings of the run; see `Settings.of_record`."""
        return Settings.of_record(self.record.settings)

    @property
    def summary(self) -> RunSummary:
        """The numbers of `workbench table`; all of them None while there are none."""
        path = self.folder / SUMMARY
        return RunSummary.of(read_object(path)) if path.exists() else RunSummary()

    @property
    def cluster(self) -> ClusterInfo | None:
        """The Dask cluster that the run is on now; None if it is on none, or not running."""
        path = self.folder / CLUSTER
        if self.status().state != RunState.RUNNING or not path.exists():
            return None
        return read_record(ClusterInfo, path)

    def write_summary(self, summary: RunSummary) -> None:
        """Replace the summary."""
        write_json(self.folder / SUMMARY, summary.to_dict())

    def status(self) -> RunStatus:
        """Return the status: NEW without a status.json, LOST if the process is gone or silent."""
        path = self.folder / STATUS
        if not path.exists():
            return RunStatus()

        status = read_record(RunStatus, path)
        if status.state == RunState.RUNNING and not _process_lives(status):
            return replace(status, state=RunState.LOST)
        return status

    def row_files(self) -> list[Path]:
        """Return the files of rows, one per process, by name."""
        return sorted(self.folder.glob("rows-*.jsonl"))

    def row_file(self, process: str) -> Path:
        """Return the file to which ``process`` writes its rows."""
        name = process.replace(" ", "-").replace("/", "-")
        return self.folder / f"rows-{name}.jsonl"

    def rows(self, kind: type[R]) -> Iterator[R]:
        """Yield the rows of one kind, file by file; ``Row``: of all kinds.

        A torn last line of a file is skipped; damage before it is a UserError.
        """
        for path in self.row_files():
            yield from read_rows(path, kind)

    def table(self, kind: type[Row] = Row, names: Collection[str] = ()) -> "pd.DataFrame":
        """Return the rows of one kind, by default of all kinds, as a table in order of time.

        ``names``: of the columns that are wanted, by default all. A table of a few numbers is small
        for a long run too.
        """
        wanted = (
            columns for columns in self.columns() if kind is Row or columns.get("kind") == kind.kind
        )
        if names:
            wanted = ({name: row[name] for name in names if name in row} for row in wanted)
        table = table_of(wanted)
        order = [name for name in ("seconds", "process", "index") if name in table]
        return table.sort_values(order, kind="stable", ignore_index=True) if order else table

    def columns(self) -> Iterator[dict[str, Json]]:
        """Yield the columns of all rows as they were written, file by file."""
        for path in self.row_files():
            yield from read_columns(path)

    def rows_digest(self) -> str:
        """Return the SHA-256 of all rows: equal for equal runs on a virtual clock."""
        digest = hashlib.sha256()
        for path in self.row_files():
            digest.update(path.name.encode() + b"\0")
            with open(path, "rb") as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
        return digest.hexdigest()

    def checkpoints(self) -> list[Path]:
        """Return the folders of the complete checkpoints, oldest first."""
        return checkpoint_folders(self.folder)


def _process_lives(status: RunStatus) -> bool:
    """Return whether the process that wrote ``status`` lives; elsewhere its heartbeat decides."""
    if status.host != socket.gethostname() or status.pid is None:
        return time.time() - status.heartbeat < HEARTBEAT_LOST_SECONDS
    return process_is_alive(status.pid)


def find_run(name: str, root: Path | None = None) -> Run:
    """Return a run by its folder, its name, or a beginning of its name that no other run has.

    The name may lack the digest. Raises UserError if there is no such run, or several.
    """
    root = root or data_folder() / "runs"
    for folder in (Path(name), root / name):
        if is_file(folder / RECORD):
            return Run(folder)

    known = {run.name: run for run in all_runs(root)}
    begins = [run for run_name, run in known.items() if name and run_name.startswith(name)]
    exact = [run for run in begins if run.name.rpartition("-")[0] == name]  # "e2-1", not "e2-10"
    found = exact or begins
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(run.name for run in found[:LISTED])
        if len(found) > LISTED:
            names += f" and {len(found) - LISTED} more"
        raise UserError(f"{name}: ambiguous: several runs start with this name: {names}")
    raise no_such("run", name, known)


def newest_run(name: str, root: Path | None = None) -> Run | None:
    """Return the run ``<name>-<digest>`` that was started last; None if there is none."""
    return next(iter(runs_called(name, RunFolders(root))), None)


class RunFolders:
    """The folders under ``root`` by the names of their runs, from one look at the disk."""

    def __init__(self, root: Path | None = None):
        self.root = root or data_folder() / "runs"
        self.by_name: dict[str, list[str]] = defaultdict(list)  # without the digest
        for folder in os.listdir(self.root) if self.root.is_dir() else []:
            self.by_name[folder.rpartition("-")[0]].append(folder)


def runs_called(name: str, folders: RunFolders | None = None) -> list[Run]:
    """Return the runs ``<name>-<digest>``, the one that was started last first.

    A caller with many names looks at the disk once, and gives the ``folders``.
    """
    folders = folders or RunFolders()
    named = [folders.root / folder / RECORD for folder in folders.by_name.get(name, ())]
    records = [path for path in named if is_file(path)]
    records.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [Run(path.parent) for path in records]


def all_runs(root: Path | None = None) -> list[Run]:
    """Return every run, by name."""
    root = root or data_folder() / "runs"
    return [Run(path.parent) for path in sorted(root.glob(f"*/{RECORD}"))]

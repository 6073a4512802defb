"""A run's directory: what it was, what it measured row by row, its checkpoints, and how it ended.

    settings.json            settings, corpus, parent run, versions of everything; written once
    status.json              state, process, heartbeat; rewritten whole
    rows-<process>.jsonl     one JSON object per line, append-only, one writer per file
    rows.parquet             all rows as one table, made when the run ends
    checkpoints/<step>/      safetensors and JSON, the manifest with SHA-256 digests last
    cluster.json             while it runs on a Dask cluster: address, dashboard, its own workers' processes
    summary.json             the numbers of `workbench table`
    log.txt                  what a person would have seen

There are no locks and no database: a reader tolerates a torn last line; a run whose process is gone shows as `lost`.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from workbench.processes import process_is_alive
from workbench.settings import Settings, UserError
from workbench.storage.rows import R, Row, read_columns, read_rows

if TYPE_CHECKING:
    import pandas as pd

HEARTBEAT_LOST_SECONDS = 30.0
CLUSTER = "cluster.json"
STOP = "stop"  # a file in a run's folder by which any process asks it to come to rest
DRIVER = "driver"  # the process that drives a run; what it reports is about the run, and is not undone with it
KEEP = 3  # checkpoints that are kept at least


def home() -> Path:
    """The data folder: ``WORKBENCH_DATA``, else ``data`` beside the package's checkout, else ``data`` here."""
    if os.environ.get("WORKBENCH_DATA"):
        return Path(os.environ["WORKBENCH_DATA"])
    checkout = Path(__file__).resolve().parents[2]
    return checkout / "data" if (checkout / "pyproject.toml").exists() else Path.cwd() / "data"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given."""
    write_atomically(
        path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=True) + "\n").encode()
    )


def read_json(path: Path) -> Any:
    """Read JSON; a missing or damaged file is a UserError that names it."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged: {error}") from None


class RunState(StrEnum):
    """How a run stands; the values are the words in status.json."""

    NEW = "new"  # the folder exists, nothing has been reported yet
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # came to rest at a checkpoint on request
    FAILED = "failed"
    DIVERGED = "diverged"
    LOST = "lost"  # status.json says running, but the process is gone or silent

    @property
    def active(self) -> bool:
        """Whether a process is working on the run, or is about to."""
        return self in (RunState.NEW, RunState.RUNNING)


@dataclass(frozen=True)
class RunStatus:
    """What status.json says, corrected by whether the process that wrote it is alive."""

    state: RunState = RunState.NEW
    pid: int | None = None
    host: str = ""
    heartbeat: float = 0.0  # seconds since the epoch at which the process last reported
    error: str = ""

    def __str__(self) -> str:
        return f"{self.state} ({self.error})" if self.error else str(self.state)


@dataclass(frozen=True)
class Run:
    """One run's directory; holding it open for writing is `Writer`'s business."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def record(self) -> dict[str, Any]:
        """settings.json: ``settings``, ``corpus``, ``parent``, ``versions``, ``command``."""
        return read_json(self.folder / "settings.json")

    @property
    def settings(self) -> Settings:
        return Settings.of(**self.record["settings"])

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json, or an empty dict while there is none."""
        path = self.folder / "summary.json"
        return read_json(path) if path.exists() else {}

    @property
    def cluster(self) -> dict[str, Any]:
        """cluster.json of a run that goes on: ``address``, ``dashboard``, ``workers`` (process ids); else empty."""
        path = self.folder / CLUSTER
        return read_json(path) if self.status().state == RunState.RUNNING and path.exists() else {}

    def update_summary(self, **values: Any) -> None:
        write_json(self.folder / "summary.json", {**self.summary, **values})

    def status(self) -> RunStatus:
        """How the run stands; NEW without a status.json, LOST if its process is gone or silent."""
        path = self.folder / "status.json"
        if not path.exists():
            return RunStatus()

        found = read_json(path)
        try:
            status = RunStatus(**{**found, "state": RunState(found["state"])})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: damaged: {error}") from None

        if status.state == RunState.RUNNING and not _is_alive(status):
            return replace(status, state=RunState.LOST)
        return status

    def row_files(self) -> list[Path]:
        """The files of rows, one per process, by name."""
        return sorted(self.folder.glob("rows-*.jsonl"))

    def row_file(self, process: str) -> Path:
        """The file to which ``process`` writes its rows."""
        name = process.replace(" ", "-").replace("/", "-")
        return self.folder / f"rows-{name}.jsonl"

    def rows(self, kind: type[R]) -> Iterator[R]:
        """The rows of one kind, file by file; ``Row``: of all kinds.

        A torn last line of a file is skipped; damage before it is a UserError.
        """
        for path in self.row_files():
            for row in read_rows(path):
                if isinstance(row, kind):
                    yield row

    def table(self, kind: type[Row] = Row) -> "pd.DataFrame":
        """The rows of one kind, by default of all kinds, as a table in order of time."""
        import pandas as pd

        found = [
            columns
            for path in self.row_files()
            for columns in read_columns(path)
            if kind is Row or columns.get("kind") == kind.kind
        ]
        frame = pd.DataFrame(found)
        order = [c for c in ("seconds", "process", "index") if c in frame]
        return frame.sort_values(order, kind="stable", ignore_index=True) if order else frame

    def rows_digest(self) -> str:
        """SHA-256 over every row of every process: equal for equal runs on a virtual clock."""
        digest = hashlib.sha256()
        for path in self.row_files():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def checkpoints(self) -> list[Path]:
        """Folders of complete checkpoints, oldest first."""
        found = (self.folder / "checkpoints").glob("[0-9]*/manifest.json")
        return sorted((p.parent for p in found), key=lambda p: int(p.name))


def _is_alive(status: RunStatus) -> bool:
    """Whether the process that wrote ``status`` lives, judged by its heartbeat on other machines."""
    if status.host != socket.gethostname() or status.pid is None:
        return time.time() - status.heartbeat < HEARTBEAT_LOST_SECONDS
    return process_is_alive(status.pid)


class Writer:
    """The one process that writes a run; a second one is refused while the first lives."""

    def __init__(self, run: Run):
        self.run = run
        self._lock = open(run.folder / ".writer", "w")  # noqa: SIM115 - held as long as the writer
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UserError(f"{run.folder}: another process is writing this run") from None
        self._files: dict[str, TextIO] = {}
        self._beat = 0.0
        self._cluster: dict[str, Any] = {}

    @classmethod
    def create(cls, root: Path, name: str, record: dict[str, Any]) -> "Writer":
        """A new run ``<name>-<digest of what it is>``; one that exists is never overwritten."""
        digest = hashlib.sha256(
            json.dumps(
                {k: record[k] for k in ("settings", "corpus", "parent")}, sort_keys=True
            ).encode()
        )
        folder = root / f"{name}-{digest.hexdigest()[:8]}"
        if (folder / "settings.json").exists():
            raise UserError(f"{folder}: this run exists; resume it, remove it, or give --name")
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        writer = cls(Run(folder))
        write_json(folder / "settings.json", record)
        return writer

    def emit(self, row: Row) -> None:
        """Append one row to the file of its process."""
        if row.process not in self._files:
            path = self.run.row_file(row.process)
            self._files[row.process] = open(path, "a", buffering=1 << 16)  # noqa: SIM115  kept open
        line = json.dumps(row.to_dict(), separators=(",", ":"))
        self._files[row.process].write(line + "\n")
        if time.monotonic() - self._beat > 0.5:
            self.flush()

    def flush(self) -> None:
        """Make rows visible to readers and renew the heartbeat."""
        for file in self._files.values():
            file.flush()
        self._beat = time.monotonic()
        self.write_status(RunState.RUNNING)

    def write_status(self, state: RunState, error: str = "") -> None:
        write_json(
            self.run.folder / "status.json",
            {
                "state": state,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "heartbeat": time.time(),
                "error": error,
            },
        )

    def log(self, line: str) -> None:
        with open(self.run.folder / "log.txt", "a") as out:
            out.write(line.rstrip("\n") + "\n")

    def checkpoint(self, step: int, files: dict[str, bytes]) -> Path:
        """Save ``files`` as checkpoint ``step``: synced, the manifest last; the oldest beyond KEEP are removed."""
        folder = self.run.folder / "checkpoints" / f"{step:010d}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomically(folder / name, data)
        manifest = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        }
        write_json(folder / "manifest.json", {"step": step, "files": manifest})
        for old in self.run.checkpoints()[:-KEEP]:
            (
                old / "manifest.json"
            ).unlink()  # first, so that what is left is never taken for a checkpoint
            shutil.rmtree(old)
        return folder

    def positions(self) -> dict[str, int]:
        """Bytes written to each process's file, for a checkpoint to go back to."""
        for file in self._files.values():
            file.flush()
        return {p.name: p.stat().st_size for p in self.run.folder.glob("rows-*.jsonl")}

    def rewind(self, positions: dict[str, int]) -> None:
        """Cut row files back to a checkpoint's positions, so that a run that goes on from it writes each row once.

        The driver's own rows stay: they tell how often that happened.
        """
        self._close_files()
        for path in self.run.folder.glob("rows-*.jsonl"):
            if path != self.run.row_file(DRIVER):
                os.truncate(path, positions.get(path.name, 0))

    def cluster(self, about: dict[str, Any]) -> None:
        """Say on what cluster the run is now, for other processes to look at."""
        if about != self._cluster:
            write_json(self.run.folder / CLUSTER, about)
            self._cluster = about

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def close(self, state: RunState, error: str = "") -> None:
        """End writing; the rows become one table."""
        self._close_files()
        (self.run.folder / CLUSTER).unlink(missing_ok=True)
        try:
            self._tabulate()
            self.write_status(state, error)
        finally:
            self._lock.close()

    def _tabulate(self) -> None:
        """All rows as one parquet table; lists become text."""
        rows = self.run.table()
        for column in rows.columns:
            if rows[column].map(lambda value: isinstance(value, list | dict)).any():
                rows[column] = rows[column].map(json.dumps)
        if len(rows):
            rows.to_parquet(self.run.folder / "rows.parquet")


def find_run(name: str, root: Path | None = None) -> Run:
    """A run by its folder, its name with or without digest, or a beginning of its name that only one has."""
    root = root or home() / "runs"
    for folder in (Path(name), root / name):
        if (folder / "settings.json").exists():
            return Run(folder)
    begin = (
        [p.parent for p in sorted(root.glob(f"{name}*/settings.json"))]
        if name and "/" not in name
        else []
    )
    found = [
        folder for folder in begin if folder.name.rpartition("-")[0] == name
    ] or begin  # "e2-1" is not "e2-10"
    if len(found) == 1:
        return Run(found[0])
    known = ", ".join(p.parent.name for p in sorted(root.glob("*/settings.json"))) or "none yet"
    raise UserError(f"{name}: {'several runs begin so' if found else 'no such run'}; runs: {known}")


def newest_run(name: str) -> Run | None:
    """Return the newest run called ``<name>-<digest>``, or None."""
    found = list((home() / "runs").glob(f"{name}-*/settings.json"))
    return Run(max(found, key=lambda path: path.stat().st_mtime).parent) if found else None


def all_runs(root: Path | None = None) -> list[Run]:
    """Every run, by name."""
    return [Run(p.parent) for p in sorted((root or home() / "runs").glob("*/settings.json"))]

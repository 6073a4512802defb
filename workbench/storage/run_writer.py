"""The writer of a run's directory; see `workbench.storage.run` for what lies in it."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from workbench.settings import UserError, check_name
from workbench.storage.checkpoints import write_checkpoint
from workbench.storage.files import (
    make_private_folder,
    name_file,
    naming,
    open_like_folder,
    write_json,
)
from workbench.storage.lock import LockHeld, hold_lock
from workbench.storage.row_tables import write_table
from workbench.storage.rows import Row
from workbench.storage.run import (
    CLUSTER,
    DRIVER,
    RECORD,
    STATUS,
    TABLE,
    ClusterInfo,
    Run,
    RunRecord,
    RunState,
    RunStatus,
)

LOCK = ".writer"  # a file that the writer of a run holds locked
FLUSH_SECONDS = 0.5  # between two times at which rows become visible to readers
ROW_BUFFER = 1 << 16  # bytes


class RunExists(UserError):
    """A new run would be the same as one that is there: settings, corpus and start are equal."""

    def __init__(self, run: Run):
        state = run.status().state
        others = f"give another --name, or remove it: workbench runs delete {run.name}"
        if state is RunState.DONE:
            message = f"{run.name}: this run is done; {others}"
        else:
            goes_on = f"`workbench train --resume {run.name}` goes on with it"
            message = f"{run.name}: this run exists and is {state}; {goes_on}; or {others}"
        super().__init__(message)
        self.run = run


class RunWriter:
    """The one process that writes a run; a second one is refused while the first lives."""

    def __init__(self, run: Run):
        self.run = run

        self._lock = ExitStack()
        try:
            self._lock.enter_context(hold_lock(run.folder / LOCK, wait=False))
        except LockHeld as holder:
            raise UserError(f"{run.folder}: process {holder} is writing this run") from None
        self._files: dict[str, TextIO] = {}  # by process
        self._flushed = 0.0  # when, on the monotonic clock
        self._cluster: ClusterInfo | None = None

    @classmethod
    def create(cls, root: Path, name: str, record: RunRecord) -> "RunWriter":
        """Make a new run ``<name>-<digest of its record>`` in ``root``, or raise RunExists."""
        folder = root / f"{check_name('run', name)}-{record.digest[:8]}"
        if (folder / RECORD).exists():
            raise RunExists(Run(folder))
        make_private_folder(folder)
        make_private_folder(folder / "checkpoints")
        writer = cls(Run(folder))
        write_json(folder / RECORD, record.to_dict())
        return writer

    def emit(self, row: Row) -> None:
        """Append one row to the file of its process."""
        if row.process not in self._files:
            path = self.run.row_file(row.process)
            self._files[row.process] = open(  # noqa: SIM115  kept
                path, "a", buffering=ROW_BUFFER, opener=open_like_folder
            )
        line = json.dumps(row.to_dict(), separators=(",", ":"))
        try:  # for each row this costs less than `naming`
            self._files[row.process].write(line + "\n")
        except OSError as error:
            name_file(error, self.run.row_file(row.process))
            raise
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Make rows visible to readers and renew the heartbeat."""
        self._flush_rows()
        self._flushed = time.monotonic()
        self.write_status(RunState.RUNNING)

    def _flush_rows(self) -> None:
        for process, file in self._files.items():
            with naming(self.run.row_file(process)):
                file.flush()

    def write_status(self, state: RunState, error: str = "") -> None:
        """Write the state, with this process and the time."""
        status = RunStatus(state, os.getpid(), socket.gethostname(), time.time(), error)
        write_json(self.run.folder / STATUS, asdict(status))

    def log(self, line: str) -> None:
        """Append a line to log.txt."""
        with open(self.run.folder / "log.txt", "a", opener=open_like_folder) as out:
            out.write(line.rstrip("\n") + "\n")

    def checkpoint(self, step: int, files: Mapping[str, bytes]) -> Path:
        """Save ``files`` as checkpoint ``step``, remove the oldest, and return the folder."""
        return write_checkpoint(self.run.folder, step, files)

    def positions(self) -> dict[str, int]:
        """Return the bytes written to each file of rows, for a checkpoint to return to."""
        self._flush_rows()
        return {path.name: path.stat().st_size for path in self.run.row_files()}

    def rewind(self, positions: Mapping[str, int]) -> None:
        """Cut the files of rows back to a checkpoint's positions; a resumed run writes them again.

        The driver's own rows stay: they count how often that happened. Only one that a kill or a
        full disk has cut goes, since the next row would be written behind it.
        """
        self._close_files()
        for path in self.run.row_files():
            if path == self.run.row_file(DRIVER):
                end = path.read_bytes().rfind(b"\n") + 1
            else:
                end = positions.get(path.name, 0)
            os.truncate(path, end)

    def write_cluster(self, cluster: ClusterInfo) -> None:
        """Write on what cluster the run is now, for other processes to read."""
        if cluster != self._cluster:
            write_json(self.run.folder / CLUSTER, asdict(cluster))
            self._cluster = cluster

    def close(self, state: RunState, error: str = "") -> None:
        """Write the state and, unless the run was stopped, all rows as one table; end writing.

        A run that was stopped is resumed, and a table of a long run's rows takes longer than who
        stops it wants to wait. The state is written also where the rows cannot be, for example on
        a full disk.
        """
        try:
            self._close_files()
            (self.run.folder / CLUSTER).unlink(missing_ok=True)
            table = self.run.folder / TABLE
            if state == RunState.STOPPED:
                table.unlink(missing_ok=True)  # of a run that had failed before, and then went on
            else:
                write_table(table, self.run.columns)
        finally:
            try:
                self.write_status(state, error)
            finally:
                self._lock.close()

    def _close_files(self) -> None:
        """Close all files of rows; raises what the first one raised that could not be written."""
        with ExitStack() as closing:
            for process, file in self._files.items():
                closing.enter_context(naming(self.run.row_file(process)))
                closing.callback(file.close)
            self._files = {}


def is_being_written(run: Run) -> bool:
    """Return whether a process of this machine holds the run's lock."""
    path = run.folder / LOCK
    if not path.exists():
        return False

    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

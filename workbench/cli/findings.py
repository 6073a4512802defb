"""What is wrong, or left over, in a data folder and in the environment, and what to do about it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from workbench.prepare.corpus import Corpus, corpora_folder
from workbench.settings import UserError
from workbench.storage.checkpoints import checkpoint_folders, read_checkpoint
from workbench.storage.files import is_file, read_json_lines
from workbench.storage.home import data_folder
from workbench.storage.manifest import MANIFEST, read_manifest
from workbench.storage.records import read_record
from workbench.storage.run import CLUSTER, RECORD, STOP, ClusterInfo, Run, RunState
from workbench.sweeping.plan import plan_cells
from workbench.sweeping.spec import Sweep
from workbench.system.processes import process_is_alive

TEMPORARY = re.compile(r"\..+\.(?P<pid>[0-9]+)-[0-9]+\.tmp")
PARTIAL = ".partial"  # the end of the name of a corpus that is being aligned anew
BEGUN = "begun.json"


class FindingKind(StrEnum):
    """How bad a finding is."""

    DAMAGED = "damaged"  # data are lost or changed
    UNFINISHED = "unfinished"  # work that has stopped and can be resumed
    LEFTOVER = "left over"  # nothing needs it any more
    ENVIRONMENT = "environment"  # this machine or installation


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; ``leftover``: the file that may be removed."""

    kind: FindingKind
    where: str
    what: str
    advice: str
    leftover: Path | None = None

    def to_dict(self) -> dict[str, str]:
        """Return this for JSON."""
        return {"kind": self.kind, "where": self.where, "what": self.what, "advice": self.advice}


# --- one corpus, run or sweep


def corpus_findings(folder: Path, thorough: bool) -> Iterator[Finding]:
    """Yield what is wrong with a corpus; ``thorough``: by reading all of its files."""
    yield from _temporary_files(folder)
    corpus = Corpus(folder)
    check = corpus.verify if thorough else corpus.check_files
    yield from _damage(folder, check, "prepare the corpus again")


def run_findings(run: Run, thorough: bool) -> Iterator[Finding]:
    """Yield what is wrong with a run; ``thorough``: by reading all of its files."""
    damaged = list(_damage(run.folder, lambda: (run.record, run.status()), "train the run again"))
    yield from damaged
    yield from _temporary_files(run.folder)
    if damaged:
        return

    yield from _state_findings(run)
    yield from _unused_files(run)
    yield from _orphans(run)
    if thorough:
        yield from _checkpoint_findings(run)
        model = run.folder / "model"
        if model.exists():
            advice = f"resume it from a checkpoint: workbench train --resume {run.name}"
            yield from _damage(model, lambda: read_manifest(model).verify(), advice)
        for path in run.row_files():
            advice = "return to a checkpoint by resuming, or train the run again"
            yield from _damage(path, partial(_read_lines, path), advice)


def sweep_findings(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with a sweep's own files.

    A folder with cells alone is no sweep: several sweeps share what it has, for example their
    starts.
    """
    yield from _temporary_files(folder)
    if not is_file(folder / "sweep.json") and any(folder.glob("cell-*.json")):
        return
    advice = "mend the file, or remove it and describe the sweep again"
    yield from _damage(folder, lambda: plan_cells(Sweep.load(folder)), advice)


def _state_findings(run: Run) -> Iterator[Finding]:
    status = run.status()
    resume = f"workbench train --resume {run.name}"
    if status.state == RunState.LOST:
        what = f"its process {status.pid} on {status.host or 'this machine'} is gone"
        yield Finding(FindingKind.UNFINISHED, run.name, what, resume)
    elif status.state == RunState.NEW:
        yield Finding(FindingKind.UNFINISHED, run.name, "it never began", f"remove {run.folder}")
    elif status.state in (RunState.FAILED, RunState.DIVERGED, RunState.STOPPED):
        yield Finding(FindingKind.UNFINISHED, run.name, str(status), f"{resume}, or remove the run")


def _unused_files(run: Run) -> Iterator[Finding]:
    """Yield the requests and addresses of a run that nobody works on."""
    if run.status().state.active:
        return
    for name, what in ((STOP, "a request to stop"), (CLUSTER, "the address of a cluster")):
        path = run.folder / name
        if is_file(path):
            yield _leftover(path, f"{what}, but the run is not running")
    for folder in sorted((run.folder / "checkpoints").glob("[0-9]*")):
        if not is_file(folder / MANIFEST):
            yield _leftover(folder, "a checkpoint that was never completed")


def _orphans(run: Run) -> Iterator[Finding]:
    """Yield the workers that live although the process of their run is gone."""
    path = run.folder / CLUSTER
    status = run.status()
    if status.state == RunState.RUNNING or not is_file(path):
        return
    for name, pid in read_record(ClusterInfo, path).workers.items():
        if process_is_alive(pid) and _is_worker(pid):
            what = f"worker {name} still lives as process {pid}"
            yield Finding(FindingKind.LEFTOVER, run.name, what, f"end it: kill {pid}")


def _is_worker(pid: int) -> bool:
    """Whether the process is one of Dask: process ids are used again."""
    path = Path(f"/proc/{pid}/cmdline")
    return is_file(path) and b"multiprocessing" in path.read_bytes()


def _checkpoint_findings(run: Run) -> Iterator[Finding]:
    folders = checkpoint_folders(run.folder)
    for folder in folders:
        advice = "nothing, an older checkpoint is taken" if len(folders) > 1 else "train again"
        yield from _damage(folder, partial(read_checkpoint, folder), advice)


# --- the whole data folder


def data_findings() -> Iterator[Finding]:
    """Yield what is wrong with corpora, runs and sweeps, without reading large files."""
    home = data_folder()
    for folder in _folders(corpora_folder()):
        if is_file(folder / "corpus.json"):
            yield from corpus_findings(folder, thorough=False)
        else:
            yield from _unfinished_corpus(folder)
    for folder in _folders(home / "runs"):
        if is_file(folder / RECORD):
            yield from run_findings(Run(folder), thorough=False)
        else:
            yield _leftover(folder, f"a folder without {RECORD}, so no run")
    for folder in _folders(home / "sweeps"):
        yield from sweep_findings(folder)
    for name in ("reports", "logs", "machines"):
        yield from _temporary_files(home / name)


def _unfinished_corpus(folder: Path) -> Iterator[Finding]:
    if folder.name.endswith(PARTIAL):
        yield _leftover(folder, "an alignment that was interrupted")
    elif is_file(folder / BEGUN):
        advice = f"repeat the same `workbench prepare {folder.name}`, or remove {folder}"
        yield Finding(
            FindingKind.UNFINISHED, folder.name, "its preparation was interrupted", advice
        )
    else:
        yield Finding(FindingKind.DAMAGED, folder.name, "no corpus.json", f"remove {folder}")


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir())


# --- parts of the above


def _damage(where: Path, check: Callable[[], object], advice: str) -> Iterator[Finding]:
    """Yield the UserError of a check as a finding."""
    try:
        check()
    except UserError as error:
        yield Finding(FindingKind.DAMAGED, str(where), str(error), advice)
    except OSError as error:
        yield Finding(FindingKind.DAMAGED, str(where), f"cannot be read: {error}", advice)


def _temporary_files(folder: Path) -> Iterator[Finding]:
    """Yield files of writers that are gone; those of living processes are being written."""
    for path in sorted(folder.rglob(".*.tmp")):
        match = TEMPORARY.fullmatch(path.name)
        if match and not process_is_alive(int(match["pid"])):
            yield _leftover(path, "a file that was never completed; its writer is gone")


def _leftover(path: Path, what: str) -> Finding:
    return Finding(FindingKind.LEFTOVER, str(path), what, "workbench doctor --remove", path)


def _read_lines(path: Path) -> None:
    for _ in read_json_lines(path, growing=True):
        pass

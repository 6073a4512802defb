"""A run as one file for a colleague, with a digest of each file, which opening verifies.

The file is a zip archive. Its first member ``manifest.json`` holds the size and the SHA-256 of all
others, whose names are paths below the data folder: ``runs/<name>/...``, ``corpora/<name>/...``.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from workbench.archive.deletion import is_active
from workbench.archive.entry import files_below, size_text
from workbench.settings import UserError
from workbench.storage.files import FileRecord, FileWriter, make_private_folder
from workbench.storage.home import data_folder
from workbench.storage.manifest import MANIFEST
from workbench.storage.run import CLUSTER, RECORD, STOP, Run, find_run
from workbench.storage.run_writer import LOCK

FORMAT = "workbench runs 1"
KINDS = ("runs", "corpora")  # folders of the data folder of which a pack may hold parts
LEFT_OUT = (LOCK, STOP, CLUSTER)  # files that mean something only where the run was trained
CHUNK = 1 << 20  # bytes that are read at a time
TIME = (1980, 1, 1, 0, 0, 0)  # of every member, so that the same run makes the same file


@dataclass(frozen=True)
class Packed:
    """What a pack holds: names of runs and of corpora, and the bytes of their files."""

    runs: list[str]
    corpora: list[str]
    size: int


def lineage(run: Run) -> list[Run]:
    """Return the run and the runs that it came from, the oldest first."""
    runs = [run]
    while True:
        parent = runs[-1].record.parent
        name = (parent.run or parent.transfer) if parent else None
        if name is None:
            return runs[::-1]
        runs.append(find_run(name))


def pack(runs: Sequence[Run], out: Path, corpus: bool = False, checkpoints: bool = True) -> Packed:
    """Write runs, and the runs that they came from, into one file.

    ``corpus``: the corpora too, which decoding needs. ``checkpoints``: those too, which resuming
    needs. Raises UserError if one of the runs is running, or if ``out`` exists.
    """
    if out.exists():
        raise UserError(f"{out}: exists; choose another --out")
    every = {run.name: run for asked in runs for run in lineage(asked)}
    for run in every.values():
        if is_active(run):
            raise UserError(f"{run.name}: is running; pack it when it has ended or was stopped")

    sources: dict[str, Path] = {}
    for run in every.values():
        sources |= _members("runs", run.folder, checkpoints)
    trained_on = {run.record.corpus.name: run.record.corpus.place for run in every.values()}
    corpora = sorted(trained_on) if corpus else []
    for name in corpora:
        folder = trained_on[name]
        if not folder.is_dir():
            raise UserError(f"{folder}: no such corpus; pack the run without --with-corpus")
        sources |= _members("corpora", folder, checkpoints)

    records = {name: _file_record(path) for name, path in sources.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileWriter(out) as writer, zipfile.ZipFile(_ZipTarget(writer), "w") as archive:
        _write_members(archive, sources, records)
    return Packed(list(every), corpora, sum(record.bytes for record in records.values()))


class _ZipTarget:
    """A file that zipfile only appends to: without a way to seek it writes sizes behind data."""

    def __init__(self, writer: FileWriter):
        self._writer = writer

    def write(self, data: bytes) -> int:
        """Append ``data`` and return its length."""
        self._writer.write(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the writer syncs the file when it is complete."""

    def close(self) -> None:
        """Do nothing: the writer closes the file."""


def _members(kind: str, folder: Path, checkpoints: bool) -> dict[str, Path]:
    """Return the files of a run or a corpus by their names in the pack."""
    members = {}
    for path in files_below(folder):
        inside = path.relative_to(folder)
        temporary = path.name.startswith(".") or path.suffix == ".tmp"
        unwanted = inside.parts[0] == "checkpoints" and not checkpoints
        if path.name not in LEFT_OUT and not temporary and not unwanted:
            members[f"{kind}/{folder.name}/{inside.as_posix()}"] = path
    return members


def _file_record(path: Path) -> FileRecord:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(path.stat().st_size, digest)


def _write_members(
    archive: zipfile.ZipFile, sources: Mapping[str, Path], records: Mapping[str, FileRecord]
) -> None:
    files = {name: dataclasses.asdict(record) for name, record in records.items()}
    manifest = json.dumps({"format": FORMAT, "files": files}, indent=1)
    archive.writestr(_member(MANIFEST), manifest, zipfile.ZIP_DEFLATED)
    for name, path in sources.items():
        with open(path, "rb") as source, archive.open(_member(name), "w") as target:
            shutil.copyfileobj(source, target, CHUNK)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


# --- opening


def open_pack(path: Path) -> Packed:
    """Put the runs and corpora of a pack into the data folder, and return what was new.

    A run or corpus that is here already, with the same files, is left alone. Raises UserError, and
    changes nothing, if a file of the pack is damaged, or if something else has one of the names.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = _read_manifest(archive, path)
            return _open_members(archive, records, path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: damaged, or not a packed run: {error}") from None


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, FileRecord]:
    """Return the records of all files; UserError for another format or a name that leads away."""
    try:
        manifest = json.loads(archive.read(MANIFEST))
        if manifest["format"] != FORMAT:
            raise UserError(f"{path}: its format is {manifest['format']!r}, not {FORMAT!r}")
        records = {name: FileRecord(**record) for name, record in manifest["files"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a packed run: {error!r}") from None

    for name in records:
        parts = PurePosixPath(name).parts
        proper = len(parts) > 2 and parts[0] in KINDS and "/".join(parts) == name
        if not proper or any(part.startswith(".") or "\\" in part for part in parts):
            raise UserError(f"{path}: {name!r} is not a path of a run or a corpus")
    return records


def _open_members(
    archive: zipfile.ZipFile, records: Mapping[str, FileRecord], path: Path
) -> Packed:
    home = data_folder()
    folders = list(dict.fromkeys("/".join(name.split("/")[:2]) for name in records))
    new = [folder for folder in folders if not _is_here(home, folder, records)]
    wanted = {name: records[name] for name in records if "/".join(name.split("/")[:2]) in new}
    size = sum(record.bytes for record in wanted.values())
    free = shutil.disk_usage(home).free
    if size > free:
        raise UserError(f"{path}: needs {size_text(size)}, and {size_text(free)} are free")

    held = set(archive.namelist())
    missing = [name for name in wanted if name not in held]
    if missing:
        raise UserError(f"{path}: damaged: {missing[0]} is missing")

    partial = home / f"opening.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _make_folders(partial, wanted)
        for name, record in wanted.items():
            _extract(archive, name, record, partial / name, path)
        for folder in new:
            (home / folder).parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial / folder, home / folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

    by_kind = {kind: [f.split("/")[1] for f in new if f.startswith(f"{kind}/")] for kind in KINDS}
    return Packed(by_kind["runs"], by_kind["corpora"], size)


def _make_folders(partial: Path, names: Iterable[str]) -> None:
    """Make the folders of all members; those of runs are for their owner only, as in training."""
    make_private_folder(partial)
    folders = {folder for name in names for folder in PurePosixPath(name).parents}
    for folder in sorted(folders):  # a folder comes before those in it
        private = folder.parts[:1] == ("runs",)
        (partial / folder).mkdir(mode=0o700 if private else 0o777, exist_ok=True)


def _is_here(home: Path, folder: str, records: Mapping[str, FileRecord]) -> bool:
    """Return whether the folder exists with the same record; UserError if it is another one."""
    there = home / folder
    if not there.exists():
        return False

    mark = RECORD if folder.startswith("runs/") else "corpus.json"
    packed = records.get(f"{folder}/{mark}")
    same = packed is not None and (there / mark).exists() and _file_record(there / mark) == packed
    if not same:
        raise UserError(f"{there}: exists and is another one; rename or delete it first")
    return True


def _extract(archive: zipfile.ZipFile, name: str, record: FileRecord, to: Path, path: Path) -> None:
    """Write one member, never more of it than its record says, and check its digest."""
    with archive.open(name) as source, FileWriter(to) as writer:
        digest = _copy(source, writer, record.bytes)
        if digest != record.sha256:
            raise UserError(f"{path}: {name}: damaged: its SHA-256 is not the one in {MANIFEST}")


def _copy(source: IO[bytes], writer: FileWriter, most: int) -> str:
    """Copy at most ``most`` bytes; return their SHA-256, which is that of all only if all fit."""
    digest = hashlib.sha256()
    left = most + 1  # one more, so that a member that is too long has another digest
    while left and (data := source.read(min(CHUNK, left))):
        writer.write(data)
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()

"""Files that are written whole or not at all, JSON, and lines of JSON.

A file is written under a temporary name, synced and renamed, and then its folder is synced. So a
reader, or a crash, sees the old file or the new one, never a part of one.
"""

import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from workbench.settings import UserError

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None

_numbers = itertools.count()  # of temporary files, so that threads do not share one


@dataclass(frozen=True)
class FileRecord:
    """What a manifest holds about one file."""

    bytes: int
    sha256: str


class FileWriter:
    """A file that is written piece by piece and gets its name when it is complete.

    As a context manager it commits at the end of the block, and leaves nothing if the block raises.
    In a private folder the file is private too.
    """

    def __init__(self, path: Path):
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.tmp")

        self._file = open(self._part, "wb", opener=open_like_folder)  # noqa: SIM115
        self._bytes = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        with naming(self._path):
            self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def commit(self) -> FileRecord:
        """Sync the file and give it its name; return its size and SHA-256."""
        with naming(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self._path)
        sync_folder(self._path.parent)
        return FileRecord(self._bytes, self._digest.hexdigest())

    def discard(self) -> None:
        """Leave nothing behind; does nothing after ``commit``."""
        with suppress(OSError):  # of a full disk, for bytes that nobody wants any more
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name this file if it names none: writing does not."""
    try:
        yield
    except OSError as error:
        name_file(error, path)
        raise


def name_file(error: OSError, path: Path) -> None:
    """Let an error of the system be one of this file if it names none."""
    if error.errno is not None and error.filename is None:
        error.filename = str(path)


def open_like_folder(path: str, flags: int) -> int:
    """Open a file, for `open`; one that is made in a private folder is for its owner only."""
    others = os.stat(os.path.dirname(path) or ".").st_mode & 0o077
    return os.open(path, flags, 0o666 if others else 0o600)


def make_private_folder(path: Path) -> None:
    """Make a folder, unless there is one, that only its owner may enter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def write_file(path: Path, data: bytes) -> FileRecord:
    """Write all of ``data``; if that fails, the file stays as it was."""
    writer = FileWriter(path)
    try:
        writer.write(data)
        return writer.commit()
    finally:
        writer.discard()


def write_npy(path: Path, array: np.ndarray) -> FileRecord:
    """Write ``array`` as an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_file(path, buffer.getvalue())


def write_npz(path: Path, **arrays: np.ndarray) -> FileRecord:
    """Write ``arrays`` as a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
    return write_file(path, buffer.getvalue())


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_file(path: Path) -> bool:
    """Return whether there is such a file; a path that no file can have is no error."""
    return os.path.isfile(path)  # Path.is_file raises OSError for names that are too long


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, keys in the order given."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    write_file(path, f"{text}\n".encode())


def read_json(path: Path) -> Any:
    """Return the value in a file of JSON; UserError if it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged: {error}") from None


def read_json_lines(path: Path, growing: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield the number, from 1, and the value of each line of a file.

    ``growing``: another process appends to the file, so a last line without its end is left out.
    UserError names a damaged line.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if growing and not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line.decode())
                if b"\\ud" in line.lower():
                    json.dumps(value, ensure_ascii=False).encode()  # half a character is none
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: damaged: {error}") from None
            yield number, value

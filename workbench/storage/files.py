"""Writing files so that a reader sees all of one or nothing: temporary name, sync, rename; with size and digest."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]  # {"bytes": int, "sha256": str}, as in a manifest


class Stream:
    """A file that is written piece by piece and gets its name when it is complete."""

    def __init__(self, path: Path):
        self._path, self._bytes, self._digest = path, 0, hashlib.sha256()
        self._part = path.with_name(path.name + ".tmp")
        self._file = open(self._part, "wb")  # noqa: SIM115  closed by commit or discard

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def commit(self) -> Record:
        """Syncs and renames; its size and SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self._path)
        sync_folder(self._path.parent)
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def discard(self) -> None:
        """Leaves nothing behind; does nothing after ``commit``."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> Record:
    """All of ``data``, or, if anything goes wrong, the file as it was before."""
    stream = Stream(path)
    try:
        stream.write(data)
        return stream.commit()
    except BaseException:
        stream.discard()
        raise


def write_npy(path: Path, array: np.ndarray) -> Record:
    """``array`` as an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_file(path, buffer.getvalue())


def sync_folder(folder: Path) -> None:
    """Makes renames in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

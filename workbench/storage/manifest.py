"""manifest.json: the files that belong to a folder, with sizes and digests.

Frame stores, checkpoints and models have one. It is written last, so a folder without it is not
complete.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.settings import UserError
from workbench.storage.files import FileRecord, is_file, read_json, write_file

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The manifest of a folder.

    ``fields``: the whole JSON object except ``files``. ``advice`` ends every message about the
    folder, e.g. "prepare the corpus again".
    """

    folder: Path
    fields: Mapping[str, Any]
    files: Mapping[str, FileRecord]
    advice: str = ""

    def check_sizes(self) -> None:
        """Raise UserError that names the first file that is missing or has not its full size."""
        for name in self.files:
            self._check_size(name)

    def verify(self) -> None:
        """Read every file; raise UserError that names the first one that was changed."""
        self.check_sizes()
        for name in self.files:
            self.verify_file(name)

    def verify_file(self, name: str) -> None:
        """Read one file; raise UserError if it was changed."""
        self._check_size(name)
        if digest_file(self.folder / name) != self.files[name]:
            raise self._damaged(name)

    def _check_size(self, name: str) -> None:
        path = self.folder / name
        if not is_file(path):
            raise self.problem(name, "missing")
        size = path.stat().st_size
        if size != self.files[name].bytes:
            raise self.problem(name, f"{size} bytes where {self.files[name].bytes} were written")

    def read_file(self, name: str) -> bytes:
        """Return the contents of a file; UserError unless they are what was written."""
        path = self.folder / name
        record = self.files[name]
        if not path.exists():
            raise self.problem(name, "missing")
        data = path.read_bytes()
        if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
            raise self._damaged(name)
        return data

    def problem(self, name: str, what: str) -> UserError:
        """Return the error that a file of the folder is not as it should be."""
        advice = f"; {self.advice}" if self.advice else ""
        return UserError(f"{self.folder / name}: {what}{advice}")

    def _damaged(self, name: str) -> UserError:
        return self.problem(name, f"damaged: its SHA-256 is not the one in {MANIFEST}")


def digest_file(path: Path) -> FileRecord:
    """Return size and digest of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(file.tell(), digest)


def read_manifest(folder: Path, advice: str = "") -> Manifest:
    """Return the manifest of ``folder``; UserError if it is missing or damaged."""
    manifest = Manifest(folder, {}, {}, advice)
    if not (folder / MANIFEST).exists():
        raise manifest.problem(MANIFEST, "missing, so this folder is not complete")

    try:
        fields = dict(read_json(folder / MANIFEST))
        files = {name: FileRecord(**record) for name, record in fields.pop("files").items()}
    except UserError as error:
        raise UserError(f"{error}; {advice}" if advice else str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"damaged: {error!r}"
        raise manifest.problem(MANIFEST, what) from None
    return dataclasses.replace(manifest, fields=fields, files=files)


def write_manifest(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write the manifest of ``folder``, keys in the order given; its files must be on disk already.

    ``fields["files"]``: a FileRecord for each name.
    """
    files = {name: dataclasses.asdict(record) for name, record in fields["files"].items()}
    # The identity of a corpus is computed from these bytes, so their form must not change.
    write_file(folder / MANIFEST, json.dumps({**fields, "files": files}, indent=1).encode())

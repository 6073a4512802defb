"""The manifest of a frame store: what it holds, and its files with sizes and digests."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from workbench.storage.files import FileRecord
from workbench.storage.manifest import MANIFEST, Manifest, read_manifest, write_manifest

FORMAT = "workbench frames 1"
ADVICE = "prepare the corpus again"


@dataclass(frozen=True)
class StoreManifest:
    """What is known of a store before its files are opened.

    ``about``: how the features were made, any JSON object. ``alignment``: the name of the file with
    the alignment, None before there is one.
    """

    frames: int
    utterances: int
    about: dict[str, Any]
    files: Mapping[str, FileRecord]
    alignment: str | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest of a store; UserError if it is missing or of another version."""
        manifest = read_manifest(folder, ADVICE)
        fields = dict(manifest.fields)
        if fields.pop("format", None) != FORMAT:
            what = f"not the manifest of a frame store of this version ({FORMAT})"
            raise manifest.problem(MANIFEST, what)
        try:
            return cls(**fields, files=manifest.files)
        except TypeError as error:
            raise manifest.problem(
                MANIFEST, f"not the manifest of a frame store: {error}"
            ) from None

    def write(self, folder: Path) -> None:
        """Make ``folder`` a store with these files, which must be on disk already."""
        fields = {"format": FORMAT, **asdict(self), "files": self.files}
        if self.alignment is None:
            del fields["alignment"]
        write_manifest(folder, fields)

    def listing(self, folder: Path) -> Manifest:
        """The files of the store in ``folder``, for checks of sizes and digests."""
        return Manifest(folder, {}, self.files, ADVICE)

"""Checkpoints of a run: written whole, read if their digests match, passed over if not.

The manifest of a checkpoint names its step and its run, so that one that was copied from elsewhere
is found too.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.settings import UserError
from workbench.storage.files import is_file, make_private_folder, write_file
from workbench.storage.manifest import (
    MANIFEST,
    Manifest,
    digest_file,
    read_manifest,
    write_manifest,
)

RECORD = "settings.json"  # in a run's folder, written once; its digest names the run
FIRST_FIELDS = {"step"}  # of the manifests that had no run
FIELDS = {"step", "run"}
CHECKPOINTS_KEPT = 3  # newest checkpoints that are not removed


@dataclass(frozen=True)
class SavedCheckpoint:
    """The newest valid checkpoint, and a message about each newer one that is damaged."""

    folder: Path
    files: dict[str, bytes]
    damage: list[str]


def checkpoint_folders(run: Path) -> list[Path]:
    """Return the folders of the complete checkpoints of the run in folder ``run``, oldest first."""
    manifests = (run / "checkpoints").glob(f"[0-9]*/{MANIFEST}")
    return sorted((path.parent for path in manifests), key=lambda folder: int(folder.name))


def write_checkpoint(run: Path, step: int, files: Mapping[str, bytes]) -> Path:
    """Write ``files`` as checkpoint ``step`` and return its folder; old checkpoints are removed."""
    folder = run / "checkpoints" / f"{step:010d}"
    make_private_folder(folder)
    (folder / MANIFEST).unlink(missing_ok=True)  # a checkpoint that is written again is none yet
    records = {name: write_file(folder / name, data) for name, data in files.items()}
    write_manifest(folder, {"step": step, "run": _run_digest(run), "files": records})

    for old in checkpoint_folders(run)[:-CHECKPOINTS_KEPT]:
        (old / MANIFEST).unlink()  # first, so that the rest is never taken for a checkpoint
        shutil.rmtree(old)
    return folder


def remove_newest_checkpoint(run: Path) -> None:
    """Remove the newest complete checkpoint of the run in folder ``run``, if there is one."""
    for newest in checkpoint_folders(run)[-1:]:
        (newest / MANIFEST).unlink()  # first, so that the rest is never taken for a checkpoint
        shutil.rmtree(newest)


def read_checkpoint(folder: Path) -> dict[str, bytes]:
    """Return the files of one checkpoint; UserError that names the first one that is damaged."""
    manifest = read_manifest(folder)
    _check_place(manifest)
    return {name: manifest.read_file(name) for name in manifest.files}


def _check_place(manifest: Manifest) -> None:
    """Raise UserError if the manifest is not that of a checkpoint with this step, of this run."""
    fields = manifest.fields
    if fields.keys() not in (FIELDS, FIRST_FIELDS):
        raise manifest.problem(MANIFEST, f"damaged: it has the fields {', '.join(fields)}")

    number = manifest.folder.name
    if fields["step"] != int(number):
        raise manifest.problem(MANIFEST, f"is of step {fields['step']}, in the folder of {number}")
    run = manifest.folder.parents[1]
    if "run" in fields and fields["run"] != _run_digest(run):
        raise manifest.problem(MANIFEST, f"is of another run than {run / RECORD}")


def _run_digest(run: Path) -> str:
    """Return the digest of the record of a run; empty if it has none."""
    return digest_file(run / RECORD).sha256 if is_file(run / RECORD) else ""


def latest_checkpoint(run: Path) -> SavedCheckpoint:
    """Return the newest valid checkpoint of a run's folder; UserError if there is none."""
    damage: list[str] = []
    for folder in reversed(checkpoint_folders(run)):
        try:
            return SavedCheckpoint(folder, read_checkpoint(folder), damage)
        except UserError as error:
            damage.append(str(error))
    raise UserError("; ".join([f"{run}: no valid checkpoint", *damage]))

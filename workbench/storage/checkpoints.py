"""Checkpoints of a run: written whole, read if their digests match, passed over if not."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.settings import UserError
from workbench.storage.files import write_file
from workbench.storage.manifest import MANIFEST, read_manifest, write_manifest

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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # a checkpoint that is written again is none yet
    records = {name: write_file(folder / name, data) for name, data in files.items()}
    write_manifest(folder, {"step": step, "files": records})

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
    return {name: manifest.read_file(name) for name in manifest.files}


def latest_checkpoint(run: Path) -> SavedCheckpoint:
    """Return the newest valid checkpoint of a run's folder; UserError if there is none."""
    damage: list[str] = []
    for folder in reversed(checkpoint_folders(run)):
        try:
            return SavedCheckpoint(folder, read_checkpoint(folder), damage)
        except UserError as error:
            damage.append(str(error))
    raise UserError("; ".join([f"{run}: no valid checkpoint", *damage]))

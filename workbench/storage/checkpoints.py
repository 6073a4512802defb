"""Checkpoints of a run as `store.Writer` has left them: read if their digests match, passed over if not."""

import hashlib
from pathlib import Path

from workbench.settings import UserError
from workbench.storage.run import Run, read_json


def read_checkpoint(folder: Path) -> dict[str, bytes]:
    """The files of one checkpoint; a digest that does not match is a UserError that names the file."""
    manifest = read_json(folder / "manifest.json")
    files = {}
    for name, entry in manifest["files"].items():
        path = folder / name
        data = path.read_bytes() if path.exists() else b""
        if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise UserError(f"{path}: damaged: its SHA-256 is not the one in the manifest")
        files[name] = data
    return files


def latest_checkpoint(run: Run) -> tuple[Path, dict[str, bytes], list[str]]:
    """The newest valid checkpoint, its files, and one line for each newer one that was damaged."""
    damage: list[str] = []
    for folder in reversed(run.checkpoints()):
        try:
            return folder, read_checkpoint(folder), damage
        except UserError as error:
            damage.append(str(error))
    raise UserError(
        f"{run.folder}: no valid checkpoint" + ("; " + "; ".join(damage) if damage else "")
    )

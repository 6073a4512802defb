"""The manifest of a frame store: which files belong to it, with sizes and digests. Written last, it is the commit."""

import json
from pathlib import Path
from typing import Any

from workbench.settings import UserError
from workbench.storage.files import write_file

FORMAT = "workbench frames 1"
FIELDS = {"about": dict, "frames": int, "utterances": int, "files": dict}
AGAIN = "prepare the corpus again"


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of a store; UserError if it is missing or not one of ours."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path}: missing, so this store of frames is not complete; {AGAIN}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {AGAIN}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(
            f"{path}: not the manifest of a frame store of this version ({FORMAT}); {AGAIN}"
        )
    if not all(isinstance(manifest.get(name), kind) for name, kind in FIELDS.items()):
        raise UserError(f"{path}: lacks one of {', '.join(FIELDS)}; {AGAIN}")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Commits a store; what the manifest names must be on disk already."""
    write_file(folder / "manifest.json", json.dumps(manifest, indent=1).encode())


def check_sizes(folder: Path, manifest: dict[str, Any]) -> None:
    """UserError that names the first file that is missing or has not its full size."""
    for name, record in manifest["files"].items():
        path = folder / name
        try:
            found = path.stat().st_size
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; {AGAIN}") from None
        if found != record["bytes"]:
            raise UserError(f"{path}: {found} bytes where {record['bytes']} were written; {AGAIN}")

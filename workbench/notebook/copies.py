"""The user's own copies of the notebooks.

Notebooks that are opened change, and those of the checkout belong to git. So `workbench lab` opens
copies in the data folder, which keep what the user writes when newer notebooks come.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from workbench.storage.files import read_json, write_file, write_json

RECORD = "originals.json"  # digests of the notebooks as they were copied, by name
LINKS = ("](../data/results/", "](results/")  # of the checkout, and of the copies


@dataclass(frozen=True)
class Copies:
    """The folder of copies, and the names of newer notebooks beside those that were edited."""

    folder: Path
    beside: tuple[str, ...]


def copy_notebooks(checkout: Path, data: Path) -> Copies:
    """Copy the notebooks of a checkout into the data folder, with the results that they show.

    A copy that was only run follows its original. Beside one that was edited the newer original
    stands as ``NAME-new.ipynb``, which follows the original too until it is edited; then the next
    one is ``NAME-new-2.ipynb``, and so on.
    """
    folder = data / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(checkout / "notebooks" / "images", folder / "images", dirs_exist_ok=True)
    # Not into data/results, where the user's own studies keep their rows.
    results = checkout / "data" / "results"
    if results.is_dir():
        shutil.copytree(results, folder / "results", dirs_exist_ok=True)

    record = folder / RECORD
    copied: dict[str, str] = read_json(record) if record.exists() else {}
    beside = []
    for original in sorted((checkout / "notebooks").glob("*.ipynb")):
        text = original.read_text().replace(*LINKS)
        before = copied.get(original.name)
        digest = source_digest(text)
        if _write_unless_edited(folder / original.name, text, before):
            copied[original.name] = digest
        elif digest != before:
            newer = _write_beside(folder, original.stem, text, copied)
            copied[newer] = digest
            beside.append(newer)

    write_json(record, copied)
    return Copies(folder, tuple(beside))


def _write_beside(folder: Path, stem: str, text: str, copied: dict[str, str]) -> str:
    """Write a newer notebook beside an edited one; return the name of the one that has it.

    One that the user has edited since it was written with ``text`` has it already; others that were
    edited are passed over.
    """
    digest = source_digest(text)
    newer = f"{stem}-new.ipynb"
    number = 1
    while not _write_unless_edited(folder / newer, text, copied.get(newer)):
        if copied.get(newer) == digest:
            break
        number += 1
        newer = f"{stem}-new-{number}.ipynb"

    return newer


def _write_unless_edited(copy: Path, text: str, before: str | None) -> bool:
    """Write a copy unless the user has edited it; return whether it says what ``text`` says.

    ``before``: the digest of the copy as it was written last.
    """
    if copy.exists():
        current = source_digest(copy.read_text())
        if current == source_digest(text):
            return True
        if current != before:
            return False

    write_file(copy, text.encode())
    return True


def source_digest(text: str) -> str:
    """Return the digest of what the cells of a notebook say, whatever they have put out."""
    import nbformat  # which takes a second

    cells = nbformat.reads(text, 4).cells
    sources = [(cell.cell_type, cell.source) for cell in cells]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()

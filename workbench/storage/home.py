"""Where corpora, runs, sweeps and reports are kept."""

import os
import sys
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    """Return the folder for all data.

    It is WORKBENCH_DATA if that is set, ``data`` in a checkout of the repository, else ``data`` in
    the current folder, which is made and reported once.
    """
    folder = _chosen_folder()
    if folder == Path.cwd() / "data":
        return _make_and_report(folder)
    return folder


def existing_data_folder() -> Path | None:
    """Return the folder for all data if it exists; nothing is made."""
    folder = _chosen_folder()
    return folder if folder.is_dir() else None


def _chosen_folder() -> Path:
    if os.environ.get("WORKBENCH_DATA"):
        return Path(os.environ["WORKBENCH_DATA"])
    if (CHECKOUT / "pyproject.toml").exists():
        return CHECKOUT / "data"
    return Path.cwd() / "data"


@cache
def _make_and_report(folder: Path) -> Path:
    if not folder.exists():
        folder.mkdir(parents=True)
        print(f"workbench: data are kept in {folder}; WORKBENCH_DATA overrides", file=sys.stderr)
    return folder

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
    if os.environ.get("WORKBENCH_DATA"):
        return Path(os.environ["WORKBENCH_DATA"])
    if (CHECKOUT / "pyproject.toml").exists():
        return CHECKOUT / "data"
    return _make_and_report(Path.cwd() / "data")


@cache
def _make_and_report(folder: Path) -> Path:
    if not folder.exists():
        folder.mkdir(parents=True)
        print(f"workbench: data are kept in {folder}; WORKBENCH_DATA overrides", file=sys.stderr)
    return folder

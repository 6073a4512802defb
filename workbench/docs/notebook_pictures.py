"""The pictures with which notebooks open, and how long each takes.

``python -m workbench.docs.notebook_pictures`` runs the notebooks one after the other in real
kernels, keeps the first picture of each beside them, and writes the time of each to a file.
"""

import argparse
import base64
import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat

from workbench.storage.files import read_json, write_file, write_json
from workbench.storage.home import CHECKOUT

NOTEBOOKS = CHECKOUT / "notebooks"
TIMES = "times.json"
LONGEST_CELL_SECONDS = 7200


class Execution(NamedTuple):
    """What running a notebook gave: its first picture as PNG, or nothing, and processor time."""

    picture: bytes
    seconds: float


def execute(path: Path) -> Execution:
    """Run a notebook in a kernel of its own, in the folder of notebooks."""
    from nbclient import NotebookClient

    before = _children_seconds()
    client = NotebookClient(
        nbformat.read(path, 4),
        timeout=LONGEST_CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    executed = client.execute()

    return Execution(first_picture(executed), _children_seconds() - before)


def first_picture(notebook: nbformat.NotebookNode) -> bytes:
    """Return the first picture among the outputs of a notebook; empty without one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            encoded = output.get("data", {}).get("image/png")
            if encoded:
                return base64.b64decode(encoded)
    return b""


def _children_seconds() -> float:
    """Return the processor time of all kernels that have ended, with their own children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(words: Sequence[str] | None = None) -> None:
    """Run the notebooks that the command line names, by default all."""
    parser = argparse.ArgumentParser(prog="python -m workbench.docs.notebook_pictures")
    parser.add_argument("notebooks", nargs="*", type=Path, help="by default all")
    parser.add_argument("--size", default="smoke", help="of the laboratory (default: smoke)")
    options = parser.parse_args(words)

    os.environ["WORKBENCH_SIZE"] = options.size
    images = NOTEBOOKS / "images"
    for path in options.notebooks or sorted(NOTEBOOKS.glob("*.ipynb")):
        found = execute(path)
        if found.picture:
            write_file(images / f"{path.stem}.png", found.picture)

        file = images / TIMES
        times = read_json(file) if file.exists() else {}
        times[path.stem] = {"size": options.size, "processor_seconds": round(found.seconds)}
        write_json(file, dict(sorted(times.items())))
        print(f"{path.stem}: {found.seconds:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()

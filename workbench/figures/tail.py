"""What a run has written since the last look: each row is read once, however long the run."""

import json
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.storage.run import DRIVER, Run

MOST = 4000  # rows of one kind that are kept; evaluations are kept all


class Tail:
    """The rows of a run that is being written, by kind, the newest ``most`` of each."""

    def __init__(self, run: Run, most: int = MOST):
        self.run, self.most = run, most
        self.begin()

    def begin(self) -> None:
        """Forget all: a resumed run cuts its files back."""
        self.read_to: dict[Path, int] = {}
        self.rows: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=self.most))
        self.rows["evaluate"] = deque()
        self.total: dict[str, int] = defaultdict(int)
        self.counts: dict[str, dict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )  # by process and kind
        self.heard: dict[str, float] = {}  # seconds of the newest row, by process

    def read(self) -> bool:
        """Read on; whether there was anything new.

        A run that went back to a checkpoint has cut its files, which may have grown again since: the driver says so
        before they do, and is therefore looked at after and read before them.
        """
        driver, recoveries = self.run.folder / f"rows-{DRIVER}.jsonl", self.total["recovery"]
        paths = sorted(self.run.folder.glob("rows-*.jsonl"), key=lambda path: path == driver)
        sizes = {path: path.stat().st_size for path in paths}
        new = self._read(driver) if driver in sizes else 0
        cut = any(
            sizes.get(path, 0) < position
            for path, position in self.read_to.items()
            if path != driver
        )
        if cut or self.total["recovery"] > recoveries:
            self.begin()
        return (
            new
            + sum([self._read(path) for path in paths if sizes[path] > self.read_to.get(path, 0)])
            > 0
        )

    def _read(self, path: Path) -> int:
        """The whole lines that were added to one file; a torn last one is left for the next look."""
        with open(path, "rb") as file:
            file.seek(self.read_to.get(path, 0))
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        for line in whole.splitlines():
            row = json.loads(line)
            self.rows[row["kind"]].append(row)
            self.total[row["kind"]] += 1
            self.counts[row.get("process", "")][row["kind"]] += 1
            self.heard[row.get("process", "")] = row["seconds"]
        self.read_to[path] = self.read_to.get(path, 0) + len(whole)
        return len(whole)

    def table(self, *kinds: str) -> pd.DataFrame:
        """The rows of these kinds in order of time."""
        frame = pd.DataFrame([row for kind in kinds for row in self.rows[kind]])
        return (
            frame.sort_values("seconds", kind="stable", ignore_index=True) if len(frame) else frame
        )

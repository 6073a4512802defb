"""The rows of a run that is being written; each row is read once, however long the run."""

import json
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.storage.run import DIVERGENCE, DRIVER, Run

MOST_ROWS = 4000  # of one kind that are kept; all evaluations are kept


class Tail:
    """The newest ``most`` rows of each kind of a run that is being written, and their number.

    ``rows`` and ``total`` are by kind, ``counts`` by process and kind; ``heard`` holds the time of
    the newest row of each process in seconds of the run's clock.
    """

    rows: dict[str, deque[dict[str, Any]]]
    total: dict[str, int]
    counts: dict[str, dict[str, int]]
    heard: dict[str, float]

    def __init__(self, run: Run, most: int = MOST_ROWS):
        self.run = run
        self.most = most
        self.begin()

    def begin(self) -> None:
        """Forgets all rows, because a resumed run cuts its files back."""
        self._positions: dict[Path, int] = {}
        self.rows = defaultdict(lambda: deque(maxlen=self.most))
        self.rows["evaluate"] = deque()
        self.total = defaultdict(int)
        self.counts = defaultdict(lambda: defaultdict(int))
        self.heard = {}

    def read(self) -> bool:
        """Reads the rows that were added since the last call; returns whether there were any.

        A run that went back to a checkpoint has cut its files, which may have grown again since.
        That is reported before they grow. Therefore the sizes of all other files are taken before
        those of the reports, and these are read before the others.
        """
        driver = self.run.row_file(DRIVER)
        reports = (self.run.row_file(DIVERGENCE), driver)
        paths = sorted(self.run.row_files(), key=lambda path: path in reports)
        sizes = {path: path.stat().st_size for path in paths}

        before = self._returns
        cut = self._was_cut(sizes, driver)
        added = sum(self._read_file(path) for path in reports if path in sizes)
        if cut or self._returns > before:
            self.begin()

        for path in paths:
            if sizes[path] > self._positions.get(path, 0):
                added += self._read_file(path)

        return added > 0

    @property
    def _returns(self) -> int:
        """How often the run went back to a checkpoint, as far as it was read."""
        return self.total["recovery"] + self.total["divergence"]

    def _was_cut(self, sizes: dict[Path, int], driver: Path) -> bool:
        return any(
            sizes.get(path, 0) < position
            for path, position in self._positions.items()
            if path != driver
        )

    def _read_file(self, path: Path) -> int:
        """Reads the whole lines that were added to a file, not a torn one; returns their bytes."""
        position = self._positions.get(path, 0)
        with open(path, "rb") as file:
            file.seek(position)
            added = file.read()

        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._add(json.loads(line))

        self._positions[path] = position + len(whole)
        return len(whole)

    def _add(self, row: dict[str, Any]) -> None:
        kind = row["kind"]
        process = row.get("process", "")
        self.rows[kind].append(row)
        self.total[kind] += 1
        self.counts[process][kind] += 1
        self.heard[process] = row["seconds"]

    def table(self, *kinds: str) -> pd.DataFrame:
        """Returns the rows of these kinds in order of time."""
        rows = [row for kind in kinds for row in self.rows[kind]]
        table = pd.DataFrame(rows)
        if rows:
            table = table.sort_values("seconds", kind="stable", ignore_index=True)
        return table

"""The rows of a run that is being written; each row is read once, however long the run."""

import heapq
import json
import re
from collections import defaultdict, deque
from pathlib import Path

import pandas as pd

from workbench.settings import UserError
from workbench.storage.files import Json
from workbench.storage.rows import (
    DecodeRow,
    DivergenceRow,
    EvaluateRow,
    PushRow,
    R,
    RecoveryRow,
    Row,
)
from workbench.storage.run import DIVERGENCE, DRIVER, Run

PIECE = 1 << 20  # bytes that are read at once
BEGINNING = re.compile(  # of a row as a run writes it
    rb'\{"process":"(?P<process>[\w /.-]*)",'
    rb'"seconds":(?P<seconds>[0-9.e+-]+),'
    rb'"kind":"(?P<kind>\w+)"'
)
MOST_ROWS = 4000  # of one kind that are kept; all evaluations are kept

Columns = dict[str, Json]  # of a row, as it was written


class Tail:
    """The newest ``most`` rows of each kind of a run that is being written, and their number.

    ``total`` is by kind, ``counts`` by process and kind; ``heard`` holds the time of the newest row
    of each process in seconds of the run's clock.
    """

    total: dict[str, int]
    counts: dict[str, dict[str, int]]
    heard: dict[str, float]

    def __init__(self, run: Run, most: int = MOST_ROWS):
        self.run = run
        self.most = most
        self.begin()

    def begin(self) -> None:
        """Forget all rows, because a resumed run cuts its files back."""
        self._positions: dict[Path, int] = {}
        self._new: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=self.most))
        self._new[EvaluateRow.kind] = deque()
        self._rows: dict[str, deque[Row]] = defaultdict(lambda: deque(maxlen=self.most))
        self._rows[EvaluateRow.kind] = deque()
        self.total = defaultdict(int)
        self.counts = defaultdict(lambda: defaultdict(int))
        self.heard = {}

    def read(self) -> bool:
        """Read the rows that were added since the last call; return whether there were any.

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

        self._take_new()
        return added > 0

    @property
    def evaluations(self) -> list[EvaluateRow]:
        """All measurements."""
        return self._of(EvaluateRow)

    @property
    def pushes(self) -> list[PushRow]:
        """The newest pushes."""
        return self._of(PushRow)

    @property
    def decodes(self) -> list[DecodeRow]:
        """The newest utterances that were decoded."""
        return self._of(DecodeRow)

    @property
    def recoveries(self) -> list[RecoveryRow]:
        """The returns to a checkpoint after a loss."""
        return self._of(RecoveryRow)

    @property
    def divergences(self) -> list[DivergenceRow]:
        """The returns to a checkpoint after a divergence."""
        return self._of(DivergenceRow)

    @property
    def returns(self) -> list[RecoveryRow | DivergenceRow]:
        """All returns to a checkpoint in order of time, those of one cause as they were written."""
        both = (self.recoveries, self.divergences)
        return list(heapq.merge(*both, key=lambda row: row.seconds))

    def _of(self, kind: type[R]) -> list[R]:
        return [row for row in self._rows[kind.kind] if isinstance(row, kind)]

    def _take_new(self) -> None:
        """Make rows of the newest lines; of those that are not kept, only the number counts."""
        for kind, lines in self._new.items():
            for line in lines:
                try:
                    self._rows[kind].append(Row.from_dict(json.loads(line)))
                except (TypeError, ValueError, RecursionError) as error:
                    raise UserError(f"{self.run.name}: damaged row: {error}") from None
            lines.clear()

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
        """Read the whole lines that were added to a file, not a torn one; return their bytes.

        Rows are counted by their beginning. Only those that are kept are taken apart, so that a
        file of millions of rows takes neither their time nor their memory.
        """
        position = self._positions.get(path, 0)
        added = 0
        rest = b""
        with open(path, "rb") as file:
            file.seek(position)
            while piece := file.read(PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._add(line)
                added += sum(map(len, lines)) + len(lines)

        self._positions[path] = position + added
        return added

    def _add(self, line: bytes) -> None:
        begins = BEGINNING.match(line)
        if begins is None:
            columns: Columns = json.loads(line)
            kind = str(columns["kind"])
            process = str(columns.get("process", ""))
            seconds = columns["seconds"]
        else:
            kind = begins["kind"].decode()
            process = begins["process"].decode()
            seconds = float(begins["seconds"])

        self._new[kind].append(line)
        self.total[kind] += 1
        self.counts[process][kind] += 1
        self.heard[process] = float(seconds) if isinstance(seconds, int | float) else 0.0

    def table(self, *kinds: type[Row]) -> pd.DataFrame:
        """Return the kept rows of these kinds in order of time, a column per field."""
        rows = [row.to_dict() for kind in kinds for row in self._rows[kind.kind]]
        table = pd.DataFrame(rows)
        if rows:
            table = table.sort_values("seconds", kind="stable", ignore_index=True)
        return table

"""Writing what a run measures: rows per second, the table at the end, a checkpoint, and what they
cost the run.

    PYTHONPATH=tests python -m benchmarks.bench_store [--rounds 5] [--rows 20000]

* rows: one JSON line each, appended; peer: the same rows into sqlite3, committed twice a second as
  ours are flushed; limit: json.dumps alone.
* live view: reading the new rows of a run while it is written (workbench.figures.tail).
* closing: all rows as one Parquet table.
* a checkpoint of the paper's network: synced to the disk and digested; limit: writing and syncing
  one file.

"Cost" is the share of a step of the paper's network at batch 32 (10 ms) for what comes with every
push, and of the time between two checkpoints (half an epoch of an hour of audio) for a checkpoint.
Wall time, for disks take part.
"""

import argparse
import itertools
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.rounds import medians, peak_megabytes, print_heading, print_row

from workbench.figures.tail import Tail
from workbench.settings import Settings
from workbench.storage.rows import OuterAge, PushRow
from workbench.storage.run import CorpusIdentity, Run, RunRecord, RunState
from workbench.storage.run_writer import RunWriter
from workbench.training import Checkpoint, ServerState, pack

STEP_SECONDS = 0.010
CHECKPOINT_SECONDS = 0.5 * 360_000 / 32 * STEP_SECONDS  # between two, for an hour of audio
PARAMETERS = 1040 * 1024 + 3 * 1024**2 + 1024 * 2400 + 4 * 1024 + 2400
RECORD = RunRecord(Settings().to_dict(), CorpusIdentity("c", "d"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    print_heading("what", "ms", "a second", "x the peer", "of the limit", "cost")
    with TemporaryDirectory() as folder:
        rows_written(Path(folder), options.rows, options.rounds)
        checkpoints(Path(folder), options.rounds)
    print(f"\nPeak memory: {peak_megabytes():.0f} MB.")


def rows_written(folder: Path, count: int, rounds: int) -> None:
    rows = [push(i) for i in range(count)]
    columns = [each.to_dict() for each in rows]
    writers: list[RunWriter] = []
    names = itertools.count()

    def ours() -> None:
        writer = RunWriter.create(folder, f"run{next(names)}", RECORD)
        for each in rows:
            writer.emit(each)
        writer.flush()
        writers.append(writer)

    def sqlite() -> None:
        (folder / "rows.sqlite").unlink(missing_ok=True)
        with sqlite3.connect(folder / "rows.sqlite") as database:
            database.execute("create table rows (process text, row text)")
            committed = time.monotonic()
            for each in columns:
                database.execute(
                    "insert into rows values (?, ?)", (each["process"], json.dumps(each))
                )
                if time.monotonic() - committed > 0.5:
                    database.commit()
                    committed = time.monotonic()

    def dumped() -> None:
        for each in columns:
            json.dumps(each, separators=(",", ":"))

    ways: dict[str, Callable[[], object]] = {
        "rows": ours,
        "peer: sqlite3": sqlite,
        "limit: json.dumps": dumped,
        "live view": lambda: followed(writers[-1].run),
        "closing": lambda: writers.pop().close(RunState.DONE),
    }
    found = medians(ways, rounds, time.perf_counter, 0.0)
    for name, seconds in found.items():
        peer = f"{found['peer: sqlite3'] / seconds:.1f}" if name == "rows" else ""
        limit = f"{found['limit: json.dumps'] / seconds:.0%}" if name == "rows" else ""
        print_row(
            f"{name}, {count:,} rows",
            f"{1e3 * seconds:.1f}",
            f"{count / seconds:,.0f}",
            peer,
            limit,
            f"{seconds / count / STEP_SECONDS:.2%}",
        )
    for writer in writers:
        writer.close(RunState.DONE)


def followed(run: Run) -> int:
    """Read all rows as a live view reads the new ones; a benchmark needs a view that has seen
    nothing.
    """
    tail = Tail(run)
    tail.read()
    return sum(tail.total.values())


def push(i: int) -> PushRow:
    """A row of a replica's push."""
    outer = OuterAge(
        version=i - 101.3,
        version_min=i - 160,
        version_max=i - 40,
        staleness=101.3,
        staleness_min=40,
        staleness_max=160,
        seconds=1.0412,
        seconds_min=0.41,
        seconds_max=1.62,
    )
    return PushRow(
        process=f"replica {i % 10}",
        seconds=0.01 * i,
        replica=i % 10,
        step=i // 10,
        status="applied",
        batch=32,
        version=i,
        versions=(i, i),
        inner_versions=(i - 9, i - 8),
        staleness_inner=8.5,
        inner_seconds=0.0873,
        skew=1,
        outer=outer,
        frames=213,
        idle_seconds=0.0,
    )


def checkpoints(folder: Path, rounds: int) -> None:
    theta = np.random.default_rng(0).standard_normal(PARAMETERS, np.float32)
    writer = RunWriter.create(folder, "saved", RECORD)
    state = Checkpoint(servers={"server 0": ServerState(theta)})
    steps = iter(range(10**6))

    def alone() -> None:
        with open(folder / "alone", "wb") as file:
            file.write(theta.data)
            file.flush()
            os.fsync(file.fileno())

    ways = {
        "a checkpoint": lambda: writer.checkpoint(next(steps), pack(state)),
        "limit: one file": alone,
    }
    found = medians(ways, rounds, time.perf_counter, 0.0)
    for name, seconds in found.items():
        share = found["limit: one file"] / seconds
        cost = seconds / CHECKPOINT_SECONDS
        size = theta.nbytes / 1e6
        print_row(
            f"{name}, {size:.1f} MB",
            f"{1e3 * seconds:.0f}",
            f"{size / seconds:,.0f} MB",
            "",
            f"{share:.0%}",
            f"{cost:.2%}",
        )
    writer.close(RunState.DONE)


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s")

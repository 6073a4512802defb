"""Long runs, many runs and large sweeps: time and memory against their size.

    PYTHONPATH=tests python -m benchmarks.bench_load [--rows 100000 1000000] [--runs 1000]

Each line is a process of its own. Rows are those of pushes, as a run writes them; runs and cells
are made without training. "per 1,000" must stay the same as sizes grow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rounds import peak_megabytes, print_heading, print_row

PROCESSES = 8  # that write the rows
PARTS = ("close", "live", "summary", "runs", "plan", "results")
LINE = (
    '{"process":"replica %d","seconds":%.6f,"kind":"push","replica":%d,"step":%d,'
    '"status":"applied","batch":32,"version":%d,"versions":[%d,%d],"inner_versions":[%d,%d],'
    '"staleness_inner":1.0,"inner_seconds":0.01,"skew":0,"ce":12.5,"errors":3.0,"frames":32,'
    '"refused":0,"idle_seconds":0.0}\n'
)


def write_rows(folder: Path, count: int) -> None:
    """Write files of rows."""
    for process in range(PROCESSES):
        with open(folder / f"rows-replica-{process}.jsonl", "w") as out:
            for step in range(count // PROCESSES):
                version = step * PROCESSES + process
                versions = (version, version, version - 1, version - 1)
                out.write(LINE % (process, step * 0.01, process, step, version, *versions))


def a_run(rows: int):
    """A writer of a run that has so many rows."""
    from workbench.settings import Settings
    from workbench.storage.home import data_folder
    from workbench.storage.run import CorpusIdentity, RunRecord
    from workbench.storage.run_writer import RunWriter

    record = RunRecord(Settings().to_dict(), CorpusIdentity("c", "d"))
    writer = RunWriter.create(data_folder() / "runs", "load", record)
    write_rows(writer.run.folder, rows)
    return writer


def close(size: int):
    """Write all rows as one Parquet file."""
    from workbench.storage.run import RunState

    writer = a_run(size)
    return lambda: writer.close(RunState.DONE)


def live(size: int):
    """Look at a run from nothing."""
    from workbench.figures.tail import Tail

    run = a_run(size).run
    return lambda: Tail(run).read()


def summary(size: int):
    """Compute the summary of a run."""
    import numpy as np

    from workbench.runs.summary import summarise

    run = a_run(size).run
    return lambda: summarise(run, np.zeros(3, np.float32), size, size)


def runs(size: int):
    """List runs and make their table."""
    from fake_runs import fake_run

    from workbench.figures.tables import text_table
    from workbench.settings import Settings
    from workbench.storage.run import all_runs

    for number in range(size):
        fake_run(f"run-{number}-0", Settings(), steps=4)
    return lambda: text_table(all_runs())


def large_sweep(size: int):
    """A sweep with so many cells, all of them done."""
    from fake_runs import fake_run
    from fake_sweeps import small

    from workbench.sweeping.known_runs import run_name

    values = [0.001 * (1 + number) for number in range(size // 4)]
    axes = {"learning_rate": values, "shuffling": ["none", "full"]}
    sweep = small(axes=axes, seeds=[0, 1]).save()
    for cell in sweep.cells():
        fake_run(f"{run_name(sweep, cell)}-0", cell.settings, steps=4)
    return sweep


def plan(size: int):
    """Plan a sweep."""
    from workbench.sweeping import plan_cells

    sweep = large_sweep(size)
    return lambda: plan_cells(sweep)


def results(size: int):
    """Read the results of a sweep, over seeds."""
    from workbench.sweeping import read_results

    sweep = large_sweep(size)
    return lambda: read_results(sweep)


def measure(part: str, size: int) -> None:
    """Print processor seconds and megabytes of one part, as JSON."""
    act = globals()[part](size)
    before = peak_megabytes()
    began = time.process_time()
    act()
    print(json.dumps([time.process_time() - began, peak_megabytes() - before]))


def main() -> None:
    """Measure all parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--runs", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--cells", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--size", type=int)
    options = parser.parse_args()
    if options.size is not None:
        measure(options.part, options.size)
        return

    print_heading("what", "size", "processor s", "per 1,000", "MB more at most")
    for part in PARTS if options.part is None else (options.part,):
        sizes = {"runs": options.runs, "plan": options.cells, "results": options.cells}
        for size in sizes.get(part, options.rows):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "benchmarks.bench_load", "--part", part]
                ended = subprocess.run(
                    [*command, "--size", str(size)],
                    env={**os.environ, "WORKBENCH_DATA": folder},
                    check=True,
                    capture_output=True,
                    text=True,
                )
            seconds, megabytes = json.loads(ended.stdout.splitlines()[-1])
            per_thousand = f"{1e6 * seconds / size:.1f} ms"
            print_row(part, size, f"{seconds:.2f}", per_thousand, f"{megabytes:.0f}")


if __name__ == "__main__":
    main()

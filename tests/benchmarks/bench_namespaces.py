"""Is the cost clock true where links decide? A run on hosts with narrow links, foretold, measured.

    PYTHONPATH=.:tests python tests/benchmarks/bench_namespaces.py RUN [--replicas 1 2 3]

The hosts are network namespaces (`tests/namespaces.py`; root only), with TLS: one for Dask's
scheduler, one for the parameter server and the evaluator, one for each replica with its decoder.
The machine is that of `workbench calibrate RUN`, with links of the stated bandwidth. Pushes are
gradients, since the cost clock has no price for factors. Where links are narrow the processors
have little to do, so the comparison holds on a busy machine too. With `--slower` work takes so many
times as long on both, processes sleeping for the rest, and links are used for less of the time.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rounds import print_heading, print_row
from namespaces import cluster_of_hosts

from workbench.engine.dask import Cluster
from workbench.engine.machines import read_machine, write_machine
from workbench.runs.calibrate import calibrate
from workbench.runs.clock_check import ClockCheck, check_clock
from workbench.storage.run import Run, find_run

THREADS = 3
SERVER = 0  # the worker of the parameter server and of the evaluator


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--megabits", type=float, default=40.0)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=float, default=0.1)
    parser.add_argument("--slower", type=float, help="work takes so many times as long")
    options = parser.parse_args()
    run = find_run(options.run)
    with TemporaryDirectory() as folder:
        machine = machine_with_links(run, options.megabits, Path(folder))
        print_heading(
            "replicas",
            "updates/s foretold",
            "measured",
            "ratio",
            "inner s foretold",
            "measured",
            "KS",
            "inner updates foretold",
            "measured",
            "KS",
        )
        for count in options.replicas:
            with cluster_of_hosts(Path(folder), count + 1, THREADS, options.megabits) as made:
                cluster = Cluster(made.client, places=places(count))
                changes = {"epochs": options.epochs, "push": "gradient"}
                (check,) = check_clock(
                    run, machine, [count], changes, cluster=cluster, slower=options.slower
                )
            print_check(check)


def machine_with_links(run: Run, megabits: float, folder: Path) -> Path:
    """The file of this machine with links of so many Mbit/s."""
    path = calibrate(run, folder / "links.json", network=False)
    write_machine(replace(read_machine(path), byte=8 / (megabits * 1e6)), path)
    return path


def places(replicas: int) -> dict[str, int]:
    """The server on one host, each replica with its decoder on another."""
    chosen = {"server 0": SERVER, "evaluator": SERVER}
    for i in range(replicas):
        chosen |= dict.fromkeys([f"replica {i}", f"decoder {i}", f"decoded {i}"], i + 1)
    return chosen


def print_check(check: ClockCheck) -> None:
    """One row of the table."""
    ages = {age.name: age for age in check.ages}
    cells = [f"{check.replicas}", f"{check.predicted.updates:.3g}"]
    cells += [f"{check.measured.updates:.3g}", f"{check.ratio:.2f}"]
    for name in ("inner_seconds", "inner"):
        age = ages[name]
        cells += [f"{age.predicted.mean:.3g}", f"{age.measured.mean:.3g}"]
        cells += [f"{age.distance.kolmogorov_smirnov:.2f}"]
    print_row(*cells)


if __name__ == "__main__":
    main()

"""How much the links of the parameter server hold fifty replicas back, by shards and network.

    PYTHONPATH=.:tests python tests/benchmarks/bench_links.py

On machine `paper`: 1 Gbit/s in and out to each process and each shard. The toy of the staleness
explorer stands for speech (15 % of the frames are kept); its messages are as long as those of a
network of so many parameters. Updates per second are those of the first 60 % of the time, before
replicas run out of data; the load is that of the busiest link. All times are virtual, so the
figures are the same on every computer.
"""

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd
from benchmarks.rounds import print_heading, print_row

from workbench.engine import Cost, Local
from workbench.figures.timeline import link_load
from workbench.runs.toy import BYTE_AT_GIGABIT, SIZE, Exploration, makers, services, table_of
from workbench.storage.rows import Row

NETWORKS = {
    "2 x 128, 300 states (smoke)": 190_000,
    "3 x 512, 1,800 states (default)": 1_980_000,
    "4 x 1,024, 2,400 states (paper)": 6_670_000,
}
UTTERANCES_EACH = 20
STEADY = 0.6  # of the time


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    options = parser.parse_args()
    print_heading(
        "network", "replicas", "shards", "updates/s", "busiest link", "inner s", "outer s"
    )
    for name, parameters in NETWORKS.items():
        for replicas in options.replicas:
            for shards in options.shards:
                rows = simulate(parameters, replicas, shards)
                pushes = rows[rows.kind == "push"]
                until = STEADY * rows.seconds.max()
                print_row(
                    name,
                    f"{replicas}",
                    f"{shards}",
                    f"{np.count_nonzero(pushes.seconds < until) / until:.1f}",
                    f"{link_load(rows[rows.kind == 'usage']):.0%}",
                    f"{pushes.inner_seconds.mean():.2f}",
                    f"{pushes.outer_seconds.mean():.0f}",
                )


def simulate(parameters: int, replicas: int, shards: int) -> pd.DataFrame:
    """Rows of a run of the toy whose messages are those of so many parameters."""
    toy = Exploration(
        replicas=replicas, shards=shards, utterances=UTTERANCES_EACH * replicas, batch=32
    )
    machine = replace(toy.machine, byte=BYTE_AT_GIGABIT * parameters / SIZE)
    rows: list[Row] = []
    executor = Local(Cost(machine, toy.seed), toy.settings.asynchrony.channel)
    executor.run(makers(toy), services(toy), rows.append)
    return table_of(rows)


if __name__ == "__main__":
    main()

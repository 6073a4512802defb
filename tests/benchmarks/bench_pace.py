"""Is the cost clock true where processors are not scarce? Replicas that sleep, foretold, measured.

    PYTHONPATH=.:tests python tests/benchmarks/bench_pace.py [--replicas 1 2 3 4]

The toy of `workbench.runs.toy` on the clock of a machine, and on a local cluster at that machine's
pace: each piece of work is done in next to no time, and its process sleeps until the time is over
that the machine needs. So the components, queues, services and messages of the cluster are compared
with the clock, and processes need no core of their own. Decoders are as fast as replicas. Messages
take what they take between two workers here, which is measured before each row and given to the
clock. The parameter server is on one worker, everybody else on another.
"""

import argparse
from dataclasses import replace

import numpy as np
from benchmarks.rounds import print_heading, print_row

from workbench.engine.clocks import Cost
from workbench.engine.dask import Cluster, local_cluster
from workbench.engine.local import Local
from workbench.engine.machines import Machine, slower_machine
from workbench.metrics.distance import distance
from workbench.metrics.staleness import staleness
from workbench.runs.calibrate import measure_messages
from workbench.runs.clock_check import middle
from workbench.runs.toy import Exploration, makers, services
from workbench.storage.rows import PaceRow, PushRow, Row

WORKERS = 2  # the first one has the server
AGES = ("outer", "inner", "outer_seconds", "inner_seconds")


def exploration(replicas: int, utterances: int, seed: int) -> Exploration:
    """So many replicas with so many utterances each."""
    return Exploration(
        replicas=replicas,
        utterances=replicas * utterances,
        decoding=0.1,
        network=100.0,
        shards=1,
        seed=seed,
    )


def machine_here(wanted: Exploration, slower: float) -> Machine:
    """The exploration's machine, so many times slower, with the messages of this computer."""
    message = measure_messages()
    return replace(
        slower_machine(wanted.machine, slower),
        latency=message.message,
        byte=message.byte,
        network_jitter=0.0,
    )


def foretold(wanted: Exploration, machine: Machine) -> list[Row]:
    """The rows on the machine's clock."""
    rows: list[Row] = []
    executor = Local(Cost(machine, wanted.seed), wanted.settings.asynchrony.channel)
    executor.run(makers(wanted), services(wanted), rows.append)
    return rows


def measured(wanted: Exploration, machine: Machine) -> list[Row]:
    """The rows on a cluster at the machine's pace."""
    from distributed import Client

    rows: list[Row] = []
    threads = 2 * wanted.replicas + 1
    places = {f"server {i}": 0 for i in range(wanted.shards)} | dict.fromkeys(makers(wanted), 1)
    places |= {f"decoded {i}": 1 for i in range(wanted.replicas)}
    with local_cluster(WORKERS, threads) as made, Client(made) as client:
        cluster = Cluster(client, wanted.settings.asynchrony.channel, places)
        cluster = cluster.paced(Cost(machine, wanted.seed))
        cluster.run(makers(wanted), services(wanted), rows.append)
    return rows


def steady(rows: list[Row]) -> list[PushRow]:
    """The pushes that count."""
    return middle([row for row in rows if isinstance(row, PushRow)])


def rate(pushes: list[PushRow]) -> float:
    """Updates a second."""
    return (len(pushes) - 1) / (pushes[-1].seconds - pushes[0].seconds)


def print_comparison(wanted: Exploration, slower: float) -> None:
    """One row of the table."""
    machine = machine_here(wanted, slower)
    one = steady(foretold(wanted, machine))
    rows = measured(wanted, machine)
    other = steady(rows)
    late = sum(row.late_seconds for row in rows if isinstance(row, PaceRow))
    cells = [f"{wanted.replicas}", f"{len(other)}", f"{rate(one):.2f}", f"{rate(other):.2f}"]
    cells += [f"{rate(one) / rate(other):.3f}"]
    for name in AGES:
        ages = getattr(staleness(one), name)
        others = getattr(staleness(other), name)
        apart = distance(ages, others)
        cells.append(
            f"{np.nanmean(ages):.3g} / {np.nanmean(others):.3g}, "
            f"{apart.kolmogorov_smirnov:.2f}, {apart.wasserstein:.2g}"
        )
    print_row(*cells, f"{late:.1f}", f"{1000 * machine.latency:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--utterances", type=int, default=200, help="of each replica")
    parser.add_argument("--slower", type=float, default=1.0, help="than the paper's machine")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    columns = [f"{name}: foretold / measured, KS, Wasserstein" for name in AGES]
    print_heading(
        "replicas",
        "pushes",
        "updates/s foretold",
        "measured",
        "ratio",
        *columns,
        "late, s",
        "message, ms",
    )
    for replicas in options.replicas:
        wanted = exploration(replicas, options.utterances, options.seed)
        print_comparison(wanted, options.slower)


if __name__ == "__main__":
    main()

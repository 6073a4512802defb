"""Replicas that do nothing but exchange messages with one shard: links by turns, and links shared.

    PYTHONPATH=.:tests python tests/benchmarks/bench_shared_link.py

On the cost clock a link carries one message at a time. TCP gives all messages that meet on a link
an equal part of it. Here both are computed for the hosts of `bench_namespaces.py`: links of 40
Mbit/s, a model of 1.64 MB, a gradient of some milliseconds. Messages that meet share the link of
the shard, the only one on which they do. With shared links the outcome depends on when each
replica begins, so that is drawn, evenly over the time of one message.
"""

import argparse
import math
from dataclasses import dataclass
from enum import Enum, auto

from workbench.settings import rng

MESSAGE_SECONDS = 1.64e6 * 8 / 40e6
WORK_SECONDS = 0.01
JITTER = 0.05  # sigma of the logarithm of the time of a gradient
RUN_SECONDS = 400.0
COUNTED = 0.8  # share of the run that counts, at its end
TINY = 1e-9  # seconds that are nothing


class Stage(Enum):
    """What a replica is doing."""

    WAITING = auto()  # it has not begun
    FETCHING = auto()
    WORKING = auto()
    PUSHING = auto()

    @property
    def shares(self) -> bool:
        """Whether it uses the shard's link."""
        return self in (Stage.FETCHING, Stage.PUSHING)


NEXT = {
    Stage.WAITING: Stage.FETCHING,
    Stage.FETCHING: Stage.WORKING,
    Stage.WORKING: Stage.PUSHING,
    Stage.PUSHING: Stage.FETCHING,
}


@dataclass
class SimulatedReplica:
    """A replica, and how many seconds its stage would still take alone."""

    stage: Stage
    left: float


def updates_per_second(replicas: int, seed: int, fair: bool, spread: float) -> float:
    """Return the updates a second of a simulation; the replicas begin within ``spread`` seconds."""
    stream = rng(seed, "shared link")
    all_replicas = [
        SimulatedReplica(Stage.WAITING, spread * stream.random()) for _ in range(replicas)
    ]
    queues: dict[Stage, list[SimulatedReplica]] = {Stage.FETCHING: [], Stage.PUSHING: []}
    now = 0.0
    updates = 0
    while now < RUN_SECONDS:
        rates = [rate_of(each, queues, fair) for each in all_replicas]
        step = min(each.left / rate for each, rate in zip(all_replicas, rates, strict=True) if rate)
        now += step
        for each, rate in zip(all_replicas, rates, strict=True):
            each.left -= step * rate
            if each.left > TINY or not rate:
                continue
            if each.stage == Stage.PUSHING and now > (1 - COUNTED) * RUN_SECONDS:
                updates += 1
            if each.stage.shares:
                queues[each.stage].remove(each)
            each.stage = NEXT[each.stage]
            if each.stage.shares:
                queues[each.stage].append(each)
                each.left = MESSAGE_SECONDS
            else:
                each.left = WORK_SECONDS * math.exp(JITTER * stream.standard_normal())

    return updates / (COUNTED * RUN_SECONDS)


def rate_of(
    replica: SimulatedReplica, queues: dict[Stage, list[SimulatedReplica]], fair: bool
) -> float:
    """Return how fast the stage of a replica goes on, as a share of its speed alone."""
    if not replica.stage.shares:
        return 1.0
    queue = queues[replica.stage]
    if fair:
        return 1.0 / len(queue)
    return 1.0 if queue[0] is replica else 0.0


def main() -> None:
    """Print the updates a second by turns, and with a shared link over many beginnings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--beginnings", type=int, default=50)
    options = parser.parse_args()

    print("replicas  by turns   shared: together   apart: least  median  most")
    for replicas in options.replicas:
        turns = updates_per_second(replicas, 0, False, MESSAGE_SECONDS)
        together = updates_per_second(replicas, 0, True, 0.0)
        apart = sorted(
            updates_per_second(replicas, seed, True, MESSAGE_SECONDS)
            for seed in range(options.beginnings)
        )
        middle = apart[len(apart) // 2]
        print(
            f"{replicas:8} {turns:9.2f} {together:18.2f} "
            f"{apart[0]:14.2f} {middle:7.2f} {apart[-1]:5.2f}"
        )


if __name__ == "__main__":
    main()

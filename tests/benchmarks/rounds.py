"""Ways of doing the same thing, timed in interleaved rounds, and the table of their medians.

The machine is shared: processor time is taken where one process does the work, every way has its
turn in every round, and only ratios mean something.
"""

import datetime
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from workbench.system.processor import this_processor

TURN_SECONDS = 0.05  # of one way in one round, at least one call
TRIPS = 5  # of one way in one round, where a trip is long

Way = Callable[[], object]


def seconds_of(way: Way, clock: Callable[[], float], turn: float) -> float:
    """Return the seconds of one call, the mean over a turn."""
    start = clock()
    calls = 0
    while not calls or clock() - start < turn:
        way()
        calls += 1
    return (clock() - start) / calls


def medians(
    ways: Mapping[str, Way],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    turn: float = TURN_SECONDS,
) -> dict[str, float]:
    """Return the median seconds of a call of every way.

    Each is called once before, which compiles and warms up.
    """
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds_of(way, clock, turn))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def median_trip(trip: Callable[[], object]) -> float:
    """Return the median seconds of a few round trips."""
    times = []
    for _ in range(TRIPS):
        start = time.perf_counter()
        trip()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def print_heading(*columns: str) -> None:
    """Print the head of a table, under a line with the machine and the day."""
    load = os.getloadavg()[0]
    today = datetime.date.today()
    print(f"{this_processor().name}, {os.cpu_count()} cores, load {load:.1f}, {today}\n")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns), flush=True)


def print_row(*cells: object) -> None:
    """Print one row of a table."""
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def print_compared(
    seconds: Mapping[str, float],
    unit: Callable[[float], str],
    peers: Sequence[str],
    limit: str = "",
) -> None:
    """Print a row for every way.

    It has the measure, its ratio to the best of the ``peers`` and its share of the ``limit``.
    """
    best = min((seconds[name] for name in peers), default=None)
    for name, mine in seconds.items():
        ratio = f"{best / mine:.2f}" if best else ""
        share = f"{seconds[limit] / mine:.0%}" if limit else ""
        print_row(name, unit(mine), ratio, share)


def peak_megabytes() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

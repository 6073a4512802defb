"""Ways of doing the same thing, timed in interleaved rounds, and the table of their medians.

The machine is shared: processor time is taken where one process does the work, every way has its turn in every round,
and only ratios mean something.
"""

import datetime
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

TURN = 0.05  # seconds of one way in one round, at least one call
TRIPS = 5  # of one way in one round, where a trip is long

Way = Callable[[], object]


def seconds_of(way: Way, clock: Callable[[], float], turn: float) -> float:
    """Seconds of one call, the mean over a turn."""
    start, calls = clock(), 0
    while not calls or clock() - start < turn:
        way()
        calls += 1
    return (clock() - start) / calls


def medians(
    ways: Mapping[str, Way],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    turn: float = TURN,
) -> dict[str, float]:
    """Median seconds of a call of every way; each is called once beforehand, which compiles and warms up."""
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds_of(way, clock, turn))
    return {name: statistics.median(found) for name, found in times.items()}


def trips(trip: Callable[[], object]) -> float:
    """Median seconds of a few round trips."""
    times = []
    for _ in range(TRIPS):
        start = time.perf_counter()
        trip()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def heading(*columns: str) -> None:
    """The head of a table, under a line that says where and when."""
    print(
        f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {datetime.date.today()}\n"
    )
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns), flush=True)


def row(*cells: object) -> None:
    """One row of a table."""
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def compared(
    found: Mapping[str, float], unit: Callable[[float], str], peers: Sequence[str], limit: str = ""
) -> None:
    """A row for every way: its measure, times the best of the ``peers``, share of the ``limit``."""
    best = min((found[name] for name in peers), default=None)
    for name, seconds in found.items():
        ratio = f"{best / seconds:.2f}" if best else ""
        row(name, unit(seconds), ratio, f"{found[limit] / seconds:.0%}" if limit else "")


def peak_megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return "unknown processor"

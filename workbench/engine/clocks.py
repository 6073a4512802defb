"""What time is: nothing, what the work really took, or what a model of a machine says it would take.

A clock is three questions: how long a piece of work takes a process, how long bytes travel, how long a service is
busy with a call. It keeps no state: the chances of the cost clock are a pure function of (seed, process, virtual
time), so a run that is resumed, or has one more replica, meets the same chances.
"""

import functools
import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

from workbench.engine.effects import Ask, Work
from workbench.engine.machines import Machine, Seconds

MASK = 2**64 - 1
NORMAL = NormalDist()
TICKS = 1_000_000  # virtual time is a whole number of microseconds, so sums never drift


class Clock(Protocol):
    """``elapsed`` is what it took here, in seconds; ``now`` is the virtual time in microseconds."""

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds: ...
    def travel(self, process: str, service: str, size: int, now: int) -> Seconds: ...
    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds: ...


@dataclass(frozen=True)
class Free:
    """Nothing takes time: with one replica this is plain SGD."""

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        return 0.0

    def travel(self, process: str, service: str, size: int, now: int) -> Seconds:
        return 0.0

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        return 0.0


@dataclass(frozen=True)
class Measured:
    """What it really took, as if every process and every service had a machine of its own. Not repeatable."""

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        return elapsed

    def travel(self, process: str, service: str, size: int, now: int) -> Seconds:
        return 0.0

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        return elapsed


free, measured = Free(), Measured()


@dataclass(frozen=True)
class Cost:
    """Virtual time by the model of a machine: the same seed gives the same run, row for row."""

    machine: Machine
    seed: int = 0

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        m = self.machine
        seconds = m.seconds(work.kind, work.size)
        seconds /= speed(
            m.speed, m.spread, m.straggler_share, m.straggler_factor, self.seed, process
        )
        if m.jitter:
            seconds *= math.exp(m.jitter * normal(now, self.seed, process, "work"))
        return seconds + pauses(m, self.seed, process, now, seconds) if m.pause_every else seconds

    def travel(self, process: str, service: str, size: int, now: int) -> Seconds:
        m = self.machine
        seconds = m.latency + size * m.byte
        if m.network_jitter:
            seconds *= math.exp(m.network_jitter * normal(now, self.seed, process, service))
        return seconds

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        return self.machine.serve_call + self.machine.serve_byte * (ask.size + ask.reply)


@functools.lru_cache(maxsize=65536)
def speed(
    distribution: str, spread: float, share: float, factor: float, seed: int, process: str
) -> float:
    """The speed of one process relative to one, drawn once for the run; a ``share`` of them is slower by ``factor``.

    With equal speeds all replicas march in step and staleness is the constant replicas - 1, which would mislead.
    """
    drawn = {
        "equal": 1.0,
        "uniform": 1.0 + spread * (2.0 * chance(0, seed, process, "speed") - 1.0),
        "lognormal": math.exp(spread * normal(0, seed, process, "speed")),
    }[distribution]
    return drawn / factor if chance(0, seed, process, "straggler") < share else drawn


def pauses(m: Machine, seed: int, process: str, now: int, seconds: Seconds) -> Seconds:
    """How long the pauses are that begin while the process works: one in every stretch of ``pause_every``."""
    begin, end, total = now / TICKS, now / TICKS + seconds, 0.0
    for k in range(int(begin / m.pause_every), int(end / m.pause_every) + 1):
        at = (k + chance(k, seed, process, "pause")) * m.pause_every
        total += m.pause if begin <= at < end else 0.0
    return total


@functools.lru_cache(maxsize=65536)
def key(*names: str | int) -> int:
    """64 bits that stand for the names."""
    return int.from_bytes(hashlib.blake2b(repr(names).encode(), digest_size=8).digest(), "little")


def chance(number: int, *names: str | int) -> float:
    """A number in (0, 1) that is a pure function of the names and the number (splitmix64: Steele et al. 2014)."""
    z = (key(*names) + (number + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return ((z ^ (z >> 31)) + 0.5) / 2.0**64


def normal(number: int, *names: str | int) -> float:
    """A standard normal number, likewise."""
    return NORMAL.inv_cdf(chance(number, *names))

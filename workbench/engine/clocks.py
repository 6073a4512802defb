"""Clocks: time stands still, is real, or is that of a model of a machine.

A clock answers three questions: how long a piece of work takes a process, how long bytes travel if
they meet no others (`links` makes them wait), and how long a service is busy with a call. It keeps
no state. The random numbers of the cost clock are a pure function of seed, process and virtual
time, so a run that is resumed, or has one more replica, meets the same ones.
"""

import functools
import hashlib
import math
import numbers
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, Protocol

from workbench.engine.effects import Ask, Work
from workbench.engine.machines import Machine, Seconds, delay_laws
from workbench.settings import UserError

MASK = 2**64 - 1
NORMAL = NormalDist()
TICKS = 1_000_000  # per second: virtual time is a whole number of microseconds, so sums never drift


class Journey(NamedTuple):
    """How long a message is under way if it meets no other, in ticks."""

    transfer: int = 0  # for which its bytes occupy a link
    latency: int = 0  # until the last of them has arrived


AT_ONCE = Journey()


class Clock(Protocol):
    """``elapsed`` is the real time in seconds, ``now`` the virtual time in microseconds."""

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        """Return the time that work takes a process."""

    def travel(self, process: str, service: str, size: int, now: int) -> Journey:
        """Return the way of ``size`` bytes between a process and a service, in either direction."""

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        """Return the time for which a call keeps its service busy."""


@dataclass(frozen=True)
class Free:
    """Nothing takes time: with one replica this is plain SGD."""

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        """Return 0."""
        return 0.0

    def travel(self, process: str, service: str, size: int, now: int) -> Journey:
        """Return a journey that takes no time."""
        return AT_ONCE

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        """Return 0."""
        return 0.0


@dataclass(frozen=True)
class Measured:
    """Real times, as if every process and service had a machine to itself; not repeatable."""

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        """Return the real time."""
        return elapsed

    def travel(self, process: str, service: str, size: int, now: int) -> Journey:
        """Return a journey that takes no time."""
        return AT_ONCE

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        """Return the real time."""
        return elapsed


free = Free()
measured = Measured()


@dataclass(frozen=True)
class Cost:
    """Virtual time by the model of a machine: the same seed gives the same run, row for row."""

    machine: Machine
    seed: int = 0

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        """Return the price of the work for this process, with jitter and pauses."""
        m = self.machine
        seconds = m.seconds(work.kind, work.size)
        seconds /= speed(m, self.seed, process)
        if m.jitter:
            seconds *= math.exp(m.jitter * normal(now, key(self.seed, process, "work")))
        if m.pause_every:
            seconds += pauses(m, self.seed, process, now, seconds)
        return seconds

    def travel(self, process: str, service: str, size: int, now: int) -> Journey:
        """Return latency and transfer time of a message, with the same jitter."""
        m = self.machine
        slower = 1.0
        if m.network_jitter:
            slower = math.exp(m.network_jitter * normal(now, key(self.seed, process, service)))
        return Journey(round(size * m.byte * slower * TICKS), round(m.latency * slower * TICKS))

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        """Return the service's time per call and per byte in both directions."""
        return self.machine.serve_call + self.machine.serve_byte * (ask.size + ask.reply)


def speed(machine: Machine, seed: int, process: str) -> float:
    """Return the speed of one process relative to 1, drawn once for the run.

    A share of the processes are stragglers, slower by a factor. With equal speeds all replicas
    would march in step and staleness would be the constant replicas - 1, which would mislead.
    """
    drawn = _draw_speed(machine.speed, machine.spread, seed, process)
    straggles = _draw_straggler(machine.straggler_share, seed, process)
    return drawn / machine.straggler_factor if straggles else drawn


@functools.lru_cache(maxsize=65536)
def _draw_speed(distribution: str, spread: float, seed: int, process: str) -> float:
    made: object = delay_laws[distribution](chance(0, key(seed, process, "speed")), spread)
    if isinstance(made, numbers.Real) and 0 < float(made) < math.inf:
        return float(made)
    raise UserError(
        f"speed={distribution}: the delay law returned {made!r} as the speed of {process}; "
        "it must be a number above 0"
    )


@functools.lru_cache(maxsize=65536)
def _draw_straggler(share: float, seed: int, process: str) -> bool:
    return chance(0, key(seed, process, "straggler")) < share


def pauses(machine: Machine, seed: int, process: str, now: int, seconds: Seconds) -> Seconds:
    """Return the length of all pauses that begin while the process works.

    There is one in every stretch of ``pause_every`` seconds. The work begins at ``now``, in ticks.
    """
    begin = now / TICKS
    end = now / TICKS + seconds
    first = int(begin / machine.pause_every)
    last = int(end / machine.pause_every)
    total = 0.0
    for stretch in range(first, last + 1):
        at = (stretch + chance(stretch, key(seed, process, "pause"))) * machine.pause_every
        if begin <= at < end:
            total += machine.pause

    return total


@functools.lru_cache(maxsize=65536)
def key(*names: str | int) -> int:
    """Return 64 bits that stand for the names: a stream of random numbers."""
    return int.from_bytes(hashlib.blake2b(repr(names).encode(), digest_size=8).digest(), "little")


def chance(number: int, stream: int) -> float:
    """Return a uniform number in (0, 1), a pure function of the stream's ``key`` and the number.

    The generator is splitmix64 (Steele et al. 2014).
    """
    z = (stream + (number + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return ((z ^ (z >> 31)) + 0.5) / 2.0**64


def normal(number: int, stream: int) -> float:
    """Return a standard normal number, a pure function of the stream's ``key`` and the number."""
    return NORMAL.inv_cdf(chance(number, stream))

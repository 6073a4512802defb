"""One process on a cluster: a Dask task that answers effects by asking the hosts, from worker to worker."""

import dataclasses
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import get_worker

from workbench.engine.cluster.host import AGAIN
from workbench.engine.effects import All, Ask, Close, Emit, Lost, Now, Process, Put, Rest, Take, Work

ROWS = 64  # that travel together,
ROWS_SECONDS = 0.5  # or those of so many seconds
PATIENCE = 60.0  # seconds, for the answer of a host that itself answers within a few


@dataclass(frozen=True, eq=False)
class Site:
    """What a process has to know of the cluster."""

    hosts: Sequence[Any]  # actors
    places: Mapping[str, int]  # service or channel -> number of its host; of others, by their name
    topic: str  # of the rows
    began: float  # wall time at which the run began, less the seconds that it had behind it


def drive(make: Callable[[], Process], name: str, site: Site) -> tuple[Any, int, int, float]:
    """Run a process to its return; what it returned, rows sent, effects answered, seconds of work."""
    return _Task(name, site).run(make())


class _Task:
    def __init__(self, name: str, site: Site):
        self.name, self.site, self.resting = name, site, False
        self.rows: list[dict] = []
        self.sent, self.effects, self.flushed = 0, 0, time.monotonic()
        self.spent = {"work": 0.0, "ask": 0.0, "put": 0.0, "take": 0.0}

    def run(self, process: Process) -> tuple[Any, int, int, float]:
        self.site.hosts[0].begin(self.name).result(PATIENCE)
        reply = None
        try:
            while True:
                effect = process.send(reply)
                reply = self.answer(effect)
                self.effects += 1
        except StopIteration as end:
            self.emit({"kind": "usage", **{f"{what}_seconds": s for what, s in self.spent.items()}})
            self.flush()
            return end.value, self.sent, self.effects, self.spent["work"]
        except BaseException as problem:
            problem.add_note(f"in process {self.name!r} at {self.now():.3f} s")
            raise

    def answer(self, effect: Any) -> Any:
        match effect:
            case Work(fn, args):
                return self.timed("work", fn, *args)
            case Ask():
                return self.timed("ask", self.ask, (effect,))[0]
            case All(asks):
                return self.timed("ask", self.ask, asks)
            case Put(channel, item):
                return self.timed("put", self.patiently, channel, "put", channel, item)
            case Take(channel):
                return self.timed("take", self.patiently, channel, "take", channel)
            case Close(channel):
                return self.patiently(channel, "close", channel)
            case Emit(row):
                return self.emit(row)
            case Now():
                return self.now()
            case Rest():
                return self.resting
        raise TypeError(f"not an effect: {effect!r}")

    def timed(self, what: str, fn: Callable, *args: Any) -> Any:
        start = time.perf_counter()
        try:
            return fn(*args)
        finally:
            self.spent[what] += time.perf_counter() - start

    def now(self) -> float:
        return time.time() - self.site.began

    def host(self, name: str) -> Any:
        return self.site.hosts[place(name, self.site.places) % len(self.site.hosts)]

    def ask(self, asks: Sequence[Ask]) -> list[Any]:
        """All calls are under way at once."""
        sent = [self.host(a.service).call(a.service, a.method, a.args) for a in asks]
        replies = [self.received(future) for future in sent]
        while waiting := [i for i, reply in enumerate(replies) if reply is AGAIN]:
            again = [self.host(asks[i].service).call(asks[i].service, asks[i].method, asks[i].args) for i in waiting]
            for i, future in zip(waiting, again, strict=True):
                replies[i] = self.received(future)
        return replies

    def patiently(self, name: str, method: str, *args: Any) -> Any:
        """Ask the host of ``name`` until it answers."""
        while True:
            reply = self.received(getattr(self.host(name), method)(*args))
            if reply is not AGAIN:
                return reply

    def received(self, future: Any) -> Any:
        try:
            reply, resting = future.result(PATIENCE)
        except OSError as problem:  # it could not be reached, or has not answered in time
            raise Lost(f"a worker that {self.name} needs was lost: {problem}") from problem
        self.resting = self.resting or resting
        return aligned(reply)

    def emit(self, row: dict) -> None:
        self.rows.append({"process": self.name, "seconds": self.now(), **row})
        if len(self.rows) >= ROWS or time.monotonic() - self.flushed > ROWS_SECONDS:
            self.flush()

    def flush(self) -> None:
        get_worker().log_event(self.site.topic, self.rows)
        self.sent += len(self.rows)
        self.rows, self.flushed = [], time.monotonic()


def place(name: str, places: Mapping[str, int]) -> int:
    """The number of the host of a service or a channel, to be taken modulo the number of hosts."""
    return places.get(name, zlib.crc32(name.encode()))


def aligned(x: Any) -> Any:
    """``x`` with aligned arrays: Dask's are views into its buffer, and BLAS sums unaligned data in another order."""
    if isinstance(x, np.ndarray):
        return np.require(x, requirements="A")
    if isinstance(x, tuple | list):
        return type(x)(aligned(y) for y in x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        new = {f.name: aligned(getattr(x, f.name)) for f in dataclasses.fields(x)}
        same = all(new[f.name] is getattr(x, f.name) for f in dataclasses.fields(x))
        return x if same else dataclasses.replace(x, **new)
    return x

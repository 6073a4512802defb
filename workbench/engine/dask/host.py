"""Where services and channels live on a cluster: one host per worker, asked by threads.

Dask places it (an actor), begins and ends it; it takes no part in what is asked. Whoever lives in the same process asks
the object itself, others through its door. A service serves one call at a time. No call waits longer than ``PATIENCE``:
then the answer is ``AGAIN``, and the caller asks anew. So who waited in vain is forgotten, and a caller who has gone is
noticed.
"""

import dataclasses
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
from distributed import get_worker

from workbench import memory
from workbench.engine.channels import WAIT, Channel, Woken
from workbench.engine.dask.connection import Line
from workbench.engine.dask.listener import Address, Door
from workbench.engine.dask.shared_memory import Segment, machine
from workbench.engine.effects import NOT_YET, RESTING, Call, Held, Lost, Service

PATIENCE = 5.0  # seconds
NamedCall = tuple[str, Call[Any]]  # name of the service, call


class Reply(Enum):
    """Answers of the host itself."""

    AGAIN = "ask again"


AGAIN = Reply.AGAIN


class Aborted(RuntimeError):
    """Another process has failed, so the run is being ended."""


class Waiter:
    """Who waits at a channel."""

    answer: Any = WAIT


class Host:
    """Services by name and the channels of their worker; every answer comes with whether the run is coming to rest."""

    def __init__(
        self,
        run: str,
        number: int,
        services: Mapping[str, Service],
        capacity: int,
        held: Mapping[str, Held],
    ):
        self.run, self.number, self.capacity = run, number, capacity
        self.services = dict(services)
        self.locks = {name: threading.Lock() for name in services}
        self.turns = {name: threading.Lock() for name in services}  # of calls that have a long part
        self.channels: dict[str, Channel[Waiter]] = {
            name: Channel(capacity, aligned(h)) for name, h in held.items()
        }
        self.resting, self.aborted = False, ""
        self.begun: set[str] = set()
        self.kept: list[
            Line
        ] = []  # of processes here that have ended, while the other side still sees what they sent
        self.news = threading.Condition()  # of everything that somebody may wait for
        self.released: dict[str, int] = {}
        self.releases = 0  # of all services together
        self.busy: dict[str, float] = defaultdict(float)

    def machine(self) -> str:
        """Which machine this is."""
        return machine()

    def open(self, token: bytes, shares: bool, tcp: bool) -> Address:
        """From now on it can be asked; with ``shares`` what this process publishes lies in shared memory."""
        if shares:
            memory.use(memory.Pool(Segment))
        me = weakref.ref(self)  # so that the threads do not keep alive what Dask has dropped

        def answer(question: tuple[str, tuple]) -> tuple[Any, bool]:
            if (host := me()) is None:
                raise Aborted("the run has ended")
            return host.answer(*question)

        self.door = Door(self.number, token, answer, shares, get_worker().address if tcp else "")
        weakref.finalize(self, self.door.close)
        _here[self.run, self.number] = self
        return self.door.address

    def answer(self, method: str, args: tuple) -> tuple[Any, bool]:
        """What ``method`` returns, and whether the run is coming to rest."""
        return getattr(self, ASKED[method])(*args), self.resting

    def begin(self, process: str) -> None:
        """A process starts. If its worker is lost Dask starts it again: that would be another run, so it is refused."""
        if process in self.begun:
            raise Lost(f"the worker of {process} was lost")
        self.begun.add(process)

    def call(self, calls: Sequence[NamedCall]) -> list[Any]:
        """Ask services, see ``effects.Ask`` and ``All``; AGAIN for those that could not answer yet."""
        until = time.monotonic() + PATIENCE
        seen, replies = self.releases, [self._ask(*call) for call in calls]
        while waiting := [i for i, reply in enumerate(replies) if reply is NOT_YET]:
            if self.resting or time.monotonic() >= until:
                return [
                    (RESTING if self.resting else AGAIN) if r is NOT_YET else r for r in replies
                ]
            self._wait_for_release(seen, until)
            seen = self.releases
            for i in waiting:
                replies[i] = self._ask(*calls[i])
        return replies

    def _wait_for_release(self, seen: int, until: float) -> None:
        with self.news:
            self.news.wait_for(
                lambda: self.releases != seen or self.resting, until - time.monotonic()
            )

    def _ask(self, service: str, call: Call[Any]) -> Any:
        """Serve one call. What is long in it is done before, in turn with others that are long; meanwhile whoever
        fetches is served, and does not idle."""
        long = self.services[service].ahead(call)
        if long is None:
            return self._serve(service, call)
        with self.turns[service]:
            self._go_on()
            start = time.perf_counter()
            long()
            self.busy[service] += time.perf_counter() - start
            return self._serve(service, call)

    def _serve(self, service: str, call: Call[Any]) -> Any:
        with self.locks[service]:
            self._go_on()
            start, asked = time.perf_counter(), self.services[service]
            answer = asked.answer(call)
            self.busy[service] += time.perf_counter() - start
            changed = asked.released != self.released.get(service)
            self.released[service] = asked.released
        if changed:
            with self.news:
                self.releases += 1
                self.news.notify_all()
        return answer

    def put(self, channel: str, item: Any) -> Any:
        """See ``effects.Put``; AGAIN: not taken, put it again."""
        with self.news:
            who = Waiter()
            answer, woken = self._channel(channel).put(who, item)
            self._wake(woken)
            return self._wait(channel, who, answer)

    def take(self, channel: str) -> Any:
        """See ``effects.Take``; AGAIN: nothing came, take again."""
        with self.news:
            who = Waiter()
            answer, woken = self._channel(channel).take(who)
            self._wake(woken)
            return self._wait(channel, who, answer)

    def close(self, channel: str) -> None:
        """See ``effects.Close``."""
        with self.news:
            self._wake(self._channel(channel).close())

    def rest(self) -> None:
        """From now on nobody waits."""
        with self.news:
            self.resting = True
            for channel in self.channels.values():
                self._wake(channel.rest())
            self.news.notify_all()

    def abort(self, why: str) -> None:
        """Whoever asks or waits from now on is told that the run has failed."""
        self.aborted = why
        self.rest()

    def collect(self) -> tuple[dict[str, Any], dict[str, Held], dict[str, float]]:
        """Services, what the channels hold, and how many seconds each service was busy; at the end or at rest."""
        return (
            self.services,
            {name: channel.held() for name, channel in self.channels.items()},
            dict(self.busy),
        )

    def _channel(self, name: str) -> Channel[Waiter]:
        self._go_on()
        if name not in self.channels:
            self.channels[name] = Channel(self.capacity, Held())
            if self.resting:
                self.channels[name].rest()
        return self.channels[name]

    def _go_on(self) -> None:
        if self.aborted:
            raise Aborted(self.aborted)

    def _wake(self, woken: Woken[Waiter]) -> None:
        for who, reply in woken:
            who.answer = reply
        if woken:
            self.news.notify_all()

    def _wait(self, channel: str, who: Waiter, answer: Any) -> Any:
        if answer is not WAIT:
            return answer
        self.news.wait_for(lambda: who.answer is not WAIT, PATIENCE)
        self._go_on()
        if who.answer is WAIT:
            self.channels[channel].forget(who)
            return AGAIN
        return who.answer


ASKED = {
    name: name for name in ("begin", "call", "put", "take", "close")
}  # what a process may ask of a host
_here: weakref.WeakValueDictionary[tuple[str, int], Host] = weakref.WeakValueDictionary()


def host_here(run: str, number: int) -> Host | None:
    """That host of the run, if it lives in this process."""
    return _here.get((run, number))


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

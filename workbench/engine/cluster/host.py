"""Where services and channels live on a cluster: one Dask actor per worker, answering on the worker's event loop.

Its methods are coroutines, so a call that must wait holds up no other; a service still serves one call at a time,
because nothing awaits while a service is being asked. No call waits longer than ``PATIENCE``: then the answer is
``AGAIN``, and the caller asks anew. So a caller whose host is lost learns it soon, and what waited in vain is
forgotten.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

from workbench.engine.channels import WAIT, Channel, Woken
from workbench.engine.effects import NOT_YET, RESTING, Held, Lost

PATIENCE = 5.0  # seconds


class Reply(Enum):
    """Answers of the host itself."""

    AGAIN = "ask again"


AGAIN = Reply.AGAIN


class Aborted(RuntimeError):
    """Another process has failed, so the run is being ended."""


class Host:
    """Services by name and the channels of their worker; every answer comes with whether the run is coming to rest."""

    def __init__(self, services: Mapping[str, Any], capacity: int, held: Mapping[str, Held]):
        self.services, self.capacity = dict(services), capacity
        self.channels = {name: Channel(capacity, h) for name, h in held.items()}
        self.resting, self.aborted = False, ""
        self.begun: set[str] = set()
        self.changed: dict[str, asyncio.Event] = {}
        self.released: dict[str, int] = {}
        self.busy: dict[str, float] = defaultdict(float)

    async def begin(self, process: str) -> None:
        """A process starts. If its worker is lost Dask starts it again: that would be another run, so it is refused."""
        if process in self.begun:
            raise Lost(f"the worker of {process} was lost")
        self.begun.add(process)

    async def call(self, service: str, method: str, args: tuple) -> tuple[Any, bool]:
        """Ask a service; see ``effects.Ask``."""
        answer = self._ask(service, method, args)
        if answer is not NOT_YET:
            return answer, self.resting
        if self.resting:
            return RESTING, True
        event = self.changed.setdefault(service, asyncio.Event())
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), PATIENCE)
        return AGAIN, self.resting

    def _ask(self, service: str, method: str, args: tuple) -> Any:
        self._go_on()
        start = asyncio.get_running_loop().time()
        answer = getattr(self.services[service], method)(*args)
        self.busy[service] += asyncio.get_running_loop().time() - start
        released = getattr(self.services[service], "released", 0)
        if released != self.released.get(service):
            self.released[service] = released
            self.changed.pop(service, asyncio.Event()).set()
        return answer

    async def put(self, channel: str, item: Any) -> tuple[Any, bool]:
        """See ``effects.Put``; AGAIN: not taken, put it again."""
        future = asyncio.get_running_loop().create_future()
        return await self._wait(channel, future, self._wake(self._channel(channel).put(future, item)))

    async def take(self, channel: str) -> tuple[Any, bool]:
        """See ``effects.Take``; AGAIN: nothing came, take again."""
        future = asyncio.get_running_loop().create_future()
        return await self._wait(channel, future, self._wake(self._channel(channel).take(future)))

    async def close(self, channel: str) -> tuple[None, bool]:
        """See ``effects.Close``."""
        self._wake(self._channel(channel).close())
        return None, self.resting

    async def rest(self) -> None:
        """From now on nobody waits."""
        self.resting = True
        for channel in self.channels.values():
            self._wake(channel.rest())
        self._wake_callers()

    async def abort(self, why: str) -> None:
        """Whoever asks or waits from now on is told that the run has failed."""
        self.aborted = why
        for channel in self.channels.values():
            self._wake(channel.rest())
        self._wake_callers()

    async def collect(self) -> tuple[dict[str, Any], dict[str, Held], dict[str, float]]:
        """Services, what the channels hold, and how many seconds each service was busy; at the end or at rest."""
        return self.services, {name: channel.held() for name, channel in self.channels.items()}, dict(self.busy)

    def _channel(self, name: str) -> Channel:
        self._go_on()
        if name not in self.channels:
            self.channels[name] = Channel(self.capacity, Held())
            if self.resting:
                self.channels[name].rest()
        return self.channels[name]

    def _go_on(self) -> None:
        if self.aborted:
            raise Aborted(self.aborted)

    def _wake(self, step: tuple[Any, Woken]) -> Any:
        answer, woken = step
        for future, reply in woken:
            if not future.done():
                future.set_result(reply)
        return answer

    def _wake_callers(self) -> None:
        for event in self.changed.values():
            event.set()
        self.changed.clear()

    async def _wait(self, channel: str, future: asyncio.Future, answer: Any) -> tuple[Any, bool]:
        if answer is not WAIT:
            return answer, self.resting
        await asyncio.wait({future}, timeout=PATIENCE)
        self._go_on()
        if not future.done():
            self.channels[channel].forget(future)
            return AGAIN, self.resting
        return future.result(), self.resting

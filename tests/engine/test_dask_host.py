"""A host of services, called by threads without a cluster."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from workbench.engine import Ask, Call, Service

pytest.importorskip("distributed")

from workbench.engine.dask.host import Host

TIMEOUT = 10.0


@dataclass(frozen=True)
class Push(Call[int]):
    """A call with a long part."""


@dataclass(frozen=True)
class Fetch(Call[int]):
    """A short call."""


class Slow(Service):
    """A service whose pushes have a long part; it notes how many are in it at once."""

    def __init__(self):
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.within = 0
        self.most_within = 0
        self.pushes = 0

    def ahead(self, call):
        return self.long_part if isinstance(call, Push) else None

    def long_part(self):
        self.within += 1
        self.most_within = max(self.most_within, self.within)
        self.entered.set()
        assert self.go_on.wait(TIMEOUT)
        self.within -= 1

    def answer(self, call):
        self.pushes += isinstance(call, Push)
        return self.pushes


def test_a_fetch_does_not_wait_for_the_long_part_of_a_push():
    """While one push is prepared, fetches get what was before; a second push waits for its turn."""
    service = Slow()
    host = Host("run", 0, 4)
    host.hold({"server": service}, {}, {})
    with ThreadPoolExecutor(2) as threads:
        pushes = [threads.submit(host.call, [Ask("server", Push())]) for _ in range(2)]
        assert service.entered.wait(TIMEOUT)
        assert host.call([Ask("server", Fetch())]) == [0]
        service.go_on.set()
        assert sorted(push.result(TIMEOUT) for push in pushes) == [[1], [2]]
    assert service.most_within == 1
    assert host.call([Ask("server", Fetch())]) == [2]
    assert host.collect().busy_seconds["server"] > 0

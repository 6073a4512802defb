"""A host on a cluster, asked by threads without a cluster."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from workbench.engine import Call, Service

pytest.importorskip("distributed")

from workbench.engine.dask.host import Host

PATIENCE = 10.0


@dataclass(frozen=True)
class Push(Call[int]):
    """A call with a long part."""


@dataclass(frozen=True)
class Fetch(Call[int]):
    """A short call."""


class Slow(Service):
    """A service whose pushes are long; it tells who is in what."""

    def __init__(self):
        self.entered, self.go_on, self.within, self.most, self.done = (
            threading.Event(),
            threading.Event(),
            0,
            0,
            0,
        )

    def ahead(self, call):
        return self.long if isinstance(call, Push) else None

    def long(self):
        self.within += 1
        self.most = max(self.most, self.within)
        self.entered.set()
        assert self.go_on.wait(PATIENCE)
        self.within -= 1

    def answer(self, call):
        self.done += isinstance(call, Push)
        return self.done


def test_who_fetches_does_not_wait_for_the_long_part_of_a_push():
    """While one push is being made, fetches are answered with what was before; a second push waits for its turn."""
    service = Slow()
    host = Host("run", 0, {"server": service}, 4, {})
    with ThreadPoolExecutor(2) as threads:
        pushes = [threads.submit(host.call, [("server", Push())]) for _ in range(2)]
        assert service.entered.wait(PATIENCE)
        assert host.call([("server", Fetch())]) == [0]
        service.go_on.set()
        assert sorted(p.result(PATIENCE) for p in pushes) == [[1], [2]]
    assert (service.most, host.call([("server", Fetch())])) == (1, [2])
    assert host.collect()[2]["server"] > 0

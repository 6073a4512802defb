"""One process of a cluster, driven by hand on a host of its own."""

import pytest

from workbench.engine import Emit, Put, Work
from workbench.storage.rows import UsageRow

pytest.importorskip("distributed")

from workbench.engine.dask import process as process_module
from workbench.engine.dask.host import Host
from workbench.engine.dask.listener import Address
from workbench.engine.dask.process import Site, drive

ADDRESS = Address(0, "", "", "", 0, False, b"")  # of the host, which is called itself


class WatchedHost(Host):
    """Notes for each request whether the process counts as working while it waits."""

    def __init__(self):
        super().__init__("run", 0, 4)
        self.seen = []

    def answer(self, request):
        self.seen += [progress.working for progress in self.progress.values()]
        return super().answer(request)


@pytest.fixture
def host(monkeypatch):
    """The only host of the run, in this process."""
    host = WatchedHost()
    monkeypatch.setattr(process_module, "host_here", lambda run, number: host)
    monkeypatch.setattr(process_module, "send_rows", lambda topic, run, rows: None)
    host.open(b"token", shares_memory=False, tcp=False)
    return host


def test_a_component_works_unless_it_waits(host):
    """What it computes by itself, such as drift, is work for those who watch, as `Work` is."""
    seen = []

    def look():
        seen.append(host.progress["p"].working)

    def component():
        look()
        yield Work(look)
        look()
        yield Put("c", 1)
        look()
        yield Emit(UsageRow())
        look()

    drive(component, "p", Site("run", "rows", [ADDRESS], {}, 0.0))
    assert seen == [True] * 5
    assert host.seen == [False, False]
    assert not host.progress["p"].working

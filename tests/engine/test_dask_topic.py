"""Rows of runs come by one topic, and runs leave nothing behind on the cluster."""

import gc
import os
import time
import weakref

import numpy as np
import pytest
from toy import Rows

from workbench.engine import Ask, Emit, Service
from workbench.storage.rows import UsageRow
from workbench.system import memory

distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.dask, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def client():
    """Of a cluster with one worker."""
    from workbench.engine.dask import local_cluster

    with local_cluster(1, 2) as cluster, distributed.Client(cluster) as client:
        yield client


class Publisher:
    """In the place of a client: what handles the events of a topic."""

    def __init__(self):
        self.handlers = {}

    def subscribe_topic(self, name, handle):
        """Once for each topic."""
        assert name not in self.handlers
        self.handlers[name] = handle

    def publish(self, run, *rows):
        """To the only topic."""
        (handle,) = self.handlers.values()
        handle((0.0, (run, rows)))


def test_rows_of_another_run_are_left_out():
    """Those of a run that was given up arrive late, and would be counted with the next run's."""
    from workbench.engine.dask.topic import RowTopic

    publisher = Publisher()
    topic = RowTopic(publisher)
    first = topic.receive("first")
    publisher.publish("first", {"n": 1})
    second = topic.receive("second")
    publisher.publish("first", {"n": 2})
    publisher.publish("second", {"n": 3})
    topic.close()
    publisher.publish("second", {"n": 4})
    assert first.get_nowait() == ({"n": 1},)
    assert second.get_nowait() == ({"n": 3},)
    assert first.empty()
    assert second.empty()


class Heavy(Service):
    """A service with as many parameters as a small network."""

    def __init__(self):
        self.parameters = np.ones(2 << 20, np.float32)

    def answer(self, call):
        raise NotImplementedError


def emit_one():
    """A process that writes a row."""
    yield Emit(UsageRow())


class Lender(Service):
    """A service that answers with shared memory."""

    released = 0

    def answer(self, call):
        return memory.floats(1 << 20)


def fail_with_an_answer():
    """A process that ends with an error, and has shared memory in a variable."""
    answer = yield Ask("server", None)
    raise ZeroDivisionError(len(answer))


def segments():
    """How many files of shared memory this process has open."""
    links = [os.path.realpath(link.path) for link in os.scandir("/proc/self/fd")]
    return sum("memfd:workbench" in link for link in links)


def kept_tasks():
    """How many tasks the scheduler, which is in this process, has in memory."""
    gc.collect()
    return sum(type(each) is distributed.scheduler.TaskState for each in gc.get_objects())


def resident_megabytes():
    """Of this process."""
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def test_runs_leave_nothing_behind(client):
    """Neither parameters, nor rows, nor a topic each: a run that saves often runs for days."""
    from workbench.engine.dask import Cluster

    cluster = Cluster(client)
    rows = Rows()
    alive = weakref.ref(rows)

    def run_often(times):
        for _ in range(times):
            cluster.run({"p": emit_one}, {"server": Heavy()}, alive().emit)
        return [resident_megabytes(), *client.run(resident_megabytes).values()]

    before = run_often(10)
    topics = len(client.get_events())
    after = run_often(30)
    assert len(rows) == 2 * 40  # its own, and that of its usage
    assert len(client.get_events()) == topics
    assert max(now - then for now, then in zip(after, before, strict=True)) < 60  # of 30 times 8
    del rows
    gc.collect()
    assert alive() is None


def test_runs_that_fail_leave_no_shared_memory(client):
    """Nothing of them waits for Python to look for circles, which it seldom does, and the scheduler
    forgets their tasks.
    """
    from workbench.engine.dask import Cluster

    cluster = Cluster(client)
    tasks = kept_tasks()
    client.run(gc.collect)
    client.run(gc.disable)
    try:
        for _ in range(6):
            with pytest.raises(ZeroDivisionError):
                cluster.run({"p": fail_with_an_answer}, {"server": Lender()}, Rows().emit)
        until = time.monotonic() + 10
        while max(client.run(segments).values()) > memory.SPARE_BLOCKS:
            assert time.monotonic() < until
            time.sleep(0.05)
        while kept_tasks() > tasks + 1:
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        client.run(gc.enable)

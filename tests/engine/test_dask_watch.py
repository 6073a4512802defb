"""A worker that hangs, and a run that stands still, are told from heartbeats.

Time is that of a clock that the tests set.
"""

import pytest

pytest.importorskip("distributed")

from workbench.engine.dask import watch
from workbench.engine.dask.watch import Activity, Heartbeat, Silences, Stillness
from workbench.system.processes import ProcessStat

STEP = 0.5  # seconds between two looks


class HandClock:
    """A clock that is set by hand, and the ticks and states of processes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.used: dict[int, int] = {}
        self.state = "S"

    def stat(self, pid: int) -> ProcessStat | None:
        """As `process_stat`."""
        return ProcessStat(self.state, 1, self.used[pid]) if pid in self.used else None

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the module."""
    clock = HandClock()
    monkeypatch.setattr(watch, "time", clock)
    monkeypatch.setattr(watch, "process_stat", clock.stat)
    return clock


def looks_until_hung(clock, silences, make, most=400):
    """The seconds after which a worker is found to hang; None if it is not."""
    began = clock.now
    for _ in range(most):
        clock.now += STEP
        if silences.look([make(clock)]):
            return clock.now - began
    return None


def test_a_worker_that_does_nothing_and_says_nothing_hangs(clock):
    """Of a worker of this machine this is known within seconds."""
    clock.used[7] = 20
    found = looks_until_hung(clock, Silences(), lambda c: Heartbeat("0", "tls://a", 3.0, pid=7))
    assert watch.HUNG_SECONDS < found <= watch.HUNG_SECONDS + 3 * STEP


def test_a_worker_that_is_heard_of_does_not_hang(clock):
    """However idle it is."""
    clock.used[7] = 20
    talking = looks_until_hung(clock, Silences(), lambda c: Heartbeat("0", "a", c.now, pid=7))
    assert talking is None


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_a_worker_that_computes_is_waited_for(clock, share):
    """It imports or compiles; only after a minute of computing is it given up."""

    def computing(c):
        c.used[7] = int(share * watch.TICKS_A_SECOND * c.now)
        return Heartbeat("0", "a", 3.0, pid=7)

    found = looks_until_hung(clock, Silences(), computing, most=1300)
    assert found == pytest.approx(watch.SILENT_SECONDS / share, abs=3 * STEP / share)


@pytest.mark.parametrize("state", ["R", "S"])
def test_a_worker_that_starts_slowly_is_waited_for(clock, state):
    """On a machine with a load of 25 a worker needed minutes to import, and was ended each minute,
    so that the next one began anew. Between, it waits for this process, which is as slow.
    """
    clock.state = state

    def starting(c):
        c.used[7] = int(0.05 * watch.TICKS_A_SECOND * (c.now // 40 * 40))
        return Heartbeat("0", pid=7)

    assert looks_until_hung(clock, Silences(), starting, most=1000) is None


def test_a_worker_that_starts_and_does_nothing_is_found(clock):
    """It was stopped while it imported."""
    clock.used[7] = 20
    found = looks_until_hung(clock, Silences(), lambda c: Heartbeat("0", pid=7))
    assert watch.SILENT_SECONDS < found <= watch.SILENT_SECONDS + 3 * STEP


@pytest.mark.parametrize("state", watch.BUSY_STATES)
def test_a_worker_that_gets_no_processor_is_waited_for(clock, state):
    """On a machine with too much to do, it is ready and uses no time; the machine may be slow."""
    clock.used[7] = 20
    clock.state = state
    silences = Silences()
    found = looks_until_hung(clock, silences, lambda c: Heartbeat("0", "a", 3.0, pid=7), 1300)
    assert found > watch.STARVED_SECONDS


def test_a_stopped_worker_is_found_by_one_who_looks_seldom(clock):
    """A busy machine delays the looks as well; all that passes between two of them counts."""
    clock.used[7] = 20
    clock.state = "T"
    silences = Silences()
    heartbeat = Heartbeat("0", "a", 3.0, pid=7)
    looks = 0
    while not silences.look([heartbeat]):
        clock.now += 1.5
        looks += 1
    assert looks * 1.5 < 6


def test_computing_before_it_hung_does_not_hide_it(clock):
    """A worker that was silent because it imported, and then was stopped, is found as fast."""
    silences = Silences()

    def importing_at_first(c):
        c.used[7] = int(10 * min(c.now, 1010.0))
        return Heartbeat("0", "a", 3.0, pid=7)

    found = looks_until_hung(clock, silences, importing_at_first)
    assert found < 10 + watch.HUNG_SECONDS + 3 * STEP


def test_a_worker_elsewhere_has_longer(clock):
    """Its processor time is not known here."""
    found = looks_until_hung(clock, Silences(), lambda c: Heartbeat("0", "tls://far", 3.0))
    assert found > watch.SILENT_SECONDS


def test_time_in_which_nobody_looked_does_not_count(clock):
    """This process was stopped, or the machine slept, or a clock was set: no worker is blamed."""
    clock.used[7] = 20
    silences = Silences()
    heartbeat = Heartbeat("0", "a", 3.0, pid=7)
    silences.look([heartbeat])
    clock.now += 3600
    assert silences.look([heartbeat]) == []


def test_a_worker_in_its_place_begins_anew(clock):
    """The silence of the one that was killed is not that of the next."""
    clock.used |= {7: 1, 8: 1}
    silences = Silences()
    assert looks_until_hung(clock, silences, lambda c: Heartbeat("0", pid=7))
    assert silences.look([Heartbeat("0", pid=8)]) == []
    assert silences.look([Heartbeat("0", pid=8)]) == []


def still_after(clock, activities, processes, most=1000):
    """The seconds after which a run stands still; None if it does not."""
    stillness = Stillness(processes)
    began = clock.now
    for look in range(most):
        clock.now += STEP
        beats = enumerate(activities(look))
        stillness.look([Heartbeat("", str(i), clock.now, activity=a) for i, a in beats])
        if stillness.too_long:
            return clock.now - began
    return None


def test_a_run_in_which_nobody_goes_on_stands_still(clock):
    """All processes have begun, no effect is answered and nobody works."""
    found = still_after(clock, lambda look: [Activity(2, 50), Activity(1, 9)], 3)
    assert watch.STILL_SECONDS < found < watch.STILL_SECONDS + 3 * STEP


def test_a_run_of_which_nothing_is_heard_does_not_stand_still(clock):
    """A machine with too much to do delays heartbeats; what they said last may be long past."""
    stillness = Stillness(1)
    for _ in range(200):
        clock.now += STEP
        stillness.look([Heartbeat("0", "a", 5.0, activity=Activity(1, 7))])
    assert not stillness.too_long


@pytest.mark.parametrize(
    "activities",
    [lambda look: [Activity(3, look)], lambda look: [Activity(3, 7), Activity(1, 1, 1)]],
    ids=["effects", "work"],
)
def test_a_run_in_which_somebody_goes_on_does_not(clock, activities):
    """One process is answered, or computes for as long as it likes."""
    assert still_after(clock, activities, 4) is None


def test_processes_have_longer_to_begin(clock):
    """They unpack their data; but one that never gets a thread is noticed too."""
    found = still_after(clock, lambda look: [Activity(2, 7)], 3)
    assert watch.START_SECONDS < found < watch.START_SECONDS + 10


def test_workers_that_left_are_forgotten(clock):
    """A run that loses workers for days does not keep what it knew of each."""
    silences = Silences()
    for pid in range(5):
        silences.look([Heartbeat("0", "tls://a", 1.0, pid=pid), Heartbeat("1", "tls://b", 1.0)])
    assert set(silences.workers) == {("0", 4), ("1", None)}

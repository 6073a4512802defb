"""Time that is not a process' own does not count."""

import os
import time

import own_time
import pytest
from own_time import Moment, OwnTime, Turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall time, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_waiting_for_a_processor_does_not_count(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ran for a quarter of the time that it wanted to has had a quarter."""
    turns = {7: Turns(1.0, 1.0)}
    monkeypatch.setattr(own_time, "processor_turns", turns.get)
    spent = OwnTime(lambda: [7])
    spent.look()

    turns[7] = Turns(2.0, 4.0)
    clock[0] += 4.0
    assert spent.look() == 1.0
    assert spent.at(1002.0) == 0.5


def test_sleep_counts_in_full(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that wants nothing has had the time, and so has one that has just begun."""
    turns = {7: Turns(1.0, 1.0)}
    monkeypatch.setattr(own_time, "processor_turns", turns.get)
    spent = OwnTime(lambda: [7, 8])
    spent.look()

    turns[8] = Turns(1.0, 9.0)
    clock[0] += 4.0
    assert spent.look() == 4.0
    assert spent.moments == [Moment(1000.0, 0.0), Moment(1000.0, 0.0), Moment(1004.0, 4.0)]


def test_a_process_has_turns_while_it_exists() -> None:
    """Computing adds to what a process ran; of a process that does not exist nothing is known."""
    before = own_time.processor_turns(os.getpid())
    sum(number * number for number in range(300_000))
    after = own_time.processor_turns(os.getpid())
    assert before is not None
    assert after is not None
    assert after.ran > before.ran
    assert own_time.processor_turns(2**22 + 1) is None

"""Work in threads: it can be given up, and its errors are its own."""

import threading
import time

import pytest

from workbench.engine import RESTING, Cost, Local, Machine, Work, WorkPrice, measured
from workbench.engine.workers import GivenUp, giving_up

A_STEP_A_SECOND = Cost(Machine("test", "", {"step": WorkPrice(frame=1.0)}))


class StopNowError(Exception):
    """The run is given up."""


def test_long_work_ends_when_its_run_is_given_up():
    """A run that is ended while work is waited for does not wait for its end."""
    begun = threading.Event()
    ended = threading.Event()

    def long_work():
        given_up = giving_up()
        begun.set()
        for _ in range(2000):
            if given_up():
                ended.set()
                raise GivenUp
            time.sleep(0.01)

    def rest():
        if begun.is_set():
            raise StopNowError
        return False

    def process():
        yield Work(long_work, (), 1, "step")

    with pytest.raises(StopNowError):
        Local(A_STEP_A_SECOND, threads=1).run({"p": process()}, {}, [].append, rest=rest)
    assert ended.is_set()


@pytest.mark.parametrize("clock", [measured, A_STEP_A_SECOND], ids=["inline", "threads"])
def test_long_work_gives_way(clock):
    """Its process then gets an answer, and can return its state."""
    looks = []

    def long_work():
        given_up = giving_up()
        for _ in range(2000):
            looks.append(1)
            if given_up():
                raise GivenUp
            time.sleep(0.01)

    def process():
        return (yield Work(long_work, (), 1, "step"))

    outcome = Local(clock, threads=1).run(
        {"p": process()}, {}, [].append, give_way=lambda: len(looks) > 2
    )
    assert outcome.returned == {"p": RESTING}
    assert len(looks) < 2000


@pytest.mark.parametrize("threads", [0, 1])
def test_work_that_times_out_by_itself_says_so(threads):
    """An error of the work is not taken for that of waiting, and no work is given up by itself."""

    def impatient():
        assert not giving_up()()
        raise TimeoutError("too late")

    def process():
        yield Work(impatient, (), 1, "step")

    with pytest.raises(TimeoutError, match="too late"):
        Local(A_STEP_A_SECOND, threads=threads).run({"p": process()}, {}, [].append)

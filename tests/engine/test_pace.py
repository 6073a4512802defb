"""Work at the pace of a clock: the same values, and no sooner than the clock says."""

from types import SimpleNamespace

import pytest
from toy import Rows, Toy, of_kind, settings

from workbench.engine import (
    RESTING,
    All,
    Ask,
    Call,
    Cost,
    Emit,
    Local,
    Machine,
    Service,
    Work,
    WorkPrice,
    free,
    pace,
)
from workbench.engine.pace import Paced, keep_pace, take_time
from workbench.engine.workers import GivenUp, do, giving_up
from workbench.storage.rows import PaceRow, RateRow

PRICE = 0.5  # seconds a piece of work


class FakeTime(SimpleNamespace):
    """A clock that goes on only where somebody sleeps or computes."""

    def __init__(self):
        super().__init__(now=100.0, naps=[])

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock that paced work sleeps by."""
    clock = FakeTime()
    monkeypatch.setattr(pace, "time", clock)
    return clock


class Echo(Service):
    """Answers with its name."""

    def answer(self, call: Call[object]) -> object:
        """Reply."""
        return "echo"


def machine() -> Machine:
    """Each piece of work of any kind takes `PRICE`."""
    kinds = ("work", "gradient", "forward", "decode", "evaluate")
    return Machine("even", "", {kind: WorkPrice(call=PRICE) for kind in kinds})


@pytest.mark.parametrize("busy, late", [(0.0, 0.0), (0.3, 0.0), (0.5, 0.0), (0.75, 0.25)])
def test_work_takes_its_time(clock, busy, late):
    """What is done sooner waits for the rest; what takes longer is late by the difference."""
    done = take_time(PRICE, clock.sleep, busy)
    assert done == Paced(None, pytest.approx(late))
    assert clock.now == pytest.approx(100.0 + max(PRICE, busy))


def test_long_pauses_look_whether_the_run_was_stopped(clock):
    """Then the value, which is there by then, is the answer, and the rest is not slept."""
    asked_at = 100.0 + 3 * pace.NAP_SECONDS
    done = do(Work(take_time, (1000.0, str, 1)), lambda: clock.now > asked_at)
    assert done.value == Paced("1", 0.0)
    assert clock.now < asked_at + 2 * pace.NAP_SECONDS


def test_a_component_gets_the_same_answers(clock):
    """The value of work alone, and beside calls; the rows say how much of it was late."""
    answers = []

    def component():
        answers.append((yield Work(clock.sleep, (0.75,))))
        answers.append((yield Work(max, (3, 4))))
        answers.append((yield All((Ask("echo", Call()),), Work(min, (3, 4)))))
        answers.append((yield All((Ask("echo", Call()),))))
        yield Emit(RateRow(decays=1, updates=2))
        return "state"

    rows = []
    process = keep_pace(component, "replica 0", Cost(machine()))
    outcome = Local(free).run({"replica 0": process}, {"echo": Echo()}, rows.append)
    assert answers == [None, 4, ["echo", 3], ["echo"]]
    assert outcome.returned == {"replica 0": "state"}
    assert clock.now == pytest.approx(100.0 + 0.75 + 2 * PRICE)
    (told,) = [row for row in rows if isinstance(row, PaceRow)]
    assert (told.pieces, told.late_seconds) == (3, pytest.approx(0.25))
    assert any(isinstance(row, RateRow) for row in rows)


def test_a_stopped_run_has_its_values_sooner(clock):
    """A component that knows no work that gives way, such as a decoder, gets none of it."""
    answers = []

    def component():
        answers.append((yield Work(max, (3, 4))))
        answers.append((yield All((Ask("echo", Call()),), Work(min, (3, 4)))))

    process = keep_pace(component, "decoder 0", Cost(machine()))
    rows = []
    services = {"echo": Echo()}
    Local(free).run({"decoder 0": process}, services, rows.append, give_way=lambda: True)
    assert answers == [4, ["echo", 3]]
    assert clock.now == 100.0
    (told,) = [row for row in rows if isinstance(row, PaceRow)]
    assert told.pieces == 2
    assert told.late_seconds == 0.0


def test_work_that_gives_way_is_not_counted(clock):
    """It asks itself, as an evaluation does, and its component gets RESTING with and without."""

    def give_way():
        if giving_up()():
            raise GivenUp

    answers = []

    def component():
        answers.append((yield Work(give_way)))

    rows = []
    for process in (keep_pace(component, "evaluator", Cost(machine())), component()):
        Local(free).run({"evaluator": process}, {}, rows.append, give_way=lambda: True)
    assert answers == [RESTING, RESTING]
    assert [row.pieces for row in rows if isinstance(row, PaceRow)] == [0]


def test_the_pace_is_the_process_own(clock):
    """Speeds, jitter and stragglers are those of the clock for a process of this name."""
    uneven = Machine(
        "uneven", "", {"work": WorkPrice(call=PRICE)}, speed="lognormal", spread=0.5, jitter=0.2
    )
    cost = Cost(uneven, seed=3)

    def component():
        yield Work(max, (3, 4))

    for name in ("replica 0", "replica 1"):
        before = clock.now
        Local(free).run({name: keep_pace(component, name, cost)}, {}, lambda row: None)
        assert clock.now - before == pytest.approx(cost.work(name, Work(max), 0.0, 0))


@pytest.mark.dask
@pytest.mark.filterwarnings("default")  # Dask's own warnings are not this project's to mend
def test_a_paced_cluster_computes_the_same_and_no_sooner():
    """One replica is plain SGD; its updates take at least their price, whatever the computer."""
    from functools import partial
    from pathlib import Path

    import numpy as np

    distributed = pytest.importorskip("distributed")
    from workbench.engine.dask import Cluster, local_cluster

    price = 0.01
    slow = Machine("slow", "", dict.fromkeys(machine().prices, WorkPrice(call=price)))
    s = settings(shards=2)
    toy = Toy()
    shards = toy.shards(s)
    services = shards.servers(s)
    makers = {name: partial(toy.process, name, s) for name in toy.processes(s, shards)}
    rows = Rows()
    with local_cluster(1, 4) as made, distributed.Client(made) as client:
        client.run(lambda path: __import__("sys").path.append(path), str(Path(__file__).parents[1]))
        paced = Cluster(client).paced(Cost(slow)).fitted(4, len(makers), lambda threads: {})
        paced.run(makers, services, rows.emit)

    assert np.array_equal(shards.collect(services), toy.run(s).theta)
    pushes = of_kind(rows, "push")
    times = sorted(row["seconds"] for row in pushes)
    assert times[-1] - times[0] >= price * (len(pushes) - 1)
    pieces = {row["process"]: row["pieces"] for row in of_kind(rows, "pace")}
    assert pieces["replica 0"] == len(pushes)

"""Laws of the executor: order, channels, services, rest, and what it says when it is stuck."""

from dataclasses import dataclass

import pytest

from workbench.engine import (
    CLOSED,
    NOT_YET,
    RESTING,
    All,
    Ask,
    Call,
    Close,
    Cost,
    Deadlock,
    Emit,
    Local,
    Machine,
    Now,
    Put,
    Rest,
    Service,
    Take,
    Work,
    WorkPrice,
)
from workbench.storage.rows import Row, UsageRow


@dataclass(frozen=True)
class Come(Call[int]):
    """A visitor; the reply is the number of visitors so far."""

    name: object


@dataclass(frozen=True)
class AwaitVisitors(Call[list]):
    """Wait for this many visitors; the reply is their names."""

    count: int


class Desk(Service):
    """A service that writes down who came."""

    def __init__(self):
        self.came = []

    def answer(self, call):
        if isinstance(call, Come):
            self.came.append(call.name)
            self.released += 1
            return len(self.came)
        return self.came[: call.count] if len(self.came) >= call.count else NOT_YET


@dataclass(frozen=True, kw_only=True)
class TimeRow(Row, kind="time"):
    """What time a process has been told that it is."""

    now: float


def seconds(**prices):
    """A clock on which one unit of each kind of work takes so many seconds, and nothing else takes any."""
    return Cost(Machine("test", "", {kind: WorkPrice(frame=s) for kind, s in prices.items()}))


def run(*processes, clock=None, services=None, rows=None, **more):
    named = {f"p{i}": p for i, p in enumerate(processes)}
    emit = ([] if rows is None else rows).append
    return Local(clock or seconds(step=1.0), more.pop("capacity", 2)).run(
        named, services or {}, emit, **more
    )


def steps(count, done, name):
    for i in range(count):
        yield Work(done.append, ((name, i),), 1, "step")


def test_equal_times_run_in_the_order_of_scheduling():
    """Processes of equal speed take turns, in the order in which they were given."""
    done = []
    out = run(steps(2, done, "a"), steps(2, done, "b"), steps(1, done, "c"))
    assert done == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1)]
    assert out.seconds == 2.0


def test_time_passes_only_for_those_who_work():
    """A row carries the time at which its process is; the others are not delayed."""

    def process(units):
        yield Work(int, (), units, "step")
        yield Emit(TimeRow(now=(yield Now())))

    rows = []
    run(process(3), process(1), rows=rows)
    assert [(r.process, r.seconds, r.now) for r in rows if isinstance(r, TimeRow)] == [
        ("p1", 1.0, 1.0),
        ("p0", 3.0, 3.0),
    ]


def test_a_bounded_channel_holds_its_putter_back():
    """A putter waits while the channel is full, a taker while it is empty; order is kept; closing ends the taker."""
    taken = []
    times = []

    def putter():
        for i in range(4):
            yield Put("c", i)
            times.append((yield Now()))
        yield Close("c")

    def taker():
        while True:
            yield Work(int, (), 1, "step")
            item = yield Take("c")
            if item is CLOSED:
                return
            taken.append(item)

    run(putter(), taker(), capacity=2)
    assert taken == [0, 1, 2, 3]
    assert times == [0.0, 0.0, 1.0, 2.0]


def test_putting_into_a_closed_channel_says_so():
    """Whoever puts into a channel that its taker has closed, or waits to, learns that the item was dropped."""
    answers = []

    def putter():
        for i in range(3):
            answers.append((yield Put("c", i)))

    def closer():
        yield Work(int, (), 1, "step")
        yield Close("c")

    run(putter(), closer(), capacity=1)
    assert answers == [1, CLOSED, CLOSED]


def test_a_service_serves_one_call_at_a_time():
    """Calls that arrive together are answered one after another; travel takes time, both ways."""
    machine = Machine("test", "", {}, latency=0.5, byte=0.25, serve_call=1.0)
    answers = []

    def caller(name):
        n = yield Ask("desk", Come(name), size=2, reply=0)
        answers.append((name, n, (yield Now())))

    run(caller("a"), caller("b"), clock=Cost(machine), services={"desk": Desk()})
    assert answers == [
        ("a", 1, 2.5),
        ("b", 2, 3.5),
    ]  # 0.5 + 2 * 0.25 there, 1 (or 2) served, 0.5 back


def test_a_call_that_is_not_yet_answered_waits():
    """NOT_YET keeps the caller waiting until the service has changed."""
    got = []

    def waiter():
        got.append((yield Ask("desk", AwaitVisitors(2))))

    def comer(name):
        yield Work(int, (), 1, "step")
        yield Ask("desk", Come(name))

    run(waiter(), comer("a"), comer("b"), services={"desk": Desk()})
    assert got == [["a", "b"]]


def test_all_asks_at_once():
    """The replies come in the order of the asks, when the last is there; no ask at all is answered at once."""
    got = []

    def process():
        got.append((yield All((Ask("one", Come("x")), Ask("two", Come("y"))))))
        got.append((yield All(())))

    run(process(), services={"one": Desk(), "two": Desk()})
    assert got == [[1, 1], []]


def test_a_deadlock_names_who_waits_for_what():
    """Every process that can never go on is named with its channel or service."""

    def taker():
        yield Take("nothing")

    def putter():
        yield Put("narrow", 1)
        yield Put("narrow", 2)

    def waiter():
        yield Ask("desk", AwaitVisitors(9))

    with pytest.raises(Deadlock) as caught:
        run(taker(), putter(), waiter(), services={"desk": Desk()}, capacity=1)
    assert str(caught.value) == (
        "p1 waits to put into 'narrow', which is full; p0 waits to take from 'nothing', which is empty; "
        "p2 waits for 'desk' to answer AwaitVisitors"
    )


def test_an_error_names_its_process():
    """What a process's work raises travels to the top with the name of the process and the time."""

    def process():
        yield Work(int, (), 2, "step")
        yield Work(int, ("no number",), 1, "step")

    with pytest.raises(ValueError, match="no number") as caught:
        run(process())
    assert caught.value.__notes__ == ["in process 'p0' at 2.0 s"]


def test_what_is_no_effect_is_refused():
    """A component can yield effects only."""

    def process():
        yield "something else"

    with pytest.raises(TypeError, match="not an effect: 'something else'"):
        run(process())


def counting(name, state=0):
    """Works for ever; its state is how far it is."""
    while not (yield Rest()):
        yield Work(int, (), 1, "step")
        state += 1
    return state


def test_a_run_comes_to_rest_and_goes_on():
    """At rest every process has returned its state; going on from states, channels and time equals one long run."""
    desk = Desk()

    def ticking(state=0):
        while state < 6:
            if (yield Rest()):
                return state
            yield Work(int, (), 1, "step")
            yield Ask("desk", Come(state))
            state += 1
        return state

    first = run(ticking(), services={"desk": desk}, rest=lambda: len(desk.came) >= 3)
    assert (first.returned, first.seconds, desk.came) == ({"p0": 3}, 3.0, [0, 1, 2])
    then = run(ticking(3), services={"desk": desk}, channels=first.channels, ticks=first.ticks)
    assert (then.returned, then.seconds, desk.came) == ({"p0": 6}, 6.0, [0, 1, 2, 3, 4, 5])


def test_nobody_waits_while_a_run_comes_to_rest():
    """Takers and callers are told RESTING, items beyond the capacity are kept: every process can return."""

    def taker():
        return (yield Take("empty"))

    def putter():
        for i in range(3):
            yield Put("full", i)
        return "put"

    def waiter():
        return (yield Ask("desk", AwaitVisitors(9)))

    def late():
        yield Work(int, (), 5, "step")
        return (yield Take("empty")), (yield Put("full", 3)), (yield Ask("desk", AwaitVisitors(9)))

    out = run(
        taker(),
        putter(),
        waiter(),
        late(),
        counting("p4"),
        services={"desk": Desk()},
        capacity=1,
        rest=iter([False, True]).__next__,
    )
    assert out.returned == {
        "p0": RESTING,
        "p1": "put",
        "p2": RESTING,
        "p3": (RESTING, 4, RESTING),
        "p4": 1,
    }
    assert out.channels["full"].items == (0, 1, 2, 3)


def test_a_stuck_run_may_come_to_rest_instead():
    """If rest is wanted just when all wait, that is no deadlock."""

    def taker():
        return (yield Take("empty"))

    assert run(taker(), rest=lambda: True).returned == {"p0": RESTING}


def test_usage_says_how_time_was_spent():
    """When a process returns, a row says how long it worked and waited; together that is all its time."""

    def putter():
        yield Work(int, (), 2, "step")
        yield Put("c", 1)

    def taker():
        yield Take("c")
        yield Work(int, (), 3, "step")

    rows = []
    run(putter(), taker(), rows=rows)
    by = {r.process: r for r in rows if isinstance(r, UsageRow)}
    assert (by["p1"].take_seconds, by["p1"].work_seconds, by["p1"].seconds) == (2.0, 3.0, 5.0)
    assert by["p0"].work_seconds == by["p0"].seconds == 2.0

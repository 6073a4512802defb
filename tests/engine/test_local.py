"""The local executor: order, channels, services, rest, and deadlocks."""

from dataclasses import dataclass, replace

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
from workbench.system.unchanging import unchanging


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


@unchanging(kw_only=True, slots=False)
class TimeRow(Row, kind="time"):
    """The time that a process was given."""

    now: float


def seconds(**prices):
    """A clock on which a unit of each kind of work takes so many seconds, and all else no time."""
    return Cost(Machine("test", "", {kind: WorkPrice(frame=s) for kind, s in prices.items()}))


def run(*processes, clock=None, capacity=2, services=None, rows=None, **more):
    """Run processes named p0, p1, ..., by default on a clock on which a step takes a second."""
    named = {f"p{i}": process for i, process in enumerate(processes)}
    emit = ([] if rows is None else rows).append
    executor = Local(clock or seconds(step=1.0), capacity)
    return executor.run(named, services or {}, emit, **more)


def steps(count, done, name):
    """A process of so many steps, each of which is noted in ``done``."""
    for i in range(count):
        yield Work(done.append, ((name, i),), 1, "step")


def test_equal_times_run_in_the_order_of_scheduling():
    """Processes of equal speed take turns, in the order in which they were given."""
    done = []
    out = run(steps(2, done, "a"), steps(2, done, "b"), steps(1, done, "c"))
    assert done == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1)]
    assert out.seconds == 2.0


def test_what_was_scheduled_earlier_for_a_time_comes_before_what_is_scheduled_then():
    """An answer at once comes after work of others that ends at the same time."""
    done = []

    def asking():
        yield Work(done.append, ("a works",), 1, "step")
        yield Ask("desk", Come("a"))
        done.append("a is answered")

    def working():
        yield Work(int, (), 1, "step")
        done.append("b has worked")

    run(asking(), working(), services={"desk": Desk()})
    assert done == ["a works", "b has worked", "a is answered"]


def test_time_passes_only_for_processes_that_work():
    """A row carries the time of its process, and other processes are not delayed."""

    def process(units):
        yield Work(int, (), units, "step")
        yield Emit(TimeRow(now=(yield Now())))

    rows = []
    run(process(3), process(1), rows=rows)
    times = [(row.process, row.seconds, row.now) for row in rows if isinstance(row, TimeRow)]
    assert times == [("p1", 1.0, 1.0), ("p0", 3.0, 3.0)]


def test_a_bounded_channel_holds_its_putter_back():
    """Items keep their order, and a putter waits while the channel is full."""
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


def test_putting_into_a_closed_channel_is_answered_closed():
    """A process that puts, or waits to put, into a channel that is closed gets CLOSED."""
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
    """Calls that arrive together are answered one after the other; travel takes time, both ways."""
    machine = Machine("test", "", {}, latency=0.5, byte=0.25, serve_call=1.0)
    answers = []

    def caller(name):
        n = yield Ask("desk", Come(name), size=2, reply=0)
        answers.append((name, n, (yield Now())))

    run(caller("a"), caller("b"), clock=Cost(machine), services={"desk": Desk()})
    there = 0.5 + 2 * 0.25
    back = 0.5
    assert answers == [("a", 1, there + 1.0 + back), ("b", 2, there + 2.0 + back)]


SECOND_PER_BYTE = Machine("test", "", {}, byte=1.0)


def caller(answers, name, asks):
    """Makes calls all at once, and notes when all are answered."""

    def process():
        yield All(tuple(asks))
        answers[name] = yield Now()

    return process()


def come(service, size=0, reply=0):
    """A call with data."""
    return Ask(service, Come("x"), size, reply)


@pytest.mark.parametrize("sent, received", [(3, 0), (0, 3), (3, 3)])
@pytest.mark.parametrize("processes", [1, 4, 10])
def test_messages_share_the_link_of_a_service(sent, received, processes):
    """A service takes in, and gives out, no more bytes a second than its link carries."""
    answers = {}
    callers = [caller(answers, i, [come("desk", sent, received)]) for i in range(processes)]
    run(*callers, clock=Cost(SECOND_PER_BYTE), services={"desk": Desk()})
    one_way = max(sent, received)
    first = sent + received
    assert sorted(answers.values()) == [first + i * one_way for i in range(processes)]


def test_messages_share_the_link_of_a_process():
    """A process that asks several services at once gets all it gets by one link."""
    answers = {}
    desks = {f"desk {i}": Desk() for i in range(4)}
    fetch = caller(answers, "fetch", [come(name, reply=2) for name in desks])
    push = caller(answers, "push", [come(name, size=2) for name in desks])
    run(fetch, push, clock=Cost(SECOND_PER_BYTE), services=desks)
    assert answers == {"fetch": 8.0, "push": 8.0}  # both at once: links have two directions


def test_services_have_links_of_their_own():
    """Two services carry twice what one carries, and a message without data waits for nobody."""
    answers = {}
    desks = {f"desk {i}": Desk() for i in range(2)}
    callers = [caller(answers, i, [come(f"desk {i % 2}", size=5)]) for i in range(4)]
    callers.append(caller(answers, "no data", [come("desk 0")]))
    run(*callers, clock=Cost(SECOND_PER_BYTE), services=desks)
    assert answers == {0: 5.0, 1: 5.0, 2: 10.0, 3: 10.0, "no data": 0.0}


def test_a_link_is_not_kept_for_a_message_that_has_not_come():
    """A message that its sender has not begun to send takes nobody's turn at the receiver."""
    answers = {}
    desks = {"near": Desk(), "far": Desk()}
    busy = caller(answers, "busy", [come("near", size=10), come("far", size=10)])

    def later():
        yield Work(int, (), 2, "step")
        yield come("far", size=3)
        answers["later"] = yield Now()

    machine = replace(SECOND_PER_BYTE, prices={"step": WorkPrice(frame=1.0)})
    run(busy, later(), clock=Cost(machine), services=desks)
    assert answers == {"later": 5.0, "busy": 20.0}


def test_the_use_of_a_services_link_is_recorded():
    """The row of a service says how long its link sent and received."""
    rows = []
    callers = [caller({}, i, [come("desk", 2, 5)]) for i in range(3)]
    run(*callers, clock=Cost(SECOND_PER_BYTE), services={"desk": Desk()}, rows=rows)
    usage = {row.process: row for row in rows if isinstance(row, UsageRow)}
    assert usage["desk"].receiving_seconds == 6.0
    assert usage["desk"].sending_seconds == 15.0
    assert usage["p0"].sending_seconds is None


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
    """The replies have the order of the calls; no call at all is answered at once."""
    got = []

    def process():
        got.append((yield All((Ask("one", Come("x")), Ask("two", Come("y"))))))
        got.append((yield All(())))

    run(process(), services={"one": Desk(), "two": Desk()})
    assert got == [[1, 1], []]


def test_a_deadlock_names_each_process_and_what_it_waits_for():
    """The error names every process that waits, with its channel or service."""

    def taker():
        yield Take("nothing")

    def putter():
        yield Put("narrow", 1)
        yield Put("narrow", 2)

    def waiter():
        yield Ask("desk", AwaitVisitors(9))

    with pytest.raises(Deadlock) as caught:
        run(taker(), putter(), waiter(), services={"desk": Desk()}, capacity=1)
    assert str(caught.value).split("; ") == [
        "p1 waits to put into 'narrow', which is full",
        "p0 waits to take from 'nothing', which is empty",
        "p2 waits for 'desk' to answer AwaitVisitors",
    ]


def test_an_error_names_its_process():
    """An error in work is raised with a note of the process and the time."""

    def process():
        yield Work(int, (), 2, "step")
        yield Work(int, ("no number",), 1, "step")

    with pytest.raises(ValueError, match="no number") as caught:
        run(process())
    assert caught.value.__notes__ == ["in process 'p0' at 2.0 s"]


def test_only_effects_may_be_yielded():
    """A process that yields something else is a TypeError that shows it."""

    def process():
        yield "something else"

    with pytest.raises(TypeError, match="not an effect: 'something else'"):
        run(process())


def counting(state=0):
    """A process without end; its state is the number of its steps."""
    while not (yield Rest()):
        yield Work(int, (), 1, "step")
        state += 1
    return state


def test_a_run_comes_to_rest_and_is_resumed():
    """A run resumed from its states and time equals one long run."""
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
    assert (first.returned, first.seconds) == ({"p0": 3}, 3.0)
    assert desk.came == [0, 1, 2]

    then = run(ticking(3), services={"desk": desk}, channels=first.channels, ticks=first.ticks)
    assert (then.returned, then.seconds) == ({"p0": 6}, 6.0)
    assert desk.came == [0, 1, 2, 3, 4, 5]


def test_no_process_waits_while_a_run_comes_to_rest():
    """Takers and callers get RESTING, and items beyond the capacity are kept."""

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
        taken = yield Take("empty")
        queue = yield Put("full", 3)
        reply = yield Ask("desk", AwaitVisitors(9))
        return taken, queue, reply

    out = run(
        taker(),
        putter(),
        waiter(),
        late(),
        counting(),
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


def test_a_channel_that_is_first_used_at_rest_lets_nobody_wait():
    """A process that was busy until the run rested does not wait for those that have returned."""

    def resting():
        assert (yield Rest())

    def late():
        yield Work(int, (), 5, "step")
        return (yield Take("nobody puts here"))

    assert run(resting(), late(), rest=lambda: True).returned["p1"] is RESTING


def test_a_stuck_run_may_come_to_rest_instead():
    """If the run shall rest when all processes wait, that is no deadlock."""

    def taker():
        return (yield Take("empty"))

    assert run(taker(), rest=lambda: True).returned == {"p0": RESTING}


def test_usage_is_how_time_was_spent():
    """A process's row has its times of work and waiting; together they are all its time."""

    def putter():
        yield Work(int, (), 2, "step")
        yield Put("c", 1)

    def taker():
        yield Take("c")
        yield Work(int, (), 3, "step")

    rows = []
    run(putter(), taker(), rows=rows)
    usage = {row.process: row for row in rows if isinstance(row, UsageRow)}
    assert usage["p0"].work_seconds == usage["p0"].seconds == 2.0
    assert usage["p1"].take_seconds == 2.0
    assert usage["p1"].work_seconds == 3.0
    assert usage["p1"].seconds == 5.0

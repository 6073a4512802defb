"""Laws of record and replay: whatever ran, and however it raced, is done again on one thread, digest by digest."""

import json
from functools import partial

import numpy as np
import pytest
from toy import Rows, Toy, of_kind, settings, trace_rows

from workbench.engine import Cost, Local, load_machine, measured
from workbench.engine.trace import (
    Difference,
    Trace,
    read_traces,
    wrap_for_recording,
    wrap_for_replay,
)

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)


def segments(s, executor, wrap, every=10**9):
    """Run from rest to rest, each segment's processes and services wrapped; the parameters and all rows."""
    shards = TOY.shards(s)
    rows = Rows()
    services = shards.servers(s)
    states = {}
    channels = None
    ticks = 0
    number = 0
    while not (states and all(state.finished for state in states.values())):
        makers = {name: partial(TOY.process, name, s, states) for name in TOY.processes(s, shards)}
        makers, wrapped = wrap(makers, services, number)
        due = (number + 1) * every
        out = executor.run(
            makers,
            wrapped,
            rows.emit,
            lambda due=due: services["server 0"].frames >= due,
            channels,
            ticks,
        )
        states = out.returned
        channels = out.channels
        ticks = out.ticks
        number = number + 1
    return shards.collect(services), rows


def replayed(s, traces):
    executor = Local(capacity=10**9)
    return segments(
        s,
        executor,
        lambda makers, services, number: wrap_for_replay(makers, services, traces[number]),
    )


def recorded(s, clock, every=10**9):
    theta, rows = segments(
        s, Local(clock, s.asynchrony.channel), partial(wrap_for_recording, digest_every=1), every
    )
    return theta, json.loads(json.dumps(rows))


CASES = [
    dict(replicas=5, shards=3),
    dict(replicas=4, shards=2, criterion="mmi", decoder_fetch="utterances"),
    dict(
        replicas=3,
        criterion="mmi",
        decoder_fetch="seconds",
        decoder_seconds=0.001,
        auxiliary="fresh",
    ),
    dict(replicas=4, shards=2, consistent_fetch=True, staleness_bound=2),
    dict(replicas=4, shards=2, prefetch=True, criterion="mmi"),
    dict(
        replicas=4,
        shards=2,
        synchronous=True,
        backups=1,
        patience=1,
        decays=0,
        flat=0.4,
        epochs=9.0,
    ),
]


@pytest.mark.parametrize("changes", CASES, ids=str)
@pytest.mark.parametrize("clock", [measured, PAPER], ids=["measured", "cost"])
def test_a_replay_gives_the_same_parameters(changes, clock):
    """A run on a clock that no one can repeat is repeated from its trace, with every digest of every push."""
    s = settings(**changes)
    theta, rows = recorded(s, clock)
    again, replay_rows = replayed(s, read_traces(trace_rows(rows)))
    assert np.array_equal(theta, again)
    one, two = ([{**r, "seconds": 0} for r in of_kind(rs, "push")] for rs in (rows, replay_rows))
    assert sorted(map(str, one)) == sorted(map(str, two))
    assert len(one) > 10


def test_a_run_with_rests_is_replayed_segment_by_segment():
    """Rests are part of what is recorded."""
    s = settings(replicas=4, shards=2, criterion="mmi")
    theta, rows = recorded(s, measured, every=100)
    traces = read_traces(trace_rows(rows))
    assert len(traces) > 3
    assert np.array_equal(replayed(s, traces)[0], theta)


def test_recording_changes_nothing():
    """A recorded run on a virtual clock gives the parameters of one that is not recorded."""
    s = settings(replicas=4, shards=2, criterion="mmi")
    assert np.array_equal(recorded(s, PAPER)[0], TOY.run(s, PAPER)[0])


def test_the_first_difference_is_located():
    """A replay with another learning rate, or of a trace with one wrong digest, names the answer where it differs."""
    s = settings(replicas=3)
    _, rows = recorded(s, PAPER)
    traces = read_traces(trace_rows(rows))
    with pytest.raises(
        Difference, match=r"answer \d+ of server 0, to replica \d: the state after Push differs"
    ):
        replayed(s.replace(learning_rate=0.05), traces)
    order = list(traces[0].orders["server 0"])
    at = [i for i, (_, digest) in enumerate(order) if digest][20]
    order[at] = order[at]._replace(digest="0123456789ab")
    spoilt = Trace(traces[0].entries, {"server 0": order})
    with pytest.raises(Difference, match=f"answer {at} of server 0, to {order[at].process}"):
        replayed(s, {0: spoilt})


def test_a_component_that_does_something_else_is_found():
    """Where a process wants more than was recorded, it is named with what it wants."""
    s = settings(replicas=2)
    traces = read_traces(trace_rows(recorded(s, PAPER)[1]))
    entries = {**traces[0].entries, "replica 1": traces[0].entries["replica 1"][:-9]}
    with pytest.raises(Difference, match=r"replica 1 yields \w+, but the record has the end"):
        replayed(s, {0: Trace(entries, traces[0].orders)})


def test_a_record_with_holes_is_refused():
    """If rows of a process are missing, the order of the service's answers is not known."""
    _, rows = recorded(settings(replicas=2), PAPER)
    with pytest.raises(ValueError, match="the record of server 0 is not complete"):
        read_traces([r for r in trace_rows(rows) if r.process != "replica 1"])

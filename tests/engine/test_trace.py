"""Record and replay: a run that cannot be repeated is repeated from its trace, digest by digest."""

import json
from functools import partial

import numpy as np
import pytest
from toy import Rows, Toy, has_ended, of_kind, settings, trace_rows

from workbench.engine import Cost, Local, load_machine, measured
from workbench.engine.trace import (
    Difference,
    Trace,
    read_traces,
    wrap_for_recording,
    wrap_for_replay,
)
from workbench.storage.rows import TraceRow
from workbench.training import Checkpoint

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)


def run_segments(s, executor, wrap, every):
    """Run from rest to rest, each segment wrapped; return parameters and rows."""
    shards = TOY.shards(s)
    services = shards.servers(s)
    first = services["server 0"]
    rows = Rows()
    at = Checkpoint()
    segment = 0
    while not has_ended(at):
        names = TOY.processes(s, shards)
        makers = {name: partial(TOY.process, name, s, at.states) for name in names}
        processes, wrapped = wrap(makers, services, segment)
        segment += 1
        rest = partial(has_visited, first, segment * every)
        out = executor.run(processes, wrapped, rows.emit, rest, at.channels, at.ticks)
        at = Checkpoint(segment, out.returned, out.channels, out.ticks)
    return shards.collect(services), rows


def has_visited(server, frames):
    """Whether the replicas have visited this many frames."""
    return server.frames >= frames


def record(s, clock, every=10**9):
    """Run on this clock and record: (parameters, rows as they are read from a file)."""
    wrap = partial(wrap_for_recording, digest_every=1)
    theta, rows = run_segments(s, Local(clock, s.asynchrony.channel), wrap, every)
    return theta, json.loads(json.dumps(rows))


def replay(s, traces, every=10**9):
    """Repeat the recorded segments: (parameters, rows)."""

    def wrap(makers, services, segment):
        return wrap_for_replay(makers, services, traces[segment])

    return run_segments(s, Local(capacity=10**9), wrap, every)


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
    """A run on any clock is repeated from its trace, with every digest after every push."""
    s = settings(**changes)
    theta, rows = record(s, clock)
    again, replay_rows = replay(s, read_traces(trace_rows(rows)))
    assert np.array_equal(theta, again)
    one, two = ([{**r, "seconds": 0} for r in of_kind(rs, "push")] for rs in (rows, replay_rows))
    assert sorted(map(str, one)) == sorted(map(str, two))
    assert len(one) > 10


def test_a_run_with_rests_is_replayed_segment_by_segment():
    """Each segment from rest to rest is recorded and repeated."""
    s = settings(replicas=4, shards=2, criterion="mmi")
    theta, rows = record(s, measured, every=100)
    traces = read_traces(trace_rows(rows))
    assert len(traces) > 3
    assert np.array_equal(replay(s, traces)[0], theta)


def test_recording_changes_nothing():
    """A recorded run on a virtual clock gives the parameters of one that is not recorded."""
    s = settings(replicas=4, shards=2, criterion="mmi")
    assert np.array_equal(record(s, PAPER)[0], TOY.run(s, PAPER)[0])


def test_the_first_difference_is_located():
    """With another learning rate or a wrong digest, the first different answer is named."""
    s = settings(replicas=3)
    _, rows = record(s, PAPER)
    traces = read_traces(trace_rows(rows))
    with pytest.raises(
        Difference, match=r"answer \d+ of server 0, to replica \d: the state after Push differs"
    ):
        replay(s.replace(learning_rate=0.05), traces)
    order = list(traces[0].orders["server 0"])
    at = [i for i, (_, digest) in enumerate(order) if digest][20]
    order[at] = order[at]._replace(digest="0123456789ab")
    spoilt = Trace(traces[0].entries, {"server 0": order})
    with pytest.raises(Difference, match=f"answer {at} of server 0, to {order[at].process}"):
        replay(s, {0: spoilt})


def test_a_component_that_does_something_else_is_found():
    """A process that yields more than was recorded is named with its effect."""
    s = settings(replicas=2)
    traces = read_traces(trace_rows(record(s, PAPER)[1]))
    entries = {**traces[0].entries, "replica 1": traces[0].entries["replica 1"][:-9]}
    with pytest.raises(Difference, match=r"replica 1 yields \w+, but the record has the end"):
        replay(s, {0: Trace(entries, traces[0].orders)})


def test_an_incomplete_record_is_refused():
    """If rows of a process are missing, the service with unknown turns is named."""
    _, rows = record(settings(replicas=2), PAPER)
    with pytest.raises(ValueError, match="the record of server 0 is not complete"):
        read_traces([r for r in trace_rows(rows) if r.process != "replica 1"])


@pytest.mark.parametrize("value", [[["server 0", "first", ""]], ["server 0"], {"server 0": 1}])
def test_a_damaged_record_is_refused(value: object):
    """An answer that no recording writes is an error, not a call that is passed over."""
    row = TraceRow(process="replica 0", segment=0, entries=(["Ask", value],))
    with pytest.raises(ValueError, match="damaged"):
        read_traces([row])

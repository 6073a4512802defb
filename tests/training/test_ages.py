"""Ages in seconds: they count the journeys of parameters and of pushes."""

from dataclasses import replace

import numpy as np
import pytest
from toy import Toy, of_kind, settings

from workbench.engine import Cost, load_machine
from workbench.training import Shards
from workbench.training.client import ParameterClient
from workbench.training.messages import Snapshot

TOY = Toy()
MACHINE = replace(
    load_machine("paper"),
    byte=1e-3,
    latency=0.002,
    network_jitter=0.0,
    jitter=0.0,
    pause_every=0.0,
    straggler_share=0.0,
)
WIDE = Cost(MACHINE, 1)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [dict(), dict(fetch_every=3), dict(shards=3, prefetch=True)])
def test_ages_in_seconds_are_ages_in_updates_at_the_rate_of_updates(changes):
    """Little's law: while parameters travel and are used, the server makes its updates."""
    rows = TOY.run(settings(replicas=12, epochs=12.0, shuffling="none", **changes), WIDE).rows
    pushes = of_kind(rows, "push")
    middle = pushes[len(pushes) // 4 : -len(pushes) // 4]
    rate = len(middle) / (middle[-1]["seconds"] - middle[0]["seconds"])
    age = np.mean([row["inner_seconds"] for row in middle])
    others = np.mean([row["staleness_inner"] for row in middle])
    assert rate * age == pytest.approx(others + 1, rel=0.06)


def test_the_age_of_a_push_has_both_journeys():
    """Alone, a push is as old as a whole cycle of fetch, gradient and push."""
    rows = TOY.run(settings(replicas=1, epochs=2.0, shuffling="none"), WIDE, measure=False).rows
    pushes = of_kind(rows, "push")
    cycles = np.diff([row["seconds"] for row in pushes])
    np.testing.assert_allclose([row["inner_seconds"] for row in pushes[1:]], cycles, atol=2e-6)
    assert cycles.min() > 2 * TOY.theta.nbytes * MACHINE.byte + 4 * MACHINE.latency


@pytest.mark.parametrize("shards", [1, 3])
def test_waiting_for_others_does_not_age_parameters(shards):
    """Where an update waits for a straggler, parameters are dated by the push that made them."""
    machine = replace(MACHINE, straggler_share=0.3, straggler_factor=20.0)
    s = settings(synchronous=True, replicas=6, shards=shards, epochs=4.0, shuffling="none")
    pushes = of_kind(TOY.run(s, Cost(machine, 3)).rows, "push")
    ages = {row["replica"]: row["inner_seconds"] for row in pushes if 0 < row["step"] < 3}
    assert max(ages.values()) > 3 * min(ages.values())


@pytest.mark.parametrize("answered, date", [(3.0, 7.0), (12.0, 12.0)])
def test_parameters_are_dated_by_when_they_were_current(answered, date):
    """When they were asked for, or later, when the fetch had to wait for them; not on arrival."""
    client = ParameterClient(Shards.split(TOY.theta), settings().asynchrony, "replica 0")
    fetch = client.fetch()
    next(fetch)
    fetch.send(7.0)
    with pytest.raises(StopIteration) as end:
        fetch.send([Snapshot(4, TOY.theta, seconds=answered)])
    assert end.value.value.seconds == date


def test_a_common_fetch_has_the_date_of_its_first_caller():
    """The decoder that asks first dates the parameters for all; the oldest shard counts."""
    shards = Shards.split(TOY.theta, count=2)
    s = settings(criterion="mmi", shards=2)
    servers = shards.servers(s)
    dates = []
    for asked in (20.5, 23.0, 29.0):
        fetch = ParameterClient(shards, s.asynchrony).fetch_instant(1)
        next(fetch)
        calls = fetch.send(asked)
        with pytest.raises(StopIteration) as end:
            fetch.send([servers[ask.service].answer(ask.call) for ask in calls.asks])
        dates.append(end.value.value.seconds)

    assert dates == [20.5, 20.5, 20.5]

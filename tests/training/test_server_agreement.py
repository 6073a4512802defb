"""The parameter server where replicas or shards must agree."""

import numpy as np
import pytest
from pushes import THETA, G, a_push, a_server

from workbench.engine import NOT_YET
from workbench.training import ParameterServer, PushStatus, pack, unpack
from workbench.training.messages import (
    AwaitFrames,
    Decay,
    EndTraining,
    Fetch,
    FetchAt,
    FetchInstant,
    FetchNext,
    Leave,
    TrainingProgress,
)


def test_a_synchronous_update_waits_for_all():
    """The update is the mean over all replicas' frames, made when the last has pushed."""
    server = a_server(synchronous=True, replicas=3)
    for subset, weight in enumerate((2, 6, 8)):
        assert server.fetch_next("", 1) is NOT_YET
        ack = server.push(a_push(0, G * subset, subset=subset, weight=weight))
        assert ack.status is PushStatus.APPLIED
    assert server.version == 1
    assert server.released > 0
    np.testing.assert_allclose(
        server.fetch_next("", 1).value, THETA + 0.1 * G * (6 + 16) / 16, rtol=1e-6
    )


def test_backups_are_not_waited_for():
    """With one backup of three, the third push is dropped, but its frames count."""
    server = a_server(synchronous=True, replicas=3, backups=1)
    for subset in range(2):
        server.push(a_push(0, subset=subset, frames=4))
    assert server.version == 1
    assert server.push(a_push(0, subset=2, frames=4)).status is PushStatus.LATE
    assert (server.version, server.frames) == (1, 12)


def test_a_bad_gradient_does_not_block_a_synchronous_update():
    """A gradient that is not finite is an empty part of the update."""
    server = a_server(synchronous=True, replicas=2)
    assert server.push(a_push(0, np.full(3, np.nan, np.float32))).status is PushStatus.REJECTED
    server.push(a_push(0, subset=1))
    np.testing.assert_allclose(server.fetch().value, THETA + 0.1 * G, rtol=1e-6)


def test_a_replica_that_has_left_is_not_waited_for():
    """Leaving completes an update that waited for this replica; twice is once."""
    server = a_server(synchronous=True, replicas=2)
    server.push(a_push(0))
    assert server.leave("replica 1", 7) == server.leave("replica 1", 7) == 0
    assert (server.version, server.frames) == (1, 7)


def test_followers_apply_in_the_order_of_the_first_shard():
    """Pushes that overtake others wait for them, and lead to the parameters of the first shard."""
    first = a_server()
    follower = a_server()
    gradients = [np.float32(i + 1) * G for i in range(4)]
    for step, g in enumerate(gradients):
        first.push(a_push(step, g, version=step))
    for step in (2, 0, 3, 1):
        follower.push(a_push(step, gradients[step], version=0, order=step))
        again = follower.push(a_push(step, gradients[step], order=step))
        assert again.status is PushStatus.DUPLICATE
    assert follower.digest() == first.digest()


def test_a_version_can_be_asked_for_exactly():
    """fetch_at waits for a later version, has a few old ones, and returns None for older ones."""
    server = a_server(consistent_fetch=True, replicas=2)
    assert server.fetch_at("", 1) is NOT_YET
    values = [server.fetch_at("", 0).value]
    for step in range(8):
        server.push(a_push(step, version=step))
        values.append(server.fetch_at("", step + 1).value)
    assert np.array_equal(server.fetch_at("", 4).value, values[4])
    assert server.fetch_at("", 4).version == 4
    assert server.fetch_at("", 0) is None


def test_a_common_fetch_is_the_same_for_all():
    """The first decoder that asks for an instant fixes the parameters that all get for it."""
    server = a_server()
    first = server.fetch_instant(1, 0.0)
    server.push(a_push(0))
    assert server.fetch_instant(1, 0.0) is first
    assert server.fetch_instant(2, 0.0).version == 1


def test_progress_is_reported_when_it_is_reached():
    """A call that waits for frames is answered when they were visited, or when no more will be."""
    server = a_server(replicas=1)
    assert server.progress_at(5) is NOT_YET
    before = server.released
    server.push(a_push(0, frames=4))
    assert server.released == before
    assert server.progress_at(5) is NOT_YET
    server.push(a_push(1, frames=4))
    assert server.released > before
    assert server.progress_at(5) == TrainingProgress(2, 8, False)
    assert server.progress_at(99) is NOT_YET
    server.leave("replica 0")
    assert server.progress_at(99) == TrainingProgress(2, 8, True)


def test_after_the_end_nothing_changes():
    """After the end, fetches and pushes report it, and a push changes nothing."""
    server = a_server()
    server.end()
    ack = server.push(a_push(0, frames=3))
    assert (ack.status, ack.ended) == (PushStatus.ENDED, True)
    assert (server.version, server.frames) == (0, 0)
    assert server.fetch().ended
    assert server.fetch_next("", 5).ended
    assert server.fetch_instant(3, 0.0).ended


@pytest.mark.parametrize(
    "changes",
    [
        dict(optimizer="adagrad"),
        dict(optimizer="momentum", delay_compensation=0.5),
        dict(synchronous=True, replicas=2),
        dict(staleness_step=True, warmup=5),
        dict(consistent_fetch=True),
    ],
)
def test_a_server_resumes_from_its_state(changes):
    """From its saved state a server does the same with the same pushes."""
    server = a_server(**changes)
    for step in range(3):
        server.fetch("replica 0")
        server.push(a_push(step, version=server.version, subset=0, frames=2))
    server.fetch_instant(1, 0.0)
    server.decay(1)
    again = ParameterServer(unpack(pack(server.state())), server.settings)
    for s in (server, again):
        assert s.push(a_push(2)).status is PushStatus.DUPLICATE
        for step in range(3, 6):
            s.push(a_push(step, G * step, version=s.version, subset=step % 2, frames=2))
    assert again.digest() == server.digest()
    assert again.frames == server.frames
    assert again.fetch_instant(1, 0.0).version == server.fetch_instant(1, 0.0).version


def test_calls_are_answered_by_their_type():
    """Each message leads to the reply of its type; another message is refused by name."""
    server = a_server(replicas=1)
    assert server.answer(Fetch()).version == 0
    assert server.answer(a_push(0, frames=5)).status is PushStatus.APPLIED
    assert server.answer(FetchNext("", 1)).version == 1
    assert server.answer(FetchNext("", 2)) is NOT_YET
    assert server.answer(FetchAt("", 1)).version == 1
    assert server.answer(FetchInstant(0, 0.0)).version == 1
    assert server.answer(AwaitFrames(5)) == TrainingProgress(1, 5, False)
    assert server.answer(Decay(2)) is None
    assert server.decays == 2
    assert server.answer(Leave("replica 0", 3)) == 1
    assert server.frames == 8
    assert server.answer(EndTraining()) is None
    assert server.ended
    with pytest.raises(TypeError, match="the parameter server does not answer TrainingProgress"):
        server.answer(TrainingProgress(0, 0, False))

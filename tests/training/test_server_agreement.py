"""Laws of the parameter server where replicas or shards must agree: synchronous updates, order, common fetches."""

import numpy as np
import pytest
from pushes import THETA, G, a_push, a_server

from workbench.engine import NOT_YET
from workbench.training import ParameterServer, PushStatus, pack, unpack
from workbench.training.messages import TrainingProgress


def test_a_synchronous_update_waits_for_all():
    """The update is the mean over all frames of all replicas, and comes when the last has pushed."""
    server = a_server(synchronous=True, replicas=3)
    for subset, weight in enumerate((2, 6, 8)):
        assert server.fetch_next("", 1) is NOT_YET
        assert (
            server.push(a_push(0, G * subset, subset=subset, weight=weight)).status
            is PushStatus.APPLIED
        )
    assert server.version == 1
    assert server.released > 0
    np.testing.assert_allclose(
        server.fetch_next("", 1).value, THETA + 0.1 * G * (6 + 16) / 16, rtol=1e-6
    )


def test_backups_are_not_waited_for():
    """With one backup of three, two pushes make the update and the third is late: dropped, but its frames count."""
    server = a_server(synchronous=True, replicas=3, backups=1)
    for subset in range(2):
        server.push(a_push(0, subset=subset, frames=4))
    assert server.version == 1
    assert server.push(a_push(0, subset=2, frames=4)).status is PushStatus.LATE
    assert (server.version, server.frames) == (1, 12)


def test_a_bad_gradient_does_not_block_a_synchronous_update():
    """It is an empty part of the update."""
    server = a_server(synchronous=True, replicas=2)
    assert server.push(a_push(0, np.full(3, np.nan, np.float32))).status is PushStatus.REJECTED
    server.push(a_push(0, subset=1))
    np.testing.assert_allclose(server.fetch().value, THETA + 0.1 * G, rtol=1e-6)


def test_who_has_left_is_not_waited_for():
    """A replica that leaves completes the update that waited for it alone; leaving twice is leaving once."""
    server = a_server(synchronous=True, replicas=2)
    server.push(a_push(0))
    assert server.leave("replica 1", 7) == server.leave("replica 1", 7) == 0
    assert (server.version, server.frames) == (1, 7)


def test_followers_apply_in_the_order_of_the_first_shard():
    """Pushes that overtake others wait for them, and end in the same parameters."""
    first = a_server()
    follower = a_server()
    gradients = [np.float32(i + 1) * G for i in range(4)]
    for step, g in enumerate(gradients):
        first.push(a_push(step, g, version=step))
    for step in (2, 0, 3, 1):
        follower.push(a_push(step, gradients[step], version=0, order=step))
        assert (
            follower.push(a_push(step, gradients[step], order=step)).status is PushStatus.DUPLICATE
        )
    assert follower.digest() == first.digest()


def test_a_version_can_be_asked_for_exactly():
    """fetch_at waits for a version that is not there yet, remembers a few old ones, and forgets the oldest."""
    server = a_server(consistent_fetch=True, replicas=2)
    assert server.fetch_at("", 1) is NOT_YET
    values = [server.fetch_at("", 0).value]
    for step in range(8):
        server.push(a_push(step, version=step))
        values.append(server.fetch_at("", step + 1).value)
    assert np.array_equal(server.fetch_at("", 4).value, values[4])
    assert server.fetch_at("", 4).version == 4
    assert server.fetch_at("", 0) is None


def test_a_common_fetch_gives_all_the_same():
    """Whoever asks first for an instant fixes what all the others get for it."""
    server = a_server()
    first = server.fetch_instant(1)
    server.push(a_push(0))
    assert server.fetch_instant(1) is first
    assert server.fetch_instant(2).version == 1


def test_progress_is_told_when_it_is_reached():
    """Who waits for a number of frames is answered when they are visited, or when no more will come."""
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
    """Fetches say that training has ended, pushes are answered so and change nothing."""
    server = a_server()
    server.end()
    ack = server.push(a_push(0, frames=3))
    assert (ack.status, ack.ended, server.version, server.frames) == (PushStatus.ENDED, True, 0, 0)
    assert server.fetch().ended
    assert server.fetch_next("", 5).ended
    assert server.fetch_instant(3).ended


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
def test_a_server_goes_on_from_its_state(changes):
    """Made again from its saved state it does the same with the same pushes, and still knows what was settled."""
    server = a_server(**changes)
    for step in range(3):
        server.fetch("replica 0")
        server.push(a_push(step, version=server.version, subset=0, frames=2))
    server.fetch_instant(1)
    server.decay(1)
    again = ParameterServer(unpack(pack(server.state())), server.settings)
    for s in (server, again):
        assert s.push(a_push(2)).status is PushStatus.DUPLICATE
        for step in range(3, 6):
            s.push(a_push(step, G * step, version=s.version, subset=step % 2, frames=2))
    assert again.digest() == server.digest()
    assert again.frames == server.frames
    assert again.fetch_instant(1).version == server.fetch_instant(1).version

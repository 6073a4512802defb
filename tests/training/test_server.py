"""The parameter server: what a push changes, what it never changes, and what is counted."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pushes import THETA, G, a_push, a_server

from workbench.system import memory
from workbench.training import Diverged, Item, PushStatus
from workbench.training.ledger import Ledger
from workbench.training.messages import Fetch
from workbench.training.updates import LARGEST_CHANGE, Step, add_scaled


@pytest.fixture(autouse=True, scope="module")
def pool():
    """Even the smallest parameters lie in memory that is used again."""
    before = memory.use(memory.Pool(reused_bytes=0))
    yield
    memory.use(before)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=60))
def test_the_ledger_is_a_set(items):
    """The ledger holds exactly the items that were added; its state makes an equal one."""
    ledger = Ledger()
    for subset, step in items:
        if Item(subset, step) not in ledger:
            ledger.add(Item(subset, step))
    for other in (ledger, Ledger(*ledger.state())):
        assert len(other) == len(set(items))
        assert all(
            (Item(a, b) in other) == ((a, b) in set(items)) for a in range(3) for b in range(14)
        )


def test_the_ledger_collapses():
    """The steps of a subset that are settled without gaps take one number, whatever their order."""
    ledger = Ledger()
    for step in np.random.default_rng(0).permutation(500).tolist():
        ledger.add(Item(0, step))
    assert (ledger.below, ledger.beyond) == ({0: 500}, set())


def test_sgd_is_theta_plus_rate_times_gradient():
    """An update has the bits of the formula in float32."""
    server = a_server(learning_rate=0.3)
    theta = THETA.copy()
    for step in range(5):
        if step % 2:
            server.fetch()
        assert server.push(a_push(step, version=step)).status is PushStatus.APPLIED
        theta = theta + np.float32(0.3) * G
    assert np.array_equal(server.fetch().value, theta)
    assert server.version == 5


def test_momentum():
    """The memory is m = mu m + g, and the update theta + rate m."""
    server = a_server(optimizer="momentum", momentum=0.8)
    theta = THETA.copy()
    m = np.zeros(3, np.float32)
    for step in range(4):
        server.push(a_push(step, version=step))
        m = np.float32(0.8) * m + G
        theta = theta + np.float32(0.1) * m
    assert np.array_equal(server.fetch().value, theta)


def test_adagrad():
    """A step is divided by the root of the summed squares: the first is rate * sign."""
    server = a_server(optimizer="adagrad")
    server.push(a_push(0))
    np.testing.assert_allclose(server.fetch().value, THETA + 0.1 * np.sign(G), rtol=1e-6)
    server.push(a_push(1, version=1))
    np.testing.assert_allclose(
        server.fetch().value, THETA + 0.1 * np.sign(G) * (1 + 1 / np.sqrt(2)), rtol=1e-6
    )


def test_published_parameters_are_never_written_again():
    """Fetched parameters keep their bits through later updates, and cannot be written to."""
    server = a_server()
    before = server.fetch()
    kept = before.value.copy()
    server.push(a_push(0))
    server.push(a_push(1))
    assert np.array_equal(before.value, kept)
    assert before.version == 0
    assert server.fetch().version == 2
    with pytest.raises(ValueError, match="read-only"):
        before.value[0] = 7
    assert server.fetch() is server.fetch()


@given(st.lists(st.sampled_from(["fetch", "slice", "forget", "push", "bad push"]), max_size=60))
def test_memory_is_reused_only_when_no_view_is_left(acts):
    """All arrays that are still held, also slices of views, keep their bits."""
    server = a_server()
    held = []
    want = THETA
    for step, act in enumerate(acts):
        if act == "forget":
            held = held[1:]
        elif act in ("fetch", "slice"):
            value = server.fetch().value
            seen = value if act == "fetch" else value[1:][:1]
            held.append((seen, seen.copy()))
        elif act == "push":
            server.push(a_push(step, version=server.version))
            want = want + np.float32(0.1) * G
        else:
            bad = G * np.array([1, np.nan, 1], np.float32)
            server.push(a_push(step, bad, version=server.version))
            server.rejected = 0
        assert np.array_equal(server.value, want)
        assert all(np.array_equal(seen, copy) for seen, copy in held)


def test_one_replica_needs_two_versions_in_memory():
    """The server alternates between two blocks if a replica drops what it fetched before."""
    server = a_server()
    places = set()
    mine = None
    for step in range(9):
        mine = server.fetch()
        places.add(mine.value.ctypes.data)
        server.push(a_push(step, version=mine.version))
    assert len(places) == 2


def test_memory_is_given_back():
    """When many versions are dropped at once, only the spare blocks are kept."""
    made = weakref.WeakSet()

    def make(size):
        block = memory.PrivateBlock(size)
        made.add(block)
        return block

    before = memory.use(memory.Pool(make, reused_bytes=0))
    server = a_server()
    held = []
    for step in range(20):
        held.append(server.fetch())
        server.push(a_push(step, version=step))
    assert len(made) == 21
    held.clear()
    server.push(a_push(20, version=20))
    memory.use(before)
    assert len(made) <= memory.SPARE_BLOCKS + 2


@given(hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32)))
def test_one_pass_rounds_as_numpy_does(step):
    """An update has the bits of numpy's formula, and returns whether the change is usable."""
    with np.errstate(all="ignore"):
        out = np.empty_like(step)
        rate = np.float32(0.3)
        usable = (np.abs(step) <= LARGEST_CHANGE / float(rate)).all()
        assert usable == add_scaled(step[::-1].copy(), Step(step, 0.3), out)
        assert np.array_equal(out, step[::-1] + rate * step, equal_nan=True)


@pytest.mark.parametrize(
    "changes", [dict(), dict(optimizer="momentum"), dict(synchronous=True)], ids=str
)
def test_a_sum_and_its_scale_are_the_mean(changes):
    """A push of a sum and its scale makes the update of a push of the mean."""
    one = a_server(**changes)
    other = a_server(**changes)
    one.push(a_push(0, 48 * G, scale=1 / 48, weight=48))
    other.push(a_push(0, G, weight=48))
    np.testing.assert_allclose(one.fetch().value, other.fetch().value, rtol=1e-6)
    assert (one.version, other.version) == (1, 1)


def test_a_prepared_update_serves_only_its_own_push_and_rate():
    """Prepared parameters are published, but computed again where the rate has changed."""
    server = a_server(decay_factor=2.0)
    push = a_push(0)
    server.ahead(push)()
    made = server.prepared.value
    server.push(push)
    assert np.shares_memory(server.fetch().value, made)
    assert server.prepared is None
    push = a_push(1, version=1)
    server.ahead(push)()
    server.decay(1)
    before = server.fetch().value.copy()
    server.push(push)
    np.testing.assert_allclose(
        server.fetch().value - before, server.settings.updates.learning_rate / 2 * G, rtol=1e-4
    )
    assert server.ahead(Fetch("replica 0")) is None
    assert a_server(optimizer="adagrad").ahead(push) is None


def test_a_push_that_is_sent_twice_counts_once():
    """The second time, also from another replica, nothing changes."""
    server = a_server()
    server.push(a_push(0, frames=5))
    before = server.digest(), server.frames
    again = server.push(replace(a_push(0, frames=5), replica="another"))
    assert again.status is PushStatus.DUPLICATE
    assert (server.digest(), server.frames) == before


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_never_applied(wrong):
    """Such a gradient changes no parameters; its frames count and its item is settled."""
    server = a_server()
    bad = np.array([0.0, wrong, 1.0], np.float32)
    assert server.push(a_push(0, bad, frames=3)).status is PushStatus.REJECTED
    assert np.array_equal(server.fetch().value, THETA)
    assert (server.version, server.frames) == (0, 3)
    assert server.push(a_push(0, G)).status is PushStatus.DUPLICATE
    assert server.push(a_push(1, None)).status is PushStatus.REJECTED


def test_large_gradients_are_finite():
    """A finite gradient whose squares overflow float32 is applied."""
    push = replace(a_push(0, np.full(3, 1e30, np.float32)), scale=1e-30)
    assert a_server().push(push).status is PushStatus.APPLIED


def test_ten_bad_gradients_in_a_row_are_divergence():
    """The tenth raises Diverged and names the replica; a good one in between restarts the count."""
    server = a_server()
    bad = np.full(3, np.nan, np.float32)
    for step in range(9):
        server.push(a_push(step, bad))
    server.push(a_push(9, G))
    for step in range(9):
        server.push(a_push(step, bad, subset=4))
    with pytest.raises(
        Diverged, match="10 gradients in a row are not finite or too large, the last from replica 4"
    ):
        server.push(a_push(9, bad, subset=4))
    server = a_server()  # where the replica has seen it
    for step in range(30):
        server.push(a_push(step, None, scale=0.0))
    for step in range(9):
        server.push(a_push(step, None, scale=np.nan, subset=4))
    with pytest.raises(Diverged, match="10 gradients in a row"):
        server.push(a_push(9, None, scale=np.nan, subset=4))


def test_a_push_from_the_future_is_a_mistake():
    """A push cannot be from a version that the server has not published."""
    with pytest.raises(AssertionError, match="pushed from version 3, but the server is at 0"):
        a_server().push(a_push(0, version=3))


def test_the_staleness_bound_refuses_older_pushes():
    """A push older than the bound is refused and may be sent again; at the bound it is applied."""
    server = a_server(staleness_bound=2)
    for step in range(3):
        server.push(a_push(step, version=step))
    assert server.push(a_push(0, version=0, subset=1)).status is PushStatus.STALE
    assert server.push(a_push(0, version=1, subset=1)).status is PushStatus.APPLIED


def test_staleness_step_divides_the_step():
    """The step is divided by a staleness of 2, and not by 0 or 1."""
    server = a_server(staleness_step=True)
    for step, version, share in ((0, 0, 1), (1, 0, 1), (2, 0, 2)):
        before = server.fetch().value
        server.push(a_push(step, version=version))
        np.testing.assert_allclose(server.fetch().value - before, 0.1 / share * G, rtol=1e-5)


def test_delay_compensation_guesses_the_gradient_here():
    """The estimate is exact for -|target - theta|^2 / 2 at distance 1, of curvature g g."""
    target = THETA + np.array([1, -1, 1], np.float32)
    server = a_server(delay_compensation=1.0)
    then = server.fetch("replica 1").value
    server.push(a_push(0, target - server.fetch("replica 0").value))
    here = server.fetch().value
    server.push(a_push(0, target - then, subset=1))
    np.testing.assert_allclose(server.value, here + 0.1 * (target - here), rtol=1e-6)


def test_the_learning_rate_warms_up_and_decays():
    """It rises linearly from a tenth; a decay that is reported twice divides it once."""
    server = a_server(warmup=4, decay_factor=10.0)
    steps = []
    for step in range(6):
        if step == 5:
            server.decay(1)
            server.decay(1)
        before = server.fetch().value
        server.push(a_push(step, version=step))
        steps.append(float((server.fetch().value - before)[0] / G[0]))
    np.testing.assert_allclose(steps, [0.01, 0.0325, 0.055, 0.0775, 0.1, 0.01], rtol=1e-4)

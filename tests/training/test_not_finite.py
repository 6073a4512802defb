"""Whatever numbers a gradient has, a shard holds finite ones, and says what it has refused."""

from collections import Counter

import numpy as np
import pytest
from toy import settings

from workbench.settings import UserError
from workbench.training import Diverged, Item, ParameterServer, Push, PushStatus
from workbench.training.rejections import REJECTIONS

CASES = 2000  # of each rule
SIZE = 6
SPECIAL = [
    *(np.nan, -np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e20),
    *(1e-45, -1e-40, 1e-38, 0.0, -0.0),
]
RULES = [
    dict(),
    dict(optimizer="momentum", momentum=0.9),
    dict(optimizer="adagrad"),
    dict(delay_compensation=0.5),
    dict(wire="bfloat16"),
    dict(synchronous=True, replicas=1),
    dict(staleness_bound=3),
]


def hostile_gradient(draw):
    """A gradient some of whose numbers are special; now and then none is."""
    gradient = draw.normal(size=SIZE).astype(np.float32)
    count = int(draw.integers(0, 3))
    places = draw.choice(SIZE, count, replace=False)
    gradient[places] = draw.choice(np.array(SPECIAL, np.float32), count)
    return gradient


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_no_number_that_is_none_enters_a_shard(rule):
    """Parameters and the memory of the rule stay finite; usable gradients are applied."""
    s = settings(learning_rate=0.1, **rule)
    draw = np.random.default_rng(1)
    server = ParameterServer(np.zeros(SIZE, np.float32), s)
    seen = Counter()
    with np.errstate(all="ignore"):
        for step in range(CASES):
            server.rejected = 0
            server.fetch("replica 0")
            gradient = hostile_gradient(draw)
            scale = float(draw.choice([1.0, 0.5, 1e-3]))
            push = Push(Item(0, step), gradient, server.version, "replica 0", frames=1, scale=scale)
            status = server.push(push).status
            seen[status] += 1
            assert np.isfinite(server.value).all(), gradient
            assert server.memory is None or np.isfinite(server.memory).all(), gradient
            if not np.isfinite(gradient).all():
                assert status is PushStatus.REJECTED

    assert set(seen) == {PushStatus.APPLIED, PushStatus.REJECTED}
    assert min(seen.values()) > CASES / 10
    assert server.frames == CASES  # refused ones were visited too


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3e38])
def test_ten_in_a_row_are_a_divergence_with_a_name(rule, number):
    """The message names the replica, and the parameters are as they were."""
    server = ParameterServer(np.ones(SIZE, np.float32), settings(learning_rate=0.1, **rule))
    gradient = np.full(SIZE, number, np.float32)

    def push(step):
        server.push(Push(Item(0, step), gradient, server.version, "replica 7", frames=1))

    with np.errstate(all="ignore"):
        for step in range(REJECTIONS - 1):
            push(step)
        with pytest.raises(Diverged, match="replica 7") as caught:
            push(REJECTIONS)
    assert isinstance(caught.value, UserError)
    assert (server.value == 1).all()


def test_huge_steps_do_not_add_up_to_infinity():
    """A change that no training makes is refused at once, and not after many others."""
    server = ParameterServer(np.zeros(SIZE, np.float32), settings(learning_rate=0.1))
    huge = np.full(SIZE, 1e37, np.float32)
    assert server.push(Push(Item(0, 0), huge, 0, "replica 0")).status is PushStatus.REJECTED


def test_denormal_numbers_are_numbers():
    """They are applied, and change nothing that can be seen."""
    server = ParameterServer(np.ones(SIZE, np.float32), settings(learning_rate=0.1))
    tiny = np.full(SIZE, 1e-42, np.float32)
    assert server.push(Push(Item(0, 0), tiny, 0, "replica 0")).status is PushStatus.APPLIED
    assert (server.value == 1).all()

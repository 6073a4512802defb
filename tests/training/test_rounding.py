"""Parameters and gradients on their way: rounding, and fetching ahead."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toy import Toy, of_kind, settings

from workbench.batches import FrameBatch
from workbench.engine import Cost, free, load_machine, measured
from workbench.system import memory
from workbench.training.rounding import narrow, widen, widen_into

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)


@given(hnp.arrays(np.float32, st.integers(0, 99), elements=st.floats(width=32)))
def test_rounding_is_torchs(x):
    """Rounding is to the nearest number, ties to even, also for infinities and NaN."""
    rounded = widen(narrow(x, "bfloat16"))
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded, torch.from_numpy(x).to(torch.bfloat16).float().numpy())
    assert narrow(rounded, "bfloat16").tobytes() == narrow(x, "bfloat16").tobytes()


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_every_nan_stays_nan(bits):
    """Whatever the payload of a NaN, rounding makes no zero and no infinity of it."""
    x = np.array(bits, np.uint32).view(np.float32)
    assert np.array_equal(np.isnan(widen(narrow(x, "bfloat16"))), np.isnan(x))


def test_float32_is_left_alone():
    """Without rounding nothing is copied; with it, half the bytes lie in pooled memory."""
    x = np.ones(1 << 16, np.float32)
    assert narrow(x, "float32") is x
    assert widen(x) is x
    half = narrow(x, "bfloat16")
    assert half.nbytes * 2 == x.nbytes
    assert memory.loan_of(half) is not None
    out = np.zeros_like(x)
    widen_into(half, out)
    assert (out == 1).all()


def test_rounding_on_the_way_halves_what_travels():
    """With wire=bfloat16 a run on a slow network is faster, and the server keeps float32."""
    slow = Cost(replace(PAPER.machine, byte=1e-3))
    s = settings(replicas=4, shards=2, push="gradient")
    (theta, _, whole, _), (near, _, half, services) = (
        TOY.run(s.replace(wire=w), slow) for w in ("float32", "bfloat16")
    )
    assert half.seconds < 0.8 * whole.seconds
    assert services["server 0"].fetch().value.dtype == np.uint16
    assert services["server 0"].value.dtype == np.float32
    assert 0 < np.abs(theta - near).max() < 0.2 * np.abs(theta - TOY.theta).max()


@pytest.mark.parametrize("clock", [free, measured, PAPER], ids=["free", "measured", "cost"])
@pytest.mark.parametrize("shards", [1, 3])
def test_one_replica_that_prefetches_is_sgd_with_a_delay_of_one(clock, shards):
    """Each gradient but the first is that of the parameters before the last update, bit for bit."""
    s = settings(shards=shards, prefetch=True, shuffling="full")
    theta, rows, _, _ = TOY.run(s, clock)
    want = before = TOY.theta
    for positions in TOY.frame_order(s).batches():
        g = TOY.gradient(before, FrameBatch(positions))
        before = want
        want = want + np.float32(s.updates.learning_rate / s.batches.size) * g.value
    assert np.array_equal(theta, want)
    assert [r["staleness_inner"] for r in of_kind(rows, "push")][:4] == [0, 1, 1, 1]


def test_prefetching_hides_the_network():
    """On a slow network, prefetching takes less virtual time and makes gradients staler."""
    slow = Cost(replace(PAPER.machine, byte=2e-4, network_jitter=0.0))
    s = settings(replicas=4, push="gradient")
    (_, rows, waits, _), (_, ahead, hides, _) = (
        TOY.run(s.replace(prefetch=p), slow) for p in (False, True)
    )
    assert hides.seconds < 0.9 * waits.seconds
    assert len(of_kind(rows, "push")) == len(of_kind(ahead, "push"))
    mean = [
        np.mean([r["staleness_inner"] for r in of_kind(found, "push")]) for found in (rows, ahead)
    ]
    assert mean[1] > mean[0] + 0.5

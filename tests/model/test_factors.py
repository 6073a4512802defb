"""Gradients in factors: the same bits as the gradient, whole or cut into shards, added or not."""

from itertools import pairwise

import numpy as np
import pytest
from test_network import batch, parameters, rows

from workbench.model import kernels, network
from workbench.model.factors import Factors, Product, Sum
from workbench.model.network import Topology
from workbench.processor import this_processor
from workbench.settings import Settings, UserError
from workbench.training import Shards

TOPOLOGY = Topology(33, (40, 37), 90)
SILENCE = (0, 7)
RATE = np.float32(0.0173)


def made(frames, trained, form, kernel):
    """(factors, gradient) of one batch whose outer gradient is of a ``form``."""
    theta, (x, outer) = parameters(TOPOLOGY, np.float32), batch(TOPOLOGY, frames, np.float32)
    given = (theta, TOPOLOGY, x)
    if form == "ce":
        targets = np.arange(frames) % 90
        one = network.ce_factors(*given, targets, trained, SILENCE, kernel=kernel)
        other = network.ce_gradient(*given, targets, trained, SILENCE, kernel=kernel)
        assert one[1:] == other[1:]
        return one[0], other[0]
    few = np.zeros(outer.shape, bool)
    few[:, [0, 3, 88]] = True
    outer = rows(outer, few) if form == "few" else outer
    return (
        make(*given, outer, trained, SILENCE, kernel=kernel)
        for make in (network.factors, network.gradient)
    )


PAIRS = pytest.mark.skipif(
    not this_processor().bfloat16_pairs, reason="this processor does not multiply pairs of bfloat16"
)


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=PAIRS)])
@pytest.mark.parametrize("form", ["ce", "dense", "few"])
@pytest.mark.parametrize("trained", ["all", "last", "last-without-silence"])
@pytest.mark.parametrize("frames", [1, 32, 45])
def test_factors_have_the_bits_of_the_gradient(frames, trained, form, precision):
    """Multiplied, or added to parameters, factors leave what the gradient leaves, in memory of their own."""
    factors, gradient = made(frames, trained, form, kernels.kernel("tiles", precision))
    assert factors.precision == precision and factors.finite()
    assert np.array_equal(factors.array(), gradient)
    theta, out = (
        parameters(TOPOLOGY, np.float32)[-len(gradient) :],
        np.full(len(gradient), np.nan, np.float32),
    )
    before = theta.copy()
    assert factors.moved(theta, RATE, out)
    assert out.tobytes() == (before + RATE * gradient).tobytes() and np.array_equal(theta, before)


def test_a_kernel_without_a_step_in_place_adds_afterwards():
    """Where the processor lacks the instructions for it, e.g. of bfloat16, the product is made and then added."""
    factors, gradient = made(32, "all", "dense", kernels.kernel("torch"))
    part, kernel = factors.parts[-2], kernels.kernel("torch")
    here, out = gradient[part.at : part.at + part.size], np.empty(part.size, np.float32)
    part.move(np.ones(part.size, np.float32), RATE, out, kernel)
    assert kernel.move is None
    np.testing.assert_allclose(out, 1 + RATE * here, rtol=1e-5)


@pytest.mark.parametrize("form", ["dense", "few"])
@pytest.mark.parametrize("trained", ["all", "last"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shards_cut_factors_between_rows(count, trained, form):
    """The parts of factors are the parts of the gradient; no shard cuts a row of weights, and all are about equal.

    Where shards are cut anywhere, each gets the gradient itself.
    """
    factors, gradient = made(32, trained, form, kernels.kernel("tiles"))
    theta, where = parameters(TOPOLOGY, np.float32), network.trained_slice(TOPOLOGY, trained)
    shards = Shards.split(theta, where, count, network.row_ends(TOPOLOGY, trained))
    sizes = np.diff(shards.bounds)
    assert sizes.min() > 0 and abs(sizes - len(gradient) / count).max() <= 41
    for part, expected in zip(shards.parts(factors), shards.parts(gradient), strict=True):
        out = np.empty(len(expected), np.float32)
        assert part.moved(np.zeros(len(expected), np.float32), np.float32(1), out)
        assert np.array_equal(part.array(), expected) and np.array_equal(out, expected)
    anywhere = Shards.split(theta, where, 5)
    assert all(map(np.array_equal, anywhere.parts(factors), anywhere.parts(gradient)))


def test_as_many_shards_as_rows():
    """Every row and every number of a bias can be a shard; more are refused."""
    small = Topology(3, (2,), 2)
    ends = network.row_ends(small)
    assert ends.tolist() == [0, 3, 6, 7, 8, 10, 12, 13, 14]
    shards = Shards.split(np.zeros(small.size, np.float32), count=8, places=ends)
    assert list(shards.bounds) == ends.tolist()
    assert all(
        a < b for a, b in pairwise(Shards.split(np.zeros(small.size), count=6, places=ends).bounds)
    )
    with pytest.raises(UserError, match="shards=9: only 8 parameters, or rows"):
        Shards.split(np.zeros(small.size), count=9, places=ends)


@pytest.mark.parametrize(
    "delta, h, finite",
    [
        ([[1.0]], [[np.nan]], False),
        ([[np.inf]], [[0.0]], False),
        ([[1e30]], [[1e30]], False),  # finite factors of what is not
        ([[1e30, 1e30]], [[1e8], [-1e8]], True),
        ([[3e38, 0.0]], [[0.0], [3e38]], True),  # which the largest ones do not tell
        ([[1e19]], [[1e19]], True),
    ],
    ids=str,
)
def test_what_is_not_finite_is_seen(delta, h, finite):
    """Also where only the product is not finite; parameters that such a gradient was added to are told from others."""
    weight = Product(0, 1, np.array(delta, np.float32), np.array(h, np.float32), turned=True)
    factors = Factors((weight, Sum(1, np.zeros(1, np.float32))))
    with np.errstate(all="ignore"):
        assert (
            factors.finite()
            == finite
            == factors.moved(np.ones(2, np.float32), RATE, np.empty(2, np.float32))
        )
    assert not Factors((Sum(0, np.full(1, np.nan, np.float32)),)).finite()


def test_settings_choose_factors_where_they_are_faster():
    """Plain updates of small batches, never where they have no price."""
    plain = Settings.of(batch=32)
    assert plain.factored and plain.replace(clock="wall").factored
    for changes in (
        dict(batch=200),
        dict(push_every=2),
        dict(optimizer="momentum"),
        dict(clock="cost"),
        dict(max_norm=1.0),
        dict(synchronous=True),
        dict(push="gradient"),
    ):
        assert not plain.replace(**changes).factored
    assert plain.replace(push="factors", optimizer="momentum").factored
    for changes in (dict(push_every=2), dict(clock="cost"), dict(clock="measured")):
        with pytest.raises(UserError, match="push=factors"):
            plain.replace(push="factors", **changes)

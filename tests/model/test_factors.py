"""Gradients in factors: the same bits as the gradient, whole or cut into shards, added or not."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from small_networks import random_outer, random_parameters, random_windows, sparse_rows

from workbench.model import kernels, network
from workbench.model.factors import BiasSum, Factors, WeightProduct
from workbench.model.kernels import Kernel
from workbench.model.network import Topology
from workbench.settings import Settings, UserError
from workbench.training import Shards

TOPOLOGY = Topology(33, (40, 37), 90)
SILENCE = (0, 7)
RATE = np.float32(0.0173)


class Both(NamedTuple):
    """The gradient of one batch in factors, and itself."""

    factors: Factors
    gradient: np.ndarray


def make_both(frames: int, trained: str, form: str, kernel: Kernel) -> Both:
    """The gradient of a batch whose outer gradient is that of cross entropy ("ce"), "dense", or in
    a "few" states.
    """
    theta = random_parameters(TOPOLOGY, np.float32)
    x = random_windows(TOPOLOGY, frames, np.float32)
    if form == "ce":
        targets = np.arange(frames) % 90
        given = (theta, TOPOLOGY, x, targets, trained, SILENCE)
        in_factors = network.ce_factors(*given, kernel=kernel)
        whole = network.ce_gradient(*given, kernel=kernel)
        assert in_factors[1:] == whole[1:]
        return Both(in_factors.gradient, whole.gradient)

    outer = random_outer(TOPOLOGY, frames, np.float32)
    if form == "few":
        keep = np.zeros(outer.shape, bool)
        keep[:, [0, 3, 88]] = True
        outer = sparse_rows(outer, keep)
    given = (theta, TOPOLOGY, x, outer, trained, SILENCE)
    return Both(network.factors(*given, kernel=kernel), network.gradient(*given, kernel=kernel))


@pytest.mark.parametrize("form", ["ce", "dense", "few"])
@pytest.mark.parametrize("trained", ["all", "last", "last-without-silence"])
@pytest.mark.parametrize("frames", [1, 32, 45])
def test_factors_have_the_bits_of_the_gradient(frames, trained, form):
    """Multiplied, or added to parameters, factors leave what the gradient leaves, in memory of
    their own.
    """
    factors, gradient = make_both(frames, trained, form, kernels.kernel("tiles"))
    assert factors.finite()
    assert np.array_equal(factors.array(), gradient)

    theta = random_parameters(TOPOLOGY, np.float32)[-len(gradient) :]
    before = theta.copy()
    out = np.full(len(gradient), np.nan, np.float32)
    factors.write_moved(theta, RATE, out)
    assert out.tobytes() == (before + RATE * gradient).tobytes()
    assert np.array_equal(theta, before)


@pytest.mark.parametrize("form", ["ce", "dense", "few"])
@pytest.mark.parametrize("trained", ["all", "last", "last-without-silence"])
@pytest.mark.parametrize("frames", [3, 32, 200])
def test_parameters_can_be_moved_in_place(frames, trained, form):
    """Written over the parameters themselves, several times, factors leave the bits of the same
    updates apart.
    """
    factors, gradient = make_both(frames, trained, form, kernels.kernel("tiles"))
    theta = random_parameters(TOPOLOGY, np.float32)[-len(gradient) :].copy()
    expected = theta.copy()
    for _ in range(3):
        factors.write_moved(theta, RATE, theta)
        expected += RATE * gradient
    assert theta.tobytes() == expected.tobytes()


@pytest.mark.parametrize("form", ["dense", "few"])
@pytest.mark.parametrize("trained", ["all", "last"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shards_cut_factors_between_rows(count, trained, form):
    """The parts of factors are the parts of the gradient; no shard cuts a row of weights, and all
    are about equal.

    Where shards are cut anywhere, each gets the gradient itself.
    """
    factors, gradient = make_both(32, trained, form, kernels.kernel("tiles"))
    theta = random_parameters(TOPOLOGY, np.float32)
    where = network.trained_slice(TOPOLOGY, trained)
    shards = Shards.split(theta, where, count, network.row_ends(TOPOLOGY, trained))
    sizes = np.diff(shards.bounds)
    assert sizes.min() > 0
    assert abs(sizes - len(gradient) / count).max() <= 41
    for part, expected in zip(shards.parts(factors), shards.parts(gradient), strict=True):
        out = np.empty(len(expected), np.float32)
        part.write_moved(np.zeros(len(expected), np.float32), np.float32(1), out)
        assert np.array_equal(part.array(), expected)
        assert np.array_equal(out, expected)

    anywhere = Shards.split(theta, where, 5)
    for part, expected in zip(anywhere.parts(factors), anywhere.parts(gradient), strict=True):
        assert np.array_equal(part, expected)


def test_as_many_shards_as_rows():
    """Every row and every number of a bias can be a shard; more are refused."""
    small = Topology(3, (2,), 2)
    ends = network.row_ends(small)
    assert ends.tolist() == [0, 3, 6, 7, 8, 10, 12, 13, 14]
    shards = Shards.split(np.zeros(small.size, np.float32), count=8, places=ends)
    assert list(shards.bounds) == ends.tolist()
    fewer = Shards.split(np.zeros(small.size), count=6, places=ends)
    assert all(a < b for a, b in pairwise(fewer.bounds))
    with pytest.raises(UserError, match="shards=9: only 8 parameters, or rows"):
        Shards.split(np.zeros(small.size), count=9, places=ends)


@pytest.mark.parametrize(
    "delta, h, finite",
    [
        ([[1.0]], [[np.nan]], False),
        ([[np.inf]], [[0.0]], False),
        ([[1e30]], [[1e30]], False),  # finite factors of a product that is not
        ([[1e30, 1e30]], [[1e8], [-1e8]], True),
        ([[3e38, 0.0]], [[0.0], [3e38]], True),  # the bound by the largest numbers is not enough
        ([[1e19]], [[1e19]], True),
    ],
    ids=str,
)
def test_gradients_that_are_not_finite_are_found(delta, h, finite):
    """``finite`` is right also where only the product is not finite, and so is ``is_below``."""
    weight = WeightProduct(0, 1, np.array(delta, np.float32), np.array(h, np.float32), turned=True)
    factors = Factors((weight, BiasSum(1, np.zeros(1, np.float32))))
    with np.errstate(all="ignore"):
        assert factors.finite() == finite
        largest = np.abs(factors.array()).max()
        assert factors.is_below(1e6) == (largest <= 1e6)
    assert not Factors((BiasSum(0, np.full(1, np.nan, np.float32)),)).finite()


def test_settings_choose_factors_where_they_are_faster():
    """Factors are for plain updates of small batches, not where the clock has no price for them."""
    plain = Settings.of(batch=32)
    assert plain.factored
    assert plain.replace(clock="wall").factored
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

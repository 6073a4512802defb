"""The network: its layout, its gradient against finite differences and autograd, the forms of the outer gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.model import network
from workbench.model.network import Topology
from workbench.model.sinks import ROWS
from workbench.settings import UserError

SMALL = Topology(7, (6, 5), 9)


def parameters(topology, dtype=np.float64, seed=0):
    """Random parameters everywhere, so that no gradient vanishes."""
    random = np.random.default_rng(seed)
    return (0.5 * random.standard_normal(topology.size)).astype(dtype)


def batch(topology, frames, dtype=np.float64, seed=1):
    """Windows, and an outer gradient whose rows sum to zero."""
    random = np.random.default_rng(seed)
    outer = random.standard_normal((frames, topology.states))
    outer -= outer.mean(1, keepdims=True)
    return random.standard_normal((frames, topology.inputs)).astype(dtype), outer.astype(dtype)


def autograd(theta, topology, x, objective):
    """The derivative of ``objective(logits)`` by torch's own differentiation, of a network written the obvious way."""
    flat = torch.tensor(theta, requires_grad=True)
    arrays = [flat[where].view(shape) for where, shape in topology.layout().entries.values()]
    h = torch.tensor(x)
    for weight, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
        h = torch.nn.functional.linear(h, weight, bias).relu()
    objective(torch.nn.functional.linear(h, *arrays[-2:])).backward()
    return flat.grad.numpy()


def rows(outer, keep):
    """The entries of ``outer`` where ``keep``, as CSR rows."""
    frame, state = np.nonzero(keep)
    return (
        np.r_[0, np.cumsum(keep.sum(1))].astype(np.int32),
        state.astype(np.int32),
        outer[frame, state],
    )


@given(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 9))
def test_layout_covers_the_vector_exactly_once(inputs, hidden, states):
    """Every parameter belongs to one named array, and the output layer is the last slice."""
    topology = Topology(inputs, tuple(hidden), states)
    seen = np.zeros(topology.size, int)
    for where, shape in topology.layout().entries.values():
        seen[where] += 1
        assert seen[where].reshape(shape).shape == shape
    assert (seen == 1).all()
    last = network.trained_slice(topology, "last")
    assert (last.start, last.stop) == (topology.size - states * (hidden[-1] + 1), topology.size)


def test_initial_parameters():
    """Hidden weights have variance 2 / inputs, all else is zero; a layer's draws do not depend on the other layers."""
    topology = Topology(400, (300, 200), 50)
    views = topology.layout().views(network.initial(topology, 3))
    assert np.isclose(views["hidden1.weight"].std(), np.sqrt(2 / 400), rtol=0.02)
    assert np.isclose(views["hidden2.weight"].std(), np.sqrt(2 / 300), rtol=0.02)
    assert not any(
        views[name].any()
        for name in ("hidden1.bias", "hidden2.bias", "output.weight", "output.bias")
    )
    other = Topology(400, (300,), 7)
    assert np.array_equal(
        other.layout().views(network.initial(other, 3))["hidden1.weight"], views["hidden1.weight"]
    )
    assert not np.array_equal(network.initial(topology, 4), network.initial(topology, 3))


def test_log_posteriors_are_normalised():
    """Posteriors sum to one, also where logits are large, and equal a plain numpy forward pass."""
    theta, (x, _) = 8 * parameters(SMALL), batch(SMALL, 6)
    v, h = SMALL.layout().views(theta), x
    for name in ("hidden1", "hidden2"):
        h = np.maximum(h @ v[f"{name}.weight"].T + v[f"{name}.bias"], 0)
    z = h @ v["output.weight"].T + v["output.bias"]
    logp = network.log_posteriors(theta, SMALL, x)
    assert np.allclose(np.exp(logp).sum(1), 1, atol=1e-12)
    assert np.allclose(logp - logp[:, :1], z - z[:, :1], atol=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_gradient_equals_finite_differences(seed):
    """The gradient of Σ o log p with Σ_s o = 0 equals the central difference in a random direction (float64)."""
    theta, (x, outer) = parameters(SMALL, seed=seed), batch(SMALL, 4, seed=seed + 1)
    direction = np.random.default_rng(seed + 2).standard_normal(SMALL.size)

    def value(step):
        return float((outer * network.log_posteriors(theta + step * direction, SMALL, x)).sum())

    differences = [(value(h) - value(-h)) / (2 * h) for h in (1e-5, 1e-6)]
    slope = float(network.gradient(theta, SMALL, x, outer) @ direction)
    # Two steps, since a kink of a rectifier may lie within one of them.
    assert min(abs(d - slope) for d in differences) < 1e-6 * max(1, abs(slope))


def test_gradient_equals_autograd():
    """Both gradients equal torch's own differentiation of a network written the obvious way."""
    theta, (x, outer) = parameters(SMALL), batch(SMALL, 5)
    targets = np.array([0, 8, 3, 3, 1])
    expected = autograd(
        theta, SMALL, x, lambda z: (torch.log_softmax(z, 1) * torch.tensor(outer)).sum()
    )
    assert np.allclose(network.gradient(theta, SMALL, x, outer), expected, rtol=1e-10, atol=1e-12)
    expected = autograd(
        theta,
        SMALL,
        x,
        lambda z: -torch.nn.functional.cross_entropy(z, torch.tensor(targets), reduction="sum"),
    )
    found, value, errors = network.ce_gradient(theta, SMALL, x, targets)
    logp = network.log_posteriors(theta, SMALL, x)
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert np.allclose(
        network.gradient(theta, SMALL, x, network.ce_outer(logp, targets)),
        expected,
        rtol=1e-10,
        atol=1e-12,
    )
    assert np.isclose(value, logp[np.arange(5), targets].sum())
    assert errors == (logp.argmax(1) != targets).sum()


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("trained", ["all", "last", "last-without-silence"])
def test_sparse_rows_equal_dense(share, trained):
    """CSR rows give the dense gradient, whether few states occur or most, empty rows and repeated states included."""
    topology = Topology(7, (6, 5), 40)
    theta, (x, outer) = parameters(topology), batch(topology, 6)
    keep = np.random.default_rng(0).random(outer.shape) < share
    keep[2] = False
    indptr, states, values = rows(outer, keep)
    dense = network.gradient(theta, topology, x, np.where(keep, outer, 0), trained, silence=(0, 4))
    sparse = network.gradient(theta, topology, x, (indptr, states, values), trained, silence=(0, 4))
    assert np.allclose(sparse, dense, rtol=1e-10, atol=1e-12)
    twice = (2 * indptr, np.repeat(states, 2), np.repeat(values / 2, 2))
    assert np.allclose(
        network.gradient(theta, topology, x, twice, trained, silence=(0, 4)),
        dense,
        rtol=1e-10,
        atol=1e-12,
    )


def test_no_rows_give_no_gradient():
    """A batch whose frames all cancelled has gradient zero, whatever its buffer held."""
    theta, (x, _) = parameters(SMALL), batch(SMALL, 3)
    out = np.full(SMALL.size, np.nan)
    empty = (np.zeros(4, np.int32), np.zeros(0, np.int32), np.zeros(0))
    assert not network.gradient(theta, SMALL, x, empty, out=out).any()


def test_last_is_a_slice_of_all():
    """Training the output layer only gives the last slice of the whole gradient; without silence its rows are zero."""
    theta, (x, outer) = parameters(SMALL), batch(SMALL, 5)
    targets, silence = np.array([1, 2, 0, 8, 0]), (0, 5, 8)
    for whole, last, quiet in (
        [
            network.gradient(theta, SMALL, x, outer, t, silence)
            for t in ("all", "last", "last-without-silence")
        ],
        [
            network.ce_gradient(theta, SMALL, x, targets, t, silence)[0]
            for t in ("all", "last", "last-without-silence")
        ],
    ):
        assert np.array_equal(last, whole[network.trained_slice(SMALL, "last")])
        weight, bias = quiet[: 9 * 5].reshape(9, 5), quiet[9 * 5 :]
        others = [1, 2, 3, 4, 6, 7]
        assert not weight[list(silence)].any() and not bias[list(silence)].any()
        assert np.array_equal(weight[others], last[: 9 * 5].reshape(9, 5)[others])
        assert np.array_equal(bias[others], last[9 * 5 :][others])


def test_the_same_bits_every_time():
    """The same batch gives the same bits, whatever was computed in between in the same buffers."""
    theta, (x, outer) = parameters(SMALL, np.float32), batch(SMALL, 50, np.float32)
    first = (
        network.gradient(theta, SMALL, x, outer),
        network.ce_gradient(theta, SMALL, x, np.arange(50) % 9),
    )
    network.log_posteriors(theta, SMALL, batch(SMALL, 700, np.float32)[0])
    second = (
        network.gradient(theta, SMALL, x, outer),
        network.ce_gradient(theta, SMALL, x, np.arange(50) % 9),
    )
    assert (
        first[0].tobytes() == second[0].tobytes()
        and first[1][0].tobytes() == second[1][0].tobytes()
    )
    assert first[1][1:] == second[1][1:]


def test_batches_equal_single_frames():
    """A batch is its frames: posteriors row by row, the gradient as their sum; long utterances as short pieces."""
    theta, (x, outer) = parameters(SMALL, np.float32), batch(SMALL, 1100, np.float32)
    logp = network.log_posteriors(theta, SMALL, x)
    for t in (0, 511, 512, 1099):
        assert np.allclose(
            network.log_posteriors(theta, SMALL, x[t : t + 1])[0], logp[t], atol=1e-5
        )
    some = slice(500, 520)
    singles = sum(
        network.gradient(theta, SMALL, x[t : t + 1], outer[t : t + 1]) for t in range(500, 520)
    )
    assert np.allclose(
        network.gradient(theta, SMALL, x[some], outer[some]), singles, rtol=1e-4, atol=1e-4
    )
    assert network.log_posteriors(theta, SMALL, x[:0]).shape == (0, 9)


@pytest.mark.parametrize("frames", [3, 32, 200])
@pytest.mark.parametrize("trained", ["all", "last", "last-without-silence"])
def test_a_step_in_place_has_the_bits_of_gradient_and_update(frames, trained):
    """step_ and ce_step_ leave the bits that the gradient, scaled and added by numpy, would leave."""
    topology, silence, rate = Topology(33, (40, 37), 90 + ROWS), (0, 7), 0.0173
    where = network.trained_slice(topology, trained)
    x, outer = batch(topology, frames, np.float32)
    targets = np.arange(frames) % 90
    few = np.zeros(outer.shape, bool)
    few[:, [0, 3, 89]] = True
    for o in (outer, rows(outer, few), None):
        plain, fused = (parameters(topology, np.float32) for _ in range(2))
        for _ in range(3):
            if o is None:
                g, value, errors = network.ce_gradient(
                    plain, topology, x, targets, trained, silence
                )
                assert (value, errors) == network.ce_step_(
                    fused, topology, x, targets, rate, trained, silence
                )
            else:
                g = network.gradient(plain, topology, x, o, trained, silence)
                network.step_(fused, topology, x, o, rate, trained, silence)
            plain[where] += np.float32(rate) * g
        assert plain.tobytes() == fused.tobytes()


def test_read_only_arrays_are_used_where_they_lie(tmp_path):
    """Frozen and memory-mapped arrays work without a warning, a copy or a change to them."""
    theta, (x, outer) = parameters(SMALL, np.float32), batch(SMALL, 5, np.float32)
    expected = network.gradient(theta, SMALL, x, outer)
    theta.tofile(tmp_path / "theta")
    mapped = np.memmap(tmp_path / "theta", np.float32, "r")
    for array in (x, outer):
        array.flags.writeable = False
    assert np.array_equal(network.gradient(mapped, SMALL, x, outer), expected)
    assert np.array_equal(np.asarray(mapped), theta)
    made = network.parameters(mapped, SMALL)
    assert not made.aliased or made.layers[0][0].data_ptr() == mapped.ctypes.data


def test_out_is_written_and_returned():
    """Results land in the arrays given for them."""
    theta, (x, outer) = parameters(SMALL, np.float32), batch(SMALL, 5, np.float32)
    out, logp = np.empty(SMALL.size, np.float32), np.empty((5, 9), np.float32)
    assert network.gradient(theta, SMALL, x, outer, out=out) is out
    assert network.log_posteriors(theta, SMALL, x, out=logp) is logp
    assert np.array_equal(out, network.gradient(theta, SMALL, x, outer))
    with pytest.raises(ValueError, match="out must be contiguous"):
        network.gradient(theta, SMALL, x, outer, "last", out=out)


@pytest.mark.parametrize(
    "arrays",
    [
        lambda theta, x, outer: (theta[1:], x, outer),
        lambda theta, x, outer: (theta, x[:, 1:], outer),
        lambda theta, x, outer: (theta, x, outer[:, 1:]),
        lambda theta, x, outer: (theta, x, (np.array([0, 1]), np.array([3]), np.array([1.0]))),
        lambda theta, x, outer: (
            theta,
            x,
            (np.array([0, 0, 0, 0, 0, 1]), np.array([9]), np.array([1.0])),
        ),
    ],
)
def test_wrong_shapes_are_refused(arrays):
    """Arrays that do not fit the topology raise instead of being read past their end."""
    theta, x, outer = arrays(parameters(SMALL), *batch(SMALL, 5))
    with pytest.raises(ValueError):
        network.gradient(theta, SMALL, x, outer)


def test_transfer_takes_the_hidden_layers():
    """Transfer takes the hidden layers of the other language and keeps the new output layer; a misfit names both."""
    english = Topology(7, (6, 5), 14)
    source, fresh = parameters(english, np.float32), network.initial(SMALL, 0)
    theta = network.transfer(fresh, SMALL, source, english)
    hidden = network.trained_slice(SMALL, "last").start
    assert np.array_equal(theta[:hidden], source[:hidden]) and np.array_equal(
        theta[hidden:], fresh[hidden:]
    )
    other = Topology(7, (6, 4), 9)
    theta = network.initial(other, 0)
    with pytest.raises(UserError, match=r"7-6-5-14.*7-6-4-9"):
        network.transfer(theta, other, source, english)

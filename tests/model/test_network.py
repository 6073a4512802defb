"""The network: its layout, its gradient against finite differences and autograd, the forms of the
outer gradient.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import (
    SMALL,
    autograd,
    random_outer,
    random_parameters,
    random_windows,
    sparse_rows,
)

from workbench.model import network
from workbench.model.network import SparseRows, Topology
from workbench.settings import UserError

CLOSE = dict(rtol=1e-10, atol=1e-12)


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
    """Hidden weights have variance 2 / inputs, all else is zero; a layer's draws do not depend on
    the other layers.
    """
    topology = Topology(400, (300, 200), 50)
    views = topology.layout().views(network.initial(topology, 3))
    assert np.isclose(views["hidden1.weight"].std(), np.sqrt(2 / 400), rtol=0.02)
    assert np.isclose(views["hidden2.weight"].std(), np.sqrt(2 / 300), rtol=0.02)
    for name in ("hidden1.bias", "hidden2.bias", "output.weight", "output.bias"):
        assert not views[name].any()

    other = Topology(400, (300,), 7)
    others = other.layout().views(network.initial(other, 3))
    assert np.array_equal(others["hidden1.weight"], views["hidden1.weight"])
    assert not np.array_equal(network.initial(topology, 4), network.initial(topology, 3))


def test_log_posteriors_are_normalised():
    """Posteriors sum to one, also where logits are large, and equal a plain numpy forward pass."""
    theta = 8 * random_parameters(SMALL)
    x = random_windows(SMALL, 6)
    views = SMALL.layout().views(theta)
    h = x
    for name in ("hidden1", "hidden2"):
        h = np.maximum(h @ views[f"{name}.weight"].T + views[f"{name}.bias"], 0)
    z = h @ views["output.weight"].T + views["output.bias"]
    logp = network.log_posteriors(theta, SMALL, x)
    assert np.allclose(np.exp(logp).sum(1), 1, atol=1e-12)
    assert np.allclose(logp - logp[:, :1], z - z[:, :1], atol=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_gradient_equals_finite_differences(seed):
    """The gradient of Σ o log p with Σ_s o = 0 equals the central difference in a random direction
    (float64).
    """
    theta = random_parameters(SMALL, seed=seed)
    x = random_windows(SMALL, 4, seed=seed + 1)
    outer = random_outer(SMALL, 4, seed=seed + 2)
    direction = np.random.default_rng(seed + 3).standard_normal(SMALL.size)

    def value(step: float) -> float:
        return float((outer * network.log_posteriors(theta + step * direction, SMALL, x)).sum())

    differences = [(value(h) - value(-h)) / (2 * h) for h in (1e-5, 1e-6)]
    slope = float(network.gradient(theta, SMALL, x, outer) @ direction)
    # Two steps, since a kink of a rectifier may lie within one of them.
    assert min(abs(d - slope) for d in differences) < 1e-6 * max(1, abs(slope))


def test_gradient_equals_autograd():
    """The gradient of an outer gradient equals torch's own differentiation."""
    theta = random_parameters(SMALL)
    x = random_windows(SMALL, 5)
    outer = random_outer(SMALL, 5)
    expected = autograd(
        theta, SMALL, x, lambda z: (torch.log_softmax(z, 1) * torch.tensor(outer)).sum()
    )
    assert np.allclose(network.gradient(theta, SMALL, x, outer), expected, **CLOSE)


def test_cross_entropy_equals_autograd():
    """Gradient, value and errors of cross entropy equal torch's, and those from onehot - p as the
    outer gradient.
    """
    theta = random_parameters(SMALL)
    x = random_windows(SMALL, 5)
    targets = np.array([0, 8, 3, 3, 1])

    def log_likelihood(z: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.cross_entropy(z, torch.tensor(targets), reduction="sum")

    expected = autograd(theta, SMALL, x, log_likelihood)
    ce = network.ce_gradient(theta, SMALL, x, targets)
    assert np.allclose(ce.gradient, expected, **CLOSE)

    logp = network.log_posteriors(theta, SMALL, x)
    outer = np.eye(SMALL.states)[targets] - np.exp(logp)
    assert np.allclose(network.gradient(theta, SMALL, x, outer), expected, **CLOSE)
    assert np.isclose(ce.value, logp[np.arange(5), targets].sum())
    assert ce.errors == (logp.argmax(1) != targets).sum()


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("trained", ["all", "last", "last-without-silence"])
def test_sparse_rows_equal_dense(share, trained):
    """Sparse rows give the dense gradient, for few states or most, empty rows and repeated states
    included.
    """
    topology = Topology(7, (6, 5), 40)
    theta = random_parameters(topology)
    x = random_windows(topology, 6)
    outer = random_outer(topology, 6)
    keep = np.random.default_rng(0).random(outer.shape) < share
    keep[2] = False

    def gradient(form: np.ndarray | SparseRows) -> np.ndarray:
        return network.gradient(theta, topology, x, form, trained, silence=(0, 4))

    dense = gradient(np.where(keep, outer, 0))
    rows = sparse_rows(outer, keep)
    assert np.allclose(gradient(rows), dense, **CLOSE)
    twice = SparseRows(2 * rows.indptr, np.repeat(rows.states, 2), np.repeat(rows.values / 2, 2))
    assert np.allclose(gradient(twice), dense, **CLOSE)


def test_no_rows_give_no_gradient():
    """A batch whose frames all cancelled has gradient zero, whatever its buffer held."""
    out = np.full(SMALL.size, np.nan)
    empty = SparseRows(np.zeros(4, np.int32), np.zeros(0, np.int32), np.zeros(0))
    x = random_windows(SMALL, 3)
    assert not network.gradient(random_parameters(SMALL), SMALL, x, empty, out=out).any()


def test_last_is_a_slice_of_all():
    """Training the output layer only gives the last slice of the whole gradient; without silence
    its rows are zero.
    """
    theta = random_parameters(SMALL)
    x = random_windows(SMALL, 5)
    outer = random_outer(SMALL, 5)
    targets = np.array([1, 2, 0, 8, 0])
    silence = (0, 5, 8)
    others = [1, 2, 3, 4, 6, 7]
    size = 9 * 5  # of the weight of the output layer

    def check(whole: np.ndarray, last: np.ndarray, quiet: np.ndarray) -> None:
        assert np.array_equal(last, whole[network.trained_slice(SMALL, "last")])
        weight = quiet[:size].reshape(9, 5)
        bias = quiet[size:]
        assert not weight[list(silence)].any()
        assert not bias[list(silence)].any()
        assert np.array_equal(weight[others], last[:size].reshape(9, 5)[others])
        assert np.array_equal(bias[others], last[size:][others])

    choices = ("all", "last", "last-without-silence")
    check(*(network.gradient(theta, SMALL, x, outer, t, silence) for t in choices))
    check(*(network.ce_gradient(theta, SMALL, x, targets, t, silence).gradient for t in choices))


def test_the_same_bits_every_time():
    """The same batch gives the same bits, whatever was computed in between in the same buffers."""
    theta = random_parameters(SMALL, np.float32)
    x = random_windows(SMALL, 50, np.float32)
    outer = random_outer(SMALL, 50, np.float32)

    def compute() -> tuple[bytes, bytes, float, int]:
        gradient = network.gradient(theta, SMALL, x, outer)
        ce = network.ce_gradient(theta, SMALL, x, np.arange(50) % 9)
        return gradient.tobytes(), ce.gradient.tobytes(), ce.value, ce.errors

    first = compute()
    network.log_posteriors(theta, SMALL, random_windows(SMALL, 700, np.float32))
    assert compute() == first


def test_batches_equal_single_frames():
    """A batch is its frames: posteriors row by row, the gradient as their sum; long utterances as
    short pieces.
    """
    theta = random_parameters(SMALL, np.float32)
    x = random_windows(SMALL, 1100, np.float32)
    outer = random_outer(SMALL, 1100, np.float32)
    logp = network.log_posteriors(theta, SMALL, x)
    for t in (0, 511, 512, 1099):
        alone = network.log_posteriors(theta, SMALL, x[t : t + 1])
        assert np.allclose(alone[0], logp[t], atol=1e-5)
    assert network.log_posteriors(theta, SMALL, x[:0]).shape == (0, 9)

    some = slice(500, 520)
    together = network.gradient(theta, SMALL, x[some], outer[some])
    singles = [
        network.gradient(theta, SMALL, x[t : t + 1], outer[t : t + 1]) for t in range(500, 520)
    ]
    assert np.allclose(together, sum(singles), rtol=1e-4, atol=1e-4)


def test_read_only_arrays_are_used_where_they_lie(tmp_path):
    """Frozen and memory-mapped arrays work without a warning, a copy or a change to them."""
    theta = random_parameters(SMALL, np.float32)
    x = random_windows(SMALL, 5, np.float32)
    outer = random_outer(SMALL, 5, np.float32)
    expected = network.gradient(theta, SMALL, x, outer)
    theta.tofile(tmp_path / "theta")
    mapped = np.memmap(tmp_path / "theta", np.float32, "r")
    for array in (x, outer):
        array.flags.writeable = False
    assert np.array_equal(network.gradient(mapped, SMALL, x, outer), expected)
    assert np.array_equal(np.asarray(mapped), theta)
    layers = network.device_parameters(mapped, SMALL)
    assert not layers.aliased or layers.layers[0].weight.data_ptr() == mapped.ctypes.data


def test_out_is_written_and_returned():
    """Results are written to the arrays given for them, which are returned; an array that does not
    fit is refused.
    """
    theta = random_parameters(SMALL, np.float32)
    x = random_windows(SMALL, 5, np.float32)
    outer = random_outer(SMALL, 5, np.float32)
    out = np.empty(SMALL.size, np.float32)
    logp = np.empty((5, 9), np.float32)
    assert network.gradient(theta, SMALL, x, outer, out=out) is out
    assert network.log_posteriors(theta, SMALL, x, out=logp) is logp
    assert np.array_equal(out, network.gradient(theta, SMALL, x, outer))
    with pytest.raises(ValueError, match="out must be contiguous"):
        network.gradient(theta, SMALL, x, outer, "last", out=out)


def one_entry(frames: int, state: int) -> SparseRows:
    """Sparse rows of so many frames with one entry, in the last of them."""
    indptr = np.array([0] * frames + [1])
    return SparseRows(indptr, np.array([state]), np.array([1.0]))


@pytest.mark.parametrize(
    "misfit",
    [
        dict(theta=random_parameters(SMALL)[1:]),
        dict(x=random_windows(SMALL, 5)[:, 1:]),
        dict(outer=random_outer(SMALL, 5)[:, 1:]),
        dict(outer=one_entry(frames=1, state=3)),
        dict(outer=one_entry(frames=5, state=9)),
    ],
    ids=["parameters", "windows", "dense outer", "rows of one frame", "state out of range"],
)
def test_wrong_shapes_are_refused(misfit):
    """Arrays that do not fit the topology raise ValueError instead of being read past their end."""
    fitting = dict(
        theta=random_parameters(SMALL), x=random_windows(SMALL, 5), outer=random_outer(SMALL, 5)
    )
    with pytest.raises(ValueError):
        network.gradient(topology=SMALL, **{**fitting, **misfit})


def test_transfer_takes_the_hidden_layers():
    """Transfer takes the hidden layers of the other language and keeps the new output layer; a
    misfit names both.
    """
    english = Topology(7, (6, 5), 14)
    source = random_parameters(english, np.float32)
    fresh = network.initial(SMALL, 0)
    theta = network.transfer(fresh, SMALL, source, english)
    hidden = network.trained_slice(SMALL, "last").start
    assert np.array_equal(theta[:hidden], source[:hidden])
    assert np.array_equal(theta[hidden:], fresh[hidden:])

    other = Topology(7, (6, 4), 9)
    theta = network.initial(other, 0)
    with pytest.raises(UserError, match=r"7-6-5-14.*7-6-4-9.*hidden_layers=2 hidden_units=6"):
        network.transfer(theta, other, source, english)

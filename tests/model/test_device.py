"""The passes of the network on the device that computes, against those of the CPU.

Products in float32 are added in another order on each device. Over 1,040 inputs that changes a sum
by less than 1e-5 of its size.
"""

from typing import get_args

import numpy as np
import pytest
import torch
from devices import on_cpu, on_device, relative_error
from small_networks import random_outer, random_parameters, random_windows, sparse_rows

from workbench.model.device_gradient import device_ce_gradient, device_gradient
from workbench.model.kernels import Kernel
from workbench.model.network import (
    DeviceParameters,
    SparseRows,
    Topology,
    ce_gradient,
    device_parameters,
    gradient,
    log_posteriors,
)
from workbench.model.topology import Trained
from workbench.model.torch_vector import TorchVector, keep_on
from workbench.training.updates import Step, add_gradients, move

__all__ = ["on_cpu", "on_device"]

NETWORK = Topology(1040, (96, 64), 150)
SILENCE = (0, 3, 149)
TOLERANCE = 1e-5


@pytest.fixture
def theta() -> np.ndarray:
    """Parameters of about the size that training leaves."""
    return (0.1 * random_parameters(NETWORK)).astype(np.float32)


def parameters_on(kernel: Kernel, theta: np.ndarray) -> DeviceParameters:
    """Parameters that were kept on the device."""
    return device_parameters(keep_on(kernel.device)(theta), NETWORK, kernel)


def batch(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows and targets."""
    targets = np.random.default_rng(frames).integers(0, NETWORK.states, frames)
    return random_windows(NETWORK, frames, np.float32), targets


@pytest.mark.parametrize("frames", [1, 32, 200, 1100])
def test_log_posteriors_are_those_of_the_cpu(on_device: Kernel, on_cpu: Kernel, theta, frames):
    """Parameters of the host, and parameters that were kept on the device, give the same."""
    windows, _ = batch(frames)
    expected = log_posteriors(theta, NETWORK, windows, kernel=on_cpu)
    kept = keep_on(on_device.device)(theta)
    found = log_posteriors(kept, NETWORK, windows, kernel=on_device)
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()
    assert np.array_equal(found, log_posteriors(theta, NETWORK, windows, kernel=on_device))

    there = torch.from_numpy(windows).to(on_device.device)
    assert np.array_equal(found, log_posteriors(kept, NETWORK, there, kernel=on_device))


@pytest.mark.parametrize("trained", get_args(Trained))
@pytest.mark.parametrize("frames", [1, 32, 200])
def test_cross_entropy_is_that_of_the_cpu(
    on_device: Kernel, on_cpu: Kernel, theta, trained, frames
):
    """Gradient, value and number of errors, for each part of the network that is trained."""
    windows, targets = batch(frames)
    expected = ce_gradient(theta, NETWORK, windows, targets, trained, SILENCE, kernel=on_cpu)
    kept = parameters_on(on_device, theta)
    found = device_ce_gradient(kept, windows, targets, trained, SILENCE)
    assert relative_error(found.gradient.array(), expected.gradient) < TOLERANCE
    assert found.value == pytest.approx(expected.value, rel=TOLERANCE)
    assert found.errors == expected.errors
    assert found.gradient.finite()

    of_host = ce_gradient(theta, NETWORK, windows, targets, trained, SILENCE, kernel=on_device)
    assert np.array_equal(of_host.gradient, found.gradient.array())


@pytest.mark.parametrize("trained", get_args(Trained))
@pytest.mark.parametrize("share", [0.02, 0.9])
def test_outer_gradients_are_those_of_the_cpu(
    on_device: Kernel, on_cpu: Kernel, theta, trained, share
):
    """Sparse rows with few and with many states, and dense ones."""
    windows, _ = batch(32)
    outer = random_outer(NETWORK, 32, np.float32)
    keep = np.random.default_rng(5).random(outer.shape) < share
    kept = parameters_on(on_device, theta)
    for rows in (sparse_rows(outer, keep), outer * keep):
        expected = gradient(theta, NETWORK, windows, rows, trained, SILENCE, kernel=on_cpu)
        found = device_gradient(kept, windows, rows, trained, SILENCE)
        assert relative_error(found.array(), expected) < TOLERANCE


def test_states_that_occur_twice_in_a_row_are_added(on_device: Kernel, on_cpu: Kernel, theta):
    """The device writes each place once."""
    windows, _ = batch(2)
    rows = SparseRows(
        np.array([0, 3, 5]), np.array([7, 7, 2, 149, 149]), np.array([1.0, 2.0, -3.0, 0.5, -0.5])
    )
    expected = gradient(theta, NETWORK, windows, rows, kernel=on_cpu)
    kept = parameters_on(on_device, theta)
    found = device_gradient(kept, windows, rows)
    assert relative_error(found.array(), expected) < TOLERANCE

    outside = rows._replace(states=np.array([7, 7, 2, 149, 150]))
    with pytest.raises(ValueError, match="outside 0"):
        device_gradient(kept, windows, outside)


@pytest.mark.parametrize("frames", [32, 4096])
def test_the_same_batch_gives_the_same_bits(on_device: Kernel, theta, frames):
    """A run can be repeated on a device only if each of its passes can."""
    windows, targets = batch(frames)
    outer = random_outer(NETWORK, frames, np.float32)
    rows = sparse_rows(outer, outer > 1.5)
    kept = parameters_on(on_device, theta)
    first_ce = device_ce_gradient(kept, windows, targets)
    first_outer = device_gradient(kept, windows, rows)
    for _ in range(3):
        again = device_ce_gradient(kept, windows, targets)
        assert np.array_equal(again.gradient.array(), first_ce.gradient.array())
        assert again.value == first_ce.value
        outer_again = device_gradient(kept, windows, rows)
        assert np.array_equal(outer_again.array(), first_outer.array())


def test_an_update_is_that_of_the_cpu(on_device: Kernel, theta):
    """The same sum as on the host, up to one rounding of the product."""
    direction = random_parameters(NETWORK, np.float32, 4)
    step = Step(direction, 0.013)
    expected = move(theta, step).value
    keep = keep_on(on_device.device)
    for there in (keep(direction), direction):
        moved = move(keep(theta), Step(there, 0.013))
        assert moved.usable
        assert relative_error(moved.value.array(), expected) < 1e-7
    assert np.array_equal(move(theta, Step(keep(direction), 0.013)).value, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_a_direction_that_is_not_usable_changes_nothing(on_device: Kernel, theta, bad):
    """The server refuses it, as it does on the host."""
    direction = np.zeros_like(theta)
    direction[17] = bad
    keep = keep_on(on_device.device)
    kept = keep(theta)
    for there in (keep(direction), direction):
        assert not move(kept, Step(there, 1.0)).usable
    assert np.array_equal(kept.array(), theta)


def test_vectors_are_cut_joined_and_added(on_device: Kernel, theta):
    """What shards and replicas do with vectors, on the device."""
    keep = keep_on(on_device.device)
    kept = keep(theta)
    parts = kept.cut([0, 10, 1000, len(theta)])
    assert [len(part) for part in parts] == [10, 990, len(theta) - 1000]
    assert np.array_equal(kept.joined([*parts[:1], theta[10:1000], parts[2]]).array(), theta)
    assert kept.nbytes == theta.nbytes
    assert kept.norm() == pytest.approx(np.linalg.norm(theta.astype(np.float64)), rel=1e-12)

    for one, other in ((kept, keep(theta)), (kept, theta), (theta, kept)):
        total = add_gradients(one, other)
        assert isinstance(total, TorchVector)
        assert np.array_equal(total.array(), theta + theta)


def test_the_only_part_is_the_vector_itself(on_device: Kernel, theta):
    """It still knows its largest number; a new vector would ask the device again at each push."""
    gradient = keep_on(on_device.device)(theta)
    assert gradient.cut([0, len(theta)])[0] is gradient
    [part] = gradient.cut([3, 7])
    assert np.array_equal(part.array(), theta[3:7])


def test_a_copy_on_the_host_is_its_own(on_device: Kernel, theta):
    """Writing to an array does not change the published parameters, nor the other way round."""
    source = theta.copy()
    kept = keep_on(on_device.device)(source)
    source[:] = 0
    kept.array()[:] = 1
    assert np.array_equal(kept.array(), theta)


def test_parameters_of_another_network_are_refused(on_device: Kernel, theta):
    """A message instead of a product of wrong numbers."""
    kept = keep_on(on_device.device)(theta[1:])
    with pytest.raises(ValueError, match="parameters for"):
        device_parameters(kept, NETWORK, on_device)

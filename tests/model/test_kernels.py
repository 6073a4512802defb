"""The choice of arithmetic: flags to environment, measurement to kernel; every kernel computes the same network."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.model import kernels, network
from workbench.model.network import Topology
from workbench.settings import UserError


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """No choice made yet, no file of an earlier one, a CPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    monkeypatch.setenv(
        "WORKBENCH_KERNEL", "none yet"
    )  # so that monkeypatch restores what the choice sets
    monkeypatch.delenv("WORKBENCH_KERNEL")
    for cached in (kernels.choice, kernels.device, kernels.kernel):
        cached.cache_clear()
    yield tmp_path
    for cached in (kernels.choice, kernels.device, kernels.kernel):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("gflops", "wanted"),
    [
        ({"tiles": 100, "torch-turned": 114, "torch": 90, "numpy": 20}, "tiles"),
        ({"torch-turned": 100, "torch": 114, "numpy": 20}, "torch-turned"),
        ({"torch-turned": 100, "torch": 116, "numpy": 20}, "torch"),
        ({"torch-turned": 50, "torch": 60, "numpy": 66}, "torch"),
        ({"torch-turned": 50, "torch": 40, "numpy": 66}, "numpy"),
    ],
)
def test_near_ties_are_broken_by_order(gflops, wanted):
    """Noise of less than 15 % changes no choice."""
    assert kernels.fastest(gflops) == wanted


def test_the_choice_is_kept(fresh, monkeypatch):
    """The first process measures, later ones and children find its choice; the record says which, why and how fast."""
    monkeypatch.setattr(
        kernels,
        "measure",
        lambda *ks: {k.name: {"torch-turned": 10.0, "torch": 90.0}.get(k.name, 1.0) for k in ks},
    )
    assert kernels.choose().name == "torch" and kernels.choice().reason == "measured"
    assert kernels.choice().gflops["torch-turned"] == 10.0
    record = kernels.describe()
    assert (
        json.loads(json.dumps(record))["gflops"] == {"torch": 90.0} and record["kernel"] == "torch"
    )
    kernels.choice.cache_clear()
    assert (kernels.choice().kernel, kernels.choice().reason) == (
        "torch",
        "WORKBENCH_KERNEL",
    )  # as in a child process
    kernels.choice.cache_clear()
    monkeypatch.delenv("WORKBENCH_KERNEL")
    monkeypatch.setattr(kernels, "measure", lambda *ks: pytest.fail("measured again"))
    assert kernels.choice().kernel == "torch" and "measured before" in kernels.choice().reason


def test_a_cache_that_cannot_be_written_is_said(fresh, monkeypatch):
    """Where the measurement cannot be kept the choice is still made, with a warning that names the file."""
    (fresh / "workbench").write_text("a file where the folder should be")
    monkeypatch.setattr(kernels, "measure", lambda *ks: {k.name: 1.0 for k in ks})
    with pytest.warns(UserWarning, match="kernels-"):
        assert kernels.choice().kernel == kernels.NAMES[0]


@pytest.mark.parametrize(
    ("name", "value"), [("WORKBENCH_KERNEL", "fastest"), ("WORKBENCH_DEVICE", "tpu")]
)
def test_wrong_variables_are_refused(fresh, monkeypatch, name, value):
    """A misspelt choice is an error that lists the choices."""
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name}={value}: choose one of"):
        kernels.choice()


def test_the_measurement_measures(fresh):
    """Every kernel has a positive speed."""
    speeds = kernels.measure(
        *(kernels.kernel(n) for n in kernels.NAMES), kernels.kernel("torch", "bfloat16")
    )
    assert set(speeds) == {*kernels.NAMES, "bfloat16"} and min(speeds.values()) > 0


def test_what_is_compiled_on_first_use_does_not_count(fresh):
    """A kernel whose first products take long, as compiled ones do in a new installation, is as fast as without."""
    plain, called = kernels.kernel("torch"), []

    def affine(*given):
        if not called:
            called.append(True)
            end = time.process_time() + 0.5
            while time.process_time() < end:
                pass
        return plain.affine(*given)

    speeds = kernels.measure(plain, replace(plain, name="compiled", affine=affine))
    assert called and speeds["compiled"] > 0.5 * speeds["torch"]


def network_results(kernel, frames=40, trained="all"):
    """What the network computes with a kernel, for one batch."""
    topology, random = Topology(60, (48, 50), 70), np.random.default_rng(0)
    theta = (0.2 * random.standard_normal(topology.size)).astype(np.float32)
    x = random.standard_normal((frames, 60)).astype(np.float32)
    targets = random.integers(0, 70, frames)
    g, value, errors = network.ce_gradient(theta, topology, x, targets, trained, kernel=kernel)
    few = (np.arange(frames + 1), targets, np.ones(frames))
    sparse = network.gradient(theta, topology, x, few, trained, kernel=kernel)
    moved = theta.copy()
    network.step_(moved, topology, x, few, 0.5, trained, kernel=kernel)
    return (
        network.log_posteriors(theta, topology, x, kernel=kernel),
        g,
        sparse,
        moved - theta,
        np.array([value, errors]),
    )


@pytest.mark.parametrize("name", kernels.NAMES)
@pytest.mark.parametrize("frames", [1, 40, 200])
def test_every_kernel_computes_the_same(name, frames):
    """The kernels agree to rounding, whatever the order of their buffers in memory."""
    reference = network_results(kernels.kernel("torch"), frames)
    for one, other in zip(network_results(kernels.kernel(name), frames), reference, strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["torch", "tiles"])
@pytest.mark.parametrize("trained", ["all", "last"])
def test_bfloat16_is_close(trained, name):
    """Products of bfloat16 give a gradient of nearly the same direction and norm; sums and softmax stay float32."""
    reference = network_results(kernels.kernel("torch"), 200, trained)
    rounded = network_results(kernels.kernel(name, "bfloat16"), 200, trained)
    assert np.allclose(np.exp(rounded[0]).sum(1), 1, atol=1e-5)
    assert all(r.dtype == np.float32 for r in rounded[:3])
    for one, other in zip(rounded[1:4], reference[1:4], strict=True):
        assert one @ other > 0.995 * np.linalg.norm(one) * np.linalg.norm(other)
        assert abs(np.linalg.norm(one) / np.linalg.norm(other) - 1) < 0.03
    assert not np.array_equal(rounded[1], reference[1])


def test_copies_of_published_parameters_are_kept_while_they_live():
    """Published parameters are converted once and forgotten with the array; what may change is converted every time."""
    from workbench.model import workspace

    kernel, topology = kernels.kernel("torch", "bfloat16"), Topology(3, (4,), 5)
    theta = network.initial(topology, 0)
    assert network.parameters(theta, topology, kernel) is not network.parameters(
        theta, topology, kernel
    )
    theta.flags.writeable = False
    made = network.parameters(theta, topology, kernel)
    assert network.parameters(theta, topology, kernel) is made and made.dtype == torch.bfloat16
    shared = np.frombuffer(bytearray(theta.tobytes()), np.float32)
    shared.flags.writeable = False
    assert network.parameters(shared, topology, kernel) is not network.parameters(
        shared, topology, kernel
    )
    before = len(workspace._copies)
    del theta
    assert len(workspace._copies) == before - 1

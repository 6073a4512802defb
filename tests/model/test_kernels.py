"""The choice of arithmetic, and that every kernel computes the same network."""

import json
import time
import weakref
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from workbench.model import kernels, network
from workbench.model.device import device
from workbench.model.kernels import Kernel
from workbench.model.network import SparseRows, Topology
from workbench.settings import UserError
from workbench.system.processor import Processor


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """No choice made yet, no file of an earlier one, a CPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_DEVICE", "cpu")
    # Set before it is deleted, so that monkeypatch restores it after the choice has set it.
    monkeypatch.setenv("WORKBENCH_KERNEL", "none yet")
    monkeypatch.delenv("WORKBENCH_KERNEL")
    for cached in (kernels.choice, device, kernels.kernel):
        cached.cache_clear()
    yield tmp_path
    for cached in (kernels.choice, device, kernels.kernel):
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
    assert kernels.fastest_kernel(gflops) == wanted


def test_the_choice_is_kept(fresh, monkeypatch):
    """The first process measures, later ones and children take its choice; the record has kernel,
    reason and speed.
    """
    speeds = {"torch-turned": 10.0, "torch": 90.0}

    def measure(*measured: Kernel) -> dict[str, float]:
        return {k.name: speeds.get(k.name, 1.0) for k in measured}

    monkeypatch.setattr(kernels, "measure", measure)
    assert kernels.choose().name == "torch"
    assert kernels.choice().reason == "measured"
    assert kernels.choice().gflops["torch-turned"] == 10.0
    record = json.loads(json.dumps(asdict(kernels.describe())))
    assert record["gflops"] == {"torch": 90.0}
    assert record["kernel"] == "torch"

    kernels.choice.cache_clear()  # as in a child process
    assert kernels.choice().kernel == "torch"
    assert kernels.choice().reason == "WORKBENCH_KERNEL"

    kernels.choice.cache_clear()
    monkeypatch.delenv("WORKBENCH_KERNEL")
    monkeypatch.setattr(kernels, "measure", lambda *measured: pytest.fail("measured again"))
    assert kernels.choice().kernel == "torch"
    assert "measured before" in kernels.choice().reason


def test_a_cache_that_cannot_be_written_gives_a_warning(fresh, monkeypatch):
    """Where the measurement cannot be kept the choice is still made, with a warning that names the
    file.
    """
    (fresh / "workbench").write_text("a file where the folder should be")
    monkeypatch.setattr(kernels, "measure", lambda *measured: {k.name: 1.0 for k in measured})
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
    every = [kernels.kernel(name) for name in kernels.NAMES]
    speeds = kernels.measure(*every, kernels.kernel("torch", "bfloat16"))
    assert set(speeds) == {*kernels.NAMES, "bfloat16"}
    assert min(speeds.values()) > 0


@pytest.mark.parametrize("features", [{"avx2"}, {"avx2", "avx512f", "avx512bf16"}])
def test_bfloat16_is_refused_where_it_is_slow(fresh, monkeypatch, features):
    """Without instructions for it the line says by which factor it is slower; with them it is
    taken.
    """
    processor = Processor("some-processor", frozenset(features))
    monkeypatch.setattr(kernels, "this_processor", lambda: processor)
    monkeypatch.setattr(kernels, "measure", lambda *some: {some[0].name: 90.0, "bfloat16": 4.0})
    monkeypatch.setenv("WORKBENCH_KERNEL", "torch")
    kernels.check_precision("float32")
    if processor.bfloat16:
        kernels.check_precision("bfloat16")
        return
    with pytest.raises(UserError, match=r"some-processor.* 22.5 times .* precision=float32"):
        kernels.check_precision("bfloat16")


def test_compilation_on_first_use_does_not_count(fresh):
    """A kernel whose first products take long, as compiled ones do in a new installation, is as
    fast as without.
    """
    plain = kernels.kernel("torch")
    called = []

    def affine(*given):
        if not called:
            called.append(True)
            end = time.process_time() + 0.5
            while time.process_time() < end:
                pass
        return plain.affine(*given)

    speeds = kernels.measure(plain, replace(plain, name="compiled", affine=affine))
    assert called
    assert speeds["compiled"] > 0.5 * speeds["torch"]


def network_results(kernel: Kernel, frames: int = 40, trained: str = "all") -> dict:
    """What the network computes with a kernel, for one batch."""
    topology = Topology(60, (48, 50), 70)
    random = np.random.default_rng(0)
    theta = (0.2 * random.standard_normal(topology.size)).astype(np.float32)
    x = random.standard_normal((frames, 60)).astype(np.float32)
    targets = random.integers(0, 70, frames)
    few = SparseRows(np.arange(frames + 1), targets, np.ones(frames))
    ce = network.ce_gradient(theta, topology, x, targets, trained, kernel=kernel)
    return dict(
        log_posteriors=network.log_posteriors(theta, topology, x, kernel=kernel),
        ce=ce.gradient,
        sparse=network.gradient(theta, topology, x, few, trained, kernel=kernel),
        value=ce.value,
        errors=ce.errors,
    )


@pytest.mark.parametrize("name", kernels.NAMES)
@pytest.mark.parametrize("frames", [1, 40, 200])
def test_every_kernel_computes_the_same(name, frames):
    """The kernels agree to rounding, whatever the order of their buffers in memory."""
    results = network_results(kernels.kernel(name), frames)
    for what, expected in network_results(kernels.kernel("torch"), frames).items():
        assert np.allclose(results[what], expected, rtol=1e-4, atol=2e-5), what


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["all", "last"])
def test_bfloat16_is_close(trained):
    """Products of bfloat16 give a gradient of nearly the same direction and norm; sums and softmax
    stay float32.
    """
    exact = network_results(kernels.kernel("torch"), 200, trained)
    rounded = network_results(kernels.kernel("tiles", "bfloat16"), 200, trained)
    assert np.allclose(np.exp(rounded["log_posteriors"]).sum(1), 1, atol=1e-5)
    assert rounded["log_posteriors"].dtype == np.float32
    for what in ("ce", "sparse"):
        ours = rounded[what]
        other = exact[what]
        assert ours.dtype == np.float32
        assert ours @ other > 0.995 * np.linalg.norm(ours) * np.linalg.norm(other)
        assert abs(np.linalg.norm(ours) / np.linalg.norm(other) - 1) < 0.03
    assert not np.array_equal(rounded["ce"], exact["ce"])


def test_copies_of_published_parameters_are_kept_while_they_live():
    """Published parameters are converted once and forgotten with the array; what may change is
    converted every time.
    """
    kernel = kernels.kernel("torch", "bfloat16")
    topology = Topology(3, (4,), 5)

    def convert(theta: np.ndarray) -> network.DeviceParameters:
        return network.device_parameters(theta, topology, kernel)

    theta = network.initial(topology, 0)
    assert convert(theta) is not convert(theta)
    theta.flags.writeable = False
    assert convert(theta) is convert(theta)
    assert convert(theta).dtype == torch.bfloat16

    shared = np.frombuffer(bytearray(theta.tobytes()), np.float32)
    shared.flags.writeable = False
    assert convert(shared) is not convert(shared)

    copy = weakref.ref(convert(theta))
    del theta
    assert copy() is None

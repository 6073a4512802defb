"""The device that computes, for tests that run on a GPU and on machines without one.

Without a GPU the same code runs with tensors of the CPU: the kernel then says that it has a memory
of its own, so that parameters, frames and gradients take the way they take on a device.
"""

import numpy as np
import pytest

from workbench.model import kernels
from workbench.model.device import device
from workbench.model.kernels import Choice, Kernel
from workbench.runs import residence

PLENTY = 10**12  # bytes


def use_device(patch: pytest.MonkeyPatch) -> Kernel:
    """Let the GPU compute, or the CPU as if it were one; return the kernel."""
    patch.setattr(kernels, "choice", lambda: Choice("torch", "a test", {}))
    if device().type == "cpu":
        patch.setattr(Kernel, "own_memory", True)
        patch.setattr(residence, "free_bytes", lambda device: PLENTY)
    return kernels.kernel("torch")


def use_cpu(patch: pytest.MonkeyPatch) -> Kernel:
    """Let the CPU compute, also where there is a GPU, by other products than torch's."""
    patch.setattr(kernels, "choice", lambda: Choice("tiles", "a test", {}))
    return kernels.kernel("tiles")


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The kernel that computes on the GPU, or one that behaves like it on the CPU."""
    return use_device(monkeypatch)


@pytest.fixture
def on_cpu() -> Kernel:
    """A kernel of the CPU to compare with, by other products than torch's."""
    return kernels.kernel("tiles")


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The length of the difference, as a share of the length of ``expected``."""
    difference = np.linalg.norm(np.asarray(found, np.float64) - expected)
    return float(difference / np.linalg.norm(np.asarray(expected, np.float64)))

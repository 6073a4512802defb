"""A step in place, the limit of the benchmarks, leaves the bits of a gradient and its update."""

import numpy as np
import pytest
from benchmarks.steps import ce_step, step
from small_networks import random_outer, random_parameters, random_windows, sparse_rows

from workbench.model import network
from workbench.model.kernels import kernel
from workbench.model.network import Topology
from workbench.model.sinks import ROWS

TOPOLOGY = Topology(33, (40, 37), 90 + ROWS)
RATE = 0.0173
STEPS = 3


@pytest.mark.parametrize("frames", [3, 32, 200])
@pytest.mark.parametrize("name", ["tiles", "torch", "numpy"])
def test_a_step_of_cross_entropy(frames: int, name: str) -> None:
    """The parameters are those that numpy makes from the gradient, to the last bit."""
    x = random_windows(TOPOLOGY, frames, np.float32)
    targets = np.arange(frames) % 90
    plain = random_parameters(TOPOLOGY, np.float32)
    fused = plain.copy()

    for _ in range(STEPS):
        found = network.ce_gradient(plain, TOPOLOGY, x, targets, kernel=kernel(name))
        plain += np.float32(RATE) * found.gradient
        ce_step(fused, TOPOLOGY, x, targets, RATE, kernel(name))
    assert plain.tobytes() == fused.tobytes()


@pytest.mark.parametrize("frames", [3, 32, 200])
@pytest.mark.parametrize("columns", [[0, 3, 89], list(range(600))], ids=["few", "most"])
def test_a_step_of_an_outer_gradient(frames: int, columns: list[int]) -> None:
    """The same for outer gradients, with few states in use and with most."""
    x = random_windows(TOPOLOGY, frames, np.float32)
    outer = random_outer(TOPOLOGY, frames, np.float32)
    keep = np.zeros(outer.shape, bool)
    keep[:, columns] = True
    rows = sparse_rows(outer, keep)
    plain = random_parameters(TOPOLOGY, np.float32)
    fused = plain.copy()

    for _ in range(STEPS):
        gradient = network.gradient(plain, TOPOLOGY, x, rows)
        plain += np.float32(RATE) * gradient
        step(fused, TOPOLOGY, x, rows, RATE)
    assert plain.tobytes() == fused.tobytes()

"""Steps in place, the limit of what training can do: the gradient in factors, added to the
parameters at once.
"""

import numpy as np

from workbench.model.kernels import Kernel
from workbench.model.network import SparseRows, Topology, ce_factors, factors


def step(
    theta: np.ndarray, topology: Topology, x: np.ndarray, rows: SparseRows, rate: float
) -> None:
    """Add ``rate`` times the gradient of an outer gradient to ``theta``, in place."""
    factors(theta, topology, x, rows).write_moved(theta, np.float32(rate), theta)


def ce_step(
    theta: np.ndarray,
    topology: Topology,
    x: np.ndarray,
    targets: np.ndarray,
    rate: float,
    kernel: Kernel | None = None,
) -> None:
    """Add ``rate`` times the gradient of cross entropy to ``theta``, in place."""
    gradient = ce_factors(theta, topology, x, targets, kernel=kernel).gradient
    gradient.write_moved(theta, np.float32(rate), theta)

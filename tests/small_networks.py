"""Small networks: random parameters and batches, and the gradient by torch's differentiation."""

from collections.abc import Callable

import numpy as np
import torch

from workbench.model.network import SparseRows, Topology

SMALL = Topology(7, (6, 5), 9)


def random_parameters(topology: Topology, dtype: type = np.float64, seed: int = 0) -> np.ndarray:
    """Random parameters everywhere, so that no gradient vanishes."""
    random = np.random.default_rng(seed)
    return (0.5 * random.standard_normal(topology.size)).astype(dtype)


def random_windows(
    topology: Topology, frames: int, dtype: type = np.float64, seed: int = 1
) -> np.ndarray:
    """Random input windows [frames, inputs]."""
    random = np.random.default_rng(seed)
    return random.standard_normal((frames, topology.inputs)).astype(dtype)


def random_outer(
    topology: Topology, frames: int, dtype: type = np.float64, seed: int = 2
) -> np.ndarray:
    """A random outer gradient [frames, states] whose rows sum to zero."""
    random = np.random.default_rng(seed)
    outer = random.standard_normal((frames, topology.states))
    outer -= outer.mean(1, keepdims=True)
    return outer.astype(dtype)


def sparse_rows(outer: np.ndarray, keep: np.ndarray) -> SparseRows:
    """The entries of ``outer`` where ``keep``, as sparse rows."""
    frame, state = np.nonzero(keep)
    indptr = np.concatenate([[0], np.cumsum(keep.sum(1))])
    return SparseRows(indptr.astype(np.int32), state.astype(np.int32), outer[frame, state])


def autograd(
    theta: np.ndarray,
    topology: Topology,
    x: np.ndarray,
    objective: Callable[[torch.Tensor], torch.Tensor],
) -> np.ndarray:
    """The derivative of ``objective(logits)`` by torch's differentiation of a network written the
    obvious way.
    """
    flat = torch.tensor(theta, requires_grad=True)
    arrays = [flat[where].view(shape) for where, shape in topology.layout().entries.values()]
    h = torch.tensor(x)
    for weight, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
        h = torch.nn.functional.linear(h, weight, bias).relu()
    objective(torch.nn.functional.linear(h, *arrays[-2:])).backward()
    return flat.grad.numpy()

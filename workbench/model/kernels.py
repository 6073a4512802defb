"""Which arithmetic multiplies the matrices of the network: the one place that chooses device, library and precision."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

torch.set_num_threads(1)


@dataclass(frozen=True)
class Kernel:
    """The products of the network on one device: ``product(a, b, out)`` is out = a b, ``affine`` adds a bias row."""

    name: str
    device: torch.device
    dtype: torch.dtype | None  # of the factors; None: that of the parameters
    product: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]
    affine: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], object]

    def factors(self, dtype: torch.dtype) -> torch.dtype:
        """The type of the factors for parameters of ``dtype``."""
        return self.dtype or dtype


def _torch_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> object:
    return torch.mm(a, b, out=out)


def _torch_affine(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor, out: torch.Tensor) -> object:
    return torch.addmm(bias, a, b, out=out)


@functools.cache
def choose(precision: str = "float32") -> Kernel:
    """The kernel for ``precision`` (``float32`` or ``bfloat16``) on this machine; the same one for the whole process."""
    dtype = torch.bfloat16 if precision == "bfloat16" else None
    return Kernel("torch", torch.device("cpu"), dtype, _torch_product, _torch_affine)


def tensor(array: np.ndarray) -> torch.Tensor:
    """``array`` as a tensor over the same memory, also if it is read-only (then nobody may write to the tensor).

    torch warns of read-only arrays, once per process and for all alike; parameters that are published are read-only, so
    that the warning would say nothing.
    """
    if array.flags.writeable:
        return torch.from_numpy(array)
    return torch.from_numpy(np.asarray(_Writeable(array)))


class _Writeable:
    """The array interface of a read-only array without its read-only mark; keeps the array alive."""

    def __init__(self, array: np.ndarray):
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}

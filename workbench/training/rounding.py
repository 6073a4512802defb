"""Parameters and gradients on their way between processes: float32, or rounded to bfloat16.

The components round, not the network between them. So a run gives the same numbers wherever its
components live, and can be replayed. The parameter server itself keeps float32.

Compiled loops are imported when they are first used, so that training can be imported without
numba.
"""

import numpy as np

from workbench.system import memory
from workbench.system.vectors import DeviceVector, Vector, read_only


def narrow(x: np.ndarray, wire: str) -> np.ndarray:
    """Return float32 ``x`` [n] as it travels under the setting ``wire``.

    ``float32``: ``x`` itself. ``bfloat16``: the bits of the nearest such numbers, uint16 [n], ties
    to even, in memory that other processes can share.
    """
    if wire == "float32":
        return x
    from workbench.model import vectors

    out = memory.floats((len(x) + 1) // 2).view(np.uint16)[: len(x)]
    vectors.narrow(np.ascontiguousarray(x), out)
    return out


def published(value: Vector, wire: str) -> Vector:
    """Return parameters as they travel under the setting ``wire``, to be read only.

    Those of a device do not travel, and nothing writes to them.
    """
    if isinstance(value, DeviceVector):
        return value
    return read_only(narrow(value, wire))


def widen(x: np.ndarray) -> np.ndarray:
    """Return the result of ``narrow`` as float32 [n]; ``x`` itself if it was not rounded."""
    if x.dtype == np.float32:
        return x
    out = memory.floats(len(x))
    widen_into(x, out)
    return out


def widen_into(x: np.ndarray, out: np.ndarray) -> None:
    """Write the result of ``narrow`` to ``out``, float32 [n]."""
    if x.dtype == np.float32:
        out[:] = x
        return
    from workbench.model import vectors

    vectors.widen(x, out)

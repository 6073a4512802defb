"""How an accepted gradient changes the parameters: the three rules, and what scales the step.

``mean`` and ``moved`` do in one pass what numpy would do in three: for millions of numbers the memory decides what a
step costs. They round where numpy rounds, so the bits are those of ``total / frames`` and ``theta + rate * step``.
"""

import numba
import numpy as np

from workbench import memory
from workbench.settings import Settings

ADAGRAD_FLOOR = 1e-8  # keeps the first step of a parameter finite
MAGNITUDE, INFINITE = np.uint32(0x7FFFFFFF), 0x7F800000  # bits of a float32: all but the sign; infinity, NaN beyond


def direction(
    settings: Settings, gradient: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What the rate is multiplied with, and the optimizer's new memory; all float32 [parameters of the shard].

    sgd: ``g`` (the paper). momentum: ``m = mu m + g``. adagrad: ``g / (floor + sqrt(sum of g**2))`` (DistBelief: Dean
    et al. 2012, section 4.1).
    """
    if settings.optimizer == "sgd":
        return gradient, None
    if memory is None:
        memory = np.zeros_like(gradient)
    if settings.optimizer == "momentum":
        memory = np.float32(settings.momentum) * memory + gradient
        return memory, memory
    memory = memory + gradient * gradient
    return gradient / (np.sqrt(memory) + np.float32(ADAGRAD_FLOOR)), memory


def rate(settings: Settings, version: int, decays: int, staleness: int) -> np.float32:
    """The step size of the update that follows ``version``.

    It rises in a line from a tenth over ``warmup`` updates, is divided by ``decay_factor`` per decay, and with
    ``staleness_step`` by the staleness of the gradient (Zhang et al. 2016, *Staleness-aware Async-SGD*, equation 6).
    """
    step = settings.learning_rate / settings.decay_factor**decays
    if version < settings.warmup:
        step *= 0.1 + 0.9 * version / settings.warmup
    if settings.staleness_step:
        step /= max(1, staleness)
    return np.float32(step)


def compensated(gradient: np.ndarray, strength: float, here: np.ndarray, then: np.ndarray) -> np.ndarray:
    """The gradient that parameters ``here`` would have, guessed from the one at ``then``.

    ``g - lambda g g (here - then)``: Zheng et al. 2017, *DC-ASGD*, equation 10, with the other sign because we go
    uphill.
    """
    return gradient - np.float32(strength) * gradient * gradient * (here - then)


def finite(gradient: np.ndarray) -> bool:
    """Whether all numbers are finite; one dot product unless that overflows."""
    return bool(np.isfinite(np.dot(gradient, gradient)) or np.isfinite(gradient).all())


def mean(total: np.ndarray, frames: int) -> np.ndarray | None:
    """``total / float32(frames)``, float32 [parameters]; None if a number of ``total`` is not finite.

    Memory lent by the pool is divided where it lies: it is one gradient's, and nobody needs the sum any more.
    """
    total = np.ascontiguousarray(total, np.float32)
    out = total if memory.loan_of(total) and total.flags.writeable else memory.floats(len(total))
    return out if _divide(total, total.view(np.uint32), np.float32(frames), out) < INFINITE else None


def moved(theta: np.ndarray, rate: np.float32, step: np.ndarray, out: np.ndarray) -> bool:
    """Write ``theta + rate * step`` to ``out``, all float32 [parameters]; whether all of ``step`` is finite."""
    step = np.ascontiguousarray(step, np.float32)
    return bool(_move(theta, np.float32(rate), step, step.view(np.uint32), out) < INFINITE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _divide(total: np.ndarray, bits: np.ndarray, frames: np.float32, out: np.ndarray) -> np.uint32:  # pragma: no cover
    """The largest magnitude, as bits; a maximum of integers, since one of floats would not become vector code."""
    top = np.uint32(0)
    for i in range(len(total)):
        top = max(top, bits[i] & MAGNITUDE)
        out[i] = total[i] / frames
    return top


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _move(
    theta: np.ndarray, rate: np.float32, step: np.ndarray, bits: np.ndarray, out: np.ndarray
) -> np.uint32:  # pragma: no cover
    top = np.uint32(0)
    for i in range(len(step)):
        top = max(top, bits[i] & MAGNITUDE)
        out[i] = theta[i] + rate * step[i]
    return top
